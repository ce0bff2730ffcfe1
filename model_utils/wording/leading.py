"""Leading premises: words that say which answer is wanted, or that praise or blame before anything was judged."""

from __future__ import annotations

from dataclasses import replace

from model_utils.wording.reading import Found, Reading, any_of, compiled, places

WHY = "A model tends to agree with what the instruction already says, so the answer may repeat the writer instead of judging."

OPINION = "Ask without saying what you expect: name the claim, and ask for the evidence on each side of it."
JUDGED = "Leave the judging word out, or ask whether it is deserved."

SURE = any_of("clearly obviously undoubtedly plainly evidently unquestionably undeniably certainly self-evidently")
JUDGING = any_of(
    "absurd amazing appalling awful brilliant corrupt cowardly crooked despicable dishonest disastrous disgraceful disgusting dreadful "
    "excellent fantastic foolish greedy heartless heroic horrible idiotic incompetent lazy ludicrous marvellous marvelous notorious "
    "outdated_and outrageous overpaid overpriced pathetic pointless reckless ridiculous scandalous senseless shameful shameless shocking "
    "silly stupid superb terrible unfair wasteful wonderful wretched barbaric beloved bloated crazy cruel draconian fabulous fanatical gullible hopeless inexcusable infamous inhuman "
    "arrogant abysmal atrocious deplorable dismal irresponsible laughable lamentable woeful botched cynical dodgy hard-working ill-advised ill-conceived long-suffering misguided much-loved much-needed overworked pampered shady spoilt underpaid "
    "inhumane insane mad magnificent mindless naive overrated parasitic revolutionary shoddy sloppy spineless unacceptable unbeatable "
    "unforgivable unjust unrivalled useless vile world-class worthless"
)
SANE = any_of(
    "competent decent experienced good honest informed intelligent leading rational real reasonable responsible right-thinking "
    "self-respecting sane sensible serious true well-informed"
)
TOLD = compiled(
    r"\b(?:argu(?:es?|ing)|claims?|says?|said|writes?|wrote|states?|stated|believes?|thinks|the (?:claim|view|argument|idea|opinion)|whether) "
    r"(?:that )?[^.?!]{0,80}$"
)
"""Words that give a claim to somebody else."""

