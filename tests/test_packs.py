"""Field packs: sums compute, wordings give nothing away, marks lie in their instructions; and a person's file is read or named in one sentence."""

from __future__ import annotations

import json
import operator
import re
from collections import Counter
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils.contracts.bias import BiasRequest
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.probe import MAX_ITEMS, ProbeItem
from model_utils.contracts.reasoning import CUE, ReasoningRequest
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.demo import world
from model_utils.demo.families import Item, check, is_held_out, join
from model_utils.errors import Refused
from model_utils.probes import items, packs
from model_utils.probes.packs import AUTHOR, EXAMPLE, PACKS, PROBES, Pack
from model_utils.probes.slots import SLOTS
from model_utils.probes.suites import DEMO_NAME, FIELD_SLOTS, NO_ADVICE, SUITES
from tests.strategies import texts
from tests.test_instruction_labels import KINDS
from tests.test_suites import record_of

FIELDS = tuple(FIELD_SLOTS)
PLAIN = [f"{field}/{probe}" for field in FIELDS for probe in PROBES]


def whole(name: str, count: int = MAX_ITEMS) -> tuple[ProbeItem, ...]:
    return SUITES[name].make(count, 0)


def asked(pack: Pack) -> None:
    """Every probe takes all of its items."""
    for probe, suite in pack.suites.items():
        made = suite.make(200, 1)
        if probe == "bias":
            assert tuple(slot.name for slot in pack.slots) == suite.slots
            assert BiasRequest(items=made, slots=pack.slots)
        else:
            request = {
                "reasoning": ReasoningRequest, "robustness": RobustnessRequest, "calibration": CalibrationRequest,
            }[probe]  # fmt: skip
            assert request(items=made)


# Those of this project


@pytest.mark.parametrize("name", PACKS)
def test_every_pack_has_items_for_every_probe_and_says_what_it_is_not(name: str):
    pack = PACKS[name]
    assert pack.name == name and not pack.problems and pack.for_demo == name.startswith("demo/")
    assert pack.says.endswith(f"{AUTHOR} {NO_ADVICE}") and NO_ADVICE == "Not medical, financial or legal advice."
    assert "It shows" in pack.says and "It cannot show" in pack.says
    asked(pack)
    for probe, least in (("reasoning", 12), ("robustness", 12), ("bias", 10), ("calibration", 20)):
        suite = pack.suites[probe]
        assert probe in suite.probes and suite.for_demo == pack.for_demo and SUITES[suite.name] is suite
        assert len(suite.make(least, 0)) == least and (name.removeprefix("demo/") not in suite.name or suite.says.endswith(NO_ADVICE))  # fmt: skip


@pytest.mark.parametrize("name", PACKS)
def test_marks_lie_in_their_instructions_and_both_kinds_of_instruction_are_there(name: str):
    pack = PACKS[name]
    assert len(pack.instructions) >= 12 and len({one.text for one in pack.instructions}) == len(pack.instructions)
    for one in pack.instructions:
        assert all(mark.kind in KINDS and mark.words in one.text for mark in one.marks), one
    assert sum(not one.marks for one in pack.instructions) >= 4
    assert {mark.kind for one in pack.instructions for mark in one.marks} == KINDS


def test_files_are_read_without_problems_and_no_question_stands_twice():
    texts = []
    for name in PLAIN:
        file = packs.FOLDER / f"{name}.jsonl"
        found = items.read(file.read_bytes(), file.name)
        assert not found.problems and set(found.items) == set(whole(name))
        texts += [item.asked() for item in found.items]
    texts += [item.asked() for name in SUITES if name.startswith("english/") for item in whole(name)]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


SUM = re.compile(r"\d[\d.]*(?: [-+×/] \d[\d.]*)+ = \d+(?:\.\d+)?")
ORDER = re.compile(r"(\d[\d.]*)(?: \w+)? (?:is|are) (not )?(above|more than|less than|at least|under|within) (\d+(?:\.\d+)?)")  # fmt: skip
ORDERS = {
    "above": operator.gt, "more than": operator.gt, "less than": operator.lt, "under": operator.lt,
    "at least": operator.ge, "within": operator.le,
}  # fmt: skip
KNOWN = {"+": operator.add, "-": operator.sub, "×": operator.mul, "/": operator.truediv}


