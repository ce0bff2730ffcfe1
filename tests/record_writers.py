"""What processes of their own do to a store of records until they are killed, stopped by a full disk, or done.

`python -m tests.record_writers tests/data/records-NNNN.db` writes the example session with the newest schema, to be kept: files of
earlier releases must stay readable.
"""

from __future__ import annotations

import os
import random
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_utils.contracts.records import Difference, Erased, Note
from model_utils.errors import Refused
from model_utils.records import recording, sessions
from model_utils.records.store import Store
from tests import results


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


def example(store: Store) -> str:
    """A session with an entry of every kind, and something erased; its id."""
    session = sessions.start(store, "Loans", "who gets one", "finance", ["Ada", "Béla"])
    number = recording.keep(store, session, results.record()).number
    apart = Difference("tensor_norms", 0.5, 2.0)
    sessions.note(store, session, None, "Ada", "漢字 🎉")
    erased = sessions.note(store, session, number, "Ada", "to be erased").number
    sessions.tag(store, session, number, "Ada", ["first", "second"])
    sessions.judge(store, session, number, "Béla", "concern", "look again")
    sessions.add_rerun(store, session, number, results.rerun(apart), "floor")
    sessions.add_rerun(store, session, number, results.rerun(apart, floor=(apart,)), "replay")
    store.erase(session, [erased], Erased("Ada", "asked to"))
    sessions.close(store, session, "Ada")
    return session


if __name__ == "__main__":
    kept = Store(f"sqlite:///{sys.argv[1]}")
    print(kept.verify(example(kept)))
    kept.close()
