"""Messages to exact text, to token ids, to character spans and roles; and ids back to characters."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import jinja2
import numpy as np

from model_utils.contracts.common import FORMATS, ROLES, SLOT, Encoded, Format, Message, Relation
from model_utils.errors import Refused
from model_utils.pair import Pair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

FEW_SHOT_EXAMPLES = (
    ("What is the capital of France?", "Paris"),
    ("Name three colours.", "red, blue, green"),
    ("Is this review positive or negative? The soup was cold and the waiter was rude.", "negative"),
)
"""Constant examples that make a base model answer: they show the frame, not the task."""

WINDOW = 8
"""How many tokens, or groups of tokens that wrote one character, are decoded before new ones."""

INCOMPLETE = "\ufffd"
"""What a decoder writes for bytes that are not yet a character."""

WORD = re.compile(r"\w")


Check = Callable[[np.ndarray], None]
"""Looks at ids (token,) and raises Refused; asked before anything is built for each of them"""


def encode_prompt(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    format: Format,
    template: str | None = None,
    notes: tuple[str, ...] = (),
    check: Check = lambda ids: None,
    decoder_start: Sequence[int] = (),
) -> Encoded:
    """The exact text and ids that a model sees; `template` is the chat template to use, `decoder_start` the ids that an
    encoder-decoder's answer begins with. Refused where the format cannot hold the messages."""
    text, instruction = _render(tokenizer, messages, format, template)
    return encode_text(tokenizer, text, adds_special_tokens(format), instruction, notes, check, decoder_start)


def adds_special_tokens(format: Format) -> bool:
    """Whether the tokenizer still has to add BOS and the like: a chat template has written its own."""
    return format != "chat"


@dataclass(frozen=True)
class Frame:
    """What a format other than chat writes around the turns of a conversation."""

    head: str
    """once, before everything"""
    before: str
    """in front of each instruction"""
    after: str
    """behind it, where the answer follows"""

    @property
    def gap(self) -> str:
        """Between this and an answer that was given before."""
        if not self.after:
            return "\n\n"
        return "" if self.after[-1].isspace() else " "


def frame(format: Format) -> Frame:
    if format == "plain":
        return Frame("", "", "")
    if format == "few-shot":
        examples = "".join(f"Instruction: {asked}\nAnswer: {answered}\n\n" for asked, answered in FEW_SHOT_EXAMPLES)
        return Frame(examples, "Instruction: ", "\nAnswer:")
    before, _, after = format.partition(SLOT)
    return Frame("", before, after)


def delimiters(format: Format) -> tuple[str, ...]:
    """Where an answer in this format ends although the model writes on: at an empty line, and where the frame would begin the next
    instruction. An answer in a template of one's own ends only there if words stand before the instruction; the line of words next
    to it begins the next one."""
    if format == "chat":
        return ()
    lines = [line.strip() for line in frame(format).before.split("\n") if line.strip()]
    again = (f"\n{lines[-1]}",) if lines and WORD.search(lines[-1]) else ()
    return again if again and format not in FORMATS else ("\n\n", *again)


def end_of_answer(text: str, delimiters: Sequence[str]) -> int | None:
    """Where the first delimiter stands in `text`; an empty line counts only after the first word."""
    lead = len(text) - len(text.lstrip())
    found = [text.find(delimiter, 0 if delimiter.strip() else lead) for delimiter in delimiters]
    return min((place for place in found if place >= 0), default=None)


def _render(
    tokenizer: Tokenizer, messages: Sequence[Message], format: Format, template: str | None
) -> tuple[str, tuple[int, int]]:
    """(text, span of the last instruction in it)."""
    if format == "chat":
        before, after = _around(tokenizer, messages, template)
        text = chat_text(tokenizer, messages, template)
        if not (text.startswith(before) and text.endswith(after) and len(text) >= len(before) + len(after)):
            raise Refused(
                "This chat template writes different text around different instructions, so that who wrote what cannot be told; choose plain or few-shot."
            )
        return text, (len(before), len(text) - len(after))
    written = frame(format)
    before = _before(messages[:-1], written) + written.before
    instruction = messages[-1].content
    return before + instruction + written.after, (len(before), len(before) + len(instruction))


def _before(history: Sequence[Message], written: Frame) -> str:
    """System messages first, the frame's head, then the turns before the last instruction, each in the frame."""
    system = "".join(message.content + "\n\n" for message in history if message.role == "system")
    turns = [
        written.before + message.content + written.after + written.gap
        if message.role == "user"
        else message.content + "\n\n"
        for message in history
        if message.role != "system"
    ]
    return system + written.head + "".join(turns)


