"""What this visitor asked, and the one engine that computes for all of them: the only file that touches session state and the engine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import streamlit as st
from pydantic import TypeAdapter, ValidationError
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import link
from dashboard.link import Link, ListLink, View, Whom
from model_utils import catalogue, checkpoints
from model_utils.contracts.common import (
    FORMATS,
    Asked,
    Encoded,
    Format,
    Manner,
    Message,
    ModelFacts,
    Request,
    Sampling,
    SharedSequence,
    Specs,
    explain,
)
from model_utils.contracts.generation import Generation, GenerationRequest
from model_utils.contracts.load_report import LoadReport, LoadReportRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.contracts.survey import SurveyRequest
from model_utils.engine import Engine, Job
from model_utils.errors import Refused
from model_utils.items import Items
from model_utils.pair import SIDES, Pair, Side

RECENT = 6
"""How many pairs the panel offers to go back to."""

PAIR_PANEL = "pair"
"""Key of the popover in which the pair is chosen: a change of the pair leaves it open, the load report closes it."""
INSTRUCTION = "instruction"
"""Key of the instruction's text area: an example writes into it."""
ADDRESS, LIST_ADDRESS = "ask", "list"
"""The parameters of a page's address that hold the question with what is looked at, and the list of instructions."""
PASTED = "instructions"
"""Key of the text area of the list."""

OWN = "own template"
"""The name of a format that a person writes."""
GREEDY, SAMPLED = "greedy", "sampled"
AT_FIRST: dict[str, str | int | float | bool] = {
    INSTRUCTION: "",
    "length": 128,
    "same-tokens": False,
    "sampling": GREEDY,
    **Sampling().model_dump(),
    "samples": 1,
    "system": "",
    "format-base": "few-shot",
    "format-tuned": "chat",
    "format-both": "chat",
    "format-base-without-chat": "few-shot",
    "format-tuned-without-chat": "plain",
    "format-both-without-chat": "few-shot",
    **{f"template-{whose}": "Question: {instruction}\nAnswer:" for whose in (*SIDES, "both")},
}
"""Key -> first value of the editor's fields. They are not given to the widgets, which would quarrel with what a link brings."""

OF_THE_MODELS: dict[str, str] = {"attention_kind": "attention-kind", "layer": "layer", "head": "head"}
"""Field of a `View` -> key of its widget, for what cannot be chosen before the models are known."""
OF_ANY: dict[str, str] = {"quantity": "quantity", "extent": "extent", "measure": "measure"}
"""The same for the other widgets."""

_format = TypeAdapter[str](Format)


@dataclass(frozen=True)
class Form:
    """What stands in the editor: as typed, not checked yet."""

    instruction: str
    formats: Pair[str]
    same_tokens: bool
    max_new_tokens: int
    sampling: Mapping[str, float] | None
    """fields of `Sampling`; None: greedy"""
    samples: int
    system: str
    history: tuple[Message, ...]
    """earlier turns"""

    def request(self) -> GenerationRequest:
        """What both models are asked; a ValidationError says what cannot be asked."""
        if self.same_tokens:
            _format.validate_python(self.formats.tuned)  # one mistake, not one a side
        system = [{"role": "system", "content": self.system}] if self.system.strip() else []
        return GenerationRequest.model_validate(
            {
                "messages": (*system, *self.history, {"content": self.instruction}),
                "formats": self.formats,
                "same_tokens": self.same_tokens,
                "sampling": self.sampling,
                "max_new_tokens": self.max_new_tokens,
                "samples": self.samples,
            }
        )


@dataclass(frozen=True)
class Question:
    """What Run asked: whom, and what; every page shows its analysis of the same question."""

    specs: Specs
    request: GenerationRequest


@dataclass(eq=False)
class Held:
    """This visitor's hold on a job. Others may follow the same job, so that stopping it here need not stop it there."""

    job: Job
    stopped: bool = False
    partial: Any = None
    """what was there when this visitor stopped it"""

    @property
    def state(self) -> str:
        return "cancelled" if self.stopped else self.job.state

    @property
    def over(self) -> bool:
        return self.stopped or self.job.finished

    @property
    def result(self) -> Any:
        """The whole result, or None."""
        return None if self.stopped else self.job.result

    @property
    def shown(self) -> Any:
        """The best there is to look at: the result, else what came so far."""
        return self.partial if self.stopped else (self.job.result if self.job.result is not None else self.job.snapshot)


