"""Every page empty, with a result and with an error; what a visitor did survives a change of page; nonsense breaks nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import session
from dashboard.widgets.progress import ordinal
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.common import ATTENTION_KINDS, Request, Specs
from model_utils.contracts.generation import Generation
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.pair import SIDES, Pair
from tests import results
from tests.models import specs_of

APP = Path(__file__).resolve().parents[1] / "dashboard/app.py"
PAGES = ("compare", "attention", "attribution")
KINDS = {"compare": "generation", "attention": "attention", "attribution": "attribution"}
"""Page -> the analysis that it asks for first."""
HOSTILE = (
    "<script>alert(1)</script> ![x](http://example.com/x.png) [y](http://example.com) $x^2$ :material/home: **b** `c`"
)


@dataclass(eq=False)
class FakeJob:
    """A job in the state that a test wants."""

    kind: str
    request: Request
    state: str = "done"
    result: Any = None
    snapshot: Any = None
    error: str | None = None
    fraction: float = 0.5
    note: str = "answering"
    place: int = 0
    background: bool = False

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def wait(self, timeout: float | None = None) -> bool:
        return self.finished


@dataclass(eq=False)
class FakeEngine:
    """Answers at once, in the way a test wants, and remembers what it was asked."""

    make: Callable[[str, Request], FakeJob]
    submitted: list[FakeJob] = field(default_factory=list)
    released: list[FakeJob] = field(default_factory=list)
    warmed: list[Specs] = field(default_factory=list)
    running: list[FakeJob] = field(default_factory=list)

    def submit(self, kind: str, specs: Specs, request: Request, owner: str, background: bool = False) -> FakeJob:
        self.submitted.append(self.make(kind, request))
        return self.submitted[-1]

    def release(self, job: FakeJob, owner: str) -> None:
        self.released.append(job)

    def warm(self, specs: Specs) -> None:
        self.warmed.append(specs)

    def jobs(self) -> list[FakeJob]:
        return self.running

    def asked(self, kind: str) -> list[Any]:
        return [job.request for job in self.submitted if job.kind == kind]


def done(kind: str, request: Any) -> FakeJob:
    """The result that fits the request, made by hand."""
    if kind == "generation":
        return FakeJob(kind, request, result=results.generation())
    if kind == "shift":
        return FakeJob(kind, request, result=results.shift())
    if kind == "attention":
        return FakeJob(kind, request, result=results.attention(request.layer))
    return FakeJob(kind, request, result=results.attribution(request.targets, request.quantity))


def encoder_decoder(kind: str, request: Any) -> FakeJob:
    """The result of two models with an encoder."""
    text = results.encoder_decoder_sequence()
    if kind == "generation":
        answers = results.generation().answers.map(lambda one: replace(one, prompt=results.started()))
        return FakeJob(kind, request, result=Generation(results.models(encoder_decoder=True), (answers,)))
    if kind == "shift":
        return FakeJob(kind, request, result=replace(results.shift(), models=results.models(encoder_decoder=True)))
    if kind == "attention":
        return FakeJob(kind, request, result=results.attention(request.layer, text=text, kind=request.attention_kind))
    return FakeJob(kind, request, result=results.attribution(request.targets, request.quantity, text=text))


def with_attention_in(*layers: int) -> Callable[[str, Any], FakeJob]:
    """Results of two models of which only these layers have attention."""

    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        sites = tuple(("self", layer) for layer in layers)
        models = job.result.models.map(lambda one: replace(one, attention=sites, heads=one.heads if layers else 0))
        if kind == "attention" and request.layer not in layers:
            return replace(job, state="failed", result=None, error=f"No attention in layer {request.layer}.")
        return replace(job, result=replace(job.result, models=models))

    return make


def failed(kind: str, request: Request) -> FakeJob:
    return FakeJob(kind, request, state="failed", error=f"It cannot be done: {HOSTILE}")


def running(kind: str, request: Request) -> FakeJob:
    job = done(kind, request)
    return replace(job, state="running", result=None, snapshot=job.result if kind == "generation" else None)


def queued(kind: str, request: Request) -> FakeJob:
    return FakeJob(kind, request, state="queued", place=2)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine(done)
    monkeypatch.setattr(session, "engine", lambda: fake)
    return fake


@pytest.fixture
def app(engine: FakeEngine) -> AppTest:
    return checked(AppTest.from_file(APP, default_timeout=60).run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception, [one.value for one in app.exception]
    return app


def ask(app: AppTest, instruction: str = "What is the capital?") -> AppTest:
    app.text_area(key="instruction").set_value(instruction)
    return checked(app.button(key="run").click().run())


def go(app: AppTest, page: str) -> AppTest:
    return checked(app.switch_page(f"screens/{page}.py").run())


def words(app: AppTest) -> str:
    """Everything that the page says in elements that AppTest knows."""
    kinds = ("header", "subheader", "markdown", "caption", "error", "warning", "info")
    parts = [element.value for kind in kinds for element in app.get(kind)]
    return "\n".join([*parts, *written(app)])


def written(app: AppTest) -> list[str]:
    """The bodies of st.html."""
    return [element.proto.body for element in app.get("html")]


def prompts(app: AppTest) -> list[pd.DataFrame]:
    """The tables of the prompts' tokens."""
    tables = [frame.value for frame in app.dataframe if "id" in frame.value]
    assert len(tables) == 2, "one a side"
    return tables


