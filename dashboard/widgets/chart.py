"""A Plotly figure on a page, in Candor's own colours."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st


def chart(figure: go.Figure, *, key: str, alt: str) -> None:
    """Draws the figure; `alt` says in words what it shows."""
    st.plotly_chart(figure, theme=None, config={"displaylogo": False}, key=key, alt=alt)
