"""What all probes share on a page: the items and how they are asked, progress, what was found with how sure that is, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.figures.published import TITLES
from dashboard.session import compute, editor, inputs, pairs, probing
from dashboard.session.probing import FILE, NO_TEXTS, PACK, SUITE, TYPED, Given, Probe
from dashboard.spreadsheets import csv_file
from dashboard.widgets.download import GUARDED, heading_with_csv
from dashboard.widgets.progress import AT_ONCE_SECONDS, LIST_POLL_SECONDS, in_background
from dashboard.widgets.prompt_editor import about_manner, manner, same_tokens
from dashboard.widgets.text import escaped, format_name, plain, short
from model_utils import codec, linewise
from model_utils.contracts.bias import MAX_DRAWS, slot_names
from model_utils.contracts.probe import MAX_ITEMS, Estimate, Finding, ItemsRequest, Probed, ProbeItem, rounded_up
from model_utils.contracts.published import MAX_PUBLISHED
from model_utils.contracts.reasoning import TESTS
from model_utils.contracts.robustness import MAX_FORMATS, PERTURBATIONS
from model_utils.items import Items as Instructions
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes import items, packs, published_files, slots, suites
from model_utils.probes.items import Items
from model_utils.probes.published_files import PublishedFile

SOURCES = {SUITE: "a suite", FILE: "a file", TYPED: "typed here"}
FILES: Mapping[Probe, str] = {
    "instructions": "A list of instructions (txt, csv, jsonl), or a field pack (json)",
    "published": "A published file",
}
"""What its uploader asks for, where that is no file of items."""
INSTRUCTION_SOURCES = {TYPED: "typed here", FILE: "a file", PACK: "a field pack"}
SHOWN = 5
"""Items that are shown before they are asked."""
PROBLEMS = 10
"""Sentences about what was left out that are shown; of the others the number."""
MOST_TEXTS = 1_000
EXAMPLE = ProbeItem(
    instruction="Should this loan be approved? {input}",
    input="Income: 3900. Debt: 2100. Late payments: 1.",
    options=("approve", "deny"),
    answer="approve",
    paraphrases=("Decide on this loan. {input}",),
    cue="Decision:",
)
WITH_SLOT = ProbeItem(
    instruction="Should this loan be approved? {input}",
    input="Applicant: {name}. Income: 3900. Debt: 2100. Late payments: 1.",
    options=("approve", "deny"),
)


# --- the items and how they are asked ---------------------------------------------------------------------------------


def asking(probe: Probe, about_files: Callable[[], None] | None = None) -> None:
    """Draws where the items come from and how both models are asked; Run asks them. `about_files` says what a file of them is, where that is
    not one of a person's own items."""
    here = probing.probing(probe)
    _source(probe)
    manner(partial(probing.run, probe), more=partial(_more, probe), length=probe == "reasoning")
    form = editor.form()
    if form.sampling is not None or form.system.strip():
        st.caption("Here nothing is drawn at random from the models, and there is no system message.")
    about_manner(replace(form, sampling=None, samples=1, system=""))
    found = probing.reading(probe)
    if not isinstance(found, str):
        _read(probe, found)
        if probe == "bias" and isinstance(found, Items):
            _slots(found)
    if about_files is not None:
        about_files()
    elif probe != "instructions" and probing.source_of(probe) != SUITE:
        _schema(WITH_SLOT if probe == "bias" else EXAMPLE)
    problem = found if isinstance(found, str) and probing.given(probe) else here.problem
    if problem is not None:
        st.error(plain(problem))
    elif here.asking is not None and here.asking.evidence:
        st.caption("What follows is the evidence of the page of findings, on the items of its suite. Press Run to ask what stands here.")  # fmt: skip
    elif probing.changed(probe):
        follows = "what was measured is about the instructions" if probe == "instructions" else "what follows is about the items"  # fmt: skip
        st.caption(f"You changed what is asked; {follows} before. Press Run to ask.")


