"""Attention maps: what every head of one layer looks at, or all layers together, read from the model's own attention as it passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from model_utils import anatomy, capture, checkpoints
from model_utils.contracts.attention import Attention, AttentionRequest, Reduction
from model_utils.contracts.common import AttentionKind, Encoded, queries_and_keys
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE, shared_sequence
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from model_utils.texts import own_sequences

MAX_BYTES = 1 << 30
"""Largest set of maps that is made, in bytes a side."""
FREE_SHARE = 4
"""Into how many parts free memory goes: the maps of two sides, and as much again while they are shown."""
WHOLE = 3
"""How many times the whole map of an attention that cannot be read in parts is in memory: logits, weights, their copy."""


def attention(pair: Pair[LanguageModel], request: AttentionRequest, report: Report) -> Attention:
    """All heads of one layer in both models, or one map of all layers, over the shared sequence or over each side's own."""
    pair.map(lambda model: check(model, request))
    sequences = _sequences(pair, request, report)
    for model, sequence in pair.zip(sequences).sides:
        check_memory(model, sequence, request)
    weights = {}
    for number, side in enumerate(SIDES):
        report(ANSWER_SHARE + (1 - ANSWER_SHARE) * number / 2, "reading attention")
        weights[side] = maps(pair[side], sequences[side], request, report.poll)
        report.breathe()
    return Attention(
        models=pair.map(lambda model: model.facts),
        sequences=sequences,
        shared=request.own is None,
        layer=request.layer if request.reduction == "heads" else None,
        weights=Pair(**weights),
        attention_kind=request.attention_kind,
        reduction=request.reduction,
        value_weighted=request.value_weighted,
    )


# --- what each side reads -----------------------------------------------------------------------------------------------


def _sequences(pair: Pair[LanguageModel], request: AttentionRequest, report: Report) -> Pair[Encoded]:
    if request.own is None:
        sequence = shared_sequence(pair, request, report)
        return Pair(sequence, sequence)
    return own_sequences(pair, request, request.own, report)


# --- the maps of one model ----------------------------------------------------------------------------------------------


def maps(
    model: LanguageModel, sequence: Encoded, request: AttentionRequest, poll: Callable[[], None] = lambda: None
) -> np.ndarray:
    """(head, query, key) float32; for all layers there is one 'head'.

    Weights are the softmax of Vaswani et al. 2017, eq. 1. Beside the result only some queries of one layer are alive, and where one
    layer is asked for the pass ends there.
    """
    kind, reduction = request.attention_kind, request.reduction
    layers = (request.layer,) if reduction == "heads" else model.facts.attention_layers(kind)
    shape = (model.facts.heads_of(kind), *_lengths(sequence, kind))
    kept: _Kept = (_Weighted if request.value_weighted else KEPT[reduction])(shape, len(layers))
    capture.read(model, sequence, kind, layers, kept, poll)
    assert kept.maps.shape[1:] == shape[1:], f"{kind} maps of shape {kept.maps.shape}, wanted {shape}"
    return kept.maps


def _lengths(sequence: Encoded, kind: AttentionKind) -> tuple[int, int]:
    """(how many tokens look, how many are looked at)"""
    queries, keys = queries_and_keys(sequence, kind)
    return len(queries), len(keys)


