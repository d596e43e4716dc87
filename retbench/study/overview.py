"""What running a study would do, as a record, as text, and for a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from tabulate import tabulate

from retbench.canon import Json
from retbench.execute import Forecast, Rates
from retbench.study.progress import duration

if TYPE_CHECKING:
    from rich.console import Group

    from retbench.study.study import Study
    from retbench.suite import LoadedSuite

CellStatus = Literal["planned", "stored", "skipped"]
HEADERS = ("stage", "to run", "stored")


class CellOverview(NamedTuple):
    """One cell before a run.

    Attributes:
        name: the axes as one path.
        axes: by name, `variant` among them.
        status: `planned` (to run), `stored` or `skipped`.
        reason: why it is skipped; empty for others.
        key: of its score; empty for a skipped cell.
    """

    name: str
    axes: dict[str, str | int]
    status: CellStatus
    reason: str
    key: str


class StageOverview(NamedTuple):
    """How many steps of one stage are to run, and how many are stored."""

    stage: str
    to_run: int
    stored: int


@dataclass(frozen=True, repr=False)
class Overview:
    """What running a study would do.

    Attributes:
        suite: the name of the run.
        cells: in the order of the matrix.
        stages: in the order they first run.
        forecast: time, memory and disk of the steps to run.
        overrides: a line for each override of the suite: where it holds, and what it sets.
    """

    suite: str
    cells: tuple[CellOverview, ...]
    stages: tuple[StageOverview, ...]
    forecast: Forecast
    overrides: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The suite, and how many of its cells are to run, stored and skipped."""
        counts = {status: sum(cell.status == status for cell in self.cells) for status in get_args(CellStatus)}
        return (
            f"{self.suite}: {len(self.cells)} cells: {counts['planned']} to run, {counts['stored']} stored, "
            f"{counts['skipped']} skipped"
        )

    def record(self) -> dict[str, Any]:
        """Return it as JSON: cells with status, steps per stage, forecast."""
        cells: list[dict[str, Json]] = [
            {**cell.axes, "status": cell.status, "reason": cell.reason, "key": cell.key} for cell in self.cells
        ]
        steps = {stage: {"to_run": to_run, "stored": stored} for stage, to_run, stored in self.stages}
        return {"suite": self.suite, "cells": cells, "steps": steps, "forecast": self.forecast.record()}

    def __str__(self) -> str:
        table = tabulate([list(map(str, stage)) for stage in self.stages], HEADERS, "simple", disable_numparse=True)
        return "\n".join([self.summary, table, *self._lines()])

    def __repr__(self) -> str:
        return str(self)

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(*HEADERS)
        for stage in self.stages:
            table.add_row(*map(str, stage))
        return Group(Text(self.summary, "bold"), table, *map(Text, self._lines()))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{header}</th>" for header in HEADERS)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in stage)}</tr>" for stage in self.stages
        )
        lines = "".join(f"<p>{escape(line)}</p>" for line in self._lines())
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f"<p><strong>{escape(self.summary)}</strong></p>{table}{lines}"

    def _lines(self) -> Iterator[str]:
        """Yield the forecast, why cells are skipped, and the overrides."""
        yield _describe_forecast(self.forecast) if any(stage.to_run for stage in self.stages) else "nothing to run"
        for reason in dict.fromkeys(cell.reason for cell in self.cells if cell.reason):
            names = [cell.name for cell in self.cells if cell.reason == reason]
            yield f"skipped {len(names)} cells, such as {names[0]}: {reason}"
        yield from self.overrides


def survey_plan(study: Study) -> Overview:
    """Return what running a study would do, by what its store holds now."""
    plan = study.planned
    stored = {key for key in plan.steps if study.store.has(key)}
    cells = tuple(
        CellOverview(
            planned.cell.name,
            {**planned.cell.axes, "variant": planned.cell.variant},
            "skipped" if planned.key is None else "stored" if planned.key in stored else "planned",
            planned.reason or "",
            planned.key or "",
        )
        for planned in plan.cells
    )
    done = dict.fromkeys(plan.counts(), 0)
    for key in stored:
        done[plan.steps[key].name] += 1
    stages = tuple(StageOverview(stage, count - done[stage], done[stage]) for stage, count in plan.counts().items())
    waiting = [step for key, step in plan.steps.items() if key not in stored]
    forecast = Rates(study.store, study.device.type).forecast(waiting)
    return Overview(study.run_name, cells, stages, forecast, tuple(_describe_overrides(study.loaded)))


def _describe_forecast(forecast: Forecast) -> str:
    unknown, seconds = forecast.unknown, round(forecast.seconds, 1)
    if unknown and not seconds:
        return f"forecast: {unknown} steps to run are of a kind never timed in this store"
    tail = f"; {unknown} steps are of a kind never timed in this store, and come on top" if unknown else ""
    memory, disk = forecast.peak_memory / 1e9, forecast.disk / 1e6
    return f"forecast: {duration(seconds)}, {memory:.1f} GB of memory, {disk:.0f} MB of disk{tail}"


def _describe_overrides(loaded: LoadedSuite) -> Iterator[str]:
    """Yield a line for each override: the cells it holds in, and what it sets there."""
    for override in loaded.suite.overrides:
        when = ", ".join(f"{axis}={'|'.join(map(str, values))}" for axis, values in override.when.items()) or "always"
        for kind, names in override.components.items():
            for name, options in names.items():
                changed = ", ".join(f"{option}={value}" for option, value in options.items())
                yield f"override when {when}: {kind} {name}: {changed}"
