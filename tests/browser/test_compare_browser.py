"""The Compare page in a real Chromium: both models' numbers over a token, a pin that the arrow keys move, a row, the parts."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from model_utils.pair import SIDES
from tests.browser.test_app_browser import LOADED, ask, at_rest, open_at, whole
from tests.browser.test_many_browser import download

LONG = "Name three animals."


def cells(page: Page, side: str) -> Locator:
    return page.get_by_label(f"Tokens of the {side} model's answer", exact=False).locator(".cell")


def measured(page: Page) -> None:
    """The floors are there, and with them the whole page."""
    expect(page.get_by_role("heading", name="Format or weights?")).to_be_visible(timeout=4 * LOADED)
    expect(page.locator(".js-plotly-plot")).to_have_count(2)


def pinned_at(page: Page, token: int) -> None:
    """In both figures and in the line above the table."""
    expect(page.get_by_text(re.compile(rf"^Pinned: .* at {token}:"))).to_be_visible()
    page.wait_for_function(
        "token => [...document.querySelectorAll('.js-plotly-plot')].length === 2 &&"
        " [...document.querySelectorAll('.js-plotly-plot')].every(one => (one.layout.shapes || []).some(shape => shape.name === 'pinned' && shape.x0 === token))",
        arg=token,
    )


@pytest.fixture
def compared(any_page: Page, app_server: str) -> Page:
    open_at(any_page, app_server)
    ask(any_page, LONG)
    whole(any_page)
    measured(any_page)
    return any_page


def test_headline_shares_strips_curve_table_and_parts_are_on_the_page(compared: Page, screenshot: Callable):
    page = compared
    expect(
        page.get_by_role("heading", name=re.compile(r"^\d+ of \d+ tokens of the tuned answer changed more"))
    ).to_be_visible()
    expect(page.get_by_text(re.compile(r"unshifted \d+%, marginal \d+%, shifted \d+%")).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^total .* nats = weights .* \+ format"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the window"
    screenshot(page, "compare-shift", whole=True)


def test_a_token_tells_both_models_numbers_and_the_arrow_keys_move_one_pin(
    page: Page, app_server: str, screenshot: Callable
):
    open_at(page, app_server)
    ask(page, LONG)
    whole(page)
    measured(page)
    first = cells(page, "tuned").first
    first.scroll_into_view_if_needed()
    first.hover()
    tip = page.locator("[role=tooltip], .tip").filter(has_text="probability")
    expect(tip).to_contain_text(re.compile(r"base.*tuned.*probability.*%.*rank.*entropy.*nats", re.DOTALL))
    screenshot(page, "compare-tip")
    first.click()
    pinned_at(page, 0)
    for token in (1, 2):
        page.keyboard.press("ArrowRight")
        pinned_at(page, token)
    expect(cells(page, "tuned").nth(2)).to_have_attribute("aria-selected", "true")
    screenshot(page, "compare-pinned", whole=True)
    page.keyboard.press("Escape")
    expect(page.get_by_text(re.compile("^Pinned:"))).to_have_count(0)
    cells(page, "base").first.click()
    pinned_at(page, 0)
    expect(page.get_by_role("radio", name="base").first).to_be_checked()


def test_a_row_of_the_table_pins_its_token(page: Page, app_server: str):
    open_at(page, app_server)
    ask(page, LONG)
    whole(page)
    measured(page)
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    table.click(position={"x": 16, "y": 54})
    said = page.get_by_text(re.compile("^Pinned:")).inner_text()
    pinned_at(page, int(re.findall(r" at (\d+): base", said)[-1]))
    chosen = cells(page, "tuned").and_(page.locator("[aria-selected=true]"))
    expect(chosen).to_have_count(1)


def test_the_file_holds_every_token_and_no_table_has_a_download_that_a_spreadsheet_would_run(
    page: Page, app_server: str
):
    open_at(page, app_server)
    ask(page, LONG)
    whole(page)
    measured(page)
    rows = download(page)
    for side in SIDES:
        expect(cells(page, side)).to_have_count(sum(row["answer"] == side for row in rows))
    assert {"log_ratio", "rank", "weights", "format", "wording_floor"} <= set(rows[0])
    page.get_by_text("What each model saw").click()
    tables = page.get_by_test_id("stDataFrame")
    expect(tables).to_have_count(3)
    for table in tables.all():
        table.scroll_into_view_if_needed()
        table.hover()
        expect(page.get_by_role("button", name="Search").locator("visible=true").first).to_be_visible()
        expect(page.get_by_test_id("stElementToolbar").get_by_role("button", name="Download as CSV")).to_have_count(0)


def test_the_strips_stay_as_they_are_when_the_noise_floors_come(page: Page, app_server: str):
    """Drawn anew they would be empty for a moment, and what lies below would jump."""
    open_at(page, app_server)
    page.evaluate("""() => {
        window.strips = new Set();
        const look = () => document.querySelectorAll('[data-testid=stBidiComponentIsolated]').forEach(one => window.strips.add(one));
        new MutationObserver(look).observe(document.body, {subtree: true, childList: true});
    }""")
    ask(page, LONG)
    whole(page)
    measured(page)
    assert page.evaluate("window.strips.size") == len(SIDES)


def test_other_formats_part_the_difference_anew(page: Page, app_server: str):
    open_at(page, app_server)
    ask(page, LONG)
    whole(page)
    measured(page)
    sum = page.get_by_text(re.compile(r"^total .* nats = weights .* \+ format"))
    before = sum.inner_text()
    picker = page.get_by_role("combobox", name=re.compile("Reference format"))
    picker.scroll_into_view_if_needed()  # the list of options closes when the page scrolls
    picker.click()
    page.get_by_role("option", name="chat").click()
    expect(page.get_by_text("the format part is zero by definition")).to_be_visible(timeout=4 * LOADED)
    expect(sum).to_contain_text("format +0.00")
    assert sum.inner_text() != before


def test_a_reloaded_link_reads_the_same_numbers(page: Page, app_server: str):
    """Headline, shares, parts, measure and pin: all that was seen is seen again, after Run and not before."""
    open_at(page, app_server)
    ask(page, LONG)
    whole(page)
    measured(page)
    cells(page, "tuned").nth(1).click()
    pinned_at(page, 1)
    page.get_by_role("radio", name="rank", exact=True).click()
    seen = numbers(page)
    page.wait_for_function("location.search.includes('rank') && location.search.includes('token')")
    page.reload()
    expect(page.get_by_text("This question came with the link; press Run to ask it.")).to_be_visible(timeout=LOADED)
    expect(page.get_by_role("heading", name="Format or weights?")).to_have_count(0)
    at_rest(page)
    page.get_by_role("button", name=re.compile("^Run")).click()
    whole(page)
    measured(page)
    pinned_at(page, 1)
    assert numbers(page) == seen
    expect(page.get_by_role("radio", name="rank", exact=True)).to_be_checked()


def numbers(page: Page) -> list[str]:
    """The sentences with the figures of the page."""
    patterns = (
        r"tokens of the tuned answer changed more",
        r"unshifted \d+%",
        r"^total .* nats = weights",
        r"^Pinned: ",
    )
    return [page.get_by_text(re.compile(pattern)).first.inner_text() for pattern in patterns]
