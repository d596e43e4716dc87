"""Tables as JSON."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from retbench.metrics import Interval
from retbench.report.render.json import table_record
from retbench.report.tables.curve import Curve
from retbench.report.tables.table import Table, TableRow, Value


def test_a_record_is_valid_json(table: Table) -> None:
    text = json.dumps(table_record(table), allow_nan=False)
    assert json.loads(text) == table_record(table)


def test_a_record_has_everything_but_the_curve(table: Table, curve: Curve) -> None:
    record = cast(dict[str, Any], table_record(table._replace(curve=curve)))
    assert set(record) == set(Table._fields) - {"curve"}
    assert record["columns"] == [["digits", "DPSH"], ["digits", "DPH"]]
    assert record["footnotes"][0] == ["a", "skipped: no weights"]
    cost = {"label": "RetPur", "attack": [0.021, 0.021], "defense": [1.5, 12.25], "memory": None}
    assert record["costs"][1] == {**cost, "access": "", "queries": None, "change": [0.016, 0.06]}
    assert record["rows"][1]["values"][0] == {
        "interval": {"value": 0.25, "low": 0.2, "high": 0.3},
        "mark": "",
        "unit": "percent",
        "emphasis": "best",
        "tie_range": None,
        "published": {"values": [26.5], "difference": -1.5, "verdict": "agrees", "source": "RetPur, Table 1"},
        "notes": [],
        "details": [],
        "access": "",
        "queries": None,
    }
    assert record["rows"][0]["values"][0]["tie_range"] == {"worst": 0.35, "best": 0.625}


def test_numbers_that_are_not_finite_are_null() -> None:
    intervals = (Interval(math.nan, -math.inf, math.inf), Interval(0.5, math.nan, math.nan))
    row = TableRow("", "r", tuple(map(Value, intervals)))
    record = cast(dict[str, Any], table_record(Table("T", (("x",), ("y",)), (row,), (), "")))
    assert [value["interval"] for value in record["rows"][0]["values"]] == [
        {"value": None, "low": None, "high": None},
        {"value": 0.5, "low": None, "high": None},
    ]
