"""How far tuning moved each token along an answer, and how much of that the format around the instruction did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.labels import visible
from model_utils.contracts.shift import Forced, Shift, Split
from model_utils.pair import Side

SYMBOLS: dict[Side, str] = {"base": "circle", "tuned": "diamond"}

WIDE = 24
"""Units from which bars are drawn close to each other."""
FULL = 5.0
"""nats; e to the 5th: 148 times as likely."""


@dataclass(frozen=True)
class Measure:
    """A number that each token of an answer has."""

    name: str
    axis: str
    """unit and direction; {reader} stands for the model that did not write the answer"""
    columns: tuple[str, ...]
    """of `Forced.table` or `per_character`: two are one line for each model"""


MEASURES = {
    "log_ratio": Measure("log-ratio", "base likelier  |  log-ratio, nats  |  tuned likelier", ("log_ratio",)),
    "per_character": Measure(
        "per character", "base likelier  |  log-ratio, nats a character  |  tuned likelier", ("per_character",)
    ),
    "rank": Measure("rank", "rank in {reader}, 1 is its own choice", ("rank",)),
    "kl": Measure("KL(tuned‖base)", "KL(tuned‖base), nats, 0 is no change", ("kl",)),
    "kl_reverse": Measure("KL(base‖tuned)", "KL(base‖tuned), nats, 0 is no change", ("kl_reverse",)),
    "js": Measure("JS", "Jensen-Shannon, nats, 0 to 0.69", ("js",)),
    "tv": Measure("TV", "total variation, 0 to 1", ("tv",)),
    "entropy_change": Measure("entropy", "entropy, nats, 0 is certain", ("entropy_base", "entropy_tuned")),
}
"""What can be shown along an answer."""

UNLIKE = ("log_ratio", "per_character")
"""All that can be said where the two models read different tokens."""
ALIKE = tuple(name for name in MEASURES if name != "per_character")


def offered(forced: Forced) -> tuple[str, ...]:
    """The measures that this answer has."""
    return ALIKE if forced.alike else UNLIKE


def limit(result: Shift) -> float:
    """The largest finite log-ratio of both answers either way, at least 1 nat: one scale for both, and small changes do not look large."""
    ratios = np.concatenate([np.abs(forced.log_ratios) for forced in result.answers.sides])
    return float(max(1.0, np.max(ratios[np.isfinite(ratios)], initial=0.0)))


def colour_limit(result: Shift) -> float:
    """What full colour means in both strips: the largest log-ratio, but at most `FULL`, or one odd token would leave the others pale."""
    return min(FULL, limit(result))


def per_character(forced: Forced) -> np.ndarray:
    """(unit,) float64; nats a character: the log-ratio over the length of what was written; NaN where nothing was."""
    lengths = (forced.spans[:, 1] - forced.spans[:, 0]).astype(float)
    return forced.log_ratios / np.where(lengths > 0, lengths, np.nan)


def figure(
    result: Shift, dark: bool = False, side: Side = "tuned", measure: str = "log_ratio", pinned: int | None = None
) -> go.Figure:
    """One measure over the units (tokens or pieces) of one side's answer; `pinned` is a unit."""
    forced, shown = result.answers[side], MEASURES[measure]
    assert measure in offered(forced), f"{measure} is not offered here, only {offered(forced)}"
    table = forced.table().assign(per_character=per_character(forced))
    fig = go.Figure()
    for column in shown.columns:
        fig.add_trace(_line(forced, column, table[column].to_numpy(dtype=float), dark))
    fig.update_layout(theme.layout(dark))
    fig.update_layout(
        height=320, hovermode="closest", hoverlabel_align="left", showlegend=len(shown.columns) > 1, margin_t=24
    )
    _places(fig, len(table), "token" if forced.alike else "piece", side)
    fig.update_yaxes(title_text=shown.axis.format(reader=forced.reader), rangemode="tozero")
    if measure == "log_ratio":
        ends = 1.08 * limit(result)
        fig.update_yaxes(range=[-ends, ends], zeroline=True)
        _band(fig, forced, dark)
    if measure == "rank":
        top = np.log10(max(10.0, np.nanmax(table["rank"].to_numpy(dtype=float), initial=1.0)))
        fig.update_yaxes(type="log", range=[-0.04 * top, 1.04 * top], dtick=1)
    _pin(fig, pinned, dark)
    return fig


