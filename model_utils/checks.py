"""What can be checked of an answer by counting and comparing (IFEval style): the checks and how each one works."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from model_utils.contracts.common import Request

# Words

ALONE = "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
"""Chinese characters and kana: written without spaces, so each is a word, as word processors count them."""

MARKS = "\u200c\u200d\u00ad\U000e0100-\U000e01ef" + "".join(
    chr(code) for code in range(0x20000) if unicodedata.category(chr(code)).startswith("M")
)
"""What belongs to the character before it, and what `\\w` leaves out: combining marks and invisible joiners."""

LETTER = rf"(?:[^\W_{ALONE}][{MARKS}]*)"
WORD = re.compile(rf"[{ALONE}][{MARKS}]*|{LETTER}+(?:(?:['’_‐‑\-]|(?<=\d)[.,](?=\d)){LETTER}+)*")

DIRECTIONS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
"""Invisible: the direction of what follows; not part of a word."""


def words(text: str) -> int:
    """How many words: runs of letters, digits and what joins them (don't, well-known, 3.14) are one; each Chinese
    character and kana is one; emoji and punctuation are none. Thai, Lao, Khmer and Burmese write no space between
    words either, but to part them takes a dictionary: there a run between two spaces is one."""
    return len(WORD.findall(DIRECTIONS.sub("", text)))


def _composed(text: str) -> str:
    """Without invisible directions and the ways to compose a character; quotes are straight."""
    return unicodedata.normalize("NFC", DIRECTIONS.sub("", text)).translate(str.maketrans("“”„‘’", '"""\'\''))


def plain(text: str) -> str:
    """For comparison: `_composed`, and without case."""
    return unicodedata.normalize("NFC", _composed(text).casefold())


def _phrase(phrase: str) -> str:
    """Regular expression of a phrase that begins and ends where words do; characters that are words alone end anywhere."""
    bare, letter = plain(phrase).strip(), rf"[^\W{ALONE}]"
    before = rf"(?<!{letter})(?<![{MARKS}])" if re.match(letter, bare) else ""
    after = rf"(?!{letter})" if re.search(rf"{letter}$", bare) else ""
    return before + r"\s+".join(map(re.escape, bare.split())) + rf"(?![{MARKS}])" + after


def occurrences(text: str, phrase: str) -> int:
    """How often a word or phrase stands in `text` as a whole, in whatever case."""
    return len(re.findall(_phrase(phrase), plain(text)))


def letters(text: str, letter: str) -> int:
    """How often one character stands in `text`, in whatever case; ß is a letter of its own, where `plain` makes it ss."""
    return _small(text).count(_small(letter))


def _small(text: str) -> str:
    """Without case, character by character, so that σ and ς are one letter, and none becomes two where it need not."""
    return "".join(
        folded if len(folded := character.casefold()) == 1 else character.lower() for character in _composed(text)
    )


# Parts of an answer

BULLET = re.compile(r"^[ \t]*[-*•+][ \t]+(?=\S)", re.MULTILINE)
LIST_ITEM = re.compile(r"^([ \t]*)(?:[-*•+]|\(?\d{1,3}[.)])[ \t]+(?=\S)", re.MULTILINE)
INLINE_NUMBER = re.compile(r"(?:^|\s)\(?(\d{1,3})[.)]\s+(?=\S)")
DIVIDER = re.compile(r"^[ \t]*(?:\*{3,}|-{3,}|_{3,})[ \t]*$", re.MULTILINE)
PLACEHOLDER = re.compile(r"\[(?=[^\w\[\]\n]*\w)[^\[\]\n]*\](?!\()")
HIGHLIGHT = re.compile(r"(?<!\*)(\*{1,3})(?![\s*])(?:[^*\n]*[^\s*])\1(?!\*)")
TITLE = re.compile(r"<<(?=[^\w<>\n]*\w)[^<>\n]*>>")
ONLY_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:[ ,]\d{3})+|\d+)(?:\.\d+)?\s?%?\.?")
FENCE = re.compile(r"```(?:json)?[^\S\n]*\n", re.IGNORECASE)
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»"}
CLOSING = "[\"'”’»」』）)*_]*"

SHORT = 8
"""Words that an item of a list on one line has at most; a longer part between two commas is prose."""

