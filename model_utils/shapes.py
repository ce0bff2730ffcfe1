"""Random checkpoints of known shapes on disk, for benches and tests; they load like any local model.

Every weight is random, norm weights and biases too: on a freshly initialised model norms are ones and biases zeros, and a
double norm or a forgotten bias changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

SPECIAL = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>"}

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:\n{% endif %}"
)
"""Writes the BOS itself, as most templates do: tokenizing its text with special tokens gives a second one."""


def m_shaped(
    folder: Path, chat_template: bool = True, *, seed: int = 0, dtype: Literal["float32", "bfloat16"] = "bfloat16"
) -> Path:
    """The SmolLM2-135M shape: 0.27 GB in bfloat16 and 0.54 GB in float32; built in seconds."""
    shape = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    }
    return _shaped(folder, 49_152, shape, chat_template, seed, dtype)


def s_shaped(folder: Path, chat_template: bool = True, *, seed: int = 0) -> Path:
    """Four layers, hidden 256, 4 heads, a vocabulary of 4,096, float32."""
    shape = {
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    }
    return _shaped(folder, 4_096, shape, chat_template, seed, "float32")


def wide_shaped(folder: Path, chat_template: bool = True, *, seed: int = 0, vocabulary: int = 151_936) -> Path:
    """Two layers, hidden 256, and the vocabulary of the Qwen family: its logits are what takes memory."""
    shape = {
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    }
    return _shaped(folder, vocabulary, shape, chat_template, seed, "float32")


def _shaped(folder: Path, vocabulary: int, shape: dict[str, int], chat_template: bool, seed: int, dtype: str) -> Path:
    tokenizer = wide_tokenizer(vocabulary, chat_template)
    config = LlamaConfig(
        **shape,
        vocab_size=vocabulary,
        head_dim=64,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        tie_word_embeddings=True,
        **special_ids(tokenizer),
    )
    write(folder, tokenizer, config, seed, dtype=dtype)
    return folder


def write(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    config: PreTrainedConfig,
    seed: int,
    *,
    moved: tuple[int, float] | None = None,
    dtype: str = "float32",
) -> None:
    """Random weights, tokenizer and configuration as `save_pretrained` writes them; `moved` is (seed, share) of a second draw added."""
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device("meta"):
        model = family.from_config(config)
    kept, hidden = model.state_dict(), config.get_text_config(decoder=True).hidden_size
    tensors = [*model.named_parameters(), *(one for one in model.named_buffers() if one[0] in kept)]
    state = _random_weights(tensors, hidden, seed)
    if moved is not None:
        again = _random_weights(tensors, hidden, moved[0])
        state = {name: weight + moved[1] * (again[name] - again[name].mean()) for name, weight in state.items()}
    model = model.to(getattr(torch, dtype)).to_empty(device="cpu")
    model.tie_weights()  # to_empty gave a tied lm_head a memory of its own
    model.load_state_dict(state, strict=False)
    settings = special_ids(tokenizer)
    if config.is_encoder_decoder:
        settings["decoder_start_token_id"] = config.decoder_start_token_id
    model.generation_config = GenerationConfig(**settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _random_weights(tensors: Iterable[tuple[str, torch.Tensor]], hidden: int, seed: int) -> dict[str, torch.Tensor]:
    """Matrices of variance 2 / hidden, so that attention is far from uniform; norm weights in 0.5..1.5; biases of size 0.2."""
    generator = torch.Generator().manual_seed(seed)

    def draw(name: str, shape: torch.Size) -> torch.Tensor:
        if name.endswith("A_log"):
            return torch.log(1 + 15 * torch.rand(shape, generator=generator))
        if name.endswith("bias") and "relative" not in name:
            return 0.2 * torch.randn(shape, generator=generator)
        if ("norm" in name or "ln_" in name) and len(shape) == 1:
            return 0.5 + torch.rand(shape, generator=generator)
        return (2 / hidden) ** 0.5 * torch.randn(shape, generator=generator)

    return {name: draw(name, tensor.shape) for name, tensor in tensors}


def wide_tokenizer(size: int, chat_template: bool) -> PreTrainedTokenizerFast:
    """Exactly `size` entries, so that any id a random model picks has a text: bytes, then one to four letters with and without a space."""
    space = "Ġ"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {n: ["".join(letters) for letters in product(ascii_lowercase, repeat=n)] for n in (1, 2, 3)}
    merges = [(word[:-1], word[-1]) for n in (2, 3) for word in words[n]]
    merges += [(space, word) for n in (1, 2, 3) for word in words[n]]
    merges += product(words[3], ascii_lowercase)
    merges = merges[: size - len(SPECIAL) - len(alphabet)]
    entries = [*SPECIAL.values(), *alphabet, *("".join(merge) for merge in merges)]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    assert len(vocabulary) == size, (len(vocabulary), size)

    tokenizer = byte_level()
    tokenizer.model = models.BPE(vocab=vocabulary, merges=merges)
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    return finished(tokenizer, chat_template)


def byte_level() -> Tokenizer:
    """A tokenizer that knows no merges yet: each byte is a token, and any text comes back as it was."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def finished(tokenizer: Tokenizer, chat_template: bool) -> PreTrainedTokenizerFast:
    """The post-processor that puts a BOS in front, and the files' other half."""
    bos = SPECIAL["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **SPECIAL)
    if chat_template:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """What configurations call the ids of the control tokens."""
    return {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
