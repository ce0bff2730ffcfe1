"""Whose prompt and answer both models read when their insides are compared."""

from __future__ import annotations

import streamlit as st

from dashboard.session import selection, visits
from dashboard.widgets.text import format_name, plain
from model_utils.contracts.common import Encoded
from model_utils.pair import SIDES, Side


def pick_text() -> Side:
    """One text for both models, because only equal tokens can be compared one by one."""
    question = visits.visit().question
    assert question is not None, "nothing was asked"
    formats = question.request.formats
    chosen = st.segmented_control(
        "Prompt and answer of",
        SIDES,
        default=visits.visit().side,
        format_func=lambda side: plain(f"{side} ({format_name(formats[side])})"),
        required=True,
        key=f"text-{visits.visit().side}",
        help="Both models read the same prompt and the same answer, token by token; unless each reads its own, or their tokenizers differ, which is said then. Yours to choose: as the tuned model was asked and answered, or as the base model was.",
    )
    if chosen != visits.visit().side:
        selection.read_along(chosen)
        st.rerun()
    return chosen


def pick_own() -> bool:
    """Whether maps and scores are of each model's own text instead."""
    return st.toggle(
        "Each model's own text",
        key="own-texts",
        persist_state="session",
        help="Each model then reads its own prompt and its own answer, so that there is no difference between the two. What compares all heads on the Attention page stays with the one text that both read.",
    )


def notes(sequence: Encoded) -> None:
    """What has to be known about how this text was made."""
    for note in sequence.notes:
        st.warning(plain(note))
