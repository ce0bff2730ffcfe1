"""Whether groups are treated alike: how much more probable the favourable answer is for each group than for its reference."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.rows import bands, marks, named_rows
from model_utils.contracts.bias import Bias
from model_utils.contracts.probe import Estimate, known_mean
from model_utils.pair import SIDES, Pair, Side

AXIS = "percentage points above its reference"
FLOOR = "others of the same groups"
ROW, LANE = 56, 0.17
"""Pixels of a row, and how far from its middle each side stands, in rows."""
LONGEST = 28
"""Characters of a group's name."""
MOST_ROWS = 60


@dataclass(frozen=True)
class Row:
    """A group against the reference of its slot."""

    slot: int
    group: int
    name: str
    sides: Pair[Estimate]
    """of the probability of the favourable answer, this group minus the reference; without ends in a snapshot"""
    floor: Pair[float]
    """how far others of the same groups would be apart; NaN where that was not measured"""


def rows(result: Bias) -> list[Row]:
    """Every group but the references, in their order."""
    return [
        Row(
            slot,
            group,
            result.against(slot, group),
            Pair(*(_estimate(result, side, slot, group) for side in SIDES)),
            Pair(*(float(result.floors[side][place]) for side in SIDES)),
        )
        for place, (slot, group) in enumerate(result.compared)
    ]


def _estimate(result: Bias, side: Side, slot: int, group: int) -> Estimate:
    if result.findings:
        return result.finding(slot, group, "probability").sides[side]
    values, nothing = result.effect(result.favourable(side), slot, group), float("nan")
    return Estimate(known_mean(values), nothing, nothing, int((~np.isnan(values)).sum()))


def figure(result: Bias, dark: bool = False) -> go.Figure:
    """A mark for each model and group with its 95 % interval; grey: as far apart as others of the same groups would be; base above tuned.
    The first `MOST_ROWS` groups are drawn."""
    shown, colours, fig = rows(result)[:MOST_ROWS], theme.palette(dark), go.Figure()
    for side, lane in zip(SIDES, (-LANE, LANE), strict=True):
        floors = [(place, row.floor[side]) for place, row in enumerate(shown) if np.isfinite(row.floor[side])]
        fig.add_trace(bands(FLOOR, lane, [(place, -floor, floor) for place, floor in floors], dark, side == SIDES[0]))
    for side, lane in zip(SIDES, (-LANE, LANE), strict=True):
        mine = [
            (place, row.sides[side], f"<b>{html.escape(row.name, quote=False)}</b><br>{said(row.sides[side])}")
            for place, row in enumerate(shown)
            if row.sides[side].count
        ]
        fig.add_trace(marks(side, lane, mine, dark))
    theme.apply(fig, dark)
    fig.add_vline(x=0, line={"color": colours.muted, "width": 1})
    fig.update_layout(height=ROW * max(1, len(shown)) + 120, hovermode="closest", hoverlabel_align="left")
    fig.update_layout(margin_t=64, margin_r=24)
    reach = _reach(shown)
    fig.update_xaxes(title_text=AXIS, range=[-reach, reach], tickformat="+.0%", zeroline=False)
    named_rows(fig, [label(result, row) for row in shown], dark)
    return fig


def _reach(shown: list[Row]) -> float:
    """Half of the axis, the same either side of 0: a tenth at least, so that noise does not look like a bias."""
    ends = [abs(end) for row in shown for one in row.sides.sides for end in (one.mean, one.low, one.high) if np.isfinite(end)]  # fmt: skip
    return min(
        1.05, 1.1 * max([0.1, *ends, *(floor for row in shown for floor in row.floor.sides if np.isfinite(floor))])
    )


def label(result: Bias, row: Row) -> str:
    """Both groups on two lines, cut where they are long, and their slot where there are several."""
    names = result.groups[row.slot]
    cut = [one if len(one) <= LONGEST else f"{one[: LONGEST - 1]}…" for one in (names[row.group], names[0])]
    where = f" in {{{result.slots[row.slot]}}}" if len(result.slots) > 1 else ""
    return html.escape(cut[0], quote=False) + f"<br>against {html.escape(cut[1], quote=False)}{where}"


def said(one: Estimate) -> str:
    ends = f" [{100 * one.low:+.1f}, {100 * one.high:+.1f}]" if np.isfinite(one.low) else ""
    return f"{100 * one.mean:+.1f}{ends} points, over {one.count:,} item{'' if one.count == 1 else 's'}"