def kept(app: AppTest) -> session.Visit:
    return app.session_state["visit"]


# Three states of each page


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_page_says_what_to_do(app: AppTest, engine: FakeEngine, page: str):
    go(app, page)
    assert len(app.header) == 1 and app.header[0].value.endswith("?"), "one question a page"
    assert "press Run" in words(app)
    assert not engine.submitted


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_result_for_what_was_asked(app: AppTest, engine: FakeEngine, page: str):
    ask(go(app, page))
    assert [job.kind for job in engine.submitted] == [KINDS[page], *(["shift"] if page == "compare" else [])]
    assert not app.error
    assert "press Run" not in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_failed_job_is_one_sentence_and_the_page_stays_usable(app: AppTest, engine: FakeEngine, page: str):
    engine.make = failed
    ask(go(app, page))
    assert [one.value for one in app.error] == [plain(f"It cannot be done: {HOSTILE}")]
    engine.make = done
    ask(app, "Another question?")
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("make", [running, queued])
def test_work_in_progress_can_be_stopped_and_run_again(app: AppTest, engine: FakeEngine, page: str, make: Callable):
    engine.make = make
    ask(go(app, page))
    checked(app.button(key=f"stop-{KINDS[page]}").click().run())
    assert engine.released == engine.submitted
    assert "Stopped before the end." in words(app)
    engine.make = done
    checked(app.button(key=f"again-{KINDS[page]}").click().run())
    assert len(engine.asked(KINDS[page])) == 2
    assert "Stopped" not in words(app)


def test_partial_answers_are_shown_while_they_come_and_after_a_stop(app: AppTest, engine: FakeEngine):
    engine.make = running
    ask(app)
    assert any("Paris" in body for body in written(app))
    checked(app.button(key="stop-generation").click().run())
    assert any("Paris" in body for body in written(app))
    assert "This is what there was." in words(app)


def test_the_place_in_the_queue_is_shown(app: AppTest, engine: FakeEngine):
    engine.make = queued
    engine.running = [FakeJob("attention", None, state="running")]  # type: ignore[arg-type]
    ask(app)
    assert any("2nd in the queue" in element.proto.text for element in app.get("progress"))


def test_background_work_is_in_the_header_of_every_page(app: AppTest, engine: FakeEngine):
    engine.running = [FakeJob("attention", None, state="running", note="item 3 of 90", background=True)]  # type: ignore[arg-type]
    for page in PAGES:
        go(app, page)
        assert any("item 3 of 90" in element.proto.text for element in app.get("progress"))


def test_numbers_are_written_as_people_say_them():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th",
    ]  # fmt: skip


# What survives a change of page


def test_instruction_formats_and_length_survive_a_change_of_page(app: AppTest):
    app.text_area(key="instruction").set_value("Sort 3, 1, 2.")
    app.selectbox(key="format-base").set_value("plain")
    app.selectbox(key="format-tuned").set_value("few-shot")
    app.number_input(key="length").set_value(17)
    checked(app.run())
    for page in ("attention", "attribution", "compare"):
        go(app, page)
        assert app.text_area(key="instruction").value == "Sort 3, 1, 2."
        assert app.selectbox(key="format-base").value == "plain"
        assert app.selectbox(key="format-tuned").value == "few-shot"
        assert app.number_input(key="length").value == 17


