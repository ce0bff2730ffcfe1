"""The command line of records: what is kept, resumed, verified, computed again, judged, handed on, and what fails whose CI."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dashboard.session.probing import ITEM_PROBES
from model_utils import __main__ as cli
from model_utils import analyses, checkpoints, codec
from model_utils.analyses import ANALYSES
from model_utils.command_line import running, thresholds
from model_utils.contracts.records import Difference, Rerun
from model_utils.errors import Refused
from model_utils.pair import Pair
from model_utils.probes import packs
from model_utils.records import recording, rerun, sessions
from model_utils.records.store import Store
from model_utils.reporting import Report
from tests import builders, recorded, results

HOSTILE = "Loans \x1b[2J\u202e<b>\n## title"
"""It would clear a terminal, turn letters around, and break a table."""


def call(*arguments: object, pair: Pair[Path] | None = None, code: int = 0):
    models = ["--base", pair.base, "--tuned", pair.tuned] if pair else []
    done = CliRunner().invoke(cli.main, [str(argument) for argument in [*arguments, *models]])
    assert done.exit_code == code and "Traceback" not in done.output, (done.output, done.exception)
    return done


def said(*arguments: object, code: int = 0) -> Any:
    """What `sessions` printed for a program."""
    return [json.loads(line) for line in call("sessions", *arguments, code=code).stdout.splitlines()]


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_utils.command_line.showing.at_terminal", lambda: True)


@pytest.fixture
def session() -> str:
    """Three records made by hand: entries 1 to 3."""
    id = call("sessions", "new", "Loans", "--purpose", "who gets one", "--field", "finance", "--person", "Ada").stdout
    store = Store()
    for kind in ("shift", "generation", "attribution"):
        recording.keep(store, id.strip(), recorded.record(kind))
    store.close()
    return id.strip()


# Looking


def test_a_session_is_listed_shown_and_verified(session: str):
    (one,) = said("list")
    assert (one["session"], one["title"], one["field"], one["entries"]) == (session, "Loans", "finance", 4)
    assert [record["analysis"] for record in one["records"]] == ["shift", "generation", "attribution"]
    opened, *records = said("show", session[:8])
    assert opened["content"]["fields"]["people"] == ["Ada"] and [one["kind"] for one in records] == ["record"] * 3
    assert all(one["content"] is None for one in records), "a list reads no result"
    done = call("sessions", "verify", "Loans")
    assert json.loads(done.stdout) == {
        "session": session,
        "entries": 4,
        "head": Store().verify(session).head,
        "erased": [],
        "problem": "",
    }
    assert "The 4 entries follow one another unaltered." in done.stderr


def test_what_is_said_about_a_record_is_shown_with_its_result(session: str):
    assert call("sessions", "judge", session, 1, "concern", "--author", "Ada", "--reason", "by name").stdout == "4\n"
    assert call("sessions", "note", session, "look again", "--about", 1, "--author", "Béla").stdout == "5\n"
    assert call("sessions", "tag", session, 1, "urgent", "names", "--author", "Ada").stdout == "6\n"
    result, *about = call("sessions", "show", session, 1).stdout.splitlines()
    assert result == codec.encode(recorded.record("shift").result)
    contents = [json.loads(line)["content"]["fields"] for line in about]
    assert contents == [
        {"author": "Ada", "verdict": "concern", "reason": "by name"},
        {"author": "Béla", "text": "look again"},
        {"author": "Ada", "tags": ["urgent", "names"]},
    ]
    assert [one["kind"] for one in said("show", session, 5)] == ["note"]


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        (["--analysis", "shift"], [1]),
        (["--analysis", "shift", "--analysis", "generation"], [1, 2]),
        (["--verdict", "fail"], [2]),
        (["--tag", "urgent"], [3]),
        (["--tag", "urgent", "--verdict", "fail"], []),
        (["--model", "demo/tuned"], [1, 2, 3]),
        (["--model", "nobody"], []),
        (["--since", "2999-01-01"], []),
        (["--since", "2020-01-01", "--until", "2999-01-01"], [1, 2, 3]),
        (["--until", "2020-01-01"], []),
    ],
)
def test_sessions_are_found_by_their_records(session: str, flags: list[str], numbers: list[int]):
    call("sessions", "new", "Another one")
    call("sessions", "judge", session, 2, "fail", "--author", "Ada")
    call("sessions", "tag", session, 3, "urgent", "--author", "Ada")
    found = said("list", *flags)
    assert [[record["number"] for record in one["records"]] for one in found] == ([numbers] if numbers else [])
    assert len(said("list")) == 2


@pytest.mark.usefixtures("at_terminal")
def test_a_terminal_is_told_nothing_to_do_by_what_strangers_wrote():
    id = call("sessions", "new", HOSTILE, "--field", HOSTILE, "--person", HOSTILE).stdout.strip()
    store = Store()
    record = recorded.record("attribution", HOSTILE)
    hostile = record.specs.map(lambda spec: spec.model_copy(update={"id": HOSTILE}))
    recording.keep(store, id, replace(record, specs=hostile))
    call("sessions", "note", id, HOSTILE, "--author", HOSTILE)
    call("sessions", "tag", id, 1, HOSTILE, "--author", HOSTILE)
    call("sessions", "judge", id, 1, "fail", "--author", HOSTILE, "--reason", HOSTILE)
    other = Difference("text" + HOSTILE, math.nan, math.nan, HOSTILE)
    found = replace(a_rerun(other), changed=(HOSTILE,))
    number = sessions.add_rerun(store, id, 1, found, "replay").number
    for arguments in (["list"], ["list", "--verdict", "fail"], ["show", id], ["show", id, 1], ["show", id, number]):
        printed = call("sessions", *arguments).output
        assert "\x1b" not in printed and "\u202e" not in printed and "\\x1b[2J" in printed, arguments
        assert not [line for line in printed.splitlines() if line.startswith("## title")] or arguments[-1] == number
    assert "follow one another" in call("sessions", "verify", HOSTILE).output
    refused = call("sessions", "verify", HOSTILE + "x", code=2).output
    assert "\x1b" not in refused and "There is no session" in refused


def test_bytes_that_are_no_text_stop_nothing(session: str):
    """As a terminal hands them over, or a stranger's record holds them."""
    half = "\udcff x"
    id = call("sessions", "new", half, "--field", half, "--person", half).stdout.strip()
    result = results.generation(tuned=(half,))
    assert "\udcff" in result.answers.tuned.text
    recording.keep(Store(), id, recorded.record("generation", result=result))
    call("sessions", "note", id, half, "--about", 1, "--author", half)
    opened, _, note = (codec.decode(json.dumps(one["content"])) for one in said("show", id))
    assert (opened.title, opened.field, opened.people) == (half, half, (half,)) and (note.author, note.text) == (
        half,
        half,
    )
    assert json.loads(call("sessions", "show", id, 1).stdout.splitlines()[0]) == json.loads(codec.encode(result))
    call("sessions", "list")


