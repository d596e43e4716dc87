"""What a store remembers of runs: what was asked for, which artifacts each run names, and what failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from retbench.canon import Json
from retbench.errors import UnknownName, UserError
from retbench.execute import Failure
from retbench.store import Store
from retbench.store.files import writing
from retbench.study.progress import log_path
from retbench.study.request import Request
from retbench.suite import read_selection

if TYPE_CHECKING:
    from retbench.study.study import Study

TIME = "%Y-%m-%dT%H:%M:%S%z"
"""How a record states when its run was."""
DAY = 24 * 60 * 60


class Remembered(NamedTuple):
    """A run that a store remembers.

    Attributes:
        name: that it is remembered under.
        in_python: whether it was made by `retbench.evaluate`, and no suite file says how to repeat it.
        age: seconds since it ran.
        keys: of the artifacts that it names.
        size: bytes of the stored artifacts that no other run names.
    """

    name: str
    in_python: bool
    age: float
    keys: frozenset[str]
    size: int

    @property
    def days(self) -> int:
        """The age in whole days."""
        return int(self.age // DAY)


def record_run(study: Study, failures: Mapping[str, Failure], seconds: float) -> None:
    """Record a run in its store: what it asked for and named, what each cell's latest result is, and what failed."""
    request: dict[str, Json] = {
        "suite": "" if study.request.suite is None else str(study.loaded.path.resolve()),
        "profile": study.loaded.profile,
        "sets": list(study.request.sets),
        "only": list(study.request.only.texts),
        "plugins": list(study.request.plugins),
        "precision": study.precision,
    }
    before = read_run(study.store, study.run_name)
    done = {cell.cell.name: cell.key for cell in study.planned.cells if study.store.has(cell.key or "-")}
    kept = before.get("keys", []) if study.request.only.filters else []
    record: dict[str, Json] = {
        "request": request,
        "digest": study.digest,
        "at": time.strftime(TIME),
        "seconds": round(seconds, 1),
        "cells": {**before.get("cells", {}), **done},
        "failures": {key: f"{f.kind}: {f.reason} (in {f.culprit})" for key, f in failures.items()},
        "keys": [*dict.fromkeys([*study.planned.steps, *kept])],
    }
    study.store.record_run(study.run_name, record)


def read_run(store: Store, name: str) -> dict[str, Any]:
    """Return the record of the last run of a name; an empty one where there is none."""
    return cast(dict[str, Any], store.runs().get(name, {}))


def remembered_runs(store: Store) -> list[Remembered]:
    """Return the runs that a store remembers, the latest first."""
    records = {name: cast(dict[str, Any], record) for name, record in store.runs().items()}
    named = Counter(key for record in records.values() for key in set(record.get("keys", [])))
    runs = []
    for name, record in records.items():
        keys = frozenset(record.get("keys", []))
        size = sum(store.size(key) for key in keys if named[key] == 1)
        runs.append(Remembered(name, not record["request"]["suite"], _age(record["at"]), keys, size))
    return runs


def find_runs(store: Store, wanted: Sequence[str]) -> list[str]:
    """Return the names of remembered runs that names or patterns (`evaluate-*`) fit, in alphabetical order.

    Raises:
        UnknownName: a name or pattern that fits none.
    """
    names = [*store.runs()]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownName("--forget", pattern, names)
    return sorted(name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted))


def forget_run(store: Store, name: str) -> None:
    """Remove the record of a run and its log; the artifacts that it names stay until `retbench gc` removes them."""
    with writing(store.root):
        (store.root / "runs" / f"{name}.json").unlink(missing_ok=True)
        log_path(store.root, name).unlink(missing_ok=True)


def continue_run(request: Request, store: Store) -> Request:
    """Return the request of the last run that has a suite file, with what this one asks for on top.

    Runs made in Python are passed over: only the code that made them can repeat them.

    Raises:
        UserError: nothing has been run in the store, or nothing but runs made in Python.
    """
    runs = store.runs()
    if not runs:
        raise UserError(f"store {store.root}: no suite has been run in it; name one, such as `retbench run unimodal`")
    requests = {name: cast(dict[str, Any], record["request"]) for name, record in runs.items()}
    last = next((last for last in requests.values() if last["suite"]), None)
    if last is None:
        raise UserError(
            f"store {store.root}: its last run, {next(iter(runs))}, was made in Python and has no suite file; name a "
            "suite, such as `retbench report unimodal`, or call retbench.evaluate again"
        )
    return replace(
        request,
        suite=last["suite"],
        profile=request.profile or last["profile"],
        sets=(*last["sets"], *request.sets),
        only=request.only if request.only.filters else read_selection(last["only"]),
        plugins=(*last.get("plugins", ()), *(file for file in request.plugins if file not in last.get("plugins", ()))),
        precision=last["precision"] if request.precision == "auto" else request.precision,
    )


def _age(at: str) -> float:
    """Return the seconds since a time as a record states it."""
    return max(time.time() - datetime.strptime(at, TIME).timestamp(), 0.0)
