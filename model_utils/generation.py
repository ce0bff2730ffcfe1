"""Both models answer: one decode loop, the sides taking turns, with the log-probability and the alternatives of each token."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from model_utils import anatomy, mixed, prompts
from model_utils.contracts.common import Asked, Encoded, Format, Message, Sampling, SharedSequence, StopReason
from model_utils.contracts.generation import ALTERNATIVES, Answer, Generation, GenerationRequest
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair, Side
from model_utils.reporting import Report

SNAPSHOT_SECONDS = 0.03

ANSWER_SHARE = 0.5
"""Share of the progress that is given to making an answer before it is looked into."""


def generate(pair: Pair[LanguageModel], request: GenerationRequest, report: Report) -> Generation:
    """Both sides answer, one token each at a time; snapshots are Generations whose last answers are not finished."""
    encoded = encode_sides(pair, request)
    models = pair.map(lambda model: model.facts)
    whole: list[Pair[Answer]] = []
    for number in range(request.samples):
        decoders = (
            pair.zip(encoded).zip(request.formats).map(partial(_decoder, sampling=request.sampling, number=number))
        )

        def show(share: float, decoders: Pair[Decoder] = decoders, number: int = number) -> None:
            shown = Generation(models, (*whole, decoders.map(Decoder.answer)))
            note = "answering" if request.samples == 1 else f"answer {number + 1} of {request.samples}"
            report((number + share) / request.samples, note, shown)

        _decode(pair, decoders, request.max_new_tokens, show, report)
        whole.append(decoders.map(Decoder.answer))
    return Generation(models, tuple(whole))


def _decoder(one: tuple[tuple[LanguageModel, Encoded], Format], sampling: Sampling | None, number: int) -> Decoder:
    (model, prompt), format = one
    return Decoder(model, prompt, prompts.delimiters(format), choosing(sampling, number))


def _decode(
    pair: Pair[LanguageModel], decoders: Pair[Decoder], limit: int, show: Callable[[float], None], report: Report
) -> None:
    """Both sides write until each has a reason to stop; what there is so far is shown every now and then."""
    step_both = in_turn
    shown = time.monotonic()
    for step in range(limit):
        step_both(decoders, report, step + 1 == limit)
        if all(decoder.stop != "unfinished" for _, decoder in decoders.items()):
            break
        if step == 0 or time.monotonic() - shown > SNAPSHOT_SECONDS:
            show((step + 1) / limit)
            shown = time.monotonic()
        if step == 0 and mixed.mixes(pair, decoders.map(lambda decoder: decoder.writer.cache)):
            step_both = _Mixed(pair, decoders)
        report.breathe()


def in_turn(decoders: Pair[Decoder], report: Report, last: bool) -> None:
    """One more token for each side that is not finished."""
    for _, decoder in decoders.items():
        if decoder.stop == "unfinished":
            decoder.step(report, last)


class _Mixed:
    """One more token for both sides from one batch; when one of them is finished the other goes on by itself, in the same batch."""

    def __init__(self, pair: Pair[LanguageModel], decoders: Pair[Decoder]) -> None:
        self._writer = mixed.MixedWriter(pair, decoders.map(lambda decoder: decoder.writer.cache))
        self._threads = pair.base.decode_threads

    def __call__(self, decoders: Pair[Decoder], report: Report, last: bool) -> None:
        start = time.perf_counter()
        logits = self._writer.logits(decoders.map(lambda decoder: decoder.last_id), report, self._threads)
        seconds = (time.perf_counter() - start) / 2
        for row, (_, decoder) in zip(logits, decoders.items(), strict=True):
            if decoder.stop == "unfinished":
                decoder.take(row, seconds, last)


def encode_sides(pair: Pair[LanguageModel], asked: Asked) -> Pair[Encoded]:
    """The prompt of each side in its own format; a side without a chat template borrows the other's, and a note says so."""
    if asked.same_tokens:
        prompt = encode_for_both(pair, asked.messages, asked.formats.tuned, "tuned")
        return Pair(prompt, prompt)
    return Pair(
        encode_side(pair.base, pair.tuned, asked.messages, asked.formats.base),
        encode_side(pair.tuned, pair.base, asked.messages, asked.formats.tuned),
    )


