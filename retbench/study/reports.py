"""Reports of a source, and their text in each format."""

from __future__ import annotations

from retbench.report import Report, make_tables
from retbench.report.render import as_csv, as_html, as_json, as_markdown, document
from retbench.report.tables.provenance import summary
from retbench.study.sources import Source


def make_report(source: Source, against: str | None = None, *, uniform: bool = False, pictures: bool = False) -> Report:
    """Return the report of a source: the tables of its layouts, and, if wanted, pictures and a gallery.

    Args:
        source: rows, layouts and published numbers.
        against: published numbers by name or path; by default those of the source.
        uniform: refuse tables that mix devices, precisions or versions.
        pictures: draw figures and the gallery.

    Raises:
        UserError: `uniform`, and a table mixes devices, precisions or versions.
    """
    evidence, judge = source.evidence, source.judge(against)
    tables = make_tables(evidence, source.layouts, narrowed=source.narrowed, judge=judge, uniform=uniform)
    waiting = sum(row.status == "missing" for row in evidence.rows)
    unfinished = f"Unfinished: {waiting} of {len(evidence.rows)} cells have not run yet." if waiting else ""
    description = " ".join(part for part in (evidence.description, unfinished) if part)
    made = Report(evidence.title, description, tables, provenance=summary(evidence))
    if not pictures:
        return made
    from retbench.report.illustration import illustrate  # matplotlib takes its time, and most reports need none of it

    return illustrate(made, evidence, source.name, source.gallery)


def format_report(made: Report, form: str) -> str:
    """Return a report as text: `markdown`, `latex`, `html`, `csv` or `json`."""
    if form == "latex":
        return document(made.tables, made.title)
    if form == "csv":
        return as_csv(made.tables).rstrip("\n")
    return {"markdown": as_markdown, "html": as_html, "json": as_json}[form](made)
