"""Files of probe items: what was written is read, what is bad is named in one sentence, and a bad line costs nothing else."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils.contracts.probe import INPUT, MAX_ITEMS, MAX_OPTIONS, MAX_PHRASINGS, ProbeItem
from model_utils.errors import Refused
from model_utils.linewise import MAX_BYTES
from model_utils.probes.items import LISTS, SCHEMA, Items, parse, read
from tests.strategies import instructions, texts

pytestmark = pytest.mark.slow

GOOD = '{"instruction": "Is ice warm?", "options": ["yes", "no"], "answer": "no"}'
ICE = ProbeItem(instruction="Is ice warm?", options=("yes", "no"), answer="no")
SPECIAL = st.sampled_from(["a | b", " | ", "|", "[1]", '["a"]', "[", " x ", "=1+1", "@SUM(A1)", "\\|", "a|b", "-2"])
words = st.one_of(instructions, SPECIAL)


@st.composite
def probe_items(draw: st.DrawFn) -> ProbeItem:
    """Valid items with any of their fields."""
    given_input = draw(st.one_of(st.just(""), st.just(" "), texts))
    options = tuple(draw(st.lists(words, min_size=2, max_size=4, unique=True))) if draw(st.booleans()) else ()
    answer = draw(st.sampled_from(["", *options])) if options else draw(words)
    wording = st.builds(lambda text, slot: text + (INPUT if slot and given_input else ""), words, st.booleans())
    several = st.lists(wording, max_size=3).map(tuple)
    return ProbeItem(
        instruction=draw(wording), input=given_input, options=options, answer=answer, paraphrases=draw(several),
        training=draw(several), held_out=draw(several), cue=draw(texts)[:200], group=draw(texts)[:200],
        steps=tuple(draw(st.lists(words, max_size=3))),
    )  # fmt: skip


lists = st.lists(probe_items(), min_size=1, max_size=4)


def cell(value: str | tuple[str, ...]) -> str:
    """As a person writes it: texts parted by ` | `; an array where they would not come apart at the same places."""
    if isinstance(value, str):
        return value
    plain = " | ".join(value)
    apart = [text.strip() for text in re.split(r"(?<=\s)\|(?=\s)", plain)] if plain.strip() else []
    return plain if apart == list(value) and not plain.startswith("[") else json.dumps(list(value))


def as_jsonl(items: list[ProbeItem], name: str = "instruction", **how: bool) -> bytes:
    records = [{name if key == "instruction" else key: value for key, value in item.model_dump().items()} for item in items]  # fmt: skip
    return "\n".join(json.dumps(record, **how) for record in records).encode()


def as_csv(items: list[ProbeItem], delimiter: str = ",", fields: tuple[str, ...] = tuple(SCHEMA)) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(fields)
    writer.writerows([cell(getattr(item, field)) for field in fields] for item in items)
    return file.getvalue().encode()


def problem(line: str) -> str:
    """What is said of a bad line among good ones, of which nothing is lost."""
    got = parse(f"{GOOD}\n{line}\n\n{GOOD}")
    assert (got.items, got.lines) == ((ICE, ICE), (1, 4))
    (told,) = got.problems
    assert told.startswith("Line 2 was left out: ") and told.endswith(".") and len(told) < 300
    return told


# What is written is read


@given(lists, st.sampled_from(["instruction", "prompt"]), st.booleans())
def test_jsonl_is_read_back_equal(written: list[ProbeItem], name: str, ensure_ascii: bool):
    expected = Items(tuple(written), tuple(range(1, len(written) + 1)), ())
    assert read(as_jsonl(written, name, ensure_ascii=ensure_ascii), "a.jsonl") == expected


@given(lists, st.sampled_from(",;\t"), st.permutations(list(SCHEMA)))
def test_csv_is_read_back_equal(written: list[ProbeItem], delimiter: str, fields: list[str]):
    got = read(as_csv(written, delimiter, tuple(fields)), "a.CSV")
    assert (got.items, got.problems) == (tuple(written), ())


@given(lists)
def test_what_is_pasted_is_read_as_its_file_is(written: list[ProbeItem]):
    assert parse(as_jsonl(written).decode()) == read(as_jsonl(written), "a.jsonl")
    assert parse(as_csv(written).decode()) == read(as_csv(written), "a.csv")


def test_columns_may_be_few_and_lists_have_spaces_around_the_mark():
    got = read(b"Prompt ; Options;ANSWER;\r\nIs ice warm?;yes  |  no;no;\r\n", "a.csv")
    assert (got.items, got.lines, got.problems) == ((ICE,), (2,), ())


def test_null_is_as_good_as_nothing():
    bare = '{"instruction": "Is ice warm?", "options": ["yes", "no"], "answer": "no", "input": null, "steps": null}'
    assert parse(bare).items == (ICE,)


def test_formulas_of_a_spreadsheet_are_texts():
    got = read(b"instruction,answer\n=HYPERLINK(1),+1\n@SUM(A1),-1\n", "a.csv")
    assert [(item.instruction, item.answer) for item in got.items] == [("=HYPERLINK(1)", "+1"), ("@SUM(A1)", "-1")]


def test_the_schema_names_every_field_and_only_those():
    assert list(SCHEMA) == list(ProbeItem.model_fields)
    assert set(LISTS) == {name for name, field in ProbeItem.model_fields.items() if field.default == ()}


def test_the_readme_shows_the_schema():
    page = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "\n".join(f"| `{name}` | {says} |" for name, says in SCHEMA.items()) in page


# Bad lines


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("Name three rivers.", "it is not JSON (Expecting value at column 1); write it like {"),
        ('"Name three rivers."', "it is no object; write it like {"),
        ("[" * 100_000, "nested too deeply"),
        ('{"instruction": "a", "options": ' + "[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "it is no object"),
        ("{}", "it has no field; instruction or prompt is needed"),
        ('{"answer": "a"}', "it has 'answer'; instruction or prompt is needed"),
        ('{"prompt": "a", "instruction": "b", "answer": "c"}', "it has 'instruction', 'prompt'; keep one of them"),
        ('{"instruction": null, "answer": "a"}', "instruction or prompt is needed"),
        ('{"instruction": "a", "instruction": "b", "answer": "c"}', "it has 'instruction' twice; keep one"),
        ('{"instruction": "a", "label": "b"}', "it has 'label'; possible fields are instruction, input, options, answer"),
        ('{"instruction": "a", "' + "x" * 5_000 + '": 1}', "possible fields are"),
        ('{"instruction": " ", "answer": "b"}', "the instruction is empty"),
        ('{"instruction": "a", "answer": 5}', "its answer is not a text; write it in quotation marks"),
        ('{"instruction": "a", "answer": 1e999}', "its answer is not a text"),
        ('{"instruction": "a", "answer": ' + "9" * 5_000 + "}", "its answer is not a text"),
        ('{"instruction": "a", "options": "yes", "answer": "yes"}', 'its options are no list; write them like ["one", "another"]'),
        ('{"instruction": "a", "options": [1, 2], "answer": "b"}', "its options hold something that is not a text"),
        ('{"instruction": "a", "options": ["b", " "], "answer": "b"}', "the option is empty"),
        ('{"instruction": "a", "options": ["b", "b"], "answer": "b"}', "an option stands there twice"),
        ('{"instruction": "a", "options": ["b"], "answer": "b"}', "there is one option"),
        ('{"instruction": "a", "options": ["b|c"], "answer": "b"}', "write a space before and after each |"),
        ('{"instruction": "a", "options": ["b", "c"], "answer": "B"}', "the answer is none of the 2 options"),
        ('{"instruction": "a"}', "neither options nor an answer"),
        ('{"instruction": "a {input}", "answer": "b"}', "the instruction holds {input}, and there is no input"),
        ('{"instruction": "{input}{input}", "input": "a", "answer": "b"}', "{input} stands there more than once"),
        (r'{"instruction": "a", "answer": "\ud800"}', "the answer holds half of a character"),
        (r'{"instruction": "a", "answer": "b", "steps": ["\udc00"]}', "the step holds half of a character"),
        (json.dumps({"instruction": "a", "answer": "0", "options": [*map(str, range(MAX_OPTIONS + 1))]}), f"it has {MAX_OPTIONS + 1} options; at most {MAX_OPTIONS} are taken"),
        (json.dumps({"instruction": "a", "answer": "b", "held_out": ["c"] * (MAX_PHRASINGS + 1)}), f"it has {MAX_PHRASINGS + 1} held_out"),
        (json.dumps({"instruction": "a", "answer": "b", "cue": "c" * 201}), "its cue has 201 characters; at most 200 are taken"),
        (json.dumps({"instruction": "a" * 1_000_001, "answer": "b"}), "the instruction has 1,000,001 characters"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_a_bad_line_is_named_and_costs_nothing_else(line: str, part: str):
    assert part in problem(line)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("a,b", "it has 2 fields and the first line has 3"),
        ("a,b | c,d", "the answer is none of the 2 options"),
        ("a,b|c,b", "write a space before and after each |"),
        ('a,"[1, 2]",b', "its options hold something that is not a text"),
        ("a," + "[" * 100_000 + ",b", "there is one option"),
        (",b | c,b", "the instruction is empty"),
        ('"a', "its quotation marks do not match"),
    ],
    ids=lambda value: value[:20],
)
def test_a_bad_row_is_named_and_costs_nothing_else(row: str, part: str):
    got = read(f'instruction,options,answer\nIs ice warm?,yes | no,no\n{row}\n"x"\n'.encode(), "a.csv")
    assert (got.items, got.lines) == ((ICE,), (2,))
    assert (
        got.problems[0].startswith("Line 3 was left out: ") and part in got.problems[0] and len(got.problems[0]) < 300
    )


@given(st.lists(st.one_of(texts, st.sampled_from([GOOD, "{", "[", '"'])), max_size=8))
def test_each_line_is_kept_or_named(written: list[str]):
    content = "\n".join([GOOD, *written])
    got = read(content.encode(), "a.jsonl")
    ended = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    named = [int(told.split()[1]) for told in got.problems]
    assert sorted([*got.lines, *named]) == [number for number, line in enumerate(ended, start=1) if line.strip()]


@given(st.one_of(st.binary(max_size=80), texts.map(str.encode)), st.sampled_from(["a.csv", "a.jsonl", "paste"]))
def test_any_bytes_are_read_or_refused(content: bytes, name: str):
    try:
        got = parse(content.decode("utf-8", "surrogatepass")) if name == "paste" else read(content, name)
    except (Refused, UnicodeDecodeError) as told:
        assert len(str(told)) < 800
    else:
        assert got.items


# Refusals


@pytest.mark.parametrize(
    ("content", "name", "part"),
    [
        (b"a", "a.txt", "a.txt ends in .txt; give a file that ends in .csv, .jsonl, .ndjson"),
        (b"", "a.jsonl", "a.jsonl holds no item; write at least one"),
        (b"a" * (MAX_BYTES + 1), "a.jsonl", "5,000,001 bytes; at most 5,000,000"),
        (GOOD.encode() + b"\n" + b"0\n" * MAX_ITEMS, "a.jsonl", "more than 5,000 items (line 5,001 has one more)"),
        (b"\0" * 1_000, "a.csv", "begins with a NUL byte"),
        ("Zähle".encode("latin-1"), "a.jsonl", "not valid utf-8"),
        (b"question,answer\na,b\n", "a.csv", "The columns 'question' are unknown; possible are instruction, input"),
        (b"answer,options\na,b\n", "a.csv", "name the one that holds the instructions instruction"),
        (b"prompt,instruction,answer\na,b,c\n", "a.csv", "only one of them can hold the prompt"),
        (b"prompt,answer,Answer\na,b,c\n", "a.csv", "only one of them can hold the answer"),
        (b"prompt,answer\n,\n", "a.csv", "holds no item"),
        (b'"prompt', "a.csv", "names of the columns, in line 1, cannot be read"),
        (b"[]\n[]\n", "a.jsonl", "holds no item; write at least one. Line 1 was left out: it is no object"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_what_cannot_be_read_at_all_is_refused(content: bytes, name: str, part: str):
    with pytest.raises(Refused) as caught:
        read(content, name)
    assert part in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["Is ice warm?", "Is ice warm? no\nIs fire cold? no", '[{"instruction": "a"}]'])
def test_what_people_type_first_is_told_what_is_possible(text: str):
    with pytest.raises(Refused) as caught:
        parse(text)
    assert str(caught.value) == (
        "The pasted text is neither JSON lines nor a table, and instructions alone cannot be scored; write one item a line like "
        f"{GOOD}, or a csv whose first line names columns, such as instruction,options,answer."
    )


def test_examples_in_the_sentences_are_what_is_read():
    assert parse(GOOD).items == parse("instruction,options,answer\nIs ice warm?,yes | no,no").items == (ICE,)


def test_limits_are_taken_in_full():
    assert len(read(as_jsonl([ICE] * MAX_ITEMS), "a.jsonl").items) == MAX_ITEMS
    with pytest.raises(Refused, match="at most 5,000,000"):
        parse("漢\n" * (MAX_BYTES // 4 + 1))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"x\n" * (MAX_BYTES // 2), "a.jsonl"),
        (b"{" + b",".join(b'"%d":0' % i for i in range(400_000)) + b"}", "a.jsonl"),
        (b"prompt,options,answer\na," + b"b | " * (MAX_BYTES // 4 - 10) + b"c,b", "a.csv"),
        (b"prompt,options,answer\na,b" + b" " * (MAX_BYTES - 40) + b"|,b", "a.csv"),
        (b"prompt,options,answer\na,[" + b"[" * (MAX_BYTES - 40) + b",b", "a.csv"),
        (b"prompt," * (MAX_BYTES // 7), "a.csv"),
    ],
    ids=["bad lines", "many names", "many options", "a long gap", "deep brackets", "many columns"],
)
def test_no_file_takes_long(content: bytes, name: str):
    assert MAX_BYTES // 2 < len(content) <= MAX_BYTES
    began = time.process_time()
    with pytest.raises(Refused):
        read(content, name)
    assert time.process_time() - began < 10
