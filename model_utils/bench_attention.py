"""The bench of the attention page's passes: all heads, their change, and one layer's maps, against the plain forward."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from functools import partial

from model_utils import analyses
from model_utils.bench import Figure, forget_peak, on_one_thread, peak_memory, random_pair, scratch
from model_utils.contracts.atlas import AtlasRequest
from model_utils.contracts.common import Specs, ask
from model_utils.reporting import Report

TOKENS = 1_024


def attention(smoke: bool) -> list[Figure]:
    """At 1,024 tokens on M, half of them the answer."""
    with scratch() as folder:
        specs = random_pair(folder, small=smoke)
        return on_one_thread(partial(_figures, specs, 64 if smoke else TOKENS, 2 if smoke else 5))


def _figures(specs: Specs, tokens: int, runs: int, report: Report) -> list[Figure]:
    from model_utils import anatomy, atlas, capture, generation

    request = AtlasRequest(
        messages=ask("word " * (tokens // 4)), format="plain", answer_ids=tuple(range(300, 300 + tokens // 2))
    )
    with analyses.using(specs) as pair:
        sequence = generation.shared_sequence(pair, request, report)
        model, layers = pair.tuned, pair.tuned.facts.attention_layers("self")

        def plain() -> None:
            with model.running() as module:
                anatomy.logits(module, anatomy.parts(model.ids(sequence.ids), 0))

        def summaries() -> None:
            found = atlas.Summary(atlas.plan_of(sequence, "self"), layers, model.facts.heads)
            capture.read(model, sequence, "self", layers, lambda look, *tile: found.add(look.layer, *tile), report.poll)

        def one_layer() -> None:
            capture.read(model, sequence, "self", layers[-1:], lambda *tile: None, report.poll)

        def both() -> None:
            atlas.atlas(pair, request, report)

        seconds = _seconds((plain, summaries, one_layer, both), runs)
        memory = tuple(_above(plain, summaries) for _ in range(runs))
    forward, found, layer, whole = seconds
    added = [(b - 2 * s) / 2 / f for b, s, f in zip(whole, found, forward, strict=True)]
    length = len(sequence)
    return [
        Figure(f"all heads at {length:,} tokens, against a plain forward", _ratios(found, forward), 1.9, "x"),
        Figure(f"memory of all heads at {length:,} tokens, above a plain forward", memory, 150, "MB"),
        Figure("the change score adds to each model's pass, of a plain forward", tuple(added), 0.6, "x"),
        Figure(f"one layer's maps at {length:,} tokens, against a plain forward", _ratios(layer, forward), 1.1, "x"),
    ]


def _seconds(works: Sequence[Callable[[], None]], runs: int) -> list[list[float]]:
    """Seconds of each, taking turns; the first turn warms up."""
    found: list[list[float]] = [[] for _ in works]
    for run in range(runs + 1):
        for work, seconds in zip(works, found, strict=True):
            start = time.perf_counter()
            work()
            seconds += [time.perf_counter() - start] if run else []
    return found


def _ratios(ours: Sequence[float], bare: Sequence[float]) -> tuple[float, ...]:
    return tuple(one / other for one, other in zip(ours, bare, strict=True))


def _above(plain: Callable[[], None], work: Callable[[], None]) -> float:
    """MB by which one peaks above the other, each from a trimmed heap."""

    def peak(one: Callable[[], None]) -> float:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        before = forget_peak()
        one()
        return peak_memory() - before

    return (peak(work) - peak(plain)) / 1e6
