"""Missing options: a choice that has to be made, with no way to say that none of it holds or that it cannot be told."""

from __future__ import annotations

import re

from model_utils.wording.reading import AUXILIARY, FILLER, YES_OR_NO, Found, Reading, Sentence, compiled, places, yes_no

WHY = "A model that has to choose chooses, also where none of the options is true or nothing in the text decides it."

ADVICE = 'Add the options that are missing, at least one for "none of these" and one for "cannot be told".'

WORD = rf"(?:[\"“'‘]{FILLER}+[\"”'’]|[\w'’&.-]+)"
ITEM = rf"(?:{WORD}(?: {WORD}){{0,3}})"
SHORT = rf"(?:(?:a|an|the|its|his|her|their|to|by|in|on|for|with|too) )?{WORD}(?: (?!or\b|and\b){WORD}){{0,2}}"

SLASHED = r"(?:and/or|he/she|she/he|his/her|her/his|him/her|s/he|w/o|km/h|n/a|input/output|on/off|(?-i:[A-Z]{2,4}/[A-Z]{2,4}))\b"
"""Two words that one slash makes one of."""
SORTING = r"(?:choose|pick|select|sort|group|classify|categori[sz]e|assign|file|divide|label|tag)"
"""Verbs after which `into ...:` names the classes; after others, such as turn and translate, it names a form, and what follows is the material."""
QUESTION = r"(?:who|whom|whose|what|which|when|where|why|how)"
ESCAPE = re.compile(
    r"\b(?:neither|none(?: of)?|(?<!nothing )else|other|others|unknown|undecided|undetermined|unclear|uncertain|unsure|not (?:known|given|stated|recorded|sure|mentioned|applicable|specified|clear|enough)|"
    r"n/a|cannot (?:be )?(?:told|say|tell|determined|know)|can['’]t (?:tell|say)|don['’]t know|does(?: not|n['’]t) say|no (?:answer|opinion|preference|information)|it depends|depends|mixed|"
    r"null|neutral|maybe|or both|both|something else|anything else|insufficient|impossible to (?:tell|say)|skip|abstain|if (?:neither|none|any|unsure|nothing)|or not|or neither|"
    r"missing|blank|elsewhere|another|say so|(?:do|does|did) not (?:say|tell|state|mention|apply|fit|know)|(?:doesn|didn|don)['’]t (?:say|tell|state|mention|apply|fit|know)|empty|"
    r"left open|unchanged|(?:about |stays? |stayed |remains? |remained |much )?the same|or (?:is |are |was |were )?(?:zero|equal|exactly|even)|no (?:one|match|change|decision|preference|difference)|a tie|in between|it varies|not (?:at all|one of)|cannot decide)\b",
    re.IGNORECASE,
)
"""What offers a way out."""
FORCED = tuple(
    compiled(pattern)
    for pattern in (
        rf"\b(?:choose|pick|select|circle|tick|mark|decide|classify|label|categori[sz]e|sort|tag|put|answer|reply|say|state)\b[^.?!\n:]{{0,60}}?\b(?:from|one of|between|among|as|into|either|whether(?: it is)?)\b(?:[^.?!:,\n]{{0,40}}:)? ((?:either )?{SHORT}(?:, {SHORT}){{0,12}}(?: or|, or| ?/| ?\|) {SHORT})",
        rf"\b(?:choose|pick|select|circle|tick|mark|options?|classes|labels?|categories|bands?|answers?|values?)\b[^.?!:\n]{{0,40}}: ({ITEM}(?:(?:,| ?/| ?\|| or|, or|;) ?{ITEM}){{1,12}})",
        rf"\b(?:{SORTING}\b[^.?!:\n]{{0,60}}?\b(?:from|into)(?! (?:(?:an?|one|this|the) (?!of\b)|(?:\w+ )?order\b))|one of)\b(?:(?! or )[^.?!:\n]){{0,40}}: ({ITEM}(?:(?:,| ?/| ?\||;) ?{ITEM}){{1,12}})",
        rf"\b(?:classify|label|tag|mark|categori[sz]e)\b[^.?!:\n]{{0,50}}? ((?:as )?{WORD} or {WORD})(?=\W*(?:$|[.?!,:]))",
        rf"\b(between (?:(?:the|a|an|his|her) )?{WORD}(?: {WORD}){{0,2}} and (?:(?:the|a|an|his|her) )?{WORD}(?: {WORD}){{0,2}})(?=, (?:decide|choose|pick|which|who|name|say)\b)",
        r"\b(?:decide|choose|pick|choice)(?: \w+){0,3} (between [^.?!,]{3,60} and [^.?!,]{2,40})",
        r"\b(?:\w+ )?(which (?:one )?of (?:the two|the three|these two|(?!the\b)\w+ and (?!the\b)\w+))(?= (?!\w+ers?\b)\w)",
        rf"(?:\((?:[\w ]{{1,20}}: ?)?|^|,|: ?|\b(?:circle|tick|choose|pick|select|answer|reply|respond)(?: \w+){{0,2}}:?) ?((?!{SLASHED})(?:[A-Za-z]{{1,15}}/){{1,6}}[A-Za-z]{{1,15}})(?=\)|\?|: ?$|: ?_|\.?$| and nothing else| only)",
        rf"((?:\[ ?\]|[□☐○]|\( \)) ?{ITEM}(?: ?(?:\[ ?\]|[□☐○]|\( \)) ?{ITEM}){{1,10}})",
        rf"((?<!\w)\d ?= ?{ITEM}(?:[,;] ?(?:or )?\d ?= ?{ITEM}){{1,9}})",
        rf"([\"“]{FILLER}+[\"”](?: ?\| ?[\"“]{FILLER}+[\"”]){{1,9}})",
        rf"\b(?:answer|reply|respond|say|write|output)(?: \w+){{0,3}} ([\"“]{FILLER}+[\"”](?:(?:,| or|, or|/) ?[\"“]{FILLER}+[\"”]){{1,9}})",
        rf"(?:^|[.,;:(] ?|\b(?:please|and|then|just|only|must|should) )(?:say|choose|pick|select|answer|reply|respond|enter|type|decide|vote|guess)(?: with| only| just| for){{0,2}} ((?:either )?{SHORT} or {SHORT})(?=\W*(?:$|[.?!,;:(]))",
        r"\bwhether ((?:[\w'’-]+ ){1,8}?or (?!not\b|more\b|so\b)(?:[\w'’-]+ ?){1,5})",
        r"\b(?:guess|decide|choose|pick|say|conclude|judge|is|was|are|were)\b[^.?!]{0,40}? either ([\w'’-]+(?: [\w'’-]+){0,4} or [\w'’-]+(?: [\w'’-]+){0,3})",
        r"\b((?:\w+ )?\w+ vs\.? \w+(?: \w+)?)(?=\s*[?:])",
        r"\b(?:two|both) (?:options|registers|classes|categories|groups|kinds|lists)[^.?!]{0,60}? (?:one|of) ([^.?!]{3,80})(?=\.)",
        r"\b(\d (?:\((?!not|never|no\b|none|very (?:bad|poor)|worst|strongly|completely|low|least|poor|bad)[^)]{2,40}\)) ?(?:to|-|–) ?\d+ \([^)]{2,40}\))",
    )
)  # fmt: skip
LETTERED = tuple(
    compiled(pattern)
    for pattern in (
        rf"((?<!\w)\(?A[).:] ?{ITEM}[,;]? \(?B[).:] ?{ITEM}(?:[,;]? \(?[C-H][).:] ?{ITEM}){{0,6}})",
        rf"((?<!\w)\(?[a1][).:=] ?{ITEM}[,;]? (?:or )?\(?[b2][).:=] ?{ITEM}(?:[,;]? (?:or )?\(?[c-h3-9][).:=] ?{ITEM}){{0,6}})",
    )
)
LETTER = re.compile(r"(?<!\w)\(?[A-Ha-h1-9][).:=]")
CHOICE = compiled(
    r"\b(?:choose|chosen|pick|select|which|what (?:kind|sort|type)|tick|circle|only the letter|the letter|one letter|multiple choice|classify|label)\b"
)
"""What says that one of the lettered things is to be taken, and not each of them done."""
ASKED = tuple(
    compiled(pattern)
    for pattern in (
        rf"(?:,|:) ({SHORT} or {SHORT})(?=\s*\?)",
        rf"^(?!(?:\w+ing|if|when|as|given|after|before|for|in|on|at|with|so|and|but|or|ok|okay|yes|no|hi|hello|hey|dear|please|thanks|{AUXILIARY}|{QUESTION})\b)({ITEM}, (?!(?:and|{AUXILIARY}|{QUESTION})\b){ITEM})(?=\s*\?)",
        rf"^(?!(?:{AUXILIARY}|{QUESTION})\b)({ITEM} or (?!not\b){ITEM})(?=\s*[?:])",
        rf"(?:,|:|-|–) ((?!(?:{AUXILIARY}|{QUESTION})\b){ITEM}(?:, (?!(?:{AUXILIARY}|{QUESTION})\b){ITEM}){{1,8}}(?:,? or {ITEM})?)(?=\s*\?)",
    )
)
ONE_OF_MANY = compiled(
    r"\bwhich(?: (?:one|two|three|ones))? of (?:these|those|the|them|my|our|your)\b|\bwhich (?:\w+ )?\w+s (?:are|were|have|do|did|can|should|would|could|will)\b"
)
"""What is to be picked out of a list of things that are at hand: the list is what the question is about, and no set of answers."""
EITHER_ASKED = compiled(
    r"(?:.{0,80}[:,] ?)?(?:so|and|then)?,? ?(?:is|are|was|were|am|isn['’]?t|aren['’]?t|wasn['’]?t|should|ought)\b(?! there\b)"
)
"""How a question begins that asks which of two it is; after `do`, `have` and `can`, `or` mostly leaves it a question for yes or no."""
DIRECTION = compiled(
    r"\b((?:rise|rose|increase|grow|improve|gain|win|go up|climb|strengthen|better|up) or (?:fall|fell|decrease|shrink|drop|worsen|lose|go down|sink|weaken|worse|down))(?=\W*(?:$|\?|[.,;]|(?:in|over|during|between|since|from|after|against|last|this)\b))"
)
"""Two directions, where what is asked about may have stayed where it was."""
KIND_OF = compiled(
    rf"(?:.{{0,40}}[:,] ?)?(?:is|are|was|were) (?:an? [\w-]+|\d[\d.,]*|[\"“'‘]{FILLER}+[\"”'’]|(?!(?:the|this|that|these|those|it|he|she|they|we|you|i|my|our|your|his|her|its|their)\b)[a-z][\w-]*) (?:an?\b|\w+ or \w+\W*$)"
)
"""To which kind a thing belongs that no text tells of: knowledge decides that (`is a tomato a fruit or ...`)."""
YES_NO_ASKED = tuple(
    compiled(pattern)
    for pattern in (
        rf"\b({SHORT} or (?:was |is |are |were )?{SHORT})(?=\s*\?|,| and (?:will|is|does|did|has)\b)",
        r"\b(\w+(?: \w+){0,6}, if not (?:of |by |in |for )?(?:his|her|its|the|a|an)? ?\w+)(?=\s*\?)",
        r"(?:is|are|was|were|should|ought)\b[^?]{1,80}? ([\w'’-]+(?: [\w'’-]+){0,3},? or (?!not\b|more\b|less\b|so\b|any\b|other\b|another\b|anything\b|similar\b|even\b|a few\b|is\b|was\b|has\b|are\b|does\b|did\b)[\w'’-]+(?: [\w'’-]+){0,5})(?=\s*\?)",
        r"\bis it (\w+(?: \w+){0,2} or \w+(?: \w+){0,2})(?= that\b)",
    )
)
COMPARED = compiled(
    r"\b(?:which|who|what)\b[^?]{0,60}\b(?:first|last|larger|bigger|smaller|older|younger|longer|shorter|higher|lower|cheaper|dearer|heavier|lighter|faster|slower|earlier|later|nearer|closer|deeper|colder|hotter|more|less|most|least)\b|"
    r"\b(?:any|ever|with or without|dead or alive|in or out|\w+ or (?:non|un|in|im)-?\w+)\b|\b(?:which|who|what)(?: \w+)? (?:is|are|was|were|has|have|comes|came)(?: the)? (?:\w+er|more|less|first|last|earlier|later|\w+est)\b|\b(?:more or less|on or (?:after|before)|yes or no|true or false|"
    r"whether or not|before or after|or (?:on or )?(?:after|before|more|less|fewer|so|later|earlier)|one or (?:two|more)|two or three|odd or even|even or odd|correct or (?:incorrect|wrong)|right or wrong|"
    r"valid or invalid|true/false|yes/no|singular or plural|word or phrase|sooner or later|agree or disagree)\b|\bhow (?:much|many|far)\b|\bby what\b"
)
"""Comparisons, and options of which one always holds."""
EACH = compiled(r"\b(?:each|both|in this order|in turn|first)\b")
COMPUTED = re.compile(r"^(?:[\W\d]|\bor\b)*$|^(?:,? ?and )?(?:if|when)\b", re.IGNORECASE)
"""Numbers alone, which are reckoned with, and a condition."""
NUMBERS = re.compile(r"^(?:[\s,;.|/]|\d+(?:[.,]\d+)?[a-z%]?(?![\w-])|\bor\b)*$", re.IGNORECASE)
"""To be sorted or reckoned with; a range such as 18-30 is none."""
COMPLETE = re.compile(
    r"^\W*(?:yes|y|true|right|correct|agree|pass)\W+(?:or\W+)?(?:no|n|false|wrong|incorrect|disagree|fail)\W*$",
    re.IGNORECASE,
)
ONLY = compiled(r"\b(?:and nothing else|nothing else|only)\b")


