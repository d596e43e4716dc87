"""Tables for a terminal."""

from __future__ import annotations

import io
import math

from rich.console import Console, Group

from retbench.metrics import Interval
from retbench.report.render.console import console_table
from retbench.report.tables.table import CostLine, Table, TableRow, Value


def printed(group: Group, *, styled: bool = False) -> str:
    file = io.StringIO()
    Console(file=file, width=200, force_terminal=styled, color_system="standard" if styled else None).print(group)
    return file.getvalue()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("\u2502")][1:-1]


def test_the_console_shows_the_whole_table(table: Table) -> None:
    lines = printed(console_table(table)).splitlines()
    assert lines[0].strip() == "Title"
    shown = [cells(line) for line in lines if line.startswith("\u2502")]
    assert shown[:5] == [
        ["MAP", "original", "50.00 [40.00, 60.00]", "\u2013 (a)"],
        ["", "", "ties 35.00 to 62.50", ""],
        ["", "RetPur", "25.00 [20.00, 30.00]", "25.00 [20.00, 30.00] (b)"],
        ["", "", "published 26.50, difference -1.50, agrees", "published 46.17 to 61.09, not comparable"],
        ["RMS", "RetPur", "\u2013 \u2020", "25.50 [0.00, 51.00]"],
    ]
    assert shown[6:] == [
        ["original", "0.0210 to 0.0340", "\u2013", "1024", "\u2013"],
        ["RetPur", "0.0210", "1.50 to 12.2", "\u2013", "4.08 to 15.30"],
        ["digits DPSH", "41.00", "\u2013", "120 of 1597", "9.50"],
    ]
    stripped = [line.rstrip() for line in lines]
    start = stripped.index("(a) skipped: no weights")
    assert stripped[start : start + 4] == [
        "(a) skipped: no weights",
        "(b) other targets",
        "\u2020 failed: out of memory",
        "Caption.",
    ]
    assert stripped[-3:] == ["Provenance of this table", "  Data: digits", "  Device: two cores"]


def test_blocks_are_separated_by_a_line(table: Table) -> None:
    lines = printed(console_table(table)).splitlines()
    between = next(at for at, line in enumerate(lines) if "RMS" in line) - 1
    assert lines[between].startswith("\u251c")


def test_best_is_bold_and_tied_is_underlined(table: Table) -> None:
    text = printed(console_table(table), styled=True)
    assert "\x1b[1m25.00\x1b[0m [20.00, 30.00]" in text
    assert "\x1b[4m25.00\x1b[0m [20.00, 30.00] (b)" in text


def test_no_name_is_read_as_markup() -> None:
    name = "[bold]x[/] [red] :smile: [/nothing]"
    rows = (TableRow(name, name, (Value(Interval(0.5, 0.4, 0.6)),)),)
    costs = (CostLine(name, None, None, None),)
    table = Table(name, ((name,),), rows, (("a", name),), name, costs=costs, provenance=((name, name),))
    assert printed(console_table(table)).count(name) == 9


def test_a_table_without_notes_is_only_its_grid() -> None:
    table = Table("T", (("x",),), (TableRow("", "r", (Value(None, "missing"),)),), (), "")
    assert len(console_table(table).renderables) == 1
    assert [cells(line) for line in printed(console_table(table)).splitlines() if line.startswith("\u2502")] == [
        ["r", "\u2013"]
    ]


def test_a_number_without_an_interval_is_printed_without_brackets() -> None:
    table = Table("T", (("x",),), (TableRow("", "r", (Value(Interval(0.5, math.nan, math.nan)),)),), (), "")
    shown = [cells(line) for line in printed(console_table(table)).splitlines() if line.startswith("\u2502")]
    assert shown == [["r", "50.00"]]
