"""Attribution scores of both models: what is explained and how, three strips on one scale, the strongest parts, and all answer tokens at once."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import streamlit as st
from pydantic import ValidationError

from dashboard import link
from dashboard.figures import attribution
from dashboard.session import inputs, questions, selection, visits
from dashboard.widgets.chart import chart
from dashboard.widgets.cost import estimate
from dashboard.widgets.evidence import faded, verdicts
from dashboard.widgets.more_evidence import unshaken
from dashboard.widgets.score_changes import score_changes
from dashboard.widgets.score_matrix import chosen_row, has_rows, one_row, said_row, score_matrix, select
from dashboard.widgets.shared_text import notes, pick_own, pick_text
from dashboard.widgets.text import plain, side_title
from dashboard.widgets.token_strip import token_strip
from model_utils.contracts.attribution import (
    GRANULARITIES,
    METHODS,
    OPERATORS,
    QUANTITIES,
    REMOVALS,
    UNITS,
    Attribution,
    AttributionRequest,
    Granularity,
    Method,
)
from model_utils.contracts.common import explain
from model_utils.pair import SIDES, Pair, Side, other_side

Extent = Literal["one token", "the whole answer"]
EXTENTS: tuple[Extent, ...] = ("one token", "the whole answer")
LABELS: dict[Granularity, str] = {"token": "tokens", "word": "words", "sentence": "sentences", "span": "own passages"}
HOW: dict[Method, str] = {
    "gradient x input": "The slope of the chosen quantity along each part's embedding, times that embedding. One pass forward and one back for each target: fast. It is exact only where the model is linear, and blind where it is saturated (a probability near 0 or 1).",
    "gradient norm": "How strongly the quantity reacts to a small change of each part, whatever its direction. No sign: it cannot say whether a part spoke for or against.",
    "integrated gradients": "Slopes summed on the way from a text without content (the mean of all embeddings) to this one. The scores should add up to the difference between both ends; how far they miss that is shown as the completeness error. The way leads through texts that nobody writes.",
    "occlusion": "Each part is taken away once, and the answer read again: what is lost is its score. Simple and honest about one part at a time; two parts that say the same hide each other.",
    "Shapley values": "What a part adds, on average over all orders in which the parts could arrive. The scores add up exactly. Twelve parts at most, because every subset is read.",
    "sparse surrogate": "64 random halves of the text are read, and a linear model with few terms is fitted to what came out (ContextCite). Good for long texts in sentences; it knows no interplay, and draws every score towards 0.",
    "attention rollout": "The attention of all layers multiplied. Shown for contrast: it knows neither values nor signs, and most of it gathers on the first token whatever the text says.",
}
"""How each method works, and fails."""


def pick_text_and_own() -> tuple[Side, bool]:
    """Whose text is read, and whether each model reads its own instead."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-text"):
        return pick_text(), pick_own()


