"""Laws of the figures: one scale for both sides, swapped sides mirror, and no two tokens merge."""

from __future__ import annotations

import html
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import ablation, attention, attribution, faithfulness, generation, theme
from dashboard.figures.labels import numbered, visible
from model_utils.contracts.attention import Attention, Reduction
from model_utils.contracts.attribution import Attribution
from model_utils.contracts.common import ATTENTION_KINDS, AttentionKind, ask
from model_utils.contracts.faithfulness import FaithfulnessRequest
from model_utils.contracts.generation import Generation
from model_utils.pair import SIDES, Pair
from tests import results

DARK = pytest.mark.parametrize("dark", [False, True])


def swapped_attention(one: Attention) -> Attention:
    return replace(one, models=one.models.swap(), weights=one.weights.swap())


def swapped_attribution(one: Attribution) -> Attribution:
    return replace(one, models=one.models.swap(), values=one.values.swap(), scores=one.scores.swap())


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
    for axis, positions in ((fig.layout.xaxis, result.keys("base")), (fig.layout.yaxis, result.queries("base"))):
        assert list(axis.tickvals) == positions.tolist()
        assert list(axis.ticktext) == [numbered(position, text.pieces[position]) for position in positions]
    for trace, weights in zip(fig.data, (result.weights.base, result.weights.tuned), strict=False):
        for row, query in enumerate(trace.y):
            for column, key in enumerate(trace.x):
                seen = not result.causal or key <= query
                expected = weights[1, row, column] if seen else np.nan
                np.testing.assert_equal(trace.z[row, column], expected)
    assert attention.NAMES[kind] in fig.layout.title.text


def test_texts_of_their_own_have_axes_of_their_own_no_difference_and_a_sentence_why():
    own = results.sequence(prompt=("<|begin|>", "Hm"))
    fig = attention.figure(results.attention(own=own), head=0)
    base, tuned = fig.data
    assert (base.zmin, base.zmax) == (tuned.zmin, tuned.zmax)
    assert attention.NO_DIFFERENCE in fig.layout.title.subtitle.text
    axes = ((fig.layout.xaxis, fig.layout.yaxis, own), (fig.layout.xaxis2, fig.layout.yaxis2, results.sequence()))
    for x, y, text in axes:
        names = [numbered(position, text.pieces[position]) for position in range(len(text))]
        assert list(x.ticktext) == list(y.ticktext) == names
    assert not attention.figure(results.attention(), head=0).layout.title.subtitle.text


@pytest.mark.parametrize("reduction", ["mean", "max", "rollout"])
def test_a_map_of_all_layers_says_so(reduction: Reduction):
    result = results.attention(reduction=reduction)
    assert attention.figure(result, head=0).layout.title.text.startswith(attention.REDUCED[reduction])
    one = replace(results.attention(2), value_weighted=True)
    assert attention.title(one, 1) == "Layer 2, head 1, self-attention, weighted by values"


@given(first=st.integers(0, 50), count=st.integers(1, 400))
def test_ticks_are_few_and_numeric_and_their_labels_differ(first: int, count: int):
    """Plotly merges categories of equal name: forty tokens 'the' would be one row."""
    ticks = attention.ticks(("the",) * (first + count), np.arange(first, first + count))
    positions, labels = ticks["tickvals"], ticks["ticktext"]
    assert positions[0] == first and len(positions) <= attention.MOST_TICKS
    assert all(isinstance(position, int) for position in positions)
    assert len(set(labels)) == len(labels) == len(positions)


@DARK
def test_heads_that_are_off_are_cells_at_their_layer_and_head_on_one_scale(dark: bool):
    """A hybrid's layers are not consecutive; what was not asked for is drawn as nothing."""
    result = results.ablation(heads=((1, 1), (5, 0), (5, 2)))
    fig = ablation.figure(result, dark)
    base, tuned = fig.data
    totals = result.totals()
    assert (base.zmin, base.zmax) == (tuned.zmin, tuned.zmax) and base.zmin == -base.zmax
    assert base.zmax == pytest.approx(np.abs([totals.base, totals.tuned]).max())
    assert list(fig.layout.yaxis.ticktext) == ["1", "5"] and list(fig.layout.xaxis.ticktext) == ["0", "1", "2"]
    for trace, (side, sums) in zip(fig.data, totals.items(), strict=True):
        np.testing.assert_array_equal(trace.z[[0, 1, 1], [1, 0, 2]], sums)
        assert np.isnan(trace.z).sum() == 3 and side in trace.hovertemplate
        np.testing.assert_array_equal(trace.customdata, [[1, 1, 1], [5, 5, 5]])


