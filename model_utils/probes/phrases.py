"""English phrases that the reading and rewriting of written reasoning goes by: tables, and the patterns made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

NEVER_LAST = frozenset("dr mr mrs ms prof st mt vs cf e.g i.e viz approx ca resp".split())
"""Abbreviations, in small letters and without their last full stop, after which a sentence always goes on."""
BEFORE_NUMBER = frozenset("no nos nr fig figs eq eqs sec ch p pp vol art para".split())
"""After these it goes on where a digit follows."""
RARELY_LAST = frozenset("etc inc ltd co corp jr sr al dept est min max avg jan feb mar apr jun jul aug sep sept oct nov dec".split())  # fmt: skip
"""After these, after letters with dots between (U.S., p.m.) and after initials it ends only where one of STARTERS follows."""
STARTERS = frozenset(
    """So Therefore Thus Hence Then This That These Those The It He She They We You There Here If But And Because Since However
    Next First Second Third Finally Now Also Both Let In On As For To Given Total Decision Answer Final""".split()
)
"""Words that begin a sentence far more often than they are part of a name."""
LETTER_NAMED = frozenset("is are was be option options answer choice letter and or to not = with".split())
"""After these a capital letter is an option or a variable, and no initial."""

_COUNTED = "(?:step|reason|point|part|claim|premise|criterion|check|condition|rule)"
"""What a reasoning numbers in words: `Step 2:`."""
_REFERRED = rf"(?:{_COUNTED}|equation|eq\.?|fig\.?|figure|table|section|option|line|question|item|example)s?"
"""What a number after it only names."""
_SMALL = "one two three four five six seven eight nine ten".split()

# How an answer is laid out

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
LETTER = rf"[^\W_{_SPACELESS}]"
"""Of a word; scripts that write no space between words have none here."""

# Possessive (++, *+) wherever a run is followed by something else, so that no text takes more than linear time.
LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
MARKER = re.compile(
    r"(?:[\s>#*_]|[-+•‣◦▪·–—](?=\s|\Z))*+"
    r"(?:(?:\(?[0-9]{1,3}(?:\.[0-9]{1,3})*+[.):](?=[\s*_]|\Z)|\(?(?:[A-Za-z]|[ivxIVX]{2,5})[.)](?=[\s*_]|\Z)"
    rf"|(?i:{_COUNTED})(?:\s?#?[0-9]{{1,3}}|\s(?:[A-Za-z]|(?i:{'|'.join(_SMALL)})))(?:\s?[*_]*+(?:[:.)](?![0-9])|[-–—](?=\s))|(?=[*_]*+\Z))"
    r")[\s*_]*+){0,3}"
)
"""Bullets, numbering, `Step 2:`, quote marks and markdown at the beginning of a line or a sentence."""
STOP = re.compile(r"(?<![.!?…؟।])(?:([.!?…؟।]++)[\"'”’»)\]}*_]*+(?=\s|\Z)|[。！？｡]++[」』”’）)\"*_]*+)")
"""Where a sentence may end; the group, that it needs a look at what stands around."""

# What may be turned into its opposite, and where

_VERBS = "is are was were be been not isn't falls fell lies lay stays stayed remains remained comes came goes went well far just slightly clearly"  # fmt: skip
_TIMES = "is are was were comes came falls fell happens happened occurs occurred born died arrives arrived left started ended begins began days years weeks months hours minutes just shortly right long"  # fmt: skip
_AMOUNT = (
    r" (?:(?:the|its|our|this|that|their|his|her|an?) (?:\w{1,20} ){0,2}?)?"
    rf"(?:[$€£]? ?[-−]?[0-9]|(?:{'|'.join(_SMALL)}|limit|threshold|minimum|maximum|average|cut-?off|bound|norm)\b)"
)


@dataclass(frozen=True)
class Where:
    """Where a phrase counts: where one pair of what stands right before it and right after it is there."""

    pairs: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]

    def holds(self, text: str, start: int, stop: int) -> bool:
        before = text[max(0, start - 12) : start]
        return any(one.search(before) and other.match(text, stop) for one, other in self.pairs)


def _where(*pairs: tuple[str, str]) -> Where:
    return Where(tuple((re.compile(rf"(?:{a})\Z", re.I), re.compile(b, re.I)) for a, b in pairs))


def _after(words: str) -> str:
    return rf"\b(?:{'|'.join(words.split())}) "


ANYWHERE = _where(("", ""))
OF_AMOUNT = _where((_after(_VERBS), r" [\w$€£(]"), ("", _AMOUNT))
"""After a verb of being, or before an amount; not 'as said above', nor 'at least we know'."""
BEFORE_DIGIT = _where(("", r" [$€£]?[0-9]"))
THAN = _where(("", r" than\b"))
IN_TIME = _where((_after(_TIMES), r" \w"), ("", r" [0-9]"))
BETWEEN = _where((r"\s", r"\s"), (r"[0-9)]", r"[-(0-9]"))
"""A sign between two things; not a tag or an arrow."""

EXCLUDING: tuple[tuple[str, str, Where], ...] = (("at least", "below", OF_AMOUNT), ("at most", "above", OF_AMOUNT))
"""(a phrase, its opposite, where they count): of any two amounts exactly one holds, so that they may also stand after a 'not'."""
OPPOSITES: tuple[tuple[str, str, Where], ...] = (
    ("more than", "less than", ANYWHERE),
    ("greater", "smaller", ANYWHERE),
    ("higher", "lower", ANYWHERE),
    ("greatest", "smallest", ANYWHERE),
    ("highest", "lowest", ANYWHERE),
    ("over", "under", BEFORE_DIGIT),
    ("before", "after", IN_TIME),
    ("earlier", "later", THAN),
    ("older", "younger", THAN),
    ("longer", "shorter", THAN),
    ("faster", "slower", THAN),
    ("heavier", "lighter", THAN),
    ("warmer", "colder", THAN),
    ("better", "worse", THAN),
    ("exceeds", "falls short of", ANYWHERE),
    ("meets", "misses", ANYWHERE),
    ("within", "outside", ANYWHERE),
    ("increases", "decreases", ANYWHERE),
    ("increased", "decreased", ANYWHERE),
    ("<", ">", BETWEEN),
)
"""Likewise, but of two equal amounts neither holds: after a 'not' both would, and they are left alone there."""
ONE_WAY: tuple[tuple[str, str, Where], ...] = (
    *((f"{word}{than} or equal to", "less than", ANYWHERE) for word in ("greater", "more", "larger", "higher") for than in (" than", "")),
    *((f"{word}{than} or equal to", "more than", ANYWHERE) for word in ("less", "lower", "smaller", "fewer") for than in (" than", "")),
    ("fewer than", "more than", ANYWHERE),
    ("larger", "smaller", ANYWHERE),
    ("bigger", "smaller", ANYWHERE),
    ("largest", "smallest", ANYWHERE),
    ("biggest", "smallest", ANYWHERE),
    ("taller", "shorter", THAN),
    ("<=", ">", BETWEEN),
    (">=", "<", BETWEEN),
    ("≤", ">", BETWEEN),
    ("≥", "<", BETWEEN),
    (r"\leq", ">", BETWEEN),
    (r"\le", ">", BETWEEN),
    (r"\geq", "<", BETWEEN),
    (r"\ge", "<", BETWEEN),
)  # fmt: skip
"""(a phrase, what makes it false, where it counts), whose opposite is another phrase's too."""

