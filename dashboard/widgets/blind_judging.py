"""Both answers judged without being told whose they are; what the judgements came to."""

from __future__ import annotations

import streamlit as st

from dashboard.session import judging, keeping
from dashboard.widgets.session_view import View
from dashboard.widgets.text import answer_text, escaped, plain, side_title
from model_utils.contracts.preferences import Preferences
from model_utils.contracts.records import Choice, Preference
from model_utils.pair import other_side
from model_utils.records import preferences
from model_utils.records.preferences import Comparison, Comparisons

PANEL, RESULTS = "judge-blind", "preferences"
"""Keys of what is judged, and of what came out."""
BUTTONS: dict[str, Choice] = {
    "A is better": "left",
    "B is better": "right",
    "Equally good": "tie",
    "Both bad": "both bad",
}
WROTE = {"user": "Instruction", "assistant": "Answered before", "system": "System message"}


def judge_blind(view: View) -> bool:
    """Draws what can be judged, and what the judgements came to; True while somebody judges, who must not see the records."""
    if not any(one.analysis in preferences.ANALYSES for one in view.overview.records):
        return False
    here = judging.judging()
    problem, here.problem = here.problem, None
    if problem:
        st.error(plain(problem))
    if not view.overview.closed:
        with st.expander("Judge the answers blind", key=PANEL, on_change="rerun") as panel:
            if panel.open:
                _judge(view)
        if panel.open:
            st.caption("The records are hidden while you judge, because they say whose answer is whose. Close the panel to see them.")  # fmt: skip
            return True
    _results(view)
    return False


def _judge(view: View) -> None:
    found = judging.asked(view.overview)
    if not found.found:
        st.caption(f"There are no two unlike answers to judge here: record some on Compare or Many.{_alike(found)}")
        return
    st.caption("Two answers to one instruction, without a word on who wrote them. Which stands where was drawn at random, and stays so when you come back. After your choice you are told.")  # fmt: skip
    name = st.text_input("Your name", value=keeping.author(), key=f"judge-name-{view.session}").strip()
    if not name:
        st.caption("Type your name: whoever reads the judgements has to know who made them.")
        return
    given = preferences.given(keeping.records(), view.session)
    done = {(one.record, one.preference.item) for one in given if one.preference.author.casefold() == name.casefold()}
    left = [one for one in found.found if one.key not in done]
    count = len(found.found) - len(left)
    st.progress(count / len(found.found), text=f"{count:,} of {len(found.found):,} judged.{_alike(found)}")
    here = judging.judging()
    if here.said is not None and (here.said.session, here.said.preference.author) == (view.session, name):
        _told(here.said.comparison, here.said.preference)
        st.button("Next" if left else "Done", key="next-judged", type="primary", on_click=judging.go_on)
        if left:
            st.caption("What all judgements come to is shown when you have judged all, or when you close the panel: who looks after each one is led by it.")  # fmt: skip
        else:
            _came_to(preferences.concluded(found, given))
    elif left:
        _ask(view.session, preferences.in_order(left, name)[0], name)
    else:
        st.success("You judged all of them.")
        _came_to(preferences.concluded(found, given))


def _alike(found: Comparisons) -> str:
    """How many nobody is asked about, as the end of a sentence."""
    same, again = found.same, found.repeated
    said = f" {same:,} {'is' if same == 1 else 'are'} word for word the same." if same else ""
    return said + (f" {again:,} {'was' if again == 1 else 'were'} recorded before." if again else "")


def _ask(session: str, one: Comparison, name: str) -> None:
    """The instruction, and both answers in the same type: nothing of it says whose they are."""
    judging.show(session, one, name)
    _messages(one)
    side = preferences.left_side(one, name)
    for letter, text, column in zip("AB", (one.answers[side], one.answers[other_side(side)]), st.columns(2, gap="medium"), strict=True):  # fmt: skip
        with column:
            st.markdown(f"**{letter}**")
            answer_text(text, side="unnamed")
    reason = f"judged-why-{session}-{one.record}-{one.item}-{name}"
    st.text_input("Why", key=reason, placeholder="may stay empty")
    with st.container(horizontal=True):
        for label, choice in BUTTONS.items():
            st.button(label, key=f"judge-{choice}", on_click=judging.choose, args=(session, one, name, choice, reason))


def _messages(one: Comparison) -> None:
    """What both models were asked."""
    for message in one.messages:
        st.markdown(f"**{WROTE[message.role]}**")
        st.html(f'<div class="written" dir="auto">{escaped(message.content)}</div>')


def _told(one: Comparison, preference: Preference) -> None:
    """Whose answers they were."""
    left, right = preference.left, other_side(preference.left)
    said = {"tie": "You found both equally good", "both bad": "You found both bad"}
    chosen = said.get(preference.preferred, f"You preferred the answer of {preference.winner}")
    st.markdown(f"**{chosen}.** A was {left}, B was {right}.")
    _messages(one)
    for side, letter, column in zip((left, right), "AB", st.columns(2, gap="medium"), strict=True):
        with column:
            side_title(side, one.models[side], letter)
            answer_text(one.answers[side], side=side)


def _results(view: View) -> None:
    """On demand, because all answers of the session are read for it."""
    count = sum(one.kind == "preference" and not one.erased for one in view.listed)
    if not count:
        return
    with st.expander(f"What blind judgements came to ({count:,})", key=RESULTS, on_change="rerun") as panel:
        if panel.open:
            given = preferences.given(keeping.records(), view.session)
            _came_to(preferences.concluded(judging.asked(view.overview), given))


def _came_to(found: Preferences) -> None:
    """Sentences, and every judgement."""
    st.markdown("\n".join(f"- {plain(one)}" for one in found.said()))
    if found.judged:
        st.caption("p is right where it was settled beforehand how many answers are judged; who stops as soon as it is small finds differences too often.")  # fmt: skip
    st.dataframe(found.table(), hide_index=True)
