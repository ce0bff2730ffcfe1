"""Checks of what an instruction asks in plain words (IFEval style), and the differences between the words of two answers."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Annotated, Literal, TypedDict

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
UNIT = re.compile(
    rf"\s+|{WORD.pattern}|[\U0001f1e6-\U0001f1ff]{{2}}|.(?:[{MARKS}\U0001f3fb-\U0001f3ff]|(?<=\u200d)[^\w\s])*",
    re.DOTALL,
)
"""A word, a run of space, or one other character with what belongs to it (a flag, an astronaut)."""

DIRECTIONS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
"""Invisible: the direction of what follows; not part of a word."""


def words(text: str) -> int:
    """How many words: runs of letters, digits and what joins them (don't, well-known, 3.14) are one; each Chinese
    character and kana is one; emoji and punctuation are none. Thai, Lao, Khmer and Burmese write no space between
    words either, but to part them takes a dictionary: there a run between two spaces is one."""
    return len(WORD.findall(DIRECTIONS.sub("", text)))


def _plain(text: str) -> str:
    """For comparison: without case, invisible directions and the ways to compose a character; quotes are straight."""
    text = unicodedata.normalize("NFC", DIRECTIONS.sub("", text)).casefold()
    return unicodedata.normalize("NFC", text).translate(str.maketrans("“”„‘’", '"""\'\''))


def _phrase(phrase: str) -> str:
    """Regular expression of a phrase that begins and ends where words do; characters that are words alone end anywhere."""
    plain, letter = _plain(phrase).strip(), rf"[^\W{ALONE}]"
    before = rf"(?<!{letter})(?<![{MARKS}])" if re.match(letter, plain) else ""
    after = rf"(?!{letter})" if re.search(rf"{letter}$", plain) else ""
    return before + r"\s+".join(map(re.escape, plain.split())) + rf"(?![{MARKS}])" + after


def occurrences(text: str, phrase: str) -> int:
    """How often a word or phrase stands in `text` as a whole, in whatever case."""
    return len(re.findall(_phrase(phrase), _plain(text)))


def letters(text: str, letter: str) -> int:
    """How often one character stands in `text`, in whatever case."""
    return _plain(text).count(_plain(letter))


# Parts of an answer

BULLET = re.compile(r"^[ \t]*[-*•+][ \t]+(?=\S)", re.MULTILINE)
LIST_ITEM = re.compile(r"^([ \t]*)(?:[-*•+]|\(?\d{1,3}[.)])[ \t]+(?=\S)", re.MULTILINE)
INLINE_NUMBER = re.compile(r"(?:^|\s)\(?(\d{1,3})[.)]\s+(?=\S)")
DIVIDER = re.compile(r"^[ \t]*(?:\*{3,}|-{3,}|_{3,})[ \t]*$", re.MULTILINE)
PLACEHOLDER = re.compile(r"\[(?=[^\w\[\]\n]*\w)[^\[\]\n]*\](?!\()")
HIGHLIGHT = re.compile(r"(?<!\*)(\*{1,3})(?![\s*])(?:[^*\n]*[^\s*])\1(?!\*)")
TITLE = re.compile(r"<<(?=[^\w<>\n]*\w)[^<>\n]*>>")
ONLY_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:[ ,]\d{3})+|\d+)(?:\.\d+)?\s?%?\.?")
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
    """How many things a list names: marked lines of the outermost level; else numbers on one line; else lines below an
    introduction that ends with a colon; else short parts between commas and 'and'. Prose is one item."""
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
    parts = [part.strip() for part in re.split(r"[,;、，；،؛](?!\d{3})", line.rstrip(" .!?。")) if words(part)]
    joint = re.compile(r"\s+(?:and|or|&)\s+", re.IGNORECASE)
    last = parts.pop() if parts else ""
    bare = re.sub(r"^(?:and|or|&)\s+", "", last, flags=re.IGNORECASE)
    alone = bare != last or any(joint.search(part) for part in parts)  # 'salt and pepper, bread and butter'
    parts += [bare] if alone else joint.split(bare)
    return len(parts) if all(words(part) <= SHORT for part in parts) else 1


def is_json(text: str) -> bool:
    """Whether all of it is a JSON object or array, with or without a Markdown fence around it."""
    fenced = re.fullmatch(r"```(?:json)?\s*\n(.*?)\n?\s*```", text.strip(), re.DOTALL | re.IGNORECASE)
    try:
        value = json.loads(fenced[1] if fenced else text, parse_constant=_refuse, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, (dict, list))


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
        if any(not _plain(phrase).strip() for phrase in (*self.options, self.text or "-")):
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
    return re.match(rf"[\"'«(#*_\s]*{_phrase(phrase)}", _plain(answer)) is not None