@pytest.mark.usefixtures("at_terminal")
def test_a_terminal_gets_words(session: str):
    listed = call("sessions", "list").stdout.splitlines()
    assert listed[1].split() == [session[:12], listed[1].split()[1], "open", "3", "4", "Loans", "finance"]
    shown = call("sessions", "show", session, 1).stdout
    assert "weights SHA-256" in shown and "shift: base demo/base, tuned demo/tuned" in shown
    head = Store().verify(session).head
    without, held = (call("sessions", "verify", session, *flags).stdout for flags in ([], ["--head", head]))
    assert "follow one another unaltered. An end that was cut off" in without and "give one with --head" in without
    assert "The head is among the 4 entries, which follow one another unaltered." in held and "cut off" not in held
    assert "No session holds such records." in call("sessions", "list", "--tag", "none").stdout


@pytest.mark.usefixtures("at_terminal")
def test_without_a_session_the_way_to_one_is_said():
    assert "`sessions new TITLE` opens one" in call("sessions", "list").stdout


# Verifying


def test_an_altered_record_fails_the_verification_and_is_named(session: str, database: str):
    head = call("sessions", "close", session, "--author", "Ada").stdout.strip()
    assert said("verify", session, "--head", head)[0]["head"] == head
    raw = sqlite3.connect(database.removeprefix("sqlite:///"))
    raw.execute("UPDATE entry SET content = ? WHERE number = 2", (b"another result",))
    raw.commit()
    done = call("sessions", "verify", session, code=1)
    assert json.loads(done.stdout)["problem"] == "The content of entry 2 (record) was altered."
    assert "The content of entry 2 (record) was altered." in done.stderr
    assert "not as it was written" in call("sessions", "show", session, 2, code=1).stderr


def test_entries_that_were_cut_off_are_found_against_a_head(session: str, database: str):
    head = Store().verify(session).head
    raw = sqlite3.connect(database.removeprefix("sqlite:///"))
    for table in ("entry", "label"):
        raw.execute(f"DELETE FROM {table} WHERE number = 3")
    raw.commit()
    assert not said("verify", session)[0]["problem"]
    assert "is not among the 3 entries" in said("verify", session, "--head", head, code=1)[0]["problem"]


