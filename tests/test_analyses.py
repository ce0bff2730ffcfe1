"""The table of analyses and the one call that runs them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from model_utils.analyses import ANALYSES, execute
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.instructions import InstructionItem
from model_utils.contracts.probe import ProbeItem
from model_utils.errors import Refused
from model_utils.pair import Pair
from tests.models import run
from tests.results import NAMES, published_items


@pytest.mark.parametrize("kind", ANALYSES)
def test_every_analysis_gives_what_the_table_says(kind: str, tiny_pair: Pair[Path]):
    analysis = ANALYSES[kind]
    module, _, name = analysis.function.partition(":")
    assert callable(getattr(import_module(module), name))
    given = {"messages": ask("Hello"), "instructions": ("Hello",), "max_new_tokens": 3}
    asks = "Which, {name}?" if kind == "bias" else "Which?"
    given["items"] = (ProbeItem(instruction=asks, options=("a", "b"), answer="a"),)
    given["slots"] = (NAMES,)
    if kind == "instructions":
        given["items"] = (InstructionItem(instruction="Which?", options=("a", "b")),)
    if kind == "faithfulness":
        scores = run("attribution", tiny_pair, AttributionRequest(messages=ask("Hello"), max_new_tokens=3)).totals()
        given["scores"] = scores.map(lambda one: tuple(one.tolist()))
    if kind == "published":
        given |= {"benchmark": "bbq", "items": published_items()[:1]}
    given["calibration"] = CalibrationRequest(items=given["items"]) if kind == "findings" else None
    fields = {name: value for name, value in given.items() if name in analysis.request.model_fields}
    assert type(run(kind, tiny_pair, analysis.request(**fields))) is analysis.result


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    spec = ModelSpec(id=str(tmp_path))
    with pytest.raises(Refused, match="holds no model"):
        execute("generation", Pair(spec, spec), GenerationRequest(messages=ask("Hello")))
