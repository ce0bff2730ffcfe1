"""The causal check: heads switched off, and what that does to an answer's log-probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from model_utils.contracts.common import AttentionKind, Encoded, ModelFacts, SharedSequence
from model_utils.pair import Pair

Fill = Literal["zero", "mean"]
"""What stands in the place of a head's output: nothing, or its mean over the tokens that the encoder reads, or that the decoder does.

The mean keeps what the head says regardless of place. It is taken over prompt and answer together, so that a place hears of later ones too.
"""
FILLS: tuple[Fill, ...] = get_args(Fill)

Index = Annotated[int, Field(ge=0)]
Heads = tuple[tuple[Index, Index], ...]


def check_heads(heads: Heads | None) -> Heads | None:
    if heads is not None and not heads:
        raise ValueError("No head is named; name one as (layer, head), or leave this out for every head")
    if heads is not None and len(set(heads)) < len(heads):
        raise ValueError(f"The heads {heads} name one twice; name each once")
    return heads


class AblationRequest(SharedSequence):
    """Heads switched off one at a time, in both models, over one prompt and answer."""

    attention_kind: AttentionKind = "self"
    heads: Annotated[Heads | None, AfterValidator(check_heads)] = None
    """(layer, head) of each head to switch off; None: every head of this kind that both models have"""
    fill: Fill = "zero"


@dataclass(frozen=True, eq=False)
class Ablation:
    """How much the log-probability of the answer changes when a head is switched off."""

    models: Pair[ModelFacts]
    sequence: Encoded
    """prompt and answer; the same tokens in both models"""
    attention_kind: AttentionKind
    fill: Fill
    heads: np.ndarray
    """(head, 2) int64; (layer, head) of each"""
    log_probs: Pair[np.ndarray]
    """(token,) float32 a side; nats; of the answer's tokens with every head on"""
    changes: Pair[np.ndarray]
    """(head, token) float32 a side; nats; log-probability with this head off minus with every head on; NaN: not computed yet"""

    notes: tuple[str, ...] = ()
    """sentences for people about what was left out"""

    def totals(self) -> Pair[np.ndarray]:
        """(head,) float32 a side; nats; change of the whole answer's log-probability"""
        return self.changes.map(lambda changes: changes.sum(axis=1))

    def table(self) -> pd.DataFrame:
        """One row a head, most harmful to the tuned answer first: change of the whole answer's log-probability in each model, nats."""
        totals = self.totals()
        rows = pd.DataFrame(
            {
                "layer": self.heads[:, 0],
                "head": self.heads[:, 1],
                "base_change": totals.base,
                "tuned_change": totals.tuned,
            }
        )
        return rows.sort_values("tuned_change", kind="stable", ignore_index=True)
