"""The labelled instructions, both files: each mark lies in its instruction, and every kind of fault and every field has
enough of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
FILES = {
    name: [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
    for name in ("instruction_labels.jsonl", "instruction_labels_2.jsonl")
}
# Per file, at least: rows, rows without a mark, rows of each kind, rows of each field.
LEAST = {"instruction_labels.jsonl": (200, 100, 20, 40), "instruction_labels_2.jsonl": (200, 80, 18, 40)}

KINDS = {
    "leading premise",
    "presupposition",
    "double question",
    "missing option",
    "vagueness",
    "negation",
    "conflicting constraints",
}
FIELDS = {"general", "healthcare", "finance", "law"}


@pytest.mark.parametrize("name", FILES)
def test_every_mark_lies_in_its_instruction(name):
    for row in FILES[name]:
        assert row.keys() == {"instruction", "marks", "field"} and row["field"] in FIELDS, row
        marks = [(mark["kind"], mark["words"]) for mark in row["marks"]]
        assert len(set(marks)) == len(marks), row
        for kind, words in marks:
            assert kind in KINDS and words.strip() and words in row["instruction"], row


def test_no_instruction_stands_twice_in_one_file_or_in_both():
    texts = Counter(" ".join(row["instruction"].casefold().split()) for rows in FILES.values() for row in rows)
    assert [text for text, n in texts.items() if n > 1] == []


@pytest.mark.parametrize("name", FILES)
def test_there_are_enough_to_score_rules_with(name):
    rows = FILES[name]
    kinds = Counter(kind for row in rows for kind in {mark["kind"] for mark in row["marks"]})
    fields = Counter(row["field"] for row in rows)
    least_rows, least_unmarked, least_kind, least_field = LEAST[name]
    assert len(rows) >= least_rows and sum(not row["marks"] for row in rows) >= least_unmarked
    assert all(kinds[kind] >= least_kind for kind in KINDS), kinds
    assert all(fields[field] >= least_field for field in FIELDS), fields
