"""Shuffled layers: every bit comes back, the maps are those of a model saved with such weights, and a map that is blind to the model fails."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import accelerate
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr

from model_utils import checkpoints, codec, randomisation
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.randomisation import ALIKE, DRAWS, LEAST_PARTS, Randomisation, RandomisationRequest, Shuffled
from model_utils.errors import Cancelled, Refused
from model_utils.loading import LanguageModel, ModelManager
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from model_utils.shuffling import check, obstacle, shuffling
from tests import architectures, builders, results
from tests.models import loaded, opened, run
from tests.test_agreement import silenced

SHARED: dict[str, Any] = {"messages": ask("Name 漢字 three 🎉 e\u0301 animals."), "answer_ids": (20, 30, 40, 50)}


def asked(**fields: Any) -> RandomisationRequest:
    return RandomisationRequest(**{**SHARED, **fields})


def bits(model: LanguageModel) -> dict[str, torch.Tensor]:
    """A copy of every tensor."""
    return {name: tensor.clone() for name, tensor in model.network.module.state_dict().items()}


def changed(model: LanguageModel, before: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, one in model.network.module.state_dict().items() if not torch.equal(one, before[name])]


@pytest.fixture(scope="module")
def found(tiny_pair: Pair[Path]) -> Randomisation:
    return run("randomisation", tiny_pair, asked())


# --- the maps ---------------------------------------------------------------------------------------------------------


def test_nothing_shuffled_is_the_map_of_the_page_and_alike_to_itself(found: Randomisation, tiny_pair: Pair[Path]):
    plain = run("attribution", tiny_pair, AttributionRequest(**SHARED, together=True))
    for side, one in found.shuffled.items():
        np.testing.assert_array_equal(one.scores[0], plain.totals()[side])
        assert one.values[0] == plain.values[side][0]
        assert one.rhos[0] == one.size_rhos[0] == pytest.approx(1)
        assert one.finished and len(one.rhos) == 3 and len(one.end_rhos) == DRAWS
        assert one.end_rhos[0] == one.rhos[-1] and len(set(one.end_rhos)) == DRAWS
        expected = spearmanr(*one.scores[:2, found.texts[side].compared]).statistic
        assert one.rhos[1] == pytest.approx(expected)


def test_each_step_is_the_map_of_a_model_saved_with_such_weights(
    found: Randomisation, tiny_pair: Pair[Path], tmp_path: Path
):
    """And of the layers from the last one down, no tensor outside them."""
    model = opened(ModelSpec(id=str(tiny_pair.tuned)))
    before = bits(model)
    for step in (1, 2):
        folder = tmp_path / str(step)
        with shuffling(model, 0, Report().poll) as shuffle:
            for layer in (1, 0)[:step]:
                shuffle(layer, 0)
            touched = changed(model, before)
            assert {name.split(".")[2] for name in touched} == {"1", "0"} - ({"0"} if step == 1 else set())
            model.network.module.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        assert not changed(model, before)
        plain = run("attribution", Pair(folder, folder), AttributionRequest(**SHARED, together=True))
        np.testing.assert_allclose(found.shuffled.tuned.scores[step], plain.totals().tuned, rtol=1e-4, atol=1e-5)
        assert found.shuffled.tuned.values[step] == pytest.approx(plain.values.tuned[0], abs=1e-5)


def test_a_model_against_itself_gives_the_same_numbers_and_swapping_swaps(tiny_pair: Pair[Path]):
    same = run("randomisation", Pair(tiny_pair.base, tiny_pair.base), asked(format="plain"))
    assert codec.encode(same.shuffled.base) == codec.encode(same.shuffled.tuned)
    one, other = (run("randomisation", pair, asked(method="occlusion")) for pair in (tiny_pair, tiny_pair.swap()))
    assert codec.encode(one.shuffled) == codec.encode(other.shuffled.swap())
    assert codec.encode(one.shuffled.base) != codec.encode(one.shuffled.tuned)


def test_another_seed_shuffles_otherwise_and_the_original_stays(found: Randomisation, tiny_pair: Pair[Path]):
    other = run("randomisation", tiny_pair, asked(seed=1)).shuffled.base
    np.testing.assert_array_equal(other.scores[0], found.shuffled.base.scores[0])
    assert (other.rhos[1:] != found.shuffled.base.rhos[1:]).all()


def test_a_map_that_is_blind_to_the_model_fails(tmp_path: Path):
    """Silent layers add nothing, so that the map is of embeddings and unembedding alone."""
    folder = silenced(tmp_path / "silent")
    result = run("randomisation", Pair(folder, folder), asked(format="plain"))
    for side in SIDES:
        one = result.shuffled[side]
        np.testing.assert_allclose(one.rhos, 1)
        assert one.likeness == pytest.approx(1) and result.fails(side)
        assert result.verdict(side).startswith("fails: the order of the scores stays tied to the original one")


def test_a_rollout_owes_more_to_places_than_a_gradient_does(found: Randomisation, tiny_pair: Pair[Path]):
    """Whatever the weights are, the first tokens gather most of it."""
    rolled = run("randomisation", tiny_pair, asked(method="attention rollout"))
    for side, one in rolled.shuffled.items():
        assert one.likeness > found.shuffled[side].likeness and not found.fails(side)
        np.testing.assert_array_equal(one.rhos, one.size_rhos)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_every_architecture_is_shuffled_and_gets_its_bits_back(tmp_path: Path, architecture: str):
    folders = architectures.tiny_pair(tmp_path, architecture)
    models = loaded(folders)
    before = models.map(bits)
    result = run("randomisation", folders, RandomisationRequest(messages=ask("Name three animals."), format="plain", answer_ids=(40, 41, 42)))  # fmt: skip
    for side, one in result.shuffled.items():
        assert not changed(models[side], before[side]) and len(one.rhos) == models[side].facts.layers + 1
        assert np.isfinite(one.scores[:, result.texts.tuned.compared]).all() and (one.values[1:] != one.values[0]).all()
    assert ("encoder" in result.notes[0]) == (architecture in architectures.ENCODER_DECODER)


# --- the weights ------------------------------------------------------------------------------------------------------


def test_a_shuffled_tensor_has_the_same_entries_elsewhere_and_alike_in_every_network(tiny_pair: Pair[Path]):
    moved = []
    for folder in tiny_pair.sides:
        model = opened(ModelSpec(id=str(folder)))
        before = bits(model)
        with shuffling(model, 3, Report().poll) as shuffle:
            shuffle(1, 0)
            now = bits(model)
        for name in before:
            if ".layers.1." in name:
                assert not torch.equal(now[name], before[name]), name
                assert torch.equal(now[name].flatten().sort().values, before[name].flatten().sort().values)
        name = "model.layers.1.input_layernorm.weight"  # no entry twice, so that the places can be told
        moved.append((now[name][:, None] == before[name]).int().argmax(dim=1))
    assert torch.equal(*moved) and not torch.equal(moved[0], torch.arange(len(moved[0])))


def test_nobody_is_let_in_while_weights_are_not_the_models_own(tiny_pair: Pair[Path]):
    models = loaded(tiny_pair)
    before, seen = models.map(bits), {"poll": 0, "breathe": 0}

    class Strict(Report):
        def poll(self) -> None:
            seen["poll"] += any(changed(models[side], before[side]) for side in SIDES)

        def breathe(self, same_models: bool = True) -> None:
            seen["breathe"] += 1
            assert not any(changed(models[side], before[side]) for side in SIDES)

    run("randomisation", tiny_pair, asked(), Strict())
    assert seen["poll"] > 10 and seen["breathe"] > 2


@pytest.mark.parametrize("error", [Cancelled, RuntimeError])
def test_weights_are_whole_after_an_end_in_the_middle(tiny_pair: Pair[Path], error: type[Exception]):
    """At every tenth question while weights are shuffled, of either side."""
    models = loaded(tiny_pair)
    before, ended = models.map(bits), set()
    for limit in range(1, 400, 40):
        count = 0

        class Ending(Report):
            def poll(self) -> None:
                nonlocal count
                where = [side for side in SIDES if changed(models[side], before[side])]
                count += bool(where)
                if count == limit:  # noqa: B023
                    ended.update(where)
                    raise error

        try:
            run("randomisation", tiny_pair, asked(), Ending())
        except error:
            assert count == limit
        assert not changed(models.base, before.base) and not changed(models.tuned, before.tuned)
    assert ended == set(SIDES)


def test_a_reader_in_another_thread_waits_for_whole_weights(tiny_llama: Path):
    model = opened(ModelSpec(id=str(tiny_llama)))
    before, read = bits(model), []

    def reader() -> None:
        with model.running():
            read.append(changed(model, before))

    with shuffling(model, 0, Report().poll) as shuffle:
        shuffle(0, 0)
        thread = threading.Thread(target=reader)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive() and not read and changed(model, before)
    thread.join(10)
    assert read == [[]]


def test_an_adapter_pair_shares_its_weights_and_each_side_its_shuffling(tiny_llama: Path, tmp_path: Path):
    """The side without the adapter gives what the model alone gives; the other's adapter is shuffled with it, and both come back."""
    adapter = builders.tiny_adapter(tmp_path, tiny_llama)
    specs = Pair(ModelSpec(id=str(tiny_llama)), ModelSpec(id=str(tiny_llama), adapter=str(adapter)))
    with ModelManager().using(specs, Report()) as pair:
        before = bits(pair.tuned)
        result = randomisation.randomisation(pair, asked(format="plain"), Report())
        assert pair.base.network is pair.tuned.network and not changed(pair.tuned, before)
        for model, own in ((pair.base, False), (pair.tuned, True)):
            with shuffling(model, 0, Report().poll) as shuffle:
                shuffle(0, 0)
                assert any("lora" in name for name in changed(model, before)) == own
                assert any("base_layer" in name for name in changed(model, before))
    alone = run("randomisation", Pair(tiny_llama, tiny_llama), asked(format="plain")).shuffled.base
    np.testing.assert_allclose(result.shuffled.base.scores, alone.scores, rtol=1e-4, atol=1e-5)
    assert np.abs(result.shuffled.tuned.values - alone.values).min() > 1e-3


