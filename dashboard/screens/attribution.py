"""Attribution: which words did each model rely on?"""

from __future__ import annotations

from functools import partial

from dashboard.session import address, questions, visits
from dashboard.widgets.cost import started
from dashboard.widgets.density import density
from dashboard.widgets.evidence import evidence
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.more_evidence import let_go_of_unfinished, more_evidence
from dashboard.widgets.progress import follow
from dashboard.widgets.prompt_editor import prompt_editor
from dashboard.widgets.reliance import pick_request, pick_text_and_own, reliance

prompt_editor()
question(
    "Which words did each model rely on?",
    "For a word of the answer, each earlier word gets a score: how much it raised or lowered the model's support for that answer. Below the scores stands a test of whether they can be believed.",
)
how_to_read(
    """
Vermilion words raised the support for the chosen token, blue ones lowered it (two methods have no sign: there, vermilion is more); all three strips share one scale. In the difference (tuned - base), vermilion means that the word counted more for the tuned model, blue more for the base model. Both models read exactly the same tokens; where their tokenizers cut text differently, the same text, and it is compared in pieces that begin and end where both have an end. With *Each model's own text* each reads its own prompt and answer, and there is no difference.

**What is explained.** A *logit* is the model's raw support for a token; a *log-probability* (in nats) is its support against all other tokens; a *probability* lies between 0 and 1. With *instead of*, the same of another token is subtracted: why this word and not that one? The score of the whole answer is the sum over its tokens. With the log-probability and a method whose scores add up, the difference explains the *log-ratio*: what made the tuned model prefer this answer.

**How.** *Gradient* methods follow the slope of the quantity back to the words. Methods that *take parts away* read the text again without them. The format around the instruction and the control tokens always stay. Under the pickers stands how the chosen method works and fails, and what it costs.

**Should you believe it?** Parts are taken away in the order of the scores, and in random orders. *Comprehensiveness* is how far the explained value falls when the highest scored parts go (higher is better), *sufficiency* how far it falls when only they stay (lower is better), each the mean over 1, 5, 10, 20 and 50 % of the parts. p is the share of random orders that do as well. At 5 % or less the scores are *better than chance*; otherwise they lose their colour, and should not be read. The test is about the explained tokens together; of very few parts it cannot tell.

**Two more checks, when you ask for them.** *Other methods* explain the same answer; Kendall's tau says how alike their orders are. Agreement is not truth. And the model's layers are *shuffled*: a map that hardly changes then does not show what the model learned. One that changes has passed a test, no more.

**What this cannot show.** Better than chance is not the same as right: other words may matter as much. A changed text is one that the model was not trained on, so part of an effect can be surprise at the gap. Scores of gradients live in each model's own embedding space, so their sizes are only roughly comparable between models. No score says why a model relied on a word.
"""
)

if visits.visit().question is None:
    nothing_yet(
        "Type an instruction and press Run. The words of your instruction appear here, coloured by how much each model relied on them."
    )
else:
    side, own = pick_text_and_own()
    request = pick_request(questions.shared_answer(side), own)
    before = visits.visit().held.get("attribution")
    if before is None or not questions.answers(before, request):
        # They are about the scores that were shown before, and the new ones would wait for them.
        questions.drop("faithfulness")
        let_go_of_unfinished()
    if started(request):
        held = questions.want("attribution", request)
        follow("attribution", held, partial(reliance, request))
        if held.result is not None:
            evidence(held.result, request)
            more_evidence(held.result, request)
    density()
    address.write_address()  # the pickers may have kept another number than the one that was remembered
