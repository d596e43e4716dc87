"""Tables as text."""

from __future__ import annotations

import io
import math

from rich.console import Console

from retbench.metrics import Interval
from retbench.report import Table, TableRow, Value, console, markdown, percent
from retbench.report.unit import Unit

NAN = math.nan
TABLE = Table(
    "Title",
    (("digits", "DPSH"), ("digits", "DPH")),
    (
        TableRow("MAP", "original", (Value(Interval(0.5, 0.4, 0.6)), Value(None, "a")), bold=False),
        TableRow("MAP", "RetPur", (Value(Interval(0.25, 0.2, 0.3)), Value(None, "missing")), bold=True),
    ),
    ("(a) skipped: no weights",),
    "Caption.",
)

ACROSS = Table(
    "Across",
    (("DHTA", "MAP"), ("DHTA", "RMS (grey levels)")),
    (TableRow("", "SSIM", (Value(Interval(0.5, 0.4, 0.6)), Value(Interval(0.1, 0.0, 0.2), "", Unit.GREY)), bold=True),),
    (),
    "",
)


def printed(table: Table) -> str:
    screen = Console(file=io.StringIO(), width=120)
    screen.print(console(table))
    text: str = screen.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    return text


def test_a_number_keeps_its_two_decimals_and_its_interval() -> None:
    assert percent(Interval(0.5, 0.4, 0.6)) == "50.00 [40.00, 60.00]"


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert percent(Interval(-0.00001, -0.00002, 0.00001)) == "0.00 [0.00, 0.00]"


def test_no_number_is_a_dash() -> None:
    assert percent(None) == percent(Interval(NAN, NAN, NAN)) == "\u2013"


def test_markdown_has_headers_bold_dashes_footnotes_and_caption() -> None:
    lines = markdown(TABLE).splitlines()
    assert lines[0] == "### Title"
    assert [cell.strip() for cell in lines[2].split("|")][1:-1] == ["", "", "digits DPSH", "digits DPH"]
    assert [cell.strip() for cell in lines[4].split("|")][1:-1] == [
        "MAP",
        "original",
        "50.00 [40.00, 60.00]",
        "\u2013 (a)",
    ]
    assert [cell.strip() for cell in lines[5].split("|")][1:-1] == [
        "",
        "**RetPur**",
        "**25.00 [20.00, 30.00]**",
        "\u2013",
    ]
    assert lines[-3:] == ["(a) skipped: no weights", "", "Caption."]


def test_the_console_shows_the_same_cells() -> None:
    text = printed(TABLE)
    for piece in ("Title", "50.00 [40.00, 60.00]", "RetPur", "(a) skipped: no weights", "Caption."):
        assert piece in text


def test_a_root_mean_square_is_printed_in_grey_levels() -> None:
    assert "**25.50 [0.00, 51.00]**" in markdown(ACROSS)
    assert "25.50 [0.00, 51.00]" in printed(ACROSS)


def test_metrics_across_need_no_column_of_blocks() -> None:
    lines = [[cell.strip() for cell in line.split("|")][1:-1] for line in markdown(ACROSS).splitlines()[2:]]
    assert lines[0] == ["", "DHTA MAP", "DHTA RMS (grey levels)"]
    assert lines[2] == ["**SSIM**", "**50.00 [40.00, 60.00]**", "**25.50 [0.00, 51.00]**"]
    assert len(console(ACROSS).columns) == 3
    assert len(console(TABLE).columns) == 4
