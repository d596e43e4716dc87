"""Tables as CSV, read back by the csv module."""

from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retbench.metrics import Interval
from retbench.report.render.cell import one_line
from retbench.report.render.csv import FIELDS, as_csv
from retbench.report.tables.table import PublishedValue, Table, TableRow, Value
from retbench.report.tables.unit import Unit

NUMBERS = st.floats(allow_nan=False)


def lines(*tables: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(tables), newline="")))


def small(value: Value, name: str = "x", notes: tuple[tuple[str, str], ...] = ()) -> Table:
    return Table(name, ((name, name),), (TableRow(name, name, (value,)),), notes, "")


def test_each_cell_is_a_line(table: Table) -> None:
    rows = lines(table, table)
    assert len(rows) == 2 * 8
    assert as_csv([table]).splitlines()[0] == ",".join(FIELDS)
    assert as_csv([table]).splitlines()[1] == (
        "Title,MAP,original,digits / DPSH,50.0,40.0,60.0,percent,,35.0,62.5,,,,,,,,"
    )
    assert rows[3] == {
        "table": "Title", "block": "MAP", "row": "RetPur", "column": "digits / DPH", "value": "25.0", "low": "20.0",
        "high": "30.0", "unit": "percent", "emphasis": "tied", "ties_worst": "", "ties_best": "",
        "published": "46.17 to 61.09", "difference": "", "verdict": "not comparable", "source": "RetPur, Table 2",
        "notes": "other targets", "mark": "", "access": "", "attack_queries": "",
    }  # fmt: skip  # one line of the file
    assert (rows[1]["mark"], rows[1]["notes"], rows[1]["value"]) == ("a", "skipped: no weights", "")
    assert (rows[7]["mark"], rows[7]["value"]) == ("", "")


def test_without_tables_there_are_only_headers() -> None:
    assert as_csv([]) == ",".join(FIELDS) + "\n"


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.sampled_from(Unit), NUMBERS)
def test_numbers_read_back_in_full_precision(ends: tuple[float, float, float], unit: Unit, difference: float) -> None:
    published = PublishedValue((ends[0],), difference, "differs", "s")
    row = lines(small(Value(Interval(*ends), unit=unit, published=published)))[0]
    assert [float(row[name]) for name in ("value", "low", "high")] == [unit.scale * end for end in ends]
    assert (float(row["published"]), float(row["difference"])) == (ends[0], difference)
    assert row["unit"] == unit.value


def test_a_nan_value_is_an_empty_field() -> None:
    row = lines(small(Value(Interval(math.nan, math.nan, math.nan), "missing")))[0]
    assert (row["value"], row["low"], row["high"], row["mark"]) == ("", "", "", "missing")


def test_nan_bounds_are_empty_fields() -> None:
    row = lines(small(Value(Interval(0.5, math.nan, math.nan))))[0]
    assert (row["value"], row["low"], row["high"]) == ("50.0", "", "")


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", " \t=1", "\r\n=1"])
def test_a_text_that_a_spreadsheet_would_evaluate_starts_with_an_apostrophe(name: str) -> None:
    source = PublishedValue((1.0,), -2.5, "differs", name)
    row = lines(small(Value(Interval(-0.5, -0.6, -0.4), published=source, notes=("a",)), name, (("a", name),)))[0]
    safe = f"'{one_line(name)}"
    assert [row[field] for field in ("table", "block", "row", "source", "notes")] == [safe] * 5
    assert row["column"] == f"{safe} / {one_line(name)}"
    assert (row["value"], row["difference"]) == ("-50.0", "-2.5")


@given(st.text())
def test_no_name_adds_a_line_or_a_field(name: str) -> None:
    text = as_csv([small(Value(None, "missing"), name)])
    assert len(text.split("\n")) == 3
    assert [len(row) for row in csv.reader(io.StringIO(text, newline=""))] == [len(FIELDS)] * 2


def test_access_and_queries_of_a_black_box_attack_are_columns(table: Table) -> None:
    value = Value(Interval(0.5, 0.4, 0.6), access="score", queries=312.25)
    row = TableRow("MAP", "square", (value, Value(Interval(0.5, 0.4, 0.6), access="gradient")))
    black_box, white_box = lines(table._replace(rows=(row,)))
    assert (black_box["access"], black_box["attack_queries"]) == ("score", "312.25")
    assert (white_box["access"], white_box["attack_queries"]) == ("gradient", "")
