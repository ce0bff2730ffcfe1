"""The maps of one attention head as a figure for export; the page itself draws them on a canvas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.labels import numbered
from model_utils.contracts.attention import Attention
from model_utils.contracts.common import AttentionKind
from model_utils.pair import Pair

MOST_TICKS = 24

NAMES: dict[AttentionKind, str] = {
    "self": "self-attention",
    "encoder": "encoder self-attention",
    "cross": "cross-attention",
}


def maps(result: Attention, head: int) -> Pair[np.ndarray]:
    """(query, key) a side; entries that no query can see are NaN, which is drawn as nothing."""
    return result.weights.map(lambda weights: hide_future(weights[head]) if result.causal else weights[head])


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
    panels: tuple[tuple[str, np.ndarray, theme.Scale, float, float], ...] = (
        ("base", both.base, "sequential-base", 0.0, limit(both)),
        ("tuned", both.tuned, "sequential-tuned", 0.0, limit(both)),
        ("tuned - base", change, "diverging", -most, most),
    )
    fig = make_subplots(
        1, 3, subplot_titles=[title for title, *_ in panels], shared_yaxes=True, horizontal_spacing=0.08
    )
    for column, (title, values, scale, low, high) in enumerate(panels, start=1):
        bar = {"x": fig.get_subplot(1, column).xaxis.domain[1] + 0.005, "len": 0.8, "thickness": 8}
        hover = "query %{y}, key %{x}<br>%{z:.6f}<extra>" + title + "</extra>"
        colours = {"zmin": low, "zmax": high, "colorscale": theme.colour_scale(scale, dark), "colorbar": bar}
        at = {"x": result.keys, "y": result.queries, "hoverongaps": False}
        fig.add_trace(go.Heatmap(z=values, **at, **colours, hovertemplate=hover), row=1, col=column)
    style = theme.layout(dark)
    fig.update_layout(style, paper_bgcolor=theme.palette(dark).background, width=1440, height=560, margin_t=88)
    fig.update_layout(title_text=f"Layer {result.layer}, head {head}, {NAMES[result.attention_kind]}")
    pieces = result.sequence.pieces
    fig.update_xaxes(style["xaxis"], **ticks(pieces, result.keys), tickangle=-90, showgrid=False, zeroline=False)
    fig.update_yaxes(style["yaxis"], **ticks(pieces, result.queries), showgrid=False, zeroline=False)
    fig.update_xaxes(title_text="key: the token looked at")
    fig.update_yaxes(autorange="reversed")
    fig.update_yaxes(title_text="query: the token that looks", col=1)
    return fig


def ticks(pieces: Sequence[str], positions: np.ndarray) -> dict[str, list]:
    """Numeric ticks and labels of at most `MOST_TICKS` evenly spaced tokens of those at `positions` (position,)."""
    shown = positions[:: -(-len(positions) // MOST_TICKS) or 1].tolist()
    return {"tickvals": shown, "ticktext": [numbered(position, pieces[position]) for position in shown]}
