"""What the calibration probe found: the findings, the reliability curve, and confidently wrong answers first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import calibration as figures
from dashboard.session import inputs
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.probe import about, example_list, findings, html_table, one_or_both, refused
from dashboard.widgets.text import escaped, plain, short
from model_utils.contracts.calibration import Calibration, CalibrationRequest
from model_utils.contracts.probe import ProbeItem, ProbeRequest
from model_utils.pair import SIDES, Side

FILE_HELP = "Every item with both models' choice, confidence and whether it is right."
SURE: dict[Side, str] = {"base": "base is sure", "tuned": "tuned is sure"}
ONLY_ONE = "only one of them wrong"
CONFIDENT = 0.8
"""Confidence from which a wrong answer is called confidently wrong."""


def calibration(result: Calibration, request: ProbeRequest) -> None:
    """Draws the whole result, or what there was when it was stopped."""
    assert isinstance(request, CalibrationRequest), type(request)
    findings("calibration", result)
    about(result, request)
    refused("calibration", result)
    if result.reliability is not None:
        _curve(result)
    opened = _examples(result)
    if opened is not None:
        _item(result, opened, request.items[opened])


def so_far(result: Calibration) -> str:
    """How many answers are wrong, and confidently so, in words."""
    told = [f"{side} {wrong_said(result, side)}" for side in SIDES]
    return f"So far: {'; '.join(told)}."


def wrong_said(result: Calibration, side: Side) -> str:
    asked, wrong = int((~np.isnan(result.right[side])).sum()), result.confidently_wrong(side)
    sure = int((result.confidence[side][wrong] >= CONFIDENT).sum())
    return f"is wrong in {len(wrong):,} of {asked:,} items, in {sure:,} of them with {CONFIDENT:.0%} confidence or more"


def _curve(result: Calibration) -> None:
    assert result.reliability is not None, "a snapshot"
    heading_with_csv("Is it right as often as it is sure?", lambda: bins(result), "calibration-curve.csv", "Every bin with its confidence, accuracy, interval and number of items.")  # fmt: skip
    chart(figures.figure, result, inputs.dark(), key="calibration-figure", alt="; ".join(curve_said(result, side) for side in SIDES))  # fmt: skip
    st.caption(
        "On the dotted line a model is as confident as it is right; below it, it is overconfident. Each mark is a bin of as many items, with a 95 % interval. "
        + " ".join(f"{curve_said(result, side)}." for side in SIDES)
    )


def curve_said(result: Calibration, side: Side) -> str:
    """The calibration error beside what chance makes of a perfect model."""
    assert result.reliability is not None, "a snapshot"
    one = result.reliability[side]
    if not len(one.count):
        return f"{side.capitalize()}: no item could be asked"
    return f"{side.capitalize()}: calibration error {100 * one.error:.1f} points, and a perfectly calibrated model as sure would show {100 * one.by_chance:.1f} by chance, {100 * (one.error - one.by_chance):+z.1f} beyond it"


def bins(result: Calibration) -> pd.DataFrame:
    """One row a bin and side: side, confidence, accuracy, low, high (0 to 1), items."""
    assert result.reliability is not None, "a snapshot"
    parts = [
        pd.DataFrame({"side": side, "confidence": one.confidence, "accuracy": one.accuracy, "low": one.low, "high": one.high, "items": one.count})
        for side, one in result.reliability.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


# --- items ------------------------------------------------------------------------------------------------------------


def examples(result: Calibration) -> pd.DataFrame:
    """One row an item that was asked: item, question, right, choice and confidence (percent) of both; confidently wrong ones first."""
    rows = []
    for item in range(result.done):
        if all(np.isnan(result.right[side][item]) for side in SIDES):
            continue
        options = result.options[item]
        row: dict[str, object] = {"item": item, "question": short(result.questions[item]), "right": short(options[result.answers[item]])}  # fmt: skip
        for side in SIDES:
            chosen, right = int(result.chosen[side][item]), result.right[side][item]
            row[side] = f"{'✓' if right else '✗'} {short(options[chosen])}" if chosen >= 0 else "not asked"
            row[SURE[side]] = 100 * result.confidence[side][item]
        rows.append(row)
    table = pd.DataFrame(rows, columns=["item", "question", "right", "base", "base is sure", "tuned", "tuned is sure"])
    worst = np.full(len(table), -np.inf)
    for side in SIDES:
        sure = table[SURE[side]].to_numpy(dtype=float)
        worst = np.fmax(worst, np.where(wrong(table, side), sure, -np.inf))
    return table.loc[np.argsort(-worst, kind="stable")].reset_index(drop=True)


def wrong(table: pd.DataFrame, side: Side) -> np.ndarray:
    """(row,) bool"""
    return table[side].str.startswith("✗").to_numpy(dtype=bool)


def _examples(result: Calibration) -> int | None:
    heading_with_csv("Items, confidently wrong first", result.table, "calibration.csv", FILE_HELP)
    table = examples(result)
    failing = {side: wrong(table, side) for side in SIDES}
    filters = one_or_both(table, failing, {side: f"{side} wrong" for side in SIDES}, ONLY_ONE)
    columns = {
        "item": st.column_config.NumberColumn("item", width=56),
        "question": st.column_config.TextColumn("question", width="medium"),
        "base": st.column_config.TextColumn("base chooses", width=120),
        "tuned": st.column_config.TextColumn("tuned chooses", width=120),
        **{name: st.column_config.NumberColumn(name, format="%.0f %%", width=88, help="Probability of the option that it chooses, among all options.") for name in SURE.values()},
    }  # fmt: skip
    return example_list("calibration", table, columns, filters)


def _item(result: Calibration, item: int, asked: ProbeItem) -> None:
    """Exactly what was asked, and how sure each model is."""
    st.subheader(f"Item {item + 1}", anchor=False)
    st.html(f'<div class="written" dir="auto">{escaped(result.questions[item])}</div>')
    options = result.options[item]
    st.caption(plain(f"Options: {' | '.join(options)}. The right answer is {options[result.answers[item]]}."))
    rows = [_cells(result, item, side) for side in SIDES]
    html_table(("model", "chooses", "confidence", "probability of the right answer", "all options together"), rows)
    if asked.group:
        st.caption(plain(f"Kind: {asked.group}."))


def _cells(result: Calibration, item: int, side: Side) -> tuple[str, ...]:
    chosen = int(result.chosen[side][item])
    if chosen < 0:
        return (escaped(side), "not asked", "", "", "")
    mark = "✓ right" if result.right[side][item] else "✗ wrong"
    numbers = (values[side][item] for values in (result.confidence, result.of_right, result.mass))
    return (escaped(side), escaped(f"{result.options[item][chosen]}, {mark}"), *(f"{number:.1%}" for number in numbers))
