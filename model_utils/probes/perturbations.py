"""What can be done to the wording of an item: typos, case, politeness, synonyms, order, layouts and its own other wordings; pure and seeded."""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from model_utils.checks import NOT_AN_END, SENTENCE_END
from model_utils.contracts.probe import INPUT, ProbeItem
from model_utils.contracts.robustness import AS_WRITTEN, PERTURBATIONS, Perturbation, RobustnessRequest
from model_utils.probes import synonyms


@dataclass(frozen=True)
class Wording:
    """One way in which an item is asked."""

    name: str
    """`AS_WRITTEN`, or the perturbation, numbered where there are several of it"""
    kind: str
    """`AS_WRITTEN`, or the perturbation"""
    text: str
    """what is asked, whole; empty where the perturbation changes nothing of this item, or the item has no such wording"""


Own = Literal["paraphrases", "training", "held out"]
OWN: dict[str, tuple[str, Callable[[ProbeItem], tuple[str, ...]]]] = {
    "paraphrases": ("paraphrase", lambda item: item.paraphrases),
    "training": ("training", lambda item: item.training),
    "held out": ("held out", lambda item: item.held_out),
}
"""perturbation that stands for wordings of the item's own -> what one of them is called, and where they are"""


def names(request: RobustnessRequest) -> tuple[tuple[str, str], ...]:
    """(name, kind) of every wording, the same for every item; of the items' own wordings no more than any item has."""
    found = [(AS_WRITTEN, AS_WRITTEN)]
    for kind in PERTURBATIONS:
        if kind in request.perturbations:
            found += [(name, kind) for name in _named(kind, request)]
    return tuple(found)


def _named(kind: Perturbation, request: RobustnessRequest) -> list[str]:
    if kind == "format":
        return [f"format {number}" for number in range(1, request.formats_drawn + 1)]
    if kind not in OWN:
        return [kind]
    most, (name, wordings_of) = 0, OWN[kind]
    for item in request.items:
        most = max(most, len(wordings_of(item)))
        if most >= request.wordings_drawn:
            break
    return [f"{name} {number}" for number in range(1, min(most, request.wordings_drawn) + 1)]


def wordings(
    item: ProbeItem, request: RobustnessRequest, number: int, named: Sequence[tuple[str, str]] | None = None
) -> tuple[Wording, ...]:
    """An item in every wording of `names` (`named`, where they are known); `number` is its place in the request. Every draw is made from the request's seed, this
    number and the wording's name, so that any order of computation and both models see the same."""
    layouts = layouts_of(request)
    own = {kind: _drawn(item, kind, request, number) for kind in OWN}
    made = []
    for name, kind in named or names(request):
        place = int(name.rpartition(" ")[2]) - 1 if kind in OWN or kind == "format" else 0
        if kind == AS_WRITTEN:
            text = item.asked()
        elif kind in OWN:
            text = own[kind][place] if place < len(own[kind]) else ""
        else:
            change = layouts[place].set if kind == "format" else CHANGES[kind]
            text = _asked(item, change(item, _rng(request.seed, number, name)))
        made.append(Wording(name, kind, text))
    return tuple(made)


def _asked(item: ProbeItem, changed: str) -> str:
    """What is asked in the changed wording; empty where nothing is left of it, or nothing changed."""
    return item.asked(changed) if changed.strip() and changed != item.instruction else ""


def _drawn(item: ProbeItem, kind: str, request: RobustnessRequest, number: int) -> list[str]:
    """Some of the item's own wordings, whole, none of them the one that is written."""
    written = item.asked()
    others = [text for text in dict.fromkeys(map(item.asked, OWN[kind][1](item))) if text != written]
    return _rng(request.seed, number, kind).sample(others, min(len(others), request.wordings_drawn))


def _rng(*parts: int | str) -> random.Random:
    return random.Random(hashlib.sha256("|".join(map(str, parts)).encode()).digest())


# --- what may be touched --------------------------------------------------------------------------------------------

