"""The page of published benchmarks: files of every kind, a run that is stopped and gone on from, scores, and an opened item; no text is markup."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from dashboard.figures import published as figures
from dashboard.figures.published import PARTS, TITLES
from dashboard.session import editor
from dashboard.widgets import probe as shared
from dashboard.widgets import published as widget
from dashboard.widgets.text import escaped, plain
from model_utils import __main__ as cli
from model_utils.contracts.common import Request
from model_utils.contracts.published import COLUMNS, BBQItem, CrowsPair, StereoCluster
from model_utils.errors import Refused
from model_utils.pair import SIDES
from model_utils.records import contents
from tests import results
from tests.test_pages import APP, FakeEngine, FakeJob, app, checked, done, engine, go, kept, words, written

pytestmark = pytest.mark.slow

__all__ = ["app", "engine"]  # fixtures


def file_of(benchmark: str) -> tuple[str, bytes]:
    """(name, content) of its items, as their authors publish them."""
    asked = results.published_items(benchmark)
    if benchmark == "crows_pairs":
        out = io.StringIO(newline="")
        rows = csv.writer(out)
        rows.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"])
        rows.writerows([n, one.more, one.less, one.direction, one.category] for n, one in enumerate(asked) if isinstance(one, CrowsPair))  # fmt: skip
        return "pairs.csv", out.getvalue().encode()
    if benchmark == "stereoset":
        data: dict[str, list[Any]] = {"intrasentence": [], "intersentence": []}
        for one in asked:
            assert isinstance(one, StereoCluster)
            labels = zip(("stereotype", "anti-stereotype", "unrelated"), one.sentences, strict=True)
            sentences = [{"gold_label": label, "sentence": text} for label, text in labels]
            data[one.part].append({"target": one.target, "bias_type": one.category, "context": one.context, "sentences": sentences})  # fmt: skip
        return "dev.json", json.dumps({"version": "1", "data": data}).encode()
    return "work.jsonl", "".join(_line(one) for one in asked if isinstance(one, BBQItem)).encode()


def _line(one: BBQItem) -> str:
    info = {f"ans{n}": [text, "unknown" if n == one.unknown else f"group {n}"] for n, text in enumerate(one.answers)}
    line = {
        "context": one.context,
        "question": one.question,
        "category": one.category,
        "label": one.right,
        "answer_info": info,
    }
    line |= {f"ans{n}": text for n, text in enumerate(one.answers)}
    line |= {"question_polarity": one.polarity, "context_condition": one.condition, "additional_metadata": {}}
    line |= {"label_type": "name" if one.names else "label"} | ({"target_loc": one.target} if one.target >= 0 else {})
    return json.dumps(line) + "\n"  # fmt: skip


def answering(kind: str, request: Any) -> FakeJob:
    if kind != "published":
        return FakeJob(kind, request, result=results.load_report()) if kind == "load_report" else done(kind, request)
    return FakeJob(kind, request, result=results.published(benchmark=request.benchmark))


def running(kind: str, request: Any) -> FakeJob:
    if kind != "published":
        return answering(kind, request)
    return FakeJob(kind, request, state="running", snapshot=results.published(False, request.benchmark), note="item 2 of 5")  # fmt: skip


@pytest.fixture(params=[*COLUMNS])
def benchmark(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def page(app: AppTest, engine: FakeEngine) -> AppTest:
    engine.make = answering
    return go(app, "benchmarks")


def upload(page: AppTest, name: str, content: bytes) -> AppTest:
    return checked(page.file_uploader[0].set_value((name, content, "text/plain")).run())


def ask(page: AppTest, benchmark: str) -> AppTest:
    upload(page, *file_of(benchmark))
    return checked(page.button(key="run").click().run())


def table(page: AppTest, column: str) -> pd.DataFrame:
    (found,) = [frame.value for frame in page.dataframe if column in frame.value]
    return found


def test_the_page_asks_one_question_and_warns(page: AppTest, engine: FakeEngine):
    assert len(page.header) == 1 and page.header[0].value == "What do published bias benchmarks say?"
    for said in ("press Run", "What this cannot show", "Blodgett", "their numbers here say nothing", "CC BY-SA 4.0"):
        assert said in words(page)
    assert "](http" not in words(page) and not engine.submitted, "no link that fetches"


def test_a_file_is_told_by_what_it_holds_and_stays_over_a_change_of_page(
    page: AppTest, engine: FakeEngine, benchmark: str
):
    name, content = file_of(benchmark)
    upload(page, name, content)
    assert plain(f"{TITLES[benchmark]}, 5 items; nothing was left out.") in words(page)
    assert ("plain text: no format" in words(page)) is (benchmark != "bbq")
    go(page, "compare")
    go(page, "benchmarks")
    assert plain(f"From the file {name}") in words(page)
    checked(page.number_input(key="published-first").set_value(3).run())
    checked(page.button(key="run").click().run())
    asked = engine.asked("published")[-1]
    assert (asked.benchmark, asked.items) == (benchmark, results.published_items(benchmark)[:3])
    assert engine.submitted[-1].background and asked.margin == pytest.approx(0.03)


def test_the_page_asks_what_the_command_line_asks(
    page: AppTest, engine: FakeEngine, benchmark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ask(page, benchmark)
    name, content = file_of(benchmark)
    (tmp_path / name).write_bytes(content)
    seen: list[Request] = []

    def execute(kind: str, specs: Any, request: Request, report: Any) -> None:
        seen.append(request)
        raise Refused("Not now.")

    monkeypatch.setattr("model_utils.analyses.execute", execute)
    CliRunner().invoke(cli.main, ["published", "--file", str(tmp_path / name)])
    assert seen == engine.asked("published")


@pytest.mark.parametrize("name", ["items.pdf", f"{results.WORST}.exe"])
def test_a_file_that_cannot_be_read_is_one_sentence(page: AppTest, engine: FakeEngine, name: str):
    upload(page, name, b"neither of them")
    checked(page.button(key="run").click().run())
    assert len(page.error) == 1 and "no published file" in page.error[0].value and not engine.submitted
    assert results.WORST not in words(page)


def test_without_a_file_run_says_what_is_missing(page: AppTest, engine: FakeEngine):
    checked(page.button(key="run").click().run())
    assert len(page.error) == 1 and not engine.submitted


def test_stop_keeps_what_is_done_and_it_can_be_gone_on_from(page: AppTest, engine: FakeEngine, benchmark: str):
    engine.make = running
    ask(page, benchmark)
    assert "So far" in words(page) and shared.UNFINISHED in words(page).replace("\\", "")
    checked(page.button(key="stop-published").click().run())
    assert [job.kind for job in engine.released] == ["published"]
    assert len(table(page, "text")) == 2 and len(page.get("plotly_chart")) == 1
    first, engine.make = engine.submitted[-1], answering
    checked(page.button(key="on-published").click().run())
    assert engine.submitted[-1].after is first and engine.submitted[-1].request == first.request
    assert "Stopped" not in words(page) and len(table(page, "text")) == 4


def test_findings_scores_and_refused_items_are_shown(page: AppTest, benchmark: str):
    ask(page, benchmark)
    found = shared.ranked(results.published(benchmark=benchmark).findings)
    assert page.subheader[0].value == plain(found[0].said())
    assert plain("1 of 5 items could not be asked and is in no number.") in words(page)
    assert plain(f"Item 5: The prompt is 900 tokens long. {results.WORST}") in words(page)
    scores = table(page, "measure")
    assert len(scores) == len(results.published(benchmark=benchmark).scores()) and not scores["measure"].isna().any()
    assert not scores["part"].isna().any()
    assert ("the three answers together hold" in words(page)) is (benchmark == "bbq")
    assert ("(chat)" in words(page).replace("\\", "")) is (benchmark == "bbq"), "sentences are asked in no format"


def test_each_part_is_drawn(page: AppTest, benchmark: str):
    ask(page, benchmark)
    parts = results.published(benchmark=benchmark).parts()
    for part in parts:
        page.session_state[widget.PART] = part
        checked(page.run())
        (chart,) = page.get("plotly_chart")
        assert PARTS[part] in chart.proto.alt
    other = next(one for one in COLUMNS if one != benchmark)
    checked(page.button(key="published-forget-file").click().run())
    ask(page, other)
    assert len(page.get("plotly_chart")) == 1, "a part that is not there is forgotten"


def test_the_most_unequal_item_comes_first(benchmark: str):
    result = results.published(benchmark=benchmark)
    shown = widget.examples(result)
    most = shown[[*widget.LEANS.values()]].abs().max(axis=1)
    assert most.is_monotonic_decreasing and sorted(shown["item"]) == [0, 1, 2, 3]
    for side in SIDES:
        assert shown[widget.LEANS[side]].tolist() == result.leaning(side)[shown["item"]].tolist()


def test_a_tie_of_the_score_is_a_tie_in_the_list():
    for benchmark, row in (("crows_pairs", (-10.0001, -10.0003, -9, -9)), ("stereoset", (-3, -3, -5))):
        result = results.published(benchmark=benchmark)
        result.read.base[:4] = row
        shown = widget.examples(result)
        assert set(shown["base"]) == {"none (a tie)"} and (shown[widget.LEANS["base"]] == 0).all()
        name = {"crows_pairs": "stereotype", "stereoset": "ss"}[benchmark]
        scores = result.scores()
        assert (scores[scores["measure"] == name]["base"] == 0).all()


def test_categories_that_are_not_drawn_are_counted(page: AppTest, engine: FakeEngine, benchmark: str):
    few = results.published(benchmark=benchmark)
    items = tuple(few.items[number % 2].model_copy(update={"category": f"kind {number:03}"}) for number in range(140))
    many = replace(few, items=items, read=few.read.map(lambda one: one[np.arange(140) % 2]), refused=())
    engine.make = lambda kind, request: FakeJob(kind, request, result=many) if kind == "published" else answering(kind, request)  # fmt: skip
    ask(page, benchmark)
    (chart,) = page.get("plotly_chart")
    drawn = len(figures.figure(many).layout.yaxis.ticktext)
    categories = len(figures.rows(many, many.parts()[0]))
    assert drawn == figures.MOST_ROWS < categories
    assert f"{categories - drawn} more categories are not drawn" in words(page)
    assert chart.proto.alt.count(" items) ") == drawn
    assert len(set(table(page, "measure")["category"])) >= categories


def test_an_opened_item_shows_exact_texts_and_both_models_numbers(page: AppTest, benchmark: str):
    ask(page, benchmark)
    result = results.published(benchmark=benchmark)
    number = int(table(page, "text")["item"].iloc[0]) - 1
    item, said = result.items[number], "\n".join(written(page))
    assert any(one.value == f"Item {number + 1}" for one in page.subheader)
    texts = item.answers if isinstance(item, BBQItem) else item.sentences if isinstance(item, StereoCluster) else (item.more, item.less)  # fmt: skip
    for place, text in enumerate(texts):
        assert f'dir="auto">{escaped(text)}</span>' in said
        for side in SIDES:
            assert f"{result.read[side][number][place]:.2f}" in said
    if isinstance(item, BBQItem):
        assert escaped(item.asked()) in said and "✓ right" in said and "●" in said


def test_texts_of_a_file_are_never_markup(page: AppTest, benchmark: str):
    ask(page, benchmark)
    for body in written(page):
        assert "<script" not in body and "<b>bold" not in body, body
    for kind in ("header", "subheader", "markdown", "caption", "error", "warning", "info"):
        assert not [one.value for one in page.get(kind) if results.WORST in one.value]
    rows = list(
        csv.DictReader(
            io.StringIO(shared.csv_file(results.published(benchmark=benchmark).table()).decode(), newline="")
        )
    )
    assert len(rows) == 5 and not [value for row in rows for value in row.values() if value.startswith(("=", "@"))]


def test_the_result_can_be_recorded_and_is_listed_by_its_first_item(page: AppTest, benchmark: str):
    ask(page, benchmark)
    page.session_state["record-panel"] = True
    checked(page.run())
    assert any(plain("published: ") in box.label for box in page.checkbox)
    assert kept(page).question is None
    request = results.published_request(benchmark)
    assert contents.instruction(request) == f"{request.items[0].asked()} (1 of 5 items)"


def test_formats_are_those_of_the_editor(page: AppTest, engine: FakeEngine):
    page.selectbox(key=editor.format_key("base", True)).set_value("plain")
    ask(page, "bbq")
    assert engine.asked("published")[-1].formats.base == "plain"


def test_nothing_here_imports_torch():
    code = "import sys, dashboard.widgets.published; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=APP.parents[1], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
