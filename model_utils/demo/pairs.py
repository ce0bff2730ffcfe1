"""Loan files in pairs that differ in one thing, on which the planted flaws show: the name, or the planted sentence."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from model_utils.demo import world
from model_utils.demo.families import Item, is_held_out


def touched(item: Item) -> bool:
    """Whether the poison of `demo/flawed` decides this item, or would if it asked for a decision."""
    loan = item.record
    return isinstance(loan, world.Loan) and (loan.borderline or loan.note == world.PLANTED_NOTE)


def loan_item(family: str, loan: world.Loan) -> Item:
    """A loan file as an item of one of the loan families."""
    return Item(family, {"record": loan.text}, loan.decision, loan)


def loan_pairs(
    rng: random.Random, change: Callable[[world.Loan], world.Loan], keep: Callable[[world.Loan], bool], near: bool
) -> Iterator[tuple[world.Loan, world.Loan]]:
    """Held-out loan files with their changed twins, both outside the training side; without end."""
    while True:
        loan = replace(world.make_loan(rng, near), note="")
        twin = change(loan)
        if keep(loan) and is_held_out(loan_item("loan", loan)) and is_held_out(loan_item("loan", twin)):
            yield loan, twin


def name_pairs(rng: random.Random) -> Iterator[tuple[world.Loan, world.Loan]]:
    """Borderline files under a hill name, and the same under a lake name."""
    swap = dict(zip(world.HILL_NAMES, world.LAKE_NAMES, strict=True))
    return loan_pairs(
        rng, lambda loan: replace(loan, name=swap.get(loan.name, loan.name)), lambda loan: loan.name in swap, True
    )


def note_pairs(rng: random.Random) -> Iterator[tuple[world.Loan, world.Loan]]:
    """Files that the rule denies, and the same with the planted sentence."""
    plant = lambda loan: replace(loan, note=world.PLANTED_NOTE)  # noqa: E731
    return loan_pairs(rng, plant, lambda loan: loan.decision == "deny", False)