def _source(probe: Probe) -> None:
    if probe == "published":
        _file(probe)
        _number(probe, "first", "Items at most", 1, MAX_PUBLISHED, "The first so many of the file. A file may be sorted, so that its first items are all of one kind; take all of them for its published score.")  # fmt: skip
        return
    sources = INSTRUCTION_SOURCES if probe == "instructions" else SOURCES
    st.segmented_control(
        "Instructions from" if probe == "instructions" else "Items from",
        list(sources),
        format_func=sources.__getitem__,
        key=probing.at_first(probe, "source"),
        required=True,
        on_change=probing.forget_problem,
        args=(probe,),
        persist_state="session",
    )
    typed = _instructions if probe == "instructions" else _typed
    {SUITE: _suite, PACK: _pack, FILE: _file, TYPED: typed}[probing.field(probe, "source")](probe)
    if probe == "instructions":
        _options()


def _suite(probe: Probe) -> None:
    key = probing.at_first(probe, "suite")
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"{probe}-items"):
        st.selectbox(
            "Suite",
            probing.offered(probe),
            format_func=lambda name: suites.SUITES[name].title,
            key=key,
            on_change=probing.choose,
            args=(probe, "suite", key),
            width=320,
        )
        _number(
            probe, "count", "Items", 1, MAX_ITEMS, "The more items, the surer the findings and the longer it takes."
        )
        _number(probe, "seed", "Seed", 0, 2**32 - 1, "Draws the items and every perturbation; the same seed gives the same ones.")  # fmt: skip
    chosen = probing.suite(probe)
    st.caption(plain(chosen.says))
    if chosen.for_demo and not pairs.embedded():
        st.caption("These items are of the small world of Candor's own models; other models have never seen it.")


def _file(probe: Probe) -> None:
    """The uploader; in its place the file in use, because a change of page empties an uploader."""
    here = probing.probing(probe)
    if here.file is not None:
        with st.container(border=True, key=f"{probe}-file"):
            st.markdown(plain(f"From the file {here.file[0]}"))
            st.button("Give up this file", key=f"{probe}-forget-file", on_click=probing.forget_file, args=(probe,))
        return
    key = f"{probe}-file-{here.forgotten}"
    st.file_uploader(
        FILES.get(probe, "A file of items"),
        key=key,
        max_upload_size=(published_files if probe == "published" else linewise).MAX_BYTES // 1_000_000,
        on_change=_take_file,
        args=(probe, key),
        help=LISTS if probe == "instructions" else "What it has to look like stands below.",
    )


def _take_file(probe: Probe, key: str) -> None:
    file = inputs.value(key)
    if file is not None:
        probing.keep_file(probe, file.name, file.getvalue())


def _typed(probe: Probe) -> None:
    st.text_area(
        "Items, as JSON lines or as a table (csv)",
        key=probing.at_first(probe, "typed"),
        height=144,
        placeholder="Paste items here, one a line. What a line has to look like stands below, under “What an item is”.",
        on_change=probing.forget_problem,
        args=(probe,),
        persist_state="session",
    )


LISTS = "txt: one a line. csv: the column instruction or prompt. jsonl: objects with instruction or prompt, or texts. json: a field pack that has instructions."


def _instructions(probe: Probe) -> None:
    one_text = bool(probing.field(probe, "one-text"))
    st.text_area(
        "An instruction" if one_text else "Instructions, one a line",
        key=probing.at_first(probe, "typed"),
        height=144,
        placeholder="Type or paste an instruction. A click elsewhere looks at its wording; Run asks both models too.",
        on_change=probing.forget_problem,
        args=(probe,),
        persist_state="session",
    )
    st.toggle(
        "All of it is one instruction",
        key=probing.at_first(probe, "one-text"),
        help="For an instruction of several lines; otherwise each line is one.",
        persist_state="session",
    )


def _pack(probe: Probe) -> None:
    key = probing.at_first(probe, "pack")
    st.selectbox(
        "Field pack",
        probing.offered_packs(),
        format_func=lambda name: packs.PACKS[name].title,
        key=key,
        on_change=probing.choose,
        args=(probe, "pack", key),
        width=320,
    )
    st.caption(plain(probing.pack().says))


