"""Laws of what the Robustness page draws: sides mirrored, one scale, every wording where its share is, nothing read as markup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard.figures import robustness as figures
from dashboard.figures import theme
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.robustness import Robustness
from model_utils.pair import SIDES, Pair
from tests import results

DARK = pytest.mark.parametrize("dark", [False, True])
MEASURES = pytest.mark.parametrize("measure", ["right", "flips"])
WHOLE = results.robustness()


def swapped(result: Robustness) -> Robustness:
    """As if base were tuned and tuned base."""
    names = ("models", "right", "chosen", "probability", "mass", "sensitivity", "agreement", "plain")
    return replace(result, **{name: getattr(result, name).swap() for name in names})


def dots(result: Robustness, measure: figures.Measure = "right", dark: bool = False) -> dict[str, dict[str, float]]:
    """side -> wording -> share, as drawn."""
    fig = figures.figure(result, dark, measure)
    return {trace.name: dict(zip(trace.text, trace.x, strict=True)) for trace in fig.data if trace.name in SIDES}


@MEASURES
def test_every_wording_is_drawn_where_its_share_is(measure: figures.Measure):
    table = WHOLE.by_wording().set_index("wording")
    for side in SIDES:
        found = dots(WHOLE, measure)[side]
        assert list(found) == list(WHOLE.wordings[1:])
        for wording, share in found.items():
            assert share == table.loc[wording, f"{measure}_{side}"]


@MEASURES
def test_swapping_the_sides_mirrors_the_figure(measure: figures.Measure):
    before, after = dots(WHOLE, measure), dots(swapped(WHOLE), measure)
    assert before["base"] == after["tuned"] and before["tuned"] == after["base"]
    starts = [{trace.name.split(",")[0]: trace.x[0] for trace in figures.figure(one).data if "as written" in trace.name} for one in (WHOLE, swapped(WHOLE))]  # fmt: skip
    assert starts[0]["base"] == starts[1]["tuned"] and starts[0]["tuned"] == starts[1]["base"]


def test_as_written_is_a_line_through_all_rows():
    fig = figures.figure(WHOLE)
    for side in SIDES:
        (line,) = [trace for trace in fig.data if trace.name.startswith(f"{side}, as written")]
        assert set(line.x) == {np.nanmean(WHOLE.right[side][:, 0])}
        assert (line.y[0], line.y[1]) == (-0.5, len(figures.rows(WHOLE)) - 0.5)


def test_a_line_reaches_from_the_worst_to_the_best_format_and_the_label_says_the_spread_that_was_found():
    (row,) = [row for row in figures.rows(WHOLE) if row.kind == figures.FORMAT]
    (spread,) = [one for one in WHOLE.findings if one.measure == "spread"]
    (said,) = [name for name in figures.figure(WHOLE).layout.yaxis.ticktext if "formats" in name]
    assert "(2 formats)" in said
    for side in SIDES:
        shares = row.values[side]
        assert row.ends(side) == (shares.min(), shares.max())
        assert f"{side} {100 * spread.sides[side].mean:.0f}" in said
        (trace,) = [trace for trace in figures.figure(WHOLE).data if trace.name == f"{side}, worst to best"]
        assert {*shares} <= {*trace.x}
    for other in (figures.figure(results.robustness(whole=False)), figures.figure(WHOLE, measure="flips")):
        assert "spread" not in str(other.layout.yaxis.ticktext), "no finding of it, or not of what is drawn"


@MEASURES
@pytest.mark.parametrize("result", [WHOLE, results.robustness(whole=False)])
def test_the_scale_is_the_same_whatever_is_found(result: Robustness, measure: figures.Measure):
    assert figures.figure(result, measure=measure).layout.xaxis.range == (-0.02, 1.02)


@DARK
def test_sides_differ_by_colour_shape_and_place(dark: bool):
    fig = figures.figure(WHOLE, dark)
    marks = {trace.name: trace for trace in fig.data if trace.name in SIDES}
    for side in SIDES:
        assert marks[side].marker.color == theme.palette(dark).sides[side]
        assert marks[side].marker.symbol == SYMBOLS[side]
    assert all(low < high for low, high in zip(marks["base"].y, marks["tuned"].y, strict=True))


def test_names_of_an_import_are_not_markup():
    hostile = replace(WHOLE, wordings=("as written", *["<b>x</b>"] * 5), kinds=("as written", *["<script>"] * 5))
    fig = figures.figure(hostile)
    assert "<script" not in str(fig.layout.yaxis.ticktext) and "<b>" not in str([trace.text for trace in fig.data])


def test_where_nobody_knows_the_answers_flips_are_left():
    unknown = replace(WHOLE, right=WHOLE.right.map(lambda values: np.full_like(values, np.nan)))
    assert figures.offered(unknown) == ("flips",) and figures.offered(WHOLE) == ("right", "flips")
    assert not [trace for trace in figures.figure(unknown, measure="flips").data if "as written" in trace.name]


def test_of_nothing_nothing_is_drawn():
    none = np.zeros((0, 0))
    empty = replace(WHOLE, wordings=(), kinds=(), texts=(), right=Pair(none, none), chosen=Pair(none.astype(int), none.astype(int)))  # fmt: skip
    assert figures.rows(empty) == [] and figures.offered(empty) == ()
