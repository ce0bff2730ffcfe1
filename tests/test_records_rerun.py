"""Computing a record again: the same bits on the same models, and what is not as it was is named first; how two results are compared."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_utils import analyses
from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.contracts.records import Difference, Environment, Record
from model_utils.errors import Cancelled, Refused
from model_utils.pair import Pair
from model_utils.records import comparing, contents, recording, rerun
from model_utils.reporting import Report
from tests import builders, results
from tests.models import specs_of

REQUEST = GenerationRequest(messages=ask("Why 漢字, 🎉?"), max_new_tokens=6)


def record_of(folders: Pair[Path], request: GenerationRequest = REQUEST) -> Record:
    specs = specs_of(folders)
    opened = analyses.execute("load_report", specs, LoadReportRequest())
    return recording.make("generation", specs, request, analyses.execute("generation", specs, request), opened, 1.0)


# --- comparing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(results.every()))
def test_a_result_and_itself_do_not_differ(kind: str):
    _, result = results.every()[kind]
    assert comparing.compare(result, result) == ()


def test_a_difference_is_the_largest_of_its_field_and_the_same_from_either_side():
    one = results.attribution()
    moved = one.scores.tuned.copy()
    moved[0, 0] += 0.25
    moved[0, -1] -= 0.5
    other = replace(one, scores=Pair(one.scores.base, moved))
    (there,), (back,) = comparing.compare(one, other), comparing.compare(other, one)
    assert there.field == back.field == "scores.tuned" and not there.unlike
    assert there.largest == pytest.approx(0.5) and back.largest == there.largest
    assert there.size == pytest.approx(np.abs(one.scores.tuned[np.isfinite(one.scores.tuned)]).max())


def test_what_cannot_be_subtracted_is_said():
    one = results.attribution()
    cases = {
        "shape": replace(one, scores=one.scores.map(lambda rows: rows[:, :-1])),
        "missing on one side": replace(one, scores=one.scores.map(lambda rows: np.full_like(rows, np.nan))),
    }
    for words, other in cases.items():
        found = comparing.compare(one, other)
        assert found and all(math.isnan(each.largest) and words in each.unlike for each in found), words
    said = results.generation(base=(" Paris", "\n\n"))
    texts = [each for each in comparing.compare(results.generation(), said) if each.unlike]
    assert any("Paris" in each.unlike and "London" in each.unlike for each in texts)


def test_times_are_no_difference():
    one = results.generation()
    slow = replace(one, samples=tuple(pair.map(lambda answer: replace(answer, seconds=99.0)) for pair in one.samples))
    assert comparing.compare(one, slow) == ()


def test_other_weights_are_named_before_other_versions():
    record, opened = results.record(), results.load_report()
    other = replace(
        opened,
        identities=Pair(replace(opened.identities.base, weights="f" * 64), opened.identities.tuned),
        openings=opened.openings.map(lambda one: replace(one, threads=7)),
    )
    environment = Environment("Plan9 mips", (("Python", "2.7"), *record.environment.versions[1:]))
    said = comparing.changed(record, other, environment)
    assert "weights of base" in said[0] and "f" * 16 in said[0]
    assert "threads" in said[1] and "Plan9 mips" in said[3] and "Python was" in said[4] and len(said) == 5
    assert comparing.changed(record, opened, record.environment) == ()


def test_a_difference_beyond_the_floor_is_different():
    small, large, text = (
        Difference("a", 1e-6, 1.0),
        Difference("a", 1e-3, 1.0),
        Difference("b", math.nan, math.nan, "x"),
    )
    assert results.rerun().outcome == "same"
    assert results.rerun(small, floor=(large,)).outcome == "within the noise floor"
    assert results.rerun(large, floor=(large,)).outcome == "within the noise floor"
    assert results.rerun(large, floor=(small,)).outcome == "different"
    assert results.rerun(small, floor=None).outcome == "different", "without a floor nothing is forgiven"
    assert results.rerun(small, floor=()).outcome == "different", "a floor of nothing forgives nothing"
    assert results.rerun(text, floor=(text,)).outcome == "different", "another text is no rounding"
    table = results.rerun(small, text, floor=(large,)).table()
    assert list(table["field"]) == ["a", "b"] and table["floor"][0] == 1e-3 and table["floor"][1] == 0


# --- what is recorded ------------------------------------------------------------------------------------------------


def test_the_prompts_hash_is_of_the_texts_and_its_salt():
    one = results.generation()
    first = recording.hash_prompts("a" * 32, one)
    assert first == recording.hash_prompts("a" * 32, one) != recording.hash_prompts("b" * 32, one)
    longer = replace(one, samples=tuple(p.map(lambda a: replace(a, answer=replace(a.answer, text="Hm"))) for p in one.samples))  # fmt: skip
    assert recording.hash_prompts("a" * 32, longer) == first, "answers are no prompts"
    assert recording.hash_prompts("a" * 32, results.survey()) == "", "it holds none"
    moved = replace(one, samples=tuple(p.map(lambda a: replace(a, prompt=replace(a.prompt, text="Hm"))) for p in one.samples))  # fmt: skip
    assert recording.hash_prompts("a" * 32, moved) != first


def test_models_that_are_not_identified_yet_are_not_recorded():
    opened = replace(results.load_report(), unfinished=("the hashes of the files",))
    with pytest.raises(Refused, match=r"not identified yet \(the hashes of the files\)"):
        recording.make("generation", results.record().specs, REQUEST, results.generation(), opened, 1.0)


# --- again, really ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_replay_is_the_same_bit_for_bit_and_other_weights_are_named(tiny_pair: Pair[Path], tmp_path: Path):
    record = record_of(tiny_pair)
    found = rerun.replay(record)
    assert found.outcome == "same" and found.changed == () and found.floor is None
    for now, before in zip(found.identities.sides, record.identities.sides, strict=True):
        assert [getattr(now, name) for name in contents.HASHES] == [getattr(before, name) for name in contents.HASHES]
    others = builders.tiny_pair(tmp_path, seed=7)
    elsewhere = rerun.replay(replace(record, specs=specs_of(others)))
    assert "weights of base" in elsewhere.changed[0] and elsewhere.outcome == "different"


@pytest.mark.slow
def test_the_noise_floor_is_what_older_instructions_move(tiny_pair: Pair[Path]):
    record = record_of(tiny_pair)
    floor = rerun.measure_floor(record)
    assert floor.differences and all(one.largest < 1e-3 for one in floor.differences if not one.unlike)
    assert any("processor" in sentence for sentence in floor.changed)
    assert rerun.replay(record, floor.differences).outcome == "same"
    gpu = replace(record, openings=record.openings.map(lambda one: replace(one, instructions="NVIDIA H100")))
    with pytest.raises(Refused, match="computed on NVIDIA H100"):
        rerun.measure_floor(gpu)


@pytest.mark.slow
def test_models_that_are_not_here_are_refused_in_their_own_words(tiny_pair: Pair[Path]):
    record = replace(record_of(tiny_pair), specs=Pair(*(ModelSpec(id="/nowhere/model"),) * 2))
    with pytest.raises(Refused, match="/nowhere/model"):
        rerun.replay(record)


@pytest.mark.slow
def test_a_replay_that_nobody_wants_any_more_ends_with_its_process(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch
):
    class Unwanted(Report):
        def poll(self) -> None:
            raise Cancelled

    ended = []
    start = rerun.subprocess.Popen
    monkeypatch.setattr(rerun.subprocess, "Popen", lambda *args, **how: ended.append(start(*args, **how)) or ended[0])
    with pytest.raises(Cancelled):
        rerun.replay(record_of(tiny_pair), report=Unwanted())
    assert ended[0].returncode is not None and ended[0].returncode != 0


def test_the_same_weights_are_found_again_wherever_they_lie():
    """What a network takes in memory grows as it is used, and a folder may be moved."""
    record = results.record()
    key = contents.key(record.analysis, record.specs, record.request, record.identities)
    moved = record.identities.map(lambda one: replace(one, folder="/elsewhere", memory_bytes=one.memory_bytes + 1))
    assert contents.key(record.analysis, record.specs, record.request, moved) == key
    for name in contents.HASHES:
        other = Pair(record.identities.base, replace(record.identities.tuned, **{name: "f" * 64}))
        assert contents.key(record.analysis, record.specs, record.request, other) != key
