"""What is printed: tables for a person at a terminal, one line of canonical JSON for a program."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from typing import Any

import click
import pandas as pd

from model_utils import codec
from model_utils.contracts.ablation import Ablation
from model_utils.contracts.agreement import Agreement
from model_utils.contracts.atlas import Atlas
from model_utils.contracts.attention import Attention
from model_utils.contracts.bias import Bias
from model_utils.contracts.common import Encoded, Specs
from model_utils.contracts.density import Density
from model_utils.contracts.findings import Findings
from model_utils.contracts.generation import Answer, Generation
from model_utils.contracts.instructions import Instructions
from model_utils.contracts.load_report import LoadReport
from model_utils.contracts.probe import Probed
from model_utils.contracts.randomisation import Randomisation
from model_utils.contracts.shift import MARGINAL, Shift
from model_utils.contracts.survey import Interval, Survey
from model_utils.pair import Pair
from model_utils.wording.said import mark_said


def at_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


def show(kind: str, specs: Specs, result: Any) -> None:
    """A table for a person at a terminal, one line of canonical JSON for a program."""
    if not at_terminal():
        say_json(codec.encode(result))
        return
    say(f"{kind}: base {cell(specs.base.name)}, tuned {cell(specs.tuned.name)}")
    if isinstance(result, LoadReport):
        show_report(result)
        return
    if isinstance(result, Generation):
        for answers in result.samples:
            for side, answer in answers.items():
                say(f"\n{side} {specs[side].name}  {_how(answer)}\n{answer.text}")
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
    if isinstance(result, Probed):
        if isinstance(result, Instructions):
            show_marks(result)
        show_findings(result)
        return
    if isinstance(result, Findings):
        show_claims(result)
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
        say(sentence)
    say(text_of(result.table()))


def show_texts(read: Pair[Encoded], alike: bool) -> None:
    """The tokens that both read, or those of each side."""
    if alike:
        show_text("tokens", read.tuned)
        return
    for side, sequence in read.items():
        show_text(f"{side} tokens", sequence)


def show_text(name: str, sequence: Encoded) -> None:
    """A text, token by token."""
    say(f"{name}: " + " ".join(cell(piece) for piece in sequence.pieces))


def show_ablation(result: Ablation) -> None:
    """The answer, how likely it is with every head on, and how that changes with one off."""
    show_text("answer", result.sequence.part(result.sequence.positions("answer")))
    for side, log_probs in result.log_probs.items():
        say(f"{side}: log-probability {log_probs.sum():.4f} nats with every head on")
    for note in result.notes:
        say(note)
    say(f"{result.attention_kind} attention; change in nats with a head off (fill: {result.fill})")
    say(text_of(result.table()))


def show_attention(result: Attention) -> None:
    """The text that both read, or each side's own, and what is looked at most."""
    show_texts(result.sequences, alike=result.shared)
    say(text_of(result.table()))


def show_report(result: LoadReport) -> None:
    """What works, the two sides, and the change by layer, in words and tables."""
    for ability in result.abilities:
        say(
            f"{ability.analysis}: {'works' if ability.works else 'does not work'}{ability.reason and '; '}{ability.reason}"
        )
    say(result.tokenizers_said)
    for row in result.sides().itertuples(index=False):
        say(f"\n{row.property}\n  base   {row.base}\n  tuned  {row.tuned}")
    say(f"\nchange of the weights by layer (-1: outside the layers)\n{text_of(result.by_layer())}")


def show_shift(result: Shift) -> None:
    """Each answer's shares, floors and split in words, and its tokens as a table."""
    for side, forced in result.answers.items():
        units = "tokens" if forced.alike else "pieces of text"
        say(f"\nthe {side} answer, {int(forced.counted.sum())} {units} that a person reads")
        if forced.alike:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in forced.shares().items())
            say(f"{shares} (by rank in {forced.reader}: 1, 2 to {MARGINAL}, beyond)")
        if forced.wording is not None and forced.numerical is not None:
            beyond = int((forced.beyond & forced.counted).sum())
            say(
                f"{beyond} changed more than a reworded prompt would change them ({forced.wording.nats:.4f} nats; numerical noise {forced.numerical.nats:.2g} nats)"
            )
        if forced.split is not None:
            parts = [
                getattr(forced.split, name)[forced.counted].sum()
                for name in ("total", "weights", "format", "interaction")
            ]
            say("log-ratio {:+.3f} nats = weights {:+.3f} + format {:+.3f} (interaction {:+.3f})".format(*parts))
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
        say(text_of(forced.table()[columns]))


