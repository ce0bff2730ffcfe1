"""How a long analysis tells progress, shows partial results, and notices that it is no longer wanted."""

from __future__ import annotations

from typing import Any


class Report:
    """Given to every analysis; this one listens to nothing, which is right for a notebook and for a test."""

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        """`fraction` of the work is done (0..1), `note` says in plain words what is being done, `snapshot` is a partial result."""

    def poll(self) -> None:
        """Raises Cancelled when nobody wants the result; cheap enough for every layer of every pass."""

    def breathe(self, same_models: bool = True) -> None:
        """Polls, and lets interactive jobs go first if this is a background job: they run inside this call.

        With `same_models=False` only jobs about other models, because these are on their way.
        """
        self.poll()
