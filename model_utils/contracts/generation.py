"""Both models answer one instruction: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_utils.contracts.common import Encoded, Format, Messages, ModelFacts, NewTokens, Request, StopReason
from model_utils.pair import Pair

ALTERNATIVES = 5


class GenerationRequest(Request):
    """Each side answers the same messages, each in its own prompt format, greedily (the most probable token at every step)."""

    messages: Messages
    formats: Pair[Format] = Pair("few-shot", "chat")
    max_new_tokens: NewTokens = 128


@dataclass(frozen=True, eq=False)
class Answer:
    """One model's answer and what it was given."""

    prompt: Encoded
    answer: Encoded
    """the emitted tokens; spans point into `answer.text`, the exact decoding of `answer.ids`"""
    text: str
    """what a person reads: `answer.text` without the token or delimiter that ended it and without space around it"""
    log_probs: np.ndarray
    """(token,) float32; nats; log-probability of each emitted token given all before it, full vocabulary"""
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
    """Both answers."""

    models: Pair[ModelFacts]
    answers: Pair[Answer]

    def table(self) -> pd.DataFrame:
        """One row a token: side, position, token, id, log-probability (nats), probability."""
        rows = [
            (side, position, piece, int(id), float(log_prob), float(np.exp(log_prob)))
            for side, answer in self.answers.items()
            for position, (piece, id, log_prob) in enumerate(
                zip(answer.answer.pieces, answer.answer.ids, answer.log_probs, strict=True)
            )
        ]
        return pd.DataFrame(rows, columns=["side", "position", "token", "id", "log_prob", "probability"])
