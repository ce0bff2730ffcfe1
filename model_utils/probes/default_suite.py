"""The default suite: so many items of each probe that a pair's findings can be told within minutes, of the small world or in plain English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from model_utils import demo
from model_utils.contracts.attribution import AttributionRequest, OwnText
from model_utils.contracts.bias import BiasRequest, Slot
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.common import Format, Specs, ask
from model_utils.contracts.findings import FindingsRequest
from model_utils.contracts.probe import MARGIN, ProbeItem
from model_utils.contracts.reasoning import ReasoningRequest
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.pair import Pair
from model_utils.probes.slots import SLOTS
from model_utils.probes.suites import PLAIN_TEXTS, SUITES, ProbeKind, Suite

World = Literal["demo", "english"]
COUNTS: Mapping[ProbeKind, int] = {"reasoning": 48, "robustness": 48, "bias": 40, "calibration": 150}
"""Items of each probe, at most."""
EXPLAINED, TEXTS = 24, 60
"""Answers that are explained, and plain texts."""
LONGEST_EXPLAINED = 32
"""Tokens of an answer that is explained."""
GENERAL: Mapping[World, Mapping[ProbeKind, Suite]] = {
    "demo": {
        "reasoning": SUITES["demo/loans"],
        "robustness": SUITES["demo/phrasings"],
        "bias": SUITES["demo/decisions"],
        "calibration": SUITES["demo/choices"],
    },
    "english": {
        "reasoning": SUITES["english/steps"],
        "robustness": SUITES["english/facts"],
        "bias": SUITES["english/decisions"],
        "calibration": SUITES["english/facts"],
    },
}
"""world -> probe -> what it is asked"""


def world_of(specs: Specs) -> World:
    """Whose items suit these models."""
    return "demo" if all(spec.id in demo.MODELS for spec in specs.sides) else "english"


def request(
    suites: Mapping[ProbeKind, Suite],
    world: World,
    formats: Pair[Format],
    slots: Mapping[str, Slot] | None = None,
    same_tokens: bool = False,
    max_new_tokens: int = 128,
    margin: float = MARGIN,
    seed: int = 0,
) -> FindingsRequest:
    """The items of these suites, by their first ones; `slots` (name -> slot) take the place of those of this project."""
    shared: dict[str, Any] = {"formats": formats, "same_tokens": same_tokens, "margin": margin, "seed": seed}
    items = {probe: suite.make(COUNTS[probe], seed) for probe, suite in suites.items()}
    known = {name: one.slot for name, one in SLOTS.items()} | dict(slots or {})
    texts = PLAIN_TEXTS[world](TEXTS)
    asked: dict[str, Any] = {}
    if "reasoning" in items:
        asked["reasoning"] = ReasoningRequest(items=items["reasoning"], max_new_tokens=max_new_tokens, **shared)
    if "robustness" in items:
        asked["robustness"] = RobustnessRequest(items=items["robustness"], plain_texts=texts, **shared)
        asked["explained"] = explained(items["robustness"][:EXPLAINED], formats, same_tokens)
    if "bias" in items:
        used = tuple(known[name] for name in suites["bias"].slots)
        asked["bias"] = BiasRequest(items=items["bias"], slots=used, **shared)
    if "calibration" in items:
        asked["calibration"] = CalibrationRequest(items=items["calibration"], **shared)
    return FindingsRequest(seed=seed, **asked)


def explained(
    asked: tuple[ProbeItem, ...], formats: Pair[Format], same_tokens: bool = False
) -> tuple[AttributionRequest, ...]:
    """Each model's own answer to these, explained by the words of the instruction that it read."""
    return tuple(
        AttributionRequest(
            messages=ask(item.asked()),
            format=formats.tuned,
            own=None if same_tokens else OwnText(format=formats.base),
            quantity="log-probability",
            granularity="word",
            answer_too=False,
            together=True,
            method="occlusion",
            max_new_tokens=LONGEST_EXPLAINED,
        )
        for item in asked
    )
