"""Means over a list of instructions and their bootstrap intervals, and intervals of shares; without torch, so that a page can take them too."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from model_utils.contracts.survey import Interval, Surveyed, measures

RESAMPLES = 2_000
CONFIDENCE = 0.95


def means(items: tuple[Surveyed, ...]) -> tuple[Interval, ...]:
    """The mean of each measure alone, its ends NaN: for a list on its way."""
    return tuple(mean(name, values) for name, values in measures(items).items())


def intervals(items: tuple[Surveyed, ...]) -> tuple[Interval, ...]:
    """The mean of each measure with its interval: for a list that has ended; 0.4 s for the longest."""
    return tuple(interval(name, values) for name, values in measures(items).items())


def interval(measure: str, values: np.ndarray) -> Interval:
    """Mean and 95 % bootstrap interval of those `values` (item,) that are numbers."""
    known = values[~np.isnan(values)]
    low, high = (float(end[0]) for end in bounds(known[:, None].astype(np.float64)))
    return replace(mean(measure, known), low=low, high=high)


def bounds(values: np.ndarray, resamples: int = RESAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """(column,) ends of the 95 % bootstrap interval of each mean over the items of `values` (item, column) float64, none of them NaN.

    Efron 1987, BCa, section 3; seeded, the same resamples for all columns. NaN where there are fewer than two items.
    """
    from scipy.stats import bootstrap  # takes a second to import, and most pages draw no list

    if len(values) < 2:
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing
    means, spread = values.mean(axis=0), np.ptp(values, axis=0)
    low, high = means.copy(), means.copy()
    varies = spread > 0  # of the others every resample is the same
    if varies.any():
        # As shares of the spread: the method divides by third powers, which vanish for very small numbers.
        scaled = (values[:, varies] - means[varies]) / spread[varies]
        found = bootstrap(
            (scaled,),
            np.mean,
            axis=0,
            n_resamples=resamples,
            confidence_level=CONFIDENCE,
            rng=np.random.default_rng(0),
            batch=100,
        ).confidence_interval
        low[varies] += spread[varies] * found.low
        high[varies] += spread[varies] * found.high
    return low, high


def mean(measure: str, values: np.ndarray) -> Interval:
    """The mean alone, its ends NaN, of those `values` (item,) that are numbers."""
    known = values[~np.isnan(values)]
    middle = float(known.mean(dtype=np.float64)) if len(known) else math.nan
    return Interval(measure, middle, math.nan, math.nan, len(known))


def wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of `share` of `count` (Wilson 1927)."""
    z = 1.959964
    middle, reach = share + z**2 / (2 * count), z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (middle - reach) / (1 + z**2 / count), (middle + reach) / (1 + z**2 / count)