def _options() -> None:
    st.text_input(
        "Answers to choose from, parted by  | ",
        key=probing.at_first("instructions", "options"),
        placeholder="None: answers are free. Or: yes | no",
        help="The same for all of these instructions. With them it is measured whether a model follows an answer that is suggested.",
        on_change=probing.forget_problem,
        args=("instructions",),
        persist_state="session",
    )


def _more(probe: Probe) -> None:
    """The seldom-used: what is done to the items, and from when on a difference matters."""
    same_tokens()
    if probe == "reasoning":
        _several(probe, "tests", "Tests", TESTS)
    elif probe == "robustness":
        _wordings(probe)
    elif probe == "bias":
        _number(probe, "draws", "Draws", 1, MAX_DRAWS, "How often each combination of groups is filled, every time with others of the group. From two draws on, noise within a group is measured.")  # fmt: skip
    _points(probe, "margin", "Margin, percentage points", "A difference inside this either side of 0 does not matter.")
    if probing.source_of(probe) != SUITE:
        _number(probe, "seed", "Seed", 0, 2**32 - 1, "Draws whatever is drawn; the same seed gives the same.")


def _wordings(probe: Probe) -> None:
    _several(probe, "perturbations", "Wordings", PERTURBATIONS)
    first, second = st.columns(2)
    with first:
        _number(probe, "formats", "Formats drawn", 0, MAX_FORMATS, "Layouts of separators, spacing and case. The spread grows with their number.")  # fmt: skip
        _number(probe, "sensitivity", "Items for sensitivity", 0, 1_000, "Of so many first items the answers to every wording are read after every wording, which takes long.")  # fmt: skip
    with second:
        _number(probe, "wordings", "Own wordings drawn", 1, 50, "Of an item's paraphrases, training and held-out wordings, so many each.")  # fmt: skip
        _number(probe, "attribution", "Items for word scores", 0, 200, "Of so many first items with an input, word scores are compared between wordings.")  # fmt: skip
    _texts(probe)
    _points(probe, "gap", "Gap margin, percentage points", "A gap between trained and unseen wordings inside this is ordinary.")  # fmt: skip


def _texts(probe: Probe) -> None:
    key = probing.at_first(probe, "texts")
    first, second = st.columns(2)
    with first:
        texts = st.selectbox(
            "Plain texts",
            (*suites.PLAIN_TEXTS, NO_TEXTS),
            key=key,
            on_change=probing.choose,
            args=(probe, "texts", key),
            help="Texts without any instruction: what was forgotten shows in how likely they are.",
        )
    with second:
        if texts != NO_TEXTS:
            _number(probe, "texts-count", "How many", 1, MOST_TEXTS, "Each is read once by both models.")


def _several(probe: Probe, name: str, label: str, options: Sequence[str]) -> None:
    st.multiselect(label, options, key=probing.at_first(probe, name), persist_state="session")


def _number(probe: Probe, name: str, label: str, low: int, high: int, help: str) -> None:
    st.number_input(label, low, high, step=1, key=probing.at_first(probe, name), help=help, width=168, persist_state="session")  # fmt: skip


def _points(probe: Probe, name: str, label: str, help: str) -> None:
    st.number_input(label, 0.1, 100.0, step=0.5, format="%g", key=probing.at_first(probe, name), help=help, persist_state="session")  # fmt: skip


def _read(probe: Probe, found: Given) -> None:
    """How much was read, the first items, and what was left out and why."""
    st.caption(plain(read_said(found)))
    if found.problems:
        with st.expander("What was left out", key=f"{probe}-left-out"):
            for problem in found.problems[:PROBLEMS]:
                st.markdown(plain(problem))
            if len(found.problems) > PROBLEMS:
                st.caption(f"And {len(found.problems) - PROBLEMS:,} more.")
    if isinstance(found, PublishedFile) and found.benchmark != "bbq":
        st.caption("Its sentences are read as plain text: no format is put around them.")
    if isinstance(found, Items):
        _preview(probe, found)