def test_the_answer_is_forced_by_its_ids_on_the_other_pages(app: AppTest, engine: FakeEngine):
    ask(app)
    ids = tuple(results.generation().answers.tuned.answer.ids.tolist())
    for page in ("attention", "attribution"):
        go(app, page)
        (request,) = engine.asked(page)
        assert (request.answer_ids, request.answer_from, request.format) == (ids, "tuned", "chat")
    go(app, "compare")
    assert len(engine.asked("generation")) == 1, "the answers are still there"
    assert not engine.released, "leaving a page cancels nothing"


def test_an_answer_found_on_the_way_is_not_made_twice(app: AppTest, engine: FakeEngine):
    """Asked on the attention page, the analysis makes the answer itself; another layer then reuses it."""
    ask(go(app, "attention"))
    checked(app.run())
    assert [request.answer_ids for request in engine.asked("attention")] == [None]
    checked(app.number_input(key="layer").set_value(2).run())
    found = tuple(results.sequence().ids[-3:].tolist())
    assert [(request.layer, request.answer_ids) for request in engine.asked("attention")] == [(0, None), (2, found)]


def test_another_head_asks_for_nothing_and_both_numbers_survive(app: AppTest, engine: FakeEngine):
    ask(go(app, "attention"))
    checked(app.number_input(key="layer").set_value(1).run())
    checked(app.number_input(key="head").set_value(1).run())
    assert len(engine.asked("attention")) == 2
    go(app, "compare")
    go(app, "attention")
    assert (app.number_input(key="layer").value, app.number_input(key="head").value) == (1, 1)
    assert len(engine.asked("attention")) == 2


def test_pickers_end_where_the_models_end(app: AppTest):
    ask(go(app, "attention"))
    assert app.number_input(key="layer").max == results.LAYERS - 1
    assert app.number_input(key="head").max == results.HEADS - 1


def test_the_selected_token_is_the_same_on_every_page(app: AppTest, engine: FakeEngine):
    """Selected under Compare, it is the target under Attribution and its row is pinned under Attention."""
    ask(app)
    kept(app).token = 2
    go(app, "attribution")
    assert engine.asked("attribution")[-1].targets == (2,)
    text = results.sequence()
    assert session.cell_of(kept(app), text) == (len(results.PROMPT) + 1, len(results.PROMPT) + 1)
    go(app, "attention")
    go(app, "compare")
    assert kept(app).token == 2
    ask(app, "Another question?")
    assert kept(app).token is None, "another question has other tokens"


def test_pinning_a_row_selects_the_token_that_it_chose(app: AppTest):
    text, visit, first = results.sequence(), session.Visit(), len(results.PROMPT)
    for query, token in ((0, None), (first - 1, 0), (first, 1), (first + 1, 2), (first + 2, None)):
        session.pin_in(visit, (query, 0), text)
        assert visit.token == token
        assert session.cell_of(visit, text) == (query, 0)
    session.pin_in(visit, None, text)
    assert (visit.token, session.cell_of(visit, text)) == (None, None)


def test_reading_the_base_models_text_asks_with_its_format_and_answer(app: AppTest, engine: FakeEngine):
    ask(app)
    go(app, "attribution")
    app.session_state["text-tuned"] = "base"
    checked(app.run())
    request = engine.asked("attribution")[-1]
    assert (request.answer_from, request.format) == ("base", "few-shot")
    assert request.answer_ids == tuple(results.generation().answers.base.answer.ids.tolist())


def test_quantity_and_extent_are_asked_and_survive(app: AppTest, engine: FakeEngine):
    ask(go(app, "attribution"))
    app.session_state["quantity"] = "log-probability"
    app.session_state["extent"] = "the whole answer"
    checked(app.run())
    assert (engine.asked("attribution")[-1].quantity, engine.asked("attribution")[-1].targets) == (
        "log-probability",
        (),
    )
    count = len(engine.asked("attribution"))
    go(app, "compare")
    go(app, "attribution")
    assert len(engine.asked("attribution")) == count


def test_run_releases_what_was_asked_before(app: AppTest, engine: FakeEngine):
    engine.make = running
    ask(app)
    ask(app, "Something else?")
    assert engine.released == engine.submitted[:1]


def test_run_on_the_same_question_keeps_what_is_on_its_way_and_asks_again_what_failed(app: AppTest, engine: FakeEngine):
    engine.make = running
    ask(app)
    ask(app)
    assert (len(engine.submitted), engine.released) == (1, [])
    engine.submitted[0].state, engine.submitted[0].error = "failed", "No."
    checked(app.run())
    engine.make = done
    ask(app)
    assert len(engine.asked("generation")) == 2
    assert not app.error


