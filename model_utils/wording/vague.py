"""Vagueness: words that each reader measures with another measure."""

from __future__ import annotations

import re

from model_utils.wording.reading import Found, Reading, any_of, compiled, places, states

WHY = "The word has no measure of its own, so the model picks one, and another wording or another model may pick a different one."

AMOUNT = "Give the number or the range that you mean."
MEASURE = "Say by which measure, and from what value on."
STYLE = "Say how long it may be, for whom it is, or what must be in it."

FITTING = (
    "reasonable reasonably appropriate appropriately adequate adequately suitable suitably sufficient sufficiently proper properly acceptable "
    "satisfactory unnecessary necessary important notable significant significantly substantial considerable considerably major minor key "
    "main relevant irrelevant essential useful helpful meaningful excessive moderate optimal ideal decent"
)
OFTEN = "recent recently soon shortly regularly promptly lately nowadays periodically early_on as_soon_as_possible asap"
PLAIN = "good bad nice okay ok fine all_right alright normal decent healthy serious high low far close cheap expensive safe big small large long short fast slow"
"""What asks for a measure where it stands alone behind a verb."""
SOME = "a_few few several various numerous a_lot_of lots_of plenty_of a_bit_of a_handful_of a_couple_of a_number_of many a_range_of a_variety_of"
DEGREE = "fairly quite rather somewhat slightly a_bit a_little relatively roughly more_or_less kind_of sort_of very too extremely"
AGE = "young elderly middle-aged old_people older_people older_adults"
SIZE = "cheap expensive affordable fast slow rich poor wealthy big small large huge tall heavy long strong weak safe risky high low"
GOOD = (
    "good nice interesting effective efficient simple easy brief short long concise detailed clear thorough comprehensive catchy engaging "
    "creative fun professional modern better best"
)
MEASURED_BY_TASTE = (
    "popular famous serious severe mild dangerous successful experienced healthy unhealthy typical standard basic advanced worrying concerning "
    "abnormal modest generous hefty steep undue unreasonable user-friendly nearby well-known minor heavy harmful common"
)

