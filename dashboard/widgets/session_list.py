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
IMPORTED = "imported-said"
"""Key of what became of the file that was given last."""
BEGIN = "new-session"
"""Key of the panel in which one is begun."""


def pick_session() -> str:
    """The id of the session that is looked at; NEW where there is none."""
    found = {one.session: one for one in sessions.overviews(keeping.records())}
    here = keeping.keeping()
    if not found:
        return keeping.NEW
    wanted = here.session or st.query_params.get(PARAMETER, "")
    shown = wanted if wanted in found else next(iter(found))
    key = inputs.showing(KEY, shown)
    chosen = st.selectbox(
        "Session",
        list(found),
        format_func=lambda id: (
            f"{found[id].title} ({_count(len(found[id].records))}, {found[id].opened[:10]}{', closed' if found[id].closed else ''})"
        ),
        key=key,
        on_change=_chosen,
        args=(key,),
    )
    here.session = st.query_params[PARAMETER] = chosen
    return chosen


def _chosen(key: str) -> None:
    keeping.keeping().session = inputs.value(key)


def _count(number: int) -> str:
    return f"{number:,} record{'' if number == 1 else 's'}"


def add_session() -> None:
    """Begin one, or import one that somebody gave."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        new = st.popover("New session", key=BEGIN, on_change="rerun")
        if new.open:
            with new:
                _begin()
        given = st.popover("Import", key="import-session", on_change="rerun")
        if given.open:
            with given:
                _import()


def _begin() -> None:
    with st.form("begin", border=False):
        st.text_input("Title", key="begin-title", placeholder="what you want to find out")
        st.text_area("Purpose", key="begin-purpose", height=72, placeholder="for whom, and what follows from it")
        st.text_input("Field", key="begin-field", placeholder="healthcare, finance, law, ...")
        st.text_input("People", key="begin-people", placeholder="names, with commas between them")
        st.form_submit_button("Begin", type="primary", on_click=_begin_it)
    here = keeping.keeping()
    if here.refused:
        st.error(plain(here.refused))


def _begin_it() -> None:
    """The panel closes where that worked."""
    here = keeping.keeping()
    title, purpose, field, people = (inputs.value(f"begin-{name}") for name in ("title", "purpose", "field", "people"))
    try:
        here.session = sessions.start(keeping.records(), title, purpose, field, people.split(","))
    except Refused as refused:
        here.refused = str(refused)
    else:
        here.refused, st.session_state[BEGIN] = None, False


def _import() -> None:
    st.caption("A file that Candor exported. It is verified as a whole before anything of it is kept or shown.")
    file = st.file_uploader("Exported session", ["jsonl", "candor"], max_upload_size=MEGABYTES, key="imported")
    if file is None:
        return
    kept = st.session_state.get(IMPORTED)
    if kept is None or kept[0] != file.file_id:  # every rerun comes here as long as the panel is open
        st.session_state[IMPORTED] = (file.file_id, *_take(file.getvalue()))
        st.rerun()  # the session that came stands above
    _, worked, said = kept
    (st.success if worked else st.error)(plain(said))


def _take(content: bytes) -> tuple[bool, str]:
    """Whether the session of a file is here now, and what is to be said of it."""
    try:
        found = bundle.read(keeping.records(), io.BytesIO(content))
    except Refused as refused:
        return False, str(refused)
    keeping.keeping().session = found.session
    said = "was here already" if found.already else f"was verified and imported: {found.entries:,} entries"
    return True, f"The session {said}. Its head is {found.head}."
