"""The layouts and the published numbers of a suite, checked against the components that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from retbench.catalog import Catalog
from retbench.errors import ClaimError, SuiteError, UnknownName, suggest
from retbench.report import Layout, read_layout
from retbench.report.published.claims import Ledger, read_claims
from retbench.report.tables.layout import check_names
from retbench.suite import LoadedSuite
from retbench.suite.model import COMPONENT_AXES

Names = Mapping[str, Sequence[str]]
"""The names of components, by axis."""


def component_names(catalog: Catalog) -> dict[str, list[str]]:
    """Return the names of the components of a catalog, by the axes that they may stand on."""
    return {axis: catalog.names(kind) for axis, kind in COMPONENT_AXES.items()}


def find_layouts(names: str | Path | Sequence[str | Path], beside: Path, known: Names) -> tuple[Layout, ...]:
    """Return layouts by name, or by path: relative to the current folder, or else to the suite's.

    Args:
        names: one name or path, or several.
        beside: the suite's folder.
        known: the names of components.

    Raises:
        UnknownName: no such layout.
        LayoutError: a file that is not a layout, or that names unknown components.
    """
    return tuple(_find(str(name), beside, known) for name in ([names] if isinstance(names, str | Path) else names))


def suite_layouts(loaded: LoadedSuite, known: Names) -> tuple[Layout, ...]:
    """Return the layouts that a suite names; raises SuiteError for an unknown one, with its place in the file."""
    beside = loaded.path.parent
    found = []
    for name in loaded.suite.report.layout:
        try:
            found.append(_layout(name, beside, known))
        except UnknownName as error:
            where = loaded.document.locate(("report", "layout"))
            if name.endswith((".yaml", ".yml")):
                raise SuiteError(f"{where}: no such layout: got {name!r}, looked in {beside}") from None
            raise SuiteError(f"{where}: unknown layout: got {name!r}, {suggest(name, error.choices)}") from None
    return tuple(found)


def suite_ledger(loaded: LoadedSuite, known: Names) -> Ledger | None:
    """Return the published numbers that a suite names, or None; raises SuiteError where they cannot be read."""
    name = loaded.suite.report.claims
    if not name:
        return None
    try:
        return read_claims(name, loaded.path.parent, known)
    except ClaimError as error:
        raise SuiteError(f"{loaded.document.locate(('report', 'claims'))}: {error}") from None


def _find(name: str, beside: Path, known: Names) -> Layout:
    """Return a layout that no suite names: of a notebook's own folder, before one that lies beside the suite."""
    here = Path(name).is_file()
    try:
        return _layout(name, Path() if here else beside, known)
    except UnknownName as error:
        where = f"layout: no such file in {Path.cwd()} or {beside}" if name.endswith((".yaml", ".yml")) else "layout"
        raise UnknownName(where, name, error.choices) from None


def _layout(name: str, beside: Path, known: Names) -> Layout:
    layout = read_layout(name, beside)
    check_names(layout, name, known)
    return layout
