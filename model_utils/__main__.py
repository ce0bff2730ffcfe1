"""The command line: `python -m model_utils NAME` runs any analysis and prints the result that the page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from model_utils.command_line.options import (
    EXPLAINED,
    KEPT,
    LISTED,
    MODELS,
    OWN_FORMAT,
    SCORING,
    SHARED,
    SIDES_ASKED,
    WHAT,
    options,
)
from model_utils.command_line.probing import (
    DESIGNED,
    ITEMS,
    PUBLISHED,
    plain_texts,
    run_findings,
    run_instructions,
    run_probe,
    run_published,
)
from model_utils.command_line.reading import scores_of
from model_utils.command_line.running import run, run_one
from model_utils.contracts.ablation import FILLS
from model_utils.contracts.attention import REDUCTIONS
from model_utils.contracts.attribution import METHODS
from model_utils.contracts.common import ATTENTION_KINDS
from model_utils.contracts.instructions import MAX_ANSWER
from model_utils.contracts.probe import MARGIN
from model_utils.contracts.reasoning import TESTS
from model_utils.contracts.robustness import GAP_MARGIN, PERTURBATIONS
from model_utils.pair import Pair


class Verbs(click.Group):
    """Every analysis, and the sessions, which are imported when they are asked for: SQLAlchemy takes 0.5 s."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), "sessions"])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name != "sessions":
            return super().get_command(context, name)
        from model_utils.command_line.sessions import main as sessions

        return sessions


@click.group(cls=Verbs)
def main() -> None:
    """Candor: what did instruction tuning change? A table on a terminal, JSON lines otherwise.

    Exits with 0; 1 where something failed, a sentence on the standard error says what; 2 where nothing could be tried; 3 where a threshold of
    --fail-on is met, whatever else failed.
    """


@main.command()
@options(MODELS, WHAT, SIDES_ASKED, KEPT)
@click.option("--samples", type=int, help="answers a side, when drawn at random [default: 1]")
def generation(format_base: str, format_tuned: str, **given: Any) -> None:
    """Both models answer."""
    run("generation", formats=Pair(format_base, format_tuned), **given)


@main.command()
@options(MODELS, WHAT, SIDES_ASKED, KEPT)
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
@options(MODELS, WHAT, SIDES_ASKED, LISTED, KEPT)
def survey(format_base: str, format_tuned: str, **given: Any) -> None:
    """How far tuning moved the answers to many instructions."""
    run("survey", formats=Pair(format_base, format_tuned), **given)


@main.command()
@options(MODELS, WHAT, SHARED, KEPT)
@click.option("--attention-kind", type=click.Choice(ATTENTION_KINDS), help="whose look [default: self]")
def atlas(**given: Any) -> None:
    """All heads: what each looks at, and which tuning changed most."""
    run("atlas", **given)


@main.command()
@options(MODELS, WHAT, SHARED, KEPT)
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
@options(MODELS, WHAT, SHARED, KEPT)
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
@options(MODELS, WHAT, SHARED, EXPLAINED, SCORING, KEPT)
@click.option("--method", type=click.Choice(METHODS), help="how [default: gradient x input]")
@click.option("--together", is_flag=True, default=None, help="one row for the sum over the targets")
def attribution(**given: Any) -> None:
    """Which parts of the text an answer leaned on."""
    run("attribution", **given)


@main.command()
@options(MODELS, WHAT, SHARED, EXPLAINED, KEPT)
@click.option(
    "--scores",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="what `attribution` printed, asked with the same targets and parts",
)
@click.option("--orders", type=int, help="random orders to measure against [default: 100]")
def faithfulness(scores: Path | None, **given: Any) -> None:
    """Whether an explanation points at what the models rely on."""
    if scores is not None:
        given["scores"] = scores_of(scores)
    run("faithfulness", **given)


@main.command()
@options(MODELS, WHAT, SIDES_ASKED, LISTED, KEPT)
def density(format_base: str, format_tuned: str, **given: Any) -> None:
    """How densely both models use the instruction's words in their answers."""
    run("density", formats=Pair(format_base, format_tuned), **given)


