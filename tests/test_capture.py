"""Capture: what is read is what the eager kernel gives, the pass is the ordinary one, ends at the last layer asked for, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedConfig, XGLMConfig

from model_utils import anatomy, capture
from model_utils.contracts.common import AttentionKind, Encoded, ModelSpec, SharedSequence, ask
from model_utils.generation import shared_sequence
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report
from model_utils.shapes import special_ids, write
from tests import architectures, oracles
from tests.architectures import ARCHITECTURES, HEADS, WITHOUT_ATTENTION
from tests.builders import tiny_tokenizer
from tests.models import loaded, opened

TEXT = "Sort these numbers: 12, 7, 45, 3. Why?"
ANSWER = (60, 90, 120, 200, 33, 61, 62, 63)
CLOSE = {"rtol": 1e-3, "atol": 2e-5}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every text of these tests has some, the last one not full."""
    monkeypatch.setattr(capture, "TILE", 7)


def text(model: LanguageModel, instruction: str = TEXT, answer: tuple[int, ...] = ANSWER) -> Encoded:
    request = SharedSequence(messages=ask(instruction), format="plain", answer_ids=answer)
    return shared_sequence(Pair(model, model), request, Report())


def maps(
    model: LanguageModel, sequence: Encoded, kind: AttentionKind = "self", layers: Collection[int] = (0,)
) -> dict[int, np.ndarray]:
    """layer -> (head, query, key), its tiles put together; where nobody in a tile looks any more there is nothing."""
    tiles: dict[int, list[torch.Tensor]] = {}

    def visit(look: capture.Layer, start: int, weights: torch.Tensor) -> None:
        assert start == sum(tile.shape[1] for tile in tiles.get(look.layer, [])), "the tiles follow one another"
        assert weights.dtype == torch.float32 and weights.shape[1] <= capture.TILE
        tiles.setdefault(look.layer, []).append(weights)

    capture.read(model, sequence, kind, layers, visit, lambda: None)
    return {layer: _together(found) for layer, found in tiles.items()}


def _together(tiles: list[torch.Tensor]) -> np.ndarray:
    width = max(tile.shape[2] for tile in tiles)
    return torch.cat([torch.nn.functional.pad(tile, (0, width - tile.shape[2])) for tile in tiles], dim=1).numpy()


def eager(model: LanguageModel, sequence: Encoded) -> dict[tuple[AttentionKind, int], np.ndarray]:
    """(kind, layer) -> (head, query, key), as transformers itself gives them."""
    family = AutoModelForSeq2SeqLM if sequence.encoder_length else AutoModelForCausalLM
    module = family.from_pretrained(model.plan.checkpoint.folder, attn_implementation="eager").eval()
    return oracles.recorded_attention(module, sequence.ids, sequence.encoder_length)


@pytest.fixture(scope="module")
def tiny(tiny_llama: Path) -> LanguageModel:
    return opened(ModelSpec(id=str(tiny_llama)))


