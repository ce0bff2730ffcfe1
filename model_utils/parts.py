"""A text cut into the parts that are scored or taken away: tokens, words, sentences, or chosen passages."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np

from model_utils.checks import SENTENCE_END
from model_utils.contracts.attribution import REMOVALS, Explaining, Granularity, Method
from model_utils.contracts.common import ROLES, Encoded
from model_utils.differences import units
from model_utils.errors import Refused

TEMPLATE = ROLES.index("template")
LINE = re.compile(r"\n+")
ROUNDING = 16
"""Units in the last place of a float32 that an explained value may be off by."""


def parts_of(sequence: Encoded, request: Explaining, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The part of each token (token,) int64, numbered in the order of the text, and which may be taken away (part,) bool.

    Tokens that the person or the model wrote are joined into words, sentences or passages of one writer; every other token, the
    control tokens among them, is a part of its own that stays. Refused where nothing among the first `length` tokens could be taken away.
    """
    loose = (sequence.roles != TEMPLATE) & ~sequence.special
    if not request.answer_too:
        loose[sequence.positions("answer")] = False
    if request.granularity == "span":
        named = _passages(sequence, request.spans, loose)
        loose &= named >= 0
    else:
        one_each = request.granularity == "token"
        named = (
            np.arange(len(sequence)) if one_each else _cuts(sequence.text, request.granularity)[sequence.spans[:, 0]]
        )
    labels = [
        (int(role), int(name)) if one else None for role, name, one in zip(sequence.roles, named, loose, strict=True)
    ]
    parts, open_ = numbered(labels)
    if not open_[parts[:length]].any():
        raise Refused(
            "Nothing before the answer may be taken away here: the format and the control tokens always stay. Write a longer instruction."
        )
    return parts, open_


def numbered(labels: Sequence[Hashable | None]) -> tuple[np.ndarray, np.ndarray]:
    """The part of each token (token,) int64, equal labels being one part, numbered as they come; and which have a label (part,) bool: None is a part of its own that stays."""
    numbers: dict[Hashable, int] = {}
    parts = np.array([numbers.setdefault((place,) if label is None else label, len(numbers)) for place, label in enumerate(labels)], dtype=np.int64)  # fmt: skip
    open_ = np.zeros(len(numbers), dtype=bool)
    open_[parts[[label is not None for label in labels]]] = True
    return parts, open_


def _cuts(text: str, granularity: Granularity) -> np.ndarray:
    """(character + 1,) int64; the number of the word or sentence that each character belongs to, space going with the word behind it."""
    if granularity == "word":
        lengths = [len(space) + len(word) for space, word in units(text)]
        return np.append(np.repeat(np.arange(len(lengths)), lengths), len(lengths) - 1)
    begins = np.zeros(len(text) + 1, dtype=np.int64)
    begins[[match.end() for ends in (SENTENCE_END, LINE) for match in ends.finditer(text)]] = 1
    return np.cumsum(begins)


def _passages(sequence: Encoded, spans: tuple[str, ...], loose: np.ndarray) -> np.ndarray:
    """(token,) int64; the number of the passage that a token of the instruction lies in, every time it occurs, or -1."""
    mine = sequence.positions("instruction")
    low, high = (int(sequence.spans[mine, 0].min()), int(sequence.spans[mine, 1].max())) if len(mine) else (0, 0)
    found = np.full(len(sequence), -1, dtype=np.int64)
    for number, span in enumerate(spans):
        places = [match.span() for match in re.finditer(re.escape(span), sequence.text) if low <= match.start() and match.end() <= high]  # fmt: skip
        if not places:
            raise Refused(f"The passage {span[:80]!r} is not in the instruction; copy it from there exactly.")
        for start, stop in places:
            touched = (sequence.spans[:, 0] < stop) & (sequence.spans[:, 1] > start) & loose
            taken = found[touched]
            if ((taken >= 0) & (taken != number)).any():
                other = spans[int(taken[(taken >= 0) & (taken != number)][0])]
                raise Refused(
                    f"The passages {other[:60]!r} and {span[:60]!r} share a token, so neither can be taken away alone; choose passages that do not touch."
                )
            if not touched.any():
                raise Refused(
                    f"The passage {span[:80]!r} is only control tokens, which always stay; choose another passage."
                )
            found[touched] = number
    return found


def settled(scores: np.ndarray, method: Method, value: float) -> np.ndarray:
    """`scores` (part,) as float64, with 0 for those that rounding alone could have made: parts without any effect are tied, not ordered by last bits.

    A score that comes from taking a part away is a difference of two explained values, so its noise grows with `value`, that of the whole text.
    """
    found = np.asarray(scores, dtype=np.float64)
    size = np.abs(found)
    scale = max(size.max(initial=0.0), abs(value) if method in REMOVALS else 0.0)
    return np.where(size < ROUNDING * np.finfo(np.float32).eps * scale, 0.0, found)
