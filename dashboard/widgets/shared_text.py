"""Whose prompt and answer both models read when their insides are compared."""

from __future__ import annotations

import streamlit as st

from dashboard import session
from dashboard.widgets.text import plain
from model_utils.contracts.common import FORMATS, Encoded
from model_utils.pair import SIDES, Side


def pick_text() -> Side:
    """One text for both models, because only equal tokens can be compared one by one."""
    question = session.visit().question
    assert question is not None, "nothing was asked"
    formats = question.request.formats
    chosen = st.segmented_control(
        "Prompt and answer that both models read",
        SIDES,
        default=session.visit().side,
        format_func=lambda side: f"{side} ({formats[side] if formats[side] in FORMATS else session.OWN})",
        required=True,
        key=f"text-{session.visit().side}",
        help="Both models read the same prompt and the same answer, token by token. Yours to choose: as the tuned model was asked and answered, or as the base model was.",
    )
    if chosen != session.visit().side:
        session.read_along(chosen)
        st.rerun()
    return chosen


def notes(sequence: Encoded) -> None:
    """What has to be known about how this text was made."""
    for note in sequence.notes:
        st.warning(plain(note))