def encode_side(model: LanguageModel, other: LanguageModel, messages: tuple[Message, ...], format: Format) -> Encoded:
    source: str | None = None
    notes: tuple[str, ...] = ()
    if format == "chat":
        source = template(model) or template(other)
        if source is None:
            raise Refused(
                f"Neither {model.facts.id} nor {other.facts.id} has a chat template; choose the plain or the few-shot format, or write a template of your own."
            )
        if not template(model):
            notes = (f"{model.facts.id} has no chat template of its own; this is the one of {other.facts.id}.",)
    check, start = partial(_check_fits, model, format=format), _decoder_start(model)
    return prompts.encode_prompt(model.tokenizer, messages, format, source, notes, check, start)


def encode_for_both(pair: Pair[LanguageModel], messages: tuple[Message, ...], format: Format, side: Side) -> Encoded:
    """The prompt of one side, for both; Refused where the other side's tokenizer cuts it differently."""
    model, other = pair[side], pair.swap()[side]
    if model.facts.encoder_decoder != other.facts.encoder_decoder:
        raise Refused(
            f"One of {pair.base.facts.id} and {pair.tuned.facts.id} has an encoder and the other has none, so they read no sequence in the same way and their insides cannot be laid side by side."
        )
    prompt = encode_side(model, other, messages, format)
    special_tokens, fits = prompts.adds_special_tokens(format), partial(_check_fits, other, format=format)
    again = prompts.encode_text(other.tokenizer, prompt.text, special_tokens, (0, 0), (), fits, _decoder_start(other))
    if prompt.ids.tolist() != again.ids.tolist():
        raise Refused(_different_tokens(pair))
    return prompt


def _decoder_start(model: LanguageModel) -> tuple[int, ...]:
    return anatomy.decoder_start(model.network.module) if model.facts.encoder_decoder else ()


def template(model: LanguageModel) -> str | None:
    """The chat template; of several named ones the default."""
    source = model.tokenizer.chat_template
    return source.get("default") if isinstance(source, dict) else source


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


Choose = Callable[[torch.Tensor], int]
"""Which token follows, from logits (vocabulary,) float32."""


def greedy(logits: torch.Tensor) -> int:
    """The most probable token."""
    return int(torch.argmax(logits))


def choosing(sampling: Sampling | None, number: int = 0) -> Choose:
    """How the tokens of sample `number` are chosen."""
    return greedy if sampling is None else _drawing(sampling, number)


