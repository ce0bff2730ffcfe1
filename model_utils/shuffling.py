"""Weights shuffled for a while: the layers of a network forget what they learned, and get every bit back."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from model_utils import anatomy, checkpoints
from model_utils.errors import Refused
from model_utils.loading import LanguageModel

Shuffle = Callable[[int, int], None]
"""Shuffles the weights of a layer; the second number says which time it is."""


@contextmanager
def shuffling(
    model: LanguageModel, seed: int, poll: Callable[[], None], threads: int | None = None
) -> Iterator[Shuffle]:
    """Inside it the given function shuffles layers; at the end, whatever happened, every weight has its own bits again.

    A weight tensor's entries change places at random, norms and biases too: it keeps its distribution, nothing is assumed of how it
    was initialised, and one whose entries are all alike stays as it is. Tensors of one shape, name and layer are shuffled alike in every
    network. The network's lock is held throughout, so that whoever else runs it waits. Of each shuffled layer a copy is kept in the
    processor's memory: of all layers together as much as they take themselves. `threads`: cores for every pass inside it.
    """
    kept: dict[nn.Parameter, torch.Tensor] = {}

    def shuffle(layer: int, draw: int) -> None:
        for name, weight in _weights(model, layer):
            poll()
            if weight not in kept:  # also met in another layer, where layers share their weights
                kept[weight] = weight.detach().to("cpu", copy=True)
            generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {draw} {layer} {name}".encode()))
            places = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.data.copy_(weight.data.flatten()[places].view_as(weight))

    with model.running(poll, threads=threads):
        try:
            yield shuffle
        finally:
            for weight, original in kept.items():
                weight.data.copy_(original)


def _weights(model: LanguageModel, layer: int) -> Iterator[tuple[str, nn.Parameter]]:
    """Name within the layer as without adapter, and tensor: what this side computes with, and of adapters its own one only."""
    others = frozenset[str]().union(*model.network.switches.values()) - {model.adapter}
    for name, weight in anatomy.layers(model.network.module)[layer].named_parameters():
        parts = name.split(".")
        if not others & set(parts) and weight.is_floating_point():
            extra = {"base_layer", "original_module", "modules_to_save", model.adapter}
            yield ".".join(part for part in parts if part not in extra), weight


def obstacle(model: LanguageModel) -> str:
    """Why the weights of this model cannot be shuffled; '' where they can."""
    if model.facts.quantized:
        return f"the weights of {model.facts.id} are packed into the few bits of its own configuration and cannot be shuffled"
    if any(weight.is_meta for weight in _every_weight(model)):
        return f"{model.facts.id} is spread, and its weights come to its devices only while they compute, so that they cannot be shuffled"
    return ""


def check(model: LanguageModel) -> None:
    """Refused where the weights cannot be shuffled, or their copy does not fit into memory."""
    why = obstacle(model)
    if why:
        raise Refused(f"{why[0].upper()}{why[1:]}; open it unquantised and on one device for this check.")
    weights, free = _every_weight(model), checkpoints.free_memory()
    order = max(
        (12 * weight.numel() for weight in weights), default=0
    )  # the places and the moved entries of one tensor
    size = sum(weight.nbytes for weight in weights) + order
    if size > free:
        raise Refused(
            f"Shuffling the layers of {model.facts.id} takes {size / 2**30:.2f} GiB, because a copy of them is kept meanwhile, and this machine has {free / 2**30:.2f} GiB free; close other programs or choose a smaller model."
        )


def _every_weight(model: LanguageModel) -> list[nn.Parameter]:
    return [weight for layer in range(model.facts.layers) for _, weight in _weights(model, layer)]
