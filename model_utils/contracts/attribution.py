"""Which tokens an answer leaned on, in both models over one shared sequence: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from model_utils.contracts.common import ROLES, Encoded, ModelFacts, SharedSequence
from model_utils.pair import Pair

Method = Literal["gradient x input"]
Quantity = Literal["logit", "log-probability"]
QUANTITIES: tuple[Quantity, ...] = ("logit", "log-probability")
UNITS: dict[Quantity, str] = {"logit": "logit units", "log-probability": "nats"}


def check_targets(targets: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(targets)) < len(targets):
        raise ValueError(f"The targets {targets} name a token twice, which would count it twice; name each once")
    return targets


class AttributionRequest(SharedSequence):
    """Scores of every earlier token for chosen answer tokens."""

    method: Method = "gradient x input"
    quantity: Quantity = "logit"
    targets: Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(check_targets)] = ()
    """positions within the answer, from 0; none: every token of the answer"""


@dataclass(frozen=True, eq=False)
class Attribution:
    """Token scores for each target, in both models."""

    models: Pair[ModelFacts]
    sequence: Encoded
    """prompt and answer; the same tokens in both models"""
    method: Method
    quantity: Quantity
    targets: np.ndarray
    """(target,) int64; positions within the answer"""
    values: Pair[np.ndarray]
    """(target,) float32 a side; the quantity that is explained"""
    scores: Pair[np.ndarray]
    """(target, token) float32 a side; positive: the token raised the target's quantity, to first order; 0 at and after the target"""

    def totals(self) -> Pair[np.ndarray]:
        """(token,) float32 a side; scores summed over the targets: gradients are linear, so this is the score of the sum."""
        return self.scores.map(lambda scores: scores.sum(axis=0))

    def table(self) -> pd.DataFrame:
        """One row a token of the sequence: role, scores summed over the targets a side, and tuned minus base."""
        totals = self.totals()
        return pd.DataFrame(
            {
                "position": np.arange(len(self.sequence)),
                "token": self.sequence.pieces,
                "role": [ROLES[role] for role in self.sequence.roles],
                "base": totals.base,
                "tuned": totals.tuned,
                "difference": totals.tuned - totals.base,
            }
        )
