"""The further checks on the Attribution page and their figures: asked for by a button, told in words, dropped with their map."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.figures import agreement as agreement_figures
from dashboard.figures import randomisation as randomisation_figures
from dashboard.figures import theme
from dashboard.widgets.more_evidence import readings
from model_utils.contracts.agreement import AgreementRequest
from model_utils.contracts.attribution import METHODS
from model_utils.contracts.common import Request, ask
from model_utils.contracts.randomisation import ALIKE, DRAWS, RandomisationRequest
from model_utils.pair import SIDES
from tests import results, test_pages
from tests.test_pages import FakeEngine, FakeJob, app, checked, done, engine, go, running, words, written

__all__ = ["app", "engine"]  # fixtures
DARK = pytest.mark.parametrize("dark", [False, True])
AGREED = AgreementRequest(messages=ask("a"))


# --- figures ----------------------------------------------------------------------------------------------------------


@DARK
def test_every_tau_is_written_in_its_cell_on_one_scale(dark: bool):
    result = results.agreement(AGREED)
    fig = agreement_figures.figure(result, dark)
    base, tuned = fig.data
    np.testing.assert_array_equal(base.z, result.taus.base)
    np.testing.assert_array_equal(tuned.z, result.taus.tuned)
    assert (base.zmin, base.zmax) == (tuned.zmin, tuned.zmax) == (-1, 1)
    cells = {(one.xref, one.x, one.y): one for one in fig.layout.annotations if one.yref in ("y", "y2")}
    assert len(cells) == 2 * 3 * 3
    for axis, taus in (("x", result.taus.base), ("x2", result.taus.tuned)):
        for row in range(3):
            for column in range(3):
                assert cells[axis, column, row].text == f"{taus[row, column]:+.2f}"
    for cell in cells.values():
        level = theme.levels(np.array([float(cell.text)]), "diverging", 1.0)
        colour = theme.table("diverging", dark)[level]
        assert theme.contrast(colour, theme.rgb(cell.font.color)) >= 4.5
    assert list(fig.layout.xaxis.ticktext) == list(AGREED.methods)


def test_a_tau_that_is_not_known_is_said_and_not_coloured():
    result = results.agreement(AGREED)
    result.taus.base[1, :] = np.nan
    fig = agreement_figures.figure(result)
    assert sum(one.text == "not known" for one in fig.layout.annotations) == 3
    assert np.isnan(fig.data[0].z[1]).all()
    assert fig.to_json()


@DARK
def test_both_sides_fall_from_one_on_one_axis_in_their_colours(dark: bool):
    result = results.randomisation(RandomisationRequest(messages=ask("a")))
    fig = randomisation_figures.figure(result, dark)
    named = {trace.name: trace for trace in fig.data}
    for side in SIDES:
        one, line = result.shuffled[side], named[f"{side}: scores"]
        np.testing.assert_array_equal(line.x, np.arange(one.layers + 1))
        np.testing.assert_array_equal(line.y, one.rhos)
        np.testing.assert_array_equal(named[f"{side}: sizes of the scores"].y, one.size_rhos)
        np.testing.assert_array_equal(named[f"{side}: shuffled anew"].y, one.end_rhos[1:])
        assert line.y[0] == 1 and line.line.color == theme.palette(dark).sides[side]
    assert {shape.y0 for shape in fig.layout.shapes} == {ALIKE, -ALIKE} and fig.layout.yaxis.range == (-1.05, 1.05)
    assert fig.to_json()


# --- page -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(app: AppTest) -> AppTest:
    return go(test_pages.ask(app), "attribution")


def plainly(page: AppTest) -> str:
    return words(page).replace("\\", "")


def test_neither_check_runs_before_it_is_asked_for_and_its_cost_is_said(page: AppTest, engine: FakeEngine):
    assert not engine.asked("agreement") and not engine.asked("randomisation")
    said = plainly(page)
    assert "3 methods explain all chosen tokens of the answer together" in said and "on two cores" in said
    assert f"{results.LAYERS + DRAWS} times in each model" in said and "every weight is as it was" in said


def test_methods_are_compared_on_the_very_question_of_the_map(page: AppTest, engine: FakeEngine):
    page.selectbox(key="granularity").set_value("word").run()
    page.multiselect(key="agreement-methods").set_value(["occlusion", "gradient norm"]).run()
    checked(page.button(key="measure-agreement").click().run())
    (request,) = engine.asked("agreement")
    shown = engine.asked("attribution")[-1]
    assert request.methods == ("gradient norm", "occlusion"), "the same methods are the same request, however picked"
    assert (request.granularity, request.targets, request.quantity) == ("word", shown.targets, shown.quantity)
    assert request.answer_ids == tuple(results.sequence().ids[results.sequence().positions("answer")].tolist())
    said = plainly(page)
    assert "1 means the same order" in said and "Agreement is not truth" in said
    checked(page.run())
    assert "Agreement is not truth" in plainly(page) and len(engine.asked("agreement")) == 1


def test_one_method_alone_is_not_compared(page: AppTest, engine: FakeEngine):
    checked(page.multiselect(key="agreement-methods").set_value(["occlusion"]).run())
    assert "Choose at least two methods" in words(page) and "measure-agreement" not in {one.key for one in page.button}


def test_what_was_left_out_is_a_warning_and_a_refusal_one_sentence(page: AppTest, engine: FakeEngine):
    def partly(kind: str, request: Request) -> FakeJob:
        job = done(kind, request)
        if kind == "agreement":
            job.result = replace(job.result, left_out=("Occlusion is left out: <b>so</b>.",))
        return job

    engine.make = partly
    checked(page.button(key="measure-agreement").click().run())
    assert "Occlusion is left out: <b>so</b>." in [one.value.replace("\\", "") for one in page.warning]


def test_layers_are_shuffled_for_the_map_that_is_shown(page: AppTest, engine: FakeEngine):
    page.selectbox(key="method").set_value("gradient norm").run()
    checked(page.button(key="measure-randomisation").click().run())
    (request,) = engine.asked("randomisation")
    assert request.method == "gradient norm" and request.together
    said = plainly(page)
    assert "Passing proves less: the map depends on the model, which does not yet make it right" in said
    html = "\n".join(written(page))
    assert "passes: the scores depend on what the layers learned" in html
    assert "fails: the order of the scores stays tied to the original one (the same, or reversed)" in html
    warned = [one.value for one in page.warning if "do not depend on what the layers learned" in one.value]
    assert len(warned) == 1 and "the scores of tuned" in warned[0]
    checked(page.selectbox(key="method").set_value("occlusion").run())
    assert not [one for one in page.warning if "do not depend on" in one.value], "of another map nothing was found"


def test_another_map_lets_go_of_what_is_being_measured_and_keeps_what_still_holds(page: AppTest, engine: FakeEngine):
    checked(page.button(key="measure-agreement").click().run())
    engine.make = lambda kind, request: (running if kind == "randomisation" else done)(kind, request)
    checked(page.button(key="measure-randomisation").click().run())
    (shuffled,) = [job for job in engine.submitted if job.kind == "randomisation"]
    assert shuffled not in engine.released
    checked(page.selectbox(key="method").set_value("occlusion").run())
    assert shuffled in engine.released and "measure-randomisation" in {one.key for one in page.button}
    assert "Agreement is not truth" in plainly(page), "it compares methods, whichever map is shown above"
    checked(page.segmented_control(key="extent").set_value("the whole answer").run())
    assert "measure-agreement" in {one.key for one in page.button}, "about other tokens it says nothing"


def test_packed_weights_are_compared_forward_only_and_not_shuffled(app: AppTest, engine: FakeEngine):
    def packed(kind: str, request: Request) -> FakeJob:
        job: Any = done(kind, request)
        if kind == "attribution":
            models = job.result.models.map(lambda one: replace(one, quantized=True))
            job.result = replace(job.result, models=models)
        return job

    engine.make = packed
    page = go(test_pages.ask(app), "attribution")
    assert "packed into few bits and cannot be shuffled" in plainly(page)
    assert "measure-randomisation" not in {one.key for one in page.button}
    assert page.multiselect(key="agreement-methods").value == ["occlusion", "sparse surrogate"]


def test_every_method_has_a_cost():
    like = results.attribution()
    for method in METHODS:
        assert readings(method, AGREED, like) >= 2
    first, text = results.attribution(targets=(0,)), like.texts.tuned
    seen = text.open & (text.first_tokens() < text.sequence.positions("answer")[0])
    assert readings("occlusion", AGREED, first) == seen.sum() + 1 < text.open.sum() + 1, (
        "what comes after a target is never taken away"
    )
