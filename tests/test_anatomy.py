"""Anatomy: stacks, attention and embeddings are found, in architectures that name them differently."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedModel

from model_utils import anatomy
from model_utils.errors import Refused
from tests.architectures import ARCHITECTURES, ENCODER_DECODER, HEADS, LAYERS, WITHOUT_ATTENTION

IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


def body(architecture: str) -> PreTrainedModel:
    """The architecture without weights."""
    config = ARCHITECTURES[architecture](**IDS, vocab_size=50)
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device("meta"):
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
