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
    unit: str
    """behind a number of it"""
    columns: tuple[str, ...]
    """of `Forced.table`: two are one line for each model"""


MEASURES = {
    "log_ratio": Measure("log-ratio", "base likelier  |  log-ratio, nats  |  tuned likelier", " nats", ("log_ratio",)),
    "per_character": Measure(
        "per character",
        "base likelier  |  log-ratio, nats a character  |  tuned likelier",
        " nats a character",
        ("per_character",),
    ),
    "rank": Measure("rank", "rank in {reader}, 1 is its own choice", "", ("rank",)),
    "kl": Measure("KL(tuned‖base)", "KL(tuned‖base), nats, 0 is no change", " nats", ("kl",)),
    "kl_reverse": Measure("KL(base‖tuned)", "KL(base‖tuned), nats, 0 is no change", " nats", ("kl_reverse",)),
    "js": Measure("JS", "Jensen-Shannon, nats, 0 to 0.69", " nats", ("js",)),
    "tv": Measure("TV", "total variation, 0 to 1", "", ("tv",)),
    "entropy_change": Measure("entropy", "entropy, nats, 0 is certain", " nats", ("entropy_base", "entropy_tuned")),
}
"""What can be shown along an answer."""

UNLIKE = ("log_ratio", "per_character")
"""All that can be said where the two models read different tokens."""
ALIKE = tuple(name for name in MEASURES if name != "per_character")


def offered(forced: Forced) -> tuple[str, ...]:
    """The measures that this answer has."""
    return ALIKE if forced.alike else UNLIKE


# Noise


def floor(forced: Forced) -> float | None:
    """nats; the change that noise alone may make, by a reworded prompt or by other arithmetic; None: not measured."""
    nats = [one.nats for one in (forced.numerical, forced.wording) if one is not None]
    return float(max(nats)) if forced.wording is not None and np.isfinite(nats).all() else None


def within_floor(forced: Forced) -> np.ndarray:
    """(unit,) bool; changed no more than noise does; none where the noise was not measured."""
    return ~forced.beyond & np.isfinite(forced.log_ratios) & (floor(forced) is not None)


def noise_said(forced: Forced) -> str:
    """What changes a log-probability by as much as the floor."""
    numerical = forced.numerical is not None and forced.numerical.nats == floor(forced)
    return "numerical noise does as much" if numerical else "a reworded prompt does as much"


# Along the answer


def limit(result: Shift) -> float:
    """The largest finite log-ratio of what counts in both answers, either way, at least 1 nat: one scale for both, and small changes do
    not look large."""
    ratios = np.concatenate([np.abs(forced.log_ratios[forced.counted]) for forced in result.answers.sides])
    return float(max(1.0, np.max(ratios[np.isfinite(ratios)], initial=0.0)))


def colour_limit(result: Shift) -> float:
    """What full colour means in both strips: the largest log-ratio, but at most `FULL`, or one odd token would leave the others pale."""
    return min(FULL, limit(result))


def figure(
    result: Shift, dark: bool = False, side: Side = "tuned", measure: str = "log_ratio", pinned: int | None = None
) -> go.Figure:
    """One measure over the units (tokens or pieces) of one side's answer; `pinned` is a unit."""
    forced, shown = result.answers[side], MEASURES[measure]
    assert measure in offered(forced), f"{measure} is not offered here, only {offered(forced)}"
    table = forced.table()
    fig = go.Figure()
    for column in shown.columns:
        values = table[column].to_numpy(dtype=float)
        ends = (-limit(result), limit(result)) if measure == "log_ratio" else _ends(forced, values)
        fig.add_trace(_line(forced, shown, column, values, ends, dark))
    theme.apply(fig, dark)
    fig.update_layout(
        height=320, hovermode="closest", hoverlabel_align="left", showlegend=len(shown.columns) > 1, margin_t=24
    )
    _places(fig, len(table), "token" if forced.alike else "piece", side)
    fig.update_yaxes(title_text=shown.axis.format(reader=forced.reader), rangemode="tozero")
    if measure == "log_ratio":
        top = 1.08 * limit(result)
        fig.update_yaxes(range=[-top, top], zeroline=True)
        _band(fig, forced, dark)
    if measure == "rank":
        top = np.log10(np.nanmax(np.asarray(fig.data[0].y, dtype=float), initial=10.0))
        fig.update_yaxes(type="log", range=[-0.04 * top, 1.04 * top], dtick=1)
    _pin(fig, pinned, dark)
    return fig


def _ends(forced: Forced, values: np.ndarray) -> tuple[float, float]:
    """Zero, and the farthest values (unit,) of what counts either way; without such no ends."""
    known = values[forced.counted & np.isfinite(values)]
    return (min(0.0, known.min()), max(0.0, known.max())) if len(known) else (-np.inf, np.inf)


