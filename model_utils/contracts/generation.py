"""Both models answer one instruction: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from model_utils.contracts.common import Asked, Encoded, ModelFacts, StopReason
from model_utils.pair import Pair

ALTERNATIVES = 5
MAX_SAMPLES = 16


class GenerationRequest(Asked):
    """Each side answers the same messages, each in its own prompt format."""

    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 1
    """answers a side"""

    @model_validator(mode="after")
    def _differing(self) -> Self:
        if self.sampling is None and self.samples > 1:
            raise ValueError(
                f"Greedy answers to one question are all alike, and {self.samples} are asked for; choose sampling, or one answer"
            )
        return self


@dataclass(frozen=True, eq=False)
class Answer:
    """One model's answer and what it was given."""

    prompt: Encoded
    answer: Encoded
    """the emitted tokens; spans point into `answer.text`, the exact decoding of `answer.ids`"""
    text: str
    """what a person reads: `answer.text` without the token or delimiter that ended it and without space around it"""
    log_probs: np.ndarray
    """(token,) float32; nats; log-probability of each emitted token given all before it, full vocabulary, before temperature and cuts"""
    alternative_ids: np.ndarray
    """(token, alternative) int64; the most probable tokens at each step, best first"""
    alternative_log_probs: np.ndarray
    """(token, alternative) float32; nats"""
    alternative_pieces: tuple[tuple[str, ...], ...]
    """(token, alternative) what to show for them"""
    stop: StopReason
    """why it ended; 'unfinished' in a snapshot and after a cancel"""
    seconds: float
    """compute time spent on this side; not part of what a replay compares"""


@dataclass(frozen=True, eq=False)
class Generation:
    """Both sides' answers."""

    models: Pair[ModelFacts]
    samples: tuple[Pair[Answer], ...]
    """(sample,) at least one; a greedy question has exactly one"""

    @property
    def answers(self) -> Pair[Answer]:
        """The first sample of each side, which the other analyses look into."""
        return self.samples[0]

    def table(self) -> pd.DataFrame:
        """One row a token: sample, side, position, token, id, log-probability (nats), probability."""
        rows = [
            (sample, side, position, piece, int(id), float(log_prob), float(np.exp(log_prob)))
            for sample, answers in enumerate(self.samples)
            for side, answer in answers.items()
            for position, (piece, id, log_prob) in enumerate(
                zip(answer.answer.pieces, answer.answer.ids, answer.log_probs, strict=True)
            )
        ]
        return pd.DataFrame(rows, columns=["sample", "side", "position", "token", "id", "log_prob", "probability"])
