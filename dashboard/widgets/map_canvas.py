"""Token by token maps of the heads of both models, drawn side by side on canvases that share hover, pin and zoom."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import streamlit as st

from dashboard.figures import theme
from dashboard.figures.layers import largest
from dashboard.widgets.component import Deflated, component, deflated, pack, settle, tables, visible
from model_utils.contracts.atlas import coded
from model_utils.pair import SIDES, Pair, Side

_canvas = component("map_canvas")
_rows = component("map_rows")

EXACT = 256
"""Up to so many tokens the exact weights of all heads travel at once; above, those of one head in the code of `coded`."""

Cell = tuple[int, int]
"""(query, key), positions in the sequence"""
Region = tuple[tuple[int, int], tuple[int, int]]
"""(first, stop) of the queries and of the keys, positions in the sequence"""
Head = int | Literal["mean", "strongest"]


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
    regions: Mapping[str, Region] = field(default_factory=dict)
    """name -> what is zoomed to under this name; tokens outside the map are passed over"""
    row_pieces: Sequence[str] | None = None
    """(token,) of the text that `queries` are positions in, where it is another than that of `keys`"""
    words: tuple[str, str] = ("query", "to key")
    """what is said before the number of a row's token, and of a column's"""

    def __post_init__(self) -> None:
        square = len(self.queries) == len(self.keys)
        assert square or not self.causal, f"a causal map of {len(self.queries)} queries by {len(self.keys)} keys"

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.queries), len(self.keys)

    def hold(self, query: int, key: int) -> bool:
        """Whether this map has a cell there."""
        return query in self.queries and key in self.keys and not (self.causal and key > query)


@dataclass(frozen=True)
class MapView:
    """How the maps are looked at: what the control bar changes."""

    head: Head = 0
    """one head, or in each cell the mean or the strongest of all"""
    scale: Literal["linear", "log"] = "linear"
    first: bool = True
    """whether the first token is shown; hidden, each row of the map shown adds up to 1 without it"""
    zoom: str | Region | None = None
    """the name of a region of the axes, or one dragged with the pointer; None: all tokens"""


@dataclass(frozen=True)
class MapState:
    """What the visitor looks at now."""

    view: MapView
    cell: Cell | None
    """the pinned cell"""
    side: Side | None
    """whose text the cell is in, where each side has a text of its own"""


def map_canvas(
    weights: Pair[np.ndarray],
    axes: MapAxes | Pair[MapAxes],
    *,
    key: str,
    title: str,
    view: MapView | None = None,
    selected: Cell | None = None,
    side: Side | None = None,
    signed: bool = False,
    pale: Sequence[str] = (),
) -> MapState:
    """Draws base, tuned and their difference under a control bar of its own, and returns what is looked at.

    `weights` (head, query, key) float32 a side; of sides with different numbers of heads those that both have are shown,
    and a single head has no choice of heads. With one `axes` both sides are over the same tokens; with a pair each has its
    own map and there is no difference. A pin is set by click or Enter, removed by clicking it again or Escape. `view` and
    `selected` (with `side`, where each has its own text) set view and pin from the page whenever they change; a pin outside
    the maps disappears. The browser follows the bar at once and says so here afterwards; only another head of more than
    `EXACT` tokens waits for a run. `title` says what the maps are of, in the picture (PNG) that the bar saves and in its
    name. Where a map has more cells than the screen has dots, a dot shows its strongest cell. `signed`: the numbers may lie
    below 0 and are no shares, so that all maps are on one diverging scale and the bar has neither a log scale nor a first
    token to hide; a NaN stays blank. The maps named in `pale` ("base", "tuned", "difference") are not to be read.
    """
    own = axes if isinstance(axes, Pair) else Pair(axes, axes)
    shared, heads = not isinstance(axes, Pair), min(len(given) for _, given in weights.items())
    for name, given in weights.items():
        assert given.shape[1:] == own[name].shape, f"{name}: weights {given.shape} for maps of {own[name].shape}"
    assert heads, "no map to draw"
    pin, wish = settle(key, selected if shared or selected is None else (*selected, side))
    looked, view_wish = settle(key, _as_json(view or MapView()), "view")
    now = _view(looked, heads, own)
    cells = _cells(key, weights, own, heads, now.head, signed)
    with st.container(gap=None):
        _canvas(
            key=key,
            data=payload(cells, axes, key, title, wish, view_wish, pale),
            on_pick_change=lambda: None,
            on_view_change=lambda: None,
        )
        if cells.shown:
            _exact_rows(cells, shared, key)
    of = None if shared or pin is None else pin[2]
    held = pin is not None and own[of or "base"].hold(*pin[:2])
    return MapState(now, pin[:2] if held else None, of if held else None)


def _as_json(view: MapView) -> dict[str, Any]:
    """As the browser gives it."""
    zoom = view.zoom if view.zoom is None or isinstance(view.zoom, str) else [list(span) for span in view.zoom]
    return {**asdict(view), "zoom": zoom}


def _view(given: Mapping[str, Any], heads: int, axes: Pair[MapAxes]) -> MapView:
    """What the browser gave, within the heads and regions that there are."""
    head, zoom = given["head"], given["zoom"]
    if not isinstance(head, str):
        head = max(0, min(int(head), heads - 1))
    if isinstance(zoom, list):
        (first, stop), (left, right) = zoom
        zoom = ((int(first), int(stop)), (int(left), int(right)))
    elif zoom not in axes.base.regions and zoom not in axes.tuned.regions:
        zoom = None
    return MapView(head, given["scale"], bool(given["first"]), zoom)


# What travels


@dataclass(frozen=True, eq=False)
class Cells:
    """The weights on their way to the browser, kept from run to run: most runs change nothing of them."""

    weights: Pair[np.ndarray]
    """as they were given"""
    heads: int
    """how many there are to choose from"""
    head: Head | None
    """which of them travels; None: all"""
    shown: Pair[np.ndarray] | None
    """(query, key) float32 a side of the one that travels, for exact rows"""
    arrays: Mapping[str, np.ndarray | Deflated]
    of: int
    """tells these cells from others"""
    limit: float | None = None
    """of signed numbers, the largest magnitude in a map, which the ends of their code stand for; None: shares"""


def _cells(
    key: str, weights: Pair[np.ndarray], axes: Pair[MapAxes], heads: int, head: Head, signed: bool = False
) -> Cells:
    held: Cells | None = st.session_state.get(f"{key}.cells")
    same = held and all(_is(held.weights[side], given) for side, given in weights.items())
    if held is None or not same or held.head not in (None, head):
        held = st.session_state[f"{key}.cells"] = make_cells(weights, axes, heads, head, signed)
    return held


def _is(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether these are the same values in the same memory, however they were cut out of it."""
    return one.__array_interface__ == other.__array_interface__


