"""How far two results of one request are apart, field by field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from model_utils.contracts.load_report import LoadReport
from model_utils.contracts.records import Difference, Environment, Record

TIMES = frozenset({"seconds"})
"""Fields that say how long something took: they differ from run to run, and are no finding."""
SHOWN = 60
"""Characters of a text in a sentence about it."""


def compare(old: Any, new: Any) -> tuple[Difference, ...]:
    """The fields of two results that differ, in the order of the result's own; empty: they are the same, bit for bit.

    Of an array, and of the same field of every item of a list, the largest difference is told.
    """
    found: dict[str, Difference] = {}
    for one in _compare("", old, new):
        before = found.get(one.field)
        if before is None or _rank(one) > _rank(before):
            found[one.field] = one
    return tuple(found.values())


def changed(record: Record, opened: LoadReport, environment: Environment) -> tuple[str, ...]:
    """What else than the result is not as it was recorded: the weights first, then what computes with them; a sentence each."""
    said = []
    names = {"weights": "weights", "tokenizer": "tokenizer", "template": "chat template", "adapter": "adapter"}
    for side, before in record.identities.items():
        now = opened.identities[side]
        for field, name in names.items():
            if getattr(before, field) != getattr(now, field):
                said.append(
                    f"The {name} of {side} is another: SHA-256 {_short(getattr(before, field))} was recorded, {_short(getattr(now, field))} is here."
                )
    for side, first in record.openings.items():
        second = opened.openings[side]
        for field, name in {"dtype": "number format", "device": "device", "kernel": "attention kernel", "threads": "number of threads", "instructions": "processor"}.items():  # fmt: skip
            if getattr(first, field) != getattr(second, field):
                said.append(f"The {name} of {side} was {getattr(first, field)}, and is {getattr(second, field)}.")
    if record.environment.system != environment.system:
        said.append(f"It was computed on {record.environment.system}, and now on {environment.system}.")
    versions = dict(environment.versions)
    for name, version in record.environment.versions:
        if versions.get(name) != version:
            said.append(f"{name} was {version}, and is {versions.get(name, 'not installed')}.")
    return tuple(said)


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:16]


def _rank(one: Difference) -> float:
    return math.inf if one.unlike else one.largest


def _compare(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, BaseModel) and type(old) is type(new):
        if old != new:
            yield Difference(path, math.nan, math.nan, "Another request was computed.")
    elif is_dataclass(old) and type(old) is type(new):
        for one in fields(old):
            if one.name not in TIMES:
                inner = f"{path}.{one.name}" if path else one.name
                yield from _compare(inner, getattr(old, one.name), getattr(new, one.name))
    elif isinstance(old, tuple | list) and isinstance(new, tuple | list):
        if len(old) != len(new):
            yield Difference(path, math.nan, math.nan, f"It has {len(new)} entries and had {len(old)}.")
        for first, second in zip(old, new, strict=False):
            yield from _compare(path, first, second)
    elif isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        yield from _arrays(path, old, new)
    elif _is_number(old) and _is_number(new):
        yield from _arrays(path, np.array(old, dtype=np.float64), np.array(new, dtype=np.float64))
    elif type(old) is not type(new) or old != new:
        yield Difference(path, math.nan, math.nan, f"It is {_said(new)} and was {_said(old)}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arrays(path: str, old: np.ndarray, new: np.ndarray) -> Iterator[Difference]:
    if old.shape != new.shape or old.dtype != new.dtype:
        shapes = f"{new.dtype} of shape {new.shape} and was {old.dtype} of shape {old.shape}"
        yield Difference(path, math.nan, math.nan, f"It is {shapes}.")
        return
    if old.dtype.kind != "f":
        count = int((old != new).sum())
        if count:
            yield Difference(path, math.nan, math.nan, f"{count} of {old.size} entries are others.")
        return
    first, second = old.astype(np.float64), new.astype(np.float64)
    finite = np.isfinite(first) & np.isfinite(second)
    count = int((~finite & ~((first == second) | (np.isnan(first) & np.isnan(second)))).sum())
    if count:
        yield Difference(
            path, math.nan, math.nan, f"{count} of {old.size} numbers are infinite or missing on one side only."
        )
    elif finite.any():
        largest = float(np.abs(first - second)[finite].max())
        if largest > 0:
            yield Difference(path, largest, float(np.abs(first[finite]).max()))


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
