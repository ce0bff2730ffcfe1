"""Generation: the same tokens as plain greedy decoding, honest probabilities, every reason to stop, snapshots and cancel."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from model_utils import anatomy, generation, loading, prompts
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import Sampling, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.errors import Cancelled, Refused
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from tests import builders, oracles
from tests.models import loaded, run, without_seconds
from tests.strategies import instructions


def request(text: str = "Name three 🎉 animals.", **fields) -> GenerationRequest:
    return GenerationRequest(messages=ask(text), **{"max_new_tokens": 12, **fields})


@pytest.mark.parametrize("formats", [Pair("few-shot", "chat"), Pair("plain", "plain"), Pair("chat", "few-shot")])
def test_ids_are_those_of_greedy_decoding_without_a_cache(tiny_pair: Pair[Path], formats: Pair):
    result = run("generation", tiny_pair, request(formats=formats))
    for (_, answer), (_, model) in zip(result.answers.items(), loaded(tiny_pair).items(), strict=True):
        assert answer.answer.ids.tolist() == oracles.greedy_ids(
            model.network.module, answer.prompt.ids.tolist(), 12, model.stop_ids
        )


def test_ids_are_those_of_generate(tiny_pair: Pair[Path]):
    result = run("generation", tiny_pair, request(max_new_tokens=40, formats=Pair("chat", "chat")))
    for (_, answer), (_, folder) in zip(result.answers.items(), tiny_pair.items(), strict=True):
        module = AutoModelForCausalLM.from_pretrained(folder)
        ids = torch.tensor([answer.prompt.ids.tolist()])
        own = module.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=40)
        assert answer.answer.ids.tolist() == own[0, ids.shape[1] :].tolist()


def test_probabilities_are_those_of_one_forward(tiny_pair: Pair[Path]):
    """One pass over prompt and answer gives what the loop read step by step from its cache."""
    answer = run("generation", tiny_pair, request()).answers.tuned
    expected = oracles.log_probs(loaded(tiny_pair).tuned.network.module, [*answer.prompt.ids, *answer.answer.ids])[
        len(answer.prompt) - 1 : -1
    ]
    chosen = expected[np.arange(len(answer.answer)), answer.answer.ids]
    np.testing.assert_allclose(answer.log_probs, chosen, atol=1e-5)
    best = -np.sort(-expected, axis=1)[:, : answer.alternative_ids.shape[1]]
    np.testing.assert_allclose(answer.alternative_log_probs, best, atol=1e-5)
    assert (answer.alternative_ids[:, 0] == answer.answer.ids).all(), "greedy takes the first alternative"


def test_a_model_against_itself_answers_the_same(tiny_pair: Pair[Path]):
    result = run("generation", Pair(tiny_pair.tuned, tiny_pair.tuned), request(formats=Pair("plain", "plain")))
    assert result.answers.base.answer.ids.tolist() == result.answers.tuned.answer.ids.tolist()
    np.testing.assert_array_equal(result.answers.base.log_probs, result.answers.tuned.log_probs)


def test_swapping_sides_swaps_answers(tiny_pair: Pair[Path]):
    one = run("generation", tiny_pair, request(formats=Pair("plain", "chat")))
    other = run("generation", tiny_pair.swap(), request(formats=Pair("chat", "plain")))
    for side, answer in one.answers.swap().items():
        assert other.answers[side].answer.ids.tolist() == answer.answer.ids.tolist()


@given(text=instructions)
@settings(max_examples=25)
def test_any_text_gets_an_answer(tiny_pair: Pair[Path], text: str):
    result = run("generation", tiny_pair, request(text, max_new_tokens=2, formats=Pair("plain", "chat")))
    for _, answer in result.answers.items():
        assert 1 <= len(answer.answer) <= 2 and text in answer.prompt.text


def test_a_side_without_a_template_borrows_the_other_and_says_so(tiny_pair: Pair[Path]):
    result = run("generation", tiny_pair, request(formats=Pair("chat", "chat")))
    assert result.answers.base.prompt.ids.tolist() == result.answers.tuned.prompt.ids.tolist()
    assert "has no chat template of its own" in result.answers.base.prompt.notes[0]
    assert result.answers.tuned.prompt.notes == ()


def test_no_template_at_all_is_refused(tiny_llama: Path):
    with pytest.raises(Refused, match="has a chat template; choose the plain or the few-shot format"):
        run("generation", Pair(tiny_llama, tiny_llama), request(formats=Pair("plain", "chat")))


def test_a_prompt_that_does_not_fit_is_refused_and_one_that_just_fits_ends_at_the_context(tmp_path: Path):
    folder = builders.tiny_llama(tmp_path / "short", context=32)
    pair = Pair(folder, folder)
    with pytest.raises(Refused, match=r"tokens long in the plain format, and .* reads at most 31"):
        run("generation", pair, request("word " * 200, formats=Pair("plain", "plain")))
    decoder = decoded(loaded(pair).base, "a b c d e f g h i j k l m n o p q r s t u v w x y z", ())
    assert decoder.stop == "context" and len(decoder.prompt) + len(decoder.answer().answer) == 32


def decoded(model, text: str, delimiters: tuple[str, ...], limit: int = 99) -> generation.Decoder:
    """Runs a Decoder while its network is made to prefer the tokens of `text` one after another."""
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    prompt = prompts.encode_prompt(model.tokenizer, ask("Say it."), "plain")
    decoder = generation.Decoder(model, prompt, limit, delimiters)
    for id in ids:
        hook = model.network.module.lm_head.register_forward_hook(
            lambda module, args, logits, id=id: prefer(logits, id)
        )
        decoder.step(Report())
        hook.remove()
        if decoder.stop != "unfinished":
            break
    return decoder


def prefer(logits: torch.Tensor, id: int) -> torch.Tensor:
    preferred = logits.clone()
    preferred[..., id] = logits.max() + 5
    return preferred


@pytest.mark.parametrize(
    ("text", "delimiters", "limit", "stop", "read"),
    [
        (" Paris<|end|>more", (), 99, "end of turn", "Paris"),
        (" Paris\n\nInstruction: next", prompts.delimiters("few-shot"), 99, "delimiter", "Paris"),
        (" Paris\nInstruction: next", prompts.delimiters("few-shot"), 99, "delimiter", "Paris"),
        ("\n\n Paris\n\nmore", prompts.delimiters("few-shot"), 99, "delimiter", "Paris"),
        ("\n\nInstruction: Name a river.\nAnswer: Nile", prompts.delimiters("few-shot"), 99, "delimiter", ""),
        (" Paris and Rome", (), 3, "length", None),
        (" 漢字 🎉<|end|>", (), 99, "end of turn", "漢字 🎉"),
    ],
)
def test_why_an_answer_ended_and_what_is_read(
    tiny_pair: Pair[Path], text: str, delimiters, limit: int, stop: str, read: str | None
):
    answer = decoded(loaded(tiny_pair).base, text, delimiters, limit).answer()
    assert answer.stop == stop
    assert text.startswith(answer.answer.text)
    assert answer.text == (read if read is not None else answer.answer.text.strip())


class Watcher(Report):
    """Keeps every snapshot; cancels after a number of them."""

    def __init__(self, cancel_after: int = 10**9) -> None:
        self.snapshots, self.fractions, self.cancel_after = [], [], cancel_after

    def __call__(self, fraction: float, note: str, snapshot=None) -> None:
        self.fractions.append(fraction)
        self.snapshots += [snapshot] if snapshot is not None else []

    def poll(self) -> None:
        if len(self.snapshots) >= self.cancel_after:
            raise Cancelled


def token_by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every token is a turn and a snapshot: a tiny model writes a whole answer in one turn."""
    monkeypatch.setattr(generation, "SNAPSHOT_SECONDS", 0.0)
    monkeypatch.setattr(generation, "TURN_SECONDS", 0.0)


