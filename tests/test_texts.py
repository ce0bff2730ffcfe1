"""Texts that are explained: the same characters in tokens of each model's own, or each model's own prompt and answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from model_utils import texts
from model_utils.contracts.agreement import AgreementRequest
from model_utils.contracts.attribution import (
    GRANULARITIES,
    METHODS,
    Attribution,
    AttributionRequest,
    Explaining,
    Method,
    OwnText,
    Parted,
    forced,
)
from model_utils.contracts.common import ask
from model_utils.contracts.faithfulness import FaithfulnessRequest
from model_utils.contracts.randomisation import RandomisationRequest
from model_utils.contracts.shift import ShiftRequest
from model_utils.errors import NotAlike, Refused
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Report
from tests import architectures, oracles
from tests.models import loaded, run

TEXT = "Name 漢字 three 🎉 e\u0301 animals. שלום, then stop."


@pytest.fixture(scope="module")
def unlike(tiny_pair: Pair[Path], tmp_path_factory: pytest.TempPathFactory) -> Pair[Path]:
    """Two models, of which base's tokenizer knows half of the merges of tuned's."""
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path_factory.mktemp("unlike") / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: len(tokenizer["model"]["merges"]) // 2]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return Pair(folder, tiny_pair.tuned)


def request(pair: Pair[Path], text: str = TEXT, answer: str = " The three are animals.", **fields) -> AttributionRequest:  # fmt: skip
    """An answer in the tokens of tuned."""
    ids = loaded(pair).tuned.tokenizer(answer, add_special_tokens=False)["input_ids"]
    return AttributionRequest(messages=ask(text), **{"format": "plain", "answer_ids": tuple(ids), **fields})


def read(pair: Pair[LanguageModel], asked: Explaining, together: bool = False) -> texts.Read:
    return texts.read(pair, asked, together, Report())


def said(text: Parted) -> list[str]:
    """The characters of each part that may be taken away, without the space around the instruction."""
    return [name.strip() for name, one in zip(text.names(), text.open, strict=True) if one]


@settings(max_examples=60)
@given(
    words=st.lists(st.sampled_from(["Name", "three", "漢字", "🎉", "e\u0301", "שלום", "a.b", "\n", "animals.", "👩‍👩‍👧"]), min_size=1),
    granularity=st.sampled_from(["token", "word", "sentence"]),
    answer_too=st.booleans(),
)  # fmt: skip
def test_parts_hold_the_same_characters_on_both_sides(unlike: Pair[Path], words, granularity, answer_too):
    asked = request(unlike, " ".join(["Say", *words]), granularity=granularity, answer_too=answer_too)
    found = read(loaded(unlike), asked)
    assert said(found.texts.base) == said(found.texts.tuned) != []
    for text in found.texts.sides:
        assert not text.open[text.parts[text.sequence.special | (text.sequence.roles == 0)]].any()
    assert len(found.texts.base.places()) == len(found.texts.tuned.places())


def test_rows_are_pieces_of_the_answer_and_their_values_sums_over_each_models_tokens(unlike: Pair[Path]):
    result: Attribution = run("attribution", unlike, request(unlike, quantity="log-probability"))
    assert result.alignment == "characters" and result.row_names("base") == result.row_names("tuned")
    assert "".join(result.row_names("tuned")) == " The three are animals."
    assert max(map(len, result.texts.base.places())) > 1, "a piece of several tokens"
    for side, folder in unlike.items():
        sequence = result.texts[side].sequence
        known = oracles.log_probs(AutoModelForCausalLM.from_pretrained(folder), sequence.ids)
        for value, places in zip(result.values[side], result.texts[side].places(), strict=True):
            assert value == pytest.approx(known[places - 1, sequence.ids[places]].sum(), abs=1e-4)


def test_scores_of_a_piece_are_the_slopes_of_its_tokens_sum(unlike: Pair[Path]):
    result: Attribution = run("attribution", unlike, request(unlike, quantity="log-probability"))
    for side, folder in unlike.items():
        module, text = AutoModelForCausalLM.from_pretrained(folder), result.texts[side]
        ids = text.sequence.ids.tolist()
        for scores, places in zip(result.scores[side], text.places(), strict=True):
            tokens = sum(oracles.gradient_x_input(module, ids, int(place), "log-probability") for place in places)
            slow = np.bincount(text.parts, tokens, len(text.open))
            np.testing.assert_allclose(scores, slow, atol=2e-5 * np.abs(slow).max())


def test_the_pieces_are_those_of_the_shift(unlike: Pair[Path]):
    asked = request(unlike, quantity="log-probability")
    shift = ShiftRequest(messages=asked.messages, formats=Pair("plain", "plain"), answers=Pair((40,), asked.answer_ids))
    forced = run("shift", unlike, shift).answers.tuned
    result = run("attribution", unlike, asked)
    assert result.row_names("tuned") == list(forced.texts)
    for side, values in result.values.items():
        np.testing.assert_allclose(values, forced.log_probs[side], atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_tokens_in_pieces_have_the_same_scores(
    tiny_pair: Pair[Path], method: Method, monkeypatch: pytest.MonkeyPatch
):
    """Where both models cut a text alike, both ways of laying it side by side are one."""
    asked = request(tiny_pair, "Say three words. Then stop.", method=method, granularity="sentence", quantity="log-probability", steps=3)  # fmt: skip
    alike: Attribution = run("attribution", tiny_pair, asked)

    def apart(*_: object) -> None:
        raise NotAlike("as if")

    monkeypatch.setattr(texts, "shared_sequence", apart)
    from model_utils import attribution

    found = attribution.attribution(loaded(tiny_pair), asked, Report())
    assert (alike.alignment, found.alignment) == ("tokens", "characters")
    for side in SIDES:
        np.testing.assert_array_equal(found.values[side], alike.values[side])
        np.testing.assert_array_equal(found.open_totals()[side], alike.open_totals()[side])
    np.testing.assert_array_equal(found.open_difference(), alike.open_difference())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("granularity", ["word", "span"])
def test_every_method_on_unlike_tokens_and_swapping_sides_swaps(unlike: Pair[Path], method: Method, granularity: str):
    spans = ("Name", "animals. שלום") if granularity == "span" else ()
    asked = request(unlike, method=method, granularity=granularity, spans=spans, answer_too=False, samples=0, steps=2)
    if method == "Shapley values" and granularity == "word":
        asked = asked.model_copy(update={"granularity": "sentence"})
    result: Attribution = run("attribution", unlike, asked)
    other: Attribution = run("attribution", unlike.swap(), asked.model_copy(update={"answer_from": "base"}))
    np.testing.assert_array_equal(result.scores.base, other.scores.tuned)
    np.testing.assert_array_equal(result.scores.tuned, other.scores.base)
    one, two = result.differences(), other.differences()
    np.testing.assert_allclose(one[:, result.texts.tuned.open], -two[:, other.texts.tuned.open], atol=1e-6)
    assert np.isfinite(one[:, result.texts.tuned.open]).all()
    errors = result.completeness_error()
    if method == "Shapley values" and errors is not None:
        assert max(np.abs(error).max() for error in errors.sides) < 1e-4


def test_an_explained_piece_of_several_tokens_stays_in_the_text(unlike: Pair[Path]):
    found = read(loaded(unlike), request(unlike))
    for side in SIDES:
        text = found.texts[side]
        for row, places in enumerate(text.places()):
            if any(len(found.texts[one].places()[row]) > 1 for one in SIDES):
                assert not text.open[text.parts[places]].any()
    assert any("stay in the text" in note for note in found.notes)


def test_a_target_inside_a_piece_explains_the_piece(unlike: Pair[Path]):
    asked = request(unlike)
    whole = read(loaded(unlike), asked.model_copy(update={"answer_from": "tuned"}))
    for number in range(len(asked.answer_ids or ())):
        one = read(loaded(unlike), asked.model_copy(update={"targets": (number,)}))
        rows = [list(places) for places in whole.texts.tuned.places()]
        assert [list(places) for places in one.texts.tuned.places()] == [row for row in rows if one.texts.tuned.places()[0][0] in row]  # fmt: skip


def test_a_decoder_and_an_encoder_with_a_decoder_are_compared_in_pieces(tiny_pair: Pair[Path], tmp_path: Path):
    pair = Pair(architectures.tiny(tmp_path / "t5", "t5"), tiny_pair.tuned)
    for method in ("gradient x input", "occlusion"):
        result: Attribution = run("attribution", pair, request(pair, "Name three.", method=method, granularity="word"))
        assert result.alignment == "characters" and result.texts.base.sequence.encoder_length
        assert np.isfinite(result.differences()[:, result.texts.tuned.open]).all()


# Each its own text

OWN = OwnText(format="few-shot", answer_ids=(50, 60, 70), targets=(1,))


@pytest.mark.parametrize("granularity", [one for one in GRANULARITIES if one != "span"])
def test_each_side_scores_its_own_text_as_if_both_read_it(tiny_pair: Pair[Path], granularity: str):
    asked = AttributionRequest(messages=ask(TEXT), format="plain", answer_ids=(20, 30, 40), targets=(0, 2), granularity=granularity, own=OWN)  # fmt: skip
    result: Attribution = run("attribution", tiny_pair, asked)
    assert not result.aligned and np.isnan(result.differences()).all() and np.isnan(result.difference()).all()
    alone = asked.model_copy(update={"own": None})
    theirs = alone.model_copy(update={"format": OWN.format, "answer_ids": OWN.answer_ids, "targets": OWN.targets})
    for side, one in (("tuned", alone), ("base", theirs)):
        model = tiny_pair[side]
        expected: Attribution = run("attribution", Pair(model, model), one)
        np.testing.assert_array_equal(result.scores[side], expected.scores[side])
        np.testing.assert_array_equal(result.texts[side].sequence.ids, expected.texts[side].sequence.ids)
    table = result.table()
    assert table["difference"].isna().all() and (table["base"].isna() != table["tuned"].isna()).all()
    assert len(table) == sum(len(text.open) for text in result.texts.sides)


def test_the_evidence_and_the_further_checks_are_about_the_same_texts(tiny_pair: Pair[Path], unlike: Pair[Path]):
    for pair, own in ((tiny_pair, OWN), (unlike, None)):
        asked = request(pair, own=own, targets=(1,), granularity="word", method="occlusion")
        result: Attribution = run("attribution", pair, asked)
        shared = {name: getattr(asked, name) for name in Explaining.model_fields}
        scores = result.totals().map(lambda totals: tuple(np.nan_to_num(totals).tolist()))
        judged = run("faithfulness", pair, FaithfulnessRequest(**shared, scores=scores))
        agreed = run("agreement", pair, AgreementRequest(**shared, methods=("occlusion", "gradient norm")))
        shaken = run("randomisation", pair, RandomisationRequest(**shared, method="occlusion"))
        for side in SIDES:
            for other in (judged, agreed, shaken):
                np.testing.assert_array_equal(other.texts[side].parts, result.texts[side].parts)
            assert judged.judged[side].whole == pytest.approx(result.values[side].sum(), abs=1e-4)
            np.testing.assert_allclose(agreed.scores[side][0], result.totals()[side], atol=1e-5)
            np.testing.assert_allclose(shaken.shuffled[side].scores[0], result.totals()[side], atol=1e-5)
        assert judged.alignment == agreed.alignment == result.alignment
        table = agreed.scores_table()
        assert len(table) == (agreed.counts.tuned if own is None else sum(agreed.counts.sides))


def test_random_orders_take_the_same_pieces_on_both_sides(unlike: Pair[Path]):
    asked = request(unlike, granularity="word")
    result: Attribution = run("attribution", unlike, asked)
    shared = {name: getattr(asked, name) for name in Explaining.model_fields}
    ranks = Pair(*(np.zeros(len(result.texts[side].open)) for side in SIDES))
    for side in SIDES:
        ranks[side][result.texts[side].open] = np.arange(result.texts[side].open.sum())
    scores = ranks.map(lambda one: tuple(one.tolist()))
    found = run("faithfulness", unlike, FaithfulnessRequest(**shared, scores=scores))
    assert found.identical
    np.testing.assert_array_equal(found.judged.base.counts, found.judged.tuned.counts)


# What cannot be


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"quantity": "probability"}, "do not add up; choose the log-probability"),
        ({"targets": (99,)}, "there is no token 99"),
        ({"targets": (2,), "against": "zzzz qqqq"}, "tokens for"),
        ({"answer_ids": ()}, "has no tokens"),
        ({"spans": ("nowhere",), "granularity": "span"}, "is not in the instruction"),
    ],
)
def test_what_unlike_tokens_do_not_allow_is_said(unlike: Pair[Path], fields: dict, part: str):
    with pytest.raises(Refused, match=part):
        run("attribution", unlike, request(unlike, **fields))


def test_what_ends_an_answer_is_no_text_for_the_other_model(unlike: Pair[Path]):
    end = loaded(unlike).tuned.tokenizer.eos_token_id
    asked = request(unlike)
    ended = asked.model_copy(update={"answer_ids": (*(asked.answer_ids or ()), end)})
    found = read(loaded(unlike), ended)
    assert not any(found.texts[side].sequence.special[found.texts[side].sequence.positions("answer")].any() for side in SIDES)  # fmt: skip
    with pytest.raises(Refused, match="ends it and is no text"):
        read(loaded(unlike), ended.model_copy(update={"targets": (len(asked.answer_ids or ()),)}))
    with pytest.raises(Refused, match="holds no text"):
        read(loaded(unlike), asked.model_copy(update={"answer_ids": (end,)}))


def test_models_that_only_end_answers_differently_read_the_same_tokens(tiny_pair: Pair[Path], tmp_path: Path):
    """Then the evidence, which is given the answer without its end, is about the very same parts."""
    folder = Path(shutil.copytree(tiny_pair.base, tmp_path / "other-end"))
    end = loaded(tiny_pair).tuned.tokenizer.eos_token
    for name in ("tokenizer.json", "tokenizer_config.json"):
        file = folder / name
        file.write_text(file.read_text().replace(end, "<|fin|>"))
    pair = Pair(folder, tiny_pair.tuned)
    ids = (20, 30, 40, loaded(tiny_pair).tuned.tokenizer.eos_token_id)
    asked = AttributionRequest(messages=ask(TEXT), format="plain", answer_ids=ids, targets=(1,))
    found = read(loaded(pair), asked)
    assert found.alignment == "tokens" and found.notes == (texts.ENDED,)
    again = read(loaded(pair), asked.model_copy(update=forced(asked, found.texts)))
    assert again.alignment == "tokens" and again.texts.tuned.parts.tolist() == found.texts.tuned.parts.tolist()


def test_numbers_of_tokens_are_not_carried_into_another_vocabulary(unlike: Pair[Path]):
    asked = request(unlike, method="integrated gradients", baseline=40)
    with pytest.raises(Refused, match="The token 40 is another one in each of the two models"):
        run("attribution", unlike, asked)
    pair = loaded(unlike)
    byte = pair.tuned.tokenizer("漢", add_special_tokens=False)["input_ids"][0]
    assert "\ufffd" in pair.tuned.tokenizer.decode([byte])
    with pytest.raises(Refused, match="is part of a character"):
        read(pair, request(unlike, targets=(0,), answer=" a b", against=byte))


def test_another_token_is_found_in_each_vocabulary(unlike: Pair[Path]):
    """By its text, or by its id in the vocabulary of the side that wrote the answer."""
    pair = loaded(unlike)
    answer = tuple(pair.tuned.tokenizer("a b c", add_special_tokens=False)["input_ids"])
    other = pair.tuned.tokenizer("x", add_special_tokens=False)["input_ids"]
    for given_ in ("x", other[0]):
        asked = request(unlike, answer_ids=answer, targets=(0,), against=given_)
        against = read(pair, asked).targets.map(lambda target: target.against)
        assert against.tuned == other[0]
        assert against.base is not None and pair.base.tokenizer.decode([against.base]) == "x"
