"""The engine: order, single flight, cache, snapshots, cancel, grace, and errors that end one job and nothing else.

Most tests swap the analysis for a `Step`, a job that the test holds in its hand, so that order and timing are known; the engine,
its thread and its queue are the real ones. Others run the real analyses.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_utils import analyses
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import ModelSpec, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.engine import Engine, Job, result_bytes
from model_utils.errors import NoRoom, Refused
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests.models import specs_of, without_seconds

pytestmark = pytest.mark.slow


SOON = 20.0


def request(text: str) -> GenerationRequest:
    return GenerationRequest(messages=ask(text), max_new_tokens=4)


class Steps:
    """Stands in for `analyses.execute`: a job runs until the test lets it go, polling and breathing like any analysis."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.reports: dict[str, Report] = {}
        self.outcome: dict[str, Callable[[], Any]] = {}

    def __call__(self, kind: str, specs: Any, request: GenerationRequest, report: Report) -> Any:
        name = request.messages[0].content
        self.started.append(name)
        self.reports[name] = report
        report(0.5, "half way", f"snapshot of {name}")
        while not self.gate(name).wait(0.005):
            report.breathe()
        return self.outcome.get(name, lambda: np.zeros(10))()

    def gate(self, name: str) -> threading.Event:
        return self.gates.setdefault(name, threading.Event())


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    steps = Steps()
    monkeypatch.setattr(analyses, "execute", steps)
    return steps


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.stop()


@pytest.fixture
def submit(engine: Engine, tiny_pair: Pair[Path]) -> Callable[..., Job]:
    def submit(text: str, owner: str = "ann", background: bool = False) -> Job:
        return engine.submit("generation", specs_of(tiny_pair), request(text), owner, background)

    return submit


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.002)


def test_results_are_those_of_execute(engine: Engine, tiny_pair: Pair[Path]):
    specs = specs_of(tiny_pair)
    job = engine.submit("generation", specs, request("Hello"), "ann")
    assert job.wait(SOON) and job.state == "done" and job.fraction == 1.0
    direct = analyses.execute("generation", specs, request("Hello"))
    assert job.result.answers.tuned.answer.ids.tolist() == direct.answers.tuned.answer.ids.tolist()


def test_same_request_same_job_then_same_result(steps: Steps, submit: Callable[..., Job]):
    one, other = submit("a", "ann"), submit("a", "bob")
    assert one is other and set(one.owners) == {"ann", "bob"}
    steps.gate("a").set()
    assert one.wait(SOON)
    again = submit("a", "cid")
    assert again.finished and again.result is one.result and steps.started == ["a"]


def test_changed_files_are_not_answered_from_the_cache(steps: Steps, submit: Callable[..., Job], tiny_pair: Pair[Path]):
    steps.gate("a").set()
    assert submit("a").wait(SOON)
    os.utime(tiny_pair.base / "config.json")
    assert submit("a").wait(SOON)
    assert steps.started == ["a", "a"]


def test_owners_take_turns_and_places_are_told(steps: Steps, submit: Callable[..., Job]):
    first = submit("first", "ann")
    until(lambda: steps.started == ["first"])
    jobs = [submit("ann 1", "ann"), submit("ann 2", "ann"), submit("bob 1", "bob"), submit("cid 1", "cid")]
    assert first.place == 0 and [job.place for job in jobs] == [3, 4, 1, 2]
    for name in ("first", "ann 1", "ann 2", "bob 1", "cid 1"):
        steps.gate(name).set()
    assert all(job.wait(SOON) for job in jobs)
    assert steps.started == ["first", "bob 1", "cid 1", "ann 1", "ann 2"]


def test_one_owner_is_served_first_in_first_out(steps: Steps, submit: Callable[..., Job]):
    names = [f"job {n}" for n in range(5)]
    for name in names:
        steps.gate(name).set()
    jobs = [submit(name) for name in names]
    assert all(job.wait(SOON) for job in jobs)
    assert steps.started == names


def test_an_interactive_job_goes_first_while_a_background_job_breathes(steps: Steps, submit: Callable[..., Job]):
    background = submit("suite", background=True)
    until(lambda: steps.started == ["suite"])
    run = submit("run", "bob")
    until(lambda: run.state == "running")
    assert background.state == "running" and not background.finished
    steps.gate("run").set()
    assert run.wait(SOON) and run.state == "done" and not background.finished
    steps.gate("suite").set()
    assert background.wait(SOON) and background.state == "done"


