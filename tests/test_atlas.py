"""The atlas of heads: every number is that of whole maps, known heads are found, and what tuning left alone did not change."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from model_utils import analyses, atlas, capture, codec, intervals, loading, shift
from model_utils.contracts.atlas import LOWEST, MEASURES, SCOPES, Atlas, AtlasRequest, coded
from model_utils.contracts.common import ROLES, AttentionKind, Encoded, ModelSpec, ask, queries_and_keys
from model_utils.errors import Cancelled, Refused
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import architectures, builders, oracles
from tests.induction import INDUCTION, PREVIOUS, induction_gpt2
from tests.models import run
from tests.strategies import instructions

pytestmark = pytest.mark.slow

ANSWER = (20, 30, 40, 20, 30, 50)


def request(text: str = "Name three 🎉 animals.", **fields) -> AtlasRequest:
    return AtlasRequest(messages=ask(text), **{"answer_ids": ANSWER, "format": "plain", **fields})


def measured(result: Atlas, side: str, measure: str, scope: str = "answer") -> np.ndarray:
    """(layer, head)"""
    return result.summaries[side][MEASURES.index(measure), SCOPES.index(scope)]


@pytest.fixture(scope="module")
def induction(tmp_path_factory: pytest.TempPathFactory) -> Pair[Path]:
    folder = induction_gpt2(tmp_path_factory.mktemp("induction") / "model")
    return Pair(folder, folder)


def repeated(count: int = 10) -> tuple[int, ...]:
    once = tuple(np.random.default_rng(0).choice(np.arange(20, 200), count, replace=False).tolist())
    return once + once


def test_the_heads_of_a_model_built_by_hand_are_found(induction: Pair[Path]):
    """Over a repeated random sequence: previous-token and prefix-matching score 1 at the heads that were built so, and at no other."""
    result = run("atlas", induction, request("a", answer_ids=repeated()))
    for scope in SCOPES:
        assert measured(result, "base", "previous", scope)[PREVIOUS] == pytest.approx(1.0, abs=1e-3)
        assert measured(result, "base", "induction", scope)[INDUCTION] == pytest.approx(1.0, abs=1e-3)
        others = [measured(result, "base", name, scope) for name in ("previous", "induction")]
        for values, own in zip(others, (PREVIOUS, INDUCTION), strict=True):
            assert np.delete(values.ravel(), own[0] * 2 + own[1]).max() < 0.2
    assert measured(result, "base", "distance")[PREVIOUS] == pytest.approx(1.0, abs=1e-2)
    assert measured(result, "base", "entropy")[PREVIOUS] == pytest.approx(0.0, abs=1e-2)


def test_a_head_that_looks_at_everything_alike_has_the_largest_entropy(induction: Pair[Path]):
    result = run("atlas", induction, request("a", answer_ids=repeated()))
    rows = np.arange(1, len(result.sequence) + 1)
    assert measured(result, "base", "entropy", "text")[0, 1] == pytest.approx(np.log(rows).mean(), rel=1e-4)
    assert measured(result, "base", "first", "text")[0, 1] == pytest.approx((1 / rows).mean(), rel=1e-4)


CASES = [
    (name, tile)
    for name in architectures.ARCHITECTURES
    if name not in architectures.WITHOUT_ATTENTION
    for tile in ((1, 5, 1000) if name == "llama" else (5,))
]


@pytest.mark.parametrize(("architecture", "tile"), CASES)
def test_every_number_is_that_of_whole_maps(
    architecture: str, tile: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Against the model's own maps, all kept at once, and one loop for each measure."""
    monkeypatch.setattr(capture, "TILE", tile)
    monkeypatch.setattr(loading, "SHORT", 0)  # as many cores as the model by itself: they decide how sums are rounded
    pair = architectures.tiny_pair(tmp_path, architecture)
    kinds: tuple[AttentionKind, ...] = (
        ("self", "encoder", "cross") if architecture in architectures.ENCODER_DECODER else ("self",)
    )
    for kind in kinds:
        result: Atlas = run("atlas", pair, request(attention_kind=kind))
        maps = pair.map(partial(_own_maps, architecture=architecture, sequence=result.sequence, kind=kind))
        for side, own in maps.items():
            expected = oracles.head_measures(own, result.sequence, kind)
            for name in MEASURES:
                for scope in SCOPES:
                    np.testing.assert_allclose(
                        measured(result, side, name, scope), expected[name, scope], atol=2e-4, err_msg=f"{kind} {name}"
                    )
        np.testing.assert_allclose(result.changes, oracles.head_changes(maps, result.sequence, kind), atol=1e-4)
        assert (result.changes > 0).all() and (result.changes <= math.log(2)).all()
        for side, looks in result.looks.items():
            np.testing.assert_allclose(looks, maps[side].mean(axis=1)[:, -len(result.looking) :], atol=1e-5)
            np.testing.assert_allclose(looks.sum(axis=-1), 1, atol=1e-5)
        _, keys = queries_and_keys(result.sequence, kind)
        ahead = keys > result.looking[:, None]
        assert kind != "self" or not any(looks[:, ahead].any() for looks in result.looks.sides)


