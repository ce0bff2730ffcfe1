"""A session as one HTML page that needs nothing else, as JSON, as CSV, and as a paragraph for the model's card; all from its records."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import plotly.offline
from jinja2 import Environment, StrictUndefined

from dashboard import spreadsheets
from dashboard.report import drawn
from dashboard.report.gathered import UNFIT, UNFIT_SAID, Gathered, Recorded, Said, gather
from dashboard.report.methods import METHODS
from model_utils.contracts.bias import Bias, BiasRequest, Slot
from model_utils.contracts.common import Encoded, Request
from model_utils.contracts.findings import SHAPES as CLAIMED
from model_utils.contracts.findings import Claim, Explanations, Findings, FindingsRequest, PartName
from model_utils.contracts.probe import ItemsRequest, Probed
from model_utils.contracts.records import VERDICTS, Record, Rerun, Verdict
from model_utils.contracts.shift import Shift
from model_utils.pair import SIDES, Pair
from model_utils.records import contents
from model_utils.records.store import Store

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
ROWS = 60
"""Rows of a table on the page; all of them are in the JSON."""
SHOWN = 20_000
"""Characters of a text on the page."""
LISTED = 12
"""Instructions or items of a request on the page."""
SHAPES: dict[Verdict, str] = {"pass": "●", "concern": "▲", "fail": "■", "not judged": "○"}
"""Verdict -> what stands before the word, so that it is told without colour."""
HELD = "Changes are detectable against a head id that is held elsewhere; this page alone proves nothing about itself."
CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
"""Control characters -> their pictures, so that they are seen."""
IN_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!~$&@^]|:(?=/)|(?<=www)\.)", re.IGNORECASE)
VERIFY = "python -m model_utils sessions verify {session} --head {head}"

Text = tuple[str, str]
"""What it is, and its characters"""


# --- HTML -----------------------------------------------------------------------------------------------------------


def html(store: Store, session: str) -> str:
    """One file that makes no request: plotly.js, styles and data are in it; Refused where there is no such session."""
    found = gather(store, session)
    script = _asset("report.js")
    figures: list[drawn.Drawn] = []
    records = [_shown(one, figures) for one in found.records]
    colours = drawn.compact_layout(drawn.recolouring())
    page = _template().render(
        policy=_policy(plotly_js(), script),
        plotly=plotly_js(),
        script=script,
        style=_asset("report.css"),
        template=in_script(drawn.template()),
        colours=in_script(colours),
        found=found,
        records=records,
        figures=[{"light": in_script(one.light), "dark": in_script(one.dark)} for one in figures],
        claims=_claims(found),
        counts=[
            (verdict, SHAPES[verdict], sum(one.verdict == verdict for one in found.records)) for verdict in VERDICTS
        ],
        methods=[(kind, method) for kind, method in METHODS.items() if any(row["kind"] == kind for row in records)],
        environments=_environments(found),
        verify=VERIFY.format(session=session, head=found.head),
        held=HELD,
    )
    return page.encode("utf-8", "replace").decode()  # half a character, which no file can hold


@cache
def plotly_js() -> str:
    """The library, as a script element may hold it."""
    script = plotly.offline.get_plotlyjs()
    assert "</script" not in script.lower() and "<!--" not in script, "plotly.js would end its own script element"
    return script


def in_script(text: str) -> str:
    """JSON that stands in a script element: nothing in it can end the element."""
    return text.replace("<", "\\u003c")


def _policy(*scripts: str) -> str:
    """A content security policy: these scripts run and no other, and nothing is loaded from anywhere."""
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"when": when, "seen": seen, "cell": cell, "shape": SHAPES.__getitem__}
    return environment.from_string(_asset("template.html"))


def when(time: str) -> str:
    """2026-11-26 18:20 UTC"""
    return f"{time[:10]} {time[11:16]} UTC" if time else ""


def seen(text: str) -> str:
    """With control characters as pictures, and its end cut off where it is very long."""
    shown = (
        text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text) - SHOWN:,} more characters; all are in the JSON)"
    )
    return shown.translate(CONTROL)


def cell(value: object) -> str:
    """A value of a table, short."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)


