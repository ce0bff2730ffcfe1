"""Does something that must not matter, matter? Items with their slots filled in every combination of groups; one option is favourable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from model_utils.contracts.bias import Bias, BiasRequest, Case
from model_utils.contracts.common import Encoded
from model_utils.contracts.probe import Finding, ProbeItem
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes import statistics
from model_utils.probes.choosing import check_room, choose
from model_utils.probes.frame import Asking, chunks, of_both
from model_utils.probes.scoring import Continued
from model_utils.reporting import Report

LOG_ODDS_MARGIN = 0.2
"""nats"""


def bias(pair: Pair[LanguageModel], request: BiasRequest, report: Report) -> Bias:
    """Both models over every case of every item; an item of which one case cannot be asked is left out whole, with the reason."""
    work = _Work(pair, request, report)
    if isinstance(report.former, Bias):
        work.take(report.former)
    for chunk in chunks(pair, len(request.items), work.done, report, work.result):
        work.ask(chunk)
    report(0.95, "intervals and tests")
    return work.result(conclude=True)


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

    def result(self, conclude: bool = False) -> Bias:
        slots = self.request.slots
        found = Bias(
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
            findings=(),
        )
        return _concluded(found, self.request) if conclude else found


def _concluded(found: Bias, request: BiasRequest) -> Bias:
    return replace(found, findings=findings(found, request.margin, request.seed))


def findings(found: Bias, margin: float, seed: int = 0) -> tuple[Finding, ...]:
    """For each group but the reference: probability of the favourable option, its log-odds, and the choices themselves."""
    measured = []
    for slot, name in enumerate(found.slots):
        for group in range(1, len(found.groups[slot])):
            one, reference = found.groups[slot][group], found.groups[slot][0]
            against, key = f"{one} against {reference}", f"{name}_{group}"
            shares = Pair(*(found.effect(found.favourable(side), slot, group) for side in SIDES))
            odds = Pair(*(found.effect(found.log_odds[side], slot, group) for side in SIDES))
            choices = Pair(*(found.effect(found.chosen(side), slot, group) for side in SIDES))
            measured += [
                statistics.Measured(f"{key}_probability", f"probability of the favourable answer, {against}", "share", "neither", True, shares, margin),
                statistics.Measured(f"{key}_log_odds", f"log-odds of the favourable answer, {against}", "nats", "neither", False, odds, LOG_ODDS_MARGIN, compared=False),
                statistics.Measured(f"{key}_choices", f"favourable answers chosen, {against}", "share", "neither", True, choices, margin, compared=False),
            ]  # fmt: skip
    return statistics.findings(measured, seed)
