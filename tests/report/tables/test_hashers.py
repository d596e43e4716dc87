"""Chance levels and code counts beside a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from retbench.report.tables.hashers import hasher_lines
from retbench.report.tables.layout import Layout
from retbench.report.tables.table import HasherLine
from retbench.results import Row

Rows = Callable[..., Row]
LAYOUT = Layout(title="t", columns=("dataset", "hasher"), metrics=({"name": "map", "label": "MAP"},))


def described(row: Row, codes: int, chance: float | None = 0.2, **changes: Any) -> Row:
    data = {"distinct_codes": codes, "largest_code": 0.25, "label_variety": 3.0, "database": 40}
    return replace(row, data=data, protocol={**row.protocol, "chance": {"map": 0.3, "t_map": chance}}, **changes)


def test_each_hasher_has_one_line_and_a_hardened_one_its_own(row: Rows) -> None:
    rows = [
        described(row("p2p", "atrdh", 0.5, hasher="dph"), 7),
        described(row("none", "none", 0.5, hasher="dph"), 12),
        described(row("p2p", "none", 0.5, hasher="dph"), 12),
        described(row("p2p", "retpur", 0.5, hasher="dph"), 12),
        described(row("none", "none", 0.5, hasher="dpsh"), 30),
    ]
    (first, *others) = hasher_lines(rows, LAYOUT)
    assert first == HasherLine(f"digits {LAYOUT.printed_name('hasher', rows[0].hasher)}", 0.3, 0.2, 12, 40, 0.25)
    assert [(line.label, line.codes) for line in others] == [("digits DPSH", 30), (f"{first.label}, ATRDH", 7)]


def test_what_varies_is_named(row: Rows) -> None:
    rows = [described(row("none", "none", 0.5), 12), described(row("none", "none", 0.5), 12, bits=64)]
    assert [line.label.rsplit(" ", 1)[1] for line in hasher_lines(rows, LAYOUT)] == [
        LAYOUT.printed_name("bits", each.bits) for each in rows
    ]


def test_an_undefined_chance_level_is_nan_and_rows_without_numbers_are_left_out(row: Rows) -> None:
    (line,) = hasher_lines([described(row("none", "none", 0.5), 12, None)], LAYOUT)
    assert math.isnan(line.target_chance)
    assert hasher_lines([described(row("none", "none", 0.5), 12, status="failed")], LAYOUT) == ()
    assert hasher_lines([], LAYOUT) == ()