def _drawing(sampling: Sampling, number: int) -> Choose:
    """Draws as transformers' `generate` does after `torch.manual_seed(seed + number)`: temperature, then top-k, then top-p."""
    cuts: list[LogitsProcessor] = [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k:
        cuts.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        cuts.append(TopPLogitsWarper(sampling.top_p))
    generator = torch.Generator().manual_seed(sampling.seed + number)

    def choose(logits: torch.Tensor) -> int:
        scores = logits[None].cpu()  # one generator, and so one answer, whatever the device
        for cut in cuts:
            scores = cut(None, scores)
        return int(torch.multinomial(torch.softmax(scores, dim=-1), 1, generator=generator))

    return choose


class Decoder:
    """One side's answer, token by token, over the Hugging Face forward with its own cache."""

    def __init__(
        self, model: LanguageModel, prompt: Encoded, delimiters: tuple[str, ...] = (), choose: Choose = greedy
    ) -> None:
        self.model, self.prompt, self.delimiters, self.choose = model, prompt, delimiters, choose
        self.stop: StopReason = "unfinished"
        self.seconds = 0.0
        self.text = ""
        self._detokenizer = prompts.Detokenizer(model.tokenizer, prompt)
        self.writer = anatomy.Writer(model.network.module, prompt.encoder_length)
        self._next = prompt.ids
        self._log_probs: list[float] = []
        self._best_ids: list[list[int]] = []
        self._best_log_probs: list[list[float]] = []
        self._best_pieces: list[tuple[str, ...]] = []

    @property
    def last_id(self) -> int:
        """The token that was read last."""
        return int(self._next[-1])

    def step(self, report: Report, last: bool) -> None:
        """One more token; `last`: the request allows no further one."""
        start = time.perf_counter()
        threads = self.model.decode_threads if self._log_probs else None
        with self.model.running(report.breathe, threads=threads) as module:
            logits = self.writer.logits(module, self.model.ids(self._next))
        self.take(logits, time.perf_counter() - start, last)

    def take(self, logits: torch.Tensor, seconds: float, last: bool) -> None:
        """Choose a token from `logits` (vocabulary,); `seconds` were spent on them."""
        start = time.perf_counter()
        log_probs = torch.log_softmax(logits, dim=-1)
        best = torch.topk(log_probs, min(ALTERNATIVES, len(log_probs)))
        id = self.choose(logits)
        self._next = np.array([id])
        self._log_probs.append(float(log_probs[id]))
        self._best_ids.append(best.indices.tolist())
        self._best_log_probs.append(best.values.tolist())
        self._best_pieces.append(tuple(piece(self.model, other) for other in self._best_ids[-1]))
        self.text = self._detokenizer.push(id)
        self.stop = self._why_stop(id, last)
        self.seconds += seconds + time.perf_counter() - start

    def _why_stop(self, id: int, last: bool) -> StopReason:
        if id in self.model.stop_ids:
            return "end of turn"
        if prompts.end_of_answer(self.text, self.delimiters) is not None:
            return "delimiter"
        if len(self.prompt) - self.prompt.encoder_length + len(self._log_probs) >= self.model.facts.context:
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

    def _readable(self, encoded: Encoded) -> str:
        text = encoded.text
        if self.stop == "end of turn":
            text = text[: int(encoded.spans[-1, 0])]
        return text[: prompts.end_of_answer(text, self.delimiters)].strip()


def piece(model: LanguageModel, id: int) -> str:
    """The characters of one token by itself."""
    return model.tokenizer.decode([id], skip_special_tokens=False, clean_up_tokenization_spaces=False)


def shared_sequence(pair: Pair[LanguageModel], request: SharedSequence, report: Report) -> Encoded:
    """Prompt and forced answer of one side, for both models; Refused where the other side's tokenizer cuts them differently."""
    model, other = pair[request.answer_from], pair.swap()[request.answer_from]
    prompt = encode_for_both(pair, request.messages, request.format, request.answer_from)
    ids = (
        request.answer_ids
        if request.answer_ids is not None
        else answer_ids(model, prompt, request.format, request.sampling, request.max_new_tokens, report)
    )
    _check_answer(pair, prompt, ids)
    if model.tokenizer.convert_ids_to_tokens(list(ids)) != other.tokenizer.convert_ids_to_tokens(list(ids)):
        raise Refused(_different_tokens(pair))
    return prompts.join(prompt, prompts.encode_continuation(model.tokenizer, prompt, ids))


def _different_tokens(pair: Pair[LanguageModel]) -> str:
    return f"{pair.base.facts.id} and {pair.tuned.facts.id} cut this text into different tokens, so their insides cannot be laid side by side."


def answer_ids(
    model: LanguageModel, prompt: Encoded, format: Format, sampling: Sampling | None, limit: int, report: Report
) -> tuple[int, ...]:
    """One side's answer, made to be looked into."""
    decoder = Decoder(model, prompt, prompts.delimiters(format), choosing(sampling))
    for step in range(limit):
        decoder.step(report, last=step + 1 == limit)
        if decoder.stop != "unfinished":
            break
        report(ANSWER_SHARE * step / limit, f"{model.facts.id} is answering")
        report.breathe()
    return tuple(decoder.answer().answer.ids.tolist())


def _check_answer(pair: Pair[LanguageModel], prompt: Encoded, ids: Sequence[int]) -> None:
    if len(ids) == 0:
        raise Refused(
            "The answer has no tokens, so there is nothing to look at; run the comparison first or allow a longer answer."
        )
    for _, model in pair.items():
        check_ids(model, ids)
        check_length(model, prompt, len(ids))


def check_ids(model: LanguageModel, ids: Sequence[int]) -> None:
    """Refused where an answer holds a token that the model does not have."""
    if max(ids, default=0) >= model.facts.vocabulary:
        raise Refused(
            f"The answer holds the token {max(ids)}, but {model.facts.id} knows only {model.facts.vocabulary:,}; give ids of its own vocabulary."
        )


def check_length(model: LanguageModel, prompt: Encoded, count: int) -> None:
    """Refused where `count` tokens after the prompt are more than the model reads."""
    length = len(prompt) - prompt.encoder_length + count
    if length > model.facts.context:
        raise Refused(
            f"Prompt and answer are {length:,} tokens long, and {model.facts.id} reads at most {model.facts.context:,}; shorten one of them."
        )