def _ends_with(answer: str, phrase: str) -> bool:
    """Punctuation may follow a phrase that has none."""
    after = r"[\W_]*$" if re.search(r"\w$", phrase.strip()) else rf"{CLOSING}$"
    return re.search(_phrase(phrase) + after, _plain(answer)) is not None


def _bare(answer: str) -> str:
    return _plain(answer).strip(" \t\r\n\"'*_").rstrip(".!").strip(" \t\r\n\"'*_")


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


# What an instruction states


class Bounds(TypedDict, total=False):
    """Arguments of a check that counts."""

    exactly: int
    at_least: int
    at_most: int


SMALL = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
NUMBER = rf"(\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}}|{'|'.join(sorted(SMALL, key=len, reverse=True))})"

Way = tuple[str, Callable[..., Bounds]]
AMOUNTS: tuple[Way, ...] = (
    (r"between NUMBER and NUMBER UNIT", lambda low, high: {"at_least": low, "at_most": high}),
    (r"NUMBER(?: to | or |-| - |–)NUMBER UNIT", lambda low, high: {"at_least": low, "at_most": high}),
    (r"(?:no|not) (?:more|longer) than NUMBER UNIT", lambda n: {"at_most": n}),
    (
        r"(?:not|\w+n't|never) (?!need|have)(?:\w+ ){0,4}(?:more|longer|greater) than NUMBER UNIT",
        lambda n: {"at_most": n},
    ),
    (r"(?:not|\w+n't) exceed(?:ing)? NUMBER UNIT", lambda n: {"at_most": n}),
    (r"(?:no|not) (?:fewer|less) than NUMBER UNIT", lambda n: {"at_least": n}),
    (r"(?:at least|(?:a )?minimum(?: of)?) NUMBER UNIT", lambda n: {"at_least": n}),
    (r"(?:at most|up to|within|(?:a )?maximum(?: of)?|(?:a )?limit of) NUMBER UNIT", lambda n: {"at_most": n}),
    (r"NUMBER or more UNIT", lambda n: {"at_least": n}),
    (r"NUMBER\+ UNIT", lambda n: {"at_least": n}),
    (r"NUMBER UNIT or (?:more|longer)", lambda n: {"at_least": n}),
    (r"NUMBER or (?:fewer|less) UNIT", lambda n: {"at_most": n}),
    (r"NUMBER UNIT (?:or (?:fewer|less|shorter)|max(?:imum)?|at most)", lambda n: {"at_most": n}),
    (r"NUMBER UNIT (?:minimum|at least)", lambda n: {"at_least": n}),
    (r"(?:more than|longer than|over) NUMBER UNIT", lambda n: {"at_least": n + 1}),
    (r"(?:fewer than|less than|shorter than|under|below)(?: a total of)? NUMBER UNIT", lambda n: {"at_most": n - 1}),
    (r"limit(?:ed)? (?:\w+ ){0,4}to NUMBER UNIT", lambda n: {"at_most": n}),
    (r"(?:exactly|precisely) NUMBER UNIT", lambda n: {"exactly": n}),
)
"""How an amount of UNIT is stated, and the bounds that this sets; a later way is not looked for where an earlier one was found."""

BARE = r"(?:(?:in|into|using|with|of|as|only|just) (?:a |an |the form of )?(?:only |just )?|^(?:please )?(?:write|use|give me|tell me) (?:me )?(?:only |just )?)NUMBER UNIT"
"""An amount without a comparison: 'in three paragraphs'."""

COMPOUND = r"(?:(?:an?|the) NUMBER-|an? NUMBER )UNIT "
"""A two-sentence summary."""

