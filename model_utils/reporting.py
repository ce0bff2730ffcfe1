"""How a long analysis tells progress, shows partial results, and notices that it is no longer wanted."""

from __future__ import annotations

from typing import Any


class Report:
    """Given to every analysis; this one listens to nothing, which is right for a notebook and for a test."""

    former: Any = None
    """a partial result of the very same request to the very same weights, to go on from; only probes look at it"""

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        """`fraction` of the work is done (0..1), `note` says in plain words what is being done, `snapshot` is a partial result."""

    def poll(self) -> None:
        """Raises Cancelled when nobody wants the result; cheap enough for every layer of every pass."""

    def breathe(self, same_models: bool = True) -> None:
        """Polls, and lets interactive jobs go first if this is a background job: they run inside this call.

        With `same_models=False` only jobs about other models, because these are on their way.
        """
        self.poll()


class Part(Report):
    """Some steps of a longer analysis: cancelled and interrupted with it, their progress a share of its own; 0: they keep it to themselves."""

    def __init__(self, report: Report, start: float = 0.0, share: float = 0.0) -> None:
        self._report, self._start, self._share = report, start, share

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        if self._share:
            self._report(self._start + self._share * fraction, note)

    def poll(self) -> None:
        self._report.poll()

    def breathe(self, same_models: bool = True) -> None:
        self._report.breathe(same_models)


class Beside(Report):
    """For a part that runs in a thread of its own: cancelled with the analysis, it tells nothing and lets nobody in."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def poll(self) -> None:
        self._report.poll()
