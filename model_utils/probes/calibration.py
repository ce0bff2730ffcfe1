"""Can a model's confidence be trusted? Its choices among options, and how often they are right where it is so sure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from model_utils.contracts.calibration import Calibration, CalibrationRequest, Reliability
from model_utils.contracts.common import Encoded
from model_utils.contracts.probe import LEVEL, Estimate, Finding, Verdict
from model_utils.errors import Refused
from model_utils.intervals import wilson
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes import statistics
from model_utils.probes.choosing import check_room, choose
from model_utils.probes.frame import Asking, chunks, of_both, right_option
from model_utils.probes.scoring import Continued, among
from model_utils.reporting import Report

BINS = 15
"""Of equal mass, fewer where there are fewer items."""
SIMULATED = 1_000
"""Perfectly calibrated models that are simulated."""
RESAMPLES = 2_000
EXCHANGES = 1_999
"""Random exchanges of the models, item by item."""
NAN = float("nan")


def calibration(pair: Pair[LanguageModel], request: CalibrationRequest, report: Report) -> Calibration:
    """Both models over every item; one that cannot be asked is kept with the reason."""
    work = _Work(pair, request, report)
    if isinstance(report.former, Calibration):
        work.take(report.former)
    for chunk in chunks(pair, len(request.items), len(work.rows.base), report, work.result):
        work.ask(chunk)
    report(0.95, "intervals and tests")
    return concluded(work.result(), request.margin, request.seed)


Row = tuple[int, float, float, float, float]
"""Chosen option, its probability, whether it is right, the right option's probability, and that of all options."""
NOTHING: Row = (-1, NAN, NAN, NAN, NAN)


@dataclass
class _Work:
    """What was done so far."""

    pair: Pair[LanguageModel]
    request: CalibrationRequest
    report: Report
    rows: Pair[list[Row]] = field(default_factory=lambda: Pair([], []))
    refused: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.asking = Asking(self.pair, self.request)
        self.continued = self.pair.map(Continued)

    def take(self, former: Calibration) -> None:
        """Goes on where a partial result ends."""
        self.refused = list(former.refused)
        for side in SIDES:
            columns = (former.chosen, former.confidence, former.right, former.of_right, former.mass)
            self.rows[side].extend(zip(*(one[side].tolist() for one in columns), strict=True))

    def ask(self, numbers: range) -> None:
        """Some more items."""
        asked: dict[int, Pair[Encoded]] = {}
        for number in numbers:
            item = self.request.items[number]
            try:
                prompts = self.asking.both(item.asked())
                for side in SIDES:
                    check_room(
                        self.pair[side], self.continued[side], self.request.formats[side], item.options, prompts[side]
                    )
                asked[number] = prompts
            except Refused as refused:
                self.refused.append((number, str(refused)))

        def read(side: Side, model: LanguageModel, report: Report) -> dict[int, np.ndarray]:
            mine = [(self.request.items[number].options, prompts[side]) for number, prompts in asked.items()]
            chances = choose(model, self.continued[side], self.request.formats[side], mine, report)
            return dict(zip(asked, chances, strict=True))

        found = of_both(self.pair, self.report, read)
        for side in SIDES:
            self.rows[side].extend(self._row(number, found[side][number]) if number in asked else NOTHING for number in numbers)  # fmt: skip

    def _row(self, number: int, log_probs: np.ndarray) -> Row:
        chances, mass = among(log_probs)
        chosen, right = int(np.argmax(chances)), right_option(self.request.items[number])
        return chosen, float(chances[chosen]), float(chosen == right), float(chances[right]), mass

    def result(self) -> Calibration:
        items = self.request.items[: len(self.rows.base)]

        def column(place: int, dtype: type = np.float64) -> Pair[np.ndarray]:
            return self.rows.map(lambda rows: np.array([row[place] for row in rows], dtype=dtype))

        return Calibration(
            models=self.pair.map(lambda model: model.facts),
            chosen=column(0, np.int64),
            confidence=column(1),
            right=column(2),
            of_right=column(3),
            mass=column(4),
            options=tuple(item.options for item in items),
            questions=tuple(item.asked() for item in items),
            answers=tuple(right_option(item) for item in items),
            refused=tuple(self.refused),
            findings=(),
            reliability=None,
        )


