"""Importance density: how many tokens of its answer each model owes to the words of the instruction, on its own prompt and answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from model_utils import generation, gradients, intervals, prompts
from model_utils.contracts.common import ROLES, Encoded, Format, Message
from model_utils.contracts.density import FLOOR, LEVELS, NEAR, POWER, Density, DensityRequest, Measured, Use, measures
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.survey import Interval
from model_utils.differences import units
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair
from model_utils.reporting import Part, Report
from model_utils.targets import Target

SNAPSHOT_SECONDS = 1.0
INSTRUCTION = ROLES.index("instruction")
NO_INSTRUCTION = "Its prompt holds no token of the instruction but control tokens, so there is nothing to measure."
NO_ANSWER = "Its answer is empty, so there is nothing that the instruction could be used for."
NO_RISE = "No token of the prompt raises the probability of any token of the answer, as far as its slopes tell; where the model is sure of every token they all vanish."


# --- formulas ---------------------------------------------------------------------------------------------------------


def levels(scores: np.ndarray) -> np.ndarray:
    """(token, answer) 0 or `FLOOR` + 1 .. `LEVELS`, from scores of the same shape (Wu et al. 2024, section 3.1).

    ceil(L max(0, S) / max over the tokens given), 0 where that is at most b. A column without a score above 0 stays all zero.
    The maximum is over the prompt's tokens, those of the format with them: whatever the format draws to itself, the instruction lacks.
    """
    most = scores.max(axis=0, initial=0.0)
    shares = np.divide(np.maximum(scores, 0.0), most, out=np.zeros_like(scores, dtype=np.float64), where=most > 0)
    steps = np.ceil(LEVELS * shares)  # the share first: that of the largest is exactly 1
    return np.where(steps > FLOOR, steps, 0.0)


def importance(found: np.ndarray) -> np.ndarray:
    """(token,) a_n = ||S_n||_1 / ||S_n||_p of each row of the levels (token, answer), p = `POWER`; 0 for a row of zeros.

    >>> importance(np.array([[8.0, 8.0, 8.0, 8.0], [0.0, 0.0, 10.0, 0.0], [0.0, 0.0, 0.0, 0.0]])).round(4).tolist()
    [2.8284, 1.0, 0.0]
    """
    norms = (found**POWER).sum(axis=1) ** (1 / POWER)
    return np.divide(found.sum(axis=1), norms, out=np.zeros(len(found)), where=norms > 0)


def densities(scores: np.ndarray) -> np.ndarray:
    """(token,) d_n = a_n / max a, 0 to 1, of the scores (token, answer) of a prompt; all 0 where no score is above 0."""
    found = importance(levels(scores))
    most = found.max(initial=0.0)
    return found / most if most > 0 else found


# --- the analysis -----------------------------------------------------------------------------------------------------


def density(pair: Pair[LanguageModel], request: DensityRequest, report: Report) -> Density:
    """One instruction after the other; of a list, one that cannot be asked is kept with the reason. Each side by itself: the two
    matrices of scores are of different texts and of different length, which is the published practice."""
    pair.map(gradients.check_gradients)
    models, items = pair.map(lambda model: model.facts), list[Measured]()
    count, shown = len(request.instructions), time.monotonic()
    for number, instruction in enumerate(request.instructions):
        report.breathe()
        part = Part(report, number / count, 1 / count)
        try:
            items.append(_measured(pair, request, instruction, part))
        except Refused as refused:
            if count == 1:
                raise
            items.append(_refused(instruction, str(refused)))
        now, snapshot = time.monotonic(), None
        if now - shown > SNAPSHOT_SECONDS:
            snapshot, shown = Density(models, tuple(items), _intervals(items, intervals.mean)), now
        report((number + 1) / count, f"instruction {number + 1} of {count}", snapshot)
    return Density(models, tuple(items), _intervals(items, intervals.interval))


def _intervals(items: list[Measured], of: Callable[[str, np.ndarray], Interval]) -> tuple[Interval, ...]:
    return tuple(of(name, values) for name, values in measures(tuple(items)).items())


def _measured(pair: Pair[LanguageModel], request: DensityRequest, instruction: str, report: Report) -> Measured:
    prompt, ids = _asked(pair, request, instruction, Part(report, 0, ANSWER_SHARE))
    found = {}
    for number, side in enumerate(SIDES):
        model, share = pair[side], (1 - ANSWER_SHARE) / len(SIDES)
        part = Part(report, ANSWER_SHARE + number * share, share)
        found[side] = _use(model, prompt[side], ids[side], request.formats[side], instruction, part)
    return Measured(instruction, tuple(text for text, *_ in words(instruction)), Pair(**found))


def _asked(
    pair: Pair[LanguageModel], request: DensityRequest, instruction: str, report: Report
) -> tuple[Pair[Encoded], Pair[tuple[int, ...]]]:
    """Both prompts, and the ids of both answers: those given, else written here."""
    system = (Message(role="system", content=request.system),) if request.system else ()
    manner = {
        name: getattr(request, name) for name in type(request).model_fields if name in GenerationRequest.model_fields
    }
    messages = (*system, *request.history, Message(content=instruction))
    asked = GenerationRequest(messages=messages, **manner)
    base, tuned = request.answers.sides
    if base is None or tuned is None:
        answers = generation.generate(pair, asked, report).answers
        prompt, written = answers.map(lambda one: one.prompt), answers.map(lambda one: tuple(one.answer.ids.tolist()))
        ids = Pair(written.base if base is None else base, written.tuned if tuned is None else tuned)
    else:
        prompt, ids = generation.encode_sides(pair, asked), Pair(base, tuned)
    for side, model in pair.items():
        generation.check_ids(model, ids[side])
        generation.check_length(model, prompt[side], len(ids[side]))
    return prompt, ids


def _use(
    model: LanguageModel, prompt: Encoded, ids: tuple[int, ...], format: Format, instruction: str, report: Report
) -> Use:
    """One model on its own prompt and answer: one forward, and one way back for each token of the answer that a person reads.

    Control tokens are none of the prompt's tokens here (published for one BOS): a begin token or a decoder's start draws most of a slope.
    """
    answer = prompts.encode_continuation(model.tokenizer, prompt, ids)
    counted = np.flatnonzero(prompts.counted(answer, format))
    open_ = np.flatnonzero(~prompt.special)
    mine = prompt.roles[open_] == INSTRUCTION
    if not mine.any() or not len(counted):
        return _nothing(NO_INSTRUCTION if not mine.any() else NO_ANSWER, instruction, len(counted))
    values, scores = _scores(model, prompts.join(prompt, answer), counted, report)
    found = densities(scores[:, open_].T)[mine]
    near = float(((values < NEAR) | (values > 1 - NEAR)).mean())
    if not (scores[:, open_] > 0).any():
        return _nothing(NO_RISE, instruction, len(counted), near)
    spans = prompt.spans[open_[mine]]
    return Use(found.astype(np.float32), _of_words(prompt.text, spans, found, instruction), len(counted), near)


def _scores(
    model: LanguageModel, sequence: Encoded, counted: np.ndarray, report: Report
) -> tuple[np.ndarray, np.ndarray]:
    """(answer,) probabilities of these answer tokens, and (answer, token) S: the gradient of each times the input embeddings."""
    places = sequence.positions("answer")[counted]
    target = Target(places, sequence.ids[places], np.arange(len(places)), "probability")
    slopes = gradients.Slopes(model, sequence, target, report)
    whole = None
    for share, found in gradients.gradient_x_input(slopes, np.arange(len(sequence)), len(sequence)):
        report(share, f"going back through {model.facts.id}")
        whole = found
    assert whole is not None, "an answer without a token"
    return whole.values, whole.scores


def _nothing(why: str, instruction: str, length: int = 0, near: float = math.nan) -> Use:
    empty = np.full(len(words(instruction)), np.nan, dtype=np.float32)
    return Use(np.zeros(0, dtype=np.float32), empty, length, near, why)


def _refused(instruction: str, why: str) -> Measured:
    nothing = _nothing(why, instruction)
    return Measured(instruction, tuple(text for text, *_ in words(instruction)), Pair(nothing, nothing))


# --- words ------------------------------------------------------------------------------------------------------------


def words(instruction: str) -> list[tuple[str, int, int]]:
    """(word, its first character, the one past its last) in the instruction without the space around it; punctuation by itself."""
    found, end = [], 0
    for space, word in units(instruction.strip()):
        start, end = end + len(space), end + len(space) + len(word)
        if word:
            found.append((word, start, end))
    return found


def _of_words(text: str, spans: np.ndarray, found: np.ndarray, instruction: str) -> np.ndarray:
    """(word,) float32; the largest density `found` (token,) of the tokens, `spans` (token, 2), that touch each word of the instruction in
    the prompt's `text`. NaN where a template wrote it in other characters."""
    begin, cut = text.find(instruction.strip(), int(spans[:, 0].min())), words(instruction)
    out = np.full(len(cut), np.nan, dtype=np.float32)
    if begin >= 0:
        for number, (_, start, end) in enumerate(cut):
            touching = (spans[:, 0] < begin + end) & (spans[:, 1] > begin + start)
            out[number] = found[touching].max() if touching.any() else np.nan
    return out
