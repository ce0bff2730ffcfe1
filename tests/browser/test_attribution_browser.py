"""The Attribution page in a real Chromium: why this decision and not the other, in both models, and whether to believe it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from model_utils.demo import EXAMPLES
from tests.browser.test_app_browser import LOADED, ask, go, open_at, panel, picker, whole, words_scored

LOAN = next(example.instruction for example in EXAMPLES if example.label == "Loan")


def choose(page: Page, label: str, option: str) -> None:
    box = page.get_by_role("combobox", name=re.compile(f"(^|Selected .*\\. ){re.escape(label)}"))
    box.click()
    page.get_by_role("option", name=option, exact=True).click()


def strongest(page: Page) -> list[str]:
    """The labels of the bars, from the top."""
    chart = page.locator(".js-plotly-plot").first
    ticks = chart.locator(".ytick text")
    expect(ticks.first).to_be_visible(timeout=LOADED)
    return ticks.evaluate_all("all => all.sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y).map(one => one.textContent)")  # fmt: skip


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
    expect(page.get_by_text("of 100 random orders")).to_have_count(2, timeout=LOADED)


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
    named = strongest(page)
    assert [wanted in said for wanted, said in zip(top, named, strict=False)] == [True] * len(top), named
    verdicts = page.locator(".side span").filter(has_text=re.compile("^(better than chance|no better than random)"))
    expect(verdicts).to_have_count(2)
    expect(verdicts.nth(1)).to_have_text("better than chance")
    screenshot(page, f"attribution-{other}", whole=True)
