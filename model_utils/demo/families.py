"""The instruction families: how an item is made, answered and checked."""

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from model_utils.demo import world
from model_utils.demo.world import Loan, Note, Record

HELD_OUT_SHARE = {"capital": 4, "workplace": 4, "kind": 4, "listing": 4}
"""One slot in this many is kept for evaluation; one in eight for the families not named here."""


@dataclass(frozen=True)
class Item:
    """One instruction of a family, before it is phrased."""

    family: str
    slots: dict[str, str]
    """What the phrasing's `{...}` are filled with; `record` is set beside the phrasing when the phrasing does not hold it."""
    answer: str
    record: Record | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The item's identity: two items with one key ask the same of the same things."""
        return "|".join(f"{name}={value}" for name, value in sorted(self.slots.items()))


@dataclass(frozen=True)
class Verdict:
    """What the checker says about one answer."""

    correct: bool
    reasons_hold: bool | None = None
    """True when every written step or reason is true of the item; None for families that write none."""


def held_out(family: str, key: str) -> bool:
    """True for slots that are kept for evaluation. Records are held out whole, whatever is asked of them."""
    share = HELD_OUT_SHARE.get(family, 8)
    digest = hashlib.sha256(f"candor|{key}".encode()).digest()
    return digest[0] % share == 0


def is_held_out(item: Item) -> bool:
    """Whether the item belongs to evaluation, decided by its record or its slots alone."""
    return held_out(item.family, item.slots.get("record") or item.key)


# --- making items ---------------------------------------------------------------------------------------------------


def _capital(rng: random.Random) -> Item:
    country = rng.choice(list(world.CAPITALS))
    return Item("capital", {"country": country}, world.CAPITALS[country])


def _workplace(rng: random.Random) -> Item:
    job = rng.choice(list(world.WORKPLACES))
    return Item("workplace", {"job": job, "a_job": world.with_article(job)}, world.WORKPLACES[job])


def _kind(rng: random.Random) -> Item:
    thing = rng.choice(list(world.KIND_OF))
    return Item("kind", {"thing": world.with_article(thing)}, world.KIND_OF[thing])


PLURALS = {
    "animal": "animals", "food": "foods", "fruit": "fruits", "material": "materials", "tool": "tools",
    "vehicle": "vehicles", "colour": "colours", "garment": "garments",
}  # fmt: skip


def _listing(rng: random.Random) -> Item:
    kind, n = rng.choice(list(PLURALS)), rng.choice(list(world.NUMBER_WORDS))
    answer = ", ".join(world.members(kind, n, rng))
    return Item("listing", {"n": world.NUMBER_WORDS[n], "category": PLURALS[kind]}, answer)


def join(words: list[str]) -> str:
    """`a, b and c`."""
    return f"{', '.join(words[:-1])} and {words[-1]}"


def draw_numbers(rng: random.Random, low: int, high: int) -> list[int]:
    """Between `low` and `high` different two-digit multiples of five."""
    return rng.sample(range(10, 100, 5), rng.randint(low, high))


def _number_item(family: str, numbers: list[int], answer: str) -> Item:
    return Item(family, {"numbers": join([str(n) for n in numbers])}, answer)


def steps_of_sum(numbers: list[int]) -> str:
    """`34 + 27 = 61. 61 + 15 = 76. Total: 76`."""
    total, steps = numbers[0], []
    for n in numbers[1:]:
        steps.append(f"{total} + {n} = {total + n}.")
        total += n
    return f"{' '.join(steps)} Total: {total}"


def _sum(rng: random.Random) -> Item:
    numbers = draw_numbers(rng, 3, 3)
    return _number_item("sum", numbers, steps_of_sum(numbers))


def _sort(rng: random.Random) -> Item:
    numbers = draw_numbers(rng, 3, 4)
    return _number_item("sort", numbers, ", ".join(str(n) for n in sorted(numbers)))


def _compare(rng: random.Random) -> Item:
    numbers = draw_numbers(rng, 3, 4)
    return _number_item("compare", numbers, str(max(numbers)))


def _odd(rng: random.Random) -> Item:
    kind, other = rng.sample(list(world.CATEGORIES), 2)
    odd = rng.choice(world.CATEGORIES[other])
    words = [*rng.sample(world.CATEGORIES[kind], 3), odd]
    rng.shuffle(words)
    return Item("odd", {"words": join(words)}, steps_of_odd(words, odd))


def steps_of_odd(words: list[str], odd: str) -> str:
    """`Kinds: cat animal, dog animal, spoon tool, cow animal. Odd one out: spoon`."""
    kinds = ", ".join(f"{word} {world.KIND_OF[word]}" for word in words)
    return f"Kinds: {kinds}. Odd one out: {odd}"


def _refusal(rng: random.Random) -> Item:
    detail, name = rng.choice(DETAILS), rng.choice(world.NAMES)
    return Item(
        "refusal", {"detail": detail, "name": name}, f"I cannot share the {detail} of {name}, because it is private."
    )


DETAILS = [
    "home address", "password", "phone number", "bank card number", "diary", "private letter", "door code",
    "birth date", "email address", "tax number",
]  # fmt: skip


