"""Do both wordings lean on the same words? The scores of an input's words are ranked in every wording, and the orders compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_utils import attribution
from model_utils.contracts.attribution import Attribution, AttributionRequest, OwnText
from model_utils.contracts.common import ask
from model_utils.contracts.probe import ProbeRequest
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes.scoring import Ids
from model_utils.reporting import Part, Report

FEWEST_WORDS = 3
"""Words of an input below which an order of them says nothing."""


def agreement(
    pair: Pair[LanguageModel],
    request: ProbeRequest,
    texts: Sequence[str],
    given: str,
    answers: Pair[Ids],
    report: Report,
) -> Pair[float]:
    """-1 to 1: mean Kendall's tau between the scores of the words of the input `given` in the first of `texts` and in each other one.

    The scores are gradient x input for one answer, each model in its own prompt. NaN where no two orders can be compared.
    """
    scored = []
    for text in texts:
        report.breathe()
        scored.append(_scores(pair, request, text, given, answers, Part(report)))
    return Pair(*(_mean_tau([one[side] for one in scored]) for side in SIDES))


def _mean_tau(scores: Sequence[np.ndarray]) -> float:
    from scipy.stats import kendalltau  # a second to import

    first, *others = scores
    taus = [kendalltau(first, one).statistic for one in others if len(one) == len(first) >= FEWEST_WORDS]
    known = [tau for tau in taus if not np.isnan(tau)]
    return float(np.mean(known)) if known else float("nan")


def _scores(
    pair: Pair[LanguageModel], request: ProbeRequest, text: str, given: str, answers: Pair[Ids], report: Report
) -> Pair[np.ndarray]:
    """(word,) of the input's words in each model's own prompt, for each model's form of the answer."""
    own = None if request.same_tokens else OwnText(format=request.formats.base, answer_ids=answers.base)
    asked = AttributionRequest(
        messages=ask(text),
        format=request.formats.tuned,
        answer_ids=answers.tuned,
        own=own,
        granularity="word",
        together=True,
        answer_too=False,
    )
    found = attribution.attribution(pair, asked, report)
    return Pair(*(_of_input(found, side, given) for side in SIDES))


def _of_input(found: Attribution, side: Side, text: str) -> np.ndarray:
    parted = found.texts[side]
    answer = parted.sequence.spans[parted.sequence.positions("answer")]
    start = parted.sequence.text.rfind(text, 0, int(answer[0, 0]))  # an answer may say the input again
    if start < 0:
        return np.zeros(0)
    spans = parted.sequence.spans[: len(parted.parts)]
    inside = (spans[:, 1] > start) & (spans[:, 1] <= start + len(text)) & (spans[:, 1] > spans[:, 0])
    return found.scores[side][0].astype(np.float64)[np.unique(parted.parts[inside])]
