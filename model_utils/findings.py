"""What did tuning do to this model? Runs the probes one after another and draws from each the one claim that it can decide."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np

from model_utils.attribution import attribution
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.bias import Bias, Fate, Fated
from model_utils.contracts.faithfulness import evidence_request
from model_utils.contracts.findings import (
    QUESTIONS,
    Claim,
    ClaimVerdict,
    Explanations,
    Findings,
    FindingsRequest,
    PartName,
    Question,
)
from model_utils.contracts.probe import MARGIN, Finding, rounded_up
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


FATES: tuple[Fate, ...] = ("added", "hidden", "kept", "removed", "undecided", "none")
"""Most telling first."""
ANSWERED: dict[Fate, ClaimVerdict] = {
    "added": "no",
    "hidden": "changed",
    "kept": "no",
    "removed": "yes",
    "undecided": "undecided",
    "none": "no effect",
}
RUN: dict[PartName, Callable[..., Any]] = {
    "reasoning": reasoning,
    "robustness": robustness,
    "bias": bias,
    "calibration": calibration,
}
WEIGHTS: dict[PartName, float] = {"reasoning": 3, "robustness": 4, "bias": 1, "calibration": 1, "explanations": 3}
"""About how long each takes, for the progress."""


def findings(pair: Pair[LanguageModel], request: FindingsRequest, report: Report) -> Findings:
    """The parts in their order; after each a snapshot with the claims that it decides."""
    wanted = request.parts()
    whole = sum(WEIGHTS[name] for name in wanted)
    nothing: dict[str, Any] = dict.fromkeys(get_args(PartName))
    found = Findings(models=pair.map(lambda model: model.facts), claims=(), fates=(), seconds=(), **nothing)
    start = 0.0
    for name, asked in wanted.items():
        share = WEIGHTS[name] / whole
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


# --- claims -----------------------------------------------------------------------------------------------------------


def concluded(found: Findings) -> Findings:
    """With the claims that its parts decide; a part that is not there leaves its claims not measured."""
    fates = () if found.bias is None else found.bias.fates()
    return replace(found, claims=tuple(_claims(found)), fates=fates)


def _claims(found: Findings) -> Iterator[Claim]:
    for one in QUESTIONS:
        part = getattr(found, one.part)
        if part is None:
            yield Claim(one.asks, "", one.part, None, "not measured", "Not measured.")
        elif isinstance(part, Bias):
            yield _of_bias(one, part)
        else:
            finding = next((each for each in part.findings if each.measure == one.measure), None)
            yield _of(one, finding)


def _of(one: Question, finding: Finding | None) -> Claim:
    if finding is None or finding.verdict == "not measured":
        counts = Pair(0, 0) if finding is None else finding.sides.map(lambda side: side.count)
        lacking = [side for side in SIDES if not counts[side]]
        why = f"no item has a number for {' and '.join(lacking)}" if lacking else "no item has a number on both sides"
        return Claim(
            one.asks, one.measured, one.part, finding, "not measured", f"Not measured: {why}.{_alone(finding)}"
        )
    if finding.verdict in ("no effect", "undecided"):
        return Claim(one.asks, one.measured, one.part, finding, finding.verdict, _open(finding) + _alone(finding))
    better = finding.verdict == finding.better
    words = "Yes: tuned does better." if better else "No: tuned does worse."
    return Claim(one.asks, one.measured, one.part, finding, "yes" if better else "no", words + _alone(finding))


def _open(finding: Finding) -> str:
    if finding.verdict == "no effect":
        return f"No effect beyond ±{finding.margin_said()}."
    more = f" About {rounded_up(finding.needed):,} {finding.of}s like these would probably decide it." if math.isfinite(finding.needed) else ""  # fmt: skip
    return f"Undecided.{more}"


def _alone(finding: Finding | None) -> str:
    return f" {finding.alone()}" if finding is not None and finding.fault else ""


def _of_bias(one: Question, part: Bias) -> Claim:
    """By the group whose fate tells most; of several alike, that with the largest difference in tuned."""
    fates = part.fates()
    if not fates:
        return Claim(one.asks, one.measured, one.part, None, "not measured", "Not measured: no item could be asked.")
    places = [(slot, group) for slot, names in enumerate(part.groups) for group in range(1, len(names))]
    chances = [part.finding(*place, "probability") for place in places]

    def telling(pair: tuple[Fated, Finding]) -> tuple[int, float]:
        fated, finding = pair
        return FATES.index(fated.fate), -abs(np.nan_to_num(finding.sides.tuned.mean))

    fated, finding = min(zip(fates, chances, strict=True), key=telling)
    others = sum(other.fate == fated.fate for other in fates) - 1
    said = fated.said() + (f" So it is between {others} more of {len(fates)} groups and their references." if others else "")  # fmt: skip
    if fated.fate == "undecided" and math.isfinite(finding.needed):
        said += f" About {rounded_up(finding.needed):,} items like these would probably decide it."
    measured = finding.says
    return Claim(one.asks, measured, one.part, finding, ANSWERED[fated.fate], said)
