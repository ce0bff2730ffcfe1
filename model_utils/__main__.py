"""The command line: `python -m model_utils NAME` runs any analysis and prints the result that the page shows."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
from pydantic import ValidationError

from model_utils import analyses, codec, hub, items
from model_utils.contracts.ablation import FILLS, Ablation
from model_utils.contracts.agreement import Agreement
from model_utils.contracts.atlas import Atlas
from model_utils.contracts.attention import REDUCTIONS, Attention
from model_utils.contracts.attribution import BASELINES, GRANULARITIES, METHODS, OPERATORS, QUANTITIES, Attribution
from model_utils.contracts.common import (
    ATTENTION_KINDS,
    DTYPES,
    FORMATS,
    PLACEMENTS,
    SLOT,
    Encoded,
    ModelSpec,
    Request,
    Specs,
    explain,
)
from model_utils.contracts.density import Density
from model_utils.contracts.generation import Answer, Generation
from model_utils.contracts.load_report import LoadReport
from model_utils.contracts.randomisation import Randomisation
from model_utils.contracts.shift import MARGINAL, Shift
from model_utils.contracts.survey import Interval, Survey
from model_utils.errors import Refused
from model_utils.pair import SIDES, Pair

MODELS = [
    click.option(
        "--base",
        metavar="ID",
        help="embedded model, local folder, or owner/name[@revision] on the Hub [default: demo/base]",
    ),
    click.option("--tuned", metavar="ID", help="the same [default: demo/tuned, or the base where there is an adapter]"),
    click.option(
        "--adapter", metavar="ID", help="a PEFT adapter over the tuned model: folder, demo/polite, or owner/name"
    ),
    click.option("--pair", metavar="ID", help="an embedded tuned model against demo/base, such as demo/flawed"),
    click.option("--dtype", type=click.Choice(DTYPES), default="auto", show_default=True, help="number format of both"),
    click.option(
        "--placement", type=click.Choice(PLACEMENTS), default="auto", show_default=True, help="where both compute"
    ),
]
WHAT = [
    click.option("--instruction", metavar="TEXT", help="what the models should do"),
    click.option(
        "--requests",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="a file with one request in JSON on each line",
    ),
    click.option("--system", metavar="TEXT", help="a system message before the instruction"),
    click.option("--max-new-tokens", type=int, help="longest answer [default: 128]"),
    click.option(
        "--temperature", type=float, help="draw tokens at random at this temperature, instead of the best one"
    ),
    click.option("--top-k", type=int, help="draw only from the k most probable tokens"),
    click.option("--top-p", type=float, help="draw only from the most probable tokens that hold this much together"),
    click.option("--seed", type=int, help="draw with this seed [default: 0]"),
]
FORMAT = f"{', '.join(FORMATS)}, or a template with {SLOT}"
SIDES_ASKED = [
    click.option("--format-base", metavar="FORMAT", default="few-shot", show_default=True, help=FORMAT),
    click.option("--format-tuned", metavar="FORMAT", default="chat", show_default=True, help="the same"),
    click.option("--same-tokens", is_flag=True, default=None, help="base reads exactly the tokens that tuned reads"),
]
LISTED = [
    click.option(
        "--list",
        "listed",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="instructions: txt, csv or jsonl",
    )
]
SHARED = [
    click.option("--format", metavar="FORMAT", help=f"how both are asked: {FORMAT} [default: chat]"),
    click.option(
        "--answer-from", type=click.Choice(SIDES), help="whose answer is forced through both models [default: tuned]"
    ),
]

OWN_FORMAT = click.option(
    "--own-format", metavar="FORMAT", help="the other side reads its own prompt, in this format, and its own answer"
)
EXPLAINED = [
    OWN_FORMAT,
    click.option(
        "--own-target", "own_targets", type=int, multiple=True, help="with --own-format: a position in that answer"
    ),
    click.option("--quantity", type=click.Choice(QUANTITIES), help="what is explained [default: logit]"),
    click.option(
        "--target",
        "targets",
        type=int,
        multiple=True,
        help="a position in the answer, from 0; may be repeated [default: the whole answer]",
    ),
    click.option("--against", metavar="TOKEN", help="explain why the target stands there and not this token"),
    click.option("--granularity", type=click.Choice(GRANULARITIES), help="the parts of the text [default: token]"),
    click.option(
        "--span", "spans", multiple=True, metavar="TEXT", help="a passage of the instruction; with --granularity span"
    ),
    click.option(
        "--answer-too/--prompt-only", default=None, help="whether earlier tokens of the answer are parts [default: yes]"
    ),
    click.option(
        "--operator", type=click.Choice(OPERATORS), help="what taking a part away means [default: mean embedding]"
    ),
]
SCORING = [
    click.option("--steps", type=int, help="integrated gradients: points on the path [default: 20]"),
    click.option("--baseline", type=click.Choice(BASELINES), help="integrated gradients: where the path begins"),
    click.option(
        "--samples", type=int, help="Shapley values: random orders (0: exact); surrogate: random masks (0: 64)"
    ),
]


def options(*groups: list[Any]) -> Any:
    """Adds groups of options to a command, in the order in which they stand."""

    def add(command: Any) -> Any:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return add


@click.group()
def main() -> None:
    """Candor: what did instruction tuning change? A table on a terminal, JSON lines otherwise."""


@main.command()
@options(MODELS, WHAT, SIDES_ASKED)
@click.option("--samples", type=int, help="answers a side, when drawn at random [default: 1]")
def generation(format_base: str, format_tuned: str, **given: Any) -> None:
    """Both models answer."""
    run("generation", formats=Pair(format_base, format_tuned), **given)


@main.command()
@options(MODELS, WHAT, SIDES_ASKED)
@click.option(
    "--split",
    nargs=2,
    metavar="FORMAT FORMAT",
    help="part the difference between these two formats [default: both sides']",
)
def shift(format_base: str, format_tuned: str, **given: Any) -> None:
    """How far tuning moved each token of both answers."""
    run("shift", formats=Pair(format_base, format_tuned), **given)


@main.command()
@options(MODELS, WHAT, SIDES_ASKED, LISTED)
def survey(format_base: str, format_tuned: str, **given: Any) -> None:
    """How far tuning moved the answers to many instructions."""
    run("survey", formats=Pair(format_base, format_tuned), **given)


@main.command()
@options(MODELS, WHAT, SHARED)
@click.option("--attention-kind", type=click.Choice(ATTENTION_KINDS), help="whose look [default: self]")
def atlas(**given: Any) -> None:
    """All heads: what each looks at, and which tuning changed most."""
    run("atlas", **given)


@main.command()
@options(MODELS, WHAT, SHARED)
@click.option("--layer", type=int, help="which layer, from 0 [default: 0]")
@click.option("--attention-kind", type=click.Choice(ATTENTION_KINDS), help="whose look [default: self]")
@click.option(
    "--reduction",
    type=click.Choice(REDUCTIONS),
    help="the heads of one layer, or one map of all layers [default: heads]",
)
@click.option("--value-weighted", is_flag=True, default=None, help="weigh each look by what it passes on")
@OWN_FORMAT
def attention(**given: Any) -> None:
    """What every head of one layer looks at, or all layers together."""
    run("attention", **given)


@main.command()
@options(MODELS, WHAT, SHARED)
@click.option("--attention-kind", type=click.Choice(ATTENTION_KINDS), help="whose heads [default: self]")
@click.option(
    "--head",
    "heads",
    type=int,
    nargs=2,
    multiple=True,
    metavar="LAYER HEAD",
    help="both from 0; may be repeated [default: every head]",
)
@click.option(
    "--fill",
    type=click.Choice(FILLS),
    help="what stands for its output: nothing, or its mean over the text [default: zero]",
)
def ablation(**given: Any) -> None:
    """What an answer loses when one attention head is switched off."""
    run("ablation", **given)


@main.command()
@options(MODELS, WHAT, SHARED, EXPLAINED, SCORING)
@click.option("--method", type=click.Choice(METHODS), help="how [default: gradient x input]")
@click.option("--together", is_flag=True, default=None, help="one row for the sum over the targets")
def attribution(**given: Any) -> None:
    """Which parts of the text an answer leaned on."""
    run("attribution", **given)


@main.command()
@options(MODELS, WHAT, SHARED, EXPLAINED)
@click.option(
    "--scores",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="what `attribution` printed, asked with the same targets and parts",
)
@click.option("--orders", type=int, help="random orders to measure against [default: 100]")
def faithfulness(scores: Path | None, **given: Any) -> None:
    """Whether an explanation points at what the models rely on."""
    if scores is not None:
        given["scores"] = _scores(scores)
    run("faithfulness", **given)


@main.command()
@options(MODELS, WHAT, SIDES_ASKED, LISTED)
def density(format_base: str, format_tuned: str, **given: Any) -> None:
    """How densely both models use the instruction's words in their answers."""
    run("density", formats=Pair(format_base, format_tuned), **given)


