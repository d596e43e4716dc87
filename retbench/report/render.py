"""Tables as text: percent with two decimals and the interval, as Markdown or on a console."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from rich.table import Table as RichTable
from tabulate import tabulate

from retbench.metrics import Interval
from retbench.report.table import Table, TableRow, Value

DASH = "\u2013"


def percent(interval: Interval | None) -> str:
    """Returns `93.12 [91.20, 94.90]`: a value of 0..1 in percent with its interval; a dash for none."""
    if interval is None or math.isnan(interval.value):
        return DASH
    value, low, high = (round(100 * number, 2) + 0.0 for number in interval)  # adding 0 turns -0.00 into 0.00
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def shown(value: Value) -> str:
    """Returns what stands in a place: the number, a dash, or the mark of a footnote."""
    return percent(value.interval) if not value.mark or value.mark == "missing" else f"{DASH} ({value.mark})"


def markdown(table: Table) -> str:
    """Returns a table as GitHub Markdown: title, grid, footnotes, caption."""
    headers = ["", "", *(" ".join(column) for column in table.columns)]
    body = [[_bold(cell, row.bold) for cell in line] for row, line in zip(table.rows, _lines(table.rows), strict=True)]
    grid = tabulate(body, headers, "pipe", disable_numparse=True, stralign="left")
    return "\n\n".join(part for part in (f"### {table.title}", grid, *table.footnotes, table.caption) if part)


def console(table: Table) -> RichTable:
    """Returns a table for a terminal."""
    caption = "\n".join([*table.footnotes, table.caption]) or None
    rich = RichTable(title=table.title, caption=caption, caption_justify="left", title_justify="left")
    for header in ("", "", *("\n".join(column) for column in table.columns)):
        rich.add_column(header, overflow="fold")
    for _, block in groupby(zip(table.rows, _lines(table.rows), strict=True), key=lambda pair: pair[0].block):
        for row, line in block:
            rich.add_row(*line, style="bold" if row.bold else None)
        rich.add_section()
    return rich


def _lines(rows: Sequence[TableRow]) -> list[list[str]]:
    """Returns the printed cells of each row; a block's name stands on its first line only."""
    blocks = ["", *(row.block for row in rows)]
    return [
        [row.block if row.block != before else "", row.label, *(shown(value) for value in row.values)]
        for before, row in zip(blocks, rows, strict=False)
    ]


def _bold(cell: str, bold: bool) -> str:
    return f"**{cell}**" if bold and cell and cell != DASH else cell
