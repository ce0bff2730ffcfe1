"""Whether a skill or a phrasing was learned: how often both models are right in every kind of wording, and how far layouts alone move that."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.rows import share_of_rows
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.probe import Finding
from model_utils.contracts.robustness import AS_WRITTEN, Robustness
from model_utils.pair import SIDES, Pair, Side

Measure = Literal["right", "flips"]
AXES: dict[Measure, str] = {
    "right": "items answered right, 0 to 100 %",
    "flips": "items that flip, 0 to 100 %",
}
FORMAT = "format"
ROW, LANE = 40, 0.17
"""Pixels of a row, and how far from its middle each side stands, in rows."""
DASHES: dict[Side, str] = {"base": "dot", "tuned": "dash"}


@dataclass(frozen=True)
class Row:
    """A kind of wording."""

    kind: str
    wordings: tuple[str, ...]
    values: Pair[np.ndarray]
    """(wording,) of each side; NaN where nothing is known"""

    def ends(self, side: Side) -> tuple[float, float] | None:
        """Smallest and largest share; None where fewer than two are known."""
        known = self.values[side][~np.isnan(self.values[side])]
        return (float(known.min()), float(known.max())) if len(known) > 1 else None


def offered(result: Robustness) -> tuple[Measure, ...]:
    """What can be drawn: right answers only where anybody knows them."""
    table = result.by_wording()
    known = [name for name in AXES if len(table) and table[[f"{name}_{side}" for side in SIDES]].notna().any(axis=None)]
    return tuple(known)


def rows(result: Robustness, measure: Measure = "right") -> list[Row]:
    """The kinds of wording that were asked, in their order, without as written."""
    if not result.wordings:
        return []
    table = result.by_wording()
    table = table[(table["kind"] != AS_WRITTEN) & (table["items"] > 0)]
    found = []
    for kind in dict.fromkeys(table["kind"]):
        mine = table[table["kind"] == kind]
        found.append(Row(kind, tuple(mine["wording"]), Pair(*(_column(mine, measure, side) for side in SIDES))))
    return found


def _column(table: pd.DataFrame, measure: Measure, side: Side) -> np.ndarray:
    return table[f"{measure}_{side}"].to_numpy(dtype=float)


def as_written(result: Robustness, side: Side) -> float:
    """Share of right answers to the items as they were written; NaN where nobody knows."""
    table = result.by_wording()
    return float(_column(table, "right", side)[0]) if len(table) else float("nan")


def figure(result: Robustness, dark: bool = False, measure: Measure = "right") -> go.Figure:
    """A dot for each wording, the kinds of wording as rows; base above and tuned below the middle of a row; the line through all rows is as written."""
    shown, colours, fig = rows(result, measure), theme.palette(dark), go.Figure()
    for side, lane in zip(SIDES, (-LANE, LANE), strict=True):
        fig.add_trace(_ranges(shown, side, lane, dark))
        fig.add_trace(_dots(shown, side, lane, dark))
        start = as_written(result, side)
        if measure == "right" and np.isfinite(start):
            fig.add_trace(
                go.Scatter(
                    x=[start, start],
                    y=[-0.5, len(shown) - 0.5],
                    name=f"{side}, as written {start:.0%}",
                    mode="lines",
                    line={"color": colours.sides[side], "width": 2, "dash": DASHES[side]},
                    hovertemplate=f"as written: %{{x:.1%}}<extra>{side}</extra>",
                )
            )
    theme.apply(fig, dark)
    fig.update_layout(height=ROW * max(1, len(shown)) + 120, hovermode="closest", hoverlabel_align="left")
    fig.update_layout(margin_t=64, margin_r=24)
    spread = next((one for one in result.findings if one.measure == "spread"), None) if measure == "right" else None
    share_of_rows(fig, AXES[measure], [label(row, spread) for row in shown], dark)
    return fig


def label(row: Row, spread: Finding | None = None) -> str:
    """The kind, how many wordings of it there are, and of layouts the spread as it was found."""
    count = len(row.wordings)
    if row.kind != FORMAT or count < 2:
        return html.escape(row.kind, quote=False) + (f" ({count} wordings)" if count > 1 else "")
    found = spread.sides.items() if spread is not None else ()
    spreads = [f"{side} {100 * one.mean:.0f}" for side, one in found if one.count]
    said = f"<br>spread: {', '.join(spreads)} points" if spreads else ""
    return f"{row.kind} ({count} formats){said}"


def _ranges(shown: list[Row], side: Side, lane: float, dark: bool) -> go.Scatter:
    """From the worst to the best wording of each kind that has several."""
    x: list[float] = []
    y: list[float] = []
    for place, row in enumerate(shown):
        ends = row.ends(side)
        if ends is not None:
            x += [*ends, np.nan]
            y += [place + lane] * 3
    return go.Scatter(
        x=x,
        y=y,
        name=f"{side}, worst to best",
        mode="lines+markers",
        showlegend=False,
        line={"color": theme.palette(dark).sides[side], "width": 2},
        marker={"symbol": "line-ns-open", "size": 12, "color": theme.palette(dark).sides[side]},
        cliponaxis=False,
        hoverinfo="skip",
    )


def _dots(shown: list[Row], side: Side, lane: float, dark: bool) -> go.Scatter:
    one = [(place, name, value) for place, row in enumerate(shown) for name, value in zip(row.wordings, row.values[side], strict=True) if np.isfinite(value)]  # fmt: skip
    return go.Scatter(
        x=[value for _, _, value in one],
        y=[place + lane for place, _, _ in one],
        name=side,
        mode="markers",
        cliponaxis=False,
        marker={"size": 9, "color": theme.palette(dark).sides[side], "symbol": SYMBOLS[side]},
        text=[html.escape(name, quote=False) for _, name, _ in one],
        hovertemplate=f"<b>%{{text}}</b><br>%{{x:.1%}}<extra>{side}</extra>",
    )
