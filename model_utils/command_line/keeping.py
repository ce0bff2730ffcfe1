"""Results of the command line go into a session, and what the session holds already is found again."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from model_utils import analyses, checkpoints
from model_utils.contracts.common import Request, Specs
from model_utils.contracts.load_report import LoadReport, LoadReportRequest
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.records import contents, recording, rerun, sessions
from model_utils.records.store import Store
from model_utils.reporting import Report


class Keeper:
    """Keeps the results of one run, each under the hashes of the very files that it was computed from."""

    def __init__(self, begin: str, floor: bool, author: str) -> None:
        """`begin` is a session's id, the beginning of one, or a title; Refused where there is no such open session."""
        self.store = Store()
        self.session = sessions.find(self.store, begin)
        if sessions.overview(self.session, self.store.listed(self.session)).closed:
            raise Refused("This session is closed, and nothing more is recorded in it; open another one.")
        self._floor, self._author = floor, author
        self._signatures: dict[Specs, Pair[str]] = {}
        """of the models' files, as they were when they were identified"""
        self._opened: dict[Specs, LoadReport] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.store.close()

    def find(self, kind: str, specs: Specs, request: Request) -> tuple[int, Any] | None:
        """The entry that holds this request of these very weights, and its result; None: there is none.

        It is found by a label, which the chain does not cover: Refused where the record there is another one.
        """
        key = contents.key(kind, specs, request, self._identified(specs).identities)
        number = next(iter(self.store.labelled(self.session, contents.KEY, key)), None)
        if number is None:
            return None
        record = sessions.record_of(self.store, self.session, number)
        if contents.key(record.analysis, record.specs, record.request, record.identities) != key:
            raise Refused(
                f"Entry {number} is listed under this request of these weights, but holds another one: its label was altered; verify the session."
            )
        return number, record.result

    def compute(self, kind: str, specs: Specs, request: Request, report: Report) -> tuple[Any, float]:
        """The result, and the seconds that it took; Refused where the models' files changed since they were identified."""
        if kind == "load_report":  # it identifies them itself
            self._watch(specs)
        else:
            self._identified(specs)
        start = time.monotonic()
        result = analyses.execute(kind, specs, request, report)
        seconds = time.monotonic() - start
        self._compare(specs)
        return result, seconds

    def keep(self, kind: str, specs: Specs, request: Request, result: Any, seconds: float) -> int:
        """The number of the entry that holds now what `compute` gave."""
        opened = result if isinstance(result, LoadReport) else self._opened[specs]
        record = recording.make(kind, specs, request, result, opened, seconds, author=self._author)
        return recording.keep(self.store, self.session, record).number

    def _identified(self, specs: Specs) -> LoadReport:
        """What these models are: read once in a run, and anew after their files changed."""
        self._watch(specs)
        if specs not in self._opened:
            opened = analyses.execute("load_report", specs, LoadReportRequest())
            self._compare(specs)
            self._opened[specs] = opened
        return self._opened[specs]

    def _watch(self, specs: Specs) -> None:
        """From now on, changes of the models' files are noticed; Refused where they changed since an earlier call."""
        if specs in self._signatures:
            self._compare(specs)
            return
        with analyses.using(specs):
            pass  # a model that is downloaded first has no files to watch before
        self._signatures[specs] = specs.map(checkpoints.key)

    def _compare(self, specs: Specs) -> None:
        """Refused where the files are others than before; then they are identified anew when they are asked for next."""
        if specs.map(checkpoints.key) != self._signatures[specs]:
            del self._signatures[specs]
            self._opened.pop(specs, None)
            raise Refused("The models' files changed while this ran, and nothing was recorded of it; run it again.")

    def add_floor(self, number: int) -> None:
        """Measures the record's noise floor where that is wanted and was not done before."""
        if not self._floor:
            return
        kept = sessions.overview(self.session, self.store.listed(self.session)).record(number)
        if kept.floor is None:
            record = sessions.record_of(self.store, self.session, number)
            sessions.add_rerun(self.store, self.session, number, rerun.measure_floor(record), "floor")
