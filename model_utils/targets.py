"""What an explanation explains: tokens of an answer in one quantity, perhaps against another token, read from logits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from model_utils.contracts.attribution import Explaining, Quantity
from model_utils.contracts.common import Encoded
from model_utils.errors import Refused
from model_utils.loading import LanguageModel
from model_utils.pair import Pair


@dataclass(frozen=True, eq=False)
class Target:
    """Tokens of the sequence's answer, by themselves or as one sum."""

    numbers: np.ndarray
    """(target,) int64; within the answer"""
    places: np.ndarray
    """(target,) int64; in the sequence"""
    ids: np.ndarray
    """(target,) int64"""
    quantity: Quantity
    against: int | None
    """id of the token that might have stood there instead"""
    together: bool

    @property
    def rows(self) -> int:
        """How many values there are: one a target, or one for their sum."""
        return 1 if self.together else len(self.places)

    @property
    def length(self) -> int:
        """How many tokens of the sequence can matter: those before the last target."""
        return int(self.places.max())

    def read(self, logits: torch.Tensor) -> torch.Tensor:
        """(text, row) float32; from the logits (text, target, vocabulary) float32 that choose each target."""
        values = self._values(logits, torch.as_tensor(self.ids, device=logits.device))
        if self.against is not None:
            values = values - self._values(logits, torch.full_like(torch.as_tensor(self.ids), self.against).to(logits.device))  # fmt: skip
        return values.sum(dim=1, keepdim=True) if self.together else values

    def _values(self, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        places = ids.expand(len(logits), -1)[..., None]
        own = logits.gather(-1, places)[..., 0]
        if self.quantity == "logit":
            return own
        # Not own - logsumexp(logits): near probability 1 its gradient at `own` is 1 minus a float32 next to 1, which is mostly rounding.
        others = torch.logsumexp(logits.scatter(-1, places, -math.inf), dim=-1)
        logs = -torch.nn.functional.softplus(others - own)
        return logs if self.quantity == "log-probability" else logs.exp()


def target_of(pair: Pair[LanguageModel], sequence: Encoded, request: Explaining, together: bool) -> Target:
    """Refused where the answer has no such token, or 'against' is not one other token."""
    answer = sequence.positions("answer")
    for number in request.targets:
        if number >= len(answer):
            raise Refused(
                f"The answer has {len(answer)} tokens, numbered 0 to {len(answer) - 1}; there is no token {number}."
            )
    numbers = np.array(request.targets or range(len(answer)), dtype=np.int64)
    places = answer[numbers]
    against = None if request.against is None else _against(pair, sequence, int(places[0]), request.against)
    return Target(numbers, places, sequence.ids[places], request.quantity, against, together)


def _against(pair: Pair[LanguageModel], sequence: Encoded, place: int, given: str | int) -> int:
    """The id of a token that is named by its text or its id, and that both models have."""
    model, piece = pair.tuned, sequence.pieces[place]
    found = given if isinstance(given, int) else _one_token(model, given, piece)
    for one in pair.sides:
        if found >= one.facts.vocabulary:
            raise Refused(
                f"{one.facts.id} has {one.facts.vocabulary:,} tokens, numbered from 0; there is no token {found}."
            )
    if found == int(sequence.ids[place]):
        raise Refused(f"The target is {piece!r} itself; explain it against another token.")
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
