"""What blind judgements came to: whose answers are preferred, whether the place decided, whether those who judged agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from model_utils.contracts.probe import LEVEL, rounded_up
from model_utils.contracts.records import Preference
from model_utils.pair import Pair

Counted = Literal["yes", "again", "not comparable"]
"""Whether a judgement counts; 'again': its author had judged the same answers before, and knew by then whose they are; 'not comparable': its answers were erased, are not in
the record, are word for word the same, or stand in an earlier record too."""


@dataclass(frozen=True)
class Share:
    """How often one of two was chosen, of the times that either was."""

    chosen: int
    of: int
    low: float
    high: float
    """0 to 1; 95 % interval of the share (Wilson 1927); NaN where `of` is 0"""
    p: float
    """two-sided, of the exact binomial test that either is as likely; stricter than the interval where `of` is small; NaN where `of` is 0"""
    needed: float
    """as many judgements like these would probably settle it: an estimate; NaN where it is decided, or none would"""

    @property
    def share(self) -> float:
        """0 to 1; NaN where `of` is 0"""
        return self.chosen / self.of if self.of else math.nan

    @property
    def decided(self) -> bool:
        return self.p <= LEVEL

    def numbers(self) -> str:
        """The share, its interval and p; of one that is known."""
        p = f"p = {self.p:.2g}" if self.p >= 0.001 else "p < 0.001"
        return f"{100 * self.share:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}], {p}"

    def more(self) -> str:
        """How many judgements would decide it, as the end of a sentence; empty: nothing can be said."""
        if not math.isfinite(self.needed):
            return ""
        return f"; about {rounded_up(self.needed):,} judgements like these would probably settle it"


@dataclass(frozen=True)
class Compared:
    """Two models whose answers were judged; each two answers count once, as most of those who preferred one of them chose."""

    models: Pair[str]
    """names"""
    weights: Pair[str]
    """SHA-256, hexadecimal"""
    wins: Pair[int]
    """answers of each side that were preferred"""
    equal: int
    """times that both were equally good"""
    both_bad: int
    divided: int
    """times that as many preferred the one as the other"""
    tuned: Share
    """how often it was the tuned model's answer that was preferred"""

    @property
    def judged(self) -> int:
        """How many times two answers were judged."""
        return sum(self.wins.sides) + self.equal + self.both_bad + self.divided

    def said(self) -> str:
        """Which model is preferred and how sure that is, in plain sentences."""
        named = ((self.equal, "equally good"), (self.both_bad, "both bad"), (self.divided, "as many for the one as for the other"))  # fmt: skip
        neither = ", ".join(f"{count:,} {what}" for count, what in named if count)
        names = f"{self.models.tuned} (tuned) and {self.models.base} (base)"
        if not self.tuned.of:
            return f"Of {names}, neither was preferred in any of {self.judged:,} judged: {neither}."
        counts = f"tuned was preferred {self.tuned.chosen:,} of the {self.tuned.of:,} times that one was ({self.tuned.numbers()})"
        counts += f"; {neither}" if neither else ""
        if not self.tuned.decided:
            return f"Undecided between {names}: {counts}{self.tuned.more()}."
        return f"{'Tuned' if self.tuned.share > 0.5 else 'Base'} is preferred, of {names}: {counts}."


@dataclass(frozen=True)
class Agreement:
    """How far those agree who judged the same answers: tuned, base, or neither."""

    answers: int
    """how many times two answers were judged by more than one"""
    share: float
    """0 to 1; of two who judged the same answers, how often both chose alike; NaN where nobody did"""
    alpha: float
    """1: always alike; 0: as by chance; Krippendorff's alpha for nominal values (2004, section 11.3); NaN where chance alone would do as well"""

    def said(self) -> str:
        """As a sentence; empty where no two judged the same."""
        if not self.answers:
            return ""
        alpha = f" (Krippendorff's alpha {self.alpha:.2f})" if math.isfinite(self.alpha) else ""
        return f"Those who judged the same answers, {self.answers:,} times, chose alike in {100 * self.share:.0f} %{alpha}."


@dataclass(frozen=True)
class Judged:
    """One judgement and whether it counts."""

    entry: int
    record: int
    """entry of the record that it is about"""
    preference: Preference
    counted: Counted


@dataclass(frozen=True)
class Preferences:
    """What the blind judgements of a session came to."""

    compared: tuple[Compared, ...]
    """one for each two models of whom answers were judged"""
    position: Share
    """how often it was the left answer that was preferred"""
    agreement: Agreement
    judged: tuple[Judged, ...]
    """in the order in which they were made"""
    comparable: int
    """how many times there are two answers to judge"""
    same: int
    """times that both answers are word for word the same, which nobody is asked about"""
    repeated: int
    """times that the same answers stand in an earlier record too, which nobody is asked about"""

    @property
    def counted(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.judged if one.counted == "yes")

    @property
    def authors(self) -> tuple[str, ...]:
        """Whose judgements count."""
        return tuple(dict.fromkeys(one.preference.author for one in self.counted))

    def said(self) -> list[str]:
        """What was found, how sure, and what was left out, in plain sentences; what matters most first."""
        return [one for one in self._said() if one]

    def _said(self) -> Iterator[str]:
        if not self.counted:
            yield "No answers were judged blind."
        else:
            yield from (one.said() for one in self.compared)
            yield self._position()
            yield self.agreement.said()
        yield self._times(self.same, "both answers are word for word the same, and nobody was asked")
        yield self._times(self.repeated, "the same answers stand in an earlier record too, and nobody was asked again")
        counts = [one.counted for one in self.judged]
        yield self._times(counts.count("again"), "somebody judged the same answers again: the first judgement counts, because the later one was not blind any more")  # fmt: skip
        yield self._times(counts.count("not comparable"), "a judgement was left out, because its answers are not there to be compared")  # fmt: skip

    @staticmethod
    def _times(count: int, what: str) -> str:
        return f"{'Once' if count == 1 else f'{count:,} times'} {what}." if count else ""

    def _position(self) -> str:
        """Whether the place decided: whose answer stands there was drawn anew for each judgement, so that by itself it decides nothing."""
        one = self.position
        if not one.of:
            return ""
        counts = f"the left answer was preferred {one.chosen:,} of the {one.of:,} times that one was ({one.numbers()})"
        if one.decided:
            return f"The place decided too: {counts}, though it was drawn at random whose stands there."
        return f"Nothing shows that the place decided: {counts}{one.more()}."

    def plain(self) -> dict[str, Any]:
        """All of it, for JSON: what is not known is None; with `said`."""
        return {**_plain(asdict(self)), "said": self.said()}

    def table(self) -> pd.DataFrame:
        """A row for each judgement: entry, record, item, author, left, preferred, winner, counted, seconds, reason."""
        rows = [
            {
                "entry": one.entry,
                "record": one.record,
                "item": "" if one.preference.item is None else str(one.preference.item),
                "author": one.preference.author,
                "left": one.preference.left,
                "preferred": one.preference.preferred,
                "winner": one.preference.winner or "neither",
                "counted": one.counted,
                "seconds": math.nan if one.preference.seconds is None else one.preference.seconds,
                "reason": one.preference.reason,
            }
            for one in self.judged
        ]
        return pd.DataFrame(rows)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
