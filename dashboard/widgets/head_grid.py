"""All heads of both models as one image: what each looks at, and a number of each; a click opens a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.figures import theme
from dashboard.widgets.component import Deflated, component, deflated, pack, settle, tables
from model_utils.pair import Pair

_grid = component("head_grid")

Head = tuple[int, int]
"""(layer, head), the layer by its number in the model"""


@dataclass(frozen=True, eq=False)
class HeadMeasure:
    """One number of each head, drawn as a coloured square beside the pictures."""

    title: str
    values: np.ndarray
    """(layer, head) float32; NaN where there is none"""
    colours: theme.Scale
    limit: float
    """the value of full colour; diverging scales run from -`limit`"""
    unit: str = ""
    """said after each number"""
    words: str = ""
    """what the number is, said below the grid"""


def head_grid(
    pictures: Pair[np.ndarray], measure: HeadMeasure, layers: np.ndarray, *, key: str, selected: Head | None = None
) -> Head | None:
    """Draws base | tuned | measure, layers down and heads across, and returns the opened head or None.

    `pictures` (layer, head, row, column) uint8 a side hold mean weights in the code of `contracts.atlas.coded`: 0 is
    nothing, 1 to 255 are even steps of the logarithm. `layers` (layer,) int are their numbers in the model. A head is
    opened by click or Enter; `selected` opens one from the page whenever it changes. A head outside is none.
    """
    shape = (len(layers), measure.values.shape[-1])
    assert measure.values.shape == shape, f"{measure.title}: values {measure.values.shape} for {shape[0]} layers"
    for side, given in pictures.items():
        assert given.dtype == np.uint8 and given.shape[:2] == shape, f"{side}: {given.dtype} {given.shape} for {shape}"
    opened, wish = settle(key, selected)
    _grid(key=key, data=payload(pictures, measure, layers, wish), on_pick_change=lambda: None)
    held = opened is not None and opened[0] in layers and 0 <= opened[1] < shape[1]
    return opened if held else None


def payload(pictures: Pair[np.ndarray], measure: HeadMeasure, layers: np.ndarray, wish: dict) -> bytes:
    """What the browser receives: the pictures deflated, the numbers, and the colour tables in use."""
    header = {
        "measure": {
            "title": measure.title,
            "scale": measure.colours,
            "limit": float(measure.limit),
            "unit": measure.unit,
            "words": measure.words,
        },
        "shape": list(measure.values.shape),
        "cells": {side: list(given.shape[2:]) for side, given in pictures.items()},
        "wish": wish,
    }
    arrays: dict[str, np.ndarray | Deflated] = {side: deflated(given.ravel()) for side, given in pictures.items()}
    arrays["layers"] = np.asarray(layers, dtype=np.int32)
    arrays["values"] = np.asarray(measure.values, dtype=np.float32).ravel()
    return pack(header, arrays | tables(["sequential-base", "sequential-tuned", measure.colours]))
