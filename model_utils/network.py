"""One network: its weights, the lock that guards its switches, and the adapters that lie over it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from model_utils import anatomy, checkpoints
from model_utils.errors import Refused

PROBE = np.arange(5, 13)
"""Ids of a short text that shows whether two states of a network compute the same."""

KINDS = ("LORA", "ADALORA", "LOHA", "LOKR", "VERA", "IA3")
"""PEFT's names of the adapters that only change weights, and can be switched off."""


@dataclass(eq=False)
class Network:
    """Weights, the lock that guards their switches, and who is asked at every layer whether to go on."""

    module: PreTrainedModel
    lock: threading.RLock = field(default_factory=threading.RLock)
    poll: Callable[[], None] = field(default=lambda: None)
    passes: int = 0
    """how many are under way, one inside another; a thread beside one of them would wait for its lock"""
    kernel: str = ""
    """the attention kernel that transformers chose at load"""
    adapter: str | None = None
    """the adapter that is switched on"""
    embeds: bool | None = None
    """whether embeddings alone give the logits that ids give; None: not tried yet"""
    bytes: int = 0
    """of all weights, an adapter's included, as counted when the last of them came; shared ones count once"""
    kind: str = ""
    """PEFT's name of the adapters that lie over it, which are all of one kind"""
    _peft: Any = None
    _plain: torch.Tensor | None = None
    """what it computed on the probe before the first adapter was laid over it"""
    switches: dict[Any, frozenset[str]] = field(default_factory=dict)
    """every part of the network that an adapter can change -> the adapters that do"""

    def __post_init__(self) -> None:
        self.kernel = self.module.config._attn_implementation
        self._count()
        for stack in anatomy.stacks(self.module):
            for layer in stack:
                layer.register_forward_pre_hook(self._before_layer, with_kwargs=True)

    def _before_layer(self, layer: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        """Polls in the forward, and through the hidden states' gradient hook in the backward, so that a long pass stops half-way."""
        self.poll()
        hidden = args[0] if args else kwargs["hidden_states"]
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: self.poll())

    def _count(self) -> None:
        tensors = [*self.module.parameters(), *self.module.buffers()]
        self.bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def switch(self, adapter: str | None) -> None:
        """Turn one adapter on, or all off. PEFT's own methods also set `requires_grad` on every call, which costs more than a small model's token."""
        if adapter == self.adapter:
            return
        for part, carried in self.switches.items():
            part._disable_adapters = adapter is None
            if adapter is not None:  # PEFT looks for an active adapter in the parts when it lays the next one on
                part._active_adapter = [adapter] if adapter in carried else []
        self.adapter = adapter

    def leave_inference(self) -> None:
        """Some architectures fill tables of positions when they first meet a longer text; those made while writing could enter no gradient."""
        for part in self.module.modules():
            for name, buffer in part.named_buffers(recurse=False):
                if buffer.is_inference():
                    setattr(part, name, buffer.clone())

    @property
    def mixes(self) -> bool:
        """Whether rows of one batch can stand under different adapters: every part that an adapter changed is a plain LoRA."""
        from peft.tuners.lora import layer

        plain = [type(part) in (layer.Linear, layer.Embedding) and not part.lora_variant for part in self.switches]
        return bool(plain) and all(plain)

    @contextmanager
    def mixed(self, adapters: Sequence[str | None]) -> Iterator[None]:
        """Inside it each row of a batch is computed under an adapter of its own (None: without), as PEFT's `adapter_names` does."""
        names = [adapter or "__base__" for adapter in adapters]
        handles = [
            part.register_forward_pre_hook(
                lambda _, args, kwargs: (args, {**kwargs, "adapter_names": names}), with_kwargs=True
            )
            for part in self.switches
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def lay(self, folder: Path, name: str) -> None:
        """Load a PEFT adapter over the weights, which stay where they are; it is off until it is switched on."""
        from peft import PeftConfig, PeftModel
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper

        self._check_kind(PeftConfig.from_pretrained(str(folder)), folder)
        on = self.adapter
        self.switch(None)
        self._plain = self.probe() if self._plain is None else self._plain
        device = str(self.module.device)
        try:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(self.module, str(folder), adapter_name=name, torch_device=device)
            else:
                self._peft.load_adapter(str(folder), adapter_name=name, torch_device=device)
            self._check_all_used(folder, name)
        finally:
            self.module.requires_grad_(False).eval()
            kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
            parts = [part for part in self.module.modules() if isinstance(part, kinds)]
            self.switches = {part: frozenset(part._get_available_adapters()) for part in parts}
            self.adapter = name
            self.switch(None)
            self.switch(on)
            self._count()
        if not self.restores_base():
            raise Refused(
                f"The adapter in {str(folder)!r} changes what its base computes even when it is off, so the two sides could not be told apart; merge it into its base once and open the result as a model of its own."
            )

    def restores_base(self) -> bool | None:
        """Whether it computes, with all adapters off, the same bits as before the first was laid on; None: there was none."""
        if self._plain is None:
            return None
        on = self.adapter
        self.switch(None)
        same = torch.equal(self._plain, self.probe())
        self.switch(on)
        return same

    def _check_kind(self, config: Any, folder: Path) -> None:
        kind = str(getattr(config.peft_type, "value", config.peft_type))
        if kind not in KINDS or getattr(config, "alora_invocation_tokens", None):
            raise Refused(
                f"The adapter in {str(folder)!r} is of the kind {kind}, and Candor lays {', '.join(KINDS)} over a model (LoRA with fixed places only); merge it into its base once, or give another."
            )
        self.kind = kind
        self._check_leaves_base(folder, tuple(getattr(config, "modules_to_save", None) or ()))

    def _check_leaves_base(self, folder: Path, saved: tuple[str, ...]) -> None:
        """An adapter that carries the base's own tensors (embeddings made longer, say) would write over them."""
        own = {name.replace(".base_layer.", ".") for name in self.module.state_dict()}
        for name in checkpoints.stored([folder / checkpoints.ADAPTER_WEIGHTS]).shapes:
            plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
            if plain in own and not any(part in plain.split(".") for part in saved):
                raise Refused(
                    f"The adapter in {str(folder)!r} carries its own copy of {plain!r}, which would overwrite the base that both sides share; merge it into its base once and open the result as a model of its own."
                )

    def _check_all_used(self, folder: Path, name: str) -> None:
        """PEFT only warns of tensors that find no place."""
        from peft import get_peft_model_state_dict

        given = checkpoints.stored([folder / checkpoints.ADAPTER_WEIGHTS]).shapes
        # With its default, 'auto', this asks the Hub for the base that the adapter names.
        wanted = get_peft_model_state_dict(self._peft, adapter_name=name, save_embedding_layers=False)
        odd = sorted(set(given) ^ set(wanted))
        if odd:
            raise ValueError(f"{len(odd)} tensors are in one and not in the other ({odd[0]}, ...)")

    @torch.no_grad()
    def probe(self, embedded: bool = False) -> torch.Tensor:
        """(1, vocabulary) logits after a short text, given as ids or as their embeddings."""
        ids = torch.as_tensor(PROBE % anatomy.vocabulary(self.module), device=self.module.device)[None]
        poll, self.poll = self.poll, lambda: None
        try:
            parts = anatomy.parts(ids, len(PROBE) // 2 if anatomy.is_encoder_decoder(self.module) else 0)
            return anatomy.logits(self.module, anatomy.embed(self.module, parts) if embedded else parts)
        finally:
            self.poll = poll

    def embeds_alone(self) -> bool:
        """Whether the model computes from embeddings what it computes from ids; some families read the ids elsewhere too."""
        if self.embeds is None:
            expected, found = self.probe(), self.probe(embedded=True)
            scale = float(expected.nan_to_num(0, 0, 0).abs().max())
            self.embeds = torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * scale, equal_nan=True)
        return self.embeds
