"""What rules say of an instruction's wording, without a model: its marked words, why they matter, and what to write instead."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate, pairwise

import pandas as pd
import streamlit as st

from dashboard.session import probing
from dashboard.widgets.download import heading_with_csv
from dashboard.widgets.text import escaped, plain
from model_utils.contracts.wording import Mark
from model_utils.items import Items
from model_utils.probes.packs import Mark as AuthorsMark
from model_utils.wording import marks
from model_utils.wording.reading import is_english
from model_utils.wording.said import held_out_said, quoted

NOTED = 4_000
"""Characters of an instruction from which on nothing is said under the editor: the rules take 4 to 90 ms of processor
time for a thousand of them (on two slow cores with tests beside them; short words that nearly match take longest), so a third of a second at most."""
NAMED, SHORT = 3, 32
"""Places that are named under the editor, of the others the number; and characters of the words of one."""
SHOWN = 10
"""Instructions that are shown with their marks."""
LISTED = 50
"""Marks of one instruction that are shown, each with elements of its own."""
LOOKED_AT, TEXTS = 40_000, 1_000
"""Characters of a list that are looked at here, and instructions, fewer than `marks_of` keeps: 20 to 40 ms for a thousand characters of short
instructions, so about a second the first time, and up to four where nearly every word is marked."""
FILE_HELP = "Every mark: of which instruction, its kind, its words and where they stand, why it matters, and what to write instead."
END = re.compile(r"[.,;:!?]*")
"""What a kind does not part from the words before it."""
SCORER = "python -m model_utils.wording.score tests/data/instruction_labels_2.jsonl"


@lru_cache(maxsize=2_048)
def marks_of(text: str) -> tuple[Mark, ...]:
    """As `model_utils.wording.marks`, once for each text."""
    return marks(text)


# --- under the editor -------------------------------------------------------------------------------------------------


def note(text: str) -> None:
    """One line under an instruction that has marks, and the way to them; nothing where there are none."""
    found = marks_of(text) if len(text) <= NOTED else ()
    if not found:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="wording-note"):
        st.caption(plain(noted(found)), width="content")
        if st.button("Look at the wording", key="look-at-wording", type="tertiary"):
            probing.look_at(text)
            st.switch_page("screens/instructions.py")


def noted(found: tuple[Mark, ...]) -> str:
    """How many places, and the first of them with their kinds."""
    named = [f"{quoted(mark.words, SHORT)} ({mark.kind})" for mark in found[:NAMED]]
    more = [f"and {len(found) - NAMED:,} more"] if len(found) > NAMED else []
    count = "1 place" if len(found) == 1 else f"{len(found):,} places"
    return f"{count} in this instruction may sway the answer: {', '.join([*named, *more])}."


# --- on its own page --------------------------------------------------------------------------------------------------


def wording(found: Items, authors: Mapping[str, tuple[AuthorsMark, ...]]) -> None:
    """Every instruction that has marks, with each of them, and those of its author (instruction -> marks); what the rules can and cannot be
    trusted with."""
    looked = _looked_at(found.instructions)
    marked = [
        (number, text, marks_of(text)) for number, text in enumerate(looked) if marks_of(text) or authors.get(text)
    ]
    heading_with_csv("What the wording says by itself", lambda: table(looked), "wording.csv", FILE_HELP)
    if looked:
        st.caption(plain(said(looked)))
    if len(looked) < len(found.instructions):
        st.caption(f"The first {len(looked):,} of {len(found.instructions):,} are looked at here, which are {TEXTS:,} instructions and {LOOKED_AT:,} characters or less; Run looks at all.")  # fmt: skip
    for number, text, each in marked[:SHOWN]:
        with st.container(border=True, key=f"wording-{number}"):
            if len(found.instructions) > 1:
                st.caption(f"Instruction {number + 1:,}")
            st.html(marked_text(text, each[:LISTED]))
            if authors.get(text):
                st.caption(plain(authors_said(authors[text])))
            for place, mark in enumerate(each[:LISTED]):
                _mark(number, place, mark)
            if len(each) > LISTED:
                st.caption(f"And {len(each) - LISTED:,} more; the file has all of them.")
    if len(marked) > SHOWN:
        st.caption(f"And {len(marked) - SHOWN:,} more instructions with marks; the file has all that the rules made.")
    if marked:
        st.caption(f"How often each rule was right was counted on 260 labelled instructions that were written before their author had read the rules, who later saw these totals while improving them: at the first count precision was 0.63 to 0.93 and recall 0.35 to 0.92. `{SCORER}` counts it again.")  # fmt: skip


def _looked_at(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The first of them that are not too long together."""
    lengths = accumulate(map(len, texts[:TEXTS]))
    return texts[: sum(length <= LOOKED_AT for length in lengths)]