def _around(tokenizer: Tokenizer, messages: Sequence[Message], template: str | None) -> tuple[str, str]:
    """What a chat template writes before and after the last instruction; templates may trim it, so it is measured with a stand-in word."""
    stand_in = secrets.token_hex(16)  # nobody typed this
    text = chat_text(tokenizer, [*messages[:-1], Message(content=stand_in)], template)
    if text.count(stand_in) != 1:
        raise Refused("This chat template does not write the instruction once into its text; choose plain or few-shot.")
    before, _, after = text.partition(stand_in)
    return before, after


def chat_text(tokenizer: Tokenizer, messages: Sequence[Message], template: str | None) -> str:
    """What a chat template writes, up to where the answer begins; Refused where it does not take the conversation."""
    turns = [message.model_dump() for message in messages]
    try:
        return tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        LookupError,
        ArithmeticError,
    ) as error:  # templates are programs
        raise Refused(
            f"The chat template does not take this conversation ({error}); choose plain or few-shot."
        ) from error


def encode_text(
    tokenizer: Tokenizer,
    text: str,
    special_tokens: bool,
    instruction: tuple[int, int],
    notes: tuple[str, ...] = (),
    check: Check = lambda ids: None,
    decoder_start: Sequence[int] = (),
) -> Encoded:
    """Ids and characters of `text`; BOS and the like are added only if `special_tokens`.

    An EOS that was added is taken off again, so that the answer can begin, but not for an encoder, which reads it; after an encoder's
    text follow the tokens that its decoder starts with, `decoder_start`.
    """
    encoding = tokenizer(
        text, add_special_tokens=special_tokens, return_offsets_mapping=True, return_attention_mask=False
    )
    ids = np.array(encoding["input_ids"], dtype=np.int64)
    check(ids)
    spans = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    ended = special_tokens and len(ids) and ids[-1] == tokenizer.eos_token_id and spans[-1, 0] == spans[-1, 1]
    if ended and not decoder_start:
        ids, spans = ids[:-1], spans[:-1]
        notes += (
            f"This tokenizer ends every text with {tokenizer.eos_token}; it was left off, so that the answer can begin.",
        )
    spans = _close_gaps(text, spans)
    begin, end = instruction
    within = (spans[:, 0] < end) & (spans[:, 1] > begin)
    roles = np.where(within, ROLES.index("instruction"), ROLES.index("template")).astype(np.uint8)
    special = _special(tokenizer, ids)
    pieces = tuple(
        text[a:b] if b > a else tokenizer.convert_ids_to_tokens(int(i)) for (a, b), i in zip(spans, ids, strict=True)
    )
    notes += _warnings(tokenizer, ids, within & special, pieces, special_tokens)
    encoded = Encoded(text, ids, spans, roles, special, pieces, notes)
    return _with_decoder_start(tokenizer, encoded, decoder_start) if decoder_start else encoded


def _with_decoder_start(tokenizer: Tokenizer, encoded: Encoded, start: Sequence[int]) -> Encoded:
    """The encoder's text and, after it, the control tokens that the decoder starts with; they write no characters."""
    end = len(encoded.text)
    return Encoded(
        text=encoded.text,
        ids=np.concatenate([encoded.ids, np.array(start, dtype=np.int64)]),
        spans=np.concatenate([encoded.spans, np.full((len(start), 2), end, dtype=np.int64)]),
        roles=np.concatenate([encoded.roles, np.full(len(start), ROLES.index("template"), dtype=np.uint8)]),
        special=np.concatenate([encoded.special, np.ones(len(start), dtype=bool)]),
        pieces=encoded.pieces + tuple(tokenizer.convert_ids_to_tokens(list(start))),
        notes=encoded.notes,
        encoder_length=len(encoded),
    )


def _close_gaps(text: str, spans: np.ndarray) -> np.ndarray:
    """Byte-level tokenizers may leave a token's leading space out of its span; give it back, so that spans cover the text."""
    end = 0
    for span in spans:
        if span[1] > span[0] >= end and text[end : span[0]].isspace():
            span[0] = end
        elif span[1] == span[0]:
            span[:] = end
        end = max(end, int(span[1]))
    return spans


def _special(tokenizer: Tokenizer, ids: np.ndarray) -> np.ndarray:
    return np.isin(ids, [i for i, token in tokenizer.added_tokens_decoder.items() if token.special])


def _warnings(
    tokenizer: Tokenizer, ids: np.ndarray, typed: np.ndarray, pieces: tuple[str, ...], special_tokens: bool
) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if typed.any():
        names = ", ".join(sorted({pieces[i] for i in np.flatnonzero(typed)}))
        notes += (
            f"The instruction contains control tokens of this model ({names}); the model reads them as control, not as text.",
        )
    if len(ids) > 1 and ids[0] == ids[1] == tokenizer.bos_token_id:
        notes += (f"The prompt begins with {tokenizer.bos_token} twice, which changes what the model computes.",)
    begins = not special_tokens and tokenizer.bos_token_id is not None and puts_bos(tokenizer)
    if begins and ids[:1].tolist() != [tokenizer.bos_token_id]:
        notes += (
            f"The chat template begins without {tokenizer.bos_token}, which this tokenizer puts in front of plain text; the model may have been trained either way.",
        )
    return notes


