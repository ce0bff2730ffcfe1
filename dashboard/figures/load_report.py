"""How far tuning moved the weights of each layer."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import theme
from model_utils.contracts.load_report import LoadReport

MOST_TICKS = 24


def figure(result: LoadReport, dark: bool = False) -> go.Figure:
    """Relative change of each layer as a bar; what lies outside the layers stands left of them, in grey."""
    rows, colours = result.by_layer(), theme.palette(dark)
    layers = rows["layer"].to_numpy(dtype=np.int64)
    fig = go.Figure(
        go.Bar(
            x=layers,
            y=rows["change"],
            marker_color=[colours.sides.tuned if layer >= 0 else colours.noise for layer in layers],
            text=[name(layer) for layer in layers],
            textposition="none",
            customdata=rows[["changed", "tensors", "numbers"]],
            hovertemplate="<b>%{text}</b><br>relative change %{y:.3~p}<br>%{customdata[0]:.1%} of %{customdata[2]:,} numbers "
            "in %{customdata[1]} tensors differ<extra></extra>",
        )
    )
    theme.apply(fig, dark)
    fig.update_layout(height=256, bargap=0.6, margin_t=8)
    shown = layers[:: len(layers) // MOST_TICKS + 1]
    fig.update_xaxes(
        title_text="layer (outside: embeddings, last norm, an encoder)",
        tickvals=shown,
        ticktext=["outside" if layer < 0 else str(layer) for layer in shown],
        showgrid=False,
        zeroline=False,
    )
    fig.update_yaxes(title_text="norm of (tuned − base) / norm of base", tickformat=".2~p", rangemode="tozero")
    return fig


def name(layer: int) -> str:
    """What a layer number of the report means."""
    return "outside the layers" if layer < 0 else f"layer {layer}"