def find(reading: Reading) -> list[Found]:
    """Lists to choose from, `A or B?`, boxes, codes and scales, where the instruction nowhere offers `none`, `other`, `unknown` or the like.

    `Yes or no` and pairs of which one always holds are left alone, as are comparisons, a choice out of things at hand (`which of these
    words`), kinds that knowledge tells apart (`is a whale a fish or a mammal`), and `or` in a question with `do`, `have` or `can`. It does
    not know whether the options are complete: that is for the writer to judge. Options that stand in a quotation are seen as options, and not read.
    """
    if ESCAPE.search(reading.own):
        return []
    found: list[Found] = []
    record = 2 * FILLER in reading.own
    choice = CHOICE.search(reading.plain) is not None
    by_yes = YES_OR_NO.search(reading.plain) is not None
    for sentence in reading.sentences:
        mine = _forced(sentence, choice, record) + _asked(sentence, by_yes)
        found += [one for one in mine if _open(reading.text[one.start : one.stop], sentence, record)]
    return found


def _forced(sentence: Sentence, choice: bool, record: bool) -> list[Found]:
    found = [one for pattern in FORCED for one in places(pattern, sentence, ADVICE, group=1)]
    if choice and not EACH.search(sentence.text):
        for one in (one for pattern in LETTERED for one in places(pattern, sentence, ADVICE, group=1)):
            few = len(LETTER.findall(sentence.text[one.start - sentence.start : one.stop - sentence.start])) <= 3
            found += [one] if record or few else []  # a quiz of four or more has been made to hold the answer
    return found


def _asked(sentence: Sentence, by_yes: bool) -> list[Found]:
    text = sentence.text
    if not sentence.asks or COMPARED.search(text) or ONE_OF_MANY.search(text) or KIND_OF.match(text):
        return []
    begins = yes_no(sentence)
    if begins is not None and by_yes:
        return []
    either = begins is not None and EITHER_ASKED.match(text)
    patterns = ASKED if begins is None else (*YES_NO_ASKED, *ASKED[1:]) if either else ASKED[1:]
    found = [one for pattern in (*patterns, DIRECTION) for one in places(pattern, sentence, ADVICE, group=1)]
    return [one for one in found if not COMPUTED.search(text[one.start - sentence.start : one.stop - sentence.start])]


def _open(words: str, sentence: Sentence, record: bool) -> bool:
    """Whether something else than these options may be true; `only yes or no` where a text may leave it undecided."""
    if COMPLETE.match(words):
        return record and ONLY.search(sentence.text) is not None
    return not COMPARED.search(words) and not NUMBERS.match(words)
