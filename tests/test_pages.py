"""Every page empty, with a result and with an error; what a visitor did survives a change of page; nonsense breaks nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import link
from dashboard.figures import attribution, layers
from dashboard.figures.atlas import SHOWN
from dashboard.figures.attention import NO_DIFFERENCE
from dashboard.session import compute, selection, visits
from dashboard.widgets import causal_check, cost, evidence, heads, reliance, score_matrix
from dashboard.widgets.heads import REDUCED_WORDS
from dashboard.widgets.map_canvas import MapView
from dashboard.widgets.overview import headline, strongest
from dashboard.widgets.progress import ordinal
from dashboard.widgets.text import escaped, plain
from model_utils import catalogue
from model_utils.contracts.atlas import Atlas
from model_utils.contracts.attribution import GRADIENTS, METHODS, AttributionRequest, Method, OwnText
from model_utils.contracts.common import ATTENTION_KINDS, AttentionKind, Encoded, Own, Request, Specs
from model_utils.contracts.common import ask as messages_of
from model_utils.contracts.faithfulness import FaithfulnessRequest
from model_utils.contracts.generation import Generation
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair
from model_utils.parts import parts_of
from tests import results
from tests.models import specs_of

APP = Path(__file__).resolve().parents[1] / "dashboard/app.py"
PAGES = ("compare", "attention", "attribution")
KINDS = {
    "compare": ("generation", "shift"),
    "attention": ("atlas", "attention"),
    "attribution": ("attribution", "faithfulness"),
}
"""Page -> the analyses that it asks for, the first first."""
NO_ATTENTION = "There is no attention to look at."
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
    former: Any = None
    after: Any = None
    """the job that it goes on from"""
    error: str | None = None
    fraction: float = 0.5
    note: str = "answering"
    place: int = 0
    background: bool = False
    needs_room: bool = False
    specs: Specs = catalogue.DEFAULT
    signatures: tuple[str, str] = ("", "")
    seconds: float = 0.5

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

    def submit(
        self, kind: str, specs: Specs, request: Request, owner: str, background: bool = False, after: Any = None
    ) -> FakeJob:
        self.submitted.append(self.make(kind, request))
        self.submitted[-1].background, self.submitted[-1].after = background, after
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
    return FakeJob(kind, request, result=inside(kind, request, results.sequence()))


def inside(kind: str, request: Any, text: Encoded) -> Any:
    """What is found in models that read this text; of attention, in every layer that there is."""
    if kind == "atlas":
        return results.atlas(layers=tuple(range(results.LAYERS)), text=text, kind=request.attention_kind)
    if kind == "ablation":
        return results.ablation(request.heads, kind=request.attention_kind, text=text)
    if kind == "attention":
        own = None if request.own is None else results.sequence(prompt=("<|begin|>", "Hm"))
        found = results.attention(
            request.layer, text=text, kind=request.attention_kind, own=own, reduction=request.reduction
        )
        return replace(found, value_weighted=request.value_weighted)
    if kind == "faithfulness":
        return results.faithfulness(request, text)
    if kind == "agreement":
        return results.agreement(request, text)
    if kind == "randomisation":
        return results.randomisation(request, text)
    apart = request.own is not None
    base = results.others("none", request.own.targets) if apart else None
    found = results.attribution(request.targets, request.quantity, text=text, alignment="none" if apart else "tokens", base=base)  # fmt: skip
    return replace(found, method=request.method)


def encoder_decoder(kind: str, request: Any) -> FakeJob:
    """The result of two models with an encoder."""
    text = results.encoder_decoder_sequence()
    if kind == "generation":
        answers = results.generation().answers.map(lambda one: replace(one, prompt=results.started()))
        return FakeJob(kind, request, result=Generation(results.models(encoder_decoder=True), (answers,)))
    if kind == "shift":
        return FakeJob(kind, request, result=replace(results.shift(), models=results.models(encoder_decoder=True)))
    return FakeJob(kind, request, result=inside(kind, request, text))


def with_attention_in(*layers: int) -> Callable[[str, Any], FakeJob]:
    """Results of two models of which only these layers have attention."""

    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        sites = tuple(("self", layer) for layer in layers)
        models = job.result.models.map(lambda one: replace(one, attention=sites, heads=one.heads if layers else 0))
        if kind in ("atlas", "attention", "ablation") and not layers:
            return replace(job, state="failed", result=None, error=NO_ATTENTION)
        if kind == "atlas":
            job = replace(job, result=results.atlas(layers=layers))
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
    monkeypatch.setattr(compute, "engine", lambda: fake)
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


def kept(app: AppTest) -> visits.Visit:
    return app.session_state["visit"]


def choose(app: AppTest, row: int) -> AppTest:
    """A click on a row of the list of heads; AppTest knows tables that are looked at only, so this is what it sends for other widgets."""
    (frame,) = [frame for frame in app.dataframe if "change" in frame.value]
    states = app._tree.get_widget_states()
    chosen = {"selection": {"rows": [row], "columns": [], "cells": []}}
    states.widgets.add(id=frame.proto.id, string_value=json.dumps(chosen))
    return checked(app._run(states))


def switch_off(app: AppTest, which: causal_check.Which) -> AppTest:
    app.session_state["switched-off"] = which
    return checked(app.run())


def look_at_head(app: AppTest, head: int | str) -> AppTest:
    """As choosing a head in the bar of the maps does."""
    app.session_state["head"] = head
    return checked(app.run())


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
    assert [job.kind for job in engine.submitted] == list(KINDS[page])
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
    """The maps do not need the overview: where it is stopped they make the answer themselves, and can be stopped too."""
    engine.make = make
    ask(go(app, page))
    kinds = KINDS[page] if page == "attention" else KINDS[page][:1]
    for kind in kinds:
        checked(app.button(key=f"stop-{kind}").click().run())
    assert engine.released == engine.submitted
    assert words(app).count("Stopped before the end.") == len(kinds)
    engine.make = done
    checked(app.button(key=f"again-{kinds[0]}").click().run())
    assert [len(engine.asked(kind)) for kind in kinds] == [2] * len(kinds), (
        "the maps follow, now that there is an answer"
    )
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
    """Asked on the attention page, the overview makes the answer itself; the maps of every layer then reuse it."""
    ask(go(app, "attention"))
    checked(app.run())
    assert [request.answer_ids for request in engine.asked("atlas")] == [None]
    checked(app.number_input(key="layer").set_value(2).run())
    found = tuple(results.sequence().ids[-3:].tolist())
    assert [(request.layer, request.answer_ids) for request in engine.asked("attention")] == [(0, found), (2, found)]
    assert len(engine.asked("atlas")) == 1


def test_the_maps_wait_for_the_head_that_the_overview_opens(app: AppTest, engine: FakeEngine):
    """Also where the answer is known before the overview is there; an opened head waits for nothing."""
    ask(app)
    on_its_way = {"state": "running", "result": None}
    engine.make = lambda kind, request: replace(done(kind, request), **(on_its_way if kind == "atlas" else {}))
    go(app, "attention")
    assert engine.asked("atlas") and not engine.asked("attention")
    app.session_state["head"] = 1
    checked(app.run())
    assert engine.asked("attention") and not app.error


def test_another_head_asks_for_nothing_and_both_numbers_survive(app: AppTest, engine: FakeEngine):
    ask(go(app, "attention"))
    checked(app.number_input(key="layer").set_value(1).run())
    look_at_head(app, 1)
    assert len(engine.asked("attention")) == 2
    go(app, "compare")
    go(app, "attention")
    assert (app.number_input(key="layer").value, app.session_state["head"]) == (1, 1)
    assert (len(engine.asked("attention")), len(engine.asked("atlas"))) == (2, 1)


def test_pickers_end_where_the_models_end(app: AppTest):
    ask(go(app, "attention"))
    assert app.number_input(key="layer").max == results.LAYERS - 1
    assert look_at_head(app, 99).session_state["head"] == results.HEADS - 1


def test_the_selected_token_is_the_same_on_every_page(app: AppTest, engine: FakeEngine):
    """Selected under Compare, it is the target under Attribution and its row is pinned under Attention."""
    ask(app)
    kept(app).token = 2
    go(app, "attribution")
    assert engine.asked("attribution")[-1].targets == (2,)
    text = results.sequence()
    assert selection.cell_of(kept(app), text) == (len(results.PROMPT) + 1, len(results.PROMPT) + 1)
    go(app, "attention")
    go(app, "compare")
    assert kept(app).token == 2
    ask(app, "Another question?")
    assert kept(app).token is None, "another question has other tokens"


def test_pinning_a_row_selects_the_token_that_it_chose(app: AppTest):
    text, visit, first = results.sequence(), visits.Visit(), len(results.PROMPT)
    for query, token in ((0, None), (first - 1, 0), (first, 1), (first + 1, 2), (first + 2, None)):
        selection.pin_in(visit, (query, 0), text)
        assert visit.token == token
        assert selection.cell_of(visit, text) == (query, 0)
    selection.pin_in(visit, None, text)
    assert (visit.token, selection.cell_of(visit, text)) == (None, None)


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


# All heads, the maps, and the causal check


def every_head() -> Atlas:
    """What `done` finds in all heads."""
    return results.atlas(layers=tuple(range(results.LAYERS)))


def test_at_first_the_head_that_changed_most_lies_open(app: AppTest, engine: FakeEngine):
    result = replace(every_head(), each=np.array([[[0.1, 0.1], [0.1, 0.1], [0.1, 0.2]]], dtype=np.float32))
    engine.make = lambda kind, request: replace(done(kind, request), **({"result": result} if kind == "atlas" else {}))
    ask(go(app, "attention"))
    assert (app.number_input(key="layer").value, app.session_state["head"]) == (2, 1)
    assert [request.layer for request in engine.asked("attention")] == [2]


@pytest.mark.parametrize("row", [0, 3])
def test_a_row_of_the_list_opens_its_head(app: AppTest, engine: FakeEngine, row: int):
    ask(go(app, "attention"))
    ranked = every_head().table()
    layer, head = (int(ranked[name][row]) for name in ("layer", "head"))
    choose(app, row)
    assert (app.number_input(key="layer").value, app.session_state["head"]) == (layer, head)
    assert engine.asked("attention")[-1].layer == layer and len(engine.asked("atlas")) == 1
    go(app, "compare")
    go(app, "attention")
    assert (app.number_input(key="layer").value, app.session_state["head"]) == (layer, head)


def test_a_head_opened_from_the_list_replaces_a_map_of_all_layers(app: AppTest, engine: FakeEngine):
    ask(go(app, "attention"))
    checked(app.selectbox(key="reduction").set_value("max").run())
    choose(app, 2)
    assert app.selectbox(key="reduction").value == "heads" == engine.asked("attention")[-1].reduction


def test_the_list_has_every_head_most_changed_first(app: AppTest):
    ask(go(app, "attention"))
    (frame,) = [frame.value for frame in app.dataframe if "change" in frame.value]
    ranked = every_head().table()
    assert list(frame["head"]) == [f"L{row.layer}.H{row.head}" for row in ranked.itertuples()]
    assert list(frame["change"]) == sorted(frame["change"], reverse=True)


def test_the_headline_names_the_most_changed_head_or_says_that_none_is_worth_naming(app: AppTest, engine: FakeEngine):
    changes = np.array([[0.0, 0.01], [0.3, 0.009]], dtype=np.float32)
    result = replace(results.atlas(layers=(0, 2)), each=changes[None])
    said = headline(result)
    assert "2 of 4 heads" in said and "layer 2, head 0 (0.30 of at most 0.69 nats)" in said
    assert "every head" in headline(replace(result, each=changes[None] + np.float32(0.02)))
    small = replace(result, each=np.full((1, 2, 2), 0.0099, dtype=np.float32))
    assert "no head worth naming" in headline(small)

    def make(kind: str, request: Any) -> FakeJob:
        return replace(done(kind, request), result=small) if kind == "atlas" else done(kind, request)

    ask(go(app, "attention"))
    assert app.subheader[0].value == plain(headline(every_head()))
    engine.make = make
    ask(app, "And here?")
    assert app.subheader[0].value == plain(headline(small))


@pytest.mark.parametrize("kind", ATTENTION_KINDS)
@pytest.mark.parametrize("measure", SHOWN)
def test_every_measure_of_every_kind_of_attention_can_be_shown(
    app: AppTest, engine: FakeEngine, kind: AttentionKind, measure: str
):
    engine.make = encoder_decoder
    ask(go(app, "attention"))
    app.selectbox(key="attention-kind").set_value(kind)
    checked(app.selectbox(key="head-measure").set_value(measure).run())
    assert engine.asked("atlas")[-1].attention_kind == kind and not app.error


@pytest.mark.parametrize("reduction", ["mean", "max", "rollout"])
def test_a_map_of_all_layers_is_asked_without_a_picker_of_layers(app: AppTest, engine: FakeEngine, reduction: str):
    ask(go(app, "attention"))
    checked(app.toggle(key="value-weighted").set_value(True).run())
    assert engine.asked("attention")[-1].value_weighted
    checked(app.selectbox(key="reduction").set_value(reduction).run())
    request = engine.asked("attention")[-1]
    assert (request.reduction, request.value_weighted) == (reduction, False)
    assert not [one.key for one in app.number_input if one.key == "layer"] and not app.error
    assert REDUCED_WORDS[request.reduction] in words(app)
    go(app, "compare")
    go(app, "attention")
    assert app.selectbox(key="reduction").value == reduction


def test_rollout_is_not_offered_between_two_texts(app: AppTest, engine: FakeEngine):
    engine.make = encoder_decoder
    ask(go(app, "attention"))
    checked(app.selectbox(key="reduction").set_value("rollout").run())
    checked(app.selectbox(key="attention-kind").set_value("cross").run())
    assert app.selectbox(key="reduction").value == "heads" == engine.asked("attention")[-1].reduction


def test_the_selected_token_is_followed_through_the_layers(app: AppTest, engine: FakeEngine):
    ask(go(app, "attention"))
    text = results.sequence()
    first = int(text.positions("answer")[0])

    def followed(query: int) -> bool:
        return plain(f"From token {query}, {text.pieces[query]!r}.") in words(app)

    assert followed(first - 1), "at first the one that chooses the answer's first token"
    app.session_state["visit"].token, app.session_state["visit"].pinned = 1, None
    checked(app.run())
    assert followed(first) and plain(heads.said(text, first)) in words(app), "and in the strips"
    app.session_state["visit"].token, app.session_state["visit"].pinned = None, (0, 0)
    checked(app.run())
    assert ["choose the answer" in one.value for one in app.info] == [True]


def test_a_token_that_does_not_look_in_an_encoder_is_not_followed_there(app: AppTest, engine: FakeEngine):
    """Selected on another page, it is one of the decoder's; the first of the prompt stands for it, as in the strips."""
    text = results.encoder_decoder_sequence()
    other = {
        "atlas": results.atlas(layers=tuple(range(results.LAYERS)), text=text, kind="encoder"),
        "attention": results.attention(text=text, kind="encoder"),
    }
    engine.make = lambda kind, request: replace(
        done(kind, request), **({"result": other[kind]} if kind in other else {})
    )
    ask(go(app, "attention"))
    app.session_state["visit"].token, app.session_state["visit"].pinned = 1, None
    checked(app.run())
    assert plain(f"From token 0, {text.pieces[0]!r}.") in words(app) and not app.info


