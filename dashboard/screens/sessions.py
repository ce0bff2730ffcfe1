"""Sessions: what was recorded, and can another person check it?"""

from __future__ import annotations

import streamlit as st

from dashboard.session import keeping
from dashboard.widgets.blind_judging import judge_blind
from dashboard.widgets.explained import how_to_read, nothing_yet, question
from dashboard.widgets.record_view import record_view
from dashboard.widgets.session_list import add_session, pick_session
from dashboard.widgets.session_view import pick_records, session_view, timeline
from dashboard.widgets.text import plain
from model_utils.errors import Refused

question(
    "What was recorded, and can another person check it?",
    "A session keeps what was asked, of exactly which models, what came back and who judged it. Each entry is sealed to the one before, so that a later change shows.",
)
how_to_read(
    """
**Record** on any page keeps what that page shows: the request, the whole result, the hashes of the weights, and what computed it. Nothing is overwritten afterwards: a new verdict, other tags or a correction are entries of their own, and the former ones stay readable.

**The chain.** Each entry has a hash over its content and over the hash of the entry before. *Verify* follows the chain from the first entry and names the first that was altered, is missing or stands in another place. The *head* is the hash of the last entry. Whoever keeps the head elsewhere, on paper or in a mail, can show later that nothing up to it was changed. Without such a head, somebody who can write the file could make the whole chain anew: the chain proves no more than that.

**Run again** computes the same request in a process of its own, on the models that are here now. *Same*: every text and number is the same, bit for bit. *Within the noise floor*: numbers moved no more than rounding alone moved them when the record was computed with the processor's older instructions (measure that first). *Different*: something moved more; what else is not as it was (weights, versions, processor) is named first.

**Erase** takes the content of an entry away for good. Who did it, when and why stays, and the chain still verifies. A file that was exported before is out of reach.

**A verdict is a person's.** Candor computes; it does not judge. *Pass*, *concern* and *fail* are what somebody wrote down about what they saw.

**Judge the answers blind** shows two recorded answers as A and B, on sides drawn at random, and tells whose they are after your choice. Each two answers count once, however many people judged them; ties count for neither model. *p* says how often chance alone would give as clear a preference (exact binomial test), and the same is asked of the place: somebody who always takes A prefers neither model, and it shows. Only the page is blind: whoever looks the record up beforehand knows whose answer is whose.
"""
)

try:
    left, right = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
    with left:
        session = pick_session()
    with right:
        add_session()
    if session == keeping.NEW:
        nothing_yet(
            "Nothing is recorded yet. Press Record on another page, begin a session here, or import one that somebody gave you."
        )
    else:
        view = session_view(session)
        if not judge_blind(view):
            chosen = pick_records(view)
            if chosen:
                record_view(view, chosen)
            timeline(view)
except Refused as refused:
    st.error(plain(str(refused)))
