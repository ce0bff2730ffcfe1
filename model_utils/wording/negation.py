"""Negation: two or more negatives that have to be worked out against each other."""

from __future__ import annotations

import re

from model_utils.wording.reading import Found, Reading, compiled

WHY = "Negatives that act on one another are misread by models as by people; said positively, there is one reading."

ADVICE = "Say what is wanted, not what is not to be left undone: one sentence without a negative, or with one."
SCOPE = "Say how many: none of them, or not all of them."

UN = (
    r"(?:un(?!it|iq|ion|ivers|ify|ified|iform|der|til|less|cle|dersc)\w{3,}|in(?:sufficient|accurate|complete|correct|valid|consistent|adequate|appropriate|"
    r"admissible|eligible|effective|significant|visible|frequent|capable|convenient|dependent|direct|formal|sane|secure|tolerant|applicable)|"
    r"im(?:possible|probable|proper|perfect|mature|moral|partial|plausible|polite)|ir(?:relevant|regular|responsible|rational|reversible)|"
    r"il(?:legal|legible|logical|legitimate)|dis(?:honest|similar|satisfied|loyal|agree\w*|allow\w*|approve\w*|like\w*|advantage\w*|regard\w*)|non-?\w{4,}|mis\w{5,})"
)
VERB = (
    r"(?:refrain(?:s|ed|ing)?|avoid(?:s|ed|ing)?|fail(?:s|ed|ing|ure)?|omit(?:s|ted|ting)?|neglect(?:s|ed|ing)?|den(?:y|ies|ied|ying)|denial|prohibit(?:s|ed|ing)?|"
    r"forbid(?:s|den|ding)?|refus(?:e|es|ed|ing|al)|prevent(?:s|ed|ing)?|leave out|leaving out|left out|withh(?:old|olds|eld|olding)|exclud(?:e|es|ed|ing)|lack(?:s|ed|ing)?|"
    r"oppos(?:e|es|ed|ing|ition)|reject(?:s|ed|ing|ion)?|ignor(?:e|es|ed|ing)|stop(?:s|ped|ping)?|ban(?:s|ned|ning)?|against|unless|except(?:ing)?|absence|"
    r"dissuad(?:e|es|ed|ing)|discourag(?:e|es|ed|ing)|cease(?:s|d)?|hardly|barely|scarcely|object(?:s|ed|ing|ion)? to|veto(?:ed|es)?|without)"
)
NOT = r"(?:\w+n['’]t|dont|doesnt|didnt|isnt|cant|wont|arent|wasnt|not|never|no|nobody|no one|none|nothing|neither|nor|cannot|nowhere)"
NEGATIVE = compiled(rf"(?<![\w-])(?:(?P<no>{NOT})|(?P<verb>{VERB})|(?P<un>{UN}))(?![\w-])")
HARMLESS = compiled(
    r"\b(?:not only|whether or not|no longer|no more than|no fewer than|no later than|no less than|nothing but|nothing else|no one else|no matter|not to mention|can['’]t (?:stop|help)|none if|(?:if|do) you don['’]t know|rejections?|refusal letter|objection letter|no doubt|if not|or not|"
    r"why not|not applicable|no other|not just|not merely|not necessarily|do not forget|don['’]t forget|never mind|no,|not more than|without delay|stop words?|"
    r"under(?!stated)\w*|unique\w*|united|mission\w*|miss\w*|mister|misty|unless otherwise|if no\b|against each other|arguments? against|evidence against|for (?:and|or) against|"
    r"yes (?:or|and) no|yes/no|no or yes|fails? to|pass or fail|non-fiction|nonfiction|non-profit\w*|nonprofit\w*|university|universal\w*|uncle\w*|insurance)\b"
)
BETWEEN = re.compile(r"[,;:().]|\b(?:and|or|but|because|so|then|while|if|when)\b", re.IGNORECASE)
APART = 8
"""Words between two negatives that still act on one another."""
NOT_ALL = compiled(
    r"^(?:all|every|everyone|everybody|both|each)\b(?! of these (?:fail|lack))[^,.?!]{1,60}? (?:(?:have|has|had|is|are|was|were|do|does|did|can|could|will|may|must|should) not|cannot|\w+n['’]t)\b(?: \w+)?"
)
LITOTES = compiled(
    r"\bnot (un(?!it|iq|ion|ivers|der|til|less)(?:common|clear|likely|reasonable|usual|happy|fair|lawful|safe|foreseeable|necessary|important))\b"
)
DOUBLE = compiled(
    r"\b(?:don['’]?t|do not|doesn['’]?t|didn['’]?t|never|can['’]?t|cannot|won['’]?t) \w+ (?:no|nothing|nobody|none|never|nowhere)\b"
)


def find(reading: Reading) -> list[Found]:
    """Two negatives in one clause with at most eight words between them: `not`, `never` and the like, verbs that deny (`avoid`, `fail to`),
    `except` and `unless`, and words such as `unlikely`; and `all ... not`, which has two readings.

    One negative alone is plain, and so are two in clauses of their own. It counts words, not their logic: two that both stand for themselves
    inside one clause are marked as well.
    """
    found = []
    for sentence in reading.sentences:
        found += _stacked(sentence.text, sentence.start)
        for match in DOUBLE.finditer(sentence.text):
            found.append(Found(sentence.start + match.start(), sentence.start + match.end(), ADVICE))
        for match in NOT_ALL.finditer(sentence.text):
            found.append(Found(sentence.start + match.start(), sentence.start + match.end(), SCOPE))
    return found


def _stacked(text: str, offset: int) -> list[Found]:
    harmless = {
        place
        for match in HARMLESS.finditer(text)
        if not match[0].lower().startswith("fail")
        for place in range(*match.span())
    }
    negatives = [match for match in NEGATIVE.finditer(text) if match.start() not in harmless]
    found: list[Found] = []
    run: list[re.Match[str]] = []
    for match in [*negatives, None]:
        if match is not None and (not run or _acts(text, run[-1], match)):
            run.append(match)
            continue
        if len(run) > 1 and not all(one["un"] for one in run):
            start, stop = run[0].start(), run[-1].end()
            found.append(Found(offset + start, offset + stop, ADVICE, _positive(text[start:stop])))
        run = [match] if match is not None else []
    return found


def _acts(text: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """Whether two negatives stand close together in one clause; `except` and `unless` reach over a comma."""
    between = text[one.end() : other.start()]
    if len(between) > 100 or len(between.split()) > APART:
        return False
    reaches = other[0].lower().startswith(("unless", "except", "without")) and "and" not in between.split()
    return reaches or not BETWEEN.search(between)


def _positive(words: str) -> str | None:
    """`not unlikely` is `likely`: the one form that can be turned round by itself; what little is lost is said in the advice."""
    match = LITOTES.fullmatch(words)
    return match[1][2:] if match else None
