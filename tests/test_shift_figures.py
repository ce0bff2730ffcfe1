"""Laws of what the Compare page draws and says of a shift: mirrored sides, one scale, counts that agree, nothing read as markup."""

from __future__ import annotations

import gc
import json
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import shift as figures
from dashboard.figures import theme
from dashboard.figures.labels import visible
from dashboard.widgets import format_or_weights, movement, shift_strips, text
from dashboard.widgets.token_strip import Alternative
from model_utils.contracts.shift import MEASURES, SHARES, Floor, Forced
from model_utils.pair import SIDES, Pair, Side, other_side
from tests import results

pytestmark = pytest.mark.slow

WORDS = ("One", " two", " three", " four", " five", "<|end|>")
BOTH = pytest.mark.parametrize("side", SIDES)
LENGTHS = pytest.mark.parametrize("count", [0, 1, 2, 40])


def many(count: int) -> tuple[str, ...]:
    return tuple(f" w{i}" for i in range(count))


# Figures


@BOTH
@pytest.mark.parametrize("measure", figures.ALIKE)
def test_swapping_the_sides_mirrors_the_figure(side: Side, measure: str):
    """Differences change their sign, KL its direction, entropies their lines; what is symmetric stays."""
    straight = results.shift(tuned=WORDS)
    mirrored = results.swapped(straight)
    twin = {"kl": "kl_reverse", "kl_reverse": "kl"}.get(measure, measure)
    before = figures.figure(straight, side=side, measure=measure)
    after = figures.figure(mirrored, side=other_side(side), measure=twin)
    sign = -1 if measure == "log_ratio" else 1
    lines = after.data[::-1] if measure == "entropy_change" else after.data
    for line, twin_line in zip(before.data, lines, strict=True):
        np.testing.assert_array_equal(line.x, twin_line.x)
        np.testing.assert_allclose(line.y, sign * np.asarray(twin_line.y))
        assert line.text == twin_line.text
    assert before.layout.yaxis.range == after.layout.yaxis.range


@BOTH
def test_both_answers_share_one_scale_whoever_is_left(side: Side):
    result = results.shift(tuned=WORDS)
    ranges = {
        figures.figure(one, side=which).layout.yaxis.range
        for one in (result, results.swapped(result))
        for which in SIDES
    }
    assert len(ranges) == 1
    low, high = ranges.pop()
    assert low == -high and high > figures.limit(result) >= np.abs(result.answers[side].log_ratios).max()


def test_a_value_that_is_no_number_does_not_set_the_scale():
    result = results.shift()
    odd = replace(result.answers.tuned, log_probs=Pair(np.array([np.nan, -np.inf, -1.0]), np.array([-1.0, -1.0, -1.5])))
    assert figures.limit(replace(result, answers=Pair(results.forced("base", ()), odd))) == 1.0


@pytest.mark.parametrize("dark", [False, True])
def test_grey_marks_are_those_below_the_floor_and_hollow_ones_do_not_count(dark: bool):
    forced = results.shift(tuned=WORDS).answers.tuned
    (line,) = figures.figure(results.shift(tuned=WORDS), dark).data
    grey = np.array(line.marker.color) == theme.palette(dark).noise
    np.testing.assert_array_equal(grey, ~forced.beyond)
    hollow = np.array(["open" in symbol for symbol in line.marker.symbol])
    np.testing.assert_array_equal(hollow, ~forced.counted)


def test_the_band_is_the_floor_and_only_of_log_ratios():
    result = results.shift(tuned=WORDS, floor=0.7)
    (band,) = figures.figure(result).layout.shapes
    assert (band.y0, band.y1) == (-0.7, 0.7)
    assert not figures.figure(result, measure="kl").layout.shapes
    assert not figures.figure(results.shift(floor=None)).layout.shapes


NOT_MEASURED = Floor(Pair(0.5, float("nan")), ("Please: {instruction}",), Pair(6, 0))


