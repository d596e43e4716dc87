"""Components that no installed plugin offers: classes of a notebook or a script, and of files named by `--plugin`.

They enter a catalog beside the installed ones. Their recipe carries the digest of their source (`source_code`), so that
a changed method, or a changed helper that it uses, gives new keys, and a change elsewhere in the notebook does not.
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
from retbench.contracts import Attack, Component, Dataset, Defense, Facts, Hasher
from retbench.errors import UserError, option_name
from retbench.hookspecs import hookimpl

LOCAL = "local"
"""The distribution that local components are said to come from."""


def local_catalog(files: Sequence[str | Path] = (), classes: Iterable[type[Component]] = ()) -> Catalog:
    """Return the catalog of the installed plugins, and of plugin files and classes beside them.

    Args:
        files: Python files that define component classes, or implement the hooks of a plugin.
        classes: component classes defined anywhere; one that an installed plugin offers is left to it, and one of an
            installed package has no digest: its revision identifies it, as that of a plugin's class does.

    Raises:
        UserError: a file that cannot be imported or offers no component, a class that is not a whole component, one
            whose source cannot be read, or a name that an installed component has.
    """
    discovery = discover()
    installed = Catalog(discovery)
    offered = {entry.component for entry in installed.entries().values()}
    own = [each for each in dict.fromkeys(classes) if each not in offered]
    if not files and not own:
        return installed
    for file in files:
        discovery.add(Origin(LOCAL, str(file)), _load(Path(file)), f"{option_name('plugin')} {file}")
    if own:
        for each in own:
            if not is_installed(each):
                _complete(each)
        discovery.add(Origin(LOCAL, "classes"), _module_of(own), "local classes")
    catalog = _checked(discovery, installed)
    for entry in catalog.entries().values():
        if entry.component not in offered and not is_installed(entry.component):
            identify(entry.component)
    return catalog


def identify(component: type[Component]) -> None:
    """Set `code` of a local class, and of every local component class that its source names; raises UserError."""
    found = collect_source(component)
    component.code = digest(found.pieces)
    for other in found.components:
        if other is not component:
            other.code = compute_code(other)


def compute_code(component: type[Component]) -> str:
    """Return the digest of the source of a local class as it is now, and change nothing; raises UserError."""
    return digest(collect_source(component).pieces)


def name_of(component: type[Component]) -> str:
    """Return the name of a class: its own, not one that it inherits, or that of the class in words with dashes."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", component.__name__).lower().replace("_", "-")
    return str(vars(component).get("name") or words)


def local_parts(component: Component, facts: Facts) -> list[type[Component]]:
    """Return the classes of the parts of a local component that no installed package defines."""
    parts = component.parts(facts).values() if component.code else ()
    return [type(part) for part in parts if not is_installed(type(part))]


def _complete(component: type[Component]) -> None:
    """Give a class what only a shipped component must state: a name and a source."""
    component.name = name_of(component)
    if not component.source:
        component.source = f"class {component.__name__}, defined locally"


def _checked(discovery: Discovery, installed: Catalog) -> Catalog:
    """Return the catalog of a discovery; raises UserError for what is wrong with the local part of it."""
    local = [(origin, module) for origin, module in discovery.plugins if origin.distribution == LOCAL]
    broken = [each for each in discovery.broken if each.origin.distribution == LOCAL]
    alone = Catalog(Discovery(list(local)))
    for problem in (*broken, *alone.broken):
        raise UserError(f"{problem.origin.version}: {problem.error}")
    taken = installed.entries()
    for key, entry in alone.entries().items():
        if key in taken:
            raise UserError(
                f"{entry.component.__name__}: its name is taken: got {key[0]} {key[1]!r}, which {taken[key].origin} "
                "offers; give the class a name of its own: name: ClassVar[str] = ..."
            )
    return Catalog(discovery)


def _load(path: Path) -> ModuleType:
    """Return a Python file as a module that offers its components; raises UserError."""
    where = f"{option_name('plugin')} {path}"
    if not path.is_file():
        raise UserError(f"{where}: no such file")
    name = f"retbench_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UserError(f"{where}: expected a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where inspect looks for the file of a class
    try:
        with _beside(path):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a stranger's code runs in there
        del sys.modules[name]
        raise UserError(f"{where}: it does not import: {type(error).__name__}: {error}") from error
    if any(hasattr(thing, "retbench_impl") for thing in vars(module).values()):
        return module
    classes = [each for each in vars(module).values() if _defined_in(each, module)]
    if not classes:
        for each in filter(inspect.isabstract, vars(module).values()):
            if each.__module__ == module.__name__:
                raise UserError(f"{where}: {each.__name__} lacks {', '.join(sorted(each.__abstractmethods__))}")
        raise UserError(f"{where}: it defines no dataset, hasher, attack or defense, and no hook of a plugin")
    for each in classes:
        _complete(each)
    return _module_of(classes)


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Let a file import those beside it, as a script may."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _defined_in(thing: object, module: ModuleType) -> bool:
    """Return whether a thing is a whole component that a module defines; a private one is a base of others."""
    return (
        isinstance(thing, type)
        and not thing.__name__.startswith("_")
        and issubclass(thing, tuple(KINDS.values()))
        and thing.__module__ == module.__name__
        and not inspect.isabstract(thing)
    )


def _module_of(classes: Sequence[type[Component]]) -> ModuleType:
    """Return a plugin module that offers these classes."""
    module = ModuleType("retbench_local_plugin")

    @hookimpl
    def retbench_datasets() -> list[type[Dataset]]:
        return [each for each in classes if issubclass(each, Dataset)]

    @hookimpl
    def retbench_hashers() -> list[type[Hasher]]:
        return [each for each in classes if issubclass(each, Hasher)]

    @hookimpl
    def retbench_attacks() -> list[type[Attack]]:
        return [each for each in classes if issubclass(each, Attack)]

    @hookimpl
    def retbench_defenses() -> list[type[Defense]]:
        return [each for each in classes if issubclass(each, Defense)]

    for hook in (retbench_datasets, retbench_hashers, retbench_attacks, retbench_defenses):
        setattr(module, hook.__name__, hook)
    if strangers := [each for each in classes if not issubclass(each, tuple(KINDS.values()))]:
        raise UserError(f"{strangers[0].__name__}: expected a class of dataset, hasher, attack or defense")
    return module
