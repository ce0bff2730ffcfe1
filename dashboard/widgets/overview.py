"""All heads of both models: the grid of their pictures, a measure of each, and which of them tuning changed most; choosing one opens it below."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import atlas as figures
from dashboard.figures.atlas import CHANGE, SHOWN
from dashboard.session import inputs, listing, selection
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.head_grid import Head, HeadMeasure, head_grid
from dashboard.widgets.heads import uneven
from dashboard.widgets.text import plain
from model_utils.contracts.atlas import Atlas

CHANGED = 0.01
"""nats; a mean change below this is called none worth naming."""
LISTED = 388
"""Pixels of the list of heads."""
LIST = "most-changed"
"""Key of the list."""
LN_2 = math.log(2)


def overview(result: Atlas) -> None:
    """The headline, the grid beside the ranked list, and the measure as numbers; at first the head that changed most lies open."""
    if "layer" not in st.session_state and "head" not in st.session_state:
        (st.session_state["layer"], st.session_state["head"]), _ = strongest(result)
    st.subheader(plain(headline(result)), anchor=False)
    st.caption(plain(over(result)))
    for sentence in (*uneven(result.models, result.attention_kind), *result.left_out):
        st.caption(plain(sentence))
    measure = _pick_measure()
    left, right = st.columns([3, 1], gap="medium")
    with left:
        opened = head_grid(
            result.pictures, head_measure(result, measure), result.layers, key="grid", selected=_chosen(result)
        )
    if opened is not None and opened != _chosen(result):
        selection.look_at(*opened)
        st.rerun()
    with right:
        _most_changed(result)
    with st.expander(f"{SHOWN[measure].name.capitalize()} in numbers"):
        alt = f"{SHOWN[measure].name} of every head of both models"
        chart(figures.figure, result, measure, inputs.dark(), key=f"atlas-{measure}", alt=alt)


def pick_list() -> tuple[str, ...]:
    """The instructions of the Many page, where the numbers are to be means over them too."""
    asking = listing.many().asking
    if asking is None:
        return ()
    instructions = asking.request.instructions
    over_list = st.toggle(
        f"All heads over the {len(instructions):,} instructions of Many too",
        key="heads-over-list",
        persist_state="session",
        help="Each instruction is asked as this one is and answered anew; the numbers of all heads are then means over the texts, with intervals. The maps below stay those of this instruction.",
    )
    return instructions if over_list else ()


def headline(result: Atlas) -> str:
    """Which head tuning changed most; the most important sentence of this part."""
    (layer, head), most = strongest(result)
    if most < CHANGED:
        return "Tuning moved the look of no head worth naming here."
    moved = int((result.changes >= CHANGED).sum())
    count = "every head" if moved == result.changes.size else f"{moved} of {result.changes.size} heads"
    return (
        f"Tuning moved the look of {count}; most that of layer {layer}, head {head} ({most:.2f} of at most 0.69 nats)."
    )


def over(result: Atlas) -> str:
    """What the numbers are means of."""
    count, (answer, text) = len(result.each), result.queries
    rows = f"the {text} tokens" if result.attention_kind == "encoder" else f"the {answer} tokens of the answer"
    bounded = " Intervals are 95 %, by resampling the texts." if np.isfinite(result.bounds).any() else ""
    texts = "this one text" if count == 1 else f"{count:,} texts"
    rows = rows if count == 1 else "the tokens of each answer, then over the texts"
    return (
        f"Change by tuning: how far apart both models' looks are, from 0 to 0.69 nats (Jensen-Shannon divergence), mean over {rows}. "
        f"It is measured over {texts}, and says that a head looks elsewhere, not that this matters for the answer: the causal check below does.{bounded}"
    )


def strongest(result: Atlas) -> tuple[Head, float]:
    """The head that changed most, and by how much; nats."""
    row, head = np.unravel_index(int(np.argmax(result.changes)), result.changes.shape)
    return (int(result.layers[row]), int(head)), float(result.changes[row, head])


def head_measure(result: Atlas, measure: str) -> HeadMeasure:
    """What the third panel of the grid shows: the change by tuning, or a measure's difference tuned - base."""
    shown = SHOWN[measure]
    if measure == CHANGE:
        most = float(result.changes.max())
        return HeadMeasure("change", result.changes, "sequential", most, shown.unit, shown.meaning)
    both = figures.values(result, measure)
    change = both.tuned - both.base
    most = float(np.max(np.abs(change), where=~np.isnan(change), initial=0.0))
    words = f"{shown.meaning}; tuned - base: vermilion is more in tuned, blue more in base"
    return HeadMeasure(f"{shown.name}: tuned - base", change, "diverging", most, shown.unit, words)


def _pick_measure() -> str:
    return st.selectbox(
        "Measure",
        list(SHOWN),
        format_func=lambda measure: SHOWN[measure].name,
        key="head-measure",
        width=320,
        persist_state="session",
        help="What the third panel shows. Means are over the tokens of the answer; a head without such tokens stays empty.",
    )


def _chosen(result: Atlas) -> Head | None:
    """The head whose maps are shown below; None: those of many heads are."""
    layer, head = st.session_state.get("layer", int(result.layers[0])), st.session_state.get("head", 0)
    many = isinstance(head, str) or st.session_state.get("reduction", "heads") != "heads"
    return None if many or layer not in result.layers or head >= result.changes.shape[1] else (layer, head)


def _most_changed(result: Atlas) -> None:
    """The ranked list; a row opens its head."""
    table = result.table()
    heading_with_csv(
        "Most changed",
        result.table,
        "heads.csv",
        "Every head with its change in nats and every measure of both models, over the answer's tokens.",
    )

    def pick() -> None:
        rows = st.session_state[LIST]["selection"]["rows"]
        if rows:
            row = table.iloc[rows[0]]
            selection.look_at(int(row["layer"]), int(row["head"]))

    names = [f"L{layer}.H{head}" for layer, head in zip(table["layer"], table["head"], strict=True)]
    shown = pd.DataFrame({"head": names, "change": table["change"]})
    if np.isfinite(result.bounds).any():
        shown["interval"] = [f"{low:.2f} to {high:.2f}" for low, high in zip(table["low"], table["high"], strict=True)]
    st.dataframe(
        shown,
        hide_index=True,
        height=LISTED,
        on_select=pick,
        selection_mode="single-row",
        key=LIST,
        column_config={
            "change": st.column_config.ProgressColumn("change, nats", format="%.3f", min_value=0, max_value=LN_2)
        },
        alt="All heads, most changed first",
    )
