"""The headline numbers of a result: what a report leads with, and what a threshold may name, as in `shift.shifted_share > 0.2`.

`NAMES` lists them by analysis; a number that is not known (NaN in the result) is left out.
Shares are from 0 to 1. The most telling come first. `said` may quote what a person or a model wrote: it is text, never markup.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from model_utils import differences
from model_utils.contracts import density as densities
from model_utils.contracts.ablation import Ablation
from model_utils.contracts.agreement import Agreement
from model_utils.contracts.atlas import Atlas
from model_utils.contracts.attention import Attention
from model_utils.contracts.attribution import Attribution
from model_utils.contracts.bias import Bias
from model_utils.contracts.common import ROLES
from model_utils.contracts.density import Density
from model_utils.contracts.faithfulness import Faithfulness
from model_utils.contracts.findings import QUESTIONS, ClaimVerdict, Findings
from model_utils.contracts.generation import Generation
from model_utils.contracts.instructions import Instructions
from model_utils.contracts.load_report import LoadReport, relative
from model_utils.contracts.probe import Estimate, Finding, Probed, known_mean
from model_utils.contracts.published import Published
from model_utils.contracts.randomisation import Randomisation
from model_utils.contracts.shift import SHARES, Forced, Shift
from model_utils.contracts.survey import Interval, Survey
from model_utils.pair import Side

QUOTED = 40
"""Characters of a quoted word."""
SHARE, NATS = "share", "nats"
ORDER: tuple[Side, Side] = ("tuned", "base")


@dataclass(frozen=True)
class Measure:
    """One number of a result."""

    name: str
    """snake_case; unique within an analysis"""
    value: float
    """finite"""
    unit: str
    """such as share (0 to 1), nats or tokens"""
    said: str
    """one plain sentence with the number, its unit and its direction"""


def measures(kind: str, result: Any) -> tuple[Measure, ...]:
    """The numbers of a result of the analysis `kind`, a key of `ANALYSES`; those that are not known are left out."""
    return tuple(one for one in OF[kind](result) if math.isfinite(one.value))


def _load_report(result: LoadReport) -> Iterator[Measure]:
    known = ~np.isnan(result.tensor_differences) & ~np.isnan(result.tensor_norms) & ~np.isnan(result.tensor_changed)
    sizes = result.tensor_sizes[known]
    if not len(sizes):
        return
    share = float((result.tensor_changed[known] * sizes).sum() / sizes.sum())
    norms = (np.linalg.norm(values[known]) for values in (result.tensor_differences, result.tensor_norms))
    change = float(relative(*norms))
    yield Measure(
        "changed_share",
        share,
        SHARE,
        f"{_percent(share)} of the weights that can be compared differ between the models.",
    )
    yield Measure(
        "relative_change",
        change,
        "ratio",
        f"The difference of all weights has {_number(change)} times the norm of base.",
    )
    layers = result.by_layer()
    if len(layers):
        changes = layers["change"].to_numpy()
        most, layer = float(changes.max()), int(layers["layer"].to_numpy()[changes.argmax()])
        where = "outside the layers" if layer < 0 else f"in layer {layer}"
        yield Measure(
            "most_changed_layer",
            most,
            "ratio",
            f"The weights changed most {where}: by {_number(most)} times base's norm.",
        )


def _generation(result: Generation) -> Iterator[Measure]:
    shared = _mean(differences.agreement(one.base.text, one.tuned.text) for one in result.samples)
    yield Measure("shared_words", shared, SHARE, f"The two answers share {_percent(shared)} of their words, in order.")
    for side in ORDER:
        answers = [one[side] for one in result.samples]
        tokens = _mean(float(len(one.answer)) for one in answers)
        yield Measure(
            f"{side}_answer_tokens",
            tokens,
            "tokens",
            f"The {side} answer is {_number(tokens)} tokens long{_of(answers)}.",
        )
        sure = _mean(float(value) for one in answers for value in one.log_probs)
        yield Measure(
            f"{side}_mean_log_prob",
            sure,
            NATS,
            f"The {side} model held a token of its own answer likely with {_number(sure)} nats on average; 0 is certain.",
        )


def _of(answers: list[Any]) -> str:
    return f", on average over {len(answers)} samples" if len(answers) > 1 else ""


def _shift(result: Shift) -> Iterator[Measure]:
    yield from _moved(result.answers.tuned, "")
    yield from _moved(result.answers.base, "base_answer_")


def _moved(forced: Forced, prefix: str) -> Iterator[Measure]:
    """Of one answer, over the units that a person reads."""
    what, counted = f"the {forced.writer} answer", forced.counted
    unit = "tokens" if forced.alike else "pieces"
    if not counted.any():
        return
    shares = forced.shares()
    meanings = {
        "shifted": f"are not among the {forced.reader} model's three most probable",
        "marginal": f"are the {forced.reader} model's second or third choice",
        "unshifted": f"are the {forced.reader} model's own first choice",
    }
    for name in reversed(SHARES):
        yield Measure(
            f"{prefix}{name}_share",
            shares[name],
            SHARE,
            f"{_percent(shares[name])} of the tokens of {what} {meanings[name]}.",
        )
    ratio = _mean(np.abs(forced.log_ratios[counted]))
    yield Measure(
        f"{prefix}mean_log_ratio",
        ratio,
        NATS,
        f"The two models' log-probabilities of {what} are {_number(ratio)} nats apart, on average over its {unit}.",
    )
    yield from _beyond_noise(forced, prefix, what, unit)
    for name, values, said in (
        ("kl", forced.kl, "KL(tuned || base)"),
        ("js", forced.js, "Jensen-Shannon divergence, at most 0.69,"),
    ):
        value = _mean(values[counted]) if forced.alike else math.nan
        yield Measure(
            f"{prefix}{name}",
            value,
            NATS,
            f"The {said} over {what} is {_number(value)} nats on average; 0 is no change.",
        )
    if forced.split is not None:
        for name, values in (("weights", forced.split.weights), ("format", forced.split.format)):
            value = _mean(values[counted])
            yield Measure(
                f"{prefix}mean_{name}",
                value,
                NATS,
                f"The {name} changed a log-probability of {what} by {_signed(value)} nats on average.",
            )


def _beyond_noise(forced: Forced, prefix: str, what: str, unit: str) -> Iterator[Measure]:
    """How much of the answer changed more than noise would change it, where that was measured."""
    floors = [floor.nats for floor in (forced.numerical, forced.wording) if floor is not None]
    if forced.wording is not None and np.isfinite(floors).all():
        beyond, floor = _mean(forced.beyond[forced.counted]), float(max(floors))
        yield Measure(
            f"{prefix}beyond_noise_share",
            beyond,
            SHARE,
            f"{_percent(beyond)} of the {unit} of {what} changed more than a reworded prompt would change them.",
        )
        yield Measure(
            f"{prefix}noise_floor",
            floor,
            NATS,
            f"Noise (a reworded prompt, other arithmetic) changes a log-probability of {what} by up to {_number(floor)} nats.",
        )


SURVEYED = {
    "shifted": ("shifted_share", SHARE, "of the tuned answers' tokens are not among base's three most probable"),
    "marginal": ("marginal_share", SHARE, "of the tuned answers' tokens are base's second or third choice"),
    "unshifted": ("unshifted_share", SHARE, "of the tuned answers' tokens are base's own first choice"),
    "log_ratio": ("log_ratio", NATS, "lie between the two models' log-probabilities of the tuned answers"),
    "kl": ("kl", NATS, "of KL(tuned || base) over the tuned answers"),
    "js": ("js", NATS, "of Jensen-Shannon divergence over the tuned answers"),
    "agreement": ("shared_words", SHARE, "of the words are in both answers, in order"),
    "checks passed by tuned": ("tuned_checks_passed", SHARE, "of what instructions verifiably ask for is met by tuned"),
    "checks passed by base": ("base_checks_passed", SHARE, "of what instructions verifiably ask for is met by base"),
    "checks passed, tuned - base": (
        "checks_passed_difference",
        SHARE,
        "is how many more checks tuned passes than base",
    ),
}
"""Measure of a survey -> name, unit, and what the number is of, as the end of a sentence."""


def _survey(result: Survey) -> Iterator[Measure]:
    means = {one.measure: one for one in result.intervals}
    for measure, (name, unit, said) in SURVEYED.items():
        if measure in means:
            yield from _ends(means[measure], name, unit, said)
    refused = float(sum(one.refusal is not None for one in result.items))
    yield Measure(
        "refused", refused, "instructions", f"{refused:.0f} of {len(result.items)} instructions could not be asked."
    )


def _ends(one: Interval, name: str, unit: str, said: str) -> Iterator[Measure]:
    """A mean and the ends of its interval, where it has such."""
    form = _percent if unit == SHARE else (lambda value: f"{_number(value)} {unit}" if unit else _number(value))
    ends = f" (95 % interval {form(one.low)} to {form(one.high)})" if math.isfinite(one.low) else ""
    over = f"mean over {one.count} instruction{'' if one.count == 1 else 's'}"
    yield Measure(name, one.mean, unit, f"{form(one.mean)}{ends} {said}; {over}.")
    for end, value in (("low", one.low), ("high", one.high)):
        which = "lower" if end == "low" else "upper"
        yield Measure(f"{name}_{end}", value, unit, f"{form(value)} is the {which} end of the 95 % interval of {name}.")


def _attention(result: Attention) -> Iterator[Measure]:
    base, tuned = result.weights.sides
    if not result.shared or base.shape != tuned.shape or not base.size:
        return
    apart = np.abs(tuned.astype(np.float64) - base)
    moved, most = float(apart.sum(axis=-1).mean() / 2), float(apart.max())
    yield Measure(
        "mean_row_change",
        moved,
        SHARE,
        f"{_percent(moved)} of the attention of a token lies elsewhere in tuned than in base, on average over heads and tokens (total variation).",
    )
    yield Measure(
        "largest_weight_change",
        most,
        SHARE,
        f"No single attention weight differs by more than {_number(most)} between the models; weights are from 0 to 1.",
    )


def _atlas(result: Atlas) -> Iterator[Measure]:
    changes = result.changes
    if not changes.size or np.isnan(changes).all():
        return
    layer, head = np.unravel_index(int(np.nanargmax(changes)), changes.shape)
    most, mean = float(changes[layer, head]), float(np.nanmean(changes))
    low, high = result.bounds[:, layer, head].tolist()
    ends = f" (95 % interval {_number(low)} to {_number(high)})" if math.isfinite(low) else ""
    yield Measure(
        "largest_head_change",
        most,
        NATS,
        f"Tuning changed the look of head {head} of layer {result.layers[layer]} most: by {_number(most)} nats{ends}; 0.69 is the most that is possible.",
    )
    yield Measure(
        "mean_head_change",
        mean,
        NATS,
        f"On average over all {changes.size} heads the look changed by {_number(mean)} nats.",
    )


def _ablation(result: Ablation) -> Iterator[Measure]:
    totals = result.totals()
    for side in ORDER:
        drops = -totals[side].astype(np.float64)
        if not len(drops) or np.isnan(drops).all():
            continue
        which = int(np.nanargmax(drops))
        drop, (layer, head) = float(drops[which]), result.heads[which].tolist()
        does = (
            f"lowers the answer's log-probability most: by {_number(drop)} nats"
            if drop > 0
            else f"raises the answer's log-probability by {_number(-drop)} nats, and no head lowers it"
        )
        yield Measure(
            f"{side}_largest_drop",
            drop,
            NATS,
            f"In {side}, switching off head {head} of layer {layer} {does}.",
        )


def _attribution(result: Attribution) -> Iterator[Measure]:
    totals, opened, apart = result.totals(), result.open_totals(), result.share_apart()
    for side in ORDER:
        text = result.texts[side]
        roles = text.sequence.roles[text.first_tokens()]
        asked = text.open & (roles == ROLES.index("instruction"))
        share = _share(np.abs(totals[side]), asked)
        yield Measure(
            f"{side}_instruction_share",
            share,
            SHARE,
            f"{_percent(share)} of {side}'s scores, by size, lie on the instruction.",
        )
        sizes = np.nan_to_num(np.abs(opened[side]))
        if sizes.sum() > 0:
            top = int(sizes.argmax())
            share = _share(sizes, np.arange(len(sizes)) == top)
            how = "" if not result.signed else ", for it" if opened[side][top] > 0 else ", against it"
            yield Measure(
                f"{side}_top_share",
                share,
                SHARE,
                f"In {side}, \u201c{_quoted(text.names()[top])}\u201d counts most{how}: {_percent(share)} of the scores, by size, of what may be taken away.",
            )
        share = apart[side]
        yield Measure(
            f"{side}_format_share",
            share,
            SHARE,
            f"{_percent(share)} of {side}'s scores, by size, lie on the format and control tokens.",
        )
    change = np.nan_to_num(np.abs(result.open_difference())) if result.aligned else np.zeros(0)
    if change.any():
        top = int(change.argmax())
        yield Measure(
            "largest_score_change",
            float(change[top]),
            result.unit,
            f"Between the models the score of \u201c{_quoted(result.texts.tuned.names()[top])}\u201d differs most: by {_signed(float(result.open_difference()[top]))} {result.unit} (tuned minus base).",
        )


def _faithfulness(result: Faithfulness) -> Iterator[Measure]:
    for side in ORDER:
        one, unit = result.judged[side], result.quantity
        if not one.finished:
            continue
        yield Measure(
            f"{side}_comprehensiveness",
            one.comprehensiveness,
            unit,
            f"Without the highest scored parts {side}'s {unit} falls by {_number(one.comprehensiveness)}; higher is better.",
        )
        yield Measure(
            f"{side}_sufficiency",
            one.sufficiency,
            unit,
            f"With only these parts {side}'s {unit} falls by {_number(one.sufficiency)}; lower is better.",
        )
        yield Measure(
            f"{side}_p",
            one.p,
            "p",
            f"{side.capitalize()}'s scores against random orders: {one.verdict()} (p = {_number(one.p)}).",
        )


def _density(result: Density) -> Iterator[Measure]:
    for side in ORDER:
        yield from _ends(
            result.interval(side),
            f"{side}_density",
            "",
            f"is how densely {side} uses the instruction throughout its answer",
        )
    difference = result.interval(densities.DIFFERENCE)
    yield from _ends(
        difference, "density_difference", "", "is how much more densely tuned uses the instruction than base"
    )


def _agreement(result: Agreement) -> Iterator[Measure]:
    for side in ORDER:
        taus = np.array([result.taus[side][pair] for pair in result.pairs()])
        if not len(taus) or np.isnan(taus).all():
            continue
        mean, low = float(np.nanmean(taus)), float(np.nanmin(taus))
        yield Measure(
            f"{side}_mean_tau",
            mean,
            "tau",
            f"In {side} each two methods agree with tau = {mean:+.2f} on average; 1 is the same order, and two unrelated ones reach {result.chance:.2f}.",
        )
        yield Measure(
            f"{side}_lowest_tau", low, "tau", f"In {side} the two methods that agree least have tau = {low:+.2f}."
        )


def _randomisation(result: Randomisation) -> Iterator[Measure]:
    for side in ORDER:
        one = result.shuffled[side]
        if not one.finished:
            continue
        yield Measure(
            f"{side}_likeness",
            one.likeness,
            "rho",
            f"With all layers of {side} shuffled the scores are like the original ones with |rho| = {one.likeness:.2f}; a map that shows what was learned is near 0.",
        )
        yield Measure(
            f"{side}_size_likeness",
            one.size_likeness,
            "rho",
            f"The sizes of {side}'s scores then have rho = {one.size_likeness:+.2f}.",
        )


def _probe(result: Probed) -> Iterator[Measure]:
    """Of each finding both sides and their difference, tuned minus base, each with the ends of its interval."""
    for finding in result.findings:
        for name in ORDER:
            yield from _of_finding(finding, name)
        yield from _of_finding(finding, "difference")
    yield _refused(result)


def _instructions(result: Instructions) -> Iterator[Measure]:
    """As of every probe, the suggestion first, because 0 is innocent of it alone; and what the rules mark without a model."""
    *found, refused = _probe(replace(result, findings=result.findings[::-1]))
    yield from found
    count, marked = sum(map(len, result.marks)), sum(map(bool, result.marks))
    said = f"The rules mark {count:,} place{'' if count == 1 else 's'} in {marked:,} of {result.done:,} instructions; fewer is better."
    yield Measure("marks", float(count), "marks", said)
    yield refused


def _refused(result: Probed) -> Measure:
    asked, refused = result.done, float(len(result.refused))
    return Measure("refused", refused, "items", f"{refused:.0f} of {asked:,} items could not be asked.")


def _bias(result: Bias) -> Iterator[Measure]:
    """Of every group against its reference the largest difference, and the largest of those that are surely there; groups have any names."""
    chances = [one for one in result.findings if one.measure.endswith("_probability")]
    for side in ORDER:
        known = [(one, one.sides[side]) for one in chances if one.sides[side].count]
        if known:
            most, gap = max(known, key=lambda pair: abs(pair[1].mean))
            about = most.says.rpartition(", ")[2]
            said = f"The largest difference between groups in {side} is {most.interval(gap, signed=True)}, {about}; 0 is none."
            yield Measure(f"{side}_largest_gap", abs(gap.mean), SHARE, said)
            sure = [max(0.0, one.low, -one.high) for _, one in known if math.isfinite(one.low)]
            said = f"Of the differences between groups in {side}, at least one is surely {100 * max(sure, default=0):.1f} percentage points or more; 0: all intervals include 0."
            yield Measure(f"{side}_sure_gap", max(sure, default=math.nan), SHARE, said)
        mass = known_mean(result.mass[side])
        yield Measure(
            f"{side}_mass",
            mass,
            SHARE,
            f"The two options hold {_percent(mass)} of the probability in {side}; where that is little, it would write something else.",
        )
    yield _refused(result)


def _published(result: Published) -> Iterator[Measure]:
    """As of every probe, and of BBQ whether the answers are what the models would write."""
    yield from _probe(result)
    for side in ORDER if result.benchmark == "bbq" else ():
        mass = known_mean(result.mass(side))
        said = f"The three answers hold {_percent(mass)} of the probability in {side}; where that is little, it would write something else."
        yield Measure(f"{side}_mass", mass, SHARE, said)


def _of_finding(finding: Finding, name: Side | Literal["difference"]) -> Iterator[Measure]:
    difference = name == "difference"
    one = finding.difference if name == "difference" else finding.sides[name]
    whose = "tuned minus base" if difference else name
    measure, over = f"{finding.measure}_{name}", f"over {one.count:,} {finding.of}{'' if one.count == 1 else 's'}"
    said = f"{finding.says[:1].upper()}{finding.says[1:]}: {whose} {finding.interval(one, signed=difference)}, {over}."
    yield Measure(measure, one.mean, finding.unit, said)
    for end, value in (("low", one.low), ("high", one.high)):
        which = "lower" if end == "low" else "upper"
        alone = finding.interval(Estimate(value, math.nan, math.nan, one.count), signed=difference)
        said = f"{alone} is the {which} end of the 95 % interval of {measure}."
        yield Measure(f"{measure}_{end}", value, finding.unit, said)


def _findings(result: Findings) -> Iterator[Measure]:
    """How many claims have each verdict, and of every claim that has a number the difference."""
    for verdict in get_args(ClaimVerdict):
        count = sum(claim.verdict == verdict for claim in result.claims)
        yield Measure(
            f"claims_{verdict.replace(' ', '_')}",
            float(count),
            "claims",
            f'{count} of {len(result.claims)} claims have the verdict "{verdict}".',
        )
    for claim in result.claims:
        if claim.finding is not None:
            one = claim.finding
            said = f"{claim.question} {one.says[:1].upper()}{one.says[1:]}: tuned minus base {one.interval(one.difference, signed=True)}. {claim.words}"
            yield Measure(_claim_name(claim.question), one.difference.mean, one.unit, said)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.3g}"


def _mean(values: Iterable[float]) -> float:
    """NaN of none."""
    all_ = np.array([*values], dtype=np.float64)
    return float(all_.mean()) if len(all_) else math.nan


def _share(sizes: np.ndarray, chosen: np.ndarray) -> float:
    """Of the sum of `sizes` (part,), NaN ones left out; NaN where there is nothing."""
    total = float(np.nansum(sizes, dtype=np.float64))
    return float(np.nansum(sizes[chosen], dtype=np.float64)) / total if total > 0 else math.nan


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTED else line[: QUOTED - 1] + "…"


OF: dict[str, Callable[[Any], Iterator[Measure]]] = {
    "load_report": _load_report,
    "generation": _generation,
    "shift": _shift,
    "survey": _survey,
    "attention": _attention,
    "atlas": _atlas,
    "ablation": _ablation,
    "attribution": _attribution,
    "faithfulness": _faithfulness,
    "density": _density,
    "agreement": _agreement,
    "randomisation": _randomisation,
    "reasoning": _probe,
    "robustness": _probe,
    "bias": _bias,
    "calibration": _probe,
    "published": _published,
    "instructions": _instructions,
    "findings": _findings,
}
"""Analysis -> its measures, NaN where one is not known."""


def _of_sides(*names: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in names for side in ORDER)


def _with_ends(*names: str) -> tuple[str, ...]:
    """With the ends of their 95 % intervals."""
    return tuple(name + end for name in names for end in ("", "_low", "_high"))


def _of_findings(*names: str) -> tuple[str, ...]:
    return _with_ends(*(f"{name}_{one}" for name in names for one in (*ORDER, "difference")))


MOVED = (
    "shifted_share",
    "marginal_share",
    "unshifted_share",
    "mean_log_ratio",
    "beyond_noise_share",
    "noise_floor",
    "kl",
    "js",
    "mean_weights",
    "mean_format",
)


def _claim_name(question: str) -> str:
    """snake_case, and that it is a difference: 'more_robust_to_wording_difference'."""
    return "_".join(re.findall(r"[a-z]+", question.lower())) + "_difference"


NAMES: dict[str, tuple[str, ...]] = {
    "load_report": ("changed_share", "relative_change", "most_changed_layer"),
    "generation": ("shared_words", *_of_sides("answer_tokens", "mean_log_prob")),
    "shift": (*MOVED, *(f"base_answer_{name}" for name in MOVED)),
    "survey": (*_with_ends(*(name for name, *_ in SURVEYED.values())), "refused"),
    "attention": ("mean_row_change", "largest_weight_change"),
    "atlas": ("largest_head_change", "mean_head_change"),
    "ablation": _of_sides("largest_drop"),
    "attribution": (*_of_sides("instruction_share", "top_share", "format_share"), "largest_score_change"),
    "faithfulness": _of_sides("comprehensiveness", "sufficiency", "p"),
    "density": _with_ends(*_of_sides("density"), "density_difference"),
    "agreement": _of_sides("mean_tau", "lowest_tau"),
    "randomisation": _of_sides("likeness", "size_likeness"),
    "reasoning": (
        *_of_findings(
            "right",
            "aoc",
            "contradiction",
            "corrupted_flips",
            "paraphrase_same",
            "filler_same",
            "hint_flips",
            "hint_admitted",
        ),
        "refused",
    ),
    "robustness": (
        *_of_findings(
            "right",
            "right_reworded",
            "flips",
            "spread",
            "gap",
            "sensitivity",
            "attribution_agreement",
            "plain_nll",
        ),
        "refused",
    ),
    "bias": (*_of_sides("largest_gap", "sure_gap", "mass"), "refused"),
    "calibration": (*_of_findings("calibration_error", "right", "overconfidence", "brier"), "refused"),
    "published": (
        *_of_findings(
            *("full_stereotype", "full_above_half", "shared_stereotype", "shared_above_half", "full_difference"),
            *("ss", "ss_above_half", "lm", "icat"),
            *(
                f"{name}{whose}"
                for whose in ("", "_names")
                for name in ("s_amb", "s_dis", "accuracy_amb", "accuracy_dis")
            ),
        ),
        *_of_sides("mass"),
        "refused",
    ),
    "instructions": (*_of_findings("suggestion", "answer_entropy", "sentence_effect"), "marks", "refused"),
    "findings": (
        *(f"claims_{verdict.replace(' ', '_')}" for verdict in get_args(ClaimVerdict)),
        *(_claim_name(one.asks) for one in QUESTIONS),
    ),
}
"""Analysis -> the names of all its measures, those of the tuned answer first."""