def test_a_floor_that_was_not_measured_greys_nothing():
    """With a floor that is no number every mark was grey, for a reason that was none."""
    result = results.shift(tuned=WORDS)
    unknown = replace(result, answers=result.answers.map(lambda one: replace(one, wording=NOT_MEASURED)))
    forced = unknown.answers.tuned
    assert figures.floor(forced) is None and not figures.within_floor(forced).any()
    assert forced.split is not None
    for fig in (figures.figure(unknown), figures.split_figure(forced, forced.split)):
        assert not fig.layout.shapes and not fig.layout.annotations
        assert theme.LIGHT.noise not in np.atleast_1d(fig.data[-1].marker.line.color or fig.data[-1].marker.color)
    assert "noise" not in movement.most_shifted(forced)
    assert "nan" not in movement.floors_said(unknown.answers) + movement.taken_from(unknown.answers)
    assert "tuned answer was not measured" in movement.floors_said(unknown.answers)


def test_the_larger_floor_is_the_noise_and_gives_its_name():
    forced = results.forced("tuned", WORDS, floor=0.5)
    coarse = replace(forced, numerical=Floor(Pair(0.1, 2.5), ("one thread",), Pair(6, 6)))
    assert (figures.floor(forced), figures.floor(coarse)) == (0.5, 2.5)
    assert figures.noise_said(forced) == "a reworded prompt does as much"
    assert figures.noise_said(coarse) == "numerical noise does as much"
    np.testing.assert_array_equal(figures.within_floor(coarse), np.abs(coarse.log_ratios) <= 2.5)


def test_a_total_within_the_noise_is_grey_and_says_so():
    forced = results.forced("tuned", WORDS, ratios=(0.1, 2.0, -0.4, -3.0, 0.0, 9.0))
    assert forced.split is not None
    total = figures.split_figure(forced, forced.split).data[-1]
    within = [True, False, True, False, True, False]
    assert [colour == theme.LIGHT.noise for colour in total.marker.line.color] == within
    assert ["reworded" in said for said in total.customdata] == within


END = (0.1, 2.0, -3.0, 0.0, 1.0, 30.0)
"""Log-ratios of `WORDS`: the token that ends the turn, which nobody reads, moved most."""


def test_what_does_not_count_neither_leads_the_table_nor_sets_the_scale():
    """Under another format the token that ends the turn has a log-ratio of 30 nats and made all others look like nothing."""
    result = results.shift(tuned=WORDS)
    led = replace(result, answers=Pair(result.answers.base, results.forced("tuned", WORDS, END)))
    forced = led.answers.tuned
    assert movement.order(forced).tolist() == [2, 1, 4, 0, 3, 5]
    assert figures.limit(led) == 3.0
    for measure in figures.ALIKE:
        fig = figures.figure(led, measure=measure)
        for line in fig.data:
            values, counted = np.asarray(line.y, dtype=float), forced.counted
            assert values[~counted] <= max(values[counted].max(), figures.limit(led) * (measure == "log_ratio"))
    assert figures.figure(led).data[0].customdata[5] == "log-ratio +30.0000 nats", "what is said is not cut"
    assert forced.split is not None
    low, high = figures.split_figure(forced, forced.split).layout.yaxis.range
    assert -4.0 < low < -3.0 and 2.0 < high < 4.0


@pytest.mark.parametrize("measure", figures.MEASURES)
def test_a_hover_says_the_measure_by_its_name_and_with_its_unit(measure: str):
    result = results.shift(tuned=WORDS)
    if measure not in figures.ALIKE:
        result = replace(result, answers=result.answers.map(results.unlike))
    shown = figures.MEASURES[measure]
    for line in figures.figure(result, measure=measure).data:
        assert all(said.startswith(shown.name) and said.endswith(shown.unit) for said in line.customdata)
        assert "_" not in "".join(line.customdata)
    assert bool(shown.unit) == (measure not in ("rank", "tv"))


