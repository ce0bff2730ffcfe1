"""What a visitor gives each probe to ask, and its job, which outlives the questions of the other pages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import streamlit as st
from pydantic import ValidationError

from dashboard.session import compute, editor, inputs, pairs, visits
from model_utils import items as lists
from model_utils.contracts.bias import BiasRequest, Slot, slot_names
from model_utils.contracts.calibration import CalibrationRequest
from model_utils.contracts.common import Specs, explain
from model_utils.contracts.instructions import InstructionItem, InstructionsRequest
from model_utils.contracts.probe import MARGIN, ItemsRequest, Partial, ProbeItem, ProbeRequest
from model_utils.contracts.published import PublishedRequest
from model_utils.contracts.reasoning import TESTS, ReasoningRequest
from model_utils.contracts.robustness import GAP_MARGIN, PERTURBATIONS, RobustnessRequest
from model_utils.errors import Refused
from model_utils.items import Items as Instructions
from model_utils.pair import Pair
from model_utils.probes import items, packs, published_files, slots, suites
from model_utils.probes.items import Items
from model_utils.probes.packs import PACKS, Pack
from model_utils.probes.published_files import PublishedFile
from model_utils.probes.suites import Suite

ItemProbe = Literal["reasoning", "robustness", "bias", "calibration"]
"""Those that ask items of a person's own, or of a suite."""
ITEM_PROBES: tuple[ItemProbe, ...] = get_args(ItemProbe)
Probe = ItemProbe | Literal["instructions", "published"]
PROBES: tuple[Probe, ...] = (*ITEM_PROBES, "instructions", "published")
SUITE, PACK, FILE, TYPED = "suite", "pack", "file", "typed"
"""Where items come from; a pack holds instructions."""
Given = Items | Instructions | PublishedFile
"""What was read of a file, or made or typed here."""
NO_TEXTS = "none"
"""In place of the name of plain texts: their likelihood is not measured."""

_fields = RobustnessRequest.model_fields
FIRST: Mapping[str, Any] = {
    "source": SUITE,
    "count": 40,
    "first": 200,
    "seed": 0,
    "typed": "",
    "margin": 100 * MARGIN,
    "tests": [*TESTS],
    "perturbations": [*PERTURBATIONS],
    "formats": _fields["formats_drawn"].default,
    "wordings": _fields["wordings_drawn"].default,
    "gap": 100 * GAP_MARGIN,
    "sensitivity": _fields["sensitivity_items"].default,
    "attribution": _fields["attribution_items"].default,
    "texts-count": 20,
    "draws": BiasRequest.model_fields["draws"].default,
    "one-text": False,
    "options": "",
}
"""Field of the form -> its first value; margins in percentage points."""
FIRST_OF: Mapping[str, Mapping[str, Any]] = {"instructions": {"source": TYPED}}
"""probe -> the same, where its own is another"""
FOLLOWING = ("suite", "texts", "pack")
"""Fields that have no first value: they follow the pair until somebody chooses."""


@dataclass(frozen=True)
class Asking:
    """Whom the items were given to, and how."""

    specs: Specs
    request: ItemsRequest
    evidence: bool = False
    """it was asked by the page of findings, and not by the form"""


@dataclass
class Probing:
    """One visitor's choices for one probe, beside the values of the widgets."""

    file: tuple[str, Given | str] | None = None
    """name of the file that was given, and what it holds or why it cannot be read, as a sentence"""
    asking: Asking | None = None
    held: compute.Held | None = None
    """the probe on its way, or done; it goes on while other pages are looked at"""
    problem: str | None = None
    """why the last Run was not accepted, as a sentence"""
    opened: int | None = None
    """the item that is looked at; None: nobody chose one"""
    chosen: dict[str, str] = dataclasses.field(default_factory=dict)
    """field that follows the pair -> its value, once somebody chose one"""
    forgotten: int = 0
    """how many files were given up; each has an uploader of its own, because none can be emptied"""


def probing(probe: Probe) -> Probing:
    key = f"probing-{probe}"
    if key not in st.session_state:
        st.session_state[key] = Probing()
    return st.session_state[key]


# --- the form ---------------------------------------------------------------------------------------------------------


def key(probe: Probe, name: str) -> str:
    """Key of a field's widget."""
    return f"{probe}-{name}"