def _scores(path: Path) -> Pair[tuple[float, ...]]:
    """One number a part and side; a part without a score counts 0."""
    try:
        found = codec.decode(path.read_text(encoding="utf-8"))
    except (Refused, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} holds no result of `attribution`: {printable(error)}") from error
    if not isinstance(found, Attribution):
        raise click.UsageError(f"{path} holds a {type(found).__name__}, not a result of `attribution`.")
    return found.totals().map(lambda totals: tuple(0.0 if math.isnan(score) else score for score in totals.tolist()))


@main.command()
@options(MODELS, WHAT, SHARED, EXPLAINED, SCORING)
@click.option(
    "--method",
    "methods",
    type=click.Choice(METHODS),
    multiple=True,
    help="given twice or more [default: gradient x input, integrated gradients, occlusion]",
)
def agreement(**given: Any) -> None:
    """How far attribution methods agree on which parts of the text counted."""
    run("agreement", **given)


@main.command()
@options(MODELS, WHAT, SHARED, EXPLAINED, SCORING)
@click.option("--method", type=click.Choice(METHODS), help="how [default: gradient x input]")
@click.option("--draws", type=int, help="times that all layers are shuffled [default: 5]")
def randomisation(**given: Any) -> None:
    """Whether an explanation changes when the layers' weights are shuffled."""
    run("randomisation", **given)


