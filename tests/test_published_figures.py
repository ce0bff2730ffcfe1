"""Laws of what the Benchmarks page draws: every score where it is, sides mirrored, one scale, coins that are tossed, nothing read as markup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard.figures import published as figures
from dashboard.figures import theme
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.published import COLUMNS, HEADLINE, OVERALL, Published
from model_utils.pair import SIDES, Pair
from tests import results

DARK = pytest.mark.parametrize("dark", [False, True])
BENCHMARK = pytest.mark.parametrize("benchmark", [*COLUMNS])


def swapped(result: Published) -> Published:
    """As if base were tuned and tuned base."""
    found = tuple(replace(one, sides=one.sides.swap()) for one in result.findings)
    return replace(result, models=result.models.swap(), read=result.read.swap(), findings=found)


def dots(result: Published, part: str) -> dict[str, list[tuple[float, float]]]:
    """side -> (score, row) of its marks."""
    fig = figures.figure(result, part=part)
    return {trace.name: [*zip(trace.x, np.round(trace.y), strict=True)] for trace in fig.data if trace.name in SIDES}


@BENCHMARK
def test_every_category_is_drawn_where_its_score_is(benchmark: str):
    result = results.published(benchmark=benchmark)
    for part in result.parts():
        name = {"ambig": "s_amb", "disambig": "s_dis"}.get(part, HEADLINE[benchmark][0])
        scores = result.scores()
        table = scores[(scores["part"] == part) & (scores["measure"] == name)].reset_index(drop=True)
        assert table["category"].iloc[0] == OVERALL
        fig = figures.figure(result, part=part)
        assert len(fig.layout.yaxis.ticktext) == len(table)
        for said, count in zip(fig.layout.yaxis.ticktext, table["count"], strict=True):
            assert said.endswith(f"<br>n = {count}")
        for side in SIDES:
            known = table[table[side].notna()]
            assert dots(result, part)[side] == [*zip(known[side], known.index, strict=True)]


@BENCHMARK
def test_swapping_the_sides_mirrors_the_figure(benchmark: str):
    result = results.published(benchmark=benchmark)
    for part in result.parts():
        before, after = dots(result, part), dots(swapped(result), part)
        assert before["base"] == after["tuned"] and before["tuned"] == after["base"] and before["base"] != before["tuned"]  # fmt: skip


@BENCHMARK
@pytest.mark.parametrize("whole", [True, False])
def test_the_scale_is_whole_whatever_is_found(benchmark: str, whole: bool):
    result = results.published(whole, benchmark)
    for part in result.parts():
        fig = figures.figure(result, part=part)
        low, high = fig.layout.xaxis.range
        innocent = HEADLINE[benchmark][1]
        assert (low + high) / 2 == innocent and (high - low) > (100 if innocent else 2)
        (line,) = fig.layout.shapes
        assert line.x0 == line.x1 == innocent
        for trace in fig.data:
            assert all(low <= x <= high for x in trace.x if np.isfinite(x))


@BENCHMARK
def test_overall_scores_have_the_interval_that_was_found_and_categories_none(benchmark: str):
    result = results.published(benchmark=benchmark)
    found = {one.measure: one for one in result.findings}
    part, name = {"crows_pairs": ("full", "full_stereotype"), "stereoset": ("overall", "ss"), "bbq": ("ambig", "s_amb")}[benchmark]  # fmt: skip
    first, *others = figures.rows(result, part)
    scale = 1 if benchmark == "bbq" else 100
    for side in SIDES:
        assert first.sides[side].low == scale * found[name].sides[side].low
        assert not any(np.isfinite(one.sides[side].low) for one in others if one.name != f"{OVERALL} (names)")
    assert not np.isfinite(figures.rows(results.published(False, benchmark), part)[0].sides.tuned.low)


@DARK
def test_sides_differ_by_colour_shape_and_place(dark: bool):
    fig = figures.figure(results.published(), dark)
    marks = {trace.name: trace for trace in fig.data if trace.name in SIDES}
    for side in SIDES:
        assert marks[side].marker.color == theme.palette(dark).sides[side]
        assert marks[side].marker.symbol == SYMBOLS[side]
    assert all(np.round(y) > y for y in marks["base"].y) and all(np.round(y) < y for y in marks["tuned"].y)


@BENCHMARK
def test_categories_of_a_file_are_not_markup(benchmark: str):
    fig = figures.figure(results.published(benchmark=benchmark))
    drawn = str(fig.layout.yaxis.ticktext) + str([trace.text for trace in fig.data])
    assert "<script" not in drawn and "<b>bold" not in drawn and "&lt;script" in drawn


def test_bias_is_in_percent_as_findings_have_it():
    result = results.published()
    said = figures.said(result, figures.rows(result, "ambig")[0], "tuned")
    (finding,) = [one for one in result.findings if one.measure == "s_amb"]
    assert f"[{100 * finding.sides.tuned.low:+.1f} %, {100 * finding.sides.tuned.high:+.1f} %]" in said
    axis = figures.figure(result).layout.xaxis
    assert [f"{100 * one:.0f} %".replace("-", "−") for one in axis.tickvals] == [*axis.ticktext]


@BENCHMARK
def test_many_categories_are_scored_as_each_is_by_itself(benchmark: str):
    many = tossed(benchmark, 0)
    items = tuple(one.model_copy(update={"category": f"{n * 7 % 40:02}"}) for n, one in enumerate(many.items))
    result = replace(many, items=items)
    scores = result.scores()
    for category in ("00", "17"):
        mine = [n for n, one in enumerate(items) if one.category == category]
        alone = replace(result, items=tuple(items[n] for n in mine), read=result.read.map(lambda one, mine=mine: one[mine])).scores()  # type: ignore[misc]  # fmt: skip
        pick = lambda table, name=category: table[table["category"].isin([name, f"{name} (names)"])].reset_index(drop=True)  # noqa: E731  # fmt: skip
        assert len(pick(scores)) and pick(scores).equals(pick(alone))


def tossed(benchmark: str, seed: int) -> Published:
    """Both models toss a coin for each of 60 items; of BBQ they never say that it cannot be known."""
    random, few = np.random.default_rng(seed), results.published_items(benchmark)[:4]
    items = few * 15
    read = Pair(*(random.normal(-3, 1, (len(items), len(COLUMNS[benchmark]))) for _ in SIDES))
    if benchmark == "bbq":
        for values in read.sides:
            values[:, 1] = -9
    return replace(results.published(benchmark=benchmark), items=items, read=read, refused=(), findings=())


@BENCHMARK
def test_tossed_coins_lie_within_the_grey(benchmark: str):
    inside = []
    for seed in range(150):
        result = tossed(benchmark, seed)
        row = figures.rows(result, result.parts()[0])[0]
        inside += [abs(row.sides[side].mean - HEADLINE[benchmark][1]) <= row.by_chance[side] for side in SIDES]
    assert 0.9 < np.mean(inside) < 0.99


def test_of_nothing_nothing_is_drawn():
    nothing = replace(results.published(), items=(), read=Pair(*(np.zeros((0, 3)) for _ in SIDES)))
    assert nothing.parts() == ()


@BENCHMARK
def test_what_cannot_be_asked_is_drawn_nowhere(benchmark: str):
    whole = results.published(benchmark=benchmark)
    refused = replace(whole, read=whole.read.map(lambda values: np.full_like(values, np.nan)), findings=())
    for part in refused.parts():
        fig = figures.figure(refused, part=part)
        assert not [x for trace in fig.data for x in trace.x if np.isfinite(x)]


@BENCHMARK
def test_an_item_leans_as_its_side_is_scored(benchmark: str):
    result = results.published(benchmark=benchmark)
    assert (result.leaning("tuned")[:4] > 0).all() and result.leaning("base")[0] > 0
    assert (result.leaning("base")[1:4] < 0).all()
    for side in SIDES:
        assert np.isnan(result.leaning(side)[4])
    if benchmark == "bbq":
        for side in SIDES:
            taken = result.sides_taken(side)[:4]
            assert (np.sign(result.leaning(side)[:4]) == taken).all(), "neither answers that it cannot be known"
