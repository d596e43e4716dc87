"""Whether modules are installed, and the files of those that are not.

The file of a module is found without importing the module, so that recipes do not depend on the code that has run.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from retbench.hookspecs import GROUP

LIBRARIES = {"site-packages", "dist-packages"}
"""Names of the folders of installed packages: of an environment or a user, and of Debian."""


def is_installed(definition: Any) -> bool:
    """Return whether a class, function or module belongs to retbench, an installed plugin, a library or Python."""
    name = definition.__name__ if isinstance(definition, ModuleType) else getattr(definition, "__module__", None)
    return not isinstance(name, str) or _is_installed(name)


def is_code_installed(function: FunctionType) -> bool:
    """Return whether the code of a function is installed; its `__module__` may be that of a function it decorates."""
    return _is_installed(str(function.__globals__.get("__name__", "__main__")))


def find_file(name: str) -> Path | None:
    """Return the file of a module that is not installed, whether imported or not; None for all other modules."""
    if name == "__main__" or _is_known_package(name):
        return None
    file = _find_origin(name)
    return None if file is None or _is_library(Path(file)) else Path(file)


def _is_installed(name: str) -> bool:
    if name == "__main__":
        return False
    if _is_known_package(name):
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and _is_library(Path(file))


def _find_origin(name: str) -> str | None:
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    spec = _find_spec(name)
    return spec.origin if spec is not None and spec.has_location else None


def _find_spec(name: str) -> ModuleSpec | None:
    """Return the import spec of a module without importing its parent packages, which importlib would do."""
    package = name.rpartition(".")[0]
    try:
        if not package:
            return importlib.util.find_spec(name)
        parent = _find_spec(package)
    except (ImportError, ValueError):  # for example for a module created at run time
        return None
    folders = None if parent is None else parent.submodule_search_locations
    return None if folders is None else PathFinder.find_spec(name, list(folders))


def _is_known_package(name: str) -> bool:
    package = name.partition(".")[0]
    return package == "retbench" or package in sys.stdlib_module_names or package in _plugin_packages()


def _is_library(path: Path) -> bool:
    return bool(LIBRARIES & set(path.parts)) or any(path.is_relative_to(folder) for folder in _library_folders())


@lru_cache(maxsize=1)
def _plugin_packages() -> frozenset[str]:
    """Return the packages of the installed plugins, which may be editable installs."""
    from importlib.metadata import entry_points

    return frozenset(point.module.partition(".")[0] for point in entry_points(group=GROUP))


@lru_cache(maxsize=1)
def _library_folders() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")})
