"""What processes of their own do to a store of records until they are killed, stopped by a full disk, or done."""

from __future__ import annotations

import os
import random
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_utils.contracts.records import Note
from model_utils.errors import Refused
from model_utils.records.store import Store


def write(url: str, session: str, acknowledged: str) -> None:
    """Until it is killed; what was acknowledged is written down first."""
    here = Store(url)
    with Path(acknowledged).open("ab", buffering=0) as told:
        for number in range(10_000):
            entry = here.append(session, "note", Note("child", f"{number} " + "x" * random.randrange(2_000)))
            told.write(f"{entry.hash}\n".encode())


def fill(url: str, session: str, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    here, count = Store(url), 0
    try:
        while True:
            here.append(session, "note", Note("child", os.urandom(20_000).hex()))
            count += 1
    except Refused as refused:
        os._exit(7 if "disk is full" in str(refused) and count else 1)


def append_many(url: str, session: str, count: int) -> None:
    here = Store(url)
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda number: here.append(session, "note", Note("child", str(number))), range(count)))
