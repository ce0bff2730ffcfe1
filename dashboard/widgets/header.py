"""What every page has at its top: Candor's name, the pair of models, background work; and the few styles of the whole."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.figures import theme
from dashboard.session import compute, inputs, visits
from dashboard.widgets.download import OWN_DOWNLOAD
from dashboard.widgets.load_report import load_report
from dashboard.widgets.pair_picker import pair_picker
from dashboard.widgets.text import plain

POLL_SECONDS = 0.5

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="112" height="32" viewBox="0 0 112 32">'
    '<rect x="0" y="8" width="7" height="16" fill="{base}"/><rect x="9" y="8" width="7" height="16" fill="{tuned}"/>'
    '<text x="26" y="23" font-family="system-ui, sans-serif" font-size="20" font-weight="600" fill="{text}">Candor</text></svg>'
)
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<rect x="0" width="7" height="16" fill="#0072b2"/><rect x="9" width="7" height="16" fill="#d55e00"/></svg>'
)
STYLE = """<style>
.block-container {{ padding-top: 72px; padding-bottom: 96px; max-width: 1280px; }}
[data-testid="stHeading"] h2 {{ font-size: 24px !important; padding: 16px 0 0 !important; }}
[data-testid="stDialog"] [data-testid="stHeading"] h3 {{ font-size: 18px !important; }}
.side {{ display: flex; flex-wrap: wrap; gap: 0 16px; align-items: baseline; border-top: 3px solid; padding-top: 8px; }}
.side b {{ text-transform: uppercase; letter-spacing: 0.04em; }}
.side span {{ color: {muted}; overflow-wrap: anywhere; }}
.side .facts {{ margin-left: auto; font-variant-numeric: tabular-nums; }}
.side.base {{ color: {base}; }}
.side.tuned {{ color: {tuned}; }}
.side.difference {{ color: {muted}; }}
button:is([data-variant="segmented_control"], [data-variant="pills"])[data-selected="true"] {{ color: {base} !important; }}
.values {{ display: flex; flex-wrap: wrap; gap: 0 24px; color: {muted}; font-variant-numeric: tabular-nums; }}
.values b {{ font-weight: 600; }}
.values .head {{ overflow-wrap: anywhere; min-width: 0; }}
.values .base {{ color: {base}; }}
.values .tuned {{ color: {tuned}; }}
@media (min-width: 768px) {{ .st-key-header {{ position: fixed; top: 8px; right: 72px; width: auto; flex-wrap: nowrap; z-index: 1000000; }} .st-key-header .stProgress {{ width: 240px; }} }}
.written {{ white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; line-height: 24px; min-height: 48px; }}
.written.none {{ color: {muted}; font-style: italic; }}
[data-testid="stPopoverBody"]:has(.st-key-pair-panel) {{ width: min(760px, 96vw); max-height: 84vh !important; overflow-y: auto; }}
.st-key-pair-panel button .stMarkdownColoredText {{ color: {muted} !important; }}
.st-key-pair-panel button[kind="tertiary"] {{ padding: 4px 8px; }}
.st-key-pair-panel button[kind="tertiary"], .st-key-pair-panel button[kind="tertiary"] * {{ justify-content: flex-start; text-align: left; }}
.st-key-pair-panel button[kind="tertiary"]:hover {{ background: {surface}; color: {text}; }}
[data-testid="stPopoverBody"]:focus {{ outline: none; }}
.abilities {{ list-style: none; margin: 0 !important; padding: 0 !important; line-height: 24px; }}
.abilities li {{ margin: 0 !important; padding: 0 !important; }}
.opened {{ border-collapse: collapse; table-layout: fixed; width: 100%; line-height: 24px; font-variant-numeric: tabular-nums; }}
.opened th, .opened td {{ text-align: left; vertical-align: top; padding: 4px 16px 4px 0; border-bottom: 1px solid {line}; overflow-wrap: anywhere; }}
.opened th {{ font-weight: 600; }}
.opened th[scope="row"] {{ color: {muted}; font-weight: 400; overflow-wrap: normal; }}
.opened tr:first-child > :first-child {{ width: 160px; }}
@media (max-width: 767px) {{ .opened tr:first-child > :first-child {{ width: 96px; }} }}
.opened .same td {{ color: {muted}; }}
.opened .hash td {{ font-family: monospace; font-size: 12px; }}
.opened .base {{ color: {base}; }}
.opened .tuned {{ color: {tuned}; }}
.findings {{ border-collapse: collapse; width: 100%; line-height: 24px; font-variant-numeric: tabular-nums; }}
.findings th, .findings td {{ text-align: left; vertical-align: top; padding: 8px 16px 8px 0; border-bottom: 1px solid {line}; overflow-wrap: break-word; }}
.findings th {{ font-weight: 600; }}
.findings th[scope="row"] {{ font-weight: 400; }}
.findings .base {{ color: {base}; }}
.findings .tuned {{ color: {tuned}; }}
.findings .text {{ white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }}
@media (max-width: 767px) {{
.findings thead {{ display: none; }}
.findings tr {{ display: block; padding: 8px 0; border-bottom: 1px solid {line}; }}
.findings td, .findings th[scope="row"] {{ display: block; padding: 0 0 4px; border: none; }}
.findings th[scope="row"] {{ font-weight: 600; }}
.findings td[data-of]::before {{ content: attr(data-of) ": "; color: {muted}; }}
}}
.wording {{ min-height: 0; }}
.wording mark {{ background: {surface}; color: inherit; text-decoration: underline 2px {muted}; text-underline-offset: 4px; }}
.wording .kind {{ color: {muted}; font-size: 12px; margin: 0 4px; white-space: nowrap; user-select: none; }}
.st-key-look-at-wording button p {{ text-decoration: underline; }}
.sure {{ color: {muted}; font-size: 14px; }}
.steps {{ margin: 0 !important; padding-left: 24px !important; line-height: 24px; }}
.steps li {{ margin: 0 0 8px !important; padding: 0 !important; }}
.steps .text, .outcome .text {{ white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }}
.outcome {{ line-height: 24px; margin-bottom: 8px; }}
</style>"""


def configure() -> None:
    st.set_page_config(page_title="Candor", page_icon=ICON, layout="wide")
    colours = theme.palette(inputs.dark())
    st.logo(LOGO.format(base=colours.sides.base, tuned=colours.sides.tuned, text=colours.text), size="large")
    st.html(
        STYLE.format(
            base=colours.side_text.base,
            tuned=colours.side_text.tuned,
            muted=colours.muted,
            line=colours.line,
            surface=colours.surface,
            text=colours.text,
        )
    )
    st.html(OWN_DOWNLOAD)


def draw() -> DeltaGenerator:
    """The pair, and what is being computed in the background; the place of the Record button is given back."""
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="header"):
        opening = visits.visit().opening
        polling = POLL_SECONDS if opening or compute.background_jobs() else None
        st.fragment(_background, run_every=polling)(opening)
        record = st.container(width="content", key="record-place")
        pair_picker()
    if visits.visit().reading:
        load_report()
    return record


def _background(opening: bool) -> None:
    """What is computed for nobody in particular; `opening`: a pair was on its way when the page was drawn."""
    if opening and not visits.visit().opening:
        st.rerun()
    for job in compute.background_jobs():
        st.progress(job.fraction, text=plain(f"{job.kind.replace('_', ' ').capitalize()}: {job.note or 'waiting'}"))
