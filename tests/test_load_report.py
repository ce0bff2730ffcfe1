"""The load report: a model against itself differs nowhere, known changes are found, identities are those of the files, and what it promises holds."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model_utils import analyses
from model_utils.contracts.ablation import AblationRequest
from model_utils.contracts.agreement import AgreementRequest
from model_utils.contracts.atlas import AtlasRequest
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.bias import BiasRequest
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.common import ModelSpec, Request, ask
from model_utils.contracts.density import DensityRequest
from model_utils.contracts.faithfulness import FaithfulnessRequest
from model_utils.contracts.findings import FindingsRequest
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.instructions import InstructionItem, InstructionsRequest
from model_utils.contracts.load_report import Ability, LoadReport, LoadReportRequest
from model_utils.contracts.probe import ProbeItem
from model_utils.contracts.published import BBQItem, PublishedRequest
from model_utils.contracts.randomisation import RandomisationRequest
from model_utils.contracts.reasoning import ReasoningRequest
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.contracts.survey import SurveyRequest
from model_utils.errors import Refused
from model_utils.load_report import IN_PIECES
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import architectures, builders
from tests.models import loaded, run
from tests.results import NAMES

pytestmark = pytest.mark.slow


def report_on(folders: Pair[Path]) -> LoadReport:
    return run("load_report", folders, LoadReportRequest())


def test_a_model_against_itself_differs_nowhere(tiny_pair: Pair[Path], tmp_path: Path):
    copy = Path(shutil.copytree(tiny_pair.base, tmp_path / "copy"))
    for other in (tiny_pair.base, copy):
        result = report_on(Pair(tiny_pair.base, other))
        assert not result.differs and not result.tensor_differences.any() and not result.tensor_changed.any()
        assert not result.by_layer()["change"].any() and result.tokenizers == "equal"
        assert result.identities.base.weights == result.identities.tuned.weights
    assert report_on(Pair(tiny_pair.base, tiny_pair.base)).shares_weights
    assert not report_on(Pair(tiny_pair.base, copy)).shares_weights


def test_one_changed_number_is_found(tiny_llama: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name][3, 4] += 0.5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    result = report_on(Pair(tiny_llama, folder))
    at = result.tensor_names.index(name)
    assert np.flatnonzero(result.tensor_changed).tolist() == [at] and result.tensor_layers[at] == 1
    assert result.tensor_changed[at] == pytest.approx(1 / tensors[name].numel())
    assert result.tensor_differences[at] == pytest.approx(0.5, rel=1e-5)
    assert result.table()["tensor"][0] == name
    layers = result.by_layer().set_index("layer")
    assert layers["change"].gt(0).to_dict() == {-1: False, 0: False, 1: True}
    assert result.identities.base.weights != result.identities.tuned.weights


def test_swapped_sides_have_the_same_differences(tiny_pair: Pair[Path]):
    one, other = report_on(tiny_pair), report_on(tiny_pair.swap())
    np.testing.assert_allclose(one.tensor_differences, other.tensor_differences, rtol=1e-6)
    np.testing.assert_array_equal(one.tensor_changed, other.tensor_changed)
    assert one.openings.base.bos == other.openings.tuned.bos


def test_change_by_layer_is_the_norm_of_all_its_differences(tiny_pair: Pair[Path]):
    base, tuned = (load_file(folder / "model.safetensors") for folder in tiny_pair.sides)
    result = report_on(tiny_pair)
    for row in result.by_layer().itertuples():
        names = [name for name in base if (f"layers.{row.layer}." in name if row.layer >= 0 else "layers." not in name)]
        moved = torch.cat([(tuned[name] - base[name]).flatten() for name in names]).norm()
        whole = torch.cat([base[name].flatten() for name in names]).norm()
        assert row.change == pytest.approx(float(moved / whole), rel=1e-4)
        assert (row.tensors, row.numbers) == (len(names), sum(base[name].numel() for name in names))


def test_identities_are_those_of_the_files(tiny_pair: Pair[Path]):
    result = report_on(tiny_pair)
    for side, folder in tiny_pair.items():
        identity = result.identities[side]
        weights = folder / "model.safetensors"
        assert identity.weights == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert (identity.source, identity.folder, identity.commit) == ("folder", str(folder), None)
        parameters = 4 * result.models[side].parameters
        assert parameters <= identity.memory_bytes < 1.01 * parameters, "small buffers beside the weights"
        assert identity.disk_bytes == parameters
    assert result.identities.base.template is None and result.identities.tuned.template is not None
    assert result.openings.base.template_source.endswith(f"borrows the one of {tiny_pair.tuned}")
    assert result.openings.tuned.template_source == "its own"
    assert result.openings.tuned.bos == "plain text gets <|begin|> in front; the chat template writes <|begin|>"


class Snapshots(Report):
    def __init__(self) -> None:
        self.seen: list[LoadReport] = []

    def __call__(self, fraction: float, note: str, snapshot: LoadReport | None = None) -> None:
        self.seen += [snapshot] if snapshot is not None else []


def test_what_is_quick_comes_first(tiny_pair: Pair[Path]):
    snapshots = Snapshots()
    result = run("load_report", tiny_pair, LoadReportRequest(), snapshots)
    quick, compared = snapshots.seen
    assert len(quick.unfinished) == 2 and not quick.tensor_names and not quick.identities.base.weights
    assert compared.unfinished == ("the hashes of the files",) and compared.tensor_names == result.tensor_names
    assert result.unfinished == () and quick.abilities == result.abilities


PLAIN = Pair("plain", "plain")
ITEMS = (ProbeItem(instruction="Which?", input="12 or 7, or 3", options=("12", "7")),)
REQUESTS: dict[str, Request] = {
    "generation": GenerationRequest(messages=ask("Name three."), formats=PLAIN, max_new_tokens=3),
    "survey": SurveyRequest(instructions=("Name three.",), formats=PLAIN, max_new_tokens=3),
    "density": DensityRequest(instructions=("Name three.",), formats=PLAIN, answers=Pair((40, 41), (40, 41))),
    "shift": ShiftRequest(messages=ask("Name three."), formats=PLAIN, max_new_tokens=3),
    "attention": AttentionRequest(messages=ask("Name three."), format="plain", answer_ids=(40, 41)),
    "atlas": AtlasRequest(messages=ask("Name three."), format="plain", answer_ids=(40, 41)),
    "ablation": AblationRequest(messages=ask("Name three."), format="plain", answer_ids=(40, 41)),
    "attribution": AttributionRequest(messages=ask("Name three."), format="plain", answer_ids=(40, 41)),
    "agreement": AgreementRequest(
        messages=ask("Name three."), format="plain", answer_ids=(40, 41), methods=("gradient x input", "gradient norm")
    ),
    "randomisation": RandomisationRequest(messages=ask("Name three."), format="plain", answer_ids=(40, 41)),
    "faithfulness": FaithfulnessRequest(
        messages=ask("Name three."), format="plain", answer_ids=(40, 41), operator="delete", scores=Pair((1.0,), (1.0,))
    ),
    "reasoning": ReasoningRequest(items=ITEMS, formats=PLAIN, max_new_tokens=3),
    "robustness": RobustnessRequest(items=ITEMS, formats=PLAIN, perturbations=("typos",), formats_drawn=1),
    "bias": BiasRequest(
        items=(ProbeItem(instruction="Is {name} tall?", options=("yes", "no")),), formats=PLAIN, slots=(NAMES,), draws=1
    ),
    "instructions": InstructionsRequest(
        items=(InstructionItem(instruction="Ice melts. Is it warm?", options=("yes", "no")),),
        formats=PLAIN,
        max_new_tokens=3,
    ),
    "calibration": CalibrationRequest(
        items=(ProbeItem(instruction="Is ice warm?", options=("yes", "no"), answer="no"),), formats=PLAIN
    ),
    "published": PublishedRequest(
        benchmark="bbq",
        items=(
            BBQItem(
                context="Ann met Ben.",
                question="Who?",
                answers=("Ann", "Ben", "Nobody knows"),
                unknown=2,
                right=2,
                target=0,
                polarity="neg",
                condition="ambig",
                category="Age",
            ),
        ),
        formats=PLAIN,
    ),
    "findings": FindingsRequest(
        calibration=CalibrationRequest(
            items=(ProbeItem(instruction="Is ice warm?", options=("yes", "no"), answer="no"),), formats=PLAIN
        )
    ),
}


def runs(kind: str, folders: Pair[Path]) -> None:
    """With as many scores as there are parts on each side."""
    asked = REQUESTS[kind]
    if isinstance(asked, FaithfulnessRequest):
        texts = run("attribution", folders, REQUESTS["attribution"]).texts
        scores = texts.map(lambda text: tuple(map(float, range(len(text.open)))))
        asked = asked.model_copy(update={"scores": scores})
    run(kind, folders, asked)


@pytest.mark.parametrize("pair", ["llama llama", "llama mamba", "t5 llama", "t5 bart", "bart bart", "gpt2 llama"])
def test_what_it_promises_holds(tmp_path: Path, pair: str):
    """Whatever the report says works, works; what it says does not, is refused with a sentence."""
    one, other = pair.split()
    folders = Pair(architectures.tiny(tmp_path / "base", one), architectures.tiny(tmp_path / "tuned", other, seed=1))
    result = report_on(folders)
    assert {ability.analysis for ability in result.abilities} == {*analyses.ANALYSES} - {"load_report"}
    for ability in result.abilities:
        if ability.works:
            runs(ability.analysis, folders)
        else:
            assert ability.reason
            with pytest.raises(Refused):
                run(ability.analysis, folders, REQUESTS[ability.analysis])
    alike = one == other or {one, other} == {"gpt2", "llama"}
    said = {ability.analysis: ability for ability in result.abilities}
    for everywhere in ("generation", "shift", "density", "attribution", "faithfulness", "agreement", "randomisation"):
        assert said[everywhere].works
    assert said["attention"].works == alike
    assert (IN_PIECES in said["attribution"].reason) == (not alike and pair != "llama mamba")


def test_hybrids_without_a_common_layer_have_no_heads_to_compare(tmp_path: Path):
    types = ["full_attention", "linear_attention", "linear_attention"]
    other = architectures.tiny(tmp_path / "tuned", "qwen3_next", layer_types=types)
    result = report_on(Pair(architectures.tiny(tmp_path / "base", "qwen3_next"), other))
    said = {ability.analysis: ability for ability in result.abilities}
    assert said["ablation"].reason == said["atlas"].reason == "no layer has attention in both models"
    assert not said["ablation"].works and said["attribution"].works


def test_tokenizers_that_cut_differently_are_told_apart(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: len(tokenizer["model"]["merges"]) // 2]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    result = report_on(Pair(tiny_pair.base, folder))
    assert result.tokenizers == "different"
    works = {ability.analysis: ability.works for ability in result.abilities}
    assert works == {analysis: analysis not in ("attention", "atlas", "ablation") for analysis in REQUESTS}
    said = {ability.analysis: ability.reason for ability in result.abilities}
    for analysis in ("attribution", "faithfulness", "agreement", "randomisation", "shift", "survey"):
        assert said[analysis] == IN_PIECES


def test_a_tokenizer_with_more_entries_is_compatible(tmp_path: Path):
    folders = builders.tiny_pair(tmp_path)
    tuned = loaded(folders).tuned.tokenizer
    tuned.add_tokens(["<tool>", "<call>"])
    tuned.save_pretrained(folders.tuned)
    result = report_on(folders)
    assert result.tokenizers == "compatible" and all(ability.works for ability in result.abilities)
    assert result.openings.tuned.tokens == result.openings.base.tokens + 2


def test_one_that_puts_no_begin_token_in_front_cuts_texts_alike(tiny_pair: Pair[Path], tmp_path: Path):
    """Such a pair was told apart as if it cut texts differently; both read the begin token of the side that is asked."""
    folder = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "post_processor": None}))
    for folders, begins in ((Pair(tiny_pair.base, folder), 0), (Pair(folder, tiny_pair.base), 1)):
        result = report_on(folders)
        assert result.tokenizers == "compatible" and all(ability.works for ability in result.abilities)
        asked = GenerationRequest(messages=ask("a"), formats=PLAIN, same_tokens=True, max_new_tokens=1)
        prompts = run("generation", folders, asked).answers.map(lambda answer: answer.prompt)
        assert prompts.base.ids.tolist() == prompts.tuned.ids.tolist() and prompts.tuned.special.sum() == begins
        said = f"{folders.base} would put other control tokens around this text; it reads those of {folders.tuned}."
        assert prompts.base.notes == (said,)
        explained = run("attribution", folders, REQUESTS["attribution"])
        assert explained.alignment == "tokens" and explained.texts.tuned.sequence.special.sum() == begins


def test_decoders_that_begin_differently_read_no_common_sequence(tmp_path: Path):
    folders = Pair(architectures.tiny(tmp_path / "base", "t5"), architectures.tiny(tmp_path / "tuned", "bart"))

    def said(analysis: str) -> Ability:
        (found,) = [ability for ability in report_on(folders).abilities if ability.analysis == analysis]
        return found

    assert not said("attention").works
    assert said("attention").reason == "the two decoders begin with different tokens"
    assert said("attribution").works and IN_PIECES in said("attribution").reason
    assert run("attribution", folders, REQUESTS["attribution"]).alignment == "characters"
    with pytest.raises(Refused, match=r"begin with different tokens, .* switch off that both sides read the same"):
        run("generation", folders, GenerationRequest(messages=ask("a"), formats=PLAIN, same_tokens=True))
    settings = json.loads((folders.tuned / "generation_config.json").read_text())
    for name in ("decoder_start_token_id", "bos_token_id"):
        settings.pop(name)
    (folders.tuned / "generation_config.json").write_text(json.dumps(settings))
    for analysis in ("attention", "attribution", "faithfulness", "agreement", "randomisation"):
        found = said(analysis)
        assert not found.works and "decoder_start_token_id" in found.reason, "one that cannot begin leaves a report"


def test_reasons_are_those_of_this_pair(tiny_pair: Pair[Path]):
    """A model that stays in memory is opened with another beside it."""
    alone = report_on(Pair(tiny_pair.base, tiny_pair.base))
    both = report_on(tiny_pair)
    for result in (alone, both):
        assert result.openings.base.dtype_reason == result.openings.tuned.dtype_reason
    assert all("both sides fit" in opening.dtype_reason for _, opening in both.openings.items())


def test_only_an_adapter_of_this_pair_is_spoken_of():
    """Another pair may have laid one over the same weights."""
    adapted = Pair(ModelSpec(id="demo/tuned"), ModelSpec(id="demo/tuned", adapter="demo/polite"))
    analyses.execute("load_report", adapted, LoadReportRequest())
    plain = Pair(ModelSpec(id="demo/base"), ModelSpec(id="demo/tuned"))
    assert analyses.execute("load_report", plain, LoadReportRequest()).adapter_restores_base is None


def test_a_template_that_cannot_be_filled_in_is_said(tiny_pair: Pair[Path], tmp_path: Path):
    folder = Path(shutil.copytree(tiny_pair.tuned, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text("{{ raise_exception('never') }}")
    result = report_on(Pair(tiny_pair.base, folder))
    assert result.openings.tuned.bos.endswith("; the chat template cannot be filled in (TemplateError)")


def test_embedded_models_are_known_as_such():
    specs = Pair(ModelSpec(id="demo/tuned"), ModelSpec(id="demo/tuned", adapter="demo/polite"))
    result: LoadReport = analyses.execute("load_report", specs, LoadReportRequest())
    assert result.shares_weights and result.adapter_restores_base and result.differs
    assert result.identities.tuned.source == "embedded" and result.models.tuned.id == "demo/tuned + demo/polite"
    assert all(ability.works for ability in result.abilities)
    rows = result.sides().set_index("property")
    assert rows.loc["weights SHA-256", "base"] == rows.loc["weights SHA-256", "tuned"]
    assert rows.loc["attention", "base"] == "self: layers 0 to 3"
