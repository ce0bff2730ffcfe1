"""Perturbations: the input, digits, quoted strings and options stay as they are, every draw hangs on the seed alone, names are those of the request."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils.contracts.probe import INPUT, ProbeItem
from model_utils.contracts.robustness import AS_WRITTEN, MAX_FORMATS, PERTURBATIONS, RobustnessRequest
from model_utils.probes.perturbations import CHANGES, OWN, Wording, layouts_of, names, wordings
from model_utils.probes.synonyms import SYNONYMS, replaced
from tests.strategies import texts

pytestmark = pytest.mark.slow

WHOLE = (
    "🎉",
    "👩🏽‍🚀",
    "🇫🇷",
    "漢字",
    "ひらがな",
    "שלום",
    "مرحبا",
    "e\u0301",
    "Z\u0351\u036b\u0343",
    "किताब",
    "ﬁ",
    "ß",
    "İ",
)
"""What must not be torn apart; some of it is letters that have two cases."""
QUOTED = ('"Two, big trips?"', "“the Whole list, please.”", "«maybe»", "'So the answer is'", "`choose(x)`", "„Größe“", "‘a lot of’")  # fmt: skip
NUMBERS = ("34", "3,000", "19:45", "12.5", "2nd", "B12", "1990,", "٣")
OPTIONS = ("approve", "deny", "New York", "A", "very large", "42", "漢字")
PLAIN = (
    "Please", "tell me", "which", "kind of", "animal", "is", "the", "largest,", "Name", "several", "colours.", "Sort the", "words?", "Should",
    "this loan be", "approved?", "an error", "Give", "reasons first.", "\n", "Dr. Smith", "snake_case", "https://example.org/Give", "{slot}",
)  # fmt: skip


@st.composite
def items(draw: st.DrawFn) -> ProbeItem:
    """Pieces of every kind, perhaps with an input among them or behind them."""
    given_input = draw(st.one_of(st.just(""), st.sampled_from(["Income: 3000. {input}", "cat", "a line\n"])))
    pieces = draw(st.lists(st.sampled_from(PLAIN + QUOTED + NUMBERS + OPTIONS + WHOLE), min_size=1, max_size=14))
    if given_input and draw(st.booleans()):
        pieces.insert(draw(st.integers(0, len(pieces))), INPUT)
    options = tuple(draw(st.lists(st.sampled_from(OPTIONS), min_size=2, max_size=4, unique=True)))
    several = st.lists(st.sampled_from(["Which one?", "Say it.", "{input}!" if given_input else "So?"]), max_size=5).map(tuple)  # fmt: skip
    instruction = draw(st.sampled_from([" ", "  "])).join(pieces)
    if not instruction.strip():
        instruction = "What is it?"
    return ProbeItem(
        instruction=instruction, input=given_input, options=options, paraphrases=draw(several), training=draw(several),
        held_out=draw(several),
    )  # fmt: skip


requests = st.builds(
    RobustnessRequest,
    items=st.lists(items(), min_size=1, max_size=3).map(tuple),
    seed=st.integers(0, 2**32 - 1),
    formats_drawn=st.integers(0, 6),
    wordings_drawn=st.integers(1, 4),
)


def one(instruction: str, kind: str, seed: int = 0, **fields: object) -> str:
    """The text after one perturbation."""
    item = ProbeItem.model_validate({"instruction": instruction, "answer": "x", **fields})
    request = RobustnessRequest(items=(item,), perturbations=(kind,), seed=seed, formats_drawn=1)
    return wordings(item, request, 0)[1].text


def every(instruction: str, kind: str, **fields: object) -> set[str]:
    """What forty seeds make of it."""
    return {one(instruction, kind, seed, **fields) for seed in range(40)}


def changed(request: RobustnessRequest) -> list[tuple[ProbeItem, Wording]]:
    """Every wording that a perturbation made, not the items' own."""
    made = [(item, w) for i, item in enumerate(request.items) for w in wordings(item, request, i)]
    return [(item, wording) for item, wording in made if wording.text and wording.kind not in OWN]


# Names


