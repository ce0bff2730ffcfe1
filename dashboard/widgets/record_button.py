"""Record: keeps what a page shows in a session, with which models it is of, so that others can verify and replay it."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.pages import PAGES
from dashboard.session import compute, inputs, keeping
from dashboard.widgets.progress import POLL_SECONDS, status
from dashboard.widgets.text import plain
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.common import Request
from model_utils.errors import Refused
from model_utils.records import contents

PANEL = "record-panel"
CLOSE = "record-close"
"""Something was recorded since the panel was drawn last, so that it is to be drawn closed, whatever the browser says of it by now."""


def record_button(place: DeltaGenerator, page: str, waiting: bool) -> None:
    """Draws the button at `place`, when the page is drawn and it is known what it shows; while something is still to be written (`waiting`), on
    any page how far that is."""
    with place:
        if waiting:
            st.fragment(_waiting, run_every=POLL_SECONDS)()
        elif PAGES[page]:
            if st.session_state.pop(CLOSE, False):
                st.session_state[PANEL] = False
            panel = st.popover("Record", key=PANEL, on_change="rerun")
            if panel.open:
                with panel, st.container(key="record"):
                    try:
                        _panel(keeping.finished(page))
                    except Refused as refused:
                        st.error(plain(str(refused)))


def go_on(page: str) -> bool:
    """Writes what was wished, as soon as that is possible, and says whether it is still on its way; what became of it is told on whichever page
    the visitor is by now."""
    here = keeping.keeping()
    before = here.done, here.problem
    if keeping.go_on():
        return True
    if here.done is not None and here.done is not before[0]:
        st.session_state["record-into"], st.session_state["record-note"] = here.done.session, ""
        st.session_state[CLOSE] = True
        st.toast(plain(here.done.said))
    elif here.problem is not None and here.problem != before[1]:
        st.session_state[PANEL] = bool(PAGES[page])  # the panel says why, where there is one
        if not PAGES[page]:
            st.toast(plain(here.problem))
    return False


def _panel(jobs: list[compute.Job]) -> None:
    here = keeping.keeping()
    if here.done is not None and set(here.done.jobs) & {keeping.same(job) for job in jobs}:
        st.success(plain(here.done.said))
        st.page_link("screens/sessions.py", label="Open the session")
    if not jobs:
        st.caption("What this page shows can be recorded once it is whole. So far there is nothing.")
        return
    st.markdown("**Keep what this page shows**")
    titles = {one.session: one.title for one in keeping.open_sessions()}
    choices = [*titles, keeping.NEW]
    if here.session in titles and st.session_state.get("record-into") not in choices:
        st.session_state["record-into"] = here.session
    inputs.keep_among("record-into", choices)
    session = st.selectbox(
        "Session",
        choices,
        format_func=lambda id: "A new session" if id == keeping.NEW else f"{titles[id]} ({id[:8]})",
        key="record-into",
        persist_state="session",
    )
    if session == keeping.NEW:
        st.text_input("Its title", key="record-title", placeholder="what you want to find out")
    st.text_input("Your name", key="author", persist_state="session")
    chosen = [job for job in jobs if _chosen(job, session)]
    st.text_area("Note", key="record-note", height=72, placeholder="what you saw; may stay empty")
    if here.problem:
        st.error(plain(here.problem))
    st.button("Record these" if len(chosen) > 1 else "Record this", type="primary", on_click=_wish, args=(chosen, session))  # fmt: skip


def _chosen(job: compute.Job, session: str) -> bool:
    """A line of what can be recorded; off where it is in this session already."""
    entry = keeping.entry_of(job, session)
    name = _name(job.kind, job.request)
    label = f"{name} (recorded as entry {entry})" if entry is not None else name
    return st.checkbox(plain(label), value=entry is None, key=f"record-{job.kind}-{session}-{entry}")


def _name(kind: str, request: Request) -> str:
    """An analysis, how it was asked where that can differ, and of what."""
    asked = [str(getattr(request, name)) for name in ("method", "quantity") if hasattr(request, name)]
    asked += [f"layer {request.layer}"] if isinstance(request, AttentionRequest) else []
    said = contents.instruction(request)
    return kind.replace("_", " ") + (f" ({', '.join(asked)})" if asked else "") + (f": {said[:60]}" if said else "")


def _wish(jobs: list[compute.Job], session: str) -> None:
    title = st.session_state.get("record-title", "") if session == keeping.NEW else ""
    keeping.wish(jobs, session, title, inputs.value("record-note"))
    st.session_state[PANEL] = keeping.keeping().problem is not None


def _waiting() -> None:
    """The weights are hashed first; then the page runs once more and writes."""
    held = keeping.progress()
    if held is None:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(held.job.fraction, text=plain(f"Identifying the models. {status(held)}"))
        st.button("Stop", key="stop-recording", on_click=keeping.stop)