def split_figure(forced: Forced, split: Split, dark: bool = False, pinned: int | None = None) -> go.Figure:
    """What weights and format did to each unit, stacked from zero, with their sum as a mark, grey where noise does as much."""
    colours, places = theme.palette(dark), np.arange(len(split.total))
    names = [visible(piece) for piece in forced.texts]
    shades = np.where(forced.counted, 1.0, 0.35).tolist()
    top = floor(forced)
    little = np.abs(split.total) <= (-1.0 if top is None else top)
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
            marker={
                "symbol": "line-ew",
                "size": 12,
                "line": {"width": 3, "color": np.where(little, colours.noise, colours.text).tolist()},
            },
            text=names,
            customdata=[
                f"interaction {one:+.3f} nats" + (f"<br>{noise_said(forced)}" if grey else "")
                for one, grey in zip(split.interaction, little, strict=True)
            ],
            hovertemplate="<b>%{text}</b> at %{x}<br>total %{y:+.3f} nats<br>%{customdata}<extra></extra>",
        )
    )
    theme.apply(fig, dark)
    fig.update_layout(height=240, barmode="relative", hovermode="closest", hoverlabel_align="left")
    _places(fig, len(places), "token" if forced.alike else "piece", forced.writer)
    fig.update_yaxes(title_text="lowered it  |  nats  |  raised it", zeroline=True, range=_reach(forced, split))
    _pin(fig, pinned, dark)
    return fig


def _reach(forced: Forced, split: Split) -> list[float] | None:
    """Both ends of the bars of what counts, and some room; None: any."""
    parts = np.stack([split.weights, split.format])[:, forced.counted]
    parts = np.where(np.isfinite(parts), parts, 0.0)
    low = float(np.min(np.minimum(parts, 0).sum(axis=0), initial=0.0))
    high = float(np.max(np.maximum(parts, 0).sum(axis=0), initial=0.0))
    room = 0.08 * (high - low)
    return [low - room, high + room] if room else None


def _line(
    forced: Forced, measure: Measure, column: str, values: np.ndarray, ends: tuple[float, float], dark: bool
) -> go.Scatter:
    """A line whose marks are hollow where a unit is not counted, then no farther out than `ends`, and grey where noise does as much."""
    colours = theme.palette(dark)
    side: Side | None = {"entropy_base": "base", "entropy_tuned": "tuned", "rank": forced.reader}.get(column)  # type: ignore[assignment]
    if side is not None:
        marks = np.full(len(values), colours.sides[side])
    elif column in UNLIKE:
        marks = np.where(values > 0, colours.sides.tuned, colours.sides.base)
        marks = np.where(within_floor(forced), colours.noise, marks)
    else:
        marks = np.full(len(values), colours.text)
    rank = column == "rank"
    drawn = np.where(forced.counted, values, np.clip(values, *ends))
    return go.Scatter(
        x=np.arange(len(values)),
        y=np.where(drawn > 0, drawn, np.nan) if rank else drawn,
        name=side or measure.name,
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
        customdata=_said(forced, measure, side, values),
        hovertemplate="<b>%{text}</b> at %{x}<br>%{customdata}<extra></extra>",
    )


def _said(forced: Forced, measure: Measure, side: Side | None, values: np.ndarray) -> list[str]:
    """(unit,) the measure's name, whose it is, the number and its unit."""
    name = f"{measure.name} in {side}" if side else measure.name
    if measure is MEASURES["rank"]:
        ties = forced.readings[forced.reader].ties.tolist()
        return [
            f"{name} {int(one):,}" + (f", tied with {count:,}" if count else "")
            for one, count in zip(values, ties, strict=True)
        ]
    sign = "+" if measure.columns[0] in UNLIKE else ""
    return [f"{name} {one:{sign}.4f}{measure.unit}" for one in values.tolist()]


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
    """What noise changes, either way."""
    top, colours = floor(forced), theme.palette(dark)
    if top is None:
        return
    fig.add_hrect(-top, top, fillcolor=colours.noise, opacity=0.25, line_width=0, layer="below")
    fig.add_annotation(
        x=1,
        xref="paper",
        y=1,
        yref="paper",
        text=f"grey: {noise_said(forced)}",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"color": colours.muted, "size": 12},
    )


def _pin(fig: go.Figure, pinned: int | None, dark: bool) -> None:
    if pinned is not None:
        colours = theme.palette(dark)
        fig.add_vline(pinned, line={"color": colours.text, "width": 1.5, "dash": "dot"}, name="pinned")
