"""What probes conclude: differences against twins and closed forms, and how often verdicts are wrong or missing where the truth is known."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from model_utils.contracts.probe import LEVEL, Estimate, Finding, Verdict
from model_utils.pair import Pair
from model_utils.probes import statistics
from model_utils.probes.statistics import ENOUGH, FEW, Measured, findings
from tests import oracles

MARGIN = 0.03
QUICK = {"flips": 999, "resamples": 500}
"""for simulations: the verdicts of fewer resamples, a third of the time"""


def measured(base: Any, tuned: Any, **changes: Any) -> Measured:
    values = Pair(np.asarray(base, dtype=np.float64), np.asarray(tuned, dtype=np.float64))
    given = {"measure": "right", "says": "right answers", "unit": "share", "better": "higher", "fault": False, "margin": MARGIN}  # fmt: skip
    return Measured(values=values, **given | changes)


def found(base: Any, tuned: Any, **changes: Any) -> Finding:
    return findings([measured(base, tuned, **changes)], **QUICK)[0]


some = settings(max_examples=40)
"""each example takes a bootstrap or nine"""

numbers = st.sampled_from([0.0, 1.0]) | st.floats(-1, 1) | st.just(math.nan)
sides = st.integers(0, 14).flatmap(
    lambda count: st.tuples(*[st.lists(numbers, min_size=count, max_size=count) for _ in "bt"])
)
units = st.sampled_from(["share", "nats"])
margins = st.sampled_from([0.03, 0.15, 0.5, 1.0])


# What is computed


@pytest.mark.slow
def test_conclusions_need_no_torch():
    code = (
        "import sys, numpy as np; from model_utils.pair import Pair; from model_utils.probes import statistics as s;"
        "s.findings([s.Measured('a', 'a', 'share', 'higher', True, Pair(np.eye(9)[0], np.eye(9)[1]), 0.03)]);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@given(sides, units)
@some
def test_a_side_has_its_own_items_and_the_difference_those_of_both(values: tuple[list[float], list[float]], unit: str):
    one = found(*values, unit=unit)
    base, tuned = (np.array(side) for side in values)
    for estimate, known in [
        (one.sides.base, base[~np.isnan(base)]),
        (one.sides.tuned, tuned[~np.isnan(tuned)]),
        (one.difference, (tuned - base)[~np.isnan(tuned - base)]),
    ]:
        assert estimate.count == len(known)
        assert math.isnan(estimate.mean) == (not len(known)) and math.isnan(estimate.low) == (len(known) < 2)
        if len(known):
            assert estimate.mean == pytest.approx(known.mean())
        if len(known) > 1:
            assert estimate.low - 1e-9 <= estimate.mean <= estimate.high + 1e-9
    assert math.isnan(one.p) == math.isnan(one.adjusted) == (one.difference.count < 2)
    assert (one.verdict == "not measured") == (one.difference.count == 0)


@given(sides, units)
@some
def test_items_without_a_number_do_not_count(values: tuple[list[float], list[float]], unit: str):
    base, tuned = (np.array(side, dtype=np.float64) for side in values)
    both = ~np.isnan(tuned - base)
    whole, known = found(base, tuned, unit=unit), found(base[both], tuned[both], unit=unit)
    for name in ("p", "adjusted", "verdict", "needed"):
        np.testing.assert_equal(getattr(whole, name), getattr(known, name))
    assert_same(whole.difference, known.difference)


@given(sides, st.randoms(use_true_random=False))
@some
def test_the_order_of_the_items_does_not_matter(values: tuple[list[float], list[float]], random: Any):
    order = list(range(len(values[0])))
    random.shuffle(order)
    one, other = found(*values), found(*([side[i] for i in order] for side in values))
    for left, right in zip((*one.sides.sides, one.difference), (*other.sides.sides, other.difference), strict=True):
        assert left.mean == pytest.approx(right.mean, abs=1e-12, nan_ok=True) and left.count == right.count
    # Of few changes every pattern of signs is tried; of more, random ones meet other items.
    changes = np.count_nonzero(np.nan_to_num(np.subtract(*map(np.array, values))))
    assert one.p == pytest.approx(other.p, abs=1e-12 if changes < 10 else 0.1, nan_ok=True)


def test_a_finding_is_the_same_whatever_is_measured_beside_it_but_for_the_correction():
    generator = np.random.default_rng(3)
    all_of_them = [
        measured(*generator.integers(0, 2, (2, 60)), measure=f"m{i}", compared=i != 2, fault=i == 1) for i in range(4)
    ]
    together = findings(all_of_them, **QUICK)
    for one, beside in zip(all_of_them, together, strict=True):
        alone = findings([one], **QUICK)[0]
        assert_same(alone.difference, beside.difference)
        assert alone.sides.map(vars) == beside.sides.map(vars) and alone.own == beside.own
        np.testing.assert_equal([alone.p, alone.tests * 3], [beside.p, beside.tests])
    assert [one.tests for one in together] == [3, 3, 0, 3]


def test_what_is_for_information_is_not_tested_and_costs_the_others_nothing():
    half = np.repeat([0.0, 1.0], 20)
    one, for_information = findings([measured(half, 0 * half), measured(half, 0 * half, compared=False)], **QUICK)
    assert for_information.verdict == "not measured" and for_information.tests == 0
    assert np.isnan([for_information.p, for_information.adjusted, for_information.needed]).all()
    assert_same(for_information.difference, one.difference)
    assert one.verdict == "lower" and one.tests == 1 and one.adjusted == one.p


def test_nothing_measured_gives_no_findings():
    assert findings([]) == ()


def test_what_was_not_measured_in_the_same_items_is_no_pair():
    for base, tuned in (([0, 1], [0]), ([[0.0]], [[1.0]]), ([math.inf], [0])):
        with pytest.raises(AssertionError):
            measured(base, tuned)


# Sides


@given(st.lists(numbers, max_size=14), units, margins)
@some
def test_a_model_does_not_differ_from_itself(values: list[float], unit: str, margin: float):
    one = found(values, values, unit=unit, margin=margin)
    if one.difference.count:
        assert one.difference.mean == 0 and one.verdict in ("no effect", "undecided")
    if one.difference.count > 1:
        assert one.difference.low == one.difference.high == 0 and one.p == one.adjusted == 1


@given(sides, units, margins, st.booleans())
@example(([1, 1, 1, 0, 0] * 2, [0, 0, 1, 0, 0] * 2), "share", 0.03, True)
@some
def test_swapped_sides_mirror_everything(values: tuple[list[float], list[float]], unit: str, margin: float, more: bool):
    base, tuned = (np.tile(side, 10 if more else 1) for side in values)
    kept = {"unit": unit, "margin": margin, "fault": True}
    one, other = found(base, tuned, **kept), found(tuned, base, **kept)
    np.testing.assert_equal([one.p, one.adjusted], [other.p, other.adjusted])
    assert one.needed == pytest.approx(other.needed, rel=1e-9, abs=1, nan_ok=True)
    assert one.own == other.own.swap()
    mirrored: dict[Verdict, Verdict] = {"higher": "lower", "lower": "higher"}
    assert one.verdict == mirrored.get(other.verdict, other.verdict)
    assert_same(one.sides.base, other.sides.tuned)
    assert_same(one.sides.tuned, other.sides.base)
    turned = Estimate(-other.difference.mean, -other.difference.high, -other.difference.low, other.difference.count)
    assert_same(one.difference, turned)


def assert_same(one: Estimate, other: Estimate) -> None:
    np.testing.assert_allclose([*vars(one).values()], [*vars(other).values()], atol=1e-9, equal_nan=True)


# Tests and their correction

ps = st.floats(0, 1) | st.sampled_from([0.01, 0.02, 0.05, math.nan])


@given(st.lists(ps, max_size=7))
def test_holm_is_the_closed_test(p: list[float]):
    adjusted = statistics.holm(np.array(p))
    np.testing.assert_array_equal(adjusted, oracles.holm(p))
    known = ~np.isnan(p)
    assert (adjusted[known] >= np.array(p)[known]).all() and (adjusted[known] <= 1).all()
    order = np.argsort(np.array(p)[known], kind="stable")
    assert (np.diff(adjusted[known][order]) >= 0).all(), "what was smaller stays no larger"


def test_holm_of_the_textbook():
    np.testing.assert_allclose(statistics.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


changes = st.sampled_from([-1.0, 0.0, 0.0, 1.0]) | st.floats(-1, 1, width=16)


@given(st.lists(changes, min_size=2, max_size=9))
@settings(max_examples=60)
def test_all_patterns_of_signs_of_few_items_are_what_scipy_tries(changes: list[float]):
    assert statistics.sign_flips(np.array(changes)) == pytest.approx(oracles.sign_flips(np.array(changes), 9_999))


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_random_patterns_of_signs_of_many_items_say_what_scipy_says(shift: float):
    values = np.random.default_rng(5).normal(shift, 1, size=60)
    ours, theirs = statistics.sign_flips(values), oracles.sign_flips(values, 4_999)
    error = math.sqrt(theirs * (1 - theirs) * (1 / 9_999 + 2 / 4_999))  # theirs is twice the smaller tail
    assert ours == pytest.approx(theirs, abs=4 * error + 2 / 5_000)


def test_what_no_random_pattern_reaches_is_as_rare_as_one_more_pattern_and_never_impossible():
    assert statistics.sign_flips(np.full(60, 0.1), flips=999) == 1 / 1000


def test_batches_of_patterns_make_up_the_patterns(monkeypatch: pytest.MonkeyPatch):
    values = np.random.default_rng(5).normal(0.2, 1, size=30)
    whole = statistics.sign_flips(values)
    monkeypatch.setattr(statistics, "BATCH", 30 * 700)
    assert statistics.sign_flips(values) == pytest.approx(whole, abs=0.02)


# Few items


@given(sides, units, margins)
@some
def test_no_effect_is_never_said_of_too_few(values: tuple[list[float], list[float]], unit: str, margin: float):
    one = found(*values, unit=unit, margin=margin, fault=True)
    least = math.ceil(-math.log(0.05) / margin) if unit == "share" else ENOUGH
    for verdict, estimate in [(one.verdict, one.difference), *one.own.zip(one.sides).sides]:
        if verdict == "no effect":
            assert estimate.count >= least and -margin < estimate.low and estimate.high < margin
        if verdict in ("higher", "lower"):
            assert estimate.count >= FEW
            assert estimate.low > 0 if verdict == "higher" else estimate.high < 0
            assert not (-margin < estimate.low and estimate.high < margin)
    assert one.verdict not in ("higher", "lower") or one.adjusted <= LEVEL


@pytest.mark.parametrize(("margin", "least"), [(0.03, 100), (0.1, 30), (0.15, 20), (0.5, 6)])
def test_of_items_that_all_agree_the_rule_of_three_says_how_many_it_takes(margin: float, least: int):
    few, enough = (found([0] * n, [0] * n, margin=margin, fault=True) for n in (least - 1, least))
    assert few.verdict == "undecided" and few.needed == least and few.own == Pair("undecided", "undecided")
    assert enough.verdict == "no effect" and math.isnan(enough.needed) and enough.own == Pair("no effect", "no effect")


def test_other_units_take_twenty_items():
    for count, verdict in ((ENOUGH - 1, "undecided"), (ENOUGH, "no effect")):
        same = np.linspace(0, 0.01, count)
        one = found(same, same[::-1], unit="nats", fault=True)
        assert (one.verdict, one.own) == (verdict, Pair(verdict, verdict))


def test_faults_in_every_item_are_undecided_until_there_are_five():
    verdicts = [found([0] * n, [1] * n, fault=True).own.tuned for n in range(8)]
    assert verdicts == ["not measured", *["undecided"] * (FEW - 1), *["higher"] * (8 - FEW)]
    assert [found([0] * n, [-1] * n, fault=True).own.tuned for n in (FEW - 1, FEW)] == ["undecided", "lower"]


def test_a_difference_in_every_item_is_one_from_six_items_on():
    """Of five items one of 32 patterns of signs, on either side, is all alike: p = 0.06."""
    assert [found([0] * n, [1] * n).verdict for n in (1, 2, 5, 6)] == ["undecided"] * 3 + ["higher"]


@pytest.mark.slow
def test_a_difference_that_is_sure_but_too_small_to_matter_is_no_effect():
    generator = np.random.default_rng(0)
    base = generator.normal(0, 1, size=200)
    one = found(base, base + generator.normal(0.01, 0.01, size=200), unit="nats")
    assert one.adjusted <= 0.01 and one.difference.low > 0 and one.verdict == "no effect"
    assert found(base, base + generator.normal(0.1, 0.01, size=200), unit="nats").verdict == "higher"


# How many would decide it

z = norm.ppf


@pytest.mark.parametrize("tests", [1, 5])
def test_a_difference_takes_what_a_z_test_takes(tests: int):
    values = np.tile([1.0, 0, 0, 0, 0, 1, -1, 0, 0, 0], 4)  # mean 0.1, beyond the margin
    wanted = ((z(1 - LEVEL / tests / 2) + z(0.8)) * values.std(ddof=1) / 0.1) ** 2
    assert statistics.needed(values, MARGIN, "share", tests) == math.ceil(wanted)


@pytest.mark.parametrize("unit", ["share", "nats"])
@pytest.mark.parametrize("count", [100, 200])
def test_no_effect_takes_an_interval_narrower_than_the_room_around_the_mean(unit: str, count: int):
    values = np.tile([0.5, -0.5], count // 2) + 0.005
    wanted = ((z(0.975) + z(0.9)) * values.std(ddof=1) / (MARGIN - 0.005)) ** 2
    assert statistics.needed(values, MARGIN, unit) == math.ceil(wanted)


@given(st.lists(changes, max_size=30), units, margins, st.integers(1, 20))
def test_more_are_needed_than_there_are(changes: list[float], unit: str, margin: float, tests: int):
    number = statistics.needed(np.array(changes), margin, unit, tests)
    if len(changes) < 2:
        assert math.isnan(number)
    else:
        assert number == int(number) >= len(changes) + 1
        assert number == statistics.needed(-np.array(changes), margin, unit, tests)
        assert number <= statistics.needed(np.array(changes), margin, unit, tests + 1)


@given(sides, margins)
@some
def test_a_finding_of_one_measure_is_that_of_its_differences(values: Any, margin: float):
    one = measured(*values, margin=margin)
    if len(one.differences) > 1:
        one_alone = findings([one])[0]
        assert one_alone.p == statistics.sign_flips(one.differences)
        assert one_alone.verdict == statistics.compared(one, one.differences, one_alone.difference, one_alone.p)


@given(sides, margins)
@some
def test_a_number_is_given_for_what_is_undecided_and_for_nothing_else(values: Any, margin: float):
    one = found(*values, margin=margin)
    assert math.isfinite(one.needed) == (one.verdict == "undecided" and one.difference.count > 1)


# How often verdicts are right: simulations and sums over all that can happen


def answers(generator: np.random.Generator, items: int, gap: float, lost: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """(item,) right (1.0) or wrong (0.0) of a base that is right in 60 % and of a tuned model that loses a tenth of that and is right in `gap` more."""
    base = generator.random(items) < 0.6
    gained = (gap + 0.6 * lost) / 0.4
    tuned = np.where(base, generator.random(items) >= lost, generator.random(items) < gained)
    return base.astype(np.float64), tuned.astype(np.float64)


def spread(gap: float, lost: float = 0.1) -> float:
    """Standard deviation of the difference of one item of `answers`."""
    return math.sqrt(gap + 2 * 0.6 * lost - gap**2)


def mcnemar_power(items: int, gap: float, lost: float = 0.1) -> float:
    """Chance that the exact test of McNemar (1947), which flipping the signs of -1, 0 and 1 amounts to, finds `gap` in `answers`."""
    down, up = 0.6 * lost, gap + 0.6 * lost
    power = 0.0
    for changed in range(1, items + 1):
        ups = np.arange(changed // 2 + 1, changed + 1)
        rejected = 2 * binom.sf(ups - 1, changed, 0.5) <= LEVEL
        power += binom.pmf(changed, items, up + down) * binom.pmf(ups, changed, up / (up + down))[rejected].sum()
    return float(power)


def error(share: float, simulations: int) -> float:
    """Three standard errors of a share of simulations."""
    return 3 * math.sqrt(share * (1 - share) / simulations)


def verdict(differences: np.ndarray, unit: str = "share") -> Verdict:
    """What `findings` say of these differences tested alone, without the estimates of the sides."""
    p = statistics.sign_flips(differences, flips=QUICK["flips"])
    one = measured(0 * differences, differences, unit=unit)
    return statistics.compared(one, differences, statistics.estimate(differences, QUICK["resamples"]), p)


def halves(generator: np.random.Generator, items: int) -> np.ndarray:
    """(half, item) of one binary population."""
    return generator.permutation(np.arange(2 * items) < 0.6 * items).reshape(2, items).astype(np.float64)


@pytest.mark.slow
def test_halves_of_one_group_differ_no_more_often_than_the_level():
    generator, simulations = np.random.default_rng(11), 400
    verdicts = [verdict(np.subtract(*halves(generator, 100))) for _ in range(simulations)]
    alarms = np.mean([one in ("higher", "lower") for one in verdicts])
    assert 0 < alarms <= LEVEL + error(LEVEL, simulations)


@pytest.mark.slow
def test_one_false_alarm_among_five_measures_is_no_more_frequent_than_the_level():
    generator, simulations = np.random.default_rng(12), 200
    alarms = raw = 0
    for _ in range(simulations):
        five = [measured(*halves(generator, 100), measure=f"m{i}") for i in range(5)]
        if any(statistics.sign_flips(one.differences, flips=QUICK["flips"]) <= LEVEL for one in five):
            raw += 1  # only then can there be an alarm, as a law above says
            alarms += any(one.verdict in ("higher", "lower") for one in findings(five, **QUICK))
    assert 0 < alarms / simulations <= LEVEL + error(LEVEL, simulations)
    assert raw / simulations > 2 * LEVEL, "without the correction there would be too many"


@pytest.mark.slow
def test_planted_gaps_are_found_as_often_as_theory_says():
    generator, simulations = np.random.default_rng(13), 200
    power = {}
    for items in (200, 400):
        for gap in (0.05, 0.1, 0.2):
            verdicts = [verdict(np.subtract(*answers(generator, items, gap)[::-1])) for _ in range(simulations)]
            power[items, gap] = np.mean([one == "higher" for one in verdicts])
            exact, by_z = mcnemar_power(items, gap), norm.cdf(gap * math.sqrt(items) / spread(gap) - z(1 - LEVEL / 2))
            assert power[items, gap] == pytest.approx(exact, abs=error(exact, simulations) + 1e-3), (items, gap)
            assert by_z - 0.1 < exact < by_z, "whole items make the exact test a little more careful"
    assert power[400, 0.2] > 0.95
    for gap in (0.05, 0.1, 0.2):
        assert power[200, gap] <= power[400, gap]
    for items in (200, 400):
        assert power[items, 0.05] < power[items, 0.1] <= power[items, 0.2]


WORLDS = {
    "a large gap": (np.repeat([1.0, -1.0, 0.0], [13, 3, 34]), "share", "higher"),
    "a gap": (np.repeat([1.0, -1.0, 0.0], [8, 3, 39]), "share", "higher"),
    "a small gap": (np.repeat([-1.0, 1.0, 0.0], [5, 2, 43]), "share", "lower"),
    "as many lost as gained": (np.repeat([1.0, -1.0, 0.0], [3, 3, 94]), "share", "no effect"),
    "slightly more gained than lost": (np.repeat([1.0, -1.0, 0.0], [3, 2, 95]), "share", "no effect"),
    "probabilities that move a little": (norm.ppf(np.arange(1, 40) / 40) * 0.08, "share", "no effect"),
    "nats that move": (norm.ppf(np.arange(1, 40) / 40) * 0.1 + 0.005, "nats", "no effect"),
}


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_as_many_items_as_are_said_to_be_needed_decide_it(world: str):
    """The items are like all there are; that many are drawn again."""
    like_all, unit, outcome = WORLDS[world]
    number = statistics.needed(like_all, MARGIN, unit)
    assert number > len(like_all) + 1, "what decides is the formula, not one more than were tried"
    generator = np.random.default_rng(14)
    draws = generator.choice(like_all, (100, int(number)))
    assert 0.65 <= np.mean([verdict(draw, unit) == outcome for draw in draws]) <= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("items", [100, 150, 190])
def test_no_effect_is_rarely_said_of_a_change_as_large_as_the_margin(items: int):
    """Summed over all that can happen, not simulated: each item changes with the probability that the margin is, in one direction.

    Of 190 items the bootstrap's ends alone lie inside the margin with up to two changes, which so many show in 7 of 100 samples.
    """
    counts = range(items // 10)
    claimed = [found([0] * items, [1] * count + [0] * (items - count)).verdict == "no effect" for count in counts]
    assert sum(binom.pmf(counts, items, MARGIN)[claimed]) <= LEVEL
    assert claimed[0]


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "items"), [("share", 190), ("share", 800), ("nats", 100)])
def test_no_effect_is_rarely_said_where_the_gap_is_the_margin_and_other_changes_hide_it(unit: str, items: int):
    generator, simulations = np.random.default_rng(15), 200
    size = (simulations, items)
    draws = generator.choice([1.0, -1.0, 0.0], size, p=[0.04, 0.01, 0.95]) if unit == "share" else generator.normal(MARGIN, 0.1, size)  # fmt: skip
    assert np.mean([verdict(draw, unit) == "no effect" for draw in draws]) <= LEVEL + error(LEVEL, simulations)


@pytest.mark.slow
@pytest.mark.parametrize("items", [5, 15, 30, 40, 100])
def test_a_model_as_innocent_as_the_margin_allows_is_rarely_found_at_fault(items: int):
    """Summed likewise. Of 15 items the bootstrap's lower end alone is above the margin with two faults, as in 7 of 100 samples."""
    counts = range(min(items, 12) + 1)
    verdicts = [found([0] * items, [1] * count + [0] * (items - count), fault=True).own.tuned for count in counts]
    at_fault = [one == "higher" for one in verdicts]
    assert sum(binom.pmf(counts, items, MARGIN)[at_fault]) + binom.sf(counts[-1], items, MARGIN) <= LEVEL
    assert at_fault[-1]


