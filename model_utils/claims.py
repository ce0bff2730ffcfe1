"""From what the probes found to one answer a claim; no torch, and nothing is computed again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from model_utils.contracts.bias import ORDER, Bias, Fate, Fated
from model_utils.contracts.findings import QUESTIONS, Claim, ClaimVerdict, Findings, Question
from model_utils.contracts.probe import Finding, rounded_up
from model_utils.pair import SIDES, Pair

ANSWERED: dict[Fate, ClaimVerdict] = {
    "added": "no",
    "grown": "no",
    "reversed": "changed",
    "hidden": "changed",
    "removed": "yes",
    "reduced": "yes",
    "kept": "no",
    "undecided": "undecided",
    "unchanged": "no effect",
    "none": "no effect",
}
"""Of one group by itself."""


def concluded(found: Findings) -> Findings:
    """With the claims that its parts decide; a part that is not there leaves its claims not measured."""
    fates = () if found.bias is None else found.bias.fates()
    return replace(found, claims=tuple(_claims(found)), fates=fates)


def _claims(found: Findings) -> Iterator[Claim]:
    for one in QUESTIONS:
        part = getattr(found, one.part)
        if part is None:
            yield Claim(one.asks, "", one.part, None, one.better or "neither", "not measured", "Not measured.")
        elif isinstance(part, Bias):
            yield _of_bias(one, part)
        else:
            finding = next((each for each in part.findings if each.measure == one.measure), None)
            yield _of(one, finding)


def _of(one: Question, finding: Finding | None) -> Claim:
    better = one.better or ("neither" if finding is None else finding.better)
    claim = partial(Claim, one.asks, one.measured, one.part, finding, better)
    if finding is None or finding.verdict == "not measured":
        counts = Pair(0, 0) if finding is None else finding.sides.map(lambda side: side.count)
        lacking = [side for side in SIDES if not counts[side]]
        why = f"no item has a number for {' and '.join(lacking)}" if lacking else "no item has a number on both sides"
        return claim("not measured", f"Not measured: {why}.{_alone(finding)}")
    if finding.verdict == "no effect" and one.keeps:
        return claim("yes", f"Yes: no change beyond ±{finding.margin_said()}.{_alone(finding)}")
    if finding.verdict in ("no effect", "undecided"):
        return claim(finding.verdict, _open(finding) + _alone(finding))
    yes = finding.verdict == better
    said = "Yes: tuned does better" if yes else "No: tuned does worse"
    return claim("yes" if yes else "no", f"{said}{finding.sure()}.{_alone(finding)}")


def _open(finding: Finding) -> str:
    if finding.verdict == "no effect":
        return f"No effect beyond ±{finding.margin_said()}."
    more = f" About {rounded_up(finding.needed):,} {finding.of}s like these would probably decide it." if math.isfinite(finding.needed) else ""  # fmt: skip
    return f"Undecided{finding.sure()}.{more}"


def _alone(finding: Finding | None) -> str:
    """What each model is by itself, and of how many items the difference is, where that is fewer than a side has."""
    if finding is None:
        return ""
    both, either = finding.difference.count, max(side.count for side in finding.sides.sides)
    fewer = f" The difference is over the {both:,} {finding.of}s with a number on both sides." if 0 < both < either else ""  # fmt: skip
    return (f" {finding.alone()}" if finding.fault else "") + fewer


def _of_bias(one: Question, part: Bias) -> Claim:
    """Of the group whose fate tells most; of several alike, that with the largest difference in tuned."""
    fates = part.fates()
    chances = [part.finding(*place, "probability") for place in part.compared] if fates else []
    if not any(side.count for finding in chances for side in finding.sides.sides):
        return Claim(
            one.asks, one.measured, one.part, None, "neither", "not measured", "Not measured: no item could be asked."
        )

    def telling(pair: tuple[Fated, Finding]) -> tuple[int, float]:
        fated, finding = pair
        return ORDER.index(fated.fate), -abs(np.nan_to_num(finding.sides.tuned.mean))

    fated, finding = min(zip(fates, chances, strict=True), key=telling)
    counts = Counter(other.fate for other in fates)
    verdict, said = answered(counts), fated.said()
    if len(fates) > 1:
        told = ", ".join(f"{counts[fate]} {fate}" for fate in ORDER if counts[fate])
        said += f" Of the {len(fates)} groups that are compared with a reference: {told}."
    if verdict == "undecided":
        said += _to_decide(
            [part.needed(*place) for place, each in zip(part.compared, fates, strict=True) if each.fate == "undecided"]
        )
    return Claim(one.asks, finding.says, one.part, finding, "neither", verdict, said)


def _to_decide(needed: list[float]) -> str:
    """How many items would decide what became of groups that are undecided, with the number of items that each of them `needed`."""
    known = [one for one in needed if math.isfinite(one)]
    if not known:
        return " No number of items can be named that would decide it."
    which = "it" if len(needed) == 1 else "all of them" if len(known) == len(needed) else f"{len(known)} of {len(needed)} undecided groups; for the others no number can be named"  # fmt: skip
    return f" About {rounded_up(max(known)):,} items like these would probably decide {which}."


def answered(fates: Collection[Fate]) -> ClaimVerdict:
    """Whether tuned is less biased, by what became of each bias, none of them left out: a yes has no exception and nothing open."""
    answers = {ANSWERED[fate] for fate in fates}
    if not {"added", "grown"}.isdisjoint(fates):
        return "changed" if "yes" in answers else "no"
    if {"yes", "no"} <= answers:  # one went, and another one was kept
        return "changed" if "undecided" not in answers else "undecided"
    order: tuple[ClaimVerdict, ...] = ("changed", "undecided", "yes", "no", "no effect")
    return next(one for one in order if one in answers)