@main.command()
@options(MODELS, WHAT, SHARED, EXPLAINED, SCORING, KEPT)
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
@options(MODELS, WHAT, SHARED, EXPLAINED, SCORING, KEPT)
@click.option("--method", type=click.Choice(METHODS), help="how [default: gradient x input]")
@click.option("--draws", type=int, help="times that all layers are shuffled [default: 5]")
def randomisation(**given: Any) -> None:
    """Whether an explanation changes when the layers' weights are shuffled."""
    run("randomisation", **given)


@main.command()
@options(MODELS, ITEMS, KEPT)
@click.option("--test", "tests", type=click.Choice(TESTS), multiple=True, help="may be repeated [default: all]")
@click.option("--max-new-tokens", type=int, help="longest answer [default: 128]")
def reasoning(**given: Any) -> None:
    """Whether written reasoning carries the answer, over many items."""
    run_probe("reasoning", **given)


@main.command()
@options(MODELS, ITEMS, KEPT)
@click.option(
    "--perturbation",
    "perturbations",
    type=click.Choice(PERTURBATIONS),
    multiple=True,
    help="may be repeated [default: all]",
)
@click.option("--formats-drawn", type=int, help="layouts that every item is set in [default: 6]")
@click.option("--wordings-drawn", type=int, help="of an item's own wordings of each kind [default: 3]")
@click.option("--gap-margin", type=float, help=f"an overfitting gap inside this is ordinary [default: {GAP_MARGIN}]")
@click.option("--sensitivity-items", type=int, help="items whose prompt sensitivity is measured [default: 10]")
@click.option("--attribution-items", type=int, help="items whose word scores are compared [default: 5]")
@click.option(
    "--plain", type=click.Choice(("demo", "english")), help="texts of this project that show what was forgotten"
)
def robustness(plain: str | None, **given: Any) -> None:
    """Whether a skill or a phrasing was learned: many items in many wordings."""
    run_probe("robustness", plain_texts=plain_texts(plain), **given)


@main.command()
@options(MODELS, ITEMS, KEPT)
@click.option(
    "--slots",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="a file of what stands for each group in one slot of the items: {name} on the first line, then lines such as `women: Anna, Maria`; may be repeated [default: the sets of this project]",
)
@click.option("--draws", type=int, help="how often each combination of groups is filled [default: 4]")
def bias(**given: Any) -> None:
    """Whether something that must not matter does: items with their slots filled in every way."""
    run_probe("bias", **given)


@main.command()
@options(MODELS, ITEMS, KEPT)
def calibration(**given: Any) -> None:
    """Whether confidence can be trusted: how often what a model is sure of is right."""
    run_probe("calibration", **given)


@main.command()
@options(MODELS, PUBLISHED, KEPT)
def published(**given: Any) -> None:
    """What published bias benchmarks say: the items of one of their files, scored as its authors say."""
    run_published(**given)


@main.command()
@options(MODELS, DESIGNED, KEPT)
@click.option("--max-new-tokens", type=int, help=f"longest answer [default: {MAX_ANSWER}]")
def instructions(**given: Any) -> None:
    """Whether an instruction itself is the problem: its wording, sentence by sentence, and what it does to both answers."""
    run_instructions(**given)


@main.command()
@options(MODELS, SIDES_ASKED, KEPT)
@click.option(
    "--pack",
    default="general",
    show_default=True,
    help="general, healthcare, finance or law, in the small world for the embedded models and in English for others; or a file of your own",
)
@click.option(
    "--requests",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="a file with one whole request in JSON on each line, instead of a pack",
)
@click.option("--margin", type=float, help=f"a difference inside this does not matter [default: {MARGIN}]")
@click.option("--seed", type=int, help="of the suite and of every random choice [default: 0]")
def findings(**given: Any) -> None:
    """What tuning did to a model: every probe on the items of one field, and one verdict a claim."""
    run_findings(**given)


@main.command(name="load_report")
@options(MODELS, KEPT)
@click.option("--hash-again", is_flag=True, help="read every weight file again although its hash is known")
def load_report(hash_again: bool, **given: Any) -> None:
    """What was opened, how the two sides differ, and which analyses will work."""
    run_one("load_report", {"hash_again": hash_again}, **given)


if __name__ == "__main__":
    main()
