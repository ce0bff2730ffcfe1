"""How far tuning moved the distribution of each token: one answer forced through both models, and what makes the difference believable."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from model_utils import anatomy, generation, prompts
from model_utils.contracts.common import SLOT, Encoded, Format, Message, Relation
from model_utils.contracts.generation import ALTERNATIVES
from model_utils.contracts.shift import Floor, Forced, Reading, Shift, ShiftRequest, Split
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side, other_side
from model_utils.reporting import Report

CHUNK_BYTES = 16 << 20
"""Logits of one model that are made at once: with their vocabulary axis a whole answer would take hundreds of MB."""
BLOCK_BYTES = 5 << 20
"""Logits that the formulas, with all that they hold in between, see at once: more than `heap.LARGE`, so that little of it stays in the heap."""

NUMERICAL_PERCENTILE, WORDING_PERCENTILE = 99, 90

REWORDINGS = (f"{SLOT}\n", f"Please: {SLOT}", f"{SLOT} Please.", f"Task: {SLOT}", f"Request: {SLOT}")
"""Neutral rewordings: the same instruction before an empty line, with politeness, and after a synonym for 'instruction'."""

TWINS, PADDING = 2, 8
"""The batch of the numerical floor: so many copies of the text, and so many masked positions behind it."""


# --- formulas: rows of log-probabilities over one vocabulary ----------------------------------------------------------


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """(row,) Kullback-Leibler divergence KL(p || q) in nats, sum p (log p - log q); both (row, vocab) log-probabilities."""
    terms = torch.where(log_p > -math.inf, log_p.exp() * (log_p - log_q), 0.0)
    return terms.sum(dim=-1).clamp_min(0.0)  # rounding alone can take it below


def js(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """(row,) Jensen-Shannon divergence in nats, 0 to ln 2: the mean KL of each to their mean (Lin 1991, eq. 4.1 with equal weights)."""
    apart = torch.nan_to_num((log_p - log_q).abs(), nan=0.0, posinf=math.inf)  # both -inf: they agree
    middle = torch.maximum(log_p, log_q) + torch.log1p(torch.expm1(-apart) / 2)  # of equal rows exactly the row
    return ((kl(log_p, middle) + kl(log_q, middle)) / 2).clamp_max(math.log(2))


def tv(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """(row,) total variation distance, 0 to 1: half the sum of |p - q|."""
    return ((log_p.exp() - log_q.exp()).abs().sum(dim=-1) / 2).clamp_max(1.0)


def entropy(log_p: torch.Tensor) -> torch.Tensor:
    """(row,) entropy in nats, - sum p log p."""
    return -torch.where(log_p > -math.inf, log_p.exp() * log_p, 0.0).sum(dim=-1)


def rank_and_ties(logits: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(row,) rank of each id, 1 + the number of strictly larger logits (row, vocab), and how many others are exactly as large."""
    own = logits.gather(-1, ids[:, None])
    return 1 + (logits > own).sum(dim=-1), (logits == own).sum(dim=-1) - 1


# --- the analysis -----------------------------------------------------------------------------------------------------


def shift(pair: Pair[LanguageModel], request: ShiftRequest, report: Report) -> Shift:
    """Both answers through both models; snapshots come before the split and before the floors."""
    asked, texts = _Asked(pair, request), Texts(report)
    prompt = asked.prompts(request.formats)
    ids = Pair(*(asked.answer(side, prompt[side], report) for side in SIDES))
    report(0.1, "both models read both answers")
    answers = Pair(*(measure(pair, prompt, side, ids[side], request.formats[side], texts) for side in SIDES))
    notes = tuple(one.left_out for one in answers.sides if one.left_out)
    found = Shift(pair.map(lambda model: model.facts), answers, ("format or weights", "noise floors"), notes)
    report(0.2, "format or weights", found)
    answers, unsplit = _split_both(asked, answers, texts)
    found = replace(found, answers=answers, unfinished=("noise floors",), notes=(*notes, *unsplit))
    report(0.3, "noise floors: batches, kernels and threads", found)
    answers = answers.map(lambda one: replace(one, numerical=_numerical(pair, one, texts)))
    report(0.6, "noise floors: rewordings of the instruction", replace(found, answers=answers))
    answers = answers.map(lambda one: replace(one, wording=_wording(asked, one, texts)))
    return replace(found, answers=answers, unfinished=())


