"""Models in memory: planned before they are read, opened safely, kept up to a number of bytes, and switched in one place."""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from model_utils import anatomy, checkpoints, heap
from model_utils.checkpoints import Checkpoint, Stored
from model_utils.contracts.common import Dtype, ModelFacts, ModelSpec, Specs
from model_utils.errors import NoRoom, Refused
from model_utils.network import Network
from model_utils.pair import Pair
from model_utils.reporting import Report

transformers_logging.disable_progress_bar()
heap.give_back_large_blocks()

CORES = torch.get_num_threads()
"""How many torch begins with; a pass may run inside another that was given fewer."""
SMALL = 50_000_000
"""Below this many parameters one thread decodes faster than several: starting the others costs more than they bring."""
SHORT = 4_000_000_000
"""Additions and multiplications of a pass that one core does in some 20 ms."""

MEMORY = "CANDOR_MEMORY_GIB"
"""Environment variable: how much memory models may take in all, in GiB; else three fifths of the machine's."""
SPARE = 1.1
"""Loading takes this much more than the weights: buffers, and tensors on their way from one type to another."""

UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    ImportError,
    SafetensorError,
    StrictDataclassError,
)
"""What transformers and peft raise on files that are damaged, of another kind, or in need of a package that is not here."""

# --- models -----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class LanguageModel:
    """A network, perhaps with an adapter on, its tokenizer and what is known about it. Touch the module only inside `running`."""

    facts: ModelFacts
    tokenizer: PreTrainedTokenizerBase
    network: Network
    stop_ids: frozenset[int]
    """tokens that end a turn"""
    plan: Plan
    """how it was opened"""
    adapter: str | None = None
    cores: int = 0
    """how many it may take, where another model is read at the same time; 0: all"""

    @property
    def device(self) -> torch.device:
        return self.network.module.get_input_embeddings().weight.device

    @property
    def batch_threads(self) -> int:
        """Cores for a token of several texts at once."""
        return 1 if self.facts.parameters < SMALL else self.cores or CORES

    @property
    def decode_threads(self) -> int:
        """Cores for a token of one text: half of them, so that two sides can write at once, and as many when one writes alone, for the same bits."""
        return max(1, self.batch_threads // 2)

    def pass_threads(self, tokens: int) -> int:
        """Cores for one pass over so many tokens: a short one takes one, because two wait for each other, long when a browser wants a core too."""
        return 1 if 2 * self.facts.parameters * tokens < SHORT else self.cores or CORES

    @contextmanager
    def running(
        self,
        poll: Callable[[], None] = lambda: None,
        kernel: str = "own",
        gradients: bool = False,
        threads: int | None = None,
    ) -> Iterator[PreTrainedModel]:
        """The module, with its switches set and afterwards restored; may be entered again inside itself.

        `poll` is called before every layer, forward and back. A report's `breathe` lets another job run right there, inside the
        pass: give it where the pass has no hook of its own and no batched gradients, else its `poll`. The kernel is the one that
        transformers chose at load ('own'), or another one by its name: the eager one also gives the attention weights.
        """
        network, module = self.network, self.network.module
        with network.lock, torch.set_grad_enabled(gradients):
            before = network.poll, module.config._attn_implementation, torch.get_num_threads(), network.adapter
            wanted = network.kernel if kernel == "own" else kernel
            network.poll = poll
            network.switch(self.adapter)
            if gradients:
                network.leave_inference()
            if wanted != before[1]:
                module.set_attn_implementation(wanted)
            if threads and threads != before[2]:
                torch.set_num_threads(threads)
            network.passes += 1
            try:
                yield module
            finally:
                network.passes -= 1
                network.poll = before[0]
                network.switch(before[3])
                if wanted != before[1]:
                    module.set_attn_implementation(before[1])
                if threads and threads != before[2]:
                    torch.set_num_threads(before[2])

    def ids(self, ids: Sequence[int] | np.ndarray) -> torch.Tensor:
        """(1, token) on this model's device."""
        return torch.as_tensor(ids, dtype=torch.long, device=self.device)[None]


# --- how a pair is opened, decided before any weight is read ------------------------------------------------------------


@dataclass
class Plan:
    """How one side is opened, and why so."""

    spec: ModelSpec
    checkpoint: Checkpoint
    adapter: Checkpoint | None
    stored: Stored
    dtype: str
    dtype_reason: str
    device: str
    device_reason: str
    signature: str
    """of the model's files"""
    adapter_signature: str
    quantized: bool

    @property
    def network_key(self) -> tuple[str, str, str]:
        """Equal keys share their weights."""
        return self.signature, self.dtype, self.device

    @property
    def bytes(self) -> int:
        """Estimate of what its weights take in memory."""
        return self.stored.bytes if self.quantized else self.stored.parameters * getattr(torch, self.dtype).itemsize


def plan_pair(
    specs: Specs, limit: int, report: Report, placed: Mapping[tuple[str, str], str] | None = None
) -> Pair[Plan]:
    """Both sides with one dtype, never two: what is named, else float32 where both fit into `limit` bytes, else bfloat16.

    `placed` says on which device the weights of a (signature, dtype) are already.
    """
    plans = specs.map(lambda spec: _plan(spec, report))
    named: set[Dtype] = {spec.dtype for _, spec in specs.items()} - {"auto"}
    if len(named) > 1:
        raise Refused(
            f"The base is asked for in {specs.base.dtype} and the tuned model in {specs.tuned.dtype}; differences between number formats would look like differences between models, so give both the same."
        )
    dtype, reason = (named.pop(), "as asked") if named else _automatic_dtype(plans, limit)
    for _, plan in plans.items():
        plan.dtype, plan.dtype_reason = dtype, reason
        if plan.quantized:
            plan.dtype_reason = f"{reason}; the weights stay in the few bits that the model's own configuration says"
    automatic = _automatic_device(plans, placed or {})
    for _, plan in plans.items():
        plan.device, plan.device_reason = _named_device(plan) or automatic
    return plans


def _plan(spec: ModelSpec, report: Report) -> Plan:
    checkpoint, adapter = checkpoints.obtain(spec, report)
    return Plan(
        spec=spec,
        checkpoint=checkpoint,
        adapter=adapter,
        stored=checkpoints.stored(checkpoints.weight_files(checkpoint.folder)),
        dtype="float32",
        dtype_reason="",
        device="cpu",
        device_reason="",
        signature=checkpoints.signature(checkpoint.folder),
        adapter_signature=checkpoints.signature(adapter.folder) if adapter else "",
        quantized="quantization_config" in checkpoints.configuration(checkpoint.folder),
    )


def together(plans: Pair[Plan]) -> int:
    """Bytes of the weights of both sides; shared ones count once."""
    return sum({plan.network_key: plan.bytes for _, plan in plans.items()}.values())


def _automatic_dtype(plans: Pair[Plan], limit: int) -> tuple[Dtype, str]:
    needed = together(plans)
    if needed <= limit:
        return "float32", f"both sides fit in float32: {_gib(needed)} of {_gib(limit)}"
    return (
        "bfloat16",
        f"in float32 both sides would take {_gib(needed)}, more than the {_gib(limit)} allowed; bfloat16 rounds every number to about 3 digits, on both sides alike",
    )


def _named_device(plan: Plan) -> tuple[str, str] | None:
    """(device, why) of a placement that is named; 'auto' as a device lets accelerate spread the layers. None: nothing is named."""
    placement = plan.spec.placement
    if placement == "auto":
        return None
    if placement == "cpu":
        return "cpu", "as asked"
    if not torch.cuda.is_available():
        raise Refused(
            f"{plan.spec.name} is asked for on a GPU, and torch finds none on this machine; choose auto or cpu."
        )
    if placement == "cuda":
        return "cuda", "as asked"
    return "auto", f"spread over {torch.cuda.device_count()} GPUs as asked"


def _automatic_device(plans: Pair[Plan], placed: Mapping[tuple[str, str], str]) -> tuple[str, str]:
    """One device for both sides: the GPU where all that is not on it yet fits, else the processor."""
    if not torch.cuda.is_available():
        return "cpu", "torch finds no GPU here"
    missing = {
        plan.network_key: plan.bytes
        for _, plan in plans.items()
        if placed.get((plan.signature, plan.dtype)) != "cuda" and plan.spec.placement == "auto"
    }
    free, needed = torch.cuda.mem_get_info()[0], sum(missing.values()) * SPARE
    if needed > free:
        return "cpu", f"the weights of both sides take {_gib(needed)} more, and the GPU has {_gib(free)} free"
    return "cuda", "both sides fit on the GPU"


def _gib(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def default_budget() -> int:
    """Bytes that models may take in all: CANDOR_MEMORY_GIB, else three fifths of the machine's memory."""
    given = os.environ.get(MEMORY)
    return int(float(given) * 2**30) if given else int(psutil.virtual_memory().total * 0.6)


# --- opening ----------------------------------------------------------------------------------------------------------


def open_network(plan: Plan, report: Report) -> Network:
    """The weights, read without any request to the network and without running code from the folder."""
    folder = plan.checkpoint.folder
    with _refusing(folder), _told(plan.spec.name, report):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        module, problems = family.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, plan.dtype),
            output_loading_info=True,
            device_map={"cpu": None, "cuda": {"": 0}, "auto": "auto"}[plan.device],
        )
    wrong = sorted(problems["missing_keys"]) + sorted(key for key, *_ in problems["mismatched_keys"])
    if wrong:
        raise Refused(
            f"The weights in {str(folder)!r} lack {len(wrong)} tensors of its architecture ({wrong[0]}, ...), so its answers would be random."
        )
    if plan.dtype in {checkpoints.DTYPE_NAMES.get(dtype) for dtype in plan.stored.dtypes.values()}:
        _own_memory(module)
    module.requires_grad_(False).eval()
    return Network(module)


