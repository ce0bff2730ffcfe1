"""Which parts of a text raised or lowered an answer: attribution methods, one function each, all with the same result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from model_utils import anatomy, attention, gradients, removal
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import GRADIENTS, UNITS, Attribution, AttributionRequest, Method
from model_utils.contracts.common import Encoded
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, shared_sequence
from model_utils.gradients import Slopes
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.parts import parts_of
from model_utils.removal import Found, Removal, Steps
from model_utils.reporting import Report
from model_utils.targets import Target, target_of


@dataclass(frozen=True, eq=False)
class Task:
    """What a method is given: one model and everything that was asked."""

    model: LanguageModel
    sequence: Encoded
    target: Target
    parts: np.ndarray
    """(token,) int64"""
    open: np.ndarray
    """(part,) bool"""
    request: AttributionRequest
    report: Report

    @property
    def slopes(self) -> Slopes:
        return Slopes(self.model, self.sequence, self.target, self.report)

    @property
    def removal(self) -> Removal:
        return Removal(self.model, self.sequence, self.target, self.parts, self.open, self.request.operator)


def attribution(pair: Pair[LanguageModel], request: AttributionRequest, report: Report) -> Attribution:
    """Scores of every earlier part for each target, in both models over the shared sequence; snapshots have NaN where there is no score yet."""
    pair.map(lambda model: _check(model, request))
    sequence = shared_sequence(pair, request, report)
    target = target_of(pair, sequence, request, request.together)
    parts, open_ = parts_of(sequence, request, target.length)
    empty = Found(np.full(target.rows, np.nan), np.full((target.rows, len(open_)), np.nan))
    found = dict.fromkeys(SIDES, empty)
    result = None
    for number, (side, model) in enumerate(pair.items()):
        task = Task(model, sequence, target, parts, open_, request, report)
        for share, one in METHODS[request.method](task):
            found[side] = one
            result = _result(pair, task, Pair(**found), done=share == 1)
            report(ANSWER_SHARE + (1 - ANSWER_SHARE) * (number + share) / 2, f"{request.method}: {side}", result)
            report.breathe()
    assert result is not None, f"{request.method} found nothing"
    return result


def _result(pair: Pair[LanguageModel], task: Task, found: Pair[Found], done: bool) -> Attribution:
    def both(name: str) -> Pair[np.ndarray] | None:
        given = [getattr(one, name) for one in found.sides]
        if all(one is None for one in given):
            return None
        like = next(one for one in given if one is not None)
        return Pair(*((np.full_like(like, np.nan) if one is None else one).astype(np.float32) for one in given))

    values, scores = both("values"), both("scores")
    assert values is not None and scores is not None
    return Attribution(
        models=pair.map(lambda model: model.facts),
        sequence=task.sequence,
        method=task.request.method,
        quantity=task.request.quantity,
        targets=task.target.numbers,
        values=values,
        scores=scores,
        parts=task.parts,
        open=task.open,
        against=task.target.against,
        against_piece="" if task.target.against is None else pair.tuned.tokenizer.decode([task.target.against]),
        together=task.request.together,
        rest=both("rest"),
        spread=both("spread"),
        between=_between(task, found),
        notes=_notes(pair, task, found if done else None),
    )


def _between(task: Task, found: Pair[Found]) -> np.ndarray | None:
    """The sparse surrogate of the quantity's difference itself, over the same masks: a LASSO of a difference is not the difference of two."""
    base, tuned = found.base.masked, found.tuned.masked
    if base is None or tuned is None:
        return None
    return removal.fit(task.removal, tuned - base, len(base), task.request.seed).astype(np.float32)


