"""Texts that break naive code: emoji, CJK, right-to-left, combining marks, control characters, markup."""

from __future__ import annotations

from hypothesis import strategies as st

AWKWARD = (
    "🎉",
    "👩🏽‍🚀",
    "🇫🇷",
    "漢字",
    "ひらがな",
    "שלום",
    "مرحبا",
    "e\u0301",
    "Z\u0351\u036b\u0343",
    "\u200f",
    "\0",
    "\x1b[31m",
    "\r\n",
    "\t",
    "<script>",
    "&amp;",
    "\ufffd",
)

texts = st.lists(
    st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)), max_size=8
).map("".join)
"""any valid Unicode, often awkward"""

instructions = texts.filter(lambda text: bool(text.strip()))
"""what a request takes: not only space"""