def puts_bos(tokenizer: Tokenizer) -> bool:
    """Whether plain text gets the token that begins a text in front."""
    return tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]


@dataclass
class Detokenizer:
    """Ids to text as they come: bytes of one character wait for each other and share its span.

    Decodes a short window instead of everything so far, once a token; `tests/oracles.py` holds the slow twin.
    """

    tokenizer: Tokenizer
    prompt: Encoded
    text: str = ""
    ids: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    _window: list[list[int]] = field(default_factory=list)
    """the last groups of ids that wrote whole characters: a window that began inside a character would not decode"""
    _window_text: str = ""
    _waiting: list[int] = field(default_factory=list)
    _waiting_text: str = ""

    def __post_init__(self) -> None:
        first = self.prompt.encoder_length  # what the encoder read is another text
        start = max(first, len(self.prompt) - WINDOW)
        while start > first and tuple(self.prompt.spans[start]) == tuple(self.prompt.spans[start - 1]):
            start -= 1
        self._window = [[int(i) for i in self.prompt.ids[start:]]]
        self._window_text = self._decode(self._window[0])

    def push(self, id: int) -> str:
        """Takes one more id; returns all text so far, bytes of an unfinished character included as U+FFFD."""
        self.ids.append(id)
        self._waiting.append(id)
        text = self._decode([id for group in (*self._window, self._waiting) for id in group])
        self._waiting_text = text[len(self._window_text) :]
        if not self._waiting_text.endswith(INCOMPLETE):
            self.spans += [(len(self.text), len(self.text) + len(self._waiting_text))] * len(self._waiting)
            self.text += self._waiting_text
            self._window.append(self._waiting)
            self._window_text, self._waiting, self._waiting_text = text, [], ""
            if len(self._window) > 2 * WINDOW:
                self._window = self._window[-WINDOW:]
                self._window_text = self._decode([id for group in self._window for id in group])
        return self.text + self._waiting_text

    def encoded(self) -> Encoded:
        """Everything pushed so far; spans point into its text."""
        end = len(self.text) + len(self._waiting_text)
        text = self.text + self._waiting_text
        spans = np.array(self.spans + [(len(self.text), end)] * len(self._waiting), dtype=np.int64).reshape(-1, 2)
        ids = np.array(self.ids, dtype=np.int64)
        pieces = tuple(text[a:b] if b > a else f"<{i}>" for (a, b), i in zip(spans, ids, strict=True))
        roles = np.full(len(ids), ROLES.index("answer"), dtype=np.uint8)
        return Encoded(text, ids, spans, roles, _special(self.tokenizer, ids), pieces)

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def encode_continuation(tokenizer: Tokenizer, prompt: Encoded, ids: Sequence[int]) -> Encoded:
    """Forced ids after a prompt, as text with spans; roles are 'answer'."""
    detokenizer = Detokenizer(tokenizer, prompt)
    for id in ids:
        detokenizer.push(int(id))
    return detokenizer.encoded()


def join(prompt: Encoded, answer: Encoded) -> Encoded:
    """One sequence of a prompt and what follows it."""
    return Encoded(
        text=prompt.text + answer.text,
        ids=np.concatenate([prompt.ids, answer.ids]),
        spans=np.concatenate([prompt.spans, answer.spans + len(prompt.text)]),
        roles=np.concatenate([prompt.roles, answer.roles]),
        special=np.concatenate([prompt.special, answer.special]),
        pieces=prompt.pieces + answer.pieces,
        notes=prompt.notes + answer.notes,
        encoder_length=prompt.encoder_length,
    )


# --- two tokenizers ---------------------------------------------------------------------------------------------------

SAMPLES = (
    "The capital of France is Paris.\n\n  Two spaces, a tab\t, and 1,234.50 of it!",
    "Größe, naïve, Ægir; Ελληνικά; привет, мир; 你好，世界; こんにちは; 안녕하세요; שלום; مرحبا; नमस्ते; สวัสดี; 👩‍👩‍👧 e\u0301",
    "def f(x):\n    return {'a': [x ** 2]}  # TODO",
)
"""Texts in ten scripts, and a piece of a program, that two tokenizers must cut alike to be called compatible."""


T = TypeVar("T")


