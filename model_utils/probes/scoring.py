"""How probable many continuations of many prompts are: forced by ids, in batches of like length, nothing read twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from model_utils import anatomy, generation, prompts
from model_utils.contracts.common import Encoded, Format
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.reporting import Report

PASS_FLOPS = 1e11
"""Additions and multiplications of one pass: about 0.3 s of two slow cores, so that others need not wait longer."""
GPU_TOKENS = 16_384
"""Tokens of one pass on a GPU."""
MOST_WASTE = 0.1
"""Share of a batch that may be padding."""
PORTION = 1_000_000
"""Tokens whose order in batches is thought over at once."""
LOGIT_BYTES = 32 << 20
"""Logits that are made at once."""

SHORT = 200
"""Characters up to which it is remembered how a text is encoded."""

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Wanted:
    """Tokens whose probability after a prompt is asked for."""

    prompt: Encoded
    ids: Ids


@dataclass(frozen=True, eq=False)
class Scored:
    """What a model says of the tokens of one continuation."""

    log_probs: np.ndarray
    """(token,) float64, nats; of each given all before it, full vocabulary"""
    first: np.ndarray
    """(token,) bool; whether it is the most probable token there: what greedy decoding would write"""
    following: int
    """the most probable token after all of them; -1: not asked for"""

    @property
    def total(self) -> float:
        """nats; log-probability of the whole continuation."""
        return float(self.log_probs.sum())


def score(model: LanguageModel, wanted: Sequence[Wanted], report: Report, following: bool = False) -> list[Scored]:
    """(continuation,) in the order of `wanted`; with `following` also which token would come next, which needs one more position.

    Texts that begin alike up to all that is asked of one of them are read once. Refused where a text is too long for the model.
    """
    found = [Scored(np.zeros(len(one.ids)), np.zeros(len(one.ids), dtype=bool), -1) for one in wanted]
    ends = [0] * len(wanted)
    for one in wanted:
        generation.check_length(model, one.prompt, len(one.ids))
        generation.check_ids(model, one.ids)
    for part in _portions(wanted):
        mine, last, found_here = wanted[part], ends[part], found[part]
        for batch in batches(_texts(mine, following), tokens_of_a_pass(model)):
            report.breathe()
            _read(model, batch, mine, found_here, last, report)
        ends[part] = last
    check_known(model, found)
    return [Scored(one.log_probs, one.first, end) if following else one for one, end in zip(found, ends, strict=True)]


def check_known(model: LanguageModel, found: Sequence[Scored]) -> None:
    """Refused where the model's numbers overflowed: the first of the options would else be its answer to everything."""
    if any(np.isnan(one.log_probs).any() for one in found):
        raise Refused(
            f"{model.facts.id} gives numbers that are no numbers: in {model.facts.dtype} they overflow; open it in float32 or bfloat16."
        )


def _portions(wanted: Sequence[Wanted]) -> Iterator[slice]:
    """Of at most so many tokens each, as long as all that follows a prompt is not more than that."""
    start, tokens = 0, 0
    for number, one in enumerate(wanted):
        length = len(one.prompt) + len(one.ids)
        if tokens + length > PORTION and one.prompt is not wanted[number - 1].prompt and number > start:
            yield slice(start, number)
            start, tokens = number, 0
        tokens += length
    yield slice(start, len(wanted))


# --- what is read -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """One row of a batch."""

    encoder: Ids
    """what an encoder reads; empty without one"""
    ids: Ids
    places: tuple[tuple[int, int, int], ...] = ()
    """(row, continuation, token in it); a token past the end of the continuation asks for what follows"""


T = TypeVar("T", bound=Text)


