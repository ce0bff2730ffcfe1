"""Whether scores depend on what a model learned: its layers' weights are shuffled, and the scores are made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from model_utils.contracts.attribution import Alignment, AttributionRequest, Method, Parted, Quantity
from model_utils.contracts.common import ModelFacts
from model_utils.pair import SIDES, Pair, Side

DRAWS, MOST_DRAWS = 5, 50
"""Times that all layers are shuffled, each time anew."""
ALIKE = 0.5
"""Scores fail when their |rho| with the original's is this or more, on average over the draws.

Of unrelated scores it is so in 3 of 100 cases with 8 parts and 5 draws, in 1 of 100 with 10 parts, and in none of 10,000 with 20.
"""
LEAST_PARTS = 8
"""Of fewer parts chance alone reaches `ALIKE` too often for a verdict."""


class RandomisationRequest(AttributionRequest):
    """One method and one answer, explained as one sum over the targets; the seed shuffles too."""

    together: Literal[True] = True
    draws: Annotated[int, Field(ge=DRAWS, le=MOST_DRAWS)] = DRAWS
    """how often all layers are shuffled, each time anew; the first time at the end of the cascade"""


@dataclass(frozen=True, eq=False)
class Shuffled:
    """One model whose last layers are shuffled, one more at each step (Adebayo et al. 2018, sec. 3.1, cascading randomisation)."""

    values: np.ndarray
    """(layers + 1,) float32; the explained quantity with so many of the last layers shuffled; NaN: not yet"""
    scores: np.ndarray
    """(layers + 1, part) float32"""
    rhos: np.ndarray
    """(layers + 1,) float64; Spearman's rho of the compared parts' scores with the original's; 1 at 0; NaN: not yet, or all scores are alike"""
    size_rhos: np.ndarray
    """(layers + 1,) float64; the same of |scores|"""
    end_rhos: np.ndarray
    """(draw,) float64; rho with all layers shuffled, each time anew; the first is the last of `rhos`"""
    end_size_rhos: np.ndarray
    """(draw,) float64; the same of |scores|"""
    drawn: int = 0
    """draws that are measured"""

    @property
    def layers(self) -> int:
        """Of the decoder."""
        return len(self.rhos) - 1

    @property
    def finished(self) -> bool:
        return self.drawn == len(self.end_rhos)

    @property
    def likeness(self) -> float:
        """Mean |rho| of the scores with the original's once all layers are shuffled; NaN: not known of every draw."""
        return float(np.abs(self.end_rhos).mean())

    @property
    def size_likeness(self) -> float:
        """The same of |scores|, with its sign: of unrelated sizes it is about 0."""
        return float(self.end_size_rhos.mean())


@dataclass(frozen=True, eq=False)
class Randomisation:
    """Both models' scores, made again and again while the weights of more and more layers are shuffled."""

    models: Pair[ModelFacts]
    texts: Pair[Parted]
    """what each side read"""
    alignment: Alignment
    method: Method
    quantity: Quantity
    shuffled: Pair[Shuffled]
    notes: tuple[str, ...] = ()
    """sentences for people about what was shuffled"""

    @property
    def counts(self) -> Pair[int]:
        """How many parts are compared a side: those that may be taken away and stand before the last target."""
        return self.texts.map(lambda text: int(text.compared.sum()))

    def tells(self, side: Side) -> bool:
        """Whether there are parts enough for a verdict."""
        return self.counts[side] >= LEAST_PARTS

    def fails(self, side: Side) -> bool:
        """Whether the scores hardly change when everything that the layers learned is gone."""
        one = self.shuffled[side]
        return self.tells(side) and one.finished and one.likeness >= ALIKE

    def verdict(self, side: Side) -> str:
        """In words."""
        one = self.shuffled[side]
        if not one.finished:
            return "being measured"
        if not self.tells(side):
            return "too few parts to tell: choose smaller parts"
        if np.isnan(one.likeness):
            return "cannot be told: all scores of a shuffled model are alike"
        if one.likeness >= ALIKE:
            return "fails: the order of the scores stays tied to the original one (the same, or reversed) when the layers are shuffled, so it does not show what this model learned"
        if one.size_likeness >= ALIKE:
            return "passes in part: the scores change, but their sizes hardly do; read which way a word counted, not how much"
        return "passes: the scores depend on what the layers learned"

    def said(self) -> tuple[str, ...]:
        """The verdicts and all that people must know besides the numbers."""
        return (*(f"{side}: {self.verdict(side)}" for side in SIDES), *self.notes)

    def table(self) -> pd.DataFrame:
        """One row for each number of shuffled layers: the explained value and both rhos, in both models; NaN where a model has fewer layers."""
        rows = max(one.layers for one in self.shuffled.sides) + 1
        columns: dict[str, np.ndarray] = {"layers shuffled": np.arange(rows)}
        for side, one in self.shuffled.items():
            for name, values in (("value", one.values), ("rho", one.rhos), ("rho of sizes", one.size_rhos)):
                columns[f"{side} {name}"] = np.append(values, np.full(rows - len(values), np.nan)).astype(np.float64)
        return pd.DataFrame(columns)
