"""The run of the default suite, which outlives the questions of the other pages, and the way from a claim to its evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st
from pydantic import ValidationError

from dashboard.session import compute, editor, pairs, probing, visits
from dashboard.session.probing import ITEM_PROBES, ItemProbe
from model_utils.contracts.common import Specs, explain
from model_utils.contracts.findings import FindingsRequest
from model_utils.contracts.probe import MARGIN
from model_utils.errors import Refused
from model_utils.probes import default_suite, packs
from model_utils.probes.packs import Pack

SEED, PACK = "findings-seed", "findings-pack"
"""Keys of the fields of the seed and of the pack."""
OWN = "own"
"""In place of the name of a pack: one of a file."""


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
    file: tuple[str, Pack | str] | None = None
    """name of the file of a pack that was given, and what it holds or why it cannot be read, as a sentence"""
    forgotten: int = 0
    """how many files were given up; each has an uploader of its own, because none can be emptied"""


def concluding() -> Concluding:
    if "concluding" not in st.session_state:
        st.session_state["concluding"] = Concluding()
    return st.session_state["concluding"]


def offered() -> dict[str, Pack]:
    """Name -> the packs that suit the pair of now."""
    return default_suite.offered("demo" if pairs.embedded() else "english")


def pack_name() -> str:
    """What was chosen."""
    return str(st.session_state.get(PACK, next(iter(offered()))))


def pack() -> Pack | str:
    """What is asked, or why nothing can be, as a sentence."""
    if pack_name() != OWN:
        return offered()[pack_name()]
    here = concluding()
    return "There is no file of a pack yet; give one." if here.file is None else here.file[1]


def keep_file(name: str, content: bytes) -> None:
    """A file was given."""
    here = concluding()
    try:
        here.file = (name, packs.read(content, name))
    except Refused as refused:
        here.file = (name, str(refused))
    here.problem = None


def forget_file() -> None:
    here = concluding()
    here.file, here.problem, here.forgotten = None, None, here.forgotten + 1


def run() -> None:
    """Run was pressed: the whole suite in the background. What cannot be asked replaces nothing."""
    here, wanted, unopened = concluding(), asking_of(), visits.visit().unopened
    if isinstance(wanted, Asking) and unopened is not None:
        wanted = pairs.choose_pair(unopened) or wanted
    if isinstance(wanted, str):
        here.problem = wanted
        return
    _ask(wanted)


def run_on() -> None:
    """The same suite to the same models, from the parts that were done when it was stopped."""
    asking = concluding().asking
    assert asking is not None, "nothing was asked"
    _ask(asking)


def _ask(asking: Asking) -> None:
    here, before = concluding(), concluding().held
    here.asking, here.problem = asking, None
    here.held = compute.hold("findings", asking.specs, asking.request, background=True, after=before)
    if before is not None and before.job is not here.held.job:
        compute.let_go(before)


def asking_of() -> Asking | str:
    """Whom the form asks, and what; or why that cannot be asked, as a sentence."""
    bare = replace(editor.form(), instruction="any", sampling=None, samples=1, system="", history=())
    found = pack()
    if isinstance(found, str):
        return found
    try:
        asked = bare.request()
        request = default_suite.request(
            found,
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


def evidence() -> list[ItemProbe]:
    """The probes whose results the claims are drawn from."""
    here = concluding()
    if here.held is None or here.held.result is None or here.asking is None:
        return []
    return [probe for probe in ITEM_PROBES if probe in here.asking.request.parts()]


def still_running(probe: ItemProbe) -> bool:
    """Whether the probe's own page runs something, which evidence must not take the place of."""
    held = probing.probing(probe).held
    return held is not None and not held.over


def open_evidence(probe: ItemProbe) -> None:
    """Puts what the suite found on the probe's own page, in place of what was there."""
    here = concluding()
    assert here.asking is not None, "nothing was asked"
    probing.show(probe, here.asking.specs, here.asking.request.parts()[probe])