@pytest.mark.parametrize("head", ["", "ab12", "0" * 64, "g" * 64, "a" * 65, "\u0661" * 64])
def test_what_is_no_head_is_told_what_one_is(session: str, head: str):
    done = call("sessions", "verify", session, "--head", head, code=2)
    assert "the hash of a session's last entry, 64 hexadecimal digits" in done.stderr and done.stdout == ""


# Computing again


def a_rerun(*differences: Difference, floor: tuple[Difference, ...] | None = None) -> Rerun:
    record = recorded.record("shift")
    return Rerun(record.identities, record.openings, record.environment, 1.0, (), differences, floor)


NEAR, FAR = Difference("answers.tuned.kl", 1e-7, 1.0), Difference("answers.tuned.kl", 0.5, 1.0)


def test_replays_are_held_against_the_recorded_floor_and_kept(session: str, monkeypatch: pytest.MonkeyPatch):
    replayed = iter([(NEAR,), (), (FAR,)])
    monkeypatch.setattr(rerun, "measure_floor", lambda record: a_rerun(replace(NEAR, largest=2e-7)))
    monkeypatch.setattr(rerun, "replay", lambda record, floor: a_rerun(*next(replayed), floor=floor))
    assert [one["number"] for one in said("floor", session, 1)] == [1]
    assert [one["said"] for one in said("replay", session, 1)] == ["within the noise floor"]
    told = said("replay", session, 2, 3, code=1)
    assert [one["said"] for one in told] == ["same", "different"] and told[1]["differences"][0]["difference"] == 0.5
    kept = said("list")[0]["records"]
    assert [one["replay"] for one in kept] == ["within the noise floor", "same", "different"]
    assert [one["floor"] for one in kept] == [4, None, None]
    assert [one["number"] for one in said("floor", session)] == [2, 3], "only those that have none"


def test_a_replay_writes_nothing_into_a_closed_session_or_when_dry(session: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rerun, "replay", lambda record, floor: a_rerun())
    assert [one["entry"] for one in said("replay", session, "--dry-run")] == [None] * 3
    assert said("list")[0]["entries"] == 4
    call("sessions", "close", session, "--author", "Ada")
    assert [one["entry"] for one in said("replay", session)] == [None] * 3
    assert said("list")[0]["entries"] == 5
    assert "is closed" in call("sessions", "floor", session, code=1).stderr


def test_what_cannot_be_computed_here_is_said_and_the_others_are(session: str, monkeypatch: pytest.MonkeyPatch):
    def replay(record: Any, floor: Any) -> Rerun:
        if record.analysis == "generation":
            raise Refused("These models are not here.")
        return a_rerun()

    monkeypatch.setattr(rerun, "replay", replay)
    done = call("sessions", "replay", session, code=1)
    assert done.stderr.strip() == "Entry 2: These models are not here."
    assert [json.loads(line)["number"] for line in done.stdout.splitlines()] == [1, 3]


@pytest.mark.slow
def test_a_replay_names_changed_weights_first(tiny_pair: Pair[Path], tmp_path: Path):
    tuned = shutil.copytree(tiny_pair.tuned, tmp_path / "tuned")
    mine = Pair(tiny_pair.base, tuned)
    id = call("sessions", "new", "One").stdout.strip()
    call("generation", "--instruction", "Hello", "--max-new-tokens", 3, "--record", "One", pair=mine)
    assert [one["said"] for one in said("replay", id)] == ["same"]
    shutil.rmtree(tuned)
    shutil.copytree(builders.tiny_pair(tmp_path / "other", seed=7).tuned, tuned)
    (told,) = said("replay", id, code=1)
    assert told["said"] == "different" and told["changed"][0].startswith("The weights of tuned is another")


@pytest.mark.usefixtures("at_terminal")
def test_a_terminal_gets_what_changed_before_what_differs(session: str, monkeypatch: pytest.MonkeyPatch):
    found = replace(a_rerun(FAR), changed=("The weights of tuned is another.", "torch was 1, and is 2."))
    monkeypatch.setattr(rerun, "replay", lambda record, floor: found)
    lines = call("sessions", "replay", session, 1, code=1).stdout.splitlines()
    assert lines[:4] == ["entry 1, shift", *found.changed, "different"] and "answers.tuned.kl" in lines[5]


# What people say, and erasing


