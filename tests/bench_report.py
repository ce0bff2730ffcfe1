"""The bench of the report: how large the page of a session of 50 records is, and how long it takes."""

from __future__ import annotations

import time

from dashboard import report as reports
from model_utils.bench import Figure, scratch
from model_utils.contracts.records import Record
from model_utils.records import chain, recording, sessions
from model_utils.records.store import Store
from tests import results
from tests.recorded import record

RECORDS, WORDS = 50, 96
FIXED, TIMES = 6_000_000, 1.4
"""The page may have so many bytes, and so many for each byte of the records."""


def report(smoke: bool) -> list[Figure]:
    """A session of records of every kind, of answers of `WORDS` tokens."""
    with scratch() as folder:
        store = Store(f"sqlite:///{folder / 'records.db'}")
        session = sessions.start(store, "bench")
        kinds = _records(8 if smoke else WORDS)
        for number in range(len(kinds) if smoke else RECORDS):
            recording.keep(store, session, kinds[number % len(kinds)])
        seconds, page = [], ""
        for _ in range(1 if smoke else 3):
            start = time.perf_counter()
            page = reports.html(store, session)
            seconds.append(time.perf_counter() - start)
        stored = sum(len(chain.unfold(one.content)) for one in store.entries(session) if one.content)
    allowed = FIXED + TIMES * stored
    return [
        Figure(f"bytes of the page, of 6 MB + 1.4 x {stored / 1e6:.1f} MB of records", (len(page.encode()) / allowed,), 1.0, "x"),
        Figure(f"report of {RECORDS} records", tuple(seconds), 5.0),
    ]  # fmt: skip


def _records(words: int) -> list[Record]:
    """One of each analysis; those of texts over a prompt and an answer of so many words."""
    answer = tuple(f" word{number}" for number in range(words))
    text = results.sequence(answer=answer)
    surveyed = [results.surveyed(f"Instruction {number}", 0.2 + number % 5 / 10) for number in range(words)]
    large = {
        "generation": results.generation(answer, answer),
        "shift": results.shift(answer, answer),
        "survey": results.survey(*surveyed),
        "attention": results.attention(text=text),
        "atlas": results.atlas(text=text),
        "ablation": results.ablation(text=text),
        "attribution": results.attribution(targets=tuple(range(words)), text=text),
    }
    small = ("load_report", "faithfulness", "density", "agreement", "randomisation")
    return [*(record(kind, result=one) for kind, one in large.items()), *map(record, small)]
