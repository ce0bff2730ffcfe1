"""Importance density: does the tuned model use the instruction's words throughout its answer? Of this instruction, or over the list of Many."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard.figures import density as figures
from dashboard.session import editor, inputs, listing, pairs, questions, visits
from dashboard.widgets.chart import chart
from dashboard.widgets.cost import SPEED, duration
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.progress import follow
from dashboard.widgets.text import plain
from model_utils.contracts.common import Manner, Specs
from model_utils.contracts.density import DIFFERENCE, FLOOR, LEVELS, NEAR, Density, DensityRequest, Measured
from model_utils.contracts.generation import GenerationRequest
from model_utils.pair import SIDES

PRESSED = "density-pressed"
"""Key of (pair, request) that the button was pressed for last."""
ALONE = "Each model is measured on its own prompt and its own answer, as published, so the two sets of slopes belong to texts of different length. A difference can come from the format or from the length of the answer: a longer answer tends to a larger number. Asking both in one format leaves the format out, not the length."


def density() -> None:
    """The question with its cost behind a button, then what came of it; works where the insides of the two cannot be laid side by side, too."""
    st.subheader("Is the instruction used throughout the answer?", anchor=False)
    st.caption(
        "A word of the instruction is dense when many tokens of the answer lean on it. It is said of tuned models that they use the instruction's words throughout (Wu et al. 2024, arXiv 2310.00492, tables 1 and 2 have figures of other models and data); here it is measured on this pair."
    )
    question = visits.visit().question
    assert question is not None, "nothing was asked"
    asked = _request(question.request, _pick_list())
    pressed = st.session_state.get(PRESSED)
    if pressed is None or pressed[0] != question.specs or not _same(pressed[1], asked):
        questions.drop("density")
        st.caption(plain(cost(asked)))
        st.button("Measure it", key="measure-density", on_click=_press, args=(question.specs, asked))
        return
    follow("density", questions.want("density", pressed[1], background=len(asked.instructions) > 1), shown)


def _press(specs: Specs, asked: DensityRequest) -> None:
    st.session_state[PRESSED] = specs, asked


def _pick_list() -> tuple[str, ...]:
    """The instructions of the Many page, where it is to be measured over them."""
    asking = listing.many().asking
    if asking is None:
        return ()
    instructions = asking.request.instructions
    over_list = st.toggle(
        f"Over the {len(instructions):,} instructions of Many",
        key="density-over-list",
        persist_state="session",
        help="Each instruction is asked as this one is, without earlier turns, and answered anew; the numbers are then means over the list, with intervals.",
    )
    return instructions if over_list else ()


def _request(asked: GenerationRequest, listed: tuple[str, ...]) -> DensityRequest:
    """This question with its answers, where they are known; or each of these instructions, asked in the same manner."""
    system, turns = editor.parts(asked.messages)
    shared = {**{name: getattr(asked, name) for name in Manner.model_fields}, "system": system or None}
    if listed:
        return DensityRequest(instructions=listed, **shared)
    whole = questions.generation()
    if whole is not None:
        shared["answers"] = whole.answers.map(lambda one: tuple(one.answer.ids.tolist()))
    return DensityRequest(instructions=(turns[-1].content,), history=turns[:-1], **shared)


def _same(before: DensityRequest, asked: DensityRequest) -> bool:
    """Whether both ask the same; the answers are the same whoever wrote them first."""
    return before.model_copy(update={"answers": asked.answers}) == asked


def cost(request: DensityRequest) -> str:
    """How often each model goes back through its text, and about how long that takes; of a list as if all were like this one."""
    given = [len(ids) for ids in request.answers.sides if ids is not None]
    count = len(request.instructions)
    passes = max(given) if len(given) == len(SIDES) else count * request.max_new_tokens
    often = f"{'' if given else 'at most '}{passes:,} times"
    said = f"Each model goes back through its text once for each token of its answer: {often}"
    said += f" for {count:,} instructions" if count > 1 else ""
    facts, whole = pairs.facts(), questions.generation()
    if facts is None or whole is None:
        return f"{said}."
    lengths = whole.answers.map(lambda one: len(one.prompt) + len(one.answer))
    work = sum(4 * passes * one.parameters * length for one, length in facts.zip(lengths).sides)
    seconds = work / SPEED
    return f"{said}, {duration(seconds)} on two cores."


def headline(result: Density) -> str:
    """What was found, as one sentence that claims no more than the interval does."""
    change = result.interval(DIFFERENCE)
    if not change.count:
        return "There is no instruction that both models could be measured on."
    if len(result.items) == 1:
        base, tuned = (f"{use.score:.2f}" for use in result.items[0].sides.sides)
        more = "as densely as" if base == tuned else "more densely than" if float(tuned) > float(base) else "less densely than"  # fmt: skip
        return f"On this one instruction the tuned model uses its words {more} base: {tuned} against {base}."
    over = f"Over {change.count:,} instruction{'s' if change.count > 1 else ''}"
    if not np.isfinite(change.low):
        return f"{over}{' so far' if change.count > 1 else ''}: tuned - base {figures.said(change)}."
    if change.low > 0 or change.high < 0:
        more = "more" if change.low > 0 else "less"
        return f"{over} the tuned model uses the instruction's words {more} densely than base: {figures.said(change)}. {lengths(result)}"
    return f"{over} no difference between tuned and base can be told: {figures.said(change)}. {lengths(result)}"


def shown(result: Density) -> None:
    """The sentence, the figure and what it cannot prove."""
    st.write(plain(headline(result)))
    one, number = len(result.items) == 1, 0
    if not one:
        chart(
            figures.means, result, inputs.dark(), key="density-means", alt="Mean density of both models over the list"
        )
        heading_with_csv(
            "Every instruction",
            result.table,
            "density.csv",
            "Each instruction with its density in both models, the lengths of the answers, and why a number is missing.",
        )
        columns = ["instruction", "base", "tuned", "difference"]
        st.dataframe(result.table()[columns].round(3), hide_index=True, alt="Density of every instruction")
        inputs.keep_among("density-words", range(len(result.items)))
        number = st.selectbox(
            "Words of",
            range(len(result.items)),
            format_func=lambda item: plain(result.items[item].instruction[:80]),
            key="density-words",
        )
    item = result.items[number]
    _missing(result, item)
    if any(np.isfinite(use.words).any() for use in item.sides.sides):
        chart(figures.figure, result, number, inputs.dark(), key="density", alt="Density of each word in both models")
    st.caption(plain(_limits(item)))


def lengths(result: Density) -> str:
    """How long the answers are that both numbers come from, because the number grows with them."""
    both = [one.sides for one in result.items if not any(np.isnan(use.score) for use in one.sides.sides)]
    base, tuned = (np.mean([sides[side].length for sides in both]) for side in SIDES)
    return f"The answers have {base:.0f} tokens in base and {tuned:.0f} in tuned on average, and a longer answer tends to a larger number."


def _missing(result: Density, item: Measured) -> None:
    """Why a side has no number, or no words."""
    reasons = item.sides.map(lambda use: use.reason)
    for side, use in item.sides.items():
        if use.reason and (side == SIDES[0] or reasons.base != reasons.tuned):
            both = reasons.base == reasons.tuned
            st.info(plain(use.reason if both else f"{side}: {use.reason}"))
        elif not use.reason and np.isnan(use.words).all():
            st.info(
                plain(
                    f"The format of {result.models[side].id} writes the instruction in other characters, so that its words cannot be told apart there; the number holds."
                )
            )


def _limits(item: Measured) -> str:
    """What the numbers mean and what they cannot prove."""
    near = item.sides.map(lambda use: "nothing was measured" if np.isnan(use.near) else f"{use.near:.0%} of {use.length:,} tokens")  # fmt: skip
    return (
        f"A token of the prompt counts for a token of the answer when, by slope, it raised its probability nearly as much as the strongest did (steps {FLOOR + 1} to {LEVELS} of {LEVELS}; the format's tokens compete, control tokens do not). "
        f"A bar is relative to the densest token of that model's prompt; the number is the sum over the instruction's tokens, divided by log2(2 + their count). {ALONE} "
        f"Slopes of a probability vanish near 0 and 1, and say little there: within {NEAR:g} of these are {near.base} of base's answer and {near.tuned} of tuned's. A slope is no proof that a word was needed."
    )
