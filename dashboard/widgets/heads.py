"""The attention maps of both models: what they are of, the maps, the pinned row as token strips, and the export."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import streamlit as st

from dashboard.figures import attention
from dashboard.figures.layers import largest, without_first
from dashboard.session import inputs, pairs, selection
from dashboard.widgets.map_canvas import Head, MapAxes, MapView, Region, map_canvas
from dashboard.widgets.shared_text import notes, pick_own, pick_text
from dashboard.widgets.text import plain, side_title
from dashboard.widgets.token_strip import token_strip
from model_utils.contracts.attention import REDUCTIONS, Attention, Reduction
from model_utils.contracts.common import ATTENTION_KINDS, AttentionKind, Encoded, ModelFacts
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
MAPS: dict[Reduction, str] = {
    "heads": "the heads of one layer",
    "mean": "all layers and heads: mean",
    "max": "all layers and heads: strongest",
    "rollout": "all layers: attention rollout",
}
REDUCED_WORDS: dict[Reduction, str] = {
    "mean": "In each cell the mean weight over all heads of all layers.",
    "max": "In each cell the strongest weight of any head of any layer; such rows do not add up to 1.",
    "rollout": "Attention rollout (Abnar and Zuidema 2020) multiplies the layers' mean maps, half of each layer being what passes by. It knows nothing of values, and in models that write, most of it gathers on the first token, whatever the text says.",
}
VIEW = "map-view"
"""Where it is kept how the maps are looked at."""
Cell = tuple[int, int]


def pick_text_and_kind() -> tuple[Side, AttentionKind, bool]:
    """Whose text is read, with which attention, and whether each model reads its own instead."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-text"):
        side, kind = pick_text(), _kind(pairs.facts())
        own = pick_own()
    return side, kind, own


def pick_map(kind: AttentionKind) -> tuple[Reduction, int, bool]:
    """What the maps show: the heads of one layer, and which, or all layers; and whether values weigh."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="pick-map"):
        offered = [one for one in REDUCTIONS if one != "rollout" or kind != "cross"]
        inputs.keep_among("reduction", offered)
        reduction = st.selectbox(
            "Maps of", offered, format_func=MAPS.__getitem__, key="reduction", width=320, persist_state="session"
        )
        if reduction != "heads":
            return reduction, 0, False
        layer = _layer(pairs.facts(), kind)
        weighted = st.toggle(
            "Weigh by what is passed on",
            key="value-weighted",
            persist_state="session",
            help="Each weight times the length of what the head would pass on from that token (Kobayashi et al. 2020), rows adding up to 1 again: a look at a token whose value is nearly nothing, as at the first one, fades.",
        )
        return reduction, layer, weighted


def _kind(facts: Pair[ModelFacts] | None) -> AttentionKind:
    kinds = [kind for kind in ATTENTION_KINDS if facts and layers_of(facts, kind)]
    if len(kinds) < 2:
        return kinds[0] if kinds else "self"
    inputs.keep_among("attention-kind", kinds)
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
    inputs.keep_among("layer", layers)
    return st.selectbox("Layer with attention", layers, key="layer", width=168, persist_state="session")


def _number(name: str, count: int) -> int:
    if count == 0:
        return 0
    inputs.keep_among(name.lower(), range(count))
    return st.number_input(
        f"{name}, 0 to {count - 1}", 0, count - 1, key=name.lower(), width=144, persist_state="session"
    )


def heads(result: Attention) -> None:
    """The maps of both models and what tuning changed, under a bar that chooses the head; and where one token looks."""
    if result.reduction != "heads":
        st.caption(REDUCED_WORDS[result.reduction])
    if not result.shared:
        _apart(result)
        return
    sequence = result.sequences.tuned
    notes(sequence)
    shown = reduced(result, _head(result))
    cell = pinned(result, shown, selection.cell(sequence))
    _maps(result, cell)
    _row(result, shown, cell)
    _export(result, _head(result))


def uneven(models: Pair[ModelFacts], kind: AttentionKind) -> list[str]:
    """Sentences about layers and heads that one of the models has alone: they cannot be laid beside anything."""
    base, tuned = models.sides
    heads, layers = (
        models.map(lambda facts: facts.heads_of(kind)),
        models.map(lambda facts: facts.attention_layers(kind)),
    )
    said = []
    if heads.base != heads.tuned:
        said.append(
            f"{base.id} has {heads.base} heads a layer and {tuned.id} {heads.tuned}; shown are 0 to {min(heads.sides) - 1}, which both have."
        )
    if set(layers.base) != set(layers.tuned):
        said.append(
            f"{base.id} has {len(layers.base)} layers with this attention and {tuned.id} {len(layers.tuned)}; shown are those that both have."
        )
    return said


def _head(result: Attention) -> Head:
    """The one that is chosen; of all layers there is one map."""
    return st.session_state.get("head", 0) if result.reduction == "heads" else 0


def reduced(result: Attention, head: Head) -> Pair[np.ndarray]:
    """(query, key) a side: one head's map, or in each cell the mean or the strongest of all."""
    if isinstance(head, str):
        return result.weights.map(lambda weights: weights.mean(axis=0) if head == "mean" else weights.max(axis=0))
    return result.weights.map(lambda weights: weights[min(head, len(weights) - 1)])


