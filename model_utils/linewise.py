"""Files and pasted texts that hold one thing a line: decoding, rows of csv, objects of JSON, with stated limits; a bad line is named and the rest kept."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import TypeVar

from model_utils.errors import Refused

Made = TypeVar("Made")
Found = TypeVar("Found")
Given = TypeVar("Given")

MAX_BYTES = 5_000_000

DELIMITERS = (",", ";", "\t")
"""Spreadsheets write `;` where a comma stands in numbers."""
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16, so it is looked for first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

csv.field_size_limit(MAX_BYTES)  # of the whole process; 131,072 at first, and a text may be longer


def reader_of(name: str, readers: dict[str, Callable[[str], Iterator[Found]]]) -> Callable[[str], Iterator[Found]]:
    """The reader for the ending of a file's name; Refused where there is none."""
    ending = PurePath(name).suffix.lower()
    if ending not in readers:
        raise Refused(f"{name} ends in {ending or 'nothing known'}; give a file that ends in {', '.join(readers)}.")
    return readers[ending]


def check_size(size: int, what: str, most: int = MAX_BYTES) -> None:
    """Refused where there are more bytes than are taken."""
    if size > most:
        raise Refused(f"{what} has {size:,} bytes; at most {most:,} are taken, so split it.")


def decoded(content: bytes, name: str, most: int = MAX_BYTES) -> str:
    """The text of a file of at most so many bytes, by its mark or as UTF-8."""
    check_size(len(content), name, most)
    codec = next((codec for mark, codec in MARKS.items() if content.startswith(mark)), "utf-8")
    if codec == "utf-8" and 0 in content[:2]:  # UTF-16 without its mark would pass as UTF-8 full of NUL
        raise Refused(f"{name} begins with a NUL byte, which no text in UTF-8 does; save it as UTF-8.")
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        raise Refused(
            f"{name} is not valid {codec} ({error.reason} at byte {error.start:,}); save it as UTF-8."
        ) from error


def collect(
    found: Iterable[tuple[int, Found | ValueError]],
    check: Callable[[Found], Made],
    most: int,
    what: str,
    noun: str,
    each: str = "Line",
) -> tuple[tuple[Made, ...], tuple[int, ...], tuple[str, ...]]:
    """(item,) what `check` makes of each, (item,) its line (or whatever `each` calls it), and a sentence for each one that was left out;
    Refused when there are none, or more than `most`."""
    made: list[Made] = []
    lines: list[int] = []
    problems: list[str] = []
    for line, one in found:
        if len(made) + len(problems) == most:  # bad lines count: a sentence for each of a million is no help
            raise Refused(f"{what} has more than {most:,} {noun}s ({each.lower()} {line:,} has one more); split it.")
        checked = one if isinstance(one, ValueError) else attempt(check, one)
        if isinstance(checked, ValueError):
            problems.append(f"{each} {line:,} was left out: {clause(checked)}.")
        else:
            made.append(checked)
            lines.append(line)
    if not made:
        more = [f"So were {len(problems) - 1:,} more."] if len(problems) > 1 else []
        raise Refused(" ".join([f"{what} holds no {noun}; write at least one.", *problems[:1], *more]))
    return tuple(made), tuple(lines), tuple(problems)


def attempt(make: Callable[[Given], Made], given: Given) -> Made | ValueError:
    """What is made of it, or why it cannot be."""
    try:
        return make(given)
    except ValueError as error:
        return error


def clause(error: ValueError) -> str:
    """Its sentence as the second half of another one."""
    return str(error)[:1].lower() + str(error)[1:]


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, however many and long they are."""
    names = list(names)
    shown = ", ".join(repr(name if len(name) <= 40 else name[:39] + "…") for name in names[:8])
    return shown + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")


def written(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank; they end at CR, LF or both, where str.splitlines would also cut at U+2028 and form feeds."""
    for line, text_of_line in enumerate(io.StringIO(text, newline=""), start=1):
        if text_of_line.strip():
            yield line, text_of_line.rstrip("\r\n")


def value_of(line: str, example: str) -> object:
    """A line of JSON; ValueError says how to write it. Every number is a float; no object has a name twice."""
    try:
        # Integers are read as float, because int() refuses 4,301 digits; no number is ever a text.
        value: object = json.loads(line, parse_int=float, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"It is not JSON ({error.msg} at column {error.colno:,}); write it like {example}") from error
    except RecursionError as error:
        raise ValueError(f"It is nested too deeply; write it like {example}") from error
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object in which no name stands twice: json would keep the last and say nothing."""
    record: dict[str, object] = {}
    for name, value in pairs:
        if name in record:
            raise ValueError(f"It has {listed([name])} twice; keep one")
        record[name] = value
    return record


def table(text: str, known: Collection[str]) -> tuple[int, list[str], Iterator[tuple[int, list[str] | ValueError]]]:
    """The line of the columns' names, the names, and (line where it begins, its fields) of each row that is not blank."""
    rows = _rows(text, known)
    line, header = next(rows, (1, []))
    if isinstance(header, ValueError):
        raise Refused(f"The names of the columns, in line {line:,}, cannot be read: {clause(header)}.")
    return line, header, rows


def check_width(names: Sequence[str], row: Sequence[str]) -> None:
    """ValueError where a row has more or fewer fields than there are names."""
    if len(row) != len(names):
        raise ValueError(
            f"It has {len(row):,} fields and the first line has {len(names):,}; "
            "put a text that holds a delimiter or a new line in quotation marks"
        )


def plain_name(name: str) -> str:
    """A column's name as it is compared."""
    return name.strip().casefold()


def _rows(text: str, known: Collection[str]) -> Iterator[tuple[int, list[str] | ValueError]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter(text, known), strict=True)
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


def delimiter(text: str, known: Collection[str]) -> str:
    """The one with which the first line names a column we know; a comma when none does."""
    return next((one for one in DELIMITERS if columns_of(text, one) & set(known)), DELIMITERS[0])


def columns_of(text: str, delimiter: str) -> set[str]:
    """What the first line names, quotation marks aside."""
    _, first = next(written(text), (1, ""))
    return {plain_name(name.strip(' "')) for name in first.split(delimiter)}
