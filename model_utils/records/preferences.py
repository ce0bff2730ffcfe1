"""Blind judging: which two answers are shown to whom, in which order and on which side, and what the judgements come to.

Nothing but the page hides whose an answer is: whoever can read the database can find out.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from model_utils.contracts.common import Message
from model_utils.contracts.generation import Generation, GenerationRequest
from model_utils.contracts.preferences import Agreement, Compared, Counted, Judged, Preferences, Share
from model_utils.contracts.probe import LEVEL
from model_utils.contracts.records import Choice, Entry, Preference, Record
from model_utils.contracts.survey import Survey, SurveyRequest
from model_utils.errors import Refused
from model_utils.intervals import CONFIDENCE, wilson
from model_utils.pair import Pair, Side
from model_utils.probes.statistics import POWER
from model_utils.records import contents, sessions
from model_utils.records.store import Store

ANALYSES = ("generation", "survey")
"""Whose records hold both models' answers to an instruction."""

_z = NormalDist().inv_cdf


@dataclass(frozen=True)
class Comparison:
    """Two answers to one instruction that can be judged."""

    record: int
    """entry of the record that holds them"""
    item: int | None
    """as in `Preference`"""
    messages: tuple[Message, ...]
    """what both models were asked, the instruction last"""
    answers: Pair[str]
    """what a person reads; of several samples the first"""
    models: Pair[str]
    """names"""
    weights: Pair[str]
    """SHA-256, hexadecimal"""
    salt: bytes = field(repr=False)
    """of the record's entry"""

    @property
    def key(self) -> tuple[int, int | None]:
        """(record, item)"""
        return self.record, self.item


@dataclass(frozen=True)
class Comparisons:
    """What can be judged in a session."""

    found: tuple[Comparison, ...]
    """in the order of the records and their items"""
    same: int
    """times that both answers are word for word the same"""
    repeated: int
    """times that the same models' same answers stand in an earlier record or item too: judged twice, they would count twice"""


class Given(NamedTuple):
    """A judgement as it stands in the session."""

    entry: int
    record: int
    preference: Preference


# --- what is asked ----------------------------------------------------------------------------------------------------


def comparisons(store: Store, session: str) -> Comparisons:
    """Of all records that are not erased."""
    listed = sessions.overview(session, store.listed(session)).records
    chosen = [one.number for one in listed if one.analysis in ANALYSES and not one.erased]
    return gathered(store.read(session, number) for number in chosen)


def gathered(records: Iterable[tuple[Entry, Any]]) -> Comparisons:
    """Of these entries in order, each with the record that it holds; None: erased."""
    found: dict[tuple[object, ...], Comparison] = {}
    same = repeated = 0
    for entry, content in records:
        if content is None or entry.salt is None:
            continue
        for one in _answered(entry.number, entry.salt, contents.check_record(content)):
            alike = (one.messages, one.answers, one.models, one.weights)
            if one.answers.base.strip() == one.answers.tuned.strip():
                same += 1
            elif alike in found:
                repeated += 1
            else:
                found[alike] = one
    return Comparisons(tuple(found.values()), same, repeated)


def _answered(number: int, salt: bytes, record: Record) -> Iterator[Comparison]:
    """Every two answers in a record."""
    names = record.specs.map(lambda one: one.name)
    weights = record.identities.map(lambda one: one.weights)
    request, result = record.request, record.result
    if isinstance(request, GenerationRequest) and isinstance(result, Generation):
        texts = result.answers.map(lambda one: one.text)
        yield Comparison(number, None, request.messages, texts, names, weights, salt)
    elif isinstance(request, SurveyRequest) and isinstance(result, Survey):
        before = (Message(role="system", content=request.system),) if request.system else ()
        for item, one in enumerate(result.items):
            if one.refusal is None:
                messages = (*before, Message(content=one.instruction))
                yield Comparison(number, item, messages, one.texts, names, weights, salt)


