"""Where layers, attention and embeddings live in a Hugging Face model, and how it is called; the only file that knows names inside a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.pytorch_utils import Conv1D
from transformers.utils.output_capturing import OutputRecorder

from model_utils.contracts.common import UNBOUNDED, AttentionKind
from model_utils.errors import Refused


@dataclass(frozen=True)
class Site:
    """One attention of one layer: under the eager kernel its forward returns the weights (batch, head, query, key) at `index`."""

    module: nn.Module
    index: int


# --- where things are -----------------------------------------------------------------------------------------------


def is_encoder_decoder(module: PreTrainedModel) -> bool:
    """Whether one stack reads the prompt and another writes the answer."""
    return bool(module.config.is_encoder_decoder)


def stacks(module: PreTrainedModel) -> list[nn.ModuleList]:
    """The stacks of layers: the decoder's, after the encoder's where there is one."""
    if is_encoder_decoder(module):
        return [_stack(module.get_encoder()), _stack(module.get_decoder())]
    return [_stack(module)]


def layers(module: PreTrainedModel) -> nn.ModuleList:
    """The layers of the decoder."""
    return stacks(module)[-1]


def _stack(part: nn.Module) -> nn.ModuleList:
    """The list whose length the configuration names; of several the one whose layers weigh most."""
    config = part.config.get_text_config()
    lengths = {
        getattr(config, name, None)
        for name in ("num_hidden_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
    }
    found = [child for child in part.modules() if isinstance(child, nn.ModuleList) and len(child) in lengths]
    if not found:
        raise Refused(
            f"The architecture {type(part).__name__} keeps its layers in no list that Candor knows; choose a model of another architecture."
        )
    return max(found, key=lambda one: sum(parameter.numel() for parameter in one.parameters()))


def attention_sites(module: PreTrainedModel) -> dict[tuple[AttentionKind, int], Site]:
    """(kind, layer) -> where its maps come out, as transformers' own table of recordable outputs says; empty without attention."""
    sites: dict[tuple[AttentionKind, int], Site] = {}
    if not is_encoder_decoder(module):
        return {("self", layer): site for layer, site in _sites(layers(module), module, "attentions")}
    encoder, decoder = module.get_encoder(), module.get_decoder()
    sites |= {("encoder", layer): site for layer, site in _sites(_stack(encoder), encoder, "attentions")}
    sites |= {("self", layer): site for layer, site in _sites(_stack(decoder), decoder, "attentions")}
    return sites | {("cross", layer): site for layer, site in _sites(_stack(decoder), decoder, "cross_attentions")}


def _sites(stack: nn.ModuleList, part: nn.Module, output: str) -> Iterator[tuple[int, Site]]:
    recorders = _recorders(part, output)
    for number, layer in enumerate(stack):
        for name, child in layer.named_modules():
            for recorder in recorders:
                named = recorder.layer_name is None or f".{recorder.layer_name.strip('.')}." in f".{name}."
                if isinstance(child, recorder.target_class) and named:
                    yield number, Site(child, recorder.index)


def _recorders(part: nn.Module, output: str) -> list[OutputRecorder]:
    for child in part.modules():
        table = getattr(child, "_can_record_outputs", None) if isinstance(child, PreTrainedModel) else None
        if table and output in table:
            entries = table[output] if isinstance(table[output], list) else [table[output]]
            return [one if isinstance(one, OutputRecorder) else OutputRecorder(one, index=1) for one in entries]
    return []


def output_projection(site: Site) -> nn.Module:
    """The linear map, with whatever adapter lies over it, from what an attention's heads found, side by side, to the layer's width.

    Of the maps that give back the width that another of them reads it is the last (a square query projection stands before it).
    """
    maps = [(part, *widths) for part, widths in _linear_maps(site.module)]
    found = [part for part, _, written in maps if any(read == written for other, read, _ in maps if other is not part)]
    if not found or len(maps) == 3 == len(found):  # queries, keys and values of one width: the output's is elsewhere
        raise Refused(
            f"The attention of this architecture ({type(site.module).__name__}) has no output projection that Candor knows; choose a model of another architecture."
        )
    return found[-1]


def _linear_maps(part: nn.Module) -> Iterator[tuple[nn.Module, tuple[int, int]]]:
    """(linear map, (width read, width written)), as they are registered; an adapter's own maps are part of the one they lie over."""
    if isinstance(part, Conv1D):
        yield part, (part.nx, part.nf)
    elif isinstance(getattr(part, "in_features", None), int):
        yield part, (part.in_features, part.out_features)
    else:
        for child in part.children():
            yield from _linear_maps(child)


def vocabulary(module: PreTrainedModel) -> int:
    """Rows of the unembedding."""
    return module.get_output_embeddings().weight.shape[0]


def heads(module: PreTrainedModel) -> tuple[int, int]:
    """(query heads a layer of the decoder, of the encoder); 0 where there is no attention, or no encoder."""
    config = module.config.get_text_config()
    common = getattr(config, "num_attention_heads", 0)
    decoder = getattr(config, "decoder_attention_heads", None) or common
    encoder = getattr(config, "encoder_attention_heads", None) or common
    return decoder, encoder if is_encoder_decoder(module) else 0


