"""How far tuning moved each token: the headline, a measure along the answer, and the most shifted tokens first, around one pin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import generation as certainties
from dashboard.figures import shift as figures
from dashboard.session import address, inputs, selection, visits
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.format_or_weights import format_or_weights
from dashboard.widgets.shift_strips import chance, pinned, strips, token_of, unit_of
from dashboard.widgets.text import plain
from model_utils.contracts.generation import Generation
from model_utils.contracts.shift import Floor, Forced, Shift
from model_utils.pair import SIDES, Pair, Side

CERTAINTY = "certainty"
"""The measure that is not of the shift: how sure each model was of its own answer."""
SHARES_HELP = (
    "Each token of the answer by its rank in the model that did not write it (Lin et al. 2024): unshifted is that model's own first choice "
    "too, marginal is its 2nd or 3rd, shifted is beyond. A rank depends on the prompt format."
)
FLOOR_HELP = (
    "The same instruction in other words that mean the same ('Please: ...', 'Task: ...') changes every probability a little, in one and the same "
    "model; so does the same text in another batch, with padding, by another kernel or on one thread. What changed by no more than this is grey: "
    "it says nothing about tuning. Of each floor the larger of both models counts."
)
FILE_HELP = (
    "Every token of both answers (every piece, where the models part text into different tokens) with every number of this page, also those of "
    "the parts and the noise floors. Ranks count from 1, TV goes from 0 to 1, per character is nats a character, and all others are nats."
)


def movement(whole: Generation, result: Shift) -> None:
    """All of it, in a fragment of its own, so that a pin costs no more than it shows."""
    if _measuring():
        with st.container():  # the place that the fragment below takes, so that the strips stay as they are
            _headline(result)
            strips(result)  # the rest comes with the floors; a page that looks for news draws as little as it can
    else:
        st.fragment(_inspect)(whole, result)


def _measuring() -> bool:
    """Whether more is on its way."""
    held = visits.visit().held.get("shift")
    return held is not None and not held.over


def _inspect(whole: Generation, result: Shift) -> None:
    _headline(result)
    strips(result)
    side = _along(whole, result)
    _most_shifted(result, side)
    format_or_weights(result, side, unit_of(result.answers[side], pinned(side)))
    address.write_address()  # with what is looked at now


# The headline


def _headline(result: Shift) -> None:
    tuned, base = result.answers.tuned, result.answers.base
    first, mirror = headline(tuned, _measuring()), headline(base, _measuring())
    with st.container(gap="xxsmall", key="headline"):
        st.subheader(plain(first), anchor=False)
        if shares_said(tuned):
            st.markdown(plain(f"Of the tuned answer {shares_said(tuned)}."), help=SHARES_HELP)
        st.caption(plain(" ".join(filter(None, ["The mirror:", mirror, _sentence(shares_said(base))]))))
        if said := floors_said(result.answers):
            st.caption(plain(said), help=plain(f"{FLOOR_HELP} {taken_from(result.answers)}"))
    for forced in result.answers.sides:
        if forced.left_out:
            st.warning(plain(forced.left_out))
    if not all(forced.alike for forced in result.answers.sides):
        st.info(
            "The two models part text into different tokens, so they are compared on pieces of text whose ends are token ends in both. "
            "Ranks, divergences and classes need equal tokens and are not shown."
        )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""


def headline(forced: Forced, measuring: bool = False) -> str:
    """How many of the tokens that people read changed beyond the noise; the most important sentence of the page.

    `measuring`: what is not known yet is on its way.
    """
    total, unit = int(forced.counted.sum()), "token" if forced.alike else "piece"
    if total == 0:
        return f"The {forced.writer} answer has no token to compare: it is empty."
    many = f"{total} {unit}{'' if total == 1 else 's'} of the {forced.writer} answer"
    if forced.wording is None and measuring:
        return f"{many}: measuring what a reworded prompt would change ..."
    if forced.wording is None:
        return f"{many}: what a reworded prompt would change was not measured."
    if figures.floor(forced) is None:
        return f"{many}: what a reworded prompt would change could not be measured."
    return f"{int((forced.beyond & forced.counted).sum())} of {many} changed more than a reworded prompt would change them."


def shares_said(forced: Forced) -> str:
    """The classes of the tokens that people read; nothing where there is none."""
    if not forced.alike or not forced.counted.any():
        return ""
    return ", ".join(f"{name} {share:.0%}" for name, share in forced.shares().items())


def floors_said(answers: Pair[Forced]) -> str:
    """What counts as noise in each answer, or why that is not known; nothing before it was measured."""
    measured = [one for one in (answers.tuned, answers.base) if one.wording is not None and one.counted.any()]
    known = [
        f"{one.wording.nats:.3g} nats in the {one.writer} answer"
        for one in measured
        if one.wording is not None and figures.floor(one) is not None
    ]
    unit = "token" if answers.tuned.alike else "piece"
    said = f"When only the instruction is reworded, nine in ten changes of a {unit}'s log-probability are at most "
    return " ".join(
        [
            *([f"{said}{' and '.join(known)}."] if known else []),
            *(unmeasured(one) for one in measured if figures.floor(one) is None),
        ]
    )


def unmeasured(forced: Forced) -> str:
    """Why an answer has no noise floor."""
    if not np.isfinite(forced.log_ratios[forced.counted]).any():
        why = "one of the models has none of its tokens"
    else:
        why = "no other wording of the instruction fits a model's context and passes through its prompt format"
    return f"The noise of the {forced.writer} answer was not measured, because {why}; nothing of it is greyed."


def taken_from(answers: Pair[Forced]) -> str:
    """The numbers behind both floors of each answer."""
    return " ".join(
        f"In the {one.writer} answer: {_changes(one.wording)} over {_count(one.wording.runs)}, nine in ten at most "
        f"{one.wording.nats:.3g} nats; {_changes(one.numerical)} by numerical noise, 99 in 100 at most {one.numerical.nats:.2g} nats."
        for one in (answers.tuned, answers.base)
        if one.wording is not None and one.numerical is not None and figures.floor(one) is not None
    )


def _count(rewordings: tuple[str, ...]) -> str:
    return f"{len(rewordings)} rewording{'' if len(rewordings) == 1 else 's'}"


def _changes(floor: Floor) -> str:
    return f"{floor.values.base:,} changes in base and {floor.values.tuned:,} in tuned"


# A measure along the answer


def _along(whole: Generation, result: Shift) -> Side:
    """One measure over one answer; returns whose."""
    st.subheader("Shift along the answer", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-measure"):
        side = _pick_answer()
        forced = result.answers[side]
        measure = _pick_measure(forced)
    if measure == CERTAINTY:
        chart(certainties.figure, whole, inputs.dark(), key="along", alt="How sure each model was of its own answer")
        st.caption("How sure each model was of its own answer, token by token; the two lines are two different texts.")
    elif len(forced.spans):
        unit, alt = unit_of(forced, pinned(side)), f"{figures.MEASURES[measure].name} along the {side} answer"
        chart(figures.figure, result, inputs.dark(), side, measure, unit, key="along", alt=alt)
        if remarks(forced):
            st.caption(remarks(forced))
    else:
        st.caption(f"The {side} answer has no token to draw.")
    return side


def remarks(forced: Forced) -> str:
    """What has to be known about the marks of the curve."""
    hollow = (
        ""
        if forced.counted.all()
        else "Hollow marks are not counted, because people do not read them; they stand no farther out than those that are."
    )
    few = "" if forced.alike else "Only log-ratios are known here, because the two models read different tokens."
    return f"{hollow} {few}".strip()


def _pick_answer() -> Side:
    side = visits.visit().side
    chosen = st.segmented_control(
        "Whose answer",
        SIDES,
        default=side,
        required=True,
        key=f"whose-{side}",
        help="Both models read the answer that this model wrote, each after its own prompt.",
    )
    if chosen != side:
        selection.read_along(chosen)
        inputs.rerun_fragment()
    return chosen


def _pick_measure(forced: Forced) -> str:
    names = (*figures.offered(forced), CERTAINTY)
    inputs.keep_among("measure", names)
    return st.segmented_control(
        "Measure",
        names,
        default=names[0],
        format_func=lambda name: figures.MEASURES[name].name if name in figures.MEASURES else name,
        required=True,
        key="measure",
        persist_state="session",
        wrap=True,
    )


# The table


def order(forced: Forced) -> np.ndarray:
    """(row,) int64 units, the largest log-ratio either way first; what is not counted, and then what cannot be compared, last."""
    sizes = np.abs(forced.log_ratios)
    return np.lexsort((-sizes, ~forced.counted, np.isnan(sizes)))


def most_shifted(forced: Forced) -> pd.DataFrame:
    """One row a unit, most shifted first, as people read it."""
    rows = order(forced)
    table = forced.table().iloc[rows]
    shown = pd.DataFrame(
        {
            "place": table["position"],
            "token": [repr(piece)[1:-1] for piece in table["token"]],
            "base": np.exp(table["log_prob_base"]),
            "tuned": np.exp(table["log_prob_tuned"]),
            "log-ratio": table["log_ratio"],
        }
    )
    if figures.floor(forced) is not None:
        shown["noise"] = np.where(figures.within_floor(forced)[rows], "within", np.where(table["beyond"], "beyond", ""))
    if forced.alike:
        shown[f"rank in {forced.reader}"] = table["rank"]
        if table["ties"].any():
            shown["ties"] = table["ties"]
        shown["KL"] = table["kl"]
        shown["class"] = table["class"].where(table["counted"], "not counted")
    return shown.reset_index(drop=True)


def _most_shifted(result: Shift, side: Side) -> None:
    forced = result.answers[side]
    heading_with_csv("Most shifted first", result.table, "shift.csv", FILE_HELP)
    if not len(forced.spans):
        st.caption(f"The {side} answer has no token to list.")
        return
    unit, rows, key = unit_of(forced, pinned(side)), order(forced), f"most-shifted-{side}"
    st.caption(plain(pin_said(forced, unit)))
    inputs.select_row(key, None if unit is None else int(np.flatnonzero(rows == unit)[0]))

    def pick() -> None:
        chosen = inputs.value(key).selection.rows
        selection.select_token(side, token_of(forced, int(rows[chosen[0]])) if chosen else None)

    decimals = st.column_config.NumberColumn(format="%.3f", width="small")
    small = st.column_config.Column(width="small")
    table = most_shifted(forced)
    st.dataframe(
        table,
        hide_index=True,
        height=min(353, 35 * (len(table) + 1) + 3),
        key=key,
        on_select=pick,
        selection_mode="single-row",
        column_config={
            "place": small,
            "base": st.column_config.NumberColumn("base probability", format="%.3g", width="small"),
            "tuned": st.column_config.NumberColumn("tuned probability", format="%.3g", width="small"),
            "log-ratio": decimals,
            "noise": st.column_config.TextColumn(
                width="small", help="within: it changed no more than noise changes it"
            ),
            "KL": decimals,
        },
        alt=f"The tokens of the {side} answer, most shifted first",
    )


def pin_said(forced: Forced, unit: int | None) -> str:
    """What is pinned, in words."""
    if unit is None:
        return "Select a row, or a token above, to see it in every figure of the page."
    ratio, chances = forced.log_ratios[unit], forced.log_probs.map(lambda values: chance(float(values[unit])))
    rank = forced.readings[forced.reader].ranks[unit] if forced.alike else 0
    known = f"{ratio:+.2f} nats" if np.isfinite(ratio) else "no log-ratio"
    where = f", rank {rank:,} in {forced.reader}" if rank else ""
    little = f"; {figures.noise_said(forced)}" if figures.within_floor(forced)[unit] else ""
    return (
        f"Pinned: {forced.texts[unit]!r} at {unit}: base {chances.base}, tuned {chances.tuned}, {known}{where}{little}."
    )
