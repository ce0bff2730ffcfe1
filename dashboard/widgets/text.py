"""Text that people or models wrote, shown as it is: never read as Markdown or HTML, because a page must not act on what a model says."""

from __future__ import annotations

import html
import re

import streamlit as st

from model_utils.contracts.common import FORMATS, Format

CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
"""Control characters -> their pictures, so that NUL and the like are seen and not dropped."""

LONGEST = 240
"""Characters of a text in a table; files have all of them."""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!:$~|@&/^=\"'])")


def plain(text: str) -> str:
    """`text` for places that read Markdown (labels, notes, error boxes), so that they show exactly these characters on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.translate(CONTROL).split()))


def short(text: str) -> str:
    """On one line, control characters seen, and not longer than a table can show."""
    line = " ".join(text.translate(CONTROL).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def escaped(text: str) -> str:
    """`text` for `st.html`; entities keep the lines that Streamlit would otherwise tidy."""
    return html.escape(text.translate(CONTROL)).replace("\n", "&#10;").replace("\t", "&#9;")


def format_name(format: Format) -> str:
    """What a prompt format is called; an own template by its beginning."""
    if format in FORMATS:
        return format
    line = " ".join(format.split())
    return f"own: {line if len(line) <= 32 else line[:31] + '…'}"


def answer_text(text: str, *, side: str) -> None:
    """What a model wrote, line by line, each in its own direction."""
    if text:
        st.html(f'<div class="written {side}" dir="auto">{escaped(text)}</div>')
    else:
        st.html(f'<div class="written {side} none">no text</div>')


def side_title(side: str, name: str, facts: str = "") -> None:
    """The head of a model's column, in its colour."""
    st.html(
        f'<div class="side {side}"><b>{side}</b><span>{escaped(name)}</span><span class="facts">{escaped(facts)}</span></div>'
    )