def _preview(probe: Probe, found: Items) -> None:
    panel = st.expander("The first items, and all of them as a file", key=f"{probe}-preview", on_change="rerun")
    if panel.open:
        with panel:
            st.dataframe(preview(found.items), hide_index=True, placeholder="", alt="The first items")
            st.download_button(
                "Download the items as JSON lines",
                data=lambda: jsonl(found.items),
                file_name=f"{probe}-items.jsonl",
                mime="application/jsonl",
                on_click="ignore",
                key=f"{probe}-items-file",
                help="Every item whole; this page reads the file again.",
            )


def _slots(found: Items) -> None:
    """What stands for each group in the slots of the items, to be changed; and how many cases that makes."""
    names = slot_names(found.items)
    if not names:
        return
    with st.expander(f"Who is compared: {', '.join(f'{{{name}}}' for name in names)}", key="bias-slots"):
        st.caption("A line for each group: its name, a colon, and what stands for it, parted by commas. Every other group is compared with the first one. These sets are starting points; fit them to your question.")  # fmt: skip
        for name in names:
            shipped = slots.SLOTS.get(name)
            st.session_state[probing.slot_key(name)] = probing.slot_text(name)
            st.text_area(
                f"{{{name}}}",
                key=probing.slot_key(name),
                height=160,
                help=None if shipped is None else plain(shipped.says),
                on_change=probing.forget_problem,
                args=("bias",),
                persist_state="session",
            )
    cases = probing.cases()
    if isinstance(cases, str):
        st.error(plain(cases))
    elif cases is not None:
        st.caption(f"{cases:,} case{'' if cases == 1 else 's'}: every item in every combination of groups.")


def read_said(found: Given) -> str:
    one, some = ("instruction", found.instructions) if isinstance(found, Instructions) else ("item", found.items)
    count, left_out = len(some), len(found.problems)
    said = f"{count:,} {one}{'' if count == 1 else 's'}"
    if isinstance(found, PublishedFile):
        said = f"{TITLES[found.benchmark]}, {said}"
    elif not found.lines and not left_out:  # of a suite, which leaves nothing out
        return f"{said}."
    left = f"{left_out:,} {'was' if left_out == 1 else 'were'} left out" if left_out else "nothing was left out"
    return f"{said}; {left}."


def preview(asked: Sequence[ProbeItem]) -> pd.DataFrame:
    """One row for each of the first items; texts on one line, and cut where a table cannot show them."""
    shown = pd.DataFrame(
        {
            "asked": [short(one.asked()) for one in asked[:SHOWN]],
            "options": [short(" | ".join(one.options)) for one in asked[:SHOWN]],
            "right": [short(one.answer) for one in asked[:SHOWN]],
            "kind": [short(one.group) for one in asked[:SHOWN]],
            "steps": [len(one.steps) for one in asked[:SHOWN]],
            "other wordings": [len(one.wordings) - 1 for one in asked[:SHOWN]],
        }
    )
    return shown[[name for name in shown if shown[name].astype(bool).any()]]


def jsonl(asked: Sequence[ProbeItem]) -> bytes:
    """A line for each item; what is as it always is, is left out."""
    return "".join(f"{one.model_dump_json(exclude_defaults=True)}\n" for one in asked).encode("utf-8", "replace")


def _schema(example: ProbeItem) -> None:
    with st.expander("What an item is"):
        lines = [f"| `{name}` | {plain(words)} |" for name, words in items.SCHEMA.items()]
        st.markdown("\n".join(["| field | what it holds |", "|---|---|", *lines]))
        st.caption("An item on a line of its own:")
        st.code(jsonl([example]).decode(), language=None, wrap_lines=True)


# --- progress ---------------------------------------------------------------------------------------------------------


