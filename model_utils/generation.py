"""Both models answer in one decode loop, in turn or at once, with the log-probability and the alternatives of each token."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from model_utils import anatomy, mixed, prompts
from model_utils.contracts.common import Asked, Encoded, Format, Message, Sampling, SharedSequence, StopReason
from model_utils.contracts.generation import ALTERNATIVES, Answer, Generation, GenerationRequest
from model_utils.errors import NotAlike, Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair, Side
from model_utils.reporting import Beside, Report

TURN_SECONDS = 0.1
"""How long both sides write, or one of them before it is the other's turn, until somebody may look."""
SNAPSHOT_SECONDS = 0.1
"""Between two snapshots: about as often as a page looks."""

ANSWER_SHARE = 0.5
"""Share of the progress that is given to making an answer before it is looked into."""

NOT_LAID = "so their insides cannot be laid side by side"
NOT_SHARED = "so one of them cannot read what the other reads; switch off that both sides read the same tokens"
"""What follows where two models cut a text into different tokens: for their insides, and for their answers."""


def generate(pair: Pair[LanguageModel], request: GenerationRequest, report: Report) -> Generation:
    """Both sides answer; snapshots are Generations whose last answers are not finished."""
    encoded = encode_sides(pair, request)
    models = pair.map(lambda model: model.facts)
    whole: list[Pair[Answer]] = []
    for number in range(request.samples):
        decoders = pair.zip(encoded).zip(request.formats).map(partial(_decoder, request=request, number=number))

        def show(share: float, decoders: Pair[Decoder] = decoders, number: int = number) -> None:
            shown = Generation(models, (*whole, decoders.map(Decoder.answer)))
            note = "answering" if request.samples == 1 else f"answer {number + 1} of {request.samples}"
            report((number + share) / request.samples, note, shown)

        _decode(pair, decoders, show, report)
        whole.append(decoders.map(Decoder.answer))
    return Generation(models, tuple(whole))


def _decoder(one: tuple[tuple[LanguageModel, Encoded], Format], request: GenerationRequest, number: int) -> Decoder:
    (model, prompt), format = one
    choose = choosing(request.sampling, number)
    return Decoder(model, prompt, request.max_new_tokens, prompts.delimiters(format), choose)


def _decode(pair: Pair[LanguageModel], decoders: Pair[Decoder], show: Callable[[float], None], report: Report) -> None:
    """Both sides write until each has a reason to stop; what there is so far is shown every now and then."""
    write: Write = in_turn
    shown, turn = -math.inf, 0.0  # the first turn is a token each, so that both are seen to begin
    with ThreadPoolExecutor(1, "decode-") as helper:  # starts its thread when it is first given work
        while True:
            write(decoders, report, turn)
            if all(decoder.stop != "unfinished" for decoder in decoders.sides):
                break
            if time.monotonic() - shown > SNAPSHOT_SECONDS:
                show(max(decoder.written / decoder.limit for decoder in decoders.sides))
                shown = time.monotonic()
            if turn == 0 and mixed.mixes(pair, decoders.map(lambda decoder: decoder.writer.cache)):
                write = _Mixed(pair, decoders)
            elif turn == 0 and apart(pair):
                write = partial(at_once, helper)
            turn = TURN_SECONDS
            report.breathe()


Write = Callable[[Pair["Decoder"], Report, float], None]
"""Lets both sides write for so many seconds, a token each at least."""


def in_turn(decoders: Pair[Decoder], report: Report, seconds: float) -> None:
    """One side, then the other."""
    for decoder in decoders.sides:
        _write(decoder, report, seconds)


def at_once(helper: Executor, decoders: Pair[Decoder], report: Report, seconds: float) -> None:
    """Both sides at the same time, tuned in a thread of its own: one token's product with a matrix is made on one core, however many there are."""
    if any(decoder.stop != "unfinished" for decoder in decoders.sides):
        return in_turn(decoders, report, seconds)  # here, where others may be let in
    tuned = helper.submit(_write, decoders.tuned, Beside(report), seconds)
    try:
        _write(decoders.base, report, seconds)
    finally:
        wait([tuned])
    tuned.result()


def apart(pair: Pair[LanguageModel]) -> bool:
    """Whether the sides can write at once: two networks on the processor, neither with a pass under way that this job runs inside of."""
    apart = pair.base.network is not pair.tuned.network
    return apart and all(model.device.type == "cpu" and not model.network.passes for model in pair.sides)


