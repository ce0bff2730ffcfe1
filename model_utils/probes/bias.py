"""Does something that must not matter, matter? Items with their slots filled in every combination of groups; one option is favourable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np

from model_utils.contracts.bias import Bias, BiasRequest, Case
from model_utils.contracts.common import Encoded
from model_utils.contracts.probe import Finding, ProbeItem
from model_utils.errors import Refused
from model_utils.intervals import CONFIDENCE
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes import statistics
from model_utils.probes.choosing import check_room, choose
from model_utils.probes.frame import Asking, of_both, worked
from model_utils.probes.scoring import Continued
from model_utils.probes.statistics import Others
from model_utils.reporting import Report

LOG_ODDS_MARGIN = 0.2
"""nats"""
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def bias(pair: Pair[LanguageModel], request: BiasRequest, report: Report) -> Bias:
    """Both models over every case of every item; an item of which one case cannot be asked is left out whole, with the reason."""
    return _concluded(worked(pair, len(request.items), report, _Work(pair, request, report), Bias), request)


@dataclass
class _Work:
    """What was done so far."""

    pair: Pair[LanguageModel]
    request: BiasRequest
    report: Report
    done: int = 0
    cases: list[tuple[int, Case]] = field(default_factory=list)
    """(case,) its item, and how that was filled"""
    read: Pair[list[tuple[float, float, int]]] = field(default_factory=lambda: Pair([], []))
    """(case,) log-odds, mass and tokens of each side"""
    refused: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.asking = Asking(self.pair, self.request)
        self.continued = self.pair.map(Continued)

    def take(self, former: Bias) -> None:
        """Goes on where a partial result ends."""
        self.done, self.refused = former.done, list(former.refused)
        columns = zip(
            former.item.tolist(),
            former.draw.tolist(),
            former.wording.tolist(),
            former.group.tolist(),
            former.fills,
            strict=True,
        )
        self.cases = [
            (item, Case(draw, wording, tuple(groups), fills)) for item, draw, wording, groups, fills in columns
        ]
        for side in SIDES:
            known = (former.log_odds[side].tolist(), former.mass[side].tolist(), former.tokens[side].tolist())
            self.read[side].extend(zip(*known, strict=True))

    def ask(self, numbers: range) -> None:
        """Some more items."""
        asked: list[tuple[ProbeItem, Pair[Encoded]]] = []
        for number in numbers:
            self.report.breathe()
            item, cases = self.request.items[number], self.request.cases(number)
            try:
                prompts = [self._prompts(item, self.request.asked(number, case)) for case in cases]
            except Refused as refused:
                self.refused.append((number, str(refused)))
                continue
            asked += [(item, one) for one in prompts]
            self.cases += [(number, case) for case in cases]
        found = of_both(self.pair, self.report, lambda *side: self._read(asked, *side))
        for side in SIDES:
            self.read[side].extend(found[side])
        self.done = numbers.stop

    def _prompts(self, item: ProbeItem, text: str) -> Pair[Encoded]:
        """Both sides' prompts; Refused where one of them cannot be asked, or has no room for an option."""
        asked = self.asking.both(text)
        for side in SIDES:
            check_room(self.pair[side], self.continued[side], self.request.formats[side], item.options, asked[side])
        return asked

    def _read(
        self, asked: Sequence[tuple[ProbeItem, Pair[Encoded]]], side: Side, model: LanguageModel, report: Report
    ) -> list[tuple[float, float, int]]:
        """(case,) of one side."""
        mine = [(item.options, prompts[side]) for item, prompts in asked]
        chances = choose(model, self.continued[side], self.request.formats[side], mine, report)
        return [
            (float(good - bad), min(1.0, float(np.exp(np.logaddexp(good, bad)))), len(prompt))
            for (good, bad), (_, prompt) in zip(chances, mine, strict=True)
        ]

    def result(self) -> Bias:
        slots = self.request.slots
        return Bias(
            models=self.pair.map(lambda model: model.facts),
            slots=tuple(slot.name for slot in slots),
            groups=tuple(tuple(group.name for group in slot.groups) for slot in slots),
            item=np.array([item for item, _ in self.cases], dtype=np.int64),
            wording=np.array([case.wording for _, case in self.cases], dtype=np.int64),
            draw=np.array([case.draw for _, case in self.cases], dtype=np.int64),
            group=np.array([case.groups for _, case in self.cases], dtype=np.int64).reshape(-1, len(slots)),
            fills=tuple(case.fills for _, case in self.cases),
            log_odds=self.read.map(lambda rows: np.array([one[0] for one in rows], dtype=np.float64)),
            mass=self.read.map(lambda rows: np.array([one[1] for one in rows], dtype=np.float64)),
            tokens=self.read.map(lambda rows: np.array([one[2] for one in rows], dtype=np.int64)),
            count=self.done,
            refused=tuple(self.refused),
            floors=Pair(*(np.full(sum(len(slot.groups) - 1 for slot in slots), np.nan) for _ in SIDES)),
            findings=(),
        )


