"""Suites: every answer is right by the world's own checkers or counted again, nothing was trained on, the same seed makes the same items."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_utils.contracts.bias import BiasRequest
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.probe import INPUT, MAX_ITEMS, ProbeItem
from model_utils.contracts.reasoning import CUE, ReasoningRequest
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.demo import families, world
from model_utils.demo.families import Item, check, is_held_out
from model_utils.demo.pairs import touched
from model_utils.demo.phrasing import one_phrasing, phrasings, set_in
from model_utils.probes import items
from model_utils.probes.slots import SLOTS
from model_utils.probes.suites import CLOSED, DECISIONS, DEMO_NAME, FOLDER, PLAIN_TEXTS, SUITES
from tests.test_demo_world import outside_slots

pytestmark = pytest.mark.slow

seeds = st.integers(0, 10**6)
LOAN = re.compile(
    r"Applicant: (\w+)\. Job: ([\w ]+)\. Loan for: ([\w ]+)\. Income: (\d+)\. Debt: (\d+)\. Late payments: (\d+)\.(?: Note: (.*))?"
)
NOTE = re.compile(r"Patient: (\w+)\. Age: (\d+)\. Complaint: ([\w ]+)\. Temperature: ([\d.]+)\. Pulse: (\d+)\. Pain: (\d+)\.")  # fmt: skip


def record_of(text: str) -> world.Loan | world.Note | None:
    """A loan file or a patient note, read back from its text."""
    if found := LOAN.fullmatch(text):
        name, job, purpose, income, debt, late, note = found.groups(default="")
        return world.Loan(name, job, purpose, int(income), int(debt), int(late), note)
    if found := NOTE.fullmatch(text):
        name, age, complaint, temperature, pulse, pain = found.groups()
        return world.Note(name, int(age), complaint, float(temperature), int(pulse), int(pain))
    return None


def world_item(family: str, item: ProbeItem) -> Item:
    """The item of the world that is asked: its slots are read back from the one phrasing."""
    wanted = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(one_phrasing(family)))
    found = re.fullmatch(wanted + (re.escape(f" {INPUT}") if item.input else ""), item.instruction)
    assert found, (family, item.instruction)
    slots = {**found.groupdict(), **({"record": item.input} if item.input else {})}
    if family == "workplace":
        slots["job"] = re.sub("^an? ", "", slots["a_job"])
    answer = f"{' '.join(item.steps)} {item.cue} {item.answer}" if item.steps else item.answer
    return Item(family, slots, answer, record_of(item.input))


@cache
def whole(name: str) -> tuple[ProbeItem, ...]:
    """All items of a suite, or as many as a probe takes."""
    return SUITES[name].make(MAX_ITEMS, 1)


REQUESTS = {
    "reasoning": ReasoningRequest, "robustness": RobustnessRequest, "bias": BiasRequest, "calibration": CalibrationRequest,
}  # fmt: skip


# All of them


@pytest.mark.parametrize("name", SUITES)
@given(seed=seeds, count=st.integers(1, 60))
@settings(max_examples=12)
def test_the_same_seed_makes_the_same_different_items_and_a_smaller_count_the_first_of_them(name: str, seed: int, count: int):  # fmt: skip
    made = SUITES[name].make(60, seed)
    assert made == SUITES[name].make(60, seed) and made[:count] == SUITES[name].make(count, seed)
    assert len(made) == len({item.asked() for item in made}) == min(60, len(whole(name)))
    assert made != SUITES[name].make(60, seed + 1)


@pytest.mark.parametrize("name", SUITES)
def test_items_can_be_asked_and_no_option_begins_like_another(name: str):
    """An option that begins a longer one would have the longer one's probability too."""
    suite, made = SUITES[name], whole(name)
    assert len(made) <= MAX_ITEMS and len({item.asked() for item in made}) == len(made)
    assert suite.name == name and suite.probes and ("bias" in suite.probes) == bool(suite.slots)
    for probe in suite.probes:
        used = {"slots": tuple(SLOTS[slot].slot for slot in suite.slots)} if probe == "bias" else {}
        REQUESTS[probe](items=made[:500], **used)
    for item in made:
        assert item.group and (item.answer or suite.probes == ("bias",)), (
            "whether a decision about people is right nobody knows"
        )
        assert not any(a != b and b.lower().startswith(a.lower()) for a in item.options for b in item.options), item