def test_layers_are_followed_while_a_list_is_read(app: AppTest, engine: FakeEngine):
    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        return replace(job, state="running", result=None, snapshot=job.result) if kind == "atlas" else job

    ask(app)
    app.session_state["head"] = 0
    engine.make = make
    go(app, "attention")
    assert "From token" in words(app) and not app.error


def test_layers_that_were_not_kept_are_said(app: AppTest, engine: FakeEngine):
    large = replace(every_head(), looks=None)
    engine.make = lambda kind, request: replace(done(kind, request), **({"result": large} if kind == "atlas" else {}))
    ask(go(app, "attention"))
    assert ["more than 16 MB" in one.value for one in app.info] == [True] and not app.error


def test_strips_and_layers_leave_the_first_token_out_where_the_maps_do(app: AppTest, engine: FakeEngine):
    app.session_state[heads.VIEW] = MapView(first=False)
    ask(go(app, "attention"))
    assert words(app).count("The first token is left out") == 2


@pytest.mark.parametrize("own", [False, True])
def test_heads_and_layers_that_one_model_has_alone_are_said(app: AppTest, engine: FakeEngine, own: bool):
    """Once, over the grid; where each reads its own text, over the maps too."""

    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        larger = replace(job.result.models.tuned, heads=results.HEADS + 2, layers=results.LAYERS + 1)
        kinds = tuple(dict.fromkeys((*larger.attention, ("self", results.LAYERS))))
        return replace(
            job, result=replace(job.result, models=replace(job.result.models, tuned=replace(larger, attention=kinds)))
        )

    engine.make = lambda kind, request: make(kind, request) if kind in ("atlas", "attention") else done(kind, request)
    app.session_state["own-texts"] = own
    ask(go(app, "attention"))
    assert words(app).count(f"shown are 0 to {results.HEADS - 1}, which both have") == 1 + own
    assert words(app).count("layers with this attention") == 1 + own and not app.error