def _shown(one: Recorded, figures: list[drawn.Drawn]) -> dict[str, Any]:
    """A record for the template; its figures go to the end of `figures`."""
    shown: dict[str, Any] = {"one": one, "kind": "", "name": "Record", "figures": [], "reruns": []}
    if one.record is None:
        return shown
    try:
        more, mine = _told(one, one.record), drawn.drawn(one.record.analysis, one.record.result)
    except UNFIT:
        log.warning("a record could not be drawn", exc_info=True)
        one.record, one.why = None, UNFIT_SAID
        return shown
    titles = [(len(figures) + number, figure.title) for number, figure in enumerate(mine)]
    figures += mine
    return shown | more | {"figures": titles}


def _told(one: Recorded, record: Record) -> dict[str, Any]:
    """What the page says of it beside its figures."""
    return {
        "kind": record.analysis,
        "name": METHODS[record.analysis].title,
        "instruction": contents.instruction(record.request),
        "leading": _leading(one, record),
        "request": list(_request(record.request)),
        "prompts": prompts(record.result),
        "answers": answers(record.result),
        "parts": _parts(one.number, record.result) if isinstance(record.result, Findings) else [],
        "notes": [*_pack(record.request), *_notes(record.result)],
        "table": _table(record.result.table()),
        "reruns": [_rerun(said) for said in (*one.replays, *one.floors)],
    }


def _claims(found: Gathered) -> dict[str, Any] | None:
    """The claims of the latest record of findings, the most telling first; None: there is none that can be read."""
    latest = [one for one in found.records if one.record is not None and isinstance(one.record.result, Findings)]
    if not latest:
        return None
    one = latest[-1]
    assert one.record is not None
    rows = [_claim(claim) | {"anchor": _anchor(one.number, claim.part)} for claim in one.record.result.ranked()]
    return {
        "record": one.record,
        "number": one.number,
        "time": one.entry.time,
        "hash": one.entry.hash,
        "pack": _pack(one.record.request),
        "rows": rows,
    }


def _pack(request: Request) -> list[str]:
    """Of which pack findings are, and what that says of itself, where a pack was named."""
    return [request.said()] if isinstance(request, FindingsRequest) and request.said() else []


def _claim(claim: Claim) -> dict[str, str]:
    finding = claim.finding
    numbers = dict.fromkeys(("base", "tuned", "difference"), "not measured")
    if finding is not None:
        numbers = {side: finding.interval(finding.sides[side]) for side in SIDES}
        numbers["difference"] = finding.interval(finding.difference, signed=True)
    over = f"over {finding.difference.count:,} {finding.of}s" if finding is not None else ""
    return numbers | {
        "question": claim.question,
        "measured": claim.measured,
        "verdict": claim.verdict,
        "shape": CLAIMED[claim.verdict],
        "words": claim.words,
        "over": over,
    }


def _anchor(number: int, part: PartName) -> str:
    """The id of what this part of the findings of record `number` says, to which its claims link."""
    return f"record-{number}-{part}"


def _parts(number: int, result: Findings) -> list[dict[str, Any]]:
    """Every part, those that were not measured too, with the sentences that its own record would have."""
    found = []
    for name in get_args(PartName):
        part, title = getattr(result, name), METHODS[name].title if name in METHODS else "Explained answers"
        said = ["Not measured."] if part is None else _notes(part)
        found.append({"anchor": _anchor(number, name), "title": title, "said": said})
    return found


def _leading(one: Recorded, record: Record) -> list[str]:
    """What the findings say of it; without such measures, the first that there is."""
    chosen = [measure.said for measure in one.measures if measure.name in METHODS[record.analysis].leads]
    return chosen or [measure.said for measure in one.measures[:1]]


def _table(table: pd.DataFrame) -> dict[str, Any]:
    """Its columns without those that are empty throughout, and its first rows."""
    kept = table.dropna(axis="columns", how="all")
    rows = kept.head(ROWS)
    numeric = [bool(pd.api.types.is_numeric_dtype(kept[name])) for name in kept]
    values = [list(zip(numeric, row, strict=True)) for row in rows.itertuples(index=False, name=None)]
    return {"columns": list(zip(numeric, kept.columns, strict=True)), "rows": values, "count": len(kept)}