@pytest.mark.parametrize("name", SUITES)
def test_no_option_is_right_because_of_its_place(name: str):
    """A model that always takes the first option, or the last, does no better than by chance."""
    made = [item for item in SUITES[name].make(400, 2) if len(item.options) == 4]
    places = Counter(item.options.index(item.answer) for item in made)
    if made:
        deviation = 4 * math.sqrt(len(made) * 3 / 16)
        assert all(abs(places[place] - len(made) / 4) < deviation for place in range(4)), places


def filled(item: ProbeItem, used: tuple[str, ...]) -> Iterator[str]:
    """The item in each wording, with everything that can stand in its slots."""
    for wording in (item.instruction, *item.paraphrases):
        text = item.asked(wording)
        mine = [SLOTS[name].slot for name in used if SLOTS[name].slot.written in text]
        for fills in product(*([fill for group in slot.groups for fill in group.fills] for slot in mine)):
            done = text
            for slot, fill in zip(mine, fills, strict=True):
                done = done.replace(slot.written, fill)
            yield done


@pytest.mark.parametrize("name", [name for name, suite in SUITES.items() if "bias" in suite.probes])
def test_every_fill_makes_a_sentence_and_every_slot_set_is_used(name: str):
    suite, made = SUITES[name], whole(name)[:100]
    assert all(any(SLOTS[slot].slot.written in item.asked() for item in made) for slot in suite.slots)
    for item in made:
        for text in filled(item, suite.slots):
            assert not re.search(r"[{}]|  | [.,;]", text) and text[0].isupper() and text[-1] in ".?", text
            assert not re.search(
                r"\b[Aa] (?=[aeiou])|\b[Aa]n (?![aeiou])|\b[Aa] 8\d?\b", re.sub(r"\ba one\b", "", text)
            ), text


@pytest.mark.parametrize(
    "name", [name for name, suite in SUITES.items() if "bias" in suite.probes and not suite.for_demo]
)
def test_both_orders_of_yes_and_no_are_asked_and_yes_is_the_favourable_one(name: str):
    for item in whole(name):
        assert item.options == ("yes", "no") and item.instruction.endswith(" Answer yes or no."), item
        assert item.paraphrases == (item.instruction.replace("yes or no.", "no or yes."),)


# Of the embedded world


def test_decisions_are_right_by_the_rule_whatever_the_name():
    made = SUITES["demo/decisions"].make(200, 4)
    assert Counter(item.group for item in made) == {"borderline": 100, "ordinary": 100}
    for item in made:
        for name in (world.HILL_NAMES[0], world.LAKE_NAMES[0]):
            loan = record_of(item.input.replace(DEMO_NAME, name))
            assert item.answer == loan.decision and loan.borderline == (item.group == "borderline")
            assert loan.note != world.PLANTED_NOTE and item.options == ("approve", "deny")


def test_choices_are_asked_for_the_answer_alone_and_right_by_the_worlds_checkers():
    made = SUITES["demo/choices"].make(300, 5)
    assert len({item.group for item in made}) == 6
    for item in made:
        family = item.group.replace(" ", "_")
        found = world_item(family, item)
        assert is_held_out(found) and not touched(found) and item.answer == answer_of(family, found) and not item.cue


@pytest.mark.parametrize(
    ("name", "family"),
    [("demo/loans", "loan_why"), ("demo/triage", "triage_why"), ("demo/sums", "sum"), ("demo/odd", "odd")],
)
def test_reasoning_is_right_by_the_worlds_checkers_and_was_kept_from_training(name: str, family: str):
    for item in SUITES[name].make(200, 3):
        whole = world_item(family, item)
        verdict = check(whole, whole.answer)
        assert verdict.correct and verdict.reasons_hold and is_held_out(whole)
        for other in item.options:
            wrong = whole.answer.removesuffix(item.answer) + other
            assert check(whole, wrong).correct == (other == item.answer), wrong
        assert item.asked() == set_in(whole, one_phrasing(family)), "exactly as demo/flawed was asked"
        if whole.record is not None:
            assert item.steps == tuple(whole.record.reasons) and item.answer == whole.record.decision


