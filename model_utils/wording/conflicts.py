"""Conflicting constraints: demands of which no answer can meet both."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass

from model_utils.wording.reading import Found, Reading, any_of, compiled

WHY = "No answer meets both demands, so the model drops one of them without saying which."

ADVICE = (
    "Keep one of the two demands, or say which of them comes first and what part of the answer the other one is for."
)
NUMBERS = {
    "no": 0, "zero": 0, "a": 1, "an": 1, "one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100,
    "thousand": 1000,
}  # fmt: skip
NUMBER = rf"(?:\d{{1,6}}|{any_of(' '.join(NUMBERS))})"

# --- pairs of demands ---------------------------------------------------------------------------------------------------

RESULT = r"(?:total|number|letter|answer|name|word|result|code|date|figure|amount|label|json|list|table|title|digit|sum|score|value)"
ONLY = rf"(?:(?:reply|answer|respond|output|return|give|write|say)\b[^.?!;:]{{0,30}} (?:only|just|nothing but|nothing except|alone|solely)\b|(?:only|just) (?:the|your|with|a|one) (?:\w+ )?{RESULT}\b|nothing (?:but|else)\b|(?:in (?:a|one|a single)|one|a single|a one-) ?(?:word|number|letter|figure|digit)\b)"
MORE = r"(?:explain(?! (?:the|a|an) (?:word|number|letter))|show (?:how|your|the|each|all)|justify|give (?:your |the |a |two |three |some )?(?:reasons?|reasoning|examples?|sources?)|add (?:a|an|one|two|your|some)\b|reasons? (?:for|why)|with (?:reasons|examples|an explanation|your reasoning)|cite (?:at least|two|three|other|further|some)|step by step|how you|(?:walk|talk|take) me through|(?:show|include|give|add) (?:all )?(?:your|the) (?:working|reasoning|steps|calculations?)|(?:start|begin|open|end|close|finish) with (?:a|an|some|your|two|three)\b|greet\b|introduce yourself|sign off)"
AS_IS = r"(?:exactly as (?:it is|they are|it stands|they stand|written)|unchanged|verbatim|word for word|(?:change|alter|touch|edit) nothing(?! else)|without changing (?:a|any|anything|one)\b|(?:do not|don['’]t) (?:change|alter|edit|touch) (?:a|any|anything|the|it|one)\b|as it stands)"
CHANGED = r"(?:correct (?:the|all|any|every|its)|in your own words|summari[sz]e|shorten|rewrite|rephrase|paraphrase|simplif\w+|translate|improve|adapt|feel free to (?:change|alter|adapt|cut|add|rephrase)|change (?:the|its|their|any|every|all|some)\b|modernise|modernize|fix (?:the|all|any)|(?:make|making) it (?:shorter|simpler|clearer|longer)|replace (?:the|all|every|each)|polish)"
FORMAL = r"(?:formal|formally|official|solemn|dignified|businesslike|polite)"
CASUAL = r"(?:informal|casual|chatty|(?:in|use|with|using|plenty of|lots of) slang|text(?:ing)? (?:your|a|my) \w*|like (?:a|your) (?:best )?(?:mate|friend|buddy|pal)|best (?:mate|friend)|colloquial|jokey|emojis?|rude|swear\w*|insult\w*)"
BRIEF = r"(?:brief|briefly|short|concise|concisely|in (?:a|one|two) (?:single )?(?:word|sentence|line)s?|(?:a|one) (?:single )?(?:sentence|line)|under (?:ten|twenty|\d\d?) words|(?:at most|no more than|fewer than|within|max(?:imum)?(?: of)?|in) (?:ten|twenty|thirty|forty|fifty|\d\d?) words|in a nutshell|(?:a|one) (?:tweet|one-liner))"
LONG = r"(?:in (?:full|great|depth|exhaustive|every) ?(?:detail|depth)?|(?:leaving|leave) (?:nothing|no detail) out|without leaving (?:anything|out)|exhaustive(?:ly)?|every (?:single )?(?:detail|aspect|step|point|case|exception)|at (?:great )?length|comprehensive(?:ly)?|complete history|all (?:the )?details|thorough(?:ly)?|in detail|detailed)"
NEUTRAL = r"(?:neutral(?:ly)?|impartial(?:ly)?|unbiased|objective(?:ly)?|balanced|without (?:taking sides|any opinion|an opinion|giving your opinion)|take no side|no opinion)"
PARTIAL = r"(?:persua\w+|win me over|convinc\w+|(?:show|prove|demonstrate)(?:ing)? (?:that|why)|proving (?:that|why)|side with|defend\w*|argue (?:for|against|that)|take (?:a|my|our|her|his) side|(?:say|tell) (?:me )?(?:which|who) (?:is|was) (?:right|better|best)|recommend|your (?:own )?opinion|praise|attack|make the case|sell (?:me|it|us)|condemn)"
SURE = r"(?:(?:completely|absolutely|fully|entirely)? ?(?:certain|confident|sure)|without (?:any )?(?:hedging|doubt|caveats)|no (?:caveats|hedging|doubt))"
HEDGED = r"(?:hedg\w+|caveats?|uncertain\w*|doubt\w*|cautious\w*|tentative\w*|perhaps|may be wrong)"
LOWER = r"(?:(?:all )?lower ?-?case(?! (?:letters?|characters?|and|or)\b)|small letters|no capitals?|without capitals?)"
UPPER = r"(?:(?:in )?(?:all )?caps|upper ?-?case(?! (?:letters?|characters?|and|or)\b)|capitals|capital letters|block letters)"
PLAIN = r"(?:plain (?:text|language|words|english)|no (?:jargon|legal terms|technical terms|formatting|markdown)|without (?:any )?(?:jargon|legal terms|technical terms|formatting|markdown|latin)|(?:for|to) (?:a )?(?:child|children|five-year-old|layman|laymen|laypeople|beginner)\w*|jargon-free)"
TECHNICAL = r"(?:technical terms|legal terms|jargon|(?:in|with) (?:full )?(?:technical|legal|medical) (?:detail|language|terms|vocabulary)|markdown|bold|a table|formulas?|equations?|latin|using the (?:words|terms)|statutory language|terms of art)"
PROSE = r"(?:(?:a|one|in one|in a) (?:single )?(?:paragraph|continuous text)|as prose|in prose|no (?:lists?|bullets?|bullet points)|without (?:any )?(?:lists?|bullets?|bullet points)|flowing text)"
LISTED = r"(?:bullet(?:ed)? (?:points?|list)|as a list|numbered list|in a table|as a table|a table|bullets)"
NO_COMMAS = r"(?:(?:no|without(?: any)?|(?:do not|don['’]t|never) use(?: any)?) commas)"
WITH_COMMAS = r"(?:comma-separated|separated by commas|with commas)"
ASKS_NOTHING = r"(?:(?:do not|don['’]t|never) ask (?:me |us |the user |him |her |them )?(?:any |further |more |back)?(?:questions?)?|without asking (?:me |us |any )?\w*)"
ASKS = r"(?:ask (?:me|us|the user|him|her|them) (?:a|one|two|three|for|about|which|what|how|some|questions))"
SHORTER = r"(?:shorten|make (?:it|this|them) (?:much |a bit )?shorter|cut (?:it|this) down)"
LONGER = r"(?:lengthen|expand|make (?:it|this|them) (?:much |a bit )?longer|flesh (?:it|this) out)"
SAME_LENGTH = r"(?:(?:keep|of) (?:the|its) (?:same )?length|same length|just as long)"
ANOTHER_LENGTH = r"(?:shorten|shorter|lengthen|longer|expand|half (?:the|its|as) \w+|twice as long)"
FUTURE = r"(?:(?:in )?the future tense)"
UNQUOTED = r"(?:(?:no|without(?: any)?) (?:quotations?|quotes|citations?))"
QUOTED = r"(?:quote\b|quoting|cite\b|citing|with (?:quotations?|quotes|citations?))"
RHYMED = r"(?:rhyming|that rhymes|in rhyme|rhymed)"
UNRHYMED = r"(?:no (?:two )?(?:lines )?rhymes?|(?:not|n['’]t|never|without) rhym\w*|in which no two lines rhyme|free verse|unrhymed)"
TIED = r"(?:as (?:tied|equals?)|(?:tied|equally good|all equal|on a par)|without (?:ranking|preferring|choosing)|do not (?:rank|choose)|don['’]t (?:rank|choose))"
WINNER = r"(?:(?:a )?single winner|the (?:best|winner|better)\b|pick (?:one|a)|choose (?:one|a)|name (?:one|a|the) (?:single )?(?:winner|best)|which (?:one )?is (?:best|better)|rank them)"
SECRET = r"(?:(?:anonymous|anonymously|without (?:giving|using|any|naming|mentioning)(?: \w+)? (?:names?|any)|no names?|(?:do not|don['’]t|never) name)\b|without naming any)"
NAMED = r"(?:by name|name (?:each|every|all|the|them)|with (?:their|the|all) names|list (?:every|each|all)|full names?|including (?:their|all|the) names)"
PAST = r"(?:(?:only )?(?:in )?the past tense)"
PRESENT = r"(?:(?:in )?the present tense)"
FIRST_PERSON = r"(?:in the first person)"
THIRD_PERSON = r"(?:in the (?:third|second) person)"
WITHOUT_NUMBERS = (
    r"(?:no (?:digits|numbers|figures|numerals)|without (?:any |using )?(?:digits|numbers|figures|numerals))"
)
WITH_NUMBERS = r"(?:(?:every|all|each) (?:the )?(?:figure|number|amount|date)s?|(?:at least|exactly) \w+ (?:figures|numbers|statistics)|statistics|numbered|percentages?)"
TEXT_ALONE = r"(?:(?:on|from|using|to) (?:the|this|that) \w+ (?:alone|only)|only (?:the|this|what is in the) (?:text|contract|passage|letter|note|report|record|given))"
OUTSIDE = r"(?:cite (?:at least|two|three|other|further|case|some|court)|(?:other|outside|external|further|additional|your own) (?:sources?|knowledge|research|cases|rulings|studies)|look up|general knowledge|from the web)"
NO_ADVICE = r"(?:(?:do not|don['’]t|never|without|no) (?:recommend\w*|advis\w+|judg\w+|(?:give|giving|offer)? ?(?:him |her |me |them |us )?(?:any |an |your )?(?:advice|opinions?|recommendations?|judgments?)))"
ADVISED = r"(?:recommend\b|advise\b|tell (?:him|her|me|them|us) (?:what|how|which|whether|to)|say (?:what|which|whether) (?:he|she|I|they|we|one) should|(?:is|was) (?:right|better|best)\b|should (?:I|he|she|they|we)\b|suggest\b)"
ALPHABETICAL = r"(?:in alphabetical order|alphabetically|from a to z)"
ORDERED = r"(?:chronological\w*|in (?:the )?order of|(?:sorted |ordered |ranked |rank \w+ |sort \w+ )?by (?:date|size|price|year|length|importance|amount|dose|age)|(?:newest|oldest|largest|smallest|cheapest|most important|longest|shortest|latest|earliest) first|in random order|keep (?:the|their) order)"
ASCENDING = r"(?:ascending|oldest first|smallest first|cheapest first|earliest first|shortest first|from (?:small|low|old|short|smallest|lowest|oldest)\w* to \w+)"
DESCENDING = r"(?:descending|newest first|largest first|dearest first|latest first|longest first|most expensive first|from (?:large|high|new|long|largest|highest|newest)\w* to \w+)"
KEPT = r"(?:(?:keep|include|mention|preserve|retain|quote) (?:all the words|every (?:word|sentence|detail|line)|everything)|(?:leave|leaving) (?:nothing|no \w+) out|(?:do not|don['’]t|without) (?:leav\w+|cut\w*|drop\w*|omit\w*|remov\w+|shorten\w*) (?:anything|any|a word|a single))"
CUT = r"(?:cut (?:it|the text|this|half)|half (?:the|its) length|halve|shorten (?:it|the|this)|(?:remove|delete|drop|omit) (?:all|any|every|half|some)|only the (?:most important|main|first|last))"
EXPERTS = r"(?:for (?:an? )?(?:experts?|specialists?|professionals?|lawyers?|doctors|physicians|scholars)|to (?:an? )?(?:experts?|specialists?|lawyers?|scholars))"
SERIOUS = r"(?:(?:be|sound|stay|keep it|make it|tone (?:is|must be)|in an?) (?:\w+ )?(?:serious|sober|solemn)\b|(?:serious|sober|solemn)ly\b|(?:serious|sober|solemn) (?:tone|style|voice|note|language|ending)\b|(?:no|without (?:any )?) ?(?:jokes?|humou?r))"
FUNNY = r"(?:(?:be|sound|stay|keep it|make it|tone (?:is|must be)|in an?) (?:\w+ )?(?:funny|hilarious|comical|humorous)\b|(?:funny|hilarious|comical|humorous)ly\b|(?:funny|hilarious|comical|humorous) (?:tone|style|voice|note|language|ending)\b|(?:with|tell|include|add|crack|make)(?: \w+)? jokes?|full of (?:jokes|puns|humou?r)|make (?:me|them|us) laugh)"
CHEERFUL = r"(?:(?:be|sound|stay|keep it|make it|tone (?:is|must be)|in an?) (?:\w+ )?(?:cheerful|optimistic|happy|upbeat|hopeful)\b|(?:cheerful|optimistic|happy|upbeat|hopeful)ly\b|(?:cheerful|optimistic|happy|upbeat|hopeful) (?:tone|style|voice|note|language|ending)\b)"
GLOOMY = r"(?:(?:be|sound|stay|keep it|make it|tone (?:is|must be)|in an?) (?:\w+ )?(?:gloomy|pessimistic|sad|bleak|hopeless|mournful)\b|(?:gloomy|pessimistic|sad|bleak|hopeless|mournful)ly\b|(?:gloomy|pessimistic|sad|bleak|hopeless|mournful) (?:tone|style|voice|note|language|ending)\b|no hope|every(?:body|one) dies)"
KIND = r"(?:(?:be|sound|stay|keep it|make it|tone (?:is|must be)|in an?) (?:\w+ )?(?:kind|friendly|gentle|polite|warm|tactful)\b|(?:kind|friendly|gentle|polite|warm|tactful)ly\b|(?:kind|friendly|gentle|polite|warm|tactful) (?:tone|style|voice|note|language|ending)\b|without (?:hurting|offending)\b)"
HARSH = r"(?:(?:be|sound|stay|keep it|make it|tone (?:is|must be)|in an?) (?:\w+ )?(?:rude|harsh|brutal|merciless|cruel|scathing|hostile|sarcastic)\b|(?:rude|harsh|brutal|merciless|cruel|scathing|hostile|sarcastic)ly\b|(?:rude|harsh|brutal|merciless|cruel|scathing|hostile|sarcastic) (?:tone|style|voice|note|language|ending)\b|insult (?:him|her|them|the)|threaten (?:him|her|them|the))"
UNEXPLAINED = r"(?:(?:no|without(?: any| an)?|(?:do not|don['’]t|never)(?: give| add| include| offer)?(?: any| an)?) (?:explanations?|explain\w*|justif\w+|reasons?|reasoning|commentary))"
EXPLAINED = r"(?:(?:explain|justify|say) (?:why|how|your)|give (?:your |the |two |three )?(?:reasons?|reasoning)|step by step|walk me through|show (?:how|your) )"
ALL = r"(?:list|name|give|find|include|describe|mention|discuss|cover|explain|output|show) (?:me )?(?:all|every|each)\b"
FEW = r"(?:(?:exactly|only|just|no more than|at most|not more than|name|list|give|pick|choose) (?:one|two|three|four|five|[1-5])(?=\s*(?:[.!;,]|$)| (?:of (?:them|these)|items?|points?|examples?|names?|only|at most)\b))"
EITHER_WORD = r"(?:without (?:using )?(?:either|both|these|those|any of (?:these|those)|the) (?:words?|of them)|without (?:using )?(?:either|them))"

PAIRS = tuple(
    (compiled(rf"\b{one}"), compiled(rf"\b{other}"))
    for one, other in (
        (ONLY, MORE), (AS_IS, CHANGED), (FORMAL, CASUAL), (BRIEF, LONG), (NEUTRAL, PARTIAL), (SURE, HEDGED), (LOWER, UPPER), (PLAIN, TECHNICAL),
        (PROSE, LISTED), (RHYMED, UNRHYMED), (TIED, WINNER), (SECRET, NAMED), (PAST, PRESENT), (FIRST_PERSON, THIRD_PERSON),
        (NO_ADVICE, ADVISED), (ALPHABETICAL, ORDERED), (ASCENDING, DESCENDING), (KEPT, CUT), (EXPERTS, PLAIN), (SERIOUS, FUNNY), (CHEERFUL, GLOOMY),
        (KIND, HARSH), (WITHOUT_NUMBERS, WITH_NUMBERS), (TEXT_ALONE, OUTSIDE), (NO_COMMAS, WITH_COMMAS),
        (ASKS_NOTHING, ASKS), (SHORTER, LONGER), (SAME_LENGTH, ANOTHER_LENGTH), (PRESENT, FUTURE), (PAST, FUTURE), (UNQUOTED, QUOTED), (UNEXPLAINED, EXPLAINED), (ALL, FEW),
    )
)  # fmt: skip
SEPARATE = compiled(
    r"\b(?:once in|first\b[^.]{0,80}\bthen|twice|two versions|one version|another version|instead of|rather than|from [a-z]+ (?:in)?to|both versions|if|unless|except|apart from|other than|for (?:the|a) \w+ reader)\b|[.!?:;] ?(?:then|next|afterwards|after that|finally|below (?:it|that)|underneath)\b"
)
"""Words that part the demands: they are for two answers, or two parts of one."""
WITHIN = 220
"""Characters between two demands on the same answer."""

# --- numbers ------------------------------------------------------------------------------------------------------------

LEAST_OF = {("paragraph", "sentence"): 1, ("page", "sentence"): 4, ("page", "word"): 80, ("page", "paragraph"): 1, ("sentence", "word"): 2, ("paragraph", "word"): 4,
    ("stanza", "line"): 2, ("word", "character"): 1, ("word", "letter"): 1, ("bullet point", "word"): 1}  # fmt: skip
"""(unit, smaller unit) -> how many of the smaller one each takes at least"""
UNIT = r"(?P<unit>words?|sentences?|lines?|paragraphs?|pages?|characters?|letters|bullet points?|bullets?|items?|points|stanzas?|verses|syllables)"
COUNTED = compiled(
    rf"\b(?P<how>at least|at most|exactly|no more than|no fewer than|no less than|not more than|not less than|fewer than|less than|more than|under|over|up to|max(?:imum)?(?: of)?|min(?:imum)?(?: of)?|in|within|of|only|a minimum of|a maximum of)? ?(?P<number>{NUMBER}|a handful of|a few|a couple of)(?: ?(?:-|to|–) ?(?P<upper>\d{{1,6}}))?[ -](?:(?:short|long|separate|full|different|equal|complete|simple) )?{UNIT}\b"
)
PART = r"(?:words?|sentences?|lines?|paragraphs?|pages?|characters?|bullet points?|bullets?|items?|stanzas?|verses)"
HOW = r"(?:at least|at most|exactly|no more than|no fewer than|fewer than|more than|under|over|up to|about|around|a maximum of|a minimum of)"
EACH_OF = tuple(
    compiled(pattern)
    for pattern in (
        rf"\b(?P<count>{NUMBER})[ -](?:\w+ )?{PART} (?:of|with|containing) (?:(?P<how>{HOW}) )?(?P<number>{NUMBER})[ -](?P<unit>{PART})\b",
        rf"\b(?P<count>{NUMBER})[ -](?:\w+ )?{PART}\b[^.?!;\d]{{0,80}}?\beach (?:one )?(?:of them )?(?:should |must |shall )?(?:of |with |having |has |have |containing |is |be |being )?(?:(?P<how>{HOW}) )?(?P<number>{NUMBER})[ -](?P<unit>{PART})\b",
    )
)
"""So many parts, each of so many smaller ones: together the one times the other."""
ROUGHLY = 1.2
"""By how much a product may miss the number that it is to make up."""
OF_NOUN = compiled(
    rf"\b(?:(?P<before>[\w'’]+) )?(?P<number>{NUMBER}) (?!of\b|or\b|and\b|to\b|more\b|other\b)(?P<noun>[a-z]{{4,}})(?P<only> only\b)?"
)
CHOSEN_FROM = frozenset("from of among between the these those following another in".split())
BARE = compiled(
    rf"\b(?P<how>at least|at most|no more than|no fewer than|no less than|more than|fewer than|less than|under|over|up to|max(?:imum)?(?: of)?|min(?:imum)?(?: of)?) (?P<number>{NUMBER})(?=\s*(?:$|[.,;!]))"
)
LEAST = (
    "at least",
    "no fewer than",
    "no less than",
    "not less than",
    "more than",
    "over",
    "min",
    "minimum",
    "min of",
    "minimum of",
    "a minimum of",
)
MOST = (
    "at most",
    "no more than",
    "not more than",
    "fewer than",
    "less than",
    "under",
    "up to",
    "max",
    "maximum",
    "max of",
    "maximum of",
    "within",
    "a maximum of",
    "only",
)
PARTS = compiled(
    r"\b(?:split|divide|share|cut|distribute)\b [^.?!\d]{0,20}(?P<total>\d{1,9})(?P<what>[^.?!]{0,60}?) (?:in|into|among|between) (?P<count>\d{1,3}|two|three|four|five|six|seven|eight|nine|ten) (?:equal )?\w+ (?:of|with|getting) (?P<each>\d{1,9})"
)
LANGUAGES = any_of(
    "English French German Spanish Italian Latin Dutch Portuguese Swedish Polish Russian Chinese Japanese Arabic Turkish Greek Welsh Irish Hindi"
)
IN_LANGUAGE = compiled(
    rf"\b(?:in|into|be in|only) (?:plain |good |simple |American |British )?(?P<language>{LANGUAGES})\b(?! (?:law|history|literature|grammar|courts?|class|lessons?|schools?|cases?|politics|cuisine|cities|and\b|or\b|to\b|into\b|the\b))"
)
APART = compiled(r"[.!?;:]|\b(?:must|has to|have to|should|entirely|only|but)\b")
"""Between two demands, and not between two things of which one is for each."""
TRANSLATED = compiled(r"\b(?:translat\w+|both languages|bilingual|from \w+ (?:in)?to)\b")

# --- one demand and its contrary ----------------------------------------------------------------------------------------

FORBIDDEN = compiled(
    r"\b(?:say nothing (?:about|of|on)|no mention of|(?:do not|don['’]t|never|without|not|avoid) (?:mention|use|using|name|include|discuss|list|give|mentioning|naming|including|discussing)|without any|leave out|leaving out|omit|skip)\b(?P<what>[^.?!;:\n]{2,90})"
)
WORDS_OF = compiled(r"\b(?:words?|letters?|terms?|names?)\b")
USED = re.compile(
    r"\W*(?:and|but|then|also|please)?\s*(?:\w+ly\s+)?(?:begin|end|include|mention|put|repeat|start|use)\b",
    re.IGNORECASE,
)
"""What a demand for a word begins with."""
NEGATED = compiled(
    r"\b(?:no|not|without|avoid|avoiding|never|\w+n['’]t|any|nor|neither|instead of|rather than|than)[\s\"“]{1,3}(?:\w+ ){0,2}$"
)
EACH = compiled(r"\b(?:each|every|per)\b")
DEMAND = re.compile(
    r"(?:^|[,;:.?!]\s*|\b(?:and|but|then|also|please)\s+)(?:\w+ly\s+)?(?:add|answer|begin|cite|compare|count|describe|discuss|draw|end|explain|give|include|list|mention|name|outline|print|put|quote|recommend|repeat|show|start|state|"
    r"suggest|summari[sz]e|tell|use|write)\b(?P<what>[^.?!;:\n]{2,120})",
    re.IGNORECASE,
)
CONTENT = re.compile(r"[^\W\d_]{4,}")
COMMON = frozenset(
    "about above after also answer answers anything because been before below being between both case cases each else even every everything first from "
    "give given have into itself just least list made make mention more most must name names nothing once only other over part please same sentence sentences should "
    "show single some such tell text than that their them then there these they thing things this those three through under using very want were what "
    "when where which while whole will with without word words would write writing your yours reader paragraph line lines instruction question questions explain include".split()
)  # fmt: skip


def find(reading: Reading) -> list[Found]:
    """Demands that are known to exclude each other (`only the number` and `explain`, `verbatim` and `shorter`, formal and slang), numbers that
    cannot both hold (of words, or of parts times their size, or of things), two languages, and something that is both forbidden and asked for.

    It knows pairs of demands from a list: what contradicts only by its meaning, such as a vegan dish with ham, is not found. Words such as
    `first ... then` and `if` part demands, and then none is marked.
    """
    found = [
        *_pairs(reading),
        *_numbers(reading),
        *_parts(reading),
        *_nouns(reading),
        *_languages(reading),
        *_contrary(reading),
        *_either(reading),
    ]
    return [one for one in found if not SEPARATE.search(reading.plain[one.start : one.stop])]


def _pairs(reading: Reading) -> Iterator[Found]:
    for one, other in PAIRS:
        firsts, seconds = _plainly(one, reading.plain), _plainly(other, reading.plain)
        yield from _near(firsts, seconds, reading.plain)


def _plainly(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Where it stands, and nothing before it turns it into its contrary."""
    return [
        match.span()
        for match in pattern.finditer(text)
        if not NEGATED.search(text[max(0, match.start() - 40) : match.start()])
    ]


