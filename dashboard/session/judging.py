"""What a visitor judges blind: which two answers stand there, since when, and what was said of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from dashboard.session import inputs, keeping
from model_utils.contracts.records import Choice, Preference
from model_utils.errors import Refused
from model_utils.records import preferences
from model_utils.records.preferences import Comparison, Comparisons
from model_utils.records.sessions import Overview


@dataclass(frozen=True)
class Said:
    """A judgement that was just made: now it may be shown whose the answers are."""

    session: str
    comparison: Comparison
    preference: Preference


@dataclass
class Judging:
    """One visitor's."""

    found: tuple[tuple[str, tuple[int, ...]], Comparisons] | None = None
    """((session, its records that are not erased), what can be judged in them); so that not every look reads all of them"""
    shown: tuple[object, float] | None = None
    """(what stands there to be judged, since when)"""
    said: Said | None = None
    """None: the next one is asked"""
    problem: str | None = None
    """why the last judgement was not accepted, as a sentence"""


def judging() -> Judging:
    if "judging" not in st.session_state:
        st.session_state["judging"] = Judging()
    return st.session_state["judging"]


def asked(overview: Overview) -> Comparisons:
    """What can be judged in a session; of an erased record nothing is held back."""
    here = judging()
    key = (overview.session, tuple(one.number for one in overview.records if not one.erased))
    if here.found is None or here.found[0] != key:
        here.found = key, preferences.comparisons(keeping.records(), overview.session)
    return here.found[1]


def show(session: str, one: Comparison, author: str) -> None:
    """These answers stand there now: their time begins, if it did not before."""
    here, what = judging(), (session, one.key, author)
    if here.shown is None or here.shown[0] != what:
        here.shown = what, time.monotonic()


def choose(session: str, one: Comparison, author: str, choice: Choice, reason: str) -> None:
    """A button was pressed; `reason`: key of the field in which it stands why."""
    here, store = judging(), keeping.records()
    seconds = time.monotonic() - here.shown[1] if here.shown is not None else None
    try:
        entry = preferences.prefer(store, session, *one.key, author, choice, inputs.value(reason), seconds)
        here.said, here.problem = Said(session, one, store.content(session, entry.number)), None
    except Refused as refused:
        here.problem = str(refused)
    keeping.keeping().name = author


def go_on() -> None:
    """Next was pressed."""
    judging().said = None