@pytest.mark.parametrize("seconds", [0.0, 0.002, 60.0])
def test_the_length_of_a_turn_changes_no_answer(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, seconds: float):
    expected = run("generation", tiny_pair, request())
    monkeypatch.setattr(generation, "TURN_SECONDS", seconds)
    assert without_seconds(run("generation", tiny_pair, request())) == without_seconds(expected)


@pytest.mark.parametrize("sampling", [None, Sampling(seed=3)])
def test_sides_that_write_at_once_write_what_they_write_in_turn(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, sampling: Sampling | None
):
    threads = []
    step = generation.Decoder.step
    monkeypatch.setattr(
        generation.Decoder, "step", lambda *given: (threads.append(threading.get_ident()), step(*given))[1]
    )
    at_once = run("generation", tiny_pair, request(sampling=sampling))
    assert len(set(threads)) == 2
    monkeypatch.setattr(generation, "apart", lambda pair: False)
    threads.clear()
    in_turn = run("generation", tiny_pair, request(sampling=sampling))
    assert set(threads) == {threading.get_ident()}
    assert without_seconds(in_turn) == without_seconds(at_once)


def test_sides_of_one_network_and_those_inside_a_pass_write_in_turn(tiny_pair: Pair[Path]):
    """A thread beside a pass of its own network would wait for it, and the pass for the thread."""
    pair = loaded(tiny_pair)
    assert generation.apart(pair) and not generation.apart(Pair(pair.base, pair.base))
    for side in SIDES:
        with pair[side].running():
            assert not generation.apart(pair)
    assert generation.apart(pair)


