"""A server, a Chromium and guarded pages for the browser tests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.find_browser import find_or_get
from tests.browser.guard import Guard
from tests.browser.server import Server, serve

WIDE = (1280, 900)
NARROW = (390, 844)

FLAGS = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    # Nothing leaves the machine even if a page asks: the guard sees the request, the network does not.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

Serve = Callable[..., AbstractContextManager[Server]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a browser test."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """`with start_server(environment={...}) as server:` a server of one's own; the arguments are those of `serve`."""
    folder, numbers = tmp_path_factory.mktemp("servers"), count()
    return lambda **how: serve(folder / f"{next(numbers)}.log", **how)


@pytest.fixture(scope="session")
def server(start_server: Serve) -> Iterator[Server]:
    """The dashboard that most tests share: url, pid, log."""
    with start_server() as running:
        yield running


@pytest.fixture(scope="session")
def app_server(server: Server) -> str:
    """The address of the shared dashboard."""
    return server.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the whole run; contexts keep the tests apart."""
    path = find_or_get()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def guard() -> Guard:
    """What the pages of this test asked for and said; checked when the test ends."""
    return Guard()


@pytest.fixture
def new_page(browser: Browser, guard: Guard) -> Iterator[Callable[..., Page]]:
    """`new_page(size=NARROW, color_scheme="dark")`: a page in a context of its own (another visitor), watched by the guard."""
    with ExitStack() as contexts:

        def open_page(size: tuple[int, int] = WIDE, color_scheme: str = "light", **options: Any) -> Page:
            width, height = size
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=color_scheme,
                reduced_motion="reduce",
                service_workers="block",
                **options,
            )
            contexts.callback(context.close)
            context.set_default_timeout(60_000)
            guard.watch(context)
            return context.new_page()

        yield open_page
        guard.check()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A wide, light page."""
    return new_page()


@pytest.fixture(
    params=[(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")],
    ids=["wide-light", "wide-dark", "narrow-light", "narrow-dark"],
)
def any_page(request: pytest.FixtureRequest, new_page: Callable[..., Page]) -> Page:
    """A test that takes this runs four times: wide and narrow, light and dark."""
    size, color_scheme = request.param
    return new_page(size, color_scheme)


@pytest.fixture
def screenshot(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """`screenshot(page, "compare")` writes compare.png (and compare-wide-dark.png under `any_page`) where CANDOR_SCREENSHOTS says;
    `whole=True` takes the page to its end."""
    folder = Path(os.environ.get("CANDOR_SCREENSHOTS") or tmp_path)
    call = getattr(request.node, "callspec", None)
    look = f"-{call.id}" if call and "any_page" in call.params else ""

    def take(page: Page, name: str, whole: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (re.sub(r"[^\w.-]+", "-", name + look) + ".png")
        size = page.viewport_size
        assert size is not None
        if whole:  # Streamlit scrolls an element of its own, so playwright's full_page sees one window
            tall = page.get_by_test_id("stMain").evaluate("main => main.scrollHeight")
            page.set_viewport_size({"width": size["width"], "height": max(size["height"], tall)})
        page.screenshot(path=path, animations="disabled")
        page.set_viewport_size(size)
        return path

    return take