def test_weights_that_cannot_be_shuffled_are_refused(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch):
    spread = opened(ModelSpec(id=str(tiny_llama)))
    assert obstacle(spread) == ""
    accelerate.cpu_offload(spread.network.module)
    with pytest.raises(Refused, match="is spread, and its weights come to its devices only while they compute"):
        randomisation.randomisation(Pair(spread, spread), asked(format="plain"), Report())
    packed = opened(ModelSpec(id=str(tiny_llama)))
    packed.facts = replace(packed.facts, quantized=True)
    with pytest.raises(Refused, match="few bits of its own configuration and cannot be shuffled; open it unquantised"):
        check(packed)
    whole = opened(ModelSpec(id=str(tiny_llama)))
    monkeypatch.setattr(checkpoints, "free_memory", lambda: 1_000)
    with pytest.raises(Refused, match=r"because a copy of them is kept meanwhile, .* close other programs"):
        randomisation.randomisation(Pair(whole, whole), asked(format="plain"), Report())


# --- the verdict ------------------------------------------------------------------------------------------------------


def judged(rho: float, size: float, parts: int = LEAST_PARTS, drawn: int = DRAWS) -> Randomisation:
    """All draws alike, in both models."""
    made = results.randomisation(asked())
    one = replace(made.shuffled.base, end_rhos=np.full(DRAWS, rho), end_size_rhos=np.full(DRAWS, size), drawn=drawn)
    text = results.text_of(results.sequence(results.PROMPT[:1] + (" word",) * parts))
    return replace(made, texts=Pair(text, text), shuffled=Pair(one, one))


