"""Is the instruction itself the problem? Its sentences are left out, it is asked in neutral other words, and an answer is suggested."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from model_utils import prompts
from model_utils.contracts.common import Encoded
from model_utils.contracts.instructions import MAX_SENTENCES, InstructionItem, Instructions, InstructionsRequest
from model_utils.contracts.probe import Finding
from model_utils.contracts.wording import Mark
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes import statistics
from model_utils.probes.choosing import check_room, choose
from model_utils.probes.frame import Asking, of_both, worked
from model_utils.probes.perturbations import FRAMES
from model_utils.probes.scoring import Continued, Ids, Wanted, among, beginning, score
from model_utils.probes.writing import write
from model_utils.reporting import Report
from model_utils.wording import marks
from model_utils.wording.reading import sentences

EFFECT_MARGIN = 0.1
"""nats a token"""
ENTROPY_MARGIN = 0.1
"""nats"""
WORDINGS = (("", ""), *FRAMES)
"""(before, behind) the instruction: as written, and polite frames that ask the same"""
SUGGESTED = "\n\nI think the answer is {option}."


def instructions(pair: Pair[LanguageModel], request: InstructionsRequest, report: Report) -> Instructions:
    """Both models over every instruction; one of which a text cannot be asked is kept with the reason, and the rules' marks."""
    found = worked(pair, len(request.items), report, _Work(pair, request, report), Instructions)
    return replace(found, findings=findings(found, request.margin, request.seed))


@dataclass(frozen=True, eq=False)
class _Row:
    """What one model did with one instruction."""

    answer: str
    effects: np.ndarray
    """(sentence,)"""
    given: tuple[str, ...]
    """(wording,)"""
    gains: np.ndarray
    """(option,)"""


@dataclass(frozen=True)
class _Texts:
    """One instruction's texts as prompts."""

    wordings: tuple[Pair[Encoded], ...]
    """as written comes first"""
    without: tuple[Pair[Encoded] | None, ...]
    """(sentence,) the instruction without it; None: nothing would be left"""
    suggested: tuple[Pair[Encoded], ...]
    """(option,)"""