def split_figure(forced: Forced, split: Split, dark: bool = False, pinned: int | None = None) -> go.Figure:
    """What weights and format did to each unit, stacked from zero, with their sum as a mark."""
    colours, places = theme.palette(dark), np.arange(len(split.total))
    names = [visible(piece) for piece in forced.texts]
    shades = np.where(forced.counted, 1.0, 0.35).tolist()
    parts = (
        ("weights", split.weights, {"color": colours.muted}),
        (
            "format",
            split.format,
            {"color": colours.noise, "pattern": {"shape": "/", "fgcolor": colours.text, "size": 5, "solidity": 0.3}},
        ),
    )
    fig = go.Figure()
    for name, values, marker in parts:
        fig.add_trace(
            go.Bar(
                x=places,
                y=values,
                name=name,
                width=0.8 if len(places) > WIDE else 0.4,
                marker={**marker, "opacity": shades},
                text=names,
                textposition="none",
                hovertemplate=f"<b>%{{text}}</b> at %{{x}}<br>{name} %{{y:+.3f}} nats<extra></extra>",
            )
        )
    fig.add_trace(
        go.Scatter(
            x=places,
            y=split.total,
            name="total",
            mode="markers",
            marker={"symbol": "line-ew", "size": 12, "line": {"width": 3, "color": colours.text}},
            text=names,
            customdata=split.interaction,
            hovertemplate="<b>%{text}</b> at %{x}<br>total %{y:+.3f} nats<br>interaction %{customdata:+.3f} nats<extra></extra>",
        )
    )
    fig.update_layout(theme.layout(dark))
    fig.update_layout(height=240, barmode="relative", hovermode="closest", hoverlabel_align="left")
    _places(fig, len(places), "token" if forced.alike else "piece", forced.writer)
    fig.update_yaxes(title_text="lowered it  |  nats  |  raised it", zeroline=True)
    _pin(fig, pinned, dark)
    return fig


def _line(forced: Forced, column: str, values: np.ndarray, dark: bool) -> go.Scatter:
    """A line whose marks are hollow where a unit is not counted, and grey where a reworded prompt would do as much."""
    colours = theme.palette(dark)
    side: Side | None = {"entropy_base": "base", "entropy_tuned": "tuned", "rank": forced.reader}.get(column)  # type: ignore[assignment]
    if side is not None:
        marks = np.full(len(values), colours.sides[side])
    elif column in UNLIKE:
        marks = np.where(values > 0, colours.sides.tuned, colours.sides.base)
        marks = np.where(forced.beyond | (values != values), marks, colours.noise)
    else:
        marks = np.full(len(values), colours.text)
    ties = forced.readings[forced.reader].ties
    rank = column == "rank"
    return go.Scatter(
        x=np.arange(len(values)),
        y=np.where(values > 0, values, np.nan) if rank else values,
        name=side or column.replace("_", " "),
        mode="lines+markers",
        cliponaxis=False,
        connectgaps=False,
        line={"color": colours.sides[side] if side and not rank else colours.noise, "width": 1.5},
        marker={
            "size": 8,
            "color": marks.tolist(),
            "symbol": [
                (SYMBOLS[side] if side else "circle") + ("" if counted else "-open") for counted in forced.counted
            ],
            "line": {"width": np.where(forced.counted, 0, 1.5).tolist()},
        },
        text=[visible(piece) for piece in forced.texts],
        customdata=[f", tied with {count}" if count else "" for count in ties] if rank else None,
        hovertemplate="<b>%{text}</b> at %{x}<br>"
        + (f"rank in {forced.reader} %{{y}}%{{customdata}}" if rank else f"{column.replace('_', ' ')} %{{y:.4f}}")
        + "<extra></extra>",
    )


def _places(fig: go.Figure, count: int, unit: str, side: Side) -> None:
    """Whole units, a dozen ticks."""
    fig.update_xaxes(
        title_text=f"place of the {unit} in the {side} answer, from 0",
        range=[-0.6, max(count, 2) - 0.4],
        showgrid=False,
        zeroline=False,
        dtick=count // 12 + 1,
        tick0=0,
    )


def _band(fig: go.Figure, forced: Forced, dark: bool) -> None:
    """What a reworded prompt changes, either way."""
    if forced.wording is None or not np.isfinite(forced.wording.nats):
        return
    floor, colours = forced.wording.nats, theme.palette(dark)
    fig.add_hrect(-floor, floor, fillcolor=colours.noise, opacity=0.25, line_width=0, layer="below")
    fig.add_annotation(
        x=1,
        xref="paper",
        y=1,
        yref="paper",
        text="grey: a reworded prompt does as much",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"color": colours.muted, "size": 12},
    )


def _pin(fig: go.Figure, pinned: int | None, dark: bool) -> None:
    if pinned is not None:
        colours = theme.palette(dark)
        fig.add_vline(pinned, line={"color": colours.text, "width": 1.5, "dash": "dot"}, name="pinned")