def test_no_head_is_switched_off_before_that_is_asked(app: AppTest, engine: FakeEngine):
    ask(go(app, "attention"))
    assert not engine.asked("ablation")
    switch_off(app, "this head")
    (request,) = engine.asked("ablation")
    assert (request.heads, request.fill) == ((strongest(every_head())[0],), "zero")
    assert request.answer_ids == tuple(results.sequence().ids[-3:].tolist())
    assert not engine.submitted[-1].background, "it is quick"


def test_the_causal_check_follows_the_chosen_head_and_what_stands_in_its_place(app: AppTest, engine: FakeEngine):
    switch_off(ask(go(app, "attention")), "this head")
    (layer, head), _ = strongest(every_head())
    look_at_head(app, 1 - head)
    assert engine.asked("ablation")[-1].heads == ((layer, 1 - head),)
    checked(app.number_input(key="layer").set_value(2 - layer).run())
    assert engine.asked("ablation")[-1].heads == ((2 - layer, 1 - head),)
    checked(app.selectbox(key="fill").set_value("mean").run())
    assert (engine.asked("ablation")[-1].heads, engine.asked("ablation")[-1].fill) == (((2 - layer, 1 - head),), "mean")
    assert [job for job in engine.submitted if job.kind == "ablation" and job not in engine.released] == [
        engine.submitted[-1]
    ], "heads no longer looked at are let go"