# --- what follows from it ---------------------------------------------------------------------------------------------


def concluded(found: Calibration, margin: float, seed: int = 0) -> Calibration:
    """With curves and findings."""
    known = found.right.map(lambda one: ~np.isnan(one))
    curves = Pair(
        *(reliability(found.confidence[side][known[side]], found.right[side][known[side]], seed) for side in SIDES)
    )
    surplus = Pair(*(found.confidence[side] - found.right[side] for side in SIDES))
    brier = Pair(*((found.confidence[side] - found.right[side]) ** 2 for side in SIDES))
    measured = [
        statistics.Measured("right", "right choices", "share", "higher", False, found.right, margin),
        statistics.Measured("overconfidence", "confidence beyond what is right (mean confidence minus accuracy)", "share", "neither", True, surplus, margin),
        statistics.Measured("brier", "squared error of the confidence (Brier score)", "share", "lower", False, brier, margin),
    ]  # fmt: skip
    error = error_finding(found, curves, margin, 1 + len(measured), seed)
    return replace(found, reliability=curves, findings=(error, *statistics.findings(measured, seed)))


def reliability(confidence: np.ndarray, right: np.ndarray, seed: int = 0) -> Reliability:
    """Of `confidence` (item,), 0 to 1, in choices that are `right` (item,), 1 or 0."""
    order = np.argsort(confidence, kind="stable")
    edges = _edges(len(order))
    count = np.diff(edges)
    sure, correct = (_bin_means(one[order], edges) for one in (confidence, right))
    low, high = wilson(correct, count)
    return Reliability(
        confidence=sure,
        accuracy=correct,
        low=low,
        high=high,
        count=count,
        error=float(np.average(np.abs(correct - sure), weights=count)) if len(order) else NAN,
        by_chance=_by_chance(confidence[order], edges, seed),
    )


def _edges(count: int) -> np.ndarray:
    """(bin + 1,) where bins of as many items as possible each begin and end."""
    bins = min(BINS, count)
    return np.linspace(0, count, bins + 1).round().astype(np.int64) if bins else np.zeros(1, dtype=np.int64)