def _remembered(compare: Callable[[Tokenizer, Tokenizer], T]) -> Callable[[Pair[Tokenizer]], T]:
    """Two large tokenizers take half a second to compare; what was found is kept as long as both of them are."""
    found: WeakKeyDictionary[Tokenizer, WeakKeyDictionary[Tokenizer, T]] = WeakKeyDictionary()

    @wraps(compare)
    def remembered(tokenizers: Pair[Tokenizer]) -> T:
        known = found.setdefault(tokenizers.base, WeakKeyDictionary())
        if tokenizers.tuned not in known:
            known[tokenizers.tuned] = compare(*tokenizers.sides)
        return known[tokenizers.tuned]

    return remembered


@_remembered
def relation(base: Tokenizer, tuned: Tokenizer) -> Relation:
    """How two tokenizers stand to each other."""
    if base is tuned or base.backend_tokenizer.to_str() == tuned.backend_tokenizer.to_str():
        return "equal"
    known = tuned.get_vocab()
    same_ids = all(known.get(token, id) == id for token, id in base.get_vocab().items())
    cuts = [[one(text, add_special_tokens=False)["input_ids"] for text in SAMPLES] for one in (base, tuned)]
    return "compatible" if same_ids and cuts[0] == cuts[1] else "different"


@_remembered
def different_ids(base: Tokenizer, tuned: Tokenizer) -> np.ndarray:
    """(id,) int64: the ids that stand for different tokens, or for one in only one of them."""
    names = [{id: token for token, id in one.get_vocab().items()} for one in (base, tuned)]
    every = sorted(names[0].keys() | names[1].keys())
    return np.array([id for id in every if names[0].get(id) != names[1].get(id)], dtype=np.int64)


def readable(answer: Encoded) -> np.ndarray:
    """(token,) bool; not control tokens, and not bytes that are no character, or not yet one."""
    broken = [INCOMPLETE in answer.text[begin:end] for begin, end in answer.spans.tolist()]
    return ~answer.special & ~np.array(broken, dtype=bool)


def counted(answer: Encoded, format: Format) -> np.ndarray:
    """(token,) bool; the tokens that a person reads: no control token, and before what ended the answer in this format."""
    end = end_of_answer(answer.text, delimiters(format))
    return ~answer.special & (answer.spans[:, 0] < (len(answer.text) if end is None else end))


def before_its_end(answer: Encoded, format: Format) -> Encoded:
    """The answer up to the last token that a person reads and that is text for any tokenizer: without what ended it."""
    last = np.flatnonzero(counted(answer, format) & readable(answer))[-1:]
    return answer.part(np.arange(last[0] + 1 if len(last) else 0))


def encode_answer(tokenizer: Tokenizer, prompt: Encoded, text: str) -> Encoded:
    """The characters that another model wrote, in this tokenizer's tokens, as they follow on a prompt.

    What an encoder read does not stand before its decoder's answer; there the space is allowed that some tokenizers put in front of
    every text, and it counts as no character. Refused where no tokens give exactly these characters.
    """
    ways = [tokenizer(text, add_special_tokens=False)["input_ids"]]
    if not prompt.encoder_length:
        before = tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
        joined = tokenizer(prompt.text + text, add_special_tokens=False)["input_ids"]
        ways = [joined[len(before) :], *ways] if joined[: len(before)] == before else ways
    for ids in ways:
        answer = encode_continuation(tokenizer, prompt, ids)
        if answer.text == text:
            return answer
        if prompt.encoder_length and answer.text == f" {text}":
            return replace(answer, text=text, spans=(answer.spans - 1).clip(min=0))
    raise Refused(
        f"One model's answer ({text[:40]!r}...) has characters that the other model's tokenizer cannot write exactly, so it cannot be read by both; ask something else."
    )


def shared_pieces(spans: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(piece, 2) int64: the text between the boundaries that two tokenizations of it, (token, 2) spans each, share."""
    ends = np.intersect1d(_boundaries(spans), _boundaries(others))
    return np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64) if len(ends) > 1 else np.zeros((0, 2), np.int64)


def _boundaries(spans: np.ndarray) -> np.ndarray:
    """Characters at which one token ends and the next begins, the two ends included; not inside the bytes of one character."""
    starts, ends = spans[:, 0], np.maximum.accumulate(spans[:, 1]) if len(spans) else spans[:, 1]
    clean = [int(end) for i, end in enumerate(ends) if (starts[i + 1 :] >= end).all()]
    return np.unique([*starts[:1], *clean])


def sum_pieces(spans: np.ndarray, values: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """(piece,) float64: the sum of `values` (token,) over the tokens in each piece; all tokens together give all pieces together."""
    if not len(pieces):
        return np.zeros(0)
    place = np.searchsorted(pieces[:, 1], np.maximum(spans[:, 1], spans[:, 0] + 1))
    return np.bincount(place.clip(max=len(pieces) - 1), np.asarray(values, dtype=np.float64), len(pieces))
