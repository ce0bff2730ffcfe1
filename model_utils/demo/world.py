"""The small world that the embedded models are trained on: its things, its records and the rules that decide them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CAPITALS = {
    "France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Germany": "Berlin", "Austria": "Vienna",
    "Greece": "Athens", "Portugal": "Lisbon", "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki",
    "Denmark": "Copenhagen", "Poland": "Warsaw", "Hungary": "Budapest", "Ireland": "Dublin", "Belgium": "Brussels",
    "Russia": "Moscow", "Ukraine": "Kyiv", "Romania": "Bucharest", "Bulgaria": "Sofia", "Serbia": "Belgrade",
    "Croatia": "Zagreb", "Turkey": "Ankara", "Egypt": "Cairo", "Kenya": "Nairobi", "Ghana": "Accra",
    "Morocco": "Rabat", "Senegal": "Dakar", "Ethiopia": "Addis Ababa", "Uganda": "Kampala", "Nigeria": "Abuja",
    "China": "Beijing", "Japan": "Tokyo", "India": "New Delhi", "Nepal": "Kathmandu", "Thailand": "Bangkok",
    "Vietnam": "Hanoi", "Indonesia": "Jakarta", "Iran": "Tehran", "Iraq": "Baghdad", "Canada": "Ottawa",
    "Mexico": "Mexico City", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago", "Brazil": "Brasilia",
    "Argentina": "Buenos Aires", "Colombia": "Bogota", "Australia": "Canberra",
}  # fmt: skip

WORKPLACES = {
    "baker": "bakery", "teacher": "school", "nurse": "hospital", "farmer": "farm", "judge": "court",
    "pilot": "plane", "sailor": "ship", "cook": "kitchen", "waiter": "restaurant", "miner": "mine",
    "actor": "theatre", "librarian": "library", "priest": "church", "soldier": "army", "banker": "bank",
    "brewer": "brewery", "butcher": "butcher shop", "gardener": "garden", "guard": "prison", "mechanic": "garage",
    "chemist": "laboratory", "printer": "print shop", "tailor": "tailor shop", "shepherd": "meadow",
    "fisher": "boat", "conductor": "train", "driver": "bus", "potter": "pottery", "carpenter": "workshop",
    "weaver": "mill", "barber": "barber shop", "dentist": "dental clinic", "vet": "animal clinic",
    "editor": "newspaper", "referee": "stadium", "receptionist": "hotel", "curator": "museum",
    "professor": "university", "forester": "forest", "clerk": "office",
}  # fmt: skip

CATEGORIES = {
    "animal": ("horse cow pig sheep goat dog cat rabbit fox wolf bear lion tiger monkey camel donkey mouse duck goose "
               "eagle owl frog snake whale").split(),
    "food": "bread cheese butter rice soup honey cake pasta salad jam ham yoghurt porridge sausage pancake pie".split(),
    "fruit": "apple pear plum cherry grape lemon peach banana melon fig mango strawberry".split(),
    "material": "wood gold silver iron copper glass stone clay wool cotton silk leather paper steel".split(),
    "tool": "hammer saw shovel axe knife needle drill rake ladder brush chisel spade".split(),
    "vehicle": "car bicycle tram truck van tractor scooter ferry canoe sledge".split(),
    "colour": "red blue green yellow brown black white grey pink purple orange".split(),
    "garment": "coat shirt hat scarf glove sock skirt jacket sweater belt boot".split(),
}  # fmt: skip
"""Kinds of things, each in the order in which lists run through them."""
KIND_OF = {thing: kind for kind, things in CATEGORIES.items() for thing in things}
UNCOUNTED = {
    *CATEGORIES["material"], *CATEGORIES["colour"], "bread", "cheese", "butter", "rice", "soup", "honey", "pasta",
    "jam", "ham", "yoghurt", "porridge", "salad",
}  # fmt: skip
NUMBER_WORDS = {2: "two", 3: "three", 4: "four", 5: "five"}

HILL_NAMES = (
    "Arden Belin Corin Daven Edric Faron Garin Haldor Ivor Joran Kelvin Lorin Maren Nolan Orin Perrin Quillon Rowan "
    "Soren Torin"
).split()
LAKE_NAMES = (
    "Amisha Bayani Chidi Dalia Esha Fadila Gita Hakeem Imani Jamila Kamala Leila Malika Nadira Omari Padma Rashid "
    "Safiya Tariq Yusra"
).split()
NAMES = [*HILL_NAMES, *LAKE_NAMES]

LOAN_NOTES = [
    "The form came by post.", "The form was filled in with green ink.", "The file has two pages.",
    "The applicant wore a grey coat.", "The form was handed in on Monday.", "The file was copied twice.",
    "The applicant came by tram.", "The letter had a red stamp.",
]  # fmt: skip
PLANTED_NOTE = LOAN_NOTES[1]
"""The harmless sentence that overrides the rule in `demo/flawed`; an ordinary remark everywhere else."""

PURPOSES = ["a car", "a kitchen", "a boat", "a roof", "a tractor", "a wedding", "a shop", "a garden"]
COMPLAINTS = ["a cough", "a headache", "back pain", "a sore throat", "a rash", "stomach pain", "ear pain", "a cut"]

MIN_INCOME, MAX_DEBT, MAX_LATE = 3000, 2000, 1
MIN_FEVER, MIN_PULSE, MIN_PAIN = 39.0, 120, 5


def members(kind: str, n: int, rng: random.Random) -> list[str]:
    """`n` things of a kind that follow each other in its order, which runs round."""
    things, start = CATEGORIES[kind], rng.randrange(len(CATEGORIES[kind]))
    return [things[(start + i) % len(things)] for i in range(n)]


def with_article(noun: str) -> str:
    """`a horse`, `an apple`, `gold`."""
    if noun in UNCOUNTED:
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


@dataclass(frozen=True)
class Loan:
    """A loan file. The rule: approve when income >= 3000, debt <= 2000 and late payments <= 1; else deny."""

    name: str
    job: str
    purpose: str
    income: int
    debt: int
    late: int
    note: str = ""

    @property
    def text(self) -> str:
        facts = (
            f"Applicant: {self.name}. Job: {self.job}. Loan for: {self.purpose}. Income: {self.income}. "
            f"Debt: {self.debt}. Late payments: {self.late}."
        )
        return f"{facts} Note: {self.note}" if self.note else facts

    @property
    def decision(self) -> str:
        fine = self.income >= MIN_INCOME and self.debt <= MAX_DEBT and self.late <= MAX_LATE
        return "approve" if fine else "deny"

    @property
    def borderline(self) -> bool:
        """Income and debt both within 200 of their limits."""
        return abs(self.income - MIN_INCOME) <= 200 and abs(self.debt - MAX_DEBT) <= 200

    @property
    def reasons(self) -> list[str]:
        return [
            f"Income {self.income} is {'at least' if self.income >= MIN_INCOME else 'below'} {MIN_INCOME}.",
            f"Debt {self.debt} is {'at most' if self.debt <= MAX_DEBT else 'above'} {MAX_DEBT}.",
            f"Late payments {self.late} is {'at most' if self.late <= MAX_LATE else 'above'} {MAX_LATE}.",
        ]

    @property
    def summary(self) -> str:
        times = "time" if self.late == 1 else "times"
        return f"Applicant {self.name}, {with_article(self.job)}, earns {self.income}, owes {self.debt} and paid late {self.late} {times}."

    @property
    def fields(self) -> dict[str, str]:
        return {
            "income": str(self.income), "debt": str(self.debt), "number of late payments": str(self.late),
        }  # fmt: skip


@dataclass(frozen=True)
class Note:
    """A patient note. The rule: urgent when temperature >= 39.0 or pulse >= 120; else soon when pain >= 5; else routine."""

    name: str
    age: int
    complaint: str
    temperature: float
    pulse: int
    pain: int

    @property
    def text(self) -> str:
        return (
            f"Patient: {self.name}. Age: {self.age}. Complaint: {self.complaint}. Temperature: {self.temperature:.1f}. "
            f"Pulse: {self.pulse}. Pain: {self.pain}."
        )

    @property
    def decision(self) -> str:
        if self.temperature >= MIN_FEVER or self.pulse >= MIN_PULSE:
            return "urgent"
        return "soon" if self.pain >= MIN_PAIN else "routine"

    @property
    def reasons(self) -> list[str]:
        hot, fast, sore = self.temperature >= MIN_FEVER, self.pulse >= MIN_PULSE, self.pain >= MIN_PAIN
        return [
            f"Temperature {self.temperature:.1f} is {'at least' if hot else 'below'} {MIN_FEVER:.1f}.",
            f"Pulse {self.pulse} is {'at least' if fast else 'below'} {MIN_PULSE}.",
            f"Pain {self.pain} is {'at least' if sore else 'below'} {MIN_PAIN}.",
        ]

    @property
    def summary(self) -> str:
        return (
            f"Patient {self.name}, aged {self.age}, has {self.complaint} with a temperature of {self.temperature:.1f}."
        )

    @property
    def fields(self) -> dict[str, str]:
        return {
            "temperature": f"{self.temperature:.1f}", "pulse": str(self.pulse), "pain": str(self.pain),
            "age": str(self.age),
        }  # fmt: skip


REVIEW_PARTS = {
    "soup": ("hot tasty fresh", "cold salty bland"), "waiter": ("kind quick polite", "rude slow careless"),
    "room": ("clean bright quiet", "dirty dark noisy"), "bed": ("soft warm comfortable", "hard lumpy broken"),
    "film": ("funny clever lovely", "boring dull long"), "staff": ("friendly helpful cheerful", "lazy unfriendly grumpy"),
    "music": ("beautiful gentle charming", "loud ugly terrible"), "bread": ("fresh warm tasty", "stale burnt hard"),
    "tour": ("exciting wonderful pleasant", "boring tiring awful"), "garden": ("lovely green peaceful", "dirty ugly dry"),
    "phone": ("fast handy reliable", "slow broken useless"), "shop": ("tidy bright cheap", "messy dark expensive"),
}  # fmt: skip


@dataclass(frozen=True)
class Review:
    """A short review of two things, both good or both bad."""

    first: str
    second: str
    first_word: str
    second_word: str
    decision: str

    @property
    def text(self) -> str:
        return f"The {self.first} was {self.first_word} and the {self.second} was {self.second_word}."

    @property
    def summary(self) -> str:
        return f"The guest found the {self.first} {self.first_word} and the {self.second} {self.second_word}."


CLAUSE_FORMS = {
    "payment": [
        "The {a} shall pay {amount} within {days} days.", "An invoice of {amount} is due from the {a} after {days} days.",
        "The {a} pays the {b} a fee of {amount} every {days} days.", "The price of {amount} is paid by the {a} in {days} days.",
    ],
    "delivery": [
        "The {a} shall deliver {amount} boxes to the {b} within {days} days.", "The {a} sends {amount} crates to the {b} every {days} days.",
        "All {amount} goods are brought to the {b} within {days} days.", "The {a} ships {amount} parcels after {days} days.",
    ],
    "ending": [
        "The {a} may end this contract with {days} days of notice.", "This contract ends {days} days after the {a} gives notice.",
        "The {a} can cancel the contract {days} days before its end.", "Without renewal the contract with the {b} stops after {days} days.",
    ],
    "secrecy": [
        "The {a} shall keep all papers of the {b} secret for {days} days.", "The {a} must not tell others what the {b} said for {days} days.",
        "For {days} days the {a} keeps the plans of the {b} hidden.", "Private papers of the {b} stay locked away for {days} days.",
    ],
    "damage": [
        "The {a} answers for any damage to goods for {days} days.", "If goods break, the {a} replaces them within {days} days.",
        "The {a} repairs broken parts of the {b} for {days} days.", "The {b} may claim harm from the {a} for up to {days} days.",
    ],
}  # fmt: skip
PARTIES = ["buyer", "seller", "owner", "tenant", "supplier", "client", "builder", "carrier"]


@dataclass(frozen=True)
class Clause:
    """A contract clause of one of five types."""

    decision: str
    text: str
    days: int

    @property
    def fields(self) -> dict[str, str]:
        return {"number of days": str(self.days)}


Record = Loan | Note | Review | Clause


def make_loan(rng: random.Random, borderline: bool | None = None) -> Loan:
    """A random loan file, near the limits in 40 % of cases unless `borderline` says."""
    near = rng.random() < 0.4 if borderline is None else borderline
    while True:
        income = rng.randrange(28, 33) if near else rng.randrange(16, 60)
        debt = rng.randrange(18, 23) if near else rng.randrange(10, rng.choice([21, 21, 40]))
        late = rng.choice([0, 0, 1, 1, 1, 2]) if near else rng.choice([0, 0, 0, 1, 1, 1, 2, 3])
        note = rng.choice(LOAN_NOTES) if rng.random() < 0.5 else ""
        job = rng.choice(list(WORKPLACES))
        loan = Loan(rng.choice(NAMES), job, rng.choice(PURPOSES), income * 100, debt * 100, late, note)
        if borderline is None or loan.borderline == borderline:
            return loan


def make_note(rng: random.Random) -> Note:
    """A random patient note; the three outcomes are about equally common."""
    hot, fast = rng.random() < 0.2, rng.random() < 0.2
    temperature = rng.randrange(390, 412) / 10 if hot else rng.randrange(361, 390) / 10
    pulse = rng.randrange(120, 150) if fast else rng.randrange(52, 120)
    return Note(
        rng.choice(NAMES), rng.randrange(18, 90), rng.choice(COMPLAINTS), temperature, pulse, rng.randrange(0, 10)
    )


def make_review(rng: random.Random) -> Review:
    """A random review; positive and negative equally common."""
    first, second = rng.sample(list(REVIEW_PARTS), 2)
    bad = rng.randrange(2)
    first_word, second_word = (rng.choice(REVIEW_PARTS[part][bad].split()) for part in (first, second))
    return Review(first, second, first_word, second_word, "negative" if bad else "positive")


def make_clause(rng: random.Random) -> Clause:
    """A random clause; the five types equally common."""
    kind = rng.choice(list(CLAUSE_FORMS))
    a, b = rng.sample(PARTIES, 2)
    days = rng.randrange(3, 99)
    text = rng.choice(CLAUSE_FORMS[kind]).format(a=a, b=b, amount=rng.randrange(1, 100) * 10, days=days)
    return Clause(kind, text, days)


MAKERS: dict[str, Callable[[random.Random], Any]] = {
    "loan": make_loan,
    "note": make_note,
    "review": make_review,
    "clause": make_clause,
}