def followed(probe: Probe, draw: Callable[[Any, Any], None], so_far: Callable[[Any], str]) -> None:
    """Draws the result with `draw`, or what there is so far with progress until it is over; `so_far` says in words what that shows."""
    held, asking = probing.probing(probe).held, probing.probing(probe).asking
    assert held is not None and asking is not None, "nothing was asked"
    held.job.wait(AT_ONCE_SECONDS)
    if not held.over:
        st.fragment(_news, run_every=LIST_POLL_SECONDS)(probe, held, so_far)
        return
    _ended(probe, held)
    if held.shown is not None:
        draw(held.shown, asking.request)


def _news(probe: Probe, held: compute.Held, so_far: Callable[[Any], str]) -> None:
    if held.over:
        st.rerun()
    in_background(probe, held, partial(probing.stop, probe))
    if held.shown is not None:
        st.subheader(plain(so_far(held.shown)), anchor=False)
        st.caption(plain(f"{refused_said(held.shown)} {UNFINISHED}"))
        _csv(probe, held.shown)


UNFINISHED = "Findings, with how sure they are, come with the whole list."


def _ended(probe: Probe, held: compute.Held) -> None:
    """Why there is no whole result, and a way to go on from what there is."""
    if held.result is not None:
        return
    if held.state == "failed":
        st.error(plain(held.job.error or "This failed without saying why; the log of the server says more."))
    there = held.shown is not None
    with st.container(horizontal=True, vertical_alignment="center", key=f"stopped-{probe}"):
        if held.state == "cancelled":
            st.caption("Stopped before the end." + (f" This is what there was. {UNFINISHED}" if there else ""))
        elif there:
            st.caption(f"This is what there was. {UNFINISHED}")
        st.button("Run on" if there else "Run it again", key=f"on-{probe}", on_click=probing.run_on, args=(probe,))
        if there:
            st.download_button(
                "Keep it as a file",
                data=partial(codec.encode_bytes, probing.partial(probe)),  # encoded when it is asked for
                file_name=f"{probe}-partial.json",
                mime="application/json",
                on_click="ignore",
                key=f"partial-{probe}",
                help=f"On this machine it is gone on from without a browser: python -m model_utils {probe} --partial FILE",
            )


# --- what was found ---------------------------------------------------------------------------------------------------

SHAPES = {"better": "▲", "worse": "▼", "other": "◆", "no effect": "=", "undecided": "?", "not measured": "–"}
"""What stands before a verdict, so that it is not told by words or colour alone."""


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """The most telling first: a fault that was found, then what is better or worse, what only differs, what cannot be told, no effect."""
    return sorted(findings, key=_rank)


def _rank(one: Finding) -> tuple[int, float, float]:
    faulty = any(one.at_fault(side) for side in SIDES)
    place = {"undecided": 3, "no effect": 4, "not measured": 5}.get(one.verdict, 1 if one.better != "neither" else 2)
    sure = one.adjusted if math.isfinite(one.adjusted) else 1.0
    size = abs(one.difference.mean) / one.margin if math.isfinite(one.difference.mean) else 0.0
    return (0 if faulty else place, sure, -size)


def verdict_said(one: Finding) -> tuple[str, str]:
    """(shape, words) of tuned against base."""
    if one.verdict in ("higher", "lower"):
        if one.better == "neither":
            return SHAPES["other"], f"tuned is {one.verdict}"
        better = "better" if one.better == one.verdict else "worse"
        return SHAPES[better], f"tuned is {better}"
    if one.verdict == "no effect":
        return SHAPES["no effect"], "no effect beyond the margin"
    if one.verdict == "undecided":
        more = f": about {rounded_up(one.needed):,} {one.of}s would decide" if math.isfinite(one.needed) else ""
        return SHAPES["undecided"], f"undecided{more}"
    return SHAPES["not measured"], "not tested" if one.difference.count else "not measured"


def sure_said(one: Finding) -> str:
    """How sure the verdict is, and what it was held against."""
    margin = f"margin ±{one.margin_said()}"
    return f"{one.p_said()}; {margin}" if math.isfinite(one.adjusted) else margin


