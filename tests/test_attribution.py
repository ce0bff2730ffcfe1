"""Attribution: equal to one plain backward for each target, and the laws that gradient x input obeys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from model_utils import codec, gradients
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import (
    METHODS,
    OPERATORS,
    QUANTITIES,
    Attribution,
    AttributionRequest,
    Method,
    Quantity,
)
from model_utils.contracts.common import ROLES, ask
from model_utils.errors import Cancelled, Refused
from model_utils.pair import Pair
from model_utils.reporting import Report
from model_utils.targets import Target
from tests import architectures, builders, oracles
from tests.induction import induction_gpt2
from tests.models import run


def request(text: str = "Name 漢字 three 🎉 e\u0301 animals.", **fields) -> AttributionRequest:
    return AttributionRequest(messages=ask(text), **{"answer_ids": (20, 30, 40, 50), **fields})


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_scores_are_those_of_one_backward_for_each_target(tiny_pair: Pair[Path], quantity: str):
    result = run("attribution", tiny_pair, request(quantity=quantity))
    sequence = result.texts.tuned.sequence
    ids, answer = sequence.ids.tolist(), sequence.positions("answer")
    for (_, scores), (_, folder) in zip(result.scores.items(), tiny_pair.items(), strict=True):
        module = AutoModelForCausalLM.from_pretrained(folder)
        slow = np.stack([oracles.gradient_x_input(module, ids, position, quantity) for position in answer])
        assert np.abs(scores - slow).max() <= 1e-5 * np.abs(slow).max()


def test_values_are_the_models_own(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request(quantity="log-probability"))
    sequence = result.texts.tuned.sequence
    ids, answer = sequence.ids, sequence.positions("answer")
    for (_, values), (_, folder) in zip(result.values.items(), tiny_pair.items(), strict=True):
        expected = oracles.log_probs(AutoModelForCausalLM.from_pretrained(folder), ids)[answer - 1, ids[answer]]
        np.testing.assert_allclose(values, expected, atol=1e-5)


def test_the_same_tokens_are_one_text_for_both(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request(targets=(2, 0)))
    assert result.alignment == "tokens" and result.texts.base is result.texts.tuned
    table, text = result.table(), result.texts.tuned
    assert table["base_position"].tolist() == table["tuned_position"].tolist() == list(range(len(text.sequence)))
    assert table["open"].tolist() == text.open.tolist() and table["tokens"].tolist() == list(text.sequence.pieces)
    assert [int(place) for (place,) in text.places()] == text.sequence.positions("answer")[[2, 0]].tolist()


def test_nothing_flows_back_from_the_target_itself_or_after_it(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request())
    for row, position in enumerate(result.texts.tuned.sequence.positions("answer")):
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
    sequence = result.texts.tuned.sequence
    positions, ids = torch.tensor(sequence.positions("answer")), torch.tensor(sequence.ids)
    embeddings = module.get_input_embeddings()(ids[None]).detach().requires_grad_()
    module(inputs_embeds=embeddings).logits[0, positions - 1, ids[positions]].sum().backward()
    np.testing.assert_allclose(result.totals().tuned, (embeddings.grad * embeddings)[0].sum(-1).detach(), atol=1e-4)


def test_a_model_against_itself_differs_by_zero_and_swapping_flips_the_sign(tiny_pair: Pair[Path]):
    same = run("attribution", Pair(tiny_pair.base, tiny_pair.base), request(format="plain")).table()
    assert (same["difference"] == 0).all()
    one, other = (run("attribution", pair, request()).table()["difference"] for pair in (tiny_pair, tiny_pair.swap()))
    np.testing.assert_array_equal(one, -other)


@pytest.mark.parametrize("method", ["gradient x input", "occlusion", "sparse surrogate"])
def test_a_vocabulary_numbered_otherwise_is_read_by_its_characters_and_changes_nothing(
    tiny_pair: Pair[Path], tmp_path: Path, method: Method
):
    """The same model with its tokens renumbered: equal ids mean other tokens, so that texts cannot be compared by ids."""
    ours, other = tiny_pair.tuned, tmp_path / "renumbered"
    new = renumbered(ours, other)
    old = np.arange(len(new))
    for pair, writer, ids in (
        (Pair(other, ours), "tuned", old),
        (Pair(ours, other), "base", old),
        (Pair(other, ours), "base", new),
    ):
        answer, shared = tuple(ids[[20, 30, 40, 50]].tolist()), {"method": method, "operator": "mask", "targets": (2,)}
        asked = request(answer_ids=answer, answer_from=writer, against=int(ids[33]), format="plain", **shared)
        result = run("attribution", pair, asked)
        assert result.alignment == "characters" and result.row_names("base") == result.row_names("tuned")
        assert len(set(result.against.sides)) == 2
        np.testing.assert_allclose(result.values.base, result.values.tuned, atol=1e-6)
        open_ = result.texts.tuned.open
        assert open_.sum() > 10 and np.abs(result.totals().tuned[open_]).max() > 1e-3
        np.testing.assert_allclose(result.difference()[open_], 0, atol=1e-5)


def renumbered(source: Path, folder: Path) -> np.ndarray:
    """A copy of a model whose tokens, but the control tokens, have other ids; (id,) the new id of each."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    fixed, vocabulary = {one["id"] for one in tokenizer["added_tokens"]}, tokenizer["model"]["vocab"]
    loose = np.array(sorted({*vocabulary.values()} - fixed))
    tensors = load_file(folder / "model.safetensors")
    new = np.arange(len(tensors["model.embed_tokens.weight"]))
    new[loose] = np.roll(loose, 7)
    tokenizer["model"]["vocab"] = {token: int(new[id]) for token, id in vocabulary.items()}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    moved = {name: one[torch.as_tensor(np.argsort(new))].contiguous() if name in ("model.embed_tokens.weight", "lm_head.weight") else one for name, one in tensors.items()}  # fmt: skip
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    return new


