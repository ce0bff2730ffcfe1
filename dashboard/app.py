"""The dashboard's entry point: page configuration, the pair of models, and the pages."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `streamlit run` puts only this file's folder there

import streamlit as st

from dashboard.pages import PAGES, PROBES, title
from dashboard.session import address, compute
from dashboard.widgets import header
from dashboard.widgets.record_button import go_on, record_button


def main() -> None:
    """The scripts lie in `screens`: beside a folder named `pages` Streamlit would run a page without this file when its address is opened first."""
    address.arrive()
    header.configure()
    pages = {
        name: st.Page(f"screens/{name}.py", title=title(name), url_path=name, default=name == "compare")
        for name in PAGES
    }
    flat, probes = ([pages[name] for name in PAGES if (name in PROBES) == among] for among in (False, True))
    chosen = st.navigation({"": flat, "Probes": probes}, position="top")
    place = header.draw()
    page = chosen.url_path or "compare"
    waiting = go_on(page)  # first, so that the page knows what was just recorded
    chosen.run()
    record_button(place, page, waiting)
    compute.load_ahead()


if __name__ == "__main__":
    main()