@main.command(name="load_report")
@options(MODELS)
@click.option("--hash-again", is_flag=True, help="read every weight file again although its hash is known")
def load_report(hash_again: bool, **models: Any) -> None:
    """What was opened, how the two sides differ, and which analyses will work."""
    _run_lines("load_report", models, [(1, "{}")], {"hash_again": hash_again}, numbered=False)


def run(kind: str, *, instruction: str | None, requests: Path | None, listed: Path | None = None, **given: Any) -> None:
    """One request, or every line of a file; exits with 1 when a line failed and with 2 when nothing could be tried."""
    if (instruction is not None) + (requests is not None) + (listed is not None) != 1:
        raise click.UsageError(
            "give one of --list, --instruction, --requests."
            if "instructions" in analyses.ANALYSES[kind].request.model_fields
            else "give either --instruction or --requests."
        )
    if listed is not None:
        given["instructions"] = _listed(listed)
    models = {name: given.pop(name) for name in ("base", "tuned", "adapter", "pair", "dtype", "placement")}
    drawn = {name: given.pop(name) for name in ("temperature", "top_k", "top_p", "seed")}
    given["sampling"] = {name: value for name, value in drawn.items() if value is not None} or None
    given["own"] = _own(given.pop("own_format", None), given.pop("own_targets", ()))
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    asked = {} if instruction is None else {"instruction": instruction}
    lines = [(1, json.dumps(asked))] if requests is None else list(_lines(requests))
    _run_lines(kind, models, lines, fields, numbered=requests is not None)


def _own(format: str | None, targets: tuple[int, ...]) -> dict[str, Any] | None:
    """What the other side reads and explains by itself."""
    if format is None:
        if targets:
            raise click.UsageError("--own-target is a position in the answer that --own-format asks for; give both.")
        return None
    return {"format": format, **({"targets": targets} if targets else {})}


