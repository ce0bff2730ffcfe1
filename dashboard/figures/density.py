"""How densely each model uses the words of an instruction throughout its own answer; over a list, the mean with its interval."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.labels import visible
from dashboard.figures.rows import error_x
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.density import DIFFERENCE, Density, Measured, measures
from model_utils.contracts.survey import Interval
from model_utils.pair import SIDES

MOST_WORDS = 48
"""Words of an instruction that are drawn; of a longer one the densest."""
HEIGHT, ROW, AXIS = 320, 40, 68
"""Pixels of the words; of a row of the means, and of a panel's axis with its title."""


def drawn(item: Measured) -> np.ndarray:
    """(word,) int64; which words are drawn, in the order of the text: those that either side uses most densely."""
    most = np.fmax(*item.sides.map(lambda use: use.words).sides)
    ranked = np.argsort(-np.nan_to_num(most, nan=-1.0), kind="stable")
    return np.sort(ranked[:MOST_WORDS])


def figure(result: Density, number: int = 0, dark: bool = False) -> go.Figure:
    """The words of one instruction in their order, a bar a side; both from 0 to 1, but each relative to its own model's densest token."""
    item, colours = result.items[number], theme.palette(dark).sides
    chosen = drawn(item)
    names, places = [visible(item.words[word]) for word in chosen], np.arange(len(chosen))
    fig = go.Figure()
    for side, use in item.sides.items():
        fig.add_trace(
            go.Bar(
                x=places,
                y=use.words[chosen],
                name=side,
                marker_color=colours[side],
                text=names,
                textposition="none",
                hovertemplate=f"<b>%{{text}}</b><br>density %{{y:.2f}}<extra>{side}</extra>",
            )
        )
    theme.apply(fig, dark)
    fig.update_layout(height=HEIGHT, barmode="group", bargap=0.25, bargroupgap=0.0)
    left = len(item.words) - len(chosen)
    title = f"the {len(chosen)} densest of {len(item.words)} words" if left else "words of the instruction"
    fig.update_xaxes(title_text=title, tickvals=places, ticktext=names, tickangle=-90, showgrid=False)
    fig.update_yaxes(title_text="density, 1: densest of the prompt", range=[0, 1.04])
    return fig


def said(one: Interval) -> str:
    """1.13 [1.02, 1.25], with a sign where it is a difference; the mean alone where there is no interval."""
    form = "+.2f" if one.measure == DIFFERENCE else ".2f"
    return f"{one.mean:{form}}" + (f" [{one.low:{form}}, {one.high:{form}}]" if np.isfinite(one.low) else "")


def means(result: Density, dark: bool = False) -> go.Figure:
    """Over a list: mean and 95 % interval of both sides, and of their difference below; the pale bar holds the middle half of the instructions."""
    values, shown = measures(result.items), [one for one in result.intervals if one.count]
    panels = [[one for one in shown if one.measure in SIDES], [one for one in shown if one.measure == DIFFERENCE]]
    panels = [panel for panel in panels if panel]
    if not panels:
        return go.Figure(layout=theme.layout(dark))
    heights = [ROW * len(panel) for panel in panels]
    height = sum(heights) + AXIS * len(panels)
    fig = make_subplots(len(panels), 1, row_heights=heights, vertical_spacing=AXIS / height if len(panels) > 1 else 0)
    axes = theme.layout(dark)
    theme.apply(fig, dark)
    fig.update_xaxes(axes["xaxis"], overwrite=True, zeroline=True)
    fig.update_yaxes(
        axes["yaxis"], overwrite=True, showgrid=False, zeroline=False, tickfont_color=theme.palette(dark).text
    )
    for row, panel in enumerate(panels, start=1):
        halves = np.array([np.nanquantile(values[one.measure], [0.25, 0.75]) for one in panel])
        fig.add_trace(_spread(halves, dark), row, 1)
        fig.add_trace(_dots(panel, dark), row, 1)
        ends = np.abs(np.concatenate([halves.ravel(), *([one.mean, one.low, one.high] for one in panel)]))
        most = 1.08 * max(0.1, float(np.max(ends[np.isfinite(ends)])))
        apart = panel[0].measure == DIFFERENCE
        title = (
            "base more  |  density of the instruction  |  tuned more"
            if apart
            else "density of the instruction; 0: never used"
        )
        fig.update_xaxes(title_text=title, range=[-most, most] if apart else [-0.02 * most, most], row=row)
        names = [f"{one.measure.replace('-', '−')}<br><b>{said(one)}</b>" for one in panel]
        fig.update_yaxes(tickvals=np.arange(len(panel)), ticktext=names, range=[len(panel) - 0.5, -0.5], row=row)
    fig.update_layout(height=height, showlegend=False, hovermode="closest", margin_t=8, margin_r=24)
    return fig


def _spread(halves: np.ndarray, dark: bool) -> go.Scatter:
    """From the first to the third quarter of the instructions, `halves` (measure, 2)."""
    return go.Scatter(
        x=np.column_stack([halves, np.full(len(halves), np.nan)]).ravel(),
        y=np.repeat(np.arange(len(halves)), 3),
        name="middle half",
        mode="lines",
        line={"color": theme.palette(dark).line, "width": 12},
        hoverinfo="skip",
    )


def _dots(panel: list[Interval], dark: bool) -> go.Scatter:
    colours = theme.palette(dark)
    return go.Scatter(
        x=[one.mean for one in panel],
        y=np.arange(len(panel)),
        name="mean",
        mode="markers",
        cliponaxis=False,
        marker={
            "size": 10,
            "color": [
                colours.sides[side] if side in SIDES else colours.text for side in (one.measure for one in panel)
            ],
            "symbol": [SYMBOLS[side] if side in SIDES else "circle" for side in (one.measure for one in panel)],
        },
        error_x=error_x(panel, colours.text),
        text=[f"<b>{one.measure}</b><br>mean {said(one)}, over {one.count:,} instructions" for one in panel],
        hovertemplate="%{text}<extra></extra>",
    )
