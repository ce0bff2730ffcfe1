"""Benches: each runs in its small form, and a missed bar is told and fails."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from model_utils import bench


@pytest.mark.slow
def test_engine_bench_works():
    done = CliRunner().invoke(bench.main, ["engine", "--smoke"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert len(figures) == 2 and all(figure["median"] >= 0 and figure["bar"] == 1.0 for figure in figures.values())


@pytest.mark.slow
def test_loading_bench_works():
    done = CliRunner().invoke(bench.main, ["loading", "--smoke"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert [figure["bar"] for figure in figures.values()] == [1.3, 0.3]


@pytest.mark.slow
def test_generation_bench_works():
    done = CliRunner().invoke(bench.main, ["generation", "--smoke"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert [figure["bar"] for figure in figures.values()] == [1.0, 300]


def test_a_bar_can_be_the_least():
    assert bench.Figure("speed", (1.1,), 1.0, "x", at_least=True).holds
    assert not bench.Figure("speed", (0.9,), 1.0, "x", at_least=True).holds
    assert "bar >= 1 x" in bench.Figure("speed", (0.9,), 1.0, "x", at_least=True).line()


@pytest.mark.parametrize(("medians", "code", "tries"), [([0.5], 0, 1), ([2.0, 0.5], 0, 2), ([2.0, 3.0], 1, 2)])
def test_a_missed_bar_is_tried_once_more_and_then_fails(
    monkeypatch: pytest.MonkeyPatch, medians: list[float], code: int, tries: int
):
    left = list(medians)
    monkeypatch.setattr(bench, "engine", lambda smoke: [bench.Figure("wait", (left.pop(0),), bar=1.0)])
    done = CliRunner().invoke(bench.main, ["engine"])
    assert done.exit_code == code and len(left) == len(medians) - tries