def make_cells(weights: Pair[np.ndarray], axes: Pair[MapAxes], heads: int, head: Head, signed: bool = False) -> Cells:
    """All heads as they are where the maps are small, else `head` in the code of `coded`, or if `signed` of `encode_signed`."""
    arrays: dict[str, np.ndarray | Deflated] = {}
    limit = largest(*weights.sides) if signed else None
    if max(max(one.shape) for _, one in axes.items()) <= EXACT:
        for side, given in weights.items():
            arrays[side] = deflated(
                np.stack([packed(one, axes[side].causal) for one in given[:heads]])
                .astype(np.float32, copy=False)
                .ravel()
            )
        return Cells(weights, heads, None, None, arrays, 0, limit)
    shown = weights.map(lambda given: reduced(given[:heads], head))
    for side, given in shown.items():
        if limit is not None:
            arrays[side] = deflated(encode_signed(packed(given, axes[side].causal), limit))
            continue
        first, rest, code = encode(given, axes[side].causal)
        arrays |= {f"{side} first": first, f"{side} rest": rest, side: deflated(code)}
    of = 0
    for side in SIDES:
        array = arrays[side]
        of = zlib.crc32(array.data if isinstance(array, Deflated) else array.tobytes(), of)
    return Cells(weights, heads, head, shown, arrays, of, limit)


