"""One visitor's state beside the values of the widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st
from pydantic import TypeAdapter

from dashboard.link import Link, ListLink, View
from dashboard.session import compute
from model_utils import catalogue
from model_utils.contracts.common import Format, Message, ModelFacts, Request, Specs
from model_utils.contracts.generation import GenerationRequest
from model_utils.pair import Pair, Side

_format = TypeAdapter[str](Format)


@dataclass(frozen=True)
class Form:
    """What stands in the editor: as typed, not checked yet."""

    instruction: str
    formats: Pair[str]
    same_tokens: bool
    max_new_tokens: int
    sampling: Mapping[str, float] | None
    """fields of `Sampling`; None: greedy"""
    samples: int
    system: str
    history: tuple[Message, ...]
    """earlier turns"""

    def request(self) -> GenerationRequest:
        """What both models are asked; a ValidationError says what cannot be asked."""
        if self.same_tokens:
            _format.validate_python(self.formats.tuned)  # one mistake, not one a side
        system = [{"role": "system", "content": self.system}] if self.system.strip() else []
        return GenerationRequest.model_validate(
            {
                "messages": (*system, *self.history, {"content": self.instruction}),
                "formats": self.formats,
                "same_tokens": self.same_tokens,
                "sampling": self.sampling,
                "max_new_tokens": self.max_new_tokens,
                "samples": self.samples,
            }
        )


@dataclass(frozen=True)
class Question:
    """What Run asked: whom, and what; every page shows its analysis of the same question."""

    specs: Specs
    request: GenerationRequest


@dataclass(frozen=True)
class Filled:
    """The pair and the editor as the address filled them last."""

    came: Link | ListLink
    pair: Specs
    fields: Mapping[str, str | int | float | bool]
    """key -> value of the editor's fields but the instruction"""


@dataclass
class Visit:
    """One visitor's state beside the values of the widgets."""

    chosen: Specs = catalogue.DEFAULT
    """the pair chosen last"""
    former: Specs = catalogue.DEFAULT
    """the pair that comes back when the chosen one cannot be opened"""
    report: compute.Held | None = None
    """the load report of the chosen pair, which opens it"""
    refused: str | None = None
    """why the last choice of a pair was not taken, as a sentence"""
    recent: tuple[Specs, ...] = ()
    """pairs chosen before, the latest first"""
    reading: bool = False
    """whether the load report lies open"""
    linked: Link | None = None
    """the question that came with the address, until it is run"""
    unopened: Specs | None = None
    """the pair that came with it: nothing of it is looked for before Run"""
    filled: Filled | None = None
    wished: View | None = None
    """what the address wants to look at in models that are not known yet"""
    awaited: View | None = None
    """what it selects in an answer that is not known yet"""
    history: tuple[Message, ...] = ()
    """earlier turns, before the instruction"""
    asked: Form | None = None
    """the editor as it was when the question was asked"""
    question: Question | None = None
    problem: str | None = None
    """why the last Run was not accepted, as a sentence"""
    held: dict[str, compute.Held] = field(default_factory=dict)
    """kind of analysis -> its job"""
    facts: Pair[ModelFacts] | None = None
    """of the models asked, once known"""
    told: list[Pair[ModelFacts]] = field(default_factory=list)
    """what the question's results said of the models"""
    side: Side = "tuned"
    """whose prompt and answer both models read on the attention and attribution pages"""
    token: int | None = None
    """the selected token, as a position in that answer"""
    other_token: int | None = None
    """the selected token of the other side's answer, for scores of each model's own text"""
    pinned: tuple[int, int] | None = None
    """(query, key) pinned in the attention maps, since the token was selected"""
    against: dict[tuple[Side, int], str | int] = field(default_factory=dict)
    """(side, token of its answer) -> what that token is explained against: a typed text, or the id of an alternative"""
    agreed: set[Request] = field(default_factory=set)
    """what takes long and was asked for all the same"""
    split: tuple[Format, Format] | None = None
    """the formats, reference first, between which the difference is parted into format and weights; None: base's and tuned's"""

    @property
    def opened(self) -> bool:
        """Whether nothing speaks against the chosen pair, so far."""
        return self.report is None or self.report.state not in ("failed", "cancelled")

    @property
    def opening(self) -> bool:
        """Whether the chosen pair is on its way."""
        return self.report is not None and not self.report.over

    @property
    def pair(self) -> Specs:
        """The two models that are asked."""
        return self.unopened or self.opened_pair

    @property
    def opened_pair(self) -> Specs:
        return self.chosen if self.opened else self.former


def begun() -> bool:
    """Whether a page was drawn for this visitor before."""
    return "visit" in st.session_state


def visit() -> Visit:
    if not begun():
        st.session_state["visit"] = Visit()
    return st.session_state["visit"]
