"""What tuning changed on average over a list of instructions, with intervals and with the spread that an average hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.rows import error_x
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.survey import Interval, Survey, measures
from model_utils.pair import Side

ROW, AXIS = 36, 68
"""Pixels of a measure, and of a panel's axis with its title."""
DIFFERENCE = "checks passed, tuned - base"


@dataclass(frozen=True)
class Panel:
    """Measures on one axis."""

    axis: str
    """unit and direction"""
    names: dict[str, str]
    """measure -> what people call it"""


PANELS = (
    Panel(
        "share, 0 to 100 %",
        {
            "shifted": "tokens shifted",
            "marginal": "tokens marginal",
            "unshifted": "tokens unshifted",
            "agreement": "words in both answers",
            "checks passed by base": "checks passed, base",
            "checks passed by tuned": "checks passed, tuned",
        },
    ),
    Panel("base more  |  percentage points  |  tuned more", {DIFFERENCE: "checks, tuned − base"}),
    Panel(
        "nats, mean over the answer; 0 is no change", {"log_ratio": "|log-ratio|", "kl": "KL(tuned‖base)", "js": "JS"}
    ),
)
NATS = PANELS[2].names
WHOSE: dict[str, Side] = {"checks passed by base": "base", "checks passed by tuned": "tuned"}


def averages(result: Survey) -> dict[str, Interval]:
    """Measure -> its mean and interval. What has no number is left out."""
    return {one.measure: one for one in result.intervals if one.count}


def bounded(result: Survey) -> list[Interval]:
    """Those that have an interval; none while the list goes on."""
    return [one for one in result.intervals if np.isfinite(one.low)]


def value(measure: str, number: float) -> str:
    """A number with its unit."""
    if measure in NATS:
        return f"{number:.2f}"
    return f"{100 * number:+.0f}" if measure == DIFFERENCE else f"{100 * number:.0f}\N{NO-BREAK SPACE}%"


def said(one: Interval) -> str:
    """19 % [15 %, 23 %], or the mean alone where there is no interval."""
    ends = f" [{value(one.measure, one.low)}, {value(one.measure, one.high)}]" if np.isfinite(one.low) else ""
    return value(one.measure, one.mean) + ends


def counted(instructions: int) -> str:
    return f"{instructions:,} instruction{'' if instructions == 1 else 's'}"


def figure(result: Survey, dark: bool = False) -> go.Figure:
    """Mean and 95 % interval of every measure; the pale bar holds the middle half of the instructions."""
    means, values = averages(result), measures(result.items)
    panels = [(panel, [name for name in panel.names if name in means]) for panel in PANELS]
    panels = [(panel, names) for panel, names in panels if names]
    if not panels:
        return go.Figure(layout=theme.layout(dark))
    heights = [ROW * len(names) for _, names in panels]
    height = sum(heights) + AXIS * len(panels)
    fig = make_subplots(len(panels), 1, row_heights=heights, vertical_spacing=AXIS / height if len(panels) > 1 else 0)
    axes = theme.layout(dark)
    theme.apply(fig, dark)
    fig.update_xaxes(axes["xaxis"], overwrite=True, zeroline=True)
    fig.update_yaxes(
        axes["yaxis"], overwrite=True, showgrid=False, zeroline=False, tickfont_color=theme.palette(dark).text
    )
    for row, (panel, names) in enumerate(panels, start=1):
        halves = np.array([np.nanquantile(values[name], [0.25, 0.75]) for name in names])
        shown = [means[name] for name in names]
        fig.add_trace(_spread(halves, dark), row, 1)
        fig.add_trace(_dots(panel, shown, halves, dark), row, 1)
        fig.update_xaxes(title_text=panel.axis, **_scale(panel, shown, halves), row=row)
        fig.update_yaxes(
            tickvals=list(range(len(names))),
            ticktext=[f"{panel.names[one.measure]}<br><b>{said(one)}</b>" for one in shown],
            range=[len(names) - 0.5, -0.5],
            row=row,
        )
    fig.update_layout(height=height, showlegend=False, hovermode="closest", hoverlabel_align="left")
    fig.update_layout(margin_t=8, margin_r=24)
    return fig


def _scale(panel: Panel, shown: list[Interval], halves: np.ndarray) -> dict[str, object]:
    """Shares from 0 to 1 and their difference over the same width either way, whatever was found; nats to at least 1."""
    if "log_ratio" in panel.names:
        ends = np.concatenate([halves[:, 1], [one.mean for one in shown], [one.high for one in shown]])
        most = float(np.max(ends[np.isfinite(ends)], initial=1.0))
        return {"range": [-0.02 * most, 1.08 * most]}
    if DIFFERENCE in panel.names:
        return {
            "range": [-1.04, 1.04],
            "tickvals": [-1, -0.5, 0, 0.5, 1],
            "ticktext": ["−100", "−50", "0", "+50", "+100"],
        }
    return {"range": [-0.02, 1.02], "tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 1]}


def _spread(halves: np.ndarray, dark: bool) -> go.Scatter:
    """From the first to the third quarter of the instructions, `halves` (measure, 2), as a pale bar behind each mean."""
    gaps = np.full(len(halves), np.nan)
    return go.Scatter(
        x=np.column_stack([halves, gaps]).ravel(),
        y=np.repeat(np.arange(len(halves)), 3),
        name="middle half",
        mode="lines",
        line={"color": theme.palette(dark).line, "width": 12},
        hoverinfo="skip",
    )


def _dots(panel: Panel, shown: list[Interval], halves: np.ndarray, dark: bool) -> go.Scatter:
    colours = theme.palette(dark)
    sides = [WHOSE.get(one.measure) for one in shown]
    return go.Scatter(
        x=[one.mean for one in shown],
        y=np.arange(len(shown)),
        name="mean",
        mode="markers",
        cliponaxis=False,
        marker={
            "size": 10,
            "color": [colours.sides[side] if side else colours.text for side in sides],
            "symbol": [SYMBOLS[side] if side else "circle" for side in sides],
        },
        error_x=error_x(shown, colours.text),
        text=[
            f"<b>{panel.names[one.measure]}</b><br>mean {said(one)}, over {counted(one.count)}<br>"
            f"half of them lie between {value(one.measure, low)} and {value(one.measure, high)}"
            for one, (low, high) in zip(shown, halves, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
    )