def authors_said(found: tuple[AuthorsMark, ...]) -> str:
    """The faults that the author of a field pack finds in an instruction, which the rules need not find."""
    return f"Its author marks: {', '.join(f'{quoted(mark.words)} ({mark.kind})' for mark in found)}."


def said(texts: tuple[str, ...]) -> str:
    """How many places of how many instructions are marked, and of how many nothing can be said."""
    found = [marks_of(text) for text in texts]
    places, marked, strange = sum(map(len, found)), sum(map(bool, found)), sum(not is_english(text) for text in texts)
    many = len(texts) > 1
    if places:
        of = f" in {marked:,} of {len(texts):,} instructions" if many else ""
        first = f"Rules that need no model mark {places:,} place{'' if places == 1 else 's'}{of}. A mark is a question to the writer, not a verdict."
    else:
        first = f"Rules that need no model mark nothing in {'these instructions' if many else 'this instruction'}. They miss about a third of the labelled faults, so that this is no proof of a good one."
    which = f"{strange:,} of them {'is' if strange == 1 else 'are'}" if many else "This one is"
    return first + (f" The rules know English alone. {which} in another script, and nothing can be said of it." if strange else "")  # fmt: skip


def _mark(number: int, place: int, mark: Mark) -> None:
    """Its kind and words, why it matters, and what to write instead."""
    kind = escaped(f"{place + 1} {mark.kind}")
    st.html(
        f'<div class="outcome"><b>{kind}</b> <span class="text" dir="auto">{escaped(quoted(mark.words))}</span>'
        f'<div>{escaped(f"{mark.why} {mark.advice}")}</div><div class="sure">{escaped(held_out_said(mark.kind))}.</div></div>'
    )
    if mark.rewrite:
        st.html(f'<div class="sure">Written otherwise:</div><div class="written wording" dir="auto">{escaped(mark.rewrite)}</div>')  # fmt: skip
        if st.button("Use this instruction", key=f"use-{number}-{place}", help="Puts it into the editor of Compare, in place of what stands there."):  # fmt: skip
            probing.use(mark.rewrite)
            st.switch_page("screens/compare.py")


def marked_text(text: str, found: tuple[Mark, ...]) -> str:
    """The instruction in HTML; marked words are underlined, and behind each place stand its number and kind."""
    behind = [mark.stop + len(END.match(text, mark.stop)[0]) for mark in found]  # type: ignore[index]  # it matches nothing, too
    ends = sorted({0, len(text), *behind, *(one for mark in found for one in (mark.start, mark.stop))})
    opened = Counter(mark.start for mark in found)
    opened.subtract(mark.stop for mark in found)
    kinds = defaultdict[int, list[str]](list)
    for number, (mark, end) in enumerate(zip(found, behind, strict=True), start=1):
        kinds[end].append(f'<span class="kind" dir="ltr">{number} {escaped(mark.kind)}</span>')
    parts, inside = [], 0  # marks that are open here
    for start, stop in pairwise(ends):
        inside += opened[start]
        words = escaped(text[start:stop])
        parts += [f"<mark>{words}</mark>" if inside else words, *kinds[stop]]
    return f'<div class="written wording" dir="auto">{"".join(parts)}</div>'


def table(texts: tuple[str, ...]) -> pd.DataFrame:
    """One row a mark: item (from 1), instruction, kind, words, start, stop (characters), why, advice, rewrite."""
    rows = [
        {"item": number, "instruction": text, **vars(mark)}
        for number, text in enumerate(texts, start=1)
        for mark in marks_of(text)
    ]
    return pd.DataFrame(rows, columns=["item", "instruction", *Mark.__dataclass_fields__])
