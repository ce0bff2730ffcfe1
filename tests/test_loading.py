"""Loading: what is opened equals what lies on disk, switches are restored, the budget holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from model_utils import loading, shapes
from model_utils.contracts.agreement import AgreementRequest
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import AttributionRequest, Method
from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.density import DensityRequest
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.contracts.randomisation import RandomisationRequest
from model_utils.errors import Cancelled, NoRoom, Refused
from model_utils.loading import CORES
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import builders
from tests.models import loaded, opened, run, specs_of

pytestmark = pytest.mark.slow


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
    assert changed is not first.base
    name = next(iter(tensors))
    with changed.running() as new, first.base.running() as old:
        assert torch.equal(new.state_dict()[name], 2 * old.state_dict()[name])


def test_a_pair_in_memory_is_opened_without_walking_through_the_weights_that_are_held(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    """Many small requests must not each pay for every model that was opened before."""
    first = loaded(tiny_pair)
    monkeypatch.delattr(torch.nn.Module, "parameters")
    monkeypatch.delattr(torch.nn.Module, "buffers")
    assert loaded(tiny_pair).base is first.base


def test_the_budget_drops_the_least_recently_used_but_never_the_pair_in_use(tiny_pair: Pair[Path], tmp_path: Path):
    others = builders.tiny_pair(tmp_path, seed=7)
    size = loaded(tiny_pair).base.network.bytes
    manager = loading.ModelManager(budget_bytes=3 * size)
    with manager.using(specs_of(tiny_pair), Report()) as first:
        with (
            pytest.raises(NoRoom, match=r"take \d+ MiB in float32 beside the \d+ MiB of models in use"),
            manager.using(specs_of(others), Report()),
        ):
            pytest.fail("both pairs together are beyond the budget")
        with manager.using(specs_of(tiny_pair), Report()) as again:
            assert again.base is first.base and again.tuned is first.tuned
    with manager.using(specs_of(others), Report()) as second:
        assert len(manager._networks) == 3, "one of the first pair had to go"
        assert {first.base.network, first.tuned.network} - set(manager._networks.values()) == {first.base.network}
    with manager.using(specs_of(tiny_pair), Report()) as third:
        assert third.base is not first.base and third.tuned is first.tuned
        assert second.tuned.network in manager._networks.values()


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
    tokenizer = loading.open_tokenizer

    def meanwhile(plan: loading.Plan):
        (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
        return tokenizer(plan)

    monkeypatch.setattr(loading, "open_tokenizer", meanwhile)
    with pytest.raises(Refused, match="changed while they were read"):
        opened(ModelSpec(id=str(folder)))


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
        lambda folder: (folder / "tokenizer.json").write_text('{"model": {"type": "Unheard"}}'),
        lambda folder: (folder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes()[:99]),
        lambda folder: (folder / "config.json").write_text("[]"),
        lambda folder: (folder / "tokenizer_config.json").write_text("[]"),
        lambda folder: (folder / "extra.json").symlink_to("nowhere"),
        without_a_tensor,
    ],
    ids=[
        "weights",
        "config",
        "architecture",
        "tokenizer",
        "unheard tokenizer",
        "cut tokenizer",
        "list",
        "tokenizer list",
        "dangling link",
        "missing tensor",
    ],
)
def test_broken_files_are_refused_with_one_sentence(tiny_llama: Path, tmp_path: Path, change):
    spec = broken(tiny_llama, tmp_path / "model", change)
    with pytest.raises(Refused) as caught:
        opened(spec)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_auto_is_float32_where_both_fit_and_else_bfloat16_for_both(tiny_pair: Pair[Path]):
    specs = specs_of(tiny_pair)
    plans = loading.plan_pair(specs, 1 << 30, Report())
    assert {plan.dtype for _, plan in plans.items()} == {"float32"} and "both sides fit" in plans.base.dtype_reason
    both = loading.together(plans)
    assert both == sum(file.stat().st_size - _header(file) for file in _weights(tiny_pair))
    plans = loading.plan_pair(specs, both - 1, Report())
    assert {plan.dtype for _, plan in plans.items()} == {"bfloat16"}
    assert "more than the" in plans.tuned.dtype_reason and plans.base.dtype_reason == plans.tuned.dtype_reason
    assert loading.together(plans) == both // 2


def _weights(folders: Pair[Path]) -> list[Path]:
    return [folder / "model.safetensors" for folder in folders.sides]


def _header(file: Path) -> int:
    return 8 + int.from_bytes(file.read_bytes()[:8], "little")


def test_one_named_format_holds_for_both_and_two_are_refused(tiny_pair: Pair[Path]):
    base, tuned = specs_of(tiny_pair).sides
    half = tuned.model_copy(update={"dtype": "bfloat16"})
    assert {plan.dtype for _, plan in loading.plan_pair(Pair(base, half), 1 << 30, Report()).items()} == {"bfloat16"}
    other = base.model_copy(update={"dtype": "float16"})
    with pytest.raises(Refused, match="The base is asked for in float16 and the tuned model in bfloat16"):
        loading.plan_pair(Pair(other, half), 1 << 30, Report())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_formats_round_each_weight_once(tiny_llama: Path, dtype: str):
    model = opened(ModelSpec(id=str(tiny_llama), dtype=dtype))
    stored = load_file(tiny_llama / "model.safetensors")
    with model.running() as module:
        for name, weight in module.state_dict().items():
            if name in stored:
                assert torch.equal(weight, stored[name].to(getattr(torch, dtype))), name
    assert model.facts.dtype == dtype


def test_what_cannot_fit_is_refused_with_figures_before_it_is_read(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loading, "open_network", lambda *_: pytest.fail("weights were read"))
    with (
        pytest.raises(
            Refused, match=r"take 0 MiB in bfloat16, and Candor may use 0 MiB; choose smaller models"
        ) as refused,
        loading.ModelManager(budget_bytes=1).using(specs_of(tiny_pair), Report()),
    ):
        pytest.fail("it was opened")
    assert not isinstance(refused.value, NoRoom), "no other work has to end for it"
    monkeypatch.setattr(loading.checkpoints, "free_memory", lambda: 1)
    with (
        pytest.raises(Refused, match="this machine has free"),
        loading.ModelManager().using(specs_of(tiny_pair), Report()),
    ):
        pytest.fail("it was opened")


def test_a_gpu_that_is_not_there_is_refused(tiny_llama: Path):
    if torch.cuda.is_available():
        assert opened(ModelSpec(id=str(tiny_llama), placement="cuda")).device.type == "cuda"
        return
    for placement in ("cuda", "spread"):
        with pytest.raises(Refused, match="torch finds none on this machine"):
            opened(ModelSpec(id=str(tiny_llama), placement=placement))


class Loading(Report):
    """Keeps what a load tells, and cancels when it has told enough."""

    def __init__(self, told: int = 1_000) -> None:
        self.fractions: list[float] = []
        self.told = told

    def __call__(self, fraction: float, note: str, snapshot: object = None) -> None:
        assert note.startswith("loading ")
        self.fractions.append(fraction)

    def poll(self) -> None:
        if len(self.fractions) >= self.told:
            raise Cancelled


class LetsIn(Report):
    """Runs another job wherever a load gives way, as the engine does."""

    def __init__(self, job) -> None:
        self.job, self.results = job, []

    def breathe(self, same_models: bool = True) -> None:
        assert not same_models
        self.results.append(self.job())


def test_another_job_may_run_while_a_pair_is_loaded(tiny_pair: Pair[Path], tmp_path: Path):
    others, manager = specs_of(builders.tiny_pair(tmp_path, seed=5)), loading.ModelManager()

    def logits(specs, report: Report) -> list[torch.Tensor]:
        with manager.using(specs, report) as pair:
            return [model.network.module(input_ids=model.ids(range(5, 25))).logits for model in pair.sides]

    with torch.no_grad():
        expected = logits(others, Report())
        lets_in = LetsIn(lambda: logits(others, Report()))
        own = logits(specs_of(tiny_pair), lets_in)
        plain = [
            AutoModelForCausalLM.from_pretrained(folder)(input_ids=torch.arange(5, 25)[None]).logits
            for folder in tiny_pair.sides
        ]
    assert len(lets_in.results) > 20
    for seen in lets_in.results:
        assert all(torch.equal(one, other) for one, other in zip(seen, expected, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(own, plain, strict=True))
    assert not manager._loading


def test_loading_tells_its_progress_and_can_be_cancelled_half_way(tmp_path: Path):
    spec = ModelSpec(id=str(builders.tiny_llama(tmp_path, layers=6)))
    manager = loading.ModelManager()
    told = Loading()
    with manager.using(Pair(spec, spec), told) as pair:
        assert pair.base.facts.layers == 6
    assert len(told.fractions) > 3 and told.fractions == sorted(told.fractions)
    again = loading.ModelManager()
    with pytest.raises(Cancelled), again.using(Pair(spec, spec), Loading(told=3)):
        pytest.fail("it was opened")
    assert not again._networks
    with again.using(Pair(spec, spec), Report()) as whole:
        assert whole.base.facts.layers == 6


def test_a_program_in_the_folder_is_not_run(tiny_llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "of-its-own",
        "auto_map": {"AutoModelForCausalLM": "modeling.Model", "AutoConfig": "modeling.Config"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(Refused, match=r"brings its own program .* which Candor does not run"):
        opened(ModelSpec(id=str(folder)))
    assert not (tmp_path / "ran").exists()


def test_padded_and_extended_vocabularies_of_one_family_work_together(tmp_path: Path):
    """As Qwen's: the tokenizers are the same, the embeddings of one side have more rows."""
    folders = builders.tiny_pair(tmp_path / "pair")
    wide = AutoModelForCausalLM.from_pretrained(folders.tuned)
    wide.resize_token_embeddings(wide.config.vocab_size + 128)
    wide.save_pretrained(folders.tuned)
    pair = loaded(folders)
    assert pair.tuned.facts.vocabulary == pair.base.facts.vocabulary + 128
    request = AttributionRequest(messages=ask("Name three animals."), format="plain", answer_ids=(40, 50, 60))
    assert run("attribution", folders, request).scores.tuned.shape[0] == 3
    report = run("load_report", folders, LoadReportRequest())
    assert report.tokenizers == "equal" and all(ability.works for ability in report.abilities)
    assert "rows in the models" in report.tokenizers_said and not np.isnan(report.tensor_differences).any()


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that transformers wrote in 8 bits, with that said in its own configuration."""
    source, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("quantized")
    shapes.s_shaped(source)
    settings = BitsAndBytesConfig(load_in_8bit=True)
    AutoModelForCausalLM.from_pretrained(source, quantization_config=settings, device_map="cpu").save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_weights_in_eight_bits_work_for_what_goes_forward_only(quantized: Path):
    folders = Pair(quantized, quantized)
    model = loaded(folders).base
    with torch.no_grad(), model.running() as module:
        plain = AutoModelForCausalLM.from_pretrained(quantized, device_map="cpu", dtype=torch.float32)
        ids = model.ids(range(5, 25))
        assert torch.equal(module(input_ids=ids).logits, plain(input_ids=ids).logits)
    assert model.facts.quantized and model.network.bytes < 1.1 * model.plan.bytes < 0.5 * 4 * model.facts.parameters
    shared = {"messages": ask("abc"), "format": "plain", "answer_ids": (300, 301)}
    assert run(
        "generation", folders, GenerationRequest(messages=ask("abc"), max_new_tokens=3)
    ).answers.base.answer.ids.size
    assert run("attention", folders, AttentionRequest(**shared)).weights.base.shape[0] == model.facts.heads
    with pytest.raises(Refused, match="gradients are not exact"):
        run("attribution", folders, AttributionRequest(**shared))
    report = run("load_report", folders, LoadReportRequest())
    wanting = {one.analysis for one in report.abilities if not one.works}
    assert wanting == {"density", "randomisation"} and not report.differs
    with pytest.raises(Refused, match="gradients are not exact"):
        run("density", folders, DensityRequest(instructions=("abc",), max_new_tokens=2))
    with pytest.raises(Refused, match="few bits of its own configuration and cannot be shuffled"):
        run("randomisation", folders, RandomisationRequest(**shared))
    forward: tuple[Method, ...] = ("integrated gradients", "occlusion", "sparse surrogate")
    compared = run("agreement", folders, AgreementRequest(**shared, methods=forward))
    assert compared.methods == forward[1:] and "gradients are not exact" in compared.left_out[0]
    assert ["quantised" in one.reason for one in report.abilities if one.analysis == "attribution"] == [True]
    for method in ("occlusion", "Shapley values", "sparse surrogate"):
        parts = {"granularity": "word", "answer_too": False, "method": method}
        assert np.isfinite(run("attribution", folders, AttributionRequest(**shared, **parts)).totals().base).any()
    assert "few bits" in report.openings.base.dtype_reason


def test_a_short_pass_takes_one_core_and_a_long_one_all(tiny_llama: Path):
    model = opened(ModelSpec(id=str(tiny_llama)))
    assert model.pass_threads(30) == 1
    assert model.pass_threads(10**9) == CORES
