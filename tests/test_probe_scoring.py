"""Scoring and writing for probes: each number is that of one plain forward, whatever stands in the batch; nothing is read twice."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicLayer

from model_utils import anatomy, generation, prompts
from model_utils.contracts.common import Encoded, ModelSpec, ask
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.probes import prefixes, scoring, writing
from model_utils.probes.caches import RoomyLayer
from model_utils.probes.prefixes import After, Source, score_after
from model_utils.probes.scoring import MOST_WASTE, Continued, Text, Wanted, among, batches, beginning, joined
from model_utils.reporting import Report
from tests import architectures
from tests.architectures import ARCHITECTURES
from tests.models import loaded, opened

QUESTIONS = ("Sort: 12, 7.", "Why?", "Name three colours, please, and say why 漢字 🎉 matter.", "Sort: 12, 7, 45.")
ANSWERS = ((60, 90, 120), (60, 90, 121), (60,), (33, 61, 62, 63, 60, 90), (60, 90))
CLOSE = 2e-4
KEEPS_ALL = ("llama", "qwen2", "qwen3", "gpt2", "opt", "gpt_neox", "olmo2", "mixtral")
"""Architectures whose cache holds all keys and values, so that it can be cut."""


@pytest.fixture(scope="module", params=[pytest.param(name, marks=() if name == "llama" else pytest.mark.slow) for name in ARCHITECTURES])  # fmt: skip
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return loaded(architectures.tiny_pair(tmp_path_factory.mktemp(request.param), request.param, seed=3)).tuned


def _prompts(model: LanguageModel) -> list[Encoded]:
    return [generation.encode_side(model, model, ask(text), "plain") for text in QUESTIONS]


def _name(model: LanguageModel) -> str:
    return next(name for name in ARCHITECTURES if re.fullmatch(rf"{name}\d+", Path(model.facts.id).parent.name))


@contextmanager
def _shapes(model: LanguageModel) -> Iterator[list[tuple[int, ...]]]:
    """(text, position) of every pass."""
    read: list[tuple[int, ...]] = []

    def note(part: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        read.append(tuple(kwargs.get("input_ids", kwargs.get("decoder_input_ids")).shape))

    hook = model.network.module.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield read
    finally:
        hook.remove()


def _plainly(model: LanguageModel, prompt: Encoded, ids: tuple[int, ...]) -> torch.Tensor:
    """(token + 1, vocabulary) log-probabilities where each token of the answer stands, and after it: one text, one forward."""
    whole = [*prompt.ids.tolist(), *ids]
    rows = torch.arange(len(prompt) - 1, len(whole)) - prompt.encoder_length
    with model.running() as module:
        parts = anatomy.parts(model.ids(whole), prompt.encoder_length)
        return torch.log_softmax(anatomy.logits(module, parts, rows), dim=-1)


def test_each_score_is_that_of_one_plain_forward(model: LanguageModel):
    wanted = [Wanted(prompt, ids) for prompt in _prompts(model) for ids in ANSWERS]
    random.Random(1).shuffle(wanted)
    for following in (False, True):
        for one, found in zip(wanted, scoring.score(model, wanted, Report(), following), strict=True):
            rows = _plainly(model, one.prompt, one.ids)
            own = rows[torch.arange(len(one.ids)), torch.tensor(one.ids)]
            np.testing.assert_allclose(found.log_probs, own.numpy(), atol=CLOSE)
            best = rows.topk(2, dim=-1)
            sure = (best.values[:, 0] - best.values[:, 1] > 1e-3).numpy()
            assert ((best.indices[:-1, 0].numpy() == one.ids) == found.first)[sure[:-1]].all()
            if following:
                assert found.following == best.indices[-1, 0] or not sure[-1]
            else:
                assert found.following == -1


def _answered(model: LanguageModel) -> list[Encoded]:
    """Prompts with answers of different lengths."""
    answers = ((60, 90, 33, 61, 62), (33,), (61, 60, 61, 62, 63, 60, 90), (90, 62))
    return [
        prompts.join(prompt, prompts.encode_continuation(model.tokenizer, prompt, ids))
        for prompt, ids in zip(_prompts(model), answers, strict=True)
    ]


@pytest.mark.parametrize("room", [1, prefixes.CACHE_BYTES])
def test_what_follows_a_beginning_is_what_follows_the_whole_text(model: LanguageModel, room: int, monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    """However many texts and rows share a pass, wherever they are cut, even after the first token."""
    monkeypatch.setattr(prefixes, "CACHE_BYTES", room)
    texts = _answered(model)
    wanted = [
        After(number, cut, ids)
        for number, text in enumerate(texts)
        for cut in {text.encoder_length + 1, len(text) - 1, len(text)}
        for ids in ANSWERS
    ]
    random.Random(2).shuffle(wanted)
    for one, found in zip(wanted, score_after(model, [Source(text) for text in texts], wanted, Report()), strict=True):
        rows = _plainly(model, texts[one.text].part(np.arange(one.cut)), one.ids)
        own = rows[torch.arange(len(one.ids)), torch.tensor(one.ids)].numpy()
        np.testing.assert_allclose(found.log_probs, own, atol=CLOSE)
        best = rows[:-1].topk(2, dim=-1)
        sure = (best.values[:, 0] - best.values[:, 1] > 1e-3).numpy()
        assert ((best.indices[:, 0].numpy() == one.ids) == found.first)[sure].all()


def test_early_answering_reads_each_text_once_and_all_its_cuts_in_one_short_pass(model: LanguageModel):
    texts = _answered(model)[::2]
    sources = [Source(text) for text in texts]
    wanted = [After(0, len(texts[0]) - cut, ids) for cut in (0, 2, 4) for ids in ((60, 90, 120), (60, 90, 121))]
    with _shapes(model) as alone:
        score_after(model, sources[:1], wanted, Report())
    with _shapes(model) as read:
        score_after(model, sources, [*wanted, After(1, len(texts[1]) - 1, (60, 90, 33))], Report())
    if _name(model) in KEEPS_ALL:
        assert alone == [(1, len(texts[0]) - 1), (3, 3)]
        assert sum(rows for rows, length in read if length == 3) == 4, "three cuts of one text and one of the other"


def test_a_row_may_end_where_the_models_context_does(model: LanguageModel):
    """Shorter rows are padded behind, at positions that the model need not have."""
    text = _answered(model)[0]
    room = min(model.facts.context, 256) - (len(text) - text.encoder_length)  # some have no end
    most = tuple((60, 90)[place % 2] for place in range(room))
    wanted = [After(0, len(text), most), After(0, len(text), (33, 61)), After(0, len(text) - 3, most)]
    for one, found in zip(wanted, score_after(model, [Source(text)], wanted, Report()), strict=True):
        own = _plainly(model, text.part(np.arange(one.cut)), one.ids)[: len(one.ids)]
        np.testing.assert_allclose(
            found.log_probs, own.gather(1, torch.tensor(one.ids)[:, None])[:, 0].numpy(), atol=CLOSE
        )


@given(steps=st.lists(st.integers(1, 90), min_size=1, max_size=6))
def test_keys_and_values_with_room_ahead_are_all_that_came(steps: list[int]):
    layer, plain = RoomyLayer(), DynamicLayer()
    made = torch.Generator().manual_seed(sum(steps))
    for step in steps:
        more = torch.randn(2, 3, step, 4, generator=made), torch.randn(2, 3, step, 4, generator=made)
        held, wanted = layer.update(*more), plain.update(*more)
        assert all(torch.equal(one, other) for one, other in zip(held, wanted, strict=True))
        assert layer.get_seq_length() == plain.get_seq_length()


def test_greedy_answers_are_those_of_the_decoder(model: LanguageModel):
    asked = _prompts(model)
    for format, limit in (("plain", 9), ("few-shot", 12)):
        found = writing.write(model, asked, format, limit, Report())
        for prompt, one in zip(asked, found, strict=True):
            alone = generation.answer_ids(model, prompt, format, None, limit, Report())
            assert one.ids == alone or _tied(model, prompt, one.ids, alone)


def test_what_all_prompts_begin_with_is_read_once(model: LanguageModel, monkeypatch: pytest.MonkeyPatch):
    """Examples stand before every few-shot prompt; the answers are those of prompts that are read whole."""
    asked = [generation.encode_side(model, model, ask(text), "few-shot") for text in QUESTIONS]
    with _shapes(model) as passes:
        once = writing.write(model, asked, "few-shot", 6, Report())
    shared, read = passes[:2]
    monkeypatch.setattr(writing, "LEAST_SHARED", 10**6)
    whole = writing.write(model, asked, "few-shot", 6, Report())
    if _name(model) in KEEPS_ALL:
        count = writing.common_length([prompt.ids for prompt in asked])
        assert shared == (1, count) and read == (len(asked), max(map(len, asked)) - count)
        for one, other in zip(once, whole, strict=True):
            layers = zip(one.held.cache.layers, other.held.cache.layers, strict=True)
            for mine, theirs in layers:
                rows = [
                    two.keys[held.row, :, held.start : held.start + held.length]
                    for two, held in ((mine, one.held), (theirs, other.held))
                ]
                torch.testing.assert_close(*rows, atol=CLOSE, rtol=0)
    for prompt, one, other in zip(asked, once, whole, strict=True):
        assert one.ids == other.ids or _tied(model, prompt, one.ids, other.ids)


@given(texts=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=6), min_size=1, max_size=4))
def test_the_common_beginning_leaves_something_to_read(texts: list[list[int]]):
    slow = 0
    while all(len(one) > slow + 1 for one in texts) and len({one[slow] for one in texts}) == 1:
        slow += 1
    assert writing.common_length([np.array(one) for one in texts]) == slow


def test_what_follows_an_answer_is_read_from_what_was_held_as_it_was_written(model: LanguageModel):
    asked = _prompts(model)
    written = writing.write(model, asked, "plain", 9, Report())
    assert all((one.held is not None) == (_name(model) in KEEPS_ALL) for one in written)
    texts = [
        prompts.join(prompt, prompts.encode_continuation(model.tokenizer, prompt, one.ids))
        for prompt, one in zip(asked, written, strict=True)
    ]
    sources = [Source(text, one.held) for text, one in zip(texts, written, strict=True)]
    wanted = [
        After(number, cut, ids)
        for number, text in enumerate(texts)
        for cut in {len(asked[number]), len(text) - 1, len(text)}
        for ids in ANSWERS
    ]
    with _shapes(model) as passes:
        found = score_after(model, sources, wanted, Report())
    assert _name(model) not in KEEPS_ALL or max(length for _, length in passes) == max(map(len, ANSWERS))
    given = [replace(one, given=len(one.ids) - 1) for one in wanted]
    for one, last in zip(found, score_after(model, sources, given, Report()), strict=True):
        np.testing.assert_allclose(last.log_probs, one.log_probs[-1:], atol=CLOSE)
    for one, scored in zip(wanted, found, strict=True):
        own = _plainly(model, texts[one.text].part(np.arange(one.cut)), one.ids)
        picked = own[torch.arange(len(one.ids)), torch.tensor(one.ids)]
        np.testing.assert_allclose(scored.log_probs, picked.numpy(), atol=CLOSE)


def _tied(model: LanguageModel, prompt: Encoded, one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether rounding could decide where they part: the two best tokens are as good as equal there."""
    place = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    best = _plainly(model, prompt, one[:place])[-1].topk(2).values
    return bool(best[0] - best[1] < 1e-4)