def _apart(result: Attention) -> None:
    """Each side's map over its own text."""
    st.info(attention.NO_DIFFERENCE)
    if result.reduction == "heads":
        for sentence in uneven(result.models, result.attention_kind):
            st.caption(plain(sentence))
    for sequence in result.sequences.sides:
        notes(sequence)
    _canvas(result, Pair(_axes(result, "base"), _axes(result, "tuned")), "maps-own", None)
    st.caption(f"{AXES[result.attention_kind]} Share of the look, on one scale.")
    _export(result, _head(result))


def _canvas(result: Attention, axes: MapAxes | Pair[MapAxes], key: str, cell: Cell | None) -> Cell | None:
    """The maps under their bar; what is chosen there is kept for the grid, the strips and the address."""
    kept: MapView = st.session_state.get(VIEW, MapView())
    head = _head(result)
    title = f"{result.models.base.id} and {result.models.tuned.id}: {attention.title(result)}"
    view = replace(kept, head=head)
    state = map_canvas(result.weights, axes, key=key, title=title, view=view, selected=cell)
    st.session_state[VIEW] = state.view
    if result.reduction == "heads" and state.view.head != head:
        st.session_state["head"] = state.view.head
        st.rerun()
    return state.cell


def _axes(result: Attention, side: Side) -> MapAxes:
    sequence = result.sequences[side]
    return MapAxes(sequence.pieces, result.queries(side), result.keys(side), result.causal, regions(sequence))


def regions(sequence: Encoded) -> dict[str, Region]:
    """What can be zoomed to: the instruction, the answer, and the answer's look at the instruction."""
    spans = {}
    for role in ("instruction", "answer"):
        places = sequence.positions(role)
        if len(places):
            spans[role] = (int(places[0]), int(places[-1]) + 1)
    found = {role: (span, span) for role, span in spans.items()}
    if len(spans) == 2:
        found["answer to instruction"] = (spans["answer"], spans["instruction"])
    return found


def pinned(result: Attention, weights: Pair[np.ndarray], cell: Cell | None) -> Cell | None:
    """(query, key) of the visitor's pin in these maps of one text, `weights` (query, key) a side; None without such a row.

    The row is the same under every kind of attention. Where it has no such key, the key that both models together look
    at most stands for it.
    """
    queries, keys = result.queries("tuned"), result.keys("tuned")
    if cell is None or cell[0] not in queries:
        return None
    if cell[1] in keys:
        return cell
    row = int(np.flatnonzero(queries == cell[0])[0])
    return cell[0], int(keys[np.argmax(weights.base[row] + weights.tuned[row])])


def _maps(result: Attention, cell: Cell | None) -> None:
    picked = _canvas(result, _axes(result, "tuned"), "maps", cell)
    if picked != cell:
        selection.pin(picked, result.sequences.tuned)
        st.rerun()
    with st.container(key="maps-scale"):
        st.caption(
            f"{AXES[result.attention_kind]} Share of the look, 0 to 1, base and tuned on one scale. "
            "Difference: vermilion is more in tuned, blue more in base."
        )