def _texts(wanted: Sequence[Wanted], following: bool) -> list[Text]:
    """The texts that are read: none of them begins another one."""
    whole: list[tuple[Ids, Ids, int]] = []
    for number, one in enumerate(wanted):
        ids, cut = one.prompt.ids.tolist(), one.prompt.encoder_length
        read = one.ids if following else one.ids[:-1]
        whole.append((tuple(ids[:cut]), (*ids[cut:], *read), number))
    places: dict[tuple[Ids, Ids], list[tuple[int, int, int]]] = {}
    last: tuple[Ids, Ids] | None = None
    for encoder, ids, number in sorted(whole, reverse=True):  # a text comes right after those that begin with it
        if last is None or last[0] != encoder or last[1][: len(ids)] != ids:
            last = (encoder, ids)
        count = len(wanted[number].ids)
        start = len(ids) - (count if following else count - 1) - 1
        asked = range(count + 1 if following else count)
        places.setdefault(last, []).extend((start + token, number, token) for token in asked)
    return [Text(encoder, ids, tuple(found)) for (encoder, ids), found in places.items()]


def tokens_of_a_pass(model: LanguageModel) -> int:
    """How many tokens one pass may read."""
    if model.device.type != "cpu":
        return GPU_TOKENS
    return max(1, int(PASS_FLOPS / (2 * model.facts.parameters)))


def batches(texts: Sequence[T], tokens: int) -> Iterator[list[T]]:
    """The texts, the longest first, in batches of at most so many tokens (or of one text) of which at most `MOST_WASTE` are padding.

    Texts of an encoder-decoder share a batch only where their encoder reads the same.
    """
    batch: list[T] = []
    filled = 0
    for text in sorted(texts, key=lambda one: (one.encoder, -len(one.ids))):
        longest = len(batch[0].ids) if batch else len(text.ids)
        padded = longest * (len(batch) + 1)
        full = padded > tokens or filled + len(text.ids) < (1 - MOST_WASTE) * padded
        if batch and (full or batch[0].encoder != text.encoder):
            yield batch
            batch, filled = [], 0
        batch.append(text)
        filled += len(text.ids)
    if batch:
        yield batch