def pick_request(shared: dict[str, Any], own: bool) -> AttributionRequest:
    """What to explain (the selected token, else the first, or all of the answer), in which quantity, against what, in which parts, and how."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-target"):
        extent = st.segmented_control(
            "Explain", EXTENTS, default=EXTENTS[0], required=True, key="extent", persist_state="session"
        )
        quantity = st.segmented_control(
            "Quantity", QUANTITIES, default=QUANTITIES[0], required=True, key="quantity", persist_state="session"
        )
        against = _pick_against() if extent == EXTENTS[0] else None
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-method"):
        method = st.selectbox("Method", METHODS, key="method", width=240, persist_state="session")
        granularity = st.selectbox(
            "Parts",
            GRANULARITIES,
            format_func=LABELS.__getitem__,
            key="granularity",
            width=168,
            persist_state="session",
        )
        prompt_only = st.toggle(
            "Instruction only",
            key="prompt-only",
            persist_state="session",
            help="Scores are shown for parts of the instruction, not for earlier tokens of the answer.",
        )
        operator = OPERATORS[0]
        if method in REMOVALS:
            operator = st.selectbox(
                "Taken away by",
                OPERATORS,
                key="operator",
                width=200,
                persist_state="session",
                help="The mean of all embeddings in its place; masked, so that no other token may look at it (the token that chooses the target still knows itself); or left out, so that what follows moves up.",
            )
    spans = _pick_spans() if granularity == "span" else ()
    try:
        request = AttributionRequest(
            **shared,
            quantity=quantity,
            targets=() if extent == EXTENTS[1] else (visits.visit().token or 0,),
            against=against,
            method=method,
            granularity=granularity,
            spans=spans,
            answer_too=not prompt_only,
            operator=operator,
            own=questions.own_text(visits.visit().side, extent == EXTENTS[1]) if own else None,
        )
    except ValidationError as error:
        st.error(plain(explain(error)))
        st.stop()
    cost = estimate(request)
    st.caption(HOW[method] + ("" if cost is None else f" Cost: {cost.said()}."))
    return request


def _pick_spans() -> tuple[str, ...]:
    """The passages that are the parts, each once; the page ends here until there is one."""
    written = st.text_area(
        "Passages of the instruction, one a line, as they stand there",
        key="spans",
        height=96,
        max_chars=link.MAX_SPANS,
        persist_state="session",
    )
    spans = tuple(dict.fromkeys(line.strip() for line in written.splitlines() if line.strip()))
    if not spans:
        st.info("Write the passages of the instruction that are to be scored, one on each line.")
        st.stop()
    return spans


def _pick_against() -> str | int | None:
    """Another token that might have stood there: typed, or by its id one of the writer's own alternatives."""
    here, kept, offered = visits.visit(), selection.compared_with(), _alternatives()
    if kept is not None and kept not in offered.values():
        offered[_named(kept) if isinstance(kept, int) else kept] = kept  # an id that came with a link
    shown = next((said for said, one in offered.items() if one == kept), None)
    key = inputs.showing(f"against-{here.side}-{here.token or 0}", shown)

    def pick() -> None:
        written = inputs.value(key)
        selection.compare_with(offered.get(written, written) if written and written.strip() else None)

    st.selectbox(
        "instead of",
        list(offered),
        index=None,
        key=key,
        on_change=pick,
        placeholder="any other token",
        accept_new_options=True,
        width=200,
        help="Explains why the token stands there and not this other one: pick what else the model might have written, or type one.",
    )
    return kept


def _named(token: int) -> str:
    """What this token says, once scores against it are there."""
    held = visits.visit().held.get("attribution")
    known = held is not None and held.result is not None and held.result.against is not None and held.result.against[visits.visit().side] == token  # fmt: skip
    piece = held.result.against_piece if known and held else ""
    return piece if piece.strip() else f"token number {token}"


def _alternatives() -> dict[str, str | int]:
    """What the writer might have written instead -> its id."""
    here, whole = visits.visit(), questions.generation()
    answer = whole.answers[here.side] if whole is not None else None
    place = here.token or 0
    if answer is None or place >= len(answer.alternative_pieces):
        return {}
    found = zip(answer.alternative_pieces[place], answer.alternative_ids[place].tolist(), strict=True)
    return {piece: id for piece, id in found if piece.strip() and piece != answer.answer.pieces[place]}


def reliance(request: AttributionRequest, result: Attribution) -> None:
    """The answer to pick from, the values explained, three strips on one scale, the bars, and all answer tokens at once."""
    for sequence in dict.fromkeys(text.sequence for text in result.texts.sides):
        notes(sequence)
    if not result.aligned:
        st.info("Each model reads its own prompt and answer here. The scores of one are about other words than those of the other, so there is no difference.")  # fmt: skip
    for note in result.notes:
        st.warning(plain(note))
    row, every = chosen_row(result), result
    _targets(result, row)
    judged = verdicts(result, request) if _whole(result) else None
    pale = faded(judged)
    if row is not None:
        result = one_row(every, row)
        said_row(result)
    _values(result)
    st.caption(
        ("Vermilion raised it, blue lowered it" if result.signed else "In base and tuned vermilion is more; in the difference vermilion is more in tuned, blue more in base" if result.aligned else "Vermilion is more")
        + f"; full colour means the same in {'all three' if result.aligned else 'both'} strips. The scores alone prove nothing: the evidence stands below."
    )  # fmt: skip
    unmoved = unshaken(every, request) if _whole(every) else ()
    if unmoved:
        st.warning(
            f"The check below found that the scores of {' and '.join(unmoved)} do not depend on what the layers learned: do not read them as what the model relies on."
        )
    totals = result.open_totals()
    limit = attribution.limit(result)
    for side, values in totals.items():
        side_title(side, result.models[side].id)
        _strip(result, side, values, limit, side, side in pale)
    if result.aligned:
        side_title("difference", result.difference_said)
        _strip(result, "tuned", result.open_difference(), limit, "difference", "difference" in pale)
    _apart(result)
    st.subheader("The words that counted most", anchor=False)
    chart(
        attribution.figure,
        result,
        inputs.dark(),
        pale,
        key="strongest",
        alt="Scores of the strongest parts in both models",
    )
    if pale:
        st.caption(
            plain(
                f"Pale and without colour: the scores of {' and '.join(side for side in pale if side != 'difference')} point at what the model relies on no better than random ones do. Do not read them."
            )
        )
    score_changes(result, "difference" in pale)
    score_matrix(every, pale)


