"""Taking parts away: closed forms on functions whose answer is known, and a slow twin of every way of taking away."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from model_utils import removal, texts
from model_utils.contracts.attribution import OPERATORS, SHAPLEY_PARTS, AttributionRequest, Operator
from model_utils.contracts.common import ask
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.removal import Found, Removal
from model_utils.reporting import Report
from tests import architectures, oracles
from tests.models import loaded

POLL = Report().poll
TEXT = "Name 漢字 three 🎉 e\u0301 animals."


class Known:
    """A function of which parts stay, in the place of a model; one more part, the first, always stays."""

    def __init__(self, parts: int, function: Callable[[np.ndarray], np.ndarray], targets: int = 1) -> None:
        self.function, self.count, self.open = function, parts + 1, np.arange(1, parts + 1)
        self.target = SimpleNamespace(count=1, rows=np.zeros(targets, dtype=int))
        self.unseen = np.zeros((1, self.count), dtype=bool)
        self.reads = 0

    def scores(self) -> np.ndarray:
        return np.full((1, self.count), np.nan)

    def all(self) -> np.ndarray:
        return np.ones((1, self.count), dtype=bool)

    def values(self, kept: np.ndarray, poll: Callable[[], None]) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, len(kept), 3):
            some = slice(start, min(start + 3, len(kept)))
            self.reads += some.stop - some.start
            assert kept[some, 0].all(), "what always stays was taken away"
            yield some, self.function(kept[some][:, 1:].astype(float))[:, None]


def additive(*weights: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda kept: kept @ np.array(weights)


def last(steps: Iterator[tuple[float, Found]]) -> Found:
    every = list(steps)
    shares = [share for share, _ in every]
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == 1
    return every[-1][1]


def test_shapley_values_of_a_sum_are_its_terms_and_of_a_product_its_halves():
    weights = (0.4, 0.3, -0.1, 0.2)
    found = last(removal.shapley(Known(4, additive(*weights)), 0, 0, POLL))
    assert math.isnan(found.scores[0, 0])
    np.testing.assert_allclose(found.scores[0, 1:], weights)
    product = last(removal.shapley(Known(2, lambda kept: 6 * kept[:, 0] * kept[:, 1]), 0, 0, POLL))
    np.testing.assert_allclose(product.scores[0, 1:], (3, 3))
    assert (product.values, product.rest) == ([6], [0])


def test_shapley_values_are_the_mean_gain_over_all_orders_and_samples_come_close():
    table = np.random.default_rng(0).normal(size=32)
    function = lambda kept: table[(kept @ (1 << np.arange(5))).astype(int)]  # noqa: E731
    gains = np.zeros(5)
    for order in itertools.permutations(range(5)):
        here = np.zeros((1, 5))
        for part in order:
            before = function(here)[0]
            here[0, part] = 1
            gains[part] += (function(here)[0] - before) / math.factorial(5)
    exact = last(removal.shapley(Known(5, function), 0, 0, POLL))
    np.testing.assert_allclose(exact.scores[0, 1:], gains)
    sampled = last(removal.shapley(Known(5, function), 400, 3, POLL))
    assert sampled.spread is not None
    assert (np.abs(sampled.scores - exact.scores)[0, 1:] < 4 * sampled.spread[0, 1:]).all()
    for found in (exact, sampled):
        assert np.nansum(found.scores) == pytest.approx(table[31] - table[0])


def test_too_many_parts_for_shapley_values_are_refused():
    with pytest.raises(Refused, match=f"at most {SHAPLEY_PARTS} parts, and this text has 13"):
        last(removal.shapley(Known(13, additive(*range(13))), 0, 0, POLL))


def test_occlusion_of_a_sum_gives_its_terms_in_one_pass_more_than_there_are_parts():
    known = Known(5, additive(1, 2, 3, 4, 5))
    np.testing.assert_allclose(last(removal.occlusion(known, POLL)).scores[0, 1:], (1, 2, 3, 4, 5))
    assert known.reads == 6


def test_the_surrogate_of_a_sum_is_the_sum_shrunk(monkeypatch: pytest.MonkeyPatch):
    """Over all masks once each, as METRICS' closed form has it: (3, -2, 0.5, 0.05) over 10 targets is shrunk by 0.02 x 10."""
    every = np.array(list(itertools.product((False, True), repeat=4)))
    monkeypatch.setattr(removal, "_masks", lambda samples, parts, seed: every)
    found = last(removal.surrogate(Known(4, additive(3, -2, 0.5, 0.05), targets=10), 16, 0, POLL))
    np.testing.assert_allclose(found.scores[0, 1:], (2.8, -1.8, 0.3, 0), atol=1e-6)