def test_swapping_the_sides_swaps_the_panels_of_heads_and_keeps_their_scale():
    result = results.ablation()
    swapped = replace(result, models=result.models.swap(), changes=result.changes.swap())
    straight, mirrored = ablation.figure(result).data, ablation.figure(swapped).data
    np.testing.assert_array_equal(straight[0].z, mirrored[1].z)
    np.testing.assert_array_equal(straight[1].z, mirrored[0].z)
    assert straight[0].zmax == mirrored[0].zmax


def test_a_snapshot_of_heads_is_drawn_before_anything_is_known():
    for layers in (0, 1):
        result = results.ablation(layers_done=layers)
        for trace in ablation.figure(result).data:
            np.testing.assert_array_equal(np.isnan(trace.z).all(axis=1), np.arange(results.LAYERS) >= layers)
    assert all(trace.zmax == 0 for trace in ablation.figure(results.ablation(layers_done=0)).data)


@DARK
@pytest.mark.parametrize("kind", ATTENTION_KINDS)
def test_one_head_is_a_bar_a_token_and_side(dark: bool, kind: AttentionKind):
    result = results.ablation(heads=((2, 1),), kind=kind)
    fig = ablation.figure(result, dark)
    for trace, (side, changes) in zip(fig.data, result.changes.items(), strict=True):
        np.testing.assert_array_equal(trace.y, changes[0])
        np.testing.assert_array_equal(trace.customdata, result.log_probs[side])
        assert trace.marker.color == theme.palette(dark).sides[side]
    answer = [result.sequence.pieces[position] for position in result.sequence.positions("answer")]
    assert list(fig.layout.xaxis.ticktext) == [numbered(place, piece) for place, piece in enumerate(answer)]
    title = fig.layout.title
    assert title.text == "Layer 2, head 1 switched off"
    assert title.subtitle.text == f"{attention.NAMES[kind]}, output set to zero"


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
        np.testing.assert_array_equal(trace.x, totals[np.array(trace.customdata, dtype=int)])
        assert trace.marker.color == theme.palette(dark).sides[side]


def test_swapping_the_sides_mirrors_the_attribution():
    result = results.attribution()
    swapped = swapped_attribution(result)
    straight, mirrored = attribution.figure(result).data, attribution.figure(swapped).data
    np.testing.assert_array_equal(straight[0].x, mirrored[1].x)
    np.testing.assert_array_equal(straight[1].x, mirrored[0].x)
    assert attribution.limit(result) == attribution.limit(swapped)
    np.testing.assert_array_equal(result.difference(), -swapped.difference())


def test_the_strongest_come_first_and_zeros_not_at_all():
    result = results.attribution(targets=(1,))
    ranked = attribution.strongest(result.table(), count=100)["tuned_position"].to_numpy(dtype=int)
    magnitude = np.nan_to_num(np.maximum(*(np.abs(totals) for totals in result.open_totals().sides)))
    assert list(magnitude[ranked]) == sorted(magnitude, reverse=True)[: len(ranked)]
    assert ranked.max() < result.texts.tuned.length


def test_the_strip_limit_holds_every_value_shown():
    result = results.attribution(seed=3)
    shown = np.concatenate([*result.open_totals().sides, result.open_difference()])
    assert np.nanmax(np.abs(shown)) == pytest.approx(attribution.limit(result))


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
        ablation.figure(results.ablation(layers_done=1)),
        ablation.figure(results.ablation(heads=((0, 0),))),
    ):
        assert json.loads(fig.to_json())["data"]


