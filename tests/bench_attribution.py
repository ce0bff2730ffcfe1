"""The bench of the explanations: against inseq and captum in the same process, and against the bare model."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np

from model_utils import analyses
from model_utils.bench import Figure, Polled, forget_peak, on_one_thread, peak_memory, random_pair, scratch
from model_utils.contracts.attribution import AttributionRequest
from model_utils.contracts.common import Specs, ask
from model_utils.pair import Pair

PROMPT, ANSWER = 64, 32
"""Tokens, at least; words are not cut."""
STEPS = 20


def attribution(smoke: bool) -> list[Figure]:
    """Ratios to the peers for the full matrix (every token for every answer token); one side, as they have one model."""
    figures = []
    for small in (True,) if smoke else (True, False):
        with scratch() as folder:
            specs = random_pair(folder, small)
            work = partial(_figures, Pair(specs.tuned, specs.tuned), small, smoke)
            figures += on_one_thread(work)
    return figures


@dataclass(frozen=True, eq=False)
class Texts:
    """What all of them read."""

    prompt: str
    answer: str
    answer_ids: tuple[int, ...]

    def request(self, **fields: Any) -> AttributionRequest:
        return AttributionRequest(messages=ask(self.prompt), format="plain", answer_ids=self.answer_ids, **fields)


def texts_of(tokenizer: Any, prompt: int, answer: int) -> Texts:
    """Words, as many as make so many tokens."""
    count = lambda text: len(tokenizer(text)["input_ids"])  # noqa: E731
    words = next(words for words in range(1, 2 * prompt + 2) if count(_words(words)) >= prompt)
    first = count(_words(words))
    more = next(more for more in range(1, 2 * answer + 2) if count(_words(words + more)) >= first + answer)
    whole = tokenizer(_words(words + more))["input_ids"]
    assert whole[:first] == tokenizer(_words(words))["input_ids"], "the answer changed how the prompt is cut"
    return Texts(_words(words), _words(words + more)[len(_words(words)) :], tuple(whole[first:]))


def _words(count: int) -> str:
    return " ".join(["word", "the", "loan"][number % 3] for number in range(count))


def _figures(specs: Specs, small: bool, smoke: bool, report: Polled) -> list[Figure]:
    name, runs = ("S", 2 if smoke else 5) if small else ("M", 5)
    with analyses.using(specs, report) as pair:
        model = pair.tuned
        texts = texts_of(model.tokenizer, *((16, 4) if smoke else (PROMPT, ANSWER)))

        def ours(**fields: Any) -> Callable[[], Any]:
            return lambda: _one_side(model, texts.request(**fields), report)

        with model.running(gradients=True) as module:
            peers = _Peers(module, model.tokenizer, texts)
            figures = _Said()
            gradient = ours()
            bar = 3.5 if small else 2.6
            figures.append(_faster(f"gradient x input, full matrix, {name}, against inseq", gradient, peers.gradient, runs, bar))  # fmt: skip
            figures.append(Figure(f"its relative difference from inseq's, {name}", (_apart(gradient(), peers.gradient()),), 1e-5, ""))  # fmt: skip
            if small:
                path = ours(method="integrated gradients", steps=STEPS)
                figures.append(_faster(f"integrated gradients, {STEPS} steps, {name}, against inseq", path, peers.path, runs, 1.5))  # fmt: skip
                away = ours(method="occlusion", quantity="log-probability")
                figures.append(_faster(f"occlusion, full matrix, {name}, against inseq", away, peers.occlusion, 1 if smoke else 3, 40))  # fmt: skip
                prompt = ours(method="occlusion", quantity="log-probability", answer_too=False, together=True)
                figures.append(_faster(f"ablation of the prompt, whole answer, {name}, against captum", prompt, peers.ablation, runs, 2))  # fmt: skip
            else:
                together = ours(together=True)
                ratios = [1 / one for one in _ratios(together, peers.bare, runs)]
                figures.append(Figure(f"one map of the whole answer, {name}, against one forward and backward", tuple(ratios), 1.15, "x"))  # fmt: skip
                figures.append(Figure(f"peak memory of gradient x input, {name}", tuple(_above(gradient) for _ in range(3)), 1_000, "MB"))  # fmt: skip
            if not small:
                figures += _in_bfloat16(specs, texts, gradient, peers.gradient, report)
        if not small:
            figures.append(_growth(model, report))
    return figures


def _in_bfloat16(specs: Specs, texts: Texts, exact: Callable[[], Any], peer: Callable[[], Any], report: Polled) -> list[Figure]:  # fmt: skip
    """The model in bfloat16, whose weights are met in float32 one by one, against the peer in float32: the speed is printed, and how alike the scores are held."""
    half = specs.map(lambda spec: spec.model_copy(update={"dtype": "bfloat16"}))
    with analyses.using(half, report) as pair:
        rough = lambda: _one_side(pair.tuned, texts.request(), report)  # noqa: E731
        alike = float(np.corrcoef(rough().ravel(), exact().ravel())[0, 1])
        return [
            _faster("gradient x input in bfloat16, M, against inseq's in float32 (printed)", rough, peer, 2, 0.0),
            Figure("correlation of the bfloat16 scores with those in float32, M", (alike,), 0.998, "", at_least=True),
        ]


class _Said(list[Figure]):
    """Each figure is printed as soon as it is known, because the whole bench takes many minutes."""

    def append(self, figure: Figure) -> None:
        click.echo(f"measured: {figure.line()}", err=True)
        super().append(figure)


def _one_side(model: Any, request: AttributionRequest, report: Polled) -> np.ndarray:
    """(target, part) scores of one model, by the very functions behind the analysis."""
    from model_utils import attribution as module
    from model_utils.texts import read

    given = read(Pair(model, model), request, request.together, report)
    task = module.Task(model, given.texts.tuned, given.targets.tuned, request, report)
    *_, (_, found) = module.METHODS[request.method](task)
    return found.scores


class _Peers:
    """inseq and captum on the same module, and the bare module."""

    def __init__(self, module: Any, tokenizer: Any, texts: Texts) -> None:
        import inseq
        from captum.attr import FeatureAblation, LLMAttribution, TextTokenInput

        self.module, self.tokenizer, self.texts = module, tokenizer, texts
        self._inseq = {name: inseq.load_model(module, name, tokenizer=tokenizer) for name in ("input_x_gradient", "integrated_gradients", "occlusion")}  # fmt: skip
        self._captum = LLMAttribution(FeatureAblation(module), tokenizer)
        self._input = TextTokenInput(texts.prompt, tokenizer)

    def _attribute(self, name: str, **options: Any) -> np.ndarray:
        whole = self.texts.prompt + self.texts.answer
        found = self._inseq[name].attribute(self.texts.prompt, whole, show_progress=False, **options)
        scores = found.sequence_attributions[0].target_attributions
        return (scores.sum(-1) if scores.ndim == 3 else scores).detach().T.numpy()

    def gradient(self) -> np.ndarray:
        return self._attribute("input_x_gradient", attributed_fn="logit")

    def path(self) -> np.ndarray:
        return self._attribute("integrated_gradients", attributed_fn="logit", n_steps=STEPS)

    def occlusion(self) -> np.ndarray:
        return self._attribute("occlusion", attributed_fn="probability")

    def ablation(self) -> Any:
        """`forward_in_tokens=False`: one forward of the whole answer for each feature; its cached mode is wrong under transformers 5."""
        options = {"use_cached_outputs": False, "forward_in_tokens": False}
        return self._captum.attribute(self._input, target=self.texts.answer, **options)

    def bare(self) -> None:
        """One forward and one backward of the summed logits of the answer, to the embeddings."""
        import torch

        ids = torch.tensor([self.tokenizer(self.texts.prompt + self.texts.answer)["input_ids"]])
        embeddings = self.module.get_input_embeddings()(ids).detach().requires_grad_()
        count = len(self.texts.answer_ids)
        rows = self.module(inputs_embeds=embeddings, use_cache=False, logits_to_keep=count + 1).logits[0, :-1]
        torch.autograd.grad(rows.gather(1, ids[0, -count:, None]).sum(), embeddings)


def _apart(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, as a share of the largest score."""
    rows, length = theirs.shape
    theirs = np.nan_to_num(theirs)
    return float(np.abs(mine[:rows, :length] - theirs).max() / np.abs(theirs).max())


