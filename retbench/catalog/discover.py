"""Finds plugins without letting one of them stop the others.

pluggy's own loader raises at the first entry point that fails to import, so the loop over entry points is ours: every
module is imported and registered by itself, in name order, and one that fails is set aside with its reason.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import NamedTuple

import pluggy

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


def hook_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows the hooks of retbench and no plugin."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass
class Discovery:
    """The plugin modules with their origins, those set aside, and the manager that the former are registered with.

    A module that two distributions name is listed twice and registered once. Modules handed to the constructor are
    registered too; one that does not validate goes to `broken`.
    """

    plugins: list[tuple[Origin, ModuleType]] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=hook_manager, compare=False, repr=False)

    def __post_init__(self) -> None:
        given, self.plugins, self.broken = self.plugins, [], list(self.broken)
        for origin, module in given:
            self.add(origin, module, module.__name__)

    def add(self, origin: Origin, module: object, where: str) -> None:
        """Register a module, or set it aside with the reason; `where` begins the reason."""
        problem = register(self.manager, module)
        if problem is None and isinstance(module, ModuleType):
            self.plugins.append((origin, module))
        else:
            self.broken.append(Broken(origin, f"{where}: {problem}"))

    def hook(self, name: str, module: ModuleType) -> pluggy.HookCaller:
        """Return the caller of a hook in one plugin, so that its results and its exceptions have an origin."""
        return self.manager.subset_hook_caller(name, self.manager.get_plugins() - {module})


def discover(points: Iterable[EntryPoint] | None = None) -> Discovery:
    """Return the plugins of the entry-point group, in name order; `RETBENCH_PLUGINS=a,b` keeps only those names.

    Args:
        points: the entry points to look at; by default the installed ones.
    """
    found = sorted(entry_points(group=hookspecs.GROUP) if points is None else points, key=lambda point: point.name)
    wanted = {name.strip() for name in os.environ.get("RETBENCH_PLUGINS", "").split(",") if name.strip()}
    discovery = Discovery()
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
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises, the others must load
        discovery.broken.append(Broken(origin, f"{point.value} does not import: {type(error).__name__}: {error}"))
    else:
        discovery.add(origin, module, point.value)


def register(manager: pluggy.PluginManager, module: object) -> str | None:
    """Register a plugin module and return None, or return what is wrong with it and leave it unregistered."""
    if not isinstance(module, ModuleType):
        return f"the entry point must name a module: got {type(module).__name__}"
    if manager.is_registered(module):  # two distributions may name one module
        return None
    try:
        manager.register(module)
        problem = _hook_problem(manager, module)
    except pluggy.PluginValidationError as error:
        problem = f"{'; '.join(str(error).splitlines())}; expected {_expected(manager, str(error))}"
    except (Exception, SystemExit) as error:  # a module may run its own code when its names are listed
        problem = f"its names cannot be read: {type(error).__name__}: {error}"
    if problem and manager.is_registered(module):
        manager.unregister(module)
    return problem


def _hook_problem(manager: pluggy.PluginManager, module: ModuleType) -> str | None:
    """Return what is wrong with a module that pluggy has registered, or None.

    pluggy looks for unknown hooks in all plugins at once, and lets an implementation leave arguments out; it does not
    miss a mark.
    """
    hooks = manager.get_hookcallers(module) or []
    marked = [(hook, each) for hook in hooks for each in hook.get_hookimpls() if each.plugin is module]
    for hook, implementation in marked:
        if hook.spec is None and not implementation.optionalhook:
            return f"it implements a hook that does not exist: got {hook.name}, {suggest(hook.name, HOOKS)}"
    for name in HOOKS:
        found = inspect.getattr_static(module, name, None)
        if inspect.isroutine(found) and manager.parse_hookimpl_opts(module, name) is None:
            return f"{name} is not marked with @retbench.hookimpl"
    known = [(hook.spec, implementation) for hook, implementation in marked if hook.spec]
    if not known:
        return "it implements no hook; mark a function with @retbench.hookimpl"
    for spec, implementation in known:
        if set(implementation.argnames) != set(spec.argnames):
            got, expected = ", ".join(implementation.argnames), ", ".join(spec.argnames)
            return f"{spec.name} takes other arguments: got ({got}), expected ({expected})"
    return None


def _expected(manager: pluggy.PluginManager, message: str) -> str:
    """Return the signatures of the hooks that a message of pluggy quotes."""
    specs = [getattr(manager.hook, name).spec for name in HOOKS if repr(name) in message]
    return ", ".join(f"{spec.name}({', '.join(spec.argnames)})" for spec in specs)
