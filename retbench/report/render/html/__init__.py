"""A report as one HTML page that needs no other file and no network."""

from retbench.report.render.html.page import as_html

__all__ = ["as_html"]