def test_while_its_models_are_loaded_a_background_job_lets_only_jobs_about_others_go_first(
    steps: Steps, submit: Callable[..., Job], engine: Engine, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
):
    """A job about the same models inside the load would load them a second time."""
    background, loaded = submit("background", background=True), threading.Event()
    until(lambda: "background" in steps.started)
    report = steps.reports["background"]
    breathe = type(report).breathe
    monkeypatch.setattr(type(report), "breathe", lambda self: breathe(self, same_models=loaded.is_set()))
    same = submit("same models", "bob")
    other = Pair(ModelSpec(id=str(tiny_llama)), ModelSpec(id=str(tiny_llama)))
    elsewhere = engine.submit("generation", other, request("other models"), "cid")
    steps.gate("other models").set()
    assert elsewhere.wait(SOON) and same.state == "queued"
    loaded.set()
    steps.gate("same models").set()
    assert same.wait(SOON) and background.state == "running"
    steps.gate("background").set()
    assert background.wait(SOON)


def test_a_job_whose_models_do_not_fit_beside_those_of_a_background_job_waits_for_its_end(
    steps: Steps, submit: Callable[..., Job]
):
    def only_alone() -> str:
        if not suite.finished:
            raise NoRoom("beside the 2 GiB of models in use")
        return "there is room now"

    suite = submit("suite", background=True)
    until(lambda: "suite" in steps.started)
    steps.outcome["large"] = only_alone
    for name in ("large", "small"):
        steps.gate(name).set()
    large = submit("large", "bob")
    until(lambda: large.needs_room)
    small = submit("small", "cid")
    assert small.wait(SOON) and large.state == "queued" and large.error is None, "the others are served meanwhile"
    steps.gate("suite").set()
    assert suite.wait(SOON) and large.wait(SOON) and large.state == "done" and large.result == "there is room now"
    assert steps.started.count("large") == 2


def test_a_job_whose_models_do_not_fit_where_nothing_else_runs_says_so(steps: Steps, submit: Callable[..., Job]):
    def never() -> None:
        raise NoRoom("beside the 2 GiB of models in use")

    steps.outcome["large"] = never
    steps.gate("large").set()
    large = submit("large")
    assert large.wait(SOON) and large.state == "failed" and large.error == "beside the 2 GiB of models in use"


def test_background_jobs_wait_for_interactive_ones_and_never_nest(steps: Steps, submit: Callable[..., Job]):
    submit("suite 1", background=True)
    until(lambda: steps.started == ["suite 1"])
    second, run = submit("suite 2", "bob", background=True), submit("run", "cid")
    until(lambda: "run" in steps.started)
    steps.gate("run").set()
    assert run.wait(SOON) and "suite 2" not in steps.started
    for name in ("suite 1", "suite 2"):
        steps.gate(name).set()
    assert second.wait(SOON)


def test_a_job_of_several_owners_stands_where_its_best_owner_would(steps: Steps, submit: Callable[..., Job]):
    submit("first")
    until(lambda: steps.started == ["first"])
    names = ("ann 1", "ann 2", "ann 3")
    jobs = [submit(name, "ann") for name in names]
    assert [job.place for job in jobs] == [1, 2, 3]
    submit("ann 3", "bob")
    assert [job.place for job in jobs] == [2, 3, 1]


def test_run_turns_a_waiting_background_job_into_an_interactive_one(steps: Steps, submit: Callable[..., Job]):
    submit("first")
    job = submit("a", background=True)
    assert submit("a", "bob") is job and not job.background


def test_a_background_job_that_somebody_looked_at_goes_on_without_them(
    steps: Steps, engine: Engine, submit: Callable[..., Job]
):
    job = submit("a", "ann", background=True)
    until(lambda: job.state == "running")
    submit("a", "bob")
    engine.release(job, "bob")
    assert job.background and not job.cancelled.is_set()
    steps.gate("a").set()
    assert job.wait(SOON) and job.state == "done"


