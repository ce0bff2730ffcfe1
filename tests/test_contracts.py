"""Requests: what they take, what they say to people about what they do not take."""

from __future__ import annotations

import pytest
from hypothesis import given
from pydantic import ValidationError

from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import MAX_CHARACTERS, Message, ModelSpec, Sampling, Writing, ask, explain
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.contracts.survey import SurveyRequest
from model_utils.pair import Pair
from tests.strategies import instructions


def told(make) -> str:
    with pytest.raises(ValidationError) as caught:
        make()
    return explain(caught.value)


@given(instructions)
def test_any_real_text_is_an_instruction_and_stays_as_it_was(text: str):
    request = GenerationRequest(messages=ask(text))
    assert request.messages[-1].content == text
    assert GenerationRequest.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("a" * (1 << 20), "1,048,576 characters; at most 1,000,000"),
        ("a\ud800", "lone surrogate"),
    ],
)
def test_bad_text_gets_one_sentence(text: str, part: str):
    sentence = told(lambda: ask(text))
    assert part in sentence
    assert sentence.count(".") == 1 and len(sentence) < 200


def test_longest_text_is_taken():
    assert len(ask("a" * MAX_CHARACTERS)[0].content) == MAX_CHARACTERS


def test_messages_end_with_the_person():
    assert "last message must be the person's" in told(lambda: GenerationRequest(messages=()))
    assert "last message" in told(
        lambda: GenerationRequest(messages=(*ask("hi"), Message(role="assistant", content="yes")))
    )


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (
            lambda: GenerationRequest(messages=ask("a"), formats=Pair("chat", "letter")),
            "The template 'letter' does not hold {instruction}; write {instruction} once, where the instruction goes, or choose chat, plain, few-shot.",
        ),
        (
            lambda: GenerationRequest(messages=ask("a"), max_new_tokens=0),
            "max_new_tokens: Input should be greater than or equal to 1, but 0 was given",
        ),
        (lambda: AttentionRequest(messages=ask("a"), layer=-1), "layer"),
        (lambda: AttributionRequest(messages=ask("a"), targets=(-2,)), "targets.0"),
        (lambda: AttributionRequest(messages=ask("a"), surprise=1), "surprise"),
        (lambda: AttributionRequest(messages=ask("a"), targets=(1, 1)), "name a token twice"),
        (lambda: AttributionRequest(messages=ask("a"), own={"targets": (1, 1)}), "name a token twice"),
        (
            lambda: AttributionRequest(messages=ask("a"), targets=(0,), against="b", own={"targets": (0, 1)}),
            "but 2 targets are explained; choose one target",
        ),
        (lambda: ModelSpec(id=""), "id"),
        (lambda: Sampling(temperature=0.0), "temperature: Input should be greater than or equal to 0.01, but 0.0 was"),
        (lambda: Sampling(temperature=1e-40), "greater than or equal to 0.01"),
    ],
)
def test_what_was_given_and_what_is_possible_are_said(make, part: str):
    assert part in told(make)


def test_requests_are_frozen_and_hashable():
    one, other = GenerationRequest(messages=ask("a")), GenerationRequest(messages=ask("a"))
    assert one == other and hash(one) == hash(other)
    with pytest.raises(ValidationError):
        one.max_new_tokens = 3


@pytest.mark.parametrize(
    ("format", "says"),
    [
        ("Answer this:", "The template 'Answer this:' does not hold {instruction}; write {instruction} once"),
        ("{instruction} {instruction}", "holds {instruction} 2 times"),
        ("", "The template '' does not hold {instruction}"),
        ("x" * 30_000 + "{instruction}", "at most 20,000 are taken"),
    ],
)
def test_a_template_that_cannot_be_used_is_said(format: str, says: str):
    with pytest.raises(ValidationError) as caught:
        GenerationRequest(messages=ask("hi"), formats={"base": format, "tuned": "chat"})
    assert says in explain(caught.value)


def test_an_own_template_is_a_format():
    request = GenerationRequest(messages=ask("hi"), formats=Pair("Q: {instruction}", "chat"))
    assert request.formats.base == "Q: {instruction}" and hash(request)


@pytest.mark.parametrize(
    "request_", [GenerationRequest, ShiftRequest, SurveyRequest, AttentionRequest, AttributionRequest]
)
def test_how_an_answer_is_written_is_the_same_in_every_request(request_: type):
    assert issubclass(request_, Writing)
    for name, field in Writing.model_fields.items():
        assert repr(request_.model_fields[name]) == repr(field), "said once"
        assert not any(name in vars(one).get("__annotations__", {}) for one in request_.__mro__ if one is not Writing)
