"""A table as a CSV file that a spreadsheet can open without running what a model or a person wrote."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pandas as pd
import streamlit as st

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
OWN_DOWNLOAD = (
    "<style>[data-testid='stElementToolbar'] button[aria-label^='Download as CSV'] { display: none; }</style>"
)
"""On every page: a table's own download would hand formulas to a spreadsheet as they are."""
GUARDED = (
    "A text that begins with = + - or @ gets an apostrophe before it, so that no spreadsheet runs it as a formula."
)


def heading_with_csv(title: str, table: Callable[[], pd.DataFrame], file_name: str, help: str) -> None:
    """A heading, and at the other end of its line the whole table as a file, made when it is asked for; `help`: what is in it."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.subheader(title, anchor=False, width="content")
        st.download_button(
            "Download as CSV",
            data=lambda: csv_file(table()),
            file_name=file_name,
            mime="text/csv",
            on_click="ignore",
            help=f"{help} {GUARDED}",
        )


def csv_file(table: pd.DataFrame) -> bytes:
    """The whole table. Texts are in quotation marks, and none of them can be run by a spreadsheet."""
    safe = table.copy()
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(guard, na_action="ignore")
    return safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode("utf-8", "replace")


def guard(text: str) -> str:
    """With an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(FORMULAS) else text
