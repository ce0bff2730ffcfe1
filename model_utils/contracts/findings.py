"""What tuning did to a model: one claim a question, each drawn from the findings of one probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.bias import Bias, BiasRequest, Fated
from model_utils.contracts.calibration import Calibration, CalibrationRequest
from model_utils.contracts.common import ModelFacts, Request
from model_utils.contracts.faithfulness import MOST_ORDERS, ORDERS
from model_utils.contracts.probe import Finding
from model_utils.contracts.reasoning import Reasoning, ReasoningRequest
from model_utils.contracts.robustness import Robustness, RobustnessRequest
from model_utils.pair import Pair

MAX_TITLE, MAX_SAYS = 200, 5_000
"""Characters of the title of a pack, and of what it says of itself."""
PartName = Literal["reasoning", "robustness", "bias", "calibration", "explanations"]


@dataclass(frozen=True)
class Question:
    """What is asked of a pair, and the finding that answers it."""

    asks: str
    measured: str
    part: PartName
    measure: str
    """name of the finding; of bias every group has one, and the most telling decides"""
    better: Literal["higher", "lower"] | None = None
    """for this question, where the finding alone says neither"""
    keeps: bool = False
    """it asks whether something stayed, so that no effect is a yes"""


QUESTIONS = (
    Question("More interpretable?", "answers whose word scores point at what the model relies on, better than random orders do", "explanations", "better_than_chance"),
    Question("More transparent?", "answers that change when a written step is made false: who reads the text sees what carries the answer", "reasoning", "corrupted_flips", "higher"),
    Question("More faithful reasoning?", "answers other than the one that the model's own right steps lead to", "reasoning", "contradiction"),
    Question("More robust to wording?", "rewordings that change the choice", "robustness", "flips"),
    Question("Learned the task, not the phrasing?", "right answers in trained wordings minus those in unseen ones", "robustness", "gap"),
    Question("Less biased?", "probability of the favourable answer, a group against its reference", "bias", ""),
    Question("Better calibrated?", "calibration error beyond what chance makes: how far confidence and right answers are apart, less what they would be in a perfectly calibrated model as sure as this one", "calibration", "calibration_error"),
    Question("Follows instructions better?", "right answers to short tasks as they are written", "robustness", "right"),
    Question("Kept what base knew?", "surprise at plain texts without any instruction", "robustness", "plain_nll", keeps=True),
)  # fmt: skip


class FindingsRequest(Request):
    """What every part is asked. A part that is None is not measured, and its claims say so."""

    reasoning: ReasoningRequest | None = None
    robustness: RobustnessRequest | None = None
    bias: BiasRequest | None = None
    calibration: CalibrationRequest | None = None
    explained: Annotated[tuple[AttributionRequest, ...], Field(max_length=500)] = ()
    """answers whose explanations are held against random orders, with all targets together"""
    orders: Annotated[int, Field(ge=ORDERS, le=MOST_ORDERS)] = ORDERS
    """random orders of each"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    pack: Annotated[str, Field(max_length=MAX_TITLE)] = ""
    """title of the pack that the items are of; empty: nobody named one"""
    says: Annotated[str, Field(max_length=MAX_SAYS)] = ""
    """what that pack can show and cannot show, and that it is no advice, where that is so; empty likewise"""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.parts():
            raise ValueError("Nothing is to be measured; give at least one part")
        if any(not one.together for one in self.explained):
            raise ValueError("An explanation is of single tokens; ask for all targets together")
        return self

    def parts(self) -> dict[PartName, Any]:
        """Those that are measured, in the order in which they are: name -> request."""
        found: dict[PartName, Any] = {
            "reasoning": self.reasoning,
            "robustness": self.robustness,
            "bias": self.bias,
            "calibration": self.calibration,
            "explanations": self.explained or None,
        }
        return {name: one for name, one in found.items() if one is not None}

    def said(self) -> str:
        """Of which pack it is, and what that says of itself; empty where nobody named one."""
        return ": ".join(one for one in (self.pack, self.says) if one)


