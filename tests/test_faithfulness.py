"""Faithfulness: closed forms on functions whose answer is known, the laws of curves and orders, and no praise for random scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from model_utils import codec, faithfulness
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import ask
from model_utils.contracts.faithfulness import ORDERS, POINTS, SHARES, Faithfulness, FaithfulnessRequest, Judged
from model_utils.errors import Refused
from model_utils.faithfulness import Texts
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests.induction import induction_gpt2
from tests.models import run
from tests.test_removal import Known, additive

TEXT = "Name 漢字 three 🎉 e\u0301 animals, or four."
SHARED = {"messages": ask(TEXT), "answer_ids": (20, 30, 40), "quantity": "log-probability"}

COUNTS = faithfulness.counts_of(100)


def judged(whole: float, deletion: list[float], random: np.ndarray) -> Judged:
    """Curves whose points of `SHARES` are all alike."""
    flat = lambda values: np.repeat(np.atleast_1d(values)[..., None], 1 + len(POINTS), axis=-1)  # noqa: E731
    return Judged(COUNTS, whole, flat(deletion)[0], flat(deletion)[0], flat(random), flat(random), None, None)


def test_the_verdict_counts_random_orders_that_do_as_well():
    random = np.linspace(-1, 0, 100)  # comprehensiveness 0 to 1 of a text worth 0
    for mine, as_good in ((-2.0, 0), (-1.0, 1), (random[4], 5), (random[3], 4), (1.0, 100)):
        one = judged(0.0, [mine], random)
        assert one.p == pytest.approx((1 + as_good) / 101)
        assert one.better_than_chance == (one.p <= 0.05) == (as_good <= 4)
        assert one.percentile == 100 - as_good
    assert judged(0.0, [1.0], random).verdict() == "no better than random: do not read this map"


def test_of_very_few_parts_nothing_can_be_told():
    """A random order takes the same parts as the scores, at every share, with this probability."""
    for parts, twins in ((1, 1), (2, 1 / 2), (3, 1 / 6), (4, 1 / 12), (5, 1 / 20), (6, 1 / 60), (40, 0.0)):
        counts = faithfulness.counts_of(parts)
        assert faithfulness._twins(counts) == pytest.approx(twins, abs=1e-6)
        orders = {tuple(frozenset(order[:count]) for count in counts[1:6]) for order in itertools.permutations(range(parts))} if parts < 7 else ()  # fmt: skip
        assert not orders or len(orders) == round(1 / twins)
        one = replace(judged(0.0, [-2.0], np.linspace(-1, 0, 100)), twins=faithfulness._twins(counts))
        assert one.tells == (parts > 5) and not one.fails
        assert one.tells or "too few parts to tell" in one.verdict()


def test_there_is_no_verdict_before_every_order_is_measured():
    random = np.linspace(-1, 0, 100)
    random[60:] = np.nan
    one = judged(0.0, [1.0], random)
    assert not one.finished and not one.fails and one.verdict() == "being measured"
    assert judged(0.0, [1.0], np.linspace(-1, 0, 100)).fails


def test_comprehensiveness_and_sufficiency_are_means_over_their_shares():
    curve = np.array([5.0, 4, 3, 2, 1, 0, -7, -9])
    nothing = np.full((3, len(curve)), np.nan)
    one = Judged(COUNTS, 5.0, curve, curve + 1, nothing, nothing, None, None)
    assert one.comprehensiveness == 5 - np.mean(curve[1:6]) and one.sufficiency == one.comprehensiveness - 1
    assert len(one.random_comprehensiveness) == 0 and one.p == 1, "nothing was measured yet"


def test_areas_of_a_sum_and_their_limits():
    """METRICS' closed form: weights (0.4, 0.3, -0.1, 0.2) have areas from 0.30 to 0.70, 0.5 on average."""
    known = Known(4, additive(0.4, 0.3, -0.1, 0.2))
    areas, texts = {}, Texts(known, Report())
    for order in itertools.permutations(known.open):
        limits, areas[order] = faithfulness._limits(texts, np.array(order))
        assert limits == pytest.approx((0.3, 0.7))
    assert known.reads == 16, "each subset is read once"
    assert max(areas.values()) == pytest.approx(limits[1]) == pytest.approx(areas[1, 2, 4, 3])
    assert min(areas.values()) == pytest.approx(limits[0]) == pytest.approx(areas[3, 4, 2, 1])
    assert np.mean(list(areas.values())) == pytest.approx(0.5)
    one = replace(judged(0, [0], np.zeros(1)), limits=limits, area=areas[1, 2, 4, 3])
    assert one.normalised_area == pytest.approx(1)
    assert replace(one, area=areas[3, 4, 2, 1]).normalised_area == pytest.approx(0)
    assert replace(one, limits=(0.0, 0.0)).normalised_area is None


