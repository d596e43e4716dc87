"""Figures of a report beside its tables: rows become plain data, and data become pictures."""

from retbench.report.figures.pictures import make_pictures

__all__ = ["make_pictures"]
