"""Anatomy: the layers and their attention are found, in architectures that name them differently."""

from __future__ import annotations

import pytest
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from model_utils import anatomy
from model_utils.errors import Refused

LLAMA = LlamaConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, vocab_size=50)
GPT2 = GPT2Config(n_embd=16, n_layer=3, n_head=2, vocab_size=50)
NEOX = GPTNeoXConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, vocab_size=50)


@pytest.mark.parametrize(
    "module", [LlamaForCausalLM(LLAMA), GPT2LMHeadModel(GPT2), GPTNeoXForCausalLM(NEOX)], ids=["llama", "gpt2", "neox"]
)
def test_layers_and_attention_are_found(module: nn.Module):
    layers = anatomy.layers(module)
    assert len(layers) == 3
    assert all("Attention" in type(anatomy.attention(layer)).__name__ for layer in layers)
    assert anatomy.embedding(module).weight.shape == (50, 16)


def test_an_unknown_body_is_refused():
    module = LlamaForCausalLM(LLAMA)
    module.model.layers = nn.ModuleList(module.model.layers[:2])
    with pytest.raises(Refused, match="3 layers in no list"):
        anatomy.layers(module)
    with pytest.raises(Refused, match="no self-attention"):
        anatomy.attention(nn.Linear(2, 2))
