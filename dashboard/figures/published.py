"""What published bias benchmarks say: the score that each is known by, for every category, beside what tossed coins would give."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.rows import bands, marks, named_rows
from model_utils.contracts.probe import Estimate
from model_utils.contracts.published import HEADLINE, NAMES, OVERALL, Published
from model_utils.pair import SIDES, Pair, Side

TITLES: Mapping[str, str] = {"crows_pairs": "CrowS-Pairs", "stereoset": "StereoSet", "bbq": "BBQ"}
PARTS: Mapping[str, str] = {
    "full": "whole sentences",
    "shared": "tokens that both sentences share",
    "overall": "all sentences",
    "intrasentence": "within a sentence",
    "intersentence": "after a context",
    "ambig": "ambiguous contexts",
    "disambig": "disambiguated contexts",
}
AXES: Mapping[str, str] = {
    "crows_pairs": "pairs whose more stereotypical<br>sentence is more probable",
    "stereoset": "stereotypes more probable<br>than anti-stereotypes (SS)",
    "ambig": "bias score s_AMB: −100 %<br>against stereotypes, 100 % with them",
    "disambig": "bias score s_DIS: −100 %<br>against stereotypes, 100 % with them",
}
"""benchmark, of BBQ the part -> what its axis says"""
SHARES = (0, 25, 50, 75, 100)
ROW, LANE = 44, 0.17
"""Pixels of a row, and how far from its middle each side stands, in rows."""
LONGEST, MOST_ROWS = 30, 60
"""Characters of a category's name; rows, of which the last by name are not drawn"""


@dataclass(frozen=True)
class Row:
    """A category."""

    name: str
    sides: Pair[Estimate]
    """in the unit of the benchmark's score; ends of the overall ones alone, and not in a snapshot; the same count of items on both sides"""
    by_chance: Pair[float]
    """how far from the innocent value 95 of 100 models without a preference lie"""


def rows(result: Published, part: str) -> list[Row]:
    """Overall, then the categories."""
    found = []
    for row in result.headline(part).to_dict("records"):
        values = Pair(*(_estimate(result, part, str(row["category"]), side, row[side], row["count"]) for side in SIDES))
        found.append(Row(str(row["category"]), values, Pair(*(float(row[f"by_chance_{side}"]) for side in SIDES))))
    return found


def _estimate(result: Published, part: str, category: str, side: Side, value: float, count: int) -> Estimate:
    """With the ends that the finding of it has."""
    name = {"full": "full_stereotype", "shared": "shared_stereotype", "overall": "ss", "ambig": "s_amb", "disambig": "s_dis"}.get(part)  # fmt: skip
    wanted = {OVERALL: name, OVERALL + NAMES: f"{name}_names"}.get(category)
    scale = 1 if result.benchmark == "bbq" else 100
    for one in result.findings:
        if one.measure == wanted:
            return Estimate(value, scale * one.sides[side].low, scale * one.sides[side].high, count)
    return Estimate(value, float("nan"), float("nan"), count)


def figure(result: Published, dark: bool = False, part: str = "") -> go.Figure:
    """A mark for each model and category, base above tuned; the overall ones with 95 % intervals; grey: where tossed coins would lie."""
    part = part or result.parts()[0]
    shown, colours, fig = rows(result, part)[:MOST_ROWS], theme.palette(dark), go.Figure()
    innocent = HEADLINE[result.benchmark][1]
    for side, lane in zip(SIDES, (-LANE, LANE), strict=True):
        fig.add_trace(bands("tossed coins", lane, _chance(shown, innocent, side), dark, side == SIDES[0]))
    for side, lane in zip(SIDES, (-LANE, LANE), strict=True):
        mine = [
            (place, row.sides[side], f"<b>{html.escape(row.name, quote=False)}</b><br>{said(result, row, side)}")
            for place, row in enumerate(shown)
            if np.isfinite(row.sides[side].mean)
        ]
        fig.add_trace(marks(side, lane, mine, dark))
    theme.apply(fig, dark)
    fig.add_vline(x=innocent, line={"color": colours.muted, "width": 1})
    fig.update_layout(height=ROW * max(1, len(shown)) + 150, hovermode="closest", hoverlabel_align="left")
    fig.update_layout(margin_t=64, margin_r=24)
    fig.update_xaxes(title_text=AXES.get(part) or AXES[result.benchmark], zeroline=False, **_scale(result.benchmark))
    named_rows(fig, [label(row) for row in shown], dark)
    return fig


def _scale(benchmark: str) -> dict[str, object]:
    """The whole scale, whatever is found."""
    if benchmark == "bbq":
        ends = {"range": [-1.04, 1.04], "tickvals": [-1, -0.5, 0, 0.5, 1]}
        return ends | {"ticktext": [f"{one} %".replace("-", "−") for one in (-100, -50, 0, 50, 100)]}
    return {"range": [-2, 102], "tickvals": [*SHARES], "ticktext": [f"{one} %" for one in SHARES]}


def label(row: Row) -> str:
    """Its name, cut where it is long, and how many items."""
    name = row.name if len(row.name) <= LONGEST else f"{row.name[: LONGEST - 1]}…"
    return f"{html.escape(name, quote=False)}<br>n = {row.sides.base.count:,}"


def _chance(shown: list[Row], innocent: float, side: Side) -> list[tuple[int, float, float]]:
    """(row, low, high): where tossed coins would lie; a score ends where its scale does."""
    known = [(place, row.by_chance[side]) for place, row in enumerate(shown) if np.isfinite(row.by_chance[side])]
    halves = [(place, min(innocent or 1.0, half)) for place, half in known]
    return [(place, innocent - half, innocent + half) for place, half in halves]


def said(result: Published, row: Row, side: Side) -> str:
    """The score, its interval where it has one, and over how many items."""
    one = row.sides[side]
    ends = f" [{number(result, one.low)}, {number(result, one.high)}]" if np.isfinite(one.low) else ""
    return f"{number(result, one.mean)}{ends}, over {one.count:,} item{'' if one.count == 1 else 's'}"


def number(result: Published, value: float) -> str:
    """A score with its unit."""
    return f"{100 * value:+z.1f} %" if result.benchmark == "bbq" else f"{value:.1f} %"
