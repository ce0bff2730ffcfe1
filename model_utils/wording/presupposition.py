"""Presuppositions: questions that take something for granted, so that every direct answer admits it."""

from __future__ import annotations

from model_utils.wording.reading import Found, Reading, any_of, compiled, places

WHY = (
    "Every direct answer admits what the question takes for granted, and a model seldom objects that it may not be so."
)

FIRST = "Ask first whether it is so, and only then about it; or say where it is established."

BAD = any_of(
    "abandon abuse attack betray blackmail botch bribe bully bungle bury cause_harm cheat collapse conceal conspire cover_up crash damage "
    "deceive defraud destroy disappear discriminate endanger evade exploit fake falsify fiddle forge forget fudge go_bankrupt go_wrong "
    "harass harm hide hurt ignore kill launder lie leak lose mislead mismanage misuse murder neglect dodge squander overcharge overlook overprescribe poison "
    "pollute punish rig rob ruin rush sabotage silence spy steal suppress tamper threaten torture violate waste worsen"
)
BADED = any_of(
    "abandoned abused attacked betrayed blackmailed botched bribed bullied bungled buried cheated collapsed concealed covered_up crashed "
    "damaged deceived defrauded destroyed disappeared discriminated endangered evaded exploited faked falsified fiddled forged forgot "
    "fudged gone_wrong went_wrong harassed harmed hid hidden hurt ignored killed laundered lied leaked lost misled mismanaged misused "
    "murdered neglected overcharged overlooked overprescribed poisoned polluted rigged robbed ruined sabotaged silenced spied stole stolen "
    "suppressed tampered threatened tortured violated wasted worsened"
)
BADING = any_of(
    "abandoning abusing attacking betraying blackmailing botching bribing bullying bungling cheating collapsing concealing covering_up "
    "damaging deceiving defrauding destroying discriminating endangering evading exploiting faking falsifying fiddling forging forgetting "
    "fudging harassing harming hiding hurting ignoring killing laundering lying leaking losing misleading mismanaging misusing "
    "neglecting overcharging overlooking overprescribing poisoning polluting rigging robbing ruining sabotaging spying stealing "
    "suppressing tampering threatening torturing violating wasting"
)
FAULT = any_of(
    "abuse addiction arrogance betrayal contempt hostility indifference laziness obsession prejudice bias blunders? breach bribery bribes? carelessness cheating corruption cover-up cowardice crimes? cruelty damage deceit decline "
    "discrimination dishonesty errors? failings? failures? fakes? faults? fraud greed guilt harm illegal_\\w+ hypocrisy incompetence "
    "injustice lies malpractice misconduct mistakes? racism rigging scandals? theft unfairness waste wrongdoing"
)
UNFAIR = any_of(
    "bad badly biased boring careless corrupt cruel damaging dangerous dishonest dull greedy harmful incompetent lazy misleading "
    "overpriced poor poorly rude stupid unfair unfairly unhealthy unreliable unsafe useless wasteful weak worse"
)
WH = r"(?:why|when|how|where|who|whom|whose|what|which|since when|in which|by how)"
GAP = r"[^.?!;:]{0,70}?"
ASKED = rf"(?:^|[,:;] |\b(?:explain|describe|discuss|say|tell me|state|show|write about|list|name|find out|and|so|but) ){WH}\b"
STOPPED = any_of("stop stopped cease ceased quit quits stops ceases give_up gave_up gives_up given_up finish finished")

