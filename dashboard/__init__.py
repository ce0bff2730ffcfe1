"""The dashboard: thin pages over the analyses of model_utils; nothing here imports torch."""
