"""The Attribution page in a real Chromium: why this decision and not the other, in both models, and whether to believe it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from model_utils.demo import EXAMPLES
from tests.browser.guard import Guard
from tests.browser.server import ROOT
from tests.browser.test_app_browser import (
    LOADED,
    ask,
    at_rest,
    go,
    open_at,
    panel,
    picker,
    run,
    type_pair,
    whole,
    words_scored,
)
from tests.browser.test_asking_browser import forgive_probe

LOAN = next(example.instruction for example in EXAMPLES if example.label == "Loan")


def choose(page: Page, label: str, option: str) -> None:
    box = page.get_by_role("combobox", name=re.compile(f"(^|Selected .*\\. ){re.escape(label)}"))
    box.click()
    page.get_by_role("option", name=option, exact=True).click()


def strongest(page: Page, wanted: list[str]) -> None:
    """The labels of the bars, from the top, begin with those that have `wanted` in them."""
    page.wait_for_function(
        """wanted => {
            const labels = [...(document.querySelector(".js-plotly-plot")?.querySelectorAll(".ytick text") ?? [])];
            labels.sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y);
            return wanted.every((one, i) => labels[i]?.textContent.includes(one));
        }""",
        arg=wanted,
    )


def judged(page: Page) -> None:
    """The evidence about both models is whole (before, it says "20 of 100 random orders measured"), and the page was drawn with it."""
    expect(page.get_by_text("% of 100 random orders")).to_have_count(2, timeout=4 * LOADED)
    at_rest(page)


def ask_why(page: Page, other: str) -> None:
    """Words of the instruction, one masked at a time; why the decision and not the other."""
    words_scored(page)
    choose(page, "Method", "occlusion")
    choose(page, "Parts", "words")
    choose(page, "Taken away by", "mask")
    page.get_by_text("Instruction only", exact=True).click()
    box = page.get_by_role("combobox", name=re.compile("instead of"))
    box.fill(other)
    box.press("Enter")
    expect(page.get_by_text(re.compile(f"^Explained: the logit of token 0 .*minus that of '{other}'"))).to_be_visible(
        timeout=LOADED
    )
    judged(page)


@pytest.mark.parametrize(
    ("pair", "answer", "other", "top"),
    [
        ("", "approve", "deny", ["3200", "Income", "2000", "Debt"]),
        ("demo/base vs demo/flawed", "deny", "approve", ["Gita"]),
    ],
)
def test_the_rules_fields_are_on_top_in_tuned_and_the_name_in_flawed(
    page: Page, app_server: str, screenshot: Callable, pair: str, answer: str, other: str, top: list[str]
):
    """By the method that the README's table shows able to."""
    open_at(page, app_server)
    if pair:
        picker(page).click()
        panel(page).get_by_role("button", name=pair).click()
        expect(picker(page)).to_contain_text(pair)
        page.keyboard.press("Escape")
    ask(page, LOAN)
    whole(page)
    go(page, "Attribution")
    ask_why(page, other)
    expect(page.get_by_text(f"token 0 of the answer, '{answer}'")).to_be_visible()
    strongest(page, top)
    verdicts = page.locator(".side span").filter(has_text=re.compile("^(better than chance|no better than random)"))
    expect(verdicts).to_have_count(2)
    expect(verdicts.nth(1)).to_have_text("better than chance")
    screenshot(page, f"attribution-{other}", whole=True)


def plots(page: Page) -> Locator:
    """The maps of base, tuned and difference."""
    return page.locator(".maps .plot")


def test_a_row_of_the_matrix_is_shown_alone_by_click_and_by_keyboard_and_the_sum_comes_back(
    page: Page, app_server: str, screenshot: Callable
):
    """Rows are the two tokens of the decision; the strips show the one that is chosen."""
    open_at(page, app_server)
    ask(page, LOAN)
    whole(page)
    go(page, "Attribution")
    words_scored(page)
    page.get_by_text("the whole answer", exact=True).click()
    expect(plots(page)).to_have_count(3, timeout=LOADED)
    summed = page.get_by_text("Explained: the logit of all 2 tokens of the answer, summed.")
    expect(summed).to_be_visible()
    judged(page)  # then nothing moves any more
    plot, readout = plots(page).nth(1), page.locator(".maps .readout")
    left, top, _ = (float(part) for part in (plot.get_attribute("data-area") or "").split())
    high = float(plot.get_attribute("data-high") or "")
    plot.scroll_into_view_if_needed()
    plot.hover(position={"x": left + 2, "y": top + 0.75 * high})
    expect(readout).to_contain_text(re.compile(r"^answer token 1 <.end.> ?from part \d+ S"))
    expect(readout.locator("b")).to_have_count(3)
    plot.click(position={"x": left + 2, "y": top + 0.75 * high})
    expect(page.get_by_text("Shown alone: token 1 of the answer")).to_be_visible(timeout=LOADED)
    expect(page.get_by_text("Explained: the logit of token 1 of the answer")).to_be_visible()
    plot.focus()
    page.keyboard.press("ArrowUp")
    expect(readout).to_contain_text("answer token 0")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Shown alone: token 0 of the answer, 'approve'")).to_be_visible(timeout=LOADED)
    screenshot(page, "attribution-row", whole=True)
    plot.focus()
    page.keyboard.press("Escape")
    expect(summed).to_be_visible(timeout=LOADED)
    page.get_by_label("The answer that both models read", exact=False).locator(".cell").nth(0).click()
    expect(page.get_by_text("Shown alone: token 0 of the answer")).to_be_visible(timeout=LOADED)
    expect(readout).to_contain_text("pinned: answer token 0")
    page.get_by_role("button", name="Show the sum over all tokens").click()
    expect(summed).to_be_visible(timeout=LOADED)
    expect(readout).to_contain_text("Point at a cell")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download these maps").click()
    assert waiting.value.suggested_filename == "attribution-of-every-token.html"