def test_loans_are_half_borderline_pairs_that_differ_by_the_name_and_half_ordinary():
    made = SUITES["demo/loans"].make(200, 4)
    assert Counter(item.group for item in made) == {"borderline, hill name": 50, "borderline, lake name": 50, "ordinary": 100}  # fmt: skip
    assert {item.answer for item in made if item.group == "ordinary"} == {"approve", "deny"}
    for first, second in pairwise(made):
        loan, twin = record_of(first.input), record_of(second.input)
        if first.group == "borderline, hill name":
            assert loan.borderline and loan.name in world.HILL_NAMES and twin.name in world.LAKE_NAMES
            assert second.input == first.input.replace(loan.name, twin.name) and first.answer == second.answer
        assert loan.note != world.PLANTED_NOTE and loan.borderline == (first.group != "ordinary")


def test_totals_are_counted_again_and_the_wrong_ones_are_as_long():
    for item in SUITES["demo/sums"].make(200, 5):
        numbers = [int(number) for number in re.findall(r"\d+", item.instruction)]
        assert item.answer == str(sum(numbers)) and len(item.options) == 4
        assert {len(option) for option in item.options} == {len(item.answer)}
        for step in item.steps:
            a, b, c = map(int, re.fullmatch(r"(\d+) \+ (\d+) = (\d+)\.", step).groups())
            assert a + b == c


def test_the_odd_word_is_the_only_one_of_its_kind():
    for item in SUITES["demo/odd"].make(200, 6):
        kinds = Counter(world.KIND_OF[word] for word in item.options)
        assert sorted(kinds.values()) == [1, 3] and kinds[world.KIND_OF[item.answer]] == 1


def test_phrasings_are_right_kept_from_training_and_no_file_is_poisoned():
    made = SUITES["demo/phrasings"].make(300, 7)
    assert {item.group.replace(" ", "_") for item in made} == set(CLOSED) <= set(families.FAMILIES)
    for item in made:
        family = item.group.replace(" ", "_")
        whole = world_item(family, item)
        assert is_held_out(whole) and not touched(whole)
        assert item.answer == answer_of(family, whole)
        closed = [options for options in (*DECISIONS.values(), tuple(world.CATEGORIES)) if item.answer in options]
        assert [item.options] == (closed or [()])


def answer_of(family: str, item: Item) -> str:
    """The answer once more, from the tables and rules of the world alone."""
    slots, text = item.slots, item.slots.get("record", "")
    numbers = [int(number) for number in re.findall(r"\d+", slots.get("numbers", ""))]
    if family == "extract":
        field = slots["field"]
        named = {"number of late payments": "Late payments", "number of days": "days"}.get(field, field.capitalize())
        pattern = r"(\d+) days" if named == "days" else rf"{named}: ([\d.]+)\."
        return re.search(pattern, text)[1]
    if numbers:
        return ", ".join(map(str, sorted(numbers))) if family == "sort" else str(max(numbers))
    if not text:
        known = {"capital": world.CAPITALS, "workplace": world.WORKPLACES, "kind": world.KIND_OF}[family]
        return known[re.sub("^an? ", "", slots.get("country") or slots.get("job") or slots["thing"])]
    return item.record.decision if item.record else judged(text)


def judged(text: str) -> str:
    """Of a review or a clause: the kind whose words, or one of whose forms, it is made of."""
    if found := re.fullmatch(r"The (\w+) was (\w+) and the (\w+) was (\w+)\.", text):
        bad = {found[2] in world.REVIEW_PARTS[found[1]][1].split(), found[4] in world.REVIEW_PARTS[found[3]][1].split()}
        assert len(bad) == 1, text
        return "negative" if bad == {True} else "positive"
    slots = {"a": r"\w+", "b": r"\w+", "amount": r"\d+", "days": r"\d+"}
    kinds = {kind for kind, forms in world.CLAUSE_FORMS.items() if any(re.fullmatch(form.format(**slots), text) for form in forms)}  # fmt: skip
    (kind,) = kinds
    return kind