@given(requests)
def test_names_are_the_same_for_every_item_and_the_first_is_as_written(request: RobustnessRequest):
    expected = names(request)
    assert expected[0] == (AS_WRITTEN, AS_WRITTEN) and len(set(expected)) == len(expected)
    for number, item in enumerate(request.items):
        made = wordings(item, request, number)
        assert tuple((wording.name, wording.kind) for wording in made) == expected
        assert made[0].text == item.asked()
        assert all(wording.text != item.asked() for wording in made[1:]), "another text, or none"


def test_names_follow_the_table_whatever_the_order_asked_in_and_no_wording_is_named_that_no_item_has():
    item = ProbeItem(instruction="a", answer="b", paraphrases=("c", "d"), held_out=("e",) * 5)
    request = RobustnessRequest(items=(ProbeItem(instruction="a", answer="b"), item), perturbations=PERTURBATIONS[::-1], formats_drawn=2)  # fmt: skip
    found = [name for name, _ in names(request)]
    assert found[1 : 1 + len(CHANGES)] == list(CHANGES)
    assert found[1 + len(CHANGES) :] == ["format 1", "format 2", "paraphrase 1", "paraphrase 2", "held out 1", "held out 2", "held out 3"]  # fmt: skip
    assert {*CHANGES, *OWN, "format"} == set(PERTURBATIONS)


# What stays


@given(requests)
def test_input_digits_quoted_strings_and_whole_characters_stay(request: RobustnessRequest):
    for item, wording in changed(request):
        told = (wording.name, wording.text)
        assert item.input in wording.text, told
        assert sorted(re.findall(r"\d", wording.text)) == sorted(re.findall(r"\d", item.asked())), told
        for piece in (*QUOTED, *NUMBERS, "{slot}", "https://example.org/Give"):
            assert wording.text.count(piece) == item.asked().count(piece), told
        for piece in WHOLE:
            assert wording.text.lower().count(piece.lower()) == item.asked().lower().count(piece.lower()), told


@given(requests)
def test_the_options_words_stay(request: RobustnessRequest):
    for item, wording in changed(request):
        for word in {word for option in item.options for word in option.split()}:
            pattern = rf"(?<!\w){word}(?!\w)" if word.isascii() else word
            there = re.findall(pattern, item.asked())
            assert len(re.findall(pattern, wording.text)) >= len(there), (word, wording)


@given(st.lists(texts, min_size=1).map("".join).filter(lambda text: bool(text.strip()) and INPUT not in text))
def test_any_text_can_be_perturbed(text: str):
    item = ProbeItem(instruction=text, input="{input} 1", answer="x")
    request = RobustnessRequest(items=(item,))
    for wording in wordings(item, request, 0):
        assert not wording.text or item.input in wording.text


# Where draws come from


@given(requests, st.integers(0, 10_000))
def test_a_wording_hangs_on_seed_number_and_name_alone(request: RobustnessRequest, number: int):
    """Neither on the other items, nor on what else is asked for, nor on the order."""
    item = request.items[-1]
    alone = request.model_copy(update={"items": (item,)})
    assert wordings(item, alone, number) == wordings(item, alone, number)
    together = {w.name: w.text for w in wordings(item, alone, number)}
    for kind in PERTURBATIONS:
        part = wordings(item, alone.model_copy(update={"perturbations": (kind,)}), number)
        assert {w.name: w.text for w in part}.items() <= together.items()