def _write(decoder: Decoder, report: Report, seconds: float) -> None:
    """One token at least, then more until the time is over, unless it is finished."""
    until = time.monotonic() + seconds
    while decoder.stop == "unfinished":
        decoder.step(report)
        if time.monotonic() >= until:
            break


class _Mixed:
    """One more token for both sides from one batch; when one of them is finished the other goes on by itself, in the same batch."""

    def __init__(self, pair: Pair[LanguageModel], decoders: Pair[Decoder]) -> None:
        self._writer = mixed.MixedWriter(pair, decoders.map(lambda decoder: decoder.writer.cache))
        self._threads = pair.base.batch_threads

    def __call__(self, decoders: Pair[Decoder], report: Report, seconds: float) -> None:
        start = time.perf_counter()
        logits = self._writer.logits(decoders.map(lambda decoder: decoder.last_id), report, self._threads)
        spent = (time.perf_counter() - start) / 2
        for row, decoder in zip(logits, decoders.sides, strict=True):
            if decoder.stop == "unfinished":
                decoder.take(row, spent)


def encode_sides(pair: Pair[LanguageModel], asked: Asked) -> Pair[Encoded]:
    """The prompt of each side in its own format; a side without a chat template borrows the other's, and a note says so."""
    if asked.same_tokens:
        prompt = encode_for_both(pair, asked.messages, asked.formats.tuned, "tuned", NOT_SHARED)
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


def encode_for_both(
    pair: Pair[LanguageModel], messages: tuple[Message, ...], format: Format, side: Side, otherwise: str = NOT_LAID
) -> Encoded:
    """The prompt of one side, for both; NotAlike, with what follows `otherwise`, where the other side's tokenizer cuts it differently.

    Where only the control tokens differ that a tokenizer puts around any text, both read those of `side`, and a note says so.
    """
    model, other = pair[side], pair.swap()[side]
    if model.facts.encoder_decoder != other.facts.encoder_decoder:
        raise NotAlike(
            f"One of {pair.base.facts.id} and {pair.tuned.facts.id} has an encoder and the other has none, {otherwise}."
        )
    prompt = encode_side(model, other, messages, format)
    special_tokens, fits = prompts.adds_special_tokens(format), partial(_check_fits, other, format=format)
    again = prompts.encode_text(other.tokenizer, prompt.text, special_tokens, (0, 0), (), fits, _decoder_start(other))
    if prompt.ids.tolist() == again.ids.tolist():
        return prompt
    starts = pair.map(_decoder_start)
    if starts.base != starts.tuned:
        raise NotAlike(
            f"The decoders of {pair.base.facts.id} and {pair.tuned.facts.id} begin with different tokens, {otherwise}."
        )
    cut = pair.map(lambda one: one.tokenizer(prompt.text, add_special_tokens=False)["input_ids"])
    if cut.base != cut.tuned or not _same_tokens(pair, prompt.ids.tolist()):
        raise NotAlike(_different_tokens(pair, otherwise))
    fits(prompt.ids[: prompt.encoder_length or None])
    note = f"{other.facts.id} would put other control tokens around this text; it reads those of {model.facts.id}."
    return replace(prompt, notes=(*prompt.notes, note))


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
        self,
        model: LanguageModel,
        prompt: Encoded,
        limit: int,
        delimiters: tuple[str, ...] = (),
        choose: Choose = greedy,
    ) -> None:
        self.model, self.prompt, self.limit, self.delimiters, self.choose = model, prompt, limit, delimiters, choose
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
        """of the first tokens, as far as somebody asked"""

    @property
    def last_id(self) -> int:
        """The token that was read last."""
        return int(self._next[-1])

    @property
    def written(self) -> int:
        """How many tokens there are so far."""
        return len(self._log_probs)

    def step(self, report: Report) -> None:
        """One more token."""
        start = time.perf_counter()
        threads = self.model.decode_threads if self._log_probs else None
        with self.model.running(report.breathe, threads=threads) as module:
            logits = self.writer.logits(module, self.model.ids(self._next))
        self.take(logits, time.perf_counter() - start)

    def take(self, logits: torch.Tensor, seconds: float) -> None:
        """Choose a token from `logits` (vocabulary,); `seconds` were spent on them."""
        start = time.perf_counter()
        log_probs = torch.log_softmax(logits, dim=-1)
        best = torch.topk(log_probs, min(ALTERNATIVES, len(log_probs)))
        id = self.choose(logits)
        self._next = np.array([id])
        self._log_probs.append(float(log_probs[id]))
        self._best_ids.append(best.indices.tolist())
        self._best_log_probs.append(best.values.tolist())
        self.text = self._detokenizer.push(id)
        self.stop = self._why_stop(id)
        self.seconds += seconds + time.perf_counter() - start

    def _why_stop(self, id: int) -> StopReason:
        if id in self.model.stop_ids:
            return "end of turn"
        if prompts.end_of_answer(self.text, self.delimiters) is not None:
            return "delimiter"
        if len(self.prompt) - self.prompt.encoder_length + self.written >= self.model.facts.context:
            return "context"
        return "length" if self.written == self.limit else "unfinished"

    def answer(self) -> Answer:
        """What there is so far."""
        encoded = self._detokenizer.encoded()
        pieces = self._pieces()
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

    def _pieces(self) -> tuple[tuple[str, ...], ...]:
        for ids in self._best_ids[len(self._best_pieces) :]:
            self._best_pieces.append(tuple(piece(self.model, id) for id in ids))
        return tuple(self._best_pieces)

    def _readable(self, encoded: Encoded) -> str:
        text = encoded.text
        if self.stop == "end of turn":
            text = text[: int(encoded.spans[-1, 0])]
        return text[: prompts.end_of_answer(text, self.delimiters)].strip()


