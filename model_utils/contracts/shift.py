"""How far tuning moved the distribution of every token of an answer: one answer forced, by ids, through both models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from model_utils.contracts.common import AnswerIds, Asked, Encoded, Format, ModelFacts
from model_utils.pair import Pair, Side, other_side

MARGINAL = 3
"""Worst rank at which a token counts as marginally shifted (Lin et al. 2024, section 2: unshifted 1, marginal 2 to 3, shifted beyond)."""

SHARES = ("unshifted", "marginal", "shifted")

MEASURES = ("log_ratio", "per_character", "rank", "kl", "kl_reverse", "js", "tv", "entropy_change")
"""What can be shown along the answer; columns of `Forced.table`."""


class ShiftRequest(Asked):
    """Each side's answer, forced through both models, each model after its own prompt."""

    answers: Pair[AnswerIds | None] = Pair(None, None)
    """ids of each side's answer, in its own vocabulary; None: its answer is made first, as asked"""
    split: tuple[Format, Format] | None = None
    """the two formats between which 'format or weights?' splits the difference, the reference first; None: base's and tuned's"""


@dataclass(frozen=True, eq=False)
class Reading:
    """One model reading one answer after its own prompt."""

    prompt: Encoded
    answer: Encoded
    """in this model's own tokens"""
    log_probs: np.ndarray
    """(token,) float32; nats; full vocabulary; NaN: this model has no such token"""
    ranks: np.ndarray
    """(token,) int64; 1 + number of tokens that are strictly more probable; 0: this model has no such token"""
    ties: np.ndarray
    """(token,) int64; other tokens exactly as probable"""
    entropies: np.ndarray
    """(token,) float32; nats; of the distribution that the token was chosen from"""
    alternative_ids: np.ndarray
    """(token, alternative) int64; the most probable tokens in each place, best first"""
    alternative_log_probs: np.ndarray
    """(token, alternative) float32; nats"""
    alternative_pieces: tuple[tuple[str, ...], ...]
    """(token, alternative) what to show for them"""
    own_mass: np.ndarray
    """(token,) float32; probability on tokens that the other model does not have; divergences leave these out and say so"""


@dataclass(frozen=True, eq=False)
class Split:
    """The log-ratio between two formats, parted into what the weights did and what the format did: the two-factor Shapley value.

    With L(w, f) the log-probability under weights w (base, tuned) and format f (0 the reference, 1 the other), per unit:
    total = L(tuned, 1) - L(base, 0) = weights + format; the interaction says how far that depends on which is changed first.
    """

    formats: tuple[Format, Format]
    """(reference, other)"""
    log_probs: tuple[Pair[np.ndarray], Pair[np.ndarray]]
    """for each of the two formats the (unit,) float64 log-probabilities of both models; nats"""

    @property
    def total(self) -> np.ndarray:
        """(unit,) nats"""
        return self.log_probs[1].tuned - self.log_probs[0].base

    @property
    def weights(self) -> np.ndarray:
        """(unit,) nats; half the tuned-minus-base difference in each format, summed"""
        reference, other = self.log_probs
        return (reference.tuned - reference.base) / 2 + (other.tuned - other.base) / 2

    @property
    def format(self) -> np.ndarray:
        """(unit,) nats; half the format difference in each model, summed"""
        reference, other = self.log_probs
        return (other.base - reference.base) / 2 + (other.tuned - reference.tuned) / 2

    @property
    def interaction(self) -> np.ndarray:
        """(unit,) nats; how much more the weights do in the other format than in the reference"""
        reference, other = self.log_probs
        return (other.tuned - other.base) - (reference.tuned - reference.base)


@dataclass(frozen=True, eq=False)
class Floor:
    """How much log-probabilities of one and the same model move when nothing that matters changes."""

    sides: Pair[float]
    """nats; the percentile of each model's absolute changes over runs and units; NaN: nothing could be measured"""
    runs: tuple[str, ...]
    """what was changed from run to run"""
    values: Pair[int]
    """how many changes it was taken from"""

    @property
    def nats(self) -> float:
        """The larger of both sides; NaN where one of them could not be measured."""
        return float(np.max(self.sides.sides))


