"""Which of its options a model would answer with: the log-probability of each, in every way in which it can be written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_utils.contracts.common import Encoded, Format
from model_utils.generation import check_length
from model_utils.loading import LanguageModel
from model_utils.probes.scoring import Continued, Wanted, exclusive, joined, score
from model_utils.reporting import Report

Asked = tuple[tuple[str, ...], Encoded]
"""Options, and the prompt after which one of them is to be written."""


def check_room(
    model: LanguageModel, continued: Continued, format: Format, options: Sequence[str], prompt: Encoded
) -> None:
    """Refused where the model has no room for one of them, or its tokenizer cannot write it."""
    for option in options:
        for ids in continued.forms(prompt, option, format):
            check_length(model, prompt, len(ids))


def choose(
    model: LanguageModel, continued: Continued, format: Format, asked: Sequence[Asked], report: Report
) -> list[np.ndarray]:
    """Of each prompt (option,) float64, nats: log-probability that the answer begins with this option and with no longer one that it begins."""
    wanted: list[Wanted] = []
    places: list[list[range]] = []
    for options, prompt in asked:
        mine = []
        for option in options:
            forms = continued.forms(prompt, option, format)
            mine.append(range(len(wanted), len(wanted) + len(forms)))
            wanted += [Wanted(prompt, ids) for ids in forms]
        places.append(mine)
    totals = [one.total for one in score(model, wanted, report)] if wanted else []
    found = []
    for mine in places:
        start, stop = mine[0].start, mine[-1].stop
        alone = exclusive([one.ids for one in wanted[start:stop]], totals[start:stop])
        found.append(np.array([joined(alone[one.start - start : one.stop - start]) for one in mine]))
    return found
