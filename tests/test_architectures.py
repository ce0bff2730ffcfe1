"""Every promised architecture: what Candor captures is what the model's own plain eager forward computes, alone and in padded batches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from model_utils import anatomy, generation
from model_utils.contracts.attention import AttentionRequest
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import Encoded, SharedSequence, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.load_report import LoadReport, LoadReportRequest
from model_utils.errors import Refused
from model_utils.generation import shared_sequence
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report
from tests import architectures, oracles
from tests.architectures import ARCHITECTURES, ENCODER_DECODER, WITHOUT_ATTENTION
from tests.models import loaded, run

pytestmark = pytest.mark.slow


TEXT = "Sort these numbers: 12, 7, 45, 3. Why?"
ANSWER = (60, 90, 120, 200, 33, 61, 62, 63)
CLOSE = {"rtol": 1e-3, "atol": 5e-5}
WITH_ATTENTION = [name for name in ARCHITECTURES if name not in WITHOUT_ATTENTION]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair[Path]:
    return architectures.tiny_pair(tmp_path_factory.mktemp(request.param), request.param, seed=3)


@pytest.fixture(scope="module")
def pair(folders: Pair[Path]) -> Pair[LanguageModel]:
    return loaded(folders)


@pytest.fixture(scope="module")
def plain(folders: Pair[Path]) -> Any:
    """The tuned side as transformers itself opens it, under its eager kernel."""
    family = AutoModelForSeq2SeqLM if _name(folders) in ENCODER_DECODER else AutoModelForCausalLM
    return family.from_pretrained(folders.tuned, attn_implementation="eager").eval()


@pytest.fixture(scope="module")
def sequence(pair: Pair[LanguageModel]) -> Encoded:
    request = SharedSequence(messages=ask(TEXT), format="plain", answer_ids=ANSWER)
    return shared_sequence(pair, request, Report())


def _name(folders: Pair[Path]) -> str:
    return next(name for name in ARCHITECTURES if re.fullmatch(rf"{name}\d+", folders.base.parent.name))


def test_logits_are_the_models_own(pair: Pair[LanguageModel], plain: Any, sequence: Encoded):
    rows = torch.arange(len(sequence) - sequence.encoder_length)
    with pair.tuned.running() as module:
        ids = anatomy.parts(pair.tuned.ids(sequence.ids), sequence.encoder_length)
        ours, last = anatomy.logits(module, ids, rows), anatomy.logits(module, ids)
        embedded = anatomy.logits(module, anatomy.embed(module, ids), rows)
    theirs = oracles.all_logits(plain, sequence.ids, sequence.encoder_length)
    torch.testing.assert_close(ours, theirs, **CLOSE)
    torch.testing.assert_close(last, theirs[-1:], **CLOSE)
    torch.testing.assert_close(embedded, theirs, **CLOSE)


@pytest.mark.parametrize(("twins", "padding"), [(1, 0), (2, 8)])
def test_unembedding_in_parts_is_the_models_own(
    pair: Pair[LanguageModel], plain: Any, sequence: Encoded, twins: int, padding: int
):
    """Scales, biases and soft caps behind the last layer included; nor do copies and masked positions in the batch matter."""
    count = len(sequence) - sequence.encoder_length
    with pair.tuned.running() as module:
        ids = anatomy.parts(pair.tuned.ids(sequence.ids), sequence.encoder_length)
        read = anatomy.last_states(module, ids, range(1, count), twins, padding)
        ours = torch.cat([anatomy.unembed(module, read, slice(i, i + 4)) for i in range(0, len(read), 4)])
        again = anatomy.logits(module, ids, torch.arange(count))
    theirs = oracles.all_logits(plain, sequence.ids, sequence.encoder_length)
    torch.testing.assert_close(ours, theirs[1:], **CLOSE)
    torch.testing.assert_close(again, theirs, **CLOSE, msg="the module computes as before")


def test_generation_is_generates(pair: Pair[LanguageModel], plain: Any, folders: Pair[Path]):
    request = GenerationRequest(messages=ask(TEXT), formats=Pair("plain", "plain"), max_new_tokens=24)
    answer = run("generation", folders, request).answers.tuned
    prompt = answer.prompt
    read = torch.as_tensor(prompt.ids[: prompt.encoder_length or None])[None]
    start = len(prompt) - prompt.encoder_length if prompt.encoder_length else read.shape[1]
    theirs = plain.generate(
        input_ids=read, attention_mask=torch.ones_like(read), max_new_tokens=24, do_sample=False, pad_token_id=0
    )[0, start:]
    assert answer.answer.ids.tolist() == theirs.tolist()
    whole = np.concatenate([prompt.ids, answer.answer.ids])
    rows = oracles.all_logits(plain, whole, prompt.encoder_length)[-len(answer.answer) - 1 : -1]
    expected = torch.log_softmax(rows, dim=-1).gather(1, torch.as_tensor(answer.answer.ids)[:, None])[:, 0]
    np.testing.assert_allclose(answer.log_probs, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_a_padded_batch_computes_what_each_text_alone_does(pair: Pair[LanguageModel], plain: Any):
    """The law behind batched scoring: masked padding changes nothing, on the left for a decoder, on the right for an encoder."""
    model = pair.tuned
    side = "right" if model.facts.encoder_decoder else "left"
    texts = [TEXT, "Name three animals."]
    alone = [oracles.all_logits(plain, *_plain_ids(model, text))[-1] for text in texts]
    batch = model.tokenizer(texts, padding=True, padding_side=side, return_tensors="pt").to(model.device)
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    with model.running() as module:
        if model.facts.encoder_decoder:
            start = torch.tensor([anatomy.decoder_start(module)] * len(texts))
            inputs["decoder_input_ids"] = start
        elif anatomy.accepts(module, "position_ids"):
            inputs["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        together = module(**inputs, use_cache=False).logits[:, -1]
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours.float(), theirs, rtol=1e-3, atol=1e-4)


def _plain_ids(model: LanguageModel, text: str) -> tuple[np.ndarray, int]:
    prompt = generation.encode_side(model, model, ask(text), "plain")
    return prompt.ids, prompt.encoder_length


def test_attention_is_the_eager_forwards(pair: Pair[LanguageModel], plain: Any, folders: Pair[Path], sequence: Encoded):
    facts = pair.tuned.facts
    expected = oracles.recorded_attention(plain, sequence.ids, sequence.encoder_length)
    assert set(facts.attention) == set(expected)
    for kind, layer in facts.attention:
        request = AttentionRequest(
            messages=ask(TEXT), format="plain", answer_ids=ANSWER, layer=layer, attention_kind=kind
        )
        result = run("attention", folders, request)
        weights = result.weights.tuned
        np.testing.assert_allclose(weights, expected[kind, layer], **CLOSE)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        assert weights.shape[1:] == (len(result.queries("tuned")), len(result.keys("tuned")))
        if result.causal:
            assert not np.triu(weights, 1).any()
        else:
            assert len(weights[0]) == 1 or np.triu(weights, 1).any()


def test_a_model_without_attention_says_so_and_works_elsewhere(folders: Pair[Path], pair: Pair[LanguageModel]):
    if pair.tuned.facts.attention:
        assert _name(folders) not in WITHOUT_ATTENTION
        return
    with pytest.raises(Refused, match="layers have no attention, so there is no attention to look at"):
        run("attention", folders, AttentionRequest(messages=ask(TEXT), format="plain", answer_ids=ANSWER))


def test_gradients_are_the_models_own(pair: Pair[LanguageModel], plain: Any, folders: Pair[Path], sequence: Encoded):
    request = AttributionRequest(messages=ask(TEXT), format="plain", answer_ids=ANSWER)
    result = run("attribution", folders, request)
    answer = sequence.positions("answer")
    for target in (0, len(ANSWER) - 1):
        expected = oracles.gradient_x_input(plain, sequence.ids, answer[target], "logit", sequence.encoder_length)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(result.scores.tuned[target] / scale, expected / scale, rtol=1e-3, atol=2e-4)
        assert not result.scores.tuned[target, answer[target] :].any()


def test_the_report_knows_what_works(folders: Pair[Path], pair: Pair[LanguageModel]):
    result: LoadReport = run("load_report", folders, LoadReportRequest())
    works = {ability.analysis: ability.works for ability in result.abilities}
    assert works["generation"] and works["attribution"]
    assert works["attention"] == bool(pair.tuned.facts.attention)
    assert result.differs and result.tokenizers == "equal"
    assert result.tensor_sizes.sum() == pair.tuned.facts.parameters
    assert not np.isnan(result.tensor_differences).any() and (result.tensor_changed > 0.99).mean() > 0.9
    assert set(result.tensor_layers) >= {-1, *range(pair.tuned.facts.layers)}