@dataclass
class Visit:
    """One visitor's state beside the values of the widgets."""

    chosen: Specs = catalogue.DEFAULT
    """the pair chosen last"""
    former: Specs = catalogue.DEFAULT
    """the pair that comes back when the chosen one cannot be opened"""
    report: Held | None = None
    """the load report of the chosen pair, which opens it"""
    refused: str | None = None
    """why the last choice of a pair was not taken, as a sentence"""
    recent: tuple[Specs, ...] = ()
    """pairs chosen before, the latest first"""
    reading: bool = False
    """whether the load report lies open"""
    linked: Link | None = None
    """the question that came with the address, until it is run"""
    unopened: Specs | None = None
    """the pair that came with it: nothing of it is looked for before Run"""
    wished: View | None = None
    """what the address wants to look at in models that are not known yet"""
    awaited: View | None = None
    """what it selects in an answer that is not known yet"""
    history: tuple[Message, ...] = ()
    """earlier turns, before the instruction"""
    asked: Form | None = None
    """the editor as it was when the question was asked"""
    question: Question | None = None
    problem: str | None = None
    """why the last Run was not accepted, as a sentence"""
    held: dict[str, Held] = field(default_factory=dict)
    """kind of analysis -> its job"""
    facts: Pair[ModelFacts] | None = None
    """of the models asked, once known"""
    told: list[Pair[ModelFacts]] = field(default_factory=list)
    """what the question's results said of the models"""
    side: Side = "tuned"
    """whose prompt and answer both models read on the attention and attribution pages"""
    token: int | None = None
    """the selected token, as a position in that answer"""
    pinned: tuple[int, int] | None = None
    """(query, key) pinned in the attention maps, since the token was selected"""
    split: tuple[Format, Format] | None = None
    """the formats, reference first, between which the difference is parted into format and weights; None: base's and tuned's"""

    @property
    def opened(self) -> bool:
        """Whether nothing speaks against the chosen pair, so far."""
        return self.report is None or self.report.state not in ("failed", "cancelled")

    @property
    def opening(self) -> bool:
        """Whether the chosen pair is on its way."""
        return self.report is not None and not self.report.over

    @property
    def pair(self) -> Specs:
        """The two models that are asked."""
        return self.unopened or self._opened_pair

    @property
    def _opened_pair(self) -> Specs:
        return self.chosen if self.opened else self.former


def visit() -> Visit:
    if "visit" not in st.session_state:
        st.session_state["visit"] = Visit()
        _read_address()
    return st.session_state["visit"]


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """One for the whole process."""
    return Engine(is_alive=is_alive)


@st.cache_resource(show_spinner=False)
def load_ahead() -> None:
    """Once in the life of the process, after the first page was drawn: importing torch at the same time would slow that page."""
    engine().warm(catalogue.DEFAULT)


def is_alive(owner: str) -> bool:
    """Whether a browser tab still holds this session; a hidden one does, however rarely its timers fire."""
    return not Runtime.exists() or Runtime.instance().is_active_session(owner)


def owner() -> str:
    context = get_script_run_ctx()
    assert context is not None, "session.py is used outside a page"
    return context.session_id


def choose_pair(specs: Specs) -> str | None:
    """From now on these two models are asked; they are opened in the background, and the pair before comes back if that fails.

    Returns why not, as a sentence, when there can be no such models: then nothing changes.
    """
    try:
        specs.map(checkpoints.key)
    except Refused as refused:
        return str(refused)
    here = visit()
    here.unopened = None
    if here.opening and here.chosen == specs:
        return None
    if not here.opened:
        here.recent = tuple(pair for pair in here.recent if pair != here.chosen)
    here.recent = tuple(dict.fromkeys((specs, *here.recent)))[:RECENT]
    _open(specs, former=here.former if here.opening else here.pair)
    return None


def report_pair() -> None:
    """Have the load report of the pair that is asked: the one at hand, else a new one."""
    here = visit()
    if here.unopened is not None:
        here.report = _silent(here.unopened)
    elif here.report is None or not here.opened:
        _open(here.pair, former=here.pair)


def _silent(specs: Specs) -> Held:
    """A load report that says nothing, of a pair that nobody asked to open."""
    job = Job(("load_report", specs, ("", ""), LoadReportRequest()), engine(), 0)
    job.finish("done")
    return Held(job)