def _near(firsts: list[tuple[int, int]], seconds: list[tuple[int, int]], text: str) -> Iterator[Found]:
    """For each of the first the nearest of the second that is close enough and apart from it."""
    place = 0
    for start, stop in firsts:
        while place < len(seconds) and seconds[place][1] < start - WITHIN:
            place += 1
        close = [
            span
            for span in seconds[place : place + 8]
            if (span[0] >= stop or span[1] <= start) and span[0] - stop <= WITHIN
        ]
        close = [
            span for span in close if text.count(",", min(stop, span[1]), max(start, span[0])) < 3
        ]  # else both stand in one list
        if close:
            begin, end = min(close, key=lambda span: max(span[0] - stop, start - span[1]))
            yield Found(min(start, begin), max(stop, end), ADVICE)


@dataclass(frozen=True)
class _Count:
    start: int
    stop: int
    unit: str
    least: float
    most: float


def _value(number: str) -> int:
    return int(number) if number.isdigit() else NUMBERS.get(number.lower(), 5)


def _numbers(reading: Reading) -> Iterator[Found]:
    """Two counts of the same unit of which no number meets both; a bare `at least 200` counts what was counted last."""
    last: _Count | None = None
    products = sorted(_products(reading.plain), key=lambda one: one.start)
    starts = [one.start for one in products]
    before: list[_Count] = []
    matches = sorted((*COUNTED.finditer(reading.plain), *BARE.finditer(reading.plain)), key=lambda match: match.start())
    for match in matches:
        if EACH.search(
            reading.plain[max(0, match.start() - 12) : match.start()]
            + " "
            + reading.plain[match.end() : match.end() + 12]
        ):
            continue  # so many of each
        how = (match["how"] or "").lower()
        if not how and match["number"].lower() in ("a", "an"):
            continue  # something that is spoken of, not a count
        fields = match.groupdict()
        near = products[bisect(starts, match.start() - 2 * WITHIN) : bisect(starts, match.end() + WITHIN)]
        if how == "of" and any(one.start <= match.start() < one.stop for one in near):
            continue  # so many of each part
        if not fields.get("unit") and last is None:
            continue
        unit = (fields.get("unit") or (last.unit if last else "")).lower().rstrip("s")
        value, upper = _value(match["number"]), fields.get("upper")
        most: float = float(upper) if upper else float("inf") if how in LEAST else value
        least: float = 0 if how in MOST else value
        if match["number"].lower() in ("a handful of", "a few", "a couple of"):
            least, most = 0, 12
        count = _Count(match.start(), match.end(), unit, least, most)
        bounds = how in (*LEAST, *MOST, "exactly") or (
            last is not None and "exactly" in reading.plain[last.start : last.stop].lower()
        )
        for other in (*before[-4:],):
            same = other.unit == unit and bounds and max(other.least, count.least) > min(other.most, count.most)
            if (same or _outgrown(other, count) or _outgrown(count, other)) and count.start - other.stop < WITHIN:
                yield Found(other.start, count.stop, ADVICE)
        for product in near if how != "of" else ():
            apart = max(product.start - count.stop, count.start - product.stop)
            low, high = max(product.least, count.least), min(product.most, count.most)
            if product.unit == unit and 0 <= apart < WITHIN and low > ROUGHLY * high:
                yield Found(min(product.start, count.start), max(product.stop, count.stop), ADVICE)
        before.append(count)
        last = count


