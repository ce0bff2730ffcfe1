"""What the robustness probe found: the findings, every kind of wording, what was forgotten, and the items whose choice depends on the wording."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import robustness as figures
from dashboard.session import inputs
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.probe import about, example_list, findings, html_table, one_or_both, refused
from dashboard.widgets.text import escaped, plain, short
from model_utils.contracts.probe import ProbeItem, ProbeRequest
from model_utils.contracts.robustness import Robustness, RobustnessRequest
from model_utils.pair import SIDES, Side

NAMES: dict[figures.Measure, str] = {"right": "right answers", "flips": "flips"}
FILE_HELP = "Every item in every wording with its exact text, and both models' choice and probability."
FLIPS: dict[Side, str] = {"base": "base flips", "tuned": "tuned flips"}
ONLY_ONE = "only one of them flips"


def robustness(result: Robustness, request: ProbeRequest) -> None:
    """Draws the whole result, or what there was when it was stopped."""
    assert isinstance(request, RobustnessRequest), type(request)
    findings("robustness", result)
    about(result, request)
    refused("robustness", result)
    if figures.rows(result, "flips"):
        _wordings(result)
    _forgotten(result, request)
    opened = _examples(result, request)
    if opened is not None:
        _item(result, opened, request.items[opened])


def so_far(result: Robustness) -> str:
    """What the items that are done show, in words."""
    told = [f"{side} {flips_said(result, side)}" for side in SIDES]
    return f"So far the choice depends on the wording: {', '.join(told)}."


def flips_said(result: Robustness, side: Side) -> str:
    shares = result.flips()[side]
    known = ~np.isnan(shares)
    return f"in {int((shares[known] > 0).sum()):,} of {int(known.sum()):,} items"


# --- wordings ---------------------------------------------------------------------------------------------------------


def _wordings(result: Robustness) -> None:
    heading_with_csv("In which wordings?", result.by_wording, "robustness-wordings.csv", "Each wording with the items that were asked in it, the share answered right and the share of flips.")  # fmt: skip
    offered = figures.offered(result)
    measure = offered[0]
    if len(offered) > 1:
        measure = st.segmented_control("Drawn", offered, default=measure, required=True, format_func=NAMES.__getitem__, key="robustness-measure", persist_state="session")  # fmt: skip
    chart(figures.figure, result, inputs.dark(), measure, key="robustness-figure", alt=f"{figures.AXES[measure]}: {wordings_said(result, measure)}")  # fmt: skip
    st.caption(
        "A dot is a wording, over the items that it can be made of; the line between dots reaches from the worst to the best wording of its kind. "
        "Upper marks are base, lower ones tuned. The more formats are drawn, the wider the spread: compare it only with as many."
    )
    with st.expander("Every wording as a table", key="robustness-table"):
        st.dataframe(by_wording(result), hide_index=True, placeholder="", column_config=COLUMNS, alt="Every wording")


COLUMNS = {
    name: st.column_config.NumberColumn(name.replace("_", ", "), format="%.0f %%", width=104)
    for name in ("right_base", "right_tuned", "flips_base", "flips_tuned")
}


def by_wording(result: Robustness) -> pd.DataFrame:
    """`Robustness.by_wording` in percent."""
    table = result.by_wording()
    shares = [f"{name}_{side}" for name in ("right", "flips") for side in SIDES]
    return table.assign(**{name: 100 * table[name] for name in shares}, wording=table["wording"].map(short))


def wordings_said(result: Robustness, measure: figures.Measure) -> str:
    """Of each kind the mean of both models."""
    told = []
    for row in figures.rows(result, measure):
        sides = [f"{side} {np.nanmean(row.values[side]):.0%}" for side in SIDES if np.isfinite(row.values[side]).any()]
        told += [f"{row.kind} {', '.join(sides)}"] if sides else []
    return "; ".join(told)


def _forgotten(result: Robustness, request: RobustnessRequest) -> None:
    """How likely plain texts are to both models, where that was measured."""
    base, tuned = result.plain.sides
    known = ~np.isnan(base) & ~np.isnan(tuned)
    if not known.any():
        return
    change = (tuned - base)[known]
    worse = int((change > 0).sum())
    st.subheader("Was plain text forgotten?", anchor=False)
    st.caption(
        plain(
            f"{worse:,} of {int(known.sum()):,} plain texts without any instruction are less likely to tuned than to base; "
            f"tuned − base is {change.mean():+.3f} nats a character on average (above 0: less likely to tuned)."
        )
    )
    with st.expander("Every plain text", key="robustness-plain"):
        texts = [short(one) for one in request.plain_texts]
        table = pd.DataFrame({"text": texts, "base": base, "tuned": tuned, "change": tuned - base})
        table = table.sort_values("change", ascending=False, ignore_index=True)
        st.dataframe(table, hide_index=True, placeholder="", alt="Every plain text, most forgotten first", column_config={name: st.column_config.NumberColumn(name, format="%.3f", help="nats a character; higher is less likely") for name in ("base", "tuned", "change")})  # fmt: skip


# --- items ------------------------------------------------------------------------------------------------------------


def examples(result: Robustness, request: ProbeRequest) -> pd.DataFrame:
    """One row an item that was asked: item, question, right, choice of both as written, and the share of rewordings that flip it; most first."""
    rows, shares = [], result.flips()
    for item, texts in enumerate(result.texts):
        if not any(texts):
            continue
        asked = request.items[item]
        row: dict[str, object] = {"item": item, "question": short(asked.asked()), "right": short(asked.answer)}
        for side in SIDES:
            row[side] = short(choice(asked, int(result.chosen[side][item, 0])))
            row[FLIPS[side]] = 100 * shares[side][item]
        rows.append(row)
    columns = ["item", "question", "right", *SIDES, *FLIPS.values()]
    table = pd.DataFrame(rows, columns=columns)
    order = table[list(FLIPS.values())].max(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def choice(asked: ProbeItem, chosen: int) -> str:
    """What a number of `Robustness.chosen` stands for."""
    if chosen < 0:
        return "not asked"
    if asked.options:
        return asked.options[chosen]
    return "writes the right answer" if chosen else "writes something else"


def _examples(result: Robustness, request: ProbeRequest) -> int | None:
    heading_with_csv("Items whose choice depends on the wording most", result.table, "robustness.csv", FILE_HELP)
    table = examples(result, request)
    flipping = {side: table[name] > 0 for side, name in FLIPS.items()}
    filters = one_or_both(table, flipping, FLIPS, ONLY_ONE)
    flip_help = "Share of all rewordings, without the item's training and held-out wordings, in which it chooses another option than as written."
    columns = {
        "item": st.column_config.NumberColumn("item", width=56),
        "question": st.column_config.TextColumn("question", width="medium"),
        "base": st.column_config.TextColumn("base, as written", width=120),
        "tuned": st.column_config.TextColumn("tuned, as written", width=120),
        **{name: st.column_config.NumberColumn(name, format="%.0f %%", width=88, help=flip_help) for name in FLIPS.values()},
    }  # fmt: skip
    return example_list("robustness", table, columns, filters)


def _item(result: Robustness, item: int, asked: ProbeItem) -> None:
    """Every wording's exact text, and what both models make of it."""
    st.subheader(f"Item {item + 1} in every wording", anchor=False)
    known = f"The right answer is {asked.answer}." if asked.answer else "Nobody knows the right answer."
    options = f"Options: {' | '.join(asked.options)}. " if asked.options else ""
    st.caption(plain(options + known))
    asked_in = [number for number, text in enumerate(result.texts[item]) if text]
    html_table(("wording", "exact text", *SIDES), [_cells(result, item, number, asked) for number in asked_in])
    st.caption("↯: another choice than as written. In percent: the probability of the right answer.")


def _cells(result: Robustness, item: int, number: int, asked: ProbeItem) -> tuple[str, ...]:
    text = f'<span class="text" dir="auto">{escaped(result.texts[item][number])}</span>'
    told = (escaped(chosen_said(result, item, number, side, asked)) for side in SIDES)
    return (escaped(result.wordings[number]), text, *told)


def chosen_said(result: Robustness, item: int, number: int, side: Side, asked: ProbeItem) -> str:
    """The choice, whether it flips and is right, and how probable the right answer is."""
    chosen, first = (int(result.chosen[side][item, place]) for place in (number, 0))
    right, probability = result.right[side][item, number], result.probability[side][item, number]
    said = choice(asked, chosen)
    if chosen >= 0 and not np.isnan(right):
        said += ", ✓ right" if right else ", ✗ wrong"
    if chosen >= 0 and first >= (0 if asked.options else 1) and chosen != first:
        said = f"↯ {said}"
    return said + ("" if np.isnan(probability) else f", {probability:.0%}")
