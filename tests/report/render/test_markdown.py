"""Tables as GitHub Markdown, read back by a Markdown parser."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from retbench.metrics import Interval
from retbench.report.render.cell import one_line
from retbench.report.render.markdown import curve_hint, describe_curve, escape, markdown_table
from retbench.report.tables.curve import Curve
from retbench.report.tables.table import CostLine, Table, TableRow, Value

NAMES = st.one_of(st.text(), st.text("|\\`*_[]()<>&~$#!-+1.) \n\ta\u2028"))


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def shown(tokens: list[Token], kind: str) -> list[str]:
    """Return the visible text of each element of a kind."""
    contents = [after for token, after in pairwise(tokens) if token.type == f"{kind}_open"]
    return ["".join(child.content for child in token.children or [] if child.type == "text") for token in contents]


def split(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")][1:-1]


def test_the_whole_table_is_printed(table: Table) -> None:
    assert [line for line in markdown_table(table).splitlines() if not line.startswith("|")] == [
        "### Title",
        "",
        "",
        "(a) skipped: no weights",
        "",
        "(b) other targets",
        "",
        "\u2020 failed: out of memory",
        "",
        "Caption.",
        "",
        "",
        "",
        "<details>",
        "<summary>Provenance of this table</summary>",
        "",
        "- **Data**: digits",
        "- **Device**: two cores",
        "",
        "</details>",
    ]


def test_the_grid_has_emphasis_ties_published_numbers_and_marks(table: Table) -> None:
    lines = [split(line) for line in markdown_table(table).splitlines() if line.startswith("|")]
    assert lines[0] == ["", "", "digits DPSH", "digits DPH"]
    assert lines[2:6] == [
        ["MAP", "original", "50.00 [40.00, 60.00]<br>ties 35.00 to 62.50", "\u2013 (a)"],
        [
            "",
            "RetPur",
            "**25.00** [20.00, 30.00]<br>published 26.50, difference -1.50, agrees",
            "<ins>25.00</ins> [20.00, 30.00] (b)<br>published 46.17 to 61.09, not comparable",
        ],
        ["RMS", "RetPur", "\u2013 \u2020", "25.50 [0.00, 51.00]"],
        ["", "DDPM", "\u2013", "\u2013"],
    ]
    assert lines[6] == ["Cost per image", "attack (s)", "defense (s)", "peak memory (MiB)", "change (gray levels)"]
    assert lines[8:10] == [
        ["original", "0.0210 to 0.0340", "\u2013", "1024", "\u2013"],
        ["RetPur", "0.0210", "1.50 to 12.2", "\u2013", "4.08 to 15.30"],
    ]
    assert lines[10][0] == "Hasher"
    assert lines[12:] == [["digits DPSH", "41.00", "\u2013", "120 of 1597", "9.50"]]


def test_a_table_without_blocks_has_no_column_for_them(table: Table) -> None:
    across = Table("Across", table.columns, tuple(row._replace(block="") for row in table.rows[:1]), (), "")
    lines = markdown_table(across).splitlines()
    assert split(lines[2]) == ["", "digits DPSH", "digits DPH"]
    assert len(lines) == 5


def test_a_table_shows_its_curve_or_explains_how_to_draw_it(table: Table, curve: Curve) -> None:
    drawn = table._replace(curve=curve)
    assert describe_curve(curve) == "Title: MAP over step T_p; [a]"
    assert "![Title: MAP over step T_p; \\[a\\]](a.png)" in markdown_table(drawn, "a.png").splitlines()
    assert curve_hint(drawn) == "Curve over step T_p: `retbench report --out DIR` draws it."
    assert curve_hint(drawn) in markdown_table(drawn).splitlines()
    assert curve_hint(table) == ""


def test_an_underscore_inside_a_word_is_not_escaped() -> None:
    assert escape("guide_form=literal_eps _x_ **") == "guide_form=literal_eps \\_x\\_ \\*\\*"


@given(NAMES)
def test_an_escaped_text_is_shown_unchanged(name: str) -> None:
    assert shown(parsed(escape(name)), "paragraph") == ([one_line(name)] if one_line(name) else [])
    assert shown(parsed(f"- **x**: {escape(name)}"), "paragraph") == [f"x: {one_line(name)}".rstrip()]


@given(NAMES)
def test_an_escaped_title_is_shown_unchanged(name: str) -> None:
    assert shown(parsed(f"### {escape(name)}"), "heading") == [one_line(name)]


@given(st.lists(NAMES, min_size=7, max_size=7))
def test_no_name_breaks_the_grid(names: list[str]) -> None:
    title, block, label, outer, inner, note, cost = names
    values = (Value(Interval(0.5, 0.4, 0.6)), Value(None, "a"))
    rows = (TableRow(block, label, values), TableRow("second", "label", values))
    table = Table(
        title, ((outer, inner), (outer, "x")), rows, (("a", note),), note, costs=(CostLine(cost, None, None, None),)
    )
    text = markdown_table(table)
    grids = [line for line in text.splitlines() if line.startswith("|")]
    assert [len(split(line)) for line in grids] == [4] * 4 + [5] * 3
    cells = shown(parsed(text), "td")
    assert cells[:2] == [one_line(block), one_line(label)]
    assert cells[8] == one_line(cost)
    assert shown(parsed(text), "th")[2] == one_line(f"{outer} {inner}")


def test_a_number_without_an_interval_is_printed_without_brackets() -> None:
    table = Table("T", (("x",),), (TableRow("", "r", (Value(Interval(0.5, math.nan, math.nan)),)),), (), "")
    assert split([line for line in markdown_table(table).splitlines() if line.startswith("|")][-1])[-1] == "50.00"
