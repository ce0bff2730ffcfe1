"""The report of a session: one page that needs nothing else, the same data as JSON and CSV, and a paragraph for the model's card."""

from dashboard.report.build import as_json, card, csv, html

__all__ = ["as_json", "card", "csv", "html"]
