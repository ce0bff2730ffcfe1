"""What figures with a row for each measure share: an axis of shares, the names of the rows, and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme

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
