"""What attribution scores cost, said before they are computed; what takes long starts only when it is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import streamlit as st

from dashboard.session import pairs, questions, visits
from model_utils.contracts.attribution import (
    BATCH_BYTES,
    BATCH_TOKENS,
    GRADIENTS,
    GROUP,
    REMOVALS,
    SHAPLEY_PARTS,
    SURROGATE_MASKS,
    AttributionRequest,
    Method,
    Parted,
    Scoring,
)
from model_utils.contracts.common import Encoded, ModelFacts
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair, Side
from model_utils.parts import parts_of

AT_ONCE_SECONDS = 5.0
"""What is estimated to take longer does not start by being picked."""
SPEED = 1e11
"""Additions and multiplications a second that two cores reach on short texts."""


@dataclass(frozen=True)
class Cost:
    """Of one request, estimated."""

    forward: int
    """passes over the text in each model"""
    back: int
    seconds: float
    """for both models"""
    memory: float
    """bytes beside the weights"""

    def said(self) -> str:
        passes = f"about {self.forward:,} {'pass' if self.forward == 1 else 'passes'} forward"
        back = f" and {self.back:,} back" if self.back else ""
        return f"{passes}{back} in each model, {duration(self.seconds)} on two cores, {megabytes(self.memory)} of memory beside the models"


def duration(seconds: float) -> str:
    """An estimate in words."""
    for size, unit in ((1, "second"), (60, "minute"), (3_600, "hour")):
        if seconds < 100 * size or unit == "hour":
            count = rounded(seconds / size)
            return f"less than a {unit}" if seconds < size else f"some {count} {unit}{'' if count == '1' else 's'}"
    raise AssertionError(seconds)


def passes(method: Method, request: Scoring, parts: int, targets: int) -> tuple[int, int]:
    """Passes forward and back over the text in each model: `parts` that may be taken away, `targets` with rows of their own."""
    return {
        "integrated gradients": (request.steps + 2, request.steps * targets),
        "occlusion": (parts + 1, 0),
        "Shapley values": (2 ** min(parts, SHAPLEY_PARTS), 0),
        "sparse surrogate": (1 + (request.samples or SURROGATE_MASKS), 0),
        "attention rollout": (2, 0),
    }.get(method, (1, targets))


def rounded(value: float) -> str:
    """To two digits: an estimate knows no more."""
    return f"{float(f'{value:.2g}'):,.0f}"


def megabytes(size: float) -> str:
    return "less than 10 MB" if size < 1e7 else f"about {rounded(size / 1e6)} MB"


def estimate(request: AttributionRequest) -> Cost | None:
    """None before models and text are known, when only Run starts anything, and where there is nothing to score."""
    facts = pairs.facts()
    base, tuned = (questions.known_text(side if request.own else request.answer_from) for side in SIDES)
    if facts is None or base is None or tuned is None:
        return None
    try:
        return cost_of(request, facts, Pair(base, tuned))
    except Refused:
        return None  # why is said where the scores would be


def cost_of(request: AttributionRequest, facts: Pair[ModelFacts], texts: Pair[Encoded]) -> Cost:
    """Of both models over what each reads. Refused where there is nothing to score, or too much."""
    one, other = (_cost_of(request, side, facts[side], texts[side]) for side in SIDES)
    return Cost(max(one.forward, other.forward), max(one.back, other.back), one.seconds + other.seconds, max(one.memory, other.memory))  # fmt: skip


def _cost_of(request: AttributionRequest, side: Side, facts: ModelFacts, text: Encoded) -> Cost:
    asked = request.own.targets if request.own is not None and side != request.answer_from else request.targets
    answer = text.positions("answer")
    targets = [number for number in asked if number < len(answer)] or list(range(len(answer)))
    tokens = int(answer[max(targets)])  # what stands before the last target
    numbers = np.array(targets, dtype=np.int64)
    parts = int(Parted(text, *parts_of(text, request, tokens), numbers, numbers).compared.sum())
    if request.method == "Shapley values" and parts > SHAPLEY_PARTS:
        raise Refused(f"Shapley values are computed for at most {SHAPLEY_PARTS} parts, and there are {parts}.")
    forward, back = passes(request.method, request, parts, len(targets))
    work = (2 * forward + 4 * back) * facts.parameters * tokens
    return Cost(forward, back, work / SPEED, _memory(request, facts, tokens, len(targets)))


def _memory(request: AttributionRequest, facts: ModelFacts, tokens: int, targets: int) -> float:
    """Bytes of float32: what each layer keeps for the way back, some 16 times its width a token and its maps twice; a group of targets has a few more of one layer."""
    wide = 16 * math.sqrt(facts.parameters / (12 * max(1, facts.layers))) * 4
    maps, group = max(facts.heads, facts.encoder_heads) * tokens**2 * 4, min(GROUP, targets)
    if request.method in REMOVALS:
        return wide * max(tokens, BATCH_TOKENS) + BATCH_BYTES
    if request.method in GRADIENTS:
        return (facts.layers + group) * tokens * wide + (2 * facts.layers + 3 * group) * maps
    return facts.layers * maps


def started(request: AttributionRequest) -> bool:
    """Whether the scores are there, on their way, or cheap; else a button, under the cost that the pickers state, starts them."""
    here = visits.visit()
    held = here.held.get("attribution")
    if held is not None and questions.answers(held, request):
        return True
    cost = estimate(request)
    if cost is None or cost.seconds <= AT_ONCE_SECONDS or request in here.agreed:
        return True
    if held is not None and not held.over:
        questions.drop("attribution")  # nobody waits for the former scores any more
    st.caption(
        f"Not computed yet: what is likely to take more than {AT_ONCE_SECONDS:.0f} seconds starts when you ask for it."
    )
    st.button("Compute it", key="compute-attribution", on_click=here.agreed.add, args=(request,))
    return False
