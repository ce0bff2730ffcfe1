"""Laws of what the Bias, Calibration and Findings pages draw: sides mirrored, numbers where they are, nothing read as markup."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dashboard.figures import bias, calibration, findings, theme
from dashboard.figures.shift import SYMBOLS
from dashboard.widgets import bias as bias_widget
from dashboard.widgets import calibration as calibration_widget
from model_utils.contracts.bias import Bias
from model_utils.contracts.calibration import Calibration
from model_utils.contracts.probe import Finding
from model_utils.pair import SIDES, Pair
from tests import results

DARK = pytest.mark.parametrize("dark", [False, True])
WHOLE = results.bias()


def swapped(result: Bias) -> Bias:
    """As if base were tuned and tuned base."""
    names = ("models", "log_odds", "mass", "tokens")
    mirrored = tuple(replace(one, sides=one.sides.swap(), own=one.own.swap()) for one in result.findings)
    return replace(result, findings=mirrored, **{name: getattr(result, name).swap() for name in names})


def marks(result: Bias, dark: bool = False) -> dict[str, tuple[float, ...]]:
    """side -> where its marks stand."""
    return {trace.name: tuple(trace.x) for trace in bias.figure(result, dark).data if trace.name in SIDES}


# Bias


def test_a_group_stands_where_the_finding_says():
    chances = WHOLE.finding(0, 1, "probability")
    assert marks(WHOLE) == {side: (chances.sides[side].mean,) for side in SIDES}
    after = marks(swapped(WHOLE))
    assert after["base"] == marks(WHOLE)["tuned"] and after["tuned"] == marks(WHOLE)["base"]


def test_of_a_snapshot_the_means_are_drawn():
    some = results.bias(whole=False)
    for side in SIDES:
        mean = float(np.nanmean(some.effect(some.favourable(side), 0, 1)))
        assert marks(some)[side] == (pytest.approx(mean),)
    assert bias.rows(replace(some, groups=(("one",),), slots=("name",))) == [], (
        "a reference alone is compared with nothing"
    )


def test_the_axis_is_the_same_either_side_of_no_difference_and_never_magnifies_noise():
    for result in (WHOLE, swapped(WHOLE), results.bias(whole=False)):
        low, high = bias.figure(result).layout.xaxis.range
        assert low == -high and high >= 0.1
        assert all(abs(mark) <= high for found in marks(result).values() for mark in found)


def test_the_floor_is_as_wide_as_others_of_the_groups_are_apart():
    (row,) = bias.rows(WHOLE)
    drawn = [trace for trace in bias.figure(WHOLE).data if trace.name == "others of the same groups"]
    assert [max(np.nan_to_num(trace.x)) for trace in drawn] == [*row.floor.sides] == [WHOLE.floors[side][0] for side in SIDES]  # fmt: skip
    some = bias.figure(results.bias(whole=False))
    assert not [trace for trace in some.data if trace.name == "others of the same groups" and len(trace.x)]


@pytest.mark.parametrize("left", [0, 1, 9])
def test_groups_that_are_not_drawn_are_counted(left: int):
    count = bias.MOST_ROWS + left
    names = ("hill", *(f"group {n}" for n in range(count)))
    none = np.full(count, np.nan)
    many = replace(results.bias(whole=False), groups=(names,), floors=Pair(none, none))
    assert len(bias.rows(many)) == count and len(bias.figure(many).layout.yaxis.ticktext) == bias.MOST_ROWS
    said = bias_widget.not_drawn_said(many)
    assert (f"; {left} more " in said) == bool(said) == bool(left)


@DARK
def test_sides_differ_by_colour_shape_and_place(dark: bool):
    drawn = {trace.name: trace for trace in bias.figure(WHOLE, dark).data if trace.name in SIDES}
    for side in SIDES:
        assert drawn[side].marker.color == theme.palette(dark).sides[side]
        assert drawn[side].marker.symbol == SYMBOLS[side]
    assert drawn["base"].y[0] < drawn["tuned"].y[0]


def test_names_of_groups_are_not_markup():
    fig = bias.figure(WHOLE)
    assert "<script" not in str(fig.layout.yaxis.ticktext) and "<script" not in str([trace.text for trace in fig.data])


def test_the_least_favourable_items_come_first_and_gaps_are_the_largest_of_any_group():
    table = bias_widget.examples(WHOLE, results.bias_request())
    most = table[["base gap", "tuned gap"]].max(axis=1)
    assert most.is_monotonic_decreasing and sorted(table["item"]) == [0, 1, 2, 3]
    for side in SIDES:
        effect = np.abs(WHOLE.effect(WHOLE.favourable(side), 0, 1))
        np.testing.assert_array_equal(bias_widget.gaps(WHOLE, side), effect)


def test_controls_hold_every_group_of_both_sides():
    table = bias_widget.controls(WHOLE)
    assert table["side"].tolist() == [*SIDES] and (table["compared"] == 100).all(), "all prompts are as long"
    np.testing.assert_allclose(
        table["same_length"], [100 * np.nanmean(WHOLE.effect(WHOLE.favourable(side), 0, 1)) for side in SIDES]
    )


# Calibration


def test_every_bin_is_drawn_and_the_diagonal_is_perfect():
    whole = results.calibration()
    assert whole.reliability is not None
    drawn = {trace.name: trace for trace in calibration.figure(whole).data}
    for side, one in whole.reliability.items():
        assert tuple(drawn[side].x) == tuple(one.confidence) and tuple(drawn[side].y) == tuple(one.accuracy)
        np.testing.assert_allclose(drawn[side].y + drawn[side].error_y.array, one.high)
        np.testing.assert_allclose(drawn[side].y - drawn[side].error_y.arrayminus, one.low)
    assert tuple(drawn["as confident as right"].x) == tuple(drawn["as confident as right"].y) == (0, 1)
    assert not [trace for trace in calibration.figure(results.calibration(whole=False)).data if trace.name in SIDES]


def test_confidently_wrong_answers_come_first():
    table = calibration_widget.examples(results.calibration())
    assert table["item"].tolist()[:2] == [1, 2], "tuned is wrong with 99 %, base with 55 %"
    assert table["tuned"].iloc[0].startswith("✗") and table["base"].iloc[1].startswith("✗")
    assert sorted(table["item"]) == [0, 1, 2, 3]


def test_swapping_the_sides_mirrors_who_is_wrong():
    whole = results.calibration()
    names = ("chosen", "confidence", "right", "of_right", "mass")
    mirrored: Calibration = replace(whole, **{name: getattr(whole, name).swap() for name in names})
    before, after = (calibration_widget.examples(one) for one in (whole, mirrored))
    assert before["item"].tolist() == after["item"].tolist()
    assert before["base"].tolist() == after["tuned"].tolist() and before["tuned"].tolist() == after["base"].tolist()


# Findings


def claims(*found: Finding) -> dict[str, findings.Claim]:
    whole = results.findings()
    changed = {one.measure: one for one in found}
    assert whole.robustness is not None
    parts = tuple(changed.get(one.measure, one) for one in whole.robustness.findings)
    after = results.concluded(replace(whole, robustness=replace(whole.robustness, findings=parts)))
    return {claim.finding.measure: claim for claim in after.claims if claim.finding is not None}


def test_right_is_better_whichever_way_a_measure_counts():
    found = claims(results.finding("flips", 0.6, 0.1, verdict="lower"), results.finding("right", 0.1, 0.6))
    for measure in ("flips", "right"):
        one = findings.scaled(found[measure])
        assert one.mean == pytest.approx(0.5 / 0.03) and one.low < one.mean < one.high
        assert found[measure].verdict == "yes"


def test_of_a_bias_the_size_counts_and_not_its_direction():
    whole = results.findings()
    (claim,) = [one for one in whole.claims if one.part == "bias"]
    assert claim.finding is not None
    for sign in (1, -1):
        sides = claim.finding.sides.map(lambda one, sign=sign: replace(one, mean=sign * abs(one.mean)))
        one = findings.scaled(replace(claim, finding=replace(claim.finding, sides=sides)))
        assert one.mean == pytest.approx((0.01 - 0.4) / 0.03) and math.isnan(one.low)


@DARK
def test_every_claim_with_a_number_has_a_row(dark: bool):
    whole = results.findings()
    fig = findings.figure(whole, dark)
    assert len(fig.layout.yaxis.ticktext) == len(findings.shown(whole)) == len(fig.data[0].x) > 5
    assert max(map(abs, fig.data[0].x)) <= findings.FAR
    nothing = replace(whole, claims=())
    assert findings.shown(nothing) == [] and len(findings.figure(nothing, dark).data[0].x or ()) == 0
