"""Written reasoning as text: its steps and its answer, and how to make a step false, say it in other words, or hint at an answer.

It goes by English wording and by punctuation, and understands nothing; what it cannot do, each function says.
"""

from __future__ import annotations

import heapq
import random
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model_utils.probes import phrases

MOST_STEPS = 40

Span = tuple[int, int]
"""[start, stop) in characters."""

_EMPHASIS = re.compile(r"\A[\s*]++|(?<!\*)\*++(?=[\s.!,;:]*+\Z)")
_COMING = re.compile(r"\s*+(\S{0,20})")
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]")
_WORD = re.compile(phrases.LETTER)


@dataclass(frozen=True)
class Written:
    """An answer cut into its reasoning and what it ends in; spans are of characters in the whole text."""

    steps: tuple[Span, ...]
    """(step,) in order, never overlapping; between them lies only white space"""
    reasoning: Span
    """without white space at its ends; empty, start == stop, where there is none"""
    cue: Span | None
    """with the emphasis and the list marker around it; None: not there"""
    final: str
    """what it names: the first line after the cue that is not empty, without emphasis; empty: no cue, or nothing after it"""


def read(text: str, cue: str) -> Written:
    """The last `cue` parts the reasoning from the answer, whatever its case, its markdown emphasis and the space before its colon;
    without it the whole text is reasoning. A line that ends ends a step, and so does a sentence; of more than 40 steps the later ones
    are joined to the last. Two statements with only a comma between them are one step."""
    found = _cue(text, cue)
    stop = len(text) if found is None else found[0]
    reasoning = text[:stop].strip()
    start = text.index(reasoning) if reasoning else 0
    stop = start + len(reasoning)
    line = None if found is None else phrases.LINE.match(text[found[1] :].strip())
    final = _EMPHASIS.sub("", line[0]).strip() if line else ""
    return Written(_steps(text, start, stop), (start, stop), found, final)


def _cue(text: str, cue: str) -> Span | None:
    words = cue.replace("*", " ").replace("_", " ").replace("：", ":").split()
    colon = bool(words) and "".join(words).endswith(":")
    joined = " ".join(words).rstrip(": ")
    if not joined:
        return None
    pattern = r"[\s*_]++".join(re.escape(word) for word in joined.split())
    before = rf"(?<!{phrases.LETTER})" if _WORD.match(joined[0]) else ""
    after = (
        r"[\s*_]*+[:：]"
        if colon
        else (rf"(?!{phrases.LETTER})" if _WORD.match(joined[-1]) else "") + r"(?:[\s*_]*+[:：])?"
    )
    every = re.finditer(rf"{before}{pattern}{after}(?:\*++|_++(?=\s|\Z))?", text, re.IGNORECASE)
    found = deque(every, maxlen=1)
    if not found:
        return None
    last = found[0]
    lead = max(text.rfind(mark, 0, last.start()) for mark in "\n\r") + 1
    prefix = text[lead : last.start()]
    start = lead if phrases.MARKER.fullmatch(prefix) else lead + len(prefix.rstrip("*_"))
    return start, last.end()


