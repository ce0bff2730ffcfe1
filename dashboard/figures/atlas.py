"""One measure of all heads, layers down and heads across: base, tuned, and what tuning changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.attention import NAMES
from dashboard.figures.layers import heatmap, largest
from model_utils.contracts.atlas import MEASURES, Atlas
from model_utils.pair import Pair

ROW, AROUND = 24, 160
"""Pixels of a layer, and of all that stands around the layers."""

CHANGE = "change"
"""What is shown at first: how far tuning moved each head's look."""


@dataclass(frozen=True)
class Measure:
    """What people read of a measure."""

    name: str
    unit: str
    meaning: str


SHOWN: dict[str, Measure] = {
    CHANGE: Measure(
        "change by tuning", "nats", "how far apart the two models' looks are, 0 to 0.69: Jensen-Shannon divergence"
    ),
    "entropy": Measure("entropy", "nats", "how widely the head spreads its look; 0: all on one token"),
    "distance": Measure("distance", "tokens", "how far back it looks on average"),
    "first": Measure("share on the first token", "", "0 to 1; where many heads look when they look nowhere"),
    "instruction": Measure("share on the instruction", "", "0 to 1"),
    "template": Measure("share on the format", "", "0 to 1; the text around the instruction"),
    "answer": Measure("share on the answer so far", "", "0 to 1"),
    "previous": Measure("previous-token score", "", "0 to 1; share on the token just before"),
    "duplicate": Measure("duplicate-token score", "", "0 to 1; share on earlier places of the same token"),
    "induction": Measure("induction score", "", "0 to 1; share on what followed the same token earlier"),
}
assert set(SHOWN) == {CHANGE, *MEASURES}


def values(result: Atlas, measure: str, scope: int = 0) -> Pair[np.ndarray]:
    """(layer, head) a side of one of `MEASURES`, over the answer's queries (0) or all (1)."""
    number = MEASURES.index(measure)
    return result.summaries.map(lambda summaries: summaries[number, scope])


def figure(result: Atlas, measure: str = CHANGE, dark: bool = False) -> go.Figure:
    """One panel for the change by tuning; of a measure base | tuned | tuned - base, the first two on one scale."""
    panels = _panels(result, measure)
    shown = SHOWN[measure]
    fig = make_subplots(
        1, len(panels), subplot_titles=[title for title, *_ in panels], shared_yaxes=True, horizontal_spacing=0.08
    )
    for column, (title, cells, scale, ends) in enumerate(panels, start=1):
        bar = {"x": fig.get_subplot(1, column).xaxis.domain[1] + 0.005, "len": 0.8, "thickness": 8}
        hover = f"layer %{{customdata}}, head %{{x}}<br>%{{z:.4f}} {shown.unit}<extra>{title}</extra>"
        named = {**bar, "title": {"text": shown.unit, "side": "right"}}
        fig.add_trace(heatmap(cells, result.layers, scale, ends, dark, hover).update(colorbar=named), 1, column)
    style = theme.layout(dark)
    theme.apply(fig, dark, height=AROUND + ROW * len(result.layers), margin_t=88)
    fig.update_layout(title_text=f"{shown.name.capitalize()}, {NAMES[result.attention_kind]}")
    every = {"showgrid": False, "zeroline": False}
    rows = np.arange(len(result.layers))
    fig.update_xaxes(style["xaxis"], overwrite=True, **every, title_text="head", dtick=1)
    fig.update_yaxes(
        style["yaxis"], overwrite=True, **every, tickvals=rows, ticktext=result.layers, autorange="reversed"
    )
    fig.update_yaxes(title_text="layer", col=1)
    return fig


def _panels(result: Atlas, measure: str) -> tuple[tuple[str, np.ndarray, theme.Scale, tuple[float, float]], ...]:
    """(title, (layer, head), scale, its ends) of each."""
    if measure == CHANGE:
        return (("tuned against base", result.changes, "sequential", (0.0, largest(result.changes))),)
    both = values(result, measure)
    change, most = both.tuned - both.base, largest(*both.sides)
    return (
        ("base", both.base, "sequential-base", (0.0, most)),
        ("tuned", both.tuned, "sequential-tuned", (0.0, most)),
        ("tuned - base", change, "diverging", (-largest(change), largest(change))),
    )
