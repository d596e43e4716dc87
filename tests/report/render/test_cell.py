"""How one place is printed."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retbench.metrics import Interval
from retbench.report.render.cell import DASH, Cell, amount, between, compose, flag, number, one_line, percent
from retbench.report.tables.table import Published, Value
from retbench.report.tables.unit import Unit
from retbench.results import TieRange

NAN = math.nan
HALF = Interval(0.5, 0.4, 0.6)


def test_a_number_keeps_its_two_decimals_and_its_interval() -> None:
    assert percent(HALF) == "50.00 [40.00, 60.00]"


def test_a_root_mean_square_is_printed_in_gray_levels() -> None:
    assert number(Interval(0.1, 0.0, 0.2), Unit.GRAY) == "25.50 [0.00, 51.00]"


def test_seconds_have_three_significant_digits_and_memory_is_whole() -> None:
    assert number(Interval(0.0214, 0.99961, 12.345), Unit.SECONDS) == "0.0214 [1.00, 12.3]"
    assert number(Interval(2.0**20, 0, 1.6 * 2**20), Unit.MEBIBYTES) == "1 [0, 2]"


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert percent(Interval(-0.00001, -0.00002, 0.00001)) == "0.00 [0.00, 0.00]"
    published = Published((61.0,), -0.001, "agrees", "")
    assert compose(Value(HALF, published=published)).published[1] == "difference 0.00"


def test_no_number_is_a_dash_without_emphasis() -> None:
    assert percent(None) == percent(Interval(NAN, NAN, NAN)) == DASH == "\u2013"
    assert compose(Value(Interval(NAN, NAN, NAN), emphasis="best")) == Cell(DASH, "", (), "", (), "")


def test_a_number_of_unknown_uncertainty_stands_without_brackets() -> None:
    assert percent(Interval(0.5, NAN, NAN)) == "50.00"
    assert percent(Interval(0.5, 0.5, 0.5)) == "50.00 [50.00, 50.00]"
    assert number(Interval(3 * 2.0**20, NAN, NAN), Unit.MEBIBYTES) == "3"
    told = compose(Value(Interval(0.5, NAN, NAN), emphasis="tied", notes=("a",)))
    assert told == Cell("50.00", "", ("a",), "", (), "tied")


def test_infinity_is_a_number() -> None:
    assert percent(Interval(math.inf, 0.5, math.inf)) == "inf [50.00, inf]"
    assert amount(math.inf, Unit.SECONDS) == "inf"


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from(Unit))
def test_no_quantity_is_printed_as_a_negative_nothing(quantity: float, unit: Unit) -> None:
    text = amount(quantity, unit)
    assert not text.startswith("-") or float(text) < 0


@settings(deadline=None)
@given(st.floats(1e-6, 999))
def test_seconds_agree_with_decimal_arithmetic(seconds: float) -> None:
    rounded = Context(prec=3, rounding=ROUND_HALF_EVEN).create_decimal_from_float(seconds)
    assert float(amount(seconds, Unit.SECONDS)) == pytest.approx(float(rounded), rel=1e-12)


@settings(deadline=None)
@given(st.floats(1000, 1e9))
def test_many_seconds_are_whole(seconds: float) -> None:
    assert amount(seconds, Unit.SECONDS) == str(round(seconds))


def test_a_place_says_what_ties_and_papers_say() -> None:
    near = Published((61.09,), -3.1, "agrees", "RetPur, Table 1")
    cell = compose(Value(HALF, tie_range=TieRange(0.35, 0.625), published=near, notes=("b", "c"), emphasis="tied"))
    told = ("published 61.09", "difference -3.10", "agrees")
    assert cell == Cell("50.00", "[40.00, 60.00]", ("b", "c"), "ties 35.00 to 62.50", told, "tied")
    assert cell.beneath == ("ties 35.00 to 62.50", "published 61.09, difference -3.10, agrees")


def test_a_gain_over_a_paper_has_a_plus() -> None:
    cell = compose(Value(HALF, published=Published((46.9,), 3.1, "differs", "")))
    assert cell.beneath == ("published 46.90, difference +3.10, differs",)


def test_several_published_numbers_are_a_range_that_nothing_is_subtracted_from() -> None:
    cell = compose(Value(HALF, published=Published((46.17, 50.0, 61.09), None, "not comparable", "")))
    assert cell.beneath == ("published 46.17 to 61.09, not comparable",)


def test_a_mark_says_why_there_is_no_number() -> None:
    assert compose(Value(None, "a")).marks == ("a",)
    assert compose(Value(None, "missing")).marks == ()


def test_letters_stand_in_brackets_and_daggers_alone() -> None:
    assert [flag(mark) for mark in ("a", "ab", "\u2020", "\u20202")] == ["(a)", "(ab)", "\u2020", "\u20202"]


def test_ends_that_print_alike_are_one_number() -> None:
    assert between([0.021, 0.034], Unit.SECONDS) == "0.0210 to 0.0340"
    assert between([0.02101, 0.02102], Unit.SECONDS) == "0.0210"


@settings(deadline=None)
@given(st.text())
def test_one_line_has_no_breaks_and_stays_as_it_is(text: str) -> None:
    told = one_line(text)
    assert len(told.splitlines()) <= 1
    assert one_line(told) == told
