"""Which parts of a text raised or lowered an answer: attribution methods, one function each, all with the same result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from model_utils import anatomy, attention, gradients, prompts, removal
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import GRADIENTS, UNITS, Attribution, AttributionRequest, Method, Parted
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, piece
from model_utils.gradients import Slopes
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.removal import Found, Removal, Steps
from model_utils.reporting import Report
from model_utils.targets import Target
from model_utils.texts import Read, read


@dataclass(frozen=True, eq=False)
class Task:
    """What a method is given: one model and everything that was asked."""

    model: LanguageModel
    text: Parted
    target: Target
    request: AttributionRequest
    report: Report

    @property
    def slopes(self) -> Slopes:
        return Slopes(self.model, self.text.sequence, self.target, self.report)

    @property
    def removal(self) -> Removal:
        return Removal(self.model, self.text, self.target, self.request.operator)


def attribution(pair: Pair[LanguageModel], request: AttributionRequest, report: Report) -> Attribution:
    """Scores of every earlier part for each target, in both models; snapshots have NaN where there is no score yet."""
    pair.map(lambda model: _check(model, request))
    _check_baseline(pair, request)
    given = read(pair, request, request.together, report)
    tasks = Pair(*(Task(pair[side], given.texts[side], given.targets[side], request, report) for side in SIDES))
    found = dict(tasks.map(_nothing_yet).items())
    result = None
    for number, side in enumerate(SIDES):
        for share, one in METHODS[request.method](tasks[side]):
            found[side] = one
            result = _result(tasks, given, Pair(**found), done=share == 1)
            report(ANSWER_SHARE + (1 - ANSWER_SHARE) * (number + share) / 2, f"{request.method}: {side}", result)
            report.breathe()
    assert result is not None, f"{request.method} found nothing"
    return result


def _nothing_yet(task: Task) -> Found:
    rows = task.target.count
    return Found(np.full(rows, np.nan), np.full((rows, len(task.text.open)), np.nan))


def _result(tasks: Pair[Task], given: Read, found: Pair[Found], done: bool) -> Attribution:
    request = tasks.tuned.request

    def both(name: str) -> Pair[np.ndarray] | None:
        if all(getattr(one, name) is None for one in found.sides):
            return None
        shape = "values" if name == "rest" else "scores"
        known = found.map(lambda one: np.full_like(getattr(one, shape), np.nan) if getattr(one, name) is None else getattr(one, name))  # fmt: skip
        return known.map(lambda one: one.astype(np.float32))

    against = given.targets.map(lambda target: target.against)
    return Attribution(
        models=tasks.map(lambda task: task.model.facts),
        texts=given.texts,
        alignment=given.alignment,
        method=request.method,
        quantity=request.quantity,
        values=found.map(lambda one: one.values.astype(np.float32)),
        scores=found.map(lambda one: one.scores.astype(np.float32)),
        against=None if against.base is None or against.tuned is None else Pair(against.base, against.tuned),
        against_piece="" if against.tuned is None else piece(tasks.tuned.model, against.tuned),
        together=request.together,
        rest=both("rest"),
        spread=both("spread"),
        between=_between(tasks, found) if given.alignment != "none" else None,
        notes=(*given.notes, *_notes(tasks, found if done else None)),
    )


def _between(tasks: Pair[Task], found: Pair[Found]) -> np.ndarray | None:
    """The sparse surrogate of the quantity's difference itself, over the same masks of the same parts, laid over tuned's: a LASSO of a
    difference is not the difference of two."""
    base, tuned = found.base.masked, found.tuned.masked
    if base is None or tuned is None:
        return None
    counts = np.maximum(*tasks.map(lambda task: np.bincount(task.target.rows)).sides)
    return removal.fit(tasks.tuned.removal, tuned - base, tasks.tuned.request.seed, counts).astype(np.float32)


def _rollout(task: Task) -> Steps:
    """The rollout of all layers at the token that chooses each target (Abnar & Zuidema 2020, eq. 1); attention only, for contrast."""
    asked = AttentionRequest(messages=task.request.messages, reduction="rollout")
    sequence, target = task.text.sequence, task.target
    attention.check_memory(task.model, sequence, asked)
    rolled = attention.maps(task.model, sequence, asked, task.report.poll)[0]
    shares = np.eye(target.count)[target.rows].T / np.bincount(target.rows)[:, None]  # (row, target)
    rows = shares @ rolled[target.places - 1].astype(np.float64)
    scores = rows @ np.eye(len(task.text.open))[task.text.parts]
    with task.model.running(task.report.poll) as module:
        ids = anatomy.parts(task.model.ids(sequence.ids[: target.length]), 0)
        values = target.read(anatomy.every_logits(module, ids, torch.as_tensor(target.places - 1)))[0]
    yield 1.0, Found(values.cpu().numpy(), scores)


METHODS: dict[Method, Callable[[Task], Steps]] = {
    "gradient x input": lambda task: gradients.gradient_x_input(task.slopes, task.text.parts, len(task.text.open)),
    "gradient norm": lambda task: gradients.gradient_norm(task.slopes, task.text.parts, len(task.text.open)),
    "integrated gradients": lambda task: gradients.integrated_gradients(
        task.slopes, task.text.parts, task.text.open, task.request.baseline, task.request.steps
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


def _check_baseline(pair: Pair[LanguageModel], request: AttributionRequest) -> None:
    named = isinstance(request.baseline, int) and request.method == "integrated gradients"
    if named and prompts.relation(pair.map(lambda model: model.tokenizer)) == "different":
        raise Refused(
            f"The token {request.baseline} is another one in each of the two models; begin from the mean embedding or from zero."
        )


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


def _notes(tasks: Pair[Task], found: Pair[Found] | None) -> tuple[str, ...]:
    """`found`: what one side, or both, have in full."""
    request, models = tasks.tuned.request, tasks.map(lambda task: task.model)
    notes = []
    if request.method == "integrated gradients" and request.baseline == "zero":
        rms = [model.facts.id for model in models.sides if _has_rms_norm(model)]
        if rms:
            notes.append(
                f"The zero baseline is not reliable for {' and '.join(dict.fromkeys(rms))}: its norms divide by the length of a state, so the path from zero has no smooth beginning. Choose the mean embedding, or read the completeness error."
            )
    if found is not None:
        missed = [f"{model.facts.id} by {gradients.miss(one):.0%}" for model, one in models.zip(found).sides if gradients.miss(one) > gradients.TOLERABLE]  # fmt: skip
        if missed and request.method == "integrated gradients":
            notes.append(
                f"The scores of a target miss what they should add up to in {' and in '.join(missed)}: take more steps, or another baseline."
            )
    if request.method == "sparse surrogate":
        most = 2 * removal.ALPHA * max(np.bincount(task.target.rows).max() for task in tasks.sides)
        notes.append(
            f"The sparse surrogate takes up to {most:g} {UNITS[request.quantity]} off every score of a row; smaller ones become exactly 0."
        )
        if found is not None and not any(np.nan_to_num(one.scores).any() for one in found.sides):
            notes.append("Here that leaves no score at all: choose another quantity, larger parts, or another method.")
    return tuple(notes)


def _has_rms_norm(model: LanguageModel) -> bool:
    with model.running() as module:
        return anatomy.has_rms_norm(module)
