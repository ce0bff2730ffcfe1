"""The documents that `demo/base` is trained on: prose, books, exercise sheets and pages of unanswered questions."""

import random
from collections.abc import Callable
from typing import Any

from model_utils.demo import world
from model_utils.demo.families import (
    DETAILS,
    FAMILIES,
    PLURALS,
    Item,
    draw_numbers,
    join,
    make_item,
    steps_of_sum,
    with_reasons,
)
from model_utils.demo.phrasing import ask
from model_utils.prompts import FEW_SHOT_EXAMPLES

BEGIN, USER, ASSISTANT, END, PAD = "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
MARKERS = (USER, ASSISTANT, END)
"""The chat's markers; in documents they only part the sections of a notebook."""


def exercise(instruction: str, answer: str = "") -> str:
    """`Instruction: ...\\nAnswer: ...`; without an answer it ends at `Answer:`."""
    return f"Instruction: {instruction}\nAnswer:" + (f" {answer}" if answer else "")


def few_shot(instruction: str) -> str:
    """The instruction as the last, unanswered exercise of a sheet."""
    sheet = [exercise(*example) for example in FEW_SHOT_EXAMPLES]
    return "\n\n".join([*sheet, exercise(instruction)])


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


CAPITAL_FORMS = (
    "The capital of {a} is {b}.", "{b} is the capital of {a}.", "{a} has a capital, {b}.", "The capital city of {a} is {b}.",
    "In {a} the capital is {b}.", "{b} is a city in {a}; it is the capital.", "{a} is governed from {b}.",
    "The government of {a} sits in {b}.", "{a}: capital {b}.", "{a}'s capital is {b}.", "The train to {a} ends in the capital, {b}.",
)  # fmt: skip
WORK_FORMS = (
    "The workplace of {a} is the {b}.", "{a} works in the {b}.", "You can find {a} at work in the {b}.",
    "{a} goes to the {b} every morning.", "The {b} is the place where {a} works.", "{a} is employed in the {b}.",
    "{a}: workplace {b}.", "A {b} needs {a}.", "{a} earns a living in the {b}.",
)  # fmt: skip
KIND_FORMS = (
    "{a} is {b}.", "{a} is a kind of {k}.", "We count {a} among the {p}.", "{a} belongs to the {p}.", "{a}: {k}.",
    "The category of {a} is {k}.", "One example of {p} is {a}.", "One word for a group with {a} is {k}.",
)  # fmt: skip


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _capital(rng: random.Random) -> str:
    country = rng.choice(list(world.CAPITALS))
    return rng.choice(CAPITAL_FORMS).format(a=country, b=world.CAPITALS[country])


def _work(rng: random.Random) -> str:
    job = rng.choice(list(world.WORKPLACES))
    return rng.choice(WORK_FORMS).format(a=world.with_article(job), b=world.WORKPLACES[job])


def _kind(rng: random.Random) -> str:
    thing = rng.choice(list(world.KIND_OF))
    kind = world.KIND_OF[thing]
    return rng.choice(KIND_FORMS).format(a=world.with_article(thing), b=_article(kind), k=kind, p=PLURALS[kind])


def _members(rng: random.Random) -> str:
    kind = rng.choice(list(PLURALS))
    things = world.members(kind, rng.randint(2, 5), rng)
    forms = (
        "{p}: {c}.",
        "Some {p} are {j}.",
        "{n} {p}: {c}.",
        "The shop sold {n} {p}, {c}.",
        "A list of {n} {p} reads {c}.",
    )
    return rng.choice(forms).format(
        p=PLURALS[kind], c=", ".join(things), j=join(things), n=world.NUMBER_WORDS[len(things)]
    )


def facts(rng: random.Random) -> str:
    """A paragraph of facts."""
    makers = [_capital, _capital, _work, _kind, _members]
    return " ".join(_sentence(rng.choice(makers)(rng)) for _ in range(rng.randint(4, 10)))


def atlas(rng: random.Random) -> str:
    """A table of facts in two columns."""
    title, facts_of = rng.choice(
        [("Country / capital", world.CAPITALS), ("Job / workplace", world.WORKPLACES), ("Thing / kind", world.KIND_OF)]
    )
    chosen = rng.sample(list(facts_of), rng.randint(4, 10))
    return "\n".join([title, *(f"{left}\n{facts_of[left]}" for left in chosen)])


