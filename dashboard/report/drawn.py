"""The figures of a record as compact JSON for plotly.js, drawn light; the page gives them their dark colours."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import (
    ablation,
    agreement,
    atlas,
    attention,
    attribution,
    bias,
    calibration,
    density,
    faithfulness,
    findings,
    generation,
    instructions,
    load_report,
    published,
    randomisation,
    reasoning,
    robustness,
    shift,
    survey,
    theme,
)
from model_utils.contracts.attention import Attention
from model_utils.contracts.attribution import Attribution
from model_utils.contracts.shift import Shift
from model_utils.pair import SIDES, Side

MOST_HEADS = 3
"""Heads of one layer whose maps are drawn: those that tuning changed most."""
DIGITS = 5
"""Significant digits of a number that is drawn."""
SCALES: tuple[theme.Scale, ...] = ("sequential-base", "sequential-tuned", "diverging")
"""Those that differ between light and dark."""


@dataclass(frozen=True)
class Drawn:
    """A figure, and what it shows in words."""

    title: str
    light: str
    """JSON of its data and layout"""
    dark: str
    """the same for a dark page; empty: it is `light` with the colours of `recolouring`"""


Draw = Callable[[bool], go.Figure]


def drawn(kind: str, result: Any) -> list[Drawn]:
    """The figures of a result, as the page would draw them."""
    twice = (
        kind == "agreement"
    )  # numbers stand on colours there, black or white, so that colours alone are not exchanged
    return [
        Drawn(title, compact(draw(False)), compact(draw(True)) if twice else "") for title, draw in OF[kind](result)
    ]


def _one(title: str, figure: Callable[..., go.Figure]) -> Callable[[Any], Iterator[tuple[str, Draw]]]:
    def found(result: Any) -> Iterator[tuple[str, Draw]]:
        yield title, lambda dark: figure(result, dark=dark)

    return found


def _shift(result: Shift) -> Iterator[tuple[str, Draw]]:
    for side in reversed(SIDES):
        forced = result.answers[side]
        if len(forced.log_ratios):
            yield (
                f"Log-ratio of each {'token' if forced.alike else 'piece'} of the {side} answer",
                partial(_along, result, side),
            )
    forced = result.answers.tuned
    if forced.split is not None and len(forced.log_ratios):
        yield "Weights and format, tuned answer", partial(shift.split_figure, forced, forced.split)


def _along(result: Shift, side: Side, dark: bool) -> go.Figure:
    return shift.figure(result, dark, side)


def _attention(result: Attention) -> Iterator[tuple[str, Draw]]:
    counts = [len(weights) for weights in result.weights.sides]
    chosen = np.arange(min(counts))
    if result.shared:
        base, tuned = result.weights.map(lambda weights: weights[: min(counts)]).sides
        chosen = np.argsort(-np.abs(tuned - base).mean(axis=(1, 2)), kind="stable")
    for head in chosen[:MOST_HEADS].tolist():
        many = result.shared and min(counts) > MOST_HEADS
        which = f": among the {MOST_HEADS} of {min(counts)} heads that changed most" if many else ""
        name = attention.title(result, head if result.reduction == "heads" else None)
        yield f"{name}{which}", partial(_maps, result, head)


def _maps(result: Attention, head: int, dark: bool) -> go.Figure:
    """As wide as the page, on its ground, without the title, which stands above it."""
    fig = attention.figure(result, head, dark)
    return fig.update_layout(width=None, title_text="", margin_t=64, paper_bgcolor="rgba(0,0,0,0)", height=480)


def _attribution(result: Attribution) -> Iterator[tuple[str, Draw]]:
    yield "The parts of the text with the largest scores", lambda dark: attribution.figure(result, dark)
    if len(result.scores.tuned) > 1:
        yield "Scores of every answer token", partial(_matrix, result)


def _matrix(result: Attribution, dark: bool) -> go.Figure:
    """Named by its axes alone: the words of every cell would be most of the page."""
    fig = attribution.matrix(result, dark)
    hover = f"row %{{y}}, from token %{{x}}<br>%{{z:+.4f}} {result.unit}<extra></extra>"
    return fig.update_traces(customdata=None, hovertemplate=hover)


def _density(result: Any) -> Iterator[tuple[str, Draw]]:
    if len(result.items) > 1:
        yield "Mean density over the list", lambda dark: density.means(result, dark)
    if result.items:
        yield "Density of each word of the first instruction", lambda dark: density.figure(result, 0, dark)


def _reasoning(result: Any) -> Iterator[tuple[str, Draw]]:
    if any(reasoning.areas(result, side) for side in SIDES):
        yield "How soon the answer is the final one", lambda dark: reasoning.curve(result, dark)
    if any(reasoning.estimates(result, side) for side in SIDES):
        yield "What becomes of the answer when the reasoning is changed", lambda dark: reasoning.outcomes(result, dark)


WORDINGS: dict[robustness.Measure, str] = {
    "right": "Right answers in every wording",
    "flips": "Items that flip in every wording",
}


def _robustness(result: Any) -> Iterator[tuple[str, Draw]]:
    """Of right answers; where nobody knows them, of flips."""
    if robustness.rows(result):
        measure = robustness.offered(result)[0]
        yield WORDINGS[measure], lambda dark: robustness.figure(result, dark, measure)


def _bias(result: Any) -> Iterator[tuple[str, Draw]]:
    if bias.rows(result):
        yield "How much more probable the favourable answer is for each group", lambda dark: bias.figure(result, dark)


def _calibration(result: Any) -> Iterator[tuple[str, Draw]]:
    if result.reliability is not None and any(len(one.count) for one in result.reliability.sides):
        yield "How often each model is right where it is so confident", lambda dark: calibration.figure(result, dark)


def _published(result: Any) -> Iterator[tuple[str, Draw]]:
    for part in result.parts():
        yield (
            f"{published.TITLES[result.benchmark]}: {published.PARTS[part]}",
            partial(published.figure, result, part=part),
        )


def _findings(result: Any) -> Iterator[tuple[str, Draw]]:
    """The claims, then what each part draws."""
    if findings.shown(result):
        yield "Every claim, in margins", lambda dark: findings.figure(result, dark)
    for part in ("reasoning", "robustness", "bias", "calibration"):
        if getattr(result, part) is not None:
            yield from OF[part](getattr(result, part))


def _instructions(result: Any) -> Iterator[tuple[str, Draw]]:
    for number in instructions.drawable(result)[:1]:
        title = f"What each sentence of instruction {number + 1} does to the answer"
        yield title, partial(instructions.figure, result, number)


OF: dict[str, Callable[[Any], Iterator[tuple[str, Draw]]]] = {
    "load_report": _one("How far tuning moved the weights of each layer", load_report.figure),
    "generation": _one("How sure each model was of every token it wrote", generation.figure),
    "shift": _shift,
    "survey": _one("Means over the list, with 95 % intervals", survey.figure),
    "attention": _attention,
    "atlas": _one("How far tuning moved the look of each head", atlas.figure),
    "ablation": _one("What the answer loses without a head", ablation.figure),
    "attribution": _attribution,
    "faithfulness": _one("Deletion and insertion, against random orders", faithfulness.figure),
    "density": _density,
    "agreement": _one("Kendall's tau of each two methods", agreement.figure),
    "randomisation": _one("Likeness of the scores as layers are shuffled", randomisation.figure),
    "reasoning": _reasoning,
    "robustness": _robustness,
    "bias": _bias,
    "calibration": _calibration,
    "published": _published,
    "findings": _findings,
    "instructions": _instructions,
}
"""Analysis -> its figures: a title, and what draws it."""


def compact(fig: go.Figure) -> str:
    """JSON of its data and layout; numbers in arrays as float32 in base64, which plotly.js reads; without plotly's default template."""
    plain = {"data": [one.to_plotly_json() for one in fig.data], "layout": fig.layout.to_plotly_json()}
    plain["layout"].pop("template", None)
    return json.dumps(_plain(plain), separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if type(value) in (str, int, bool):  # most of what there is
        return value
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.size and value.ndim < 3:
        return _packed(value)
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind in "Ub" else _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return None if value is None or value != value else value  # pandas' missing values are not equal to themselves


def _packed(values: np.ndarray) -> dict[str, str]:
    """What plotly.js calls a typed array."""
    kind = np.dtype("<f4") if values.dtype.kind == "f" else np.dtype("<i4")
    found = {"dtype": kind.str[1:], "bdata": base64.b64encode(values.astype(kind).tobytes()).decode()}
    return found | ({"shape": ", ".join(map(str, values.shape))} if values.ndim > 1 else {})


@cache
def recolouring() -> dict[str, str]:
    """Colour of a light figure -> of a dark one."""
    light, dark = theme.LIGHT, theme.DARK
    found = {
        getattr(light, name): getattr(dark, name)
        for name in ("background", "surface", "text", "muted", "line", "noise")
    }
    found |= dict(zip(light.sides.sides, dark.sides.sides, strict=True))
    for scale in SCALES:
        stops = zip(theme.colour_scale(scale, False), theme.colour_scale(scale, True), strict=True)
        found |= {before: after for (_, before), (_, after) in stops}
    return found


@cache
def template() -> str:
    """Plotly's default template, which every figure stands on; once for all."""
    return compact_layout(go.Figure(layout={"template": "plotly"}).layout.template.to_plotly_json())


def compact_layout(value: Any) -> str:
    return json.dumps(_plain(value), separators=(",", ":"))
