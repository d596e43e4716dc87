"""The runs recorded in a store: their requests, the artifacts they use, and the failures of the last run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from retbench.canon import Json
from retbench.errors import UnknownName, UserError, on_command_line, option_name
from retbench.execute import Failure
from retbench.store import Store
from retbench.store.files import convert_write_errors
from retbench.study.progress import log_path
from retbench.study.request import StudyRequest
from retbench.suite import read_selection

if TYPE_CHECKING:
    from retbench.study.study import Study

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
SECONDS_PER_DAY = 24 * 60 * 60


class RecordedRun(NamedTuple):
    """A run recorded in a store.

    Attributes:
        name: the name of the suite, with the profile; or the name of an evaluation.
        made_in_python: whether `retbench.evaluate` made it, so that no suite file can repeat it.
        age: seconds since it ran.
        keys: keys of the artifacts that it uses.
        size: bytes of the stored artifacts that no other run uses.
    """

    name: str
    made_in_python: bool
    age: float
    keys: frozenset[str]
    size: int

    @property
    def days(self) -> int:
        """The age in whole days."""
        return int(self.age // SECONDS_PER_DAY)


def record_run(study: Study, failures: Mapping[str, Failure], seconds: float) -> None:
    """Record a run in its store: the request, the artifacts it uses, the last result of each cell, and the failures."""
    request: dict[str, Json] = {
        "suite": "" if study.request.suite is None else str(study.loaded.path.resolve()),
        "profile": study.loaded.profile,
        "sets": list(study.request.changes),
        "only": list(study.request.only.texts),
        "plugins": list(study.request.plugins),
        "precision": study.precision,
    }
    earlier = read_run(study.store, study.run_name)
    done = {cell.cell.name: cell.key for cell in study.planned.cells if study.store.has(cell.key or "-")}
    other_keys = earlier.get("keys", []) if study.request.only.filters else []
    record: dict[str, Json] = {
        "request": request,
        "digest": study.digest,
        "at": time.strftime(TIME_FORMAT),
        "seconds": round(seconds, 1),
        "cells": {**earlier.get("cells", {}), **done},
        "failures": {key: f"{f.kind}: {f.reason} (in {f.step})" for key, f in failures.items()},
        "keys": [*dict.fromkeys([*study.planned.steps, *other_keys])],
    }
    study.store.record_run(study.run_name, record)


def read_run(store: Store, name: str) -> dict[str, Any]:
    """Return the record of the last run of this name; empty if there is none."""
    return cast(dict[str, Any], store.runs().get(name, {}))


def list_runs(store: Store) -> list[RecordedRun]:
    """Return the runs recorded in a store, the latest first."""
    records = {name: cast(dict[str, Any], record) for name, record in store.runs().items()}
    uses = Counter(key for record in records.values() for key in set(record.get("keys", [])))
    runs = []
    for name, record in records.items():
        keys = frozenset(record.get("keys", []))
        size = sum(store.size(key) for key in keys if uses[key] == 1)
        runs.append(RecordedRun(name, not record["request"]["suite"], _age(record["at"]), keys, size))
    return runs


def find_runs(store: Store, patterns: Sequence[str]) -> list[str]:
    """Return the names of recorded runs that match names or patterns (`evaluate-*`), in alphabetical order.

    Raises:
        UnknownName: a name or pattern matches no run.
    """
    names = [*store.runs()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownName(option_name("forget"), pattern, names)
    return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))


def forget_run(store: Store, name: str) -> None:
    """Remove the record and the log of a run; `retbench gc` removes the artifacts that no other run uses."""
    with convert_write_errors(store.root):
        (store.root / "runs" / f"{name}.json").unlink(missing_ok=True)
        log_path(store.root, name).unlink(missing_ok=True)


def continue_run(request: StudyRequest, store: Store) -> StudyRequest:
    """Return the request of the last run of a suite file, changed by this request.

    Runs made in Python are ignored: only their own code can repeat them.

    Raises:
        UserError: the store has no run, or only runs made in Python.
    """
    runs = store.runs()
    if not runs:
        advice = (
            "run one first: `retbench run unimodal`" if on_command_line() else 'name one: retbench.open("unimodal")'
        )
        raise UserError(f"store {store.root}: no suite was run in it; {advice}")
    requests = {name: cast(dict[str, Any], record["request"]) for name, record in runs.items()}
    last = next((recorded for recorded in requests.values() if recorded["suite"]), None)
    if last is None:
        example = "`retbench report unimodal`" if on_command_line() else 'retbench.open("unimodal")'
        raise UserError(
            f"store {store.root}: its last run, {next(iter(runs))}, was made in Python and has no suite file: name a "
            f"suite, for example {example}, or call retbench.evaluate again"
        )
    plugins = last.get("plugins", ())
    return replace(
        request,
        suite=last["suite"],
        profile=request.profile or last["profile"],
        changes=(*last["sets"], *request.changes),
        only=request.only if request.only.filters else read_selection(last["only"]),
        plugins=(*plugins, *(file for file in request.plugins if file not in plugins)),
        precision=last["precision"] if request.precision == "auto" else request.precision,
    )


def _age(timestamp: str) -> float:
    """Return the seconds since a time in TIME_FORMAT."""
    return max(time.time() - datetime.strptime(timestamp, TIME_FORMAT).timestamp(), 0.0)