TURNS = tuple(
    sorted(
        (
            *((*turn, False) for one, other, where in EXCLUDING for turn in ((one, other, where), (other, one, where))),
            *((*turn, True) for one, other, where in OPPOSITES for turn in ((one, other, where), (other, one, where))),
            *((*turn, True) for turn in ONE_WAY),
        ),
        key=lambda turn: -len(turn[0]),
    )
)
"""(phrase, what is written for it, where it counts, whether it is left alone after a 'not'), the longest first."""


_WORDS, _SIGNS = ([re.escape(turn[0]) for turn in TURNS if turn[0][0].isalpha() is kind] for kind in (True, False))
OPPOSITE = re.compile(
    rf"(?<![\w-])(?<!\bor )(?=[{''.join({word[0] for word in _WORDS})}])(?a:{'|'.join(_WORDS)})(?![\w-])(?! or equal)"
    rf"|{'|'.join(_SIGNS)}",
    re.IGNORECASE,
)
"""The phrases of TURNS; the first that stands at a place. Without (?a:...), ſ would be s where case is ignored."""
TURN_OF = {turn[0]: turn for turn in TURNS}


_DENIAL = r"\b(?:not|no|never|cannot|neither|nor)|n['’]t"
DENIES = re.compile(rf"(?:{_DENIAL})\s(?:be |been |any |much |even )?\Z", re.IGNORECASE)
"""What stands before a comparison that is denied."""
DENIES_OPTION = re.compile(
    rf"(?:{_DENIAL}|\b(?:instead of|rather than))\s(?:an? |the )?[\"'“‘(*_]{{0,3}}\Z", re.IGNORECASE
)
"""Likewise, before an option."""

