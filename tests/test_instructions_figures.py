"""Laws of what the page of instruction design draws and lists: sides mirrored, bars where the effects are, nothing read as markup."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import instructions as figures
from dashboard.figures import theme
from dashboard.widgets import instructions as widget
from dashboard.widgets import wording
from dashboard.widgets.text import escaped
from model_utils.contracts.instructions import Instructions
from model_utils.contracts.wording import KINDS, Mark
from model_utils.pair import SIDES, Pair
from tests import results

WHOLE = results.instructions()
ASKED = figures.drawable(WHOLE)


def swapped(result: Instructions) -> Instructions:
    """As if base were tuned and tuned base."""
    names = ("models", "answers", "effects", "given", "entropy", "gains")
    return replace(result, **{name: getattr(result, name).swap() for name in names})


def bars(result: Instructions, number: int, dark: bool = False) -> dict[str, dict[int, float]]:
    """side -> sentence -> nats a token, as drawn."""
    fig = figures.figure(result, number, dark)
    return {trace.name: dict(zip(trace.y, trace.x, strict=True)) for trace in fig.data}


@pytest.mark.parametrize("number", ASKED)
def test_every_sentence_is_drawn_where_its_effect_is(number: int):
    for side in SIDES:
        assert bars(WHOLE, number)[side] == dict(enumerate(WHOLE.effects[side][number].tolist()))


@pytest.mark.parametrize("number", ASKED)
def test_swapping_the_sides_mirrors_the_figure(number: int):
    before, after = bars(WHOLE, number), bars(swapped(WHOLE), number)
    assert before["base"] == after["tuned"] and before["tuned"] == after["base"]
    assert figures.figure(WHOLE, number).layout.xaxis.range == figures.figure(swapped(WHOLE), number).layout.xaxis.range


def test_what_could_not_be_asked_is_not_drawn():
    assert ASKED == [0, 1, 2, 3]
    effects = WHOLE.effects.map(lambda some: (np.array([np.nan, 1.0]), *some[1:]))
    assert list(bars(replace(WHOLE, effects=effects), 0)["base"]) == [1]


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=2), st.lists(st.floats(-30, 30), min_size=2, max_size=2))
def test_the_axis_holds_every_effect_and_0(base: list[float], tuned: list[float]):
    made = Pair((np.array(base), *WHOLE.effects.base[1:]), (np.array(tuned), *WHOLE.effects.tuned[1:]))
    low, high = figures.figure(replace(WHOLE, effects=made), 0).layout.xaxis.range
    assert low < min(0, *base, *tuned) <= max(0, *base, *tuned) < high and high - low >= figures.LEAST


@pytest.mark.parametrize("dark", [False, True])
def test_bars_are_in_the_colours_of_the_sides(dark: bool):
    fig = figures.figure(WHOLE, 0, dark)
    assert {trace.name: trace.marker.color for trace in fig.data} == dict(theme.palette(dark).sides.items())


def test_names_and_hovers_are_escaped_and_cut():
    fig = figures.figure(WHOLE, 3)
    for text in (*fig.layout.yaxis.ticktext, *fig.data[0].text):
        assert not re.search(r"<(script|b)\b", text)
    long = replace(WHOLE, instructions=("a" * 300, *WHOLE.instructions[1:]), sentences=(((0, 150), (150, 300)), *WHOLE.sentences[1:]))  # fmt: skip
    assert {len(name) for name in figures.figure(long, 0).layout.yaxis.ticktext} == {figures.LONGEST}


def test_rows_put_the_most_changeable_answers_first():
    table = widget.examples(WHOLE)
    most = table[[*widget.ENTROPY.values()]].max(axis=1)
    assert most.is_monotonic_decreasing and sorted(table["item"]) == [0, 1, 2, 3], "what could not be asked is no row"
    assert table.set_index("item")["marks"].to_dict() == {n: len(found) for n, found in enumerate(WHOLE.marks[:4])}
    mirrored = widget.examples(swapped(WHOLE))
    for names in (widget.ENTROPY, widget.EFFECT, widget.GAIN):
        assert table[names["base"]].tolist() == mirrored[names["tuned"]].tolist()


def test_what_is_shown_so_far_counts_changed_answers():
    so_far = results.instructions(whole=False)
    assert widget.so_far(so_far) == "So far, of 2 instructions, base changes its answer with a neutral wording in 0 and tuned changes its answer with a neutral wording in 2."  # fmt: skip


# Marked words


def plain_of(markup: str) -> str:
    """The text of the instruction in it, without the kinds."""
    return re.sub(r"<[^>]+>", "", re.sub(r'<span class="kind"[^>]*>[^<]*</span>', "", markup))


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40), st.sampled_from(KINDS)), max_size=5))  # fmt: skip
def test_marked_words_are_underlined_and_nothing_is_lost(text: str, places: list[tuple[int, int, str]]):
    found = tuple(
        Mark(kind, start, stop, text[start:stop], "", "", "") for start, stop, kind in places if start < stop <= len(text)  # type: ignore[arg-type]
    )  # fmt: skip
    markup = wording.marked_text(text, found)
    assert plain_of(markup) == escaped(text)
    inside = {place for mark in found for place in range(mark.start, mark.stop)}
    assert sum(map(len, re.findall(r"<mark>(.*?)</mark>", markup, re.DOTALL))) == sum(len(escaped(text[place])) for place in inside)  # fmt: skip
    assert len(re.findall(r'<span class="kind"', markup)) == len(found), (
        "each place says its kind, not by its line alone"
    )


def test_a_kind_stands_behind_the_full_stop():
    text = "Is it cheap? Yes."
    assert '<mark>cheap</mark>?<span class="kind" dir="ltr">1 vagueness</span> Yes.' in wording.marked_text(text, (Mark("vagueness", 6, 11, "cheap", "", "", ""),))  # fmt: skip


def test_every_mark_is_a_row_of_the_file():
    table = wording.table(WHOLE.instructions)
    assert len(table) == sum(map(len, WHOLE.marks))
    for row in table.itertuples():
        assert (
            row.instruction == WHOLE.instructions[row.item - 1] and row.instruction[row.start : row.stop] == row.words
        )
    assert len(wording.table(("What is the capital?",))) == 0


def test_what_is_said_counts_places_and_scripts():
    assert wording.said(WHOLE.instructions).startswith(f"Rules that need no model mark {sum(map(len, WHOLE.marks))} places in 3 of 5 instructions.")  # fmt: skip
    assert "no proof of a good one" in wording.said(("What is the capital?",))
    assert "This one is in another script" in wording.said(("ここはどこですか、教えてください。",))
    assert "another script" not in wording.said(("12 + 30 = ?",))
    assert "1 of them is in another script" in wording.said(("Surely so?", "ここはどこですか、教えてください。"))


def test_the_line_under_the_editor_names_the_first_and_counts_the_rest():
    mark = Mark("vagueness", 0, 5, "brief", "", "", "")
    long = replace(mark, kind="missing option", words="a " * 100)
    assert wording.noted((mark,)) == "1 place in this instruction may sway the answer: ‘brief’ (vagueness)."
    said = wording.noted((long, *(mark,) * 4))
    assert said.startswith("5 places") and "(missing option)" in said and said.endswith(", and 2 more.") and len(said) < 180  # fmt: skip


def test_a_list_that_is_too_long_is_looked_at_from_its_beginning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wording, "LOOKED_AT", 10)
    assert wording._looked_at(("a" * 6, "b" * 4, "c")) == ("a" * 6, "b" * 4)
    assert wording._looked_at(("a" * 60, "b")) == ()
    monkeypatch.setattr(wording, "TEXTS", 2)
    assert wording._looked_at(("a", "b", "c")) == ("a", "b")


def test_all_that_is_looked_at_is_kept():
    """Otherwise each rerun would mark everything again."""
    assert wording.marks_of.cache_info().maxsize > wording.TEXTS