def test_quotation_marks_are_shown_as_they_are():
    """Plotly knows no &quot; and printed it."""
    assert visible("""say "it's" & <b>""", longest=40) == """say·"it's"·&amp;·&lt;b&gt;"""


@pytest.mark.parametrize("measure", figures.ALIKE)
def test_the_pin_stands_at_its_token_in_every_figure(measure: str):
    result = results.shift(tuned=WORDS)
    forced = result.answers.tuned
    assert forced.split is not None
    for fig in (
        figures.figure(result, measure=measure, pinned=2),
        figures.split_figure(forced, forced.split, pinned=2),
    ):
        assert [shape.x0 for shape in fig.layout.shapes if shape.name == "pinned"] == [2]


def test_ranks_stand_on_a_log_axis_and_unknown_tokens_leave_a_gap():
    forced = results.forced("tuned", WORDS, ranks=(1, 0, 50_000, 2, 1, 1))
    fig = figures.figure(replace(results.shift(), answers=Pair(results.forced("base", ()), forced)), measure="rank")
    assert fig.layout.yaxis.type == "log"
    assert np.isnan(fig.data[0].y[1]) and fig.data[0].y[2] == 50_000
    low, high = fig.layout.yaxis.range
    assert low < 0 and 10**high > 50_000


def test_the_parts_are_stacked_to_the_total():
    forced = results.shift(tuned=WORDS).answers.tuned
    assert forced.split is not None
    weights, format, total = figures.split_figure(forced, forced.split).data
    np.testing.assert_allclose(np.asarray(weights.y) + np.asarray(format.y), total.y)
    np.testing.assert_allclose(total.y, forced.log_ratios)
    assert format.marker.pattern.shape, "colour is not the only sign"
    assert [shade == 1 for shade in weights.marker.opacity] == forced.counted.tolist(), "pale: not counted"


@LENGTHS
@pytest.mark.parametrize("unlike", [False, True])
def test_answers_of_any_length_are_drawn_as_plain_json(count: int, unlike: bool):
    forced = results.forced("tuned", many(count))
    forced = results.unlike(forced) if unlike else forced
    result = replace(results.shift(), answers=Pair(results.forced("base", ()), forced))
    for measure in figures.offered(forced):
        for dark in (False, True):
            fig = json.loads(figures.figure(result, dark, "tuned", measure).to_json())
            assert len(fig["data"][0]["text"]) == len(forced.spans)
    assert forced.split is not None
    assert json.loads(figures.split_figure(forced, forced.split).to_json())["data"]


def test_measures_bear_the_names_of_the_result_so_that_an_address_can_say_them():
    assert tuple(figures.MEASURES) == MEASURES


def test_where_tokens_are_not_alike_only_log_ratios_are_offered():
    forced = results.unlike(results.forced("tuned", WORDS))
    assert figures.offered(forced) == figures.UNLIKE
    lengths = np.array([len(text) for text in forced.texts])
    np.testing.assert_allclose(forced.per_character * lengths, forced.log_ratios)


@given(st.text(min_size=1))
def test_tokens_are_literal_in_every_figure(piece: str):
    result = results.shift(tuned=(f"<b>{piece}</b>",))
    forced = result.answers.tuned
    assert forced.split is not None
    for fig in (figures.figure(result), figures.split_figure(forced, forced.split)):
        assert all("<" not in text for trace in fig.data for text in trace.text)


# What is said


