"""Both answers as strips of tokens coloured by their log-ratio, and what both models say of each token."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import streamlit as st

from dashboard.figures import shift as figures
from dashboard.session import inputs, selection, visits
from dashboard.widgets.text import side_title
from dashboard.widgets.token_strip import Alternative, Comparison, token_strip
from model_utils.contracts.shift import Forced, Reading, Shift
from model_utils.pair import Pair, Side

ENDS = ("base holds it likelier", "tuned holds it likelier")
ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th")


def strips(result: Shift) -> None:
    """Both answers on one scale; a pin is shared with all that follows and with the other pages."""
    limit, marks = figures.colour_limit(result), first_difference(result)
    for column, (side, forced) in zip(st.columns(2, gap="medium"), result.answers.items(), strict=True):
        with column:
            side_title(side, "answer, read by both models")
            if len(forced.readings[side].answer):
                _strip(side, forced, limit, marks[side])
            else:
                st.caption("No token.")


def _strip(side: Side, forced: Forced, limit: float, mark: int | None) -> None:
    pin = pinned(side)
    picked = token_strip(
        forced.readings[side].answer,
        key=f"moved-{side}",
        label=label(forced, limit),
        values=of_tokens(forced, forced.log_ratios, np.nan),
        limit=limit,
        colours="diverging",
        ends=ENDS,
        compare=comparison(forced),
        hover=remarks(forced),
        greyed=of_tokens(forced, figures.within_floor(forced), False),
        greyed_because=figures.noise_said(forced),
        mark=mark,
        selected=pin,
        join=np.add if forced.alike else np.fmax,
    )
    if picked != pin:
        selection.select_token(side, picked)
        inputs.rerun_fragment()


def label(forced: Forced, limit: float) -> str:
    """What the strip shows, for the eye and the ear."""
    what = "log-ratio" if forced.alike else "log-ratio of each piece"
    beyond = f", {limit:g} and beyond in full colour" if limit == figures.FULL else ""
    return f"Tokens of the {forced.writer} model's answer: {what}, nats{beyond}"


def pinned(side: Side) -> int | None:
    return visits.visit().token if visits.visit().side == side else None


# Tokens and units: where the two models read different tokens, they are compared on pieces of text


def unit_of(forced: Forced, token: int | None) -> int | None:
    """The unit that a token of the writer lies in; None: none."""
    units = token_units(forced)
    return int(units[token]) if token is not None and token < len(units) and units[token] >= 0 else None


def token_of(forced: Forced, unit: int) -> int | None:
    """The first token of the writer in a unit."""
    found = np.flatnonzero(token_units(forced) == unit)
    return int(found[0]) if len(found) else None


def token_units(forced: Forced) -> np.ndarray:
    """(token of the writer,) int64; the unit that each token lies in, -1: in none."""
    answer = forced.readings[forced.writer].answer
    if forced.alike:
        return np.arange(len(answer))
    starts = answer.spans[:, 0]
    found = np.searchsorted(forced.spans[:, 0], starts, side="right") - 1
    return np.where((found >= 0) & (starts < np.append(forced.spans[:, 1], 0)[found]), found, -1)


def of_tokens(forced: Forced, values: np.ndarray, missing: float | bool) -> np.ndarray:
    """(token of the writer,) the value of the unit (unit,) that each lies in."""
    units = token_units(forced)
    return np.where(units >= 0, np.append(values, missing)[units], missing)


def first_difference(result: Shift) -> Pair[int | None]:
    """The first token of each answer that writes other characters than the other answer; None where a person reads none.

    Space before the answers does not count: the format decides whether there is any.
    """
    texts = result.answers.map(lambda forced: forced.readings[forced.writer].answer.text)
    bare = texts.map(str.lstrip)
    same = next((i for i, (a, b) in enumerate(zip(*bare.sides, strict=False)) if a != b), min(map(len, bare.sides)))

    def first(forced: Forced) -> int | None:
        begin = len(texts[forced.writer]) - len(bare[forced.writer])
        after = np.flatnonzero(forced.readings[forced.writer].answer.spans[:, 1] > begin + same)
        counted = of_tokens(forced, forced.counted, False)
        return int(after[0]) if len(after) and counted[after[0]] else None

    return result.answers.map(first)


Cells = list[tuple[str | Alternative, ...]]

_compared: WeakKeyDictionary[Forced, Comparison] = WeakKeyDictionary()
"""What was made once, for as long as its answer is shown to anybody."""


def comparison(forced: Forced) -> Comparison:
    """`compare`, made once."""
    found = _compared.get(forced)
    if found is None:
        found = _compared[forced] = compare(forced)
    return found


def compare(forced: Forced) -> Comparison:
    """What both models say of each token of the writer. Where they read other tokens: of the piece that it lies in, and the most
    probable tokens, those of the reader at the beginning of the piece, where it has read the same text."""
    named = ("probability", "rank", "entropy") if forced.alike else ()
    said = forced.readings.map(lambda reading: _said(reading, forced.alike))
    count = max((len(cell) for cells in said.sides for cell in cells), default=len(named))
    rows = [*named, *ORDINALS[: count - len(named)]]
    full = said.map(lambda cells: [cell + ("",) * (len(rows) - len(cell)) for cell in cells])
    if not forced.alike:
        pieces = forced.log_probs.map(lambda values: [(chance(one),) for one in of_tokens(forced, values, np.nan)])
        told = {forced.writer: full[forced.writer], forced.reader: _at_starts(forced, full[forced.reader], len(rows))}
        full = pieces.zip(Pair(**told)).map(lambda both: [piece + cell for piece, cell in zip(*both, strict=True)])
        rows.insert(0, "the piece")
    return Comparison(tuple(rows), [Pair(*cells) for cells in zip(*full.sides, strict=True)])


def _at_starts(forced: Forced, cells: Cells, width: int) -> Cells:
    """(token of the writer,) the reader's cell where a piece begins, else nothing."""
    units, theirs = token_units(forced), forced.readings[forced.reader].answer.spans[:, 0].tolist()
    first = np.append(True, units[1:] != units[:-1])
    starts = [
        int(forced.spans[unit, 0]) if begins and unit >= 0 else -1 for unit, begins in zip(units, first, strict=False)
    ]
    return [cells[theirs.index(start)] if start in theirs else ("",) * width for start in starts]


