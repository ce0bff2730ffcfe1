"""What the probe of instruction design found: what moves the answers most, and each instruction sentence by sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import instructions as figures
from dashboard.session import inputs
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.probe import ALL, about, example_list, findings, html_table, refused
from dashboard.widgets.text import answer_text, escaped, plain, short, side_title
from dashboard.widgets.wording import LISTED, marked_text
from model_utils.contracts.instructions import Instructions, InstructionsRequest
from model_utils.pair import SIDES, Side

FILE_HELP = "Every instruction with its marks, both answers, the sentence that moves each most, entropy, and what a suggestion gains."
MARKED, MOVED = "with marks", "answer changes with the wording"
EFFECT: dict[Side, str] = {"base": "base, one sentence", "tuned": "tuned, one sentence"}
ENTROPY: dict[Side, str] = {"base": "base, wordings", "tuned": "tuned, wordings"}
GAIN: dict[Side, str] = {"base": "base, suggested", "tuned": "tuned, suggested"}


def instructions(result: Instructions, request: object) -> None:
    """Draws the whole result, or what there was when it was stopped."""
    assert isinstance(request, InstructionsRequest), type(request)
    findings("instructions", result)
    about(result, request)
    refused("instructions", result)
    opened = _examples(result)
    if opened is not None:
        _item(result, opened)


def so_far(result: Instructions) -> str:
    """How often neutral rewordings change the answer, in words."""
    told = [f"{side} changes its answer with a neutral wording in {int((result.entropy[side] > 0).sum()):,}" for side in SIDES]  # fmt: skip
    return f"So far, of {result.done:,} instructions, {' and '.join(told)}."


# --- instructions -----------------------------------------------------------------------------------------------------


def examples(result: Instructions) -> pd.DataFrame:
    """One row an instruction that was asked: item, question, marks, and of both sides the largest effect of a sentence (nats a token), entropy
    (nats) and what a suggestion gains (percentage points); where wordings change the answers most comes first, then where a sentence does."""
    table = pd.DataFrame(
        {
            "item": np.arange(result.done),
            "question": [short(text) for text in result.instructions],
            "marks": [len(found) for found in result.marks],
            **{name: result.entropy[side] for side, name in ENTROPY.items()},
            **{name: result.largest_effect(side) for side, name in EFFECT.items()},
            **{name: 100 * result.suggestion(side) for side, name in GAIN.items()},
        }
    )
    table = table.drop(index=[number for number, _ in result.refused])
    first, second = (table[[*names.values()]].max(axis=1).fillna(-1) for names in (ENTROPY, EFFECT))
    order = np.lexsort((-second.to_numpy(), -first.to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _examples(result: Instructions) -> int | None:
    heading_with_csv("Instructions, most changeable answers first", result.table, "instructions.csv", FILE_HELP)
    table = examples(result)
    filters = {
        ALL: pd.Series(True, index=table.index),
        MARKED: table["marks"] > 0,
        MOVED: (table[[*ENTROPY.values()]] > 0).any(axis=1),
    }
    most = " or ".join(sorted({f"{one:.2f}" for one in result.most_entropy}, key=float))
    columns = {
        "item": st.column_config.NumberColumn("item", width=56),
        "question": st.column_config.TextColumn("instruction", width="medium"),
        "marks": st.column_config.NumberColumn("marks", width=64, help="Places that the rules mark, without a model."),
        **{name: st.column_config.NumberColumn(name, format="%.2f", width=104, help=f"Nats, 0 to {most} by how many answers there can be: entropy of the answers over neutral wordings; 0: all get the same answer.") for name in ENTROPY.values()},
        **{name: st.column_config.NumberColumn(name, format="%.2f", width=128, help="Nats a token: how far the one sentence that matters most moves the model's own answer.") for name in EFFECT.values()},
        **{name: st.column_config.NumberColumn(name, format="%+.1f", width=120, help="Percentage points: probability that an option gains by being suggested, on average over the options.") for name in GAIN.values()},
    }  # fmt: skip
    return example_list("instructions", table, columns, filters)


# --- one of them ------------------------------------------------------------------------------------------------------


def _item(result: Instructions, item: int) -> None:
    """Its words, both answers, what each sentence does to them, every rewording's answer, and every suggestion."""
    st.subheader(f"Item {item + 1}", anchor=False)
    found = result.marks[item]
    st.html(marked_text(result.instructions[item], found[:LISTED]))
    if len(found) > LISTED:
        st.caption(f"And {len(found) - LISTED:,} more marks; the file counts all of them by kind.")
    for column, side in zip(st.columns(2, gap="medium"), SIDES, strict=True):
        with column:
            side_title(side, result.models[side].id, "answers")
            answer_text(result.answers[side][item], side=side)
    _sentences(result, item)
    _wordings(result, item)
    _suggestions(result, item)


def _sentences(result: Instructions, item: int) -> None:
    st.markdown("**What each sentence does to the answer**")
    if item not in figures.drawable(result):
        st.caption("It is one sentence, and without it nothing is asked.")
        return
    chart(figures.figure, result, item, inputs.dark(), key="instructions-figure", alt=sentences_said(result, item))
    st.caption("To the right, the sentence makes the model's own answer likelier: without it, the same answer loses so many nats a token. A sentence near 0 could go without changing this answer.")  # fmt: skip


def sentences_said(result: Instructions, item: int) -> str:
    """Each sentence's effect on both sides, in words."""
    texts = figures.sentences(result, item)
    told = [
        f"{short(text)}: " + ", ".join(f"{side} {result.effects[side][item][place]:+z.2f}" for side in SIDES)
        for place, text in enumerate(texts)
    ]
    return "Nats a token that each sentence adds to the own answer's log-probability. " + "; ".join(told)


def _wordings(result: Instructions, item: int) -> None:
    st.markdown("**Asked in neutral other words**")
    told = [f"{side} {result.entropy[side][item]:.2f}" for side in SIDES]
    st.caption(f"Entropy of the answers, nats, 0 to {result.most_entropy[item]:.2f}: {', '.join(told)}. At 0 every wording gets the same answer.")  # fmt: skip
    rows = []
    for place, around in enumerate(result.wordings):
        name = "as written" if place == 0 else around
        rows.append((escaped(name), *(_given(result, side, item, place) for side in SIDES)))
    html_table(("what is put around it", *SIDES), rows)
    st.caption("=: the same answer as to the instruction as written; ↯: another one.")


def _given(result: Instructions, side: Side, item: int, place: int) -> str:
    """The answer; ↯ stands before one that is another than as written."""
    given = result.given[side][item]
    mark = "" if place == 0 else "= " if given[place] == given[0] else "↯ "
    return f'{mark}<span class="text" dir="auto">{escaped(short(given[place]) or "no text")}</span>'


def _suggestions(result: Instructions, item: int) -> None:
    options = result.options[item]
    if not options:
        st.caption("There are no answers to choose from, so that none could be suggested; give some, and it is measured whether a model follows what is suggested.")  # fmt: skip
        return
    st.markdown("**When an answer is suggested**")
    rows = [
        (f'<span class="text" dir="auto">{escaped(option)}</span>', *(escaped(f"{100 * result.gains[side][item][place]:+z.1f} points") for side in SIDES))
        for place, option in enumerate(options)
    ]  # fmt: skip
    html_table(("“I think the answer is …”", *SIDES), rows)
    st.caption(plain("Percentage points of probability among the options that each one gains when it is suggested; 0 is innocent."))  # fmt: skip