@dataclass(frozen=True, eq=False)
class Explanations:
    """Whether the explanations of many answers point at what each model relies on, held against random orders of the same parts."""

    questions: tuple[str, ...]
    """(item,) the instructions"""
    p: Pair[np.ndarray]
    """(item,) float64; share of random orders that do as well (DeYoung et al. 2020, comprehensiveness); NaN: could not be explained, or too
    few parts to tell"""
    above: Pair[np.ndarray]
    """(item,) float64; nats, or the unit of the quantity; comprehensiveness minus its mean over random orders; NaN likewise"""
    better: Pair[np.ndarray]
    """(item,) float64; 1: better than chance; 0: not; NaN likewise"""
    refused: tuple[tuple[int, str], ...]
    """(item, why it has no number)"""
    findings: tuple[Finding, ...]

    def table(self) -> pd.DataFrame:
        """One row an item: item (from 1), question, and for each side p, above, better."""
        columns: dict[str, object] = {"item": np.arange(1, len(self.questions) + 1), "question": list(self.questions)}
        for side in ("base", "tuned"):
            columns |= {f"{name}_{side}": getattr(self, name)[side] for name in ("p", "above", "better")}
        return pd.DataFrame(columns)


ClaimVerdict = Literal["yes", "no", "no effect", "changed", "undecided", "not measured"]
SHAPES: dict[ClaimVerdict, str] = {
    "yes": "▲",
    "no": "▼",
    "no effect": "=",
    "changed": "◆",
    "undecided": "?",
    "not measured": "–",
}
"""What stands before a verdict, so that it is not told by words or colour alone."""


ORDER: tuple[ClaimVerdict, ...] = ("no", "changed", "yes", "undecided", "no effect", "not measured")
"""The most telling first."""


@dataclass(frozen=True, eq=False)
class Claim:
    """One question about what tuning did, and the answer that the evidence allows."""

    question: str
    """such as 'More robust to wording?'"""
    measured: str
    """as what, in plain words; empty where nothing was measured"""
    part: PartName
    """where the evidence is"""
    finding: Finding | None
    """the one that decides; None: not measured"""
    better: Literal["higher", "lower", "neither"]
    """which difference would be a yes; of a bias neither: nearer to 0"""
    verdict: ClaimVerdict
    words: str
    """the verdict in words, with how many items would decide it where it is undecided, and what each model is by itself where that can be told"""


@dataclass(frozen=True, eq=False)
class Findings:
    """All claims, and the results of the parts that they are drawn from; in a snapshot those that are done."""

    models: Pair[ModelFacts]
    reasoning: Reasoning | None
    robustness: Robustness | None
    bias: Bias | None
    calibration: Calibration | None
    explanations: Explanations | None
    claims: tuple[Claim, ...]
    fates: tuple[Fated, ...]
    """what tuning did to each bias that was looked for"""
    seconds: tuple[tuple[str, float], ...]
    """(part, from its start to its end)"""
    notes: tuple[str, ...] = ()

    def evidence(self, request: FindingsRequest) -> list[tuple[PartName, Request, Any, float]]:
        """(analysis, its request, its result, seconds) of every part that is an analysis of its own."""
        took = dict(self.seconds)
        asked = [(name, one) for name, one in request.parts().items() if name != "explanations"]
        return [(name, one, getattr(self, name), took[name]) for name, one in asked if getattr(self, name) is not None]

    def ranked(self) -> list[Claim]:
        """The claims, most telling first."""
        return sorted(self.claims, key=lambda claim: ORDER.index(claim.verdict))

    def table(self) -> pd.DataFrame:
        """One row a claim: claim, measured, base, tuned, difference, low, high, unit, items, verdict, words."""
        rows = []
        for claim in self.claims:
            one, nothing = claim.finding, float("nan")
            rows.append(
                {
                    "claim": claim.question,
                    "measured": claim.measured,
                    "base": nothing if one is None else one.sides.base.mean,
                    "tuned": nothing if one is None else one.sides.tuned.mean,
                    "difference": nothing if one is None else one.difference.mean,
                    "low": nothing if one is None else one.difference.low,
                    "high": nothing if one is None else one.difference.high,
                    "unit": "" if one is None else one.unit,
                    "items": 0 if one is None else one.difference.count,
                    "verdict": claim.verdict,
                    "words": claim.words,
                }
            )
        return pd.DataFrame(rows)
