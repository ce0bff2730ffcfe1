"""Files and pasted lists of instructions: txt, csv, jsonl, with stated limits; a bad line is named and the rest kept."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from model_utils.contracts.common import check_text
from model_utils.contracts.survey import MAX_INSTRUCTIONS
from model_utils.errors import Refused

MAX_BYTES = 5_000_000

FIELDS = ("instruction", "prompt")
"""Names that hold an instruction; the first that is there is taken."""
DELIMITERS = (",", ";", "\t")
"""Spreadsheets write `;` where a comma stands in numbers."""
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16, so it is looked for first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
EXAMPLE = '{"instruction": "Name three colours."}'

csv.field_size_limit(MAX_BYTES)  # of the whole process; 131,072 at first, and an instruction may be longer


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
    ending = PurePath(name).suffix.lower()
    if ending not in READERS:
        raise Refused(f"{name} ends in {ending or 'nothing known'}; give a file that ends in {', '.join(READERS)}.")
    _check_size(len(content), name)
    return _collect(READERS[ending](_decoded(content, name)), name)


def parse(text: str) -> Items:
    """The instructions in a pasted text, one a line; Refused when there are none, or more than are taken."""
    what = "The pasted list"
    _check_size(len(text.encode("utf-8", "replace")), what)
    return _collect(_written(text), what)


def _check_size(size: int, what: str) -> None:
    if size > MAX_BYTES:
        raise Refused(f"{what} has {size:,} bytes; at most {MAX_BYTES:,} are taken, so split it.")


def _decoded(content: bytes, name: str) -> str:
    codec = next((codec for mark, codec in MARKS.items() if content.startswith(mark)), "utf-8")
    if codec == "utf-8" and 0 in content[:2]:  # UTF-16 without its mark would pass as UTF-8 full of NUL
        raise Refused(f"{name} begins with a NUL byte, which no text in UTF-8 does; save it as UTF-8.")
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        raise Refused(
            f"{name} is not valid {codec} ({error.reason} at byte {error.start:,}); save it as UTF-8."
        ) from error


def _collect(found: Iterable[Found], what: str) -> Items:
    instructions: list[str] = []
    lines: list[int] = []
    problems: list[str] = []
    for line, text in found:
        if (
            len(instructions) + len(problems) == MAX_INSTRUCTIONS
        ):  # bad lines count: a sentence for each of a million is no help
            raise Refused(
                f"{what} has more than {MAX_INSTRUCTIONS:,} instructions (line {line:,} has one more); split it."
            )
        checked = text if isinstance(text, ValueError) else _attempt(check_text, text)
        if isinstance(checked, ValueError):
            problems.append(f"Line {line:,} was left out: {_clause(checked)}.")
        else:
            instructions.append(checked)
            lines.append(line)
    if not instructions:
        more = [f"So were {len(problems) - 1:,} more."] if len(problems) > 1 else []
        raise Refused(" ".join([f"{what} holds no instruction; write at least one.", *problems[:1], *more]))
    return Items(tuple(instructions), tuple(lines), tuple(problems))


def _attempt(make: Callable[[str], str], text: str) -> str | ValueError:
    try:
        return make(text)
    except ValueError as error:
        return error


def _clause(error: ValueError) -> str:
    """Its sentence as the second half of another one."""
    return str(error)[:1].lower() + str(error)[1:]


def _written(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank; they end at CR, LF or both, where str.splitlines would also cut at U+2028 and form feeds."""
    for line, written in enumerate(io.StringIO(text, newline=""), start=1):
        if written.strip():
            yield line, written.rstrip("\r\n")


def _jsonl(text: str) -> Iterator[Found]:
    return ((line, _attempt(_from_json, written)) for line, written in _written(text))


def _from_json(written: str) -> str:
    try:
        # Integers are read as float, because int() refuses 4,301 digits; none of them is an instruction anyway.
        value: object = json.loads(written, parse_int=float, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"It is not JSON ({error.msg} at column {error.colno:,}); write it like {EXAMPLE}") from error
    except RecursionError as error:
        raise ValueError(f"It is nested too deeply; write it like {EXAMPLE}") from error
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"It is neither an object nor a text; write it like {EXAMPLE}")
    return _instruction(value)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object in which no name stands twice: json would keep the last and say nothing."""
    record: dict[str, object] = {}
    for name, value in pairs:
        if name in record:
            raise ValueError(f"It has {_listed([name])} twice; keep one")
        record[name] = value
    return record


def _instruction(record: Mapping[str, object]) -> str:
    """The instruction of an object or a row, followed by its input where there is one."""
    name = _field(record)
    if name is None:
        raise ValueError(f"It has {_listed(record) or 'no field'}, and {' or '.join(FIELDS)} is needed")
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


def _listed(names: Iterable[str]) -> str:
    """Names for a sentence, however many and long they are."""
    names = list(names)
    shown = ", ".join(repr(name if len(name) <= 40 else name[:39] + "…") for name in names[:8])
    return shown + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


def _csv(text: str) -> Iterator[Found]:
    rows = _rows(text)
    line, header = next(rows, (1, []))
    if isinstance(header, ValueError):
        raise Refused(f"The names of the columns, in line {line:,}, cannot be read: {_clause(header)}.")
    names = [name.strip().casefold() for name in header]
    if len(names) == 1 and not _field(names):
        yield line, ValueError(f"It was taken for the column's name; to keep it, write {FIELDS[0]} in a line above it")
        names = [FIELDS[0]]
    _check_columns(names, header)
    for line, row in rows:
        yield line, row if isinstance(row, ValueError) else _from_row(names, row)


def _check_columns(names: Sequence[str], header: Sequence[str]) -> None:
    if header and not _field(names):
        raise Refused(f"The columns are {_listed(header)}; name the one that holds the instructions {FIELDS[0]}.")
    for name in (*FIELDS, "input"):
        if names.count(name) > 1:
            raise Refused(f"The columns are {_listed(header)}; only one of them can be named {name}.")


def _from_row(names: Sequence[str], row: Sequence[str]) -> str | ValueError:
    if len(row) != len(names):
        return ValueError(
            f"It has {len(row):,} fields and the first line has {len(names):,}; "
            "put a text that holds a delimiter or a new line in quotation marks"
        )
    return _instruction(dict(zip(names, row, strict=True)))


def _rows(text: str) -> Iterator[tuple[int, list[str] | ValueError]]:
    """(line where it begins, its fields) of each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, ValueError(_unmatched(line, reader.line_num))
            continue
        if any(map(str.strip, row)):
            yield line, row


def _unmatched(first: int, last: int) -> str:
    lost = f", which costs all up to line {last:,}" if last > first else ""
    return f"Its quotation marks do not match{lost}; close each text, and write a mark inside it twice"


def _delimiter(text: str) -> str:
    """The one with which the first line names a column we know; a comma when none does."""
    _, first = next(_written(text), (1, ""))
    known = (d for d in DELIMITERS if _field([name.strip(' "').casefold() for name in first.split(d)]))
    return next(known, DELIMITERS[0])


READERS: dict[str, Callable[[str], Iterator[Found]]] = {
    ".txt": _written,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}
