"""Opening a suite against a store, and finding the source of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from retbench.catalog import Catalog
from retbench.catalog.local import identify, local_catalog, local_parts
from retbench.contracts import Component
from retbench.errors import StoreUnwritable, UserError
from retbench.execute import pick_device, resolve_precision
from retbench.plan import make_plan
from retbench.store import Store
from retbench.study.history import continue_run
from retbench.study.layouts import component_names, suite_layouts, suite_ledger
from retbench.study.place import default_store
from retbench.study.reports import Source, source_of
from retbench.study.request import Files, PrecisionChoice, Request, Sets, read_files, read_sets
from retbench.study.study import Study
from retbench.suite import Cell, LoadedSuite, Only, expand, find_suite, read_selection, read_suite

OF_SUITES: dict[str, Any] = {"profile": "", "set": (), "plugins": (), "device": "auto", "precision": "auto"}
"""Options that change or plan a suite, and what they are where they are not given."""


def open(
    suite: str | Path | None = None,
    *,
    profile: str = "",
    only: Only | None = None,
    set: Sets | None = None,
    store: str | Path | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    plugins: Files = (),
) -> Study:
    """Return a suite, planned against a store; nothing runs and nothing is written.

    Args:
        suite: a path, or the name of a shipped suite; by default the last one run in the store, those made by
            `retbench.evaluate` aside.
        profile: one of the profiles that the suite defines.
        only: the part of the matrix that is wanted: a mapping from an axis to a value or a list of values, or texts as
            on the command line, one (`"dataset=digits"`) or a list.
        set: changes of single values: a mapping from a dotted path (`components.attack.dhta.steps`) to a value, or
            texts as on the command line, one or a list.
        store: the folder of artifacts; by default that of RETBENCH_STORE, or `.retbench`.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        precision: of convolutions and matrix products; `auto` takes bf16 where the device has it.
        plugins: a Python file, or several, whose components are used beside the installed ones.

    Raises:
        UserError: an unknown suite, profile, axis or component, a suite or plugin file with a mistake, a device that
            this machine does not have; the message has the place and the nearest names.

    >>> study = open("smoke", only={"attack": "none"}, store="/nonexistent")
    >>> [cell.status for cell in study.plan().cells]
    ['planned', 'planned']
    """
    request = Request(
        None if suite is None else str(suite),
        profile,
        read_sets(set),
        read_selection(only),
        read_files(plugins),
        device,
        precision,
    )
    opened = open_store(store)
    if request.suite is None:
        request = continue_run(request, opened)
    catalog = local_catalog(request.plugins)
    loaded = read_suite(find_suite(cast(str, request.suite)), request.profile, request.sets)
    return plan_study(request, loaded, catalog, opened)


def open_store(folder: str | Path | None) -> Store:
    """Return the store in a folder, by default the usual one; raises StoreUnwritable for what is not a folder."""
    root = default_store() if folder is None else Path(folder)
    if root.exists() and not root.is_dir():
        raise StoreUnwritable(f"store {root}: it is not a folder; choose another with --store DIR")
    return Store(root)


def plan_study(request: Request, loaded: LoadedSuite, catalog: Catalog, store: Store) -> Study:
    """Return a read suite, planned; raises UserError for what is wrong in it, and for a device that is not there."""
    known = component_names(catalog)
    layouts = suite_layouts(loaded, known)
    device = pick_device(request.device)
    cells = expand(loaded, catalog, request.only)
    _identify_parts(cells)
    precision = resolve_precision(request.precision, device)
    plan = make_plan(loaded.suite, cells, precision)
    return Study(request, catalog, loaded, layouts, suite_ledger(loaded, known), plan, precision, store, device)


def open_source(what: Sequence[str], store: Path, how: Mapping[str, Any]) -> Source:
    """Return the source of a report: nothing or a suite, or one bundle or several.

    Args:
        what: a suite, bundles (`.zip`), or nothing for the last run.
        store: of a suite.
        how: the other arguments of `open`.

    Raises:
        UserError: several suites, a mixture, nothing of it is done, or options that do not go with bundles.
    """
    bundles = [word for word in what if word.endswith(".zip")]
    if bundles and len(bundles) < len(what):
        raise UserError(f"report: it takes a suite, or bundles: got {' '.join(what)}")
    if bundles:
        for name, default in OF_SUITES.items():
            if how.get(name, default) != default:
                option = "--plugin" if name == "plugins" else f"--{name}"
                raise UserError(f"report: {option} goes with a suite: a bundle's rows stay as they were computed")
        from retbench.study.bundles import open_bundles  # most reports are those of a store

        return open_bundles([Path(word) for word in bundles], read_selection(how.get("only", ())))
    if len(what) > 1:
        raise UserError(f"report: it takes one suite at a time: got {' '.join(what)}")
    return source_of(open(what[0] if what else None, store=store, **how))


def _identify_parts(cells: Sequence[Cell]) -> None:
    """Identify the parts of local components, which recipes hold too; a cell without its dataset is skipped."""
    parts: dict[type[Component], None] = {}
    for cell in cells:
        components = (cell.hasher, cell.surrogate, cell.attack, *cell.defenses)
        local = [component for component in components if component is not None and component.code]
        if local and cell.dataset.missing() is None:
            facts = replace(cell.dataset.facts(), bits=cell.bits, task=cell.task)
            parts |= dict.fromkeys(part for component in local for part in local_parts(component, facts))
    for part in parts:
        identify(part)
