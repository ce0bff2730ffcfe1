"""The command line: the same result as the page, tables for people, JSON lines for programs, sentences for mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from model_utils import __main__ as cli
from model_utils import analyses, codec
from model_utils.command_line import reading, showing
from model_utils.command_line.partial import PartialFile
from model_utils.contracts.attribution import Alignment, OwnText
from model_utils.contracts.bias import BiasRequest
from model_utils.contracts.common import Message, ModelSpec, Own, Request, Sampling, ask
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.instructions import InstructionItem, InstructionsRequest
from model_utils.contracts.load_report import LoadReportRequest
from model_utils.contracts.probe import ProbeItem
from model_utils.contracts.published import PublishedRequest
from model_utils.contracts.survey import SurveyRequest
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair
from model_utils.probes import default_suite, packs, published_files
from model_utils.probes.packs import PACKS
from model_utils.probes.slots import SLOTS, parse
from tests import builders, results
from tests.models import specs_of, without_seconds

pytestmark = pytest.mark.slow


LISTED = Path(__file__).parent / "data" / "instructions.txt"

FIELDS: dict[str, dict[str, Any]] = {
    "generation": {"sampling": Sampling(temperature=2.0, seed=3), "samples": 2},
    "shift": {"split": ("plain", "Q: {instruction}\nA:")},
    "attention": {"layer": 1, "value_weighted": True, "own": Own(format="plain")},
    "atlas": {"attention_kind": "self"},
    "ablation": {"heads": ((1, 0), (0, 3)), "fill": "mean"},
    "agreement": {"methods": ("gradient x input", "occlusion"), "granularity": "word"},
    "randomisation": {"method": "gradient norm", "draws": 6},
    "attribution": {"targets": (0,), "quantity": "log-probability", "method": "occlusion", "operator": "mask"},
    "survey": {"sampling": Sampling(temperature=2.0, seed=3)},
    "density": {"formats": Pair("plain", "plain"), "same_tokens": True},
}
FLAGS = {
    "generation": ["--temperature", "2", "--seed", "3", "--samples", "2"],
    "shift": ["--split", "plain", "Q: {instruction}\nA:"],
    "attention": ["--layer", "1", "--value-weighted", "--own-format", "plain"],
    "atlas": ["--attention-kind", "self"],
    "ablation": ["--head", "1", "0", "--head", "0", "3", "--fill", "mean"],
    "agreement": ["--method", "gradient x input", "--method", "occlusion", "--granularity", "word"],
    "randomisation": ["--method", "gradient norm", "--draws", "6"],
    "attribution": [*"--target 0 --quantity log-probability --method occlusion --operator mask".split()],
    "survey": ["--temperature", "2", "--seed", "3"],
    "density": [*"--format-base plain --format-tuned plain --same-tokens".split()],
}


def call(*arguments: object, pair: Pair[Path] | None = None):
    models = ["--base", pair.base, "--tuned", pair.tuned] if pair else []
    return CliRunner().invoke(cli.main, [str(argument) for argument in [*arguments, *models]])


def request_of(kind: str, instruction: str, **fields: Any) -> Request:
    """One instruction for any analysis."""
    request = analyses.ANALYSES[kind].request
    asked = (
        {"instructions": (instruction,)} if "instructions" in request.model_fields else {"messages": ask(instruction)}
    )
    return request(**asked, max_new_tokens=4, **fields)


OWN = ["--own-format", "plain", "--own-target", "1", "--own-target", "0"]


@pytest.mark.parametrize("kind", ["attribution", "agreement", "randomisation"])
def test_the_other_side_explains_an_answer_of_its_own(kind: str, tiny_pair: Pair[Path]):
    done = call(kind, "--instruction", "Say 漢字 🎉", "--max-new-tokens", 4, *OWN, *FLAGS[kind], pair=tiny_pair)
    assert done.exit_code == 0, done.output
    asked = request_of(kind, "Say 漢字 🎉", own=OwnText(format="plain", targets=(1, 0)), **FIELDS[kind])
    found = codec.decode(done.stdout)
    assert without_seconds(found) == without_seconds(analyses.execute(kind, specs_of(tiny_pair), asked))
    assert found.texts.base.sequence.text.startswith("Say 漢字 🎉") and found.texts.base.targets.tolist() == [1, 0]


def test_a_target_of_its_own_answer_needs_one():
    done = call("attribution", "--instruction", "a", "--own-target", "0")
    assert done.exit_code == 2 and "the answer that --own-format asks for; give both" in done.stderr


@pytest.mark.parametrize("kind", FIELDS)
def test_prints_what_execute_returns(kind: str, tiny_pair: Pair[Path]):
    done = call(kind, "--instruction", "Say 漢字 🎉", "--max-new-tokens", 4, *FLAGS[kind], pair=tiny_pair)
    assert done.exit_code == 0, done.output
    expected = analyses.execute(kind, specs_of(tiny_pair), request_of(kind, "Say 漢字 🎉", **FIELDS[kind]))
    assert without_seconds(codec.decode(done.stdout)) == without_seconds(expected)


def test_every_analysis_is_a_verb():
    assert (
        set(cli.main.commands)
        == set(analyses.ANALYSES)
        == {
            *FIELDS,
            "faithfulness",
            "load_report",
            "reasoning",
            "robustness",
            "bias",
            "calibration",
            "published",
            "instructions",
            "findings",
        }
    )


PROBES: dict[str, tuple[list[object], dict[str, Any]]] = {
    "reasoning": (["--max-new-tokens", 6], {"max_new_tokens": 6}),
    "robustness": (
        ["--perturbation", "typos", "--formats-drawn", 1],
        {"perturbations": ("typos",), "formats_drawn": 1},
    ),
    "bias": (["--draws", 2], {"draws": 2, "slots": (SLOTS["name"].slot,)}),
    "calibration": ([], {}),
}


@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_prints_what_execute_returns(kind: str, tiny_pair: Pair[Path], tmp_path: Path):
    file = tmp_path / "items.jsonl"
    asked_of = "Which, {name}?" if kind == "bias" else "Which?"
    file.write_text(json.dumps({"instruction": asked_of, "options": ["a", "b"], "answer": "a"}) + "\nnonsense\n")
    few, fields = PROBES[kind]
    done = call(kind, "--items", file, "--margin", 0.1, *few, pair=tiny_pair)
    assert done.exit_code == 0 and "Line 2" in done.stderr, done.output
    item = ProbeItem(instruction=asked_of, options=("a", "b"), answer="a")
    asked = analyses.ANALYSES[kind].request(items=(item,), margin=0.1, **fields)
    assert done.stdout.strip() == codec.encode(analyses.execute(kind, specs_of(tiny_pair), asked))


BBQ_LINE = {
    "context": "Ann met Ben.", "question": "Who is tall?", "ans0": "Ann", "ans1": "Ben", "ans2": "Nobody knows", "label": 2, "category": "Age",
    "question_polarity": "neg", "context_condition": "ambig", "target_loc": 0, "additional_metadata": {},
    "answer_info": {"ans0": ["Ann", "old"], "ans1": ["Ben", "nonOld"], "ans2": ["Nobody knows", "unknown"]},
}  # fmt: skip


@pytest.mark.parametrize("count", [None, 2])
def test_a_published_file_is_scored_as_execute_scores_it(count: int | None, tiny_pair: Pair[Path], tmp_path: Path):
    file = tmp_path / "bbq.jsonl"
    file.write_text("".join(json.dumps({**BBQ_LINE, "context": f"{n} met."}) + "\n" for n in range(3)) + "nonsense\n")
    done = call(
        "published", "--file", file, "--margin", 0.1, *(() if count is None else ("--count", count)), pair=tiny_pair
    )
    assert done.exit_code == 0 and "Line 4" in done.stderr, done.output
    items = published_files.read(file.read_bytes(), file.name).items
    asked = PublishedRequest(benchmark="bbq", items=items[:count], margin=0.1)
    assert len(asked.items) == (count or 3)
    assert done.stdout.strip() == codec.encode(analyses.execute("published", specs_of(tiny_pair), asked))
    line = tmp_path / "requests.jsonl"
    line.write_text(asked.model_dump_json())
    assert call("published", "--requests", line, pair=tiny_pair).stdout == done.stdout


def test_a_file_that_is_no_published_one_is_one_sentence(tmp_path: Path):
    file = tmp_path / "some.csv"
    file.write_text("a,b\n1,2\n")
    done = call("published", "--file", file)
    assert done.exit_code == 2 and "no published file that is known here" in done.stderr and done.stdout == ""
    done = call("published")
    assert done.exit_code == 2 and "give one of --file, --requests, or a --partial that is there" in done.stderr


def test_instructions_print_what_execute_returns(tiny_pair: Pair[Path], tmp_path: Path):
    """Typed, of a list or of a pack, with the same answers to choose from for all."""
    choices = ["--option", "yes", "--option", "no", "--max-new-tokens", 4]
    file = tmp_path / "list.jsonl"
    file.write_text('{"instruction": "Surely 漢字?"}\n"Go. Wait."\nnonsense\n')
    mine = tmp_path / "mine.json"
    mine.write_text('{"title": "Mine", "says": "Two.", "instructions": ["Surely 漢字?", "Go. Wait."]}')
    items = tuple(InstructionItem(instruction=text, options=("yes", "no")) for text in ("Surely 漢字?", "Go. Wait."))
    asked = InstructionsRequest(items=items, max_new_tokens=4)
    expected = codec.encode(analyses.execute("instructions", specs_of(tiny_pair), asked))
    typed = ["--instruction", "Surely 漢字?", "--instruction", "Go. Wait."]
    for source in (typed, ["--list", file], ["--pack", mine]):
        done = call("instructions", *source, *choices, pair=tiny_pair)
        assert done.exit_code == 0 and done.stdout.strip() == expected, done.output
        assert ("Line 3" in done.stderr) is (source[0] == "--list")
    assert call("instructions").exit_code == call("instructions", *typed, "--list", file).exit_code == 2
    assert call("instructions", "--instruction", "a", "--option", "yes").exit_code == 1


MINE: dict[str, Any] = {
    "title": "Mine",
    "says": "A little of everything.",
    "items": {
        "reasoning": [{"instruction": "Is it 2 or 3?", "options": ["2", "3"], "answer": "2", "cue": "So it is", "steps": ["1 + 1 = 2."]}],
        "robustness": [{"instruction": "Which 漢字?", "options": ["a", "b"], "answer": "a", "paraphrases": ["Say which.", "Choose."]}],
        "bias": [{"instruction": "Hire {name}, {pet}?", "options": ["yes", "no"]}],
        "calibration": [{"instruction": "Which?", "options": ["a", "b"], "answer": "a"}, 3],
    },
    "slots": [{"name": "pet", "groups": {"cats": ["Tom"], "dogs": ["Rex"]}}],
}  # fmt: skip
"""A pack of a person's own for every part of findings; one of its items is none."""


