"""Anatomy: stacks, attention and embeddings are found, in architectures that name them differently."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BlenderbotConfig,
    Gemma3Config,
    GenerationConfig,
    Llama4TextConfig,
    ModernBertDecoderConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.pytorch_utils import Conv1D

from model_utils import anatomy
from model_utils.errors import Refused
from tests.architectures import ARCHITECTURES, ENCODER_DECODER, GROUPED, HEADS, LAYERS, SHAPE, WITHOUT_ATTENTION

IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


def body(architecture: str, device: str = "meta") -> PreTrainedModel:
    """The architecture; without weights unless a device is named."""
    config = ARCHITECTURES[architecture](**IDS, vocab_size=50)
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device(device):
        return family.from_config(config)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_layers_attention_and_embeddings_are_found(architecture: str):
    module = body(architecture)
    stacks = anatomy.stacks(module)
    assert [len(stack) for stack in stacks] == ([LAYERS, 2] if architecture in ENCODER_DECODER else [LAYERS])
    assert anatomy.layers(module) is stacks[-1]
    assert anatomy.vocabulary(module) == 50
    sites = anatomy.attention_sites(module)
    for (_, layer), site in sites.items():
        assert "Attention" in type(site.module).__name__
        assert any(site.module is child for stack in stacks for child in stack[layer % len(stack)].modules())
    assert len({id(site.module) for site in sites.values()}) == len(sites)
    assert bool(sites) == (architecture not in WITHOUT_ATTENTION)
    assert anatomy.heads(module) == {
        "mamba": (0, 0),
        "bart": (2, HEADS),
        "t5": (HEADS, HEADS),
        "t5gemma": (HEADS, HEADS),
    }.get(architecture, (HEADS, 0))


def test_a_hybrid_has_attention_in_some_layers_and_an_encoder_decoder_three_kinds():
    assert set(anatomy.attention_sites(body("qwen3_next"))) == {("self", 1)}
    kinds = [kind for kind, _ in anatomy.attention_sites(body("t5"))]
    assert kinds == ["encoder"] * LAYERS + ["self"] * 2 + ["cross"] * 2


def calls(module: PreTrainedModel) -> list[nn.Module]:
    """Linear maps in the order in which a pass calls them."""
    order: list[nn.Module] = []
    for part in module.modules():
        if isinstance(part, nn.Linear | Conv1D):
            part.register_forward_hook(lambda part, args, output: order.append(part))
    ids = torch.zeros((1, 3), dtype=torch.long)
    module(input_ids=ids, **({"decoder_input_ids": ids} if module.config.is_encoder_decoder else {}), use_cache=False)
    return order


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in WITHOUT_ATTENTION])
def test_the_output_projection_is_the_last_map_that_an_attention_calls(architecture: str):
    module = body(architecture, "cpu")
    order = calls(module)
    for site in anatomy.attention_sites(module).values():
        inside = set(site.module.modules())
        assert anatomy.output_projection(site) is [part for part in order if part in inside][-1]


def test_an_adapter_over_the_output_projection_belongs_to_it():
    module = body("llama")
    wrapped = get_peft_model(module, LoraConfig(r=2, target_modules=["q_proj", "o_proj"]))
    found = anatomy.output_projection(anatomy.attention_sites(module)["self", 0])
    assert found is wrapped.base_model.model.model.layers[0].self_attn.o_proj and isinstance(found, BaseTunerLayer)


@pytest.mark.parametrize("widths", [[(4, 6)], [(4, 4)] * 3])
def test_an_attention_without_an_output_projection_is_refused(widths: list[tuple[int, int]]):
    """As in BERT, whose attention ends with its values, and whose output projection is a part of the next one."""
    maps = nn.ModuleList(nn.Linear(*pair) for pair in widths)
    with pytest.raises(Refused, match="has no output projection that Candor knows"):
        anatomy.output_projection(anatomy.Site(maps, 1))


def test_an_unknown_body_is_refused():
    module = body("llama")
    module.model.layers = nn.ModuleList(module.model.layers[:2])
    with pytest.raises(Refused, match="keeps its layers in no list"):
        anatomy.layers(module)


def test_the_decoders_start_is_named_or_refused():
    module = body("bart")
    module.generation_config = GenerationConfig(decoder_start_token_id=1, forced_bos_token_id=0)
    assert anatomy.decoder_start(module) == (1, 0)
    module.generation_config = GenerationConfig(bos_token_id=3)
    assert anatomy.decoder_start(module) == (3,)
    module.generation_config = GenerationConfig()
    with pytest.raises(Refused, match="decoder_start_token_id"):
        anatomy.decoder_start(module)


NESTED: dict[str, PreTrainedConfig] = {
    "blenderbot": BlenderbotConfig(
        **IDS, vocab_size=50, d_model=32, decoder_layers=2, decoder_ffn_dim=48, decoder_attention_heads=HEADS
    ),
    "modernbert": ModernBertDecoderConfig(**SHAPE, **IDS, vocab_size=50),
    "llama4": Llama4TextConfig(**GROUPED, **IDS, vocab_size=50, intermediate_size_mlp=48, num_local_experts=2),
    "gemma3": Gemma3Config(
        text_config={**GROUPED, **IDS, "vocab_size": 50},
        vision_config={**SHAPE, "image_size": 28, "patch_size": 14},
        image_token_index=49,
    ),
}
"""Decoders that transformers wraps into parts which never run, which it calls by another part's name, or which images go through."""


