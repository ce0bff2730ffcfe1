"""Robustness: closed forms of sensitivity and spread, laws of the analysis, and the embedded model that learned one phrasing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_utils import analyses, anatomy, codec, generation, prompts
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.probe import ProbeItem
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.pair import SIDES, Pair
from model_utils.probes.forgetting import surprise
from model_utils.probes.scoring import Continued, Wanted, score
from model_utils.probes.sensitivity import posix, sensitivity
from model_utils.probes.spread import spread
from model_utils.probes.suites import SUITES
from model_utils.probes.word_scores import _of_input
from model_utils.reporting import Report
from tests import results
from tests.models import loaded, opened, run, stopped_and_gone_on

ITEMS = (
    ProbeItem(instruction="Which of them is the larger number?", input="12 and 7", options=("12", "7"), answer="12"),
    ProbeItem(instruction="Name the colour of snow, please.", answer="white", held_out=("And snow has which colour?",)),
    ProbeItem(instruction="Say 漢字 or 🎉.", options=("漢字", "🎉")),
)


def test_a_model_that_ignores_its_prompt_has_no_sensitivity():
    row = np.array([-3.0, -7.5, -1.0])
    assert posix(np.tile(row, (3, 1)), np.array([1, 2, 3])) == 0
    assert math.isnan(posix(np.array([[-1.0]]), np.array([1])))


def test_a_network_that_sees_nothing_but_the_last_token_has_no_sensitivity(tiny_pair: Pair[Path]):
    """Nothing that attention finds is written back, so that wordings that end alike are one prompt to it."""
    model = opened(ModelSpec(id=str(tiny_pair.tuned)))
    asked = [generation.encode_side(model, model, ask(text), "chat") for text in ("Why?", "Name it.", "Snow is what?")]
    assert sensitivity(model, asked, "chat", Report()) > 0.001
    with model.running() as module:
        for layer in module.model.layers:
            layer.self_attn.o_proj.weight.zero_()
    assert sensitivity(model, asked, "chat", Report()) == pytest.approx(0, abs=1e-6)


def test_sensitivity_is_the_published_sum():
    log_probs, lengths = np.array([[-1.0, -5.0], [-3.0, -2.0]]), np.array([2, 3])
    assert posix(log_probs, lengths) == pytest.approx((abs(-3 + 1) / 2 + abs(-5 + 2) / 3) / 2)


def test_one_layout_has_no_spread_and_sides_mirror():
    rng = np.random.default_rng(1)
    right = Pair(*(rng.integers(0, 2, (60, 4)).astype(float) for _ in SIDES))
    one = spread(right.map(lambda values: values[:, :1]), 0.03, 0)
    assert [side.mean for side in one.sides.sides] == [0, 0] and one.difference.mean == 0
    found, mirrored = spread(right, 0.03, 0), spread(right.swap(), 0.03, 0)
    assert found.difference.mean == -mirrored.difference.mean
    assert found.sides.tuned.mean == pytest.approx(np.ptp(right.tuned.mean(axis=0)))
    assert found.sides.tuned.low <= found.sides.tuned.high
    same = spread(Pair(right.base, right.base), 0.03, 0)
    assert same.difference.mean == same.difference.low == same.difference.high == 0
    nothing = spread(right.map(lambda values: values[:, :0]), 0.03, 0)
    assert nothing.verdict == "not measured" and nothing.difference.count == 0


def test_surprise_is_the_likelihood_of_a_plain_forward(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).base
    texts = ("Snow fell on the hills.", "漢字 and 🎉, then more words.", "a")
    found = surprise(model, texts, Report())
    for text, value in zip(texts, found, strict=True):
        ids = model.tokenizer(text)["input_ids"]
        if len(ids) < 2:
            assert math.isnan(value)
            continue
        import torch

        with model.running() as module:
            rows = torch.log_softmax(anatomy.logits(module, (model.ids(ids),), torch.arange(len(ids) - 1)), dim=-1)
        begun = len(text) - len(model.tokenizer.decode(ids[1:])) if ids[0] != model.tokenizer.bos_token_id else 0
        total = float(rows[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum())
        assert value == pytest.approx(-total / (len(text) - begun), rel=1e-3)


def test_the_words_of_an_input_are_found_where_it_was_given(tiny_pair: Pair[Path]):
    """Not where the answer says them again."""
    given = "red, green and blue things"
    text = f"Copy this list: {given}"
    model = loaded(tiny_pair).tuned
    prompt = generation.encode_side(model, model, ask(text), "chat")
    ids = tuple(prompts.encode_answer(model.tokenizer, prompt, given).ids.tolist())
    asked = AttributionRequest(messages=ask(text), format="chat", answer_ids=ids, granularity="word", together=True, answer_too=False)  # fmt: skip
    found = run("attribution", tiny_pair, asked)
    parted = found.texts.tuned
    start = parted.sequence.text.index(given)
    inside = (parted.sequence.spans[:, 0] >= start) & (parted.sequence.spans[:, 1] <= start + len(given))
    own = np.unique(parted.parts[np.flatnonzero(inside & (parted.sequence.roles == 1))])
    assert len(own) > 2
    np.testing.assert_array_equal(_of_input(found, "tuned", given), found.scores.tuned[0].astype(float)[own])


def test_only_a_free_answer_that_was_right_is_seen_to_change():
    """In place of a right answer anything may be written: whether it is another wrong one than before is not looked at."""
    result = results.robustness()
    free = np.full((2, len(result.wordings)), np.nan)
    chosen = np.array([[0] * len(result.wordings), [1] + [0] * (len(result.wordings) - 1)])
    found = replace(result, chosen=Pair(chosen, chosen), mass=Pair(free, free)).flipped("tuned")
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1], [0] + [1] * (len(result.wordings) - 1))


def test_an_option_that_begins_the_right_one_does_not_win_by_that(tiny_pair: Pair[Path]):
    """The tiny tokenizer writes a token a digit: whoever writes 30 writes 3 as well."""
    model = loaded(tiny_pair).tuned
    request = _request(items=(ProbeItem(instruction="What is 3 times 10?", options=("30", "3"), answer="30"),), formats=Pair("plain", "plain"))  # fmt: skip
    prompt = generation.encode_side(model, model, ask(request.items[0].asked()), "plain")
    forms = {option: Continued(model).forms(prompt, option, "plain") for option in ("30", "3")}
    assert all(any(one[: len(begun)] == begun for begun in forms["3"]) for one in forms["30"])
    chance = {option: sum(np.exp(one.total) for one in score(model, [Wanted(prompt, ids) for ids in read], Report())) for option, read in forms.items()}  # fmt: skip
    result = run("robustness", tiny_pair, request)
    assert result.mass.tuned[0, 0] == pytest.approx(chance["3"], rel=1e-3), "what begins with 3, 30 among it"
    assert result.probability.tuned[0, 0] == pytest.approx(chance["30"] / chance["3"], rel=1e-3)


def test_a_model_against_itself_differs_nowhere(tiny_pair: Pair[Path]):
    result = run("robustness", Pair(tiny_pair.tuned, tiny_pair.tuned), _request(formats=Pair("chat", "chat")))
    for one in result.findings:
        assert one.difference.mean == 0 or not one.difference.count
        assert one.verdict not in ("higher", "lower")
    for name in ("right", "chosen", "probability", "mass", "sensitivity", "agreement", "plain"):
        found = getattr(result, name)
        np.testing.assert_array_equal(found.base, found.tuned)


def test_what_was_not_asked_has_no_number(tiny_pair: Pair[Path]):
    result = run("robustness", tiny_pair, _request())
    asked = np.array([[bool(text) for text in texts] for texts in result.texts])
    assert asked[:, 0].all() and not asked.all()
    for side in SIDES:
        assert ((result.chosen[side] >= 0) == asked).all()
        assert (np.isnan(result.right[side]) == ~asked)[:2].all() and np.isnan(result.right[side][2]).all()
        assert np.isnan(result.mass[side][1]).all() and (result.mass[side][0][asked[0]] <= 1).all()
    assert len(result.table()) == asked.sum()


def test_an_item_that_has_no_room_is_refused_and_the_others_are_asked(tiny_pair: Pair[Path]):
    long = ProbeItem(instruction="Which?", options=("a", "word " * 2_000 + "z"))
    request = RobustnessRequest(items=(long, *ITEMS), perturbations=("typos",), formats_drawn=1, sensitivity_items=2)
    result = run("robustness", tiny_pair, request)
    assert [number for number, _ in result.refused] == [0] and "reads at most" in result.refused[0][1]
    assert not any(result.texts[0]) and all(texts[0] for texts in result.texts[1:])
    assert result.chosen.tuned.dtype == np.int64 and (result.chosen.tuned[0] == -1).all()


def test_a_stopped_run_goes_on_to_the_same_result(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    request = _request()
    former, again, whole = stopped_and_gone_on(
        lambda report: run("robustness", tiny_pair, request, report), 1, monkeypatch
    )
    assert former.done == 1 and not former.findings
    assert codec.encode(again) == codec.encode(whole)


@pytest.mark.slow
def test_the_model_that_learned_one_phrasing_is_found_and_the_other_cleared():
    items = SUITES["demo/phrasings"].make(110, 0)
    request = RobustnessRequest(items=items, perturbations=("held out",), formats_drawn=0, sensitivity_items=0, attribution_items=0)  # fmt: skip
    gaps = {}
    for tuned in ("demo/tuned", "demo/flawed"):
        specs = Pair(ModelSpec(id="demo/base"), ModelSpec(id=tuned))
        gaps[tuned] = next(one for one in analyses.execute("robustness", specs, request).findings if one.measure == "gap")  # fmt: skip
    assert gaps["demo/flawed"].sides.tuned.mean >= 0.25 and gaps["demo/flawed"].own.tuned == "higher"
    assert gaps["demo/tuned"].own.tuned == "no effect"


def _request(**fields: Any) -> RobustnessRequest:
    given = {
        "plain_texts": ("Snow fell on the hills.", "Nobody asked for it."),
        "sensitivity_items": 1,
        "attribution_items": 1,
    }
    return RobustnessRequest(**{"items": ITEMS, **given, **fields})