KEPT = (
    re.compile(r"\{[^{}]*\}"),
    re.compile(r"\"[^\"]*\"|“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|`[^`]*`|(?<!\w)'[^'\n]*'(?!\w)|‘[^‘’\n]*’(?!\w)"),
    re.compile(r"(?<!\w)\w*\d(?:[\w.,:/]*\w)?,?"),
    re.compile(r"https?://\S+|(?<!\S)[\w.+-]+@\S+"),
)
"""Slots, quoted strings, what has a digit with the comma behind it, and addresses."""
WORD, WORD_AND_COMMA = re.compile(r"\w+"), re.compile(r"(\w+),?")
LETTERS = re.compile(r"[A-Za-z]+")
SPACE = re.compile(r"\s*")


def loose(item: ProbeItem) -> list[bool]:
    """(character,) whether a perturbation may touch this character of the instruction: not one of `KEPT`, and not a word of the options."""
    text, found = item.instruction, [True] * len(item.instruction)
    for match in (*(match for one in KEPT for match in one.finditer(text)), *_of_options(item, text)):
        found[match.start() : match.end()] = [False] * len(match[0])
    return found


def _of_options(item: ProbeItem, text: str) -> Iterator[re.Match[str]]:
    """Options as they stand in a text, and each of their words in any case; single letters, such as A and B, in theirs."""
    ascii_only = (option for option in item.options if option.isascii())
    patterns = (
        *_any_of((re.escape(option) for option in item.options if not option.isascii()), ""),  # no spaces in 漢字
        *_any_of((re.escape(option) for option in ascii_only), r"\w"),
    )
    for pattern in patterns:
        yield from pattern.finditer(text)
    words = {_as_option(word) for option in item.options for word in WORD.findall(option)}
    yield from (match for match in WORD_AND_COMMA.finditer(text) if _as_option(match[1]) in words)


def _as_option(word: str) -> str:
    return word if len(word) == 1 else word.lower()


def _any_of(patterns: Iterable[str], apart_from: str) -> Iterator[re.Pattern[str]]:
    """The longest of them that is there, with no such character on either side, and the comma behind it in a list of options."""
    longest_first = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
    around = (f"(?<!{apart_from})", f"(?!{apart_from})") if apart_from else ("", "")
    if longest_first:
        yield re.compile(f"{around[0]}(?:{'|'.join(longest_first)}){around[1]},?")


def whole(text: str, start: int, end: int) -> bool:
    """Whether these ASCII letters are a word by themselves: no letter, mark, joiner or underscore touches them, which would be torn off."""
    around = [text[start - 1]] if start else []
    around += [text[end]] if end < len(text) else []
    return not any(c.isalnum() or c == "_" or (unicodedata.category(c)[0] in "MC" and not c.isspace()) for c in around)


def _is_name(text: str, start: int) -> bool:
    """Whether a word is written large though no sentence begins there."""
    before = start - 1
    while before >= 0 and text[before].isspace():
        before -= 1
    return text[start].isupper() and before >= 0 and text[before] not in ".!?:;…\"'“‘(*"


# --- the perturbations ----------------------------------------------------------------------------------------------


def _typos(item: ProbeItem, rng: random.Random) -> str:
    """A letter swapped with the next, doubled or dropped in every eighth word of four letters or more, names left out."""
    text, free = item.instruction, loose(item)
    spans = [m.span() for m in LETTERS.finditer(text) if len(m[0]) >= 4 and all(free[slice(*m.span())])]
    words = [(start, end) for start, end in spans if whole(text, start, end) and not _is_name(text, start)]
    parts, done = [], 0
    for start, end in sorted(rng.sample(words, max(1, round(len(words) / 8)) if words else 0)):
        parts += [text[done:start], _mistyped(text[start:end], rng)]
        done = end
    return "".join([*parts, text[done:]])