def test_what_changed_most_comes_first_and_swapping_the_sides_only_turns_the_signs():
    result = results.attribution(targets=())
    table = attribution.most_changed(result)
    assert sorted(table["tuned_position"]) == np.flatnonzero(result.texts.tuned.open).tolist()
    assert (table["difference"].abs().diff().dropna() <= 0).all()
    np.testing.assert_allclose(table["difference"], table["tuned"] - table["base"], rtol=1e-6)
    other = attribution.most_changed(swapped_attribution(result))
    assert other["tuned_position"].tolist() == table["tuned_position"].tolist()
    np.testing.assert_array_equal(other["difference"], -table["difference"])
    unknown = replace(result, scores=result.scores.map(lambda scores: scores * np.nan))
    assert attribution.most_changed(unknown).empty


def test_the_matrix_shows_each_answer_token_on_one_scale_and_flips_with_the_sides():
    result = results.attribution(targets=())
    base, tuned, change = attribution.matrix(result).data
    text = result.texts.tuned
    places = text.sequence.positions("answer")
    shown = np.flatnonzero(text.open[: places[-1]])
    assert 0 < len(shown) < places[-1], "the format stays apart"
    ahead = shown >= places[:, None]
    assert ahead.any() and np.isnan(base.z[ahead]).all(), "what comes later has no score"
    np.testing.assert_array_equal(base.z[~ahead], result.scores.base[:, shown][~ahead])
    np.testing.assert_array_equal(change.z, tuned.z - base.z)
    assert base.zmax == tuned.zmax == change.zmax == -change.zmin
    np.testing.assert_array_equal(attribution.matrix(swapped_attribution(result)).data[2].z, -change.z)


def test_texts_of_their_own_have_bars_and_maps_of_their_own_and_no_difference():
    result = results.attribution(targets=(), alignment="none")
    bars = attribution.figure(result).data
    for trace, side in zip(bars, SIDES, strict=True):
        known = np.isfinite(trace.x)
        np.testing.assert_array_equal(
            trace.x[known], result.totals()[side][np.array(trace.customdata)[known].astype(int)]
        )
        np.testing.assert_array_equal(known, [one is not None for one in trace.customdata])
    assert (np.isfinite(bars[0].x) != np.isfinite(bars[1].x)).all(), "a bar is of one text"
    maps = attribution.matrix(result).data
    assert [one.z.shape for one in maps] == [(2, 2), (3, 7)] and maps[0].zmax == maps[1].zmax
    assert attribution.most_changed(result).empty


def test_pieces_of_the_same_characters_share_a_bar_and_have_a_difference():
    """Base reads another format around the same words, so that equal parts stand at other places."""
    result = results.attribution(targets=(1,), alignment="characters")
    assert result.texts.base.open.sum() == result.texts.tuned.open.sum()
    chosen = attribution.strongest(result.table())
    assert (chosen["base_position"] == chosen["tuned_position"] + 1).all() and np.isfinite(chosen["difference"]).all()
    np.testing.assert_allclose(chosen["difference"], chosen["tuned"] - chosen["base"], rtol=1e-5)
    base, tuned, change = attribution.matrix(result).data
    np.testing.assert_array_equal(change.z, tuned.z - base.z)
    np.testing.assert_array_equal(np.array(base.x), np.array(tuned.x) + 1)


@DARK
def test_deletion_and_insertion_are_drawn_against_their_random_orders(dark: bool):
    asked = FaithfulnessRequest(messages=ask("a"), scores=Pair((1.0,), (1.0,)))
    result = results.faithfulness(asked)
    lines = [trace for trace in faithfulness.figure(result, dark).data if trace.mode == "lines+markers"]
    bands = [trace for trace in faithfulness.figure(result, dark).data if trace.mode == "none"]
    assert len(lines) == len(bands) == 4
    np.testing.assert_array_equal(lines[1].y, result.judged.tuned.deletion)
    np.testing.assert_array_equal(lines[2].y, result.judged.base.insertion)
    assert [line.line.color for line in lines[:2]] == list(theme.palette(dark).sides.sides)
    for band, (side, direction) in zip(bands, itertools.product(SIDES, ("deletion",)), strict=False):
        _, random = faithfulness.curve(result.judged[side], direction)
        assert min(band.y) >= random.min() and max(band.y) <= random.max() and len(band.y) == 2 * random.shape[1]
    unmeasured = replace(result.judged.base, random_deletion=result.judged.base.random_deletion * np.nan)
    assert len(faithfulness.curve(unmeasured, "deletion")[1]) == 0