@dataclass(frozen=True)
class _Asked:
    """The question, and the prompts that it becomes in any format."""

    pair: Pair[LanguageModel]
    request: ShiftRequest

    def prompts(self, formats: Pair[Format], rewording: str = SLOT) -> Pair[Encoded]:
        """Each side's prompt in these formats, the instruction reworded."""
        *before, last = self.request.messages
        content = rewording.replace(SLOT, last.content)
        update = {"messages": (*before, Message(content=content)), "formats": formats}
        return generation.encode_sides(self.pair, self.request.model_copy(update=update))

    def answer(self, side: Side, prompt: Encoded, report: Report) -> tuple[int, ...]:
        """The ids of one side's answer: those given, else made."""
        model, request = self.pair[side], self.request
        given = request.answers[side]
        if given is None:
            limit, format = request.max_new_tokens, request.formats[side]
            return generation.answer_ids(model, prompt, format, request.sampling, limit, report)
        generation.check_ids(model, given)
        return given


# --- passes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pass:
    """One model has read one prompt and one answer; the logits of the answer's tokens can be had in chunks."""

    model: LanguageModel
    states: anatomy.LastStates
    threads: int | None = None
    """how many compute the logits too; None: all"""

    def chunks(self, vocabulary: int) -> Iterator[tuple[slice, torch.Tensor]]:
        """(tokens of the answer, their logits (row, vocabulary) float32); chunks for the same `vocabulary` hold the same tokens."""
        rows, block = (max(1, size // (4 * vocabulary)) for size in (CHUNK_BYTES, BLOCK_BYTES))
        for start in range(0, len(self.states), rows):
            with self.model.running(threads=self.threads) as module:
                logits = anatomy.unembed(module, self.states, slice(start, start + rows))
            for first in range(0, len(logits), block):
                part = logits[first : first + block]
                yield slice(start + first, start + first + len(part)), part
            del logits, part  # before the next are made

    def log_probs(self, ids: Sequence[int]) -> np.ndarray:
        """(token,) float64 log-probabilities of the answer's ids in nats; NaN for those that the model does not have."""
        found = np.zeros(len(ids))
        for chosen, logits in self.chunks(self.model.facts.vocabulary):
            found[chosen] = _numpy(_own(logits, ids[chosen]) - torch.logsumexp(logits, dim=-1))
        return found


def _own(rows: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
    """(row,) the value of each id in its row; NaN beyond the vocabulary."""
    wanted = torch.as_tensor(ids, device=rows.device)
    known = wanted < rows.shape[1]
    return torch.where(known, rows.gather(-1, torch.where(known, wanted, 0)[:, None])[:, 0], math.nan)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def read(
    model: LanguageModel,
    prompt: Encoded,
    ids: Sequence[int],
    report: Report,
    kernel: Literal["own", "eager"] = "own",
    threads: int | None = None,
    twins: int = 1,
    padding: int = 0,
) -> Pass:
    """One teacher-forced pass over a prompt and the ids of an answer; Refused where they are too long for the model."""
    generation.check_length(model, prompt, len(ids) - 1)  # the last token is predicted, but not read
    report.breathe()
    whole = np.concatenate([prompt.ids, np.asarray(ids[:-1], dtype=np.int64)])
    first = len(prompt) - prompt.encoder_length - 1
    padding = min(padding, model.facts.context + prompt.encoder_length - len(whole))  # places may have embeddings
    with model.running(report.poll, kernel, threads=threads) as module:
        parts = anatomy.parts(model.ids(whole), prompt.encoder_length)
        return Pass(model, anatomy.last_states(module, parts, range(first, first + len(ids)), twins, padding), threads)


class Texts:
    """Passes that were made, so that no model reads the same tokens twice."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._made: dict[tuple[int, bytes, int, tuple[int, ...]], Pass] = {}

    def read(self, model: LanguageModel, prompt: Encoded, ids: tuple[int, ...]) -> Pass:
        key = (id(model), prompt.ids.tobytes(), prompt.encoder_length, ids)
        if key not in self._made:
            self._made[key] = read(model, prompt, ids, self.report)
        return self._made[key]


# --- one answer through both models -----------------------------------------------------------------------------------


def measure(
    pair: Pair[LanguageModel], prompt: Pair[Encoded], writer: Side, ids: tuple[int, ...], format: Format, texts: Texts
) -> Forced:
    """The comparison proper, without split and floors: each model reads the answer after its own prompt, once.

    Refused where the answer is too long for its own writer; what the other model cannot read is left out, and `left_out` says why.
    """
    generation.check_length(pair[writer], prompt[writer], len(ids) - 1)
    relation, left_out = prompts.relation(pair.map(lambda model: model.tokenizer)), ""
    if relation != "different":
        ids, left_out = _readable_by_both(pair, prompt, writer, ids)
    answer = prompts.encode_continuation(pair[writer].tokenizer, prompt[writer], ids)
    counted = prompts.counted(answer, format)
    if relation == "different":
        return _in_pieces(pair, prompt, writer, prompts.before_its_end(answer, format), texts)
    passes = pair.zip(prompt).map(lambda one: texts.read(*one, ids))
    observed, (forward, reverse, middle, variation) = _observe_both(passes, ids, _shared_ids(pair, relation))
    readings = pair.zip(prompt).zip(observed).map(lambda one: _reading(*one[0], answer, one[1]))
    return Forced(
        writer=writer,
        readings=readings,
        alike=True,
        spans=answer.spans,
        counted=counted,
        log_probs=readings.map(lambda one: one.log_probs.astype(np.float64)),
        kl=forward,
        kl_reverse=reverse,
        js=middle,
        tv=variation,
        left_out=left_out,
    )


def _readable_by_both(
    pair: Pair[LanguageModel], prompt: Pair[Encoded], writer: Side, ids: tuple[int, ...]
) -> tuple[tuple[int, ...], str]:
    """The ids that the other model can read too, and a sentence about the rest; the last one is predicted, but not read."""
    reader = pair[other_side(writer)]
    room = _room(reader, prompt[other_side(writer)])
    unknown = next((i for i, id in enumerate(ids[:-1]) if id >= reader.facts.vocabulary), len(ids))
    if unknown < min(room, len(ids)):
        token = generation.piece(pair[writer], ids[unknown])
        return ids[: unknown + 1], (
            f"The {writer} answer can be read by both models only up to its token {token!r}, which {reader.facts.id} does not have."
        )
    return ids[:room], _no_room(writer, reader, room) if len(ids) > room else ""


def _room(model: LanguageModel, prompt: Encoded) -> int:
    """How many tokens of an answer it can predict after a prompt."""
    return model.facts.context - (len(prompt) - prompt.encoder_length) + 1


def _no_room(writer: Side, reader: LanguageModel, room: int) -> str:
    return f"Only the beginning of the {writer} answer can be read by both models: after its own prompt {reader.facts.id} has room for {room:,} tokens."


def _in_pieces(pair: Pair[LanguageModel], prompt: Pair[Encoded], writer: Side, answer: Encoded, texts: Texts) -> Forced:
    """For different tokenizers: the other model reads the same characters in its own tokens, and pieces are compared.

    Control tokens inside the answer are characters to the other model, so that the pieces with them are not counted.
    """
    reader = other_side(writer)
    text = answer.text[: int(answer.spans[:, 1].max(initial=0))]
    again = prompts.encode_answer(pair[reader].tokenizer, prompt[reader], text)
    room, left_out = _room(pair[reader], prompt[reader]), ""
    if len(again) > room:
        whole = again.spans[:, 1] <= again.spans[room, 0]  # no character of which bytes are missing
        again, left_out = again.part(np.flatnonzero(whole[:room])), _no_room(writer, pair[reader], room)
    spans = prompts.shared_pieces(answer.spans, again.spans)
    end = spans[-1, 1] if len(spans) else 0
    answer, again = (one.part(np.flatnonzero(one.spans[:, 1] <= end)) for one in (answer, again))
    read_as = Pair(answer, again) if writer == "base" else Pair(again, answer)
    readings = {}
    for side in SIDES:
        ids = tuple(read_as[side].ids.tolist())
        passed = texts.read(pair[side], prompt[side], ids)
        vocabulary = pair[side].facts.vocabulary
        observed = [_observe(logits, ids[chosen], None) for chosen, logits in passed.chunks(vocabulary)]
        readings[side] = _reading(pair[side], prompt[side], read_as[side], observed)
    both, nothing = Pair(**readings), np.zeros(0, dtype=np.float32)
    odd = read_as.map(lambda one: prompts.sum_pieces(one.spans, ~prompts.readable(one), spans))
    return Forced(
        writer=writer,
        readings=both,
        alike=False,
        spans=spans,
        counted=(odd.base + odd.tuned) == 0,
        log_probs=both.map(lambda one: prompts.sum_pieces(one.answer.spans, one.log_probs, spans)),
        kl=nothing,
        kl_reverse=nothing,
        js=nothing,
        tv=nothing,
        left_out=left_out,
    )


Observed = tuple[torch.Tensor, ...]
"""(log-probability, rank, ties, entropy, best ids, their log-probabilities, probability on tokens of its own), each (row, ...)"""


def _observe_both(
    passes: Pair[Pass], ids: tuple[int, ...], shared: torch.Tensor | None
) -> tuple[Pair[list[Observed]], tuple[np.ndarray, ...]]:
    """What each model says of the answer's tokens, and how far apart the two are: (KL, reverse KL, JS, TV)."""
    observed: Pair[list[Observed]] = Pair([], [])
    apart: list[torch.Tensor] = []
    vocabulary = max(one.model.facts.vocabulary for one in passes.sides)
    for (chosen, base), (_, tuned) in zip(*passes.map(lambda one: one.chunks(vocabulary)).sides, strict=True):
        logits = Pair(base, tuned.to(base.device))
        for side in SIDES:
            observed[side].append(_observe(logits[side], ids[chosen], shared))
        common = logits if shared is None else logits.map(lambda one: one[:, shared.to(one.device)])
        p, q = common.map(lambda one: torch.log_softmax(one, dim=-1)).sides
        apart.append(torch.stack([kl(q, p), kl(p, q), js(p, q), tv(p, q)]))
    rows = torch.cat([torch.zeros(4, 0), *(one.cpu() for one in apart)], dim=1)
    return observed, tuple(_numpy(row) for row in rows)


def _observe(logits: torch.Tensor, ids: Sequence[int], shared: torch.Tensor | None) -> Observed:
    """What one model says of some tokens; `shared`: the ids that the other model has too, wherever they lie (None: all)."""
    log_p = torch.log_softmax(logits, dim=-1)
    own = _own(log_p, ids)
    wanted = torch.as_tensor(ids, device=logits.device)
    rank, ties = rank_and_ties(logits, torch.where(wanted < logits.shape[1], wanted, 0))
    best = torch.topk(log_p, min(ALTERNATIVES, logits.shape[1]))
    rest = torch.zeros_like(own)
    if shared is not None:
        rest = log_p.exp().index_fill(1, shared.to(log_p.device), 0.0).sum(dim=-1)
    unknown = own.isnan()
    return (
        own,
        rank.masked_fill(unknown, 0),
        ties.masked_fill(unknown, 0),
        entropy(log_p),
        best.indices,
        best.values,
        rest,
    )


def _reading(model: LanguageModel, prompt: Encoded, answer: Encoded, observed: list[Observed]) -> Reading:
    empty = torch.zeros(0)
    columns = [torch.cat(column) for column in zip(*observed, strict=True)] or [empty] * 4 + [empty[:, None]] * 2 + [
        empty
    ]
    log_probs, ranks, ties, entropies, ids, best, rest = (_numpy(column) for column in columns)
    return Reading(
        prompt=prompt,
        answer=answer,
        log_probs=log_probs,
        ranks=ranks.astype(np.int64),
        ties=ties.astype(np.int64),
        entropies=entropies,
        alternative_ids=ids.astype(np.int64),
        alternative_log_probs=best,
        alternative_pieces=tuple(tuple(generation.piece(model, id) for id in row) for row in ids.astype(int).tolist()),
        own_mass=rest,
    )


def _shared_ids(pair: Pair[LanguageModel], relation: Relation) -> torch.Tensor | None:
    """The ids that both models have, where one has other tokens or a table that is padded further, on the CPU; None: all."""
    sizes = pair.map(lambda model: model.facts.vocabulary)
    if relation == "equal" and sizes.base == sizes.tuned:
        return None
    same = np.arange(min(sizes.sides))
    if relation == "compatible":
        same = np.setdiff1d(same, prompts.different_ids(pair.map(lambda model: model.tokenizer)))
    return torch.from_numpy(same)


# --- what makes it believable -----------------------------------------------------------------------------------------


def _units(forced: Forced, side: Side, values: np.ndarray) -> np.ndarray:
    """(unit,) float64 sums of `values` (token,) of one side's reading."""
    return values if forced.alike else prompts.sum_pieces(forced.readings[side].answer.spans, values, forced.spans)


def _ids(forced: Forced, side: Side) -> tuple[int, ...]:
    return tuple(forced.readings[side].answer.ids.tolist())


def _split_both(asked: _Asked, answers: Pair[Forced], texts: Texts) -> tuple[Pair[Forced], tuple[str, ...]]:
    """The answers with their splits, and a sentence for each reason why one has none."""
    found, refused = {}, dict[str, list[Side]]()
    for side, forced in answers.items():
        found[side] = forced
        try:
            found[side] = replace(forced, split=_split(asked, forced, texts))
        except Refused as why:
            refused.setdefault(str(why), []).append(side)
    notes = (
        f"Format or weights was not measured for the {' and the '.join(sides)} answer: {why}"
        for why, sides in refused.items()
    )
    return Pair(**found), tuple(notes)


def _split(asked: _Asked, forced: Forced, texts: Texts) -> Split:
    """Both models read the answer in both formats; those that were read already are not read again."""
    formats = asked.request.split or asked.request.formats.sides

    def log_probs(format: Format) -> Pair[np.ndarray]:
        prompt = asked.prompts(Pair(format, format))
        found = {}
        for side in SIDES:
            ids = _ids(forced, side)
            found[side] = _units(forced, side, texts.read(asked.pair[side], prompt[side], ids).log_probs(ids))
        return Pair(**found)

    return Split(formats, (log_probs(formats[0]), log_probs(formats[1])))


@dataclass(frozen=True)
class Nuisance:
    """A way to run the same pass that should not matter."""

    says: str
    kernel: Literal["own", "eager"] = "own"
    threads: int | None = None
    twins: int = 1
    padding: int = 0

    def changes(self, model: LanguageModel) -> bool:
        """Whether this model's pass is another one then."""
        kernel = self.kernel != "own" and model.facts.heads > 0 and model.network.kernel != self.kernel
        threads = self.threads is not None and model.device.type == "cpu" and torch.get_num_threads() != self.threads
        return kernel or threads or self.twins > 1 or self.padding > 0


NUISANCES = (
    Nuisance(f"{TWINS} copies in a batch, padded by {PADDING}", twins=TWINS, padding=PADDING),
    Nuisance("eager kernel", kernel="eager"),
    Nuisance("one thread", threads=1),
)


def _numerical(pair: Pair[LanguageModel], forced: Forced, texts: Texts) -> Floor:
    """How far the same model moves by batch, padding, kernel and threads; what changes nothing about its pass is left out."""
    runs = pair.map(lambda model: [one for one in NUISANCES if one.changes(model)])

    def changes(side: Side) -> np.ndarray:
        model, ids, prompt = pair[side], _ids(forced, side), forced.readings[side].prompt
        before = texts.read(model, prompt, ids).log_probs(ids)
        found = []
        for one in runs[side]:
            passed = read(model, prompt, ids, texts.report, one.kernel, one.threads, one.twins, one.padding)
            found.append(_units(forced, side, passed.log_probs(ids) - before)[forced.counted])
        return np.concatenate(found)

    said = tuple(one.says for one in NUISANCES if one in runs.base or one in runs.tuned)
    return _floor(Pair(changes("base"), changes("tuned")), said, NUMERICAL_PERCENTILE)


def _wording(asked: _Asked, forced: Forced, texts: Texts) -> Floor:
    """How far the same model moves when the instruction is reworded; a rewording that a template trims away, or that no longer fits, is left out."""
    found: Pair[list[np.ndarray]] = Pair([np.zeros(0)], [np.zeros(0)])
    runs = []
    for rewording in REWORDINGS:
        try:
            reworded = asked.prompts(asked.request.formats, rewording)
            changes = {side: _reworded(asked.pair[side], forced, side, reworded[side], texts) for side in SIDES}
        except Refused:  # too long with the words around it
            continue
        if any(len(one) for one in changes.values()):
            runs.append(rewording)
        for side in SIDES:
            found[side].append(changes[side])
    return _floor(found.map(np.concatenate), tuple(runs), WORDING_PERCENTILE)


def _reworded(model: LanguageModel, forced: Forced, side: Side, prompt: Encoded, texts: Texts) -> np.ndarray:
    """(unit,) changes of the counted units; empty where the model reads the same tokens as before."""
    reading, ids = forced.readings[side], _ids(forced, side)
    if prompt.ids.tolist() == reading.prompt.ids.tolist():
        return np.zeros(0)
    after = read(model, prompt, ids, texts.report).log_probs(ids)
    return _units(forced, side, after - reading.log_probs)[forced.counted]


def _floor(changes: Pair[np.ndarray], runs: tuple[str, ...], percentile: float) -> Floor:
    known = changes.map(lambda one: np.abs(one[~np.isnan(one)]))
    sides = known.map(lambda one: float(np.percentile(one, percentile)) if len(one) else math.nan)
    return Floor(sides, runs, known.map(len))
