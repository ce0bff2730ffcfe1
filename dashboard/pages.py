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
    "instructions": ("instructions",),
    "benchmarks": ("published",),
    "sessions": (),
    "findings": ("findings",),
}
"""page -> the analyses that it shows; the page of sessions shows what was recorded of any"""
PROBES = ("reasoning", "robustness", "bias", "calibration", "instructions", "benchmarks")
"""pages that stand under one menu"""
EVERY_PAGE = ("load_report",)
"""in the panel of the pair, which the header opens"""
TITLES = {"instructions": "Instruction design"}
"""page -> what it is called, where that is not its name"""


def title(page: str) -> str:
    """What a page is called."""
    return TITLES.get(page, page.capitalize())


def page_of(analysis: str) -> str:
    """The title of the page that shows it."""
    return title(next(page for page, shown in PAGES.items() if analysis in shown))
