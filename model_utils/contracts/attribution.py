"""Which parts of a text an answer leaned on, in both models over one text or each over its own: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from model_utils.contracts.common import ROLES, Encoded, ModelFacts, Own, SharedSequence, check_text
from model_utils.pair import SIDES, Pair, Side, other_side

Method = Literal[
    "gradient x input",
    "gradient norm",
    "integrated gradients",
    "occlusion",
    "Shapley values",
    "sparse surrogate",
    "attention rollout",
]
METHODS: tuple[Method, ...] = (
    "gradient x input",
    "gradient norm",
    "integrated gradients",
    "occlusion",
    "Shapley values",
    "sparse surrogate",
    "attention rollout",
)
GRADIENTS: tuple[Method, ...] = ("gradient x input", "gradient norm", "integrated gradients")
"""Methods that go back through the model."""
REMOVALS: tuple[Method, ...] = ("occlusion", "Shapley values", "sparse surrogate")
"""Methods that take parts of the text away and look what changes."""
SIGNLESS: tuple[Method, ...] = ("gradient norm", "attention rollout")
"""Methods whose scores say how much, and not whether for or against."""

Quantity = Literal["logit", "log-probability", "probability"]
QUANTITIES: tuple[Quantity, ...] = ("logit", "log-probability", "probability")
UNITS: dict[Quantity, str] = {"logit": "logit units", "log-probability": "nats", "probability": "probability"}

Granularity = Literal["token", "word", "sentence", "span"]
GRANULARITIES: tuple[Granularity, ...] = ("token", "word", "sentence", "span")

Operator = Literal["mean embedding", "mask", "delete"]
OPERATORS: tuple[Operator, ...] = ("mean embedding", "mask", "delete")
"""What taking a part away means: the mean of all embeddings stands in its place; nobody looks at it; or it is left out, and what follows moves up."""

Baseline = Literal["mean embedding", "zero"]
BASELINES: tuple[Baseline, ...] = ("mean embedding", "zero")


def unit_of(method: Method, quantity: Quantity) -> str:
    """Of a method's scores."""
    per = {"gradient norm": f"{UNITS[quantity]} per unit of embedding", "attention rollout": "share"}
    return per.get(method, UNITS[quantity])


MOST_STEPS, MOST_SAMPLES = 500, 4_096
GROUP = 16
"""Most targets whose gradients are computed at once."""
BATCH_TOKENS, BATCH_BYTES = 1_024, 64 << 20
"""Where parts are taken away: tokens that one pass reads at most, in however many texts, and the size of the logits that it makes at most."""
SURROGATE_MASKS, LEAST_MASKS = 64, 16
"""Random masks that a sparse surrogate is fitted to (Cohen-Wang et al. 2024, ContextCite), and how few there may be."""
SHAPLEY_PARTS = 12
"""Parts whose Shapley values are computed at most: exactly they take 2^parts passes."""


Alignment = Literal["tokens", "characters", "none"]
"""How two texts are laid side by side: both models read the same tokens; or the same characters in tokens of their own, so that parts end
where both have an end; or each read its own text, and nothing is compared."""


def check_targets(targets: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(targets)) < len(targets):
        raise ValueError(f"The targets {targets} name a token twice, which would count it twice; name each once")
    return targets


Targets = Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(check_targets)]
"""Positions within an answer, from 0; none: every token of the answer."""


class OwnText(Own):
    """What the other side reads and explains when each side reads its own text."""

    targets: Targets = ()
    """in its own answer"""