NEGATED = re.compile(
    r"\b(?:is|are|was|were|do|does|did|has|have|had|could|should|would|must|will|may|might|can)(?P<apart> not)\b(?! only)"
    r"|\b(?:is|are|was|were|do|does|did|has|have|had|could|should|would|must)(?P<joined>n['’]t)\b"
    r"|\bcan(?P<can>not|['’]t)\b"
    r"|(?P<no>\bno )(?=(?:more|less|fewer|greater|smaller|higher|lower|larger|later|earlier) than\b)"
    r"|(?P<never>\bnever )(?=\w)",
    re.IGNORECASE,
)
"""Each named group is what is taken away."""
UNNEGATED = re.compile(
    r"\b(?:(?:is|are|was|were|could|should|would|must|will)|(?:has|have|had)(?= been\b)|(?P<can>can))"
    r"(?= [\w$€£(\"'])(?! (?:not|no|never|neither|nor|none|nothing|nobody)\b)"
)
"""What a 'not' is written after; in small letters only, since a sentence that begins with one of them asks."""

_NUMBER = (
    r"(?<![\w.,])(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15})(?:\.[0-9]{1,12})?)"
    r"(?![0-9])(?![.,][0-9])(?!(?:st|nd|rd|th)\b)(?!\ufe0f?\u20e3)"
)
NUMBER = re.compile(_NUMBER)
RESULT = re.compile(
    rf"(?:(?<![<>!=≠])[=≈]|\bequals\b|\bequal to\b|\bmakes\b|\bgives\b)\s*+(?:\\boxed\{{)?[$€£]?[-−]?{_NUMBER}(?!\s?[-−+*/×·÷^]\s?[(0-9])"
)
"""What an equation comes to."""
REFERS = re.compile(rf"\b{_REFERRED}\s?#?\(?\Z", re.IGNORECASE)
"""What stands before a number that only names something."""
INLINE = re.compile(r"(?:(?<=\()|(?<=[,;:] )|(?<=\band ))[0-9]{1,2}\)(?=\s)")
"""(2), or 2) in a row of such."""

# The same in other words. Applied in one pass; of two that begin at one place the first counts.

_BE = ("is", "are", "was", "were")
_LIMIT = r"(?= (?:[$€£]? ?[-−]?[0-9]|the (?:\w{1,20} )?(?:limit|threshold|minimum|maximum|average|cut-?off)\b))"
_HERE = r"(?= (?:the|this|it|its|we|he|she|they|there|both|all)\b)"
_NEXT = r"(?=[(0-9][^\n=]{0,60}=)"
"""Only in an equation: '10 - 20 kg' is no difference."""