def test_findings_of_a_pack_of_ones_own_are_what_execute_returns(tiny_pair: Pair[Path], tmp_path: Path):
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(MINE))
    flags = ["--margin", 0.1, "--seed", 3, "--format-base", "plain", "--same-tokens", "--format-tuned", "plain"]
    done = call("findings", "--pack", mine, *flags, pair=tiny_pair)
    assert done.exit_code == 0, done.output
    left_out, what = done.stderr.splitlines()
    assert left_out.startswith("Of calibration, item 2 was left out: it is no object;")
    assert what == "Mine: A little of everything."
    pack = packs.read(mine.read_bytes(), mine.name)
    asked = default_suite.request(pack, Pair("plain", "plain"), same_tokens=True, margin=0.1, seed=3)
    assert [*asked.parts()] == ["reasoning", "robustness", "bias", "calibration", "explanations"]
    expected = without_seconds(analyses.execute("findings", specs_of(tiny_pair), asked))
    found = codec.decode(done.stdout)
    assert without_seconds(found) == expected
    assert found.bias.slots == ("name", "pet") and found.bias.groups[1] == ("cats", "dogs")
    assert [name for name, _ in found.seconds] == [*asked.parts()]
    assert {one.finding.margin for one in found.claims if one.part in ("reasoning", "calibration") and one.finding} == {0.1}  # fmt: skip
    file = tmp_path / "requests.jsonl"
    file.write_text(asked.model_dump_json() + "\nnonsense\n")
    again = call("findings", "--requests", file, pair=tiny_pair)
    assert without_seconds(codec.decode(again.stdout)) == expected
    assert again.exit_code == 1 and again.stderr.startswith("Line 2: This is not JSON")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--pack", "nobody"], "Error: there is no pack and no file 'nobody'; there are general, healthcare, finance, law."),
        (["--pack", LISTED], f"Error: {LISTED.name} ends in .txt; give a file that ends in .json."),
        (["--margin", "-1"], "Error: margin: Input should be greater than"),
    ],
)  # fmt: skip
def test_findings_that_cannot_be_asked_are_one_sentence(flags: list[object], said: str):
    done = call("findings", *flags)
    assert done.exit_code == 2 and done.stdout == "" and "Traceback" not in done.stderr
    told = done.stderr.splitlines()[-1]
    assert told.startswith(said), told


