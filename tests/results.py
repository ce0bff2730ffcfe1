"""Small results built by hand, for the tests of figures and pages; words are tokens here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model_utils.contracts.attention import Attention
from model_utils.contracts.attribution import Attribution, Quantity
from model_utils.contracts.common import ATTENTION_KINDS, ROLES, AttentionKind, Encoded, ModelFacts, StopReason
from model_utils.contracts.generation import Answer, Generation
from model_utils.contracts.load_report import Ability, Identity, LoadReport, Opening, Tokenizers
from model_utils.pair import Pair
from model_utils.prompts import join

PROMPT = ("<|begin|>", "What", " is", " the", " capital", "?")
ANSWER = ("Par", "is", "<|end|>")
READ, START = ("What", " is", " it", "?", "<|end|>"), "<|start|>"
"""What an encoder reads, and the token that its decoder starts with."""
LAYERS, HEADS = 3, 2


def encoded(pieces: tuple[str, ...], roles: tuple[str, ...] | None = None, notes: tuple[str, ...] = ()) -> Encoded:
    """Tokens with consecutive spans; pieces like <|name|> are control tokens. The ids of equal pieces are equal."""
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    spans = (
        np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1).astype(np.int64)
        if pieces
        else np.zeros((0, 2), np.int64)
    )
    return Encoded(
        text="".join(pieces),
        ids=np.array([sum(map(ord, piece)) % 997 for piece in pieces], dtype=np.int64),
        spans=spans,
        roles=np.array([ROLES.index(role) for role in roles or ("answer",) * len(pieces)], dtype=np.uint8),
        special=np.array([piece.startswith("<|") for piece in pieces], dtype=bool),
        pieces=pieces,
        notes=notes,
    )


def sequence(prompt: tuple[str, ...] = PROMPT, answer: tuple[str, ...] = ANSWER) -> Encoded:
    """A prompt and an answer, as attention and attribution read them."""
    return encoded(prompt + answer, ("template",) + ("instruction",) * (len(prompt) - 1) + ("answer",) * len(answer))


def started(prompt: tuple[str, ...] = READ) -> Encoded:
    """A prompt that an encoder reads, and the control token, without characters, that its decoder starts with."""
    asked = encoded(prompt, ("instruction",) * (len(prompt) - 1) + ("template",))
    start = replace(encoded((START,), ("template",)), text="", spans=np.zeros((1, 2), dtype=np.int64))
    return replace(join(asked, start), encoder_length=len(asked))


def encoder_decoder_sequence(prompt: tuple[str, ...] = READ, answer: tuple[str, ...] = ANSWER) -> Encoded:
    """A prompt for the encoder, and the decoder's start token and answer."""
    return join(started(prompt), encoded(answer))


def facts(id: str, encoder_decoder: bool = False) -> ModelFacts:
    kinds: tuple[AttentionKind, ...] = ATTENTION_KINDS if encoder_decoder else ("self",)
    return ModelFacts(
        id,
        "T5ForConditionalGeneration" if encoder_decoder else "LlamaForCausalLM",
        1000,
        LAYERS,
        HEADS,
        64,
        997,
        "float32",
        encoder_decoder,
        HEADS if encoder_decoder else 0,
        tuple((kind, layer) for kind in kinds for layer in range(LAYERS)),
    )


def models(encoder_decoder: bool = False) -> Pair[ModelFacts]:
    return Pair(facts("demo/base", encoder_decoder), facts("demo/tuned", encoder_decoder))


def answer(
    pieces: tuple[str, ...], text: str | None = None, stop: StopReason = "end of turn", prompt: tuple[str, ...] = PROMPT
) -> Answer:
    log_probs = -np.linspace(0.1, 2, len(pieces), dtype=np.float32)
    asked = encoded(prompt, ("template",) + ("instruction",) * (len(prompt) - 1), notes=("A note about this prompt.",))
    return Answer(
        prompt=asked,
        answer=encoded(pieces),
        text="".join(piece for piece in pieces if not piece.startswith("<|")) if text is None else text,
        log_probs=log_probs,
        alternative_ids=np.ones((len(pieces), 2), dtype=np.int64),
        alternative_log_probs=np.stack([log_probs, log_probs - 1], axis=1),
        alternative_pieces=tuple((piece, "other") for piece in pieces),
        stop=stop,
        seconds=0.5,
    )


def generation(base: tuple[str, ...] = (" London", "\n\n"), tuned: tuple[str, ...] = ANSWER) -> Generation:
    return Generation(models(), Pair(answer(base, stop="delimiter"), answer(tuned)))


def attention(layer: int = 0, seed: int = 0, text: Encoded | None = None, kind: AttentionKind = "self") -> Attention:
    """Random maps whose rows sum to one, causal where attention of this kind is."""
    text = text or sequence()
    empty = Attention(models(text.encoder_length > 0), text, layer, Pair(np.zeros(0), np.zeros(0)), kind)
    maps = np.random.default_rng(seed + layer).random((2, HEADS, len(empty.queries), len(empty.keys)), dtype=np.float32)
    maps = np.tril(maps) if empty.causal else maps
    maps /= maps.sum(axis=-1, keepdims=True)
    return replace(empty, weights=Pair(maps[0], maps[1]))


def attribution(
    targets: tuple[int, ...] = (0,), quantity: Quantity = "logit", seed: int = 0, text: Encoded | None = None
) -> Attribution:
    """Random scores, zero at and after each target."""
    text = text or sequence()
    places = text.positions("answer")
    chosen = np.array(targets or range(len(places)), dtype=np.int64)
    scores = np.random.default_rng(seed).normal(size=(2, len(chosen), len(text))).astype(np.float32)
    scores *= np.arange(len(text)) < places[chosen][:, None]
    values = scores.sum(axis=-1)
    return Attribution(
        models(text.encoder_length > 0),
        text,
        "gradient x input",
        quantity,
        chosen,
        Pair(values[0], values[1]),
        Pair(scores[0], scores[1]),
    )


def load_report(
    changes: tuple[float, ...] = (0.5, 0.1, 0.0, 0.2),
    tokenizers: Tokenizers = "equal",
    abilities: tuple[Ability, ...] | None = None,
) -> LoadReport:
    """One tensor of 10 numbers and norm 2 outside the layers, and one in each layer; NaN: it has no counterpart."""
    names = ("embed", *(f"layers.{layer}" for layer in range(LAYERS)))
    differences = np.array(changes)
    works = tuple(Ability(kind, True, "") for kind in ("generation", "attention", "attribution"))
    return LoadReport(
        models=models(),
        identities=models().map(
            lambda one: Identity("folder", f"/models/{one.id}", None, "w" * 64, "t" * 64, None, None, 4_000, 4_000)
        ),
        openings=Pair(
            Opening("float32", "both fit", "cpu", "torch finds no GPU here", "its own", "no begin token", 997),
            Opening("float32", "both fit", "cpu", "torch finds no GPU here", "its own", "no begin token", 997),
        ),
        shares_weights=False,
        adapter_restores_base=None,
        tokenizers=tokenizers,
        tokenizers_said="Both tokenizers are the same.",
        tensor_names=names,
        tensor_layers=np.arange(-1, LAYERS, dtype=np.int64),
        tensor_sizes=np.full(len(names), 10, dtype=np.int64),
        tensor_norms=np.full(len(names), 2.0),
        tensor_differences=differences,
        tensor_changed=np.where(np.isnan(differences), np.nan, (differences > 0) * 1.0),
        abilities=works if abilities is None else abilities,
    )
