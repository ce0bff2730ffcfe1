"""Short ways to the tiny models of the tests, through the same doors that users take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_utils import analyses, codec
from model_utils.contracts.common import ModelSpec, Request, Specs
from model_utils.errors import Cancelled
from model_utils.loading import LanguageModel, ModelManager
from model_utils.pair import Pair
from model_utils.reporting import Report


def specs_of(folders: Pair[Path]) -> Specs:
    return folders.map(lambda folder: ModelSpec(id=str(folder)))


def loaded(folders: Pair[Path]) -> Pair[LanguageModel]:
    with analyses.using(specs_of(folders)) as pair:
        return pair


def opened(spec: ModelSpec) -> LanguageModel:
    """One model, loaded anew by a manager of its own."""
    with ModelManager().using(Pair(spec, spec), Report()) as pair:
        return pair.base


class Stopping(Report):
    """Cancels as soon as there is a partial result of so many items."""

    def __init__(self, done: int = 1) -> None:
        self.done, self.snapshot = done, None

    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        if snapshot is not None and snapshot.done >= self.done:
            self.snapshot = snapshot
            raise Cancelled


def stopped_and_gone_on(ask: Callable[[Report], Any], done: int, patch: pytest.MonkeyPatch) -> tuple[Any, Any, Any]:
    """What a probe had found when it was stopped after so many items, what it finds when it goes on from there, and what it finds at one go."""
    patch.setattr("model_utils.probes.frame.CHUNK", 1)
    patch.setattr("model_utils.probes.frame.SNAPSHOT_SECONDS", -1)
    stopped, resumed = Stopping(done), Report()
    with pytest.raises(Cancelled):
        ask(stopped)
    resumed.former = stopped.snapshot
    return stopped.snapshot, ask(resumed), ask(Report())


def run(kind: str, folders: Pair[Path], request: Request, report: Report | None = None) -> Any:
    return analyses.execute(kind, specs_of(folders), request, report)


def without_seconds(result: Any) -> Any:
    """The canonical JSON of a result but for the compute times, which differ from run to run."""

    def scrub(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: scrub(inner) for key, inner in value.items() if key != "seconds"}
        return [scrub(inner) for inner in value] if isinstance(value, list) else value

    return scrub(json.loads(codec.encode(result)))
