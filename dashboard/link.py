"""What the address of a page says: whom was asked what, and what is looked at; nobody who opens it is trusted."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar
from urllib.parse import quote_plus

from pydantic import AfterValidator, Field, ValidationError

from model_utils.contracts.attribution import Granularity, Method, Operator, Quantity
from model_utils.contracts.common import UNBOUNDED, AttentionKind, Format, Manner, ModelSpec, Request, Specs
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.shift import MEASURES
from model_utils.contracts.survey import SurveyRequest
from model_utils.errors import Refused
from model_utils.pair import Pair, Side

MAX_LINK = 6_000
"""Characters of an address that browsers, proxies and mail programs still pass on whole."""
MAX_TOP_K = 1 << 31
SHOWN = 80
"""Characters of what somebody else wrote that a sentence repeats."""

MEASURED = (*MEASURES, "certainty")
"""What the Compare page draws along the answers."""

Place = Annotated[int, Field(ge=0, le=UNBOUNDED)]


def check_measure(measure: str) -> str:
    if measure not in MEASURED:
        raise ValueError(f"there is no such measure; there are {', '.join(MEASURED)}")
    return measure


MAX_SPANS = 4_000


def check_against(token: str | int) -> str | int:
    if (token < 0 or token > UNBOUNDED) if isinstance(token, int) else not token.strip():
        raise ValueError("it is the text of a token, or its number from 0 on")
    return token


class View(Request):
    """What is looked at; what is not named stays as it is."""

    side: Side = "tuned"
    """whose prompt and answer both models read"""
    token: Place | None = None
    """the selected token of that answer"""
    pinned: tuple[Place, Place] | None = None
    """(query, key) pinned in the attention maps"""
    own_texts: bool | None = None
    """whether each model's insides are looked at over its own text"""
    other_token: Place | None = None
    """the selected token of the other side's answer, for scores of each model's own text"""
    split: tuple[Format, Format] | None = None
    """the formats, reference first, between which the difference is parted; None: base's and tuned's"""
    attention_kind: AttentionKind | None = None
    layer: Place | None = None
    head: Place | Literal["mean", "strongest"] | None = None
    quantity: Quantity | None = None
    method: Method | None = None
    granularity: Granularity | None = None
    operator: Operator | None = None
    spans: Annotated[str, Field(max_length=MAX_SPANS)] | None = None
    """passages of the instruction, one a line"""
    instruction_only: bool | None = None
    """whether only the instruction has scores, not the earlier answer"""
    against: Annotated[str | int, AfterValidator(check_against)] | None = None
    """what the selected token is explained against: a typed text, or the id of an alternative"""
    extent: Literal["one token", "the whole answer"] | None = None
    measure: Annotated[str, AfterValidator(check_measure)] | None = None
    """what is shown along the answers"""


M = TypeVar("M", bound=Manner)


def check_top_k(request: M) -> M:
    """Numbers that a browser's field holds exactly."""
    if request.sampling is not None and request.sampling.top_k > MAX_TOP_K:
        raise ValueError(f"top_k is at most {MAX_TOP_K:,} in a link")
    return request


class Whom(Request):
    """The two models that are asked."""

    base: ModelSpec
    tuned: ModelSpec

    @property
    def specs(self) -> Specs:
        return Pair(self.base, self.tuned)


class Link(Whom):
    """A question and a view of what came of it."""

    request: Annotated[GenerationRequest, AfterValidator(check_top_k)]
    view: View = View()


class ListLink(Whom):
    """A list of instructions."""

    request: Annotated[SurveyRequest, AfterValidator(check_top_k)]


W = TypeVar("W", bound=Whom)


def encode(link: Whom) -> str:
    """Compact JSON; what is as it always is, is left out."""
    return link.model_dump_json(exclude_defaults=True)


def decode(text: str, kind: type[W]) -> W:
    """What `encode` was given; Refused, in one sentence, when the text is anything else."""
    if not fits(text):
        raise Refused(_sentence(f"it is longer than {MAX_LINK:,} characters"))
    try:
        return kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise Refused(_sentence(_first_mistake(error))) from error


def fits(text: str) -> bool:
    """Whether an address can hold this text."""
    return len(text) <= MAX_LINK and len(quote_plus(text, errors="replace")) <= MAX_LINK


def _sentence(mistake: str) -> str:
    return f"The link cannot be read, because {mistake}; the page was opened without it."


def _first_mistake(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return "it was cut or changed"
    place = ".".join(str(part) for part in first["loc"])
    said = _short(first["msg"].removeprefix("Value error, ").rstrip("."), 2 * SHOWN)
    return f"{_short(place) or 'something'} in it is wrong ({said[:1].lower()}{said[1:]})"


def _short(text: str, length: int = SHOWN) -> str:
    return text if len(text) <= length else text[:length] + "..."
