"""Find the layouts and published numbers of a suite, and check the component names in them."""

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

ComponentNames = Mapping[str, Sequence[str]]
"""Names of components, by axis."""


def list_component_names(catalog: Catalog) -> dict[str, list[str]]:
    """Return the names of the components of a catalog, by axis."""
    return {axis: catalog.names(kind) for axis, kind in COMPONENT_AXES.items()}


def find_layouts(
    names: str | Path | Sequence[str | Path], suite_folder: Path, known: ComponentNames
) -> tuple[Layout, ...]:
    """Return layouts by name or path; a path is looked for in the current folder, then in the suite's.

    Args:
        names: one name or path, or several.
        suite_folder: the folder of the suite file.
        known: the names of components.

    Raises:
        UnknownName: an unknown layout, or a missing file.
        LayoutError: a file that is not a layout, or that names unknown components.
    """
    return tuple(
        _find_layout(str(name), suite_folder, known) for name in ([names] if isinstance(names, str | Path) else names)
    )


def suite_layouts(loaded: LoadedSuite, known: ComponentNames) -> tuple[Layout, ...]:
    """Return the layouts that a suite names; raises SuiteError with file, line and column for an unknown one."""
    suite_folder = loaded.path.parent
    layouts = []
    for name in loaded.suite.report.layout:
        try:
            layouts.append(_read_layout(name, suite_folder, known))
        except UnknownName as error:
            where = loaded.document.locate(("report", "layout"))
            if _is_file_name(name):
                raise SuiteError(f"{where}: missing layout file: got {name!r}, looked in {suite_folder}") from None
            raise SuiteError(f"{where}: unknown layout: got {name!r}, {suggest(name, error.choices)}") from None
    return tuple(layouts)


def suite_ledger(loaded: LoadedSuite, known: ComponentNames) -> Ledger | None:
    """Return the published numbers that a suite names, None without any; raises SuiteError if they cannot be read."""
    name = loaded.suite.report.claims
    if not name:
        return None
    try:
        return read_claims(name, loaded.path.parent, known)
    except ClaimError as error:
        raise SuiteError(f"{loaded.document.locate(('report', 'claims'))}: {error}") from None


def _find_layout(name: str, suite_folder: Path, known: ComponentNames) -> Layout:
    in_current_folder = Path(name).is_file()
    try:
        return _read_layout(name, Path() if in_current_folder else suite_folder, known)
    except UnknownName as error:
        folders = f"{Path.cwd()} or {suite_folder}"
        where = f"layout: missing file in {folders}" if _is_file_name(name) else "layout"
        raise UnknownName(where, name, error.choices) from None


def _is_file_name(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _read_layout(name: str, folder: Path, known: ComponentNames) -> Layout:
    layout = read_layout(name, folder)
    check_names(layout, name, known)
    return layout
