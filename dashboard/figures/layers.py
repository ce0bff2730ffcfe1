"""Heatmaps with layers down: what the figures of heads share, and where one token looks, layer by layer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.labels import numbered
from model_utils.contracts.atlas import LOWEST, Atlas
from model_utils.contracts.common import queries_and_keys
from model_utils.pair import Pair

MOST_TICKS = 48
TALL, AROUND = 320, 196
"""Pixels of the layers of one panel, at most, and of all that stands around the three."""
LEAST, LARGEST = 6, 26
"""Pixels of one layer."""
BETWEEN = 32
"""Pixels between two panels."""


def heatmap(
    cells: np.ndarray, layers: np.ndarray, scale: theme.Scale, ends: tuple[float, float], dark: bool, hover: str
) -> go.Heatmap:
    """`cells` (layer, column), the rows told apart by number: a hybrid's `layers` (layer,) are not consecutive. In `hover` the layer is %{customdata}."""
    return go.Heatmap(
        z=cells,
        zmin=ends[0],
        zmax=ends[1],
        colorscale=theme.colour_scale(scale, dark),
        customdata=np.broadcast_to(layers[:, None], cells.shape),
        hoverongaps=False,
        xgap=1,
        ygap=1,
        hovertemplate=hover,
    )


def largest(*cells: np.ndarray) -> float:
    """The largest magnitude that is known; 0 where none is."""
    return max(float(np.max(np.abs(one), where=np.isfinite(one), initial=0.0)) for one in cells)


def looks_of(result: Atlas, query: int, first: bool = True) -> Pair[np.ndarray]:
    """(layer, key) float32 a side: where the token at `query` looks, up to itself if nobody looks ahead; without the `first` key, each row adds up to 1 again.

    A row that looks nowhere else is NaN then.
    """
    assert result.looks is not None, "the rows of all layers were not kept"
    row = int(np.flatnonzero(result.looking == query)[0])
    seen = keys_of(result, query)
    rows = result.looks.map(lambda looks: looks[:, row, : len(seen)])
    return rows if first else rows.map(without_first)


def keys_of(result: Atlas, query: int) -> np.ndarray:
    """(key,) int64; the tokens that the one at `query` may look at."""
    _, keys = queries_and_keys(result.sequence, result.attention_kind)
    return keys[keys <= query] if result.attention_kind == "self" else keys


def without_first(rows: np.ndarray) -> np.ndarray:
    """`rows` (..., key) with NaN for the first key and the others adding up to 1; all NaN where nothing is left."""
    rest = rows[..., 1:].sum(axis=-1, keepdims=True, dtype=np.float64)
    out = np.full_like(rows, np.nan)
    np.divide(rows[..., 1:], rest, out=out[..., 1:], where=rest >= LOWEST, casting="same_kind")
    return out


def figure(result: Atlas, query: int, first: bool = True, dark: bool = False) -> go.Figure:
    """base, tuned, tuned - base, one above the other over the same tokens; base and tuned on one scale."""
    both, keys = looks_of(result, query, first), keys_of(result, query)
    change = both.tuned - both.base
    most, apart = largest(*both.sides), largest(change)
    panels: tuple[tuple[str, np.ndarray, theme.Scale, tuple[float, float]], ...] = (
        ("base", both.base, "sequential-base", (0.0, most)),
        ("tuned", both.tuned, "sequential-tuned", (0.0, most)),
        ("tuned - base", change, "diverging", (-apart, apart)),
    )
    high = int(np.clip(TALL / len(result.layers), LEAST, LARGEST)) * len(result.layers)
    total = 3 * high + 2 * BETWEEN
    fig = make_subplots(
        3, 1, subplot_titles=[name for name, *_ in panels], shared_xaxes=True, vertical_spacing=BETWEEN / total
    )
    for row, (name, cells, scale, ends) in enumerate(panels, start=1):
        hover = f"layer %{{customdata}}, token %{{x}}<br>%{{z:.4f}}<extra>{name}</extra>"
        domain = fig.get_subplot(row, 1).yaxis.domain
        bar = {"y": sum(domain) / 2, "len": domain[1] - domain[0], "thickness": 8}
        fig.add_trace(heatmap(cells, result.layers, scale, ends, dark, hover).update(x=keys, colorbar=bar), row, 1)
    style = theme.layout(dark)
    theme.apply(fig, dark, height=total + AROUND, margin_t=48)
    every = {"showgrid": False, "zeroline": False}
    shown = keys[:: -(-len(keys) // MOST_TICKS) or 1].tolist()
    labels = [numbered(key, result.sequence.pieces[key]) for key in shown]
    fig.update_xaxes(style["xaxis"], overwrite=True, **every, tickvals=shown, ticktext=labels, tickangle=-90)
    rows = np.arange(len(result.layers))[:: -(-len(result.layers) // max(1, high // 14)) or 1]
    fig.update_yaxes(
        style["yaxis"], overwrite=True, **every, tickvals=rows, ticktext=result.layers[rows], autorange="reversed"
    )
    fig.update_yaxes(title_text="layer")
    fig.update_xaxes(title_text="token looked at", row=3)
    return fig