def test_results_do_not_depend_on_the_size_of_groups(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    fast = run("attribution", tiny_pair, request())
    monkeypatch.setattr(gradients, "GROUP", 1)
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
    others = np.delete(result.scores.base[0], result.texts.tuned.sequence.positions("answer")[2] - 1)
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
    monkeypatch.setattr(gradients, "MAX_BYTES", 1000)
    with pytest.raises(Refused, match=r"takes about .* GiB"):
        run("attribution", tiny_pair, request())


@pytest.mark.parametrize("quantity", ["log-probability", "probability"])
@pytest.mark.parametrize("gap", [2.0, 12.0, 20.0])
def test_slopes_of_a_sure_answer_are_no_rounding(quantity: Quantity, gap: float):
    """The embedded tuned model writes tokens of probability 1 - 1e-6; there the slope at the token itself was 1 minus a float32 next to
    1, and the words with the largest scores were other ones than with more digits."""
    logits = torch.tensor([[gap, 0.3, -1.0, 0.0, 0.7]])
    target = Target(np.array([9]), np.array([0]), np.array([0]), quantity)

    def slopes(dtype: torch.dtype) -> np.ndarray:
        read = logits.to(dtype)[None].requires_grad_()
        return torch.autograd.grad(target.read(read).sum(), read)[0].double().numpy()

    found, exact = slopes(torch.float32), slopes(torch.float64)
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    assert (exact[0, 0, 0] > 0) and exact.sum() == pytest.approx(0, abs=1e-12)


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


# Every method


def test_a_model_against_itself_differs_by_zero_whatever_the_method(tiny_pair: Pair[Path]):
    for method in METHODS:
        asked = request(method=method, granularity="word", answer_too=False, format="plain", steps=3)
        table = run("attribution", Pair(tiny_pair.base, tiny_pair.base), asked).table()
        assert (table["difference"].dropna() == 0).all() and len(table["difference"].dropna()), method


@pytest.mark.parametrize("method", METHODS)
def test_swapping_the_sides_swaps_the_scores_and_one_row_is_the_sum_of_all(tiny_pair: Pair[Path], method: Method):
    asked = request(method=method, granularity="sentence", quantity="log-probability", steps=4)
    result, other = run("attribution", tiny_pair, asked), run("attribution", tiny_pair.swap(), asked)
    np.testing.assert_array_equal(result.scores.base, other.scores.tuned)
    summed = run("attribution", tiny_pair, asked.model_copy(update={"together": True}))
    assert summed.scores.tuned.shape[0] == 1 and len(summed.texts.tuned.places()[0]) == 4
    whole = result.totals().tuned
    if method not in ("gradient norm", "sparse surrogate"):  # lengths and a LASSO do not add up
        np.testing.assert_allclose(summed.scores.tuned[0], whole, atol=2e-5 * max(1, np.nanmax(np.abs(whole))))


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_integrated_gradients_are_those_of_one_pass_after_another_and_add_up(tiny_pair: Pair[Path], quantity: Quantity):
    asked = request(method="integrated gradients", quantity=quantity, steps=60, targets=(1, 3), baseline=20)
    result = run("attribution", tiny_pair, asked)
    module = AutoModelForCausalLM.from_pretrained(tiny_pair.tuned).eval()
    text = result.texts.tuned
    slow = oracles.integrated_gradients(module, text.sequence.ids, text.places()[1][0], quantity, 20, text.open, 60)
    found = np.nan_to_num(result.scores.tuned[1])
    np.testing.assert_allclose(found, slow, atol=2e-4 * np.abs(slow).max())
    error, rest = result.completeness_error().tuned, result.rest.tuned
    assert (np.abs(error) <= 0.01 * np.abs(result.values.tuned - rest).max()).all()
    assert np.isnan(result.scores.tuned[:, ~text.open]).all()


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3"])
def test_captum_says_the_same(tmp_path: Path, architecture: str):
    """Same operator, same steps, same baseline; captum's own loops over the plain model."""
    pair = architectures.tiny_pair(tmp_path, architecture)
    shared = {"format": "plain", "quantity": "log-probability", "targets": (2,)}
    results = {method: run("attribution", pair, request(method=method, **shared)) for method in METHODS[:4]}
    text = results["occlusion"].texts.tuned
    module = AutoModelForCausalLM.from_pretrained(pair.tuned, attn_implementation="eager").eval().requires_grad_(False)
    ids, place = torch.as_tensor(text.sequence.ids)[None], int(text.places()[0][0])
    table = module.get_input_embeddings()
    with torch.no_grad():
        ends, mean = table(ids), table(torch.arange(table.weight.shape[0])).mean(0)
    begins = torch.where(torch.as_tensor(text.open)[None, :, None], mean, ends)

    def explained(embeddings: torch.Tensor) -> torch.Tensor:
        logs = torch.log_softmax(module(inputs_embeds=embeddings, use_cache=False).logits[:, place - 1], dim=-1)
        return logs[:, ids[0, place]]

    options = {"baselines": begins, "n_steps": 20, "method": "gausslegendre", "internal_batch_size": 1}
    places = torch.arange(ids.shape[1])[None, :, None].expand_as(ends)
    theirs = {
        "gradient x input": InputXGradient(explained).attribute(ends.clone().requires_grad_()),
        "integrated gradients": IntegratedGradients(explained).attribute(ends.clone().requires_grad_(), **options),
        "occlusion": FeatureAblation(explained).attribute(ends, baselines=begins, feature_mask=places) / ends.shape[-1],
    }
    for method, scores in theirs.items():
        expected = scores[0].sum(-1).detach().numpy()
        found = results[method].scores.tuned[0]
        known = ~np.isnan(found)
        np.testing.assert_allclose(found[known], expected[known], atol=1e-4 * np.abs(expected).max(), err_msg=method)
    assert np.isnan(results["integrated gradients"].scores.tuned[0, ~text.open]).all()


def test_the_zero_baseline_of_a_model_with_rms_norms_is_warned_of(tiny_pair: Pair[Path], tmp_path: Path):
    asked = request(method="integrated gradients", baseline="zero", steps=2, format="plain")
    assert "not reliable" in run("attribution", tiny_pair, asked).notes[0]
    assert not run("attribution", tiny_pair, request(method="integrated gradients", steps=80)).notes
    gpt = architectures.tiny_pair(tmp_path, "gpt2")
    exact = run("attribution", gpt, asked.model_copy(update={"steps": 60}))
    assert not exact.notes
    np.testing.assert_allclose(exact.completeness_error().tuned, 0, atol=1e-4)


def test_a_contrast_is_the_difference_of_both_tokens_scores(tiny_pair: Pair[Path]):
    for method in ("gradient x input", "occlusion"):
        asked = request(method=method, quantity="logit", targets=(2,))
        against = run("attribution", tiny_pair, asked.model_copy(update={"against": 33}))
        other = request(method=method, quantity="logit", targets=(2,), answer_ids=(20, 30, 33, 50))
        parts = [run("attribution", tiny_pair, one).scores.tuned for one in (asked, other)]
        np.testing.assert_allclose(against.scores.tuned, parts[0] - parts[1], atol=1e-5)
        assert against.against == Pair(33, 33)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"against": "come and go", "targets": (0,)}, r"is \d+ tokens for .*, and one token is explained against one"),
        ({"against": 20, "targets": (0,)}, "itself; explain it against another token"),
        ({"against": 10**9, "targets": (0,)}, "there is no token 1000000000"),
        ({"method": "Shapley values"}, "at most 12 parts"),
        ({"method": "integrated gradients", "baseline": 10**9}, "no token 1000000000 to begin from"),
        ({"granularity": "span", "spans": ("nothing of it",)}, "is not in the instruction"),
    ],
)
def test_questions_without_an_answer_get_one_sentence(tiny_pair: Pair[Path], fields: dict, part: str):
    with pytest.raises(Refused, match=part):
        run("attribution", tiny_pair, request(**fields))


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"against": "x"}, "choose one target"),
        ({"granularity": "span"}, "no span is given"),
        ({"spans": ("a",)}, "1 spans are given"),
    ],
)
def test_requests_that_contradict_themselves_say_so(fields: dict, part: str):
    with pytest.raises(ValidationError, match=part):
        request(**fields)