def _products(text: str) -> Iterator[_Count]:
    for pattern in EACH_OF:
        for match in pattern.finditer(text):
            how, value = (match["how"] or "").lower(), _value(match["count"]) * _value(match["number"])
            least, most = 0 if how in MOST else value, float("inf") if how in LEAST else value
            yield _Count(match.start(), match.end(), match["unit"].lower().rstrip("s"), least, most)


def _nouns(reading: Reading) -> Iterator[Found]:
    """`One diagnosis only` and `your three diagnoses`; what is chosen from several is no conflict."""
    counted = [match for match in OF_NOUN.finditer(reading.plain) if match["number"].lower() not in ("a", "an", "no")]
    strict = [one for one in counted if one["only"] or (one["before"] or "").lower() in ("only", "exactly", "just")]
    for one in strict[:8]:  # so that time grows as the text does
        for other in counted:
            same = (
                other["noun"][:-2].lower() == one["noun"][: len(other["noun"]) - 2].lower() and len(other["noun"]) > 4
            )
            free = (other["before"] or "").lower() not in CHOSEN_FROM
            if same and free and _value(one["number"]) != _value(other["number"]):
                start, stop = min(one.start("number"), other.start("number")), max(one.end(), other.end())
                if stop - start < WITHIN:
                    yield Found(start, stop, ADVICE)