def _rerun(said: Said) -> dict[str, Any]:
    rerun = said.what
    assert isinstance(rerun, Rerun)
    return {"said": said, "rerun": rerun, "table": _table(rerun.table()) if rerun.differences else None}


def _request(request: Request) -> Iterator[Text]:
    """What was chosen, field by field, without the messages, which stand by themselves."""
    for name, value in request.model_dump(mode="json", exclude_none=True).items():
        if name == "messages":
            for message in value:
                yield f"message ({message['role']})", message["content"]
        elif name == "items" and isinstance(request, ItemsRequest):
            yield name, _listed([one.asked() for one in request.items[:LISTED]], len(value))
        elif isinstance(request, FindingsRequest) and isinstance(value, dict):
            for inner, text in _request(getattr(request, name)):
                yield f"{name}: {inner}", text
        elif name == "explained" and isinstance(request, FindingsRequest):
            yield name, _listed([one.messages[-1].content for one in request.explained[:LISTED]], len(value))
            manners = [one.model_dump(mode="json", exclude={"messages"}, exclude_none=True) for one in request.explained]  # fmt: skip
            different = list(dict.fromkeys(json.dumps(one, ensure_ascii=False) for one in manners))
            yield f"{name}: how", _listed(different[:LISTED], len(different))
        elif name == "slots" and isinstance(request, BiasRequest):
            yield name, "\n".join(map(_slot, request.slots))
        elif name in ("instructions", "others", "plain_texts") and value:
            yield name.replace("_", " "), _listed(value[:LISTED], len(value))
        elif name == "scores" or value in ([], "", {}):
            continue  # scores are what another record found
        else:
            yield name.replace("_", " "), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _slot(slot: Slot) -> str:
    """A slot with its groups, the reference first, and what stands for each of them."""
    groups = []
    for group in slot.groups:
        left = len(group.fills) - LISTED
        more = f", and {left:,} more" if left > 0 else ""
        groups.append(f"{group.name} ({', '.join(group.fills[:LISTED])}{more})")
    return f"{slot.written}: {'; '.join(groups)}"


def _listed(first: list[str], count: int) -> str:
    left = count - len(first)
    return "\n".join(first) + (f"\n… and {left:,} more" if left > 0 else "")


def prompts(result: Any) -> list[Text]:
    """Exactly what each model read, control tokens included; of what both read alike, once."""
    found: dict[str, list[str]] = {}
    for side in SIDES:
        for text in _read(result, side):
            found.setdefault(text.text, [])
            found[text.text] += [side] if side not in found[text.text] else []
    return [(f"{' and '.join(sides)} read", text) for text, sides in found.items()]


def _read(result: Any, side: Any) -> Iterator[Encoded]:
    """The texts of one side: of its prompt, or of prompt and answer where those are one sequence."""
    if hasattr(result, "samples"):
        yield from (one[side].prompt for one in result.samples)
    elif isinstance(result, Shift):
        yield from (forced.readings[side].prompt for forced in result.answers.sides)
    elif hasattr(result, "sequences"):
        yield result.sequences[side]
    elif hasattr(result, "sequence"):
        yield result.sequence
    elif hasattr(result, "texts") and not isinstance(result, Probed):
        yield result.texts[side].sequence


def answers(result: Any) -> list[tuple[str, Text]]:
    """(side, (title, text)) of what was written."""
    if hasattr(result, "samples"):
        many = len(result.samples) > 1
        return [
            (side, (f"{side}{f', sample {number}' if many else ''}, ended by {answer.stop}", answer.text))
            for number, answers in enumerate(result.samples, start=1)
            for side, answer in answers.items()
        ]
    if isinstance(result, Shift):
        return [(side, (f"{side} wrote", one.readings[side].answer.text)) for side, one in result.answers.items()]
    return []


def _notes(result: Any) -> list[str]:
    """Sentences that the result itself says."""
    said = (
        result.said() if hasattr(result, "said") else (*getattr(result, "notes", ()), *getattr(result, "left_out", ()))
    )
    if hasattr(result, "judged"):
        said = (*(f"{side}: {one.verdict()}" for side, one in result.judged.items()), *said)
    if isinstance(result, Probed):
        fates = (one.said() for one in result.fates()) if isinstance(result, Bias) else ()
        said = (*fates, *(one.said() for one in result.findings), *_refused(result.refused, "item", "asked"), *said)
    if isinstance(result, Explanations):
        said = (*(one.said() for one in result.findings), *_refused(result.refused, "answer", "explained"))
    return list(said)