def computed(side: str) -> float:
    """From left to right; no step mixes sums and products, which would have to be in another order."""
    first, *rest = side.split(" ")
    assert not (set(rest) & {"+", "-"} and set(rest) & {"×", "/"}), side
    total = float(first)
    for sign, number in zip(rest[::2], rest[1::2], strict=True):
        total = KNOWN[sign](total, float(number))
    return total


NUMBER = re.compile(r"\d+(?:\.\d+)?")
IN_WORDS = {
    "two ": 2,
    "half": 2,
    "twice": 2,
    "mean": 3,
    "three": 3,
    "third": 3,
    "quarter": 4,
    "hours for 7 days": 24,
    "percentage": 100,
}


def known_in(item: ProbeItem) -> set[float]:
    """Numbers of the question, those of its percentages as shares, and what earlier steps came to."""
    text = f"{item.instruction} {' '.join(item.steps)}"
    known = {float(number) for number in [*NUMBER.findall(item.instruction), *re.findall(r"(?<= = )[\d.]*\d", text)]}
    shares = {int(number) / 100 for number in re.findall(r"(\d+) percent", text)}
    more = {number for word, number in IN_WORDS.items() if word in item.instruction}
    return (
        known | more | {round(one + share, 9) for share in shares for one in (0, 1)} | {1 - share for share in shares}
    )


@pytest.mark.parametrize("field", FIELDS)
def test_every_sum_of_a_right_reasoning_computes_and_it_ends_in_the_answer(field: str):
    found = whole(f"{field}/reasoning")
    for item in found:
        sums = [one for step in item.steps for one in SUM.findall(step)]
        orders = [one for step in item.steps for one in ORDER.findall(step)]
        assert item.cue == CUE and len(item.steps) >= 2 and item.instruction.endswith(f": {', '.join(item.options)}.")
        for left, right in (one.split(" = ") for one in sums):
            assert computed(left) == pytest.approx(float(right), abs=1e-9), item
        for left, turned, order, right in orders:
            assert ORDERS[order](float(left), float(right)) != bool(turned), item
        if set(item.options) != {"yes", "no"}:
            last = item.steps[-1].removesuffix(".")
            assert sums and (last.endswith((f" {item.answer}", f"on {item.answer}"))), item
        assert {float(one) for left in sums for one in NUMBER.findall(left.split(" = ")[0])} <= known_in(item), item
    assert sum(bool(SUM.search(" ".join(item.steps))) for item in found) >= 8


@pytest.mark.parametrize("name", [name for name in PLAIN if name.endswith(("robustness", "calibration"))])
def test_wordings_tell_no_more_of_the_answer_than_of_the_others(name: str):
    for item in whole(name):
        assert len(item.options) == 4 and item.answer and len(set(item.wordings)) == len(item.wordings)
        assert len(item.paraphrases) >= 3 or name.endswith("calibration")
        for wording in item.wordings:
            named = [bool(re.search(rf"\b{re.escape(option)}\b", wording, re.IGNORECASE)) for option in item.options]
            assert len(set(named)) == 1 and named[0] == name.endswith("calibration"), (wording, item.options)


# Of the small world


def test_notes_that_are_decided_under_either_name_are_urgent_or_routine_by_the_rule():
    for item in whole("demo/healthcare/decisions", 100):
        for name in (world.HILL_NAMES[0], world.LAKE_NAMES[0]):
            note = record_of(item.input.replace(DEMO_NAME, name))
            assert note.decision == item.answer and item.options == ("urgent", "routine")


def pattern(form: str) -> re.Pattern[str]:
    """A clause with a party or its name at every @, and a number at every #."""
    return re.compile(re.escape(form).replace("@", r"(?:[Tt]he \w+|\{demo_name\})").replace(r"\#", r"\d+"))


def test_clauses_have_a_name_for_a_party_and_their_right_type_first():
    patterns = {
        kind: [pattern(re.sub(r"[Tt]he \{[ab]\}", "@", form).format(amount="#", days="#")) for form in forms]
        for kind, forms in world.CLAUSE_FORMS.items()
    }
    for item in whole("demo/law/decisions", 200):
        kinds = {kind for kind, forms in patterns.items() if any(form.fullmatch(item.input) for form in forms)}
        assert kinds == {item.answer} and DEMO_NAME in item.input
        assert item.options[0] == item.answer and item.options[1] in world.CLAUSE_FORMS