class _refusing:
    """Turns what transformers raises on files that it cannot read into a sentence; what it does not know goes on as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, raised: BaseException | None, traceback: TracebackType | None) -> None:
        # The tokenizers library raises the bare class Exception.
        if (
            raised is not None
            and not isinstance(raised, Refused)
            and (isinstance(raised, UNREADABLE) or kind is Exception)
        ):
            raise Refused(_cannot_open(self._folder, raised)) from raised


def _cannot_open(folder: Path, error: BaseException) -> str:
    config = checkpoints.configuration(folder)
    if "auto_map" in config:
        return f"The model in {str(folder)!r} brings its own program ({config['auto_map']}), which Candor does not run; only architectures that transformers itself knows are opened."
    return (
        f"The model in {str(folder)!r} cannot be opened: {' '.join(str(error).split())[:300] or type(error).__name__}"
    )


@contextmanager
def _told(name: str, report: Report) -> Iterator[None]:
    """Transformers' own progress bar tells the report while weights are read, and lets it cancel."""

    class Told(transformers_logging.EmptyTqdm):
        def __iter__(self) -> Iterator[Any]:
            items = list(self._iterator)
            for i, item in enumerate(items):
                report.breathe(same_models=False)
                if i % 8 == 0:
                    report(i / len(items), f"loading {name}")
                yield item

    before = transformers_logging.set_tqdm_hook(lambda factory, args, kwargs: Told(*args, **kwargs))
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(before)


