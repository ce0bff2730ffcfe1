"""The maps of one attention head as a figure for export; the page itself draws them on a canvas."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.labels import numbered
from model_utils.contracts.attention import Attention
from model_utils.pair import Pair

MOST_TICKS = 48


def maps(result: Attention, head: int) -> Pair[np.ndarray]:
    """(query, key) a side; entries that no query can see are NaN, which is drawn as nothing."""
    return result.weights.map(lambda weights: hide_future(weights[head]))


def hide_future(weights: np.ndarray) -> np.ndarray:
    """(query, key) with NaN where the key comes after the query."""
    return np.where(np.tri(*weights.shape) > 0, weights, np.nan)


def limit(pair: Pair[np.ndarray]) -> float:
    """The largest value of both sides: full colour on both."""
    return float(max(np.nanmax(pair.base), np.nanmax(pair.tuned)))


def difference(pair: Pair[np.ndarray]) -> np.ndarray:
    """(query, key) tuned - base."""
    return pair.tuned - pair.base


def figure(result: Attention, head: int, dark: bool = False) -> go.Figure:
    """base | tuned | tuned - base; base and tuned on one scale; numeric axes, because equal labels would merge."""
    both = maps(result, head)
    change = difference(both)
    most = float(np.nanmax(np.abs(change)))
    titles = ("base", "tuned", "tuned - base")
    fig = make_subplots(1, 3, subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.08)
    panels: tuple[tuple[np.ndarray, theme.Scale, float, float], ...] = (
        (both.base, "sequential-base", 0.0, limit(both)),
        (both.tuned, "sequential-tuned", 0.0, limit(both)),
        (change, "diverging", -most, most),
    )
    for column, (values, scale, low, high) in enumerate(panels, start=1):
        trace = _heatmap(values, theme.colour_scale(scale, dark), low, high, column, titles[column - 1])
        fig.add_trace(trace, row=1, col=column)
    fig.update_layout(theme.layout(dark))
    fig.update_layout(
        width=1440,
        height=560,
        paper_bgcolor=theme.palette(dark).background,
        title_text=f"Layer {result.layer}, head {head}",
        margin_t=88,
    )
    positions, labels = ticks(result.sequence.pieces)
    fig.update_xaxes(
        tickvals=positions, ticktext=labels, tickangle=-90, title_text="key: the token looked at", showgrid=False
    )
    fig.update_yaxes(tickvals=positions, ticktext=labels, autorange="reversed", showgrid=False)
    fig.update_yaxes(title_text="query: the token that looks", col=1)
    return fig


def ticks(pieces: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """Positions and labels of at most `MOST_TICKS` evenly spaced tokens."""
    step = -(-len(pieces) // MOST_TICKS) or 1
    positions = list(range(0, len(pieces), step))
    return positions, [numbered(position, pieces[position]) for position in positions]


def _heatmap(
    values: np.ndarray, scale: list[tuple[float, str]], low: float, high: float, column: int, title: str
) -> go.Heatmap:
    bar = {
        "orientation": "h",
        "y": -0.02,
        "yanchor": "bottom",
        "x": (2 * column - 1) / 6,
        "len": 0.26,
        "thickness": 8,
        "yref": "container",
    }
    hover = "query %{y}, key %{x}<br>%{z:.6f}<extra>" + title + "</extra>"
    return go.Heatmap(
        z=values, zmin=low, zmax=high, colorscale=scale, colorbar=bar, hovertemplate=hover, hoverongaps=False
    )
