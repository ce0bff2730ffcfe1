"""The dashboard's entry point: page configuration, the pair of models, and the pages."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `streamlit run` puts only this file's folder there

import streamlit as st

from dashboard import session
from dashboard.widgets import header

# Page -> the analyses that it shows. (A comment, because Streamlit would print a bare string on the page.)
PAGES = {
    "compare": ("generation", "shift"),
    "many": ("survey",),
    "attention": ("attention",),
    "attribution": ("attribution",),
}
EVERY_PAGE = ("load_report",)  # in the panel of the pair, which the header opens


def main() -> None:
    """The scripts lie in `screens`: beside a folder named `pages` Streamlit would run a page without this file when its address is opened first."""
    header.configure()
    pages = [
        st.Page(f"screens/{name}.py", title=name.capitalize(), url_path=name, default=name == "compare")
        for name in PAGES
    ]
    chosen = st.navigation(pages, position="top")
    header.draw()
    chosen.run()
    session.load_ahead()


if __name__ == "__main__":
    main()
