"""Shift: the formulas have their closed forms, every number is that of two plain forwards, and a model against itself has not moved."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy
from transformers import AutoModelForCausalLM

from model_utils import codec, shift
from model_utils.contracts.common import ModelSpec, Sampling, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.shift import Forced, Shift, ShiftRequest
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from tests import architectures, builders, oracles
from tests.models import loaded, opened, run

pytestmark = pytest.mark.slow

PLAIN = Pair("plain", "plain")
ANSWERS = Pair((40, 41, 90, 12, 77), (50, 61, 33))


def request(**fields) -> ShiftRequest:
    return ShiftRequest(messages=ask("Name three 🎉 animals."), **{"max_new_tokens": 6, **fields})


def logs(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_closed_forms():
    half, sharp = logs([0.5, 0.5]), logs([0.9, 0.1])
    assert shift.kl(half, sharp).item() == pytest.approx(0.5 * math.log(0.25 / 0.09))
    assert shift.kl(sharp, half).item() == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
    assert shift.tv(half, sharp).item() == pytest.approx(0.4)
    assert shift.entropy(half).item() == pytest.approx(math.log(2))
    assert shift.entropy(logs([1.0, 0.0])).item() == 0
    middle = np.array([0.7, 0.3])
    expected = (scipy_entropy([0.5, 0.5], middle) + scipy_entropy([0.9, 0.1], middle)) / 2
    assert shift.js(half, sharp).item() == pytest.approx(expected)


def test_distributions_without_a_common_token_are_as_far_apart_as_can_be():
    one, other = logs([0.3, 0.7, 0, 0]), logs([0, 0, 0.6, 0.4])
    assert shift.js(one, other).item() == pytest.approx(math.log(2)) and shift.js(one, other).item() <= math.log(2)
    assert shift.tv(one, other).item() == pytest.approx(1)
    assert shift.kl(one, other).item() == math.inf


def test_rank_counts_strictly_larger_ones_and_ties_are_shown():
    logits = torch.tensor([[3.0, 1.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    rank, ties = shift.rank_and_ties(logits, torch.tensor([4, 2]))
    assert rank.tolist() == [1, 1] and ties.tolist() == [2, 4]
    rank, ties = shift.rank_and_ties(logits, torch.tensor([1, 0]))
    assert rank.tolist() == [5, 1] and ties.tolist() == [0, 4]


rows = st.lists(st.floats(-30, 30, width=32), min_size=6, max_size=6)


@given(one=rows, other=rows, constant=st.floats(-50, 50, width=32))
def test_laws_of_the_divergences(one: list[float], other: list[float], constant: float):
    p, q = (torch.log_softmax(torch.tensor([row], dtype=torch.float64), dim=-1) for row in (one, other))
    kl, js, tv = (fn(p, q).item() for fn in (shift.kl, shift.js, shift.tv))
    assert kl >= 0 and 0 <= js <= math.log(2) and 0 <= tv <= 1
    assert tv <= math.sqrt(kl / 2) + 1e-9, "Pinsker's inequality"
    assert js == pytest.approx(shift.js(q, p).item(), abs=1e-12)
    assert js == pytest.approx(jensenshannon(p.exp()[0], q.exp()[0]) ** 2, abs=1e-9)
    assert kl == pytest.approx(scipy_entropy(p.exp()[0], q.exp()[0]), rel=1e-6, abs=1e-9)
    assert [fn(p, p).item() for fn in (shift.kl, shift.js, shift.tv)] == [0, 0, 0]
    moved = torch.log_softmax(torch.tensor([one], dtype=torch.float64) + constant, dim=-1)
    assert shift.kl(moved, q).item() == pytest.approx(kl, rel=1e-6, abs=1e-9), (
        "a constant on all logits changes nothing"
    )


# --- both models ------------------------------------------------------------------------------------------------------


def zero(forced: Forced) -> None:
    assert not forced.log_ratios.any() and not forced.beyond.any()
    for measure in (forced.kl, forced.kl_reverse, forced.js, forced.tv):
        assert len(measure) == len(forced.spans) and not measure.any()


def test_a_model_against_itself_has_not_moved(tiny_pair: Pair[Path], tmp_path: Path):
    copy = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "copy"))
    for other in (tiny_pair.tuned, copy):
        result = run("shift", Pair(tiny_pair.tuned, other), request(formats=Pair("chat", "chat")))
        for _, forced in result.answers.items():
            zero(forced)
            assert forced.shares() == {"unshifted": 1, "marginal": 0, "shifted": 0}, "its own greedy answer"
            assert not forced.split.weights.any() and not forced.split.interaction.any()


def test_swapping_sides_mirrors(tiny_pair: Pair[Path]):
    one = run("shift", tiny_pair, request(formats=Pair("plain", "chat"), answers=ANSWERS))
    other = run("shift", tiny_pair.swap(), request(formats=Pair("chat", "plain"), answers=ANSWERS.swap()))
    for side in SIDES:
        left, right = one.answers[side], other.answers.swap()[side]
        np.testing.assert_allclose(left.log_ratios, -right.log_ratios, atol=1e-6)
        np.testing.assert_allclose(left.kl, right.kl_reverse, atol=1e-6)
        np.testing.assert_allclose(left.js, right.js, atol=1e-6)
        np.testing.assert_array_equal(left.readings.base.ranks, right.readings.tuned.ranks)
        assert left.shares() == right.shares()
        for part in ("total", "weights", "format"):
            np.testing.assert_allclose(getattr(left.split, part), -getattr(right.split, part), atol=1e-6)
        np.testing.assert_allclose(left.split.interaction, right.split.interaction, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["llama", "gemma3", pytest.param("t5", marks=pytest.mark.slow), pytest.param("mamba", marks=pytest.mark.slow)],
)
def test_every_number_is_that_of_two_plain_forwards(tmp_path: Path, name: str):
    folders = Pair(architectures.tiny(tmp_path / "base", name), architectures.tiny(tmp_path / "tuned", name, seed=1))
    result: Shift = run("shift", folders, request(formats=PLAIN, answers=ANSWERS))
    models = loaded(folders)
    for writer, forced in result.answers.items():
        ids = np.array(ANSWERS[writer])
        full = {}
        for side, reading in forced.readings.items():
            whole = np.concatenate([reading.prompt.ids, ids])
            with models[side].running() as module:
                logits = oracles.all_logits(module, whole, reading.prompt.encoder_length)[-len(ids) - 1 : -1]
            full[side] = torch.log_softmax(logits.double(), dim=-1).numpy()
            own = full[side][np.arange(len(ids)), ids]
            np.testing.assert_allclose(reading.log_probs, own, atol=1e-4)
            assert reading.ranks.tolist() == [
                1 + int((row > row[i]).sum()) for row, i in zip(full[side], ids, strict=True)
            ]
            np.testing.assert_allclose(reading.entropies, [scipy_entropy(np.exp(row)) for row in full[side]], atol=1e-4)
            np.testing.assert_allclose(reading.alternative_log_probs[:, 0], full[side].max(axis=1), atol=1e-4)
            assert not reading.own_mass.any()
        p, q = (np.exp(full[side]) for side in ("tuned", "base"))
        np.testing.assert_allclose(forced.kl, [scipy_entropy(a, b) for a, b in zip(p, q, strict=True)], atol=1e-4)
        np.testing.assert_allclose(
            forced.kl_reverse, [scipy_entropy(b, a) for a, b in zip(p, q, strict=True)], atol=1e-4
        )
        np.testing.assert_allclose(forced.js, [jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)], atol=1e-4)
        np.testing.assert_allclose(forced.tv, np.abs(p - q).sum(axis=1) / 2, atol=1e-4)


def test_an_answer_is_made_as_asked_when_none_is_given(tiny_pair: Pair[Path]):
    asked = {"messages": ask("Name three."), "max_new_tokens": 5, "sampling": Sampling(temperature=2.0, seed=3)}
    answers = run("generation", tiny_pair, GenerationRequest(**asked)).answers
    forced = run("shift", tiny_pair, ShiftRequest(**asked)).answers
    for side in SIDES:
        assert forced[side].readings[side].answer.ids.tolist() == answers[side].answer.ids.tolist()
        np.testing.assert_allclose(forced[side].readings[side].log_probs, answers[side].log_probs, atol=1e-5)


def test_chunks_change_nothing(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    whole = run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS))
    monkeypatch.setattr(shift, "CHUNK_BYTES", 1)
    parts = run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS))
    for side in SIDES:
        np.testing.assert_allclose(whole.answers[side].kl, parts.answers[side].kl, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(whole.answers[side].log_ratios, parts.answers[side].log_ratios, atol=1e-5)


class Snapshots(Report):
    def __init__(self) -> None:
        self.snapshots: list[Shift] = []

    def __call__(self, fraction: float, note: str, snapshot: Shift | None = None) -> None:
        self.snapshots += [snapshot] if snapshot is not None else []


@pytest.mark.parametrize(
    ("formats", "answers", "passes"),
    [
        (Pair("plain", "plain"), ANSWERS, 4),  # 2 models x 2 answers
        (Pair("plain", "chat"), ANSWERS, 8),  # each also in the other format, for the split
        (Pair("plain", "chat"), Pair(ANSWERS.base, ANSWERS.base), 4),
    ],
)
def test_a_format_and_an_answer_cost_one_forward_a_model(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, formats: Pair, answers: Pair, passes: int
):
    """Floors apart; and no model reads the same tokens twice."""
    monkeypatch.setattr(shift, "_numerical", lambda *given: None)
    monkeypatch.setattr(shift, "_wording", lambda *given: None)
    counted = []
    models = loaded(tiny_pair)
    handles = [
        model.network.module.model.layers[0].register_forward_hook(lambda *given: counted.append(1))
        for model in models.sides
    ]
    run("shift", tiny_pair, request(formats=formats, answers=answers))
    for handle in handles:
        handle.remove()
    assert len(counted) == passes


def test_what_is_quick_comes_first(tiny_pair: Pair[Path]):
    report = Snapshots()
    result = run("shift", tiny_pair, request(answers=ANSWERS), report)
    first, second = report.snapshots[:2]
    assert first.answers.tuned.split is None and second.answers.tuned.split is not None
    assert second.answers.tuned.wording is None and "noise floors" in second.unfinished
    np.testing.assert_array_equal(first.answers.tuned.kl, result.answers.tuned.kl)
    assert result.unfinished == () and result.answers.base.wording is not None


# --- format or weights ------------------------------------------------------------------------------------------------


def test_the_split_sums_to_the_whole(tiny_pair: Pair[Path]):
    result = run("shift", tiny_pair, request(formats=Pair("plain", "chat"), answers=ANSWERS))
    for _, forced in result.answers.items():
        split = forced.split
        assert split.formats == ("plain", "chat")
        np.testing.assert_allclose(split.weights + split.format, split.total, atol=1e-9)
        np.testing.assert_allclose(split.total, forced.log_ratios, atol=1e-5)


def test_the_same_weights_leave_only_the_format(tiny_pair: Pair[Path]):
    result = run(
        "shift", Pair(tiny_pair.tuned, tiny_pair.tuned), request(formats=Pair("plain", "chat"), answers=ANSWERS)
    )
    split = result.answers.tuned.split
    assert not split.weights.any() and not split.interaction.any() and split.format.any()
    np.testing.assert_array_equal(split.format, split.total)


def test_the_same_format_leaves_only_the_weights(tiny_pair: Pair[Path]):
    split = run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS)).answers.tuned.split
    assert not split.format.any() and not split.interaction.any() and split.weights.any()


def test_any_two_formats_can_be_split(tiny_pair: Pair[Path]):
    own = "Q: {instruction}\nA:"
    result = run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS, split=(own, "few-shot")))
    split = result.answers.tuned.split
    other = run("shift", tiny_pair, request(formats=Pair(own, "few-shot"), answers=ANSWERS))
    assert split.formats == (own, "few-shot")
    np.testing.assert_allclose(split.total, other.answers.tuned.log_ratios, atol=1e-5)


# --- noise floors -----------------------------------------------------------------------------------------------------


def test_the_wording_floor_is_that_of_plain_forwards(tiny_pair: Pair[Path]):
    result = run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS))
    forced, models = result.answers.tuned, loaded(tiny_pair)
    instruction, ids = "Name three 🎉 animals.", np.array(ANSWERS.tuned)
    for side, model in models.items():

        def of(text: str, model=model) -> np.ndarray:
            prompt = model.tokenizer(text)["input_ids"]
            found = oracles.log_probs(model.network.module, [*prompt, *ids])[len(prompt) - 1 : -1]
            return found[np.arange(len(ids)), ids]

        changes = [of(one.replace("{instruction}", instruction)) - of(instruction) for one in shift.REWORDINGS]
        assert forced.wording.sides[side] == pytest.approx(np.percentile(np.abs(changes), 90), rel=1e-3)
    assert forced.wording.nats == max(forced.wording.sides.sides) and len(forced.wording.runs) >= 4
    assert forced.wording.values.base == len(shift.REWORDINGS) * len(ids)


def test_numerical_noise_is_far_below_what_words_do(tiny_pair: Pair[Path]):
    forced = run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS)).answers.tuned
    assert 0 <= forced.numerical.nats < 1e-4 < forced.wording.nats
    assert forced.numerical.values.base == 3 * len(ANSWERS.tuned)
    expected = np.abs(forced.log_ratios) > forced.wording.nats
    np.testing.assert_array_equal(forced.beyond, expected)


def test_a_rewording_that_a_template_trims_away_is_not_counted(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<|user|>{{ m['content'] | trim }}{% endfor %}<|assistant|>"
    )
    result = run("shift", Pair(folder, folder), request(formats=Pair("chat", "chat"), answers=ANSWERS))
    assert "{instruction}\n" not in result.answers.tuned.wording.runs and len(result.answers.tuned.wording.runs) == 4


def test_a_rewording_that_no_longer_fits_is_left_out(tmp_path: Path):
    folder = builders.tiny_llama(tmp_path / "short", context=40)
    text = "a b c d e f g h i j k l m n o"
    asked = ShiftRequest(messages=ask(text), formats=PLAIN, answers=Pair((40, 41, 42), (40, 41, 42)))
    result = run("shift", Pair(folder, folder), asked)
    assert 0 < len(result.answers.tuned.wording.runs) < len(shift.REWORDINGS)


# --- other vocabularies, other tokenizers -------------------------------------------------------------------------------


def padded(folder: Path, target: Path, rows: int) -> Path:
    """The same model with more rows in its tables, as families pad them."""
    shutil.copytree(folder, target)
    module = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(0)
    module.resize_token_embeddings(module.config.vocab_size + rows, mean_resizing=False)
    module.save_pretrained(target)
    return target


def test_tables_of_different_lengths_are_compared_on_the_common_rows(tiny_pair: Pair[Path], tmp_path: Path):
    folders = Pair(tiny_pair.base, padded(tiny_pair.base, tmp_path / "padded", 24))
    forced = run("shift", folders, request(formats=PLAIN, answers=ANSWERS)).answers.tuned
    assert forced.alike and np.abs(forced.kl).max() < 1e-5, "the common rows are the same"
    reading = forced.readings.tuned
    assert not forced.readings.base.own_mass.any() and (reading.own_mass > 0).all()
    np.testing.assert_allclose(forced.log_ratios, np.log1p(-reading.own_mass.astype(np.float64)), atol=1e-5)


def test_a_token_that_one_side_lacks_is_named_and_not_scored(tmp_path: Path):
    folders = builders.tiny_pair(tmp_path)
    tokenizer = loaded(folders).tuned.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|done|>"]})
    known = len(tokenizer) - 1
    target = padded(folders.tuned, tmp_path / "longer", 1)
    tokenizer.save_pretrained(target)
    pair = Pair(folders.base, target)
    forced = run("shift", pair, request(formats=PLAIN, answers=Pair((40,), (40, 41, known)))).answers.tuned
    assert forced.alike and forced.counted.tolist() == [True, True, False]
    assert math.isnan(forced.readings.base.log_probs[2]) and forced.readings.base.ranks[2] == 0
    assert np.isfinite(forced.kl).all()
    with pytest.raises(Refused, match="knows only"):
        run("shift", pair, request(formats=PLAIN, answers=Pair((40,), (40, known, 41))))


@pytest.fixture(scope="module")
def strangers(tiny_pair: Pair[Path], tmp_path_factory: pytest.TempPathFactory) -> Pair[Path]:
    """Two models whose tokenizers cut texts differently: the other one knows half of the merges."""
    folder = tmp_path_factory.mktemp("strangers") / "model"
    shutil.copytree(tiny_pair.tuned, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    merges = tokenizer["model"]["merges"]
    tokenizer["model"]["merges"] = merges[: len(merges) // 2]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return Pair(tiny_pair.base, folder)


def ids_of(folder: Path, text: str) -> tuple[int, ...]:
    return tuple(opened(ModelSpec(id=str(folder))).tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("text", [" The capital of Japan is Tokyo.", " Größe 🎉 漢字 שלום", " ", "e\u0301 The"])
def test_pieces_sum_to_the_log_probability_of_the_sequence(strangers: Pair[Path], text: str):
    """Law of METRICS: each model's pieces together are its whole answer."""
    answers = Pair(ids_of(strangers.base, text), ids_of(strangers.tuned, text))
    result = run("shift", strangers, request(formats=PLAIN, answers=answers))
    models = loaded(strangers)
    for _, forced in result.answers.items():
        assert not forced.alike and not len(forced.kl) and not len(forced.classes)
        assert "".join(forced.texts) == text
        for side, reading in forced.readings.items():
            assert reading.answer.ids.tolist() == list(answers[side]), "each reads its own tokens"
            whole = [*reading.prompt.ids.tolist(), *answers[side]]
            rows = oracles.log_probs(models[side].network.module, whole)[len(reading.prompt) - 1 : -1]
            total = rows[np.arange(len(answers[side])), answers[side]].sum()
            assert forced.log_probs[side].sum() == pytest.approx(total, abs=1e-3)


