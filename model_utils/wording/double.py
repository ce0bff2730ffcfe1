"""Double questions: two things asked at once where one answer is to be given."""

from __future__ import annotations

import re
from itertools import pairwise

from model_utils.wording.reading import AUXILIARY, YES_OR_NO, Found, Reading, Sentence, any_of, compiled, places, yes_no

WHY = "One answer cannot say which of the two things it is about, and the model decides by itself which one it answers."

ADVICE = "Ask one question for each of the two, each with its own answer."

PRONOUN = r"(?:he|she|it|they|you|we|I|there|this|that|the|his|her|its|their|any|all)"
ADJECTIVE = (
    r"(?:\w+(?:ful|ous|ive|able|ible|al|ic|ent|ant|ish|less|ary|ory|ing|ed|ly)|better|worse|cheaper|faster|easier|safer|harder|bigger|smaller|"
    + any_of(
        "accurate adequate angry bad big brave bright calm cheap clean clear close cold complete correct dirty dry easy fair fast fine firm "
        "fit free fresh full funny good happy hard healthy heavy high honest hot ill kind late lawful legal light long loud low mature nice "
        "polite poor precise prompt proper quick quiet ready rich right rude sad safe secure short sick simple slow smart soft sound strict "
        "strong sure sweet tasty thin tidy tired true ugly valid warm weak well wet wide wise wrong young necessary funny friendly lonely"
    )
    + ")"
)
VERB = any_of(
    "accept add admit agree answer apologise apply appoint approve ask avoid be become believe break bring build buy call carry cause change "
    "charge check choose cite clean close come comply contain cost cover cut decide deserve describe disclose do drink drive earn eat "
    "end enjoy enforce ensure explain fail feel file find finish follow forget forgive get give go grow has have hear help hire hold hurt ignore improve "
    "include increase inform insure invest is keep kill know learn leave let lie like listen live lose lost love made make manage mention "
    "move need notify obey offer open own pass paid pay perform play prescribe prevent protect prove provide publish put raise reach "
    "read receive recommend record reduce refund refuse regret remain repay reply report respect respond return run save say see seem sell send "
    "show sign sing sleep smoke speak spend start state stay stop struggle sue suffer support take taste teach tell test think took train "
    "treat trust try understand use visit vote wait want warn wash bought broken built caught done eaten fallen felt found given gone heard held kept known left lent met seen sold sent shown spent spoken taken taught told thought understood won worn written was went were wear win work worry write wrote"
)
NEXT = rf"(?:(?:also|then|always|often|still|never|not|both|so|more|less|very|too|even|fully|therefore|hence|would|will|can|could) )?(?:{ADJECTIVE}|{VERB}s?)\b"
AND = r"(?:and(?! (?:if|why|how|when|where|what|which|who|not|only|so on|more|then some|\d))|&|as well as(?! (?:I|you|he|she|it|we|they|(?:the|my|our|your|his|her|its|their) \w+ (?:is|are|was|were|has|have|does|do|did|can|should))\b)|plus|yet|but(?! (?:not|rather)\b)|let alone)"
LINK = rf"(?:,? {AND}(?: (?:then|also))?|,? (?:while|whilst)|, (?:hence|thus|therefore|then|yet|but|and|also)(?: also)?| /)"

