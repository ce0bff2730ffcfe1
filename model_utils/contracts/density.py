"""How densely each model uses the words of an instruction throughout its own answer: the request and the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from model_utils.contracts.common import AnswerIds, Manner, Message, ModelFacts, Text
from model_utils.contracts.survey import MAX_INSTRUCTIONS, Interval
from model_utils.pair import Pair

LEVELS = 10
"""Steps into which the scores for one answer token are cut, the largest of them at the last step (Wu et al. 2024: L)."""
FLOOR = 7
"""Steps up to this one count as nothing (Wu et al. 2024: b), so that 8, 9 and 10 are left."""
POWER = 4
"""The norm that a token's levels are divided by (Wu et al. 2024: p): 1 for a single hit, M^(1 - 1/4) for the same level at all M answer tokens."""
NEAR = 1e-3
"""A probability this close to 0 or 1 has a slope that says little."""
DIFFERENCE = "tuned - base"
MEASURES = ("base", "tuned", DIFFERENCE)
"""What intervals are taken of."""


class DensityRequest(Manner):
    """Each instruction is asked by itself; each side answers in its own format, and is measured on its own prompt and answer."""

    instructions: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_INSTRUCTIONS)]
    system: Text | None = None
    """a system message before each"""
    history: tuple[Message, ...] = ()
    """earlier turns before each, after the system message"""
    answers: Pair[AnswerIds | None] = Pair(None, None)
    """ids of each side's answer to the one instruction, in its own vocabulary; None: its answer is written first, as asked"""

    @model_validator(mode="after")
    def _answers_to_one(self) -> Self:
        if len(self.instructions) > 1 and self.answers != Pair(None, None):
            raise ValueError(
                f"Answers are given for one instruction, and there are {len(self.instructions):,}; give one instruction, or let the models answer"
            )
        return self


@dataclass(frozen=True, eq=False)
class Use:
    """How densely one model uses one instruction."""

    tokens: np.ndarray
    """(token,) float32; 0 to 1; the density of each token of the instruction that is no control token, relative to the densest token of the whole prompt"""
    words: np.ndarray
    """(word,) float32; the largest density of each word's tokens; NaN where the model's prompt does not hold the instruction in these characters"""
    length: int
    """answer tokens that it is measured over"""
    near: float
    """share of them whose probability is within `NEAR` of 0 or 1; NaN without one"""
    reason: str = ""
    """why there is no score, as a sentence"""

    @property
    def score(self) -> float:
        """Sum of the densities / log2(2 + their number), Wu et al. 2024; NaN where `reason` says why."""
        return math.nan if self.reason else float(self.tokens.sum(dtype=np.float64) / math.log2(2 + len(self.tokens)))


@dataclass(frozen=True, eq=False)
class Measured:
    """What one instruction gave."""

    instruction: str
    words: tuple[str, ...]
    """(word,) in the order of the text; punctuation by itself"""
    sides: Pair[Use]


@dataclass(frozen=True, eq=False)
class Density:
    """All instructions, in the order in which they were given; in a snapshot the first of them.

    The two sides of an instruction are measured on different texts: each model's own prompt and its own answer, which are of different
    length. That is the published practice; it means that a difference holds what the format and the length of the answer do, too.
    """

    models: Pair[ModelFacts]
    items: tuple[Measured, ...]
    intervals: tuple[Interval, ...]
    """one for each of `MEASURES`, the last paired by instruction; in a snapshot, and of one instruction, without ends"""

    def interval(self, measure: str) -> Interval:
        """The mean of one of `MEASURES`."""
        return self.intervals[MEASURES.index(measure)]

    def table(self) -> pd.DataFrame:
        """One row an instruction: item, instruction, base, tuned, difference, tokens of instruction and answer a side, why a score is missing."""
        scores = measures(self.items)
        columns: dict[str, object] = {
            "item": range(len(self.items)),
            "instruction": [one.instruction for one in self.items],
            "base": scores["base"],
            "tuned": scores["tuned"],
            "difference": scores[DIFFERENCE],
        }
        for side in ("base", "tuned"):
            uses = [one.sides[side] for one in self.items]
            columns[f"instruction_tokens_{side}"] = [len(one.tokens) for one in uses]
            columns[f"answer_tokens_{side}"] = [one.length for one in uses]
            columns[f"near_{side}"] = [one.near for one in uses]
            columns[f"reason_{side}"] = [one.reason for one in uses]
        return pd.DataFrame(columns)


def measures(items: tuple[Measured, ...]) -> dict[str, np.ndarray]:
    """Measure -> (item,) float64; NaN where an instruction has no number; the difference where both sides have one."""
    base, tuned = (np.array([one.sides[side].score for one in items], dtype=np.float64) for side in ("base", "tuned"))
    return {"base": base, "tuned": tuned, DIFFERENCE: tuned - base}
