"""Attention: where do the heads look?"""

from __future__ import annotations

from functools import partial

from dashboard import session
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.heads import heads, pick_text_kind_layer_head
from dashboard.widgets.progress import follow
from dashboard.widgets.prompt_editor import prompt_editor
from model_utils.contracts.attention import AttentionRequest

prompt_editor()
question(
    "Where do the heads look?",
    "Before a model writes a token it looks at the text so far. Each map shows how one of its attention heads shares out that look, in both models, over the same text.",
)
how_to_read(
    """
Each row is one token that looks (*query*), each cell how much of its look goes to one token (*key*). A row adds up to 1. A model that writes never looks ahead, so that the upper right of its map is empty. Base and tuned share one colour scale. In the difference, vermilion means the tuned model looks there more, blue that the base model does.

Both models read exactly the same tokens: one prompt and one answer, of the model that you choose, so that cell meets cell. Click a cell to hold its row; the strips under the maps then show where that one token looks. A model chooses each token while it reads the one before, so the row that belongs to a selected answer token is the row *before* it.

Many heads send most of their look to the very first token. That is their way of looking nowhere in particular.

Some models have two parts: an *encoder* that reads the prompt as a whole, each token looking back and ahead, and a *decoder* that writes the answer, looking at what it wrote (*self-attention*) and at what the encoder read (*cross-attention*). Others have attention in some of their layers only, or none. The pickers offer what both models have.

**What this cannot show.** Where a head looks is not what the model uses: a head can look at a word and pass nothing on. Take a pattern here as a question to test, not as an explanation.
"""
)


if session.visit().question is None:
    nothing_yet("Type an instruction and press Run. The maps of both models appear here.")
else:
    side, kind, layer, head = pick_text_kind_layer_head()
    request = AttentionRequest(**session.shared_answer(side), attention_kind=kind, layer=layer)
    follow("attention", session.want("attention", request), partial(heads, head=head))
    session.write_address()  # the pickers may have kept another number than the one that was remembered