@pytest.mark.parametrize("head", ["mean", "strongest"])
def test_the_map_of_many_heads_is_none_that_could_be_switched_off(app: AppTest, engine: FakeEngine, head: str):
    switch_off(ask(go(app, "attention")), "this head")
    look_at_head(app, head)
    assert len(engine.asked("ablation")) == 1
    assert ["open one head" in one.value for one in app.info] == [True] and not app.error
    choose(app, 1)
    assert len(engine.asked("ablation")) == 2 and not app.info
    checked(app.selectbox(key="reduction").set_value("mean").run())
    assert len(engine.asked("ablation")) == 2 and ["open one head" in one.value for one in app.info] == [True]


def test_every_head_is_switched_off_in_the_background(app: AppTest, engine: FakeEngine):
    switch_off(ask(go(app, "attention")), "every head")
    (request,) = engine.asked("ablation")
    assert request.heads is None and engine.submitted[-1].background
    look_at_head(app, 1)
    assert len(engine.asked("ablation")) == 1, "all are there already"
    (frame,) = [frame.value for frame in app.dataframe if "tuned_change" in frame.value]
    assert len(frame) == results.LAYERS * results.HEADS
    assert list(frame["tuned_change"]) == sorted(frame["tuned_change"])


def test_every_head_shows_what_is_known_so_far(app: AppTest, engine: FakeEngine):
    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        part = results.ablation(layers_done=1)
        return replace(job, state="running", result=None, snapshot=part) if kind == "ablation" else job

    engine.make = make
    switch_off(ask(go(app, "attention")), "every head")
    assert any("tuned_change" in frame.value for frame in app.dataframe) and not app.error
    checked(app.button(key="stop-ablation").click().run())
    assert "This is what there was." in words(app)


def test_the_causal_check_says_the_change_in_nats_with_its_sign(app: AppTest):
    switch_off(ask(go(app, "attention")), "this head")
    opened, _ = strongest(every_head())
    assert plain(causal_check.said(results.ablation((opened,)))) in words(app)
    up = replace(results.ablation(((2, 1),)), changes=Pair(np.full((1, 3), 0.5), np.full((1, 3), -0.25)))
    assert causal_check.said(up).startswith("Layer 2, head 1 off: base +1.500 nats, tuned -0.750 nats")
    idle = replace(up, changes=Pair(np.zeros((1, 3)), np.full((1, 3), 1e-4)))
    assert "does not need it" in causal_check.said(idle) and "does not need it" not in causal_check.said(up)