def _mistyped(word: str, rng: random.Random) -> str:
    """The first letter stays, as it mostly does in typing."""
    swaps = [i for i in range(1, len(word) - 1) if word[i].lower() != word[i + 1].lower()]
    how = rng.choice(["swapped", "doubled", "dropped"] if swaps else ["doubled", "dropped"])
    i = rng.choice(swaps) if how == "swapped" else rng.randrange(1, len(word))
    return word[:i] + {"swapped": word[i + 1 : i + 2] + word[i], "doubled": word[i] * 2, "dropped": ""}[how] + word[i + 1 + (how == "swapped") :]  # fmt: skip


def _cased(change: Callable[[str], str]) -> Callable[[ProbeItem, random.Random], str]:
    """Letter by letter; one that would become two, such as ß, stays."""

    def changed(item: ProbeItem, rng: random.Random) -> str:
        pairs = zip(item.instruction, loose(item), strict=True)
        return "".join(change(c) if free and len(change(c)) == 1 else c for c, free in pairs)

    return changed


MARKS = ".?!…:。？！"


def _punctuated(item: ProbeItem, rng: random.Random) -> str:
    """The mark at the end, before the input if that is the end, dropped or doubled, or every comma dropped; what this wording has of it."""
    text, free = item.instruction, loose(item)
    ways = ["".join(c for c, one in zip(text, free, strict=True) if not (one and c in ",，、"))]
    head = text.rstrip().removesuffix(INPUT).rstrip()
    end, start = len(head), len(head.rstrip(MARKS))
    if start < end and all(free[start:end]):
        ways += [text[:start] + text[end:], text[:end] + text[end - 1 :]]
    return rng.choice([way for way in ways if way != text] or [text])


FRAMES = (
    ("Could you help me? ", ""), ("Hello! ", ""), ("I would be grateful for your help. ", ""), ("Sorry to bother you. ", ""),
    ("Please help me with this. ", ""), ("", " Thank you."), ("", " Thanks in advance!"), ("Good morning. ", " Many thanks."),
)  # fmt: skip
ASKING = frozenset(
    "add answer arrange calculate choose classify compare complete compute convert correct count decide describe explain extract fill "
    "find give identify label list look mark name pick put rank read rewrite say select show solve sort state summarise summarize tell "
    "translate triage work write".split()
)
"""Verbs that begin a request; `please` stands before them."""


def _polite(item: ProbeItem, rng: random.Random) -> str:
    text = item.instruction
    frames = [frame for frame in FRAMES if not (frame[1] and text.rstrip().endswith(INPUT))]
    first = LETTERS.match(text)
    if first and first[0].lower() in ASKING and all(loose(item)[: first.end()]) and whole(text, *first.span()):
        frames += [("Please ", "")] * 2
    before, after = rng.choice(frames)
    return before + (text[0].lower() + text[1:] if before == "Please " else text) + after


def _synonyms(item: ProbeItem, rng: random.Random) -> str:
    text, free = item.instruction, loose(item)
    return synonyms.replaced(text, rng, lambda start, end: all(free[start:end]) and whole(text, start, end))


def _parted(item: ProbeItem) -> tuple[str, str, bool] | None:
    """The instruction by itself, the space between it and the input, and whether the input stands first; None where there is no
    input, or one reads on into the other, so that they cannot be parted."""
    if not item.input:
        return None
    if INPUT not in item.instruction:
        return item.instruction, "\n\n", False
    before, after = item.instruction.split(INPUT)
    if before.strip() and after.strip():
        return None
    alone = before.strip() or after.strip()
    space = before[len(before.rstrip()) :] if before.strip() else after[: len(after) - len(after.lstrip())]
    ends = (before if before.strip() else item.input).rstrip()[-1:]
    return (alone, space, not before.strip()) if alone and space and (ends in ".?!…:;。？！" or "\n" in space) else None


def _reordered(item: ProbeItem, rng: random.Random) -> str:
    """The input before the instruction, or behind it where it stood before; without an input the last sentence first."""
    parted = _parted(item)
    if parted:
        alone, space, first = parted
        return alone + space + INPUT if first else INPUT + space + alone
    return item.instruction if item.input else _last_first(item)