def _outgrown(small: _Count, large: _Count) -> bool:
    """Whether so many of the larger unit need more of the smaller one than there may be."""
    each = LEAST_OF.get((large.unit, small.unit))
    return each is not None and each * large.least > small.most


def _parts(reading: Reading) -> Iterator[Found]:
    """A sum that is to be split into parts which do not make it up."""
    for match in PARTS.finditer(reading.plain):
        if int(match["total"]) != _value(match["count"]) * int(match["each"]):
            yield Found(match.start(), match.end(), ADVICE)


def _languages(reading: Reading) -> Iterator[Found]:
    if TRANSLATED.search(reading.plain):
        return
    last: re.Match[str] | None = None
    for match in IN_LANGUAGE.finditer(reading.plain):
        if (
            last is not None
            and last["language"].lower() != match["language"].lower()
            and APART.search(reading.plain[last.end() : match.start()])
            and match.start() - last.end() < WITHIN
        ):
            yield Found(last.start(), match.end(), ADVICE)
        last = match


def _contrary(reading: Reading) -> Iterator[Found]:
    """A word of weight in what is forbidden, and in what another clause asks for."""
    forbidden = [
        (
            match.start(),
            match.end(),
            _content(reading.own[match.start("what") : match.end()].split(",")[0]),
            match["what"],
        )
        for match in FORBIDDEN.finditer(reading.plain)
    ]
    demanded = [
        (match.start("what"), match.end(), _content(reading.own[match.start("what") : match.end()]), match[0])
        for match in DEMAND.finditer(reading.plain)
    ]
    place = 0
    for start, stop, words, what in forbidden:
        while place < len(demanded) and demanded[place][1] < start - WITHIN:
            place += 1
        for begin, end, asked, demand in demanded[place : place + 8]:
            apart = (begin >= stop or end <= start) and begin - stop <= WITHIN
            if apart and words & asked and (not WORDS_OF.search(what) or USED.match(demand)):
                yield Found(min(start, begin), max(stop, end), ADVICE)
                break


def _content(text: str) -> frozenset[str]:
    words = {word.lower() for word in CONTENT.findall(text)} - COMMON
    return frozenset(word.rstrip("s") for word in words)


def _either(reading: Reading) -> Iterator[Found]:
    for match in re.finditer(EITHER_WORD, reading.plain, re.IGNORECASE):
        before = reading.plain[max(0, match.start() - 80) : match.start()]
        options = re.search(r"[\"“][^\"”]+[\"”]\s+or\s+[\"“][^\"”]+[\"”]|\byes or no\b", before)
        if options:
            yield Found(match.start() - len(before) + options.start(), match.end(), ADVICE)