def test_what_a_folder_likes_does_not_change_a_greedy_answer(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).tuned
    asked = [generation.encode_side(model, model, ask(text), "chat") for text in QUESTIONS]
    before = [one.ids for one in writing.write(model, asked, "chat", 12, Report())]
    own = model.network.module.generation_config
    liked = (own.repetition_penalty, own.no_repeat_ngram_size, own.do_sample)
    own.repetition_penalty, own.no_repeat_ngram_size, own.do_sample = 5.0, 1, True
    try:
        assert [one.ids for one in writing.write(model, asked, "chat", 12, Report())] == before
        assert model.network.module.generation_config is own
    finally:
        own.repetition_penalty, own.no_repeat_ngram_size, own.do_sample = liked


def test_texts_that_begin_alike_are_read_once(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).tuned
    prompt = generation.encode_side(model, model, ask("Why?"), "plain")
    wanted = [Wanted(prompt, ids) for ids in ((5,), (6,), (7, 8, 9), (7, 8), (7, 9))]
    read = scoring._texts(wanted, following=False)
    assert sorted(text.ids[len(prompt) :] for text in read) == [(7, 8)]
    assert sorted(place[1:] for text in read for place in text.places) == [(n, t) for n, one in enumerate(wanted) for t in range(len(one.ids))]  # fmt: skip
    assert sorted(text.ids[len(prompt) :] for text in scoring._texts(wanted, following=True)) == [
        (5,),
        (6,),
        (7, 8, 9),
        (7, 9),
    ]


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    tokens=st.integers(1, 2_000),
    encoders=st.integers(1, 3),
)
def test_batches_hold_every_text_once_and_little_padding(lengths: list[int], tokens: int, encoders: int):
    texts = [Text((number % encoders,) if encoders > 1 else (), (7,) * length, ((0, number, 0),)) for number, length in enumerate(lengths)]  # fmt: skip
    found = list(batches(texts, tokens))
    assert sorted(text.places for batch in found for text in batch) == sorted(text.places for text in texts)
    for batch in found:
        padded = max(len(text.ids) for text in batch) * len(batch)
        assert len(batch) == 1 or padded <= tokens
        assert sum(len(text.ids) for text in batch) >= (1 - MOST_WASTE) * padded
        assert len({text.encoder for text in batch}) == 1


