"""The bench of the probes: a thousand items of both embedded models, and how much of what is read is padding."""

from __future__ import annotations

import time
from typing import Any

from model_utils import analyses
from model_utils.bench import Figure, Polled, on_one_thread
from model_utils.contracts.common import ModelSpec, Specs
from model_utils.contracts.reasoning import ReasoningRequest
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.pair import Pair

SPECS: Specs = Pair(ModelSpec(id="demo/base"), ModelSpec(id="demo/tuned"))
ITEMS, RUNS = 1_000, 3


def probes(smoke: bool) -> list[Figure]:
    """Seconds of a thousand items, and the share of padding in their batches."""
    count, runs = (20, 1) if smoke else (ITEMS, RUNS)
    return on_one_thread(lambda report: _figures(count, runs, report))


def _figures(count: int, runs: int, report: Polled) -> list[Figure]:
    from model_utils.probes import suites  # makes the embedded world

    phrased = suites.SUITES["demo/phrasings"].make(count, 0)
    plain = RobustnessRequest(
        items=phrased, perturbations=("typos",), formats_drawn=0, sensitivity_items=0, attribution_items=0
    )
    loans = suites.SUITES["demo/loans"].make(count, 0)
    reasoned = ReasoningRequest(items=loans, tests=("early answering",))
    _seconds("robustness", plain.model_copy(update={"items": phrased[:20]}), report)  # this warms up
    return [
        Figure(f"{count:,} items x 2 models, as written and with typos", tuple(_seconds("robustness", plain, report) for _ in range(runs)), 60.0),
        Figure(f"{count:,} items x 2 models, reasoning written and early answers read", tuple(_seconds("reasoning", reasoned, report) for _ in range(runs)), 60.0),
        Figure("padding in the batches of these items", (_padding(plain, report),), 0.15, "of what is read"),
    ]  # fmt: skip


def _seconds(kind: str, request: Any, report: Polled) -> float:
    start = time.perf_counter()
    analyses.execute(kind, SPECS, request, report)
    return time.perf_counter() - start


def _padding(request: RobustnessRequest, report: Polled) -> float:
    """Counted in the module's own input."""
    import torch

    read: list[tuple[int, int]] = []  # both sides add to it at the same time

    def count(part: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        ids = kwargs["input_ids"]
        if ids.any():  # else it is the unembedding alone
            read.append((ids.numel(), int((ids != 0).sum())))  # padding is id 0, which no text of these models holds

    with analyses.using(SPECS) as pair:
        hooks = [model.network.module.register_forward_pre_hook(count, with_kwargs=True) for model in pair.sides]
        try:
            analyses.execute("robustness", SPECS, request, report)
        finally:
            for hook in hooks:
                hook.remove()
    return 1 - sum(useful for _, useful in read) / sum(all_of_it for all_of_it, _ in read)
