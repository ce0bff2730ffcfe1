"""The bench of the pages works; its verdict is for people, because other work on a machine changes it."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.browser.server import ROOT


def test_pages_bench_works():
    """In a process of its own: Playwright's synchronous interface runs once in a thread."""
    command = [sys.executable, "-m", "model_utils.bench", "pages", "--smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert len(figures) == 4 and all(figure["median"] > 0 for figure in figures.values())
