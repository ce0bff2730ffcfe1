"""Explanations that go back through the model: gradient norm, gradient x input, integrated gradients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from model_utils import anatomy, llama
from model_utils.contracts.attribution import GROUP, Baseline
from model_utils.contracts.common import Encoded
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.removal import Found, Steps
from model_utils.reporting import Report
from model_utils.targets import Target

GROUP_BYTES = 256 << 20
"""Attention maps of one group's gradients, at most, on the way back by hand."""
MAX_BYTES = 8 << 30
"""Most memory that one side's backward pass may take, as estimated before it."""
GROUP_SECONDS = 0.4
"""A group of several targets, which cannot be interrupted, takes about this long; a single one gives way inside its pass."""
TOLERABLE = 0.05
"""Completeness error of integrated gradients, as a share of what the scores should add up to, above which people are warned."""


@dataclass(eq=False)
class Slopes:
    """One model's gradients of the target at the embeddings, in groups whose size follows the measured time."""

    model: LanguageModel
    sequence: Encoded
    target: Target
    report: Report
    group: int = 1

    def __post_init__(self) -> None:
        self.length = self.target.length
        _check_memory(self.model, self.length)
        with self.model.running() as module:
            ids = anatomy.parts(self.model.ids(self.sequence.ids[: self.length]), self.sequence.encoder_length)
            self.by_hand = llama.follows(module)
            found = (part.detach() for part in anatomy.embed(module, ids))
            self.embeddings = tuple(part.float() if self.by_hand else part for part in found)

    def at(self, embeddings: anatomy.Parts) -> Iterator[tuple[np.ndarray, slice, anatomy.Parts]]:
        """(values (row,), rows of a group, their gradients (row of the group, token, hidden) a part): one forward serves all rows."""
        yield from (self._by_hand if self.by_hand else self._by_autograd)(embeddings)

    def _by_hand(self, embeddings: anatomy.Parts) -> Iterator[tuple[np.ndarray, slice, anatomy.Parts]]:
        """Gives way between layers, forward and back, so a group may be as large as memory allows."""
        threads = self.model.pass_threads(self.length)
        listening = llama.Listening(self.report.breathe)
        with self.model.running(listening, kernel="eager", threads=threads) as module:
            trace = llama.Trace(module, embeddings[0], self.target, listening)
        numbers = trace.values.cpu().numpy()
        maps = 4 * self.model.facts.heads * self.length**2
        size = max(1, min(GROUP, GROUP_BYTES // maps))
        for first in range(0, len(numbers), size):
            self.report.breathe()
            rows = slice(first, min(first + size, len(numbers)))
            threads = self.model.pass_threads((rows.stop - rows.start) * self.length)
            with self.model.running(self.report.poll, threads=threads):
                found = trace.gradients(rows, self.report.breathe)
            yield numbers, rows, (nn.functional.pad(found, (0, 0, 0, self.length - found.shape[1])),)

    def _by_autograd(self, embeddings: anatomy.Parts) -> Iterator[tuple[np.ndarray, slice, anatomy.Parts]]:
        leaves = tuple(part.detach().requires_grad_() for part in embeddings)
        rows = torch.as_tensor(self.target.places - 1 - self.sequence.encoder_length)
        with self.model.running(self.report.breathe, kernel="eager", gradients=True) as module:
            logits = anatomy.every_logits(module, leaves, rows)
        with torch.enable_grad():
            values = self.target.read(logits)[0]
        numbers = values.detach().cpu().numpy()
        first = 0
        while first < len(values):
            self.report.breathe()
            start, size = time.monotonic(), min(self.group, len(values) - first)
            yield numbers, slice(first, first + size), self._back(values, leaves, slice(first, first + size))
            first += size
            per_row = (time.monotonic() - start) / size
            self.group = max(1, min(GROUP, int(GROUP_SECONDS / per_row), 2 * size))

    def _back(self, values: torch.Tensor, leaves: anatomy.Parts, rows: slice) -> anatomy.Parts:
        kept = rows.stop < len(values)
        if rows.stop - rows.start == 1:
            with self.model.running(self.report.breathe, kernel="eager", gradients=True):
                found = torch.autograd.grad(values[rows.start], leaves, retain_graph=kept)
            return found
        chosen = torch.eye(len(values), device=values.device)[rows]
        with self.model.running(self.report.poll, kernel="eager", gradients=True):
            found = torch.autograd.grad(values, leaves, grad_outputs=chosen, is_grads_batched=True, retain_graph=kept)
        return tuple(part[:, 0] for part in found)

    def joined(self, parts: list[torch.Tensor]) -> np.ndarray:
        """(row, token of the whole sequence) float64 from (row, token) a part; 0 from the last target on. Refused where a number is not finite."""
        found = torch.cat([part.double() for part in parts], dim=1).cpu().numpy()
        if not np.isfinite(found).all():
            raise Refused(
                f"The gradients of {self.model.facts.id} overflow on this text, so no scores can be shown; try another answer token or the other quantity."
            )
        return np.pad(found, ((0, 0), (0, len(self.sequence) - self.length)))


def gradient_x_input(slopes: Slopes, parts: np.ndarray, count: int) -> Steps:
    """phi_i = sum_d x_id df/dx_id over the input embeddings x (Shrikumar et al. 2016, arXiv 1605.01713); exact for linear f only."""
    scores = np.full((slopes.target.count, count), np.nan)
    for values, rows, gradients in slopes.at(slopes.embeddings):
        tokens = [(gradient * part).sum(-1) for gradient, part in zip(gradients, slopes.embeddings, strict=True)]
        scores[rows] = slopes.joined(tokens) @ _membership(parts, count)
        yield rows.stop / slopes.target.count, Found(values, scores)


def gradient_norm(slopes: Slopes, parts: np.ndarray, count: int) -> Steps:
    """||df/dx_i||_2 (Simonyan et al. 2013, with the length for the largest entry); how strongly f reacts, without a sign."""
    scores = np.full((slopes.target.count, count), np.nan)
    for values, rows, gradients in slopes.at(slopes.embeddings):
        squares = slopes.joined([gradient.double().square().sum(-1) for gradient in gradients])
        scores[rows] = np.sqrt(squares @ _membership(parts, count))
        yield rows.stop / slopes.target.count, Found(values, scores)


def integrated_gradients(slopes: Slopes, parts: np.ndarray, open_: np.ndarray, baseline: Baseline | int, steps: int) -> Steps:  # fmt: skip
    """phi_i = (x_i - b_i) . integral over a from 0 to 1 of df/dx_i(b + a (x - b)) (Sundararajan et al. 2017, eq. 1), by Gauss-Legendre quadrature.

    Parts that are not open are the same in the baseline, and have no score. `rest` is f at the baseline.
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    kept = torch.as_tensor(open_[parts][: slopes.length], device=slopes.model.device)
    begins = _baseline(slopes, baseline, anatomy.parts(kept[None], slopes.sequence.encoder_length))
    between = tuple(part - begin for part, begin in zip(slopes.embeddings, begins, strict=True))
    values, rest = _values(slopes, slopes.embeddings), _values(slopes, begins)
    sums, scores = np.zeros((slopes.target.count, len(slopes.sequence))), np.full((slopes.target.count, len(open_)), np.nan)  # fmt: skip
    for number, (node, weight) in enumerate(zip(nodes, weights, strict=True)):
        here = tuple(begin + (1 + node) / 2 * part for begin, part in zip(begins, between, strict=True))
        for _, rows, gradients in slopes.at(here):
            tokens = [(gradient * part).sum(-1) for gradient, part in zip(gradients, between, strict=True)]
            sums[rows] += weight / 2 * slopes.joined(tokens)
            yield (number + rows.stop / slopes.target.count) / steps * 0.99, Found(values, scores, rest)
    scores[:, open_] = (sums @ _membership(parts, len(open_)))[:, open_]
    yield 1.0, Found(values, scores, rest)


def miss(found: Found) -> float:
    """The largest completeness error, as a share of the most that a row's scores should add up to; 0 for methods that promise no sum."""
    if found.rest is None:
        return 0.0
    whole = found.values - found.rest
    error = np.abs(np.nansum(found.scores, axis=1) - whole)
    return float(error.max() / max(np.abs(whole).max(), np.finfo(np.float32).eps))


def _baseline(slopes: Slopes, baseline: Baseline | int, open_: anatomy.Parts) -> anatomy.Parts:
    with slopes.model.running() as module:
        if baseline == "zero":
            stands = tuple(torch.zeros_like(part[0, 0]) for part in slopes.embeddings)
        elif baseline == "mean embedding":
            stands = anatomy.mean_embeddings(module)
        elif baseline >= slopes.model.facts.vocabulary:
            raise Refused(
                f"{slopes.model.facts.id} has {slopes.model.facts.vocabulary:,} tokens, numbered from 0; there is no token {baseline} to begin from."
            )
        else:
            ids = slopes.model.ids([baseline])
            stands = tuple(part[0, 0] for part in anatomy.embed(module, (ids,) * len(slopes.embeddings)))
    return tuple(
        torch.where(here[..., None], stand.to(part), part)
        for here, stand, part in zip(open_, stands, slopes.embeddings, strict=True)
    )


def _values(slopes: Slopes, embeddings: anatomy.Parts) -> np.ndarray:
    """(row,) the quantity at these embeddings."""
    rows = torch.as_tensor(slopes.target.places - 1 - slopes.sequence.encoder_length)
    own = llama.in_float32 if slopes.by_hand else nullcontext
    with slopes.model.running(slopes.report.poll, kernel="eager") as module, own(module):
        found = slopes.target.read(anatomy.every_logits(module, embeddings, rows))[0].cpu().numpy()
    if not np.isfinite(found).all():
        raise Refused(
            f"{slopes.model.facts.id} gives numbers that are not finite at an end of the path; choose another baseline."
        )
    return found


def _membership(parts: np.ndarray, count: int) -> np.ndarray:
    """(token, part) float64; 1 where a token belongs to a part."""
    return np.eye(count)[parts]


def check_gradients(model: LanguageModel) -> None:
    """Refused where gradients at the embeddings would not explain the model."""
    if model.facts.quantized:
        raise Refused(
            f"{model.facts.id} is loaded in the few bits of its own configuration, through which gradients are not exact; open its unquantised weights, choose a method that takes parts away, or look at answers and attention."
        )
    check_embeds(model)


def check_embeds(model: LanguageModel) -> None:
    """Refused where embeddings are not all that the model reads."""
    with model.running() as _:
        embeds = model.network.embeds_alone()
    if not embeds:
        raise Refused(
            f"{model.facts.id} computes something else from embeddings than from tokens ({model.facts.architecture} reads the tokens elsewhere too), so changes at the embeddings would not explain it; take parts away by deleting them, or look at answers and attention."
        )


def _check_memory(model: LanguageModel, tokens: int) -> None:
    """The eager maps of all layers are kept for the backward pass, twice, and a group of targets has a few more of one layer."""
    maps = max(model.facts.heads, model.facts.encoder_heads) * tokens * tokens * 4
    needed = 2 * model.facts.layers * maps + 3 * GROUP * maps
    if needed > MAX_BYTES:
        raise Refused(
            f"Going back through {tokens:,} tokens takes about {needed / 2**30:.1f} GiB in {model.facts.id}, more than the {MAX_BYTES / 2**30:.0f} GiB allowed; shorten the instruction or the answer, or choose a method that takes parts away."
        )
