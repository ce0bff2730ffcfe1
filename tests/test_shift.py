"""Shift: the formulas have their closed forms, every number is that of two plain forwards, and a model against itself has not moved."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from model_utils import codec, shift
from model_utils.contracts.common import ModelSpec, Sampling, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.shift import Floor, Forced, Shift, ShiftRequest
from model_utils.contracts.survey import SurveyRequest
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.prompts import encode_prompt
from model_utils.reporting import Report
from model_utils.shapes import SPECIAL, special_ids, write
from tests import architectures, builders, oracles, results
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
    middle = (p.exp() + q.exp())[0] / 2  # not SciPy's jensenshannon, whose root of a rounded zero is NaN
    apart = sum(scipy_entropy(one.exp()[0], middle) for one in (p, q)) / 2
    assert js == pytest.approx(apart, abs=1e-9)
    assert kl == pytest.approx(scipy_entropy(p.exp()[0], q.exp()[0]), rel=1e-6, abs=1e-9)
    assert [fn(p, p).item() for fn in (shift.kl, shift.js, shift.tv)] == [0, 0, 0]
    moved = torch.log_softmax(torch.tensor([one], dtype=torch.float64) + constant, dim=-1)
    assert shift.kl(moved, q).item() == pytest.approx(kl, rel=1e-6, abs=1e-9), (
        "a constant on all logits changes nothing"
    )


# --- the result -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [Pair(math.nan, math.nan), Pair(0.1, math.nan), Pair(math.nan, 0.1)])
def test_nothing_is_beyond_a_floor_that_could_not_be_measured(sides: Pair[float]):
    """Whether tokens counted as changed was decided by the numerical floor alone, and by which of the two stood first."""
    forced = results.forced("tuned", results.ANSWER, ratios=(3.0, -3.0, 0.0))
    missing = Floor(sides, (), Pair(0, 0))
    assert forced.beyond.tolist() == [True, True, False]
    for name in ("numerical", "wording"):
        one = replace(forced, **{name: missing})
        assert not one.beyond.any() and math.isnan(one.table()[f"{name}_floor"][0])


def test_the_table_holds_what_the_page_can_show():
    forced = results.forced("tuned", results.ANSWER)
    pieces = results.unlike(forced)
    for one in (forced, pieces):
        table, floors = one.table(), (one.numerical, one.wording)
        np.testing.assert_array_equal(table["beyond"], one.beyond)
        np.testing.assert_allclose(table["weights"] + table["format"], one.split.total)
        np.testing.assert_array_equal(table["interaction"], one.split.interaction)
        assert [set(table[name]) for name in ("numerical_floor", "wording_floor")] == [{one.nats} for one in floors]
    lengths = np.array([len(text) for text in pieces.texts])
    np.testing.assert_allclose(pieces.table()["per_character"] * lengths, pieces.log_ratios)
    assert forced.table()["per_character"].isna().all(), "bytes of one character have no length of their own"
    early = results.shift(floor=None).answers.tuned.table()
    assert early[["weights", "format", "interaction", "numerical_floor", "wording_floor"]].isna().all(axis=None)


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


@pytest.mark.parametrize("size", ["CHUNK_BYTES", "BLOCK_BYTES"])
def test_chunks_change_nothing(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, size: str):
    whole = run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS))
    monkeypatch.setattr(shift, size, 1)
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
    assert forced.numerical.values.base == len(forced.numerical.runs) * len(ANSWERS.tuned)
    expected = np.abs(forced.log_ratios) > forced.wording.nats
    np.testing.assert_array_equal(forced.beyond, expected)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_each_nuisance_is_another_way_to_run_the_same_pass(tiny_pair: Pair[Path], two_threads: None):
    """One thread computed the layers, but all of them the logits."""
    model = loaded(tiny_pair).base
    module, prompt, ids = model.network.module, encode_prompt(model.tokenizer, ask("a"), "plain"), ANSWERS.base
    bodies, heads = [], []

    def body(part: torch.nn.Module, args: tuple, given: dict) -> None:
        mask = given.get("attention_mask")
        masked = 0 if mask is None else int((mask == 0).sum())
        bodies.append((*given["input_ids"].shape, masked, module.config._attn_implementation, torch.get_num_threads()))

    handles = [module.model.register_forward_pre_hook(body, with_kwargs=True)]
    handles += [module.lm_head.register_forward_pre_hook(lambda *given: heads.append(torch.get_num_threads()))]
    found = []
    for one in (shift.Nuisance("as it is"), *shift.NUISANCES):
        passed = shift.read(model, prompt, ids, Report(), one.kernel, one.threads, one.twins, one.padding)
        found.append(bodies[-1])
        passed.log_probs(ids)
    for handle in handles:
        handle.remove()
    length, own = len(prompt) + len(ids) - 1, model.network.kernel
    batch = (shift.TWINS, length + shift.PADDING, shift.TWINS * shift.PADDING, own, 2)
    assert own != "eager"
    assert found == [(1, length, 0, own, 2), batch, (1, length, 0, "eager", 2), (1, length, 0, own, 1)]
    assert heads == [2, 2, 2, 1]


def test_what_changes_nothing_is_no_nuisance(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, two_threads: None):
    """A model whose own kernel is the eager one, on a machine with one thread: two of three runs were zeros by construction."""

    def floor() -> Floor:
        return run("shift", tiny_pair, request(formats=PLAIN, answers=ANSWERS)).answers.tuned.numerical

    says = [one.says for one in shift.NUISANCES]
    assert floor().runs == tuple(says)
    monkeypatch.setattr(loaded(tiny_pair).base.network, "kernel", "eager")
    assert floor().runs == tuple(says) and floor().values == Pair(2 * 3, 3 * 3)
    monkeypatch.setattr(loaded(tiny_pair).tuned.network, "kernel", "eager")
    torch.set_num_threads(1)
    assert floor().runs == (says[0],) and floor().values == Pair(3, 3)


@dataclass(frozen=True)
class Drifting:
    """A pass whose log-probabilities moved by known steps."""

    passed: shift.Pass
    steps: np.ndarray

    def log_probs(self, ids: tuple[int, ...]) -> np.ndarray:
        return self.passed.log_probs(ids) + self.steps


def test_the_numerical_floor_is_the_99th_percentile_of_all_changes(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, two_threads: None
):
    ways = [(one.kernel, one.threads, one.twins, one.padding) for one in shift.NUISANCES]
    steps, read = np.array([[0.1, -0.2, 0.3], [-0.9, 0.8, -0.7], [0.5, 0.5, 2.0]]), shift.read

    def drifting(model, prompt, ids, report, *changed):
        passed = read(model, prompt, ids, report, *changed)
        return Drifting(passed, steps[ways.index(changed)]) if changed else passed

    monkeypatch.setattr(shift, "read", drifting)
    forced = run("shift", tiny_pair, request(formats=PLAIN, answers=Pair((50, 61, 33), ANSWERS.tuned))).answers.tuned
    expected = np.percentile(np.abs(steps), 99)
    assert 1.5 < expected < 2 and forced.numerical.sides.sides == pytest.approx((expected, expected), abs=1e-3)
    assert not forced.beyond[np.abs(forced.log_ratios) < expected - 1e-3].any()


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
    result = run("shift", pair, request(formats=PLAIN, answers=Pair((40,), (40, known, 41, 42))))
    assert len(result.answers.tuned.spans) == 2 and math.isnan(result.answers.tuned.log_ratios[1])
    (note,) = result.notes
    assert note == (
        f"The tuned answer can be read by both models only up to its token '<|done|>', which {folders.base} does not have."
    )
    assert result.answers.tuned.left_out == note and not result.answers.base.left_out
    mirror = run("shift", pair.swap(), request(formats=PLAIN, answers=Pair((40, known, 41), (40,))))
    assert len(mirror.answers.base.spans) == 2 and "The base answer" in mirror.notes[0]


def test_tables_of_one_length_with_a_token_of_its_own(tmp_path: Path):
    """As where a table was padded before a token was added: divergences leave its id out, and its probability is shown beside them."""
    source = builders.tiny_pair(tmp_path)
    folders = source.map(lambda folder: padded(folder, tmp_path / f"padded-{folder.name}", 8))
    tokenizer = loaded(folders).tuned.tokenizer
    own = len(tokenizer)
    tokenizer.add_tokens(["<tool>"])
    tokenizer.save_pretrained(folders.tuned)
    models = loaded(folders)
    assert models.base.facts.vocabulary == models.tuned.facts.vocabulary == own + 8
    forced, ids = run("shift", folders, request(formats=PLAIN, answers=ANSWERS)).answers.tuned, ANSWERS.tuned
    full = {}
    for side, reading in forced.readings.items():
        rows = oracles.log_probs(models[side].network.module, [*reading.prompt.ids.tolist(), *ids])
        full[side] = np.exp(rows[len(reading.prompt) - 1 : -1])
        np.testing.assert_allclose(reading.own_mass, full[side][:, own], rtol=1e-3)
        np.testing.assert_allclose(np.exp(reading.log_probs), full[side][np.arange(len(ids)), ids], rtol=1e-3)
    common = {side: np.delete(p, own, axis=1) for side, p in full.items()}
    common = {side: p / p.sum(axis=1, keepdims=True) for side, p in common.items()}
    assert (full["tuned"][:, own] > 0).all()
    np.testing.assert_allclose(forced.kl, scipy_entropy(common["tuned"], common["base"], axis=1), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(forced.tv, np.abs(common["tuned"] - common["base"]).sum(axis=1) / 2, rtol=1e-3)


def test_shared_ids_go_to_where_the_logits_lie(tiny_pair: Pair[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of two models on two devices each took the ids to its own, and the logits of both were compared on one of them."""
    models = loaded(Pair(tiny_pair.base, padded(tiny_pair.base, tmp_path / "padded", 24)))
    monkeypatch.setattr(LanguageModel, "device", property(lambda model: torch.device("meta")))
    shared = shift._shared_ids(models, "equal")
    assert shared.device.type == "cpu" and shared.tolist() == list(range(models.base.facts.vocabulary))
    seen = shift._observe(torch.zeros((2, models.tuned.facts.vocabulary), device="meta"), (5, 6), shared)
    assert {column.device.type for column in seen} == {"meta"}


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