def test_which_tokens_are_followed_through_the_layers(tiny_pair: Pair[Path]):
    """Those that choose the answer, from the last of the prompt, and the answer's last."""
    result = run("atlas", tiny_pair, request())
    first = int(result.sequence.positions("answer")[0])
    assert result.looking.tolist() == list(range(first - 1, len(result.sequence)))


def test_rows_of_all_layers_that_take_too_much_memory_are_not_kept(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    kept = run("atlas", tiny_pair, request())
    size = sum(looks.nbytes for looks in kept.looks.sides)
    monkeypatch.setattr(atlas, "LOOKS_BYTES", size)
    assert run("atlas", tiny_pair, request()).looks is not None
    monkeypatch.setattr(atlas, "LOOKS_BYTES", size - 1)
    less = run("atlas", tiny_pair, request())
    assert less.looks is None
    np.testing.assert_array_equal(less.each, kept.each)


def _own_maps(folder: Path, architecture: str, sequence: Encoded, kind: AttentionKind) -> np.ndarray:
    """(layer, head, query, key) of the layers that have attention of this kind."""
    family = AutoModelForSeq2SeqLM if architecture in architectures.ENCODER_DECODER else AutoModelForCausalLM
    module = family.from_pretrained(folder, attn_implementation="eager").eval()
    found = oracles.recorded_attention(module, sequence.ids, sequence.encoder_length)
    return np.stack([maps for (one, _), maps in found.items() if one == kind])


def test_shares_of_the_roles_add_up(tiny_pair: Pair[Path]):
    result = run("atlas", tiny_pair, request(format="few-shot"))
    for side, _ in tiny_pair.items():
        total = sum(measured(result, side, role, scope) for role in ROLES for scope in ("text",))
        np.testing.assert_allclose(total, 1.0, atol=1e-5)


@given(text=instructions)
@settings(max_examples=15, deadline=None)
def test_a_model_against_itself_changed_nothing(tiny_pair: Pair[Path], text: str):
    result = run("atlas", Pair(tiny_pair.base, tiny_pair.base), request(text[:40]))
    np.testing.assert_allclose(result.changes, 0.0, atol=1e-7)
    np.testing.assert_array_equal(result.summaries.base, result.summaries.tuned)
    np.testing.assert_array_equal(result.pictures.base, result.pictures.tuned)


def test_swapped_sides_change_as_much(tiny_pair: Pair[Path]):
    there = run("atlas", tiny_pair, request())
    back = run("atlas", tiny_pair.swap(), request())
    np.testing.assert_allclose(there.changes, back.changes, atol=1e-6)
    np.testing.assert_allclose(there.summaries.base, back.summaries.tuned, atol=1e-6)


def test_an_adapter_that_touches_one_layer_is_found(tmp_path: Path):
    """Its queries move the look of that layer most, that of layers before not at all."""
    folder = builders.tiny_llama(tmp_path / "base", layers=4)
    adapter = builders.tiny_adapter(
        tmp_path / "adapter", folder, target_modules=["q_proj"], layers_to_transform=[2], layers_pattern="layers"
    )
    specs = Pair(ModelSpec(id=str(folder)), ModelSpec(id=str(folder), adapter=str(adapter)))
    result: Atlas = analyses.execute("atlas", specs, request())
    np.testing.assert_allclose(result.changes[:2], 0.0, atol=1e-7)
    assert result.changes.max(axis=1).argmax() == 2
    assert int(result.table()["layer"][0]) == 2


def test_the_entropy_of_weights_is_that_of_their_logarithms():
    weights = torch.softmax(20 * torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(0)), dim=-1)
    weights[0, 0] = torch.eye(50)[3]
    torch.testing.assert_close(atlas.entropy(weights), shift.entropy(weights.log()), atol=1e-5, rtol=1e-5)


def test_divergence_of_disjoint_looks_is_ln_2():
    base, tuned = torch.eye(4)[:2][None], torch.eye(4)[2:][None]
    torch.testing.assert_close(atlas.divergence(base, tuned), torch.full((1, 2), math.log(2)))
    torch.testing.assert_close(atlas.divergence(base[..., :2], tuned), torch.full((1, 2), math.log(2)))
    assert (atlas.divergence(base, base) == 0).all()


def test_pictures_are_means_in_the_log_code(tiny_pair: Pair[Path]):
    """Of a text no longer than a picture has cells every cell is one weight."""
    result = run("atlas", tiny_pair, request("a"))
    own = _own_maps(tiny_pair.base, "llama", result.sequence, "self")
    assert len(result.sequence) <= 32 and result.pictures.base.shape == own.shape
    apart = np.abs(result.pictures.base.astype(int) - coded(own).astype(int))
    assert apart.max() <= 1 and (result.pictures.base[..., 0, 1:] == 0).all()


