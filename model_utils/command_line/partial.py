"""A long run that can be stopped and gone on from: what it has found so far lies in a file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from model_utils import analyses, checkpoints, codec
from model_utils.command_line.showing import say
from model_utils.contracts.common import Request, Specs
from model_utils.contracts.probe import Partial
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.reporting import Report

EVERY_SECONDS = 5.0
"""Between two writings; an interrupted run writes once more."""


def read(path: Path, kind: str) -> Partial:
    """What a file holds; Refused where that is no beginning of such a probe."""
    try:
        found = codec.decode(path.read_bytes())
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}).") from error
    analysis = analyses.ANALYSES[kind]
    if (
        not isinstance(found, Partial)
        or found.analysis != kind
        or not isinstance(found.request, analysis.request)
        or not isinstance(found.result, analysis.result)
    ):
        raise Refused(
            f"{path} holds no partial result of {kind}; name a file that is not there yet, or one that such a run wrote."
        )
    return found


class PartialFile(Report):
    """Given to one analysis: begins from what the file holds, and keeps in it what there is. It goes when the analysis ends whole."""

    def __init__(self, path: Path, kind: str, specs: Specs, request: Request) -> None:
        """Refused where the file holds something else than a beginning of this very run."""
        self._path, self._kind, self._specs, self._request = path, kind, specs, request
        self._snapshot: Any = None
        self._signatures: Pair[str] | None = None
        self._written = time.monotonic()
        if path.exists():
            self.former = self._snapshot = self._read()
            say(f"goes on after {self.former.done:,} items of {path}", err=True)

    def _read(self) -> Any:
        found = read(self._path, self._kind)
        if (found.specs, found.request) != (self._specs, self._request):
            raise Refused(
                f"{self._path} holds a partial result of other models or of another request; name another file."
            )
        if found.signatures != self._specs.map(checkpoints.key):
            raise Refused(
                f"The models' files changed since {self._path} was written, so that it cannot be gone on from; name another file."
            )
        return found.result

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        if self._signatures is None:  # the models are loaded by now, a downloaded one lies here
            self._signatures = self._specs.map(checkpoints.key)
        if snapshot is not None:
            self._snapshot = snapshot
            if time.monotonic() - self._written > EVERY_SECONDS:
                self._write()

    def _write(self) -> None:
        """Whole or not at all."""
        kept = Partial(self._kind, self._specs, self._signatures, self._request, self._snapshot)  # type: ignore[arg-type]
        half = self._path.with_name(self._path.name + ".half")
        half.write_bytes(codec.encode_bytes(kept))
        os.replace(half, self._path)
        self._written = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._path.unlink(missing_ok=True)
        elif self._snapshot is not None and self._signatures is not None:
            self._write()
            say(f"kept {self._snapshot.done:,} items in {self._path}; the same command goes on from there", err=True)
