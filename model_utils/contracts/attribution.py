"""Which parts of a text an answer leaned on, in both models over one shared sequence: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from model_utils.contracts.common import ROLES, Encoded, ModelFacts, SharedSequence, check_text
from model_utils.pair import SIDES, Pair

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


def check_targets(targets: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(targets)) < len(targets):
        raise ValueError(f"The targets {targets} name a token twice, which would count it twice; name each once")
    return targets


class Explaining(SharedSequence):
    """What is explained, and in which parts of the text."""

    quantity: Quantity = "logit"
    targets: Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(check_targets)] = ()
    """positions within the answer, from 0; none: every token of the answer"""
    against: (
        Annotated[str, AfterValidator(lambda text: check_text(text, "other token"))]
        | Annotated[int, Field(ge=0)]
        | None
    ) = None
    """another token that might have stood in the target's place, as its text or its id: explained is the target's quantity minus that one's (Yin & Neubig 2022)"""
    granularity: Granularity = "token"
    spans: tuple[Annotated[str, AfterValidator(lambda text: check_text(text, "passage"))], ...] = ()
    """with the granularity 'span': the passages of the instruction that are the parts"""
    answer_too: bool = True
    """earlier tokens of the answer are parts as well; else of the prompt alone"""
    operator: Operator = "mean embedding"
    """what taking a part away means"""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.against is not None and len(self.targets) != 1:
            raise ValueError(
                f"'against' {self.against!r} asks why one token stands there and not that one, but {len(self.targets) or 'all'} targets are explained; choose one target"
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
class Attribution:
    """Scores for each target, in both models."""

    models: Pair[ModelFacts]
    sequence: Encoded
    """prompt and answer; the same tokens in both models"""
    method: Method
    quantity: Quantity
    targets: np.ndarray
    """(target,) int64; positions within the answer"""
    values: Pair[np.ndarray]
    """(row,) float32 a side; the quantity that is explained. Rows are the targets, or the one sum over them"""
    scores: Pair[np.ndarray]
    """(row, part) float32 a side; positive: the part raised the row's quantity. 0 at and after the target; NaN: not scored, or not yet"""
    parts: np.ndarray
    """(token,) int64; the part of the text that each token belongs to"""
    open: np.ndarray
    """(part,) bool; whether it may be taken away: never the format around the instruction and control tokens"""
    against: int | None = None
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
    """(row, part) float32; scores of tuned's quantity minus base's, of the method whose scores of a difference are not the difference of its scores"""
    notes: tuple[str, ...] = ()
    """sentences for people about what to keep in mind with these scores"""

    @property
    def unit(self) -> str:
        """Of the scores."""
        return unit_of(self.method, self.quantity)

    def rows(self) -> list[np.ndarray]:
        """Positions in the sequence of the tokens that each row explains."""
        places = self.sequence.positions("answer")[self.targets]
        return [places] if self.together else [places[i : i + 1] for i in range(len(places))]

    def totals(self) -> Pair[np.ndarray]:
        """(part,) float32 a side; scores summed over the rows; of a rollout, whose rows are shares, their mean."""
        rolled = self.method == "attention rollout"
        return self.scores.map(lambda scores: scores.mean(axis=0) if rolled else scores.sum(axis=0))

    def open_totals(self) -> Pair[np.ndarray]:
        """(part,) float32 a side; the same of what may be taken away, NaN elsewhere."""
        return self.totals().map(lambda scores: np.where(self.open, scores, np.float32(np.nan)))

    def differences(self) -> np.ndarray:
        """(row, part) float32; tuned minus base, NaN where one of them has no score yet."""
        return self.scores.tuned - self.scores.base if self.between is None else self.between

    def difference(self) -> np.ndarray:
        """(part,) float32; the same, summed over the rows as `totals` are."""
        totals = self.totals()
        return totals.tuned - totals.base if self.between is None else self.between.sum(axis=0)

    def open_difference(self) -> np.ndarray:
        """(part,) float32; `difference` of what may be taken away, NaN elsewhere."""
        return np.where(self.open, self.difference(), np.float32(np.nan))

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
        sums = self.scores.map(lambda scores: scores[:, self.open].sum(axis=1))
        return Pair(*(sums[side] - (self.values[side] - self.rest[side]) for side in SIDES))

    def share_apart(self) -> Pair[float]:
        """How much of all scores, by magnitude, the format and the control tokens have a side; NaN: nothing is scored yet, or the method scores only what it takes away."""
        written = (self.sequence.roles != ROLES.index("template")) & ~self.sequence.special
        apart = np.ones(len(self.open), dtype=bool)
        apart[self.parts[written]] = False
        sizes = self.totals().map(np.abs)
        return sizes.map(lambda size: float(size[apart].sum() / size.sum()) if size.sum() > 0 else float("nan"))

    def names(self) -> list[str]:
        """(part,) the text of each part."""
        return self.sequence.names(self.parts, len(self.open))

    def table(self) -> pd.DataFrame:
        """One row a part of the text: its first token, role, scores summed over the targets a side, and tuned minus base."""
        totals = self.totals()
        first = np.unique(self.parts, return_index=True)[1]
        return pd.DataFrame(
            {
                "position": first,
                "tokens": self.names(),
                "role": [ROLES[role] for role in self.sequence.roles[first]],
                "base": totals.base,
                "tuned": totals.tuned,
                "difference": self.difference(),
            }
        )