SAID = re.compile(r"[\"“”]([^\"“”\n]{1,400})[\"“”]|(?<!\w)['‘]([^'‘’\n]{1,80})['’](?!\w)")
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
QUESTION = re.compile(
    r"\W*(?:what|why|when|where|who|which|how|is|are|was|were|do|does|did|has|have|if|should)\b", re.IGNORECASE
)
NEGATION = re.compile(
    r"\b(?:no|not|never|without|avoid\w*|refrain\w*|instead|rather|neither|nor|unless|exclud\w*|omit\w*|except|(?:not|n't|un)necessary)\b|n['’]t\b",
    re.IGNORECASE,
)
OTHERS = re.compile(
    r"\b(?:each|every|per|both|following|these|those|given|above|below|first|last|next|line)\b", re.IGNORECASE
)
"""Words before an amount that say that it is not the answer's."""
LONGEST = 2_000
"""Characters of a sentence that is read as an instruction; a longer one is text to work on."""
MOST = 100_000
"""Largest number that an amount is."""
SENTENCES = 100
"""Sentences that are read as an instruction, at the beginning and again at the end."""
CONDITION = re.compile(
    r"^\W*(?:if|unless|when|whenever)\b|\bmeans? to\b|\bwhy (?:at|exactly|no|in|only)\b", re.IGNORECASE
)
"""What is asked only sometimes, or only asked about."""
ABOUT_CODE = re.compile(
    r"\b(?:function|program|script|code|class|parser?|api|endpoint|regex|schema|file|files|method)\b", re.IGNORECASE
)

ANSWER = r"(?:answer|response|reply|output|text|letter|email|poem|song|story|essay|post|article|limerick|haiku|rant|tweet|summary)"


@dataclass(frozen=True)
class Clause:
    """One sentence of an instruction; what stands between quotes is out of sight: ⟦0⟧ is the first of `quotes`."""

    text: str
    quotes: tuple[str, ...]

    @property
    def is_question(self) -> bool:
        return QUESTION.match(self.text) is not None and self.text.rstrip().endswith("?")

    def before(self, place: int) -> str:
        """What leads to a place, from the last comma, colon or 'but' on."""
        return re.split(r"[,;:(]|\bbut\b|\band (?=(?:do|use|include|mention|write|make|keep)\b)", self.text[:place])[-1]

    def around(self, match: re.Match[str]) -> str:
        """The part of the sentence, between commas and 'and', that a match begins in."""
        return self.before(match.start()) + re.split(r"[,;:]|\band\b", self.text[match.start() :])[0]

    def negated(self, place: int) -> bool:
        """Whether a 'not' leads to a place."""
        return _negated(self.before(place))


def _negated(text: str) -> bool:
    """'do not forget to' is no negation."""
    return NEGATION.search(text) is not None and not re.search(r"\b(?:forget|fail|hesitate)\b", text)


def find(instruction: str) -> tuple[Check, ...]:
    """The checks that an English instruction states in plain words, each once.

    Rather too few than too many: what is quoted, asked about, meant for each part or said of other text is left out.
    """
    quotes: list[str] = []

    def hide(match: re.Match[str]) -> str:
        quotes.append((match[1] or match[2]).strip())
        return f"⟦{len(quotes) - 1}⟧"

    hidden = SAID.sub(hide, instruction.translate(str.maketrans("’⟦⟧", "'[]")))
    clauses = [
        Clause(text.strip(), tuple(quotes)) for text in SENTENCE.split(hidden) if text.strip() and len(text) <= LONGEST
    ]
    stated = [
        clause for clause in clauses[:SENTENCES] + clauses[SENTENCES:][-SENTENCES:] if not CONDITION.search(clause.text)
    ]
    found = [check for clause in stated for finder in FINDERS.values() for check in finder(clause)]
    return tuple(dict.fromkeys(_without_doubles(found)))


def _without_doubles(found: list[Check]) -> list[Check]:
    """'use bullet points' says nothing beside 'exactly 3 bullet points'; neither does 'include' beside 'at least twice'."""
    counted = {(check.kind, check.text) for check in found if check.bounds not in ((0, None), (1, None))}
    return [
        check
        for check in found
        if (check.kind, check.text) not in counted or check.bounds not in ((0, None), (1, None))
    ]


def _number(digits: str) -> int:
    lowered = digits.lower()
    return SMALL.index(lowered) + 1 if lowered in SMALL else int(digits.replace(",", ""))


@cache
def _compiled(way: str, unit: str) -> re.Pattern[str]:
    return re.compile(r"(?<![\w.,])" + way.replace("NUMBER", NUMBER).replace("UNIT", unit), re.IGNORECASE)


def _amounts(text: str, unit: str, ways: tuple[Way, ...]) -> Iterator[tuple[re.Match[str], Bounds]]:
    """Where `text` states an amount of a unit, and its bounds."""
    for way, bounds in ways:
        pattern = _compiled(way, unit)
        for match in pattern.finditer(text):
            numbers = [_number(group) for group in match.groups() if group]
            if min(numbers) > 0 and max(numbers) <= MOST and numbers == sorted(numbers):
                yield match, bounds(*numbers)
        text = pattern.sub(lambda match: " " * len(match[0]), text)


