"""The parts of the text on which both models leaned most, those whose score changed most, and every answer token's scores at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from dashboard.figures.labels import numbered, visible
from dashboard.figures.layers import largest
from model_utils.contracts.attribution import Attribution, Parted
from model_utils.pair import SIDES, Pair

STRONGEST = 12
MOST_TICKS = 48
PALE = 0.2


def limit(result: Attribution) -> float:
    """The largest magnitude of base, tuned and their difference: full colour in all three strips."""
    return largest(*result.open_totals().sides, result.open_difference())


def strongest(table: pd.DataFrame, count: int = STRONGEST) -> pd.DataFrame:
    """Rows of `Attribution.table()` of parts that may be taken away with the largest magnitude on either side, strongest first, zeros and what has no score left out."""
    sizes = table[list(SIDES)].abs().max(axis=1).where(table["open"]).fillna(0.0)
    ranked = np.argsort(-sizes.to_numpy(), kind="stable")[:count]
    return table.iloc[ranked[sizes.to_numpy()[ranked] > 0]].reset_index(drop=True)


def most_changed(result: Attribution) -> pd.DataFrame:
    """`result.table()` of the scored parts that may be taken away in both texts, the largest difference between the models first."""
    table = result.table()
    table = table[table["open"]].drop(columns="open").dropna(subset="difference")
    return table.sort_values("difference", key=lambda values: -values.abs(), kind="stable", ignore_index=True)


def figure(result: Attribution, dark: bool = False, faded: tuple[str, ...] = ()) -> go.Figure:
    """Scores of the strongest parts that may be taken away, one bar a side, strongest on top; numeric axis, because equal words would merge.

    The sides in `faded` are pale: their scores are not to be read. Where each side read its own text, a part has a bar of its side only.
    """
    chosen = strongest(result.table())
    rows = np.arange(len(chosen))
    pieces, at = chosen["tokens"].tolist(), chosen["tuned_position"].fillna(chosen["base_position"]).astype(int)
    fig = go.Figure()
    for side in SIDES:
        fig.add_trace(
            go.Bar(
                x=chosen[side].to_numpy(),
                y=rows,
                name=side,
                orientation="h",
                opacity=PALE if side in faded else 1,
                marker_color=theme.palette(dark).sides[side],
                text=[visible(piece) for piece in pieces],
                textposition="none",
                customdata=chosen[f"{side}_position"].astype(object).where(chosen[side].notna(), None),
                hovertemplate=f"<b>%{{text}}</b> at %{{customdata}}<br>%{{x:{'+' if result.signed else ''}.4f}} "
                + result.unit
                + "<extra>"
                + side
                + "</extra>",
            )
        )
    theme.apply(fig, dark)
    fig.update_layout(height=112 + 32 * max(1, len(chosen)), barmode="group", bargap=0.3, bargroupgap=0.0)
    fig.update_xaxes(
        title_text=axis_title(result),
        zeroline=True,
    )
    labels = [numbered(place, piece) for place, piece in zip(at, pieces, strict=True)]
    fig.update_yaxes(tickvals=rows, ticktext=labels, autorange="reversed", showgrid=False, zeroline=False)
    return fig


def axis_title(result: Attribution) -> str:
    """What the length of a bar means; some methods have no sign."""
    if not result.signed:
        return f"{result.method}, {result.unit}"
    return f"lowered it  |  {result.unit}  |  raised it"


def columns(text: Parted) -> np.ndarray:
    """(column,) int64; the parts that may be taken away and begin before the last target."""
    return np.flatnonzero(text.open & (text.first_tokens() < text.length))


def cells(result: Attribution) -> Pair[np.ndarray]:
    """(row, column) float32 a side; NaN: no score, or the part does not begin before the row's token."""
    return result.scores.zip(result.texts).map(lambda one: _cells(*one))


def _cells(scores: np.ndarray, text: Parted) -> np.ndarray:
    shown, rows = columns(text), np.array([places.max() for places in text.places()])
    ahead = text.first_tokens()[shown] >= rows[:, None]
    return np.where(ahead, np.float32(np.nan), scores[:, shown])


def matrix(result: Attribution, dark: bool = False, faded: tuple[str, ...] = ()) -> go.Figure:
    """`cells` of base, tuned, tuned - base, one above the other, all on one scale; for the file that people take away.

    Where each side read its own text there is no difference, and each map has axes of its own.
    """
    both = cells(result)
    panels: list[tuple[str, np.ndarray, Parted]] = [(side, both[side], result.texts[side]) for side in SIDES]
    if result.aligned:  # equally many columns: the same parts
        panels.append(("tuned - base", both.tuned - both.base, result.texts.tuned))
    most = largest(*(values for _, values, _ in panels))
    alike = result.alignment == "tokens"
    fig = make_subplots(
        len(panels), 1, subplot_titles=[name for name, *_ in panels], shared_xaxes=alike, vertical_spacing=0.09 if alike else 0.2
    )  # fmt: skip
    style, every = theme.layout(dark), {"showgrid": False, "zeroline": False}
    heights = [int(np.clip(18 * len(values), 60, 360)) for _, values, _ in panels]
    theme.apply(fig, dark, height=sum(heights) + 70 * len(panels), margin_t=48)
    for row, (name, values, text) in enumerate(panels, start=1):
        shown, names, first = columns(text), text.names(), text.first_tokens()
        answers = [text.sequence.said(places) for places in text.places()]
        rows, numbers = np.arange(len(answers)), text.answer_numbers()
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
            customdata=_pairs(numbers, [visible(names[part]) for part in shown]),
            hovertemplate=f"token %{{customdata[0]}} of the answer, from %{{customdata[1]}}<br>%{{z:+.4f}} {result.unit}<extra>{name}</extra>",
        )
        fig.add_trace(trace, row, 1)
        step, down = -(-len(shown) // MOST_TICKS), -(-len(rows) // max(1, heights[row - 1] // 14))
        labels = [numbered(int(first[part]), names[part]) for part in shown[::step]]
        fig.update_xaxes(
            style["xaxis"],
            overwrite=True,
            **every,
            tickvals=first[shown][::step],
            ticktext=labels,
            tickangle=-90,
            row=row,
            col=1,
        )
        named = [numbered(int(numbers[one]), answers[one]) for one in rows[::down]]
        fig.update_yaxes(
            style["yaxis"],
            overwrite=True,
            **every,
            tickvals=rows[::down],
            ticktext=named,
            autorange="reversed",
            row=row,
            col=1,
        )
    return fig


def _pairs(numbers: np.ndarray, names: list[str]) -> np.ndarray:
    """(row, column, 2) str; the row's number and the column's name; an array, because plotly looks at every item of lists."""
    shape = (len(numbers), len(names))
    rows, columns = (
        np.broadcast_to(numbers.astype(str)[:, None], shape),
        np.broadcast_to(np.array(names, dtype=str), shape),
    )
    return np.stack([rows, columns], axis=-1)