def _refused(refused: tuple[tuple[int, str], ...], what: str, done: str) -> Iterator[str]:
    """Why the first of them could not be asked, or whatever was to be done, and how many more there are."""
    for number, why in refused[:LISTED]:
        yield f"{what.capitalize()} {number + 1} could not be {done}: {why}"
    if left := len(refused[LISTED:]):
        yield f"{left:,} more {what}{'' if left == 1 else 's'} could not be {done}."


def _environments(found: Gathered) -> list[dict[str, Any]]:
    """Records that were computed of the same models with the same machine and versions, together."""
    groups: dict[str, tuple[Record, list[int]]] = {}
    for one in found.records:
        if one.record is not None:
            same = (one.record.specs, one.record.identities, one.record.openings, one.record.environment)
            groups.setdefault(repr(same), (one.record, []))[1].append(one.number)
    return [
        {"numbers": numbers, "rows": _sides(one), "environment": one.environment} for one, numbers in groups.values()
    ]


def _sides(record: Record) -> list[tuple[str, Pair[object]]]:
    """(property, both sides)"""
    rows: list[tuple[str, Pair[object]]] = [("model", record.specs.map(lambda one: one.name))]
    names = {"source": "source", "folder": "folder", "commit": "commit", "weights": "weights SHA-256", "tokenizer": "tokenizer SHA-256", "template": "chat template SHA-256", "adapter": "adapter SHA-256"}  # fmt: skip
    rows += [(said, record.identities.map(lambda one, name=name: getattr(one, name))) for name, said in names.items()]  # type: ignore[misc]
    opened = {"dtype": "number format", "device": "device", "instructions": "processor", "threads": "threads", "kernel": "attention kernel", "template_source": "chat template", "bos": "begin token"}  # fmt: skip
    rows += [(said, record.openings.map(lambda one, name=name: getattr(one, name))) for name, said in opened.items()]  # type: ignore[misc]
    return [row for row in rows if row[1] != Pair(None, None)]


# --- JSON -----------------------------------------------------------------------------------------------------------


def as_json(store: Store, session: str) -> str:
    """All that the page says, and every record whole, in the canonical JSON in which it is stored."""
    found = gather(store, session)
    opened = dataclasses.asdict(found.opened) if found.opened else None
    whole = {
        "session": session,
        "opened": {"time": found.time, "content": opened},
        "closed": found.closed and _plain(found.closed),
        "entries": found.count,
        "head": found.head,
        "verified": dataclasses.asdict(found.verified),
        "records": [_plain_record(one) for one in found.records],
        "preferences": found.preferences and found.preferences.plain(),
        "notes": [_plain(one) for one in found.notes],
        "erasures": [dataclasses.asdict(one) for one in found.erasures],
        "verify": VERIFY.format(session=session, head=found.head),
    }
    return json.dumps(whole, indent=1)


def _plain(said: Said) -> dict[str, Any]:
    what: Any = said.what
    if isinstance(what, Rerun):
        told = {
            "outcome": what.outcome,
            "seconds": what.seconds,
            "changed": what.changed,
            "differences": _finite(what.table()),
        }
    else:
        told = dataclasses.asdict(what)
    return {"entry": said.number, "time": said.time, "about": said.about, **told}