def test_run_on_the_same_question_asks_the_engine_again_because_the_models_files_may_have_changed(
    app: AppTest, engine: FakeEngine
):
    ask(app)
    ask(app)
    assert len(engine.asked("generation")) == 2


def test_an_edited_question_says_that_the_answers_are_older(app: AppTest, engine: FakeEngine):
    ask(app)
    assert "You changed the question" not in words(app)
    checked(app.text_area(key="instruction").set_value("Not yet asked").run())
    assert "You changed the question" in words(app)
    assert len(engine.asked("generation")) == 1


# Another pair of models


def test_numbers_remembered_from_a_larger_model_shrink(
    app: AppTest, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
):
    ask(go(app, "attention"))
    checked(app.number_input(key="layer").set_value(2).run())
    monkeypatch.setattr(results, "LAYERS", 1)
    ask(app, "A smaller model?")
    checked(app.run())
    assert app.number_input(key="layer").max == 0
    assert app.number_input(key="layer").value == 0


# Models of other kinds


def test_one_decoder_has_one_kind_of_attention_and_no_picker_for_it(app: AppTest, engine: FakeEngine):
    ask(go(app, "attention"))
    checked(app.run())
    assert [one.key for one in app.selectbox if one.key == "attention-kind"] == []
    assert {request.attention_kind for request in engine.asked("attention")} == {"self"}


def test_every_kind_of_attention_of_an_encoder_decoder_can_be_asked_and_is_kept(app: AppTest, engine: FakeEngine):
    engine.make = encoder_decoder
    ask(go(app, "attention"))
    picker = app.selectbox(key="attention-kind")
    assert len(picker.options) == len(ATTENTION_KINDS) and picker.value == "self"
    for kind in ("encoder", "cross"):
        checked(app.selectbox(key="attention-kind").set_value(kind).run())
        assert engine.asked("attention")[-1].attention_kind == kind
        assert "nobody looks ahead" not in words(app), "only the decoder's look at itself is causal"
    go(app, "compare")
    go(app, "attention")
    assert app.selectbox(key="attention-kind").value == "cross"
    engine.make = done
    ask(app, "Another pair's question?")
    checked(app.run())
    assert engine.asked("attention")[-1].attention_kind == "self", "the kind that both models have"


def test_of_models_with_attention_in_some_layers_these_are_offered(app: AppTest, engine: FakeEngine):
    engine.make = with_attention_in(1, 3)
    ask(app)
    go(app, "attention")
    assert app.selectbox(key="layer").options == ["1", "3"]
    assert [request.layer for request in engine.asked("attention")] == [1]
    checked(app.selectbox(key="layer").set_value(3).run())
    go(app, "compare")
    go(app, "attention")
    assert [request.layer for request in engine.asked("attention")] == [1, 3]
    engine.make = done
    ask(app, "And of models whose layers all have it?")
    checked(app.run())
    assert app.number_input(key="layer").value == results.LAYERS - 1 == engine.asked("attention")[-1].layer


def test_a_head_beyond_those_of_one_kind_of_attention_gets_one_sentence(app: AppTest, engine: FakeEngine):
    """An encoder may have fewer heads than its decoder."""

    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        fewer = job.result.weights.map(lambda weights: weights[:1])
        return replace(job, result=replace(job.result, weights=fewer))

    engine.make = make
    ask(go(app, "attention"))
    checked(app.number_input(key="head").set_value(1).run())
    assert [one.value for one in app.info] == ["Both models have the heads 0 to 0 here; choose one of these."]


def test_the_load_report_tells_the_layers_before_there_is_any_result(app: AppTest, engine: FakeEngine):
    """On a stack whose first layer has no attention, asking for layer 0 would be refused, and no result would ever tell the others."""
    engine.make = with_attention_in(2)
    known = engine.make("generation", None).result.models
    report = replace(results.load_report(), models=known)
    kept(app).report = session.Held(FakeJob("load_report", LoadReportRequest(), result=report))  # type: ignore[arg-type]
    ask(go(app, "attention"))
    assert [request.layer for request in engine.asked("attention")] == [2]


def test_models_without_attention_get_one_sentence_and_the_other_pages_work(app: AppTest, engine: FakeEngine):
    engine.make = with_attention_in()
    ask(app)
    go(app, "attention")
    assert [one.value for one in app.error] == [plain("No attention in layer 0.")]
    assert not [one.key for one in app.number_input if one.key in ("layer", "head")]
    for page in ("attribution", "compare"):
        assert not go(app, page).error


