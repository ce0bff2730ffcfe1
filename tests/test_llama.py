"""The way back by hand is autograd's, for every family that it is used for, and it is used for no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_utils import gradients, llama
from model_utils.contracts.attribution import QUANTITIES, Quantity
from model_utils.contracts.common import ModelSpec
from model_utils.errors import Cancelled
from model_utils.loading import LanguageModel
from model_utils.prompts import encode_text
from model_utils.reporting import Report
from model_utils.targets import Target
from tests import architectures, builders
from tests.models import opened

TEXT = "Why 漢字, 🎉 and e\u0301? Say \u202bשלום\u202c: 12 of 345."
FORWARD = 6
"""Layers of the model that is cancelled."""
FAMILY = ("llama", "mistral", "qwen2")


ALONE = (0, 1, 2, 3, 4)


def slopes(
    model: LanguageModel, quantity: Quantity = "logit", rows: tuple[int, ...] = ALONE, report: Report | None = None
) -> gradients.Slopes:
    """Of several tokens at the end of a text, not in their order and not the last one; `rows`: which are summed."""
    sequence = encode_text(model.tokenizer, TEXT, True, (0, len(TEXT)))
    places = np.array([len(sequence) - 2, len(sequence) - 9, len(sequence) - 5, 1, len(sequence) - 4])
    target = Target(places, sequence.ids[places], np.array(rows), quantity, against=7 if rows == ALONE else None)
    return gradients.Slopes(model, sequence, target, report or Report())


def gathered(way, embeddings) -> tuple[np.ndarray, torch.Tensor]:
    """(row,) values and (row, token, hidden) gradients."""
    found = list(way(embeddings))
    return found[0][0], torch.cat([part[0] for _, _, part in found])


@pytest.mark.parametrize("rows", [ALONE, (0, 0, 0, 0, 0), (0, 0, 1, 2, 2), (2, 0, 1, 0, 0)])
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("architecture", FAMILY)
def test_it_is_autograds(tmp_path: Path, architecture: str, quantity: Quantity, rows: tuple[int, ...]):
    model = opened(ModelSpec(id=str(architectures.tiny(tmp_path / architecture, architecture))))
    with model.running() as module:
        assert llama.follows(module)
    one = slopes(model, quantity, rows)
    values, mine = gathered(one._by_hand, one.embeddings)
    expected, slow = gathered(one._by_autograd, one.embeddings)
    np.testing.assert_array_equal(values, expected)
    assert (
        len(mine) == len(set(rows))
        and mine.shape == slow.shape
        and (mine - slow).abs().max() <= 1e-5 * slow.abs().max()
    )
    assert (slow != 0).any()


def test_the_slopes_of_a_row_are_the_sum_of_its_tokens_slopes(tmp_path: Path):
    model = opened(ModelSpec(id=str(builders.tiny_llama(tmp_path / "one", bias=True))))
    rows = (1, 0, 1, 2, 0)
    joined, alone = slopes(model, "log-probability", rows), slopes(model, "log-probability")
    alone = gradients.Slopes(model, alone.sequence, replace(alone.target, against=None), Report())
    (values, found), (each, apart) = (gathered(one._by_hand, one.embeddings) for one in (joined, alone))
    for row in range(3):
        mine = np.flatnonzero(np.array(rows) == row)
        np.testing.assert_allclose(values[row], each[mine].sum(), rtol=1e-5)
        assert (found[row] - apart[mine].sum(0)).abs().max() <= 1e-5 * found[row].abs().max()


@pytest.mark.parametrize("rows", [ALONE, (0, 0, 1, 2, 2)])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_size_of_groups_changes_nothing_but_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, rows: tuple[int, ...]
):
    model = opened(ModelSpec(id=str(builders.tiny_llama(tmp_path / "one", bias=True))))
    one = slopes(model, rows=rows)
    _, whole = gathered(one._by_hand, one.embeddings)
    monkeypatch.setattr(gradients, "GROUP", size)
    _, grouped = gathered(one._by_hand, one.embeddings)
    assert (whole - grouped).abs().max() <= 1e-6 * whole.abs().max()


def test_nothing_flows_to_the_place_of_a_target_and_behind_it(tmp_path: Path):
    one = slopes(opened(ModelSpec(id=str(builders.tiny_llama(tmp_path / "one")))))
    _, found = gathered(one._by_hand, one.embeddings)
    for row, place in zip(found, one.target.places, strict=True):
        assert (row[place:] == 0).all() and (row[:place] != 0).any()


def test_other_architectures_and_adapters_go_back_by_autograd(tmp_path: Path):
    for architecture in architectures.ARCHITECTURES.keys() - {*FAMILY}:
        model = opened(ModelSpec(id=str(architectures.tiny(tmp_path / architecture, architecture))))
        with model.running() as module:
            assert not llama.follows(module), architecture
    plain = builders.tiny_llama(tmp_path / "plain")
    adapter = builders.tiny_adapter(tmp_path / "adapter", plain)
    for dtype, laid in (("float32", str(adapter)), ("float16", None)):
        with opened(ModelSpec(id=str(plain), adapter=laid, dtype=dtype)).running() as module:
            assert not llama.follows(module)


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("architecture", FAMILY)
def test_of_a_model_in_bfloat16_it_is_the_exact_gradient_of_its_weights(
    tmp_path: Path, architecture: str, quantity: Quantity
):
    """Autograd over the same weights in float32 is the oracle; the module is as before afterwards."""
    folder = architectures.tiny(tmp_path / architecture, architecture)
    rough, exact = (opened(ModelSpec(id=str(folder), dtype=dtype)) for dtype in ("bfloat16", "float32"))
    with rough.running() as module, exact.running() as other:
        before = {name: (part.dtype, part.clone()) for name, part in module.state_dict().items()}
        other.load_state_dict(module.state_dict())
    one, twin = slopes(rough, quantity), slopes(exact, quantity)
    values, mine = gathered(one._by_hand, one.embeddings)
    expected, slow = gathered(twin._by_autograd, twin.embeddings)
    assert one.by_hand and (one.embeddings[0] == twin.embeddings[0]).all()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    assert mine.dtype == torch.float32 and (mine - slow).abs().max() <= 1e-5 * slow.abs().max()
    np.testing.assert_allclose(gradients._values(one, one.embeddings), values, rtol=1e-5, atol=1e-6)
    with rough.running() as module:
        assert not any("forward" in vars(part) for part in module.modules())
        for name, (dtype, part) in before.items():
            assert module.state_dict()[name].dtype == dtype and torch.equal(module.state_dict()[name], part)


def test_another_explanation_inside_the_pass_changes_nothing(tmp_path: Path):
    """A background job gives way inside its forward, to one about the same model in bfloat16."""
    model = opened(ModelSpec(id=str(builders.tiny_llama(tmp_path / "one")), dtype="bfloat16"))
    alone = gathered(slopes(model)._by_hand, slopes(model).embeddings)[1]
    inside: list[torch.Tensor] = []

    class Letting(Report):
        def breathe(self, same_models: bool = True) -> None:
            if not inside:
                inside.append(torch.zeros(0))
                one = slopes(model)
                inside.append(gathered(one._by_hand, one.embeddings)[1])

    outer = slopes(model, report=Letting())
    inside.clear()
    found = gathered(outer._by_hand, outer.embeddings)[1]
    assert torch.equal(found, alone) and torch.equal(inside[1], alone)
    with model.running() as module:
        assert not any("forward" in vars(part) for part in module.modules())


def test_weights_that_are_elsewhere_go_back_by_autograd(tmp_path: Path):
    from accelerate import cpu_offload

    with opened(ModelSpec(id=str(builders.tiny_llama(tmp_path / "one")))).running() as module:
        assert llama.follows(module)
        assert not llama.follows(cpu_offload(module))


def test_cancel_between_the_layers_of_the_way_back(tmp_path: Path):
    """A group of targets in a large model takes seconds; nobody waits for its end: a breath before each layer forward, one before the group, one between layers."""

    class Impatient(Report):
        breaths = 0

        def breathe(self, same_models: bool = True) -> None:
            self.breaths += 1
            if self.breaths == FORWARD + 1 + 2:
                raise Cancelled

    report = Impatient()
    one = slopes(opened(ModelSpec(id=str(builders.tiny_llama(tmp_path / "one", layers=FORWARD)))), report=report)
    with pytest.raises(Cancelled):
        gathered(one._by_hand, one.embeddings)
    assert report.breaths == FORWARD + 1 + 2