def at_first(probe: Probe, name: str) -> str:
    """The same, of a field that shows its first value until another one is chosen; written in every run, as in `editor.at_first`.

    One that follows the pair is written when what it shows changes.
    """
    if name in FOLLOWING:
        return inputs.showing(key(probe, name), field(probe, name))
    st.session_state[key(probe, name)] = field(probe, name)
    return key(probe, name)


def field(probe: Probe, name: str) -> Any:
    """What was chosen or typed, else the first value; of `FOLLOWING`, what suits the pair of now."""
    if name not in FOLLOWING:
        return st.session_state.get(key(probe, name), {**FIRST, **FIRST_OF.get(probe, {})}[name])
    if name in probing(probe).chosen:
        return probing(probe).chosen[name]
    if name != "texts":
        return offered(probe)[0] if name == "suite" else offered_packs()[0]
    return [*suites.PLAIN_TEXTS][0 if pairs.embedded() else 1]


def choose(probe: Probe, name: str, widget: str) -> None:
    """Somebody chose in this widget the value of a field that followed the pair."""
    probing(probe).chosen[name] = inputs.value(widget)


def offered(probe: Probe) -> list[str]:
    """The suites that this probe can ask, those that suit the pair first."""
    mine = [name for name, suite in suites.SUITES.items() if probe in suite.probes]
    return sorted(mine, key=lambda name: suites.SUITES[name].for_demo != pairs.embedded())


def suite(probe: Probe) -> Suite:
    """The chosen one."""
    return suites.SUITES[field(probe, "suite")]


def source_of(probe: Probe) -> str:
    """Where its items come from; published ones from a file alone."""
    return FILE if probe == "published" else str(field(probe, "source"))


def reading(probe: Probe) -> Given | str:
    """The items that were chosen, or why there are none, as a sentence."""
    here, source = probing(probe), source_of(probe)
    if source == FILE:
        return "There is no file yet; give one." if here.file is None else here.file[1]
    try:
        if probe == "instructions":
            return Instructions(_of_pack(pack()), (), ()) if source == PACK else _typed(field(probe, "typed"), field(probe, "one-text"))  # fmt: skip
        if source == TYPED:
            return _parsed(field(probe, "typed"))
        return Items(_made(suite(probe).name, int(field(probe, "count")), int(field(probe, "seed"))), (), ())
    except Refused as refused:
        return str(refused)


def given(probe: Probe) -> bool:
    """Whether there is anything to read."""
    source = source_of(probe)
    return source in (SUITE, PACK) or (
        probing(probe).file is not None if source == FILE else bool(field(probe, "typed").strip())
    )


@lru_cache(maxsize=16)
def _made(name: str, count: int, seed: int) -> tuple[ProbeItem, ...]:
    return suites.SUITES[name].make(count, seed)


@lru_cache(maxsize=4)
def _plain(name: str, count: int) -> tuple[str, ...]:
    return suites.PLAIN_TEXTS[name](count)


@lru_cache(maxsize=4)
def _parsed(text: str) -> Items:
    return items.parse(text)


def keep_file(probe: Probe, name: str, content: bytes) -> None:
    """A file was given."""
    here = probing(probe)
    try:
        here.file = (name, READERS.get(probe, items.read)(content, name))
    except Refused as refused:
        here.file = (name, str(refused))
    here.problem = None


def forget_file(probe: Probe) -> None:
    here = probing(probe)
    here.file, here.problem, here.forgotten = None, None, here.forgotten + 1


def forget_problem(probe: Probe) -> None:
    probing(probe).problem = None


# --- asking -----------------------------------------------------------------------------------------------------------


def run(probe: Probe) -> None:
    """Run was pressed: both models get the items in the background. What cannot be asked replaces nothing."""
    wanted, unopened = asking_of(probe), visits.visit().unopened
    if isinstance(wanted, Asking) and unopened is not None:
        wanted = pairs.choose_pair(unopened) or wanted
    if isinstance(wanted, str):
        probing(probe).problem = wanted
    else:
        _ask(probe, wanted)


def show(probe: Probe, specs: Specs, request: ItemsRequest) -> None:
    """On the probe's page stands what comes of this request, which may be known already."""
    _ask(probe, Asking(specs, request, evidence=True))


