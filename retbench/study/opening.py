"""Open a suite against a store, and choose the rows of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from retbench.catalog import Catalog
from retbench.catalog.local import local_catalog, local_parts, set_code
from retbench.contracts import Component, Dataset, Facts
from retbench.errors import StoreUnwritable, UserError, option_name
from retbench.execute import pick_device, resolve_precision
from retbench.plan import make_plan, parts_of
from retbench.store import Store
from retbench.study.layouts import list_component_names, suite_layouts, suite_ledger
from retbench.study.reports import ReportSource, study_source
from retbench.study.request import (
    Changes,
    PluginFiles,
    PrecisionChoice,
    StudyRequest,
    read_changes,
    resolve_files,
)
from retbench.study.runs.history import continue_run
from retbench.study.store_path import default_store
from retbench.study.study import Study
from retbench.suite import Cell, LoadedSuite, Only, expand, find_suite, read_selection, read_suite

SUITE_OPTIONS: dict[str, Any] = {"profile": "", "set": (), "plugins": (), "device": "auto", "precision": "auto"}
"""Options that apply to suites and not to bundles, with their defaults."""


def open(
    suite: str | Path | None = None,
    *,
    profile: str = "",
    only: Only | None = None,
    set: Changes | None = None,
    store: str | Path | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    plugins: PluginFiles = (),
) -> Study:
    """Return a suite planned against a store; nothing is run or written.

    Args:
        suite: a path, or the name of a shipped suite; by default the last suite run in the store (runs of
            `retbench.evaluate` do not count).
        profile: a profile that the suite defines.
        only: the part of the matrix to keep: a mapping from an axis to a value or a list of values, or texts as on the
            command line, one (`"dataset=digits"`) or a list.
        set: changes of single values: a mapping from a dotted path (`components.attack.dhta.steps`) to a value, or
            texts as on the command line, one or a list.
        store: the folder of computed artifacts; by default RETBENCH_STORE, or `.retbench`.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        precision: of convolutions and matrix products; `auto` is bf16 if the device supports it in hardware.
        plugins: a Python file, or several, whose components are used in addition to the installed ones.

    Raises:
        UserError: an unknown suite, profile, axis or component, an error in the suite or in a plugin file, or a device
            that this machine does not have; the message names the location and the nearest known names.

    >>> study = open("smoke", only={"attack": "none"}, store="/nonexistent")
    >>> [cell.status for cell in study.plan().cells]
    ['planned', 'planned']
    """
    request = StudyRequest(
        None if suite is None else str(suite),
        profile,
        read_changes(set),
        read_selection(only),
        resolve_files(plugins),
        device,
        precision,
    )
    opened_store = open_store(store)
    if request.suite is None:
        request = continue_run(request, opened_store)
    catalog = local_catalog(request.plugins)
    loaded = read_suite(find_suite(cast(str, request.suite)), request.profile, request.changes)
    return plan_study(request, loaded, catalog, opened_store)


def open_store(folder: str | Path | None) -> Store:
    """Return the store in a folder, None for the default one; raises StoreUnwritable if the path is a file."""
    root = default_store() if folder is None else Path(folder)
    if root.exists() and not root.is_dir():
        raise StoreUnwritable(f"store {root}: not a folder; choose another with {option_name('store', 'DIR')}")
    return Store(root)


def plan_study(request: StudyRequest, loaded: LoadedSuite, catalog: Catalog, store: Store) -> Study:
    """Return a loaded suite planned against a store; raises UserError for an error in it or an unusable device."""
    if request.precision not in get_args(PrecisionChoice):
        choices = ", ".join(get_args(PrecisionChoice))
        raise UserError(f"{option_name('precision')}: expected one of {choices}, got {request.precision!r}")
    known = list_component_names(catalog)
    layouts = suite_layouts(loaded, known)
    device = pick_device(request.device)
    cells = expand(loaded, catalog, request.only)
    _identify_parts(cells)
    precision = resolve_precision(request.precision, device)
    plan = make_plan(loaded.suite, cells, precision)
    return Study(request, catalog, loaded, layouts, suite_ledger(loaded, known), plan, precision, store, device)


def open_report_source(names: Sequence[str], store: Path, options: Mapping[str, Any]) -> ReportSource:
    """Return the rows of a report: those of a suite, or of one bundle or several.

    Args:
        names: a suite, bundles (`.zip`), or nothing for the last suite run in the store.
        store: the store of a suite.
        options: the other arguments of `open`.

    Raises:
        UserError: several suites, suites mixed with bundles, no stored results, or an option that bundles do not have.
    """
    bundles = [name for name in names if name.endswith(".zip")]
    if bundles and len(bundles) < len(names):
        raise UserError(f"report: expected one suite, or bundles (.zip) only: got {' '.join(names)}")
    if bundles:
        for name, default in SUITE_OPTIONS.items():
            if options.get(name, default) != default:
                option = "--plugin" if name == "plugins" else f"--{name}"
                raise UserError(f"report: {option} applies to suites only: the rows of a bundle are already computed")
        from retbench.study.bundles import open_bundles  # most reports are of a store

        return open_bundles([Path(name) for name in bundles], read_selection(options.get("only", ())))
    if len(names) > 1:
        raise UserError(f"report: expected one suite: got {' '.join(names)}")
    return study_source(open(names[0] if names else None, store=store, **options))


def _identify_parts(cells: Sequence[Cell]) -> None:
    """Identify the parts of local components by their source, which enters recipes.

    The cells of a dataset that cannot be read are ignored: the plan says why.
    """
    parts: dict[type[Component], None] = {}
    for cell in cells:
        components = (cell.hasher, cell.surrogate, cell.attack, *cell.defenses)
        local = [component for component in components if component is not None and component.code]
        if local and (dataset_facts := _read_facts(cell.dataset)):
            facts = replace(dataset_facts, bits=cell.bits, task=cell.task)
            owned = (part for component in local for part in parts_of(component, facts).values())
            parts |= dict.fromkeys(local_parts(owned))
    for part in parts:
        set_code(part)


def _read_facts(dataset: Dataset) -> Facts | None:
    """Return the facts of a dataset; None if it cannot be read."""
    try:
        return None if dataset.missing() else dataset.facts()
    except Exception:  # a plugin's code may raise anything
        return None
