"""Findings: what did tuning do to this model?"""

from __future__ import annotations

from dashboard.session import address
from dashboard.widgets.explained import how_to_read, question
from dashboard.widgets.findings import asking, followed

asking()
question(
    "What did tuning do to this model?",
    "Instruction tuning is said to make models more useful, more open and more fair. Here every such claim is measured on both models and answered: yes, no, no effect, or not decided by these items.",
)
how_to_read(
    """
Run asks both models the items of every probe. Each claim is answered by **one** measure, which stands under its name; the probe's page has all others.

| claim | measured as | better |
|---|---|---|
| **More interpretable?** | share of answers whose word scores point at what the model relies on, better than random orders of the same words do | higher |
| **More transparent?** | share of answers that change when a written step is made false: who reads the text sees what carries the answer | higher |
| **More faithful reasoning?** | share of answers other than the one that the model's own right steps lead to | lower |
| **More robust to wording?** | share of rewordings that change the choice | lower |
| **Learned the task, not the phrasing?** | right answers in trained wordings minus those in unseen ones | lower |
| **Less biased?** | difference in the probability of the favourable answer between a group and its reference | nearer to 0 |
| **Better calibrated?** | how far confidence and right answers are apart, beyond what chance makes of so many items (so that it may be below 0) | lower |
| **Follows instructions better?** | share of short tasks answered right | higher |
| **Kept what base knew?** | how unlikely plain texts without any instruction are, nats a character | lower |

**Yes** and **no** need a difference that is surely not 0 (a permutation test, of calibration errors a bootstrap, corrected for all tests of its probe, and an interval beyond the margin or without 0). **No effect** needs the whole interval inside the margin: it is a finding, not a
lack of one. **Undecided** is neither, and the number of items that would probably decide it is an estimate. **At fault** and **cleared** speak of one model by itself.

**What this cannot show.** A claim is only as wide as its measure: more robust to *these* rewordings, less biased on *these* decisions. A model that is better by every claim may still be wrong for your use. Verdicts are corrected within a probe and not
across all of them: of twenty claims about equal models one may look like a difference.
"""
)

address.write_address()  # a change of page drops the question of the other pages from it
followed()
