"""Where layers and their attention live in a Hugging Face decoder; the only file that knows names inside a model."""

from __future__ import annotations

from torch import nn

from model_utils.errors import Refused

ATTENTION_NAMES = ("self_attn", "attn", "attention", "self_attention")


def layers(module: nn.Module) -> nn.ModuleList:
    """The stack of decoder layers: the list whose length the configuration names."""
    wanted = module.config.get_text_config().num_hidden_layers
    for child in module.modules():
        if isinstance(child, nn.ModuleList) and len(child) == wanted:
            return child
    raise Refused(f"The architecture {type(module).__name__} keeps its {wanted} layers in no list that Candor knows.")


def attention(layer: nn.Module) -> nn.Module:
    """The self-attention of one layer; its forward returns (output, weights) under the eager kernel."""
    for name in ATTENTION_NAMES:
        if hasattr(layer, name):
            return getattr(layer, name)
    raise Refused(f"A layer of the kind {type(layer).__name__} has no self-attention that Candor knows.")


def embedding(module: nn.Module) -> nn.Module:
    """ids -> (token, hidden)."""
    return module.get_input_embeddings()