@given(
    ratios=st.lists(st.floats(-20, 20), min_size=1, max_size=30),
    ranks=st.lists(st.integers(1, 100), min_size=1, max_size=30),
    floor=st.floats(0.01, 5),
)
def test_the_headline_counts_what_the_result_counts(ratios: list[float], ranks: list[int], floor: float):
    count = min(len(ratios), len(ranks))
    forced = results.forced("tuned", (*many(count - 1), "<|end|>"), tuple(ratios[:count]), tuple(ranks[:count]), floor)
    said = movement.headline(forced)
    if count == 1:
        assert "no token to compare" in said
        return
    moved, total = map(int, re.match(r"(\d+) of (\d+) token", said).groups())  # type: ignore[union-attr]
    assert total == forced.counted.sum() == (forced.classes >= 0).sum() == count - 1
    assert moved == (forced.beyond & forced.counted).sum()
    shares = dict(re.findall(r"(\w+) (\d+)", movement.shares_said(forced)))
    for i, name in enumerate(SHARES):
        assert abs(int(shares[name]) - 100 * np.mean(forced.classes[:-1] == i)) <= 0.5


def test_a_model_against_itself_did_not_move():
    result = results.same_twice()
    for side, forced in result.answers.items():
        assert movement.headline(forced).startswith(f"0 of 2 tokens of the {side} answer changed more")
        assert movement.shares_said(forced) == "unshifted 100%, marginal 0%, shifted 0%"
        assert not np.any(figures.figure(result, side=side).data[0].y)
    assert shift_strips.first_difference(result) == Pair(None, None)


def test_before_the_floor_is_known_nothing_is_counted_and_without_one_this_is_said():
    forced = results.shift(floor=None).answers.tuned
    many, what = "2 tokens of the tuned answer", "what a reworded prompt would change"
    assert movement.headline(forced, measuring=True) == f"{many}: measuring {what} ..."
    assert movement.headline(forced) == f"{many}: {what} was not measured."
    nothing = Floor(Pair(float("nan"), float("nan")), (), Pair(0, 0))
    assert movement.headline(replace(forced, wording=nothing)).endswith("could not be measured.")


def test_the_floor_of_each_answer_is_said_with_what_it_was_taken_from():
    result = results.shift(tuned=WORDS, floor=0.7)
    other = replace(result.answers.base, wording=Floor(Pair(0.2, 0.31), ("Task: {instruction}",), Pair(12_345, 7)))
    answers = Pair(other, result.answers.tuned)
    said, taken = movement.floors_said(answers), movement.taken_from(answers)
    assert "nine in ten" in said and "0.7 nats in the tuned answer and 0.31 nats in the base answer" in said
    assert "12,345 changes in base and 7 in tuned over 1 rewording," in taken
    assert "numerical noise, 99 in 100 at most 1e-05 nats" in taken
    assert "of a piece's" in movement.floors_said(answers.map(results.unlike))
    assert movement.floors_said(results.shift(floor=None).answers) == ""


def test_the_table_says_of_every_row_whether_noise_does_as_much():
    forced = results.forced("tuned", WORDS)
    table = movement.most_shifted(forced)
    for place, noise in zip(table["place"], table["noise"], strict=True):
        assert noise == ("beyond" if abs(forced.log_ratios[place]) > 0.5 else "within")
    assert "reworded" in movement.pin_said(forced, 3) and "reworded" not in movement.pin_said(forced, 2)


@given(st.lists(st.floats(-20, 20), min_size=0, max_size=30))
def test_the_table_lists_every_unit_once_most_shifted_first(ratios: list[float]):
    forced = results.forced("tuned", many(len(ratios)), tuple(ratios))
    for one in (forced, results.unlike(forced)):
        table = movement.most_shifted(one)
        assert sorted(table["place"]) == list(range(len(one.spans)))
        sizes = table["log-ratio"].abs().tolist()
        assert sizes == sorted(sizes, reverse=True)
        assert (table["place"].to_numpy() == movement.order(one)).all()


def test_what_cannot_be_compared_stands_last():
    forced = results.forced("tuned", WORDS)
    gap = np.where(np.arange(len(WORDS)) == 2, np.nan, forced.log_probs.base)
    assert movement.order(replace(forced, log_probs=replace(forced.log_probs, base=gap)))[-1] == 2


