"""Parts of a text: every token in one, the format in none that may go, and words and sentences that people would call so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from model_utils import prompts
from model_utils.agreement import tau
from model_utils.contracts.attribution import GRANULARITIES, AttributionRequest, Granularity
from model_utils.contracts.common import ROLES, Encoded, ask
from model_utils.errors import Refused
from model_utils.parts import parts_of, settled
from tests import builders
from tests.strategies import instructions

TOKENIZER = builders.tiny_tokenizer(True)
ANSWER = "Approve it. Income is high."


def sequence(text: str) -> Encoded:
    prompt = prompts.encode_prompt(TOKENIZER, ask(text), "chat", TOKENIZER.chat_template)
    return prompts.join(prompt, prompts.encode_answer(TOKENIZER, prompt, ANSWER))


def request(text: str, granularity: Granularity, **fields) -> AttributionRequest:
    return AttributionRequest(messages=ask(text), granularity=granularity, **fields)


def named(read: Encoded, parts: np.ndarray, open_: np.ndarray) -> list[str]:
    """The text of each part that may go."""
    return [read.said(np.flatnonzero(parts == part)) for part in np.flatnonzero(open_)]


@pytest.mark.parametrize("granularity", [one for one in GRANULARITIES if one != "span"])
@settings(max_examples=40)
@given(text=instructions)
def test_parts_hold_every_token_in_order_and_only_the_written_ones_may_go(granularity: Granularity, text: str):
    read = sequence(text)
    parts, open_ = parts_of(read, request(text, granularity))
    assert parts[0] == 0 and set(np.diff(parts)) <= {0, 1} and len(open_) == parts[-1] + 1
    fixed = (read.roles == ROLES.index("template")) | read.special
    np.testing.assert_array_equal(open_[parts], ~fixed)
    for part in range(len(open_)):
        assert len(set(read.roles[parts == part])) == 1
    if granularity == "token":
        np.testing.assert_array_equal(parts, np.arange(len(read)))


def test_words_and_sentences_are_what_people_call_so():
    text = "Decide about Mr. X's loan: income 52, debt 3. Is it 漢字 good?\nSay why!"
    read = sequence(text)
    words = named(read, *parts_of(read, request(text, "word", answer_too=False)))
    assert words[:9] == [" Decide", " about", " Mr", ".", " X's", " loan", ":", " income", " 52"]
    assert "".join(words) == f" {text}"
    sentences = named(read, *parts_of(read, request(text, "sentence")))
    assert [one.strip() for one in sentences][-3:] == ["Say why!", "Approve it.", "Income is high."]
    assert "".join(sentences).strip() == text + ANSWER


def test_passages_are_single_parts_wherever_they_occur_and_nothing_else_may_go():
    text = "income 52, debt 3, income 52"
    read = sequence(text)
    parts, open_ = parts_of(read, request(text, "span", spans=("income", "debt 3")))
    assert open_.sum() == 2
    first, second = np.flatnonzero(open_)
    pieces = np.array(read.pieces, dtype=object)
    assert "".join(pieces[parts == first]).replace(" ", "") == "incomeincome"
    assert "".join(pieces[parts == second]).strip(" ") == "debt 3"


@pytest.mark.parametrize(
    ("spans", "said"), [(("wealth",), "is not in the instruction"), (("debt 3", "3, in"), "share a token")]
)
def test_passages_that_cannot_be_taken_away_are_refused(spans: tuple[str, ...], said: str):
    text = "income 52, debt 3, income 52"
    with pytest.raises(Refused, match=said):
        parts_of(sequence(text), request(text, "span", spans=spans))


def test_the_answer_can_be_left_out():
    read = sequence("Name three.")
    parts, open_ = parts_of(read, request("Name three.", "word", answer_too=False))
    assert not open_[parts[read.positions("answer")]].any() and open_.any()


def test_what_rounding_alone_could_have_made_is_tied():
    """Two runs of one map, three parts with an effect and float32 noise of a logit of 12: the orders of the rest are no orders."""
    random = np.random.default_rng(0)
    effect = np.zeros(40)
    effect[[3, 11, 30]] = 1.0, -0.4, 0.02
    one, other = (effect + random.normal(scale=2e-6, size=40) for _ in range(2))
    np.testing.assert_array_equal(np.flatnonzero(settled(one, "occlusion", 12.0)), [3, 11, 30])
    assert tau(one, other) < 0.5
    assert tau(*(settled(each, "occlusion", 12.0) for each in (one, other))) == pytest.approx(1)
    assert np.flatnonzero(settled(one, "gradient x input", 12.0)).size > 3, "a slope is no difference of two values"
    assert settled(np.zeros(0), "occlusion", 0.0).size == 0
