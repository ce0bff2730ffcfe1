"""Records that are computed again, in a process of its own, while the page goes on."""

from __future__ import annotations

import threading
from typing import Any, Literal

import streamlit as st

from dashboard.session import keeping
from model_utils.contracts.records import Rerun
from model_utils.errors import Cancelled, Refused
from model_utils.records import rerun, sessions
from model_utils.reporting import Report

Kind = Literal["replay", "floor"]


class Running(Report):
    """One record on its way through another process; what was found is an entry of the session when it is over."""

    def __init__(self, session: str, number: int, kind: Kind) -> None:
        """`kind`: 'replay', or 'floor' for the noise floor."""
        self.session, self.number = session, number
        self.kind: Kind = kind
        self.fraction, self.note = 0.0, "starting a process of its own"
        self.found: Rerun | None = None
        self.problem: str | None = None
        self.added = False
        """whether what was found is an entry of the session"""
        self.stopped = threading.Event()
        self._store = keeping.records()
        self._thread = threading.Thread(target=self._work, name="candor-rerun", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        self.fraction, self.note = fraction, note

    def poll(self) -> None:
        if self.stopped.is_set():
            raise Cancelled

    def _work(self) -> None:
        try:
            record = sessions.record_of(self._store, self.session, self.number)
            if self.kind == "floor":
                found = rerun.measure_floor(record, self)
            else:
                found = rerun.replay(record, sessions.floor_of(self._store, self.session, self.number), self)
            self.found = found
            if not sessions.overview(self.session, self._store.listed(self.session)).closed:
                sessions.add_rerun(self._store, self.session, self.number, found, self.kind)
                self.added = True
        except Refused as refused:
            self.problem = str(refused)
        except OSError as error:
            self.problem = f"The other process could not be started ({error}); see whether memory is left."
        except Cancelled:
            self.problem = "Stopped before the end; nothing was added to the session."


def running() -> Running | None:
    """The visitor's latest."""
    return st.session_state.get("rerunning")


def start(session: str, number: int, kind: Kind) -> None:
    """One at a time: while one is on its way no other begins."""
    before = running()
    if before is None or before.over:
        st.session_state["rerunning"] = Running(session, number, kind)


def stop() -> None:
    now = running()
    if now is not None:
        now.stopped.set()