NOT_AN_END = re.compile(r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|fig|cf|e\.g|i\.e)|(?:^|[\s.(])(?!I)[A-Z])\.$", re.IGNORECASE)
SENTENCE_END = re.compile(rf"(?<![.!?…؟۔])[.!?…؟۔]+{CLOSING}(?=\s|$)|[。！？．।॥]+{CLOSING}")


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _paragraphs(text: str) -> list[str]:
    parts = re.split(r"\n[^\S\n]*\n", DIVIDER.sub("\n\n", text.replace("\r\n", "\n")))
    return [part.strip() for part in parts if part.strip()]


def sentences(text: str) -> int:
    """How many sentences: they end with . ! ? and their like in other scripts, not after an abbreviation or initial;
    a paragraph and an item of a list end one too."""
    count = 0
    for part in _paragraphs(LIST_ITEM.sub("\n\n", text)):
        begin = 0
        for end in [*SENTENCE_END.finditer(part), None]:
            piece = part[begin : end.end() if end else len(part)]
            follows = part[end.end() :].lstrip()[:1] if end else ""
            if (
                end
                and (follows.islower() or NOT_AN_END.search(part[max(begin, end.start() - 12) : end.start() + 1]))
                and follows
            ):
                continue
            begin = end.end() if end else begin
            count += bool(words(piece))
    return count


def items(text: str) -> int:
    """How many things a list names: those of a JSON array, also in an object of nothing else; else marked lines of the outermost level; else numbers on one
    line; else lines below an introduction that ends with a colon; else short parts between commas and 'and'. Prose is one
    item."""
    value = _json(text)
    while isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, list):
        return len(value)
    indents = [len(match[1].expandtabs()) for match in LIST_ITEM.finditer(text)]
    if len(indents) > 1 or (indents and len(_lines(text)) > 1):
        return indents.count(min(indents))
    numbers = [int(number) for number in INLINE_NUMBER.findall(text)]
    if len(numbers) > 1 and numbers == list(range(1, len(numbers) + 1)):
        return len(numbers)
    lines = _lines(LIST_ITEM.sub("", text))
    if len(lines) > 1 and lines[0].endswith((":", "：")):
        lines = lines[1:]
    return len(lines) if len(lines) != 1 else _parts(lines[0])


def _parts(line: str) -> int:
    """How many short parts a line has between commas and 'and'; 1 for prose."""
    line = " ".join(line.split()).rstrip(" .!?。")  # runs of spaces would be searched again from each of them
    parts = [part.strip() for part in re.split(r"[,;、，；،؛](?!\d{3})", line) if words(part)]
    joint = re.compile(r" (?:and|or|&) ", re.IGNORECASE)
    last = parts.pop() if parts else ""
    bare = re.sub(r"^(?:and|or|&)\s+", "", last, flags=re.IGNORECASE)
    alone = bare != last or any(joint.search(part) for part in parts)  # 'salt and pepper, bread and butter'
    parts += [bare] if alone else joint.split(bare)
    return len(parts) if all(words(part) <= SHORT for part in parts) else 1


def is_json(text: str) -> bool:
    """Whether all of it is a JSON object or array, with or without a Markdown fence around it."""
    return isinstance(_json(text), (dict, list))


def _json(text: str) -> object:
    """The value that is all of it, or None."""
    text = text.strip()
    fence = FENCE.match(text)
    if fence and text.endswith("```"):
        text = text[fence.end() :].removesuffix("```")
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=str)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# Checks

Kind = Literal[
    "items",
    "words",
    "sentences",
    "paragraphs",
    "lines",
    "bullets",
    "placeholders",
    "highlighted",
    "contains",
    "letters",
    "forbids",
    "starts_with",
    "ends_with",
    "one_of",
    "json",
    "number",
    "upper",
    "lower",
    "no_commas",
    "quotation",
    "title",
]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Phrase = Annotated[str, Field(min_length=1, max_length=1_000)]


