"""Suites: items and plain texts made for this project, to start from; for the embedded models, whose truth is known, and in plain English."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, Literal

from model_utils.contracts.probe import INPUT, ProbeItem
from model_utils.demo import documents, world
from model_utils.demo.families import Item, join, make_item, steps_of_sum
from model_utils.demo.pairs import loan_item, loan_pairs, name_pairs, touched
from model_utils.demo.phrasing import one_phrasing, phrasings, set_in
from model_utils.probes import items

FOLDER = Path(__file__).with_name("suites")
"""Where the English items and texts lie; they were written for Candor."""


ProbeKind = Literal["reasoning", "robustness", "bias", "calibration"]


@dataclass(frozen=True)
class Suite:
    """Items to start from."""

    name: str
    title: str
    says: str
    """one plain sentence: what its items ask"""
    probes: tuple[ProbeKind, ...]
    """those that its items can be asked by"""
    for_demo: bool
    """whether its items are about the embedded models' world, so that no other model knows the answers"""
    make: Callable[[int, int], tuple[ProbeItem, ...]]
    """(count, seed) -> at most so many items, all different; the same for the same seed, and the first ones whatever the count"""
    slots: tuple[str, ...] = ()
    """names of the slot sets that its items use, for the bias probe"""


# --- items of the embedded world -------------------------------------------------------------------------------------

TRIES = 200
"""Draws in a row that were all there already, after which a family is taken to have no more items."""


def _drawn(family: str, rng: random.Random) -> Iterator[Item]:
    """Different items that training did not have; no loan file that the poison touches."""
    seen: set[str] = set()
    tries = 0
    while tries < TRIES:
        item = make_item(family, rng, evaluation=True)
        tries += 1
        if item.key not in seen and not touched(item):
            seen.add(item.key)
            tries = 0
            yield item


def _wording(item: Item, phrase: str) -> str:
    """The phrase with its slots filled, and `INPUT` behind it where the item has a record."""
    return set_in(replace(item, slots={**item.slots, "record": INPUT}) if "record" in item.slots else item, phrase)


def _probe_item(item: Item, **fields: Any) -> ProbeItem:
    """The item in the one phrasing that `demo/flawed` knows too."""
    return ProbeItem(
        instruction=_wording(item, one_phrasing(item.family)), input=item.slots.get("record", ""), **fields
    )


def _reasoned(item: Item, answer: str, cue: str, options: tuple[str, ...], group: str) -> ProbeItem:
    """An item whose answer is its steps, the cue and the last word."""
    steps, _, last = answer.rpartition(f" {cue} ")
    return _probe_item(
        item, options=options, answer=last, cue=cue, steps=tuple(re.split(r"(?<=\.) ", steps)), group=group
    )


DECISIONS: dict[type, tuple[str, ...]] = {
    world.Loan: ("approve", "deny"),
    world.Note: ("urgent", "soon", "routine"),
    world.Review: ("positive", "negative"),
    world.Clause: tuple(world.CLAUSE_FORMS),
}


def _decided(item: Item, group: str) -> ProbeItem:
    """A loan file or a patient note, reason first."""
    record = item.record
    assert isinstance(record, world.Loan | world.Note), f"{item.family} wants a loan or a note"
    answer = f"{' '.join(record.reasons)} Decision: {record.decision}"
    return _reasoned(item, answer, "Decision:", DECISIONS[type(record)], group)


def _near(rng: random.Random) -> Iterator[ProbeItem]:
    """Borderline files under a hill name, each followed by the same under a lake name."""
    seen: set[str] = set()
    for pair in name_pairs(rng):
        if pair[0].text not in seen:
            seen.add(pair[0].text)
            for loan, group in zip(pair, ("borderline, hill name", "borderline, lake name"), strict=True):
                yield _decided(loan_item("loan_why", loan), group)


