"""A study: a suite opened against a store.

The examples use a small study of toy components that was run before:

>>> study
<Study toys: 2 cells, store ...>
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, overload

import torch

from retbench import __version__
from retbench.canon import digest
from retbench.catalog import Catalog
from retbench.catalog.local import LOCAL
from retbench.contracts.context import Precision
from retbench.plan import Plan
from retbench.report import Layout, write_report
from retbench.report.published.claims import Ledger
from retbench.results import Evidence, Row, collect, make_frame, make_score_reader, read_step_records
from retbench.store import Store
from retbench.study.execution import execute
from retbench.study.layouts import find_layouts, list_component_names
from retbench.study.plan_summary import PlanSummary, summarize_plan
from retbench.study.progress import log_path, show_progress
from retbench.study.reports import NotebookReport, make_report, study_source
from retbench.study.request import StudyRequest
from retbench.study.runs.history import read_run
from retbench.study.runs.record import RunIdentity, identify_run
from retbench.study.tables import Tables
from retbench.suite import LoadedSuite

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class Study:
    """A suite, expanded into cells and planned against a store.

    `retbench.open` and `retbench.evaluate` return a study. Its methods read results from the store on every call.

    Attributes:
        request: the arguments that the study was opened with.
        catalog: the known components.
        loaded: the suite, with its file and profile.
        layouts: the layouts of the report's tables.
        ledger: the published numbers that the suite names; None if it names none.
        planned: the plan: the cells, and the unique steps that compute them.
        precision, device: the precision and the device of networks.
        store: the store of artifacts.
    """

    request: StudyRequest
    catalog: Catalog
    loaded: LoadedSuite
    layouts: tuple[Layout, ...]
    ledger: Ledger | None
    planned: Plan
    precision: Precision
    store: Store
    device: torch.device

    def __repr__(self) -> str:
        failed = len(self._failed_cells())
        counts = f"{len(self.planned.cells)} cells" + (f", {failed} failed in the last run" if failed else "")
        return f"<Study {self.run_name}: {counts}, store {self.store.root}>"

    def _repr_html_(self) -> str:
        failed = (f"failed in the last run: {name}: {reason}" for name, reason in self._failed_cells().items())
        lines = "".join(f"<p>{escape(line)}</p>" for line in (*failed, f"store: {self.store.root}"))
        return f"{self.plan()._repr_html_()}{lines}"

    def plan(self) -> PlanSummary:
        """Return what a run would do: the status of each cell, the steps to run, and a forecast of time and disk.

        >>> study.plan().headline
        'toys: 2 cells: 0 to run, 2 stored, 0 skipped'
        >>> [(cell.axes["attack"], cell.status) for cell in study.plan().cells]
        [('none', 'stored'), ('toy', 'stored')]
        """
        return summarize_plan(self)

    def run(self, step_timeout: float | None = None, progress: bool = True) -> Study:
        """Run the steps that are not stored yet, and return the study itself.

        An interrupted run is resumed. A failed cell does not raise and does not stop other cells: its row has the
        status `failed` or `invalid`, and the reason.

        Args:
            step_timeout: limit in seconds for one step; None for no limit.
            progress: show progress: bars on a terminal or in a notebook, else one line for each step. If False, failed
                cells are reported by a warning.

        Raises:
            StoreUnwritable: the store's folder is read-only or full; finished steps stay stored.
            KeyboardInterrupt: on Ctrl-C; finished steps stay stored.

        >>> study.run(progress=False) is study
        True
        """
        try:
            with show_progress(self, progress) as handler:
                execute(self, handler, step_timeout)
        except KeyboardInterrupt:
            message = f"run of {self.run_name} interrupted; finished steps are stored, call run() again to resume"
            raise KeyboardInterrupt(message) from None
        failed = {each.cell.name: each.reason or "" for each in self.planned.cells if each.failed}
        if not progress and (failed := {**failed, **self._failed_cells()}):
            name, reason = next(iter(failed.items()))
            warnings.warn(
                f"{len(failed)} of {len(self.planned.cells)} cells failed, for example {name}: {reason}; "
                f"rows() has all reasons, {self.log} the tracebacks",
                stacklevel=2,
            )
        return self

    def _failed_cells(self) -> dict[str, str]:
        """Return the reason of each cell that failed in the last run and has no result, by name."""
        failures = self.failures
        return {
            planned.cell.name: failures[planned.key]
            for planned in self.planned.cells
            if planned.key is not None and planned.key in failures and not self.store.has(planned.key)
        }

    def rows(self) -> list[Row]:
        """Return a row for every cell, with the results now in the store; metrics are in 0..1.

        >>> [(row.attack, row.defense, row.status) for row in study.rows()]
        [('none', 'none', 'done'), ('toy', 'none', 'done')]
        >>> clean, attacked = (row.metrics["map"] for row in study.rows())
        >>> clean.low <= clean.value <= clean.high
        True
        """
        return collect(self.planned, self.store, self.loaded.suite.protocol, self.failures)

    def to_pandas(self) -> DataFrame:
        """Return the rows as a tidy data frame: one line for each cell and metric.

        Columns are the axes, `status`, `reason`, `metric`, `value`, and `low` and `high` (the ends of the confidence
        interval). Values are in 0..1. A cell without results has one line, without a metric.

        Raises:
            UserError: pandas is not installed.

        >>> frame = study.to_pandas()
        >>> frame[frame.metric == "map"][["attack", "defense", "status"]].values.tolist()
        [['none', 'none', 'done'], ['toy', 'none', 'done']]
        """
        return make_frame(self.rows())

    def table(self, layout: str | Path | Sequence[str | Path] | None = None) -> Tables:
        """Return the tables of one layout or of several.

        Args:
            layout: the name of a shipped layout, or the path of a YAML file, which is looked for in the current folder
                and then in the suite's folder; by default the layouts of the suite.

        Raises:
            UserError: an unknown layout, or no stored results.

        >>> [table] = study.table("long")
        >>> [row.label for row in table.rows if row.block == "MAP"]
        ['original', 'toy']
        """
        layouts = (
            self.layouts if layout is None else find_layouts(layout, self.loaded.path.parent, self.component_names)
        )
        source = study_source(self)._replace(layouts=layouts)
        return Tables(make_report(source).tables)

    @overload
    def report(self, folder: None = None, against: str | None = None, pictures: bool = True) -> NotebookReport: ...

    @overload
    def report(self, folder: str | Path, against: str | None = None, pictures: bool = True) -> tuple[Path, ...]: ...

    def report(
        self, folder: str | Path | None = None, against: str | None = None, pictures: bool = True
    ) -> NotebookReport | tuple[Path, ...]:
        """Return the report, or write it to a folder in every format and return the paths.

        Args:
            folder: the folder of the files, which is created if it does not exist; None returns the report instead.
            against: published numbers to compare with: `retpur`, `saat` or a YAML file; by default those of the suite.
            pictures: draw figures and the gallery.

        Raises:
            UserError: no stored results, unknown published numbers, or a folder that cannot be written.

        >>> [table.title for table in study.report(pictures=False).tables]
        ['All cells']
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in study.report(folder, pictures=False)]
        ['toys.md', 'toys.html', 'toys.tex', 'toys.csv', 'toys.json']
        """
        source = study_source(self)
        report = make_report(source, against, pictures=pictures)
        return NotebookReport(*report) if folder is None else write_report(report, Path(folder), source.name)

    @property
    def run_name(self) -> str:
        """The name of the suite's runs in the store: the suite's name, with the profile."""
        return name_run(self.loaded)

    def format_command(self, command: str) -> str:
        """Return the command line that applies `retbench COMMAND` to this study's suite, options and store."""
        return self.request.format_command(command, self.store.root)

    @property
    def failures(self) -> dict[str, str]:
        """The reason of each step that failed in the last run, by key."""
        record = read_run(self.store, self.identity)
        return dict(record.failures) if record is not None else {}

    @cached_property
    def identity(self) -> RunIdentity:
        """What identifies the study's runs in the store."""
        return identify_run(self)

    @cached_property
    def digest(self) -> str:
        """The digest of the suite with its profile and changes applied."""
        return digest(self.loaded.suite.model_dump(mode="json"))

    @property
    def component_names(self) -> dict[str, list[str]]:
        """The names of the known components, by axis."""
        return list_component_names(self.catalog)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of retbench and the loaded plugins, by distribution; recipes identify local code instead."""
        origins = {entry.origin for entry in self.catalog.entries().values() if entry.origin.distribution != LOCAL}
        return {"retbench": __version__, **{origin.distribution: origin.version for origin in sorted(origins)}}

    @property
    def log(self) -> Path:
        """The log file of the suite's runs, with tracebacks."""
        return log_path(self.store.root, self.identity.stem)

    def evidence(self) -> Evidence:
        """Return the rows and the steps behind them, as they now are in the store."""
        suite, profile = self.loaded.suite, self.loaded.profile
        title = f"{suite.suite}, profile {profile}" if profile else suite.suite
        steps, scores = read_step_records(self.planned, self.store), make_score_reader(self.store)
        log = str(self.log) if self.log.exists() else ""
        return Evidence(title, suite.description, self.digest, tuple(self.rows()), steps, scores, log)


def name_run(loaded: LoadedSuite) -> str:
    """Return the name of a suite's runs in the store: the suite's name, with the profile."""
    return f"{loaded.suite.suite}@{loaded.profile}" if loaded.profile else loaded.suite.suite
