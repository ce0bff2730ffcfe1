"""The dashboard in a real Chromium, as a newcomer meets it: answers that stream, heads, words, bad input, two visitors, a closed tab."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from model_utils.pair import Pair
from tests.browser.conftest import Serve
from tests.browser.guard import Guard
from tests.browser.server import ROOT

QUESTION = "What is the capital of Austria?"
HOSTILE = (
    "<script>window.hacked = 1</script> <img src=x onerror='window.hacked = 2'> ![x](http://example.com/x.png) $x^2$"
)

LOADED = 60_000
"""Milliseconds that models may take to load on a busy machine; speed is measured where it is the subject."""

MODELS = """
import sys
from pathlib import Path
from model_utils import shapes
folder = Path(sys.argv[1])
shapes.m_shaped(folder / "base", chat_template=False, seed=0)
shapes.m_shaped(folder / "tuned", chat_template=True, seed=1)
"""


expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def m_folders(tmp_path_factory: pytest.TempPathFactory) -> Pair[Path]:
    """An M-shaped local pair, built by another process: torch in this one would slow what is measured."""
    folder = tmp_path_factory.mktemp("m")
    subprocess.run([sys.executable, "-c", MODELS, folder], cwd=ROOT, check=True, capture_output=True, timeout=300)
    return Pair(folder / "base", folder / "tuned")


def open_at(page: Page, url: str, path: str = "") -> None:
    page.goto(f"{url}/{path}")
    expect(run(page)).to_be_enabled(timeout=LOADED)
    at_rest(page)  # while the page is still being drawn, a button can move away from under a press


def run(page: Page) -> Locator:
    return page.get_by_test_id("stButton").get_by_role("button", name="Run", exact=False).first


def ask(page: Page, instruction: str, tokens: int | None = None) -> None:
    if tokens is not None:
        page.get_by_role("spinbutton", name="Longest answer, tokens").fill(str(tokens))
    page.get_by_label("Instruction", exact=True).fill(instruction)
    run(page).click()


def go(page: Page, name: str) -> None:
    """Through the navigation, which is behind a button on a narrow screen."""
    link = page.get_by_test_id("stTopNavLink").filter(has_text=name)
    if not link.is_visible():
        page.get_by_test_id("stExpandSidebarButton").click()
        link = page.get_by_test_id("stSidebarNavLink").filter(has_text=name)
        link.click()
        page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    else:
        link.click()


def written(page: Page, side: str) -> Locator:
    return page.locator(f".written.{side}")


def whole(page: Page, patience: int = LOADED) -> None:
    """Both answers are there to the end."""
    expect(page.get_by_role("heading", name="Word by word")).to_be_visible(timeout=patience)


def at_rest(page: Page) -> None:
    """No run of the page's script is under way, so that nothing is about to be drawn anew."""
    page.wait_for_function("!document.querySelector('[data-testid=stApp][data-test-script-state=running]')")


def settled(page: Page) -> None:
    """No run for a second, so that what is computed in the background is done and nothing is about to replace what a press is meant for."""
    page.evaluate("delete window.restSince")
    page.wait_for_function(
        """() => {
            const running = document.querySelector('[data-testid=stApp][data-test-script-state=running]');
            if (running || window.restSince === undefined) window.restSince = performance.now();
            return performance.now() - window.restSince > 1000;
        }"""
    )


def maps_drawn(page: Page) -> None:
    expect(page.locator(".maps .plot")).to_have_count(3, timeout=LOADED)


def words_scored(page: Page) -> None:
    expect(page.get_by_role("heading", name="The words that counted most")).to_be_visible(timeout=LOADED)


def picker(page: Page) -> Locator:
    """The button that says which pair is asked, and opens the panel."""
    return page.locator(".st-key-header").get_by_test_id("stPopoverButton").filter(has_text=" vs ")


def panel(page: Page) -> Locator:
    return page.locator(".st-key-pair-panel")


def type_pair(page: Page, base: object, tuned: object, adapter: object = "") -> None:
    """What is typed into the panel's form, and pressed; the panel stays open."""
    if not panel(page).is_visible():
        picker(page).click()
    name = page.get_by_label("Base: folder or Hub name")
    expect(page.get_by_text("Any other pair")).to_be_visible()
    if not name.is_visible():
        page.get_by_text("Any other pair").click()
    name.fill(str(base))
    page.get_by_label("Tuned: folder or Hub name").fill(str(tuned))
    page.get_by_label("Adapter over tuned").fill(str(adapter))
    page.get_by_role("button", name="Compare these").click()


