"""A Plotly figure on a page, in Candor's own colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import streamlit as st


def chart(draw: Callable[..., go.Figure], *given: Any, key: str, alt: str) -> None:
    """Draws the figure that `draw` makes of `given`; `alt` says in words what it shows.

    Plotly takes up to 0.1 s to make one, so that the visitor's last one under this key is drawn again while it is of the same: results are
    the same when they are one object.
    """
    kept = st.session_state.get(f"figure-{key}")
    if kept is None or kept[0] != (draw, given):
        kept = ((draw, given), draw(*given))
        st.session_state[f"figure-{key}"] = kept
    st.plotly_chart(kept[1], theme=None, config={"displaylogo": False}, key=key, alt=alt)
