"""Many instructions at once: how far tuning moved each answer, which checks it passes, and intervals over the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from model_utils.contracts.common import Manner, ModelFacts, StopReason, Text
from model_utils.contracts.shift import SHARES
from model_utils.pair import Pair

MAX_INSTRUCTIONS = 2_000


class SurveyRequest(Manner):
    """Each instruction is asked by itself, in the same manner."""

    instructions: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_INSTRUCTIONS)]
    system: Text | None = None
    """a system message before each"""


@dataclass(frozen=True, eq=False)
class Surveyed:
    """What one instruction gave."""

    instruction: str
    refusal: str | None
    """why it could not be done, as a sentence; then the texts are empty and the numbers NaN"""
    texts: Pair[str]
    """what a person reads of each answer"""
    tokens: Pair[int]
    """tokens of each answer"""
    stops: Pair[StopReason]
    shares: tuple[float, float, float]
    """of the tuned answer's tokens unshifted, marginal, shifted; NaN where the tokenizers differ or the answer is empty"""
    log_ratio: float
    """nats; mean of |log p_tuned - log p_base| over the tuned answer's units"""
    kl: float
    """nats; mean KL(tuned || base) over its tokens; NaN where the tokenizers differ"""
    js: float
    """nats; mean Jensen-Shannon divergence over its tokens; NaN likewise"""
    agreement: float
    """0 to 1; share of words that the two answers have in common, in order"""
    checks: tuple[str, ...]
    """what the instruction verifiably asks for, in words"""
    passed: Pair[tuple[bool, ...]]
    """for each of these checks"""


@dataclass(frozen=True, eq=False)
class Interval:
    """A mean over the instructions."""

    measure: str
    mean: float
    low: float
    high: float
    """95 % bootstrap interval over instructions (Efron 1987, BCa); NaN with fewer than two, and while the list goes on"""
    count: int
    """instructions that have a number"""


@dataclass(frozen=True, eq=False)
class Survey:
    """All instructions, in the order in which they were given; in a snapshot the first of them."""

    models: Pair[ModelFacts]
    items: tuple[Surveyed, ...]
    intervals: tuple[Interval, ...]
    """one for each of `measures`; in a snapshot without ends"""

    def table(self) -> pd.DataFrame:
        """One row an instruction, most different first (by mean |log-ratio|, refused ones last): item, instruction, log_ratio, kl, js,
        unshifted, marginal, shifted, agreement, checks, passed_base, passed_tuned, tokens, stops, answers, refusal."""
        rows = [
            {
                "item": number,
                "instruction": one.instruction,
                "log_ratio": one.log_ratio,
                "kl": one.kl,
                "js": one.js,
                **dict(zip(SHARES, one.shares, strict=True)),
                "agreement": one.agreement,
                "checks": len(one.checks),
                "passed_base": sum(one.passed.base),
                "passed_tuned": sum(one.passed.tuned),
                "tokens_base": one.tokens.base,
                "tokens_tuned": one.tokens.tuned,
                "stop_base": one.stops.base,
                "stop_tuned": one.stops.tuned,
                "answer_base": one.texts.base,
                "answer_tuned": one.texts.tuned,
                "refusal": one.refusal or "",
            }
            for number, one in enumerate(self.items)
        ]
        frame = pd.DataFrame(rows)
        return frame.sort_values("log_ratio", ascending=False, kind="stable", na_position="last", ignore_index=True)


def measures(items: tuple[Surveyed, ...]) -> dict[str, np.ndarray]:
    """Measure -> (item,) float64; NaN where an instruction has no number; what intervals are taken of."""

    def share(passed: tuple[bool, ...]) -> float:
        return sum(passed) / len(passed) if passed else float("nan")

    base, tuned = ([share(one.passed[side]) for one in items] for side in ("base", "tuned"))
    columns: dict[str, list[float]] = {
        **{name: [one.shares[i] for one in items] for i, name in enumerate(SHARES)},
        "log_ratio": [one.log_ratio for one in items],
        "kl": [one.kl for one in items],
        "js": [one.js for one in items],
        "agreement": [one.agreement for one in items],
        "checks passed by base": base,
        "checks passed by tuned": tuned,
        "checks passed, tuned - base": [right - left for left, right in zip(base, tuned, strict=True)],
    }
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
