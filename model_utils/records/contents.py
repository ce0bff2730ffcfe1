"""What an entry of each kind holds, and what it is listed and found by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from model_utils import analyses, codec
from model_utils.contracts.common import Message, Request, Specs
from model_utils.contracts.findings import FindingsRequest
from model_utils.contracts.instructions import InstructionsRequest
from model_utils.contracts.load_report import Identity
from model_utils.contracts.probe import ProbeRequest
from model_utils.contracts.records import (
    CHOICES,
    Closed,
    EntryKind,
    Erased,
    Judgement,
    Note,
    Opened,
    Preference,
    Record,
    Rerun,
    Tags,
)
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair

Labels = Mapping[str, Sequence[str]]
"""name -> values that an entry is listed and found by"""

CONTENTS: Mapping[EntryKind, type] = {
    "opened": Opened,
    "record": Record,
    "note": Note,
    "tags": Tags,
    "verdict": Judgement,
    "preference": Preference,
    "floor": Rerun,
    "replay": Rerun,
    "closed": Closed,
    "erased": Erased,
}
HASHES = ("weights", "tokenizer", "template", "adapter")
"""Of an identity, what says that two models are the same, wherever they lie and however much memory they take."""
LABEL_CHARACTERS = 200
"""Of a title, a field, a tag, and of what is listed of an instruction."""
MOST_TAGS = 100
KEY = "request"
"""Name of the label that says what was asked of which weights."""


def check(kind: EntryKind, content: Any) -> None:
    """Refused where an entry of this kind cannot hold this."""
    expected = CONTENTS[kind]
    if type(content) is not expected:
        raise Refused(
            f"An entry of kind {kind} holds {expected.__name__}, but this one holds {type(content).__name__}."
        )
    if isinstance(content, Record):
        check_record(content)
    if isinstance(content, Opened):
        _short("title", content.title)
        _short("field", content.field)
    if isinstance(content, Tags):
        if len(content.tags) > MOST_TAGS:
            raise Refused(f"These are {len(content.tags):,} tags; at most {MOST_TAGS} are taken.")
        for tag in content.tags:
            _short("tag", tag)
    if isinstance(content, Preference):
        _check_preference(content)


def _check_preference(content: Preference) -> None:
    if content.left not in SIDES or content.preferred not in CHOICES or (content.item or 0) < 0:
        raise Refused(f"This preference names no side, no choice or no item that there is: {str(content)[:200]}.")
    if content.seconds is not None and not 0 <= content.seconds < math.inf:
        raise Refused(f"{content.seconds} seconds is no time that anybody took to judge.")


def check_record(content: Any) -> Record:
    """`content` itself when it is a record of an analysis that Candor knows, and its parts belong together; else Refused."""
    if not isinstance(content, Record):
        raise Refused(f"This entry holds {type(content).__name__}, not a record of an analysis.")
    analysis = analyses.ANALYSES.get(content.analysis)
    if analysis is None:
        raise Refused(f"This is a record of {content.analysis[:40]!r}, an analysis that this Candor does not know.")
    if type(content.request) is not analysis.request or type(content.result) is not analysis.result:
        raise Refused(
            f"A record of {content.analysis} holds a {analysis.request.__name__} and its {analysis.result.__name__}, "
            f"but this one holds {type(content.request).__name__} and {type(content.result).__name__}."
        )
    return content


def labels_of(kind: EntryKind, content: Any) -> Labels:
    """What an entry with this content, which fits its kind, is listed and found by; without what no database keeps in a text."""
    return {name: [_storable(value) for value in values] for name, values in _labels(kind, content).items()}


def _labels(kind: EntryKind, content: Any) -> Labels:
    match content:
        case Opened():
            return {"title": [content.title], "field": [content.field]}
        case Record():
            return {
                "analysis": [content.analysis],
                "base": [content.specs.base.name],
                "tuned": [content.specs.tuned.name],
                "instruction": [instruction(content.request)[:LABEL_CHARACTERS]],
                KEY: [key(content.analysis, content.specs, content.request, content.identities)],
            }
        case Tags():
            return {"tag": content.tags}
        case Judgement():
            return {"verdict": [content.verdict]}
        case Rerun() if kind == "replay":
            return {"outcome": [content.outcome]}
    return {}


def key(kind: str, specs: Specs, request: Request, identities: Pair[Identity]) -> str:
    """SHA-256 of what was asked of which weights, hexadecimal. Without a salt, so that it is found again; like every label it is erased with the record."""
    weights = tuple(tuple(getattr(one, name) for name in HASHES) for one in identities.sides)
    return codec.digest((kind, specs, request, weights))


def instruction(request: Request) -> str:
    """The person's last message, or the first instruction of a list (of a probe: its first item's) and how many there are; empty: nothing is asked."""
    messages: Sequence[Message] = getattr(request, "messages", ())
    many: Sequence[str] = getattr(request, "instructions", ())
    if messages:
        return messages[-1].content
    if isinstance(request, FindingsRequest):
        first = next(iter(request.parts().values()))
        return instruction(first[0] if isinstance(first, tuple) else first)
    if isinstance(request, ProbeRequest | InstructionsRequest):
        count = len(request.items)
        return request.items[0].asked() + (f" (1 of {count:,} items)" if count > 1 else "")
    return "".join(many[:1]) + (f" (1 of {len(many)} instructions)" if len(many) > 1 else "")


def _short(what: str, text: str) -> None:
    if len(text) > LABEL_CHARACTERS:
        raise Refused(f"The {what} has {len(text):,} characters; at most {LABEL_CHARACTERS} are taken.")


def _storable(text: str) -> str:
    """Halves of characters and NUL, which no database keeps in a text, as U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")
