"""What every probe shares: items with answers that can be scored, and what is found over them, with how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from model_utils.contracts.common import Formats, ModelFacts, Request, Specs, Text
from model_utils.pair import SIDES, Pair, Side

MAX_ITEMS = 5_000
MAX_OPTIONS = 20
MAX_PHRASINGS = 50
INPUT = "{input}"
"""Where the input stands in an instruction; without it, the input follows after an empty line."""
MARGIN = 0.03
"""A difference of means inside this either side of 0 is no effect that matters, unless the person says otherwise."""
LEVEL = 0.05
"""Significance level, after correction for the number of tests."""

Phrasings = Annotated[tuple[Text, ...], Field(max_length=MAX_PHRASINGS)]


class ProbeItem(Request):
    """One question whose answer can be scored by its probability."""

    instruction: Text
    input: Annotated[str, Field(max_length=100_000)] = ""
    """what the question is about; no perturbation of the wording touches it"""
    options: Annotated[tuple[Text, ...], Field(max_length=MAX_OPTIONS)] = ()
    """the answers to choose from; empty: the answer is free, and `answer` is what is right"""
    answer: Annotated[str, Field(max_length=10_000)] = ""
    """the right answer, one of the options where there are any; empty: nobody knows"""
    paraphrases: Phrasings = ()
    """other wordings of the instruction that ask the same"""
    training: Phrasings = ()
    """wordings that the tuned model was trained on, where that is known"""
    held_out: Phrasings = ()
    """wordings that it never saw"""
    cue: Annotated[str, Field(max_length=200)] = ""
    """what stands before the answer at the end of a written reasoning, such as `Decision:`"""
    steps: Annotated[tuple[Text, ...], Field(max_length=MAX_PHRASINGS)] = ()
    """the right reasoning, step by step, where it is known"""
    group: Annotated[str, Field(max_length=200)] = ""
    """what kind of item it is"""

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if len(self.options) == 1:
            raise ValueError("There is one option; give at least two, or none and the right answer")
        if len(set(self.options)) < len(self.options):
            raise ValueError("An option stands there twice; keep one of them")
        if self.options and self.answer and self.answer not in self.options:
            raise ValueError(f"The answer is none of the {len(self.options)} options; write it as it stands there")
        if not self.options and not self.answer.strip():
            raise ValueError("There are neither options nor an answer, so that nothing can be scored; give one of them")
        if any(text.count(INPUT) > 1 for text in self.wordings):
            raise ValueError(f"{INPUT} stands there more than once; write it once, where the input goes")
        if not self.input and any(INPUT in text for text in self.wordings):
            raise ValueError(f"The instruction holds {INPUT}, and there is no input; give one")
        return self

    @property
    def wordings(self) -> tuple[str, ...]:
        """Every wording, the instruction first."""
        return (self.instruction, *self.paraphrases, *self.training, *self.held_out)

    def asked(self, wording: str | None = None) -> str:
        """What a model is asked: a wording (None: the instruction) with the input in it."""
        text = self.instruction if wording is None else wording
        if not self.input:
            return text
        return text.replace(INPUT, self.input) if INPUT in text else f"{text}\n\n{self.input}"


class ItemsRequest(Formats):
    """Both models see the same items, each in its own format; every random choice comes from one seed."""

    items: tuple[Any, ...]
    """each says by `asked()` what it is listed by"""
    margin: Annotated[float, Field(gt=0, le=1)] = MARGIN
    """a difference inside this either side of 0 does not matter"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class ProbeRequest(ItemsRequest):
    """Items whose answers can be scored by their probability."""

    items: Annotated[tuple[ProbeItem, ...], Field(min_length=1, max_length=MAX_ITEMS)]


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean over the items."""

    mean: float
    """NaN where no item has a number"""
    low: float
    high: float
    """95 % bootstrap interval over items (Efron 1987, BCa); NaN with fewer than two items, and in a snapshot"""
    count: int
    """items that have a number"""


Verdict = Literal["higher", "lower", "no effect", "undecided", "not measured"]
"""Of a number against 0: beyond the margin or at least surely not 0, on this side or that; surely inside the margin; cannot be told."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One measure of both models over the items, and whether they differ."""

    measure: str
    """snake_case; unique within a probe"""
    says: str
    """what it is, as a noun phrase: 'right answers, as written'"""
    unit: str
    """share (0 to 1) or nats"""
    better: Literal["higher", "lower", "neither"]
    fault: bool
    """whether 0 is the innocent value, so that each model by itself can be found at fault or cleared"""
    sides: Pair[Estimate]
    difference: Estimate
    """tuned minus base, over the items that have a number on both sides"""
    p: float
    """two-sided, of the paired permutation test that both models do alike (of calibration errors: of a bootstrap; of groups: that, or that others of
    the same groups would be as far apart, whichever is the larger); NaN with fewer than two items"""
    adjusted: float
    """p after Holm's correction (1979) for the `tests` differences that were tested together"""
    tests: int
    margin: float
    """in the measure's unit"""
    verdict: Verdict
    """of tuned minus base; 'not measured' too where the difference was not tested"""
    own: Pair[Verdict]
    """of each model by itself against 0, where `fault`; else 'not measured'"""
    needed: float
    """how many items like these would probably decide it: an estimate; NaN where it is decided, or nothing can be said"""
    of: Literal["item", "text", "term"] = "item"
    """what each number is of"""

    def said(self) -> str:
        """What was found, how sure, and how many items would be needed, in plain sentences."""
        counts = self.sides.map(lambda one: one.count)
        if not any(counts.sides):
            return f"{_capital(self.says)}: not measured."
        both = self.difference.count
        if not both:
            found = " and ".join(f"{side} {self.value(one.mean)}" for side, one in self.sides.items() if one.count)
            return f"{_capital(self.says)}: {found}; no {self.of} has a number on both sides, so they cannot be compared.{self._and_alone()}"
        alike = (
            both > 1 and self.difference.low == self.difference.high
        )  # then the interval is a point, and says nothing
        over = f"{'in each of' if alike else 'over'} {both:,} {self.of}{'' if both == 1 else 's'}"
        if both < max(counts.sides):
            over += f" with a number on {'both sides' if both != 1 else 'either side'}"
        if self.verdict == "not measured":
            numbers = ", ".join(f"{side} {self.interval(self.sides[side])}" for side in ("tuned", "base"))
            return f"{_capital(self.says)}: {numbers}, {over}; whether they differ was not tested.{self._and_alone()}"
        numbers = f"tuned {self.value(self.sides.tuned.mean)}, base {self.value(self.sides.base.mean)}"
        difference = f"the difference is {self.interval(self.difference, signed=True)} {over}"
        if self.verdict == "no effect":
            outcome = f"No effect that matters: {difference}, surely inside \u00b1{self.margin_said()}."
        elif self.verdict == "undecided":
            more = f"; about {rounded_up(self.needed):,} {self.of}s like these would probably decide it" if math.isfinite(self.needed) else ""  # fmt: skip
            outcome = f"Undecided: {difference}{self.sure()}{more}."
        else:
            how = "" if self.better == "neither" else f" ({'better' if self.better == self.verdict else 'worse'})"
            outcome = f"Tuned is {self.verdict}{how}: {difference}{self.sure()}."
        return f"{_capital(self.says)}: {numbers}. {outcome}{self._and_alone()}"

    def sure(self) -> str:
        """p in parentheses, with a space before; empty where the difference was not tested."""
        return "" if math.isnan(self.adjusted) else f" ({self.p_said()})"

    def p_said(self) -> str:
        """p and what it was corrected for; of a difference that was tested."""
        p = f"p = {self.adjusted:.2g}" if self.adjusted >= 0.001 else "p < 0.001"
        return p + (f" after correction for {self.tests} tests" if self.tests > 1 else "")

    def alone(self) -> str:
        """What each model is by itself, as a sentence, where 0 is the innocent value; else empty."""
        if not self.fault:
            return ""
        base, tuned = (self._own_said(side) for side in SIDES)
        if base == tuned:
            return f"By themselves, both are {tuned}."
        return f"By itself, tuned is {tuned}, and base is {base}."

    def at_fault(self, side: Side) -> bool:
        """Whether this model by itself is surely beyond the margin: above 0, and, where neither direction is the better one, below it too."""
        return self.own[side] == "higher" or (self.own[side] == "lower" and self.better == "neither")

    def _own_said(self, side: Side) -> str:
        return OWN["higher" if self.at_fault(side) else self.own[side]]

    def _and_alone(self) -> str:
        return f" {self.alone()}" if self.fault else ""

    def margin_said(self) -> str:
        """The margin with its unit; of a share in percentage points."""
        return f"{100 * self.margin:g} percentage points" if self.unit == "share" else f"{self.margin:g} {self.unit}"

    def value(self, number: float, signed: bool = False) -> str:
        """The number with its unit."""
        if not math.isfinite(number):
            return "not known"
        return f"{self._written(number, signed)} {'%' if self.unit == 'share' else self.unit}"

    def interval(self, one: Estimate, signed: bool = False) -> str:
        """Mean and ends, where they are known and apart; a difference of shares in percentage points."""
        if not math.isfinite(one.mean):
            return "not known"
        known = math.isfinite(one.low) and one.low < one.high
        ends = f" [{self._written(one.low, signed)}, {self._written(one.high, signed)}]" if known else ""
        unit = self.unit if self.unit != "share" else "percentage points" if signed else "%"
        return f"{self._written(one.mean, signed)}{ends} {unit}"

    def _written(self, number: float, signed: bool) -> str:
        text = f"{100 * number:+z.1f}" if self.unit == "share" else f"{number:+z.3f}"
        return text if signed and float(text) else text.removeprefix("+")


