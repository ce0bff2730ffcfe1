"""Short ways to the tiny models of the tests, through the same doors that users take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_utils import analyses
from model_utils.contracts.common import ModelSpec, Request, Specs
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report


def specs_of(folders: Pair[Path]) -> Specs:
    return folders.map(lambda folder: ModelSpec(id=str(folder)))


def loaded(folders: Pair[Path]) -> Pair[LanguageModel]:
    with analyses.using(specs_of(folders)) as pair:
        return pair


def run(kind: str, folders: Pair[Path], request: Request, report: Report | None = None) -> Any:
    return analyses.execute(kind, specs_of(folders), request, report)
