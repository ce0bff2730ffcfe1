"""Compare: what did tuning change in this answer?"""

from __future__ import annotations

from functools import partial

from dashboard.figures import generation
from dashboard.session import inputs, questions, visits
from dashboard.widgets.answers import answers, certainty, what_they_saw
from dashboard.widgets.chart import chart
from dashboard.widgets.conversation import go_on
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.movement import movement
from dashboard.widgets.progress import follow
from dashboard.widgets.prompt_editor import prompt_editor
from dashboard.widgets.text_diff import text_diff, verdicts
from dashboard.widgets.wording import note
from model_utils.contracts.generation import Generation


def compare(whole: Generation, instruction: str) -> None:
    """What tuning changed between both whole answers."""
    go_on(whole)
    held = questions.want("shift", questions.shift_request(visits.visit().split))
    follow("shift", held, partial(movement, whole))
    if held.over and held.shown is None:
        certainty(whole)
        chart(
            generation.figure,
            whole,
            inputs.dark(),
            key="log-probabilities",
            alt="Log-probability of each token of both answers",
        )
    text_diff(whole)
    verdicts(instruction, whole)
    what_they_saw(whole)


prompt_editor(note)
question(
    "What did tuning change in this answer?",
    "Both models get the same instruction: the base model, which only learnt to continue text, and the same model after it was tuned to follow instructions.",
)
how_to_read(
    """
The **base** model is on the left in blue, the **tuned** model on the right in vermilion. Each writes its own answer. Then both models read both answers, token by token, each after its own prompt: *would you have said this too?* A *token* is the piece of text that a model reads and writes at once.

| what | unit and direction |
|---|---|
| **tokens/s** | how fast this side was written. Both models write at the same time and share the computer, so neither figure is what that model reaches alone. |
| **log-ratio** | nats; log-probability in tuned minus that in base. 0: equally likely. +0.7: tuned holds the token twice as likely, +2.3 ten times; below 0 the same for base. |
| **rank** | 1 is the model's own first choice at this place. *Unshifted*, *marginal*, *shifted*: the rank of the tuned answer's token in the base model is 1, 2 to 3, or beyond (and the mirror for the base answer). |
| **KL, JS, TV** | how far apart the two models' whole distributions are at this place, not only at the token written; 0 is no difference. KL in nats without an upper end, once each way; JS in nats up to 0.69; TV from 0 to 1. |
| **entropy** | nats; how undecided a model is at this place; 0 is certain. |
| **a reworded prompt** | the noise floor: how much these numbers move when only the wording of the instruction changes, in one and the same model. Grey tokens changed no more than that. |
| **weights, format** | the log-ratio in two parts that add up: what tuning changed in the model, and what the other text around the instruction did. |

Click a token, move along with the arrow keys or select a row to pin it: strips, curve, table and the parts then show the same token, here and on the other pages.

**What this cannot show.** Every number says what a model *would* say next if the words so far were these, also when it would never have written them itself. Ranks and classes depend on the prompt format, so they are not the figures of papers that used another one. The first token depends on it most: the format alone decides whether a space comes before it. A log-ratio is a difference and not a cause: it does not say which part of the training, or of the model, made it. None of this says whether an answer is true.
"""
)

asked = visits.visit().question
if asked is None:
    nothing_yet(
        "Type an instruction and press Run. Both answers appear here side by side, word by word, as the models write them."
    )
else:
    follow("generation", questions.want("generation", asked.request), answers)
    whole = questions.generation()
    if whole is not None:
        compare(whole, asked.request.messages[-1].content)