def _open(specs: Specs, former: Specs) -> None:
    here = visit()
    if here.report is not None:
        engine().release(here.report.job, owner())
    here.chosen, here.former = specs, former
    here.report = Held(engine().submit("load_report", specs, LoadReportRequest(), owner(), background=True))


def cancel_opening() -> None:
    """The chosen pair is not wanted after all."""
    held = visit().report
    assert held is not None, "no pair is being opened"
    held.partial, held.stopped = held.job.snapshot, True
    engine().release(held.job, owner())


def other_pairs() -> list[Specs]:
    """Recent pairs but the present one and one that could not be opened."""
    here = visit()
    return [pair for pair in here.recent if pair not in (here.pair, here.chosen)]


def read_report() -> None:
    """The load report is to lie open, in place of the panel; made first where there is none."""
    here = visit()
    if here.unopened is not None:
        here.refused = choose_pair(here.unopened)
    else:
        report_pair()
    if here.unopened is None:
        here.reading = True
        st.session_state[PAIR_PANEL] = False


def close_report() -> None:
    visit().reading = False


def run() -> None:
    """Run was pressed: the question in the editor replaces the former one on every page, or the problem with it is kept for people to read."""
    here, now = visit(), form()
    question, here.asked = _question(now), now
    if question is not None and question == here.question:
        # What is over is asked for again: the engine has it at once, unless the models' files changed meanwhile.
        here.held = {kind: held for kind, held in here.held.items() if not held.over}
        return
    for held in here.held.values():
        engine().release(held.job, owner())
    if question is None or here.question is None or question.specs != here.question.specs:
        here.facts = None
    here.held, here.token, here.pinned, here.awaited, here.question = {}, None, None, None, question
    if question is not None:
        _arrive(question)


def _question(now: Form) -> Question | None:
    """What the editor asks, of a pair that there can be; else the problem is kept."""
    here = visit()
    try:
        request = now.request()
    except ValidationError as error:
        here.problem = explain(error)
        return None
    here.problem = None if here.unopened is None else choose_pair(here.unopened)
    return None if here.problem else Question(here.pair, request)


def _arrive(question: Question) -> None:
    """The question of the address was run, as it was or changed; what it selected is selected where it is the same."""
    here, came = visit(), visit().linked
    here.linked = None
    if came is not None and question == Question(came.specs, came.request):
        here.awaited = came.view


def edited() -> bool:
    """Whether the editor says something else than the question whose results are shown."""
    here = visit()
    return here.question is not None and (here.pair, form()) != (here.question.specs, here.asked)


def write_form(request: GenerationRequest) -> None:
    """Into the editor's fields, before they are drawn."""
    system, turns = _parts(request.messages)
    visit().history = turns[:-1]
    values: dict[str, str | int | float | bool] = {
        INSTRUCTION: turns[-1].content,
        "length": request.max_new_tokens,
        "same-tokens": request.same_tokens,
        "sampling": SAMPLED if request.sampling else GREEDY,
        **(request.sampling or Sampling()).model_dump(),
        "samples": request.samples,
        "system": system,
    }
    formats = {"both": request.formats.tuned} if request.same_tokens else dict(request.formats.items())
    for whose, format in formats.items():
        name = format if format in FORMATS else OWN
        values |= {format_key(whose, chat): name for chat in (True, False) if chat or name != "chat"}
        if name == OWN:
            values[f"template-{whose}"] = format
    for key, value in values.items():
        st.session_state[key] = value


