"""Greedy answers to many prompts, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from model_utils import generation, prompts
from model_utils.contracts.common import Encoded, Format
from model_utils.loading import LanguageModel
from model_utils.probes import caches
from model_utils.probes.scoring import tokens_of_a_pass
from model_utils.reporting import Part, Report

MOST_TOGETHER = 64
"""Answers that are written at once: the longest of them keeps all others waiting."""
CHECKED_EVERY = 8
"""Tokens between two looks at the texts for what ends an answer in its format."""


def write(
    model: LanguageModel, asked: Sequence[Encoded], format: Format, limit: int, report: Report
) -> list[tuple[int, ...]]:
    """(prompt,) the ids of each greedy answer, what ended it included, as `generation.Decoder` writes it alone.

    Models that are more than plain attention answer one after the other, because their padding would be read; so do prompts after which
    the model has no room for the longest answer.
    """
    report.breathe()
    found: list[tuple[int, ...]] = [()] * len(asked)
    for chosen in _batches(model, asked, limit):
        if len(chosen) == 1:
            answers = [generation.answer_ids(model, asked[chosen[0]], format, None, limit, Part(report))]
        else:
            answers = _together(model, [asked[number] for number in chosen], format, limit, report)
        for number, ids in zip(chosen, answers, strict=True):
            found[number] = ids
    return found


def _batches(model: LanguageModel, asked: Sequence[Encoded], limit: int) -> Iterator[list[int]]:
    """Prompts of like length together; alone what cannot be padded."""
    plain = not model.facts.encoder_decoder and len(model.facts.attention_layers("self")) == model.facts.layers
    tokens, batch = tokens_of_a_pass(model), list[int]()
    for number in sorted(range(len(asked)), key=lambda one: -len(asked[one])):
        if not plain or len(asked[number]) + limit > model.facts.context:
            yield [number]
            continue
        if batch and (len(batch) == MOST_TOGETHER or len(asked[batch[0]]) * (len(batch) + 1) > tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _together(
    model: LanguageModel, asked: list[Encoded], format: Format, limit: int, report: Report
) -> list[tuple[int, ...]]:
    longest = max(len(prompt) for prompt in asked)
    ids = np.zeros((len(asked), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(asked):
        ids[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt.ids, 1
    read = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    stops = sorted(model.stop_ids)
    delimiters = prompts.delimiters(format)
    ended = _Ended(model, longest, delimiters) if delimiters else None
    with model.running(report.breathe, threads=model.batch_threads) as module, _plain(module):
        written = module.generate(
            **{name: one.to(model.device) for name, one in read.items()},
            past_key_values=caches.roomy(module),
            max_new_tokens=limit,
            do_sample=False,
            eos_token_id=stops or None,
            pad_token_id=stops[0] if stops else 0,
            stopping_criteria=StoppingCriteriaList([ended] if ended else []),
        )
    return [_cut(model, prompt, row[longest:].tolist(), delimiters) for prompt, row in zip(asked, written, strict=True)]


@contextmanager
def _plain(module: Any) -> Iterator[None]:
    """Without what a model's own folder says of how it likes to write: penalties and the like would not be its greedy answer."""
    own, module.generation_config = module.generation_config, GenerationConfig()
    try:
        yield
    finally:
        module.generation_config = own


class _Ended(StoppingCriteria):
    """Which rows have written what ends an answer in their format."""

    def __init__(self, model: LanguageModel, start: int, delimiters: tuple[str, ...]) -> None:
        self._model, self._start, self._delimiters = model, start, delimiters
        self._done: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **_: Any) -> torch.BoolTensor:
        done = (
            torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device) if self._done is None else self._done
        )
        written = input_ids[:, self._start :]
        if written.shape[1] % CHECKED_EVERY == 0:
            texts = self._model.tokenizer.batch_decode(written, skip_special_tokens=False)
            found = [prompts.end_of_answer(text, self._delimiters) is not None for text in texts]
            done = done | torch.as_tensor(found, device=done.device)
        self._done = done
        return done


def _cut(model: LanguageModel, prompt: Encoded, ids: list[int], delimiters: tuple[str, ...]) -> tuple[int, ...]:
    """Up to the first token that ended it; the others waited for the rest of the batch."""
    end = next((place + 1 for place, id in enumerate(ids) if id in model.stop_ids), len(ids))
    ids = ids[:end]
    if delimiters:
        whole = prompts.Detokenizer(model.tokenizer, prompt)
        for place, id in enumerate(ids):
            if prompts.end_of_answer(whole.push(id), delimiters) is not None:
                return tuple(ids[: place + 1])
    return tuple(ids)
