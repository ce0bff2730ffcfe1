"""What a visitor records, where, and in whose name; and the store behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st

from dashboard.pages import PAGES
from dashboard.session import compute, concluding, listing, probing, visits
from model_utils.contracts.common import Request, Specs
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.errors import Refused
from model_utils.records import recording, sessions, store
from model_utils.records.sessions import Overview
from model_utils.records.store import Store

AT_ONCE_SECONDS = 0.2
"""A load report that is at hand within this time is not waited for on the screen."""
NEW = ""
"""In place of a session's id: a new one."""


Same = tuple[str, Specs, tuple[str, str], Request]
"""(analysis, models, signatures of their files, request): what is the same result, also when it was computed twice"""


@dataclass(frozen=True)
class Wish:
    """Record was pressed."""

    jobs: tuple[compute.Job, ...]
    session: str
    """its id, or NEW"""
    title: str
    """of the new one"""
    author: str
    note: str


@dataclass(frozen=True)
class Done:
    """What became of a wish."""

    jobs: tuple[Same, ...]
    session: str
    said: str
    """a sentence"""


@dataclass
class Keeping:
    """One visitor's."""

    name: str = ""
    """under what was said of a record last"""
    session: str = NEW
    """id of the session that is recorded into, and looked at"""
    wish: Wish | None = None
    opened: list[compute.Held] = field(default_factory=list)
    """load reports that the wish waits for: they say which weights these are"""
    kept: dict[tuple[str, Same], int] = field(default_factory=dict)
    """(session, result) -> its entry, so that nobody records the same twice without seeing it"""
    problem: str | None = None
    """why the last wish was not accepted, or not written"""
    refused: str | None = None
    """why the last session could not be begun"""
    done: Done | None = None


def keeping() -> Keeping:
    if "keeping" not in st.session_state:
        st.session_state["keeping"] = Keeping()
    return st.session_state["keeping"]


def records() -> Store:
    """The store; Refused, in one sentence, where it cannot be opened."""
    return _store(store.address())


@st.cache_resource(show_spinner=False)
def _store(address: str) -> Store:
    return Store(address)


def author() -> str:
    """Whose name stands under what is recorded; as typed, perhaps empty."""
    return str(st.session_state.get("author") or "").strip() or keeping().name


def open_sessions() -> list[Overview]:
    """Those that can be recorded into, the latest first."""
    return [one for one in sessions.overviews(records()) if not one.closed]


def finished(page: str) -> list[compute.Job]:
    """The whole results that this page shows."""
    held: dict[str, compute.Held | None] = {
        **visits.visit().held,
        "survey": listing.many().held,
        "findings": concluding.concluding().held,
    }
    held |= {probe: probing.probing(probe).held for probe in probing.PROBES}
    mine = [held.get(kind) for kind in PAGES.get(page, ())]
    return [one.job for one in mine if one is not None and one.result is not None]


def same(job: compute.Job) -> Same:
    return (job.kind, job.specs, job.signatures, job.request)


def entry_of(job: compute.Job, session: str) -> int | None:
    """Where this visitor recorded this result before; None: nowhere."""
    return keeping().kept.get((session, same(job)))


def wish(jobs: Sequence[compute.Job], session: str, title: str, note: str) -> None:
    """Record these, as soon as it is known of which weights they are."""
    here = keeping()
    here.done, here.problem = None, None
    if not author():
        here.problem = "Type your name: whoever reads the record has to know who made it."
    elif session == NEW and not title.strip():
        here.problem = "Type a title for the new session, such as what you want to find out."
    elif not jobs:
        here.problem = "Choose at least one result to record."
    else:
        here.wish = Wish(tuple(jobs), session, title, author(), note)
        specs = list(dict.fromkeys(job.specs for job in jobs))
        here.opened = [compute.hold("load_report", one, LoadReportRequest(), background=True) for one in specs]


def go_on() -> bool:
    """Writes what was wished as soon as all is known, on whichever page; True while that is still on its way."""
    here = keeping()
    if here.wish is None:
        return False
    for held in here.opened:
        held.job.wait(AT_ONCE_SECONDS)
    if not all(held.over for held in here.opened):
        return True
    try:
        here.done = _write(here.wish)
    except Refused as refused:
        here.problem = str(refused)
    here.wish, here.opened = None, []
    return False


def progress() -> compute.Held | None:
    """The load report that is waited for."""
    return next((held for held in keeping().opened if not held.over), None)


def stop() -> None:
    """What is waited for is not recorded after all; the pair's own load report goes on."""
    here, report = keeping(), visits.visit().report
    for held in here.opened:
        if report is None or held.job is not report.job:
            compute.let_go(held)
    here.wish, here.opened = None, []


def _write(wish: Wish) -> Done:
    here, kept = keeping(), records()
    made = []
    for job in wish.jobs:
        opened = next(held for held in here.opened if held.job.specs == job.specs).job
        if opened.result is None:
            raise Refused(f"It could not be found out which weights these are: {opened.error or 'that was stopped'}")
        if opened.signatures != job.signatures:
            raise Refused("The models' files changed since this was computed, so that it cannot be said of which weights it is; run it again.")  # fmt: skip
        made.append(recording.make(job.kind, job.specs, job.request, job.result, opened.result, job.seconds, wish.author))  # fmt: skip
    here.session = wish.session or sessions.start(kept, wish.title, people=[wish.author])
    numbers = []
    for job, record in zip(wish.jobs, made, strict=True):
        numbers.append(recording.keep(kept, here.session, record).number)
        here.kept[here.session, same(job)] = numbers[-1]
        if wish.note.strip():
            sessions.note(kept, here.session, numbers[-1], wish.author, wish.note)
    return Done(tuple(map(same, wish.jobs)), here.session, f"Recorded as {_entries(numbers)}.")


def _entries(numbers: Sequence[int]) -> str:
    *most, last = map(str, numbers)
    return f"entries {', '.join(most)} and {last}" if most else f"entry {last}"