def _bin_means(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(..., bin) of `values` (..., item)."""
    if len(edges) < 2:
        return np.zeros((*values.shape[:-1], 0))
    return np.add.reduceat(values, edges[:-1], axis=-1) / np.diff(edges)


def _by_chance(confidence: np.ndarray, edges: np.ndarray, seed: int) -> float:
    """Mean calibration error of models whose choices are right with exactly this `confidence` (item,)."""
    if not len(confidence):
        return NAN
    rng = np.random.default_rng(seed)
    sure, weights, total = _bin_means(confidence, edges), np.diff(edges), 0.0
    for _ in range(SIMULATED):
        right = (rng.random(len(confidence)) < confidence).astype(np.float64)
        total += float(np.average(np.abs(_bin_means(right, edges) - sure), weights=weights))
    return total / SIMULATED


def error_finding(found: Calibration, curves: Pair[Reliability], margin: float, tests: int, seed: int) -> Finding:
    """The calibration errors of both models and their difference over the items that both were asked.

    An error is no mean over items, and small samples make it larger than it is. The test exchanges the models at random item by item, as if
    both did alike, and corrects by the number of all tests (Bonferroni). Resampling makes an error larger, about as much as the sample
    itself did, so that the intervals are basic ones, turned around the number that was found (Davison & Hinkley 1997, eq. 2.10); alone they
    would find a difference in one of nine pairs of equal models.
    """
    known = ~np.isnan(found.right.base) & ~np.isnan(found.right.tuned)
    count = int(known.sum())
    pairs = Pair(*((found.confidence[side][known], found.right[side][known]) for side in SIDES))
    point = pairs.map(lambda one: float(_errors(*one, np.arange(count)[None])[0]) if count else NAN)
    rng, drawn = np.random.default_rng(seed), Pair[list[np.ndarray]]([], [])
    rows = max(1, statistics.BATCH // max(1, count))
    for start in range(0, RESAMPLES if count > 1 else 0, rows):
        draws = rng.integers(0, count, (min(rows, RESAMPLES - start), count))
        for side in SIDES:
            drawn[side].append(_errors(*pairs[side], draws))
    errors = drawn.map(lambda some: np.concatenate(some) if some else np.zeros(0))
    p = _exchanged(pairs, point.tuned - point.base, seed)
    adjusted = min(1.0, p * tests) if count > 1 else NAN
    difference = _estimate(point.tuned - point.base, errors.tuned - errors.base, count)
    sides = Pair(*(_estimate(point[side], errors[side], count, least=0.0) for side in SIDES))
    verdict = _verdict(difference, adjusted, margin)
    spread = float((errors.tuned - errors.base).std()) if count > 1 else NAN
    more = statistics.needed_by_spread(difference.mean, spread, margin, count, tests) if verdict == "undecided" else NAN
    return Finding(
        measure="calibration_error",
        says=f"expected calibration error in {max(1, len(curves.base.count))} bins",
        unit="share",
        better="lower",
        fault=False,
        sides=sides,
        difference=difference,
        p=p,
        adjusted=adjusted,
        tests=tests if count > 1 else 0,
        margin=margin,
        verdict=verdict,
        own=Pair("not measured", "not measured"),
        needed=more,
    )


def _errors(confidence: np.ndarray, right: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(draw,) calibration error of the items of each draw (draw, item)."""
    order = np.take_along_axis(draws, np.argsort(confidence[draws], axis=1, kind="stable"), axis=1)
    edges = _edges(draws.shape[1])
    off = np.abs(_bin_means(right[order], edges) - _bin_means(confidence[order], edges))
    return np.asarray(np.average(off, axis=1, weights=np.diff(edges)))


def _estimate(point: float, drawn: np.ndarray, count: int, least: float = -1.0) -> Estimate:
    if not len(drawn):
        return Estimate(point, NAN, NAN, count)
    low, high = (2 * point - float(end) for end in np.quantile(drawn, [0.975, 0.025]))
    return Estimate(point, max(least, low), min(1.0, max(high, point)), count)


def _exchanged(pairs: Pair[tuple[np.ndarray, np.ndarray]], seen: float, seed: int) -> float:
    """Two-sided p of the difference that was `seen`, the one seen counted among those of random exchanges; NaN with fewer than two items."""
    count = len(pairs.base[0])
    if count < 2:
        return NAN
    rng, items, extreme = np.random.default_rng(seed), np.arange(count)[None], 1
    for _ in range(EXCHANGES):
        swap = rng.random(count) < 0.5
        one, other = (
            (np.where(swap, mine[0], theirs[0]), np.where(swap, mine[1], theirs[1]))
            for mine, theirs in ((pairs.base, pairs.tuned), (pairs.tuned, pairs.base))
        )
        extreme += abs(_errors(*one, items)[0] - _errors(*other, items)[0]) >= abs(seen) - 1e-12
    return extreme / (EXCHANGES + 1)


def _verdict(difference: Estimate, adjusted: float, margin: float) -> Verdict:
    if difference.count < 2:
        return "undecided" if difference.count else "not measured"
    if -margin < difference.low and difference.high < margin and difference.count >= statistics.ENOUGH:
        return "no effect"
    if adjusted <= LEVEL and not difference.low <= 0 <= difference.high:
        return "higher" if difference.low > 0 else "lower"
    return "undecided"