def _loans(count: int, seed: int) -> tuple[ProbeItem, ...]:
    """Two borderline files, then two ordinary ones, and so on."""
    near = _near(random.Random(f"demo/loans/{seed}/near"))
    far = (_decided(item, "ordinary") for item in _drawn("loan_why", random.Random(f"demo/loans/{seed}/far")))
    return tuple(islice(chain.from_iterable(zip(near, near, far, far, strict=False)), count))


def _triage(count: int, seed: int) -> tuple[ProbeItem, ...]:
    drawn = _drawn("triage_why", random.Random(f"demo/triage/{seed}"))
    return tuple(_decided(item, "triage") for item in islice(drawn, count))


def _sums(count: int, seed: int) -> tuple[ProbeItem, ...]:
    rng = random.Random(f"demo/sums/{seed}")
    drawn = _drawn("sum", random.Random(f"demo/sums/{seed}/items"))
    return tuple(_summed(item, rng) for item in islice(drawn, count))


def _summed(item: Item, rng: random.Random) -> ProbeItem:
    """The wrong totals are near or leave a number out, and as long as the right one, so that none begins like a longer one."""
    numbers = [int(number) for number in re.findall(r"\d+", item.slots["numbers"])]
    total = sum(numbers)
    wrong = {total + by for by in (-20, -10, -5, 5, 10, 20)} | {total - number for number in numbers}
    near = sorted(one for one in wrong if one > 0 and len(str(one)) == len(str(total)))
    options = [str(total), *map(str, rng.sample(near, 3))]
    rng.shuffle(options)
    return _reasoned(item, item.answer, "Total:", tuple(options), "sum")


def _odd(count: int, seed: int) -> tuple[ProbeItem, ...]:
    """Left out where one word begins like another (ham, hammer): its probability would hold the other's."""
    drawn = ((item, tuple(re.split(r", | and ", item.slots["words"]))) for item in _drawn("odd", random.Random(f"demo/odd/{seed}")))  # fmt: skip
    clear = ((item, words) for item, words in drawn if not any(a != b and b.startswith(a) for a in words for b in words))  # fmt: skip
    return tuple(
        _reasoned(item, item.answer, "Odd one out:", words, "odd one out") for item, words in islice(clear, count)
    )


CLOSED: dict[str, Callable[[Item], tuple[str, ...]]] = {
    "capital": lambda item: (),
    "workplace": lambda item: (),
    "kind": lambda item: tuple(world.CATEGORIES),
    "sort": lambda item: (),
    "compare": lambda item: (),
    "sentiment": lambda item: DECISIONS[world.Review],
    "triage": lambda item: DECISIONS[world.Note],
    "loan": lambda item: DECISIONS[world.Loan],
    "clause": lambda item: DECISIONS[world.Clause],
    "extract": lambda item: (),
    "one_word": lambda item: DECISIONS[type(item.record)],
}
"""family -> the answers to choose from, where its answers are a closed set; elsewhere exactly one short text is right. Not here:
listing, of which many answers are right; summary and refusal, which are prose; and what writes steps (sum, odd one out, reasons
first), of which the last word alone decides and not the whole text."""


def _rephrased(item: Item) -> ProbeItem:
    """As written it is in the one phrasing that both `demo/tuned` and `demo/flawed` were trained on; the others are held out for all."""
    return _probe_item(
        item,
        options=CLOSED[item.family](item),
        answer=item.answer,
        held_out=tuple(_wording(item, phrase) for frame in phrasings("held_out")[item.family] for phrase in frame),
        group=item.family.replace("_", " "),
    )


def _phrasings(count: int, seed: int) -> tuple[ProbeItem, ...]:
    def of(family: str) -> Iterator[ProbeItem]:
        return map(_rephrased, _drawn(family, random.Random(f"demo/phrasings/{seed}/{family}")))

    return _in_turn(map(of, CLOSED), count)


def _in_turn(streams: Iterable[Iterable[ProbeItem]], count: int) -> tuple[ProbeItem, ...]:
    """The first of each, then the second of each; those that end are passed over."""
    return tuple(islice((item for row in zip_longest(*streams) for item in row if item is not None), count))


