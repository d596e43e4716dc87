"""Reports and their tables as GitHub Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from retbench.report.render.cell import (
    HASHER_HEADERS,
    cost_headers,
    format_costs,
    format_hashers,
    format_mark,
    format_value,
    one_line,
)
from retbench.report.report import Report
from retbench.report.tables.curve import Curve
from retbench.report.tables.table import Emphasis, Table, Value

EMPHASIS: dict[Emphasis, tuple[str, str]] = {"": ("", ""), "best": ("**", "**"), "tied": ("<ins>", "</ins>")}
"""Markup around a value; of the two elements that underline, GitHub keeps `ins` and drops `u`."""


def as_markdown(report: Report, *, written: bool = False) -> str:
    """Return a report as Markdown; if `written`, it shows its pictures, which are files in the same folder."""
    pictures = [*report.pictures, *report.gallery_pictures] if written else []
    with_curve = [at for at, table in enumerate(report.tables) if table.curve]
    curve_files = dict(zip(with_curve, (f"{picture.stem}.png" for picture in pictures), strict=False))
    parts = [f"# {escape(report.title)}", escape(report.description)]
    parts += [markdown_table(table, curve_files.get(at, "")) for at, table in enumerate(report.tables)]
    parts += [
        f"### {escape(picture.title)}\n\n![{escape(picture.alt)}]({picture.stem}.png)"
        for picture in pictures[len(with_curve) :]
    ]
    parts += ["\n".join(f"- **{escape(label)}**: {escape(text)}" for label, text in report.provenance)]
    return "\n\n".join(part for part in parts if part)


def markdown_table(table: Table, picture: str = "") -> str:
    """Return a table as GitHub Markdown: title, grid, footnotes, caption, curve, costs, hashers and provenance.

    Args:
        table: the table.
        picture: the address of the picture of its curve; without one, a line explains how to draw it.
    """
    notes = (f"{format_mark(mark)} {escape(text)}" for mark, text in table.footnotes)
    parts = (
        f"### {escape(table.title)}",
        _grid(table),
        *notes,
        escape(table.caption),
        _curve(table.curve, picture),
        _small_table(cost_headers(table), format_costs(table)),
        _small_table(HASHER_HEADERS, format_hashers(table)),
        _provenance(table),
    )
    return "\n\n".join(part for part in parts if part)


def describe_curve(curve: Curve) -> str:
    """Return a description of a curve, for readers who cannot see it."""
    lines = [line.label for panel in curve.panels for line in panel.lines]
    references = [reference.label for panel in curve.panels for reference in panel.references]
    labels = [label for label in dict.fromkeys([*lines, *references]) if label]
    axes = f"{', '.join(panel.label for panel in curve.panels)} over {curve.x_label}"
    return f"{curve.title}: {axes}{'; ' if labels else ''}{', '.join(labels)}"


def curve_hint(table: Table) -> str:
    """Return a line that explains how to draw a table's curve; empty for a table without one."""
    return _hint(table.curve.x_label) if table.curve else ""


def _hint(x_label: str) -> str:
    return f"Curve over {x_label}: `retbench report --out DIR` draws it."


def _curve(curve: Curve | None, picture: str) -> str:
    if curve is None:
        return ""
    return f"![{escape(describe_curve(curve))}]({picture})" if picture else _hint(escape(curve.x_label))


def escape(text: str) -> str:
    """Return a text on one line, escaped so that Markdown shows it unchanged, also inside a grid.

    An underscore between letters or digits is not escaped: GitHub does not read it as markup.
    """
    shown = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    shown = re.sub(r"[\\`*\[\]~$]|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#", r"\\\g<0>", shown)
    shown = re.sub(r"^([>+-]|\d+(?=[.)](?:\s|$)))", _escaped_opening, shown)  # starts of quotations and lists
    return shown.replace("|", "&#124;")  # a backslash before it may itself be escaped


def _escaped_opening(opening: re.Match[str]) -> str:
    first = opening[1]
    return f"&#{ord(first[0])};{first[1:]}"


def _grid(table: Table) -> str:
    stub = ["", ""] if any(row.block for row in table.rows) else [""]
    lines = []
    for before, row in zip(["", *(row.block for row in table.rows)], table.rows, strict=False):
        names = ["" if row.block == before else escape(row.block), escape(row.label)]
        lines.append([*names[-len(stub) :], *map(_cell, row.values)])
    return _pipes([*stub, *(escape(" ".join(headers)) for headers in table.columns)], lines)


def _pipes(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return tabulate(lines, headers, "pipe", disable_numparse=True, stralign="left")


def _small_table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table of printed numbers below the main one; empty without lines."""
    return _pipes(headers, [[escape(label), *numbers] for label, *numbers in lines]) if lines else ""


def _cell(value: Value) -> str:
    cell = format_value(value)
    opening, closing = EMPHASIS[cell.emphasis]
    first = " ".join(
        piece for piece in (f"{opening}{cell.value}{closing}", cell.interval, *map(format_mark, cell.marks)) if piece
    )
    return "<br>".join([first, *cell.lines_below])


def _provenance(table: Table) -> str:
    if not table.provenance:
        return ""
    lines = (f"- **{escape(label)}**: {escape(text)}" for label, text in table.provenance)
    return "\n".join(["<details>", "<summary>Provenance of this table</summary>", "", *lines, "", "</details>"])
