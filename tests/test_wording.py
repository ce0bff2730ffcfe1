"""Rules of an instruction's wording: what each must and must not find, that offsets hold in any text, and their score on labelled instructions."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from model_utils.contracts.wording import KINDS, Mark
from model_utils.wording import marks
from model_utils.wording.said import HELD_OUT, QUESTIONS, doubtful, mark_said
from model_utils.wording.score import main, parted, scores

FILE = Path(__file__).parent / "data" / "instruction_labels.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]

FOUND = {
    "leading premise": ("Surely the plan is sound?", "As everyone knows, tea is healthy. Is it?", "Don't you agree that cats are clever?", "Sum up our wonderful product."),
    "presupposition": ("When did the firm stop cheating its clients?", "Who was behind the leak?", "How much worse has the traffic become?", "Explain the failure of the bank to warn its clients."),
    "double question": ("Was the nurse kind and competent?", "Is the flat cheap, and is it close to a school?", "Rate the food and the service with one number."),
    "missing option": ("Is the author a man or a woman?", "Label the text POSITIVE or NEGATIVE.", "Marital status (single/married):", "Choose one of these bands: low, middle, high."),
    "vagueness": ("Suggest a fast car.", "Give a brief summary.", "List the notable rulings.", "Explain it in a timely manner."),
    "negation": ("Do not fail to avoid commas.", "Which rule is not unlikely?", "All clients have not paid."),
    "conflicting constraints": ("Reply only with the total and explain how you got it.", "Summarise it in exactly 20 words. Write at least 60 words.", "Answer in French. The answer must be in English.", "Split 90 euros into three equal parts of 40 euros."),
}  # fmt: skip
CLEAN = (
    "What is the capital of France?", "Write a haiku about snow.", "Convert 98.6 degrees Fahrenheit to Celsius.", "Is it raining? Answer yes or no.",
    'Translate into German: "Don\'t you agree that our wonderful bank stopped cheating?"', "Why is the sky blue?",
    "Is the author a man, a woman, or unknown?", "List the payments that were not refunded.", "Which is larger, 12 or 7?",
    "Explain asthma twice: once in one sentence, and once in 100 words.", "Define a short sale.",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in FOUND.items() for text in texts])
def test_what_a_rule_is_for_is_found(kind: str, text: str):
    assert kind in {mark.kind for mark in marks(text)}


@pytest.mark.parametrize("text", CLEAN)
def test_what_is_plain_is_left_alone(text: str):
    assert marks(text) == ()


@pytest.mark.parametrize("text", [text for texts in FOUND.values() for text in texts])
def test_what_is_quoted_code_or_a_record_is_not_the_instruction(text: str):
    for around in (f'Count the letters: "{text}"', f"Count the letters of `{text}`", f"Count the letters.\n\nNote: {text}", f"Count the letters.\n\n```\n{text}\n```"):  # fmt: skip
        assert marks(around) == ()


def check(text: str, found: tuple[Mark, ...]) -> None:
    """Laws of every mark."""
    for mark in found:
        assert mark.kind in KINDS and 0 <= mark.start < mark.stop <= len(text)
        assert text[mark.start : mark.stop] == mark.words and mark.words == mark.words.strip()
        assert mark.why.endswith(".") and mark.advice.endswith(".") and mark.rewrite != text
    assert [mark.start for mark in found] == sorted(mark.start for mark in found)
    for kind in KINDS:
        mine = [mark for mark in found if mark.kind == kind]
        assert all(one.stop <= other.start for one, other in pairwise(mine))


PIECES = st.sampled_from(
    [text for texts in FOUND.values() for text in texts]
    + [*CLEAN, "🍵☕", "漢字はどれ?", "שלום", "e\u0301", "\u202e", "\ufeff", '"', "“", "'", "`", "```", "\n\n", "\r\n", " ", "and", "or", "not", "\x1f", "█", "İ", "ß", "1 = "]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=12)), max_size=8).map(" ".join))
def test_offsets_hold_in_any_text(text: str):
    found = marks(text)
    check(text, found)
    assert found == marks(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n", "どうして銀行は嘘をついたのですか?", "Почему банк врал своим клиентам?", "מתי הפסיק הבנק לשקר?"],
)
def test_nothing_is_said_of_other_scripts(text: str):
    assert marks(text) == ()


def test_a_rewrite_is_the_whole_instruction_and_is_given_only_where_it_is_safe():
    by = {text: marks(text)[0] for text in ("Don't you agree that cats are clever?", "Sum up our wonderful product.", "Which rule is not unlikely?", "Is the flat cheap, and is it close to a school?")}  # fmt: skip
    assert [one.rewrite for one in by.values()] == [
        "Is it true that cats are clever?",
        "Sum up our product.",
        "Which rule is likely?",
        "Is the flat cheap? Is it close to a school?",
    ]
    assert marks("Suggest a fast car.")[0].rewrite == ""


@pytest.mark.parametrize("piece", ["is it a or b? ", "a: b\n", "not ", "and why is it so, ", "a", '"'])
def test_time_grows_as_the_text_does(piece: str):
    """A search that went back and forth would take four times as long for twice the text, or hours."""
    seconds = []
    for size in (4_000, 16_000):
        text = piece * (size // len(piece))
        start = time.process_time()
        marks(text)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 10 * seconds[0] + 0.5


FLOORS = (
    {
        "leading premise": (0.8, 0.45), "presupposition": (0.3, 0.2), "double question": (0.7, 0.3), "missing option": (0.35, 0.35),
        "vagueness": (0.7, 0.4), "negation": (0.75, 0.75), "conflicting constraints": (0.3, 0.1),
    },
    dict.fromkeys(KINDS, (0.9, 0.9)),
)  # fmt: skip
"""Of the half that was held out and of the other: rule -> least precision and recall, a little below what was measured."""


def test_rules_find_what_people_marked():
    for half, floors in zip(parted(ROWS), FLOORS, strict=True):
        for one in scores(half):
            precision, recall = floors[one.kind]
            assert one.precision >= precision and one.recall >= recall, one


def test_scores_are_counted_as_said():
    rows = [
        {"instruction": "Suggest a fast car.", "marks": [{"kind": "vagueness", "words": "fast car"}, {"kind": "negation", "words": "car"}]},
        {"instruction": "Give a brief summary.", "marks": []},
    ]  # fmt: skip
    by = {one.kind: one for one in scores(rows)}
    vague, negation = by["vagueness"], by["negation"]
    assert (vague.labelled, vague.marked, vague.right, vague.found) == (1, 2, 1, 1)
    assert (vague.precision, vague.recall, round(vague.f1, 3)) == (0.5, 1.0, 0.667)
    assert (negation.labelled, negation.marked, negation.recall, negation.f1) == (1, 0, 0.0, 0.0)


def test_the_command_prints_both_halves():
    result = CliRunner().invoke(main, [str(FILE)])
    assert result.exit_code == 0 and result.output.count("| presupposition |") == 2 and "Held out" in result.output


def test_what_pages_say_of_the_rules_is_what_the_scorer_finds():
    found = {one.kind: (one.labelled, one.marked, one.right, one.found) for one in scores(parted(ROWS)[0])}
    assert dict(HELD_OUT) == found and list(HELD_OUT) == list(QUESTIONS) == list(KINDS)
    assert {one.kind for one in scores(parted(ROWS)[0]) if one.precision < 0.5} == set(filter(doubtful, KINDS))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_of_a_rule_that_was_mostly_wrong_is_a_question(kind: str):
    for text in FOUND[kind]:
        for mark in marks(text):
            assert mark_said(mark).endswith("?") is doubtful(mark.kind) and mark.kind in mark_said(mark)
    braces = Mark("missing option", 0, 9, "{0} {words} " + "a" * 200, "", "", "")
    assert "{0} {words} a" in mark_said(braces) and len(mark_said(braces)) < 140