def piece(model: LanguageModel, id: int) -> str:
    """The characters of one token by itself."""
    return model.tokenizer.decode([id], skip_special_tokens=False, clean_up_tokenization_spaces=False)


def shared_sequence(pair: Pair[LanguageModel], request: SharedSequence, report: Report) -> Encoded:
    """Prompt and forced answer of one side, for both models; NotAlike where the other side's tokenizer cuts them differently."""
    model = pair[request.answer_from]
    prompt = encode_for_both(pair, request.messages, request.format, request.answer_from)
    ids = (
        request.answer_ids
        if request.answer_ids is not None
        else answer_ids(model, prompt, request.format, request.sampling, request.max_new_tokens, report)
    )
    if not _same_tokens(pair, ids):
        raise NotAlike(_different_tokens(pair, NOT_LAID))
    check_answer(pair, prompt, ids)
    return prompts.join(prompt, prompts.encode_continuation(model.tokenizer, prompt, ids))


def _same_tokens(pair: Pair[LanguageModel], ids: Sequence[int]) -> bool:
    """Whether ids stand for the same tokens on both sides."""
    names = pair.map(lambda model: model.tokenizer.convert_ids_to_tokens(list(ids)))
    return names.base == names.tuned


def _different_tokens(pair: Pair[LanguageModel], otherwise: str) -> str:
    return f"{pair.base.facts.id} and {pair.tuned.facts.id} cut this text into different tokens, {otherwise}."


def answer_ids(
    model: LanguageModel, prompt: Encoded, format: Format, sampling: Sampling | None, limit: int, report: Report
) -> tuple[int, ...]:
    """One side's answer, made to be looked into."""
    decoder = Decoder(model, prompt, limit, prompts.delimiters(format), choosing(sampling))
    while decoder.stop == "unfinished":
        report(ANSWER_SHARE * decoder.written / limit, f"{model.facts.id} is answering")
        report.breathe()
        decoder.step(report)
    return tuple(decoder.answer().answer.ids.tolist())


def check_answer(pair: Pair[LanguageModel], prompt: Encoded, ids: Sequence[int]) -> None:
    """Refused where there is no answer, or one that these models cannot read after this prompt."""
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
            f"The answer holds the token {max(ids)}, but {model.facts.id} knows only {model.facts.vocabulary:,}; choose an answer whose tokens both models have."
        )


def check_length(model: LanguageModel, prompt: Encoded, count: int) -> None:
    """Refused where `count` tokens after the prompt are more than the model reads."""
    length = len(prompt) - prompt.encoder_length + count
    if length > model.facts.context:
        raise Refused(
            f"Prompt and answer are {length:,} tokens long, and {model.facts.id} reads at most {model.facts.context:,}; shorten one of them."
        )
