"""What did tuning do? Every claim's difference and its interval in units of the margin inside which it would not matter."""

from __future__ import annotations

import html
import math

import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.rows import error_x, named_rows
from model_utils.contracts.findings import SHAPES, Claim, Findings
from model_utils.contracts.probe import Estimate

ROW = 44
"""Pixels of a row."""
AXIS = "margins; right: better"
FAR = 12.0
"""Margins beyond which a mark stands at the edge."""


def shown(result: Findings) -> list[Claim]:
    """The claims that have a number."""
    return [one for one in result.claims if one.finding is not None and math.isfinite(one.finding.difference.mean)]


def scaled(claim: Claim) -> Estimate:
    """The difference in margins, positive where tuned does better; of a bias, by how much its size fell."""
    finding = claim.finding
    assert finding is not None, claim.question
    if claim.better == "neither":  # of a bias both directions are worse
        base, tuned = (abs(one.mean) for one in finding.sides.sides)
        return Estimate((base - tuned) / finding.margin, math.nan, math.nan, finding.difference.count)
    sign = 1 if claim.better == "higher" else -1
    one = finding.difference
    low, high = sorted((sign * one.low / finding.margin, sign * one.high / finding.margin))
    return Estimate(sign * one.mean / finding.margin, low, high, one.count)


def _cut(one: Estimate) -> Estimate:
    """At the edges of the figure."""
    mean, low, high = (max(-FAR, min(FAR, end)) if math.isfinite(end) else end for end in (one.mean, one.low, one.high))
    return Estimate(mean, low, high, one.count)


def figure(result: Findings, dark: bool = False) -> go.Figure:
    """A mark for each claim with its 95 % interval; the grey band is where a difference does not matter."""
    claims, colours, fig = shown(result), theme.palette(dark), go.Figure()
    found = [scaled(one) for one in claims]
    cut = [_cut(one) for one in found]
    fig.add_vrect(x0=-1, x1=1, fillcolor=colours.noise, opacity=0.2, line_width=0, layer="below")
    fig.add_vline(x=0, line={"color": colours.muted, "width": 1})
    fig.add_trace(
        go.Scatter(
            x=[one.mean for one in cut],
            y=[*range(len(cut))],
            mode="markers",
            name="tuned − base",
            showlegend=False,
            cliponaxis=False,
            marker={"size": 11, "color": colours.text, "symbol": [MARKS[one.verdict] for one in claims]},
            error_x=error_x(cut, colours.text),
            text=[
                f"<b>{html.escape(one.question, quote=False)}</b><br>{html.escape(said(one), quote=False)}"
                for one in claims
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    theme.apply(fig, dark)
    fig.update_layout(
        height=ROW * max(1, len(claims)) + 90, hovermode="closest", hoverlabel_align="left", margin_t=24, margin_r=24
    )
    reach = min(
        FAR,
        max([2.0, *(1.1 * abs(end) for one in found for end in (one.mean, one.low, one.high) if math.isfinite(end))]),
    )
    fig.update_xaxes(title_text=AXIS, range=[-1.05 * reach, 1.05 * reach], zeroline=False)
    named_rows(fig, [html.escape(f"{SHAPES[one.verdict]} {one.question}", quote=False) for one in claims], dark)
    return fig


MARKS = {
    "yes": "triangle-up",
    "no": "triangle-down",
    "no effect": "square",
    "changed": "diamond",
    "undecided": "circle-open",
    "not measured": "x-thin-open",
}


def said(claim: Claim) -> str:
    """The difference as it was found, with its margin."""
    finding = claim.finding
    assert finding is not None, claim.question
    return f"{finding.interval(finding.difference, signed=True)}, margin ±{finding.margin_said()}"
