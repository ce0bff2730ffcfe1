"""Whether an instruction itself is the problem: what its wording does to both models' answers, and what rules say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from model_utils.contracts.common import ModelFacts, Request, Text
from model_utils.contracts.probe import MAX_OPTIONS, Finding, ItemsRequest, Probed
from model_utils.contracts.wording import KINDS, Mark
from model_utils.pair import SIDES, Pair, Side

MAX_INSTRUCTIONS = 500
MAX_SENTENCES = 40
"""Sentences of one instruction that are left out, one after the other: the first of them."""
MAX_ANSWER = 48
"""Tokens of an answer."""


class InstructionItem(Request):
    """One instruction whose design is looked at; no right answer is needed."""

    instruction: Text
    options: Annotated[tuple[Text, ...], Field(max_length=MAX_OPTIONS)] = ()
    """the answers to choose from; empty: the answer is free, and nothing can be suggested"""

    def asked(self) -> str:
        """What a model is asked."""
        return self.instruction

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not self.instruction.strip():
            raise ValueError("The instruction is empty; write one")
        if len(self.options) == 1:
            raise ValueError("There is one option; give at least two, or none")
        if len(set(self.options)) < len(self.options):
            raise ValueError("An option stands there twice; keep one of them")
        return self


class InstructionsRequest(ItemsRequest):
    """Both models see the same instructions, each in its own format; nothing is drawn but for intervals and tests."""

    items: Annotated[tuple[InstructionItem, ...], Field(min_length=1, max_length=MAX_INSTRUCTIONS)]
    max_new_tokens: Annotated[int, Field(ge=1, le=MAX_ANSWER)] = MAX_ANSWER
    """of each greedy answer"""


@dataclass(frozen=True, eq=False)
class Instructions(Probed):
    """Every instruction; in a snapshot the first of them, and no findings."""

    models: Pair[ModelFacts]
    instructions: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    """(instruction, option)"""
    marks: tuple[tuple[Mark, ...], ...]
    """(instruction, mark) what the rules find in it, without a model"""
    sentences: tuple[tuple[tuple[int, int], ...], ...]
    """(instruction, sentence) characters from and to; the first `MAX_SENTENCES`"""
    answers: Pair[tuple[str, ...]]
    """(instruction,) the greedy answer; empty where it could not be asked"""
    effects: Pair[tuple[np.ndarray, ...]]
    """(instruction, sentence) float64, nats a token: mean log-probability of the tokens of the model's own greedy answer minus what it is without
    the sentence; positive: the sentence makes this answer likelier. NaN: nothing would be left, or it could not be asked"""
    wordings: tuple[str, ...]
    """as written, and the neutral rewordings: what is put around the instruction, which stands there as …"""
    given: Pair[tuple[tuple[str, ...], ...]]
    """(instruction, wording) the option chosen, or the greedy answer in lower case with single spaces; empty tuple: could not be asked"""
    entropy: Pair[np.ndarray]
    """(instruction,) float64, nats, 0 to `most_entropy` of the instruction: of the distribution of distinct answers over all wordings; 0: all
    wordings get the same answer; NaN: could not be asked"""
    gains: Pair[tuple[np.ndarray, ...]]
    """(instruction, option) float64, share: probability of the option among all after "I think the answer is ..." minus that without, as
    the first words of the answer: a model that reasons first decides later. No options: empty. NaN: could not be asked"""
    refused: tuple[tuple[int, str], ...]
    """(instruction, why it could not be asked): with one of its texts all of it"""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Instructions so far."""
        return len(self.instructions)

    @property
    def most_entropy(self) -> np.ndarray:
        """(instruction,) float64, nats; where the wordings' answers are as different as they can be: each its own, or, of fewer options, each
        option as often as the others, give or take one."""
        count = len(self.wordings)
        return np.array([_most_entropy(count, len(some) or count) for some in self.options], dtype=np.float64)

    def most_effective(self, side: Side) -> np.ndarray:
        """(instruction,) int64; the sentence whose absence moves the answer's log-probability furthest, up or down; -1: none is known."""
        return np.array(
            [-1 if np.isnan(one).all() else int(np.nanargmax(np.abs(one))) for one in self.effects[side]], dtype=np.int64
        )  # fmt: skip

    def largest_effect(self, side: Side) -> np.ndarray:
        """(instruction,) float64, nats a token, at least 0; how far that sentence moves it. NaN likewise."""
        chosen = self.most_effective(side)
        return np.array(
            [abs(one[place]) if place >= 0 else np.nan for one, place in zip(self.effects[side], chosen, strict=True)],
            dtype=np.float64,
        )

    def suggestion(self, side: Side) -> np.ndarray:
        """(instruction,) float64, -1 to 1; the mean gain over the options: 0: a suggestion changes nothing. NaN: there are no options, or it
        could not be asked."""
        return np.array([one.mean() if len(one) else np.nan for one in self.gains[side]], dtype=np.float64)

    def count(self, kind: str) -> np.ndarray:
        """(instruction,) int64; marks of this kind."""
        return np.array([sum(mark.kind == kind for mark in marks) for marks in self.marks], dtype=np.int64)

    def table(self) -> pd.DataFrame:
        """One row an instruction that could be asked: item (from 1), instruction, marks of each kind, and for each side the answer, the largest
        effect, the sentence that has it, entropy (with the most it can be), and the gain of what is suggested."""
        rows: dict[str, object] = {
            "item": np.arange(1, self.done + 1),
            "instruction": list(self.instructions),
            **{kind.replace(" ", "_"): self.count(kind) for kind in KINDS},
            "most_entropy": self.most_entropy,
        }
        for side in SIDES:
            chosen = self.most_effective(side).tolist()
            spans = [some[place] if place >= 0 else (0, 0) for some, place in zip(self.sentences, chosen, strict=True)]
            rows[f"answer_{side}"] = list(self.answers[side])
            rows[f"effect_{side}"] = self.largest_effect(side)
            rows[f"sentence_{side}"] = [
                text[start:stop] for text, (start, stop) in zip(self.instructions, spans, strict=True)
            ]
            rows[f"entropy_{side}"] = self.entropy[side]
            rows[f"suggestion_{side}"] = self.suggestion(side)
        refused = [number for number, _ in self.refused]
        return pd.DataFrame(rows).drop(index=refused).reset_index(drop=True)


def _most_entropy(wordings: int, answers: int) -> float:
    """nats; of so many wordings, spread over at most so many answers as evenly as whole numbers allow."""
    kinds = min(wordings, answers)
    each, over = divmod(wordings, kinds)
    counts = [each + 1] * over + [each] * (kinds - over)
    return -sum(count / wordings * math.log(count / wordings) for count in counts) + 0.0
