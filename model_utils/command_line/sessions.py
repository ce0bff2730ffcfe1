"""`sessions`: what is recorded, shown, verified, computed again, judged, handed on and erased."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import click
import pandas as pd

from model_utils import analyses, codec
from model_utils.command_line import showing
from model_utils.command_line.running import FAILED
from model_utils.command_line.showing import cell, printable, say, say_json, text_of
from model_utils.contracts.records import (
    START,
    VERDICTS,
    Difference,
    Entry,
    Listed,
    Preference,
    Rerun,
    Verdict,
    Verified,
)
from model_utils.errors import Refused
from model_utils.records import bundle, rerun, sessions
from model_utils.records import preferences as judging
from model_utils.records.sessions import Kept, Overview, Wanted
from model_utils.records.store import Store

HELD = "Changes are detectable against a head id that is held elsewhere."
NO_HEAD = (
    "a head id is the hash of a session's last entry, 64 hexadecimal digits and not all of them 0, "
    "as `sessions close`, `export` and `verify` print it; give it whole."
)
REPORTS = {
    ".html": "dashboard.report:html",
    ".json": "dashboard.report:as_json",
    ".csv": "dashboard.report:csv",
    ".md": "dashboard.report:card",
}
"""A report draws figures, so that it lies with the pages: ending of a file -> who writes it (module:function)."""
DIGITS = 12
"""Of an id, in a table."""


class Said(click.Group):
    """Commands whose refusals are one sentence and exit with 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise  # whoever read what is printed left, and click knows what to do
        except (Refused, OSError) as error:
            say(error, err=True)
            context.exit(FAILED)


@click.group(cls=Said)
def main() -> None:
    """Sessions of records: kept analyses whose chain of hashes shows every change.

    SESSION is an id, the beginning of one, or a title. The database is a file of yours, or the one that CANDOR_DATABASE_URL names.
    """


SESSION = click.argument("session", metavar="SESSION")
NUMBER = click.argument("number", type=int)
NUMBERS = click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]...")
DAY = click.DateTime(["%Y-%m-%d"])
AUTHOR = click.option("--author", required=True, metavar="NAME", help="who says so")


@contextmanager
def store_of() -> Iterator[Store]:
    store = Store()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def session_of(begin: str) -> Iterator[tuple[Store, str]]:
    """The database, and the id of the session that is meant."""
    with store_of() as store:
        try:
            session = sessions.find(store, begin)
        except Refused as refused:
            raise click.UsageError(printable(refused)) from refused
        yield store, session


# --- a session begins and ends ---------------------------------------------------------------------------------------


@main.command()
@click.argument("title")
@click.option("--purpose", default="", metavar="TEXT", help="what it is to find out")
@click.option("--field", default="", metavar="TEXT", help="such as finance")
@click.option("--person", "people", multiple=True, metavar="NAME", help="who takes part; may be repeated")
def new(title: str, purpose: str, field: str, people: tuple[str, ...]) -> None:
    """Open a session and print its id."""
    with store_of() as store:
        click.echo(sessions.start(store, title, purpose, field, people))


@main.command()
@SESSION
@AUTHOR
def close(session: str, author: str) -> None:
    """End a session and print its head id: nothing but erasures may follow."""
    with session_of(session) as (store, id):
        click.echo(sessions.close(store, id, author).hash)
        say(HELD, err=True)


# --- looking ---------------------------------------------------------------------------------------------------------