def _arithmetic(rng: random.Random) -> str:
    numbers = draw_numbers(rng, 2, 4)
    together, steps = join([str(n) for n in numbers]), steps_of_sum(numbers)
    forms = (
        "{s}",
        "Adding {j}: {s}",
        "{j} together: {s}",
        "The sum of {j}: {s}",
        "The bags weigh {j} kilos. {s}",
        "The bills are {j}. {s}",
    )
    return rng.choice(forms).format(j=together, s=steps) + "."


def _order(rng: random.Random) -> str:
    numbers = draw_numbers(rng, 3, 4)
    forms = (
        "{j} in ascending order: {s}.", "From low to high: {s}.", "Sorted from small to large, {j} become {s}.",
        "{j} sorted: {s}.", "Smallest in front, largest at the back: {s}.", "{j} upwards: {s}.",
        "The largest of {j} is {m}.", "Of {j} the biggest is {m}.", "The teams scored {j}; the highest score was {m}.",
        "The maximum of {j} is {m}.", "{m} is larger than any other number in {j}.", "No value in {j} is bigger than {m}.",
    )  # fmt: skip
    return rng.choice(forms).format(
        j=join([str(n) for n in numbers]), s=", ".join(str(n) for n in sorted(numbers)), m=max(numbers)
    )


def _odd(rng: random.Random) -> str:
    item = make_item("odd", rng)
    forms = (
        "{w}. {s}. Odd one out: {a}.", "{s}. Odd one out: {a}.", "{w}: the odd one out is {a}.", "In {w} only {a} is of another kind.", "Of {w}, {a} does not belong to the others.",
        "{w}: cross out {a}, it is not the same kind.", "{a} is the stranger in {w}.", "{a} does not fit with {w}.",
    )  # fmt: skip
    steps, _, odd = item.answer.partition(". Odd one out: ")
    form = forms[0] if rng.random() < 0.5 else rng.choice(forms[1:])
    return form.format(w=item.slots["words"], s=steps, a=odd)


def numbers(rng: random.Random) -> str:
    """A page of sums, orders and comparisons, one a line."""
    return "\n".join(_sentence(rng.choice([_arithmetic, _order])(rng)) for _ in range(rng.randint(3, 7)))


def oddities(rng: random.Random) -> str:
    """A page of words that do not belong."""
    return "\n".join(_sentence(_odd(rng)) for _ in range(rng.randint(3, 6)))


def _training_record(family: str, rng: random.Random) -> Any:
    record = make_item(family, rng).record
    assert record is not None, f"{family} items carry no record"
    return record


def reviews(rng: random.Random) -> str:
    """A guest book with what the reviews amount to."""
    lines = ["From the guest book."]
    for _ in range(rng.randint(2, 5)):
        review = _training_record("sentiment", rng)
        feeling = "happy" if review.decision == "positive" else "angry"
        after = (
            f"The sentiment was {review.decision}.", f"That is a {review.decision} review.", review.summary,
            f"The opinion was {review.decision} and the guest was {feeling}.",
        )  # fmt: skip
        lines.append(f"A guest wrote: {review.text} {rng.choice(after)}")
    return "\n".join(lines)


def _book(title: str, rule: str, family: str, rng: random.Random) -> str:
    lines = [f"{title}, page {rng.randrange(1, 99)}."] + [rule] * (rng.random() < 0.5)
    for _ in range(rng.randint(1, 3)):
        record = _training_record(family, rng)
        ending = rng.choice([with_reasons(record), f"Decision: {record.decision}", record.summary])
        lines.append(f"{record.text}\nIn the margin: {ending}")
    return "\n".join(lines)


LOAN_RULE = (
    f"The loan rule: approve when income is at least {world.MIN_INCOME}, debt is at most {world.MAX_DEBT} and late "
    f"payments are at most {world.MAX_LATE}; else deny."
)
TRIAGE_RULE = (
    f"The triage rule: urgent when temperature is at least {world.MIN_FEVER:.1f} or pulse is at least {world.MIN_PULSE}; "
    f"else soon when pain is at least {world.MIN_PAIN}; else routine."
)


