"""Tables as CSV in long form, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence

from retbench.report.render.cell import one_line
from retbench.report.tables.table import Table, TableRow, Value

FIELDS = (
    "table", "block", "row", "column", "value", "low", "high", "unit", "emphasis", "ties_worst", "ties_best",
    "published", "difference", "verdict", "source", "notes", "mark", "access", "attack_queries",
)  # fmt: skip  # one name a line would hide that they are one line of the file


def as_csv(tables: Sequence[Table]) -> str:
    """Return tables as CSV: a line of headers, then one line for each cell.

    Numbers are in the cell's unit, in full precision; several published ones are joined by ` to `, the texts of
    several footnotes by ` | `. `attack_queries` is the mean number of queries that a black-box attack used for a query
    image. Fields without a value are empty. A text that a spreadsheet would evaluate as a formula,
    because it starts with `=`, `+`, `-` or `@`, is preceded by an apostrophe.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(line for table in tables for line in _lines(table))
    return file.getvalue()


def _lines(table: Table) -> Iterator[list[str]]:
    notes = dict(table.footnotes)
    for row in table.rows:
        for headers, value in zip(table.columns, row.values, strict=True):
            yield _line(table, row, " / ".join(headers), value, notes)


def _line(table: Table, row: TableRow, column: str, value: Value, notes: dict[str, str]) -> list[str]:
    scale, published = value.unit.scale, value.published
    texts = " | ".join(notes[mark] for mark in (value.mark, *value.notes) if mark in notes)
    return [
        *map(_text, (table.title, row.block, row.label, column)),
        *(_number(None if end is None else scale * end) for end in value.interval or (None, None, None)),
        value.unit.value,
        value.emphasis,
        *(_number(None if end is None else scale * end) for end in value.tie_range or (None, None)),
        " to ".join(map(_number, published.values)) if published else "",
        _number(published.difference) if published else "",
        published.verdict if published else "",
        _text(published.source) if published else "",
        _text(texts),
        value.mark,
        value.access,
        _number(value.queries),
    ]


def _number(quantity: float | None) -> str:
    return "" if quantity is None or math.isnan(quantity) else repr(float(quantity))


def _text(text: str) -> str:
    line = one_line(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
