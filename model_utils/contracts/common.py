"""The parts that requests and results share: models, messages, formats, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from model_utils.pair import Pair, Side

MAX_CHARACTERS = 1_000_000
MAX_NEW_TOKENS = 4_096

FORMATS = ("chat", "plain", "few-shot")
"""The formats that have a name; any other is a template of the person's own, with `SLOT` where the instruction goes."""
SLOT = "{instruction}"
MAX_TEMPLATE_CHARACTERS = 20_000

ROLES = ("template", "instruction", "answer")
"""Who wrote a token: the format around the instruction, the person, or the model; `Encoded.roles` holds indices into this."""

StopReason = Literal["end of turn", "delimiter", "length", "context", "unfinished"]


def check_text(text: str, name: str = "instruction") -> str:
    """`text` itself when a model can read it; a ValueError for people otherwise, who call it by `name`."""
    if not text.strip():
        raise ValueError(
            f"The {name} is empty; type what {'the models should do' if name == 'instruction' else 'it is'}"
        )
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"The {name} has {len(text):,} characters; at most {MAX_CHARACTERS:,} are taken")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(
            f"The {name} holds half of a character (a lone surrogate); paste it again as valid Unicode text"
        )
    return text


Text = Annotated[str, AfterValidator(lambda text: check_text(text))]


def check_format(format: str) -> str:
    """`format` itself when it is one of `FORMATS` or a template that holds `SLOT` once; a ValueError for people otherwise."""
    if format in FORMATS:
        return format
    shown = repr(format[:60]) + ("..." if len(format) > 60 else "")
    if format.count(SLOT) != 1:
        found = f"holds {SLOT} {format.count(SLOT)} times" if SLOT in format else f"does not hold {SLOT}"
        raise ValueError(
            f"The template {shown} {found}; write {SLOT} once, where the instruction goes, or choose {', '.join(FORMATS)}"
        )
    if len(format) > MAX_TEMPLATE_CHARACTERS:
        raise ValueError(f"The template has {len(format):,} characters; at most {MAX_TEMPLATE_CHARACTERS:,} are taken")
    check_text(format, "template")
    return format


Format = Annotated[str, AfterValidator(check_format)]
"""How a model is asked: as a message in its chat template, with the bare instruction, after solved examples, or in a template of the person's own."""


class Request(BaseModel):
    """Frozen and hashable; the page's form, a line of the command line's input and what a record stores."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")


Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: tuple[Dtype, ...] = ("auto", "float32", "bfloat16", "float16")
Placement = Literal["auto", "cpu", "cuda", "spread"]
PLACEMENTS: tuple[Placement, ...] = ("auto", "cpu", "cuda", "spread")

Name = Annotated[str, Field(min_length=1, max_length=4_096)]


class ModelSpec(Request):
    """Which model to load, and how: an embedded one, a local folder in Hugging Face format, or a model of the Hugging Face Hub."""

    id: Name
    """`demo/tuned`, a folder, or `owner/name` on the Hub"""
    revision: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """branch, tag or commit on the Hub; None: its main branch"""
    adapter: Name | None = None
    """a PEFT adapter laid over the model: a folder, or `owner/name` on the Hub"""
    dtype: Dtype = "auto"
    """auto: float32 for both sides where both fit, else bfloat16 for both"""
    placement: Placement = "auto"
    """where it computes; 'spread' lays the layers over all GPUs and then the processor's memory"""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.id + (f"@{self.revision}" if self.revision else "") + (f" + {self.adapter}" if self.adapter else "")


Specs = Pair[ModelSpec]


class Message(Request):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"] = "user"
    content: Text


def ask(instruction: str) -> tuple[Message, ...]:
    """The conversation that consists of one instruction."""
    return (Message(content=instruction),)


def check_messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if not messages or messages[-1].role != "user":
        raise ValueError("The last message must be the person's; add one with the role 'user'")
    return messages


Messages = Annotated[tuple[Message, ...], AfterValidator(check_messages)]
NewTokens = Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)]


AnswerIds = tuple[Annotated[int, Field(ge=0)], ...]


class Sampling(Request):
    """Tokens are drawn at random instead of taking the most probable one; the same seed draws the same answer."""

    temperature: Annotated[float, Field(ge=0.01, le=10, allow_inf_nan=False)] = 1.0
    """logits are divided by it first, so that a tiny one would make them infinite; below 1 sharper, above 1 flatter"""
    top_k: Annotated[int, Field(ge=0)] = 0
    """only the k most probable tokens can be drawn; 0: all"""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """of those only the most probable ones that hold this much probability together (Holtzman et al. 2020)"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """both sides draw with it, so that equal models give equal answers; sample n uses seed + n"""


class Writing(Request):
    """How an answer is written."""

    sampling: Sampling | None = None
    """None: greedy, the most probable token at every step"""
    max_new_tokens: NewTokens = 128
    """longest answer; it also ends where the model's context does"""


class Formats(Request):
    """The prompt format of each side."""

    formats: Pair[Format] = Pair("few-shot", "chat")
    same_tokens: bool = False
    """base reads exactly the tokens that tuned reads; then there is one format"""

    @model_validator(mode="after")
    def _one_format(self) -> Self:
        if self.same_tokens and self.formats.base != self.formats.tuned:
            raise ValueError(
                f"Both sides are to read the same tokens, but base is asked in the format {self.formats.base!r} and tuned in {self.formats.tuned!r}; choose one format for both"
            )
        return self


class Manner(Writing, Formats):
    """How both sides are asked, each in its own prompt format."""


