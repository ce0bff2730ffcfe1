"""Records built by hand: one of every analysis, with the small results of `tests.results`."""

from __future__ import annotations

from typing import Any

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
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.instructions import InstructionItem, InstructionsRequest
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.contracts.probe import ProbeItem
from model_utils.contracts.published import PublishedRequest
from model_utils.contracts.randomisation import RandomisationRequest
from model_utils.contracts.reasoning import ReasoningRequest
from model_utils.contracts.records import Record
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.contracts.survey import SurveyRequest
from model_utils.pair import Pair
from model_utils.records import recording
from tests import results

SPECS = Pair(ModelSpec(id="demo/base"), ModelSpec(id="demo/tuned"))
ASKED = "What is the capital?"


def requests(asked: str = ASKED) -> dict[str, Request]:
    """Analysis -> a request of it."""
    scores = (0.0,) * len(results.sequence())
    messages, probed = ask(asked), results.probe_items()[1:]
    return {
        "load_report": LoadReportRequest(),
        "generation": GenerationRequest(messages=messages),
        "shift": ShiftRequest(messages=messages),
        "survey": SurveyRequest(instructions=(asked, "Another one.", "And the last.")),
        "attention": AttentionRequest(messages=messages),
        "atlas": AtlasRequest(messages=messages),
        "ablation": AblationRequest(messages=messages),
        "attribution": AttributionRequest(messages=messages, targets=(0,)),
        "faithfulness": FaithfulnessRequest(messages=messages, targets=(0,), scores=Pair(scores, scores)),
        "density": DensityRequest(instructions=(asked, "Another one.")),
        "agreement": AgreementRequest(messages=messages, targets=(0,)),
        "randomisation": RandomisationRequest(messages=messages, targets=(0,)),
        "reasoning": ReasoningRequest(items=(ProbeItem(instruction=asked, options=("yes", "no")), *probed)),
        "robustness": RobustnessRequest(items=(ProbeItem(instruction=asked, options=("yes", "no")), *probed)),
        "bias": BiasRequest(
            items=(
                ProbeItem(instruction=asked, input="{name}", options=("yes", "no")),
                *results.probe_items("bias")[1:],
            ),
            slots=(results.NAMES,),
            draws=2,
        ),
        "instructions": InstructionsRequest(
            items=(InstructionItem(instruction=asked), *results.instruction_items()[1:])
        ),
        "findings": results.findings_request(asked),
        "calibration": CalibrationRequest(
            items=(
                ProbeItem(instruction=asked, options=("yes", "no"), answer="no"),
                *results.probe_items("calibration")[1:],
            )
        ),
        "published": PublishedRequest(
            benchmark="bbq",
            items=(results.published_items()[0].model_copy(update={"context": asked}), *results.published_items()[1:]),
        ),
    }


def every_result() -> dict[str, Any]:
    """Analysis -> a small result of it."""
    asked = requests()
    return {
        "load_report": results.load_report(),
        "generation": results.generation(),
        "shift": results.shift(),
        "survey": results.survey(),
        "attention": results.attention(),
        "atlas": results.atlas(),
        "ablation": results.ablation(),
        "attribution": results.attribution(),
        "faithfulness": results.faithfulness(asked["faithfulness"]),  # type: ignore[arg-type]
        "density": results.density(ASKED, "Another one."),
        "agreement": results.agreement(asked["agreement"]),  # type: ignore[arg-type]
        "randomisation": results.randomisation(asked["randomisation"]),  # type: ignore[arg-type]
        "reasoning": results.reasoning(),
        "robustness": results.robustness(),
        "bias": results.bias(),
        "calibration": results.calibration(),
        "published": results.published(),
        "instructions": results.instructions(),
        "findings": results.findings(),
    }


def record(kind: str, asked: str = ASKED, result: Any = None) -> Record:
    """A record of this analysis, of the small result or of another one."""
    found = every_result()[kind] if result is None else result
    return recording.make(kind, SPECS, requests(asked)[kind], found, results.load_report(), 1.5)
