"""An instruction as the rules read it: its sentences, without what is quoted, code, or a record that it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FILLER = "\u2588"
"""Stands for each character that no rule may read, so that offsets stay; no letter, no space, no end of a sentence."""

HIDDEN = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]{1,2000}`"
    r'|"[^"\n]{1,5000}"|“[^“”]{1,5000}”|„[^„“”]{1,5000}[“”]|«[^«»]{1,5000}»'
    r"|(?<!\w)'[^'\n]{1,300}'(?!\w)|(?<!\w)‘[^‘’\n]{1,300}’(?!\w)"
    r"|https?://\S{1,2000}",
    re.DOTALL,
)
"""Code, quoted text, addresses; an apostrophe inside a word quotes nothing."""
EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")
LABEL = re.compile(r"[ \t]*(?:[-*•#>|{\[<]|[A-Z][\w' -]{0,40}:(?:\s|$))")
"""What a line of data begins with: a list's mark, a bracket, a quotation, or a name and a colon."""
END = re.compile(r"[.?!…]+[\"'”’)\]]*(?=\s|$)|[。！？।؟۔]+|\n+|;(?=\s)")
NO_END = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|cf|approx|e\.g|i\.e|a\.m|p\.m)|(?:^|[\s.(])[A-HJ-Z])\.$", re.IGNORECASE
)
REQUEST = re.compile(
    r"\s*(?:please\s+|now\s+|then\s+|finally,?\s+)?(?:add|answer|assess|choose|classify|compare|decide|describe|do not|don't|explain|give|"
    r"grade|identify|judge|label|list|name|output|pick|rate|recommend|reply|respond|return|rewrite|say|select|state|suggest|summari[sz]e|"
    r"tell|translate|use|write|you (?:must|should)|your (?:answer|task|reply)|the answer)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """One sentence of the instruction."""

    start: int
    stop: int
    """characters of the whole text"""
    text: str
    """as long as these; what is hidden from rules is `FILLER`"""

    @property
    def asks(self) -> bool:
        """Whether it ends with a question mark."""
        return "?" in self.text[-4:]


@dataclass(frozen=True)
class Reading:
    """The instruction's own words."""

    text: str
    """as it stands there"""
    plain: str
    """as long; what is hidden from rules is `FILLER`"""
    own: str
    """as long; records alone are hidden, so that quoted options can be read"""
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Found:
    """A place that a rule found."""

    start: int
    stop: int
    advice: str
    instead: str | None = None
    """what can stand there instead; None: no rule can tell"""


def is_english(text: str) -> bool:
    """Whether most letters are those of English, or there are none, as in a sum. Other languages in Latin letters pass, and the rules find next
    to nothing in them."""
    letters = [c for c in text if c.isalpha()]
    return not letters or 2 * sum(c.isascii() for c in letters) > len(letters)


def read(text: str) -> Reading:
    """The text with everything hidden that is not the instruction."""
    plain = list(HIDDEN.sub(lambda match: _filled(match[0]), text))
    own = list(text)
    for start, stop in _records(text):
        plain[start:stop] = own[start:stop] = FILLER * (stop - start)
    whole = "".join(plain)
    return Reading(text, whole, "".join(own), tuple(_sentences(whole)))


def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """(sentence,) characters from and to, records and all, in any script; what is quoted, and code, is never cut."""
    plain = HIDDEN.sub(lambda match: _filled(match[0]), text)
    return tuple((one.start, one.stop) for one in _sentences(plain))


def _filled(quoted: str) -> str:
    """Its marks stay, so that a rule sees that something stands there."""
    return quoted[0] + FILLER * (len(quoted) - 2) + quoted[-1]


def _records(text: str) -> Iterator[tuple[int, int]]:
    """Everything after the first empty line, but paragraphs that ask for something: those that begin with a verb of asking, or are one
    question. A line that begins with a name and a colon opens a record too, where a line stands before it."""
    first = EMPTY_LINE.search(text)
    start = first.end() if first else len(text)
    while first and start < len(text):
        gap = EMPTY_LINE.search(text, start)
        stop = gap.start() if gap else len(text)
        part = text[start:stop].strip()
        if not (
            REQUEST.match(part)
            or (part.endswith("?") and len(part) < 300 and not LABEL.match(part) and part[0].isalnum())
        ):
            yield start, stop
        start = gap.end() if gap else len(text)
    head = text[: first.start() if first else len(text)]
    place = 0
    for line in head.splitlines(keepends=True):
        if place and LABEL.match(line) and not line.lstrip().startswith(("[", "(", "-", "*", "•", "#")):
            yield place, place + len(line.rstrip("\n"))
        place += len(line)


def _sentences(plain: str) -> Iterator[Sentence]:
    start = 0
    for match in END.finditer(plain):
        follows = plain[match.end() : match.end() + 2].lstrip()[:1]
        if match[0][0] in ".…" and (
            follows.islower() or NO_END.search(plain[max(start, match.start() - 8) : match.start() + 1])
        ):
            continue
        yield from _sentence(plain, start, match.end())
        start = match.end()
    yield from _sentence(plain, start, len(plain))


def _sentence(plain: str, start: int, stop: int) -> Iterator[Sentence]:
    part = plain[start:stop]
    start += len(part) - len(part.lstrip())
    if part.strip(" \n\t\r" + FILLER):
        yield Sentence(start, start + len(part.strip()), part.strip())


def places(
    pattern: re.Pattern[str], sentence: Sentence, advice: str, instead: str | None = None, group: int = 0
) -> list[Found]:
    """Every match in the sentence, as places of the whole text."""
    return [
        Found(sentence.start + match.start(group), sentence.start + match.end(group), advice, instead)
        for match in pattern.finditer(sentence.text)
        if match.end(group) > match.start(group)
    ]


def any_of(words: str) -> str:
    """A pattern of one of these words, which are parted by spaces; `_` stands for a space inside of one."""
    return "(?:" + "|".join(word.replace("_", r"\s+") for word in words.split()) + ")"


def compiled(pattern: str) -> re.Pattern[str]:
    """In any case; a space stands for some space, ` ?` for some or none. Words and spaces are cut at a length that none has, so that no text
    makes a search slow."""
    bounded = pattern.replace(" ?", r"\s{0,4}").replace(" ", r"\s{1,4}")
    return re.compile(re.sub(r"(\\w|\[\\w[^\]]*\])\+", r"\1{1,40}", bounded), re.IGNORECASE)


AUXILIARY = (
    r"(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|shall|should|must|may|might|ought|"
    r"isn['’]t|aren['’]t|wasn['’]t|weren['’]t|don['’]t|doesn['’]t|didn['’]t|can['’]t|won['’]t|wouldn['’]t|shouldn['’]t)"
)
YES_NO = re.compile(
    rf"(?:.{{0,80}}[:,\n]\s*)?(?:so|and|then|yes or no|true or false)?[,:]?\s*(?P<asks>{AUXILIARY})\b", re.IGNORECASE
)
"""How a question begins that yes or no answers."""


YES_OR_NO = compiled(r"\b(?:yes or no|yes/no|y/n|y or n|true or false|true/false|t/f)\b")
PLAIN_QUESTION = compiled(
    r"^(?:is|are|was|were|does|did|has|can|could|should|would) (?:the|a|an|this|that|it|he|she|they|there|my|our|your|his|her|\w+s)\b"
)
POLITE = compiled(r"(?:can|could|would|will) (?:you|I|we)\b")


def yes_no(sentence: Sentence) -> int | None:
    """Where in the sentence a question begins that yes or no answers; None: it is no such question, or a polite request."""
    asks = sentence.asks or YES_OR_NO.search(sentence.text) or PLAIN_QUESTION.match(sentence.text)
    match = YES_NO.match(sentence.text) if asks else None
    if match is None or POLITE.match(sentence.text, match.start("asks")):
        return None
    return match.start("asks")


REQUESTED = compiled(
    r"\b(?:should|must|need|please|have to|want|would like|make sure|ensure|you will|your (?:task|answer))\b"
)
STATED = compiled(
    r"^(?:(?:the|a|an|this|that|these|those|my|our|his|her|their|its|it|he|she|they|we|i|there|here) |[\w'’-]+ (?:[\w'’-]+ ){0,3}(?:is|are|was|were|has|have|had|requires?|helps?)\b)"
)


def states(sentence: Sentence) -> bool:
    """Whether it only tells something, and asks for nothing."""
    text = sentence.text
    return (
        not sentence.asks and not REQUEST.match(text) and not REQUESTED.search(text) and STATED.match(text) is not None
    )