SHOWN = 60
"""Characters of a text in a table; JSON has all of them."""
MEANS_OF = {"log_ratio": "|log-ratio|"}
"""What a mean is of where its name in a table says less."""


def show_survey(result: Survey) -> None:
    """Means with their intervals, and a row for each instruction, most different first."""
    show_intervals(result.intervals)
    table = result.table()[["log_ratio", "kl", "shifted", "agreement", "instruction", "refusal"]]
    table["instruction"] = [cell(one)[:SHOWN] for one in table["instruction"]]
    table["refusal"] = table["refusal"].map(cell)
    say(text_of(table.rename(columns=MEANS_OF)))


def show_intervals(intervals: Iterable[Interval]) -> None:
    """Mean and 95 % interval of each measure that has a number."""
    for one in intervals:
        ends = f" [{one.low:.4f}, {one.high:.4f}]" if math.isfinite(one.low) else ""
        if one.count:
            say(f"{MEANS_OF.get(one.measure, one.measure)}: {one.mean:.4f}{ends}, {one.count} instructions")


def show_density(result: Density) -> None:
    """Of one instruction its words, of a list the means with their intervals and a row for each instruction."""
    show_intervals(result.intervals)
    for number, item in enumerate(result.items):
        for side, use in item.sides.items():
            if use.reason:
                say(f"instruction {number}, {side}: {use.reason}")
    if len(result.items) == 1:
        words = pd.DataFrame({"word": [cell(word) for word in item.words]})
        say(text_of(words.assign(base=item.sides.base.words, tuned=item.sides.tuned.words)))
        return
    table = result.table()[["item", "base", "tuned", "difference", "answer_tokens_base", "answer_tokens_tuned", "instruction"]]  # fmt: skip
    table["instruction"] = [cell(one)[:SHOWN] for one in table["instruction"]]
    say(text_of(table))


def show_findings(result: Probed) -> None:
    """What a probe found, one sentence a measure; what could not be asked and why; and a row for each item."""
    for finding in result.findings:
        say(finding.said())
    if isinstance(result, Bias):
        for one in result.fates():
            say(cell(one.said()))
    for number, why in result.refused:
        say(f"item {number + 1} could not be asked: {cell(why)}")
    for note in result.notes:
        say(cell(note))
    table = result.table()
    for name in table:
        if table[name].map(lambda one: isinstance(one, str)).all():
            table[name] = [cell(one)[:SHOWN] for one in table[name]]
    if len(table):
        say(text_of(table))


def show_marks(result: Instructions) -> None:
    """What the rules find in each instruction, why that matters, and what to write instead."""
    for number, found in enumerate(result.marks, start=1):
        for mark in found:
            say(f"instruction {number}, {cell(mark_said(mark))}")
            say(f"    {mark.why} {mark.advice}")
            if mark.rewrite:
                say(f"    instead: {cell(mark.rewrite)}")
    say(
        f"{sum(map(len, result.marks)):,} places marked by rules that know English, without a model; none is no proof of a good instruction"
    )


def show_claims(result: Findings) -> None:
    """Each claim as a sentence, with what it was measured as; then the table."""
    for claim in result.claims:
        say(f"{claim.question} {claim.words}")
        if claim.finding is not None:
            say(f"    {cell(claim.finding.said())}")
    for fated in result.fates:
        say(cell(fated.said()))
    table = result.table().drop(columns=["measured", "words"])
    table["unit"] = [cell(one) for one in table["unit"]]
    say(text_of(table))


def text_of(table: pd.DataFrame) -> str:
    """A table whose texts are each on one line."""
    cells = {str(name): cell for name in table if all(isinstance(one, str) for one in table[name])}
    return table.to_string(index=False, float_format=lambda value: f"{value:.4f}", formatters=cells)


def _how(answer: Answer) -> str:
    tokens = len(answer.answer)
    return f"({tokens} tokens, {tokens / answer.seconds:.0f} tokens/s, ended by: {answer.stop})"


def say(text: object, err: bool = False) -> None:
    """One more line for people, which may quote what models and strangers wrote."""
    click.echo(printable(text), err=err)


def say_json(text: str) -> None:
    """One more line for programs; halves of characters, which no stream takes, become the escapes of JSON."""
    click.echo(re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text))


def printable(text: object) -> str:
    """`text` without anything that a terminal would obey: control characters are shown, not sent."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in str(text)
    )


def cell(piece: object) -> str:
    """A token in a table: its line breaks are shown too."""
    return printable(piece).replace("\n", "\\n")
