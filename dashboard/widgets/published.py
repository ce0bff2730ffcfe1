"""What published bias benchmarks say: the findings, every category beside tossed coins, and the items with the most unequal first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.figures import published as figures
from dashboard.figures.published import PARTS
from dashboard.session import inputs
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.probe import about, example_list, findings, html_table, one_or_both, refused
from dashboard.widgets.text import escaped, plain, short
from model_utils.contracts.probe import known_mean
from model_utils.contracts.published import (
    HEADLINE,
    BBQItem,
    CrowsPair,
    Item,
    Published,
    PublishedRequest,
    StereoCluster,
)
from model_utils.pair import SIDES, Pair, Side

PART = "published-part"
"""Key of the widget that chooses what the figure is of."""
FILE_HELP = "Every item with its texts, and what was read of both models, in nats."
LITTLE = 0.5
"""Mean probability of the three answers of BBQ below which the page says that the models would write something else."""
LEAST = 0.0001
"""The smallest probability that is written in percent."""
LEANS: dict[Side, str] = {"base": "base leans", "tuned": "tuned leans"}
ONLY_ONE = "only one of them leans to the stereotype"
MEASURES = {
    "stereotype": "stereotype score, %",
    "stereo": "of pairs marked stereo, %",
    "antistereo": "of pairs marked antistereo, %",
    "ties": "ties, %",
    "difference": "mean difference, nats",
    "ss": "SS, %",
    "lm": "LM, %",
    "icat": "ICAT, 0 to 100",
    "s_amb": "s_AMB, −100 to 100 %",
    "s_dis": "s_DIS, −100 to 100 %",
    "accuracy": "right answers, %",
}
"""Measure of the table of scores on the page -> its name and unit"""
SCORES_HELP = "Every score of every part and category. Those of BBQ are shares there: s_amb and s_dis from −1 to 1, accuracy from 0 to 1."


def published(result: Published, request: PublishedRequest) -> None:
    """Draws the whole result, or what there was when it was stopped."""
    findings("published", result)
    about(result, request, in_formats=result.benchmark == "bbq")
    _mass(result)
    refused("published", result)
    if not result.parts():
        return
    _categories(result)
    _scores(result)
    opened = _examples(result)
    if opened is not None:
        _item(result, opened)


def files() -> None:
    """Which files are read, where they come from, and under which licence."""
    with st.expander("Which files, and where they come from"):
        st.markdown(
            """
None of these files is shipped with Candor, and none is downloaded: get the one that you want from its authors, and read its licence there. What a file is, is seen from what it holds.

| benchmark | file | licence, as its authors state it |
|---|---|---|
| CrowS-Pairs | `crows_pairs_anonymized.csv`, in the repository crows-pairs of nyu-mll on GitHub | CC BY-SA 4.0 |
| StereoSet | `dev.json`, in the repository StereoSet of moinnadeem on GitHub | CC BY-SA 4.0 |
| BBQ | one `.jsonl` of its folder data, in the repository BBQ of nyu-mll on GitHub | CC BY 4.0 |

Lines of BBQ need to say which answer names the stereotyped group. Where their labels do not, put `target_loc` from BBQ's own `additional_metadata.csv` into the lines; without it, such items are refused and named, never guessed.