def _last_first(item: ProbeItem) -> str:
    text, free, cut = item.instruction.rstrip(), loose(item), 0
    for match in SENTENCE_END.finditer(text):
        begin = match.end() + len(SPACE.match(text, match.end())[0])  # type: ignore[index]  # it matches nothing too
        abbreviated = NOT_AN_END.search(text[max(0, match.start() - 12) : match.start() + 1])
        if begin < len(text) and not text[begin].islower() and not abbreviated and all(free[slice(*match.span())]):
            cut = begin
    last, first = text[cut:], text[:cut].rstrip()
    space = text[len(first) : cut] if SENTENCE_END.search(last[-2:]) else "\n"
    return last + space + first if first else item.instruction


DISTRACTORS = (
    "The weather was mild this morning.", "My neighbour has a new bicycle.", "The library opens early in summer.",
    "There is a bowl of plums on the table.", "A cat slept on the windowsill all afternoon.", "The bus was a little late today.",
    "Somebody left an umbrella in the hall.", "The kettle is about to boil.", "I read a book about lighthouses last winter.",
    "The curtains in this room are new.", "A postcard from my cousin came yesterday.", "The garden gate squeaks a bit.",
)  # fmt: skip


def _distracted(item: ProbeItem, rng: random.Random) -> str:
    """A sentence that has nothing to do with it, before the instruction or behind it, never behind the input; without a word of the options."""
    text = item.instruction
    harmless = [sentence for sentence in DISTRACTORS if not any(_of_options(item, sentence))]
    if not harmless:
        return text
    sentence, behind = rng.choice(harmless), rng.random() < 0.5 and not text.rstrip().endswith(INPUT)
    space = " " if SENTENCE_END.search(text.rstrip()[-2:]) else "\n"
    return text.rstrip() + space + sentence if behind else f"{sentence} {text}"


CHANGES: dict[str, Callable[[ProbeItem, random.Random], str]] = {
    "typos": _typos,
    "lower case": _cased(str.lower),
    "upper case": _cased(str.upper),
    "punctuation": _punctuated,
    "politeness": _polite,
    "synonyms": _synonyms,
    "order": _reordered,
    "distractor": _distracted,
}
"""perturbation -> the instruction after it; the instruction itself where there is nothing to do"""


# --- layouts --------------------------------------------------------------------------------------------------------

ASKED = ("Question", "Q", "Task", "Instruction", "Request")
GIVEN = ("Input", "Text", "Passage", "Context")
CASES: tuple[Callable[[str], str], ...] = (str.title, str.upper, str.lower)
SEPARATORS = (": ", " - ", ":\n", " ")
SPACINGS = ("\n", "\n\n", " ", " || ")


@dataclass(frozen=True)
class Layout:
    """A plausible format of an item (Sclar et al. 2024): descriptors in one case, what parts them from their texts, and those from each other."""

    asked: str
    given: str
    separator: str
    spacing: str

    def set(self, item: ProbeItem, rng: random.Random) -> str:
        """The instruction under its descriptor, and the input under its own where the two can be parted; `rng` is not used."""
        parted = _parted(item)
        head = f"{self.asked}{self.separator}{parted[0] if parted else item.instruction}"
        return f"{head}{self.spacing}{self.given}{self.separator}{INPUT}" if parted else head


def layouts_of(request: RobustnessRequest) -> tuple[Layout, ...]:
    """(format,) drawn once for all items; no two have descriptor, case and separator in common, so that they differ without an input too."""
    rng = _rng(request.seed, "format")
    heads = {(case(name), separator): case for name, case, separator in product(ASKED, CASES, SEPARATORS)}
    drawn = rng.sample(list(heads), request.formats_drawn)
    return tuple(Layout(name, heads[name, separator](rng.choice(GIVEN)), separator, rng.choice(SPACINGS)) for name, separator in drawn)  # fmt: skip
