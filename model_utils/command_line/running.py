"""One request, or every line of a file: computed, printed, kept in a session, and held against thresholds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from model_utils import analyses
from model_utils.command_line import thresholds
from model_utils.command_line.partial import PartialFile
from model_utils.command_line.reading import instructions_of, lines_of, read_request, read_specs
from model_utils.command_line.showing import printable, say, show
from model_utils.contracts.common import Request, Specs, explain
from model_utils.errors import Refused
from model_utils.reporting import Report

if TYPE_CHECKING:
    from model_utils.command_line.keeping import Keeper

FAILED, MISUSED, MET = 1, 2, 3
"""Exit codes: a line failed, or a check did; nothing could be tried; a threshold is met."""


def run(kind: str, *, instruction: str | None, requests: Path | None, listed: Path | None = None, **given: Any) -> None:
    """One request, or every line of a file."""
    if (instruction is not None) + (requests is not None) + (listed is not None) != 1:
        raise click.UsageError(
            "give one of --list, --instruction, --requests."
            if "instructions" in analyses.ANALYSES[kind].request.model_fields
            else "give either --instruction or --requests."
        )
    if listed is not None:
        given["instructions"] = instructions_of(listed)
    models, kept = models_and_kept(given)
    drawn = {name: given.pop(name) for name in ("temperature", "top_k", "top_p", "seed")}
    given["sampling"] = {name: value for name, value in drawn.items() if value is not None} or None
    given["own"] = _own(given.pop("own_format", None), given.pop("own_targets", ()))
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    asked = {} if instruction is None else {"instruction": instruction}
    lines = [(1, json.dumps(asked))] if requests is None else list(lines_of(requests))
    run_lines(kind, models, lines, fields, numbered=requests is not None, **kept)


def run_one(kind: str, fields: dict[str, Any], **given: Any) -> None:
    """An analysis that is asked nothing but `fields`."""
    models, kept = models_and_kept(given)
    run_lines(kind, models, [(1, "{}")], fields, numbered=False, **kept)


def models_and_kept(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Takes both groups of options out of what was given."""
    models = {name: given.pop(name) for name in ("base", "tuned", "adapter", "pair", "dtype", "placement")}
    return models, {name: given.pop(name) for name in ("record", "floor", "author", "fail_on")}


def _own(format: str | None, targets: tuple[int, ...]) -> dict[str, Any] | None:
    """What the other side reads and explains by itself."""
    if format is None:
        if targets:
            raise click.UsageError("--own-target is a position in the answer that --own-format asks for; give both.")
        return None
    return {"format": format, **({"targets": targets} if targets else {})}


def run_lines(
    kind: str,
    models: dict[str, Any],
    lines: Sequence[tuple[int, str]],
    fields: dict[str, Any],
    numbered: bool,
    record: str | None,
    floor: bool,
    author: str | None,
    fail_on: tuple[str, ...],
    partial: Path | None = None,
    specs: Specs | None = None,
) -> None:
    """`specs`: the models, where they are not `models` by name. Exits with 3 where a threshold is met, else with 1 when a line failed, and with 2 when nothing could be tried."""
    if models.get("pair") and (models["base"] or models["tuned"]):
        raise click.UsageError("give either --pair or --base and --tuned.")
    if floor and record is None:
        raise click.UsageError("--floor is kept beside a record; give --record too.")
    if author is not None and (record is None or not author.strip()):
        raise click.UsageError("--author names who recorded it; give a name, and --record too.")
    limits = thresholds.parse(kind, fail_on)
    failed = met = 0
    with _keeping(record, floor, author) as keeper:
        for number, line in lines:
            place = f"Line {number}: " if numbered else ""
            try:
                specs = specs or read_specs(**models)
                request = read_request(kind, line, fields)
                before = keeper.find(kind, specs, request) if keeper is not None and numbered else None
                seconds = 0.0
                with _reporting(partial, kind, specs, request) as report:  # until it is shown and recorded
                    if before is not None:
                        say(f"{place}recorded before as entry {before[0]}", err=True)
                        result = before[1]
                    elif keeper is not None:
                        result, seconds = keeper.compute(kind, specs, request, report)
                    else:
                        result = analyses.execute(kind, specs, request, report)
                    show(kind, specs, result)
                    met += _tell_met(place, thresholds.met(limits, result))
                    if keeper is not None:
                        entry = before[0] if before else keeper.keep(kind, specs, request, result, seconds)
                        if before is None:
                            say(f"{place}recorded as entry {entry} of session {keeper.session}", err=True)
                        keeper.add_floor(entry)
            except (Refused, ValidationError) as error:
                failed += 1
                say(f"{place}{explain(error) if isinstance(error, ValidationError) else error}", err=True)
    if met or failed:
        sys.exit(MET if met else FAILED)


def _tell_met(place: str, found: Sequence[tuple[thresholds.Threshold, float, bool]]) -> int:
    """How many are met; in numbers only, for a log must hold no word of a prompt."""
    for one, value, meets in found:
        name = f"{place}{one.analysis}.{one.measure}"
        if meets:
            say(f"{name} is {value!r}: {one.operator} {one.limit!r} is met", err=True)
        else:
            say(f"{name} is not known of this result (NaN), and meets no threshold", err=True)
    return sum(meets for *_, meets in found)


def _reporting(partial: Path | None, kind: str, specs: Specs, request: Request) -> AbstractContextManager[Report]:
    """Whoever is told how far an analysis is."""
    return nullcontext(Report()) if partial is None else PartialFile(partial, kind, specs, request)


@contextmanager
def _keeping(record: str | None, floor: bool, author: str | None) -> Iterator[Keeper | None]:
    """Whoever keeps results; None: nobody asked for that."""
    if record is None:
        yield None
        return
    from model_utils.command_line.keeping import Keeper  # imports SQLAlchemy: 0.5 s

    try:
        keeper = Keeper(record, floor, (author or "").strip())
    except Refused as refused:
        raise click.UsageError(printable(refused)) from refused
    with keeper:
        yield keeper
