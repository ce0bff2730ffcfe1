"""Instruction design: is the instruction itself the problem?"""

from __future__ import annotations

from dashboard.session import address, probing
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.instructions import instructions, so_far
from dashboard.widgets.probe import asking, followed
from dashboard.widgets.wording import wording
from model_utils.items import Items

asking("instructions")
question(
    "Is the instruction itself the problem?",
    "Before a model is blamed for an answer, look at what it was asked: words that say which answer is wanted, two questions in one, demands that no answer can meet.",
)
how_to_read(
    """
What stands under **What the wording says by itself** needs no model: rules of English look for seven faults, and marked words are underlined with the name of the fault. The rest is measured on both models when you press Run.

| what | unit and direction |
|---|---|
| **one sentence** | nats a token. The bars of an opened instruction have a sign: above 0, the model's own answer is less likely without this sentence; below 0, likelier. The list and the finding give a size, 0 or more: how far the sentence that moves it furthest does, up or down. Neither is better: a sentence may have to matter. |
| **neutral wordings** | nats: entropy of the distinct answers when a greeting or thanks is put around the instruction, which asks the same. 0: all wordings get the same answer; lower is better. With options, of the option chosen; else of the text written. |
| **suggested** | percentage points: probability that an option gains when "I think the answer is …" is written after the instruction, on average over the options. 0 is innocent, lower is better. It needs answers to choose from. |
| **tuned − base** | in the unit of the measure, over the same instructions. |
| **p** | of a paired permutation test over instructions, corrected for all measures that were tested. |
| **at fault, cleared, undecided** | of one model by itself, of suggestions: it surely follows them beyond the margin; surely not; or neither. |

**What this cannot show.** Rules read words, not what is meant: they miss about a third of the labelled faults, some marks are wrong, and they know English alone. How often each rule was right on labelled instructions stands beside its marks. An answer that changes with a neutral wording may have been a toss-up, and the same answer in other words counts as another one. A suggestion is read at the first words of the answer: a model that reasons first decides later. Findings speak of instructions like these.
"""
)

address.write_address()  # a change of page drops the question of the other pages from it
found = probing.reading("instructions")
if isinstance(found, Items):
    packed = probing.pack().instructions if probing.source_of("instructions") == probing.PACK else ()
    wording(found, {one.text: one.marks for one in packed})
if probing.probing("instructions").held is None:
    first = (
        "" if isinstance(found, Items) else "Type an instruction, and what its wording says by itself appears here. "
    )
    nothing_yet(f"{first}Press Run to measure what each sentence, other wordings and suggestions do to the answers of both models.")  # fmt: skip
else:
    followed("instructions", instructions, so_far)