PATTERNS = tuple(
    (compiled(pattern), advice)
    for pattern, advice in (
        (rf"\b(?:(?:more|most|less|least|very|too) )?{any_of(FITTING)}\b(?=(?: \w+){{0,3}})", MEASURE),
        (rf"\b(?:(?:more|very|too|quite|fairly) )?{any_of(OFTEN)}\b", "Give dates, or how often in how much time."),
        (r"\bnot (?:too|overly|so|very|all that) (?!much\b|many\b|long ago\b)\w+", STYLE),
        (r"^(?:please |can you |could you |would you )?(?:improve|polish|tidy up|clean up|spruce up|touch up|enhance|refine|freshen up|jazz up) (?:it|this|that|these|the|my|our)\b", "Say what is to be better afterwards, and what must stay as it is."),
        (r"\b(?:a bit|a little|slightly|somewhat|a lot) (?:more|less) \w+", STYLE),
        (r"\b(?:so (?:that )?(?:it|they|this|these)|(?:make|let|help) (?:it|them|this|these)) (?:flows?|reads?|sounds?|looks?|works?) (?:a (?:bit|little|lot) |much )?(?:better|nicer|nice|good|well|right|smoother|more \w+)", STYLE),
        (r"\b(?:unusually|unduly|abnormally|suspiciously|excessively|particularly|remarkably|surprisingly|comparatively|sufficiently) \w+", MEASURE),
        (rf"\b(?:if|whether) [^.?!,:]{{3,60}}? (?:is|are|was|were|looks?|seems?) ((?:too |very |quite )?{any_of(PLAIN)})(?=\s*(?:$|[.?!,:;]| for (?:me|him|her|them)\b))", MEASURE),
        (rf"^(?:is|are|was|were|isn['’]t)\b[^?!,]{{3,80}}? ({any_of(PLAIN)})(?=\s*(?:[?:]|$| from\b| for (?:me|him|her|them)\b))", MEASURE),
        (r"\b(?:do|does|did|done|doing|perform(?:s|ed)?|work(?:s|ed)?|go|went|gone) (?:well|badly|poorly|okay|ok|fine)\b", MEASURE),
        (r"\b(?:over|in|for|during) (?:the (?:past|last|next) (?:while|few \w+|couple of \w+)|some time|a (?:good )?while)\b|\b(?:of late(?=\s*(?:$|[.,;:?!)]|(?:is|are|was|were|has|have|had|been|become|becoming|in|at|with|because|since|when|than)\b))|in (?:recent|the past|past) (?:years|months|weeks|days|times))\b", "Give dates, or how often in how much time."),
        (r"\b(?:something|someone|somewhere) (?:nice|good|special|interesting|fun|funny|cool|catchy|suitable|clever|creative|simple|light|similar|like (?:that|this))\b|\b(?:anything|everything|something) (?:suspicious|unusual|odd|strange|weird|interesting|wrong|important|relevant|essential|noteworthy|of note|out of the ordinary|useful)\b", "Say what counts as that."),
        (r"\b(?:anything|everything|what(?:ever)?|things|those) (?:that |which )?(?:looks|seems|sounds|feels|appears)(?: to be)? (?!like\b)\w+", "Say what counts as that."),
        (r"\b(?:important|interesting|boring|relevant|main|key|good|bad|best|difficult|useful|juicy|essential|unimportant|technical) (?:bits|stuff|parts|things|points|pieces|takeaways)\b", "Name what must be in it, or what it is for."),
        (r"\b(?:in )?(?:the|a|an) (?:usual|normal|customary|standard|nice|good|better|proper|right|appropriate|suitable) (?:way|manner|format|style|tone|form|fashion)\b", STYLE),
        (r"\b(?:explain|describe|summari[sz]e|outline|discuss|answer|reply|respond|write|say|tell|go over|go through|cover|sum up|introduce|present|define)\b[^.?!]{0,80}? (briefly|concisely|simply|thoroughly|comprehensively|succinctly|in (?:brief|detail|depth|short|simple (?:terms|words|language)))\b|^(?:please )?(?:briefly|concisely|simply|thoroughly|succinctly)\b", STYLE),
        (r"\b(?:decent|good|fair|reasonable|nice|large|small|medium)[- ]sized\b", AMOUNT),
        (rf"\b{any_of(SOME)}\b(?! (?:minutes|days) ago)", AMOUNT),
        (rf"\b(?:an?|some|any|most|more|very|too|the|these|all|which|list|name|suggest) {any_of(MEASURED_BY_TASTE)} \w+", MEASURE),
        (r"\b(?:long|good|big|large|small|warm|fast|high|low|old|rich|safe|strong|close|early|late|much|well|sweet|near|clear) enough\b|\benough (?!to\b|of\b|for\b|that\b)\w+", AMOUNT),
        (r"\b(?:for a while|from time to time|(?:every )?now and then|in the near future|in due course|at short notice|these days|quickly|immediately|before long|not long ago|a long time|a short time|a while)\b", "Give dates, or how often in how much time."),
        (r"\b(?:an? |the )?(?:large|small|high|low|great|fair|certain|good|considerable) (?:number|amount|share|proportion|part|percentage|sum|deal|degree|level|quantity|majority|minority)s? of\b", AMOUNT),
        (r"^(?:please )?(?:give|list|name|suggest|write|show|find|offer|provide|tell|recommend|share|think of|come up with|make)(?: me| us)? some (?!(?:of|one|other|kind|sort)\b)\w+", AMOUNT),
        (rf"\b(?:fairly|quite|rather|somewhat|slightly|a bit|a little|relatively|reasonably|pretty|kind of|sort of|very|really|too) (?:{any_of(SIZE)}|{any_of(GOOD)}|{any_of(AGE)}|close|near|\w+er|soon|few|many|much|far)\b", MEASURE),
        (rf"\b{any_of(AGE)}\b(?! (?:offenders?|lady|man|woman) (?:named|called))", "Give the ages that you mean."),
        (rf"^(?:is|are|was|were|isn['’]t)\b[^?!,]{{3,80}} ({any_of(SIZE)})(?=\s*\?| or \w+\s*\?)", MEASURE),
        (rf"\b(?:suggest|recommend|find|name|list|choose|pick|sort|which|what)\b[^.?!,]{{0,40}}? (?:into )?({any_of(SIZE)}(?: and {any_of(SIZE)})?)\b (?!-)(?=\w|by\b)", MEASURE),
        (r"\b(?:the )?(?:big|small|large|leading|top|major|key) (?:players?|names?|companies|firms|banks|brands?|lenders?)\b", MEASURE),
        (r"\b(?:keep|make|be|write|stay) (?:it|this|that|them|your answer|the answer|the text|something)? ?((?:\w+ )?(?:brief|short|concise|simple|nice|better|long|detailed|interesting|fun|fast|quick|light|shorter|longer|simpler|clearer|nicer|faster|snappier|punchier))\b", STYLE),
        (r"\b(?:at|with|in|of|to) (?:the|an?) (?:right|proper|appropriate|suitable|good|reasonable|timely|high|low|certain) (?:level|length|tone|manner|way|amount|time|degree|standard|extent|fashion|depth|style|detail|pace|price)\b", STYLE),
        (r"\b(?:normal|ordinary|average|regular|certain|typical) (?:people|person|persons|readers?|users?|customers?|patients?|folk|man|woman)\b", "Say who they are: age, schooling, what they know."),
        (r"\b(?:whatever|anything|everything|all that|what) (?:\w+ )?(?:matters|is (?:important|relevant|necessary|needed|useful|worth \w+)|you (?:think|find|consider) (?:is )?\w+|seems? \w+)\b", "Name what must be in it, or what it is for."),
        (r"\b(?:and so on|and so forth|etc\b\.?|and the like|or something|or so\b|if (?:needed|necessary|possible|appropriate)|where (?:possible|appropriate|necessary)|as (?:needed|necessary|appropriate)|as (?:much|far|many|well) as possible|when(?:ever)? (?:possible|appropriate|necessary))", "Name all of them, or say when."),
        (rf"\b(?:an?|some|the (?:best|most)) ({any_of('good nice interesting effective better best catchy engaging creative fun great cool')})\b (?=\w)", MEASURE),
        (r"\b(?:the )?(best|most (?:important|interesting|useful|effective|common))(?= \w)", "Say what makes one better than another, or by which measure it is the most."),
        (r"\b(?:a|an) ((?:brief|short|concise|detailed|simple|long|thorough|comprehensive))(?:,? (?!story|film|sale|circuit)\w+){1,3}", STYLE),
    )
)  # fmt: skip
TERMS = compiled(
    r"\b(?:reasonable (?:doubt|person|care|force|man|adjustments?|excuse)|short (?:sale|story|stories|circuit|film|position|selling|vowels?|form)|recent possession|high "
    r"(?:court|school|street|tide|tech|jump|priest)|high blood|fast food|old english|significant (?:figures?|digits?|others?)|large language|small (?:claims?|intestine|print|caps?)|"
    r"large intestine|appropriate adult|rich text|low tide|long (?:division|jump|vowels?)|big (?:data|bang|ben|five|apple)|good (?:faith|omens|morning|friday)|best (?:man|mate|friends?|regards|wishes|seller|known)|"
    r"safe harbou?r|simple (?:interest|past|present|sentence)|major (?:scale|key|chord|league)|minor (?:scale|key|chord)|key(?:board)? (?:signature|press|value|words?)|"
    r"main (?:verb|clause|function|idea)|necessary (?:and sufficient|condition)|sufficient condition|young['’]s|proper (?:nouns?|names?|fractions?)|strong acid|weak acid|"
    r"many[- ](?:to|worlds)|long[- ]term|short[- ]term|low[- ]income|quite the|rather than|would rather|relevant to|(?:may|can|must|does|is) a minor|best (?:describes?|fits?|matches?|explains?|completes?)|key (?:word|terms?)|how (?:often|many|few|soon|early)|so many|too many|safe in|"
    r"as (?:often|many|few|soon) as|common law|main (?:dish|course|characters?|street|road)|helpful if|useful if|best practice|from \w+ to (?:small|big|large|low|high|old|young|new|slow|fast)(?:est)?|how much (?:more|less|fewer) \w+(?: \w+)?)\b"
)
"""Terms of a field, in which such a word has its measure."""
MEASURED = compiled(
    r"\b(?:at most|at least|exactly|no more than|no fewer than|fewer than|more than|less than|up to|maximum|max|between) (?:\d|one|two|three|four|five|six|seven|eight|nine|ten)|"
    r"\b(?:means?|count(?:s|ed)? as|defined as|that is|i\.e\.|by which I mean)\b|\b\d+(?:-| )?(?:word|sentence|line|paragraph|page)s?\b|\b(?:one|two|three|four|five)[- ](?:word|sentence|line|paragraph)s?\b"
)


