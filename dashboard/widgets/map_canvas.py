"""Token by token maps, drawn side by side on canvases that share hover, pin and zoom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.figures import theme
from dashboard.widgets.component import component, pack, settle, tables, visible

_canvas = component("map_canvas")


@dataclass(frozen=True)
class MapPanel:
    """One map and how it is coloured."""

    title: str
    values: np.ndarray
    """(query, key) float32; causal: cells with key > query are left blank, whatever they hold"""
    colours: theme.Scale
    limit: float
    """the value of full colour; diverging scales run from -`limit`"""
    unit: str = ""
    """said at the colour bar"""


def lower_triangle(values: np.ndarray) -> np.ndarray:
    """(query * (query + 1) / 2,) float32: `values` (query, key) row by row up to the diagonal."""
    rows, columns = values.shape
    assert rows == columns, f"a map over one sequence has as many queries as keys, not {rows} and {columns}"
    return np.asarray(values, dtype=np.float32)[np.tri(rows, dtype=bool)]


def map_canvas(
    maps: Sequence[MapPanel], pieces: Sequence[str], *, key: str, selected: tuple[int, int] | None = None
) -> tuple[int, int] | None:
    """Draws the maps over the tokens `pieces` (token,) and returns the pinned (query, key), or None.

    A pin is set by click or Enter, removed by clicking it again or Escape; `selected` sets it from the page whenever it
    changes. A pin outside the maps disappears. Colours are linear in the value; where a map has more cells than the
    screen has dots, a dot shows the cell with the largest absolute value beneath it, and the pointer reads that cell.
    """
    assert maps, "no map to draw"
    for panel in maps:
        assert len(panel.values) == len(pieces), f"{panel.title}: {len(panel.values)} queries for {len(pieces)} tokens"
    pin, wish = settle(key, tuple(selected) if selected is not None else None)
    if pin is not None:
        query, at = pin
        pin = (int(query), int(at)) if 0 <= at <= query < len(pieces) else None
    _canvas(key=key, data=payload(maps, pieces, wish), on_pick_change=lambda: None)
    return pin


def payload(maps: Sequence[MapPanel], pieces: Sequence[str], wish: Mapping[str, Any]) -> bytes:
    """What the browser receives: the lower triangles as float32, once, and the colour tables in use."""
    packed = [lower_triangle(panel.values) for panel in maps]
    header = {
        "panels": [
            {
                "title": panel.title,
                "scale": panel.colours,
                "limit": float(panel.limit),
                "unit": panel.unit,
                "beyond": bool(np.abs(values).max(initial=0) > panel.limit),
            }
            for panel, values in zip(maps, packed, strict=True)
        ],
        "pieces": [visible(piece) for piece in pieces],
        "wish": wish,
    }
    arrays = {f"values {i}": values for i, values in enumerate(packed)}
    return pack(header, arrays | tables([panel.colours for panel in maps]))
