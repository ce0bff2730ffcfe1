"""The way back through a model of the Llama family, by hand: gradients of many targets at once, several times as fast as autograd.

The forward is the module's own, with hooks that keep what the way back needs. Of a model in bfloat16 each weight is made float32 when it
is met, and let go again: the scores are those of its weights, without the rounding of every step between. Layout of gradients: (token, target, ...), so that
everything that is the same for all targets of a token broadcasts, and each weight is met in one large product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from model_utils.targets import Target

FAMILY = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
"""Architectures whose layers are x + attention(norm(x)), then x + down(silu(gate(norm(x))) * up(norm(x))), with RMS norms and rotated queries and keys."""


def follows(module: PreTrainedModel) -> bool:
    """Whether the way back by hand is this model's: of the family, with plain weights (no adapter, no few bits) in float32 or bfloat16 on one device."""
    known = type(module).__name__ in FAMILY and module.config.hidden_act == "silu"
    here = {part.device for part in module.parameters()}
    return known and len(here) == 1 and torch.device("meta") not in here and _plain(module.lm_head) and all(_plain(part) for layer in module.model.layers for part in _projections(layer))  # fmt: skip


def _projections(layer: Any) -> list[nn.Module]:
    attention, mlp = layer.self_attn, layer.mlp
    return [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj]  # fmt: skip


def _plain(part: nn.Module) -> bool:
    return type(part) is nn.Linear and part.weight.dtype in (torch.float32, torch.bfloat16)