def test_a_short_absence_is_forgiven_even_after_a_long_silence(steps: Steps, tiny_pair: Pair[Path]):
    """While a model loads nobody looks who is alive; the grace begins when somebody is first seen to be gone."""
    alive = {"ann"}
    engine = Engine(is_alive=alive.__contains__, grace_seconds=5.0)
    job = engine.submit("generation", specs_of(tiny_pair), request("a"), "ann")
    until(lambda: job.state == "running")
    alive.clear()
    until(lambda: job.owners["ann"].gone_since is not None)
    alive.add("ann")
    until(lambda: job.owners["ann"].gone_since is None)
    assert job.state == "running"
    steps.gate("a").set()
    assert job.wait(SOON) and job.state == "done"
    engine.stop()


def test_only_the_latest_wish_to_load_ahead_counts(
    steps: Steps, submit: Callable[..., Job], engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    loaded = []
    monkeypatch.setattr(analyses, "using", lambda specs: nullcontext(loaded.append(specs)))
    first = submit("first")
    until(lambda: first.state == "running")
    for name in ("one", "two", "three"):
        engine.warm(Pair(ModelSpec(id=name), ModelSpec(id=name)))
    steps.gate("first").set()
    until(lambda: bool(loaded))
    assert first.wait(SOON) and [specs.base.id for specs in loaded] == ["three"]


def test_snapshot_and_progress_are_seen_by_every_owner(steps: Steps, submit: Callable[..., Job]):
    job = submit("a")
    until(lambda: job.snapshot is not None)
    assert (job.fraction, job.note, job.snapshot) == (0.5, "half way", "snapshot of a")
    assert submit("a", "bob").snapshot == "snapshot of a"


def test_a_job_is_cancelled_when_its_last_owner_lets_go(engine: Engine, steps: Steps, submit: Callable[..., Job]):
    job = submit("a", "ann")
    submit("a", "bob")
    until(lambda: job.state == "running")
    engine.release(job, "ann")
    time.sleep(0.05)
    assert job.state == "running"
    engine.release(job, "bob")
    assert job.wait(SOON) and job.state == "cancelled" and job.snapshot == "snapshot of a" and job.result is None


def test_a_waiting_job_is_cancelled_at_once_and_its_place_is_free(
    engine: Engine, steps: Steps, submit: Callable[..., Job]
):
    submit("first")
    until(lambda: steps.started == ["first"])
    waiting, last = submit("second"), submit("third")
    assert last.place == 2
    engine.release(waiting, "ann")
    assert waiting.finished and waiting.state == "cancelled" and last.place == 1
    again = submit("second")
    assert again is not waiting and not again.finished


def test_a_closed_tab_frees_the_queue_after_its_grace_and_a_hidden_one_never(steps: Steps, tiny_pair: Pair[Path]):
    """A hidden tab stays connected, however rarely its timers fire: nothing here depends on being polled."""
    alive = {"closing", "hidden"}
    engine = Engine(is_alive=alive.__contains__, grace_seconds=0.3)
    closing = engine.submit("generation", specs_of(tiny_pair), request("a"), "closing")
    until(lambda: closing.state == "running")
    waiting = engine.submit("generation", specs_of(tiny_pair), request("b"), "closing")
    hidden = engine.submit("generation", specs_of(tiny_pair), request("c"), "hidden")
    time.sleep(1.2)
    assert closing.state == "running" and waiting.state == "queued", "alive, although nobody asked for four graces"
    alive.remove("closing")
    assert closing.wait(SOON) and waiting.wait(SOON)
    assert (closing.state, waiting.state) == ("cancelled", "cancelled")
    until(lambda: hidden.state == "running")
    steps.gate("c").set()
    assert hidden.wait(SOON) and hidden.state == "done"
    engine.stop()


def test_background_jobs_outlive_their_tab(steps: Steps, tiny_pair: Pair[Path]):
    engine = Engine(is_alive=lambda owner: False, grace_seconds=0.0)
    job = engine.submit("generation", specs_of(tiny_pair), request("a"), "gone", background=True)
    time.sleep(1.2)
    assert job.state == "running"
    steps.gate("a").set()
    assert job.wait(SOON) and job.state == "done"
    engine.stop()


def test_a_refusal_is_a_sentence_and_a_bug_is_a_sentence_and_a_traceback_in_the_log(
    steps: Steps, submit: Callable[..., Job], caplog: pytest.LogCaptureFixture
):
    def refuse() -> None:
        raise Refused("No, because.")

    steps.outcome = {"refused": refuse, "bug": lambda: 1 / 0}
    for name in ("refused", "bug", "fine"):
        steps.gate(name).set()
    refused, bug, fine = submit("refused"), submit("bug"), submit("fine")
    assert refused.wait(SOON) and refused.state == "failed" and refused.error == "No, because."
    assert bug.wait(SOON) and bug.state == "failed" and "ZeroDivisionError" in str(bug.error)
    assert "Traceback" in caplog.text and "1 / 0" in caplog.text
    assert fine.wait(SOON) and fine.state == "done"
    again = submit("bug")
    assert again is not bug and again.wait(SOON) and steps.started.count("bug") == 2, "a failure is not kept"


def test_a_model_that_is_none_fails_at_once(engine: Engine):
    spec = ModelSpec(id="/no/such/folder")
    job = engine.submit("generation", Pair(spec, spec), request("a"), "ann")
    assert job.finished and job.state == "failed" and "nor a folder on this machine" in str(job.error)


def test_the_cache_keeps_to_its_budget(steps: Steps, tiny_pair: Pair[Path]):
    steps.outcome["large"] = lambda: np.zeros(1000)
    engine = Engine(cache_bytes=result_bytes(np.zeros(10)) * 2)
    for name in ("a", "b", "a", "large", "c", "a", "b"):
        steps.gate(name).set()
        assert engine.submit("generation", specs_of(tiny_pair), request(name), "ann").wait(SOON)
    assert steps.started == ["a", "b", "large", "c", "b"], (
        "b was the least recently used when c came; what is too large is not kept"
    )
    engine.stop()


def test_result_bytes_counts_arrays_and_texts_inside():
    assert result_bytes(Pair(np.zeros(3), (np.zeros(2, np.float32), None))) == 3 * 8 + 2 * 4
    assert result_bytes(("x" * 1000,)) > 1000


def test_all_work_is_done_on_one_thread(steps: Steps, submit: Callable[..., Job]):
    threads = set()
    steps.outcome = {name: lambda: threads.add(threading.current_thread().name) for name in "abc"}
    for name in "abc":
        steps.gate(name).set()
    jobs = [submit(name) for name in "abc"]
    assert all(job.wait(SOON) for job in jobs)
    assert threads == {"candor-compute"}


def test_twenty_threads_get_what_each_asked_for(engine: Engine, tiny_pair: Pair[Path]):
    specs, results = specs_of(tiny_pair), {}

    def ask_for(number: int) -> None:
        asked = AttentionRequest(messages=ask(f"Number {number % 10}"), layer=number % 2, answer_ids=(20, 30))
        job = engine.submit("attention", specs, asked, f"owner {number}")
        assert job.wait(60)
        results[number] = job.result

    threads = [threading.Thread(target=ask_for, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, result in results.items():
        asked = AttentionRequest(messages=ask(f"Number {number % 10}"), layer=number % 2, answer_ids=(20, 30))
        np.testing.assert_array_equal(result.weights.tuned, analyses.execute("attention", specs, asked).weights.tuned)


class Interrupts(Report):
    """Runs something inside the breath with this number."""

    def __init__(self, number: int, work: Callable[[], Any]) -> None:
        self.left, self.work, self.done = number, work, None

    def breathe(self) -> None:
        if self.left == 0:
            self.done = self.work()
        self.left -= 1


@pytest.mark.parametrize("inner", ["generation", "attention", "attribution"])
def test_a_job_may_run_inside_any_pass_of_a_background_job_and_neither_notices(tiny_pair: Pair[Path], inner: str):
    """The interactive job starts before a layer, forward or back, of the other one's pass over the same network."""
    specs = specs_of(tiny_pair)
    outer = AttributionRequest(messages=ask("Outer"), answer_ids=(20, 30, 40), quantity="log-probability")
    asked = analyses.ANALYSES[inner].request(messages=ask("Inner"), max_new_tokens=3)
    alone, inner_alone = analyses.execute("attribution", specs, outer), analyses.execute(inner, specs, asked)
    for number in range(100):
        interrupts = Interrupts(number, lambda: analyses.execute(inner, specs, asked))
        result = analyses.execute("attribution", specs, outer, interrupts)
        for side, scores in result.scores.items():
            np.testing.assert_allclose(scores, alone.scores[side], rtol=1e-5, atol=1e-6)
        if interrupts.done is None:
            break
        assert without_seconds(interrupts.done) == without_seconds(inner_alone)
    assert number >= 8, "two layers in each forward, one at least in the first backward, and a breath before each group"
