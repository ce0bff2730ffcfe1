"""Many instructions: each is asked of both models, the tuned answer is read by both, and the list gets intervals."""

from __future__ import annotations

import math
import time

import numpy as np
from scipy.stats import bootstrap

from model_utils import differences, generation, shift, stated
from model_utils.contracts.common import Message
from model_utils.contracts.generation import Answer, GenerationRequest
from model_utils.contracts.shift import Forced
from model_utils.contracts.survey import Interval, Survey, Surveyed, SurveyRequest, measures
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair
from model_utils.reporting import Report

SNAPSHOT_SECONDS = 1.0
RESAMPLES = 2_000
CONFIDENCE = 0.95


def survey(pair: Pair[LanguageModel], request: SurveyRequest, report: Report) -> Survey:
    """One instruction after the other; one that cannot be asked is kept with the reason."""
    models, items = pair.map(lambda model: model.facts), []
    count, shown = len(request.instructions), time.monotonic()
    for number, instruction in enumerate(request.instructions):
        items.append(_surveyed(pair, request, instruction, report))
        now = time.monotonic()
        snapshot = Survey(models, tuple(items), ()) if now - shown > SNAPSHOT_SECONDS else None
        shown = shown if snapshot is None else now
        report((number + 1) / count, f"instruction {number + 1} of {count}", snapshot)
    intervals = tuple(interval(name, values) for name, values in measures(tuple(items)).items())
    return Survey(models, tuple(items), intervals)


class _Quiet(Report):
    """Lets the steps of one instruction be cancelled and give way, and keeps their progress to itself."""

    def __init__(self, report: Report) -> None:
        self.poll, self.breathe = report.poll, report.breathe  # type: ignore[method-assign]


def _surveyed(pair: Pair[LanguageModel], request: SurveyRequest, instruction: str, report: Report) -> Surveyed:
    try:
        answers, forced = _asked(pair, request, instruction, _Quiet(report))
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
    return answers, shift.measure(pair, prompt, "tuned", ids, request.formats.tuned, shift.Texts(report))


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


def interval(measure: str, values: np.ndarray) -> Interval:
    """Mean and 95 % bootstrap interval (Efron 1987, BCa, section 3; seeded) of those `values` (item,) that are numbers."""
    known = values[~np.isnan(values)]
    mean = _mean(known)
    if len(known) < 2:
        return Interval(measure, mean, math.nan, math.nan, len(known))
    spread = float(np.ptp(known))
    if spread == 0:  # every resample is the same
        return Interval(measure, mean, mean, mean, len(known))
    # As shares of the spread: the method divides by third powers, which vanish for very small numbers.
    found = bootstrap(
        ((known - mean) / spread,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(0),
        batch=100,
    ).confidence_interval
    low, high = (mean + spread * float(end) for end in (found.low, found.high))
    return Interval(measure, mean, low, high, len(known))
