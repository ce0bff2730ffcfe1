"""Both models answer: one decode loop, the sides taking turns, with the log-probability and the alternatives of each token."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from transformers import DynamicCache

from model_utils import prompts
from model_utils.contracts.common import Encoded, Format, Message, SharedSequence, StopReason
from model_utils.contracts.generation import ALTERNATIVES, Answer, Generation, GenerationRequest
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report

SNAPSHOT_SECONDS = 0.03

ANSWER_SHARE = 0.5
"""Share of the progress that is given to making an answer before it is looked into."""


def generate(pair: Pair[LanguageModel], request: GenerationRequest, report: Report) -> Generation:
    """Both sides answer, one token each in turn; snapshots are Generations whose answers are not finished."""
    encoded = encode_sides(pair, request.messages, request.formats)
    models = pair.map(lambda model: model.facts)
    decoders = pair.zip(encoded).map(lambda one: Decoder(*one)).zip(request.formats).map(_with_delimiters)
    shown = time.monotonic()
    for step in range(request.max_new_tokens):
        for _, decoder in decoders.items():
            if decoder.stop == "unfinished":
                decoder.step(report, last=step + 1 == request.max_new_tokens)
        if all(decoder.stop != "unfinished" for _, decoder in decoders.items()):
            break
        if step == 0 or time.monotonic() - shown > SNAPSHOT_SECONDS:
            report((step + 1) / request.max_new_tokens, "answering", Generation(models, decoders.map(Decoder.answer)))
            shown = time.monotonic()
        report.breathe()
    return Generation(models, decoders.map(Decoder.answer))


def encode_sides(pair: Pair[LanguageModel], messages: tuple[Message, ...], formats: Pair[Format]) -> Pair[Encoded]:
    """The prompt of each side in its own format; a side without a chat template borrows the other's, and a note says so."""
    return Pair(
        encode_side(pair.base, pair.tuned, messages, formats.base),
        encode_side(pair.tuned, pair.base, messages, formats.tuned),
    )


def encode_side(model: LanguageModel, other: LanguageModel, messages: tuple[Message, ...], format: Format) -> Encoded:
    template: str | None = None
    notes: tuple[str, ...] = ()
    if format == "chat":
        template = _template(model) or _template(other)
        if template is None:
            raise Refused(
                f"Neither {model.facts.id} nor {other.facts.id} has a chat template; choose the plain or the few-shot format."
            )
        if not _template(model):
            notes = (f"{model.facts.id} has no chat template of its own; this is the one of {other.facts.id}.",)
    return prompts.encode_prompt(
        model.tokenizer, messages, format, template, notes, lambda ids: _check_fits(model, ids, format)
    )


def _template(model: LanguageModel) -> str | None:
    """The chat template; of several named ones the default."""
    template = model.tokenizer.chat_template
    return template.get("default") if isinstance(template, dict) else template


def _check_fits(model: LanguageModel, ids: np.ndarray, format: Format) -> None:
    if len(ids) == 0:
        raise Refused(f"The tokenizer of {model.facts.id} makes no token of this instruction; type something else.")
    if len(ids) >= model.facts.context:
        raise Refused(
            f"The prompt is {len(ids):,} tokens long in the {format} format, and {model.facts.id} reads at most {model.facts.context - 1:,} "
            "before it answers; shorten the instruction."
        )
    if ids.max() >= model.facts.vocabulary:
        raise Refused(
            f"The tokenizer of {model.facts.id} gives the id {ids.max()}, but the model has only {model.facts.vocabulary} embeddings; the two do not belong together."
        )


def _with_delimiters(one: tuple[Decoder, Format]) -> Decoder:
    decoder, format = one
    decoder.delimiters = prompts.DELIMITERS[format]
    return decoder