def _parts(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """(system message, turns)"""
    first = messages[0]
    return (first.content, messages[1:]) if first.role == "system" else ("", messages)


def format_key(whose: str, chat: bool) -> str:
    """Key of a format's picker; pairs with and without a chat template keep their own choice."""
    return f"format-{whose}" if chat else f"format-{whose}-without-chat"


def askable() -> tuple[str, ...]:
    """Who is asked in a format of its own."""
    return ("both",) if st.session_state.get("same-tokens", AT_FIRST["same-tokens"]) else SIDES


def at_first(key: str) -> str:
    """The key of a field of the editor, which shows its first value until another one is typed.

    Written in every run: Streamlit keeps over a change of page only what was typed, or written in the run before.
    """
    st.session_state[key] = st.session_state.get(key, AT_FIRST[key])
    return key


def form() -> Form:
    """What stands in the editor."""
    fields = {key: st.session_state.get(key, first) for key, first in AT_FIRST.items()}
    chat, whose = not without_template(), askable()
    return Form(
        instruction=fields[INSTRUCTION],
        formats=Pair(whose[0], whose[-1]).map(lambda one: _typed_format(fields, one, chat)),
        same_tokens=fields["same-tokens"],
        max_new_tokens=fields["length"],
        sampling={name: fields[name] for name in Sampling.model_fields} if fields["sampling"] == SAMPLED else None,
        samples=fields["samples"] if fields["sampling"] == SAMPLED else 1,
        system=fields["system"],
        history=visit().history,
    )


def _typed_format(fields: Mapping[str, Any], whose: str, chat: bool) -> str:
    name = fields[format_key(whose, chat)]
    if name != OWN:
        return name
    template = fields[f"template-{whose}"]
    return f"{template}\n" if template in FORMATS else template  # the name of a format is no template


def go_on(answer: str) -> None:
    """The question and this answer to it become earlier turns; what was typed meanwhile stays."""
    here = visit()
    assert here.question is not None and here.asked is not None, "nothing was asked"
    _, turns = _parts(here.question.request.messages)
    here.history = (*turns, Message(role="assistant", content=answer))
    if st.session_state.get(INSTRUCTION) == here.asked.instruction:
        write_instruction("")


def forget_turns() -> None:
    visit().history = ()


# --- the address --------------------------------------------------------------------------------------------------------


def _read_address() -> None:
    """At the start of a visit: restores what the address says, and runs, opens and looks for nothing."""
    here = visit()
    try:
        if ADDRESS in st.query_params:
            _restore(link.decode(st.query_params[ADDRESS], Link))
        if LIST_ADDRESS in st.query_params:
            _restore_list(link.decode(st.query_params[LIST_ADDRESS], ListLink))
    except Refused as refused:
        here.problem = many().problem = str(refused)


def _restore(came: Link) -> None:
    here = visit()
    here.linked, here.wished = came, came.view
    here.unopened = None if came.specs == here.pair else came.specs
    here.side, here.split = came.view.side, came.view.split
    write_form(came.request)
    _write_view(came.view, OF_ANY)


def _restore_list(came: ListLink) -> None:
    """A list that cannot be pasted, because an instruction has several lines, stands there as if from a file."""
    here, listed = visit(), came.request.instructions
    here.unopened = None if came.specs == here.pair else came.specs
    many().linked = came
    write_form(_first_of(came.request))
    st.session_state[INSTRUCTION] = ""
    if any(len(one.splitlines()) != 1 for one in listed):
        keep_file("the link", Items(listed, tuple(range(1, len(listed) + 1)), ()))
    else:
        st.session_state[PASTED] = "\n".join(listed)


def _first_of(request: SurveyRequest) -> GenerationRequest:
    """The first instruction of a list as a question of its own."""
    system = [Message(role="system", content=request.system)] if request.system else []
    return GenerationRequest(messages=(*system, Message(content=request.instructions[0])), **_manner(request))


def _write_view(view: View, keys: Mapping[str, str]) -> None:
    for name, key in keys.items():
        if getattr(view, name) is not None:
            st.session_state[key] = getattr(view, name)


def look_as_wished() -> None:
    """What the address wanted to look at, once the models are known; before the pickers are drawn."""
    here = visit()
    if here.wished is not None and facts() is not None:
        _write_view(here.wished, OF_THE_MODELS)
        here.wished = None


def select_as_wished() -> bool:
    """What the address selects, once the answer is known and if it has that; True when that is news."""
    here = visit()
    answer = _known_answer(here.side) if here.awaited is not None else None
    if answer is None or here.awaited is None:
        return False
    wished, here.awaited = here.awaited, None
    if wished.side == here.side and (wished.token is None or wished.token < len(answer)):
        here.token, here.pinned = wished.token, wished.pinned
    return here.token is not None


def write_address() -> bool:
    """Makes the address say what is asked and looked at; False when that is too long for an address.

    Written whenever a page is drawn: a change of page drops it, and a rerun may swallow what was written before.
    """
    return _write(ADDRESS, _address())


def write_list_address() -> bool:
    """The same for the page of many instructions: whom the list was given to, and how it was asked."""
    here = many()
    came = here.linked
    if here.asking is not None:
        base, tuned = here.asking.specs.sides
        came = ListLink(base=base, tuned=tuned, request=here.asking.request)
    return _write(LIST_ADDRESS, "" if came is None else _fitting(came))


def _write(name: str, text: str | None) -> bool:
    if text:
        st.query_params[name] = text
    elif name in st.query_params:
        del st.query_params[name]
    return text is not None


def _fitting(whom: Whom) -> str | None:
    """As text; None: it would be too long for an address."""
    text = link.encode(whom)
    return text if link.fits(text) else None


def _address() -> str | None:
    """What the address has to say, nothing before something was asked; None: it would be too long."""
    here = visit()
    if here.linked is not None:
        specs, request = here.pair, here.linked.request
    elif here.question is not None:
        specs, request = here.question.specs, here.question.request
    else:
        return ""
    if sum(len(message.content) for message in request.messages) > link.MAX_LINK:
        return None
    return _fitting(Link(base=specs.base, tuned=specs.tuned, request=request, view=_view()))


def _view() -> View:
    """What this visitor looks at."""
    here = visit()
    if here.linked is not None:
        return here.linked.view
    wished = here.wished.model_dump(include=set(OF_THE_MODELS)) if here.wished else {}
    keys = OF_ANY if here.wished else OF_ANY | OF_THE_MODELS
    seen = {name: st.session_state.get(key) for name, key in keys.items()}
    selected = here.awaited or here
    return View(side=here.side, token=selected.token, pinned=selected.pinned, split=here.split, **wished, **seen)


def want(kind: str, request: Request) -> Held:
    """This visitor's job for this request to the question's models: the one held already, else a new one that takes its place."""
    here = visit()
    assert here.question is not None, "nothing was asked"
    held = here.held.get(kind)
    if held is None or not _answers(held, request):
        if held is not None:
            engine().release(held.job, owner())
        held = here.held[kind] = Held(engine().submit(kind, here.question.specs, request, owner()))
    return held


def learn(facts: Pair[ModelFacts]) -> bool:
    """Remembers what the models are; True when that is news, so that pickers drawn before have to be drawn again.

    A result tells it once: a page of two that differ (a model was read again, in another dtype) would be drawn for ever.
    """
    here = visit()
    if here.facts is not None and any(told is facts for told in here.told):
        return False
    news = here.facts is None or here.facts.map(astuple) != facts.map(astuple)
    here.told = [facts] if here.facts is None else [*here.told, facts]
    here.facts = facts
    return news


def facts() -> Pair[ModelFacts] | None:
    """What the question's models are, once known: from a result, else from their load report."""
    here = visit()
    report = _report()
    if here.facts is None and report is not None and here.question is not None and here.question.specs == here.pair:
        return report.models
    return here.facts


def without_template() -> bool:
    """Whether neither model of the present pair has a chat template, as far as their files tell; those of an address are not read."""
    if visit().unopened is not None:
        return False
    return not any(checkpoints.may_have_template(spec) for _, spec in visit().pair.items())


def _report() -> LoadReport | None:
    """What is known so far about the present pair."""
    here = visit()
    return here.report.shown if here.report is not None and here.opened else None


def _answers(held: Held, request: Request) -> bool:
    """Whether the held job is for this request, or for one that left the answer open and has found the same answer."""
    asked = held.job.request
    if asked == request:
        return True
    if getattr(asked, "answer_ids", ()) is not None or held.result is None:
        return False
    return asked.model_copy(update={"answer_ids": answer_ids(held.result)}) == request


def answer_ids(result: Any) -> tuple[int, ...]:
    """The forced answer in an attention or attribution result."""
    sequence = result.sequence
    return tuple(sequence.ids[sequence.positions("answer")].tolist())


def stop(kind: str) -> None:
    """Stop was pressed."""
    held = visit().held[kind]
    held.partial, held.stopped = held.job.snapshot, True
    engine().release(held.job, owner())


def again(kind: str) -> None:
    """Forget a failed or stopped job, so that the page asks anew."""
    visit().held.pop(kind, None)


def generation() -> Generation | None:
    """Both whole answers to the question, when they are there."""
    held = visit().held.get("generation")
    return held.result if held is not None else None


def shared_answer(side: Side) -> dict[str, Any]:
    """The fields that attention and attribution requests share: prompt format and answer of one side, by ids when it is known."""
    question = visit().question
    assert question is not None, "nothing was asked"
    asked = question.request
    return {
        "messages": asked.messages,
        "format": asked.formats[side],
        "answer_from": side,
        "answer_ids": _known_answer(side),
        "sampling": asked.sampling,
        "max_new_tokens": asked.max_new_tokens,
    }


def shift_request(split: tuple[Format, Format] | None) -> ShiftRequest:
    """Both whole answers to the question, read by both models; `split`: None for base's and tuned's formats."""
    question, whole = visit().question, generation()
    assert question is not None and whole is not None, "both answers come first"
    asked = {name: getattr(question.request, name) for name in Asked.model_fields}
    return ShiftRequest(**asked, answers=whole.answers.map(lambda one: tuple(one.answer.ids.tolist())), split=split)


def split_between(formats: tuple[Format, Format]) -> None:
    """Part the difference between these two formats, the reference first."""
    question = visit().question
    assert question is not None, "nothing was asked"
    visit().split = None if formats == question.request.formats.sides else formats


def rerun_fragment() -> None:
    """Draw again only the part of the page that is being drawn, where it is one; else the whole page."""
    context = get_script_run_ctx()
    st.rerun(scope="fragment" if context is not None and context.fragment_ids_this_run else "app")


def _known_answer(side: Side) -> tuple[int, ...] | None:
    answers = generation()
    if answers is not None:
        return tuple(answers.answers[side].answer.ids.tolist())
    for kind in ("attention", "attribution"):
        held = visit().held.get(kind)
        if held is not None and held.result is not None and _text_of(held.job) == side:
            return answer_ids(held.result)
    return None


def _text_of(job: Job) -> Side:
    """Whose prompt and answer a job's models read."""
    assert isinstance(job.request, SharedSequence), job.kind
    return job.request.answer_from


def read_along(side: Side) -> None:
    """Choose whose prompt and answer both models read."""
    here = visit()
    if here.side != side:
        here.side, here.token, here.pinned = side, None, None


def select_token(side: Side, token: int | None) -> None:
    """Select one token of a side's answer, on every page; None: none is selected."""
    here = visit()
    here.side, here.token, here.pinned = side, token, None


def cell(sequence: Encoded) -> tuple[int, int] | None:
    """The pinned cell of the attention maps of this visitor."""
    return cell_of(visit(), sequence)


def cell_of(here: Visit, sequence: Encoded) -> tuple[int, int] | None:
    """(query, key) pinned by a click in the maps, else the diagonal of the row that chose the selected token."""
    if here.pinned is not None or here.token is None:
        return here.pinned
    query = int(sequence.positions("answer")[0]) + here.token - 1
    return query, query


def pin(chosen: tuple[int, int] | None, sequence: Encoded) -> None:
    """Pin a cell of the maps for this visitor."""
    pin_in(visit(), chosen, sequence)


def pin_in(here: Visit, chosen: tuple[int, int] | None, sequence: Encoded) -> None:
    """Pin a cell; this selects the token that its row chose, if that is one of the answer."""
    here.pinned, here.token = chosen, None
    if chosen is not None:
        answer = sequence.positions("answer")
        token = chosen[0] + 1 - int(answer[0])
        here.token = token if 0 <= token < len(answer) else None


def write_instruction(text: str) -> None:
    st.session_state[INSTRUCTION] = text


# --- many instructions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asking:
    """Whom a list of instructions was given to."""

    specs: Specs
    request: SurveyRequest


@dataclass
class Many:
    """The list of one visitor, which outlives the questions of the other pages."""

    linked: ListLink | None = None
    """the list that came with the address, until it is run"""
    file: tuple[str, Items | str] | None = None
    """name of the file that was given, and what it holds or why it cannot be read, as a sentence"""
    asking: Asking | None = None
    held: Held | None = None
    """the survey; it goes on while other pages are looked at"""
    begun: tuple[float, float] | None = None
    """(monotonic seconds, share of the list that was done) when its first instructions were seen to be done"""
    problem: str | None = None
    """why the last Run, or an opened row, was not accepted, as a sentence"""
    opened: bool = False
    """whether a row was opened, so that the Compare page is to be shown"""
    forgotten: int = 0
    """how many files were given up; each has an uploader of its own, because none can be emptied"""


def many() -> Many:
    if "many" not in st.session_state:
        st.session_state["many"] = Many()
    return st.session_state["many"]


def survey(instructions: tuple[str, ...]) -> None:
    """Run was pressed under a list: both models are asked each of these in the background, in the editor's manner."""
    wanted = _asking(instructions)
    if isinstance(wanted, str):
        many().problem = wanted
    else:
        _survey(wanted)


def _survey(asking: Asking) -> None:
    here, before = many(), many().held
    here.asking, here.begun, here.problem, here.linked = asking, None, None, None
    here.held = Held(engine().submit("survey", asking.specs, asking.request, owner(), background=True))
    if before is not None and before.job is not here.held.job:
        engine().release(before.job, owner())


def _asking(instructions: tuple[str, ...]) -> Asking | str:
    """The editor's manner for each of these instructions, without earlier turns; or why that cannot be asked."""
    here = visit()
    try:
        asked = replace(form(), instruction=instructions[0], history=()).request()
        request = SurveyRequest(instructions=instructions, system=_parts(asked.messages)[0] or None, **_manner(asked))
    except ValidationError as error:
        return explain(error)
    problem = None if here.unopened is None else choose_pair(here.unopened)
    return problem or Asking(here.pair, request)


def _manner(asked: Manner) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in Manner.model_fields}


