"""Laws of what the Reasoning page draws: sides mirrored, one scale, every number that of the result, nothing read as markup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.figures import reasoning as figures
from dashboard.figures import theme
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.reasoning import Reasoning
from model_utils.pair import SIDES, Pair
from tests import results

DARK = pytest.mark.parametrize("dark", [False, True])
WHOLE = results.reasoning()


def swapped(result: Reasoning) -> Reasoning:
    """As if base were tuned and tuned base."""
    items = tuple(None if one is None else one.swap() for one in result.items)
    findings = tuple(replace(one, sides=one.sides.swap(), own=one.own.swap()) for one in result.findings)
    return replace(result, models=result.models.swap(), items=items, findings=findings)


def lines(fig: go.Figure) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """side -> (x, y) of its trace"""
    return {trace.name.split(",")[0]: (np.asarray(trace.x), np.asarray(trace.y)) for trace in fig.data}


@DARK
def test_the_curve_is_that_of_the_result(dark: bool):
    fig = figures.curve(WHOLE, dark)
    for side in SIDES:
        np.testing.assert_allclose(lines(fig)[side][1], WHOLE.curve(side))
        trace = next(trace for trace in fig.data if trace.name.startswith(side))
        assert f"AOC {figures.aoc(WHOLE, side):.2f}" in trace.name
        assert trace.marker.color == theme.palette(dark).sides[side] and trace.marker.symbol == SYMBOLS[side]
    assert len({trace.line.dash for trace in fig.data}) == 2, "lines differ without colour, too"


def test_swapping_the_sides_mirrors_both_figures():
    for draw in (figures.curve, figures.outcomes):
        before, after = lines(draw(WHOLE)), lines(draw(swapped(WHOLE)))
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            place = 1 if draw is figures.curve else 0
            np.testing.assert_allclose(before[side][place], after[other][place])


def test_outcomes_are_the_findings_with_their_intervals():
    fig = figures.outcomes(WHOLE)
    drawn = [one for one in WHOLE.findings if one.measure in figures.OUTCOMES]
    assert len(fig.layout.yaxis.ticktext) == len(drawn) == len(figures.OUTCOMES)
    for side in SIDES:
        trace = next(trace for trace in fig.data if trace.name == side)
        means = [one.sides[side] for one in drawn]
        np.testing.assert_allclose(trace.x, [one.mean for one in means])
        np.testing.assert_allclose(np.asarray(trace.x) + trace.error_x.array, [one.high for one in means])
        np.testing.assert_allclose(np.asarray(trace.x) - trace.error_x.arrayminus, [one.low for one in means])


def test_a_stopped_list_has_means_and_no_intervals():
    so_far = results.reasoning(whole=False)
    table = so_far.table()
    for side in SIDES:
        found = figures.estimates(so_far, side)
        known = table.loc[table["side"] == side, "corrupted_flips"].dropna()
        assert found["corrupted_flips"].mean == known.mean() and np.isnan(found["corrupted_flips"].low)
    assert figures.outcomes(so_far).data


def test_scales_are_the_same_whatever_is_found():
    empty = replace(WHOLE, items=(None,), answers=(-1,), options=(("yes", "no"),), questions=("?",), findings=())
    for result in (WHOLE, results.reasoning(whole=False), empty):
        for axis in (figures.curve(result).layout.xaxis, figures.curve(result).layout.yaxis, figures.outcomes(result).layout.xaxis):  # fmt: skip
            assert axis.range == (-0.02, 1.02)
    assert not figures.curve(empty).data and not figures.outcomes(empty).data


@DARK
def test_one_item_shows_every_option_after_every_step(dark: bool):
    one = WHOLE.items[0].tuned  # type: ignore[union-attr]
    fig = figures.probabilities(one, ("approve", "deny"), 0, "tuned", dark)
    drawn = {trace.name: np.asarray(trace.y) for trace in fig.data}
    np.testing.assert_allclose(drawn["approve (right)"], one.early[:, 0])
    np.testing.assert_allclose(drawn["deny"], one.early[:, 1])
    np.testing.assert_allclose(drawn["all options together"], one.mass)
    assert fig.layout.yaxis.range == (-0.02, 1.02)
    assert fig.data[0].line.color == theme.palette(dark).sides.tuned, "the chosen one is in the colour of its side"


def test_hostile_options_are_not_markup():
    one = WHOLE.items[0].tuned  # type: ignore[union-attr]
    fig = figures.probabilities(one, ("<b>x</b>%{y}", "<script>"), -1, "base")
    told = " ".join(f"{trace.name} {trace.hovertemplate} {trace.text}" for trace in fig.data).replace("<b>", "", len(fig.data))  # fmt: skip
    assert "<script" not in told and "<b>x" not in told.replace("<b>&lt;", "&lt;")
    assert "%{y}" in fig.data[0].text[0] + fig.data[1].text[0], "it stands under the pointer as it is written"
    assert not [trace for trace in fig.data if "%{y}" in trace.hovertemplate], "and nothing is put in its place"


def test_twenty_options_are_drawn_and_few_are_named():
    one = WHOLE.items[0].tuned  # type: ignore[union-attr]
    many = replace(one, early=np.full((3, 20), 0.05))
    fig = figures.probabilities(many, tuple(f"option {number}" for number in range(20)), 19, "tuned")
    assert len(fig.data) == 21 and sum(trace.showlegend is not False for trace in fig.data) == figures.NAMED + 2


def test_a_model_without_reasoning_has_no_line():
    quiet = WHOLE.items[1].base  # type: ignore[union-attr]
    only = replace(WHOLE, items=tuple(None if one is None else Pair(quiet, one.tuned) for one in WHOLE.items))
    assert [*lines(figures.curve(only))] == ["tuned"] and np.isnan(figures.aoc(only, "base"))


def test_only_items_whose_area_is_known_are_in_the_curve():
    known = WHOLE.items[2].tuned  # type: ignore[union-attr]
    early = known.early.copy()
    early[:-1] = np.nan
    one_of_two = replace(WHOLE, items=(Pair(replace(known, early=early), known), Pair(known, known)))
    assert figures.areas(one_of_two, "base") == [known.aoc] and figures.areas(one_of_two, "tuned") == [known.aoc] * 2
    drawn = lines(figures.curve(one_of_two))
    np.testing.assert_allclose(drawn["base"][1], drawn["tuned"][1])
    none = replace(one_of_two, items=one_of_two.items[:1])
    assert [*lines(figures.curve(none))] == ["tuned"]
