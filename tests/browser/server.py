"""Starts the dashboard as `make run` does, on a free loopback port, and stops it with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    url: str
    """http://127.0.0.1:PORT, without a slash at the end"""
    pid: int
    """the streamlit process, which leads a process group of its own"""
    log: Path
    """its standard output and error"""
    started: float
    """time.monotonic() just before it was started"""


@contextmanager
def serve(
    log: Path,
    environment: Mapping[str, str] | None = None,
    script: str | Path = "dashboard/app.py",
    arguments: tuple[str, ...] = (),
    wait: bool = True,
) -> Iterator[Server]:
    """A server of its own process group; yielded when `/_stcore/health` answers, or at once with `wait=False`.

    Not `python -m streamlit`, which would put the repository root on the path and hide that app.py must do it.
    """
    port = free_port()
    streamlit = Path(sys.executable).with_name("streamlit")
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "HF_HUB_OFFLINE")}
    folders = os.pathsep.join([tempfile.gettempdir(), str(ROOT)])
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    started = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [streamlit, "run", script, *options, *(["--", *arguments] if arguments else [])],
            cwd=ROOT,
            env={**inherited, "HF_HUB_DISABLE_TELEMETRY": "1", "CANDOR_MODELS": folders, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", process.pid, log, started)
    try:
        if wait:
            _wait_for_health(server, process)
        yield server
    finally:
        _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_health(server: Server, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(server.url + "/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(
        f"The server did not become healthy in {seconds} s (exit status {process.poll()}); its output ends with:\n"
        + server.log.read_text(errors="replace")[-3000:]
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    process.wait(timeout=5)