def test_erased_words_are_nowhere_and_the_chain_still_verifies(session: str, database: str):
    store = Store()
    quoting = a_rerun(Difference("text", math.nan, math.nan, "It is 'Eleanor Vance' and was 'x'."))
    assert sessions.add_rerun(store, session, 1, quoting, "replay").number == 4
    done = call("sessions", "erase", session, 1, "--author", "Ada", "--reason", "she asked us to")
    assert done.stdout.split() == ["5", "6"] and "out of reach" in done.stderr
    assert said("verify", session)[0]["erased"] == [1, 4]
    shown = said("show", session)
    assert [one["number"] for one in shown if one["erased"]] == [1, 4] and not shown[1]["labels"]
    assert "was erased" in call("sessions", "show", session, 1, code=1).stderr
    call("sessions", "erase", session, 0, "--author", "Ada", "--reason", "the title too")
    assert said("list")[0]["title"] == "(erased)" and not said("verify", session)[0]["problem"]
    again = CliRunner().invoke(
        cli.main, ["sessions", "erase", session, "1", "--author", "Ada", "--reason", "once more"]
    )
    assert again.exception is None or isinstance(again.exception, SystemExit)
    assert not said("verify", session)[0]["problem"]
    assert "--reason" in call("sessions", "erase", session, 2, "--author", "Ada", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "part", "code"),
    [
        (["new", " "], "The title is empty", 1),
        (["judge", "Loans", "0", "fail", "--author", "A"], "Entry 0 is not a record; the records are 1, 2, 3.", 1),
        (["judge", "Loans", "1", "perhaps", "--author", "A"], "'perhaps' is not one of", 2),
        (["judge", "Loans", "1", "fail", "--author", " "], "author's name is empty", 1),
        (["tag", "Loans", "9", "x", "--author", "A"], "Entry 9 is not a record", 1),
        (["note", "Loans", "x", "--about", "9", "--author", "A"], "has no entry 9", 1),
        (["note", "Loans", "x"], "--author", 2),
        (["show", "Loans", "9"], "no entry 9; its entries are 0 to 3", 1),
        (["show", "Nowhere"], "`sessions new TITLE` opens one", 2),
        (["list", "--since", "yesterday"], "'yesterday' does not match", 2),
        (["list", "--until", "2026-13-01"], "'2026-13-01' does not match", 2),
        (["replay", "Loans", "0"], "Entry 0 is not a record", 1),
        (["report", "Loans", "report.exe"], "ends in no .html, .json, .csv, .md", 2),
    ],
)
def test_mistakes_get_one_sentence(session: str, arguments: list[str], part: str, code: int):
    done = call("sessions", *arguments, code=code)
    assert part in done.stderr and done.stdout == ""


def test_nothing_follows_in_a_closed_session(session: str):
    head = call("sessions", "close", session, "--author", "Ada").stdout.strip()
    assert head == said("verify", session)[0]["head"]
    for arguments in (["note", session, "x"], ["judge", session, 1, "fail"], ["tag", session, 1, "x"]):
        assert "closed" in call("sessions", *arguments, "--author", "Ada", code=1).stderr
    done = call("generation", "--instruction", "a", "--record", session, code=2)
    assert "This session is closed" in done.stderr


def test_two_sessions_of_one_title_are_told_apart_by_their_ids():
    ids = [call("sessions", "new", "Twice").stdout.strip() for _ in range(2)]
    assert "2 sessions are called 'Twice'" in call("sessions", "show", "Twice", code=2).stderr
    assert said("show", ids[0][:31])[0]["content"]["fields"]["title"] == "Twice"


def test_a_database_that_cannot_be_opened_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("CANDOR_DATABASE_URL", f"sqlite:///{tmp_path}")
    assert "cannot be opened" in call("sessions", "list", code=1).stderr
    assert "cannot be opened" in call("shift", "--instruction", "a", "--record", "x", code=2).stderr


# Handing on


