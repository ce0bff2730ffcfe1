"""What did tuning do? The default suite with one button, a row for each claim, and the way to its evidence and its record."""

from __future__ import annotations

import math
from dataclasses import replace

import streamlit as st

from dashboard.figures import findings as figures
from dashboard.session import compute, concluding, editor, inputs, keeping
from dashboard.widgets.chart import chart
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.explained import nothing_yet
from dashboard.widgets.probe import html_table
from dashboard.widgets.progress import AT_ONCE_SECONDS, LIST_POLL_SECONDS, ended, in_background
from dashboard.widgets.prompt_editor import about_manner, manner, same_tokens
from dashboard.widgets.record_button import PANEL
from dashboard.widgets.text import escaped, format_name, plain, short
from model_utils import linewise
from model_utils.contracts.bias import ORDER as BIAS_ORDER
from model_utils.contracts.bias import Fated
from model_utils.contracts.findings import (
    ORDER,
    SHAPES,
    Claim,
    ClaimVerdict,
    Explanations,
    Findings,
    FindingsRequest,
    PartName,
)
from model_utils.contracts.probe import Estimate
from model_utils.pair import SIDES, Pair
from model_utils.probes import packs
from model_utils.probes.packs import Pack

HEADS = ("claim", *SIDES, "tuned − base [95 %]", "verdict", "evidence")
PAGES: dict[PartName, str] = {
    "reasoning": "Reasoning",
    "robustness": "Robustness",
    "bias": "Bias",
    "calibration": "Calibration",
    "explanations": "below",
}
"""Where the evidence of a part is."""


def asking() -> None:
    """What the suite holds and how both models are asked; Run asks them."""
    _choose()
    manner(concluding.run, more=_more)
    form = editor.form()
    if form.sampling is not None or form.system.strip():
        st.caption("Here nothing is drawn at random from the models, and there is no system message.")
    about_manner(replace(form, sampling=None, samples=1, system=""))
    here, found = concluding.concluding(), concluding.pack()
    if isinstance(found, Pack):
        wanted = concluding.asking_of()
        counts = "" if isinstance(wanted, str) else f" {asked_said(wanted.request)}"
        st.caption(plain(f"{found.says}{counts}"))
        for left_out in found.problems:
            st.caption(plain(left_out))
    problem = found if isinstance(found, str) and here.file is not None else here.problem
    if problem is not None:
        st.error(plain(problem))
    elif concluding.changed():
        st.caption("You changed what is asked; what follows is about the suite before. Press Run to ask.")


