"""Small results built by hand, for the tests of figures and pages; words are tokens here."""

from __future__ import annotations

import numpy as np

from model_utils.contracts.attention import Attention
from model_utils.contracts.attribution import Attribution, Quantity
from model_utils.contracts.common import ROLES, Encoded, ModelFacts, StopReason
from model_utils.contracts.generation import Answer, Generation
from model_utils.pair import Pair

PROMPT = ("<|begin|>", "What", " is", " the", " capital", "?")
ANSWER = ("Par", "is", "<|end|>")
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


def facts(id: str) -> ModelFacts:
    return ModelFacts(id, "LlamaForCausalLM", 1000, LAYERS, HEADS, 64, 997, "float32", "0" * 64)


def models() -> Pair[ModelFacts]:
    return Pair(facts("demo/base"), facts("demo/tuned"))


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


def attention(layer: int = 0, seed: int = 0, text: Encoded | None = None) -> Attention:
    """Random causal maps whose rows sum to one."""
    text = text or sequence()
    random = np.random.default_rng(seed + layer)
    maps = np.tril(random.random((2, HEADS, len(text), len(text)))).astype(np.float32)
    maps /= maps.sum(axis=-1, keepdims=True)
    return Attention(models(), text, layer, Pair(maps[0], maps[1]))


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
        models(), text, "gradient x input", quantity, chosen, Pair(values[0], values[1]), Pair(scores[0], scores[1])
    )
