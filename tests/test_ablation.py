"""Ablation: a head that is off is its share of the output projection at zero, and nothing of it stays behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GPTBigCodeConfig, PreTrainedConfig, XGLMConfig

from model_utils import ablation, analyses, anatomy, shapes
from model_utils.contracts.ablation import FILLS, Ablation, AblationRequest, Fill
from model_utils.contracts.common import AttentionKind, ModelSpec, ask, explain
from model_utils.errors import Cancelled, Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import architectures, builders, oracles
from tests.architectures import ARCHITECTURES, ENCODER_DECODER, WITHOUT_ATTENTION
from tests.models import loaded, run

ANSWER = (60, 90, 120, 200, 33)
CLOSE = {"rtol": 1e-3, "atol": 5e-5}

PROJECTIONS: dict[tuple[str, AttentionKind], str] = {
    ("llama", "self"): "model.layers.{}.self_attn.o_proj",
    ("gpt2", "self"): "transformer.h.{}.attn.c_proj",
    ("t5", "encoder"): "encoder.block.{}.layer.0.SelfAttention.o",
    ("t5", "self"): "decoder.block.{}.layer.0.SelfAttention.o",
    ("t5", "cross"): "decoder.block.{}.layer.1.EncDecAttention.o",
}
"""(architecture, kind) -> where the output projection of a layer is, by name."""


def request(text: str = "Sort these: 12, 7.", **fields) -> AblationRequest:
    return AblationRequest(messages=ask(text), format="plain", **{"answer_ids": ANSWER, **fields})


def plain(folder: Path) -> Any:
    """As transformers itself opens it."""
    encoder_decoder = any(folder.parent.name.startswith(name) for name in ENCODER_DECODER)
    family = AutoModelForSeq2SeqLM if encoder_decoder else AutoModelForCausalLM
    return family.from_pretrained(folder, attn_implementation="eager").eval()


def answer_log_probs(module: Any, result: Ablation) -> np.ndarray:
    """(token,) of one plain forward, in float64."""
    sequence = result.sequence
    answer = torch.as_tensor(sequence.ids[sequence.positions("answer")])
    rows = oracles.all_logits(module, sequence.ids, sequence.encoder_length)[-len(answer) - 1 : -1]
    return torch.log_softmax(rows.double(), dim=-1).gather(1, answer[:, None])[:, 0].numpy()


def share(projection: nn.Module, head: int, heads: int) -> torch.Tensor:
    """(output, width) what a projection does to one head's output; GPT-2's holds its weight the other way round."""
    weight = projection.weight if isinstance(projection, nn.Linear) else projection.weight.T
    return weight.chunk(heads, dim=1)[head]


def without_share(module: Any, projection: nn.Module, head: int, heads: int, result: Ablation) -> np.ndarray:
    """(token,) log-probabilities with these weights at zero, which are put back."""
    with torch.no_grad():
        weight = share(projection, head, heads)
        kept = weight.clone()
        weight.zero_()
        found = answer_log_probs(module, result)
        weight.copy_(kept)
    return found


@pytest.fixture(scope="module")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair[Path]]:
    made: dict[str, Pair[Path]] = {}

    def make(architecture: str) -> Pair[Path]:
        if architecture not in made:
            made[architecture] = architectures.tiny_pair(tmp_path_factory.mktemp(architecture), architecture, seed=3)
        return made[architecture]

    return make


# --- what a head that is off is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("architecture", "kind"), PROJECTIONS)
def test_a_head_off_is_its_share_of_the_output_projection_at_zero(
    architecture: str, kind: AttentionKind, pair_of: Callable[[str], Pair[Path]]
):
    folders = pair_of(architecture)
    result: Ablation = run("ablation", folders, request(attention_kind=kind))
    facts = result.models.tuned
    assert result.heads.tolist() == [
        [layer, head] for layer in facts.attention_layers(kind) for head in range(facts.heads_of(kind))
    ]
    for side, folder in folders.items():
        module = plain(folder)
        on = answer_log_probs(module, result)
        np.testing.assert_allclose(result.log_probs[side], on, **CLOSE)
        for (layer, head), changes in zip(result.heads.tolist(), result.changes[side], strict=True):
            projection = module.get_submodule(PROJECTIONS[architecture, kind].format(layer))
            off = without_share(module, projection, head, facts.heads_of(kind), result)
            np.testing.assert_allclose(changes, off - on, **CLOSE)
        assert np.abs(result.changes[side]).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in WITHOUT_ATTENTION])
def test_every_architecture(architecture: str, pair_of: Callable[[str], Pair[Path]]):
    folders = pair_of(architecture)
    module = plain(folders.tuned)
    facts = loaded(folders).tuned.facts
    for kind, layer in facts.attention:
        heads = facts.heads_of(kind)
        result = run("ablation", folders, request(attention_kind=kind, heads=((layer, 0), (layer, heads - 1))))
        projection = anatomy.output_projection(anatomy.attention_sites(module)[kind, layer])
        for head, changes in zip((0, heads - 1), result.changes.tuned, strict=True):
            off = without_share(module, projection, head, heads, result)
            np.testing.assert_allclose(changes, off - answer_log_probs(module, result), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_mean_of_a_head_is_a_bias(architecture: str, pair_of: Callable[[str], Pair[Path]]):
    """Its weights at zero, and what they make of its mean over prompt and answer (but for the last token, which nobody reads) added to every token."""
    folders = pair_of(architecture)
    result = run("ablation", folders, request(fill="mean"))
    module, inputs = plain(folders.tuned), []
    on = answer_log_probs(module, result)
    for (layer, head), changes in zip(result.heads.tolist(), result.changes.tuned, strict=True):
        projection = module.get_submodule(PROJECTIONS[architecture, "self"].format(layer))
        handle = projection.register_forward_pre_hook(lambda part, args: inputs.append(args[0][0, :-1]))
        answer_log_probs(module, result)
        handle.remove()
        with torch.no_grad():
            bias = share(projection, head, 4) @ inputs.pop().mean(dim=0).chunk(4)[head]
        before = projection.bias
        projection.bias = nn.Parameter(bias if before is None else before + bias)
        off = without_share(module, projection, head, 4, result)
        projection.bias = before
        np.testing.assert_allclose(changes, off - on, **CLOSE)


def test_an_adapter_over_the_output_projection_does_not_hear_the_head_either(tiny_llama: Path, tmp_path: Path):
    adapter = builders.tiny_adapter(tmp_path, tiny_llama, target_modules=["o_proj"])
    specs = Pair(ModelSpec(id=str(tiny_llama)), ModelSpec(id=str(tiny_llama), adapter=str(adapter)))
    result = ablation_of(specs)
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llama), adapter).merge_and_unload()
    for side, module in (("base", plain(tiny_llama)), ("tuned", merged.eval())):
        on = answer_log_probs(module, result)
        for (layer, head), changes in zip(result.heads.tolist(), result.changes[side], strict=True):
            off = without_share(module, module.model.layers[layer].self_attn.o_proj, head, 4, result)
            np.testing.assert_allclose(changes, off - on, **CLOSE)


def ablation_of(specs: Pair[ModelSpec], **fields) -> Ablation:
    return analyses.execute("ablation", specs, request(**fields))


@pytest.mark.parametrize("fill", FILLS)
def test_a_head_that_nobody_hears_changes_nothing(fill: Fill, pair_of: Callable[[str], Pair[Path]], tmp_path: Path):
    folder = Path(shutil.copytree(pair_of("gpt2").tuned, tmp_path / "gpt2 deaf"))
    module = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        share(module.transformer.h[1].attn.c_proj, 2, 4).zero_()
    module.save_pretrained(folder)
    result = run("ablation", Pair(pair_of("gpt2").tuned, folder), request(fill=fill))
    unheard = (result.heads == [1, 2]).all(axis=1)
    np.testing.assert_allclose(result.changes.tuned[unheard], 0, atol=1e-5)
    assert (np.abs(result.changes.base[unheard]) > 1e-3).any()
    assert (np.abs(result.changes.tuned[~unheard]).max(axis=1) > 1e-3).all()


def test_the_mean_over_one_place_is_what_stands_there(pair_of: Callable[[str], Pair[Path]]):
    """A decoder that has read no more than its start token, and an answer of one token."""
    for kind in ("self", "cross"):
        asked = request(answer_ids=(60,), attention_kind=kind, fill="mean")
        result = run("ablation", pair_of("t5"), asked)
        np.testing.assert_allclose(result.changes.tuned, 0, atol=1e-5)
        zeros = run("ablation", pair_of("t5"), asked.model_copy(update={"fill": "zero"}))
        assert np.abs(zeros.changes.tuned).max() > 1e-3


# --- how it is computed does not matter ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("architecture", "kind"), [("llama", "self"), ("t5", "encoder"), ("t5", "cross")])
def test_heads_in_one_batch_are_heads_one_at_a_time(
    architecture: str, kind: AttentionKind, pair_of: Callable[[str], Pair[Path]], monkeypatch: pytest.MonkeyPatch
):
    folders, asked = pair_of(architecture), request(attention_kind=kind)
    together = run("ablation", folders, asked)
    monkeypatch.setattr(ablation.Reader, "_grows", False)
    whole = run("ablation", folders, asked)
    monkeypatch.setattr(ablation, "BATCH_BYTES", 1)
    alone = run("ablation", folders, asked)
    for side in ("base", "tuned"):
        np.testing.assert_allclose(whole.changes[side], together.changes[side], **CLOSE)
        np.testing.assert_allclose(alone.changes[side], together.changes[side], **CLOSE)
    chosen = request(attention_kind=kind, heads=((1, 2), (0, 3)))
    one = run("ablation", folders, chosen)
    assert one.heads.tolist() == [[1, 2], [0, 3]]
    np.testing.assert_allclose(one.changes.tuned, together.changes.tuned[[4 + 2, 3]], **CLOSE)


@pytest.mark.parametrize(
    ("config", "projection"),
    [
        (GPTBigCodeConfig(n_embd=32, n_layer=2, n_head=4, n_positions=64), "transformer.h.{}.attn.c_proj"),
        (XGLMConfig(d_model=32, num_layers=2, attention_heads=4, ffn_dim=48), "model.layers.{}.self_attn.out_proj"),
    ],
    ids=["gpt_bigcode", "xglm"],
)
def test_where_a_batch_cannot_grow_in_the_middle_it_is_large_from_the_start(
    config: PreTrainedConfig, projection: str, tmp_path: Path
):
    """These two compare shapes in the middle of a pass with what they prepared at its start."""
    tokenizer = builders.tiny_tokenizer(chat_template=False)
    for name, value in {"vocab_size": len(tokenizer), **shapes.special_ids(tokenizer)}.items():
        setattr(config, name, value)
    shapes.write(tmp_path, tokenizer, config, 3)
    folders = Pair(tmp_path, tmp_path)
    result = run("ablation", folders, request())
    assert not reader(folders, result)._grows
    module = plain(tmp_path)
    on = answer_log_probs(module, result)
    for (layer, head), changes in zip(result.heads.tolist(), result.changes.tuned, strict=True):
        part = module.get_submodule(projection.format(layer))
        np.testing.assert_allclose(changes, without_share(module, part, head, 4, result) - on, **CLOSE)


def reader(folders: Pair[Path], result: Ablation) -> ablation.Reader:
    return ablation.Reader(loaded(folders).tuned, result.sequence, result.attention_kind, result.fill, Report())


def test_a_model_against_itself_changes_by_the_same_and_swapping_sides_swaps(tiny_pair: Pair[Path]):
    same = run("ablation", Pair(tiny_pair.tuned, tiny_pair.tuned), request())
    np.testing.assert_array_equal(same.changes.base, same.changes.tuned)
    one, other = run("ablation", tiny_pair, request()), run("ablation", tiny_pair.swap(), request(answer_from="base"))
    for side, swapped in (("base", "tuned"), ("tuned", "base")):
        np.testing.assert_array_equal(one.changes[side], other.changes[swapped])
        np.testing.assert_array_equal(one.log_probs[side], other.log_probs[swapped])


# --- nothing stays behind -------------------------------------------------------------------------------------------------


class Watched(Report):
    """Keeps what it is told; after so many layers of passes nobody wants the result any more."""

    def __init__(self, polls: int | None = None) -> None:
        self.left, self.told = polls, list[tuple[float, Any]]()

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        self.told.append((fraction, snapshot))

    def poll(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Cancelled


def hooks(module: nn.Module) -> list[int]:
    return [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]


def bits(model: LanguageModel) -> torch.Tensor:
    with model.running() as module:
        return anatomy.logits(module, anatomy.parts(model.ids(range(20, 40)), 9 if model.facts.encoder_decoder else 0))


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_the_models_compute_as_before_also_after_a_cancel(architecture: str, pair_of: Callable[[str], Pair[Path]]):
    pair = loaded(pair_of(architecture))
    kind: AttentionKind = "encoder" if architecture == "t5" else "self"
    before = pair.map(lambda model: (hooks(model.network.module), bits(model)))
    passes = Watched()
    ablation.ablation(pair, request(attention_kind=kind), passes)
    for polls in (None, 0, 5, 12, 23):
        if polls is not None:
            with pytest.raises(Cancelled):
                ablation.ablation(pair, request(attention_kind=kind), Watched(polls))
        for model, (count, logits) in pair.zip(before).sides:
            assert hooks(model.network.module) == count
            assert torch.equal(bits(model), logits)


def test_each_layer_is_shown_when_it_is_done_and_the_others_are_not_numbers(tiny_pair: Pair[Path]):
    watched = Watched()
    result = run("ablation", tiny_pair, request(), watched)
    fractions, shown = zip(*watched.told, strict=True)
    assert list(fractions) == sorted(fractions) and fractions[-1] == 1
    snapshots = [one for one in shown if one is not None]
    assert len(snapshots) == 2
    for layers, snapshot in enumerate(snapshots, start=1):
        done = snapshot.heads[:, 0] < layers
        for side, changes in snapshot.changes.items():
            np.testing.assert_array_equal(changes[done], result.changes[side][done])
            assert np.isnan(changes[~done]).all()
    assert snapshots[0].table()["tuned_change"].isna().tolist() == [False] * 4 + [True] * 4


# --- what is said --------------------------------------------------------------------------------------------------------


def test_the_table_begins_with_what_harms_tuned_most_and_its_sums_are_the_answers(tiny_pair: Pair[Path]):
    result = run("ablation", tiny_pair, request())
    table = result.table()
    assert table["tuned_change"].is_monotonic_increasing and len(table) == 8
    rows = {(layer, head): i for i, (layer, head) in enumerate(result.heads.tolist())}
    for row in table.itertuples():
        number = rows[row.layer, row.head]
        assert row.base_change == pytest.approx(result.changes.base[number].sum(), abs=1e-6)
        assert row.tuned_change == pytest.approx(result.changes.tuned[number].sum(), abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"heads": ((2, 0),)}, "has no attention of the kind 'self' in layer 2; its layers with it are 0 to 1"),
        ({"heads": ((0, 0), (1, 4))}, "has no head 4 in layer 1; its heads there are 0 to 3"),
        ({"attention_kind": "cross"}, "has no attention of the kind 'cross'; it has self"),
        ({"answer_ids": ()}, "has no tokens"),
    ],
)
def test_what_cannot_be_switched_off_is_refused(tiny_pair: Pair[Path], fields: dict, part: str):
    with pytest.raises(Refused, match=part):
        run("ablation", tiny_pair, request(**fields))


def test_a_model_without_attention_is_refused(pair_of: Callable[[str], Pair[Path]]):
    with pytest.raises(Refused, match="layers have no attention"):
        run("ablation", pair_of("mamba"), request())


def test_of_unlike_sides_the_heads_that_both_have(tiny_llama: Path, tmp_path: Path):
    deeper = builders.tiny_llama(tmp_path / "deeper", seed=5, layers=3)
    result = run("ablation", Pair(tiny_llama, deeper), request())
    assert np.unique(result.heads[:, 0]).tolist() == [0, 1] and len(result.heads) == 8
    (note,) = result.notes
    assert note.startswith("Only the 8 heads that both models have are switched off: ") and note.endswith("has 12.")
    with pytest.raises(Refused, match="in layer 2; its layers with it are 0 to 1"):
        run("ablation", Pair(tiny_llama, deeper), request(heads=((2, 1),)))


def test_sides_that_have_no_layer_with_attention_in_common_are_refused(
    pair_of: Callable[[str], Pair[Path]], tmp_path: Path
):
    types = ["full_attention", "linear_attention", "linear_attention"]
    other = architectures.tiny(tmp_path / "other", "qwen3_next", layer_types=types)
    with pytest.raises(Refused, match="in no layer that is the same"):
        run("ablation", Pair(pair_of("qwen3_next").base, other), request())


@pytest.mark.parametrize(("heads", "part"), [((), "No head is named"), (((1, 1), (1, 1)), "name one twice")])
def test_heads_are_named_once_or_not_at_all(heads: tuple, part: str):
    with pytest.raises(ValidationError) as caught:
        request(heads=heads)
    assert part in explain(caught.value)
