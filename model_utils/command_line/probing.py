"""The probes of the command line: their items come from a suite or a file, and a stopped run can be gone on from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial as partly
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from model_utils.command_line.options import FORMAT, LISTED
from model_utils.command_line.partial import read
from model_utils.command_line.reading import instructions_of, lines_of, read_specs
from model_utils.command_line.running import models_and_kept, run_lines
from model_utils.command_line.showing import printable, say
from model_utils.contracts.common import explain
from model_utils.contracts.probe import MARGIN
from model_utils.errors import Refused
from model_utils.pair import Pair

COUNT = 120
"""Items of a suite, where nobody says."""

ASKED = [
    click.option(
        "--requests",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="a file with one whole request in JSON on each line",
    ),
    click.option("--format-base", metavar="FORMAT", default="few-shot", show_default=True, help=FORMAT),
    click.option("--format-tuned", metavar="FORMAT", default="chat", show_default=True, help="the same"),
    click.option("--same-tokens", is_flag=True, default=None, help="base reads exactly the tokens that tuned reads"),
    click.option("--margin", type=float, help=f"a difference inside this does not matter [default: {MARGIN}]"),
    click.option("--seed", type=int, help="of the suite and of every random choice [default: 0]"),
    click.option(
        "--partial",
        type=click.Path(dir_okay=False, path_type=Path),
        help="keep what is found so far in this file; where it is there, the run goes on from it, and it alone says of what",
    ),
]
ITEMS = [
    click.option("--suite", metavar="NAME", help="items of this project; `--suite list` names them"),
    click.option(
        "--items",
        "listed",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="items of your own: jsonl or csv",
    ),
    click.option("--count", type=click.IntRange(1), default=COUNT, show_default=True, help="items of the suite"),
    *ASKED,
]
PUBLISHED = [
    click.option(
        "--file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="CrowS-Pairs (csv), StereoSet (json) or BBQ (jsonl) as its authors published it; what it is, is seen from what it holds",
    ),
    click.option("--count", type=click.IntRange(1), help="the first so many items of the file [default: all]"),
    *ASKED,
]

Make = Callable[[dict[str, Any]], None]
"""Puts the items, and what belongs to them, to the fields of a request."""


def run_probe(kind: str, *, suite: str | None, listed: Path | None, count: int, **given: Any) -> None:
    """One probe over the items of a suite or a file, or every line of a file of requests."""
    if suite == "list":
        _tell_suites(kind)
        return

    def of_suite(name: str, fields: dict[str, Any]) -> None:
        fields["items"] = _suite(kind, name).make(count, fields.get("seed", 0))

    def of_file(path: Path, fields: dict[str, Any]) -> None:
        fields["items"] = _items_of(path)

    sources: dict[str, Make | None] = {
        "--suite": None if suite is None else partly(of_suite, suite),
        "--items": None if listed is None else partly(of_file, listed),
    }
    _run(kind, sources, given)


def run_published(*, file: Path | None, count: int | None, **given: Any) -> None:
    """A published benchmark of bias, or every line of a file of requests."""
    _run("published", {"--file": None if file is None else partly(_published, file, count)}, given)


def _run(kind: str, sources: dict[str, Make | None], given: dict[str, Any]) -> None:
    """`sources`: the options that say which items -> how they are made, None: not given. `given`: of `ASKED`, the models, and the probe's own."""
    requests, partial = given.pop("requests"), given.pop("partial")
    chosen = [make for make in sources.values() if make is not None]
    if not chosen and requests is None and partial is not None and partial.exists():
        _go_on(kind, partial, given)
        return
    if len(chosen) + (requests is not None) != 1:
        raise click.UsageError(f"give one of {', '.join(sources)}, --requests, or a --partial that is there.")
    if partial is not None and requests is not None:
        raise click.UsageError(f"--partial is of one run; give {' or '.join(sources)} with it.")
    models, kept = models_and_kept(given)
    formats = Pair(given.pop("format_base"), given.pop("format_tuned"))
    fields = {name: value for name, value in given.items() if value not in (None, ())} | {"formats": formats}
    for make in chosen:
        make(fields)
    if kind == "bias" and requests is None:
        fields["slots"] = _slots(fields["items"], fields.pop("slots", ()))
    lines = [(1, "{}")] if requests is None else list(lines_of(requests))
    run_lines(kind, models, lines, fields, numbered=requests is not None, partial=partial, **kept)


def _go_on(kind: str, path: Path, given: dict[str, Any]) -> None:
    """Of the models and with the request that the file itself names."""
    _, kept = models_and_kept(given)
    try:
        found = read(path, kind)
    except Refused as refused:
        raise click.UsageError(printable(refused)) from refused
    line = json.dumps(found.request.model_dump(mode="json"))
    run_lines(kind, {}, [(1, line)], {}, numbered=False, partial=path, specs=found.specs, **kept)


