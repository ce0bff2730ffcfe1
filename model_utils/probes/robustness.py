"""Was the skill learned, or the phrasing? Every item is asked in many wordings, and both models' answers to all of them are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from model_utils.contracts.common import Encoded, Format
from model_utils.contracts.probe import Finding, ProbeItem, row_means
from model_utils.contracts.robustness import AS_WRITTEN, OWN_WORDINGS, Robustness, RobustnessRequest
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes import perturbations, statistics
from model_utils.probes.choosing import check_room, choose
from model_utils.probes.forgetting import surprise
from model_utils.probes.frame import Asking, chunks, of_both, right_option
from model_utils.probes.scoring import Continued, Ids, Wanted, among, ends_answer, exclusive, joined, score
from model_utils.probes.sensitivity import sensitivity
from model_utils.probes.spread import spread
from model_utils.probes.word_scores import agreement
from model_utils.reporting import Report

SENSITIVITY_MARGIN = 0.05
"""nats a token"""
TAU_MARGIN = 0.1
NLL_MARGIN = 0.02
"""nats a character"""


def robustness(pair: Pair[LanguageModel], request: RobustnessRequest, report: Report) -> Robustness:
    """Both models over every item in every wording; then how sensitive their words are, and what plain text tells of forgetting."""
    former = report.former if isinstance(report.former, Robustness) else None
    work = _Work(pair, request, report)
    if former is not None:
        work.take(former)
    for chunk in chunks(pair, len(request.items), len(work.texts), report, work.result):
        work.ask([(number, request.items[number]) for number in chunk])
    report(0.9, "answers to every wording, read after every wording", work.result())
    work.measure_sensitivity()
    report(0.93, "scores of the input's words in every wording")
    work.measure_agreement()
    report(0.96, "plain text")
    plain = pair.map(lambda model: surprise(model, request.plain_texts, report))
    report(0.98, "intervals and tests")
    return work.result(plain, conclude=True)


@dataclass(frozen=True, eq=False)
class _Answered:
    """What one model did with one item, by wording."""

    right: np.ndarray
    chosen: np.ndarray
    probability: np.ndarray
    mass: np.ndarray

    @classmethod
    def nothing(cls, count: int) -> _Answered:
        unknown = np.full(count, np.nan)
        return cls(unknown.copy(), np.full(count, -1, dtype=np.int64), unknown.copy(), unknown.copy())


DTYPES = {"right": np.float64, "chosen": np.int64, "probability": np.float64, "mass": np.float64}
"""Field of `_Answered` -> what it is an array of."""


@dataclass
class _Work:
    """What was done so far."""

    pair: Pair[LanguageModel]
    request: RobustnessRequest
    report: Report
    texts: list[tuple[str, ...]] = field(default_factory=list)
    answered: Pair[list[_Answered]] = field(default_factory=lambda: Pair([], []))
    refused: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = perturbations.names(self.request)
        self.asking = Asking(self.pair, self.request)
        self.continued = self.pair.map(Continued)
        self.ends = self.pair.map(ends_answer)
        self.sensitivity, self.agreement = ({side: np.full(len(self.request.items), np.nan) for side in SIDES} for _ in range(2))  # fmt: skip

    def take(self, former: Robustness) -> None:
        """Goes on where a partial result ends."""
        self.texts, self.refused = list(former.texts), list(former.refused)
        for side in SIDES:
            rows = zip(*(getattr(former, name)[side] for name in DTYPES), strict=True)
            self.answered[side].extend(_Answered(*(one.copy() for one in row)) for row in rows)

    def ask(self, items: Sequence[tuple[int, ProbeItem]]) -> None:
        """Some more items."""
        asked = [self._asked(number, item) for number, item in items]
        both = [(item, one) for (_, item), one in zip(items, asked, strict=True)]
        found = of_both(self.pair, self.report, lambda *side: _Scoring(self, *side).of(both))
        for side in SIDES:
            self.answered[side].extend(found[side])
        self.texts += [tuple(one.texts) for one in asked]

    def _asked(self, number: int, item: ProbeItem) -> _Asked:
        """Its wordings as prompts; what cannot be asked as written is refused, a wording that cannot is left out."""
        self.report.breathe()
        found = _Asked([""] * len(self.names), {})
        refused = self._tried(item, found, 0, item.asked())
        if refused is not None:  # no wordings are made of what may be far too long
            self.refused.append((number, str(refused)))
            return found
        for place, wording in enumerate(perturbations.wordings(item, self.request, number, self.names)):
            if place and wording.text:
                self._tried(item, found, place, wording.text)
        return found

    def _tried(self, item: ProbeItem, found: _Asked, place: int, text: str) -> Refused | None:
        """One wording, or why it cannot be asked."""
        try:
            asked = self.asking.both(text)
            self._check(item, asked)
        except Refused as refused:
            return refused
        found.prompts[place], found.texts[place] = asked, text
        return None

    def _check(self, item: ProbeItem, asked: Pair[Encoded]) -> None:
        """Refused where an answer cannot be written, or has no room."""
        for side in SIDES:
            answers = item.options or (item.answer,)
            check_room(self.pair[side], self.continued[side], self.request.formats[side], answers, asked[side])

    def result(self, plain: Pair[np.ndarray] | None = None, conclude: bool = False) -> Robustness:
        count = len(self.texts)
        arrays = {
            name: self.answered.map(lambda rows, name=name: np.array([getattr(one, name) for one in rows], dtype=DTYPES[name]).reshape(count, len(self.names)))  # type: ignore[misc]
            for name in DTYPES
        }  # fmt: skip
        found = Robustness(
            models=self.pair.map(lambda model: model.facts),
            wordings=tuple(name for name, _ in self.names),
            kinds=tuple(kind for _, kind in self.names),
            texts=tuple(self.texts),
            **arrays,
            sensitivity=Pair(*(self.sensitivity[side][:count] for side in SIDES)),
            agreement=Pair(*(self.agreement[side][:count] for side in SIDES)),
            plain=plain or Pair(np.zeros(0), np.zeros(0)),
            refused=tuple(self.refused),
            findings=(),
            notes=tuple(self.notes),
        )
        return replace(found, findings=_findings(found, self.request)) if conclude else found

    # --- more about the first items ---

    def measure_sensitivity(self) -> None:
        """Of the first items, over all wordings that mean the same."""
        for number in range(min(self.request.sensitivity_items, len(self.texts))):
            try:
                asked = [self.asking.both(text) for text, kind in self._wordings(number)]
                for side in SIDES:
                    prompts, format = [one[side] for one in asked], self.request.formats[side]
                    self.sensitivity[side][number] = sensitivity(self.pair[side], prompts, format, self.report)
            except Refused as refused:
                self.notes.append(f"The prompt sensitivity of item {number + 1} was not measured: {refused}")

    def measure_agreement(self) -> None:
        """Of the first items that have an input."""
        having = [number for number, item in enumerate(self.request.items) if item.input and self.texts[number][0]]
        for number in having[: self.request.attribution_items]:
            item = self.request.items[number]
            texts = [text for text, kind in self._wordings(number) if kind not in OWN_WORDINGS]
            if len(texts) < 2:
                continue
            try:
                first = self.asking.both(texts[0])
                answers = Pair(*(self._answer(side, item, first[side], number) for side in SIDES))
                found = agreement(self.pair, self.request, texts, item.input, answers, self.report)
            except Refused as refused:
                self.notes.append(f"The word scores of item {number + 1} were not compared: {refused}")
                continue
            for side in SIDES:
                self.agreement[side][number] = found[side]

    def _wordings(self, number: int) -> list[tuple[str, str]]:
        """(text, kind) of an item's wordings; as written comes first."""
        return [(text, kind) for text, (_, kind) in zip(self.texts[number], self.names, strict=True) if text]

    def _answer(self, side: Side, item: ProbeItem, prompt: Encoded, number: int) -> Ids:
        """The right answer, or the one that the model chooses, in the form that it finds likeliest."""
        chosen = int(self.answered[side][number].chosen[0])
        text = item.answer or item.options[chosen]
        forms = self.continued[side].forms(prompt, text, self.request.formats[side])
        scores = score(self.pair[side], [Wanted(prompt, ids) for ids in forms], self.report)
        return forms[int(np.argmax([one.total for one in scores]))]


