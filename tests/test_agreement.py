"""Agreement: taus are those of maps made one by one, and what cannot run or be told is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from scipy.stats import kendalltau

from model_utils import agreement, codec
from model_utils.contracts.agreement import Agreement, AgreementRequest
from model_utils.contracts.attribution import AttributionRequest, Method
from model_utils.contracts.common import ask
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import architectures, builders
from tests.induction import induction_gpt2
from tests.models import run

SHARED: dict[str, Any] = {"messages": ask("Name 漢字 three 🎉 e\u0301 animals."), "answer_ids": (20, 30, 40, 50)}
ALL: tuple[Method, ...] = ("gradient x input", "gradient norm", "occlusion", "sparse surrogate", "attention rollout")


@pytest.fixture(scope="module")
def found(tiny_pair: Pair[Path]) -> Agreement:
    return run("agreement", tiny_pair, AgreementRequest(**SHARED, methods=ALL))


def silenced(folder: Path) -> Path:
    """A Llama whose layers add nothing: each token's distribution is a function of the token before alone."""
    builders.tiny_llama(folder)
    tensors = load_file(folder / "model.safetensors")
    quiet = {name: one * 0 if "o_proj" in name or "down_proj" in name else one for name, one in tensors.items()}
    save_file(quiet, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_taus_are_symmetric_and_a_method_agrees_with_itself(found: Agreement):
    for taus in found.taus.sides:
        np.testing.assert_array_equal(taus, taus.T)
        np.testing.assert_allclose(np.diag(taus), 1)
        assert np.abs(taus).max() <= 1 and taus[~np.eye(len(ALL), dtype=bool)].std() > 0


def test_taus_are_those_of_maps_made_one_by_one(found: Agreement, tiny_pair: Pair[Path]):
    """By scipy, over the open parts before the last target; without a sign only sizes can be compared."""
    maps = [run("attribution", tiny_pair, AttributionRequest(**SHARED, method=method)) for method in ALL]
    text = found.texts.tuned
    before = np.arange(len(text.sequence)) < text.sequence.positions("answer")[-1]
    chosen = maps[0].texts.tuned.open & before
    np.testing.assert_array_equal(text.compared, chosen)
    assert chosen.sum() > 10
    for side in ("base", "tuned"):
        scores = {method: one.totals()[side][chosen] for method, one in zip(ALL, maps, strict=True)}
        expected = kendalltau(scores["gradient x input"], scores["occlusion"]).statistic
        assert found.taus[side][0, 2] == pytest.approx(expected, abs=0.02)
        expected = kendalltau(np.abs(scores["occlusion"]), scores["attention rollout"]).statistic
        assert found.taus[side][2, 4] == pytest.approx(expected, abs=0.02)
    assert "gradient norm and attention rollout have no sign" in found.notes[0]


def test_a_model_against_itself_agrees_as_much_on_both_sides_and_swapping_swaps(tiny_pair: Pair[Path]):
    same = run("agreement", Pair(tiny_pair.base, tiny_pair.base), AgreementRequest(**SHARED, format="plain"))
    np.testing.assert_array_equal(same.taus.base, same.taus.tuned)
    one, other = (run("agreement", pair, AgreementRequest(**SHARED)) for pair in (tiny_pair, tiny_pair.swap()))
    np.testing.assert_array_equal(one.taus.base, other.taus.tuned)
    assert (one.taus.base != one.taus.tuned).any()


def test_tau_b_counts_ties_in_the_denominator():
    assert agreement.tau(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == -1
    # Of three pairs one is tied in the first, and the two others are concordant: 2 / sqrt(2 x 3).
    assert agreement.tau(np.array([1.0, 1, 2]), np.array([1.0, 2, 3])) == pytest.approx(2 / 6**0.5)
    assert np.isnan(agreement.tau(np.zeros(3), np.arange(3.0))) and np.isnan(agreement.tau(np.arange(2.0), np.arange(2.0)))  # fmt: skip


def test_unrelated_orders_lie_within_the_stated_chance(found: Agreement):
    count, random = found.counts.tuned, np.random.default_rng(0)
    taus = [kendalltau(np.arange(count), random.permutation(count)).statistic for _ in range(1_000)]
    assert 0.92 < (np.abs(taus) <= found.chance).mean() < 0.98


def test_scores_that_are_all_alike_have_no_order(tmp_path: Path):
    folder = silenced(tmp_path / "silent")
    asked = AgreementRequest(**SHARED, format="plain", answer_too=False, targets=(2,), methods=("gradient x input", "occlusion"))  # fmt: skip
    result = run("agreement", Pair(folder, folder), asked)
    assert np.isnan(result.taus.tuned).all()
    assert "In base all scores of gradient x input are alike, so that they put the parts in no order." in result.said()


def test_two_parts_have_no_order_worth_naming(tiny_pair: Pair[Path]):
    asked = AgreementRequest(**SHARED, granularity="span", spans=("Name", "animals"), answer_too=False)
    result = run("agreement", tiny_pair, asked)
    assert result.counts == Pair(2, 2) and np.isnan(result.taus.base).all() and result.chance == 1
    assert result.unknown() == (
        "2 parts of this text can be compared, and an order says something of at least 3; choose smaller parts or a longer instruction.",
    )


def test_a_method_that_cannot_run_is_left_out_with_its_reason(tiny_pair: Pair[Path], tmp_path: Path):
    asked = AgreementRequest(**SHARED, methods=("Shapley values", "occlusion", "gradient norm"))
    result = run("agreement", tiny_pair, asked)
    assert result.methods == ("occlusion", "gradient norm") and result.taus.base.shape == (2, 2)
    assert result.left_out[0].startswith("Shapley values is left out: Shapley values are computed for at most 12 parts")
    folders = architectures.tiny_pair(tmp_path, "t5")
    asked = AgreementRequest(messages=ask("Name three."), format="plain", answer_ids=(40, 41, 42), methods=("attention rollout", "occlusion", "gradient norm"))  # fmt: skip
    result = run("agreement", folders, asked)
    assert result.methods == ("occlusion", "gradient norm") and "has an encoder" in result.left_out[0]


def test_fewer_than_two_methods_are_refused_with_the_reasons_of_the_others(tiny_pair: Pair[Path]):
    asked = AgreementRequest(**SHARED, methods=("Shapley values", "occlusion"))
    with pytest.raises(Refused, match=r"of the 2 that were chosen 1 can. Shapley values is left out: .* Choose others"):
        run("agreement", tiny_pair, asked)
    with pytest.raises(Refused, match="there is no token 9"):
        run("agreement", tiny_pair, AgreementRequest(**SHARED, targets=(9,)))


@pytest.mark.parametrize(
    ("methods", "why"), [(("occlusion",), "at least 2 methods"), (("occlusion", "occlusion"), "name one twice")]
)
def test_what_cannot_be_compared_is_not_taken(methods: tuple[Method, ...], why: str):
    with pytest.raises(ValidationError, match=why):
        AgreementRequest(messages=ask("a"), methods=methods)


def test_methods_agree_on_what_the_induction_model_relies_on(tmp_path: Path):
    """Masks and deletions, one part at a time or in every subset, put what followed the token's last place first, and order the text alike.

    The token that is read last is a part of the mechanism too: a deletion shows it, and a mask hides it from the others only.
    """
    folder, kept = induction_gpt2(tmp_path), {}
    tokens = np.random.default_rng(1).permutation(np.arange(20, 60))[:5].tolist()
    shared = {"messages": ask("q"), "format": "plain", "answer_ids": (*tokens, *tokens), "targets": (7,), "quantity": "log-probability"}  # fmt: skip
    for operator in ("mask", "delete"):
        asked = AgreementRequest(**shared, methods=("occlusion", "Shapley values"), operator=operator)
        result = run("agreement", Pair(folder, folder), asked)
        last = result.texts.tuned.sequence.positions("answer")[7] - 1
        support = {last - 5, last - 4} | ({last} if operator == "delete" else set())
        alone, together = np.where(result.texts.tuned.compared, result.scores.tuned, 0)
        assert set(np.flatnonzero(np.abs(alone) > 1e-4)) == support
        assert np.argmax(alone[:last]) == np.argmax(together[:last]) == last - 4 and result.taus.tuned[0, 1] > 0.5
        kept[operator] = np.round(alone[:last], 1)
    assert agreement.tau(kept["mask"], kept["delete"]) == pytest.approx(1)


def test_a_snapshot_comes_with_each_method_and_progress_only_rises(tiny_pair: Pair[Path]):
    seen: list[tuple[float, Agreement | None]] = []

    class Watcher(Report):
        def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
            seen.append((fraction, snapshot))

    result = run("agreement", tiny_pair, AgreementRequest(**SHARED), Watcher())
    shown = [snapshot for _, snapshot in seen if snapshot is not None]
    assert [len(one.methods) for one in shown] == [2, 3]
    np.testing.assert_array_equal(result.taus.base[:2, :2], shown[0].taus.base)
    told = [fraction for fraction, _ in seen]
    assert min(np.diff(told)) > -1e-9 and told[-1] == pytest.approx(1) and told[0] < 0.7


def test_result_goes_through_the_codec_and_its_tables_hold_it(found: Agreement):
    back = codec.decode(codec.encode(found))
    assert codec.digest(back) == codec.digest(found)
    pairs = found.table()
    assert len(pairs) == len(ALL) * (len(ALL) - 1) // 2
    row = pairs[(pairs.method == "gradient norm") & (pairs.other == "occlusion")].iloc[0]
    assert (row.base, row.tuned) == (found.taus.base[1, 2], found.taus.tuned[1, 2])
    scores = found.scores_table()
    assert len(scores) == found.counts.tuned and scores.shape[1] == 1 + 2 * len(ALL)
    np.testing.assert_array_equal(
        scores["attention rollout, tuned (share)"], found.scores.tuned[4, found.texts.tuned.compared]
    )
