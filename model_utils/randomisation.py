"""Does a map depend on what the model learned? The weights of its layers are shuffled, from the last one down, and the map is made again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from model_utils.attribution import METHODS, Task, attribution
from model_utils.contracts.attribution import Attribution, Method
from model_utils.contracts.randomisation import Randomisation, RandomisationRequest, Shuffled
from model_utils.errors import Refused
from model_utils.generation import ANSWER_SHARE
from model_utils.loading import LanguageModel
from model_utils.pair import SIDES, Pair, Side
from model_utils.parts import settled
from model_utils.reporting import Beside, Part, Report
from model_utils.shuffling import check, shuffling
from model_utils.targets import target_of


def randomisation(pair: Pair[LanguageModel], request: RandomisationRequest, report: Report) -> Randomisation:
    """Cascading randomisation (Adebayo et al. 2018, "Sanity checks for saliency maps", sec. 3.1), one side after the other; a snapshot after each map.

    Embeddings, unembedding, the last norm and an encoder stay as they are. Other jobs are let in before each side, when every weight is
    whole, and at no other time.
    """
    pair.map(check)
    whole = attribution(pair, request, Part(report, 0.0, ANSWER_SHARE))
    found = Randomisation(
        models=whole.models,
        texts=whole.texts,
        alignment=whole.alignment,
        method=whole.method,
        quantity=whole.quantity,
        shuffled=Pair(*(_unshuffled(whole, side, request.draws) for side in SIDES)),
        notes=_notes(whole),
    )
    report(ANSWER_SHARE, "shuffling layers", found)
    for number, (side, model) in enumerate(pair.items()):
        report.breathe()
        # Nobody else may read weights that are not the model's own: from here on only the wish to cancel is asked for.
        text, against = whole.texts[side], None if whole.against is None else whole.against[side]
        target = target_of(text, request.quantity, against)
        task = Task(model, text, target, request, Beside(report))
        layers = found.shuffled[side].layers
        steps = layers + request.draws - 1
        with shuffling(model, request.seed, report.poll, model.pass_threads(target.length)) as shuffle:
            for step in range(1, steps + 1):
                again = step > layers  # all are shuffled already, and are shuffled anew
                for layer in range(layers) if again else (layers - step,):
                    shuffle(layer, max(0, step - layers))
                value, scores = _map(task, min(step, layers))
                one = _with(found.shuffled[side], step, value, scores, text.compared, request.method)
                found = replace(found, shuffled=Pair(**{**dict(found.shuffled.items()), side: one}))
                share = (number + step / steps) / len(SIDES)
                said = f"{side}: {min(step, layers)} of {layers} layers shuffled"
                report(ANSWER_SHARE + (1 - ANSWER_SHARE) * share, said, found)
    return found


def _unshuffled(whole: Attribution, side: Side, draws: int) -> Shuffled:
    """What is known before any weight is touched: the map of the model itself."""
    steps, scores = 1 + whole.models[side].layers, whole.scores[side][0]
    nothing = np.full(steps, np.nan)
    empty = Shuffled(
        values=nothing.astype(np.float32),
        scores=np.full((steps, len(scores)), np.nan, dtype=np.float32),
        rhos=nothing,
        size_rhos=nothing,
        end_rhos=np.full(draws, np.nan),
        end_size_rhos=np.full(draws, np.nan),
    )
    return _with(empty, 0, float(whole.values[side][0]), scores, whole.texts[side].compared, whole.method)


def _map(task: Task, layers: int) -> tuple[float, np.ndarray]:
    """The explained value and the scores (part,), by the very function behind the page."""
    try:
        *_, (_, found) = METHODS[task.request.method](task)
    except Refused as refused:
        raise Refused(f"With its last {layers} layers shuffled there is no map: {refused}") from refused
    return float(found.values[0]), found.scores[0]


def _with(known: Shuffled, step: int, value: float, scores: np.ndarray, places: np.ndarray, method: Method) -> Shuffled:
    """One map more; from the last layer on it is a draw of the end."""
    scores = scores.astype(np.float32)
    whole, original = (value, scores) if step == 0 else (float(known.values[0]), known.scores[0])
    original, now = settled(original[places], method, whole), settled(scores[places], method, value)
    rhos = rho(original, now), rho(np.abs(original), np.abs(now))
    new = {name: getattr(known, name).copy() for name in ("values", "scores", "rhos", "size_rhos", "end_rhos", "end_size_rhos")}  # fmt: skip
    if step <= known.layers:
        new["values"][step], new["scores"][step] = value, scores
        new["rhos"][step], new["size_rhos"][step] = rhos
    draw = step - known.layers
    if draw >= 0:
        new["end_rhos"][draw], new["end_size_rhos"][draw] = rhos
    return Shuffled(**new, drawn=max(0, draw + 1))


def rho(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where all scores of one are alike."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(stats.spearmanr(one, other).statistic)


def _notes(whole: Attribution) -> tuple[str, ...]:
    stays = "Only the layers are shuffled; embeddings, unembedding and the last norm stay"
    if any(one.encoder_decoder for one in whole.models.sides):
        stays = "Only the layers of a decoder are shuffled; an encoder, embeddings, unembedding and the last norm stay"
    notes = [f"{stays}, so that a map which owes everything to them is not found out."]
    counts = whole.models.map(lambda one: one.layers)
    if counts.base != counts.tuned:
        notes.append(
            f"base has {counts.base} layers and tuned {counts.tuned}, so that equally many shuffled layers are not an equal share."
        )
    return (*notes, *whole.notes)