def run_findings(
    *,
    pack: str,
    requests: Path | None,
    format_base: str,
    format_tuned: str,
    same_tokens: bool | None,
    margin: float | None,
    seed: int | None,
    **given: Any,
) -> None:
    """The default suite of a field, whose pack says on stderr what it can show, or every line of a file of requests."""
    models, kept = models_and_kept(given)
    if requests is not None:
        run_lines("findings", models, list(lines_of(requests)), {}, numbered=True, **kept)
        return
    from model_utils.probes import default_suite

    chosen: dict[str, Any] = {"margin": margin, "seed": seed, "same_tokens": same_tokens}
    try:
        specs = read_specs(**models)
        asked = default_suite.request(
            _pack(pack, default_suite.offered(default_suite.world_of(specs))),
            Pair(format_base, format_tuned),
            **{name: value for name, value in chosen.items() if value is not None},
        )
    except ValidationError as error:
        raise click.UsageError(printable(explain(error))) from error
    except Refused as refused:
        raise click.UsageError(printable(refused)) from refused
    say(asked.said(), err=True)
    line = json.dumps(asked.model_dump(mode="json"))
    run_lines("findings", models, [(1, line)], {}, numbered=False, specs=specs, **kept)


DESIGNED = [
    click.option("--instruction", "typed", metavar="TEXT", multiple=True, help="may be repeated"),
    LISTED[0],
    click.option("--pack", metavar="NAME", help="the instructions of a field: `--pack list` names them; or a file of your own"),
    click.option("--option", "choices", metavar="TEXT", multiple=True, help="an answer to choose from, for all of them; given twice or more"),
    *ASKED,
]  # fmt: skip


def run_instructions(
    *, typed: tuple[str, ...], listed: Path | None, pack: str | None, choices: tuple[str, ...], **given: Any
) -> None:
    """The design of instructions that are typed, of a list or of a field pack, or every line of a file of requests."""
    from model_utils.probes.packs import PACKS  # makes the embedded world

    packs = {name: one for name, one in PACKS.items() if one.instructions}
    if pack == "list":
        for name, one in packs.items():
            say(f"{name}: {len(one.instructions)} instructions. {one.says}")
        return

    def of(texts: Callable[[], tuple[str, ...]]) -> Make:
        def make(fields: dict[str, Any]) -> None:
            fields["items"] = [{"instruction": text, "options": choices} for text in texts()]

        return make

    sources = {
        "--instruction": of(lambda: typed) if typed else None,
        "--list": None if listed is None else of(partly(instructions_of, listed)),
        "--pack": None if pack is None else of(partly(_instructions, pack, packs)),
    }
    _run("instructions", sources, given)


def _instructions(name: str, offered: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(one.text for one in _pack(name, offered).instructions)


def _pack(name: str, offered: Mapping[str, Any]) -> Any:
    """Of this project by name, else of a file; what was left out of it is told."""
    if name in offered:
        return offered[name]
    from model_utils.probes import packs

    path = Path(name)
    if not path.is_file():
        raise click.UsageError(f"there is no pack and no file {printable(name)!r}; there are {', '.join(offered)}.")
    found = packs.read(path.read_bytes(), path.name)
    for problem in found.problems:
        say(problem, err=True)
    return found


def _suites(kind: str) -> dict[str, Any]:
    from model_utils.probes.suites import SUITES  # makes the embedded world

    return {name: one for name, one in SUITES.items() if kind in one.probes}


def _suite(kind: str, name: str) -> Any:
    known = _suites(kind)
    if name not in known:
        raise click.UsageError(f"there is no suite {printable(name)!r} for {kind}; there are {', '.join(known)}.")
    return known[name]


def _tell_suites(kind: str) -> None:
    for name, one in _suites(kind).items():
        say(f"{name}: {one.says}")


def _slots(asked: tuple[Any, ...], files: tuple[Path, ...]) -> tuple[Any, ...]:
    """The slots that stand in the items: of a file where one is of that name, else as Candor ships them."""
    from model_utils.contracts.bias import slot_names
    from model_utils.probes.slots import SLOTS, parse

    known = {name: one.slot for name, one in SLOTS.items()}
    for path in files:
        try:
            slot = parse(path.read_text(encoding="utf-8", errors="replace"))
        except Refused as refused:
            raise click.UsageError(f"{printable(path)}: {printable(refused)}") from refused
        known[slot.name] = slot
    names = slot_names(asked)
    if not names:
        raise click.UsageError("the items hold no slots such as {name}; write one where a name, an age or a group stands.")  # fmt: skip
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"nothing stands for {{{unknown[0]}}}; give --slots FILE that begins with it. Known are {', '.join(SLOTS)}.")  # fmt: skip
    return tuple(known[name] for name in names)


def plain_texts(name: str | None) -> tuple[str, ...]:
    """The project's texts without any instruction, by name."""
    if name is None:
        return ()
    from model_utils.probes.suites import PLAIN_TEXTS

    return PLAIN_TEXTS[name](PLAIN_COUNT)


PLAIN_COUNT = 100


def _items_of(path: Path) -> tuple[Any, ...]:
    from model_utils.probes import items

    found: tuple[Any, ...] = _read(path, items.read).items
    return found


def _published(path: Path, count: int | None, fields: dict[str, Any]) -> None:
    from model_utils.probes import published_files

    found = _read(path, published_files.read)
    fields |= {"benchmark": found.benchmark, "items": found.items[:count]}


def _read(path: Path, reader: Callable[[bytes, str], Any]) -> Any:
    """What a file holds; what was left out of it is said."""
    try:
        found = reader(path.read_bytes(), path.name)
    except Refused as refused:
        raise click.UsageError(printable(refused)) from refused
    for problem in found.problems:
        say(problem, err=True)
    return found
