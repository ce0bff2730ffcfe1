"""The question that every page shows its analysis of, and its jobs."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from dashboard.session import compute, editor, pairs, visits
from model_utils import prompts
from model_utils.contracts.attention import Attention, AttentionRequest
from model_utils.contracts.attribution import Attribution, Explaining, OwnText
from model_utils.contracts.common import Asked, Encoded, Format, Own, Request, SharedSequence, explain
from model_utils.contracts.generation import Generation
from model_utils.contracts.shift import ShiftRequest
from model_utils.pair import Side, other_side


def run() -> None:
    """Run was pressed: the question in the editor replaces the former one on every page.

    A question that cannot be asked replaces nothing: the problem with it is kept for people to read.
    """
    here, now = visits.visit(), editor.form()
    question = _question(now)
    if question is None:
        return
    here.asked = now
    if question == here.question:
        # What is over is asked for again: the engine has it at once, unless the models' files changed meanwhile.
        here.held = {kind: held for kind, held in here.held.items() if not held.over}
        return
    for held in here.held.values():
        compute.let_go(held)
    if here.question is None or question.specs != here.question.specs:
        here.facts = None
    here.held, here.token, here.pinned, here.awaited, here.question = {}, None, None, None, question
    here.other_token = None
    here.against, here.agreed = {}, set()
    _arrive(question)


def _question(now: visits.Form) -> visits.Question | None:
    """What the editor asks, of a pair that there can be; else the problem is kept."""
    here = visits.visit()
    try:
        request = now.request()
    except ValidationError as error:
        here.problem = explain(error)
        return None
    here.problem = None if here.unopened is None else pairs.choose_pair(here.unopened)
    return None if here.problem else visits.Question(here.pair, request)


def _arrive(question: visits.Question) -> None:
    """The question of the address was run, as it was or changed; what it selected is selected where it is the same."""
    here, came = visits.visit(), visits.visit().linked
    here.linked = None
    if came is not None and question == visits.Question(came.specs, came.request):
        here.awaited = came.view


def edited() -> bool:
    """Whether the editor says something else than the question whose results are shown."""
    here = visits.visit()
    return here.question is not None and (here.pair, editor.form()) != (here.question.specs, here.asked)


def want(kind: str, request: Request, background: bool = False) -> compute.Held:
    """This visitor's job for this request to the question's models: the one held already, else a new one that takes its place."""
    here = visits.visit()
    assert here.question is not None, "nothing was asked"
    held = here.held.get(kind)
    if held is None or not answers(held, request):
        if held is not None:
            compute.let_go(held)
        held = here.held[kind] = compute.hold(kind, here.question.specs, request, background)
    return held


def start(kind: str, request: Request) -> None:
    """The button that asks for this was pressed."""
    want(kind, request)


def answers(held: compute.Held, request: Request) -> bool:
    """Whether the held job is for this request, or for one that left the answer open and has found the same answer."""
    asked = held.job.request
    if asked == request or held.result is None or not isinstance(asked, SharedSequence):
        return asked == request
    side = asked.answer_from
    found: dict[str, Any] = {} if asked.answer_ids is not None else {"answer_ids": answer_ids(held.result, side)}
    if isinstance(asked, AttentionRequest | Explaining) and asked.own is not None and asked.own.answer_ids is None:
        own = answer_ids(held.result, other_side(side))
        found["own"] = asked.own.model_copy(update={"answer_ids": own})
    return asked.model_copy(update=found) == request


def answer_ids(result: Any, side: Side) -> tuple[int, ...]:
    """The forced answer in a result about insides; where each side read its own, this side's."""
    sequence = sequence_of(result, side)
    return tuple(sequence.ids[sequence.positions("answer")].tolist())


def sequence_of(result: Any, side: Side) -> Encoded:
    """The text that a result about insides is over; where each side read its own, this side's."""
    if isinstance(result, Attention):
        return result.sequences[side]
    return result.texts[side].sequence if isinstance(result, Attribution) else result.sequence


def stop(kind: str) -> None:
    """Stop was pressed."""
    compute.stop(visits.visit().held[kind])


def again(kind: str) -> None:
    """Forget a failed or stopped job, so that the page asks anew."""
    visits.visit().held.pop(kind, None)


def drop(kind: str) -> None:
    """Nobody looks at this any more; where it is on its way, it need not come."""
    held = visits.visit().held.pop(kind, None)
    if held is not None:
        compute.let_go(held)


def generation() -> Generation | None:
    """Both whole answers to the question, when they are there."""
    held = visits.visit().held.get("generation")
    return held.result if held is not None else None


def shared_answer(side: Side) -> dict[str, Any]:
    """The fields that attention and attribution requests share: prompt format and answer of one side, by ids when it is known."""
    question = visits.visit().question
    assert question is not None, "nothing was asked"
    asked = question.request
    return {
        "messages": asked.messages,
        "format": asked.formats[side],
        "answer_from": side,
        "answer_ids": known_answer(side),
        "sampling": asked.sampling,
        "max_new_tokens": asked.max_new_tokens,
    }


def own_answer(side: Side) -> Own:
    """What the other side reads by itself: its own format, and its answer when it is known."""
    question, other = visits.visit().question, other_side(side)
    assert question is not None, "nothing was asked"
    return Own(format=question.request.formats[other], answer_ids=known_answer(other))


def own_text(side: Side, whole: bool) -> OwnText:
    """The same with what is explained in it: the selected token, else the first, or the whole answer."""
    own = own_answer(side)
    last = len(own.answer_ids) - 1 if own.answer_ids else 0
    token = min(visits.visit().other_token or 0, last)
    return OwnText(format=own.format, answer_ids=own.answer_ids, targets=() if whole else (token,))


def shift_request(split: tuple[Format, Format] | None) -> ShiftRequest:
    """Both whole answers to the question, read by both models; `split`: None for base's and tuned's formats."""
    question, whole = visits.visit().question, generation()
    assert question is not None and whole is not None, "both answers come first"
    asked = {name: getattr(question.request, name) for name in Asked.model_fields}
    return ShiftRequest(**asked, answers=whole.answers.map(lambda one: tuple(one.answer.ids.tolist())), split=split)


def split_between(formats: tuple[Format, Format]) -> None:
    """Part the difference between these two formats, the reference first."""
    question = visits.visit().question
    assert question is not None, "nothing was asked"
    visits.visit().split = None if formats == question.request.formats.sides else formats


def known_answer(side: Side) -> tuple[int, ...] | None:
    """Ids of a side's answer, from whichever page made it first."""
    answers = generation()
    if answers is not None:
        return tuple(answers.answers[side].answer.ids.tolist())
    result = _read(side)
    return None if result is None else answer_ids(result, side)


def known_text(side: Side) -> Encoded | None:
    """A side's prompt and answer, from whichever page made them first."""
    answers = generation()
    if answers is not None:
        one = answers.answers[side]
        return prompts.join(one.prompt, one.answer)
    result = _read(side)
    return None if result is None else sequence_of(result, side)


def _read(side: Side) -> Any:
    """A result about insides that holds this side's whole prompt and answer: both models read it, or each its own; None: there is none.

    Where unlike tokens are laid side by side by characters, what ends the answer is left out.
    """
    for kind in ("atlas", "attention", "ablation", "attribution"):
        held = visits.visit().held.get(kind)
        if held is None or held.result is None or getattr(held.result, "alignment", "") == "characters":
            continue
        request = held.job.request
        assert isinstance(request, SharedSequence), type(request)
        if request.answer_from == side or getattr(request, "own", None) is not None:
            return held.result
    return None
