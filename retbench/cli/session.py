"""A suite opened for a command: read, expanded and planned against a store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch

from retbench import __version__
from retbench.canon import Json, digest
from retbench.catalog import Catalog, load_catalog
from retbench.contracts.context import Precision
from retbench.errors import ClaimError, StoreUnwritable, SuiteError, UnknownName, UserError, suggest
from retbench.execute import Failure, pick_device, resolve_precision
from retbench.plan import Plan, make_plan
from retbench.report import Layout, read_layout
from retbench.report.published.claims import Ledger, read_claims
from retbench.report.tables.layout import check_names
from retbench.results import Evidence, Row, collect, stored_scores, stored_steps
from retbench.store import Store
from retbench.suite import LoadedSuite, expand, find_suite, read_selection, read_suite
from retbench.suite.model import COMPONENT_AXES


@dataclass(frozen=True)
class Request:
    """What a command line asks for: a suite, how it is changed and narrowed, and what computes it."""

    suite: str | None
    profile: str = ""
    sets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    device: str = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"


@dataclass(frozen=True)
class Session:
    """An opened suite.

    Attributes:
        request: what was asked for; without a suite, what the last run in the store asked for and this on top.
        catalog, loaded, layouts, ledger, plan, precision, store, device: what came of it.
        failures: reasons of the steps that failed when this suite last ran, by key.
    """

    request: Request
    catalog: Catalog
    loaded: LoadedSuite
    layouts: tuple[Layout, ...]
    ledger: Ledger | None
    plan: Plan
    precision: Precision
    store: Store
    device: torch.device
    failures: Mapping[str, str]

    @property
    def run_name(self) -> str:
        """The name its runs are remembered under."""
        profile = f"@{self.loaded.profile}" if self.loaded.profile else ""
        return f"{self.loaded.suite.suite}{profile}"

    @property
    def digest(self) -> str:
        """The digest of the suite as it was read, profile and command line applied."""
        return digest(self.loaded.suite.model_dump(mode="json"))

    @property
    def known(self) -> dict[str, list[str]]:
        """The names of the components that are installed, by axis."""
        return _known(self.catalog)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of retbench and of the plugins that are loaded, by distribution."""
        origins = {entry.origin for entry in self.catalog.entries().values()}
        return {"retbench": __version__, **{origin.distribution: origin.version for origin in sorted(origins)}}

    @property
    def log(self) -> Path:
        """Where runs of this suite are told in full."""
        return self.store.root / "logs" / f"{self.run_name}.log"

    def rows(self) -> list[Row]:
        """Returns a row for every cell, from what the store holds now."""
        return collect(self.plan, self.store, self.loaded.suite.protocol, self.failures)

    def evidence(self) -> Evidence:
        """Returns the rows and what they rest on, from what the store holds now."""
        suite, profile = self.loaded.suite, self.loaded.profile
        title = f"{suite.suite}, profile {profile}" if profile else suite.suite
        steps, scores = stored_steps(self.plan, self.store), stored_scores(self.store)
        log = str(self.log) if self.log.exists() else ""
        return Evidence(title, suite.description, self.digest, tuple(self.rows()), steps, scores, log)

    def remember(self, failures: Mapping[str, Failure], seconds: float) -> None:
        """Records the run in the store: what it asked for and named, what each cell's latest result is, what failed."""
        request: dict[str, Json] = {
            "suite": str(self.loaded.path.resolve()),
            "profile": self.loaded.profile,
            "sets": list(self.request.sets),
            "only": list(self.request.only),
            "precision": self.precision,
        }
        before = cast(dict[str, Any], self.store.runs().get(self.run_name, {}))
        done = {planned.cell.name: planned.key for planned in self.plan.cells if self.store.has(planned.key or "-")}
        record: dict[str, Json] = {
            "request": request,
            "digest": self.digest,
            "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seconds": round(seconds, 1),
            "cells": {**before.get("cells", {}), **done},
            "failures": {key: f"{f.kind}: {f.reason} (in {f.culprit})" for key, f in failures.items()},
            "keys": [*dict.fromkeys([*self.plan.steps, *(before.get("keys", []) if self.request.only else [])])],
        }
        self.store.record_run(self.run_name, record)


def open_session(request: Request, store_path: Path) -> Session:
    """Returns the suite of a request, planned; raises UserError for anything the user can mend."""
    if store_path.exists() and not store_path.is_dir():
        raise StoreUnwritable(f"store {store_path}: it is not a folder; choose another with --store DIR")
    store = Store(store_path)
    runs = store.runs()
    if request.suite is None:
        request = _continued(request, store_path, runs)
    catalog = load_catalog()
    loaded = read_suite(find_suite(cast(str, request.suite)), request.profile, request.sets)
    layouts = tuple(_layout(loaded, name, catalog) for name in loaded.suite.report.layout)
    device = pick_device(request.device)
    cells = expand(loaded, catalog, read_selection(request.only))
    precision = resolve_precision(request.precision, device)
    plan = make_plan(loaded.suite, cells, precision)
    profile = f"@{loaded.profile}" if loaded.profile else ""
    known = cast(dict[str, Any], runs.get(f"{loaded.suite.suite}{profile}", {}))
    return Session(
        request,
        catalog,
        loaded,
        layouts,
        _ledger(loaded, catalog),
        plan,
        precision,
        store,
        device,
        cast(dict[str, str], known.get("failures", {})),
    )


def _layout(loaded: LoadedSuite, name: str, catalog: Catalog) -> Layout:
    try:
        layout = read_layout(name, loaded.path.parent)
        check_names(layout, name, _known(catalog))
        return layout
    except UnknownName as error:
        where = loaded.document.where(("report", "layout"))
        if name.endswith((".yaml", ".yml")):
            raise SuiteError(f"{where}: no such layout: got {name!r}, looked in {loaded.path.parent}") from None
        raise SuiteError(f"{where}: unknown layout: got {name!r}, {suggest(name, error.known)}") from None


def _ledger(loaded: LoadedSuite, catalog: Catalog) -> Ledger | None:
    """Returns the published numbers that a suite names, or None; raises SuiteError where they cannot be read."""
    name = loaded.suite.report.claims
    if not name:
        return None
    try:
        return read_claims(name, loaded.path.parent, _known(catalog))
    except ClaimError as error:
        raise SuiteError(f"{loaded.document.where(('report', 'claims'))}: {error}") from None


def _known(catalog: Catalog) -> dict[str, list[str]]:
    return {axis: catalog.names(kind) for axis, kind in COMPONENT_AXES.items()}


def _continued(request: Request, store_path: Path, runs: Mapping[str, Mapping[str, Any]]) -> Request:
    """Returns the last run's request with what this one says on top; raises UserError in a store without runs."""
    if not runs:
        raise UserError(f"store {store_path}: no suite has been run in it; name one, such as `retbench run unimodal`")
    last = next(iter(runs.values()))["request"]
    return Request(
        suite=last["suite"],
        profile=request.profile or last["profile"],
        sets=(*last["sets"], *request.sets),
        only=request.only or tuple(last["only"]),
        device=request.device,
        precision=last["precision"] if request.precision == "auto" else request.precision,
    )