def _whole(result: Attribution) -> bool:
    """Whether both sides have all their scores."""
    return all(
        np.isfinite(result.values[side]).all() and np.isfinite(result.open_totals()[side]).any() for side in SIDES
    )


def _targets(result: Attribution, row: int | None) -> None:
    """The tokens of the answer, or of each model's own; a click chooses which is explained, or of several which row is shown, on every page."""
    side = visits.visit().side
    many = has_rows(result)
    picked = _answer(result, side, row, many, "The answer that both models read" if result.aligned else f"The {side} answer")  # fmt: skip
    if picked is not None:
        select(picked.token)
        st.rerun()
    if not result.aligned:
        picked = _answer(result, other_side(side), None, False, f"The {other_side(side)} answer")
        if picked is not None:
            selection.select_other(picked.token)
            st.rerun()


class Picked(NamedTuple):
    """Another choice than before."""

    token: int | None


def _answer(result: Attribution, side: Side, row: int | None, many: bool, label: str) -> Picked | None:
    """One answer, of which a token is explained or all are."""
    text, here = result.texts[side], visits.visit()
    answer = text.sequence.part(text.sequence.positions("answer"))
    one = len(text.places()) == 1 and not result.together
    chosen = here.token if side == here.side else here.other_token
    does = ": click the token to explain" if one else ": click a token to see it alone" if many else ""
    shown = marked(text.targets if one else text.targets[text.rows == row], chosen)
    picked = token_strip(
        answer,
        key="target" if side == here.side else "target-other",
        label=f"{label}{does}",
        selected=shown,
        selectable=np.full(len(answer), one or many),
    )
    changed = (one or many) and picked != shown and not (picked is None and chosen is None)
    return Picked(picked) if changed else None


def marked(explained: np.ndarray, chosen: int | None) -> int | None:
    """Which of the explained tokens is marked: the one that was clicked, where a piece holds several; None: none is explained alone."""
    if chosen is not None and chosen in explained:
        return chosen
    return int(explained.min()) if len(explained) else None


def _what(result: Attribution, side: Side) -> str:
    """The explained tokens of one text, in words."""
    text, names = result.texts[side], result.row_names(side)
    if len(names) > 1 or result.together:
        return f"all {len(text.targets)} tokens of the answer, summed"
    tokens = text.targets
    return f"token {tokens[0]} of the answer, {names[0]!r}" if len(tokens) == 1 else f"tokens {tokens.min()} to {tokens.max()} of the answer, {names[0]!r}"  # fmt: skip


