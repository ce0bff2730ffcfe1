"""The panel of the pair in a real Chromium: pairs of several kinds are opened and reported, and no bad input takes the former pair away."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from model_utils import checkpoints, codec
from model_utils.contracts.load_report import LoadReport
from model_utils.reporting import Report
from tests.browser.conftest import Serve
from tests.browser.server import ROOT, Server
from tests.browser.test_app_browser import (
    LOADED,
    QUESTION,
    ask,
    go,
    open_at,
    panel,
    picker,
    settled,
    type_pair,
    whole,
    words_scored,
    written,
)

MODELS = """
import sys
from pathlib import Path
from model_utils import shapes
from tests import architectures, builders
folder = Path(sys.argv[1])
builders.tiny_pair(folder / "llama")
builders.tiny_adapter(folder / "adapter", folder / "llama" / "base")
architectures.tiny_pair(folder / "t5", "t5")
for seed, name in enumerate(("base", "tuned")):
    shapes.s_shaped(folder / "small" / name, seed=seed)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """llama/base, llama/tuned, adapter, t5/base, t5/tuned, small/base, small/tuned; built by another process, because this one should not hold torch."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-c", MODELS, folder], cwd=ROOT, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def pairs(start_server: Serve) -> Iterator[Server]:
    """A dashboard that cannot reach the Hub."""
    with start_server(environment={"HF_HUB_OFFLINE": "1"}) as running:
        yield running


def report(page: Page) -> Locator:
    return page.get_by_test_id("stDialog")


def open_report(page: Page) -> None:
    panel(page).get_by_role("button", name="Load report").click(timeout=LOADED)
    expect(report(page).get_by_role("button", name="Download as JSON")).to_be_visible(timeout=LOADED)


def close_report(page: Page) -> None:
    """With nothing under way, since a run that began before would draw it once more."""
    settled(page)
    download = report(page).get_by_role("button", name="Download as JSON")
    expect(download).to_be_enabled()  # not while it downloads
    download.press("Escape")
    expect(report(page)).to_be_hidden()
    settled(page)
    expect(report(page)).to_be_hidden()


# Pairs that can be opened


@pytest.mark.parametrize(
    ("base", "tuned", "adapter", "said"),
    [
        ("llama/base", "llama/tuned", "", "Tuned differs from base in"),
        ("llama/base", "llama/base", "adapter", "Both sides stand on one copy of the weights"),
        ("t5/base", "t5/tuned", "", "T5ForConditionalGeneration"),
    ],
    ids=["folders", "adapter", "encoder-decoder"],
)
def test_a_pair_is_opened_reported_and_asked(
    page: Page, pairs: Server, models: Path, screenshot: Callable, base: str, tuned: str, adapter: str, said: str
):
    open_at(page, pairs.url)
    type_pair(page, models / base, models / tuned, models / adapter if adapter else "")
    expect(panel(page)).to_contain_text("everything works", timeout=LOADED)
    open_report(page)
    expect(report(page)).to_contain_text(said)
    expect(report(page).locator(".js-plotly-plot")).to_be_visible()
    with page.expect_download() as started:
        report(page).get_by_role("button", name="Download as JSON").click()
    downloaded = codec.decode(Path(started.value.path()).read_text(encoding="utf-8"))
    assert isinstance(downloaded, LoadReport)
    assert downloaded.identities.base.weights == checkpoints.digest([models / base / "model.safetensors"], Report())
    screenshot(page, f"report-{tuned.replace('/', '-')}{'-adapter' if adapter else ''}")
    close_report(page)
    ask(page, QUESTION, tokens=4)
    whole(page)


def test_a_listed_pair_is_two_clicks(any_page: Page, pairs: Server, screenshot: Callable):
    page = any_page
    open_at(page, pairs.url)
    picker(page).click()
    panel(page).get_by_role("button", name="demo/base vs demo/flawed").click()
    expect(picker(page)).to_contain_text("demo/base vs demo/flawed")
    expect(panel(page)).to_contain_text("differs from base", timeout=LOADED)
    screenshot(page, "panel")
    open_report(page)
    screenshot(page, "report")
    close_report(page)


def test_the_keyboard_chooses_a_pair(page: Page, pairs: Server):
    open_at(page, pairs.url)
    picker(page).focus()
    page.keyboard.press("Enter")
    expect(panel(page).get_by_role("button", name="Load report")).to_be_visible(timeout=LOADED)
    page.wait_for_function(
        "document.querySelector('[data-testid=stPopoverBody]')?.contains(document.activeElement)", timeout=LOADED
    )
    for _ in range(10):
        page.keyboard.press("Tab")
        if "flawed" in (page.evaluate("document.activeElement.textContent") or ""):
            break
    page.keyboard.press("Enter")
    expect(picker(page)).to_contain_text("demo/base vs demo/flawed")


def test_two_families_can_be_compared_as_far_as_that_makes_sense(page: Page, pairs: Server, models: Path):
    open_at(page, pairs.url)
    type_pair(page, models / "llama/base", models / "t5/tuned")
    sentence = "Compare, Many, Attribution, Reasoning, Robustness, Bias, Calibration, Benchmarks, Instruction design and Findings work, Attention does not, because one side has an encoder and the other has none."
    expect(panel(page)).to_contain_text(sentence, timeout=LOADED)
    page.keyboard.press("Escape")
    ask(page, QUESTION, tokens=4)
    whole(page)
    go(page, "Attention")
    expect(page.get_by_test_id("stAlert")).to_have_count(1, timeout=LOADED)
    go(page, "Attribution")
    words_scored(page)
    expect(page.locator(".side.difference")).to_have_count(1)


# Bad input


def pickled(folder: Path, model: Path) -> Path:
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return folder


def corrupt(folder: Path, model: Path) -> Path:
    shutil.copytree(model, folder)
    file = folder / "model.safetensors"
    file.write_bytes(b"\xff" * 64 + file.read_bytes()[64:])
    return folder


BAD: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "no folder": (lambda tmp, model: tmp / "nowhere", "nor a folder on this machine"),
    "no model": (lambda tmp, model: tmp, "config.json is missing"),
    "pickled weights": (lambda tmp, model: pickled(tmp / "pickled", model), "pickled weights can run code"),
    "corrupt weights": (lambda tmp, model: corrupt(tmp / "corrupt", model), "is not a whole safetensors file"),
    "elsewhere": (lambda tmp, model: "/usr", "lies outside the folders"),
    "unreachable": (lambda tmp, model: "nobody/nothing", "the Hub cannot be reached"),
    "markup": (lambda tmp, model: "<img src=x onerror='window.hacked = 1'>", "neither an embedded model"),
}


def test_two_visitors_with_different_pairs_work_side_by_side_where_only_one_pair_fits(
    new_page: Callable[..., Page], start_server: Serve, models: Path
):
    """29 MB and 36 MB of weights in float32, and 46 MiB allowed: each turn drops the other's pair, and nobody notices."""
    with start_server(environment={"CANDOR_MEMORY_GIB": "0.045"}) as server:
        first, second = new_page(), new_page()
        for page in (first, second):
            open_at(page, server.url)
        type_pair(second, models / "small/base", models / "small/tuned")
        expect(panel(second)).to_contain_text("everything works", timeout=LOADED)
        second.keyboard.press("Escape")
        ask(second, QUESTION, tokens=8)
        ask(first, QUESTION)
        for page in (first, second):
            whole(page)
        expect(written(first, "tuned")).to_have_text("Vienna")
        before = written(second, "tuned").inner_text()
        ask(second, "Something else.", tokens=8)
        whole(second)
        ask(second, QUESTION, tokens=8)
        whole(second)
        expect(written(second, "tuned")).to_have_text(before, timeout=LOADED)
        go(first, "Attention")
        expect(first.get_by_label("Layer, 0 to 3")).to_be_visible(timeout=LOADED)
        for page in (first, second):
            page.close()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_choice_is_one_sentence_and_the_former_pair_answers(
    page: Page, pairs: Server, models: Path, tmp_path: Path, name: str
):
    make, sentence = BAD[name]
    open_at(page, pairs.url)
    ask(page, QUESTION)
    whole(page)
    type_pair(page, models / "llama/base", make(tmp_path, models / "llama/tuned"))
    alert = panel(page).get_by_test_id("stAlert")
    expect(alert).to_have_count(1, timeout=LOADED)
    expect(alert).to_contain_text(sentence)
    expect(picker(page)).to_contain_text("demo/base vs demo/tuned")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Instruction", exact=True)).to_have_value(QUESTION)
    expect(written(page, "tuned")).to_contain_text("Vienna")
    ask(page, "Name five garments.")
    expect(written(page, "tuned")).not_to_contain_text(re.compile("Vienna|^$"), timeout=LOADED)
    whole(page)
    assert page.evaluate("window.hacked") is None