class Decoder:
    """One side's greedy answer, token by token, over the Hugging Face forward with its own cache."""

    def __init__(self, model: LanguageModel, prompt: Encoded, delimiters: tuple[str, ...] = ()) -> None:
        self.model, self.prompt, self.delimiters = model, prompt, delimiters
        self.stop: StopReason = "unfinished"
        self.seconds = 0.0
        self.text = ""
        self._detokenizer = prompts.Detokenizer(model.tokenizer, prompt)
        self._cache = DynamicCache(config=model.network.module.config)
        self._next = model.ids(prompt.ids)
        self._log_probs: list[float] = []
        self._best_ids: list[list[int]] = []
        self._best_log_probs: list[list[float]] = []
        self._best_pieces: list[tuple[str, ...]] = []

    def step(self, report: Report, last: bool) -> None:
        """One more token; `last`: the request allows no further one."""
        start = time.perf_counter()
        threads = self.model.decode_threads if self._log_probs else None
        with self.model.running(report.breathe, threads=threads) as module:
            logits = (
                module(input_ids=self._next, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
                .logits[0, -1]
                .float()
            )
            log_probs = torch.log_softmax(logits, dim=-1)
            best = torch.topk(log_probs, min(ALTERNATIVES, len(log_probs)))
            id = int(torch.argmax(logits))
            self._next = self.model.ids([id])
        self._log_probs.append(float(log_probs[id]))
        self._best_ids.append(best.indices.tolist())
        self._best_log_probs.append(best.values.tolist())
        self._best_pieces.append(tuple(self._piece(other) for other in self._best_ids[-1]))
        self.text = self._detokenizer.push(id)
        self.stop = self._why_stop(id, last)
        self.seconds += time.perf_counter() - start

    def _why_stop(self, id: int, last: bool) -> StopReason:
        if id in self.model.stop_ids:
            return "end of turn"
        if prompts.end_of_answer(self.text, self.delimiters) is not None:
            return "delimiter"
        if len(self.prompt) + len(self._log_probs) >= self.model.facts.context:
            return "context"
        return "length" if last else "unfinished"

    def answer(self) -> Answer:
        """What there is so far."""
        encoded = self._detokenizer.encoded()
        pieces = tuple(self._best_pieces)
        return Answer(
            prompt=self.prompt,
            answer=encoded,
            text=self._readable(encoded),
            log_probs=torch.tensor(self._log_probs, dtype=torch.float32).numpy(),
            alternative_ids=torch.tensor(self._best_ids, dtype=torch.long).reshape(len(pieces), -1).numpy(),
            alternative_log_probs=torch.tensor(self._best_log_probs, dtype=torch.float32)
            .reshape(len(pieces), -1)
            .numpy(),
            alternative_pieces=pieces,
            stop=self.stop,
            seconds=self.seconds,
        )

    def _piece(self, id: int) -> str:
        return self.model.tokenizer.decode([id], skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def _readable(self, encoded: Encoded) -> str:
        text = encoded.text
        if self.stop == "end of turn":
            text = text[: int(encoded.spans[-1, 0])]
        return text[: prompts.end_of_answer(text, self.delimiters)].strip()


def shared_sequence(pair: Pair[LanguageModel], request: SharedSequence, report: Report) -> Encoded:
    """Prompt and forced answer of one side, for both models; Refused where the other side's tokenizer cuts them differently."""
    model, other = pair[request.answer_from], pair.swap()[request.answer_from]
    prompt = encode_side(model, other, request.messages, request.format)
    special_tokens, fits = (
        prompts.adds_special_tokens(request.format),
        partial(_check_fits, other, format=request.format),
    )
    if (
        prompt.ids.tolist()
        != prompts.encode_text(other.tokenizer, prompt.text, special_tokens, (0, 0), (), fits).ids.tolist()
    ):
        raise Refused(_different_tokens(pair))
    ids = request.answer_ids if request.answer_ids is not None else _greedy_ids(model, prompt, request, report)
    _check_answer(pair, prompt, ids)
    if model.tokenizer.convert_ids_to_tokens(list(ids)) != other.tokenizer.convert_ids_to_tokens(list(ids)):
        raise Refused(_different_tokens(pair))
    return prompts.join(prompt, prompts.encode_continuation(model.tokenizer, prompt, ids))


def _different_tokens(pair: Pair[LanguageModel]) -> str:
    return f"{pair.base.facts.id} and {pair.tuned.facts.id} cut this text into different tokens, so their insides cannot be laid side by side."


def _greedy_ids(model: LanguageModel, prompt: Encoded, request: SharedSequence, report: Report) -> list[int]:
    decoder = Decoder(model, prompt, prompts.DELIMITERS[request.format])
    for step in range(request.max_new_tokens):
        decoder.step(report, last=step + 1 == request.max_new_tokens)
        if decoder.stop != "unfinished":
            break
        report(ANSWER_SHARE * step / request.max_new_tokens, f"{model.facts.id} is answering")
        report.breathe()
    return decoder.answer().answer.ids.tolist()


def _check_answer(pair: Pair[LanguageModel], prompt: Encoded, ids: Sequence[int]) -> None:
    if len(ids) == 0:
        raise Refused(
            "The answer has no tokens, so there is nothing to look at; run the comparison first or allow a longer answer."
        )
    for _, model in pair.items():
        if max(ids) >= model.facts.vocabulary:
            raise Refused(
                f"The answer holds the token {max(ids)}, but {model.facts.id} knows only {model.facts.vocabulary:,}; give ids of its own vocabulary."
            )
        if len(prompt) + len(ids) > model.facts.context:
            raise Refused(
                f"Prompt and answer are {len(prompt) + len(ids):,} tokens long, and {model.facts.id} reads at most {model.facts.context:,}; shorten one of them."
            )
