"""What the reasoning probe found: a verdict for each model, the curve, the most telling items, and one item step by step."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import reasoning as figures
from dashboard.session import inputs
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.probe import ALL, about, example_list, findings, refused
from dashboard.widgets.text import answer_text, escaped, plain, short, side_title
from model_utils.contracts.probe import Finding, ProbeItem, ProbeRequest, Verdict
from model_utils.contracts.reasoning import Reasoned, Reasoning, flipped, hint_flip
from model_utils.pair import SIDES, Side

FAULT = "contradiction"
"""The measure of answers that are not what the model's own right steps lead to."""
OWN: dict[Verdict, tuple[str, str]] = {
    "higher": ("●", "found"),
    "no effect": ("○", "cleared"),
    "lower": ("○", "cleared"),
    "undecided": ("?", "cannot be told"),
    "not measured": ("–", "cannot be told: not measured"),
}
"""Verdict of one model -> shape and words."""
CONTRADICTS, UNTOLD, NEVER_NEEDED, WRONG = (
    "answer against its own steps",
    "follows the hint, does not say so",
    "reasoning never needed",
    "wrong answer",
)
WEIGHTS = {CONTRADICTS: 100, UNTOLD: 10, NEVER_NEEDED: 1}
"""How telling each is; the most telling items come first."""
FILE_HELP = "Every item and side with its answer and every measure."


def reasoning(result: Reasoning, request: ProbeRequest) -> None:
    """Draws the whole result, or what there was when it was stopped."""
    _verdicts(result)
    findings("reasoning", result)
    about(result, request)
    refused("reasoning", result)
    if any(figures.with_steps(result, side) for side in SIDES):
        _figures(result)
    else:
        st.caption("Neither model wrote a reasoning to any of these items, so that there is nothing to cut short or to change.")  # fmt: skip
    opened = _examples(result)
    if opened is not None:
        _item(result, opened, request.items[opened])


def so_far(result: Reasoning) -> str:
    """What the items that are done show, in words."""
    told = [f"{side} in {_counted(result, side)}" for side in SIDES]
    return f"So far an answer goes against the model's own right steps: {', '.join(told)}."


def _counted(result: Reasoning, side: Side) -> str:
    known = result.contradicts(side)
    known = known[~np.isnan(known)]
    return f"{int(known.sum()):,} of {len(known):,} items whose steps are all right"


# --- the verdict on each model ----------------------------------------------------------------------------------------


def _verdicts(result: Reasoning) -> None:
    finding = next((one for one in result.findings if one.measure == FAULT), None)
    st.markdown("**Does a model reason rightly and then answer something else?**")
    for column, side in zip(st.columns(2, gap="medium"), SIDES, strict=True):
        with column:
            side_title(side, result.models[side].id)
            shape, words = OWN[finding.own[side]] if finding is not None else ("…", "not decided yet")
            st.html(
                f'<p><b><span aria-hidden="true">{shape}</span> {escaped(words)}</b>. {escaped(verdict_said(result, side, finding))}</p>'
            )


def verdict_said(result: Reasoning, side: Side, finding: Finding | None) -> str:
    """What the verdict on one model rests on; without a finding, what is counted so far."""
    if finding is None:
        return f"So far {_counted(result, side)} end in another answer than the steps lead to."
    one = finding.sides[side]
    if not one.count:
        return (
            "No item shows it: the right steps have to be known, all be written, and an answer be written after them."
        )
    over = f"{one.count:,} item{'' if one.count == 1 else 's'} whose steps are all right"
    share = f"{finding.interval(one)} of {over} end in another answer than the steps lead to"
    margin = finding.value(finding.margin)
    beyond = {"higher": f"surely more than {margin}", "no effect": f"surely fewer than {margin}"}
    more = beyond.get(finding.own[side])
    return share + (f": {more}." if more else ".")


# --- figures ----------------------------------------------------------------------------------------------------------


def _figures(result: Reasoning) -> None:
    drawn = [
        draw
        for draw, known in ((_curve, figures.areas), (_outcomes, figures.estimates))
        if any(known(result, side) for side in SIDES)
    ]
    for column, draw in zip(
        st.columns(2, gap="medium"), drawn, strict=False
    ):  # where one is not there, its half is empty
        with column:
            draw(result)


def _curve(result: Reasoning) -> None:
    st.subheader("How soon is the answer the final one?", anchor=False)
    chart(figures.curve, result, inputs.dark(), key="reasoning-curve", alt=f"Share of items whose answer is the final one already: {curve_said(result)}")  # fmt: skip
    st.caption(
        "AOC is the area above the curve: 0 means that no step was needed for the answer. Where all n steps were, it is 1 − 1/(2n): 0.5 of one step, 0.75 of two, 0.83 of three."
    )


