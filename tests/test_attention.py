"""Attention: rows sum to one, nothing above the diagonal, equal to the model's own maps; what several layers give together; texts of one's own."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, XGLMConfig

from model_utils import analyses, anatomy, attention, capture, codec
from model_utils.contracts.ablation import AblationRequest
from model_utils.contracts.atlas import AtlasRequest
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.common import ModelSpec, Own, SharedSequence, ask
from model_utils.errors import NotAlike, Refused
from model_utils.pair import Pair, Side
from model_utils.reporting import Report
from model_utils.shapes import special_ids, write
from tests import architectures, builders, oracles, results
from tests.models import loaded, opened, run
from tests.strategies import instructions


def request(text: str = "Name three 🎉 animals.", **fields) -> AttentionRequest:
    return AttentionRequest(messages=ask(text), **{"answer_ids": (20, 30, 40), **fields})


WAYS: list[dict] = [{}, {"value_weighted": True}, {"reduction": "mean"}, {"reduction": "max"}, {"reduction": "rollout"}]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())) or "heads")


@given(text=instructions)
@settings(max_examples=25)
def test_rows_sum_to_one_and_never_look_ahead(tiny_pair: Pair[Path], text: str):
    result = run("attention", tiny_pair, request(text[:60], layer=1))
    for _, weights in result.weights.items():
        assert (
            weights.shape == (4, len(result.sequences.tuned), len(result.sequences.tuned))
            and weights.dtype == np.float32
        )
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-6)
        assert (np.triu(weights, k=1) == 0).all()


@pytest.mark.parametrize("layer", [0, 1])
def test_maps_are_the_models_own(tiny_pair: Pair[Path], layer: int):
    result = run("attention", tiny_pair, request(layer=layer))
    for (_, weights), (_, folder) in zip(result.weights.items(), tiny_pair.items(), strict=True):
        own = oracles.attention_maps(AutoModelForCausalLM.from_pretrained(folder), result.sequences.tuned.ids.tolist())
        np.testing.assert_allclose(weights, own[layer], atol=1e-6)


@EVERY_WAY
def test_rows_of_every_map_sum_to_one_and_never_look_ahead(tiny_pair: Pair[Path], way: dict):
    for _, weights in run("attention", tiny_pair, request(**way)).weights.items():
        assert weights.dtype == np.float32 and not np.triu(weights, k=1).any()
        if way.get("reduction") != "max":
            np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-6)


def test_maps_of_all_layers_are_made_of_all_maps(tiny_pair: Pair[Path]):
    for side, folder in tiny_pair.items():
        found = {}
        for reduction in ("mean", "max", "rollout"):
            result = run("attention", tiny_pair, request(reduction=reduction))
            found[reduction] = result.weights[side]
            assert result.layer is None and result.reduction == reduction
        every = oracles.attention_maps(
            AutoModelForCausalLM.from_pretrained(folder), result.sequences[side].ids.tolist()
        )
        bars = [0.5 * layer.mean(axis=0) + 0.5 * np.eye(len(layer[0])) for layer in every]
        expected = {"mean": every.mean(axis=(0, 1)), "max": every.max(axis=(0, 1)), "rollout": bars[1] @ bars[0]}
        for reduction, weights in found.items():
            np.testing.assert_allclose(weights, expected[reduction][None], atol=1e-6)


def rolled_out(layers: list[np.ndarray], tile: int) -> np.ndarray:
    """Rollout of maps (head, query, key) that are given in tiles, cropped after the last key that is seen."""
    kept = attention.KEPT["rollout"](layers[0].shape, len(layers))
    for number, weights in enumerate(layers):
        look = capture.Given(number, torch.as_tensor(weights, dtype=torch.float32))
        for start in range(0, len(look), tile):
            kept(look, start, look.tile(start, start + tile)[1][..., : start + tile])
    return kept.maps[0]


@given(share=st.floats(0, 1), layers=st.integers(1, 6), tile=st.integers(1, 3))
def test_rollout_of_two_tokens_is_a_power(share: float, layers: int, tile: int):
    """With A = [[1, 0], [a, 1 - a]] in all of L layers the last row is (1 - (1 - a/2)^L, (1 - a/2)^L); a = 0.6, L = 3: (.657, .343)."""
    found = rolled_out([np.array([[[1, 0], [share, 1 - share]]])] * layers, tile)
    kept = (1 - share / 2) ** layers
    np.testing.assert_allclose(found, [[1, 0], [1 - kept, kept]], atol=1e-6)
    np.testing.assert_allclose(rolled_out([np.array([[[1, 0], [0.6, 0.4]]])] * 3, tile)[1], [0.657, 0.343], atol=1e-6)


@given(count=st.integers(1, 9), layers=st.integers(1, 4), tile=st.integers(1, 9))
def test_rollout_of_heads_that_look_at_themselves_is_the_identity(count: int, layers: int, tile: int):
    same = np.stack([np.eye(count)] * 3)
    np.testing.assert_array_equal(rolled_out([same] * layers, tile), np.eye(count))


@pytest.mark.parametrize("layer", [0, 1])
def test_value_weighted_maps_are_those_made_cell_by_cell(tiny_pair: Pair[Path], tmp_path: Path, layer: int):
    """With key heads that two query heads share, and with biases."""
    for folder in (tiny_pair.tuned, architectures.tiny(tmp_path / "gpt2", "gpt2")):
        result = run("attention", Pair(folder, folder), request(format="plain", layer=layer, value_weighted=True))
        own = oracles.value_weighted(
            AutoModelForCausalLM.from_pretrained(folder), result.sequences.base.ids.tolist(), layer
        )
        np.testing.assert_allclose(result.weights.base, own, atol=1e-5)


def test_values_are_weighted_by_the_projection_with_its_adapter(tiny_llama: Path, tmp_path: Path):
    """Both sides share the base's weights; the other side's adapter is off."""
    adapter = builders.tiny_adapter(tmp_path / "adapter", tiny_llama, target_modules=["v_proj", "o_proj"])
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llama), adapter).merge_and_unload()
    specs = Pair(ModelSpec(id=str(tiny_llama)), ModelSpec(id=str(tiny_llama), adapter=str(adapter)))
    result = analyses.execute("attention", specs, request(format="plain", value_weighted=True))
    ids = result.sequences.base.ids.tolist()
    for side, module in (("base", AutoModelForCausalLM.from_pretrained(tiny_llama)), ("tuned", merged)):
        np.testing.assert_allclose(result.weights[side], oracles.value_weighted(module, ids, 0), atol=1e-5)
    assert np.abs(result.weights.base - result.weights.tuned).max() > 0.01


@pytest.mark.parametrize(
    "architecture", [name for name in architectures.ARCHITECTURES if name not in architectures.WITHOUT_ATTENTION]
)
def test_a_lone_token_is_passed_on_as_it_goes_into_the_output_projection(architecture: str, tmp_path: Path):
    """It looks at itself alone, so that each head's part of the projection's input is its value, wherever no gate lies between."""
    model = opened(ModelSpec(id=str(architectures.tiny(tmp_path, architecture))))
    both = {"ids": np.array([5, 6]), "encoder_length": 1} if model.facts.encoder_decoder else {"ids": np.array([5])}
    sequence = replace(results.encoded(("a",) * len(both["ids"])), **both)
    for kind in dict.fromkeys(kind for kind, _ in model.facts.attention):
        layer = model.facts.attention_layers(kind)[-1]
        site = anatomy.attention_sites(model.network.module)[kind, layer]
        projection, given, norms = anatomy.output_projection(site), [], []
        hook = projection.register_forward_pre_hook(lambda _, args, given=given: given.append(args[0].reshape(-1)))
        with model.running() as module:
            anatomy.logits(module, anatomy.parts(model.ids(sequence.ids), sequence.encoder_length))
        hook.remove()
        keep = lambda look, *_, norms=norms: norms.append(attention._passed_on(look))  # noqa: E731
        capture.read(model, sequence, kind, (layer,), keep, lambda: None)
        heads = len(norms[0])
        parts = torch.block_diag(*given[0].view(heads, 1, -1))
        with torch.no_grad():
            expected = (projection(parts) - projection(torch.zeros_like(parts))).norm(dim=-1)
        if architecture == "qwen3_next":
            assert (norms[0][:, 0] > expected).all(), "a gate takes away"
        else:
            torch.testing.assert_close(norms[0][:, 0], expected, rtol=1e-4, atol=1e-6)


def test_a_head_that_passes_nothing_on_has_empty_rows(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).tuned
    weight = anatomy.layers(model.network.module)[0].self_attn.o_proj.weight
    before = weight.clone()
    weight[:, 8:16] = 0
    try:
        weights = run("attention", tiny_pair, request(value_weighted=True)).weights.tuned
    finally:
        weight.copy_(before)
    assert not weights[1].any() and np.allclose(weights[[0, 2, 3]].sum(-1), 1)


@pytest.mark.parametrize("size", [1, 5, 1000])
@EVERY_WAY
def test_the_size_of_tiles_does_not_matter(
    tiny_pair: Pair[Path], way: dict, size: int, monkeypatch: pytest.MonkeyPatch
):
    expected = run("attention", tiny_pair, request(**way)).weights.tuned
    monkeypatch.setattr(capture, "TILE", size)
    np.testing.assert_allclose(run("attention", tiny_pair, request(**way)).weights.tuned, expected, atol=5e-6)


@EVERY_WAY
def test_the_shortest_text(tiny_pair: Pair[Path], way: dict):
    """A start, one token to answer to, and an answer of one."""
    result = run("attention", tiny_pair, request("a", format="plain", answer_ids=(5,), **way))
    assert result.sequences.tuned.pieces == ("<|begin|>", "a", "#")
    assert result.weights.tuned[:, 0, 0].tolist() == [1] * len(result.weights.tuned)


def test_only_the_layers_up_to_the_one_asked_for_are_run(tiny_pair: Pair[Path]):
    """An analysis is asked at every layer whether to go on."""

    class Counting(Report):
        polled = 0

        def poll(self) -> None:
            self.polled += 1

    counts = []
    for layer in (0, 1):
        report = Counting()
        run("attention", tiny_pair, request(layer=layer), report)
        counts.append(report.polled)
    assert counts[1] - counts[0] == 2, "one more on either side"


# Texts of one's own


def eager(folder: Path, ids: np.ndarray) -> np.ndarray:
    return oracles.attention_maps(AutoModelForCausalLM.from_pretrained(folder), ids.tolist())


def other_words(folder: Path, merges: int = 0) -> None:
    """Leaves a tokenizer fewer merges, so that it cuts texts differently."""
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:merges]
    file.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_each_side_reads_its_own_text(tiny_pair: Pair[Path], side: Side):
    """The other side than the one whose answer is given."""
    own = Own(format="Q: {instruction}\nA:", answer_ids=(50, 60))
    result = run("attention", tiny_pair, request(format="plain", answer_from=side, own=own, layer=1))
    texts = Pair(result.sequences[side], result.sequences.swap()[side])
    assert not result.shared and texts.base.text.startswith("Name") and texts.tuned.text.startswith("Q: Name")
    assert [one.ids[one.positions("answer")].tolist() for one in texts.sides] == [[20, 30, 40], [50, 60]]
    for one, folder in tiny_pair.items():
        np.testing.assert_allclose(result.weights[one], eager(folder, result.sequences[one].ids)[1], atol=1e-6)
        assert len(result.queries(one)) == len(result.keys(one)) == len(result.sequences[one])


def test_each_side_makes_the_answer_that_is_not_given(tiny_pair: Pair[Path]):
    class Listening(Report):
        def __init__(self) -> None:
            self.heard: list[float] = []

        def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
            self.heard.append(fraction)

    report = Listening()
    asked = request(answer_ids=None, max_new_tokens=5, format="plain", own=Own(format="few-shot"))
    result = run("attention", tiny_pair, asked, report)
    assert report.heard == sorted(report.heard) and report.heard[-1] < 1
    for side, model in loaded(tiny_pair).items():
        sequence = result.sequences[side]
        answer = sequence.positions("answer")
        prompt = sequence.ids[: answer[0]].tolist()
        assert sequence.ids[answer].tolist() == oracles.greedy_ids(model.network.module, prompt, 5, model.stop_ids)
        assert sequence.text.startswith("Name three") == (side == "tuned"), "base is asked after solved examples"


@EVERY_WAY
def test_models_of_other_shapes_and_other_tokens_read_their_own(tiny_pair: Pair[Path], tmp_path: Path, way: dict):
    """Other tokens, other heads, other layers, and an encoder on one side alone."""
    fewer = architectures.tiny(tmp_path / "bart", "bart")
    other_words(fewer)
    result = run("attention", Pair(fewer, tiny_pair.tuned), request(format="plain", own=Own(format="plain"), **way))
    facts = result.models
    assert (facts.base.heads, facts.tuned.heads) == (2, 4) and facts.base.encoder_decoder
    for side, weights in result.weights.items():
        heads = facts[side].heads if result.layer is not None else 1
        assert weights.shape == (heads, len(result.queries(side)), len(result.keys(side)))
    assert len(result.table()) == 3 * max(len(weights) for _, weights in result.weights.items())


def test_the_table_of_texts_of_their_own_names_the_tokens_of_each(tiny_pair: Pair[Path]):
    result = run("attention", tiny_pair, request(format="plain", own=Own(format="few-shot", answer_ids=(50, 60))))
    table = result.table()
    for side in ("base", "tuned"):
        pieces = result.sequences[side].pieces
        assert [pieces[key] for key in table[f"{side}_key"]] == table[f"{side}_token"].tolist()
    assert table["base_key"].max() >= len(result.sequences.tuned), "base reads the longer text"


# Many at once


@pytest.mark.slow
def test_many_threads_get_the_maps_of_their_own_requests(tiny_pair: Pair[Path]):
    """200 requests, 20 at once: each is what it is by itself, and whole."""
    asked = [request(f"Number {number % 5}.", **WAYS[number // 5 % len(WAYS)]) for number in range(200)]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda one: run("attention", tiny_pair, one), asked))
    alone = {one: run("attention", tiny_pair, one) for one in set(asked)}
    assert len(asked) == 200 and len(alone) == 5 * len(WAYS)
    for one, result in zip(asked, found, strict=True):
        assert codec.encode(result) == codec.encode(alone[one])


# One text for both


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


@EVERY_WAY
def test_a_model_against_itself_differs_by_zero(tiny_pair: Pair[Path], way: dict):
    result = run("attention", Pair(tiny_pair.tuned, tiny_pair.tuned), request(**way))
    assert result.shared and (result.weights.tuned - result.weights.base == 0).all()


@EVERY_WAY
def test_swapping_sides_swaps_maps(tiny_pair: Pair[Path], way: dict):
    one, other = run("attention", tiny_pair, request(**way)), run("attention", tiny_pair.swap(), request(**way))
    assert not np.array_equal(one.weights.base, one.weights.tuned)
    np.testing.assert_array_equal(one.weights.base, other.weights.tuned)
    np.testing.assert_array_equal(one.weights.tuned, other.weights.base)


def test_without_an_answer_the_chosen_side_gives_one(tiny_pair: Pair[Path]):
    for side in ("base", "tuned"):
        result = run("attention", tiny_pair, request(answer_ids=None, max_new_tokens=5, answer_from=side))
        prompt, module = result.sequences.tuned.ids[result.sequences.tuned.roles != 2].tolist(), loaded(tiny_pair)[side]
        answer = result.sequences.tuned.ids[result.sequences.tuned.positions("answer")].tolist()
        assert answer == oracles.greedy_ids(module.network.module, prompt, 5, module.stop_ids)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"layer": 2}, "has no layer 2; its layers with attention are 0 to 1"),
        ({"answer_ids": ()}, "has no tokens"),
        ({"answer_ids": (9_999,)}, "holds the token 9999"),
        ({"answer_ids": (5,) * 250}, "reads at most 256"),
        ({"own": Own(answer_ids=())}, "has no tokens"),
        ({"own": Own(answer_ids=(9_999,))}, "holds the token 9999"),
        ({"own": Own(answer_ids=(5,) * 250)}, "reads at most 256"),
    ],
)
def test_what_cannot_be_shown_is_refused(tiny_pair: Pair[Path], fields: dict, part: str):
    with pytest.raises(Refused, match=part):
        run("attention", tiny_pair, request(**fields))


def test_values_weigh_no_map_of_all_layers():
    with pytest.raises(
        ValidationError, match="the reduction 'mean' puts all layers into one map; choose the reduction 'heads'"
    ):
        request(reduction="mean", value_weighted=True)


@EVERY_WAY
@pytest.mark.parametrize("place", [(attention, "MAX_BYTES", 100), (attention.checkpoints, "free_memory", lambda: 400)])
def test_maps_too_large_for_memory_are_refused_with_figures_before_they_are_made(
    tiny_pair: Pair[Path], way: dict, place: tuple, monkeypatch: pytest.MonkeyPatch
):
    loaded(tiny_pair)
    monkeypatch.setattr(*place)
    monkeypatch.delattr(attention, "maps")
    sentence = r"over \d+ tokens takes? 0.00 GiB a side, more than the 0.00 GiB .* open the overview of all heads"
    with pytest.raises(Refused, match=sentence):
        run("attention", tiny_pair, request(**way))


def test_a_layer_that_one_model_lacks_is_refused(tmp_path: Path):
    """Also where each side reads its own text; a map of all layers needs no such layer."""
    small, large = (builders.tiny_llama(tmp_path / str(layers), layers=layers) for layers in (2, 3))
    for own in (None, Own(format="plain", answer_ids=(5,))):
        asked = {"format": "plain", "own": own}
        with pytest.raises(Refused, match="has no layer 2; its layers with attention are 0 to 1"):
            run("attention", Pair(small, large), request(**asked, layer=2))
        assert run("attention", Pair(small, large), request(**asked, reduction="mean")).layer is None


def test_rollout_from_one_text_into_another_is_refused(tmp_path: Path):
    pair = architectures.tiny_pair(tmp_path, "t5")
    with pytest.raises(Refused, match="choose the mean or the strongest"):
        run("attention", pair, request(format="plain", reduction="rollout", attention_kind="cross"))


def test_weights_of_values_are_refused_where_an_architecture_shows_none(tmp_path: Path):
    folder = tmp_path / "xglm"
    tokenizer = builders.tiny_tokenizer(chat_template=False)
    ids = {**special_ids(tokenizer), "vocab_size": len(tokenizer)}
    write(folder, tokenizer, XGLMConfig(d_model=32, ffn_dim=48, num_layers=2, attention_heads=4, **ids), 0)
    pair = Pair(folder, folder)
    with pytest.raises(Refused, match="XGLMForCausalLM, which shows the weights of its attention and not the values"):
        run("attention", pair, request(format="plain", value_weighted=True))
    assert run("attention", pair, request(format="plain")).weights.base.shape[0] == 4


@pytest.mark.parametrize(
    ("kind", "asked"), [("attention", AttentionRequest), ("atlas", AtlasRequest), ("ablation", AblationRequest)]
)
def test_different_tokenizers_are_refused(
    tiny_pair: Pair[Path], tmp_path: Path, kind: str, asked: type[SharedSequence]
):
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path / "characters"))
    other_words(folder)
    with pytest.raises(NotAlike, match="different tokens"):
        run(kind, Pair(folder, tiny_pair.tuned), asked(messages=request().messages, format="plain"))


def test_equal_ids_that_mean_other_tokens_are_refused(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path / "swapped"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    names = {id: token for token, id in vocabulary.items()}
    vocabulary[names[20]], vocabulary[names[30]] = 30, 20
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(NotAlike, match="different tokens"):
        run("attention", Pair(folder, tiny_pair.tuned), request("a", format="plain", answer_ids=(20, 30)))


def test_templates_may_differ_because_one_text_is_forced_through_both(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "other template"))
    (folder / "chat_template.jinja").write_text("{{ bos_token }}Q: {{ messages[0]['content'] }}{{ eos_token }}")
    theirs = run("attention", Pair(folder, tiny_pair.tuned), request(format="chat", answer_from="tuned"))
    ours = run("attention", Pair(folder, tiny_pair.tuned), request(format="chat", answer_from="base"))
    assert theirs.sequences.tuned.text.startswith("<|begin|>user:") and ours.sequences.tuned.text.startswith(
        "<|begin|>Q:"
    )


def test_table_shows_the_strongest_keys_first(tiny_pair: Pair[Path]):
    result = run("attention", tiny_pair, request())
    table = result.table(strongest=2)
    assert table["head"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (table["base_weight"].to_numpy().reshape(4, 2) @ [1, -1] >= 0).all()
