"""A record as it was made, with no model loaded; what people said of it; two records of a kind beside each other."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import streamlit as st

from dashboard.report import build
from dashboard.report.drawn import OF
from dashboard.report.gathered import UNFIT, UNFIT_SAID
from dashboard.session import inputs, keeping, rerunning
from dashboard.widgets.progress import POLL_SECONDS
from dashboard.widgets.session_view import MARKS, View, in_words, moment, read
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.records import VERDICTS, Record, Rerun
from model_utils.errors import Refused
from model_utils.measures import measures
from model_utils.pair import SIDES
from model_utils.records import comparing, contents, sessions
from model_utils.records.sessions import Kept

log = logging.getLogger(__name__)

OPENING = ("dtype", "device", "kernel", "threads", "instructions")
AGAIN: dict[rerunning.Kind, tuple[str, str]] = {
    "replay": ("Run it again", "On the models that are here now, in a process of its own, with an empty cache."),
    "floor": ("Measure its noise floor", "How far its numbers move by rounding alone: the same request, computed with the processor's older instructions."),
}  # fmt: skip
"""What can be computed of a record once more -> its button and what that does."""


def record_view(view: View, chosen: list[Kept]) -> None:
    """Draws the chosen record, or how two of a kind differ."""
    if len(chosen) == 1:
        _one(view, chosen[0])
    elif len(chosen) == 2 and chosen[0].analysis == chosen[1].analysis:
        _two(view, chosen)
    else:
        st.caption("Two records of the same analysis can be compared; choose one, or two of one kind.")


# --- one --------------------------------------------------------------------------------------------------------------


def _one(view: View, kept: Kept) -> None:
    st.subheader(plain(f"Entry {kept.number}: {kept.analysis.replace('_', ' ')}"), anchor=False)
    if kept.erased:
        st.info("The content of this record was erased. Who did it, when and why stands among the entries below.")
        return
    record = sessions.record_of(keeping.records(), view.session, kept.number)
    said = contents.instruction(record.request)
    if said:
        st.html(f'<div class="written" dir="auto">{escaped(said)}</div>')
    with _fitting():
        st.markdown("\n".join(f"- {plain(one.said)}" for one in measures(record.analysis, record.result)))
        _read(record)
        _draw(record, f"{view.session}-{kept.number}")
    _said(view, kept)
    _made(record)
    if not view.overview.closed:
        _judge(view, kept)
    _again(view, kept)
    _erase(view, kept)


def _read(record: Record) -> None:
    """Exactly what each model read and wrote."""
    texts = [*build.prompts(record.result), *(text for _, text in build.answers(record.result))]
    if texts:
        with st.expander("Exactly what the models read and wrote"):
            for title, text in texts:
                st.markdown(f"**{plain(title)}**")
                st.html(f'<div class="written" dir="auto">{escaped(text)}</div>')


def _draw(record: Record, key: str) -> None:
    """The figures and the table of what is stored."""
    for number, (title, draw) in enumerate(OF[record.analysis](record.result)):
        st.markdown(f"**{plain(title)}**")
        st.plotly_chart(draw(inputs.dark()), theme=None, config={"displaylogo": False}, key=f"stored-{key}-{number}", alt=title)  # fmt: skip
    with st.expander("Every number as a table"):
        st.dataframe(record.result.table(), hide_index=True, key=f"stored-{key}-table")


def _said(view: View, kept: Kept) -> None:
    """Everything that was said of the record, in the order of time; nothing of it was overwritten."""
    about = [one for one in view.listed if one.about == kept.number and not one.erased]
    if not about:
        return
    st.markdown("**What was said of it**")
    for one in about:
        content = read(view.session, one.number)
        st.markdown(plain(f"{moment(one.time)}, {one.kind}: {in_words(one.kind, content)}"))
        if isinstance(content, Rerun):
            _found(content, f"{view.session}-{one.number}")


def _made(record: Record) -> None:
    """Of exactly which weights, asked how, computed with what."""
    with st.expander("Which models, asked how, and what computed it"):
        rows: dict[str, list[str]] = {"model": [record.specs[side].name for side in SIDES]}
        for name in contents.HASHES:
            rows[f"{name} SHA-256"] = [getattr(record.identities[side], name) or "none" for side in SIDES]
        for name in OPENING:
            rows[name] = [str(getattr(record.openings[side], name)) for side in SIDES]
        st.dataframe(pd.DataFrame.from_dict(rows, orient="index", columns=list(SIDES)))
        versions = ", ".join(f"{name} {version}" for name, version in record.environment.versions)
        st.markdown(plain(f"{record.environment.system}; {versions}; {record.seconds:.2f} s."))
        st.markdown(plain(f"Recorded by {record.author or 'nobody who said so'}. Prompts (SHA-256 with a salt): {record.prompt_hash or 'none in the result'}"))  # fmt: skip
        st.code(record.request.model_dump_json(indent=1), language="json")


def _found(found: Rerun, key: str) -> None:
    """What computing it again found."""
    for sentence in found.changed:
        st.caption(plain(sentence))
    if found.differences:
        st.dataframe(found.table(), hide_index=True, key=f"rerun-{key}")


# --- what people add --------------------------------------------------------------------------------------------------


def _judge(view: View, kept: Kept) -> None:
    """A verdict, a note, tags: each is an entry of its own."""
    forms = st.session_state.setdefault("forms", Counter())
    key = f"{view.session}-{kept.number}-{forms[kept.number]}"  # an empty form after something was added from here
    with st.form(f"judge-{key}", border=True):
        left, right = st.columns([2, 1], vertical_alignment="bottom")
        with left:
            verdict = st.segmented_control(
                "Verdict", VERDICTS, default=kept.verdict, format_func=MARKS.__getitem__, key=f"verdict-{key}"
            )
        name = right.text_input("Your name", value=keeping.author(), key=f"name-{key}")
        reason = st.text_input("Why", key=f"reason-{key}", placeholder="what the verdict rests on")
        before = ", ".join(kept.tags)
        tags = st.text_input("Tags", value=before, key=f"tags-{key}", help="With commas between them.")
        note = st.text_area("Note", key=f"note-{key}", height=72)
        if not st.form_submit_button("Add to the session", type="primary"):
            return
    try:
        added = sessions.say(
            keeping.records(),
            view.session,
            kept.number,
            name,
            verdict=verdict if verdict is not None and (verdict != kept.verdict or reason.strip()) else None,
            reason=reason,
            tags=tags.split(",") if tags != before else None,
            note=note,
        )
    except Refused as refused:
        st.error(plain(str(refused)))
        return
    if not added:
        st.caption("Nothing was changed, so that nothing was added.")
        return
    forms[kept.number] += 1
    keeping.keeping().name = name.strip()
    st.rerun()


def _again(view: View, kept: Kept) -> None:
    """Compute it once more, here and now."""
    now = rerunning.running()
    busy = now is not None and not now.over
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, (label, help) in AGAIN.items():
            if kind == "replay" or not view.overview.closed:
                st.button(label, key=kind, help=help, disabled=busy, on_click=rerunning.start, args=(view.session, kept.number, kind))  # fmt: skip
    if now is None or (now.session, now.number) != (view.session, kept.number):
        if busy:
            st.caption("Another record is being computed again; one at a time.")
        return
    now.wait(0.2)
    if not now.over:
        st.fragment(_waiting, run_every=POLL_SECONDS)()
    elif now.problem is not None:
        st.error(plain(now.problem))
    elif now.found is not None and not now.added:
        st.markdown(plain(f"{in_words(now.kind, now.found)}. The session is closed, so that this was not added to it."))
        _found(now.found, "now")


def _waiting() -> None:
    now = rerunning.running()
    if now is None or now.over:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(now.fraction, text=plain(now.note[:1].upper() + now.note[1:]))
        st.button("Stop", key="stop-rerun", on_click=rerunning.stop)


def _erase(view: View, kept: Kept) -> None:
    key = f"{view.session}-{kept.number}"
    with st.expander("Erase this record's content"):
        st.caption(
            "For good: the request, the result, what it is found by, and its replays and noise floors, which may quote it. What people wrote about it stays; erase that too where it must go (on the command line, with the entry of each). That something was here, its time, your name and the reason stay, and the chain still verifies. Files that were exported before are out of reach."
        )
        name = st.text_input("Who erases it", value=keeping.author(), key=f"eraser-{key}")
        reason = st.text_input("Reason for erasing", key=f"erased-{key}")
        if st.button("Erase it", key=f"erase-{key}"):
            try:
                sessions.erase(keeping.records(), view.session, kept.number, name, reason)
            except Refused as refused:
                st.error(plain(str(refused)))
                return
            st.rerun()


# --- two --------------------------------------------------------------------------------------------------------------


def _two(view: View, chosen: list[Kept]) -> None:
    """Two records of one analysis: what was asked otherwise, and how far each number is apart."""
    first, second = chosen
    st.subheader(plain(f"Entries {first.number} and {second.number}: {first.analysis.replace('_', ' ')}"), anchor=False)
    if first.erased or second.erased:
        st.info("The content of one of them was erased.")
        return
    records = [sessions.record_of(keeping.records(), view.session, one.number) for one in chosen]
    with _fitting():
        st.dataframe(beside(records, chosen), hide_index=True)
        _differences(records)
        for number, (record, column) in enumerate(zip(records, st.columns(2, gap="medium"), strict=True)):
            with column:
                st.markdown(f"**Entry {chosen[number].number}**")
                _draw(record, f"{view.session}-{chosen[number].number}")


@contextmanager
def _fitting() -> Iterator[None]:
    """What was drawn stays, and where the stored arrays do not fit together the rest is one sentence."""
    try:
        yield
    except UNFIT:
        log.warning("a record could not be drawn", exc_info=True)
        st.error(UNFIT_SAID)


def _differences(records: list[Record]) -> None:
    """How far two results are apart, field by field."""
    found = comparing.compare(records[0].result, records[1].result)
    if not found:
        st.success("Both results are the same, bit for bit.")
        return
    st.markdown("**Fields that differ**")
    names = ("field", "largest difference", "largest value in the first", "where they cannot be subtracted")
    rows = [(one.field, one.largest, one.size, one.unlike) for one in found]
    st.dataframe(pd.DataFrame(rows, columns=list(names)), hide_index=True)


def beside(records: list[Record], chosen: list[Kept]) -> pd.DataFrame:
    """A row for what was asked and for each headline number, a column for each of the two, and the difference (second - first)."""
    first, second = records
    columns = [f"entry {one.number}" for one in chosen]
    rows: list[dict[str, object]] = []
    asked = [{**one.request.model_dump(mode="json"), "base": one.specs.base.name, "tuned": one.specs.tuned.name} for one in records]  # fmt: skip
    for name in dict.fromkeys([*asked[0], *asked[1]]):
        if asked[0].get(name) != asked[1].get(name):
            said: dict[str, object] = {c: str(one.get(name)) for c, one in zip(columns, asked, strict=True)}
            rows.append({"what": name, **said})
    computed = [_computed(one) for one in records]
    for name in dict.fromkeys([*computed[0], *computed[1]]):
        if computed[0].get(name) != computed[1].get(name):
            said = {c: one.get(name, "") for c, one in zip(columns, computed, strict=True)}
            rows.append({"what": name, **said})
    numbers = [{one.name: one for one in measures(record.analysis, record.result)} for record in (first, second)]
    for name in dict.fromkeys([*numbers[0], *numbers[1]]):
        values = [one[name].value if name in one else None for one in numbers]
        row: dict[str, object] = {
            "what": name,
            **{c: "" if v is None else f"{v:.4g}" for c, v in zip(columns, values, strict=True)},
        }
        if None not in values:
            row["difference"] = f"{values[1] - values[0]:+.4g}"  # type: ignore[operator]
        rows.append(row)
    return pd.DataFrame(rows, columns=["what", *columns, "difference"]).fillna("")


def _computed(record: Record) -> dict[str, str]:
    """Of which weights, and with what: property -> value."""
    found = dict(record.environment.versions) | {"system": record.environment.system}
    for side in SIDES:
        for name in contents.HASHES:
            found[f"{name} of {side}"] = (getattr(record.identities[side], name) or "none")[:16]
        for name in OPENING:
            found[f"{name} of {side}"] = str(getattr(record.openings[side], name))
    return found