@pytest.mark.parametrize("architecture", ["t5", "gpt2", "mamba"])
def test_methods_that_take_parts_away_work_for_every_kind_of_model(tmp_path: Path, architecture: str):
    pair = architectures.tiny_pair(tmp_path, architecture)
    for method in ("occlusion", "sparse surrogate", "integrated gradients", "gradient norm"):
        for operator in OPERATORS if method == "occlusion" else OPERATORS[:1]:
            asked = request(method=method, operator=operator, granularity="word", format="plain", steps=2)
            scores = run("attribution", pair, asked).totals().tuned
            assert np.nanmax(np.abs(scores)) > 0, (method, operator)
    if architecture != "gpt2":
        with pytest.raises(Refused, match=r"rollout|no attention"):
            run("attribution", pair, request(method="attention rollout", format="plain"))


@pytest.mark.parametrize("method", [one for one in METHODS if one != "attention rollout"])
def test_nothing_is_scored_that_the_target_cannot_see(tiny_pair: Pair[Path], method: Method):
    """Exactly 0, also where a fit would find something in noise, and where another row sees it."""
    shapley = {"granularity": "span", "spans": ("three", "animals")} if method == "Shapley values" else {}
    result = run("attribution", tiny_pair, request(method=method, steps=3, **shapley))
    parts, open_ = result.texts.tuned.parts, result.texts.tuned.open
    for row, position in enumerate(result.texts.tuned.sequence.positions("answer")):
        later = result.scores.tuned[row, parts[position:]]
        assert (later[open_[parts[position:]]] == 0).all(), method
        seen = result.scores.tuned[row, parts[:position]]
        assert np.isfinite(seen[open_[parts[:position]]]).all() and (np.nan_to_num(seen) != 0).any()


