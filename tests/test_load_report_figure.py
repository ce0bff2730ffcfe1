"""The load report as the page shows it: the figure is the table by layer, and the one sentence on top follows the numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures import load_report as figures
from dashboard.figures import theme
from dashboard.pages import PAGES, title
from dashboard.widgets.load_report import sentence
from model_utils import analyses
from model_utils.contracts.load_report import Ability, LoadReport
from tests import results

NAN = float("nan")


def of_layers(count: int) -> LoadReport:
    """A report on `count` layers and what lies outside them."""
    return replace(
        results.load_report(),
        tensor_names=tuple(f"tensor {layer}" for layer in range(-1, count)),
        tensor_layers=np.arange(-1, count, dtype=np.int64),
        tensor_sizes=np.full(count + 1, 10, dtype=np.int64),
        tensor_norms=np.full(count + 1, 2.0),
        tensor_differences=np.linspace(0, 1, count + 1),
        tensor_changed=np.ones(count + 1),
    )


@pytest.mark.parametrize("dark", [False, True])
def test_bars_are_the_relative_change_of_each_layer(dark: bool):
    result = results.load_report(changes=(0.5, 0.1, NAN, 0.2))
    (bars,) = figures.figure(result, dark).data
    np.testing.assert_array_equal(bars.x, [-1, 0, 2])
    np.testing.assert_allclose(bars.y, [0.25, 0.05, 0.1])
    colours = theme.palette(dark)
    assert list(bars.marker.color) == [colours.noise, colours.sides.tuned, colours.sides.tuned]
    assert bars.text[0] == "outside the layers"


def test_the_axis_says_what_it_is():
    layout = figures.figure(results.load_report()).layout
    assert layout.yaxis.title.text == "norm of (tuned − base) / norm of base"
    assert list(layout.xaxis.ticktext) == ["outside", "0", "1", "2"]


@given(count=st.integers(0, 300))
def test_ticks_are_few_and_differ(count: int):
    axis = figures.figure(of_layers(count)).layout.xaxis
    assert len(axis.tickvals) <= figures.MOST_TICKS
    assert len(set(axis.ticktext)) == len(axis.ticktext) == len(axis.tickvals)


def test_a_pair_without_common_tensors_is_drawn():
    (bars,) = figures.figure(results.load_report(changes=(NAN,) * 4)).data
    assert len(bars.x) == 0


@given(changes=st.tuples(*[st.sampled_from([0.0, 0.3, NAN])] * 4))
def test_the_sentence_counts_what_differs(changes: tuple[float, ...]):
    said = sentence(results.load_report(changes))
    comparable = [change for change in changes if change == change]
    differing = sum(change > 0 for change in comparable)
    if not comparable:
        assert "no tensor in common" in said
    elif differing == 0 and len(comparable) == 4:
        assert "exactly the same weights" in said
    else:
        assert f"differs from base in {differing} of {len(comparable)} tensors" in said
        assert ("no counterpart" in said) == (len(comparable) < 4)


def test_the_sentence_names_what_does_not_work_and_why():
    why = "the tokenizers cut texts into different tokens"
    works = tuple(Ability(kind, True, "") for kind in ("generation", "shift", "survey", "density"))
    insides = ("attention", "atlas", "ablation", "attribution", "faithfulness", "agreement", "randomisation")
    abilities = (*works, *(Ability(kind, False, why) for kind in insides))
    said = sentence(results.load_report(tokenizers="different", abilities=abilities))
    assert said.endswith(f"Compare and Many work, Attention and Attribution do not, because {why}.")
    one = (
        Ability("generation", True, ""),
        Ability("attribution", True, ""),
        Ability("attention", False, "it has none"),
    )
    said = sentence(results.load_report(abilities=one))
    assert said.endswith("Compare and Attribution work, Attention does not, because it has none.")
    without = (Ability("attribution", True, ""), Ability("density", False, "it is quantised"))
    said = sentence(results.load_report(abilities=without))
    assert said.endswith(
        "Attribution works, Attribution, how densely the instruction is used, does not, because it is quantised."
    )
    assert sentence(results.load_report()).endswith("the tokenizers are the same; everything works.")


def test_a_page_of_which_a_part_works_is_not_said_to_work_and_not_to_work():
    """Of packed weights the sentence said that Attribution works and that it does not."""
    abilities = (Ability("attribution", True, ""), Ability("randomisation", False, "the weights are packed"))
    said = sentence(results.load_report(abilities=abilities))
    assert said.endswith(
        "Attribution works, Attribution, whether scores survive shuffled weights, does not, because the weights are packed."
    )


def test_every_analysis_is_said_as_a_page_of_the_navigation():
    """The evidence of the scores was once said as a page "Faithfulness", which nobody finds."""
    for kind in analyses.ANALYSES.keys() - {"load_report"}:
        said = sentence(results.load_report(abilities=(Ability(kind, False, "of a reason"),)))
        page = re.search(r"; ([\w ]+) does not, because of a reason\.$", said)
        assert page and page[1] in {title(one) for one in PAGES}, said


def test_weights_that_are_zero_in_base_are_no_error():
    """Biases of some models begin at 0: unmoved they have not changed, moved they have changed without measure."""
    result = replace(results.load_report(), tensor_norms=np.array([2.0, 0.0, 0.0, 2.0]))
    np.testing.assert_array_equal(result.by_layer()["change"], [0.25, np.inf, 0.0, 0.1])
    assert result.table()["change"].tolist() == [np.inf, 0.25, 0.1, 0.0]