def _own_memory(module: PreTrainedModel) -> None:
    """Weights that need no conversion are read as a map of their file: without a copy, writing to the file would change the loaded model or end the process."""
    for parameter in module.parameters():
        if parameter.device.type == "cpu":
            parameter.data = parameter.data.clone()


def open_tokenizer(plan: Plan) -> PreTrainedTokenizerBase:
    """The adapter's tokenizer where it brings one, else the model's."""
    folder = plan.checkpoint.folder
    if plan.adapter is not None and (plan.adapter.folder / "tokenizer.json").is_file():
        folder = plan.adapter.folder
    with _refusing(plan.checkpoint.folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise Refused(
            f"The tokenizer in {str(folder)!r} cannot tell which characters a token covers; add its tokenizer.json."
        )
    return tokenizer


def _facts(plan: Plan, module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> ModelFacts:
    heads, encoder_heads = anatomy.heads(module)
    return ModelFacts(
        id=plan.spec.name,
        architecture=type(module).__name__,
        parameters=plan.stored.parameters,
        layers=len(anatomy.layers(module)),
        heads=heads,
        context=anatomy.context(module, tokenizer.model_max_length),
        vocabulary=anatomy.vocabulary(module),
        dtype=plan.dtype,
        encoder_decoder=anatomy.is_encoder_decoder(module),
        encoder_heads=encoder_heads,
        attention=tuple(anatomy.attention_sites(module)),
        quantized=plan.quantized,
    )


def _stop_ids(module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    configured = module.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in [*ids, tokenizer.eos_token_id] if i is not None)


# --- keeping --------------------------------------------------------------------------------------------------------


class ModelManager:
    """Keeps networks in memory up to a number of bytes; the least recently used goes first, never one in use."""

    def __init__(self, budget_bytes: int | None = None) -> None:
        self.budget_bytes = default_budget() if budget_bytes is None else budget_bytes
        self._networks: OrderedDict[tuple, Network] = OrderedDict()
        self._models: dict[tuple, LanguageModel] = {}
        """(network's key, adapter's signature, name) -> model"""
        self._in_use: Counter[tuple] = Counter()
        self._loading: dict[tuple, int] = {}
        """bytes that networks on their way will take"""
        self._lock = threading.RLock()  # a load may let another job in, which loads too

    @contextmanager
    def using(self, specs: Specs, report: Report) -> Iterator[Pair[LanguageModel]]:
        """Both models; weights that are asked for twice, or still in memory with unchanged files, are loaded once."""
        with self._lock:
            limit = min(self.budget_bytes, checkpoints.free_memory() + self._held())
            placed = {(signature, dtype): device for signature, dtype, device in self._networks}
        plans = plan_pair(specs, limit, report, placed)
        keys = plans.map(lambda plan: plan.network_key)
        with self._lock:
            self._in_use.update(keys.sides)
        try:
            with self._lock:
                plans.map(self._part_kinds)
                new = self._make_room(plans)
                try:
                    models = plans.map(lambda plan: self._get(plan, report))
                finally:
                    for key in new:
                        self._loading.pop(key, None)
            yield models
        finally:
            with self._lock:
                self._in_use.subtract(keys.sides)

    def _part_kinds(self, plan: Plan) -> None:
        """PEFT lays adapters of one kind only over a network: another kind gets a network of its own."""
        network = self._networks.get(plan.network_key)
        if network is None or plan.adapter is None or not network.kind:
            return
        if checkpoints.adapter_kind(plan.adapter.folder) != network.kind:
            self._drop(plan.network_key)

    def _get(self, plan: Plan, report: Report) -> LanguageModel:
        report.poll()
        if plan.network_key not in self._networks:
            report(0.0, f"loading {plan.spec.name}")
            self._networks[plan.network_key] = open_network(plan, report)
            self._loading.pop(plan.network_key, None)
        network = self._networks[plan.network_key]
        self._networks.move_to_end(plan.network_key)
        key = (plan.network_key, plan.adapter_signature, plan.spec.name)
        if key not in self._models:
            self._models[key] = self._dress(plan, network)
            _check_unchanged(plan)
        self._models[key].plan = plan  # why it is opened so depends on the other side too
        return self._models[key]

    def _dress(self, plan: Plan, network: Network) -> LanguageModel:
        """The network with its tokenizer, and with its adapter laid over it."""
        if plan.adapter is not None and plan.adapter_signature not in self._adapters(plan.network_key):
            try:
                network.lay(plan.adapter.folder, plan.adapter_signature)
            except UNREADABLE as error:
                self._drop(plan.network_key)  # what a failed adapter left in it is not built on; who uses it keeps it
                if isinstance(error, Refused):
                    raise
                raise Refused(
                    f"The adapter {plan.spec.adapter!r} does not fit {plan.spec.id!r}: {' '.join(str(error).split())[:300]}"
                ) from error
        tokenizer = open_tokenizer(plan)
        module = network.module
        return LanguageModel(
            _facts(plan, module, tokenizer),
            tokenizer,
            network,
            _stop_ids(module, tokenizer),
            plan,
            plan.adapter_signature or None,
        )

    def _adapters(self, network_key: tuple) -> set[str]:
        return {adapter for network, adapter, _ in self._models if network == network_key}

    def _make_room(self, plans: Pair[Plan]) -> set[tuple]:
        """Drops networks that nobody uses until the new ones fit, and reserves their bytes; returns their keys.

        Refused, with figures, when they cannot fit; NoRoom when they can as soon as other work lets go of its networks.
        """
        new = {plan.network_key: plan for _, plan in plans.items() if plan.network_key not in self._networks}
        needed = int(sum(plan.bytes for plan in new.values()))
        on_cpu = int(sum(plan.bytes for plan in new.values() if plan.device != "cuda") * SPARE)
        for key in list(self._networks):
            full = self._held() + needed > self.budget_bytes or on_cpu > checkpoints.free_memory()
            if full and self._in_use[key] <= 0:
                self._drop(key)
        if needed and self._held() + needed > self.budget_bytes:
            others = self._held_by_others(plans)
            fits = self._held() - others + needed <= self.budget_bytes
            raise (NoRoom if fits else Refused)(
                _too_large(plans, needed, self._held(), self.budget_bytes, "Candor may use")
            )
        free = checkpoints.free_memory()
        if on_cpu > free:
            fits = on_cpu <= free + self._held_by_others(plans)
            raise (NoRoom if fits else Refused)(_too_large(plans, on_cpu, 0, free, "this machine has free"))
        self._loading.update({key: plan.bytes for key, plan in new.items()})
        return set(new)

    def _held(self) -> int:
        """Bytes of the networks that are here or on their way."""
        return sum(network.bytes for network in self._networks.values()) + sum(self._loading.values())

    def _held_by_others(self, plans: Pair[Plan]) -> int:
        own = {plan.network_key for plan in plans.sides}
        return sum(network.bytes for key, network in self._networks.items() if key not in own)

    def _drop(self, key: tuple) -> None:
        self._networks.pop(key, None)
        self._models = {one: model for one, model in self._models.items() if one[0] != key}
        gc.collect()  # hooks refer back to their network


def _too_large(plans: Pair[Plan], needed: int, held: int, limit: int, what: str) -> str:
    names = " and ".join(dict.fromkeys(plan.spec.name for _, plan in plans.items()))
    beside = f" beside the {_gib(held)} of models in use" if held else ""
    return f"{names} take {_gib(needed)} in {plans.base.dtype}{beside}, and {what} {_gib(limit)}; choose smaller models, bfloat16, or close other programs."


def _check_unchanged(plan: Plan) -> None:
    folder = plan.checkpoint.folder
    if checkpoints.signature(folder) != plan.signature:
        raise Refused(f"The files in {str(folder)!r} changed while they were read; ask again when they are complete.")


manager = ModelManager()
