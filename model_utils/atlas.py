"""All heads at a glance: each layer is reduced, as it passes, to what its heads look at on average and how far tuning moved that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from model_utils import capture
from model_utils.contracts.atlas import CELLS, LOOKS_BYTES, MEASURES, SCOPES, Atlas, AtlasRequest, coded, looking
from model_utils.contracts.common import ROLES, AttentionKind, Encoded, Message, ModelFacts, queries_and_keys
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, shared_sequence
from model_utils.intervals import bounds
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.reporting import Part, Report

KEPT_BYTES = 1 << 29
"""Queries and keys of the base that are kept for comparison at once; above, the text is read again for the layers left."""


def atlas(pair: Pair[LanguageModel], request: AtlasRequest, report: Report) -> Atlas:
    """Every head that both models have, over the request's own text and each of its other instructions; snapshots are of the texts so far."""
    kind = request.attention_kind
    facts, found = pair.map(lambda model: model.facts), pair.map(lambda model: capture.check_kind(model, kind))
    layers = sorted(set(found.base) & set(found.tuned))
    if not layers:
        raise Refused(
            f"{facts.base.id} and {facts.tuned.id} have no layer with attention in common, so their heads cannot be laid side by side."
        )
    heads = min(one.heads_of(kind) for one in facts.sides)
    asked, left_out = list(_texts(request)), list[str]()
    texts: list[tuple[Encoded, _Heads]] = []
    for number, one in enumerate(asked):
        part = Part(report, number / len(asked), 1 / len(asked))
        try:
            sequence = shared_sequence(pair, one, part)
            texts.append((sequence, _read(pair, sequence, kind, layers, heads, part, first=number == 0)))
        except Refused as refused:
            if number == 0:
                raise
            left_out.append(f"Instruction {number} of the list: {refused}")
        result = _result(facts, request, layers, texts, tuple(left_out))
        if number + 1 < len(asked):
            report((number + 1) / len(asked), f"{number + 1} of {len(asked)} texts", result)
    return replace(result, bounds=_bounds(result.each))


def _texts(request: AtlasRequest) -> Iterator[AtlasRequest]:
    """The request itself, then each other instruction after the same system message, its answer made anew."""
    yield request
    system = request.messages[:1] if request.messages[0].role == "system" else ()
    for other in request.others:
        yield request.model_copy(
            update={"messages": (*system, Message(content=other)), "answer_ids": None, "others": ()}
        )


def _read(
    pair: Pair[LanguageModel],
    sequence: Encoded,
    kind: AttentionKind,
    layers: Sequence[int],
    heads: int,
    report: Report,
    first: bool,
) -> _Heads:
    """One pass a model, or, where the base's queries and keys of all layers would take too much memory, one for every few layers."""
    plan = plan_of(sequence, kind)
    change = _Change(plan.answer, layers, heads)
    summaries = pair.map(lambda model: Summary(plan, layers, heads))
    keep = first and _fit(sequence, kind, layers)
    looks = pair.map(lambda model: _Looks(sequence, kind, layers, heads)) if keep else None

    def reader(side: Side, extra: capture.Visit) -> capture.Visit:
        def visit(look: capture.Layer, start: int, weights: torch.Tensor) -> None:
            if start == 0:
                done = (layers.index(look.layer) + (side == "tuned")) / (len(layers) + 1)
                report(ANSWER_SHARE + (1 - ANSWER_SHARE) * done, f"reading the heads of {pair[side].facts.id}")
            extra(look, start, weights)
            summaries[side].add(look.layer, start, weights)
            if looks is not None:
                looks[side].add(look.layer, start, weights)

        return visit

    left = list(layers)
    while left:
        change.kept.clear()
        capture.read(pair.base, sequence, kind, left, reader("base", change.keep), report.poll)
        now = list(change.kept)
        capture.read(pair.tuned, sequence, kind, now, reader("tuned", change.compare), report.poll)
        left = [layer for layer in left if layer not in now]
    return _Heads(
        summaries.map(Summary.means),
        change.means(),
        summaries.map(Summary.pictures),
        (plan.answer.stop - plan.answer.start, len(plan.queries)),
        looks.map(lambda one: one.rows.numpy()) if looks is not None else None,
    )