def _can_be_looked_for(phrase: str) -> bool:
    """Whether a phrase is more than invisible, and no whole text."""
    return bool(_plain(phrase).strip()) and len(phrase) <= 400


def _exactly(n: int) -> Bounds:
    return {"exactly": n}


def _counted(
    kind: Kind, unit: str, bare: bool = False, most: int = MOST, not_before: str = r"(?!)"
) -> Callable[[Clause], Iterator[Check]]:
    """Finds amounts of a unit; `bare`: also without a comparison, up to `most`; `not_before`: what may not follow."""
    ways = AMOUNTS + (((BARE, _exactly), (COMPOUND, _exactly)) if bare else ())

    def finder(clause: Clause) -> Iterator[Check]:
        text = re.sub(r"\b(?:a single|single)\b", "one", clause.text, flags=re.IGNORECASE)
        for match, bounds in _amounts(text, unit, ways):
            before, after = Clause(text, ()).before(match.start()), text[match.end() :]
            if OTHERS.search(before) or _negated(before) or re.match(not_before, after, re.IGNORECASE):
                continue
            if re.match(
                r"(?:\W*\w+){0,3}?\W*(?:(?:for|in|on|about|to|per) (?:each|every)|per)\b", after, re.IGNORECASE
            ):
                continue
            if bounds.get("exactly", 0) > most and not match[0].lower().startswith(("exactly", "precisely")):
                continue
            if bounds.get("at_most") != 0:
                yield Check(kind=kind, **bounds)

    return finder


ASKS_FOR_ITEMS = re.compile(
    r"\W*(?:(?:please|can you|could you|kindly) )*(?:name|list|give|suggest|provide|recommend|mention|tell|come up with|brainstorm|propose|think of|identify)"
    rf"(?: me| us)?(?: with)?(?: a list of)?(?P<more> at least| up to| exactly)?(?: the)?(?: first| top)? (?P<number>{NUMBER})(?P<what>(?: [\w'-]+){{1,4}})(?P<rest>.*)",
    re.IGNORECASE,
)
NOT_ITEMS = re.compile(
    r"(?:words?|sentences?|paragraphs?|lines?|bullets?|points?|days?|hours?|minutes?|seconds?|weeks?|months?|years?|times?|dollars?|percent|pages?|sections?|versions?|responses?|answers?|digits?|letters?|steps?|verses?|stanzas?"
    r"|stories|poems?|essays?|paragraph|reasons?|facts?|jokes?|explanations?|arguments?|differences?|alternatives|critiques|elaborations|examples|recipes|summaries|quotes?)",
    re.IGNORECASE,
)
AND_MORE = re.compile(
    rf"\b(?:and|with|then) (?:{NUMBER}|their|its|the|an?|explain|describe|say|tell|give|why|what|how)\b", re.IGNORECASE
)
"""Where a list of items would hold more than the items."""
PLURAL = re.compile(r".*(?<!s)s|people|children|men|women|mice|feet|geese|fish|teeth", re.IGNORECASE)


def _items(clause: Clause) -> Iterator[Check]:
    """Name three animals; not what is written in sentences, such as reasons."""
    match = ASKS_FOR_ITEMS.match(clause.text)
    if not match or AND_MORE.search(match["what"] + match["rest"]):
        return
    named = re.split(r" (?:for|of|that|about|in|with|to|who|which|from|and|or)\b", match["what"])[0].split()
    plural = next((n for n, word in enumerate(named) if PLURAL.fullmatch(word)), None)
    number = _number(match["number"])
    if plural is None or not 1 < number <= MOST or any(NOT_ITEMS.fullmatch(word) for word in named[: plural + 1]):
        return
    bounds = {"at least": "at_least", "up to": "at_most"}.get((match["more"] or "").strip().lower(), "exactly")
    yield Check.model_validate({"kind": "items", bounds: number})


