"""The codec: what goes in comes out, equal values have equal text, and nothing but our own data is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model_utils import codec
from model_utils.contracts.attribution import Alignment, AttributionRequest, OwnText
from model_utils.contracts.common import Encoded, ModelSpec, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.probe import Partial
from model_utils.contracts.records import Closed, Judgement, Preference, Record, Tags
from model_utils.errors import Refused
from model_utils.pair import Pair
from tests import results
from tests.strategies import instructions, texts

any_array = st.sampled_from(codec.DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
)


@given(any_array)
def test_arrays_keep_every_bit(array: np.ndarray):
    back = codec.decode(codec.encode(array))
    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert np.array_equal(np.signbit(back), np.signbit(array)) or array.dtype.kind != "f" or np.isnan(array).any()


@given(st.lists(texts, max_size=5), st.integers(0, 9))
def test_dataclasses_come_back_whole(pieces: list[str], seed: int):
    rng, count = np.random.default_rng(seed), len(pieces)
    value = Encoded(
        "".join(pieces),
        rng.integers(0, 99, count),
        rng.integers(0, 9, (count, 2)),
        np.zeros(count, np.uint8),
        np.zeros(count, bool),
        tuple(pieces),
        ("note",),
    )
    assert codec.encode(codec.decode(codec.encode(value))) == codec.encode(value)
    assert codec.decode(codec.encode(value)).pieces == tuple(pieces)


@given(instructions)
def test_requests_come_back_equal(text: str):
    for request in (
        GenerationRequest(messages=ask(text), formats=Pair("plain", "chat")),
        AttributionRequest(messages=ask(text), answer_ids=(1, 2), targets=(1,)),
        AttributionRequest(messages=ask(text), own=OwnText(format="plain", answer_ids=(3,), targets=(0,))),
    ):
        back = codec.decode(codec.encode(request))
        assert back == request and type(back) is type(request)
        assert codec.digest(back) == codec.digest(request)


@pytest.mark.parametrize("alignment", ["tokens", "characters", "none"])
def test_what_each_side_read_comes_back(alignment: Alignment):
    result = results.attribution(alignment=alignment)
    back = codec.decode(codec.encode(result))
    assert codec.digest(back) == codec.digest(result)
    pd.testing.assert_frame_equal(back.table(), result.table())


def test_canonical_text_is_fixed():
    """Digests kept elsewhere must stay valid: this text is part of the format."""
    value = Pair(ModelSpec(id="demo/base"), np.array([0.1, np.nan], dtype=np.float32))
    assert codec.encode(value) == (
        '{"fields":{"base":{"fields":{"adapter":null,"dtype":"auto","id":"demo/base","placement":"auto","revision":null},"type":"ModelSpec"},"tuned":{"array":"float32","data":[0.1,"nan"],"shape":[2]}},"type":"Pair"}'
    )


def test_one_changed_bit_changes_the_digest():
    array = np.ones(8, dtype=np.float32)
    other = array.copy()
    other[3] = np.nextafter(array[3], np.float32(2))
    assert codec.digest(array) != codec.digest(other)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1", '{"a": 1}', '{"type": "os.system", "fields": {"command": "true"}}', '{"type": "Pair", "fields": {"x": 1}}', '{"array": "object", "shape": [1], "data": [1]}',
     '{"array": "float32", "shape": [2], "data": [1]}', '{"array": "int64", "shape": [1], "data": ["__import__"]}', "[" * 100_000,
     '{"array": "float64", "shape": [1], "data": [NaN]}', '{"array": "float32", "shape": [1], "data": [1' + "0" * 400 + ']}', '{"array": "uint8", "shape": [1], "data": [300]}',
     '{"array": "int64", "shape": [1], "data": [1.9]}', '{"array": "int64", "shape": [-1], "data": [1]}', '{"array": "bool", "shape": [1], "data": [2]}', '{"type": "Pair", "fields": [1]}', "NaN",
     '{"type": "ModelSpec", "fields": {"id": ""}}'],
)  # fmt: skip
def test_foreign_text_is_refused_with_a_sentence(text: str):
    with pytest.raises(Refused, match="not a request or result that Candor wrote"):
        codec.decode(text)


# Types of fields

RECORDS = {kind: results.record(result, request) for kind, (request, result) in results.every().items()}
FOREIGN = json.loads(codec.encode(Closed("nobody")))


def places(plain: Any, inside: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(what it is called, container, key) of everything in a canonical text that an annotation speaks of."""
    if isinstance(plain, dict) and "fields" in plain:
        for name, one in plain["fields"].items():
            called = f"{inside}.{name}" if plain["type"] == "Pair" else f"{plain['type']}.{name}"
            yield called, plain["fields"], name
            yield from places(one, called)
    elif isinstance(plain, list):
        for key, one in enumerate(plain):
            yield f"{inside}[]", plain, key
            yield from places(one, f"{inside}[]")


