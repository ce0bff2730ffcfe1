"""The Attention page in a real Chromium: the grid opens a head, its maps say what the models compute, and a head is switched off."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from model_utils import codec
from model_utils.contracts.attention import Attention
from tests.browser.server import ROOT
from tests.browser.test_app_browser import LOADED, QUESTION, ask, go, maps_drawn, open_at, whole
from tests.browser.test_widgets_browser import head_place, hidden, place, press, read


def opened(page: Page, url: str) -> None:
    """The page with the result of the question, as a person comes to it."""
    open_at(page, url)
    ask(page, QUESTION)
    whole(page)
    go(page, "Attention")
    expect(page.get_by_role("heading", name=re.compile("Tuning moved the look of"))).to_be_visible(timeout=LOADED)
    maps_drawn(page)


def grid(page: Page) -> Locator:
    return page.locator(".heads .plot")


def first_map(page: Page) -> Locator:
    return page.locator(".maps .plot").first


@pytest.fixture(scope="module")
def computed() -> Callable[[int], Attention]:
    """What the command line says of a layer, in a process of its own."""

    def run(layer: int) -> Attention:
        command = [sys.executable, "-m", "model_utils", "attention", "--instruction", QUESTION, "--layer", str(layer)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
        return codec.decode(done.stdout.splitlines()[-1])

    return run


def test_the_grid_opens_a_head_and_its_maps_say_what_the_models_compute(
    page: Page, app_server: str, computed: Callable[[int], Attention], screenshot: Callable
):
    opened(page, app_server)
    page.mouse.move(*head_place(page, 1, (2, 1), grid(page)))
    expect(page.locator(".tip:popover-open")).to_contain_text("layer 2, head 1")
    page.mouse.click(*head_place(page, 1, (2, 1), grid(page)))
    expect(page.get_by_role("spinbutton", name="Layer", exact=False)).to_have_value("2", timeout=LOADED)
    expect(page.get_by_role("spinbutton", name="Head", exact=True)).to_have_value("1")
    expect(page.locator(".maps")).to_have_attribute("data-title", re.compile("Layer 2,"), timeout=LOADED)
    result = computed(2)
    base, tuned = (weights[1] for weights in result.weights.sides)
    count, at = len(base), (len(base) - 2, 4)
    for shown in (lambda one: one, hidden):
        page.mouse.move(*place(first_map(page), count, at))
        expect(page.locator(".maps .readout")).to_contain_text(f"query {at[0]}")
        values = [shown(base)[at], shown(tuned)[at]]
        expected = [*values, values[1] - values[0]]
        assert read(page.locator(".maps")) == pytest.approx(expected, rel=0.006, abs=6e-5)
        press(page, "First token", "hidden")
    expect(page.get_by_text("first token hidden", exact=False).first).to_be_visible()
    screenshot(page, "attention-head", whole=True)


def test_the_most_changed_head_lies_open_and_the_arrow_keys_open_another(page: Page, app_server: str):
    opened(page, app_server)
    said = page.get_by_role("heading", name=re.compile("Tuning moved the look of")).inner_text()
    layer, head = re.search(r"layer (\d+), head (\d+)", said).groups()
    expect(page.get_by_role("spinbutton", name="Layer", exact=False)).to_have_value(layer)
    expect(page.get_by_role("spinbutton", name="Head", exact=True)).to_have_value(head)
    page.get_by_role("application", name=re.compile("All heads of both models")).focus()
    for key in ("Home", "ArrowUp", "ArrowUp", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("spinbutton", name="Layer", exact=False)).to_have_value("0", timeout=LOADED)
    expect(page.get_by_role("spinbutton", name="Head", exact=True)).to_have_value("0")


def test_the_heads_over_a_list_have_intervals_and_the_maps_stay_those_of_the_question(
    page: Page, app_server: str, screenshot: Callable
):
    opened(page, app_server)
    go(page, "Many")
    page.get_by_label("Instructions, one a line").fill("\n".join(["Name a planet.", "What is 2 plus 3?", QUESTION]))
    page.get_by_role("spinbutton", name="Longest answer, tokens").fill("8")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Most different first")).to_be_visible(timeout=LOADED)
    go(page, "Attention")
    maps_drawn(page)
    page.get_by_text("All heads over the 3 instructions of Many too").click()
    expect(page.get_by_text(re.compile(r"measured over 4 texts.*Intervals are 95 %"))).to_be_visible(timeout=LOADED)
    expect(page.get_by_test_id("stProgress")).to_have_count(0, timeout=LOADED)
    maps_drawn(page)
    screenshot(page, "attention-list", whole=True)


def test_a_head_is_switched_off_and_the_next_one_follows(page: Page, app_server: str, screenshot: Callable):
    opened(page, app_server)
    page.get_by_role("radio", name="this head", exact=True).click()
    sentence = page.get_by_text(
        re.compile(r"^Layer \d+, head \d+ off: base [+-]\d+\.\d+ nats, tuned [+-]\d+\.\d+ nats")
    )
    expect(sentence).to_be_visible(timeout=LOADED)
    before = sentence.inner_text()
    page.get_by_role("button", name="next head").click()
    expect(sentence).not_to_have_text(before, timeout=LOADED)
    page.get_by_role("radio", name="every head", exact=True).click()
    expect(page.get_by_role("heading", name="Most needed")).to_be_visible(timeout=LOADED)
    expect(page.get_by_test_id("stProgress")).to_have_count(0, timeout=LOADED)
    screenshot(page, "attention-off", whole=True)


def test_each_model_reads_its_own_text(page: Page, app_server: str):
    opened(page, app_server)
    page.get_by_text("Each model's own text").click()
    expect(page.locator(".maps .plot")).to_have_count(2, timeout=LOADED)
    expect(page.get_by_text(re.compile("no difference"))).to_be_visible()
    assert np.isfinite(read_after_hover(page)).any()


def read_after_hover(page: Page) -> list[float]:
    left, top, side = (float(part) for part in first_map(page).get_attribute("data-area").split())
    first_map(page).hover(position={"x": left + 0.05 * side, "y": top + 0.9 * side})
    expect(page.locator(".maps .readout")).to_contain_text("query")
    return read(page.locator(".maps"))
