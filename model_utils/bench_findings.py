"""The bench of the findings: the default suite of both embedded tuned models, as long as a person waits for it after Run."""

from __future__ import annotations

import time
from typing import Any

import click

from model_utils import analyses
from model_utils.bench import Figure, Polled, on_one_thread
from model_utils.contracts.common import ModelSpec
from model_utils.contracts.findings import Findings, FindingsRequest
from model_utils.pair import Pair

TUNED = ("demo/flawed", "demo/tuned")
MOST_SECONDS = 300.0


def findings(smoke: bool) -> list[Figure]:
    """Seconds of the whole suite for each tuned model, its opening included; of each part it is told."""
    return on_one_thread(lambda report: [_whole(tuned, smoke, report) for tuned in TUNED])


def _whole(tuned: str, smoke: bool, report: Polled) -> Figure:
    """Of the field that is asked where nobody chooses one."""
    from model_utils.probes import default_suite  # makes the embedded world

    specs = Pair(ModelSpec(id="demo/base"), ModelSpec(id=tuned))
    asked = default_suite.request(default_suite.GENERAL[default_suite.world_of(specs)], Pair("few-shot", "chat"))
    start = time.perf_counter()
    found: Findings = analyses.execute("findings", specs, _few(asked) if smoke else asked, report)
    seconds = time.perf_counter() - start
    click.echo(f"{tuned}: {', '.join(f'{name} {took:.1f} s' for name, took in found.seconds)}")
    return Figure(f"the default suite of demo/base and {tuned}", (seconds,), MOST_SECONDS)


def _few(asked: FindingsRequest) -> FindingsRequest:
    """One item of every part, one plain text, and one explained answer."""
    few: dict[str, Any] = {"explained": asked.explained[:1]}
    for name, part in asked.parts().items():
        if name != "explanations":
            lists = {"items", "plain_texts"} & set(type(part).model_fields)
            few[name] = part.model_copy(update={one: getattr(part, one)[:1] for one in lists})
    return asked.model_copy(update=few)
