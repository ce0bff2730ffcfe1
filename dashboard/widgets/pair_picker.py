"""Which two models are compared: shown in the header of every page, changed in the panel that opens from it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import session
from dashboard.widgets.text import plain
from model_utils.pair import Pair

EMBEDDED = {
    "demo/tuned against demo/base": Pair("demo/base", "demo/tuned"),
    "demo/flawed against demo/base": Pair("demo/base", "demo/flawed"),
}
FOLDERS = "two folders on this machine"


def pair_picker() -> None:
    pair = session.visit().pair
    with st.popover(f"{_name(pair.base)} vs {_name(pair.tuned)}", key="pair"):
        choice = st.radio(
            "Models to compare", [*EMBEDDED, FOLDERS], key="pair-choice", on_change=_choose, persist_state="session"
        )
        if choice == FOLDERS:
            _folders()


def _name(id: str) -> str:
    """Embedded models by their name, folders by their last part."""
    return plain(id if id.startswith("demo/") else Path(id).name or id)


def _choose() -> None:
    choice = session.value("pair-choice")
    if choice in EMBEDDED:
        session.choose_pair(EMBEDDED[choice])


def _folders() -> None:
    with st.form("folders", border=False):
        base = st.text_input("Folder of the base model", key="folder-base", persist_state="session").strip()
        tuned = st.text_input("Folder of the tuned model", key="folder-tuned", persist_state="session").strip()
        st.caption("Folders in Hugging Face format, as save_pretrained writes them, with safetensors weights.")
        if st.form_submit_button("Compare these"):
            problem = session.choose_pair(Pair(base, tuned)) if base and tuned else "Type both folders."
            if problem is None:
                st.rerun()
            st.error(plain(problem))