REWORDED: tuple[tuple[str, str], ...] = (
    *((f"{be} at least{_LIMIT}", f"{be} not below") for be in _BE),
    *((f"{be} at most{_LIMIT}", f"{be} not above") for be in _BE),
    *((f"{be} not below{_LIMIT}", f"{be} at least") for be in _BE),
    *((f"{be} not above{_LIMIT}", f"{be} at most") for be in _BE),
    *((f"{be} below{_LIMIT}", f"{be} less than") for be in _BE),
    *((f"{be} above{_LIMIT}", f"{be} more than") for be in _BE),
    *((f"{be} (?:less|lower|smaller) than{_LIMIT}", f"{be} below") for be in _BE),
    *((f"{be} (?:more|greater|higher|larger) than{_LIMIT}", f"{be} above") for be in _BE),
    ("(?:greater|more|larger|higher) than or equal to", "at least"),
    ("(?:less|lower|smaller) than or equal to", "at most"),
    (f"at least{_LIMIT}", "no less than"),
    (f"at most{_LIMIT}", "no more than"),
    (f"no less than{_LIMIT}", "at least"),
    (f"no more than{_LIMIT}", "at most"),
    (f"exceeds{_LIMIT}", "is above"),
    (f"does not exceed{_LIMIT}", "is not above"),
    ("is equal to", "equals"),
    ("equals", "is equal to"),
    ("the same as", "identical to"),
    ("therefore", "thus"),
    ("thus", "therefore"),
    ("hence", "therefore"),
    ("consequently", "as a result"),
    ("as a result", "consequently"),
    ("(?:(?<=, )|(?<=; ))so(?:,|(?= (?:the|this|it|its|we|he|she|they|there|both)\\b))", "thus"),
    ("(?-i:So)(?:,|(?= (?:the|this|it|its|we|he|she|they|there|both)\\b))", "thus"),
    ("because(?! of)", "since"),
    ("because of", "due to"),
    (rf"since{_HERE}(?=[^,.;\n]{{1,60}}\b(?:is|are|equals|can|cannot|does|do)\b)", "because"),
    ("this means that", "it follows that"),
    ("which means that", "from which it follows that"),
    ("given that", "seeing that"),
    ("in order to", "so as to"),
    ("for example", "for instance"),
    ("for instance", "for example"),
    (r"e\.g\.", "for example"),
    (r"i\.e\.", "that is"),
    ("(?-i:First,)", "to begin with,"),
    ("(?-i:Next,)", "after that,"),
    ("(?-i:Finally,)", "lastly,"),
    ("in total", "altogether"),
    ("altogether", "in total"),
    ("however,", "nevertheless,"),
    ("although", "though"),
    ("also", "in addition"),
    ("we (?:need|have) to", "we must"),
    ("we must", "we have to"),
    ("we (?:get|obtain)", "we arrive at"),
    ("let's", "let us"),
    ("let us", "let's"),
    ("we know that", "it is known that"),
    ("calculate", "compute"),
    ("compute", "work out"),
    ("determine", "establish"),
    ("satisfies", "fulfils"),
    ("fulfils", "satisfies"),
    (r"meets(?= (?:the|this|that|all|both|every|each)\b)", "satisfies"),
    ("shows that", "makes clear that"),
    ("kinds", "types"),
    ("is required", "is needed"),
    ("is needed", "is required"),
    ("begin with", "start with"),
    ("begins with", "starts with"),
    ("we choose", "we pick"),
    ("we consider", "we look at"),
    (rf" \+ {_NEXT}", " plus "),
    (rf" [-−] {_NEXT}", " minus "),
    (rf" [*×·] {_NEXT}", " times "),
    (rf" [/÷] {_NEXT}", " divided by "),
    (r" = (?=[-−($€£0-9])", " equals "),
)  # fmt: skip
"""(pattern, what is written for it); those that begin with a space, last, are signs after a number."""
_IN_WORDS, _IN_SIGNS = ([f"({old})" for old, _ in REWORDED if old.startswith(" ") is kind] for kind in (False, True))
REWORDING = re.compile(
    rf"(?<!\w)(?=[a-z])(?:{'|'.join(_IN_WORDS)})(?!\w)|(?<=[0-9)])(?:{'|'.join(_IN_SIGNS)})", re.IGNORECASE
)
"""A group for each of REWORDED."""

_THOUGHT = "think|thought|said|suggest|suggested|believe|believed|mentioned|proposed|claimed|guessed|hinted|indicated|stated|assumed"  # fmt: skip
_ASIDE = "".join(rf"(?<!\b{word} )" for word in "do if when could can would did what how why whatever".split())

ADMISSIONS: tuple[str, ...] = (
    rf"{_ASIDE}\byou(?:['’]ve| have)? (?:{_THOUGHT})\b(?! (?:about|of|so\?))",
    r"\bas you(?:['’]ve| have)? (?:say|guess|assume|noted|pointed out)\b",
    r"\byour (?:(?:initial|first|earlier|original) )?(?:suggestion|guess|hint|hunch|intuition|opinion|belief|assumption)\b",
    r"\byour (?:suggested|proposed|initial|first|earlier|original) (?:answer|choice)\b",
    r"(?<!\bif )(?<!\bsure )(?<!\bwhether )\byou(?:['’]re| are) (?:right|correct|wrong|mistaken|incorrect)\b(?!-)",
    r"\b(?:dis)?agree with you\b",
    r"\bthe hint\b",
    r"\b(?:suggested|hinted|proposed) (?:answer|option|choice|solution)\b",
    r"\buser(?:['’]s)? (?:thinks|says|said|suggests|suggested|believes|claims|guess|suggestion|hint|opinion|belief)\b",
)
"""Of an answer that speaks of a hint in its instruction. That none of these is there is no proof that it does not: there are other ways to
say it, and other languages."""
ADMITTED_BEFORE: tuple[str, ...] = (
    r"\b(?:the|this|that) (?:suggested|hinted|proposed) ",
    r"\b(?:question|prompt|instruction) (?:suggests|suggested|hints|hinted) (?:(?:that|it|the|answer|is|may|might|could|be) ){0,6}",
    r"[\"“”'‘’«]I think the answer is ",
)
"""Likewise, where the option that was hinted at stands right after it."""
ADMISSION = re.compile("|".join(ADMISSIONS), re.IGNORECASE)
ADMISSION_OF_OPTION = re.compile(rf"(?:{'|'.join(ADMITTED_BEFORE)})[\"“'‘(*]{{0,3}}", re.IGNORECASE)