def _choose() -> None:
    """The field, or a file of one's own."""
    offered = concluding.offered()
    st.session_state[concluding.PACK] = concluding.pack_name()
    st.selectbox(
        "Items",
        [*offered, concluding.OWN],
        format_func=lambda name: "A pack of your own (a file)" if name == concluding.OWN else offered[name].title,
        key=concluding.PACK,
        width=320,
        persist_state="session",
    )
    if concluding.pack_name() != concluding.OWN:
        return
    here = concluding.concluding()
    if here.file is not None:
        with st.container(border=True, key="findings-file"):
            st.markdown(plain(f"From the file {here.file[0]}"))
            st.button("Give up this file", key="findings-forget-file", on_click=concluding.forget_file)
    else:
        key = f"findings-file-{here.forgotten}"
        st.file_uploader("A file of a pack", key=key, max_upload_size=linewise.MAX_BYTES // 1_000_000, on_change=_take, args=(key,))  # fmt: skip
    with st.expander("What a pack is"):
        lines = [f"| `{name}` | {plain(words)} |" for name, words in packs.SCHEMA.items()]
        st.markdown("\n".join(["| field | what it holds |", "|---|---|", *lines]))
        st.code(packs.EXAMPLE, language=None, wrap_lines=True)


def _take(key: str) -> None:
    file = inputs.value(key)
    if file is not None:
        concluding.keep_file(file.name, file.getvalue())


CLEARED = 100
"""Items below which a model that never differs cannot be cleared at a margin of 3 points: a change in 3 of them may have been missed."""


def asked_said(request: FindingsRequest) -> str:
    """How much is asked, in words, and what so few cannot decide."""
    told, few = [], []
    for probe, asked in request.parts().items():
        if probe == "explanations":
            told.append(f"{len(asked):,} explained answers to the shortest questions")
            continue
        told.append(f"{len(asked.items):,} items for {probe}")
        few += [probe] if len(asked.items) < CLEARED else []
        if probe == "robustness" and asked.plain_texts:
            told.append(f"{len(asked.plain_texts):,} plain texts")
    lacking = f" With fewer than {CLEARED} items it can be found that a difference is there, but seldom that there is none: {', '.join(few)}." if few else ""  # fmt: skip
    return f"Run asks both models, in the background: {', '.join(told)}.{lacking}"


def _more() -> None:
    same_tokens()
    st.session_state[concluding.SEED] = concluding.seed()
    st.number_input("Seed", 0, 2**32 - 1, step=1, key=concluding.SEED, help="Draws the items and all that is random; the same seed gives the same.", persist_state="session")  # fmt: skip


# --- progress ---------------------------------------------------------------------------------------------------------


def followed() -> None:
    """The claims, or those that are decided so far with progress until all are."""
    held, asked = concluding.concluding().held, concluding.concluding().asking
    if held is None or asked is None:
        nothing_yet("Press Run. One row a claim appears here: both models, the difference with its interval, and a verdict in words.")  # fmt: skip
        return
    held.job.wait(AT_ONCE_SECONDS)
    if not held.over:
        st.fragment(_news, run_every=LIST_POLL_SECONDS)(held)
        return
    ended("findings", held, concluding.run_on)
    if held.shown is not None:
        findings(held.shown, asked.request, whole=held.result is not None)


def _news(held: compute.Held) -> None:
    if held.over:
        st.rerun()
    in_background("findings", held, concluding.stop)
    if held.shown is not None:
        st.caption("The claims that are decided so far; the others are still measured.")
        claims_table(held.shown)


# --- what was found ---------------------------------------------------------------------------------------------------


def findings(result: Findings, request: FindingsRequest, whole: bool) -> None:
    """The answer in a sentence, every claim, the figure, what became of each bias, and the evidence."""
    st.subheader(plain(headline(result)), anchor=False)
    heading_with_csv("Every claim, most telling first", result.table, "findings.csv", "Every claim with its numbers and verdict.")  # fmt: skip
    claims_table(result)
    st.caption("In brackets: 95 % intervals over items like these. Differences of shares are in percentage points.")
    if whole:
        _evidence()
    if figures.shown(result):
        chart(figures.figure, result, inputs.dark(), key="findings-figure", alt=f"{figures.AXIS}: {figure_said(result)}")  # fmt: skip
        st.caption("Each claim's difference, in margins of its own, with a 95 % interval where there is one: in the grey band it does not matter, right of it tuned does better. ▲ yes, ▼ no, ◆ changed, = no effect, ? undecided.")  # fmt: skip
    _fates(result)
    _about(result, request)
    if result.explanations is not None:
        _explanations(result.explanations)


COUNTED: dict[ClaimVerdict, str] = {
    "yes": "better",
    "no": "worse",
    "changed": "changed",
    "no effect": "without an effect that matters",
    "undecided": "undecided",
    "not measured": "not measured",
}


def headline(result: Findings) -> str:
    """How many claims hold and how many do not, and the most telling one."""
    counts = {verdict: sum(claim.verdict == verdict for claim in result.claims) for verdict in ORDER}
    told = [f"{counts[verdict]} {words}" for verdict, words in COUNTED.items() if counts[verdict]]
    first = result.ranked()[0]
    return f"Of {len(result.claims)} claims about tuned against base: {', '.join(told)}. {first.question} {first.words}"


def claims_table(result: Findings) -> None:
    html_table(HEADS, [_cells(claim) for claim in result.ranked()])


def _cells(claim: Claim) -> tuple[str, ...]:
    one = claim.finding
    head = f'{escaped(claim.question)}<div class="sure">{escaped(claim.measured)}</div>'
    verdict = f'<b><span aria-hidden="true">{SHAPES[claim.verdict]}</span> {escaped(claim.verdict)}</b><div class="sure">{escaped(claim.words)}</div>'
    if one is None:
        return (head, "not measured", "not measured", "not known", verdict, escaped(PAGES[claim.part]))
    sides = (_estimate(one.interval(one.sides[side]), one.sides[side]) for side in SIDES)
    difference = _estimate(one.interval(one.difference, signed=True), one.difference)
    return (head, *sides, difference, verdict, f"{escaped(PAGES[claim.part])}, {one.difference.count:,} {one.of}s")


def _estimate(said: str, one: Estimate) -> str:
    """The mean, and its interval below."""
    if not one.count or not math.isfinite(one.mean):
        return "not measured"
    mean, bracket, rest = said.replace("percentage points", "points").partition(" [")
    ends, _, unit = rest.partition("]")
    return escaped(mean + unit) + (f'<div class="sure">[{escaped(ends)}]</div>' if bracket else "")


def figure_said(result: Findings) -> str:
    return "; ".join(f"{claim.question} {figures.said(claim)}" for claim in figures.shown(result))


def _evidence() -> None:
    """A button for each probe, which shows there what the suite found; and the way into a report."""
    with st.container(horizontal=True, vertical_alignment="center", key="findings-evidence"):
        st.markdown("Open the evidence:")
        for probe in concluding.evidence():
            running = concluding.still_running(probe)
            why = "Its page runs something else; wait for it or stop it there first." if running else None
            if st.button(PAGES[probe], key=f"evidence-{probe}", disabled=running, help=why):
                concluding.open_evidence(probe)
                st.switch_page(f"screens/{probe}.py")
        held = concluding.concluding().held
        assert held is not None, "nothing was asked"
        entry = keeping.entry_of(held.job, keeping.keeping().session)
        if entry is None:
            st.button("Make it a report's first page", key="findings-report", type="primary", on_click=_record, help="Records these findings in a session. The report of that session opens with them.")  # fmt: skip
        else:
            st.caption(f"Recorded as entry {entry}; the report of its session opens with it.")
            st.page_link("screens/sessions.py", label="Open the session and its report")


def _record() -> None:
    st.session_state[PANEL] = True


def _fates(result: Findings) -> None:
    """What tuning did to each bias, where there are several."""
    if len(result.fates) > 1:
        with st.expander(f"Every bias that was looked for ({len(result.fates)})", key="findings-fates"):
            st.markdown("\n".join(f"- {plain(one.said())}" for one in sorted(result.fates, key=_telling)))


def _telling(one: Fated) -> int:
    return BIAS_ORDER.index(one.fate)


def _about(result: Findings, request: FindingsRequest) -> None:
    """Of which pack it is, whom it is of, and how it was asked."""
    if request.said():
        st.caption(plain(request.said()))
    first = next(one for one in request.parts().values() if hasattr(one, "formats"))
    names = Pair(*(f"{result.models[side].id} ({format_name(first.formats[side])})" for side in SIDES))
    st.caption(plain(f"Asked of {names.base} and {names.tuned}; margin ±{first.margin:.1%}, seed {request.seed}."))


def _explanations(found: Explanations) -> None:
    """The answers whose explanations were held against random orders."""
    with st.expander(
        f"Explanations of {len(found.questions)} answers against random orders", key="findings-explanations"
    ):
        st.caption("Each model's own answer is explained by the words of the instruction (occlusion). p is the share of random orders of the same words that do as well: at most 0.05 is better than chance.")  # fmt: skip
        table = found.table()
        st.dataframe(
            table.assign(question=table["question"].map(short)).drop(columns=["better_base", "better_tuned"]),
            hide_index=True,
            placeholder="",
            alt="Every explained answer with p and how much more it takes away than random orders",
            column_config={
                **{f"p_{side}": st.column_config.NumberColumn(f"p, {side}", format="%.3f") for side in SIDES},
                **{
                    f"above_{side}": st.column_config.NumberColumn(f"above random, {side}", format="%+.2f", help="nats")
                    for side in SIDES
                },
            },
        )
        for number, why in found.refused:
            st.markdown(plain(f"Answer {number + 1}: {why}"))
