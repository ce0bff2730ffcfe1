"""One attention head of both models: pickers, the three maps, the pinned row as token strips, and the export."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard import session
from dashboard.figures import attention
from dashboard.widgets.map_canvas import MapPanel, map_canvas
from dashboard.widgets.shared_text import notes, pick_text
from dashboard.widgets.text import plain, side_title
from dashboard.widgets.token_strip import token_strip
from model_utils.contracts.attention import Attention
from model_utils.contracts.common import Encoded
from model_utils.pair import Pair, Side


def pick_text_layer_head() -> tuple[Side, int, int]:
    with st.container(horizontal=True, vertical_alignment="top", key="pick-head"):
        facts = session.visit().facts
        layers = min(one.layers for _, one in facts.items()) if facts else 1
        head_count = min(one.heads for _, one in facts.items()) if facts else 1
        return pick_text(), _number("Layer", layers), _number("Head", head_count)


def _number(name: str, count: int) -> int:
    session.clamp(name.lower(), count - 1)
    return st.number_input(
        f"{name}, 0 to {count - 1}", 0, count - 1, key=name.lower(), width=144, persist_state="session"
    )


def heads(result: Attention, head: int) -> None:
    """Maps of one head: base, tuned, and what tuning changed."""
    if head >= min(len(weights) for _, weights in result.weights.items()):
        return
    weights = result.weights.map(lambda weights: weights[head])
    notes(result.sequence)
    _maps(result.sequence, weights)
    _row(result, weights)
    _export(result, head)


def _maps(sequence: Encoded, weights: Pair[np.ndarray]) -> None:
    change = attention.difference(weights)
    both, most = attention.limit(weights), float(np.abs(change).max())
    panels = (
        MapPanel("base", weights.base, "sequential-base", both),
        MapPanel("tuned", weights.tuned, "sequential-tuned", both),
        MapPanel("tuned - base", change, "diverging", most),
    )
    cell = session.cell(sequence)
    picked = map_canvas(panels, sequence.pieces, key="maps", selected=cell)
    if picked != cell:
        session.pin(picked, sequence)
        st.rerun()
    with st.container(key="maps-scale"):
        st.caption(
            f"Share of the look, 0 to 1. Base and tuned are on one scale: full colour is {both:.3f} on both. "
            f"Difference: full colour is {most:.3f} either way; vermilion is more in tuned, blue more in base."
        )


def _row(result: Attention, weights: Pair[np.ndarray]) -> None:
    """Where one token looks, along the text; until one is pinned, the row that chose the first token of the answer."""
    sequence = result.sequence
    cell = session.cell(sequence)
    first = int(sequence.positions("answer")[0])
    query = cell[0] if cell else first - 1
    st.subheader("Where one token looks", anchor=False)
    st.write(plain(_said(sequence, query, first)))
    rows = weights.map(lambda weights: np.where(np.arange(len(sequence)) <= query, weights[query], np.nan))
    limit = float(max(np.nanmax(rows.base), np.nanmax(rows.tuned)))
    for side, row in rows.items():
        side_title(side, result.models[side].id)
        picked = token_strip(
            sequence,
            key=f"row-{side}",
            label=f"Where token {query} looks in the {side} model",
            values=row,
            limit=limit,
            colours=side,
            hover=[f"looked at with {share:.4f}" if share == share else "comes later" for share in row],
            selected=cell[0] if cell else None,
        )
        if picked != (cell[0] if cell else None):
            session.pin(None if picked is None else (picked, picked), sequence)
            st.rerun()


def _said(sequence: Encoded, query: int, first: int) -> str:
    """Which row this is, in words, and which token of the answer it chose."""
    reading = f"The look of token {query}, {sequence.pieces[query]!r}"
    if first - 1 <= query < len(sequence) - 1:
        return f"{reading}: from here the model chooses token {query + 1 - first} of the answer, {sequence.pieces[query + 1]!r}."
    return f"{reading}."


def _export(result: Attention, head: int) -> None:
    dark = session.dark()
    st.download_button(
        "Download these maps",
        data=lambda: attention.figure(result, head, dark).to_html(include_plotlyjs=True).encode(),
        file_name=f"attention-layer-{result.layer}-head-{head}.html",
        mime="text/html",
        on_click="ignore",
        help="One HTML file that opens without a connection: the three maps with exact values.",
    )