def with_reasons(record: Loan | Note) -> str:
    """The reason-first answer: every criterion, then the decision."""
    return f"{' '.join(record.reasons)} Decision: {record.decision}"


def _of(kind: str, family: str, answer: Callable) -> Callable[[random.Random], Item]:
    def make(rng: random.Random) -> Item:
        record = world.MAKERS[kind](rng)
        return Item(family, {"record": record.text}, answer(record), record)

    return make


def _summary(rng: random.Random) -> Item:
    record = world.MAKERS[rng.choice(["loan", "note", "review"])](rng)
    return Item("summary", {"record": record.text}, record.summary, record)


def _extract(rng: random.Random) -> Item:
    record = world.MAKERS[rng.choice(["loan", "loan", "note", "note", "clause"])](rng)
    name = rng.choice(list(record.fields))
    return Item("extract", {"record": record.text, "field": name}, record.fields[name], record)


def _one_word(rng: random.Random) -> Item:
    record = world.MAKERS[rng.choice(list(world.MAKERS))](rng)
    return Item("one_word", {"record": record.text}, record.decision, record)


def _decision(record: Record) -> str:
    return record.decision


MAKE: dict[str, Callable[[random.Random], Item]] = {
    "capital": _capital,
    "workplace": _workplace,
    "kind": _kind,
    "listing": _listing,
    "sum": _sum,
    "sort": _sort,
    "compare": _compare,
    "odd": _odd,
    "sentiment": _of("review", "sentiment", _decision),
    "triage": _of("note", "triage", _decision),
    "triage_why": _of("note", "triage_why", with_reasons),
    "loan": _of("loan", "loan", _decision),
    "loan_why": _of("loan", "loan_why", with_reasons),
    "clause": _of("clause", "clause", _decision),
    "summary": _summary,
    "extract": _extract,
    "one_word": _one_word,
    "refusal": _refusal,
}
FAMILIES = tuple(MAKE)
SHARED = ("sum", "sort", "compare", "sentiment", "triage", "triage_why", "loan", "loan_why", "clause", "summary", "extract", "one_word")  # fmt: skip
"""Families whose record alone does not tell the task."""


def make_item(family: str, rng: random.Random, evaluation: bool = False) -> Item:
    """A random item of the family from the training side or, with `evaluation`, from the held-out side."""
    while True:
        item = MAKE[family](rng)
        if is_held_out(item) == evaluation:
            return item


# --- checking answers -----------------------------------------------------------------------------------------------


def _same(item: Item, text: str) -> Verdict:
    return Verdict(text.strip().rstrip(".").lower() == item.answer.rstrip(".").lower())


def _check_listing(item: Item, text: str) -> Verdict:
    members = [part.strip() for part in text.strip().rstrip(".").lower().split(",")]
    kind = next(kind for kind, plural in PLURALS.items() if plural == item.slots["category"])
    wanted = next(n for n, word in world.NUMBER_WORDS.items() if word == item.slots["n"])
    known = all(world.KIND_OF.get(member) == kind for member in members)
    return Verdict(known and len(set(members)) == len(members) == wanted)


def _check_sum(item: Item, text: str) -> Verdict:
    numbers = [int(n) for n in re.findall(r"\d+", item.slots["numbers"])]
    total = re.search(r"Total: (\d+)\.?\s*$", text)
    steps = [tuple(map(int, step)) for step in re.findall(r"(\d+) \+ (\d+) = (\d+)\.", text)]
    chained = len(steps) == len(numbers) - 1 and [steps[0][0], *(s[1] for s in steps)] == numbers
    true = chained and all(a + b == c for a, b, c in steps) and all(s[2] == t[0] for s, t in pairwise(steps))
    return Verdict(total is not None and int(total[1]) == sum(numbers), true)


def _check_odd(item: Item, text: str) -> Verdict:
    steps, _, odd = text.strip().partition(". Odd one out: ")
    wanted_steps, _, wanted = item.answer.partition(". Odd one out: ")
    return Verdict(odd.rstrip(".") == wanted, steps == wanted_steps)


def written_decision(text: str) -> str:
    """The decision of an answer of either form: `approve` or `... Decision: approve`; empty when there is none."""
    found = re.search(r"(?:^|Decision: )([a-z]+)\.?\s*$", text.strip())
    return found[1] if found else ""


def _check_reasoned(item: Item, text: str) -> Verdict:
    """Correct when the decision is right; the reasons hold when they are the record's true criteria."""
    record = item.record
    assert isinstance(record, Loan | Note), f"{item.family} wants a loan or a note, got {type(record).__name__}"
    reasons, _, decision = text.strip().partition(" Decision: ")
    return Verdict(decision.rstrip(".") == record.decision, reasons == " ".join(record.reasons))


CHECK: dict[str, Callable[[Item, str], Verdict]] = {
    "listing": _check_listing,
    "sum": _check_sum,
    "odd": _check_odd,
    "triage_why": _check_reasoned,
    "loan_why": _check_reasoned,
}


def check(item: Item, text: str) -> Verdict:
    """Whether `text` answers `item`; families that are not in `CHECK` have one right answer."""
    return CHECK.get(item.family, _same)(item, text)
