"""Models in memory: loading from safetensors, one lock a network, and the one place where a network's switches are turned."""

from __future__ import annotations

import gc
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from model_utils import anatomy, checkpoints
from model_utils.contracts.common import ModelFacts, ModelSpec, Specs
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.reporting import Report

transformers_logging.disable_progress_bar()

SMALL = 50_000_000
"""Below this many parameters one thread decodes faster than several: starting the others costs more than they bring."""

BUDGET_BYTES = 6 << 30

UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    SafetensorError,
)
"""What transformers raises on files that are damaged or of another kind."""


@dataclass(eq=False)
class Network:
    """Weights, the lock that guards their switches, and who is asked at every layer whether to go on."""

    module: nn.Module
    lock: threading.RLock = field(default_factory=threading.RLock)
    poll: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        for layer in anatomy.layers(self.module):
            layer.register_forward_pre_hook(self._before_layer, with_kwargs=True)

    def _before_layer(self, layer: nn.Module, args: tuple, kwargs: dict) -> None:
        """Polls in the forward, and through the hidden states' gradient hook in the backward, so that a long pass stops half-way."""
        self.poll()
        hidden = args[0] if args else kwargs["hidden_states"]
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: self.poll())


@dataclass(eq=False)
class LanguageModel:
    """A network, its tokenizer and what is known about it. Touch the module only inside `running`."""

    facts: ModelFacts
    tokenizer: PreTrainedTokenizerBase
    network: Network
    stop_ids: frozenset[int]
    """tokens that end a turn"""

    @property
    def device(self) -> torch.device:
        return self.network.module.device

    @property
    def decode_threads(self) -> int:
        return 1 if self.facts.parameters < SMALL else torch.get_num_threads()

    @contextmanager
    def running(
        self,
        poll: Callable[[], None] = lambda: None,
        kernel: Literal["sdpa", "eager"] = "sdpa",
        gradients: bool = False,
        threads: int | None = None,
    ) -> Iterator[nn.Module]:
        """The module, with its switches set and afterwards restored; may be entered again inside itself.

        `poll` is called before every layer, forward and back. A report's `breathe` lets another job run right there, inside the
        pass: give it where the pass has no hook of its own and no batched gradients, else its `poll`.
        """
        network = self.network
        with network.lock, torch.set_grad_enabled(gradients):
            before = network.poll, network.module.config._attn_implementation, torch.get_num_threads()
            network.poll = poll
            if kernel != before[1]:
                network.module.set_attn_implementation(kernel)
            if threads and threads != before[2]:
                torch.set_num_threads(threads)
            try:
                yield network.module
            finally:
                network.poll = before[0]
                if kernel != before[1]:
                    network.module.set_attn_implementation(before[1])
                if threads and threads != before[2]:
                    torch.set_num_threads(before[2])

    def ids(self, ids: Sequence[int] | np.ndarray) -> torch.Tensor:
        """(1, token) on this model's device."""
        return torch.as_tensor(ids, dtype=torch.long, device=self.device)[None]


def load(spec: ModelSpec) -> LanguageModel:
    """A model from its folder, float32, without any request to the network; Refused where the files cannot be read."""
    folder = checkpoints.locate(spec)
    before = checkpoints.signature(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        module, problems = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        weights = checkpoints.weights_digest(folder)
    except UNREADABLE as error:
        raise Refused(
            f"The model in {str(folder)!r} cannot be opened: {' '.join(str(error).split())[:300] or type(error).__name__}"
        ) from error
    if problems["missing_keys"]:
        names = sorted(problems["missing_keys"])
        raise Refused(
            f"The weights in {str(folder)!r} lack {len(names)} tensors of its architecture ({names[0]}, ...), so its answers would be random."
        )
    if not tokenizer.is_fast:
        raise Refused(
            f"The tokenizer in {str(folder)!r} cannot tell which characters a token covers; add its tokenizer.json."
        )
    _own_memory(module)
    if checkpoints.signature(folder) != before:
        raise Refused(f"The files in {str(folder)!r} changed while they were read; ask again when they are complete.")
    module.requires_grad_(False).eval().to("cuda" if torch.cuda.is_available() else "cpu")
    return LanguageModel(_facts(spec, module, weights), tokenizer, Network(module), _stop_ids(module, tokenizer))


def _own_memory(module: nn.Module) -> None:
    """Float32 weights are read as a map of their file: without a copy, writing to the file would change the loaded model or end the process."""
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()


def _facts(spec: ModelSpec, module: nn.Module, weights: str) -> ModelFacts:
    config = module.config.get_text_config()
    return ModelFacts(
        id=spec.id,
        architecture=type(module).__name__,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        context=config.max_position_embeddings,
        vocabulary=module.get_output_embeddings().weight.shape[0],
        dtype=str(module.dtype).removeprefix("torch."),
        weights=weights,
    )


def _stop_ids(module: nn.Module, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    configured = module.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in [*ids, tokenizer.eos_token_id] if i is not None)


class ModelManager:
    """Keeps models in memory up to a number of bytes; the least recently used goes first, never one in use."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self.budget_bytes = budget_bytes
        self._models: OrderedDict[str, LanguageModel] = OrderedDict()
        self._in_use: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def using(self, specs: Specs, report: Report) -> Iterator[Pair[LanguageModel]]:
        """Both models; one that is asked for twice, or still in memory with unchanged files, is loaded once."""
        keys = specs.map(lambda spec: checkpoints.signature(checkpoints.locate(spec)) + spec.id)
        with self._lock:
            self._in_use.update(keys.sides)
        try:
            with self._lock:
                models = keys.zip(specs).map(lambda one: self._get(*one, report))
                self._shrink()
            yield models
        finally:
            with self._lock:
                self._in_use.subtract(keys.sides)

    def _get(self, key: str, spec: ModelSpec, report: Report) -> LanguageModel:
        report.poll()
        if key not in self._models:
            report(0.0, f"loading {spec.id}")
            self._models[key] = load(spec)
        self._models.move_to_end(key)
        return self._models[key]

    def _shrink(self) -> None:
        sizes = {key: _bytes(model.network.module) for key, model in self._models.items()}
        for key in list(self._models):
            if sum(sizes[key] for key in self._models) > self.budget_bytes and self._in_use[key] <= 0:
                del self._models[key]
                gc.collect()  # hooks refer back to their network


def _bytes(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.parameters())


manager = ModelManager()
