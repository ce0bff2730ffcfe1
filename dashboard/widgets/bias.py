"""What the bias probe found: what tuning did to each bias, every group against its reference, what else could explain it, and the cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import bias as figures
from dashboard.session import inputs
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.probe import about, example_list, findings, html_table, one_or_both, refused
from dashboard.widgets.text import escaped, plain, short
from model_utils.contracts.bias import ORDER, Bias, BiasRequest
from model_utils.contracts.probe import ProbeItem, ProbeRequest, known_mean
from model_utils.pair import SIDES, Side

FILE_HELP = "Every case with what stands in its slots, and both models' log-odds and probabilities."
GAPS: dict[Side, str] = {"base": "base gap", "tuned": "tuned gap"}
ONLY_ONE = "only one of them differs"
LITTLE = 0.5
"""Mean probability of both options together below which the page says that the models would write something else."""
CASES = 12
"""Cases of an item that are shown."""


def bias(result: Bias, request: ProbeRequest) -> None:
    """Draws the whole result, or what there was when it was stopped."""
    assert isinstance(request, BiasRequest), type(request)
    findings("bias", result)
    _fates(result)
    about(result, request)
    _mass(result)
    refused("bias", result)
    if not len(result.item):
        return
    _groups(result)
    _controls(result)
    opened = _examples(result, request)
    if opened is not None:
        _item(result, opened, request.items[opened], request)


def so_far(result: Bias) -> str:
    """The largest difference between groups up to now, in words."""
    found = figures.rows(result)
    told = []
    for side in SIDES:
        known = [row for row in found if row.sides[side].count]
        if known:
            most = max(known, key=lambda row: abs(row.sides[side].mean))
            told.append(f"{side} {100 * most.sides[side].mean:+.1f} points for {most.name}")
    return f"So far the largest differences are: {'; '.join(told)}." if told else "So far no item could be asked."


def _fates(result: Bias) -> None:
    """What tuning did to each bias, in sentences."""
    found = sorted(result.fates(), key=lambda one: ORDER.index(one.fate))
    if found:
        st.subheader("Did tuning add, remove or change a bias?", anchor=False)
        st.markdown("\n".join(f"- {plain(one.said())}" for one in found))
        if len(found) > 1:
            st.caption(f"Whether tuned differs from base is corrected for all {len(found)} groups. Whether a model by itself has a bias is not: each group has its own 95 % interval, so that of many groups one may be said to have a bias, or none, by chance.")  # fmt: skip


def _mass(result: Bias) -> None:
    """Whether the options are what the models would write at all."""
    shares = {side: known_mean(result.mass[side]) for side in SIDES}
    known = {side: share for side, share in shares.items() if np.isfinite(share)}
    if known:
        told = ", ".join(f"{side} {share:.0%}" for side, share in known.items())
        warning = " Where it is little, a model would write something else, and its choice among the two says little." if min(known.values()) < LITTLE else ""  # fmt: skip
        st.caption(f"Of the probability of all answers, the two options together hold: {told}.{warning}")


def _groups(result: Bias) -> None:
    heading_with_csv("Which groups are treated otherwise?", result.table, "bias.csv", FILE_HELP)
    chart(figures.figure, result, inputs.dark(), key="bias-figure", alt=f"{figures.AXIS}: {groups_said(result)}")
    st.caption(
        "A mark is a group against the reference of its slot, with a 95 % interval over items: right of 0, the favourable answer is more probable for the group. "
        "Grey is how far others of the same groups would be apart, in 95 of 100 cases: a mark within it is no more than that."
    )
    left = not_drawn_said(result)
    if left:
        st.caption(left)


def not_drawn_said(result: Bias) -> str:
    """How many groups the figure leaves out; empty where it holds all."""
    left = len(result.compared) - figures.MOST_ROWS
    if left <= 0:
        return ""
    told = f"{left:,} more {'is' if left == 1 else 'are'} not drawn, and in the table of controls below"
    return f"The figure holds the first {figures.MOST_ROWS} groups; {told}."


def groups_said(result: Bias) -> str:
    told = []
    for row in figures.rows(result):
        sides = [f"{side} {100 * row.sides[side].mean:+.1f} points" for side in SIDES if row.sides[side].count]
        told += [f"{row.name} {', '.join(sides)}"] if sides else []
    return "; ".join(told)


# --- controls ---------------------------------------------------------------------------------------------------------


def controls(result: Bias) -> pd.DataFrame:
    """One row a group and side: group, side, effect, floor (points), same_length (the effect among prompts of as many tokens, points), and compared (share of the cases that are in it, percent)."""
    rows: list[dict[str, object]] = []
    values = {side: result.favourable(side) for side in SIDES}
    same = {(slot, side): result.same_length(side, slot) for slot in range(len(result.slots)) for side in SIDES}
    for row in figures.rows(result):
        cases = int(np.isin(result.group[:, row.slot], (0, row.group)).sum())
        for side in SIDES:
            counted = same[row.slot, side][:, row.group]
            alike = result.effect(values[side], row.slot, row.group, counted)
            rows.append(
                {
                    "groups": row.name,
                    "side": side,
                    "effect": 100 * row.sides[side].mean,
                    "floor": 100 * row.floor[side],
                    "same_length": 100 * known_mean(alike),
                    "compared": 100 * int(counted.sum()) / cases if cases else 0.0,
                }
            )
    return pd.DataFrame(rows, columns=["groups", "side", "effect", "floor", "same_length", "compared"])


POINTS = {
    "effect": ("difference", "Mean difference in the probability of the favourable answer, percentage points."),
    "floor": ("others of the same groups", "How far others of the same groups would be apart in 95 of 100 cases, percentage points; a smaller difference is no more than that."),
    "same_length": ("prompts of the same length", "The difference among prompts of as many tokens alone, percentage points: neither length nor shifted positions can make it."),
}  # fmt: skip


def _controls(result: Bias) -> None:
    """What else could explain a difference."""
    with st.expander("Could something else explain it?", key="bias-controls"):
        columns = {name: st.column_config.NumberColumn(label, format="%+.1f" if name != "floor" else "%.1f", help=help) for name, (label, help) in POINTS.items()}  # fmt: skip
        columns["compared"] = st.column_config.NumberColumn("cases of the same length", format="%.0f %%", help="Share of the cases that have a counterpart of as many tokens.")  # fmt: skip
        st.dataframe(controls(result), hide_index=True, placeholder="", column_config=columns, alt="Controls of every group and side")  # fmt: skip
        st.caption("Differences in percentage points, tuned and base each by itself.")
        wordings = result.by_wording()
        if len(wordings) > 1:
            st.caption(
                "Mean probability of the favourable answer in each wording, over the items that have every wording. Where the wordings name the options in another order, the difference between the rows is what the position of an option does."
            )
            shares = [f"favourable_{side}" for side in SIDES]
            named = wordings.assign(**{name: 100 * wordings[name] for name in shares}, wording=wording_names(len(wordings)))  # fmt: skip
            st.dataframe(named, hide_index=True, placeholder="", alt="The favourable answer in each wording", column_config={name: st.column_config.NumberColumn(name.replace("_", ", "), format="%.1f %%") for name in shares})  # fmt: skip


def wording_names(count: int) -> list[str]:
    return ["as written", *(f"paraphrase {number}" for number in range(1, count))]


# --- items ------------------------------------------------------------------------------------------------------------


def gaps(result: Bias, side: Side) -> np.ndarray:
    """(item,) largest difference of any group from its reference, 0 to 1, in the probability of the favourable answer; NaN: not asked."""
    values = result.favourable(side)
    found = [np.abs(result.effect(values, slot, group)) for slot, group in result.compared]
    stacked = np.stack(found) if found else np.full((1, result.count), np.nan)
    known = ~np.isnan(stacked).all(axis=0)
    return np.where(known, np.nanmax(np.where(known, stacked, 0), axis=0), np.nan)


def examples(result: Bias, request: ProbeRequest) -> pd.DataFrame:
    """One row an item that was asked: item, question with its slots open, and each side's largest difference between groups in points; most first."""
    both = {side: gaps(result, side) for side in SIDES}
    asked = [item for item in range(result.count) if any(np.isfinite(both[side][item]) for side in SIDES)]
    rows: list[dict[str, object]] = [
        {"item": item, "question": short(request.items[item].asked()), "options": short(" | ".join(request.items[item].options))}
        | {GAPS[side]: 100 * both[side][item] for side in SIDES}
        for item in asked
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["item", "question", "options", *GAPS.values()])
    order = table[list(GAPS.values())].max(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _examples(result: Bias, request: BiasRequest) -> int | None:
    table = examples(result, request)
    heading_with_csv("Items, the most unequal first", lambda: table, "bias-items.csv", "Every item with its largest difference between groups.")  # fmt: skip
    margin = 100 * request.margin
    over = {side: table[name] > margin for side, name in GAPS.items()}
    filters = one_or_both(table, over, {side: f"{side} differs" for side in SIDES}, ONLY_ONE)
    columns = {
        "item": st.column_config.NumberColumn("item", width=56),
        "question": st.column_config.TextColumn("question", width="large"),
        **{name: st.column_config.NumberColumn(name, format="%.1f", width=88, help="Largest difference of a group from its reference, percentage points.") for name in GAPS.values()},
    }  # fmt: skip
    return example_list("bias", table, columns, filters)


def _item(result: Bias, item: int, asked: ProbeItem, request: BiasRequest) -> None:
    """Its cases, the least favourable for tuned first: exactly what was asked, and how probable the favourable answer is."""
    st.subheader(f"Item {item + 1}, case by case", anchor=False)
    st.caption(plain(f"Favourable: {asked.options[0]}. The other option: {asked.options[1]}."))
    mine = np.flatnonzero(result.item == item)
    values = {side: result.favourable(side) for side in SIDES}
    order = mine[np.argsort(np.nan_to_num(values["tuned"][mine], nan=2.0), kind="stable")]
    half = CASES // 2
    shown = order if len(order) <= CASES else np.concatenate([order[:half], order[-half:]])
    cases = request.cases(item)
    start = int(mine[0])
    rows = [
        (
            escaped(groups_of(result, case)),
            f'<span class="text" dir="auto">{escaped(request.asked(item, cases[case - start]))}</span>',
            *(f"{values[side][case]:.1%}" for side in SIDES),
        )
        for case in shown.tolist()
    ]
    html_table(("groups", "exact text", *SIDES), rows)
    left = len(order) - len(shown)
    more = f" Of {len(order):,} cases the {half} least and the {half} most favourable in tuned; all are in the file." if left else ""  # fmt: skip
    st.caption(f"In percent: the probability of the favourable answer among the two.{more}")


def groups_of(result: Bias, case: int) -> str:
    """The group in each slot of a case."""
    return ", ".join(result.groups[slot][group] for slot, group in enumerate(result.group[case].tolist()) if group >= 0)
