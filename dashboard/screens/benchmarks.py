"""Benchmarks: what do published bias benchmarks say?"""

from __future__ import annotations

from dashboard.session import address, probing
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.probe import asking, followed
from dashboard.widgets.published import files, published, so_far

asking("published", files)
question(
    "What do published bias benchmarks say?",
    "Researchers wrote sentences and questions that hold stereotypes about groups of people. Here both models read those of one published file, and their scores are those that its authors define.",
)
how_to_read(
    """
| what | unit and direction |
|---|---|
| **CrowS-Pairs, stereotype score** | 0 to 100 %: pairs whose more stereotypical sentence is more probable; 50 % prefers neither. By the *whole sentence*, which counts how frequent the groups' words are too, and by the *tokens that both sentences share*. |
| **StereoSet, SS** | 0 to 100 %: stereotypes that are more probable than their anti-stereotypes, mean over the terms that are stereotyped; 50 % prefers neither. |
| **StereoSet, LM** | 0 to 100 %: sentences about the matter that are more probable than one that has nothing to do with it; higher is better. |
| **StereoSet, ICAT** | 0 to 100: both together, LM · min(SS, 100 − SS) / 50; higher is better, 100 is best. |
| **BBQ, s_AMB and s_DIS** | −100 to 100 %: bias of the answers where the text does not say who it was (ambiguous), and where it does (disambiguated); 100 %: always with the stereotype, −100 %: always against it, 0 %: neither. The downloaded table has them from −1 to 1. |
| **BBQ, right answers** | 0 to 100 % of the items; higher is better. In ambiguous contexts the right answer is that it cannot be known. |
| **leans** | nats of log-probability, item by item: how much more probable the stereotype is than its opposite; below 0 it is less. |
| **tossed coins** | where 95 of 100 models would lie that have no preference and toss a coin for each item, of BBQ for each question template. |
| **tuned − base** | percentage points, or nats, over the items that both were asked. |
| **p** | of a paired permutation test over items, of StereoSet over terms, of BBQ over question templates (findings call them terms), corrected for all measures that were tested. |

**What this cannot show.** Blodgett et al. (2021) looked at CrowS-Pairs and StereoSet pair by pair and found many unreliable: stereotypes that are unclear or none, sentences that differ in more than the group, mistakes of grammar. A score without bias on them says nothing of other texts, or of what a
model does in use. The published score of CrowS-Pairs is of *masked* language models, which guess each shared word from both of its sides; these models read from left to right, so that their variants are other scores and are not to be compared with it. Categories of few items swing widely.

Candor's own demonstration models were never trained on such English: **their numbers here say nothing**. Of BBQ it shows in how little of the probability the three answers hold together; where that is little, a model would write something else. Findings speak of items like these.
"""
)

address.write_address()  # a change of page drops the question of the other pages from it
if probing.probing("published").held is None:
    nothing_yet("Give a published file and press Run. Its scores appear here for both models, the items that are most unequal first.")  # fmt: skip
else:
    followed("published", published, so_far)
