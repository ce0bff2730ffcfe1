"""Attention: rows sum to one, nothing above the diagonal, equal to the model's own maps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from transformers import AutoModelForCausalLM

from model_utils import anatomy, attention
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.common import ask
from model_utils.errors import Refused
from model_utils.pair import Pair
from tests import oracles
from tests.models import loaded, run
from tests.strategies import instructions


def request(text: str = "Name three 🎉 animals.", **fields) -> AttentionRequest:
    return AttentionRequest(messages=ask(text), **{"answer_ids": (20, 30, 40), **fields})


@given(text=instructions)
@settings(max_examples=25)
def test_rows_sum_to_one_and_never_look_ahead(tiny_pair: Pair[Path], text: str):
    result = run("attention", tiny_pair, request(text[:60], layer=1))
    for _, weights in result.weights.items():
        assert weights.shape == (4, len(result.sequence), len(result.sequence)) and weights.dtype == np.float32
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-6)
        assert (np.triu(weights, k=1) == 0).all()


@pytest.mark.parametrize("layer", [0, 1])
def test_maps_are_the_models_own(tiny_pair: Pair[Path], layer: int):
    result = run("attention", tiny_pair, request(layer=layer))
    for (_, weights), (_, folder) in zip(result.weights.items(), tiny_pair.items(), strict=True):
        own = oracles.attention_maps(AutoModelForCausalLM.from_pretrained(folder), result.sequence.ids.tolist())
        np.testing.assert_allclose(weights, own[layer], atol=1e-6)


def test_maps_are_softmax_of_scaled_queries_and_keys(tiny_llama: Path):
    """By hand in the first layer, with every token at position 0, where the rotary angle is nothing: A = softmax(q k^T / sqrt(d))."""
    module = AutoModelForCausalLM.from_pretrained(tiny_llama, attn_implementation="eager")
    own, layer, ids = [], anatomy.layers(module)[0], torch.tensor([[3, 7, 11, 9]])
    layer.self_attn.register_forward_hook(lambda _, args, output: own.append(output[1]))
    with torch.no_grad():
        module(input_ids=ids, position_ids=torch.zeros_like(ids))
        hidden = layer.input_layernorm(module.model.embed_tokens(ids))[0]
        query = layer.self_attn.q_proj(hidden).view(4, 4, 8).transpose(0, 1)
        key = layer.self_attn.k_proj(hidden).view(4, 2, 8).transpose(0, 1).repeat_interleave(2, dim=0)
    ahead = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    torch.testing.assert_close(
        own[0][0], (query @ key.transpose(1, 2) / 8**0.5).masked_fill(ahead, -torch.inf).softmax(-1)
    )


def test_a_model_against_itself_differs_by_zero(tiny_pair: Pair[Path]):
    result = run("attention", Pair(tiny_pair.tuned, tiny_pair.tuned), request())
    assert (result.weights.tuned - result.weights.base == 0).all()


def test_swapping_sides_swaps_maps(tiny_pair: Pair[Path]):
    one, other = run("attention", tiny_pair, request()), run("attention", tiny_pair.swap(), request())
    np.testing.assert_array_equal(one.weights.base, other.weights.tuned)
    np.testing.assert_array_equal(one.weights.tuned, other.weights.base)


def test_without_an_answer_the_chosen_side_gives_one(tiny_pair: Pair[Path]):
    for side in ("base", "tuned"):
        result = run("attention", tiny_pair, request(answer_ids=None, max_new_tokens=5, answer_from=side))
        prompt, module = result.sequence.ids[result.sequence.roles != 2].tolist(), loaded(tiny_pair)[side]
        answer = result.sequence.ids[result.sequence.positions("answer")].tolist()
        assert answer == oracles.greedy_ids(module.network.module, prompt, 5, module.stop_ids)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"layer": 2}, "has no layer 2; its layers with attention are 0 to 1"),
        ({"answer_ids": ()}, "has no tokens"),
        ({"answer_ids": (9_999,)}, "holds the token 9999"),
        ({"answer_ids": (5,) * 250}, "reads at most 256"),
    ],
)
def test_what_cannot_be_shown_is_refused(tiny_pair: Pair[Path], fields: dict, part: str):
    with pytest.raises(Refused, match=part):
        run("attention", tiny_pair, request(**fields))


def test_maps_too_large_for_memory_are_refused_with_figures(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention, "MAX_BYTES", 1000)
    with pytest.raises(Refused, match=r"GiB a side, more than"):
        run("attention", tiny_pair, request())


def test_different_tokenizers_are_refused(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path / "characters"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(Refused, match="different tokens"):
        run("attention", Pair(folder, tiny_pair.tuned), request(format="plain"))


def test_equal_ids_that_mean_other_tokens_are_refused(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path / "swapped"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    names = {id: token for token, id in vocabulary.items()}
    vocabulary[names[20]], vocabulary[names[30]] = 30, 20
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(Refused, match="different tokens"):
        run("attention", Pair(folder, tiny_pair.tuned), request("a", format="plain", answer_ids=(20, 30)))


def test_templates_may_differ_because_one_text_is_forced_through_both(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "other template"))
    (folder / "chat_template.jinja").write_text("{{ bos_token }}Q: {{ messages[0]['content'] }}{{ eos_token }}")
    theirs = run("attention", Pair(folder, tiny_pair.tuned), request(format="chat", answer_from="tuned"))
    ours = run("attention", Pair(folder, tiny_pair.tuned), request(format="chat", answer_from="base"))
    assert theirs.sequence.text.startswith("<|begin|>user:") and ours.sequence.text.startswith("<|begin|>Q:")


def test_table_shows_the_strongest_keys_first(tiny_pair: Pair[Path]):
    result = run("attention", tiny_pair, request())
    table = result.table(strongest=2)
    assert table["head"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (table["base_weight"].to_numpy().reshape(4, 2) @ [1, -1] >= 0).all()
