"""Laws of the view layer by layer: rows add up to 1, nobody looks ahead, one scale, the difference flips, the first token can be left out."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from dashboard.figures import layers
from model_utils.contracts.atlas import Atlas
from model_utils.contracts.common import AttentionKind
from tests import results

KINDS = get_args(AttentionKind)


def of(kind: AttentionKind = "self") -> Atlas:
    return results.atlas(kind=kind, text=results.sequence() if kind == "self" else results.encoder_decoder_sequence())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [True, False])
def test_rows_add_up_to_one_with_and_without_the_first_token(kind: AttentionKind, first: bool):
    result = of(kind)
    for query in result.looking:
        for rows in layers.looks_of(result, query, first).sides:
            assert rows.shape == (len(result.layers), len(layers.keys_of(result, query)))
            np.testing.assert_allclose(np.nansum(rows, axis=1), 1, atol=1e-5)
            assert np.isnan(rows[:, 0]).all() == (not first)


def test_only_what_was_written_before_is_shown_where_nobody_looks_ahead():
    result = of()
    for query in result.looking:
        assert layers.keys_of(result, query).tolist() == list(range(query + 1))


def test_what_looks_only_at_the_first_token_is_empty_without_it():
    rows = np.array([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(
        layers.without_first(rows), [[np.nan, np.nan, np.nan], [np.nan, 0.5, 0.5], [np.nan, 1.0, 0.0]]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_are_on_one_scale_and_the_difference_flips_with_them(kind: AttentionKind):
    result = of(kind)
    query = int(result.looking[-1])
    base, tuned, change = layers.figure(result, query).data
    assert (base.zmin, base.zmax) == (tuned.zmin, tuned.zmax) and change.zmin == -change.zmax
    np.testing.assert_array_equal(change.z, tuned.z - base.z)
    np.testing.assert_array_equal(base.z, result.looks.base[:, -1, : base.z.shape[1]])
    back = layers.figure(replace(result, looks=result.looks.swap()), query).data
    np.testing.assert_array_equal(back[0].z, tuned.z)
    np.testing.assert_array_equal(back[2].z, -change.z)
    assert (change.zmax, base.customdata[:, 0].tolist()) == (back[2].zmax, result.layers.tolist())


@pytest.mark.parametrize("dark", [False, True])
def test_a_model_against_itself_shows_no_difference(dark: bool):
    result = of()
    same = replace(result, looks=replace(result.looks, tuned=result.looks.base))
    change = layers.figure(same, int(result.looking[0]), dark=dark).data[2]
    assert not change.z.any() and change.zmax == 0


def test_many_layers_are_told_apart_by_fewer_numbers():
    few, many = (results.atlas(layers=tuple(range(count))) for count in (4, 60))
    heights = [layers.figure(one, int(one.looking[0])).layout for one in (few, many)]
    assert len(heights[0].yaxis.ticktext) == 4 and len(heights[1].yaxis.ticktext) < 60
    assert heights[0].height < heights[1].height < 1400
