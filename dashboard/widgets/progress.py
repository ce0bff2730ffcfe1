"""A job on its way: its place in the queue, its progress, what came so far, a way to stop it, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from dashboard.session import address, compute, pairs, questions
from dashboard.widgets.text import plain

POLL_SECONDS = 0.12
"""How often a page looks for news while a job runs; jobs do not wait for it."""
LIST_POLL_SECONDS = 1.0
"""The same for a list, as often as it has news."""
AT_ONCE_SECONDS = 0.2
"""A job that is done within this time is drawn without showing progress first."""

Draw = Callable[[Any], None]


def follow(kind: str, held: compute.Held, draw: Draw, said: str | None = None) -> None:
    """Draws the job's result, or partial results with progress until it is over; then the page runs once more.

    `said` is why another job of the page failed: the same is not said twice.
    """
    held.job.wait(AT_ONCE_SECONDS)
    if held.over:
        if held.result is not None:
            news = pairs.learn(held.result.models), address.select_as_wished()
            if any(news):
                st.rerun()
        with st.container():  # the places that the fragment below takes, so that nothing jumps
            with st.container():
                if said is None or held.job.error != said:
                    ended(kind, held, partial(questions.again, kind))
            _draw(held, draw)
    else:
        st.fragment(_news, run_every=POLL_SECONDS)(kind, held, draw)


def _news(kind: str, held: compute.Held, draw: Draw) -> None:
    if held.over:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key=f"progress-{kind}"):
        st.progress(held.job.fraction, text=plain(status(held)))
        st.button("Stop", key=f"stop-{kind}", on_click=questions.stop, args=(kind,))
    _draw(held, draw)


def _draw(held: compute.Held, draw: Draw) -> None:
    with st.container():
        if held.shown is not None:
            draw(held.shown)


def in_background(kind: str, held: compute.Held, stop: Callable[[], None]) -> None:
    """How far a list is, how long it may still take, and a way to stop it; the visitor need not stay."""
    seconds = held.seconds_left()
    left = "" if seconds is None else f", about {duration(seconds)} left (an estimate)"
    with st.container(horizontal=True, vertical_alignment="center", key=f"progress-{kind}"):
        st.progress(held.job.fraction, text=plain(status(held) + left))
        st.button("Stop", key=f"stop-{kind}", on_click=stop)
    st.caption(
        "You may look at other pages meanwhile: the list goes on, and the top of every page shows how far it is."
    )


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def status(held: compute.Held) -> str:
    """What is being done for it, in words."""
    if held.job.state == "queued":
        if held.job.needs_room:
            return "Waiting for the end of background work, whose models fill the memory"
        return f"Waiting: {ordinal(held.job.place)} in the queue" if compute.busy() else "Loading the models"
    note = held.job.note or "starting"
    return note[0].upper() + note[1:]


def ended(kind: str, held: compute.Held, again: Callable[[], None]) -> None:
    """Why there is no whole result; `again` asks for it once more."""
    if held.state == "failed":
        st.error(plain(held.job.error or "This failed without saying why; the log of the server says more."))
    elif held.state == "cancelled":
        with st.container(horizontal=True, vertical_alignment="center", key=f"stopped-{kind}"):
            st.caption("Stopped before the end." + ("" if held.shown is None else " This is what there was."))
            st.button("Run it again", key=f"again-{kind}", on_click=again)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ..., 11th, ..., 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
