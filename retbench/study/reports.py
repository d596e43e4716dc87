"""Make the report of a study, or of bundles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retbench.errors import UserError, on_command_line
from retbench.report import Gallery, Layout, Report, make_tables
from retbench.report.filename import slug
from retbench.report.published.claims import Ledger, read_claims
from retbench.report.published.verdict import compare_published
from retbench.report.render import as_csv, as_html, as_json, as_latex, as_markdown
from retbench.report.tables.provenance import report_provenance
from retbench.report.tables.table import PublishedComparator
from retbench.results import Evidence, Row

if TYPE_CHECKING:
    from retbench.study.study import Study


class ReportSource(NamedTuple):
    """The data that a report is made from.

    Attributes:
        name: the stem of the report's files.
        evidence: the rows, and the steps behind them.
        layouts: the layouts of the tables.
        ledger: returns published numbers by name or path; for None, those that the suite names, if it names any.
        narrowed: whether the rows are only a part of the suite's rows.
        gallery: makes the gallery; returns None if there is none.
    """

    name: str
    evidence: Evidence
    layouts: tuple[Layout, ...]
    ledger: Callable[[str | None], Ledger | None]
    narrowed: bool
    gallery: Callable[[], Gallery | None]

    def comparator(self, against: str | None) -> PublishedComparator | None:
        """Return the comparison with published numbers, by name or path, or by default with those of the suite.

        Raises:
            ClaimError: the published numbers cannot be read.
            UserError: several bundles have different published numbers.
        """
        ledger = self.ledger(against)
        if ledger is None:
            return None
        return lambda row, metric, interval: compare_published(row, metric, interval, ledger)


class NotebookReport(Report):
    """A report that a notebook displays as the page of its `.html` file, in a frame.

    The frame separates the styles of page and notebook; its sandbox keeps the page's script out of the notebook.
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        style = "width: 100%; height: 40em; border: 1px solid #ccc"
        return f'<iframe srcdoc="{escape(as_html(self))}" sandbox="allow-scripts" style="{style}"></iframe>'


def study_source(study: Study) -> ReportSource:
    """Return the data of a study's report; raises UserError if no cell has results."""
    evidence = study.evidence()
    if not any(row.status == "done" for row in evidence.rows):
        raise UserError(f"{describe_missing_results('report', study)}: {_advise(study, evidence.rows)}")
    return ReportSource(
        slug(study.run_name),
        evidence,
        study.layouts,
        lambda name: read_claims(name, Path(), study.component_names) if name else study.ledger,
        bool(study.request.only.filters),
        lambda: _make_gallery(study),
    )


def make_report(
    source: ReportSource, against: str | None = None, *, uniform: bool = False, pictures: bool = False
) -> Report:
    """Return the report of a source: the tables of its layouts and, on request, figures and a gallery.

    Args:
        source: rows, layouts and published numbers.
        against: published numbers to compare with, by name or path; by default those of the source.
        uniform: refuse tables that mix devices, precisions, versions or numbers of threads in training.
        pictures: draw figures and the gallery.

    Raises:
        UserError: a table mixes devices, precisions, versions or numbers of threads although `uniform` is set.
    """
    evidence, comparator = source.evidence, source.comparator(against)
    tables = make_tables(evidence, source.layouts, narrowed=source.narrowed, comparator=comparator, uniform=uniform)
    missing = sum(row.status == "missing" for row in evidence.rows)
    unfinished = f"Unfinished: {missing} of {len(evidence.rows)} cells have not run yet." if missing else ""
    description = " ".join(part for part in (evidence.description, unfinished) if part)
    report = Report(evidence.title, description, tables, provenance=report_provenance(evidence))
    if not pictures:
        return report
    from retbench.report.illustration import illustrate  # matplotlib is slow to import

    return illustrate(report, evidence, source.name, source.gallery)


def format_report(report: Report, form: str) -> str:
    """Return a report as text: `markdown`, `latex`, `html`, `csv` or `json`."""
    if form == "latex":
        return as_latex(report.tables, report.title)
    if form == "csv":
        return as_csv(report.tables).rstrip("\n")
    return {"markdown": as_markdown, "html": as_html, "json": as_json}[form](report)


def describe_missing_results(where: str, study: Study) -> str:
    """Return the start of a message about a study without stored results."""
    return f"{where}: no stored results for {study.run_name} in {study.store.root}"


def advise_to_run(study: Study) -> str:
    """Return the advice to run a study, as the user would write it."""
    return f"run it first: {study.format_command('run')}" if on_command_line() else "call run() of the study first"


def _advise(study: Study, rows: Sequence[Row]) -> str:
    """Return the reason why no cell has results, and what to do about it."""
    statuses = {row.status for row in rows}
    if statuses == {"skipped"}:
        command = f"`{study.format_command('plan')}`" if on_command_line() else "plan() of the study"
        return f"every cell is skipped; {command} shows why"
    if "missing" not in statuses:
        command = f"`{study.format_command('results')}`" if on_command_line() else "rows() of the study"
        return f"every cell failed or is skipped; {command} shows the reasons"
    return advise_to_run(study)


def _make_gallery(study: Study) -> Gallery:
    from retbench.report.gallery.gallery import make_gallery  # only reports with pictures need images

    return make_gallery(study.planned, study.store)
