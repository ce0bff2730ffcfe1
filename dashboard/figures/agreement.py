"""How far each two methods agree: a small heatmap for each model, with every number written in its cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import theme
from model_utils.contracts.agreement import Agreement

ROW, AROUND = 44, 150
"""Pixels of a method, and of all that stands around them."""


def figure(result: Agreement, dark: bool = False) -> go.Figure:
    """Base | tuned, the same methods down and across, Kendall's tau from -1 to 1 on one scale; numeric axes, for the names are long."""
    places = list(range(len(result.methods)))
    fig = make_subplots(1, 2, subplot_titles=["base", "tuned"], shared_yaxes=True, horizontal_spacing=0.04)
    cells: list[dict[str, Any]] = []
    for column, (side, taus) in enumerate(result.taus.items(), start=1):
        names = [[f"{one}<br>{other}" for other in result.methods] for one in result.methods]
        fig.add_trace(
            go.Heatmap(
                z=taus,
                zmin=-1,
                zmax=1,
                colorscale=theme.colour_scale("diverging", dark),
                customdata=names,
                hoverongaps=False,
                xgap=2,
                ygap=2,
                showscale=False,
                hovertemplate=f"%{{customdata}}<br>tau %{{z:+.3f}}<extra>{side}</extra>",
            ),
            1,
            column,
        )
        for one in places:
            for other in places:
                said, colour = _cell(taus[one, other], dark)
                place = {"x": other, "y": one, "xref": f"x{column}", "yref": f"y{column}"}
                cells.append({**place, "text": said, "font": {"color": colour, "size": 13}, "showarrow": False})
    style = theme.layout(dark)
    theme.apply(fig, dark, height=AROUND + ROW * len(places), annotations=[*fig.layout.annotations, *cells])
    ticks = {"tickvals": places, "ticktext": list(result.methods), "showgrid": False, "zeroline": False}
    fig.update_xaxes(style["xaxis"], overwrite=True, **ticks, tickangle=-30)
    fig.update_yaxes(style["yaxis"], overwrite=True, **ticks, autorange="reversed")
    return fig


def _cell(tau: float, dark: bool) -> tuple[str, str]:
    """What stands in a cell, and the colour in which it can be read on it; a tau that is not known has no colour of its own."""
    if np.isnan(tau):
        return "not known", theme.palette(dark).muted
    level = theme.levels(np.array([tau]), "diverging", 1.0)[0]
    white = theme.browser_table("diverging", dark)[level, 3]
    return f"{tau:+.2f}", "#ffffff" if white else "#000000"