@pytest.mark.parametrize("count", [2, 5])
def test_probabilities_among_options_sum_to_one(count: int):
    scores = list(np.random.default_rng(count).normal(-5, 4, count))
    shares, mass = among(scores)
    assert shares.sum() == pytest.approx(1) and mass == pytest.approx(min(1, sum(map(math.exp, scores))))
    assert joined(scores) == pytest.approx(math.log(sum(map(math.exp, scores))))
    assert (np.argsort(shares) == np.argsort(scores)).all()


def test_impossible_options_have_no_mass():
    shares, mass = among([-2000.0, -2001.0])
    assert mass == 0 and shares[0] == pytest.approx(1 / (1 + math.exp(-1)))


def test_forms_are_the_exact_characters(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).tuned
    continued = Continued(model)
    for format, count in (("chat", 2), ("plain", 2), ("few-shot", 1), ("Q: {instruction}\nA: ", 1)):
        prompt = generation.encode_side(model, model, ask("Why 漢字?"), format)
        forms = continued.forms(prompt, "déjà 🎉", format)
        written = [prompts.encode_continuation(model.tokenizer, prompt, ids).text for ids in forms]
        assert len(set(forms)) == len(forms) == count and {text.strip() for text in written} == {"déjà 🎉"}


def test_a_beginning_has_the_characters_of_its_tokens(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).tuned
    whole = generation.encode_side(model, model, ask("Some words, then 漢字."), "plain")
    for count in range(1, len(whole) + 1):
        begun = beginning(whole, count)
        assert whole.text.startswith(begun.text) and len(begun) == count
    assert beginning(whole, len(whole)).text == whole.text


