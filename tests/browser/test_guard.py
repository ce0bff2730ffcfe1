"""The guard that every browser test relies on sees what it should."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.guard import Guard, stays_here


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8501/x", "ws://localhost:1/_stcore/stream", "data:image/png;base64,", "blob:http://127.0.0.1/1"],
)
def test_loopback_and_the_page_itself_stay_here(url: str):
    assert stays_here(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/x.js",
        "http://192.0.2.1/",
        "wss://example.com/",
        "http://127.0.0.1.example.com/",
        "http://localhost@example.com/",
    ],
)
def test_everything_else_goes_beyond(url: str):
    assert not stays_here(url)


def test_guard_sees_requests_sockets_and_errors_and_none_gets_out(page: Page, guard: Guard):
    page.set_content("<script src='https://example.com/a.js'></script><img src='http://192.0.2.1/b.png'>")
    failed = page.evaluate("""async () => {
        new WebSocket('wss://example.org/c');
        console.error('planted');
        setTimeout(() => { throw new Error('thrown') });
        return await fetch('https://example.net/d').then(() => 'arrived', () => 'refused');
    }""")
    page.wait_for_timeout(300)
    assert failed == "refused"
    assert {"https://example.com/a.js", "http://192.0.2.1/b.png", "wss://example.org/c"} <= set(guard.beyond())
    said = "\n".join(guard.unexpected())
    assert "planted" in said and "thrown" in said
    for what, clear in (("beyond this machine", guard.urls), ("console had errors", guard.errors)):
        with pytest.raises(AssertionError, match=what):
            guard.check()
        clear.clear()


def test_guard_sees_a_python_exception_on_the_page(page: Page, guard: Guard):
    page.set_content("<div data-testid='stException'>AttributeError</div>")
    with pytest.raises(AssertionError, match="AttributeError"):
        guard.check()
    page.set_content("")
