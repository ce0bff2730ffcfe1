"""Common English words that can stand for each other without changing what is asked; each word in its own form."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

SYNONYMS: dict[str, tuple[str, ...]] = {
    word: tuple(others.split("/"))
    for word, others in {
        "a lot of": "lots of/plenty of", "additional": "extra/further", "allow": "permit", "allowed": "permitted", "allows": "permits",
        "almost": "nearly", "altogether": "in total", "amount": "quantity", "amounts": "quantities", "annual": "yearly", "annually": "yearly",
        "anybody": "anyone", "anyone": "anybody", "approximately": "roughly", "assist": "help", "assists": "helps", "at once": "immediately",
        "attempt": "try", "attempts": "tries", "began": "started", "begin": "start", "begins": "starts", "big": "large", "bigger": "larger",
        "biggest": "largest", "bought": "purchased", "buy": "purchase", "buying": "purchasing", "buys": "purchases", "calculate": "compute/work out",
        "calculated": "computed", "calculates": "computes", "child": "kid", "children": "kids", "choice": "option", "choices": "options",
        "choose": "select/pick", "chooses": "selects/picks", "choosing": "selecting", "chose": "selected/picked", "chosen": "selected",
        "completely": "fully/entirely", "compute": "calculate/work out", "correctly": "accurately", "create": "make", "created": "made",
        "creates": "makes", "creating": "making", "currently": "at present", "difficult": "hard", "distinct": "different", "doctor": "physician",
        "doctors": "physicians", "easier": "simpler", "easiest": "simplest", "easy": "simple", "enormous": "huge", "ensure": "make sure",
        "entire": "whole", "entirely": "completely/fully", "error": "mistake", "errors": "mistakes", "every day": "each day", "every week": "each week",
        "every month": "each month", "every year": "each year", "everybody": "everyone", "everyone": "everybody", "exactly": "precisely",
        "extra": "additional", "famous": "well-known", "faster": "quicker", "fastest": "quickest", "film": "movie", "films": "movies",
        "find out": "discover/learn", "finish": "complete", "finished": "completed", "finishes": "completes", "for example": "for instance",
        "for instance": "for example", "frequently": "often", "fully": "completely/entirely", "gave": "provided", "gift": "present",
        "gifts": "presents", "give": "provide", "given": "provided", "gives": "provides", "giving": "providing", "happened": "occurred",
        "happens": "occurs", "help": "aid", "helped": "assisted", "helping": "assisting", "how many": "what number of", "huge": "enormous",
        "idea": "notion", "ideas": "notions", "immediately": "at once/right away", "important": "significant", "in order to": "to",
        "in total": "altogether/in all", "incorrect": "wrong", "journey": "trip", "journeys": "trips", "kid": "child", "kids": "children",
        "kind of": "type of/sort of", "kinds of": "types of/sorts of", "large": "big", "larger": "bigger", "largest": "biggest", "location": "place",
        "locations": "places", "look at": "examine", "looks at": "examines", "main": "chief/principal", "make sure": "ensure", "maybe": "perhaps",
        "mistake": "error", "mistakes": "errors", "movie": "film", "movies": "films", "nearly": "almost", "needed": "required", "nobody": "no one",
        "normally": "usually", "obtain": "get", "obtains": "gets", "occurred": "happened", "occurs": "happens", "often": "frequently",
        "perhaps": "maybe", "permit": "allow", "permits": "allows", "permitted": "allowed", "person": "individual", "precisely": "exactly",
        "provide": "give", "provides": "gives", "purchased": "bought", "purchases": "buys", "quantity": "amount", "quick": "fast",
        "quicker": "faster", "quickest": "fastest", "quickly": "rapidly/fast", "rapidly": "quickly", "rarely": "seldom", "receive": "get",
        "received": "got", "receives": "gets", "remember": "recall", "remembers": "recalls", "required": "needed", "requires": "needs",
        "respond": "reply", "responded": "replied", "responds": "replies", "rich": "wealthy", "right away": "at once", "roughly": "approximately",
        "said": "stated", "say": "state", "says": "states", "seldom": "rarely", "select": "choose/pick", "selects": "chooses/picks",
        "several": "multiple", "shop": "store", "shops": "stores", "show": "display", "showed": "displayed", "shown": "displayed",
        "shows": "displays", "sick": "ill", "small": "little", "somebody": "someone", "someone": "somebody", "sort of": "kind of/type of",
        "sort the": "order the/arrange the", "sort these": "order these/arrange these", "sorts of": "kinds of/types of", "speak": "talk",
        "speaks": "talks", "spoke": "talked", "started": "began", "starts": "begins", "such as": "like", "sufficient": "enough", "sure": "certain",
        "tell me": "let me know", "the sum of": "the total of", "the total of": "the sum of", "therefore": "thus", "thus": "therefore",
        "tried": "attempted", "tries": "attempts", "trip": "journey", "trips": "journeys", "try": "attempt", "type of": "kind of/sort of",
        "types of": "kinds of/sorts of", "usually": "normally/generally", "want to": "wish to", "wants to": "wishes to", "wealthy": "rich",
        "whole": "entire", "work out": "calculate/compute", "would like to": "want to", "wrong": "incorrect", "yearly": "annual",
    }.items()
}  # fmt: skip
"""word or words, in lower case -> what can stand there instead"""
KNOWN = re.compile(
    rf"(?<![\w'’-])(?:{'|'.join(sorted(map(re.escape, SYNONYMS), key=len, reverse=True))})(?![\w'’-])",
    re.IGNORECASE | re.ASCII,
)
ARTICLE = re.compile(r"(?<![\w'’-])(an?)\s+$", re.IGNORECASE)


def replaced(text: str, rng: random.Random, may: Callable[[int, int], bool]) -> str:
    """Every known word of the text that `may` (start, end) be touched by a synonym, drawn, in the word's case; `a` and `an` before it stay right."""
    parts, end = [], 0
    for match in KNOWN.finditer(text):
        others = [other for other in SYNONYMS[match[0].lower()] if _fits(text, match, other)]
        if others and may(*match.span()):
            parts += [text[end : match.start()], _cased(rng.choice(others), match[0])]
            end = match.end()
    return "".join([*parts, text[end:]])


def _fits(text: str, match: re.Match[str], other: str) -> bool:
    """Whether the article before the word can stay."""
    article = ARTICLE.search(text, max(0, match.start() - 4), match.start())
    return article is None or (other[0] in "aeiou") == (len(article[1]) == 2)


def _cased(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word[0].upper() + word[1:] if like[0].isupper() else word