def context(module: PreTrainedModel, tokenizer_limit: int) -> int:
    """Tokens that the model reads at most: its configuration's limit, else its tokenizer's, else none."""
    config = module.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_target_positions"):
        limit = getattr(config, name, None)
        if isinstance(limit, int) and limit > 0:
            return limit
    return min(tokenizer_limit, UNBOUNDED)


def decoder_start(module: PreTrainedModel) -> tuple[int, ...]:
    """Ids that an encoder-decoder's answer is made to begin with: the start token, and the forced first token where there is one."""
    settings = module.generation_config
    start = settings.decoder_start_token_id
    if start is None:
        start = settings.bos_token_id
    forced = settings.forced_bos_token_id
    if not isinstance(start, int):
        raise Refused(
            f"The configuration of this {type(module).__name__} names no single token that its answers begin with (decoder_start_token_id), so it cannot answer; add it to generation_config.json."
        )
    return (start,) if forced is None else (start, forced)


# --- how it is called -------------------------------------------------------------------------------------------------


def accepts(module: PreTrainedModel, name: str) -> bool:
    """Whether the module's forward names this argument."""
    return name in _arguments(type(module).forward)


@cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)  # as slow as a layer of a small model


Parts = tuple[torch.Tensor, ...]
"""What is read, (1, token) ids or (1, token, hidden) embeddings: by the one stack, or by the encoder and by the decoder."""


def parts(ids: torch.Tensor, encoder_length: int) -> Parts:
    """(1, token) ids, cut between the encoder and the decoder where there is an encoder."""
    return (ids[:, :encoder_length], ids[:, encoder_length:]) if encoder_length else (ids,)


def embed(module: PreTrainedModel, ids: Parts) -> Parts:
    """The input embeddings of each part; encoder and decoder may have tables, and widths, of their own."""
    return tuple(table(part) for table, part in zip(_tables(module)[-len(ids) :], ids, strict=True))


def _tables(module: PreTrainedModel) -> tuple[nn.Module, ...]:
    if not is_encoder_decoder(module):
        return (module.get_input_embeddings(),)
    return module.get_encoder().get_input_embeddings(), module.get_decoder().get_input_embeddings()


def logits(module: PreTrainedModel, read: Parts, rows: torch.Tensor | None = None) -> torch.Tensor:
    """(row, vocabulary) float32: one teacher-forced pass over one text; else as `every_logits`, whose `rows` are the last one without them."""
    return every_logits(module, read, torch.tensor([read[-1].shape[1] - 1]) if rows is None else rows)[0]


def every_logits(module: PreTrainedModel, read: Parts, rows: torch.Tensor, masks: Parts = ()) -> torch.Tensor:
    """(text, row, vocabulary) float32: one teacher-forced pass over texts of one length, whose tokens or embeddings come first in `read`.

    `rows` (row,) are positions in the last part; they lie on the CPU, because a spread model ends on another device than it begins. The row
    at position p is the distribution of the token at p + 1. `masks` (text, token) int64, one a part, are 0 where nobody may look; positions
    are counted over all tokens all the same.
    """
    name = "inputs_embeds" if read[-1].ndim == 3 else "input_ids"
    given: dict[str, Any] = dict(zip((name, f"decoder_{name}") if len(read) == 2 else (name,), read, strict=True))
    given |= dict(zip(("attention_mask", "decoder_attention_mask"), masks, strict=False))
    if masks and len(read) == 1 and accepts(module, "position_ids"):
        given["position_ids"] = torch.arange(read[0].shape[1], device=read[0].device).expand(len(read[0]), -1)
    if accepts(module, "logits_to_keep"):
        given["logits_to_keep"] = rows
    found = module(**given, use_cache=False).logits
    return (found if "logits_to_keep" in given else found[:, rows]).float()


def mean_embeddings(module: PreTrainedModel) -> Parts:
    """(hidden,) the mean over the vocabulary of what `embed` gives, for each part."""
    tables = _tables(module)
    found = []
    for table in tables:
        chunks = torch.arange(table.weight.shape[0], device=table.weight.device).split(8_192)
        found.append(sum(table(ids).double().sum(0) for ids in chunks) / table.weight.shape[0])
    return tuple(found)


def has_rms_norm(module: PreTrainedModel) -> bool:
    """Whether it divides states by their length alone, so that what a state tends to at zero depends on where it comes from."""
    return any("RMSNorm" in type(part).__name__ or type(part).__name__ == "T5LayerNorm" for part in module.modules())