def test_integrated_gradients_that_miss_their_sum_say_so(tiny_pair: Pair[Path]):
    few, many = (
        run("attribution", tiny_pair, request(method="integrated gradients", steps=steps, baseline=20))
        for steps in (1, 80)
    )
    share = np.abs(few.completeness_error().tuned).max() / np.abs(few.values.tuned - few.rest.tuned).max()
    assert share > gradients.TOLERABLE and "miss what they should add up to" in few.notes[0]
    assert not many.notes


def test_the_format_is_counted_apart_and_only_the_format(tiny_pair: Pair[Path]):
    whole = run("attribution", tiny_pair, request())
    sequence = whole.texts.tuned.sequence
    fixed = (sequence.roles == ROLES.index("template")) | sequence.special
    totals = np.abs(whole.totals().tuned)
    assert whole.share_apart().tuned == pytest.approx(totals[fixed].sum() / totals.sum(), rel=1e-5)
    for fields in ({"answer_too": False}, {"granularity": "span", "spans": ("three",)}):
        other = run("attribution", tiny_pair, request(**fields))
        assert other.share_apart().tuned == pytest.approx(whole.share_apart().tuned, rel=1e-4)
        assert np.isnan(other.open_totals().tuned[~other.texts.tuned.open]).all()
    assert np.isnan(run("attribution", tiny_pair, request(method="occlusion")).share_apart().tuned)


def test_rollout_tells_the_value_that_it_does_not_explain(tiny_pair: Pair[Path]):
    asked = request(quantity="log-probability", targets=(1,), against=33)
    rolled = run("attribution", tiny_pair, asked.model_copy(update={"method": "attention rollout"}))
    np.testing.assert_allclose(rolled.values.tuned, run("attribution", tiny_pair, asked).values.tuned, atol=1e-5)


