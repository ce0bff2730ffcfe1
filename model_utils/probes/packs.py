"""Field packs: for healthcare, finance and law items for every probe and instructions to look at, in English and of the small world; and a person's own."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from model_utils import linewise
from model_utils.contracts.bias import MAX_SLOTS, BiasRequest, Slot
from model_utils.contracts.common import check_text, explain
from model_utils.contracts.findings import MAX_SAYS, MAX_TITLE
from model_utils.contracts.probe import INPUT, MAX_ITEMS, ProbeItem
from model_utils.contracts.wording import KINDS, Kind
from model_utils.demo import world
from model_utils.errors import Refused
from model_utils.linewise import listed
from model_utils.probes import items, slots
from model_utils.probes.suites import FIELD_SLOTS, FOLDER, NO_ADVICE, SUITES, ProbeKind, Suite, spread

Made = TypeVar("Made")

PROBES: tuple[ProbeKind, ...] = get_args(ProbeKind)
EXAMPLE = '{"title": "Pets", "says": "Whether a model knows pets.", "items": {"calibration": [{"instruction": "Do cats purr?", "options": ["yes", "no"], "answer": "yes"}]}}'
SCHEMA = {
    "title": "what the pack is called",
    "says": "what it can show and cannot show, and who wrote it",
    "items": f"probe ({', '.join(PROBES)}) -> list of items, with the fields of a file of items",
    "instructions": 'list of instructions whose design is looked at: texts, or objects such as {"instruction": "Is it good and cheap?", "marks": [{"kind": "double question", "words": "good and cheap"}]}',
    "slots": "list of slot sets of the pack's own, in JSON as in slots.json; where one has the name of a set of this project, it takes its place",
}
"""field of a pack's file -> what it is; title, says and something of the rest are needed"""
MAX_SETS = 100


@dataclass(frozen=True)
class Mark:
    """A fault that a person finds in how an instruction is put."""

    kind: Kind
    words: str
    """where, as they stand in the instruction"""


@dataclass(frozen=True)
class Instruction:
    """An instruction whose design is looked at."""

    text: str
    marks: tuple[Mark, ...] = ()
    """empty: it is well made, as far as its author knows"""


