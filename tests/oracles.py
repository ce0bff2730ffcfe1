"""Slow, obvious twins of the fast code: one pass for everything, nothing shared, nothing reused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def greedy_ids(module: Any, prompt_ids: Sequence[int], count: int, stop_ids: frozenset[int]) -> list[int]:
    """The most probable token, `count` times, reading the whole text again for each one."""
    ids = list(prompt_ids)
    with torch.no_grad():
        while len(ids) < len(prompt_ids) + count:
            ids.append(int(module(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            if ids[-1] in stop_ids:
                break
    return ids[len(prompt_ids) :]


def log_probs(module: Any, ids: Sequence[int]) -> np.ndarray:
    """(token, vocab) float64; row t is the distribution of the token after ids[: t + 1]."""
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return torch.log_softmax(logits.double(), dim=-1).numpy()


def all_logits(module: Any, ids: Sequence[int] | np.ndarray, encoder_length: int = 0) -> torch.Tensor:
    """(token of the decoder, vocabulary) of one plain forward."""
    with torch.no_grad():
        return module(**_split(torch.as_tensor(ids)[None], encoder_length), use_cache=False).logits[0]


def _split(read: torch.Tensor, encoder_length: int) -> dict[str, torch.Tensor]:
    name = "input_ids" if read.ndim == 2 else "inputs_embeds"
    if not encoder_length:
        return {name: read}
    return {name: read[:, :encoder_length], f"decoder_{name}": read[:, encoder_length:]}


def recorded_attention(module: Any, ids: Sequence[int] | np.ndarray, encoder_length: int = 0) -> dict:
    """(kind, layer) -> (head, query, key), all kept at once by the eager model's own switch; layers without attention are missing."""
    with torch.no_grad():
        output = module(**_split(torch.as_tensor(ids)[None], encoder_length), use_cache=False, output_attentions=True)
    if encoder_length:
        kinds = {
            "encoder": output.encoder_attentions,
            "self": output.decoder_attentions,
            "cross": output.cross_attentions,
        }
    else:
        kinds = {"self": output.get("attentions") or ()}
    types = getattr(module.config, "layer_types", None) or ["full_attention"] * 99
    with_attention = [number for number, kind in enumerate(types) if kind != "linear_attention"]
    return {
        (kind, with_attention[i]): weights[0].numpy() for kind, maps in kinds.items() for i, weights in enumerate(maps)
    }


def attention_maps(module: Any, ids: Sequence[int]) -> np.ndarray:
    """(layer, head, query, key), all layers kept at once by the model's own switch."""
    before = module.config._attn_implementation
    module.set_attn_implementation("eager")
    maps = recorded_attention(module, ids)
    module.set_attn_implementation(before)
    return np.stack(list(maps.values()))


def gradient_x_input(
    module: Any, ids: Sequence[int] | np.ndarray, position: int, log_probability: bool, encoder_length: int = 0
) -> np.ndarray:
    """(token,) scores of one target token at `position`, with a forward and a backward of its own."""
    with torch.enable_grad():
        read = torch.as_tensor(ids)[None]
        embeddings = module.get_input_embeddings()(read)
        if encoder_length:
            decoder = module.get_decoder().get_input_embeddings()(read[:, encoder_length:])
            embeddings = torch.cat([embeddings[:, :encoder_length], decoder], dim=1)
        embeddings = embeddings.detach().requires_grad_()
        rows = module(**_split(embeddings, encoder_length), use_cache=False).logits[0]
        logits = rows[position - 1 - encoder_length]
        chosen = (torch.log_softmax(logits, dim=-1) if log_probability else logits)[ids[position]]
        chosen.backward()
    assert embeddings.grad is not None
    return (embeddings.grad * embeddings)[0].sum(-1).detach().numpy()


def detokenized(tokenizer: Any, prompt_ids: Sequence[int], ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
    """Text and span of each id, decoding everything from the start again after every id."""

    def decode(some: Sequence[int]) -> str:
        return tokenizer.decode(some, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    head, spans, waiting, start = decode(prompt_ids), [], 0, 0
    text = ""
    for count in range(1, len(ids) + 1):
        text = decode([*prompt_ids, *ids[:count]])[len(head) :]
        waiting += 1
        if not text.endswith("\ufffd"):
            spans += [(start, len(text))] * waiting
            start, waiting = len(text), 0
    return text, spans + [(start, len(text))] * waiting


def longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of a longest common subsequence, by the table of the textbook."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]
