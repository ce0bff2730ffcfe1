"""Fixtures that several test files share; the building is in builders.py."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis
import pytest

from model_utils.pair import Pair
from tests import builders

hypothesis.settings.register_profile("candor", deadline=None)  # tests are never timed
hypothesis.settings.load_profile("candor")

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks a hub
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ["CANDOR_MODELS"] = os.pathsep.join([tempfile.gettempdir(), str(Path(__file__).resolve().parent.parent)])


@pytest.fixture(scope="session", autouse=True)
def _no_record_of_the_person(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Servers that many tests share write records into a database of theirs."""
    os.environ["CANDOR_DATABASE_URL"] = f"sqlite:///{tmp_path_factory.mktemp('records') / 'records.db'}"


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a database of each test's own, in its processes too; never the one of the person who runs the tests."""
    address = f"sqlite:///{tmp_path / 'candor' / 'records.db'}"
    monkeypatch.setenv("CANDOR_DATABASE_URL", address)
    return address


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One random two-layer Llama without a chat template; do not write into its folder."""
    return builders.tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_pair(tmp_path_factory: pytest.TempPathFactory) -> Pair[Path]:
    """A random base and the same model moved a little, with a chat template; do not write into their folders."""
    return builders.tiny_pair(tmp_path_factory.mktemp("pair"))
