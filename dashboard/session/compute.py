"""The one engine of the process, and a visitor's hold on its jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from model_utils import catalogue
from model_utils.contracts.common import Request, Specs
from model_utils.engine import Engine
from model_utils.engine import Job as Job


@dataclass(eq=False)
class Held:
    """This visitor's hold on a job. Others may follow the same job, so that stopping it here need not stop it there."""

    job: Job
    stopped: bool = False
    partial: Any = None
    """what was there when this visitor stopped it"""
    begun: tuple[float, float] | None = None
    """(monotonic seconds, share that was done) when the first of a list was seen to be done"""

    @property
    def state(self) -> str:
        return "cancelled" if self.stopped else self.job.state

    @property
    def over(self) -> bool:
        return self.stopped or self.job.finished

    @property
    def result(self) -> Any:
        """The whole result, or None."""
        return None if self.stopped else self.job.result

    @property
    def shown(self) -> Any:
        """The best there is to look at: the result, else what came so far."""
        return self.partial if self.stopped else (self.job.result if self.job.result is not None else self.job.snapshot)

    def seconds_left(self) -> float | None:
        """Until a list is done, if it goes on as since something of it was first seen to be done; None: not known yet."""
        now, done = time.monotonic(), self.job.fraction
        if (
            self.job.snapshot is None or self.job.snapshot is self.job.former
        ):  # models are loaded first, with a progress of their own
            return None
        self.begun = self.begun or (now, done)
        since, before = self.begun
        return (1 - done) * (now - since) / (done - before) if done > before else None


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """One for the whole process."""
    return Engine(is_alive=is_alive)


@st.cache_resource(show_spinner=False)
def load_ahead() -> None:
    """Once in the life of the process, after the first page was drawn: importing torch at the same time would slow that page."""
    engine().warm(catalogue.DEFAULT)


def is_alive(owner: str) -> bool:
    """Whether a browser tab still holds this session; a hidden one does, however rarely its timers fire."""
    return not Runtime.exists() or Runtime.instance().is_active_session(owner)


def owner() -> str:
    context = get_script_run_ctx()
    assert context is not None, "a visitor is asked for outside a page"
    return context.session_id


def hold(kind: str, specs: Specs, request: Request, background: bool = False, after: Held | None = None) -> Held:
    """This visitor's hold on a job for this request: the one on its way, or done, where there is one; a new one goes on where `after` was stopped."""
    former = None if after is None else after.job
    return Held(engine().submit(kind, specs, request, owner(), background=background, after=former))


def let_go(held: Held) -> None:
    """This visitor follows the job no longer."""
    engine().release(held.job, owner())


def stop(held: Held) -> None:
    """The same, and what is there stays to be looked at."""
    held.partial, held.stopped = held.job.snapshot, True
    let_go(held)


def busy() -> bool:
    """Whether a job is running; when none is and one waits, the models are still being loaded."""
    return any(job.state == "running" for job in engine().jobs())


def background_jobs() -> Iterable[Job]:
    return [job for job in engine().jobs() if job.background]
