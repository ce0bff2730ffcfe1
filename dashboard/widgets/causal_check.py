"""The causal check: a head is switched off, and the answer's log-probability says whether it mattered."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from dashboard.figures import ablation as figures
from dashboard.session import inputs, questions
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.progress import follow
from dashboard.widgets.text import plain
from model_utils.contracts.ablation import FILLS, Ablation, AblationRequest, Fill
from model_utils.contracts.common import AttentionKind
from model_utils.pair import Side

Which = Literal["this head", "every head"]
CHOICES: tuple[Which, ...] = ("this head", "every head")
FILL_WORDS: dict[Fill, str] = {"zero": "zero", "mean": "its mean over the text"}
NOISE = 1e-3
"""nats; a change below this is none worth naming."""


def causal_check(side: Side, kind: AttentionKind, opened: tuple[int, int] | None) -> None:
    """Draws the choice of what to switch off, and the answer to it; `opened` (layer, head) is shown above, None: maps of many heads are."""
    st.subheader("Does this head matter for the answer?", anchor=False)
    st.caption(
        "Where a head looks is not yet what the model uses. Here a head is switched off in each model, and the answer is read again: "
        "how much less likely does it become?"
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-check"):
        which = st.segmented_control("Switch off", CHOICES, key="switched-off", persist_state="session")
        fill = st.selectbox(
            "In its place",
            FILLS,
            format_func=FILL_WORDS.__getitem__,
            key="fill",
            width=240,
            persist_state="session",
            help="Zero takes the head's output away altogether. Its mean over the text keeps what it says regardless of place, which is gentler.",
        )
    if which is None:
        return
    if which == "this head" and opened is None:
        st.info("The maps above are of many heads at once; open one head, in the grid or the list, to switch it off.")
        return
    heads = (opened,) if which == "this head" and opened else None
    request = AblationRequest(**questions.shared_answer(side), attention_kind=kind, heads=heads, fill=fill)
    follow("ablation", questions.want("ablation", request, background=heads is None), drawn)


def drawn(result: Ablation) -> None:
    """The sentence, the figure, and of every head the ranked table."""
    for note in result.notes:
        st.caption(plain(note))
    st.write(plain(said(result)))
    one = len(result.heads) == 1
    alt = (
        "Change of each answer token's log-probability"
        if one
        else "Change of the answer's log-probability by each head"
    )
    chart(figures.figure, result, inputs.dark(), key="ablation", alt=alt)
    if not one:
        heading_with_csv(
            "Most needed",
            result.table,
            "heads_switched_off.csv",
            "How much the log-probability of the whole answer changes in each model with this head off, nats.",
        )
        table = result.table()
        st.dataframe(
            table,
            hide_index=True,
            height=min(353, 35 * (len(table) + 1) + 3),
            column_config={
                name: st.column_config.NumberColumn(f"{side}, nats", format="%+.3f")
                for side, name in (("base", "base_change"), ("tuned", "tuned_change"))
            },
            alt="Heads by how much the tuned answer needs them",
        )


def said(result: Ablation) -> str:
    """What happens to the answer, in words."""
    totals = result.totals()
    if len(result.heads) > 1:
        return (
            "Change of the log-probability of the whole answer with one head off, nats: below zero the model needs the head for this answer. "
            "Heads can stand in for one another, so that one which seems to do nothing alone may still matter."
        )
    layer, head = result.heads[0].tolist()
    changes = {side: float(total[0]) for side, total in totals.items()}
    words = ", ".join(f"{side} {change:+.3f} nats" for side, change in changes.items())
    effect = (
        "the answer does not need it"
        if max(abs(change) for change in changes.values()) < NOISE
        else "the change of the whole answer's log-probability"
    )
    return f"Layer {layer}, head {head} off: {words} ({effect})."
