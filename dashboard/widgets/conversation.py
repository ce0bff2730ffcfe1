"""A conversation of several turns: what was said before, and going on from one of the answers."""

from __future__ import annotations

import streamlit as st

from dashboard.session import editor, visits
from dashboard.widgets.text import escaped
from model_utils.contracts.common import Message
from model_utils.contracts.generation import Generation

SHORT = 400
"""Characters of earlier turns that are shown without being asked for."""
STYLE = """<style>
.turns { display: grid; grid-template-columns: 64px 1fr; gap: 8px 16px; line-height: 24px; }
.turns div { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
</style>"""
WROTE = {"user": "you", "assistant": "model", "system": "system"}


def earlier_turns() -> None:
    """What was said before the instruction, exactly, and a way to forget it."""
    turns = visits.visit().history
    if not turns:
        return
    length = sum(len(turn.content) for turn in turns)
    label = f"Earlier turns: {len(turns)}"
    with st.expander(label, expanded=length <= SHORT, key=f"turns-{len(turns)}-{length}"):
        st.html(STYLE + f'<div class="turns">{"".join(map(_turn, turns))}</div>')
        st.button("Forget earlier turns", key="forget-turns", on_click=editor.forget_turns)


def _turn(turn: Message) -> str:
    return f'<b>{WROTE[turn.role]}</b><div dir="auto">{escaped(turn.content)}</div>'


def go_on(result: Generation) -> None:
    """Below two whole answers: either of them can become a turn of the conversation, which both models then read."""
    with st.container(horizontal=True, key="go-on"):
        for side, answer in result.answers.items():
            silent = not answer.text.strip()
            st.button(
                f"Go on from the {side} answer",
                key=f"go-on-{side}",
                on_click=editor.go_on,
                args=(answer.text,),
                disabled=silent,
                help="This answer has no text."
                if silent
                else "Both models then read the question, this answer and what you type next.",
            )
