"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from retbench.report.render.cell import (
    HASHER_HEADERS,
    cost_headers,
    format_costs,
    format_hashers,
    format_mark,
    format_value,
    one_line,
)
from retbench.report.tables.table import Emphasis, Table, Value

STYLE: dict[Emphasis, str] = {"": "", "best": "bold", "tied": "underline"}


def console_table(table: Table) -> Group:
    """Return a table with its footnotes, caption, costs and provenance for rich; no name is read as markup."""
    notes = [f"{format_mark(mark)} {one_line(text)}" for mark, text in table.footnotes]
    texts: list[RenderableType] = [Text(line) for line in (*notes, one_line(table.caption)) if line]
    return Group(_grid(table), *texts, *_small_tables(table), *_provenance(table))


def _grid(table: Table) -> RichTable:
    rich = RichTable(title=Text(one_line(table.title)), title_justify="left")
    stub = [(), ()] if any(row.block for row in table.rows) else [()]
    for headers in (*stub, *table.columns):
        rich.add_column(Text("\n".join(map(one_line, headers))), overflow="fold")
    for block, rows in groupby(table.rows, key=lambda row: row.block):
        for at, row in enumerate(rows):
            names = [Text(one_line(name)) for name in (block if at == 0 else "", row.label)]
            rich.add_row(*names[-len(stub) :], *map(_cell, row.values))
        rich.add_section()
    return rich


def _cell(value: Value) -> Text:
    cell = format_value(value)
    rest = "".join(f" {piece}" for piece in (cell.interval, *map(format_mark, cell.marks)) if piece)
    below = ((f"\n{line}", "dim") for line in cell.lines_below)
    return Text.assemble((cell.value, STYLE[cell.emphasis]), rest, *below)


def _small_tables(table: Table) -> Iterator[RenderableType]:
    """Yield the costs of the rows, and the hashers; neither if it is empty."""
    for headers, lines in ((cost_headers(table), format_costs(table)), (HASHER_HEADERS, format_hashers(table))):
        rich = RichTable()
        for header in headers:
            rich.add_column(header, overflow="fold")
        for label, *numbers in lines:
            rich.add_row(Text(one_line(label)), *numbers)
        if lines:
            yield rich


def _provenance(table: Table) -> list[RenderableType]:
    lines = (Text.assemble("  ", (one_line(label), "bold"), f": {one_line(text)}") for label, text in table.provenance)
    return [Text("Provenance of this table"), *lines] if table.provenance else []
