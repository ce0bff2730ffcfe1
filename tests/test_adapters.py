"""Adapters over a base: one copy of the weights, the base's bits untouched, each side its own switch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import (
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    PeftModel,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from model_utils import analyses, mixed
from model_utils.contracts.common import ModelSpec, Specs, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.load_report import LoadReport, LoadReportRequest
from model_utils.errors import Refused
from model_utils.loading import LanguageModel, ModelManager
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import builders
from tests.models import opened

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def adapter(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builders.tiny_adapter(tmp_path_factory.mktemp("adapter"), tiny_llama)


def over(base: Path, adapter: Path) -> Specs:
    return Pair(ModelSpec(id=str(base)), ModelSpec(id=str(base), adapter=str(adapter)))


@pytest.fixture(scope="module")
def pair(tiny_llama: Path, adapter: Path) -> Pair[LanguageModel]:
    with ModelManager().using(over(tiny_llama, adapter), Report()) as pair:
        return pair


def logits(model: LanguageModel) -> torch.Tensor:
    with model.running() as module:
        return module(input_ids=model.ids(range(5, 25))).logits


def test_both_sides_stand_on_one_copy_of_the_weights(pair: Pair[LanguageModel], tiny_llama: Path, adapter: Path):
    assert pair.base.network is pair.tuned.network
    alone = opened(ModelSpec(id=str(tiny_llama))).network.bytes
    extra = (adapter / "adapter_model.safetensors").stat().st_size
    assert alone < pair.base.network.bytes <= alone + extra


def test_the_base_keeps_its_bits_and_the_tuned_side_is_what_peft_computes(
    pair: Pair[LanguageModel], tiny_llama: Path, adapter: Path
):
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        base = plain(input_ids=ids).logits
        tuned = PeftModel.from_pretrained(plain, adapter).eval()(input_ids=ids).logits
    assert pair.base.network.adapter is None
    for _ in range(2):
        assert torch.equal(logits(pair.base), base)
        torch.testing.assert_close(logits(pair.tuned), tuned, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(base, tuned, atol=0.1)


def test_switches_are_restored_also_inside_one_another(pair: Pair[LanguageModel]):
    network = pair.base.network
    with pair.tuned.running():
        with pair.base.running():
            assert network.adapter is None
        assert network.adapter == pair.tuned.adapter
    assert network.adapter is None
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


def test_a_second_adapter_leaves_the_first_as_it_was(tiny_llama: Path, adapter: Path, tmp_path: Path):
    manager = ModelManager()
    with manager.using(over(tiny_llama, adapter), Report()) as first:
        base, tuned = first.map(logits).sides
        other = builders.tiny_adapter(tmp_path / "other", tiny_llama, seed=1, target_modules=["v_proj", "q_proj"])
        with first.tuned.running(), manager.using(over(tiny_llama, other), Report()) as second:
            assert second.base.network is first.base.network and second.tuned.adapter != first.tuned.adapter
            third = logits(second.tuned)
        assert torch.equal(logits(first.base), base) and torch.equal(logits(first.tuned), tuned)
        assert not torch.allclose(third, tuned, atol=0.1)


def test_the_report_sees_the_adapters_change(tiny_llama: Path, adapter: Path):
    result: LoadReport = analyses.execute("load_report", over(tiny_llama, adapter), LoadReportRequest())
    assert result.shares_weights and result.adapter_restores_base and result.differs
    changed = {name for name, share in zip(result.tensor_names, result.tensor_changed, strict=True) if share > 0}
    assert changed == {name for name in result.tensor_names if "q_proj" in name or "down_proj" in name}
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama)
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llama), adapter).merge_and_unload()
    after = dict(merged.named_parameters())
    assert set(result.tensor_names) == set(after)
    for name, weight in plain.named_parameters():
        at = result.tensor_names.index(name)
        moved = float((after[name] - weight).detach().norm())
        assert result.tensor_differences[at] == pytest.approx(moved, rel=1e-3), name
        assert result.tensor_norms[at] == pytest.approx(float(weight.detach().norm()), rel=1e-5)
    assert result.identities.base.adapter is None and result.identities.tuned.adapter is not None
    assert result.identities.base.weights == result.identities.tuned.weights


FORMATS = [Pair("plain", "plain"), Pair("few-shot", "plain"), Pair("plain", "few-shot")]


@pytest.mark.parametrize("formats", FORMATS, ids=lambda formats: f"{formats.base}-{formats.tuned}")
def test_one_mixed_batch_answers_as_the_sides_in_turn(
    tiny_llama: Path, adapter: Path, formats: Pair, monkeypatch: pytest.MonkeyPatch
):
    """Prompts of the same and of different lengths; the shorter one is padded."""
    used = []
    writer = mixed.MixedWriter
    monkeypatch.setattr(mixed, "MixedWriter", lambda *given: used.append(1) or writer(*given))
    request = GenerationRequest(messages=ask("Name three animals."), formats=formats, max_new_tokens=40)
    together = analyses.execute("generation", over(tiny_llama, adapter), request)
    assert used
    monkeypatch.setattr(mixed, "mixes", lambda *given: False)
    turns = analyses.execute("generation", over(tiny_llama, adapter), request)
    for ours, theirs in zip(together.answers.sides, turns.answers.sides, strict=True):
        assert ours.answer.ids.tolist() == theirs.answer.ids.tolist() and ours.stop == theirs.stop
        np.testing.assert_allclose(ours.log_probs, theirs.log_probs, atol=1e-5)
        np.testing.assert_allclose(ours.alternative_log_probs, theirs.alternative_log_probs, atol=1e-4)
    assert together.answers.base.answer.ids.tolist() != together.answers.tuned.answer.ids.tolist()


def test_what_cannot_be_mixed_takes_turns(tiny_llama: Path, adapter: Path, tmp_path: Path):
    dora = builders.tiny_adapter(tmp_path, tiny_llama, use_dora=True)
    with ModelManager().using(over(tiny_llama, dora), Report()) as pair:
        assert not pair.tuned.network.mixes
    with ModelManager().using(over(tiny_llama, adapter), Report()) as pair:
        assert pair.tuned.network.mixes


def _pickled(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def _no_config(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def _cut(folder: Path) -> None:
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (_pickled, "safetensors only"),
        (_no_config, "adapter_config.json is missing"),
        (_cut, "not a whole safetensors file"),
    ],
)
def test_a_broken_adapter_is_refused_and_the_base_still_answers(
    tiny_llama: Path, adapter: Path, tmp_path: Path, change, part: str
):
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    change(folder)
    manager = ModelManager()
    base = ModelSpec(id=str(tiny_llama))
    with manager.using(Pair(base, base), Report()) as before:
        expected = logits(before.base)
    with pytest.raises(Refused, match=part), manager.using(over(tiny_llama, folder), Report()):
        pytest.fail("it was opened")
    with manager.using(Pair(base, base), Report()) as after:
        assert torch.equal(logits(after.base), expected)


def test_an_adapter_for_another_shape_is_refused(adapter: Path, tmp_path: Path):
    other = builders.tiny_llama(tmp_path / "other", layers=3)
    wide = builders.tiny_adapter(tmp_path / "wide", other, layers_to_transform=[2])
    small = builders.tiny_llama(tmp_path / "small")
    with pytest.raises(Refused, match="does not fit"), ModelManager().using(over(small, wide), Report()):
        pytest.fail("it was opened")


def test_an_adapter_that_would_overwrite_the_base_is_refused(tiny_llama: Path, adapter: Path, tmp_path: Path):
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    weights = load_file(folder / "adapter_model.safetensors")
    weights["base_model.model.model.embed_tokens.weight"] = torch.zeros(394, 32)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    with (
        pytest.raises(Refused, match="would overwrite the base"),
        ModelManager().using(over(tiny_llama, folder), Report()),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize(
    ("kind", "options", "known"),
    [
        (LoraConfig, {"target_modules": ["q_proj"], "use_rslora": True}, True),
        (LoraConfig, {"target_modules": ["q_proj"], "use_dora": True}, False),
        (LoraConfig, {"target_modules": ["embed_tokens", "v_proj"]}, True),
        (LoHaConfig, {"target_modules": ["q_proj"]}, True),
        (LoKrConfig, {"target_modules": ["q_proj"]}, True),
        (VeraConfig, {"target_modules": ["o_proj"], "r": 4}, True),
        (IA3Config, {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}, False),
    ],
    ids=["rslora", "dora", "embedding", "loha", "lokr", "vera", "ia3"],
)
def test_every_kind_computes_what_peft_does_and_its_change_is_known_or_said_to_be_unknown(
    tiny_llama: Path, tmp_path: Path, kind: type, options: dict, known: bool
):
    folder = builders.tiny_adapter(tmp_path, tiny_llama, kind=kind, **options)
    with ModelManager().using(over(tiny_llama, folder), Report()) as pair:
        plain = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
        ids = torch.arange(5, 25)[None]
        with torch.no_grad():
            assert torch.equal(logits(pair.base), plain(input_ids=ids).logits)
            adapted = PeftModel.from_pretrained(plain, folder).eval()
            expected = adapted(input_ids=ids).logits
        torch.testing.assert_close(logits(pair.tuned), expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(logits(pair.base), expected, atol=1e-2)
    result: LoadReport = analyses.execute("load_report", over(tiny_llama, folder), LoadReportRequest())
    named = options["target_modules"]
    for name, difference in zip(result.tensor_names, result.tensor_differences, strict=True):
        touched = any(f".{target}." in name for target in named)
        if not touched or ("layers" not in name and "embed" not in name):
            assert difference == 0, name
        else:
            assert difference > 0 if known else np.isnan(difference), name
    assert result.differs
    if known:
        merged = dict(adapted.merge_and_unload().named_parameters())
        for name, before in AutoModelForCausalLM.from_pretrained(tiny_llama).named_parameters():
            moved = float((merged[name] - before).detach().norm())
            at = result.tensor_names.index(name)
            assert result.tensor_differences[at] == pytest.approx(moved, rel=1e-3, abs=1e-5), name


def test_an_adapter_that_rewrites_its_base_is_refused_and_the_next_pair_has_the_true_base(
    tiny_llama: Path, tmp_path: Path
):
    """PiSSA moves a part of the weights into the adapter when it is laid on."""
    folder = builders.tiny_adapter(tmp_path, tiny_llama)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "init_lora_weights": "pissa"}))
    manager, base = ModelManager(), ModelSpec(id=str(tiny_llama))
    with pytest.raises(Refused, match="even when it is off"), manager.using(over(tiny_llama, folder), Report()):
        pytest.fail("it was opened")
    with manager.using(Pair(base, base), Report()) as pair, torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
        assert torch.equal(logits(pair.base), plain(input_ids=torch.arange(5, 25)[None]).logits)


def computes_what_peft_does(pair: Pair[LanguageModel], base: Path, adapter: Path) -> None:
    """Base as the weights alone, tuned as PEFT with this adapter and no other."""
    plain, ids = AutoModelForCausalLM.from_pretrained(base).eval(), torch.arange(5, 25)[None]
    with torch.no_grad():
        assert torch.equal(logits(pair.base), plain(input_ids=ids).logits)
        tuned = PeftModel.from_pretrained(plain, adapter).eval()(input_ids=ids).logits
    torch.testing.assert_close(logits(pair.tuned), tuned, rtol=1e-5, atol=1e-5)


def test_modules_that_were_saved_whole_are_switched_too(tiny_llama: Path, tmp_path: Path):
    folder = builders.tiny_adapter(tmp_path, tiny_llama, modules_to_save=["lm_head"])
    with ModelManager().using(over(tiny_llama, folder), Report()) as pair:
        assert pair.base.network.adapter is None and not pair.base.network.mixes
        computes_what_peft_does(pair, tiny_llama, folder)
    result: LoadReport = analyses.execute("load_report", over(tiny_llama, folder), LoadReportRequest())
    changed = {name for name, share in zip(result.tensor_names, result.tensor_changed, strict=True) if share > 0}
    assert "lm_head.weight" in changed and not any(name.endswith("embed_tokens.weight") for name in changed)


def test_adapters_with_and_without_modules_saved_whole_lie_over_one_base(tiny_llama: Path, tmp_path: Path):
    """Each computes what PEFT says of it alone, in whatever order they came."""
    folders = [
        builders.tiny_adapter(tmp_path / str(number), tiny_llama, seed=number, modules_to_save=saved)
        for number, saved in enumerate((["lm_head"], None, None, ["lm_head"], None))
    ]
    manager = ModelManager()
    networks = set()
    for folder in [*folders, *folders]:
        with manager.using(over(tiny_llama, folder), Report()) as pair:
            networks.add(pair.base.network)
            computes_what_peft_does(pair, tiny_llama, folder)
    assert len(networks) == 1


OPEN_GUARDED = """
import socket, sys
def refuse(*given, **more):
    print("asked for", given[:2]); raise OSError("no")
socket.getaddrinfo = socket.socket.connect = refuse
from model_utils import analyses
from model_utils.command_line.reading import read_specs
from model_utils.contracts.load_report import LoadReportRequest
specs = read_specs(sys.argv[1], None, sys.argv[2], None, "auto", "auto")
print(analyses.execute("load_report", specs, LoadReportRequest()).adapter_restores_base)
"""


def test_nobody_is_asked_for_the_base_that_an_adapter_names(tiny_llama: Path, adapter: Path, tmp_path: Path):
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "someone/base"}))
    online = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", OPEN_GUARDED, str(tiny_llama), str(folder)],
        cwd=Path(__file__).parents[1],
        env={**online, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[0] == "True", done.stdout + done.stderr


def test_virtual_tokens_are_refused(tiny_llama: Path, tmp_path: Path):
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_llama),
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    )
    model.save_pretrained(tmp_path)
    with (
        pytest.raises(Refused, match="is of the kind PROMPT_TUNING"),
        ModelManager().using(over(tiny_llama, tmp_path), Report()),
    ):
        pytest.fail("it was opened")
