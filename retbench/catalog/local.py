"""Components outside installed plugins: classes of a notebook or script, and of files named by `--plugin`.

They are added to the catalog of the installed plugins. Their recipes contain a digest of their source code (see
`source_code`), so that changing a method, or a helper function that it uses, gives new keys, while other changes in the
notebook do not.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from retbench.canon import digest
from retbench.catalog.catalog import KINDS, Catalog
from retbench.catalog.discover import Discovery, Origin, discover
from retbench.catalog.module_files import is_installed
from retbench.catalog.source_code import collect_source
from retbench.contracts import Attack, Component, Dataset, Defense, Hasher
from retbench.errors import UserError, option_name
from retbench.hookspecs import hookimpl

LOCAL = "local"
"""The distribution in the origin of local components."""


def local_catalog(files: Sequence[str | Path] = (), classes: Iterable[type[Component]] = ()) -> Catalog:
    """Return a catalog of the installed plugins, plugin files and component classes.

    Sets the `code` of local classes. A class that an installed plugin provides, or that an installed package defines,
    has no code: its revision identifies it.

    Args:
        files: Python files that define component classes or implement the hooks of a plugin.
        classes: component classes defined anywhere.

    Raises:
        UserError: a file cannot be imported or provides no component, a class is incomplete, its source code cannot be
            read, or an installed component has its name.
    """
    discovery = discover()
    installed = Catalog(discovery)
    installed_classes = {entry.component for entry in installed.entries().values()}
    new_classes = [component for component in dict.fromkeys(classes) if component not in installed_classes]
    if not files and not new_classes:
        return installed
    for file in files:
        discovery.add(Origin(LOCAL, str(file)), _load(Path(file)), f"{option_name('plugin')} {file}")
    if new_classes:
        for component in new_classes:
            if not is_installed(component):
                _fill_defaults(component)
        discovery.add(Origin(LOCAL, "classes"), _make_plugin_module(new_classes), "local classes")
    catalog = _check_local(discovery, installed)
    for entry in catalog.entries().values():
        if entry.component not in installed_classes and not is_installed(entry.component):
            set_code(entry.component)
    return catalog


def set_code(component: type[Component]) -> None:
    """Set the `code` of a local class, and of each local component class that its source code uses.

    A class without a name or a source gets one first, as parts have no other place for it.

    Raises:
        UserError: the source code cannot be read, or was edited after the import.
    """
    _fill_defaults(component)
    source = collect_source(component)
    component.code = digest(source.definitions)
    for other in source.components:
        if other is not component:
            other.code = compute_code(other)


def compute_code(component: type[Component]) -> str:
    """Return the digest of the current source code of a local class, without changing the class.

    Raises:
        UserError: the source code cannot be read, or was edited after the import.
    """
    return digest(collect_source(component).definitions)


def component_name(component: type[Component]) -> str:
    """Return the `name` that a class itself defines, or else the class name as lower-case words joined by dashes."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", component.__name__).lower().replace("_", "-")
    return str(vars(component).get("name") or words)


def local_parts(parts: Iterable[Component]) -> list[type[Component]]:
    """Return the classes of the parts of local components, without those that an installed package defines."""
    return [type(part) for part in parts if not is_installed(type(part))]


def _fill_defaults(component: type[Component]) -> None:
    """Give a class a name and a source, which only a packaged component must define."""
    component.name = component_name(component)
    if not component.source:
        component.source = f"class {component.__name__}, defined locally"


def _check_local(discovery: Discovery, installed: Catalog) -> Catalog:
    """Return the catalog of a discovery.

    Raises:
        UserError: a local plugin is broken, or an installed component has the name of a local one.
    """
    local_plugins = [(origin, module) for origin, module in discovery.plugins if origin.distribution == LOCAL]
    broken_plugins = [plugin for plugin in discovery.broken if plugin.origin.distribution == LOCAL]
    local = Catalog(Discovery(local_plugins))
    for plugin in (*broken_plugins, *local.broken):
        raise UserError(f"{plugin.origin.version}: {plugin.error}")
    taken = installed.entries()
    for key, entry in local.entries().items():
        if key in taken:
            raise UserError(
                f"{entry.component.__name__}: its name is taken: got {key[0]} {key[1]!r}, which {taken[key].origin} "
                "defines; give the class another name: name: ClassVar[str] = ..."
            )
    return Catalog(discovery)


def _load(path: Path) -> ModuleType:
    """Return a Python file as a plugin module that provides its components.

    Raises:
        UserError: the file cannot be imported or provides no component.
    """
    location = f"{option_name('plugin')} {path}"
    if not path.is_file():
        raise UserError(f"{location}: no such file")
    name = f"retbench_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UserError(f"{location}: expected a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # inspect looks up the file of a class there
    try:
        with _imports_from(path.resolve().parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        del sys.modules[name]
        raise UserError(f"{location}: cannot be imported: {type(error).__name__}: {error}") from error
    if any(hasattr(value, "retbench_impl") for value in vars(module).values()):
        return module
    classes = [value for value in vars(module).values() if _is_component_of(module, value)]
    if not classes:
        for value in filter(inspect.isabstract, vars(module).values()):
            if value.__module__ == module.__name__:
                missing = ", ".join(sorted(value.__abstractmethods__))
                raise UserError(f"{location}: {value.__name__} does not define {missing}")
        raise UserError(f"{location}: it defines no dataset, hasher, attack or defense, and no hook of a plugin")
    for component in classes:
        _fill_defaults(component)
    return _make_plugin_module(classes)


@contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    """Make the modules of a folder importable, as they are for a script in that folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _is_component_of(module: ModuleType, value: object) -> bool:
    """Return whether a value is a complete component class that a module defines; private classes do not count."""
    return (
        isinstance(value, type)
        and not value.__name__.startswith("_")
        and issubclass(value, tuple(KINDS.values()))
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    )


def _make_plugin_module(classes: Sequence[type[Component]]) -> ModuleType:
    """Return a plugin module that provides these classes.

    Raises:
        UserError: a class is not a dataset, hasher, attack or defense.
    """
    module = ModuleType("retbench_local_plugin")

    @hookimpl
    def retbench_datasets() -> list[type[Dataset]]:
        return [component for component in classes if issubclass(component, Dataset)]

    @hookimpl
    def retbench_hashers() -> list[type[Hasher]]:
        return [component for component in classes if issubclass(component, Hasher)]

    @hookimpl
    def retbench_attacks() -> list[type[Attack]]:
        return [component for component in classes if issubclass(component, Attack)]

    @hookimpl
    def retbench_defenses() -> list[type[Defense]]:
        return [component for component in classes if issubclass(component, Defense)]

    for hook in (retbench_datasets, retbench_hashers, retbench_attacks, retbench_defenses):
        setattr(module, hook.__name__, hook)
    if others := [component for component in classes if not issubclass(component, tuple(KINDS.values()))]:
        raise UserError(f"{others[0].__name__}: expected a class of dataset, hasher, attack or defense")
    return module
