"""The options of the analyses, in groups that several of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from model_utils.contracts.attribution import BASELINES, GRANULARITIES, OPERATORS, QUANTITIES
from model_utils.contracts.common import DTYPES, FORMATS, PLACEMENTS, SLOT
from model_utils.pair import SIDES

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
KEPT = [
    click.option(
        "--record",
        metavar="SESSION",
        help="keep every result in this session (see `sessions new`); with --requests, a line that it holds already is not computed again",
    ),
    click.option("--author", metavar="NAME", help="with --record: who recorded it; it stands in every record"),
    click.option(
        "--floor/--no-floor",
        default=False,
        show_default=True,
        help="with --record: measure the noise floor too, in a process of its own; it takes the time of loading and of the analysis again",
    ),
    click.option(
        "--fail-on",
        "fail_on",
        multiple=True,
        metavar="THRESHOLD",
        help='such as "shift.shifted_share > 0.2"; may be repeated; exits with 3 where one is met',
    ),
]


def options(*groups: list[Any]) -> Any:
    """Adds groups of options to a command, in the order in which they stand."""

    def add(command: Any) -> Any:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return add
