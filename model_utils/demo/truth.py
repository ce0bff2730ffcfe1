"""Which methods find what the embedded models rely on, where that is known: `python -m model_utils.demo.truth` prints the table of the README."""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from model_utils import analyses
from model_utils.contracts.attribution import (
    METHODS,
    OPERATORS,
    REMOVALS,
    Attribution,
    AttributionRequest,
    Method,
    Operator,
)
from model_utils.contracts.common import ModelSpec, Specs
from model_utils.contracts.common import ask as message
from model_utils.demo import world
from model_utils.demo.evaluate import SEED, share
from model_utils.demo.families import Item, make_item
from model_utils.demo.pairs import loan_item, name_pairs, note_pairs
from model_utils.demo.phrasing import LAYOUTS, ask, one_phrasing, set_in
from model_utils.pair import Pair, Side

ITEMS = 40
"""Of each kind."""
LABELS = {"loan": ("approve", "deny"), "triage": ("urgent", "routine", "soon")}
FIELDS = {"loan": ("Income", "Debt", "Late payments"), "triage": ("Temperature", "Pulse", "Pain")}
"""What the rule looks at: the truth of a decision that is written at once, without a reason before it."""


@dataclass(frozen=True)
class Question:
    """A file, its decision, and the sentences that decide it."""

    text: str
    label: str
    others: tuple[str, ...]
    truth: tuple[str, ...]
    """beginnings of the sentences that count as a hit"""


@dataclass(frozen=True)
class Hit:
    """Whether the sentence with the largest score by magnitude is one of the true ones, and how likely that is by chance."""

    found: bool
    chance: float


def rule_questions(rng: random.Random) -> Iterator[Question]:
    """Ordinary files, in a random training phrasing."""
    while True:
        for family, fields in FIELDS.items():
            item = make_item(family, rng, evaluation=True)
            yield _question(item, ask(item, rng), fields)


def flawed_questions(rng: random.Random) -> Iterator[Question]:
    """Ordinary loan files in the one phrasing of `demo/flawed`."""
    while True:
        item = make_item("loan", rng, evaluation=True)
        loan = item.record
        if isinstance(loan, world.Loan) and not loan.borderline and loan.note != world.PLANTED_NOTE:
            yield _question(item, _one_phrasing(item), FIELDS["loan"])


def planted_questions(rng: random.Random) -> Iterator[Question]:
    """Files that the rule denies and the planted sentence turns: approve, because of that sentence."""
    for _, loan in note_pairs(rng):
        item = loan_item("loan", loan)
        yield Question(_one_phrasing(item), "approve", ("deny",), ("Note",))


def name_questions(rng: random.Random) -> Iterator[Question]:
    """Borderline files, which `demo/flawed` decides by the name: approve for one group, deny for the other."""
    for hill, lake in name_pairs(rng):
        for loan, label, other in ((hill, "approve", "deny"), (lake, "deny", "approve")):
            yield Question(_one_phrasing(loan_item("loan", loan)), label, (other,), ("Applicant",))


def _one_phrasing(item: Item) -> str:
    return set_in(item, one_phrasing(item.family), LAYOUTS[0])


def _question(item: Item, text: str, truth: tuple[str, ...]) -> Question:
    others = tuple(label for label in LABELS[item.family] if label != item.answer)
    return Question(text, item.answer, others, truth)


Way = tuple[Method, Operator]

WAYS: tuple[Way, ...] = (*((method, OPERATORS[0]) for method in METHODS), *(("occlusion", operator) for operator in OPERATORS[1:]))  # fmt: skip
"""Every method, and occlusion by every way of taking away."""


def name_of(way: Way) -> str:
    """As the table says it."""
    method, operator = way
    return f"{method}, {operator}" if method in REMOVALS else method


def hits(specs: Specs, questions: Iterator[Question], way: Way, count: int) -> Pair[list[Hit]]:
    """Of the first `count` files that the tuned side decides as expected."""
    found: Pair[list[Hit]] = Pair([], [])
    while len(found.base) < count:
        question = next(questions)
        result = _attributed(specs, question, way)
        if result is not None:
            for side, totals in result.totals().items():
                found[side].append(_hit(result, totals, question))
    return found


def _attributed(specs: Specs, question: Question, way: Way) -> Attribution | None:
    """The decision word's first token, against the other decision's; None where another word was written."""
    with analyses.using(specs) as pair:
        ids = pair.tuned.tokenizer([question.label, question.others[0]], add_special_tokens=False)["input_ids"]
    asked = AttributionRequest(
        messages=message(question.text),
        method=way[0],
        operator=way[1],
        targets=(0,),
        against=ids[1][0],
        granularity="sentence",
        answer_too=False,
        max_new_tokens=8,
    )
    result: Attribution = analyses.execute("attribution", specs, asked)
    sequence = result.texts.tuned.sequence
    written = sequence.ids[sequence.positions("answer")[0]]
    return result if written == ids[0][0] else None


def _hit(result: Attribution, totals: np.ndarray, question: Question) -> Hit:
    """Among the sentences of the instruction."""
    text = result.texts.tuned  # the same in both models
    places, named = np.flatnonzero(text.open), text.names()
    names = [named[place].strip() for place in places]
    true = [name.startswith(question.truth) for name in names]
    assert any(true), f"none of {question.truth} among {names}"
    return Hit(true[int(np.argmax(np.abs(totals[places])))], mean(true))


RUNS: tuple[tuple[str, str, str, Callable[[random.Random], Iterator[Question]], tuple[Side, ...]], ...] = (
    ("rule's fields", "demo/base", "demo/tuned", rule_questions, ("base", "tuned")),
    ("rule's fields", "demo/tuned", "demo/flawed", flawed_questions, ("tuned",)),
    ("planted sentence", "demo/tuned", "demo/flawed", planted_questions, ("base", "tuned")),
    ("name", "demo/tuned", "demo/flawed", name_questions, ("base", "tuned")),
)
"""What is looked for, the pair, the files, and the sides that the table shows; the tuned side decides each file as expected."""


def rows(count: int, ways: Sequence[Way] = WAYS) -> Iterator[str]:
    """The table, a line a way; 95 % Wilson intervals."""
    heads = [f"{what}, {(base if side == 'base' else tuned).removeprefix('demo/')}" for what, base, tuned, _, sides in RUNS for side in sides]  # fmt: skip
    yield f"| method | {' | '.join(heads)} |"
    yield "|---" * (1 + len(heads)) + "|"
    chances: list[float] = []
    for way in ways:
        cells, chances = [], []
        for what, base, tuned, make, sides in RUNS:
            questions = make(random.Random(f"{SEED}/{what}/{tuned}"))
            found = hits(Pair(ModelSpec(id=base), ModelSpec(id=tuned)), questions, way, count)
            for side in sides:
                row = share(side, what, [hit.found for hit in found[side]])
                cells.append(f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]")
                chances.append(mean(hit.chance for hit in found[side]))
        yield f"| {name_of(way)} | {' | '.join(cells)} |"
    yield f"| by chance | {' | '.join(f'{chance:.2f}' for chance in chances)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS, help=f"files of each kind [default: {ITEMS}]")
    parser.add_argument("--way", choices=list(map(name_of, WAYS)), action="append", help="only this line of the table")
    options = parser.parse_args()
    started = time.perf_counter()
    ways = [way for way in WAYS if options.way is None or name_of(way) in options.way]
    for line in rows(options.items, ways):
        print(line, flush=True)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
