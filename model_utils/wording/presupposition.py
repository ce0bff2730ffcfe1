"""Presuppositions: questions that take something for granted, so that every direct answer admits it."""

from __future__ import annotations

from model_utils.wording.reading import Found, Reading, any_of, compiled, places

WHY = (
    "Every direct answer admits what the question takes for granted, and a model seldom objects that it may not be so."
)

FIRST = "Ask first whether it is so, and only then about it; or say where it is established."

BAD = any_of(
    r"abandon abuse attack backdate betray blackmail botch break_(?:his|her|its|their|a|every)_(?:word|promises?) "
    r"break_the_law bribe bully bungle bury cause_harm cheat con conceal conspire cover_up "
    r"cut_corners damage deceive defraud destroy discriminate dodge dupe embezzle endanger evade exploit "
    r"extort fabricate fake falsify fiddle forge forget fudge get_away_with go_bankrupt go_wrong harass harm hide "
    r"hoard hush_up ignore intimidate launder leak let_(?:down|\w+_down) lie manipulate misinform "
    r"mislead mismanage misreport misrepresent misspend mistreat misuse murder neglect overbill overcharge "
    r"overlook overprescribe plagiari[sz]e plunder poison pollute punish rig rip_off rob ruin sabotage scam "
    r"sell_out silence siphon smear spy squander steal suppress swindle tamper threaten torture trick "
    r"turn_a_blind_eye undermine underpay vandali[sz]e violate waste worsen wreck"
)
BADED = any_of(
    r"(?:broken|broke)_(?:his|her|its|their|a|every)_(?:word|promises?) abandoned abused attacked backdated "
    r"betrayed blackmailed botched bribed broke_the_law broken_the_law bullied bungled buried cheated "
    r"concealed conned covered_up cut_corners damaged deceived defrauded destroyed "
    r"discriminated dodged duped embezzled endangered evaded exploited extorted fabricated faked falsified fiddled "
    r"forged forgot fudged gone_wrong got_away_with harassed harmed hid hidden hoarded hushed_up ignored "
    r"intimidated laundered leaked let_(?:down|\w+_down) lied manipulated misinformed "
    r"misled mismanaged misreported misrepresented misspent mistreated misused murdered neglected overbilled "
    r"overcharged overlooked overprescribed plagiari[sz]ed plundered poisoned polluted rigged ripped_off robbed "
    r"ruined sabotaged scammed silenced siphoned smeared sold_out spied squandered stole stolen suppressed "
    r"swindled tampered threatened tortured tricked turned_a_blind_eye undermined underpaid vandali[sz]ed violated "
    r"wasted went_wrong worsened wrecked"
)
BADING = any_of(
    r"abandoning abusing attacking backdating betraying blackmailing botching "
    r"breaking_(?:his|her|its|their)_(?:word|promises?) breaking_the_law bribing bullying bungling cheating "
    r"concealing conning covering_up cutting_corners damaging deceiving defrauding destroying "
    r"discriminating dodging duping embezzling endangering evading exploiting extorting fabricating faking "
    r"falsifying fiddling forging fudging getting_away_with harassing harming hiding hoarding hurting "
    r"hushing_up ignoring intimidating killing laundering leaking letting_(?:down|\w+_down) lying "
    r"manipulating misinforming misleading mismanaging misreporting misrepresenting misspending mistreating "
    r"misusing neglecting overbilling overcharging overlooking overprescribing plagiari[sz]ing plundering "
    r"poisoning polluting rigging ripping_off robbing ruining sabotaging scamming selling_out siphoning smearing "
    r"spying squandering stealing suppressing swindling tampering threatening torturing tricking "
    r"turning_a_blind_eye undermining underpaying vandali[sz]ing violating wasting wrecking"
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
WH = r"(?:why|how come|when|how|where|who|whom|whose|what|which|since when|in which|by how|(?:ways|reasons|cases|occasions) (?:in|on|for) which|reasons? why)"
GAP = r"[^.?!;:]{0,70}?"
DONE = r"(?:(?!\b(?:I|we|you|one|to|if|can|could|may|might|would|should)\b)[^.?!;:]){0,70}?"
"""Of somebody, and not what the reader could do, or what might be."""
ASKED = rf"(?:(?:^|[,:;] )(?:(?:on|in|at|by|from|for|with|to|under|of) )?|\b(?:explain|describe|discuss|say|tell me|state|show|write about|list|name|find out|and|so|but) ){WH}\b"
STOPPED = any_of("stop stopped cease ceased quit quits stops ceases give_up gave_up gives_up given_up finish finished")

PATTERNS = tuple(
    compiled(pattern)
    for pattern in (
        rf"{ASKED}{GAP} ({STOPPED} (?:{BADING}|(?:(?:its|his|her|their|the|being|acting) )?(?:so )?(?:{FAULT}|{UNFAIR}))\b[^.?!,]{{0,60}})",
        rf"{ASKED}{GAP} you (?:\w+ ){{0,2}}?({STOPPED} \w+ing\b[^.?!,]{{0,60}})",
        rf"\b(?:have|has|had|did) (?:you|he|she|they|it|the \w+|[A-Z]\w+) (?:finally |ever |already )?({STOPPED} (?:{BADING}|drinking|smoking|gambling|being {UNFAIR})\b[^.?!,]{{0,40}})",
        rf"{ASKED}{GAP} ((?:continues? to|(?:keeps?|kept)(?: on)?(?= \w+ing\b)|goes on|go on|still) (?!the\b|a\b|an\b|it\b|track\b|up\b)\w+[^.?!,]{{0,40}})",
        r"\b(keeps? (?:on )?(?!track|going|in\b)\w+ing\b[^.?!,]{0,40})(?=[^.!]{0,200}\?)",
        rf"{ASKED}{GAP} (been (?:\w+ly )?{BADING}\b[^.?!,]{{0,40}})",
        rf"{ASKED}(?! (?:clause|section|statute|act|rule|law)\b){DONE} (?<!of\s)(?<!on\s)(?<!the\s)((?:{BAD}|{BADED}|{BADING})\b[^.?!,]{{0,40}})",
        rf"(?:^|[,:;] |\b(?:explain|describe|say|tell me|state) )(?:why|when|how|where|who|whom|since when){GAP} ((?:fail(?:s|ed)?|forgot|forget|refuse[sd]?|decline[sd]?|neglect(?:s|ed)?|omit(?:s|ted)?) to \w+[^.?!,]{{0,40}})",
        rf"\bfor which {GAP}((?:{BADED}|failed to \w+|refused to \w+|forgot to \w+)[^.?!,]{{0,40}})",
        rf"\bthe (failure|refusal|inability|decision) of {GAP} to \w+",
        rf"(?:{ASKED}|\b(?:explain|describe|discuss|comment on|write about|sum up|summari[sz]e)\b){GAP} (the (?:\w+ ){{0,2}}{FAULT} (?:of|by|in|behind|at|against|that|done) (?!(?:this|the|my|following) (?:\w+ )?(?:text|sentences?|code|passage|paragraph|below|following)\b)[^.?!,]{{1,60}})",
        rf"\b((?:the |this |our |a )?(?:\w+ )?\w+['’]s? (?:\w+ )?{FAULT})\b",
        rf"{ASKED}{GAP} ((?:his|her|its|their|your|our|the) (?:\w+ )?(?:{FAULT}))\b",
        r"\b(the (?:hidden|secret|undisclosed|illegal|stolen|fake|harmful|vanished|wasted|leaked|forged|unlawful|fraudulent|unjust|botched|failed|disastrous|rigged) \w+)",
        rf"{ASKED}{GAP} (the \w+ (?:that |which )?(?:he|she|they|it|you) (?:took|stole|hid|lied|faked|lost|broke|forged)\w*)",
        r"\b(how (?:much|many|far|badly|often|many times) (?:\w+ )?(?:more|less|worse|better|fewer|longer|shorter|healthier|happier|richer|poorer|safer|cheaper|faster|slower|smarter|stronger|weaker|harder|easier)(?: (?!is\b|are\b|than\b|does\b|would\b|will\b|was\b)[a-z]+)?)(?! (?:is|are|was|does|do|would|will|did) )",
        rf"\b(how (?:very |deeply |much )?{UNFAIR})\b",
        r"(?:^|[,:;] |\b(?:explain|describe|say|tell me|state|show|discuss) )why\b[^.?!;:]{0,60}? ((?:\w+ ){0,3}(?:so|more|less|as|far) (?:much |more |less )?\w+(?:ly)?(?: (?:than|as)\b)?[^.?!,]{0,30})",
        r"(?:^|[,:;] |\b(?:explain|describe|say|tell me|state|show|discuss) )why (?:(?:do|does|did|is|are) )?((?:nobody|no one|everyone|everybody|all|most)\b[^.?!]{0,60})",
        r"\b((?:once|now that|even though|after) (?:\w+ ){1,4}(?:has|have|had|is|are) (?!been (?:asked|given|read)|finished|read|done|complete)\w+(?: all)?[^.?!,]{0,40})(?=[^.!]{0,120}\?)",
        rf"{ASKED}{GAP} (manage[sd]? to \w+[^.?!,]{{0,40}})",
        rf"\bhow (?:did|does|do|could) {GAP}((?:without any|despite (?:its|his|her|their|the)|in spite of) [^.?!,]{{1,40}})",
        rf"(?:^|[,:;] )(?:when|how soon|in which year|in what year|by when) ((?:will|is|are) (?!I\b|you\b|we\b|my\b|your\b|our\b|the (?:next|meeting|train|deadline|first|last|payment)\b){GAP} (?:to |going to )?(?:collapse|fail|die out|replace|take over|disappear|vanish|crash|default|ban|abolish|go bankrupt|burst|overtake|run out))",
        rf"{ASKED}{GAP} ((?:{BAD}|{BADED}|{BADING}|fail|failed|wrong) (?:\w+ ){{0,3}}again)\b",
        r"\b((?:regrets?|regretted|ashamed of|apologi[sz]ed? for|justif(?:y|ies|ied) (?:his|her|its|their|the|having)|gets? away with|got away with|excuses? (?:his|her|its|their)|sorry (?:for|that)|confess(?:es|ed)?|admit(?:s|ted)? (?:to |that |having ))[^.?!,]{0,60})(?=[^.!]{0,80}\?)",
        r"\b([\w'’-]+(?: [\w'’-]+){0,3} (?:any ?more|any longer|no longer|nowadays no))\b(?=[^.!]{0,60}\?)",
        r"\b(if (?:the |his |her |its |their )?(?:\w+ ){1,3}had(?:n['’]t| not) \w+[^.?!,]{0,40})(?=[^.!]{0,120}\?)",
        rf"\b((?:another|yet another|the latest|the next|his|her|their|its) (?:\w+ )?{FAULT})\b(?=[^.!]{{0,80}}\?)",
        rf"{ASKED}{GAP} ((?:went|go|gone|going) back to \w+ing\b[^.?!,]{{0,40}}|relapsed?\b|for the (?:second|third|fourth|umpteenth|nth|hundredth) time)",
        r"\b((?:despite|given|because of|after|to) the fact that [^.?!,]{3,60})(?=[^.!]{0,100}\?)",
        r"(?:^|[,:;] )((?:what|which|whose) (?:\w+ )?(?:excuses?|lies|crimes?|mistakes?|blunders?|scandals?|sins?|failings?|cover-ups?) (?:did|does|do|has|have|will|is|are|was|were) [^.?!,]{2,60})(?=[^.!]{0,60}\?)",
        r"\b(the real (?:reason|cause|motive|purpose|agenda|story|culprit)s?)\b",
        r"\b(whose fault|who(?:['’]s| is| was) (?:to blame|the culprit|guilty of|responsible for the (?:mess|chaos|disaster|failure|scandal)))\b",
        r"\b((?:his|her|its|their|the) lack of \w+)",
        r"\bwhy (?:do|are|did|don['’]t|won['’]t|can['’]t) ((?:all |most |so many )?(?:women|men|girls|boys|nurses|doctors|lawyers|bankers|teachers|politicians|immigrants|foreigners|old people|young people|teenagers|the rich|the poor|patients|jurors|judges|investors|brokers|landlords|tenants|pensioners|students) [^.?!]{3,60})",
        r"\b((?:finally|at last) \w+[^.?!,]{0,40})(?=[^.!]{0,60}\?)",
        rf"(?:{ASKED}|^(?:did|does|do|has|have|had|will|was|were|is|are)\b){GAP} ((?:reali[sz]e[sd]?|find out|found out|discover(?:s|ed)?|notice[sd]?|own(?:s|ed)? up|come clean|came clean|admit(?:s|ted)?|concede[sd]?|face up|acknowledge[sd]?|confess(?:es|ed)?) (?:that |about |to (?:its|his|her|their|having) )[^.?!]{{2,60}})(?=[^.!]{{0,60}}\?)",
        rf"{ASKED}{GAP} ((?:bother|bothered|dare|dared) (?:to )?\w+[^.?!,]{{0,40}})(?=[^.!]{{0,60}}\?)",
        r"\bwhy (?:do|does|did|is|are|was|were|has|have|must|will) ([^.?!]{2,50}? (?:always|never|constantly|forever|every single time) \w+[^.?!,]{0,40})(?=[^.!]{0,60}\?)",
        r"\bwhy ((?:I|we|my \w+|our \w+)(?:['’]m|['’]re| am| are| is| was| were)? (?:so |always |clearly )?(?:right|correct|justified|better|the best|superior)\b[^.?!,]{0,60})",
        r"\b((?:when|how soon) (?:will|is|are) [^.?!,]{2,40}? (?:going to |to )?(?:admit|apologi[sz]e|own up|come clean|face up|resign|step down|stop|be punished|be sacked|pay for (?:its|his|her|their))\b[^.?!,]{0,40})(?=[^.!]{0,60}\?)",
        r"\b(who (?:will|is going to|should|must) (?:apologi[sz]e|be punished|be sacked|take the blame|pay) for [^.?!,]{2,60})",
        r"\b((?:his|her|its|their|your) (?:drinking|drug|gambling|anger|attitude|weight|spending|eating|behaviou?r) (?:problems?|habits?|issues?|addiction))\b",
        r"\b(what (?:punishment|penalty|sentence|compensation|apology)\b[^.?!,]{0,30} deserves?\b|what (?:punishment|penalty) (?:does|do|should) [^.?!,]{2,40} (?:deserve|get|face))(?=[^.!]{0,60}\?)",
        r"\b(who(?:['’]s| is| was| were| are)? (?:really )?behind\b[^.?!]{0,60})",
        r"\b((?:which|what) (?:\w+ ){1,2}(?:paid for|bribed|funded|bought|ordered|covered up|leaked|rigged|benefit(?:s|ed)? from)\b)",
        r"(?:^|[.;] ?)((?:apart from|besides|aside from|other than|in addition to) (?:the|his|her|its|their) [^,?!.]{1,50})(?=,? (?:what|which|how|who|why|where)\b)",
        r"\b(?:what (?:made|drove|led|possessed)) (?!up\b|it\b|a\b|an\b|you\b|this\b|that\b)([^.?!]{3,70})",
        rf"\bwhat (?:do|does|did|has|have) {GAP}((?:have|has|had)? ?to (?:hide|fear|lose|gain))\b",
        r"\b(?:why|when|how) (?:won['’]t|wouldn['’]t|can['’]t|doesn['’]t|don['’]t|didn['’]t|isn['’]t|aren['’]t|hasn['’]t|haven['’]t) ((?!you\b|I\b|we\b|my\b|it\b|this\b|that\b|there\b)\w+ [^.?!]{1,60})",
        r"\b(?:do|does|did|is|are|was|were|has|have|can|will) (?:you|he|she|they|it|(?:the|this|that|your|our|my) (?:\w+ ){1,3}?|[A-Z]\w+ (?:[A-Z]\w+ )?)(?:(?:be|is|are) )?(still (?!available|open|valid|life|water|possible|in\b|have to)\w+[^.?!,]{0,40})(?=[^.!]{0,60}\?)",
        r"\b(?:did|does|do|has|have|will|is|are) [^.?!,]{1,40}? ((?:lie|lied|cheat|cheated|fail|failed|steal|leak|break|raise|cut|delay|forget|miss|lose|ruin|wrong|late) (?:\w+ ){0,3}?again)\b(?=[^.!]{0,60}\?)",
        r"\bhow (?:much|many|far)(?: \w+)?(?: of \w+)? (?:did|has|have) ((?:the|this|that|our) (?:\w+ ){1,3}?(?:cut|reduce[sd]?|raise[sd]?|improve[sd]?|boost(?:ed)?|increase[sd]?|lower(?:ed)?|save[sd]?|harm(?:ed)?|help(?:ed)?|worsen(?:ed)?) \w+)(?! or\b)",
        r"\bby how (?:much|many)(?: \w+)?(?: of \w+)? (?:did|has|have) ((?:the|this|that|our) (?:\w+ ){1,3}?(?:cut|reduce[sd]?|raise[sd]?|improve[sd]?|boost(?:ed)?|increase[sd]?|lower(?:ed)?|save[sd]?|harm(?:ed)?|help(?:ed)?|worsen(?:ed)?))\b(?! or\b)",
    )
)  # fmt: skip
ESTABLISHED = compiled(
    r"\b(?:according to|from the (?:text|ruling|letter|note|report|judgment|judgement|passage|article|record|transcript)|if any(?:thing|one|body)?|"
    r"if (?:so|it did|he did|she did|they did)|whether|in the (?:sentence|quotation|story|novel|play|film|poem)|suppose|imagine|hypothetical)\b"
)


def find(reading: Reading) -> list[Found]:
    """Verbs of change (`stop hiding`, `still drinks`) and of knowing (`realise that`), what somebody is blamed for in a question for the
    circumstances (`who leaked`, `how come the bank misled`), faults that are named as known (`the hidden fees`, `her mistakes`), comparisons
    and `always` behind `why`, and futures that are taken as sure.

    It knows verbs and nouns of blame from lists, not what the facts are: what is taken for granted without blame, such as the end of a war,
    is left alone, be it so or not; a question about what a text establishes, such as one that
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
