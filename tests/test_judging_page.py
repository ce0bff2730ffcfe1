"""Blind judging on the page of sessions: hidden until the verdict, then told; and what it comes to on the command line and in reports."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from dashboard import report
from dashboard.widgets import blind_judging
from model_utils import __main__ as cli
from model_utils.contracts.records import Preference
from model_utils.pair import other_side
from model_utils.records import preferences, recording, sessions
from model_utils.records.store import Store
from tests import results
from tests.test_pages import HOSTILE, FakeEngine, app, checked, engine, go, words, written
from tests.test_records_preferences import survey_record
from tests.test_sessions_page import choose, errors, fill, generation_record, kept, open_panel, press

pytestmark = pytest.mark.slow

__all__ = ["app", "engine", "kept"]  # fixtures

TEXTS = (("eins", "one"), ("zwei", "two"), ("drei", "three"), ("same", "same"))
"""(base's answer, tuned's) of each instruction: none of these words is on the page otherwise"""
TELLING = re.compile(r"base|tuned|demo|polite|flawed", re.IGNORECASE)


@pytest.fixture
def session(kept: Store) -> str:
    id = sessions.start(kept, "Judged")
    recording.keep(kept, id, survey_record(*TEXTS))
    return id


def block(page: AppTest) -> str:
    """All that stands in the panel in which is judged: words, labels, keys, HTML."""
    (panel,) = [one for one in page.expander if one.label == "Judge the answers blind"]

    def inside(element: object) -> list[str]:
        children = getattr(element, "children", {})
        mine = [str(getattr(element, "proto", ""))] if element is not panel else []
        return [*mine, *(text for child in children.values() for text in inside(child))]

    return "\n".join(inside(panel))


def answers(page: AppTest) -> list[str]:
    """The texts that stand there as A and B."""
    found = [re.search(r">(\w+)</div>$", body) for body in written(page)]
    known = {text for both in TEXTS for text in both}
    return [one[1] for one in found if one and one[1] in known]


def begin(page: AppTest, name: str = "Ada") -> AppTest:
    go(page, "sessions")
    open_panel(page, blind_judging.PANEL)
    (box,) = [one for one in page.text_input if one.key and one.key.startswith("judge-name")]
    return checked(box.set_value(name).run())


def test_nothing_tells_whose_an_answer_is_before_the_choice(
    app: AppTest, engine: FakeEngine, kept: Store, session: str
):
    begin(app)
    said = block(app)
    assert not TELLING.search(said), TELLING.search(said)
    shown = answers(app)
    assert tuple(shown) in TEXTS or tuple(shown[::-1]) in TEXTS
    one, other = (next(body for body in written(app) if f">{text}<" in body).replace(text, "") for text in shown)
    assert one == other, "the same type for both"
    assert not app.get("plotly_chart") and not app.dataframe, "the records, which tell, are not there"
    assert "0 of 3 judged. 1 is word for word the same." in said and "preferred" not in said
    assert {one.label for one in app.button} >= set(blind_judging.BUTTONS)


def test_a_choice_is_told_kept_and_followed_by_the_next(app: AppTest, engine: FakeEngine, kept: Store, session: str):
    begin(app)
    (shown,) = [one for one in preferences.comparisons(kept, session).found if set(one.answers.sides) == set(answers(app))]  # fmt: skip
    first = answers(app)
    fill(app, Why="it is in my language")
    press(app, "B is better")
    (given,) = preferences.given(kept, session)
    left = preferences.left_side(shown, "Ada")
    assert given.preference == Preference("Ada", left, "right", shown.item, "it is in my language", given.preference.seconds)  # fmt: skip
    assert given.preference.seconds is not None and 0 <= given.preference.seconds < 60
    assert [shown.answers[left], shown.answers[other_side(left)]] == first, "what stood left is kept"
    assert f"You preferred the answer of {given.preference.winner}" in words(app)
    assert f"A was {left}, B was {other_side(left)}" in words(app) and "1 of 3 judged" in block(app)
    assert "is shown when you have judged all" in words(app) and "Equally good" not in {b.label for b in app.button}
    assert "Undecided between" not in words(app).replace("\\\\", ""), "who sees how it stands is led by it"
    press(app, "Next")
    assert set(answers(app)) != set(first) and not TELLING.search(block(app)), "the results are out of sight again"


def test_a_reload_shows_the_same_sides(app: AppTest, engine: FakeEngine, kept: Store, session: str):
    begin(app)
    shown = answers(app)
    again = AppTest.from_file(app._script_path, default_timeout=60).run()
    assert answers(begin(again)) == shown
    shown_to_all = {tuple(answers(begin(again, name))) for name in ("Béla", "Cleo", "Dora", "Emil", "Fay", "Gus")}
    assert len(shown_to_all) > 1, "others have a draw of their own"


def test_all_are_judged_and_it_is_said_what_that_came_to(app: AppTest, engine: FakeEngine, kept: Store, session: str):
    begin(app)
    for label in ("A is better", "Equally good", "Both bad"):
        press(app, label)
        press(app, "Done" if "3 of 3" in block(app) else "Next")
    assert [one.value for one in app.success] == ["You judged all of them."]
    assert "1 equally good, 1 both bad" in words(app)
    app.session_state[blind_judging.PANEL] = False
    checked(app.run())
    assert any("verdict" in frame.value for frame in app.dataframe), "the records are back"
    open_panel(app, blind_judging.RESULTS)
    assert "1 equally good, 1 both bad" in words(app)
    choose(app, 0)
    assert "preference: Ada: item" in words(app).replace("\\", "")


def test_a_name_is_asked_for_first(app: AppTest, engine: FakeEngine, kept: Store, session: str):
    begin(app, "  ")
    assert "Type your name" in words(app) and not answers(app)


def test_a_session_that_was_closed_meanwhile_takes_no_choice(
    app: AppTest, engine: FakeEngine, kept: Store, session: str
):
    begin(app)
    sessions.close(kept, session, "Béla")
    press(app, "A is better")
    assert preferences.given(kept, session) == [] and "This session is closed" in errors(app)
    assert "Judge the answers blind" not in [one.label for one in app.expander], "a closed session offers none"


def test_a_record_that_was_erased_meanwhile_is_not_judged(app: AppTest, engine: FakeEngine, kept: Store, session: str):
    recording.keep(kept, session, generation_record())
    begin(app)
    while not answers(app):  # the order is drawn
        press(app, "Both bad")
        press(app, "Next")
    count = len(preferences.given(kept, session))
    sessions.erase(kept, session, 1, "Béla", "asked to")
    press(app, "A is better")
    assert "entry 1 was erased" in errors(app) and len(preferences.given(kept, session)) == count
    assert not answers(app) and f"{count} of 1 judged" in block(app), "nothing of what was erased is held back"


def test_a_session_without_answers_offers_nothing_to_judge(app: AppTest, engine: FakeEngine, kept: Store):
    other = sessions.start(kept, "Without")
    recording.keep(kept, other, results.record())
    go(app, "sessions")
    assert "Judge the answers blind" not in [one.label for one in app.expander]


def test_hostile_answers_and_reasons_are_text(app: AppTest, engine: FakeEngine, kept: Store):
    session = sessions.start(kept, "Hostile")
    recording.keep(kept, session, survey_record((HOSTILE, ""), system=HOSTILE))
    begin(app, HOSTILE[:40])
    fill(app, Why=HOSTILE)
    press(app, "A is better")
    assert "<script>" not in "\n".join(written(app)) and len(preferences.given(kept, session)) == 1
    for element in (*app.markdown, *app.caption, *app.error):
        assert "![x]" not in element.value and "<script>" not in element.value.replace("\\<", "")
    page = report.html(kept, session)
    assert "<script>alert(1)" not in page and "Judged blind" in page


# Elsewhere


@pytest.fixture
def judged(kept: Store, session: str) -> str:
    for one, choice in zip(preferences.comparisons(kept, session).found, ("left", "tie", "both bad"), strict=True):
        preferences.prefer(kept, session, *one.key, "Ada", choice, "why-not")  # type: ignore[arg-type]
    return session


def test_the_command_line_says_the_same(kept: Store, judged: str, monkeypatch: pytest.MonkeyPatch):
    found = preferences.preferences(kept, judged)
    done = CliRunner().invoke(cli.main, ["sessions", "preferences", "Judged"])
    told = json.loads(done.stdout)
    assert told["said"] == found.said() and len(told["judged"]) == 3 and told["same"] == 1
    assert told["judged"][0]["preference"]["left"] == found.judged[0].preference.left
    assert told["agreement"]["alpha"] is None and told["compared"][0]["models"]["tuned"] == "demo/tuned"
    monkeypatch.setattr("model_utils.command_line.showing.at_terminal", lambda: True)
    done = CliRunner().invoke(cli.main, ["sessions", "preferences", "Judged"])
    assert all(sentence in done.stdout for sentence in found.said()) and "both bad" in done.stdout
    done = CliRunner().invoke(cli.main, ["sessions", "show", "Judged", "2"])
    assert f"Ada: {found.judged[0].preference.said()}; why-not" in done.stdout


def test_reports_say_the_same(kept: Store, judged: str):
    found = preferences.preferences(kept, judged)
    page, card, data = report.html(kept, judged), report.card(kept, judged), json.loads(report.as_json(kept, judged))
    for sentence in found.said():
        assert sentence in page
        assert report.build.markdown(sentence) in card
    assert data["preferences"] == json.loads(json.dumps(found.plain()))
    assert [one["reason"] for one in data["records"][0]["preferences"]] == ["why-not"] * 3
    assert page.count("why-not") == 3


def test_a_report_without_judgements_says_nothing_of_them(kept: Store, session: str):
    assert "Judged blind" not in report.html(kept, session) and "Judged blind" not in report.card(kept, session)
    assert json.loads(report.as_json(kept, session))["preferences"] is None


def test_a_report_of_an_erased_record_tells_none_of_its_answers(kept: Store, judged: str):
    sessions.erase(kept, judged, 1, "Ada", "asked to")
    assert "No answers were judged blind." in report.html(kept, judged)
    for text in (report.as_json(kept, judged), report.card(kept, judged), report.csv(kept, judged)):
        assert not re.search(r"\b(eins|zwei|drei)\b", text)