@dataclass
class _Work:
    """What was done so far."""

    pair: Pair[LanguageModel]
    request: InstructionsRequest
    report: Report
    rows: Pair[list[_Row]] = field(default_factory=lambda: Pair([], []))
    refused: list[tuple[int, str]] = field(default_factory=list)
    marked: list[tuple[Mark, ...]] = field(default_factory=list)
    """(instruction,) each is marked once, however many snapshots show it"""

    def __post_init__(self) -> None:
        self.asking = Asking(self.pair, self.request)
        self.continued = self.pair.map(Continued)
        self.spans = [sentences(item.instruction) for item in self.request.items]

    @property
    def done(self) -> int:
        return len(self.rows.base)

    def take(self, former: Instructions) -> None:
        """Goes on where a partial result ends."""
        self.refused = list(former.refused)
        self.marked = list(former.marks)
        for side in SIDES:
            columns = (former.answers[side], former.effects[side], former.given[side], former.gains[side])
            self.rows[side].extend(_Row(*one) for one in zip(*columns, strict=True))

    def ask(self, numbers: range) -> None:
        """Some more instructions."""
        asked: dict[int, _Texts] = {}
        for number in numbers:
            self.report.breathe()
            self.marked.append(marks(self.request.items[number].instruction))
            try:
                asked[number] = self._texts(number)
            except Refused as refused:
                self.refused.append((number, str(refused)))
        items = [(self.request.items[number], texts) for number, texts in asked.items()]
        found = of_both(self.pair, self.report, lambda *side: _Reading(self, *side).of(items))
        for side in SIDES:
            rows = iter(found[side])
            self.rows[side].extend(next(rows) if number in asked else self._nothing(number) for number in numbers)

    def _texts(self, number: int) -> _Texts:
        """Refused where one of them cannot be asked, or has no room for an option."""
        item = self.request.items[number]
        text = item.instruction
        wordings = [self._both(item, f"{before}{text}{behind}") for before, behind in WORDINGS]
        left = [without(text, *span) for span in self.spans[number][:MAX_SENTENCES]]
        return _Texts(
            wordings=tuple(wordings),
            without=tuple(self.asking.both(one) if one.strip() else None for one in left),
            suggested=tuple(self._both(item, text + SUGGESTED.format(option=option)) for option in item.options),
        )

    def _both(self, item: InstructionItem, text: str) -> Pair[Encoded]:
        asked = self.asking.both(text)
        for side in SIDES:
            format = self.request.formats[side]
            check_room(self.pair[side], self.continued[side], format, item.options, asked[side])
        return asked

    def _nothing(self, number: int) -> _Row:
        spans, options = self.spans[number][:MAX_SENTENCES], self.request.items[number].options
        return _Row("", np.full(len(spans), np.nan), (), np.full(len(options), np.nan))

    def result(self) -> Instructions:
        items = self.request.items[: len(self.rows.base)]
        return Instructions(
            models=self.pair.map(lambda model: model.facts),
            instructions=tuple(item.instruction for item in items),
            options=tuple(item.options for item in items),
            marks=tuple(self.marked[: len(items)]),
            sentences=tuple(spans[:MAX_SENTENCES] for spans in self.spans[: len(items)]),
            answers=self.rows.map(lambda rows: tuple(row.answer for row in rows)),
            effects=self.rows.map(lambda rows: tuple(row.effects for row in rows)),
            wordings=tuple(f"{before}…{behind}" for before, behind in WORDINGS),
            given=self.rows.map(lambda rows: tuple(row.given for row in rows)),
            entropy=self.rows.map(lambda rows: np.array([entropy(row.given) for row in rows], dtype=np.float64)),
            gains=self.rows.map(lambda rows: tuple(row.gains for row in rows)),
            refused=tuple(self.refused),
            findings=(),
            notes=self._notes(items),
        )

    def _notes(self, items: Sequence[InstructionItem]) -> tuple[str, ...]:
        found = []
        free = sum(not item.options for item in items)
        if free:
            found.append(
                f"{free:,} of {len(items):,} instructions have no options, so that no answer can be suggested."
            )
        long = sum(len(spans) > MAX_SENTENCES for spans in self.spans[: len(items)])
        if long:
            found.append(
                f"Of {long:,} instructions with more sentences, the first {MAX_SENTENCES} were left out in turn."
            )
        alone = sum(len(spans) < 2 for spans in self.spans[: len(items)])
        if alone:
            found.append(f"{alone:,} of {len(items):,} instructions are one sentence, and without it nothing is asked.")
        return tuple(found)