def _ask(probe: Probe, asking: Asking) -> None:
    here, before = probing(probe), probing(probe).held
    here.asking, here.problem, here.opened = asking, None, None
    here.held = compute.hold(probe, asking.specs, asking.request, background=True, after=before)
    if before is not None and before.job is not here.held.job:
        compute.let_go(before)


def asking_of(probe: Probe) -> Asking | str:
    """Whom the form asks, and what; or why that cannot be asked, as a sentence."""
    found = reading(probe)
    if isinstance(found, str):
        return found
    try:
        return Asking(visits.visit().pair, _request(probe, found))
    except ValidationError as error:
        return explain(error)
    except Refused as refused:
        return str(refused)


def _request(probe: Probe, found: Given) -> ItemsRequest:
    """In the editor's formats; a ValidationError or Refused says what cannot be asked."""
    bare = replace(editor.form(), instruction="any", sampling=None, samples=1, system="", history=()).request()
    shared: dict[str, Any] = {
        "formats": bare.formats,
        "same_tokens": bare.same_tokens,
        "margin": field(probe, "margin") / 100,
        "seed": field(probe, "seed"),
    }
    if isinstance(found, PublishedFile):
        first = found.items[: field("published", "first")]
        return PublishedRequest(benchmark=found.benchmark, items=first, **shared)
    if isinstance(found, Instructions):
        asked = tuple(InstructionItem(instruction=text, options=options()) for text in found.instructions)
        return InstructionsRequest(items=asked, **shared)
    return REQUESTS[probe](found.items, bare.max_new_tokens, shared | {"items": found.items})


def _reasoning(_: tuple[ProbeItem, ...], max_new_tokens: int, shared: dict[str, Any]) -> ReasoningRequest:
    tests = tuple(one for one in TESTS if one in field("reasoning", "tests"))
    return ReasoningRequest(tests=tests, max_new_tokens=max_new_tokens, **shared)


def _robustness(_: tuple[ProbeItem, ...], __: int, shared: dict[str, Any]) -> RobustnessRequest:
    texts = field("robustness", "texts")
    return RobustnessRequest(
        perturbations=tuple(one for one in PERTURBATIONS if one in field("robustness", "perturbations")),
        formats_drawn=field("robustness", "formats"),
        wordings_drawn=field("robustness", "wordings"),
        gap_margin=field("robustness", "gap") / 100,
        sensitivity_items=field("robustness", "sensitivity"),
        attribution_items=field("robustness", "attribution"),
        plain_texts=() if texts == NO_TEXTS else _plain(texts, field("robustness", "texts-count")),
        **shared,
    )


def _bias(asked: tuple[ProbeItem, ...], _: int, shared: dict[str, Any]) -> BiasRequest:
    return BiasRequest(slots=read_slots(asked), draws=field("bias", "draws"), **shared)


def _calibration(_: tuple[ProbeItem, ...], __: int, shared: dict[str, Any]) -> CalibrationRequest:
    return CalibrationRequest(**shared)


REQUESTS: Mapping[str, Callable[[tuple[ProbeItem, ...], int, dict[str, Any]], ProbeRequest]] = {
    "reasoning": _reasoning,
    "robustness": _robustness,
    "bias": _bias,
    "calibration": _calibration,
}


# --- slots ------------------------------------------------------------------------------------------------------------


def slot_text(name: str) -> str:
    """What stands for each group of the slot: as somebody wrote it, else the set of this name that Candor ships, else nothing but the slot."""
    written = st.session_state.get(slot_key(name))
    return _shipped(name) if written is None else written


def slot_key(name: str) -> str:
    """Key of the field of a slot."""
    return key("bias", f"slot-{name}")


@lru_cache(maxsize=64)
def _shipped(name: str) -> str:
    known = slots.SLOTS.get(name)
    return f"{{{name}}}\n" if known is None else slots.written(known.slot)


