"""Where layers, attention and embeddings live in a Hugging Face model, and how it is called; the only file that knows names inside a model."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
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
    return name in inspect.signature(module.forward).parameters


Parts = tuple[torch.Tensor, ...]
"""What is read, (1, token) ids or (1, token, hidden) embeddings: by the one stack, or by the encoder and by the decoder."""


def parts(ids: torch.Tensor, encoder_length: int) -> Parts:
    """(1, token) ids, cut between the encoder and the decoder where there is an encoder."""
    return (ids[:, :encoder_length], ids[:, encoder_length:]) if encoder_length else (ids,)


def embed(module: PreTrainedModel, ids: Parts) -> Parts:
    """The input embeddings of each part; encoder and decoder may have tables, and widths, of their own."""
    if len(ids) == 1:
        return (module.get_input_embeddings()(ids[0]),)
    tables = (module.get_encoder().get_input_embeddings(), module.get_decoder().get_input_embeddings())
    return tuple(table(part) for table, part in zip(tables, ids, strict=True))


def logits(module: PreTrainedModel, read: Parts, rows: torch.Tensor | None = None) -> torch.Tensor:
    """(row, vocabulary) float32: one teacher-forced pass; `rows` are positions in the last part, None: the last one only; they lie on the CPU, because a spread model ends on another device than it begins.

    The row at position p is the distribution of the token at p + 1.
    """
    name = "inputs_embeds" if read[-1].ndim == 3 else "input_ids"
    given: dict[str, Any] = dict(zip((name, f"decoder_{name}") if len(read) == 2 else (name,), read, strict=True))
    if rows is None:
        rows = torch.tensor([read[-1].shape[1] - 1])
    if accepts(module, "logits_to_keep"):
        given["logits_to_keep"] = rows
    found = module(**given, use_cache=False).logits[0]
    return (found if "logits_to_keep" in given else found[rows]).float()


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
    names = ("input_ids",) if len(read) == 1 else ("input_ids", "decoder_input_ids")
    given: dict[str, Any] = {name: part.expand(twins, -1) for name, part in zip(names, read, strict=True)}
    if padding:
        last, mask = names[-1], "attention_mask" if len(read) == 1 else "decoder_attention_mask"
        given[mask] = nn.functional.pad(torch.ones_like(given[last]), (0, padding))
        given[last] = nn.functional.pad(given[last], (0, padding))
    found: list[Any] = []

    def stop(part: nn.Module, args: Any, output: Any) -> None:
        found.append(output)
        raise _Enough

    handle = _last_stack(module).register_forward_hook(stop)
    try:
        module(**given, use_cache=False)
    except _Enough:
        pass
    finally:
        handle.remove()
    states = found[0].last_hidden_state[0, rows.start : rows.stop].clone()
    found[0].last_hidden_state = None  # the rest of it is not needed
    return LastStates(states, found[0])


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
    part.forward = lambda *args, **kwargs: type(read.output)(**{**read.output, "last_hidden_state": states})
    try:
        return module(**given, use_cache=False).logits[0].float()
    finally:
        del part.forward


def _last_stack(module: PreTrainedModel) -> nn.Module:
    """The part that holds the decoder's layers and gives `last_hidden_state`."""
    return module.get_decoder() if is_encoder_decoder(module) else module.base_model
