"""Files and pasted lists of instructions: txt, csv, jsonl, with stated limits; a bad line is named and the rest kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from model_utils import linewise
from model_utils.contracts.common import check_text
from model_utils.contracts.survey import MAX_INSTRUCTIONS
from model_utils.errors import Refused
from model_utils.linewise import listed

FIELDS = ("instruction", "prompt")
"""Names that hold an instruction; the first that is there is taken."""
EXAMPLE = '{"instruction": "Name three colours."}'


@dataclass(frozen=True)
class Items:
    """The instructions of one file, or of one pasted list, in its order."""

    instructions: tuple[str, ...]
    lines: tuple[int, ...]
    """(item,) where each begins in the file, from 1"""
    problems: tuple[str, ...]
    """one sentence for each line that was left out: which, why, and what to do"""


Found = tuple[int, str | ValueError]
"""A line, and its instruction or why it has none."""


def read(content: bytes, name: str) -> Items:
    """The instructions in a file, by the ending of its name; Refused when there are none, or more than are taken.

    txt: one a line. csv: the column `instruction` or `prompt`, in any case, or the only column. jsonl: objects with
    `instruction` or `prompt`, or texts. An `input`, also one in the first of `instances`, follows after an empty line.
    """
    reader = linewise.reader_of(name, READERS)
    return _collect(reader(linewise.decoded(content, name)), name)


def parse(text: str) -> Items:
    """The instructions in a pasted text, one a line; Refused when there are none, or more than are taken."""
    what = "The pasted list"
    linewise.check_size(len(text.encode("utf-8", "replace")), what)
    return _collect(linewise.written(text), what)


def _collect(found: Iterator[Found], what: str) -> Items:
    return Items(*linewise.collect(found, check_text, MAX_INSTRUCTIONS, what, "instruction"))


def _jsonl(text: str) -> Iterator[Found]:
    return ((line, linewise.attempt(_from_json, written)) for line, written in linewise.written(text))


def _from_json(written: str) -> str:
    value = linewise.value_of(written, EXAMPLE)
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"It is neither an object nor a text; write it like {EXAMPLE}")
    return _instruction(value)


def _instruction(record: Mapping[str, object]) -> str:
    """The instruction of an object or a row, followed by its input where there is one."""
    name = _field(record)
    if name is None:
        raise ValueError(f"It has {listed(record) or 'no field'}, and {' or '.join(FIELDS)} is needed")
    instances = record.get("instances")
    first = instances[0] if isinstance(instances, list) and instances else record
    instruction, given = record[name], first.get("input") if isinstance(first, Mapping) else None
    if not isinstance(instruction, str) or not isinstance(given, str | None):
        raise ValueError(
            f"Its {'input' if isinstance(instruction, str) else name} is not a text; write it in quotation marks"
        )
    return f"{instruction}\n\n{given}" if instruction.strip() and given and given.strip() else instruction


def _field(names: Collection[str]) -> str | None:
    return next((field for field in FIELDS if field in names), None)


def _csv(text: str) -> Iterator[Found]:
    line, header, rows = linewise.table(text, FIELDS)
    names = [linewise.plain_name(name) for name in header]
    if len(names) == 1 and not _field(names):
        yield line, ValueError(f"It was taken for the column's name; to keep it, write {FIELDS[0]} in a line above it")
        names = [FIELDS[0]]
    _check_columns(names, header)
    for line, row in rows:
        yield line, row if isinstance(row, ValueError) else linewise.attempt(_from_row, (names, row))


def _from_row(named: tuple[Sequence[str], Sequence[str]]) -> str:
    names, row = named
    linewise.check_width(names, row)
    return _instruction(dict(zip(names, row, strict=True)))


def _check_columns(names: Sequence[str], header: Sequence[str]) -> None:
    if header and not _field(names):
        raise Refused(f"The columns are {listed(header)}; name the one that holds the instructions {FIELDS[0]}.")
    for name in (*FIELDS, "input"):
        if names.count(name) > 1:
            raise Refused(f"The columns are {listed(header)}; only one of them can be named {name}.")


READERS: dict[str, Callable[[str], Iterator[Found]]] = {
    ".txt": linewise.written,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}
