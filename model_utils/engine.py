"""One compute thread behind every page: a queue with two classes of job, progress, snapshots, cancel, and the only result cache."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass, field, fields, is_dataclass
from types import TracebackType
from typing import Any, Literal

import numpy as np

from model_utils import analyses, checkpoints
from model_utils.contracts.common import Request, Specs
from model_utils.errors import Cancelled, NoRoom, Refused
from model_utils.reporting import Report

log = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled"]
Key = tuple[str, Specs, tuple[str, str], Request]
"""(kind, models, signatures of their files, request): equal keys have equal results"""

CACHE_BYTES = 512 << 20
SWEEP_SECONDS = 0.5
REMEMBERED = 1_000
"""Of how many owners it is remembered when they were last served."""


@dataclass
class Owner:
    """One session's wish for a job."""

    background: bool
    """it does not wait at a page; the job goes on when the session has gone"""
    gone_since: float | None = None
    """when the session was first seen to be gone (monotonic seconds); None: it is alive"""


@dataclass(eq=False)
class Job:
    """One analysis on its way. Everybody who asked for the same thing holds the same job; fields are written by the engine only."""

    key: Key
    engine: Engine = field(repr=False)
    number: int
    owners: dict[str, Owner] = field(default_factory=dict)
    """who wants it"""
    state: State = "queued"
    fraction: float = 0.0
    note: str = ""
    snapshot: Any = None
    """the latest partial result; stays after a cancel"""
    former: Any = None
    """the partial result that it goes on from"""
    result: Any = None
    seconds: float = 0.0
    """from its start to its end, where it is done; what went before it meanwhile is in it"""
    error: str | None = None
    """one sentence for people, when failed"""
    needs_room: bool = False
    """its models did not fit beside those of a background job, so that it waits for that job's end"""
    cancelled: threading.Event = field(default_factory=threading.Event)
    _finished: threading.Event = field(default_factory=threading.Event)

    @property
    def kind(self) -> str:
        return self.key[0]

    @property
    def specs(self) -> Specs:
        return self.key[1]

    @property
    def signatures(self) -> tuple[str, str]:
        """Of both models' files, as they were when it was asked for."""
        return self.key[2]

    @property
    def request(self) -> Request:
        return self.key[3]

    @property
    def background(self) -> bool:
        """Whether nobody waits for it at a page."""
        return bool(self.owners) and all(owner.background for owner in self.owners.values())

    @property
    def finished(self) -> bool:
        return self._finished.is_set()

    @property
    def place(self) -> int:
        """0: running or finished; n: n-th in the queue."""
        return self.engine.place(self)

    def wait(self, timeout: float | None = None) -> bool:
        """True when it finished within `timeout` seconds."""
        return self._finished.wait(timeout)

    def finish(self, state: State) -> None:
        self.state = state
        self._finished.set()


