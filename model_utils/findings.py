"""What did tuning do to this model? Runs the probes one after another and draws from each the one claim that it can decide."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np

from model_utils.attribution import attribution
from model_utils.claims import concluded
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.faithfulness import evidence_request
from model_utils.contracts.findings import (
    Explanations,
    Findings,
    FindingsRequest,
    PartName,
)
from model_utils.contracts.probe import MARGIN
from model_utils.errors import Refused
from model_utils.faithfulness import faithfulness
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.probes import statistics
from model_utils.probes.bias import bias
from model_utils.probes.calibration import calibration
from model_utils.probes.reasoning import reasoning
from model_utils.probes.robustness import robustness
from model_utils.reporting import Part, Report

ABOVE_MARGIN = 0.2
"""nats; how much more an explanation takes away than random orders do, inside which it does not matter"""


RUN: dict[PartName, Callable[..., Any]] = {
    "reasoning": reasoning,
    "robustness": robustness,
    "bias": bias,
    "calibration": calibration,
}
WEIGHTS: dict[PartName, float] = {"reasoning": 3, "robustness": 4, "bias": 1, "calibration": 1, "explanations": 3}
"""About how long each takes, for the progress."""


def findings(pair: Pair[LanguageModel], request: FindingsRequest, report: Report) -> Findings:
    """The parts in their order; after each a snapshot with the claims that it decides. Of a run that was stopped, the parts that were done stay."""
    wanted = request.parts()
    whole = sum(WEIGHTS[name] for name in wanted)
    nothing: dict[str, Any] = dict.fromkeys(get_args(PartName))
    found = Findings(models=pair.map(lambda model: model.facts), claims=(), fates=(), seconds=(), **nothing)
    if isinstance(report.former, Findings):
        found = report.former
    start = 0.0
    for name, asked in wanted.items():
        share = WEIGHTS[name] / whole
        if getattr(found, name) is not None:
            start += share
            continue
        told = _Told(report, name, start, share)
        run = partial(explanations, orders=request.orders, seed=request.seed) if name == "explanations" else RUN[name]
        begun = time.monotonic()
        part: dict[str, Any] = {name: run(pair, asked, told)}
        took = (*found.seconds, (name, time.monotonic() - begun))
        found = concluded(replace(found, seconds=took, **part))
        start += share
        report(start, f"{name} is done", found)
    return found


class _Told(Part):
    """A part's progress as that of the whole, with its name."""

    def __init__(self, report: Report, name: str, start: float, share: float) -> None:
        super().__init__(report, start, share)
        self._name = name

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        super().__call__(fraction, f"{self._name}: {note}")


# --- explanations -----------------------------------------------------------------------------------------------------


def explanations(
    pair: Pair[LanguageModel], asked: Sequence[AttributionRequest], report: Report, orders: int, seed: int = 0
) -> Explanations:
    """Each explanation against random orders of the same parts on the same model; one that cannot be made has no number, and is named."""
    rows: dict[str, list[Pair[float]]] = {"p": [], "above": [], "better": []}
    refused = []
    nothing = Pair(math.nan, math.nan)
    for number, one in enumerate(asked):
        report(number / len(asked), f"answer {number + 1:,} of {len(asked):,}")
        try:
            scores = attribution(pair, one, Part(report))
            judged = faithfulness(pair, evidence_request(scores, one, orders, seed), Part(report)).judged
        except Refused as error:
            refused.append((number, str(error)))
            row = dict.fromkeys(rows, nothing)
        else:
            kept = judged.map(lambda side: side if side.tells else None)
            row = {
                "p": kept.map(lambda side: math.nan if side is None else side.p),
                "above": kept.map(lambda side: math.nan if side is None else side.comprehensiveness - float(side.random_comprehensiveness.mean())),
                "better": kept.map(lambda side: math.nan if side is None else float(side.better_than_chance)),
            }  # fmt: skip
        for name, values in row.items():
            rows[name].append(values)
    p, above, better = (Pair(*(np.array([one[side] for one in rows[name]], dtype=np.float64) for side in SIDES)) for name in rows)  # fmt: skip
    questions = tuple(one.messages[-1].content for one in asked)
    unit = "nats" if asked[0].quantity == "log-probability" else asked[0].quantity
    measured = [
        statistics.Measured("better_than_chance", "answers explained better than chance", "share", "higher", False, better, MARGIN),
        statistics.Measured("above_chance", "what the highest scored words take away beyond random ones", unit, "higher", False, above, ABOVE_MARGIN, compared=False),
    ]  # fmt: skip
    return Explanations(questions, p, above, better, tuple(refused), statistics.findings(measured, seed))
