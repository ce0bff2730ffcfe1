"""Which earlier tokens raised or lowered chosen answer tokens: attribution methods, one function each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from model_utils import anatomy
from model_utils.contracts.attribution import Attribution, AttributionRequest, Method, Quantity
from model_utils.contracts.common import Encoded
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, shared_sequence
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report

GROUP = 16
"""Most targets in one backward pass: gradients of a whole group are held at once."""
MAX_BYTES = 8 << 30
"""Most memory that one side's backward pass may take, as estimated before it."""
GROUP_SECONDS = 0.4
"""A group of several targets, which cannot be interrupted, takes about this long; a single one gives way inside its pass."""


Scores = tuple[np.ndarray, np.ndarray]
"""values (target,) float32 and scores (target, token) float32"""


def attribution(pair: Pair[LanguageModel], request: AttributionRequest, report: Report) -> Attribution:
    """Scores of every earlier token for each target, in both models over the shared sequence."""
    pair.map(_check_gradients)
    sequence = shared_sequence(pair, request, report)
    targets = _targets(sequence, request.targets)
    progress = _Progress(report, total=2 * len(targets))
    results = pair.map(lambda model: METHODS[request.method](model, sequence, targets, request.quantity, progress))
    return Attribution(
        models=pair.map(lambda model: model.facts),
        sequence=sequence,
        method=request.method,
        quantity=request.quantity,
        targets=targets,
        values=results.map(lambda result: result[0]),
        scores=results.map(lambda result: result[1]),
    )


def gradient_x_input(
    model: LanguageModel, sequence: Encoded, targets: np.ndarray, quantity: Quantity, progress: _Progress
) -> Scores:
    """phi_i = sum_d x_id df/dx_id over the input embeddings x (Shrikumar et al. 2016, arXiv 1605.01713); exact for linear f only.

    One teacher-forced forward serves all targets; the backward passes of a group run as one batch.
    """
    places = sequence.positions("answer")[targets]
    length = int(places.max())  # what stands at or after the last target cannot matter to any
    _check_memory(model, length)
    # The logits that choose a token stand one place before it.
    rows = torch.as_tensor(places - 1 - sequence.encoder_length)
    target_ids = torch.as_tensor(sequence.ids[places], device=model.device)
    with model.running(progress.report.breathe, kernel="eager", gradients=True) as module:
        ids = anatomy.parts(model.ids(sequence.ids[:length]), sequence.encoder_length)
        embeddings = tuple(part.detach().requires_grad_() for part in anatomy.embed(module, ids))
        logits = anatomy.logits(module, embeddings, rows)
    with torch.enable_grad():
        explained = logits if quantity == "logit" else torch.log_softmax(logits, dim=-1)
        values = explained.gather(1, target_ids[:, None])[:, 0]
    scores = np.zeros((len(targets), len(sequence)), dtype=np.float32)
    for group in progress.groups(len(targets)):
        scores[group, :length] = _gradient_scores(model, values, embeddings, group, progress)
    if not np.isfinite(scores).all():
        raise Refused(
            f"The gradients of {model.facts.id} overflow on this text, so no scores can be shown; try another answer token or the other quantity."
        )
    return values.detach().cpu().numpy(), scores


def _check_gradients(model: LanguageModel) -> None:
    if not model.facts.quantized:
        with model.running() as _:
            embeds = model.network.embeds_alone()
        if not embeds:
            raise Refused(
                f"{model.facts.id} computes something else from embeddings than from tokens ({model.facts.architecture} reads the tokens elsewhere too), so gradients at the embeddings would not explain it; look at answers and attention."
            )
    else:
        raise Refused(
            f"{model.facts.id} is loaded in the few bits of its own configuration, through which gradients are not exact; open its unquantised weights, or look at answers and attention."
        )


def _check_memory(model: LanguageModel, tokens: int) -> None:
    """The eager maps of all layers are kept for the backward pass, twice, and a group of targets has a few more of one layer."""
    maps = max(model.facts.heads, model.facts.encoder_heads) * tokens * tokens * 4
    needed = 2 * model.facts.layers * maps + 3 * GROUP * maps
    if needed > MAX_BYTES:
        raise Refused(
            f"Going back through {tokens:,} tokens takes about {needed / 2**30:.1f} GiB in {model.facts.id}, more than the {MAX_BYTES / 2**30:.0f} GiB allowed; shorten the instruction or the answer."
        )


def _gradient_scores(
    model: LanguageModel, values: torch.Tensor, embeddings: anatomy.Parts, group: slice, progress: _Progress
) -> np.ndarray:
    """(target of the group, token) float32."""
    if group.stop - group.start == 1:
        with model.running(progress.report.breathe, kernel="eager", gradients=True):
            gradients = torch.autograd.grad(values[group.start], embeddings, retain_graph=True)
            gradients = tuple(part[None] for part in gradients)
    else:
        chosen = torch.eye(len(values), device=values.device)[group]
        with model.running(progress.report.poll, kernel="eager", gradients=True):
            gradients = torch.autograd.grad(
                values, embeddings, grad_outputs=chosen, is_grads_batched=True, retain_graph=True
            )
    scores = [(gradient[:, 0] * part.detach()[0]).sum(-1) for gradient, part in zip(gradients, embeddings, strict=True)]
    return torch.cat(scores, dim=1).float().cpu().numpy()


METHODS: dict[Method, Callable[[LanguageModel, Encoded, np.ndarray, Quantity, _Progress], Scores]] = {
    "gradient x input": gradient_x_input
}


class _Progress:
    """Counts targets of both sides and cuts them into groups whose size follows the measured time."""

    def __init__(self, report: Report, total: int) -> None:
        self.report, self.total, self.done, self._size = report, total, 0, 1

    def groups(self, count: int) -> Iterator[slice]:
        first = 0
        while first < count:
            self.report.breathe()
            start, size = time.monotonic(), min(self._size, count - first)
            yield slice(first, first + size)
            first += size
            self.done += size
            self.report(ANSWER_SHARE + (1 - ANSWER_SHARE) * self.done / self.total, "going back through the model")
            per_target = (time.monotonic() - start) / size
            self._size = max(1, min(GROUP, int(GROUP_SECONDS / per_target), 2 * size))


def _targets(sequence: Encoded, targets: tuple[int, ...]) -> np.ndarray:
    count = len(sequence.positions("answer"))
    for target in targets:
        if target >= count:
            raise Refused(f"The answer has {count} tokens, numbered 0 to {count - 1}; there is no token {target}.")
    return np.array(targets or range(count), dtype=np.int64)
