"""What tuning cost: how surprised each model is at plain text, where nobody instructs it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_utils import prompts
from model_utils.loading import LanguageModel
from model_utils.probes.scoring import Wanted, score
from model_utils.reporting import Report


def surprise(model: LanguageModel, texts: Sequence[str], report: Report) -> np.ndarray:
    """(text,) float64, nats a character: negative log-likelihood of each text, from its second token on where the tokenizer begins no text
    with a token of its own; NaN for an encoder-decoder, and for a text of one token or too many."""
    found = np.full(len(texts), np.nan)
    wanted, places = [], []
    for number, text in enumerate(texts):
        encoded = prompts.encode_text(model.tokenizer, text, True, (0, len(text)))
        if model.facts.encoder_decoder or not 2 <= len(encoded) <= model.facts.context:
            continue
        begun = encoded.part(np.arange(1))
        wanted.append(Wanted(begun, tuple(encoded.ids[1:].tolist())))
        places.append((number, len(text) - int(begun.spans[0, 1])))
    for (number, characters), scored in zip(places, score(model, wanted, report), strict=True):
        found[number] = -scored.total / max(1, characters)
    return found
