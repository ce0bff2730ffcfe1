"""Requests and results to canonical JSON and back, and their digest; data only, never code.

A dataclass becomes `{"type": name, "fields": {...}}`, an array `{"array": dtype, "shape": [...], "data": [...]}` with the shortest
decimals that give the same bits back. Only the types of `model_utils.contracts` can be read, and only with fields that are what their
annotations say; the sizes of arrays are not looked at.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import orjson
from pydantic import BaseModel

from model_utils.contracts import (
    ablation,
    agreement,
    atlas,
    attention,
    attribution,
    bias,
    calibration,
    common,
    density,
    faithfulness,
    findings,
    generation,
    instructions,
    load_report,
    probe,
    published,
    randomisation,
    reasoning,
    records,
    robustness,
    shift,
    survey,
    wording,
)
from model_utils.errors import Refused
from model_utils.pair import Pair

TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Pair,
        common.ModelSpec,
        common.Own,
        common.Message,
        common.Sampling,
        common.Encoded,
        common.ModelFacts,
        load_report.LoadReportRequest,
        load_report.Identity,
        load_report.Opening,
        load_report.Ability,
        load_report.LoadReport,
        generation.GenerationRequest,
        generation.Answer,
        generation.Generation,
        shift.ShiftRequest,
        shift.Reading,
        shift.Split,
        shift.Floor,
        shift.Forced,
        shift.Shift,
        survey.SurveyRequest,
        survey.Surveyed,
        survey.Interval,
        survey.Survey,
        attention.AttentionRequest,
        attention.Attention,
        atlas.AtlasRequest,
        atlas.Atlas,
        ablation.AblationRequest,
        ablation.Ablation,
        attribution.OwnText,
        attribution.AttributionRequest,
        attribution.Parted,
        attribution.Attribution,
        faithfulness.FaithfulnessRequest,
        faithfulness.Judged,
        faithfulness.Faithfulness,
        density.DensityRequest,
        density.Use,
        density.Measured,
        density.Density,
        agreement.AgreementRequest,
        agreement.Agreement,
        randomisation.RandomisationRequest,
        randomisation.Shuffled,
        randomisation.Randomisation,
        probe.ProbeItem,
        probe.Estimate,
        probe.Finding,
        probe.Partial,
        reasoning.ReasoningRequest,
        reasoning.Reasoned,
        reasoning.Reasoning,
        robustness.RobustnessRequest,
        robustness.Robustness,
        bias.Group,
        bias.Slot,
        bias.BiasRequest,
        bias.Bias,
        calibration.CalibrationRequest,
        calibration.Reliability,
        calibration.Calibration,
        bias.Fated,
        published.CrowsPair,
        published.StereoCluster,
        published.BBQItem,
        published.PublishedRequest,
        published.Published,
        wording.Mark,
        instructions.InstructionItem,
        instructions.InstructionsRequest,
        instructions.Instructions,
        findings.FindingsRequest,
        findings.Explanations,
        findings.Claim,
        findings.Findings,
        records.Opened,
        records.Environment,
        records.Record,
        records.Difference,
        records.Rerun,
        records.Note,
        records.Tags,
        records.Judgement,
        records.Preference,
        records.Closed,
        records.Erased,
    )
}
DTYPES = ("bool", "uint8", "int64", "float32", "float64")
HALF = re.compile("[\ud800-\udfff]")
"""A lone surrogate, which UTF-8 cannot say: such a text is written as its UTF-16 in hexadecimal."""
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def encode(value: Any) -> str:
    """Canonical JSON: equal values give equal text (sorted keys, no spaces, plain Unicode)."""
    return encode_bytes(value).decode()


def encode_bytes(value: Any) -> bytes:
    """The same in UTF-8."""
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def decode(text: str | bytes) -> Any:
    """The value that `encode` wrote; Refused for anything else. Lists come back as tuples."""
    try:
        return _value(orjson.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise Refused(f"This is not a request or result that Candor wrote: {str(error)[:200]}.") from error


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, hexadecimal."""
    return hashlib.sha256(encode_bytes(value)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {
            "type": type(value).__name__,
            "fields": {name: _plain(getattr(value, name)) for name in type(value).model_fields},
        }
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, "fields": {f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, np.ndarray):
        return _plain_array(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if isinstance(value, str) and not value.isascii() and HALF.search(value):
        return {"utf-16": value.encode("utf-16-be", "surrogatepass").hex()}
    assert value is None or isinstance(value, str | bool | int | float), f"no canonical form for {type(value)}"
    return value


def _plain_array(array: np.ndarray) -> dict[str, Any]:
    assert array.dtype.name in DTYPES, f"no canonical form for an array of {array.dtype}"
    flat = np.ascontiguousarray(array).ravel()
    data: Any = flat
    if array.dtype.kind == "f" and not (finite := np.isfinite(flat)).all():
        data = orjson.loads(orjson.dumps(np.where(finite, flat, flat.dtype.type(0)), option=orjson.OPT_SERIALIZE_NUMPY))
        for place in np.flatnonzero(~finite).tolist():
            data[place] = str(flat[place].item())
    return {"array": array.dtype.name, "shape": list(array.shape), "data": data}


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_value(one) for one in plain)
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return _array(plain)
    if "number" in plain:
        return NOT_FINITE[plain["number"]]
    if "utf-16" in plain:
        return bytes.fromhex(plain["utf-16"]).decode("utf-16-be", "surrogatepass")
    kind = TYPES[plain["type"]]
    given = {name: _value(one) for name, one in plain["fields"].items()}
    made = kind(**given)
    for name, fits in _checks(kind):
        if not fits(getattr(made, name)):
            raise TypeError(f"{kind.__name__}.{name} cannot be {type(getattr(made, name)).__name__}")
    return made


Check = Callable[[Any], bool]


@cache
def _checks(kind: type) -> tuple[tuple[str, Check], ...]:
    """The fields of a dataclass, each with whether a value, whose own fields were looked at, is what the annotation says."""
    if not is_dataclass(kind):
        return ()  # a pydantic model looks at its fields itself
    hints = get_type_hints(kind)
    return tuple((one.name, _check(hints[one.name])) for one in fields(kind) if not _is_any(hints[one.name]))


def _is_any(hint: Any) -> bool:
    return hint is Any or isinstance(hint, TypeVar)


def _check(hint: Any) -> Check:
    origin, args = get_origin(hint), get_args(hint)
    if _is_any(hint):
        return lambda value: True
    if hint is float:  # a program that is not Python may write 1 for 1.0
        return lambda value: type(value) is float or type(value) is int
    if hint in (str, int, bool, NoneType):
        return lambda value: type(value) is hint
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in args
    inner = [_check(one) for one in args if one is not Ellipsis]
    if origin in (Union, UnionType):
        return lambda value: any(fits(value) for fits in inner)
    if origin is tuple and args[1:] == (Ellipsis,):
        each = inner[0]
        return lambda value: type(value) is tuple and all(map(each, value))
    if origin is tuple:
        return lambda value: (
            type(value) is tuple
            and len(value) == len(inner)
            and all(fits(one) for fits, one in zip(inner, value, strict=True))
        )
    if origin is Pair:
        side = inner[0]
        return lambda value: type(value) is Pair and side(value.base) and side(value.tuned)
    assert isinstance(hint, type), f"no check for {hint}"
    return lambda value: isinstance(value, hint)


def _array(plain: dict[str, Any]) -> np.ndarray:
    name, data, shape = plain["array"], plain["data"], plain["shape"]
    if name not in DTYPES:
        raise ValueError(f"arrays of {name!r} are not read")
    if not all(type(size) is int and size >= 0 for size in shape) or math.prod(shape) != len(data):
        raise ValueError(f"{len(data)} values do not fill the shape {shape}")
    if name.startswith("float"):
        data = [NOT_FINITE[one] if isinstance(one, str) else one for one in data]
    kinds = {"bool": (bool,), "uint8": (int,), "int64": (int,)}.get(name, (int, float))
    if not all(type(one) in kinds for one in data):
        raise ValueError(f"the values do not fit an array of {name}")
    return np.array(data, dtype=name).reshape(shape)