FREE = tuple(
    (compiled(pattern), advice)
    for pattern, advice in (
        (r"^[\"(]?surely\b,?(?! [a-z]+ \u2588)[^.?!]{0,80}", OPINION),
        (r"\b(?:surely|obviously|of course|undoubtedly|no doubt|without (?:a |any )?doubt|unquestionably|undeniably|indisputably|needless to say|presumably|let us start from the fact that|as (?:expected|usual|is well known|is obvious|you know))\b", OPINION),
        (r"\bI (?:take it|assume|suppose|guess|gather|trust|imagine)(?: that)?\b[^.?!,]{0,80}(?=[^.!]{0,80}\?)", OPINION),
        (r"(?:^|(?<=[,:;]\s))(?:thankfully|luckily|unfortunately|fortunately|sadly|regrettably|mercifully|understandably)\b(?=[^.!]{0,200}\?)", OPINION),
        (r"\b(?:is|are|was|were) (?:just|merely|nothing but|nothing more than|little more than|no better than) (?:a|an|the|another) \w+|\b(?:has|have|had|was|were|is|are) (?:quite )?rightly\b", OPINION),
        (r"\b(?:my|our|the) (?:\w+ )?(?:doctor|boss|professor|teacher|lawyer|adviser|advisor|colleagues?|friends?|wife|husband|mother|father|team)(?: all)? (?:agrees?|(?:is|are) (?:sure|certain|convinced))\b[^.?!,]{0,80}", OPINION),
        (r"\b(?:it(?:['’]s| is) (?:high |about )?time (?:that|we|they|he|she|the)|you(?:['’]d| would) have to be (?:blind|mad|stupid|a fool)|I can(?:not|['’]t) (?:imagine|believe|see)|the only question is|what a (?:shame|disgrace|pity|scandal)|even (?:a child|children|you|the \w+) (?:know|see|can see|admit|agree)s?|it would be (?:mad|madness|foolish|a mistake|absurd|wrong) (?:to|if)|like (?:most|all) (?:\w+ )?people,? I)\b[^.?!]{0,80}", OPINION),
        (r"\b(?:it )?(?:goes without saying|needless to say)(?: that\b)?[^.?!,]{0,100}", OPINION),
        (rf"\bas (?:we|you|everybody|everyone|anybody|anyone|all of us|(?:any|every|all|most) {SANE} \w+)(?: all| well| surely| will)? (?:know|agree|see|understand|realise|realize|remember)s?\b", OPINION),
        (r"\b(?:everybody|everyone|we all|all of us|you and I(?: both)?|nobody|no one) (?:know|agree|see|accept|doubt|denie|deny|dispute|understand|love|hate)s?\b(?: that\b)?", OPINION),
        (r"\bit(?: is|['’]s) (?:\w+ )?(?:a fact|well known|well-known|obvious|clear|plain|evident|common knowledge|undeniable|beyond (?:doubt|dispute|question)|no secret|self-evident|certain|settled)\b(?: that\b)?(?! (?:if|whether))[^.?!,]{0,80}", OPINION),
        (r"\b(?:is|was|would be|be) it not (?:true|obvious|clear|a fact|better|wrong|right|fair|time)\b", OPINION),
        (r"\b(?:do|would)n['’]?t you (?:think|agree|say|believe|feel|find|admit|prefer)\b(?: that\b)?|\b(?:do|would) you not (?:think|agree|say|believe|feel|find)\b(?: that\b)?", OPINION),
        (r"\byou(?:['’]ll| will| must| have to| can(?:not|['’]t) (?:but|help)| would(?:n['’]t| not)?| won['’]t)(?: no doubt| surely| certainly| of course| probably| also)? (?:agree|conclude|admit|concede|find that|deny|disagree|see that)\b[^.?!:]{0,80}", OPINION),
        (r"\b(?:tell|assure|reassure|show) me (?:that )?(?:I['’]m|I am|I was|we are|we['’]re|we were) (?:right|not wrong|correct|justified)\b", OPINION),
        (r"(?:^|(?<=[,:;]\s)|\b(?:please|just|now|and) )(?:confirm|admit|agree|reassure me|assure me|back me up|don['’]t tell me)(?: to me| with me)? that (?!the (?:date|time|order|appointment|meeting))[^.?!:]{0,80}", OPINION),
        (r"\b(?:how (?:can|could) (?:any(?:one|body))|who (?:would|could) (?:ever|possibly|seriously|deny|doubt|want)|why on earth|only a fool|any fool|anyone can see|let['’]s (?:face it|be honest)|the truth is|the fact is)\b[^.?!]{0,60}", OPINION),
        (r"\b(?:there is|there['’]s|there can be) no (?:doubt|question|denying|excuse|reason to doubt)\b[^.?!,]{0,80}", OPINION),
        (r"\b(?:experts|scientists|doctors|economists|lawyers|historians|studies|research|science|the evidence|history|the data) (?:all |has |have |clearly |conclusively |already |overwhelmingly ){0,2}(?:agree|shown?s?|proven?|proves?|tells? us)\b(?: that\b)?(?=[^?]{0,200}(?:\.|$))", OPINION),
        (r"\b(?:the )?(?:obvious|undeniable|inevitable|unquestionable|self-evident) (?:fact|truth|answer|winner|choice|benefits?|superiority|advantages?|conclusion|reason|failure|success)\b", OPINION),
        (r"\bgiven (?:that|how) [^.?!,]{3,80}(?=,[^.?!]{3,120}\?)", OPINION),
        (r"\bI(?:['’]d| would| will|['’]ll) be (?:\w+ )?(?:amazed|surprised|astonished|shocked|disappointed|very surprised) (?:if|should)\b[^.?!:]{0,80}", OPINION),
        (r"\b(?:I (?:am|['’]m)|I['’]m) (?:\w+ )?(?:sure|certain|convinced|confident|positive)\b(?! (?:how|what|whether|if|about))[^.?!,]{0,80}", OPINION),
        (r"\b(?:I (?:strongly |firmly |personally |honestly |myself )?(?:think|believe|suspect|feel that|maintain|insist|[’']d say|would say|would argue|reckon)|in my (?:view|opinion|experience)|if you ask me|I hope you(?:['’]ll| will)? agree)\b[^.?!,]{0,80}", OPINION),
        (rf"\b(?:any|every|most|all|no) {SANE} (?!\w+ly\b)\w+ (?:would|will|can|could|should|must|may|might|\w*[^su\W]s|doubt|know|agree|see|think|believe|accept|say|find|keep|want|prefer|avoid|do(?:es)?n['’]t)\b[^.?!]{{0,80}}", OPINION),
        (r"\b(?:any(?:one|body)|no(?:body| one)|any \w+) (?:worth (?:his|her|its|their) \w+|with (?:any|half a|a shred of) \w+|in (?:his|her|their) right mind)\b[^.?!]{0,60}", OPINION),
        (rf"\b(?:is|are|was|were|has|have|be) (?:so )?{SURE} (?!(?:label|mark|state|number|written|visible|stated|defined|legible))(?:\w+ )?\w+", OPINION),
        (rf"^(?:{SURE},|(?:since|as|because|given that) \w+ (?:\w+ )?(?:is|are|was|were) (?:{SURE} )?{JUDGING})", OPINION),
        (rf"\bhow (?:very |truly |so )?{JUDGING} (?:is|are|was|were|it is|they are)\b", JUDGED),
        (r"\bas (?:any|every|all|most|everyone|everybody|anyone|anybody) (?:\w+ )?(?:I|we) (?:know|ask|asked|meet|spoke to|have spoken to)[^.?!,]{0,40}", OPINION),
        (r"\bso-called\b(?!\s*(?:$|[.?!,;:]))", JUDGED),
        (rf"\b(?:our|your|their|its|his|her|this|that|these|those|the|\w+['’]s) (?:\w+ly |most )?{JUDGING}\b(?= \w)", JUDGED),
        (r"\bto (?:everybody|everyone|all of us|all concerned)['’]?s? (?:relief|benefit|delight|regret)\b|\b(?:has|have|had) (?:been|proved|proven) (?:a|an) (?:great|huge|total|complete|real|clear|big|enormous) \w+[^.?!]{0,60}", OPINION),
        (r"(?<=,) who (?:carry|carries|ruin|ruined|deserve|never|always|do all|does all|waste|save|keep)\b[^,.?!]{0,60}", JUDGED),
        (rf"^(?!(?:who|what|why|when|where|how|is|are|was|were|if)\b)[^?!.:;]{{1,60}} (?:is|are|was|were) (?:\w+ly |a |an |so |just |such a |simply |the ){{0,2}}(?:{JUDGING}|disgrace|scandal|waste of \w+|joke|farce|blessing|godsend|menace|no-brainer|scam|rip-off|nonsense)\b(?=[^?]{{0,80}}(?:[.!]|$))", OPINION),
        (rf",? which (?:is|was|are|were) (?:\w+ly )?(?:{JUDGING}|wrong)\b", JUDGED),
        (r"\b(?:the only|the) (?:sensible|reasonable|right|correct|fair|honest|decent|possible) (?:answer|conclusion|choice|thing to do|view) is\b[^.?!]{0,60}", OPINION),
    )
)  # fmt: skip
IN_QUESTION = tuple(
    (compiled(pattern), advice)
    for pattern, advice in (
        (r"(?:^|(?<=[,:;]\s)|^(?:and|but|so|then) )(?:is|are|was|were|would|should|could|does|did|can|has|have|had|wo|ca)n['’]?t (?!\w+ed\b)\w+\b(?: be)? ?\w*", OPINION),
        (r"(?:^|(?<=[,:;]\s)|^(?:and|but|so|then) )don['’]?t (?:you|we|they|the|these|those|all|most|our|your|\w+s)\b ?\w*", OPINION),
        (r"(?:^|(?<=[,:;]\s))(?:is|are|was|were|do|does|did|has|have|should|would|can|could) (?:it|he|she|they|we|you|this|that|(?:the|our|your|my) \w+|[A-Z]\w+) not\b(?: \w+)?", OPINION),
        (r", ?(?:(?:is|are|was|were|would|should|could|do|does|did|can|has|have|will|wo|must)(?:n['’]?t)? (?:it|you|we|they|he|she|there|I)|right|correct|no|agreed|am I right|don['’]t you (?:think|agree))(?=\s*\?)", OPINION),
        (rf"\b{JUDGING}\b(?= (?!or\b|and\b|enough\b|is\b|are\b)[a-z]+)", JUDGED),
    )
)  # fmt: skip
ASKING = compiled(r"^(?:do|would)n['’]?t you (?:think|agree|say|believe)(?: that)$")
DROPPED = compiled(
    rf"^(?:so-called|as (?:we|you|everybody|everyone|anybody|anyone|all of us|(?:any|every|all|most) {SANE} \w+)\b.*)$"
)
OWNED = compiled(rf"^(our|your|their|its|his|her|this|that|these|those|the) (?:\w+ly |most )?{JUDGING}$")


def find(reading: Reading) -> list[Found]:
    """Openings such as `surely`, `as everyone knows`, `don't you agree`, an opinion of the writer's, and words that judge.

    It cannot see a claim that stands there as a plain sentence without such words; and a word that judges is found in a question, or
    after `our`, `the` and the like, though somebody else may have said it.
    """
    found = []
    for sentence in reading.sentences:
        for pattern, advice in (*FREE, *(IN_QUESTION if sentence.asks else ())):
            for one in places(pattern, sentence, advice):
                if not TOLD.search(sentence.text[: one.start - sentence.start][-120:]):
                    found.append(replace(one, instead=_instead(reading.text[one.start : one.stop])))
    return found


def _instead(words: str) -> str | None:
    """Without the opening, or the judging word, where the rest stands by itself."""
    if ASKING.match(words):
        return "Is it true that" if words[0].isupper() else "is it true that"
    if DROPPED.match(words):
        return ""
    owned = OWNED.match(words)
    return owned[1] if owned else None