def left_side(one: Comparison, author: str) -> Side:
    """Whose answer stands left for this author: a coin that nobody can foresee, and that falls alike whenever it is tossed.

    It is the first bit of HMAC-SHA-256 over item and author, keyed with the salt of the record's entry, 16 bytes that the system drew when
    it was recorded. A side that were drawn anew at each look could be reloaded until it pleases, or change under the judge's eyes. The
    record's salt, not the session's: it is there exactly as long as there are answers to judge, and goes with them when they are erased.
    """
    return "tuned" if _drawn(one, author)[0] & 1 else "base"


def _drawn(one: Comparison, author: str) -> bytes:
    said = f"{one.item}\n{author.strip()}".encode("utf-8", "surrogatepass")
    return hmac.new(one.salt, said, hashlib.sha256).digest()


def in_order(found: Iterable[Comparison], author: str) -> list[Comparison]:
    """In an order drawn at random for this author, the same each time: whoever stops early has judged a random sample of all."""
    return sorted(found, key=lambda one: _drawn(one, author)[1:])


def prefer(
    store: Store,
    session: str,
    record: int,
    item: int | None,
    author: str,
    preferred: Choice,
    reason: str = "",
    seconds: float | None = None,
) -> Entry:
    """A judgement of the two answers at this place of a record, by somebody who saw them as `left_side` says; from now on it is theirs.

    Refused where there are no two unlike answers.
    """
    name = sessions.named(author)
    held = store.read(session, record)
    if held[1] is None:
        raise Refused(f"The content of entry {record} was erased, so that nobody can judge its answers any more.")
    found = gathered([held])
    one = next((one for one in found.found if one.item == item), None)
    if one is None:
        where = "" if item is None else f" as item {item}"
        raise Refused(f"Entry {record} holds no two unlike answers{where} that could be judged.")
    content = Preference(name, left_side(one, name), preferred, item, reason.strip(), seconds)
    return store.append(session, "preference", content, record)


# --- what it comes to -------------------------------------------------------------------------------------------------


def given(store: Store, session: str) -> list[Given]:
    """Every judgement of a session that was not erased, in order."""
    return [
        Given(entry.number, entry.about, content)
        for entry, content in store.of_kind(session, "preference")
        if entry.about is not None and isinstance(content, Preference)
    ]


def preferences(store: Store, session: str) -> Preferences:
    """What the blind judgements of a session came to."""
    return concluded(comparisons(store, session), given(store, session))


def concluded(asked: Comparisons, judgements: Sequence[Given]) -> Preferences:
    """What these judgements, in order, of these answers come to."""
    there = {one.key: one for one in asked.found}
    first: dict[tuple[str, int, int | None], int] = {}
    for judgement in judgements:
        first.setdefault(_whose(judgement), judgement.entry)

    def counted(one: Given) -> Counted:
        if (one.record, one.preference.item) not in there:
            return "not comparable"
        return "yes" if first[_whose(one)] == one.entry else "again"

    judged = tuple(Judged(one.entry, one.record, one.preference, counted(one)) for one in judgements)
    votes: dict[tuple[int, int | None], list[Preference]] = {}
    for one in judged:
        if one.counted == "yes":
            votes.setdefault((one.record, one.preference.item), []).append(one.preference)
    models: dict[tuple[Pair[str], Pair[str]], list[list[Preference]]] = {}
    for key, cast in votes.items():
        models.setdefault((there[key].models, there[key].weights), []).append(cast)
    every = [vote for cast in votes.values() for vote in cast]
    left, right = (sum(vote.preferred == side for vote in every) for side in ("left", "right"))
    return Preferences(
        compared=tuple(_compared(*named, ballots) for named, ballots in models.items()),
        position=share(left, left + right, len(every)),
        agreement=agreement([[vote.winner for vote in cast] for cast in votes.values()]),
        judged=judged,
        comparable=len(asked.found),
        same=asked.same,
        repeated=asked.repeated,
    )


