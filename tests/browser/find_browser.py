"""Finds a Chromium for the browser tests, or gets one; prints its path.  A browser test is never skipped for want of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

HOW = (
    "The browser tests need a Chromium and none could be found or installed: install chromium or google-chrome so that "
    "it is on the PATH (Debian and Ubuntu: apt install chromium), or run .venv/bin/playwright install chromium."
)


def find() -> str | None:
    """The first browser that starts: on the PATH, else the one that `playwright install chromium` put down."""
    on_path = (shutil.which(name) for name in NAMES)
    return next((path for path in on_path if path and _starts(path)), None) or _playwrights()


def find_or_get() -> str:
    """Not to be called while playwright's sync API is open: it asks playwright too."""
    found = find() or (_from_debian() and find()) or (_from_playwright() and find())
    if not found:
        raise LookupError(HOW)
    return found


def _starts(path: str) -> bool:
    """Whether it says its version: on Ubuntu `chromium-browser` may be a script that only asks for a snap."""
    try:
        return _run([path, "--version"], timeout=60, quiet=True)
    except (OSError, subprocess.TimeoutExpired):
        return False


def _playwrights() -> str | None:
    """Where playwright keeps its own Chromium, if it has one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() and _starts(path) else None


def _from_debian() -> bool:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return False
    print("Installing Debian's chromium.", file=sys.stderr)
    return _run(["apt-get", "update", "-qq"]) and _run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    )


def _from_playwright() -> bool:
    print("Installing playwright's chromium.", file=sys.stderr)
    return _run([sys.executable, "-m", "playwright", "install", "chromium"])


def _run(command: list[str], timeout: float | None = None, quiet: bool = False) -> bool:
    """Whether the command succeeded; its output goes to standard error, so that ours is the path alone."""
    out = subprocess.DEVNULL if quiet else sys.stderr
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=timeout, env=environment, check=False
    )
    return done.returncode == 0


if __name__ == "__main__":
    try:
        print(find_or_get())
    except LookupError as none:
        sys.exit(str(none))
