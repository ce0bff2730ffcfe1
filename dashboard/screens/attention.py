"""Attention: where do the heads look, and which did tuning change?"""

from __future__ import annotations

import streamlit as st

from dashboard.session import address, questions, visits
from dashboard.widgets.causal_check import causal_check
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.heads import heads, pick_map, pick_text_and_kind
from dashboard.widgets.layer_by_layer import layer_by_layer
from dashboard.widgets.overview import overview, pick_list
from dashboard.widgets.progress import follow
from dashboard.widgets.prompt_editor import prompt_editor
from model_utils.contracts.atlas import AtlasRequest
from model_utils.contracts.attention import AttentionRequest

prompt_editor()
question(
    "Where do the heads look, and which did tuning change?",
    "Before a model writes a token it looks at the text so far, with many attention heads at once. First all of them at a glance, then where one of them looks, then whether it matters for the answer.",
)
how_to_read(
    """
**All heads.** Each small picture is one head: rows look, columns are looked at, strong colour is much. The third picture says how far tuning moved each head's look, from 0 to 0.69 nats. Click a head, or move along with the arrow keys and press Enter, to open its maps. Some heads have known trades: a *previous-token* head looks at the token before, a *duplicate-token* head at earlier places of the same token, an *induction* head at what followed it there, which is how models repeat what they have read.

**Maps.** Each row is one token that looks (*query*), each cell how much of its look goes to one token (*key*). A row adds up to 1. A model that writes never looks ahead, so that the upper right of its map is empty. Base and tuned share one colour scale. In the difference, vermilion means the tuned model looks there more, blue that the base model does.

Both models read exactly the same tokens: one prompt and one answer, of the model that you choose, so that cell meets cell. Click a cell to hold its row; the strips under the maps then show where that one token looks. A model chooses each token while it reads the one before, so the row that belongs to a selected answer token is the row *before* it.

Many heads send most of their look to the very first token. That is their way of looking nowhere in particular.

Some models have two parts: an *encoder* that reads the prompt as a whole, each token looking back and ahead, and a *decoder* that writes the answer, looking at what it wrote (*self-attention*) and at what the encoder read (*cross-attention*). Others have attention in some of their layers only, or none. The pickers offer what both models have.

**Layer by layer.** From one token, the mean look of each layer's heads, from the first layer to the last, in both models.

**Switching heads off.** The causal check takes a head's output away and reads the same answer again. The change of its log-probability is in nats: -0.7 makes the answer half as likely. Several heads often do the same work, so that each alone can be spared.

**What this cannot show.** Where a head looks is not what the model uses: a head can look at a word and pass nothing on. Take a pattern here as a question to test, not as an explanation.
"""
)


if visits.visit().question is None:
    nothing_yet("Type an instruction and press Run. The maps of both models appear here.")
else:
    side, kind, own = pick_text_and_kind()
    shared = questions.shared_answer(side)
    others = pick_list()
    every = questions.want("atlas", AtlasRequest(**shared, attention_kind=kind, others=others), background=bool(others))
    follow("atlas", every, overview)
    refused = every.job.error if every.state == "failed" else None
    # Until somebody opened a head the overview does, so that the maps wait for it.
    known = shared["answer_ids"] is not None and "head" in st.session_state
    if (every.over or known) and (refused is None or own):
        reduction, layer, weighted = pick_map(kind)
        asked = AttentionRequest(
            **shared,
            attention_kind=kind,
            layer=layer,
            reduction=reduction,
            value_weighted=weighted,
            own=questions.own_answer(side) if own else None,
        )
        follow("attention", questions.want("attention", asked), heads, said=refused)
        if every.shown is not None:
            layer_by_layer(every.shown)
        if refused is None:
            head = st.session_state.get("head", 0)
            causal_check(side, kind, (layer, head) if reduction == "heads" and isinstance(head, int) else None)
    address.write_address()  # the pickers may have kept another number than the one that was remembered
