"""The page of instruction design, and the line under the editor of Compare: marks come without a model, when the text is committed, and are never markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from dashboard.session import editor, probing
from dashboard.widgets import wording
from dashboard.widgets.text import escaped, plain
from model_utils import __main__ as cli
from model_utils import analyses
from model_utils.contracts.common import ModelSpec
from model_utils.contracts.instructions import InstructionItem, InstructionsRequest
from model_utils.pair import Pair
from model_utils.probes.packs import PACKS
from model_utils.wording import marks
from model_utils.wording.said import held_out_said
from tests import results
from tests.test_pages import HOSTILE, FakeEngine, FakeJob, app, ask, checked, done, engine, go, kept, words, written

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures

LEADING = "Don't you agree that tea is healthy?"
TYPED = probing.key("instructions", "typed")


def make(kind: str, request: Any) -> FakeJob:
    if kind == "instructions":
        return FakeJob(kind, request, result=results.instructions())
    return FakeJob(kind, request, result=results.load_report()) if kind == "load_report" else done(kind, request)


@pytest.fixture
def page(app: AppTest, engine: FakeEngine) -> AppTest:
    engine.make = make
    return go(app, "instructions")


def type_in(page: AppTest, text: str) -> AppTest:
    return checked(page.text_area(key=TYPED).set_value(text).run())


def buttons(page: AppTest, label: str) -> list[Any]:
    return [one for one in page.button if one.label == label]


def looked_at(page: AppTest) -> bool:
    return "What the wording says by itself" in [one.value for one in page.subheader]


# Marks


def test_marks_appear_as_soon_as_there_is_text_without_a_model(page: AppTest, engine: FakeEngine):
    assert not looked_at(page)
    type_in(page, f"{LEADING}\nWhat is the capital?\nIs the author a man or a woman?")
    said = "\n".join(written(page))
    (first,), (last,) = marks(LEADING), marks("Is the author a man or a woman?")
    assert f"<mark>{escaped(first.words)}</mark>" in said and "1 leading premise</span>" in said
    assert escaped(first.why) in said and escaped(first.advice) in said and escaped(first.rewrite) in said
    assert "<b>1 missing option</b>" in said and escaped(last.why) in said
    assert escaped(held_out_said("leading premise")) in said and escaped(held_out_said("missing option")) in said
    assert plain("2 places in 2 of 3 instructions") in words(page)
    assert not engine.submitted


def test_what_has_no_mark_is_not_called_good(page: AppTest):
    type_in(page, "What is the capital?")
    assert plain("no proof of a good one") in words(page) and not buttons(page, "Use this instruction")
    type_in(page, "")
    assert not looked_at(page) and not page.error


def test_what_is_too_long_to_be_looked_at_is_said(page: AppTest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wording, "LOOKED_AT", 50)
    type_in(page, f"{LEADING}\n{LEADING} And why?")
    assert "The first 1 of 2 are looked at here" in words(page) and len(buttons(page, "Use this instruction")) == 1


def test_a_rewrite_goes_into_the_editor_of_compare(page: AppTest, engine: FakeEngine):
    type_in(page, LEADING)
    (use,) = buttons(page, "Use this instruction")
    checked(use.click().run())
    assert (
        page.text_area(key=editor.INSTRUCTION).value == marks(LEADING)[0].rewrite == "Is it true that tea is healthy?"
    )
    assert "What did tuning change in this answer?" in words(page) and not engine.asked("generation")


def test_one_text_or_one_a_line(page: AppTest, engine: FakeEngine):
    text = "Read this.\nIs it so?"
    type_in(page, text)
    assert plain("2 instructions; nothing was left out.") in words(page)
    checked(page.toggle(key="instructions-one-text").set_value(True).run())
    checked(page.button(key="run").click().run())
    assert [one.instruction for one in engine.asked("instructions")[-1].items] == [text]


def pack_box(page: AppTest) -> Selectbox:
    (found,) = (box for box in page.selectbox if str(box.key).startswith("instructions-pack-"))
    return found


def test_a_pack_brings_its_instructions(page: AppTest, engine: FakeEngine):
    page.session_state["instructions-source"] = probing.PACK
    checked(page.run())
    box = pack_box(page)
    assert sorted(box.options) == sorted(one.title for one in PACKS.values() if one.instructions)
    assert PACKS[box.value].for_demo, "those of the world of these models come first"
    assert sum(bool(marks(one.text)) for one in PACKS[box.value].instructions) == len([body for body in written(page) if "<mark>" in body])  # fmt: skip
    checked(page.button(key="run").click().run())
    assert [one.instruction for one in engine.asked("instructions")[-1].items] == [one.text for one in PACKS[box.value].instructions]  # fmt: skip
    kept(page).chosen = Pair(ModelSpec(id="one/base"), ModelSpec(id="one/tuned"))
    checked(page.run())
    assert not PACKS[pack_box(page).value].for_demo


def test_the_marks_of_a_packs_author_stand_beside_those_of_the_rules(page: AppTest):
    page.session_state["instructions-source"] = probing.PACK
    checked(page.run())
    labelled = [one for one in PACKS[pack_box(page).value].instructions if one.marks]
    said = {one.value for one in page.caption}
    assert labelled and {plain(wording.authors_said(one.marks)) for one in labelled} <= said


def test_of_very_many_marks_the_first_are_shown(page: AppTest):
    page.session_state["instructions-one-text"] = True
    text = "Suggest a fast car. " * (wording.LISTED + 3)
    type_in(page, text)
    assert f"And {len(marks(text)) - wording.LISTED:,} more; the file has all of them." in words(page)
    assert sum(body.count('class="outcome"') for body in written(page)) == wording.LISTED


def test_a_pack_of_ones_own_is_read_from_a_file(page: AppTest):
    page.session_state["instructions-source"] = probing.FILE
    checked(page.run())
    pack = {"title": "Mine", "says": "Two.", "instructions": [LEADING, {"instruction": 3}]}
    checked(page.file_uploader[0].set_value(("mine.json", json.dumps(pack).encode(), "application/json")).run())
    assert plain("1 instruction; 1 was left out.") in words(page) and buttons(page, "Use this instruction")


@pytest.mark.parametrize("text", [HOSTILE, results.WORST])
def test_texts_are_never_markup(page: AppTest, text: str):
    page.session_state["instructions-one-text"] = True
    type_in(page, f"Surely {text} is good? {LEADING} {text}")
    assert any("<mark>" in body for body in written(page))
    for body in written(page):
        assert "<script" not in body and "<b>bold" not in body and "<img" not in body, body
    for kind in ("header", "subheader", "markdown", "caption", "error", "warning", "info"):
        assert not [one.value for one in page.get(kind) if text in one.value]


def test_an_opened_item_shows_sentences_wordings_and_suggestions(page: AppTest):
    type_in(page, LEADING)
    checked(page.button(key="run").click().run())
    said, result = "\n".join(written(page)), results.instructions()
    assert len(page.get("plotly_chart")) == 1
    assert said.count("↯ ") == 1 and escaped("Please … Thank you.") in said, "tuned's answer to one wording is another"
    assert f"{100 * result.gains.tuned[0][0]:+.1f} points" in said


def test_the_page_and_the_command_line_ask_the_same(page: AppTest, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    asked: list[Any] = []

    def execute(kind: str, specs: Any, request: Any, report: Any = None) -> Any:
        asked.append((kind, specs, request))
        return results.instructions()

    monkeypatch.setattr(analyses, "execute", execute)
    file = tmp_path / "list.txt"
    file.write_text(f"{LEADING}\nWhat is the capital?\n")
    told = CliRunner().invoke(cli.main, ["instructions", "--list", str(file), "--option", "yes", "--option", "no"])
    assert told.exit_code == 0, told.output
    page.session_state["instructions-options"] = "yes | no"
    type_in(page, file.read_text())
    checked(page.button(key="run").click().run())
    (submitted,) = [job for job in engine.submitted if job.kind == "instructions"]
    assert asked == [("instructions", submitted.specs, submitted.request)]
    items = tuple(InstructionItem(instruction=text, options=("yes", "no")) for text in file.read_text().splitlines())
    assert submitted.request == InstructionsRequest(items=items) and submitted.background


def test_one_option_is_one_sentence(page: AppTest, engine: FakeEngine):
    page.session_state["instructions-options"] = "yes"
    type_in(page, LEADING)
    checked(page.button(key="run").click().run())
    assert len(page.error) == 1 and "There is one option" in page.error[0].value and not engine.asked("instructions")


# Under the editor of Compare


def commit(app: AppTest, text: str) -> AppTest:
    """As a click elsewhere does."""
    return checked(app.text_area(key=editor.INSTRUCTION).set_value(text).run())


def noted(app: AppTest) -> list[str]:
    return [one.value for one in app.caption if "may sway the answer" in one.value]


def test_a_line_under_the_editor_names_marks_when_the_text_is_committed(app: AppTest, engine: FakeEngine):
    assert not noted(app) and not buttons(app, "Look at the wording")
    commit(app, LEADING)
    assert noted(app) == [plain(wording.noted(marks(LEADING)))] and not engine.asked("generation")
    commit(app, "What is the capital?")
    assert not noted(app) and not buttons(app, "Look at the wording"), "nothing is said where nothing was found"
    commit(app, LEADING)
    ask(app, LEADING)
    assert len(noted(app)) == 1 and engine.asked("generation"), "it blocks nothing"


def test_the_way_to_the_wording_takes_the_instruction_along(app: AppTest, engine: FakeEngine):
    text = f"{LEADING}\nBe brief."
    commit(app, text)
    (look,) = buttons(app, "Look at the wording")
    checked(look.click().run())
    assert page_of(app) == "Is the instruction itself the problem?" and app.text_area(key=TYPED).value == text
    assert plain("1 instruction; nothing was left out.") in words(app) and buttons(app, "Use this instruction")
    go(app, "compare")
    assert app.text_area(key=editor.INSTRUCTION).value == text


def page_of(app: AppTest) -> str:
    return app.header[0].value


@pytest.mark.parametrize("text", [HOSTILE, results.WORST])
def test_the_line_reads_no_markup(app: AppTest, text: str):
    commit(app, f"Surely {text} is it? Is the {text} a man or a woman?")
    assert noted(app) and not [one for one in noted(app) if text[:20] in one]


@pytest.mark.parametrize("page", ["attention", "attribution", "many"])
def test_other_pages_have_no_such_line(app: AppTest, page: str):
    commit(app, LEADING)
    assert not noted(go(app, page))


def test_a_text_is_looked_at_once_and_a_very_long_one_never(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    real: Callable[[str], Any] = wording.marks

    def counting(text: str) -> Any:
        asked.append(text)
        return real(text)

    monkeypatch.setattr(wording, "marks", counting)
    wording.marks_of.cache_clear()
    for _ in range(3):
        commit(app, LEADING)
        checked(app.run())
    assert asked.count(LEADING) == 1
    commit(app, "Surely so? " * wording.NOTED)
    assert not noted(app) and len(asked) <= 2
