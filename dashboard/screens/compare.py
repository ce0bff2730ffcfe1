"""Compare: what did tuning change in this answer?"""

from __future__ import annotations

from dashboard import session
from dashboard.figures import generation
from dashboard.widgets.answers import answers, certainty, what_they_saw
from dashboard.widgets.chart import chart
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.progress import follow
from dashboard.widgets.prompt_editor import prompt_editor
from model_utils.contracts.generation import Generation

prompt_editor()
question(
    "What did tuning change in this answer?",
    "Both models get the same instruction: the base model, which only learnt to continue text, and the same model after it was tuned to follow instructions.",
)
how_to_read(
    """
The **base** model is on the left in blue, the **tuned** model on the right in vermilion. Both write the most probable token at every step, so the same question always gets the same answers.

A *token* is the piece of text that a model reads and writes at once. Under each answer its tokens are coloured by how probable the model held them when it wrote them: full colour is certain (probability 1), no colour is a near guess. The figure shows the same as log-probabilities: 0 nats is certain, -0.7 nats is a probability of one half, -2.3 of one tenth.

**What this cannot show.** A probability says how sure the model was of its words, not whether they are true. The two models see different texts around your instruction (open *What each model saw*), so not all of the difference between the answers comes from tuning.
"""
)


def draw(result: Generation) -> None:
    """Both answers; with everything about them once they are whole."""
    answers(result)
    if session.generation() is result:
        certainty(result)
        chart(
            generation.figure(result, session.dark()),
            key="log-probabilities",
            alt="Log-probability of each token of both answers",
        )
        what_they_saw(result)


asked = session.visit().question
if asked is None:
    nothing_yet(
        "Type an instruction and press Run. Both answers appear here side by side, word by word, as the models write them."
    )
else:
    follow("generation", session.want("generation", asked.request), draw)
