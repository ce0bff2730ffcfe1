"""Results of the command line go into a session, and what the session holds already is found again."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from model_utils import analyses
from model_utils.contracts.common import Request, Specs
from model_utils.contracts.load_report import LoadReport, LoadReportRequest
from model_utils.errors import Refused
from model_utils.records import contents, recording, rerun, sessions
from model_utils.records.store import Store


class Keeper:
    """Keeps the results of one run."""

    def __init__(self, begin: str, floor: bool) -> None:
        """`begin` is a session's id, the beginning of one, or a title; Refused where there is no such open session."""
        self.store = Store()
        self.session = sessions.find(self.store, begin)
        if sessions.overview(self.session, self.store.listed(self.session)).closed:
            raise Refused("This session is closed, and nothing more is recorded in it; open another one.")
        self._floor = floor
        self._opened: dict[Specs, LoadReport] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.store.close()

    def opened(self, specs: Specs) -> LoadReport:
        """What these models are: read once in a run."""
        if specs not in self._opened:
            self._opened[specs] = analyses.execute("load_report", specs, LoadReportRequest())
        return self._opened[specs]

    def find(self, kind: str, specs: Specs, request: Request) -> int | None:
        """The entry that holds this request of these very weights; None: there is none."""
        key = contents.key(kind, specs, request, self.opened(specs).identities)
        return next(iter(self.store.labelled(self.session, contents.KEY, key)), None)

    def result(self, number: int) -> Any:
        return sessions.record_of(self.store, self.session, number).result

    def keep(self, kind: str, specs: Specs, request: Request, result: Any, seconds: float) -> int:
        """The number of the entry that holds it now."""
        opened = result if isinstance(result, LoadReport) else self.opened(specs)
        record = recording.make(kind, specs, request, result, opened, seconds)
        return recording.keep(self.store, self.session, record).number

    def add_floor(self, number: int) -> None:
        """Measures the record's noise floor where that is wanted and was not done before."""
        if not self._floor:
            return
        kept = sessions.overview(self.session, self.store.listed(self.session)).record(number)
        if kept.floor is None:
            record = sessions.record_of(self.store, self.session, number)
            sessions.add_rerun(self.store, self.session, number, rerun.measure_floor(record), "floor")
