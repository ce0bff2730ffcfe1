"""The default suite: so many items of each probe that a pair's findings can be told within minutes, of the small world or in plain English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from model_utils import demo
from model_utils.contracts.attribution import AttributionRequest, OwnText
from model_utils.contracts.bias import BiasRequest
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.common import Format, Specs, ask
from model_utils.contracts.findings import FindingsRequest
from model_utils.contracts.probe import MARGIN, ProbeItem
from model_utils.contracts.reasoning import ReasoningRequest
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.pair import Pair
from model_utils.probes.packs import PACKS, Pack
from model_utils.probes.suites import PLAIN_TEXTS, SUITES, ProbeKind

World = Literal["demo", "english"]
COUNTS: Mapping[ProbeKind, int] = {"reasoning": 48, "robustness": 48, "bias": 110, "calibration": 150}
"""Items of each probe, at most. Of bias so many that a model which never differs can be cleared: with fewer than 100 that agree, a change in 3 % of\nthem may have been missed."""
EXPLAINED, TEXTS = 12, 60
"""Answers that are explained, and plain texts. Explained are the answers to the shortest questions: of n words there are 2^n texts without
some of them, and each that a random order needs is read."""
LONGEST_EXPLAINED = 32
"""Tokens of an answer that is explained."""
GENERAL: Mapping[World, Pack] = {
    "demo": Pack(
        "general",
        "General",
        "Tasks of the embedded models' small world, whose truth is known: loan files, short tasks in many phrasings, decisions under either name, choices.",
        True,
        {
            "reasoning": SUITES["demo/loans"],
            "robustness": SUITES["demo/phrasings"],
            "bias": SUITES["demo/decisions"],
            "calibration": SUITES["demo/choices"],
        },
    ),
    "english": Pack(
        "general",
        "General",
        "Everyday questions in plain English: short reasoning, undisputed facts in other words, decisions about people. They show how a model does on such questions, and not whether it is fit for any use.",
        False,
        {
            "reasoning": SUITES["english/steps"],
            "robustness": SUITES["english/facts"],
            "bias": SUITES["english/decisions"],
            "calibration": SUITES["english/facts"],
        },
    ),
}
"""world -> what is asked where nobody chooses a field"""


def world_of(specs: Specs) -> World:
    """Whose items suit these models."""
    return "demo" if all(spec.id in demo.MODELS for spec in specs.sides) else "english"


def offered(world: World) -> dict[str, Pack]:
    """Name -> the packs whose items are of this world, the general one first: general, healthcare, finance, law."""
    fields = {name.removeprefix("demo/"): pack for name, pack in PACKS.items() if pack.for_demo == (world == "demo")}
    return {GENERAL[world].name: GENERAL[world], **fields}


def request(
    pack: Pack,
    formats: Pair[Format],
    same_tokens: bool = False,
    max_new_tokens: int = 128,
    margin: float = MARGIN,
    seed: int = 0,
) -> FindingsRequest:
    """The first items of every probe that the pack has, with its title and what it says of itself."""
    shared: dict[str, Any] = {"formats": formats, "same_tokens": same_tokens, "margin": margin, "seed": seed}
    items = {probe: suite.make(COUNTS[probe], seed) for probe, suite in pack.suites.items()}
    asked: dict[str, Any] = {}
    if "reasoning" in items:
        asked["reasoning"] = ReasoningRequest(items=items["reasoning"], max_new_tokens=max_new_tokens, **shared)
    if "robustness" in items:
        texts = PLAIN_TEXTS["demo" if pack.for_demo else "english"](TEXTS)
        asked["robustness"] = RobustnessRequest(
            items=items["robustness"], plain_texts=texts, sensitivity_items=0, attribution_items=0, **shared
        )
        shortest = sorted(items["robustness"], key=lambda item: len(item.asked().split()))[:EXPLAINED]
        asked["explained"] = explained(tuple(shortest), formats, same_tokens)
    if "bias" in items:
        asked["bias"] = BiasRequest(items=items["bias"], slots=pack.slots, **shared)
    if "calibration" in items:
        asked["calibration"] = CalibrationRequest(items=items["calibration"], **shared)
    return FindingsRequest(seed=seed, pack=pack.title, says=pack.says, **asked)


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
