"""Robustness: was the skill learned, or the phrasing?"""

from __future__ import annotations

from dashboard.session import address, probing
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.probe import asking, followed
from dashboard.widgets.robustness import robustness, so_far

asking("robustness")
question(
    "Was the skill learned, or the phrasing?",
    "A model that learned a skill gives the same answer however the question is put. Here both models get every item as it was written and in many other wordings that ask the same.",
)
how_to_read(
    """
| what | unit and direction |
|---|---|
| **right, as written** | share of items whose most probable option is the right one; higher is better. |
| **right, reworded** | the same over all rewordings, without the item's training and held-out wordings. |
| **flips** | share of wordings whose choice is another one than as written, over all rewordings, without the item's training and held-out wordings; lower is more robust. Of a free answer, only one that is right as written can flip. |
| **spread** | highest minus lowest share of right answers over the formats drawn; lower is more robust. |
| **gap** | right answers as written and in the item's training wordings, minus those in its held-out ones; above 0: it does better where it knows the words. |
| **sensitivity** | nats a token (POSIX): how far an answer's log-probability moves when the same is asked in another wording; 0 is not at all. |
| **attribution agreement** | −1 to 1, Kendall's tau: whether the same words of the input count in every wording; higher is more robust. |
| **plain texts** | nats a character: how unlikely texts without any instruction are. Tuned above base: it forgot. |
| **tuned − base** | percentage points of a share, otherwise the unit of the measure; over the items that have a number on both sides. |
| **p** | of a paired permutation test, after Holm's correction for all measures that were tested together. The spread has none: its verdict comes from its interval alone, and is never "no effect". |
| **at fault, cleared, undecided** | of one model by itself, where 0 is innocent (flips, gap): its number is surely above the margin; surely inside it; or neither. |

**What this cannot show.** A spread is a maximum minus a minimum, so that it grows with the number of formats: the number stands beside it. A flip is not an error: the choice as written may have been the wrong one. A gap of a few points
is ordinary, since no model does unseen wordings quite as well. Perturbations are made by rules, and a wording in which a model fails may not be among them. A free answer counts as right only where it is exactly what the model would write.
Findings speak of items like these.
"""
)

address.write_address()  # a change of page drops the question of the other pages from it
if probing.probing("robustness").held is None:
    nothing_yet("Choose items and press Run. Whether each model's answer depends on the wording appears here, the items that flip most first.")  # fmt: skip
else:
    followed("robustness", robustness, so_far)