def _outcomes(result: Reasoning) -> None:
    st.subheader("What changes the answer?", anchor=False)
    chart(
        figures.outcomes,
        result,
        inputs.dark(),
        key="reasoning-outcomes",
        alt=f"Share of items: {outcomes_said(result)}",
    )
    ends = ", the line through it its 95 % interval" if result.findings else ""
    st.caption(f"A mark is the mean over the items{ends}.")


def curve_said(result: Reasoning) -> str:
    counts = {side: len(figures.areas(result, side)) for side in SIDES}
    told = [f"{side} AOC {figures.aoc(result, side):.2f} over {count:,} items" for side, count in counts.items() if count]  # fmt: skip
    return "; ".join(told)


def outcomes_said(result: Reasoning) -> str:
    told = []
    for measure, name in figures.OUTCOMES.items():
        sides = [f"{side} {figures.said(found[measure])}" for side in SIDES if measure in (found := figures.estimates(result, side))]  # fmt: skip
        told += [f"{name.replace('<br>', ' ')} {', '.join(sides)}"] if sides else []
    return "; ".join(told)


# --- items ------------------------------------------------------------------------------------------------------------


def marks(one: Reasoned, right: int, contradicts: bool) -> list[str]:
    """What one answer shows; `right` is the right option, -1: nobody knows."""
    found = [CONTRADICTS] if contradicts else []
    if hint_flip(one) == 1 and not one.admits:
        found.append(UNTOLD)
    if not math.isnan(one.aoc) and bool(one.same.all()):
        found.append(NEVER_NEEDED)
    if right >= 0 and judged(one) != right:
        found.append(WRONG)
    return found


def judged(one: Reasoned) -> int:
    """The option that is held against the right one: what it wrote, else what it would choose."""
    return one.written if one.written >= 0 else one.chosen


def examples(result: Reasoning) -> pd.DataFrame:
    """One row an item that was asked: item, question, right, and for each side what it answered and what that shows; the most telling first."""
    contradicts = {side: result.contradicts(side) for side in SIDES}
    rows = []
    for item, pair in enumerate(result.items):
        if pair is None:
            continue
        right = result.answers[item]
        row: dict[str, object] = {
            "item": item,
            "question": short(result.questions[item]),
            "right": short(result.options[item][right]) if right >= 0 else "",
        }
        weight = 0
        for side in SIDES:
            shown = marks(pair[side], right, bool(contradicts[side][item] == 1))
            row[side] = short(answered(pair[side], result.options[item]))
            row[f"{side} shows"] = "; ".join(shown)
            weight += sum(WEIGHTS.get(one, 0) for one in shown)
        rows.append(row | {"weight": weight})
    columns = ["item", "question", "right", *(name for side in SIDES for name in (side, f"{side} shows")), "weight"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True).drop(columns="weight")


def answered(one: Reasoned, options: tuple[str, ...]) -> str:
    """The option that it wrote; where it wrote none, in brackets the one that it would choose."""
    return options[one.written] if one.written >= 0 else f"({options[one.chosen]})"


def _examples(result: Reasoning) -> int | None:
    heading_with_csv("Items, most telling first", result.table, "reasoning.csv", FILE_HELP)
    table = examples(result)
    shows = table["base shows"] + "; " + table["tuned shows"]
    filters = {ALL: pd.Series(True, index=table.index)}
    filters |= {mark: shows.str.contains(mark, regex=False) for mark in (CONTRADICTS, UNTOLD, NEVER_NEEDED, WRONG)}
    columns = {
        "item": st.column_config.NumberColumn("item", width=56),
        "question": st.column_config.TextColumn("question", width="medium"),
        "right": st.column_config.TextColumn("right", width=88),
        "base": st.column_config.TextColumn("base answers", width=96, help="In brackets: it wrote no option; this one is the most probable."),
        "tuned": st.column_config.TextColumn("tuned answers", width=96, help="In brackets: it wrote no option; this one is the most probable."),
    }  # fmt: skip
    return example_list("reasoning", table, columns, filters)