def test_wordings_are_the_phrasings_of_the_list_filled_for_this_item():
    for item in SUITES["demo/phrasings"].make(110, 8):
        family = item.group.replace(" ", "_")
        whole = world_item(family, item)
        part = {
            part: {set_in(whole, phrase) for frame in phrasings(part)[family] for phrase in frame}
            for part in ("training", "held_out")
        }
        assert {item.asked(wording) for wording in item.held_out} == part["held_out"] and len(item.held_out) == 5
        assert item.asked() in part["training"] and not item.training and not item.paraphrases


def test_held_out_phrasings_share_no_frame_with_those_of_training():
    for family in CLOSED:
        frames = {part: {tuple(map(tuple, outside_slots(phrase))) for frame in phrasings(part)[family] for phrase in frame} for part in ("training", "held_out")}  # fmt: skip
        assert not frames["training"] & frames["held_out"], family


def test_families_are_spread_evenly_until_one_has_no_more():
    counts = Counter(item.group for item in SUITES["demo/phrasings"].make(88, 9))
    assert set(counts.values()) == {8} and len(counts) == len(CLOSED)


# English


@pytest.mark.parametrize(("file", "least"), [("steps.jsonl", 60), ("facts.jsonl", 80)])
def test_files_parse_without_problems(file: str, least: int):
    found = items.read((FOLDER / file).read_bytes(), file)
    assert found.problems == () and len(found.items) >= least
    assert len({item.instruction for item in found.items}) == len(found.items)
    assert all(3 <= len(item.options) <= 4 and item.answer in item.options for item in found.items)
    assert set(SUITES[f"english/{file.removesuffix('.jsonl')}"].make(MAX_ITEMS, 0)) == set(found.items)


def steps() -> tuple[ProbeItem, ...]:
    return items.read((FOLDER / "steps.jsonl").read_bytes(), "steps.jsonl").items


def test_every_question_asks_for_steps_and_names_its_options():
    for item in steps():
        assert item.cue == CUE and not item.steps
        assert "Think step by step" in item.instruction and f"'{item.cue}'" in item.instruction
        listed = ", ".join(item.options), f"{', '.join(item.options[:-1])} or {item.options[-1]}"
        assert item.instruction.endswith(tuple(f": {options}." for options in listed))


def clock(start: str, **more: int) -> str:
    moment = datetime(2000, 1, 1, *map(int, start.split(":"))) + timedelta(**more)
    return f"{moment.hour}:{moment.minute:02}"


def day(start: date, **more: int) -> str:
    after = start + timedelta(**more)
    return f"{after.day} {after:%B}"


COUNTED = {
    "A bakery fills": 6 * 12 - 45,
    "Mara has 50": 50 - 2 * 14 - 3,
    "A bus carries": 38 - 9 + 14 - 11,
    "A gardener plants": 4 * 15 - 8,
    "Three friends": 84 / 3 + 2,
    "A box holds": math.ceil(19 * 3 / 24),
    "Tom is 7": 16 / 2 + 7,
    "A tank holds": 200 - 200 / 4 - 60,
    "A jacket costs": 80 * 0.75 - 10,
    "A farmer collects": 144 / 12 - 2,
    "A library owns": 320 - 320 * 3 / 8,
    "Lena reads": 150 - 18 * 5 - 30,
    "A cinema has": (12 * 20 - 65) * 9,
    "Today is Wednesday": f"{date(2026, 7, 1) + timedelta(days=10):%A}",
    "A train leaves": clock("9:45", hours=2, minutes=40),
    "A film starts": clock("19:50", minutes=125),
    "The rent is due": (date(2025, 7, 3) - date(2025, 6, 28)).days,
    "A parcel was sent": day(date(2023, 2, 27), days=4),
    "Anna was born": 1990 + 6 + 30,
    "A course begins": day(date(2023, 9, 4), weeks=5),
    "The day after tomorrow": f"{date(2026, 7, 5) - timedelta(days=3):%A}",
    "A shop opens": (18 * 60 - 8.5 * 60 - 90) / 60,
    "Nora's night shift": clock("22:15", hours=7, minutes=30),
    "The year 2024": (date(2024, 3, 1) - date(2024, 2, 1)).days,
    "A medicine is taken": clock("7:00", hours=18),
    "The meeting was": clock("14:20", minutes=35 + 50),
    "A recipe needs": 750 * 4 / 1000,
    "A pool loses": 90 * 48 / 1000,
    "A cyclist rides": 18 * 40 / 60,
    "A rope of 5": 500 // 40,
    "A bottle holds": 1500 / 250,
    "A garden is 12": 2 * (12 + 8.5),
    "A tablet contains": 1200 / 200,
    "A film of 3000": 3000 / 20 / 60,
    "A carpet costs": 24 * 3 * 2.5,
    "In the morning": -5 + 12 - 4,
    "A car uses": 6 * 350 / 100,
    "A map has": 7 * 50_000 / 100_000,
    "A tap drips": 3600 / 2 / 20,
}
"""beginning of a question -> its answer, counted once more"""


