"""Explanations that take parts of the text away and look what changes: occlusion, Shapley values, a sparse surrogate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from model_utils import anatomy
from model_utils.contracts.attribution import (
    BATCH_BYTES,
    BATCH_TOKENS,
    LEAST_MASKS,
    SHAPLEY_PARTS,
    SURROGATE_MASKS,
    Operator,
    Parted,
)
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.targets import Target

KEEP, ALPHA = 0.5, 0.01
"""Cohen-Wang et al. 2024 (ContextCite): probability that a part stays, and weight of the LASSO's penalty."""


class Removal:
    """Reads the target after some parts of the text were taken away."""

    def __init__(
        self, model: LanguageModel, text: Parted, target: Target, operator: Operator
    ) -> None:  # fmt: skip
        sequence, parts, open_ = text.sequence, text.parts, text.open
        self.model, self.target, self.operator = model, target, operator
        self.length = target.length
        self.ids, self.parts, self.encoder_length = (
            sequence.ids[: self.length],
            parts[: self.length],
            sequence.encoder_length,
        )
        self.open = np.flatnonzero(text.compared)
        """parts that can be taken away and stand before a target"""
        first = np.full(len(open_), len(parts))
        np.minimum.at(first, parts, np.arange(len(parts)))
        self.unseen = open_ & (first >= target.ends()[:, None])
        """(row, part) bool; parts that can be taken away and of which the row's target sees nothing"""
        self.count = len(open_)
        with model.running() as module:
            ids = anatomy.parts(model.ids(self.ids), self.encoder_length)
            self.embeddings = anatomy.embed(module, ids)
            self.means = tuple(
                mean.to(part) for mean, part in zip(anatomy.mean_embeddings(module), self.embeddings, strict=True)
            )

    def scores(self) -> np.ndarray:
        """(row, part) float64 to be filled: NaN, and 0 where the target sees nothing of a part."""
        return np.where(self.unseen, 0.0, np.nan)

    def all(self) -> np.ndarray:
        """(1, part) bool; everything stays."""
        return np.ones((1, self.count), dtype=bool)

    def batch(self) -> int:
        """Texts that are read at once."""
        each = 4 * self.model.facts.vocabulary * (len(self.target.places) if self.operator != "delete" else self.length)
        return max(1, min(BATCH_TOKENS // max(1, self.length), BATCH_BYTES // each))

    def values(self, kept: np.ndarray, poll: Callable[[], None]) -> Iterator[tuple[slice, np.ndarray]]:
        """(which texts, their values (text, row) float64), in batches; `kept` (text, part) bool says what stays in each text."""
        size = self.batch()
        for start in range(0, len(kept), size):
            some = slice(start, min(start + size, len(kept)))
            stays = kept[some][:, self.parts]
            with self.model.running(poll, threads=self.model.pass_threads(len(stays) * self.length)) as module:
                found = self.target.read(self._deleted(module, stays) if self.operator == "delete" else self._covered(module, stays))  # fmt: skip
            values = found.double().cpu().numpy()
            if not np.isfinite(values).all():
                raise Refused(
                    f"{self.model.facts.id} gives numbers that are not finite when parts of this text are taken away; choose another way of taking parts away, or another number format."
                )
            yield some, values

    def _covered(self, module: torch.nn.Module, stays: np.ndarray) -> torch.Tensor:
        """Logits (text, target, vocabulary) where what does not stay is still a place, but an empty or an unseen one."""
        rows = torch.as_tensor(self.target.places - 1 - self.encoder_length)
        seen = self._split(torch.as_tensor(stays, device=self.model.device))
        if self.operator == "mask":
            masks = tuple(part.long() for part in seen)
            given = tuple(part.expand(len(stays), -1, -1) for part in self.embeddings)
            return anatomy.every_logits(module, given, rows, masks)
        given = tuple(  # some architectures (mixtures of experts) take only rows that lie one after the other
            torch.where(here[..., None], part, mean).contiguous()
            for here, part, mean in zip(seen, self.embeddings, self.means, strict=True)
        )
        return anatomy.every_logits(module, given, rows)

    def _deleted(self, module: torch.nn.Module, stays: np.ndarray) -> torch.Tensor:
        """The same where what does not stay is left out: texts are as long as the longest of them, the rest of each is never looked at."""
        split = [slice(0, self.encoder_length), slice(self.encoder_length, self.length)] if self.encoder_length else [slice(0, self.length)]  # fmt: skip
        read, masks = [], []
        for part in split:
            here = stays[:, part]
            counts = here.sum(axis=1)
            if (counts == 0).any():
                raise Refused(
                    "Leaving out every part leaves nothing to read before the answer; choose another way of taking parts away, or a format that writes something around the instruction."
                )
            ids = np.full((len(here), counts.max()), self.ids[part][0])
            mask = np.arange(ids.shape[1]) < counts[:, None]
            ids[mask] = np.broadcast_to(self.ids[part], here.shape)[here]
            read.append(torch.as_tensor(ids, device=self.model.device))
            masks.append(torch.as_tensor(mask, device=self.model.device).long())
        # The token that chooses a target is the last one before it that is still there.
        before = np.cumsum(stays[:, split[-1]], axis=1)[:, self.target.places - 1 - self.encoder_length] - 1
        if (before < 0).any():
            raise Refused(
                "Leaving out this part leaves nothing before the target; choose another way of taking parts away."
            )
        rows = np.unique(before)
        logits = anatomy.every_logits(module, tuple(read), torch.as_tensor(rows), tuple(masks))
        at = torch.as_tensor(np.searchsorted(rows, before), device=logits.device)
        return logits.gather(1, at[..., None].expand(-1, -1, logits.shape[-1]))

    def _split(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(text, token) cut between encoder and decoder."""
        return anatomy.parts(tokens, self.encoder_length)


# --- methods: each yields (share done, Found) -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Found:
    """One model's scores, as far as they are known."""

    values: np.ndarray
    """(row,) the quantity that is explained"""
    scores: np.ndarray
    """(row, part); NaN: not scored, or not yet"""
    rest: np.ndarray | None = None
    """(row,) the quantity without the scored parts"""
    spread: np.ndarray | None = None
    """(row, part) standard errors"""
    masked: np.ndarray | None = None
    """(sample, row) the quantity of each random mask that a linear model was fitted to"""


Steps = Iterator[tuple[float, Found]]


def occlusion(removal: Removal, poll: Callable[[], None]) -> Steps:
    """phi_i = f(x) - f(x without part i) (Zeiler & Fergus 2014; Li et al. 2016, eq. 2, without their division by f)."""
    kept = np.repeat(removal.all(), 1 + len(removal.open), axis=0)
    kept[np.arange(1, len(kept)), removal.open] = False
    scores = removal.scores()
    whole = np.zeros(removal.target.count)
    for some, values in removal.values(kept, poll):
        if some.start == 0:
            whole = values[0]
        chosen = removal.open[np.arange(max(some.start, 1), some.stop) - 1]
        lost = (whole - values[len(values) - len(chosen) :]).T
        scores[:, chosen] = np.where(removal.unseen[:, chosen], 0.0, lost)
        yield some.stop / len(kept), Found(whole, scores)


def shapley(removal: Removal, samples: int, seed: int, poll: Callable[[], None]) -> Steps:
    """Shapley values of the parts: exactly, over all 2^parts subsets, or the mean over random orders (Strumbelj & Kononenko 2014, alg. 1).

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (f(S + i) - f(S)) (Shapley 1953). Refused for more than `SHAPLEY_PARTS` parts.
    """
    count = len(removal.open)
    if count > SHAPLEY_PARTS:
        raise Refused(
            f"Shapley values are computed for at most {SHAPLEY_PARTS} parts, and this text has {count}; choose sentences or passages as parts, or leave the answer's own tokens out."
        )
    masks = np.arange(1 << count)
    subsets = (masks[:, None] >> np.arange(count)) & 1 == 1
    if samples:
        orders = np.stack([order.permutation(count) for order in [np.random.default_rng(seed)] for _ in range(samples)])
        ranks = np.argsort(orders, axis=1)
        wanted = np.unique(np.concatenate([(ranks < k) @ (1 << np.arange(count)) for k in range(count + 1)]))
    else:
        wanted = masks
    known = np.full((len(masks), removal.target.count), np.nan)
    kept = np.repeat(removal.all(), len(wanted), axis=0)
    kept[:, removal.open] = subsets[wanted]
    nothing = removal.scores()
    for some, values in removal.values(kept, poll):
        known[wanted[some]] = values
        yield 0.99 * some.stop / len(kept), Found(known[-1], nothing)
    scores, spread = nothing.copy(), None
    if samples:
        gains = _gains(known, orders)
        scores[:, removal.open] = gains.mean(axis=0).T
        spread = nothing.copy()
        spread[:, removal.open] = gains.std(axis=0, ddof=1).T / math.sqrt(samples) if samples > 1 else np.nan
    else:
        sizes = subsets.sum(axis=1)
        for place in range(count):
            without = masks[~subsets[:, place]]
            weights = np.array([1 / (count * math.comb(count - 1, int(size))) for size in sizes[without]])
            scores[:, removal.open[place]] = weights @ (known[without | 1 << place] - known[without])
    scores[removal.unseen] = 0.0  # not even rounding
    yield 1.0, Found(known[-1], scores, known[0], spread)


def _gains(known: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """(order, part, row) what each part adds to those before it in each order."""
    after = np.cumsum(1 << orders, axis=1)
    gains = known[after] - known[after - (1 << orders)]
    found = np.empty_like(gains)
    np.put_along_axis(found, orders[..., None], gains, axis=1)
    return found


def _masks(samples: int, parts: int, seed: int) -> np.ndarray:
    """(sample, part) bool; what stays."""
    return np.random.default_rng(seed).random((samples, parts)) < KEEP


def surrogate(removal: Removal, samples: int, seed: int, poll: Callable[[], None]) -> Steps:
    """A sparse linear model of the quantity over random masks (Cohen-Wang et al. 2024, ContextCite, sec. 4): LASSO of f / targets on the standardised masks, scores in units of f.

    The penalty shrinks every score by up to 2 `ALPHA` times the targets a row (for masks that keep half).
    """
    samples = samples or SURROGATE_MASKS
    if samples < LEAST_MASKS:
        raise Refused(
            f"A sparse surrogate is fitted to at least {LEAST_MASKS} random masks, and {samples} were asked for; ask for more, or for 0, which means {SURROGATE_MASKS}."
        )
    chosen = _masks(samples, len(removal.open), seed)
    kept = np.repeat(removal.all(), 1 + samples, axis=0)
    kept[1:, removal.open] = chosen
    scores = removal.scores()
    found = np.empty((len(kept), removal.target.count))
    for some, values in removal.values(kept, poll):
        found[some] = values
        yield 0.99 * some.stop / len(kept), Found(found[0], scores)
    yield 1.0, Found(found[0], fit(removal, found[1:], seed, np.bincount(removal.target.rows)), masked=found[1:])


def fit(removal: Removal, values: np.ndarray, seed: int, counts: np.ndarray) -> np.ndarray:
    """(row, part) terms of the sparse linear model of `values` (sample, row) over the random masks of `seed`, for a penalty by each of a row's `counts` (row,) of targets."""
    from sklearn.linear_model import Lasso

    chosen, scores = _masks(len(values), len(removal.open), seed), removal.scores()
    scale = chosen.std(axis=0)
    scale[scale == 0] = 1.0  # a part that always stayed, or never did: it gets no weight
    standard = (chosen - chosen.mean(axis=0)) / scale
    for row, column in enumerate(values.T):
        seen = ~removal.unseen[row, removal.open]  # what comes later would only be fitted to noise
        terms = Lasso(alpha=ALPHA).fit(standard[:, seen], column / counts[row]).coef_ if seen.any() else np.zeros(0)
        scores[row, removal.open[seen]] = terms * counts[row] / scale[seen]
    return scores
