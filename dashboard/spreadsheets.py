"""Tables as CSV that a spreadsheet can open without running what a model or a person wrote."""

from __future__ import annotations

import csv

import pandas as pd

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
