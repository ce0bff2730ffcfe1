"""The list of many instructions, which outlives the questions of the other pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from pydantic import ValidationError

from dashboard.link import ListLink
from dashboard.session import compute, editor, pairs, questions, visits
from model_utils import intervals
from model_utils.contracts.common import Manner, Message, Specs, explain
from model_utils.contracts.generation import GenerationRequest
from model_utils.contracts.survey import SurveyRequest
from model_utils.items import Items

PASTED = "instructions"
"""Key of the text area of the list."""


@dataclass(frozen=True)
class Asking:
    """Whom a list of instructions was given to."""

    specs: Specs
    request: SurveyRequest


@dataclass
class Many:
    """The list of one visitor, which outlives the questions of the other pages."""

    linked: ListLink | None = None
    """the list that came with the address, until it is run"""
    file: tuple[str, Items | str] | None = None
    """name of the file that was given, and what it holds or why it cannot be read, as a sentence"""
    asking: Asking | None = None
    held: compute.Held | None = None
    """the survey; it goes on while other pages are looked at"""
    problem: str | None = None
    """why the last Run, or an opened row, was not accepted, as a sentence"""
    opened: bool = False
    """whether a row was opened, so that the Compare page is to be shown"""
    forgotten: int = 0
    """how many files were given up; each has an uploader of its own, because none can be emptied"""


def many() -> Many:
    if "many" not in st.session_state:
        st.session_state["many"] = Many()
    return st.session_state["many"]


def survey(instructions: tuple[str, ...]) -> None:
    """Run was pressed under a list: both models are asked each of these in the background, in the editor's manner."""
    wanted = asking_of(instructions)
    if isinstance(wanted, str):
        many().problem = wanted
    else:
        _survey(wanted)


def _survey(asking: Asking) -> None:
    here, before = many(), many().held
    here.asking, here.problem, here.linked = asking, None, None
    here.held = compute.hold("survey", asking.specs, asking.request, background=True)
    if before is not None and before.job is not here.held.job:
        compute.let_go(before)


def asking_of(instructions: tuple[str, ...]) -> Asking | str:
    """The editor's manner for each of these instructions, without earlier turns; or why that cannot be asked."""
    here = visits.visit()
    try:
        asked = replace(editor.form(), instruction=instructions[0], history=()).request()
        request = SurveyRequest(
            instructions=instructions, system=editor.parts(asked.messages)[0] or None, **_manner(asked)
        )
    except ValidationError as error:
        return explain(error)
    problem = None if here.unopened is None else pairs.choose_pair(here.unopened)
    return problem or Asking(here.pair, request)


def _manner(asked: Manner) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in Manner.model_fields}


def first_of(request: SurveyRequest) -> GenerationRequest:
    """The first instruction of a list as a question of its own."""
    system = [Message(role="system", content=request.system)] if request.system else []
    return GenerationRequest(messages=(*system, Message(content=request.instructions[0])), **_manner(request))


def relisted(instructions: tuple[str, ...]) -> bool:
    """Whether this list, or how it would be asked, or whom, is another than the one whose results are shown."""
    asking = many().asking
    return asking is not None and (visits.visit().unopened is not None or asking_of(instructions) != asking)


def stop_survey() -> None:
    """Stop was pressed: what is done stays, and gets its intervals."""
    held = many().held
    assert held is not None, "no list is being asked"
    compute.stop(held)
    if held.partial is not None:
        held.partial = replace(held.partial, intervals=intervals.intervals(held.partial.items))


def survey_again() -> None:
    """The same list once more, from its beginning."""
    asking = many().asking
    assert asking is not None, "no list was asked"
    _survey(asking)


def open_listed(instruction: str) -> None:
    """One instruction of the list becomes the question of every page, asked of the same models in the same manner."""
    here, asking = many(), many().asking
    assert asking is not None, "no list was asked"
    here.problem = None if visits.visit().pair == asking.specs else pairs.choose_pair(asking.specs)
    if here.problem is not None:
        return
    editor.write_form(first_of(asking.request.model_copy(update={"instructions": (instruction,)})))
    questions.run()
    here.opened = True


def row_was_opened() -> bool:
    """Whether a row was opened since this was last asked."""
    here = many()
    opened, here.opened = here.opened, False
    return opened


def keep_file(name: str, read: Items | str) -> None:
    """A file takes the place of the pasted list."""
    here = many()
    here.file, here.problem = (name, read), None


def forget_file() -> None:
    here = many()
    here.file, here.problem, here.forgotten = None, None, here.forgotten + 1


def forget_problem() -> None:
    many().problem = None