@pytest.mark.parametrize("own", [False, True])
def test_what_fails_for_one_reason_is_said_once(app: AppTest, engine: FakeEngine, own: bool):
    engine.make = with_attention_in()
    app.session_state["own-texts"] = own
    ask(go(app, "attention"))
    assert [one.value for one in app.error] == [plain(NO_ATTENTION)]
    assert "Switch off" not in [one.label for one in app.get("button_group")]


def test_texts_of_their_own_are_there_where_both_cannot_read_one(app: AppTest, engine: FakeEngine):
    """Of models with other tokenizers no head can be compared, and each can still be looked at."""

    def make(kind: str, request: Any) -> FakeJob:
        apart = kind in ("atlas", "ablation") or (kind == "attention" and request.own is None)
        return replace(done(kind, request), state="failed", result=None, error="No.") if apart else done(kind, request)

    engine.make = make
    ask(go(app, "attention"))
    assert [one.value for one in app.error] == [plain("No.")]
    checked(app.toggle(key="own-texts").set_value(True).run())
    assert [one.value for one in app.error] == [plain("No.")] and [one.value for one in app.info] == [NO_DIFFERENCE]
    checked(app.number_input(key="layer").set_value(2).run())
    assert engine.asked("attention")[-1].layer == 2, "the maps tell what layers there are"


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


def test_a_head_beyond_those_of_one_kind_of_attention_is_brought_back_to_them(app: AppTest, engine: FakeEngine):
    """An encoder may have fewer heads than its decoder."""

    def make(kind: str, request: Any) -> FakeJob:
        job = done(kind, request)
        if kind != "attention":
            return job
        fewer = job.result.weights.map(lambda weights: weights[:1])
        return replace(job, result=replace(job.result, weights=fewer))

    engine.make = make
    ask(go(app, "attention"))
    look_at_head(app, 1)
    assert app.session_state["head"] == 0 and not app.info and not app.error


def test_texts_of_their_own_are_shown_without_a_difference_and_with_a_sentence_why(app: AppTest, engine: FakeEngine):
    ask(go(app, "attention"))
    assert not app.info and engine.asked("attention")[-1].own is None
    checked(app.toggle(key="own-texts").set_value(True).run())
    assert [one.value for one in app.info] == [NO_DIFFERENCE] and not app.exception
    assert engine.asked("attention")[-1].own == Own(format="few-shot", answer_ids=None)
    assert "Difference: vermilion" not in words(app) and "Where one token looks" not in words(app)
    go(app, "compare")
    go(app, "attention")
    answers = results.generation().answers.map(lambda one: tuple(one.answer.ids.tolist()))
    request = engine.asked("attention")[-1]
    assert (request.answer_ids, request.own.answer_ids) == answers.swap().sides, "each reads the answer it gave"
    assert app.toggle(key="own-texts").value and len(engine.asked("atlas")) == 1


def test_the_load_report_tells_the_layers_before_there_is_any_result(app: AppTest, engine: FakeEngine):
    """On a stack whose first layer has no attention, asking for layer 0 would be refused, and no result would ever tell the others."""
    engine.make = with_attention_in(2)
    known = engine.make("generation", None).result.models
    report = replace(results.load_report(), models=known)
    kept(app).report = compute.Held(FakeJob("load_report", LoadReportRequest(), result=report))  # type: ignore[arg-type]
    ask(go(app, "attention"))
    assert [request.layer for request in engine.asked("attention")] == [2]


def test_without_a_load_report_the_overview_tells_the_layers(app: AppTest, engine: FakeEngine):
    engine.make = with_attention_in(2)
    ask(go(app, "attention"))
    assert [request.layer for request in engine.asked("attention")] == [2] and not app.error


def test_models_without_attention_get_one_sentence_and_the_other_pages_work(app: AppTest, engine: FakeEngine):
    engine.make = with_attention_in()
    ask(app)
    go(app, "attention")
    assert [one.value for one in app.error] == [plain(NO_ATTENTION)]
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


