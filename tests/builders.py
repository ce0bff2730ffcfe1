"""Builds random checkpoints on disk, tiny ones and one of the M shape; they load like any local model.

Every weight is random, norm weights and biases too: on a freshly initialised model norms are ones and biases zeros, and a
double norm or a forgotten bias changes nothing.
"""

from __future__ import annotations

from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, Literal

from model_utils.pair import Pair

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlamaConfig, PreTrainedTokenizerFast

SPECIAL = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>"}

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:\n{% endif %}"
)
"""Writes the BOS itself, as most templates do: tokenizing its text with special tokens gives a second one."""

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
    tokenizer = _tiny_tokenizer(chat_template)
    _write(folder, tokenizer, _tiny_config(tokenizer, bias, tied, layers, context), seed)
    return folder


def tiny_pair(folder: Path, seed: int = 0, noise: float = 0.2, **shape: Any) -> Pair[Path]:
    """`folder/base`, and `folder/tuned`: the same weights moved by `noise` of their size, with a chat template."""
    tokenizer = _tiny_tokenizer(False)
    shape = {"bias": False, "tied": False, "layers": 2, "context": 256, **shape}
    _write(folder / "base", tokenizer, _tiny_config(tokenizer, **shape), seed)
    _write(folder / "tuned", _tiny_tokenizer(True), _tiny_config(tokenizer, **shape), seed, moved=(seed + 1, noise))
    return Pair(folder / "base", folder / "tuned")


def m_shaped(
    folder: Path, chat_template: bool = True, *, seed: int = 0, dtype: Literal["float32", "bfloat16"] = "bfloat16"
) -> Path:
    """A random checkpoint of the SmolLM2-135M shape: 0.27 GB in bfloat16 and 0.54 GB in float32; built in seconds."""
    from transformers import LlamaConfig

    tokenizer = _wide_tokenizer(49_152, chat_template)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        head_dim=64,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        tie_word_embeddings=True,
        **_special_ids(tokenizer),
    )
    _write(folder, tokenizer, config, seed, dtype=dtype)
    return folder


def _tiny_config(tokenizer: PreTrainedTokenizerFast, bias: bool, tied: bool, layers: int, context: int) -> LlamaConfig:
    from transformers import LlamaConfig

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
        **_special_ids(tokenizer),
    )


def _write(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    config: LlamaConfig,
    seed: int,
    *,
    moved: tuple[int, float] | None = None,
    dtype: str = "float32",
) -> None:
    """Random weights, tokenizer and configuration as `save_pretrained` writes them; `moved` is (seed, share) of a second draw added."""
    import torch
    from transformers import GenerationConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    state = _random_weights(model.named_parameters(), config.hidden_size, seed)
    if moved is not None:
        again = _random_weights(model.named_parameters(), config.hidden_size, moved[0])
        state = {name: weight + moved[1] * (again[name] - again[name].mean()) for name, weight in state.items()}
    model = model.to(getattr(torch, dtype)).to_empty(device="cpu")
    model.tie_weights()  # to_empty gave a tied lm_head a memory of its own
    model.load_state_dict(state, strict=False)
    model.generation_config = GenerationConfig(**_special_ids(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _random_weights(parameters: Any, hidden: int, seed: int) -> dict[str, Any]:
    """Matrices of variance 2 / hidden, so that attention is far from uniform; norm weights in 0.5..1.5; biases of size 0.2."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def draw(name: str, shape: torch.Size) -> torch.Tensor:
        if name.endswith("bias"):
            return 0.2 * torch.randn(shape, generator=generator)
        if "norm" in name:
            return 0.5 + torch.rand(shape, generator=generator)
        return (2 / hidden) ** 0.5 * torch.randn(shape, generator=generator)

    return {name: draw(name, parameter.shape) for name, parameter in parameters}


def _tiny_tokenizer(chat_template: bool) -> PreTrainedTokenizerFast:
    from tokenizers import pre_tokenizers, trainers

    tokenizer = _byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return _finished(tokenizer, chat_template)


def _wide_tokenizer(size: int, chat_template: bool) -> PreTrainedTokenizerFast:
    """Exactly `size` entries, so that any id a random model picks has a text: bytes, then one to four letters with and without a space."""
    from tokenizers import models, pre_tokenizers

    space = "Ġ"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {n: ["".join(letters) for letters in product(ascii_lowercase, repeat=n)] for n in (1, 2, 3)}
    merges = [(word[:-1], word[-1]) for n in (2, 3) for word in words[n]]
    merges += [(space, word) for n in (1, 2, 3) for word in words[n]]
    room = size - len(SPECIAL) - len(alphabet) - len(merges)
    merges += islice(product(words[3], ascii_lowercase), room)
    entries = [*SPECIAL.values(), *alphabet, *("".join(merge) for merge in merges)]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    assert len(vocabulary) == size, (len(vocabulary), size)

    tokenizer = _byte_level()
    tokenizer.model = models.BPE(vocab=vocabulary, merges=merges)
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    return _finished(tokenizer, chat_template)


def _byte_level() -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _finished(tokenizer: Tokenizer, chat_template: bool) -> PreTrainedTokenizerFast:
    """The post-processor that puts a BOS in front, and the files' other half."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    bos = SPECIAL["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **SPECIAL)
    if chat_template:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def _special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
