"""FormatSpread: how far the share of right answers moves with nothing but the layout of a prompt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model_utils.contracts.probe import Estimate, Finding, Verdict
from model_utils.pair import Pair

RESAMPLES = 2_000
NAN = float("nan")


def spread(right: Pair[np.ndarray], margin: float, seed: int) -> Finding:
    """The largest minus the smallest share of right answers over the layouts (Sclar et al. 2024), from `right` (item, layout), 0 or 1, NaN
    where an item has no such layout; items without one of them are left out.

    A maximum minus a minimum grows with the number of layouts, so that the number stands in what it is called, and it has no permutation
    test: the verdict on the difference comes from its interval alone. Intervals are percentiles of resampled items, the same for both
    models (Efron 1979); BCa, used elsewhere, needs a statistic that is smoother than a maximum.
    """
    layouts = right.base.shape[1]
    known = ~np.isnan(right.base).any(axis=1) & ~np.isnan(right.tuned).any(axis=1) & (layouts > 0)
    base, tuned = (one[known] for one in right.sides)
    difference = _estimate(np.hstack([base, tuned]), lambda *columns: _range(columns[layouts:]) - _range(columns[:layouts]), seed)  # fmt: skip
    return Finding(
        measure="spread",
        says=f"spread of right answers over {layouts} layouts of the prompt",
        unit="share",
        better="lower",
        fault=False,
        sides=Pair(*(_estimate(one, lambda *columns: _range(columns), seed) for one in (base, tuned))),
        difference=difference,
        p=NAN,
        adjusted=NAN,
        tests=0,
        margin=margin,
        verdict=_verdict(difference, margin),
        own=Pair("not measured", "not measured"),
        needed=NAN,
    )


def _range(means: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.ptp(np.stack(means), axis=0)


def _estimate(right: np.ndarray, of: Callable[..., np.ndarray], seed: int) -> Estimate:
    """What a function of the columns' means is, with its interval over the rows of `right` (item, column)."""
    from scipy.stats import bootstrap  # a second to import

    count = len(right)
    if not count:
        return Estimate(NAN, NAN, NAN, 0)
    mean = float(of(*right.mean(axis=0)))
    if count < 2:
        return Estimate(mean, NAN, NAN, count)

    def statistic(*columns: np.ndarray, axis: int = -1) -> np.ndarray:
        return of(*(column.mean(axis=axis) for column in columns))

    found = bootstrap(
        tuple(right.T),
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=RESAMPLES,
        batch=100,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(found.low), float(found.high), count)


def _verdict(difference: Estimate, margin: float) -> Verdict:
    if not difference.count:
        return "not measured"
    if difference.low > margin:
        return "higher"
    return "lower" if difference.high < -margin else "undecided"
