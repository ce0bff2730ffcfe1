"""Benches that people and CI's smoke run: `python -m model_utils.bench NAME` prints figures with their bars and fails when one is missed."""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import click

from model_utils.checkpoints import PROJECT
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import ModelSpec, Specs, ask
from model_utils.contracts.generation import Generation, GenerationRequest
from model_utils.engine import Engine, Job
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.reporting import Report

BENCHES = {
    "loading": "model_utils.bench:loading",
    "generation": "model_utils.bench_generation:generation",
    "attention": "model_utils.bench_attention:attention",
    "attribution": "tests.bench_attribution:attribution",  # its peers are installed for tests only
    "records": "model_utils.bench_records:records",
    "report": "tests.bench_report:report",  # it draws figures, so that it may not live here
    "probes": "model_utils.bench_probes:probes",
    "findings": "model_utils.bench_findings:findings",
    "engine": "model_utils.bench:engine",
    "pages": "tests.browser.bench_pages:pages",  # drives a real Chromium, so it lives beside the browser tests
}


POLL_SECONDS = 0.12
"""As often as a page looks for news."""

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """One measured quantity, and the most (or the least) that its median may be."""

    name: str
    values: tuple[float, ...]
    bar: float
    unit: str = "s"
    """seconds, `x` for a ratio, or MB"""
    at_least: bool = False
    """the bar is the least, not the most"""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        return self.median >= self.bar if self.at_least else self.median <= self.bar

    def said(self) -> dict[str, float | str]:
        """For programs."""
        is_least = "least" if self.at_least else "most"
        return {"median": round(self.median, 4), "bar": self.bar, "bar_is": is_least, "unit": self.unit}

    def line(self) -> str:
        spread = f"{min(self.values):.3f} to {max(self.values):.3f}, {len(self.values)} runs"
        sign = ">=" if self.at_least else "<="
        return f"{self.name}: {self.median:.3f} {self.unit} ({spread}), bar {sign} {self.bar:g} {self.unit}"


@click.command()
@click.argument("name", type=click.Choice(list(BENCHES)))
@click.option("--smoke", is_flag=True, help="a tiny shape and no verdict: does the bench itself work?")
def main(name: str, smoke: bool) -> None:
    """Measure NAME; a missed bar is tried once more, then the exit code is 1."""
    module, _, function = BENCHES[name].partition(":")
    bench: Callable[[bool], list[Figure]] = getattr(import_module(module), function)
    figures = bench(smoke)
    if not smoke and not all(figure.holds for figure in figures):
        for figure in figures:
            if not figure.holds:
                click.echo(f"missed: {figure.line()}; once more")
        figures = bench(smoke)
    for figure in figures:
        click.echo(figure.line())
    click.echo(json.dumps({figure.name: figure.said() for figure in figures}))
    if not smoke and not all(figure.holds for figure in figures):
        sys.exit(1)


def engine(smoke: bool) -> list[Figure]:
    """How long the next job waits: after a cancel in the middle of an attribution, and behind a background job that gives way."""
    with scratch() as folder:
        specs, words, runs = random_pair(folder, smoke), 20 if smoke else 150, 2 if smoke else 6
        compute = Engine()
        _finish(
            compute.submit("generation", specs, GenerationRequest(messages=ask("Warm up."), max_new_tokens=4), "bench")
        )
        cancels = [_after_cancel(compute, specs, words, run, pause=0.0 if smoke else 0.5 * run) for run in range(runs)]
        background = [_behind_background(compute, specs, words, run) for run in range(runs)]
        compute.stop()
    return [
        Figure("cancelled attribution to start of the next job", tuple(cancels), bar=1.0),
        Figure("Run to its start during a background attribution", tuple(background), bar=1.0),
    ]


def _attribution(words: int, run: int) -> AttributionRequest:
    return AttributionRequest(messages=ask("word " * words + str(run)), answer_ids=tuple(range(300, 364)))


def _after_cancel(compute: Engine, specs: Specs, words: int, run: int, pause: float) -> float:
    long = compute.submit("attribution", specs, _attribution(words, run), "bench")
    _until_started(long)
    time.sleep(pause)
    compute.release(long, "bench")
    return _wait_for_start(compute, specs, f"after a cancel {run}")