class Writer:
    """One text being written: the module's forward with the cache of its architecture, the encoder's reading kept."""

    def __init__(self, module: PreTrainedModel, encoder_length: int) -> None:
        config = module.config.get_text_config(decoder=True)
        self._encoder_length = encoder_length
        self._name = "cache_params" if accepts(module, "cache_params") else "past_key_values"
        cache: Any = DynamicCache(config=config)
        # Without a configuration: what the encoder read is kept whole, also where the decoder's own window slides.
        self.cache = EncoderDecoderCache(cache, DynamicCache()) if encoder_length else cache
        self._memory: Any = None

    @torch.inference_mode()  # a twentieth faster than without gradients alone
    def logits(self, module: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
        """(vocabulary,) float32 after reading `ids` (1, token): the whole prompt first, then each new token."""
        options: dict[str, Any] = {self._name: self.cache, "use_cache": True}
        if self._encoder_length:
            if self._memory is None:
                self._memory = module.get_encoder()(input_ids=ids[:, : self._encoder_length])
                ids = ids[:, self._encoder_length :]
            options |= {"encoder_outputs": self._memory, "decoder_input_ids": ids}
        else:
            options["input_ids"] = ids
        if accepts(module, "logits_to_keep"):
            options["logits_to_keep"] = 1
        output = module(**options)
        self.cache = output.get(self._name, self.cache)
        return output.logits[0, -1].float()


# --- from the last layer to the logits ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LastStates:
    """What the last stack of layers gave in one teacher-forced pass, before the unembedding."""

    states: torch.Tensor
    """(row, hidden)"""
    output: Any
    """what the stack gave, to be given again with some of these states"""

    def __len__(self) -> int:
        return len(self.states)


class _Enough(Exception):
    """Ends a pass at the end of the last stack: the unembedding of every position would take more memory than the pass."""


def last_states(module: PreTrainedModel, read: Parts, rows: range, twins: int = 1, padding: int = 0) -> LastStates:
    """One pass up to the unembedding; `rows` are consecutive positions in the last part.

    With `twins` the same text stands in the batch so many times, and with `padding` masked positions follow it: neither changes what
    a model computes, but for rounding.
    """
    return every_last_states(module, tuple(part.expand(twins, -1) for part in read), rows, padding)[0]


def every_last_states(module: PreTrainedModel, read: Parts, rows: range, padding: int = 0) -> list[LastStates]:
    """The same for each text of a batch; what an encoder reads may stand in it once for all texts of the decoder."""
    names = ("input_ids",) if len(read) == 1 else ("input_ids", "decoder_input_ids")
    given: dict[str, Any] = dict(zip(names, read, strict=True))
    if padding:
        last, mask = names[-1], "attention_mask" if len(read) == 1 else "decoder_attention_mask"
        given[mask] = nn.functional.pad(torch.ones_like(given[last]), (0, padding))
        given[last] = nn.functional.pad(given[last], (0, padding))
    found: list[Any] = []

    def stop(part: nn.Module, args: Any, output: Any) -> None:
        found.append(output)
        raise _Enough

    def share(part: nn.Module, args: Any, output: Any) -> None:
        output.last_hidden_state = output.last_hidden_state.expand(len(read[-1]), -1, -1)

    handles = [_last_stack(module).register_forward_hook(stop)]
    if len(read) == 2:
        handles.append(module.get_encoder().register_forward_hook(share))
    try:
        module(**given, use_cache=False)
    except _Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()
    every = getattr(found[0], "last_hidden_state", None) if found else None
    if every is None:
        raise Refused(
            f"The architecture {type(module).__name__} gives the states of its last layer in no way that Candor knows, so it cannot be compared token by token; choose a model of another architecture."
        )
    states = every[:, rows.start : rows.stop]
    found[0].last_hidden_state = None  # the rest of it is not needed
    return [LastStates(one.clone(), found[0]) for one in states]


def unembed(module: PreTrainedModel, read: LastStates, chosen: slice) -> torch.Tensor:
    """(row, vocabulary) float32 logits of some rows.

    The module's own forward runs, with a last stack that only gives these states again: scales, biases and soft caps behind it
    are the architecture's own.
    """
    states = read.states[chosen][None]
    given: dict[str, Any] = {"input_ids": torch.zeros(states.shape[:2], dtype=torch.long, device=states.device)}
    if is_encoder_decoder(module):
        given["decoder_input_ids"], given["encoder_outputs"] = given["input_ids"], BaseModelOutput(states)
    part = _last_stack(module)
    wrapped = part.__dict__.get("forward")  # accelerate's, where a model is spread
    part.forward = lambda *args, **kwargs: type(read.output)(**{**read.output, "last_hidden_state": states})
    try:
        return module(**given, use_cache=False).logits[0].float()
    finally:
        del part.forward
        if wrapped is not None:
            part.forward = wrapped


def _last_stack(module: PreTrainedModel) -> nn.Module:
    """The smallest part that is a model of its own and holds the decoder's layers; it gives `last_hidden_state`.

    transformers' own names for it are no help: OPT never calls its `base_model`, ModernBERT's `get_decoder()` is its unembedding,
    and Llama 4 gives itself under both.
    """
    stack = layers(module)
    return [
        part
        for part in module.modules()
        if isinstance(part, PreTrainedModel) and any(child is stack for child in part.modules())
    ][-1]
