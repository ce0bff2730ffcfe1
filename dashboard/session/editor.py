"""The prompt editor's fields, as typed and as a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard.session import inputs, pairs, visits
from model_utils.contracts.common import FORMATS, Manner, Message, Sampling
from model_utils.contracts.generation import GenerationRequest
from model_utils.pair import SIDES, Pair

INSTRUCTION = "instruction"
"""Key of the instruction's text area: an example writes into it."""
OWN = "own template"
"""The name of a format that a person writes."""
GREEDY, SAMPLED = "greedy", "sampled"
AT_FIRST: dict[str, str | int | float | bool] = {
    INSTRUCTION: "",
    "length": 128,
    "same-tokens": False,
    "sampling": GREEDY,
    **Sampling().model_dump(),
    "samples": 1,
    "system": "",
    "format-base": "few-shot",
    "format-tuned": "chat",
    "format-both": "chat",
    "format-base-without-chat": "few-shot",
    "format-tuned-without-chat": "plain",
    "format-both-without-chat": "few-shot",
    **{f"template-{whose}": "Question: {instruction}\nAnswer:" for whose in (*SIDES, "both")},
}
"""Key -> first value of the editor's fields. They are not given to the widgets, which would quarrel with what a link brings."""


def write_form(request: GenerationRequest) -> None:
    """Into the editor's fields, before they are drawn."""
    system, turns = parts(request.messages)
    visits.visit().history = turns[:-1]
    st.session_state[INSTRUCTION], st.session_state["samples"] = turns[-1].content, request.samples
    write_manner(request, system)


def write_manner(manner: Manner, system: str) -> None:
    """The same for how both sides are asked, whatever they are asked."""
    values: dict[str, str | int | float | bool] = {
        "length": manner.max_new_tokens,
        "same-tokens": manner.same_tokens,
        "sampling": SAMPLED if manner.sampling else GREEDY,
        **(manner.sampling or Sampling()).model_dump(),
        "system": system,
    }
    formats = {"both": manner.formats.tuned} if manner.same_tokens else dict(manner.formats.items())
    for whose, format in formats.items():
        name = format if format in FORMATS else OWN
        values |= {format_key(whose, chat): name for chat in (True, False) if chat or name != "chat"}
        if name == OWN:
            values[f"template-{whose}"] = format
    for key, value in values.items():
        st.session_state[key] = value


def parts(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """(system message, turns)"""
    first = messages[0]
    return (first.content, messages[1:]) if first.role == "system" else ("", messages)


def format_key(whose: str, chat: bool) -> str:
    """Key of a format's picker; pairs with and without a chat template keep their own choice."""
    return f"format-{whose}" if chat else f"format-{whose}-without-chat"


def askable() -> tuple[str, ...]:
    """Who is asked in a format of its own."""
    return ("both",) if st.session_state.get("same-tokens", AT_FIRST["same-tokens"]) else SIDES


def at_first(key: str) -> str:
    """The key of a field of the editor, which shows its first value until another one is typed.

    Written in every run: Streamlit keeps over a change of page only what was typed, or written in the run before.
    """
    st.session_state[key] = st.session_state.get(key, AT_FIRST[key])
    return key


def _fields() -> dict[str, Any]:
    """Key -> value of the editor's fields."""
    return {key: st.session_state.get(key, first) for key, first in AT_FIRST.items()}


def manner_fields() -> dict[str, Any]:
    """How both sides are asked, whatever they are asked."""
    return {key: value for key, value in _fields().items() if key != INSTRUCTION}


def form() -> visits.Form:
    """What stands in the editor."""
    fields = _fields()
    chat, whose = not pairs.without_template(), askable()
    return visits.Form(
        instruction=fields[INSTRUCTION],
        formats=Pair(whose[0], whose[-1]).map(lambda one: _typed_format(fields, one, chat)),
        same_tokens=fields["same-tokens"],
        max_new_tokens=fields["length"],
        sampling={name: fields[name] for name in Sampling.model_fields} if fields["sampling"] == SAMPLED else None,
        samples=fields["samples"] if fields["sampling"] == SAMPLED else 1,
        system=fields["system"],
        history=visits.visit().history,
    )


def _typed_format(fields: Mapping[str, Any], whose: str, chat: bool) -> str:
    name = fields[format_key(whose, chat)]
    if name != OWN:
        return name
    template = fields[f"template-{whose}"]
    return f"{template}\n" if template in FORMATS else template  # the name of a format is no template


def go_on(answer: str) -> None:
    """The question and this answer to it become earlier turns; what was typed meanwhile stays."""
    here = visits.visit()
    assert here.question is not None and here.asked is not None, "nothing was asked"
    _, turns = parts(here.question.request.messages)
    here.history = (*turns, Message(role="assistant", content=answer))
    if st.session_state.get(INSTRUCTION) == here.asked.instruction:
        inputs.write(INSTRUCTION, "")


def forget_turns() -> None:
    visits.visit().history = ()