BARE_WORD = r"(?!(?:and|or|in|with|to|that|of|from|which|for|as|like|such|the|a|an|you|your|count|counts|limit|at|is|are|should|must|below|above|given|following|only|more|less|appears?|list|it|its|be|by|on|but|search|i|before|after|other|else|than|when|if|while|until|so|because|about|without|each|every|choice|order)\b)[\w-]+"
SAID_LIST = r"⟦\d+⟧(?:\s*(?:,\s*(?:and|or)?|and|or|&)\s*⟦\d+⟧)*"
WORD_LIST = rf"{BARE_WORD}(?:, {BARE_WORD})*,? (?:and|or) {BARE_WORD}|{BARE_WORD}(?:, {BARE_WORD})+"
NAMED = re.compile(
    rf"(?:(?:key)?(?:words?|phrases?|terms?|names?|lines?)|following|these items):? \[?(?:(?P<said>{SAID_LIST})|(?<=words )(?P<words>{WORD_LIST})|(?<=words: )(?P<words2>{WORD_LIST})|(?<=word )(?P<word>{BARE_WORD}))",
    re.IGNORECASE,
)
DIRECT = re.compile(
    rf"\b(?:includ|mention|contain|us|say|avoid)(?:e|es|ing|s)?(?: both| either| the| saying| using| mentioning)? (?P<said>{SAID_LIST})",
    re.IGNORECASE,
)
USES = re.compile(
    r"\b(?:us(?:e|es|ing)|includ(?:e|es|ing)|contain(?:s|ing)?|mention(?:s|ing)?|incorporat(?:e|es|ing)|say|saying|has|have|add|avoid(?:ing)?|exclud(?:e|es|ing)|omit(?:ting)?)\b",
    re.IGNORECASE,
)
APPEARS = re.compile(
    r"\W*(?:(?:should|must|may|can|needs? to|has to|does|do|to)\s*(?:not|n't)?\s*)?(?:appears?|appearing|be (?:used|included|mentioned|in)|shows? up|occurs?|in your)\b",
    re.IGNORECASE,
)
MAY_NOT = re.compile(r"\W*(?:does|do|can|should|must|may)(?:\s*not|n't)\b", re.IGNORECASE)
NOT_IN_THE_ANSWER = re.compile(
    r"\b(?:replac\w*|count|how (?:often|many)|synonyms?|antonyms?|defin\w*|meaning|translat\w*|find|underlined|pronounc\w*|rhym\w*|one of|trying|(?:start|end|begin)s? with|(?:start|end|begin)ning with|ending with|paragraph|comments?|title|button|command)\b|\bany (?:key)?$",
    re.IGNORECASE,
)


def _mentions(clause: Clause) -> Iterator[Check]:
    """Words and phrases that must stand in the answer, or must not."""
    for pattern in (NAMED, DIRECT):
        for match in pattern.finditer(clause.text):
            before, after = clause.before(match.start()), clause.text[match.end() :].lstrip("]' ")
            used = pattern is DIRECT or APPEARS.match(after) or USES.search(clause.text[: match.start()])
            if clause.is_question or NOT_IN_THE_ANSWER.search(before) or not used:
                continue
            phrases, often = _phrases(match, clause.quotes), _often(after)
            if _negated(before + (match[0] if pattern is DIRECT else "")) or MAY_NOT.match(after):
                yield from (Check(kind="forbids", text=phrase) for phrase in phrases if not often)
            elif len(phrases) == 1:
                yield Check(kind="contains", text=phrases[0], **often)
            elif not re.search(r"\bor\b", match[0]):
                yield from (Check(kind="contains", text=phrase) for phrase in phrases)


def _phrases(match: re.Match[str], quotes: tuple[str, ...]) -> list[str]:
    """What a match of NAMED or DIRECT names."""
    if match["said"]:
        said = [quotes[int(n)].strip(" .,") for n in re.findall(r"⟦(\d+)⟧", match["said"])]
        return [phrase for phrase in said if re.search(r"\w", phrase)]
    bare = next(group for group in match.groups()[1:] if group)
    return [word for word in re.findall(r"[\w-]+", bare) if word.lower() not in ("and", "or")]


OFTEN: tuple[Way, ...] = (
    (r"NUMBER times? or more", lambda n: {"at_least": n}),
    *AMOUNTS,
    (r"only NUMBER UNIT", _exactly),
    (r"NUMBER UNIT", _exactly),
)


def _often(after: str) -> Bounds:
    """The bounds that 'at least twice' and the like state right after a word."""
    tail = re.split(r"[.;:!?\n,]|⟦|\band (?:the|for|use|include|avoid)\b", after)[0]
    for word, times in (("once", "1 times"), ("twice", "2 times"), ("thrice", "3 times")):
        tail = re.sub(rf"\b{word}\b", times, tail, flags=re.IGNORECASE)
    return next((bounds for _, bounds in _amounts(tail, "times?", OFTEN)), Bounds())


LETTERS = re.compile(r"\bletter (?:⟦(?P<said>\d+)⟧|(?P<one>[a-z])\b)", re.IGNORECASE)


