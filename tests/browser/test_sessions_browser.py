"""What an auditor does, in a real Chromium: record from three pages, judge, compare, close, take the report away; others verify and replay."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.guard import Guard
from tests.browser.test_app_browser import (
    LOADED,
    QUESTION,
    ask,
    at_rest,
    go,
    maps_drawn,
    open_at,
    settled,
    whole,
    words_scored,
)
from tests.browser.test_attribution_browser import judged

REPLAYED = 4 * LOADED
HOSTILE_NOTE = "<img src=x onerror=alert(1)> 漢字 🎉 =1+1"


def panel(page: Page) -> Locator:
    return page.locator(".st-key-record")


def record(page: Page, said: str, title: str = "", note: str = "") -> None:
    """Presses Record and keeps both results that the page shows; `said`: what became of it."""
    settled(page)
    page.get_by_role("button", name="Record", exact=True).click()
    expect(panel(page).get_by_role("checkbox")).to_have_count(2)
    if title:
        panel(page).get_by_label("Its title").fill(title)
        panel(page).get_by_label("Your name").fill("Ada")
        panel(page).get_by_label("Your name").press("Tab")
        at_rest(page)
    expect(panel(page).get_by_label("Your name")).to_have_value("Ada")
    if note:
        panel(page).get_by_label("Note").fill(note)
        panel(page).get_by_label("Note").press("Tab")
        at_rest(page)
    panel(page).get_by_role("button", name=re.compile("^Record (this|these)$")).click()
    expect(page.get_by_test_id("stToast").get_by_text(said)).to_be_visible(timeout=LOADED)
    expect(panel(page)).to_have_count(0)


def records(page: Page) -> Locator:
    return page.get_by_test_id("stDataFrame").first


def select(page: Page, row: int) -> None:
    """A click on the box before a row; the table is a canvas with rows of 35 pixels below a head of 36."""
    at_rest(page)
    records(page).scroll_into_view_if_needed()
    records(page).locator(".dvn-scroller").click(position={"x": 16, "y": 36 + 35 * row + 17})
    at_rest(page)


def command(*args: str) -> subprocess.CompletedProcess[str]:
    """Another process, as another person would run it."""
    return subprocess.run(
        [sys.executable, "-m", "model_utils", "sessions", *args], capture_output=True, text=True, timeout=300, env=os.environ
    )  # fmt: skip


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'records.db'}"
    monkeypatch.setenv("CANDOR_DATABASE_URL", url)
    return url


def test_an_audit_from_three_pages_to_a_report_that_others_verify_and_replay(
    page: Page,
    new_page: Callable[..., Page],
    start_server: Callable[..., Any],
    database: str,
    tmp_path: Path,
    guard: Guard,
    screenshot: Callable,
):
    with start_server(environment={"CANDOR_DATABASE_URL": database}) as server:
        open_at(page, server.url)
        ask(page, QUESTION)
        whole(page)
        expect(page.get_by_text("more than a reworded prompt would change them", exact=False).first).to_be_visible(timeout=LOADED)  # fmt: skip
        record(page, "Recorded as entries 1 and 3.", title="Capitals: are the facts kept?", note=HOSTILE_NOTE)
        go(page, "Attention")
        maps_drawn(page)
        record(page, "Recorded as entries 5 and 6.")
        go(page, "Attribution")
        words_scored(page)
        judged(page)
        record(page, "Recorded as entries 7 and 8.")

        go(page, "Sessions")
        expect(page.get_by_text("6 records, the latest first.", exact=False)).to_be_visible(timeout=LOADED)
        select(page, 0)
        expect(page.get_by_role("heading", name="Entry", exact=False)).to_be_visible(timeout=LOADED)
        expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=LOADED)
        screenshot(page, "sessions")
        page.locator("[data-testid=stForm]").get_by_text("pass").click()
        page.get_by_label("Why", exact=True).fill("Vienna is the capital")
        page.get_by_role("button", name="Add to the session").click()
        expect(page.get_by_text("1 pass", exact=True)).to_be_visible(timeout=LOADED)

        page.get_by_role("button", name="Measure its noise floor").click()
        expect(page.get_by_text("moved by rounding alone", exact=False)).to_be_visible(timeout=REPLAYED)
        page.get_by_role("button", name="Run it again").click()
        expect(page.get_by_text("replay: same: bit for bit", exact=False)).to_be_visible(timeout=REPLAYED)

        page.get_by_role("button", name="Close the session").click()
        page.get_by_role("button", name="Close it").click()
        expect(page.get_by_role("button", name="Close the session")).to_have_count(0)
        expect(page.get_by_role("button", name="Add to the session")).to_have_count(0)
        head = page.locator("code.head").inner_text()
        assert re.fullmatch("[0-9a-f]{64}", head)

        page.get_by_role("button", name="Report and export").click()
        with page.expect_download() as started:
            page.get_by_role("button", name="Report (HTML)").click()
        report = tmp_path / "report.html"
        started.value.save_as(report)
        with page.expect_download() as started:
            page.get_by_role("button", name="Whole session, to import elsewhere").click()
        bundle = tmp_path / "session.jsonl"
        started.value.save_as(bundle)
        page.close()

    offline = new_page(offline=True)
    offline.goto(report.as_uri())
    expect(offline.get_by_text(head).first).to_be_visible()
    expect(offline.locator(".main-svg").first).to_be_visible()
    assert offline.evaluate("window.hacked") is None and "onerror" in offline.content()
    assert offline.locator("img[src=x]").count() == 0

    session = json.loads(bundle.read_text(encoding="utf-8").splitlines()[0])["session"]
    verified = command("verify", session, "--head", head)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert command("verify", session, "--head", "0" * 64).returncode == 2, "no entry has the hash before the first"
    assert command("verify", session, "--head", "1" * 64).returncode == 1
    replayed = command("replay", session, "1")
    assert replayed.returncode == 0 and "same" in replayed.stdout + replayed.stderr, replayed.stdout + replayed.stderr

    with start_server(environment={"CANDOR_DATABASE_URL": f"sqlite:///{tmp_path / 'elsewhere.db'}"}) as server:
        there = new_page()
        open_at(there, server.url)
        go(there, "Sessions")
        there.get_by_role("button", name="Import").click()
        there.locator("input[type=file]").set_input_files(bundle)
        expect(there.get_by_text("was verified and imported", exact=False)).to_be_visible(timeout=LOADED)
        expect(there.get_by_text(head).first).to_be_visible()
        there.keyboard.press("Escape")
        select(there, 5)
        expect(there.get_by_text("漢字", exact=False).first).to_be_visible(timeout=LOADED)
        there.close()


def test_the_page_of_sessions_in_every_window(any_page: Page, app_server: str, screenshot: Callable):
    """Begun here, with nothing recorded yet."""
    page = any_page
    open_at(page, app_server)
    go(page, "Sessions")
    page.get_by_role("button", name="New session").click()
    page.get_by_label("Title").fill("Begun by hand")
    page.get_by_role("button", name="Begin", exact=True).click()
    expect(page.get_by_text("This session has no records yet", exact=False)).to_be_visible(timeout=LOADED)
    at_rest(page)
    screenshot(page, "sessions-empty")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