def _behind_background(compute: Engine, specs: Specs, words: int, run: int) -> float:
    long = compute.submit("attribution", specs, _attribution(words, 1000 + run), "bench", background=True)
    while not (long.fraction > 0 or long.finished):
        time.sleep(0.001)
    seconds = _wait_for_start(compute, specs, f"behind a background job {run}")
    compute.release(long, "bench")
    long.wait()
    return seconds


def _wait_for_start(compute: Engine, specs: Specs, text: str) -> float:
    asked = time.perf_counter()
    job = compute.submit("generation", specs, GenerationRequest(messages=ask(text), max_new_tokens=2), "another")
    _until_started(job)
    seconds = time.perf_counter() - asked
    _finish(job)
    return seconds


def _until_started(job: Job) -> None:
    while job.state == "queued":
        time.sleep(0.001)


def _finish(job: Job) -> None:
    job.wait()
    assert job.state == "done", job.error


def loading(smoke: bool) -> list[Figure]:
    """Opening M until it can run, against bare `from_pretrained` of the same model and tokenizer; and going back to a pair in memory."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from model_utils.loading import ModelManager

    def bare(spec: ModelSpec) -> object:
        tokenizer = AutoTokenizer.from_pretrained(spec.id, local_files_only=True)
        return tokenizer, AutoModelForCausalLM.from_pretrained(spec.id, dtype=torch.float32, local_files_only=True)

    def ours(spec: ModelSpec) -> object:
        with ModelManager().using(Pair(spec, spec), Report()) as pair:
            return pair

    runs = 2 if smoke else 7
    with scratch() as folder:
        specs = random_pair(folder, smoke)
        other = Pair(*(ModelSpec(id=f"demo/{name}") for name in ("base", "tuned")))
        one = specs.base
        bare(one)
        ours(one)
        ratios = []
        for run in range(runs):
            first, second = (bare, ours) if run % 2 else (ours, bare)
            seconds = {work: _seconds(partial(work, one)) for work in (first, second)}
            ratios.append(seconds[ours] / seconds[bare])
        manager = ModelManager()

        def switch(to: Specs) -> None:
            with manager.using(to, Report()):
                pass

        switch(specs)
        switch(other)
        back = []
        for _ in range(runs):
            back.append(_seconds(partial(switch, specs)))
            switch(other)
    return [
        Figure("opening a model and its tokenizer, against bare from_pretrained", tuple(ratios), bar=1.3, unit="x"),
        Figure("back to a pair in memory", tuple(back), bar=0.3),
    ]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - start
    del kept
    gc.collect()
    return seconds


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for random checkpoints, inside the project because models may be opened from there."""
    build = PROJECT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        yield Path(folder)


def random_pair(folder: Path, small: bool) -> Specs:
    """Two random checkpoints of the M shape, or of the S shape."""
    from model_utils import shapes  # imports torch

    return written(shapes.s_shaped if small else shapes.m_shaped, folder)


def on_one_thread(work: Callable[[Polled], T]) -> T:
    """All torch work in one thread, as the engine's, while this one looks for news as often as a page does."""
    report = Polled()
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(work, report)
        while not result.done():
            time.sleep(POLL_SECONDS)
            if isinstance(report.snapshot, Generation):
                [answer.text for answer in report.snapshot.answers.sides]
        return result.result()


class Polled(Report):
    """What the engine gives an analysis, without a queue: the latest snapshot lies there for a page to read."""

    fraction, snapshot = 0.0, None

    def __call__(self, fraction: float, note: str, snapshot: object = None) -> None:
        self.fraction, self.snapshot = fraction, snapshot or self.snapshot


def forget_peak() -> float:
    """Bytes of resident memory now; from here on the peak is counted anew."""
    if sys.platform != "linux":
        raise Refused("The peak of memory is read from Linux's /proc; run this bench on Linux.")
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_memory() -> float:
    """Bytes of resident memory at most, since `forget_peak`."""
    return _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def written(write: Callable[..., Path], folder: Path) -> Specs:
    """Two random checkpoints of one shape, with different weights."""
    return Pair("base", "tuned").zip(Pair(0, 1)).map(lambda one: ModelSpec(id=str(write(folder / one[0], seed=one[1]))))


if __name__ == "__main__":
    main()
