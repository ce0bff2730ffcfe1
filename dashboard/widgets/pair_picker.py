"""Which two models are compared: the button in the header of every page, and the panel that opens from it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from pydantic import ValidationError
from streamlit.delta_generator import DeltaGenerator

from dashboard.session import compute, inputs, pairs, visits
from dashboard.widgets.load_report import POLL_SECONDS, sentence
from dashboard.widgets.progress import status
from dashboard.widgets.text import plain
from model_utils.catalogue import EMBEDDED, PUBLIC, PublicPair
from model_utils.contracts.common import DTYPES, PLACEMENTS, Dtype, ModelSpec, Placement, Specs, explain
from model_utils.pair import SIDES, Pair

DTYPE_WORDS: dict[Dtype, str] = {
    "auto": "auto: float32 where both fit",
    "float32": "float32: exact",
    "bfloat16": "bfloat16: half the memory",
    "float16": "float16: half the memory",
}
PLACEMENT_WORDS: dict[Placement, str] = {
    "auto": "auto: a GPU where both fit",
    "cpu": "the processor",
    "cuda": "one GPU",
    "spread": "spread over all GPUs",
}


FOCUS = """<script>{
const panel = document.querySelector(".st-key-pair-panel")?.closest("[data-testid=stPopoverBody]");
if (panel && !panel.contains(document.activeElement)) { panel.tabIndex = -1; panel.focus(); }
}</script>"""
"""Streamlit draws a popover at the end of the page, many tab stops away from its button."""


def pair_picker() -> None:
    """Draws the button; with the panel in it while that is open."""
    pairs.keep_panel()
    panel = st.popover(plain(title(visits.visit().pair)), key=pairs.PAIR_PANEL, on_change="rerun")
    if panel.open:
        with panel, st.container(key="pair-panel"):
            top = st.container()
            _present()
            left, right = st.columns(2, gap="medium")
            with left:
                _embedded()
                _recent()
            with right:
                _public()
            _refused(_own() or top)
            st.html(FOCUS, unsafe_allow_javascript=True)


def _refused(place: DeltaGenerator) -> None:
    """Why the last choice was not taken, where whoever made it looks."""
    here = visits.visit()
    if here.refused:
        place.error(plain(f"{here.refused} The pair is still {title(here.pair)}."))


def title(specs: Specs) -> str:
    """A pair in few words."""
    return f"{short_name(specs.base)} vs {short_name(specs.tuned)}"


def short_name(spec: ModelSpec) -> str:
    """Embedded models by their whole name; of folders and Hub names the last part."""
    name = _last_part(spec.id) + (f"@{spec.revision}" if spec.revision else "")
    return f"{name} + {_last_part(spec.adapter)}" if spec.adapter else name


def _last_part(id: str) -> str:
    return id if id.startswith("demo/") else Path(id).name or id


# --- the present pair -------------------------------------------------------------------------------------------------


def _present() -> None:
    """What is known about the pair that is asked, and what became of the last choice."""
    here = visits.visit()
    known = ""
    if here.unopened is None:
        held = here.report or pairs.report_pair()
        held.job.wait(0.2)
        if not held.over:
            st.fragment(_opening, run_every=POLL_SECONDS)(held)
            return
        if held.state == "failed":
            st.error(plain(f"{held.job.error} The pair is {title(here.pair)} again."))
        elif held.state == "cancelled":
            st.caption(plain(f"Stopped. The pair is {title(here.pair)} again."))
        known = plain(sentence(held.result)) if held.result is not None else ""
    words, button = st.columns([4, 1], vertical_alignment="center")
    words.markdown(known)
    button.button("Load report", key="read-report", on_click=pairs.read_report, width="stretch")


def _opening(held: compute.Held) -> None:
    if held.over:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(held.job.fraction, text=plain(status(held)))
        st.button("Cancel", key="cancel-opening", on_click=pairs.cancel_opening)
    if held.shown is not None:
        st.caption(plain(sentence(held.shown)))


# --- pairs to choose --------------------------------------------------------------------------------------------------


def _choice(specs: Specs, name: str, about: str, key: str) -> None:
    """One line of a list; the present pair has a mark."""
    mark = "  ✓" if specs == visits.visit().pair else ""
    about = f"  \n:small[:gray[{plain(about)}]]" if about else ""
    label = f"{plain(name)}{mark}{about}"
    st.button(label, key=key, type="tertiary", width="stretch", wrap=True, on_click=_choose, args=(specs,))


def _choose(specs: Specs) -> None:
    visits.visit().refused = pairs.choose_pair(specs)


def _embedded() -> None:
    st.markdown("**On this machine**")
    with st.container(gap=None):
        for number, pair in enumerate(EMBEDDED):
            _choice(pair.specs, title(pair.specs), pair.about, f"embedded-{number}")


def _recent() -> None:
    others = [specs for specs in pairs.other_pairs() if specs not in [pair.specs for pair in EMBEDDED]]
    if others:
        st.markdown("**Recent**")
    with st.container(gap=None):
        for number, specs in enumerate(others):
            _choice(specs, title(specs), "", f"recent-{number}")


def _public() -> None:
    st.markdown("**From the Hugging Face Hub**")
    st.caption("Choosing one downloads both models, once. Until then nothing is asked of the Hub.")
    with st.container(gap=None):
        for number, pair in enumerate(PUBLIC):
            _choice(pair.specs, pair.name, _about(pair), f"public-{number}")


def _about(pair: PublicPair) -> str:
    size = f"about {pair.gigabytes:.{0 if pair.gigabytes >= 10 else 1}f} GB"
    kind = ["encoder-decoder"] if pair.encoder_decoder else []
    return ", ".join([size, pair.licence, *(["asks for a login"] if pair.gated else []), *kind])


# --- any other pair ---------------------------------------------------------------------------------------------------


def _own() -> DeltaGenerator | None:
    """Draws the form on demand; returns the place beside its button, when it is open."""
    form = st.expander("Any other pair: folders, Hub names, adapters", key="own-open", on_change="rerun")
    if not form.open:
        return None
    with form, st.form("own", border=False):
        for column, side in zip(st.columns(2, gap="medium"), SIDES, strict=True):
            with column:
                _fields(side)
        left, right = st.columns(2, gap="medium")
        left.selectbox(
            "Number format", DTYPES, format_func=DTYPE_WORDS.__getitem__, key="own-dtype", persist_state="session"
        )
        right.selectbox(
            "Computed on", PLACEMENTS, format_func=PLACEMENT_WORDS.__getitem__, key="own-placement", persist_state="session"
        )  # fmt: skip
        st.caption(
            "Folders in Hugging Face format, as save_pretrained writes them, with safetensors weights. "
            "A Hub name (owner/name) is downloaded when you press the button."
        )
        beside = st.container()
        st.form_submit_button("Compare these", on_click=_choose_own)
    return beside


def _fields(side: str) -> None:
    st.text_input(
        f"{side.capitalize()}: folder or Hub name",
        key=f"own-{side}-id",
        placeholder="/path/to/model or owner/name",
        persist_state="session",
    )
    st.text_input(
        f"Revision of {side}",
        key=f"own-{side}-revision",
        placeholder="of a Hub model; main branch",
        persist_state="session",
    )
    st.text_input(
        f"Adapter over {side}",
        key=f"own-{side}-adapter",
        placeholder="none, or a folder or Hub name",
        persist_state="session",
    )


def _choose_own() -> None:
    """What was typed becomes the pair."""
    if not all(inputs.value(f"own-{side}-id").strip() for side in SIDES):
        visits.visit().refused = "Type a folder or a Hub name for both sides."
        return
    try:
        _choose(Pair(_typed("base"), _typed("tuned")))
    except ValidationError as error:
        visits.visit().refused = explain(error)


def _typed(side: str) -> ModelSpec:
    id, revision, adapter = (inputs.value(f"own-{side}-{part}").strip() for part in ("id", "revision", "adapter"))
    return ModelSpec(
        id=id,
        revision=revision or None,
        adapter=adapter or None,
        dtype=inputs.value("own-dtype"),
        placement=inputs.value("own-placement"),
    )