def use_folders(page: Page, folders: Pair[Path]) -> None:
    type_pair(page, folders.base, folders.tuned)
    expect(picker(page)).to_contain_text("base vs tuned")
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()


# The way of a newcomer


def test_from_an_instruction_to_answers_heads_and_words(any_page: Page, app_server: str, screenshot: Callable):
    """The guard of every page checks that nothing beyond loopback was asked for and that the console is free of errors."""
    page = any_page
    open_at(page, app_server)
    screenshot(page, "empty")
    ask(page, QUESTION)
    whole(page)
    expect(written(page, "tuned")).to_contain_text("Vienna")
    expect(page.locator(".js-plotly-plot")).to_have_count(2, timeout=LOADED)
    screenshot(page, "compare", whole=True)
    go(page, "Attention")
    maps_drawn(page)
    screenshot(page, "attention", whole=True)
    go(page, "Attribution")
    words_scored(page)
    expect(page.locator(".js-plotly-plot")).to_have_count(2, timeout=LOADED)  # the strongest words, and the evidence
    screenshot(page, "attribution", whole=True)


def test_the_exact_prompt_and_its_ids_are_there_on_demand(page: Page, app_server: str, screenshot: Callable):
    open_at(page, app_server)
    ask(page, QUESTION)
    whole(page)
    page.get_by_text("What each model saw: exact text and token ids").click()
    expect(page.get_by_test_id("stCode")).to_have_count(2)
    expect(page.get_by_test_id("stCode").first).to_contain_text(f"Instruction: {QUESTION}\nAnswer:")
    expect(page.get_by_test_id("stCode").last).to_contain_text(QUESTION)
    expect(page.get_by_test_id("stDataFrame")).to_have_count(3, timeout=LOADED)  # the first is of the answer
    screenshot(page, "exact-prompts", whole=True)