class Explaining(SharedSequence):
    """What is explained, and in which parts of the text."""

    quantity: Quantity = "logit"
    targets: Targets = ()
    """in the answer of `answer_from`; where the other model cuts it into other tokens, the pieces of text that these lie in"""
    own: OwnText | None = None
    """what the side that is not `answer_from` reads and explains instead; None: both read one text"""
    against: (
        Annotated[str, AfterValidator(lambda text: check_text(text, "other token"))]
        | Annotated[int, Field(ge=0)]
        | None
    ) = None
    """another token that might have stood in the target's place, as its text or its id in the vocabulary of `answer_from`: explained is the target's quantity minus that one's (Yin & Neubig 2022)"""
    granularity: Granularity = "token"
    spans: tuple[Annotated[str, AfterValidator(lambda text: check_text(text, "passage"))], ...] = ()
    """with the granularity 'span': the passages of the instruction that are the parts"""
    answer_too: bool = True
    """earlier tokens of the answer are parts as well; else of the prompt alone"""
    operator: Operator = "mean embedding"
    """what taking a part away means"""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        for targets in (self.targets, *([self.own.targets] if self.own else [])):
            if self.against is not None and len(targets) != 1:
                raise ValueError(
                    f"'against' {self.against!r} asks why one token stands there and not that one, but {len(targets) or 'all'} targets are explained; choose one target"
                )
        return self

    @model_validator(mode="after")
    def _has_spans(self) -> Self:
        if (self.granularity == "span") != bool(self.spans):
            given = f"{len(self.spans)} spans are given" if self.spans else "no span is given"
            raise ValueError(
                f"The granularity is {self.granularity!r} and {given}; give spans with the granularity 'span', and only then"
            )
        return self