def _item(result: Reasoning, item: int, asked: ProbeItem) -> None:
    """Both models' reasoning on one item, side by side."""
    pair, options, right = result.items[item], result.options[item], result.answers[item]
    assert pair is not None, "it could not be asked"
    st.subheader(f"Item {item + 1}, step by step", anchor=False)
    st.html(f'<div class="written" dir="auto">{escaped(result.questions[item])}</div>')
    known = f"The right answer is {options[right]}." if right >= 0 else "Nobody knows the right answer."
    st.caption(plain(f"Options: {' | '.join(options)}. {known}"))
    if asked.steps:
        with st.expander("The right steps", key="reasoning-right-steps"):
            st.html(f'<ol class="steps">{"".join(f"<li>{escaped(step)}</li>" for step in asked.steps)}</ol>')
    for column, side in zip(st.columns(2, gap="medium"), SIDES, strict=True):
        with column:
            side_title(side, result.models[side].id)
            _reasoned(pair[side], options, right, side)


def _reasoned(one: Reasoned, options: tuple[str, ...], right: int, side: Side) -> None:
    st.html(f'<div class="outcome"><b>{escaped(ending(one, options, right))}</b></div>')
    if one.steps:
        st.html(f'<ol class="steps">{"".join(_step(one, number, options) for number in range(len(one.steps)))}</ol>')
    else:
        st.caption("It wrote no reasoning.")
    chart(
        figures.probabilities,
        one,
        options,
        right,
        side,
        inputs.dark(),
        key=f"reasoning-steps-{side}",
        alt=f"Probability of each option in {side} after each step",
    )
    for name, outcome, text in outcomes(one, options):
        quoted = f'<div class="text sure" dir="auto">{escaped(text)}</div>' if text else ""
        st.html(f'<div class="outcome"><b>{escaped(name)}</b>: {escaped(outcome)}{quoted}</div>')
    with st.expander("The whole answer as it was written", key=f"reasoning-text-{side}"):
        answer_text(one.text, side=side)


def ending(one: Reasoned, options: tuple[str, ...], right: int) -> str:
    """What it answered, and whether that is right."""
    if one.written < 0:
        written = f"It wrote none of the options; the most probable one is {options[one.chosen]}"
    else:
        written = f"Its answer: {options[one.written]}"
    if right < 0:
        return f"{written}."
    return f"{written}, {'✓ right' if judged(one) == right else '✗ wrong'}."


def _step(one: Reasoned, number: int, options: tuple[str, ...]) -> str:
    """A step, whether it is right, the answer after it, and what corrupting it did."""
    mark = ""
    if one.true_steps:
        mark = "<b>✓ right step</b>. " if one.true_steps[number] else "<b>✗ not the right step</b>. "
    lines = [f'<span class="text" dir="auto">{escaped(one.steps[number])}</span>']
    after = one.early[number + 1]
    told = "" if np.isnan(after).any() else escaped(f"After it: {likeliest(after, options)}.")
    if mark or told:
        lines.append(mark + told)
    if not np.isnan(one.corrupted[number]).any():
        done = "↯ the answer changes" if flipped(one)[number] else "= the answer stays"
        lines.append(f"Corrupted: <i>{escaped(one.corrupted_steps[number])}</i><br>{escaped(f'{done}: {likeliest(one.corrupted[number], options)}.')}")  # fmt: skip
    return (
        "<li>"
        + "".join(f"<div{'' if place == 0 else ' class=sure'}>{line}</div>" for place, line in enumerate(lines))
        + "</li>"
    )


def likeliest(probabilities: np.ndarray, options: tuple[str, ...]) -> str:
    best = int(probabilities.argmax())
    return f"{options[best]}, {probabilities[best]:.0%}"


def outcomes(one: Reasoned, options: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(what was done, what came of it, the text) of what was done to the whole reasoning."""
    found = []
    if not np.isnan(one.early[0]).any():
        found.append(("Before any step", f"{likeliest(one.early[0], options)}.", ""))
    after = partial(_after, one, options)
    if not np.isnan(one.paraphrased).any():
        found.append(("Reasoning in other words", after(one.paraphrased), one.paraphrase))
    if not np.isnan(one.filler).any():
        found.append(("Filler in place of the reasoning", after(one.filler), ""))
    if one.hinted >= 0:
        found.append((f"Hint at {options[one.hinted]}", _hint(one, options), one.hint_text))
    return found


def _after(one: Reasoned, options: tuple[str, ...], probabilities: np.ndarray) -> str:
    stays = int(probabilities.argmax()) == one.chosen
    return f"{'= the answer stays' if stays else '↯ the answer changes'}: {likeliest(probabilities, options)}."


def _hint(one: Reasoned, options: tuple[str, ...]) -> str:
    flips = hint_flip(one)
    if math.isnan(flips):
        return "it wrote none of the options, so that it cannot be told whether it follows."
    if not flips:
        return f"= it does not follow: {options[one.hint_written]}."
    told = "its text speaks of the hint" if one.admits else "its text does not speak of the hint"
    return f"↯ it follows: {options[one.hint_written]}; {told}."
