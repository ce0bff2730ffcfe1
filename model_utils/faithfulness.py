"""Do scores point at what a model relies on? Parts are taken away in their order and in random ones; who made the scores is not known here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from model_utils import gradients
from model_utils.contracts.faithfulness import LIMIT_PARTS, POINTS, SHARES, Faithfulness, FaithfulnessRequest, Judged
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.removal import Removal
from model_utils.reporting import Report
from model_utils.texts import read

SNAPSHOTS = 5
"""Random orders are measured in so many lots, and shown after each."""


def faithfulness(pair: Pair[LanguageModel], request: FaithfulnessRequest, report: Report) -> Faithfulness:
    """Deletion and insertion in the order of the scores, and in the same random orders on both models; snapshots hold the orders measured so far."""
    if request.operator != "delete":
        pair.map(gradients.check_embeds)
    given = read(pair, request, together=True, report=report)
    for side, scores in request.scores.items():
        count = len(given.texts[side].open)
        if len(scores) != count:
            raise Refused(
                f"{len(scores)} scores are given for {side}, and this text has {count} parts, those that always stay among them; give one score a part."
            )
    texts = Pair(*(Texts(Removal(pair[side], given.texts[side], given.targets[side], request.operator), report) for side in SIDES))  # fmt: skip
    drawn = texts.map(lambda one: _drawn(len(one.removal.open), request))
    orders = Pair(*(texts[side].removal.open[drawn[side][0]] for side in SIDES))
    own = Pair(*(_ranked(np.array(request.scores[side]), texts[side].removal.open, drawn[side][1]) for side in SIDES))
    ranks = Pair(*(np.searchsorted(texts[side].removal.open, own[side]) for side in SIDES))
    same = given.alignment != "none" and np.array_equal(ranks.base, ranks.tuned)
    judged: dict[str, Judged] = {}
    lots = np.array_split(np.arange(request.orders), SNAPSHOTS)
    result = None
    for lot in range(-1, len(lots)):  # first the scores themselves, for both sides
        for number, side in enumerate(SIDES):
            if lot < 0:
                judged[side] = _first(texts[side], own[side], request.orders)
            else:
                chosen = lots[lot]
                one = judged[side]
                deletion, insertion = _curves(texts[side], orders[side][chosen], one.counts)
                one.random_deletion[chosen], one.random_insertion[chosen] = deletion, insertion
                judged[side] = replace(one)
            share = (2 * (lot + 1) + number + 1) / (2 * len(lots) + 2)
            if len(judged) == len(SIDES):
                copies = {name: replace(one, random_deletion=one.random_deletion.copy(), random_insertion=one.random_insertion.copy()) for name, one in judged.items()}  # fmt: skip
                models = pair.map(lambda model: model.facts)
                result = Faithfulness(
                    models, given.texts, given.alignment, request.quantity, Pair(**copies), same, given.notes
                )
            report(ANSWER_SHARE + (1 - ANSWER_SHARE) * share, "taking parts away in random orders", result)
            report.breathe()
    assert result is not None
    return result


def _drawn(count: int, request: FaithfulnessRequest) -> tuple[np.ndarray, np.ndarray]:
    """Random orders (order, part) of so many parts, and one more that decides between equal scores; the same for equally many."""
    random = np.random.default_rng(request.seed)
    return np.stack([random.permutation(count) for _ in range(request.orders)]), random.permutation(count)


def counts_of(parts: int) -> np.ndarray:
    """(point,) int64; how many of the parts each point takes, at least one, at 0 and at each share of `POINTS`."""
    return np.array([0, *(max(1, round(share * parts)) for share in POINTS)], dtype=np.int64)


def _ranked(scores: np.ndarray, places: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """The places, highest score first; equal scores in the order of `ties`, which is random."""
    return places[np.lexsort((ties, -scores[places]))]


class Texts:
    """What one model says of texts without some parts; each is read once, however often it occurs."""

    def __init__(self, removal: Removal, report: Report) -> None:
        self.removal, self._report = removal, report
        self._known: dict[bytes, float] = {}

    def values(self, kept: np.ndarray) -> np.ndarray:
        """(text,) the quantity; `kept` (text, part) bool."""
        keys = [row.tobytes() for row in kept]
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        if new:
            found = np.concatenate([values[:, 0] for values in self._read(kept[list(new.values())])])
            self._known.update(zip(new, found.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])

    def _read(self, kept: np.ndarray) -> Iterator[np.ndarray]:
        for _, values in self.removal.values(kept, self._report.poll):
            yield values
            self._report.breathe()


def _first(texts: Texts, order: np.ndarray, orders: int) -> Judged:
    counts = counts_of(len(order))
    deletion, insertion = _curves(texts, order[None], counts)
    nothing = np.full((orders, len(counts)), np.nan)
    limits = area = None
    if len(order) <= LIMIT_PARTS:
        limits, area = _limits(texts, order)
    whole = float(deletion[0, 0])
    return Judged(counts, whole, deletion[0], insertion[0], nothing, nothing.copy(), limits, area, _twins(counts))


def _twins(counts: np.ndarray) -> float:
    """The probability that two orders take the same parts at every share of `SHARES`; `counts` as `counts_of` gives them."""
    steps = np.diff(np.unique(counts[: 1 + len(SHARES)]))
    left = int(counts[-1])
    ways = 1
    for step in steps.tolist():
        ways *= math.comb(left, step)
        left -= step
    return 1 / ways


def _curves(texts: Texts, orders: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order, point) the quantity after the first parts of each order were taken away, and when only they stay."""
    ranks = np.argsort(orders, axis=1)
    first = ranks[:, None, :] < counts[None, :, None]  # (order, point, part by place)
    kept = np.ones((2, len(orders), len(counts), texts.removal.count), dtype=bool)
    kept[..., np.sort(orders[0])] = np.stack([~first, first])
    values = texts.values(kept.reshape(-1, texts.removal.count)).reshape(kept.shape[:3])
    return values[0], values[1]


def _limits(texts: Texts, order: np.ndarray) -> tuple[tuple[float, float], float]:
    """The smallest and the largest area over the deletion curve of all orders, and that of one order (Edin et al. 2024, exact limits).

    Area: the mean over k from 1 to n of f(x) - f(x without the first k). Over all orders it is a longest path through the subsets, so 2^n texts
    are read and no order is listed.
    """
    count = len(order)
    subsets = np.arange(1 << count)
    gone = (subsets[:, None] >> np.arange(count)) & 1 == 1
    kept = np.repeat(texts.removal.all(), len(subsets), axis=0)
    kept[:, order] = ~gone
    values = texts.values(kept)
    falls = values[0] - values
    least, most = falls.copy(), falls.copy()
    for subset in subsets[1:]:  # each is larger than the subsets that it is reached from
        before = subset & ~(1 << np.flatnonzero(gone[subset]))
        least[subset] += least[before].min()
        most[subset] += most[before].max()
    own = falls[(1 << np.arange(count + 1)) - 1].sum()
    return (float(least[-1] / count), float(most[-1] / count)), float(own / count)