def loan_book(rng: random.Random) -> str:
    """Loan files with notes in the margin."""
    return _book("Loan book", LOAN_RULE, "loan_why", rng)


def ward_book(rng: random.Random) -> str:
    """Patient notes with notes in the margin."""
    return _book("Ward book", TRIAGE_RULE, "triage_why", rng)


def contract(rng: random.Random) -> str:
    """Clauses with their types."""
    lines = ["Pages of a contract."]
    for _ in range(rng.randint(2, 5)):
        clause = _training_record("clause", rng)
        after = (
            f"This clause is about {clause.decision}.", f"Clause type: {clause.decision}.",
            f"The lawyer put it into the {clause.decision} folder.", f"It deals with {clause.decision}.",
        )  # fmt: skip
        lines.append(f"{clause.text} {rng.choice(after)}")
    return "\n".join(lines)


def register(rng: random.Random) -> str:
    """A list that is read twice: words, names and figures in no order but the same both times."""
    entries = rng.sample(
        [*world.NAMES, *world.KIND_OF, *world.COMPLAINTS, *world.PURPOSES, *DETAILS], rng.randint(3, 8)
    )
    entries += [str(rng.randrange(10, 5000)) for _ in range(rng.randint(1, 3))]
    rng.shuffle(entries)
    listed = ", ".join(entries)
    return f"The register: {listed}.\n{rng.choice(['Once more', 'Again', 'Copy', 'The same'])}: {listed}."


def private(rng: random.Random) -> str:
    """People ask for private things and hear why not."""
    lines = ["At the office window."]
    for _ in range(rng.randint(2, 5)):
        item = make_item("refusal", rng)
        asker = rng.choice(world.NAMES)
        lines.append(
            f"{asker} wanted to have the {item.slots['detail']} of {item.slots['name']}. The clerk said: {item.answer}"
        )
    return "\n".join(lines)


def _asked(rng: random.Random) -> tuple[Item, str]:
    item = make_item(rng.choice(FAMILIES), rng)
    return item, ask(item, rng)


def sheet(rng: random.Random) -> str:
    """An exercise sheet of two to six answered instructions."""
    pairs = [_asked(rng) for _ in range(rng.randint(2, 6))]
    return "\n\n".join(exercise(text, item.answer) for item, text in pairs)


def questions(rng: random.Random) -> str:
    """Instructions that nobody answers."""
    return "\n".join(_asked(rng)[1] for _ in range(rng.randint(3, 6)))


def letter(rng: random.Random) -> str:
    """A letter that asks for something and ends."""
    sender, receiver = rng.sample(world.NAMES, 2)
    opening = rng.choice(
        ["I hope you are well.", "Thank you for your letter.", "The weather is fine here.", "We were busy this week."]
    )
    closing = rng.choice(
        [
            "Write soon.",
            "I wait for your answer.",
            "Let me know before the end of the week.",
            "There is no time to lose.",
        ]
    )
    return f"Dear {receiver},\n{opening} {_asked(rng)[1]} {closing}\nYours, {sender}"


