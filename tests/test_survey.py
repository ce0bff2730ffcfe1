"""The survey: each row is what the single analyses say, averages have honest intervals, and no instruction stops the list."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import numpy as np
import pytest

from model_utils import analyses, codec, differences, items, stated, survey
from model_utils.contracts.common import Message, ModelSpec, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.contracts.survey import Survey, SurveyRequest, measures
from model_utils.errors import Cancelled
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from tests.models import run

pytestmark = pytest.mark.slow

INSTRUCTIONS = ("Name three animals.", "Say 漢字 🎉 in one sentence.", "Answer in JSON: what is שלום?")


def asked(*instructions: str, **fields) -> SurveyRequest:
    return SurveyRequest(instructions=instructions or INSTRUCTIONS, **{"max_new_tokens": 6, **fields})


def test_each_row_is_what_the_single_analyses_say(tiny_pair: Pair[Path]):
    result: Survey = run("survey", tiny_pair, asked(system="Be brief."))
    for instruction, row in zip(INSTRUCTIONS, result.items, strict=True):
        messages = (Message(role="system", content="Be brief."), *ask(instruction))
        answers = run("generation", tiny_pair, GenerationRequest(messages=messages, max_new_tokens=6)).answers
        forced = run("shift", tiny_pair, ShiftRequest(messages=messages, max_new_tokens=6)).answers.tuned
        assert row.instruction == instruction and row.refusal is None
        for side in SIDES:
            assert row.texts[side] == answers[side].text and row.stops[side] == answers[side].stop
            assert row.passed[side] == tuple(one.passes(answers[side].text) for one in stated.find(instruction))
        np.testing.assert_array_equal(row.shares, list(forced.shares().values()))
        assert row.log_ratio == pytest.approx(np.abs(forced.log_ratios[forced.counted]).mean(), nan_ok=True)
        assert row.kl == pytest.approx(forced.kl[forced.counted].mean(), rel=1e-5, nan_ok=True)
        assert row.agreement == differences.agreement(answers.base.text, answers.tuned.text)


def test_a_model_against_itself_differs_nowhere(tiny_pair: Pair[Path]):
    result = run("survey", Pair(tiny_pair.tuned, tiny_pair.tuned), asked(formats=Pair("chat", "chat")))
    for row in result.items:
        assert (row.log_ratio, row.kl, row.js, row.agreement, row.shares) == (0, 0, 0, 1, (1, 0, 0))
    means = {one.measure: (one.mean, one.low, one.high) for one in result.intervals}
    assert means["unshifted"] == (1, 1, 1) and means["kl"] == (0, 0, 0)


def test_an_instruction_that_cannot_be_asked_does_not_stop_the_list(tiny_pair: Pair[Path]):
    result = run("survey", tiny_pair, asked("word " * 900, "Name three animals."))
    first, second = result.items
    assert "tokens long" in str(first.refusal) and math.isnan(first.log_ratio)
    assert second.refusal is None and np.isfinite(second.log_ratio)
    table = result.table()
    assert table["item"].tolist() == [1, 0], "refused ones come last"
    assert next(one for one in result.intervals if one.measure == "kl").count == 1


def test_the_most_different_come_first_and_all_are_kept(tiny_pair: Pair[Path]):
    result = run("survey", tiny_pair, asked())
    table = result.table()
    assert table["log_ratio"].is_monotonic_decreasing and sorted(table["item"]) == [0, 1, 2]
    assert codec.encode(codec.decode(codec.encode(result))) == codec.encode(result)


class Stopping(Report):
    def __init__(self, after: int) -> None:
        self.snapshots: list[Survey] = []
        self.notes: list[str] = []
        self.after = after

    def __call__(self, fraction: float, note: str, snapshot: Survey | None = None) -> None:
        self.notes.append(note)
        self.snapshots += [snapshot] if snapshot else []

    def poll(self) -> None:
        if len(self.notes) >= self.after:
            raise Cancelled


def test_what_was_done_is_there_after_a_cancel(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(survey, "SNAPSHOT_SECONDS", 0.0)
    report = Stopping(after=2)
    with pytest.raises(Cancelled):
        run("survey", tiny_pair, asked(), report)
    assert report.notes == ["instruction 1 of 3", "instruction 2 of 3"]
    assert [len(snapshot.items) for snapshot in report.snapshots] == [1, 2]
    for snapshot in report.snapshots:
        found = {one.measure: one for one in snapshot.intervals}
        for name, values in measures(snapshot.items).items():
            known = values[~np.isnan(values)]
            assert found[name].count == len(known) and np.isnan([found[name].low, found[name].high]).all()
            assert found[name].mean == pytest.approx(known.mean() if len(known) else math.nan, nan_ok=True)


# --- public instructions ------------------------------------------------------------------------------------------------


@pytest.mark.skipif("CANDOR_DATA" not in os.environ, reason="CANDOR_DATA names no folder of public data")
def test_252_instructions_of_users_run_without_a_failure():
    """self_instruct_user_oriented.jsonl on the embedded pair, whose context of 512 tokens some do not fit into."""
    path = Path(os.environ["CANDOR_DATA"]) / "self_instruct_user_oriented.jsonl"
    listed = items.read(path.read_bytes(), path.name)
    specs = Pair(ModelSpec(id="demo/base"), ModelSpec(id="demo/tuned"))
    start = time.monotonic()
    result = analyses.execute("survey", specs, SurveyRequest(instructions=listed.instructions, max_new_tokens=16))
    refused = [row.refusal for row in result.items if row.refusal]
    print(f"{len(result.items)} instructions, {len(refused)} refused, {time.monotonic() - start:.0f} s")
    assert len(result.items) == 252 and not listed.problems
    assert all("tokens long" in sentence for sentence in refused) and len(refused) < 25
