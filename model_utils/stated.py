"""What an English instruction states in plain words about its answer, as checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TypedDict

from model_utils.checks import Check, Kind, plain


class Bounds(TypedDict, total=False):
    """Arguments of a check that counts."""

    exactly: int
    at_least: int
    at_most: int


SMALL = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
NUMBER = rf"(\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}}|(?a:{'|'.join(sorted(SMALL, key=len, reverse=True))}))"
"""Without (?a:...), case would be ignored so far that ſ is s and ı is i: 'ſix' would be found, and is no number."""

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
LONGEST = 1_000
"""Characters of a sentence that is read as an instruction; a longer one is text to work on."""
MOST = 100_000
"""Largest number that an amount is."""
SENTENCES = 100
"""Sentences that are read as an instruction, at the beginning and again at the end."""
CHARACTERS = 10_000
"""And characters of them, so that nobody waits for an instruction that was made to be slow."""
NEAR = 100
"""Characters after a word in which 'at least twice' and the like are about it."""
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
    said = tuple(quotes)
    clauses = [Clause(text, said) for text in _read(SENTENCE.split(hidden)) if not CONDITION.search(text)]
    found = [check for clause in clauses for finder in FINDERS.values() for check in finder(clause)]
    return tuple(dict.fromkeys(_without_doubles(found)))


def _read(sentences: list[str]) -> list[str]:
    """Those at the beginning and at the end that are short enough, and few enough, to be read."""
    sentences = [text.strip() for text in sentences if text.strip() and len(text) <= LONGEST]
    ends = list(accumulate(map(len, sentences)))
    return [
        text
        for place, (text, end) in enumerate(zip(sentences, ends, strict=True))
        if (place < SENTENCES and end <= CHARACTERS)
        or (len(ends) - place <= SENTENCES and ends[-1] - end + len(text) <= CHARACTERS)
    ]


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
    if not re.search(unit, text, re.IGNORECASE):
        return  # twenty patterns are slow
    for way, bounds in ways:
        pattern = _compiled(way, unit)
        found = [*pattern.finditer(text)]
        for match in found:
            numbers = [_number(group) for group in match.groups() if group]
            if min(numbers) > 0 and max(numbers) <= MOST and numbers == sorted(numbers):
                yield match, bounds(*numbers)
        if found:
            text = pattern.sub(lambda match: " " * len(match[0]), text)


def _can_be_looked_for(phrase: str) -> bool:
    """Whether a phrase is more than invisible, and no whole text."""
    return bool(plain(phrase).strip()) and len(phrase) <= 400


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
                r"(?:\W*\w+\b){0,3}?\W*(?:(?:for|in|on|about|to|per) (?:each|every)|per)\b", after, re.IGNORECASE
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
    tail = re.split(r"[.;:!?\n,]|⟦|\band (?:the|for|use|include|avoid)\b", after[:NEAR])[0]
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
NO_USE = r"(?:\b(?:no|without|avoid|avoiding|refrain from|free of|exclude)|(?:\b(?:not|cannot|never)|n't)(?: allowed to)? (?:use|contain|include|have|add|put|be))\b"
"""Nothing else may stand before what is not used: 'do not forget the commas' and 'without semicolons but with commas' ask for them."""
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
    "no_commas": _stated(
        "no_commas", rf"{NO_USE}(?: (?:any|a|single|using|the use of)){{0,3}}(?: \w+ or)? commas?\b(?! splice)"
    ),
    "quotation": _stated(
        "quotation",
        rf"\b(?:wrap|put|enclose|surround|wrapped|enclosed|write|give|place)\b[^.]{{0,120}}\b(?:{ANSWER}|everything|it)\b[^.]{{0,120}}\bdouble quot|\bput double quot[^.]{{0,120}}\b{ANSWER}\b",
    ),
    "title": _stated("title", r"\btitle\b[^.]{0,120}(?:\bdouble angular brackets|<<)"),
}
