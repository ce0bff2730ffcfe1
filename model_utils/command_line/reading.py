"""What a person asked, from the command line and from files: models, requests, lists, scores."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from model_utils import analyses, codec, hub, items
from model_utils.command_line.showing import printable
from model_utils.contracts.attribution import Attribution
from model_utils.contracts.common import ModelSpec, Request, Specs
from model_utils.errors import Refused
from model_utils.pair import Pair


def read_specs(
    base: str | None, tuned: str | None, adapter: str | None, pair: str | None, dtype: str, placement: str
) -> Specs:
    """Which two models; an adapter without a tuned model lies over the base."""
    first = base or "demo/base"
    second = tuned or pair or (first if adapter else "demo/tuned")
    common = {"dtype": dtype, "placement": placement}
    return Pair(
        ModelSpec.model_validate({**_named(first), **common}),
        ModelSpec.model_validate({**_named(second), "adapter": adapter, **common}),
    )


def _named(text: str) -> dict[str, str]:
    """`owner/name@revision` in its parts; folders may hold an @."""
    id, _, revision = text.rpartition("@")
    return {"id": id, "revision": revision} if hub.is_id(id) else {"id": text}


def instructions_of(path: Path) -> tuple[str, ...]:
    """The instructions of a file; what was left out is told."""
    try:
        found = items.read(path.read_bytes(), path.name)
    except Refused as refused:
        raise click.UsageError(printable(refused)) from refused
    for problem in found.problems:
        click.echo(printable(problem), err=True)
    return found.instructions


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """(number in the file from 1, text) of each line that is not blank."""
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())


def read_request(kind: str, line: str, fields: dict[str, Any]) -> Request:
    """A request from a line of JSON, in which `instruction` may stand for `messages`; `fields` from the command line fill what is not there."""
    try:
        given = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise Refused(f"This is not JSON ({error}).") from error
    if not isinstance(given, dict):
        raise Refused('A request is a JSON object such as {"instruction": "Name three colours."}.')
    given = {**fields, **given}
    for other in ("messages", "instructions"):
        if "instruction" in given and other in given:
            raise Refused(f"Give either `instruction` or `{other}`, not both.")
    fields_of = analyses.ANALYSES[kind].request.model_fields
    if "instruction" in given and "instructions" in fields_of:
        given["instructions"] = [given.pop("instruction")]
    if "instruction" in given:
        given["messages"] = [{"content": given.pop("instruction")}]
    if given.get("system") is not None and "messages" in given and "system" not in fields_of:
        given["messages"] = [{"role": "system", "content": given.pop("system")}, *given["messages"]]
    return analyses.ANALYSES[kind].request.model_validate(given)


def scores_of(path: Path) -> Pair[tuple[float, ...]]:
    """One number a part and side; a part without a score counts 0."""
    try:
        found = codec.decode(path.read_text(encoding="utf-8"))
    except (Refused, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} holds no result of `attribution`: {printable(error)}") from error
    if not isinstance(found, Attribution):
        raise click.UsageError(f"{path} holds a {type(found).__name__}, not a result of `attribution`.")
    return found.totals().map(lambda totals: tuple(0.0 if math.isnan(score) else score for score in totals.tolist()))
