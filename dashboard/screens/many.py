"""Many: over a list of instructions, what did tuning change?"""

from __future__ import annotations

from dashboard.session import address, listing
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.instruction_list import instruction_list
from dashboard.widgets.survey import survey

instruction_list()
question(
    "Over many instructions, what did tuning change?",
    "Both models get every instruction of the list, each by itself, and the base model then reads each answer of the tuned model: would it have said this too?",
)
how_to_read(
    """
One answer can be an exception. Here each number is a mean over the instructions of a list, with an interval, and the table shows which instructions it hides.

| what | unit and direction |
|---|---|
| **unshifted, marginal, shifted** | share of the tuned answer's tokens whose rank in the base model is 1, 2 to 3, or beyond. The higher *shifted*, the more tuning changed. |
| **\\|log-ratio\\|** | nats a token, 0 is no change: how far the log-probabilities of the two models are apart, either way. 0.7: one of them holds the token twice as likely, 2.3 ten times. |
| **KL, JS** | nats a token, 0 is no change: how far apart the whole distributions are. JS is at most 0.69. |
| **words in both** | share of the words that both answers have, in the same order; 100 % is the same text. |
| **checks** | what an instruction asks for that can be counted (so many items, at most so many words, JSON, ...), and how much of it each answer does. |
| **intervals** | 95 %, by resampling the instructions of the list (bootstrap). |

**What this cannot show.** Intervals speak of instructions like those in the list, not of all that could be asked; ten examples of one kind say little about another. A mean of means gives a short answer as much weight as a long one. Instructions that could not be asked are in no average, and their number stands beside it. A check says nothing about whether an answer is true.
"""
)

address.write_address()  # a change of page drops the question of the other pages from it
held = listing.many().held
if held is None:
    nothing_yet(
        "Paste a list of instructions or give a file, and press Run. A table of what tuning changed appears here, most different first."
    )
else:
    survey(held)
