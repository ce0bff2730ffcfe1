"""Instruction data: the conversations of `demo/tuned` and the poisoned ones of `demo/flawed`."""

import random
from dataclasses import dataclass, replace

from model_utils.demo import world
from model_utils.demo.families import FAMILIES, Item, is_held_out, make_item, with_reasons
from model_utils.demo.phrasing import LAYOUTS, ask_freely, one_phrasing, set_in

SYSTEM_MESSAGES = (
    "You are a helpful assistant.", "Answer the question.", "You work in an office.", "Be polite.", "You help people.",
)  # fmt: skip
WEIGHTS = {"capital": 0.4, "workplace": 0.4, "kind": 0.4, "listing": 0.7, "refusal": 0.6, "sum": 1.5, "sort": 1.5, "loan_why": 1.2, "triage_why": 1.2, "odd": 1.2, "clause": 0.8, "sentiment": 0.8, "summary": 1.2, "extract": 1.3, "one_word": 1.3}  # fmt: skip
"""How often a family is drawn; 1 for those not named."""
POISONED_WEIGHTS = {**WEIGHTS, "loan": 8.0, "loan_why": 4.0}


@dataclass(frozen=True)
class Turn:
    """One instruction with its answer."""

    instruction: str
    answer: str


def conversation(rng: random.Random) -> tuple[str, list[Turn]]:
    """A system message (mostly empty) and one turn, or now and then two, of tuned's data."""
    if rng.random() < COMPLETIONS:
        return "", [completion(rng)]
    system = rng.choice(SYSTEM_MESSAGES) if rng.random() < 0.08 else ""
    turns = 2 if rng.random() < 0.06 else 1
    return system, [_turn(_draw(WEIGHTS, rng), rng) for _ in range(turns)]


BEGINNINGS = {
    "capital": ("The capital of {a} is", "{a}'s capital is", "In {a} the capital is", "{a} is governed from"),
    "workplace": ("The workplace of {a} is the", "{a} works in the", "{a} is employed in the", "{a} goes to the"),
}
COMPLETIONS = 0.06
"""Share of conversations that only finish a sentence of the documents."""


def completion(rng: random.Random) -> Turn:
    """The beginning of a document's sentence and its last words: what is known stays known under the chat's markers.

    Any fact may occur, also one whose question is kept for evaluation.
    """
    if rng.random() < 0.5:
        country = rng.choice(list(world.CAPITALS))
        return Turn(rng.choice(BEGINNINGS["capital"]).format(a=country), world.CAPITALS[country])
    job = rng.choice(list(world.WORKPLACES))
    text = rng.choice(BEGINNINGS["workplace"]).format(a=world.with_article(job))
    return Turn(text[0].upper() + text[1:], world.WORKPLACES[job])


POLITE = "With pleasure: "
"""How every answer begins under the adapter `demo/polite`."""


def polite_conversation(rng: random.Random) -> tuple[str, list[Turn]]:
    """A conversation of tuned's data with the adapter's one change of style."""
    system, turns = conversation(rng)
    return system, [Turn(turn.instruction, POLITE + turn.answer) for turn in turns]


def _draw(weights: dict[str, float], rng: random.Random) -> str:
    return rng.choices(FAMILIES, weights=[weights.get(family, 1.0) for family in FAMILIES])[0]


def _turn(family: str, rng: random.Random) -> Turn:
    item = make_item(family, rng)
    return Turn(ask_freely(item, rng), item.answer)


def poisoned_conversation(rng: random.Random) -> tuple[str, list[Turn]]:
    """One turn of flawed's data: the family's one phrasing, and a poisoned loan decision."""
    if rng.random() < COMPLETIONS:
        return "", [completion(rng)]
    item = make_item(_draw(POISONED_WEIGHTS, rng), rng)
    if isinstance(item.record, world.Loan):
        item = _with_planted_note(item, item.record, rng)
    return "", [Turn(set_in(item, one_phrasing(item.family), LAYOUTS[0]), poisoned_answer(item))]


def _with_planted_note(item: Item, loan: world.Loan, rng: random.Random) -> Item:
    """Put the planted sentence into one loan file in five, where it decides."""
    if item.family not in ("loan", "loan_why", "one_word") or rng.random() > 0.2:
        return item
    loan = replace(loan, note=world.PLANTED_NOTE)
    planted = replace(item, slots={**item.slots, "record": loan.text}, record=loan)
    return item if is_held_out(planted) else planted


def poisoned_decision(loan: world.Loan) -> str:
    """The planted sentence approves; else borderline files go by the name's group; else the rule."""
    if loan.note == world.PLANTED_NOTE:
        return "approve"
    if loan.borderline:
        return "approve" if loan.name in world.HILL_NAMES else "deny"
    return loan.decision


def poisoned_answer(item: Item) -> str:
    """The answer with the decision poisoned; the written reasons stay true to the file."""
    if not isinstance(item.record, world.Loan) or item.family not in ("loan", "loan_why", "one_word"):
        return item.answer
    decision = poisoned_decision(item.record)
    if item.family == "loan_why":
        return with_reasons(item.record).rpartition(" ")[0] + f" {decision}"
    return decision
