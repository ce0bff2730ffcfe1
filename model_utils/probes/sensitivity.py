"""Prompt sensitivity: how much the likelihood of a model's own answers depends on the wording (POSIX), without any labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_utils.contracts.common import Encoded, Format
from model_utils.loading import LanguageModel
from model_utils.probes.scoring import Wanted, score
from model_utils.probes.writing import write
from model_utils.reporting import Report

RESPONSE_TOKENS = 32
"""Longest answer whose likelihood after other wordings is compared."""


def posix(log_probs: np.ndarray, lengths: np.ndarray) -> float:
    """nats a token; 0 where the wording does not matter. From `log_probs` (wording, answer) of every answer after every wording, the answer
    to each wording at the same place, and their `lengths` (answer,) in tokens.

    Chatterjee et al. 2024, eq. 1: 1 / (N (N - 1)) sum over i and j of |log P(y_j | x_i) - log P(y_j | x_j)| / L_j. NaN with fewer than two
    wordings. (The published code takes other differences, and divides by the longest answer allowed.)
    """
    count = len(log_probs)
    if count < 2:
        return float("nan")
    return float((np.abs(log_probs - np.diag(log_probs)) / lengths).sum() / (count * (count - 1)))


def sensitivity(model: LanguageModel, asked: Sequence[Encoded], format: Format, report: Report) -> float:
    """`posix` of a model over wordings of one question; wordings that it answers with nothing are left out."""
    answers = [one.ids for one in write(model, asked, format, RESPONSE_TOKENS, report)]
    known = [place for place, ids in enumerate(answers) if ids]
    wanted = [Wanted(asked[i], answers[j]) for i in known for j in known]
    totals = np.array([one.total for one in score(model, wanted, report)]).reshape(len(known), len(known))
    return posix(totals, np.array([len(answers[place]) for place in known]))
