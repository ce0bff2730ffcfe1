"""The way of every probe through its items: chunks without a gap, and both sides at the same time without standing in anybody's way."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_utils import loading
from model_utils.errors import Cancelled, Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair, Side
from model_utils.probes import frame
from model_utils.reporting import Report
from tests.models import loaded

MEET_SECONDS = 20
"""How long one side waits for the other before a test gives up."""


@given(count=st.integers(0, 300), done=st.integers(0, 300))
def test_chunks_are_all_items_that_are_not_done_each_once(tiny_pair: Pair[Path], count: int, done: int):
    chosen = [item for chunk in frame.chunks(loaded(tiny_pair), count, done, Report(), lambda: None) for item in chunk]
    assert chosen == list(range(done, count))


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "CORES", 2)
    monkeypatch.setattr(loading, "CORES", 2)


def test_both_sides_are_read_at_the_same_time_on_half_of_the_cores_each(tiny_pair: Pair[Path], two_cores: None):
    meeting = threading.Barrier(2, timeout=MEET_SECONDS)

    def work(side: Side, model: LanguageModel, report: Report) -> tuple[Side, str, int]:
        meeting.wait()
        return side, model.facts.id, model.pass_threads(10**9)

    pair = loaded(tiny_pair)
    assert frame.of_both(pair, Report(), work) == Pair(
        ("base", pair.base.facts.id, 1), ("tuned", pair.tuned.facts.id, 1)
    )


def test_one_network_is_read_in_turn_on_all_cores(tiny_pair: Pair[Path], two_cores: None):
    pair = loaded(tiny_pair)
    order: list[tuple[Side, int, int]] = []

    def work(side: Side, model: LanguageModel, report: Report) -> None:
        order.append((side, model.pass_threads(10**9), threading.get_ident()))

    here = threading.get_ident()
    frame.of_both(Pair(pair.base, pair.base), Report(), work)
    with pair.tuned.running():  # this job runs inside a pass of another one
        frame.of_both(pair, Report(), work)
    assert order == [("base", 2, here), ("tuned", 2, here)] * 2


def test_the_other_side_waits_while_this_one_lets_others_go_first(tiny_pair: Pair[Path], two_cores: None):
    steps: list[float] = []
    over = threading.Event()

    class Busy(Report):
        during = 0

        def breathe(self, same_models: bool = True) -> None:
            before = len(steps)
            time.sleep(0.02)  # somebody else's job
            self.during = max(self.during, len(steps) - before)

    def work(side: Side, model: LanguageModel, report: Report) -> None:
        if side == "base":
            for _ in range(20):
                report.breathe()
                time.sleep(0.002)
            over.set()
        while side == "tuned" and not over.is_set():
            report.breathe()
            steps.append(time.monotonic())
            time.sleep(0.0005)

    busy = Busy()
    frame.of_both(loaded(tiny_pair), busy, work)
    assert len(steps) > 10 and busy.during <= 1, "at most the step that it was in"


def test_inside_a_pass_it_does_not_wait_because_others_may_need_what_it_holds(tiny_pair: Pair[Path], two_cores: None):
    """Somebody else's job takes the network that the other side is reading: it is given when that pass is over."""
    pair = loaded(tiny_pair)
    inside, asked = threading.Event(), threading.Event()

    class Other(Report):
        def breathe(self, same_models: bool = True) -> None:
            if inside.is_set() and not asked.is_set():
                asked.set()
                with pair.tuned.running():
                    pass

    def work(side: Side, model: LanguageModel, report: Report) -> None:
        if side == "tuned":
            with model.running():
                inside.set()
                assert asked.wait(MEET_SECONDS)
                report.breathe()
        else:
            assert inside.wait(MEET_SECONDS)
            report.breathe()

    thread = threading.Thread(target=frame.of_both, args=(pair, Other(), work), daemon=True)
    thread.start()
    thread.join(MEET_SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize("failing", ["base", "tuned"])
def test_what_goes_wrong_on_either_side_is_said_and_the_other_is_waited_for(tiny_pair: Pair[Path], failing: Side, two_cores: None):  # fmt: skip
    finished: list[Side] = []

    def work(side: Side, model: LanguageModel, report: Report) -> None:
        if side == failing:
            raise Refused("This cannot be read.")
        time.sleep(0.05)
        finished.append(side)

    with pytest.raises(Refused, match="This cannot be read"):
        frame.of_both(loaded(tiny_pair), Report(), work)
    assert len(finished) == 1


@pytest.mark.parametrize("failing", ["base", "tuned"])
def test_when_one_side_fails_the_other_does_not_work_on(tiny_pair: Pair[Path], failing: Side, two_cores: None):
    """Nor when somebody presses Ctrl-C in a terminal, which is heard by the thread of the job alone."""

    def work(side: Side, model: LanguageModel, report: Report) -> None:
        if side == failing:
            raise KeyboardInterrupt if side == "base" else Refused("This cannot be read.")
        until = time.monotonic() + MEET_SECONDS
        while time.monotonic() < until:
            report.poll()
            time.sleep(0.001)
        raise AssertionError(f"{side} worked on")

    with pytest.raises(KeyboardInterrupt if failing == "base" else Refused):
        frame.of_both(loaded(tiny_pair), Report(), work)


def test_a_stop_reaches_both_sides(tiny_pair: Pair[Path], two_cores: None):
    stopped = threading.Event()

    class Stopped(Report):
        def poll(self) -> None:
            if stopped.is_set():
                raise Cancelled

    def work(side: Side, model: LanguageModel, report: Report) -> None:
        if side == "tuned":
            stopped.set()
        until = time.monotonic() + MEET_SECONDS
        while time.monotonic() < until:
            report.poll()
            time.sleep(0.001)
        raise AssertionError(f"{side} was not stopped")

    with pytest.raises(Cancelled):
        frame.of_both(loaded(tiny_pair), Stopped(), work)
