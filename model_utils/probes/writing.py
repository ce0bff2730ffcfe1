"""Greedy answers to many prompts, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from model_utils import anatomy, generation, prompts
from model_utils.contracts.common import Encoded, Format
from model_utils.loading import LanguageModel
from model_utils.probes import caches
from model_utils.probes.caches import Held
from model_utils.probes.scoring import Ids, tokens_of_a_pass
from model_utils.reporting import Part, Report

MOST_TOGETHER = 64
"""Answers that are written at once: the longest of them keeps all others waiting."""
MOST_POSITIONS = 16_384
"""Positions whose keys and values are held at once."""
LEAST_SHARED = 8
"""Tokens that all prompts of a batch begin with, below which reading them once saves nothing."""
CHECKED_EVERY = 8
"""Tokens between two looks at the texts for what ends an answer in its format."""


@dataclass(frozen=True, eq=False)
class Written:
    """A greedy answer."""

    ids: Ids
    """what ended it included"""
    held: Held | None
    """keys and values of its prompt and of all its tokens but the last; None where they are not kept"""


def write(model: LanguageModel, asked: Sequence[Encoded], format: Format, limit: int, report: Report) -> list[Written]:
    """(prompt,) each greedy answer, as `generation.Decoder` writes it alone but for what rounding decides: in float32 next to nothing.

    Models that are more than plain attention answer one after the other, because their padding would be read; so do prompts after which
    the model has no room for the longest answer.
    """
    report.breathe()
    found: dict[int, Written] = {}
    for chosen in _batches(model, asked, limit):
        if len(chosen) == 1:
            ids = generation.answer_ids(model, asked[chosen[0]], format, None, limit, Part(report))
            found[chosen[0]] = Written(ids, None)
        else:
            found.update(
                zip(chosen, _Together(model, [asked[one] for one in chosen], format, report).write(limit), strict=True)
            )
    return [found[number] for number in range(len(asked))]


def _batches(model: LanguageModel, asked: Sequence[Encoded], limit: int) -> Iterator[list[int]]:
    """Prompts of like length together; alone what cannot be padded."""
    plain = not model.facts.encoder_decoder and len(model.facts.attention_layers("self")) == model.facts.layers
    tokens, batch = tokens_of_a_pass(model), list[int]()
    for number in sorted(range(len(asked)), key=lambda one: -len(asked[one])):
        if not plain or len(asked[number]) + limit > model.facts.context:
            yield [number]
            continue
        longest, rows = len(asked[batch[0]]) if batch else 0, len(batch) + 1
        if batch and (rows > MOST_TOGETHER or longest * rows > tokens or (longest + limit) * rows > MOST_POSITIONS):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


class _Together:
    """Prompts that are answered in one batch, padded in front; a row that has ended goes on with the others, and what it adds is not kept."""

    def __init__(self, model: LanguageModel, asked: Sequence[Encoded], format: Format, report: Report) -> None:
        self._model, self._asked, self._report = model, asked, report
        self._delimiters = prompts.delimiters(format)
        self._longest = max(len(prompt) for prompt in asked)
        with model.running() as module:
            self._roomy = caches.roomy(module)
            self._cache = self._roomy or DynamicCache(config=module.config.get_text_config(decoder=True))

    def write(self, limit: int) -> list[Written]:
        asked, longest = self._asked, self._longest
        ids = np.zeros((len(asked), longest), dtype=np.int64)
        mask = np.zeros((len(asked), longest + limit), dtype=np.int64)
        for row, prompt in enumerate(asked):
            ids[row, longest - len(prompt) :] = prompt.ids
            mask[row, longest - len(prompt) :] = 1
        shared = self._take_up_what_is_shared()
        whole = torch.as_tensor(mask, device=self._model.device)
        places = (whole.cumsum(dim=1) - 1).clamp(min=0)
        written, ended = np.zeros((len(asked), 0), dtype=np.int64), np.zeros(len(asked), dtype=bool)
        read = torch.as_tensor(ids[:, shared:], device=self._model.device)
        threads = self._model.pass_threads(read.numel())
        while not ended.all() and written.shape[1] < limit:
            stop = longest + written.shape[1]
            likeliest = self._likeliest(read, whole[:, :stop], places[:, stop - read.shape[1] : stop], threads)
            written = np.concatenate([written, likeliest.cpu().numpy()[:, None]], axis=1)
            ended |= self._ended(written)
            read, threads = likeliest[:, None], self._model.batch_threads
            self._report.breathe()
        return [self._kept(row, ids.tolist()) for row, ids in enumerate(written)]

    def _take_up_what_is_shared(self) -> int:
        """How many tokens all prompts begin with, examples above all, which are read once and need not be read again: rows that are shorter
        than the longest take up as much less of it, so that nothing but their front is padded."""
        shared = common_length([prompt.ids for prompt in self._asked])
        if self._roomy is None or shared < LEAST_SHARED:
            return 0
        model, begun = self._model, self._asked[0].ids[:shared]
        with model.running(self._report.poll, threads=model.pass_threads(shared)) as module:
            options: dict[str, Any] = {"logits_to_keep": 1} if anatomy.accepts(module, "logits_to_keep") else {}
            module(input_ids=model.ids(begun), past_key_values=self._roomy, use_cache=True, **options)
            rows = [Held(self._roomy, 0, 0, shared)] * len(self._asked)
            lengths = [max(0, shared - self._longest + len(prompt)) for prompt in self._asked]
            self._roomy = self._cache = caches.taken_up(module, rows, lengths, self._longest - shared + caches.ROOM)
        self._report.breathe()
        return shared

    def _likeliest(self, ids: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, threads: int) -> torch.Tensor:
        """(row,) the most probable token after these, which are read after all that was."""
        with self._model.running(self._report.poll, threads=threads) as module:
            options: dict[str, Any] = {"logits_to_keep": 1} if anatomy.accepts(module, "logits_to_keep") else {}
            if anatomy.accepts(module, "position_ids"):
                options["position_ids"] = places
            output = module(input_ids=ids, attention_mask=mask, past_key_values=self._cache, use_cache=True, **options)
            best: torch.Tensor = output.logits[:, -1].argmax(dim=-1)
            return best

    def _ended(self, written: np.ndarray) -> np.ndarray:
        """(row,) whether the last token, or every now and then the text, ends its answer."""
        stopped = np.isin(written[:, -1], list(self._model.stop_ids))
        if self._delimiters and written.shape[1] % CHECKED_EVERY == 0:
            texts = self._model.tokenizer.batch_decode(written, skip_special_tokens=False)
            stopped |= [prompts.end_of_answer(text, self._delimiters) is not None for text in texts]
        return stopped

    def _kept(self, row: int, ids: list[int]) -> Written:
        """Up to the first token that ended it; the others waited for the rest of the batch."""
        prompt = self._asked[row]
        end = next((place + 1 for place, id in enumerate(ids) if id in self._model.stop_ids), len(ids))
        if self._delimiters:
            whole = prompts.Detokenizer(self._model.tokenizer, prompt)
            parts = enumerate(ids[:end], start=1)
            end = next(
                (count for count, id in parts if prompts.end_of_answer(whole.push(id), self._delimiters) is not None),
                end,
            )
        held = self._roomy and Held(self._roomy, row, self._longest - len(prompt), len(prompt) + end - 1)
        return Written(tuple(ids[:end]), held)


def common_length(texts: Sequence[np.ndarray]) -> int:
    """How many ids all of them begin with; less than the shortest has."""
    least = min(len(one) for one in texts) - 1
    rows = np.array([one[:least] for one in texts])
    return int((rows == rows[0]).all(axis=0).cumprod().sum())
