"""Intervals: those of the textbook, as wide as they say, and never outside of what was measured."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from model_utils import intervals
from model_utils.contracts.survey import measures
from tests import results

pytestmark = pytest.mark.slow

ITEMS = results.survey().items


def test_every_measure_of_a_list_has_its_mean_with_and_without_ends():
    values = measures(ITEMS)
    alone, whole = intervals.means(ITEMS), intervals.intervals(ITEMS)
    assert [one.measure for one in alone] == [one.measure for one in whole] == list(values)
    for left, right in zip(alone, whole, strict=True):
        known = values[left.measure][~np.isnan(values[left.measure])]
        assert left.mean == right.mean == pytest.approx(known.mean()) and left.count == right.count == len(known)
        assert math.isnan(left.low) and math.isnan(left.high)
        assert math.isnan(right.low) == (len(known) < 2)
    assert {one.count for one in whole} == {1, 2}, "of three instructions one was refused and one has no checks"


def test_of_nothing_there_is_no_mean():
    for one in (*intervals.means(()), *intervals.intervals((results.refused("A long one."),))):
        assert one.count == 0 and np.isnan([one.mean, one.low, one.high]).all()


def test_means_are_taken_without_torch_and_without_the_second_that_scipy_takes():
    code = "import sys; from model_utils import intervals; intervals.means(()); print(sorted({'torch', 'scipy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_interval_of_many_normal_values_is_the_one_of_the_textbook():
    values = np.random.default_rng(0).normal(3, 2, size=400)
    found = intervals.interval("x", values)
    half = norm.ppf(0.975) * values.std(ddof=1) / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean()) and found.count == 400
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_intervals_cover_the_true_mean_as_often_as_they_say():
    """Skewed values, 40 an experiment: 95 % intervals hold the mean in about 95 of 100 experiments."""
    generator = np.random.default_rng(1)
    found = [intervals.interval("x", generator.exponential(1.0, size=40)) for _ in range(200)]
    assert 0.88 <= np.mean([one.low <= 1.0 <= one.high for one in found]) <= 0.99


@given(values=st.lists(st.floats(-5, 5) | st.just(math.nan), max_size=12))
def test_laws_of_an_interval(values: list[float]):
    known = [value for value in values if not math.isnan(value)]
    found = intervals.interval("x", np.array(values, dtype=np.float64))
    assert found.count == len(known)
    if len(known) < 2:
        assert math.isnan(found.low) and math.isnan(found.high)
    else:
        assert (
            min(known) - 1e-9 <= found.low <= found.mean + 1e-9 and found.mean - 1e-9 <= found.high <= max(known) + 1e-9
        )
