"""Two sides, base and tuned: the shape of every comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
U = TypeVar("U")

Side = Literal["base", "tuned"]
SIDES: tuple[Side, Side] = ("base", "tuned")


def other_side(side: Side) -> Side:
    return "base" if side == "tuned" else "tuned"


@dataclass(frozen=True)
class Pair(Generic[T]):
    """A value for each side; code is written for one model and lifted with `map`."""

    base: T
    tuned: T

    def __getitem__(self, side: Side) -> T:
        return self.base if side == "base" else self.tuned

    def map(self, fn: Callable[[T], U]) -> Pair[U]:
        """`fn` on each side, base first."""
        return Pair(fn(self.base), fn(self.tuned))

    def zip(self, other: Pair[U]) -> Pair[tuple[T, U]]:
        return Pair((self.base, other.base), (self.tuned, other.tuned))

    def items(self) -> Iterator[tuple[Side, T]]:
        yield "base", self.base
        yield "tuned", self.tuned

    @property
    def sides(self) -> tuple[T, T]:
        return self.base, self.tuned

    def swap(self) -> Pair[T]:
        return Pair(self.tuned, self.base)