class Engine:
    """Runs jobs one at a time on one long-lived thread, the only one that imports torch; what a job does in threads of its own ends with it.

    Interactive jobs go first in, first out, the owners taking turns; background jobs run when none waits and give way between
    their passes, but not to a job whose models do not fit in memory beside theirs: that one waits for their end. `is_alive(owner)` tells whether an owner's session still exists; a job whose last owner has been gone for
    `grace_seconds` is cancelled, unless it is a background job. A hidden browser tab is alive.
    """

    def __init__(
        self,
        is_alive: Callable[[str], bool] = lambda owner: True,
        grace_seconds: float = 10.0,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._is_alive, self._grace_seconds = is_alive, grace_seconds
        self._condition = threading.Condition(threading.RLock())
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        """the job on the thread, and the interactive one inside it when it is a background job"""
        self._to_warm: Specs | None = None
        self._served: dict[str, int] = {}
        """owner -> number of the start at which it was last served"""
        self._starts = itertools.count(1)
        self._numbers = itertools.count(1)
        self._cache = _Cache(cache_bytes)
        self._swept = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="candor-compute", daemon=True)
        self._thread.start()

    def submit(
        self, kind: str, specs: Specs, request: Request, owner: str, background: bool = False, after: Job | None = None
    ) -> Job:
        """The job for this request: a finished one when the result is known, a shared one when somebody already asked, else a new one.

        It goes on where `after`, a cancelled job of the same request to the same files, was stopped, where its analysis can do that.
        """
        try:
            signatures = specs.map(checkpoints.key)
        except Refused as refused:
            job = Job((kind, specs, ("", ""), request), self, next(self._numbers), error=str(refused))
            job.finish("failed")
            return job
        key = (kind, specs, (signatures.base, signatures.tuned), request)
        with self._condition:
            job = self._known(key) or self._new(key, after.snapshot if after is not None and after.key == key else None)
            job.owners[owner] = Owner(background)
            return job

    def _known(self, key: Key) -> Job | None:
        for job in [*self._running, *self._waiting]:
            if job.key == key and not job.cancelled.is_set():
                return job
        known = self._cache.get(key)
        if known is None:
            return None
        job = Job(key, self, next(self._numbers), fraction=1.0, result=known.result, seconds=known.seconds)
        job.finish("done")
        return job

    def _new(self, key: Key, former: Any) -> Job:
        job = Job(key, self, next(self._numbers), snapshot=former, former=former)
        self._waiting.append(job)
        self._condition.notify_all()
        return job

    def release(self, job: Job, owner: str) -> None:
        """This owner no longer wants the job; it is cancelled when nobody else does."""
        with self._condition:
            job.owners.pop(owner, None)
            if not job.owners:
                self._cancel(job)

    def _cancel(self, job: Job) -> None:
        job.cancelled.set()
        if job in self._waiting:
            self._waiting.remove(job)
            job.finish("cancelled")

    def warm(self, specs: Specs) -> None:
        """Import torch and load these models as soon as nothing else is to do; only the latest wish counts."""
        with self._condition:
            self._to_warm = specs
            self._condition.notify_all()

    def jobs(self) -> list[Job]:
        """All that run or wait, in the order in which they will be done."""
        with self._condition:
            return [*self._running, *self._line()]

    def place(self, job: Job) -> int:
        with self._condition:
            return self._line().index(job) + 1 if job in self._waiting else 0

    def stop(self) -> None:
        """Cancel everything and end the thread."""
        with self._condition:
            self._stopping = True
            for job in [*self._running, *self._waiting]:
                self._cancel(job)
            self._condition.notify_all()
        self._thread.join()

    def _line(self) -> list[Job]:
        """Waiting jobs in the order of their start: interactive first; within a class the owners take turns, the longest unserved first."""
        turns: dict[tuple[bool, str], int] = {}
        places = {}
        for job in sorted(self._waiting, key=lambda job: job.number):
            background, best = job.background, (len(self._waiting), 0)
            for owner in job.owners:
                turn = turns[background, owner] = turns.get((background, owner), 0) + 1
                best = min(best, (turn, self._served.get(owner, 0)))
            places[job.number] = (background, *best, job.number)
        return sorted(self._waiting, key=lambda job: places[job.number])

    def _work(self) -> None:
        while True:
            with self._condition:
                while not (self._waiting or self._to_warm or self._stopping):
                    self._condition.wait()
                if self._stopping:
                    return
                job = self._take() if self._waiting else None
                specs = None if job else self._to_warm
                self._to_warm = self._to_warm if job else None
            if job:
                self._run(job)
            elif specs:
                self._warm(specs)

    def _take(self, interactive: bool = False, but_about: Set[str] = frozenset()) -> Job | None:
        """The next job, off the queue; None when there is none (or only background ones, if `interactive`, or about these models)."""
        line = [job for job in self._line() if not (interactive and (job.background or job.needs_room))]
        line = [job for job in line if not any(spec.id in but_about for spec in job.specs.sides)]
        if not line:
            return None
        job = line[0]
        self._waiting.remove(job)
        self._running.append(job)
        for owner in job.owners:
            self._served.pop(owner, None)
            self._served[owner] = next(self._starts)
        for owner in list(self._served)[:-REMEMBERED]:
            del self._served[owner]
        job.state = "running"
        return job

    def _run(self, job: Job) -> None:
        report, outcome, start = _JobReport(self, job), _Outcome(), time.monotonic()
        with outcome:
            job.result = analyses.execute(job.kind, job.specs, job.request, report)
        if outcome.state == "done":
            job.fraction, job.seconds = 1.0, time.monotonic() - start
            for kind, request, result, seconds in analyses.parts(job.request, job.result):
                self._cache.put((kind, *job.key[1:3], request), _Done(result, seconds))
            self._cache.put(job.key, _Done(job.result, job.seconds))
        with self._condition:
            self._running.remove(job)
            if outcome.no_room and self._running and not job.cancelled.is_set():
                job.needs_room, job.state, job.fraction, job.note = True, "queued", 0.0, ""
                self._waiting.append(job)
            else:
                job.error = outcome.sentence
                job.finish(outcome.state)

    def _warm(self, specs: Specs) -> None:
        outcome = _Outcome()
        with outcome, analyses.using(specs):
            pass
        if outcome.state == "failed":
            log.warning("not loaded ahead: %s", outcome.sentence)

    def sweep(self) -> None:
        """Drops owners whose session has been gone for longer than the grace time."""
        now = time.monotonic()
        if now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now
        with self._condition:
            for job in [*self._running, *self._waiting]:
                for name, owner in list(job.owners.items()):
                    if owner.background or self._is_alive(name):
                        owner.gone_since = None
                    elif owner.gone_since is None:
                        owner.gone_since = now
                    elif now - owner.gone_since > self._grace_seconds:
                        self.release(job, name)

    def let_others_go_first(self, job: Job, same_models: bool) -> None:
        """Called between two passes of a background job: runs the interactive jobs that wait; without `same_models` only those about other models.

        Only on the compute thread: the hooks of a backward pass on a GPU run on another, which must not wait for this one.
        """
        if threading.current_thread() is not self._thread:
            return
        models = set() if same_models else {spec.id for spec in job.specs.sides}
        while job.background:
            with self._condition:
                other = self._take(interactive=True, but_about=models)
            if other is None:
                return
            self._run(other)