def test_curves_of_a_sum_take_the_first_parts_away_and_keep_them():
    weights = np.array([0.4, 0.3, -0.1, 0.2, 1.0])
    known, counts = Known(5, additive(*weights)), faithfulness.counts_of(5)
    order = np.array([5, 1, 2, 4, 3])
    deletion, insertion = faithfulness._curves(Texts(known, Report()), order[None], counts)
    for point, count in enumerate(counts):
        gone = weights[order[:count] - 1].sum()
        assert deletion[0, point] == pytest.approx(weights.sum() - gone)
        assert insertion[0, point] == pytest.approx(gone)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100, 999])
def test_each_point_takes_its_share_of_the_parts_and_at_least_one(parts: int):
    counts = faithfulness.counts_of(parts)
    assert counts[0] == 0 and counts[-1] == parts and (np.diff(counts) >= 0).all()
    assert (counts[1:] == [max(1, round(share * parts)) for share in POINTS]).all() and len(SHARES) == 5


def asked(scores: Callable[[int], np.ndarray], tiny_pair: Pair[Path], **fields) -> FaithfulnessRequest:
    """A request with as many scores as the text has parts."""
    shared = {**SHARED, "granularity": "word", **fields}
    texts = run("attribution", tiny_pair, AttributionRequest(**shared, method="gradient norm")).texts
    made = tuple(scores(len(texts.tuned.open)).tolist())
    return FaithfulnessRequest(**shared, scores=Pair(made, made))


def test_a_model_against_itself_and_swapped_sides(tiny_pair: Pair[Path]):
    request = asked(np.arange, tiny_pair)
    plain = asked(np.arange, Pair(tiny_pair.base, tiny_pair.base), format="plain")
    same: Faithfulness = run("faithfulness", Pair(tiny_pair.base, tiny_pair.base), plain)
    assert same.identical
    assert codec.encode(same.judged.base) == codec.encode(same.judged.tuned)
    one, other = run("faithfulness", tiny_pair, request), run("faithfulness", tiny_pair.swap(), request)
    assert codec.encode(one.judged.base) == codec.encode(other.judged.tuned)


def test_curves_begin_with_the_whole_text_and_end_where_all_orders_meet(tiny_pair: Pair[Path]):
    result: Faithfulness = run("faithfulness", tiny_pair, asked(np.arange, tiny_pair))
    for one in result.judged.sides:
        np.testing.assert_allclose(one.random_deletion[:, 0], one.whole, atol=1e-5)
        np.testing.assert_allclose(one.random_deletion[:, -1], one.deletion[-1], atol=1e-5)
        np.testing.assert_allclose(one.random_insertion[:, -1], one.whole, atol=1e-5)
        assert len(one.random_comprehensiveness) == ORDERS
        np.testing.assert_allclose(one.insertion[0], one.deletion[-1], atol=1e-5)
    assert result.table()["verdict"].str.contains("random|chance").all()


