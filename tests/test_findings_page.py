"""The Findings page: the suite that is asked, every state of its run, one row a claim, the way to the evidence and to a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.session import concluding
from dashboard.widgets import findings as widget
from dashboard.widgets.text import escaped, plain
from model_utils import codec
from model_utils.catalogue import DEFAULT
from model_utils.contracts.common import ModelSpec
from model_utils.contracts.findings import QUESTIONS, SHAPES
from model_utils.pair import Pair
from model_utils.probes import default_suite, packs
from model_utils.records import sessions
from model_utils.records.store import Store
from tests import results
from tests.test_pages import FakeEngine, FakeJob, app, checked, done, engine, go, kept, words, written
from tests.test_sessions_page import fill, press

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures

WHOLE = results.findings()
PARTS = {"reasoning": results.reasoning, "robustness": results.robustness, "calibration": results.calibration}


def concluded(**fields: Any) -> Callable[[str, Any], FakeJob]:
    """An engine whose default suite gives the small result."""

    def make(kind: str, request: Any) -> FakeJob:
        if kind == "findings":
            return replace(FakeJob(kind, request, result=WHOLE), **fields)
        if kind in PARTS:
            return FakeJob(kind, request, result=PARTS[kind]())
        return FakeJob(kind, request, result=results.load_report()) if kind == "load_report" else done(kind, request)

    return make


@pytest.fixture
def page(app: AppTest, engine: FakeEngine) -> AppTest:
    engine.make = concluded()
    return go(app, "findings")


def press_run(page: AppTest) -> AppTest:
    return checked(page.button(key="run").click().run())


def test_the_page_asks_one_question_and_says_what_to_do(page: AppTest, engine: FakeEngine):
    assert [one.value for one in page.header] == ["What did tuning do to this model?"]
    assert "Press Run" in words(page) and "What this cannot show" in words(page) and not engine.submitted
    for one in QUESTIONS:
        assert f"**{one.asks}**" in words(page), "how to read it explains every claim"


@pytest.mark.parametrize("name", ["general", "healthcare", "finance", "law"])
def test_run_asks_the_suite_of_the_field_in_the_world_of_the_pair(page: AppTest, engine: FakeEngine, name: str):
    page.selectbox(key=concluding.PACK).set_value(name).run()
    page.number_input(key=concluding.SEED).set_value(3)
    press_run(page)
    (asked,) = engine.asked("findings")
    expected = default_suite.request(default_suite.offered("demo")[name], Pair("few-shot", "chat"), seed=3)
    assert asked == expected and engine.submitted[-1].background
    assert name == "general" or "Not medical, financial or legal advice." in words(page).replace("\\", "")
    kept(page).chosen = Pair(ModelSpec(id="one/base"), ModelSpec(id="one/tuned"))
    checked(page.run())
    assert "You changed what is asked" in words(page)
    press_run(page)
    assert engine.asked("findings")[-1].bias.items == default_suite.offered("english")[name].suites["bias"].make(110, 3)
    kept(page).chosen = DEFAULT


def test_every_claim_is_a_row_with_shape_words_and_numbers(page: AppTest):
    press_run(page)
    (table,) = [body for body in written(page) if 'class="findings"' in body]
    assert page.subheader[0].value == plain(widget.headline(WHOLE))
    places = [table.index(escaped(claim.question)) for claim in WHOLE.ranked()]
    assert places == sorted(places) and len(places) == len(QUESTIONS)
    for claim in WHOLE.claims:
        assert SHAPES[claim.verdict] in table and escaped(claim.words) in table
    assert "<script" not in "\n".join(written(page))


def test_on_its_way_the_decided_claims_are_shown_and_stop_keeps_them(page: AppTest, engine: FakeEngine):
    engine.make = concluded(
        state="running", result=None, snapshot=results.findings(whole=False), note="robustness: item 2 of 5"
    )
    press_run(page)
    assert "decided so far" in words(page) and plain("Robustness: item 2 of 5") in page.get("progress")[0].proto.text
    go(page, "compare")
    go(page, "findings")
    assert len(engine.asked("findings")) == 1 and not engine.released
    checked(page.button(key="stop-findings").click().run())
    assert [job.kind for job in engine.released] == ["findings"]
    assert "Stopped before the end" in words(page)
    assert not [one for one in page.button if str(one.key).startswith("evidence-")], "evidence comes with the whole"
    (table,) = [body for body in written(page) if 'class="findings"' in body]
    assert table.count("Not measured.") == len([one for one in QUESTIONS if one.part != "reasoning"])


def test_a_failed_suite_is_one_sentence(page: AppTest, engine: FakeEngine):
    engine.make = concluded(state="failed", result=None, error=f"No: {results.WORST}")
    press_run(page)
    assert [one.value for one in page.error] == [plain(f"No: {results.WORST}")]


def test_the_evidence_stands_on_the_probes_own_page(page: AppTest, engine: FakeEngine):
    press_run(page)
    request = engine.asked("findings")[0]
    checked(page.button(key="evidence-calibration").click().run())
    assert engine.submitted[-1].kind == "calibration" and engine.submitted[-1].request == request.calibration
    assert page.header[0].value == "Can its confidence be trusted?"
    assert plain(results.calibration().findings[0].said()) in words(page) or "What was found" in words(page)


def test_findings_can_be_recorded(page: AppTest, engine: FakeEngine, database: str):
    press_run(page)
    checked(page.button(key="findings-report").click().run())
    (box,) = page.checkbox
    assert box.value and box.label.startswith(plain("findings: "))
    fill(page, Its_title="Audit", Your_name="Ada")
    press(page, "Record this")
    store = Store(database)
    (session,) = store.sessions()
    (one,) = sessions.overview(session, store.listed(session)).records
    record = sessions.record_of(store, session, one.number)
    assert (record.analysis, record.author, record.request) == ("findings", "Ada", engine.asked("findings")[0])
    assert codec.encode(record.result) == codec.encode(WHOLE) and store.verify(session).problem == ""
    assert f"Recorded as entry {one.number}; the report of its session opens with it." in words(page)
    assert "findings-report" not in {button.key for button in page.button}


def test_a_pack_of_ones_own_is_asked_and_a_bad_one_is_one_sentence(page: AppTest, engine: FakeEngine):
    page.selectbox(key=concluding.PACK).set_value(concluding.OWN).run()
    press_run(page)
    assert len(page.error) == 1 and "There is no file of a pack yet" in page.error[0].value and not engine.submitted
    checked(page.file_uploader[0].set_value(("mine.json", b'{"title": "x"}', "application/json")).run())
    assert len(page.error) == 1 and "says" in page.error[0].value
    checked(page.button(key="findings-forget-file").click().run())
    own = json.loads(packs.EXAMPLE)
    own["items"]["nonsense"] = []
    checked(page.file_uploader[0].set_value(("mine.json", json.dumps(own).encode(), "application/json")).run())
    assert len(page.error) == 1 and "nonsense" in page.error[0].value
    checked(page.button(key="findings-forget-file").click().run())
    checked(page.file_uploader[0].set_value(("mine.json", packs.EXAMPLE.encode(), "application/json")).run())
    assert not page.error and plain("Whether a model knows pets.") in words(page)
    press_run(page)
    (asked,) = engine.asked("findings")
    assert [*asked.parts()] == ["calibration"] and asked.calibration.items[0].instruction == "Do cats purr?"


def test_evidence_is_said_to_be_that_and_never_takes_the_place_of_what_runs(page: AppTest, engine: FakeEngine):
    press_run(page)
    checked(page.button(key="evidence-calibration").click().run())
    assert "the evidence of the page of findings" in words(page) and "You changed what is asked" not in words(page)
    engine.make = concluded()
    kept_state = page.session_state["probing-calibration"]
    kept_state.held.job.state, kept_state.held.job.result = "running", None
    go(page, "findings")
    assert page.button(key="evidence-calibration").disabled and not page.button(key="evidence-bias").disabled


def test_what_is_shown_says_of_which_pack_it_is_whatever_was_chosen_since(page: AppTest):
    law, general = (plain(default_suite.offered("demo")[name].says) for name in ("law", "general"))
    page.selectbox(key=concluding.PACK).set_value("law").run()
    press_run(page)
    checked(page.selectbox(key=concluding.PACK).set_value("general").run())
    assert "You changed what is asked" in words(page) and general in words(page)
    (about,) = [one.value for one in page.caption if law in one.value]
    assert about == plain(f"Law, small world: {default_suite.offered('demo')['law'].says}")


def test_a_stopped_suite_goes_on_with_what_was_asked(page: AppTest, engine: FakeEngine):
    engine.make = concluded(state="running", result=None, snapshot=results.findings(whole=False))
    press_run(page)
    checked(page.button(key="stop-findings").click().run())
    page.number_input(key=concluding.SEED).set_value(9).run()
    checked(page.button(key="again-findings").click().run())
    first, again = engine.asked("findings")
    assert again == first and engine.submitted[-1].after is not None


def test_how_much_is_asked_is_counted(page: AppTest):
    assert (
        "110 items for bias" in words(page)
        and "60 plain texts" in words(page)
        and "fewer than 100 items" in words(page)
    )
    own = default_suite.offered("english")["law"]
    said = widget.asked_said(default_suite.request(own, Pair("few-shot", "chat")))
    assert "11 items for bias" in said and "22 items for calibration" in said
