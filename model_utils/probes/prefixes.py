"""Texts that a model reads once, and what could follow any beginning of them: their keys and values are reused, many rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from model_utils import anatomy, generation
from model_utils.contracts.common import Encoded
from model_utils.loading import LanguageModel
from model_utils.probes import caches
from model_utils.probes.caches import Held
from model_utils.probes.scoring import (
    LOGIT_BYTES,
    Ids,
    Scored,
    Text,
    Wanted,
    batches,
    check_known,
    score,
    tokens_of_a_pass,
)
from model_utils.reporting import Report

CACHE_BYTES = 64 << 20
"""Keys and values of the rows that go on at once."""


@dataclass(frozen=True, eq=False)
class Source:
    """A text, and its keys and values where they are known."""

    text: Encoded
    held: Held | None = None


@dataclass(frozen=True)
class After:
    """Tokens whose probability after a beginning of a text is asked for."""

    text: int
    """which one"""
    cut: int
    """how many of its leading tokens"""
    ids: Ids
    given: int = 0
    """how many of these are given as well: their own probability is not asked for"""


def check_room(model: LanguageModel, text: Encoded, wanted: After) -> None:
    """Refused where the model cannot read as much."""
    generation.check_length(model, text, wanted.cut - len(text) + len(wanted.ids))


def score_after(
    model: LanguageModel, sources: Sequence[Source], wanted: Sequence[After], report: Report
) -> list[Scored]:
    """(continuation,) in the order of `wanted`, of the tokens that are not `given`. Each text is read once, as far as something follows it, several texts in one pass, and not at
    all where its keys and values are known; then all that follows, again several at a time.

    Where a model keeps something else than all keys and values (a window, a state, an encoder) every continuation is read with the
    whole text before it. Refused where something is too long for the model.
    """
    for one in wanted:
        check_room(model, sources[one.text].text, one)
        generation.check_ids(model, one.ids)
    report.breathe()
    with model.running() as module:
        keeps = caches.roomy(module) is not None
    if not keeps:
        whole = [Wanted(sources[one.text].text.part(np.arange(one.cut)), one.ids) for one in wanted]
        scored = zip(score(model, whole, report), wanted, strict=True)
        return [Scored(found.log_probs[one.given :], found.first[one.given :], -1) for found, one in scored]
    found: list[Scored | None] = [None] * len(wanted)
    for held in _held(model, sources, wanted, report):
        for rows in _rows(model, held, sources, wanted):
            report.breathe()
            _go_on(model, held, rows, wanted, found, report)
    known = [one for one in found if one is not None]
    check_known(model, known)
    return known


# --- what is read -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Begun(Text):
    """What must be known before anything follows: a text up to the last token before its latest cut."""

    text: int = -1


def _held(
    model: LanguageModel, sources: Sequence[Source], wanted: Sequence[After], report: Report
) -> Iterator[dict[int, Held]]:
    """By text; those of one cache together."""
    cuts: dict[int, int] = {}
    for one in wanted:
        cuts[one.text] = max(cuts.get(one.text, 2), one.cut)
    known: dict[int, dict[int, Held]] = {}
    unread: list[_Begun] = []
    for text, cut in cuts.items():
        held = sources[text].held
        if held is not None and held.length >= cut - 1:
            known.setdefault(id(held.cache), {})[text] = held
        else:
            unread.append(_Begun((), tuple(sources[text].text.ids[: cut - 1].tolist()), text=text))
    yield from known.values()
    for batch in batches(unread, tokens_of_a_pass(model)):
        report.breathe()
        cache = _read(model, batch, report)
        yield {one.text: Held(cache, row, 0, len(one.ids)) for row, one in enumerate(batch)}


@dataclass(frozen=True)
class _Row:
    """Continuations of one beginning, of which the longest begins with all others."""

    text: int
    cut: int
    ids: Ids
    """what is read: the last token of the beginning, and all but the last of the longest continuation"""
    members: tuple[int, ...]
    given: int
    """leading positions that nothing is asked of"""


def _rows(
    model: LanguageModel, held: dict[int, Held], sources: Sequence[Source], wanted: Sequence[After]
) -> Iterator[list[_Row]]:
    """What goes on from these texts, rows of like length together."""
    groups: dict[tuple[int, int, Ids], list[int]] = {}
    last: tuple[int, int, Ids] | None = None
    chosen = [number for number, one in enumerate(wanted) if one.text in held]
    for number in sorted(chosen, key=lambda one: (wanted[one].text, wanted[one].cut, wanted[one].ids), reverse=True):
        one = wanted[number]  # comes right after those that begin with it
        begun = one.ids[:-1]
        if last is None or last[:2] != (one.text, one.cut) or last[2][: len(begun)] != begun:
            last = (one.text, one.cut, one.ids)
        groups.setdefault(last, []).append(number)
    rows = [
        _Row(
            text,
            cut,
            (int(sources[text].text.ids[cut - 1]), *ids[:-1]),
            tuple(members),
            min(wanted[number].given for number in members),
        )
        for (text, cut, ids), members in groups.items()
    ]
    a_position = caches.bytes_of_a_position(next(iter(held.values())).cache)
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda one: (-len(one.ids), -one.cut)):
        longest = len(batch[0].ids) if batch else len(row.ids)
        positions, given = longest * (len(batch) + 1), min(one.given for one in (*batch, row))
        reach = max(one.cut for one in (*batch, row)) + longest
        full = (
            positions > tokens_of_a_pass(model)
            or reach * (len(batch) + 1) * a_position > CACHE_BYTES
            or (longest - given) * (len(batch) + 1) * 4 * model.facts.vocabulary > LOGIT_BYTES
        )
        if batch and full:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


# --- passes -----------------------------------------------------------------------------------------------------------


def _read(model: LanguageModel, batch: Sequence[_Begun], report: Report) -> DynamicCache:
    """The keys and values of these texts; shorter ones are padded behind, where no earlier position looks."""
    longest = len(batch[0].ids)
    ids = np.array([[*text.ids, *(0,) * (longest - len(text.ids))] for text in batch])
    with model.running(report.poll, threads=model.pass_threads(ids.size)) as module:
        cache = caches.roomy(module)
        assert cache is not None
        _forward(module, 1, input_ids=torch.as_tensor(ids, device=model.device), past_key_values=cache)
    return cache


def _go_on(
    model: LanguageModel,
    held: dict[int, Held],
    rows: Sequence[_Row],
    wanted: Sequence[After],
    found: list[Scored | None],
    report: Report,
) -> None:
    """One pass over what follows: beginnings are padded in front, as for writing, and rows behind."""
    device, longest, given = model.device, max(len(row.ids) for row in rows), min(row.given for row in rows)
    known = torch.as_tensor([row.cut - 1 for row in rows], device=device)
    own = torch.as_tensor([len(row.ids) for row in rows], device=device)
    ids = torch.as_tensor([[*row.ids, *(0,) * (longest - len(row.ids))] for row in rows], device=device)
    step = torch.arange(longest, device=device)
    with model.running(report.poll, threads=model.pass_threads(ids.numel())) as module:
        cache = caches.taken_up(module, [held[row.text] for row in rows], [row.cut - 1 for row in rows], longest)
        front = cache.get_seq_length()
        before = torch.arange(front, device=device) >= front - known[:, None]
        read: dict[str, Any] = {"attention_mask": torch.cat([before, step < own[:, None]], dim=1).long()}
        if anatomy.accepts(module, "position_ids"):
            read["position_ids"] = (known[:, None] + step).minimum((known + own - 1)[:, None])
        logits = _forward(module, longest - given, input_ids=ids, past_key_values=cache, **read)
        members = [(row, number) for row, one in enumerate(rows) for number in one.members]
        _take(logits.float(), given, members, wanted, found)


def _take(
    logits: torch.Tensor,
    start: int,
    members: Sequence[tuple[int, int]],
    wanted: Sequence[After],
    found: list[Scored | None],
) -> None:
    """What these rows, whose first position is `start`, say of the continuations that begin at 0."""
    chosen = [wanted[number] for _, number in members]
    counts = [len(one.ids) - one.given for one in chosen]
    rows = torch.as_tensor(np.repeat([row for row, _ in members], counts), device=logits.device)
    places = np.concatenate([np.arange(one.given, len(one.ids)) for one in chosen]) - start
    steps = torch.as_tensor(places, device=logits.device)
    asked = torch.as_tensor([id for one in chosen for id in one.ids[one.given :]], device=logits.device)
    totals, best = torch.logsumexp(logits, dim=-1), logits.argmax(dim=-1)
    log_probs = (logits[rows, steps, asked] - totals[rows, steps]).double().cpu().numpy()
    first = (best[rows, steps] == asked).cpu().numpy()
    ends = np.cumsum(counts)[:-1]
    for (_, number), own, likeliest in zip(members, np.split(log_probs, ends), np.split(first, ends), strict=True):
        found[number] = Scored(own, likeliest, -1)


def _forward(module: PreTrainedModel, keep: int, **read: Any) -> torch.Tensor:
    """(text, position, vocabulary) logits of the last `keep` positions."""
    options: dict[str, Any] = {"logits_to_keep": keep} if anatomy.accepts(module, "logits_to_keep") else {}
    logits: torch.Tensor = module(**read, use_cache=True, **options).logits
    return logits[:, -keep:]
