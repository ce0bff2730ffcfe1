"""Files and pasted texts of probe items: jsonl and csv, with stated limits; a bad line is named and the rest kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from model_utils import linewise
from model_utils.contracts.common import check_text
from model_utils.contracts.probe import INPUT, MAX_ITEMS, MAX_OPTIONS, MAX_PHRASINGS, ProbeItem
from model_utils.errors import Refused
from model_utils.items import FIELDS
from model_utils.linewise import listed

SCHEMA = {
    "instruction": f"what is asked; {INPUT} stands where the input goes; `prompt` is another name for it",
    "input": f"what the question is about; where the instruction holds no {INPUT}, it follows after an empty line",
    "options": f"list of 2 to {MAX_OPTIONS} answers to choose from; without it the answer is free",
    "answer": "the right answer, as it stands among the options; needed where there are none",
    "paraphrases": f"list of at most {MAX_PHRASINGS} other wordings of the instruction that ask the same",
    "training": f"list of at most {MAX_PHRASINGS} wordings that the tuned model was trained on",
    "held_out": f"list of at most {MAX_PHRASINGS} wordings that it never saw",
    "cue": "what stands before the answer at the end of a written reasoning, such as `Decision:`",
    "steps": f"list of at most {MAX_PHRASINGS} sentences: the right reasoning, step by step",
    "group": "what kind of item it is, in a word or two",
}
"""field -> what it is. A list is an array in jsonl; in a cell of csv its texts are parted by ` | `, or the cell is such an array."""
LISTS = {
    "options": "option", "paraphrases": "paraphrase", "training": "training wording", "held_out": "held-out wording", "steps": "step",
}  # fmt: skip
"""field that holds several texts -> what one of them is called"""
EXAMPLE = '{"instruction": "Is ice warm?", "options": ["yes", "no"], "answer": "no"}'
COLUMNS = "instruction,options,answer"
NAMES = (*SCHEMA, *FIELDS)
PARTING = re.compile(r"(?<=\s)\|(?=\s)")


@dataclass(frozen=True)
class Items:
    """The items of one file, or of one pasted text, in its order."""

    items: tuple[ProbeItem, ...]
    lines: tuple[int, ...]
    """(item,) where each begins in the file, from 1"""
    problems: tuple[str, ...]
    """one sentence for each line that was left out: which, why, and what to do"""


Record = Mapping[str, object]
Found = tuple[int, Record | ValueError]
"""A line, and its fields or why they cannot be read."""


def read(content: bytes, name: str) -> Items:
    """The items in a file, by the ending of its name; Refused when there are none, or more than are taken.

    jsonl: an object a line with the fields of `SCHEMA`. csv: the same as columns, in any order and case.
    """
    reader = linewise.reader_of(name, READERS)
    return _collect(reader(linewise.decoded(content, name)), name)


def parse(text: str) -> Items:
    """The items in a pasted text: jsonl where it begins with `{`, csv where its first line names columns; Refused otherwise."""
    what = "The pasted text"
    linewise.check_size(len(text.encode("utf-8", "replace")), what)
    if text.lstrip().startswith("{") or not text.strip():
        return _collect(_jsonl(text), what)
    if any(linewise.columns_of(text, delimiter) & set(NAMES) for delimiter in linewise.DELIMITERS):
        return _collect(_csv(text), what)
    raise Refused(
        f"{what} is neither JSON lines nor a table, and instructions alone cannot be scored; write one item a line like "
        f"{EXAMPLE}, or a csv whose first line names columns, such as {COLUMNS}."
    )


def _collect(found: Iterator[Found], what: str) -> Items:
    return Items(*linewise.collect(found, item_of, MAX_ITEMS, what, "item"))


def _jsonl(text: str) -> Iterator[Found]:
    return ((line, linewise.attempt(_from_json, written)) for line, written in linewise.written(text))


def _from_json(written: str) -> Record:
    value = linewise.value_of(written, EXAMPLE)
    if not isinstance(value, dict):
        raise ValueError(f"It is no object; write it like {EXAMPLE}")
    return value


def _csv(text: str) -> Iterator[Found]:
    _, header, rows = linewise.table(text, NAMES)
    names = [linewise.plain_name(name) for name in header]
    _check_columns([name for name in names if name])
    for line, row in rows:
        yield line, row if isinstance(row, ValueError) else linewise.attempt(_from_row, (names, row))


def _check_columns(names: list[str]) -> None:
    """A spreadsheet's empty columns have no name."""
    if unknown := [name for name in names if name not in NAMES]:
        raise Refused(f"The columns {listed(unknown)} are unknown; possible are {', '.join(SCHEMA)}.")
    for name in names:
        if names.count(name) > 1 or (name != FIELDS[0] and name in FIELDS and FIELDS[0] in names):
            raise Refused(f"The columns are {listed(names)}; only one of them can hold the {name}.")
    if names and not set(names) & set(FIELDS):
        raise Refused(f"The columns are {listed(names)}; name the one that holds the instructions {FIELDS[0]}.")