@pytest.mark.parametrize("kind", RECORDS)
def test_records_of_every_analysis_come_back(kind: str):
    text = codec.encode(RECORDS[kind])
    assert codec.encode(codec.decode(text)) == text


@pytest.mark.parametrize("kind", RECORDS)
def test_a_field_of_another_type_is_refused_wherever_it_stands(kind: str):
    plain, seen = json.loads(codec.encode(RECORDS[kind])), set()
    for called, container, key in list(places(plain)):
        if called in seen or called == "Record.result":
            continue
        seen.add(called)
        before, container[key] = container[key], FOREIGN
        with pytest.raises(Refused, match="not a request or result that Candor wrote"):
            codec.decode(json.dumps(plain))
            pytest.fail(called)
        container[key] = before
    assert len(seen) > 60 and "Opening.threads" in seen and "ModelFacts.attention[][]" in seen
    codec.decode(json.dumps(plain))


OPENING = results.load_report().openings.base


@pytest.mark.parametrize(
    "value",
    [
        replace(OPENING, threads=True),
        replace(OPENING, threads=2.0),
        replace(OPENING, threads="2"),
        replace(OPENING, device=None),
        Pair(replace(OPENING, threads=None), OPENING),
        replace(results.answer(("a",)), stop="never"),
        replace(results.answer(("a",)), text=5),
        replace(results.answer(("a",)), seconds=True),
        replace(results.answer(("a",)), seconds="nan"),
        replace(results.answer(("a",)), log_probs=(0.5,)),
        replace(results.answer(("a",)), alternative_pieces=("ab",)),
        replace(results.answer(("a",)), prompt=OPENING),
        replace(results.surveyed("x"), shares=(0.0, 1.0)),
        replace(results.surveyed("x"), tokens=Pair(1, "2")),
        Tags("Ada", "abc"),
        Judgement("Ada", "fine"),
        Preference("Ada", "base", "middle"),
        Preference("Ada", "both", "left"),
    ],
)
def test_fields_of_another_type_are_refused(value: Any):
    with pytest.raises(Refused, match=r"cannot be \w+\.$"):
        codec.decode(codec.encode(value))


def test_a_whole_number_is_a_number():
    """Another program may write 1 for 1.0."""
    assert codec.decode(codec.encode(replace(results.answer(("a",)), seconds=1))).seconds == 1


def test_a_field_that_is_missing_or_unknown_is_refused():
    """What another version wrote is not guessed at; a field that has a default may be missing."""
    plain = json.loads(codec.encode(OPENING))
    for change in ({"extra": 1}, {"threads": ...}):
        given = {name: one for name, one in {**plain["fields"], **change}.items() if one is not ...}
        with pytest.raises(Refused, match=r"not a request or result that Candor wrote.*(extra|threads)"):
            codec.decode(json.dumps({**plain, "fields": given}))
    judged = json.loads(codec.encode(Judgement("Ada", "fail")))
    del judged["fields"]["reason"]
    assert codec.decode(json.dumps(judged)) == Judgement("Ada", "fail")


@pytest.mark.parametrize("kind", [one for one in codec.TYPES.values() if is_dataclass(one)])
def test_no_field_goes_unchecked_but_what_may_be_anything(kind: type):
    unchecked = {one.name for one in fields(kind)} - {name for name, _ in codec._checks(kind)}
    assert unchecked == {Pair: {"base", "tuned"}, Record: {"result"}, Partial: {"result"}}.get(kind, set())


def test_json_is_for_other_programs_too():
    assert json.loads(codec.encode(np.arange(3))) == {"array": "int64", "shape": [3], "data": [0, 1, 2]}
