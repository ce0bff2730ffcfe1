"""Whether given scores point at what a model relies on, measured on this very answer against random orders: the request and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import AllowInfNan, Field

from model_utils.contracts.attribution import (
    Alignment,
    Attribution,
    AttributionRequest,
    Explaining,
    Parted,
    Quantity,
    forced,
)
from model_utils.contracts.common import ModelFacts
from model_utils.pair import SIDES, Pair, Side

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Of the parts; comprehensiveness and sufficiency are means over them (DeYoung et al. 2020, ERASER)."""
POINTS = (*SHARES, 0.75, 1.0)
"""Of the parts; where the curves of deletion and insertion are measured, besides 0."""
ORDERS, MOST_ORDERS = 100, 2_000
LEVEL = 0.05
"""An explanation is better than chance when at most this share of random orders does as well."""
LIMIT_PARTS = 8
"""Parts for which the best and the worst order are searched among all, at most."""

Direction = Literal["deletion", "insertion"]

Score = Annotated[float, AllowInfNan(False)]


class FaithfulnessRequest(Explaining):
    """Scores of the parts of the text, whoever made them; the answer is explained as one sum over the targets."""

    scores: Pair[tuple[Score, ...]]
    """(part,) a side, in the order of its text; parts that always stay count too, and are not looked at"""
    orders: Annotated[int, Field(ge=ORDERS, le=MOST_ORDERS)] = ORDERS
    """random orders of the same parts, on the same model"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


def evidence_request(
    result: Attribution, request: AttributionRequest, orders: int = ORDERS, seed: int = 0
) -> FaithfulnessRequest:
    """The evidence about these scores: the same answer, targets and parts. What has no score counts 0."""
    shared = request.model_dump(include=set(FaithfulnessRequest.model_fields) - {"seed", "messages", "sampling"})
    scores = result.totals().map(lambda totals: tuple(np.nan_to_num(totals).tolist()))
    shared |= {"messages": request.messages, "sampling": request.sampling, "scores": scores}
    return FaithfulnessRequest(**(shared | forced(request, result.texts) | {"orders": orders, "seed": seed}))


@dataclass(frozen=True, eq=False)
class Judged:
    """One model's scores, measured."""

    counts: np.ndarray
    """(point,) int64; how many parts are taken away, or stay, at 0 and each share of `POINTS`"""
    whole: float
    """the explained quantity of the whole text"""
    deletion: np.ndarray
    """(point,) float64; the quantity after the highest scored parts were taken away, at 0 and each share of `POINTS`"""
    insertion: np.ndarray
    """(point,) float64; the quantity when only the highest scored parts stay"""
    random_deletion: np.ndarray
    """(order, point) float64; NaN: not measured yet"""
    random_insertion: np.ndarray
    """(order, point) float64"""
    limits: tuple[float, float] | None
    """smallest and largest area over the deletion curve of any order, part by part; None: too many parts to try all"""
    area: float | None
    """the scores' own area, in the same steps"""
    twins: float = 0.0
    """the probability that a random order takes the same parts as these scores at every share; such an order does as well by definition"""

    @property
    def parts(self) -> int:
        """How many can be taken away."""
        return int(self.counts[-1])

    @property
    def comprehensiveness(self) -> float:
        """How much the quantity falls when the highest scored parts go, mean over `SHARES`; higher is better (ERASER, eq. for AOPC)."""
        return float(_fall(self.whole, self.deletion))

    @property
    def sufficiency(self) -> float:
        """How much it falls when only they stay; lower is better."""
        return float(_fall(self.whole, self.insertion))

    @property
    def random_comprehensiveness(self) -> np.ndarray:
        """(order,) of the random orders measured so far."""
        found = _fall(self.whole, self.random_deletion)
        return found[~np.isnan(found)]

    @property
    def random_sufficiency(self) -> np.ndarray:
        """(order,)"""
        found = _fall(self.whole, self.random_insertion)
        return found[~np.isnan(found)]

    @property
    def p(self) -> float:
        """(1 + random orders that are at least as comprehensive) / (1 + random orders)."""
        others = self.random_comprehensiveness
        return float((1 + (others >= self.comprehensiveness).sum()) / (1 + len(others)))

    @property
    def percentile(self) -> float:
        """Share of random orders that are less comprehensive, 0 to 100."""
        return float(100 * (self.random_comprehensiveness < self.comprehensiveness).mean())

    @property
    def sufficiency_percentile(self) -> float:
        """Share of random orders that are less sufficient (fall further), 0 to 100."""
        return float(100 * (self.random_sufficiency > self.sufficiency).mean())

    @property
    def finished(self) -> bool:
        """Whether every random order is measured; before that there is no verdict."""
        return not np.isnan(self.random_deletion).any()

    @property
    def tells(self) -> bool:
        """Whether the best scores could be better than chance; of very few parts a random order is too often the same."""
        orders = len(self.random_deletion)
        return (1 + orders * self.twins) / (1 + orders) <= LEVEL

    @property
    def better_than_chance(self) -> bool:
        return self.p <= LEVEL

    @property
    def normalised_area(self) -> float | None:
        """0: as the worst order of these parts, 1: as the best (Edin et al. 2024, normalised AOPC); None: not known, or all orders are alike."""
        if self.limits is None or self.area is None or self.limits[1] - self.limits[0] <= 1e-9:
            return None
        return (self.area - self.limits[0]) / (self.limits[1] - self.limits[0])

    def verdict(self) -> str:
        """In words."""
        if not self.finished:
            return "being measured"
        if not self.tells:
            return "too few parts to tell: choose smaller parts"
        return "better than chance" if self.better_than_chance else "no better than random: do not read this map"

    @property
    def fails(self) -> bool:
        """Whether the map is not to be read."""
        return self.finished and self.tells and not self.better_than_chance


def _fall(whole: float, curve: np.ndarray) -> np.ndarray:
    """Mean of whole - f over the points of `SHARES`, along the last axis."""
    return whole - curve[..., 1 : 1 + len(SHARES)].mean(axis=-1)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Both models' scores, each measured on its own model against the same random orders."""

    models: Pair[ModelFacts]
    texts: Pair[Parted]
    """what each side read"""
    alignment: Alignment
    quantity: Quantity
    judged: Pair[Judged]
    identical: bool = False
    """both sides' scores put the parts in the same order"""
    notes: tuple[str, ...] = ()
    """sentences for people about what the two texts have in common"""

    def table(self) -> pd.DataFrame:
        """One row a side."""
        return pd.DataFrame([self._row(side) for side in SIDES])

    def _row(self, side: Side) -> dict[str, object]:
        one = self.judged[side]
        return {
            "side": side,
            "comprehensiveness (higher is better)": one.comprehensiveness,
            "sufficiency (lower is better)": one.sufficiency,
            "percentile": one.percentile,
            "sufficiency percentile": one.sufficiency_percentile,
            "p": one.p,
            "normalised area": one.normalised_area,
            "random orders": len(one.random_comprehensiveness),
            "verdict": one.verdict(),
        }