# What is said


def finding(**changes: Any) -> Finding:
    given = {
        "measure": "right",
        "says": "right answers, as written",
        "unit": "share",
        "better": "higher",
        "fault": False,
        "sides": Pair(Estimate(0.5, 0.45, 0.55, 400), Estimate(0.62, 0.57, 0.67, 400)),
        "difference": Estimate(0.12, 0.0701, 0.17, 400),
        "p": 0.002,
        "adjusted": 0.01,
        "tests": 5,
        "margin": 0.03,
        "verdict": "higher",
        "own": Pair("not measured", "not measured"),
        "needed": math.nan,
    }
    return Finding(**given | changes)


NONE = Estimate(math.nan, math.nan, math.nan, 0)
ONE = Estimate(0.25, math.nan, math.nan, 1)
DOWN = Estimate(-0.12, -0.17, -0.07, 400)
AROUND = Estimate(0.004, -0.01, 0.02, 400)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "Right answers, as written: tuned 62.0 %, base 50.0 %. Tuned is higher (better): the difference is +12.0 [+7.0, +17.0] percentage points over 400 items (p = 0.01 after correction for 5 tests).",
        ),
        (
            {"verdict": "lower", "difference": DOWN, "tests": 1, "adjusted": 0.0002, "sides": finding().sides.swap()},
            "Right answers, as written: tuned 50.0 %, base 62.0 %. Tuned is lower (worse): the difference is -12.0 [-17.0, -7.0] percentage points over 400 items (p < 0.001).",
        ),
        (
            {"better": "neither", "unit": "nats", "sides": Pair(Estimate(1, 0.9, 1.1, 450), Estimate(1.12, 1, 1.2, 430))},
            "Right answers, as written: tuned 1.120 nats, base 1.000 nats. Tuned is higher: the difference is +0.120 [+0.070, +0.170] nats over 400 items with a number on both sides (p = 0.01 after correction for 5 tests).",
        ),
        (
            {"verdict": "no effect", "difference": AROUND},
            "Right answers, as written: tuned 62.0 %, base 50.0 %. No effect that matters: the difference is +0.4 [-1.0, +2.0] percentage points over 400 items, surely inside ±3 percentage points.",
        ),
        (
            {"verdict": "no effect", "difference": Estimate(0.0, 0.0, 0.0, 400), "unit": "nats", "margin": 0.005},
            "Right answers, as written: tuned 0.620 nats, base 0.500 nats. No effect that matters: the difference is 0.000 nats in each of 400 items, surely inside ±0.005 nats.",
        ),
        (
            {"verdict": "undecided", "difference": AROUND, "adjusted": 1.0, "needed": 12_341.0},
            "Right answers, as written: tuned 62.0 %, base 50.0 %. Undecided: the difference is +0.4 [-1.0, +2.0] percentage points over 400 items (p = 1 after correction for 5 tests); about 13,000 items like these would probably decide it.",
        ),
        (
            {"verdict": "undecided", "difference": ONE, "sides": Pair(ONE, ONE), "adjusted": math.nan},
            "Right answers, as written: tuned 25.0 %, base 25.0 %. Undecided: the difference is +25.0 percentage points over 1 item.",
        ),
        (
            {"verdict": "not measured", "adjusted": math.nan},
            "Right answers, as written: tuned 62.0 [57.0, 67.0] %, base 50.0 [45.0, 55.0] %, over 400 items; whether they differ was not tested.",
        ),
        (
            {"verdict": "not measured", "sides": Pair(NONE, ONE), "difference": NONE},
            "Right answers, as written: tuned 25.0 %; no item has a number on both sides, so they cannot be compared.",
        ),
        (
            {"verdict": "not measured", "sides": Pair(NONE, NONE), "difference": NONE, "fault": True},
            "Right answers, as written: not measured.",
        ),
        (
            {"fault": True, "better": "lower", "own": Pair("undecided", "higher")},
            "Right answers, as written: tuned 62.0 %, base 50.0 %. Tuned is higher (worse): the difference is +12.0 [+7.0, +17.0] percentage points over 400 items (p = 0.01 after correction for 5 tests). By itself, tuned is at fault, and base is undecided.",
        ),
        (
            {"fault": True, "verdict": "no effect", "difference": AROUND, "own": Pair("no effect", "no effect")},
            "Right answers, as written: tuned 62.0 %, base 50.0 %. No effect that matters: the difference is +0.4 [-1.0, +2.0] percentage points over 400 items, surely inside ±3 percentage points. By themselves, both are cleared.",
        ),
    ],
)  # fmt: skip
def test_a_finding_says(changes: dict[str, Any], said: str):
    assert finding(**changes).said() == said


@given(sides, units, st.booleans(), st.booleans())
@some
def test_no_finding_says_nan(values: Any, unit: str, fault: bool, compared: bool):
    one = found(*values, unit=unit, fault=fault, compared=compared)
    said = one.said()
    assert "nan" not in said and "inf" not in said and "-0.0 " not in said and said.endswith(".")
    assert one.verdict in get_args(Verdict)
    if one.verdict == "undecided" and one.difference.count > 1:
        assert "Undecided" in said and "items like these would probably decide it" in said


@given(st.floats(2, 1e9))
def test_how_many_are_needed_is_said_with_two_digits_and_never_as_fewer(number: float):
    said = finding(verdict="undecided", needed=number).said()
    told = int(said.partition("; about ")[2].partition(" items")[0].replace(",", ""))
    assert number <= told <= number * 1.11 + 1 and len(str(told).rstrip("0")) <= 2