def reduced(weights: np.ndarray, head: Head) -> np.ndarray:
    """(query, key) of `weights` (head, query, key): one head, or the mean or the strongest of all."""
    if head == "mean":
        return weights.mean(axis=0)
    return weights.max(axis=0) if head == "strongest" else weights[head]


def packed(values: np.ndarray, causal: bool) -> np.ndarray:
    """(cell,) of `values` (query, key) row by row, of a causal map only up to the diagonal: query * (query + 1) / 2 before a row."""
    return values[np.tri(len(values), dtype=bool)] if causal else values.ravel()


def encode(weights: np.ndarray, causal: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first column (row,) and what a row adds up to without it (row,), float32, and the code (cell,) uint8 of each weight's share in that.

    So the code serves with the first token shown and hidden, and what a row has beside a strong first token is not lost.
    """
    rest = weights[:, 1:].sum(axis=1, dtype=np.float64).astype(np.float32)
    shares = weights / np.where(rest > 0, rest, 1)[:, None]
    shares[:, 0] = 0
    return weights[:, 0].astype(np.float32), rest, coded(np.minimum(packed(shares, causal), 1))


def encode_signed(values: np.ndarray, limit: float) -> np.ndarray:
    """(cell,) uint8: 0 to 254 in even steps from -`limit` to `limit`, 127 exactly 0; 255 is NaN."""
    return np.where(np.isnan(values), np.uint8(255), theme.levels(values, "diverging", limit))


def payload(
    cells: Cells,
    axes: MapAxes | Pair[MapAxes],
    key: str,
    title: str,
    wish: Mapping[str, Any],
    view: Mapping[str, Any],
    pale: Sequence[str] = (),
) -> bytes:
    """What the browser receives: the cells, their tokens, and the colour tables in use."""
    fields = list(axes.sides) if isinstance(axes, Pair) else [axes]
    header = {
        "canvas": key,
        "title": title,
        "of": cells.of,
        "heads": cells.heads,
        "head": cells.head,
        "limit": cells.limit,
        "pale": list(pale),
        "axes": [
            {
                "pieces": [visible(piece) for piece in one.pieces],
                "rows": None if one.row_pieces is None else [visible(piece) for piece in one.row_pieces],
                "words": one.words,
                "causal": one.causal,
                "regions": {name: [list(span) for span in region] for name, region in one.regions.items()},
            }
            for one in fields
        ],
        "wish": wish,
        "wishes": {"view": view},
    }
    arrays = dict(cells.arrays)
    for number, one in enumerate(fields):
        arrays[f"queries {number}"] = np.asarray(one.queries, dtype=np.int32)
        arrays[f"keys {number}"] = np.asarray(one.keys, dtype=np.int32)
    return pack(header, arrays | tables(["sequential-base", "sequential-tuned", "diverging"]))


# Exact rows of maps that travelled in code


@st.fragment
def _exact_rows(cells: Cells, shared: bool, canvas: str) -> None:
    """Answers the browser's question for a row of the map it shows; a run of this fragment alone."""
    key = f"{canvas}.rows"
    asked = (st.session_state.get(key) or {}).get("ask")
    _rows(key=key, data=row_payload(cells, asked, shared, canvas), on_ask_change=lambda: None)


def row_payload(cells: Cells, asked: Mapping[str, int] | None, shared: bool, canvas: str) -> bytes:
    """The row asked for, (key,) float32, of both sides, or where each has a text of its own of the side asked for."""
    assert cells.shown, "every row is there already"
    nothing = pack({"canvas": canvas, "row": None}, {})
    if asked is None or asked["of"] != cells.of:
        return nothing
    sides = SIDES if shared else (SIDES[asked["field"]],)
    if not 0 <= asked["row"] < min(len(cells.shown[side]) for side in sides):
        return nothing
    return pack({"canvas": canvas, **asked}, {side: cells.shown[side][asked["row"]] for side in sides})
