"""Keys and values of many texts at once: with room ahead, and taken up again at any place of them."""

from __future__ import annotations

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
        super().lazy_initialization(key_states, value_states)
        self._blocks = tuple(one.new_empty((*one.shape[:2], 0, one.shape[3])) for one in (key_states, value_states))
        self.keys, self.values = self._blocks

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(text, head, position, width) all keys and values so far, these included."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, stop = self.keys.shape[2], self.keys.shape[2] + key_states.shape[2]
        if stop > self._blocks[0].shape[2]:
            self._blocks = tuple(_with_room(one, stop) for one in (self.keys, self.values))
        for block, more in zip(self._blocks, (key_states, value_states), strict=True):
            block[:, :, start:stop] = more
        self.keys, self.values = (block[:, :, :stop] for block in self._blocks)
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


def taken_up(module: PreTrainedModel, cache: DynamicCache, texts: torch.Tensor, lengths: torch.Tensor) -> DynamicCache:
    """A cache of the first `lengths` (row,) positions of these `texts` (row,) of another one, padded in front to the longest of them."""
    longest = max(1, int(lengths.max()))
    places = (torch.arange(longest, device=lengths.device) - (longest - lengths)[:, None]).clamp(min=0)
    found = roomy(module)
    assert found is not None
    for layer, held in zip(found.layers, cache.layers, strict=True):
        kept = (one.transpose(1, 2)[texts[:, None], places].transpose(1, 2) for one in (held.keys, held.values))
        layer.update(*kept)
    return found


def bytes_of_a_position(cache: DynamicCache) -> int:
    """What one text's keys and values of one position take, in all layers."""
    return sum(
        one.shape[1] * one.shape[3] * one.element_size() for layer in cache.layers for one in (layer.keys, layer.values)
    )
