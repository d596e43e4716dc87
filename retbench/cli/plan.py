"""`retbench plan`: what would run, what is stored, what is skipped and why, and what it will cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.options import json_option, store_option, suite_options

if TYPE_CHECKING:
    from retbench.canon import Json
    from retbench.cli.session import Session


@click.command()
@click.argument("suite")
@suite_options
@store_option
@json_option
def plan(suite: str, store: Path, as_json: bool, **how: Any) -> None:
    """Show what running a SUITE would do, without doing it."""
    from retbench.cli.session import Request, open_session

    session = open_session(Request(suite, **how), store)
    record = describe(session)
    if as_json:
        click.echo(json.dumps(record))
    else:
        _tell(session, record)


def describe(session: Session) -> dict[str, Any]:
    """Returns the plan as JSON: cells with status, steps per stage, forecast."""
    from retbench.execute import Rates

    stored = {key for key in session.plan.steps if session.store.has(key)}
    cells: list[dict[str, Json]] = []
    for planned in session.plan.cells:
        status = "skipped" if planned.key is None else "stored" if planned.key in stored else "planned"
        axes: dict[str, Json] = {**planned.cell.axes, "variant": planned.cell.variant}
        cells.append({**axes, "status": status, "reason": planned.reason or "", "key": planned.key or ""})
    steps = {
        stage: {
            "to_run": sum(key not in stored for key, step in session.plan.steps.items() if step.name == stage),
            "stored": sum(key in stored for key, step in session.plan.steps.items() if step.name == stage),
        }
        for stage in session.plan.counts()
    }
    waiting = [step for key, step in session.plan.steps.items() if key not in stored]
    forecast = Rates(session.store, session.device.type).forecast(waiting)
    return {"suite": session.run_name, "cells": cells, "steps": steps, "forecast": forecast.record()}


def _tell(session: Session, record: dict[str, Any]) -> None:
    from tabulate import tabulate

    cells = record["cells"]
    counts = {status: sum(cell["status"] == status for cell in cells) for status in ("planned", "stored", "skipped")}
    click.echo(
        f"{record['suite']}: {len(cells)} cells: {counts['planned']} to run, {counts['stored']} stored, "
        f"{counts['skipped']} skipped"
    )
    rows = [(stage, str(count["to_run"]), str(count["stored"])) for stage, count in record["steps"].items()]
    click.echo(tabulate(rows, ("stage", "to run", "stored"), "simple", disable_numparse=True))
    click.echo(_forecast_line(record["forecast"]))
    for reason in dict.fromkeys(cell["reason"] for cell in cells if cell["reason"]):
        names = [planned.cell.name for planned in session.plan.cells if planned.reason == reason]
        click.echo(f"skipped {len(names)} cells, such as {names[0]}: {reason}")
    for line in _override_lines(session):
        click.echo(line)


def _forecast_line(forecast: dict[str, Any]) -> str:
    from retbench.cli.progress import duration

    unknown = forecast["unknown_steps"]
    tail = f"; {unknown} steps are of a kind never timed in this store, and come on top" if unknown else ""
    if not forecast["seconds"]:
        return (
            f"forecast: {unknown} steps to run are of a kind never timed in this store" if unknown else "nothing to run"
        )
    memory, disk = forecast["peak_memory_bytes"] / 1e9, forecast["disk_bytes"] / 1e6
    return f"forecast: {duration(forecast['seconds'])}, {memory:.1f} GB of memory, {disk:.0f} MB of disk{tail}"


def _override_lines(session: Session) -> list[str]:
    """Returns a line for each override: the cells it holds in, and what it sets there."""
    lines = []
    for override in session.loaded.suite.overrides:
        when = ", ".join(f"{axis}={'|'.join(map(str, values))}" for axis, values in override.when.items()) or "always"
        for kind, names in override.components.items():
            for name, options in names.items():
                told = ", ".join(f"{option}={value}" for option, value in options.items())
                lines.append(f"override when {when}: {kind} {name}: {told}")
    return lines