@pytest.mark.parametrize(
    ("log_prob", "said"), [(0.0, "100.0%"), (np.log(0.123), "12.3%"), (-30.0, "9e-14"), (np.nan, "no such token")]
)
def test_probabilities_are_said_as_people_read_them(log_prob: float, said: str):
    assert shift_strips.chance(log_prob) == said


@pytest.mark.parametrize(
    ("log_ratio", "said"),
    [
        (0.0, "as likely in both"),
        (np.log(2), "2 times as likely in tuned (log-ratio in nats)"),
        (-np.log(12_345), "12,345 times as likely in base (log-ratio in nats)"),
        (800.0, "more than a million times as likely in tuned (log-ratio in nats)"),
        (np.nan, ""),
        (np.inf, ""),
    ],
)
def test_log_ratios_are_said_as_times(log_ratio: float, said: str):
    assert shift_strips.times_said(log_ratio) == said


# Tokens and units


def test_a_unit_is_a_token_where_both_read_the_same():
    forced = results.forced("tuned", WORDS)
    assert shift_strips.token_units(forced).tolist() == list(range(len(WORDS)))
    assert shift_strips.unit_of(forced, None) is None
    assert shift_strips.unit_of(forced, 99) is None, "a pin of a former answer"


@given(st.integers(0, 9))
def test_every_token_of_a_piece_has_its_value_and_leads_back_to_it(count: int):
    forced = results.unlike(results.forced("tuned", many(count)))
    values = shift_strips.of_tokens(forced, forced.log_ratios, np.nan)
    assert len(values) == count
    for token in range(count):
        unit = shift_strips.unit_of(forced, token)
        assert unit == token // 2 and values[token] == forced.log_ratios[unit]
        assert shift_strips.token_of(forced, unit) == 2 * unit


def test_a_token_behind_the_last_piece_has_no_value():
    """The token that ends the turn is in no piece of text."""
    forced = results.unlike(results.forced("tuned", WORDS))
    cut = replace(
        forced, spans=forced.spans[:2], counted=forced.counted[:2], log_probs=forced.log_probs.map(lambda one: one[:2])
    )
    values = shift_strips.of_tokens(cut, cut.log_ratios, np.nan)
    assert np.isnan(values[4:]).all() and np.isfinite(values[:4]).all()
    assert shift_strips.unit_of(cut, 5) is None


def probabilities(forced: Forced) -> Pair[list[str]]:
    found = shift_strips.comparison(forced)
    row = found.rows.index("probability")
    return Pair(*([str(cell[side][row]) for cell in found.cells] for side in SIDES))


def test_both_models_stand_in_the_table_of_every_token():
    forced = results.forced("tuned", WORDS, ratios=(np.log(5),) * 6, ranks=(7,) * 6)
    found = shift_strips.comparison(forced)
    found.check(len(WORDS))
    assert found.rows == ("probability", "rank", "entropy", "1st", "2nd")
    assert found.cells[1].base[:2] == ("10.0%", "7") and found.cells[1].tuned[:2] == ("50.0%", "1")
    assert found.cells[1].base[3] == Alternative(" two", "10.0%")
    swapped = results.swapped(replace(results.shift(), answers=Pair(results.forced("base", ()), forced))).answers.base
    assert probabilities(swapped) == probabilities(forced).swap()


def test_where_tokens_are_not_alike_the_table_is_of_the_piece_and_of_what_the_reader_reads_at_its_beginning():
    """Rank, probability and entropy stood there beside each other, of two tokens that are not the same."""
    forced = results.unlike(results.forced("tuned", WORDS))
    found = shift_strips.comparison(forced)
    found.check(len(WORDS))
    assert found.rows == ("the piece", "1st", "2nd")
    assert found.cells[0].base[1] and not found.cells[1].base[1], "the reader's token is two of the writer's"
    assert found.cells[0].tuned[0] == found.cells[1].tuned[0]
    assert found.cells[1].tuned[1]


