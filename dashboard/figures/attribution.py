"""The parts of the text on which both models leaned most, those whose score changed most, and every answer token's scores at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.labels import numbered, visible
from dashboard.figures.layers import largest
from model_utils.contracts.attribution import Attribution
from model_utils.pair import Pair

STRONGEST = 12
MOST_TICKS = 48
PALE = 0.2


def limit(result: Attribution) -> float:
    """The largest magnitude of base, tuned and their difference: full colour in all three strips."""
    return largest(*result.open_totals().sides, result.open_difference())


def strongest(scores: Pair[np.ndarray], count: int = STRONGEST) -> np.ndarray:
    """(rank,) int64; the parts with the largest magnitude on either side, strongest first, zeros and what has no score left out."""
    magnitude = np.nan_to_num(np.fmax(np.abs(scores.base), np.abs(scores.tuned)))
    ranked = np.argsort(-magnitude, kind="stable")[:count]
    return ranked[magnitude[ranked] > 0]


def most_changed(result: Attribution) -> pd.DataFrame:
    """`result.table()` of the scored parts that may be taken away, the largest difference between the models first."""
    table = result.table()[result.open].dropna(subset="difference")
    return table.sort_values("difference", key=lambda values: -values.abs(), kind="stable", ignore_index=True)


def figure(result: Attribution, dark: bool = False, faded: tuple[str, ...] = ()) -> go.Figure:
    """Scores of the strongest parts that may be taken away, one bar a side, strongest on top; numeric axis, because equal words would merge.

    The sides in `faded` are pale: their scores are not to be read.
    """
    scores = result.open_totals()
    chosen = strongest(scores)
    rows = np.arange(len(chosen))
    names, first = result.names(), first_tokens(result)
    pieces = [names[part] for part in chosen]
    fig = go.Figure()
    for side, values in scores.items():
        fig.add_trace(
            go.Bar(
                x=values[chosen],
                y=rows,
                name=side,
                orientation="h",
                opacity=PALE if side in faded else 1,
                marker_color=theme.palette(dark).sides[side],
                text=[visible(piece) for piece in pieces],
                textposition="none",
                customdata=first[chosen],
                hovertemplate=f"<b>%{{text}}</b> at %{{customdata}}<br>%{{x:{'+' if result.signed else ''}.4f}} "
                + result.unit
                + "<extra>"
                + side
                + "</extra>",
            )
        )
    fig.update_layout(theme.layout(dark))
    fig.update_layout(height=112 + 32 * max(1, len(chosen)), barmode="group", bargap=0.3, bargroupgap=0.0)
    fig.update_xaxes(
        title_text=axis_title(result),
        zeroline=True,
    )
    labels = [numbered(int(first[part]), piece) for part, piece in zip(chosen, pieces, strict=True)]
    fig.update_yaxes(tickvals=rows, ticktext=labels, autorange="reversed", showgrid=False, zeroline=False)
    return fig


def axis_title(result: Attribution) -> str:
    """What the length of a bar means; some methods have no sign."""
    if not result.signed:
        return f"{result.method}, {result.unit}"
    return f"lowered it  |  {result.unit}  |  raised it"


def first_tokens(result: Attribution) -> np.ndarray:
    """(part,) int64; where each part begins in the text."""
    return np.unique(result.parts, return_index=True)[1]


def columns(result: Attribution) -> np.ndarray:
    """(column,) int64; the parts that may be taken away and begin before the last target."""
    last = max(row.max() for row in result.rows())
    return np.flatnonzero(result.open & (first_tokens(result) < last))


def cells(result: Attribution) -> Pair[np.ndarray]:
    """(row, column) float32 a side; NaN: no score, or the part does not begin before the row's token."""
    shown, rows = columns(result), np.array([row.max() for row in result.rows()])
    ahead = first_tokens(result)[shown] >= rows[:, None]
    return result.scores.map(lambda scores: np.where(ahead, np.float32(np.nan), scores[:, shown]))


def matrix(result: Attribution, dark: bool = False, faded: tuple[str, ...] = ()) -> go.Figure:
    """`cells` of base, tuned, tuned - base, one above the other, all on one scale; for the file that people take away."""
    both = cells(result)
    panels = (*both.items(), ("tuned - base", both.tuned - both.base))
    most = largest(*(values for _, values in panels))
    shown, names, first = columns(result), result.names(), first_tokens(result)
    answers = [result.sequence.pieces[row[0]] for row in result.rows()]
    rows = np.arange(len(answers))
    fig = make_subplots(3, 1, subplot_titles=[name for name, _ in panels], shared_xaxes=True, vertical_spacing=0.09)
    high = int(np.clip(18 * len(rows), 60, 360))
    for row, (name, values) in enumerate(panels, start=1):
        trace = go.Heatmap(
            z=values,
            x=first[shown],
            y=rows,
            zmin=-most,
            zmax=most,
            colorscale=theme.colour_scale("diverging", dark),
            showscale=row == 1,
            opacity=PALE if (name if row < 3 else "difference") in faded else 1,
            colorbar={"title": {"text": result.unit, "side": "right"}, "thickness": 8, "len": 0.3, "y": 0.85},
            hoverongaps=False,
            customdata=np.broadcast_to(np.array([visible(names[part]) for part in shown]), (len(rows), len(shown))),
            hovertemplate=f"token %{{y}} of the answer, from %{{customdata}}<br>%{{z:+.4f}} {result.unit}<extra>{name}</extra>",
        )
        fig.add_trace(trace, row, 1)
    style, every = theme.layout(dark), {"showgrid": False, "zeroline": False}
    fig.update_layout(style, height=3 * high + 210, margin_t=48)
    step = -(-len(shown) // MOST_TICKS)
    labels = [numbered(int(first[part]), names[part]) for part in shown[::step]]
    fig.update_xaxes(style["xaxis"], **every, tickvals=first[shown][::step], ticktext=labels, tickangle=-90)
    down = -(-len(rows) // max(1, high // 14))
    named = [numbered(int(number), answers[number]) for number in rows[::down]]
    fig.update_yaxes(style["yaxis"], **every, tickvals=rows[::down], ticktext=named, autorange="reversed")
    return fig
