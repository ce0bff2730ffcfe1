"""Attribution scores of both models: what is explained, the three strips, and the strongest tokens as bars."""

from __future__ import annotations

from typing import Literal

import numpy as np
import streamlit as st

from dashboard import session
from dashboard.figures import attribution
from dashboard.widgets.chart import chart
from dashboard.widgets.shared_text import notes
from dashboard.widgets.text import plain, side_title
from dashboard.widgets.token_strip import token_strip
from model_utils.contracts.attribution import QUANTITIES, UNITS, Attribution, Quantity
from model_utils.pair import Pair

Extent = Literal["one token", "the whole answer"]
EXTENTS: tuple[Extent, ...] = ("one token", "the whole answer")


def pick_quantity_and_targets() -> tuple[Quantity, tuple[int, ...]]:
    """What to explain: one token of the answer (the selected one, else the first) or all of it, and in which quantity."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-target"):
        extent = st.segmented_control(
            "Explain", EXTENTS, default=EXTENTS[0], required=True, key="extent", persist_state="session"
        )
        quantity = st.segmented_control(
            "Quantity", QUANTITIES, default=QUANTITIES[0], required=True, key="quantity", persist_state="session"
        )
    return quantity, () if extent == EXTENTS[1] else (session.visit().token or 0,)


def reliance(result: Attribution) -> None:
    """The answer to pick from, the values explained, three strips on one scale, and the bars."""
    notes(result.sequence)
    _target(result)
    _values(result)
    st.caption(
        "Vermilion raised it, blue lowered it, to first order; full colour means the same in all three strips. "
        "The scores alone prove nothing: see How to read this."
    )
    scores = result.totals()
    limit = attribution.limit(scores)
    for side, values in scores.items():
        side_title(side, result.models[side].id)
        _strip(result, scores, values, limit, side)
    side_title("difference", "tuned - base")
    _strip(result, scores, attribution.difference(scores), limit, "difference")
    st.subheader("The words that counted most", anchor=False)
    chart(
        attribution.figure(result, session.dark()), key="strongest", alt="Scores of the strongest tokens in both models"
    )


def _target(result: Attribution) -> None:
    """The tokens of the answer; a click chooses which one is explained, on every page."""
    answer = result.sequence.part(result.sequence.positions("answer"))
    chosen = session.visit().token
    one = len(result.targets) == 1
    label = (
        "The answer that both models read: click the token to explain" if one else "The answer that both models read"
    )
    shown = int(result.targets[0]) if one else None
    picked = token_strip(
        answer, key="target", label=label, selected=shown, selectable=np.full(len(answer), one or len(answer) == 1)
    )
    if one and picked != shown and not (picked is None and chosen is None):
        session.select_token(session.visit().side, picked)
        st.rerun()


def _values(result: Attribution) -> None:
    """What is explained, and its value in each model."""
    totals = result.values.map(lambda values: float(values.sum()))
    pieces = [result.sequence.pieces[position] for position in result.sequence.positions("answer")[result.targets]]
    what = (
        f"token {result.targets[0]} of the answer, {pieces[0]!r}"
        if len(pieces) == 1
        else f"all {len(pieces)} tokens of the answer, summed"
    )
    st.write(plain(f"Explained: the {result.quantity} of {what}."))
    change = totals.tuned - totals.base
    st.html(
        f'<div class="values"><span class="base">base <b>{totals.base:.3f}</b></span>'
        f'<span class="tuned">tuned <b>{totals.tuned:.3f}</b></span>'
        f"<span>tuned - base <b>{change:+.3f}</b></span><span>{UNITS[result.quantity]}</span></div>"
    )


def _strip(result: Attribution, scores: Pair[np.ndarray], values: np.ndarray, limit: float, name: str) -> None:
    """The tokens before the last target; those after it have no score."""
    before = np.arange(result.sequence.positions("answer")[result.targets].max())
    token_strip(
        result.sequence.part(before),
        key=f"scores-{name}",
        label=f"Score of each token, {UNITS[result.quantity]}",
        values=values[before],
        limit=limit,
        colours="diverging",
        hover=[_numbers(scores, position, UNITS[result.quantity]) for position in before],
        selectable=np.zeros(len(before), dtype=bool),
    )


def _numbers(scores: Pair[np.ndarray], position: int, unit: str) -> str:
    """All three scores of one token."""
    base, tuned = float(scores.base[position]), float(scores.tuned[position])
    return f"base {base:+.4f}, tuned {tuned:+.4f}, difference {tuned - base:+.4f} {unit}"
