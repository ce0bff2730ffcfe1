"""How fast the pages are for a person: `python -m model_utils.bench pages` drives a real Chromium against a cold server."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from model_utils.bench import Figure
from tests.browser.conftest import FLAGS, WIDE
from tests.browser.find_browser import find_or_get
from tests.browser.server import serve
from tests.browser.test_app_browser import ask, go, maps_drawn, open_at, whole

STOPWATCH = """([watched, pressed]) => new Promise(done => {
    const state = () => watched.map(selector => [...document.querySelectorAll(selector)].map(one => one.textContent).join("|"));
    const before = state();
    let began;
    const watcher = new MutationObserver(() => {
        if (began !== undefined && state().every((text, i) => text && text !== before[i])) {
            watcher.disconnect();
            done((performance.now() - began) / 1000);
        }
    });
    watcher.observe(document.body, {subtree: true, childList: true, characterData: true});
    setTimeout(() => { began = performance.now(); document.querySelector(pressed).click(); }, 50);
    setTimeout(() => done(60), 60000);
})"""
"""Seconds, as the page sees it, from a click until the text of every watched element has changed."""


REDRAWN = """what => new Promise(done => {
    const find = () => [...document.querySelectorAll('*')].map(one => one.shadowRoot?.querySelector('.maps')).find(one => one?.dataset.title);
    const state = () => {
        const maps = find(), note = maps?.querySelector('.note').textContent ?? "";
        return maps && !note.includes("is being read") ? maps.dataset.title + note : before;
    };
    let before, began;
    before = state();
    const button = what === "layer" ? document.querySelector(".st-key-layer [data-testid=stNumberInputStepUp]") : find().querySelector("[aria-label='next head']");
    const look = () => state() === before ? requestAnimationFrame(look) : done((performance.now() - began) / 1000);
    setTimeout(() => { began = performance.now(); button.click(); requestAnimationFrame(look); }, 50);
    setTimeout(() => done(60), 60000);
})"""
"""Seconds from a click until a frame in which the maps show another layer or head."""

Times = dict[str, float]


def pages(smoke: bool) -> list[Figure]:
    """Several cold servers, each with one visitor on the embedded pair."""
    path, runs = find_or_get(), []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for number in range(1 if smoke else 5):
            context = chromium.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
            runs.append(_visit(context.new_page(), Path(folder) / f"{number}.log"))
            context.close()
        chromium.close()
    bars = {"cold start to a Run that can be pressed": 6.0, "Run to the first tokens of both answers": 1.0, "another layer": 0.3, "another head": 0.05}  # fmt: skip
    return [Figure(name, tuple(run[name] for run in runs), bar) for name, bar in bars.items()]


def _visit(page: Page, log: Path) -> Times:
    times: Times = {}
    with serve(log) as server:
        open_at(page, server.url)
        times["cold start to a Run that can be pressed"] = time.monotonic() - server.started
        ask(page, "What is the capital of Austria?")
        whole(page)
        page.get_by_label("Instruction", exact=True).fill("What is the capital of Norway?")
        page.get_by_label("Instruction", exact=True).blur()
        page.wait_for_timeout(500)
        answers = [".written.base", ".written.tuned"]
        times["Run to the first tokens of both answers"] = page.evaluate(STOPWATCH, [answers, ".st-key-run button"])
        page.wait_for_timeout(1_000)  # until the former answer has left the page
        whole(page)
        go(page, "Attention")
        maps_drawn(page)
        for name in ("layer", "head"):
            page.wait_for_timeout(1_000)
            times[f"another {name}"] = page.evaluate(REDRAWN, name)
    return times
