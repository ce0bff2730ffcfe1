"""Attribution: which words did each model rely on?"""

from __future__ import annotations

from dashboard import session
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.progress import follow
from dashboard.widgets.prompt_editor import prompt_editor
from dashboard.widgets.reliance import pick_quantity_and_targets, reliance
from dashboard.widgets.shared_text import pick_text
from model_utils.contracts.attribution import AttributionRequest

prompt_editor()
question(
    "Which words did each model rely on?",
    "For a word of the answer, each earlier word gets a score: how much it raised or lowered the model's support for that answer, as far as its gradient tells.",
)
how_to_read(
    """
Vermilion words raised the support for the chosen token, blue ones lowered it; all three strips share one scale. In the difference (tuned - base), vermilion means that the word counted more for the tuned model, blue more for the base model. Both models read exactly the same tokens.

The method is *gradient x input*: the slope of the chosen quantity along each word's embedding, times that embedding. A *logit* is the model's raw support for the token; a *log-probability* (in nats) is its support against all other tokens. The score of the whole answer is the sum over its tokens.

**What this cannot show.** The scores are a first-order approximation, each in its own model's embedding space, so their sizes are only roughly comparable between models. They need not add up to the value explained, they change with small changes of the text, and by themselves they prove nothing about why a model answered as it did.
"""
)

if session.visit().question is None:
    nothing_yet(
        "Type an instruction and press Run. The words of your instruction appear here, coloured by how much each model relied on them."
    )
else:
    side = pick_text()
    quantity, targets = pick_quantity_and_targets()
    request = AttributionRequest(**session.shared_answer(side), quantity=quantity, targets=targets)
    follow("attribution", session.want("attribution", request), reliance)
    session.write_address()  # the pickers may have kept another number than the one that was remembered
