"""How well the rules find what was labelled: `python -m model_utils.wording.score LABELS` prints precision and recall of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from model_utils.contracts.wording import KINDS
from model_utils.wording import marks

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Score:
    """Of one rule over labelled instructions."""

    kind: str
    labelled: int
    """labelled places"""
    marked: int
    """marks that the rule made"""
    right: int
    """of these, those that share a word with a label of their kind"""
    found: int
    """labels that share a word with a mark of their kind"""

    @property
    def precision(self) -> float:
        """0 to 1; NaN where nothing was marked."""
        return self.right / self.marked if self.marked else float("nan")

    @property
    def recall(self) -> float:
        """0 to 1; NaN where nothing was labelled."""
        return self.found / self.labelled if self.labelled else float("nan")

    @property
    def f1(self) -> float:
        """0 to 1; 0 where nothing is right."""
        return 2 * self.precision * self.recall / (self.precision + self.recall) if self.right and self.found else 0.0


Row = dict[str, Any]
"""instruction, and marks, each with kind and words."""


def scores(rows: Iterable[Row]) -> tuple[Score, ...]:
    """(kind,) in the order of `KINDS`."""
    counts = {kind: [0, 0, 0, 0] for kind in KINDS}
    for row in rows:
        made = marks(row["instruction"])
        for kind in KINDS:
            labels = [label["words"] for label in row["marks"] if label["kind"] == kind]
            mine = [mark.words for mark in made if mark.kind == kind]
            right = sum(any(_overlap(one, label) for label in labels) for one in mine)
            found = sum(any(_overlap(one, label) for one in mine) for label in labels)
            for place, more in enumerate((len(labels), len(mine), right, found)):
                counts[kind][place] += more
    return tuple(Score(kind, *counts[kind]) for kind in KINDS)


def _overlap(one: str, other: str) -> bool:
    return bool({word.lower() for word in WORD.findall(one)} & {word.lower() for word in WORD.findall(other)})


def table(rows: Sequence[Row]) -> str:
    """In Markdown, one line a rule."""
    lines = ["| rule | labelled | marked | right | precision | recall | F1 |", "|---|---|---|---|---|---|---|"]
    for one in scores(rows):
        lines.append(
            f"| {one.kind} | {one.labelled} | {one.marked} | {one.right} | {one.precision:.2f} | {one.recall:.2f} | {one.f1:.2f} |"
        )
    return "\n".join(lines)


def rows_of(labels: Path) -> list[Row]:
    """Of a file of JSON lines."""
    return [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]


@click.command()
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(labels: Path) -> None:
    """LABELS: JSON lines with `instruction` and `marks`, each of a kind and words."""
    click.echo(table(rows_of(labels)))


if __name__ == "__main__":
    main()
