"""Lists of instructions: what was written is read, what is bad is named, nothing is lost without a word."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils.contracts.common import MAX_CHARACTERS
from model_utils.contracts.survey import MAX_INSTRUCTIONS, SurveyRequest
from model_utils.errors import Refused
from model_utils.items import Items, parse, read
from model_utils.linewise import MAX_BYTES
from tests.strategies import instructions, texts

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data"

lists = st.lists(instructions, min_size=1, max_size=8)
lines = st.one_of(
    texts, st.sampled_from(["", " ", " a ", '"a', '"a" b', '{"prompt": "a"}', '{"prompt": 1}', "[", "a,b", '","'])
)
"""lines of a file, good and bad, also with line ends inside"""


def as_jsonl(records: list[object], **how: bool) -> bytes:
    return "\n".join(json.dumps(record, **how) for record in records).encode()


def as_csv(rows: list[list[str]], delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return file.getvalue().encode()


def refusal(content: bytes, name: str) -> str:
    with pytest.raises(Refused) as caught:
        read(content, name)
    return str(caught.value)


def not_blank(text: str) -> list[int]:
    """Numbers of the lines with something in them, counted in another way than `read` does."""
    ended = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [number for number, line in enumerate(ended, start=1) if line.strip()]


# What is written is read


@given(lists, st.sampled_from(["instruction", "prompt"]), st.booleans())
def test_jsonl_is_read_back_equal(written: list[str], field: str, ensure_ascii: bool):
    numbers = tuple(range(1, len(written) + 1))
    for records in (written, [{field: text, "id": 1} for text in written]):
        got = read(as_jsonl(list(records), ensure_ascii=ensure_ascii), "a.jsonl")
        assert got == Items(tuple(written), numbers, ())


@given(lists, st.sampled_from(["instruction", "Prompt ", "INSTRUCTION"]), st.sampled_from(",;\t"))
def test_csv_is_read_back_equal(written: list[str], column: str, delimiter: str):
    rows = [["id", column, "topic"], *(["1", text, "x"] for text in written)]
    got = read(as_csv(rows, delimiter), "a.CSV")
    assert (got.instructions, got.problems) == (tuple(written), ())


@given(lists)
def test_csv_of_one_column_is_read_back_equal(written: list[str]):
    got = read(as_csv([["prompt"], *([text] for text in written)]), "a.csv")
    assert (got.instructions, got.problems) == (tuple(written), ())


@given(lists)
def test_lines_in_csv_are_those_of_an_editor_also_after_quoted_newlines(written: list[str]):
    """The slow twin: a record begins in the line after all that was written before it."""
    got = read(as_csv([["prompt"], *([text] for text in written)]), "a.csv")
    before = [as_csv([["prompt"], *([text] for text in written[:index])]).decode() for index in range(len(written))]
    assert list(got.lines) == [1 + text.replace("\r\n", "\n").replace("\r", "\n").count("\n") for text in before]


@given(st.lists(lines, max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_pasted_lines_are_kept_as_they_are_and_blank_ones_skipped(written: list[str], end: str):
    text = end.join(written)
    numbers = not_blank(text)
    if not numbers:
        with pytest.raises(Refused, match="no instruction"):
            parse(text)
        return
    all_lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert parse(text) == Items(tuple(all_lines[number - 1] for number in numbers), tuple(numbers), ())
    assert read(b"\xef\xbb\xbf" + text.encode(), "a.txt") == parse(text)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_files_with_a_mark_are_read(codec: str):
    assert read("Zähle 漢字 🎉".encode(codec), "a.txt").instructions == ("Zähle 漢字 🎉",)


def test_utf_16_of_either_order_is_read():
    for mark, codec in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_BE, "utf-32-be")):
        assert read(mark + "Zähle 🎉".encode(codec), "a.txt").instructions == ("Zähle 🎉",)


# Fields


def test_the_three_files_hold_the_same_instructions():
    """The text file has no inputs; csv and jsonl follow each instruction with its first input where there is one."""
    txt, csv_, jsonl = (read((DATA / f"instructions.{e}").read_bytes(), f"x.{e}") for e in ("txt", "csv", "jsonl"))
    assert csv_.instructions == jsonl.instructions
    assert txt.instructions == tuple(one.split("\n\n")[0] for one in jsonl.instructions)
    assert jsonl.instructions[1].endswith('commas.\n\nSoup, bread, and "good" cheese\nare on the table.')
    assert (txt.lines, csv_.lines, jsonl.lines) == ((1, 2, 4, 5), (2, 3, 5, 6), (1, 2, 3, 4))
    assert txt.problems + csv_.problems + jsonl.problems == ()


@pytest.mark.parametrize(
    ("record", "instruction"),
    [
        ({"instruction": "a", "prompt": "b"}, "a"),
        ({"instruction": "a", "input": "b"}, "a\n\nb"),
        ({"instruction": "a", "input": " \n"}, "a"),
        ({"instruction": "a", "input": None}, "a"),
        ({"instruction": "a ", "instances": []}, "a "),
        ({"instruction": "a", "instances": [{"output": "c"}]}, "a"),
        ({"instruction": "a", "instances": [{"input": "b"}, {"input": "c"}]}, "a\n\nb"),
        ({"instruction": "a", "instances": [{"input": "b"}], "input": "c"}, "a\n\nb"),
    ],
)
def test_an_input_follows_its_instruction(record: dict[str, object], instruction: str):
    assert read(as_jsonl([record]), "a.ndjson").instructions == (instruction,)


def test_the_only_column_is_taken_and_its_first_line_is_named():
    got = read(b"Name three rivers\nName two colours\n", "a.csv")
    assert (got.instructions, got.lines) == (("Name two colours",), (2,))
    assert got.problems == (
        "Line 1 was left out: it was taken for the column's name; to keep it, write instruction in a line above it.",
    )


# Bad lines


@given(st.lists(lines, min_size=1, max_size=8), st.sampled_from([".txt", ".jsonl"]))
def test_each_line_is_kept_or_named(written: list[str], ending: str):
    content = "\n".join(["x" if ending == ".txt" else '"x"', *written])
    got = read(content.encode(), "a" + ending)
    named = [int(problem.split()[1]) for problem in got.problems]
    assert sorted([*got.lines, *named]) == not_blank(content)
    assert len(got.lines) == len(got.instructions)


@given(st.binary(max_size=80), st.sampled_from(["a.txt", "a.csv", "a.jsonl"]))
def test_any_bytes_are_read_or_refused(content: bytes, name: str):
    try:
        got = read(content, name)
    except Refused as refused:
        assert len(str(refused)) < 800
    else:
        assert got.instructions


@given(st.lists(lines, max_size=8), st.sampled_from(["instruction\n", "id,prompt\n", "x\n", ""]))
def test_any_csv_is_read_or_refused(written: list[str], header: str):
    try:
        got = read((header + "\n".join(written)).encode(), "a.csv")
    except Refused:
        return
    named = [int(problem.split()[1]) for problem in got.problems]
    assert sorted({*got.lines, *named}) == sorted([*got.lines, *named]), "no line is told twice"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("Name three rivers.", "it is not JSON (Expecting value at column 1); write it like {"),
        ('{"instruction": "a"', "delimiter at column 20"),
        ('" "', "the instruction is empty"),
        ('{"instruction": "", "input": "b"}', "the instruction is empty"),
        ('"' + "a" * (MAX_CHARACTERS + 1) + '"', "1,000,001 characters; at most 1,000,000"),
        (r'"a\ud800"', "lone surrogate"),
        ("[" * 100_000, "nested too deeply"),
        ('{"instruction": ' + "[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "neither an object nor a text"),
        ('["a"]', "neither an object nor a text"),
        ("{}", "it has no field, and instruction or prompt is needed"),
        ('{"text": "a", "id": 1}', "it has 'text', 'id', and instruction or prompt is needed"),
        ('{"instruction": 5}', "its instruction is not a text"),
        ('{"prompt": null}', "its prompt is not a text"),
        ('{"instruction": "a", "input": ["b"]}', "its input is not a text"),
        ('{"instruction": "a", "instruction": "b"}', "it has 'instruction' twice; keep one"),
    ],
)
def test_a_bad_line_of_jsonl_is_named_and_the_rest_kept(line: str, part: str):
    got = read(f'"first"\r\n\r\n{line}\r\n{{"prompt": "last"}}\r\n'.encode(), "a.jsonl")
    assert (got.instructions, got.lines) == (("first", "last"), (1, 4))
    (problem,) = got.problems
    assert problem.startswith("Line 3 was left out: ") and part in problem
    assert problem.endswith(".") and len(problem) < 200


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("Name red, green and blue", "it has 2 fields and the first line has 1"),
        ('"', "its quotation marks do not match, which costs all up to line 4; close"),
        ('"He" said', "its quotation marks do not match; close"),
        ('" "" "', ""),
        ("\0", ""),
    ],
)
def test_a_bad_row_of_csv_is_named_and_the_rest_kept(line: str, part: str):
    got = read(f'instruction\r\nfirst\r\n{line}\r\n"la\nst"\r\nend\r\n'.encode(), "a.csv")
    assert (got.instructions[0], got.lines[0]) == ("first", 2)
    assert (got.instructions[-1], got.lines[-1]) == ("end", 6)
    assert [part in problem and problem.startswith("Line 3 ") for problem in got.problems] == [True] * bool(part)


def test_a_quotation_mark_that_nobody_closes_costs_the_rest_and_says_so():
    got = read(b'prompt\na\n"b\nc\nd\n', "a.csv")
    assert got.instructions == ("a",)
    assert got.problems[0].startswith(
        "Line 3 was left out: its quotation marks do not match, which costs all up to line 5"
    )


# Refusals


@pytest.mark.parametrize(
    ("content", "name", "part"),
    [
        (b"a", "a.docx", "a.docx ends in .docx; give a file that ends in .txt, .csv, .jsonl, .ndjson"),
        (b"a", "a", "a ends in nothing known"),
        (b"a" * (MAX_BYTES + 1), "a.txt", "5,000,001 bytes; at most 5,000,000"),
        (b"a\n" * (MAX_INSTRUCTIONS + 1), "a.txt", "more than 2,000 instructions (line 2,001"),
        (b'"a"\n' * (MAX_INSTRUCTIONS + 1), "a.jsonl", "more than 2,000 instructions (line 2,001"),
        (b"prompt\n" + b"a\n" * (MAX_INSTRUCTIONS + 1), "a.csv", "more than 2,000 instructions (line 2,002"),
        ("Zähle".encode("latin-1"), "a.txt", "not valid utf-8 (invalid continuation byte at byte 1)"),
        (codecs.BOM_UTF16_LE + b"a", "a.txt", "not valid utf-16"),
        ("Name".encode("utf-16-le"), "a.txt", "begins with a NUL byte"),
        (b"\0" * 1_000_000, "a.txt", "begins with a NUL byte"),
        (b"\0" * 1_000_000, "a.csv", "begins with a NUL byte"),
        (b"\0" * 1_000_000, "a.jsonl", "begins with a NUL byte"),
        (b"ab" + b"\0" * (1 << 20), "a.txt", "1,048,578 characters; at most 1,000,000"),
        (b"", "a.txt", "no instruction"),
        (b"\xef\xbb\xbf\r\n \r\n", "a.csv", "no instruction"),
        (b"instruction,id\n,\n", "a.csv", "no instruction"),
        (b"question,answer\na,b\n", "a.csv", "The columns are 'question', 'answer'; name the one that holds"),
        (b"prompt,Prompt\na,b\n", "a.csv", "only one of them can be named prompt"),
        (b'"prompt', "a.csv", "names of the columns, in line 1, cannot be read"),
        (b"," * 1_000_000, "a.csv", "no instruction"),
        (b"a" + b",a" * 1_000_000, "a.csv", "and 999,993 more"),
        (
            b'{"question": "a"}\n[]\n[]\n',
            "a.jsonl",
            "Line 1 was left out: it has 'question', and instruction or prompt is needed. So were 2 more",
        ),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_what_cannot_be_read_at_all_is_refused(content: bytes, name: str, part: str):
    told = refusal(content, name)
    assert part in told and told.endswith(".") and len(told) < 300


def test_a_pasted_list_has_the_limits_of_a_file():
    """Bytes, as a file has them: characters would let three times as much pass."""
    for text in ("x" * (MAX_BYTES + 1), "漢\n" * (MAX_BYTES // 4 + 1), "\n" * (MAX_BYTES + 1)):
        size = len(text.encode())
        with pytest.raises(Refused) as caught:
            parse(text)
        assert str(caught.value) == f"The pasted list has {size:,} bytes; at most 5,000,000 are taken, so split it."
    with pytest.raises(Refused, match=r"The pasted list has more than 2,000 instructions \(line 2,001 has one more\)"):
        parse("a\n" * (MAX_INSTRUCTIONS + 1))


def test_limits_are_taken_in_full():
    listed = read(b"a\n" * MAX_INSTRUCTIONS, "a.txt").instructions
    assert len(listed) == MAX_INSTRUCTIONS and SurveyRequest(instructions=listed), "what is read can be asked"
    assert parse("a\n" + "\n" * (MAX_BYTES - 2)).instructions == ("a",)
    longest = "a" * MAX_CHARACTERS
    for content, name in ((longest, "a.txt"), (f"prompt\n{longest}", "a.csv"), (f'"{longest}"', "a.jsonl")):
        assert read(content.encode(), name).instructions == (longest,)


def test_half_a_character_in_a_pasted_list_is_named():
    got = parse("a\nb\ud800\nc")
    assert (got.instructions, got.lines) == (("a", "c"), (1, 3))
    assert got.problems[0].startswith("Line 2 was left out: the instruction holds half of a character")


HOSTILE = {
    "blank lines": (b"\n" * MAX_BYTES, "a.txt"),
    "bad lines": (b"x\n" * (MAX_BYTES // 2), "a.jsonl"),
    "blank rows": (b",\n" * (MAX_BYTES // 2), "a.csv"),
    "quotation marks that close each other's texts": (b"prompt,x\n" + b'a","b\n' * (MAX_BYTES // 7), "a.csv"),
    "texts that never close": (b"prompt\n" + b'"a\n' * (MAX_BYTES // 4), "a.csv"),
    "one wide row": (b"prompt\na" + b"," * (MAX_BYTES - 8), "a.csv"),
    "many names": (b"{" + b",".join(b'"%d":0' % i for i in range(400_000)) + b"}", "a.jsonl"),
    "many names, the last twice": (b"{" + b",".join(b'"%d":0' % i for i in [*range(400_000), 399_999]) + b"}", "a.jsonl"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_file_takes_long(kind: str):
    """Linear in the size: nothing is read again after an unmatched mark, and no name is looked for among all others."""
    content, name = HOSTILE[kind]
    assert MAX_BYTES // 2 < len(content) <= MAX_BYTES
    began = time.process_time()
    refusal(content, name)
    assert time.process_time() - began < 10


# Public data


@pytest.mark.parametrize(
    ("name", "count", "with_input"),
    [
        ("self_instruct_user_oriented.jsonl", 252, 208),
        ("self_instruct_seed_tasks.jsonl", 175, 125),
        ("ifeval_prompts.jsonl", 541, 0),
    ],
)
def test_public_files_are_read_as_they_are(name: str, count: int, with_input: int):
    if "CANDOR_DATA" not in os.environ:
        pytest.skip("CANDOR_DATA names no folder with the public data")
    content = (Path(os.environ["CANDOR_DATA"]) / name).read_bytes()
    records = [json.loads(line) for line in content.decode().split("\n") if line]
    got = read(content, name)
    assert got.problems == () and got.lines == tuple(range(1, count + 1))
    for record, text in zip(records, got.instructions, strict=True):
        given_input = record["instances"][0]["input"] if "instances" in record else ""
        assert text == record.get("instruction", record.get("prompt")) + ("\n\n" + given_input) * bool(given_input)
    assert sum("instances" in r and bool(r["instances"][0]["input"].strip()) for r in records) == with_input