@dataclass(frozen=True, eq=False)
class Forced:
    """One side's answer read by both models."""

    writer: Side
    readings: Pair[Reading]
    alike: bool
    """both models read the same tokens; else they are compared on pieces of text between character boundaries that both tokenizations share"""
    spans: np.ndarray
    """(unit, 2) int64; characters of the answer's text; a unit is a token where both read the same tokens, else a piece of text"""
    counted: np.ndarray
    """(unit,) bool; whether it belongs to the answer that a person reads: no control token, nothing behind the delimiter"""
    log_probs: Pair[np.ndarray]
    """(unit,) float64; nats; the sum over each model's tokens in the unit"""
    kl: np.ndarray
    """(token,) float32; nats; KL(tuned || base); this and the next three are empty where the tokens are not alike"""
    kl_reverse: np.ndarray
    """(token,) float32; nats; KL(base || tuned)"""
    js: np.ndarray
    """(token,) float32; nats, at most ln 2; Jensen-Shannon divergence"""
    tv: np.ndarray
    """(token,) float32; 0 to 1; total variation distance"""
    left_out: str = ""
    """why the end of the answer is not here: a sentence for people; empty: all of it is"""
    split: Split | None = None
    """None in a snapshot, and where the answer could not be read in both formats: then a note of the result says why"""
    numerical: Floor | None = None
    """99th percentile of changes by batch, padding, kernel and threads; None in a snapshot"""
    wording: Floor | None = None
    """90th percentile of changes by neutral rewordings of the instruction; None in a snapshot"""

    @property
    def reader(self) -> Side:
        """The model that did not write this answer."""
        return other_side(self.writer)

    @property
    def log_ratios(self) -> np.ndarray:
        """(unit,) float64; nats; log p_tuned - log p_base: above 0 tuned holds it likelier"""
        return self.log_probs.tuned - self.log_probs.base

    @property
    def texts(self) -> tuple[str, ...]:
        """(unit,) what to show for each"""
        answer = self.readings[self.writer].answer
        return answer.pieces if self.alike else tuple(answer.text[a:b] for a, b in self.spans.tolist())

    @property
    def classes(self) -> np.ndarray:
        """(token,) int64 index into SHARES: by the rank of each token in the model that did not write it; -1: not counted.

        Empty where the tokens are not alike.
        """
        if not self.alike:
            return np.zeros(0, dtype=np.int64)
        ranks = self.readings[self.reader].ranks
        classes = np.where(ranks == 1, 0, np.where((ranks > 1) & (ranks <= MARGINAL), 1, 2))
        return np.where(self.counted, classes, -1)

    def shares(self) -> dict[str, float]:
        """Share of the counted tokens that are unshifted, marginal and shifted; NaN where there is none or tokens are not alike."""
        counted = self.classes[self.classes >= 0]
        return {name: float(np.mean(counted == i)) if len(counted) else float("nan") for i, name in enumerate(SHARES)}

    @property
    def per_character(self) -> np.ndarray:
        """(unit,) float64; nats a character: the log-ratio over the length of what was written; NaN where nothing was."""
        lengths = (self.spans[:, 1] - self.spans[:, 0]).astype(np.float64)
        return self.log_ratios / np.where(lengths > 0, lengths, np.nan)

    @property
    def beyond(self) -> np.ndarray:
        """(unit,) bool; changed more than a reworded prompt would change it, and more than numerical noise.

        Where a floor could not be measured (NaN) no unit is: nothing is known to be beyond it.
        """
        floors = [floor.nats for floor in (self.numerical, self.wording) if floor is not None]
        return np.abs(self.log_ratios) > np.max(floors, initial=0.0)

    def table(self) -> pd.DataFrame:
        """One row a unit, in the order of the answer: position, token, counted, class, log-probabilities, log_ratio, per_character, beyond,
        rank (in the model that did not write it), ties, kl, kl_reverse, js, tv, entropies, entropy_change, the parts of the split (weights,
        format, interaction), and the floors, which are the same in every row.

        per_character is NaN where tokens are alike, what needs equal tokens where they are not, and what was not measured everywhere.
        """
        count = len(self.spans)
        nothing = np.full(count, np.nan)
        other, split = self.readings[self.reader], self.split

        def token(values: np.ndarray) -> np.ndarray:
            return values if self.alike else nothing

        entropies = self.readings.map(lambda one: token(one.entropies))
        return pd.DataFrame(
            {
                "position": np.arange(count),
                "token": self.texts,
                "counted": self.counted,
                "class": [SHARES[i] if i >= 0 else "" for i in self.classes] if self.alike else [""] * count,
                "log_prob_base": self.log_probs.base,
                "log_prob_tuned": self.log_probs.tuned,
                "log_ratio": self.log_ratios,
                "per_character": nothing if self.alike else self.per_character,
                "beyond": self.beyond,
                "rank": token(other.ranks),
                "ties": token(other.ties),
                "kl": token(self.kl),
                "kl_reverse": token(self.kl_reverse),
                "js": token(self.js),
                "tv": token(self.tv),
                "entropy_base": entropies.base,
                "entropy_tuned": entropies.tuned,
                "entropy_change": entropies.tuned - entropies.base,
                "weights": nothing if split is None else split.weights,
                "format": nothing if split is None else split.format,
                "interaction": nothing if split is None else split.interaction,
                "numerical_floor": np.nan if self.numerical is None else self.numerical.nats,
                "wording_floor": np.nan if self.wording is None else self.wording.nats,
            }
        )


@dataclass(frozen=True, eq=False)
class Shift:
    """Both answers, each read by both models."""

    models: Pair[ModelFacts]
    answers: Pair[Forced]
    """tuned: the tuned model's answer through both; base: the mirror, the base model's answer through both"""
    unfinished: tuple[str, ...] = ()
    """in a snapshot: what is still being measured"""
    notes: tuple[str, ...] = ()
    """sentences for people about what could not be compared, and why; those of the answers are among them"""

    def table(self) -> pd.DataFrame:
        """`Forced.table` of both answers, with the side that wrote them in front."""
        tables = [forced.table() for _, forced in self.answers.items()]
        for side, table in zip(("base", "tuned"), tables, strict=True):
            table.insert(0, "answer", side)
        return pd.concat(tables, ignore_index=True)
