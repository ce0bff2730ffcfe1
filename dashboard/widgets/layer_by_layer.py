"""One token, layer by layer: where each layer of both models looks from there."""

from __future__ import annotations

import streamlit as st

from dashboard.figures import layers as figures
from dashboard.session import inputs, selection
from dashboard.widgets.chart import chart
from dashboard.widgets.heads import VIEW
from dashboard.widgets.map_canvas import MapView
from dashboard.widgets.text import plain
from model_utils.contracts.atlas import LOOKS_BYTES, Atlas
from model_utils.contracts.common import queries_and_keys


def layer_by_layer(result: Atlas) -> None:
    """The selected token through all layers; without one among those that look here, the first that is followed."""
    st.subheader("One token, layer by layer", anchor=False)
    if result.looks is None:
        st.info(
            f"The rows of all layers would take more than {LOOKS_BYTES >> 20} MB here; ask for a shorter answer or a shorter prompt to see them. The maps above show any one layer."
        )
        return
    queries, _ = queries_and_keys(result.sequence, result.attention_kind)
    cell = selection.cell(result.sequence)
    query = cell[0] if cell and cell[0] in queries else int(result.looking[0])
    if query not in result.looking:
        st.info(
            "Followed through all layers are the tokens that choose the answer; the selected one comes before them."
        )
        return
    first = st.session_state.get(VIEW, MapView()).first
    st.caption(
        plain(f"From token {query}, {result.sequence.pieces[query]!r}.")
        + " Each row is a layer, the first on top; each cell the mean look of its heads at one token, on one scale for base and tuned."
        + (
            ""
            if first
            else " The first token is left out, as in the maps, and rows add up to 1 again; a row that looks only there is empty."
        )
    )
    alt = f"Where token {query} looks in every layer of both models"
    chart(figures.figure, result, query, first, inputs.dark(), key="layer-by-layer", alt=alt)