class _Outcome:
    """How the work inside it ended; like a Future it keeps what was raised for those who asked, and the thread goes on with the next job."""

    state: State = "done"
    sentence: str | None = None
    """why it failed, for people"""
    no_room = False
    """it failed because the models of other work take the memory just now"""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, raised: BaseException | None, traceback: TracebackType | None) -> bool:
        match raised:
            case None:
                return False
            case Cancelled():
                self.state = "cancelled"
            case Refused():
                self.state, self.sentence, self.no_room = "failed", str(raised), isinstance(raised, NoRoom)
            case Exception():
                log.error("a job failed", exc_info=raised)
                self.state = "failed"
                self.sentence = f"This went wrong inside Candor ({type(raised).__name__}); the server's log says more. Nothing else is affected."
        return isinstance(raised, Exception)


class _JobReport(Report):
    """Writes an analysis's progress into its job and reads the wish to cancel."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self._engine, self._job, self.former = engine, job, job.former

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        self._job.fraction, self._job.note = fraction, note
        if snapshot is not None:
            self._job.snapshot = snapshot

    def poll(self) -> None:
        self._engine.sweep()
        if self._job.cancelled.is_set():
            raise Cancelled

    def breathe(self, same_models: bool = True) -> None:
        self.poll()
        self._engine.let_others_go_first(self._job, same_models)


@dataclass(frozen=True)
class _Done:
    result: Any
    seconds: float


class _Cache:
    """Results up to a number of bytes, the least recently used dropped first."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._results: OrderedDict[Key, _Done] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> _Done | None:
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def put(self, key: Key, done: _Done) -> None:
        with self._lock:
            if key in self._results or result_bytes(done) > self._budget_bytes:
                return
            self._results[key] = done
            self._bytes += result_bytes(done)
            while self._bytes > self._budget_bytes:
                _, dropped = self._results.popitem(last=False)
                self._bytes -= result_bytes(dropped)


def result_bytes(value: Any) -> int:
    """Bytes of all arrays and texts inside a result, about what it takes in memory."""
    if isinstance(value, str):
        return sys.getsizeof(value)
    if isinstance(value, np.ndarray):
        return value.nbytes
    if is_dataclass(value) and not isinstance(value, type):
        return sum(result_bytes(getattr(value, one.name)) for one in fields(value))
    if isinstance(value, list | tuple):
        return sum(result_bytes(one) for one in value)
    return 0
