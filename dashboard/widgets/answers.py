"""Both answers side by side, the certainty of each token, and the exact text and ids that each model saw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.session import selection, visits
from dashboard.widgets.shared_text import notes
from dashboard.widgets.text import answer_text, plain, side_title
from dashboard.widgets.token_strip import token_strip
from model_utils.contracts.common import ROLES, Encoded, StopReason
from model_utils.contracts.generation import Answer, Generation
from model_utils.pair import Pair, Side

STOPPED: dict[StopReason, str] = {
    "end of turn": "ended by itself",
    "delimiter": "ended at an empty line, or where its format would begin the next instruction",
    "length": "cut at the longest answer that you allow",
    "context": "cut where the model's context is full",
    "unfinished": "not finished",
}


def answers(result: Generation) -> None:
    """What each model wrote so far, how fast, and why it ended, with what has to be known of its prompt; of several samples the first,
    the others below on demand."""
    held = visits.visit().held.get("generation")
    stopped = held is not None and held.stopped
    for column, (side, answer) in zip(st.columns(2, gap="medium"), result.answers.items(), strict=True):
        with column:
            side_title(side, result.models[side].id, speed(answer))
            notes(answer.prompt)
            answer_text(answer.text, side=side)
            st.caption(ending(answer, stopped))
    if len(result.samples) > 1:
        with st.expander(f"{len(result.samples) - 1} more of each; the page looks into the first", key="samples"):
            for number, sample in enumerate(result.samples[1:], start=2):
                _sample(number, sample, stopped)


def _sample(number: int, sample: Pair[Answer], stopped: bool) -> None:
    for column, (side, answer) in zip(st.columns(2, gap="medium"), sample.items(), strict=True):
        with column:
            side_title(side, f"sample {number}", speed(answer))
            answer_text(answer.text, side=side)
            st.caption(ending(answer, stopped))


def ending(answer: Answer, stopped: bool) -> str:
    """Why an answer ended; `stopped`: the person pressed Stop."""
    why = "stopped by you" if stopped and answer.stop == "unfinished" else STOPPED[answer.stop]
    return f"{why.capitalize()}."


def speed(answer: Answer) -> str:
    """Tokens, and tokens a second while this side wrote; the other may have written at the same time."""
    count = len(answer.answer)
    words = f"{count} token" + ("" if count == 1 else "s")
    rate = count / answer.seconds if answer.seconds > 0 else 0.0
    return f"{words}, {rate:.{0 if rate >= 10 else 1}f} tokens/s" if rate else words


def certainty(result: Generation) -> None:
    """The tokens of both answers, coloured by their probability; a click selects one on every page."""
    for column, (side, answer) in zip(st.columns(2, gap="medium"), result.answers.items(), strict=True):
        with column:
            _strip(side, answer)
    st.caption(
        "Each token is coloured by its probability: no colour 0, full colour 1. Click one to select it here, under Attention and under Attribution."
    )


def _strip(side: Side, answer: Answer) -> None:
    selected = visits.visit().token if visits.visit().side == side else None
    picked = token_strip(
        answer.answer,
        key=f"answer-{side}",
        label=f"Tokens of the {side} model's answer, coloured by probability",
        values=np.exp(answer.log_probs),
        join=np.multiply,
        limit=1.0,
        colours=side,
        hover=[_odds(answer, token) for token in range(len(answer.answer))],
        selected=selected,
    )
    if picked != selected:
        selection.select_token(side, picked)
        st.rerun()


def _odds(answer: Answer, token: int) -> str:
    """Probability of a token and of the most probable ones in its place."""
    others = zip(answer.alternative_pieces[token], answer.alternative_log_probs[token], strict=True)
    listed = ", ".join(f"{piece!r} {np.exp(log_prob):.1%}" for piece, log_prob in others)
    return f"log-probability {answer.log_probs[token]:.4f} nats. Most probable here: {listed}"


def what_they_saw(result: Generation) -> None:
    """The prompts, on demand: characters, tokens and ids."""
    panel = st.expander("What each model saw: exact text and token ids", key="saw", on_change="rerun")
    if panel.open:
        with panel:
            for column, (side, answer) in zip(st.columns(2, gap="medium"), result.answers.items(), strict=True):
                with column:
                    _prompt(side, result.models[side].id, answer.prompt)


def _prompt(side: Side, name: str, prompt: Encoded) -> None:
    side_title(side, name, f"{len(prompt)} tokens")
    st.code(prompt.text, language=None, wrap_lines=True)
    if prompt.encoder_length:
        st.caption(plain(started(prompt)))
    token_strip(
        prompt,
        key=f"prompt-{side}",
        label=f"Tokens of the {side} model's prompt",
        selectable=np.zeros(len(prompt), dtype=bool),
    )
    st.dataframe(
        token_table(prompt),
        hide_index=True,
        height=280,
        column_config={name: st.column_config.Column(width="small") for name in ("place", "id", "token")},
    )


def started(prompt: Encoded) -> str:
    """Who reads what of an encoder-decoder's prompt, in words."""
    start = " ".join(prompt.pieces[prompt.encoder_length :])
    return f"The encoder reads this text, {prompt.encoder_length} tokens. The decoder starts with {start}, and the answer follows."


def token_table(sequence: Encoded) -> pd.DataFrame:
    """One row a token: its place, id, characters as Python writes them, who wrote it, and which half of an encoder-decoder reads it."""
    table = pd.DataFrame(
        {
            "place": np.arange(len(sequence)),
            "id": sequence.ids,
            "token": [repr(piece)[1:-1] for piece in sequence.pieces],
            "written by": [
                ("control token of the " if special else "") + ROLES[role]
                for role, special in zip(sequence.roles, sequence.special, strict=True)
            ],
        }
    )
    if sequence.encoder_length:
        table["read by"] = np.where(table["place"] < sequence.encoder_length, "encoder", "decoder")
    return table