def _letters(clause: Clause) -> Iterator[Check]:
    for match in LETTERS.finditer(clause.text):
        letter = clause.quotes[int(match["said"])] if match["said"] else match["one"]
        before, after = clause.before(match.start()), clause.text[match.end() :]
        if clause.is_question or len(letter) != 1 or not letter.isascii() or NOT_IN_THE_ANSWER.search(before):
            continue
        often, no = (
            _often(after),
            _negated(before) or re.match(r"\W*(?:should|must|may|can)(?:\s*not|n't)\b", after),
        )
        if no and (not often or _exceeds(after)):
            yield Check(kind="letters", text=letter.lower(), at_most=_most(often))
        elif often and not no:
            yield Check(kind="letters", text=letter.lower(), **often)
        elif APPEARS.match(after) and not no:
            yield Check(kind="letters", text=letter.lower(), at_least=1)


def _exceeds(after: str) -> bool:
    return re.match(r"\W*(?:\w+ ){0,3}more than\b", after, re.IGNORECASE) is not None


def _most(often: Bounds) -> int:
    """'not more than twice' was read as 'more than twice'."""
    return often.get("at_least", 1) - 1


def _stated(
    kind: Kind, pattern: str, unless: str = r"(?!)", bounds: Bounds | None = None
) -> Callable[[Clause], Iterator[Check]]:
    """Finds what a pattern states without a 'not' before it, outside a question and where `unless` is not said."""
    stated, otherwise = re.compile(pattern, re.IGNORECASE), re.compile(unless, re.IGNORECASE)

    def finder(clause: Clause) -> Iterator[Check]:
        match = stated.search(clause.text)
        if match and not (
            clause.is_question or clause.negated(match.start()) or otherwise.search(clause.around(match))
        ):
            yield Check(kind=kind, **(bounds or Bounds()))

    return finder


WITH = rf"(?:your |the |it |this |with |an? |blog )*(?:entire |whole )?(?:{ANSWER} )?with"
WHAT = r"(?:,? (?:exactly|precisely|the|this|exact|single|following|phrases?|question|sentences?|words?|of|line|text))*(?::? ⟦(?P<said>\d+)⟧|(?<=the word) (?P<word>[\w-]+)|: (?P<rest>[^⟦⟧]+)$)"
CALLED = r"(?:^\W*|\band (?:you should )?|, |please |must |should |to |you )"
EDGES: dict[Kind, tuple[str, ...]] = {
    "starts_with": (
        rf"{CALLED}(?:begin|start) {WITH}{WHAT}",
        rf"\b{ANSWER} (?:begins|starts|(?:must|should|has to|needs to) (?:begin|start)) with{WHAT}",
    ),
    "ends_with": (
        rf"{CALLED}(?:end|finish|conclude) {WITH}{WHAT}",
        rf"\b{ANSWER} (?:must|should|has to|needs to) (?:end|finish|conclude) with{WHAT}",
        rf"\bvery (?:end|last sentence) of your (?:entire )?{ANSWER} should (?:be|read)(?: exactly like)?{WHAT}",
    ),
}
OF_A_PART = re.compile(
    r"\b(?:paragraph|section|stanza|line|sentence|verse|postscript|names?|each|every|all|words?)\b[^⟦]*\b(?:begin|start|end|finish|conclude)",
    re.IGNORECASE,
)


def _edge(kind: Kind) -> Callable[[Clause], Iterator[Check]]:
    patterns = [re.compile(pattern, re.IGNORECASE) for pattern in EDGES[kind]]

    def finder(clause: Clause) -> Iterator[Check]:
        match = next((match for pattern in patterns if (match := pattern.search(clause.text))), None)
        lead = clause.text[: match.end()] if match else ""
        if match and not (clause.is_question or _negated(clause.before(match.end())) or OF_A_PART.search(lead)):
            text = clause.quotes[int(match["said"])] if match["said"] else match["word"] or match["rest"]
            if _can_be_looked_for(text):
                yield Check(kind=kind, text=text)

    return finder


CHOICE = re.compile(
    r"\b(?:answer|respond|reply|say|output|write|return)(?: only| just| simply)?(?: with)?(?: only| just| either| a simple)? (?:(?P<words>yes or no|no or yes|true or false)|⟦(?P<one>\d+)⟧ or ⟦(?P<two>\d+)⟧)(?P<rest>[^.\n]*)|^(?:just |only )?(?P<alone>yes or no|true or false)(?P<after>\??|\.|:)$",
    re.IGNORECASE,
)


