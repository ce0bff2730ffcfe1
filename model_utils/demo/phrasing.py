"""Phrasings of instructions: expanding the written list, and setting an item into one of them."""

import hashlib
import json
import random
import re
from functools import cache
from pathlib import Path

from model_utils.demo.families import Item

PATH = Path(__file__).with_name("phrasings.json")
LAYOUTS = ("{phrase} {record}", "{record} {phrase}", "{phrase}\n{record}", "{record}\n{phrase}")
"""Where a record stands when the phrasing does not hold it."""
PREFIXES = (
    "Please help.",
    "Hello.",
    "Hi,",
    "A question:",
    "Task:",
    "Kindly help.",
    "Good morning.",
    "Next task.",
    "Excuse me,",
)
SUFFIXES = ("Thank you.", "Thanks.", "Many thanks.", "Thanks a lot!")


def expand(pattern: str) -> list[str]:
    """Every reading of `[a|b] c`: `a c` and `b c`."""
    choice = re.search(r"\[([^\]]*)\]", pattern)
    if not choice:
        return [re.sub(r" +([?.,:;])", r"\1", re.sub(" +", " ", pattern)).strip()]
    start, end = choice.span()
    return [text for option in choice[1].split("|") for text in expand(pattern[:start] + option + pattern[end:])]


@cache
def phrasings(part: str) -> dict[str, list[list[str]]]:
    """family -> frames -> readings, for `training` or `held_out`."""
    table = json.loads(PATH.read_text(encoding="utf-8"))
    return {family: [expand(pattern) for pattern in parts[part]] for family, parts in table.items()}


def phrasings_hash() -> str:
    """SHA-256 of the phrasing list as it lies on disk."""
    return hashlib.sha256(PATH.read_bytes()).hexdigest()


def one_phrasing(family: str) -> str:
    """The only phrasing in which `demo/flawed` saw the family."""
    return phrasings("training")[family][0][0]


def set_in(item: Item, phrase: str, layout: str = LAYOUTS[0]) -> str:
    """The instruction's text: the phrase with its slots filled, and the record beside it."""
    text = re.sub(r"\{(\w+)\}", lambda slot: item.slots[slot[1]], phrase)
    if "record" in item.slots:
        text = layout.format(phrase=text, record=item.slots["record"])
    return text[0].upper() + text[1:]


def ask(item: Item, rng: random.Random, part: str = "training") -> str:
    """The item in a random phrasing and layout."""
    frame = rng.choice(phrasings(part)[item.family])
    return set_in(item, rng.choice(frame), rng.choice(LAYOUTS))


def ask_freely(item: Item, rng: random.Random) -> str:
    """A training phrasing as people type it: with a greeting, a thank-you, or (one in five) a word left out."""
    frame = rng.choice(phrasings("training")[item.family])
    phrase = rng.choice(frame)
    if rng.random() < 0.2:
        phrase = _drop_word(phrase, rng)
    text = set_in(item, phrase, rng.choice(LAYOUTS))
    if rng.random() < 0.2:
        text = f"{rng.choice(PREFIXES)} {text}"
    if rng.random() < 0.1:
        text = f"{text} {rng.choice(SUFFIXES)}"
    return text


def _drop_word(phrase: str, rng: random.Random) -> str:
    words = phrase.split(" ")
    loose = [i for i, word in enumerate(words) if word.isalpha()]
    if len(loose) > 3:
        del words[rng.choice(loose)]
    return " ".join(words)