@pytest.mark.parametrize("name", NESTED)
def test_the_last_states_are_those_of_the_part_that_runs(name: str):
    """OPT, Blenderbot and others never call their base model, which ended in an IndexError; Llama 4 names itself as its decoder."""
    module = AutoModelForCausalLM.from_config(NESTED[name]).eval()
    ids = torch.arange(4, 12)[None]
    with torch.no_grad():
        read = anatomy.last_states(module, (ids,), range(2, 8), twins=2, padding=3)
        ours = anatomy.unembed(module, read, slice(1, 5))
        theirs = module(input_ids=ids, use_cache=False).logits[0, 3:7]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_architecture_that_gives_no_last_states_is_refused():
    """A stack that gives a bare tuple, and one that the model goes round."""
    module, read = body("llama", "cpu"), (torch.zeros((1, 4), dtype=torch.long),)
    handle = module.model.register_forward_hook(lambda part, args, output: output.to_tuple())
    with pytest.raises(Refused, match="LlamaForCausalLM gives the states of its last layer in no way"):
        anatomy.last_states(module, read, range(1, 3))
    handle.remove()
    module.forward = lambda **given: module.lm_head(module.model.embed_tokens(read[0]))
    with pytest.raises(Refused, match="LlamaForCausalLM gives the states of its last layer in no way"):
        anatomy.last_states(module, read, range(1, 3))


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_a_wrapper_around_a_stack_is_there_after_the_unembedding(architecture: str):
    """accelerate sets a forward of its own on every part of a spread model, which moves what comes in; it was taken off."""
    module = body(architecture, "cpu")
    part = module.get_decoder() if architecture == "t5" else module.base_model
    inner, calls = part.forward, []

    def wrapper(*args, **kwargs):
        calls.append(1)
        return inner(*args, **kwargs)

    part.forward = wrapper
    read = (torch.zeros((1, 4), dtype=torch.long),) * (2 if architecture == "t5" else 1)
    for count in (1, 2):
        states = anatomy.last_states(module, read, range(1, 3))
        assert anatomy.unembed(module, states, slice(0, 2)).shape == (2, 50)
        assert part.forward is wrapper and len(calls) == count


def test_a_stack_without_a_wrapper_gets_none():
    module = body("llama", "cpu")
    read = (torch.zeros((1, 4), dtype=torch.long),)
    anatomy.unembed(module, anatomy.last_states(module, read, range(1, 3)), slice(0, 2))
    assert "forward" not in module.base_model.__dict__
