"""A suite's report: its tables by its layouts, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from retbench.report.layout import Layout
from retbench.report.pivot import pair, pivot
from retbench.report.render import markdown
from retbench.report.table import Table
from retbench.results import Row
from retbench.store import Store
from retbench.store.files import replace_file, writing


class Report(NamedTuple):
    """A suite's tables, and the lines under them."""

    title: str
    description: str
    tables: tuple[Table, ...]
    provenance: tuple[str, ...]


def make_tables(rows: Sequence[Row], layouts: Sequence[Layout], store: Store) -> tuple[Table, ...]:
    """Returns the tables of several layouts, in order; a paired layout without a pair gives none."""
    tables: list[Table] = []
    for layout in layouts:
        chosen = pair(rows, layout, store) if layout.paired else rows
        tables += pivot(chosen, layout) if chosen else []
    return tuple(tables)


def as_markdown(report: Report) -> str:
    """Returns a report as Markdown."""
    tables = (markdown(table) for table in report.tables)
    lines = "\n".join(f"- {line}" for line in report.provenance)
    return "\n\n".join(part for part in (f"# {report.title}", report.description, *tables, lines) if part)


def write_markdown(report: Report, folder: Path, name: str) -> Path:
    """Writes a report as Markdown into a folder and returns its path; raises StoreUnwritable where it cannot."""
    path = folder / f"{name}.md"
    with writing(folder):
        replace_file(path, f"{as_markdown(report)}\n".encode())
    return path
