"""Format or weights: how much of the difference the text around the instruction makes, and how much the weights."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard.figures import shift as figures
from dashboard.session import inputs, pairs, questions, visits
from dashboard.widgets.chart import chart
from dashboard.widgets.text import format_name, plain
from model_utils.contracts.common import FORMATS, Format
from model_utils.contracts.shift import Forced, Shift, Split
from model_utils.pair import Side


def format_or_weights(result: Shift, side: Side, pinned: int | None) -> None:
    """The two formats, the sum in one sentence, and each token; `pinned` is a unit of the side's answer."""
    st.subheader("Format or weights?", anchor=False)
    _pick()
    why = [note for note in result.notes if note not in [one.left_out for one in result.answers.sides]]
    for note in why:
        st.warning(plain(note))
    forced = result.answers[side]
    if forced.split is None:
        if not why:
            st.caption("This was not measured.")
        return
    if not forced.counted.any():
        st.caption(f"The {side} answer has no token to part.")
        return
    st.write(plain(said(forced.split, forced)))
    st.caption(plain(f"{explained(forced.split, side)} {remarks(forced)}"))
    chart(
        figures.split_figure,
        forced,
        forced.split,
        inputs.dark(),
        pinned,
        key="split",
        alt=f"What weights and format did to each token of the {side} answer",
    )


def _pick() -> None:
    """The reference and the other format; another choice is another request."""
    question, kept = visits.visit().question, visits.visit().split
    assert question is not None, "nothing was asked"
    formats = question.request.formats.sides
    current = kept or formats
    options = offered(formats, current, pairs.without_template())
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-split"):
        chosen = tuple(
            st.selectbox(
                label,
                options,
                index=options.index(current[i]),
                format_func=format_name,
                key=f"split-{i}-{options.index(current[i])}-{len(options)}",
                width=240,
                help=help,
            )
            for i, (label, help) in enumerate(
                (
                    ("Reference format", "The base model reads the instruction like this."),
                    ("Other format", "The tuned model reads the instruction like this."),
                )
            )
        )
    if chosen != current:
        questions.split_between((chosen[0], chosen[1]))
        st.rerun()


def offered(asked: tuple[Format, ...], kept: tuple[Format, ...], without_template: bool) -> list[Format]:
    """Formats to choose from: those with a name that the models have, and templates in use."""
    named = [name for name in FORMATS if name != "chat" or not without_template or name in (*asked, *kept)]
    return [*dict.fromkeys([*named, *asked, *kept])]


def said(split: Split, forced: Forced) -> str:
    """The sum over the tokens that count, in numbers that add up as they are printed."""
    known = forced.counted & np.isfinite(split.weights)
    total, weights, interaction = (
        round(float(np.sum(values[known])), 2) + 0.0 for values in (split.total, split.weights, split.interaction)
    )
    missing = int(forced.counted.sum() - known.sum())
    left_out = f"; {missing:,} not in it, because a model has no such token" if missing else ""
    return (
        f"total {total:+.2f} nats = weights {weights:+.2f} + format {total - weights:+.2f} (interaction {interaction:+.2f})"
        f"{left_out}"
    )


def explained(split: Split, side: Side) -> str:
    """What the parts are."""
    reference, other = map(format_name, split.formats)
    words = (
        f"Total: how much likelier the {side} answer is to the tuned model asked in {other} than to the base model asked in {reference}. "
        "Weights: what tuning changed in the model. Format: what the other text around the instruction did. "
        "Interaction: how much more the weights do in the other format."
    )
    same = split.formats[0] == split.formats[1]
    return words + (" Both formats are the same, so the format part is zero by definition." if same else "")


def remarks(forced: Forced) -> str:
    """What has to be known about the bars."""
    grey = "" if figures.floor(forced) is None else f"A total in grey: {figures.noise_said(forced)}."
    pale = "" if forced.counted.all() else "Pale bars are not counted, because people do not read them."
    return f"{grey} {pale}".strip()
