"""Deletion and insertion: how the explained value changes as parts are taken away in the order of the scores, against random orders."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from model_utils.contracts.attribution import UNITS
from model_utils.contracts.faithfulness import POINTS, Direction, Faithfulness, Judged
from model_utils.pair import SIDES

BAND = (5, 95)
"""Percentiles of the random orders between which the band lies."""
TITLES: dict[Direction, str] = {"deletion": "highest taken away", "insertion": "only the highest stay"}
HEIGHT = 320


def curve(one: Judged, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
    """(point,) of the scores and (order, point) of the random orders measured so far."""
    mine, random = (
        (one.deletion, one.random_deletion) if direction == "deletion" else (one.insertion, one.random_insertion)
    )
    return mine, random[~np.isnan(random).any(axis=1)]


def figure(result: Faithfulness, dark: bool = False) -> go.Figure:
    """Deletion | insertion; for each side a line for the scores and a band for the random orders, in its colour."""
    shares = 100 * np.array((0.0, *POINTS))
    colours = theme.palette(dark).sides
    fig = make_subplots(1, 2, subplot_titles=list(TITLES.values()), horizontal_spacing=0.09)
    for column, direction in enumerate(TITLES, start=1):
        for side in SIDES:
            mine, random = curve(result.judged[side], direction)
            if len(random):
                low, high = np.percentile(random, BAND, axis=0)
                fig.add_trace(
                    go.Scatter(
                        x=np.concatenate([shares, shares[::-1]]),
                        y=np.concatenate([high, low[::-1]]),
                        fill="toself",
                        mode="none",
                        fillcolor=colours[side],
                        opacity=0.22,
                        hoverinfo="skip",
                        name=f"{side}: random orders",
                        showlegend=column == 1,
                    ),
                    1,
                    column,
                )
            hover = f"{side}, %{{x:.0f}} %% of the parts<br>%{{y:.4f}} {UNITS[result.quantity]}<extra></extra>"
            fig.add_trace(
                go.Scatter(
                    x=shares,
                    y=mine,
                    mode="lines+markers",
                    line={"color": colours[side], "width": 2},
                    name=f"{side}: these scores",
                    showlegend=column == 1,
                    hovertemplate=hover.replace("%%", "%"),
                ),
                1,
                column,
            )
    style = theme.layout(dark)
    theme.apply(fig, dark, height=HEIGHT, margin_t=88)
    fig.update_layout(legend={"orientation": "h", "y": 1.3, "x": 0})
    fig.update_xaxes(style["xaxis"], overwrite=True, title_text="share of the parts, %")
    fig.update_yaxes(style["yaxis"], overwrite=True)
    fig.update_yaxes(title_text=f"{result.quantity}, {UNITS[result.quantity]}", col=1)
    return fig
