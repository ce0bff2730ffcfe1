"""Candor's model layer: what instruction tuning changed, computed on real transformers models; no streamlit, no plotly."""
