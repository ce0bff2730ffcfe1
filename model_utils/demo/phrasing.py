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
    "Please help.", "Hello.", "Hi,", "A question:", "Task:", "Kindly help.", "Good morning.", "Next task.", "Excuse me,",
    "I am in a hurry.", "My teacher gave me this.", "We need this at work.", "This is for the office.", "Quick question:",
    "I am not sure about this one.", "Here is something for you.", "My sister wants to know this.", "One more thing:",
    "This came in today.", "I am new here.", "It is late, but one more.", "For homework:", "Let us see.", "Be careful now.",
    "I have a small job for you.", "You are good at this.", "Take your time.", "We talked about this:", "Sorry to ask again.",
)  # fmt: skip
SUFFIXES = (
    "Thank you.", "Thanks.", "Many thanks.", "Thanks a lot!", "I am waiting for it.", "That is all for today.", "Be exact.",
    "It is for my work.", "I will need it soon.", "Be quick.", "Good luck!", "We will check it.",
)  # fmt: skip


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


def held_out_hash() -> str:
    """SHA-256 of the held-out part alone: it stays the same while training phrasings grow."""
    table = json.loads(PATH.read_text(encoding="utf-8"))
    kept = {family: parts["held_out"] for family, parts in table.items()}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


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
    """A training phrasing as people type it: carelessly, with a word left out, among words that do not matter."""
    frame = rng.choice(phrasings("training")[item.family])
    phrase = rng.choice(frame)
    if rng.random() < 0.2:
        phrase = _drop_word(phrase, rng)
    careless = rng.random() < 0.1
    if careless:
        phrase = phrase.rstrip("?.")
    text = set_in(item, phrase, rng.choice(LAYOUTS))
    if careless:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.25:
        text = f"{rng.choice(PREFIXES)} {text}"
    if rng.random() < 0.12:
        text = f"{text} {rng.choice(SUFFIXES)}"
    return text


def _drop_word(phrase: str, rng: random.Random) -> str:
    words = phrase.split(" ")
    loose = [i for i, word in enumerate(words) if word.isalpha()]
    if len(loose) > 3:
        del words[rng.choice(loose)]
    return " ".join(words)
