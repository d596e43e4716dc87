"""Tables as CSV, read back by the csv module."""

from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retbench.metrics import Interval
from retbench.report.render.cell import one_line
from retbench.report.render.csv import FIELDS, as_csv
from retbench.report.tables.table import Published, Table, TableRow, Value
from retbench.report.tables.unit import Unit

NUMBERS = st.floats(allow_nan=False)


def lines(*tables: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(tables), newline="")))


def small(value: Value, name: str = "x", notes: tuple[tuple[str, str], ...] = ()) -> Table:
    return Table(name, ((name, name),), (TableRow(name, name, (value,)),), notes, "")


def test_each_place_is_a_line(table: Table) -> None:
    found = lines(table, table)
    assert len(found) == 2 * 8
    assert as_csv([table]).splitlines()[0] == ",".join(FIELDS)
    assert as_csv([table]).splitlines()[1] == (
        "Title,MAP,original,digits / DPSH,50.0,40.0,60.0,percent,,35.0,62.5,,,,,,"
    )
    assert found[3] == {
        "table": "Title", "block": "MAP", "row": "RetPur", "column": "digits / DPH", "value": "25.0", "low": "20.0",
        "high": "30.0", "unit": "percent", "emphasis": "tied", "ties_worst": "", "ties_best": "",
        "published": "46.17 to 61.09", "difference": "", "verdict": "not comparable", "source": "RetPur, Table 2",
        "notes": "other targets", "mark": "",
    }  # fmt: skip  # a line of the file, not a column
    assert (found[1]["mark"], found[1]["notes"], found[1]["value"]) == ("a", "skipped: no weights", "")
    assert (found[7]["mark"], found[7]["value"]) == ("", "")


def test_no_tables_give_the_headers_alone() -> None:
    assert as_csv([]) == ",".join(FIELDS) + "\n"


@settings(deadline=None)
@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.sampled_from(Unit), NUMBERS)
def test_numbers_read_back_in_full_precision(ends: tuple[float, float, float], unit: Unit, difference: float) -> None:
    published = Published((ends[0],), difference, "differs", "s")
    found = lines(small(Value(Interval(*ends), unit=unit, published=published)))[0]
    assert [float(found[name]) for name in ("value", "low", "high")] == [unit.scale * end for end in ends]
    assert (float(found["published"]), float(found["difference"])) == (ends[0], difference)
    assert found["unit"] == unit.value


def test_no_number_is_empty() -> None:
    found = lines(small(Value(Interval(math.nan, math.nan, math.nan), "missing")))[0]
    assert (found["value"], found["low"], found["high"], found["mark"]) == ("", "", "", "missing")


def test_bounds_that_nothing_is_known_of_are_empty() -> None:
    found = lines(small(Value(Interval(0.5, math.nan, math.nan))))[0]
    assert (found["value"], found["low"], found["high"]) == ("50.0", "", "")


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", " \t=1", "\r\n=1"])
def test_a_text_that_a_spreadsheet_would_compute_is_led_by_an_apostrophe(name: str) -> None:
    source = Published((1.0,), -2.5, "differs", name)
    found = lines(small(Value(Interval(-0.5, -0.6, -0.4), published=source, notes=("a",)), name, (("a", name),)))[0]
    safe = f"'{one_line(name)}"
    assert [found[field] for field in ("table", "block", "row", "source", "notes")] == [safe] * 5
    assert found["column"] == f"{safe} / {one_line(name)}"
    assert (found["value"], found["difference"]) == ("-50.0", "-2.5")


@settings(deadline=None)
@given(st.text())
def test_a_name_never_adds_a_line_or_a_cell(name: str) -> None:
    text = as_csv([small(Value(None, "missing"), name)])
    assert len(text.split("\n")) == 3
    assert [len(row) for row in csv.reader(io.StringIO(text, newline=""))] == [len(FIELDS)] * 2
