"""Which page shows which analyses."""

from __future__ import annotations

PAGES = {
    "compare": ("generation", "shift"),
    "many": ("survey",),
    "attention": ("attention", "atlas", "ablation"),
    "attribution": ("attribution", "faithfulness", "agreement", "randomisation", "density"),
    "reasoning": ("reasoning",),
    "robustness": ("robustness",),
    "bias": ("bias",),
    "calibration": ("calibration",),
    "benchmarks": ("published",),
    "sessions": (),
    "findings": ("findings",),
}
"""page -> the analyses that it shows; the page of sessions shows what was recorded of any"""
PROBES = ("reasoning", "robustness", "bias", "calibration", "benchmarks")
"""pages that stand under one menu"""
EVERY_PAGE = ("load_report",)
"""in the panel of the pair, which the header opens"""


def page_of(analysis: str) -> str:
    """The title of the page that shows it."""
    return next(page for page, shown in PAGES.items() if analysis in shown).capitalize()
