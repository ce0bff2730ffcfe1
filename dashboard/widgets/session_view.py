"""One session: what it is, its head, its records as a table to filter and choose from, and every entry in the order of time."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial

import pandas as pd
import streamlit as st

from dashboard.report import build as report
from dashboard.session import keeping
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.records import (
    VERDICTS,
    Closed,
    Entry,
    EntryKind,
    Erased,
    Judgement,
    Listed,
    Note,
    Opened,
    Preference,
    Record,
    Rerun,
    Tags,
    Verdict,
)
from model_utils.errors import Refused
from model_utils.records import bundle, sessions
from model_utils.records.sessions import Kept, Overview, Wanted
from model_utils.records.store import Store

MARKS: dict[Verdict, str] = {verdict: f"{report.SHAPES[verdict]} {verdict}" for verdict in VERDICTS}
"""A verdict as a shape and a word, never as a colour alone."""
HEAD = re.compile("(?!0{64})[0-9a-f]{64}")
LATEST = 200
"""Entries of the timeline that are shown."""


@dataclass(frozen=True)
class View:
    """A session as its page draws it."""

    overview: Overview
    listed: tuple[Listed, ...]
    head: Entry

    @property
    def session(self) -> str:
        return self.overview.session


def session_view(session: str) -> View:
    """Draws what the session is, and what can be done with the whole of it."""
    store = keeping.records()
    listed = tuple(store.listed(session))
    view = View(sessions.overview(session, listed), listed, store.head(session))
    whole = view.overview
    st.subheader(plain(whole.title), anchor=False)
    about = st.container()
    counts = Counter(one.verdict for one in whole.records)
    facts = [f"opened {moment(whole.opened)}", f"closed {moment(whole.closed)}" if whole.closed else "open"]
    facts += [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    st.html(
        f'<div class="values">{"".join(f"<span>{escaped(one)}</span>" for one in facts)}</div>'
        f'<div class="values">head <code class="head">{escaped(view.head.hash)}</code></div>'
    )
    with st.container(horizontal=True):
        _verify(view)
        _take_away(view)
        _close(view)
    opened = read(session, 0)  # last: what is not as it was written must not hide the button that says so
    if isinstance(opened, Opened):
        said = [opened.purpose, f"Field: {opened.field}" if opened.field else "", ", ".join(opened.people)]
        about.markdown("  \n".join(plain(one) for one in said if one))
    elif isinstance(opened, str):
        about.error(plain(opened))
    return view


def read(session: str, number: int) -> object:
    """What an entry holds; None: it was erased; a sentence where it cannot be read."""
    try:
        return keeping.records().content(session, number)
    except Refused as refused:
        return str(refused)


def moment(time: str) -> str:
    """A stored time for people: to the minute, in UTC."""
    return f"{time[:10]} {time[11:16]} UTC"


def _verify(view: View) -> None:
    panel = st.popover("Verify", key="verify", on_change="rerun")
    if not panel.open:
        return
    with panel:
        known = st.text_input(
            "A head that you kept elsewhere",
            key="known-head",
            placeholder="64 digits; may stay empty",
            help="With it, entries that were cut off at the end, and a chain that was made anew, are found too.",
        )
        head = known.strip().lower()
        if head and not HEAD.fullmatch(head):
            st.error(plain(f"A head is 64 digits from 0 to 9 and a to f; {known.strip()[:80]!r} is none."))
            return
        found = sessions.check(keeping.records(), view.session, head or None)
        if found.problem:
            st.error(plain(found.problem))
            return
        erased = (
            f" The content of {len(found.erased)} of them was erased, as later entries say." if found.erased else ""
        )
        st.success(plain(f"All {found.entries:,} entries follow one another, and lists show what they hold.{erased}"))
        st.caption(
            "The head that you gave is among them."
            if head
            else "Whether entries were cut off at the end, or the whole chain made anew, shows only against a head that is held elsewhere."
        )


def _take_away(view: View) -> None:
    session, name = view.session, f"candor-{view.session[:8]}"
    panel = st.popover("Report and export", key="take-away", on_change="rerun")
    if not panel.open:
        return
    with panel:
        st.download_button(
            "Report (HTML)",
            data=partial(_file, report.html, session),
            file_name=f"{name}.html",
            mime="text/html",
            on_click="ignore",
            width="stretch",
            help="One file that opens without a network: findings, figures, methods, limits, head.",
        )
        for label, make, ending, mime in (
            ("Data (JSON)", report.as_json, "json", "application/json"),
            ("Table (CSV)", report.csv, "csv", "text/csv"),
            ("Paragraph for a model's card", report.card, "md", "text/markdown"),
        ):
            st.download_button(
                label,
                data=partial(_file, make, session),
                file_name=f"{name}.{ending}",
                mime=mime,
                on_click="ignore",
                width="stretch",
            )
        st.download_button(
            "Whole session, to import elsewhere",
            data=partial(exported, session),
            file_name=f"{name}.jsonl",
            mime="application/jsonl",
            on_click="ignore",
            width="stretch",
            help="Every entry with its content. What is erased here later stays in this file.",
        )


def _file(make: Callable[[Store, str], str], session: str) -> bytes:
    return make(keeping.records(), session).encode("utf-8", "replace")


def exported(session: str) -> bytes:
    """The session as a file that another Candor verifies and imports."""
    file = io.BytesIO()
    bundle.write(keeping.records(), session, file)
    return file.getvalue()


def _close(view: View) -> None:
    if view.overview.closed:
        return
    panel = st.popover("Close the session", key="close-session", on_change="rerun")
    if not panel.open:
        return
    with panel:
        st.caption("After this nothing can be added but an erasure. Keep the new head elsewhere.")
        st.text_input("Your name", key="author", persist_state="session")
        if st.button("Close it", type="primary", key="close-it"):
            try:
                sessions.close(keeping.records(), view.session, keeping.author())
            except Refused as refused:
                st.error(plain(str(refused)))
            else:
                st.rerun()


# --- the records ------------------------------------------------------------------------------------------------------


def pick_records(view: View) -> list[Kept]:
    """Draws the records as a table; gives those that are chosen: one to look at, or two of a kind to compare."""
    records = view.overview.records
    if not records:
        st.caption("This session has no records yet: press Record on another page.")
        return []
    wanted = _wanted(records)
    shown = [one for one in reversed(records) if wanted.holds(one)]
    st.caption(
        plain(
            f"{len(shown):,} of {len(records):,} records" if len(shown) < len(records) else f"{len(records):,} records"
        )
        + ", the latest first. Choose one to open it, or two of the same analysis to compare them."
    )
    picked = st.dataframe(
        table(shown),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=f"records-{view.session}-{hash(tuple(one.number for one in shown))}",  # rows are chosen by their place
        height=min(420, 36 * (len(shown) + 1) + 2),
    )
    chosen = [shown[row] for row in picked["selection"]["rows"] if row < len(shown)]
    return sorted(chosen, key=lambda one: one.number)


def table(records: list[Kept]) -> pd.DataFrame:
    """A row for each record."""
    return pd.DataFrame(
        {
            "entry": [one.number for one in records],
            "when": [moment(one.time) for one in records],
            "analysis": [one.analysis.replace("_", " ") for one in records],
            "instruction": ["(erased)" if one.erased else one.instruction for one in records],
            "base": [one.base for one in records],
            "tuned": [one.tuned for one in records],
            "verdict": [MARKS[one.verdict] for one in records],
            "tags": [", ".join(one.tags) for one in records],
            "notes": [one.notes for one in records],
            "run again": [one.replay or "not yet" for one in records],
        }
    )


def _wanted(records: tuple[Kept, ...]) -> Wanted:
    """The filters, which offer what the session holds."""
    with st.expander("Filter"):
        first, second, third, fourth = st.columns(4)
        analyses = first.multiselect("Analysis", sorted({one.analysis for one in records}), key="filter-analysis")
        models = second.multiselect(
            "Model", sorted({name for one in records for name in (one.base, one.tuned)}), key="filter-model"
        )
        verdicts = third.multiselect("Verdict", VERDICTS, key="filter-verdict", format_func=MARKS.__getitem__)
        tags = fourth.multiselect("Tag", sorted({tag for one in records for tag in one.tags}), key="filter-tag")
        days = first.date_input("From", None, key="filter-since"), second.date_input("To", None, key="filter-until")
    since, until = (day.isoformat() if isinstance(day, date) else "" for day in days)
    return Wanted(tuple(analyses), tuple(models), tuple(verdicts), tuple(tags), since, until)


# --- every entry ------------------------------------------------------------------------------------------------------


def timeline(view: View) -> None:
    """Every entry, the latest first: what, when, by whom."""
    with st.expander(
        f"Every entry, in the order of time ({len(view.listed):,})", key="timeline", on_change="rerun"
    ) as shown:
        if not shown.open:
            return
        latest = view.listed[::-1][:LATEST]
        if len(latest) < len(view.listed):
            st.caption(f"The latest {LATEST} are shown; the report and the export hold all.")
        st.dataframe(
            pd.DataFrame(
                {
                    "entry": [one.number for one in latest],
                    "when": [moment(one.time) for one in latest],
                    "what": [one.kind for one in latest],
                    "about": [one.about for one in latest],
                    "said": [said(view.session, one) for one in latest],
                }
            ),
            hide_index=True,
        )


def said(session: str, one: Listed) -> str:
    """An entry in one line; only small contents are read for it."""
    if one.erased:
        return "(erased)"
    if one.kind == "record":
        return ": ".join(filter(None, (*one.labels.get("analysis", ()), *one.labels.get("instruction", ()))))
    return in_words(one.kind, read(session, one.number))


def in_words(kind: EntryKind, content: object) -> str:
    """What an entry of this kind says, in one line."""
    match content:
        case Opened():
            return content.title
        case Note():
            return f"{content.author}: {content.text}"
        case Tags():
            return f"{content.author}: {', '.join(content.tags) or 'no tags'}"
        case Judgement():
            return f"{content.author}: {MARKS.get(content.verdict, content.verdict)}{'. ' if content.reason else ''}{content.reason}"
        case Preference():
            return f"{content.author}: {content.said()}{'. ' if content.reason else ''}{content.reason}"
        case Rerun() if kind == "floor":
            return f"{_fields(len(content.differences))} moved by rounding alone"
        case Rerun():
            differ = _fields(len(content.differences))
            return f"{content.outcome}: {f'{differ} differ' if content.differences else 'bit for bit'}"
        case Closed():
            return content.author
        case Erased():
            return f"{content.author}: {content.reason}"
        case Record():
            return content.analysis
        case str():
            return content
    return "nothing that Candor knows"


def _fields(count: int) -> str:
    return f"{count} field{'' if count == 1 else 's'}"
