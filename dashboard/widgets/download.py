"""A table as a CSV file that a spreadsheet can open without running what a model or a person wrote."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboard.spreadsheets import csv_file

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
