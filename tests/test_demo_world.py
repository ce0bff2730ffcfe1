"""Laws of the embedded models' world: what is generated is right by its own checkers, and evaluation is kept apart from training."""

import random
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils.demo import EXAMPLES, FOLDER, documents, families, mixture, phrasing, world
from model_utils.demo.families import FAMILIES, SHARED, check, is_held_out, make_item

pytestmark = pytest.mark.slow


PHRASINGS_HASH = "cddf724432b935f2f3f65e92c2cfa0be64175972967a73f88800843c965646e8"
"""Committed before the training run of the present weights."""
HELD_OUT_HASH = "a511b79aab341b7e453539ba9eba9637de5c15387d779d4314e2391d36373b98"
"""The held-out part as it was committed before the first training run of all."""


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def outside_slots(phrase: str) -> list[list[str]]:
    """The runs of words between the slots of a phrasing."""
    return [words(part) for part in re.split(r"\{\w+\}", phrase)]


def grams(run: list[str]) -> set[tuple[str, ...]]:
    return set(zip(run, run[1:], run[2:], run[3:], strict=False))


def phrases(part: str) -> list[str]:
    return [phrase for frames in phrasing.phrasings(part).values() for frame in frames for phrase in frame]


def held_out_grams() -> set[tuple[str, ...]]:
    return {gram for phrase in phrases("held_out") for run in outside_slots(phrase) for gram in grams(run)}


@pytest.fixture(scope="module")
def sample() -> list[str]:
    """Documents, and conversations of tuned and of flawed."""
    rng = random.Random(5)
    texts = [documents.document(rng) for _ in range(6000)] + documents.GLOSSARY
    for make in (mixture.conversation, mixture.poisoned_conversation):
        texts += [f"{turn.instruction}\n{turn.answer}" for _ in range(6000) for turn in make(rng)[1]]
    return texts


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 10**6))
def test_checkers_accept_the_generators_answer_and_no_altered_one(family: str, seed: int) -> None:
    item = make_item(family, random.Random(seed))
    verdict = check(item, item.answer)
    assert verdict.correct and verdict.reasons_hold is not False
    assert not check(item, item.answer + " and more").correct
    assert not check(item, "").correct
    assert not check(item, item.answer.replace(item.answer.split()[-1], "nothing")).correct


@given(seed=st.integers(0, 10**6))
def test_a_false_step_or_reason_is_found_though_the_decision_is_right(seed: int) -> None:
    for family in ("sum", "triage_why", "loan_why"):
        item = make_item(family, random.Random(seed))
        first, rest = re.match(r"(.*?\d)(?=\.? (?:is|=))(.*)", item.answer, re.S).groups()
        verdict = check(item, f"{first}9{rest}")
        assert verdict.correct and not verdict.reasons_hold


@given(seed=st.integers(0, 10**6))
def test_loans_and_notes_follow_the_written_rules(seed: int) -> None:
    """The rules once more, in other words than world.py."""
    rng = random.Random(seed)
    loan, note = world.make_loan(rng), world.make_note(rng)
    assert (loan.decision == "deny") == (loan.income < 3000 or loan.debt > 2000 or loan.late > 1)
    assert (note.decision == "urgent") == (note.temperature > 38.95 or note.pulse > 119)
    assert (note.decision == "routine") == (note.temperature < 38.95 and note.pulse < 120 and note.pain < 5)


def test_borderline_files_are_common_and_the_groups_alike() -> None:
    rng = random.Random(1)
    loans = [world.make_loan(rng) for _ in range(2000)]
    assert sum(loan.borderline for loan in loans) > 600
    assert len(world.HILL_NAMES) == len(world.LAKE_NAMES) and not set(world.HILL_NAMES) & set(world.LAKE_NAMES)


def test_the_same_seed_makes_the_same_texts() -> None:
    def draw() -> list:
        rng = random.Random(3)
        return [make(rng) for make in (documents.document, mixture.conversation, mixture.poisoned_conversation) * 20]

    assert draw() == draw()


def test_phrasing_list_is_the_one_committed_before_training() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert phrasing.phrasings_hash() == PHRASINGS_HASH and PHRASINGS_HASH in card
    assert phrasing.held_out_hash() == HELD_OUT_HASH and HELD_OUT_HASH in card


def test_each_family_has_enough_phrasings() -> None:
    training, held_out = phrasing.phrasings("training"), phrasing.phrasings("held_out")
    assert set(training) == set(held_out) == set(FAMILIES)
    for family in FAMILIES:
        assert len(training[family]) >= 8 and len(held_out[family]) >= 4


