"""The report of a session: every analysis is in it, what is hostile or erased is not, and the data are the records'."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from dashboard import report
from dashboard.figures import theme
from dashboard.figures.robustness import AXES
from dashboard.report import build, drawn
from dashboard.report.methods import METHODS
from model_utils import codec
from model_utils.analyses import ANALYSES
from model_utils.contracts.bias import Group, Slot
from model_utils.contracts.findings import SHAPES as CLAIMED
from model_utils.contracts.findings import Findings, PartName
from model_utils.contracts.records import Difference, Erased, Note, Record, Rerun
from model_utils.measures import NAMES, measures
from model_utils.pair import SIDES, Pair
from model_utils.probes.packs import PACKS, Pack
from model_utils.probes.suites import NO_ADVICE
from model_utils.records import recording, sessions
from model_utils.records.store import Store
from tests import results
from tests.recorded import SPECS, every_result, record

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "<!--<script>",
    '"><a href="javascript:alert(4)">here</a>',
    "=cmd|' /C calc'!A0",
    "👩🏽‍🚀 \u202eabc שלום",
    "{{ 7 * 7 }}{% raw %}",
)


class Page(HTMLParser):
    """The elements of a page, with their attributes, and the text of its data blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.text += data

    def blocks(self) -> list[Any]:
        """What the data blocks hold."""
        kinds = [attributes.get("type") for tag, attributes in self.elements if tag == "script"]
        return [json.loads(text) for kind, text in zip(kinds, self.scripts, strict=True) if kind == "application/json"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'records.db'}")


def session_of(store: Store, *records: Record, title: str = "An audit") -> str:
    session = sessions.start(store, title, "A purpose", "A field", ("Ada", "Ben"))
    for one in records:
        recording.keep(store, session, one)
    return session


def rerun(one: Record) -> Rerun:
    found = (Difference("answers.tuned.log_probs", 1e-6, 3.0),)
    return Rerun(one.identities, one.openings, one.environment, 2.0, ("torch was another.",), found, found)


def hostile(text: str) -> Record:
    """A record of a shift whose instruction, tokens and sentences are this text."""
    whole = results.shift(tuned=(text, "<|end|>"))
    return record("shift", f"Say {text}", replace(whole, notes=(text,)))


def test_every_analysis_is_in_a_report(store: Store):
    records = [record(kind) for kind in ANALYSES]
    session = session_of(store, *records)
    page = Page(report.html(store, session))
    assert set(METHODS) == set(drawn.OF) == set(ANALYSES)
    for number, kind in enumerate(ANALYSES, start=1):
        assert ("article", {"id": f"record-{number}"}) in page.elements
        assert METHODS[kind].title in page.text and METHODS[kind].limits in page.text
        for one in measures(kind, records[number - 1].result):
            assert one.said in page.text, one
    figures = [attributes for _, attributes in page.elements if "data-figure" in attributes]
    assert len(figures) >= len(ANALYSES) and len({one["data-figure"] for one in figures}) == len(figures)
    assert store.verify(session).head in page.text


def test_findings_are_the_first_page_and_the_latest_count(store: Store):
    without = Page(report.html(store, session_of(store, record("bias"))))
    assert ("section", {"id": "claims"}) not in without.elements
    older = results.findings(whole=False)
    session = session_of(
        store, record("findings", result=older), record("bias"), record("findings"), record("calibration")
    )
    page = Page(report.html(store, session))
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections[:2] == ["claims", "findings"]
    assert ("a", {"href": "#record-3"}) in page.elements
    first = page.text[: page.text.index("Computed again")]
    for claim in results.findings().claims:
        assert claim.question in first and claim.words in first and CLAIMED[claim.verdict] in first
        if claim.finding is not None:
            for side in SIDES:
                assert claim.finding.interval(claim.finding.sides[side]) in first
            assert f"over {claim.finding.difference.count:,} {claim.finding.of}s" in first
    assert "built-in method" not in page.text


LAW = PACKS["law"]


def concluded(pack: Pack = LAW, result: Findings | None = None) -> Record:
    """A record of findings whose items are said to be of this pack."""
    asked = results.findings_request().model_copy(update={"pack": pack.title, "says": pack.says})
    return recording.make("findings", SPECS, asked, result or results.findings(), results.load_report(), 1.5)


def described(page: Page, number: int) -> str:
    """The text of the article of this record, to the next one."""
    return page.text.partition(f"\n{number} · ")[2].partition("entry hash")[0]


