"""Models of the Hub: what an earlier download left is opened without asking anybody, and each refusal of the Hub becomes one sentence.

The Hub itself is not here: a server on loopback answers with the Hub's documented errors, and huggingface_hub, the real client, reads them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from model_utils import hub

pytestmark = pytest.mark.slow


ROOT = Path(__file__).parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ERRORS = {
    "someone/missing": (404, "RepoNotFound"),
    "someone/gated": (403, "GatedRepo"),
    "someone/other": (404, "RevisionNotFound"),
    "someone/silent": (404, "RepoNotFound"),
}

OPEN = """
import sys
from model_utils import checkpoints
from model_utils.contracts.common import ModelSpec
from model_utils.errors import Refused
from model_utils.reporting import Report
try:
    found, _ = checkpoints.obtain(ModelSpec(id=sys.argv[1], revision=sys.argv[2] or None), Report())
    print(found.source, found.commit, found.folder)
except Refused as refused:
    print(refused)
"""


class Errors(BaseHTTPRequestHandler):
    """Answers every question about a repository with its documented error."""

    asked = 0
    waiting, answer = threading.Event(), threading.Event()
    """a question about someone/silent came, and waits until it may be answered"""

    def do_GET(self) -> None:
        Errors.asked += 1
        if "someone/silent" in self.path:
            Errors.waiting.set()
            Errors.answer.wait(60)
        status, code = next(error for id, error in ERRORS.items() if id in self.path)
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Errors)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def opened(id: str, home: Path, revision: str = "", **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    kept |= {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, id, revision], cwd=ROOT, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("id", "revision", "part"),
    [
        ("someone/missing", "", "There is no model 'someone/missing' on the Hub, or it is private"),
        ("someone/gated", "", "accept them at https://huggingface.co/someone/gated"),
        ("someone/other", "v9", "someone/other has no revision 'v9' on the Hub"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_sentence(endpoint: str, tmp_path: Path, id: str, revision: str, part: str):
    before = Errors.asked
    said = opened(id, tmp_path, revision, HF_ENDPOINT=endpoint)
    assert part in said and "\n" not in said
    assert Errors.asked > before


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_connection_the_sentence_says_so(tmp_path: Path, environment: dict[str, str]):
    said = opened("someone/model", tmp_path, **environment)
    assert "someone/model is not on this machine and the Hub cannot be reached" in said and "\n" not in said


def test_a_kept_model_is_opened_without_asking_anybody(endpoint: str, tiny_llama: Path, tmp_path: Path):
    repository = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(tiny_llama, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    before = Errors.asked
    said = opened("someone/tiny", tmp_path, HF_ENDPOINT=endpoint)
    assert said == f"hub {COMMIT} {repository / 'snapshots' / COMMIT}"
    assert opened("someone/tiny", tmp_path, COMMIT, HF_ENDPOINT=endpoint) == said
    assert Errors.asked == before


STOP = """
import select, sys
from model_utils import hub
from model_utils.errors import Cancelled
from model_utils.reporting import Report

class Stopped(Report):
    def poll(self):
        if select.select([sys.stdin], [], [], 0)[0]:
            raise Cancelled

try:
    hub.download("someone/silent", None, Stopped())
except Cancelled:
    print("stopped", flush=True)
"""


def test_a_stopped_download_does_not_wait_for_a_silent_hub(endpoint: str, tmp_path: Path):
    """Neither does the end of the process, which waits for every thread of an executor."""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint}
    process = subprocess.Popen(
        [sys.executable, "-c", STOP],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert Errors.waiting.wait(60)
        assert process.communicate("stop", timeout=50)[0] == "stopped\n" and process.returncode == 0
    finally:
        Errors.answer.set()
        process.kill()


def test_a_download_that_was_stopped_is_not_taken_for_the_model(tiny_llama: Path, tmp_path: Path):
    snapshot = tmp_path / "hub" / "models--someone--tiny" / "snapshots" / COMMIT
    shutil.copytree(tiny_llama, snapshot)
    (snapshot / "model.safetensors").unlink()
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    assert "cannot be reached" in opened("someone/tiny", tmp_path, HF_HUB_OFFLINE="1")


@pytest.mark.parametrize("name", ["owner/name", "HuggingFaceTB/SmolLM2-135M-Instruct", "a/b.c_d-e"])
def test_names_of_the_hub(name: str):
    assert hub.is_id(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "name",
        "a/b/c",
        "../model",
        "a/..",
        "owner/na me",
        "/abs/path",
        "a\0b/c",
        "é/x",
        "a--b/c",
        "-a/b",
        "x" * 99 + "/y",
    ],
)
def test_what_can_be_no_name_of_the_hub(name: str):
    assert not hub.is_id(name)
