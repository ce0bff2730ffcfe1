"""What instructions state and what they do not, by example, on IFEval's prompts, and on texts that were made to be slow."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model_utils import checks, stated
from model_utils.checks import Check
from tests.strategies import AWKWARD, texts

pytestmark = pytest.mark.slow


def says(instruction: str) -> list[str]:
    return [check.says for check in stated.find(instruction)]


def test_only_what_can_be_checked_is_looked_for():
    assert set(stated.FINDERS) <= set(checks.KINDS)


@pytest.mark.parametrize(
    ("instruction", "wanted"),
    [
        ("Name three animals.", ["exactly 3 items"]),
        ("Name the three primary colours.", ["exactly 3 items"]),
        ("Please list ten European capitals.", ["exactly 10 items"]),
        ("What is snow? Answer in at most 20 words.", ["at most 20 words"]),
        ("Describe snow in fewer than 50 words.", ["at most 49 words"]),
        ("Describe snow in no more than twelve words.", ["at most 12 words"]),
        ("Do not use more than 1,000 words.", ["at most 1,000 words"]),
        ("Write a 300+ word summary.", ["at least 300 words"]),
        ("Use between 20 and 30 words.", ["20 to 30 words"]),
        ("What is the capital of France, in one word?", ["exactly 1 word"]),
        ("In one word, what is the capital of France?", ["exactly 1 word"]),
        ("Answer in one short sentence: who wrote Hamlet?", ["exactly 1 sentence"]),
        ("List the first 10 prime numbers.", ["exactly 10 items"]),
        ("Summarize this email into a single sentence:", ["exactly 1 sentence"]),
        ("Explain rain. Use exactly two sentences.", ["exactly 2 sentences"]),
        ("Write a two-sentence summary.", ["exactly 2 sentences"]),
        ("Explain rain in three paragraphs.", ["exactly 3 paragraphs"]),
        ("Write a five-line poem.", ["exactly 5 lines"]),
        ("Answer as JSON.", ["JSON and nothing else"]),
        ("Give me the facts in JSON format.", ["JSON and nothing else"]),
        ("Answer in all capital letters.", ["all in capital letters"]),
        ("Answer in lowercase.", ["all in small letters"]),
        ("No capital letters are allowed.", ["all in small letters"]),
        ("Do not use the word snow.", ['does not contain "snow"']),
        ("Don't forget to include the word snow.", ['contains "snow"']),
        ('Mention "tea" at least twice.', ['contains "tea" at least 2 times']),
        ('Include the words "tea" and "milk".', ['contains "tea"', 'contains "milk"']),
        ("Write it without commas.", ["no commas"]),
        ("You cannot use any commas, and must not contain a single number.", ["no commas"]),
        ("You are not allowed to use commas.", ["no commas"]),
        ("Refrain from the use of commas.", ["no commas"]),
        ("Do not use semicolons or commas.", ["no commas"]),
        ('End with "Good bye."', ['ends with "Good bye."']),
        ("Begin your answer with the word Well.", ['begins with "Well"']),
        ("Is 7 prime? Answer with yes or no.", ['only one of "yes", "no"']),
        ('Output "spam" or "not spam".', ['only one of "spam", "not spam"']),
        ("How many legs has a spider? Answer with just a number.", ["a number and nothing else"]),
        ("Use bullet points.", ["at least 1 bullet point"]),
        ("Write exactly 4 bullet points.", ["exactly 4 bullet points"]),
        ("Wrap your entire response in double quotation marks.", ["wrapped in double quotation marks"]),
        ("Make sure the letter q appears less than 5 times.", ['the letter "q" at most 4 times']),
        ("Don't use the letter e.", ['the letter "e" exactly 0 times']),
        (
            "Tell me about tea in no more than 2 sentences, without commas, and end with 'Cheers'.",
            ["at most 2 sentences", 'ends with "Cheers"', "no commas"],
        ),
    ],
)
def test_what_is_stated_is_found(instruction: str, wanted: list[str]):
    assert says(instruction) == wanted


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        "Name an animal.",
        "Give me a 3 day itinerary.",
        "Give two reasons why bees matter.",
        "Name 4 animals and 2 plants.",
        "Name two countries in Asia and their capitals.",
        "Name two animals and explain why you like them.",
        "List all capitals of Europe.",
        "Do not answer in JSON.",
        "Write a Python function that returns a list in JSON format.",
        "What does it mean to answer in one sentence?",
        "If you are unsure, answer in one word.",
        'Translate "Use exactly two sentences, as JSON, without commas."',
        "Rewrite these two sentences.",
        "Compare the meaning of the two sentences.",
        "Write each answer in one sentence.",
        "Generate a one-sentence description for each of the following people.",
        "Describe rain in about 50 words.",
        "You don't need to write more than 20 words.",
        "Use at least 0 words.",
        "Is 7 prime? Answer yes or no and explain why.",
        "Do not answer with yes or no.",
        "Do not write in all capital letters.",
        "Write the key words in all capital letters.",
        "Replace the word cat with dog.",
        "What are synonyms of the word happy?",
        "How often does the word cat appear at least twice?",
        "Do not begin with 'I'.",
        "The second paragraph must start with the word 'President'.",
        "Do not use bullet points.",
        "Give me at least 5 words that rhyme with cat.",
        "Separate the items with commas.",
        "Do not forget the commas.",
        "Write it without semicolons but with commas.",
        "Do not include more than 3 commas.",
        "Don't use over two commas.",
        "Write a list, not separated by commas.",
        "An apostrophe is not a comma.",
        "Name \u017fix animals.",
        "Answer in s\u0131x words.",
        "Answer in S\u0130X words.",
        "Do not say any word before repeating the request.",
    ],
)
def test_what_is_not_stated_is_not_found(instruction: str):
    assert says(instruction) == []


FRAGMENTS = (
    *"at least|at most|between|exactly|and|or|to|not|do not|30|20|1,000,000,000|zero|two|words|sentences|times|twice".split(
        "|"
    ),
    *"use|the word|the letter|keywords|end with|begin with|the phrase|answer with|name|list|cats|yes or no|: |. |, |- ".split(
        "|"
    ),
    *(
        '"',
        "'",
        '"\u200f"',
        '" "',
        '"a"',
        '"İ"',
        "⟦7⟧",
        "in",
        "JSON",
        "capital letters",
        "commas",
        "appear",
        "highlight",
        "\u017fix",
        "s\u0131x",
        "s\u0130x",
    ),
    *AWKWARD,
)


@given(st.one_of(texts, st.lists(st.sampled_from(FRAGMENTS), max_size=14).map(" ".join)))
@example("wrap answer title " * 5_000)
@example("at least 5 words. " * 5_000)
@example("Name \u017fix animals.")
@example("Answer in s\u0131x words.")
def test_any_instruction_can_be_read(text: str):
    """'\u017fix' without case is 'six', and was taken for a number that nobody knows; one such line ended a whole list."""
    found = stated.find(text)
    assert len(set(found)) == len(found), "each once"
    for check in found:
        assert check.says and Check.model_validate_json(check.model_dump_json()) == check
        assert check.kind in stated.FINDERS and not check.passes(" ")


ASKING = (
    "at least 5 words, twice: use the word letter a or 'b' in all capital letters. no\n commas end with title".split(
        " "
    )
)

SLOW = {
    **{f"only {character!r}": character * 1_000_000 for character in 'a9\n."'},
    "one sentence": "do not " * 150_000,
    "quotes": "'a' \"b\" " * 125_000,
    "random letters": "".join(random.Random(0).choices("etaoin shrdlu.\n", k=1_000_000)),
    "random words": " ".join(random.Random(0).choices(ASKING, k=200_000)),
    **{
        f"sentences {part!r}": (part * (900 // len(part)) + ".\n") * 1_100
        for part in ("use the word ", "at least 5 words ", "the letter e 3 times ")
    },
    **{f"then {filler!r}": ("at least 5 words " + filler * 900 + ".\n") * 1_100 for filler in "a ("},
}


@pytest.mark.parametrize("name", SLOW)
def test_a_million_characters_are_read_in_seconds(name: str):
    """One sentence of 'use the word' over and over took a second, and 200 such sentences were read; a slow machine takes 1.3 s for all of them."""
    tenth, whole = (seconds_to_read(SLOW[name][: len(SLOW[name]) // part]) for part in (10, 1))
    assert whole < 5 and len(SLOW[name]) > 900_000
    assert whole < 30 * max(tenth, 0.02), "ten times the text takes about ten times as long, on whatever machine"


def seconds_to_read(text: str) -> float:
    began = time.process_time()
    stated.find(text)
    return time.process_time() - began


@pytest.mark.parametrize("filler", ["The snow fell. ", "It snowed all day long and all of the night, too. " * 2])
def test_what_is_asked_before_and_after_a_long_text_is_found(filler: str):
    asked = ["at most 20 words", "all in small letters"]
    assert says(f"Answer in lowercase. {filler * 5_000}\nUse at most 20 words.") == asked[::-1]


def bounds(relation: str, count: int) -> dict[str, int]:
    return {"at_least": count} if relation == "at least" else {"at_most": count - 1}


IFEVAL = {
    "keywords:existence": lambda k: [Check(kind="contains", text=word) for word in k["keywords"]],
    "keywords:frequency": lambda k: [
        Check(kind="contains", text=k["keyword"], **bounds(k["relation"], k["frequency"]))
    ],
    "keywords:forbidden_words": lambda k: [Check(kind="forbids", text=word) for word in k["forbidden_words"]],
    "keywords:letter_frequency": lambda k: [
        Check(kind="letters", text=k["letter"], **bounds(k["let_relation"], k["let_frequency"]))
    ],
    "length_constraints:number_sentences": lambda k: [
        Check(kind="sentences", **bounds(k["relation"], k["num_sentences"]))
    ],
    "length_constraints:number_words": lambda k: [Check(kind="words", **bounds(k["relation"], k["num_words"]))],
    "length_constraints:number_paragraphs": lambda k: [Check(kind="paragraphs", exactly=k["num_paragraphs"])],
    "length_constraints:nth_paragraph_first_word": lambda k: [Check(kind="paragraphs", exactly=k["num_paragraphs"])],
    "detectable_content:number_placeholders": lambda k: [Check(kind="placeholders", at_least=k["num_placeholders"])],
    "detectable_format:number_bullet_lists": lambda k: [Check(kind="bullets", exactly=k["num_bullets"])],
    "detectable_format:number_highlighted_sections": lambda k: [
        Check(kind="highlighted", at_least=k["num_highlights"])
    ],
    "detectable_format:json_format": lambda k: [Check(kind="json")],
    "detectable_format:title": lambda k: [Check(kind="title")],
    "startend:end_checker": lambda k: [Check(kind="ends_with", text=k["end_phrase"])],
    "startend:quotation": lambda k: [Check(kind="quotation")],
    "change_case:english_capital": lambda k: [Check(kind="upper")],
    "change_case:english_lowercase": lambda k: [Check(kind="lower")],
    "punctuation:no_comma": lambda k: [Check(kind="no_commas")],
}
"""Instructions of IFEval that are checks here too."""


def facts(check: Check) -> set[tuple]:
    """What a check says, an end of its range each, so that 'exactly 6' is both of IFEval's 'at least 6' and 'less than 7'."""
    text = (check.text or "").strip(" .,").casefold()
    fewest, most = check.bounds
    if check.kind == "contains" and most == 0:
        return {("forbids", text, "", 0)}
    if check.kind == "contains" and (fewest, most) == (0, None):
        return {("contains", text, "least", 1)}
    ends = {("least", fewest)} if fewest else set()
    ends |= {("most", most)} if most is not None else set()
    return {(check.kind, text, end, count) for end, count in ends or {("", 0)}}