def test_the_surrogate_of_a_difference_is_the_difference_shrunk_once(monkeypatch: pytest.MonkeyPatch):
    """(3, -2, 0.5, 0.05) and (1, -2.1, 0, 3) over 10 targets differ by (2, 0.1, 0.5, -2.95), which is shrunk by 0.2; the difference of both fits is not."""
    every = np.array(list(itertools.product((False, True), repeat=4)))
    monkeypatch.setattr(removal, "_masks", lambda samples, parts, seed: every)
    one, other = (Known(4, additive(*terms), targets=10) for terms in ((3, -2, 0.5, 0.05), (1, -2.1, 0, 3)))
    read = [last(removal.surrogate(known, 16, 0, POLL)).masked for known in (one, other)]
    np.testing.assert_allclose(
        removal.fit(one, read[0] - read[1], 0, np.array([10]))[0, 1:], (1.8, 0, 0.3, -2.75), atol=1e-6
    )


def test_a_surrogate_of_very_few_masks_is_refused_and_not_all_zero():
    with pytest.raises(Refused, match="at least 16 random masks, and 3 were asked for"):
        last(removal.surrogate(Known(4, additive(3, -2, 0.5, 0.05)), 3, 0, POLL))


# With real models


@pytest.fixture(scope="module")
def made(tiny_pair: Pair[Path]) -> Callable[..., Removal]:
    pair = loaded(tiny_pair)

    def make(operator: Operator = "mean embedding", quantity: str = "log-probability", **fields) -> Removal:
        request = AttributionRequest(messages=ask(TEXT), answer_ids=(20, 30, 40), quantity=quantity, **fields)  # fmt: skip
        given = texts.read(pair, request, together=False, report=Report())
        return Removal(pair.tuned, given.texts.tuned, given.targets.tuned, operator)

    return make


def read(made_one: Removal, kept: np.ndarray) -> np.ndarray:
    return np.concatenate([values for _, values in made_one.values(kept, POLL)])


def slow(one: Removal, module: Any, kept: np.ndarray) -> np.ndarray:
    """(target,) log-probabilities of one text, by a plain forward of its own."""
    stays, places = kept[one.parts], one.target.places
    return oracles.log_probs_without(module, one.ids, stays, one.operator, places, one.target.ids, one.encoder_length)


@pytest.mark.parametrize("operator", OPERATORS)
def test_values_are_those_of_a_plain_forward_over_the_changed_text(
    made: Callable[..., Removal], tiny_pair: Pair[Path], operator: Operator
):
    one = made(operator)
    kept = np.ones((12, one.count), dtype=bool)
    kept[1:, one.open] = np.random.default_rng(0).random((11, len(one.open))) < 0.6
    found = read(one, kept)
    module = AutoModelForCausalLM.from_pretrained(tiny_pair.tuned, attn_implementation="eager").eval()
    for row, values in zip(kept, found, strict=True):
        np.testing.assert_allclose(values, slow(one, module, row), atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("architecture", architectures.ARCHITECTURES)
def test_every_architecture_reads_the_changed_text_as_a_plain_forward_does(
    tmp_path: Path, architecture: str, operator: Operator
):
    """Occlusion's texts, each without one part, and some without many: in padded batches here, one by one and really built so there."""
    folders = Pair(*([architectures.tiny(tmp_path, architecture)] * 2))
    pair = loaded(folders)
    request = AttributionRequest(messages=ask(TEXT), format="plain", answer_ids=(20, 30, 40), quantity="log-probability", operator=operator)  # fmt: skip
    given = texts.read(pair, request, together=False, report=Report())
    one = Removal(pair.tuned, given.texts.tuned, given.targets.tuned, operator)
    kept = np.ones((1 + len(one.open) + 4, one.count), dtype=bool)
    kept[np.arange(1, 1 + len(one.open)), one.open] = False
    kept[-4:, one.open] = np.random.default_rng(0).random((4, len(one.open))) < 0.6
    family = AutoModelForSeq2SeqLM if architecture in architectures.ENCODER_DECODER else AutoModelForCausalLM
    module = family.from_pretrained(folders.tuned).eval()
    assert len(one.open) > 10
    near = 1e-3 if architecture == "qwen3_next" else 1e-4  # its recurrent layers add up in chunks, which padding moves
    for row, values in zip(kept, read(one, kept), strict=True):
        np.testing.assert_allclose(values, slow(one, module, row), rtol=0, atol=near)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_size_of_batches_changes_nothing_but_rounding(
    made: Callable[..., Removal], operator: Operator, monkeypatch: pytest.MonkeyPatch
):
    one = made(operator)
    kept = np.ones((9, one.count), dtype=bool)
    kept[np.arange(9), one.open[:9]] = False
    together = read(one, kept)
    monkeypatch.setattr(removal, "BATCH_TOKENS", 1)
    assert one.batch() == 1
    np.testing.assert_allclose(read(one, kept), together, atol=1e-5)


def test_deleting_everything_is_refused(made: Callable[..., Removal]):
    one = made("delete")
    kept = ~one.all()
    with pytest.raises(Refused, match="leaves nothing"):
        read(one, kept)
