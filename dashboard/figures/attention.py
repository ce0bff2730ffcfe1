"""The maps of one attention head, or of all in one, as a figure for export; the page itself draws them on a canvas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.labels import numbered
from model_utils.contracts.attention import Attention, Reduction
from model_utils.contracts.common import AttentionKind
from model_utils.pair import Pair, Side

MOST_TICKS = 24
SPACE = 0.08
"""Between two maps, as a share of the figure's width: a colour bar, and labels."""

NAMES: dict[AttentionKind, str] = {
    "self": "self-attention",
    "encoder": "encoder self-attention",
    "cross": "cross-attention",
}


REDUCED: dict[Reduction, str] = {
    "mean": "Mean of all heads of all layers",
    "max": "Strongest of all heads of all layers",
    "rollout": "Rollout through all layers",
}
NO_DIFFERENCE = (
    "Each model reads its own text here, so no cell of one is a cell of the other, and there is no difference."
)


def title(result: Attention, head: int | None = None) -> str:
    """Which map of which attention this is; without `head` all heads of the layer."""
    of_layer = f"Layer {result.layer}{'' if head is None else f', head {head}'}"
    which = of_layer if result.reduction == "heads" else REDUCED[result.reduction]
    return f"{which}, {NAMES[result.attention_kind]}{', weighted by values' if result.value_weighted else ''}"


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


Panel = tuple[str, Side, np.ndarray, theme.Scale, float]
"""Title, whose tokens its axes name, (query, key), and the value of full colour; a diverging scale runs from minus that."""


def figure(result: Attention, head: int, dark: bool = False) -> go.Figure:
    """base | tuned | tuned - base; base and tuned on one scale; numeric axes, because equal labels would merge.

    Where each side reads its own text there is no difference, and the figure says why.
    """
    panels = _panels(result, maps(result, head))
    fig = make_subplots(
        1,
        len(panels),
        subplot_titles=[name for name, *_ in panels],
        shared_yaxes=result.shared,
        horizontal_spacing=SPACE,
    )
    style = theme.layout(dark)
    theme.apply(fig, dark, paper_bgcolor=theme.palette(dark).background, width=1440, height=560, margin_t=88)
    fig.update_layout(title={"text": title(result, head), "subtitle_text": "" if result.shared else NO_DIFFERENCE})
    for column, (name, side, values, scale, high) in enumerate(panels, start=1):
        colours = {
            "zmin": -high if scale == "diverging" else 0.0,
            "zmax": high,
            "colorscale": theme.colour_scale(scale, dark),
        }
        bar = {"x": fig.get_subplot(1, column).xaxis.domain[1] + 0.005, "len": 0.8, "thickness": 8}
        keys, queries = result.keys(side), result.queries(side)
        hover = "query %{y}, key %{x}<br>%{z:.6f}<extra>" + name + "</extra>"
        fig.add_trace(
            go.Heatmap(x=keys, y=queries, z=values, hoverongaps=False, **colours, colorbar=bar, hovertemplate=hover),
            row=1,
            col=column,
        )
        pieces, plain = result.sequences[side].pieces, {"showgrid": False, "zeroline": False}
        fig.update_xaxes(style["xaxis"], overwrite=True, **ticks(pieces, keys), **plain, tickangle=-90, col=column)
        fig.update_yaxes(style["yaxis"], overwrite=True, **ticks(pieces, queries), **plain, col=column)
    fig.update_xaxes(title_text="key: the token looked at")
    fig.update_yaxes(autorange="reversed")
    fig.update_yaxes(title_text="query: the token that looks", col=1)
    return fig


def _panels(result: Attention, both: Pair[np.ndarray]) -> list[Panel]:
    high = limit(both)
    panels: list[Panel] = [
        ("base", "base", both.base, "sequential-base", high),
        ("tuned", "tuned", both.tuned, "sequential-tuned", high),
    ]
    if result.shared:
        change = difference(both)
        panels.append(("tuned - base", "tuned", change, "diverging", float(np.nanmax(np.abs(change)))))
    return panels


def ticks(pieces: Sequence[str], positions: np.ndarray) -> dict[str, list]:
    """Numeric ticks and labels of at most `MOST_TICKS` evenly spaced tokens of those at `positions` (position,)."""
    shown = positions[:: -(-len(positions) // MOST_TICKS) or 1].tolist()
    return {"tickvals": shown, "ticktext": [numbered(position, pieces[position]) for position in shown]}
