"""Which session is looked at, and two ways to a further one: begun here, or imported."""

from __future__ import annotations

import io

import streamlit as st

from dashboard.session import inputs, keeping
from dashboard.widgets.text import plain
from model_utils.errors import Refused
from model_utils.records import bundle, sessions

MEGABYTES = 200
"""An imported file may have so many."""
PARAMETER = "session"
"""Of the page's address."""
KEY = "session"


def pick_session() -> str:
    """The id of the session that is looked at; NEW where there is none."""
    found = {one.session: one for one in sessions.overviews(keeping.records())}
    here = keeping.keeping()
    if not found:
        return keeping.NEW
    wanted = here.session or st.query_params.get(PARAMETER, "")
    if wanted in found and st.session_state.get(KEY) != wanted:
        st.session_state[KEY] = wanted
    inputs.keep_among(KEY, list(found))
    chosen = st.selectbox(
        "Session",
        list(found),
        format_func=lambda id: (
            f"{found[id].title} ({_count(len(found[id].records))}, {found[id].opened[:10]}{', closed' if found[id].closed else ''})"
        ),
        key=KEY,
        on_change=_chosen,
    )
    here.session = st.query_params[PARAMETER] = chosen
    return chosen


def _chosen() -> None:
    keeping.keeping().session = inputs.value(KEY)


def _count(number: int) -> str:
    return f"{number:,} record{'' if number == 1 else 's'}"


def add_session() -> None:
    """Begin one, or import one that somebody gave."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        new = st.popover("New session", key="new-session", on_change="rerun")
        if new.open:
            with new:
                _begin()
        given = st.popover("Import", key="import-session", on_change="rerun")
        if given.open:
            with given:
                _import()


def _begin() -> None:
    with st.form("begin", border=False):
        title = st.text_input("Title", placeholder="what you want to find out")
        purpose = st.text_area("Purpose", height=72, placeholder="for whom, and what follows from it")
        field = st.text_input("Field", placeholder="healthcare, finance, law, ...")
        people = st.text_input("People", placeholder="names, with commas between them")
        if st.form_submit_button("Begin", type="primary"):
            try:
                keeping.keeping().session = sessions.start(keeping.records(), title, purpose, field, people.split(","))
            except Refused as refused:
                st.error(plain(str(refused)))
            else:
                st.rerun()


def _import() -> None:
    st.caption("A file that Candor exported. It is verified as a whole before anything of it is kept or shown.")
    file = st.file_uploader("Exported session", ["jsonl", "candor"], max_upload_size=MEGABYTES, key="imported")
    if file is None:
        return
    try:
        found = bundle.read(keeping.records(), io.BytesIO(file.getvalue()))
    except Refused as refused:
        st.error(plain(str(refused)))
        return
    keeping.keeping().session = found.session
    said = "was here already" if found.already else f"was verified and imported: {found.entries:,} entries"
    st.success(plain(f"The session {said}. Its head is {found.head}."))
