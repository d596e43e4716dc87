"""Summarize what a run of a study would do, as a record, as text, and for a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from tabulate import tabulate

from retbench.canon import Json
from retbench.execute import Forecast, Forecaster
from retbench.plan import PlannedCell
from retbench.study.progress import format_duration

if TYPE_CHECKING:
    from rich.console import Group

    from retbench.study.study import Study
    from retbench.suite import LoadedSuite

CellStatus = Literal["planned", "stored", "skipped", "failed"]
HEADERS = ("stage", "to run", "stored")


class CellSummary(NamedTuple):
    """One cell before a run.

    Attributes:
        name: the axes as one path.
        axes: the values of the axes by name, and `variant`.
        status: `planned` (to run), `stored`, `skipped`, or `failed` (for example a dataset with a defect).
        reason: why the cell is skipped or failed; empty for other cells.
        key: the key of the score; empty for a cell that cannot run.
    """

    name: str
    axes: dict[str, str | int]
    status: CellStatus
    reason: str
    key: str


class StageSummary(NamedTuple):
    """The number of steps of one stage that are to run, and that are stored."""

    stage: str
    to_run: int
    stored: int


@dataclass(frozen=True, repr=False)
class PlanSummary:
    """What a run of a study would do.

    Attributes:
        suite: the name of the run.
        cells: the cells, in the order of the matrix.
        stages: the stages, in the order in which they first run.
        forecast: time, memory and disk space of the steps to run.
        overrides: one line for each override of the suite: its cells, and the options it sets.
    """

    suite: str
    cells: tuple[CellSummary, ...]
    stages: tuple[StageSummary, ...]
    forecast: Forecast
    overrides: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The suite, and the numbers of cells to run, stored, skipped and, if any, failed."""
        counts = {status: sum(cell.status == status for cell in self.cells) for status in get_args(CellStatus)}
        return (
            f"{self.suite}: {len(self.cells)} cells: {counts['planned']} to run, {counts['stored']} stored, "
            f"{counts['skipped']} skipped" + (f", {counts['failed']} failed" if counts["failed"] else "")
        )

    def record(self) -> dict[str, Any]:
        """Return the summary as JSON: cells with their status, steps of each stage, and the forecast."""
        cells: list[dict[str, Json]] = [
            {**cell.axes, "status": cell.status, "reason": cell.reason, "key": cell.key} for cell in self.cells
        ]
        steps = {stage: {"to_run": to_run, "stored": stored} for stage, to_run, stored in self.stages}
        return {"suite": self.suite, "cells": cells, "steps": steps, "forecast": self.forecast.record()}

    def __str__(self) -> str:
        table = tabulate([list(map(str, stage)) for stage in self.stages], HEADERS, "simple", disable_numparse=True)
        return "\n".join([self.headline, table, *self._lines()])

    def __repr__(self) -> str:
        return str(self)

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(*HEADERS)
        for stage in self.stages:
            table.add_row(*map(str, stage))
        return Group(Text(self.headline, "bold"), table, *map(Text, self._lines()))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{header}</th>" for header in HEADERS)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in stage)}</tr>" for stage in self.stages
        )
        lines = "".join(f"<p>{escape(line)}</p>" for line in self._lines())
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<p><strong>{escape(self.headline)}</strong></p>{table}{lines}"

    def _lines(self) -> Iterator[str]:
        """Yield the forecast, the reasons of skipped and failed cells, and the overrides."""
        yield _describe_forecast(self.forecast) if any(stage.to_run for stage in self.stages) else "nothing to run"
        yield from describe_unrunnable((cell.status, cell.name, cell.reason) for cell in self.cells)
        yield from self.overrides


def summarize_plan(study: Study) -> PlanSummary:
    """Return what a run of a study would do, given the current contents of its store."""
    plan = study.planned
    stored = {key for key in plan.steps if study.store.has(key)}
    cells = tuple(
        CellSummary(
            planned.cell.name,
            {**planned.cell.axes, "variant": planned.cell.variant},
            find_status(planned, stored),
            planned.reason or "",
            planned.key or "",
        )
        for planned in plan.cells
    )
    done = dict.fromkeys(plan.counts(), 0)
    for key in stored:
        done[plan.steps[key].name] += 1
    stages = tuple(StageSummary(stage, count - done[stage], done[stage]) for stage, count in plan.counts().items())
    to_run = [step for key, step in plan.steps.items() if key not in stored]
    forecast = Forecaster(study.store, study.device.type).forecast(to_run)
    return PlanSummary(study.run_name, cells, stages, forecast, tuple(_describe_overrides(study.loaded)))


def describe_unrunnable(cells: Iterable[tuple[CellStatus, str, str]]) -> Iterator[str]:
    """Yield one line for each reason to skip cells, or why they failed: their number, an example and the reason.

    Args:
        cells: status, name and reason of each cell; the reason is empty for cells that can run.
    """
    names: dict[tuple[CellStatus, str], list[str]] = {}
    for status, name, reason in cells:
        if reason:
            names.setdefault((status, reason), []).append(name)
    for (status, reason), (first, *others) in names.items():
        yield (
            f"{status} {len(others) + 1} cells, for example {first}: {reason}"
            if others
            else f"{status} {first}: {reason}"
        )


def find_status(planned: PlannedCell, stored: Collection[str] = ()) -> CellStatus:
    """Return the status of a cell before a run; `stored` are the keys in the store."""
    if planned.key is None:
        return "failed" if planned.failed else "skipped"
    return "stored" if planned.key in stored else "planned"


def _describe_forecast(forecast: Forecast) -> str:
    unknown, seconds = forecast.unknown, round(forecast.seconds, 1)
    if unknown and not seconds:
        return f"forecast: none yet: no step like the {unknown} steps to run was timed in this store"
    excluded = f"; without {unknown} steps of kinds that were never timed in this store" if unknown else ""
    memory, disk = forecast.peak_memory / 1e9, forecast.disk / 1e6
    return f"forecast: {format_duration(seconds)}, {memory:.1f} GB of memory, {disk:.0f} MB of disk{excluded}"


def _describe_overrides(loaded: LoadedSuite) -> Iterator[str]:
    """Yield a line for each override: the cells that it applies to, and the options that it sets."""
    for override in loaded.suite.overrides:
        axes = ", ".join(f"{axis}={'|'.join(map(str, values))}" for axis, values in override.when.items())
        cells = f"cells with {axes}" if axes else "all cells"
        for kind, names in override.components.items():
            for name, options in names.items():
                settings = ", ".join(f"{option}={value}" for option, value in options.items())
                yield f"override in {cells}: {kind} {name}: {settings}"
