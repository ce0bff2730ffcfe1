"""Whether a skill or a phrasing was learned: both models over rewordings of every item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from model_utils.contracts.common import ModelFacts, Text
from model_utils.contracts.probe import Finding, Probed, ProbeRequest, known_mean, row_means
from model_utils.pair import SIDES, Pair, Side

Perturbation = Literal[
    "typos", "lower case", "upper case", "punctuation", "politeness", "synonyms", "order", "distractor", "format", "paraphrases",
    "training", "held out",
]  # fmt: skip
PERTURBATIONS: tuple[Perturbation, ...] = (
    "typos", "lower case", "upper case", "punctuation", "politeness", "synonyms", "order", "distractor", "format", "paraphrases",
    "training", "held out",
)  # fmt: skip
"""What can be done to the wording. 'format' stands for `formats_drawn` layouts; the last three are the item's own wordings."""
AS_WRITTEN = "as written"
OWN_WORDINGS = ("training", "held out")
"""Kinds that are no rewordings of what was written, but are compared with each other."""
DEFAULT: tuple[Perturbation, ...] = PERTURBATIONS
MAX_FORMATS = 50
GAP_MARGIN = 0.15
"""An overfitting gap inside this is ordinary: no model does unseen wordings quite as well."""


class RobustnessRequest(ProbeRequest):
    """Every item is asked as written and in every wording that `perturbations` make of it."""

    perturbations: tuple[Perturbation, ...] = DEFAULT
    formats_drawn: Annotated[int, Field(ge=0, le=MAX_FORMATS)] = 6
    """layouts of separators, spacing and case (Sclar et al. 2024) that every item is set in"""
    wordings_drawn: Annotated[int, Field(ge=1, le=50)] = 3
    """of an item's own paraphrases, training and held-out wordings at most so many each, drawn with the seed"""
    gap_margin: Annotated[float, Field(gt=0, le=1)] = GAP_MARGIN
    """an overfitting gap inside this either side of 0 is ordinary"""
    sensitivity_items: Annotated[int, Field(ge=0, le=1_000)] = 10
    """first items whose prompt sensitivity (POSIX) is measured: it takes answers to every wording, each read after every wording"""
    attribution_items: Annotated[int, Field(ge=0, le=200)] = 5
    """first items with an input whose word scores are compared between wordings"""
    plain_texts: Annotated[tuple[Text, ...], Field(max_length=1_000)] = ()
    """texts without any instruction: what was forgotten shows in their likelihood"""


@dataclass(frozen=True, eq=False)
class Robustness(Probed):
    """Every item in every wording; in a snapshot the first items, and no findings."""

    models: Pair[ModelFacts]
    wordings: tuple[str, ...]
    """(wording,) names; the first is `AS_WRITTEN`; 'format 1', 'training 2', ... where there are several"""
    kinds: tuple[str, ...]
    """(wording,) the perturbation that made it, `AS_WRITTEN` for the first"""
    texts: tuple[tuple[str, ...], ...]
    """(item, wording) what was asked; empty where this wording changes nothing of the item, or it could not be asked"""
    right: Pair[np.ndarray]
    """(item, wording) float64; 1: the most probable option is the right one, or the right free answer is exactly what the model would
    write, token by token; 0: it is not; NaN: not asked, or nobody knows the answer"""
    chosen: Pair[np.ndarray]
    """(item, wording) int64; the most probable option; of a free answer 1 (it would be written) or 0; -1: not asked"""
    probability: Pair[np.ndarray]
    """(item, wording) float64; of the right answer: among the options, or as such where the answer is free; NaN likewise"""
    mass: Pair[np.ndarray]
    """(item, wording) float64; probability of all options together, before they are compared; NaN where there are none"""
    sensitivity: Pair[np.ndarray]
    """(item,) float64; nats a token; POSIX (Chatterjee et al. 2024, eq. 1) over the wordings; NaN where it was not measured"""
    agreement: Pair[np.ndarray]
    """(item,) float64; -1 to 1; mean Kendall's tau between the word scores of the input as written and in each other wording; NaN likewise"""
    plain: Pair[np.ndarray]
    """(text,) float64; nats a character; negative log-likelihood of each plain text; NaN where it could not be read"""
    refused: tuple[tuple[int, str], ...]
    """(item, why it could not be asked)"""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def reworded(self) -> np.ndarray:
        """(wording,) bool; other words for what was written, which are neither that nor the item's own training and held-out wordings."""
        return ~np.isin(self.kinds, (AS_WRITTEN, *OWN_WORDINGS))

    def flipped(self, side: Side) -> np.ndarray:
        """(item, wording) float64; 1: the choice is another one than as written; 0: it is the same; NaN: not asked, or the answer is free and
        was not right as written, because what a model writes in place of the right answer is not looked at."""
        chosen, first = self.chosen[side], self.chosen[side][:, :1]
        unseen = np.isnan(self.mass[side][:, :1]) & (first == 0)
        return np.where((chosen >= 0) & (first >= 0) & ~unseen, (chosen != first).astype(float), np.nan)

    def flips(self) -> Pair[np.ndarray]:
        """(item,) float64 of each side; share of the rewordings that flip; NaN where that is known of none."""
        return Pair(*(row_means(self.flipped(side)[:, self.reworded]) for side in SIDES))

    @property
    def done(self) -> int:
        """Items so far."""
        return len(self.texts)

    def by_wording(self) -> pd.DataFrame:
        """One row a wording: wording, kind, items, and for each side right (share), flips (share of items whose choice differs from as written)."""
        rows = []
        for number, (name, kind) in enumerate(zip(self.wordings, self.kinds, strict=True)):
            row: dict[str, object] = {
                "wording": name,
                "kind": kind,
                "items": sum(bool(texts[number]) for texts in self.texts),
            }
            for side in ("base", "tuned"):
                row[f"right_{side}"] = known_mean(self.right[side][:, number])
                row[f"flips_{side}"] = known_mean(self.flipped(side)[:, number])
            rows.append(row)
        return pd.DataFrame(rows)

    def table(self) -> pd.DataFrame:
        """One row for each item and wording that was asked: item (from 1), wording, text, and for each side right, chosen, probability, mass."""
        rows = [
            {
                "item": item + 1,
                "wording": self.wordings[number],
                "text": text,
                **{
                    f"{name}_{side}": getattr(self, name)[side][item, number].item()
                    for name in ("right", "chosen", "probability", "mass")
                    for side in ("base", "tuned")
                },
            }
            for item, texts in enumerate(self.texts)
            for number, text in enumerate(texts)
            if text
        ]
        columns = ["item", "wording", "text", *(f"{name}_{side}" for name in ("right", "chosen", "probability", "mass") for side in ("base", "tuned"))]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)
