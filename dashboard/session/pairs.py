"""Which two models are asked: choosing, opening, and what is known of them."""

from __future__ import annotations

from dataclasses import astuple

import streamlit as st

from dashboard.session import compute, visits
from model_utils import checkpoints, demo
from model_utils.contracts.common import ModelFacts, Specs
from model_utils.contracts.load_report import LoadReport, LoadReportRequest
from model_utils.errors import Refused
from model_utils.pair import Pair

RECENT = 6
"""How many pairs the panel offers to go back to."""
PAIR_PANEL = "pair"
"""Key of the popover in which the pair is chosen: a change of the pair leaves it open, the load report closes it."""


def choose_pair(specs: Specs) -> str | None:
    """From now on these two models are asked; they are opened in the background, and the pair before comes back if that fails.

    Returns why not, as a sentence, when there can be no such models: then nothing changes.
    """
    try:
        specs.map(checkpoints.key)
    except Refused as refused:
        return str(refused)
    here = visits.visit()
    here.unopened = None
    if here.opening and here.chosen == specs:
        return None
    if not here.opened:
        here.recent = tuple(pair for pair in here.recent if pair != here.chosen)
    here.recent = tuple(dict.fromkeys((specs, *here.recent)))[:RECENT]
    _open(specs, former=here.former if here.opening else here.pair)
    return None


def report_pair() -> compute.Held:
    """The load report of the pair that is asked, which opens it: the one at hand, else a new one."""
    here = visits.visit()
    if here.report is None or not here.opened:
        return _open(here.pair, former=here.pair)
    return here.report


def _open(specs: Specs, former: Specs) -> compute.Held:
    here = visits.visit()
    if here.report is not None:
        compute.let_go(here.report)
    here.chosen, here.former = specs, former
    here.report = compute.hold("load_report", specs, LoadReportRequest(), background=True)
    return here.report


def cancel_opening() -> None:
    """The chosen pair is not wanted after all."""
    held = visits.visit().report
    assert held is not None, "no pair is being opened"
    compute.stop(held)


def other_pairs() -> list[Specs]:
    """Recent pairs but the present one and one that could not be opened."""
    here = visits.visit()
    return [pair for pair in here.recent if pair not in (here.pair, here.chosen)]


def read_report() -> None:
    """The load report is to lie open, in place of the panel; made first where there is none."""
    here = visits.visit()
    if here.unopened is not None:
        here.refused = choose_pair(here.unopened)
    else:
        report_pair()
    if here.unopened is None:
        here.reading = True
        st.session_state[PAIR_PANEL] = False


def close_report() -> None:
    visits.visit().reading = False


def learn(facts: Pair[ModelFacts]) -> bool:
    """Remembers what the models are; True when that is news, so that pickers drawn before have to be drawn again.

    A result tells it once: a page of two that differ (a model was read again, in another dtype) would be drawn for ever.
    """
    here = visits.visit()
    if here.facts is not None and any(told is facts for told in here.told):
        return False
    news = here.facts is None or here.facts.map(astuple) != facts.map(astuple)
    here.told = [facts] if here.facts is None else [*here.told, facts]
    here.facts = facts
    return news


def facts() -> Pair[ModelFacts] | None:
    """What the question's models are, once known: from a result, else from their load report."""
    here = visits.visit()
    report = known_report()
    if here.facts is None and report is not None and here.question is not None and here.question.specs == here.pair:
        return report.models
    return here.facts


def embedded() -> bool:
    """Whether both models come with Candor."""
    return all(spec.id in demo.MODELS for spec in visits.visit().pair.sides)


def without_template() -> bool:
    """Whether neither model of the present pair has a chat template, as far as their files tell; those of an address are not read."""
    if visits.visit().unopened is not None:
        return False
    return not any(checkpoints.may_have_template(spec) for _, spec in visits.visit().pair.items())


def known_report() -> LoadReport | None:
    """What is known so far about the present pair."""
    here = visits.visit()
    return here.report.shown if here.report is not None and here.opened else None


def keep_panel() -> None:
    """Keeps the panel of the pair as it is when its label changes, which makes another panel of it for Streamlit."""
    st.session_state[PAIR_PANEL] = st.session_state.get(PAIR_PANEL, False)
