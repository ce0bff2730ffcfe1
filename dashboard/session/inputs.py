"""The values of widgets, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def rerun_fragment() -> None:
    """Draw again only the part of the page that is being drawn, where it is one; else the whole page."""
    context = get_script_run_ctx()
    st.rerun(scope="fragment" if context is not None and context.fragment_ids_this_run else "app")


def write(key: str, text: str) -> None:
    """Into a text area, in a callback or before it is drawn."""
    st.session_state[key] = text


def select_row(key: str, row: int | None) -> None:
    """The row that a table shows as chosen when it is drawn next; None: no row."""
    st.session_state[key] = {"selection": {"rows": [] if row is None else [row], "columns": [], "cells": []}}


def keep_among(key: str, options: Sequence[Any]) -> None:
    """Keeps a remembered choice among what the present models offer: of numbers the nearest, else the first."""
    kept = st.session_state.get(key)
    if kept is not None and kept not in options:
        numbers = isinstance(kept, int)
        st.session_state[key] = min(options, key=lambda one: abs(one - kept)) if numbers else options[0]


def showing(name: str, shown: Any) -> str:
    """Key of a widget that is drawn with this value, and calls back when another is chosen: a new key whenever it was not there that the value was chosen.

    A browser that has not heard yet what a widget was changed to still says what stood there before, whenever it asks for news of a job.
    Under the same key that would be taken for a choice.
    """
    version = st.session_state.get(f"{name}-version", 0)
    if st.session_state.setdefault(f"{name}-{version}", shown) != shown:
        version += 1
        st.session_state[f"{name}-{version}"] = shown
    st.session_state[f"{name}-version"] = version
    return f"{name}-{version}"


def dark() -> bool:
    return st.context.theme.type == "dark"


def take(key: str) -> Any:
    """A widget's value, and back to nothing chosen; for menus that act, in their callback."""
    value = st.session_state[key]
    st.session_state[key] = None
    return value


def value(key: str) -> Any:
    """A widget's value, in its callback."""
    return st.session_state[key]