def _run_lines(
    kind: str, models: dict[str, Any], lines: list[tuple[int, str]], fields: dict[str, Any], numbered: bool
) -> None:
    if models["pair"] and (models["base"] or models["tuned"]):
        raise click.UsageError("give either --pair or --base and --tuned.")
    failed = 0
    for number, line in lines:
        try:
            specs = read_specs(**models)
            show(kind, specs, analyses.execute(kind, specs, read_request(kind, line, fields)))
        except (Refused, ValidationError) as error:
            failed += 1
            sentence = printable(explain(error) if isinstance(error, ValidationError) else error)
            click.echo(f"Line {number}: {sentence}" if numbered else sentence, err=True)
    if failed:
        sys.exit(1)


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


def _listed(path: Path) -> tuple[str, ...]:
    """The instructions of a file; what was left out is told."""
    try:
        found = items.read(path.read_bytes(), path.name)
    except Refused as refused:
        raise click.UsageError(printable(refused)) from refused
    for problem in found.problems:
        click.echo(printable(problem), err=True)
    return found.instructions


def _lines(path: Path) -> Iterator[tuple[int, str]]:
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


def show(kind: str, specs: Specs, result: Any) -> None:
    """A table for a person at a terminal, one line of canonical JSON for a program."""
    if not sys.stdout.isatty():
        click.echo(codec.encode(result))
        return
    click.echo(f"{kind}: base {specs.base.name}, tuned {specs.tuned.name}")
    if isinstance(result, LoadReport):
        show_report(result)
        return
    if isinstance(result, Generation):
        for answers in result.samples:
            for side, answer in answers.items():
                click.echo(f"\n{side} {specs[side].name}  {_how(answer)}\n{printable(answer.text)}")
        return
    if isinstance(result, Shift):
        show_shift(result)
        return
    if isinstance(result, Survey):
        show_survey(result)
        return
    if isinstance(result, Density):
        show_density(result)
        return
    if isinstance(result, Attention):
        show_attention(result)
        return
    if isinstance(result, Ablation):
        show_ablation(result)
        return
    if isinstance(result, Atlas):
        show_text("tokens", result.sequence)
    else:
        show_texts(result.texts.map(lambda text: text.sequence), alike=result.alignment == "tokens")
    for sentence in result.said() if isinstance(result, Agreement | Randomisation) else getattr(result, "notes", ()):
        click.echo(printable(sentence))
    click.echo(_text(result.table()))


def show_texts(read: Pair[Encoded], alike: bool) -> None:
    """The tokens that both read, or those of each side."""
    if alike:
        show_text("tokens", read.tuned)
        return
    for side, sequence in read.items():
        show_text(f"{side} tokens", sequence)


def show_text(name: str, sequence: Encoded) -> None:
    """A text, token by token."""
    click.echo(f"{name}: " + " ".join(cell(piece) for piece in sequence.pieces))


def show_ablation(result: Ablation) -> None:
    """The answer, how likely it is with every head on, and how that changes with one off."""
    show_text("answer", result.sequence.part(result.sequence.positions("answer")))
    for side, log_probs in result.log_probs.items():
        click.echo(f"{side}: log-probability {log_probs.sum():.4f} nats with every head on")
    for note in result.notes:
        click.echo(printable(note))
    click.echo(f"{result.attention_kind} attention; change in nats with a head off (fill: {result.fill})")
    click.echo(_text(result.table()))


def show_attention(result: Attention) -> None:
    """The text that both read, or each side's own, and what is looked at most."""
    show_texts(result.sequences, alike=result.shared)
    click.echo(_text(result.table()))


def show_report(result: LoadReport) -> None:
    """What works, the two sides, and the change by layer, in words and tables."""
    for ability in result.abilities:
        click.echo(
            f"{ability.analysis}: {'works' if ability.works else 'does not work'}{ability.reason and '; '}{ability.reason}"
        )
    click.echo(result.tokenizers_said)
    for row in result.sides().itertuples(index=False):
        click.echo(f"\n{row.property}\n  base   {printable(row.base)}\n  tuned  {printable(row.tuned)}")
    click.echo(f"\nchange of the weights by layer (-1: outside the layers)\n{_text(result.by_layer())}")