def _row(result: Attention, weights: Pair[np.ndarray], cell: Cell | None) -> None:
    """Where one token looks, along the text; until one is pinned, the row that chose the first token of the answer."""
    sequence, queries = result.sequences.tuned, result.queries("tuned")
    query = cell[0] if cell else first_row(result)
    st.subheader("Where one token looks", anchor=False)
    st.write(plain(said(sequence, query)))
    with_first = st.session_state.get(VIEW, MapView()).first
    if not with_first:
        st.caption(
            "The first token is left out, as in the maps, and what is left adds up to 1 again; a row that looks only there is empty."
        )
    rows = weights.map(lambda weights: along(result, weights, query, with_first))
    shown = np.union1d(queries, result.keys("tuned"))
    first, unseen = int(shown[0]), why_without(result, query, shown)
    selected = cell[0] - first if cell else None
    for side, row in rows.items():
        side_title(side, result.models[side].id)
        picked = token_strip(
            sequence.part(shown),
            key=f"row-{side}",
            label=f"Where token {query} looks in the {side} model",
            first=first,
            values=row[shown],
            limit=largest(*rows.sides),
            colours=side,
            hover=[
                f"looked at with {share:.4f}" if share == share else why
                for share, why in zip(row[shown], unseen, strict=True)
            ],
            selected=selected,
            selectable=np.isin(shown, queries),
        )
        if picked != selected:
            selection.pin(None if picked is None else (picked + first, picked + first), sequence)
            st.rerun()


def first_row(result: Attention) -> int:
    """The token that chose the first of the answer; in an encoder, which chooses none, the first of the prompt."""
    queries = result.queries("tuned")
    chose = int(result.sequences.tuned.positions("answer")[0]) - 1
    return chose if chose in queries else int(queries[0])


def why_without(result: Attention, query: int, shown: np.ndarray) -> list[str]:
    """(token,) of the tokens at `shown`: why the row of `query` may have no value there."""
    keys = result.keys("tuned")
    ahead = "comes later" if result.causal else "of the decoder, which looks at the prompt here"
    may = np.isin(shown, keys) & ((shown <= query) | (not result.causal))
    there = ["left out" if position == keys[0] else "nothing is left without the first token" for position in shown]
    return [one if seen else ahead for one, seen in zip(there, may, strict=True)]


def along(result: Attention, weights: np.ndarray, query: int, with_first: bool = True) -> np.ndarray:
    """(token,) float32 over the whole sequence: one row of `weights` (query, key), as it is or without its first key; NaN where it cannot look."""
    values = np.full(len(result.sequences.tuned), np.nan, dtype=np.float32)
    row = weights[result.queries("tuned") == query][0]
    values[result.keys("tuned")] = row if with_first else without_first(row)
    if result.causal:
        values[query + 1 :] = np.nan
    return values


def said(sequence: Encoded, query: int) -> str:
    """Which row this is, in words, and which token of the answer it chose."""
    first = int(sequence.positions("answer")[0])
    reading = f"The look of token {query}, {sequence.pieces[query]!r}"
    if first - 1 <= query < len(sequence) - 1:
        return f"{reading}: from here the model chooses token {query + 1 - first} of the answer, {sequence.pieces[query + 1]!r}."
    return f"{reading}."


def _export(result: Attention, head: Head) -> None:
    """Of mean and strongest of all heads there is a map in the analysis of its own, so the file is of a head."""
    if isinstance(head, str):
        return
    dark, last = inputs.dark(), min(len(one) for one in result.weights.sides) - 1
    number = min(head, last)
    name = re.sub("[ ,]+", "-", attention.title(result, number).lower())
    st.download_button(
        "Download these maps",
        data=lambda: attention.figure(result, number, dark).to_html(include_plotlyjs=True).encode(),
        file_name=f"{name}.html",
        mime="text/html",
        on_click="ignore",
        help="One HTML file that opens without a connection: the maps with exact values. 'Save picture' over the maps gives them as shown, as an image (PNG).",
    )