@dataclass(frozen=True)
class Pack:
    """What a field is probed with."""

    name: str
    title: str
    says: str
    """what it can and cannot show, and who wrote it"""
    for_demo: bool
    """whether it is of the embedded models' world"""
    suites: Mapping[ProbeKind, Suite]
    """probe -> what it is asked; of a person's pack those that it has"""
    instructions: tuple[Instruction, ...] = ()
    own_slots: tuple[Slot, ...] = ()
    """slot sets that come with the pack"""
    problems: tuple[str, ...] = ()
    """a sentence for each thing in the file that was left out"""

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of its decisions about people, those of its own before those of this project."""
        known = _known(self.own_slots)
        return tuple(known[name] for name in self.suites["bias"].slots) if "bias" in self.suites else ()


def _known(own: tuple[Slot, ...]) -> dict[str, Slot]:
    return {name: one.slot for name, one in slots.SLOTS.items()} | {slot.name: slot for slot in own}


# --- a person's own ---------------------------------------------------------------------------------------------------


def read(content: bytes, name: str) -> Pack:
    """The pack in a file of JSON like `EXAMPLE`, with the fields of `SCHEMA`; Refused where it is none. What cannot be taken of its items,
    instructions and slot sets is left out, with a sentence; the rest is kept."""
    path = PurePath(name)
    if path.suffix.lower() != ".json":
        raise Refused(f"{name} ends in {path.suffix or 'nothing known'}; give a file that ends in .json.")
    try:
        return _pack(linewise.value_of(linewise.decoded(content, name), EXAMPLE), path.stem)
    except Refused:
        raise
    except ValueError as error:
        raise Refused(f"{name} cannot be taken: {linewise.clause(error)}.") from error


def _pack(value: object, name: str) -> Pack:
    """ValueError, with a sentence that has no full stop, where it is none."""
    if not isinstance(value, dict):
        raise ValueError(f"It is no object; write it like {EXAMPLE}")
    if unknown := [field for field in value if field not in SCHEMA]:
        raise ValueError(f"It has {listed(unknown)}; possible fields are {', '.join(SCHEMA)}")
    title, says = _text(value, "title", MAX_TITLE), _text(value, "says", MAX_SAYS)
    asked, problems = _asked(value.get("items", {})), list[str]()
    own = _kept(_list(value, "slots", MAX_SETS), slots.of_record, "Slot set", problems, lambda slot: slot.name)
    instructions = _kept(_list(value, "instructions", MAX_ITEMS), _instruction, "Instruction", problems)
    known, suites = _known(own), dict[ProbeKind, Suite]()
    for probe, given in asked.items():
        made = _kept(given, partial(_item, probe, known), f"Of {probe}, item", problems)
        if made:
            used = tuple(slot.name for slot in _used(made, known)) if probe == "bias" else ()
            suites[probe] = Suite(f"{name}/{probe}", f"{title}: {probe}", says, (probe,), False, spread(name, partial(tuple, made)), used)  # fmt: skip
    if "bias" in suites and len(used := suites["bias"].slots) > MAX_SLOTS:
        raise ValueError(f"Its decisions about people use {len(used):,} slot sets ({', '.join(used)}), and at most {MAX_SLOTS} are compared at once; use fewer")  # fmt: skip
    if not suites and not instructions:
        first = [f"; {linewise.clause(ValueError(problems[0])).removesuffix('.')}"] if problems else []
        raise ValueError("".join(["It holds no item and no instruction that can be taken", *first]))
    return Pack(name, title, says, False, MappingProxyType(suites), instructions, own, tuple(problems))


def _kept(
    given: list[Any],
    make: Callable[[Any], Made],
    what: str,
    problems: list[str],
    key: Callable[[Made], Hashable] = lambda made: made,
) -> tuple[Made, ...]:
    """What is made of each; a problem for each of which nothing can be made, or whose key was there before."""
    found: dict[Hashable, Made] = {}
    for number, one in enumerate(given, start=1):
        made = linewise.attempt(make, one)
        if not isinstance(made, ValueError) and key(made) in found:
            made = ValueError("It stands there already, or one of its name does")
        if isinstance(made, ValueError):
            problems.append(f"{what} {number:,} was left out: {linewise.clause(made)}.")
        else:
            found[key(made)] = made
    return tuple(found.values())


def _text(value: Mapping[str, object], field: str, most: int) -> str:
    text = value.get(field)
    if not isinstance(text, str):
        raise ValueError(f"It has no {field} that is a text; write it like {EXAMPLE}")
    if len(check_text(text, field)) > most:
        raise ValueError(f"Its {field} has {len(text):,} characters; at most {most:,} are taken")
    return text


def _list(value: Mapping[str, object], field: str, most: int) -> list[Any]:
    given = value.get(field, [])
    if not isinstance(given, list):
        raise ValueError(f"Its {field} are no list; write them in square brackets")
    if len(given) > most:
        raise ValueError(f"It has {len(given):,} {field}; at most {most:,} are taken")
    return given


def _asked(value: object) -> dict[ProbeKind, list[Any]]:
    if not isinstance(value, dict):
        raise ValueError(f"Its items are no object; write them like {EXAMPLE}")
    if unknown := [probe for probe in value if probe not in PROBES]:
        raise ValueError(f"It has items for {listed(unknown)}; possible are {', '.join(PROBES)}")
    return {probe: _list(value, probe, MAX_ITEMS) for probe in PROBES}


SLOT = re.compile(r"\{[a-z][a-z_]*\}")


def _item(probe: ProbeKind, known: Mapping[str, Slot], given: object) -> ProbeItem:
    """An item that this probe can ask; ValueError says why not."""
    if not isinstance(given, dict):
        raise ValueError(f"It is no object; write it like {items.EXAMPLE}")
    item = items.item_of(given)
    if probe == "reasoning" and not item.options:
        raise ValueError("It has no options, and reasoning is judged by how probable each of them is after it; give options")  # fmt: skip
    if probe == "calibration" and not (item.options and item.answer):
        raise ValueError("It has no options or no right answer, and confidence is measured against right answers; give both")  # fmt: skip
    if probe == "bias":
        _check_decision(item, known)
    return item


def _check_decision(item: ProbeItem, known: Mapping[str, Slot]) -> None:
    """ValueError where `BiasRequest` would not take this item by itself, or where a slot stays empty."""
    if len(item.options) != 2:
        raise ValueError(f"It has {len(item.options):,} options; give two, the favourable one first, such as approve and deny")  # fmt: skip
    used, names = _used((item,), known), ", ".join(slot.written for slot in known.values())
    if strange := set(SLOT.findall(_all_of(item))) - {slot.written for slot in known.values()} - {INPUT}:
        raise ValueError(f"It holds {listed(sorted(strange))}, and there are only {names}; a pack can bring slot sets of its own")  # fmt: skip
    if not 1 <= len(used) <= MAX_SLOTS:
        raise ValueError(f"It holds {len(used):,} slots; write in 1 to {MAX_SLOTS} of {names}")
    try:
        BiasRequest(items=(item,), slots=used)
    except ValidationError as error:  # too many cases
        raise ValueError(explain(error).removesuffix(".")) from error


def _used(some: tuple[ProbeItem, ...], known: Mapping[str, Slot]) -> tuple[Slot, ...]:
    """The slots that stand in any of the items."""
    text = "\n".join(map(_all_of, some))
    return tuple(slot for slot in known.values() if slot.written in text)


def _all_of(item: ProbeItem) -> str:
    """What the bias probe asks of an item."""
    return "\n".join((item.input, item.instruction, *item.paraphrases))


def _instruction(given: object) -> Instruction:
    if isinstance(given, str):
        return Instruction(check_text(given))
    if not isinstance(given, dict) or not isinstance(given.get("instruction"), str):
        raise ValueError('It is neither a text nor an object with an instruction; write it like "Is it cheap?"')
    if unknown := [name for name in given if name not in ("instruction", "marks")]:
        raise ValueError(f"It has {listed(unknown)}; possible fields are instruction, marks")
    text, marks = check_text(given["instruction"]), given.get("marks", [])
    if not isinstance(marks, list):
        raise ValueError("Its marks are no list; write them in square brackets")
    return Instruction(text, tuple(_mark(one, text) for one in marks))


def _mark(given: object, text: str) -> Mark:
    if not isinstance(given, dict) or set(given) != {"kind", "words"} or not all(isinstance(one, str) for one in given.values()):  # fmt: skip
        raise ValueError('One of its marks is not like {"kind": "vagueness", "words": "soon"}')
    if given["kind"] not in KINDS:
        raise ValueError(f"The kind of a mark is {listed([given['kind']])}; possible are {', '.join(KINDS)}")
    if not given["words"].strip() or given["words"] not in text:
        raise ValueError("The words of a mark do not stand in the instruction; copy them from it")
    return Mark(given["kind"], given["words"])


# --- those of this project --------------------------------------------------------------------------------------------


def _written(field: str, file: str) -> tuple[Instruction, ...]:
    text = (FOLDER / field / file).read_text(encoding="utf-8")
    return tuple(_instruction(linewise.value_of(line, EXAMPLE)) for _, line in linewise.written(text))


SAYS = {
    "healthcare": "It shows whether a model counts doses, times and conditions right in steps, keeps terms apart in other words, decides alike about people who differ in nothing that matters, and knows how sure it can be of plain facts of medicine. It cannot show whether a model is fit for diagnosis, treatment or triage: its questions are those of a school book, and no real case is among them.",
    "finance": "It shows whether a model counts interest, instalments and limits right in steps, keeps terms apart in other words, decides alike about customers who differ in nothing that matters, and knows how sure it can be of plain facts of finance. It cannot show whether a model is fit to judge real credit, to invest or to advise: its files are short and made up, and no market is in them.",
    "law": "It shows whether a model applies a rule that stands in the question, keeps terms apart in other words, decides alike about people who differ in nothing that matters, and knows how sure it can be of plain terms of law. It cannot show whether a model knows the law of any country or is fit to draft or to judge: its rules are made up, and where countries differ it asks nothing.",
}
DEMO_SAYS = {
    "healthcare": "It shows on models whose truth is known what each probe finds of patient notes that one rule decides: reasons, wordings, names, confidence. It cannot show anything of medicine: the rule is Candor's own.",
    "finance": "It shows on models whose truth is known what each probe finds of loan files that one rule decides: reasons, wordings, names, confidence; demo/flawed decides files near the limits by the name. It cannot show anything of lending: the rule is Candor's own.",
    "law": "It shows on models whose truth is known what each probe finds of contract clauses of five types: wordings, names, confidence, and amounts added in steps, which no model was trained to do of clauses. It cannot show anything of law: the clauses are made from a few patterns.",
}
AUTHOR = "Written for Candor with the help of a language model; no professional of the field has reviewed it."
DEMO_SUITES: dict[str, dict[ProbeKind, str]] = {
    "healthcare": {"reasoning": "demo/triage", "robustness": "demo/healthcare/choices", "bias": "demo/healthcare/decisions", "calibration": "demo/healthcare/choices"},
    "finance": {"reasoning": "demo/loans", "robustness": "demo/finance/choices", "bias": "demo/decisions", "calibration": "demo/finance/choices"},
    "law": {"reasoning": "demo/law/sums", "robustness": "demo/law/choices", "bias": "demo/law/decisions", "calibration": "demo/law/choices"},
}  # fmt: skip
"""field -> probe -> the suite of the small world"""
RECORDS: dict[str, Callable[[random.Random], world.Record]] = {
    "healthcare": world.make_note, "finance": world.make_loan, "law": world.make_clause,
}  # fmt: skip


def _about_records(field: str) -> tuple[Instruction, ...]:
    """Each instruction about a record of its own."""
    rng = random.Random(f"demo/{field}/instructions")
    return tuple(
        Instruction(f"{one.text} {RECORDS[field](rng).text}", one.marks) for one in _written(field, "small_world.jsonl")
    )


def _packs() -> Iterator[Pack]:
    for field in FIELD_SLOTS:
        small = {probe: SUITES[name] for probe, name in DEMO_SUITES[field].items()}
        yield Pack(f"demo/{field}", f"{field.capitalize()}, small world", f"{DEMO_SAYS[field]} {AUTHOR} {NO_ADVICE}", True, MappingProxyType(small), _about_records(field))  # fmt: skip
        plain = {probe: SUITES[f"{field}/{probe}"] for probe in PROBES}
        yield Pack(field, field.capitalize(), f"{SAYS[field]} {AUTHOR} {NO_ADVICE}", False, MappingProxyType(plain), _written(field, "instructions.jsonl"))  # fmt: skip


PACKS: dict[str, Pack] = {pack.name: pack for pack in _packs()}
"""name -> pack"""
