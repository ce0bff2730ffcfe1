"""A place in an instruction whose wording may be the problem, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "leading premise",
    "presupposition",
    "double question",
    "missing option",
    "vagueness",
    "negation",
    "conflicting constraints",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Mark:
    """Words of an instruction that a rule found, without a model."""

    kind: Kind
    start: int
    stop: int
    """characters of the instruction; `words` is what stands there"""
    words: str
    why: str
    """one sentence: why it matters"""
    rewrite: str
    """the whole instruction with this place changed; empty where no rule can write that safely"""
    advice: str
    """what to write instead, as a sentence; where there is a rewrite, what it did"""
