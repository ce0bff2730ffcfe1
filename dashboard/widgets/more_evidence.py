"""More evidence, on demand: do other methods say the same, and does the map depend on what the model learned?"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from dashboard.figures import agreement as agreement_figures
from dashboard.figures import randomisation as randomisation_figures
from dashboard.session import compute, inputs, questions, visits
from dashboard.widgets.chart import chart
from dashboard.widgets.cost import SPEED, duration, megabytes, passes
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.progress import follow
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.agreement import LEAST_METHODS, Agreement, AgreementRequest
from model_utils.contracts.attribution import (
    METHODS,
    UNITS,
    Attribution,
    AttributionRequest,
    Method,
    Scoring,
    forced,
)
from model_utils.contracts.common import Request
from model_utils.contracts.randomisation import ALIKE, DRAWS, Randomisation, RandomisationRequest
from model_utils.pair import SIDES, Pair, Side

KINDS = ("agreement", "randomisation")
FIRST: tuple[Method, ...] = ("gradient x input", "integrated gradients", "occlusion")
FORWARD_ONLY: tuple[Method, ...] = ("occlusion", "sparse surrogate")
"""What is compared at first, and where a model lets no gradients through."""
LEAST_SECONDS = 0.01
"""What a reading takes, however small the model."""
SHUFFLE_SECONDS = 8e-8
"""What moving one weight to a random place takes."""


def more_evidence(result: Attribution, request: AttributionRequest) -> None:
    """Both further checks of the scores above, each with its cost before it runs."""
    _agreement(result, request)
    _randomisation(result, request)


def unshaken(result: Attribution, request: AttributionRequest) -> tuple[Side, ...]:
    """The sides whose scores were found not to depend on what the layers learned, as far as that was asked for."""
    held = visits.visit().held.get("randomisation")
    if held is None or held.result is None or held.job.request != _shuffled(result, request):
        return ()
    return tuple(side for side in SIDES if held.result.fails(side))


def let_go_of_unfinished() -> None:
    """Other scores are asked for, which would wait behind what is still being measured of the former ones."""
    for kind in KINDS:
        held = visits.visit().held.get(kind)
        if held is not None and not held.over:
            questions.drop(kind)


def shared(result: Attribution, request: AttributionRequest) -> dict[str, Any]:
    """The fields of a request that explains the same tokens of the same answer, in the same parts."""
    asked = {name: getattr(request, name) for name in Scoring.model_fields}
    return asked | forced(request, result.texts)


def _held(kind: str, asked: Request, cost: str, button: str) -> compute.Held | None:
    """The job for this request, once it was asked for; before that what it costs and the button that asks for it."""
    held = visits.visit().held.get(kind)
    if held is not None and held.job.request != asked:
        questions.drop(kind)
        held = None
    if held is None:
        st.caption(plain(cost))
        st.button(button, key=f"measure-{kind}", on_click=questions.start, args=(kind, asked))
        return None
    return questions.want(kind, asked)


# --- agreement --------------------------------------------------------------------------------------------------------


def _agreement(result: Attribution, request: AttributionRequest) -> None:
    st.subheader("Do other methods say the same?", anchor=False)
    quantized = any(one.quantized for one in result.models.sides)
    chosen = st.multiselect(
        "Methods to compare",
        METHODS,
        default=FORWARD_ONLY if quantized else FIRST,
        key="agreement-methods",
        persist_state="session",
        help="Each of them explains the same tokens together, in the same parts of the text.",
    )
    if len(chosen) < LEAST_METHODS:
        st.info("Choose at least two methods to compare.")
        return
    methods = tuple(method for method in METHODS if method in chosen)
    asked = AgreementRequest(**shared(result, request), methods=methods)
    work = sum(readings(method, request, result) for method in methods)
    said = f"{len(methods)} methods explain all chosen tokens of the answer together, in both models. {_takes(work, result)}"
    held = _held("agreement", asked, said, "Compare the methods")
    if held is not None:
        follow("agreement", held, _agreed)


def _agreed(result: Agreement) -> None:
    for sentence in (*result.left_out, *result.unknown()):
        st.warning(plain(sentence))
    chart(agreement_figures.figure, result, inputs.dark(), key="agreement", alt="Kendall's tau of each two methods in both models")  # fmt: skip
    st.caption(
        plain(
            f"Kendall's tau between the scores of {_counted(result.counts)} parts: 1 means the same order from the highest score to the lowest, 0 no relation, -1 the reverse order. Two orders that have nothing to do with each other lie between about {-result.chance:+.2f} and {result.chance:+.2f} in 19 of 20 cases, and further out where many scores are 0. Agreement is not truth: methods can be wrong in the same way, and where they disagree one of them may still be right."
        )
    )
    for note in result.notes:
        st.caption(plain(note))
    heading_with_csv(
        "Scores of each method",
        result.scores_table,
        "scores_by_method.csv",
        "The score that each method gives each part, in both models.",
    )


# --- randomisation ----------------------------------------------------------------------------------------------------


def _randomisation(result: Attribution, request: AttributionRequest) -> None:
    st.subheader("Does the map depend on what the model learned?", anchor=False)
    packed = [one.id for one in result.models.sides if one.quantized]
    if packed:
        st.caption(plain(f"The weights of {' and '.join(dict.fromkeys(packed))} are packed into few bits and cannot be shuffled; this check needs whole weights."))  # fmt: skip
        return
    asked = _shuffled(result, request)
    maps = max(one.layers for one in result.models.sides) + DRAWS
    work = maps * readings(request.method, request, result)
    largest = max(one.parameters for one in result.models.sides)
    shuffled = sum(one.parameters for one in result.models.sides) * DRAWS * SHUFFLE_SECONDS
    said = f"The weights of each model's layers are shuffled, from the last layer down, and the scores of {request.method} are made again: {maps} times in each model. {_takes(work, result, shuffled)} A copy of the layers is kept meanwhile, {megabytes(4.0 * largest)} at most, nobody else's job starts before one model is through, and at the end every weight is as it was."
    known = unshaken(result, request)
    held = _held("randomisation", asked, said, "Shuffle the layers")
    if held is not None:
        follow("randomisation", held, _checked)
        if unshaken(result, request) != known:
            st.rerun()  # the maps above were drawn without the warning


def _shuffled(result: Attribution, request: AttributionRequest) -> RandomisationRequest:
    return RandomisationRequest(**shared(result, request), method=request.method)


def _checked(result: Randomisation) -> None:
    columns = st.columns(2)
    for column, side in zip(columns, SIDES, strict=True):
        with column:
            _verdict(result, side)
    chart(randomisation_figures.figure, result, inputs.dark(), key="randomisation", alt="Likeness of the scores to the original's while more layers are shuffled")  # fmt: skip
    st.caption(
        plain(
            f"Spearman's rho between the scores and those of the model itself: 1 means the same order. A map that shows what the model learned must fall towards 0 as its layers are shuffled. It fails when |rho| stays at {ALIKE} or more, on average over {DRAWS} times that all layers are shuffled: such a map would look the same for a model that knows nothing. Passing proves less: the map depends on the model, which does not yet make it right. Parts compared: {_counted(result.counts)}."
        )
    )
    for note in result.notes:
        st.caption(plain(note))


def _counted(counts: Pair[int]) -> str:
    return str(counts.tuned) if counts.base == counts.tuned else f"{counts.base} (base) and {counts.tuned} (tuned)"


def _verdict(result: Randomisation, side: Side) -> None:
    one, unit = result.shuffled[side], UNITS[result.quantity]
    numbers = f"{one.drawn} of {len(one.end_rhos)} times shuffled as a whole"
    if one.finished:
        numbers = f"mean |rho| {_known(one.likeness)}, of the sizes {_known(one.size_likeness)}; explained value {one.values[0]:+.3f} before and {one.values[-1]:+.3f} {unit} after"
    st.html(f'<div class="side {side}"><b>{side}</b><span>{escaped(result.verdict(side))}</span></div><p class="data">{escaped(numbers)}</p>')  # fmt: skip


def _known(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:.2f}"


# --- cost -------------------------------------------------------------------------------------------------------------


def readings(method: Method, request: Scoring, result: Attribution) -> int:
    """What one map of all targets together takes in one model, in passes forward; a pass back counts two."""
    forward, back = passes(method, request, max(int(text.compared.sum()) for text in result.texts.sides), 1)
    return forward + 2 * back


def _takes(work: float, result: Attribution, besides: float = 0.0) -> str:
    """In passes over the text of each model, and about how long, with what else takes seconds."""
    size = sum(one.parameters for one in result.models.sides)
    tokens = max(len(text.sequence) for text in result.texts.sides)
    seconds = work * max(2 * size * tokens / SPEED, 2 * LEAST_SECONDS) + besides
    return (
        f"That is the work of about {work:,.0f} readings of the text by each model: {duration(seconds)} on two cores."
    )
