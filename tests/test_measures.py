"""Measures: the contracts' own numbers, all of them known, each name once."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model_utils import measures as module
from model_utils.analyses import ANALYSES
from model_utils.contracts.attribution import Alignment
from model_utils.measures import measures
from model_utils.pair import SIDES, Pair
from tests import results
from tests.recorded import every_result

RESULTS = every_result()


def named(kind: str, result: Any) -> dict[str, float]:
    return {one.name: one.value for one in measures(kind, result)}


def test_every_analysis_has_measures():
    assert set(module.OF) == set(ANALYSES) == set(RESULTS)
    assert [kind for kind, result in RESULTS.items() if not measures(kind, result)] == []


@pytest.mark.parametrize("kind", list(ANALYSES))
def test_measures_are_numbers_that_are_said(kind: str):
    found = measures(kind, RESULTS[kind])
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert re.fullmatch(r"[a-z][a-z_]*", one.name) and math.isfinite(one.value), one
        assert one.said.endswith(".") and re.search(r"\d", one.said) and "nan" not in one.said, one
        assert one.unit != "share" or "difference" in one.name or kind == "survey" or 0 <= one.value <= 1, one


@pytest.mark.parametrize("kind", list(ANALYSES))
def test_every_name_is_listed(kind: str):
    """A threshold is read against the list before anything is computed."""
    names = [one.name for one in measures(kind, RESULTS[kind])]
    assert set(names) <= set(module.NAMES[kind]) and len(set(module.NAMES[kind])) == len(module.NAMES[kind])
    assert kind in ("survey", "density", "published") or set(names) == set(module.NAMES[kind]), (
        "these results know every number"
    )


def test_the_benchmarks_together_know_every_number_of_published_ones():
    found = [
        {one.name for one in measures("published", results.published(benchmark=one))}
        for one in ("crows_pairs", "stereoset", "bbq")
    ]
    assert set().union(*found) == set(module.NAMES["published"])
    assert found[0] & found[1] & found[2] == {"refused"}


def test_a_shift_is_the_contracts_own():
    result = results.shift(tuned=("Par", "is", " on", " the", "<|end|>"))
    forced, found = result.answers.tuned, named("shift", result)
    assert {name: found[f"{name}_share"] for name in forced.shares()} == forced.shares()
    table = forced.table()[forced.counted]
    assert found["beyond_noise_share"] == table["beyond"].mean()
    assert found["mean_log_ratio"] == pytest.approx(table["log_ratio"].abs().mean())
    assert found["kl"] == pytest.approx(table["kl"].mean()) and found["js"] == pytest.approx(table["js"].mean())
    assert found["noise_floor"] == 0.5
    assert found["mean_weights"] + found["mean_format"] == pytest.approx(table["log_ratio"].mean())


def test_what_is_not_known_has_no_measure():
    assert "beyond_noise_share" not in named("shift", results.shift(floor=None))
    assert measures("shift", results.shift(base=(), tuned=())) == ()
    unlike = replace(results.shift(), answers=results.shift().answers.map(results.unlike))
    assert not {"shifted_share", "kl", "js"} & set(named("shift", unlike)) and "mean_log_ratio" in named(
        "shift", unlike
    )
    assert "shifted_share_low" not in named("survey", results.survey(whole=False))
    own = results.attribution(alignment="none")
    assert "largest_score_change" not in named("attribution", own)
    assert measures("load_report", results.load_report((math.nan,) * 4)) == ()


def test_a_model_against_itself_moved_nowhere():
    found = named("shift", results.same_twice())
    assert found["unshifted_share"] == 1
    assert {found[name] for name in ("shifted_share", "mean_log_ratio", "kl", "js", "beyond_noise_share")} == {0}


def test_intervals_are_those_of_the_result():
    survey, density = results.survey(), RESULTS["density"]
    found = named("survey", survey) | named("density", density)
    pairs = {name: one for one in survey.intervals for name in [module.SURVEYED[one.measure][0]]}
    pairs |= {f"{side}_density": density.interval(side) for side in SIDES}
    for name, one in pairs.items():
        ends = {end: found.get(f"{name}_{end}", math.nan) for end in ("low", "high")}
        assert found[name] == one.mean, name
        assert np.array_equal([ends["low"], ends["high"]], [one.low, one.high], equal_nan=True), name
    assert found["refused"] == sum(one.refusal is not None for one in survey.items)


@pytest.mark.parametrize("alignment", ["tokens", "characters", "none"])
def test_shares_of_an_attribution_are_of_all_scores(alignment: Alignment):
    result = results.attribution(alignment=alignment)
    found = named("attribution", result)
    for side in SIDES:
        assert found[f"{side}_format_share"] == pytest.approx(result.share_apart()[side])
        assert 0 < found[f"{side}_instruction_share"] <= 1 - found[f"{side}_format_share"] + 1e-6
        sizes = np.abs(result.open_totals()[side])
        assert found[f"{side}_top_share"] == pytest.approx(np.nanmax(sizes) / np.nansum(sizes))


def test_the_other_analyses_say_their_tables_first_row():
    ablation, atlas, faithfulness = (RESULTS[kind] for kind in ("ablation", "atlas", "faithfulness"))
    assert named("ablation", ablation)["tuned_largest_drop"] == pytest.approx(-ablation.table()["tuned_change"][0])
    assert named("atlas", atlas)["largest_head_change"] == pytest.approx(atlas.table()["change"][0])
    found = named("faithfulness", faithfulness)
    for side, one in faithfulness.judged.items():
        measured = [found[f"{side}_{name}"] for name in ("comprehensiveness", "sufficiency", "p")]
        assert measured == [one.comprehensiveness, one.sufficiency, one.p]
    agreement, randomisation = RESULTS["agreement"], RESULTS["randomisation"]
    assert named("agreement", agreement)["base_mean_tau"] == pytest.approx(agreement.table()["base"].mean())
    assert named("randomisation", randomisation)["tuned_likeness"] == randomisation.shuffled.tuned.likeness


def test_rows_of_attention_that_share_nothing_changed_wholly():
    one = results.attention()
    size = one.weights.base.shape
    left, right = np.zeros(size, np.float32), np.zeros(size, np.float32)
    left[..., 0], right[..., 1] = 1, 1
    assert named("attention", replace(one, weights=Pair(left, right)))["mean_row_change"] == 1
    assert named("attention", replace(one, weights=Pair(left, left)))["mean_row_change"] == 0
    assert measures("attention", results.attention(own=results.sequence(("<|begin|>", "Hm"), ("No",)))) == ()


def test_what_the_load_report_counts():
    found = named("load_report", results.load_report((0.5, 0.1, 0.0, 0.2)))
    assert found["changed_share"] == 0.75 and found["most_changed_layer"] == 0.25
    assert found["relative_change"] == pytest.approx(np.linalg.norm([0.5, 0.1, 0.0, 0.2]) / 4)