def test_the_log_code_keeps_order_and_ends():
    weights = np.concatenate([[0.0, LOWEST / 2], np.geomspace(LOWEST, 1.0, 500)])
    code = coded(weights).astype(int)
    assert code[:2].tolist() == [0, 0] and code[2] == 1 and code[-1] == 255 and (np.diff(code) >= 0).all()


def test_where_memory_is_short_the_text_is_read_again_for_the_layers_left(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    expected = run("atlas", tiny_pair, request())
    passes: list[list[int]] = []
    read = capture.read

    def counted(model, sequence, kind, layers, *rest):
        passes.append(list(layers))
        read(model, sequence, kind, layers, *rest)

    monkeypatch.setattr(capture, "read", counted)
    monkeypatch.setattr(atlas, "KEPT_BYTES", 1)
    result = run("atlas", tiny_pair, request())
    assert passes == [[0, 1], [0], [1], [1]]
    # The layers that are not read run another kernel, which rounds otherwise.
    np.testing.assert_allclose(result.changes, expected.changes, atol=1e-6)
    np.testing.assert_allclose(result.summaries.base, expected.summaries.base, rtol=1e-5)
    assert np.abs(result.pictures.tuned.astype(int) - expected.pictures.tuned.astype(int)).max() <= 1


OTHERS = ("Sort these: 3, 1, 2.", "What is a cat?", "Why?")


def test_over_a_list_every_number_is_the_mean_of_the_single_texts(tiny_pair: Pair[Path]):
    result: Atlas = run("atlas", tiny_pair, request(others=OTHERS, max_new_tokens=6))
    single = [run("atlas", tiny_pair, request())]
    single += [run("atlas", tiny_pair, request(one, answer_ids=None, max_new_tokens=6)) for one in OTHERS]
    np.testing.assert_array_equal(result.each, np.stack([one.each[0] for one in single]))
    for side, found in result.summaries.items():
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = np.nanmean(np.stack([one.summaries[side] for one in single]), axis=0)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    low, high = result.bounds
    assert (low <= result.changes).all() and (result.changes <= high).all() and (low < high).all()
    assert np.isnan(single[0].bounds).all() and result.left_out == ()
    np.testing.assert_array_equal(result.pictures.base, single[0].pictures.base)
    one = intervals.interval("", result.each[:, 0, 0])
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [one.low, one.high], rtol=1e-5)


def test_an_instruction_that_cannot_be_read_is_named_and_the_others_count(tiny_pair: Pair[Path]):
    result = run("atlas", tiny_pair, request(others=("word " * 400, "Why?"), max_new_tokens=4))
    assert len(result.each) == 2
    assert len(result.left_out) == 1 and result.left_out[0].startswith("Instruction 1 of the list: The prompt is")


def test_of_a_list_the_texts_so_far_are_shown(tiny_pair: Pair[Path]):
    shown: list[Atlas] = []

    class Watcher(Report):
        def __call__(self, fraction: float, note: str, snapshot: object = None) -> None:
            assert 0 <= fraction <= 1
            shown.extend([snapshot] if isinstance(snapshot, Atlas) else [])

    result = run("atlas", tiny_pair, request(others=OTHERS[:2], max_new_tokens=4), Watcher())
    assert [len(one.each) for one in shown] == [1, 2]
    for one in shown:
        np.testing.assert_array_equal(one.each, result.each[: len(one.each)])


def test_sides_of_different_depth_are_compared_where_both_have_layers(tmp_path: Path):
    pair = Pair(builders.tiny_llama(tmp_path / "base", layers=3), builders.tiny_llama(tmp_path / "tuned", layers=2))
    result = run("atlas", pair, request())
    assert result.layers.tolist() == [0, 1] and result.changes.shape == (2, 4)


def test_without_attention_there_is_one_sentence(tmp_path: Path):
    folder = architectures.tiny(tmp_path / "mamba", "mamba")
    with pytest.raises(Refused, match="no attention"):
        run("atlas", Pair(folder, folder), request())


class StopAt(Report):
    """Is no longer wanted after so many polls."""

    def __init__(self, polls: int) -> None:
        self.left = polls

    def poll(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled


def test_a_cancelled_atlas_leaves_the_model_as_it_was(tiny_pair: Pair[Path]):
    before = run("atlas", tiny_pair, request())
    for polls in range(1, 5):
        with pytest.raises(Cancelled):
            run("atlas", tiny_pair, request(), StopAt(polls))
    assert not capture._readers
    np.testing.assert_array_equal(run("atlas", tiny_pair, request()).changes, before.changes)


def test_what_goes_into_the_codec_comes_out(tiny_pair: Pair[Path]):
    result = run("atlas", tiny_pair, request())
    again = codec.decode(codec.encode(result))
    np.testing.assert_array_equal(again.changes, result.changes)
    np.testing.assert_array_equal(again.summaries.base, result.summaries.base)