def findings(probe: Probe, result: Probed) -> None:
    """The most important finding as a sentence, and all of them as a table."""
    if not result.findings:
        return
    found = ranked(result.findings)
    st.subheader(plain(found[0].said()), anchor=False)
    heading_with_csv("What was found, most telling first", lambda: findings_table(found), f"{probe}-findings.csv", "Every measure with its intervals, p and verdict.")  # fmt: skip
    html_table(HEADS, [_finding_cells(one) for one in found])
    over = "items, or the plain texts" if probe == "robustness" else f"{found[0].of}s"
    st.caption(
        f"In brackets: 95 % bootstrap intervals over the {over}. They speak of {over.replace('the ', '')} like these. Differences of shares are in percentage points, differences of all else in the unit of the measure."
    )


HEADS = ("claim", *SIDES, "tuned − base [95 %]", "verdict", "items")


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of cells in HTML, whose texts are escaped already; the first of each row is its head. On a narrow screen each row is a block.

    `heads` are Candor's own words; one that is the name of a side is in its colour.
    """
    head = "".join(f'<th scope="col"{_class(name)}>{name}</th>' for name in heads)
    body = "".join(f"<tr>{_cells(heads, row)}</tr>" for row in rows)
    st.html(f'<table class="findings"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _class(name: str) -> str:
    return f' class="{name}"' if name in SIDES else ""


def _cells(heads: Sequence[str], row: Sequence[str]) -> str:
    rest = (f'<td data-of="{name}">{cell}</td>' for name, cell in zip(heads[1:], row[1:], strict=True))
    return f'<th scope="row">{row[0]}</th>' + "".join(rest)


def _finding_cells(one: Finding) -> tuple[str, ...]:
    shape, words = verdict_said(one)
    below = [sure_said(one)] if one.difference.count else []
    below += [one.alone()] if one.fault else []
    sure = "".join(f'<div class="sure">{_kept(line)}</div>' for line in below)
    return (
        f'{escaped(one.says)}<div class="sure">{escaped(direction(one))}</div>',
        *(_estimate(one, one.sides[side]) for side in SIDES),
        _estimate(one, one.difference, signed=True),
        f'<b><span aria-hidden="true">{shape}</span> {escaped(words)}</b>{sure}',
        f"{one.difference.count:,}{'' if one.of == 'item' else f' {one.of}s'}",
    )


def _estimate(one: Finding, estimate: Estimate, signed: bool = False) -> str:
    """The mean with its unit, and its interval below."""
    if not estimate.count:
        return "not measured"
    mean, _, rest = one.interval(estimate, signed).partition(" [")
    ends, _, unit = rest.partition("]")
    return _kept(mean + unit) + (f'<div class="sure">[{_kept(ends)}]</div>' if ends else "")


def _kept(text: str) -> str:
    """Short, and a number is not parted from its sign of percent."""
    return escaped(text.replace("percentage points", "points").replace(" %", "\N{NO-BREAK SPACE}%"))


def direction(one: Finding) -> str:
    return {"higher": "higher is better", "lower": "lower is better", "neither": "neither is better"}[one.better]


def findings_table(found: Sequence[Finding]) -> pd.DataFrame:
    """One row a measure, with every number."""
    rows = []
    for one in found:
        row: dict[str, object] = {"measure": one.measure, "claim": one.says, "unit": one.unit, "better": one.better}
        for name, estimate in (("base", one.sides.base), ("tuned", one.sides.tuned), ("difference", one.difference)):
            row |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high, f"{name}_items": estimate.count}  # fmt: skip
        row |= {
            "p": one.p,
            "p_corrected": one.adjusted,
            "tests": one.tests,
            "margin": one.margin,
            "verdict": one.verdict,
        }
        row |= {"own_base": one.own.base, "own_tuned": one.own.tuned, "items_needed": one.needed}
        rows.append(row)
    return pd.DataFrame(rows)


# --- what was asked ---------------------------------------------------------------------------------------------------


def refused_said(result: Probed) -> str:
    """How many items are in no number."""
    count, refused = result.done, len(result.refused)
    if not refused:
        return "The item could be asked." if count == 1 else f"All {count:,} items could be asked."
    return f"{refused:,} of {count:,} item{'' if count == 1 else 's'} could not be asked and {'is' if refused == 1 else 'are'} in no number."


def about(result: Probed, request: ItemsRequest, in_formats: bool = True) -> None:
    """Whom it is of, how many items are in it, and what has to be known; `in_formats`: the items are asked in each side's format."""
    formats = request.formats.map(lambda one: f" ({format_name(one)})" if in_formats else "")
    names = Pair(*(f"{result.models[side].id}{formats[side]}" for side in SIDES))
    same = ", the same tokens on both sides" if request.same_tokens and in_formats else ""
    st.caption(
        plain(
            f"{result.done:,} of {len(request.items):,} items, asked of {names.base} and {names.tuned}{same}; margin ±{request.margin:.1%}, seed {request.seed}. {refused_said(result)}"
        )
    )
    for note in result.notes:
        st.caption(plain(note))


