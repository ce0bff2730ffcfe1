"""Calibration: can its confidence be trusted?"""

from __future__ import annotations

from dashboard.session import address, probing
from dashboard.widgets.calibration import calibration, so_far
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.probe import asking, followed

asking("calibration")
question(
    "Can its confidence be trusted?",
    "A model that is 80 % sure should be right in 80 of 100 cases. Here both models choose among options of which one is known to be right, and what they were sure of is held against it.",
)
how_to_read(
    """
| what | unit and direction |
|---|---|
| **confidence** | 0 to 100 %: probability of the option that a model chooses, among all options of the item. |
| **calibration error** | percentage points (ECE): how far the share of right choices and the mean confidence are apart, over bins of as many items each; lower is better, 0 is best. |
| **by chance** | percentage points: the error that a perfectly calibrated model would show with as many items. A smaller one cannot be expected. |
| **error beyond chance** | percentage points: calibration error minus by chance, and what is compared: of two perfectly calibrated models the less sure one has the larger error, by chance alone. About 0: no worse than a perfectly calibrated model; below 0: even less, by luck. Lower is better. |
| **overconfidence** | percentage points: mean confidence minus share of right choices; above 0 it is surer than it is right, below 0 it is less sure; 0 is innocent. |
| **Brier score** | 0 to 100 %: mean squared difference of confidence and rightness; lower is better. |
| **right choices** | share of items; higher is better. |
| **tuned − base** | percentage points, over the items that both were asked. |
| **p** | of a paired permutation test, of the calibration error of a bootstrap over items: the larger p of the errors with and without what chance makes, never sure below 20 items, nor that there is no effect below 100 (at a margin of 3 points). Holm's correction for all four measures together. |
| **at fault, cleared, undecided** | of one model by itself, of overconfidence: surely beyond the margin in either direction; surely inside it; or neither. |

**What this cannot show.** A model can be well calibrated and mostly wrong: it knows that it does not know. Calibration is of these items and their options; of other ones, or of an answer in prose, it may be another. With few items the error is
larger than it is in truth, which is why it stands beside what chance makes. Findings speak of items like these.
"""
)

address.write_address()  # a change of page drops the question of the other pages from it
if probing.probing("calibration").held is None:
    nothing_yet("Choose items with known answers and press Run. How far each model's confidence can be trusted appears here, confidently wrong answers first.")  # fmt: skip
else:
    followed("calibration", calibration, so_far)