def test_a_token_picked_under_compare_is_the_target_under_attribution(page: Page, app_server: str):
    open_at(page, app_server)
    ask(page, QUESTION)
    whole(page)
    cells = page.get_by_label("Tokens of the tuned model's answer", exact=False).locator(".cell")
    cells.nth(1).click()
    expect(cells.nth(1)).to_have_attribute("aria-selected", "true")
    go(page, "Attribution")
    expect(page.get_by_text(re.compile(r"^Explained: the logit of token 1 of the answer"))).to_be_visible(
        timeout=LOADED
    )
    page.get_by_label("The answer that both models read", exact=False).locator(".cell").nth(0).click()
    expect(page.get_by_text(re.compile(r"^Explained: the logit of token 0 of the answer"))).to_be_visible(
        timeout=LOADED
    )
    go(page, "Compare")
    expect(cells.nth(0)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Instruction", exact=True)).to_have_value(QUESTION)


def test_maps_answer_to_pointer_and_click_and_another_head_needs_no_new_run(page: Page, app_server: str):
    open_at(page, app_server)
    ask(page, QUESTION)
    whole(page)
    go(page, "Attention")
    maps_drawn(page)
    plot = page.locator(".maps .plot").first
    left, top, side = (float(one) for one in (plot.get_attribute("data-area") or "").split())
    plot.scroll_into_view_if_needed()
    spot = {"x": left + 0.1 * side, "y": top + 0.9 * side}
    plot.hover(position=spot)
    expect(page.locator(".maps .readout")).to_contain_text(
        re.compile(r"base *\d\.\d+(e−\d)? *tuned *\d\.\d+(e−\d)? *tuned - base")
    )
    plot.click(position=spot)
    row = page.get_by_text(re.compile("^The look of token"))
    expect(row).not_to_contain_text("chooses token 0 of the answer")
    before = row.inner_text()
    page.get_by_role("button", name="next head").click()
    settled(page)
    expect(row).to_have_text(before)
    with page.expect_download() as started:
        page.get_by_role("button", name="Download these maps").click()
    html = Path(started.value.path()).read_text(encoding="utf-8")
    assert "Plotly.newPlot" in html and 'src="http' not in html, "one file that needs no connection"


def test_an_example_is_asked_by_choosing_it(page: Page, app_server: str, screenshot: Callable):
    open_at(page, app_server)
    page.get_by_label("Examples").click()
    page.get_by_role("option", name="Loan with reasons").click()
    whole(page)
    expect(written(page, "tuned")).to_contain_text("Decision:")
    screenshot(page, "example", whole=True)
    expect(page.get_by_label("Instruction", exact=True)).not_to_have_value("")


def test_the_keyboard_runs(page: Page, app_server: str):
    open_at(page, app_server)
    page.get_by_label("Instruction", exact=True).fill(QUESTION)
    page.get_by_label("Instruction", exact=True).press("Control+Enter")
    whole(page)
    expect(page.get_by_text("You changed the question", exact=False)).to_have_count(0)


@pytest.mark.parametrize("path", ["attention", "attribution"])
def test_any_page_may_be_opened_first(page: Page, guard: Guard, start_server: Serve, path: str):
    """On a fresh server: beside a folder named pages, Streamlit would run the page's script without app.py."""
    with start_server() as server:
        open_at(page, server.url, path)
        expect(picker(page)).to_contain_text("demo/base vs demo/tuned")
        ask(page, QUESTION, tokens=4)
        if path == "attention":
            maps_drawn(page)
        else:
            words_scored(page)
        page.close()
    # Streamlit's own page looks for its server below the opened address before it looks at the root.
    probe = re.compile(rf"404 .*/{path}/_stcore/(health|host-config)")
    guard.errors[:] = [error for error in guard.errors if not probe.search(error)]


# Bad input


@pytest.mark.parametrize(
    ("instruction", "sentence"),
    [
        ("", "The instruction is empty"),
        (" \n\t ", "The instruction is empty"),
        ("word " * 3_000, "shorten the instruction"),
        ("x" * 1_000_000, "shorten the instruction"),
        ("x" * 1_000_001, "1,000,001 characters"),
    ],
    ids=["nothing", "blanks", "beyond the context", "1 MB", "more than 1 MB"],
)
def test_what_cannot_be_asked_gets_one_sentence(page: Page, app_server: str, instruction: str, sentence: str):
    open_at(page, app_server)
    ask(page, instruction)
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_have_count(1, timeout=LOADED)
    expect(alert).to_contain_text(sentence)
    ask(page, QUESTION)
    whole(page)


@pytest.mark.parametrize(
    "instruction",
    ["NUL \0 inside", "ما هي عاصمة فرنسا؟", "👩‍👩‍👧‍👦 ❤️ e\u0301", HOSTILE],
    ids=["NUL", "right to left", "emoji", "HTML"],
)
def test_odd_text_is_asked_as_it_is_and_nothing_runs(page: Page, app_server: str, instruction: str):
    open_at(page, app_server)
    ask(page, instruction, tokens=24)
    whole(page)
    page.get_by_text("What each model saw: exact text and token ids").click()
    expect(page.get_by_test_id("stCode")).to_have_count(2)
    prompts = page.get_by_test_id("stCode").locator("code")
    expect(prompts).to_have_count(2)
    for prompt in prompts.all():
        assert instruction.replace("\0", "") in (prompt.text_content() or "").replace("\0", "").replace("\ufffd", "")
    for name, ready in (("Attention", maps_drawn), ("Attribution", words_scored)):
        go(page, name)
        ready(page)
    assert page.evaluate("window.hacked") is None


# Streaming, stopping, several visitors


def test_answers_of_a_local_pair_stream(page: Page, app_server: str, m_folders: Pair[Path], screenshot: Callable):
    """At least three states of both answers before the last, as the page shows them."""
    open_at(page, app_server)
    use_folders(page, m_folders)
    page.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => {
            const texts = ["base", "tuned"].map(side => document.querySelector(`.written.${side}`)?.textContent ?? "");
            const last = window.seen.at(-1);
            if (!last || last[0] !== texts[0] || last[1] !== texts[1]) window.seen.push(texts);
        }).observe(document.body, {subtree: true, childList: true, characterData: true});
    }""")
    ask(page, QUESTION, tokens=32)
    expect(written(page, "tuned")).to_be_visible(timeout=LOADED)
    screenshot(page, "streaming")
    whole(page, patience=4 * LOADED)
    seen = page.evaluate("window.seen")
    for side in (0, 1):
        states = {texts[side] for texts in seen if texts[side]}
        assert len(states) >= 4, f"{len(states)} states of answer {side}"


def test_a_stopped_answer_stays_and_the_next_question_starts(page: Page, app_server: str, m_folders: Pair[Path]):
    open_at(page, app_server)
    use_folders(page, m_folders)
    ask(page, QUESTION, tokens=1_000)
    expect(written(page, "tuned")).to_be_visible(timeout=LOADED)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped before the end. This is what there was.")).to_be_visible()
    expect(written(page, "tuned")).to_be_visible()
    ask(page, QUESTION, tokens=2)
    whole(page)


def test_two_visitors_at_once_get_their_own_answers(new_page: Callable[..., Page], app_server: str):
    """Each sees what its own question gave; a third who asks the second question alone sees the same answer."""
    other = "Name five garments."
    first, second, third = new_page(), new_page(), new_page()
    for page, question in ((first, QUESTION), (second, other), (third, other)):
        open_at(page, app_server)
        page.get_by_label("Instruction", exact=True).fill(question)
    run(first).click()
    run(second).click()
    for page in (first, second):
        whole(page)
    run(third).click()
    whole(third)
    expect(written(first, "tuned")).to_contain_text("Vienna")
    expect(written(second, "tuned")).not_to_contain_text("Vienna")
    for side in ("base", "tuned"):
        expect(written(third, side)).to_have_text(written(second, side).inner_text())
    for page, own, foreign in ((first, QUESTION, other), (second, other, QUESTION)):
        page.get_by_text("What each model saw: exact text and token ids").click()
        expect(page.get_by_test_id("stCode").last).to_contain_text(own)
        expect(page.get_by_test_id("stCode").last).not_to_contain_text(foreign)


@pytest.mark.alone
def test_a_closed_tab_frees_the_queue(new_page: Callable[..., Page], start_server: Serve, m_folders: Pair[Path]):
    """The job of a visitor who left is cancelled after the grace time of ten seconds, not when it would have ended."""
    with start_server() as server:
        leaving, staying = new_page(), new_page()
        open_at(leaving, server.url)
        open_at(staying, server.url)
        use_folders(leaving, m_folders)
        ask(leaving, QUESTION, tokens=2_000)
        expect(written(leaving, "tuned")).to_be_visible(timeout=LOADED)
        ask(staying, QUESTION)
        expect(staying.get_by_text("Waiting: 1st in the queue")).to_be_visible()
        left = time.monotonic()
        leaving.close()
        whole(staying)
        assert time.monotonic() - left < 30, "a tab that was closed kept the queue"
        staying.close()


def test_a_page_that_asks_for_no_news_keeps_its_job(
    new_page: Callable[..., Page], app_server: str, m_folders: Pair[Path]
):
    """Browsers slow the timers of hidden tabs to one a minute: as long as the tab is open its job goes on, however rarely it asks."""
    page = new_page()
    page.add_init_script("""
        const timeout = window.setTimeout, interval = window.setInterval;
        window.slow = false;
        window.setTimeout = (what, after, ...rest) => timeout(what, window.slow ? 3_600_000 : after, ...rest);
        window.setInterval = (what, every, ...rest) => interval(() => window.slow || what(), every, ...rest);
    """)
    open_at(page, app_server)
    use_folders(page, m_folders)
    ask(page, "Another question, so that nobody shares its job.", tokens=512)
    expect(written(page, "tuned")).to_be_visible(timeout=LOADED)
    page.evaluate("window.slow = true")
    page.wait_for_timeout(1_000)
    before = written(page, "tuned").inner_text()
    page.wait_for_timeout(13_000)
    assert written(page, "tuned").inner_text() == before, "the page did ask for news, so this shows nothing"
    page.evaluate("window.slow = false")
    expect(page.get_by_text("Stopped before the end")).to_have_count(0)
    page.get_by_role("link", name="Attention").first.click()
    page.get_by_role("link", name="Compare").first.click()
    expect(written(page, "tuned")).not_to_have_text(before, timeout=LOADED)
    expect(page.get_by_text("Stopped before the end")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