def test_a_figure_is_made_anew_only_for_another_result_or_look(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    made: list[tuple[Any, ...]] = []
    draw = layers.figure
    monkeypatch.setattr(layers, "figure", lambda *given: made.append(given) or draw(*given))
    page = go(ask(app), "attention")
    page.number_input(key="layer").set_value(1).run()
    assert len(made) == 1, "another layer's maps leave the figure over all layers alone"
    ask(page, "And of another country?")
    assert len(made) == 2, "another text is another result"


def test_the_attribution_page_asks_for_what_is_picked_and_measures_it(app: AppTest, engine: FakeEngine):
    page = go(ask(app), "attribution")
    page.selectbox(key="method").set_value("occlusion").run()
    page.selectbox(key="granularity").set_value("word").run()
    page.selectbox(key="operator").set_value("mask").run()
    checked(page.toggle(key="prompt-only").set_value(True).run())
    asked = engine.asked("attribution")[-1]
    assert (asked.method, asked.granularity, asked.operator, asked.answer_too) == ("occlusion", "word", "mask", False)
    judged = engine.asked("faithfulness")[-1]
    assert (judged.granularity, judged.operator, judged.answer_too, judged.targets) == ("word", "mask", False, (0,))
    shown = done("attribution", asked).result.totals()
    np.testing.assert_array_equal(judged.scores.tuned, shown.tuned)
    said = words(page)
    assert "Each part is taken away once" in said and "better than chance" in said and "do not read this map" in said
    assert "close to how they were made" in said


def test_own_passages_are_asked_for_before_anything_runs(app: AppTest, engine: FakeEngine):
    page = go(ask(app), "attribution")
    before = len(engine.asked("attribution"))
    page.selectbox(key="granularity").set_value("span").run()
    assert len(engine.asked("attribution")) == before and "Write the passages" in words(page)
    checked(page.text_area(key="spans").set_value("the capital\n\n is \nthe capital").run())
    assert engine.asked("attribution")[-1].spans == ("the capital", "is")


def test_long_evidence_is_measured_only_when_asked_for(
    app: AppTest, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(evidence, "AT_ONCE", 0)
    page = go(ask(app), "attribution")
    assert not engine.asked("faithfulness") and "more times, with parts taken away" in words(page)
    checked(page.button(key="measure-faithfulness").click().run())
    assert len(engine.asked("faithfulness")) == 1 and "random orders" in words(page)
    checked(page.run())
    assert "random orders" in words(page), "what was measured stays"


def test_what_takes_long_starts_only_when_it_is_asked_for_and_what_is_there_is_shown(
    app: AppTest, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
):
    page = go(ask(app), "attribution")
    assert len(engine.asked("attribution")) == 1, "a cheap one runs at once"
    assert "Cost: about 1 pass forward and 1 back in each model, less than a second" in words(page)
    monkeypatch.setattr(cost, "AT_ONCE_SECONDS", 0)
    checked(page.run())
    assert "Not computed yet" not in words(page), "a result that is there is not asked about"
    page.selectbox(key="method").set_value("occlusion").run()
    assert len(engine.asked("attribution")) == 1 and len(engine.asked("faithfulness")) == 1
    assert "Not computed yet" in words(page)
    checked(page.button(key="compute-attribution").click().run())
    assert [one.method for one in engine.asked("attribution")] == ["gradient x input", "occlusion"]
    assert "Not computed yet" not in words(page) and len(engine.asked("faithfulness")) == 2
    page.selectbox(key="method").set_value("integrated gradients").run()
    checked(page.selectbox(key="method").set_value("occlusion").run())
    assert len(engine.asked("attribution")) == 2 and "Not computed yet" not in words(page)
    ask(page, "Another question?")
    assert not kept(page).agreed, "what another question costs is another matter"


def test_a_long_one_lets_go_of_the_scores_that_were_on_their_way(
    app: AppTest, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
):
    ask(app)
    made = engine.make
    engine.make = lambda kind, request: running(kind, request) if kind == "attribution" else made(kind, request)
    page = go(app, "attribution")
    former = engine.submitted[-1]
    assert former.kind == "attribution" and not engine.released
    monkeypatch.setattr(cost, "AT_ONCE_SECONDS", 0)
    page.selectbox(key="method").set_value("Shapley values").run()
    assert engine.released == [former] and len(engine.asked("attribution")) == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_cost_of_every_method_is_said_and_grows_with_targets_parts_and_models(app: AppTest, method: Method):
    """It is known from the first scores on, on a page that never ran the answers by themselves."""
    page = ask(go(app, "attribution"))
    page.selectbox(key="method").set_value(method).run()
    assert " in each model, " in words(page) and "of memory beside the models." in words(page).replace(chr(92), "")
    one = AttributionRequest(messages=messages_of("a"), targets=(2,), method=method)
    text, small = results.sequence(), results.models()
    large = small.map(lambda facts: replace(facts, parameters=10**9, layers=30))
    few, large_cost, all_targets, fewer = (
        cost.cost_of(request, facts, Pair(text, text))
        for request, facts in (
            (one, small),
            (one, large),
            (one.model_copy(update={"targets": ()}), small),
            (one.model_copy(update={"answer_too": False}), small),
        )
    )
    assert large_cost.seconds > few.seconds and large_cost.memory > few.memory
    assert (all_targets.back > few.back) == (method in GRADIENTS) and all_targets.forward == few.forward
    assert (fewer.forward < few.forward) == (method in ("occlusion", "Shapley values"))


def test_the_cost_counts_what_stands_before_the_target_and_no_more():
    """The first token of a long answer once cost as much as the last one."""
    text, facts = results.sequence(), results.models()
    asked = AttributionRequest(messages=messages_of("a"), targets=(0,), method="occlusion")
    first, last = (cost.cost_of(asked.model_copy(update={"targets": (at,)}), facts, Pair(text, text)) for at in (0, 2))
    parts, open_ = parts_of(text, asked)
    before = parts[: text.positions("answer")[0]]
    assert first.forward == 1 + open_[np.unique(before)].sum() < last.forward and first.seconds < last.seconds
    beyond = cost.cost_of(asked.model_copy(update={"targets": (99,)}), facts, Pair(text, text))
    assert beyond.forward == last.forward, "a link may ask for a token that is not there"


def test_more_parts_than_shapley_values_take_cost_nothing_because_they_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cost, "SHAPLEY_PARTS", 1)
    with pytest.raises(Refused, match="at most 1 parts"):
        cost.cost_of(AttributionRequest(messages=messages_of("a"), method="Shapley values"), results.models(), Pair(results.sequence(), results.sequence()))  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.5, "less than a second"), (1.2, "some 1 second"), (5_900, "some 98 minutes"), (360_000, "some 100 hours")]
)  # fmt: skip
def test_durations_in_words(seconds: float, said: str):
    assert cost.duration(seconds) == said


