"""Should you believe the picture? The scores measured on this very answer against random orders of the same parts."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard.figures import faithfulness as figures
from dashboard.session import inputs, questions, visits
from dashboard.widgets.chart import chart
from dashboard.widgets.cost import SPEED, duration
from dashboard.widgets.progress import follow
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.attribution import (
    OPERATORS,
    REMOVALS,
    UNITS,
    Attribution,
    AttributionRequest,
    Granularity,
)
from model_utils.contracts.faithfulness import LEVEL, ORDERS, POINTS, Faithfulness, Judged, evidence_request
from model_utils.pair import SIDES, Pair, Side

AT_ONCE = 3e12
"""Additions and multiplications up to which the evidence is measured without being asked for: half a minute on two cores at most, and no map is without it."""


def readings(orders: int = ORDERS) -> int:
    """Texts that one model reads at most."""
    return 2 * (orders + 1) * len(POINTS)


def evidence(result: Attribution, request: AttributionRequest) -> None:
    """The verdict on both sides' scores; measured at once where that takes seconds, else when it is asked for."""
    st.subheader("Should you believe this picture?", anchor=False)
    asked, known = evidence_request(result, request), verdicts(result, request) is not None
    held = visits.visit().held.get("faithfulness")
    if held is not None and held.job.request != asked:
        questions.drop("faithfulness")
        held = None
    work = (
        2
        * readings()
        * sum(facts.parameters * len(text.sequence) for facts, text in result.models.zip(result.texts).sides)
    )
    if work > AT_ONCE and held is None:
        st.caption(
            f"Each model reads the answer up to {readings():,} more times, with parts taken away. That is {duration(work / SPEED)} on two cores."
        )
        st.button("Measure it", key="measure-faithfulness", on_click=questions.start, args=("faithfulness", asked))
        return
    follow(
        "faithfulness",
        questions.want("faithfulness", asked),
        partial(_shown, request),
    )
    if not known and verdicts(result, request) is not None:
        st.rerun()  # the maps above were drawn without the verdict


def verdicts(result: Attribution, request: AttributionRequest) -> Pair[Judged] | None:
    """What is known about these scores already."""
    held = visits.visit().held.get("faithfulness")
    if held is None or held.result is None or held.job.request != evidence_request(result, request):
        return None
    return held.result.judged


def few_parts(result: Faithfulness, granularity: Granularity) -> str | None:
    """Why a verdict hardly reaches 5 %, and which parts are better; None: it does, or can.

    Where one part carries the answer, every random order that begins with it does about as well: one in as many as there are parts.
    """
    failing = [one for one in result.judged.sides if one.finished and not one.better_than_chance]
    parts = min((one.parts for one in failing), default=0)
    if not failing or (parts >= 1 / LEVEL and all(one.tells for one in failing)):
        return None
    better = {
        "token": "A longer text is better for this test.",
        "word": "Tokens, or a longer text, are better parts for this test.",
    }.get(granularity, "Words are better parts for this test.")
    many = (
        "There is one part only"
        if parts == 1
        else f"There are only {parts} parts, and about one random order in {parts} begins with the same one"
    )
    return f"{many}, so that even good scores hardly reach the {LEVEL:.0%} of a verdict. {better}"  # fmt: skip


def _shown(request: AttributionRequest, result: Faithfulness) -> None:
    removes, operator = request.method in REMOVALS, request.operator
    columns = st.columns(2)
    for column, side in zip(columns, SIDES, strict=True):
        with column:
            _verdict(result, side)
    why = few_parts(result, request.granularity)
    if why is not None:
        st.info(plain(why))
    unit = UNITS[result.quantity]
    chart(figures.figure, result, inputs.dark(), key="faithfulness", alt="Deletion and insertion against random orders")
    st.caption(
        plain(
            f"Lines: parts in the order of the scores; bands: where 90 % of the random orders lie. Taking the right parts away first makes a line fall below its band on the left, and keeping them holds it above on the right. {_counted(result)} parts can be taken away; values in {unit}."
        )
    )
    st.caption(
        "The verdict is about the scores of all explained tokens together"
        + (", and parts are taken away by the mean of all embeddings in their place." if operator == OPERATORS[0] else f", and parts are taken away by: {operator}.")
    )  # fmt: skip
    if result.identical:
        st.caption("Both models' scores put the parts in the same order.")
    if removes:
        st.caption(
            "These scores were made by taking parts away, so this test is close to how they were made; a gradient method that passes it is the stronger witness."
        )


def _counted(result: Faithfulness) -> str:
    counts = result.judged.map(lambda one: one.parts)
    return str(counts.tuned) if counts.base == counts.tuned else f"In base {counts.base} and in tuned {counts.tuned}"


def _verdict(result: Faithfulness, side: Side) -> None:
    one = result.judged[side]
    orders = len(one.random_comprehensiveness)
    if not one.finished:
        said = f"{orders} of {len(one.random_deletion)} random orders measured"
        st.html(f'<div class="side {side}"><b>{side}</b><span>{one.verdict()}</span></div><p class="data">{said}</p>')
        return
    unit = UNITS[result.quantity]
    area = "" if one.normalised_area is None else f"<br>normalised area {one.normalised_area:.2f} (0 the worst order of these parts, 1 the best)"  # fmt: skip
    st.html(
        f'<div class="side {side}"><b>{side}</b><span>{escaped(one.verdict())}</span></div>'
        f'<p class="data">comprehensiveness {one.comprehensiveness:+.3f} {unit} (higher is better), above {one.percentile:.0f} % of {orders} random orders, p {one.p:.3f}'
        f"<br>sufficiency {one.sufficiency:+.3f} {unit} (lower is better), better than {one.sufficiency_percentile:.0f} %{area}</p>"
    )


def faded(judged: Pair[Judged] | None) -> tuple[str, ...]:
    """The sides, and 'difference', whose scores are not to be read."""
    if judged is None:
        return ()
    wrong = tuple(side for side in SIDES if judged[side].fails)
    return (*wrong, "difference") if wrong else ()
