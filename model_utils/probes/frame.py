"""The way of every probe through its items: in chunks, with progress and partial results, each side in its own format."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from model_utils import generation
from model_utils.contracts.common import Encoded, Formats, ask
from model_utils.contracts.probe import ProbeItem
from model_utils.errors import Cancelled, Refused
from model_utils.loading import CORES, SMALL, LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.reporting import Beside, Part, Report

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64
"""Items whose texts are read together by small models."""
SHORT_CHUNK = 16
"""By others, which take longer over each: what is shown so far, and kept of a stopped run, is whole chunks."""
SNAPSHOT_SECONDS = 1.0
POLL_SECONDS = 0.02
ITEMS_SHARE = 0.9
"""Share of the progress that is given to the items; the rest is for what is concluded from them."""


def chunks(
    pair: Pair[LanguageModel], count: int, done: int, report: Report, snapshot: Callable[[], Any]
) -> Iterator[range]:
    """Ranges of items from the first that is not done; after each, how far it is and, about once a second, what there is so far."""
    shown = time.monotonic()
    size = CHUNK if all(model.facts.parameters < SMALL for model in pair.sides) else SHORT_CHUNK
    for first in range(done, count, size):
        chosen = range(first, min(first + size, count))
        yield chosen
        now, partial = time.monotonic(), None
        if now - shown > SNAPSHOT_SECONDS or chosen.stop == count:
            partial, shown = snapshot(), now
        report(ITEMS_SHARE * chosen.stop / count, f"item {chosen.stop:,} of {count:,}", partial)


class Work(Protocol[R]):
    """What a probe does item by item."""

    @property
    def done(self) -> int:
        """Items so far."""

    def take(self, former: R) -> None:
        """Goes on where a partial result ends."""

    def ask(self, numbers: range) -> None:
        """Some more items."""

    def result(self) -> R:
        """What there is so far."""


def worked(pair: Pair[LanguageModel], count: int, report: Report, work: Work[R], kind: type[R]) -> R:
    """Every item worked through, from where a partial result of this kind ends, if there is one; nothing is concluded yet."""
    if isinstance(report.former, kind):
        work.take(report.former)
    for chunk in chunks(pair, count, work.done, report, work.result):
        work.ask(chunk)
    report(0.95, "intervals and tests")
    return work.result()


class Asking:
    """Texts as the prompts of both sides."""

    def __init__(self, pair: Pair[LanguageModel], request: Formats) -> None:
        self._pair, self._request = pair, request

    def both(self, text: str) -> Pair[Encoded]:
        """Each side's prompt; Refused where one of them cannot be asked."""
        formats = self._request.formats
        if self._request.same_tokens:
            prompt = generation.encode_for_both(self._pair, ask(text), formats.tuned, "tuned", generation.NOT_SHARED)
            return Pair(prompt, prompt)
        base, tuned = self._pair.sides
        return Pair(
            generation.encode_side(base, tuned, ask(text), formats.base),
            generation.encode_side(tuned, base, ask(text), formats.tuned),
        )

    def tried(self, text: str) -> Pair[Encoded] | Refused:
        """The same, or why they cannot be asked."""
        try:
            return self.both(text)
        except Refused as refused:
            return refused

    def of(self, side: Side, text: str) -> Encoded | Refused:
        """One side's prompt, or why it cannot be asked; where both read the same tokens, what the other has no room for neither can."""
        try:
            if self._request.same_tokens:
                return self.both(text)[side]
            return generation.encode_side(
                self._pair[side], self._pair.swap()[side], ask(text), self._request.formats[side]
            )
        except Refused as refused:
            return refused


def right_option(item: ProbeItem) -> int:
    """Which option is right; -1: nobody knows, or there are none."""
    return item.options.index(item.answer) if item.options and item.answer else -1


# --- both sides at the same time --------------------------------------------------------------------------------------


def of_both(pair: Pair[LanguageModel], report: Report, work: Callable[[Side, LanguageModel, Report], T]) -> Pair[T]:
    """What `work` finds of each side: at the same time, on half of the cores each, where the models can be read at the same time."""
    if CORES < 2 or not generation.apart(pair):
        return Pair(*(work(side, pair[side], report) for side in SIDES))
    halves = pair.map(lambda model: replace(model, cores=CORES // 2))
    host = _Host(report)
    with ThreadPoolExecutor(1, "tuned-") as helper:
        tuned = host.guest = helper.submit(work, "tuned", halves.tuned, _Guest(host, pair.tuned))
        try:
            base = work("base", halves.base, host)
            while not tuned.done():
                host.breathe()
                wait([tuned], POLL_SECONDS)
            return Pair(base, tuned.result())
        finally:  # the other side stops where this one failed
            host.over.set()


class _Host(Part):
    """The report of the side that stays in the thread of the job: while it lets others go first, the other side waits; where the other side
    fails, so does this one."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.alone, self.over = threading.Event(), threading.Event()
        self.alone.set()
        self.guest: Future | None = None

    def poll(self) -> None:
        super().poll()
        if self.guest is not None and self.guest.done() and (error := self.guest.exception()) is not None:
            raise error

    def breathe(self, same_models: bool = True) -> None:
        self.poll()
        self.alone.clear()
        try:
            super().breathe(same_models)
        finally:
            self.alone.set()


class _Guest(Beside):
    """The report of the side in a thread of its own, which stops when the other has failed. It waits between its passes only: inside of one it
    holds what others may need."""

    def __init__(self, host: _Host, model: LanguageModel) -> None:
        super().__init__(host)
        self._host, self._network = host, model.network

    def poll(self) -> None:
        if self._host.over.is_set():
            raise Cancelled
        super().poll()

    def breathe(self, same_models: bool = True) -> None:
        self.poll()
        if not self._network.passes:
            self._host.alone.wait()
