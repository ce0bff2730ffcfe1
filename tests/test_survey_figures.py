"""Laws of what the Many page draws and says: sides mirrored, one scale, and nothing drawn of what could not be asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard.figures import survey as figures
from dashboard.figures import theme
from dashboard.figures.shift import SYMBOLS
from dashboard.widgets import survey as widget
from model_utils.contracts.survey import Interval, Survey, measures
from model_utils.pair import SIDES, Pair
from tests import results

pytestmark = pytest.mark.slow

DARK = pytest.mark.parametrize("dark", [False, True])
HALF = results.surveyed("Two things?", checks=("3 items", "in JSON"), passed=Pair((False, False), (True, False)))
WHOLE = results.survey(HALF, results.surveyed("Another?", 0.5, 2.0), results.refused("A long one."))


def swapped(result: Survey) -> Survey:
    """As if base were tuned and tuned base, as far as a list can be turned round: the shift is of one side's answer."""
    items = [
        replace(one, texts=one.texts.swap(), tokens=one.tokens.swap(), stops=one.stops.swap(), passed=one.passed.swap())
        for one in result.items
    ]
    return replace(results.survey(*items, whole=bool(figures.bounded(result))), models=result.models.swap())


def drawn(result: Survey, dark: bool = False) -> dict[str, tuple[float, float, float]]:
    """What the figure shows: name -> (mean, low, high)."""
    fig, found = figures.figure(result, dark), {}
    for number, dots in enumerate((trace for trace in fig.data if trace.name == "mean"), start=1):
        names = fig.layout[f"yaxis{number if number > 1 else ''}"].ticktext
        for name, mean, up, down in zip(names, dots.x, dots.error_x.array, dots.error_x.arrayminus, strict=True):
            found[name.split("<br>")[0]] = (mean, mean - down, mean + up)
    return found


@DARK
def test_every_average_is_drawn_as_it_is(dark: bool):
    shown = drawn(WHOLE, dark)
    names = {measure: name for panel in figures.PANELS for measure, name in panel.names.items()}
    assert set(names) == set(measures(WHOLE.items)), "each measure has its place"
    for one in WHOLE.intervals:
        assert shown[names[one.measure]] == pytest.approx((one.mean, one.low, one.high))


def test_swapping_the_sides_mirrors_the_figure():
    before, after = drawn(WHOLE), drawn(swapped(WHOLE))
    assert before["checks passed, base"] == after["checks passed, tuned"]
    assert before["checks passed, tuned"] == after["checks passed, base"]
    mean, low, high = before["checks, tuned − base"]
    assert after["checks, tuned − base"] == pytest.approx((-mean, -high, -low))
    for name in ("tokens shifted", "words in both answers", "|log-ratio|", "KL(tuned‖base)", "JS"):
        assert before[name] == after[name]


@pytest.mark.parametrize("shifted", [(0.0, 0.0), (0.1, 0.9, 0.2), (1.0, 1.0)])
@pytest.mark.parametrize("nats", [0.0, 0.3, 9.0])
def test_shares_and_their_difference_have_the_same_scale_whatever_is_found(shifted: tuple[float, ...], nats: float):
    result = results.survey(*(results.surveyed("A?", share, nats) for share in shifted))
    shares, points, unbounded = (figures.figure(result).layout[f"xaxis{n}"].range for n in ("", 2, 3))
    assert (shares, points) == ((-0.02, 1.02), (-1.04, 1.04))
    assert unbounded[0] <= 0 and unbounded[1] > max(one.high for one in result.intervals if one.measure in figures.NATS)
    assert unbounded[1] >= 1, "small changes do not look large"


def test_what_could_not_be_asked_is_in_no_number():
    asked = results.survey(HALF, results.surveyed("Another?", 0.5, 2.0))
    assert drawn(asked) == drawn(WHOLE)
    for with_it, without in zip(figures.figure(WHOLE).data, figures.figure(asked).data, strict=True):
        np.testing.assert_array_equal(with_it.x, without.x)


