"""The editor: what is typed is what is asked, in every format; mistakes are sentences and lose nothing; a conversation goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import streamlit as st
from hypothesis import given
from pydantic import ValidationError
from streamlit.testing.v1 import AppTest

from dashboard.session import compute, editor, visits
from dashboard.widgets import conversation, header
from dashboard.widgets.prompt_editor import CHOOSING, chosen_under_more
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.common import FORMATS, Message, Sampling, explain
from model_utils.contracts.generation import GenerationRequest
from model_utils.engine import Engine
from model_utils.pair import SIDES, Pair
from tests import results
from tests.models import specs_of
from tests.strategies import instructions
from tests.test_pages import (
    HOSTILE,
    PAGES,
    FakeEngine,
    FakeJob,
    app,
    ask,
    checked,
    done,
    engine,
    go,
    kept,
    queued,
    running,
    words,
    written,
)

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]

FORM = visits.Form(
    instruction="Why?",
    formats=Pair("few-shot", "chat"),
    same_tokens=False,
    max_new_tokens=128,
    sampling=None,
    samples=1,
    system="",
    history=(),
)


def asked(engine: FakeEngine) -> GenerationRequest:
    return engine.asked("generation")[-1]


def choose(app: AppTest, **fields: Any) -> AppTest:
    """Formats and the fields under More."""
    for key, value in fields.items():
        key = key.replace("_", "-") if key not in Sampling.model_fields else key
        (widget,) = [
            one
            for kind in ("selectbox", "text_area", "number_input", "toggle", "radio")
            for one in app.get(kind)
            if one.key == key
        ]
        checked(widget.set_value(value).run())
    return app


@pytest.mark.parametrize("page", ["compare", "attention", "bias", "findings"])
def test_run_is_not_missed_when_what_follows_interrupts_the_page_at_once(
    app: AppTest, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, page: str
):
    """The next thing that is typed does; here, the page ends before anything of it is drawn."""
    go(app, page)
    engine.make = queued
    if page in ("compare", "attention"):
        app.text_area(key="instruction").set_value("What is the capital?")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(header, "draw", st.stop)
        checked(app.button(key="run").click().run())
        assert not app.header, "the page was interrupted"
    question = kept(app).question
    if page in ("compare", "attention"):
        assert question is not None and question.request.messages[-1].content == "What is the capital?"
    else:
        assert engine.asked(page)


# The form


@given(instructions, instructions)
def test_a_form_asks_exactly_what_was_typed(instruction: str, system: str):
    turns = (Message(content="One?"), Message(role="assistant", content="Two."))
    request = replace(FORM, instruction=instruction, system=system, history=turns).request()
    assert request.messages == (Message(role="system", content=system), *turns, Message(content=instruction))


def test_without_anything_chosen_the_request_is_the_default():
    assert FORM.request() == GenerationRequest(messages=(Message(content="Why?"),))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"instruction": " \n"}, "The instruction is empty"),
        ({"instruction": "half \ud800"}, "lone surrogate"),
        ({"formats": Pair("Q: A:", "chat")}, "The template 'Q: A:' does not hold {instruction}"),
        ({"formats": Pair("chat", "{instruction} {instruction}")}, "holds {instruction} 2 times"),
        ({"formats": Pair("x", "x"), "same_tokens": True}, "The template 'x' does not hold {instruction}"),
        ({"sampling": {"temperature": 0.0}}, "sampling.temperature: Input should be greater than or equal to 0.01"),
        ({"sampling": {"top_p": 1.5}}, "sampling.top_p: Input should be less than or equal to 1"),
    ],
)
def test_a_mistake_is_one_sentence(fields: dict[str, Any], sentence: str):
    with pytest.raises(ValidationError) as caught:
        replace(FORM, **fields).request()
    said = explain(caught.value)
    assert said.count(sentence) == 1 and len(said) < 300


def test_two_mistakes_are_two_sentences():
    with pytest.raises(ValidationError) as caught:
        replace(FORM, instruction="", formats=Pair("x", "chat")).request()
    assert "The instruction is empty" in explain(caught.value) and "does not hold" in explain(caught.value)


def test_a_mistake_takes_no_result_away(app: AppTest, engine: FakeEngine):
    """A typing mistake gave up both answers and stopped what was on its way."""
    engine.make = lambda kind, request: running(kind, request) if kind == "shift" else done(kind, request)
    ask(app, "What is the capital?")
    question, held = kept(app).question, dict(kept(app).held)
    assert set(held) == {"generation", "shift"}
    ask(app, " ")
    assert len(app.error) == 1 and "You changed the question" in words(app)
    assert (kept(app).question, kept(app).held) == (question, held) and not engine.released
    assert any("Paris" in body for body in written(app)), "both answers are still there"
    ask(app, "What is the capital?")
    assert not app.error and "You changed the question" not in words(app)
    assert kept(app).held["shift"] is held["shift"], "what is on its way goes on"


# Formats


@pytest.mark.parametrize("format", FORMATS)
def test_each_side_is_asked_in_its_format(app: AppTest, engine: FakeEngine, format: str):
    ask(choose(app, format_base=format))
    assert asked(engine).formats == Pair(format, "chat")


def test_an_own_template_begins_with_an_example_and_is_asked_as_written(app: AppTest, engine: FakeEngine):
    assert not [area.key for area in app.text_area if str(area.key).startswith("template")]
    choose(app, format_tuned=editor.OWN)
    assert [area.key for area in app.text_area if str(area.key).startswith("template")] == ["template-tuned"]
    ask(app)
    assert asked(engine).formats == Pair("few-shot", "Question: {instruction}\nAnswer:")
    ask(choose(app, template_tuned=f"{HOSTILE} {{instruction}}"))
    assert asked(engine).formats.tuned == f"{HOSTILE} {{instruction}}"


@pytest.mark.parametrize("template", ["", "Answer:", "{instruction} or {instruction}", "chat", HOSTILE])
def test_a_template_without_its_place_gets_one_sentence_and_everything_typed_stays(
    app: AppTest, engine: FakeEngine, template: str
):
    choose(app, format_base=editor.OWN, template_base=template, length=17, system="Be brief.")
    ask(app, "What is the capital?")
    assert (
        len(app.error) == 1 and "write {instruction} once".replace("{", "\\{").replace("}", "\\}") in app.error[0].value
    )
    assert not engine.submitted
    for page in PAGES:
        checked(go(app, page).run())  # AppTest brings the kept values back one run later than the server does
        assert app.text_area(key="template-base").value == template
        assert app.text_area(key="instruction").value == "What is the capital?"
        assert app.text_area(key="system").value == "Be brief."
        assert app.number_input(key="length").value == 17
    ask(go(choose(app, template_base="Q: {instruction}"), "compare"))
    assert not app.error and asked(engine).formats.base == "Q: {instruction}"


def test_the_same_tokens_are_one_format_for_both(app: AppTest, engine: FakeEngine):
    choose(app, same_tokens=True)
    assert [box.label for box in app.selectbox if "Format" in box.label] == ["Format for both"]
    ask(app)
    assert (asked(engine).formats, asked(engine).same_tokens) == (Pair("chat", "chat"), True)
    ask(choose(app, format_both=editor.OWN))
    assert asked(engine).formats == Pair("Question: {instruction}\nAnswer:", "Question: {instruction}\nAnswer:")
    ask(choose(app, template_both="nothing"))
    assert app.error[0].value.count("does not hold") == 1, "one mistake, not one a side"
    ask(choose(app, same_tokens=False))
    assert (asked(engine).formats, asked(engine).same_tokens) == (Pair("few-shot", "chat"), False)


def test_an_own_template_has_a_short_name_where_a_text_is_chosen(app: AppTest, engine: FakeEngine):
    ask(go(choose(app, format_tuned=editor.OWN), "attribution"))
    (control,) = [one for one in app.get("button_group") if one.key == "text-tuned"]
    assert [option.content for option in control.proto.options] == [
        plain("base (few-shot)"),
        plain("tuned (own: Question: {instruction} Answer:)"),
    ]
    assert engine.asked("attribution")[-1].format == "Question: {instruction}\nAnswer:"


def test_all_formats_but_chat_are_offered_without_a_chat_template(
    app: AppTest, engine: FakeEngine, tiny_pair: Pair[Any]
):
    bare, _ = specs_of(tiny_pair).sides
    kept(app).chosen = Pair(bare, bare)
    choose(checked(app.run()), same_tokens=True)
    assert len(app.selectbox(key="format-both-without-chat").options) == len(FORMATS)
    ask(app)
    assert asked(engine).formats == Pair("few-shot", "few-shot")


# Sampling


def test_sampling_is_asked_as_typed_on_every_page(app: AppTest, engine: FakeEngine):
    choose(app, sampling=editor.SAMPLED, temperature=0.7, top_p=0.9, top_k=40, seed=7, samples=3)
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, seed=7)
    ask(go(app, "attention"))
    assert (engine.asked("atlas")[-1].sampling, engine.asked("atlas")[-1].answer_ids) == (sampling, None)
    assert engine.asked("attention")[-1].sampling == sampling
    go(app, "attribution")
    assert engine.asked("attribution")[-1].sampling == sampling
    go(app, "compare")
    assert (asked(engine).sampling, asked(engine).samples) == (sampling, 3)
    assert [app.number_input(key=key).value for key in ("temperature", "seed", "samples")] == [0.7, 7, 3]
    said = "Asked with: sampled (temperature 0.7, top-p 0.9, top-k 40, seed 7, 3 answers a side)."
    assert said in words(app), "what More hides is said"


def test_greedy_forgets_no_number_and_asks_for_one_answer(app: AppTest, engine: FakeEngine):
    choose(app, sampling=editor.SAMPLED, samples=3, seed=5)
    ask(choose(app, sampling=editor.GREEDY))
    assert (asked(engine).sampling, asked(engine).samples) == (None, 1)
    choose(app, sampling=editor.SAMPLED)
    assert (app.number_input(key="samples").value, app.number_input(key="seed").value) == (3, 5)


@pytest.mark.parametrize(("field", "value"), [("temperature", 0.0), ("temperature", -1.0), ("temperature", 11.0), ("top_p", 0.0), ("top_p", 1.1)])  # fmt: skip
def test_an_impossible_number_is_one_sentence(app: AppTest, engine: FakeEngine, field: str, value: float):
    ask(choose(app, sampling=editor.SAMPLED, **{field: value}))
    assert len(app.error) == 1 and plain(f"sampling.{field}: Input should be") in app.error[0].value
    assert not engine.submitted and app.number_input(key=field).value == value


@pytest.mark.slow
def test_the_same_seed_twice_gives_the_same_answers(
    app: AppTest, tiny_pair: Pair[Any], monkeypatch: pytest.MonkeyPatch
):
    """With real models: the second time in an engine of its own, so that nothing is remembered."""
    texts = []
    for seed in (3, 3, 4):
        real = Engine()
        monkeypatch.setattr(compute, "engine", lambda real=real: real)
        kept(app).chosen = specs_of(tiny_pair)
        kept(app).question = None
        choose(app, sampling=editor.SAMPLED, seed=seed, samples=2, length=8)
        app.text_area(key="instruction").set_value("What is the capital?")
        app.button(key="run").click().run()
        held = kept(app).held["generation"]
        assert held.job.wait(60)
        texts.append([[answers[side].answer.ids.tolist() for side in SIDES] for answers in held.result.samples])
        real.stop()
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 2


def test_what_more_hides_is_said_in_words():
    assert chosen_under_more(FORM) == ""
    said = chosen_under_more(replace(FORM, same_tokens=True, system="x", sampling=Sampling(seed=2).model_dump()))
    assert said == "Asked with: the same tokens on both sides; sampled (temperature 1, seed 2); with a system message."
    assert set(CHOOSING) == {editor.GREEDY, editor.SAMPLED}


# Several turns


TURNED = """
from dashboard.session import compute, questions, visits
from dashboard.widgets import conversation, prompt_editor
prompt_editor.prompt_editor()
question = visits.visit().question
if question is not None:
    held = questions.want("generation", question.request)
    conversation.go_on(held.result)
