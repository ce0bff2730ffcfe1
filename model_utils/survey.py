"""Many instructions: each is asked of both models, the tuned answer is read by both, and the list gets intervals."""

from __future__ import annotations

import math
import time

import numpy as np

from model_utils import differences, generation, intervals, shift, stated
from model_utils.contracts.common import Message
from model_utils.contracts.generation import Answer, GenerationRequest
from model_utils.contracts.shift import Forced
from model_utils.contracts.survey import Survey, Surveyed, SurveyRequest
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Part, Report

SNAPSHOT_SECONDS = 1.0


def survey(pair: Pair[LanguageModel], request: SurveyRequest, report: Report) -> Survey:
    """One instruction after the other; one that cannot be asked is kept with the reason."""
    models, items = pair.map(lambda model: model.facts), []
    count, shown = len(request.instructions), time.monotonic()
    for number, instruction in enumerate(request.instructions):
        items.append(_surveyed(pair, request, instruction, report))
        now = time.monotonic()
        snapshot = None
        if now - shown > SNAPSHOT_SECONDS:
            snapshot, shown = Survey(models, tuple(items), intervals.means(tuple(items))), now
        report((number + 1) / count, f"instruction {number + 1} of {count}", snapshot)
    return Survey(models, tuple(items), intervals.intervals(tuple(items)))


def _surveyed(pair: Pair[LanguageModel], request: SurveyRequest, instruction: str, report: Report) -> Surveyed:
    try:
        answers, forced = _asked(pair, request, instruction, Part(report))
    except Refused as refused:
        return _refused(instruction, str(refused))
    found = stated.find(instruction)
    counted = forced.counted
    tokens = counted if forced.alike else np.zeros(0, dtype=bool)
    shares = forced.shares()
    return Surveyed(
        instruction=instruction,
        refusal=None,
        texts=answers.map(lambda one: one.text),
        tokens=answers.map(lambda one: len(one.answer)),
        stops=answers.map(lambda one: one.stop),
        shares=(shares["unshifted"], shares["marginal"], shares["shifted"]),
        log_ratio=_mean(np.abs(forced.log_ratios[counted])),
        kl=_mean(forced.kl[tokens]),
        js=_mean(forced.js[tokens]),
        agreement=differences.agreement(answers.base.text, answers.tuned.text),
        checks=tuple(check.says for check in found),
        passed=answers.map(lambda one: tuple(check.passes(one.text) for check in found)),
    )


def _asked(
    pair: Pair[LanguageModel], request: SurveyRequest, instruction: str, report: Report
) -> tuple[Pair[Answer], Forced]:
    """Both answers, and the tuned one read by both models."""
    system = (Message(role="system", content=request.system),) if request.system else ()
    manner = {
        name: getattr(request, name) for name in type(request).model_fields if name in GenerationRequest.model_fields
    }
    asked = GenerationRequest(messages=(*system, Message(content=instruction)), **manner)
    answers = generation.generate(pair, asked, report).answers
    ids = tuple(answers.tuned.answer.ids.tolist())
    prompt = answers.map(lambda one: one.prompt)
    forced = shift.measure(pair, prompt, "tuned", ids, request.formats.tuned, shift.Texts(report))
    if forced.left_out:  # its means would be those of another answer
        raise Refused(forced.left_out)
    return answers, forced


def _refused(instruction: str, why: str) -> Surveyed:
    nothing = math.nan
    return Surveyed(
        instruction=instruction,
        refusal=why,
        texts=Pair("", ""),
        tokens=Pair(0, 0),
        stops=Pair("unfinished", "unfinished"),
        shares=(nothing, nothing, nothing),
        log_ratio=nothing,
        kl=nothing,
        js=nothing,
        agreement=nothing,
        checks=(),
        passed=Pair((), ()),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else math.nan
