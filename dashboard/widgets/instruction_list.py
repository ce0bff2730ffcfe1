"""The list of instructions: pasted or from a file, what was read of it, what was left out, and Run."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from dashboard.session import address, editor, inputs, listing, pairs
from dashboard.widgets.prompt_editor import about_manner, manner
from dashboard.widgets.text import plain
from model_utils import demo, items, linewise
from model_utils.contracts.survey import MAX_INSTRUCTIONS
from model_utils.errors import Refused
from model_utils.items import Items

MEGABYTES = linewise.MAX_BYTES // 1_000_000
ENDINGS = [ending.removeprefix(".") for ending in items.READERS]
SHOWN = 10
"""Sentences about lines left out that are shown; of the others the number."""


def instruction_list() -> None:
    """Draws the list and how it is asked; Run asks it."""
    here = listing.many()
    address.ask_as_linked(here.linked)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _pasted()
    with right:
        _file()
    manner(lambda: run(reading()), _examples)
    found = reading()
    form = editor.form()
    about_manner(replace(form, samples=1))
    if form.history:
        st.caption("The earlier turns are left out here: each instruction is asked by itself.")
    if form.samples > 1:
        st.caption("Each side answers each instruction once here.")
    if isinstance(found, Items):
        _read(found)
    problem = found if isinstance(found, str) and given() else here.problem
    if not address.write_list_address():
        st.caption("This list is too long for the address of the page: there is no link to it, and a reload loses it.")
    if problem is not None:
        st.error(plain(problem))
    elif here.linked is not None:
        st.caption("This list came with the link; press Run to ask it.")
    elif isinstance(found, Items) and listing.relisted(found.instructions):
        st.caption("You changed the list or how it is asked; what follows is about the one before. Press Run to ask.")


def run(found: Items | str) -> None:
    """Ask what was read, or keep for people why nothing was."""
    if isinstance(found, str):
        listing.many().problem = found
    else:
        listing.survey(found.instructions)


def reading() -> Items | str:
    """What the list holds, or why it cannot be read."""
    file = listing.many().file
    return file[1] if file is not None else pasted(inputs.value(listing.PASTED))


def given() -> bool:
    """Whether there is anything to read."""
    return listing.many().file is not None or bool(inputs.value(listing.PASTED).strip())


def pasted(text: str) -> Items | str:
    """The instructions of a pasted list, or why it cannot be taken, as a sentence."""
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
        key=listing.PASTED,
        height=144,
        placeholder=f"Paste up to {MAX_INSTRUCTIONS:,} instructions. Each is asked by itself.",
        disabled=listing.many().file is not None,
        on_change=listing.forget_problem,
        persist_state="session",
    )


def _file() -> None:
    """The uploader; in its place the file in use, because a change of page empties an uploader."""
    here = listing.many()
    if here.file is not None:
        with st.container(border=True, key="list-file"):
            st.markdown(plain(f"From the file {here.file[0]}"))
            st.button("Use the pasted list instead", key="forget-file", on_click=listing.forget_file)
        return
    key = f"file-{here.forgotten}"
    st.file_uploader(
        "Or a file: txt, csv or jsonl",
        ENDINGS,
        key=key,
        max_upload_size=MEGABYTES,
        on_change=_take_file,
        args=(key,),
        help=(
            f"At most {MEGABYTES} MB and {MAX_INSTRUCTIONS:,} instructions. txt: one a line. csv: the column instruction or prompt. jsonl: objects "
            "with instruction or prompt, or texts; an input in them follows after an empty line."
        ),
    )


def _take_file(key: str) -> None:
    file = inputs.value(key)
    if file is not None:
        listing.keep_file(file.name, from_file(file.name, file.getvalue()))


def _examples() -> None:
    """The instructions that the embedded models can follow, in one click, which takes no list and no work away."""
    if pairs.embedded():
        st.button(
            "Examples",
            key="list-examples",
            on_click=_take_examples,
            disabled=not _idle(),
            help=f"Asks {len(demo.EXAMPLES)} instructions that these models can follow, when there is no other list here "
            "and none is being asked.",
        )


def _idle() -> bool:
    held = listing.many().held
    return not given() and (held is None or held.over)


def _take_examples() -> None:
    if _idle():  # a list can be pasted between the drawing of the button and the click
        text = "\n".join(example.instruction for example in demo.EXAMPLES)
        inputs.write(listing.PASTED, text)
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
