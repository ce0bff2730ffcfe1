"""The parts of the text whose score differs most between the models, as a ranked list and a file."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.figures import attribution
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.text import plain
from model_utils.contracts.attribution import GRADIENTS, Attribution


def score_changes(result: Attribution, pale: bool) -> None:
    """Base, tuned and difference of each part, the largest difference first; `pale`: one side's scores are not to be read."""
    table = attribution.most_changed(result)
    if table.empty:
        return  # nothing is scored yet, or nothing is compared
    if not table["difference"].any():
        st.subheader("The words whose score changed most", anchor=False)
        st.caption(
            "No difference: both models give every part the same score."
            if result.between is None
            else "No difference: the surrogate fitted to tuned - base has no term."
        )
        return
    heading_with_csv(
        "The words whose score changed most",
        lambda: attribution.most_changed(result),
        "score_changes.csv",
        f"Every scored part with its first token's position, its score in both models and the difference ({result.difference_said}), {result.unit}.",
    )
    change = st.column_config.NumberColumn(format="%+.4f", width="small")
    numbers = change if result.signed else st.column_config.NumberColumn(format="%.4f", width="small")
    st.dataframe(
        shown(table),
        hide_index=True,
        height=min(353, 35 * (len(table) + 1) + 3),
        column_config={
            "at": st.column_config.NumberColumn(width=48),
            "part": st.column_config.TextColumn(width="small"),
            "base": numbers,
            "tuned": numbers,
            "difference": change,
        },
        alt="Parts of the text by how much their score differs between the models",
    )
    order = f"{result.difference_said}, the largest difference first, {result.unit}."
    if result.method in GRADIENTS:
        order += " Gradients live in each model's own embedding space, so their sizes are only roughly comparable."
    st.caption(
        plain(f"{order} One side's scores are no better than random: do not read this order." if pale else order)
    )


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """As people read it."""
    return pd.DataFrame(
        {
            "at": table["tuned_position"],
            "part": [repr(text)[1:-1] for text in table["tokens"]],
            **{name: table[name] for name in ("base", "tuned", "difference")},
        }
    )
