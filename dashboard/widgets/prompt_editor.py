"""The instruction and how each model is asked: on top of every page, the same on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from dashboard.link import MAX_TOP_K
from dashboard.session import address, editor, inputs, pairs, questions, visits
from dashboard.widgets.conversation import earlier_turns
from dashboard.widgets.text import plain
from model_utils import demo
from model_utils.contracts.common import FORMATS, MAX_NEW_TOKENS, SLOT, Specs
from model_utils.contracts.generation import MAX_SAMPLES

EXPLAINED = {
    "chat": "chat: in the chat template",
    "few-shot": "few-shot: after solved examples",
    "plain": "plain: the bare instruction",
    editor.OWN: "own template: in your own text",
}
CHOOSING = {
    editor.GREEDY: "greedy: always the most probable",
    editor.SAMPLED: "sampled: drawn at random, by probability",
}


def prompt_editor(note: Callable[[str], None] = lambda _: None) -> None:
    """Draws the form; Run (or an example) makes it the question of every page. `note` draws what is to be said of the instruction below it."""
    address.ask_as_linked(visits.visit().linked)
    address.look_as_wished()
    address.select_as_wished()
    earlier_turns()
    _instruction()
    note(st.session_state[editor.INSTRUCTION])
    manner(questions.run, _examples)
    about_manner(editor.form())
    _remarks()


def manner(
    run: Callable[[], None],
    examples: Callable[[], None] = lambda: None,
    more: Callable[[], None] | None = None,
    length: bool = True,
) -> None:
    """How each model is asked, whatever it is asked: one row that every page has, with Run at its end.

    `run` is called back: a page that looked at whether Run was pressed would miss it where the next thing typed interrupts the page before.
    `examples` draws what can be asked with one click, `more` the seldom-used where that is something else here; `length`: answers are written.
    """
    chat, whose = not pairs.without_template(), editor.askable()
    with st.container(horizontal=True, vertical_alignment="bottom", key="asking"):
        own = [one for one in whose if _format(one, chat) == editor.OWN]
        if length:
            _length()
        examples()
        with st.popover("More", key="more"):
            (more or _more)()
        st.button("Run", type="primary", key="run", shortcut="Mod+Enter", on_click=run)
    _templates(whose, own)


def about_manner(form: visits.Form) -> None:
    """What has to be known of these models and of how they are asked."""
    if pairs.embedded():
        st.caption(plain(demo.ABOUT))
    if pairs.without_template():
        st.caption(
            "Neither model has a chat template, so they can be asked with examples, with the bare instruction or in a template of your own."
        )
    if (specs := visits.visit().unopened) is not None:
        st.caption(plain(run_opens(specs)))
    if chosen := chosen_under_more(form):
        st.caption(chosen)


def run_opens(specs: Specs) -> str:
    """Whose names whoever wrote the link chose, before anything of them is looked for."""
    names = " and ".join(dict.fromkeys(spec.name for spec in specs.sides))
    return f"Run opens {names}, as the link says; what is not on this machine is downloaded."


def _remarks() -> None:
    """What has to be known before or after Run."""
    here = visits.visit()
    if not address.write_address():
        st.caption(
            "This question is too long for the address of the page: there is no link to it, and a reload loses it."
        )
    if here.problem:
        st.error(plain(here.problem))
    elif here.linked is not None:
        st.caption("This question came with the link; press Run to ask it.")
    if questions.edited():
        st.caption("You changed the question; what follows is still about the one before. Press Run to ask again.")


def chosen_under_more(form: visits.Form) -> str:
    """What is not as it is at first, in words, because the popover hides it."""
    said = manner_said(form.same_tokens, form.sampling, form.system, form.samples)
    return f"Asked with: {'; '.join(said)}." if said else ""


def manner_said(same_tokens: bool, sampling: Mapping[str, float] | None, system: str, samples: int = 1) -> list[str]:
    """How both sides are asked, beside formats and length, in words; what is as it is at first is not said."""
    said = ["the same tokens on both sides"] if same_tokens else []
    if sampling is not None:
        drawn = [f"temperature {sampling['temperature']:g}"]
        drawn += [f"top-p {sampling['top_p']:g}"] if sampling["top_p"] != 1 else []
        drawn += [f"top-k {sampling['top_k']:,}"] if sampling["top_k"] else []
        drawn += [f"seed {sampling['seed']}"]
        drawn += [f"{samples} answers a side"] if samples > 1 else []
        said.append(f"sampled ({', '.join(drawn)})")
    return [*said, "with a system message"] if system.strip() else said


def _instruction() -> None:
    st.text_area(
        "Instruction",
        key=editor.at_first(editor.INSTRUCTION),
        height=96,
        placeholder="Type what both models should do"
        + (" next, after the earlier turns." if visits.visit().history else "."),
        persist_state="session",
    )


def _format(whose: str, chat: bool) -> str:
    """How one side, or both, are asked; `chat`: whether that can be chosen."""
    return st.selectbox(
        f"Format for {whose}",
        [name for name in (*FORMATS, editor.OWN) if chat or name != "chat"],
        format_func=EXPLAINED.__getitem__,
        key=editor.at_first(editor.format_key(whose, chat)),
        help="What is written around the instruction before the model reads it. Base models only continue text, so examples help them; tuned models were trained on chats.",
        width=256,
        persist_state="session",
    )


def _length() -> None:
    st.number_input(
        "Longest answer, tokens",
        min_value=1,
        max_value=MAX_NEW_TOKENS,
        key=editor.at_first("length"),
        help="An answer ends by itself or here; in a format other than chat also at an empty line, or where the format would begin the next instruction.",
        width=168,
        persist_state="session",
    )


def _templates(whose: tuple[str, ...], own: list[str]) -> None:
    """Where own templates are written, each below its picker."""
    if not own:
        return
    for column, one in zip(st.columns(len(whose), gap="medium"), whose, strict=True):
        if one in own:
            column.text_area(
                f"Template for {one}",
                key=editor.at_first(f"template-{one}"),
                height=96,
                help=f"What the model reads, with {SLOT} where the instruction goes; the answer follows.",
                persist_state="session",
            )


def _examples() -> None:
    """A menu of instructions that the embedded models can follow; choosing one asks it."""
    if not pairs.embedded():
        return
    st.selectbox(
        "Examples",
        demo.EXAMPLES,
        index=None,
        format_func=lambda example: example.label,
        placeholder="Choose one",
        key="example",
        on_change=_take_example,
        width=160,
    )


def _take_example() -> None:
    chosen = inputs.take("example")
    if chosen is not None:
        inputs.write(editor.INSTRUCTION, chosen.instruction)
        questions.run()


# --- the seldom-used ----------------------------------------------------------------------------------------------------


def same_tokens() -> None:
    st.toggle(
        "The same tokens on both sides",
        key=editor.at_first("same-tokens"),
        help="Both models read exactly one prompt, in one format, so that nothing but their weights differs.",
        persist_state="session",
    )


def _more() -> None:
    same_tokens()
    st.text_area(
        "System message",
        key=editor.at_first("system"),
        height=68,
        placeholder="None. It is written in front of the conversation.",
        persist_state="session",
    )
    how = st.radio(
        "How each token is chosen",
        list(CHOOSING),
        horizontal=True,
        format_func=CHOOSING.__getitem__,
        key=editor.at_first("sampling"),
        persist_state="session",
    )
    if how == editor.SAMPLED:
        _sampling()
    st.caption("The address of this page holds the question and the view: copy it to come back, or for others.")


def _sampling() -> None:
    first, second, third = st.columns(3)
    with first:
        _share("Temperature", "temperature", "Below 1 the probable tokens become more probable, above 1 less.")
    with second:
        _share("Top-p", "top_p", "Only the most probable tokens that hold this much probability together can be drawn.")
    with third:
        _count("Top-k", "top_k", 0, MAX_TOP_K, "Only the k most probable tokens can be drawn; 0: all can.")
    first, second, _ = st.columns(3)
    with first:
        _count(
            "Seed", "seed", 0, 2**32 - 1, "The same seed draws the same answers; each further answer takes the next."
        )
    with second:
        _count("Answers a side", "samples", 1, MAX_SAMPLES, "The first one of each side is looked into on every page.")


def _share(label: str, key: str, help: str) -> None:
    """Any number may be typed; Run says which are possible."""
    st.number_input(label, step=0.1, format="%g", key=editor.at_first(key), help=help, persist_state="session")


def _count(label: str, key: str, low: int, high: int, help: str) -> None:
    st.number_input(label, low, high, step=1, key=editor.at_first(key), help=help, persist_state="session")