def _faster(name: str, ours: Callable[[], Any], peer: Callable[[], Any], runs: int, bar: float) -> Figure:
    return Figure(name, _ratios(ours, peer, runs), bar, "x", at_least=True)


def _ratios(ours: Callable[[], Any], peer: Callable[[], Any], runs: int) -> tuple[float, ...]:
    """Seconds of the peer over ours, taking turns; the first turn warms up."""
    found = []
    for _ in range(runs + 1):
        seconds = []
        for work in (ours, peer):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        found.append(seconds[1] / seconds[0])
    return tuple(found[1:])


def _above(work: Callable[[], Any]) -> float:
    """MB above what is there before it."""
    gc.collect()
    before = forget_peak()
    work()
    return (peak_memory() - before) / 1e6


def _growth(model: Any, report: Polled) -> Figure:
    """How the cost of gradient x input of one token grows with the prompt: the exponent from 64 to 1,024 tokens; printed, with a bar that only a square of the whole would miss."""
    lengths = (64, 1_024)
    seconds: dict[int, Sequence[float]] = {}
    for length in lengths:
        texts = texts_of(model.tokenizer, length, 4)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            _one_side(model, texts.request(targets=(0,)), report)
            times.append(time.perf_counter() - start)
        seconds[length] = times[1:]
    low, high = (np.array(seconds[length]) for length in lengths)
    exponents = np.log(high / low) / math.log(lengths[1] / lengths[0])
    return Figure("growth of gradient x input with the prompt, 64 to 1,024 tokens, M (exponent)", tuple(exponents.tolist()), 2.0, "")  # fmt: skip
