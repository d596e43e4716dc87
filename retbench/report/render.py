"""Tables as text: percent with two decimals and the interval, as Markdown or on a console."""

from __future__ import annotations

import math
from itertools import groupby

from rich.table import Table as RichTable
from tabulate import tabulate

from retbench.metrics import Interval
from retbench.report.curve import Curve
from retbench.report.table import Table, Value
from retbench.report.unit import Unit

DASH = "\u2013"


def percent(interval: Interval | None) -> str:
    """Returns `93.12 [91.20, 94.90]`: a value of 0..1 in percent with its interval; a dash for none."""
    return _scaled(interval, Unit.PERCENT)


def _scaled(interval: Interval | None, unit: Unit) -> str:
    if interval is None or math.isnan(interval.value):
        return DASH
    value, low, high = (round(unit.scale * number, 2) + 0.0 for number in interval)  # adding 0 turns -0.00 into 0.00
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def shown(value: Value) -> str:
    """Returns what stands in a place: the number, a dash, or the mark of a footnote."""
    return _scaled(value.interval, value.unit) if value.mark in ("", "missing") else f"{DASH} ({value.mark})"


def markdown(table: Table, picture: str = "") -> str:
    """Returns a table as GitHub Markdown: title, grid, footnotes, caption, and the address of its curve's picture."""
    headers = [*_stub(table), *(" ".join(column) for column in table.columns)]
    body = [[_bold(cell, row.bold) for cell in line] for row, line in zip(table.rows, _lines(table), strict=True)]
    grid = tabulate(body, headers, "pipe", disable_numparse=True, stralign="left")
    drawn = f"![{describe(table.curve)}]({picture})" if table.curve and picture else announce(table)
    return "\n\n".join(part for part in (f"### {table.title}", grid, *table.footnotes, table.caption, drawn) if part)


def describe(curve: Curve) -> str:
    """Returns what a picture shows, for who cannot see it."""
    lines = [line.label for panel in curve.panels for line in panel.lines]
    levels = [level.label for panel in curve.panels for level in panel.levels]
    labels = [label for label in dict.fromkeys([*lines, *levels]) if label]
    what = f"{', '.join(panel.label for panel in curve.panels)} over {curve.x_label}"
    told = f"{curve.title}: {what}{'; ' if labels else ''}{', '.join(labels)}"
    return told.replace("[", "(").replace("]", ")")  # brackets would end the text of a Markdown picture


def announce(table: Table) -> str:
    """Returns a line that says how to have a table's curve drawn; an empty text for a table without one."""
    return f"Curve over {table.curve.x_label}: `retbench report --out DIR` draws it." if table.curve else ""


def console(table: Table) -> RichTable:
    """Returns a table for a terminal."""
    caption = "\n".join([*table.footnotes, table.caption]) or None
    rich = RichTable(title=table.title, caption=caption, caption_justify="left", title_justify="left")
    for header in (*_stub(table), *("\n".join(column) for column in table.columns)):
        rich.add_column(header, overflow="fold")
    for _, block in groupby(zip(table.rows, _lines(table), strict=True), key=lambda pair: pair[0].block):
        for row, line in block:
            rich.add_row(*line, style="bold" if row.bold else None)
        rich.add_section()
    return rich


def _stub(table: Table) -> list[str]:
    """Returns the empty headers over the blocks, where there are any, and over the row labels."""
    return ["", ""] if any(row.block for row in table.rows) else [""]


def _lines(table: Table) -> list[list[str]]:
    """Returns the printed cells of each row; a block's name stands on its first line only."""
    blocks, width = ["", *(row.block for row in table.rows)], len(_stub(table))
    lines = (
        [row.block if row.block != before else "", row.label, *map(shown, row.values)]
        for before, row in zip(blocks, table.rows, strict=False)
    )
    return [line[2 - width :] for line in lines]


def _bold(cell: str, bold: bool) -> str:
    return f"**{cell}**" if bold and cell and cell != DASH else cell
