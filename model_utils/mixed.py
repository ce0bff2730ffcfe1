"""Both sides of an adapter pair as one batch of two rows over their shared weights, each row under its own adapter."""

from __future__ import annotations

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from model_utils import anatomy
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report


def mixes(pair: Pair[LanguageModel], caches: Pair[object]) -> bool:
    """Whether one batch computes exactly what the sides compute in turn: shared weights, LoRA only, plain caches of one decoder."""
    network, module = pair.base.network, pair.base.network.module
    return (
        network is pair.tuned.network
        and network.mixes
        and anatomy.accepts(module, "position_ids")
        and all(isinstance(cache, DynamicCache) and _plain(cache) for _, cache in caches.items())
    )


def _plain(cache: DynamicCache) -> bool:
    return all(type(layer) is DynamicLayer for layer in cache.layers)


class MixedWriter:
    """The next logits of both sides in one pass; the shorter side's past is padded on the left and masked."""

    def __init__(self, pair: Pair[LanguageModel], caches: Pair[DynamicCache]) -> None:
        self._pair = pair
        device = pair.base.device
        lengths = caches.map(lambda cache: cache.get_seq_length()).sides
        longest = max(lengths)
        self._places = torch.tensor(lengths, device=device)
        """(side,) how many tokens each side has read"""
        self._mask = torch.arange(longest, device=device)[None] >= longest - self._places[:, None]
        """(side, token) bool; False where the shorter side is padded"""
        self._cache = DynamicCache()
        for number, layers in enumerate(zip(caches.base.layers, caches.tuned.layers, strict=True)):
            keys, values = (
                torch.cat([_padded(getattr(layer, name), longest) for layer in layers]) for name in ("keys", "values")
            )
            self._cache.update(keys, values, number)

    @torch.inference_mode()
    def logits(self, ids: Pair[int], report: Report, threads: int | None) -> torch.Tensor:
        """(side, vocabulary) float32 after each side has read one more token."""
        model = self._pair.tuned
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        # `poll`, not `breathe`: while the rows are mixed no other job may use this network.
        with model.running(report.poll, threads=threads) as module, model.network.mixed(self._adapters()):
            output = module(
                input_ids=torch.tensor([[id] for _, id in ids.items()], device=model.device),
                attention_mask=self._mask.long(),
                position_ids=self._places[:, None],
                past_key_values=self._cache,
                use_cache=True,
                **({"logits_to_keep": 1} if anatomy.accepts(module, "logits_to_keep") else {}),
            )
        self._places = self._places + 1
        return output.logits[:, -1].float()

    def _adapters(self) -> tuple[str | None, ...]:
        return self._pair.map(lambda model: model.adapter).sides


def _padded(states: torch.Tensor, length: int) -> torch.Tensor:
    """(1, head, length, dim): zeros on the left of (1, head, token, dim)."""
    return torch.nn.functional.pad(states, (0, 0, length - states.shape[2], 0))