"""


@pytest.fixture
def turned(engine: FakeEngine) -> AppTest:
    """The editor, and the buttons below two whole answers."""
    return checked(AppTest.from_string(TURNED, default_timeout=60).run())


@pytest.mark.parametrize(("side", "answer"), [("tuned", "Paris"), ("base", " London\n\n")])
def test_a_conversation_goes_on_from_either_answer(turned: AppTest, engine: FakeEngine, side: str, answer: str):
    ask(choose(turned, system="Be brief."), "What is the capital?")
    checked(turned.button(key=f"go-on-{side}").click().run())
    assert turned.text_area(key="instruction").value == "", "it is an earlier turn now"
    assert [escaped(text) in "".join(written(turned)) for text in ("What is the capital?", answer)] == [True, True]
    assert "You changed the question" in words(turned)
    ask(turned, "And of Austria?")
    turns = (Message(content="What is the capital?"), Message(role="assistant", content=answer))
    assert asked(engine).messages == (
        Message(role="system", content="Be brief."),
        *turns,
        Message(content="And of Austria?"),
    )
    checked(turned.button(key=f"go-on-{side}").click().run())
    assert len(kept(turned).history) == 4
    checked(turned.button(key="forget-turns").click().run())
    ask(turned, "Anew?")
    assert asked(engine).messages == (Message(role="system", content="Be brief."), Message(content="Anew?"))


def test_what_was_typed_meanwhile_stays(turned: AppTest):
    ask(turned, "What is the capital?")
    turned.text_area(key="instruction").set_value("Half typed")
    checked(turned.button(key="go-on-tuned").click().run())
    assert turned.text_area(key="instruction").value == "Half typed"


def test_an_answer_without_text_cannot_be_gone_on_from(turned: AppTest, engine: FakeEngine):
    silent = results.answer(("<|end|>",), text="")
    whole = replace(results.generation(), samples=(replace(results.generation().answers, base=silent),))
    engine.make = lambda kind, request: FakeJob(kind, request, result=whole)
    ask(turned)
    assert [turned.button(key=f"go-on-{side}").disabled for side in SIDES] == [True, False]


def test_earlier_turns_are_literal_and_long_ones_are_folded(turned: AppTest, engine: FakeEngine):
    for text, folded in ((HOSTILE, False), (HOSTILE * conversation.SHORT, True)):
        kept(turned).history = (Message(content=text), Message(role="assistant", content=text))
        checked(turned.run())
        assert escaped(text) in "".join(written(turned))
        assert not [body for body in written(turned) if "<script>" in body]
        assert turned.expander[0].proto.expanded is not folded


def test_earlier_turns_are_on_every_page(app: AppTest, engine: FakeEngine):
    kept(app).history = (Message(content="One?"), Message(role="assistant", content="Two."))
    for page in PAGES:
        go(app, page)
        assert app.expander[0].label == "Earlier turns: 2"
    ask(go(app, "attribution"))
    assert len(engine.asked("attribution")[-1].messages) == 3