@pytest.fixture(scope="module")
def fallback(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """An architecture whose attention is written in its own way, and gives no access but its whole map."""
    folder = tmp_path_factory.mktemp("xglm")
    return opened(ModelSpec(id=str(_written(folder, d_model=32, ffn_dim=48, num_layers=3, attention_heads=HEADS))))


def _written(folder: Path, **shape: int) -> Path:
    tokenizer = tiny_tokenizer(chat_template=False)
    ids = {**special_ids(tokenizer), "vocab_size": len(tokenizer)}
    config: PreTrainedConfig = XGLMConfig(**shape, **ids, max_position_embeddings=architectures.CONTEXT)
    write(folder, tokenizer, config, seed=5)
    return folder


@pytest.fixture(scope="module", params=[name for name in ARCHITECTURES if name not in WITHOUT_ATTENTION])
def architecture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = architectures.tiny(tmp_path_factory.mktemp(request.param), request.param, seed=3)
    return opened(ModelSpec(id=str(folder)))


def check_maps(model: LanguageModel) -> None:
    """All layers of a kind at once, and each by itself."""
    sequence = text(model)
    expected = eager(model, sequence)
    assert set(expected) == set(model.facts.attention)
    for kind in dict.fromkeys(kind for kind, _ in expected):
        layers = model.facts.attention_layers(kind)
        together = maps(model, sequence, kind, layers)
        assert list(together) == list(layers)
        for layer in layers:
            alone = maps(model, sequence, kind, (layer,))
            for found in (together[layer], alone[layer]):
                np.testing.assert_allclose(found, expected[kind, layer][..., : found.shape[2]], **CLOSE)
                np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
            if kind == "self":
                assert not np.triu(found, 1).any()


def check_logits(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass whose layers are all read, and which then goes on to its end, gives what one gives that nobody reads."""
    sequence = text(model)
    read = anatomy.parts(model.ids(sequence.ids), sequence.encoder_length)
    rows = torch.arange(read[-1].shape[1])
    with model.running() as module:
        ordinary = anatomy.logits(module, read, rows)
    for kind in dict.fromkeys(kind for kind, _ in model.facts.attention):
        found = logits_of_reading(model, sequence, kind, rows, monkeypatch)
        assert (found - ordinary).abs().max() <= 2e-5 * ordinary.abs().max(), (
            "more than rounding of numbers of this size"
        )


def logits_of_reading(
    model: LanguageModel, sequence: Encoded, kind: AttentionKind, rows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> torch.Tensor:
    found: list[torch.Tensor] = []
    plain = anatomy.logits

    class Patient(capture._Reader):
        """Waits for a layer that never comes."""

        def __init__(self, sites: dict[int, anatomy.Site], visit: capture.Visit) -> None:
            super().__init__(sites, visit)
            self._left += 1

    with monkeypatch.context() as patched:
        patched.setattr(capture, "_Reader", Patient)
        patched.setattr(anatomy, "logits", lambda module, read: found.append(plain(module, read, rows)))
        maps(model, sequence, kind, model.facts.attention_layers(kind))
    return found[0]


@pytest.mark.slow
def test_every_architectures_maps_are_the_eager_kernels(architecture: LanguageModel):
    check_maps(architecture)


@pytest.mark.slow
def test_small_tiles_see_what_every_architecture_lets_them_see(
    architecture: LanguageModel, monkeypatch: pytest.MonkeyPatch
):
    """A sliding window hides keys before a tile too."""
    monkeypatch.setattr(capture, "TILE", 5)
    check_maps(architecture)


@pytest.mark.slow
def test_reading_does_not_change_any_architectures_logits(architecture: LanguageModel, monkeypatch: pytest.MonkeyPatch):
    check_logits(architecture, monkeypatch)


def test_maps_are_the_eager_kernels(tiny: LanguageModel):
    check_maps(tiny)


def test_reading_does_not_change_logits(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch):
    check_logits(tiny, monkeypatch)


def test_an_attention_that_gives_only_its_whole_map_is_read_from_that(
    fallback: LanguageModel, monkeypatch: pytest.MonkeyPatch
):
    looks: list[capture.Layer] = []
    capture.read(fallback, text(fallback), "self", (0,), lambda look, *_: looks.append(look), lambda: None)
    assert all(isinstance(look, capture.Given) for look in looks)
    check_maps(fallback)
    check_logits(fallback, monkeypatch)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_size_of_tiles_does_not_matter(
    tiny: LanguageModel, fallback: LanguageModel, size: int, monkeypatch: pytest.MonkeyPatch
):
    for model in (tiny, fallback):
        sequence, layers = text(model), model.facts.attention_layers("self")
        expected = maps(model, sequence, "self", layers)
        with monkeypatch.context() as patched:
            patched.setattr(capture, "TILE", size)
            found = maps(model, sequence, "self", layers)
        for layer in layers:
            np.testing.assert_allclose(found[layer], expected[layer], rtol=1e-4, atol=1e-6)


@given(start=st.integers(0, 40), count=st.integers(1, 20), inner=st.integers(0, 18))
@settings(max_examples=25)
def test_the_weights_of_some_queries_can_be_computed_again(tiny: LanguageModel, start: int, count: int, inner: int):
    """From the layer itself, and from what `only` keeps of it, whose first query then stands where it stood."""
    sequence = text(tiny)
    expected = maps(tiny, sequence, layers=(1,))[1]
    start = min(start, len(sequence) - count)
    inner = min(inner, count - 1)
    found = []

    def visit(look: capture.Layer, first: int, weights: torch.Tensor) -> None:
        kept = look.only(slice(start, start + count))
        assert len(kept) == count and kept.first == start
        found.extend([look.tile(start + inner, start + count)[1], kept.tile(inner, count)[1]])

    capture.read(tiny, sequence, "self", (1,), visit, lambda: None)
    for weights in found:
        rows = expected[:, start + inner : start + count, : weights.shape[2]]
        np.testing.assert_allclose(weights, rows, rtol=1e-4, atol=1e-6)


def test_a_text_of_one_token_looks_at_itself(tmp_path: Path):
    """Its decoder reads one token, and chooses the answer from there."""
    for name in ("llama", "t5"):
        model = opened(ModelSpec(id=str(architectures.tiny(tmp_path / name, name))))
        whole = text(model, "a", (5,))
        first = whole.encoder_length
        one = whole.part(np.arange(first + 1))
        np.testing.assert_array_equal(maps(model, one)[0], np.ones((HEADS, 1, 1), np.float32))
        if name == "t5":
            assert maps(model, one, "cross")[0].shape == (HEADS, 1, first)


def test_the_pass_ends_with_the_last_layer_that_is_read(tmp_path: Path):
    """`poll` is called before every layer."""
    model = opened(ModelSpec(id=str(architectures.tiny(tmp_path, "llama"))))
    for layers, passed in (((0,), 1), ((1,), 2), ((0, 2), 3)):
        polled: list[None] = []
        capture.read(model, text(model), "self", layers, lambda *_: None, lambda polled=polled: polled.append(None))
        assert len(polled) == passed


@pytest.mark.parametrize("name", ["tiny", "fallback"])
def test_nothing_stays_behind_when_a_reader_fails_or_the_pass_is_cancelled(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    model: LanguageModel = request.getfixturevalue(name)
    kernel = model.network.module.config._attn_implementation

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    nothing: Any = lambda *_: None  # noqa: E731
    for visit, poll in ((fail, nothing), (nothing, fail)):
        with pytest.raises(ZeroDivisionError):
            capture.read(model, text(model), "self", (0, 1), visit, poll)
        assert not capture._readers and model.network.module.config._attn_implementation == kernel
        assert not any(part._forward_hooks for part in model.network.module.modules())
    check_logits(model, monkeypatch)


def test_readers_in_many_threads_get_whole_maps_of_their_own(tiny_pair: Pair[Path]):
    """200 readings of two models, 20 at once: each is what it is by itself."""
    pair = loaded(tiny_pair)
    jobs = [(side, number % 2, f"Number {number % 5}.") for side in ("base", "tuned") for number in range(100)]
    started = threading.Barrier(20, timeout=60)

    def look(job: tuple[Any, int, str], wait: bool = True) -> np.ndarray:
        side, layer, words = job
        if wait:
            started.wait()
        return maps(pair[side], text(pair[side], words), "self", (layer,))[layer]

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(look, jobs))
    alone = {job: look(job, wait=False) for job in set(jobs)}
    assert len(alone) == 20
    for job, weights in zip(jobs, found, strict=True):
        np.testing.assert_array_equal(weights, alone[job])
