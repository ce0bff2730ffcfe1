"""Slot sets: what can stand for people of different groups in a text; some to start from, and those that a person writes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model_utils import linewise
from model_utils.contracts.bias import MAX_FILLS, MAX_GROUPS, Group, Slot
from model_utils.contracts.common import check_text, explain
from model_utils.demo import world
from model_utils.errors import Refused
from model_utils.linewise import listed

FILE = Path(__file__).with_name("suites") / "slots.json"
"""The shipped sets, to be edited; an array of objects as in `EXAMPLE`, each with what it `says`."""
EXAMPLE = '{"name": "pet", "groups": {"cats": ["Tom", "Felix"], "dogs": ["Rex", "Fido"]}}'
LINES = "a first line {pet}, then a line for each group such as cats: Tom, Felix"
FIELDS = ("name", "groups", "says")
HEAD = re.compile(r'\{([^{}"]*)\}')
"""First line of pasted lines: the slot as it stands in a text."""


@dataclass(frozen=True)
class SlotSet:
    """A slot to start from."""

    slot: Slot
    says: str
    """what its groups are, how they were chosen, and what to mind"""


# --- reading and writing ----------------------------------------------------------------------------------------------


def parse(text: str) -> Slot:
    """The slot in a pasted text or in the text of a file, as JSON like `EXAMPLE` or as `LINES` says; Refused otherwise.

    In either form the first group is the one that the others are compared with. JSON may hold `says`, which is passed over.
    """
    linewise.check_size(len(text.encode("utf-8", "replace")), "The slot set")
    lines = list(linewise.written(text.removeprefix("\ufeff")))
    first = lines[0][1].strip() if lines else ""
    try:
        if head := HEAD.fullmatch(first):
            return _made(head[1], [_of_line(number, line) for number, line in lines[1:]])
        if first.startswith("{"):
            return of_record(linewise.value_of(text.removeprefix("\ufeff"), EXAMPLE))
    except ValueError as error:
        raise Refused(f"{error}.") from error
    raise Refused(f"A slot set begins with its name in braces; write {LINES}, or JSON like {EXAMPLE}.")


def written(slot: Slot) -> str:
    """What `parse` reads as this slot: lines where its words allow that, else JSON."""
    lines = "\n".join([slot.written, *(f"{group.name}: {', '.join(group.fills)}" for group in slot.groups)])
    try:
        if parse(lines) == slot:
            return lines
    except Refused:
        pass  # a comma, a colon or a new line in a fill or in the name of a group
    groups = {group.name: list(group.fills) for group in slot.groups}
    return json.dumps({"name": slot.name, "groups": groups}, ensure_ascii=False)


def _of_line(number: int, line: str) -> tuple[str, list[Any]]:
    """A group's name, and what stands for it."""
    name, colon, rest = line.partition(":")
    if not colon:
        raise ValueError(
            f"Line {number:,} has no colon; write a group and what stands for it, such as cats: Tom, Felix"
        )
    return name.strip(), [fill.strip() for fill in rest.split(",") if fill.strip()]


def of_record(value: object) -> Slot:
    """The slot in an object like that of `EXAMPLE`; ValueError says what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError(f"It is no object; write it like {EXAMPLE}")
    if unknown := [name for name in value if name not in FIELDS]:
        raise ValueError(f"The slot set has {listed(unknown)}; possible fields are {', '.join(FIELDS)}")
    name, groups = value.get("name"), value.get("groups")
    if not isinstance(name, str):
        raise ValueError(f"The slot set has no name that is a text; write it like {EXAMPLE}")
    if not isinstance(groups, dict):
        raise ValueError(f"The slot set has no groups, which are an object; write it like {EXAMPLE}")
    for group, fills in groups.items():
        if not isinstance(fills, list):
            raise ValueError(f'What stands for {listed([group])} is no list; write it like ["one", "another"]')
    return _made(name, list(groups.items()))


def _made(name: str, groups: list[tuple[str, list[Any]]]) -> Slot:
    """ValueError, with a sentence that has no full stop, where the contract would not take it."""
    if not re.fullmatch(r"[a-z][a-z_]{0,29}", name):
        raise ValueError(f"A slot cannot be called {listed([name])}; use at most 30 small letters of English and underscores, a letter first")  # fmt: skip
    if not 2 <= len(groups) <= MAX_GROUPS:
        raise ValueError(f"{{{name}}} has {len(groups):,} group{'' if len(groups) == 1 else 's'}; give 2 to {MAX_GROUPS}, first the one that the others are compared with")  # fmt: skip
    for group, fills in groups:
        if not 1 <= len(group) <= 100:
            raise ValueError(f"A group of {{{name}}} has a name of {len(group):,} characters; give it 1 to 100")
        if not 1 <= len(fills) <= MAX_FILLS:
            raise ValueError(f"For {listed([group])} stand {len(fills):,} texts; give 1 to {MAX_FILLS}")
        for fill in fills:
            if not isinstance(fill, str):
                raise ValueError(f"For {listed([group])} stands something that is not a text; write each in quotation marks")  # fmt: skip
            check_text(fill, f"text for {listed([group])}")
    try:
        return Slot(name=name, groups=tuple(Group(name=group, fills=tuple(fills)) for group, fills in groups))
    except ValidationError as error:
        raise ValueError(explain(error).removesuffix(".")) from error


# --- to start from ----------------------------------------------------------------------------------------------------


def _shipped() -> list[SlotSet]:
    return [SlotSet(of_record(record), record["says"]) for record in json.loads(FILE.read_text(encoding="utf-8"))]


def _demo_names() -> SlotSet:
    groups = (Group(name="hill names", fills=tuple(world.HILL_NAMES)), Group(name="lake names", fills=tuple(world.LAKE_NAMES)))  # fmt: skip
    says = (
        "Both groups of names of the embedded models' world, drawn alike for its records; demo/flawed decides by them."
    )
    return SlotSet(Slot(name="demo_name", groups=groups), says)


SLOTS: dict[str, SlotSet] = {one.slot.name: one for one in (*_shipped(), _demo_names())}
"""name -> set"""
