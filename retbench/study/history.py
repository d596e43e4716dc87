"""What a store remembers of runs: what was asked for, which artifacts each run names, and what failed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from retbench.canon import Json
from retbench.errors import UserError
from retbench.execute import Failure
from retbench.store import Store
from retbench.study.request import Request
from retbench.suite import read_selection

if TYPE_CHECKING:
    from retbench.study.study import Study


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
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seconds": round(seconds, 1),
        "cells": {**before.get("cells", {}), **done},
        "failures": {key: f"{f.kind}: {f.reason} (in {f.culprit})" for key, f in failures.items()},
        "keys": [*dict.fromkeys([*study.planned.steps, *kept])],
    }
    study.store.record_run(study.run_name, record)


def read_run(store: Store, name: str) -> dict[str, Any]:
    """Return the record of the last run of a name; an empty one where there is none."""
    return cast(dict[str, Any], store.runs().get(name, {}))


def continue_run(request: Request, store: Store) -> Request:
    """Return the last run's request with what this one asks for on top.

    Raises:
        UserError: nothing has been run in the store, or the last run was made in Python and has no suite file.
    """
    runs = store.runs()
    if not runs:
        raise UserError(f"store {store.root}: no suite has been run in it; name one, such as `retbench run unimodal`")
    name, record = next(iter(runs.items()))
    last = cast(dict[str, Any], record["request"])
    if not last["suite"]:
        raise UserError(
            f"store {store.root}: its last run, {name}, was made in Python and has no suite file; name a suite, "
            "such as `retbench report unimodal`, or call retbench.evaluate again"
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
