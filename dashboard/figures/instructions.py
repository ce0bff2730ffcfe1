"""What each sentence of an instruction does to the answer: how much likelier it makes the answer of each model."""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.rows import named_rows
from model_utils.contracts.instructions import Instructions
from model_utils.pair import SIDES

AXIS = "nats a token that the sentence adds"
ROW = 56
"""Pixels of a row."""
LONGEST = 32
"""Characters of a sentence beside its bars."""
MOST_ROWS = 40
LEAST = 0.1
"""nats a token; the axis is no shorter, so that rounding does not look like an effect"""


def drawable(result: Instructions) -> list[int]:
    """The instructions of which a sentence's effect is known, by their place."""
    known = [any(np.isfinite(result.effects[side][one]).any() for side in SIDES) for one in range(result.done)]
    return [one for one, drawn in enumerate(known) if drawn]


def figure(result: Instructions, number: int = 0, dark: bool = False) -> go.Figure:
    """A bar for each sentence of one instruction and each model, base above tuned; to the right it makes the model's own answer likelier."""
    texts = sentences(result, number)[:MOST_ROWS]
    fig, colours = go.Figure(), theme.palette(dark)
    for side in SIDES:
        values = result.effects[side][number][: len(texts)]
        known = np.flatnonzero(np.isfinite(values))
        fig.add_trace(
            go.Bar(
                x=values[known],
                y=known,
                orientation="h",
                name=side,
                marker_color=colours.sides[side],
                text=[html.escape(texts[one], quote=False) for one in known.tolist()],
                textposition="none",
                hovertemplate=f"<b>%{{text}}</b><br>%{{x:+.3f}} nats a token<extra>{side}</extra>",
            )
        )
    theme.apply(fig, dark)
    fig.add_vline(x=0, line={"color": colours.muted, "width": 1})
    fig.update_layout(height=ROW * max(1, len(texts)) + 112, barmode="group", bargap=0.3, bargroupgap=0.0)
    fig.update_layout(hoverlabel_align="left", hovermode="closest", margin_r=24)
    fig.update_xaxes(title_text=AXIS, range=list(_reach(result, number)), zeroline=False)
    named_rows(fig, [html.escape(_short(text), quote=False) for text in texts], dark)
    return fig


def sentences(result: Instructions, number: int) -> list[str]:
    """(sentence,) of one instruction, as they stand there, on one line."""
    text = result.instructions[number]
    return [" ".join(text[start:stop].split()) for start, stop in result.sentences[number]]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _reach(result: Instructions, number: int) -> tuple[float, float]:
    """The ends of the axis; 0 is on it."""
    values = [one for side in SIDES for one in result.effects[side][number].tolist() if np.isfinite(one)]
    low, high = min([0.0, *values]), max([0.0, *values])
    if high - low < LEAST:
        low, high = (low, low + LEAST) if high > -low else (high - LEAST, high)
    edge = 0.05 * (high - low)
    return low - edge, high + edge
