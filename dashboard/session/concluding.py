"""The run of the default suite, which outlives the questions of the other pages, and the way from a claim to its evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st
from pydantic import ValidationError

from dashboard.session import compute, editor, pairs, probing, visits
from dashboard.session.probing import PROBES, Probe
from model_utils.contracts.common import Specs, explain
from model_utils.contracts.findings import FindingsRequest
from model_utils.contracts.probe import MARGIN
from model_utils.errors import Refused
from model_utils.probes import default_suite

SEED = "findings-seed"
"""Key of the field of the seed."""


@dataclass(frozen=True)
class Asking:
    """Whom the suite was given to."""

    specs: Specs
    request: FindingsRequest


@dataclass
class Concluding:
    """One visitor's."""

    asking: Asking | None = None
    held: compute.Held | None = None
    """the suite on its way, or done; it goes on while other pages are looked at"""
    problem: str | None = None
    """why the last Run was not accepted, as a sentence"""


def concluding() -> Concluding:
    if "concluding" not in st.session_state:
        st.session_state["concluding"] = Concluding()
    return st.session_state["concluding"]


def world() -> default_suite.World:
    """Whose items suit the pair of now."""
    return "demo" if pairs.embedded() else "english"


def run() -> None:
    """Run was pressed: the whole suite in the background. What cannot be asked replaces nothing."""
    here, wanted, unopened = concluding(), asking_of(), visits.visit().unopened
    if isinstance(wanted, Asking) and unopened is not None:
        wanted = pairs.choose_pair(unopened) or wanted
    if isinstance(wanted, str):
        here.problem = wanted
        return
    before = here.held
    here.asking, here.problem = wanted, None
    here.held = compute.hold("findings", wanted.specs, wanted.request, background=True, after=before)
    if before is not None and before.job is not here.held.job:
        compute.let_go(before)


def asking_of() -> Asking | str:
    """Whom the form asks, and what; or why that cannot be asked, as a sentence."""
    bare = replace(editor.form(), instruction="any", sampling=None, samples=1, system="", history=())
    try:
        asked = bare.request()
        request = default_suite.request(
            default_suite.GENERAL[world()],
            world(),
            asked.formats,
            same_tokens=asked.same_tokens,
            max_new_tokens=asked.max_new_tokens,
            margin=MARGIN,
            seed=seed(),
        )
    except ValidationError as error:
        return explain(error)
    except Refused as refused:
        return str(refused)
    return Asking(visits.visit().pair, request)


def seed() -> int:
    return int(st.session_state.get(SEED, 0))


def changed() -> bool:
    """Whether the form, or the pair, is another than the one whose findings are shown."""
    asking = concluding().asking
    return asking is not None and (visits.visit().unopened is not None or asking_of() != asking)


def stop() -> None:
    """Stop was pressed: the claims that are decided stay."""
    held = concluding().held
    assert held is not None, "nothing is being asked"
    compute.stop(held)


def evidence() -> list[Probe]:
    """The probes whose results the claims are drawn from."""
    here = concluding()
    if here.held is None or here.held.result is None or here.asking is None:
        return []
    return [probe for probe in PROBES if probe in here.asking.request.parts()]


def open_evidence(probe: Probe) -> None:
    """Puts what the suite found on the probe's own page, in place of what was there."""
    here = concluding()
    assert here.asking is not None, "nothing was asked"
    probing.show(probe, here.asking.specs, here.asking.request.parts()[probe])
