"""How far attribution methods agree on one answer: the request and the result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import AfterValidator

from model_utils.contracts.attribution import (
    METHODS,
    Alignment,
    Method,
    Parted,
    Quantity,
    Scoring,
    in_rows,
    side_by_side,
    unit_of,
)
from model_utils.contracts.common import ModelFacts
from model_utils.pair import SIDES, Pair

LEAST_METHODS, LEAST_PARTS = 2, 3
NORMAL = 1.96
"""Standard deviations within which 95 % of a normal distribution lie."""


def check_methods(methods: tuple[Method, ...]) -> tuple[Method, ...]:
    if len(methods) < LEAST_METHODS:
        raise ValueError(
            f"Agreement compares at least {LEAST_METHODS} methods, and {len(methods)} is named; choose among {', '.join(METHODS)}"
        )
    if len(set(methods)) < len(methods):
        raise ValueError(f"The methods {', '.join(methods)} name one twice; name each once")
    return methods


class AgreementRequest(Scoring):
    """Several methods explain the same thing; the answer is explained as one sum over the targets."""

    methods: Annotated[tuple[Method, ...], AfterValidator(check_methods)] = (
        "gradient x input",
        "integrated gradients",
        "occlusion",
    )


@dataclass(frozen=True, eq=False)
class Agreement:
    """Kendall's tau between the scores of each two methods, in both models."""

    models: Pair[ModelFacts]
    texts: Pair[Parted]
    """what each side read"""
    alignment: Alignment
    quantity: Quantity
    methods: tuple[Method, ...]
    """those that ran, in the order asked"""
    scores: Pair[np.ndarray]
    """(method, part) float32 a side; each method's scores of the sum over the targets, in its own unit; NaN: not scored"""
    taus: Pair[np.ndarray]
    """(method, method) float64 a side; tau-b of the scores of the compared parts; 1 on the diagonal; NaN: not known, `unknown` says why"""
    left_out: tuple[str, ...] = ()
    """sentences for people: which methods could not run on this pair, and why"""
    notes: tuple[str, ...] = ()
    """sentences for people about what to keep in mind"""

    @property
    def counts(self) -> Pair[int]:
        """How many parts are compared a side."""
        return self.texts.map(lambda text: int(text.compared.sum()))

    @property
    def chance(self) -> float:
        """How far from 0 the tau of two unrelated orders of so many parts lies at most, 19 times out of 20; about, from its standard deviation (Kendall 1938)."""
        count = min(self.counts.sides)
        return 1.0 if count < LEAST_PARTS else min(1.0, NORMAL * (2 * (2 * count + 5) / (9 * count * (count - 1))) ** 0.5)  # fmt: skip

    def unknown(self) -> tuple[str, ...]:
        """Why some taus are not known, as sentences."""
        count = min(self.counts.sides)
        if count < LEAST_PARTS:
            return (
                f"{count} parts of this text can be compared, and an order says something of at least {LEAST_PARTS}; choose smaller parts or a longer instruction.",
            )
        return tuple(
            f"In {side} all scores of {method} are alike, so that they put the parts in no order."
            for side, taus in self.taus.items()
            for method, tau in zip(self.methods, np.diag(taus), strict=True)
            if np.isnan(tau)
        )

    def said(self) -> tuple[str, ...]:
        """All that people must know besides the numbers."""
        return (*self.left_out, *self.unknown(), *self.notes)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Each two methods once."""
        return itertools.combinations(range(len(self.methods)), 2)

    def table(self) -> pd.DataFrame:
        """One row for each two methods: their tau in both models."""
        rows = [
            {"method": self.methods[one], "other": self.methods[other]} | {side: self.taus[side][one, other] for side in SIDES}
            for one, other in self.pairs()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["method", "other", *SIDES])

    def scores_table(self) -> pd.DataFrame:
        """One row for each compared part: the score that each method gives it in each model."""
        found = side_by_side(self.texts, self.alignment)
        parts = Pair(*(found[f"{side}_part"].to_numpy() for side in SIDES))
        chosen = np.any([(parts[side] >= 0) & self.texts[side].compared[parts[side]] for side in SIDES], axis=0)
        columns = {
            f"{method}, {side} ({unit_of(method, self.quantity)})": in_rows(self.scores[side][row], parts[side])[chosen]
            for row, method in enumerate(self.methods)
            for side in SIDES
        }
        return pd.DataFrame({"tokens": found["tokens"].to_numpy()[chosen], **columns})
