"""Checks: counts that hold in every script, and answers told apart."""

from __future__ import annotations

import time
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from model_utils import checks
from model_utils.checks import Check
from model_utils.contracts.common import explain
from tests.strategies import texts

pytestmark = pytest.mark.slow

EXAMPLES = {
    "items": (Check(kind="items", exactly=3), "dogs, cats and horses", "dogs and cats"),
    "words": (Check(kind="words", at_most=3), "one well-known word", "one two three four"),
    "sentences": (Check(kind="sentences", exactly=2), "It is 3.5 km. Go!", "Dr. Smith went home."),
    "paragraphs": (Check(kind="paragraphs", exactly=2), "one\n***\ntwo", "one\ntwo"),
    "lines": (Check(kind="lines", at_least=2), "one\n\ntwo", "one two"),
    "bullets": (Check(kind="bullets", exactly=2), "- one\n* two", "- one\n**two**"),
    "placeholders": (Check(kind="placeholders", at_least=1), "Dear [name]", "Dear [](name) [a](b)"),
    "highlighted": (Check(kind="highlighted", exactly=2), "*one* and **two**", "2 * 3 * 4\n* one"),
    "contains": (Check(kind="contains", text="cat", at_least=2), "Cat, cat!", "cat concatenates"),
    "letters": (Check(kind="letters", text="q", at_most=1), "Quite", "Quick quotes"),
    "forbids": (Check(kind="forbids", text="cat"), "concatenate", "A CAT."),
    "starts_with": (Check(kind="starts_with", text="Well"), '"Well, yes.', "Wellness"),
    "ends_with": (Check(kind="ends_with", text="done"), "All done!", "All undone"),
    "one_of": (Check(kind="one_of", options=("yes", "no")), "Yes.", "yes, because"),
    "json": (Check(kind="json"), '```json\n{"a": [1]}\n```', '{"a": NaN}'),
    "number": (Check(kind="number"), "-1,234.5", "about 4"),
    "upper": (Check(kind="upper"), "ÄÖ 漢字 1", "Äö"),
    "lower": (Check(kind="lower"), "äö 漢字 1", "Äö"),
    "no_commas": (Check(kind="no_commas"), "one and two", "one，two"),
    "quotation": (Check(kind="quotation"), "“Yes.”", '"'),
    "title": (Check(kind="title"), "<<A day>>\nIt was.", "<< >>"),
}
"""Of each kind: a check, an answer that holds to it and one that does not."""

COUNTING = [kind for kind, verifier in checks.KINDS.items() if verifier.takes == checks.COUNTS]
EVERY = [check for check, _, _ in EXAMPLES.values()]


def test_every_kind_has_an_example():
    assert tuple(checks.KINDS) == get_args(checks.Kind) and list(EXAMPLES) == list(checks.KINDS)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_check_tells_answers_apart(kind: str):
    check, good, bad = EXAMPLES[kind]
    assert check.kind == kind and check.passes(good) and not check.passes(bad)
    assert check.found(good) != check.found(bad), "what was found is the reason"
    assert check.passes(f"\n {good} \n"), "space around an answer is not the answer"


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
@pytest.mark.parametrize("empty", ["", " ", "\n\t"])
def test_an_empty_answer_holds_to_nothing(check: Check, empty: str):
    assert not check.passes(empty) and check.found(empty) == "an empty answer"


@given(texts)
@example("[" * 10_000)
@example("[a" + "b" * 5_000)
@example("9" * 5_000)
@example("a" + " " * 10_000 + "b")
def test_every_text_holds_to_a_check_or_to_its_opposite(text: str):
    for kind in COUNTING:
        few, many = Check(kind=kind, at_most=2), Check(kind=kind, at_least=3)
        assert few.passes(text) + many.passes(text) == bool(text.strip())
    for word in ("a", "0", "字"):
        pair = Check(kind="contains", text=word), Check(kind="forbids", text=word)
        assert sum(check.passes(text) for check in pair) == bool(text.strip())
    for check in EVERY:
        spaced = f"\n {text} \t"
        assert (check.passes(spaced), check.found(spaced)) == (check.passes(text), check.found(text))


LONG = {
    "one gap": "a" + " " * 100_000 + "b",
    "gaps": ("a" + " " * 1_000) * 100,
    "gaps before and": "a" + " " * 50_000 + "and" + " " * 50_000,
    "an open fence": "```json\n" + " \n" * 50_000 + "a",
    "a fence": "```json\n" + " " * 100_000 + "[1]\n```",
    "open brackets": "[" * 100_000,
    "open stars": "*a " * 30_000,
    "points": "a." * 50_000,
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_answer_is_checked_in_a_second(name: str):
    """Spaces were searched for an 'and', and for the end of a fence, again from each of them: 11 s for 30,000."""
    for check in EVERY:
        began = time.process_time()
        check.passes(LONG[name])
        assert time.process_time() - began < 1, check.kind


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.kind)
def test_a_check_is_the_same_after_json(check: Check):
    assert Check.model_validate_json(check.model_dump_json(exclude_defaults=True)) == check
    assert Check.model_validate_json(check.model_dump_json()) == check


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "words"}, "'words' needs at_least or at_most or exactly"),
        (
            {"kind": "words", "text": "a", "at_most": 3},
            "given at_most and text; it takes at_least or at_most or exactly",
        ),
        ({"kind": "json", "at_most": 3}, "it takes nothing more"),
        ({"kind": "words", "at_least": 5, "at_most": 3}, "at_least 5 and at_most 3"),
        ({"kind": "words", "exactly": 5, "at_most": 3}, "leave one of them out"),
        ({"kind": "contains"}, "'contains' needs text"),
        ({"kind": "contains", "text": "\u200f"}, "only space"),
        ({"kind": "letters", "text": "ab", "at_least": 1}, "use 'contains'"),
        ({"kind": "one_of"}, "'one_of' needs options"),
        ({"kind": "wrods", "at_most": 3}, "'items', 'words'"),
    ],
)
def test_a_check_that_cannot_be_is_refused_with_a_sentence(given: dict, said: str):
    with pytest.raises(ValidationError) as caught:
        Check.model_validate(given)
    assert said in explain(caught.value)