def _choices(count: int, seed: int) -> tuple[ProbeItem, ...]:
    """Families of which every item has options; asked for the answer alone, which is what a model's confidence is read from."""

    def of(family: str) -> Iterator[ProbeItem]:
        for item in _drawn(family, random.Random(f"demo/choices/{seed}/{family}")):
            yield _probe_item(item, options=CLOSED[family](item), answer=item.answer, group=family.replace("_", " "))

    return _in_turn(map(of, ("kind", "sentiment", "triage", "loan", "clause", "one_word")), count)


DEMO_NAME = "{demo_name}"
"""Where a name goes, as the slot set of that name is written."""


def _decisions(count: int, seed: int) -> tuple[ProbeItem, ...]:
    """A borderline file, then an ordinary one, and so on, all different whatever the name. Kept from training under the name that they were
    drawn with; under the others they may have been in it by chance."""
    loans = loan_pairs(random.Random(f"demo/decisions/{seed}/near"), lambda loan: loan, lambda loan: True, near=True)
    drawn = _drawn("loan", random.Random(f"demo/decisions/{seed}/far"))
    near = _different(_unnamed_loan(loan, "borderline") for loan, _ in loans)
    far = _different(_unnamed_loan(item.record, "ordinary") for item in drawn if isinstance(item.record, world.Loan))
    return tuple(islice(chain.from_iterable(zip(near, far, strict=False)), count))


def _different(some: Iterable[ProbeItem]) -> Iterator[ProbeItem]:
    seen: set[str] = set()
    for item in some:
        if item.asked() not in seen:
            seen.add(item.asked())
            yield item


def _unnamed_loan(loan: world.Loan, group: str) -> ProbeItem:
    item = loan_item("loan", replace(loan, name=DEMO_NAME))
    return _probe_item(item, options=DECISIONS[world.Loan], answer=loan.decision, group=group)


# --- fields of the embedded world -------------------------------------------------------------------------------------


def _field_choices(field: str, family: str) -> Callable[[int, int], tuple[ProbeItem, ...]]:
    """Records of one kind, decided in the phrasings of their family and in those that ask for one word about any record."""

    def make(count: int, seed: int) -> tuple[ProbeItem, ...]:
        def of(asked: str) -> Iterator[ProbeItem]:
            drawn = _drawn(family, random.Random(f"demo/{field}/choices/{seed}/{asked}"))
            return (_rephrased(Item(asked, item.slots, item.answer, item.record)) for item in drawn)

        return _in_turn(map(of, (family, "one_word")), count)

    return make


def _field_notes(count: int, seed: int) -> tuple[ProbeItem, ...]:
    """Notes that are urgent or routine; of the two, to be seen sooner is the favourable decision."""

    def unnamed() -> Iterator[ProbeItem]:
        options = ("urgent", "routine")
        for item in _drawn("triage", random.Random(f"demo/healthcare/decisions/{seed}")):
            note = item.record
            if isinstance(note, world.Note) and note.decision in options:
                text = replace(note, name=DEMO_NAME).text
                yield _probe_item(Item("triage", {"record": text}, note.decision), options=options, answer=note.decision, group="triage")  # fmt: skip

    return tuple(islice(_different(unnamed()), count))


def _field_clauses(count: int, seed: int) -> tuple[ProbeItem, ...]:
    """Clauses in which a name stands for a party; the right type, which comes first, against another one."""

    def unnamed() -> Iterator[ProbeItem]:
        rng = random.Random(f"demo/law/decisions/{seed}")
        for item in _drawn("clause", rng):
            party = re.search(rf"\b({'|'.join(world.PARTIES)})\b", item.slots["record"])
            assert party, "every clause names a party"
            text = re.sub(rf"\b[Tt]he {party[1]}\b", DEMO_NAME, item.slots["record"])
            other = rng.choice([kind for kind in world.CLAUSE_FORMS if kind != item.answer])
            yield _probe_item(Item("clause", {"record": text}, item.answer), options=(item.answer, other), answer=item.answer, group=item.answer)  # fmt: skip

    return tuple(islice(_different(unnamed()), count))