def relisted(instructions: tuple[str, ...]) -> bool:
    """Whether this list, or how it would be asked, or whom, is another than the one whose results are shown."""
    asking = many().asking
    return asking is not None and (visit().unopened is not None or _asking(instructions) != asking)


def stop_survey() -> None:
    """Stop was pressed: what is done stays."""
    held = many().held
    assert held is not None, "no list is being asked"
    held.partial, held.stopped = held.job.snapshot, True
    engine().release(held.job, owner())


def survey_again() -> None:
    """The same list once more, from its beginning."""
    asking = many().asking
    assert asking is not None, "no list was asked"
    _survey(asking)


def open_listed(instruction: str) -> None:
    """One instruction of the list becomes the question of every page, asked of the same models in the same manner."""
    here, asking = many(), many().asking
    assert asking is not None, "no list was asked"
    here.problem = None if visit().pair == asking.specs else choose_pair(asking.specs)
    if here.problem is not None:
        return
    write_form(_first_of(asking.request.model_copy(update={"instructions": (instruction,)})))
    run()
    here.opened = True


def row_was_opened() -> bool:
    """Whether a row was opened since this was last asked."""
    here = many()
    opened, here.opened = here.opened, False
    return opened


def keep_file(name: str, read: Items | str) -> None:
    """A file takes the place of the pasted list."""
    here = many()
    here.file, here.problem = (name, read), None


