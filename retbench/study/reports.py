"""What a report is made from, a study or bundles, and the report of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retbench.errors import UserError
from retbench.report import Gallery, Layout, Report, make_tables
from retbench.report.published.claims import Ledger, read_claims
from retbench.report.published.verdict import compare_published
from retbench.report.render import as_csv, as_html, as_json, as_latex, as_markdown
from retbench.report.tables.provenance import report_provenance
from retbench.report.tables.table import PublishedComparator
from retbench.results import Evidence, Row

if TYPE_CHECKING:
    from retbench.study.study import Study


class Source(NamedTuple):
    """What a report is made from.

    Attributes:
        name: what its files are called.
        evidence: rows, and what they rest on.
        layouts: of its tables.
        ledger: reads published numbers: by name or path, or, of None, those that its suite names, if it names any.
        narrowed: whether the rows are a part of the suite's.
        gallery: makes the gallery, or None where there is none.
    """

    name: str
    evidence: Evidence
    layouts: tuple[Layout, ...]
    ledger: Callable[[str | None], Ledger | None]
    narrowed: bool
    gallery: Callable[[], Gallery | None]

    def comparator(self, against: str | None) -> PublishedComparator | None:
        """Return the comparison with published numbers: those of a ledger by name or path, else the suite's.

        Raises:
            ClaimError: the ledger is not one.
            UserError: bundles are judged by several.
        """
        ledger = self.ledger(against)
        return (
            None if ledger is None else lambda row, metric, interval: compare_published(row, metric, interval, ledger)
        )


class ShownReport(Report):
    """A report that shows itself in a notebook: the page that is written as `.html`, in a frame of its own.

    The frame keeps the page's style from the notebook's, and the sandbox its script from the notebook.
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        style = "width: 100%; height: 40em; border: 1px solid #ccc"
        return f'<iframe srcdoc="{escape(as_html(self))}" sandbox="allow-scripts" style="{style}"></iframe>'


def source_of(study: Study) -> Source:
    """Return a study as the source of a report; raises UserError where nothing of it is done."""
    evidence = study.evidence()
    if not any(row.status == "done" for row in evidence.rows):
        advice = _advise(study, evidence.rows)
        raise UserError(f"report: no stored results for {study.run_name} in {study.store.root}: {advice}")
    return Source(
        study.run_name.replace("@", "-"),
        evidence,
        study.layouts,
        lambda name: read_claims(name, Path(), study.known) if name else study.ledger,
        bool(study.request.only.filters),
        lambda: _gallery(study),
    )


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
    evidence, comparator = source.evidence, source.comparator(against)
    tables = make_tables(evidence, source.layouts, narrowed=source.narrowed, comparator=comparator, uniform=uniform)
    waiting = sum(row.status == "missing" for row in evidence.rows)
    unfinished = f"Unfinished: {waiting} of {len(evidence.rows)} cells have not run yet." if waiting else ""
    description = " ".join(part for part in (evidence.description, unfinished) if part)
    made = Report(evidence.title, description, tables, provenance=report_provenance(evidence))
    if not pictures:
        return made
    from retbench.report.illustration import illustrate  # matplotlib takes its time, and most reports need none of it

    return illustrate(made, evidence, source.name, source.gallery)


def format_report(made: Report, form: str) -> str:
    """Return a report as text: `markdown`, `latex`, `html`, `csv` or `json`."""
    if form == "latex":
        return as_latex(made.tables, made.title)
    if form == "csv":
        return as_csv(made.tables).rstrip("\n")
    return {"markdown": as_markdown, "html": as_html, "json": as_json}[form](made)


def _gallery(study: Study) -> Gallery:
    from retbench.report.gallery.gallery import make_gallery  # only reports with pictures need images

    return make_gallery(study.planned, study.store)


def _advise(study: Study, rows: Sequence[Row]) -> str:
    """Return why there is nothing to report, and what to do about it."""
    statuses = {row.status for row in rows}
    if statuses == {"skipped"}:
        return f"every cell is skipped; `retbench plan {study.loaded.path}` shows why"
    if "missing" not in statuses:
        return f"no cell is done; `retbench results {study.loaded.path}` shows what failed"
    return f"run it first: retbench run {study.loaded.path}"