def test_every_claim_links_to_what_its_part_found(store: Store):
    """That of a part which was not measured too."""
    for result in (results.findings(), results.findings(whole=False)):
        page = Page(report.html(store, session_of(store, record("bias"), record("findings", result=result))))
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
        assert len(set(ids)) == len(ids) and {link.removeprefix("#") for link in links} <= set(ids)
        expected = [f"#record-2-{claim.part}" for claim in result.ranked()]
        assert [link for link in links if link.startswith("#record-2-")] == expected
        parts = [name for name in ids if name.startswith("record-2-")]
        assert parts == [f"record-2-{name}" for name in get_args(PartName)]
        for name in get_args(PartName):
            title = METHODS[name].title if name in METHODS else "Explained answers"
            assert (f"{title}Not measured." in described(page, 2)) is (getattr(result, name) is None)


def test_findings_show_all_that_their_parts_found_and_what_was_refused_why(store: Store):
    bias, refused = results.bias(), ((3, f"Too {results.WORST}"),)
    many = tuple((number, "Too short.") for number in range(build.LISTED + 2))
    explanations = replace(results.explanations(), refused=many)
    result = replace(results.findings(), bias=replace(bias, refused=refused), explanations=explanations)
    page = Page(report.html(store, session_of(store, concluded(result=result))))
    said = described(page, 1)
    for name in get_args(PartName):
        for finding in getattr(result, name).findings:
            assert finding.said() in said
    assert bias.fates() and all(one.said() in said for one in bias.fates())
    assert f"Item 4 could not be asked: Too {results.WORST}" in said
    assert said.count("could not be explained: Too short.") == build.LISTED
    assert "2 more answers could not be explained." in said


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_hostile_in_findings_is_text(store: Store, text: str):
    def page_of(text: str) -> Page:
        bias = replace(results.bias(), refused=((0, text),), groups=((text, f"other {text}"),))
        pack = replace(LAW, title=text, says=text)
        found = results.findings()
        return Page(report.html(store, session_of(store, concluded(pack, replace(found, bias=bias)))))

    calm, page = page_of("calm"), page_of(text)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in calm.elements]
    assert [sorted(attributes) for _, attributes in page.elements] == [sorted(one) for _, one in calm.elements]
    said = described(page, 1)
    assert f"{build.seen(text)}: {build.seen(text)}" in said and f"asked: {build.seen(text)}" in said
    assert f"between other {build.seen(text)} and {build.seen(text)}" in said


def test_findings_say_of_which_pack_they_are_and_that_it_is_no_advice(store: Store):
    session = session_of(store, record("findings"), concluded())
    page = Page(report.html(store, session))
    first = page.text[: page.text.index("Computed again")]
    assert LAW.says.endswith(NO_ADVICE)
    for part in (first, described(page, 2)):
        assert f"Law: {LAW.says}" in part
    assert NO_ADVICE not in described(page, 1), "an older record names no pack"
    older, law = (line for line in report.card(store, session).splitlines() if line.startswith("- **"))
    assert f"Law: {LAW.says}" in re.sub(r"\\(.)", r"\1", law) and "advice" not in older


def test_findings_say_how_each_part_was_asked(store: Store):
    asked = results.findings_request()
    whole = asked.model_copy(update={"bias": results.bias_request().model_copy(update={"draws": 7, "seed": 5})})
    one = recording.make("findings", SPECS, whole, results.findings(), results.load_report(), 1.5)
    said = described(Page(report.html(store, session_of(store, one))), 1)
    for name, part in whole.parts().items():
        if name == "explanations":
            manner = part[0].model_dump(mode="json", exclude={"messages"}, exclude_none=True)
            assert f"explained: how{json.dumps(manner)}" in said
            continue
        formats = {side: part.formats[side] for side in SIDES}
        for field, value in {"formats": json.dumps(formats), "margin": part.margin, "seed": part.seed}.items():
            assert f"{name}: {field}{value}" in said
    assert "bias: draws7" in said
    for slot in whole.bias.slots:  # type: ignore[union-attr]
        assert f"bias: slots{slot.written}: " in said
        for group in slot.groups:
            assert f"{group.name} ({', '.join(group.fills)})" in said


def test_what_stands_for_a_group_is_counted_where_it_is_not_listed(store: Store):
    fills = tuple(f"Name{number}" for number in range(build.LISTED + 3))
    slots = (Slot(name="name", groups=(Group(name="many", fills=fills), Group(name="one", fills=("Zoe",)))),)
    asked = results.bias_request().model_copy(update={"slots": slots})
    one = recording.make("bias", SPECS, asked, results.bias(), results.load_report(), 1.5)
    text = Page(report.html(store, session_of(store, one))).text
    assert f"{fills[build.LISTED - 1]}, and 3 more); one (Zoe)" in text and fills[-1] not in text


