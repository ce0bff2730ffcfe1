"""The labelled instructions: each mark lies in its instruction, and every kind of fault and every field has enough of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

FILE = Path(__file__).parent / "data" / "instruction_labels.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]

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


def test_every_mark_lies_in_its_instruction():
    for row in ROWS:
        assert row.keys() == {"instruction", "marks", "field"} and row["field"] in FIELDS, row
        marks = [(mark["kind"], mark["words"]) for mark in row["marks"]]
        assert len(set(marks)) == len(marks), row
        for kind, words in marks:
            assert kind in KINDS and words.strip() and words in row["instruction"], row


def test_no_instruction_stands_twice():
    assert [text for text, n in Counter(row["instruction"] for row in ROWS).items() if n > 1] == []


def test_there_are_enough_to_score_rules_with():
    kinds = Counter(kind for row in ROWS for kind in {mark["kind"] for mark in row["marks"]})
    fields = Counter(row["field"] for row in ROWS)
    assert len(ROWS) >= 200 and sum(not row["marks"] for row in ROWS) >= 100
    assert all(kinds[kind] >= 20 for kind in KINDS), kinds
    assert all(fields[field] >= 40 for field in FIELDS), fields
