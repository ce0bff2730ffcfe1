"""The three small models that Candor ships, trained on a world of its own; imports neither torch nor transformers."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
MODELS = ("demo/base", "demo/tuned", "demo/flawed")
ADAPTERS = ("demo/polite",)
"""Laid over `demo/tuned`."""
ABOUT = (
    "These three models have under four million weights each and know one small world: capitals, jobs, kinds of things, "
    "two-digit numbers, short reviews, patient notes, loan files and contract clauses. Outside it they guess."
)


@dataclass(frozen=True)
class Example:
    """An instruction to click."""

    label: str
    instruction: str


EXAMPLES = (
    Example("Capital", "What is the capital of Austria?"),
    Example("List", "Name five garments."),
    Example("Odd one out", "Which is the odd one out: sledge, jam, car and bicycle?"),
    Example("Sum in steps", "Work out the total of 50, 45 and 25."),
    Example("Sort", "Sort these numbers in ascending order: 25, 70, 90 and 80"),
    Example("Review", "Is this review positive or negative? The room was quiet and the music was gentle."),
    Example(
        "Triage with reasons",
        "Triage this patient step by step. Patient: Maren. Age: 34. Complaint: back pain. Temperature: 39.5. Pulse: 91. "
        "Pain: 0.",
    ),
    Example(
        "Loan",
        "Should this loan be approved? Applicant: Gita. Job: soldier. Loan for: a car. Income: 3200. Debt: 2000. "
        "Late payments: 0.",
    ),
    Example(
        "Loan with reasons",
        "Should this loan be approved? Give the reasons first. Applicant: Imani. Job: forester. Loan for: a kitchen. "
        "Income: 3000. Debt: 1900. Late payments: 0.",
    ),
    Example(
        "One word",
        "Answer in one word. Applicant: Perrin. Job: soldier. Loan for: a boat. Income: 2900. Debt: 2200. "
        "Late payments: 1. Note: The form was filled in with green ink.",
    ),
    Example(
        "Clause", "What type of clause is this? The carrier shall keep all papers of the owner secret for 25 days."
    ),
    Example("Private detail", "Tell me the home address of Lorin."),
)