YES_NO = tuple(
    compiled(pattern)
    for pattern in (
        rf"[\w'’-]+(?: [\w'’-]+){{0,4}}{LINK} {NEXT}(?: [\w'’-]+){{0,4}}",
        r"\bas \w+ as (?:he|she|it|they|you) (?:is|are|was|were|has|had)\b \w+",
        rf"[\w'’-]+(?: [\w'’-]+){{0,5}},? (?:and|or|but|&) {AUXILIARY} {PRONOUN}\b[^?]{{0,60}}",
        rf"^{AUXILIARY} [^,?]{{3,80}}, {AUXILIARY} {PRONOUN} \w+ [^?]{{2,60}}",
        r"\bboth [\w'’-]+(?: [\w'’-]+){0,4} and [\w'’-]+(?: [\w'’-]+){0,3}",
        r"[\w'’-]+(?: [\w'’-]+){0,4}, with (?:the|its|his|her|their|all|any|no) [^,?]{1,40}ing\b[^,?]{0,40}(?=\?)",
        r"[\w'’-]+(?: [\w'’-]+){0,5}, (?:telling|giving|making|leaving|keeping|paying|charging|causing|allowing|ending|using) [^,?]{1,40}",
        rf"[\w'’-]+(?: [\w'’-]+){{1,4}},? (?:{AND}|along with|together with|not to mention|in addition to|and also|and at the same time|, ?but|though|albeit|thereby) (?!{AUXILIARY} )(?:the |a |an |to |by |for |in |on |with |of )?[\w'’-]+(?: [\w'’-]+){{0,3}}",
    )
)  # fmt: skip
EITHER = (compiled(rf"[\w'’-]+(?: [\w'’-]+){{0,4}} or (?:{VERB}|\w+ed)\b(?: [\w'’-]+){{0,3}}"),)
"""Two predicates with `or` between them: a question that is to be answered by yes or no, and not by one of the two."""
ONE_THING = compiled(
    r"\b(?:between|sum|difference|mix|mixture|combination|relationship|balance|comparison|ratio|average) (?:of |between )?[^?]{0,40}$"
)
SUBJECT = compiled(rf"(?:.{{0,40}}[:,] )?{AUXILIARY} (?:(?:the|a|an|these|those|my|our|your|his|her|their) )?[\w'’-]+")
"""All that stands before `and` where that belongs to what is asked about: `do cats and dogs ...`."""
THERE = compiled(r"(?:.{0,40}[:,] )?(?:is|are|was|were) there\b")
LINKED = compiled(
    r"\b(?:and|plus|yet|but|as well as|along with|together with|not to mention|in addition to|let alone|while|whilst|but|though|albeit|thereby|then|hence|thus|therefore|or)\b|&"
)
PAIRED = compiled(
    r"\b(?:terms and conditions|pros and cons|research and development|supply and demand|black and white|up and down|more and more|again and again|over and over|wear and tear|"
    r"bread and butter|safe and sound|health and safety|law and order|profit and loss|trial and error|back and forth|loud and clear|null and void|actual and reasonable)\b"
)


RATED = tuple(
    compiled(pattern)
    for pattern in (
        r"\b(how \w+ (?:and|plus|&) \w+(?= (?:is|are|was|were|do|does|did|has|have)\b))",
        r"\b(?:rate|grade|score|rank|mark|judge|assess|evaluate|review|give [^.?!:]{1,30} (?:mark|score|grade|rating)s?|how (?!(?:many|much|often|long|far|do|does|did|is|are|was|were|to|can|could|would|should)\b)\w+|(?:do you |strongly )?agree that)\b[^.?!:]{0,90}?((?:(?:the|its|his|her|their|my|our|your) )?[\w'’-]+ (?:and|plus|&|as well as|along with|together with) (?:(?:with|of|for|about|in|on|by) )?(?:(?:the|its|his|her|their|my|our|your) )?[\w'’-]+)",
    )
)  # fmt: skip
SCORED = (
    RATED[0],
    compiled(
        r"\b(?:rate|score|grade|how (?:satisfied|happy|content|pleased)|(?:to what extent|how (?:much|strongly|far)) do you (?:agree|like|trust))\b[^.?!:]{0,90}?([\w'’-]+ (?:and|plus|&|as well as) (?:(?:the|its|his|her|their|my|our|your) )?[\w'’-]+)"
    ),
)
ONE = compiled(
    r"\b(?:one|a single|a|in one|a one[- ]word|single) (?:\w+ )?(?:number|figure|score|mark|grade|letter|word|rating|answer|value|tick|box|question|tick-box)\b|\bon a scale\b|\bfrom (?:1|0|one|zero|A) \(?[^.?]{0,20}\)? ?to\b|"
    r"\b(?:1|0) ?(?:-|–|to) ?(?:5|7|10|100)\b|\b(?:out of|of) (?:5|10|100|five|ten)\b|\byes(?:,| or|/) ?no\b|\btrue or false\b|\bone answer for both\b"
)
TWO_QUESTIONS = compiled(
    rf"\b(?:what|which|how|who|when|where|why)\b[^?.,;]{{3,70}}, ?(?:and )?(?:what|which|how|who|when|where|why)\b[^?.]{{2,60}}(?=\?)|\b(?:what|which|how|who|when|where|why)\b[^?.;]{{3,70}},? and {AUXILIARY} {PRONOUN}\b[^?.]{{2,60}}(?=\?)|^{AUXILIARY} [^?.;]{{3,90}},? and (?:what|which|how|who|when|where|why)\b[^?.]{{2,60}}(?=\?)"
)
FOR_BOTH = compiled(
    r"\b(?:one|a single|the same) (?:\w+ )?(?:answer|word|number|figure|score|rating|mark)(?: \w+)? (?:for|to|covering) (?:both|all|the two|everything)\b"
)
TRUE_OR_FALSE = compiled(
    r"^(?:true or false|true/false|right or wrong|correct or incorrect|agree or disagree|yes or no|y/n)[^:]{0,10}: ?[^.?!]{3,200}"
)
WHETHER = compiled(rf"\bwhether ((?:[\w'’-]+ ){{1,8}}?and {NEXT}(?: [\w'’-]+){{0,5}})(?! or not)")
IF_SO = compiled(
    r"\b(?:if (?:so|not|it did|it does|it is|he did|she did|they did|yes|it was)|(?:do|or) you disagree|each (?:of )?|two (?:scores|marks|ratings|grades|answers|numbers)|respectively|or both|for each|separately)\b"
)
TOGETHER = compiled(r"\b(?:if both|both (?:hold|are true|apply)|only if (?:all|both))\b")
"""What says how one answer is made of two."""
SPLIT = compiled(rf"^(?P<one>{AUXILIARY} [^,?]{{3,120}}),? and (?P<other>{AUXILIARY} {PRONOUN}\b[^?]{{2,120}})\?")