def test_numbers_that_are_not_finite_are_refused_by_every_method(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = builders.tiny_llama(tmp_path / "overflow")
    tensors = load_file(folder / "model.safetensors")
    grown = {name: tensor * 1e30 if "lm_head" in name or "norm" in name else tensor for name, tensor in tensors.items()}
    save_file(grown, folder / "model.safetensors", metadata={"format": "pt"})
    for method in ("occlusion", "sparse surrogate", "integrated gradients"):
        with pytest.raises(Refused, match=r"not finite|overflow"):
            run("attribution", Pair(folder, folder), request(format="plain", method=method))


def test_rollout_rows_are_shares(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request(method="attention rollout"))
    np.testing.assert_allclose(result.scores.tuned.sum(axis=1), 1, atol=1e-5)
    maps = run("attention", tiny_pair, AttentionRequest(messages=request().messages, answer_ids=(20, 30, 40, 50), reduction="rollout"))  # fmt: skip
    rows = maps.weights.tuned[0, result.texts.tuned.sequence.positions("answer") - 1]
    np.testing.assert_allclose(result.scores.tuned, rows, atol=1e-6)


def test_the_surrogate_of_the_log_ratio_is_fitted_to_the_log_ratio(tiny_pair: Pair[Path]):
    """The same masks on both models, and one fit to the difference; the difference of two fits with a penalty is something else."""
    asked = request(method="sparse surrogate", quantity="log-probability", granularity="word", samples=40)
    result, swapped = run("attribution", tiny_pair, asked), run("attribution", tiny_pair.swap(), asked)
    np.testing.assert_allclose(swapped.differences(), -result.differences(), atol=1e-6)
    apart = result.differences() - (result.scores.tuned - result.scores.base)
    assert np.nanmax(np.abs(apart)) > 1e-3
    np.testing.assert_allclose(result.table()["difference"], result.differences().sum(axis=0), atol=1e-6)
    assert result.difference_said == "surrogate fitted to tuned - base"
    assert any("takes up to 0.02 nats off every score" in note for note in result.notes)
    plain = run("attribution", tiny_pair, asked.model_copy(update={"method": "occlusion"}))
    assert plain.difference_said == "tuned - base"
    np.testing.assert_array_equal(plain.differences(), plain.scores.tuned - plain.scores.base)


def test_a_surrogate_without_a_term_says_so(tiny_pair: Pair[Path]):
    """Probabilities near 0 move by less than the penalty takes off: that is no finding about the words."""
    result = run(
        "attribution", tiny_pair, request(method="sparse surrogate", quantity="probability", targets=(0,), against=7)
    )
    assert not any(np.nan_to_num(scores).any() for scores in result.scores.sides)
    assert "leaves no score at all" in result.notes[-1]


def test_the_induction_model_leans_on_the_three_tokens_of_its_mechanism(tmp_path: Path):
    """For the token that follows the second A in 'A B ... A': the first A, the B behind it, and the second A, and nothing else."""
    folder = induction_gpt2(tmp_path)
    tokens = np.random.default_rng(1).permutation(np.arange(20, 60))[:8]
    answer = tuple(int(one) for one in [*tokens, *tokens])
    asked = AttributionRequest(messages=ask("q"), format="plain", answer_ids=answer, method="occlusion", quantity="log-probability", targets=(12,))  # fmt: skip
    result = run("attribution", Pair(folder, folder), asked)
    places = result.texts.tuned.sequence.positions("answer")
    scores = np.abs(np.nan_to_num(result.scores.tuned[0]))
    support = {int(places[12] - 1), int(places[12] - 8), int(places[12] - 9)}
    assert set(np.flatnonzero(scores > 1e-4)) == support


def test_partial_results_come_side_after_side_and_end_as_the_whole(tiny_pair: Pair[Path]):
    shown: list[Attribution] = []

    class Watcher(Report):
        def __call__(self, fraction: float, note: str, snapshot: object = None) -> None:
            shown.extend([snapshot] if isinstance(snapshot, Attribution) else [])

    result = run("attribution", tiny_pair, request(method="occlusion"), Watcher())
    open_ = result.texts.tuned.open
    assert np.isnan(shown[0].scores.tuned).all() and not np.isnan(shown[0].scores.base[:, open_]).all()
    np.testing.assert_array_equal(shown[-1].scores.tuned, result.scores.tuned)
    known = [np.isfinite(np.concatenate(one.scores.sides)).sum() for one in shown]
    assert known == sorted(known)


def test_result_goes_through_the_codec(tiny_pair: Pair[Path]):
    result = run("attribution", tiny_pair, request())
    back = codec.decode(codec.encode(result))
    np.testing.assert_array_equal(back.scores.tuned, result.scores.tuned)
    assert codec.digest(back) == codec.digest(result)
