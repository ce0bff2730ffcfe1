"""Laws of the figures: one scale for both sides, swapped sides mirror, and no two tokens merge."""

from __future__ import annotations

import html
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import attention, attribution, generation, theme
from dashboard.figures.labels import numbered, visible
from model_utils.contracts.attention import Attention
from model_utils.contracts.attribution import Attribution
from model_utils.contracts.common import ATTENTION_KINDS, AttentionKind
from model_utils.contracts.generation import Generation
from tests import results

DARK = pytest.mark.parametrize("dark", [False, True])


def swapped_attention(one: Attention) -> Attention:
    return replace(one, models=one.models.swap(), weights=one.weights.swap())


def swapped_attribution(one: Attribution) -> Attribution:
    values, scores = one.values.swap(), one.scores.swap()
    return Attribution(one.models.swap(), one.sequence, one.method, one.quantity, one.targets, values, scores)


@DARK
def test_log_probabilities_are_drawn_as_they_are(dark: bool):
    result = results.generation()
    fig = generation.figure(result, dark)
    for trace, (side, answer) in zip(fig.data, result.answers.items(), strict=True):
        assert trace.name == side
        assert trace.line.color == theme.palette(dark).sides[side]
        np.testing.assert_array_equal(trace.y, answer.log_probs)
        np.testing.assert_allclose(trace.customdata, np.exp(answer.log_probs))


def test_both_answers_share_the_axis_whoever_is_left():
    result = results.generation()
    swapped = Generation(result.models.swap(), (result.answers.swap(),))
    assert generation.figure(result).layout.yaxis.range == generation.figure(swapped).layout.yaxis.range
    low, high = generation.figure(result).layout.yaxis.range
    assert low < min(answer.log_probs.min() for _, answer in result.answers.items()) and high > 0


def test_a_side_without_tokens_is_drawn():
    result = results.generation(base=())
    assert len(generation.figure(result).data[0].x) == 0


def test_base_and_tuned_maps_share_one_scale():
    result = results.attention()
    base, tuned, change = attention.figure(result, head=1).data
    assert (base.zmin, base.zmax) == (tuned.zmin, tuned.zmax)
    assert base.zmax == pytest.approx(max(weights[1].max() for _, weights in result.weights.items()))
    assert change.zmin == -change.zmax


def test_the_difference_is_tuned_minus_base_and_flips_with_the_sides():
    result = results.attention()
    base, tuned, change = (trace.z for trace in attention.figure(result, head=0).data)
    np.testing.assert_allclose(change, tuned - base)
    flipped = attention.figure(swapped_attention(result), head=0).data[2]
    np.testing.assert_allclose(flipped.z, -change)
    assert flipped.zmax == attention.figure(result, head=0).data[2].zmax


def test_no_map_shows_what_no_query_can_see():
    for trace in attention.figure(results.attention(), head=0).data:
        np.testing.assert_array_equal(np.isnan(trace.z), np.triu(np.ones(trace.z.shape), 1) > 0)


@pytest.mark.parametrize("kind", ATTENTION_KINDS)
def test_the_cell_of_a_query_and_a_key_stands_at_their_positions_with_their_names(kind: AttentionKind):
    """In an encoder-decoder the rows and the columns are other tokens than the first ones, and not as many."""
    text = results.encoder_decoder_sequence()
    result = results.attention(text=text, kind=kind)
    fig = attention.figure(result, head=1)
    for axis, positions in ((fig.layout.xaxis, result.keys), (fig.layout.yaxis, result.queries)):
        assert list(axis.tickvals) == positions.tolist()
        assert list(axis.ticktext) == [numbered(position, text.pieces[position]) for position in positions]
    for trace, weights in zip(fig.data, (result.weights.base, result.weights.tuned), strict=False):
        for row, query in enumerate(trace.y):
            for column, key in enumerate(trace.x):
                seen = not result.causal or key <= query
                expected = weights[1, row, column] if seen else np.nan
                np.testing.assert_equal(trace.z[row, column], expected)
    assert attention.NAMES[kind] in fig.layout.title.text


@given(first=st.integers(0, 50), count=st.integers(1, 400))
def test_ticks_are_few_and_numeric_and_their_labels_differ(first: int, count: int):
    """Plotly merges categories of equal name: forty tokens 'the' would be one row."""
    ticks = attention.ticks(("the",) * (first + count), np.arange(first, first + count))
    positions, labels = ticks["tickvals"], ticks["ticktext"]
    assert positions[0] == first and len(positions) <= attention.MOST_TICKS
    assert all(isinstance(position, int) for position in positions)
    assert len(set(labels)) == len(labels) == len(positions)


def test_the_attribution_axis_is_numeric_and_its_labels_differ():
    text = results.sequence(prompt=("<|begin|>",) + ("the",) * 20)
    fig = attribution.figure(results.attribution(text=text))
    assert len(set(fig.layout.yaxis.ticktext)) == len(fig.layout.yaxis.tickvals) == attribution.STRONGEST
    assert all(np.issubdtype(type(row), np.integer) for row in fig.data[0].y)


@DARK
def test_attribution_bars_are_the_summed_scores_in_the_colour_of_their_side(dark: bool):
    result = results.attribution(targets=())
    fig = attribution.figure(result, dark)
    for trace, (side, totals) in zip(fig.data, result.totals().items(), strict=True):
        np.testing.assert_array_equal(trace.x, totals[trace.customdata])
        assert trace.marker.color == theme.palette(dark).sides[side]


def test_swapping_the_sides_mirrors_the_attribution():
    result = results.attribution()
    swapped = swapped_attribution(result)
    straight, mirrored = attribution.figure(result).data, attribution.figure(swapped).data
    np.testing.assert_array_equal(straight[0].x, mirrored[1].x)
    np.testing.assert_array_equal(straight[1].x, mirrored[0].x)
    assert attribution.limit(result.totals()) == attribution.limit(swapped.totals())
    np.testing.assert_array_equal(attribution.difference(result.totals()), -attribution.difference(swapped.totals()))


def test_the_strongest_come_first_and_zeros_not_at_all():
    result = results.attribution(targets=(1,))
    ranked = attribution.strongest(result.totals(), count=100)
    magnitude = np.maximum(*(np.abs(totals) for _, totals in result.totals().items()))
    assert list(magnitude[ranked]) == sorted(magnitude, reverse=True)[: len(ranked)]
    assert ranked.max() < result.sequence.positions("answer")[1]


def test_the_strip_limit_holds_every_value_shown():
    scores = results.attribution(seed=3).totals()
    shown = np.concatenate([scores.base, scores.tuned, attribution.difference(scores)])
    assert np.abs(shown).max() == pytest.approx(attribution.limit(scores))


@given(st.text())
def test_labels_show_every_control_character_and_no_markup(piece: str):
    """Plotly reads <b> and <a href> in text as markup; a token is shown as it is written."""
    label = visible(piece, longest=len(piece) + 1)
    assert "<" not in label and ">" not in label
    assert all(character >= " " for character in label)
    assert len(html.unescape(label)) == len(piece)


def test_long_tokens_are_shortened_in_sight():
    assert numbered(7, "x" * 40) == "7 " + "x" * 15 + "…"


def test_every_figure_is_plain_json():
    for fig in (
        generation.figure(results.generation()),
        attention.figure(results.attention(), head=0),
        attribution.figure(results.attribution()),
    ):
        assert json.loads(fig.to_json())["data"]
