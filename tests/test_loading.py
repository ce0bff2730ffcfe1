"""Loading: what is opened equals what lies on disk, switches are restored, the budget holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from model_utils import loading
from model_utils.contracts.common import ModelSpec
from model_utils.errors import Cancelled, Refused
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import builders
from tests.models import loaded, specs_of


def test_logits_are_those_of_plain_transformers(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).tuned
    ids = model.ids(np.arange(3, 23))
    with model.running() as module:
        ours = module(input_ids=ids).logits
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(tiny_pair.tuned)(input_ids=ids).logits
    assert torch.equal(ours, plain)


def test_facts_are_read_from_the_model(tiny_pair: Pair[Path]):
    facts = loaded(tiny_pair).base.facts
    config = json.loads((tiny_pair.base / "config.json").read_text())
    assert (facts.layers, facts.heads, facts.context) == (
        config["num_hidden_layers"],
        config["num_attention_heads"],
        config["max_position_embeddings"],
    )
    assert facts.vocabulary == config["vocab_size"] and facts.dtype == "float32"
    assert facts.parameters == sum(
        tensor.numel() for tensor in load_file(tiny_pair.base / "model.safetensors").values()
    )


def test_running_restores_every_switch_even_after_an_error(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).base
    threads, poll = torch.get_num_threads(), model.network.poll
    with (
        torch.set_grad_enabled(True),
        pytest.raises(ZeroDivisionError),
        model.running(lambda: None, "eager", gradients=True, threads=1) as module,
    ):
        assert (
            module.config._attn_implementation == "eager" and torch.is_grad_enabled() and torch.get_num_threads() == 1
        )
        with model.running() as inner:
            assert inner.config._attn_implementation == "sdpa" and not torch.is_grad_enabled()
        assert module.config._attn_implementation == "eager" and torch.is_grad_enabled()
        raise ZeroDivisionError
    assert module.config._attn_implementation == "sdpa"
    assert torch.get_num_threads() == threads and model.network.poll is poll


def test_no_weight_takes_gradients(tiny_pair: Pair[Path]):
    with loaded(tiny_pair).base.running() as module:
        assert not any(parameter.requires_grad for parameter in module.parameters())


class StopsAfter:
    def __init__(self, polls: int) -> None:
        self.left = polls

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled


def test_a_cancel_is_seen_at_every_layer_of_a_forward(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).base
    for polls in range(model.facts.layers):
        with pytest.raises(Cancelled), model.running(StopsAfter(polls)) as module:
            module(input_ids=model.ids([5, 6, 7]))
    with model.running(StopsAfter(model.facts.layers)) as module:
        module(input_ids=model.ids([5, 6, 7]))


def test_a_cancel_is_seen_in_a_backward(tiny_pair: Pair[Path]):
    model = loaded(tiny_pair).base
    with pytest.raises(Cancelled), model.running(StopsAfter(model.facts.layers), gradients=True) as module:
        embeddings = module.get_input_embeddings()(model.ids([5, 6, 7])).detach().requires_grad_()
        logits = module(inputs_embeds=embeddings).logits
        torch.autograd.grad(logits.sum(), embeddings)


def test_the_same_files_are_loaded_once_and_changed_ones_again(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path / "model"))
    first = loaded(Pair(folder, folder))
    assert first.base is first.tuned
    assert loaded(Pair(folder, tiny_pair.tuned)).base is first.base
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name: tensor * 2 for name, tensor in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"}
    )
    changed = loaded(Pair(folder, folder)).base
    assert changed is not first.base and changed.facts.weights != first.base.facts.weights


def test_the_budget_drops_the_least_recently_used_but_never_the_pair_in_use(tiny_pair: Pair[Path], tmp_path: Path):
    others = builders.tiny_pair(tmp_path, seed=7)
    manager = loading.ModelManager(budget_bytes=1)
    with manager.using(specs_of(tiny_pair), Report()) as first:
        with manager.using(specs_of(others), Report()) as second:
            assert len(manager._models) == 4, "both pairs are in use"
        with manager.using(specs_of(tiny_pair), Report()) as again:
            assert again.base is first.base and again.tuned is first.tuned
            assert len(manager._models) == 2, "the pair that nobody uses was dropped"
    with manager.using(specs_of(others), Report()) as third:
        assert third.base is not second.base


def test_a_loaded_model_does_not_change_with_its_file(tiny_pair: Pair[Path], tmp_path: Path):
    """Weights read as a map of the file changed under the model when the file was written to, and ended the process when it was cut."""
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path / "model"))
    model = loaded(Pair(folder, folder)).base
    before = {name: parameter.clone() for name, parameter in model.network.module.named_parameters()}
    weights = folder / "model.safetensors"
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\x01" * (size - size // 2))
        file.truncate(size // 2)
    for name, parameter in model.network.module.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_files_that_change_while_they_are_read_are_refused(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    digest = loading.checkpoints.weights_digest

    def meanwhile(path: Path) -> str:
        (path / "config.json").write_text((path / "config.json").read_text() + " ")
        return digest(path)

    monkeypatch.setattr(loading.checkpoints, "weights_digest", meanwhile)
    with pytest.raises(Refused, match="changed while they were read"):
        loading.load(ModelSpec(id=str(folder)))


def broken(source: Path, folder: Path, change) -> ModelSpec:
    shutil.copytree(source, folder)
    change(folder)
    return ModelSpec(id=str(folder))


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(name for name in tensors if "mlp" in name))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "model.safetensors").write_bytes(b"not weights"),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "config.json").write_text('{"model_type": "no such thing"}'),
        lambda folder: (folder / "tokenizer.json").unlink(),
        lambda folder: (folder / "config.json").write_text("[]"),
        lambda folder: (folder / "tokenizer_config.json").write_text("[]"),
        lambda folder: (folder / "extra.json").symlink_to("nowhere"),
        without_a_tensor,
    ],
    ids=["weights", "config", "architecture", "tokenizer", "list", "tokenizer list", "dangling link", "missing tensor"],
)
def test_broken_files_are_refused_with_one_sentence(tiny_llama: Path, tmp_path: Path, change):
    spec = broken(tiny_llama, tmp_path / "model", change)
    with pytest.raises(Refused) as caught:
        loading.load(spec)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