def test_a_control_token_inside_an_answer_was_read_by_its_writer(strangers: Pair[Path]):
    """It was cut out, and the writer's probabilities behind it were those of a text that it had not written."""
    model, prompt = loaded(strangers).tuned, "Name three 🎉 animals."
    control, end = (model.tokenizer.convert_tokens_to_ids(name) for name in ("<|pad|>", "<|end|>"))
    ids = (*ids_of(strangers.tuned, " The capital"), control, *ids_of(strangers.tuned, " of Japan"))
    answers = Pair(ids_of(strangers.base, "Paris"), (*ids, end))
    forced = run("shift", strangers, request(formats=PLAIN, answers=answers)).answers.tuned
    reading = forced.readings.tuned
    assert reading.answer.ids.tolist() == list(ids), "only what ends the turn is left off"
    rows = oracles.log_probs(model.network.module, [*model.tokenizer(prompt)["input_ids"], *ids])[-len(ids) - 1 : -1]
    np.testing.assert_allclose(reading.log_probs, rows[np.arange(len(ids)), ids], atol=1e-4)
    assert forced.log_probs.tuned.sum() == pytest.approx(reading.log_probs.sum(), abs=1e-3)
    assert "".join(forced.texts) == " The capital<|pad|> of Japan"
    assert [text for text, counted in zip(forced.texts, forced.counted, strict=True) if not counted] == ["<|pad|>"]


