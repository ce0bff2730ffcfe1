"""Blind judging in a real Chromium: with the keyboard alone, in every window, and nothing in the page tells whose an answer is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from model_utils.records import preferences, recording, sessions
from model_utils.records.store import Store
from tests.browser.test_app_browser import LOADED, at_rest, go, open_at
from tests.test_records_preferences import survey_record

TEXTS = (
    ("Vienna is a city.\n\nIt is in Austria.", "Vienna, which lies on the Danube. " * 12),
    ("Snow", "漢字 🎉 <b>bold</b> **stars**"),
)


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    recording.keep(store, sessions.start(store, "Which is better?"), survey_record(*TEXTS))
    return store


def test_answers_are_judged_with_the_keyboard_alone(
    any_page: Page, start_server: Callable[..., Any], kept: Store, screenshot: Callable
):
    page = any_page
    (session,) = kept.sessions()
    with start_server(environment={"CANDOR_DATABASE_URL": str(kept.url)}) as server:
        open_at(page, server.url)
        go(page, "Sessions")
        summary = page.locator("summary").filter(has_text="Judge the answers blind")
        summary.focus()
        page.keyboard.press("Enter")
        panel = page.locator(".st-key-judge-blind")
        name = panel.get_by_label("Your name")
        expect(name).to_be_visible(timeout=LOADED)
        name.focus()
        page.keyboard.type("Ada")
        page.keyboard.press("Tab")
        for count in (1, 2):
            better = page.get_by_role("button", name="B is better")
            expect(better).to_be_visible(timeout=LOADED)
            at_rest(page)
            assert not re.search("base|tuned", panel.inner_text(), re.IGNORECASE)
            classes = [one.get_attribute("class") for one in panel.locator(".written").all()[-2:]]
            assert classes == ["written unnamed"] * 2, "one type, one colour"
            if count == 1:
                screenshot(page, "judge-blind")
            page.get_by_label("Why", exact=True).focus()
            page.keyboard.type(f"for reason {count}")
            for _ in range(2):
                page.keyboard.press("Tab")
            expect(better).to_be_focused()
            page.keyboard.press("Enter")
            expect(page.get_by_text("You preferred the answer of", exact=False)).to_be_visible(timeout=LOADED)
            expect(page.get_by_text(f"{count} of 2 judged", exact=False)).to_be_visible()
            at_rest(page)
            if count == 1:
                screenshot(page, "judged-blind")
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
            onward = page.get_by_role("button", name="Next" if count == 1 else "Done", exact=True)
            onward.focus()
            page.keyboard.press("Enter")
        expect(page.get_by_text("You judged all of them.")).to_be_visible(timeout=LOADED)
        given = [one.preference for one in preferences.given(kept, session)]
        assert [(one.author, one.preferred, one.reason) for one in given] == [("Ada", "right", f"for reason {n}") for n in (1, 2)]  # fmt: skip
        page.close()
