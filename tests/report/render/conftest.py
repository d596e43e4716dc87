"""A small table that holds everything a place can have."""

from __future__ import annotations

import math

import pytest

from retbench.metrics import Interval
from retbench.report.tables.curve import Curve, CurveLine, CurvePanel, CurvePoint
from retbench.report.tables.table import CostLine, HasherLine, PublishedValue, Table, TableRow, Value
from retbench.report.tables.unit import Unit
from retbench.results import TieRange

HALF = Interval(0.5, 0.4, 0.6)
QUARTER = Interval(0.25, 0.2, 0.3)


@pytest.fixture
def table() -> Table:
    """Two blocks under two levels of headers, with ties, published numbers, footnotes, costs and provenance."""
    near = PublishedValue((26.5,), -1.5, "agrees", "RetPur, Table 1")
    far = PublishedValue((46.17, 61.09), None, "not comparable", "RetPur, Table 2")
    return Table(
        "Title",
        (("digits", "DPSH"), ("digits", "DPH")),
        (
            TableRow("MAP", "original", (Value(HALF, tie_range=TieRange(0.35, 0.625)), Value(None, "a"))),
            TableRow(
                "MAP",
                "RetPur",
                (
                    Value(QUARTER, emphasis="best", published=near),
                    Value(QUARTER, emphasis="tied", published=far, notes=("b",)),
                ),
            ),
            TableRow(
                "RMS", "RetPur", (Value(None, "\u2020", Unit.GRAY), Value(Interval(0.1, 0.0, 0.2), "", Unit.GRAY))
            ),
            TableRow("RMS", "DDPM", (Value(None, "missing"), Value(Interval(math.nan, math.nan, math.nan)))),
        ),
        (("a", "skipped: no weights"), ("b", "other targets"), ("\u2020", "failed: out of memory")),
        "Caption.",
        costs=(
            CostLine("original", (0.021, 0.034), None, (2.0**30, 2.0**30 + 1)),
            CostLine("RetPur", (0.021, 0.021), (1.5, 12.25), None, change=(0.016, 0.06)),
        ),
        provenance=(("Data", "digits"), ("Device", "two cores")),
        hashers=(HasherLine("digits DPSH", 0.41, math.nan, 120, 1597, 0.095),),
    )


@pytest.fixture
def curve() -> Curve:
    """One panel with one line."""
    return Curve(
        "Title",
        "step T_p",
        "linear",
        (CurvePanel("MAP", Unit.PERCENT, (CurveLine("[a]", (CurvePoint(1.0, HALF),)),), ()),),
    )
