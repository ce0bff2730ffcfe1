"""The bench of Compare: both answers streamed against two bare `generate` calls, and the memory that a shift takes."""

from __future__ import annotations

import gc
import time
from functools import partial
from typing import Any

from model_utils import analyses
from model_utils.bench import Figure, Polled, forget_peak, on_one_thread, peak_memory, random_pair, scratch, written
from model_utils.contracts.common import Asked, Specs, ask
from model_utils.contracts.generation import Generation, GenerationRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.pair import Pair


def generation(smoke: bool) -> list[Figure]:
    """Speed of S and M, and the memory of a shift over a large vocabulary."""
    if smoke:
        return [_speed("S", small=True, tokens=8, runs=2), _memory(vocabulary=6_000, tokens=16)]
    speeds = [_speed("S", small=True, tokens=128, runs=7), _speed("M", small=False, tokens=48, runs=5)]
    return [*speeds, _memory(vocabulary=151_936, tokens=512)]


def _speed(name: str, small: bool, tokens: int, runs: int) -> Figure:
    with scratch() as folder:
        specs = random_pair(folder, small)
        asked = GenerationRequest(messages=ask("word " * 24), formats=Pair("plain", "plain"), max_new_tokens=tokens)
        ratios = on_one_thread(lambda report: _ratios(specs, asked, runs, report))
    return Figure(
        f"both answers of {name}, streamed, against two generate calls (speed)", ratios, 1.0, "x", at_least=True
    )


def _ratios(specs: Specs, asked: GenerationRequest, runs: int, report: Polled) -> tuple[float, ...]:
    """Seconds of two bare `generate` calls, in their best thread setting, over ours; the same tokens."""
    import torch

    found = []
    with analyses.using(specs) as pair:
        ours: Generation = analyses.execute("generation", specs, asked, report)  # this warms up
        counts = sorted({1, max(1, torch.get_num_threads() // 2), torch.get_num_threads()})
        best = min(counts, key=lambda count: _bare(pair, asked, count, ours))
        for _ in range(runs):
            start = time.perf_counter()
            ours = analyses.execute("generation", specs, asked, report)
            seconds = time.perf_counter() - start
            found.append(_bare(pair, asked, best, ours) / seconds)
    return tuple(found)


def _bare(pair: Pair[Any], asked: Asked, threads: int, ours: Generation) -> float:
    """Seconds of `generate` for one side, then the other."""
    import torch

    before, seconds = torch.get_num_threads(), 0.0
    torch.set_num_threads(threads)
    for side, model in pair.items():
        ids, answer = model.ids(ours.answers[side].prompt.ids), ours.answers[side].answer
        options = {"do_sample": False, "max_new_tokens": asked.max_new_tokens, "eos_token_id": sorted(model.stop_ids)}
        with model.running() as module:
            start = time.perf_counter()
            found = module.generate(ids, attention_mask=torch.ones_like(ids), **options)
            seconds += time.perf_counter() - start
        assert found[0, ids.shape[1] :].tolist() == answer.ids.tolist(), "other tokens"
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
                before = forget_peak()
                analyses.execute("shift", specs, asked, report)
                return (peak_memory() - before) / 1e6

        return Figure(
            f"peak memory of a shift, {tokens} tokens, vocabulary {vocabulary:,}", (on_one_thread(peak),), 300, "MB"
        )