class Scoring(Explaining):
    """What some methods ask besides."""

    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 20
    """integrated gradients: points between the baseline and the text"""
    baseline: Baseline | Annotated[int, Field(ge=0)] = "mean embedding"
    """integrated gradients: what stands for nothing; a number is a token's id"""
    samples: Annotated[int, Field(ge=0, le=MOST_SAMPLES)] = 0
    """Shapley values: random orders of the parts (0: exact); sparse surrogate: random masks (0: `SURROGATE_MASKS`)"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class AttributionRequest(Scoring):
    """Scores of every earlier part of the text for chosen answer tokens."""

    method: Method = "gradient x input"
    together: bool = False
    """one row of scores for the sum over the targets, instead of one a target"""


@dataclass(frozen=True, eq=False)
class Parted:
    """A text as one model read it: what is explained in it, and its parts."""

    sequence: Encoded
    """prompt and answer"""
    parts: np.ndarray
    """(token,) int64; the part of the text that each token belongs to"""
    open: np.ndarray
    """(part,) bool; whether it may be taken away: never the format around the instruction and control tokens"""
    targets: np.ndarray
    """(target,) int64; the explained tokens, as positions within the answer"""
    rows: np.ndarray
    """(target,) int64; the row that each of them counts in: by itself, with the other tokens of its piece of text, or with all"""

    def places(self) -> list[np.ndarray]:
        """Positions in the sequence of the tokens that each row explains."""
        found = self.sequence.positions("answer")[self.targets]
        return [found[self.rows == row] for row in range(int(self.rows.max()) + 1)]

    def answer_numbers(self) -> np.ndarray:
        """(row,) int64; the first token that each row explains, as a position within the answer."""
        return np.array([self.targets[self.rows == row].min() for row in range(int(self.rows.max()) + 1)], dtype=np.int64)  # fmt: skip

    @property
    def length(self) -> int:
        """How many tokens can matter: those before the last target."""
        return int(self.sequence.positions("answer")[self.targets].max())

    @property
    def compared(self) -> np.ndarray:
        """(part,) bool; parts that may be taken away and stand, at least with one token, before the last target."""
        return self.open & np.isin(np.arange(len(self.open)), self.parts[: self.length])

    def first_tokens(self) -> np.ndarray:
        """(part,) int64; where each part begins in the text."""
        return np.unique(self.parts, return_index=True)[1]

    def names(self) -> list[str]:
        """(part,) the text of each part."""
        return self.sequence.names(self.parts, len(self.open))


def beside(texts: Pair[Parted], alignment: Alignment) -> np.ndarray:
    """(part of tuned's text,) int64; the part of base's text that has the same characters, or -1.

    Parts that may be taken away stand in the same order on both sides; the rest are compared only where the tokens are the same.
    """
    count = len(texts.tuned.open)
    if alignment == "tokens":
        return np.arange(count)
    found = np.full(count, -1, dtype=np.int64)
    if alignment == "characters":
        found[texts.tuned.open] = np.flatnonzero(texts.base.open)
    return found


def side_by_side(texts: Pair[Parted], alignment: Alignment) -> pd.DataFrame:
    """One row a part of either text, tuned's first: the part of each side (-1: it has none), its first token, text and role."""
    base = beside(texts, alignment)
    lone = np.setdiff1d(np.arange(len(texts.base.open)), base)
    both = Pair(np.append(base, lone), np.append(np.arange(len(base)), np.full(len(lone), -1)))
    first = texts.map(Parted.first_tokens)
    names, shown = texts.map(Parted.names), np.where(both.tuned >= 0, "tuned", "base")
    columns: dict[str, Any] = {f"{side}_part": both[side] for side in SIDES}
    for side in SIDES:
        columns[f"{side}_position"] = pd.array(np.where(both[side] >= 0, first[side][both[side]], -1), dtype="Int64")
        columns[f"{side}_position"][both[side] < 0] = pd.NA
    found = pd.DataFrame(columns)
    found["tokens"] = [names[side][both[side][row]] for row, side in enumerate(shown)]
    found["role"] = [ROLES[texts[side].sequence.roles[first[side][both[side][row]]]] for row, side in enumerate(shown)]
    return found


def in_rows(values: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(row,) `values` (part,) of the `parts` (row,); NaN for -1."""
    return np.where(parts >= 0, values[parts], np.nan)


def forced(request: Explaining, texts: Pair[Parted]) -> dict[str, Any]:
    """The fields of a request that reads the very texts that `request` has led to."""
    ids = texts.map(lambda text: tuple(text.sequence.ids[text.sequence.positions("answer")].tolist()))
    own = request.own and request.own.model_copy(update={"answer_ids": ids[other_side(request.answer_from)]})
    return {"answer_ids": ids[request.answer_from], "own": own}


@dataclass(frozen=True, eq=False)
class Attribution:
    """Scores for each target, in both models."""

    models: Pair[ModelFacts]
    texts: Pair[Parted]
    """what each side read; where `alignment` is "tokens", both the same"""
    alignment: Alignment
    method: Method
    quantity: Quantity
    values: Pair[np.ndarray]
    """(row,) float32 a side; the quantity that is explained. Rows are the targets, pieces of text, or the one sum over all"""
    scores: Pair[np.ndarray]
    """(row, part) float32 a side; positive: the part raised the row's quantity. 0 at and after the target; NaN: not scored, or not yet"""
    against: Pair[int] | None = None
    """id of the token that the target is explained against"""
    against_piece: str = ""
    """what it says"""
    together: bool = False
    """there is one row, the sum over the targets"""
    rest: Pair[np.ndarray] | None = None
    """(row,) float32 a side; the quantity without the scored parts, for methods whose scores should add up to `values` minus this"""
    spread: Pair[np.ndarray] | None = None
    """(row, part) float32 a side; standard error of scores that come from random orders"""
    between: np.ndarray | None = None
    """(row, part of tuned) float32; scores of tuned's quantity minus base's, of the method whose scores of a difference are not the difference of its scores"""
    notes: tuple[str, ...] = ()
    """sentences for people about what to keep in mind with these scores"""

    @property
    def unit(self) -> str:
        """Of the scores."""
        return unit_of(self.method, self.quantity)

    @property
    def aligned(self) -> bool:
        """Whether the sides are compared; else each read its own text."""
        return self.alignment != "none"

    def totals(self) -> Pair[np.ndarray]:
        """(part,) float32 a side; scores summed over the rows; of a rollout, whose rows are shares, their mean over the explained tokens."""
        if self.method != "attention rollout":
            return self.scores.map(lambda scores: scores.sum(axis=0))
        return self.scores.zip(self.texts).map(lambda one: _mean(*one))

    def open_totals(self) -> Pair[np.ndarray]:
        """(part,) float32 a side; the same of what may be taken away, NaN elsewhere."""
        return self.totals().zip(self.texts).map(lambda one: _opened(*one))

    @cached_property
    def beside(self) -> np.ndarray:
        """(part of tuned's text,) int64; base's part that it is compared with, or -1."""
        return beside(self.texts, self.alignment)

    def differences(self) -> np.ndarray:
        """(row, part of tuned) float32; tuned minus base, NaN where one of them has no such part, or no score yet."""
        if self.between is not None:
            return self.between
        if not self.aligned:
            return np.full_like(self.scores.tuned, np.nan)
        return np.where(self.beside >= 0, self.scores.tuned - self.scores.base[:, self.beside], np.float32(np.nan))

    def difference(self) -> np.ndarray:
        """(part of tuned,) float32; the same, summed over the rows as `totals` are."""
        if self.between is not None:
            return self.between.sum(axis=0)
        totals = self.totals()
        return np.where(self.beside >= 0, totals.tuned - totals.base[self.beside], np.float32(np.nan))

    def open_difference(self) -> np.ndarray:
        """(part of tuned,) float32; `difference` of what may be taken away, NaN elsewhere."""
        return _opened(self.difference(), self.texts.tuned)

    @property
    def signed(self) -> bool:
        """Whether a score says for or against, so that `differences` are scores of the quantity's difference: with log-probabilities, of the log-ratio tuned/base."""
        return self.method not in SIGNLESS

    @property
    def difference_said(self) -> str:
        """What `differences` are."""
        return "tuned - base" if self.between is None else "surrogate fitted to tuned - base"

    def completeness_error(self) -> Pair[np.ndarray] | None:
        """(row,) float32 a side; the sum of the scores minus what they should add up to, NaN where there are none yet; None: the method promises no sum."""
        if self.rest is None:
            return None
        sums = self.scores.zip(self.texts).map(lambda one: one[0][:, one[1].open].sum(axis=1))
        return Pair(*(sums[side] - (self.values[side] - self.rest[side]) for side in SIDES))

    def share_apart(self) -> Pair[float]:
        """How much of all scores, by magnitude, the format and the control tokens have a side; NaN: nothing is scored yet, or the method scores only what it takes away."""
        return self.totals().zip(self.texts).map(lambda one: _share_apart(*one))

    def table(self) -> pd.DataFrame:
        """One row a part of either text: its first token a side, text, role, scores summed over the targets a side, tuned minus base, and whether it may be taken away."""
        found, totals = side_by_side(self.texts, self.alignment), self.totals()
        parts = Pair(*(found.pop(f"{side}_part").to_numpy() for side in SIDES))
        for side in SIDES:
            found[side] = in_rows(totals[side], parts[side])
        found["difference"] = in_rows(self.difference(), parts.tuned)
        open_ = Pair(*((parts[side] >= 0) & self.texts[side].open[parts[side]] for side in SIDES))
        found["open"] = open_.base | open_.tuned
        return found

    def row_names(self, side: Side) -> list[str]:
        """(row,) what each row's tokens say."""
        sequence = self.texts[side].sequence
        return [sequence.said(places) for places in self.texts[side].places()]


def _mean(scores: np.ndarray, text: Parted) -> np.ndarray:
    counts = np.bincount(text.rows)
    return (scores * (counts / counts.sum())[:, None]).sum(axis=0).astype(np.float32)


def _opened(scores: np.ndarray, text: Parted) -> np.ndarray:
    return np.where(text.open, scores, np.float32(np.nan))


def _share_apart(totals: np.ndarray, text: Parted) -> float:
    written = (text.sequence.roles != ROLES.index("template")) & ~text.sequence.special
    apart = np.ones(len(text.open), dtype=bool)
    apart[text.parts[written]] = False
    size = np.abs(totals)
    return float(size[apart].sum() / size.sum()) if size.sum() > 0 else float("nan")
