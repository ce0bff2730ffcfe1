"""Token by token maps, drawn side by side on canvases that share hover, pin and zoom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.figures import theme
from dashboard.widgets.component import component, pack, settle, tables, visible

_canvas = component("map_canvas")


@dataclass(frozen=True, eq=False)
class MapAxes:
    """The tokens that a map is over."""

    pieces: Sequence[str]
    """(token,) of the whole sequence"""
    queries: np.ndarray
    """(query,) int; positions in the sequence, one row each"""
    keys: np.ndarray
    """(key,) int; positions in the sequence, one column each"""
    causal: bool
    """nobody looks ahead: cells right of the diagonal are left blank, whatever the map holds there"""

    def __post_init__(self) -> None:
        square = len(self.queries) == len(self.keys)
        assert square or not self.causal, f"a causal map of {len(self.queries)} queries by {len(self.keys)} keys"

    def hold(self, query: int, key: int) -> bool:
        """Whether this map has a cell there."""
        return query in self.queries and key in self.keys and not (self.causal and key > query)


@dataclass(frozen=True)
class MapPanel:
    """One map and how it is coloured."""

    title: str
    values: np.ndarray
    """(query, key) float32"""
    colours: theme.Scale
    limit: float
    """the value of full colour; diverging scales run from -`limit`"""
    unit: str = ""
    """said at the colour bar"""


def map_canvas(
    maps: Sequence[MapPanel], axes: MapAxes, *, key: str, selected: tuple[int, int] | None = None
) -> tuple[int, int] | None:
    """Draws the maps and returns the pinned (query, key), as positions in the sequence, or None.

    A pin is set by click or Enter, removed by clicking it again or Escape; `selected` sets it from the page whenever it
    changes. A pin outside the maps disappears. Colours are linear in the value; where a map has more cells than the
    screen has dots, a dot shows the cell with the largest absolute value beneath it, and the pointer reads that cell.
    """
    assert maps, "no map to draw"
    shape = (len(axes.queries), len(axes.keys))
    for panel in maps:
        assert panel.values.shape == shape, f"{panel.title}: values {panel.values.shape} for a map of {shape}"
    pin, wish = settle(key, selected)
    _canvas(key=key, data=payload(maps, axes, wish), on_pick_change=lambda: None)
    return pin if pin is not None and axes.hold(*pin) else None


def packed(values: np.ndarray, causal: bool) -> np.ndarray:
    """(cell,) float32; `values` (query, key) row by row, of a causal map only up to the diagonal: query * (query + 1) / 2 before a row."""
    values = np.asarray(values, dtype=np.float32)
    return values[np.tri(len(values), dtype=bool)] if causal else values.ravel()


def payload(maps: Sequence[MapPanel], axes: MapAxes, wish: Mapping[str, Any]) -> bytes:
    """What the browser receives: the cells as float32, once, where they stand, and the colour tables in use."""
    cells = [packed(panel.values, axes.causal) for panel in maps]
    header = {
        "panels": [
            {
                "title": panel.title,
                "scale": panel.colours,
                "limit": float(panel.limit),
                "unit": panel.unit,
                "beyond": bool(np.abs(values).max(initial=0) > panel.limit),
            }
            for panel, values in zip(maps, cells, strict=True)
        ],
        "pieces": [visible(piece) for piece in axes.pieces],
        "causal": axes.causal,
        "wish": wish,
    }
    arrays = {name: np.asarray(at, dtype=np.int32) for name, at in (("queries", axes.queries), ("keys", axes.keys))}
    arrays |= {f"values {i}": values for i, values in enumerate(cells)}
    return pack(header, arrays | tables([panel.colours for panel in maps]))
