"""Do methods agree? Each explains the same thing, and the orders in which they put the parts are compared."""

from __future__ import annotations

import numpy as np
from scipy import stats

from model_utils.attribution import attribution
from model_utils.contracts.agreement import LEAST_METHODS, LEAST_PARTS, Agreement, AgreementRequest
from model_utils.contracts.attribution import SIGNLESS, Attribution, AttributionRequest, Method, Parted, Scoring, forced
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.parts import settled
from model_utils.reporting import Part, Report
from model_utils.texts import read


def agreement(pair: Pair[LanguageModel], request: AgreementRequest, report: Report) -> Agreement:
    """Kendall's tau of each two methods, whose scores come from `attribution` itself; a snapshot after each method from the second on."""
    texts = read(pair, request, together=True, report=report).texts
    found: dict[Method, Attribution] = {}
    left_out: list[str] = []
    share = (1 - ANSWER_SHARE) / len(request.methods)
    result = None
    for number, method in enumerate(request.methods):
        start = ANSWER_SHARE + number * share
        # A map whose answer is known tells its progress from ANSWER_SHARE on.
        part = Part(report, start - share * ANSWER_SHARE / (1 - ANSWER_SHARE), share / (1 - ANSWER_SHARE))
        try:
            found[method] = attribution(pair, _asked(request, method, texts), part)
        except Refused as refused:
            left_out.append(f"{method[0].upper()}{method[1:]} is left out: {refused}")
        if len(found) >= LEAST_METHODS:
            result = _result(found, tuple(left_out))
            report(start + share, f"{len(found)} methods compared", result)
    if result is None:
        raise Refused(
            f"Agreement takes at least {LEAST_METHODS} methods that can explain this pair, and of the {len(request.methods)} that were chosen {len(found) or 'none'} can. {' '.join(left_out)} Choose others."
        )
    return result


def _asked(request: Scoring, method: Method, texts: Pair[Parted]) -> AttributionRequest:
    shared = {name: getattr(request, name) for name in Scoring.model_fields}
    return AttributionRequest(**{**shared, **forced(request, texts), "method": method, "together": True})


def _result(found: dict[Method, Attribution], left_out: tuple[str, ...]) -> Agreement:
    one, methods = next(iter(found.values())), tuple(found)
    totals = [each.totals() for each in found.values()]
    scores = Pair(np.stack([total.base for total in totals]), np.stack([total.tuned for total in totals]))
    return Agreement(
        models=one.models,
        texts=one.texts,
        alignment=one.alignment,
        quantity=one.quantity,
        methods=methods,
        scores=scores,
        taus=Pair(
            *(_taus(methods, scores[side][:, one.texts[side].compared], float(one.values[side][0])) for side in SIDES)
        ),
        left_out=left_out,
        notes=(*_signless(methods), *_noted(found)),
    )


def _taus(methods: tuple[Method, ...], scores: np.ndarray, value: float) -> np.ndarray:
    """(method, method) float64 from `scores` (method, part) of an explained `value`; with a method that has no sign, |scores| of the other are compared."""
    scores = np.stack([settled(each, method, value) for method, each in zip(methods, scores, strict=True)])  # fmt: skip
    found = np.full((len(methods), len(methods)), np.nan)
    for one, first in enumerate(methods):
        for other, second in enumerate(methods[: one + 1]):
            sizes = one != other and (first in SIGNLESS or second in SIGNLESS)
            pair = np.abs(scores[[one, other]]) if sizes else scores[[one, other]]
            found[one, other] = found[other, one] = tau(*pair)
    return found


def tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b (Kendall 1945): concordant minus discordant pairs of parts, over the geometric mean of those not tied in either; NaN: all alike, or too few."""
    if len(one) < LEAST_PARTS or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(stats.kendalltau(one, other).statistic)


def _noted(found: dict[Method, Attribution]) -> list[str]:
    """What is said with the scores: once what all methods say, else by whom."""
    common = [note for note in next(iter(found.values())).notes if all(note in each.notes for each in found.values())]
    return common + [f"{method}: {note}" for method, each in found.items() for note in each.notes if note not in common]


def _signless(methods: tuple[Method, ...]) -> tuple[str, ...]:
    """What is compared where one of two methods has no sign."""
    without = [method for method in methods if method in SIGNLESS]
    if not without:
        return ()
    return (
        f"Scores of {' and '.join(without)} have no sign, so that only the sizes of the other methods' scores are compared with them.",
    )
