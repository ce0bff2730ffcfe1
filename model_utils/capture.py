"""Attention as it passes: a kernel of our own gives each layer's weights to a reader, some queries at a time, and keeps none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama import modeling_llama

from model_utils import anatomy
from model_utils.contracts.common import AttentionKind, Encoded
from model_utils.errors import Refused
from model_utils.loading import LanguageModel

EAGER = "eager_attention_forward"
"""What transformers' files call the attention that gives weights."""
TILE = 64
"""Queries whose weights are alive at once."""


@dataclass(frozen=True, eq=False)
class Look:
    """The attention of one layer as its own architecture computes it, for any of its queries, as often as asked."""

    layer: int
    module: nn.Module
    query: torch.Tensor
    """(1, head, query, width), rotated"""
    key: torch.Tensor
    """(1, key head, key, width), rotated"""
    value: torch.Tensor
    """(1, key head, key, width)"""
    mask: torch.Tensor | None
    """(1, 1 or head, query, key), bool or added; None: `causal` says all"""
    causal: bool
    first: int
    """where the first query stands in the whole map"""
    options: dict[str, Any]
    """scaling and whatever else the architecture gives its kernel"""

    def __len__(self) -> int:
        return self.query.shape[2]

    def tile(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(output (1, query, head, width), weights (head, query, key)) of some queries; no weight goes to keys after the last one."""
        rows = slice(start, stop)
        mask, bias = self._mask(rows), self.options.get("position_bias")
        seen = self.key.shape[2] if mask is None else _seen(mask)
        mask = None if mask is None else mask[..., :seen]
        eager, given = _eager(self.module), (self.query[:, :, rows], self.key[:, :, :seen], self.value[:, :, :seen])
        if _is_llamas(eager) and all(one.dtype == torch.float32 for one in given):
            return _as_llama(*given, mask, self.options["scaling"], self.first + start if self.causal else 0)
        options = {**self.options, "dropout": 0.0}
        if bias is not None:
            options["position_bias"] = bias[:, :, self.first + start : self.first + stop, :seen]
        output, weights = eager(self.module, *given, mask, **options)
        return output, weights[0].float()

    def _mask(self, rows: slice) -> torch.Tensor | None:
        """(1, 1 or head, query, key) to be added to the logits."""
        lowest = torch.finfo(self.query.dtype).min
        if self.mask is not None:
            mask = self.mask[:, :, rows]
            return (
                torch.zeros_like(mask, dtype=self.query.dtype).masked_fill_(~mask, lowest)
                if mask.dtype == torch.bool
                else mask
            )
        if not self.causal:
            return None
        shape = (rows.stop - rows.start, min(self.key.shape[2], self.first + rows.stop))
        added = torch.full(shape, lowest, dtype=self.query.dtype, device=self.query.device)
        return added.triu_(1 + self.first + rows.start)[None, None]

    @property
    def bytes(self) -> int:
        """Memory of its queries and keys."""
        return sum(one.numel() * one.element_size() for one in (self.query, self.key))

    def only(self, rows: slice) -> Look:
        """What is needed to compute the weights of some queries once more; their output is not."""
        mask = None if self.mask is None else self.mask[:, :, rows]
        return replace(
            self,
            query=self.query[:, :, rows].clone(),
            value=self.value[..., :0],
            mask=mask,
            first=self.first + rows.start,
        )


def _seen(mask: torch.Tensor) -> int:
    """How many keys, from the first, are seen by any of these queries."""
    return int((mask > torch.finfo(mask.dtype).min).any(dim=(0, 1, 2)).nonzero()[-1]) + 1


def tiled(site: anatomy.Site) -> bool:
    """Whether an attention can be read some queries at a time, with its values, or only as its whole map."""
    return hasattr(sys.modules[type(site.module).__module__], EAGER)


def _eager(module: nn.Module) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """The architecture's own attention that gives weights."""
    return getattr(sys.modules[type(module).__module__], EAGER)


@cache
def _is_llamas(eager: Callable[..., Any]) -> bool:
    """Whether this is the attention of Llama's file, which most architectures' files repeat word for word."""
    ours, plain = eager.__code__, modeling_llama.eager_attention_forward.__code__
    return (ours.co_code, ours.co_consts, ours.co_names) == (plain.co_code, plain.co_consts, plain.co_names)


def _as_llama(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float, masked: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `_is_llamas` computes, as `Look.tile` gives it, in half the time: no copy of a key for each of its heads, one array of weights.

    Keys before `masked` are seen by all queries.
    """
    heads, queries = query.shape[1:3]
    together = (key.shape[1], heads // key.shape[1] * queries)  # the queries of all heads that share keys
    scores = torch.bmm((query[0] * scaling).reshape(*together, -1), key[0].transpose(1, 2))
    weights = scores.view(heads, queries, -1)
    if mask is not None:
        weights[..., masked:] += mask[0, ..., masked:]
    torch.softmax(weights, dim=-1, out=weights)
    output = torch.bmm(scores, value[0]).view(heads, queries, -1)
    return output.transpose(0, 1)[None], weights


@dataclass(frozen=True, eq=False)
class Given:
    """The attention of one layer of an architecture that gives no other access than its whole map."""

    layer: int
    weights: torch.Tensor
    """(head, query, key) float32"""
    first: int = 0

    def __len__(self) -> int:
        return self.weights.shape[1]

    def tile(self, start: int, stop: int) -> tuple[None, torch.Tensor]:
        return None, self.weights[:, start:stop]

    @property
    def bytes(self) -> int:
        """Memory of its weights."""
        return self.weights.numel() * self.weights.element_size()

    def only(self, rows: slice) -> Given:
        return replace(self, weights=self.weights[:, rows].clone(), first=self.first + rows.start)


def check_kind(model: LanguageModel, kind: AttentionKind) -> tuple[int, ...]:
    """The layers of a model that have attention of this kind; Refused where there are none."""
    facts = model.facts
    if not facts.attention:
        what = "whose attention Candor cannot read" if facts.heads else "whose layers have no attention"
        raise Refused(
            f"{facts.id} is a {facts.architecture}, {what}, so there is no attention to look at; the other pages work with it."
        )
    layers = facts.attention_layers(kind)
    if not layers:
        kinds = " or ".join(dict.fromkeys(kind for kind, _ in facts.attention))
        raise Refused(f"{facts.id} has no attention of the kind '{kind}'; it has {kinds}.")
    return layers


Layer = Look | Given
Visit = Callable[[Layer, int, torch.Tensor], None]
"""Takes a layer, the first query of a tile, and its weights (head, query, key) float32; the keys may end where nobody looks any more."""


class Enough(Exception):
    """Ends a pass: raised at the last layer that is read, and by a reader that wants no more."""


class _Reader:
    """Whom the layers of one pass are given to, until the last of them passed."""

    def __init__(self, sites: dict[int, anatomy.Site], visit: Visit) -> None:
        self._visit, self._left = visit, len(sites)
        self.layers = {part: layer for layer, site in sites.items() for part in site.module.modules()}
        """attention module, or what it lies in -> layer"""

    def read(self, look: Layer) -> list[Any]:
        """The outputs (1, query, head, width) of a layer's tiles, which are read one by one."""
        outputs = []
        for start in range(0, len(look), TILE):
            output, weights = look.tile(start, min(start + TILE, len(look)))
            outputs.append(output)
            self._visit(look, start, weights)
        self._left -= 1
        if self._left == 0:
            raise Enough
        return outputs


_readers: dict[nn.Module, _Reader] = {}
"""Attention module, or what it lies in -> who reads it; it stands here only while its network is locked for this reader."""


def read(
    model: LanguageModel,
    sequence: Encoded,
    kind: AttentionKind,
    layers: Collection[int],
    visit: Visit,
    poll: Callable[[], None],
) -> None:
    """One teacher-forced pass over `sequence`, as far as the last of these layers, whose weights go to `visit` as they are made.

    The other layers run the kernel that the model always runs.
    """
    every = anatomy.attention_sites(model.network.module)
    sites = {layer: every[kind, layer] for layer in layers}
    in_tiles = all(map(tiled, sites.values()))
    kernel = KERNELS.get(model.network.kernel, KERNELS["eager"]) if in_tiles else "eager"
    reach = _through_kernel if in_tiles else _whole
    reader = _Reader(sites, visit)
    threads = model.pass_threads(len(sequence))
    with model.running(poll, kernel=kernel, threads=threads) as module, reach(reader, sites), suppress(Enough):
        anatomy.logits(module, anatomy.parts(model.ids(sequence.ids), sequence.encoder_length))


@contextmanager
def _through_kernel(reader: _Reader, sites: dict[int, anatomy.Site]) -> Iterator[None]:
    """Our kernel finds the reader of a layer."""
    _readers.update(dict.fromkeys(reader.layers, reader))
    try:
        yield
    finally:
        for part in reader.layers:
            del _readers[part]


@contextmanager
def _whole(reader: _Reader, sites: dict[int, anatomy.Site]) -> Iterator[None]:
    """The reader gets whole maps, as they come out of the eager kernel of an architecture of its own ways."""

    def hook(layer: int, index: int) -> Callable[[nn.Module, Any, Any], None]:
        def read(part: nn.Module, args: Any, output: Any) -> None:
            reader.read(Given(layer, output[index][0].float()))

        return read

    handles = [site.module.register_forward_hook(hook(layer, site.index)) for layer, site in sites.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _kernel(plain: str) -> Callable[..., tuple[torch.Tensor, Any]]:
    """An attention function as transformers calls it: the plain one, but for layers that somebody reads."""

    def forward(
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, Any]:
        reader = _readers.get(module)
        if reader is None:
            function = _eager(module) if plain == "eager" else ALL_ATTENTION_FUNCTIONS[plain]
            return function(module, query, key, value, attention_mask, **options)
        said = options.pop("is_causal", None)
        causal = (
            attention_mask is None
            and plain != "eager"
            and (getattr(module, "is_causal", True) if said is None else said)
        )
        look = Look(reader.layers[module], module, query, key, value, attention_mask, causal, 0, options)
        return torch.cat(reader.read(look), dim=1), None

    return forward


KERNELS = {plain: f"candor_{plain}" for plain in ("eager", "sdpa")}
"""Kernel that transformers chose -> ours, which also reads."""
for _plain, _name in KERNELS.items():
    ALL_ATTENTION_FUNCTIONS.register(_name, _kernel(_plain))
    ALL_MASK_ATTENTION_FUNCTIONS.register(_name, ALL_MASK_ATTENTION_FUNCTIONS[_plain])