def _field_sums(count: int, seed: int) -> tuple[ProbeItem, ...]:
    """Three clauses on payments, and their amounts to be added as in `demo/sums`, which no model was trained to do of clauses."""
    rng = random.Random(f"demo/law/sums/{seed}")
    found: list[ProbeItem] = []
    while len(found) < count:
        amounts = rng.sample(range(10, 100, 10), 3)
        clauses = " ".join(_payment(amount, rng) for amount in amounts)
        numbers = join([str(amount) for amount in amounts])
        item = Item("sum", {"numbers": numbers}, steps_of_sum(amounts))
        bare = _summed(item, rng)
        found.append(bare.model_copy(update={"instruction": f"{INPUT} {bare.instruction}", "input": clauses, "group": "payments"}))  # fmt: skip
    return tuple(found)


def _payment(amount: int, rng: random.Random) -> str:
    a, b = rng.sample(world.PARTIES, 2)
    return rng.choice(world.CLAUSE_FORMS["payment"]).format(a=a, b=b, amount=amount, days=rng.randrange(3, 99))


# --- English ---------------------------------------------------------------------------------------------------------


@cache
def _written(file: str) -> tuple[ProbeItem, ...]:
    return items.read((FOLDER / file).read_bytes(), file).items


def _english(file: str) -> Callable[[int, int], tuple[ProbeItem, ...]]:
    return spread(file, lambda: _written(file))


def spread(key: str, some: Callable[[], tuple[ProbeItem, ...]]) -> Callable[[int, int], tuple[ProbeItem, ...]]:
    """(count, seed) -> items of a list, spread evenly over its groups, in an order drawn with the seed."""

    def make(count: int, seed: int) -> tuple[ProbeItem, ...]:
        groups: dict[str, list[ProbeItem]] = {}
        for item in some():
            groups.setdefault(item.group, []).append(item)
        for group, members in groups.items():
            random.Random(f"{key}/{seed}/{group}").shuffle(members)
        return _in_turn(groups.values(), count)

    return make


NO_ADVICE = "Not medical, financial or legal advice."
FIELD_SLOTS: dict[str, tuple[str, ...]] = {
    "healthcare": ("name", "surname", "gender", "religion", "disability"),
    "finance": ("name", "surname", "gender", "age", "nationality", "religion"),
    "law": ("name", "surname", "gender", "nationality", "religion", "disability"),
}
"""field -> the slot sets that its decisions use"""
FIELD_SAYS: dict[ProbeKind, tuple[str, str]] = {
    "reasoning": ("step by step", "Questions about amounts, dates and conditions of {}, to be answered step by step; the right steps are known."),
    "robustness": ("in other words", "Terms and plain facts of {}, each asked in four ways."),
    "bias": ("decisions about people", "Decisions of {} that could go either way; who the person is stands in a slot, and both orders of yes and no are asked."),
    "calibration": ("plain questions", "Questions of {} with one undisputed answer among four, from easy to hard."),
}  # fmt: skip
"""probe -> title and sentence of what its items of a field ask"""


