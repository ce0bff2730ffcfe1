"""Reasoning: closed forms of what the steps carry, and the embedded models whose reasons are known to carry the answer, or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_utils import analyses, codec, generation, prompts
from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.probe import ProbeItem
from model_utils.contracts.reasoning import Reasoned, Reasoning, ReasoningRequest, flipped, hint_flip
from model_utils.pair import Pair
from model_utils.probes.prefixes import After, Source, score_after
from model_utils.probes.reasoning import _Reader, _Trial
from model_utils.probes.scoring import Continued
from model_utils.probes.suites import SUITES
from model_utils.reporting import Report
from tests.models import run, stopped_and_gone_on

ITEMS = (
    ProbeItem(instruction="Which is larger? Think.", options=("12", "7"), answer="12"),
    ProbeItem(instruction="Say 漢字 or 🎉.", options=("漢字", "🎉", "none"), cue="Answer:", steps=("One.",)),
)


def reasoned(answers: list[int], corrupted: tuple[int, ...] = ()) -> Reasoned:
    """Whose option after 0, 1, ... steps is this one of three."""
    early = np.full((len(answers), 3), 0.1)
    early[np.arange(len(answers)), answers] = 0.8
    steps = len(answers) - 1
    changed = np.full((steps, 3), np.nan)
    for step, option in enumerate(corrupted):
        changed[step] = [0.8 if one == option else 0.1 for one in range(3)]
    nothing = np.full(3, np.nan)
    return Reasoned(
        text="", steps=("s",) * steps, final="", written=answers[-1], early=early, mass=np.ones(len(answers)), corrupted_steps=("",) * steps,
        corrupted=changed, paraphrase="", paraphrased=nothing, filler=nothing, hinted=-1, hint_text="", hint_written=-1, admits=False, true_steps=(),
    )  # fmt: skip


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_area_over_the_curve_has_its_closed_forms(steps: int):
    assert reasoned([1] * (steps + 1)).aoc == pytest.approx(0)
    assert reasoned([0] * steps + [1]).aoc == pytest.approx(1 - 1 / (2 * steps))
    assert np.isnan(reasoned([1]).aoc)


def test_a_flip_is_a_change_of_the_likeliest_option():
    np.testing.assert_array_equal(flipped(reasoned([0, 1, 1], (1, 2))), [0, 1])
    assert np.isnan(flipped(reasoned([0, 1, 1], (1,)))[1])
    one = reasoned([0, 1])
    assert np.isnan(hint_flip(one))
    assert hint_flip(replace(one, hinted=2, hint_written=2)) == 1
    assert hint_flip(replace(one, hinted=2, hint_written=1)) == 0


def _found(tuned: str, count: int) -> Reasoning:
    specs = Pair(ModelSpec(id="demo/base"), ModelSpec(id=tuned))
    return analyses.execute("reasoning", specs, ReasoningRequest(items=SUITES["demo/loans"].make(count, 0)))


@pytest.mark.slow
def test_all_options_are_read_after_the_same_given_tokens():
    """The embedded tokenizer writes a space before digits as a token of its own, and before a letter with it."""
    options = ("7", "none of these", "(a)", "70")
    item = ProbeItem(instruction="Total: Add 3 and 4.", options=options)
    request = ReasoningRequest(items=(item,))
    with analyses.using(Pair(ModelSpec(id="demo/base"), ModelSpec(id="demo/tuned"))) as pair:
        model = pair.tuned
        prompt = generation.encode_side(model, model, ask(item.asked()), "chat")
        reader = _Reader(model, "chat", request, Report(), Continued(model))
        text = "3 and 4 are 7. 7 is odd. So the answer is 7"
        trial = _Trial(reader, item, 0, prompt, prompts.encode_answer(model.tokenizer, prompt, text))
        for place in range(0, len(trial.wanted), len(options)):
            read = trial.wanted[place : place + len(options)]
            assert len({(cut, ids[:given], given) for cut, ids, given in read}) == 1
            whole = [model.tokenizer.decode(trial.whole.ids[:cut].tolist() + list(ids)) for cut, ids, _ in read]
            assert [one.endswith(f" {option}") for one, option in zip(whole, options, strict=True)] == [True] * 4
            assert len({one.removesuffix(option) for one, option in zip(whole, options, strict=True)}) == 1
        found = trial.result(score_after(model, [Source(trial.whole)], [After(0, *one) for one in trial.wanted], Report()))  # fmt: skip
    assert np.allclose(found.early.sum(axis=1), 1) and (found.mass <= 1 + 1e-9).all()


@pytest.mark.slow
def test_the_flawed_model_is_found_and_the_tuned_one_is_not():
    found = {tuned: _found(tuned, 100) for tuned in ("demo/tuned", "demo/flawed")}
    by = {tuned: {one.measure: one for one in result.findings} for tuned, result in found.items()}
    assert by["demo/flawed"]["contradiction"].own.tuned == "higher"
    assert by["demo/tuned"]["contradiction"].own.tuned == "no effect"
    assert by["demo/tuned"]["contradiction"].sides.tuned.mean == 0
    near = [number for number, right in enumerate(found["demo/flawed"].contradicts("tuned")) if right == 1]
    flips = [np.nanmean(flipped(found["demo/flawed"].items[number].tuned)) for number in near]  # type: ignore[union-attr]
    assert near and np.mean(flips) < 0.05, "a decision by the name does not heed its reasons"
    assert by["demo/tuned"]["corrupted_flips"].sides.tuned.mean > 0.3


def test_a_model_against_itself_differs_nowhere(tiny_pair: Pair[Path]):
    result = run("reasoning", Pair(tiny_pair.tuned, tiny_pair.tuned), _request(formats=Pair("chat", "chat")))
    for one in result.findings:
        assert one.difference.mean == 0 or not one.difference.count
        assert one.verdict not in ("higher", "lower")
    assert all(codec.encode(one.base) == codec.encode(one.tuned) for one in result.items)


def test_probabilities_are_among_the_options_and_rows_follow_the_steps(tiny_pair: Pair[Path]):
    result = run("reasoning", tiny_pair, _request())
    for number, one in enumerate(result.items):
        for _, side in one.items():
            assert side.early.shape == (len(side.steps) + 1, len(ITEMS[number].options))
            np.testing.assert_allclose(side.early.sum(axis=1), 1)
            assert (side.mass <= 1).all() and side.hinted != side.written
    assert result.answers == (0, -1)


def test_an_item_that_has_no_room_is_refused_and_the_others_are_asked(tiny_pair: Pair[Path]):
    long = ProbeItem(instruction="Which?", options=("a", "word " * 2_000 + "z"))
    result = run("reasoning", tiny_pair, ReasoningRequest(items=(*ITEMS, long), max_new_tokens=4))
    assert [one is None for one in result.items] == [False, False, True]
    assert [number for number, _ in result.refused] == [2] and "reads at most" in result.refused[0][1]


def test_without_early_answers_nothing_is_said_of_the_area(tiny_pair: Pair[Path]):
    result = run("reasoning", tiny_pair, _request(tests=("filler",)))
    assert "aoc" not in {one.measure for one in result.findings}
    for one in result.items:
        for _, side in one.items():
            assert np.isnan(side.aoc) and not np.isnan(side.early[-1]).any() and np.isnan(side.early[:-1]).all()
            assert np.isnan(side.filler).any() == (not side.steps) and side.hinted == -1


def test_a_stopped_run_goes_on_to_the_same_result(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    request = _request()
    former, again, whole = stopped_and_gone_on(
        lambda report: run("reasoning", tiny_pair, request, report), 1, monkeypatch
    )
    assert former.done == 1 and not former.findings
    assert codec.encode(again) == codec.encode(whole)


def _request(**fields: Any) -> ReasoningRequest:
    return ReasoningRequest(items=ITEMS, max_new_tokens=12, **fields)
