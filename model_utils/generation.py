"""Both models answer: one decode loop, the sides taking turns, with the log-probability and the alternatives of each token."""

from __future__ import annotations

import time
from collections.abc import Sequence

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
        template = model.tokenizer.chat_template or other.tokenizer.chat_template
        if template is None:
            raise Refused(
                f"Neither {model.facts.id} nor {other.facts.id} has a chat template; choose the plain or the few-shot format."
            )
        if not model.tokenizer.chat_template:
            notes = (f"{model.facts.id} has no chat template of its own; this is the one of {other.facts.id}.",)
    prompt = prompts.encode_prompt(model.tokenizer, messages, format, template, notes)
    _check_fits(model, prompt, format)
    return prompt


def _check_fits(model: LanguageModel, prompt: Encoded, format: Format) -> None:
    if len(prompt) >= model.facts.context:
        raise Refused(
            f"The prompt is {len(prompt):,} tokens long in the {format} format, and {model.facts.id} reads at most {model.facts.context - 1:,} "
            "before it answers; shorten the instruction."
        )
    if prompt.ids.max(initial=0) >= model.facts.vocabulary:
        raise Refused(
            f"The tokenizer of {model.facts.id} gives the id {prompt.ids.max()}, but the model has only {model.facts.vocabulary} embeddings; the two do not belong together."
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
        self._detokenizer = prompts.Detokenizer(model.tokenizer, prompt.ids)
        self._cache = DynamicCache(config=model.network.module.config)
        self._next = model.ids(prompt.ids)
        self._log_probs: list[float] = []
        self._best_ids: list[list[int]] = []
        self._best_log_probs: list[list[float]] = []

    def step(self, report: Report, last: bool) -> None:
        """One more token; `last`: the request allows no further one."""
        start = time.perf_counter()
        threads = self.model.decode_threads if self._log_probs else None
        with self.model.running(report.poll, threads=threads) as module:
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
        self.text = self._detokenizer.push(id)
        self.stop = self._why_stop(id, last)
        self.seconds += time.perf_counter() - start

    def _why_stop(self, id: int, last: bool) -> StopReason:
        if id in self.model.stop_ids:
            return "end of turn"
        if any(delimiter in self.text.lstrip() for delimiter in self.delimiters):
            return "delimiter"
        if len(self.prompt) + len(self._log_probs) >= self.model.facts.context:
            return "context"
        return "length" if last else "unfinished"

    def answer(self) -> Answer:
        """What there is so far."""
        encoded = self._detokenizer.encoded()
        pieces = tuple(tuple(self._piece(id) for id in row) for row in self._best_ids)
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
        for delimiter in self.delimiters:
            lead = len(text) - len(text.lstrip())
            text = text[: lead + (text.lstrip() + delimiter).index(delimiter)]
        return text.strip()


def shared_sequence(pair: Pair[LanguageModel], request: SharedSequence, report: Report) -> Encoded:
    """Prompt and forced answer, the same tokens for both models; Refused where the two tokenizers cut them differently."""
    prompt_pair = encode_sides(pair, request.messages, Pair(request.format, request.format))
    prompt = prompt_pair[request.answer_from]
    if prompt_pair.base.ids.tolist() != prompt_pair.tuned.ids.tolist():
        raise Refused(
            f"{pair.base.facts.id} and {pair.tuned.facts.id} cut this text into different tokens, so their maps cannot be laid side by side."
        )
    model = pair[request.answer_from]
    ids = request.answer_ids if request.answer_ids is not None else _greedy_ids(model, prompt, request, report)
    _check_answer(pair, prompt, ids)
    return prompts.join(prompt, prompts.encode_continuation(model.tokenizer, prompt, ids))


def _greedy_ids(model: LanguageModel, prompt: Encoded, request: SharedSequence, report: Report) -> list[int]:
    decoder = Decoder(model, prompt, prompts.DELIMITERS[request.format])
    for step in range(request.max_new_tokens):
        decoder.step(report, last=step + 1 == request.max_new_tokens)
        if decoder.stop != "unfinished":
            break
        report(0.5 * step / request.max_new_tokens, f"{model.facts.id} is answering")
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