OWN: dict[Verdict, str] = {
    "higher": "at fault",
    "lower": "below 0",
    "no effect": "cleared",
    "undecided": "undecided",
    "not measured": "not measured",
}
"""What a model is by itself, in words"""


def known_mean(values: np.ndarray) -> float:
    """The mean of those that are numbers; NaN where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


class Probed:
    """What the result of every probe has; in a snapshot it is of the first items and has no findings."""

    models: Pair[ModelFacts]
    refused: tuple[tuple[int, str], ...]
    """(item, why it could not be asked)"""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def done(self) -> int:
        """Items so far."""
        raise NotImplementedError

    def table(self) -> pd.DataFrame:
        """Every item, or every case of it."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Partial:
    """What a probe that was stopped had found, with everything that says of what: the same run can go on from it."""

    analysis: str
    specs: Specs
    signatures: Pair[str]
    """of both models' files, as they lie on this machine"""
    request: ItemsRequest
    result: Any
    """as its snapshots: the first items"""


def rounded_up(number: float) -> int:
    """To two significant digits: an estimate is no more exact than that."""
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / step) * step


def row_means(values: np.ndarray) -> np.ndarray:
    """(row,) the mean of what is known in each row of `values` (row, column); NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, values, 0).sum(axis=1) / np.maximum(count, 1), np.nan)
