"""Instruction design, measured: sentence effects, entropies and suggestions against slow twins, and models of which the answer is known."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import combinations_with_replacement, pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from model_utils import generation
from model_utils.contracts.common import ask
from model_utils.contracts.instructions import MAX_SENTENCES, InstructionItem, Instructions, InstructionsRequest
from model_utils.pair import SIDES, Pair
from model_utils.probes.instructions import SUGGESTED, WORDINGS, entropy, findings, instructions, without
from model_utils.probes.scoring import Continued
from model_utils.reporting import Report
from model_utils.wording import marks
from model_utils.wording.reading import sentences
from tests import oracles
from tests.models import loaded, stopped_and_gone_on, without_seconds

ITEMS = (
    InstructionItem(instruction="Read this. Is ice warm? Say yes or no.", options=("yes", "no")),
    InstructionItem(instruction="Surely the plan is sound? Say why 漢字 🎉.\n\nPlan: wait."),
    InstructionItem(instruction="Which is larger", options=("12", "7", "none")),
)


def asked(**fields: Any) -> InstructionsRequest:
    return InstructionsRequest(**{"items": ITEMS, "max_new_tokens": 8, **fields})


@pytest.fixture(scope="module")
def found(tiny_pair: Pair[Path]) -> Instructions:
    return instructions(loaded(tiny_pair), asked(), Report())


def test_all_is_as_slow_twins_find_it(tiny_pair: Pair[Path], found: Instructions):
    pair, request = loaded(tiny_pair), asked()
    for side in SIDES:
        model, other, format = pair[side], pair.swap()[side], request.formats[side]
        continued = Continued(model)
        module = AutoModelForCausalLM.from_pretrained(tiny_pair[side])

        def prompt(text: str, model=model, other=other, format=format):
            return generation.encode_side(model, other, ask(text), format)

        def chances(text: str, options: tuple[str, ...], continued=continued, format=format, module=module, prompt=prompt) -> np.ndarray:  # fmt: skip
            """No option of these begins another one."""
            read = prompt(text)
            each = [[oracles.forced_log_prob(module, read.ids.tolist(), ids) for ids in continued.forms(read, option, format)] for option in options]  # fmt: skip
            values = np.exp([np.logaddexp.reduce(one) for one in each])
            return values / values.sum()

        for number, item in enumerate(ITEMS):
            text = item.instruction
            ids = generation.answer_ids(model, prompt(text), format, None, 8, Report())
            whole = oracles.forced_log_prob(module, prompt(text).ids.tolist(), ids)
            for span, effect in zip(found.sentences[number], found.effects[side][number], strict=True):
                rest = without(text, *span)
                if rest.strip():
                    expected = whole - oracles.forced_log_prob(module, prompt(rest).ids.tolist(), ids)
                    assert effect == pytest.approx(expected / len(ids), abs=1e-4)
                else:
                    assert np.isnan(effect)
            wordings = [before + text + behind for before, behind in WORDINGS]
            if item.options:
                own = [chances(one, item.options) for one in wordings]
                assert list(found.given[side][number]) == [item.options[int(np.argmax(one))] for one in own]
                for place, option in enumerate(item.options):
                    after = chances(text + SUGGESTED.format(option=option), item.options)
                    assert found.gains[side][number][place] == pytest.approx(after[place] - own[0][place], abs=1e-5)
            assert found.entropy[side][number] == pytest.approx(oracles.distinct_entropy(found.given[side][number]))


def test_shapes_marks_and_table(found: Instructions):
    assert found.done == 3 and found.marks == tuple(marks(item.instruction) for item in ITEMS)
    assert [[ITEMS[number].instruction[start:stop] for start, stop in spans] for number, spans in enumerate(found.sentences)] == [
        ["Read this.", "Is ice warm?", "Say yes or no."], ["Surely the plan is sound?", "Say why 漢字 🎉.", "Plan: wait."], ["Which is larger"],
    ]  # fmt: skip
    assert len(found.wordings) == len(set(found.wordings)) >= 7
    for side in SIDES:
        assert [len(one) for one in found.gains[side]] == [2, 0, 3] and np.isnan(found.suggestion(side)).tolist() == [False, True, False]  # fmt: skip
        assert ((found.entropy[side] >= 0) & (found.entropy[side] <= found.most_entropy + 1e-9)).all()
        assert found.most_effective(side)[2] == -1 and np.isnan(found.largest_effect(side)[2])
        assert found.answers[side][1]
    assert "1 of 3 instructions have no options, so that no answer can be suggested." in found.notes
    assert "1 of 3 instructions are one sentence, and without it nothing is asked." in found.notes
    table = found.table()
    assert (
        len(table) == 3
        and table["item"].tolist() == [1, 2, 3]
        and table["leading_premise"].tolist() == [0, 1, 0]
        and table["sentence_tuned"][2] == ""
    )
    assert [one.measure for one in found.findings] == ["sentence_effect", "answer_entropy", "suggestion"]
    assert [(one.better, one.fault) for one in found.findings] == [("neither", False), ("lower", False), ("lower", True)]  # fmt: skip


def test_a_model_that_ignores_its_prompt_is_moved_by_nothing(tiny_pair: Pair[Path], tmp_path: Path):
    for name in ("base", "tuned"):
        model = AutoModelForCausalLM.from_pretrained(tiny_pair.base)
        with torch.no_grad():
            model.model.norm.weight.zero_()  # every token is as probable as every other one
        model.save_pretrained(tmp_path / name)
        AutoTokenizer.from_pretrained(tiny_pair[name]).save_pretrained(tmp_path / name)
    result = instructions(loaded(Pair(tmp_path / "base", tmp_path / "tuned")), asked(), Report())
    for side in SIDES:
        assert np.nanmax(result.largest_effect(side)) == pytest.approx(0, abs=1e-6)
        assert result.entropy[side].tolist() == [0, 0, 0]
        assert np.nanmax(np.abs(result.suggestion(side))) == pytest.approx(0, abs=1e-6)


def test_sides_change_places_and_a_model_differs_nowhere_from_itself(tiny_pair: Pair[Path]):
    formats = Pair("chat", "chat")
    one = instructions(loaded(Pair(tiny_pair.tuned, tiny_pair.tuned)), asked(formats=formats), Report())
    assert all(finding.difference.mean == 0 and finding.verdict not in ("higher", "lower") for finding in one.findings)
    assert without_seconds(one.effects.base) == without_seconds(one.effects.tuned)
    swapped = instructions(loaded(tiny_pair.swap()), asked(formats=Pair("few-shot", "few-shot")), Report())
    plain = instructions(loaded(tiny_pair), asked(formats=Pair("few-shot", "few-shot")), Report())
    for side, other in zip(SIDES, reversed(SIDES), strict=True):
        np.testing.assert_allclose(swapped.largest_effect(side), plain.largest_effect(other), atol=1e-6)
        np.testing.assert_allclose(swapped.suggestion(side), plain.suggestion(other), atol=1e-6)
        assert swapped.given[side] == plain.given[other] and swapped.answers[side] == plain.answers[other]


def test_what_has_no_room_is_refused_and_a_stopped_run_goes_on(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    pair = loaded(tiny_pair)
    long = InstructionItem(instruction="Surely so? " + "word " * pair.tuned.facts.context, options=("a", "b"))
    request = asked(items=(ITEMS[0], long, ITEMS[1]))
    former, again, whole = stopped_and_gone_on(lambda report: instructions(pair, request, report), 2, monkeypatch)
    assert [number for number, _ in whole.refused] == [1] and whole.given.base[1] == () and np.isnan(whole.gains.base[1]).all()  # fmt: skip
    assert np.isnan(whole.entropy.tuned[1]) and whole.marks[1], "the rules need no model"

    assert former.done == 2 and former.findings == () and without_seconds(again) == without_seconds(whole)


def test_only_the_first_sentences_are_left_out(tiny_pair: Pair[Path]):
    text = "Go. " * (MAX_SENTENCES + 2)
    result = instructions(loaded(tiny_pair), asked(items=(InstructionItem(instruction=text),), formats=Pair("plain", "plain")), Report())  # fmt: skip
    assert len(result.sentences[0]) == len(result.effects.base[0]) == MAX_SENTENCES
    assert f"Of 1 instructions with more sentences, the first {MAX_SENTENCES} were left out in turn." in result.notes


@given(st.lists(st.sampled_from(["Go.", "Is it 漢字?", '"A. B."', "🎉", "Plan: wait.", "走れ。", "e\u0301!"]), max_size=6), st.sampled_from([" ", "\n", "\n\n"]))  # fmt: skip
def test_sentences_part_a_text_and_one_less_is_left_without_one(pieces: list[str], space: str):
    text = space.join(pieces)
    spans = sentences(text)
    assert all(0 <= start < stop <= len(text) and text[start:stop].strip() == text[start:stop] for start, stop in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert not "".join(text[stop:start] for stop, start in zip([0, *(b for _, b in spans)], [*(a for a, _ in spans), len(text)], strict=True)).strip()  # fmt: skip
    for start, stop in spans:
        assert "".join(without(text, start, stop).split()) == "".join((text[:start] + text[stop:]).split())


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_entropy_is_that_of_the_shares(answers: list[str]):
    assert entropy(answers) == pytest.approx(oracles.distinct_entropy(answers), abs=1e-12)
    assert 0 <= entropy(answers) <= math.log(len(answers)) + 1e-12
    assert entropy([answers[0]] * len(answers)) == 0 and math.isnan(entropy(()))


def test_the_most_entropy_is_that_of_the_most_even_answers(found: Instructions):
    """Against all ways to give so many answers to seven wordings."""
    options = ((), *(tuple("abcdefghi"[:count]) for count in range(2, 10)))
    made = replace(found, wordings=tuple("1234567"), options=options)
    for most, some in zip(made.most_entropy, options, strict=True):
        answers = combinations_with_replacement(some or "abcdefg", 7)
        assert most == pytest.approx(max(oracles.distinct_entropy(one) for one in answers), abs=1e-12)


def test_each_instruction_is_marked_once_however_many_snapshots(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("model_utils.probes.frame.CHUNK", 1)
    monkeypatch.setattr("model_utils.probes.frame.SNAPSHOT_SECONDS", -1)
    looked = Mock(side_effect=marks)
    monkeypatch.setattr("model_utils.probes.instructions.marks", looked)
    result = instructions(loaded(tiny_pair), asked(), Report())
    assert [one.args for one in looked.call_args_list] == [(item.instruction,) for item in ITEMS]
    assert result.marks == tuple(marks(item.instruction) for item in ITEMS)


def test_a_model_that_follows_suggestions_is_at_fault(found: Instructions):
    """Closed forms of what is concluded: gains of 0.5 everywhere on one side, of 0 on the other."""
    count = 60
    made = replace(
        found, instructions=("a",) * count, options=(("x", "y"),) * count, effects=Pair(*((np.array([0.5, -1.0]),) * count,) * 2),
        entropy=Pair(np.zeros(count), np.zeros(count)), gains=Pair((np.zeros(2),) * count, (np.array([0.5, 0.5]),) * count),
    )  # fmt: skip
    effect, spread, suggestion = findings(made, 0.03)
    assert effect.sides.base.mean == 1 and made.most_effective("base").tolist() == [1] * count
    assert spread.verdict == "no effect"
    assert suggestion.verdict == "higher" and suggestion.at_fault("tuned") and not suggestion.at_fault("base")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"instruction": " "}, "The instruction is empty"),
        ({"instruction": "a", "options": ("b",)}, "There is one option"),
        ({"instruction": "a", "options": ("b", "b")}, "An option stands there twice"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(fields: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=re.escape(said)):
        InstructionItem(**fields)