def _choice(clause: Clause) -> Iterator[Check]:
    """Answer with yes or no; not where reasons are asked for too."""
    match = CHOICE.search(clause.text)
    if (
        not match
        or clause.is_question
        or clause.negated(match.start())
        or re.match(
            r"(?:,? (?:and|then|explain|because|with|or|if|in|depending)|,)", match["rest"] or "", re.IGNORECASE
        )
    ):
        return
    said = match["words"] or match["alone"]
    options = said.lower().split(" or ") if said else [clause.quotes[int(match[name])] for name in ("one", "two")]
    if all(map(_can_be_looked_for, options)):
        yield Check(kind="one_of", options=tuple(options))


NO = r"(?:\b(?:no|not|never|without|avoid|avoiding|refrain|refrain from|free of|exclude)|n't)\b"
NOT_ALL = r"\bwords? (?:with|in|having|be in|are in|that are)\b|\b(?:at least|more than|less than|fewer than|some|few|first|each|title|times?|heading|name)\b|\bwords be\b"


def _highlighted(clause: Clause) -> Iterator[Check]:
    """Sections that are to be *highlighted*; other sections are another matter."""
    if re.search(r"\bhighlight|\bitalici", clause.text, re.IGNORECASE):
        yield from HIGHLIGHTED(clause)


def _bullets(clause: Clause) -> Iterator[Check]:
    yield from COUNTED_BULLETS(clause)
    yield from ANY_BULLETS(clause)


COUNTED_BULLETS = _counted("bullets", "(?:(?:very )?short )?bullet(?:ed)?(?: points?|s)?", True)
ANY_BULLETS = _stated(
    "bullets",
    r"\b(?:use|using|in|as|with|into) (?:a |markdown )*bullet(?:s|(?:ed)? (?:points|list))\b",
    bounds=Bounds(at_least=1),
)
HIGHLIGHTED = _counted("highlighted", "(?:text )?(?:highlighted )?(?:sections?|parts?|phrases?)")

FINDERS: dict[Kind, Callable[[Clause], Iterator[Check]]] = {
    "items": _items,
    "words": _counted(
        "words",
        "words?",
        True,
        20,
        r"\W*(?:that|which|who|rhym|relat|start|begin|mean|synonym|for|from|you|used|[^.,]*\b(?:all[- ]caps|capital letters|capitalized|upper ?-?case|italic|bold)|with (?:all|capital|letter|the|an?)\b|be in|to describe|ending|long(?:er)? phrase)",
    ),
    "sentences": _counted("sentences", "(?:short |simple |full |complete )?sentences?", True),
    "paragraphs": _counted("paragraphs", "(?:paragraphs?|stanzas?)", True),
    "lines": _counted("lines", "lines?", True, 200, r"\W*of code"),
    "bullets": _bullets,
    "placeholders": _counted("placeholders", "placeholders?"),
    "highlighted": _highlighted,
    "contains": _mentions,
    "letters": _letters,
    "starts_with": _edge("starts_with"),
    "ends_with": _edge("ends_with"),
    "one_of": _choice,
    "json": _stated(
        "json",
        r"\b(?:in|as|using|into|with|a|only|valid|be) (?:a |the )?(?:single |valid |proper )?json\b",
        ABOUT_CODE.pattern,
    ),
    "number": _stated(
        "number",
        r"\b(?:answer|respond|reply) (?:with )?(?:only |just )(?:with )?(?:a |the )?(?:single )?number\b(?! of)|\b(?:answer|respond|reply) with (?:a (?:single )?number only\b|a single number\b(?! of))",
    ),
    "upper": _stated(
        "upper", r"\b(?:all|only|entirely|in)(?: in| use)? (?:capital letters|caps\b|upper ?-?case)", NOT_ALL
    ),
    "lower": _stated(
        "lower",
        rf"\b(?:all|only|entirely|in)(?: in| use)? (?:lower ?-?cased?|small letters)|{NO}(?: (?:any|use|using|contain|include|have)){{0,2}} (?:capital letters|upper ?-?case)",
        NOT_ALL,
    ),
    "no_commas": _stated("no_commas", rf"{NO}(?! (?:more|only|less))[^.;:]{{0,40}}?\bcommas?\b(?! splice)"),
    "quotation": _stated(
        "quotation",
        rf"\b(?:wrap|put|enclose|surround|wrapped|enclosed|write|give|place)\b[^.]{{0,120}}\b(?:{ANSWER}|everything|it)\b[^.]{{0,120}}\bdouble quot|\bput double quot[^.]{{0,120}}\b{ANSWER}\b",
    ),
    "title": _stated("title", r"\btitle\b[^.]{0,120}(?:\bdouble angular brackets|<<)"),
}


# Differences

CELLS = 1 << 29
"""Pairs of words that are compared at most (64 MB); of longer answers only what both begin and end with is matched."""