def show_shift(result: Shift) -> None:
    """Each answer's shares, floors and split in words, and its tokens as a table."""
    for side, forced in result.answers.items():
        units = "tokens" if forced.alike else "pieces of text"
        click.echo(f"\nthe {side} answer, {int(forced.counted.sum())} {units} that a person reads")
        if forced.alike:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in forced.shares().items())
            click.echo(f"{shares} (by rank in {forced.reader}: 1, 2 to {MARGINAL}, beyond)")
        if forced.wording is not None and forced.numerical is not None:
            beyond = int((forced.beyond & forced.counted).sum())
            click.echo(
                f"{beyond} changed more than a reworded prompt would change them ({forced.wording.nats:.4f} nats; numerical noise {forced.numerical.nats:.2g} nats)"
            )
        if forced.split is not None:
            parts = [
                getattr(forced.split, name)[forced.counted].sum()
                for name in ("total", "weights", "format", "interaction")
            ]
            click.echo("log-ratio {:+.3f} nats = weights {:+.3f} + format {:+.3f} (interaction {:+.3f})".format(*parts))
        columns = [
            "position",
            "token",
            "class",
            "log_prob_base",
            "log_prob_tuned",
            "log_ratio",
            "rank",
            "kl",
            "js",
            "tv",
        ]
        click.echo(_text(forced.table()[columns]))


MEANS_OF = {"log_ratio": "|log-ratio|"}
"""What a mean is of where its name in a table says less."""


def show_survey(result: Survey) -> None:
    """Means with their intervals, and a row for each instruction, most different first."""
    show_intervals(result.intervals)
    table = result.table()[["log_ratio", "kl", "shifted", "agreement", "instruction", "refusal"]]
    table["instruction"] = [cell(one)[:60] for one in table["instruction"]]
    table["refusal"] = table["refusal"].map(cell)
    click.echo(_text(table.rename(columns=MEANS_OF)))


def show_intervals(intervals: Iterable[Interval]) -> None:
    """Mean and 95 % interval of each measure that has a number."""
    for one in intervals:
        ends = f" [{one.low:.4f}, {one.high:.4f}]" if math.isfinite(one.low) else ""
        if one.count:
            click.echo(f"{MEANS_OF.get(one.measure, one.measure)}: {one.mean:.4f}{ends}, {one.count} instructions")


def show_density(result: Density) -> None:
    """Of one instruction its words, of a list the means with their intervals and a row for each instruction."""
    show_intervals(result.intervals)
    for number, item in enumerate(result.items):
        for side, use in item.sides.items():
            if use.reason:
                click.echo(f"instruction {number}, {side}: {printable(use.reason)}")
    if len(result.items) == 1:
        words = pd.DataFrame({"word": [cell(word) for word in item.words]})
        click.echo(_text(words.assign(base=item.sides.base.words, tuned=item.sides.tuned.words)))
        return
    table = result.table()[["item", "base", "tuned", "difference", "answer_tokens_base", "answer_tokens_tuned", "instruction"]]  # fmt: skip
    table["instruction"] = [cell(one)[:60] for one in table["instruction"]]
    click.echo(_text(table))


def _text(table: pd.DataFrame) -> str:
    cells = {str(name): cell for name in table if "token" in str(name)}
    return table.to_string(index=False, float_format=lambda value: f"{value:.4f}", formatters=cells)


def _how(answer: Answer) -> str:
    tokens = len(answer.answer)
    return f"({tokens} tokens, {tokens / answer.seconds:.0f} tokens/s, ended by: {answer.stop})"


def printable(text: object) -> str:
    """`text` without anything that a terminal would obey: control characters are shown, not sent."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in str(text)
    )


def cell(piece: object) -> str:
    """A token in a table: its line breaks are shown too."""
    return printable(piece).replace("\n", "\\n")


if __name__ == "__main__":
    main()