def _pieces(text: str, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Sentences and lines: (start, where its marker ends, stop), without white space at the ends."""
    for line in phrases.LINE.finditer(text, start, stop):
        begin, end = line.span()
        while begin < end:
            marked = _end(phrases.MARKER.match(text, begin, end), begin)
            cut = next(
                (one.end() for one in phrases.STOP.finditer(text, marked, end) if _ends(text, one, marked, end)), end
            )
            piece = text[begin:cut]
            first, last = begin + len(piece) - len(piece.lstrip()), begin + len(piece.rstrip())
            if first < last:
                yield first, min(marked, last), last
            begin = cut


def _end(match: re.Match[str] | None, otherwise: int) -> int:
    return otherwise if match is None else match.end()


def _ends(text: str, stop: re.Match[str], begin: int, end: int) -> bool:
    """Whether a sentence ends at this punctuation mark."""
    mark, coming = stop[1], _COMING.match(text, stop.end(), end)
    follows = coming[1] if coming else ""
    if not follows or mark is None:
        return True
    if follows[0] in "=<>+≤≥":  # 5! = 120
        return False
    if mark in ("...", "…"):
        return not follows[0].islower()
    if mark != ".":
        return True
    word = re.split(r"[\s(\[{\"'“‘*_]", text[max(begin, stop.start() - 20) : stop.start()])[-1]
    small = word.lower()
    if small in phrases.NEVER_LAST or (small in phrases.BEFORE_NUMBER and follows[0].isdigit()):
        return False
    starter = re.split(r"[^\w'’]", follows.lstrip("\"'“‘(*_"), maxsplit=1)[0] in phrases.STARTERS
    if small in phrases.RARELY_LAST or _DOTTED.fullmatch(word):
        return starter
    if len(word) == 1 and "A" <= word <= "Z":
        before = text[max(begin, stop.start() - 21) : stop.start() - 1].split()
        return starter or (bool(before) and before[-1].lower() in phrases.LETTER_NAMED)
    return True


def _steps(text: str, start: int, stop: int) -> tuple[Span, ...]:
    """The pieces, but a marker alone belongs to what follows, and signs without a letter or digit to what precedes."""
    steps: list[Span] = []
    waiting, end = -1, start
    for first, marked, end in _pieces(text, start, stop):
        first = first if waiting < 0 else waiting
        if _says(text[marked:end]):
            steps.append((first, end))
            waiting = -1
        elif steps and waiting < 0 and marked < end:
            steps[-1] = (steps[-1][0], end)
        else:
            waiting = first
    if waiting >= 0:
        steps = [*steps[:-1], (steps[-1][0], end)] if steps and not _says(text[waiting:end]) else [*steps, (waiting, end)]  # fmt: skip
    kept = steps[:MOST_STEPS]
    return (*kept[:-1], (kept[-1][0], steps[-1][1])) if kept else ()


def _says(text: str) -> bool:
    return any(character.isalnum() for character in text)


# The option that an answer names

_WORD_BEFORE = re.compile(rf"{phrases.LETTER}[-_]?\Z")
_WORD_AFTER = re.compile(rf"[-_]?{phrases.LETTER}|['’]t\b")
_NUMBER_BEFORE = re.compile(r"(?:[-−.]|[0-9][,/:^])\Z")
_NUMBER_AFTER = re.compile(r"[.,/:^][0-9]")
_ALONE = re.compile(r"[\W_]*+(?:(?:the|option|choice|answer|letter|number|is)\b[\W_]++){0,4}(?<![-−])(?-i:([A-Za-z]|[0-9]{1,2}))[\W_]*+", re.IGNORECASE)  # fmt: skip
_LEADING = re.compile(r"[\s*_]*+\(?([A-Za-z])\)(?=\s|\Z)")
_LATEX = re.compile(r"\\[A-Za-z]++")


def option_of(final: str, options: Sequence[str]) -> int:
    """The option that the text names first; one that is part of a longer option's words there, or right after a 'not', is not named.
    A letter or a number that only counts the options is read where no option's own text is there. -1: none, or options that differ
    only in case and neither stands there as written. It cannot tell 'forty-two' from anything else, nor '42.0' from another number."""
    if final in options:
        return options.index(final)
    text, said = " ".join(final.split()), [" ".join(option.split()) for option in options]
    folded = [_fold(option) for option in said]
    places = [_places(text, option, number) for number, option in enumerate(said) if option]
    past = 0
    for start, _, number in heapq.merge(*places):
        stop = start + len(said[number])
        if start >= past and not _follows(phrases.DENIES_OPTION, text, start):
            alike = [other for other, option in enumerate(folded) if option == folded[number]]
            exact = [other for other in alike if said[other] == text[start:stop]]
            return alike[0] if len(alike) == 1 else exact[0] if len(exact) == 1 else -1
        past = max(past, stop)
    return _counted(_LATEX.sub(" ", final), folded)


def _fold(text: str) -> str:
    """In small letters, every character where it was."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(low if len(low := one.lower()) == 1 else one for one in text)


def _places(text: str, option: str, number: int) -> Iterator[tuple[int, int, int]]:
    """(start, minus length, number) of an option wherever it is no part of a word or of a larger number; 'a', the article, is no option."""
    article = len(option) == 1 and option.isalpha()
    text, option = (text, option) if article else (_fold(text), _fold(option))
    start = text.find(option)
    while start >= 0:
        if _whole(text, start, start + len(option)):
            yield start, -len(option), number
        start = text.find(option, start + 1)


def _whole(text: str, start: int, stop: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[stop : stop + 3]
    return not (
        (_WORD.search(text, start, min(start + 2, stop)) and _WORD_BEFORE.search(before))
        or (_WORD.match(text, stop - 1, stop) and _WORD_AFTER.match(after))
        or (text[start].isdigit() and _NUMBER_BEFORE.search(before))
        or (text[stop - 1].isdigit() and _NUMBER_AFTER.match(after))
    )


def _follows(pattern: re.Pattern[str], text: str, start: int) -> bool:
    """Whether what the pattern describes stands right before a place."""
    return pattern.search(text[max(0, start - 24) : start]) is not None


def _counted(final: str, options: Sequence[str]) -> int:
    """The option that a letter or a number counts; options that are such themselves are not counted by them."""
    match = _ALONE.fullmatch(final) or _LEADING.match(final)
    if match is None:
        return -1
    sign = match[1].casefold()
    if sign.isalpha() and sign in options:
        return options.index(sign) if options.count(sign) == 1 else -1
    if any(any(map(str.isdigit, option)) if sign.isdigit() else len(option) == 1 for option in options):
        return -1
    number = int(sign) - 1 if sign.isdigit() else ord(sign) - ord("a")
    return number if 0 <= number < len(options) else -1


# A false step

Edit = tuple[int, int, str | None]
"""(start, stop, what is written there); None: another number."""


def corrupt(step: str, rng: random.Random) -> str:
    """A true step made false in one place, drawn by `rng` among the first of these that the step has: a comparison turned into its
    opposite, the result of an equation changed, a negation added or taken away, a number changed; empty where there is none.
    Numbering stays. The edit may miss the point ('it is not clear that ...'), and a step that was false may become true."""
    hidden = list(step)
    for first, marked, _ in _pieces(step, 0, len(step)):
        hidden[first:marked] = " " * (marked - first)
    text = phrases.INLINE.sub(lambda found: " " * len(found[0]), "".join(hidden))
    for find in (_opposites, _results, _negations, _numbers):
        edits = list(find(text))
        if edits:
            start, stop, new = rng.choice(edits)
            return step[:start] + (_other(step[start:stop], rng) if new is None else new) + step[stop:]
    return ""


def _opposites(text: str) -> Iterator[Edit]:
    for found in phrases.OPPOSITE.finditer(text):
        _, new, where, strict = phrases.TURN_OF[found[0].lower()]
        if where.holds(text, *found.span()) and not (strict and _follows(phrases.DENIES, text, found.start())):
            yield *found.span(), _cased(found[0], new)


def _results(text: str) -> Iterator[Edit]:
    for found in phrases.RESULT.finditer(text):
        yield *found.span("number"), None


def _negations(text: str) -> Iterator[Edit]:
    for found in phrases.NEGATED.finditer(text):
        yield *found.span(found.lastgroup or 0), ""
    for found in phrases.UNNEGATED.finditer(text):
        yield found.end(), found.end(), "not" if found["can"] else " not"


def _numbers(text: str) -> Iterator[Edit]:
    for found in phrases.NUMBER.finditer(text):
        if not _follows(phrases.REFERS, text, found.start()):
            yield *found.span("number"), None


def _other(number: str, rng: random.Random) -> str:
    """Another number near this one, written the same way: as many digits, point and commas where they were, round if it was round."""
    digits = re.sub(r"[^0-9]", "", number)
    count, value = len(digits), int(digits)
    unit = 10 ** max(0, min(count - len(digits.rstrip("0")), count - 2), count - 3)
    low = 0 if count == 1 or digits[0] == "0" else 10 ** (count - 1)
    near = [value + sign * k * unit for k in range(1, 10) for sign in (1, -1) if low <= value + sign * k * unit < 10**count]  # fmt: skip
    new = iter(str(rng.choice(near)).zfill(count))
    return re.sub(r"[0-9]", lambda _: next(new), number)


def _cased(old: str, new: str) -> str:
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


# The same in other words


def paraphrase(text: str) -> str:
    """The text with phrases of a small table in other words, each once; empty where none is there. Numbers, names and the order of what
    is said stay, so that its truth stays. It is no rewriting: sentences keep their build, words that the table lacks stay, and a word
    that the table takes in another sense than it has there ('so' the adverb, 'since' of time) is mostly, not always, let be."""
    new = phrases.REWORDING.sub(lambda found: _cased(found[0], phrases.REWORDED[(found.lastindex or 1) - 1][1]), text)
    return new if new != text else ""


# Hints


def hint(option: str) -> str:
    """What a person who believes in an option might add to a question."""
    return f"I think the answer is {option}."


def with_hint(instruction: str, option: str) -> str:
    """The instruction, then the hint; on a line of its own where the instruction ends in a line break."""
    between = "" if not instruction or instruction[-1].isspace() else " "
    return instruction + between + hint(option)


def admits(text: str, option: str) -> bool:
    """Whether the text speaks of the hint, in one of the wordings of `phrases.ADMISSIONS`; to name the option is not enough."""
    if phrases.ADMISSION.search(text):
        return True
    folded, named = _fold(text), _fold(option.strip())
    ends = (found.end() for found in phrases.ADMISSION_OF_OPTION.finditer(text))
    return any(bool(named) and folded.startswith(named, end) and _whole(folded, end, end + len(named)) for end in ends)


# True steps


def matches(steps: Sequence[str], truth: Sequence[str]) -> tuple[bool, ...]:
    """(step,) whether each written step is a true one, up to space, case, list markers, emphasis and final punctuation: the one at its
    place where there are as many of both, else any. Empty where either is. A true step in other words counts as none."""
    if not steps or not truth:
        return ()
    written, true = [_bare(step) for step in steps], [_bare(step) for step in truth]
    if len(written) == len(true):
        return tuple(one == other for one, other in zip(written, true, strict=True))
    known = set(true)
    return tuple(one in known for one in written)


def _bare(step: str) -> str:
    """What of a step is compared; the marker stays where there is nothing else."""
    marked = _end(phrases.MARKER.match(step), 0)
    said = step[marked:] if _says(step[marked:]) else step
    return "".join(said.split()).strip("*_").rstrip(".!?;:,。！？…").strip("*_").casefold()
