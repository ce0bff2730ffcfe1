"""The address of a page: what goes in comes out, nonsense gets one sentence, and opening one runs, opens and asks for nothing."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard.link import MAX_LINK, Link, ListLink, View, decode, encode, fits
from dashboard.session import pairs, visits
from dashboard.widgets.movement import CERTAINTY
from dashboard.widgets.reliance import EXTENTS
from dashboard.widgets.text import plain
from model_utils import checkpoints
from model_utils.catalogue import DEFAULT, EMBEDDED
from model_utils.contracts.attribution import QUANTITIES
from model_utils.contracts.common import FORMATS, Message, ModelSpec, Sampling, Specs, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.shift import MEASURES
from model_utils.contracts.survey import SurveyRequest
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair
from tests import results
from tests.strategies import AWKWARD, instructions, texts
from tests.test_pages import APP, PAGES, FakeEngine, FakeJob, checked, done, engine, go, kept, words, written

pytestmark = pytest.mark.slow

__all__ = ["engine"]

names = texts.filter(bool)
formats = st.one_of(st.sampled_from(FORMATS), texts.map(lambda text: text.replace("{", "") + "{instruction}\nA:"))
places = st.integers(0, 1 << 20)
requests = st.builds(
    GenerationRequest,
    messages=st.tuples(
        st.builds(Message, role=st.just("system"), content=instructions),
        st.builds(Message, role=st.just("user"), content=instructions),
        st.builds(Message, role=st.just("assistant"), content=instructions),
        st.builds(Message, content=instructions),
    ).flatmap(lambda turns: st.sampled_from([turns, turns[1:], turns[3:]])),
    formats=st.builds(Pair, formats, formats),
    sampling=st.builds(
        Sampling,
        temperature=st.floats(0.01, 10),
        top_k=st.integers(0, 1 << 31),
        top_p=st.floats(1e-6, 1),
        seed=st.integers(0, 2**32 - 1),
    ),
    max_new_tokens=st.integers(1, 4_096),
    samples=st.integers(1, 16),
)
specs = st.builds(ModelSpec, id=names, revision=st.none() | names, adapter=st.none() | names)
views = st.builds(
    View,
    side=st.sampled_from(SIDES),
    token=st.none() | places,
    pinned=st.none() | st.tuples(places, places),
    split=st.none() | st.tuples(formats, formats),
    layer=st.none() | places,
    head=st.none() | places | st.sampled_from(["mean", "strongest"]),
    quantity=st.none() | st.sampled_from(QUANTITIES),
    measure=st.none() | st.sampled_from(MEASURES),
    instruction_only=st.none() | st.booleans(),
    against=st.none() | places | texts.filter(str.strip),
)
links = st.builds(Link, base=specs, tuned=specs, request=requests, view=views)


def link(instruction: str = "What is the capital?", pair: Specs = DEFAULT, **view: Any) -> Link:
    request = GenerationRequest(messages=ask(instruction), max_new_tokens=17)
    return Link(base=pair.base, tuned=pair.tuned, request=request, view=View(**view))


def changed(**fields: Any) -> str:
    """The text of a link with these fields in the place of its own."""
    return json.dumps({**json.loads(encode(link())), **fields})


def told(text: str) -> str:
    with pytest.raises(Refused) as caught:
        decode(text, Link)
    return str(caught.value)


# In and out


@given(links.filter(lambda one: fits(encode(one))))
def test_what_goes_in_comes_out(one: Link):
    assert decode(encode(one), Link) == one


@given(texts)
def test_any_other_text_is_refused(text: str):
    told(text)


def test_what_is_as_always_takes_no_room():
    assert len(encode(link())) < 200
    assert "view" not in encode(link())


def test_an_address_counts_what_its_characters_become():
    """One emoji is twelve characters of an address."""
    assert fits("x" * MAX_LINK) and not fits("x" * (MAX_LINK + 1))
    assert fits("🎉" * (MAX_LINK // 12)) and not fits("🎉" * (MAX_LINK // 12 + 1))


def test_a_view_names_what_the_pages_offer():
    assert get_args(get_args(get_type_hints(View)["extent"])[0]) == EXTENTS
    assert View(measure=CERTAINTY).measure == CERTAINTY


# Edited by hand

ASKED = json.loads(encode(link()))["request"]
NONSENSE: dict[str, str] = {
    "nothing": "",
    "cut": encode(link())[:-9],
    "no JSON": "What is the capital?",
    "a list": "[1, 2]",
    "null": "null",
    "nothing in it": "{}",
    "nested too deep": "[" * 5_000,
    "too long": changed(view={"side": "x" * MAX_LINK}),
    "an unknown field": changed(surprise=1),
    "an unknown field in the view": changed(view={"surprise": 1}),
    "an unknown side in the formats": changed(request={**ASKED, "formats": {"base": "chat", "tuned": "chat", "x": "chat"}}),
    "a wrong type": changed(base="demo/base"),
    "a number as text": changed(view={"layer": "3"}),
    "a negative number": changed(view={"layer": -1}),
    "a giant number": changed(view={"head": 10**400}),
    "no number": changed(request={**ASKED, "sampling": {"temperature": float("nan")}}),
    "an endless number": '{"view": {"token": 1e999}}',
    "a giant k": changed(request={**ASKED, "sampling": {"top_k": 10**30}}),
    "half a character": encode(link("half \\ud800")).replace("\\\\", "\\"),
    "no message": changed(request={**ASKED, "messages": []}),
    "an empty instruction": changed(request={**ASKED, "messages": [{"content": " "}]}),
    "a template without a place": changed(request={**ASKED, "formats": {"base": "nothing", "tuned": "chat"}}),
    "many greedy answers": changed(request={**ASKED, "samples": 3}),
    "against nothing": changed(view={"against": " "}),
    "against two": changed(view={"against": ["deny", "refuse"]}),
    "against a token before the first": changed(view={"against": -1}),
    "against a token of no vocabulary": changed(view={"against": 10**400}),
    "neither on nor off": changed(view={"instruction_only": "yes"}),
    "an unknown measure": changed(view={"measure": "luck"}),
    "markup": changed(**{"<img src=x onerror=alert(1)> ![x](http://example.com/x.png)": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", NONSENSE)
def test_a_link_edited_by_hand_gets_one_sentence(name: str):
    sentence = told(NONSENSE[name])
    assert len(sentence) < 400 and sentence.endswith("the page was opened without it.")


@pytest.mark.slow
@pytest.mark.parametrize("name", NONSENSE)
def test_a_page_opened_by_such_a_link_is_usable(engine: FakeEngine, name: str):
    app = opened(NONSENSE[name])
    assert [one.value for one in app.error] == [plain(told(NONSENSE[name]))]
    assert "ask" not in app.query_params, "a reload is not told the same again"
    app.text_area(key="instruction").set_value("What is the capital?")
    checked(app.button(key="run").click().run())
    assert not app.error and len(engine.asked("generation")) == 1


# Opening one


def opened(text: str, page: str = "compare") -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["ask"] = text
    if page != "compare":
        app.switch_page(f"screens/{page}.py")
    return checked(app.run())


def address(app: AppTest) -> Link:
    text = app.query_params["ask"]
    return decode(text if isinstance(text, str) else text[-1], Link)


def says(app: AppTest, came: Link) -> bool:
    """Whether the address says this question and this view, and of what else is looked at whatever the page shows."""
    now = address(app)
    named = came.view.model_dump(exclude_defaults=True)
    return now.model_copy(update={"view": View()}) == came.model_copy(update={"view": View()}) and all(
        getattr(now.view, name) == value for name, value in named.items()
    )


def press_run(app: AppTest) -> AppTest:
    return checked(app.button(key="run").click().run())


FULL = GenerationRequest(
    messages=(
        Message(role="system", content="Answer in one word."),
        Message(content="What is the capital?"),
        Message(role="assistant", content="<b>Paris</b>"),
        Message(content="And of Austria?"),
    ),
    formats=Pair("plain", "Q: {instruction}\nA:"),
    sampling=Sampling(temperature=0.7, top_k=40, top_p=0.9, seed=7),
    samples=3,
    max_new_tokens=17,
)


@pytest.mark.parametrize("page", PAGES)
def test_a_link_fills_the_form_and_runs_nothing_before_run(engine: FakeEngine, page: str):
    came = Link(base=DEFAULT.base, tuned=DEFAULT.tuned, request=FULL, view=View(side="base"))
    app = opened(encode(came), page)
    assert "This question came with the link; press Run to ask it." in words(app)
    assert not engine.submitted and not app.error
    assert app.text_area(key="instruction").value == "And of Austria?"
    assert app.text_area(key="system").value == "Answer in one word."
    assert app.text_area(key="template-tuned").value == "Q: {instruction}\nA:"
    assert any("&lt;b&gt;Paris&lt;/b&gt;" in body for body in written(app))
    for other in PAGES:
        assert address(go(app, other)) == came, "it stays in the address of every page"
    go(app, page)
    press_run(app)
    assert kept(app).question == visits.Question(DEFAULT, FULL)
    assert "came with the link" not in words(app) and "You changed the question" not in words(app)
    assert says(app, came)


@pytest.mark.parametrize("format", [*FORMATS, "Ask: {instruction}"])
def test_one_format_for_both_comes_back(engine: FakeEngine, format: str):
    request = GenerationRequest(messages=ask("Why?"), formats=Pair(format, format), same_tokens=True)
    press_run(opened(encode(Link(base=DEFAULT.base, tuned=DEFAULT.tuned, request=request))))
    assert engine.asked("generation") == [request]


def test_a_pair_of_a_link_is_shown_and_not_looked_for_before_run(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch):
    """Neither on this machine nor on the Hub, not even by opening the panel of the pair: whoever wrote the link chose its names."""
    located: list[str] = []
    locate = checkpoints.locate
    monkeypatch.setattr(checkpoints, "locate", lambda spec: located.append(spec.id) or locate(spec))
    far = Pair(ModelSpec(id="owner/base", revision="../../x"), ModelSpec(id="/etc", adapter="owner/adapter"))
    app = opened(encode(link(pair=far)))
    assert kept(app).pair == far
    app.session_state[pairs.PAIR_PANEL] = True
    checked(app.run())
    go(app, "attention")
    assert not located and not engine.submitted
    press_run(app)
    assert "lies outside the folders" in app.error[0].value and not engine.submitted
    assert address(app).specs == far and app.text_area(key="instruction").value == "What is the capital?"
    app.session_state[pairs.PAIR_PANEL] = True
    checked(app.run())
    engine.make = with_reports
    checked(app.button(key="embedded-0").click().run())
    press_run(app)
    assert not app.error and kept(app).question.specs == DEFAULT  # type: ignore[union-attr]


def test_the_pair_of_a_link_is_opened_by_run(engine: FakeEngine):
    engine.make, flawed = with_reports, EMBEDDED[1].specs
    app = opened(encode(link(pair=flawed)))
    assert kept(app).pair == flawed and not engine.submitted
    press_run(app)
    assert kept(app).question.specs == flawed == kept(app).pair  # type: ignore[union-attr]
    assert [job.kind for job in engine.submitted][:2] == ["load_report", "generation"]
    assert address(app).specs == flawed


@pytest.mark.parametrize("page", [*PAGES, "many"])
def test_whom_run_opens_is_named_whole_before_it_is_pressed(engine: FakeEngine, page: str):
    """Whoever wrote the link chose what is downloaded."""
    far = Pair(ModelSpec(id="owner/base", revision="v1"), ModelSpec(id="owner/[tuned]", adapter="else/adapter"))
    request = SurveyRequest(instructions=("Name three.",))
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["ask"] = encode(link(pair=far))
    if page == "many":
        app.query_params["list"] = encode(ListLink(base=far.base, tuned=far.tuned, request=request))
    go(app, page)
    said = plain("Run opens owner/base@v1 and owner/[tuned] + else/adapter")
    assert said in words(app) and "what is not on this machine is downloaded" in words(app)
    engine.make = with_reports
    app.session_state[pairs.PAIR_PANEL] = True
    checked(checked(app.run()).button(key="embedded-0").click().run())
    assert "Run opens" not in words(app)


def test_the_load_report_of_a_links_pair_is_made_when_it_is_asked_for(engine: FakeEngine):
    app = opened(encode(link(pair=EMBEDDED[1].specs)))
    app.session_state[pairs.PAIR_PANEL] = True
    checked(app.run())
    assert not engine.submitted
    engine.make = with_reports
    checked(app.button(key="read-report").click().run())
    assert [job.kind for job in engine.submitted] == ["load_report"]
    assert kept(app).pair == EMBEDDED[1].specs and "came with the link" in words(app)


def with_reports(kind: str, request: Any) -> FakeJob:
    return FakeJob(kind, request, result=results.load_report()) if kind == "load_report" else done(kind, request)


# The view


def test_the_view_of_attention_comes_back(engine: FakeEngine):
    came = link(side="base", token=1, pinned=(3, 2), layer=2, head=1)
    app = opened(encode(came), "attention")
    press_run(app)
    assert says(app, came)
    request = engine.asked("attention")[-1]
    assert (request.layer, request.answer_from, app.session_state["head"]) == (2, "base", 1)
    assert (kept(app).pinned, kept(app).token) == ((3, 2), 1)


@pytest.mark.parametrize("head", ["mean", "strongest"])
def test_the_map_of_many_heads_comes_back(engine: FakeEngine, head: str):
    came = link(layer=1, head=head)
    app = press_run(opened(encode(came), "attention"))
    assert says(app, came) and not app.error
    assert (engine.asked("attention")[-1].layer, app.session_state["head"]) == (1, head)


def test_the_view_of_attribution_comes_back(engine: FakeEngine):
    came = link(token=2, quantity="log-probability")
    app = press_run(opened(encode(came), "attribution"))
    assert says(app, came)
    assert (engine.asked("attribution")[-1].targets, engine.asked("attribution")[-1].quantity) == (
        (2,),
        "log-probability",
    )


@pytest.mark.parametrize(
    "against", ["Rome", " <b>Rome</b>", 7, results.generation().answers.tuned.alternative_ids[2, 1].item()]
)
@pytest.mark.parametrize("first", ["attribution", "compare"])
def test_what_a_token_is_explained_against_comes_back_with_it(engine: FakeEngine, against: str | int, first: str):
    """On the page itself, where the answer is known only with the first scores, and after the answers of Compare."""
    came = link(token=2, against=against, instruction_only=True, extent="one token")
    app = press_run(opened(encode(came), first))
    assert says(app, came)
    go(app, "attribution")
    asked = engine.asked("attribution")[-1]
    assert (asked.targets, asked.against, asked.answer_too) == ((2,), against, False)
    assert says(app, came) and not app.error
    (box,) = [one for one in app.selectbox if str(one.key).startswith("against-")]
    assert box.value in ("other", f"token number {against}") if isinstance(against, int) else box.value == against
    checked(box.set_value(None).run())
    assert engine.asked("attribution")[-1].against is None and address(app).view.against is None
    checked(app.toggle(key="prompt-only").set_value(False).run())
    assert engine.asked("attribution")[-1].answer_too and address(app).view.instruction_only is False


def test_each_token_is_explained_against_its_own_choice_and_another_question_against_none(engine: FakeEngine):
    app = go(press_run(opened(encode(link()))), "attribution")

    def box() -> Any:
        (found,) = [one for one in app.selectbox if str(one.key).startswith("against-")]
        return found

    checked(box().set_value("other").run())
    other = results.generation().answers.tuned.alternative_ids[0, 1].item()
    assert address(app).view.against == other
    kept(app).token = 1
    checked(app.run())
    assert engine.asked("attribution")[-1].against is None and address(app).view.against is None
    go(app, "compare")
    kept(app).token = 0
    go(app, "attribution")
    assert engine.asked("attribution")[-1].against == other and box().value == "other"
    app.text_area(key="instruction").set_value("Something else?")
    press_run(app)
    assert engine.asked("attribution")[-1].against is None


def test_the_address_follows_the_view(engine: FakeEngine):
    app = press_run(opened(encode(link()), "attention"))
    checked(app.number_input(key="layer").set_value(2).run())
    assert address(app).view.layer == 2
    go(app, "attribution")
    app.session_state["extent"] = "the whole answer"
    checked(app.run())
    assert (address(app).view.layer, address(app).view.extent) == (2, "the whole answer")
    reopened = press_run(opened(encode(address(app)), "attribution"))
    assert engine.asked("attribution")[-1].targets == ()
    assert address(reopened) == address(app)


@pytest.mark.parametrize("page", PAGES)
def test_numbers_beyond_the_models_and_the_answer_are_brought_back_to_them(engine: FakeEngine, page: str):
    app = opened(encode(link(token=1_000_000, pinned=(1_000_000, 5), layer=99, head=99)), page)
    press_run(app)
    for other in PAGES:
        assert not go(app, other).error
    assert kept(app).token is None
    assert engine.asked("attention")[-1].layer == results.LAYERS - 1
    assert go(app, "attention").session_state["head"] == results.HEADS - 1 == address(app).view.head


def test_another_question_than_the_links_selects_no_token(engine: FakeEngine):
    app = opened(encode(link(token=1)))
    app.text_area(key="instruction").set_value("Something else?")
    press_run(app)
    assert kept(app).token is None and "came with the link" not in words(app)


def test_a_question_too_long_for_an_address_is_asked_and_said_so(engine: FakeEngine):
    app = opened(encode(link()))
    app.text_area(key="instruction").set_value("x" * (MAX_LINK + 1))
    press_run(app)
    assert len(engine.asked("generation")) == 1
    assert "too long for the address" in words(app) and "ask" not in app.query_params
    app.text_area(key="instruction").set_value("short")
    press_run(app)
    assert "too long for the address" not in words(app) and "ask" in app.query_params


def test_nothing_of_a_hostile_link_is_drawn_as_markup(engine: FakeEngine):
    hostile = "<script>alert(1)</script> ![x](http://example.com/x.png) :material/home:" + "".join(AWKWARD)
    request = GenerationRequest(messages=(*ask(hostile), Message(role="assistant", content=hostile), *ask(hostile)))
    pair = Pair(ModelSpec(id=hostile, revision=hostile, adapter=hostile), ModelSpec(id=hostile))
    app = opened(encode(Link(base=pair.base, tuned=pair.tuned, request=request)))
    press_run(app)
    assert app.error
    shown = [element.value for kind in ("markdown", "caption", "warning", "error") for element in app.get(kind)]
    assert not [value for value in shown if "![x](" in value or "<script>" in value]
    assert not [body for body in written(app) if "<script>alert" in body]


# A list of instructions

lists = st.builds(
    ListLink,
    base=specs,
    tuned=specs,
    request=st.builds(SurveyRequest, instructions=st.lists(instructions, min_size=1, max_size=4).map(tuple)),
)


def surveyed(kind: str, request: Any) -> FakeJob:
    return FakeJob(kind, request, result=results.survey())


@given(lists.filter(lambda one: fits(encode(one))))
def test_a_list_that_goes_in_comes_out(one: ListLink):
    assert decode(encode(one), ListLink) == one


@pytest.mark.parametrize("listed", [("Name three.", "Sort 3, 1, 2."), ("Two\nlines.", "One <b>line</b>.")])
def test_the_address_of_a_list_brings_it_back_and_asks_nobody(engine: FakeEngine, listed: tuple[str, ...]):
    request = SurveyRequest(instructions=listed, formats=Pair("plain", "plain"), system="Be brief.", max_new_tokens=9)
    came = ListLink(base=DEFAULT.base, tuned=DEFAULT.tuned, request=request)
    engine.make = surveyed
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["list"] = encode(came)
    checked(app.run())
    go(app, "many")
    assert not engine.submitted and "This list came with the link; press Run to ask it." in words(app)
    assert app.selectbox(key="format-base").value == "plain" and app.number_input(key="length").value == 9
    checked(app.button(key="run").click().run())
    assert engine.asked("survey") == [request]
    text = app.query_params["list"]
    assert decode(text if isinstance(text, str) else text[-1], ListLink) == came
    assert "came with the link" not in words(app)


def reloaded(**parameters: str) -> AppTest:
    """The page of the list, opened with this address."""
    app = AppTest.from_file(APP, default_timeout=60)
    for name, text in parameters.items():
        app.query_params[name] = text
    app.switch_page("screens/many.py")
    return checked(app.run())


def parameter(app: AppTest, name: str) -> str:
    text = app.query_params[name]
    return text if isinstance(text, str) else text[-1]


@pytest.mark.parametrize("listed", [DEFAULT, EMBEDDED[1].specs])
@pytest.mark.parametrize("asked", [DEFAULT, EMBEDDED[1].specs])
def test_a_reload_of_the_list_brings_back_the_question_too_each_in_its_own_manner(
    engine: FakeEngine, asked: Specs, listed: Specs
):
    """The list took the editor for itself: an emptied instruction and a manner that nobody had asked in stood on Compare."""
    engine.make = lambda kind, request: surveyed(kind, request) if kind == "survey" else with_reports(kind, request)
    one = Link(base=asked.base, tuned=asked.tuned, request=FULL, view=View(side="base"))
    request = SurveyRequest(instructions=("Name three.",), formats=Pair("plain", "plain"), max_new_tokens=9)
    many = ListLink(base=listed.base, tuned=listed.tuned, request=request)
    app = reloaded(ask=encode(one), list=encode(many))
    for page, length, pair in (("compare", 17, asked), ("many", 9, listed), ("compare", 17, asked)):
        assert address(checked(go(app, page).run())) == one and kept(app).pair == pair
        assert app.number_input(key="length").value == length
    assert app.text_area(key="instruction").value == "And of Austria?"
    go(app, "many")
    assert decode(parameter(app, "list"), ListLink) == many and not engine.submitted
    press_run(app)
    assert engine.asked("survey") == [request] and app.session_state["many"].asking.specs == listed
    assert address(app) == one, "the question is still to be asked"
    press_run(checked(go(app, "compare").run()))
    assert kept(app).question == visits.Question(asked, FULL)


def test_what_was_changed_since_a_reload_stays_on_every_page(engine: FakeEngine):
    request = SurveyRequest(instructions=("Name three.",), max_new_tokens=9)
    many = ListLink(base=DEFAULT.base, tuned=DEFAULT.tuned, request=request)
    app = reloaded(ask=encode(link()), list=encode(many))
    checked(app.number_input(key="length").set_value(33).run())
    for page in (*PAGES, "many"):
        assert checked(go(app, page).run()).number_input(key="length").value == 33


def test_of_two_parameters_the_one_that_can_be_read_is_brought_back(engine: FakeEngine):
    many = ListLink(base=DEFAULT.base, tuned=DEFAULT.tuned, request=SurveyRequest(instructions=("Name three.",)))
    app = reloaded(ask="{", list=encode(many))
    assert app.text_area(key="instructions").value == "Name three." and not app.error
    assert ["the page was opened without it" in one.value for one in go(app, "compare").error] == [True]
    app = reloaded(ask=encode(link()), list="{")
    assert ["the page was opened without it" in one.value for one in app.error] == [True]
    assert go(app, "compare").text_area(key="instruction").value == "What is the capital?" and not app.error


def test_a_list_too_long_for_an_address_has_no_link(engine: FakeEngine):
    engine.make = surveyed
    app = checked(AppTest.from_file(APP, default_timeout=60).run())
    go(app, "many")
    app.text_area(key="instructions").set_value("\n".join(f"Name {number} things." for number in range(900)))
    checked(app.button(key="run").click().run())
    assert "too long for the address" in words(app) and "list" not in app.query_params


@pytest.mark.parametrize(
    "text", ["{", "[]", encode(link()), '{"base":{"id":"a/b"},"tuned":{"id":"a/b"},"request":{"instructions":[]}}']
)
def test_a_list_edited_by_hand_is_one_sentence(engine: FakeEngine, text: str):
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["list"] = text
    checked(app.run())
    go(app, "many")
    assert ["the page was opened without it" in one.value for one in app.error] == [True]
    assert not engine.submitted
