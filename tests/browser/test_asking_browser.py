"""Asking in a real Chromium: the editor's fields, the address that brings a question back, and a narrow window."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from playwright.sync_api import Page, expect

from dashboard.link import Link, View, decode, encode
from model_utils.catalogue import DEFAULT, EMBEDDED
from model_utils.contracts.common import Message, ModelSpec, Sampling, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.pair import Pair
from tests.browser.guard import Guard
from tests.browser.test_app_browser import (
    HOSTILE,
    LOADED,
    QUESTION,
    go,
    maps_drawn,
    open_at,
    picker,
    run,
    whole,
    written,
)
from tests.browser.test_app_browser import ask as ask_at

CAME = "This question came with the link; press Run to ask it."
OWN = "own template: in your own text"


def address(page: Page) -> Link:
    return decode(parse_qs(urlsplit(page.url).query)["ask"][0], Link)


def says(page: Page, wanted: Callable[[Link], bool]) -> None:
    """Waits until the address says what is wanted; a change of page takes it away for a moment."""
    for _ in range(100):
        if "ask=" in page.url and wanted(address(page)):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"The address is {page.url}")


def open_link(page: Page, url: str, text: str, path: str = "") -> None:
    open_at(page, url, f"{path}?ask={quote_plus(text)}")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=re.compile(label)).click()
    page.get_by_role("option", name=option).click()


def more(page: Page) -> None:
    page.get_by_role("button", name="More", exact=True).click()
    expect(page.get_by_text("The same tokens on both sides")).to_be_visible()


def close_more(page: Page) -> None:
    """As people do, by a click beside it, which also takes what was typed last."""
    page.get_by_test_id("stAppViewContainer").click(position={"x": 8, "y": 400})
    expect(page.get_by_text("The same tokens on both sides")).to_be_hidden()


def fill(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True).last
    field.fill(value)
    field.press("Enter")
    expect(field).to_have_value(value)


def no_scroll_to_the_side(page: Page) -> None:
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    main = page.get_by_test_id("stMain").evaluate("main => [main.scrollWidth, main.clientWidth]")
    assert widths[0] <= widths[1] and main[0] <= main[1], (widths, main)


def forgive_probe(guard: Guard) -> None:
    """Streamlit's own page looks for its server below the opened address before it looks at the root."""
    probe = re.compile(r"404 .*/(attention|attribution|many)/_stcore/(health|host-config)")
    guard.errors[:] = [error for error in guard.errors if not probe.search(error)]


def test_a_reload_restores_the_question_and_runs_nothing_before_run(page: Page, app_server: str):
    open_at(page, app_server)
    choose(page, "Format for base", OWN)
    page.get_by_label("Template for base", exact=True).fill("Task: {instruction}\nReply:")
    more(page)
    page.get_by_text("sampled: drawn at random").click()
    fill(page, "Seed", "11")
    close_more(page)
    ask_at(page, QUESTION, tokens=12)
    whole(page)
    answers = [written(page, side).first.inner_text() for side in ("base", "tuned")]
    says(page, lambda link: link.request.sampling == Sampling(seed=11))
    page.reload()
    expect(page.get_by_text(CAME)).to_be_visible(timeout=LOADED)
    expect(page.get_by_label("Instruction", exact=True)).to_have_value(QUESTION)
    expect(page.get_by_label("Template for base", exact=True)).to_have_value("Task: {instruction}\nReply:")
    page.wait_for_timeout(1_000)
    expect(written(page, "tuned")).to_have_count(0)
    run(page).click()
    whole(page)
    assert [written(page, side).first.inner_text() for side in ("base", "tuned")] == answers
    expect(page.get_by_text(CAME)).to_have_count(0)
    expect(page.get_by_text("You changed the question")).to_have_count(0)


def test_every_page_keeps_the_editor_and_the_address(page: Page, app_server: str):
    open_at(page, app_server)
    choose(page, "Format for tuned", OWN)
    more(page)
    page.get_by_label("System message").fill("Answer in one word.")
    close_more(page)
    ask_at(page, QUESTION, tokens=8)
    whole(page)
    says(page, lambda link: len(link.request.messages) == 2)
    asked = address(page).request
    for name in ("Attribution", "Attention", "Compare"):
        go(page, name)
        expect(page.get_by_label("Instruction", exact=True)).to_have_value(QUESTION)
        expect(page.get_by_label("Template for tuned", exact=True)).to_have_value("Question: {instruction}\nAnswer:")
        says(page, lambda link: link.request == asked)
        expect(page.get_by_text("You changed the question")).to_have_count(0)


