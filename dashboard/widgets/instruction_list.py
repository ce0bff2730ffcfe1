"""The list of instructions: pasted or from a file, what was read of it, what was left out, and Run."""

from __future__ import annotations

import streamlit as st

from dashboard import session
from dashboard.widgets.prompt_editor import about_manner, embedded, manner
from dashboard.widgets.text import plain
from model_utils import demo, items
from model_utils.errors import Refused
from model_utils.items import Items

ENDINGS = [ending.removeprefix(".") for ending in items.READERS]
SHOWN = 10
"""Sentences about lines left out that are shown; of the others the number."""


def instruction_list() -> None:
    """Draws the list and how it is asked; Run asks it."""
    here = session.many()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _pasted()
    with right:
        _file()
    found = reading()
    if manner(_examples):
        run(found)
        st.rerun()  # the header is drawn already, and it shows what goes on in the background
    about_manner()
    if session.visit().history:
        st.caption("The earlier turns are left out here: each instruction is asked by itself.")
    if isinstance(found, Items):
        _read(found)
    problem = found if isinstance(found, str) and given() else here.problem
    if not session.write_list_address():
        st.caption("This list is too long for the address of the page: there is no link to it, and a reload loses it.")
    if problem is not None:
        st.error(plain(problem))
    elif here.linked is not None:
        st.caption("This list came with the link; press Run to ask it.")
    elif isinstance(found, Items) and session.relisted(found.instructions):
        st.caption("You changed the list or how it is asked; what follows is about the one before. Press Run to ask.")


def run(found: Items | str) -> None:
    """Ask what was read, or keep for people why nothing was."""
    if isinstance(found, str):
        session.many().problem = found
    else:
        session.survey(found.instructions)


def reading() -> Items | str:
    """What the list holds, or why it cannot be read."""
    file = session.many().file
    return file[1] if file is not None else pasted(session.value(session.PASTED))


def given() -> bool:
    """Whether there is anything to read."""
    return session.many().file is not None or bool(session.value(session.PASTED).strip())


def pasted(text: str) -> Items | str:
    """The instructions of a pasted list, or why it cannot be taken, as a sentence."""
    size = len(text.encode("utf-8", "replace"))
    if size > items.MAX_BYTES:
        return f"The pasted list has {size:,} bytes; at most {items.MAX_BYTES:,} are taken, so split it."
    try:
        return items.parse(text)
    except Refused as refused:
        return str(refused)


def from_file(name: str, content: bytes) -> Items | str:
    """The instructions of a file, or why it cannot be taken, as a sentence."""
    try:
        return items.read(content, name)
    except Refused as refused:
        return str(refused)


def _pasted() -> None:
    st.text_area(
        "Instructions, one a line",
        key=session.PASTED,
        height=144,
        placeholder="Paste up to 2,000 instructions. Each is asked by itself.",
        disabled=session.many().file is not None,
        on_change=session.forget_problem,
        persist_state="session",
    )


def _file() -> None:
    """The uploader; in its place the file in use, because a change of page empties an uploader."""
    here = session.many()
    if here.file is not None:
        with st.container(border=True, key="list-file"):
            st.markdown(plain(f"From the file {here.file[0]}"))
            st.button("Use the pasted list instead", key="forget-file", on_click=session.forget_file)
        return
    key = f"file-{here.forgotten}"
    st.file_uploader(
        "Or a file: txt, csv or jsonl",
        ENDINGS,
        key=key,
        max_upload_size=items.MAX_BYTES // 1_000_000,
        on_change=_take_file,
        args=(key,),
        help=(
            "At most 5 MB and 2,000 instructions. txt: one a line. csv: the column instruction or prompt. jsonl: objects "
            "with instruction or prompt, or texts; an input in them follows after an empty line."
        ),
    )


def _take_file(key: str) -> None:
    file = session.value(key)
    if file is not None:
        session.keep_file(file.name, from_file(file.name, file.getvalue()))


def _examples() -> None:
    """The instructions that the embedded models can follow, in one click."""
    if embedded():
        st.button(
            "Examples",
            key="list-examples",
            on_click=_take_examples,
            help=f"Asks {len(demo.EXAMPLES)} instructions that these models can follow.",
        )


def _take_examples() -> None:
    text = "\n".join(example.instruction for example in demo.EXAMPLES)
    session.forget_file()
    session.write_list(session.PASTED, text)
    run(pasted(text))


def _read(found: Items) -> None:
    """How much was read, and what was left out and why."""
    st.caption(plain(read_said(found)))
    if found.problems:
        with st.expander("The lines that were left out"):
            for problem in found.problems[:SHOWN]:
                st.markdown(plain(problem))
            if len(found.problems) > SHOWN:
                st.caption(f"And {len(found.problems) - SHOWN:,} more.")


def read_said(found: Items) -> str:
    count, left_out = len(found.instructions), len(found.problems)
    left = f"{left_out:,} line{' was' if left_out == 1 else 's were'} left out" if left_out else "nothing was left out"
    return f"{count:,} instruction{'' if count == 1 else 's'}; {left}."
