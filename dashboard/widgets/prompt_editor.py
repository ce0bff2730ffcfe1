"""The instruction and how each model is asked: on top of every page, the same on all of them."""

from __future__ import annotations

import streamlit as st

from dashboard import session
from dashboard.widgets.text import plain
from model_utils import demo
from model_utils.contracts.common import FORMATS, MAX_NEW_TOKENS, Format
from model_utils.pair import Pair, Side

EXPLAINED: dict[Format, str] = {
    "chat": "chat: as a message in a conversation",
    "few-shot": "few-shot: after three solved examples",
    "plain": "plain: the bare instruction",
}
DEFAULT_FORMATS: Pair[Format] = Pair("few-shot", "chat")
WITHOUT_TEMPLATE: Pair[Format] = Pair("few-shot", "plain")
"""The defaults for two models neither of which has a chat template."""
DEFAULT_NEW_TOKENS = 128


def prompt_editor() -> None:
    """Draws the form; Run (or an example) makes it the question of every page."""
    instruction = _instruction()
    with st.container(horizontal=True, vertical_alignment="bottom", key="asking"):
        formats = _formats()
        max_new_tokens = _length()
        _examples(formats, max_new_tokens)
        if st.button("Run", type="primary", key="run", shortcut="Mod+Enter"):
            session.run(instruction, formats, max_new_tokens)
    if _embedded():
        st.caption(plain(demo.ABOUT))
    if session.without_template():
        st.caption(
            "Neither model has a chat template, so they can be asked with examples or with the bare instruction."
        )
    if session.visit().problem:
        st.error(plain(session.visit().problem or ""))
    elif session.edited(instruction, formats, max_new_tokens):
        st.caption("You changed the question; what follows is still about the one before. Press Run to ask again.")


def _instruction() -> str:
    return st.text_area(
        "Instruction",
        key=session.INSTRUCTION,
        height=96,
        placeholder="Type what both models should do.",
        persist_state="session",
    )


def _formats() -> Pair[Format]:
    chat = not session.without_template()
    defaults = DEFAULT_FORMATS if chat else WITHOUT_TEMPLATE
    return Pair(_format("base", defaults.base, chat), _format("tuned", defaults.tuned, chat))


def _format(side: Side, default: Format, chat: bool) -> Format:
    """How one side is asked; `chat`: whether that can be chosen. Pairs with and without a template keep their own choice."""
    options = [format for format in FORMATS if chat or format != "chat"]
    return st.selectbox(
        f"Format for {side}",
        options,
        index=options.index(default),
        format_func=EXPLAINED.__getitem__,
        key=f"format-{side}" if chat else f"format-{side}-without-chat",
        help="What is written around the instruction before the model reads it. Base models only continue text, so examples help them; tuned models were trained on chats.",
        width=272,
        persist_state="session",
    )


def _length() -> int:
    return st.number_input(
        "Longest answer, tokens",
        min_value=1,
        max_value=MAX_NEW_TOKENS,
        value=DEFAULT_NEW_TOKENS,
        key="length",
        help="Answers are greedy: at every step the most probable token is taken.",
        width=168,
        persist_state="session",
    )


def _embedded() -> bool:
    return all(spec.id in demo.MODELS for _, spec in session.visit().pair.items())


def _examples(formats: Pair[Format], max_new_tokens: int) -> None:
    """A menu of instructions that the embedded models can follow; choosing one asks it."""
    if not _embedded():
        return
    st.selectbox(
        "Examples",
        demo.EXAMPLES,
        index=None,
        format_func=lambda example: example.label,
        placeholder="Choose one",
        key="example",
        on_change=_take_example,
        args=(formats, max_new_tokens),
        width=208,
    )


def _take_example(formats: Pair[Format], max_new_tokens: int) -> None:
    chosen = session.take("example")
    if chosen is not None:
        session.write_instruction(chosen.instruction)
        session.run(chosen.instruction, formats, max_new_tokens)
