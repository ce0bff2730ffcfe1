"""What every page says in words: its question, one plain sentence, how to read it, and what to do while it is empty."""

from __future__ import annotations

import streamlit as st


def question(title: str, sentence: str) -> None:
    """The one question of a page, and what it is about for someone who has never seen such a page."""
    st.header(title, anchor=False)
    st.write(sentence)


def how_to_read(words: str) -> None:
    """What the page shows and what it cannot prove; Candor's own words only, because this reads Markdown."""
    with st.expander("How to read this"):
        st.markdown(words)


def nothing_yet(words: str) -> None:
    """The page before anything was asked; Candor's own words only."""
    with st.container(border=True, key="nothing-yet"):
        st.caption(words)
