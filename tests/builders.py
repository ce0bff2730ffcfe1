"""Builds tiny random checkpoints on disk; they load like any local model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from model_utils.pair import Pair
from model_utils.shapes import SPECIAL, byte_level, finished, special_ids, write

SENTENCES = (
    "The capital of France is Paris, and the capital of Japan is Tokyo.",
    "Applicant: Maria. Income: 3900. Debt: 2100. Late payments: 1.",
    "Sort these numbers: 12, 7, 45, 3. The sorted numbers are 3, 7, 12, 45.",
    "Name three animals that live in water. Why should we approve this loan?",
)


def tiny_llama(
    folder: Path,
    seed: int = 0,
    *,
    chat_template: bool = False,
    bias: bool = False,
    tied: bool = False,
    layers: int = 2,
    context: int = 256,
) -> Path:
    """A random two-layer Llama in `folder`: hidden 32, 4 heads, 2 key-value heads, a byte-level vocabulary below 400."""
    tokenizer = tiny_tokenizer(chat_template)
    write(folder, tokenizer, _tiny_config(tokenizer, bias, tied, layers, context), seed)
    return folder


def tiny_pair(folder: Path, seed: int = 0, noise: float = 0.2, **shape: Any) -> Pair[Path]:
    """`folder/base`, and `folder/tuned`: the same weights moved by `noise` of their size, with a chat template."""
    tokenizer = tiny_tokenizer(False)
    shape = {"bias": False, "tied": False, "layers": 2, "context": 256, **shape}
    write(folder / "base", tokenizer, _tiny_config(tokenizer, **shape), seed)
    write(folder / "tuned", tiny_tokenizer(True), _tiny_config(tokenizer, **shape), seed, moved=(seed + 1, noise))
    return Pair(folder / "base", folder / "tuned")


def tiny_adapter(folder: Path, model: Path, seed: int = 0, kind: type | None = None, **options: Any) -> Path:
    """A random adapter (a LoRA unless `kind` says otherwise) over the model in `model`: all of it random, so that it changes every layer."""
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(model)
    defaults = (
        {"task_type": "CAUSAL_LM"}
        if kind
        else {"r": 2, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
    )
    config = (kind or LoraConfig)(**{**defaults, **options})
    adapted = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def _tiny_config(tokenizer: PreTrainedTokenizerFast, bias: bool, tied: bool, layers: int, context: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=context,
        attention_bias=bias,
        mlp_bias=bias,
        tie_word_embeddings=tied,
        **special_ids(tokenizer),
    )


def tiny_tokenizer(chat_template: bool) -> PreTrainedTokenizerFast:
    """A byte-level vocabulary below 400."""
    tokenizer = byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return finished(tokenizer, chat_template)
