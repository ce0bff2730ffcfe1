"""The load report: what was opened, exactly, how far tuned moved from base, and which pages will work."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import streamlit as st

from dashboard.figures import load_report as figures
from dashboard.pages import page_of
from dashboard.session import compute, inputs, pairs
from dashboard.widgets.chart import chart
from dashboard.widgets.explained import how_to_read
from dashboard.widgets.progress import status
from dashboard.widgets.text import escaped, plain
from model_utils import codec
from model_utils.contracts.common import Relation
from model_utils.contracts.load_report import Ability, LoadReport

POLL_SECONDS = 0.5
TOKENIZERS: dict[Relation, str] = {
    "equal": "the tokenizers are the same",
    "compatible": "the tokenizers give the same ids to what both know",
    "different": "the tokenizers cut texts differently",
}
HASHED = ("weights SHA-256", "adapter SHA-256")
BYTES = ("bytes on disk", "bytes in memory")


# --- in words ---------------------------------------------------------------------------------------------------------


def sentence(report: LoadReport) -> str:
    """What matters most, for someone who reads nothing else."""
    said = "; ".join([_weights_said(report), TOKENIZERS[report.tokenizers], _abilities_said(report.abilities)])
    return said[0].upper() + said[1:] + "."


def _weights_said(report: LoadReport) -> str:
    if not report.tensor_names:
        return "how far tuned differs from base is still being checked"
    comparable = ~np.isnan(report.tensor_changed)
    total, count, differing = len(comparable), int(comparable.sum()), int((report.tensor_changed > 0).sum())
    if count == 0:
        return f"tuned and base have no tensor in common ({' and '.join(_architectures(report))})"
    if not report.differs:
        return "tuned and base have exactly the same weights"
    said = f"tuned differs from base in {differing:,} of {count:,} tensors"
    return said if count == total else f"{said}, and {total - count:,} more have no counterpart of their shape"


def _architectures(report: LoadReport) -> tuple[str, str]:
    return report.models.map(lambda facts: facts.architecture).sides


def _abilities_said(abilities: Sequence[Ability]) -> str:
    if all(one.works for one in abilities):
        return "everything works"
    works = list(dict.fromkeys(page_of(one.analysis) for one in abilities if one.works and one.analysis not in PARTS))
    parts = [f"{_listed(works)} {'works' if len(works) == 1 else 'work'}"] if works else []
    without = sorted((one for one in abilities if not one.works), key=lambda one: one.reason)
    for reason, group in groupby(without, key=lambda one: one.reason):
        names = list(dict.fromkeys(_name(one.analysis, works) for one in group))
        parts.append(f"{_listed(names)} {'does' if len(names) == 1 else 'do'} not, because {reason}")
    return ", ".join(parts)


PARTS = {
    "shift": "Compare, token by token,",
    "atlas": "Attention, all heads at a glance,",
    "ablation": "Attention, heads switched off,",
    "faithfulness": "Attribution, whether scores can be believed,",
    "density": "Attribution, how densely the instruction is used,",
    "agreement": "Attribution, whether methods agree,",
    "randomisation": "Attribution, whether scores survive shuffled weights,",
}
"""analysis -> its part of a page that shows another one too"""


def _name(analysis: str, works: Sequence[str]) -> str:
    """The page that does not work, or the part of it that does not where the rest does."""
    page = page_of(analysis)
    return PARTS.get(analysis, page) if page in works else page


def _listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def notes(report: LoadReport) -> list[str]:
    """What else has to be known about how the two stand in memory."""
    said = []
    if report.shares_weights:
        said.append("Both sides stand on one copy of the weights in memory.")
    if report.adapter_restores_base:
        said.append("With the adapter off the model computes the same bits as before it was laid on.")
    return said


# --- as it lies open --------------------------------------------------------------------------------------------------


@st.dialog("Load report", width="large", on_dismiss=pairs.close_report)
def load_report() -> None:
    """The report of the pair that is asked, with what is still being checked until it is whole."""
    held = pairs.report_pair()
    if held.over:
        _draw(held)
    else:
        st.fragment(_news, run_every=POLL_SECONDS)(held)


def _news(held: compute.Held) -> None:
    if held.over:
        st.rerun()
    _draw(held)


def _draw(held: compute.Held) -> None:
    report: LoadReport | None = held.shown
    if held.state == "failed":
        st.error(plain(held.job.error or ""))
    elif not held.over:
        st.progress(held.job.fraction, text=plain(status(held)))
    if report is not None:
        _report(report)


def _report(report: LoadReport) -> None:
    st.markdown(f"**{plain(sentence(report))}**")
    if report.unfinished:
        st.caption("Still being checked: " + _listed(report.unfinished) + ".")
    if report.adapter_restores_base is False:
        st.warning(
            "With the adapter off, this model does not compute the same bits as before the adapter was laid on: "
            "the base side is not exactly the base model."
        )
    st.html(f'<ul class="abilities">{"".join(map(_ability, report.abilities))}</ul>')
    if not np.isnan(report.tensor_differences).all():
        st.subheader("How far tuning moved each layer", anchor=False)
        chart(
            figures.figure,
            report,
            inputs.dark(),
            key="change-by-layer",
            alt="Relative change of the weights of each layer",
        )
    st.subheader("What was opened", anchor=False)
    st.html(_sides(report))
    st.caption(plain(" ".join([report.tokenizers_said, *notes(report)])))
    if report.tensor_names:
        _tensors(report)
    _how_to_read()
    if not report.unfinished:
        st.download_button(
            "Download as JSON",
            lambda: codec.encode(report).encode(),  # text itself would be a file that the next run takes away
            "load_report.json",
            "application/json",
            key="download-report",
            on_click="ignore",
        )


def _ability(ability: Ability) -> str:
    mark, word = ("✓", "works") if ability.works else ("✗", "does not work")
    reason = f"{':' if not ability.works else ','} {ability.reason}" if ability.reason else ""
    name = PARTS.get(ability.analysis) or page_of(ability.analysis)
    return f"<li><b>{mark} {escaped(name)}</b> {word}{escaped(reason)}</li>"


def _sides(report: LoadReport) -> str:
    """The table of both sides as HTML; what differs stands out, what neither side has is left out."""
    rows = [_row(report, *row) for row in report.sides().itertuples(index=False) if row[1:] != (None, None)]
    head = '<tr><td></td><th scope="col" class="base">base</th><th scope="col" class="tuned">tuned</th></tr>'
    return f'<table class="opened">{head}{"".join(rows)}</table>'


def _row(report: LoadReport, name: str, base: Any, tuned: Any) -> str:
    left, right = (escaped(_shown(report, name, value)) for value in (base, tuned))
    kind = ("same" if left == right else "") + (" hash" if name.endswith("SHA-256") else "")
    return f'<tr class="{kind.strip()}"><th scope="row">{escaped(name.removeprefix("bytes "))}</th><td>{left}</td><td>{right}</td></tr>'


def _shown(report: LoadReport, name: str, value: Any) -> str:
    if report.unfinished and name in HASHED:
        return "still being checked"
    if value is None or value == "":
        return "none"
    if name in BYTES:
        return f"{value / 1e6:,.1f} MB ({value:,} bytes)"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _tensors(report: LoadReport) -> None:
    with st.expander(f"Every tensor ({len(report.tensor_names):,})"):
        st.dataframe(
            report.table(),
            hide_index=True,
            height=320,
            column_config={
                "tensor": st.column_config.TextColumn("tensor", width="large"),
                "layer": st.column_config.NumberColumn("layer", help="-1: outside the layers"),
                "numbers": st.column_config.NumberColumn("numbers", format="localized"),
                "change": st.column_config.NumberColumn(
                    "relative change", format="%.6f", help="Norm of (tuned - base), divided by the norm of base"
                ),
                "changed": st.column_config.NumberColumn(
                    "share that differs", format="percent", help="Share of the tensor's numbers that differ"
                ),
            },
        )


def _how_to_read() -> None:
    how_to_read(
        """
A model is a list of *tensors*, tables of numbers that training sets. Tuning starts from the base model's numbers and moves them. The **relative change** of a layer says how far: 0 means that nothing moved, 1 % that the move is a hundredth as long as the layer's numbers themselves (the Frobenius norm of tuned - base, over that of base).

*Outside* are the tensors that belong to no layer: the embeddings, the last norm and, where there is one, the encoder. A tensor *without counterpart* is there on one side only, or has another shape there.

A *SHA-256* is a fingerprint of a file: whoever has the same fingerprint has the same weights, wherever the files lie. The *number format* and the *device* come with the reason for which they were chosen; both sides always get the same number format.

**What this cannot show.** How far weights moved is not how much behaviour changed: a small move can change an answer, and a large one may change nothing that you ask about.
"""
    )
