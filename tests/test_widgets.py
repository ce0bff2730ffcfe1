"""Colours, cells, visible characters and payloads of the widgets: all that is decided before the browser."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.colors import sequential
from streamlit.testing.v1 import AppTest

from dashboard import spreadsheets
from dashboard.figures import shift as figures
from dashboard.figures import theme
from dashboard.widgets import component, heads, shift_strips, token_strip
from dashboard.widgets import head_grid as grid
from dashboard.widgets import map_canvas as canvas
from dashboard.widgets.component import BIDI_CONTROLS, QUIET, Deflated, deflated, pack, settle, unpack, visible
from dashboard.widgets.map_canvas import (
    Head,
    MapAxes,
    MapView,
    encode,
    encode_signed,
    make_cells,
    packed,
    reduced,
    row_payload,
)
from dashboard.widgets.token_strip import GREYED, MARKED, Alternative, Comparison, cell_values, cells
from model_utils.contracts.atlas import LOWEST
from model_utils.contracts.common import ATTENTION_KINDS, AttentionKind, Encoded
from model_utils.contracts.shift import Floor
from model_utils.pair import Pair
from tests import results
from tests.strategies import texts

SCALES: tuple[theme.Scale, ...] = ("sequential", "sequential-base", "sequential-tuned", "diverging")


# Colours


@pytest.mark.parametrize("dark", [False, True])
def test_words_in_any_named_colour_are_readable_on_page_and_panel(dark: bool):
    colours = theme.palette(dark)
    for word in (colours.text, colours.muted, colours.side_text.base, colours.side_text.tuned):
        for ground in (colours.background, colours.surface):
            assert theme.contrast(theme.rgb(word), theme.rgb(ground)) >= 4.5, f"{word} on {ground}"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("scale", SCALES)
def test_text_on_every_cell_is_readable(scale: theme.Scale, dark: bool):
    table = theme.browser_table(scale, dark)
    text = np.where(table[:, 3:] == 1, 255, 0).repeat(3, axis=1)
    assert (theme.contrast(table[:, :3], text) >= 4.5).all()


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_black_or_white_is_readable_on_any_colour(red: int, green: int, blue: int):
    colour = np.array([red, green, blue])
    text = np.full(3, 255 if theme.white_text(colour) else 0)
    assert theme.contrast(colour, text) >= 4.5


def test_contrast_of_black_and_white_is_21():
    assert theme.contrast(np.zeros(3), np.full(3, 255)) == pytest.approx(21)


@pytest.mark.parametrize("dark", [False, True])
def test_lightness_is_monotone_and_equal_for_both_sides(dark: bool):
    """The eye compares base and tuned maps by lightness; neither hue may look stronger at the same value."""
    base, tuned = (theme.luminance(theme.table(scale, dark)) for scale in ("sequential-base", "sequential-tuned"))
    direction = 1 if dark else -1
    for side in (base, tuned):
        assert (direction * np.diff(side) > -0.005).all() and direction * (side[-1] - side[0]) > 0.3
    lightness = [np.cbrt(side) for side in (base, tuned)]
    assert np.abs(lightness[0] - lightness[1]).max() < 0.06


@pytest.mark.parametrize("dark", [False, True])
def test_diverging_goes_from_base_through_neutral_to_tuned(dark: bool):
    table = theme.table("diverging", dark)
    middle = theme.LEVELS // 2
    assert np.array_equal(table[0], theme.table("sequential-base", dark)[-1])
    assert np.array_equal(table[-1], theme.table("sequential-tuned", dark)[-1])
    assert np.ptp(table[middle].astype(int)) <= 1, "the middle is grey"
    assert theme.levels(np.zeros(1), "diverging", 2.0) == middle


def test_magnitude_is_plotlys_cividis():
    assert [stop.lower() for stop in sequential.Cividis] == list(theme.CIVIDIS)
    assert "#" + theme.table("sequential", False)[0].tobytes().hex() == theme.CIVIDIS[0]
    assert "#" + theme.table("sequential", False)[-1].tobytes().hex() == theme.CIVIDIS[-1]


@given(st.lists(st.floats(-10, 10), min_size=1), st.floats(0.1, 5))
def test_negating_values_mirrors_diverging_levels(values: list[float], limit: float):
    there, back = (theme.levels(sign * np.array(values), "diverging", limit).astype(int) for sign in (1, -1))
    assert np.abs(there + back - (theme.LEVELS - 1)).max() <= 1  # a value half way between two levels


def test_levels_saturate_at_the_limit_and_a_limit_of_zero_is_all_neutral():
    values = np.array([-9.0, 0.0, 1.0, 9.0])
    assert theme.levels(values, "sequential", 1.0).tolist() == [0, 0, 254, 254]
    assert theme.levels(values, "diverging", 1.0).tolist() == [0, 127, 254, 254]
    assert theme.levels(values, "diverging", 0.0).tolist() == [127] * 4


@pytest.mark.parametrize("scale", SCALES)
def test_plotly_gets_the_same_table(scale: theme.Scale):
    stops = theme.colour_scale(scale, dark=True)
    assert stops[0][0] == 0 and stops[-1][0] == 1 and all(a < b for (a, _), (b, _) in pairwise(stops))
    for share, colour in stops:
        assert np.array_equal(theme.rgb(colour), theme.table(scale, True)[round(share * (theme.LEVELS - 1))])


# Visible characters


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("approve", "approve"),
        (" approve", "{·}approve"),
        ("\n\n", "{↵↵}"),
        ("\r\n\t", "{␍↵⇥}"),
        ("\0\x01\x1b", "{␀␁␛}"),
        ("\u00a0", "{U+00A0}"),
        ("\u202eevil", "{U+202E}evil"),
        ("\ufe0f", "{U+FE0F}"),
        ("\u0301", "{◌}\u0301"),
        ("e\u0301", "e\u0301"),
        ("👩🏽‍🚀", "👩🏽‍🚀"),
        ("漢字", "漢字"),
        ("<b>&amp;", "<b>&amp;"),
        ("", ""),
    ],
)
def test_visible_forms(text: str, shown: str):
    assert visible(text) == shown.replace("{", QUIET).replace("}", QUIET)


@given(texts)
def test_nothing_invisible_or_disturbing_is_left(text: str):
    shown = visible(text)
    assert bool(shown) == bool(text)
    assert not BIDI_CONTROLS & set(shown)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp") and c != QUIET]
    assert shown.count(QUIET) % 2 == 0


@given(texts)
def test_characters_that_can_be_seen_are_kept_in_order(text: str):
    kept = "".join(visible(text).split(QUIET)[::2])
    letters = [c for c in text if unicodedata.category(c)[0] in "LNPS"]
    assert [c for c in kept if unicodedata.category(c)[0] in "LNPS"] == letters


# Cells


def byte_tokens(text: str, cuts: set[int]) -> Encoded:
    """`text` in UTF-8, cut into tokens before the bytes in `cuts`, as a byte-level tokenizer may."""
    owner = [i for i, character in enumerate(text) for _ in character.encode()]
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(owner)), len(owner)] if owner else []
    spans = np.array([(owner[a], owner[b - 1] + 1) for a, b in pairwise(edges)], dtype=np.int64).reshape(-1, 2)
    count = len(spans)
    return Encoded(
        text=text,
        ids=np.arange(count),
        spans=spans,
        roles=np.zeros(count, dtype=np.uint8),
        special=np.zeros(count, dtype=bool),
        pieces=tuple(text[a:b] for a, b in spans),
    )


encoded = st.builds(byte_tokens, texts, st.sets(st.integers(0, 120)))


@given(encoded)
def test_cells_hold_every_token_and_every_character_once(sequence: Encoded):
    parts = cells(sequence)
    assert [i for cell in parts for i in range(cell.start, cell.stop)] == list(range(len(sequence)))
    assert "".join(cell.text for cell in parts) == sequence.text


@given(encoded)
def test_cells_join_only_tokens_that_share_a_character(sequence: Encoded):
    for cell in cells(sequence):
        for i in range(cell.start + 1, cell.stop):
            assert sequence.spans[i, 0] < sequence.spans[: i + 1, 1][cell.start : i].max()


@given(encoded, st.integers(0, 1000))
def test_a_part_has_the_same_tokens_and_the_same_characters(sequence: Encoded, seed: int):
    chosen = np.flatnonzero(np.random.default_rng(seed).random(len(sequence)) < 0.5)
    some = replace(sequence, encoder_length=len(sequence) // 2).part(chosen)
    assert some.pieces == tuple(sequence.pieces[position] for position in chosen)
    assert np.array_equal(some.spans, sequence.spans[chosen]) and some.text == sequence.text
    assert some.encoder_length == (chosen < len(sequence) // 2).sum()


@given(encoded, st.integers(0, 1000))
def test_cell_values_keep_the_sum(sequence: Encoded, seed: int):
    values = np.random.default_rng(seed).normal(size=len(sequence))
    assert cell_values(cells(sequence), values).sum() == pytest.approx(values.sum(), abs=1e-4)


def test_a_cell_of_several_tokens_has_the_probability_of_all_of_them():
    """Added up, the four bytes of one emoji were more than certain."""
    parts, probabilities = cells(byte_tokens("🎉a", {1, 2, 3, 4})), np.array([0.5, 0.5, 1.0, 0.8, 0.9])
    assert cell_values(parts, probabilities, np.multiply).tolist() == pytest.approx([0.2, 0.9])


def test_control_tokens_and_tokens_without_characters_stand_alone():
    sequence = Encoded(
        text="<s>🎉a",
        ids=np.arange(8),
        spans=np.array([(0, 3), (3, 4), (3, 4), (3, 4), (3, 4), (4, 4), (4, 5), (5, 5)]),
        roles=np.zeros(8, dtype=np.uint8),
        special=np.array([True, *[False] * 6, True]),
        pieces=("<s>", "🎉", "🎉", "🎉", "🎉", "\x80", "a", "</s>"),
    )
    assert [(c.start, c.stop, c.text) for c in cells(sequence)] == [
        (0, 1, "<s>"),
        (1, 5, "🎉"),
        (5, 6, "\x80"),
        (6, 7, "a"),
        (7, 8, "</s>"),
    ]


# Payloads

arrays = st.dictionaries(
    st.text("abc é", min_size=1, max_size=6),
    st.one_of(
        st.lists(st.floats(width=32, allow_nan=False)).map(lambda x: np.array(x, dtype=np.float32)),
        st.lists(st.integers(0, 255)).map(lambda x: np.array(x, dtype=np.uint8)),
        st.lists(st.integers(-(2**31), 2**31 - 1)).map(lambda x: np.array(x, dtype=np.int32)),
    ),
    max_size=4,
)


@given(arrays, texts)
def test_what_is_packed_comes_out(given_arrays: dict[str, np.ndarray], text: str):
    header, out = unpack(pack({"text": text, "pin": None}, given_arrays))
    assert header == {"text": text, "pin": None}
    assert list(out) == list(given_arrays)
    for name, array in given_arrays.items():
        assert out[name].dtype == array.dtype and np.array_equal(out[name], array)


@given(arrays)
def test_what_is_deflated_comes_out_and_is_never_larger(given_arrays: dict[str, np.ndarray]):
    smaller = {name: deflated(np.tile(array, 9)) for name, array in given_arrays.items()}
    _, out = unpack(pack({}, smaller))
    for name, array in given_arrays.items():
        assert out[name].dtype == array.dtype and np.array_equal(out[name], np.tile(array, 9))
        one = smaller[name]
        assert not isinstance(one, Deflated) or len(one.data) < 9 * array.nbytes


@given(st.integers(0, 9))
def test_a_causal_map_is_packed_row_by_row_up_to_the_diagonal(count: int):
    values = np.arange(count * count, dtype=np.float32).reshape(count, count)
    cells = packed(values, causal=True)
    assert cells.tolist() == [values[query, key] for query in range(count) for key in range(query + 1)]
    for query in range(count):
        assert cells[query * (query + 1) // 2] == values[query, 0], "where map_canvas.js begins to read a row"


def axes(queries: range, keys: range, causal: bool) -> MapAxes:
    return MapAxes(["tok"] * max(queries.stop, keys.stop), np.array(queries), np.array(keys), causal)


def looks(heads: int, count: int, seed: int = 0) -> np.ndarray:
    """(head, query, key) float32: causal rows that add up to 1, each with most of its look on the first token."""
    scores = np.random.default_rng(seed).normal(size=(heads, count, count)).astype(np.float32) * 2
    scores[:, :, 0] += 7
    weights = np.exp(np.where(np.tri(count, dtype=bool), scores, -np.inf))
    return weights / weights.sum(axis=-1, keepdims=True)


def sent_cells(weights: Pair[np.ndarray], over: MapAxes, head: Head = 0) -> tuple[bytes, dict, dict[str, np.ndarray]]:
    cells = make_cells(weights, Pair(over, over), len(weights.base), head)
    block = canvas.payload(cells, over, "k", "t", {}, {})
    return block, *unpack(block)


def test_the_exact_weights_of_all_heads_travel_together_and_only_up_to_the_diagonal():
    count, heads = 256, 3
    weights = Pair(looks(heads, count, 0), looks(heads, count, 1))
    block, header, out = sent_cells(weights, axes(range(count), range(count), causal=True))
    for side, given_weights in weights.items():
        assert np.array_equal(out[side], given_weights[:, np.tri(count, dtype=bool)].ravel())
    assert len(block) < 0.52 * 2 * heads * 4 * count**2
    assert (header["heads"], header["head"]) == (heads, None)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 3))
def test_a_rectangular_map_comes_back_cell_by_cell_with_the_tokens_of_its_rows_and_columns(
    rows: int, columns: int, first: int
):
    values = np.random.default_rng(0).random((2, rows, columns), dtype=np.float32)
    over = axes(range(first + columns, first + columns + rows), range(first, first + columns), causal=False)
    _, header, out = sent_cells(Pair(values, values[:, ::-1]), over)
    assert not header["axes"][0]["causal"] and len(header["axes"][0]["pieces"]) == first + columns + rows
    assert np.array_equal(out["queries 0"], over.queries) and np.array_equal(out["keys 0"], over.keys)
    assert np.array_equal(out["base"].reshape(2, rows, columns), values)
    assert np.array_equal(out["tuned"].reshape(2, rows, columns), values[:, ::-1])


def test_one_head_of_1024_tokens_travels_in_half_a_megabyte_a_side():
    count = 1024
    weights = Pair(looks(1, count, 0), looks(1, count, 1))
    over = axes(range(count), range(count), causal=True)
    arrays = make_cells(weights, Pair(over, over), 1, 0).arrays
    for side in ("base", "tuned"):
        sizes = [
            len(one.data) if isinstance(one, Deflated) else one.nbytes
            for name, one in arrays.items()
            if name.startswith(side)
        ]
        assert sum(sizes) <= 500_000
    _, header, out = sent_cells(weights, over)
    assert header["head"] == 0
    assert out["base"].dtype == np.uint8 and len(out["base"]) == count * (count + 1) // 2


def decoded(first: np.ndarray, rest: np.ndarray, code: np.ndarray, causal: bool) -> np.ndarray:
    """(query, key): what map_canvas.js makes of the code."""
    shares = np.where(code > 0, LOWEST ** (1 - (code.astype(float) - 1) / 254), 0)
    out = np.zeros((len(first), len(first)))
    out[np.tri(len(first), dtype=bool) if causal else np.ones_like(out, dtype=bool)] = shares
    out *= rest[:, None]
    out[:, 0] = first
    return out


@pytest.mark.parametrize("causal", [True, False])
def test_the_code_of_a_map_is_within_three_percent_with_the_first_token_shown_and_hidden(causal: bool):
    """A code of the weights themselves lost what a row has beside a strong first token: 1e-7 of it may be all there is."""
    weights = looks(1, 300)[0]
    if not causal:
        weights = (weights + weights.T) / 2
    weights[7] = [1, *[1e-8] * 7, *[0] * 292]
    out = decoded(*encode(weights, causal), causal)
    shares, back = (each[1:, 1:] / each[1:, 1:].sum(axis=1, keepdims=True) for each in (weights.astype(float), out))
    seen = shares > 2 * LOWEST
    assert seen.sum() > 30_000 and (seen[6] == (np.arange(299) < 7)).all()
    np.testing.assert_allclose(out[1:, 1:][seen], weights[1:, 1:][seen], rtol=0.03)
    np.testing.assert_allclose(back[seen], shares[seen], rtol=0.06)
    assert np.array_equal(out[:, 0], weights[:, 0]), "the first column is exact"


def test_a_row_that_looks_only_at_the_first_token_has_nothing_beside_it():
    first, rest, code = encode(looks(1, 4)[0], causal=True)
    assert first[0] == 1 and rest[0] == 0 and code[0] == 0
    assert not np.isnan(decoded(first, rest, code, causal=True)).any()


def signed_map(rows: int, columns: int) -> tuple[Pair[np.ndarray], MapAxes]:
    """(1, row, column) float32 a side around 0, some without a value; rows are tokens of another text than columns."""
    values = np.random.default_rng(rows).normal(size=(2, 1, rows, columns)).astype(np.float32)
    values[..., -1, -1] = np.nan
    over = MapAxes(["read"] * columns, np.arange(rows), np.arange(columns), False, row_pieces=["wrote"] * rows)
    return Pair(values[0], values[1]), over


def test_signed_numbers_of_small_maps_travel_as_they_are_with_the_texts_of_rows_and_columns():
    weights, over = signed_map(3, 5)
    cells = make_cells(weights, Pair(over, over), 1, 0, signed=True)
    header, out = unpack(canvas.payload(cells, over, "k", "t", {}, {}, ("tuned",)))
    assert header["limit"] == pytest.approx(np.nanmax(np.abs([weights.base, weights.tuned])))
    assert (header["axes"][0]["pieces"], header["axes"][0]["rows"]) == (["read"] * 5, ["wrote"] * 3)
    assert header["pale"] == ["tuned"]
    for side, given_weights in weights.items():
        np.testing.assert_array_equal(out[side], given_weights.ravel())
    assert sent_cells(Pair(looks(1, 3), looks(1, 3)), axes(range(3), range(3), causal=True))[1]["limit"] is None


def test_the_code_of_a_large_signed_map_is_within_half_a_step_mirrors_and_keeps_what_has_no_value():
    weights, over = signed_map(4, canvas.EXACT + 1)
    cells = make_cells(weights, Pair(over, over), 1, 0, signed=True)
    header, out = unpack(canvas.payload(cells, over, "k", "t", {}, {}))
    for side, given_weights in weights.items():
        code = out[side].astype(float)
        back = np.where(code == 255, np.nan, (code - 127) / 127 * header["limit"])  # as map_canvas.js reads it
        np.testing.assert_allclose(back, given_weights.ravel(), atol=header["limit"] / 253)
        exact = unpack(row_payload(cells, {"of": cells.of, "row": 2, "field": 0, "turn": 0.5}, True, "k"))[1]
        np.testing.assert_array_equal(exact[side], given_weights[0, 2])
    values = weights.base[0, 0]
    np.testing.assert_array_equal(encode_signed(-values, 9.0), 254 - encode_signed(values, 9.0))
    assert encode_signed(np.array([0, np.nan, 9, -9]), 9.0).tolist() == [127, 255, 254, 0]


def test_mean_and_strongest_of_heads_lie_between_the_heads():
    weights = looks(4, 6)
    mean, most = reduced(weights, "mean"), reduced(weights, "strongest")
    np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-6)
    assert (most >= mean).all() and (most == weights.max(axis=0)).all() and (mean >= weights.min(axis=0)).all()
    assert np.array_equal(reduced(weights, 2), weights[2])


def test_an_exact_row_is_handed_over_for_the_cells_that_are_shown_and_for_no_others():
    count = 300
    weights, over = Pair(looks(2, count, 0), looks(2, count, 1)), axes(range(count), range(count), causal=True)
    cells, other = (make_cells(weights, Pair(over, over), 2, head) for head in (1, "mean"))
    assert cells.of != other.of
    asked = {"of": cells.of, "row": 200, "field": 0, "turn": 0.5}
    header, out = unpack(row_payload(cells, asked, True, "k"))
    assert header == {"canvas": "k", **asked}
    for side, given_weights in weights.items():
        assert np.array_equal(out[side], given_weights[1, 200])
    header, out = unpack(row_payload(cells, {**asked, "field": 1}, False, "k"))
    assert list(out) == ["tuned"] and np.array_equal(out["tuned"], weights.tuned[1, 200])
    for wrong in (None, {**asked, "of": other.of}, {**asked, "row": count}, {**asked, "row": -1}):
        assert unpack(row_payload(cells, wrong, True, "k")) == ({"canvas": "k", "row": None}, {})


def test_cells_are_made_once_and_anew_for_other_weights_or_another_head_of_long_texts(state: dict):
    for count, same in ((5, True), (canvas.EXACT + 1, False)):
        state.clear()
        weights, over = Pair(looks(2, count), looks(2, count)), axes(range(count), range(count), causal=True)
        made = canvas._cells("k", weights, Pair(over, over), 2, 0)
        assert canvas._cells("k", weights.map(lambda one: one[:]), Pair(over, over), 2, 0) is made
        assert (canvas._cells("k", weights, Pair(over, over), 2, 1) is made) == same
        assert canvas._cells("k", Pair(weights.tuned, weights.base), Pair(over, over), 2, 1) is not made


@pytest.mark.parametrize("zoom", [None, "answer", ((2, 5), (0, 3))])
@pytest.mark.parametrize("head", [1, "mean", "strongest"])
def test_a_view_comes_back_as_it_went(zoom: str | canvas.Region | None, head: Head):
    over = MapAxes("abcde", np.arange(5), np.arange(5), True, {"answer": ((3, 5), (0, 5))})
    view = MapView(head, "log", False, zoom)
    assert canvas._view(canvas._as_json(view), 2, Pair(over, over)) == view


def test_a_view_stays_within_the_heads_and_regions_that_there_are():
    over = axes(range(5), range(5), causal=True)
    view = canvas._as_json(MapView(7, "log", True, "answer"))
    assert canvas._view(view, 3, Pair(over, over)) == MapView(2, "log", True, None)


def test_maps_that_do_not_fit_their_tokens_are_named(state: dict):
    over = axes(range(5), range(5), causal=True)
    with pytest.raises(AssertionError, match=r"tuned: weights \(2, 4, 4\) for maps of \(5, 5\)"):
        canvas.map_canvas(Pair(looks(2, 5), looks(2, 4)), over, key="k", title="t")


def test_a_map_holds_the_cells_that_it_draws_and_no_others():
    causal, cross = axes(range(3, 6), range(3, 6), causal=True), axes(range(3, 6), range(0, 3), causal=False)
    held = {(query, key) for query in range(7) for key in range(7) if causal.hold(query, key)}
    assert held == {(3, 3), (4, 3), (4, 4), (5, 3), (5, 4), (5, 5)}
    held = {(query, key) for query in range(7) for key in range(7) if cross.hold(query, key)}
    assert held == {(query, key) for query in (3, 4, 5) for key in (0, 1, 2)}


def grid_of(layers: int, heads: int, cells: int) -> tuple[Pair[np.ndarray], grid.HeadMeasure, np.ndarray]:
    """Pictures of hard noise below the diagonal, a number of each head, and every second layer."""
    rng = np.random.default_rng(0)
    shape = (layers, heads, cells, cells)
    pictures = Pair(*(np.tril(rng.integers(60, 256, shape)).astype(np.uint8) for _ in range(2)))
    values = rng.random((layers, heads), dtype=np.float32)
    return pictures, grid.HeadMeasure("change", values, "sequential", 0.69, "nats"), np.arange(layers) * 2


def test_the_grid_of_a_model_of_30_by_9_heads_travels_in_less_than_2_mb():
    pictures, measure, layers = grid_of(30, 9, 32)
    block = grid.payload(pictures, measure, layers, {})
    assert len(block) <= 2_000_000
    header, out = unpack(block)
    assert header["shape"] == [30, 9] and header["cells"] == {"base": [32, 32], "tuned": [32, 32]}
    assert np.array_equal(out["layers"], layers) and np.array_equal(out["values"], measure.values.ravel())
    for side, given_pictures in pictures.items():
        assert np.array_equal(out[side], given_pictures.ravel())


def test_the_opened_head_is_said_by_its_layer_and_one_outside_is_none(state: dict, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grid, "_grid", lambda **given: None)
    pictures, measure, layers = grid_of(3, 2, 4)
    assert grid.head_grid(pictures, measure, layers, key="k", selected=(4, 1)) == (4, 1)
    state["k"] = {"pick": {"cell": [2, 0], "click": "a"}}
    assert grid.head_grid(pictures, measure, layers, key="k", selected=(4, 1)) == (2, 0)
    for outside in ((1, 0), (4, 2), (4, -1)):
        assert grid.head_grid(pictures, measure, layers, key="k", selected=outside) is None


def test_a_grid_names_what_does_not_fit_its_layers(state: dict):
    pictures, measure, layers = grid_of(3, 2, 4)
    with pytest.raises(AssertionError, match=r"change: values \(3, 2\) for 2 layers"):
        grid.head_grid(pictures, measure, layers[:2], key="k")
    with pytest.raises(AssertionError, match=r"tuned: uint8 \(2, 2, 4, 4\) for \(3, 2\)"):
        grid.head_grid(Pair(pictures.base, pictures.tuned[:2]), measure, layers, key="k")


# Pins


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict:
    """Streamlit's session state as a plain dictionary."""
    state: dict = {}
    monkeypatch.setattr(component.st, "session_state", state)
    return state


