"""What a list of instructions gave: progress while it goes on, averages in words and as a figure, and every instruction in a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard.figures import survey as figures
from dashboard.session import compute, inputs, listing
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.progress import AT_ONCE_SECONDS, LIST_POLL_SECONDS, ended, in_background
from dashboard.widgets.prompt_editor import manner_said
from dashboard.widgets.text import format_name, plain, short
from model_utils.contracts.survey import Survey, SurveyRequest
from model_utils.intervals import RESAMPLES
from model_utils.pair import SIDES

FILE_HELP = "Every instruction with both answers and every measure."
FEW = 20
"""Of fewer instructions a bootstrap knows too little of how much they differ."""
INTERVALS_HELP = (
    f"Resampling the instructions of this list {RESAMPLES:,} times (bootstrap, BCa, Efron 1987) puts the mean between these ends in 95 % of cases. "
    "That speaks of instructions like these, not of all that could be asked."
)


def survey(held: compute.Held) -> None:
    """Draws the whole result, or what there is so far with progress until it is over; then the page runs once more."""
    _leave()
    held.job.wait(AT_ONCE_SECONDS)
    if held.over:
        ended("survey", held, listing.survey_again)
        if held.shown is not None:
            _result(held.shown, so_far=held.result is None)
    else:
        st.fragment(_news, run_every=LIST_POLL_SECONDS)(held)


def _leave() -> None:
    """For Compare, when a row was opened; pages cannot be changed in the callback of a table."""
    if listing.row_was_opened():
        st.switch_page("screens/compare.py")


def _news(held: compute.Held) -> None:
    _leave()
    if held.over:
        st.rerun()
    in_background("survey", held, listing.stop_survey)
    if held.shown is not None:
        _headline(held.shown, so_far=True)
        _table(held.shown, in_order=True)


def _result(result: Survey, so_far: bool) -> None:
    """`so_far`: the list was stopped before its end."""
    _headline(result, so_far)
    if figures.averages(result):
        chart(
            figures.figure,
            result,
            inputs.dark(),
            key="averages",
            alt=f"Averages over the list: {'; '.join(averages_said(result))}",
        )
        st.caption(
            "A mark is the mean, the line through it its 95 % interval; between the ends of the pale bar lies the middle half of the instructions."
            if figures.bounded(result)
            else "A mark is the mean; between the ends of the pale bar lies the middle half of the instructions."
        )
    _table(result, in_order=False)


# In words


def _headline(result: Survey, so_far: bool) -> None:
    with st.container(gap="xxsmall"):
        st.subheader(plain(headline(result)), anchor=False)
        st.caption(plain(refused_said(result, so_far)))
        if said := checks_said(result):
            st.caption(plain(said))
        if figures.bounded(result):
            st.caption(intervals_said(result), help=INTERVALS_HELP)
        elif so_far:
            st.caption("These are means of the instructions that are done; intervals come with the whole list.")
        if "kl" not in figures.averages(result) and "log_ratio" in figures.averages(result):
            st.caption(
                "The two models part texts into different tokens: only the log-ratio of pieces of text can be compared."
            )
        asking = listing.many().asking
        assert asking is not None, "nobody was asked"
        names = {side: f"{result.models[side].id} ({format_name(asking.request.formats[side])})" for side in SIDES}
        st.caption(plain(f"Asked: {names['base']} and {names['tuned']}, {asked_said(asking.request)}."))


def headline(result: Survey) -> str:
    """How much of an answer tuning moved, on average; the most important sentence of the page."""
    means = figures.averages(result)
    one = means.get("shifted") or means.get("log_ratio")
    if one is None:
        return f"No number yet: {refused_said(result)}"
    over = f"over {figures.counted(one.count)}"
    if one.measure == "shifted":
        return f"On average {figures.said(one)} of the tuned answer's tokens are shifted, {over}."
    return f"On average the models differ by {figures.said(one)} nats on a piece of the tuned answer, {over}."


def intervals_said(result: Survey) -> str:
    few = any(one.count < FEW for one in figures.bounded(result))
    rough = f"; those over fewer than {FEW} of them are rough and often too narrow" if few else ""
    return f"In brackets: 95 % intervals over the instructions, which speak of instructions like these{rough}."


def refused_said(result: Survey, so_far: bool = False) -> str:
    """What averages hide: how many instructions are not in them."""
    count, done = len(result.items), " done so far" if so_far else ""
    refused = sum(one.refusal is not None for one in result.items)
    empty = sum(one.refusal is None and np.isnan(one.log_ratio) for one in result.items)
    asked = (
        f"{refused:,} of {figures.counted(count)}{done} could not be asked and {'is' if refused == 1 else 'are'} in no average; the table says why."
        if refused
        else f"{'The instruction' if count == 1 else f'All {count:,} instructions'}{done} could be asked."
    )
    return asked + (f" The tuned answer to {empty:,} of them is empty and has nothing to compare." if empty else "")


def checks_said(result: Survey) -> str:
    """How well both sides hold to what can be counted; nothing where no instruction asks for such."""
    means = figures.averages(result)
    both = means.get(figures.DIFFERENCE)
    if both is None:
        return ""
    sides = {side: figures.said(means[f"checks passed by {side}"]) for side in SIDES}
    return (
        f"Of what {figures.counted(both.count)} verifiably ask{'s' if both.count == 1 else ''} for, base does {sides['base']} and tuned "
        f"{sides['tuned']}: tuned − base is {figures.said(both)} percentage points."
    )


def averages_said(result: Survey) -> list[str]:
    """Each average of the figure."""
    names = {measure: name for panel in figures.PANELS for measure, name in panel.names.items()}
    return [f"{names[measure]} {figures.said(one)}" for measure, one in figures.averages(result).items()]


def asked_said(request: SurveyRequest) -> str:
    """How each answer was made."""
    drawn = request.sampling.model_dump() if request.sampling else None
    how = manner_said(request.same_tokens, drawn, request.system or "")
    longest = f"at most {request.max_new_tokens:,} tokens"
    return ", ".join(["one answer a side", *([] if drawn else ["greedily"]), *how, longest])


# The table


def rows(result: Survey, in_order: bool) -> pd.DataFrame:
    """`Survey.table`, most different first; `in_order`: as the instructions were given, so that no row moves when others come."""
    table = result.table()
    return table.sort_values("item", ignore_index=True) if in_order else table


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that people read, without those in which nothing stands."""
    shown = pd.DataFrame({"instruction": table["instruction"].map(short)})
    for name in ("shifted", "marginal", "unshifted", "agreement"):
        shown[name] = 100 * table[name]
    shown = shown.assign(log_ratio=table["log_ratio"], kl=table["kl"], js=table["js"])
    for side in SIDES:
        shown[f"checks_{side}"] = [
            f"{passed} of {count}" if count else ""
            for passed, count in zip(table[f"passed_{side}"], table["checks"], strict=True)
        ]
    asked = table["refusal"] == ""
    for side in SIDES:
        shown[f"stop_{side}"] = table[f"stop_{side}"].where(asked, "")
    shown["refusal"] = table["refusal"]
    order = ("instruction", "shifted", "log_ratio", "agreement", "checks_base", "checks_tuned")
    rest = [name for name in shown if name not in order]
    shown = shown[[*order, *rest]]
    return shown[[name for name in shown if shown[name].replace("", None).notna().any()]]


