"""Candor's tests: one file per module, laws rather than examples."""