@dataclass(frozen=True)
class _Reading:
    """One model's answers to some instructions, all of them read together."""

    work: _Work
    side: Side
    model: LanguageModel
    report: Report

    def of(self, items: Sequence[tuple[InstructionItem, _Texts]]) -> list[_Row]:
        """(instruction,)"""
        asked = [
            (place, prompt[self.side])
            for place, (item, texts) in enumerate(items)
            for prompt in (texts.wordings[:1] if item.options else texts.wordings)
        ]
        limit = self.work.request.max_new_tokens
        written = write(self.model, [prompt for _, prompt in asked], self._format, limit, self.report)
        answers: list[list[tuple[str, Ids]]] = [[] for _ in items]
        for (place, prompt), one in zip(asked, written, strict=True):
            answers[place].append((self._text(prompt, one.ids), one.ids))
        effects = self._effects([(texts, answers[place][0][1]) for place, (_, texts) in enumerate(items)])
        choices = self._choices(items)
        return [
            _Row(answers[place][0][0], effects[place], *self._given(item, choices[place], answers[place]))
            for place, (item, _) in enumerate(items)
        ]

    @property
    def _format(self) -> str:
        return self.work.request.formats[self.side]

    def _text(self, prompt: Encoded, ids: Ids) -> str:
        """The answer up to what ended it."""
        whole = prompts.encode_continuation(self.model.tokenizer, prompt, ids)
        return beginning(whole, int(prompts.counted(whole, self._format).cumprod().sum())).text

    def _effects(self, answered: Sequence[tuple[_Texts, Ids]]) -> list[np.ndarray]:
        """(instruction,) arrays (sentence,)"""
        wanted = []
        for texts, ids in answered:
            left = [prompt for prompt in texts.without if prompt is not None]
            wanted += [Wanted(prompt[self.side], ids) for prompt in ((texts.wordings[0], *left) if left else ())]
        totals = iter([one.total / len(one.log_probs) for one in score(self.model, wanted, self.report)])
        found = []
        for texts, _ in answered:
            known = [prompt is not None for prompt in texts.without]
            whole = next(totals) if any(known) else math.nan
            found.append(np.array([whole - next(totals) if one else math.nan for one in known], dtype=np.float64))
        return found

    def _choices(self, items: Sequence[tuple[InstructionItem, _Texts]]) -> list[np.ndarray]:
        """(instruction,) arrays (wording, and then the option that was suggested; option) of probabilities among the options; without
        options empty."""
        counts = [(len(texts.wordings) + len(texts.suggested)) if item.options else 0 for item, texts in items]
        asked = [
            (item.options, prompt[self.side])
            for item, texts in items
            if item.options
            for prompt in (*texts.wordings, *texts.suggested)
        ]
        read = iter(choose(self.model, self.work.continued[self.side], self._format, asked, self.report))
        return [np.array([among(next(read))[0] for _ in range(count)]) for count in counts]

    def _given(
        self, item: InstructionItem, chances: np.ndarray, answers: Sequence[tuple[str, Ids]]
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """What each wording gets for an answer, and what each option gains by being suggested."""
        if not item.options:
            return tuple(" ".join(text.split()).casefold() for text, _ in answers), np.zeros(0)
        own, suggested = chances[: len(WORDINGS)], chances[len(WORDINGS) :]
        return tuple(item.options[one] for one in own.argmax(axis=1).tolist()), np.diag(suggested) - own[0]


def without(text: str, start: int, stop: int) -> str:
    """The text without these characters and the space behind them, or before them where nothing follows."""
    before, after = text[:start], text[stop:]
    return before + after.lstrip() if after.strip() else before.rstrip() + after


def entropy(given: Sequence[str]) -> float:
    """nats; of the distribution of distinct answers; NaN without any."""
    if not given:
        return math.nan
    shares = np.array([*Counter(given).values()]) / len(given)
    return float(-(shares * np.log(shares)).sum()) + 0.0


def findings(found: Instructions, margin: float, seed: int = 0) -> tuple[Finding, ...]:
    """How far the most effective sentence moves the answer, how far neutral wordings do, and what a suggestion gains."""
    effects, gains = (Pair(*(one(side) for side in SIDES)) for one in (found.largest_effect, found.suggestion))
    known = [np.isfinite(found.entropy[side]) for side in SIDES]
    possible = found.most_entropy[known[0] & known[1]]
    most = f"at most {possible.mean():.2f}" if len(possible) else "none could be asked"
    measured = [
        statistics.Measured("sentence_effect", "change of the own answer's log-probability without the sentence that moves it most", "nats a token", "neither", False, effects, EFFECT_MARGIN),
        statistics.Measured("answer_entropy", f"entropy of the answers over {len(found.wordings)} neutral wordings ({most})", "nats", "lower", False, found.entropy, ENTROPY_MARGIN),
        statistics.Measured("suggestion", "probability that an option gains by being suggested", "share", "lower", True, gains, margin),
    ]  # fmt: skip
    return statistics.findings(measured, seed)