def test_the_parts_that_a_known_mechanism_needs_are_better_than_chance_and_their_opposite_is_not(tmp_path: Path):
    folder = induction_gpt2(tmp_path)
    tokens = np.random.default_rng(1).permutation(np.arange(20, 60))[:14]
    answer = tuple(int(one) for one in [*tokens, *tokens])
    shared = {"messages": ask("q"), "format": "plain", "answer_ids": answer, "targets": (18,), "quantity": "log-probability"}  # fmt: skip
    pair = Pair(folder, folder)
    scores = run("attribution", pair, AttributionRequest(**shared, method="occlusion")).totals().tuned
    good = tuple(np.nan_to_num(scores).tolist())
    bad = tuple(-score for score in good)
    result: Faithfulness = run("faithfulness", pair, FaithfulnessRequest(**shared, scores=Pair(bad, good)))
    base, tuned = result.judged.sides
    assert tuned.better_than_chance and tuned.percentile > 95 and tuned.sufficiency_percentile > 50
    assert not base.better_than_chance and base.comprehensiveness < tuned.comprehensiveness
    assert tuned.verdict() == "better than chance" and not result.identical


@pytest.mark.slow
def test_random_scores_are_called_better_than_chance_at_the_nominal_rate(tiny_pair: Pair[Path]):
    """At 5 % of 160 (two models, 80 scores) more than 16 happen once in a hundred."""
    found = []
    for seed in range(80):
        request = asked(lambda count, seed=seed: np.random.default_rng(1000 + seed).normal(size=count), tiny_pair)
        result = run("faithfulness", tiny_pair, request.model_copy(update={"seed": seed}))
        found += [one.better_than_chance for one in result.judged.sides]
    assert 1 <= sum(found) <= 16


def test_equal_scores_are_no_order_of_the_text(tiny_pair: Pair[Path]):
    """The first words must not win by standing first."""
    order = faithfulness._ranked(np.zeros(9), np.arange(1, 9), np.random.default_rng(0).permutation(8))
    assert sorted(order) == list(range(1, 9)) and list(order) != list(range(1, 9))
    result = run("faithfulness", tiny_pair, asked(np.zeros, tiny_pair))
    assert result.identical and 0 <= result.judged.base.percentile <= 100


def test_partial_results_hold_the_orders_so_far(tiny_pair: Pair[Path]):
    shown: list[int] = []

    class Watcher(Report):
        def __call__(self, fraction: float, note: str, snapshot: object = None) -> None:
            if isinstance(snapshot, Faithfulness):
                shown.append(sum(len(one.random_comprehensiveness) for one in snapshot.judged.sides))

    run("faithfulness", tiny_pair, asked(np.arange, tiny_pair), Watcher())
    assert shown[0] == 0 and shown == sorted(shown) and shown[-1] == 2 * ORDERS and len(shown) > faithfulness.SNAPSHOTS


def test_another_number_of_scores_or_a_bad_one_is_refused(tiny_pair: Pair[Path]):
    with pytest.raises(Refused, match=r"3 scores are given for base, and this text has \d+ parts"):
        run("faithfulness", tiny_pair, FaithfulnessRequest(**SHARED, scores=Pair((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))))
    with pytest.raises(Refused, match=r"2 scores are given for tuned, and this text has \d+ parts"):
        many = asked(np.arange, tiny_pair).scores.base
        run("faithfulness", tiny_pair, asked(np.arange, tiny_pair).model_copy(update={"scores": Pair(many, many[:2])}))
    with pytest.raises(ValidationError, match="finite"):
        FaithfulnessRequest(**SHARED, scores=Pair((float("nan"),), (1.0,)))
    with pytest.raises(ValidationError, match="100"):
        FaithfulnessRequest(**SHARED, scores=Pair((1.0,), (1.0,)), orders=99)


def test_result_goes_through_the_codec(tiny_pair: Pair[Path]):
    result = run("faithfulness", tiny_pair, asked(np.arange, tiny_pair))
    back = codec.decode(codec.encode(result))
    assert codec.digest(back) == codec.digest(result)
    assert back.judged.tuned.p == result.judged.tuned.p