@dataclass(frozen=True, eq=False)
class _Heads:
    """What one text says of all heads; fields as in `Atlas`."""

    summaries: Pair[np.ndarray]
    changes: np.ndarray
    pictures: Pair[np.ndarray]
    queries: tuple[int, int]
    looks: Pair[np.ndarray] | None
    """of the first text"""


def _result(
    facts: Pair[ModelFacts],
    request: AtlasRequest,
    layers: Sequence[int],
    texts: Sequence[tuple[Encoded, _Heads]],
    left_out: tuple[str, ...],
) -> Atlas:
    """Means over these texts; the pictures are of the first."""
    (sequence, first), each = texts[0], np.stack([heads.changes for _, heads in texts])
    return Atlas(
        models=facts,
        sequence=sequence,
        attention_kind=request.attention_kind,
        layers=np.array(layers, dtype=np.int64),
        summaries=Pair(*(_mean([heads.summaries[side] for _, heads in texts]) for side in SIDES)),
        each=each,
        bounds=np.full((2, *each.shape[1:]), np.nan, dtype=np.float32),
        pictures=first.pictures,
        queries=first.queries,
        looks=first.looks,
        left_out=left_out,
    )


def _mean(values: list[np.ndarray]) -> np.ndarray:
    """The mean of those that say something."""
    found = np.stack(values)
    known = ~np.isnan(found)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, found, 0).sum(axis=0) / np.maximum(count, 1), np.nan).astype(np.float32)


def _bounds(each: np.ndarray) -> np.ndarray:
    """(2, layer, head) of the (text, layer, head) changes; NaN from a single text."""
    low, high = bounds(each.reshape(len(each), -1).astype(np.float64))
    return np.stack([low, high]).reshape(2, *each.shape[1:]).astype(np.float32)


# --- what is measured, decided once for all layers ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the queries and keys of one text stand, as what a layer's weights are multiplied with."""

    kind: AttentionKind
    queries: np.ndarray
    """(query,) int64 positions in the sequence"""
    answer: slice
    """the rows of the answer's queries; of an encoder, which reads no answer, all"""
    columns: torch.Tensor
    """(key, share) float32: 1 where a key is the first one or of a role, its position, and 1 in its cell of the picture"""
    cells: torch.Tensor
    """(query,) int64; the row of the picture that a query belongs to"""
    sizes: torch.Tensor
    """(cell, cell) float32; how many weights lie under each cell of the picture"""
    matches: dict[str, tuple[torch.Tensor, torch.Tensor]]
    """measure -> (queries, keys), (match,) int64 each, sorted by query; where its weights stand"""