@dataclass
class _Asked:
    """One item's wordings."""

    texts: list[str]
    prompts: dict[int, Pair[Encoded]]
    """by place of the wording"""


@dataclass(frozen=True)
class _Scoring:
    """One model's answers to the wordings of some items, all of them read together."""

    work: _Work
    side: Side
    model: LanguageModel
    report: Report

    def of(self, items: Sequence[tuple[ProbeItem, _Asked]]) -> list[_Answered]:
        found = [_Answered.nothing(len(self.work.names)) for _ in items]
        asked = [
            (answered, wording, item, prompt[self.side])
            for answered, (item, one) in zip(found, items, strict=True)
            for wording, prompt in one.prompts.items()
        ]
        self._options([one for one in asked if one[2].options])
        self._free([one for one in asked if not one[2].options])
        return found

    def _options(self, asked: Sequence[tuple[_Answered, int, ProbeItem, Encoded]]) -> None:
        mine = [(item.options, prompt) for _, _, item, prompt in asked]
        read = choose(self.model, self._continued, self._format, mine, self.report)
        for (answered, wording, item, _), log_probs in zip(asked, read, strict=True):
            among_them, mass = among(log_probs)
            right, chosen = right_option(item), int(np.argmax(among_them))
            known = right >= 0
            correct, probability = (float(chosen == right), float(among_them[right])) if known else (np.nan, np.nan)
            _set(answered, wording, correct, chosen, probability, mass)

    def _free(self, asked: Sequence[tuple[_Answered, int, ProbeItem, Encoded]]) -> None:
        """Whether exactly the right answer would be written, and then an end."""
        forms = [self._continued.forms(prompt, item.answer, self._format) for _, _, item, prompt in asked]
        wanted = [Wanted(one[3], ids) for one, mine in zip(asked, forms, strict=True) for ids in mine]
        scores = iter(score(self.model, wanted, self.report, following=True) if wanted else [])
        ends = self.work.ends[self.side]
        for (answered, wording, _, _), mine in zip(asked, forms, strict=True):
            read = [next(scores) for _ in mine]
            written = float(any(one.first.all() and ends(one.following) for one in read))
            probability = np.exp(joined(exclusive(mine, [one.total for one in read])))
            _set(answered, wording, written, int(written), float(probability), np.nan)

    @property
    def _continued(self) -> Continued:
        return self.work.continued[self.side]

    @property
    def _format(self) -> Format:
        return self.work.request.formats[self.side]


