"""A suite's report: its tables by its layouts, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from retbench.report.filename import fresh_stem, slug
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


def make_tables(
    rows: Sequence[Row], layouts: Sequence[Layout], store: Store, *, narrowed: bool = False
) -> tuple[Table, ...]:
    """Returns the tables of several layouts, in order; a paired layout without a pair gives none.

    `narrowed` rows are a part of a suite's: a layout that they have nothing for is left out, unless that leaves none.
    """
    answered = [layout for layout in layouts if layout.answered_by(rows)] if narrowed else []
    tables: list[Table] = []
    for layout in answered or layouts:
        chosen = pair(rows, layout, store) if layout.paired else rows
        tables += pivot(chosen, layout) if chosen else []
    return tuple(tables)


def as_markdown(report: Report, pictures: Mapping[int, str] | None = None) -> str:
    """Returns a report as Markdown; `pictures` are addresses of the tables' curves, by the table's place."""
    tables = (markdown(table, (pictures or {}).get(at, "")) for at, table in enumerate(report.tables))
    lines = "\n".join(f"- {line}" for line in report.provenance)
    return "\n\n".join(part for part in (f"# {report.title}", report.description, *tables, lines) if part)


def write_report(report: Report, folder: Path, name: str) -> tuple[Path, ...]:
    """Writes a report as Markdown, and its curves as pictures beside it; returns their paths, the report's first.

    Raises:
        StoreUnwritable: the folder cannot be written.
    """
    drawn = _draw(report, name)
    pictures = {at: path for at, (path, _) in drawn.items()}
    text = f"{as_markdown(report, pictures)}\n".encode()
    with writing(folder):
        for path, png in drawn.values():
            replace_file(folder / path, png)
        replace_file(folder / f"{name}.md", text)  # last, so that what it shows is there
    return (folder / f"{name}.md", *(folder / path for path in pictures.values()))


def _draw(report: Report, name: str) -> dict[int, tuple[str, bytes]]:
    """Returns file name and picture of each table with a curve, by the table's place."""
    curves = {at: table.curve for at, table in enumerate(report.tables) if table.curve}
    if not curves:
        return {}
    from retbench.report.figure import draw_curve  # matplotlib takes its time, and most reports need none of it

    taken: set[str] = set()
    stems = {at: fresh_stem(f"{slug(name)}-{slug(curve.title)}", taken) for at, curve in curves.items()}
    return {at: (f"{stem}.png", draw_curve(curves[at])) for at, stem in stems.items()}
