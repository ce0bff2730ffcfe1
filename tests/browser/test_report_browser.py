"""The report of a session in a real Chromium, from its file alone: it asks for nothing, and its figures are drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dashboard import report
from model_utils.analyses import ANALYSES
from model_utils.records import recording, sessions
from model_utils.records.store import Store
from tests.browser.conftest import NARROW, WIDE
from tests.browser.guard import Guard
from tests.recorded import record

HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A report of every analysis, and the head id of its session."""
    folder = tmp_path_factory.mktemp("report")
    store = Store(f"sqlite:///{folder / 'records.db'}")
    session = sessions.start(store, "An audit", HOSTILE)
    for kind in ANALYSES:
        recording.keep(store, session, record(kind, f"{kind} {HOSTILE}"))
    file = folder / "report.html"
    file.write_text(report.html(store, session), encoding="utf-8")
    return file, store.verify(session).head


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_report_asks_for_nothing_and_is_drawn(
    new_page: Callable[..., Page], guard: Guard, written: tuple[Path, str], size: tuple[int, int], color_scheme: str
):
    file, head = written
    page = new_page(size, color_scheme, offline=True)
    page.goto(file.as_uri())
    plots = page.locator(".plot")
    assert plots.count() >= len(ANALYSES)
    for number in range(plots.count()):
        plots.nth(number).scroll_into_view_if_needed()
        expect(plots.nth(number).locator(".main-svg").first).to_be_visible()
    expect(page.locator("#head")).to_have_text(head)
    assert page.title().startswith("An audit")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "the page scrolls sideways"
    assert guard.urls == [file.as_uri()]


def test_on_paper_every_figure_is_drawn_and_light(new_page: Callable[..., Page], written: tuple[Path, str]):
    page = new_page(color_scheme="dark")
    page.goto(written[0].as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    plots = page.locator(".plot")
    expect(page.locator(".plot .main-svg:first-child")).to_have_count(plots.count())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    ink = page.locator(".xtick text").first.evaluate("text => getComputedStyle(text).fill")
    assert ink == "rgb(92, 101, 112)", "labels have the colour of a light page"
    page.emulate_media(media="screen", color_scheme="dark")
    expect(page.locator("details[open]")).to_have_count(0)
