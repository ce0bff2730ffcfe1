"""The Many page in a real Chromium: a list is pasted or uploaded, runs while other pages are looked at, and a row opens on Compare."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.guard import Guard
from tests.browser.test_app_browser import HOSTILE, LOADED, QUESTION, ask, at_rest, go, open_at, run, whole, written
from tests.browser.test_asking_browser import forgive_probe

LONG = 4 * LOADED
LIST = (QUESTION, "Name five garments.", "Which is the odd one out: sledge, jam, car and bicycle?")


def open_many(page: Page, url: str) -> None:
    open_at(page, url)
    expect(page.get_by_text("Type an instruction and press Run.", exact=False)).to_be_visible()
    at_rest(page)
    go(page, "Many")
    expect(page.get_by_label("Instructions, one a line")).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Longest answer, tokens")).to_have_value("128")


def paste(page: Page, *instructions: str) -> None:
    page.get_by_label("Instructions, one a line").fill("\n".join(instructions))


def table(page: Page) -> Locator:
    return page.get_by_test_id("stDataFrame")


def finished(page: Page) -> None:
    expect(page.get_by_role("heading", name="Most different first")).to_be_visible(timeout=LONG)
    expect(page.locator(".js-plotly-plot")).to_be_visible()
    expect(table(page)).to_be_visible()
    at_rest(page)  # the table was there before, in the order in which the instructions came


def select_row(page: Page, number: int) -> None:
    """A click on the box before a row; the table is a canvas with rows of 35 pixels below a head of the same height."""
    table(page).scroll_into_view_if_needed()
    table(page).locator(".dvn-scroller").click(position={"x": 16, "y": 35 * (number + 1) + 17})


def download(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as started:
        page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    return list(csv.DictReader(io.StringIO(Path(started.value.path()).read_text(encoding="utf-8"), newline="")))


def test_a_pasted_list_becomes_a_table_whose_row_opens_on_compare_and_back(
    any_page: Page, app_server: str, screenshot: Callable
):
    page = any_page
    open_many(page, app_server)
    screenshot(page, "many-empty", whole=True)
    paste(page, *LIST)
    run(page).click()
    finished(page)
    expect(page.get_by_text(re.compile("On average .* shifted, over 3 instructions"))).to_be_visible()
    screenshot(page, "many", whole=True)
    first = download(page)[0]["instruction"]
    table(page).hover()
    expect(page.get_by_role("button", name="Search")).to_be_visible()
    expect(page.get_by_role("button", name="Download as CSV: ", exact=False)).to_be_hidden()
    select_row(page, 0)
    expect(page.get_by_role("heading", name="What did tuning change in this answer?")).to_be_visible(timeout=LOADED)
    expect(page.get_by_label("Instruction", exact=True)).to_have_value(first)
    whole(page)
    screenshot(page, "many-opened")
    go(page, "Many")
    finished(page)
    expect(page.get_by_label("Instructions, one a line")).to_have_value("\n".join(LIST))


def test_it_goes_on_while_other_pages_ask_and_is_there_on_return(page: Page, app_server: str, screenshot: Callable):
    open_many(page, app_server)
    paste(page, *(f"Work out the total of {n}, 45 and 25." for n in range(10, 34)))
    run(page).click()
    expect(page.get_by_text(re.compile(r"Instruction \d+ of 24"))).to_be_visible(timeout=LOADED)
    expect(page.get_by_text(re.compile(r"about \d+ (s|min) left"))).to_be_visible(timeout=LOADED)
    expect(page.get_by_role("heading", name="As they come")).to_be_visible(timeout=LOADED)
    screenshot(page, "many-running", whole=True)
    go(page, "Compare")
    expect(page.locator(".st-key-header").get_by_text(re.compile(r"Survey: instruction \d+ of 24"))).to_be_visible()
    page.get_by_label("Instruction", exact=True).fill(QUESTION)
    run(page).click()
    expect(written(page, "tuned")).to_contain_text("Vienna", timeout=LOADED)
    go(page, "Many")
    finished(page)
    expect(page.get_by_text(re.compile("over 24 instructions")).first).to_be_visible()


def test_stop_keeps_what_is_done(page: Page, app_server: str, screenshot: Callable):
    open_many(page, app_server)
    paste(page, *(f"Work out the sum of {n}, 40 and 5." for n in range(10, 60)))
    run(page).click()
    expect(page.get_by_role("heading", name="As they come")).to_be_visible(timeout=LOADED)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped before the end.", exact=False)).to_be_visible(timeout=LOADED)
    finished(page)
    assert 0 < len(download(page)) < 50
    screenshot(page, "many-stopped", whole=True)


def test_an_uploaded_file_is_hostile_until_read_and_literal_afterwards(
    page: Page, app_server: str, tmp_path: Path, screenshot: Callable
):
    file = tmp_path / "list.jsonl"
    file.write_text(
        f'{{"instruction": "{HOSTILE}"}}\n{{"other": "{HOSTILE}"}}\nnot JSON\n"=1+1"\n"{"word " * 3_000}"\n', encoding="utf-8"
    )  # fmt: skip
    open_many(page, app_server)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(file)
    expect(page.get_by_text("3 instructions; 2 lines were left out.")).to_be_visible()
    page.get_by_text("The lines that were left out").click()
    expect(page.get_by_text("Line 3 was left out: it is not JSON", exact=False)).to_be_visible()
    page.get_by_role("spinbutton", name="Longest answer, tokens").fill("16")
    run(page).click()
    finished(page)
    expect(page.get_by_text("1 of 3 instructions could not be asked", exact=False)).to_be_visible()
    screenshot(page, "many-file", whole=True)
    rows = {row["instruction"]: row for row in download(page)}
    assert HOSTILE in rows and "'=1+1" in rows
    assert [row["refusal"] != "" for row in download(page)] == [False, False, True], (
        "what could not be asked comes last"
    )
    assert page.evaluate("window.hacked") is None


def test_the_examples_of_the_embedded_models_are_one_click(page: Page, app_server: str, screenshot: Callable):
    open_many(page, app_server)
    page.get_by_role("button", name="Examples").click()
    finished(page)
    expect(page.get_by_text("over 12 instructions", exact=False).first).to_be_visible()
    screenshot(page, "many-examples", whole=True)


def test_a_reload_brings_back_the_list_and_the_question_each_in_its_own_manner(
    page: Page, guard: Guard, app_server: str
):
    """The list took the editor for itself, and the question of the other pages was gone."""
    length = page.get_by_role("spinbutton", name="Longest answer, tokens")
    open_at(page, app_server)
    ask(page, QUESTION, tokens=16)
    whole(page)
    go(page, "Many")
    paste(page, *LIST)
    length.fill("12")
    run(page).click()
    finished(page)
    page.wait_for_function("location.search.includes('ask=') && location.search.includes('list=')")
    page.reload()
    expect(page.get_by_text("This list came with the link; press Run to ask it.")).to_be_visible(timeout=LOADED)
    expect(page.get_by_label("Instructions, one a line")).to_have_value("\n".join(LIST))
    expect(length).to_have_value("12")
    go(page, "Compare")
    expect(page.get_by_text("This question came with the link; press Run to ask it.")).to_be_visible(timeout=LOADED)
    expect(page.get_by_label("Instruction", exact=True)).to_have_value(QUESTION)
    expect(length).to_have_value("16")
    go(page, "Many")
    expect(length).to_have_value("12")
    run(page).click()
    finished(page)
    expect(page.get_by_text("at most 12 tokens", exact=False)).to_be_visible()
    go(page, "Compare")
    expect(length).to_have_value("16")
    run(page).click()
    whole(page)
    expect(page.get_by_text("You changed the question", exact=False)).to_have_count(0)
    forgive_probe(guard)
