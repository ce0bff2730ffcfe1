"""Whether the written reasoning carries the answer: how soon the answer is the final one, what changes do to it, and one item step by step."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.labels import visible
from dashboard.figures.rows import SHARE, marks, share_of_rows
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.probe import Estimate
from model_utils.contracts.reasoning import Reasoned, Reasoning
from model_utils.pair import SIDES, Side

POINTS = 21
ROW, LANE = 44, 0.16
"""Pixels of a row, and how far from its middle each side stands, in rows."""
OUTCOMES = {
    "corrupted_flips": "a step corrupted:<br>another answer",
    "paraphrase_same": "in other words:<br>the same answer",
    "filler_same": "filler in its place:<br>the same answer",
    "hint_flips": "a hint at an option it did not<br>choose: the answer follows it",
    "hint_admitted": "of these:<br>the text speaks of the hint",
}
"""Measure -> what its share is of."""
NAMED = 6
"""Options that the legend of one item names; all of them say theirs under the pointer."""
DASHES = {"base": "solid", "tuned": "dash"}


def areas(result: Reasoning, side: Side) -> list[float]:
    """Area over the curve of each item that has one: of those with steps whose early answers were asked for."""
    return [one[side].aoc for one in result.items if one is not None and not np.isnan(one[side].aoc)]


def aoc(result: Reasoning, side: Side) -> float:
    """Mean area over the curve; NaN: no item has one."""
    found = areas(result, side)
    return float(np.mean(found)) if found else float("nan")


def with_steps(result: Reasoning, side: Side) -> int:
    """Items for which this side wrote a reasoning."""
    return sum(one is not None and bool(one[side].steps) for one in result.items)


def curve(result: Reasoning, dark: bool = False) -> go.Figure:
    """Share of items whose answer is the final one already, against the share of the steps that the model has read back."""
    fig, colours, at = go.Figure(), theme.palette(dark), np.linspace(0, 1, POINTS)
    for side in SIDES:
        if not areas(result, side):
            continue
        fig.add_trace(
            go.Scatter(
                x=at,
                y=result.curve(side, POINTS),
                name=f"{side}, AOC {aoc(result, side):.2f}",
                mode="lines+markers",
                line={"color": colours.sides[side], "width": 2, "dash": DASHES[side]},
                marker={"symbol": SYMBOLS[side], "size": 7, "color": colours.sides[side]},
                cliponaxis=False,
                hovertemplate=f"after %{{x:.0%}} of the steps<br>%{{y:.1%}} have their final answer<extra>{side}</extra>",
            )
        )
    theme.apply(fig, dark)
    fig.update_layout(height=320, hovermode="closest", margin_t=40, margin_r=16)
    fig.update_xaxes(title_text="share of the model's own steps; 0 %: none", **SHARE)
    fig.update_yaxes(title_text="same answer as after all steps", **SHARE)
    return fig


def estimates(result: Reasoning, side: Side) -> dict[str, Estimate]:
    """Measure of `OUTCOMES` -> its mean, with an interval where the whole is there. What has no number is left out."""
    found = {one.measure: one.sides[side] for one in result.findings if one.measure in OUTCOMES}
    if not result.findings:
        table, nothing = result.table(), float("nan")
        columns = {"hint_flips": "hint_flip"} | {name: name for name in OUTCOMES if name != "hint_flips"}
        for measure, column in columns.items():
            known = table.loc[table["side"] == side, column].dropna() if column in table else ()
            if len(known):
                found[measure] = Estimate(float(np.mean(known)), nothing, nothing, len(known))
    return {measure: found[measure] for measure in OUTCOMES if measure in found and found[measure].count}


def outcomes(result: Reasoning, dark: bool = False) -> go.Figure:
    """For both models the share of items whose answer holds or falls with what was done to the reasoning; 95 % intervals."""
    both = {side: estimates(result, side) for side in SIDES}
    rows = [measure for measure in OUTCOMES if any(measure in found for found in both.values())]
    fig = go.Figure()
    for side, lane in zip(SIDES, (-LANE, LANE), strict=True):
        mine = [
            (
                place,
                both[side][measure],
                f"<b>{OUTCOMES[measure].replace('<br>', ' ')}</b><br>{said(both[side][measure])}",
            )
            for place, measure in enumerate(rows)
            if measure in both[side]
        ]
        if mine:
            fig.add_trace(marks(side, lane, mine, dark))
    theme.apply(fig, dark)
    fig.update_layout(height=ROW * max(1, len(rows)) + 100, hovermode="closest", hoverlabel_align="left", margin_r=24)
    fig.update_layout(margin_t=40)
    share_of_rows(fig, "share, 0 to 100 %", [OUTCOMES[measure] for measure in rows], dark)
    return fig


def said(one: Estimate) -> str:
    ends = f" [{one.low:.1%}, {one.high:.1%}]" if np.isfinite(one.low) else ""
    return f"{one.mean:.1%}{ends}, over {one.count:,} item{'' if one.count == 1 else 's'}"


def probabilities(one: Reasoned, options: tuple[str, ...], right: int, side: Side, dark: bool = False) -> go.Figure:
    """Of one item: how probable each option is after each of the model's own steps, and all options together."""
    fig, colours, steps = go.Figure(), theme.palette(dark), np.arange(len(one.early))
    ranked = [one.chosen, *(number for number in np.argsort(-one.early[-1], kind="stable") if number != one.chosen)]
    for place, number in enumerate(map(int, ranked)):
        name = visible(options[number], 24) + (" (right)" if number == right else "")
        chosen = number == one.chosen
        fig.add_trace(
            go.Scatter(
                x=steps,
                y=one.early[:, number],
                name=name,
                mode="lines+markers",
                showlegend=place < NAMED or number == right,
                line={
                    "color": colours.sides[side] if chosen else colours.muted,
                    "width": 3 if chosen else 1.5,
                    "dash": "dash" if number == right and not chosen else "solid",
                },
                marker={
                    "symbol": SYMBOLS[side] if chosen else "square" if number == right else "circle-open",
                    "size": 8,
                },
                cliponaxis=False,
                text=[name] * len(steps),  # not in the template, where what is in braces would be filled in
                hovertemplate="<b>%{text}</b><br>after %{x} steps: %{y:.1%}<extra></extra>",
            )
        )
    fig.add_trace(
        go.Scatter(
            x=steps,
            y=one.mass,
            name="all options together",
            mode="lines",
            line={"color": colours.noise, "width": 2, "dash": "dot"},
            hovertemplate="after %{x} steps, before they are compared, all options hold %{y:.1%}<extra></extra>",
        )
    )
    theme.apply(fig, dark)
    fig.update_layout(height=280, hovermode="closest", margin_t=64, margin_r=16)
    last = len(one.early) - 1
    fig.update_xaxes(title_text="steps of its own reasoning", range=[-0.05 * max(last, 1), 1.05 * max(last, 1)], dtick=max(1, last // 8))  # fmt: skip
    fig.update_yaxes(title_text="probability", range=[-0.02, 1.02], tickformat=".0%")
    return fig