def test_what_leads_is_a_measure_of_its_analysis():
    for kind, method in METHODS.items():
        assert set(method.leads) <= set(NAMES[kind]), kind


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_hostile_is_text(store: Store, text: str):
    session = session_of(store, hostile(text), title=f"Title {text}")
    sessions.note(store, session, 1, f"Eve {text}", text)
    sessions.judge(store, session, 1, f"Eve {text}", "fail", text)
    sessions.tag(store, session, 1, "Eve", [text])
    calm = Page(report.html(store, session_of(store, hostile("calm"))))
    page = Page(report.html(store, session))
    elements = [tag for tag, _ in page.elements]
    assert [elements.count(tag) for tag in ("script", "style")] == [len(calm.scripts), 1]
    assert not [1 for _, attributes in page.elements if any(name.startswith("on") for name in attributes)]
    assert elements.count("img") == elements.count("iframe") == 0
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert links and all(re.fullmatch(r"#[a-z_]+-\w+", link) for link in links)
    shown = build.seen(text)
    assert page.text.count(shown) >= 5
    for drawn_text in strings(page.blocks()):
        assert not re.search(r"<(script|img|a|!--)", drawn_text), "plotly reads markup in its text"
    assert text in json.dumps(json.loads(report.as_json(store, session)), ensure_ascii=False).replace('\\"', '"')


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in strings(one)]


@pytest.mark.parametrize("text", [*HOSTILE, "+1", "-1", "@A1", "\tx", "\r=1"])
def test_no_cell_is_a_formula(store: Store, text: str):
    session = session_of(store, hostile(text))
    sessions.judge(store, session, 1, text.strip() or "x", "fail", text)
    sessions.tag(store, session, 1, "Eve", [text])
    rows = list(csv.DictReader(io.StringIO(report.csv(store, session), newline="")))
    assert rows and {row["verdict"] for row in rows} == {"fail"}
    for row in rows:
        for name, value in row.items():
            assert name == "value" or not value.startswith(("=", "+", "-", "@", "\t", "\r")), (name, value)


def test_a_card_quotes_nothing_as_markup(store: Store):
    for text in HOSTILE:
        session = session_of(store, hostile(text), title=text)
        sessions.judge(
            store, session, 1, "Eve", "fail", f"{text} [link](https://elsewhere) ![x](y) `code` www.elsewhere"
        )
        plain = re.sub(r"\\.", "", report.card(store, session))
        assert not re.search(r"<|\]\(|https?://|www\.|!\[", plain), plain
        assert "`" not in re.sub(r"`[0-9a-f]+`", "", plain)


def test_json_holds_the_records_whole(store: Store):
    records = [record(kind) for kind in ANALYSES]
    session = session_of(store, *records)
    sessions.judge(store, session, 2, "Ada", "pass", "As expected.")
    sessions.add_rerun(store, session, 3, rerun(records[2]), "replay")
    found = json.loads(report.as_json(store, session))
    assert [codec.encode(codec.decode(json.dumps(one["record"]))) for one in found["records"]] == list(
        map(codec.encode, records)
    )
    assert found["head"] == store.verify(session).head and found["verified"]["problem"] == ""
    assert found["records"][1]["verdict"] == "pass" and found["records"][1]["verdicts"][0]["reason"] == "As expected."
    assert found["records"][2]["replays"][0]["outcome"] == "within the noise floor"
    for one, kind in zip(found["records"], ANALYSES, strict=True):
        assert [measure["value"] for measure in one["measures"]] == [
            m.value for m in measures(kind, every_result()[kind])
        ]


def test_csv_has_a_row_for_each_measure(store: Store):
    session = session_of(store, record("shift"), record("generation"))
    sessions.judge(store, session, 1, "Ada", "pass")
    sessions.judge(store, session, 1, "Ben", "concern", "Look again")
    rows = list(csv.DictReader(io.StringIO(report.csv(store, session))))
    expected = [
        (kind, one.name, one.value) for kind in ("shift", "generation") for one in measures(kind, every_result()[kind])
    ]
    assert [(row["analysis"], row["measure"], float(row["value"])) for row in rows] == expected
    assert {(row["verdict"], row["author"], row["reason"]) for row in rows[:1]} == {("concern", "Ben", "Look again")}