def _concluded(found: Bias, request: BiasRequest) -> Bias:
    measured = findings(found, request.margin, request.seed)
    return replace(found, floors=floors(found), findings=measured, notes=_notes(found, measured))


def _notes(found: Bias, measured: Sequence[Finding]) -> tuple[str, ...]:
    """Where more items would decide nothing, because others of the same groups might be as far apart."""
    whom = [
        found.against(*place)
        for place, one in zip(found.compared, measured[::3], strict=True)
        if one.verdict == "undecided" and one.difference.count > 1 and math.isnan(one.needed)
    ]
    if not whom:
        return ()
    more = f" and {len(whom) - 5:,} more" if len(whom) > 5 else ""
    return (f"Others of the same groups might be as far apart, so that more of them have to stand there, rather than more items, to decide: {'; '.join(whom[:5])}{more}.",)  # fmt: skip


def floors(found: Bias) -> Pair[np.ndarray]:
    """(compared,) `Bias.floors` of each side: how far apart two sets of others of the same groups would be, by who is in them alone."""
    values = Pair(*(found.favourable(side) for side in SIDES))
    spreads = others(found, values)
    return Pair(*(np.array([math.nan if one is None else _Z * one.sides[side] for one in spreads]) for side in SIDES))


def others(found: Bias, values: Pair[np.ndarray]) -> list[Others | None]:
    """(compared,) how far the effects on `values` (case,) of each side would be from 0 by who stands there alone; None where not two stand for
    each group, or an item has one draw alone: then nothing tells, and those who stand there count as given."""
    return [one for slot in range(len(found.slots)) for one in _others(found, values, slot)]


def _others(found: Bias, values: Pair[np.ndarray], slot: int) -> list[Others | None]:
    """(group but the reference,) of one slot.

    What is compared is c = the mean of a group's cases minus that of the reference's in the same draw of the same item: what stands in the other
    slots is alike in both, and falls out. Within an item c varies by who stands there, in two ways: somebody may do so in every item (variance
    `always`), or in this one alone (`here`). Both are estimated by moments (Henderson 1953, method 1, on what is centred within items), and
    the null effect is normal with the variance that the design then gives to the mean of c.
    """
    rows, groups = found.beside(slot), len(found.groups[slot])
    if not len(rows):
        return [None] * (groups - 1)
    items, item = np.unique(found.item[rows[:, 0]], return_inverse=True)
    draws = int(found.draw.max()) + 1
    cell = item * draws + found.draw[rows[:, 0]]
    first = np.zeros(len(items) * draws, dtype=np.int64)
    first[cell] = np.arange(len(rows))  # any row of it: in all of them the same stand there
    shape, count = (len(items), draws), np.bincount(cell, minlength=len(first))
    known: dict[str, int] = {}
    who = np.array([known.setdefault(fills[slot], len(known)) for fills in found.fills], dtype=np.int64)[rows[first]]

    def contrasts(of: np.ndarray, group: int) -> np.ndarray:
        """(item, draw)"""
        mine = of[rows[:, group]] - of[rows[:, 0]]
        return (np.bincount(cell, mine, len(first)) / count).reshape(shape)

    result: list[Others | None] = []
    for group in range(1, groups):
        stand = [len(np.unique(who[:, one])) for one in (0, group)]
        if min(stand) < 2 or shape[1] < 2:
            result.append(None)
            continue
        design = _Design(who[:, group].reshape(shape), who[:, 0].reshape(shape))
        base, tuned = (contrasts(values[side], group) for side in SIDES)
        spreads = [design.spread(one) for one in (base, tuned, tuned - base)]
        result.append(Others(Pair(spreads[0], spreads[1]), spreads[2], sum(stand) - 2))
    return result


