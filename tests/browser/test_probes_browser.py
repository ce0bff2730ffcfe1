"""Both probes in a real Chromium, on the model with planted flaws: verdicts, a row that opens its item, records that another process computes again, a run that is stopped and gone on from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from model_utils import codec
from model_utils.contracts.robustness import Robustness
from tests.browser.test_app_browser import LOADED, at_rest, open_at, panel, picker, run, settled

PROBED = 8 * LOADED


def open_probe(page: Page, url: str, name: str, pair: str = "demo/base vs demo/flawed") -> None:
    """Through the menu, after the pair was chosen."""
    open_at(page, url)
    at_rest(page)
    if pair not in picker(page).inner_text():
        picker(page).click()
        panel(page).get_by_role("button", name=pair).click()
        expect(picker(page)).to_contain_text(pair, timeout=LOADED)
        page.keyboard.press("Escape")
    go_to_probe(page, name)


def go_to_probe(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNavSection").filter(has_text="Probes").click()
    page.get_by_test_id("stTopNavDropdownLink").filter(has_text=name).click()
    page.wait_for_function("location.pathname !== '/'")  # Compare has a Run too
    at_rest(page)


def items(page: Page, count: int) -> None:
    field = page.get_by_role("spinbutton", name="Items")
    field.fill(str(count))
    field.press("Tab")
    expect(page.get_by_text(re.compile(f"^{count:,} items"))).to_be_visible()


def table(page: Page) -> Locator:
    return page.locator("table.findings").first


def row(page: Page, claim: str) -> Locator:
    return table(page).locator("tbody tr").filter(has_text=claim)


def finished(page: Page) -> None:
    expect(page.get_by_role("heading", name="What was found, most telling first")).to_be_visible(timeout=PROBED)
    at_rest(page)


def opens_another(page: Page, probe: str, heading: re.Pattern[str]) -> None:
    """A click on the box before the second row opens its item in place of the first; the table is a canvas with rows of 35 pixels."""
    opened = page.get_by_role("heading", name=heading)
    first = opened.inner_text()
    examples = page.locator(f".st-key-{probe}-examples-all")
    examples.scroll_into_view_if_needed()
    examples.locator(".dvn-scroller").click(position={"x": 16, "y": 35 * 2 + 17})
    expect(opened).not_to_have_text(first, timeout=LOADED)
    expect(opened).to_have_text(heading)
    at_rest(page)


@pytest.fixture
def audit(start_server: Callable, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A dashboard with a database of its own: its address, and the environment in which another process finds that database."""
    environment = {"CANDOR_DATABASE_URL": f"sqlite:///{tmp_path / 'records.db'}"}
    with start_server(environment=environment) as server:
        yield server.url, os.environ | environment


def record(page: Page, title: str) -> None:
    settled(page)
    page.get_by_role("button", name="Record", exact=True).click()
    form = page.locator(".st-key-record")
    form.get_by_label("Its title").fill(title)
    form.get_by_label("Your name").fill("Ada")
    form.get_by_label("Your name").press("Tab")
    at_rest(page)
    form.get_by_role("button", name="Record this").click()
    expect(page.get_by_test_id("stToast").get_by_text(re.compile("Recorded as entry"))).to_be_visible(timeout=LOADED)


def computed_again(title: str, environment: dict[str, str]) -> tuple[str, list]:
    """What a process without a browser says of the first record of that session, and the fields in which it found something else."""
    done = subprocess.run(
        [sys.executable, "-m", "model_utils", "sessions", "replay", title, "1"], capture_output=True, text=True, timeout=300, env=environment
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    return found["said"], found["differences"]


def test_the_flawed_model_is_found_by_its_reasons(audit: tuple[str, dict], page: Page, screenshot: Callable):
    open_probe(page, audit[0], "Reasoning")
    expect(page.get_by_role("heading", name="Does the written reasoning carry the answer?")).to_be_visible()
    items(page, 40)
    run(page).click()
    finished(page)
    verdict = page.locator("p").filter(has_text="whose steps are all right end in another answer")
    expect(verdict.last).to_contain_text("found")
    expect(row(page, "right steps contradict")).to_contain_text("tuned is worse")
    opens_another(page, "reasoning", re.compile(r"^Item \d+, step by step$"))
    screenshot(page, "reasoning", whole=True)
    record(page, "Do reasons carry decisions?")
    assert computed_again("Do reasons carry decisions?", audit[1]) == ("same", [])


def test_the_flawed_model_is_found_by_its_wordings(audit: tuple[str, dict], page: Page, screenshot: Callable):
    open_probe(page, audit[0], "Robustness")
    expect(page.get_by_role("heading", name="Was the skill learned, or the phrasing?")).to_be_visible()
    items(page, 44)
    run(page).click()
    finished(page)
    expect(row(page, "unseen")).to_contain_text("tuned is worse")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    opens_another(page, "robustness", re.compile(r"^Item \d+ in every wording$"))
    screenshot(page, "robustness", whole=True)
    record(page, "Skill or phrasing?")
    assert computed_again("Skill or phrasing?", audit[1]) == ("same", [])


def test_two_thousand_items_are_stopped_kept_and_gone_on_from_without_a_browser(
    page: Page, app_server: str, tmp_path: Path, screenshot: Callable
):
    file = tmp_path / "items.jsonl"
    file.write_text("".join(f'{{"instruction": "What is {n} and 2?", "options": ["{n}", "2"]}}\n' for n in range(3, 2_003)))  # fmt: skip
    open_probe(page, app_server, "Robustness")
    page.get_by_text("a file", exact=True).click()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(file)
    expect(page.get_by_text(re.compile("^2,000 items; nothing was left out"))).to_be_visible(timeout=LOADED)
    run(page).click()
    expect(page.get_by_role("heading", name=re.compile("^So far"))).to_be_visible(timeout=PROBED)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped before the end.", exact=False)).to_be_visible(timeout=LOADED)
    screenshot(page, "robustness-stopped", whole=True)
    with page.expect_download() as started:
        page.get_by_role("button", name="Keep it as a file").click()
    kept = tmp_path / "kept.json"
    started.value.save_as(kept)
    partial = codec.decode(kept.read_bytes())
    assert isinstance(partial.result, Robustness) and 0 < partial.result.done < 2_000 == len(partial.request.items)
    # The rest of it would take minutes: that it goes on from there is what matters here, `test_main` follows one to its end.
    going = subprocess.Popen([sys.executable, "-m", "model_utils", "robustness", "--partial", str(kept)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=os.environ)  # fmt: skip
    assert going.stderr is not None
    assert f"goes on after {partial.result.done:,} items" in going.stderr.readline()
    going.kill()
    going.wait()
    page.get_by_role("button", name="Run on").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible(timeout=LOADED)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped before the end.", exact=False)).to_be_visible(timeout=LOADED)