MEANT = compiled(r"\b(?:means? (?:here )?that|here means|counts? as|defined as|by (?:this|that|which) I mean)\b")
NAME = re.compile(r"\s[A-Z]")
"""In the middle of words: they are a name, or part of one."""


def find(reading: Reading) -> list[Found]:
    """Words of amount, time, size, fitness and style without a measure, from lists.

    Where the same sentence or the next one gives a number of words, or says what is meant, nothing is marked; nor are terms of a field,
    such as a short sale or reasonable doubt, as far as the list knows them. It cannot tell whether the reader will know the measure.
    """
    found = []
    for number, sentence in enumerate(reading.sentences):
        following = reading.sentences[number + 1].text[:200] if number + 1 < len(reading.sentences) else ""
        if MEASURED.search(sentence.text) or states(sentence):
            continue
        if MEANT.search(following):
            continue
        followed = MEASURED.search(following) is not None
        terms = [match.span() for match in TERMS.finditer(sentence.text)]
        for pattern, advice in PATTERNS:
            if followed and advice == STYLE:
                continue
            for one in places(pattern, sentence, advice, group=pattern.groups and 1):
                start, stop = one.start - sentence.start, one.stop - sentence.start
                name = NAME.search(sentence.text[start:stop]) and not sentence.text.isupper()
                if not name and not any(begin < stop and start < end for begin, end in terms):
                    found.append(one)
    return found