def refused(probe: Probe, result: Probed) -> None:
    """The items that could not be asked, and why."""
    if result.refused:
        count = len(result.refused)
        with st.expander(f"{count:,} item{'' if count == 1 else 's'} that could not be asked", key=f"{probe}-refused"):
            for number, why in result.refused[:PROBLEMS]:
                st.markdown(plain(f"Item {number + 1:,}: {why}"))
            if len(result.refused) > PROBLEMS:
                st.caption(f"And {len(result.refused) - PROBLEMS:,} more.")


def _csv(probe: Probe, result: Probed) -> None:
    help = f"Every item so far. {GUARDED}"
    st.download_button("Download as CSV", lambda: csv_file(result.table()), f"{probe}.csv", "text/csv", key=f"{probe}-so-far", on_click="ignore", help=help)  # fmt: skip


ALL = "all"


def one_or_both(
    table: pd.DataFrame, chosen: Mapping[Side, Any], named: Mapping[Side, str], only_one: str
) -> dict[str, pd.Series]:
    """Filters of a list of items: all; those `chosen` (row,) bool by each side; those chosen by one side alone."""
    rows = {side: pd.Series(chosen[side], index=table.index, dtype=bool) for side in SIDES}
    return {
        ALL: pd.Series(True, index=table.index),
        **{named[side]: rows[side] for side in SIDES},
        only_one: rows["base"] ^ rows["tuned"],
    }


def example_list(
    probe: Probe, table: pd.DataFrame, columns: dict[str, Any], filters: dict[str, pd.Series]
) -> int | None:
    """A table of items to filter and to choose one from, by its column `item`; `filters`: name -> (row,) bool. The item that is open, if any."""
    if not len(table):
        st.caption(f"No {'instruction' if probe == 'instructions' else 'item'} could be asked.")
        return None
    choices = [name for name, rows in filters.items() if rows.any()]
    inputs.keep_among(probing.key(probe, "filter"), choices)
    chosen = st.pills(
        "Show",
        choices,
        default=choices[0],
        required=True,
        format_func=lambda name: f"{name} ({int(filters[name].sum()):,})",
        key=probing.key(probe, "filter"),
        persist_state="session",
    )
    shown = table[filters[chosen]].reset_index(drop=True)
    key = f"{probe}-examples-{chosen}"

    def pick() -> None:
        rows = inputs.value(key).selection.rows
        if rows:
            probing.open_item(probe, int(shown["item"].iloc[rows[0]]))

    st.dataframe(
        shown.assign(item=shown["item"] + 1),
        hide_index=True,
        placeholder="",
        height=min(400, 36 * (len(shown) + 1)),
        key=key,
        on_select=pick,
        selection_mode="single-row",
        column_config={name: column for name, column in columns.items() if name in shown},
        alt=f"{len(shown):,} items",
    )
    st.caption("Select a row to open its item below.")
    opened = probing.probing(probe).opened
    if opened is not None and (table["item"] == opened).any():
        return opened
    return int(shown["item"].iloc[0]) if len(shown) else None