def _table(result: Survey, in_order: bool) -> None:
    if in_order:
        st.subheader("As they come", anchor=False)
    else:
        heading_with_csv("Most different first", result.table, "survey.csv", FILE_HELP)
    st.caption("Select a row to open its instruction on the Compare page, asked in the same manner.")
    table = rows(result, in_order)

    def pick() -> None:
        chosen = inputs.value("survey-table").selection.rows
        if chosen:
            listing.open_listed(str(table["instruction"].iloc[chosen[0]]))

    shown = readable(table)
    st.dataframe(
        shown,
        hide_index=True,
        placeholder="",
        height=min(480, 36 * (len(table) + 1)),
        key="survey-table",
        on_select=pick,
        selection_mode="single-row",
        column_config={name: column for name, column in COLUMNS.items() if name in shown},
        alt=f"What each of {figures.counted(len(table))} gave",
    )


def _number(label: str, help: str, format: str = "%.2f", width: int = 72) -> ColumnConfig:
    return st.column_config.NumberColumn(label, help=help, format=format, width=width)


def _text(label: str, help: str) -> ColumnConfig:
    return st.column_config.TextColumn(label, help=help, width=96)


PERCENT = "%.0f %%"
COLUMNS: dict[str, ColumnConfig] = {
    "instruction": st.column_config.TextColumn("instruction", width="medium", pinned=True),
    "shifted": _number("shifted", "Tokens of the tuned answer that are beyond rank 3 in base.", PERCENT),
    "log_ratio": _number("|log-ratio|", "Mean over the tuned answer of |log p tuned − log p base|, in nats; 0 is no change.", width=84),
    "agreement": _number("in both", "Words that both answers have in the same order.", PERCENT),
    "checks_base": _text("base checks", "Of what the instruction verifiably asks for, how much the base answer does."),
    "checks_tuned": _text("tuned checks", "The same for the tuned answer."),
    "marginal": _number("marginal", "Tokens of the tuned answer that are 2nd or 3rd in base.", PERCENT, 80),
    "unshifted": _number("unshifted", "Tokens of the tuned answer that are base's own first choice.", PERCENT, 84),
    "kl": _number("KL", "Mean KL(tuned‖base) over the tuned answer, in nats; 0 is no change.", width=56),
    "js": _number("JS", "Mean Jensen-Shannon divergence over the tuned answer, in nats, 0 to 0.69.", width=56),
    "stop_base": _text("base end", "Why the base answer ended."),
    "stop_tuned": _text("tuned end", "Why the tuned answer ended."),
    "refusal": st.column_config.TextColumn("could not be asked because", width="large"),
}  # fmt: skip
