"""Attention maps of one layer of both models over one shared sequence: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from model_utils.contracts.common import Encoded, ModelFacts, SharedSequence
from model_utils.pair import Pair


class AttentionRequest(SharedSequence):
    """All heads of one layer, in both models, over prompt and answer."""

    layer: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, eq=False)
class Attention:
    """What every head of one layer looks at."""

    models: Pair[ModelFacts]
    sequence: Encoded
    """prompt and answer; the same tokens in both models"""
    layer: int
    weights: Pair[np.ndarray]
    """(head, query, key) float32 a side; rows over keys sum to 1; zero above the diagonal"""

    def table(self, strongest: int = 3) -> pd.DataFrame:
        """One row a head and rank: the keys that the answer's tokens look at most, mean weight over the answer's queries (0..1)."""
        queries = self.sequence.positions("answer")
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
        key = int(np.argsort(-mean[head], kind="stable")[rank])
        return [key, self.sequence.pieces[key], float(mean[head, key])]
