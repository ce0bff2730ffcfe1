"""How alike the scores stay while the weights of more and more layers are shuffled."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from model_utils.contracts.randomisation import ALIKE, Randomisation

HEIGHT = 340


def figure(result: Randomisation, dark: bool = False) -> go.Figure:
    """A line a side in its colour, from 1 on; dotted the same of the sizes; rings: all layers shuffled anew; grey: where scores fail, either way."""
    colours = theme.palette(dark)
    fig = go.Figure()
    for side, one in result.shuffled.items():
        steps = np.arange(one.layers + 1)
        for name, values, dash in (("scores", one.rhos, "solid"), ("sizes of the scores", one.size_rhos, "dot")):
            fig.add_trace(
                go.Scatter(
                    x=steps,
                    y=values,
                    mode="lines+markers",
                    line={"color": colours.sides[side], "width": 2, "dash": dash},
                    marker={"size": 6},
                    name=f"{side}: {name}",
                    hovertemplate=f"{side}, {name}<br>%{{x}} layers shuffled<br>rho %{{y:+.3f}}<extra></extra>",
                )
            )
        again = one.end_rhos[1:]
        fig.add_trace(
            go.Scatter(
                x=np.full(len(again), one.layers),
                y=again,
                mode="markers",
                marker={"color": colours.sides[side], "symbol": "circle-open", "size": 9},
                name=f"{side}: shuffled anew",
                hovertemplate=f"{side}, all {one.layers} layers shuffled anew<br>rho %{{y:+.3f}}<extra></extra>",
            )
        )
    theme.apply(fig, dark, height=HEIGHT, margin_t=88)
    for end in (ALIKE, -ALIKE):
        fig.add_hline(y=end, line={"color": colours.noise, "dash": "dash", "width": 1})
    fig.update_xaxes(title_text="layers shuffled, from the last one down", dtick=_tick(result), zeroline=False)
    fig.update_yaxes(title_text="likeness to the original (rho)", range=(-1.05, 1.05))
    return fig


def _tick(result: Randomisation) -> int:
    return max(1, -(-max(one.layers for one in result.shuffled.sides) // 16))
