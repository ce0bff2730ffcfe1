"""The density on the Attribution page: nothing runs before it is asked for, over this instruction or over a list, and no sentence claims too much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.session import listing, visits
from dashboard.widgets import density as widget
from dashboard.widgets.text import plain
from model_utils.contracts.common import Message
from model_utils.contracts.density import DIFFERENCE, Density
from model_utils.contracts.survey import SurveyRequest
from model_utils.pair import SIDES, Pair
from tests import results
from tests.test_pages import FakeEngine, FakeJob, app, ask, checked, done, engine, failed, go, words

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures

LISTED = ("What is the capital?", "Why?", "Name two.")


def with_density(kind: str, request: Any) -> FakeJob:
    if kind != "density":
        return done(kind, request)
    return FakeJob(kind, request, result=results.density(*request.instructions))


@pytest.fixture
def page(app: AppTest, engine: FakeEngine) -> AppTest:
    """The page after a question, and an engine that knows densities."""
    engine.make = with_density
    return go(ask(app), "attribution")


def press(page: AppTest) -> AppTest:
    return checked(page.button(key="measure-density").click().run())


def listed(page: AppTest) -> AppTest:
    """As if the list had been run on Many."""
    many = listing.Many(asking=listing.Asking(page.session_state["visit"].pair, SurveyRequest(instructions=LISTED)))
    page.session_state["many"] = many
    return checked(page.run())


def over_list(page: AppTest) -> AppTest:
    return checked(listed(page).toggle(key="density-over-list").set_value(True).run())


def test_nothing_is_measured_before_it_is_asked_for_and_the_cost_is_said(page: AppTest, engine: FakeEngine):
    assert not engine.asked("density")
    assert plain("once for each token of its answer: 3 times") in words(page)
    press(page)
    (asked,) = engine.asked("density")
    whole = results.generation()
    assert asked.answers == whole.answers.map(lambda one: tuple(one.answer.ids.tolist()))
    assert asked.instructions == ("What is the capital?",) and not engine.submitted[-1].background
    assert "On this one instruction" in words(page) and "A slope is no proof" in words(page)
    checked(page.run())
    assert len(engine.asked("density")) == 1 and "On this one instruction" in words(page), "what was measured stays"


def test_another_question_is_measured_only_when_that_is_asked_for(page: AppTest, engine: FakeEngine):
    ask(press(page), "And of another country?")
    assert len(engine.asked("density")) == 1 and page.button(key="measure-density")
    assert [job.kind for job in engine.released].count("density") == 1


def test_answers_that_are_known_later_do_not_ask_again(app: AppTest, engine: FakeEngine):
    """Straight on this page both answers are written for the density; Compare then writes the same ones."""
    engine.make = with_density
    page = press(ask(go(app, "attribution")))
    assert engine.asked("density")[0].answers == Pair(None, None) and plain("at most 128 times") not in words(page)
    go(go(page, "compare"), "attribution")
    assert len(engine.asked("density")) == 1 and "On this one instruction" in words(page)


def test_system_message_and_earlier_turns_stand_before_the_instruction(app: AppTest, engine: FakeEngine):
    engine.make = with_density
    turns = (Message(content="Hello"), Message(role="assistant", content="Hi."))
    app.session_state["visit"] = replace(app.session_state["visit"], history=turns)
    app.session_state["system"] = "Be brief."
    press(go(ask(app, "Why?"), "attribution"))
    (asked,) = engine.asked("density")
    assert (asked.system, asked.history, asked.instructions) == ("Be brief.", turns, ("Why?",))


def test_over_the_list_of_many_it_runs_in_the_background_with_intervals(page: AppTest, engine: FakeEngine):
    assert not [one for one in page.toggle if one.key == "density-over-list"], "there is no list"
    over_list(page)
    assert plain(f"at most {3 * 128:,} times for 3 instructions") in words(page)
    press(page)
    (asked,) = engine.asked("density")
    assert asked.instructions == LISTED and asked.answers == Pair(None, None) and engine.submitted[-1].background
    assert "Over 3 instructions" in words(page)
    assert plain("The answers have 6 tokens in base and 106 in tuned on average") in words(page)
    (table,) = [frame.value for frame in page.dataframe if "instruction" in frame.value]
    assert list(table["instruction"]) == list(LISTED)
    checked(page.selectbox(key="density-words").set_value(2).run())
    checked(page.toggle(key="density-over-list").set_value(False).run())
    assert len(engine.asked("density")) == 1 and page.button(key="measure-density"), "another question, another cost"


def test_stopped_it_can_be_run_again_and_keeps_what_there_was(page: AppTest, engine: FakeEngine):
    def running(kind: str, request: Any) -> FakeJob:
        job = with_density(kind, request)
        partial = results.density(*LISTED[:2], whole=False)
        return replace(job, state="running", result=None, snapshot=partial) if kind == "density" else job

    engine.make = running
    press(over_list(page))
    assert "Over 2 instructions so far" in words(page)
    checked(page.button(key="stop-density").click().run())
    assert "Stopped before the end. This is what there was." in words(page) and "so far" in words(page)
    engine.make = with_density
    checked(page.button(key="again-density").click().run())
    assert len(engine.asked("density")) == 2 and "Over 3 instructions" in words(page)


def test_it_works_where_the_scores_do_not(app: AppTest, engine: FakeEngine):
    """Each side is measured by itself, so that models of different tokenizers can be asked too."""
    engine.make = lambda kind, request: failed(kind, request) if kind == "attribution" else with_density(kind, request)
    page = go(ask(app), "attribution")
    assert len(page.error) == 1
    assert "On this one instruction" in words(press(page))


def test_why_there_is_no_number_is_said(page: AppTest, engine: FakeEngine):
    empty = results.density("What is the capital?", empty=("What is the capital?",))
    engine.make = lambda kind, request: replace(with_density(kind, request), result=empty)
    press(page)
    assert told(page) == [plain("base: Its answer is empty, so nothing can be measured.")]
    assert "no instruction that both models could be measured on" in words(page)


@pytest.mark.parametrize("size", [5, 50])
def test_words_that_a_format_changed_are_said(page: AppTest, engine: FakeEngine, size: int):
    whole = results.density("word " * size)
    item = whole.items[0]
    hidden = replace(item.sides.tuned, words=np.full(size, np.nan, dtype=np.float32))
    shown = replace(whole, items=(replace(item, sides=Pair(item.sides.base, hidden)),))
    engine.make = lambda kind, request: replace(with_density(kind, request), result=shown)
    press(page)
    assert ["in other characters" in one for one in told(page)] == [True]


def told(page: AppTest) -> list[str]:
    """What the page informs of, but for the evidence of the scores above, which has few parts here."""
    return [one.value for one in page.info if "random order" not in one.value]


def changed(mean: float, low: float, high: float) -> Density:
    result = results.density(*LISTED)
    last = replace(result.interval(DIFFERENCE), mean=mean, low=low, high=high)
    return replace(result, intervals=(*result.intervals[:-1], last))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0.2, 0.1, 0.3), "uses the instruction's words more densely than base: +0.20 [+0.10, +0.30]"),
        ((-0.2, -0.3, -0.1), "uses the instruction's words less densely than base: -0.20 [-0.30, -0.10]"),
        ((0.2, -0.1, 0.5), "no difference between tuned and base can be told: +0.20 [-0.10, +0.50]"),
        ((0.0, 0.0, 0.0), "no difference between tuned and base can be told: +0.00 [+0.00, +0.00]"),
    ],
)
def test_the_headline_claims_what_the_interval_does(numbers: tuple[float, float, float], said: str):
    assert said in widget.headline(changed(*numbers))


def test_of_one_instruction_the_headline_names_both_numbers():
    result = results.density("A b?")
    base, tuned = (use.score for use in result.items[0].sides.sides)
    assert f"{tuned:.2f} against {base:.2f}" in widget.headline(result)
    item = result.items[0]
    same = replace(result, items=(replace(item, sides=Pair(item.sides.base, item.sides.base)),))
    assert "as densely as base" in widget.headline(same)


def test_the_lengths_are_those_of_the_answers_behind_the_numbers():
    """Instructions that could not be measured once counted as answers of no token."""
    whole, holed = results.density(*LISTED), results.density(*LISTED, empty=LISTED[:1])
    assert "have 6 tokens in base and 106 in tuned" in widget.lengths(whole)
    kept = [one.sides for one in holed.items if not one.sides.base.reason]
    base, tuned = (np.mean([sides[side].length for sides in kept]) for side in SIDES)
    assert f"have {base:.0f} tokens in base and {tuned:.0f} in tuned" in widget.lengths(holed) and len(kept) == 2


def test_one_number_of_a_list_is_not_so_far():
    only = results.density(*LISTED, empty=LISTED[:2])
    assert only.interval(DIFFERENCE).count == 1 and "Over 1 instruction: tuned - base" in widget.headline(only)


def test_what_a_former_visit_measured_is_not_asked_of_another_pair(page: AppTest, engine: FakeEngine):
    press(page)
    here: visits.Visit = page.session_state["visit"]
    assert here.question is not None
    here.question = visits.Question(here.question.specs.swap(), here.question.request)
    here.held.clear()
    checked(page.run())
    assert len(engine.asked("density")) == 1 and page.button(key="measure-density")
