"""Calibration: closed forms and a slow twin of the error, simulated models that are perfectly calibrated, and choices as other probes read them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model_utils.contracts.calibration import Calibration, CalibrationRequest
from model_utils.contracts.probe import ProbeItem
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.intervals import wilson
from model_utils.pair import SIDES, Pair
from model_utils.probes.calibration import BINS, calibration, compare, concluded, error_finding, reliability
from model_utils.probes.statistics import holm, needed_by_spread
from model_utils.reporting import Report
from tests.models import loaded, run, stopped_and_gone_on, without_seconds

ITEMS = (
    ProbeItem(instruction="Which is larger?", options=("12", "7"), answer="12"),
    ProbeItem(instruction="Say 漢字 or 🎉.", options=("漢字", "🎉", "none"), answer="🎉"),
    ProbeItem(instruction="Is ice warm?", options=("yes", "no"), answer="no"),
)


def twin(confidence: list[float], right: list[int]) -> float:
    """Slowly, bin by bin."""
    pairs = sorted(zip(confidence, right, strict=True), key=lambda one: one[0])
    count, total = len(pairs), 0.0
    bins = min(BINS, count)
    edges = [round(count * place / bins) for place in range(bins + 1)]
    for start, stop in pairwise(edges):
        mine = pairs[start:stop]
        total += abs(sum(one for one, _ in mine) - sum(one for _, one in mine))
    return total / count


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=80, unique_by=lambda one: one[0]))
def test_the_error_is_that_of_the_bins_one_by_one(pairs: list[tuple[float, int]]):
    confidence, right = zip(*pairs, strict=True)
    found = reliability(np.array(confidence), np.array(right, dtype=float))
    assert found.error == pytest.approx(twin(list(confidence), list(right)), abs=1e-9)
    assert found.count.sum() == len(pairs) and np.ptp(found.count) <= 1
    assert np.average(found.accuracy, weights=found.count) == pytest.approx(np.mean(right))
    assert ((found.low <= found.accuracy + 1e-9) & (found.accuracy <= found.high + 1e-9)).all()
    assert (np.diff(found.confidence) >= -1e-12).all()


def test_closed_forms():
    sure, right = np.ones(40), np.ones(40)
    assert reliability(sure, right).error == 0 == reliability(sure, right).by_chance
    assert reliability(sure, 1 - right).error == 1
    assert reliability(np.full(300, 0.7), np.tile([1.0] * 7 + [0.0] * 3, 30)).error == pytest.approx(0, abs=0.08)
    nothing = reliability(np.zeros(0), np.zeros(0))
    assert np.isnan(nothing.error) and np.isnan(nothing.by_chance) and not len(nothing.count)


def test_a_perfectly_calibrated_model_errs_as_much_as_chance_makes_it():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.3, 1, 600)
    errors = [reliability(confidence, (rng.random(600) < confidence).astype(float)).error for _ in range(60)]
    expected = reliability(confidence, confidence > 0.5).by_chance
    assert np.mean(errors) == pytest.approx(expected, abs=4 * np.std(errors) / np.sqrt(60))
    assert reliability(np.tile(confidence, 4), np.ones(2_400)).by_chance < 0.6 * expected, "more items, less chance"
    assert reliability(confidence, (rng.random(600) < confidence**2).astype(float)).error > 2 * expected


@pytest.mark.parametrize(("right", "count"), [(0, 7), (3, 7), (7, 7), (60, 90)])
def test_intervals_are_those_of_scipy(right: int, count: int):
    from scipy.stats import binomtest

    low, high = wilson(np.array([right / count]), np.array([count]))
    expected = binomtest(right, count).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-6)


Side = tuple[np.ndarray, np.ndarray]
"""(confidence, right)"""


def of(base: Side, tuned: Side) -> Calibration:
    """Of (confidence, right) of each side, without findings."""
    count = len(base[0])
    nothing, option = (
        Pair(np.full(count, np.nan), np.full(count, np.nan)),
        Pair(*(np.zeros(count, dtype=np.int64),) * 2),
    )
    return Calibration(
        models=Pair(None, None),  # type: ignore[arg-type]
        chosen=option, confidence=Pair(base[0], tuned[0]), right=Pair(base[1], tuned[1]), of_right=nothing, mass=nothing,
        options=(("a", "b"),) * count, questions=("?",) * count, answers=(0,) * count, refused=(), findings=(), reliability=None,
    )  # fmt: skip


def made(base: Side, tuned: Side) -> Calibration:
    """With findings."""
    return concluded(of(base, tuned), 0.03)


def drawn(rng: np.random.Generator, count: int, sharpen: float = 1.0) -> Side:
    """Of a model that says p where it is right with p ** sharpen."""
    return answered(rng, rng.uniform(0.4, 1, count), lambda sure: sure**sharpen)


def answered(rng: np.random.Generator, confidence: np.ndarray, truth: Callable[[np.ndarray], np.ndarray]) -> Side:
    return confidence, (rng.random(len(confidence)) < truth(confidence)).astype(float)


def sharp(rng: np.random.Generator, count: int) -> np.ndarray:
    """Confidences of a model that is nearly sure of everything."""
    return np.clip(rng.normal(0.98, 0.01, count), 0.5, 1)


def soft(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.uniform(0.5, 0.75, count)


def wide(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.uniform(0.4, 1, count)


def same(sure: np.ndarray) -> np.ndarray:
    return sure


def less(sure: np.ndarray) -> np.ndarray:
    """Right in 15 of 100 fewer than it says."""
    return sure - 0.15


def cube(sure: np.ndarray) -> np.ndarray:
    return sure**3


Confidences = Callable[[np.random.Generator, int], np.ndarray]
Truth = Callable[[np.ndarray], np.ndarray]
ALIKE: dict[str, tuple[Confidences, Confidences, Truth]] = {
    "calibrated": (wide, wide, same),
    "calibrated, one sharper": (sharp, soft, same),
    "as overconfident": (wide, wide, cube),
    "as overconfident, one sharper": (sharp, soft, less),
}
TRIES = {45: 120, 150: 60, 400: 30}


def called_different(tries: int, items: int, models: tuple[Confidences, Confidences, Truth, Truth]) -> float:
    """Share of pairs of models that are called different by this test alone, uncorrected."""
    rng, found = np.random.default_rng(11), 0
    for _ in range(tries):
        base, tuned, of_base, of_tuned = models
        pair = of(answered(rng, base(rng, items), of_base), answered(rng, tuned(rng, items), of_tuned))
        seen = compare(pair, 0)
        found += error_finding(seen, seen.p, 0.03, 1).verdict in ("higher", "lower")
    return found / tries


@pytest.fixture
def fewer_resamples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("model_utils.probes.calibration.RESAMPLES", 200)
    monkeypatch.setattr("model_utils.probes.calibration.SIMULATED", 200)


@pytest.mark.slow
@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("items", TRIES)
@pytest.mark.parametrize("how", ALIKE)
def test_models_that_are_calibrated_alike_are_found_different_no_oftener_than_chance_allows(how: str, items: int):
    base, tuned, truth = ALIKE[how]
    tries = TRIES[items]
    assert called_different(tries, items, (base, tuned, truth, truth)) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / tries)


@pytest.mark.slow
@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("models", [(wide, wide, same, cube), (sharp, soft, same, lambda sure: sure - 0.2)])
def test_a_model_that_is_calibrated_worse_is_found(models: tuple[Confidences, Confidences, Truth, Truth]):
    assert called_different(30, 400, models) >= 0.8


def test_fewer_than_twenty_items_decide_nothing_and_say_so():
    sure = np.full(19, 0.99)
    error = made((sure, np.ones(19)), (sure, np.zeros(19))).findings[0]
    assert error.difference.mean > 0.9 and error.verdict == "undecided" and error.needed == 20
    assert np.isnan(made((sure[:1], np.ones(1)), (sure[:1], np.zeros(1))).findings[0].p)
    assert made((sure[:0], sure[:0]), (sure[:0], sure[:0])).findings[0].verdict == "not measured"


def test_items_that_are_all_right_do_not_make_a_model_surely_better():
    """Both are perfectly calibrated models of 20 items: being right in all of them is nothing rare."""
    right = np.ones(20)
    for base, tuned in itertools.permutations((0.98, 0.94), 2):
        assert made((np.full(20, base), right), (np.full(20, tuned), right)).findings[0].verdict == "undecided"


@pytest.mark.parametrize(("items", "verdict"), [(22, "undecided"), (48, "undecided"), (99, "undecided"), (100, "no effect")])  # fmt: skip
def test_items_that_all_agree_clear_nobody_before_a_share_could_be_cleared(items: int, verdict: str):
    """Resamples of items that are all right know of no wrong answer that was not met: one in ten is missed by 22 items every tenth time."""
    right, rng = np.ones(items), np.random.default_rng(0)
    error, *rest = made((rng.uniform(0.995, 0.9999, items), right), (rng.uniform(0.995, 0.9999, items), right)).findings
    assert error.verdict == verdict and {one.verdict for one in rest if one.measure == "right"} == {verdict}
    assert np.isnan(error.needed) if verdict == "no effect" else error.needed == 100


def test_all_four_are_corrected_together_and_the_error_is_beyond_chance():
    rng = np.random.default_rng(8)
    result = made(drawn(rng, 120), drawn(rng, 120, 1.6))
    p = np.array([one.p for one in result.findings])
    assert [one.adjusted for one in result.findings] == pytest.approx(holm(p).tolist())
    assert {one.tests for one in result.findings} == {4}
    assert result.reliability is not None
    for side, curve in result.reliability.items():
        assert result.findings[0].sides[side].mean == pytest.approx(curve.error - curve.by_chance)


def test_a_model_that_says_too_much_is_found_and_sides_mirror():
    rng = np.random.default_rng(5)
    good, boasting = drawn(rng, 600), drawn(rng, 600, sharpen=4)
    result, mirrored = made(good, boasting), made(boasting, good)
    by = {one.measure: one for one in result.findings}
    assert by["calibration_error"].verdict == "higher" and by["overconfidence"].at_fault("tuned")
    assert not by["overconfidence"].at_fault("base")
    assert {"higher": "lower"}[by["calibration_error"].verdict] == mirrored.findings[0].verdict
    for one, other in zip(result.findings, mirrored.findings, strict=True):
        assert one.difference.mean == pytest.approx(-other.difference.mean)
    assert all(one.difference.mean == 0 for one in made(good, good).findings)
    assert made(good, good).findings[0].verdict == "no effect"


def test_an_undecided_error_says_how_many_items_would_decide_it():
    rng, verdicts = np.random.default_rng(3), set()
    for sharpen in (1.3, 1.8, 4.0):
        few = made(drawn(rng, 80), drawn(rng, 80, sharpen)).findings[0]
        verdicts.add(few.verdict)
        assert few.needed > 80 if few.verdict == "undecided" else np.isnan(few.needed)
    assert verdicts == {"undecided", "higher"}
    decided = made(drawn(rng, 1_000), drawn(rng, 1_000, 3.0)).findings[0]
    assert decided.verdict == "higher" and np.isnan(decided.needed)


@pytest.mark.parametrize(("mean", "tests"), [(0.06, 1), (0.06, 4), (-0.04, 4), (0.01, 1), (0.0, 1)])
def test_so_many_items_decide_with_the_power_that_is_promised(mean: float, tests: int):
    """Of an estimate that scatters normally around `mean`, with a spread of 0.04 over 100 items."""
    count = needed_by_spread(mean, 0.04, 0.03, 100, tests)
    scatter = 0.04 * np.sqrt(100 / count)
    seen = np.random.default_rng(0).normal(mean, scatter, 20_000)
    critical = NormalDist().inv_cdf(1 - 0.05 / tests / 2)
    found = np.abs(seen) > critical * scatter
    cleared = np.abs(seen) + 1.96 * scatter < 0.03
    assert (found | cleared).mean() >= 0.79
    assert abs(mean) < 0.03 or found.mean() <= 0.85, "and not many more than it takes"


def test_what_is_confidently_wrong_comes_first():
    result = made((np.array([0.9, 0.5, 0.99, 0.7]), np.array([0.0, 0, 1, 0])), (np.ones(4), np.ones(4)))
    assert result.confidently_wrong("base").tolist() == [0, 3, 1] and not len(result.confidently_wrong("tuned"))


# --- on models --------------------------------------------------------------------------------------------------------


def asked(**fields: Any) -> CalibrationRequest:
    return CalibrationRequest(**{"items": ITEMS, **fields})


def test_choices_are_those_of_the_wording_as_written(tiny_pair: Pair[Path]):
    result = calibration(loaded(tiny_pair), asked(), Report())
    other = run("robustness", tiny_pair, RobustnessRequest(items=ITEMS, perturbations=(), sensitivity_items=0, attribution_items=0))  # fmt: skip
    for side in SIDES:
        assert result.chosen[side].tolist() == other.chosen[side][:, 0].tolist()
        assert result.right[side].tolist() == other.right[side][:, 0].tolist()
        np.testing.assert_allclose(result.of_right[side], other.probability[side][:, 0], rtol=1e-4)
        np.testing.assert_allclose(result.mass[side], other.mass[side][:, 0], rtol=1e-4)
        assert (result.confidence[side] >= result.of_right[side] - 1e-9).all()
    assert len(result.table()) == 3 and result.table()["answer"].tolist() == ["12", "🎉", "no"]


def test_an_item_without_room_is_refused_and_a_stopped_run_goes_on(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    pair = loaded(tiny_pair)
    long = ProbeItem(instruction="word " * pair.tuned.facts.context, options=("a", "b"), answer="a")
    request = asked(items=(ITEMS[0], long, ITEMS[1]))
    former, again, whole = stopped_and_gone_on(lambda report: calibration(pair, request, report), 2, monkeypatch)
    assert [number for number, _ in whole.refused] == [1] and whole.chosen.base[1] == -1 and np.isnan(whole.right.base[1])  # fmt: skip

    assert former.done == 2 and former.reliability is None and without_seconds(again) == without_seconds(whole)


def test_unknown_answers_are_one_sentence():
    with pytest.raises(ValidationError, match=re.escape("1 of 2 items have no options or no right answer (the first is item 2)")):  # fmt: skip
        asked(items=(ITEMS[0], ProbeItem(instruction="a", options=("b", "c"))))