def _whose(one: Given) -> tuple[str, int, int | None]:
    """Who judged what; a name in other letters is no other person."""
    return (one.preference.author.strip().casefold(), one.record, one.preference.item)


def _compared(models: Pair[str], weights: Pair[str], ballots: Sequence[Sequence[Preference]]) -> Compared:
    """Of two models, given everybody's votes on each two answers.

    Each two answers count once: votes of several people on the same ones are not independent, and the test would take them for more than
    they are.
    """
    counts = Counter(_outcome(cast) for cast in ballots)
    base, tuned = counts["base"], counts["tuned"]
    return Compared(
        models=models,
        weights=weights,
        wins=Pair(base, tuned),
        equal=counts["equal"],
        both_bad=counts["both bad"],
        divided=counts["divided"],
        tuned=share(tuned, base + tuned, len(ballots)),
    )


def _outcome(cast: Sequence[Preference]) -> str:
    """What most of those who preferred one of the same two answers chose; without any of them, why."""
    votes = Counter(vote.winner for vote in cast)
    if votes["tuned"] != votes["base"]:
        return "tuned" if votes["tuned"] > votes["base"] else "base"
    if votes["tuned"]:
        return "divided"
    return "both bad" if all(vote.preferred == "both bad" for vote in cast) else "equal"


def share(chosen: int, of: int, judged: int) -> Share:
    """One was chosen `chosen` times of `of` where either was, in `judged` judgements."""
    if not of:
        return Share(0, 0, math.nan, math.nan, math.nan, math.nan)
    low, high = (min(1.0, max(0.0, float(end[0]))) for end in wilson(np.array([chosen / of]), np.array([of])))
    p = binomial(chosen, of)
    return Share(chosen, of, low, high, p, math.nan if p <= LEVEL else needed(chosen, of, judged))


def binomial(chosen: int, of: int) -> float:
    """Two-sided p of the exact binomial test that either of two is as likely (the sign test), in whole numbers up to the last division."""
    fewer = min(chosen, of - chosen)
    return min(1.0, 2 * sum(math.comb(of, k) for k in range(fewer + 1)) / 2**of)


def needed(chosen: int, of: int, judged: int) -> float:
    """How many judgements like these `judged` would decide it with a chance of about `POWER`, by the normal approximation; NaN where both were chosen as often.

    Never fewer than were already tried, nor than the exact test needs where all are alike.
    """
    seen = chosen / of
    apart = abs(seen - 0.5)
    if not apart:
        return math.nan
    errors = _z((1 + CONFIDENCE) / 2) * 0.5 + _z(POWER) * math.sqrt(seen * (1 - seen))
    plain = (errors / apart) ** 2
    counts = (
        plain / 4 * (1 + math.sqrt(1 + 2 / (plain * apart))) ** 2
    )  # corrected for continuity, as the exact test is no normal one
    least = math.ceil(1 + math.log2(1 / LEVEL))
    return float(max(math.ceil(max(counts, least) * judged / of), judged + 1))


def agreement(cast: Iterable[Sequence[Side | None]]) -> Agreement:
    """Of the votes on each two answers; those on which only one voted say nothing."""
    several = [Counter(votes) for votes in cast if len(votes) > 1]
    if not several:
        return Agreement(0, math.nan, math.nan)
    totals = sum(several, Counter[Side | None]())
    votes = totals.total()
    unlike = sum(_unlike(one) / (one.total() - 1) for one in several) / votes
    by_chance = _unlike(totals) / (votes * (votes - 1))
    return Agreement(len(several), 1 - unlike, 1 - unlike / by_chance if by_chance else math.nan)


def _unlike(votes: Counter[Side | None]) -> int:
    """Ordered pairs of votes that are not the same."""
    return votes.total() ** 2 - sum(count**2 for count in votes.values())
