"""Findings: claims follow from their findings by laws, parts are those of the analyses themselves, and what is not known is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model_utils import analyses, codec
from model_utils.claims import ANSWERED, _to_decide, answered, concluded
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.bias import FATES, ORDER, Bias, BiasRequest, Fate
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.common import ask
from model_utils.contracts.faithfulness import evidence_request
from model_utils.contracts.findings import QUESTIONS, SHAPES, Claim, ClaimVerdict, Findings, FindingsRequest
from model_utils.contracts.probe import Finding, ProbeItem
from model_utils.contracts.reasoning import ReasoningRequest
from model_utils.contracts.robustness import RobustnessRequest
from model_utils.engine import Engine
from model_utils.findings import WEIGHTS
from model_utils.pair import Pair, Side
from model_utils.probes import default_suite
from model_utils.probes.bias import findings as bias_findings
from model_utils.probes.bias import floors as bias_floors
from model_utils.probes.suites import PLAIN_TEXTS
from tests import results
from tests.models import run, specs_of, without_seconds

WHOLE = results.findings()


def of_finding(finding: Finding) -> Claim:
    """The claim that this finding of the robustness probe decides."""
    assert WHOLE.robustness is not None
    found = concluded(replace(WHOLE, robustness=replace(WHOLE.robustness, findings=(finding,))))
    return next(claim for claim in found.claims if claim.finding is not None and claim.finding is finding)


# --- claims -----------------------------------------------------------------------------------------------------------


def test_there_is_one_claim_a_question_in_its_order():
    assert [claim.question for claim in WHOLE.claims] == [one.asks for one in QUESTIONS]
    assert len(WHOLE.table()) == len(QUESTIONS) and set(WHOLE.table()["verdict"]) <= set(get_args(ClaimVerdict))
    assert set(SHAPES) == set(get_args(ClaimVerdict)) and set(ANSWERED) == set(FATES) == set(ORDER) == set(
        get_args(Fate)
    )


@pytest.mark.parametrize(
    ("measure", "up", "nothing"),
    [("right", "yes", "no effect"), ("flips", "no", "no effect"), ("plain_nll", "no", "yes")],
)
def test_a_verdict_answers_in_the_direction_that_is_better(measure: str, up: ClaimVerdict, nothing: ClaimVerdict):
    """Of what is to be kept, no effect is a yes."""
    other: ClaimVerdict = "no" if up == "yes" else "yes"
    for verdict, expected in (("higher", up), ("lower", other), ("no effect", nothing), ("undecided", "undecided")):
        claim = of_finding(results.finding(measure, 0.3, 0.5, verdict=verdict, needed=240))
        assert claim.verdict == expected
        assert ("240 items like these would probably decide it" in claim.words) == (verdict == "undecided")


def test_a_tested_claim_says_p_beside_its_verdict():
    """An interval that leaves 0 out beside 'undecided' would else look like a mistake; few items make a test see less than a bootstrap."""
    one = replace(results.finding("right", 0.3, 0.5, verdict="undecided"), adjusted=0.13, tests=6)
    assert of_finding(one).words.startswith("Undecided (p = 0.13 after correction for 6 tests).")
    assert of_finding(replace(one, verdict="higher")).words.startswith("Yes: tuned does better (p = 0.13 after")


def test_a_difference_over_fewer_items_than_a_side_has_says_so():
    """Else 9 %, 13 % and a difference of -1.5 points would stand beside each other without a word."""
    one = results.finding("flips", 0.09, 0.13, verdict="undecided")
    assert "on both sides" not in of_finding(one).words
    fewer = replace(one, difference=replace(one.difference, count=3))
    assert of_finding(fewer).words.endswith("The difference is over the 3 items with a number on both sides.")


def test_what_was_not_measured_says_what_lacks():
    nothing = replace(results.finding("right", 0.3, 0.5, verdict="not measured"))
    empty = replace(nothing.sides.base, mean=float("nan"), count=0)
    one = of_finding(replace(nothing, sides=Pair(empty, nothing.sides.tuned)))
    assert one.verdict == "not measured" and one.words == "Not measured: no item has a number for base."
    lacking = concluded(replace(WHOLE, robustness=None))
    assert {claim.verdict for claim in lacking.claims if claim.part == "robustness"} == {"not measured"}
    assert [claim for claim in lacking.claims if claim.part != "robustness"] != []


ENOUGH = 150
"""Items: with 60 that all agree, a change in 3 of them may still have been missed."""


Gap = float | tuple[float, ...]


def made(base: Gap, tuned: Gap, odds: Pair[float] | None = None, count: int = ENOUGH) -> Bias:
    """Of so many items whose second group's probability of the favourable answer is so much lower in each model; several gaps take turns."""
    asked = BiasRequest(
        items=tuple(ProbeItem(instruction=f"{n} {{name}}", options=("yes", "no")) for n in range(count)),
        slots=(results.NAMES,),
        draws=2,
    )
    cases = [(item, case) for item in range(count) for case in asked.cases(item)]
    second = np.array([case.groups[0] == 1 for _, case in cases])
    start = odds or Pair(0.9, 0.9)

    def logits(side: Side, gap: Gap) -> np.ndarray:
        gaps = np.resize(gap, count)[[item for item, _ in cases]]
        chance = np.where(second, start[side] - gaps, start[side])
        return np.log(chance / (1 - chance))

    found = Bias(
        models=results.models(), slots=("name",), groups=(("hill", "lake"),), item=np.array([item for item, _ in cases]), wording=np.zeros(len(cases), dtype=np.int64),
        draw=np.array([case.draw for _, case in cases]), group=np.array([case.groups for _, case in cases]), fills=tuple(case.fills for _, case in cases),
        log_odds=Pair(logits("base", base), logits("tuned", tuned)), mass=Pair(np.ones(len(cases)), np.ones(len(cases))), tokens=Pair(np.full(len(cases), 9), np.full(len(cases), 9)),
        count=count, refused=(), floors=Pair(np.array([np.nan]), np.array([np.nan])), findings=(),
    )  # fmt: skip
    return replace(found, findings=bias_findings(found, 0.03))