@main.command(name="list")
@click.option("--analysis", "kinds", multiple=True, type=click.Choice([*analyses.ANALYSES]), help="may be repeated")
@click.option("--model", "models", multiple=True, metavar="ID", help="base or tuned; may be repeated")
@click.option("--verdict", "verdicts", multiple=True, type=click.Choice(VERDICTS), help="the latest; may be repeated")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="may be repeated: any of them")
@click.option("--since", type=DAY, metavar="DAY", help="the first day of the records, such as 2026-11-01 (UTC)")
@click.option("--until", type=DAY, metavar="DAY", help="the last day, included")
def list_sessions(
    kinds: tuple[str, ...],
    models: tuple[str, ...],
    verdicts: tuple[Verdict, ...],
    tags: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Every session, or those with such records, the latest first."""
    days = ("" if day is None else f"{day:%Y-%m-%d}" for day in (since, until))
    wanted = Wanted(kinds, models, verdicts, tags, *days)
    with store_of() as store:
        every = sessions.overviews(store)
    found = [replace(one, records=tuple(record for record in one.records if wanted.holds(record))) for one in every]
    if wanted != Wanted():
        found = [one for one in found if one.records]
    if not showing.at_terminal():
        for one in found:
            _tell(asdict(one))
        return
    if not found:
        say("No session holds such records." if every else "There is no session yet; `sessions new TITLE` opens one.")
        return
    say(text_of(pd.DataFrame([_row(one) for one in found])))
    if wanted != Wanted():
        for one in found:
            say(f"\n{cell(one.title)}\n{_records(one.records)}")


def _row(one: Overview) -> dict[str, object]:
    return {
        "session": one.session[:DIGITS],
        "opened": one.opened[:19],
        "closed": one.closed[:19] or "open",
        "records": len(one.records),
        "entries": one.entries,
        "title": one.title,
        "field": one.field,
    }


def _records(records: Sequence[Kept]) -> str:
    """A row for each record."""
    rows = [
        {
            "entry": one.number,
            "time": one.time[:19],
            "analysis": one.analysis or "(erased)",
            "base": one.base,
            "tuned": one.tuned,
            "verdict": one.verdict,
            "replay": one.replay,
            "tags": ", ".join(one.tags),
            "instruction": cell(one.instruction)[:60],
        }
        for one in records
    ]
    return text_of(pd.DataFrame(rows))


@main.command()
@SESSION
@click.argument("number", type=int, required=False)
def show(session: str, number: int | None) -> None:
    """What happened in a session; with NUMBER that entry, and what was said about it since."""
    with session_of(session) as (store, id):
        listed = store.listed(id)
        if number is None:
            _show_entries(store, id, listed)
            return
        one = next((one for one in listed if one.number == number), None)
        if one is None:
            raise Refused(f"This session has no entry {number}; its entries are 0 to {listed[-1].number}.")
        if one.kind == "record":
            _show_record(store, id, number)
        else:
            _show_entries(store, id, [one])
        _show_entries(store, id, [other for other in listed if other.about == number])


def _show_record(store: Store, session: str, number: int) -> None:
    """The result as the analysis printed it, and who recorded it; at a terminal also what it was computed with."""
    record = sessions.record_of(store, session, number)
    if showing.at_terminal():
        for side, identity in record.identities.items():
            opening = record.openings[side]
            say(
                f"{side} {cell(record.specs[side].name)}: weights SHA-256 {cell(identity.weights)}, "
                f"{cell(opening.dtype)} on {cell(opening.device)}"
            )
        versions = ", ".join(f"{cell(name)} {cell(version)}" for name, version in record.environment.versions)
        say(f"{cell(record.environment.system)}; {versions}; {record.seconds:.1f} s")
    if record.author:
        say(f"recorded by {cell(record.author)}", err=not showing.at_terminal())
    showing.show(record.analysis, record.specs, record.result)


def _show_entries(store: Store, session: str, listed: Sequence[Listed]) -> None:
    """A line for each entry; of records only what they are found by."""
    for one in listed:
        content = None if one.kind == "record" or one.erased else store.content(session, one.number)
        if not showing.at_terminal():
            _tell({**asdict(one), "content": None if content is None else json.loads(codec.encode(content))})
            continue
        about = "" if one.about is None else f" about entry {one.about}"
        said = cell(_said(one, content))
        if isinstance(content, Rerun) and len(listed) == 1:
            say(f"{one.number:>4}  {one.time[:19]}  {one.kind}{about}")
            _show_rerun(content, said)
        else:
            say(f"{one.number:>4}  {one.time[:19]}  {one.kind}{about}: {said}")


def _said(one: Listed, content: Any) -> str:
    """What an entry says, on one line."""
    if one.erased:
        return "(its content was erased)"
    if one.kind == "record":
        first = {name: values[0] for name, values in one.labels.items() if values}
        models = f"base {first.get('base', '')}, tuned {first.get('tuned', '')}"
        return f"{first.get('analysis', '')}; {models}; {first.get('instruction', '')}"
    if isinstance(content, Rerun):
        return content.outcome if one.kind == "replay" else f"{len(content.differences)} fields move"
    if isinstance(content, Preference):
        return "; ".join(filter(None, (f"{content.author}: {content.said()}", content.reason)))
    author, *said = (
        ", ".join(value) if isinstance(value, tuple) else str(value) for value in vars(content).values() if value
    )
    return f"{author}: {'; '.join(said)}" if said else author


def _show_rerun(found: Rerun, said: str) -> None:
    """What is not as it was, the first thing to look at; then what came out, and what differs."""
    for sentence in (*found.changed, said):
        say(sentence)
    if found.differences:
        say(text_of(found.table()))


# --- verifying and computing again -----------------------------------------------------------------------------------


@main.command()
@SESSION
@click.option("--head", metavar="HEX", help="a head id that was held elsewhere, all 64 digits")
def verify(session: str, head: str | None) -> None:
    """Follow a session's chain of hashes; exits with 1 where an entry was altered or is missing, where lists show something else than the
    entries hold, or where HEX is not among them.

    An end that was cut off, or a chain that was made anew, shows only against a head id that was held elsewhere.
    """
    if head is not None and (len(head) != 64 or set(head.lower()) - set("0123456789abcdef") or head == START):
        raise click.UsageError(NO_HEAD)
    with session_of(session) as (store, id):
        found = sessions.check(store, id, None if head is None else head.lower())
    if showing.at_terminal():
        say(f"session {id}\nentries {found.entries}\nhead    {found.head}")
        if found.erased:
            say(f"erased  {', '.join(map(str, found.erased))}")
    else:
        _tell({"session": id, **asdict(found)})
    say(found.problem or _found_good(found, head), err=not showing.at_terminal())
    if found.problem:
        raise SystemExit(FAILED)


def _found_good(found: Verified, head: str | None) -> str:
    """What following the chain has shown, and what it cannot show."""
    if head is not None:
        return f"The head is among the {found.entries} entries, which follow one another unaltered."
    return (
        f"The {found.entries} entries follow one another unaltered. An end that was cut off, or a chain that was made anew, "
        "shows only against a head id that was held elsewhere: give one with --head."
    )


@main.command()
@SESSION
@NUMBERS
@click.option("--dry-run", is_flag=True, help="write nothing into the session")
def replay(session: str, numbers: tuple[int, ...], dry_run: bool) -> None:
    """Compute records again, all by default, each in a process of its own, against its noise floor where one was measured.

    It opens the models that are here and downloads nothing. The outcome becomes an entry unless the session is closed. Exits with 1 where
    any is different.
    """
    with session_of(session) as (store, id):
        overview = sessions.overview(id, store.listed(id))

        def once(one: Kept) -> bool:
            floor: tuple[Difference, ...] | None = None
            if one.floor is not None:
                floor = store.content(id, one.floor).differences
            found = rerun.replay(sessions.record_of(store, id, one.number), floor)
            kept = not dry_run and not overview.closed
            entry = sessions.add_rerun(store, id, one.number, found, "replay").number if kept else None
            _tell_rerun(one, found, found.outcome, entry)
            return found.outcome != "different"

        _each(_chosen(overview, numbers), once)


@main.command()
@SESSION
@NUMBERS
def floor(session: str, numbers: tuple[int, ...]) -> None:
    """Measure how far rounding alone moves records: by default all that have no noise floor yet."""
    with session_of(session) as (store, id):
        overview = sessions.overview(id, store.listed(id))
        if overview.closed:
            raise Refused("This session is closed, and nothing but an erasure may follow.")

        def once(one: Kept) -> bool:
            found = rerun.measure_floor(sessions.record_of(store, id, one.number))
            entry = sessions.add_rerun(store, id, one.number, found, "floor").number
            _tell_rerun(one, found, f"{len(found.differences)} fields move", entry)
            return True

        _each([one for one in _chosen(overview, numbers) if numbers or one.floor is None], once)


def _chosen(overview: Overview, numbers: Sequence[int]) -> list[Kept]:
    """These records, or all that were not erased."""
    if numbers:
        return [overview.record(number) for number in numbers]
    return [one for one in overview.records if not one.erased]


def _each(records: Sequence[Kept], once: Callable[[Kept], bool]) -> None:
    """Goes on after a record that cannot be computed here; exits with 1 where there was one, or `once` said no."""
    good = True
    if not records:
        say("There is no such record.", err=True)
    for one in records:
        if showing.at_terminal():
            say(f"entry {one.number}, {cell(one.analysis)}")
        try:
            good = once(one) and good
        except Refused as refused:
            good = False
            say(f"Entry {one.number}: {refused}", err=True)
    if not good:
        raise SystemExit(FAILED)


def _tell_rerun(one: Kept, found: Rerun, said: str, entry: int | None) -> None:
    if showing.at_terminal():
        _show_rerun(found, said)
        return
    table = found.table().to_dict("records")
    differences = [{name: None if value != value else value for name, value in row.items()} for row in table]
    told = {"number": one.number, "analysis": one.analysis, "said": said, "changed": found.changed, "entry": entry}
    _tell({**told, "differences": differences, "seconds": found.seconds})


# --- what people say -------------------------------------------------------------------------------------------------


@main.command()
@SESSION
@NUMBER
@click.argument("verdict", type=click.Choice(VERDICTS))
@AUTHOR
@click.option("--reason", default="", metavar="TEXT", help="why")
def judge(session: str, number: int, verdict: Verdict, author: str, reason: str) -> None:
    """Say whether a record is fine: from now on that is its verdict."""
    with session_of(session) as (store, id):
        sessions.overview(id, store.listed(id)).record(number)
        _added(sessions.judge(store, id, number, author, verdict, reason))


@main.command()
@SESSION
def preferences(session: str) -> None:
    """What the blind judgements of a session came to: which model is preferred, whether the place decided, and every judgement.

    They are made on the page of sessions, where it is not said whose the answers are.
    """
    with session_of(session) as (store, id):
        found = judging.preferences(store, id)
    if not showing.at_terminal():
        _tell(found.plain())
        return
    for sentence in found.said():
        say(cell(sentence))
    if found.judged:
        say(text_of(found.table()))


@main.command()
@SESSION
@click.argument("text")
@click.option("--about", type=int, metavar="NUMBER", help="an entry [default: the session]")
@AUTHOR
def note(session: str, text: str, about: int | None, author: str) -> None:
    """Write something about the session, or about an entry."""
    with session_of(session) as (store, id):
        _added(sessions.note(store, id, about, author, text))


@main.command()
@SESSION
@NUMBER
@click.argument("tags", nargs=-1)
@AUTHOR
def tag(session: str, number: int, tags: tuple[str, ...], author: str) -> None:
    """Give a record these tags in place of those that it has; none: it has none."""
    with session_of(session) as (store, id):
        sessions.overview(id, store.listed(id)).record(number)
        _added(sessions.tag(store, id, number, author, tags))


@main.command()
@SESSION
@NUMBER
@AUTHOR
@click.option("--reason", required=True, metavar="TEXT", help="why; it stays")
def erase(session: str, number: int, author: str, reason: str) -> None:
    """Take the content of an entry away for good, of a record also that of its replays and noise floors; the chain still verifies."""
    with session_of(session) as (store, id):
        _added(*sessions.erase(store, id, number, author, reason))
        say("Bundles and reports that were written before still hold it, and are out of reach.", err=True)


def _added(*entries: Entry) -> None:
    for entry in entries:
        click.echo(entry.number)


# --- handing on ------------------------------------------------------------------------------------------------------

FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@main.command()
@SESSION
@FILE
def export(session: str, file: Path) -> None:
    """Write a whole session into a bundle that another Candor imports, and print its head id."""
    with session_of(session) as (store, id), _written(file) as stream:
        head = bundle.write(store, id, stream)
    click.echo(head)
    say(HELD, err=True)


@main.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_bundle(file: Path) -> None:
    """Take a bundle in, once every entry of it is verified; print the session's id."""
    with store_of() as store, file.open("rb") as stream:
        found = bundle.read(store, stream)
    click.echo(found.session)
    say(f"{found.entries} entries verified, {found.added} of them new here; head {found.head}", err=True)
    say(
        "Compare the head with one that you got another way: only that shows a session that was written anew.", err=True
    )


@main.command()
@SESSION
@FILE
def report(session: str, file: Path) -> None:
    """Write a report of a session: .html to read, .json and .csv for programs, .md as a card for a model's page."""
    if file.suffix.lower() not in REPORTS:
        raise click.UsageError(f"{printable(file.name)} ends in no {', '.join(REPORTS)}; choose one of these.")
    module, _, name = REPORTS[file.suffix.lower()].partition(":")
    with session_of(session) as (store, id):
        text = getattr(import_module(module), name)(store, id)
        with _written(file) as stream:
            stream.write(text.encode("utf-8", "backslashreplace"))


@contextmanager
def _written(file: Path) -> Iterator[BinaryIO]:
    """A file that is there as a whole or not at all; nobody else may read it at first, for it holds what people asked."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".candor-")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)  # it has the file's own name where it is whole


def _tell(value: Any) -> None:
    say_json(json.dumps(value, ensure_ascii=False))