PATTERNS = tuple(
    compiled(pattern)
    for pattern in (
        rf"{ASKED}{GAP} ({STOPPED} (?!to\b)(?:\w+ing\b|its\b|his\b|her\b|their\b|the\b)[^.?!,]{{0,60}})",
        rf"\b(?:have|has|had|did) (?:you|he|she|they|it|the \w+|[A-Z]\w+) (?:finally |ever |already )?({STOPPED} \w+ing\b[^.?!,]{{0,40}})",
        rf"{ASKED}{GAP} ((?:continues? to|keeps?(?: on)?|kept(?: on)?|goes on|go on|still) (?!the\b|a\b|an\b|it\b|track\b|up\b)\w+[^.?!,]{{0,40}})",
        r"\b(keeps? (?:on )?(?!track|going|in\b)\w+ing\b[^.?!,]{0,40})(?=[^.!]{0,200}\?)",
        rf"{ASKED}{GAP} (been (?:\w+ly )?{BADING}\b[^.?!,]{{0,40}})",
        rf"{ASKED}(?! (?:clause|section|statute|act|rule|law)\b){GAP} ((?:{BAD}|{BADED}|{BADING})\b[^.?!,]{{0,40}})",
        rf"(?:^|[,:;] |\b(?:explain|describe|say|tell me|state) )(?:why|when|how|where|who|whom|since when){GAP} ((?:fail(?:s|ed)?|forgot|forget|refuse[sd]?|decline[sd]?|neglect(?:s|ed)?|omit(?:s|ted)?) to \w+[^.?!,]{{0,40}})",
        rf"\bfor which {GAP}((?:{BADED}|failed to \w+|refused to \w+|forgot to \w+)[^.?!,]{{0,40}})",
        rf"\bthe (failure|refusal|inability|decision) of {GAP} to \w+",
        rf"\b(the (?:\w+ ){{0,2}}{FAULT} (?:of|by|in|behind|at|against|that|done) [^.?!,]{{1,60}})",
        rf"\b((?:the |this |our |a )?(?:\w+ )?\w+['’]s? (?:\w+ )?{FAULT})\b",
        rf"{ASKED}{GAP} ((?:his|her|its|their|your|our|the) (?:\w+ )?(?:{FAULT}))\b",
        r"\b(the (?:hidden|secret|undisclosed|illegal|stolen|fake|harmful|vanished|wasted|leaked|forged|unlawful|fraudulent|unjust|botched|failed|disastrous|rigged) \w+)",
        rf"{ASKED}{GAP} (the \w+ (?:that |which )?(?:he|she|they|it|you) (?:took|stole|hid|lied|faked|lost|broke|forged)\w*)",
        r"\b(how (?:much|many|far|badly|often|many times) (?:\w+ )?(?:more|less|worse|better|fewer)(?: (?!is\b|are\b|than\b|does\b|would\b|will\b|was\b)[a-z]+)?)(?! (?:is|are|was) [\d$€£])",
        rf"\b(how (?:very |deeply |much )?{UNFAIR})\b",
        r"(?:^|[,:;] |\b(?:explain|describe|say|tell me|state|show|discuss) )why\b[^.?!;:]{0,60}? ((?:\w+ ){0,3}(?:so|more|less|as|far) (?:much |more |less )?\w+(?:ly)?(?: (?:than|as)\b)?[^.?!,]{0,30})",
        r"(?:^|[,:;] |\b(?:explain|describe|say|tell me|state|show|discuss) )why (?:(?:do|does|did|is|are) )?((?:nobody|no one|everyone|everybody|all|most)\b[^.?!]{0,60})",
        rf"{ASKED} (else (?:has|have|had|did|does|do|is|are|was)\b[^.?!]{{0,60}})",
        r"\b((?:once|now that|even though|after) (?:\w+ ){1,4}(?:has|have|had|is|are) (?!been (?:asked|given|read)|finished|read|done|complete)\w+(?: all)?[^.?!,]{0,40})(?=[^.!]{0,120}\?)",
        rf"{ASKED}{GAP} (manage[sd]? to \w+[^.?!,]{{0,40}})",
        rf"\bhow (?:did|does|do|could) {GAP}((?:without any|despite (?:its|his|her|their|the)|in spite of) [^.?!,]{{1,40}})",
        rf"(?:^|[,:;] )(?:when|how soon|in which year|in what year|by when) ((?:will|is|are) (?!I\b|you\b|we\b|my\b|your\b|our\b|the (?:next|meeting|train|deadline|first|last|payment)\b){GAP} (?:to |going to )?(?:collapse|fail|die|end|replace|take over|disappear|vanish|crash|default|ban|abolish|go bankrupt|burst|fall|drop|overtake|run out|close|lose))",
        rf"{ASKED}{GAP} (\w+ again)\b",
        rf"{ASKED}{GAP} ((?:start(?:s|ed)? (?!with)\w+ing|(?:began|begun|begin|begins|start|started) to \w+)\b[^.?!,]{{0,40}})(?=[^.!]{{0,60}}\?)",
        r"\b((?:regrets?|regretted|ashamed of|apologi[sz]ed? for|justif(?:y|ies|ied) (?:his|her|its|their|the|having)|gets? away with|got away with|excuses? (?:his|her|its|their)|sorry (?:for|that)|confess(?:es|ed)?|admit(?:s|ted)? (?:to |that |having ))[^.?!,]{0,60})(?=[^.!]{0,80}\?)",
        r"\b([\w'’-]+(?: [\w'’-]+){0,3} (?:any ?more|any longer|no longer|nowadays no))\b(?=[^.!]{0,60}\?)",
        r"\b(if (?:the |his |her |its |their )?(?:\w+ ){1,3}had(?:n['’]t| not) \w+[^.?!,]{0,40})(?=[^.!]{0,120}\?)",
        rf"\b((?:another|yet another|the latest|the next|his|her|their|its) (?:\w+ )?{FAULT})\b(?=[^.!]{{0,80}}\?)",
        r"\b(the real (?:reason|cause|motive|purpose|agenda|story|culprit)s?)\b",
        r"\b(whose fault|who(?:['’]s| is| was) (?:to blame|the culprit))\b",
        r"\b((?:his|her|its|their|the) lack of \w+)",
        r"\bwhy (?:do|are|did|don['’]t|won['’]t|can['’]t) ((?:all |most |so many )?(?:women|men|girls|boys|nurses|doctors|lawyers|bankers|teachers|politicians|immigrants|foreigners|old people|young people|teenagers|the rich|the poor|patients|jurors|judges|investors|brokers|landlords|tenants|pensioners|students) [^.?!]{3,60})",
        rf"{ASKED}{GAP} (finally \w+)",
        r"\b(who(?:['’]s| is| was| were| are)? (?:really )?behind\b[^.?!]{0,60})",
        r"\b((?:which|what) (?:\w+ ){1,2}(?:paid for|bribed|funded|bought|ordered|covered up|leaked|rigged|benefit(?:s|ed)? from)\b)",
        r"(?:^|[.;] ?)((?:apart from|besides|aside from|other than|in addition to) (?:the|his|her|its|their) [^,?!.]{1,50})(?=,? (?:what|which|how|who|why|where)\b)",
        r"\b(?:what (?:made|makes|drove|drives|led|possessed|caused)) (?!up\b|it\b|a\b|an\b)([^.?!]{3,70})",
        rf"\bwhat (?:do|does|did|has|have) {GAP}((?:have|has|had)? ?to (?:hide|fear|lose|gain))\b",
        r"\b(?:why|when|how) (?:won['’]t|wouldn['’]t|can['’]t|doesn['’]t|don['’]t|didn['’]t|isn['’]t|aren['’]t|hasn['’]t|haven['’]t) ((?!you\b|I\b|we\b)\w+ [^.?!]{1,60})",
        r"\b(?:do|does|did|is|are|was|were|has|have|can|will) (?:you|he|she|they|it|(?:the|this|that|your|our|my) (?:\w+ ){1,3}?|[A-Z]\w+ (?:[A-Z]\w+ )?)(?:(?:be|is|are) )?(still (?!available|open|valid|life|water|possible|in\b|have to)\w+[^.?!,]{0,40})(?=[^.!]{0,60}\?)",
        r"\b(?:did|does|do|has|have|will|is|are) [^.?!,]{1,40}? ((?!never\b)\w+ again)\b(?=[^.!]{0,60}\?)",
        r"\bhow (?:much|many|far)(?: \w+)?(?: of \w+)? (?:did|does|has|have|will|do) ((?:the|this|that|our) (?:\w+ ){1,3}?(?:cut|reduce[sd]?|raise[sd]?|improve[sd]?|boost(?:ed)?|increase[sd]?|lower(?:ed)?|save[sd]?|harm(?:ed)?|help(?:ed)?|worsen(?:ed)?) \w+)(?! or\b)",
        r"\bby how (?:much|many)(?: \w+)?(?: of \w+)? (?:did|does|has|have|will|do) ((?:the|this|that|our) (?:\w+ ){1,3}?(?:cut|reduce[sd]?|raise[sd]?|improve[sd]?|boost(?:ed)?|increase[sd]?|lower(?:ed)?|save[sd]?|harm(?:ed)?|help(?:ed)?|worsen(?:ed)?))\b(?! or\b)",
    )
)  # fmt: skip
ESTABLISHED = compiled(
    r"\b(?:according to|from the (?:text|ruling|letter|note|report|judgment|judgement|passage|article|record|transcript)|if any(?:thing|one|body)?|"
    r"if (?:so|it did|he did|she did|they did)|whether|in the (?:sentence|quotation|story|novel|play|film|poem)|suppose|imagine|hypothetical)\b"
)


def find(reading: Reading) -> list[Found]:
    """Verbs of change (`stop hiding`, `still drinks`), faults that are named as known (`the hidden fees`, `her mistakes`), comparisons behind
    `why` and `how much`, and futures that are taken as sure.

    It knows verbs and nouns of blame from lists, not what the facts are; a question about what a text establishes, such as one that
    says `according to the ruling`, is left alone.
    """
    found = []
    for sentence in reading.sentences:
        if ESTABLISHED.search(sentence.text):
            continue
        for pattern in PATTERNS:
            for one in places(pattern, sentence, FIRST, group=1):
                found.append(one)
    return found