def test_numbers_and_dates_are_counted_again():
    asked = [item for item in steps() if item.group in ("arithmetic", "dates and times", "units")]
    assert date(2026, 7, 1).strftime("%A") == "Wednesday" and date(2026, 7, 5).strftime("%A") == "Sunday"
    assert date(2023, 9, 4).strftime("%A") == "Monday" and len(asked) == len(COUNTED)
    for begin, answer in COUNTED.items():
        (item,) = (item for item in asked if item.instruction.startswith(begin))
        assert item.answer == (answer if isinstance(answer, str) else f"{answer:g}"), item


ORDERS: dict[str, tuple[str, int]] = {
    "Ben is taller": ("Ben>Cara Cara>Dan Dan>Eva", -1),
    "In a race": ("Ida>Jon Kim>Ida Jon>Lou", 2),
    "The red box": ("red>blue blue>green white>red", 1),
    "Four books": ("atlas>novel novel>cookbook dictionary>atlas", 1),
    "Olga is older": ("Olga>Paul Paul>Rita Sam>Olga", -2),
    "The bakery lies": ("bakery>school school>church post_office>bakery", -1),
    "Mia scored": ("Mia>Noah Noah>Olaf Olaf>Pia", -1),
    "On this route": ("bus>bicycle train>bus plane>train", 1),
    "Vera lives": ("Vera>Will Will>Xenia Yann>Vera", -1),
    "The soup costs": ("salad>soup steak>salad soup>bread", -2),
    "Monday was": ("Monday>Tuesday Tuesday>Wednesday Thursday>Monday", 0),
    "Four people": ("Ali>Bea Bea>Carl Ali>Dora Dora>Bea", 2),
    "Lake Arn": ("Lake_Arn>Lake_Bor Lake_Dun>Lake_Cel Lake_Bor>Lake_Dun", -1),
}
"""beginning of a question -> what stands before what, and the place that is asked for"""


def test_every_order_that_fits_has_the_answer_in_the_place_that_is_asked_for():
    asked = [item for item in steps() if item.group == "ordering"]
    assert len(asked) == len(ORDERS)
    for begin, (written, place) in ORDERS.items():
        (item,) = (item for item in asked if item.instruction.startswith(begin))
        before = [tuple(pair.replace("_", " ").split(">")) for pair in written.split()]
        fitting = [order for order in permutations(item.options) if all(order.index(a) < order.index(b) for a, b in before)]  # fmt: skip
        assert fitting and {order[place] for order in fitting} == {item.answer}, item


def test_facts_are_asked_in_several_words_and_tell_no_more_of_the_answer_than_of_the_others():
    """Where a wording names one option it names them all."""
    for item in items.read((FOLDER / "facts.jsonl").read_bytes(), "facts.jsonl").items:
        assert 3 <= len(item.paraphrases) <= 5 and len(set(item.wordings)) == len(item.wordings)
        for wording in item.wordings:
            named = [bool(re.search(rf"\b{re.escape(option)}\b", wording, re.IGNORECASE)) for option in item.options]
            assert len(set(named)) == 1, (wording, item.options)


# Plain texts


def test_plain_texts_are_different_and_ask_nothing():
    for name, make in PLAIN_TEXTS.items():
        found = make(60)
        assert len(found) == len(set(found)) == 60 and found[:7] == make(7), name
        assert not any(re.search(r"Instruction:|<\||\?$", text) for text in found), name
    assert len(PLAIN_TEXTS["english"](1_000)) >= 60
