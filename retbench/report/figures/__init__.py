"""Figures: curves of tables and values of rows become charts, plain data that one engine draws."""

from retbench.report.figures.pictures import make_pictures

__all__ = ["make_pictures"]
