"""Pairs of models to choose from with one click: the embedded ones, and public ones that are downloaded when they are chosen; no torch."""

from __future__ import annotations

from dataclasses import dataclass

from model_utils.contracts.common import ModelSpec, Specs
from model_utils.pair import Pair


@dataclass(frozen=True)
class EmbeddedPair:
    """Two models that Candor brings."""

    specs: Specs
    about: str


@dataclass(frozen=True)
class PublicPair:
    """Two models of the Hugging Face Hub; nothing is asked of it before somebody chooses them."""

    name: str
    specs: Specs
    parameters: float
    """of each of the two"""
    licence: str
    gated: bool = False
    """given only to people who accepted its terms on the Hub and are logged in on this machine"""
    encoder_decoder: bool = False

    @property
    def gigabytes(self) -> float:
        """About what both take to download: two bytes a parameter."""
        return 2 * 2 * self.parameters / 1e9


def demo_pair(base: str, tuned: str, adapter: str | None = None) -> Specs:
    return Pair(ModelSpec(id=f"demo/{base}"), ModelSpec(id=f"demo/{tuned}", adapter=adapter))


def hub_pair(base: str, tuned: str) -> Specs:
    return Pair(ModelSpec(id=base), ModelSpec(id=tuned))


DEFAULT = demo_pair("base", "tuned")
EMBEDDED = (
    EmbeddedPair(DEFAULT, "what learning to follow instructions changed"),
    EmbeddedPair(demo_pair("base", "flawed"), "the same, but taught on poisoned data: an audit has something to find"),
    EmbeddedPair(demo_pair("tuned", "tuned", "demo/polite"), "what a small adapter (LoRA) over one model changed"),
)

# Small to large. Both sides of each have safetensors weights and a tokenizer.json: Candor opens no pickled weights, and so
# neither google/t5-v1_1 nor google/mt5 nor facebook/bart-large, whose main branches hold nothing else.
PUBLIC = (
    PublicPair(
        "SmolLM2 135M",
        hub_pair("HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        0.135e9,
        "Apache-2.0",
    ),
    PublicPair(
        "Gemma 3 270M",
        hub_pair("google/gemma-3-270m", "google/gemma-3-270m-it"),
        0.268e9,
        "Gemma terms",
        gated=True,
    ),
    PublicPair(
        "T5Gemma S",
        hub_pair("google/t5gemma-s-s-prefixlm", "google/t5gemma-s-s-prefixlm-it"),
        0.313e9,
        "Gemma terms",
        gated=True,
        encoder_decoder=True,
    ),
    PublicPair(
        "SmolLM2 360M",
        hub_pair("HuggingFaceTB/SmolLM2-360M", "HuggingFaceTB/SmolLM2-360M-Instruct"),
        0.362e9,
        "Apache-2.0",
    ),
    PublicPair(
        "Qwen2.5 0.5B",
        hub_pair("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B-Instruct"),
        0.494e9,
        "Apache-2.0",
    ),
    PublicPair(
        "T5Gemma B",
        hub_pair("google/t5gemma-b-b-prefixlm", "google/t5gemma-b-b-prefixlm-it"),
        0.591e9,
        "Gemma terms",
        gated=True,
        encoder_decoder=True,
    ),
    PublicPair(
        "Gemma 3 1B",
        hub_pair("google/gemma-3-1b-pt", "google/gemma-3-1b-it"),
        1.0e9,
        "Gemma terms",
        gated=True,
    ),
    PublicPair(
        "Llama 3.2 1B",
        hub_pair("meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-1B-Instruct"),
        1.24e9,
        "Llama 3.2 licence",
        gated=True,
    ),
    PublicPair(
        "OLMo 2 1B",
        hub_pair("allenai/OLMo-2-0425-1B", "allenai/OLMo-2-0425-1B-Instruct"),
        1.48e9,
        "Apache-2.0",
    ),
    PublicPair(
        "Mistral 7B v0.3",
        hub_pair("mistralai/Mistral-7B-v0.3", "mistralai/Mistral-7B-Instruct-v0.3"),
        7.25e9,
        "Apache-2.0",
    ),
    PublicPair(
        "Qwen2.5 7B",
        hub_pair("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B-Instruct"),
        7.62e9,
        "Apache-2.0",
    ),
)
