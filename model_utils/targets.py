"""What an explanation explains: tokens of an answer in one quantity, perhaps against another token, read from logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model_utils.contracts.attribution import Parted, Quantity
from model_utils.errors import Refused
from model_utils.loading import LanguageModel


@dataclass(frozen=True, eq=False)
class Target:
    """Tokens of one text's answer, whose values are summed in rows."""

    places: np.ndarray
    """(target,) int64; in the sequence"""
    ids: np.ndarray
    """(target,) int64"""
    rows: np.ndarray
    """(target,) int64; the row that each counts in, from 0 without gaps"""
    quantity: Quantity
    against: int | None = None
    """id of the token that might have stood there instead"""

    @property
    def count(self) -> int:
        """How many rows there are."""
        return int(self.rows.max()) + 1

    @property
    def length(self) -> int:
        """How many tokens of the sequence can matter: those before the last target."""
        return int(self.places.max())

    def ends(self) -> np.ndarray:
        """(row,) int64; the place of each row's last target."""
        found = np.zeros(self.count, dtype=np.int64)
        np.maximum.at(found, self.rows, self.places)
        return found

    def read(self, logits: torch.Tensor) -> torch.Tensor:
        """(text, row) float32; from the logits (text, target, vocabulary) float32 that choose each target."""
        values = self._values(logits, torch.as_tensor(self.ids, device=logits.device))
        if self.against is not None:
            values = values - self._values(logits, torch.full_like(torch.as_tensor(self.ids), self.against).to(logits.device))  # fmt: skip
        if np.array_equal(self.rows, np.arange(len(self.rows))):
            return values
        rows = torch.as_tensor(self.rows, device=values.device)
        return values.new_zeros(len(values), self.count).index_add(1, rows, values)

    def _values(self, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        places = ids.expand(len(logits), -1)[..., None]
        own = logits.gather(-1, places)[..., 0]
        if self.quantity == "logit":
            return own
        # Not own - logsumexp(logits): near probability 1 its gradient at `own` is 1 minus a float32 next to 1, which is mostly rounding.
        others = torch.logsumexp(logits.scatter(-1, places, -math.inf), dim=-1)
        logs = -torch.nn.functional.softplus(others - own)
        return logs if self.quantity == "log-probability" else logs.exp()


def target_of(text: Parted, quantity: Quantity, against: int | None = None) -> Target:
    """What is explained in this text."""
    places = text.sequence.positions("answer")[text.targets]
    return Target(places, text.sequence.ids[places], text.rows, quantity, against)


def check_numbers(numbers: Sequence[int], count: int) -> None:
    """Refused where an answer of so many tokens has no token of these numbers."""
    for number in numbers:
        if number >= count:
            raise Refused(f"The answer has {count} tokens, numbered 0 to {count - 1}; there is no token {number}.")


def against_of(model: LanguageModel, text: Parted, given: str | int) -> int:
    """The id of another token than the target, named by its text or its id; Refused where it is not one that the model has."""
    place = int(text.sequence.positions("answer")[text.targets[0]])
    piece = text.sequence.pieces[place]
    found = given if isinstance(given, int) else _one_token(model, given, piece)
    if found >= model.facts.vocabulary:
        raise Refused(
            f"{model.facts.id} has {model.facts.vocabulary:,} tokens, numbered from 0; there is no token {found}."
        )
    if found == int(text.sequence.ids[place]):
        raise Refused(f"The target of {model.facts.id} is {piece!r} itself; explain it against another token.")
    return found


def _one_token(model: LanguageModel, text: str, piece: str) -> int:
    """The one token that a word is, with the space before it where the target has one."""
    tries = [text] if text[:1].isspace() else [f" {text}", text] if piece[:1].isspace() else [text, f" {text}"]
    cut = [model.tokenizer(one, add_special_tokens=False)["input_ids"] for one in tries]
    for ids in cut:
        if len(ids) == 1:
            return int(ids[0])
    pieces = model.tokenizer.convert_ids_to_tokens(cut[0])
    first = model.tokenizer.decode(cut[0][:1])
    raise Refused(
        f"{text!r} is {len(pieces)} tokens for {model.facts.id}, and one token is explained against one other; give the first of them, {first!r}."
    )
