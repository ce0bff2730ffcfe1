"""Pure functions from a result to a Plotly figure, one module for each analysis; no streamlit, no torch."""