def forget_file() -> None:
    here = many()
    here.file, here.problem, here.forgotten = None, None, here.forgotten + 1


def forget_problem() -> None:
    many().problem = None


def write_list(key: str, text: str) -> None:
    """Into the text area of the list, in a callback."""
    st.session_state[key] = text


def time_left(held: Held) -> float | None:
    """Seconds until a survey is done, if it goes on as since its first instructions were seen to be done."""
    here, now, done = many(), time.monotonic(), held.job.fraction
    if held.job.snapshot is None:  # the models are loaded first, which has a progress of its own
        return None
    here.begun = here.begun or (now, done)
    since, before = here.begun
    return (1 - done) * (now - since) / (done - before) if done > before else None


def select_row(key: str, row: int | None) -> None:
    """The row that a table shows as chosen when it is drawn next; None: no row."""
    st.session_state[key] = {"selection": {"rows": [] if row is None else [row], "columns": [], "cells": []}}


def keep_among(key: str, options: Sequence[Any]) -> None:
    """Keeps a remembered choice among what the present models offer: of numbers the nearest, else the first."""
    kept = st.session_state.get(key)
    if kept is not None and kept not in options:
        numbers = isinstance(kept, int)
        st.session_state[key] = min(options, key=lambda one: abs(one - kept)) if numbers else options[0]


def busy() -> bool:
    """Whether a job is running; when none is and one waits, the models are still being loaded."""
    return any(job.state == "running" for job in engine().jobs())


def background_jobs() -> Iterable[Job]:
    return [job for job in engine().jobs() if job.background]


def dark() -> bool:
    return st.context.theme.type == "dark"


def keep_panel() -> None:
    """Keeps the panel of the pair as it is when its label changes, which makes another panel of it for Streamlit."""
    st.session_state[PAIR_PANEL] = st.session_state.get(PAIR_PANEL, False)


def take(key: str) -> Any:
    """A widget's value, and back to nothing chosen; for menus that act, in their callback."""
    value = st.session_state[key]
    st.session_state[key] = None
    return value


def value(key: str) -> Any:
    """A widget's value, in its callback."""
    return st.session_state[key]
