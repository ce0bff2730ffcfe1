"""Keys and values of many texts at once: with room ahead, and taken up again at any place of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from model_utils import anatomy

ROOM = 64
"""Positions that are made at a time."""


class RoomyLayer(DynamicLayer):
    """The keys and values of one layer in a block with room ahead, so that a token adds a row to it, where a plain one is made anew."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.hold(key_states[:, :, :0], value_states[:, :, :0], 0)

    def hold(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        """These blocks, of which so many positions are known, and the rest is room."""
        if not self.is_initialized:
            super().lazy_initialization(keys, values)
        self._blocks = keys, values
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(text, head, position, width) all keys and values so far, these included."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, stop = self.keys.shape[2], self.keys.shape[2] + key_states.shape[2]
        if stop > self._blocks[0].shape[2]:
            self.hold(_with_room(self.keys, stop), _with_room(self.values, stop), start)
        for block, more in zip(self._blocks, (key_states, value_states), strict=True):
            block[:, :, start:stop] = more
        self.hold(*self._blocks, stop)
        return self.keys, self.values


def _with_room(held: torch.Tensor, stop: int) -> torch.Tensor:
    texts, heads, length, width = held.shape
    block = held.new_empty((texts, heads, -(-stop // ROOM) * ROOM, width))
    block[:, :, :length] = held
    return block


def roomy(module: PreTrainedModel) -> DynamicCache | None:
    """An empty cache for this module; None where it keeps something else than all keys and values: a window, a state, an encoder."""
    config = module.config.get_text_config(decoder=True)
    if module.config.is_encoder_decoder or not anatomy.accepts(module, "past_key_values"):
        return None
    cache = DynamicCache(config=config)
    if not all(type(layer) is DynamicLayer for layer in cache.layers):
        return None
    cache.layers = [RoomyLayer() for _ in cache.layers]
    return cache


@dataclass(frozen=True, eq=False)
class Held:
    """The keys and values of one text among those of others."""

    cache: DynamicCache
    row: int
    start: int
    """the position of its first token"""
    length: int
    """how many of its tokens are known"""


def taken_up(module: PreTrainedModel, rows: Sequence[Held], lengths: Sequence[int], room: int) -> DynamicCache:
    """(row, ...) a cache of the first `lengths` positions of each, padded in front to the longest of them, with `room` for more behind. All
    rows come from the same cache."""
    whole, longest = rows[0].cache, max(1, *lengths)
    device = whole.layers[0].keys.device
    chosen = torch.as_tensor([one.row for one in rows], device=device)
    first = torch.as_tensor([one.start - longest + length for one, length in zip(rows, lengths, strict=True)])
    places = first.to(device)[:, None] + torch.arange(longest + room, device=device)
    places = places.clamp(0, whole.get_seq_length() - 1)
    found = roomy(module)
    assert found is not None
    for layer, held in zip(found.layers, whole.layers, strict=True):
        keys, values = (
            one.transpose(1, 2)[chosen[:, None], places].transpose(1, 2) for one in (held.keys, held.values)
        )
        layer.hold(keys, values, longest)
    return found


def bytes_of_a_position(cache: DynamicCache) -> int:
    """What one text's keys and values of one position take, in all layers."""
    return sum(
        one.shape[1] * one.shape[3] * one.element_size() for layer in cache.layers for one in (layer.keys, layer.values)
    )
