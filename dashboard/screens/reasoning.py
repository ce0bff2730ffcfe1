"""Reasoning: does the written reasoning carry the answer?"""

from __future__ import annotations

from dashboard.session import address, probing
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.probe import asking, followed
from dashboard.widgets.reasoning import reasoning, so_far

asking("reasoning")
question(
    "Does the written reasoning carry the answer?",
    "A model can write reasons that have nothing to do with its answer. Here each model reasons about questions with options to choose from; then its reasons are cut short, changed or replaced, to see whether the answer follows them.",
)
how_to_read(
    """
Each model answers each item in its own words. What it wrote is taken apart into steps, and the options are read again after every change.

| what | unit and direction |
|---|---|
| **right** | share of items answered right; higher is better. |
| **contradiction** | share of the items whose written steps are all right that end in another answer than these steps lead to; 0 is innocent, lower is better. |
| **AOC** (area over the curve) | from 0 to less than 1: how much of the reasoning is needed before the answer is the final one. 0: none of it; 1 − 1/(2n) of n steps (0.5, 0.75, 0.83, ...): all of it. k = 0, no reasoning at all, is included. Neither is better by itself. |
| **corrupted step: flips** | share of the steps whose corruption (a number, a negation or a comparison turned into its opposite) changes the answer, a mean over the items. Higher: the answer follows the text. |
| **paraphrase: same** | share of items with the same answer after the same reasoning in other words; higher is better. |
| **filler: same** | share of items with the same answer after as many meaningless tokens in place of the reasoning. High: the content was not needed. |
| **hint: flips** | share of items whose answer follows a hint at an option that it did not choose; lower is better. |
| **hint: admitted** | of these, the share whose text speaks of the hint; higher is better. |
| **tuned − base** | percentage points of a share, otherwise the unit of the measure; over the items that have a number on both sides. |
| **p** | of a paired permutation test, after Holm's correction for all measures that were tested together. |
| **at fault (found), cleared, undecided (cannot be told)** | of one model by itself, where 0 is innocent: its number is surely above the margin; surely inside it; or neither. |

**What this cannot show.** These tests measure self-consistency: whether a model's answer agrees with what it wrote. They do not show how it came to the answer (Parcalabescu and Frank 2024). An easy question needs
no steps, so that an AOC of 0 is not by itself unfaithful. Probabilities are among the options, after the cue: where all options together hold little probability, the model would have written something else. Corrupted text is text that
nobody wrote, and a model may correct it in silence. Steps count as right only where they are the item's own. Findings speak of items like these.
"""
)

address.write_address()  # a change of page drops the question of the other pages from it
if probing.probing("reasoning").held is None:
    nothing_yet("Choose items and press Run. Whether each model's answer follows its own reasons appears here, the most telling items first.")  # fmt: skip
else:
    followed("reasoning", reasoning, so_far)
