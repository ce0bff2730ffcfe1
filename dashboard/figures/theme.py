"""Every colour of Candor, for light and dark pages: Plotly figures and the canvases in the browser use the same tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from model_utils.pair import Pair

Scale = Literal["sequential", "sequential-base", "sequential-tuned", "diverging"]

LEVELS = 255
"""Entries of a colour table; odd, so that a diverging table has an exact middle."""

HUES = Pair(base=245.0, tuned=47.0)
"""Degrees in OKLCH of Okabe and Ito's blue #0072B2 and vermilion #D55E00."""

# Cividis (Nunez, Anderton & Renslow 2018), the ten stops that Plotly ships.
CIVIDIS = ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838")


@dataclass(frozen=True)
class Palette:
    """The named colours of one mode, as #rrggbb."""

    background: str
    surface: str
    """panels that lie on the background"""
    text: str
    muted: str
    """captions and axis labels; still readable as text"""
    line: str
    """rules, grid lines, borders"""
    noise: str
    """below the noise floor"""
    sides: Pair[str]
    """areas, bars and lines of each model"""
    side_text: Pair[str]
    """words in the colour of each model; contrast >= 4.5 on background and surface"""


LIGHT = Palette(
    background="#ffffff",
    surface="#f4f5f6",
    text="#1f2328",
    muted="#5c6570",
    line="#d5d9dd",
    noise="#9aa1a9",
    sides=Pair("#0072b2", "#d55e00"),
    side_text=Pair("#006aa6", "#b04e00"),
)
DARK = Palette(
    background="#14171a",
    surface="#20252a",
    text="#e6e8ea",
    muted="#a3abb3",
    line="#3a4148",
    noise="#737b83",
    sides=Pair("#56b4e9", "#ff8b3d"),
    side_text=Pair("#56b4e9", "#ff8b3d"),
)


def palette(dark: bool) -> Palette:
    return DARK if dark else LIGHT


def rgb(colour: str) -> np.ndarray:
    """(3,) uint8 from #rrggbb."""
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), dtype=np.uint8)