def test_strangers_have_a_split_and_floors_too(strangers: Pair[Path]):
    forced = run("shift", strangers, request(formats=Pair("plain", "few-shot"), answers=ANSWERS)).answers.tuned
    np.testing.assert_allclose(forced.split.total, forced.log_ratios, atol=1e-4)
    assert forced.wording.nats > 0 and len(forced.beyond) == len(forced.spans)


# --- what can go wrong ------------------------------------------------------------------------------------------------


def test_an_answer_of_no_tokens_has_nothing_to_compare(tiny_pair: Pair[Path]):
    forced = run("shift", tiny_pair, request(formats=PLAIN, answers=Pair((), ()))).answers.tuned
    assert len(forced.spans) == 0 and all(math.isnan(share) for share in forced.shares().values())
    assert forced.table().empty and not forced.beyond.any()


def test_what_is_no_answer_is_refused(tiny_pair: Pair[Path]):
    with pytest.raises(Refused, match="The answer holds the token 99999, but"):
        run("shift", tiny_pair, request(answers=Pair((5,), (99_999,))))
    with pytest.raises(Refused, match=r"tokens long, and .* reads at most 256"):
        run("shift", tiny_pair, request(answers=Pair((5,), (40,) * 400)))


def test_a_result_is_kept_whole(tiny_pair: Pair[Path]):
    result = run("shift", tiny_pair, request(answers=ANSWERS, split=("plain", "few-shot")))
    assert codec.encode(codec.decode(codec.encode(result))) == codec.encode(result)
    assert len(result.table()) == len(ANSWERS.base) + len(ANSWERS.tuned)