def test_an_answer_cut_inside_a_character_is_compared_up_to_it(strangers: Pair[Path]):
    """The other model was asked how likely it is to write a question mark."""
    cut = Pair(*(ids_of(folder, " hi there 🎉")[:-2] for folder in strangers.sides))
    for _, forced in run("shift", strangers, request(formats=PLAIN, answers=cut)).answers.items():
        assert "".join(forced.texts).rstrip() == " hi there" and forced.counted.all()
        assert all("\ufffd" not in piece for _, reading in forced.readings.items() for piece in reading.answer.pieces)


def test_a_decoder_reads_an_answer_without_what_its_encoder_read(tmp_path: Path):
    """A tokenizer of T5's kind puts a space in front of every text; cut behind the encoder's text, the answer had none."""
    tokenizer = metaspace()
    config = architectures.ARCHITECTURES["t5"](**special_ids(tokenizer), vocab_size=len(tokenizer))
    write(tmp_path / "t5", tokenizer, config, 0)
    folders = Pair(tmp_path / "t5", builders.tiny_llama(tmp_path / "llama", seed=1))
    text = "red and blue"
    answers = Pair(ids_of(folders.base, text), ids_of(folders.tuned, text))
    result = run("shift", folders, ShiftRequest(messages=ask("name a"), formats=PLAIN, answers=answers))
    forced, model = result.answers.tuned, loaded(folders).base
    reading = forced.readings.base
    assert not forced.alike and reading.answer.ids.tolist() == list(answers.base) and "".join(forced.texts) == text
    whole = np.concatenate([reading.prompt.ids, answers.base])
    logits = oracles.all_logits(model.network.module, whole, reading.prompt.encoder_length)[-len(answers.base) - 1 : -1]
    own = torch.log_softmax(logits.double(), dim=-1).numpy()[np.arange(len(answers.base)), answers.base]
    assert forced.log_probs.base.sum() == pytest.approx(own.sum(), abs=1e-3)