def test_a_bundle_brings_a_session_to_another_machine(session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    call("sessions", "judge", session, 1, "fail", "--author", "Ada", "--reason", "by name")
    file = tmp_path / "loans.candor"
    head = call("sessions", "export", "Loans", file).stdout.strip()
    assert head == said("verify", session)[0]["head"] and [one.name for one in tmp_path.glob(".candor-*")] == []
    here = [call("sessions", "show", session, *number).stdout for number in ([], [1])], said("list")
    monkeypatch.setenv("CANDOR_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    done = call("sessions", "import", file)
    assert done.stdout.strip() == session and f"5 entries verified, 5 of them new here; head {head}" in done.stderr
    assert "got another way" in done.stderr
    assert ([call("sessions", "show", session, *number).stdout for number in ([], [1])], said("list")) == here
    assert said("verify", session, "--head", head)[0]["problem"] == ""
    assert "0 of them new here" in call("sessions", "import", file).stderr


def test_an_altered_bundle_is_refused_and_nothing_of_it_shown(
    session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "loans.candor"
    call("sessions", "export", session, file)
    whole = file.read_bytes()
    monkeypatch.setenv("CANDOR_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    for altered in (whole[:-100], whole.replace(b'"number":2', b'"number":3'), b"nonsense \x1b[2J", b""):
        file.write_bytes(altered)
        done = call("sessions", "import", file, code=1)
        assert done.stdout == "" and done.stderr.count("\n") == 1 and "\x1b" not in done.stderr
    assert said("list") == []


def test_no_file_is_left_of_an_export_that_failed(session: str, database: str, tmp_path: Path):
    raw = sqlite3.connect(database.removeprefix("sqlite:///"))
    raw.execute("UPDATE entry SET content = ? WHERE number = 2", (b"another result",))
    raw.commit()
    file = tmp_path / "files" / "loans.candor"
    assert "No such file" in call("sessions", "export", session, file, code=1).stderr
    file.parent.mkdir()
    file.write_text("an earlier one")
    assert "no file was made of it" in call("sessions", "export", session, file, code=1).stderr
    assert [one.read_text() for one in file.parent.iterdir()] == ["an earlier one"]


@pytest.mark.parametrize("ending", [".html", ".json", ".csv", ".md", ".HTML"])
def test_the_ending_of_a_reports_file_says_who_writes_it(
    session: str, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
):
    written = {
        name: lambda store, id, name=name: f"{name} of {id} 漢字\r\n" for name in ("html", "as_json", "csv", "card")
    }
    monkeypatch.setitem(sys.modules, "dashboard.report", SimpleNamespace(**written))
    call("sessions", "report", session[:10], tmp_path / f"loans{ending}")
    name = {".html": "html", ".json": "as_json", ".csv": "csv", ".md": "card"}[ending.lower()]
    assert (tmp_path / f"loans{ending}").read_bytes().decode() == f"{name} of {session} 漢字\r\n"


# Recording, and going on after an interruption

ASKED = ["Name three.", "Say 漢字 🎉", "Count to ten.", "Name three.", "Why?", "Who?"]
"""The fourth is the first once more."""


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(json.dumps({"instruction": one, "max_new_tokens": 3}) + "\n" for one in ASKED))
    return file


@pytest.mark.slow
@pytest.mark.parametrize("kind", ANALYSES)
def test_every_analysis_is_recorded_and_prints_what_it_printed(kind: str, tiny_pair: Pair[Path], tmp_path: Path):
    id = call("sessions", "new", "One").stdout.strip()
    asked: list[object] = []
    if kind == "published":
        (tmp_path / "pairs.csv").write_text(
            "sent_more,sent_less,stereo_antistereo,bias_type\nThey waste 漢字.,We waste 漢字.,stereo,kind\n"
        )
        asked += ["--file", tmp_path / "pairs.csv"]
    elif kind == "findings":
        (tmp_path / "pack.json").write_text(packs.EXAMPLE)
        asked += ["--pack", tmp_path / "pack.json"]
    elif kind in ITEM_PROBES:
        (tmp_path / "items.jsonl").write_text(
            '{"instruction": "Hello {name} 漢字", "options": ["a", "b"], "answer": "b"}'
        )
        asked += ["--items", tmp_path / "items.jsonl"]
        if kind == "instructions":
            asked = ["--list", tmp_path / "items.jsonl"]
    elif kind != "load_report":
        asked += ["--instruction", "Hello 漢字", "--max-new-tokens", 3]
    if kind == "faithfulness":
        (tmp_path / "scores.jsonl").write_text(call("attribution", *asked, pair=tiny_pair).stdout)
        asked += ["--scores", tmp_path / "scores.jsonl"]
    done = call(kind, *asked, "--record", id[:6], pair=tiny_pair)
    assert done.stderr.splitlines()[-1] == f"recorded as entry 1 of session {id}"
    assert ("Pets: Whether a model knows pets." in done.stderr.splitlines()) is (kind == "findings")
    record = sessions.record_of(Store(), id, 1)
    assert done.stdout.strip() == codec.encode(record.result) and record.analysis == kind
    assert all(re.fullmatch("[0-9a-f]{64}", one.weights) for one in record.identities.sides) and record.seconds > 0
    assert call("sessions", "show", id, 1).stdout == done.stdout


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_computes_nothing_twice(tiny_pair: Pair[Path], tmp_path: Path):
    """Killed twice, each time as it computes the third line or one soon after it; the last line is the first once more."""
    asked = [f"Say {number}." for number in range(20)]
    file = tmp_path / "long.jsonl"
    file.write_text(
        "".join(json.dumps({"instruction": one, "max_new_tokens": 60}) + "\n" for one in [*asked, asked[0]])
    )
    id = call("sessions", "new", "Killed").stdout.strip()
    arguments = ["generation", "--requests", file, "--record", id]
    command = [sys.executable, "-m", "model_utils", *arguments, "--base", tiny_pair.base, "--tuned", tiny_pair.tuned]
    printed, kept = [], []
    for _ in range(2):
        with (tmp_path / "printed").open("w") as out:
            process = subprocess.Popen(
                [str(one) for one in command],
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[1],
            )
            assert process.stderr is not None
            told = [next(process.stderr) for _ in range(len(kept) + 2)]
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert [line.rsplit(maxsplit=1)[1] for line in told[: len(kept)]] == [str(one["number"]) for one in kept]
        assert all("recorded as" in line for line in told[len(kept) :])
        printed.append(
            [line for line in (tmp_path / "printed").read_text().splitlines(keepends=True) if line[-1] == "\n"]
        )
        before, kept = kept, said("list")[0]["records"]
        assert kept[: len(before)] == before and len(before) + 2 <= len(kept) < len(asked)
    done = call(*arguments, pair=tiny_pair)
    lines = done.stdout.splitlines(keepends=True)
    assert len(lines) == len(asked) + 1 and lines[-1] == lines[0]
    for earlier in printed:
        assert len(earlier) >= 2 and earlier[:-1] == lines[: len(earlier) - 1], (
            "but for the last, which nobody recorded"
        )
    records = said("list")[0]["records"]
    assert [one["instruction"] for one in records] == asked, "each once"
    assert records[: len(kept)] == kept
    again = call(*arguments, pair=tiny_pair)
    assert again.stdout == done.stdout
    entries = [*range(1, 21), 1]
    assert again.stderr.splitlines() == [f"Line {n}: recorded before as entry {e}" for n, e in enumerate(entries, 1)]
    assert not said("verify", id)[0]["problem"]


@pytest.mark.slow
def test_what_is_another_question_is_computed(tiny_pair: Pair[Path], requests: Path):
    """Another request, other models, another analysis, and what was erased."""
    id = call("sessions", "new", "One").stdout.strip()
    run = ["generation", "--requests", requests, "--record", id]
    assert call(*run, pair=tiny_pair).stderr.count("recorded as") == 5
    assert call(*run, "--system", "Be brief.", pair=tiny_pair).stderr.count("recorded as") == 5
    assert call(*run, pair=Pair(tiny_pair.tuned, tiny_pair.base)).stderr.count("recorded as") == 5
    assert call("atlas", *run[1:], pair=tiny_pair).stderr.count("recorded as") == 5
    assert call(*run, pair=tiny_pair).stderr.count("recorded as") == 0
    call("sessions", "erase", id, 2, "--author", "Ada", "--reason", "asked to")
    done = call(*run, pair=tiny_pair)
    assert next(line for line in done.stderr.splitlines() if "recorded as" in line).startswith("Line 2:")


def retrain(tuned: Path, elsewhere: Path) -> str:
    """Other weights stand in the folder; their hash."""
    if not elsewhere.exists():
        builders.tiny_pair(elsewhere, seed=7)
    (elsewhere / "tuned" / "model.safetensors").replace(tuned / "model.safetensors")
    return checkpoints.digest(checkpoints.weight_files(tuned), Report())


@pytest.mark.slow
@pytest.mark.parametrize("when", ["between two lines", "while a line is computed"])
def test_a_folder_that_is_retrained_in_a_run_is_not_recorded_under_old_hashes(
    when: str, tiny_pair: Pair[Path], tmp_path: Path, requests: Path, monkeypatch: pytest.MonkeyPatch
):
    mine = Pair(tiny_pair.base, shutil.copytree(tiny_pair.tuned, tmp_path / "tuned"))
    hashes = [checkpoints.digest(checkpoints.weight_files(mine.tuned), Report())]
    execute, show, ran = analyses.execute, running.show, []

    def executed(kind: str, *given: Any) -> Any:
        result = execute(kind, *given)
        ran.append(kind)
        if when == "while a line is computed" and ran.count("generation") == 2 and len(hashes) == 1:
            hashes.append(retrain(mine.tuned, tmp_path / "other"))
        return result

    def shown(*given: Any) -> None:
        show(*given)
        if when == "between two lines" and len(hashes) == 1:
            hashes.append(retrain(mine.tuned, tmp_path / "other"))

    monkeypatch.setattr(analyses, "execute", executed)
    monkeypatch.setattr(running, "show", shown)
    id = call("sessions", "new", "One").stdout.strip()
    run = ["generation", "--requests", requests, "--record", id]
    done = call(*run, pair=mine, code=1)
    assert [line for line in done.stderr.splitlines() if "recorded as" not in line] == [
        "Line 2: The models' files changed while this ran, and nothing was recorded of it; run it again."
    ]
    assert len(done.stdout.splitlines()) == 5, "nothing is printed of the second"
    weights = [sessions.record_of(Store(), id, number).identities.tuned.weights for number in range(1, 6)]
    assert weights == [hashes[0], *[hashes[1]] * 4] and hashes[0] != hashes[1]
    assert ran.count("load_report") == 2, "once of each"
    again = call(*run, pair=mine)
    assert again.stderr.count("recorded as") == 1, "the second; the first is the fourth, of the new weights"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["generation", "load_report"])
def test_a_single_request_is_held_against_the_files_too(
    kind: str, tiny_pair: Pair[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mine = Pair(tiny_pair.base, shutil.copytree(tiny_pair.tuned, tmp_path / "tuned"))
    execute = analyses.execute

    def executed(asked: str, *given: Any) -> Any:
        result = execute(asked, *given)
        if asked == kind:
            retrain(mine.tuned, tmp_path / "other")
        return result

    monkeypatch.setattr(analyses, "execute", executed)
    id = call("sessions", "new", "One").stdout.strip()
    asked = [] if kind == "load_report" else ["--instruction", "Hello", "--max-new-tokens", 3]
    done = call(kind, *asked, "--record", id, pair=mine, code=1)
    assert done.stderr.startswith("The models' files changed") and done.stdout == ""
    assert said("list")[0]["records"] == []


@pytest.mark.slow
def test_a_label_that_was_altered_passes_no_other_result_off(tiny_pair: Pair[Path], requests: Path, database: str):
    """The chain does not cover labels: entry 2 is listed under the first request, which no other entry is listed under."""
    id = call("sessions", "new", "One").stdout.strip()
    run = ["generation", "--requests", requests, "--record", id]
    call(*run, pair=tiny_pair)
    raw = sqlite3.connect(database.removeprefix("sqlite:///"))
    ((key,),) = raw.execute("SELECT value FROM label WHERE number = 1 AND name = 'request'").fetchall()
    raw.execute("DELETE FROM label WHERE number = 1 AND name = 'request'")
    raw.execute("UPDATE label SET value = ? WHERE number = 2 AND name = 'request'", (key,))
    raw.commit()
    done = call(*run, "--fail-on", "generation.shared_words > 2", pair=tiny_pair, code=1)
    refused = [line for line in done.stderr.splitlines() if "its label was altered" in line]
    assert [line.partition(":")[0] for line in refused] == ["Line 1", "Line 4"], "which ask the same"
    assert len(done.stdout.splitlines()) == 4
    assert "labels were altered" in said("verify", id, code=1)[0]["problem"]


@pytest.mark.slow
def test_who_recorded_it_stands_in_the_record(tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch):
    id = call("sessions", "new", "One").stdout.strip()
    run = ["generation", "--instruction", "a", "--max-new-tokens", 2]
    call(*run, "--record", id, "--author", f" {HOSTILE} ", pair=tiny_pair)
    call(*run, "--record", id, pair=tiny_pair)
    assert [sessions.record_of(Store(), id, number).author for number in (1, 2)] == [HOSTILE, ""]
    shown = call("sessions", "show", id, 1)
    assert shown.stderr.startswith("recorded by Loans \\x1b[2J") and "\n##" not in shown.stderr
    assert call("sessions", "show", id, 2).stderr == ""
    monkeypatch.setattr("model_utils.command_line.showing.at_terminal", lambda: True)
    assert "recorded by Loans \\x1b[2J" in call("sessions", "show", id, 1).stdout
    for flags in (["--author", "Ada"], ["--record", id, "--author", " "]):
        assert "who recorded it" in call(*run, *flags, code=2).stderr


@pytest.mark.slow
def test_the_floor_is_measured_where_it_is_missing(
    tiny_pair: Pair[Path], requests: Path, monkeypatch: pytest.MonkeyPatch
):
    measured = []
    monkeypatch.setattr(rerun, "measure_floor", lambda record: measured.append(record) or a_rerun(NEAR))
    id = call("sessions", "new", "One").stdout.strip()
    run = ["generation", "--requests", requests, "--record", id]
    call(*run, pair=tiny_pair)
    assert not measured, "only when it is asked for"
    call(*run, "--floor", pair=tiny_pair)
    call(*run, "--floor", pair=tiny_pair)
    assert len(measured) == 5
    assert all(one["floor"] for one in said("list")[0]["records"])
    assert "give --record too" in call("generation", "--instruction", "a", "--floor", code=2).stderr


@pytest.mark.slow
def test_no_word_of_a_prompt_is_told_beside_the_results(tiny_pair: Pair[Path], tmp_path: Path, database: str):
    """The standard error is what a log keeps: of records, what was recorded before, thresholds, and a database that fails."""
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps({"instruction": "Eleanor Vance", "max_new_tokens": 2}) + "\n")
    id = call("sessions", "new", "One").stdout.strip()
    run = ["attribution", "--requests", file, "--record", id, "--fail-on", "attribution.tuned_top_share > -1"]
    told = [call(*run, pair=tiny_pair, code=3).stderr for _ in range(2)]
    raw = sqlite3.connect(database.removeprefix("sqlite:///"))
    raw.execute("ALTER TABLE entry RENAME COLUMN parent TO other")
    raw.commit()
    told.append(call(*run[:-2], "--system", "Eleanor", pair=tiny_pair, code=1).stderr)
    assert "The entry could not be written" in told[-1]
    file.write_text('{"instructoin": "Eleanor Vance"}\n{"messages": "Eleanor Vance"}\nEleanor Vance\n')
    told.append(call(*run, pair=tiny_pair, code=1).stderr)
    assert "Field required" in told[-1] and "is not JSON" in told[-1]
    assert all("Eleanor" not in one and "Vance" not in one for one in told)


# Thresholds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["generation.shared_words >= 0"], 3),
        (["generation.shared_words < 0"], 0),
        (["generation.shared_words < 0", "generation.tuned_answer_tokens <= 3"], 3),
    ],
)
def test_a_threshold_that_is_met_exits_with_3(tiny_pair: Pair[Path], flags: list[str], code: int):
    given_ = [part for flag in flags for part in ("--fail-on", flag)]
    done = call("generation", "--instruction", "a", "--max-new-tokens", 3, *given_, pair=tiny_pair, code=code)
    assert ("is met" in done.stderr) == (code == 3)
    assert isinstance(codec.decode(done.stdout), ANALYSES["generation"].result), "the result is printed all the same"


@pytest.mark.slow
def test_a_met_threshold_outweighs_a_failed_line(tiny_pair: Pair[Path], tmp_path: Path):
    file = tmp_path / "requests.jsonl"
    file.write_text('nonsense\n{"instruction": "a", "max_new_tokens": 2}\n')
    run = ["generation", "--requests", file]
    assert "Line 1" in call(*run, "--fail-on", "generation.shared_words < 0", pair=tiny_pair, code=1).stderr
    done = call(*run, "--fail-on", "generation.shared_words >= 0", pair=tiny_pair, code=3)
    assert "Line 1" in done.stderr and "Line 2: generation.shared_words is" in done.stderr


@pytest.mark.parametrize(
    ("threshold", "part"),
    [
        ("shift.shifted", "is no threshold; write one such as"),
        ("shift.kl > 1; import os", "is no threshold"),
        ("shift.kl > nan", "is no threshold"),
        ("shift.kl >", "is no threshold"),
        ("shift.kl => 1", "is no threshold"),
        ("shift.kl > 1\x1b[2J", "\\x1b[2J"),
        ("shift." + "k" * 100_000 + " > 1", "is no threshold"),
        ("shift.surprise > 1", "no such measure; it has shift.shifted_share, "),
        ("generation.shared_words > 1", "no such measure; it has shift.shifted_share, "),
    ],
)
def test_what_is_no_threshold_is_refused_before_anything_is_computed(threshold: str, part: str):
    done = call("shift", "--instruction", "a", "--base", "/nowhere", "--fail-on", threshold, code=2)
    assert part in done.stderr and "\x1b" not in done.stderr and done.stdout == ""


OF_NUMBERS = {">": "__gt__", ">=": "__ge__", "<": "__lt__", "<=": "__le__", "==": "__eq__", "!=": "__ne__"}


@given(st.sampled_from(sorted(OF_NUMBERS)), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_threshold_means_what_it_says(sign: str, limit: float, value: float):
    (one,) = thresholds.parse("shift", [f"shift.kl{sign}{limit!r}"])
    assert one.limit == limit and one.meets(value) == getattr(value, OF_NUMBERS[sign])(limit)
    assert one.meets(limit) == (sign in (">=", "<=", "==")) and not one.meets(math.nan)


def test_a_number_that_is_not_known_meets_no_threshold_and_is_told():
    limits = thresholds.parse("shift", ["shift.beyond_noise_share != 0.5", "shift.shifted_share >= 0", "shift.kl < 0"])
    found = thresholds.met(limits, results.shift(floor=None))
    assert [(one.measure, meets) for one, _, meets in found] == [("beyond_noise_share", False), ("shifted_share", True)]
    assert math.isnan(found[0][1])


def test_every_example_of_a_threshold_can_be_read():
    context = click.Context(cli.main)
    for kind in ANALYSES:
        command = cli.main.get_command(context, kind)
        assert command is not None and {"record", "floor", "author", "fail_on"} <= {
            one.name for one in command.params
        }, kind
    assert thresholds.parse("shift", ["shift.shifted_share > 0.2"])[0].limit == 0.2