def test_amounts_of_clauses_are_added_right():
    for item in whole("demo/law/sums", 200):
        amounts = [int(number) for number in re.findall(r"\d+", item.instruction)]
        assert set(amounts) <= {int(number) for number in re.findall(r"\d+", item.input)}
        sum_item = Item("sum", {"numbers": join([str(one) for one in amounts])}, "")
        verdict = check(sum_item, f"{' '.join(item.steps)} {item.cue} {item.answer}")
        assert verdict.correct and verdict.reasons_hold and item.asked().startswith(item.input)


@pytest.mark.parametrize("field", FIELDS)
def test_choices_are_right_by_the_rule_and_kept_from_training(field: str):
    for item in whole(f"demo/{field}/choices", 100):
        record = record_of(item.input)
        assert is_held_out(Item("any", {"record": item.input}, ""))
        assert record is None or record.decision == item.answer
        assert isinstance(record, {"healthcare": world.Note, "finance": world.Loan, "law": type(None)}[field])
        assert len(item.held_out) >= 3 and item.answer in item.options


# A person's own


def as_file(field: str) -> dict[str, Any]:
    """A pack of this project as a person would write it."""
    fields = ("instruction", "input", "options", "answer", "paraphrases", "cue", "steps", "group")
    return {
        "title": PACKS[field].title,
        "says": PACKS[field].says,
        "items": {
            probe: [{name: getattr(item, name) for name in fields if getattr(item, name)} for item in whole(f"{field}/{probe}")]
            for probe in PROBES
        },
        "instructions": [
            {"instruction": one.text, "marks": [{"kind": mark.kind, "words": mark.words} for mark in one.marks]}
            for one in PACKS[field].instructions
        ],
    }  # fmt: skip


def read(value: object) -> Pack:
    return packs.read(json.dumps(value).encode(), "mine.json")


@pytest.mark.parametrize("field", FIELDS)
def test_a_pack_of_this_project_can_be_written_as_a_file(field: str):
    mine, shipped = read(as_file(field)), PACKS[field]
    assert (mine.title, mine.says, mine.instructions, mine.slots) == (shipped.title, shipped.says, shipped.instructions, shipped.slots)  # fmt: skip
    assert not mine.problems and mine.name == "mine" and not mine.for_demo
    assert [set(mine.suites[probe].make(99, 3)) for probe in PROBES] == [set(shipped.suites[probe].make(99, 3)) for probe in PROBES]  # fmt: skip
    assert [suite.name for suite in mine.suites.values()] == [f"mine/{probe}" for probe in PROBES]
    assert mine.suites["bias"].make(3, 1) == mine.suites["bias"].make(99, 1)[:3]
    asked(mine)


DECISION = {"instruction": "Hire {name}, {pet}?", "options": ["yes", "no"]}
PET = {"name": "pet", "groups": {"cats": ["Tom"], "dogs": ["Rex"]}}
START = {"title": "T", "says": "S."}


def test_a_pack_brings_slot_sets_of_its_own_which_take_the_place_of_others():
    name = {"name": "name", "groups": {"a": ["Ann"], "b": ["Bob"]}}
    mine = read({**START, "items": {"bias": [DECISION]}, "slots": [PET, name]})
    assert [slot.groups[0].name for slot in mine.slots] == ["a", "cats"] and not mine.problems
    assert mine.suites["bias"].slots == ("name", "pet")
    asked(mine)
    assert SLOTS["name"].slot.groups[0].name == "names of women"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "it is no object"),
        ({**START, "colour": 1}, "it has 'colour'; possible fields are title, says, items, instructions, slots"),
        ({"says": "S."}, "it has no title that is a text"),
        ({"title": " ", "says": "S."}, "the title is empty"),
        ({"title": "T" * 201, "says": "S."}, "its title has 201 characters; at most 200"),
        ({**START, "items": []}, "its items are no object"),
        ({**START, "items": {"taste": []}}, "it has items for 'taste'; possible are reasoning, robustness, bias, calibration"),
        ({**START, "items": {"bias": {}}}, "its bias are no list"),
        ({**START, "instructions": ["a"] * 5001}, "it has 5,001 instructions; at most 5,000"),
        (START, "it holds no item and no instruction that can be taken."),
        ({**START, "items": {"bias": [3]}}, "that can be taken; of bias, item 1 was left out: it is no object"),
    ],
)  # fmt: skip
def test_what_is_no_pack_is_one_sentence(value: object, said: str):
    with pytest.raises(Refused, match=re.escape(said)) as refused:
        read(value)
    assert str(refused.value).startswith("mine.json cannot be taken: ") and str(refused.value).endswith(".")