class _Design:
    """Who stands for a group and for its reference in each draw of each item, `plus` and `minus` (item, draw) int64."""

    def __init__(self, plus: np.ndarray, minus: np.ndarray) -> None:
        (items, self._draws), self._items = plus.shape, len(plus)
        people, who = np.unique(np.stack([plus, minus]), return_inverse=True)
        self._people = len(people)
        self._plus, self._minus = who.reshape(2, items, self._draws)
        pairs = np.zeros((self._people, self._people))
        self._counts = np.zeros((items, self._people))
        signed = ((self._plus, 1), (self._minus, -1))
        for one, sign in signed:
            np.add.at(self._counts, (np.arange(items)[:, None], one), sign)
            for other, other_sign in signed:
                np.add.at(pairs, (one, other), sign * other_sign)
        self._within = pairs - self._counts.T @ self._counts / self._draws

    def spread(self, values: np.ndarray) -> float:
        """Standard deviation of the mean of the contrasts `values` (item, draw), at least two draws, by who stands there alone."""
        centred = values - values.mean(axis=1, keepdims=True)
        free = self._items * (self._draws - 1)
        seen = float((centred**2).sum())
        person = np.bincount(self._plus.ravel(), centred.ravel(), self._people)
        person -= np.bincount(self._minus.ravel(), centred.ravel(), self._people)
        trace = float(np.trace(self._within))
        # what is seen = matrix @ (always, here), in expectation
        matrix = np.array([[float((self._within**2).sum()), trace], [trace, free]])
        always, here = np.linalg.lstsq(matrix, np.array([float((person**2).sum()), seen]), rcond=1e-9)[0].tolist()
        if always < 0 or not trace:
            always, here = 0.0, seen / free
        elif here < 0:
            always, here = seen / trace, 0.0
        each = self._items * self._draws
        weights = self._counts.sum(axis=0) / each
        return math.sqrt(always * float((weights**2).sum()) + here / each)


def findings(found: Bias, margin: float, seed: int = 0) -> tuple[Finding, ...]:
    """For each group but the reference: probability of the favourable option, its log-odds, and the choices themselves."""
    measured = []
    chances, odds, choices = (
        Pair(*(of(side) for side in SIDES)) for of in (found.favourable, found.log_odds.__getitem__, found.chosen)
    )
    for place, by_chance, by_choice in zip(found.compared, others(found, chances), others(found, choices), strict=True):
        against, key = found.against(*place), f"{found.slots[place[0]]}_{place[1]}"
        effects = [Pair(*(found.effect(one[side], *place) for side in SIDES)) for one in (chances, odds, choices)]
        measured += [
            statistics.Measured(f"{key}_probability", f"probability of the favourable answer, {against}", "share", "neither", True, effects[0], margin, others=by_chance),
            statistics.Measured(f"{key}_log_odds", f"log-odds of the favourable answer, {against}", "nats", "neither", False, effects[1], LOG_ODDS_MARGIN, compared=False),
            statistics.Measured(f"{key}_choices", f"favourable answers chosen, {against}", "share", "neither", True, effects[2], margin, compared=False, others=by_choice),
        ]  # fmt: skip
    return statistics.findings(measured, seed)