# Counting


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("don't stop", 2),
        ("It costs 1,000.50 dollars.", 4),
        ("e\u0301te\u0301", 1),
        ("नमस्ते दुनिया", 2),
        ("漢字です。", 4),
        ("한국어 문장", 2),
        ("שלום \u200fעולם", 2),
        ("مَرْحَبًا بِكَ", 2),
        ("🎉 👩🏽‍🚀 !", 0),
        ("a\u200bb a\u00adb", 3),
    ],
)
def test_words_of_every_script(text: str, count: int):
    assert checks.words(text) == count


@pytest.mark.parametrize(
    ("text", "letter", "count"),
    [
        ("straße", "s", 1),
        ("Straẞe", "ß", 1),
        ("ΟΔΟΣ, οδος, οδός", "σ", 3),
        ("Cafe\u0301 CAFÉ", "é", 2),
        ("ﬁsh", "f", 0),
        ("Iİıi", "i", 3),
        ("Quite a queue", "Q", 2),
        ("“so”", '"', 2),
    ],
)
def test_letters_are_counted_in_whatever_case_and_none_is_made_two(text: str, letter: str, count: int):
    """Without case ß was ss, so that 'straße' had three s."""
    assert checks.letters(text, letter) == count
    assert Check(kind="letters", text=letter, exactly=count).passes(text)


@given(st.lists(st.sampled_from(["cat", "e\u0301", "שלום", "مرحبا", "नमस्ते", "한국어", "3.14"]), max_size=9), texts)
def test_words_add_up(parts: list[str], more: str):
    assert checks.words(" ".join(parts)) == len(parts)
    assert checks.words(" ".join([*parts, more])) == len(parts) + checks.words(more)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three?", 3),
        ("Mr. J. Smith paid 3.50, e.g. to Dr. No. Then he left.", 2),
        ('He said "Go." She went.', 2),
        ("no full stop", 1),
        ("これは文です。もう一つ！", 2),
        ("هل أنت هنا؟ نعم.", 2),
        ("यह एक है। यह दो है।", 2),
        ("Wait... what?", 1),
        ("1. One\n2. Two", 2),
        ("One\n\nTwo", 2),
        ("🎉!", 0),
    ],
)
def test_sentences(text: str, count: int):
    assert checks.sentences(text) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("- a\n- b\n  - b1\n- c", 3),
        ("1. dog\n2) cat", 2),
        ("1. dog 2. cat 3. cow", 3),
        ("Here are three:\ndog\ncat\ncow", 3),
        ("dog\ncat\ncow", 3),
        ("dog, cat, and cow.", 3),
        ("dog, cat and cow", 3),
        ("salt and pepper, bread and butter", 2),
        ("犬、猫、馬", 3),
        ("كلب، قطة", 2),
        ("1,000 and 2,000", 2),
        ("dog,  cat   and\tcow .", 3),
        ('[\n  "dog",\n  "cat",\n  "cow"\n]', 3),
        ('```json\n["salt, pepper", "oil"]\n```', 2),
        ('{\n  "animals": ["dog", "cat"]\n}', 2),
        ("[]", 0),
        ("dog", 1),
        ("The dog is an animal that has lived with people for long, and it barks.", 1),
    ],
)
def test_items(text: str, count: int):
    assert checks.items(text) == count


@pytest.mark.parametrize(
    ("text", "phrase", "count"),
    [
        ("The cat's CAT concatenates.", "cat", 2),
        ("well known, well\nknown", "well known", 2),
        ("cafe\u0301 cafe", "café", 1),
        ("cafe\u0301", "cafe", 0),
        ("漢字の字", "字", 2),
        ("\u200fשלום.", "שלום", 1),
        ("a.b axb", "a.b", 1),
        ("STRASSE", "straße", 1),
        ("What? what?!", "what?", 2),
    ],
)
def test_whole_words_are_found_in_whatever_case(text: str, phrase: str, count: int):
    assert checks.occurrences(text, phrase) == count


@given(st.sampled_from(["cat", "漢字", "שלום", "e\u0301te\u0301"]), st.integers(0, 5))
def test_an_answer_contains_a_word_or_forbids_it(word: str, times: int):
    answer = f"so {word} " * times + "."
    assert checks.occurrences(answer, word) == times
    assert Check(kind="contains", text=word).passes(answer) != Check(kind="forbids", text=word).passes(answer)
    assert Check(kind="contains", text=word, exactly=times).passes(answer)