def test_an_option_that_begins_another_is_what_is_left_of_it():
    """Of "3", "30" and "305", a token a digit, and "4": each as probable as that it is written and goes on to none of the others."""
    ids, chances = ((3,), (3, 0), (3, 0, 5), (4,)), np.array([0.5, 0.4, 0.1, 0.2])
    assert np.exp(scoring.exclusive(ids, np.log(chances).tolist())) == pytest.approx([0.1, 0.3, 0.1, 0.2])
    assert scoring.exclusive(((3,), (3, 0)), [-1.0, -1.0]) == [-math.inf, -1.0], "it always goes on"


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple), min_size=1, max_size=8, unique=True))
def test_what_is_exclusive_adds_up_to_the_chance_of_any(ids: list[tuple[int, ...]]):
    """Under a model that writes three tokens with equal chances."""
    alone = np.exp(scoring.exclusive(ids, [-len(one) * math.log(3) for one in ids]))
    outermost = {one for one in ids if not any(other != one and one[: len(other)] == other for other in ids)}
    assert alone.sum() == pytest.approx(sum(3.0 ** -len(one) for one in outermost)) and (alone >= 0).all()


def test_numbers_that_overflow_are_no_answer(tiny_pair: Pair[Path]):
    model = opened(ModelSpec(id=str(tiny_pair.tuned)))
    prompt = generation.encode_side(model, model, ask("Why?"), "plain")
    with model.running() as module:
        module.model.norm.weight.fill_(float("nan"))
    for read in (
        lambda: scoring.score(model, [Wanted(prompt, (60, 61))], Report()),
        lambda: score_after(model, [Source(prompt)], [After(0, len(prompt), (60, 61))], Report()),
    ):
        with pytest.raises(Refused, match="overflow"):
            read()


def test_portions_are_all_that_is_wanted_and_keep_what_follows_one_prompt_together(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    model = loaded(tiny_pair).tuned
    wanted = [Wanted(prompt, ids) for prompt in _prompts(model) for ids in ANSWERS]
    whole = scoring.score(model, wanted, Report())
    monkeypatch.setattr(scoring, "PORTION", 1)
    parts = list(scoring._portions(wanted))
    assert [number for part in parts for number in range(len(wanted))[part]] == list(range(len(wanted)))
    assert len(parts) == len(QUESTIONS)
    for one, other in zip(whole, scoring.score(model, wanted, Report()), strict=True):
        np.testing.assert_allclose(one.log_probs, other.log_probs, atol=CLOSE)


def test_too_long_a_text_is_refused_in_a_sentence(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).tuned
    prompt = generation.encode_side(model, model, ask("Why?"), "plain")
    long = (5,) * model.facts.context
    with pytest.raises(Refused, match=re.escape(f"{model.facts.context:,}")):
        scoring.score(model, [Wanted(prompt, long)], Report())
    with pytest.raises(Refused, match=re.escape(f"{model.facts.context:,}")):
        score_after(model, [Source(prompt)], [After(0, len(prompt), long)], Report())
