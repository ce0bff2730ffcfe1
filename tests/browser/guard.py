"""Watches what a page asks for and says: nothing may go beyond this machine, and the console stays free of errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError, WebSocket

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
WITHIN_THE_PAGE = ("about", "blob", "data", "file")

ALLOWED_ERRORS: tuple[tuple[str, str], ...] = ()
"""(regular expression, reason) of console errors that are not ours and that nobody sees; keep it as short as it can be"""


@dataclass
class Guard:
    """Attached to a browser context, it sees every page of it, their frames, workers and websockets."""

    urls: list[str] = field(default_factory=list)
    """every URL that was asked for, in order"""
    errors: list[str] = field(default_factory=list)
    """every console error and uncaught exception, with where it came from"""
    contexts: list[BrowserContext] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        self.contexts.append(context)
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", self._on_exception)
        context.on("page", self._on_page)

    def beyond(self) -> list[str]:
        """The URLs that were not for this machine."""
        return [url for url in self.urls if not stays_here(url)]

    def unexpected(self) -> list[str]:
        """The errors that no entry of ALLOWED_ERRORS explains."""
        return [error for error in self.errors if not any(re.search(known, error) for known, _ in ALLOWED_ERRORS)]

    def tracebacks(self) -> list[str]:
        """The Python exceptions that Streamlit shows on the pages still open."""
        pages = [page for context in self.contexts for page in context.pages]
        return [text for page in pages for text in page.get_by_test_id("stException").all_inner_texts()]

    def check(self) -> None:
        """Call it with the contexts still open: closing them breaks websockets and would add errors of its own."""
        assert not self.tracebacks(), "A page shows a Python exception:\n" + "\n".join(self.tracebacks())
        assert not self.beyond(), f"The page asked beyond this machine for {self.beyond()}"
        assert not self.unexpected(), "The console had errors:\n" + "\n".join(self.unexpected())

    def _on_request(self, request: Request) -> None:
        self.urls.append(request.url)

    def _on_page(self, page: Page) -> None:
        page.on("websocket", self._on_websocket)

    def _on_websocket(self, socket: WebSocket) -> None:
        self.urls.append(socket.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_exception(self, error: WebError) -> None:
        self.errors.append(f"uncaught: {error.error}")


def stays_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in WITHIN_THE_PAGE or parts.netloc.rpartition("@")[2].rsplit(":", 1)[0] in LOOPBACK