def test_a_link_opens_the_same_head_of_another_pair(new_page: Callable[..., Page], guard: Guard, app_server: str):
    first, second = new_page(), new_page()
    came = Link(
        base=EMBEDDED[1].specs.base,
        tuned=EMBEDDED[1].specs.tuned,
        request=GenerationRequest(messages=ask(QUESTION), max_new_tokens=6),
        view=View(side="base", layer=2, head=1, token=1),
    )
    open_link(first, app_server, encode(came), "attention")
    expect(picker(first)).to_contain_text("demo/base vs demo/flawed")
    expect(first.get_by_text(CAME)).to_be_visible()
    run(first).click()
    maps_drawn(first)
    expect(first.get_by_label(re.compile("^Layer"))).to_have_value("2")
    says(first, lambda link: (link.view.layer, link.view.head, link.view.token) == (2, 1, 1))
    row = first.get_by_text(re.compile("^The look of token"))
    expect(row).to_contain_text("chooses token 1 of the answer")
    second.goto(first.url)
    expect(second.get_by_text(CAME)).to_be_visible(timeout=LOADED)
    run(second).click()
    maps_drawn(second)
    expect(second.get_by_text(re.compile("^The look of token"))).to_have_text(row.inner_text())
    forgive_probe(guard)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"base": 1}', '{"base":{"id":"a/b"},"tuned":{"id":"a/b"},"request":{"messages":[]}}', HOSTILE, "9" * 5_000],
    ids=["cut", "list", "types", "nothing asked", "markup", "number"],
)  # fmt: skip
def test_a_link_edited_by_hand_is_one_sentence_and_the_page_works(page: Page, app_server: str, text: str):
    open_link(page, app_server, text)
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_have_count(1)
    expect(alert).to_contain_text("the page was opened without it")
    ask_at(page, QUESTION, tokens=4)
    whole(page)
    expect(alert).to_have_count(0)
    assert page.evaluate("window.hacked") is None


def test_a_hostile_link_is_inert_and_asks_nobody(page: Page, app_server: str):
    """The guard sees every request; names of the Hub and folders are not looked for, whatever is opened on the page."""
    spec = ModelSpec(id="nobody/nothing", revision="../../etc", adapter=HOSTILE)
    turns = (*ask(HOSTILE), Message(role="assistant", content=HOSTILE), *ask(HOSTILE))
    came = Link(base=spec, tuned=spec, request=GenerationRequest(messages=turns))
    open_link(page, app_server, encode(came))
    expect(page.get_by_text(CAME)).to_be_visible()
    picker(page).click()
    expect(page.get_by_role("button", name="Load report")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_text("Earlier turns: 2").click()
    assert page.evaluate("window.hacked") is None
    run(page).click()
    expect(page.get_by_test_id("stAlert")).to_have_count(1)
    assert page.evaluate("window.hacked") is None


def test_the_editor_at_rest_and_with_everything_open(any_page: Page, app_server: str, screenshot: Callable):
    page = any_page
    long = Message(role="assistant", content="Vienna.")
    request = GenerationRequest(
        messages=(Message(role="system", content="Answer in one word."), *ask(QUESTION), long, *ask("And of France?")),
        formats=Pair("Question: {instruction}\nAnswer:", "chat"),
        sampling=Sampling(temperature=0.7, seed=7),
        samples=3,
    )
    open_at(page, app_server)
    screenshot(page, "editor-rest")
    no_scroll_to_the_side(page)
    open_link(page, app_server, encode(Link(base=DEFAULT.base, tuned=DEFAULT.tuned, request=request)))
    expect(page.get_by_text(CAME)).to_be_visible()
    no_scroll_to_the_side(page)
    screenshot(page, "editor-link", whole=True)
    more(page)
    page.wait_for_timeout(300)
    screenshot(page, "editor-more")
    no_scroll_to_the_side(page)