def test_of_nothing_nothing_is_drawn():
    for result in (results.survey(results.refused("One.")), results.survey(results.refused("One."), whole=False)):
        assert not figures.figure(result).data
        assert widget.headline(result).startswith("No number yet: 1 of 1 instruction could not be asked")


def test_a_measure_that_nobody_has_leaves_no_empty_place():
    result = results.survey(results.surveyed("A?", checks=()), results.surveyed("B?", checks=()))
    assert not [name for name in drawn(result) if "checks" in name]
    assert len([trace for trace in figures.figure(result).data if trace.name == "mean"]) == 2


def test_a_list_on_its_way_has_means_and_no_intervals():
    so_far = results.survey(HALF, results.surveyed("Another?", 0.5, 2.0), whole=False)
    for name, (mean, low, high) in drawn(so_far).items():
        assert mean == pytest.approx(drawn(WHOLE)[name][0]) and np.isnan([low, high]).all()
    assert "[" not in widget.headline(so_far)


def test_the_page_computes_no_mean_of_its_own():
    """Snapshots had none, and the figure took them in a way of its own."""
    assert figures.averages(WHOLE) == {one.measure: one for one in WHOLE.intervals}
    assert figures.averages(replace(WHOLE, intervals=())) == {}
    assert figures.bounded(WHOLE) == list(WHOLE.intervals)
    assert not figures.bounded(results.survey(HALF, results.surveyed("Another?"), whole=False))


@DARK
def test_sides_differ_by_colour_and_by_shape(dark: bool):
    dots = next(trace for trace in figures.figure(WHOLE, dark).data if trace.name == "mean")
    names = [text.split("</b>")[0].removeprefix("<b>") for text in dots.text]
    for side in SIDES:
        place = names.index(f"checks passed, {side}")
        assert dots.marker.color[place] == theme.palette(dark).sides[side]
        assert dots.marker.symbol[place] == SYMBOLS[side]


def test_the_pale_bar_holds_the_middle_half_of_the_instructions():
    many = results.survey(*(results.surveyed("A?", share) for share in np.linspace(0, 1, 101)))
    bar = next(trace for trace in figures.figure(many).data if trace.name == "middle half")
    np.testing.assert_allclose(bar.x[:2], (0.25, 0.75))
    assert np.isnan(bar.x[2]), "bars of two measures are not joined"


# In words


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval("shifted", 0.19, 0.15, 0.23, 252), "19\xa0% [15\xa0%, 23\xa0%]"),
        (Interval("shifted", 0.19, np.nan, np.nan, 1), "19\xa0%"),
        (Interval("kl", 1.234, 1, 1.5, 9), "1.23 [1.00, 1.50]"),
        (Interval(figures.DIFFERENCE, -0.2, -0.3, 0.1, 9), "-20 [-30, +10]"),
    ],
)
def test_numbers_are_said_with_unit_and_interval(interval: Interval, said: str):
    assert figures.said(interval) == said


def test_one_instruction_is_said_in_the_singular():
    one = results.survey(results.surveyed("A?"))
    assert widget.headline(one) == "On average 25\xa0% of the tuned answer's tokens are shifted, over 1 instruction."
    assert widget.refused_said(one) == "The instruction could be asked."
    assert widget.checks_said(one).startswith("Of what 1 instruction verifiably asks for, base does 0\xa0%")


def test_empty_answers_are_counted_apart_from_refusals():
    nothing = float("nan")
    empty = replace(results.surveyed("A?", nothing, nothing), tokens=Pair(3, 0), shares=(nothing,) * 3)
    said = widget.refused_said(results.survey(empty, results.refused("B?"), results.surveyed("C?")))
    assert said.startswith("1 of 3 instructions could not be asked") and "1 of them is empty" in said


def test_few_instructions_are_said_to_say_little():
    assert "fewer than 20" in widget.intervals_said(WHOLE)
    assert "fewer" not in widget.intervals_said(results.survey(*([HALF] * 20)))
