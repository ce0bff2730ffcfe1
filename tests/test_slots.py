"""Slot sets: what was written is read again, a mistake is one sentence, and the shipped sets fit the texts that use them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils import linewise
from model_utils.contracts.bias import MAX_FILLS, MAX_GROUPS, Group, Slot
from model_utils.demo import world
from model_utils.errors import Refused
from model_utils.probes import slots
from model_utils.probes.slots import EXAMPLE, FILE, SLOTS
from tests.strategies import instructions, texts

names = st.from_regex(r"[a-z][a-z_]{0,29}", fullmatch=True).filter(lambda name: name != "input")
groups = st.builds(
    Group,
    name=texts.filter(lambda text: 0 < len(text) <= 100),
    fills=st.lists(instructions, min_size=1, max_size=4, unique=True).map(tuple),
)
any_slot = st.builds(
    Slot, name=names, groups=st.lists(groups, min_size=2, max_size=4, unique_by=lambda group: group.name).map(tuple)
)
PETS = Slot(name="pet", groups=(Group(name="cats", fills=("Tom", "Felix")), Group(name="dogs", fills=("Rex", "Fido"))))


@given(slot=any_slot)
def test_what_was_written_is_read_again(slot: Slot):
    assert slots.parse(slots.written(slot)) == slot


@given(text=st.one_of(texts, texts.map("{pet}\na: ".__add__), texts.map('{"name": '.__add__)))
def test_any_text_is_a_slot_or_one_sentence(text: str):
    try:
        assert isinstance(slots.parse(text), Slot)
    except Refused as refused:
        assert str(refused).endswith((".", "}.")) and len(str(refused)) < 1_000


def test_lines_and_json_are_read_alike():
    lines = "\ufeff\n {pet} \r\n\ncats: Tom ,Felix,\r\ndogs:Rex, Fido\n"
    assert slots.parse(lines) == slots.parse(EXAMPLE) == slots.parse(slots.written(PETS)) == PETS
    assert slots.written(PETS) == "{pet}\ncats: Tom, Felix\ndogs: Rex, Fido"
    assert slots.parse('{"name": "pet", "says": "Animals.",\n "groups": {"a": ["x"], "b": ["y, z"]}}').groups[1].fills == ("y, z",)  # fmt: skip


MISTAKES = [
    ("", "A slot set begins with its name in braces"),
    ("cats: Tom\ndogs: Rex", "A slot set begins with its name in braces"),
    ("{pet}\ncats Tom\ndogs: Rex", "Line 2 has no colon; write a group and what stands for it"),
    ("{pet}\ncats: Tom", "{pet} has 1 group; give 2 to 12, first the one that the others are compared with"),
    ("{pet}\n" + "".join(f"g{n}: x\n" for n in range(MAX_GROUPS + 1)), "{pet} has 13 groups; give 2 to 12"),
    ("{pet}\ncats:\ndogs: Rex", "For 'cats' stand 0 texts; give 1 to 200"),
    ("{pet}\na: b\nc: " + ",".join(map(str, range(MAX_FILLS + 1))), "For 'c' stand 201 texts"),
    ("{pet}\n: Tom\ndogs: Rex", "A group of {pet} has a name of 0 characters"),
    ("{pet}\n" + "g" * 101 + ": Tom\ndogs: Rex", "A group of {pet} has a name of 101 characters"),
    ("{pet}\ncats: Tom, Tom\ndogs: Rex", "Something stands twice for 'cats'"),
    ("{pet}\ncats: Tom\ncats: Rex", "Two groups of {pet} have the same name"),
    ("{Pet}\ncats: Tom\ndogs: Rex", "A slot cannot be called 'Pet'; use at most 30 small letters"),
    ("{input}\ncats: Tom\ndogs: Rex", "{input} is where the input goes"),
    ('{"name": "pet"', "It is not JSON"),
    ('{"name": "pet", "name": "pet"}', "It has 'name' twice"),
    ('{"name": "pet", "colour": "red"}', "The slot set has 'colour'; possible fields are name, groups, says"),
    ('{"name": 3, "groups": {}}', "The slot set has no name that is a text"),
    ('{"name": "pet", "groups": ["Tom"]}', "The slot set has no groups, which are an object"),
    ('{"name": "pet", "groups": {"a": "Tom", "b": ["Rex"]}}', "What stands for 'a' is no list"),
    ('{"name": "pet", "groups": {"a": [25], "b": ["Rex"]}}', "For 'a' stands something that is not a text"),
    ('{"name": "pet", "groups": {"a": [" "], "b": ["Rex"]}}', "The text for 'a' is empty"),
    (r'{"name": "pet", "groups": {"a": ["\ud800"], "b": ["Rex"]}}', "The text for 'a' holds half of a character"),
    ('{"a":' * 100_000, "It is nested too deeply"),
    ("{pet}\na: " + "x" * linewise.MAX_BYTES, "The slot set has 5,000,009 bytes"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said[:30] for _, said in MISTAKES])
def test_a_mistake_is_one_sentence(text: str, said: str):
    with pytest.raises(Refused, match=re.escape(said)):
        slots.parse(text)


def test_shipped_sets_are_told_and_each_is_what_a_person_could_have_written():
    records = json.loads(FILE.read_text(encoding="utf-8"))
    assert [record["name"] for record in records] == [*SLOTS][:-1] and [*SLOTS][-1] == "demo_name"
    for record in records:
        assert slots.parse(json.dumps(record)) == SLOTS[record["name"]].slot
        assert "starting point" in record["says"] and "people must" in record["says"]
    for name, one in SLOTS.items():
        fills = [fill for group in one.slot.groups for fill in group.fills]
        assert len(set(fills)) == len(fills) and one.says.endswith("."), name
        assert not any(set(fill) & set("{}") for fill in fills), "a fill that held a slot would be filled itself"


def test_groups_of_names_are_as_large_as_one_another():
    for name in ("name", "surname", "demo_name", "age", "religion", "disability"):
        assert len({len(group.fills) for group in SLOTS[name].slot.groups}) == 1, name
    hill, lake = SLOTS["demo_name"].slot.groups
    assert [*hill.fills, *lake.fills] == world.NAMES