**These texts are hurtful.** They were written to hold stereotypes.
"""
        )


def so_far(result: Published) -> str:
    """The overall score up to now, in words."""
    if not result.parts():
        return "So far no item could be asked."
    part = result.parts()[0]
    return f"So far, {PARTS[part]}: {overall_said(result, part)}."


def overall_said(result: Published, part: str) -> str:
    """The overall scores of one part."""
    return "; ".join(
        f"{row.name} " + ", ".join(f"{side} {_number(result, row.sides[side].mean)}" for side in SIDES)
        for row in figures.rows(result, part)[:1]
    )


def _number(result: Published, value: float) -> str:
    return figures.number(result, value) if np.isfinite(value) else "not known"


def _mass(result: Published) -> None:
    """Whether the answers are what the models would write at all."""
    known = {side: known_mean(result.mass(side)) for side in SIDES if result.benchmark == "bbq"}
    known = {side: share for side, share in known.items() if np.isfinite(share)}
    if known:
        told = ", ".join(f"{side} {percent(share)}" for side, share in known.items())
        warning = " Where it is little, a model would write something else, and its choice among the three says little." if min(known.values()) < LITTLE else ""  # fmt: skip
        st.caption(f"Of the probability of all that could be written, the three answers together hold: {told}.{warning}")  # fmt: skip


def percent(share: float) -> str:
    """A probability, of which the smallest are not rounded to nothing."""
    return f"{share:.2%}" if share >= LEAST else f"< {LEAST:.2%}"


# --- scores -----------------------------------------------------------------------------------------------------------


def _categories(result: Published) -> None:
    st.subheader("Is the stereotype preferred?", anchor=False)
    parts = result.parts()
    inputs.keep_among(PART, parts)
    part = st.segmented_control("Of", parts, default=parts[0], required=True, format_func=PARTS.__getitem__, key=PART, persist_state="session")  # fmt: skip
    found = figures.rows(result, part)
    shown = found[: figures.MOST_ROWS]
    chart(figures.figure, result, inputs.dark(), part, key="published-figure", alt=f"{PARTS[part]}: {categories_said(result, shown)}")  # fmt: skip
    left = len(found) - len(shown)
    if left:
        st.caption(f"{left:,} more {'category is' if left == 1 else 'categories are'} not drawn, the last by name; the table below has every one.")  # fmt: skip
    innocent = HEADLINE[result.benchmark][1]
    coin = "for each question template" if result.benchmark == "bbq" else "for each item"
    st.caption(
        f"On the line at {innocent:g} % neither is preferred; right of it the stereotype is. "
        f"The overall score has a 95 % interval once all items are read. Grey is where 95 of 100 models would lie that toss a coin {coin}: a mark within it is no more than that. n: items."
    )


def categories_said(result: Published, shown: list[figures.Row]) -> str:
    """The scores of the rows that are drawn."""
    return "; ".join(
        f"{short(row.name)} ({row.sides.base.count:,} items) "
        + ", ".join(f"{side} {_number(result, row.sides[side].mean)}" for side in SIDES)
        for row in shown
    )


def scores_table(result: Published) -> pd.DataFrame:
    """`Published.scores` with its parts and measures in words, and those of BBQ in percent, as findings have them."""
    found = result.scores()
    if result.benchmark == "bbq":
        found[list(SIDES)] *= 100
    return found.assign(part=found["part"].map(PARTS), measure=found["measure"].map(MEASURES))


def _scores(result: Published) -> None:
    heading_with_csv("Every score by category", result.scores, "published-scores.csv", SCORES_HELP)  # fmt: skip
    table = scores_table(result)
    table["category"] = table["category"].map(short)
    columns: dict[str, Any] = {
        "part": st.column_config.TextColumn("of", width="small"),
        "category": st.column_config.TextColumn("category", width="small"),
        "measure": st.column_config.TextColumn("score, unit", width=184),
        **{side: st.column_config.NumberColumn(side, format="%.3g", width=88) for side in SIDES},
        "count": st.column_config.NumberColumn("items", width=72),
    }
    st.dataframe(table, hide_index=True, placeholder="not known", height=min(400, 36 * (len(table) + 1)), column_config=columns, alt="Every score by category")  # fmt: skip


# --- items ------------------------------------------------------------------------------------------------------------


def examples(result: Published) -> pd.DataFrame:
    """One row an item that was asked: item, category, text, what each side prefers, and how far it leans to the stereotype in nats; the most
    unequal first."""
    leaning, first = (Pair(*(of(side) for side in SIDES)) for of in (result.leaning, result.first))
    rows = []
    for number, item in enumerate(result.items):
        if np.isfinite(leaning.base[number]):
            row: dict[str, object] = {"item": number, "category": short(_category(item)), "text": short(_text(item))}
            row |= {side: preferred_said(result.benchmark, item, int(first[side][number])) for side in SIDES}
            rows.append(row | {LEANS[side]: leaning[side][number] for side in SIDES})
    table = pd.DataFrame(rows, columns=["item", "category", "text", *SIDES, *LEANS.values()])
    most = table[list(LEANS.values())].astype(float).abs().max(axis=1)
    return table.loc[most.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def _category(item: Item) -> str:
    return item.scored_as if isinstance(item, BBQItem) else item.category


def _text(item: Item) -> str:
    if isinstance(item, CrowsPair):
        return item.more
    return item.context if isinstance(item, StereoCluster) else f"{item.context} {item.question}"


def preferred_said(benchmark: str, item: Item, first: int) -> str:
    """What is the most probable, of `Published.first`; of BBQ the answer, and whether it is right."""
    if isinstance(item, BBQItem):
        return f"{'✓' if first == item.right else '✗'} {short(item.answers[first])}"
    return NAMES[benchmark][first] if first >= 0 else "none (a tie)"


NAMES = {
    "crows_pairs": ("more stereotypical", "less stereotypical"),
    "stereoset": ("stereotype", "anti-stereotype", "unrelated"),
}
"""benchmark -> what its sentences are"""


def _examples(result: Published) -> int | None:
    heading_with_csv("Items, the most unequal first", result.table, "published.csv", FILE_HELP)
    table = examples(result)
    leans = {side: table[name] > 0 for side, name in LEANS.items()}
    filters = one_or_both(table, leans, {side: f"{side} leans to the stereotype" for side in SIDES}, ONLY_ONE)
    about_leaning = "How much more probable the stereotype is than its opposite, nats of log-probability; below 0 it is less."  # fmt: skip
    columns = {
        "item": st.column_config.NumberColumn("item", width=56),
        "category": st.column_config.TextColumn("category", width="small"),
        "text": st.column_config.TextColumn("text", width="medium"),
        **{side: st.column_config.TextColumn(f"{side} prefers", width=136) for side in SIDES},
        **{name: st.column_config.NumberColumn(name, format="%+.2f", width=88, help=about_leaning) for name in LEANS.values()},
    }  # fmt: skip
    return example_list("published", table, columns, filters)


def _item(result: Published, number: int) -> None:
    """Exactly what was read, and how probable it is to each model."""
    item = result.items[number]
    st.subheader(f"Item {number + 1}", anchor=False)
    if isinstance(item, BBQItem):
        st.html(f'<div class="written" dir="auto">{escaped(item.asked())}</div>')
        html_table(("answer", "exact text", *SIDES), [_answer(result, number, item, option) for option in range(3)])
        st.caption(f"Probability of the whole answer, and its log-probability in nats. ● is the most probable of the three. The question is {'negative' if item.polarity == 'neg' else 'not negative'}: the stereotype answers it with {'its target' if item.polarity == 'neg' else 'the other group'}.")  # fmt: skip
    elif isinstance(item, StereoCluster):
        if item.before:
            st.html(f'<div class="written" dir="auto">{escaped(item.before)}</div>')
        rows = [_sentence(result, number, place, text) for place, text in enumerate(item.sentences)]
        html_table(("sentence", "exact text", *SIDES), rows)
        st.caption(plain(f"Mean log-probability a token, nats. Target term: {item.target}."))
    else:
        html_table(("sentence", "exact text", *SIDES), [_sentence(result, number, place, text) for place, text in enumerate((item.more, item.less))])  # fmt: skip
        st.caption(f"Log-probability of the whole sentence, nats; below it that of the tokens that both sentences share. The pair is marked {item.direction}.")  # fmt: skip
    st.caption(plain(f"Category: {_category(item)}."))


def _sentence(result: Published, number: int, place: int, text: str) -> tuple[str, ...]:
    cells = []
    for side in SIDES:
        values = result.read[side][number]
        shared = f'<div class="sure">shared {values[place + 2]:.2f}</div>' if result.benchmark == "crows_pairs" else ""
        cells.append(f"{values[place]:.2f}{shared}")
    return (NAMES[result.benchmark][place], f'<span class="text" dir="auto">{escaped(text)}</span>', *cells)


def _answer(result: Published, number: int, item: BBQItem, option: int) -> tuple[str, ...]:
    what = "it cannot be known" if option == item.unknown else "the stereotyped group" if option == item.target else "the other group"  # fmt: skip
    cells = []
    for side in SIDES:
        value = result.read[side][number, option]
        mark = "● " if int(result.chosen(side)[number]) == option else ""
        cells.append(f'{mark}{escaped(percent(float(np.exp(value))))}<div class="sure">{value:.2f} nats</div>')
    right = ", ✓ right" if option == item.right else ""
    return (f"{what}{right}", f'<span class="text" dir="auto">{escaped(item.answers[option])}</span>', *cells)
