"""Reports and their tables as GitHub Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from retbench.report.render.cell import COST_HEADERS, compose, cost_lines, flag, one_line
from retbench.report.report import Report
from retbench.report.tables.curve import Curve
from retbench.report.tables.table import Emphasis, Table, Value

EMPHASIS: dict[Emphasis, tuple[str, str]] = {"": ("", ""), "best": ("**", "**"), "tied": ("<ins>", "</ins>")}
"""Markup around a value; GitHub keeps `ins` of the two elements that underline, and drops `u`."""


def as_markdown(report: Report, *, written: bool = False) -> str:
    """Return a report as Markdown; one that is `written` shows its pictures, which lie beside it."""
    pictures = [*report.pictures, *report.showcases] if written else []
    curved = [at for at, table in enumerate(report.tables) if table.curve]
    beside = dict(zip(curved, (f"{picture.stem}.png" for picture in pictures), strict=False))
    parts = [f"# {escape(report.title)}", escape(report.description)]
    parts += [markdown(table, beside.get(at, "")) for at, table in enumerate(report.tables)]
    parts += [
        f"### {escape(picture.title)}\n\n![{escape(picture.alt)}]({picture.stem}.png)"
        for picture in pictures[len(curved) :]
    ]
    parts += ["\n".join(f"- **{escape(label)}**: {escape(text)}" for label, text in report.provenance)]
    return "\n\n".join(part for part in parts if part)


def markdown(table: Table, picture: str = "") -> str:
    """Return a table as GitHub Markdown, `picture` being the address of its curve.

    Title, grid, footnotes, caption, the curve, what the images took, and what the table rests on.
    """
    notes = (f"{flag(mark)} {escape(text)}" for mark, text in table.footnotes)
    lines = [[escape(label), *costs] for label, *costs in cost_lines(table)]
    costs = _pipes(COST_HEADERS, lines) if lines else ""
    parts = (
        f"### {escape(table.title)}",
        _grid(table),
        *notes,
        escape(table.caption),
        _drawn(table.curve, picture),
        costs,
        _basis(table),
    )
    return "\n\n".join(part for part in parts if part)


def describe(curve: Curve) -> str:
    """Return a description of a curve, for readers who cannot see it."""
    lines = [line.label for panel in curve.panels for line in panel.lines]
    levels = [level.label for panel in curve.panels for level in panel.levels]
    labels = [label for label in dict.fromkeys([*lines, *levels]) if label]
    what = f"{', '.join(panel.label for panel in curve.panels)} over {curve.x_label}"
    return f"{curve.title}: {what}{'; ' if labels else ''}{', '.join(labels)}"


def announce(table: Table) -> str:
    """Return a line on how to have a table's curve drawn; an empty text for a table without one."""
    return _announced(table.curve.x_label) if table.curve else ""


def _announced(x_label: str) -> str:
    return f"Curve over {x_label}: `retbench report --out DIR` draws it."


def _drawn(curve: Curve | None, picture: str) -> str:
    if curve is None:
        return ""
    return f"![{escape(describe(curve))}]({picture})" if picture else _announced(escape(curve.x_label))


def escape(text: str) -> str:
    """Return a text on one line that Markdown shows as it is, also inside a grid.

    An underscore between letters or digits stays as it is: there it means nothing to GitHub.
    """
    shown = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    shown = re.sub(r"[\\`*\[\]~$]|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#", r"\\\g<0>", shown)
    shown = re.sub(r"^([>+-]|\d+(?=[.)](?:\s|$)))", _harmless, shown)  # what opens a quotation or a list
    return shown.replace("|", "&#124;")  # a backslash before it may itself be escaped


def _harmless(opening: re.Match[str]) -> str:
    first = opening[1]
    return f"&#{ord(first[0])};{first[1:]}"


def _grid(table: Table) -> str:
    stub = ["", ""] if any(row.block for row in table.rows) else [""]
    lines = []
    for before, row in zip(["", *(row.block for row in table.rows)], table.rows, strict=False):
        names = ["" if row.block == before else escape(row.block), escape(row.label)]
        lines.append([*names[-len(stub) :], *map(_shown, row.values)])
    return _pipes([*stub, *(escape(" ".join(headers)) for headers in table.columns)], lines)


def _pipes(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return tabulate(lines, headers, "pipe", disable_numparse=True, stralign="left")


def _shown(value: Value) -> str:
    cell = compose(value)
    opening, closing = EMPHASIS[cell.emphasis]
    first = " ".join(
        piece for piece in (f"{opening}{cell.value}{closing}", cell.interval, *map(flag, cell.marks)) if piece
    )
    return "<br>".join([first, *cell.beneath])


def _basis(table: Table) -> str:
    if not table.provenance:
        return ""
    lines = (f"- **{escape(label)}**: {escape(text)}" for label, text in table.provenance)
    return "\n".join(["<details>", "<summary>What this table rests on</summary>", "", *lines, "", "</details>"])
