"""Attention maps: what every head of one layer looks at, read from the model's own eager forward."""

from __future__ import annotations

import numpy as np
import torch

from model_utils import anatomy
from model_utils.contracts.attention import Attention, AttentionRequest
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, shared_sequence
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report

MAX_BYTES = 1 << 30
"""Largest set of maps that is made, in bytes of float32 a side."""


def attention(pair: Pair[LanguageModel], request: AttentionRequest, report: Report) -> Attention:
    """All heads of one layer in both models over the shared sequence."""
    pair.map(lambda model: _check_layer(model, request.layer))
    sequence = shared_sequence(pair, request, report)
    report(ANSWER_SHARE, "reading attention")
    weights = pair.map(lambda model: layer_maps(model, sequence.ids, request.layer, report))
    return Attention(pair.map(lambda model: model.facts), sequence, request.layer, weights)


def layer_maps(model: LanguageModel, ids: np.ndarray, layer: int, report: Report) -> np.ndarray:
    """(head, query, key) float32; the softmax weights of Vaswani et al. 2017, eq. 1; other layers' maps are freed as the forward passes on."""
    _check_memory(model, len(ids))
    kept: list[torch.Tensor] = []
    with model.running(report.poll, kernel="eager") as module:
        hook = anatomy.attention(anatomy.layers(module)[layer]).register_forward_hook(
            lambda _, args, output: kept.append(output[1])
        )
        try:
            module(input_ids=model.ids(ids), use_cache=False, logits_to_keep=1)
        finally:
            hook.remove()
    weights = kept[0][0].float().cpu().numpy()
    assert weights.shape[1:] == (len(ids), len(ids)), f"maps of shape {weights.shape} for {len(ids)} tokens"
    return weights


def _check_layer(model: LanguageModel, layer: int) -> None:
    if layer >= model.facts.layers:
        raise Refused(f"{model.facts.id} has no layer {layer}; its layers are 0 to {model.facts.layers - 1}.")


def _check_memory(model: LanguageModel, tokens: int) -> None:
    needed = model.facts.heads * tokens * tokens * 4
    if needed > MAX_BYTES:
        raise Refused(
            f"One layer's maps over {tokens:,} tokens take {needed / 2**30:.1f} GiB a side, more than the {MAX_BYTES / 2**30:.0f} GiB allowed; shorten the instruction or the answer."
        )