def test_what_stands_in_slots_is_of_the_files_of_the_person(tiny_pair: Pair[Path], tmp_path: Path):
    """A file may bring a slot that this project does not have, and take the place of one that it has."""
    items = tmp_path / "items.jsonl"
    items.write_text('{"instruction": "Does {name} like {pet}?", "options": ["yes", "no"]}\n')
    pet, name = tmp_path / "pet.txt", tmp_path / "name.json"
    pet.write_text("{pet}\ncats: Tom, Felix\ndogs: Rex, Fido\n")
    name.write_text('{"name": "name", "groups": {"north": ["Åsa"], "south": ["漢字"]}}')
    flags = ["bias", "--items", items, "--draws", 2]
    done = call(*flags, "--slots", pet, "--slots", name, pair=tiny_pair)
    assert done.exit_code == 0, done.output
    found = codec.decode(done.stdout)
    assert (found.slots, found.groups) == (("name", "pet"), (("north", "south"), ("cats", "dogs")))
    assert {fill for fills in found.fills for fill in fills} == {"Åsa", "漢字", "Tom", "Felix", "Rex", "Fido"}
    item = ProbeItem(instruction="Does {name} like {pet}?", options=("yes", "no"))
    slots = tuple(parse(file.read_text()) for file in (name, pet))
    asked = BiasRequest(items=(item,), slots=slots, draws=2)
    assert done.stdout.strip() == codec.encode(analyses.execute("bias", specs_of(tiny_pair), asked))
    shipped = codec.decode(call(*flags, "--slots", pet, pair=tiny_pair).stdout)
    assert shipped.groups[0] == tuple(group.name for group in SLOTS["name"].slot.groups)
    unknown = call(*flags, pair=tiny_pair)
    assert unknown.exit_code == 2 and "nothing stands for {pet}; give --slots FILE that begins with it" in unknown.stderr  # fmt: skip