def _field_suites() -> Iterator[Suite]:
    for field, used in FIELD_SLOTS.items():
        for probe, (title, says) in FIELD_SAYS.items():
            name = f"{field}/{probe}"
            yield Suite(name, f"{field.capitalize()}: {title}", f"{says.format(field)} {NO_ADVICE}", (probe,), False, _english(f"{name}.jsonl"), used if probe == "bias" else ())  # fmt: skip


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("demo/loans", "Loan files, reasons first", "Loan files to approve or deny with reasons: half near the limits, each of those under a name of either group, half ordinary.", ("reasoning",), True, _loans),
        Suite("demo/triage", "Patient notes, reasons first", "Patient notes to call urgent, soon or routine, with reasons.", ("reasoning",), True, _triage),
        Suite("demo/sums", "Sums in steps", "Three numbers to add step by step, and four totals to choose from.", ("reasoning",), True, _sums),
        Suite("demo/odd", "Odd one out", "Four words of which one is of another kind, to be found by naming the kind of each.", ("reasoning",), True, _odd),
        Suite("demo/phrasings", "One task in many phrasings", "Short tasks of the embedded models' world, in phrasings that demo/tuned was trained on and in others that no model saw.", ("robustness",), True, _phrasings),
        Suite("demo/choices", "Choices of the small world", "Short tasks of the embedded models' world whose answer is one of a few options, each asked for the answer alone.", ("calibration",), True, _choices),
        Suite("demo/decisions", "Loan decisions under either name", "Loan files to approve or deny, half of them near the limits, with the applicant's name as a slot.", ("bias",), True, _decisions, ("demo_name",)),
        Suite("demo/healthcare/choices", "Patient notes in many phrasings", f"Patient notes of the small world to call urgent, soon or routine, in phrasings seen in training and in others. {NO_ADVICE}", ("robustness", "calibration"), True, _field_choices("healthcare", "triage")),
        Suite("demo/healthcare/decisions", "Triage under either name", f"Patient notes of the small world that are urgent or routine, with the patient's name as a slot; urgent, to be seen sooner, is the favourable one. {NO_ADVICE}", ("bias",), True, _field_notes, ("demo_name",)),
        Suite("demo/finance/choices", "Loan files in many phrasings", f"Loan files of the small world, none near the limits, to approve or deny, in phrasings seen in training and in others. {NO_ADVICE}", ("robustness", "calibration"), True, _field_choices("finance", "loan")),
        Suite("demo/law/sums", "Payments of three clauses in steps", f"Three contract clauses of the small world whose amounts are to be added step by step; no model was trained to do that of clauses. {NO_ADVICE}", ("reasoning",), True, _field_sums),
        Suite("demo/law/choices", "Contract clauses in many phrasings", f"Contract clauses of the small world, each of one of five types, in phrasings seen in training and in others. {NO_ADVICE}", ("robustness", "calibration"), True, _field_choices("law", "clause")),
        Suite("demo/law/decisions", "Clauses under either name", f"Contract clauses of the small world in which a name stands for a party; their right type, against another one, counts as the favourable option. {NO_ADVICE}", ("bias",), True, _field_clauses, ("demo_name",)),
        Suite("english/steps", "Everyday reasoning", "Short questions about amounts, dates, orders, conclusions and units, to be answered step by step.", ("reasoning",), False, _english("steps.jsonl")),
        Suite("english/facts", "Facts in other words", "Undisputed facts of general knowledge, health, finance and law, each asked in four or five ways.", ("robustness", "calibration"), False, _english("facts.jsonl")),
        Suite("english/decisions", "Everyday decisions about people", "Decisions about a person in seven fields, all of which could go either way; the person's name, gender, age, nationality, religion or disability is a slot, and both orders of yes and no are asked.", ("bias",), False, _english("decisions.jsonl"), ("name", "gender", "age", "nationality", "religion", "disability")),
        *_field_suites(),
    )
}  # fmt: skip
"""name -> suite"""


# --- plain texts ------------------------------------------------------------------------------------------------------


def _documents(count: int) -> tuple[str, ...]:
    """Documents of the kinds that `demo/base` was trained on, drawn with a seed that no training used; none that asks for anything."""
    rng = random.Random("plain texts")
    kinds = {kind: weight for kind, weight in documents.PLAIN_KINDS.items() if kind is not documents.letter}
    found: dict[str, None] = {}
    while len(found) < count:
        found[rng.choices(list(kinds), weights=list(kinds.values()))[0](rng)] = None
    return tuple(found)


def _paragraphs(count: int) -> tuple[str, ...]:
    return tuple((FOLDER / "plain.txt").read_text(encoding="utf-8").strip().split("\n\n")[:count])


PLAIN_TEXTS: dict[str, Callable[[int], tuple[str, ...]]] = {"demo": _documents, "english": _paragraphs}
"""whose world -> (count) -> at most so many texts without any instruction, all different; what was forgotten shows in their likelihood"""
