"""The test models are what the other tests take them for: tiny, random everywhere, and loadable like any checkpoint."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from model_utils import shapes
from model_utils.pair import Pair
from tests import builders

AWKWARD = "Zoë 👩‍👩‍👧 naïve e\u0301 漢字 <script> 12345"


@pytest.fixture(scope="module")
def loaded(tiny_pair: Pair[Path]):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return tiny_pair.map(
        lambda folder: (AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    )


def test_tiny_is_tiny_and_every_weight_is_random(loaded):
    for _, (model, tokenizer) in loaded.items():
        assert model.num_parameters() < 60_000
        assert len(tokenizer) == model.config.vocab_size <= 400
        for name, weight in model.named_parameters():
            assert weight.std() > 0.05, name


def test_sides_differ_everywhere_by_a_little(loaded):
    base, tuned = (
        loaded.map(lambda side: dict(side[0].named_parameters())).base,
        dict(loaded.tuned[0].named_parameters()),
    )
    for name, weight in base.items():
        assert 0.02 < (tuned[name] - weight).norm() / weight.norm() < 0.5, name


def test_tokenizer_puts_one_bos_and_gives_back_any_text(loaded):
    for _, (_, tokenizer) in loaded.items():
        ids = tokenizer(AWKWARD)["input_ids"]
        assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == AWKWARD
    assert loaded.base[1].chat_template is None
    text = loaded.tuned[1].apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert loaded.tuned[1](text)["input_ids"].count(loaded.tuned[1].bos_token_id) == 2, "the trap of the second BOS"


def test_attention_of_a_tiny_model_is_not_uniform(loaded):
    import torch

    model, tokenizer = loaded.base
    model.set_attn_implementation("eager")
    with torch.no_grad():
        ids = tokenizer("The capital of France is Paris.", return_tensors="pt")["input_ids"]
        weights = model(ids, output_attentions=True).attentions
    assert (weights[0][0, :, -1].max(-1).values > 3 / ids.shape[1]).all()


def test_bias_and_tied_models_have_their_weights(tmp_path: Path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(builders.tiny_llama(tmp_path, bias=True, tied=True))
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.model.layers[0].self_attn.q_proj.bias.std() > 0.05


@pytest.mark.slow
def test_m_shape_has_a_text_for_every_id(tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    start = time.monotonic()
    shapes.m_shaped(tmp_path)
    assert time.monotonic() - start < 60
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert 134e6 < model.num_parameters() < 135e6 and model.dtype == torch.bfloat16
    assert len(tokenizer) == model.config.vocab_size == 49_152
    assert None not in tokenizer.convert_ids_to_tokens(list(range(49_152)))
    ids = tokenizer(AWKWARD + " the capital of france")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == AWKWARD + " the capital of france"
