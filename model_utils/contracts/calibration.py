"""How far a model's confidence can be trusted: how often what it finds probable is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import model_validator

from model_utils.contracts.common import ModelFacts
from model_utils.contracts.probe import Finding, Probed, ProbeRequest
from model_utils.pair import SIDES, Pair, Side


class CalibrationRequest(ProbeRequest):
    """Both models choose among the options of items whose right answer is known."""

    @model_validator(mode="after")
    def _known(self) -> CalibrationRequest:
        lacking = [number for number, item in enumerate(self.items, start=1) if not item.options or not item.answer]
        if lacking:
            raise ValueError(
                f"{len(lacking):,} of {len(self.items):,} items have no options or no right answer (the first is item {lacking[0]:,}), and confidence is measured against right answers; give both"
            )
        return self


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often a model is right where it is so confident, in bins of as many items each (Naeini et al. 2015, with equal mass)."""

    confidence: np.ndarray
    """(bin,) float64, 0 to 1; mean probability of the chosen option"""
    accuracy: np.ndarray
    """(bin,) float64, 0 to 1; share of right choices"""
    low: np.ndarray
    high: np.ndarray
    """(bin,) float64; 95 % Wilson interval of the accuracy"""
    count: np.ndarray
    """(bin,) int64"""
    error: float
    """expected calibration error: mean over the items of |accuracy - confidence| of their bin; 0 is best. NaN without items"""
    by_chance: float
    """the mean error that a perfectly calibrated model with these confidences would have in as many items and bins: a smaller one cannot be
    expected of any model (simulated)"""


@dataclass(frozen=True, eq=False)
class Calibration(Probed):
    """Every item; in a snapshot the first of them, and no findings."""

    models: Pair[ModelFacts]
    chosen: Pair[np.ndarray]
    """(item,) int64; the most probable option; -1: could not be asked"""
    confidence: Pair[np.ndarray]
    """(item,) float64; its probability among the options; NaN likewise"""
    right: Pair[np.ndarray]
    """(item,) float64; 1: it is the right one; 0: it is not; NaN likewise"""
    of_right: Pair[np.ndarray]
    """(item,) float64; probability of the right option among all; NaN likewise"""
    mass: Pair[np.ndarray]
    """(item,) float64; probability of all options together before they are compared; NaN likewise"""
    options: tuple[tuple[str, ...], ...]
    """(item, option)"""
    questions: tuple[str, ...]
    """(item,) what was asked"""
    answers: tuple[int, ...]
    """(item,) the right option"""
    refused: tuple[tuple[int, str], ...]
    """(item, why it could not be asked)"""
    findings: tuple[Finding, ...]
    reliability: Pair[Reliability] | None
    """None in a snapshot"""
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Items so far."""
        return len(self.questions)

    def confidently_wrong(self, side: Side) -> np.ndarray:
        """(wrong item,) int64; items of wrong choices, the most confident first."""
        wrong = np.flatnonzero(self.right[side] == 0)
        return wrong[np.argsort(-self.confidence[side][wrong], kind="stable")]

    def table(self) -> pd.DataFrame:
        """One row an item that was asked: item (from 1), question, answer, and for each side chosen (text), confidence, right, of_right, mass."""
        rows: dict[str, object] = {
            "item": np.arange(1, self.done + 1),
            "question": list(self.questions),
            "answer": [options[right] for options, right in zip(self.options, self.answers, strict=True)],
        }
        for side in SIDES:
            named = zip(self.options, self.chosen[side].tolist(), strict=True)
            rows[f"chosen_{side}"] = [options[one] if one >= 0 else "" for options, one in named]
            for name in ("confidence", "right", "of_right", "mass"):
                rows[f"{name}_{side}"] = getattr(self, name)[side]
        asked = ~np.isin(np.arange(self.done), [item for item, _ in self.refused])
        return pd.DataFrame(rows)[asked].reset_index(drop=True)
