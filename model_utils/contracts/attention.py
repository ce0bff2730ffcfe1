"""Attention maps of both models over one shared text, or over each side's own: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from model_utils.contracts.common import (
    AttentionKind,
    Encoded,
    ModelFacts,
    Own,
    SharedSequence,
    queries_and_keys,
)
from model_utils.pair import SIDES, Pair, Side

Reduction = Literal["heads", "mean", "max", "rollout"]
"""What a map shows: each head of one layer by itself; or all heads of all layers in one map, as their mean, as the strongest of them, or
as attention rollout (Abnar & Zuidema 2020, section 3): the product over the layers, the last in front, of 0.5 A + 0.5 I with A the mean
of the heads. Rollout knows neither values nor what comes between two attentions, and in a deep decoder it gathers on the first token."""
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


class AttentionRequest(SharedSequence):
    """The heads of one layer, or one map of all layers, in both models, over prompt and answer."""

    layer: Annotated[int, Field(ge=0)] = 0
    """whose heads are shown; without meaning where all layers go into one map"""
    attention_kind: AttentionKind = "self"
    """whose look: the decoder's (or only stack's) at what was written before; in an encoder-decoder also the encoder's, and the decoder's at what the encoder read"""
    reduction: Reduction = "heads"
    value_weighted: bool = False
    """each weight times the length of what the head passes on from that key, ||W_O v||, and rows normalised again (Kobayashi et al. 2020,
    section 3); what an architecture does between these two, such as a gate, is left out"""
    own: Own | None = None
    """what the side that is not `answer_from` reads instead; None: both read one text"""

    @model_validator(mode="after")
    def _weighted_heads(self) -> Self:
        if self.value_weighted and self.reduction != "heads":
            raise ValueError(
                f"Maps are weighted by values for the heads of one layer, but the reduction {self.reduction!r} puts all layers into one map; choose the reduction 'heads', or leave value_weighted out"
            )
        return self


@dataclass(frozen=True, eq=False)
class Attention:
    """What every head of one layer looks at, or all layers together."""

    models: Pair[ModelFacts]
    sequences: Pair[Encoded]
    """prompt and answer that each side read"""
    shared: bool
    """both read the same tokens, so that cell meets cell; else there is no difference"""
    layer: int | None
    """None: all layers of this kind in one map"""
    weights: Pair[np.ndarray]
    """(head, query, key) float32 a side, one 'head' for all layers; rows over keys sum to 1, but for those of the strongest; zero above the diagonal of causal attention ('self')"""
    attention_kind: AttentionKind = "self"
    reduction: Reduction = "heads"
    value_weighted: bool = False

    def queries(self, side: Side) -> np.ndarray:
        """(query,) int64; positions in this side's sequence of the tokens that look."""
        return queries_and_keys(self.sequences[side], self.attention_kind)[0]

    def keys(self, side: Side) -> np.ndarray:
        """(key,) int64; positions in this side's sequence of the tokens looked at."""
        return queries_and_keys(self.sequences[side], self.attention_kind)[1]

    @property
    def causal(self) -> bool:
        """Whether nobody looks ahead."""
        return self.attention_kind == "self"

    def table(self, strongest: int = 3) -> pd.DataFrame:
        """One row a head and rank: the keys looked at most, mean weight (0..1) over the answer's queries, or the prompt's in an encoder."""
        means = {side: weights[:, self._counted(side)].mean(axis=1) for side, weights in self.weights.items()}
        rows = []
        for head in range(max(map(len, means.values()))):
            for rank in range(strongest):
                row: list[object] = [head, rank + 1]
                for side in SIDES:
                    row += self._key_at(side, means[side], head, rank)
                rows.append(row)
        return pd.DataFrame(
            rows,
            columns=[
                "head",
                "rank",
                "base_key",
                "base_token",
                "base_weight",
                "tuned_key",
                "tuned_token",
                "tuned_weight",
            ],
        )

    def _counted(self, side: Side) -> np.ndarray:
        """(query,) int64; rows of this side's maps that the table is about."""
        queries = self.queries(side)
        if self.attention_kind == "encoder":
            return np.arange(len(queries))
        return np.flatnonzero(np.isin(queries, self.sequences[side].positions("answer")))

    def _key_at(self, side: Side, mean: np.ndarray, head: int, rank: int) -> list[object]:
        if head >= len(mean) or rank >= mean.shape[1]:
            return [None, None, None]
        column = int(np.argsort(-mean[head], kind="stable")[rank])
        key = int(self.keys(side)[column])
        return [key, self.sequences[side].pieces[key], float(mean[head, column])]