def _rollout(task: Task) -> Steps:
    """The rollout of all layers at the token that chooses each target (Abnar & Zuidema 2020, eq. 1); attention only, for contrast."""
    asked = AttentionRequest(messages=task.request.messages, reduction="rollout")
    attention.check_memory(task.model, task.sequence, asked)
    rolled = attention.maps(task.model, task.sequence, asked, task.report.poll)[0]
    rows = rolled[task.target.places - 1].astype(np.float64)
    scores = np.zeros((len(rows), len(task.open)))
    np.add.at(scores.T, task.parts, rows.T)
    with task.model.running(task.report.poll) as module:
        ids = anatomy.parts(task.model.ids(task.sequence.ids[: task.target.length]), 0)
        values = task.target.read(anatomy.every_logits(module, ids, torch.as_tensor(task.target.places - 1)))[0]
    yield 1.0, Found(values.cpu().numpy(), scores.mean(axis=0, keepdims=True) if task.request.together else scores)


METHODS: dict[Method, Callable[[Task], Steps]] = {
    "gradient x input": lambda task: gradients.gradient_x_input(task.slopes, task.parts, len(task.open)),
    "gradient norm": lambda task: gradients.gradient_norm(task.slopes, task.parts, len(task.open)),
    "integrated gradients": lambda task: gradients.integrated_gradients(
        task.slopes, task.parts, task.open, task.request.baseline, task.request.steps
    ),
    "occlusion": lambda task: removal.occlusion(task.removal, task.report.poll),
    "Shapley values": lambda task: removal.shapley(
        task.removal, task.request.samples, task.request.seed, task.report.poll
    ),
    "sparse surrogate": lambda task: removal.surrogate(
        task.removal, task.request.samples, task.request.seed, task.report.poll
    ),
    "attention rollout": _rollout,
}


# --- what cannot be shown, and what must be said --------------------------------------------------------------------------


def _check(model: LanguageModel, request: AttributionRequest) -> None:
    """What is known before there is an answer."""
    if request.method in GRADIENTS:
        gradients.check_gradients(model)
    elif request.method == "attention rollout":
        if model.facts.encoder_decoder:
            raise Refused(
                f"{model.facts.id} has an encoder, and rollout follows one stack only; choose another method, or look at the encoder's rollout on the Attention page."
            )
        attention.check(model, AttentionRequest(messages=request.messages, reduction="rollout"))
    elif request.operator != "delete":
        gradients.check_embeds(model)


def _notes(pair: Pair[LanguageModel], task: Task, found: Pair[Found] | None) -> tuple[str, ...]:
    """`found`: what one side, or both, have in full."""
    request = task.request
    notes = []
    if request.method == "integrated gradients" and request.baseline == "zero":
        rms = [model.facts.id for model in pair.sides if _has_rms_norm(model)]
        if rms:
            notes.append(
                f"The zero baseline is not reliable for {' and '.join(dict.fromkeys(rms))}: its norms divide by the length of a state, so the path from zero has no smooth beginning. Choose the mean embedding, or read the completeness error."
            )
    if found is not None:
        missed = [f"{task_id} by {gradients.miss(one):.0%}" for task_id, one in zip(pair.map(lambda model: model.facts.id).sides, found.sides, strict=True) if gradients.miss(one) > gradients.TOLERABLE]  # fmt: skip
        if missed and request.method == "integrated gradients":
            notes.append(
                f"The scores of a target miss what they should add up to in {' and in '.join(missed)}: take more steps, or another baseline."
            )
    if request.method == "sparse surrogate":
        most = 2 * removal.ALPHA * (len(task.target.places) if task.target.together else 1)
        notes.append(
            f"The sparse surrogate takes up to {most:g} {UNITS[request.quantity]} off every score of a row; smaller ones become exactly 0."
        )
        if found is not None and not any(np.nan_to_num(one.scores).any() for one in found.sides):
            notes.append("Here that leaves no score at all: choose another quantity, larger parts, or another method.")
    return tuple(notes)


def _has_rms_norm(model: LanguageModel) -> bool:
    with model.running() as module:
        return anatomy.has_rms_norm(module)
