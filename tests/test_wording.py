"""Rules of an instruction's wording: what each must and must not find, that offsets hold in any text, and their score on labelled instructions."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from model_utils.contracts.wording import KINDS, Mark
from model_utils.wording import REWRITTEN, marks
from model_utils.wording.said import COUNTED, mark_said
from model_utils.wording.score import main, rows_of, scores, table

DATA = Path(__file__).parent / "data"
SEEN, HELD_OUT = DATA / "instruction_labels.jsonl", DATA / "instruction_labels_2.jsonl"
README = Path(__file__).parent.parent / "README.md"

FOUND = {
    "leading premise": ("How dismal is the plan?", "Surely the plan is sound?", "As everyone knows, tea is healthy. Is it?", "Don't you agree that cats are clever?", "Sum up our wonderful product."),
    "presupposition": ("When did the firm stop cheating its clients?", "Who was behind the leak?", "How much worse has the traffic become?", "Explain the failure of the bank to warn its clients.", "How come the bank misled its clients?", "Why do cyclists always jump the lights?"),
    "double question": ("Was the nurse kind and competent?", "Is the flat cheap, and is it close to a school?", "Rate the food and the service with one number.", "Is the shop shut, did it move to Kiel?"),
    "missing option": ("Is the author a man or a woman?", "Label the text POSITIVE or NEGATIVE.", "Marital status (single/married):", "Choose one of these bands: low, middle, high.", "Did the price go up or down?", "Sort the mails into these folders: bills, friends, spam."),
    "vagueness": ("Suggest a fast car.", "Give a brief summary.", "List the notable rulings.", "Explain it in a timely manner.", "Polish my letter.", "Tell me if her pulse is okay.", "Flag anything odd.", "Why have sales fallen of late?"),
    "negation": ("Do not fail to avoid commas.", "Which rule is not unlikely?", "All clients have not paid."),
    "conflicting constraints": ("Reply only with the total and explain how you got it.", "Summarise it in exactly 20 words. Write at least 60 words.", "Answer in French. The answer must be in English.", "Split 90 euros into three equal parts of 40 euros.", "Write 100 words: four sentences of ten words each.", "Name two causes only. Put your five causes in order.", "List all the rivers. Name exactly three."),
}  # fmt: skip
CLEAN = (
    "What is the capital of France?", "Write a haiku about snow.", "Convert 98.6 degrees Fahrenheit to Celsius.", "Is it raining? Answer yes or no.",
    'Translate into German: "Don\'t you agree that our wonderful bank stopped cheating?"', "Why is the sky blue?",
    "Is the author a man, a woman, or unknown?", "List the payments that were not refunded.", "Which is larger, 12 or 7?",
    "Explain asthma twice: once in one sentence, and once in 100 words.", "Define a short sale.",
    "When did Nokia stop making phones?", "How do I hide a column?", "Correct the errors in this text.", "Who killed Caesar?", "Can I pay by card or in cash?", "Is a whale a fish or a mammal?",
    "Which of these words is a verb: run, pear, blue?", "Who chairs the board, and since when?", "Does she sing as well as her sister does?", "By how much did sales rise or fall?",
    "Write one paragraph of five sentences, each of at most 12 words.", "Explain exactly one of the three rules of the lease.", "Answer in English. Put the French word in brackets.",
    "List the words that people often misspell.", "Count the cases of late delivery.", "Turn these notes into a poem: frost 3, rain 12, sun 40.", "Translate into Dutch: frost, rain, sun.", "12 + 30 = ?",
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


@pytest.mark.parametrize(
    ("text", "rewrite"),
    [
        ("Sugar, as we all know, is bad.", "Sugar is bad."),
        ("Explain why, as everyone knows, sugar is bad", "Explain why sugar is bad"),
        ("Ask a so-called expert", ""),
        ("Ask a so-called MP.", ""),
        ("Ask a so-called doctor.", "Ask a doctor."),
        ("Ask the so-called expert.", "Ask the expert."),
        ("Describe a not unimportant event.", ""),
        ("Tea is healthy, as everyone knows.", "Tea is healthy."),
        ("Tea is healthy as everyone knows. Why?", "Tea is healthy. Why?"),
        ("Why? As we all know, it is good.", "Why? It is good."),
        ("Tea (as we all know) is good.", ""),
        ("Tea – as we all know – is good.", ""),
        ("Tea, as we all know is good.", ""),
        ("As everyone knows: tea is good.", ""),
    ],
)
def test_what_is_left_without_words_is_a_sentence_or_no_rewrite_is_given(text: str, rewrite: str):
    assert marks(text)[0].rewrite == rewrite


def test_a_very_long_instruction_has_no_rewrites():
    """Each is as long as the instruction, and there may be one for each mark."""
    piece = "Sum up our wonderful product. "
    assert all(one.rewrite for one in marks(piece * 10)) and marks(piece * 10)
    assert not any(one.rewrite for one in marks(piece * (1 + REWRITTEN // len(piece))))


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


FLOORS = {
    SEEN: {
        "leading premise": (0.94, 0.83), "presupposition": (0.96, 0.93), "double question": (0.96, 0.90), "missing option": (0.96, 0.79),
        "vagueness": (0.92, 0.94), "negation": (0.93, 0.90), "conflicting constraints": (0.96, 0.85),
    },
    HELD_OUT: {
        "leading premise": (0.86, 0.72), "presupposition": (0.79, 0.51), "double question": (0.91, 0.57), "missing option": (0.83, 0.72),
        "vagueness": (0.85, 0.69), "negation": (0.82, 0.89), "conflicting constraints": (0.89, 0.49),
    },
}  # fmt: skip
"""Of the labels with which the rules were improved, and of those that were held out: rule -> least precision and recall, a little below what
was measured."""


@pytest.mark.parametrize("labels", FLOORS, ids=lambda path: path.stem)
def test_rules_find_what_was_labelled(labels: Path):
    for one in scores(rows_of(labels)):
        precision, recall = FLOORS[labels][one.kind]
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


def test_the_command_prints_the_table_of_the_readme():
    result = CliRunner().invoke(main, [str(HELD_OUT)])
    assert result.exit_code == 0 and result.output.strip() == table(rows_of(HELD_OUT))
    assert result.output.strip() in README.read_text(encoding="utf-8")


def test_what_pages_say_of_the_rules_is_what_the_scorer_finds():
    found = {one.kind: (one.labelled, one.marked, one.right, one.found) for one in scores(rows_of(HELD_OUT))}
    assert dict(COUNTED) == found and list(COUNTED) == list(KINDS)


def test_a_mark_is_said_on_one_line_however_long_its_words():
    braces = Mark("missing option", 0, 9, "{0} {words}\n" + "a" * 200, "", "", "")
    assert mark_said(braces).startswith("missing option: ‘{0} {words} a") and len(mark_said(braces)) < 100
