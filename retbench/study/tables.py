"""The tables of a report for notebooks, and as text.

The examples use `tables`: the tables of the layout `retpur-table-7` for a small study of toy components.

>>> len(tables)
1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, overload

from retbench.report import Table, Value
from retbench.report.render import as_csv, as_latex, latex_table, markdown_table
from retbench.report.render.cell import format_value

if TYPE_CHECKING:
    from rich.console import Group

EMPHASIS = {"": "{}", "best": "<strong>{}</strong>", "tied": "<u>{}</u>"}


class NotebookTable(Table):
    """A table that a notebook displays as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return _html(self)


class Tables(Sequence[Table]):
    """The tables of a report, a sequence; a notebook displays it as HTML, and `str` returns Markdown."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tuple(NotebookTable(*table) for table in tables)

    @overload
    def __getitem__(self, index: int) -> NotebookTable: ...

    @overload
    def __getitem__(self, index: slice) -> Tables: ...

    def __getitem__(self, index: int | slice) -> NotebookTable | Tables:
        return Tables(self._tables[index]) if isinstance(index, slice) else self._tables[index]

    def __len__(self) -> int:
        return len(self._tables)

    def __str__(self) -> str:
        return self.to_markdown()

    __repr__ = __str__

    def __rich__(self) -> Group:
        from rich.console import Group

        from retbench.report.render import console_table

        return Group(*map(console_table, self._tables))

    def _repr_html_(self) -> str:
        return "".join(map(_html, self._tables))

    def to_markdown(self) -> str:
        """Return the tables as Markdown, with their footnotes and provenance.

        >>> print(tables.to_markdown())
        ### Clean queries behind a defense, image to image (layout of RetPur, Table 7)
        <BLANKLINE>
        |       |          | toy toy ... |
        |:------|:---------|:-...|
        | MAP   | original | ... |
        | T-MAP | original | ... |
        <BLANKLINE>
        Percent, with confidence intervals over queries. ...
        """
        return "\n\n".join(markdown_table(table) for table in self._tables)

    def to_latex(self, title: str = "") -> str:
        r"""Return the tables as LaTeX environments; with a title, as a complete document.

        >>> print(tables.to_latex())
        \begin{table}[!htbp]
          \centering
          \caption{...}
        ...
        \end{table}
        >>> print(tables.to_latex("Toys"))
        % Toys
        \documentclass...
        """
        return as_latex(self._tables, title) if title else "\n\n".join(latex_table(table) for table in self._tables)

    def to_csv(self) -> str:
        """Return the tables as CSV in long form: a line of headers, then one line for each value.

        >>> print(tables.to_csv())
        table,block,row,column,value,low,high,...
        "Clean queries ...",MAP,original,toy / toy,...
        "Clean queries ...",T-MAP,original,toy / toy,...
        """
        return as_csv(self._tables)


def _html(table: Table) -> str:
    """Return a table with its notes as HTML, in the style of the notebook."""
    width = 1 + len(table.columns)
    blocks = "".join(
        (f'<tr><th colspan="{width}" style="text-align: left">{escape(block)}</th></tr>' if block else "")
        + "".join(
            f'<tr><th style="text-align: left">{escape(row.label)}</th>{"".join(map(_format_cell, row.values))}</tr>'
            for row in rows
        )
        for block, rows in groupby(table.rows, key=lambda row: row.block)
    )
    notes = "".join(f"<p><sup>{escape(mark)}</sup> {escape(text)}</p>" for mark, text in table.footnotes)
    caption = f"<p>{escape(table.caption)}</p>" if table.caption else ""
    provenance = "".join(
        f"<li><strong>{escape(label)}</strong>: {escape(text)}</li>" for label, text in table.provenance
    )
    details = (
        f"<details><summary>Provenance of this table</summary><ul>{provenance}</ul></details>" if provenance else ""
    )
    head = f"<thead>{''.join(_headers(table))}</thead>"
    return f"<h4>{escape(table.title)}</h4><table>{head}<tbody>{blocks}</tbody></table>{notes}{caption}{details}"


def _headers(table: Table) -> Iterator[str]:
    """Yield a line for each level of the headers; equal neighbors share a cell, except on the last level."""
    levels = max((len(column) for column in table.columns), default=0)
    for level in range(levels):
        last = level == levels - 1
        columns = enumerate(table.columns)
        groups = groupby(columns, key=lambda column: (column[1][: level + 1], column[0] if last else None))
        cells = ((headers[level], len(list(group))) for (headers, _), group in groups)
        line = "".join(f'<th colspan="{width}" style="text-align: center">{escape(name)}</th>' for name, width in cells)
        yield f"<tr><th></th>{line}</tr>"


def _format_cell(value: Value) -> str:
    cell = format_value(value)
    number = EMPHASIS[cell.emphasis].format(escape(cell.value))
    marks = f"<sup>{escape(','.join(cell.marks))}</sup>" if cell.marks else ""
    interval = f"<br><small>{escape(cell.interval)}</small>" if cell.interval else ""
    lines_below = "".join(f"<br><small>{escape(line)}</small>" for line in cell.lines_below)
    return f"<td>{number}{marks}{interval}{lines_below}</td>"