def test_a_side_has_half_of_the_cores_also_inside_a_pass_that_was_given_fewer(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    """So that the same question has the same bits whatever runs around it."""
    monkeypatch.setattr(loading, "SMALL", 0)
    monkeypatch.setattr(loading, "CORES", 4)
    given: list[tuple[int, int]] = []
    logits = anatomy.Writer.logits

    def counted(writer: anatomy.Writer, module: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
        if ids.shape[1] == 1:
            given.append((threading.get_ident(), torch.get_num_threads()))
        return logits(writer, module, ids)

    monkeypatch.setattr(anatomy.Writer, "logits", counted)
    run("generation", tiny_pair, request())
    assert len({thread for thread, _ in given}) == 2 and {count for _, count in given} == {2}
    given.clear()
    with loaded(tiny_pair).base.running(threads=1):
        run("generation", tiny_pair, request())
    assert {count for _, count in given} == {2}


@pytest.mark.parametrize("side", SIDES)
def test_what_goes_wrong_on_one_side_ends_both_and_leaves_no_thread(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, side: str
):
    pair, step = loaded(tiny_pair), generation.Decoder.step

    def fails(decoder: generation.Decoder, report: Report) -> None:
        if decoder.model is pair[side] and decoder.written == 3:
            raise Cancelled
        step(decoder, report)

    monkeypatch.setattr(generation.Decoder, "step", fails)
    with pytest.raises(Cancelled):
        run("generation", tiny_pair, request())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("decode-")]
    assert not any(model.network.passes for model in pair.sides)


def test_snapshots_are_beginnings_of_the_answer(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    token_by_token(monkeypatch)
    watcher = Watcher()
    result = run("generation", tiny_pair, request(), watcher)
    assert len(watcher.snapshots) >= 3 and watcher.fractions == sorted(watcher.fractions)
    for snapshot in watcher.snapshots:
        for side, answer in snapshot.answers.items():
            ids = answer.answer.ids.tolist()
            assert ids == result.answers[side].answer.ids.tolist()[: len(ids)]


def test_cancel_ends_in_the_middle_of_an_answer(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    token_by_token(monkeypatch)
    watcher = Watcher(cancel_after=2)
    with pytest.raises(Cancelled):
        run("generation", tiny_pair, request(), watcher)
    assert len(watcher.snapshots) == 2 and len(watcher.snapshots[-1].answers.base.answer) < 12


def test_table_has_a_row_for_each_token(tiny_pair: Pair[Path]):
    result = run("generation", tiny_pair, request())
    table = result.table()
    assert len(table) == sum(len(answer.answer) for _, answer in result.answers.items())
    np.testing.assert_allclose(np.log(table["probability"]), table["log_prob"], atol=1e-6)


# --- sampling ---------------------------------------------------------------------------------------------------------

SAMPLINGS = [
    Sampling(temperature=1.5, seed=7),
    Sampling(temperature=0.7, top_k=5, seed=1),
    Sampling(temperature=2.0, top_p=0.8, seed=2),
    Sampling(top_k=9, top_p=0.6, seed=2**32 - 1),
]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_a_drawn_answer_is_that_of_generate(tiny_pair: Pair[Path], sampling: Sampling):
    asked = request(max_new_tokens=20, formats=Pair("plain", "chat"), sampling=sampling)
    result = run("generation", tiny_pair, asked)
    for (_, answer), (_, folder) in zip(result.answers.items(), tiny_pair.items(), strict=True):
        module = AutoModelForCausalLM.from_pretrained(folder)
        ids = torch.tensor([answer.prompt.ids.tolist()])
        torch.manual_seed(sampling.seed)
        cuts = {"temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p}
        own = module.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens=20, **cuts)
        assert answer.answer.ids.tolist() == own[0, ids.shape[1] :].tolist()


def test_the_same_seed_draws_the_same_answer_and_another_seed_another(tiny_pair: Pair[Path]):
    def drawn(seed: int) -> list[int]:
        sampling = Sampling(temperature=2.0, seed=seed)
        return run("generation", tiny_pair, request(sampling=sampling)).answers.tuned.answer.ids.tolist()

    assert drawn(3) == drawn(3) != drawn(4)


def test_sample_n_is_the_answer_to_seed_plus_n(tiny_pair: Pair[Path]):
    many = run("generation", tiny_pair, request(sampling=Sampling(temperature=2.0, seed=5), samples=3))
    assert len(many.samples) == 3 and many.answers is many.samples[0]
    for number, answers in enumerate(many.samples):
        one = run("generation", tiny_pair, request(sampling=Sampling(temperature=2.0, seed=5 + number)))
        for side, answer in answers.items():
            assert answer.answer.ids.tolist() == one.answers[side].answer.ids.tolist()
    assert len({tuple(answers.tuned.answer.ids.tolist()) for answers in many.samples}) == 3


def test_equal_models_draw_equal_answers(tiny_pair: Pair[Path]):
    asked = request(formats=Pair("plain", "plain"), sampling=Sampling(temperature=3.0), samples=2)
    for answers in run("generation", Pair(tiny_pair.base, tiny_pair.base), asked).samples:
        assert answers.base.answer.ids.tolist() == answers.tuned.answer.ids.tolist()


def test_a_very_low_temperature_is_greedy(tiny_pair: Pair[Path]):
    cold = run("generation", tiny_pair, request(sampling=Sampling(temperature=0.01)))
    greedy = run("generation", tiny_pair, request())
    for side, answer in cold.answers.items():
        assert answer.answer.ids.tolist() == greedy.answers[side].answer.ids.tolist()
        np.testing.assert_array_equal(answer.log_probs, greedy.answers[side].log_probs)


def test_snapshots_show_whole_samples_and_the_one_under_way(tiny_pair: Pair[Path]):
    watcher = Watcher()
    run("generation", tiny_pair, request(sampling=Sampling(temperature=2.0), samples=2), watcher)
    counts = [len(snapshot.samples) for snapshot in watcher.snapshots]
    assert counts == sorted(counts) and set(counts) == {1, 2}


def test_greedy_answers_are_not_asked_for_twice():
    with pytest.raises(ValidationError, match="Greedy answers to one question are all alike"):
        request(samples=2)


# --- prompts of both sides --------------------------------------------------------------------------------------------


def test_the_same_tokens_on_both_sides(tiny_pair: Pair[Path]):
    for format in ("chat", "plain", "few-shot", "Q: {instruction}\nA:"):
        answers = run("generation", tiny_pair, request(formats=Pair(format, format), same_tokens=True)).answers
        assert answers.base.prompt.ids.tolist() == answers.tuned.prompt.ids.tolist()


def test_the_same_tokens_need_one_format():
    with pytest.raises(ValidationError, match=r"Both sides are to read the same tokens.*choose one format for both"):
        request(same_tokens=True)


def test_an_answer_in_ones_own_template_ends_where_the_next_question_begins(tiny_pair: Pair[Path]):
    answer = decoded(loaded(tiny_pair).base, " Paris\nQ: And of Japan?", prompts.delimiters("Q: {instruction}\nA:"))
    assert answer.stop == "delimiter" and answer.answer().text == "Paris"


def test_a_table_of_positions_made_while_writing_enters_gradients_later(tiny_llama: Path, tmp_path: Path):
    """Dynamic rotary tables are made anew in the first longer forward, here while an answer is written, which keeps no trace of gradients."""
    folder = tmp_path / "dynamic"
    shutil.copytree(tiny_llama, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}
    (folder / "config.json").write_text(json.dumps(config | {"original_max_position_embeddings": 8}))
    pair, asked = (
        Pair(folder, folder),
        AttributionRequest(messages=ask("Why?"), format="plain", answer_ids=(20, 30, 40)),
    )
    before = run("attribution", pair, asked)
    run("generation", pair, request("word " * 20, formats=Pair("plain", "plain")))
    made = [buffer for buffer in loaded(pair).base.network.module.buffers() if buffer.is_inference()]
    after = run("attribution", pair, asked)
    assert np.isfinite(after.scores.base).all() and after.scores.base.shape == before.scores.base.shape
    assert not any(buffer.is_inference() for buffer in loaded(pair).base.network.module.buffers()), made