class Check(Request):
    """One thing that an answer must hold to; an empty answer holds to nothing."""

    kind: Kind
    exactly: Count | None = None
    at_least: Count | None = None
    at_most: Count | None = None
    text: Phrase | None = None
    """the word, phrase or letter that is looked for"""
    options: Annotated[tuple[Phrase, ...], Field(max_length=100)] = ()
    """the answers that are allowed"""

    @model_validator(mode="after")
    def _fits(self) -> Check:
        given = sorted(name for name in ARGUMENTS if getattr(self, name) not in (None, ()))
        takes = KINDS[self.kind].takes
        if set(given) - takes:
            allowed = " or ".join(sorted(takes)) or "nothing more"
            raise ValueError(f"The check {self.kind!r} was given {' and '.join(given)}; it takes {allowed}")
        for needed in KINDS[self.kind].needs:
            if not needed & set(given):
                raise ValueError(f"The check {self.kind!r} needs {' or '.join(sorted(needed))}; add it")
        if self.exactly is not None and {"at_least", "at_most"} & set(given):
            raise ValueError("A check takes exactly, or at_least and at_most; leave one of them out")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"No count is at_least {self.at_least} and at_most {self.at_most}; swap them")
        if any(not plain(phrase).strip() for phrase in (*self.options, self.text or "-")):
            raise ValueError(f"The check {self.kind!r} was given only space to look for; give a word or a phrase")
        if self.kind == "letters" and len(unicodedata.normalize("NFC", self.text or "")) != 1:
            raise ValueError(f"The check 'letters' counts one character, but {self.text!r} was given; use 'contains'")
        return self

    @property
    def says(self) -> str:
        """For people, to follow 'The answer:'; such as 'exactly 3 items'."""
        return KINDS[self.kind].says(self)

    def passes(self, answer: str) -> bool:
        """Whether an answer holds to it."""
        return bool(answer.strip()) and KINDS[self.kind].passes(self, answer.strip())

    def found(self, answer: str) -> str:
        """What stands in an answer instead or indeed; such as '4 items'."""
        return KINDS[self.kind].found(self, answer.strip()) if answer.strip() else "an empty answer"

    @property
    def bounds(self) -> tuple[int, int | None]:
        """Fewest and most that a count may be; None: no upper end."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        return self.at_least or 0, self.at_most

    def allows(self, count: int) -> bool:
        """Whether a count lies within the bounds."""
        fewest, most = self.bounds
        return fewest <= count and (most is None or count <= most)


ARGUMENTS = {"exactly", "at_least", "at_most", "text", "options"}
COUNTS = frozenset({"exactly", "at_least", "at_most"})


@dataclass(frozen=True)
class Verifier:
    """How one kind of check works."""

    says: Callable[[Check], str]
    passes: Callable[[Check, str], bool]
    """of a check and an answer without space around it, never empty"""
    found: Callable[[Check, str], str]
    takes: frozenset[str] = frozenset()
    """the arguments that it understands"""
    needs: tuple[frozenset[str], ...] = ()
    """of each of these sets, one argument must be given"""


def _amount(check: Check, one: str, many: str) -> str:
    fewest, most = check.bounds
    if fewest == most:
        return f"exactly {_many(fewest, one, many)}"
    if most is None:
        return f"at least {_many(fewest, one, many)}"
    return f"{fewest} to {_many(most, one, many)}" if fewest else f"at most {_many(most, one, many)}"


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _counting(one: str, many: str, count: Callable[[str], int]) -> Verifier:
    return Verifier(
        says=lambda check: _amount(check, one, many),
        passes=lambda check, answer: check.allows(count(answer)),
        found=lambda check, answer: _many(count(answer), one, many),
        takes=COUNTS,
        needs=(COUNTS,),
    )


def _frequency(name: str, count: Callable[[str, str], int]) -> Verifier:
    """Without a count, once is enough."""

    def says(check: Check) -> str:
        often = f" {_amount(check, 'time', 'times')}" if check.bounds != (0, None) else ""
        return f"{name} {_quoted(check.text or '')}{often}"

    def passes(check: Check, answer: str) -> bool:
        seen = count(answer, check.text or "")
        return check.allows(seen) and (seen > 0 or check.bounds != (0, None))

    return Verifier(
        says=says,
        passes=passes,
        found=lambda check, answer: (
            f"{_quoted(check.text or '')} {_many(count(answer, check.text or ''), 'time', 'times')}"
        ),
        takes=COUNTS | {"text"},
        needs=(frozenset({"text"}),),
    )


def _searching(says: str, matches: Callable[[str, str], bool], found: Callable[[str, str], str]) -> Verifier:
    return Verifier(
        says=lambda check: f"{says} {_quoted(check.text or '')}",
        passes=lambda check, answer: matches(answer, check.text or ""),
        found=lambda check, answer: found(answer, check.text or ""),
        takes=frozenset({"text"}),
        needs=(frozenset({"text"}),),
    )


def _shape(says: str, count: Callable[[str], int], found: str, otherwise: str) -> Verifier:
    """Passes where nothing is counted that should not be there."""
    return Verifier(
        says=lambda check: says,
        passes=lambda check, answer: count(answer) == 0,
        found=lambda check, answer: otherwise.format(count(answer)) if count(answer) else found,
    )


def _starts_with(answer: str, phrase: str) -> bool:
    return re.match(rf"[\"'«(#*_\s]*{_phrase(phrase)}", plain(answer)) is not None


def _ends_with(answer: str, phrase: str) -> bool:
    """Punctuation may follow a phrase that has none."""
    after = r"[\W_]*$" if re.search(r"\w$", phrase.strip()) else rf"{CLOSING}$"
    return re.search(_phrase(phrase) + after, plain(answer)) is not None


def _bare(answer: str) -> str:
    return plain(answer).strip(" \t\r\n\"'*_").rstrip(".!").strip(" \t\r\n\"'*_")


def _is_quoted(answer: str) -> bool:
    return len(answer) > 1 and QUOTES.get(answer[0]) == answer[-1]


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}..."'


KINDS: dict[Kind, Verifier] = {
    "items": _counting("item", "items", items),
    "words": _counting("word", "words", words),
    "sentences": _counting("sentence", "sentences", sentences),
    "paragraphs": _counting("paragraph", "paragraphs", lambda answer: len(_paragraphs(answer))),
    "lines": _counting("line", "lines", lambda answer: len(_lines(answer))),
    "bullets": _counting("bullet point", "bullet points", lambda answer: len(BULLET.findall(answer))),
    "placeholders": _counting("[placeholder]", "[placeholders]", lambda answer: len(PLACEHOLDER.findall(answer))),
    "highlighted": _counting("*highlight*", "*highlights*", lambda answer: len(HIGHLIGHT.findall(answer))),
    "contains": _frequency("contains", occurrences),
    "letters": _frequency("the letter", letters),
    "forbids": _searching(
        "does not contain",
        lambda answer, phrase: not occurrences(answer, phrase),
        lambda answer, phrase: f"{_quoted(phrase)} {_many(occurrences(answer, phrase), 'time', 'times')}",
    ),
    "starts_with": _searching(
        "begins with", _starts_with, lambda answer, phrase: f"begins with {_quoted(answer[: len(phrase)])}"
    ),
    "ends_with": _searching(
        "ends with", _ends_with, lambda answer, phrase: f"ends with {_quoted(answer[-len(phrase) :])}"
    ),
    "one_of": Verifier(
        says=lambda check: "only one of " + ", ".join(map(_quoted, check.options)),
        passes=lambda check, answer: _bare(answer) in {_bare(option) for option in check.options},
        found=lambda check, answer: _quoted(answer),
        takes=frozenset({"options"}),
        needs=(frozenset({"options"}),),
    ),
    "json": _shape("JSON and nothing else", lambda answer: not is_json(answer), "JSON", "not JSON"),
    "number": _shape(
        "a number and nothing else", lambda answer: not ONLY_NUMBER.fullmatch(answer), "a number", "not a number"
    ),
    "upper": _shape(
        "all in capital letters",
        lambda answer: sum(character != character.upper() for character in answer),
        "no small letters",
        "small letters: {:,}",
    ),
    "lower": _shape(
        "all in small letters",
        lambda answer: sum(character != character.lower() for character in answer),
        "no capital letters",
        "capital letters: {:,}",
    ),
    "no_commas": _shape("no commas", lambda answer: len(re.findall("[,，،、]", answer)), "no commas", "commas: {:,}"),
    "quotation": _shape(
        "wrapped in double quotation marks",
        lambda answer: not _is_quoted(answer),
        "quotation marks around it",
        "no quotation marks around it",
    ),
    "title": _shape("a <<title>>", lambda answer: not TITLE.search(answer), "a <<title>>", "no <<title>>"),
}
