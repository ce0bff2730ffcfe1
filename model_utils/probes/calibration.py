"""Can a model's confidence be trusted? Its choices among options, and how often they are right where it is so sure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from model_utils.contracts.calibration import Calibration, CalibrationRequest, Reliability
from model_utils.contracts.common import Encoded
from model_utils.contracts.probe import LEVEL, Estimate, Finding, Verdict
from model_utils.errors import Refused
from model_utils.intervals import CONFIDENCE, wilson
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.probes import statistics
from model_utils.probes.choosing import check_room, choose
from model_utils.probes.frame import Asking, of_both, right_option, worked
from model_utils.probes.scoring import Continued, among
from model_utils.reporting import Report

BINS = 15
"""Of equal mass, fewer where there are fewer items."""
SIMULATED = 1_000
"""Perfectly calibrated models that are simulated."""
RESAMPLES = 2_000
NAN = float("nan")


def calibration(pair: Pair[LanguageModel], request: CalibrationRequest, report: Report) -> Calibration:
    """Both models over every item; one that cannot be asked is kept with the reason."""
    found = worked(pair, len(request.items), report, _Work(pair, request, report), Calibration)
    return concluded(found, request.margin, request.seed)


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

    @property
    def done(self) -> int:
        return len(self.rows.base)

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
    error = compare(found, seed)
    rest = statistics.findings(measured, seed, also=(error.p,))
    adjusted = statistics.holm(np.array([error.p, *(one.p for one in rest)])).tolist()[0]
    return replace(found, reliability=curves, findings=(error_finding(error, adjusted, margin, 1 + len(rest)), *rest))


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
        by_chance=float(by_chance(confidence, seed).mean()) if len(order) else NAN,
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


def by_chance(confidence: np.ndarray, seed: int) -> np.ndarray:
    """(simulation,) calibration errors of models whose choices are right with exactly this `confidence` (item, at least one).

    Of one seed, every item has the same random number whatever the confidences, so that two models that are alike err alike.
    """
    rng, order = np.random.default_rng(seed), np.argsort(confidence, kind="stable")
    sure, edges, errors = confidence[order], _edges(len(confidence)), []
    rows = max(1, statistics.BATCH // len(confidence))
    for start in range(0, SIMULATED, rows):
        right = rng.random((min(rows, SIMULATED - start), len(confidence)))[:, order] < sure
        errors.append(np.average(np.abs(_bin_means(right - sure, edges)), axis=1, weights=np.diff(edges)))
    return np.concatenate(errors)


@dataclass(frozen=True)
class Compared:
    """The calibration errors of both models beyond what chance makes of them, over the items that both were asked."""

    sides: Pair[Estimate]
    difference: Estimate
    """tuned minus base"""
    raw: Estimate
    """difference of the errors themselves; as wide"""
    p: float
    spread: float
    """standard error of either difference"""
    bins: int


def compare(found: Calibration, seed: int) -> Compared:
    """What is known of the difference of the calibration errors.

    A small sample makes an error larger than it is, and the more so the less sure the model is: two perfectly calibrated models of
    different confidence have different errors. The mean error of perfectly calibrated models with the same confidences is therefore
    taken off (as Broecker & Smith 2007 hold a curve against them). That is right of models that are nearly calibrated and too much of
    others, whose error has little of chance in it: the truth lies between the errors with and without it, and p is the larger of
    the two.

    The standard error is that of the difference over resamples of the items, both models together, around their own mean: a resample
    has the error of chance twice, so that neither its mean nor its quantiles can be taken. It is never less than over simulated
    perfectly calibrated models, since resamples of items that are all right know of no wrong one.
    """
    known = ~np.isnan(found.right.base) & ~np.isnan(found.right.tuned)
    count = int(known.sum())
    if not count:
        nothing = Estimate(NAN, NAN, NAN, 0)
        return Compared(Pair(nothing, nothing), nothing, nothing, NAN, NAN, 1)
    pairs = Pair(*((found.confidence[side][known], found.right[side][known]) for side in SIDES))
    error = pairs.map(lambda one: float(_errors(*one, np.arange(count)[None])[0]))
    chance = pairs.map(lambda one: by_chance(one[0], seed))
    excess = Pair(*(error[side] - float(chance[side].mean()) for side in SIDES))
    rng, some = np.random.default_rng(seed), Pair[list[np.ndarray]]([], [])
    rows = max(1, statistics.BATCH // count)
    for start in range(0, RESAMPLES, rows):
        draws = rng.integers(0, count, (min(rows, RESAMPLES - start), count))
        for side in SIDES:
            some[side].append(_errors(*pairs[side], draws))
    drawn = some.map(np.concatenate)

    def spread(resampled: np.ndarray, simulated: np.ndarray) -> float:
        return float(max(resampled.std(), simulated.std())) if count > 1 else NAN

    wide = spread(drawn.tuned - drawn.base, chance.tuned - chance.base)
    difference = _estimate(excess.tuned - excess.base, wide, count)
    raw = _estimate(error.tuned - error.base, wide, count)
    return Compared(
        sides=Pair(*(_estimate(excess[side], spread(drawn[side], chance[side]), count) for side in SIDES)),
        difference=difference,
        raw=raw,
        p=_two_sided(_weaker(difference.mean, raw.mean), wide, count),
        spread=wide,
        bins=len(_edges(count)) - 1,
    )


def error_finding(seen: Compared, adjusted: float, margin: float, tests: int) -> Finding:
    """What follows from it, with its p `adjusted` for so many `tests`."""
    count, verdict, more = seen.difference.count, _verdict(seen, adjusted, margin), NAN
    if verdict == "undecided" and count > 1:
        mean = _weaker(seen.difference.mean, seen.raw.mean)
        least = float(max(statistics.ENOUGH, statistics.enough("share", margin)))
        more = max(statistics.needed_by_spread(mean, seen.spread, margin, count, tests, least), float(statistics.ENOUGH))  # fmt: skip
    return Finding(
        measure="calibration_error",
        says=f"expected calibration error beyond what chance makes, in {seen.bins} bins",
        unit="share",
        better="lower",
        fault=False,
        sides=seen.sides,
        difference=seen.difference,
        p=seen.p,
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


def _estimate(mean: float, spread: float, count: int) -> Estimate:
    """With its 95 % interval; no error is beyond 1."""
    reach = _student((1 + CONFIDENCE) / 2, count) * spread
    return Estimate(mean, float(np.maximum(-1, mean - reach)), float(np.minimum(1, mean + reach)), count)


def _student(share: float, count: int) -> float:
    """Quantile: an error is a mean over so few bins that a normal one is too near."""
    from scipy.special import stdtrit  # as in `intervals`

    return float(stdtrit(max(1, len(_edges(count)) - 2), share))


def _two_sided(mean: float, spread: float, count: int) -> float:
    """p of an estimate over `count` items, never less than resamples can show; NaN with fewer than two."""
    from scipy.special import stdtr

    if count < 2:
        return NAN
    if mean == 0:
        return 1.0
    tail = float(stdtr(max(1, len(_edges(count)) - 2), -abs(mean) / spread)) if spread else 0.0
    return max(2 * tail, 1 / (RESAMPLES + 1))


def _weaker(one: float, other: float) -> float:
    """The one nearer to 0; 0 where they lie on both sides of it."""
    return min(one, other, key=abs) if one * other > 0 else 0.0


def _verdict(seen: Compared, adjusted: float, margin: float) -> Verdict:
    count = seen.difference.count
    if not count:
        return "not measured"
    if count < statistics.ENOUGH:  # with fewer it is wrong too often
        return "undecided"
    both = (seen.difference, seen.raw)
    # resamples know of no wrong answer that was not met, as in shares of items: so many have to be there for that
    if count >= statistics.enough("share", margin) and all(-margin < one.low and one.high < margin for one in both):
        return "no effect"
    if adjusted <= LEVEL and all(one.low > 0 for one in both):
        return "higher"
    if adjusted <= LEVEL and all(one.high < 0 for one in both):
        return "lower"
    return "undecided"
