"""The words that both answers share and those of only one, and whether each answer holds to what the instruction asks in plain words."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from dashboard.figures import theme
from dashboard.session import inputs
from dashboard.widgets.text import escaped, plain
from model_utils import checks, differences, stated
from model_utils.contracts.generation import Generation
from model_utils.pair import Pair

VERDICTS = {True: "✓ pass", False: "✗ fail"}


@lru_cache(maxsize=16)
def pieces(base: str, tuned: str) -> tuple[differences.Piece, ...]:
    return differences.diff(base, tuned)


@lru_cache(maxsize=16)
def said(base: str, tuned: str) -> str:
    """Where two answers part, how long they are, and how much they share."""
    if base == tuned:
        return f"Both answers are the same, {_words(base)}."
    at = differences.first_divergence(base, tuned)
    parting = "Only the space between words differs." if at is None else f"They differ from word or mark {at + 1} on."
    lengths = f"Base {_words(base)}, tuned {_words(tuned)}."
    return f"{parting} {lengths} {differences.agreement(base, tuned):.0%} of words and marks are in both, in the same order."


def _words(text: str) -> str:
    count = checks.words(text)
    return f"{count:,} word{'' if count == 1 else 's'}"


def text_diff(result: Generation) -> None:
    """Both answers as one text."""
    texts = result.answers.map(lambda answer: answer.text)
    st.subheader("Word by word", anchor=False)
    st.caption(plain(said(*texts.sides)))
    if texts.base.strip() or texts.tuned.strip():
        st.html(f'<div class="both written" dir="auto">{marked(texts, theme.palette(inputs.dark()))}</div>')
        st.caption("Struck out: only base wrote it. Underlined: only tuned did.")


def marked(texts: Pair[str], colours: theme.Palette) -> str:
    """The diff as HTML: what only base has is deleted, what only tuned has inserted; the sign is a line as well as a colour."""
    tags = {"same": "span", "base": "del", "tuned": "ins"}
    styles = {
        "same": "",
        "base": f"color: {colours.side_text.base}; text-decoration: line-through; margin-inline-end: 4px;",
        "tuned": f"color: {colours.side_text.tuned}; text-decoration: underline; margin-inline-end: 4px;",
    }
    return "".join(
        f'<{tags[piece.kind]} style="{styles[piece.kind]}">{escaped(piece.text)}</{tags[piece.kind]}>'
        for piece in pieces(*texts.sides)
    )


def verdicts(instruction: str, result: Generation) -> None:
    """What the instruction asks in plain words, and which answer holds to it."""
    found = stated.find(instruction)
    if not found:
        st.caption("The instruction asks for nothing that can be counted, such as a number of items or words.")
        return
    st.subheader("What the instruction asks for", anchor=False)
    texts = result.answers.map(lambda answer: answer.text)
    rows = "".join(
        f'<tr><th scope="row">{escaped(check.says)}</th>'
        + "".join(
            f"<td><b>{VERDICTS[check.passes(text)]}</b> {escaped(check.found(text))}</td>" for text in texts.sides
        )
        + "</tr>"
        for check in found
    )
    st.html(
        '<table class="opened"><tr><th scope="col">check</th><th scope="col" class="base">base</th>'
        f'<th scope="col" class="tuned">tuned</th></tr>{rows}</table>'
    )
    st.caption(
        "Found in the words of the instruction and counted by rule; a pass says nothing about whether the answer is right."
    )