def test_the_page_loads_nothing(store: Store):
    page = report.html(store, session_of(store, *(record(kind) for kind in ANALYSES)))
    elements = Page(page).elements
    assert not [tag for tag, _ in elements if tag in ("link", "iframe", "object", "embed", "img", "base", "form")]
    assert not [
        attributes for _, attributes in elements if {"src", "srcset", "data", "action", "poster"} & set(attributes)
    ]
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style and not re.search(r"url\(|@import", "".join(style))
    policy = next(one["content"] for tag, one in elements if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "http" not in policy
    assert page.count(build.plotly_js()[:2000]) == 1


ERASED: dict[str, Callable[[Store, str], int]] = {
    "record": lambda store, session: 1,
    "note": lambda store, session: sessions.note(store, session, 2, "Ada", "SECRET").number,
    "verdict": lambda store, session: sessions.judge(store, session, 2, "Ada", "fail", "SECRET").number,
    "tags": lambda store, session: sessions.tag(store, session, 2, "Ada", ["SECRET"]).number,
    "opened": lambda store, session: 0,
}


@pytest.mark.parametrize("kind", list(ERASED))
def test_erased_content_is_nowhere(store: Store, kind: str):
    session = session_of(
        store, hostile("SECRET"), record("generation"), title="An audit" if kind != "opened" else "SECRET"
    )
    number = ERASED[kind](store, session)
    if kind != "record":
        store.erase(session, [1], Erased("Ada", "It was personal."))
    store.erase(session, [number], Erased("Ben", "It was private."))
    page = report.html(store, session)
    for text in (page, report.as_json(store, session), report.csv(store, session), report.card(store, session)):
        assert "SECRET" not in text
    assert "It was private." in page and f'"entry": {number}' in report.as_json(store, session)
    assert "content of" in page and not store.verify(session).problem


def test_a_problem_of_the_chain_comes_first(store: Store):
    session = session_of(store, record("shift"), record("generation"))
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE entry SET content = x'00' WHERE number = 1")
    problem = store.verify(session).problem
    page = report.html(store, session)
    body = page.partition("<main>")[2]
    assert problem and 0 < body.index(problem) < body.index("<h1")
    assert "not as it was written, so it is not shown" in body
    assert problem in report.as_json(store, session) and problem.split()[0] in report.card(store, session)


def test_an_empty_session_has_a_report(store: Store):
    session = session_of(store)
    assert "No analysis was recorded" in report.html(store, session)
    assert report.csv(store, session).count("\n") == 1 and json.loads(report.as_json(store, session))["records"] == []
    assert "0 records" in report.card(store, session)


def test_half_a_character_can_be_written(store: Store):
    session = session_of(store)
    store.append(session, "note", Note("Ada", "half \ud83d of one"))
    assert "half" in report.html(store, session).encode().decode()
    assert report.as_json(store, session).encode()


def test_where_nobody_knows_the_answers_the_flips_of_every_wording_are_drawn():
    whole = results.robustness()
    unknown = replace(whole, right=whole.right.map(lambda values: np.full_like(values, np.nan)))
    bare = replace(whole, texts=(("",) * len(whole.wordings),) * len(whole.texts))
    for result, name in ((whole, "right"), (unknown, "flips")):
        (figure,) = drawn.drawn("robustness", result)
        assert AXES[name] in figure.light and ("flip" in figure.title) is (name == "flips")
    assert drawn.drawn("robustness", bare) == []


def test_refused_items_that_are_not_listed_are_counted(store: Store):
    for count, more in ((build.LISTED, ""), (build.LISTED + 1, "1 more item could"), (build.LISTED + 30, "30 more items could")):  # fmt: skip
        refused = replace(results.reasoning(), refused=tuple((number, "Too long.") for number in range(count)))
        one = record("reasoning", "Say it.", refused)
        text = Page(report.html(store, session_of(store, one))).text
        assert text.count("could not be asked: Too long.") == build.LISTED
        assert re.findall(r"(\d+ more items? could) not be asked", text) == ([more] if more else [])


@pytest.mark.parametrize("kind", list(ANALYSES))
def test_a_dark_figure_is_a_light_one_in_other_colours(kind: str):
    """So that one drawing is enough; where numbers stand on colours, both are drawn."""
    result = every_result()[kind]
    for (_, draw), one in zip(drawn.OF[kind](result), drawn.drawn(kind, result), strict=True):
        if one.dark:
            assert one.dark == drawn.compact(draw(True)) != one.light
        else:
            assert recoloured(json.loads(one.light)) == json.loads(drawn.compact(draw(True)))


def recoloured(value: Any) -> Any:
    """What the page does with a figure in the dark."""
    if isinstance(value, str):
        return drawn.recolouring().get(value, value)
    if isinstance(value, list):
        return [recoloured(one) for one in value]
    if isinstance(value, dict) and "bdata" not in value:
        return {name: recoloured(one) for name, one in value.items()}
    return value


def test_no_colour_becomes_two():
    for scale in drawn.SCALES:
        light, dark = (theme.colour_scale(scale, mode) for mode in (False, True))
        assert [drawn.recolouring()[colour] for _, colour in light] == [colour for _, colour in dark]
    assert Pair(*(drawn.recolouring()[one] for one in theme.LIGHT.sides.sides)) == theme.DARK.sides
