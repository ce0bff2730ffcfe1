"""Attribution: equal to one plain backward for each target, and the laws that gradient x input obeys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from model_utils import attribution, codec
from model_utils.contracts.attribution import QUANTITIES, AttributionRequest
from model_utils.contracts.common import ask
from model_utils.errors import Cancelled, Refused
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import builders, oracles
from tests.models import run


def request(text: str = "Name 漢字 three 🎉 e\u0301 animals.", **fields) -> AttributionRequest:
    return AttributionRequest(messages=ask(text), **{"answer_ids": (20, 30, 40, 50), **fields})


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_scores_are_those_of_one_backward_for_each_target(tiny_pair: Pair[Path], quantity: str):
    result = run("attribution", tiny_pair, request(quantity=quantity))
    ids, answer = result.sequence.ids.tolist(), result.sequence.positions("answer")
    for (_, scores), (_, folder) in zip(result.scores.items(), tiny_pair.items(), strict=True):
        module = AutoModelForCausalLM.from_pretrained(folder)
        slow = np.stack(
            [oracles.gradient_x_input(module, ids, position, quantity == "log-probability") for position in answer]
        )
        assert np.abs(scores - slow).max() <= 1e-5 * np.abs(slow).max()


def test_values_are_the_models_own(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request(quantity="log-probability"))
    ids, answer = result.sequence.ids, result.sequence.positions("answer")
    for (_, values), (_, folder) in zip(result.values.items(), tiny_pair.items(), strict=True):
        expected = oracles.log_probs(AutoModelForCausalLM.from_pretrained(folder), ids)[answer - 1, ids[answer]]
        np.testing.assert_allclose(values, expected, atol=1e-5)


def test_nothing_flows_back_from_the_target_itself_or_after_it(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request())
    for row, position in enumerate(result.sequence.positions("answer")):
        for _, scores in result.scores.items():
            assert (scores[row, position:] == 0).all() and (scores[row, :position] != 0).any()


def test_scores_of_chosen_targets_are_rows_of_the_whole_and_totals_their_sum(tiny_pair: Pair[Path]):
    whole, some = run("attribution", tiny_pair, request()), run("attribution", tiny_pair, request(targets=(3, 1)))
    for side, scores in some.scores.items():
        np.testing.assert_allclose(scores, whole.scores[side][[3, 1]], atol=1e-6)
        np.testing.assert_allclose(some.totals()[side], scores.sum(axis=0), atol=0)


def test_score_of_a_sum_is_the_sum_of_scores(tiny_pair: Pair[Path]):
    """The reason why totals may be shown for a span: the gradient of a sum of logits."""
    result = run("attribution", tiny_pair, request())
    module = AutoModelForCausalLM.from_pretrained(tiny_pair.tuned)
    positions, ids = torch.tensor(result.sequence.positions("answer")), torch.tensor(result.sequence.ids)
    embeddings = module.get_input_embeddings()(ids[None]).detach().requires_grad_()
    module(inputs_embeds=embeddings).logits[0, positions - 1, ids[positions]].sum().backward()
    np.testing.assert_allclose(result.totals().tuned, (embeddings.grad * embeddings)[0].sum(-1).detach(), atol=1e-4)


def test_a_model_against_itself_differs_by_zero_and_swapping_flips_the_sign(tiny_pair: Pair[Path]):
    same = run("attribution", Pair(tiny_pair.base, tiny_pair.base), request(format="plain")).table()
    assert (same["difference"] == 0).all()
    one, other = (run("attribution", pair, request()).table()["difference"] for pair in (tiny_pair, tiny_pair.swap()))
    np.testing.assert_array_equal(one, -other)


def test_results_do_not_depend_on_the_size_of_groups(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    fast = run("attribution", tiny_pair, request())
    monkeypatch.setattr(attribution, "GROUP", 1)
    slow = run("attribution", tiny_pair, request())
    for side, scores in fast.scores.items():
        np.testing.assert_allclose(scores, slow.scores[side], atol=1e-6)


def test_linear_function_is_explained_exactly(tmp_path: Path):
    """Without attention and with the MLP switched off the logit is a function of its own token only, and scale-free (RMSNorm), so
    by Euler's theorem for functions of degree 0 its gradient x input is 0."""
    from safetensors.torch import load_file, save_file

    folder = builders.tiny_llama(tmp_path / "linear")
    tensors = load_file(folder / "model.safetensors")
    silenced = {
        name: torch.zeros_like(tensor) if "o_proj" in name or "down_proj" in name else tensor
        for name, tensor in tensors.items()
    }
    save_file(silenced, folder / "model.safetensors", metadata={"format": "pt"})
    result = run("attribution", Pair(folder, folder), request(format="plain", targets=(2,)))
    assert np.abs(result.scores.base).max() < 1e-3 * abs(result.values.base[0])
    others = np.delete(result.scores.base[0], result.sequence.positions("answer")[2] - 1)
    assert (others == 0).all()


@pytest.mark.parametrize(
    ("fields", "part"),
    [({"targets": (4,)}, "has 4 tokens, numbered 0 to 3; there is no token 4"), ({"answer_ids": ()}, "has no tokens")],
)
def test_what_cannot_be_explained_is_refused(tiny_pair: Pair[Path], fields: dict, part: str):
    with pytest.raises(Refused, match=part):
        run("attribution", tiny_pair, request(**fields))


def test_gradients_that_overflow_are_refused_not_shown_as_zero(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = builders.tiny_llama(tmp_path / "overflow")
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name: tensor * 1e30 if "lm_head" in name or "norm" in name else tensor for name, tensor in tensors.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(Refused, match="overflow"):
        run("attribution", Pair(folder, folder), request(format="plain"))


def test_texts_too_long_for_memory_are_refused_with_figures(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attribution, "MAX_BYTES", 1000)
    with pytest.raises(Refused, match=r"takes about .* GiB"):
        run("attribution", tiny_pair, request())


def test_progress_never_goes_back(tiny_pair: Pair[Path]):
    fractions: list[float] = []

    class Watcher(Report):
        def __call__(self, fraction: float, note: str, snapshot: object = None) -> None:
            fractions.append(fraction)

    run("attribution", tiny_pair, request(answer_ids=None, max_new_tokens=6), Watcher())
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_cancel_between_groups(tiny_pair: Pair[Path]):
    class Stops(Report):
        def breathe(self) -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        run("attribution", tiny_pair, request(), Stops())


def test_result_goes_through_the_codec(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request())
    back = codec.decode(codec.encode(result))
    np.testing.assert_array_equal(back.scores.tuned, result.scores.tuned)
    assert codec.digest(back) == codec.digest(result)