class Asked(Manner):
    """What both sides are asked, and how."""

    messages: Messages


class SharedSequence(Writing):
    """One prompt format and one answer that are forced, by ids, through both models, so that their insides can be compared token by token."""

    messages: Messages
    format: Format = "chat"
    answer_from: Side = "tuned"
    """Whose tokenizer the answer ids belong to, and who answers when there are none."""
    answer_ids: AnswerIds | None = None
    """The forced answer; None: the answer of `answer_from`, written first."""


class Own(Request):
    """What the other side reads when each side reads its own text."""

    format: Format = "few-shot"
    answer_ids: AnswerIds | None = None
    """in its own vocabulary; None: its own answer, made first, as the answers of the request are"""


def explain(error: ValidationError) -> str:
    """What a person typed wrong, as one sentence for each mistake; no other text of theirs than a choice is quoted, for logs keep such sentences."""
    return " ".join(_sentence(one) for one in error.errors(include_url=False))


def _sentence(error: Any) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]) + "."
    place = ".".join(str(part) for part in error["loc"]) or "request"
    given = error["input"]
    if isinstance(given, int | float) or error["type"] == "literal_error":
        return f"{place}: {error['msg']}, but {given!r:.80} was given."
    return f"{place}: {error['msg']}."


@dataclass(frozen=True, eq=False)
class Encoded:
    """A text as one model reads it: exact characters, exact ids, and who wrote what."""

    text: str
    ids: np.ndarray
    """(token,) int64"""
    spans: np.ndarray
    """(token, 2) int64; first and past-the-last character in `text`; bytes of one character share its span; (n, n) for a token that wrote no character"""
    roles: np.ndarray
    """(token,) uint8; indices into `ROLES`"""
    special: np.ndarray
    """(token,) bool; control tokens of the tokenizer (begin, end of turn, ...)"""
    pieces: tuple[str, ...]
    """(token,) what to show for each token: its characters, or the name of a control token"""
    notes: tuple[str, ...] = ()
    """sentences for people about how this text was made"""
    encoder_length: int = 0
    """how many leading tokens an encoder reads; the rest is the decoder's. 0: one decoder reads everything"""

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, positions: np.ndarray) -> Encoded:
        """Some of the tokens, in order; the text stays whole, so that their spans still hold."""
        return replace(
            self,
            ids=self.ids[positions],
            spans=self.spans[positions],
            roles=self.roles[positions],
            special=self.special[positions],
            pieces=tuple(self.pieces[position] for position in positions),
            encoder_length=int((positions < self.encoder_length).sum()),
        )

    def said(self, positions: Sequence[int] | np.ndarray) -> str:
        """What some of the tokens say, one after the other; a character that lies in several of them is said once."""
        found, last = [], None
        for position in positions:
            span = tuple(self.spans[position])
            found += [self.pieces[position]] if span != last or span[0] == span[1] else []
            last = span
        return "".join(found)

    def names(self, parts: np.ndarray, count: int) -> list[str]:
        """(part,) what the tokens of each part say; `parts` (token,) is the part of each token."""
        return [self.said(np.flatnonzero(parts == part)) for part in range(count)]

    def positions(self, role: str) -> np.ndarray:
        """(position,) int64; where the tokens of one role stand."""
        return np.flatnonzero(self.roles == ROLES.index(role))


Relation = Literal["equal", "compatible", "different"]
"""Of two tokenizers. Equal: the same ids for every text. Compatible: the same ids where both have them; one has more tokens. Different: neither."""

UNBOUNDED = 1 << 20
"""Tokens that a model may read whose architecture and tokenizer name no limit."""

AttentionKind = Literal["self", "encoder", "cross"]
"""Whose look: the (decoder's) own earlier tokens; the encoder's at the prompt; the decoder's at what the encoder read."""
ATTENTION_KINDS: tuple[AttentionKind, ...] = ("self", "encoder", "cross")


@dataclass(frozen=True, eq=False)
class ModelFacts:
    """What was loaded for one side."""

    id: str
    """what people call it: id, revision and adapter"""
    architecture: str
    parameters: int
    layers: int
    """of the decoder"""
    heads: int
    """query heads a layer of the decoder; 0 without attention"""
    context: int
    """tokens that fit, prompt and answer together; in an encoder-decoder each of the two"""
    vocabulary: int
    """rows of the unembedding"""
    dtype: str
    encoder_decoder: bool = False
    """one stack reads the prompt and another writes the answer"""
    encoder_heads: int = 0
    """query heads a layer of the encoder"""
    attention: tuple[tuple[AttentionKind, int], ...] = ()
    """(kind, layer) of every attention whose maps can be read"""
    quantized: bool = False
    """weights in a few bits, by their own configuration: gradients of those are not shown"""

    def heads_of(self, kind: AttentionKind) -> int:
        """Query heads a layer that has attention of this kind."""
        return self.encoder_heads if kind == "encoder" else self.heads

    def attention_layers(self, kind: AttentionKind) -> tuple[int, ...]:
        """Layers that have attention of this kind."""
        return tuple(layer for one, layer in self.attention if one == kind)


def queries_and_keys(sequence: Encoded, kind: AttentionKind) -> tuple[np.ndarray, np.ndarray]:
    """(query,) and (key,) int64; positions in the sequence of the tokens that look, and of those looked at."""
    prompt, decoder = np.arange(sequence.encoder_length), np.arange(sequence.encoder_length, len(sequence))
    return (prompt if kind == "encoder" else decoder), (decoder if kind == "self" else prompt)
