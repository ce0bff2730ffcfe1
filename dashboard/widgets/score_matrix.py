"""The scores of every token of the answer as maps of both models and their difference; a row that is clicked is shown by itself above."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from dashboard.figures import attribution
from dashboard.session import inputs, selection, visits
from dashboard.widgets.heads import regions
from dashboard.widgets.map_canvas import Cell, MapAxes, Region, map_canvas
from dashboard.widgets.text import plain
from model_utils.contracts.attribution import Attribution, Parted
from model_utils.contracts.common import Encoded

COLUMN = "matrix-column"
"""Where the column of the pinned cell is kept, as the position of its part's first token; the row is the selected token."""


def writer(result: Attribution) -> Parted:
    """The text in whose answer tokens are selected: of the side whose prompt and answer both models read."""
    return result.texts[visits.visit().side]


def has_rows(result: Attribution) -> bool:
    """Whether several answer tokens have scores of their own that can be laid side by side."""
    return result.aligned and len(result.values.tuned) > 1


def chosen_row(result: Attribution) -> int | None:
    """The row of the token that is selected on every page; None: the sum over all rows is shown."""
    text = writer(result)
    found = text.rows[text.targets == visits.visit().token]
    return int(found[0]) if has_rows(result) and len(found) else None


def one_row(result: Attribution, row: int) -> Attribution:
    """The scores of one answer token of several."""
    at = slice(row, row + 1)
    return replace(
        result,
        texts=result.texts.map(lambda text: _one_row(text, row)),
        values=result.values.map(lambda values: values[at]),
        scores=result.scores.map(lambda scores: scores[at]),
        rest=result.rest and result.rest.map(lambda rest: rest[at]),
        spread=result.spread and result.spread.map(lambda spread: spread[at]),
        between=None if result.between is None else result.between[at],
    )


def _one_row(text: Parted, row: int) -> Parted:
    targets = text.targets[text.rows == row]
    return replace(text, targets=targets, rows=np.zeros_like(targets))


def said_row(result: Attribution) -> None:
    """Which row of several is shown, and the way back to their sum."""
    with st.container(horizontal=True, vertical_alignment="center", key="shown-row"):
        text = writer(result)
        piece = text.sequence.said(text.places()[0])
        st.write(
            plain(
                f"Shown alone: token {text.targets[0]} of the answer, {piece!r}, one row of the maps below. The evidence is about the sum over all tokens; explain 'one token' to have this one tested."
            )
        )
        st.button("Show the sum over all tokens", key="to-the-sum", on_click=select, args=(None,))


def select(token: int | None) -> None:
    """Select this token of the answer, on every page."""
    selection.select_token(visits.visit().side, token)


def score_matrix(result: Attribution, pale: tuple[str, ...]) -> None:
    """Answer tokens down, the parts before them across; a click or Enter selects the token of a row, a second one none."""
    if max(map(len, result.values.sides)) < 2 or not all(len(attribution.columns(text)) for text in result.texts.sides):
        return
    st.subheader("Every token of the answer", anchor=False)
    if not result.aligned:
        _apart_maps(result, pale)
        return
    cells, axes = attribution.cells(result), axes_of(writer(result))
    row = chosen_row(result)
    cell = None if row is None else cell_of(result, row, st.session_state.get(COLUMN))
    title = f"{result.models.base.id} and {result.models.tuned.id}: {result.method}, {result.unit}"
    state = map_canvas(
        cells.map(lambda one: one[None]), axes, key="matrix", title=title, selected=cell, signed=True, pale=pale
    )
    signs = "vermilion raised the token's value, blue lowered it" if result.signed else "vermilion is more"
    st.caption(
        plain(
            f"Each row is a {'token' if result.alignment == 'tokens' else 'piece'} of the answer, each column a part of the text before it: {signs}; in the difference, vermilion is more in tuned and blue more in base. One scale for all three, {result.unit}.{_apart(result)} Click a row, or press Enter in it, to see it alone in the strips above; the same again shows the sum."
        )
    )
    _export(result, pale)
    if state.cell == cell:
        return
    if state.cell is not None:
        st.session_state[COLUMN] = state.cell[1]
    if (state.cell and state.cell[0]) != (cell and cell[0]):
        select(state.cell and state.cell[0])
        st.rerun()


def _apart_maps(result: Attribution, pale: tuple[str, ...]) -> None:
    """Each model's own answer and text: two maps on one scale, and none of a difference."""
    map_canvas(
        attribution.cells(result).map(lambda one: one[None]),
        result.texts.map(axes_of),
        key="matrix-own",
        title=f"{result.models.base.id} and {result.models.tuned.id}: {result.method}, {result.unit}",
        signed=True,
        pale=pale,
    )
    signs = "vermilion raised the token's value, blue lowered it" if result.signed else "vermilion is more"
    st.caption(
        plain(
            f"Each row is a token of the model's own answer, each column a part of its own text before it: {signs}. One scale for both, {result.unit}."
        )
    )
    _export(result, pale)


def _apart(result: Attribution) -> str:
    """What the third map is where it is not what the strip shows."""
    return "" if result.between is None else " The third map is the plain difference of the two; the strip above has a surrogate of the difference itself."  # fmt: skip


def axes_of(text: Parted) -> MapAxes:
    """Rows by their place in the answer; columns by the first token of their part, under the part's whole text."""
    sequence, names = text.sequence, text.names()
    first, pieces = text.first_tokens(), list(sequence.pieces)
    for part in attribution.columns(text):
        pieces[first[part]] = names[part]
    answer = [sequence.pieces[position] for position in sequence.positions("answer")]
    rows = text.answer_numbers()
    for row, places in zip(rows, text.places(), strict=True):
        answer[row] = sequence.said(places)
    return MapAxes(
        pieces,
        rows,
        first[attribution.columns(text)],
        causal=False,
        regions=_regions(sequence, len(answer)),
        row_pieces=answer,
        words=("answer token", "from part"),
    )


def _regions(sequence: Encoded, rows: int) -> dict[str, Region]:
    """The columns that can be zoomed to; the rows are always the whole answer."""
    return {
        name: ((0, rows), columns)
        for name, (_, columns) in regions(sequence).items()
        if name in ("instruction", "answer")
    }


def cell_of(result: Attribution, row: int, column: int | None) -> Cell:
    """The pinned cell: in the row of the selected token, where the pin was, else at the part that both models together leaned on most."""
    text = writer(result)
    places = text.first_tokens()[attribution.columns(text)]
    if column is None or column not in places:
        both = attribution.cells(result).map(lambda cells: np.abs(np.nan_to_num(cells[row])))
        column = int(places[np.argmax(both.base + both.tuned)])
    return int(text.answer_numbers()[row]), column


def _export(result: Attribution, pale: tuple[str, ...]) -> None:
    dark = inputs.dark()
    st.download_button(
        "Download these maps",
        data=lambda: attribution.matrix(result, dark, pale).to_html(include_plotlyjs=True).encode(),
        file_name="attribution-of-every-token.html",
        mime="text/html",
        on_click="ignore",
        help="One HTML file that opens without a connection: the maps with exact values. 'Save picture' over the maps gives them as shown, as an image (PNG).",
    )
