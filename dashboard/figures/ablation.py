"""What an answer loses when an attention head is switched off: every head at a glance, or one head token by token."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.attention import NAMES
from dashboard.figures.labels import numbered, visible
from dashboard.figures.layers import heatmap, largest
from model_utils.contracts.ablation import Ablation, Fill
from model_utils.pair import Pair

ROW, AROUND = 22, 170
"""Pixels of a layer, and of all that stands around the layers."""
MOST_TICKS = 24

FILLED: dict[Fill, str] = {"zero": "output set to zero", "mean": "output set to its mean over the text"}


def grid(result: Ablation) -> tuple[np.ndarray, Pair[np.ndarray]]:
    """(row,) int64 layers, and (row, head) nats a side: what each head changes; NaN where none was asked for, or not computed yet."""
    layers, rows = np.unique(result.heads[:, 0], return_inverse=True)
    heads = result.heads[:, 1]

    def laid(totals: np.ndarray) -> np.ndarray:
        cells = np.full((len(layers), int(heads.max()) + 1), np.nan, dtype=np.float32)
        cells[rows, heads] = totals
        return cells

    return layers, result.totals().map(laid)


def figure(result: Ablation, dark: bool = False) -> go.Figure:
    """Base | tuned, layers down and heads across, on one scale; of a single head its tokens."""
    return heads_figure(result, dark) if len(result.heads) > 1 else tokens_figure(result, 0, dark)


def heads_figure(result: Ablation, dark: bool = False) -> go.Figure:
    """The change of the whole answer's log-probability by each head that is off; numeric axes, because a hybrid's layers are not consecutive."""
    layers, both = grid(result)
    most = largest(*both.sides)
    fig = make_subplots(1, 2, subplot_titles=["base", "tuned"], shared_yaxes=True, horizontal_spacing=0.04)
    for column, (side, cells) in enumerate(both.items(), start=1):
        bar = {"title": {"text": "nats", "side": "right"}, "thickness": 8, "len": 0.9}
        hover = f"layer %{{customdata}}, head %{{x}}<br>%{{z:+.4f}} nats<extra>{side}</extra>"
        trace = heatmap(cells, layers, "diverging", (-most, most), dark, hover)
        fig.add_trace(trace.update(showscale=column == 2, colorbar=bar), 1, column)
    style = theme.layout(dark)
    theme.apply(fig, dark, height=AROUND + ROW * len(layers))
    _titled(fig, "Change of the answer's log-probability", f"one head switched off at a time: {_how(result)}")
    every = {"showgrid": False, "zeroline": False}
    fig.update_xaxes(
        style["xaxis"], overwrite=True, **_ticks(np.arange(both.base.shape[1])), **every, title_text="head"
    )
    fig.update_yaxes(style["yaxis"], overwrite=True, **_ticks(layers), **every, autorange="reversed")
    fig.update_yaxes(title_text="layer", col=1)
    return fig


def tokens_figure(result: Ablation, number: int, dark: bool = False) -> go.Figure:
    """What the `number`-th head of the result changes at each token of the answer, a bar a side; numeric axis, because equal tokens would merge."""
    places = np.arange(result.changes.base.shape[1])
    pieces = [result.sequence.pieces[position] for position in result.sequence.positions("answer")]
    fig = go.Figure()
    for side, changes in result.changes.items():
        fig.add_trace(
            go.Bar(
                x=places,
                y=changes[number],
                name=side,
                marker_color=theme.palette(dark).sides[side],
                text=[visible(piece) for piece in pieces],
                textposition="none",
                customdata=result.log_probs[side],
                hovertemplate="<b>%{text}</b> at %{x}<br>%{y:+.4f} nats<br>log-probability with every head %{customdata:.4f}"
                + f"<extra>{side}</extra>",
            )
        )
    layer, head = result.heads[number].tolist()
    theme.apply(fig, dark)
    fig.update_layout(height=360, barmode="group", bargroupgap=0.0, hovermode="closest", hoverlabel_align="left")
    _titled(fig, f"Layer {layer}, head {head} switched off", _how(result))
    labels = [numbered(place, piece) for place, piece in zip(places.tolist(), pieces, strict=True)]
    fig.update_xaxes(**_ticks(places, labels), title_text="token of the answer", showgrid=False, zeroline=False)
    fig.update_yaxes(title_text="less likely  |  nats  |  likelier", zeroline=True)
    return fig


def _titled(fig: go.Figure, title: str, below: str) -> None:
    fig.update_layout(
        margin_t=104,
        title={"text": title, "subtitle": {"text": below}, "yref": "container", "y": 0.98, "yanchor": "top"},
    )


def _how(result: Ablation) -> str:
    return f"{NAMES[result.attention_kind]}, {FILLED[result.fill]}"


def _ticks(values: np.ndarray, labels: list[str] | None = None) -> dict[str, list]:
    """Ticks at rows 0, 1, ..., `MOST_TICKS` at most, named by `values` (row,) or their `labels`."""
    shown = range(0, len(values), -(-len(values) // MOST_TICKS) or 1)
    names = labels or [str(value) for value in values.tolist()]
    return {"tickvals": list(shown), "ticktext": [names[row] for row in shown]}
