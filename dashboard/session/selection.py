"""The selected token and the pinned cell, which every page shares."""

from __future__ import annotations

import streamlit as st

from dashboard.link import View
from dashboard.session import visits
from model_utils.contracts.common import Encoded
from model_utils.pair import Side


def read_along(side: Side) -> None:
    """Choose whose prompt and answer both models read."""
    here = visits.visit()
    if here.side != side:
        here.side, here.token, here.pinned, here.other_token = side, None, None, None


def select_token(side: Side, token: int | None) -> None:
    """Select one token of a side's answer, on every page; None: none is selected."""
    here = visits.visit()
    if here.side != side:
        here.other_token = None
    here.side, here.token, here.pinned = side, token, None


def select_other(token: int | None) -> None:
    """Select one token of the other side's answer; None: the first."""
    visits.visit().other_token = token


def compared_with() -> str | int | None:
    """What the selected token, else the first, is explained against: a typed text, or the id of an alternative; None: nothing."""
    here = visits.visit()
    return here.against.get((here.side, here.token or 0))


def compare_with(other: str | int | None) -> None:
    """Explain the selected token, else the first, against this one; None: by itself."""
    here = visits.visit()
    here.against.pop((here.side, here.token or 0), None)
    if other is not None:
        here.against[here.side, here.token or 0] = other


def cell(sequence: Encoded) -> tuple[int, int] | None:
    """The pinned cell of the attention maps of this visitor."""
    return cell_of(visits.visit(), sequence)


def cell_of(here: visits.Visit, sequence: Encoded) -> tuple[int, int] | None:
    """(query, key) pinned by a click in the maps, else the diagonal of the row that chose the selected token."""
    if here.pinned is not None or here.token is None:
        return here.pinned
    query = int(sequence.positions("answer")[0]) + here.token - 1
    return query, query


def pin(chosen: tuple[int, int] | None, sequence: Encoded) -> None:
    """Pin a cell of the maps for this visitor."""
    pin_in(visits.visit(), chosen, sequence)


def pin_in(here: visits.Visit, chosen: tuple[int, int] | None, sequence: Encoded) -> None:
    """Pin a cell; this selects the token that its row chose, if that is one of the answer."""
    here.pinned, here.token = chosen, None
    if chosen is not None:
        answer = sequence.positions("answer")
        token = chosen[0] + 1 - int(answer[0])
        here.token = token if 0 <= token < len(answer) else None


def look_at(layer: int, head: int) -> None:
    """Show the maps of this head, from the next time that a page is drawn."""
    visits.visit().wished = View(layer=layer, head=head)
    st.session_state["reduction"] = "heads"
