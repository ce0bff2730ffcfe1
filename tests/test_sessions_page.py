"""Recording from a page, and the page of sessions: what is kept is drawn from the store alone, and nothing is overwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import report
from dashboard.report.gathered import UNFIT_SAID
from dashboard.widgets import record_button, record_view, session_list, session_view
from model_utils import catalogue
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import Request, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.records import (
    VERDICTS,
    Closed,
    Difference,
    Erased,
    Judgement,
    Note,
    Opened,
    Preference,
    Record,
    Tags,
)
from model_utils.pair import Pair
from model_utils.records import bundle, recording, sessions
from model_utils.records.store import Store
from tests import results
from tests.test_pages import HOSTILE, FakeEngine, FakeJob, app, checked, done, engine, go, words
from tests.test_pages import ask as ask_page

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    url = f"sqlite:///{tmp_path / 'records.db'}"
    monkeypatch.setenv("CANDOR_DATABASE_URL", url)
    return Store(url)


@pytest.fixture
def known(engine: FakeEngine) -> FakeEngine:
    """An engine that also knows which weights the models have."""
    engine.make = lambda kind, request: (
        FakeJob(kind, request, result=results.load_report()) if kind == "load_report" else done(kind, request)
    )
    return engine


def generation_record(text: str = "What is the capital?", seconds: float = 0.5) -> Record:
    request = GenerationRequest(messages=ask(text))
    return recording.make(
        "generation", catalogue.DEFAULT, request, results.generation(), results.load_report(), seconds
    )


def attribution_record(quantity: str = "logit", times: float = 1.0) -> Record:
    request = AttributionRequest(messages=ask("Why?"), quantity=quantity, targets=(0,))
    result = results.attribution(request.targets, request.quantity)
    result = replace(result, scores=result.scores.map(lambda rows: rows**2 * times))
    return recording.make("attribution", catalogue.DEFAULT, request, result, results.load_report(), 1.0)


def open_panel(page: AppTest, key: str) -> AppTest:
    page.session_state[key] = True
    return checked(page.run())


def choose(page: AppTest, *rows: int) -> AppTest:
    """A click on rows of the records; AppTest knows tables that are looked at only."""
    (frame,) = [frame for frame in page.dataframe if "verdict" in frame.value]
    states = page._tree.get_widget_states()
    states.widgets.add(
        id=frame.proto.id, string_value=json.dumps({"selection": {"rows": rows, "columns": [], "cells": []}})
    )
    return checked(page._run(states))


def fill(page: AppTest, **values: str) -> None:
    for label, value in values.items():
        kind = page.text_area if label == "Note" else page.text_input
        (box,) = [one for one in kind if one.label == label.replace("_", " ")]
        box.set_value(value)


def errors(page: AppTest) -> str:
    return "\n".join(one.value.replace("\\", "") for one in page.error)


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [one for one in page.button if one.label == label]
    return checked(button.click().run())


# --- Record ----------------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_record_before_anything_was_asked(app: AppTest, known: FakeEngine, kept: Store):
    open_panel(app, record_button.PANEL)
    assert "So far there is nothing" in words(app)
    assert kept.sessions() == []


def test_record_keeps_what_the_page_shows_and_of_which_weights(app: AppTest, known: FakeEngine, kept: Store):
    ask_page(app)
    open_panel(app, record_button.PANEL)
    fill(app, Its_title="Capitals", Your_name="Ada", Note="as expected")
    press(app, "Record these")
    (session,) = kept.sessions()
    whole = sessions.overview(session, kept.listed(session))
    assert whole.title == "Capitals" and [one.analysis for one in whole.records] == ["generation", "shift"]
    assert [one.notes for one in whole.records] == [1, 1]
    for one, job in zip(whole.records, known.submitted[:2], strict=True):
        record = sessions.record_of(kept, session, one.number)
        assert record.analysis == job.kind and record.request == job.request and record.specs == job.specs
        assert record.seconds == job.seconds and record.identities.map(vars) == results.load_report().identities.map(vars)  # fmt: skip
        assert record.author == "Ada"
    assert kept.content(session, 0) == Opened("Capitals", people=("Ada",))
    assert [one.value for one in app.toast] == ["Recorded as entries 1 and 3\\."]
    open_panel(app, record_button.PANEL)
    assert "Recorded as entries 1 and 3" in "\n".join(one.value for one in app.success)
    assert [box.value for box in app.checkbox if "recorded as entry" in box.label] == [False, False]
    assert kept.verify(session).problem == ""


@pytest.mark.parametrize(
    ("title", "name", "sentence"),
    [("", "Ada", "Type a title"), ("Capitals", "  ", "Type your name"), ("x" * 300, "Ada", "at most 200")],
)
def test_what_is_missing_is_said_and_nothing_is_written(
    app: AppTest,
    known: FakeEngine,
    kept: Store,
    title: str,
    name: str,
    sentence: str,
):
    ask_page(app)
    open_panel(app, record_button.PANEL)
    fill(app, Its_title=title, Your_name=name)
    press(app, "Record these")
    assert any(sentence in one.value.replace("\\", "") for one in app.error)
    assert kept.sessions() == []


def test_models_whose_files_changed_are_not_recorded(app: AppTest, known: FakeEngine, kept: Store):
    make = known.make

    def changed(kind: str, request: Request) -> FakeJob:
        job = make(kind, request)
        job.signatures = ("new", "new") if kind == "load_report" else ("old", "old")
        return job

    known.make = changed
    ask_page(app)
    open_panel(app, record_button.PANEL)
    fill(app, Its_title="Capitals", Your_name="Ada")
    press(app, "Record these")
    assert any("files changed since" in one.value for one in app.error) and kept.sessions() == []


def test_weights_that_cannot_be_found_out_are_said(app: AppTest, known: FakeEngine, kept: Store):
    make = known.make
    known.make = lambda kind, request: (
        FakeJob(kind, request, state="failed", error="No such folder.")
        if kind == "load_report"
        else make(kind, request)
    )
    ask_page(app)
    open_panel(app, record_button.PANEL)
    fill(app, Its_title="Capitals", Your_name="Ada")
    press(app, "Record these")
    assert any("No such folder" in one.value.replace("\\", "") for one in app.error) and kept.sessions() == []


def test_a_database_that_cannot_be_opened_is_one_sentence(
    app: AppTest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "broken.db").write_bytes(b"this is no database, however long it is" * 100)
    monkeypatch.setenv("CANDOR_DATABASE_URL", f"sqlite:///{tmp_path / 'broken.db'}")
    go(app, "sessions")
    assert len(app.error) == 1 and "cannot be opened" in app.error[0].value


# --- Sessions --------------------------------------------------------------------------------------------------------


def test_a_page_without_sessions_says_what_to_do(app: AppTest):
    go(app, "sessions")
    assert app.header[0].value.endswith("?") and "Nothing is recorded yet" in words(app)


@pytest.mark.parametrize("kind", sorted(results.every()))
def test_a_record_is_drawn_from_the_store_alone(app: AppTest, engine: FakeEngine, kept: Store, kind: str):
    session = sessions.start(kept, "All of them")
    request, result = results.every()[kind]
    recording.keep(kept, session, recording.make(kind, catalogue.DEFAULT, request, result, results.load_report(), 1.0))
    asked = len(engine.submitted)
    go(app, "sessions")
    choose(app, 0)
    assert f"Entry 1: {kind.replace('_', ' ')}" in [one.value.replace("\\", "") for one in app.subheader]
    assert app.get("plotly_chart"), "its figures are drawn"
    assert len(engine.submitted) == asked, "no model was asked"


def test_numbers_that_do_not_fit_together_are_one_sentence(app: AppTest, engine: FakeEngine, kept: Store):
    """As a file that somebody else wrote may hold them; everything about the record but its picture is there."""
    record = attribution_record()
    broken = replace(record.result, scores=record.result.scores.map(lambda rows: rows[:, :1]))
    session = sessions.start(kept, "Broken")
    recording.keep(kept, session, replace(record, result=broken))
    recording.keep(kept, session, attribution_record())
    go(app, "sessions")
    choose(app, 1)
    assert [one.value for one in app.error] == [UNFIT_SAID] and "Your name" in [one.label for one in app.text_input]
    choose(app, 0, 1)
    assert not app.exception
    page = report.html(kept, session)
    assert UNFIT_SAID in page and "Broken" in page
    assert UNFIT_SAID in report.csv(kept, session)


def test_hostile_words_are_shown_as_they_are(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, HOSTILE[:150], HOSTILE, people=[HOSTILE])
    recording.keep(kept, session, generation_record(HOSTILE))
    sessions.note(kept, session, 1, HOSTILE, HOSTILE)
    sessions.judge(kept, session, 1, "Ada", "fail", HOSTILE)
    go(app, "sessions")
    choose(app, 0)
    assert "<script>" not in "\n".join(element.proto.body for element in app.get("html"))
    for element in (*app.markdown, *app.subheader, *app.caption):
        assert "![x]" not in element.value and "<script>" not in element.value.replace("\\<", "")


def test_a_verdict_a_note_and_tags_are_entries_and_the_former_stay(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record())
    go(app, "sessions")
    choose(app, 0)
    (verdict,) = [one for one in app.get("button_group") if one.label == "Verdict"]
    verdict.set_value("fail")
    fill(app, Your_name="Ada", Why="wrong city", Tags="facts, capitals", Note="see the map")
    press(app, "Add to the session")
    assert [one.kind for one in kept.listed(session)] == ["opened", "record", "verdict", "tags", "note"]
    assert kept.content(session, 3) == Tags("Ada", ("facts", "capitals"))
    assert kept.content(session, 4) == Note("Ada", "see the map")
    assert kept.content(session, 2) == Judgement("Ada", "fail", "wrong city")
    choose(app, 0)
    press(app, "Add to the session")
    assert len(kept.listed(session)) == 5, "nothing changed, nothing added"
    assert "nothing was added" in words(app)


def test_a_name_is_asked_for_before_anything_is_said(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record())
    go(app, "sessions")
    choose(app, 0)
    fill(app, Note="see the map")
    press(app, "Add to the session")
    assert "name is empty" in errors(app) and len(kept.listed(session)) == 2


def test_an_erased_record_is_said_and_nothing_of_it_is_shown(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record("a secret question"))
    kept.erase(session, [1], Erased("Ada", "asked to"))
    go(app, "sessions")
    choose(app, 0)
    open_panel(app, "timeline")
    assert "was erased" in words(app) and "secret" not in words(app)
    assert all("secret" not in frame.value.to_string() for frame in app.dataframe)
    assert any("Ada: asked to" in frame.value.to_string() for frame in app.dataframe)


def test_erasing_needs_a_name_and_a_reason(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record("a secret question"))
    go(app, "sessions")
    choose(app, 0)
    press(app, "Erase it")
    assert "name is empty" in errors(app) and len(kept.listed(session)) == 2


def test_two_records_of_a_kind_are_compared_with_the_sign_of_their_order(
    app: AppTest,
    engine: FakeEngine,
    kept: Store,
):
    session = sessions.start(kept, "Capitals")
    for quantity in ("logit", "probability"):
        recording.keep(kept, session, attribution_record(quantity))
    recording.keep(kept, session, generation_record())
    go(app, "sessions")
    choose(app, 1, 2)
    assert any("Entries 1 and 2" in one.value for one in app.subheader)
    assert any("quantity" in frame.value.to_string() for frame in app.dataframe)
    choose(app, 0, 1)
    assert "choose one, or two of one kind" in words(app)


def test_what_is_beside_is_second_minus_first():
    one, other = attribution_record(), attribution_record()
    first = other.result.scores.tuned.copy()
    first[0, int(np.nanargmax(first[0]))] *= 3
    other = replace(other, result=replace(other.result, scores=Pair(other.result.scores.base, first)))
    entries = [sessions.Kept(n, "2026-11-26T00:00:00Z", "attribution", "b", "t", "", False) for n in (1, 2)]
    there, back = record_view.beside([one, other], entries), record_view.beside([other, one], entries)
    moved = [float(each) for each in there["difference"] if each]
    assert any(moved) and moved == [-float(each) for each in back["difference"] if each]
    values = {row["what"]: row for row in there.to_dict("records")}
    name = next(name for name, row in values.items() if row["difference"] and float(row["difference"]))
    row = values[name]
    assert float(row["difference"]) == pytest.approx(float(row["entry 2"]) - float(row["entry 1"]), rel=1e-2)


def test_other_weights_and_versions_stand_beside_each_other():
    one = attribution_record()
    identities = Pair(replace(one.identities.base, weights="e" * 64), one.identities.tuned)
    entries = [sessions.Kept(n, "2026-11-26T00:00:00Z", "attribution", "b", "t", "", False) for n in (1, 2)]
    said = record_view.beside([one, replace(one, identities=identities)], entries)
    (row,) = [row for row in said.to_dict("records") if row["what"] == "weights of base"]
    assert row["entry 2"] == "e" * 16 != row["entry 1"]


def test_the_chain_is_verified_against_a_head_that_was_kept(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    head = kept.head(session).hash
    sessions.note(kept, session, None, "Ada", "later")
    go(app, "sessions")
    open_panel(app, "verify")
    assert "All 2 entries follow one another" in app.success[0].value.replace("\\", "")
    app.text_input(key="known-head").set_value(head.upper()).run()
    assert "The head that you gave is among them" in words(checked(app))
    app.text_input(key="known-head").set_value("0" * 63 + "1").run()
    assert "is not among the 2 entries" in app.error[0].value
    for nonsense in ("0" * 64, "abc", "g" * 64):
        app.text_input(key="known-head").set_value(nonsense).run()
        assert "is none" in app.error[0].value and not app.success


def test_a_closed_session_offers_nothing_to_add(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record())
    go(app, "sessions")
    open_panel(app, "close-session")
    fill(app, Your_name="Ada")
    press(app, "Close it")
    assert kept.content(session, 2) == Closed("Ada")
    choose(app, 0)
    labels = {one.label for one in app.button}
    assert "Run it again" in labels and not labels & {"Add to the session", "Measure its noise floor", "Close it"}


def test_the_filters_offer_what_there_is_and_keep_what_fits(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record())
    recording.keep(kept, session, attribution_record())
    sessions.judge(kept, session, 2, "Ada", "concern")
    go(app, "sessions")
    (verdicts,) = [one for one in app.multiselect if one.label == "Verdict"]
    verdicts.set_value(["concern"])
    checked(app.run())
    (frame,) = [frame for frame in app.dataframe if "verdict" in frame.value]
    assert list(frame.value["entry"]) == [2] and "1 of 2 records" in words(app)


def test_a_session_that_was_exported_is_imported_elsewhere(kept: Store, tmp_path: Path):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record())
    file = tmp_path / "session.jsonl"
    file.write_bytes(session_view.exported(session))
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    with file.open("rb") as stream:
        found = bundle.read(other, stream)
    assert not found.already and found.head == kept.head(session).hash == other.head(session).hash


def test_every_kind_of_entry_has_its_line():
    moved = Difference("scores.base", 1e-6, 2.0)
    said = {
        "note": Note("Ada", "x"),
        "tags": Tags("Ada", ("a",)),
        "verdict": Judgement("Ada", "fail", "because"),
        "preference": Preference("Ada", "base", "left", 3, "shorter"),
        "opened": Opened("T"),
        "closed": Closed("Ada"),
        "erased": Erased("Ada", "asked to"),
    }
    lines = [session_view.in_words(kind, content) for kind, content in said.items()]  # type: ignore[arg-type]
    lines += [
        session_view.in_words("floor", results.rerun(moved)),
        session_view.in_words("replay", results.rerun(moved)),
    ]
    lines += [session_view.in_words("replay", results.rerun()), session_view.in_words("replay", results.rerun(moved, floor=(moved,)))]  # fmt: skip
    assert len(set(lines)) == len(lines) and all("nothing that Candor knows" not in line for line in lines)
    assert set(session_view.MARKS) == set(VERDICTS)


def test_what_was_wished_is_written_on_whichever_page_the_visitor_is_by_then(
    app: AppTest, known: FakeEngine, kept: Store
):
    """The weights of large models are hashed for a while; the panel may be closed long before."""
    make, slow = known.make, []

    def later(kind: str, request: Request) -> FakeJob:
        job = make(kind, request)
        if kind == "load_report":
            slow.append(job)
            job.state, job.result = "running", None
        return job

    known.make = later
    ask_page(app)
    open_panel(app, record_button.PANEL)
    fill(app, Its_title="Capitals", Your_name="Ada", Note="as expected")
    press(app, "Record these")
    assert kept.sessions() == [] and any(one.label == "Stop" for one in app.button)
    go(app, "sessions")
    assert kept.sessions() == []
    for job in slow:
        job.state, job.result = "done", results.load_report()
    checked(app.run())
    (session,) = kept.sessions()
    assert len(sessions.overview(session, kept.listed(session)).records) == 2
    assert [one.value for one in app.toast] == ["Recorded as entries 1 and 3\\."]


def test_nothing_is_said_in_part_where_a_part_cannot_be_said(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record())
    go(app, "sessions")
    choose(app, 0)
    fill(app, Your_name="Ada", Why="wrong city", Tags="x" * 201, Note="see the map")
    press(app, "Add to the session")
    assert any("at most 200" in one.value for one in app.error) and len(kept.listed(session)) == 2
    assert [one.value for one in app.text_area if one.label == "Note"] == ["see the map"], "what was typed is there"


def test_an_entry_that_is_not_as_it_was_written_hides_nothing_else(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Capitals")
    recording.keep(kept, session, generation_record())
    sessions.note(kept, session, 1, "Ada", "see the map")
    with kept.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE entry SET content = CAST(content || x'00' AS BLOB) WHERE number IN (0, 2)")
    go(app, "sessions")
    choose(app, 0)
    assert "not as it was written" in errors(app)
    assert "Add to the session" in [one.label for one in app.button]
    open_panel(app, "verify")
    assert "content of entry 0" in errors(app)


def test_a_session_is_begun_here_and_one_without_a_title_is_not(app: AppTest, engine: FakeEngine, kept: Store):
    go(app, "sessions")
    open_panel(app, session_list.BEGIN)
    press(app, "Begin")
    assert "title is empty" in errors(app) and kept.sessions() == []
    fill(app, Title="Loans", Field="finance", People="Ada, Béla,")
    press(app, "Begin")
    (session,) = kept.sessions()
    assert kept.content(session, 0) == Opened("Loans", field="finance", people=("Ada", "Béla"))
    assert "This session has no records yet" in words(app) and not app.error
