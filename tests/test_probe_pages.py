"""The pages of the probes: what is read of items, every state of a probe, its findings and an opened item; what people give is never trusted."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from dashboard.figures.robustness import AXES
from dashboard.session import editor, probing
from dashboard.session.probing import ITEM_PROBES, Probe
from dashboard.widgets import probe as widget
from dashboard.widgets import reasoning as reasoning_widget
from dashboard.widgets import robustness as robustness_widget
from dashboard.widgets.text import escaped, plain
from model_utils import catalogue
from model_utils.contracts.common import ModelSpec
from model_utils.contracts.probe import ProbeItem, ProbeRequest
from model_utils.contracts.reasoning import Reasoned, Reasoning
from model_utils.contracts.robustness import OWN_WORDINGS
from model_utils.pair import SIDES, Pair
from model_utils.probes import items, slots, suites
from model_utils.records import contents
from tests import results
from tests.test_pages import APP, FakeEngine, FakeJob, app, checked, done, engine, go, kept, words, written

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures

RESULTS: dict[Probe, Callable[..., Any]] = {
    "reasoning": results.reasoning,
    "robustness": results.robustness,
    "bias": results.bias,
    "calibration": results.calibration,
    "instructions": results.instructions,
}
MINE: tuple[Probe, ...] = (*ITEM_PROBES, "instructions")
"""Whose pages are tested here; that of published files has tests of its own."""
OF_SUITES = pytest.mark.parametrize("probe", ITEM_PROBES)
"""Of those whose items come from suites, and are shown before they are asked."""


def items_of(probe: Probe) -> tuple[Any, ...]:
    return results.instruction_items() if probe == "instructions" else results.probe_items(probe)


def counted(probe: Probe) -> str:
    """What its items are called."""
    return "instructions" if probe == "instructions" else "items"


def jsonl_of(probe: Probe) -> bytes:
    """Its items, as a file; the options of instructions are typed beside it."""
    if probe == "instructions":
        return "".join(json.dumps({"instruction": one.instruction}) + "\n" for one in items_of(probe)).encode()
    return widget.jsonl(items_of(probe))


def probed(**fields: Any) -> Callable[[str, Any], FakeJob]:
    """An engine whose probes give the small results, in a state that a test wants."""

    def make(kind: str, request: Any) -> FakeJob:
        if kind in RESULTS:
            return replace(FakeJob(kind, request, result=RESULTS[kind]()), **fields)  # type: ignore[index]
        return FakeJob(kind, request, result=results.load_report()) if kind == "load_report" else done(kind, request)

    return make


def running(state: str = "running", **fields: Any) -> Callable[[str, Any], FakeJob]:
    def make(kind: str, request: Any) -> FakeJob:
        job = probed()(kind, request)
        snapshot = RESULTS[kind](whole=False) if kind in RESULTS else None  # type: ignore[index]
        fields.setdefault("note", "item 2 of 5")
        return replace(job, state=state, result=None, snapshot=snapshot, **fields) if kind in RESULTS else job

    return make


@pytest.fixture(params=MINE)
def probe(request: pytest.FixtureRequest) -> Probe:
    return request.param


@pytest.fixture
def page(app: AppTest, engine: FakeEngine, probe: Probe) -> AppTest:
    """The page of a probe, and an engine that knows probes."""
    engine.make = probed()
    return opened(app, probe)


def opened(app: AppTest, probe: Probe) -> AppTest:
    """The page, with as many plain texts, draws and groups as there are in its result."""
    app.session_state["robustness-texts-count"] = len(results.PLAIN_TEXTS)
    app.session_state["bias-slot-name"] = slots.written(results.NAMES)
    app.session_state["bias-draws"] = 2
    app.session_state["instructions-options"] = " | ".join(results.instruction_items()[0].options)
    return go(app, probe)


def choose(page: AppTest, probe: Probe, source: str) -> AppTest:
    page.session_state[f"{probe}-source"] = source
    return checked(page.run())


def upload(page: AppTest, probe: Probe, content: bytes | None = None, name: str = "items.jsonl") -> AppTest:
    choose(page, probe, probing.FILE)
    return checked(
        page.file_uploader[0].set_value((name, jsonl_of(probe) if content is None else content, "text/plain")).run()
    )


def press_run(page: AppTest) -> AppTest:
    return checked(page.button(key="run").click().run())


def ask(page: AppTest, probe: Probe) -> AppTest:
    return press_run(upload(page, probe))


def tables(page: AppTest, column: str) -> list[pd.DataFrame]:
    return [frame.value for frame in page.dataframe if column in frame.value]


def examples(page: AppTest) -> pd.DataFrame:
    (found,) = tables(page, "question")
    return found


def select(page: AppTest, row: int) -> AppTest:
    """A click on a row of the items; AppTest knows tables that are looked at only, so this is what it sends for other widgets."""
    (frame,) = [frame for frame in page.dataframe if "question" in frame.value]
    states = page._tree.get_widget_states()
    chosen = {"selection": {"rows": [row], "columns": [], "cells": []}}
    states.widgets.add(id=frame.proto.id, string_value=json.dumps(chosen))
    return checked(page._run(states))


# What is asked


def test_the_page_asks_one_question_and_says_what_to_do(page: AppTest, engine: FakeEngine):
    assert len(page.header) == 1 and page.header[0].value.endswith("?")
    assert "press Run" in words(page) and "What this cannot show" in words(page)
    assert not engine.submitted


@OF_SUITES
def test_items_come_from_a_suite_of_this_probe(page: AppTest, engine: FakeEngine, probe: Probe):
    suite = following(page, probe, "suite")
    offered = suite.options
    mine = [one.title for one in suites.SUITES.values() if probe in one.probes]
    assert sorted(offered) == sorted(mine)
    assert suites.SUITES[suite.value].for_demo, "those of the world of these models come first"
    engine.make = probed(state="queued", result=None)
    page.number_input(key=f"{probe}-count").set_value(3)
    page.number_input(key=f"{probe}-seed").set_value(7)
    press_run(page)
    (request,) = engine.asked(probe)
    assert request.items == suites.SUITES[suite.value].make(3, 7)
    assert request.seed == 7 and request.margin == pytest.approx(0.03)
    assert engine.submitted[-1].background


def following(page: AppTest, probe: Probe, name: str) -> Selectbox:
    """A field that follows the pair."""
    (found,) = (box for box in page.selectbox if str(box.key).startswith(f"{probe}-{name}-"))
    return found


@OF_SUITES
def test_what_suits_the_pair_follows_it_until_somebody_chooses(page: AppTest, engine: FakeEngine, probe: Probe):
    names = ("suite", "texts") if probe == "robustness" else ("suite",)

    def shown() -> list[str]:
        return [following(page, probe, name).value for name in names]

    demo, others = catalogue.DEFAULT, Pair(ModelSpec(id="one/base"), ModelSpec(id="one/tuned"))  # fmt: skip
    own = shown()
    assert all(name.startswith("demo") for name in own)
    for pair, whose in ((others, "english"), (demo, "demo")):
        kept(page).chosen = pair
        checked(page.run())
        assert all(name.startswith(whose) for name in shown()) and len(shown()) == len(own), "nobody chose yet"
    for name in names:
        box = following(page, probe, name)
        checked(box.select_index(1).run())
        assert len(box.options) > 1
    chosen = shown()
    assert chosen != own
    for pair in (others, demo):
        kept(page).chosen = pair
        checked(page.run())
        go(page, "sessions")
        choose(go(page, probe), probe, probing.TYPED)
        go(page, "compare")
        choose(go(page, probe), probe, probing.SUITE)
        assert shown() == chosen


def test_a_file_of_items_is_read_and_stays_over_a_change_of_page(page: AppTest, engine: FakeEngine, probe: Probe):
    upload(page, probe)
    assert plain(f"5 {counted(probe)}; nothing was left out.") in words(page)
    go(page, "many")
    go(page, probe)
    assert plain("From the file items.jsonl") in words(page)
    press_run(page)
    assert engine.asked(probe)[-1].items == items_of(probe)
    checked(page.button(key=f"{probe}-forget-file").click().run())
    assert len(page.file_uploader) == 1


@OF_SUITES
def test_what_is_typed_and_chosen_stays_over_a_change_of_page(page: AppTest, engine: FakeEngine, probe: Probe):
    page.number_input(key=f"{probe}-count").set_value(3).run()
    choose(page, probe, probing.TYPED)
    checked(page.text_area(key=f"{probe}-typed").set_value(jsonl_of(probe).decode()).run())
    go(page, "sessions")
    go(page, "compare")
    go(page, probe)
    assert page.text_area(key=f"{probe}-typed").value == jsonl_of(probe).decode()
    press_run(page)
    assert engine.asked(probe)[-1].items == items_of(probe)
    choose(page, probe, probing.SUITE)
    assert page.number_input(key=f"{probe}-count").value == 3


@pytest.mark.parametrize("name", ["items.pdf", f"{results.WORST}.exe"])
def test_a_file_that_cannot_be_read_is_one_sentence(page: AppTest, engine: FakeEngine, probe: Probe, name: str):
    upload(page, probe, b"\x00\xff", name)
    assert len(page.error) == 1 and page.error[0].value.endswith("\\.")
    press_run(page)
    assert len(page.error) == 1 and not engine.submitted


def test_nothing_typed_is_said_when_run_is_pressed(page: AppTest, engine: FakeEngine, probe: Probe):
    choose(page, probe, probing.TYPED)
    assert not page.error
    press_run(page)
    assert len(page.error) == 1 and not engine.submitted
    checked(page.text_area(key=f"{probe}-typed").set_value(jsonl_of(probe).decode()).run())
    assert not page.error


def test_what_was_left_out_is_named(page: AppTest, engine: FakeEngine, probe: Probe):
    broken = "".join(f'{{"other": "{number}"}}\n' for number in range(14)).encode()
    upload(page, probe, jsonl_of(probe) + broken)
    assert plain(f"5 {counted(probe)}; 14 were left out.") in words(page)
    assert "And 4 more." in words(page)
    press_run(page)
    assert engine.asked(probe)[-1].items == items_of(probe)


CANNOT: dict[Probe, str] = {
    "reasoning": "have no options",
    "bias": "hold no slots such as {name}",
    "calibration": "have no options or no right answer",
}


@OF_SUITES
def test_items_that_a_probe_cannot_ask_are_one_sentence_and_nothing_is_lost(
    page: AppTest, engine: FakeEngine, probe: Probe
):
    engine.make = probed(state="queued", result=None)
    free = [ProbeItem(instruction="What is it?", answer="That")]
    upload(page, probe, widget.jsonl(free))
    press_run(page)
    if probe == "robustness":
        assert not page.error and engine.asked(probe)[-1].items == tuple(free)
        return
    assert len(page.error) == 1 and plain(CANNOT[probe]) in page.error[0].value and not engine.submitted
    assert plain("From the file items.jsonl") in words(page)


def test_a_slot_that_nothing_stands_for_is_named_with_what_to_do(app: AppTest, engine: FakeEngine):
    engine.make = probed(state="queued", result=None)
    page = upload(opened(app, "bias"), "bias", widget.jsonl([ProbeItem(instruction="Is {naem} tall?", options=("yes", "no"))]))  # fmt: skip
    assert [plain("Nothing stands for {naem} yet; write its groups under “Who is compared”, or use one of {name}") in one.value for one in page.error] == [True]  # fmt: skip
    checked(page.text_area(key=probing.slot_key("naem")).set_value("{naem}\ncats: Tom\ndogs: Rex").run())
    assert not page.error and "4 cases: every item in every combination of groups." in words(page)
    press_run(page)
    (asked,) = engine.asked("bias")
    assert [slot.name for slot in asked.slots] == ["naem"]


def test_formats_are_those_of_the_editor(page: AppTest, engine: FakeEngine, probe: Probe):
    page.selectbox(key="format-base").set_value("plain")
    ask(page, probe)
    assert engine.asked(probe)[-1].formats == Pair("plain", "chat")
    assert plain("demo/base (plain) and demo/tuned (chat)") in words(page)
    page.selectbox(key="format-base").set_value(editor.OWN)
    checked(page.run())
    page.text_area(key="template-base").set_value(f"Without a place {results.WORST}")
    press_run(page)
    assert len(page.error) == 1 and plain("does not hold {instruction}") in page.error[0].value
    assert len(engine.asked(probe)) == 1


def test_a_system_message_and_sampling_are_said_to_be_left_out(page: AppTest, probe: Probe):
    page.session_state["sampling"] = editor.SAMPLED
    page.session_state["system"] = "Be brief."
    checked(page.run())
    assert "there is no system message" in words(page) and "Asked with" not in words(page)


@OF_SUITES
def test_the_items_can_be_looked_at_and_taken_along(page: AppTest, probe: Probe):
    upload(page, probe)
    page.session_state[f"{probe}-preview"] = True
    checked(page.run())
    (shown,) = tables(page, "asked")
    assert len(shown) == widget.SHOWN
    assert items.read(jsonl_of(probe), "items.jsonl").items == results.probe_items(probe)


@OF_SUITES
@pytest.mark.parametrize("field", list(items.SCHEMA))
def test_what_an_item_is_stands_where_one_is_written(page: AppTest, probe: Probe, field: str):
    choose(page, probe, probing.TYPED)
    assert f"`{field}`" in words(page)


# On its way


def test_it_runs_on_while_other_pages_are_looked_at(page: AppTest, engine: FakeEngine, probe: Probe):
    engine.make = running()
    ask(page, probe)
    assert plain("Item 2 of 5") in page.get("progress")[0].proto.text
    assert "So far" in words(page) and widget.UNFINISHED in words(page).replace("\\", "")
    assert not tables(page, "question"), "nothing to choose from while rows still come"
    go(page, "compare")
    go(page, probe)
    assert "So far" in words(page) and len(engine.asked(probe)) == 1 and not engine.released


def test_stop_keeps_what_is_done_and_it_can_be_gone_on_from(page: AppTest, engine: FakeEngine, probe: Probe):
    engine.make = running()
    ask(page, probe)
    checked(page.button(key=f"stop-{probe}").click().run())
    assert [job.kind for job in engine.released] == [probe]
    assert "Stopped before the end." in words(page) and len(examples(page)) == 2
    assert not kept_claims(page), "findings come with the whole"
    first = engine.submitted[-1]
    engine.make = probed()
    checked(page.button(key=f"on-{probe}").click().run())
    assert engine.submitted[-1].after is first and engine.submitted[-1].request == first.request
    assert "Stopped" not in words(page) and kept_claims(page)


def kept_claims(page: AppTest) -> list[str]:
    """The tables of findings."""
    return [body for body in written(page) if "tuned − base [95 %]" in body]


def test_stopped_before_anything_was_done_can_be_run_again(page: AppTest, engine: FakeEngine, probe: Probe):
    engine.make = probed(state="queued", result=None)
    ask(page, probe)
    checked(page.button(key=f"stop-{probe}").click().run())
    assert page.button(key=f"on-{probe}").label == "Run it again" and not page.dataframe


def test_a_failed_probe_is_one_sentence_above_what_there_was(page: AppTest, engine: FakeEngine, probe: Probe):
    engine.make = running("failed", error=f"No: {results.WORST}")
    ask(page, probe)
    assert [one.value for one in page.error] == [plain(f"No: {results.WORST}")]
    assert len(examples(page)) == 2 and page.button(key=f"on-{probe}").label == "Run on"


def test_other_items_give_up_the_probe_on_its_way(page: AppTest, engine: FakeEngine, probe: Probe):
    engine.make = running()
    ask(page, probe)
    choose(page, probe, probing.PACK if probe == "instructions" else probing.SUITE)
    assert "You changed what is asked" in words(page)
    press_run(page)
    assert engine.released == engine.submitted[:1]
    assert "You changed what is asked" not in words(page)


def test_the_probes_leave_each_other_alone(app: AppTest, engine: FakeEngine):
    engine.make = probed()
    for probe in MINE:
        ask(opened(app, probe), probe)
    assert [job.kind for job in engine.submitted] == [*MINE] and not engine.released
    for probe in MINE:
        assert kept_claims(go(app, probe))


# What was found


def test_the_most_telling_finding_is_a_sentence_and_all_are_a_table(page: AppTest, engine: FakeEngine, probe: Probe):
    ask(page, probe)
    found = widget.ranked(RESULTS[probe]().findings)
    first = 1 if probe == "instructions" else 0  # what the wording says by itself comes before it
    assert page.subheader[first].value == plain(found[0].said())
    (table,) = kept_claims(page)
    assert [table.index(f'<th scope="row">{escaped(one.says)}') for one in found] == sorted(
        table.index(f'<th scope="row">{escaped(one.says)}') for one in found
    )
    for one in found:
        shape, said = widget.verdict_said(one)
        assert escaped(said) in table and shape in table
    assert "after correction for 8 tests" in table
    for one in found:
        assert bool(one.alone()) is one.fault and escaped(one.alone()) in table


def test_a_finding_has_a_shape_and_words_for_every_verdict():
    said = {
        verdict: widget.verdict_said(results.finding("right", 0.5, 0.6, verdict=verdict, needed=240))
        for verdict in ("higher", "lower", "no effect", "undecided", "not measured")
    }
    assert len({shape for shape, _ in said.values()}) == len(said)
    assert said["higher"][1] == "tuned is better" and said["lower"][1] == "tuned is worse"
    assert said["undecided"][1] == "undecided: about 240 items would decide"
    assert said["no effect"][1] == "no effect beyond the margin"
    assert widget.verdict_said(results.finding("flips", 0.5, 0.4, verdict="lower"))[1] == "tuned is better"
    assert widget.verdict_said(results.finding("aoc", 0.5, 0.4, verdict="lower"))[1] == "tuned is lower"


def test_a_fault_comes_first_and_no_effect_last():
    found = widget.ranked(results.reasoning().findings)
    assert found[0].measure == "contradiction" and found[-1].verdict == "no effect"
    shuffled = widget.ranked(results.reasoning().findings[::-1])
    assert [one.measure for one in shuffled[:1]] == ["contradiction"]


def test_refused_items_are_counted_and_named(page: AppTest, probe: Probe):
    ask(page, probe)
    assert plain("1 of 5 items could not be asked and is in no number.") in words(page)
    assert plain(f"Item 5: The prompt is 900 tokens long. {results.WORST}") in words(page)
    assert plain(f"A note. {results.WORST}") in words(page)
    assert 5 not in examples(page)["item"].tolist()


def test_texts_of_people_and_models_are_never_markup(page: AppTest, probe: Probe):
    ask(page, probe)
    for row in range(len(examples(page))):
        select(page, row)
        for body in written(page):
            assert "<script" not in body and "<b>bold" not in body, body
        for kind in ("header", "subheader", "markdown", "caption", "error", "warning", "info"):
            assert not [one.value for one in page.get(kind) if results.WORST in one.value]


def test_a_row_opens_its_item(page: AppTest, probe: Probe):
    ask(page, probe)
    first, other = examples(page)["item"].iloc[0], examples(page)["item"].iloc[2]
    assert any(one.value.startswith(f"Item {first}") for one in page.subheader), "the most telling one is open at first"
    select(page, 2)
    assert any(one.value.startswith(f"Item {other}") for one in page.subheader)


def test_whole_tables_are_files_that_no_spreadsheet_runs(page: AppTest, probe: Probe):
    ask(page, probe)
    table = RESULTS[probe]().table()
    rows = list(csv.DictReader(io.StringIO(widget.csv_file(table).decode(), newline="")))
    assert len(rows) == len(table)
    assert any(str(value).startswith("=") for value in table.to_numpy().ravel()), "one that a spreadsheet would run"
    assert not [value for row in rows for value in row.values() if value.startswith(("=", "@"))]
    found = widget.findings_table(RESULTS[probe]().findings)
    assert found["measure"].is_unique and {"p", "p_corrected", "tests", "margin", "verdict"} <= set(found)


def test_a_record_is_listed_by_its_first_item():
    for count, said in ((1, ""), (5, " (1 of 5 items)")):
        request = ProbeRequest(items=results.probe_items()[:count])
        assert contents.instruction(request) == f"Should this loan be approved? File 0.{said}"


def test_numbers_of_items_are_those_of_the_files(page: AppTest, probe: Probe):
    ask(page, probe)
    assert set(examples(page)["item"]) == set(RESULTS[probe]().table()["item"])


def test_the_result_can_be_recorded(page: AppTest, engine: FakeEngine, probe: Probe):
    ask(page, probe)
    page.session_state["record-panel"] = True
    checked(page.run())
    assert any(plain(f"{probe}: ") in box.label for box in page.checkbox)
    assert kept(page).question is None


def test_nothing_here_imports_torch():
    code = "import sys, dashboard.widgets.reasoning, dashboard.widgets.robustness, dashboard.widgets.bias, dashboard.widgets.calibration, dashboard.widgets.instructions, dashboard.session.probing; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=APP.parents[1], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# Reasoning


@pytest.fixture
def reasoning_page(app: AppTest, engine: FakeEngine) -> AppTest:
    engine.make = probed()
    return ask(go(app, "reasoning"), "reasoning")


def test_each_model_is_found_or_cleared(reasoning_page: AppTest):
    said = "\n".join(written(reasoning_page))
    assert "○</span> cleared</b>" in said and "●</span> found</b>" in said


def test_where_early_answers_were_not_asked_for_nothing_is_said_of_them(app: AppTest, engine: FakeEngine):
    whole = results.reasoning()
    engine.make = probed(result=without_early(whole))
    ask(go(app, "reasoning"), "reasoning")
    for one, before in zip(without_early(whole).items, whole.items, strict=True):
        for side in SIDES if one is not None and before is not None else ():
            now, then = (reasoning_widget.marks(items[side], 0, False) for items in (one, before))
            if one[side].steps:
                assert reasoning_widget.NEVER_NEEDED not in now
                assert now == [mark for mark in then if mark != reasoning_widget.NEVER_NEEDED]
                assert not [
                    name for name, *_ in reasoning_widget.outcomes(one[side], ("yes", "no")) if "Before" in name
                ]
    said = "\n".join((words(app), *written(app), *(chart.proto.spec for chart in app.get("plotly_chart"))))
    assert "nan%" not in said and "AOC nan" not in said and "How soon is the answer the final one?" not in said
    assert "What changes the answer?" in said
    assert "\n".join(written(app)).count("After it: ") == len(SIDES), "after the last step it is known"


def without_early(result: Reasoning) -> Reasoning:
    """As when only the answer after the whole reasoning is read."""

    def last_only(one: Reasoned) -> Reasoned:
        early, mass = one.early.copy(), one.mass.copy()
        early[:-1], mass[:-1] = results.np.nan, results.np.nan
        return replace(one, early=early, mass=mass)

    return replace(result, items=tuple(None if one is None else one.map(last_only) for one in result.items))


@pytest.mark.parametrize("steps", range(1, 12))
def test_reasoning_is_never_needed_only_where_no_step_changes_the_answer(steps: int):
    names = ("A step.",) * steps
    held = results.reasoned(early=(0.9,) * (steps + 1), steps=names)
    late = results.reasoned(early=(*(0.1,) * steps, 0.9), steps=names)
    assert reasoning_widget.NEVER_NEEDED in reasoning_widget.marks(held, 0, False)
    assert reasoning_widget.NEVER_NEEDED not in reasoning_widget.marks(late, 0, False)
    assert late.aoc == pytest.approx(1 - 1 / (2 * steps)), "which is what the page says of its greatest value"


@pytest.mark.parametrize(("written", "first", "wrong"), [(0, 0.1, False), (1, 0.9, True), (-1, 0.9, False), (-1, 0.1, True)])  # fmt: skip
def test_an_answer_is_wrong_where_the_finding_counts_it_as_wrong(written: int, first: float, wrong: bool):
    one = replace(results.reasoned(early=(first,) * 3), written=written)
    assert (reasoning_widget.WRONG in reasoning_widget.marks(one, 0, False)) is wrong
    assert ("✗ wrong" in reasoning_widget.ending(one, ("approve", "deny"), 0)) is wrong
    assert reasoning_widget.WRONG not in reasoning_widget.marks(one, -1, False), "nobody knows"


def test_of_a_stopped_run_a_verdict_says_what_it_counts():
    so_far = results.reasoning(whole=False)
    said = reasoning_widget.verdict_said(so_far, "tuned", None)
    assert said == "So far 1 of 2 items whose steps are all right end in another answer than the steps lead to."


def test_contradictions_and_hints_in_silence_come_first():
    table = reasoning_widget.examples(results.reasoning())
    assert table["tuned shows"].iloc[0].startswith(reasoning_widget.CONTRADICTS) and table["item"].iloc[0] == 0
    assert reasoning_widget.UNTOLD in table["tuned shows"].iloc[1] and table["item"].iloc[1] == 2
    assert sorted(table["item"]) == [0, 1, 2, 3], "what could not be asked is no example"


def test_filters_keep_what_they_name(reasoning_page: AppTest):
    reasoning_page.session_state["reasoning-filter"] = reasoning_widget.CONTRADICTS
    checked(reasoning_page.run())
    assert examples(reasoning_page)["item"].tolist() == [1]


def test_an_opened_item_shows_steps_beside_the_answer(reasoning_page: AppTest):
    said = "\n".join(written(reasoning_page))
    assert "Its answer: deny, ✗ wrong." in said and "Its answer: approve, ✓ right." in said
    assert "✓ right step" in said and "✗ not the right step" in said
    assert "↯ the answer changes: deny, 90%." in said, "what corrupting the last step did"
    assert "Filler in place of the reasoning" in said and "In other words: " in said
    assert "= it does not follow: approve." in said
    select(reasoning_page, 1)
    assert "↯ it follows: deny; its text does not speak of the hint." in "\n".join(written(reasoning_page))


def test_no_reasoning_at_all_is_said(app: AppTest, engine: FakeEngine):
    quiet = results.reasoning().items[1].base  # type: ignore[union-attr]
    whole = results.reasoning()
    silent = replace(whole, items=tuple(None if one is None else Pair(quiet, quiet) for one in whole.items))
    engine.make = probed(result=silent)
    ask(go(app, "reasoning"), "reasoning")
    assert "Neither model wrote a reasoning" in words(app) and "It wrote no reasoning." in words(app)


# Robustness


@pytest.fixture
def robustness_page(app: AppTest, engine: FakeEngine) -> AppTest:
    engine.make = probed()
    return ask(opened(app, "robustness"), "robustness")


def test_items_that_flip_most_come_first():
    asked = ProbeRequest(items=results.probe_items())
    table = robustness_widget.examples(results.robustness(), asked)
    most = table[["base flips", "tuned flips"]].max(axis=1)
    assert most.is_monotonic_decreasing and table["item"].iloc[0] == 1
    for side in SIDES:
        shares = results.robustness().flips()[side]
        assert table["item"].map(dict(enumerate(100 * shares))).tolist() == table[f"{side} flips"].tolist()


def test_an_items_own_wordings_are_no_rewordings_that_flip_it():
    result = results.robustness()
    own = [number for number, kind in enumerate(result.kinds) if kind in OWN_WORDINGS]
    assert own and (result.chosen.tuned[2, own] != result.chosen.tuned[2, 0]).all()
    assert result.flips().tuned[2] == 0
    for side in SIDES:
        before = result.flips()[side]
        for chosen in (0, 1):
            result.chosen[side][:4, own] = chosen
            results.np.testing.assert_array_equal(result.flips()[side], before)


def test_an_opened_item_shows_every_wording_as_it_was_asked(robustness_page: AppTest):
    result, item = results.robustness(), 1
    said = "\n".join(written(robustness_page))
    for text in result.texts[item]:
        assert f'dir="auto">{escaped(text)}</span>' in said
    assert "↯ deny, ✗ wrong" in said and "approve, ✓ right" in said


def test_forgetting_is_told_where_it_was_measured(robustness_page: AppTest, engine: FakeEngine):
    assert plain("1 of 2 plain texts without any instruction are less likely to tuned than to base") in words(
        robustness_page
    )
    nothing = replace(results.robustness(), plain=Pair(results.np.zeros(0), results.np.zeros(0)))
    engine.make = probed(result=nothing)
    go(robustness_page, "robustness")
    robustness_page.session_state["robustness-margin"] = 5.0
    press_run(robustness_page)
    assert "plain texts without" not in words(robustness_page)


def test_right_answers_or_flips_are_drawn(robustness_page: AppTest):
    assert drawn_along(robustness_page) == AXES["right"]
    robustness_page.session_state["robustness-measure"] = "flips"
    checked(robustness_page.run())
    assert drawn_along(robustness_page) == AXES["flips"]
    assert "Upper marks are base" in words(robustness_page)


def drawn_along(page: AppTest) -> str:
    """Title of the chart's horizontal axis."""
    (chart,) = page.get("plotly_chart")
    return json.loads(chart.proto.spec)["layout"]["xaxis"]["title"]["text"]


def test_a_free_answer_is_said_in_words():
    free = ProbeItem(instruction="What?", answer="That")
    assert [robustness_widget.choice(free, one) for one in (-1, 0, 1)] == ["not asked", "writes something else", "writes the right answer"]  # fmt: skip