def read_slots(asked: Sequence[ProbeItem]) -> tuple[Slot, ...]:
    """The slots that stand in these items; Refused where there are none, or a set cannot be read."""
    found = slot_names(asked)
    if not found:
        raise Refused("The items hold no slots such as {name}, so that nothing in them can be exchanged; write one where a name, an age or a group stands.")  # fmt: skip
    read = []
    for name in found:
        if name not in slots.SLOTS and slot_text(name).strip() in ("", f"{{{name}}}"):
            known = ", ".join(f"{{{one}}}" for one in slots.SLOTS)
            raise Refused(f"Nothing stands for {{{name}}} yet; write its groups under “Who is compared”, or use one of {known}.")  # fmt: skip
        slot = slots.parse(slot_text(name))
        if slot.name != name:
            raise Refused(f"The set for {{{name}}} begins with {slot.written}; begin it with {{{name}}}.")
        read.append(slot)
    return tuple(read)


def cases() -> int | str | None:
    """How many cases the form asks for; why its slots cannot be read, as a sentence; None: something else cannot be asked."""
    found = reading("bias")
    try:
        read_slots(found.items if isinstance(found, Items) else ())
    except Refused as refused:
        return str(refused)
    wanted = asking_of("bias")
    if isinstance(wanted, str):
        return None
    assert isinstance(wanted.request, BiasRequest), type(wanted.request)
    return sum(wanted.request.count(item) for item in wanted.request.items)


# --- instructions -----------------------------------------------------------------------------------------------------


def offered_packs() -> list[str]:
    """The packs that have instructions to look at, those that suit the pair first."""
    mine = [name for name, one in PACKS.items() if one.instructions]
    return sorted(mine, key=lambda name: PACKS[name].for_demo != pairs.embedded())


def pack() -> Pack:
    """The chosen one."""
    return PACKS[field("instructions", "pack")]


def _of_pack(chosen: Pack) -> tuple[str, ...]:
    return tuple(one.text for one in chosen.instructions)


@lru_cache(maxsize=4)
def _typed(text: str, one_text: bool) -> Instructions:
    """One a line, or all of it one instruction; Refused where there is none."""
    if one_text and text.strip():
        return Instructions((text,), (1,), ())
    return lists.parse(text)


def _instructions_of(content: bytes, name: str) -> Instructions:
    """Of a list, or of a person's own field pack; Refused where there is none."""
    if not name.lower().endswith(".json"):
        return lists.read(content, name)
    found = packs.read(content, name)
    if not found.instructions:
        raise Refused(f"{name} is a field pack without instructions; add some, or give another file.")
    return Instructions(_of_pack(found), (), found.problems)


READERS: Mapping[Probe, Callable[[bytes, str], Given]] = {
    "instructions": _instructions_of,
    "published": published_files.read,
}
"""Of files that hold something else than items of a person's own."""


def options() -> tuple[str, ...]:
    """The answers to choose from, which are the same for all instructions; empty: answers are free."""
    return tuple(items.parted(field("instructions", "options")))


def look_at(text: str) -> None:
    """This one instruction becomes what the page of instruction design looks at."""
    for name, value in (("source", TYPED), ("one-text", True), ("typed", text)):
        st.session_state[key("instructions", name)] = value
    forget_problem("instructions")


def use(text: str) -> None:
    """This instruction stands in the editor of the pages that ask one question."""
    inputs.write(editor.INSTRUCTION, text)


# --- what goes on -----------------------------------------------------------------------------------------------------


def changed(probe: Probe) -> bool:
    """Whether the form, or the pair, is another than the one whose results are shown."""
    asking = probing(probe).asking
    return asking is not None and (visits.visit().unopened is not None or asking_of(probe) != asking)


def stop(probe: Probe) -> None:
    """Stop was pressed: what is done stays, and can be gone on from."""
    held = probing(probe).held
    assert held is not None, "nothing is being asked"
    compute.stop(held)


def run_on(probe: Probe) -> None:
    """The same items to the same models, from where they were stopped."""
    asking = probing(probe).asking
    assert asking is not None, "nothing was asked"
    _ask(probe, asking)


def partial(probe: Probe) -> Partial:
    """What was done when it was stopped, as the command line goes on from it."""
    here = probing(probe)
    assert here.asking is not None and here.held is not None, "nothing was asked"
    signatures = Pair(*here.held.job.signatures)
    return Partial(probe, here.asking.specs, signatures, here.asking.request, here.held.shown)


def open_item(probe: Probe, item: int) -> None:
    probing(probe).opened = item