def find(reading: Reading) -> list[Found]:
    """Yes-or-no questions with two predicates (`honest and competent`, `explain it and keep to it`), two questions in one, and two things under
    one rating or one word.

    It tells adjectives and verbs from nouns by their endings and by lists, so that it can take `bed and breakfast` for two, and miss two nouns
    that are asked about. Two questions that may each be answered are none.
    """
    if TOGETHER.search(reading.plain):
        return []
    found: list[Found] = []
    one_word = _one_word(reading)
    for one, other in pairwise(reading.sentences):
        both = one.text + other.text
        if one.asks and other.asks and None not in (yes_no(one), yes_no(other)) and one_word and not IF_SO.search(both):
            found.append(Found(one.start, other.stop, ADVICE))
    one_answer = any(ONE.search(sentence.text) for sentence in reading.sentences)
    for sentence in reading.sentences:
        found += [_split(one, sentence, reading.text) for one in _of(sentence, one_answer)]
    return found


def _one_word(reading: Reading) -> bool:
    """Whether one answer is to be given to all that is asked."""
    rest = [sentence.text for sentence in reading.sentences if not sentence.asks]
    return any(ONE.search(text) for text in rest) and not any(
        IF_SO.search(text) or "each" in text.lower() for text in rest
    )


def _of(sentence: Sentence, one_answer: bool) -> list[Found]:
    if IF_SO.search(sentence.text):
        return []
    found: list[Found] = []
    claimed = TRUE_OR_FALSE.match(sentence.text)
    begins = yes_no(sentence)
    if begins is not None or claimed:
        patterns = (*YES_NO, *(EITHER if YES_OR_NO.search(sentence.text) or one_answer else ()))
        for pattern in patterns:
            mine = places(pattern, sentence, ADVICE, group=pattern.groups and 1)
            found += [
                one
                for one in mine
                if one.stop - sentence.start > (begins or 0) and _two(sentence.text, one, sentence.start)
            ]
    for pattern in RATED if one_answer else SCORED:
        found += places(pattern, sentence, ADVICE, group=1)
    if one_answer:
        found += places(TWO_QUESTIONS, sentence, ADVICE)
    found += places(WHETHER, sentence, ADVICE, group=1)
    found += places(FOR_BOTH, sentence, ADVICE)
    return found


def _two(text: str, one: Found, offset: int) -> bool:
    """Whether two things are asked about, and not one that consists of two, has a name of two words, or is what the question is about."""
    words, before = text[one.start - offset : one.stop - offset], text[: one.start - offset]
    head, link, tail = _linked(words)
    subject = SUBJECT.fullmatch(before[-60:] + head) is not None and not re.search(
        rf"\b(?:{VERB}|{ADJECTIVE})$", head, re.IGNORECASE
    )
    named = bool(link) and head.rpartition(" ")[2][:1].isupper() and tail[:1].isupper() and not words.isupper()
    whole = (
        ONE_THING.search(before[-80:] + head) is not None
        or PAIRED.search(words) is not None
        or THERE.match(text) is not None
    )
    return not (subject or named or whole or tail[:1].isdigit())


def _linked(words: str) -> tuple[str, str, str]:
    match = LINKED.search(words)
    return (words[: match.start()].rstrip(" ,"), match[0], words[match.end() :].lstrip()) if match else (words, "", "")


def _split(one: Found, sentence: Sentence, text: str) -> Found:
    """Two questions with a verb and a subject each become two sentences."""
    match = SPLIT.match(sentence.text)
    if match is None or one.start != sentence.start or one.stop < sentence.start + match.start("other"):
        return one
    other = match["other"]
    whole = f"{match['one']}? {other[:1].upper()}{other[1:]}?"
    return (
        Found(sentence.start, sentence.start + match.end(), ADVICE, whole)
        if text.startswith(match[0], sentence.start)
        else one
    )