def _said(reading: Reading, numbers: bool) -> Cells:
    """Of each token: probability, rank and entropy, if `numbers` of both models' tokens can be compared, and the most probable tokens."""
    return [
        (chance(float(log_prob)), ranked(int(rank), int(ties)), f"{entropy:.2f} nats") * numbers
        + tuple(Alternative(piece, chance(float(other))) for piece, other in zip(pieces, others, strict=True))
        for log_prob, rank, ties, entropy, pieces, others in zip(
            reading.log_probs,
            reading.ranks,
            reading.ties,
            reading.entropies,
            reading.alternative_pieces,
            reading.alternative_log_probs,
            strict=True,
        )
    ]


def chance(log_prob: float) -> str:
    """A probability as people read it."""
    if np.isnan(log_prob):
        return "no such token"
    share = float(np.exp(log_prob))
    return f"{share:.1%}" if share >= 0.0005 else f"{share:.0e}"


def times_said(log_ratio: float) -> str:
    """What a log-ratio in nats means; nothing where it is no number."""
    if not np.isfinite(log_ratio):
        return ""
    times = float(np.exp(min(abs(log_ratio), np.log(1e9))))
    if times < 1.005:
        return "as likely in both"
    many = "more than a million" if times > 1e6 else f"{times:,.0f}" if times >= 100 else f"{times:.3g}"
    return f"{many} times as likely in {'tuned' if log_ratio > 0 else 'base'} (log-ratio in nats)"


def ranked(rank: int, ties: int) -> str:
    if rank == 0:
        return ""
    return f"{rank:,}" + (f" (tied with {ties:,})" if ties else "")


def remarks(forced: Forced) -> list[str]:
    """(token of the writer,) what else has to be known about it."""
    units, counted = token_units(forced), of_tokens(forced, forced.counted, False)
    texts, own = forced.texts, forced.readings.map(lambda reading: reading.own_mass)
    out = []
    for token, unit in enumerate(units.tolist()):
        said = [] if unit < 0 else [times_said(float(forced.log_ratios[unit]))]
        said += [] if counted[token] else ["not counted: not part of what a person reads"]
        if not forced.alike and unit >= 0:
            said.append(f"compared as the piece {texts[unit]!r}")
        if forced.alike:
            said += [
                f"{share[token]:.1%} of {side}'s probability is on tokens that the other model does not have, left out of divergences"
                for side, share in own.items()
                if share[token] >= 0.001
            ]
        out.append("; ".join(filter(None, said)))
    return out