def _values(result: Attribution) -> None:
    """What is explained, its value in each model, and how far the scores are from adding up to it."""
    totals = result.values.map(lambda values: float(values.sum()))
    explained = Pair(*(_what(result, side) for side in SIDES))
    what = explained.tuned
    if explained.base != explained.tuned:
        what = f"{explained.base}, in base, and of {explained.tuned}, in tuned"
    against = "" if result.against is None else f", minus that of {result.against_piece!r}"
    st.write(plain(f"Explained: the {result.quantity} of {what}{against}."))
    change = totals.tuned - totals.base
    difference = f"<span>tuned - base <b>{_known(change, '+.3f')}</b></span>" if result.aligned else ""
    st.html(
        f'<div class="values"><span class="base">base <b>{_known(totals.base, ".3f")}</b></span>'
        f'<span class="tuned">tuned <b>{_known(totals.tuned, ".3f")}</b></span>'
        f"{difference}<span>{UNITS[result.quantity]}</span></div>"
    )
    if result.method == "attention rollout":
        st.caption(
            "A rollout does not explain this value: its scores are shares of the look that reach the token, and know nothing of what is explained."
        )
    errors, rest = result.completeness_error(), result.rest
    if errors is not None and rest is not None and all(np.isfinite(error).all() for error in errors.sides):
        said = [
            f"{side} {np.abs(error).max():.4f}, where {np.abs(result.values[side] - rest[side])[np.abs(error).argmax()]:.3f} should come together"
            for side, error in errors.items()
        ]
        st.caption(
            plain(
                f"Completeness error, {UNITS[result.quantity]}, of the target that misses most (0: the scores add up to what all scored parts together change): {'; '.join(said)}."
            )
        )
    if result.between is not None:
        st.caption(
            "The difference below is a surrogate of its own, fitted to tuned - base over the same masks; a penalty makes that something else than the difference of the two."
        )
    if not result.aligned:
        return
    if result.quantity == "log-probability" and result.against is None and result.signed:
        st.caption(
            "The difference explains the log-ratio: what made the tuned model prefer this answer more than base does."
        )
    if result.quantity == "logit" and result.against is None and result.signed:
        st.caption(
            "Raw logits of two models have no common zero: read each model by itself, and for the difference choose the log-probability or 'instead of'."
        )


def _known(value: float, form: str) -> str:
    return "not yet" if np.isnan(value) else format(value, form)


def _apart(result: Attribution) -> None:
    """How much the format takes, apart from what is scored."""
    share = result.share_apart()
    if not any(np.isnan(one) for one in share.sides):
        st.caption(
            plain(
                f"The format around the instruction (with its examples, system message and earlier turns) and the control tokens hold {share.base:.0%} of all scores in base and {share.tuned:.0%} in tuned, by magnitude. They have no colour here, because they are never taken away; point at one for its score."
            )
        )


def _strip(
    result: Attribution, side: Side, values: np.ndarray, limit: float, name: Side | Literal["difference"], pale: bool
) -> None:
    """The tokens of a side's text before the last target, each with the value of its part; those after it have none."""
    text = result.texts[side]
    before = np.arange(text.length)
    parts = text.parts[before]
    token_strip(
        text.sequence.part(before),
        key=f"scores-{name}",
        label=f"Score of each part, {result.unit}",
        values=values[parts],
        limit=limit,
        colours="diverging",
        hover=_hovers(result, side)[parts].tolist(),
        selectable=np.zeros(len(before), dtype=bool),
        greyed=np.ones(len(before), dtype=bool) if pale else None,
        greyed_because="no better than random" if pale else "",
        join=np.add if len(text.open) == len(text.parts) else np.fmax,
    )


def _hovers(result: Attribution, side: Side) -> np.ndarray:
    """(part,) what hovering over a token of each part of a side's text says: its scores, and which part it is where it is more than a token."""
    text = result.texts[side]
    names, sizes = text.names(), np.bincount(text.parts, minlength=len(text.open))
    found = []
    for part, numbers in enumerate(_numbers(result, side)):
        stays = "" if text.open[part] else "; stays, and is not counted above"
        if np.isnan(numbers[side]):
            found.append("not yet" if text.open[part] else "stays, and is not scored")
            continue
        whole = f"in {names[part].strip()!r}: " if sizes[part] > 1 else ""
        scores = [f"{name} {_known(number, '.4f' if name != 'difference' and not result.signed else '+.4f')}" for name, number in numbers.items()]  # fmt: skip
        found.append(f"{whole}{', '.join(scores)} {result.unit}{stays}")
    return np.array(found, dtype=object)


def _numbers(result: Attribution, side: Side) -> list[dict[str, float]]:
    """Of each part of a side's text: its score there, or where both texts have it, in both models and their difference."""
    totals, change = result.totals(), result.difference()
    tuned = np.arange(len(result.beside))
    if side == "base":
        tuned = np.full(len(totals.base), -1)
        tuned[result.beside[result.beside >= 0]] = np.flatnonzero(result.beside >= 0)
    base = np.where(tuned >= 0, result.beside[tuned], -1)
    return [
        {"base": float(totals.base[one]), "tuned": float(totals.tuned[other]), "difference": float(change[other])}
        if one >= 0 and other >= 0
        else {side: float(totals[side][part])}
        for part, (one, other) in enumerate(zip(base, tuned, strict=True))
    ]
