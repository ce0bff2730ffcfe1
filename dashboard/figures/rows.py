"""What figures with a row for each measure share: an axis of shares, the names of the rows, and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.shift import SYMBOLS
from model_utils.pair import Side

SHARE: Mapping[str, Any] = {"range": [-0.02, 1.02], "tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 1]}
"""An axis from 0 to 100 %, whatever is found."""


class Ends(Protocol):
    """A mean and its interval, in the unit of the axis; NaN where it has none."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def error_x(found: Sequence[Ends], colour: str) -> dict[str, Any]:
    """Plotly's horizontal error bars from low to high."""
    mean, low, high = (np.array([getattr(one, name) for one in found]) for name in ("mean", "low", "high"))
    return {
        "type": "data",
        "array": high - mean,
        "arrayminus": mean - low,
        "color": colour,
        "thickness": 2,
        "width": 5,
    }


def marks(side: Side, lane: float, found: Sequence[tuple[int, Ends, str]], dark: bool) -> go.Scatter:
    """One model's mark with its interval in each of these rows: (row, where it stands, what is said under the pointer)."""
    colour = theme.palette(dark).sides[side]
    return go.Scatter(
        x=[one.mean for _, one, _ in found],
        y=[place + lane for place, _, _ in found],
        name=side,
        mode="markers",
        cliponaxis=False,
        marker={"size": 10, "color": colour, "symbol": SYMBOLS[side]},
        error_x=error_x([one for _, one, _ in found], colour),
        text=[text for _, _, text in found],
        hovertemplate=f"%{{text}}<extra>{side}</extra>",
    )


def bands(name: str, lane: float, found: Sequence[tuple[int, float, float]], dark: bool, named: bool) -> go.Scatter:
    """Grey from low to high in each of these rows (row, low, high): what is no more than chance; `named`: in the legend."""
    return go.Scatter(
        x=[end for _, low, high in found for end in (low, high, np.nan)],
        y=[place + lane for place, _, _ in found for _ in range(3)],
        name=name,
        legendgroup=name,
        showlegend=named and bool(found),
        mode="lines",
        line={"color": theme.palette(dark).noise, "width": 10},
        opacity=0.35,
        hoverinfo="skip",
    )


def share_of_rows(fig: go.Figure, title: str, names: Sequence[str], dark: bool) -> None:
    """Shares along x, and named rows."""
    fig.update_xaxes(title_text=title, **SHARE)
    named_rows(fig, names, dark)


def named_rows(fig: go.Figure, names: Sequence[str], dark: bool) -> None:
    """A named row for each of y = 0, 1, ..., from the top."""
    fig.update_yaxes(
        tickvals=[*range(len(names))],
        ticktext=[*names],
        range=[len(names) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        tickfont_color=theme.palette(dark).text,
    )
