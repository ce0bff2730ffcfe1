"""Whether confidence can be trusted: how often each model is right where it is so confident."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.rows import SHARE
from dashboard.figures.shift import SYMBOLS
from model_utils.contracts.calibration import Calibration


def figure(result: Calibration, dark: bool = False) -> go.Figure:
    """Accuracy against confidence in bins of as many items each, with 95 % Wilson intervals; the diagonal is a perfectly calibrated model."""
    fig, colours = go.Figure(), theme.palette(dark)
    fig.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            name="as confident as right",
            mode="lines",
            line={"color": colours.noise, "width": 2, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    curves = () if result.reliability is None else result.reliability.items()
    for side, one in curves:
        fig.add_trace(
            go.Scatter(
                x=one.confidence,
                y=one.accuracy,
                name=side,
                mode="lines+markers",
                cliponaxis=False,
                line={"color": colours.sides[side], "width": 1.5},
                marker={"size": 9, "color": colours.sides[side], "symbol": SYMBOLS[side]},
                error_y={
                    "type": "data",
                    "array": np.maximum(0, one.high - one.accuracy),
                    "arrayminus": np.maximum(0, one.accuracy - one.low),
                    "color": colours.sides[side],
                    "thickness": 1.5,
                    "width": 4,
                },
                text=[f"{count:,} item{'' if count == 1 else 's'}" for count in one.count.tolist()],
                hovertemplate=f"where it is %{{x:.1%}} sure<br>%{{y:.1%}} are right, of %{{text}}<extra>{side}</extra>",
            )
        )
    theme.apply(fig, dark)
    fig.update_layout(height=420, hovermode="closest", margin_t=40, margin_r=16)
    fig.update_xaxes(title_text="confidence: probability of the chosen option", **SHARE)
    fig.update_yaxes(title_text="share of right choices", **SHARE)
    return fig