def _set(answered: _Answered, wording: int, right: float, chosen: int, probability: float, mass: float) -> None:
    answered.right[wording], answered.chosen[wording] = right, chosen
    answered.probability[wording], answered.mass[wording] = probability, mass


# --- what follows from it ---------------------------------------------------------------------------------------------


def _findings(found: Robustness, request: RobustnessRequest) -> tuple[Finding, ...]:
    margin = request.margin
    kinds = np.array(found.kinds)
    trained = (kinds == "training") | (kinds == AS_WRITTEN)

    def gap(right: np.ndarray) -> np.ndarray:
        return row_means(right[:, trained]) - row_means(right[:, kinds == "held out"])

    share = "share"
    measured = [
        statistics.Measured("gap", "right answers lost between wordings of the training and unseen ones", share, "lower", True, found.right.map(gap), request.gap_margin),
        statistics.Measured("right", "right answers, as written", share, "higher", False, found.right.map(lambda right: right[:, 0]), margin),
        statistics.Measured("right_reworded", "right answers, reworded", share, "higher", False, found.right.map(lambda right: row_means(right[:, found.reworded])), margin),
        statistics.Measured("flips", "answers that a rewording changes", share, "lower", True, found.flips(), margin),
        statistics.Measured("sensitivity", "prompt sensitivity (POSIX)", "nats a token", "lower", False, found.sensitivity, SENSITIVITY_MARGIN),
        statistics.Measured("attribution_agreement", "agreement of word scores between wordings (Kendall's tau)", "tau", "higher", False, found.agreement, TAU_MARGIN),
        statistics.Measured("plain_nll", "surprise at plain text (what was forgotten)", "nats a character", "lower", False, found.plain, NLL_MARGIN, of="text"),
    ]  # fmt: skip
    layouts = found.right.map(lambda one: one[:, kinds == "format"])
    return (*statistics.findings(measured, request.seed), spread(layouts, margin, request.seed))
