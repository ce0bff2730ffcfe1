"""Attention maps: what every head of one layer looks at, read from the model's own eager forward."""

from __future__ import annotations

import numpy as np
import torch

from model_utils import anatomy
from model_utils.contracts.attention import Attention, AttentionRequest
from model_utils.contracts.common import AttentionKind, Encoded
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, shared_sequence
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report

MAX_BYTES = 1 << 30
"""Largest set of maps that is made, in bytes of float32 a side."""


def attention(pair: Pair[LanguageModel], request: AttentionRequest, report: Report) -> Attention:
    """All heads of one layer in both models over the shared sequence."""
    kind, layer = request.attention_kind, request.layer
    pair.map(lambda model: _check_layer(model, kind, layer))
    sequence = shared_sequence(pair, request, report)
    report(ANSWER_SHARE, "reading attention")
    weights = pair.map(lambda model: layer_maps(model, sequence, kind, layer, report))
    return Attention(pair.map(lambda model: model.facts), sequence, layer, weights, kind)


def layer_maps(model: LanguageModel, sequence: Encoded, kind: AttentionKind, layer: int, report: Report) -> np.ndarray:
    """(head, query, key) float32; the softmax weights of Vaswani et al. 2017, eq. 1; other layers' maps are freed as the forward passes on."""
    _check_memory(model, kind, len(sequence))
    kept: list[torch.Tensor] = []
    with model.running(report.poll, kernel="eager") as module:
        site = anatomy.attention_sites(module)[kind, layer]
        hook = site.module.register_forward_hook(lambda _, args, output: kept.append(output[site.index]))
        try:
            anatomy.logits(module, anatomy.parts(model.ids(sequence.ids), sequence.encoder_length))
        finally:
            hook.remove()
    weights = kept[0][0].float().cpu().numpy()
    length = sequence.encoder_length
    queries = length if kind == "encoder" else len(sequence) - length
    keys = len(sequence) - length if kind == "self" else length
    assert weights.shape[1:] == (queries, keys), f"{kind} maps of shape {weights.shape} for {queries} by {keys} tokens"
    return weights


WHERE: dict[AttentionKind, str] = {"self": "", "encoder": " in its encoder", "cross": " between decoder and encoder"}


def _check_layer(model: LanguageModel, kind: AttentionKind, layer: int) -> None:
    facts = model.facts
    if not facts.attention:
        what = "whose attention Candor cannot read" if facts.heads else "whose layers have no attention"
        raise Refused(
            f"{facts.id} is a {facts.architecture}, {what}, so there are no maps to show; the other pages work with it."
        )
    layers = facts.attention_layers(kind)
    if not layers:
        kinds = " or ".join(dict.fromkeys(kind for kind, _ in facts.attention))
        raise Refused(f"{facts.id} has no attention of the kind '{kind}'; it has {kinds}.")
    if layer not in layers:
        listed = f"0 to {layers[-1]}" if layers == tuple(range(len(layers))) else ", ".join(map(str, layers))
        what = "no layer" if layer >= facts.layers else "no attention in layer"
        raise Refused(f"{facts.id} has {what} {layer}{WHERE[kind]}; its layers with attention are {listed}.")


def _check_memory(model: LanguageModel, kind: AttentionKind, tokens: int) -> None:
    needed = model.facts.heads_of(kind) * tokens * tokens * 4
    if needed > MAX_BYTES:
        raise Refused(
            f"One layer's maps over {tokens:,} tokens take {needed / 2**30:.1f} GiB a side, more than the {MAX_BYTES / 2**30:.0f} GiB allowed; shorten the instruction or the answer."
        )