def plan_of(sequence: Encoded, kind: AttentionKind) -> Plan:
    """What every layer is asked over this text."""
    queries, keys = queries_and_keys(sequence, kind)
    answer = np.flatnonzero(np.isin(queries, sequence.positions("answer")))
    rows = slice(0, len(queries)) if kind == "encoder" else slice(int(answer[0]), int(answer[-1]) + 1)
    roles = np.arange(len(ROLES)) == sequence.roles[keys][:, None]
    shares = [np.arange(len(keys)) == 0, *roles.T, np.arange(len(keys))]
    row_cells, key_cells = (np.arange(n) * min(CELLS, n) // n for n in (len(queries), len(keys)))
    pooling = key_cells[:, None] == np.arange(key_cells[-1] + 1)
    columns = np.concatenate([np.stack(shares, axis=1), pooling], axis=1)
    return Plan(
        kind=kind,
        queries=queries,
        answer=rows,
        columns=torch.from_numpy(columns.astype(np.float32)),
        cells=torch.from_numpy(row_cells),
        sizes=torch.from_numpy(np.outer(np.bincount(row_cells), np.bincount(key_cells)).astype(np.float32)),
        matches=_matches(sequence.ids[queries], kind),
    )


def _matches(ids: np.ndarray, kind: AttentionKind) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Where the weights of the scores about particular keys stand; none where queries and keys are different texts."""
    if kind == "cross":
        return {}
    earlier = np.tril(ids[:, None] == ids[None, :], k=-1)
    after = np.zeros_like(earlier)
    after[:, 1:] = earlier[:, :-1]
    np.fill_diagonal(after, False)  # a token that follows itself: its own place says nothing of induction
    one_before = np.eye(len(ids), k=-1, dtype=bool)
    found = {"previous": one_before, "duplicate": earlier, "induction": after}
    places = {name: torch.from_numpy(np.stack(np.nonzero(where))) for name, where in found.items()}
    return {name: (rows, keys) for name, (rows, keys) in places.items()}


# --- one model's heads --------------------------------------------------------------------------------------------------


class Summary:
    """Sums over the queries of every head of one model, tile by tile."""

    def __init__(self, plan: Plan, layers: Sequence[int], heads: int) -> None:
        self.plan, self.layers, self.heads = plan, layers, heads
        pictures = tuple(plan.sizes.shape)
        self.sums = torch.zeros(len(MEASURES), len(SCOPES), len(layers), heads)
        self.pooled = torch.zeros(len(layers), heads, *pictures)
        self._room = _Room()

    def add(self, layer: int, start: int, weights: torch.Tensor) -> None:
        """Take the weights (head, query, key) of some queries of a layer, from its query `start` on."""
        plan, at, weights = self.plan, self.layers.index(layer), weights[: self.heads]
        rows = slice(start, start + weights.shape[1])
        shares = (weights @ plan.columns[: weights.shape[2]].to(weights.device)).cpu()
        known = 2 + len(ROLES)
        self.pooled[at].index_add_(1, plan.cells[rows], shares[..., known:])
        values = {"entropy": entropy(weights, self._room.like(weights)).cpu(), "first": shares[..., 0]}
        values |= {role: shares[..., 1 + number] for number, role in enumerate(ROLES)}
        if plan.kind == "self":
            values["distance"] = torch.from_numpy(plan.queries[rows] - plan.queries[0]) - shares[..., known - 1]
        elif plan.kind == "encoder":
            apart = torch.arange(weights.shape[2]) - torch.arange(rows.start, rows.stop)[:, None]
            values["distance"] = torch.einsum("hqk,qk->hq", weights, apart.abs().to(weights)).cpu()
        marks = torch.zeros(*weights.shape[1:], len(plan.matches))
        for number, (queries, keys) in enumerate(plan.matches.values()):
            first, last = torch.searchsorted(queries, torch.tensor([rows.start, rows.stop])).tolist()
            marks[queries[first:last] - start, keys[first:last], number] = 1
        # One product, and not the marked keys by themselves: in a text that repeats itself they are most of them.
        found = torch.bmm(weights.transpose(0, 1), marks.to(weights.device)).cpu()
        values |= {name: found[..., number].T for number, name in enumerate(plan.matches)}
        inside = slice(max(plan.answer.start - start, 0), max(plan.answer.stop - start, 0))
        for name, value in values.items():
            sums = self.sums[MEASURES.index(name), :, at]
            sums[0] += value[:, inside].sum(dim=1)
            sums[1] += value.sum(dim=1)

    def means(self) -> np.ndarray:
        """(measure, scope, layer, head) float32; NaN where no query says anything."""
        counts = torch.tensor([[self._queries(name, scope) for scope in SCOPES] for name in MEASURES])
        return (self.sums / counts[..., None, None]).where(counts[..., None, None] > 0, torch.nan).numpy()

    def _queries(self, measure: str, scope: str) -> int:
        """How many queries of this scope a mean is over."""
        plan = self.plan
        rows = plan.answer if scope == "answer" else slice(0, len(plan.queries))
        if measure in plan.matches:
            asked = np.unique(plan.matches[measure][0].numpy())
            return int(((asked >= rows.start) & (asked < rows.stop)).sum())
        matched = measure in ("previous", "duplicate", "induction", "distance")
        return 0 if plan.kind == "cross" and matched else rows.stop - rows.start

    def pictures(self) -> np.ndarray:
        """(layer, head, row, column) uint8, coded."""
        return coded((self.pooled / self.plan.sizes).numpy())


class _Looks:
    """The mean of each layer's heads in the rows of a few queries, tile by tile."""

    def __init__(self, sequence: Encoded, kind: AttentionKind, layers: Sequence[int], heads: int) -> None:
        queries, keys = queries_and_keys(sequence, kind)
        self.layers, self.heads = layers, heads
        self.rows = torch.zeros(len(layers), len(looking(sequence, kind)), len(keys))
        self.first = len(queries) - self.rows.shape[1]  # the last of all queries

    def add(self, layer: int, start: int, weights: torch.Tensor) -> None:
        """Take the weights (head, query, key) of some queries of a layer, from its query `start` on."""
        first, last = max(start, self.first), start + weights.shape[1]
        if first < last:
            rows = self.rows[self.layers.index(layer), first - self.first : last - self.first]
            rows[:, : weights.shape[2]] = weights[: self.heads, first - start :].mean(0).cpu()


def _fit(sequence: Encoded, kind: AttentionKind, layers: Sequence[int]) -> bool:
    """Whether the rows of all layers may be kept."""
    rows, (_, keys) = looking(sequence, kind), queries_and_keys(sequence, kind)
    return len(SIDES) * len(layers) * len(rows) * len(keys) * np.float32().nbytes <= LOOKS_BYTES


def entropy(weights: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
    """(head, query) nats, what `shift.entropy` says of the logarithms of these weights (head, query, key); in half as many passes over them.

    `room`, of their shape, is written over.
    """
    logs = torch.clamp_min(weights, torch.finfo(weights.dtype).tiny, out=room).log_()
    return -logs.mul_(weights).sum(dim=-1)


class _Room:
    """Memory for what is computed between two steps over a tile. It is kept, as the C library would take it from the system anew, page by page, for each step."""

    def __init__(self) -> None:
        self._kept = torch.empty(0)

    def like(self, weights: torch.Tensor) -> torch.Tensor:
        """Of that shape; what was there is lost."""
        if self._kept.numel() < weights.numel():
            self._kept = weights.new_empty(weights.numel())
        return self._kept[: weights.numel()].view(weights.shape)


# --- what tuning changed ------------------------------------------------------------------------------------------------


class _Change:
    """How far apart the two models' rows are: what one layer of the base needs is kept, and its rows are made again beside the tuned ones."""

    def __init__(self, answer: slice, layers: Sequence[int], heads: int) -> None:
        self.answer, self.layers, self.heads = answer, layers, heads
        self.kept: dict[int, capture.Layer] = {}
        self.sums = torch.zeros(len(layers), heads)
        self._rooms = _Room(), _Room()

    def keep(self, look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        """Of the base: queries and keys, where they lie; ends the pass when they take too much memory together."""
        if start > 0:
            return
        if sum(one.bytes for one in self.kept.values()) > KEPT_BYTES:
            raise capture.Enough
        self.kept[look.layer] = look.only(self.answer)

    def compare(self, look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        """Of the tuned model: its rows against the base's."""
        first, last = max(start, self.answer.start), min(start + weights.shape[1], self.answer.stop)
        if first >= last:
            return
        _, base = self.kept[look.layer].tile(first - self.answer.start, last - self.answer.start)
        tuned = weights[: self.heads, first - start : last - start]
        base = base[: self.heads]
        middle, terms = (room.like(max(base, tuned, key=torch.numel)) for room in self._rooms)
        self.sums[self.layers.index(look.layer)] += divergence(base, tuned, (middle, terms)).sum(dim=1).cpu()

    def means(self) -> np.ndarray:
        """(layer, head) float32 nats."""
        return (self.sums / (self.answer.stop - self.answer.start)).numpy()


def divergence(
    base: torch.Tensor, tuned: torch.Tensor, rooms: tuple[torch.Tensor, torch.Tensor] | tuple[None, None] = (None, None)
) -> torch.Tensor:
    """(head, query) nats: Jensen-Shannon divergence of rows of weights (head, query, key), which may end at different keys.

    Half the sum of p log (p / middle) over both, of equal rows exactly 0. `rooms`, of the shape of the wider one, are written over.
    """
    base, keys, tiny = base.to(tuned.device), max(base.shape[2], tuned.shape[2]), torch.finfo(tuned.dtype).tiny
    if base.shape != tuned.shape:
        base, tuned = (torch.nn.functional.pad(one, (0, keys - one.shape[2])) for one in (base, tuned))
    middle = torch.add(base, tuned, out=rooms[0]).div_(2).clamp_min_(tiny)
    terms = torch.div(base, middle, out=rooms[1]).clamp_min_(tiny).log_().mul_(base)  # 0 times a finite logarithm is 0
    terms.addcmul_(torch.div(tuned, middle, out=middle).clamp_min_(tiny).log_(), tuned)
    return (terms.sum(dim=-1) / 2).clamp_(0, math.log(2))