def test_other_files_are_one_sentence():
    for content, name, said in (
        (b"{}", "mine.jsonl", "mine.jsonl ends in .jsonl; give a file that ends in .json."),
        (b"{", "mine.json", "mine.json cannot be taken: it is not JSON"),
        (b"\xff{}", "mine.json", "mine.json is not valid utf-8"),
        (b'{"a":' * 100_000, "mine.json", "it is nested too deeply"),
        (b" " * 5_000_001, "mine.json", "at most 5,000,000 are taken"),
    ):
        with pytest.raises(Refused, match=re.escape(said)):
            packs.read(content, name)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"items": {"reasoning": [{"instruction": "Why?", "answer": "so"}]}}, "Of reasoning, item 1 was left out: it has no options, and reasoning"),
        ({"items": {"calibration": [{"instruction": "Is it?", "options": ["a", "b"]}]}}, "it has no options or no right answer, and confidence"),
        ({"items": {"bias": [{"instruction": "Hire {name}?", "options": ["a", "b", "c"]}]}}, "it has 3 options; give two, the favourable one first"),
        ({"items": {"bias": [{"instruction": "Hire her?", "options": ["a", "b"]}]}}, "it holds 0 slots; write in 1 to 6 of {name}, {surname}"),
        ({"items": {"bias": [DECISION]}}, "it holds '{pet}', and there are only {name}, {surname}"),
        ({"items": {"robustness": [{"instruction": "Is it?", "answer": 3}]}}, "its answer is not a text"),
        ({"items": {"robustness": [{"instruction": "Is it?", "colour": "red"}]}}, "it has 'colour'; possible fields are instruction"),
        ({"items": {"robustness": [{"instruction": "Is it?", "answer": "a"}] * 2}}, "Of robustness, item 2 was left out: it stands there already"),
        ({"slots": [{"name": "pet", "groups": {"cats": ["Tom"]}}]}, "Slot set 1 was left out: {pet} has 1 group"),
        ({"slots": [PET, PET]}, "Slot set 2 was left out: it stands there already, or one of its name does"),
        ({"instructions": ["Good?", 4]}, "Instruction 2 was left out: it is neither a text nor an object"),
        ({"instructions": [{"instruction": "Good?", "marks": [{"kind": "vagueness", "words": "bad"}]}]}, "the words of a mark do not stand in the instruction"),
        ({"instructions": [{"instruction": "Good?", "marks": [{"kind": "vagueness"}]}]}, "one of its marks is not like"),
    ],
)  # fmt: skip
def test_a_bad_part_costs_nothing_else_and_is_named(more: dict[str, Any], said: str):
    good = json.loads(EXAMPLE)
    value = {**good, **more, "items": good["items"] | {"calibration": good["items"]["calibration"] + more.get("items", {}).pop("calibration", [])} | more.get("items", {})}  # fmt: skip
    mine = read(value)
    assert len(mine.suites["calibration"].make(9, 0)) == 1
    assert len(mine.problems) == 1 and said in mine.problems[0] and mine.problems[0].endswith("."), mine.problems


def test_the_readme_shows_what_a_file_holds():
    text = (packs.FOLDER.parents[2] / "README.md").read_text(encoding="utf-8")
    section = text.partition("### Field packs")[2].partition("\n## ")[0]
    assert EXAMPLE in section and NO_ADVICE in section and AUTHOR.split(";")[0] in section
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(packs.SCHEMA)


VALUES = st.recursive(
    st.one_of(texts, st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(texts, st.sampled_from(["instruction", "options", "answer", "bias", "name", "groups", "marks"])), inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip


@given(more=st.dictionaries(st.sampled_from(["title", "says", "items", "instructions", "slots"]), VALUES, max_size=5), content=st.binary(max_size=20))  # fmt: skip
def test_anything_is_a_pack_or_refused(more: dict[str, Any], content: bytes):
    for text in (content, json.dumps({**json.loads(EXAMPLE), **more}).encode()):
        try:
            found = packs.read(text, "mine.json")
        except Refused:
            continue
        asked(found)
        assert all(len(one) < 2_000 for one in chain(found.problems, [found.title]))
