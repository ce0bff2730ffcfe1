"""One attention head of both models: pickers, the three maps, the pinned row as token strips, and the export."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard import session
from dashboard.figures import attention
from dashboard.widgets.map_canvas import MapAxes, MapPanel, map_canvas
from dashboard.widgets.shared_text import notes, pick_text
from dashboard.widgets.text import plain, side_title
from dashboard.widgets.token_strip import token_strip
from model_utils.contracts.attention import Attention
from model_utils.contracts.common import ATTENTION_KINDS, AttentionKind, ModelFacts
from model_utils.pair import Pair, Side

KINDS: dict[AttentionKind, str] = {
    "self": "decoder self-attention",
    "encoder": "encoder self-attention",
    "cross": "cross-attention: from answer to prompt",
}
AXES: dict[AttentionKind, str] = {
    "self": "Each row is a token that looks, each column one looked at; nobody looks ahead.",
    "encoder": "Rows and columns are the tokens of the prompt, which an encoder reads as a whole: each looks back and ahead.",
    "cross": "Each row is a token of the decoder, each column a token of the prompt that it looks at.",
}
Cell = tuple[int, int]


def pick_text_kind_layer_head() -> tuple[Side, AttentionKind, int, int]:
    with st.container(horizontal=True, vertical_alignment="top", key="pick-head"):
        facts = session.facts()
        side, kind = pick_text(), _kind(facts)
        return side, kind, _layer(facts, kind), _head(facts, kind)


def _kind(facts: Pair[ModelFacts] | None) -> AttentionKind:
    kinds = [kind for kind in ATTENTION_KINDS if facts and layers_of(facts, kind)]
    if len(kinds) < 2:
        return kinds[0] if kinds else "self"
    session.keep_among("attention-kind", kinds)
    return st.selectbox(
        "Attention", kinds, format_func=KINDS.__getitem__, key="attention-kind", width=320, persist_state="session"
    )


def layers_of(facts: Pair[ModelFacts], kind: AttentionKind) -> list[int]:
    """Layers that have attention of this kind in both models."""
    return sorted(set(facts.base.attention_layers(kind)) & set(facts.tuned.attention_layers(kind)))


def _layer(facts: Pair[ModelFacts] | None, kind: AttentionKind) -> int:
    """One of the layers with attention of this kind; without any the first, for which the engine says why there is none."""
    layers = layers_of(facts, kind) if facts else [0]
    if layers == list(range(len(layers))):
        return _number("Layer", len(layers))
    session.keep_among("layer", layers)
    return st.selectbox("Layer with attention", layers, key="layer", width=168, persist_state="session")


def _head(facts: Pair[ModelFacts] | None, kind: AttentionKind) -> int:
    return _number("Head", min(one.heads_of(kind) for _, one in facts.items()) if facts else 1)


def _number(name: str, count: int) -> int:
    if count == 0:
        return 0
    session.keep_among(name.lower(), range(count))
    return st.number_input(
        f"{name}, 0 to {count - 1}", 0, count - 1, key=name.lower(), width=144, persist_state="session"
    )


def heads(result: Attention, head: int) -> None:
    """Maps of one head: base, tuned, and what tuning changed."""
    count = min(len(weights) for _, weights in result.weights.items())
    if head >= count:
        st.info(f"Both models have the heads 0 to {count - 1} here; choose one of these.")
        return
    weights = result.weights.map(lambda weights: weights[head])
    cell = pinned(result, weights, session.cell(result.sequence))
    notes(result.sequence)
    _maps(result, weights, cell)
    _row(result, weights, cell)
    _export(result, head)


def pinned(result: Attention, weights: Pair[np.ndarray], cell: Cell | None) -> Cell | None:
    """(query, key) of the visitor's pin in these maps, `weights` (query, key) a side; None without such a row.

    The row is the same under every kind of attention. Where it has no such key, the key that both models together look
    at most stands for it.
    """
    if cell is None or cell[0] not in result.queries:
        return None
    if cell[1] in result.keys:
        return cell
    row = int(np.flatnonzero(result.queries == cell[0])[0])
    return cell[0], int(result.keys[np.argmax(weights.base[row] + weights.tuned[row])])


def _maps(result: Attention, weights: Pair[np.ndarray], cell: Cell | None) -> None:
    change = attention.difference(weights)
    both, most = attention.limit(weights), float(np.abs(change).max())
    panels = (
        MapPanel("base", weights.base, "sequential-base", both),
        MapPanel("tuned", weights.tuned, "sequential-tuned", both),
        MapPanel("tuned - base", change, "diverging", most),
    )
    axes = MapAxes(result.sequence.pieces, result.queries, result.keys, result.causal)
    picked = map_canvas(panels, axes, key="maps", selected=cell)
    if picked != cell:
        session.pin(picked, result.sequence)
        st.rerun()
    with st.container(key="maps-scale"):
        st.caption(
            f"{AXES[result.attention_kind]} "
            f"Share of the look, 0 to 1. Base and tuned are on one scale: full colour is {both:.3f} on both. "
            f"Difference: full colour is {most:.3f} either way; vermilion is more in tuned, blue more in base."
        )


def _row(result: Attention, weights: Pair[np.ndarray], cell: Cell | None) -> None:
    """Where one token looks, along the text; until one is pinned, the row that chose the first token of the answer."""
    query = cell[0] if cell else first_row(result)
    st.subheader("Where one token looks", anchor=False)
    st.write(plain(said(result, query)))
    rows = weights.map(lambda weights: along(result, weights, query))
    limit = float(max(np.nanmax(rows.base), np.nanmax(rows.tuned)))
    shown = np.union1d(result.queries, result.keys)
    first, unseen = int(shown[0]), "comes later" if result.causal else "of the decoder, which looks at the prompt here"
    selected = cell[0] - first if cell else None
    for side, row in rows.items():
        side_title(side, result.models[side].id)
        picked = token_strip(
            result.sequence.part(shown),
            key=f"row-{side}",
            label=f"Where token {query} looks in the {side} model",
            first=first,
            values=row[shown],
            limit=limit,
            colours=side,
            hover=[f"looked at with {share:.4f}" if share == share else unseen for share in row[shown]],
            selected=selected,
            selectable=np.isin(shown, result.queries),
        )
        if picked != selected:
            session.pin(None if picked is None else (picked + first, picked + first), result.sequence)
            st.rerun()


def first_row(result: Attention) -> int:
    """The token that chose the first of the answer; in an encoder, which chooses none, the first of the prompt."""
    chose = int(result.sequence.positions("answer")[0]) - 1
    return chose if chose in result.queries else int(result.queries[0])


def along(result: Attention, weights: np.ndarray, query: int) -> np.ndarray:
    """(token,) float32 over the whole sequence: one row of `weights` (query, key); NaN where it cannot look."""
    values = np.full(len(result.sequence), np.nan, dtype=np.float32)
    values[result.keys] = weights[result.queries == query][0]
    if result.causal:
        values[query + 1 :] = np.nan
    return values


def said(result: Attention, query: int) -> str:
    """Which row this is, in words, and which token of the answer it chose."""
    sequence = result.sequence
    first = int(sequence.positions("answer")[0])
    reading = f"The look of token {query}, {sequence.pieces[query]!r}"
    if first - 1 <= query < len(sequence) - 1:
        return f"{reading}: from here the model chooses token {query + 1 - first} of the answer, {sequence.pieces[query + 1]!r}."
    return f"{reading}."


def _export(result: Attention, head: int) -> None:
    dark = session.dark()
    kind = attention.NAMES[result.attention_kind].replace(" ", "-")
    st.download_button(
        "Download these maps",
        data=lambda: attention.figure(result, head, dark).to_html(include_plotlyjs=True).encode(),
        file_name=f"{kind}-layer-{result.layer}-head-{head}.html",
        mime="text/html",
        on_click="ignore",
        help="One HTML file that opens without a connection: the three maps with exact values.",
    )
