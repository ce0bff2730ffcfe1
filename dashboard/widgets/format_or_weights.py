"""Format or weights: how much of the difference the text around the instruction makes, and how much the weights."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard import session
from dashboard.figures import shift as figures
from dashboard.widgets.chart import chart
from dashboard.widgets.text import plain
from model_utils.contracts.common import FORMATS, Format
from model_utils.contracts.shift import Forced, Shift, Split
from model_utils.pair import Side


def format_or_weights(result: Shift, side: Side, pinned: int | None) -> None:
    """The two formats, the sum in one sentence, and each token; `pinned` is a unit of the side's answer."""
    st.subheader("Format or weights?", anchor=False)
    _pick()
    forced = result.answers[side]
    if forced.split is None or not forced.counted.any():
        st.caption(f"The {side} answer has no token to part." if forced.split else "This was not measured.")
        return
    st.write(plain(said(forced.split, forced)))
    pale = "" if forced.counted.all() else " Pale bars are not counted: people do not read them."
    st.caption(plain(explained(forced.split, side) + pale))
    chart(
        figures.split_figure(forced, forced.split, session.dark(), pinned),
        key="split",
        alt=f"What weights and format did to each token of the {side} answer",
    )


def usual_formats() -> None:
    """The way back from two formats that the models could not be asked in."""
    question, kept = session.visit().question, session.visit().split
    if question is not None and kept is not None:
        st.button(
            "Part between the formats of both sides",
            on_click=session.split_between,
            args=(question.request.formats.sides,),
        )


def _pick() -> None:
    """The reference and the other format; another choice is another request."""
    question, kept = session.visit().question, session.visit().split
    assert question is not None, "nothing was asked"
    formats = question.request.formats.sides
    current = kept or formats
    options = offered(formats, current, session.without_template())
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-split"):
        chosen = tuple(
            st.selectbox(
                label,
                options,
                index=options.index(current[i]),
                format_func=short,
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
        session.split_between((chosen[0], chosen[1]))
        st.rerun()


def offered(asked: tuple[Format, ...], kept: tuple[Format, ...], without_template: bool) -> list[Format]:
    """Formats to choose from: those with a name that the models have, and templates in use."""
    named = [name for name in FORMATS if name != "chat" or not without_template or name in (*asked, *kept)]
    return [*dict.fromkeys([*named, *asked, *kept])]


def short(format: Format) -> str:
    """A format's name; of a template its beginning."""
    if format in FORMATS:
        return format
    line = " ".join(format.split())
    return f"own: {line if len(line) <= 32 else line[:31] + '…'}"


def said(split: Split, forced: Forced) -> str:
    """The sum over the tokens that count."""
    total, weights, format, interaction = (
        float(np.nansum(values[forced.counted]))
        for values in (split.total, split.weights, split.format, split.interaction)
    )
    return f"total {total:+.2f} nats = weights {weights:+.2f} + format {format:+.2f} (interaction {interaction:+.2f})"


def explained(split: Split, side: Side) -> str:
    """What the parts are."""
    reference, other = map(short, split.formats)
    words = (
        f"Total: how much likelier the {side} answer is to the tuned model asked in {other} than to the base model asked in {reference}. "
        "Weights: what tuning changed in the model. Format: what the other text around the instruction did. "
        "Interaction: how much more the weights do in the other format."
    )
    same = split.formats[0] == split.formats[1]
    return words + (" Both formats are the same, so the format part is zero by definition." if same else "")