def test_the_cost_is_said_to_two_digits():
    assert cost.Cost(1, 0, 0.2, 3e6).said() == "about 1 pass forward in each model, less than a second on two cores, less than 10 MB of memory beside the models"  # fmt: skip
    assert cost.Cost(22, 400, 1234.5, 2.34e9).said() == "about 22 passes forward and 400 back in each model, some 21 minutes on two cores, about 2,300 MB of memory beside the models"  # fmt: skip


@pytest.mark.parametrize(
    ("granularity", "advice"),
    [("sentence", "Words are better parts for this test"), ("word", "Tokens, or a longer text")],
)
def test_of_few_parts_the_evidence_says_which_are_better(
    app: AppTest, engine: FakeEngine, granularity: str, advice: str
):
    page = go(ask(app), "attribution")
    page.selectbox(key="granularity").set_value(granularity).run()
    assert advice in words(page) and "one random order in 7 begins with the same one" in words(page)


def test_enough_parts_or_a_verdict_that_is_reached_need_no_better_parts():
    asked = FaithfulnessRequest(messages=messages_of("a"), scores=Pair((1.0,), (1.0,)))
    few = results.faithfulness(asked)
    assert not few.judged.tuned.better_than_chance and evidence.few_parts(few, "sentence")
    many = few.judged.map(lambda one: replace(one, counts=np.append(one.counts[:-1], 20)))
    assert evidence.few_parts(replace(few, judged=many), "sentence") is None
    assert evidence.few_parts(replace(few, judged=Pair(few.judged.base, few.judged.base)), "sentence") is None
    blind = replace(many.tuned, twins=0.25)
    assert not blind.tells and evidence.few_parts(replace(few, judged=Pair(blind, blind)), "word")


def test_another_map_lets_go_of_the_evidence_about_the_former(app: AppTest, engine: FakeEngine):
    """It may take minutes, and the new map would wait behind it."""
    page = go(ask(app), "attribution")
    former = [job for job in engine.submitted if job.kind == "faithfulness"][-1]
    made = engine.make
    engine.make = lambda kind, request: running(kind, request) if kind == "attribution" else made(kind, request)
    page.selectbox(key="method").set_value("occlusion").run()
    assert former in engine.released
    order = [job for job in engine.submitted if job.kind in ("attribution", "faithfulness")]
    assert order[-1].kind == "attribution"


def test_run_with_another_map_lets_go_of_the_evidence_about_the_former_too(app: AppTest, engine: FakeEngine):
    """Ctrl+Enter in the field of the passages runs as well, and forgot the former map but not what was measured of it."""
    made = engine.make
    engine.make = lambda kind, request: (running if kind == "faithfulness" else made)(kind, request)
    page = go(ask(app), "attribution")
    former = [job for job in engine.submitted if job.kind == "faithfulness"][-1]
    page.selectbox(key="method").set_value("occlusion")
    checked(page.button(key="run").click().run())
    assert former in engine.released and engine.asked("attribution")[-1].method == "occlusion"


def test_what_is_no_better_than_random_is_pale_and_said(app: AppTest, engine: FakeEngine):
    page = go(ask(app), "attribution")
    assert "the scores of tuned point at what the model relies on no better" in words(page).replace(chr(92), "")


def test_what_changed_most_between_the_models_is_listed_and_nothing_where_they_agree(app: AppTest, engine: FakeEngine):
    page = go(ask(app), "attribution")
    (listed,) = [frame.value for frame in page.dataframe if "difference" in frame.value]
    table = attribution.most_changed(done("attribution", engine.asked("attribution")[-1]).result)
    assert listed["at"].tolist() == table["tuned_position"].tolist() and "do not read this order" in words(page)
    made = engine.make

    def alike(kind: str, request: Any) -> FakeJob:
        job = made(kind, request)
        if kind == "attribution":
            scores = Pair(job.result.scores.base, job.result.scores.base)
            job = replace(job, result=replace(job.result, scores=scores))
        return job

    engine.make = alike
    page.selectbox(key="method").set_value("occlusion").run()
    assert "No difference: both models give every part the same score" in words(page)
    assert not [frame for frame in page.dataframe if "difference" in frame.value]


def test_a_selected_token_is_shown_alone_among_the_whole_answer_and_the_sum_comes_back(
    app: AppTest, engine: FakeEngine
):
    page = go(ask(app), "attribution")
    page.segmented_control(key="extent").set_value("the whole answer").run()
    assert "all 3 tokens of the answer, summed" in words(page) and "Shown alone" not in words(page)
    kept(page).token = 1
    checked(page.run())
    said = words(page).replace(chr(92), "")
    assert "Shown alone: token 1 of the answer, 'is'" in said and "Explained: the logit of token 1" in said
    assert "The evidence is about the sum over all tokens" in said
    assert [one.targets for one in engine.asked("faithfulness")] == [(0,), ()], "the evidence stays with the sum"
    checked(page.button(key="to-the-sum").click().run())
    assert "Shown alone" not in words(page) and kept(page).token is None


