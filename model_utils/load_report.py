"""The checks at load: what each side is, how it was opened, how the two differ, and which analyses will work."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from model_utils import anatomy, checkpoints, generation, prompts, shuffling
from model_utils.contracts.common import ModelFacts, Relation, ask
from model_utils.contracts.load_report import (
    Ability,
    Identity,
    LoadReport,
    LoadReportRequest,
    Opening,
    attention_said,
)
from model_utils.errors import Refused
from model_utils.loading import CORES, LanguageModel
from model_utils.network import Network
from model_utils.pair import Pair
from model_utils.reporting import Report

RELATIONS: dict[Relation, str] = {
    "equal": "Both tokenizers are the same",
    "compatible": "The tokenizers differ, but tokens that both have carry the same ids, and texts in ten scripts and a program are cut alike",
    "different": "The tokenizers cut texts into different tokens, so that insides cannot be laid side by side and answers are compared on the pieces of text that both cut out",
}

IN_PIECES = "compared on the pieces of text that both tokenizers cut out"
PLAIN_TEXT = "BBQ only: a model with an encoder gives plain text, as of CrowS-Pairs and StereoSet, no probability"

Weight = Callable[[], torch.Tensor | None]


def load_report(pair: Pair[LanguageModel], request: LoadReportRequest, report: Report) -> LoadReport:
    """Everything that can be known without asking the models anything; snapshots come before the slow parts, weights and hashes."""
    tokenizers, said = _compare_tokenizers(pair)
    quick = LoadReport(
        models=pair.map(lambda model: model.facts),
        identities=pair.map(_identity),
        openings=Pair(_opening(pair.base, pair.tuned), _opening(pair.tuned, pair.base)),
        shares_weights=pair.base.network is pair.tuned.network,
        adapter_restores_base=_restores_base(pair),
        tokenizers=tokenizers,
        tokenizers_said=said,
        tensor_names=(),
        tensor_layers=np.zeros(0, dtype=np.int64),
        tensor_sizes=np.zeros(0, dtype=np.int64),
        tensor_norms=np.zeros(0),
        tensor_differences=np.zeros(0),
        tensor_changed=np.zeros(0),
        abilities=_abilities(pair, tokenizers),
        unfinished=("how far the weights differ", "the hashes of the files"),
    )
    report(0.0, "comparing weights", quick)
    compared = replace(quick, **_compare_weights(pair, report), unfinished=("the hashes of the files",))
    report(0.5, "hashing", compared)
    identities = pair.map(lambda model: _hashed(model, request.hash_again, report))
    return replace(compared, identities=identities, unfinished=())


# --- identity -------------------------------------------------------------------------------------------------------


def _identity(model: LanguageModel) -> Identity:
    """Without the hashes of weights, which take time."""
    plan, template = model.plan, model.tokenizer.chat_template
    disk = plan.stored.bytes
    if plan.adapter is not None:
        disk += (plan.adapter.folder / checkpoints.ADAPTER_WEIGHTS).stat().st_size
    return Identity(
        source=plan.checkpoint.source,
        folder=str(plan.checkpoint.folder),
        commit=plan.checkpoint.commit,
        weights="",
        tokenizer=_sha(model.tokenizer.backend_tokenizer.to_str()),
        template=_sha(str(template)) if template else None,
        adapter=None,
        disk_bytes=disk,
        memory_bytes=model.network.bytes,
    )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _hashed(model: LanguageModel, again: bool, report: Report) -> Identity:
    plan = model.plan
    weights = checkpoints.digest(checkpoints.weight_files(plan.checkpoint.folder), report, again)
    adapter = None
    if plan.adapter is not None:
        adapter = checkpoints.digest([plan.adapter.folder / checkpoints.ADAPTER_WEIGHTS], report, again)
    return replace(_identity(model), weights=weights, adapter=adapter)


# --- prompts --------------------------------------------------------------------------------------------------------


def _opening(model: LanguageModel, other: LanguageModel) -> Opening:
    plan = model.plan
    return Opening(
        dtype=plan.dtype,
        dtype_reason=plan.dtype_reason,
        device=str(model.device),
        device_reason=plan.device_reason,
        kernel=model.network.kernel,
        threads=CORES,
        instructions=torch.cuda.get_device_name(model.device)
        if model.device.type == "cuda"
        else torch.backends.cpu.get_cpu_capability(),
        template_source=_template_source(model, other),
        bos=_bos(model),
        tokens=len(model.tokenizer),
    )


def _template_source(model: LanguageModel, other: LanguageModel) -> str:
    if generation.template(model):
        return "its own"
    if generation.template(other):
        return f"none of its own; the chat format borrows the one of {other.facts.id}"
    return "none on either side; the chat format is not available"


def _bos(model: LanguageModel) -> str:
    """What stands at the beginning of a plain and of a chat prompt."""
    tokenizer = model.tokenizer
    if tokenizer.bos_token_id is None:
        return "this tokenizer has none"
    token = tokenizer.bos_token
    plain = prompts.puts_bos(tokenizer)
    said = f"plain text gets {token} in front" if plain else f"plain text begins without {token}"
    source = generation.template(model)
    if not source:
        return said
    try:
        text = prompts.chat_text(tokenizer, ask("a"), source)
    except Refused as refused:
        return f"{said}; the chat template cannot be filled in ({type(refused.__cause__).__name__})"
    chat = f"the chat template writes {token}" if text.startswith(token) else f"the chat template writes no {token}"
    return f"{said}; {chat}"


def _compare_tokenizers(pair: Pair[LanguageModel]) -> tuple[Relation, str]:
    tokenizers = pair.map(lambda model: model.tokenizer)
    base, tuned = tokenizers.map(len).sides
    found = prompts.relation(tokenizers)
    sizes = f"{base:,} and {tuned:,} entries; {pair.base.facts.vocabulary:,} and {pair.tuned.facts.vocabulary:,} rows in the models"
    return found, f"{RELATIONS[found]} ({sizes})."


# --- weights --------------------------------------------------------------------------------------------------------


@dataclass
class _Compared:
    name: str
    layer: int
    size: int
    norm: float
    difference: float
    changed: float


def _compare_weights(pair: Pair[LanguageModel], report: Report) -> dict:
    base, tuned = pair.map(lambda model: effective_weights(model.network, model.adapter)).sides
    layers = pair.base.network.module, pair.tuned.network.module
    names = list(dict.fromkeys([*base, *tuned]))
    rows: list[_Compared] = []
    for i, name in enumerate(names):
        report.breathe()
        report(0.5 * i / len(names), "comparing weights")
        rows.append(_compared(name, base.get(name), tuned.get(name), layers))
    return {
        "tensor_names": tuple(row.name for row in rows),
        "tensor_layers": np.array([row.layer for row in rows], dtype=np.int64),
        "tensor_sizes": np.array([row.size for row in rows], dtype=np.int64),
        "tensor_norms": np.array([row.norm for row in rows], dtype=np.float64),
        "tensor_differences": np.array([row.difference for row in rows], dtype=np.float64),
        "tensor_changed": np.array([row.changed for row in rows], dtype=np.float64),
    }


@torch.no_grad()
def _compared(name: str, base: Weight | None, tuned: Weight | None, modules: tuple) -> _Compared:
    layer = max(layer_of(module, name) for module in modules)
    nan = float("nan")
    left, right = base() if base else None, tuned() if tuned else None
    if left is None or right is None:
        norm = float(left.float().norm()) if left is not None and left.is_floating_point() else nan
        size = max(one.numel() if one is not None else 0 for one in (left, right))
        return _Compared(name, layer, size, norm, nan, nan)
    size = left.numel()
    norm = float(torch.linalg.vector_norm(left, dtype=torch.float32)) if left.is_floating_point() else nan
    if left.shape[1:] != right.shape[1:] or left.dtype != right.dtype:
        return _Compared(name, layer, size, norm, nan, nan)
    rows = min(len(left), len(right))
    left, right = left[:rows], right[:rows].to(left.device)
    if left.data_ptr() == right.data_ptr():
        return _Compared(name, layer, size, norm, 0.0, 0.0)
    changed = float((right != left).float().mean())
    if not left.is_floating_point():  # packed numbers: how far they moved is not theirs to say
        return _Compared(name, layer, size, norm, nan if changed else 0.0, changed)
    return _Compared(name, layer, size, norm, float(torch.linalg.vector_norm(right.float() - left.float())), changed)


def layer_of(module: torch.nn.Module, name: str) -> int:
    """Layer of the decoder or only stack that a parameter lies in; -1 outside."""
    for number, prefix in _layer_prefixes(module):
        if name.startswith(prefix):
            return number
    return -1


def _layer_prefixes(module: torch.nn.Module) -> Iterator[tuple[int, str]]:
    stack = anatomy.layers(module)
    path = next(path for path, child in module.named_modules() if child is stack)
    return ((number, f"{path}.{number}.") for number in range(len(stack)))


def effective_weights(network: Network, adapter: str | None) -> dict[str, Weight]:
    """Name -> the weight that the network computes with, an adapter's change laid in; names as without adapter.

    A weight is None where the adapter changes what is computed by more than a sum.
    """
    found: dict[str, Weight] = {}
    own: set[str] = set()
    for path, part in network.module.named_modules():
        if not any(part is one for one in network.switches):
            continue
        changed = adapter is not None and _holds(part, adapter)
        for name, parameter in [*part.named_parameters(), *part.named_buffers()]:
            inner = name.removeprefix("base_layer.").removeprefix("original_module.")
            if inner == name:
                own.add(f"{path}.{name}")
            elif changed and name.startswith("original_module."):
                saved = dict(part.modules_to_save[adapter].named_parameters())[inner]
                found[f"{path}.{inner}"] = partial(_itself, saved)
            elif changed:
                found[f"{path}.{inner}"] = _changed(part, parameter, inner, str(adapter))
    stored = network.module.state_dict().keys()
    buffers = ((name, buffer) for name, buffer in network.module.named_buffers() if name in stored)
    for name, parameter in [*network.module.named_parameters(), *buffers]:
        if name not in own:
            plain = name.replace(".base_layer.", ".").replace(".original_module.", ".")
            found.setdefault(plain, partial(_itself, parameter))
    return found


def _holds(part: torch.nn.Module, adapter: str) -> bool:
    """Whether this adapter has a share in this part."""
    names = ("modules_to_save", *getattr(part, "adapter_layer_names", ()))
    return any(adapter in getattr(part, name, ()) for name in names)


def _changed(part: torch.nn.Module, parameter: torch.Tensor, name: str, adapter: str) -> Weight:
    """W + delta for the kinds of adapter that are a sum (Hu et al. 2021, eq. 3, and its relatives); None for the others."""
    from peft.tuners import adalora, loha, lokr, lora, vera

    sums = (lora.Linear, lora.Embedding, adalora.SVDLinear, loha.Linear, lokr.Linear, vera.Linear)
    variant = adapter in getattr(part, "lora_variant", ()) or getattr(part, "lora_bias", {}).get(adapter, False)
    if not isinstance(part, sums) or variant:
        return _unknown
    if name != "weight":
        return partial(_itself, parameter)
    return lambda: parameter + part.get_delta_weight(adapter).to(parameter.dtype)


def _itself(weight: torch.Tensor) -> torch.Tensor:
    return weight


def _unknown() -> None:
    return None


def _restores_base(pair: Pair[LanguageModel]) -> bool | None:
    """None where no side has an adapter, even if another pair laid one over the same weights."""
    laid = [model for model in pair.sides if model.adapter]
    if not laid:
        return None
    with laid[-1].running():
        return laid[-1].network.restores_base()


# --- abilities ------------------------------------------------------------------------------------------------------


def _abilities(pair: Pair[LanguageModel], tokenizers: Relation) -> tuple[Ability, ...]:
    facts = pair.map(lambda model: model.facts)
    no_heads = _no_attention(facts) or _not_alike(pair, tokenizers) or _no_layer_in_common(facts)
    apart, no_start = IN_PIECES if _not_alike(pair, tokenizers) else "", _no_start(pair)
    return (
        Ability("generation", True, ""),
        Ability("shift", True, IN_PIECES if tokenizers == "different" else ""),
        Ability("survey", True, IN_PIECES if tokenizers == "different" else ""),
        _ability("attention", _no_attention(facts) or _not_alike(pair, tokenizers), _kinds(facts)),
        _ability("atlas", no_heads, _kinds(facts)),
        _ability("ablation", no_heads, _kinds(facts)),
        _ability("attribution", no_start, _joined(apart, _without_gradients(pair))),
        _ability("faithfulness", no_start, apart),
        _ability("density", _no_slopes(pair), ""),
        _ability("agreement", no_start, _joined(apart, _without_gradients(pair))),
        _ability("randomisation", no_start or _cannot_shuffle(pair), _joined(apart, _without_gradients(pair))),
        _ability("reasoning", no_start, ""),
        _ability("robustness", no_start, ""),
        _ability("bias", no_start, ""),
        _ability("calibration", no_start, ""),
        _ability("published", no_start, PLAIN_TEXT if any(one.encoder_decoder for one in facts.sides) else ""),
        _ability("instructions", no_start, ""),
        _ability("findings", no_start, ""),
    )


def _ability(analysis: str, obstacle: str, note: str) -> Ability:
    return Ability(analysis, not obstacle, obstacle or note)


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _not_alike(pair: Pair[LanguageModel], tokenizers: Relation) -> str:
    """Why the insides of the two cannot be laid side by side."""
    with_encoder = pair.map(lambda model: model.facts.encoder_decoder)
    if with_encoder.base != with_encoder.tuned:
        return "one side has an encoder and the other has none"
    if tokenizers == "different":
        return "the tokenizers cut texts into different tokens"
    return _other_starts(pair) if with_encoder.base else ""


def _no_start(pair: Pair[LanguageModel]) -> str:
    """Why the decoder of one of the two cannot begin."""
    try:
        for model in pair.sides:
            if model.facts.encoder_decoder:
                anatomy.decoder_start(model.network.module)
    except Refused as refused:
        return str(refused).rstrip(".")
    return ""


def _other_starts(pair: Pair[LanguageModel]) -> str:
    if said := _no_start(pair):
        return said
    starts = pair.map(lambda model: anatomy.decoder_start(model.network.module))
    return "" if starts.base == starts.tuned else "the two decoders begin with different tokens"


def _no_attention(facts: Pair[ModelFacts]) -> str:
    without = [one.id for _, one in facts.items() if not one.attention]
    return (
        f"the attention of {' and '.join(dict.fromkeys(without))} cannot be read, or there is none" if without else ""
    )


def _no_layer_in_common(facts: Pair[ModelFacts]) -> str:
    """Why no head of one side has a counterpart."""
    common = set(facts.base.attention_layers("self")) & set(facts.tuned.attention_layers("self"))
    return "" if common else "no layer has attention in both models"


def _kinds(facts: Pair[ModelFacts]) -> str:
    said = facts.map(attention_said)
    whole = facts.map(lambda one: one.attention_layers("self") == tuple(range(one.layers)) and not one.encoder_decoder)
    if whole.base and whole.tuned:
        return ""
    return said.base if said.base == said.tuned else f"base: {said.base}; tuned: {said.tuned}"


def _cannot_shuffle(pair: Pair[LanguageModel]) -> str:
    """Why the weights of one of the two cannot be shuffled."""
    return next(filter(None, pair.map(shuffling.obstacle).sides), "")


def _without_gradients(pair: Pair[LanguageModel]) -> str:
    """Which methods work where some do not."""
    why = _no_slopes(pair)
    how = "taking parts of the text away" if any(model.facts.quantized for model in pair.sides) else "leaving parts of the text out"  # fmt: skip
    return f"by {how}: {why}" if why else ""


def _no_slopes(pair: Pair[LanguageModel]) -> str:
    """Why gradients at the embeddings would not explain one of the two."""
    for _, model in pair.items():
        if model.facts.quantized:
            return f"{model.facts.id} is quantised, and gradients through that are not exact"
    for _, model in pair.items():
        with model.running():
            if not model.network.embeds_alone():
                return f"{model.facts.id} computes something else from embeddings than from tokens"
    return ""