class _Kept:
    """What is kept of the layers that pass: `maps`, (head, query, key) float32."""

    def __init__(self, shape: tuple[int, int, int], layers: int) -> None:
        self.maps, self.layers = np.zeros(shape, dtype=np.float32), layers

    def __call__(self, look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        self.cells(start, weights)[...] = weights.cpu().numpy()

    def cells(self, start: int, weights: torch.Tensor) -> np.ndarray:
        """Where a tile stands; keys behind its last one are looked at by nobody in it."""
        return self.maps[:, start : start + weights.shape[1], : weights.shape[2]]


class _Weighted(_Kept):
    """Each weight times the norm of what the head passes on from that key, rows normalised; of a head that passes nothing on they are empty."""

    def __call__(self, look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        assert isinstance(look, capture.Look), "without values"
        if start == 0:
            self.norms = _passed_on(look)
        weighted = weights * self.norms[:, None, : weights.shape[2]]
        super().__call__(look, start, weighted / weighted.sum(-1, keepdim=True).clamp_min(TINY))


class _Mean(_Kept):
    """One map: the mean over all heads of all layers."""

    def __init__(self, shape: tuple[int, int, int], layers: int) -> None:
        super().__init__((1, *shape[1:]), layers)

    def __call__(self, look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        self.cells(start, weights)[...] += weights.mean(0).cpu().numpy() / self.layers


class _Strongest(_Mean):
    """One map: the largest weight that any head of any layer has there."""

    def __call__(self, look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        cells = self.cells(start, weights)
        np.maximum(cells, weights.amax(0).cpu().numpy(), out=cells)


class _Rollout(_Mean):
    """One map: R = (0.5 A + 0.5 I) R' from layer to layer, from R' = I, with A the mean of the heads (Abnar & Zuidema 2020, eq. 1)."""

    def __init__(self, shape: tuple[int, int, int], layers: int) -> None:
        super().__init__(shape, layers)
        np.fill_diagonal(self.maps[0], 1)
        self.layer, self.before = -1, np.empty_like(self.maps)

    def __call__(self, look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        if look.layer != self.layer:
            self.layer, self.before, self.maps = look.layer, self.maps, self.before
        mean = weights.mean(0).cpu().numpy()
        rows, before = slice(start, start + len(mean)), self.before[0]
        self.maps[0, rows] = 0.5 * mean @ before[: mean.shape[1]] + 0.5 * before[rows]


KEPT: dict[Reduction, type[_Kept]] = {"heads": _Kept, "mean": _Mean, "max": _Strongest, "rollout": _Rollout}
TINY = torch.finfo(torch.float32).tiny


def _passed_on(look: capture.Look) -> torch.Tensor:
    """(head, key) float32; ||W_O v||, the length of what a head passes on from a key (Kobayashi et al. 2020, eq. 5), without the output's bias."""
    (heads, width), values = (look.query.shape[1], look.value.shape[3]), look.value[0].float()
    projection = anatomy.output_projection(anatomy.Site(look.module, 0))
    # Called and not read: whatever form its weights have, and with the adapter that is on.
    given = torch.eye(heads * width, dtype=look.value.dtype, device=look.value.device)
    matrix = (projection(given) - projection(torch.zeros_like(given[:1]))).float().view(heads, width, -1)
    shared = heads // len(values)  # query heads that look with one key head
    return torch.stack([(values[head // shared] @ matrix[head]).norm(dim=-1) for head in range(heads)])


# --- what cannot be shown -------------------------------------------------------------------------------------------------

WHERE: dict[AttentionKind, str] = {"self": "", "encoder": " in its encoder", "cross": " between decoder and encoder"}


def check(model: LanguageModel, request: AttentionRequest) -> None:
    """What is known before there is an answer."""
    facts, kind, layer = model.facts, request.attention_kind, request.layer
    layers = capture.check_kind(model, kind)
    if request.reduction == "rollout" and kind == "cross":
        raise Refused(
            "Rollout follows the look from layer to layer through one text, and cross-attention looks from one text into another; choose the mean or the strongest of all heads, or rollout in the encoder or the decoder."
        )
    if request.reduction == "heads" and layer not in layers:
        listed = f"0 to {layers[-1]}" if layers == tuple(range(len(layers))) else ", ".join(map(str, layers))
        count = layers[-1] + 1 if kind == "encoder" else facts.layers
        what = "no layer" if layer >= count else "no attention in layer"
        raise Refused(f"{facts.id} has {what} {layer}{WHERE[kind]}; its layers with attention are {listed}.")
    if request.value_weighted:
        _check_values(model, kind, layer)


def _check_values(model: LanguageModel, kind: AttentionKind, layer: int) -> None:
    site = anatomy.attention_sites(model.network.module)[kind, layer]
    if not capture.tiled(site):
        raise Refused(
            f"{model.facts.id} is a {model.facts.architecture}, which shows the weights of its attention and not the values that they weigh; choose maps that are not weighted by values."
        )
    anatomy.output_projection(site)


def _in_tiles(model: LanguageModel, kind: AttentionKind) -> bool:
    sites = anatomy.attention_sites(model.network.module)
    return all(capture.tiled(site) for (one, _), site in sites.items() if one == kind)


def check_memory(model: LanguageModel, sequence: Encoded, request: AttentionRequest) -> None:
    """Estimated before anything is made."""
    kind, (queries, keys) = request.attention_kind, _lengths(sequence, request.attention_kind)
    heads = model.facts.heads_of(kind)
    maps = {"heads": heads, "mean": 1, "max": 1, "rollout": 2}[request.reduction]
    alive = maps if _in_tiles(model, kind) else maps + WHOLE * heads
    needed, allowed = alive * queries * keys * 4, min(MAX_BYTES, checkpoints.free_memory() // FREE_SHARE)
    if needed > allowed:
        what = "The maps of one layer" if request.reduction == "heads" else "A map of all layers"
        raise Refused(
            f"{what} over {len(sequence):,} tokens take{'' if request.reduction == 'heads' else 's'} {needed / 2**30:.2f} GiB a side, more than the {allowed / 2**30:.2f} GiB that are allowed now; shorten the instruction or the answer, or open the overview of all heads, which keeps only summaries."
        )
