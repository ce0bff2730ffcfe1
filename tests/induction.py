"""A GPT-2 built by hand, without training, whose mechanism is known: it finds the last place of its token and looks at what came after."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from model_utils.shapes import special_ids
from tests.builders import tiny_tokenizer

PLACES = 64
SHARPNESS = 200.0
"""Logit by which the key that is looked for leads the others."""

COPIED = 5.0
"""How much of what it looks at the second head adds, which is how the model says it next."""

PREVIOUS, INDUCTION = (0, 0), (1, 0)
"""(layer, head) of the head that looks at the token before, and of the one that looks at what followed the token's last place."""


def induction_gpt2(folder: Path) -> Path:
    """The residual stream holds three blocks of one-hot vectors: the token, its place, and, from layer 0 on, the token before.

    Head 0 of layer 0 looks from each place at the one before and copies its token; head 0 of layer 1 looks for the place whose token
    before is the present one, and copies the token there. Their second heads and all MLPs are zero: these heads look at everything alike.
    """
    tokenizer = tiny_tokenizer(False)
    tokens = len(tokenizer)
    width = 2 * tokens + PLACES
    config = GPT2Config(
        vocab_size=tokens, n_positions=PLACES, n_embd=width, n_layer=2, n_head=2, n_inner=8, **special_ids(tokenizer)
    )
    module = GPT2LMHeadModel(config)
    token, place, before = slice(0, tokens), slice(tokens, tokens + PLACES), slice(tokens + PLACES, width)
    half = width // 2
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.fill_(1.0 if "ln_" in name and name.endswith("weight") else 0.0)
        module.transformer.wte.weight[:, token] = torch.eye(tokens)
        module.transformer.wpe.weight[:, place] = torch.eye(PLACES)
        # A layer norm of n ones among `width` entries gives scale * one-hot - offset; a constant moves no softmax.
        scales = [(n / width * (1 - n / width)) ** -0.5 for n in (2, 3)]
        sharp = [(SHARPNESS * half**0.5) ** 0.5 / scale for scale in scales]
        first, second = (layer.attn for layer in module.transformer.h)
        first.c_attn.weight[place, :PLACES] = sharp[0] * torch.eye(PLACES)
        first.c_attn.weight[place, width : width + PLACES] = sharp[0] * torch.roll(torch.eye(PLACES), 1, dims=1)
        first.c_attn.weight[token, 2 * width : 2 * width + tokens] = torch.eye(tokens) / scales[0]
        first.c_attn.bias[2 * width : 2 * width + tokens] = 2 / width
        first.c_proj.weight[:tokens, before] = torch.eye(tokens)
        second.c_attn.weight[token, :tokens] = sharp[1] * torch.eye(tokens)
        second.c_attn.weight[before, width : width + tokens] = sharp[1] * torch.eye(tokens)
        second.c_attn.weight[token, 2 * width : 2 * width + tokens] = torch.eye(tokens) / scales[1]
        second.c_proj.weight[:tokens, token] = COPIED * torch.eye(tokens)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
