"""The Many page: what is read of a list, every state of a survey, and a row that opens on Compare; what people give is never trusted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard import spreadsheets
from dashboard.session import compute, editor, listing
from dashboard.widgets import instruction_list
from dashboard.widgets import progress as progress_of
from dashboard.widgets.text import plain
from model_utils import demo, items, linewise
from model_utils.catalogue import EMBEDDED
from model_utils.contracts.common import Message, Sampling
from model_utils.contracts.survey import MAX_INSTRUCTIONS, Survey
from model_utils.engine import Engine
from model_utils.pair import SIDES, Pair
from tests import results
from tests.test_pages import APP, HOSTILE, FakeEngine, FakeJob, app, checked, done, engine, go, kept, words

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures

LIST = "Name three cities.\nA very long one.\nWhat is the capital?"


def surveyed(found: Survey | None = None, **fields: Any) -> Callable[[str, Any], FakeJob]:
    """An engine that gives this survey, and to all else what fits."""
    result = found or results.survey()

    def make(kind: str, request: Any) -> FakeJob:
        if kind == "survey":
            return replace(FakeJob(kind, request, result=result), **fields)
        return FakeJob(kind, request, result=results.load_report()) if kind == "load_report" else done(kind, request)

    return make


def running(result: Survey | None = None) -> Callable[[str, Any], FakeJob]:
    snapshot = result or results.survey(whole=False)
    return surveyed(state="running", result=None, snapshot=snapshot, note="instruction 3 of 9", fraction=0.25)


@pytest.fixture
def page(app: AppTest, engine: FakeEngine) -> AppTest:
    """The page, and an engine that knows surveys."""
    engine.make = surveyed()
    return go(app, "many")


def paste(page: AppTest, text: str = LIST) -> AppTest:
    return checked(page.text_area(key=listing.PASTED).set_value(text).run())


def press_run(page: AppTest) -> AppTest:
    return checked(page.button(key="run").click().run())


def ask(page: AppTest, text: str = LIST) -> AppTest:
    return press_run(paste(page, text))


def upload(page: AppTest, name: str, content: bytes) -> AppTest:
    return checked(page.file_uploader[0].set_value((name, content, "text/plain")).run())


def table(page: AppTest) -> Any:
    (found,) = [frame.value for frame in page.dataframe if "instruction" in frame.value]
    return found


def select(page: AppTest, row: int) -> AppTest:
    """A click on a row of the table; AppTest knows tables that are looked at only, so this is what it sends for other widgets."""
    (frame,) = [frame for frame in page.dataframe if "instruction" in frame.value]
    states = page._tree.get_widget_states()
    chosen = {"selection": {"rows": [row], "columns": [], "cells": []}}
    states.widgets.add(id=frame.proto.id, string_value=json.dumps(chosen))
    return checked(page._run(states))


def progress(page: AppTest) -> list[str]:
    return [element.proto.text for element in page.get("progress")]


# What is read


def test_nothing_is_asked_before_run(page: AppTest, engine: FakeEngine):
    assert "press Run" in words(page)
    paste(page)
    assert "3 instructions; nothing was left out" in words(page).replace("\\", "")
    assert not engine.submitted


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_nothing_to_read_is_one_sentence_when_run_is_pressed(page: AppTest, engine: FakeEngine, text: str):
    assert not paste(page, text).error
    press_run(page)
    assert [one.value for one in page.error] == [plain("The pasted list holds no instruction; write at least one.")]
    assert not engine.submitted
    assert not paste(page).error


def test_one_instruction_too_many_is_refused_with_its_line(page: AppTest, engine: FakeEngine):
    paste(page, "Say it.\n" * (MAX_INSTRUCTIONS + 1))
    press_run(page)
    assert len(page.error) == 1
    assert "2,000 instructions (line 2,001" in page.error[0].value.replace("\\", "")
    assert not engine.submitted


def test_more_than_five_megabytes_are_refused_pasted_or_not(page: AppTest, engine: FakeEngine):
    paste(page, "x" * (linewise.MAX_BYTES + 1))
    assert "5,000,001 bytes" in page.error[0].value.replace("\\", "")
    paste(page, "")
    upload(page, "long.txt", b"x" * (linewise.MAX_BYTES + 1))
    assert "5,000,001 bytes" in page.error[0].value.replace("\\", "")
    press_run(page)
    assert not engine.submitted


def test_a_file_takes_the_place_of_the_pasted_list_until_it_is_given_up(page: AppTest, engine: FakeEngine):
    paste(page)
    upload(page, "list.csv", b'instruction,input\nSort them.,"3, 1"\nName two.,\n')
    assert "2 instructions; nothing was left out" in words(page).replace("\\", "")
    assert page.text_area(key=listing.PASTED).disabled
    go(page, "compare")
    go(page, "many")
    assert plain("From the file list.csv") in words(page), "a change of page empties an uploader, not the list"
    press_run(page)
    assert engine.asked("survey")[-1].instructions == ("Sort them.\n\n3, 1", "Name two.")
    checked(page.button(key="forget-file").click().run())
    assert page.text_area(key=listing.PASTED).value == LIST
    assert len(page.file_uploader) == 1
    press_run(page)
    assert engine.asked("survey")[-1].instructions == tuple(LIST.splitlines())


def test_lines_left_out_are_named_ten_of_them_and_how_many_more(page: AppTest, engine: FakeEngine):
    broken = "".join(f'{{"other": "{HOSTILE}"}}\n' for _ in range(14))
    upload(page, "list.jsonl", f'"Say it."\n{broken}'.encode())
    assert "1 instruction; 14 lines were left out" in words(page).replace("\\", "")
    left = [one.value for one in page.markdown if one.value.startswith("Line")]
    assert len(left) == instruction_list.SHOWN and "Line 2 was left out" in left[0]
    assert "And 4 more." in words(page)
    press_run(page)
    assert engine.asked("survey")[-1].instructions == ("Say it.",)


@pytest.mark.parametrize("name", ["list.pdf", f"{HOSTILE}.exe", "nothing"])
def test_other_files_are_refused_by_name(name: str):
    read = instruction_list.from_file(name, b"Say it.")
    assert isinstance(read, str) and "give a file that ends in .txt" in read


@given(name=st.sampled_from(["a.txt", "a.csv", "a.jsonl", "a.ndjson", "a.doc"]), content=st.binary(max_size=300))
def test_whatever_is_uploaded_is_read_or_refused_in_a_sentence(name: str, content: bytes):
    read = instruction_list.from_file(name, content)
    assert read.instructions if isinstance(read, items.Items) else read.strip()


def test_the_embedded_models_have_examples_in_one_click(page: AppTest, engine: FakeEngine):
    checked(page.button(key="list-examples").click().run())
    assert engine.asked("survey")[-1].instructions == tuple(one.instruction for one in demo.EXAMPLES)
    assert page.text_area(key=listing.PASTED).value.splitlines()[0] == demo.EXAMPLES[0].instruction
    assert len(table(page)) == 3


def test_examples_take_no_list_and_no_work_away(page: AppTest, engine: FakeEngine):
    """One click on them erased a pasted list of thousands and cancelled the survey of it."""

    def offered() -> bool:
        return not page.button(key="list-examples").disabled

    assert offered()
    paste(page)
    assert not offered()
    engine.make = running()
    press_run(page)
    paste(page, "")
    assert not offered(), "a list is being asked"
    checked(page.button(key="stop-survey").click().run())
    assert offered()
    upload(page, "list.txt", b"Say it.")
    assert not offered()


def test_what_was_pasted_in_the_same_moment_as_a_click_on_examples_stays(page: AppTest, engine: FakeEngine):
    """A browser sends a text when its field is left, which the click does, so that the button was still drawn for an empty list."""
    page.text_area(key=listing.PASTED).set_value(LIST)
    checked(page.button(key="list-examples").click().run())
    assert page.text_area(key=listing.PASTED).value == LIST and not engine.asked("survey")


# How it is asked


def test_it_is_asked_in_the_editors_manner_without_earlier_turns(page: AppTest, engine: FakeEngine):
    kept(page).history = (Message(content="Before?"), Message(role="assistant", content="Yes."))
    page.session_state["sampling"] = editor.SAMPLED
    page.session_state["seed"] = 7
    page.session_state["system"] = "Be brief."
    page.number_input(key="length").set_value(9)
    page.selectbox(key="format-base").set_value("plain")
    ask(page)
    (request,) = engine.asked("survey")
    assert (request.formats, request.max_new_tokens) == (Pair("plain", "chat"), 9)
    assert (request.sampling, request.system) == (Sampling(seed=7), "Be brief.")
    assert "The earlier turns are left out" in words(page)
    said = "one answer a side, sampled (temperature 1, seed 7), with a system message, at most 9 tokens."
    assert plain(said) in words(page)


def test_one_answer_a_side_is_made_however_many_are_chosen_under_more(page: AppTest, engine: FakeEngine):
    """The page said both at once."""
    for key, value in {
        "sampling": editor.SAMPLED,
        "samples": 3,
        "top_p": 0.9,
        "top_k": 40,
        "same-tokens": True,
    }.items():
        page.session_state[key] = value
    ask(page)
    drawn = "the same tokens on both sides{} sampled (temperature 1, top-p 0.9, top-k 40, seed 0)"
    assert f"Asked with: {drawn.format(';')}." in words(page)
    assert plain(f"one answer a side, {drawn.format(',')}, at most 128 tokens.") in words(page)
    assert "answers each instruction once" in words(page) and "3 answers a side" not in words(page)


def test_an_own_template_is_named_by_its_beginning(page: AppTest, engine: FakeEngine):
    page.selectbox(key="format-base").set_value(editor.OWN)
    checked(page.run())
    ask(page)
    assert plain(
        "demo/base (own: Question: {instruction} Answer:) and demo/tuned (chat), one answer a side, greedily"
    ) in words(page)


def test_what_cannot_be_asked_so_is_one_sentence(page: AppTest, engine: FakeEngine):
    page.selectbox(key="format-base").set_value(editor.OWN)
    checked(page.run())
    page.text_area(key="template-base").set_value(f"Without a place {HOSTILE}")
    ask(page)
    assert len(page.error) == 1 and plain("does not hold {instruction}") in page.error[0].value
    assert not engine.submitted
    page.text_area(key="template-base").set_value("Q: {instruction}")
    press_run(page)
    assert not page.error
    assert engine.asked("survey")[-1].formats.base == "Q: {instruction}"


def test_a_changed_list_manner_or_pair_is_said(page: AppTest, engine: FakeEngine):
    ask(page)
    assert "You changed the list" not in words(page)
    paste(page, "Another one.")
    assert "You changed the list" in words(page)
    paste(page)
    assert "You changed the list" not in words(page)
    checked(page.number_input(key="length").set_value(5).run())
    assert "You changed the list" in words(page)
    checked(page.number_input(key="length").set_value(128).run())
    kept(page).chosen = EMBEDDED[1].specs
    checked(page.run())
    assert "You changed the list" in words(page)
    assert len(engine.asked("survey")) == 1


# On its way


def test_it_runs_in_the_background_and_other_pages_and_questions_leave_it_alone(
    page: AppTest, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
):
    background = []
    submit = engine.submit

    def spy(kind: str, *rest: Any, background_: list[Any] = background, **how: Any) -> FakeJob:
        background_.append((kind, how.get("background", False)))
        return submit(kind, *rest, **how)

    monkeypatch.setattr(engine, "submit", spy)
    engine.make = running()
    ask(page)
    assert background == [("survey", True)]
    go(page, "compare")
    page.text_area(key="instruction").set_value("Meanwhile?")
    press_run(page)
    go(page, "many")
    assert len(engine.asked("survey")) == 1
    assert not [job for job in engine.released if job.kind == "survey"]
    assert any("Instruction 3 of 9" in text for text in progress(page))


def test_what_there_is_so_far_is_shown_in_the_order_of_the_list_and_without_intervals(
    page: AppTest, engine: FakeEngine
):
    engine.make = running()
    ask(page)
    assert list(table(page)["instruction"]) == LIST.splitlines()
    assert "intervals come with the whole list" in words(page)
    assert "[" not in next(one.value for one in page.subheader if "shifted" in one.value)


def test_stop_keeps_what_is_done_and_the_list_can_be_run_again(page: AppTest, engine: FakeEngine):
    engine.make = running()
    ask(page)
    checked(page.button(key="stop-survey").click().run())
    assert [job.kind for job in engine.released] == ["survey"]
    assert "This is what there was" in words(page)
    assert "In brackets: 95 % intervals" in words(page), "over the instructions that are done"
    assert list(table(page)["instruction"]) == [LIST.splitlines()[i] for i in (2, 0, 1)], "most different first"
    engine.make = surveyed()
    checked(page.button(key="again-survey").click().run())
    assert len(engine.asked("survey")) == 2
    assert "Stopped" not in words(page)


def test_stopped_before_anything_was_done_shows_no_result(page: AppTest, engine: FakeEngine):
    engine.make = surveyed(state="queued", result=None)
    ask(page)
    checked(page.button(key="stop-survey").click().run())
    assert "Stopped before the end." in words(page)
    assert not page.dataframe


def test_a_failed_survey_is_one_sentence_above_what_there_was(page: AppTest, engine: FakeEngine):
    engine.make = surveyed(state="failed", result=None, snapshot=results.survey(whole=False), error=f"No: {HOSTILE}")
    ask(page)
    assert [one.value for one in page.error] == [plain(f"No: {HOSTILE}")]
    assert len(table(page)) == 3
    engine.make = surveyed()
    assert not ask(page, "Another one.").error


def test_another_list_gives_up_the_one_on_its_way(page: AppTest, engine: FakeEngine):
    engine.make = running()
    ask(page)
    ask(page, "Another one.")
    assert engine.released == engine.submitted[:1]


def test_the_time_left_is_that_of_the_pace_so_far(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr("dashboard.session.compute.time.monotonic", lambda: clock[0])
    job = running()("survey", None)
    held = compute.Held(job)  # type: ignore[arg-type]
    assert held.seconds_left() is None, "nothing is known of the pace yet"
    clock[0], job.fraction = 110.0, 0.5
    assert held.seconds_left() == pytest.approx(20.0)
    job.former = job.snapshot
    assert held.seconds_left() is None, "what was there before says nothing of the pace"
    assert [progress_of.duration(seconds) for seconds in (0.2, 20, 100, 7_200)] == ["1 s", "20 s", "2 min", "2.0 h"]


# The result


def test_the_headline_has_the_mean_its_interval_and_what_is_not_in_it(page: AppTest):
    ask(page)
    headings = [one.value for one in page.subheader]
    said = "On average 30\xa0% [20\xa0%, 40\xa0%] of the tuned answer's tokens are shifted, over 2 instructions."
    assert plain(said) in headings
    assert plain("1 of 3 instructions could not be asked") in words(page)
    assert plain("base does 0\xa0% and tuned 100\xa0%: tuned − base is +100 percentage points") in words(page)
    assert page.get("plotly_chart")


def test_an_answer_without_text_is_in_no_average_and_is_counted(page: AppTest, engine: FakeEngine):
    """Its only token ends the turn; the page counted tokens and said that all was well."""
    nothing = float("nan")
    silent = replace(
        results.surveyed("A?", nothing, nothing), texts=Pair("It is", ""), tokens=Pair(3, 1), shares=(nothing,) * 3
    )
    engine.make = surveyed(results.survey(silent, results.surveyed("B?")))
    ask(page)
    assert "over 1 instruction." in words(page).replace("\\", "")
    assert "All 2 instructions could be asked. The tuned answer to 1 of them is empty" in words(page).replace("\\", "")


@pytest.mark.parametrize("refused", [False, True])
def test_of_a_list_on_its_way_or_stopped_nothing_is_said_of_all_of_it(page: AppTest, engine: FakeEngine, refused: bool):
    """It said that all instructions could be asked, before most of them were."""
    done = (results.surveyed("A?"), results.refused("B?") if refused else results.surveyed("B?"))
    said = "1 of 2 instructions done so far could not" if refused else "All 2 instructions done so far could be asked"
    engine.make = running(results.survey(*done, whole=False))
    assert said in words(ask(page)).replace("\\", "")
    assert said in words(checked(page.button(key="stop-survey").click().run())).replace("\\", "")
    engine.make = surveyed(results.survey(*done))
    assert said.replace(" done so far", "") in words(press_run(page)).replace("\\", "")


def test_few_numbers_make_a_rough_interval_however_long_the_list_is(page: AppTest, engine: FakeEngine):
    many = [results.surveyed(f"{number}?", checks=()) for number in range(30)]
    engine.make = surveyed(results.survey(*many))
    assert "rough and often too narrow" not in words(ask(page))
    engine.make = surveyed(results.survey(*many, results.surveyed("A?"), results.surveyed("B?")))
    assert "those over fewer than 20 of them are rough" in words(ask(page, "Another one."))


def test_without_an_interval_nothing_is_said_of_brackets(page: AppTest, engine: FakeEngine):
    engine.make = surveyed(results.survey(results.surveyed("A?"), results.refused("B?")))
    ask(page)
    assert "In brackets" not in words(page) and "95 %" not in words(page).split("What this cannot show")[1]


def test_nobody_could_be_asked_is_said_and_draws_no_figure(page: AppTest, engine: FakeEngine):
    engine.make = surveyed(results.survey(results.refused("One."), results.refused("Two.")))
    ask(page)
    assert plain("2 of 2 instructions could not be asked and are in no average") in words(page)
    assert not page.get("plotly_chart")
    assert list(table(page).columns) == ["instruction", "refusal"], "columns without a value are left out"


def test_models_with_other_tokens_are_compared_by_log_ratio(page: AppTest, engine: FakeEngine):
    nothing = float("nan")
    rows = (replace(results.surveyed("A?"), shares=(nothing,) * 3, kl=nothing, js=nothing), results.refused("B?"))
    engine.make = surveyed(results.survey(*rows))
    ask(page)
    assert plain("the models differ by 1.00 nats on a piece") in words(page)
    assert "part texts into different tokens" in words(page)
    assert "shifted" not in table(page)


def test_a_row_opens_on_compare_asked_in_the_same_manner(page: AppTest, engine: FakeEngine):
    page.number_input(key="length").set_value(9)
    page.selectbox(key="format-base").set_value("plain")
    page.session_state["system"] = "Be brief."
    ask(page)
    page.selectbox(key="format-base").set_value("few-shot")
    page.session_state["system"] = ""
    kept(page).history = (Message(content="Before?"), Message(role="assistant", content="Yes."))
    checked(page.run())
    select(page, 0)
    assert "What did tuning change in this answer?" in [one.value for one in page.header]
    (request,) = engine.asked("generation")
    assert [one.content for one in request.messages] == ["Be brief.", "What is the capital?"], "the most different one"
    assert (request.formats.base, request.max_new_tokens) == ("plain", 9)
    assert page.text_area(key="instruction").value == "What is the capital?"
    go(page, "many")
    assert len(table(page)) == 3
    assert len(engine.asked("survey")) == 1, "the result is still there"


def test_a_row_opens_while_the_list_goes_on(page: AppTest, engine: FakeEngine):
    engine.make = running()
    ask(page)
    select(page, 0)
    assert engine.asked("generation")[-1].messages[-1].content == LIST.splitlines()[0]
    assert not [job for job in engine.released if job.kind == "survey"]


def test_a_row_is_asked_of_the_pair_that_was_surveyed(page: AppTest, engine: FakeEngine):
    before = kept(page).pair
    ask(page)
    kept(page).chosen = EMBEDDED[1].specs
    select(checked(page.run()), 1)
    assert kept(page).question.specs == before  # type: ignore[union-attr]


def test_what_people_and_models_write_is_literal(page: AppTest, engine: FakeEngine):
    engine.make = surveyed(results.survey(results.surveyed(HOSTILE), results.refused(HOSTILE, f"No: {HOSTILE}")))
    ask(page, HOSTILE)
    upload(page, f"{HOSTILE.replace('/', '')}.txt", HOSTILE.encode())
    kinds = ("markdown", "caption", "warning", "error", "subheader")
    texts = [element.value for kind in kinds for element in page.get(kind)]
    assert not [text for text in texts if "![x](" in text or "<script>" in text or "**b**" in text.split("|")[0]]
    assert table(page)["instruction"].iloc[0] == HOSTILE
    select(page, 0)
    assert engine.asked("generation")[-1].messages[0].content == HOSTILE


# The file


def lines(result: Survey) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(spreadsheets.csv_file(result.table()).decode("utf-8"), newline="")))


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_no_text_in_the_file_can_be_run_by_a_spreadsheet(begin: str):
    formula = f"{begin}cmd|' /C calc'!A0"
    rows = (replace(results.surveyed(formula), texts=Pair(formula, formula)), results.refused("x", formula))
    for line in lines(results.survey(*rows)):
        assert not [
            name for name, value in line.items() if value.startswith(spreadsheets.FORMULAS) and name != "log_ratio"
        ]
    first = lines(results.survey(*rows))[0]
    assert [first[name] for name in ("instruction", "answer_base", "answer_tuned")] == [f"'{formula}"] * 3


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=4))
def test_the_file_holds_every_instruction_whole_and_in_the_order_of_the_table(instructions: list[str]):
    result = results.survey(*(results.surveyed(one, log_ratio=float(n)) for n, one in enumerate(instructions)))
    assert [line["instruction"] for line in lines(result)] == [
        spreadsheets.guard(one) for one in reversed(instructions)
    ]


# The real engine


@pytest.fixture(scope="module")
def real_engine() -> Iterator[Engine]:
    running = Engine()
    yield running
    running.stop()


def test_an_answer_that_ends_at_once_is_counted_as_empty(real_engine: Engine, monkeypatch: pytest.MonkeyPatch):
    """The token that ends the turn is one of the answer, so that no answer has none."""
    monkeypatch.setattr(compute, "engine", lambda: real_engine)
    monkeypatch.setattr(compute, "load_ahead", lambda: None)
    page = go(checked(AppTest.from_file(APP, default_timeout=120).run()), "many")
    page.selectbox(key="format-tuned").set_value("plain")
    ask(page, "Name five garments. coat, hat, shirt, sock, shoe\nVienna.")
    held = page.session_state["many"].held
    assert held.job.wait(120) and held.result is not None, held.job.error
    first = held.result.items[0]
    assert (first.texts.tuned, first.tokens.tuned) == ("", 1)
    assert "The tuned answer to 1 of them is empty" in words(checked(page.run()))


@pytest.mark.slow
def test_the_embedded_pair_is_surveyed_and_a_row_says_what_compare_says(
    real_engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compute, "engine", lambda: real_engine)
    monkeypatch.setattr(compute, "load_ahead", lambda: None)
    page = go(checked(AppTest.from_file(APP, default_timeout=120).run()), "many")
    ask(page, "What is the capital of Austria?\nName five garments.\n" + "Sort these. " * 900)
    held = page.session_state["many"].held
    assert held.job.wait(120) and held.result is not None, held.job.error
    checked(page.run())
    rows = table(page)
    assert rows["refusal"].astype(bool).tolist() == [False, False, True]
    assert plain("1 of 3 instructions could not be asked") in words(page)
    first = held.result.items[held.result.table()["item"].iloc[0]]
    select(page, 0)
    visit = kept(page)
    assert visit.held["generation"].job.wait(120)
    go(page, "compare")
    assert {side: visit.held["generation"].result.answers[side].text for side in SIDES} == dict(first.texts.items())
    assert visit.held["shift"].job.wait(120)
    shares = visit.held["shift"].result.answers.tuned.shares()
    assert tuple(shares.values()) == pytest.approx(first.shares)
