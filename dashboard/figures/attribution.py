"""The tokens on which both models leaned most."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.labels import numbered, visible
from model_utils.contracts.attribution import UNITS, Attribution
from model_utils.pair import Pair

STRONGEST = 12


def difference(scores: Pair[np.ndarray]) -> np.ndarray:
    """(token,) tuned - base."""
    return scores.tuned - scores.base


def limit(scores: Pair[np.ndarray]) -> float:
    """The largest magnitude of base, tuned and their difference: full colour in all three strips."""
    return float(max(np.abs(values).max(initial=0.0) for values in (scores.base, scores.tuned, difference(scores))))


def strongest(scores: Pair[np.ndarray], count: int = STRONGEST) -> np.ndarray:
    """(rank,) int64; positions of the tokens with the largest magnitude on either side, strongest first, zeros left out."""
    magnitude = np.maximum(np.abs(scores.base), np.abs(scores.tuned))
    ranked = np.argsort(-magnitude, kind="stable")[:count]
    return ranked[magnitude[ranked] > 0]


def figure(result: Attribution, dark: bool = False) -> go.Figure:
    """Scores of the strongest tokens, one bar a side, strongest on top; numeric axis, because equal tokens would merge."""
    scores = result.totals()
    chosen = strongest(scores)
    rows = np.arange(len(chosen))
    pieces = [result.sequence.pieces[position] for position in chosen]
    fig = go.Figure()
    for side, values in scores.items():
        fig.add_trace(
            go.Bar(
                x=values[chosen],
                y=rows,
                name=side,
                orientation="h",
                marker_color=theme.palette(dark).sides[side],
                text=[visible(piece) for piece in pieces],
                textposition="none",
                customdata=chosen,
                hovertemplate="<b>%{text}</b> at %{customdata}<br>%{x:+.4f} "
                + UNITS[result.quantity]
                + "<extra>"
                + side
                + "</extra>",
            )
        )
    fig.update_layout(theme.layout(dark))
    fig.update_layout(height=112 + 32 * max(1, len(chosen)), barmode="group", bargap=0.3, bargroupgap=0.0)
    fig.update_xaxes(
        title_text=f"lowered it  |  {UNITS[result.quantity]}  |  raised it",
        zeroline=True,
    )
    labels = [numbered(int(position), piece) for position, piece in zip(chosen, pieces, strict=True)]
    fig.update_yaxes(tickvals=rows, ticktext=labels, autorange="reversed", showgrid=False, zeroline=False)
    return fig