def test_the_prompt_of_an_encoder_decoder_says_what_the_decoder_starts_with(app: AppTest, engine: FakeEngine):
    engine.make = encoder_decoder
    ask(app)
    app.session_state["saw"] = True
    checked(app.run())
    assert [element.value for element in app.get("code")] == ["".join(results.READ)] * 2
    assert words(app).count(plain(f"The decoder starts with {results.START}")) == 2
    for frame in prompts(app):
        assert list(frame["read by"]) == ["encoder"] * len(results.READ) + ["decoder"]


def test_without_a_chat_template_chat_is_not_offered_and_run_just_works(
    app: AppTest, engine: FakeEngine, tiny_pair: Pair[Path]
):
    """Asked by default as a chat, such a pair could only refuse; known from the files, before anything is loaded."""
    bare, tuned = specs_of(tiny_pair).sides
    kept(app).chosen = Pair(bare, bare)
    checked(app.run())
    assert all("chat" not in "".join(app.selectbox(key=f"format-{side}-without-chat").options) for side in SIDES)
    ask(app)
    assert engine.asked("generation")[-1].formats == Pair("few-shot", "plain")
    kept(app).chosen = Pair(bare, tuned)
    ask(checked(app.run()), "Again?")
    assert engine.asked("generation")[-1].formats == Pair("few-shot", "chat"), "one template serves both sides"


# Bad input


@pytest.mark.parametrize("page", PAGES)
def test_nothing_asked_is_one_sentence(app: AppTest, engine: FakeEngine, page: str):
    ask(go(app, page), " \n ")
    assert len(app.error) == 1 and "empty" in app.error[0].value
    assert not engine.submitted


def test_a_million_characters_are_taken_and_one_more_is_refused_not_cut(app: AppTest, engine: FakeEngine):
    ask(app, "x" * 1_000_000)
    assert len(engine.asked("generation")[-1].messages[0].content) == 1_000_000
    ask(app, "x" * 1_000_001)
    assert "1,000,001" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize("instruction", ["a\0b", "مرحبا بالعالم", "👩‍👩‍👧 \u0301", HOSTILE, "\u202eabc"])
@pytest.mark.parametrize("page", PAGES)
def test_odd_instructions_are_asked_as_typed(app: AppTest, engine: FakeEngine, page: str, instruction: str):
    ask(go(app, page), instruction)
    assert engine.submitted[-1].request.messages[0].content == instruction


def test_what_a_model_writes_is_shown_literally(app: AppTest, engine: FakeEngine):
    """Markdown images in an answer would be requests beyond this machine."""
    hostile = results.answer((HOSTILE,), text=HOSTILE)
    result = replace(results.generation(), samples=(replace(results.generation().answers, tuned=hostile),))
    moved = results.shift(tuned=(HOSTILE,))
    engine.make = lambda kind, request: FakeJob(kind, request, result=moved if kind == "shift" else result)
    ask(app)
    assert any(escaped(HOSTILE) in body for body in written(app))
    shown = [element.value for kind in ("markdown", "caption", "warning", "error") for element in app.get(kind)]
    assert not [value for value in shown if "![x](" in value or "<script>" in value]


def test_the_exact_prompt_is_there_on_demand(app: AppTest):
    ask(app)
    assert not app.get("code")
    app.session_state["saw"] = True
    checked(app.run())
    assert [element.value for element in app.get("code")] == ["".join(results.PROMPT)] * 2
    assert [list(frame["id"]) for frame in prompts(app)] == [results.encoded(results.PROMPT).ids.tolist()] * 2
    assert [one.value for one in app.warning] == [plain("A note about this prompt.")] * 2


def test_plain_text_survives_markdown():
    assert plain("a*b_[c](d)\n\0") == r"a\*b\_\[c\]\(d\) ␀"
    assert escaped("<b>\n\t&\0") == "&lt;b&gt;&#10;&#9;&amp;␀"


def test_two_visitors_share_nothing_but_the_engine(engine: FakeEngine):
    first = checked(AppTest.from_file(APP, default_timeout=60).run())
    second = checked(AppTest.from_file(APP, default_timeout=60).run())
    ask(first, "Mine?")
    ask(second, "Yours?")
    assert kept(first).question.request.messages[0].content == "Mine?"  # type: ignore[union-attr]
    assert kept(second).question.request.messages[0].content == "Yours?"  # type: ignore[union-attr]
    assert np.unique([id(kept(first)), id(kept(second))]).size == 2