def test_packs_of_instructions_are_named():
    told = call("instructions", "--pack", "list").stdout
    assert [line.partition(":")[0] for line in told.splitlines()] == [
        name for name, one in PACKS.items() if one.instructions
    ]
    assert call("instructions", "--pack", "nobody").exit_code == 2


def test_a_terminal_gets_marks_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    result = results.instructions()
    (first, *_), *_ = (found for found in result.marks if found)
    result = replace(result, marks=((replace(first, rewrite="Say \x1b[31m\nso."),), *result.marks[1:]))
    showing.show("instructions", Pair(ModelSpec(id="a"), ModelSpec(id="b")), result)
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "instruction 1, leading premise: ‘Surely this loan is sound’"
    assert first.why in printed[2] and first.advice in printed[2] and printed[3] == "    instead: Say \\x1b[31m\\nso."
    assert printed.index(result.findings[0].said()) > 3


def test_a_stopped_probe_is_gone_on_from(tiny_pair: Pair[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("model_utils.probes.frame.CHUNK", 1)
    monkeypatch.setattr("model_utils.probes.frame.SNAPSHOT_SECONDS", -1)
    file, kept = tmp_path / "items.jsonl", tmp_path / "kept.json"
    file.write_text("".join(f'{{"instruction": "Which {n}?", "options": ["a", "b"]}}\n' for n in range(3)))
    flags = ["robustness", "--items", file, "--perturbation", "typos", "--partial", kept]
    whole = call(*flags, pair=tiny_pair)
    assert whole.exit_code == 0 and not kept.exists(), whole.output
    plain = PartialFile.__call__

    def interrupted(self: PartialFile, fraction: float, note: str, snapshot: Any = None) -> None:
        plain(self, fraction, note, snapshot)
        if snapshot is not None and snapshot.done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(PartialFile, "__call__", interrupted)
        stopped = call(*flags, pair=tiny_pair)
    assert stopped.exit_code != 0 and "kept 2 items" in stopped.stderr and kept.exists()
    other = call(*flags, "--margin", 0.2, pair=tiny_pair)
    assert other.exit_code == 1 and "of another request" in other.stderr and kept.exists()
    again = call("robustness", "--partial", kept)
    assert again.exit_code == 0 and "goes on after 2 items" in again.stderr and not kept.exists()
    assert again.stdout == whole.stdout


def test_a_probe_whose_record_fails_is_not_lost(tiny_pair: Pair[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from model_utils.command_line.keeping import Keeper

    monkeypatch.setenv("CANDOR_DATABASE_URL", f"sqlite:///{tmp_path / 'records.db'}")
    assert CliRunner().invoke(cli.main, ["sessions", "new", "Mine"]).exit_code == 0
    file, kept = tmp_path / "items.jsonl", tmp_path / "kept.json"
    file.write_text('{"instruction": "Which?", "options": ["a", "b"]}\n')
    kept_in = ["--partial", kept, "--record", "Mine", "--author", "Ada"]
    flags = ["robustness", "--items", file, "--perturbation", "typos", *kept_in]

    def refuse(*_: Any) -> int:
        raise Refused("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "keep", refuse)
        failed = call(*flags, pair=tiny_pair)
    assert failed.exit_code == 1 and "The disk is full." in failed.stderr and kept.exists()
    done = call(*flags, pair=tiny_pair)
    assert done.exit_code == 0 and "goes on after 1 items" in done.stderr and not kept.exists(), done.output


def test_suites_are_named():
    done = call("reasoning", "--suite", "list")
    assert done.exit_code == 0 and "demo/loans" in done.stdout
    assert call("robustness", "--suite", "nonsense").exit_code == 2


def test_a_system_message_and_the_manner_of_asking(tiny_pair: Pair[Path]):
    flags = ["--format-base", "plain", "--format-tuned", "plain", "--same-tokens", "--system", "Be brief."]
    done = call("generation", "--instruction", "Hello", "--max-new-tokens", 3, *flags, pair=tiny_pair)
    assert done.exit_code == 0, done.output
    messages = (Message(role="system", content="Be brief."), *ask("Hello"))
    request = GenerationRequest(messages=messages, formats=Pair("plain", "plain"), same_tokens=True, max_new_tokens=3)
    expected = analyses.execute("generation", specs_of(tiny_pair), request)
    assert without_seconds(codec.decode(done.stdout)) == without_seconds(expected)


def test_a_list_of_instructions_is_surveyed(tiny_pair: Pair[Path], tmp_path: Path):
    file = tmp_path / "list.jsonl"
    file.write_text('{"instruction": "Name three."}\nnonsense\n{"prompt": "Say 漢字."}\n')
    done = call("survey", "--list", file, "--max-new-tokens", 3, pair=tiny_pair)
    assert done.exit_code == 0 and "Line 2" in done.stderr
    request = SurveyRequest(instructions=("Name three.", "Say 漢字."), max_new_tokens=3)
    expected = analyses.execute("survey", specs_of(tiny_pair), request)
    assert done.stdout.strip() == codec.encode(expected)


def test_the_load_report_of_an_adapter_over_the_base(tiny_llama: Path, tmp_path: Path):
    adapter = builders.tiny_adapter(tmp_path, tiny_llama)
    done = call("load_report", "--base", tiny_llama, "--adapter", adapter)
    assert done.exit_code == 0, done.output
    specs = Pair(ModelSpec(id=str(tiny_llama)), ModelSpec(id=str(tiny_llama), adapter=str(adapter)))
    assert done.stdout.strip() == codec.encode(analyses.execute("load_report", specs, LoadReportRequest()))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ("demo/base", "demo/tuned")),
        ({"pair": "demo/flawed"}, ("demo/base", "demo/flawed")),
        ({"base": "a/b@v1", "adapter": "c/d"}, ("a/b@v1", "a/b@v1 + c/d")),
        ({"base": "/x@y", "tuned": "demo/tuned", "adapter": "/z"}, ("/x@y", "demo/tuned + /z")),
    ],
)
def test_which_two_models_are_meant(given: dict[str, str], names: tuple[str, str]):
    whole = {
        "base": None,
        "tuned": None,
        "adapter": None,
        "pair": None,
        "dtype": "bfloat16",
        "placement": "cpu",
        **given,
    }
    specs = reading.read_specs(**whole)
    assert specs.map(lambda spec: spec.name).sides == names
    assert {(spec.dtype, spec.placement) for _, spec in specs.items()} == {("bfloat16", "cpu")}


def test_a_file_of_requests_goes_on_after_a_bad_line(tiny_pair: Pair[Path], tmp_path: Path):
    lines = [
        '{"instruction": "one", "max_new_tokens": 2}',
        "not json",
        '{"instruction": ""}',
        "[]",
        '{"messages": [{"content": "two"}], "max_new_tokens": 2, "formats": {"base": "plain", "tuned": "plain"}}',
        '{"instruction": "a", "nonsense": 1}',
    ]
    file = tmp_path / "requests.jsonl"
    file.write_bytes("\n".join(lines).encode() + b'\n\n{"instruction": "\xff"}\n{"instruction": "a", "messages": []}\n')
    done = call("generation", "--requests", file, pair=tiny_pair)
    results = [codec.decode(line) for line in done.stdout.splitlines()]
    assert [result.answers.base.prompt.text[-3:] for result in results] == ["er:", "two"]
    assert done.exit_code == 1
    errors = done.stderr.splitlines()
    assert [error.split(":")[0] for error in errors] == ["Line 2", "Line 3", "Line 4", "Line 6", "Line 8", "Line 9"]
    assert (
        "is empty" in errors[1] and "nonsense" in errors[3] and "valid Unicode" in errors[4] and "not both" in errors[5]
    )


@pytest.mark.parametrize("kind", FIELDS)
def test_a_terminal_gets_a_table_without_control_characters(
    kind: str, tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    specs = specs_of(tiny_pair)
    showing.show(kind, specs, analyses.execute(kind, specs, request_of(kind, "Say \x1b[31m red")))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "tuned" in printed and len(printed.splitlines()) > 3


def test_a_terminal_gets_means_with_their_intervals_and_refusals_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    """A refusal may quote a model's own template. `log_ratio` was printed for the mean of |log-ratio|."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    result = results.survey(
        results.surveyed("A?", 0.2, 1.0),
        results.surveyed("B?", 0.4, 2.0, checks=()),
        results.refused("C?", "No \x1b[31m"),
    )
    showing.show("survey", Pair(ModelSpec(id="a"), ModelSpec(id="b")), result)
    printed = capsys.readouterr().out.splitlines()
    assert "|log-ratio|: 1.5000 [1.4000, 1.6000], 2 instructions" in printed
    assert "checks passed by tuned: 1.0000, 1 instructions" in printed, "one number has no interval"
    header, *rows = printed[-4:]
    assert header.split()[0] == "|log-ratio|" and [row.split()[0] for row in rows] == ["2.0000", "1.0000", "NaN"]
    assert rows[-1].endswith("No \\x1b[31m")


def test_a_terminal_gets_the_density_of_a_list_with_its_intervals_and_reasons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    result = results.density("Name two.", "Why \x1b[31m?", "Empty?", empty=("Empty?",))
    showing.show("density", Pair(ModelSpec(id="a"), ModelSpec(id="b")), result)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "instruction 2, base: Its answer is empty" in printed
    one = result.interval("tuned - base")
    assert f"tuned - base: {one.mean:.4f} [{one.low:.4f}, {one.high:.4f}], 2 instructions" in printed


def test_pieces_of_text_are_not_called_tokens(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    result = results.shift()
    specs = Pair(ModelSpec(id="a"), ModelSpec(id="b"))
    showing.show("shift", specs, result)
    assert "the tuned answer, 2 tokens that a person reads" in capsys.readouterr().out
    showing.show("shift", specs, replace(result, answers=result.answers.map(results.unlike)))
    assert "the tuned answer, 1 pieces of text that a person reads" in capsys.readouterr().out


def test_maps_of_texts_of_their_own_name_the_tokens_of_both(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    own = results.sequence(prompt=("<|begin|>", "Hm\x1b"))
    showing.show("attention", Pair(ModelSpec(id="a"), ModelSpec(id="b")), results.attention(own=own))
    _, base, tuned, *_ = capsys.readouterr().out.splitlines()
    assert base.startswith("base tokens: <|begin|> Hm\\x1b") and tuned.startswith("tuned tokens: <|begin|> What")


@pytest.mark.parametrize("alignment", ["characters", "none"])
def test_scores_of_two_texts_name_the_tokens_of_both(
    alignment: Alignment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    result = replace(results.attribution(alignment=alignment), notes=("What is left out\x1b.",))
    showing.show("attribution", Pair(ModelSpec(id="a"), ModelSpec(id="b")), result)
    printed = capsys.readouterr().out
    _, base, tuned, note, *_ = printed.splitlines()
    assert "\x1b" not in printed and note == "What is left out\\x1b."
    for side, line in (("base", base), ("tuned", tuned)):
        assert line == f"{side} tokens: {' '.join(map(showing.cell, result.texts[side].sequence.pieces))}"


def test_a_refused_line_tells_a_terminal_nothing_to_do(tmp_path: Path):
    """Names in a file of requests are said as they are; what a terminal would obey is shown instead."""
    file = tmp_path / "requests.jsonl"
    file.write_text('{"instruction": "a", "\\u001b[31m": 1}\n')
    told = call("generation", "--requests", file).stderr
    assert "\x1b" not in told and "\\x1b[31m: Extra inputs" in told
    listed = tmp_path / "\x1b[31m.doc"
    listed.write_text("a")
    told = call("survey", "--list", listed).stderr
    assert "\x1b" not in told and "\\x1b[31m.doc ends in" in told


@pytest.mark.parametrize("kind", [*PROBES, "published"])
def test_a_terminal_gets_findings_as_sentences_then_every_item(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    found = getattr(results, kind)()
    result = replace(found, refused=((4, "No \x1b[31m"),))
    showing.show(kind, Pair(ModelSpec(id="a"), ModelSpec(id="b")), result)
    printed = capsys.readouterr().out.splitlines()
    assert printed[1 : 1 + len(result.findings)] == [one.said() for one in result.findings]
    assert "item 5 could not be asked: No \\x1b[31m" in printed
    assert len([line for line in printed if line.split()[:1] and line.split()[0].isdigit()]) == len(result.table())


def test_a_terminal_gets_the_load_report_in_words(
    tiny_pair: Pair[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    specs = specs_of(tiny_pair)
    result = analyses.execute("load_report", specs, LoadReportRequest())
    showing.show("load_report", specs, result)
    printed = capsys.readouterr().out
    for said in ("attention: works", result.tokenizers_said, result.identities.tuned.weights, "outside the layers"):
        assert said in printed


@pytest.mark.parametrize(
    ("arguments", "part", "code"),
    [
        (["generation", "--instruction", ""], "is empty", 1),
        (["generation"], "either --instruction or --requests", 2),
        (["density"], "give one of --list, --instruction, --requests", 2),
        (["survey"], "give one of --list, --instruction, --requests", 2),
        (["survey", "--list", __file__], "ends in .py; give a file that ends in", 2),
        (["survey", "--list", LISTED, "--instruction", "a"], "give one of --list, --instruction, --requests", 2),
        (["survey", "--list", LISTED, "--requests", LISTED], "give one of --list, --instruction, --requests", 2),
        (["shift", "--instruction", "a", "--format-base", "Q:"], "does not hold {instruction}", 1),
        (["generation", "--instruction", "a", "--samples", "2"], "Greedy answers to one question are all alike", 1),
        (["generation", "--instruction", "a", "--temperature", "-1"], "greater than or equal to 0.01", 1),
        (["generation", "--instruction", "a", "--pair", "demo/flawed", "--base", "demo/base"], "either --pair or", 2),
        (["generation", "--instruction", "a", "--tuned", "demo/none"], "no embedded model 'demo/none'", 1),
        (["attention", "--instruction", "a", "--layer", "-1"], "greater than or equal to 0", 1),
        (["attribution", "--instruction", "a", "--quantity", "feeling"], "log-probability", 2),
    ],
)
def test_mistakes_get_one_sentence(arguments: list[str], part: str, code: int):
    done = call(*arguments)
    assert done.exit_code == code and part in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


@pytest.mark.parametrize("other", ["instructions", "messages"])
def test_two_ways_to_give_an_instruction_are_one_too_many(other: str):
    """The list in such a line was dropped without a word."""
    line = json.dumps({"instruction": "a", other: ["b", "c"]})
    with pytest.raises(Refused, match=f"Give either `instruction` or `{other}`, not both"):
        reading.read_request("survey", line, {})


@pytest.mark.parametrize("own", [[], OWN])
def test_an_explanation_is_measured_from_the_file_that_attribution_wrote(
    tiny_pair: Pair[Path], tmp_path: Path, own: list[str]
):
    shared = [
        "--instruction",
        "Say 漢字 🎉",
        "--max-new-tokens",
        3,
        "--granularity",
        "word",
        "--quantity",
        "log-probability",
        *own,
    ]
    written = call("attribution", *shared, "--method", "occlusion", pair=tiny_pair)
    (tmp_path / "scores.jsonl").write_text(written.stdout)
    done = call("faithfulness", *shared, "--scores", tmp_path / "scores.jsonl", pair=tiny_pair)
    assert done.exit_code == 0, done.output
    result = codec.decode(done.stdout)
    assert len(result.judged.tuned.random_comprehensiveness) == 100
    explained = codec.decode(written.stdout).texts
    for side in SIDES:
        assert result.texts[side].sequence.ids.tolist() == explained[side].sequence.ids.tolist()
    other = call("faithfulness", "--instruction", "a", "--scores", LISTED, pair=tiny_pair)
    assert other.exit_code == 2 and "holds no result of `attribution`" in other.stderr