def _read(
    model: LanguageModel,
    batch: list[Text],
    wanted: Sequence[Wanted],
    found: list[Scored],
    ends: list[int],
    report: Report,
) -> None:
    """One pass. Rows that are shorter are padded behind, where no earlier position looks, so that no mask is needed."""
    longest = len(batch[0].ids)
    rows = range(min(row for text in batch for row, *_ in text.places), longest)
    padded = [[*text.ids, *(0,) * (longest - len(text.ids))] for text in batch]
    read: anatomy.Parts = (torch.as_tensor(padded, dtype=torch.long, device=model.device),)
    if batch[0].encoder:
        read = (model.ids(batch[0].encoder), *read)
    with model.running(report.poll, threads=model.pass_threads(longest * len(batch))) as module:
        states = anatomy.every_last_states(module, read, rows)
        kept = [torch.as_tensor(sorted({row for row, *_ in text.places})) for text in batch]
        chosen = [one.states[(keep - rows.start).to(one.states.device)] for one, keep in zip(states, kept, strict=True)]
        joined = anatomy.LastStates(torch.cat(chosen), states[0].output)
        index = {
            (number, int(row)): place
            for place, (number, row) in enumerate((number, row) for number, keep in enumerate(kept) for row in keep)
        }
        asked = [
            (index[number, row], continuation, token)
            for number, text in enumerate(batch)
            for row, continuation, token in text.places
        ]
        chunk = max(1, LOGIT_BYTES // (4 * model.facts.vocabulary))
        for start in range(0, len(joined), chunk):
            logits = anatomy.unembed(module, joined, slice(start, start + chunk))
            _take(logits, start, asked, wanted, found, ends)


def _take(
    logits: torch.Tensor,
    start: int,
    asked: list[tuple[int, int, int]],
    wanted: Sequence[Wanted],
    found: list[Scored],
    ends: list[int],
) -> None:
    """What these rows say of the tokens that stand at them."""
    here = [(place - start, number, token) for place, number, token in asked if start <= place < start + len(logits)]
    best = logits.argmax(dim=-1).cpu().numpy()
    inner = [(row, number, token) for row, number, token in here if token < len(wanted[number].ids)]
    ids = [wanted[number].ids[token] for _, number, token in inner]
    picked = torch.as_tensor([row for row, *_ in inner], dtype=torch.long, device=logits.device)
    own = logits[picked, torch.as_tensor(ids, dtype=torch.long, device=logits.device)]
    log_probs = (own - torch.logsumexp(logits, dim=-1)[picked]).double().cpu().numpy()
    for (row, number, token), id, log_prob in zip(inner, ids, log_probs, strict=True):
        found[number].log_probs[token] = log_prob
        found[number].first[token] = best[row] == id
    for row, number, token in here:
        if token == len(wanted[number].ids):
            ends[number] = int(best[row])


# --- texts that can be written in more than one way -------------------------------------------------------------------


def beginning(text: Encoded, count: int) -> Encoded:
    """Its first tokens and their characters: what something else can follow."""
    kept = text.part(np.arange(count))
    return replace(kept, text=text.text[: int(kept.spans[:, 1].max(initial=0))])


class Continued:
    """Texts as they follow a prompt, in a model's ids; a short one that was encoded after one token is not encoded again after the same token."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._known: dict[tuple[str, str, int], tuple[Ids, int]] = {}

    def ids(self, prompt: Encoded, text: str) -> Ids:
        """Exactly these characters; Refused where this tokenizer cannot write them."""
        return self.parted(prompt, text, 0)[0]

    def parted(self, prompt: Encoded, text: str, given: int) -> tuple[Ids, int]:
        """The same, and how many leading tokens lie wholly in the first `given` characters."""
        key = (prompt.pieces[-1], text, given)
        if key in self._known:
            return self._known[key]
        encoded = prompts.encode_answer(self._model.tokenizer, prompt, text)
        forced = int((np.maximum.accumulate(encoded.spans[:, 1]) <= given).sum())
        found = tuple(encoded.ids.tolist()), forced
        if len(text) <= SHORT:
            self._known[key] = found
        return found

    def forms(self, prompt: Encoded, text: str, format: Format) -> tuple[Ids, ...]:
        """The ways in which a model may begin its answer with this text, each once: where its format leaves that open, with and without a
        space in front. Refused where there is none."""
        gap = prompts.frame(format).gap if format not in ("chat", "plain") else None
        forms = (text, f" {text}") if gap is None else (f"{gap}{text}",)
        found: dict[Ids, None] = {}
        for form in forms:
            try:
                found[self.ids(prompt, form)] = None
            except Refused:  # some tokenizers put a space in front by themselves
                if form == forms[-1] and not found:
                    raise
        return tuple(found)


def joined(scores: Sequence[float]) -> float:
    """nats; log of the summed probabilities of different ways to write one text."""
    return float(np.logaddexp.reduce(np.asarray(scores, dtype=np.float64)))


def exclusive(ids: Sequence[Ids], log_probs: Sequence[float]) -> list[float]:
    """nats; of each continuation, that it is written and none of the longer ones that begin with it: of "3" and "30", a token a digit, a model
    that writes "30" wrote "3" as well, and yet does not mean it."""
    found = []
    for one, own in zip(ids, log_probs, strict=True):
        longer = [number for number, other in enumerate(ids) if len(other) > len(one) and other[: len(one)] == one]
        nearest = [n for n in longer if not any(m != n and ids[n][: len(ids[m])] == ids[m] for m in longer)]
        rest = 1 - sum(float(np.exp(log_probs[number] - own)) for number in nearest)
        found.append(own + float(np.log(rest)) if rest > 0 else float("-inf"))
    return found


def among(log_probs: Sequence[float] | np.ndarray) -> tuple[np.ndarray, float]:
    """((option,) float64 probabilities among the options, their probability together) from each one's log-probability in nats."""
    values = np.asarray(log_probs, dtype=np.float64)
    total = np.logaddexp.reduce(values)
    return np.exp(values - total), float(min(1.0, np.exp(total)))


def ends_answer(model: LanguageModel) -> Callable[[int], bool]:
    """Whether a token ends an answer: a stop token, a full stop, or a new line."""

    def ends(id: int) -> bool:
        if id in model.stop_ids:
            return True
        text = model.tokenizer.decode([id], skip_special_tokens=False)
        return text.startswith((".", "\n"))

    return ends
