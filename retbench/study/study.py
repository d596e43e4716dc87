"""A study: a suite opened against a store.

The examples use a small study of toy components, which has been run:

>>> study
<Study toys: 2 cells, store ...>
"""

from __future__ import annotations

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
from retbench.results import Evidence, Row, collect, make_frame, stored_scores, stored_steps
from retbench.store import Store
from retbench.study.execution import execute
from retbench.study.history import read_run
from retbench.study.layouts import component_names, find_layouts
from retbench.study.overview import Overview, survey_plan
from retbench.study.progress import log_path, watch
from retbench.study.reports import ShownReport, make_report, source_of
from retbench.study.request import Request
from retbench.study.tables import Tables
from retbench.suite import LoadedSuite

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class Study:
    """A suite that is read, expanded into cells and planned against a store.

    `retbench.open` and `retbench.evaluate` return one; results are read from the store whenever they are asked for.

    Attributes:
        request: what was asked for.
        catalog: the components that the suite may use.
        loaded: the suite, with its file and profile.
        layouts: of the tables of its report.
        ledger: the published numbers that the suite names, if it names any.
        planned: the cells, and the unique steps that answer them.
        precision, device: what networks are computed in, and on.
        store: where artifacts are read and written.
    """

    request: Request
    catalog: Catalog
    loaded: LoadedSuite
    layouts: tuple[Layout, ...]
    ledger: Ledger | None
    planned: Plan
    precision: Precision
    store: Store
    device: torch.device

    def __repr__(self) -> str:
        return f"<Study {self.run_name}: {len(self.planned.cells)} cells, store {self.store.root}>"

    def _repr_html_(self) -> str:
        return f"{self.plan()._repr_html_()}<p>store: {escape(str(self.store.root))}</p>"

    def plan(self) -> Overview:
        """Return what a run would do: cells with their status, steps to run and stored, a forecast of time and disk.

        >>> study.plan().summary
        'toys: 2 cells: 0 to run, 2 stored, 0 skipped'
        >>> [(cell.axes["attack"], cell.status) for cell in study.plan().cells]
        [('none', 'stored'), ('toy', 'stored')]
        """
        return survey_plan(self)

    def run(self, step_timeout: float | None = None, progress: bool = True) -> Study:
        """Execute what is not stored yet, and return the study itself.

        A run that was interrupted is resumed. A cell that fails does not raise and does not stop the others: its row
        has the status `failed` (or `invalid`) and the reason.

        Args:
            step_timeout: seconds that one step may take; no limit without.
            progress: show a progress bar on a terminal or in a notebook, else a line for each step.

        Raises:
            StoreUnwritable: the store's folder is read-only or full; finished steps stay.

        >>> study.run(progress=False) is study
        True
        """
        with watch(self, progress) as watcher:
            execute(self, watcher, step_timeout)
        return self

    def rows(self) -> list[Row]:
        """Return a row for every cell, from what the store holds now; metrics are shares in 0..1.

        >>> [(row.attack, row.defense, row.status) for row in study.rows()]
        [('none', 'none', 'done'), ('toy', 'none', 'done')]
        >>> clean, attacked = (row.metrics["map"] for row in study.rows())
        >>> clean.low <= clean.value <= clean.high
        True
        """
        return collect(self.planned, self.store, self.loaded.suite.protocol, self.failures)

    def to_pandas(self) -> DataFrame:
        """Return the rows as a tidy frame: one line for each cell and metric.

        Columns are the axes, `status`, `reason`, `metric`, `value`, `low` and `high` (the ends of the confidence
        interval), all in 0..1. A cell without numbers has one line, without a metric.

        Raises:
            UserError: pandas is not installed.

        >>> frame = study.to_pandas()
        >>> frame[frame.metric == "map"][["attack", "defense", "status"]].values.tolist()
        [['none', 'none', 'done'], ['toy', 'none', 'done']]
        """
        return make_frame(self.rows())

    def table(self, layout: str | Path | Sequence[str | Path] | None = None) -> Tables:
        """Return the tables of a layout, or of several, as one sequence.

        Args:
            layout: a shipped layout's name, or the path of a YAML file, which is looked for in the current folder and
                then beside the suite; by default the suite's own layouts.

        Raises:
            UserError: an unknown layout, or no stored results.

        >>> [table] = study.table("long")
        >>> [row.label for row in table.rows if row.block == "MAP"]
        ['original', 'toy']
        """
        layouts = self.layouts if layout is None else find_layouts(layout, self.loaded.path.parent, self.known)
        source = source_of(self)._replace(layouts=layouts)
        return Tables(make_report(source).tables)

    @overload
    def report(self, folder: None = None, against: str | None = None, pictures: bool = True) -> ShownReport: ...

    @overload
    def report(self, folder: str | Path, against: str | None = None, pictures: bool = True) -> tuple[Path, ...]: ...

    def report(
        self, folder: str | Path | None = None, against: str | None = None, pictures: bool = True
    ) -> ShownReport | tuple[Path, ...]:
        """Write the report in every format, with its pictures, and return the paths; return it without a folder.

        Args:
            folder: where the files go; made if it is not there.
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
        source = source_of(self)
        made = make_report(source, against, pictures=pictures)
        return ShownReport(*made) if folder is None else write_report(made, Path(folder), source.name)

    @property
    def run_name(self) -> str:
        """The name its runs are remembered under."""
        return name_run(self.loaded)

    @property
    def failures(self) -> dict[str, str]:
        """Reasons of the steps that failed when this suite last ran, by key."""
        return dict(read_run(self.store, self.run_name).get("failures", {}))

    @cached_property
    def digest(self) -> str:
        """The digest of the suite as it was read, profile and changes applied."""
        return digest(self.loaded.suite.model_dump(mode="json"))

    @property
    def known(self) -> dict[str, list[str]]:
        """The names of the components that the suite may use, by axis."""
        return component_names(self.catalog)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of retbench and of the loaded plugins, by distribution; local code is in recipes instead."""
        origins = {entry.origin for entry in self.catalog.entries().values() if entry.origin.distribution != LOCAL}
        return {"retbench": __version__, **{origin.distribution: origin.version for origin in sorted(origins)}}

    @property
    def log(self) -> Path:
        """The file that runs of this suite are logged in, tracebacks included."""
        return log_path(self.store.root, self.run_name)

    def evidence(self) -> Evidence:
        """Return the rows and what they rest on, from what the store holds now."""
        suite, profile = self.loaded.suite, self.loaded.profile
        title = f"{suite.suite}, profile {profile}" if profile else suite.suite
        steps, scores = stored_steps(self.planned, self.store), stored_scores(self.store)
        log = str(self.log) if self.log.exists() else ""
        return Evidence(title, suite.description, self.digest, tuple(self.rows()), steps, scores, log)


def name_run(loaded: LoadedSuite) -> str:
    """Return the name that runs of a suite are remembered under: its own, with the profile."""
    return f"{loaded.suite.suite}@{loaded.profile}" if loaded.profile else loaded.suite.suite