def test_the_rows_of_an_attribution_add_up_to_the_sum_that_is_shown_without_one():
    result = results.attribution(targets=())
    rows = [score_matrix.one_row(result, row) for row in range(len(result.values.tuned))]
    for side in SIDES:
        np.testing.assert_allclose(sum(one.totals()[side] for one in rows), result.totals()[side], rtol=1e-5)
    found = [one.texts.tuned.places()[0].tolist() for one in rows]
    assert found == [places.tolist() for places in result.texts.tuned.places()]


def test_the_pin_of_the_matrix_is_a_cell_of_it_in_the_row_of_the_selected_token():
    result = results.attribution(targets=())
    axes, targets = score_matrix.axes_of(result.texts.tuned), result.texts.tuned.targets
    for row, token in enumerate(targets.tolist()):
        for column in (None, 0, int(axes.keys[-1]), 10_000):
            cell = score_matrix.cell_of(result, row, column)
            assert cell[0] == token and axes.hold(*cell)
        assert score_matrix.cell_of(result, row, int(axes.keys[-1]))[1] == axes.keys[-1], "the column stays"
    assert [axes.row_pieces[token] for token in targets] == list(results.ANSWER)


def test_each_models_own_text_has_its_own_answer_to_pick_from_and_no_difference(app: AppTest, engine: FakeEngine):
    page = go(ask(app), "attribution")
    assert "tuned - base" in "".join(written(page))
    checked(page.toggle(key="own-texts").set_value(True).run())
    asked = engine.asked("attribution")[-1]
    assert asked.own is not None and asked.own.targets == (0,) and asked.own.format == "few-shot"
    assert asked.own.answer_ids == tuple(results.generation().answers.base.answer.ids.tolist())
    said = words(page)
    assert "Each model reads its own prompt and answer here" in said and "tuned - base" not in "".join(written(page))
    assert "token 0 of the answer, 'No', in base, and of token 0 of the answer, 'Par', in tuned" in said.replace(chr(92), "")  # fmt: skip
    assert not [frame for frame in page.dataframe if "difference" in frame.value]
    assert engine.asked("faithfulness")[-1].own.targets == (0,)
    kept(page).other_token = 1
    checked(page.run())
    assert engine.asked("attribution")[-1].own.targets == (1,)
    kept(page).other_token = 99
    checked(page.run())
    last = len(asked.own.answer_ids) - 1
    assert engine.asked("attribution")[-1].own.targets == (last,), "no token beyond the answer"
    checked(page.segmented_control(key="extent").set_value("the whole answer").run())
    assert engine.asked("attribution")[-1].own.targets == () == engine.asked("attribution")[-1].targets
    checked(page.toggle(key="own-texts").set_value(False).run())
    assert engine.asked("attribution")[-1].own is None and "tuned - base" in "".join(written(page))


def test_a_click_inside_an_explained_piece_marks_that_token_and_asks_for_nothing_else():
    """The page drew itself again and again where it marked the piece's first token instead."""
    piece = np.array([2, 3])
    assert [reliance.marked(piece, chosen) for chosen in (2, 3, 7, None)] == [2, 3, 2, 2]
    assert reliance.marked(piece[:0], 3) is None


def test_the_cost_of_own_texts_is_that_of_both():
    """Base's answer is eight times as long as tuned's, and its own targets count."""
    facts, short = results.models(), results.sequence()
    long = results.sequence(answer=results.ANSWER * 8)
    asked = AttributionRequest(messages=messages_of("a"), own=OwnText(format="plain"))
    own, alone = cost.cost_of(asked, facts, Pair(long, short)), cost.cost_of(asked.model_copy(update={"own": None}), facts, Pair(short, short))  # fmt: skip
    assert own.back == 8 * alone.back and own.seconds > 4 * alone.seconds
    first = asked.model_copy(update={"own": OwnText(format="plain", targets=(0,))})
    assert cost.cost_of(first, facts, Pair(long, short)).back == alone.back


def test_hovering_says_both_scores_of_a_part_that_both_texts_have_and_else_its_own():
    alike = results.attribution()
    for side in SIDES:
        (one,) = {len(numbers) for numbers in reliance._numbers(alike, side)}
        assert one == 3
    apart = results.attribution(alignment="none")
    for side in SIDES:
        found = reliance._numbers(apart, side)
        assert [list(numbers) for numbers in found] == [[side]] * len(apart.texts[side].open)
        np.testing.assert_allclose([numbers[side] for numbers in found], apart.totals()[side])


def test_passages_as_long_as_a_link_can_hold_break_nothing(app: AppTest, engine: FakeEngine):
    page = go(ask(app), "attribution")
    page.selectbox(key="granularity").set_value("span").run()
    assert page.text_area(key="spans").max_chars == link.MAX_SPANS
    page = checked(page.text_area(key="spans").set_value("capital " * 490).run())
    assert engine.asked("attribution")[-1].spans


def test_a_token_is_explained_against_one_that_the_model_might_have_written(app: AppTest, engine: FakeEngine):
    page = go(ask(app), "attribution")
    answer = results.generation().answers.tuned
    (key,) = {one.key for one in page.selectbox if str(one.key).startswith("against-")}
    offered = page.selectbox(key=key).options
    assert offered and answer.answer.pieces[0] not in offered
    checked(page.selectbox(key=key).set_value(offered[0]).run())
    place = answer.alternative_pieces[0].index(offered[0])
    assert engine.asked("attribution")[-1].against == answer.alternative_ids[0][place]
    page.segmented_control(key="extent").set_value("the whole answer").run()
    assert engine.asked("attribution")[-1].against is None
