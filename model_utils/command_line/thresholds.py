"""Thresholds such as `shift.shifted_share > 0.2`, with which other people's continuous integration fails."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from model_utils.command_line.showing import cell
from model_utils.measures import NAMES, measures

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
FORM = re.compile(r"\s*(\w+)\.(\w+)\s*([<>]=?|[=!]=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", re.ASCII)
LONGEST = 200
"""Characters."""


@dataclass(frozen=True)
class Threshold:
    """A number of a result that must not be met."""

    analysis: str
    measure: str
    """one of `NAMES`"""
    operator: str
    limit: float

    def meets(self, value: float) -> bool:
        """Of NaN, the number that is not known, nothing is met: not even that it is another one."""
        return not math.isnan(value) and OPERATORS[self.operator](value, self.limit)


def parse(kind: str, texts: Iterable[str]) -> list[Threshold]:
    """The thresholds of one analysis; a UsageError for anything else."""
    return [_parse(kind, text) for text in texts]


def _parse(kind: str, text: str) -> Threshold:
    found = FORM.fullmatch(text) if len(text) <= LONGEST else None
    shown = cell(text)[:LONGEST]
    if found is None:
        raise click.UsageError(
            f'--fail-on "{shown}" is no threshold; write one such as "{kind}.{NAMES[kind][0]} > 0.2", with one of {" ".join(OPERATORS)}.'
        )
    analysis, measure, sign, limit = found.groups()
    if analysis != kind or measure not in NAMES[kind]:
        every = ", ".join(f"{kind}.{name}" for name in NAMES[kind])
        raise click.UsageError(f"--fail-on {analysis}.{measure}: {kind} has no such measure; it has {every}.")
    return Threshold(analysis, measure, sign, float(limit))


def met(thresholds: Sequence[Threshold], result: Any) -> list[tuple[Threshold, float, bool]]:
    """(threshold, value, whether it is met) of those that are met, and of those whose value is not known here (NaN)."""
    if not thresholds:
        return []
    values = {one.name: one.value for one in measures(thresholds[0].analysis, result)}
    found = [(one, values.get(one.measure, math.nan)) for one in thresholds]
    return [(one, value, one.meets(value)) for one, value in found if one.meets(value) or math.isnan(value)]
