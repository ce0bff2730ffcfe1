"""A record's request computed once more: in a process of its own, with an empty cache; for a replay, and for the noise floor.

Called as a program it reads what to compute from its standard input and writes what it found to the standard output; how far it is
goes to the standard error, a line of JSON at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from model_utils import analyses
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.contracts.records import Difference, Record, Rerun
from model_utils.errors import Refused
from model_utils.records import chain, comparing, contents, recording
from model_utils.reporting import Part, Report

OTHER_INSTRUCTIONS = {
    "AVX512": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
"""What a processor's instructions are -> environment variables with which torch and its libraries use older ones."""
OFFLINE = {"HF_HUB_OFFLINE": "1"}
"""A record may come from elsewhere and name any model: what is not here is not downloaded."""
POLL_SECONDS = 0.1


def replay(record: Record, floor: tuple[Difference, ...] | None = None, report: Report | None = None) -> Rerun:
    """The record's request on the models that are here now, held against its noise floor where one was measured.

    Nothing is downloaded. Raises Refused where it cannot be computed here (the models are not here, do not fit, ...), Cancelled when `report.poll` does.
    """
    return _run(record, {}, floor, report or Report())


def measure_floor(record: Record, report: Report | None = None) -> Rerun:
    """How far the record moves when the same processor computes it with older instructions: rounding, and what rounding leads to.

    Raises Refused where the models do not compute on a processor with such a choice, and where the weights are others than recorded.
    """
    kinds = {opening.instructions for opening in record.openings.sides}
    if len(kinds) > 1 or not kinds <= OTHER_INSTRUCTIONS.keys():
        raise Refused(
            f"The noise floor is measured with older instructions of the same processor; these models computed on {' and '.join(sorted(kinds))}, for which Candor knows none."
        )
    found = _run(record, OTHER_INSTRUCTIONS[kinds.pop()], None, report or Report())
    others = [one for one in found.changed if "SHA-256" in one]
    if others:
        raise Refused(f"The noise floor is of the recorded models, and these are others. {others[0]}")
    return found


def _run(record: Record, variables: dict[str, str], floor: tuple[Difference, ...] | None, report: Report) -> Rerun:
    contents.check_record(record)
    paths = (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", ""))
    process = subprocess.Popen(
        [sys.executable, "-m", "model_utils.records.rerun"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **variables, **OFFLINE, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    out: list[bytes] = []
    news = _News(process.stderr)
    threads = [
        threading.Thread(
            target=_give, args=(process.stdin, chain.pack((record.analysis, record.specs, record.request)))
        ),
        threading.Thread(target=lambda stream: out.append(stream.read()), args=(process.stdout,)),
        threading.Thread(target=news.follow),
    ]
    for thread in threads:
        thread.start()
    try:
        while process.poll() is None:
            report(news.fraction, news.note)
            report.poll()
            time.sleep(POLL_SECONDS)
    finally:
        process.kill()
        process.wait()
        for thread in threads:
            thread.join()
        process.stdout.close()
        process.stderr.close()
    if process.returncode:
        raise Refused(
            news.refused or f"The process that computed it again ended with {process.returncode}: {news.last[:300]}"
        )
    opened, result, seconds = chain.unpack(out[0])
    environment = recording.environment()
    return Rerun(
        identities=opened.identities,
        openings=opened.openings,
        environment=environment,
        seconds=seconds,
        changed=comparing.changed(record, opened, environment),
        differences=comparing.compare(record.result, result),
        floor=floor,
    )


def _give(stream: IO[bytes], data: bytes) -> None:
    try:
        with stream:
            stream.write(data)
    except BrokenPipeError:
        pass  # it ended early, and its own last words say why


class _News:
    """What the other process says on its standard error."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.fraction, self.note, self.refused, self.last = 0.0, "starting a process of its own", "", ""

    def follow(self) -> None:
        for line in self._stream:
            text = line.decode("utf-8", "replace").strip()
            try:
                said = json.loads(text)
                self.fraction, self.note = float(said["fraction"]), str(said["note"])
                self.refused = str(said["refused"])
            except (ValueError, KeyError, TypeError):
                self.last = text or self.last  # a warning of some library, or a traceback


class _Telling(Report):
    def __call__(self, fraction: float, note: str, snapshot: Any = None) -> None:
        _tell(fraction, note)


def _tell(fraction: float, note: str, refused: str = "") -> None:
    print(json.dumps({"fraction": fraction, "note": note, "refused": refused}), file=sys.stderr, flush=True)


def main() -> int:
    kind, specs, request = chain.unpack(sys.stdin.buffer.read())
    report = _Telling()
    try:
        opened = analyses.execute("load_report", specs, LoadReportRequest(), Part(report, 0.0, 0.3))
        start = time.monotonic()
        result = analyses.execute(kind, specs, request, Part(report, 0.3, 0.7))
        seconds = time.monotonic() - start
        found = chain.pack((opened, result, seconds))
    except Refused as refused:
        _tell(1.0, "refused", str(refused))
        return 1
    sys.stdout.buffer.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
