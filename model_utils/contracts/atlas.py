"""All heads of both models at a glance: what each looks at on average, and how far tuning moved its look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from model_utils.contracts.common import AttentionKind, Encoded, ModelFacts, SharedSequence, Text, queries_and_keys
from model_utils.contracts.survey import MAX_INSTRUCTIONS
from model_utils.pair import Pair

MEASURES = (
    "entropy",
    "distance",
    "first",
    "instruction",
    "template",
    "answer",
    "previous",
    "duplicate",
    "induction",
)
"""What is measured of every head, each a mean over its queries.

entropy, nats, of a row; distance, tokens, between query and key; share of the look on the first token (the usual sink), on the
instruction, on the format around it, on the answer so far; on the token before (previous-token score), on earlier places of the
query's own token (duplicate-token score), and on the tokens that followed these (induction or prefix-matching score: Olsson et al.
2022, section 'In-context learning and induction heads'). The last two are means over the queries whose token stood there before.
"""

SCOPES = ("answer", "text")
"""Which queries a mean is over: the tokens of the answer, or all. An encoder reads no answer; there both are all."""

CELLS = 32
"""Rows and columns of a head's picture in the grid, at most: each cell is the mean weight over the queries and keys beneath it."""


class AtlasRequest(SharedSequence):
    """Every head of one kind of attention, in both models, over prompt and answer."""

    attention_kind: AttentionKind = "self"
    others: Annotated[tuple[Text, ...], Field(max_length=MAX_INSTRUCTIONS)] = ()
    """further instructions, each in the same format after the same system message, with an answer of its own: means are over all of them"""


@dataclass(frozen=True, eq=False)
class Atlas:
    """What every head looks at on average, in both models, and how far tuning moved its look."""

    models: Pair[ModelFacts]
    sequence: Encoded
    """prompt and answer; the same tokens in both models"""
    attention_kind: AttentionKind
    layers: np.ndarray
    """(layer,) int64; the layers that have this attention in both models"""
    summaries: Pair[np.ndarray]
    """(measure, scope, layer, head) float32 a side; `MEASURES` by `SCOPES`, means over the texts; NaN where no query says anything of it"""
    each: np.ndarray
    """(text, layer, head) float32; nats, 0 to ln 2: mean over the answer's queries (an encoder's: all) of the Jensen-Shannon divergence between the two models' rows"""
    bounds: np.ndarray
    """(2, layer, head) float32; nats; ends of the 95 % bootstrap interval of the mean change over the texts; NaN of a single text, or before all are read"""
    pictures: Pair[np.ndarray]
    """(layer, head, row, column) uint8 a side; mean weights under each cell in the code of `coded`"""
    queries: tuple[int, int]
    """how many queries the two scopes have in the first text"""
    looks: Pair[np.ndarray] | None
    """(layer, query, key) float32 a side, over the first text: rows of the queries `looking`, each the mean of the layer's heads that both models have, adding up to 1; None: they would take more than `LOOKS_BYTES`"""
    left_out: tuple[str, ...] = ()
    """sentences for people: which instructions of the list could not be read, and why"""

    @property
    def looking(self) -> np.ndarray:
        """(query,) int64; positions of the tokens that `looks` has rows of."""
        return looking(self.sequence, self.attention_kind)

    @property
    def changes(self) -> np.ndarray:
        """(layer, head) float32; nats; the change of each head, mean over the texts."""
        return self.each.mean(axis=0)

    def table(self) -> pd.DataFrame:
        """One row a head, most changed first: its change in nats with its interval, and every measure of both models over the answer's queries."""
        layer, head = np.indices(self.changes.shape)
        columns: dict[str, np.ndarray] = {
            "layer": self.layers[layer.ravel()],
            "head": head.ravel(),
            "change": self.changes.ravel(),
            "low": self.bounds[0].ravel(),
            "high": self.bounds[1].ravel(),
        }
        for number, measure in enumerate(MEASURES):
            for side, summary in self.summaries.items():
                columns[f"{side}_{measure}"] = summary[number, 0].ravel()
        return pd.DataFrame(columns).sort_values("change", ascending=False, kind="stable", ignore_index=True)


LOOKS_BYTES = 1 << 24
"""What the rows of all layers may take, both sides together."""


def looking(sequence: Encoded, kind: AttentionKind) -> np.ndarray:
    """(query,) int64; positions of the tokens whose look is kept layer by layer: those that choose the answer's tokens, and its last; in an encoder, all."""
    queries, _ = queries_and_keys(sequence, kind)
    return queries if kind == "encoder" else queries[queries >= sequence.positions("answer")[0] - 1]


LOWEST = 1e-6
"""Weights below this are drawn as nothing."""


def coded(weights: np.ndarray) -> np.ndarray:
    """uint8 of weights 0..1, for drawing only: 0 is below `LOWEST`, 1 to 255 are even steps of the logarithm from there to 1.

    >>> coded(np.array([0.0, 1e-7, 1e-6, 1.0])).tolist()
    [0, 0, 1, 255]
    """
    steps = 1 + 254 * (1 - np.log(np.maximum(weights, LOWEST)) / np.log(LOWEST))
    return np.where(weights < LOWEST, 0, np.rint(steps)).astype(np.uint8)