@pytest.mark.parametrize(
    ("rho", "size", "said"),
    [
        (0.0, 0.0, "passes: "),
        (ALIKE, 0.0, "fails: "),
        (-0.9, 0.9, "fails: "),
        (ALIKE - 0.01, ALIKE, "passes in part: "),
        (float("nan"), 0.0, "cannot be told: "),
    ],
)
def test_the_verdict_in_words(rho: float, size: float, said: str):
    result = judged(rho, size)
    assert result.verdict("base").startswith(said) and result.fails("base") == said.startswith("fails")
    few, early = judged(rho, size, parts=LEAST_PARTS - 1), judged(rho, size, drawn=DRAWS - 1)
    assert few.verdict("base") == "too few parts to tell: choose smaller parts" and not few.fails("base")
    assert early.verdict("base") == "being measured" and not early.fails("base")


def test_unrelated_scores_seldom_fail():
    """What the contract says of the threshold."""
    random, places = np.random.default_rng(0), np.arange(LEAST_PARTS) - (LEAST_PARTS - 1) / 2
    orders = random.permuted(np.broadcast_to(places, (20_000, DRAWS, LEAST_PARTS)).copy(), axis=-1)
    rhos = orders @ places / (places @ places)
    assert 0.02 < (np.abs(rhos).mean(axis=1) >= ALIKE).mean() < 0.05


def test_fewer_draws_or_separate_targets_are_not_taken():
    for fields in ({"draws": DRAWS - 1}, {"together": False}):
        with pytest.raises(ValidationError):
            asked(**fields)


def test_snapshots_hold_what_is_known_and_progress_only_rises(tiny_pair: Pair[Path]):
    seen: list[tuple[float, Any]] = []

    class Watcher(Report):
        def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
            seen.append((fraction, snapshot))

    result = run("randomisation", tiny_pair, asked(), Watcher())
    shown = [one for _, one in seen if isinstance(one, Randomisation)]
    assert len(shown) == 1 + 2 * (2 + DRAWS - 1)
    known = [sum(int(np.isfinite(one.end_rhos).sum() + np.isfinite(one.rhos).sum()) for one in each.shuffled.sides) for each in shown]  # fmt: skip
    assert known == sorted(known) and known[0] == 2
    assert shown[0].verdict("base") == "being measured" and codec.encode(shown[-1]) == codec.encode(result)
    told = [fraction for fraction, _ in seen]
    assert min(np.diff(told)) > -1e-9 and told[-1] == pytest.approx(1)


def test_result_goes_through_the_codec_and_its_table_holds_it(found: Randomisation):
    back = codec.decode(codec.encode(found))
    assert codec.digest(back) == codec.digest(found) and type(back.shuffled.base) is Shuffled
    table = found.table()
    assert table["layers shuffled"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(table["tuned rho"], found.shuffled.tuned.rhos)
    longer = replace(found.shuffled.tuned, values=np.zeros(5, np.float32), rhos=np.zeros(5), size_rhos=np.zeros(5))
    uneven = replace(found, shuffled=Pair(found.shuffled.base, longer)).table()
    assert len(uneven) == 5 and np.isnan(uneven["base rho"][3:]).all()