def test_the_table_of_both_models_is_kept_as_long_as_its_answer():
    forced = results.forced("tuned", WORDS)
    assert shift_strips.comparison(forced) is shift_strips.comparison(forced)
    gone = weakref.ref(forced)
    del forced
    gc.collect()
    assert gone() is None, "eight answers with all that was measured stayed in memory"


def test_the_first_difference_is_the_first_token_with_other_characters():
    result = results.shift(base=("Par", "t", " 2"), tuned=("Par", "is", "<|end|>"))
    assert shift_strips.first_difference(result) == Pair(1, 1)
    other_tokens = results.shift(base=("Pari", "s", "!"), tuned=("Par", "is", "<|end|>"))
    assert shift_strips.first_difference(other_tokens) == Pair(2, None), "people read no end of a turn"
    spaced = results.shift(base=(" Par", "t", "\n\n"), tuned=("Par", "is", "<|end|>"))
    assert shift_strips.first_difference(spaced) == Pair(1, 1), "the format decides whether a space comes first"


# Format or weights


def test_the_parts_add_up_in_the_sentence():
    forced = results.forced("tuned", WORDS)
    assert forced.split is not None
    total, weights, format, _ = map(float, re.findall(r"[-+]\d+\.\d+", format_or_weights.said(forced.split, forced)))
    assert total == pytest.approx(weights + format, abs=0.011)
    assert total == pytest.approx(forced.log_ratios[forced.counted].sum(), abs=0.006)


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=20))
def test_the_parts_add_up_as_they_are_printed(changes: list[tuple[float, float]]):
    """0.005 in two parts was rounded to 0.01 in each, and to 0.01 in their sum."""
    ratios, away = map(np.array, zip(*changes, strict=True))
    forced = results.forced("tuned", many(len(changes)), tuple(ratios))
    other = Pair(forced.log_probs.base + away, forced.log_probs.tuned - away / 3)
    split = replace(results.parted(forced.log_probs), log_probs=(forced.log_probs, other))
    words = format_or_weights.said(split, forced)
    total, weights, format, interaction = (round(100 * float(one)) for one in re.findall(r"[-+]\d+\.\d+", words))
    assert total == weights + format
    for said, values in ((total, split.total), (weights, split.weights), (interaction, split.interaction)):
        assert said == pytest.approx(100 * values.sum(), abs=0.51)
    assert format == pytest.approx(100 * split.format.sum(), abs=1.01)
    assert "-0.00" not in words


def test_tokens_that_are_in_no_sum_are_counted():
    forced = results.forced("tuned", WORDS)
    gap = np.where(np.arange(len(WORDS)) == 2, np.nan, forced.log_probs.base)
    split = results.parted(Pair(gap, forced.log_probs.tuned))
    assert "1 not in it, because a model has no such token" in format_or_weights.said(split, forced)
    assert forced.split is not None and "not in it" not in format_or_weights.said(forced.split, forced)
    total = float(format_or_weights.said(split, forced).split()[1])
    assert total == pytest.approx(split.total[[0, 1, 3, 4]].sum(), abs=0.006)


def test_one_format_on_both_sides_has_no_format_part():
    forced = results.forced("tuned", WORDS)
    assert forced.split is not None
    same = replace(forced.split, formats=("chat", "chat"), log_probs=(forced.log_probs, forced.log_probs))
    assert "format +0.00 (interaction +0.00)" in format_or_weights.said(same, forced)
    assert "zero by definition" in format_or_weights.explained(same, "tuned")
    assert "zero by definition" not in format_or_weights.explained(forced.split, "tuned")


def test_formats_to_choose_from_are_those_there_are_and_templates_in_use():
    own = "Question: {instruction}\nAnswer:"
    assert format_or_weights.offered((own, "plain"), (own, "plain"), False) == ["chat", "plain", "few-shot", own]
    assert format_or_weights.offered(("plain", "plain"), ("plain", "plain"), True) == ["plain", "few-shot"]
    assert text.format_name(own) == "own: Question: {instruction} Answer:"
    assert len(text.format_name(own * 9)) < 40
