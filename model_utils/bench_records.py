"""The bench of the records: appending, listing and verifying, against the bare work on the same bytes."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from model_utils.bench import Figure, scratch
from model_utils.contracts.attention import Attention, AttentionRequest
from model_utils.contracts.common import Encoded, ModelFacts, ModelSpec, ask
from model_utils.contracts.load_report import Identity, Opening
from model_utils.contracts.records import Opened, Record
from model_utils.pair import Pair
from model_utils.records import chain, recording
from model_utils.records.store import Store

RECORDS, BYTES = 10_000, 200_000
"""How many, and about how large the canonical JSON of each is."""
DIGITS = 11
"""Characters that one float32 takes there, with what parts it from the next."""
BARE = "CREATE TABLE entry (number INTEGER PRIMARY KEY, salt BLOB, content BLOB)"


def records(smoke: bool) -> list[Figure]:
    """A session of records of 200 kB, on SQLite."""
    with scratch() as folder:
        return _figures(folder, 40 if smoke else RECORDS)


def _figures(folder: Path, count: int) -> list[Figure]:
    store, bare = Store(f"sqlite:///{folder / 'records.db'}"), _bare(folder)
    session, contents = store.open(Opened("bench")), [_content(seed) for seed in range(16)]
    texts = [chain.unfold(chain.pack(one)) for one in contents]
    assert all(0.9 * BYTES < len(text) < 1.1 * BYTES for text in texts), f"{len(texts[0])} bytes, wanted {BYTES}"
    ratios = []
    for number in range(count):
        one, text = contents[number % len(contents)], texts[number % len(texts)]
        ours = _seconds(lambda: store.append(session, "record", one))  # noqa: B023, called at once
        theirs = _seconds(lambda: _insert(bare, number, text))  # noqa: B023
        ratios.append(ours / theirs)
    listed = tuple(_seconds(lambda: store.listed(session)) for _ in range(5))
    pairs = [(_seconds(lambda: store.verify(session)), _seconds(lambda: _hashed(bare))) for _ in range(3)]
    assert not store.verify(session).problem
    return [
        Figure("append, against zlib and a bare INSERT with commit", tuple(ratios), 3.0, "x"),
        Figure(f"list {count:,} records", listed, 0.3),
        Figure(f"verify {count:,} records, against reading and hashing", tuple(a / b for a, b in pairs), 3.0, "x"),
    ]


def _content(seed: int) -> Record:
    """Attention maps of one head, of both models."""
    drawn = np.random.default_rng(seed).normal(size=(2, 1, 1, BYTES // 2 // DIGITS)).astype(np.float32)
    tokens = np.zeros(0, dtype=np.int64)
    text = Encoded("", tokens, tokens.reshape(0, 2), tokens.astype(np.uint8), tokens.astype(bool), ())
    facts = ModelFacts("demo/base", "LlamaForCausalLM", 3_700_000, 4, 4, 512, 4_096, "float32")
    identity = Identity("embedded", "", None, "", "", None, None, 0, 0)
    opening = Opening("float32", "", "cpu", "", "sdpa", 1, "", "", "", 0)
    return Record(
        analysis="attention",
        specs=Pair(ModelSpec(id="demo/base"), ModelSpec(id="demo/tuned")),
        identities=Pair(identity, identity),
        openings=Pair(opening, opening),
        environment=recording.environment(),
        request=AttentionRequest(messages=ask("What is the capital of Austria?")),
        prompt_salt="",
        prompt_hash="",
        result=Attention(Pair(facts, facts), Pair(text, text), True, 0, Pair(drawn[0], drawn[1])),
        seconds=0.0,
    )


def _bare(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", BARE):
        connection.execute(line)
    return connection


def _insert(connection: sqlite3.Connection, number: int, text: bytes) -> None:
    row = number, secrets.token_bytes(chain.SALT_BYTES), zlib.compress(text, chain.LEVEL)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO entry VALUES (?, ?, ?)", row)
    connection.execute("COMMIT")


def _hashed(connection: sqlite3.Connection) -> None:
    for salt, content in connection.execute("SELECT salt, content FROM entry ORDER BY number"):
        hashlib.sha256(salt + content).hexdigest()


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