def _finite(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Its rows; null for a number that is not known."""
    return [
        {
            str(name): None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def _plain_record(one: Recorded) -> dict[str, Any]:
    return {
        "number": one.number,
        "time": one.entry.time,
        "hash": one.entry.hash,
        "content_hash": one.entry.content_hash,
        "missing": one.why or None,
        "verdict": one.verdict,
        "verdicts": [_plain(said) for said in one.verdicts],
        "preferences": [_plain(said) for said in one.preferred],
        "tags": one.tags,
        "notes": [_plain(said) for said in one.notes],
        "replays": [_plain(said) for said in one.replays],
        "floors": [_plain(said) for said in one.floors],
        "measures": [dataclasses.asdict(measure) for measure in one.measures],
        "record": json.loads(one.stored) if one.stored else None,
    }


# --- CSV ------------------------------------------------------------------------------------------------------------

COLUMNS = (
    "session", "record", "time", "analysis", "base", "tuned", "instruction", "verdict", "author", "reason", "judged", "tags", "notes",
    "replay", "measure", "value", "unit", "said", "missing", "hash",
)  # fmt: skip


def csv(store: Store, session: str) -> str:
    """One row for each measure of each record, one for a record without; no cell can be run by a spreadsheet."""
    found = gather(store, session)
    rows = [row for one in found.records for row in _rows(found, one)]
    return spreadsheets.csv_file(pd.DataFrame(rows, columns=list(COLUMNS))).decode()


def _rows(found: Gathered, one: Recorded) -> Iterator[Mapping[str, object]]:
    labels = contents.labels_of("record", one.record) if one.record else {}
    judged = one.judgement
    same = {
        "session": found.session,
        "record": one.number,
        "time": one.entry.time,
        **{name: labels.get(name, ("",))[0] for name in ("analysis", "base", "tuned", "instruction")},
        "verdict": one.verdict,
        "author": judged.author if judged else "",
        "reason": judged.reason if judged else "",
        "judged": one.verdicts[-1].time if judged else "",
        "tags": "; ".join(one.tags),
        "notes": len(one.notes),
        "replay": one.outcome or "",
        "missing": one.why,
        "hash": one.entry.hash,
    }
    for measure in one.measures:
        yield same | {"measure": measure.name, "value": measure.value, "unit": measure.unit, "said": measure.said}
    if not one.measures:
        yield same | {"measure": "", "value": np.nan, "unit": "", "said": ""}


# --- the model's card -----------------------------------------------------------------------------------------------


def card(store: Store, session: str) -> str:
    """'What tuning changed', as Markdown for the model's card: measures, verdicts, and what it was taken from."""
    found = gather(store, session)
    readable = [(one, one.record) for one in found.records if one.record is not None]
    pairs = dict.fromkeys((one.specs.tuned.name, one.specs.base.name) for _, one in readable)
    compared = "; ".join(f"{markdown(tuned)} against {markdown(base)}" for tuned, base in pairs) or "no record is left"
    counts = [(verdict, sum(one.verdict == verdict for one, _ in readable)) for verdict in VERDICTS]
    judged = ", ".join(f"{count} {verdict}" for verdict, count in counts if count) or "none"
    lines = [
        "## What tuning changed",
        "",
        f"Compared with Candor: {compared}, in the session \u201c{markdown(found.title)}\u201d "
        f"({when(found.time)}, {len(readable)} record{'' if len(readable) == 1 else 's'}; verdicts: {judged}).",
        "",
        *(_finding(one, record) for one, record in readable),
        *(f"- **Judged blind**: {markdown(said)}" for said in (found.preferences.said() if found.preferences else ())),
        "",
        "Each number is of the instructions that were asked; it says nothing of others, nor whether a change is for the better.",
        "",
    ]
    if found.verified.problem:
        lines.insert(2, f"**{markdown(found.verified.problem)}**\n")
    lines += [f"Session `{found.session}`, head id `{found.head}`. {HELD.partition(';')[0]}.", ""]
    return "\n".join(lines)


def _finding(one: Recorded, record: Record) -> str:
    asked = " ".join(contents.instruction(record.request).split())
    about = f" of \u201c{markdown(asked[:80])}{'…' if len(asked) > 80 else ''}\u201d" if asked else ""
    said = " ".join(map(markdown, _leading(one, record)))
    for told in _pack(record.request):
        said += f" {markdown(told)}"
    judged = one.judgement
    by = (
        f", {markdown(judged.author)}{': ' + markdown(judged.reason.rstrip('.')) if judged.reason else ''}"
        if judged
        else ""
    )
    return f"- **{METHODS[record.analysis].title}**{about}: {said} Verdict: {one.verdict}{by}. (record {one.number})"


def markdown(text: str) -> str:
    """`text` on one line, where nothing of it is read as Markdown, HTML or a link."""
    return IN_MARKDOWN.sub(r"\\\1", " ".join(text.translate(CONTROL).split()))