@dataclass(eq=False)
class Norm:
    """y = w x / rms(x), of which s = 1 / rms(x) and x^ = s x are kept."""

    weighted: torch.Tensor
    """(token, hidden) w s"""
    direction: torch.Tensor
    """(token, hidden) x^"""
    along: torch.Tensor
    """(token, hidden) w s x^ / hidden"""

    def back(self, at: slice | torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """s (w dy - x^ mean(w dy x^)) (Zhang & Sennrich 2019, eq. 4); writes into `flow` (token, target, hidden)."""
        weighted, direction, along = (_picked(part, at) for part in (self.weighted, self.direction, self.along))
        share = (flow * along).sum(-1, keepdim=True)
        return flow.mul_(weighted).addcmul_(direction, share, value=-1)


@dataclass(eq=False)
class Layer:
    """What one layer keeps of its forward, for the way back."""

    module: Any
    first: Norm
    """before the attention"""
    second: Norm
    """before the MLP"""
    queries: torch.Tensor
    """(head, token, width) rotated"""
    keys: torch.Tensor
    """(key-value head, token, width) rotated"""
    values: torch.Tensor
    """(key-value head, token, width)"""
    weights: torch.Tensor
    """(head, query, key) attention"""
    attended: torch.Tensor
    """(token, head x width) what the output projection read"""
    up_share: torch.Tensor
    """(token, inner) silu(gate), by which `up` is multiplied"""
    gate_share: torch.Tensor
    """(token, inner) up times the slope of silu at the gate"""


class Listening:
    """Gives way like the report's `breathe`, and stops the hooks of a forward meanwhile: what another job's pass computes is not kept."""

    def __init__(self, breathe: Callable[[], None]) -> None:
        self._breathe, self._on = breathe, True
        self.kept: dict[tuple[int, str], torch.Tensor] = {}
        """(layer, name) -> what passed there, of the first text"""

    def __call__(self) -> None:
        self._on = False
        try:
            self._breathe()
        finally:
            self._on = True

    def keep(self, layer: int, name: str, batch: torch.Tensor | None) -> None:
        """The first text of `batch`; another job's pass may have nothing there."""
        if self._on and batch is not None:
            self.kept[layer, name] = batch[0]


class Trace:
    """One forward of the module under eager attention, and any number of ways back."""

    def __init__(self, module: PreTrainedModel, embeddings: torch.Tensor, target: Target, listening: Listening) -> None:
        """`embeddings` (1, token, hidden) float32; call it inside `running(listening, kernel="eager")`, without gradients."""
        kept, keep = listening.kept, listening.keep
        handles = [
            handle for number, layer in enumerate(module.model.layers) for handle in _hooks(layer, number, listening)
        ]

        def angles(part: nn.Module, args: Any, output: Any) -> None:
            for name, one in zip(("cos", "sin"), output, strict=True):
                keep(-1, name, one)

        handles.append(module.model.rotary_emb.register_forward_hook(angles))
        handles.append(module.model.norm.register_forward_pre_hook(lambda part, args: keep(-1, "last", args[0])))
        try:
            with in_float32(module):
                module.model(inputs_embeds=embeddings, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        self.cos, self.sin = kept[-1, "cos"], kept[-1, "sin"]
        self.layers = [self._layer(layer, number, kept) for number, layer in enumerate(module.model.layers)]
        self.places = torch.as_tensor(target.places - 1, device=embeddings.device)
        self.target = target
        rows = kept[-1, "last"][self.places].requires_grad_()
        with torch.enable_grad(), in_float32(module):
            values = target.read(module.lm_head(module.model.norm(rows[None])))[0]
            (self.seeds,) = torch.autograd.grad(values.sum(), rows)  # each row of the head knows its own place only
        self.values = values.detach()

    def _layer(self, layer: Any, number: int, kept: dict[tuple[int, str], torch.Tensor]) -> Layer:
        width = layer.self_attn.head_dim
        heads = {name: kept[number, name].unflatten(-1, (-1, width)).transpose(0, 1) for name in ("q", "k", "v")}
        gate, up = kept[number, "gate"], kept[number, "up"]
        share = torch.sigmoid(gate)
        silu = gate * share
        return Layer(
            layer,
            _norm(layer.input_layernorm, kept[number, "first"]),
            _norm(layer.post_attention_layernorm, kept[number, "second"]),
            self._rotated(heads["q"]),
            self._rotated(heads["k"]),
            heads["v"],
            kept[number, "weights"],
            kept[number, "attended"],
            up_share=silu,
            gate_share=up * (share + silu * (1 - share)),
        )

    def _rotated(self, states: torch.Tensor) -> torch.Tensor:
        low, high = states.chunk(2, dim=-1)
        return states * self.cos + torch.cat([-high, low], dim=-1) * self.sin

    def gradients(self, rows: slice, poll: Callable[[], None]) -> torch.Tensor:
        """(row, token, hidden) of some rows at the embeddings; tokens from the last place of those rows on are left out, their gradients are 0."""
        places, seeds = self._laid(rows)
        length = int(places.max()) + 1
        flow = self._layer_back(self.layers[-1], seeds, length, places)
        for layer in reversed(self.layers[:-1]):
            poll()
            flow = self._layer_back(layer, flow, length)
        return flow.transpose(0, 1)

    def _laid(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Places (place, row) that choose the targets of each row, and what flows back from them (place, row, hidden); 0 where a row has fewer."""
        numbers = [np.flatnonzero(self.target.rows == row) for row in range(*rows.indices(self.target.count))]
        most = max(map(len, numbers))
        at = torch.as_tensor(np.stack([np.resize(one, most) for one in numbers], axis=1))
        real = torch.as_tensor(np.stack([np.arange(most) < len(one) for one in numbers], axis=1))
        return self.places[at], self.seeds[at] * real[..., None].to(self.seeds)

    def _layer_back(
        self, kept: Layer, flow: torch.Tensor, length: int, places: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(token, target, hidden) at a layer's input, from the same at its output: at all tokens, or (place, target, hidden) at `places` only."""
        at = slice(0, length) if places is None else places
        mlp, attention = kept.module.mlp, kept.module.self_attn
        inner = flow @ mlp.down_proj.weight.float()
        both = torch.mul(inner, _picked(kept.gate_share, at)) @ mlp.gate_proj.weight.float()
        both += inner.mul_(_picked(kept.up_share, at)) @ mlp.up_proj.weight.float()
        flow = flow + kept.second.back(at, both)

        heads, width = len(kept.queries), attention.head_dim
        count, targets = flow.shape[:2]
        mixed = flow @ attention.o_proj.weight.float()  # (token, target, head x width)
        drawn = (mixed * _picked(kept.attended, at)).unflatten(-1, (heads, width)).sum(-1).movedim(-1, 0)[..., None]
        mixed = mixed.unflatten(-1, (heads, width)).movedim(2, 0)  # (head, token, target, width)
        group = heads // len(kept.keys)
        keys, values = (part[:, :length].repeat_interleave(group, dim=0) for part in (kept.keys, kept.values))
        queries, weights = kept.queries[:, at], kept.weights[:, at, :length]
        if places is None:
            weights = weights[:, :, None]
            to_values = kept.weights[:, :length, :length].transpose(1, 2) @ mixed.reshape(heads, count, -1)
            to_values = to_values.view(heads, length, targets, width)
        else:
            to_values = torch.einsum("hqrk,hqrd->hkrd", weights, mixed)
        scores = (mixed.reshape(heads, -1, width) @ values.transpose(1, 2)).view(heads, count, targets, length)
        scores = scores.sub_(drawn).mul_(weights).mul_(attention.scaling)
        to_queries = (scores.view(heads, -1, length) @ keys).view(heads, count, targets, width)
        if places is None:
            to_keys = scores.view(heads, count, -1).transpose(1, 2) @ queries
            to_keys = to_keys.view(heads, targets, length, width).transpose(1, 2)
        else:
            to_keys = torch.einsum("hqrk,hqrd->hkrd", scores, queries)
        if group > 1:
            to_keys, to_values = (part.unflatten(0, (-1, group)).sum(1) for part in (to_keys, to_values))
        read = self._merged(to_keys, slice(0, length)) @ attention.k_proj.weight.float()
        read += to_values.movedim(0, 2).flatten(2) @ attention.v_proj.weight.float()
        asked = self._merged(to_queries, at) @ attention.q_proj.weight.float()
        if places is None:
            read += asked
            return flow.add_(kept.first.back(at, read))
        read = _scattered(read, asked, places)
        return _scattered(kept.first.back(slice(0, length), read), flow, places)

    def _merged(self, states: torch.Tensor, at: slice | torch.Tensor) -> torch.Tensor:
        """(token, target, head x width) before the rotation, from (head, token, target, width) behind it."""
        turned = torch.empty(
            *states.shape[1:3], len(states), states.shape[-1], dtype=states.dtype, device=states.device
        )
        out_low, out_high = turned.movedim(2, 0).chunk(2, dim=-1)
        low, high = states.chunk(2, dim=-1)
        cos, sin = _picked(self.cos, at), _picked(self.sin, at)
        (cos_low, cos_high), (sin_low, sin_high) = cos.chunk(2, dim=-1), sin.chunk(2, dim=-1)
        torch.mul(low, cos_low, out=out_low).addcmul_(high, sin_high)
        torch.mul(high, cos_high, out=out_high).addcmul_(low, sin_low, value=-1)
        return turned.flatten(2)


def _hooks(layer: Any, number: int, listening: Listening) -> list[Any]:
    """What the way back needs of one layer, kept as it passes."""
    attention, mlp = layer.self_attn, layer.mlp

    def given(name: str) -> Callable[..., None]:
        return lambda part, args: listening.keep(number, name, args[0])

    def made(name: str, at: int | None = None) -> Callable[..., None]:
        return lambda part, args, output: listening.keep(number, name, output if at is None else output[at])

    return [
        layer.input_layernorm.register_forward_pre_hook(given("first")),
        layer.post_attention_layernorm.register_forward_pre_hook(given("second")),
        attention.q_proj.register_forward_hook(made("q")),
        attention.k_proj.register_forward_hook(made("k")),
        attention.v_proj.register_forward_hook(made("v")),
        attention.o_proj.register_forward_pre_hook(given("attended")),
        attention.register_forward_hook(made("weights", 1)),
        mlp.gate_proj.register_forward_hook(made("gate")),
        mlp.up_proj.register_forward_hook(made("up")),
    ]


@contextmanager
def in_float32(module: PreTrainedModel) -> Iterator[None]:
    """Products of float32 states with weights in fewer bits are float32 too; another job's pass inside, in the model's own format, is as ever."""
    parts = [module.lm_head, *(part for layer in module.model.layers for part in _projections(layer))]
    # Another explanation of this model may run inside the pass and come here too: who put the products there takes them away.
    rough = [part for part in parts if part.weight.dtype != torch.float32 and "forward" not in vars(part)]
    for part in rough:
        part.forward = partial(_linear, part)
    try:
        yield
    finally:
        for part in rough:
            del part.forward


def _linear(part: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    bias = None if part.bias is None else part.bias.to(states.dtype)
    return nn.functional.linear(states, part.weight.to(states.dtype), bias)


def _norm(norm: Any, states: torch.Tensor) -> Norm:
    scale = torch.rsqrt(states.square().mean(-1, keepdim=True) + norm.variance_epsilon)
    direction, weighted = states * scale, norm.weight.float() * scale
    return Norm(weighted, direction, weighted * direction / states.shape[-1])


def _picked(states: torch.Tensor, at: slice | torch.Tensor) -> torch.Tensor:
    """(token, 1 or target, ...) of the tokens in `at`, (place, 1 or target) where each target has places of its own."""
    return states[at][:, None] if isinstance(at, slice) else states[at]


def _scattered(whole: torch.Tensor, some: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """`whole` (token, target, hidden) with (place, target, hidden) added at the places (place, 1 or target) of each target."""
    index = places.expand(*some.shape[:2])[..., None].expand_as(some)
    return whole.scatter_add_(0, index, some)