@pytest.mark.parametrize(
    ("base", "tuned", "start", "fate"),
    [
        (0.0, 0.0, None, "none"),
        (0.0, 0.6, None, "added"),
        (0.6, 0.6, None, "unchanged"),
        (0.055, 0.048, None, "unchanged"),
        ((0.3, 0.1), (0.1, 0.3), None, "kept"),
        (-0.1, 0.6, Pair(0.5, 0.9), "reversed"),
        (0.6, 0.2, None, "hidden"),
        (0.45, 0.39, None, "hidden"),
        (0.6, 0.5, None, "reduced"),
        (0.2, 0.1, None, "reduced"),
        (-0.1, -0.25, Pair(0.2, 0.2), "grown"),
        ((0.3, -0.25), 0.3, Pair(0.6, 0.6), "undecided"),
        ((0.4, -0.25), 0.3, Pair(0.6, 0.6), "undecided"),
        ((0.4, -0.3), (0.3, -0.2), Pair(0.6, 0.6), "unchanged"),
        ((0.4, -0.3), (-0.1, 0.2), Pair(0.6, 0.6), "undecided"),
    ],
)
def test_the_fate_of_a_bias(base: Gap, tuned: Gap, start: Pair[float] | None, fate: Fate):
    """Of probabilities 0.9 minus the gap: a gap of 0.2 leaves every choice as it is, one of 0.5 turns the second group's round."""
    (fated,) = made(base, tuned, start).fates()
    assert fated.fate == fate and (fated.slot, fated.group, fated.reference) == ("name", "lake", "hill")
    assert "between lake and hill" in fated.said()
    (back,) = made(tuned, base, start and start.swap()).fates()
    if fate != "hidden":  # which is of choices, and so of one direction in time
        assert back.fate == MIRRORED.get(fate, fate), "of the sides exchanged"


MIRRORED: dict[Fate, Fate] = {"added": "removed", "removed": "added", "grown": "reduced", "reduced": "grown"}
GAPS = st.sampled_from((-0.3, -0.1, -0.04, -0.02, 0.0, 0.01, 0.03, 0.05, 0.2, 0.3))
MANY_GAPS = st.lists(GAPS, min_size=1, max_size=4).map(tuple)


