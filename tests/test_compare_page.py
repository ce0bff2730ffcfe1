"""The Compare page: the shift of both answers, one pin for all of it, and every state in which a part of it is missing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import link, spreadsheets
from dashboard.figures import shift as drawn
from dashboard.widgets import movement
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.common import Request
from model_utils.contracts.shift import MEASURES, Floor, Shift
from model_utils.pair import Pair
from tests import results
from tests.test_pages import HOSTILE, FakeEngine, FakeJob, app, ask, checked, done, engine, go, kept, words, written

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures

DELIMITED = "Ended at an empty line, or where its format would begin the next instruction."
WORDS = ("One", " two", " three", " four", "<|end|>")


def shown(shift: Any, generation: Any = None) -> Callable[[str, Any], FakeJob]:
    """An engine that gives this shift, and the generation that fits it."""
    made = {"shift": shift, "generation": generation or results.generation()}
    return lambda kind, request: FakeJob(kind, request, result=made[kind]) if kind in made else done(kind, request)


def unlike(result: Shift) -> Shift:
    """As if the two models parted text into different tokens."""
    return replace(result, answers=result.answers.map(results.unlike))


def table(app: AppTest) -> Any:
    (found,) = [frame.value for frame in app.dataframe if "log-ratio" in frame.value]
    return found


def figures(app: AppTest) -> list[str]:
    """The specifications of the figures, as JSON."""
    return [element.proto.spec for element in app.get("plotly_chart")]


def reference(app: AppTest) -> Any:
    """The first of the two pickers of formats."""
    return next(one for one in app.selectbox if one.label == "Reference format")


def select(app: AppTest, row: int) -> AppTest:
    """A click on a row of the table; AppTest knows tables that are looked at only, so this is what it sends for other widgets."""
    (frame,) = [frame for frame in app.dataframe if "log-ratio" in frame.value]
    states = app._tree.get_widget_states()
    chosen = {"selection": {"rows": [row], "columns": [], "cells": []}}
    states.widgets.add(id=frame.proto.id, string_value=json.dumps(chosen))
    return checked(app._run(states))


def pin(app: AppTest, side: Any, token: int) -> AppTest:
    """As a click on a token of that answer does."""
    kept(app).side, kept(app).token = side, token
    return checked(app.run())


# What is shown


def test_the_headline_is_that_of_the_result_with_the_mirror_and_the_floor(app: AppTest):
    ask(app)
    result = results.shift()
    headings = [element.value for element in app.subheader]
    assert headings[0] == plain(movement.headline(result.answers.tuned))
    said = words(app)
    assert plain(movement.headline(result.answers.base)) in said
    assert plain(movement.floors_said(result.answers)) in said
    assert plain(movement.shares_said(result.answers.tuned)) in said


def test_every_token_is_in_the_table_most_shifted_first(app: AppTest, engine: FakeEngine):
    result = results.shift(tuned=WORDS)
    engine.make = shown(result, results.generation(tuned=WORDS))
    ask(app)
    assert list(table(app)["place"]) == movement.order(result.answers.tuned).tolist()


def test_the_answers_are_forced_by_their_ids_and_asked_once(app: AppTest, engine: FakeEngine):
    ask(app)
    go(app, "attention")
    go(app, "compare")
    (request,) = engine.asked("shift")
    answers = results.generation().answers
    assert request.answers == answers.map(lambda one: tuple(one.answer.ids.tolist()))
    assert request.split is None
    assert (request.messages, request.formats) == (engine.asked("generation")[0].messages, Pair("few-shot", "chat"))


def test_what_is_odd_about_a_prompt_is_said_beside_the_answer_before_any_panel_is_opened(
    app: AppTest, engine: FakeEngine
):
    said = "The prompt begins with <s> twice, which changes what the model computes."
    answers = results.generation().answers
    tuned = replace(answers.tuned, prompt=replace(answers.tuned.prompt, notes=(said,)))
    base = replace(answers.base, prompt=replace(answers.base.prompt, notes=()))
    engine.make = shown(results.shift(), replace(results.generation(), samples=(Pair(base, tuned),)))
    ask(app)
    assert not app.get("code"), "the panel is closed"
    assert [one.value for one in app.warning] == [plain(said)]


def test_the_file_holds_every_number_of_the_page(app: AppTest, engine: FakeEngine):
    result = results.shift(tuned=WORDS)
    engine.make = shown(result, results.generation(tuned=WORDS))
    ask(app)
    (button,) = app.get("download_button")
    assert movement.FILE_HELP in button.proto.help
    table = pd.read_csv(io.BytesIO(spreadsheets.csv_file(result.table())))
    measures = {column for measure in drawn.MEASURES.values() for column in measure.columns}
    assert measures | {"weights", "format", "interaction", "beyond", "wording_floor", "numerical_floor"} <= set(table)
    tuned = table[table["answer"] == "tuned"]
    assert tuned["token"].tolist() == list(WORDS) and tuned["beyond"].tolist() == result.answers.tuned.beyond.tolist()
    np.testing.assert_allclose(tuned["weights"] + tuned["format"], tuned["log_ratio"], atol=1e-12)


def test_a_model_against_itself_has_not_moved(app: AppTest, engine: FakeEngine):
    engine.make = shown(results.same_twice(), results.generation(base=results.ANSWER))
    ask(app)
    assert words(app).count("0 of 2 tokens") == 2
    assert words(app).lower().count(plain("unshifted 100%, marginal 0%, shifted 0%")) == 2
    assert "Both answers are the same" in words(app)


def test_what_models_write_is_literal_everywhere(app: AppTest, engine: FakeEngine):
    hostile = results.answer((HOSTILE,), text=HOSTILE)
    answers = replace(results.generation().answers, tuned=hostile)
    engine.make = shown(results.shift(tuned=(HOSTILE,)), replace(results.generation(), samples=(answers, answers)))
    ask(app)
    pin(app, "tuned", 0)
    texts = [element.value for kind in ("markdown", "caption", "subheader", "info") for element in app.get(kind)]
    assert any("Pinned" in text for text in texts)
    assert not [text for text in texts if "![x](" in text or "<script>" in text or "**b**" in text]
    assert sum(escaped(HOSTILE) in body for body in written(app)) == 3, "the answer, the second sample, the diff"
    assert not [body for body in written(app) if "<script>" in body]


# One pin


def test_a_pin_is_in_every_part_of_the_page_and_on_the_others(app: AppTest, engine: FakeEngine):
    engine.make = shown(results.shift(tuned=WORDS), results.generation(tuned=WORDS))
    ask(app)
    assert not [spec for spec in figures(app) if '"pinned"' in spec]
    place = int(movement.order(results.forced("tuned", WORDS))[1])
    pin(app, "tuned", place)
    assert app.session_state["most-shifted-tuned"]["selection"]["rows"] == [1], "the row of the table"
    assert [spec.count('"pinned"') for spec in figures(app)] == [1, 1], "in the curve and in the parts"
    assert plain(f"Pinned: {WORDS[place]!r} at {place}") in words(app)
    go(app, "attribution")
    assert engine.asked("attribution")[-1].targets == (place,)


def test_a_pin_in_the_base_answer_shows_the_base_answer(app: AppTest, engine: FakeEngine):
    engine.make = shown(results.shift(base=WORDS), results.generation(base=WORDS))
    ask(app)
    assert len(table(app)) == len(results.ANSWER)
    pin(app, "base", 1)
    assert len(table(app)) == len(WORDS)
    assert "Pinned" in words(app)
    assert "rank in tuned" in table(app)


@pytest.mark.parametrize("row", range(len(WORDS)))
def test_a_row_pins_the_token_that_stands_in_it(app: AppTest, engine: FakeEngine, row: int):
    engine.make = shown(results.shift(tuned=WORDS), results.generation(tuned=WORDS))
    ask(app)
    select(app, row)
    token = int(table(app)["place"].iloc[row])
    assert (kept(app).side, kept(app).token) == ("tuned", token)
    assert plain(f"Pinned: {WORDS[token]!r} at {token}") in words(app)


def test_another_answer_has_no_pin_of_the_former(app: AppTest, engine: FakeEngine):
    ask(app)
    pin(app, "tuned", 0)
    app.session_state["whose-tuned"] = "base"
    checked(app.run())
    assert (kept(app).side, kept(app).token) == ("base", None)
    assert "Pinned" not in words(app)


@pytest.mark.parametrize("measure", [*MEASURES, "certainty"])
def test_every_measure_is_drawn_and_kept_in_the_address(app: AppTest, engine: FakeEngine, measure: str):
    if measure == "per_character":
        engine.make = shown(unlike(results.shift()))
    ask(app)
    app.session_state["measure"] = measure
    checked(app.run())
    checked(app.run())
    assert link.decode(app.query_params["ask"], link.Link).view.measure == measure
    assert len(figures(app)) == 2
    go(app, "attention")
    go(app, "compare")
    assert app.session_state["measure"] == measure


def test_a_measure_that_a_pair_lacks_gives_way_to_the_log_ratio(app: AppTest, engine: FakeEngine):
    ask(app)
    app.session_state["measure"] = "rank"
    checked(app.run())
    engine.make = shown(unlike(results.shift()))
    ask(app, "Another question?")
    checked(app.run())
    assert app.session_state["measure"] == "log_ratio"
    assert link.decode(app.query_params["ask"], link.Link).view.measure == "log_ratio"


# Format or weights


def test_two_other_formats_are_another_request(app: AppTest, engine: FakeEngine):
    ask(app)
    picker = reference(app)
    assert picker.value == "few-shot"
    checked(picker.set_value("chat").run())
    assert [request.split for request in engine.asked("shift")] == [None, ("chat", "chat")]
    assert len(engine.asked("generation")) == 1
    picker = reference(app)
    checked(picker.set_value("few-shot").run())
    assert engine.asked("shift")[-1].split is None, "the formats of both sides are what is asked first"


def test_formats_that_cannot_be_asked_leave_the_page_whole_and_the_pickers_there(app: AppTest, engine: FakeEngine):
    """A link can name a format that the models do not have: everything else was measured and is shown."""
    why = "Format or weights was not measured: there is no *chat* template."
    refused = FakeJob("shift", Request(), result=results.without_split(results.shift(), why))
    usual = shown(results.shift())
    engine.make = lambda kind, request: (
        refused if kind == "shift" and request.split is not None else usual(kind, request)
    )
    kept(app).split = ("chat", "chat")
    ask(app)
    assert plain(why) in [one.value for one in app.warning]
    assert not app.error and "nats \\= weights" not in words(app)
    assert "changed more than a reworded prompt" in words(app) and len(figures(app)) == 1
    assert len(table(app)) == len(results.ANSWER)
    checked(reference(app).set_value("few-shot").run())
    assert engine.asked("shift")[-1].split is None and "nats \\= weights" in words(app)
    assert plain(why) not in [one.value for one in app.warning]


def test_every_note_of_a_result_is_shown_once_and_that_of_a_cut_answer_comes_first(app: AppTest, engine: FakeEngine):
    cut, why = "Only the beginning of the *tuned* answer can be read.", "Format or weights was not measured: too long."
    result = results.without_split(results.shift(), why)
    tuned = replace(result.answers.tuned, left_out=cut)
    engine.make = shown(replace(result, answers=replace(result.answers, tuned=tuned), notes=(cut, why)))
    ask(app)
    assert [one.value for one in app.warning if "prompt" not in one.value] == [plain(cut), plain(why)]


def test_the_sum_of_the_parts_is_said(app: AppTest):
    ask(app)
    assert "nats \\= weights" in words(app)


# What is missing


def test_different_tokenizers_are_said_and_what_remains_is_shown(app: AppTest, engine: FakeEngine):
    result = results.shift(tuned=WORDS)
    engine.make = shown(unlike(result), results.generation(tuned=WORDS))
    ask(app)
    assert "different tokens" in words(app)
    assert "pieces of the tuned answer" in words(app)
    assert "rank in base" not in table(app) and "class" not in table(app)
    pin(app, "tuned", 3)
    assert plain("Pinned: ' three four' at 1") in words(app)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_an_empty_answer_is_said(app: AppTest, engine: FakeEngine, side: str):
    engine.make = shown(results.shift(**{side: ()}), results.generation(**{side: ()}))
    ask(app)
    assert f"The {side} answer has no token to compare: it is empty." in words(app).replace("\\", "")
    kept(app).side = side  # type: ignore[assignment]
    checked(app.run())
    assert f"The {side} answer has no token to list." in words(app)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_an_answer_of_nothing_but_the_end_of_the_turn_is_empty(app: AppTest, engine: FakeEngine, side: str):
    """As the engine makes it: the token that ends the turn is one of the answer, and nobody reads it."""
    end: Any = {side: ("<|end|>",)}
    engine.make = shown(results.shift(**end), results.generation(**end))
    kept(app).side = side  # type: ignore[assignment]
    ask(app)
    said = words(app).replace("\\", "")
    assert f"The {side} answer has no token to compare: it is empty." in said and "no text" in said
    assert f"The {side} answer has no token to part." in said
    assert table(app)["class"].tolist() == ["not counted"]


def test_noise_that_could_not_be_measured_is_said_with_its_reason_and_greys_nothing(app: AppTest, engine: FakeEngine):
    """The page said 'by up to nan nats'."""
    unknown = Floor(Pair(0.5, float("nan")), ("Please: {instruction}",), Pair(3, 0))
    result = results.shift()
    engine.make = shown(replace(result, answers=result.answers.map(lambda one: replace(one, wording=unknown))))
    ask(app)
    said = words(app).replace("\\", "")
    assert "nan" not in said
    assert "2 tokens of the tuned answer: what a reworded prompt would change could not be measured." in said
    assert "The noise of the tuned answer was not measured, because no other wording" in said
    assert "reworded prompt does as much" not in "".join(figures(app)) and "noise" not in table(app)


def test_before_the_floors_the_headline_says_what_is_being_measured(app: AppTest, engine: FakeEngine):
    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        return (
            job if kind != "shift" else replace(job, state="running", result=None, snapshot=results.shift(floor=None))
        )

    engine.make = make
    ask(app)
    assert "measuring what a reworded prompt would change" in words(app)
    checked(app.button(key="stop-shift").click().run())
    assert "This is what there was." in words(app)
    assert "measuring" not in words(app) and "was not measured" in words(app)
    assert len(table(app)) == len(results.ANSWER), "what there was can be looked into"


def test_without_a_shift_the_certainty_of_both_answers_is_there(app: AppTest, engine: FakeEngine):
    def make(kind: str, request: Any) -> FakeJob:
        if kind == "shift":
            return FakeJob(kind, request, state="failed", error="Too long for this model.")
        return done(kind, request)

    engine.make = make
    ask(app)
    assert [one.value for one in app.error] == [plain("Too long for this model.")]
    assert "coloured by its probability" in words(app)
    assert len(figures(app)) == 1


def test_who_stopped_is_said(app: AppTest, engine: FakeEngine):
    unfinished = replace(results.generation().answers.tuned, stop="unfinished")
    snapshot = replace(results.generation(), samples=(replace(results.generation().answers, tuned=unfinished),))
    engine.make = lambda kind, request: FakeJob(kind, request, state="running", snapshot=snapshot)
    ask(app)
    assert "Not finished." in words(app)
    checked(app.button(key="stop-generation").click().run())
    assert "Stopped by you." in words(app) and DELIMITED in words(app)
    assert not engine.asked("shift"), "half an answer is not looked into"


def test_further_samples_are_listed_with_how_they_ended(app: AppTest, engine: FakeEngine):
    answers = results.generation().answers
    cut = replace(answers.tuned, stop="length", text="Par")
    engine.make = shown(results.shift(), replace(results.generation(), samples=(answers, replace(answers, tuned=cut))))
    ask(app)
    (samples,) = [one for one in app.expander if "more of each" in one.label]
    assert [one.value for one in samples.caption] == [
        DELIMITED, "Cut at the longest answer that you allow.",
    ]  # fmt: skip


# Words


def test_the_words_of_both_answers_are_marked_by_more_than_colour(app: AppTest):
    ask(app)
    (diff,) = [body for body in written(app) if "<del" in body]
    assert "line-through" in diff and "London" in diff.partition("<ins")[0]
    assert "underline" in diff and "Paris" in diff.partition("<ins")[2]


def test_checks_that_the_instruction_states_are_shown_with_word_and_shape(app: AppTest):
    ask(app, 'Answer in at most 3 words, and include the word "Paris".')
    (table,) = [body for body in written(app) if "✓ pass" in body]
    assert table.count("✓ pass") == 3 and table.count("✗ fail") == 1
    assert "at most 3 words" in table and "1 word" in table


def test_an_instruction_without_checks_is_one_quiet_sentence(app: AppTest):
    ask(app)
    assert "asks for nothing that can be counted" in words(app)