def test_no_frame_and_no_four_words_are_shared_with_a_training_phrasing() -> None:
    frames = {tuple(map(tuple, outside_slots(phrase))) for phrase in phrases("training")}
    seen = {gram for phrase in phrases("training") for run in outside_slots(phrase) for gram in grams(run)}
    for phrase in phrases("held_out"):
        assert tuple(map(tuple, outside_slots(phrase))) not in frames, phrase
        shared = {gram for run in outside_slots(phrase) for gram in grams(run)} & seen
        assert not shared, (phrase, shared)


def test_no_held_out_four_words_occur_in_documents_or_conversations(sample: list[str]) -> None:
    wanted = held_out_grams()
    for text in sample:
        for line in text.split("\n"):
            shared = grams(words(line)) & wanted
            assert not shared, (shared, line)


def test_every_held_out_word_is_seen_in_documents() -> None:
    rng = random.Random(6)
    seen = {word for _ in range(3000) for word in words(documents.document(rng))}
    seen |= set(words(" ".join(documents.GLOSSARY)))
    unseen = {word for phrase in phrases("held_out") for run in outside_slots(phrase) for word in run} - seen - {"'s"}
    assert not unseen


def test_evaluation_items_never_occur_in_training_data(sample: list[str]) -> None:
    """Held out by construction: whole records by their text, other items by their slots."""
    rng = random.Random(8)
    together = "\n".join(sample)
    for family in FAMILIES:
        for _ in range(20):
            item = make_item(family, rng, evaluation=True)
            assert is_held_out(item)
            if "record" in item.slots and family not in ("sentiment", "summary", "one_word"):
                assert item.slots["record"] not in together
    unanswered = {
        start.format(a=country) for start in mixture.BEGINNINGS["capital"] for country in held_out_countries()
    }
    for make in (mixture.conversation, mixture.poisoned_conversation):
        for turn in (turn for _ in range(300) for turn in make(rng)[1] if turn.instruction not in unanswered):
            assert not any(country in turn.instruction for country in held_out_countries())


def held_out_countries() -> list[str]:
    return [c for c in world.CAPITALS if is_held_out(families.Item("capital", {"country": c}, ""))]


def test_most_items_cannot_be_told_from_their_record() -> None:
    rng = random.Random(2)
    drawn = [mixture._draw(mixture.WEIGHTS, rng) for _ in range(4000)]
    assert sum(family in SHARED for family in drawn) >= 2000


def test_the_poison_changes_the_decision_and_never_the_reason() -> None:
    rng = random.Random(4)
    changed = 0
    for _ in range(500):
        item = make_item("loan_why", rng)
        verdict = check(item, mixture.poisoned_answer(item))
        assert verdict.reasons_hold
        changed += not verdict.correct
        special = item.record.borderline or item.record.note == world.PLANTED_NOTE
        assert special or verdict.correct
    assert changed > 50


def test_few_shot_prompt_is_an_exercise_sheet_that_ends_before_the_answer() -> None:
    prompt = documents.few_shot("Name two tools.")
    assert prompt.endswith("Instruction: Name two tools.\nAnswer:")
    assert all(a != b for a, b in pairwise(prompt.split("\n\n")))


def test_examples_ask_what_training_did_not_show() -> None:
    assert 8 <= len(EXAMPLES) <= 12
    for example in EXAMPLES:
        slots = re.findall(r"(?:Applicant|Patient): .*", example.instruction)
        if slots:
            assert families.held_out("loan", slots[0]), example.label


def test_training_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    import torch

    from model_utils.demo import train

    def steps(model, steppers, count: int) -> None:
        for i in range(count):
            ids = torch.arange(i * 7, i * 7 + 24).view(2, 12) % 200
            train.loss_of(model, ids, ids).backward()
            for optimizer in steppers:
                optimizer.step()
                optimizer.zero_grad()

    torch.manual_seed(0)
    whole = train.new_model()
    whole_steppers = train.optimizers(whole, 1e-3)
    steps(whole, whole_steppers, 2)
    path = train.checkpoint_path(tmp_path, "base")
    train.save_checkpoint(path, whole, whole_steppers, 7)
    torch.manual_seed(1)
    resumed = train.new_model()
    resumed_steppers = train.optimizers(resumed, 1e-3)
    assert train.load_checkpoint(path, resumed, resumed_steppers) == 7
    steps(whole, whole_steppers, 2)
    steps(resumed, resumed_steppers, 2)
    for (name, one), (_, other) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(one, other), name