@pytest.fixture
def sent(state: dict, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the strips of this test give to the browser."""
    blocks: list[bytes] = []
    monkeypatch.setattr(token_strip, "_strip", lambda key, data, **given: blocks.append(data))
    return blocks


def test_the_later_of_page_and_person_wins(state: dict):
    assert settle("k", None)[0] is None
    state["k"] = {"pick": {"cell": 5, "click": "a"}}
    assert settle("k", None)[0] == 5
    assert settle("k", 5)[0] == 5, "the page took it over"
    assert settle("k", 7)[0] == 7, "the page moved on; the old click does not come back"
    assert settle("k", 7)[0] == 7
    state["k"] = {"pick": {"cell": 5, "click": "b"}}
    assert settle("k", 7)[0] == 5, "the same cell clicked again counts"
    state["k"] = {"pick": {"cell": None, "click": "c"}}
    assert settle("k", 7)[0] is None


def test_a_click_changes_nothing_in_the_payload_and_a_wish_of_the_page_does(state: dict):
    """A map of 1,024 tokens is 2 MB: Streamlit sends it again whenever one byte differs."""
    _, before = settle("k", None)
    state["k"] = {"pick": {"cell": 5, "click": "a"}}
    assert settle("k", None)[1] == before
    assert settle("k", 5)[1] == before
    _, after = settle("k", 7)
    assert after == {"key": "k", "cell": 7, "turn": before["turn"] + 1, "after": "a"}


def test_a_clicked_cell_that_the_page_takes_over_changes_nothing_in_the_payload(state: dict):
    """The browser gives a cell as a list, the page as a tuple: every pin sent the maps a second time."""
    _, before = settle("k", None)
    state["k"] = {"pick": {"cell": [9, 4], "click": "a"}}
    assert settle("k", None) == ((9, 4), before)
    assert settle("k", (9, 4)) == ((9, 4), before)


def test_what_else_is_settled_is_apart_from_the_pin(state: dict):
    pin, view = settle("k", 3), settle("k", {"head": 0}, "view")
    state["k"] = {"pick": {"cell": 5, "click": "a"}, "view": {"cell": {"head": 4}, "click": "b"}}
    assert settle("k", 3) == (5, pin[1])
    assert settle("k", {"head": 0}, "view") == ({"head": 4}, view[1])
    assert pin[1]["key"] != view[1]["key"]
    assert settle("k", {"head": 7}, "view")[1] == {**view[1], "cell": {"head": 7}, "turn": 1, "after": "b"}


def test_a_pin_survives_the_component_not_being_shown(state: dict):
    state["k"] = {"pick": {"cell": 5, "click": "a"}}
    settle("k", None)
    del state["k"]
    assert settle("k", None)[0] == 5


def widgets_page():
    import numpy as np
    import streamlit as st

    from dashboard.widgets.map_canvas import MapAxes, map_canvas
    from dashboard.widgets.token_strip import token_strip
    from model_utils.contracts.common import Encoded
    from model_utils.pair import Pair

    count = st.session_state.get("count", 3)
    empty = Encoded("", np.zeros(0, int), np.zeros((0, 2), int), np.zeros(0, np.uint8), np.zeros(0, bool), ())
    spans = np.stack([np.arange(count), np.arange(count) + 1], axis=1)
    some = Encoded(
        "abc"[:count], np.arange(count), spans, np.zeros(count, np.uint8), np.zeros(count, bool), tuple("abc")
    )
    st.text(token_strip(empty, key="empty", label="nothing", values=np.zeros(0), colours="base"))
    st.text(token_strip(some, key="some", label="some", values=np.full(count, np.nan), colours="diverging", selected=2))
    square = MapAxes("abc"[:count], np.arange(count), np.arange(count), causal=True)
    st.text(map_canvas(Pair(*[np.eye(count)[None]] * 2), square, key="map", title="t", selected=(2, 1)).cell)
    cross = MapAxes("abc", np.arange(4 - count, 3), np.arange(4 - count), causal=False)
    weights = Pair(*[np.ones((1, count - 1, 4 - count))] * 2)
    st.text(map_canvas(weights, cross, key="rectangle", title="t", selected=(1, 0)).cell)
    own = map_canvas(
        Pair(np.eye(count)[None], np.eye(3)[None]),
        Pair(square, MapAxes("abc", np.arange(3), np.arange(3), causal=True)),
        key="own",
        title="t",
        selected=(2, 2),
        side="base",
    )
    st.text((own.cell, own.side))


def test_widgets_draw_without_a_browser_and_drop_a_pin_outside():
    page = AppTest.from_function(widgets_page).run()
    assert not page.exception
    assert [text.value for text in page.text] == ["None", "2", "(2, 1)", "(1, 0)", "((2, 2), 'base')"]
    page.session_state["count"] = 2
    page.run()
    assert not page.exception
    assert [text.value for text in page.text] == [*["None"] * 4, "(None, None)"]


def showing_page():
    import streamlit as st

    from dashboard.session import inputs

    kept = st.session_state.setdefault("kept", {"is": None, "choices": 0})
    key = inputs.showing("box", kept["is"])

    def pick() -> None:
        kept.update({"is": inputs.value(key), "choices": kept["choices"] + 1})

    st.selectbox("box", ["a", "b"], index=None, key=key, on_change=pick)


def test_a_browser_that_has_not_heard_of_a_change_does_not_choose_what_stood_there_before():
    """It sends all of its widgets whenever it asks for news of a job."""
    page = AppTest.from_function(showing_page).run()
    late = page._tree.get_widget_states()
    page.session_state["kept"]["is"] = "a"
    key = page.run().selectbox[0].key
    page._run(late)
    assert (page.selectbox[0].value, page.session_state["kept"]) == ("a", {"is": "a", "choices": 0})
    for choices, chosen in enumerate(["b", None, "a"], 1):
        page.selectbox[0].set_value(chosen).run()
        assert page.session_state["kept"] == {"is": chosen, "choices": choices}
        assert (page.selectbox[0].value, page.selectbox[0].key) == (chosen, key), "the keyboard stays in it"


def test_a_line_of_a_strip_ends_after_what_the_encoder_reads(sent: list[bytes]):
    for sequence in (results.encoder_decoder_sequence(), results.sequence()):
        token_strip.token_strip(sequence, key="k", label="strip")
    ends = [np.flatnonzero(unpack(block)[1]["flags"] & token_strip.BREAK).tolist() for block in sent]
    assert ends == [[len(results.READ) - 1], []]


# What the token strip says of both models, greys and marks


ROWS = ("probability", "1st")


def comparison(sequence: Encoded) -> Comparison:
    """A number and an alternative for each token; those of tuned are those of base, backwards."""
    return Comparison(
        ROWS,
        [
            Pair((f"{i} %", Alternative(piece, f"{i}")), (f"-{i} %", Alternative(piece[::-1])))
            for i, piece in enumerate(sequence.pieces)
        ],
    )


@given(encoded)
def test_a_cell_says_of_both_models_what_its_first_token_says_and_alternatives_are_visible(sequence: Encoded):
    said = token_strip._compared(cells(sequence), comparison(sequence))
    assert len(said) == len(cells(sequence))
    for cell, (base, tuned) in zip(cells(sequence), said, strict=True):
        piece = sequence.pieces[cell.start]
        assert base == [f"{cell.start} %", (visible(piece), f"{cell.start}")]
        assert tuned == [f"-{cell.start} %", (visible(piece[::-1]), "")]


@given(encoded, st.integers(0, 1000))
def test_a_cell_is_greyed_when_all_of_its_tokens_are_and_marked_when_one_of_them_is(sequence: Encoded, seed: int):
    greyed = np.random.default_rng(seed).random(len(sequence)) < 0.5
    mark = seed % len(sequence) if len(sequence) else None
    signs = token_strip._signs(cells(sequence), greyed, mark)
    for cell, sign in zip(cells(sequence), signs, strict=True):
        tokens = range(cell.start, cell.stop)
        assert bool(sign & GREYED) == all(greyed[i] for i in tokens)
        assert bool(sign & MARKED) == (mark in tokens)


def test_what_a_strip_compares_greys_and_marks_reaches_the_browser(sent: list[bytes]):
    sequence = results.encoded(("The", " loan", " is", " fine"))
    token_strip.token_strip(
        sequence,
        key="k",
        label="strip",
        values=np.array([0.1, -2.0, 0.0, 1.0]),
        colours="diverging",
        ends=("base holds it likelier", "tuned holds it likelier"),
        compare=comparison(sequence),
        greyed=np.array([True, False, True, False]),
        greyed_because="within the noise floor",
        mark=1,
    )
    header, out = unpack(sent[0])
    assert header["rows"] == list(ROWS) and header["ends"] == ["base holds it likelier", "tuned holds it likelier"]
    assert header["compared"][1] == [
        ["1 %", [f"{QUIET}·{QUIET}loan", "1"]],
        ["-1 %", [f"naol{QUIET}·{QUIET}", ""]],
    ]
    assert (out["flags"] & GREYED > 0).tolist() == [True, False, True, False]
    assert (out["flags"] & MARKED > 0).tolist() == [False, True, False, False]
    assert header["mark"] == "first difference" and header["greyedBecause"] == "within the noise floor"


def test_both_strips_of_a_shift_grey_what_noise_does_mark_where_they_part_and_share_one_scale(sent: list[bytes]):
    result = results.shift(tuned=("Paris", " is", " it", "<|end|>"), base=("Paris", " was", "\n\n"))
    shift_strips.strips(result)
    for block, forced, mark in zip(sent, result.answers.sides, (1, 1), strict=True):
        header, out = unpack(block)
        assert (out["flags"] & GREYED > 0).tolist() == (~forced.beyond).tolist()
        assert np.flatnonzero(out["flags"] & MARKED).tolist() == [mark]
        assert header["limit"] == figures.colour_limit(result)
        np.testing.assert_allclose(out["values"], forced.log_ratios, rtol=1e-6)
        assert header["greyedBecause"] == "a reworded prompt does as much"


def test_strips_without_a_floor_grey_nothing(sent: list[bytes]):
    unknown = Floor(Pair(float("nan"), float("nan")), (), Pair(0, 0))
    result = results.shift()
    shift_strips.strips(replace(result, answers=result.answers.map(lambda one: replace(one, wording=unknown))))
    shift_strips.strips(results.shift(floor=None))
    assert len(sent) == 4 and not any((unpack(block)[1]["flags"] & GREYED).any() for block in sent)


@pytest.mark.parametrize(("join", "word"), [(np.add, "sum"), (np.multiply, "product"), (np.fmax, "largest")])
def test_a_cell_says_how_the_values_of_its_tokens_were_joined(sent: list[bytes], join: np.ufunc, word: str):
    sequence = byte_tokens("🎉a", {1, 2, 3, 4})
    token_strip.token_strip(sequence, key="k", label="strip", values=np.ones(5), colours="base", join=join)
    assert unpack(sent[0])[0]["joined"] == word


def test_the_words_of_the_sides_are_those_of_the_theme():
    for mode, dark in (("light", False), ("dark", True)):
        assert token_strip.PALETTE[mode] == {
            "base": theme.palette(dark).side_text.base,
            "tuned": theme.palette(dark).side_text.tuned,
            "noise": theme.palette(dark).noise,
        }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"compare": Comparison(ROWS, [Pair(("1", "2"), ("1", "2"))])}, "1 compared for 2 tokens"),
        ({"compare": Comparison(ROWS, [Pair(("1", "2"), ("1",))] * 2)}, r"\(2, 1\) rows at token 0 for 2 names"),
        ({"greyed": np.ones(2, dtype=bool)}, "needs a reason"),
        ({"greyed": np.ones(3, dtype=bool), "greyed_because": "noise"}, "3 greyed for 2 tokens"),
        ({"mark": 2}, "no token 2 to mark among 2"),
    ],
)
def test_what_does_not_fit_the_tokens_is_named(sent: list[bytes], given: dict, sentence: str):
    with pytest.raises(AssertionError, match=sentence):
        token_strip.token_strip(results.encoded(("a", "b")), key="k", label="strip", **given)
    assert not sent


# The pinned row of one head

KINDS = pytest.mark.parametrize("kind", ATTENTION_KINDS)


@KINDS
def test_a_pinned_row_stays_under_every_kind_of_attention_that_has_it(kind: AttentionKind):
    result = results.attention(text=results.encoder_decoder_sequence(), kind=kind)
    weights = result.weights.map(lambda weights: weights[1])
    for query in range(len(result.sequences.tuned)):
        for key in range(query + 1):
            cell = heads.pinned(result, weights, (query, key))
            if query not in result.queries("tuned"):
                assert cell is None
            elif key in result.keys("tuned"):
                assert cell == (query, key)
            else:
                look = (weights.base + weights.tuned)[result.queries("tuned") == query][0]
                assert cell == (query, result.keys("tuned")[look.argmax()]), "the key looked at most stands for it"


@KINDS
def test_a_row_along_the_text_has_its_numbers_where_it_can_look_and_none_elsewhere(kind: AttentionKind):
    result = results.attention(text=results.encoder_decoder_sequence(), kind=kind)
    weights = result.weights.tuned[0]
    for row, query in enumerate(result.queries("tuned")):
        values = heads.along(result, weights, query)
        seen = [key for key in result.keys("tuned") if not result.causal or key <= query]
        assert np.flatnonzero(~np.isnan(values)).tolist() == seen
        np.testing.assert_array_equal(values[seen], weights[row, : len(seen)])


@KINDS
def test_a_row_of_a_decoder_chose_the_token_after_it_and_one_of_an_encoder_none(kind: AttentionKind):
    text = results.encoder_decoder_sequence()
    result, start = results.attention(text=text, kind=kind), len(results.READ)
    for query in result.queries("tuned"):
        last = query == len(text) - 1
        chosen = (
            None if kind == "encoder" or last else f"token {query - start} of the answer, {text.pieces[query + 1]!r}"
        )
        said = heads.said(text, query)
        assert said.endswith(f"the model chooses {chosen}." if chosen else f"{text.pieces[query]!r}.")
    assert heads.first_row(result) == (0 if kind == "encoder" else start)


def test_why_a_token_has_no_value_in_a_row_without_the_first():
    result = results.attention()
    shown = np.arange(len(result.sequences.tuned))
    why = heads.why_without(result, 2, shown)
    assert why[0] == "left out" and set(why[1:3]) == {"nothing is left without the first token"}
    assert set(why[3:]) == {"comes later"}
    cross = results.attention(text=results.encoder_decoder_sequence(), kind="cross")
    start = len(results.READ)
    why = heads.why_without(cross, start, np.arange(start + 2))
    assert why[0] == "left out" and set(why[1:start]) == {"nothing is left without the first token"}
    assert all(one.startswith("of the decoder") for one in why[start:])


# Files of tables


def test_a_text_that_is_missing_is_empty_in_the_file_and_the_others_are_guarded():
    table = pd.DataFrame(
        {"word": ["=1+1", None, "plain"], "other": ["-", float("nan"), ""], "number": [-1.5, 2.0, 3.0]}
    )
    lines = spreadsheets.csv_file(table).decode().splitlines()
    assert lines == ['"word","other","number"', '"\'=1+1","\'-",-1.5', '"","",2.0', '"plain","",3.0']