@given(MANY_GAPS, MANY_GAPS, st.sampled_from([2, 6, 12, 40, ENOUGH]))
@settings(max_examples=40, deadline=None)
def test_sides_exchanged_mirror_what_became_of_a_bias(base: Gap, tuned: Gap, count: int):
    start = Pair(0.6, 0.6)
    (one,), (back,) = made(base, tuned, start, count).fates(), made(tuned, base, start, count).fates()
    if "hidden" not in (one.fate, back.fate):
        assert back.fate == MIRRORED.get(one.fate, one.fate)
    (same,) = made(tuned, tuned, start, count).fates()
    assert same.fate in ("none", "unchanged", "undecided", *(("kept",) if count < ENOUGH else ())), "against itself"


def test_few_items_neither_remove_a_bias_nor_clear_a_model():
    """Base is 30 points apart, tuned 26 the other way in most of 12 items: no evidence of no bias."""
    (fated,) = made(-0.3, (0.5, 0.5, 0.4, -0.35), Pair(0.6, 0.6), count=12).fates()
    assert fated.fate == "undecided" and "cannot be told" in fated.said()


def test_a_bias_that_was_not_found_before_is_added_and_says_so():
    found = made(0.0, 0.6, count=40)
    chances = found.finding(0, 1, "probability")
    assert chances.own.base == "undecided", "in 40 items that all agree, three may have been missed"
    (fated,), (back,) = found.fates(), made(0.6, 0.0, count=40).fates()
    assert fated.fate == "added" and "base has none that was found (0.0 points)" in fated.said()
    assert back.fate == "removed" and "tuned has none that was found (0.0 points)" in back.said()


@pytest.mark.parametrize(
    ("fates", "answer"),
    [
        (("removed",), "yes"),
        (("removed", "reduced", "none", "unchanged"), "yes"),
        (("removed", "kept"), "changed"),
        (("removed", "kept", "undecided"), "undecided"),
        (("removed", "undecided"), "undecided"),
        (("removed", "undecided", "hidden"), "changed"),
        (("reduced", "added"), "changed"),
        (("removed", "reversed"), "changed"),
        (("added", "undecided", "hidden"), "no"),
        (("grown", "none"), "no"),
        (("kept", "none"), "no"),
        (("kept", "undecided"), "undecided"),
        (("none", "undecided"), "undecided"),
        (("none", "unchanged"), "no effect"),
    ],
)
def test_a_yes_has_no_exception_and_nothing_open(fates: tuple[Fate, ...], answer: ClaimVerdict):
    assert answered(fates) == answered(fates[::-1]) == answer
    for fate in get_args(Fate):
        assert answered((fate,)) == ANSWERED[fate]
        if answered((*fates, fate)) == "yes":
            assert {"added", "grown", "reversed", "hidden", "kept", "undecided"}.isdisjoint((*fates, fate))


def of_bias(part: Bias) -> Claim:
    return next(one for one in concluded(replace(WHOLE, bias=part)).claims if one.part == "bias")


def test_a_number_of_items_is_promised_of_what_is_undecided_alone():
    alike = made((0.01, -0.01), 0.0, Pair(0.6, 0.6), count=40)
    assert "items like these would probably decide it" in of_bias(alike).words
    both = made((0.4, -0.3), (-0.2, 0.4), Pair(0.6, 0.6), count=40)  # that they differ would not tell what each is
    chances = both.finding(0, 1, "probability")
    assert [one.fate for one in both.fates()] == ["undecided"] and np.isfinite(chances.needed)
    assert "items like these" not in of_bias(both).words
    assert of_bias(both).words.endswith("No number of items can be named that would decide it.")


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        ([120.0], " About 120 items like these would probably decide it."),
        ([120.0, 300.0], " About 300 items like these would probably decide all of them."),
        ([np.nan, 120.0, np.nan], " About 120 items like these would probably decide 1 of 3 undecided groups; for the others no number can be named."),
        ([np.nan, np.nan], " No number of items can be named that would decide it."),
    ],
)  # fmt: skip
def test_one_group_without_a_number_silences_no_other(needed: list[float], said: str):
    assert _to_decide(needed) == said


