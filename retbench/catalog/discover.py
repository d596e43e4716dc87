"""Finds plugins without letting one of them stop the others.

pluggy's own loader raises at the first entry point that fails to import, so the loop is ours: every entry point of the
group is loaded by itself, in name order, and one that fails is set aside with its reason.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import NamedTuple

from retbench import hookspecs
from retbench.errors import suggest

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("retbench_"))


class Origin(NamedTuple):
    """The distribution that a plugin came from."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


class Broken(NamedTuple):
    """A plugin that is set aside, and why."""

    origin: Origin
    error: str


class Discovery(NamedTuple):
    """What was found: the plugin modules with their origins, and those set aside."""

    plugins: list[tuple[Origin, ModuleType]]
    broken: list[Broken]


def discover(points: Iterable[EntryPoint] | None = None) -> Discovery:
    """Returns the plugins of the entry-point group, in name order; `RETBENCH_PLUGINS=a,b` keeps only those names.

    Args:
        points: the entry points to look at; by default the installed ones.
    """
    found = sorted(entry_points(group=hookspecs.GROUP) if points is None else points, key=lambda point: point.name)
    wanted = {name.strip() for name in os.environ.get("RETBENCH_PLUGINS", "").split(",") if name.strip()}
    discovery = Discovery([], [])
    for point in found:
        if not wanted or point.name in wanted:
            _load(point, discovery)
    for name in sorted(wanted - {point.name for point in found}):
        discovery.broken.append(Broken(Origin(name, "?"), "RETBENCH_PLUGINS names it, but no such plugin is installed"))
    return discovery


def _load(point: EntryPoint, discovery: Discovery) -> None:
    origin = Origin(point.dist.name, point.dist.version) if point.dist else Origin(point.name, "?")
    try:
        module = point.load()
        problem = _hook_problem(module)
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises, the others must load
        discovery.broken.append(Broken(origin, f"{point.value} does not import: {type(error).__name__}: {error}"))
        return
    if problem:
        discovery.broken.append(Broken(origin, f"{point.value}: {problem}"))
    else:
        discovery.plugins.append((origin, module))


def _hook_problem(module: object) -> str | None:
    """Returns what is wrong with the hooks of a module: none marked, a misspelt one, or wrong arguments."""
    if not isinstance(module, ModuleType):
        return f"the entry point must name a module: got {type(module).__name__}"
    routines = {name: thing for name in dir(module) if inspect.isroutine(thing := getattr(module, name))}
    marked = [name for name, routine in routines.items() if hasattr(routine, f"{hookspecs.GROUP}_impl")]
    for name in marked:
        if name not in HOOKS:
            return f"it implements a hook that does not exist: got {name}, {suggest(name, HOOKS)}"
    for name in HOOKS:
        if name in routines and name not in marked:
            return f"{name} is not marked with @retbench.hookimpl"
    if not marked:
        return "it implements no hook; mark a function with @retbench.hookimpl"
    for name in marked:
        got, expected = _arguments(routines[name]), _arguments(getattr(hookspecs, name))
        if got != expected:
            return f"{name} takes other arguments: got ({', '.join(got)}), expected ({', '.join(expected)})"
    return None


def _arguments(function: Callable[..., object]) -> list[str]:
    """Returns the names of the arguments that a function cannot be called without."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is parameter.empty]
