"""Attention maps of one layer of both models over one shared sequence: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from model_utils.contracts.common import AttentionKind, Encoded, ModelFacts, SharedSequence
from model_utils.pair import Pair


class AttentionRequest(SharedSequence):
    """All heads of one layer, in both models, over prompt and answer."""

    layer: Annotated[int, Field(ge=0)] = 0
    attention_kind: AttentionKind = "self"
    """whose look: the decoder's (or only stack's) at what was written before; in an encoder-decoder also the encoder's, and the decoder's at what the encoder read"""


@dataclass(frozen=True, eq=False)
class Attention:
    """What every head of one layer looks at."""

    models: Pair[ModelFacts]
    sequence: Encoded
    """prompt and answer; the same tokens in both models"""
    layer: int
    weights: Pair[np.ndarray]
    """(head, query, key) float32 a side; rows over keys sum to 1; zero above the diagonal of causal attention ('self')"""
    attention_kind: AttentionKind = "self"

    @property
    def queries(self) -> np.ndarray:
        """(query,) int64; positions in the sequence of the tokens that look."""
        length = self.sequence.encoder_length
        return np.arange(length) if self.attention_kind == "encoder" else np.arange(length, len(self.sequence))

    @property
    def keys(self) -> np.ndarray:
        """(key,) int64; positions in the sequence of the tokens looked at."""
        length = self.sequence.encoder_length
        return np.arange(length, len(self.sequence)) if self.attention_kind == "self" else np.arange(length)

    @property
    def causal(self) -> bool:
        """Whether nobody looks ahead."""
        return self.attention_kind == "self"

    def table(self, strongest: int = 3) -> pd.DataFrame:
        """One row a head and rank: the keys looked at most, mean weight (0..1) over the answer's queries, or the prompt's in an encoder."""
        queries = np.flatnonzero(np.isin(self.queries, self.sequence.positions("answer")))
        if self.attention_kind == "encoder":
            queries = np.arange(len(self.queries))
        means = self.weights.map(lambda weights: weights[:, queries].mean(axis=1))
        rows = []
        for head in range(max(len(means.base), len(means.tuned))):
            for rank in range(strongest):
                row: list[object] = [head, rank + 1]
                for _, mean in means.items():
                    row += self._key_at(mean, head, rank)
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

    def _key_at(self, mean: np.ndarray, head: int, rank: int) -> list[object]:
        if head >= len(mean) or rank >= mean.shape[1]:
            return [None, None, None]
        column = int(np.argsort(-mean[head], kind="stable")[rank])
        key = int(self.keys[column])
        return [key, self.sequence.pieces[key], float(mean[head, column])]