def _from_row(named: tuple[list[str], list[str]]) -> Record:
    names, row = named
    linewise.check_width(names, row)
    if any(cell.strip() and not name for name, cell in zip(names, row, strict=True)):
        raise ValueError(f"It has a text in a column without a name; possible names are {', '.join(SCHEMA)}")
    return {name: parted(cell) if name in LISTS else cell for name, cell in zip(names, row, strict=True) if name}


def parted(cell: str) -> list[Any]:
    """The texts of a cell that holds a list; an array is for texts that hold the mark themselves."""
    if cell.lstrip().startswith("["):
        array = linewise.attempt(lambda text: linewise.value_of(text, EXAMPLE), cell)
        if isinstance(array, list):
            return array
    return [text.strip() for text in PARTING.split(cell)] if cell.strip() else []


def item_of(record: Record) -> ProbeItem:
    """The item that these fields make; ValueError says what is wrong with them."""
    if unknown := [name for name in record if name not in NAMES]:
        raise ValueError(f"It has {listed(unknown)}; possible fields are {', '.join(SCHEMA)}")
    given = {name: _checked(name, value) for name, value in record.items() if value is not None}
    named = [name for name in FIELDS if name in given]
    if len(named) != 1:
        other = "keep one of them" if named else f"{' or '.join(FIELDS)} is needed"
        raise ValueError(f"It has {listed(named or given) or 'no field'}; {other}")
    given[FIELDS[0]] = given.pop(named[0])
    try:
        return ProbeItem.model_validate(given)
    except ValidationError as error:
        raise ValueError(_said(error.errors()[0])) from error


def _checked(name: str, value: object) -> str | tuple[str, ...]:
    """A field's value when it has the right shape and a model can read it."""
    if name in LISTS:
        if not isinstance(value, list):
            raise ValueError(f'Its {name} are no list; write them like ["one", "another"]')
        return tuple(_text(one, f"Its {name} hold something that is not a text; write each", LISTS[name]) for one in value)  # fmt: skip
    return _text(value, f"Its {name} is not a text; write it", name, name not in FIELDS)


def _text(value: object, otherwise: str, name: str, may_be_empty: bool = False) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{otherwise} in quotation marks")
    return value if may_be_empty and not value.strip() else check_text(value, name)


def _said(error: Any) -> str:
    """What the contract says of an item, for people who see its line."""
    name, given, context = str(error["loc"][0]) if error["loc"] else "", error["input"], error.get("ctx", {})
    if error["type"] == "too_long":
        return f"It has {len(given):,} {name}; at most {context['max_length']:,} are taken"
    if error["type"] == "string_too_long":
        return f"Its {name} has {len(given):,} characters; at most {context['max_length']:,} are taken"
    if name == "" and len(given.get("options", ())) == 1 and "|" in given["options"][0]:
        return "Its options are one; write a space before and after each | that parts them"
    return str(context["error"]) if "error" in context else f"Its {name} cannot be taken ({error['msg']})"


READERS: dict[str, Callable[[str], Iterator[Found]]] = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}
