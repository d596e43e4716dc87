"""The printed form of a cell."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.metrics import Interval
from retbench.report.render.cell import (
    DASH,
    PrintedCell,
    format_interval,
    format_mark,
    format_percent,
    format_quantity,
    format_range,
    format_value,
    one_line,
)
from retbench.report.tables.table import PublishedValue, Value
from retbench.report.tables.unit import Unit
from retbench.results import TieRange

NAN = math.nan
HALF = Interval(0.5, 0.4, 0.6)


def test_percent_has_two_decimals_and_an_interval() -> None:
    assert format_percent(HALF) == "50.00 [40.00, 60.00]"


def test_a_root_mean_square_is_printed_in_gray_levels() -> None:
    assert format_interval(Interval(0.1, 0.0, 0.2), Unit.GRAY) == "25.50 [0.00, 51.00]"


def test_seconds_have_three_significant_digits_and_memory_no_decimals() -> None:
    assert format_interval(Interval(0.0214, 0.99961, 12.345), Unit.SECONDS) == "0.0214 [1.00, 12.3]"
    assert format_interval(Interval(2.0**20, 0, 1.6 * 2**20), Unit.MEBIBYTES) == "1 [0, 2]"


def test_a_difference_that_rounds_to_0_has_no_sign() -> None:
    assert format_percent(Interval(-0.00001, -0.00002, 0.00001)) == "0.00 [0.00, 0.00]"
    published = PublishedValue((61.0,), -0.001, "agrees", "")
    assert format_value(Value(HALF, published=published)).published[1] == "difference 0.00"


def test_a_missing_number_is_a_dash_without_emphasis() -> None:
    assert format_percent(None) == format_percent(Interval(NAN, NAN, NAN)) == DASH == "\u2013"
    assert format_value(Value(Interval(NAN, NAN, NAN), emphasis="best")) == PrintedCell(DASH, "", (), "", (), "")


def test_a_number_without_an_interval_is_printed_without_brackets() -> None:
    assert format_percent(Interval(0.5, NAN, NAN)) == "50.00"
    assert format_percent(Interval(0.5, 0.5, 0.5)) == "50.00 [50.00, 50.00]"
    assert format_interval(Interval(3 * 2.0**20, NAN, NAN), Unit.MEBIBYTES) == "3"
    cell = format_value(Value(Interval(0.5, NAN, NAN), emphasis="tied", notes=("a",)))
    assert cell == PrintedCell("50.00", "", ("a",), "", (), "tied")


def test_infinity_is_printed() -> None:
    assert format_percent(Interval(math.inf, 0.5, math.inf)) == "inf [50.00, inf]"
    assert format_quantity(math.inf, Unit.SECONDS) == "inf"


@given(st.floats(-1e6, 1e6), st.sampled_from(Unit))
def test_no_quantity_is_printed_as_negative_zero(quantity: float, unit: Unit) -> None:
    text = format_quantity(quantity, unit)
    assert not text.startswith("-") or float(text) < 0


@given(st.floats(1e-6, 999))
def test_seconds_agree_with_decimal_arithmetic(seconds: float) -> None:
    rounded = Context(prec=3, rounding=ROUND_HALF_EVEN).create_decimal_from_float(seconds)
    assert float(format_quantity(seconds, Unit.SECONDS)) == pytest.approx(float(rounded), rel=1e-12)


@given(st.floats(1000, 1e9))
def test_seconds_from_1000_have_no_decimals(seconds: float) -> None:
    assert format_quantity(seconds, Unit.SECONDS) == str(round(seconds))


def test_a_cell_has_ties_and_published_number_below() -> None:
    value = PublishedValue((61.09,), -3.1, "agrees", "RetPur, Table 1")
    cell = format_value(
        Value(HALF, tie_range=TieRange(0.35, 0.625), published=value, notes=("b", "c"), emphasis="tied")
    )
    published = ("published 61.09", "difference -3.10", "agrees")
    assert cell == PrintedCell("50.00", "[40.00, 60.00]", ("b", "c"), "ties 35.00 to 62.50", published, "tied")
    assert cell.lines_below == ("ties 35.00 to 62.50", "published 61.09, difference -3.10, agrees")


def test_a_positive_difference_has_a_plus_sign() -> None:
    cell = format_value(Value(HALF, published=PublishedValue((46.9,), 3.1, "differs", "")))
    assert cell.lines_below == ("published 46.90, difference +3.10, differs",)


def test_several_published_numbers_are_a_range_without_a_difference() -> None:
    cell = format_value(Value(HALF, published=PublishedValue((46.17, 50.0, 61.09), None, "not comparable", "")))
    assert cell.lines_below == ("published 46.17 to 61.09, not comparable",)


def test_a_missing_number_has_the_mark_of_its_footnote() -> None:
    assert format_value(Value(None, "a")).marks == ("a",)
    assert format_value(Value(None, "missing")).marks == ()


def test_letters_are_in_parentheses_and_daggers_are_not() -> None:
    assert [format_mark(mark) for mark in ("a", "ab", "\u2020", "\u20202")] == ["(a)", "(ab)", "\u2020", "\u20202"]


def test_ends_that_print_alike_are_one_number() -> None:
    assert format_range([0.021, 0.034], Unit.SECONDS) == "0.0210 to 0.0340"
    assert format_range([0.02101, 0.02102], Unit.SECONDS) == "0.0210"


@given(st.text())
def test_one_line_has_no_line_breaks_and_is_idempotent(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line