def metaspace() -> PreTrainedTokenizerFast:
    """Letters, with a mark for each space, one more of which begins every text."""
    pieces = [*SPECIAL.values(), "▁", *"abcdefghijklmnopqrstuvwxyz"]
    inner = Tokenizer(BPE(vocab={piece: id for id, piece in enumerate(pieces)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    inner.decoder = decoders.Metaspace(prepend_scheme="first")
    return PreTrainedTokenizerFast(tokenizer_object=inner, **SPECIAL)


def test_strangers_who_are_to_read_the_same_tokens_are_told_what_to_do(strangers: Pair[Path]):
    """The sentence spoke of insides that cannot be laid side by side, which nobody had asked for."""
    with pytest.raises(Refused, match=r"into different tokens, .* switch off that both sides read the same tokens"):
        run("shift", strangers, request(formats=PLAIN, same_tokens=True, answers=ANSWERS))


def test_strangers_have_a_split_and_floors_too(strangers: Pair[Path]):
    forced = run("shift", strangers, request(formats=Pair("plain", "few-shot"), answers=ANSWERS)).answers.tuned
    np.testing.assert_allclose(forced.split.total, forced.log_ratios, atol=1e-4)
    assert forced.wording.nats > 0 and len(forced.beyond) == len(forced.spans)


# --- what can go wrong ------------------------------------------------------------------------------------------------


def test_an_answer_of_no_tokens_has_nothing_to_compare(tiny_pair: Pair[Path]):
    forced = run("shift", tiny_pair, request(formats=PLAIN, answers=Pair((), ()))).answers.tuned
    assert len(forced.spans) == 0 and all(math.isnan(share) for share in forced.shares().values())
    assert forced.table().empty and not forced.beyond.any()


def test_an_answer_that_fills_its_writers_context_is_compared_as_far_as_the_other_can_read(tmp_path: Path):
    """The few-shot prompt of base leaves less room than the plain one of tuned: all was lost, both answers and their measures."""
    folders = architectures.tiny_pair(tmp_path, "gpt2")
    mark = loaded(folders).tuned.tokenizer("a")["input_ids"][-1]
    manner = {"messages": ask("a"), "formats": Pair("few-shot", "plain")}
    written = run("generation", folders, GenerationRequest(**manner, max_new_tokens=1)).answers
    room = written.map(lambda one: architectures.CONTEXT - len(one.prompt) + 1)
    asked = ShiftRequest(**manner, answers=Pair((mark,) * 3, (mark,) * room.tuned))
    result = run("shift", folders, asked)
    forced = result.answers.tuned
    assert len(forced.spans) == room.base < room.tuned and np.isfinite(forced.log_ratios).all()
    assert (
        forced.left_out
        == result.notes[0]
        == (
            f"Only the beginning of the tuned answer can be read by both models: after its own prompt {folders.base} has room for {room.base} tokens."
        )
    )
    assert np.isfinite(forced.numerical.nats), "padding goes no further than the model's places"
    listed = SurveyRequest(instructions=("a",), formats=manner["formats"], max_new_tokens=architectures.CONTEXT)
    assert run("survey", folders, listed).items[0].refusal == forced.left_out, "no mean of half an answer"
    with pytest.raises(Refused, match="reads at most 256"):
        run("shift", folders, asked.model_copy(update={"answers": Pair((mark,), (mark,) * (room.tuned + 1))}))


def test_strangers_too_are_compared_as_far_as_both_can_read(strangers: Pair[Path]):
    text = " The capital of France is Paris 🎉." * 9
    given = ids_of(strangers.base, text)
    asked = request(formats=Pair("plain", "few-shot"), answers=Pair(given, (40, 41)))
    result = run("shift", strangers, asked)
    forced = result.answers.base
    assert forced.left_out and result.notes[0] == forced.left_out
    assert text.startswith("".join(forced.texts)) and 0 < forced.spans[-1, 1] < len(text)
    for side, reading in forced.readings.items():
        assert reading.answer.spans[-1, 1] == forced.spans[-1, 1], "both end at the same character"
        assert forced.log_probs[side].sum() == pytest.approx(reading.log_probs.sum(dtype=np.float64), abs=1e-2)
    reading = forced.readings.tuned
    assert len(reading.prompt) + len(reading.answer) - 1 <= 256


def test_a_split_that_cannot_be_made_takes_nothing_else_away(tiny_pair: Pair[Path], tmp_path: Path):
    """A format that is too long, or that no side has a template for, took the readings and the floors with it."""
    bare = Pair(tiny_pair.base, Path(shutil.copytree(tiny_pair.base, tmp_path / "bare")))
    result = run("shift", bare, request(formats=PLAIN, answers=ANSWERS, split=("plain", "chat")))
    whole = run("shift", bare, request(formats=PLAIN, answers=ANSWERS))
    assert whole.notes == () and result.unfinished == ()
    (note,) = result.notes
    assert note.startswith("Format or weights was not measured for the base and the tuned answer: Neither ")
    for side, forced in result.answers.items():
        assert forced.split is None and whole.answers[side].split is not None
        assert forced.wording.nats == pytest.approx(whole.answers[side].wording.nats) and forced.numerical is not None
        np.testing.assert_array_equal(forced.kl, whole.answers[side].kl)
    long = "x " * 60 + "{instruction}"
    answers = Pair(ANSWERS.base, (40,) * 180)
    result = run("shift", bare, request(formats=PLAIN, answers=answers, split=("plain", long)))
    assert result.answers.base.split is not None and result.answers.tuned.split is None
    assert result.notes[0].startswith("Format or weights was not measured for the tuned answer: Prompt and answer are")


def test_the_length_of_an_answer_is_looked_at_before_its_characters(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("model_utils.prompts.Detokenizer.push", lambda *given: pytest.fail("read token by token"))
    with pytest.raises(Refused, match=r"reads at most 256"):
        run("shift", tiny_pair, request(answers=Pair((5,) * 400, (40,))))


def test_what_is_no_answer_is_refused(tiny_pair: Pair[Path]):
    with pytest.raises(Refused, match="The answer holds the token 99999, but"):
        run("shift", tiny_pair, request(answers=Pair((5,), (99_999,))))
    with pytest.raises(Refused, match=r"tokens long, and .* reads at most 256"):
        run("shift", tiny_pair, request(answers=Pair((5,), (40,) * 400)))


def test_a_result_is_kept_whole(tiny_pair: Pair[Path]):
    result = run("shift", tiny_pair, request(answers=ANSWERS, split=("plain", "few-shot")))
    assert codec.encode(codec.decode(codec.encode(result))) == codec.encode(result)
    assert len(result.table()) == len(ANSWERS.base) + len(ANSWERS.tuned)