def test_what_is_found_in_the_prompts_of_ifeval_is_stated_there():
    """IFEval leaves out some of what its prompts state (a haiku that should 'include the word "time"'); those count as wrong here."""
    folder = os.environ.get("CANDOR_DATA")
    if not folder:
        pytest.skip("the environment variable CANDOR_DATA names no folder with ifeval_prompts.jsonl")
    found, right, wanted, recalled = Counter(), Counter(), Counter(), Counter()
    lines = (Path(folder) / "ifeval_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        pairs = zip(row["instruction_id_list"], row["kwargs"], strict=True)
        known = set().union(*(facts(c) for id, kwargs in pairs if id in IFEVAL for c in IFEVAL[id](kwargs)))
        given = stated.find(row["prompt"])
        for check in given:
            found[check.kind] += 1
            any_bullets = check == Check(kind="bullets", at_least=1) and any(fact[0] == "bullets" for fact in known)
            right[check.kind] += any_bullets or facts(check) <= known
        wanted.update(fact[0] for fact in known)
        recalled.update(fact[0] for fact in known & set().union(*map(facts, given)))
    for kind in wanted:
        precision, recall = right[kind] / max(found[kind], 1), recalled[kind] / wanted[kind]
        print(
            f"{kind:13} found {found[kind]:4}, precision {precision:.2f}; stated {wanted[kind]:4}, recall {recall:.2f}"
        )
        assert found[kind] < 10 or precision >= 0.9, kind
        assert found[kind] < 10 or recall >= 0.6, kind
    assert len(lines) == 541 and sum(found.values()) > 700