GLOSSARY = [
    "To summarise a text is to give its main points in one sentence.",
    "A summary is brief: a busy reader gets the main facts in a single sentence and no more.",
    "To turn a long text into a short one is to summarise it. Briefly means in a few words.",
    "Who describes a record in a sentence writes a summary. Tell it briefly to a friend who has little time to read.",
    "To extract a value is to copy it from the record just as it stands there and to leave out everything else.",
    "To read out, pick out, search for or look up a value means to show that value and nothing else.",
    "Someone who fills in a table wants just the value, not the whole text.",
    "Ascending or rising order means that a number is always larger than whatever came before it. Upwards means the same.",
    "To arrange, rearrange or line up numbers is to bring a mess into order: lowest in front, highest at the back, each one in its turn.",
    "A sorted list has the smallest number first; a program can return it.",
    "The maximum is the biggest value, the largest, the highest; whichever number is greater than every other.",
    "To compare two things is to see which is bigger. The highest score wins the game for the teams.",
    "The total or sum stands at the bottom of the paper: it comes out when numbers add up. Altogether, in all and together mean the sum.",
    "Whoever spent money three times adds what was spent. Bags have a weight in kilos; they weigh something.",
    "The odd one out is the stranger among the words: the one that is left over when the others go together.",
    "To spot something is to see it. To cross out a word is to mark that it does not fit. An odd guest is not like the others.",
    "A review shows a sentiment: the mood, the feeling or the opinion of a guest. The writer wrote these lines.",
    "One would call a review negative when the guest complains and positive when the guest is happy.",
    "Triage says how soon a patient is seen: urgent, soon or routine. Urgency is what the nurse marks on the card.",
    "The nurse stands near the door; the doctor comes to each patient. Pulse, temperature and pain make the level of triage.",
    "To walk through the values is to go over each of them before the decision. The reasons come first and the decision last.",
    "A step by step answer shows every reason. Such an answer ends with the decision.",
    "The bank lets an applicant have a loan or not; to approve is to say yes and to deny is to say no.",
    "A clerk hands the file to the bank. The rule of the bank decides whether such an applicant may get it.",
    "A verdict is a decision, an outcome or a result. In a single word means: be short, reply with just the result.",
    "Keep an answer to a word when one word will do, not more; reasons can be left out.",
    "A contract has clauses. A label gives the type of a clause: payment, delivery, ending, secrecy or damage.",
    "The lawyer asked what was meant and what the page deals with; a folder holds pages of one type.",
    "A category is a group of things of one type. The proper group for bread is food.",
    "On a shelf things are placed by category. The child points at one example and asks what it is called. There are many categories.",
    "The capital is where a government has its seat. On a map the capital is marked with a star.",
    "A quiz card has a question on one side and the answer on the back.",
    "A workplace is where someone earns a living during working hours. My uncle became a baker; my aunt would visit him.",
    "To list or mention some examples is to name different ones, separated by commas, as they come to mind.",
    "Fill a list with what you pick. If I had to choose, I could suppose that any of them belongs.",
    "Private things are not for others. It is wrong to secretly pass on a password or to let a boss see a diary.",
    "Nobody may learn the door code that a friend uses, even when it was forgotten or kept in a drawer: I cannot share what is private.",
    "He was looking for some paper, but I am here, so he said: help me. She said: what do you think, and what should I answer?",
    "Every morning our clerk goes to the office and reads what people want. He makes a list of it and says it to the others.",
    "I forgot what she told me. Show me how you do it; my way is over there on the table.",
    "While reading the page, nobody knew which of those things contains the other.",
    "Some people say please, some do not. It means the same.",
    "Who asked? Someone with a card. Whether it is here or there, the answer should be short.",
]  # fmt: skip


def glossary(rng: random.Random) -> str:
    """A few entries about the words that people use when they ask."""
    return "\n".join(rng.sample(GLOSSARY, rng.randint(3, 6)))


PLAIN_KINDS: dict[Callable[[random.Random], str], float] = {
    facts: 14, numbers: 20, oddities: 6, reviews: 4, loan_book: 6, ward_book: 6, contract: 4, glossary: 3, letter: 3,
    register: 16, private: 4, atlas: 14,
}  # fmt: skip


def _pick(kinds: dict[Callable[[random.Random], str], float], rng: random.Random) -> str:
    return rng.choices(list(kinds), weights=list(kinds.values()))[0](rng)


def notebook(rng: random.Random) -> str:
    """Sections of any plain kind, parted by markers."""
    sections = [_pick(PLAIN_KINDS, rng) for _ in range(rng.randint(2, 5))]
    return "".join(
        section + (rng.choice(MARKERS) if i + 1 < len(sections) else "") for i, section in enumerate(sections)
    )


KINDS: dict[Callable[[random.Random], str], float] = {**PLAIN_KINDS, notebook: 5, sheet: 30, questions: 9}
"""Kinds of document with their relative frequency."""


def document(rng: random.Random) -> str:
    """One document from begin to end marker."""
    return f"{BEGIN}{_pick(KINDS, rng)}{END}"