def test_wordings_are_the_same_in_every_process():
    code = (
        "from model_utils.contracts.robustness import RobustnessRequest as R; from model_utils.probes import suites, perturbations as p;"
        "items = suites.SUITES['english/facts'].make(20, 5); request = R(items=items, seed=9);"
        "print([p.wordings(item, request, i) for i, item in enumerate(items)])"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, cwd=Path(__file__).parents[1], capture_output=True,
            check=True, text=True, timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert printed[0] == printed[1] and len(printed[0]) > 10_000


def test_another_seed_or_number_draws_differently():
    text = "Tell me which of these large animals usually lives in the wet forest, and give several reasons for your answer."
    item = ProbeItem(instruction=text, answer="x", paraphrases=tuple("abcdefgh"))
    made, formats = set(), []
    for seed in range(5):
        request = RobustnessRequest(items=(item,), seed=seed)
        drawn = {(w.name, w.text) for number in range(5) for w in wordings(item, request, number)}
        formats.append({(name, text) for name, text in drawn if name.startswith("format")})
        made |= drawn
    assert sum(name == "typos" for name, _ in made) == 25
    assert sum(name == "paraphrase 1" for name, _ in made) > 4
    assert all(len(one) == 6 for one in formats), "layouts are drawn once for all items"
    assert len(set(map(frozenset, formats))) == 5


# Own wordings


@given(requests)
def test_an_own_wording_is_exactly_one_of_the_items_and_none_twice(request: RobustnessRequest):
    for number, item in enumerate(request.items):
        made = wordings(item, request, number)
        for kind, (_, of) in OWN.items():
            found = [wording.text for wording in made if wording.kind == kind and wording.text]
            possible = {item.asked(wording) for wording in of(item)} - {item.asked()}
            assert set(found) <= possible and len(found) == len(set(found)) == min(len(possible), request.wordings_drawn)  # fmt: skip


# Each perturbation


@pytest.mark.parametrize("count", [1, 4, 8, 12, 16, 40])
def test_one_word_in_eight_is_mistyped_by_one_letter(count: int):
    words = ["garden", "letter", "window", "summer"] * 10
    text = " ".join(words[:count])
    for seed in range(10):
        typed = one(text, "typos", seed).split(" ")
        wrong = [(a, b) for a, b in zip(words, typed, strict=False) if a != b]
        assert len(wrong) == max(1, round(count / 8)) and len(typed) == count
        for right, mistyped in wrong:
            assert abs(len(right) - len(mistyped)) <= 1 and right[0] == mistyped[0]
            longer, shorter = sorted((right, mistyped), key=len, reverse=True)
            dropped = [longer[:i] + longer[i + 1 :] for i in range(len(longer))]
            swapped = [right[:i] + right[i + 1] + right[i] + right[i + 2 :] for i in range(len(right) - 1)]
            assert mistyped in swapped or shorter in dropped


def test_typos_leave_short_words_names_and_options_alone():
    assert every("Is it in Prague or in Vienna? Vet: 5a", "typos") == {""}
    assert every("approve deny", "typos", options=("approve", "deny"), answer="deny") == {""}
    assert all("Vienna" in text for text in every("Tell me where Vienna lies", "typos"))


def test_case_changes_what_may_be_touched_and_nothing_else():
    assert one("Say WHY it is 'So' in Room B2", "lower case") == "say why it is 'So' in room B2"
    assert one("Größe, ÉTÉ?", "upper case") == "GRÖßE, ÉTÉ?"
    assert one("is it?", "lower case") == one("IS IT 5?", "upper case") == ""
    assert one("Is it yes or no?", "upper case", options=("yes", "no"), answer="no") == "IS IT yes OR no?"


def test_punctuation_is_dropped_or_doubled():
    assert every("Is it so?", "punctuation") == {"Is it so", "Is it so??"}
    assert every("If so, why, then", "punctuation") == {"If so why then"}
    assert every("Read: {input}", "punctuation", input="a.") == {"Read a.", "Read:: a."}
    assert every("Add 20, 75 and 1,000", "punctuation") == every('Say "yes, please."', "punctuation") == {""}
    assert every("One of: yes, no, maybe", "punctuation", options=("yes", "no"), answer="no") == {""}


def test_politeness_keeps_the_request_and_never_stands_behind_the_input():
    for text in every("Name a river. {input}", "politeness", input="Here?"):
        assert text.endswith(("Name a river. Here?", "Please name a river. Here?"))
    assert "Please sort 3 and 1." in every("Sort 3 and 1.", "politeness")
    assert not any(text.startswith("Please what") for text in every("What is it?", "politeness"))
    assert "What is it? Thank you." in every("What is it?", "politeness")


def test_order_puts_the_input_first_or_the_last_sentence():
    assert one("Is it good?", "order", input="It was.") == "It was.\n\nIs it good?"
    assert one("Is it good? {input}", "order", input="It was.") == "It was. Is it good?"
    assert one("{input}\nIs it good?", "order", input="It was") == "Is it good?\nIt was"
    assert (
        one("Read {input} and answer.", "order", input="a") == one("The capital of {input}", "order", input="a") == ""
    )
    assert one("{input} is what?", "order", input="a dog") == "", (
        "a sentence that the input begins cannot be parted from it"
    )
    assert one("Tom has 3. He eats 1. How many?", "order") == "How many? Tom has 3. He eats 1."
    assert one("Tom has 3. Say how many", "order") == "Say how many\nTom has 3."
    assert (
        one("Dr. Smith eats.", "order") == one("He said 'Go. Stop.' often.", "order") == one("One only", "order") == ""
    )


def test_a_distractor_holds_no_digit_and_no_option_and_never_stands_behind_the_input():
    for text in every("Is it good? {input}", "distractor", input="It was."):
        assert text.endswith(" Is it good? It was.") and not re.search(r"\d", text)
    both = every("Is it good?", "distractor")
    assert any(text.startswith("Is it good? ") for text in both) and any(text.endswith(" Is it good?") for text in both)
    options = ("cat", "bus", "garden", "the weather")
    for text in every("Which?", "distractor", options=options, answer="cat"):
        assert not re.search(r"\b(cat|bus|garden|weather|the)\b", text, re.IGNORECASE)


# Layouts


@given(st.integers(0, 2**32 - 1), st.integers(1, MAX_FORMATS))
def test_layouts_differ_from_each_other_with_an_input_and_without(seed: int, count: int):
    """Fifty can be drawn: there are more heads than that."""
    with_input, without = ProbeItem(instruction="Is it?", input="It is.", answer="x"), ProbeItem(instruction="a", answer="x")  # fmt: skip
    request = RobustnessRequest(items=(with_input, without), seed=seed, formats_drawn=count, perturbations=("format",))
    assert len(set(layouts_of(request))) == count
    for number, item in enumerate(request.items):
        found = [wording.text for wording in wordings(item, request, number)]
        assert len(set(found)) == count + 1
        assert all(item.instruction in text and text.endswith(item.input or item.instruction) for text in found)


def test_an_input_that_cannot_be_parted_stays_where_it_is():
    assert one("Read {input} twice.", "format", input="it").endswith("Read it twice.")


# Synonyms


def test_the_table_of_synonyms_holds_words_in_lower_case_that_are_not_their_own():
    for word, others in SYNONYMS.items():
        assert word == word.lower() and word not in others and len(set(others)) == len(others) > 0
        assert all(re.fullmatch(r"[a-z]+(?:[ -][a-z]+)*", other) for other in (word, *others))


@given(st.sampled_from(sorted(SYNONYMS)), st.sampled_from([str.lower, str.upper, str.capitalize]), st.integers(0, 99))
def test_a_word_is_replaced_in_its_case_and_an_article_before_it_stays_right(word: str, case, seed: int):
    rng = random.Random(seed)
    text = replaced(f"See {case(word)} now", rng, lambda start, end: True)
    assert text in {f"See {case(other)} now" for other in SYNONYMS[word]}
    for article in ("a", "an"):
        found = replaced(f"{article} {word}", rng, lambda start, end: True).removeprefix(article + " ")
        assert found == word or (found[0] in "aeiou") == (article == "an")


def test_a_part_of_a_word_is_no_word():
    kept = "bigger-picture Biggs ebig big's big\u0301 big_ BIG5 déjàbig"
    assert one(kept, "synonyms") == one("big-hearted", "synonyms") == ""
    assert every("Big trips", "synonyms") == {"Large journeys"}


@pytest.mark.parametrize("text", ["“" * 100_000, "'" * 100_001, "{" * 100_000, "a" * 100_000, ". a" * 50_000, "A. " * 50_000, "?" + " " * 100_000 + "x", "1" * 100_000, "a, " * 50_000, "@" * 100_000, "Big " * 25_000], ids=lambda text: text[:4])  # fmt: skip
def test_no_instruction_takes_long(text: str):
    """Linear in its length, whatever is opened and never closed."""
    item = ProbeItem(instruction=text, answer="x")
    began = time.process_time()
    wordings(item, RobustnessRequest(items=(item,)), 0)
    assert time.process_time() - began < 10


def test_no_options_take_long():
    """Every word of them stays as it is, however many there are."""
    drawn = random.Random(1)
    words = ["".join(drawn.choices("abcdefgh", k=7)) for _ in range(60_000)]
    item = ProbeItem(instruction=" ".join(words[:30_000]), options=(" ".join(words[30_000:]), "x"))
    began = time.process_time()
    wordings(item, RobustnessRequest(items=(item,)), 0)
    assert time.process_time() - began < 20
