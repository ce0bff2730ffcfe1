"""The browser's address: it says what is asked and looked at, and brings it back."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboard import link
from dashboard.link import Link, ListLink, View, W, Whom
from dashboard.session import editor, listing, pairs, questions, selection, visits
from model_utils.contracts.common import Specs
from model_utils.errors import Refused
from model_utils.items import Items

ADDRESS, LIST_ADDRESS = "ask", "list"
"""The parameters of a page's address that hold the question with what is looked at, and the list of instructions."""
OF_THE_MODELS: dict[str, str] = {"attention_kind": "attention-kind", "layer": "layer", "head": "head"}
"""Field of a `View` -> key of its widget, for what cannot be chosen before the models are known."""
OF_ANY: dict[str, str] = {
    **{name: name for name in ("quantity", "extent", "measure", "method", "granularity", "operator", "spans")},
    "instruction_only": "prompt-only",
    "own_texts": "own-texts",
}
"""The same for the other widgets."""


def arrive() -> None:
    """At the start of a visit: restores what the address says, and runs, opens and looks for nothing."""
    if visits.begun():
        return
    came, visits.visit().problem = _came(ADDRESS, Link)
    listed, listing.many().problem = _came(LIST_ADDRESS, ListLink)
    if came is not None:
        _restore(came)
    if listed is not None:  # last: only the page of the list has an address with both
        _restore_list(listed)


def _came(name: str, kind: type[W]) -> tuple[W | None, str | None]:
    """What this parameter of the address holds; or why it cannot be read, as a sentence."""
    try:
        return link.decode(st.query_params[name], kind) if name in st.query_params else None, None
    except Refused as refused:
        return None, str(refused)


def _restore(came: Link) -> None:
    here = visits.visit()
    here.linked, here.wished = came, came.view
    here.side, here.split = came.view.side, came.view.split
    editor.write_form(came.request)
    _write_view(came.view, OF_ANY)
    _fill(came)


def _restore_list(came: ListLink) -> None:
    """A list that cannot be pasted, because an instruction has several lines, stands there as if from a file."""
    listed = came.request.instructions
    listing.many().linked = came
    if any(len(one.splitlines()) != 1 for one in listed):
        listing.keep_file("the link", Items(listed, tuple(range(1, len(listed) + 1)), ()))
    else:
        st.session_state[listing.PASTED] = "\n".join(listed)
    _fill(came)


def _fill(came: Link | ListLink) -> None:
    """The pair, and into the editor how it is asked."""
    here = visits.visit()
    here.unopened = None if came.specs == here.opened_pair else came.specs
    editor.write_manner(came.request, _system(came))
    here.filled = visits.Filled(came, here.pair, editor.manner_fields())


def _system(came: Link | ListLink) -> str:
    return editor.parts(came.request.messages)[0] if isinstance(came, Link) else came.request.system or ""


def ask_as_linked(came: Link | ListLink | None) -> None:
    """Before a page is drawn: whom and how the address asks what this page would run.

    The question and the list share one editor and can come with different manners. What was changed since stays.
    """
    here = visits.visit()
    if came is None or here.filled is None or came == here.filled.came or _changed(here.filled):
        return
    before = here.pair
    _fill(came)
    if here.pair != before:
        st.rerun()  # the header is drawn already, and it names the pair


def _changed(filled: visits.Filled) -> bool:
    """Whether a person chose another pair or manner since."""
    return (visits.visit().pair, editor.manner_fields()) != (filled.pair, filled.fields)


def _write_view(view: View, keys: Mapping[str, str]) -> None:
    for name, key in keys.items():
        if getattr(view, name) is not None:
            st.session_state[key] = getattr(view, name)


def look_as_wished() -> None:
    """What the address wanted to look at, once the models are known; before the pickers are drawn."""
    here = visits.visit()
    if here.wished is not None and pairs.facts() is not None:
        _write_view(here.wished, OF_THE_MODELS)
        here.wished = None


def select_as_wished() -> bool:
    """What the address selects, once the answer is known and if it has that; True when that is news."""
    here = visits.visit()
    answer = questions.known_answer(here.side) if here.awaited is not None else None
    if answer is None or here.awaited is None:
        return False
    wished, here.awaited = here.awaited, None
    if wished.side == here.side and (wished.token is None or wished.token < len(answer)):
        here.token, here.pinned, here.other_token = wished.token, wished.pinned, wished.other_token
        selection.compare_with(wished.against)
    return here.token is not None or here.other_token is not None or wished.against is not None


def write_address() -> bool:
    """Makes the address say what is asked and looked at; False when that is too long for an address.

    Written whenever a page is drawn: a change of page drops it, and a rerun may swallow what was written before.
    """
    return _write(ADDRESS, _address())


def write_list_address() -> bool:
    """The same for the page of many instructions: whom the list was given to, and how it was asked."""
    here = listing.many()
    came = here.linked
    if here.asking is not None:
        base, tuned = here.asking.specs.sides
        came = ListLink(base=base, tuned=tuned, request=here.asking.request)
    return _write(LIST_ADDRESS, "" if came is None else _fitting(came))


def _write(name: str, text: str | None) -> bool:
    if text:
        st.query_params[name] = text
    elif name in st.query_params:
        del st.query_params[name]
    return text is not None


def _fitting(whom: Whom) -> str | None:
    """As text; None: it would be too long for an address."""
    text = link.encode(whom)
    return text if link.fits(text) else None


def _address() -> str | None:
    """What the address has to say, nothing before something was asked; None: it would be too long."""
    here = visits.visit()
    if here.linked is not None:
        specs, request = _pair_of(here.linked), here.linked.request
    elif here.question is not None:
        specs, request = here.question.specs, here.question.request
    else:
        return ""
    if sum(len(message.content) for message in request.messages) > link.MAX_LINK:
        return None
    return _fitting(Link(base=specs.base, tuned=specs.tuned, request=request, view=_view()))


def _pair_of(came: Link) -> Specs:
    """Its own, or what a person chose since."""
    here = visits.visit()
    return came.specs if here.filled is not None and here.pair == here.filled.pair else here.pair


def _view() -> View:
    """What this visitor looks at."""
    here = visits.visit()
    if here.linked is not None:
        return here.linked.view
    wished = here.wished.model_dump(include=set(OF_THE_MODELS)) if here.wished else {}
    keys = OF_ANY if here.wished else OF_ANY | OF_THE_MODELS
    seen = {name: st.session_state.get(key) for name, key in keys.items()}
    selected = here.awaited or here
    against = selection.compared_with() if here.awaited is None else here.awaited.against
    return View(
        side=here.side,
        token=selected.token,
        pinned=selected.pinned,
        other_token=selected.other_token,
        against=against,
        split=here.split,
        **wished,
        **seen,
    )