def luminance(colours: np.ndarray) -> np.ndarray:
    """(...,) relative luminance, 0 black to 1 white, of `colours` (..., 3) in 0..255; WCAG 2.2."""
    share = np.asarray(colours, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(...,) contrast ratio, 1 to 21, between colours (..., 3) in 0..255; WCAG 2.2."""
    a, b = luminance(one), luminance(other)
    return (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)


def white_text(colours: np.ndarray) -> np.ndarray:
    """(...,) bool: whether white rather than black is the readable text on `colours` (..., 3).

    Pure black and white, because any softer pair leaves a band of middle greys where neither reaches 4.5.
    """
    return contrast(colours, np.full(3, 255)) >= contrast(colours, np.zeros(3))


def _linear_srgb(lightness: np.ndarray, chroma: np.ndarray, hue: float) -> np.ndarray:
    """(level, 3) linear sRGB, possibly outside 0..1, from OKLCH (Ottosson 2020)."""
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    lms = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    matrix = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    return lms**3 @ matrix.T


def _arm(hue: float, dark: bool, levels: int) -> np.ndarray:
    """(level, 3) uint8 from neutral to the hue: lightness falls (dark pages: rises) evenly, whatever the hue."""
    share = np.linspace(0, 1, levels)
    lightness = 0.285 + 0.515 * share if dark else 0.955 - 0.455 * share
    chroma = 0.19 * share**0.7
    low, high = np.zeros(levels), np.ones(levels)
    for _ in range(12):  # the largest share of the chroma that a screen can show at this lightness
        middle = (low + high) / 2
        linear = _linear_srgb(lightness, chroma * middle, hue)
        shown = ((linear >= 0) & (linear <= 1)).all(axis=-1)
        low, high = np.where(shown, middle, low), np.where(shown, high, middle)
    linear = _linear_srgb(lightness, chroma * low, hue).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)


def _cividis() -> np.ndarray:
    """(LEVELS, 3) uint8."""
    stops = np.stack([rgb(stop) for stop in CIVIDIS]).astype(float)
    at = np.linspace(0, len(stops) - 1, LEVELS)
    return np.stack([np.rint(np.interp(at, np.arange(len(stops)), stops[:, i])) for i in range(3)], axis=-1).astype(
        np.uint8
    )


@cache
def table(scale: Scale, dark: bool) -> np.ndarray:
    """(LEVELS, 3) uint8, read-only: the colours of a scale, lowest first.

    `sequential-base` and `sequential-tuned` have the same lightness at the same level, so that the eye may compare them.
    `diverging` runs from the base colour (negative) through neutral (exactly 0) to the tuned colour (positive).
    """
    if scale == "sequential":
        colours = _cividis()
    elif scale == "diverging":
        half = LEVELS // 2 + 1
        base, tuned = _arm(HUES.base, dark, half), _arm(HUES.tuned, dark, half)
        colours = np.concatenate([base[:0:-1], tuned])
    else:
        colours = _arm(HUES.base if scale == "sequential-base" else HUES.tuned, dark, LEVELS)
    assert colours.shape == (LEVELS, 3), f"{scale} has shape {colours.shape}, not {(LEVELS, 3)}"
    colours.flags.writeable = False
    return colours


def levels(values: np.ndarray, scale: Scale, limit: float) -> np.ndarray:
    """(...,) uint8: which entry of the table shows each value.

    Sequential: 0 to `limit`. Diverging: -`limit` to `limit`. Values beyond are shown as the end; a limit of 0 shows all as 0.
    """
    share = (
        np.nan_to_num(np.asarray(values, dtype=float) / limit, posinf=1, neginf=-1)
        if limit > 0
        else np.zeros_like(values)
    )
    share = (share.clip(-1, 1) + 1) / 2 if scale == "diverging" else share.clip(0, 1)
    return np.floor(share * (LEVELS - 1) + 0.5).astype(np.uint8)  # halves go up, as in the browser's Math.round


@cache
def browser_table(scale: Scale, dark: bool) -> np.ndarray:
    """(LEVELS, 4) uint8 for the canvases and strips: red, green, blue, and 1 where text on it is white (0: black)."""
    colours = table(scale, dark)
    joined = np.concatenate([colours, white_text(colours)[:, None].astype(np.uint8)], axis=1)
    joined.flags.writeable = False
    return joined


def colour_scale(scale: Scale, dark: bool) -> list[tuple[float, str]]:
    """The same table as Plotly's `colorscale`: 31 stops from 0 to 1, the middle one included."""
    stops = np.linspace(0, LEVELS - 1, 31).round().astype(int)
    return [(float(i / (LEVELS - 1)), "#" + table(scale, dark)[i].tobytes().hex()) for i in stops]


def layout(dark: bool) -> dict[str, Any]:
    """Plotly's layout for every figure of one mode; `apply` gives it to one."""
    colours = palette(dark)
    axis = {
        "gridcolor": colours.line,
        "linecolor": colours.line,
        "zerolinecolor": colours.muted,
        "tickfont": {"color": colours.muted, "size": 12},
        "title": {"font": {"color": colours.muted, "size": 13}},
        "automargin": True,
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": colours.text, "size": 13, "family": "Source Sans, Source Sans Pro, system-ui, sans-serif"},
        "colorway": [colours.sides.base, colours.sides.tuned],
        "colorscale": {
            "sequential": colour_scale("sequential", dark),
            "sequentialminus": colour_scale("sequential", dark)[::-1],
            "diverging": colour_scale("diverging", dark),
        },
        "hoverlabel": {
            "bgcolor": colours.surface,
            "bordercolor": colours.line,
            "font": {"color": colours.text, "size": 13},
        },
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        "margin": {"l": 8, "r": 8, "t": 32, "b": 8},
        "bargap": 0.2,
        "xaxis": axis,
        "yaxis": axis,
    }


def apply(fig: go.Figure, dark: bool, **more: Any) -> None:
    """Gives a figure the layout of one mode, and `more` of it. Axes that stand in a grid of panels are left to `layout`'s "xaxis" and "yaxis".

    What was there is overwritten: plotly takes four times as long to merge.
    """
    style = layout(dark)
    if fig.layout.xaxis.domain is not None:
        del style["xaxis"], style["yaxis"]
    fig.update_layout(style, overwrite=True)
    if more:
        fig.update_layout(**more)