Whose = Literal["same", "base", "tuned"]


@dataclass(frozen=True)
class Piece:
    """A stretch of text that both answers have, or only one of them."""

    kind: Whose
    text: str


def units(text: str) -> list[tuple[str, str]]:
    """(space before it, word or other character), in order; the last is empty and holds the space at the end."""
    found, space = [], ""
    for match in UNIT.finditer(text):
        if match[0].isspace():
            space += match[0]
        else:
            found.append((space, match[0]))
            space = ""
    return [*found, (space, "")]


def diff(base: str, tuned: str) -> tuple[Piece, ...]:
    """What both answers say and what only one does, in order: 'same' and 'base' pieces join to `base`, 'same' and 'tuned'
    pieces to `tuned`. Words are compared, and the space before a word belongs to it."""
    return tuple(_joined(_differences(units(base), units(tuned))))


def _differences(base: list[tuple[str, str]], tuned: list[tuple[str, str]]) -> Iterator[Piece]:
    i = j = 0
    for left, right, length in [*_matches(base, tuned), (len(base) - 1, len(tuned) - 1, 1)]:
        yield Piece("base", "".join(space + word for space, word in base[i:left]))
        yield Piece("tuned", "".join(space + word for space, word in tuned[j:right]))
        i, j = left + length, right + length
        for (before, word), (other, _) in zip(base[left:i], tuned[right:j], strict=True):
            if before == other:
                yield Piece("same", before + word)
            else:
                yield from (Piece("base", before), Piece("tuned", other), Piece("same", word))


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Between two 'same' pieces at most one of each side, base first."""
    for same, run in groupby((piece for piece in pieces if piece.text), lambda piece: piece.kind == "same"):
        texts: dict[Whose, list[str]] = {"same": []} if same else {"base": [], "tuned": []}
        for piece in run:
            texts[piece.kind].append(piece.text)
        yield from (Piece(kind, "".join(parts)) for kind, parts in texts.items() if parts)


def first_divergence(base: str, tuned: str) -> int | None:
    """How many words (and other characters) both answers begin with before one differs; None where none does."""
    left, right = ([word for _, word in units(text)] for text in (base, tuned))
    return None if left == right else _common(left, right)


def agreement(base: str, tuned: str) -> float:
    """Share of words (and other characters) that both answers have in the same order: 2 * matches / words of both; 1 for equal answers."""
    sides = units(base), units(tuned)
    total = len(sides[0]) + len(sides[1]) - 2
    return 2 * sum(length for _, _, length in _matches(*sides)) / total if total else 1.0


def _common(left: list[str], right: list[str]) -> int:
    """Length of the beginning that two lists share."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _matches(base: list[tuple[str, str]], tuned: list[tuple[str, str]]) -> list[tuple[int, int, int]]:
    """(place in base, place in tuned, length) of what is matched, in order; the empty unit at the end is left out."""
    left, right = ([word for _, word in side[:-1]] for side in (base, tuned))
    if left > right:  # which of several equally good matchings is taken depends on the order
        return [(i, j, length) for j, i, length in _blocks(right, left)]
    return _blocks(left, right)


def _blocks(left: list[str], right: list[str]) -> list[tuple[int, int, int]]:
    head = _common(left, right)
    tail = _common(left[head:][::-1], right[head:][::-1])
    inner, other = left[head : len(left) - tail], right[head : len(right) - tail]
    pairs = [(head + i, head + j) for i, j in longest_common(inner, other)] if len(inner) * len(other) <= CELLS else []
    blocks = [(0, 0, head), *((i, j, 1) for i, j in pairs), (len(left) - tail, len(right) - tail, tail)]
    return [block for block in blocks if block[2]]


def longest_common(left: list[str], right: list[str]) -> list[tuple[int, int]]:
    """(place in left, place in right) of a longest common subsequence, in order.

    Bits of one long integer stand for the words of `left` (Hyyrö 2004, "Bit-parallel LCS-length computation
    revisited"): thousands of words take milliseconds whatever they are, where difflib takes a minute for two loops.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(left)) - 1
    rows = [every]  # a 0 in row j at i: the longest for left[: i + 1] and right[:j] is one longer than without word i
    for word in right:
        fits = rows[-1] & places.get(word, 0)
        rows.append(((rows[-1] + fits) | (rows[-1] - fits)) & every)
    pairs, i, j = [], len(left), len(right)
    while i and j:
        if rows[j] >> (i - 1) & 1:
            i -= 1
        elif not rows[j - 1] >> (i - 1) & 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