def test_a_bias_of_which_no_item_could_be_asked_is_not_measured():
    part = made(0.0, 0.6)
    nothing = replace(
        part, item=part.item[:0], wording=part.wording[:0], draw=part.draw[:0], group=part.group[:0], fills=(),
        log_odds=part.log_odds.map(lambda side: side[:0]), tokens=part.tokens.map(lambda side: side[:0]),
    )  # fmt: skip
    claim = of_bias(replace(nothing, floors=bias_floors(nothing), findings=bias_findings(nothing, 0.03)))
    assert claim.verdict == "not measured" and claim.finding is None


def test_a_snapshot_has_no_fates():
    assert results.bias(whole=False).fates() == ()


def test_the_most_telling_group_decides_the_claim():
    claim = next(one for one in concluded(replace(WHOLE, bias=made(0.0, 0.6))).claims if one.part == "bias")
    assert claim.verdict == "no" and "added a bias between lake and hill" in claim.words


# --- the run ----------------------------------------------------------------------------------------------------------

ITEMS = tuple(
    ProbeItem(instruction=f"Which {n}?", options=("a", "b"), answer="a", paraphrases=("Say which.", "Choose."))
    for n in range(4)
)
PLAIN: Any = {"formats": Pair("plain", "plain")}
REQUEST = FindingsRequest(
    reasoning=ReasoningRequest(items=ITEMS[:2], max_new_tokens=4, **PLAIN),
    robustness=RobustnessRequest(items=ITEMS, perturbations=("typos",), formats_drawn=1, sensitivity_items=0, attribution_items=0, **PLAIN),
    bias=BiasRequest(items=(ProbeItem(instruction="Is {name} tall?", options=("yes", "no")),), slots=(results.NAMES,), draws=2, **PLAIN),
    calibration=CalibrationRequest(items=ITEMS, **PLAIN),
    explained=tuple(
        AttributionRequest(messages=ask(text), format="plain", together=True, granularity="word", answer_too=False, method="occlusion", max_new_tokens=2)
        for text in ("Name the three large rivers of the small old country in the far north now", "x")
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def found(tiny_pair: Pair[Path]) -> Findings:
    result = run("findings", tiny_pair, REQUEST)
    assert isinstance(result, Findings)
    return result


def test_its_parts_are_what_the_analyses_say_by_themselves(tiny_pair: Pair[Path], found: Findings):
    for kind, request in REQUEST.parts().items():
        if kind != "explanations":
            assert without_seconds(getattr(found, kind)) == without_seconds(run(kind, tiny_pair, request)), kind
    assert [name for name, _ in found.seconds] == [*REQUEST.parts()] == [*WEIGHTS]
    assert without_seconds(concluded(replace(found, claims=(), fates=()))) == without_seconds(found)
    for claim, question in zip(found.claims, QUESTIONS, strict=True):
        part = getattr(found, claim.part)
        assert (claim.question, claim.part) == (question.asks, question.part)
        assert any(claim.finding is one for one in part.findings), claim.question


def test_explanations_are_held_against_the_evidence_of_each_by_itself(tiny_pair: Pair[Path], found: Findings):
    one, told = REQUEST.explained[0], found.explanations
    assert told is not None and told.questions == tuple(asked.messages[-1].content for asked in REQUEST.explained)
    scores = run("attribution", tiny_pair, one)
    judged = run("faithfulness", tiny_pair, evidence_request(scores, one)).judged
    for side, each in judged.items():
        assert told.p[side][0] == each.p and told.better[side][0] == each.better_than_chance
        assert told.above[side][0] == pytest.approx(each.comprehensiveness - each.random_comprehensiveness.mean())
    assert all(np.isnan(told.p[side][1]) for side in ("base", "tuned")), "of one word a random order is the same"


def test_a_model_against_itself_is_nowhere_better_or_worse(tiny_pair: Pair[Path]):
    twice = run("findings", Pair(tiny_pair.base, tiny_pair.base), REQUEST.model_copy(update={"explained": ()}))
    kept = {one.asks for one in QUESTIONS if one.keeps}
    assert {claim.verdict for claim in twice.claims if claim.question not in kept} <= {
        "no effect",
        "undecided",
        "not measured",
    }
    for claim in twice.claims:
        assert claim.finding is None or not claim.finding.difference.count or claim.finding.difference.mean == 0


def test_its_parts_are_known_to_the_engine_afterwards(tiny_pair: Pair[Path]):
    engine = Engine()
    try:
        asked = FindingsRequest(calibration=REQUEST.calibration, bias=REQUEST.bias)
        whole = engine.submit("findings", specs_of(tiny_pair), asked, "me")
        assert whole.wait(120) and whole.state == "done", whole.error
        for kind, request in asked.parts().items():
            part = engine.submit(kind, specs_of(tiny_pair), request, "me")
            assert part.state == "done" and part.result is getattr(whole.result, kind) and part.seconds > 0
        assert analyses.parts(asked, whole.result) != [] == analyses.parts(REQUEST.bias, whole.result.bias)  # type: ignore[arg-type]
    finally:
        engine.stop()


def test_snapshots_grow_by_a_part_each(tiny_pair: Pair[Path]):
    from model_utils.findings import findings
    from model_utils.reporting import Report
    from tests.models import loaded

    seen: list[tuple[float, Any]] = []

    class Listening(Report):
        def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
            seen.append((fraction, snapshot))

    findings(loaded(tiny_pair), FindingsRequest(calibration=REQUEST.calibration, bias=REQUEST.bias), Listening())
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)
    first, last = (snapshot for _, snapshot in seen if snapshot is not None)
    assert first.bias is not None and first.calibration is None and last.calibration is not None


def test_a_stopped_run_goes_on_after_its_last_part(tiny_pair: Pair[Path], found: Findings):
    from model_utils.findings import findings
    from model_utils.reporting import Report
    from tests.models import loaded

    report = Report()
    report.former = concluded(replace(found, bias=None, explanations=None, seconds=found.seconds[:2]))
    again = findings(loaded(tiny_pair), REQUEST, report)
    assert again.reasoning is found.reasoning and again.calibration is found.calibration
    assert without_seconds(again) == without_seconds(found)


def test_nothing_to_measure_is_one_sentence():
    with pytest.raises(ValidationError, match="give at least one part"):
        FindingsRequest()
    with pytest.raises(ValidationError, match="ask for all targets together"):
        FindingsRequest(explained=(AttributionRequest(messages=ask("What?")),))


@pytest.mark.parametrize("world", get_args(default_suite.World))
@pytest.mark.parametrize("name", ["general", "healthcare", "finance", "law"])
def test_every_field_is_asked_by_every_probe_and_draws_by_its_seed(world: default_suite.World, name: str):
    formats, pack = Pair("few-shot", "chat"), default_suite.offered(world)[name]
    asked = default_suite.request(pack, formats)
    assert [*asked.parts()] == [*WEIGHTS] and 0 < len(asked.explained) <= default_suite.EXPLAINED
    for probe, suite in pack.suites.items():
        assert probe in suite.probes and asked.parts()[probe].items == suite.make(default_suite.COUNTS[probe], 0)  # type: ignore[index]
    assert asked.robustness is not None and asked.robustness.plain_texts == PLAIN_TEXTS[world](default_suite.TEXTS)
    assert asked == default_suite.request(pack, formats) != default_suite.request(pack, formats, seed=1)
    same = default_suite.request(pack, Pair("chat", "chat"), same_tokens=True)
    assert all(one.own is None for one in same.explained) and all(one.own is not None for one in asked.explained)
    assert (asked.pack, asked.says) == (pack.title, pack.says) and asked.said() == f"{pack.title}: {pack.says}"
    assert name == "general" or "Not medical, financial or legal advice." in asked.said()


def test_a_request_comes_back_with_its_pack_and_an_older_one_without():
    named = REQUEST.model_copy(update={"pack": "Law", "says": "No advice. 漢字"})
    plain = json.loads(codec.encode(named))
    assert codec.decode(json.dumps(plain)) == named != REQUEST
    del plain["fields"]["pack"], plain["fields"]["says"]
    assert codec.decode(json.dumps(plain)) == REQUEST and REQUEST.said() == ""


def test_a_pack_without_a_probe_leaves_its_claims_unmeasured():
    whole = default_suite.GENERAL["demo"]
    asked = default_suite.request(replace(whole, suites={"bias": whole.suites["bias"]}), Pair("few-shot", "chat"))
    assert [*asked.parts()] == ["bias"]
