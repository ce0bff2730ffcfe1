"""How sure each model was of every token it wrote."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.labels import visible
from model_utils.contracts.generation import Answer, Generation


def figure(result: Generation, dark: bool = False) -> go.Figure:
    """Log-probability of each emitted token of both answers, one line a side over the same axes."""
    colours = theme.palette(dark)
    fig = go.Figure([_line(side, answer, colours.sides[side]) for side, answer in result.answers.items()])
    theme.apply(fig, dark)
    fig.update_layout(height=280, hovermode="closest", hoverlabel_align="left")
    steps = max(len(answer.log_probs) for _, answer in result.answers.items()) // 12 + 1  # whole tokens, a dozen ticks
    fig.update_xaxes(
        title_text="place of the token in its answer, from 0", rangemode="tozero", showgrid=False, dtick=steps
    )
    fig.update_yaxes(title_text="log-probability, nats", range=[lowest(result) * 1.08, -lowest(result) * 0.04])
    return fig


def lowest(result: Generation) -> float:
    """The least log-probability of both sides, at most -1: one scale for both, and certain answers do not look shaky."""
    return min(-1.0, *(float(np.min(answer.log_probs, initial=0.0)) for _, answer in result.answers.items()))


def _line(side: str, answer: Answer, colour: str) -> go.Scatter:
    return go.Scatter(
        x=np.arange(len(answer.log_probs)),
        y=answer.log_probs,
        name=side,
        mode="lines+markers",
        cliponaxis=False,
        line={"color": colour, "width": 1.5},
        marker={"size": 7, "symbol": "circle" if side == "base" else "diamond"},
        customdata=np.exp(answer.log_probs),
        text=[visible(piece) for piece in answer.answer.pieces],
        hovertemplate="<b>%{text}</b><br>token %{x}<br>log-probability %{y:.4f} nats<br>probability %{customdata:.2%}<extra>"
        + side
        + "</extra>",
    )
