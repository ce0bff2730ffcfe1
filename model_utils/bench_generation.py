"""The bench of Compare: both answers streamed against two bare `generate` calls, and the memory that a shift takes."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from model_utils import analyses
from model_utils.bench import Figure, random_pair, scratch, written
from model_utils.contracts.common import Asked, Specs, ask
from model_utils.contracts.generation import Generation, GenerationRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.reporting import Report

POLL_SECONDS = 0.12
"""As often as a page looks for news."""
TOKENS = 128


class Polled(Report):
    """What the engine gives an analysis, without a queue: the latest snapshot lies there for a page to read."""

    fraction, snapshot = 0.0, None

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        self.fraction, self.snapshot = fraction, snapshot or self.snapshot


def generation(smoke: bool) -> list[Figure]:
    """Speed of S and M, and the memory of a shift over a large vocabulary."""
    if smoke:
        return [_speed("S", small=True, tokens=8, runs=2), _memory(vocabulary=6_000, tokens=16)]
    speeds = [_speed(name, small=name == "S", tokens=TOKENS, runs=5) for name in ("S", "M")]
    return [*speeds, _memory(vocabulary=151_936, tokens=512)]


def _speed(name: str, small: bool, tokens: int, runs: int) -> Figure:
    with scratch() as folder:
        specs = random_pair(folder, small)
        asked = GenerationRequest(messages=ask("word " * 24), formats=Pair("plain", "plain"), max_new_tokens=tokens)
        ratios = _on_one_thread(lambda report: _ratios(specs, asked, runs, report))
    return Figure(
        f"both answers of {name}, streamed, against two generate calls (speed)", ratios, 1.0, "x", at_least=True
    )


def _on_one_thread(work: Callable[[Polled], Any]) -> Any:
    """All torch work in one thread that lives as long as the work, as the engine's; this one polls as a page does."""
    report, done = Polled(), Future[Any]()

    def run() -> None:
        done.set_result(work(report))

    thread = Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        time.sleep(POLL_SECONDS)
        shown = report.snapshot
        if isinstance(shown, Generation):
            [answer.text for answer in shown.answers.sides]
    return done.result(timeout=0)


def _ratios(specs: Specs, asked: GenerationRequest, runs: int, report: Polled) -> tuple[float, ...]:
    """Seconds of two bare `generate` calls, in the best thread setting of each run, over ours; the same tokens."""
    import torch

    found = []
    counts = sorted({1, torch.get_num_threads()})
    with analyses.using(specs) as pair:
        for run in range(runs + 1):
            start = time.perf_counter()
            ours: Generation = analyses.execute("generation", specs, asked, report)
            seconds = time.perf_counter() - start
            prompts = ours.answers.map(lambda one: one.prompt)
            bare = min(_bare(pair, prompts, asked, count, ours) for count in counts)
            found += [bare / seconds] if run else []  # the first warms up
    return tuple(found)


def _bare(pair: Pair[Any], prompts: Pair[Any], asked: Asked, threads: int, ours: Generation) -> float:
    import torch

    before, seconds = torch.get_num_threads(), 0.0
    torch.set_num_threads(threads)
    for side, model in pair.items():
        ids = model.ids(prompts[side].ids)
        options = {"do_sample": False, "max_new_tokens": asked.max_new_tokens, "eos_token_id": sorted(model.stop_ids)}
        with model.running() as module:
            start = time.perf_counter()
            found = module.generate(ids, attention_mask=torch.ones_like(ids), **options)
            seconds += time.perf_counter() - start
        assert found[0, ids.shape[1] :].tolist() == ours.answers[side].answer.ids.tolist(), "other tokens"
    torch.set_num_threads(before)
    return seconds


def _memory(vocabulary: int, tokens: int) -> Figure:
    """How far the peak of resident memory rises above what the loaded pair takes."""
    from model_utils import shapes

    with scratch() as folder:
        specs = written(partial(shapes.wide_shaped, vocabulary=vocabulary), folder)
        ids = tuple(300 + i % 4_000 for i in range(tokens))
        asked = ShiftRequest(messages=ask("word " * 24), formats=Pair("plain", "plain"), answers=Pair(ids, ids))
        small = asked.model_copy(update={"answers": Pair(ids[:2], ids[:2])})

        def peak(report: Polled) -> float:
            with analyses.using(specs):
                analyses.execute("shift", specs, small, report)
                gc.collect()
                before = _forget_peak()
                analyses.execute("shift", specs, asked, report)
                return (_status("VmHWM") - before) / 1e6

        return Figure(
            f"peak memory of a shift, {tokens} tokens, vocabulary {vocabulary:,}", (_on_one_thread(peak),), 300, "MB"
        )


def _forget_peak() -> float:
    """Bytes of resident memory now; from here on the peak is counted anew."""
    if sys.platform != "linux":
        raise Refused("The peak of memory is read from Linux's /proc; run this bench on Linux.")
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
