"""Laws of the figure of all heads: one scale for both sides, the difference flips with the sides, what is not known is not drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard.figures import atlas
from model_utils.contracts.atlas import MEASURES
from tests import results


def test_the_change_is_drawn_as_it_is_with_the_real_layer_numbers():
    result = results.atlas(layers=(1, 4))
    (trace,) = atlas.figure(result).data
    np.testing.assert_array_equal(trace.z, result.changes)
    assert trace.zmin == 0 and trace.zmax == pytest.approx(result.changes.max())
    assert list(atlas.figure(result).layout.yaxis.ticktext) == [1, 4]
    assert trace.customdata[:, 0].tolist() == [1, 4]


@pytest.mark.parametrize("measure", MEASURES)
def test_both_sides_are_on_one_scale_and_the_difference_flips_with_them(measure: str):
    result = results.atlas()
    base, tuned, change = atlas.figure(result, measure).data
    assert (base.zmin, base.zmax) == (tuned.zmin, tuned.zmax)
    np.testing.assert_array_equal(change.z, tuned.z - base.z)
    assert change.zmin == -change.zmax
    back = atlas.figure(replace(result, summaries=result.summaries.swap()), measure).data
    np.testing.assert_array_equal(back[0].z, tuned.z)
    np.testing.assert_array_equal(back[2].z, -change.z)


@pytest.mark.parametrize("measure", atlas.SHOWN)
@pytest.mark.parametrize("dark", [False, True])
def test_every_measure_has_a_name_and_is_drawn(measure: str, dark: bool):
    fig = atlas.figure(results.atlas(), measure, dark)
    assert fig.layout.title.text.lower().startswith(atlas.SHOWN[measure].name)
    assert all(trace.z.shape == (2, results.HEADS) for trace in fig.data)


def test_what_is_not_known_is_empty():
    assert all(np.isnan(trace.z).all() for trace in atlas.figure(results.atlas(), "induction").data)