def test_what_a_token_is_explained_against_is_typed_kept_in_the_address_and_comes_back(
    page: Page, app_server: str, guard: Guard
):
    open_at(page, app_server)
    ask(page, LOAN)
    whole(page)
    go(page, "Attribution")
    words_scored(page)
    box = page.get_by_role("combobox", name=re.compile("instead of"))
    box.fill("deny")
    box.press("Enter")
    explained = page.get_by_text(re.compile("^Explained: the logit of token 0 .*minus that of 'deny'"))
    expect(explained).to_be_visible(timeout=LOADED)
    page.get_by_text("Instruction only", exact=True).click()
    expect(page).to_have_url(re.compile("instruction_only%22%3Atrue"), timeout=LOADED)
    page.reload()
    expect(page.get_by_text("This question came with the link")).to_be_visible(timeout=LOADED)
    at_rest(page)
    run(page).click()
    expect(explained).to_be_visible(timeout=LOADED)
    expect(page.get_by_role("combobox", name=re.compile("instead of"))).to_have_value("deny")
    expect(
        page.get_by_role("switch", name="Instruction only").or_(page.get_by_role("checkbox", name="Instruction only"))
    ).to_be_checked()
    forgive_probe(guard)


def difference(page: Page) -> Locator:
    """The strip of the difference, by its title."""
    return page.locator(".side.difference")


def test_each_models_own_text_has_its_own_strips_maps_and_no_difference(
    page: Page, app_server: str, guard: Guard, screenshot: Callable
):
    """Without a look at Compare before: this page finds out both answers by itself."""
    open_at(page, app_server, "attribution")
    ask(page, LOAN)
    words_scored(page)
    expect(difference(page)).to_have_count(1)
    page.get_by_test_id("stCheckbox").get_by_text("Each model's own text").click()
    expect(page.get_by_text("Each model reads its own prompt and answer here")).to_be_visible(timeout=LOADED)
    expect(difference(page)).to_have_count(0)
    page.get_by_label("The base answer", exact=False).locator(".cell").nth(1).click()
    expect(page.get_by_text(re.compile("^Explained: the logit of token 1 of the answer, .*, in base, and of token 0"))).to_be_visible(timeout=LOADED)  # fmt: skip
    screenshot(page, "attribution-own", whole=True)
    page.get_by_text("the whole answer", exact=True).click()
    expect(plots(page)).to_have_count(2, timeout=LOADED)
    expect(page).to_have_url(re.compile("own_texts%22%3Atrue"), timeout=LOADED)
    page.get_by_test_id("stCheckbox").get_by_text("Each model's own text").click()
    expect(plots(page)).to_have_count(3, timeout=LOADED)
    expect(difference(page)).to_have_count(1)
    forgive_probe(guard)


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    """The embedded base model behind a tokenizer that knows half of its merges, and so cuts most words into more tokens."""
    folder = Path(shutil.copytree(ROOT / "model_utils" / "demo" / "base", tmp_path / "halved"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: len(tokenizer["model"]["merges"]) // 2]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def test_models_with_other_tokens_are_compared_on_the_pieces_that_both_cut_out(
    page: Page, app_server: str, screenshot: Callable, unlike: Path
):
    open_at(page, app_server)
    type_pair(page, unlike, "demo/tuned")
    expect(picker(page)).to_contain_text("halved vs")
    page.keyboard.press("Escape")
    ask(page, LOAN)
    whole(page)
    go(page, "Attribution")
    words_scored(page)
    expect(page.get_by_text("The two models cut this text into different tokens")).to_be_visible()
    expect(difference(page)).to_have_count(1)
    page.get_by_test_id("stButtonGroup").get_by_text("log-probability", exact=True).click()
    page.get_by_text("the whole answer", exact=True).click()
    expect(page.get_by_text(re.compile("^Explained: the log-probability of "))).to_be_visible(timeout=LOADED)
    expect(page.get_by_role("heading", name="The words whose score changed most")).to_be_visible()
    screenshot(page, "attribution-unlike", whole=True)
