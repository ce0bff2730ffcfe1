"""Tiny random checkpoints of the architectures that Candor promises to open, each with what makes it special switched on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import processors
from transformers import (
    BartConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    OPTConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    Qwen3NextConfig,
    T5Config,
    T5GemmaConfig,
)

from model_utils.pair import Pair
from model_utils.shapes import special_ids, write
from tests.builders import tiny_tokenizer

LAYERS, HEADS, CONTEXT = 3, 4, 256
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": CONTEXT,
}
SHARED_KEYS = {**SHAPE, "num_key_value_heads": 2}
GROUPED = {**SHARED_KEYS, "head_dim": 8}
WINDOW = 6
"""Shorter than the texts of the tests, so that a sliding window shows."""

ARCHITECTURES: dict[str, Callable[..., PreTrainedConfig]] = {
    "llama": lambda **ids: LlamaConfig(**GROUPED, **ids),
    "qwen2": lambda **ids: Qwen2Config(**SHARED_KEYS, **ids),
    "qwen3": lambda **ids: Qwen3Config(**GROUPED, **ids),
    "gemma3": lambda **ids: Gemma3TextConfig(
        **GROUPED,
        **ids,
        sliding_window=WINDOW,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        query_pre_attn_scalar=8,
        final_logit_softcapping=5.0,
        attn_logit_softcapping=5.0,
    ),
    "gpt2": lambda **ids: GPT2Config(n_embd=32, n_layer=LAYERS, n_head=HEADS, n_positions=CONTEXT, **ids),
    "opt": lambda **ids: OPTConfig(
        hidden_size=32, ffn_dim=48, word_embed_proj_dim=32, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        max_position_embeddings=CONTEXT, **ids,
    ),
    "gpt_neox": lambda **ids: GPTNeoXConfig(**SHAPE, **ids),
    "mistral": lambda **ids: MistralConfig(**GROUPED, **ids, sliding_window=WINDOW),
    "olmo2": lambda **ids: Olmo2Config(**SHARED_KEYS, **ids),
    "phi3": lambda **ids: Phi3Config(**SHARED_KEYS, **ids, sliding_window=WINDOW),
    "mixtral": lambda **ids: MixtralConfig(**GROUPED, **ids, num_local_experts=4, num_experts_per_tok=2),
    "qwen3_next": lambda **ids: Qwen3NextConfig(
        **GROUPED,
        **ids,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    ),
    "t5": lambda **ids: T5Config(
        d_model=32, d_kv=8, d_ff=48, num_layers=LAYERS, num_decoder_layers=2, num_heads=HEADS, feed_forward_proj="gated-gelu",
        decoder_start_token_id=ids["pad_token_id"], **ids,
    ),
    "bart": lambda **ids: BartConfig(
        d_model=32, encoder_layers=LAYERS, decoder_layers=2, encoder_attention_heads=HEADS, decoder_attention_heads=2,
        encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=CONTEXT, decoder_start_token_id=ids["eos_token_id"],
        forced_eos_token_id=None, scale_embedding=True, **ids,
    ),
    "t5gemma": lambda **ids: T5GemmaConfig(
        encoder={**GROUPED, **ids, "sliding_window": WINDOW, "query_pre_attn_scalar": 8, "vocab_size": ids["vocab_size"]},
        decoder={**GROUPED, **ids, "sliding_window": WINDOW, "query_pre_attn_scalar": 8, "num_hidden_layers": 2},
        decoder_start_token_id=ids["bos_token_id"], **ids,
    ),
    "mamba": lambda **ids: MambaConfig(hidden_size=32, state_size=4, num_hidden_layers=LAYERS, **ids),
}  # fmt: skip
ENCODER_DECODER = ("t5", "bart", "t5gemma")
WITHOUT_ATTENTION = ("mamba",)


def tiny(
    folder: Path, architecture: str, seed: int = 0, *, moved: tuple[int, float] | None = None, **options: Any
) -> Path:
    """A random checkpoint in `folder`; norm weights and biases random too. `options` go to its configuration."""
    tokenizer = tokenizer_of(architecture)
    ids = special_ids(tokenizer)
    config = ARCHITECTURES[architecture](**ids, vocab_size=len(tokenizer))
    for name, value in options.items():
        setattr(config, name, value)
    write(folder, tokenizer, config, seed, moved=moved)
    return folder


def tiny_pair(folder: Path, architecture: str, seed: int = 0) -> Pair[Path]:
    """`folder/base`, and `folder/tuned` with the same weights moved a little."""
    return Pair(
        tiny(folder / "base", architecture, seed), tiny(folder / "tuned", architecture, seed, moved=(seed + 1, 0.2))
    )


def tokenizer_of(architecture: str) -> PreTrainedTokenizerFast:
    """Byte-level; an encoder-decoder's ends each text with EOS, T5's has no BOS in front."""
    tokenizer = tiny_tokenizer(chat_template=False)
    if architecture in ENCODER_DECODER:
        bos, eos = tokenizer.bos_token, tokenizer.eos_token
        front = "" if architecture == "t5" else f"{bos} "
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{front}$A {eos}",
            pair=f"{front}$A {eos} $B {eos}",
            special_tokens=[(bos, tokenizer.bos_token_id), (eos, tokenizer.eos_token_id)],
        )
    return tokenizer
