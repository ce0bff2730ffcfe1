"""The table of analyses, and the one call that runs any of them; torch is imported only when one runs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from model_utils.contracts.ablation import Ablation, AblationRequest
from model_utils.contracts.agreement import Agreement, AgreementRequest
from model_utils.contracts.atlas import Atlas, AtlasRequest
from model_utils.contracts.attention import Attention, AttentionRequest
from model_utils.contracts.attribution import Attribution, AttributionRequest
from model_utils.contracts.bias import Bias, BiasRequest
from model_utils.contracts.calibration import Calibration, CalibrationRequest
from model_utils.contracts.common import Request, Specs
from model_utils.contracts.density import Density, DensityRequest
from model_utils.contracts.faithfulness import Faithfulness, FaithfulnessRequest
from model_utils.contracts.findings import Findings, FindingsRequest
from model_utils.contracts.generation import Generation, GenerationRequest
from model_utils.contracts.instructions import Instructions, InstructionsRequest
from model_utils.contracts.load_report import LoadReport, LoadReportRequest
from model_utils.contracts.published import Published, PublishedRequest
from model_utils.contracts.randomisation import Randomisation, RandomisationRequest
from model_utils.contracts.reasoning import Reasoning, ReasoningRequest
from model_utils.contracts.robustness import Robustness, RobustnessRequest
from model_utils.contracts.shift import Shift, ShiftRequest
from model_utils.contracts.survey import Survey, SurveyRequest
from model_utils.reporting import Report


@dataclass(frozen=True)
class Analysis:
    """What an analysis takes, what it gives, and where it is written ('module:function')."""

    request: type[Request]
    result: type
    function: str


ANALYSES = {
    "load_report": Analysis(LoadReportRequest, LoadReport, "model_utils.load_report:load_report"),
    "generation": Analysis(GenerationRequest, Generation, "model_utils.generation:generate"),
    "shift": Analysis(ShiftRequest, Shift, "model_utils.shift:shift"),
    "survey": Analysis(SurveyRequest, Survey, "model_utils.survey:survey"),
    "attention": Analysis(AttentionRequest, Attention, "model_utils.attention:attention"),
    "atlas": Analysis(AtlasRequest, Atlas, "model_utils.atlas:atlas"),
    "ablation": Analysis(AblationRequest, Ablation, "model_utils.ablation:ablation"),
    "attribution": Analysis(AttributionRequest, Attribution, "model_utils.attribution:attribution"),
    "faithfulness": Analysis(FaithfulnessRequest, Faithfulness, "model_utils.faithfulness:faithfulness"),
    "density": Analysis(DensityRequest, Density, "model_utils.density:density"),
    "agreement": Analysis(AgreementRequest, Agreement, "model_utils.agreement:agreement"),
    "randomisation": Analysis(RandomisationRequest, Randomisation, "model_utils.randomisation:randomisation"),
    "reasoning": Analysis(ReasoningRequest, Reasoning, "model_utils.probes.reasoning:reasoning"),
    "robustness": Analysis(RobustnessRequest, Robustness, "model_utils.probes.robustness:robustness"),
    "bias": Analysis(BiasRequest, Bias, "model_utils.probes.bias:bias"),
    "calibration": Analysis(CalibrationRequest, Calibration, "model_utils.probes.calibration:calibration"),
    "published": Analysis(PublishedRequest, Published, "model_utils.probes.published:published"),
    "instructions": Analysis(InstructionsRequest, Instructions, "model_utils.probes.instructions:instructions"),
    "findings": Analysis(FindingsRequest, Findings, "model_utils.findings:findings"),
}


def execute(kind: str, specs: Specs, request: Request, report: Report | None = None) -> Any:
    """The result of one analysis of a pair of models: the call behind the pages, the command line and a replay."""
    analysis, report = ANALYSES[kind], report or Report()
    assert isinstance(request, analysis.request), (
        f"{kind} takes {analysis.request.__name__}, got {type(request).__name__}"
    )
    module, _, name = analysis.function.partition(":")
    with using(specs, report) as pair:
        return getattr(import_module(module), name)(pair, request, report)


def parts(request: Request, result: Any) -> list[tuple[str, Request, Any, float]]:
    """(analysis, its request, its result, seconds) of the analyses that this result consists of; of most there are none."""
    if not isinstance(result, Findings):
        return []
    assert isinstance(request, FindingsRequest), type(request)
    return list(result.evidence(request))


def using(specs: Specs, report: Report | None = None) -> AbstractContextManager[Any]:
    """Both models (Pair[LanguageModel]), loaded or still in memory, and kept there while the context is open."""
    from model_utils.loading import manager  # imports torch: 3 s

    return manager.using(specs, report or Report())
