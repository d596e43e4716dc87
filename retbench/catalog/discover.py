"""Discovery of plugins in which a broken plugin does not affect the others.

The loader of pluggy raises at the first entry point that fails to import. So this module loops over the entry points
itself, in name order: it imports and registers each module separately, and lists a module that fails as broken.
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
    """The distribution of a plugin."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


class BrokenPlugin(NamedTuple):
    """A plugin that cannot be used, with the reason."""

    origin: Origin
    error: str


def make_manager() -> pluggy.PluginManager:
    """Return a plugin manager with the hooks of retbench and without plugins."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass
class Discovery:
    """Plugin modules with their origins, broken plugins, and the manager that the modules are registered with.

    Args:
        plugins: modules to register; an invalid one is added to `broken` instead.
        broken: broken plugins to start with.
        manager: the plugin manager.

    Attributes:
        plugins: the registered modules; a module that two distributions name is listed twice and registered once.
        broken: the broken plugins with the reason.
    """

    plugins: list[tuple[Origin, ModuleType]] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=make_manager, compare=False, repr=False)

    def __post_init__(self) -> None:
        modules, self.plugins, self.broken = self.plugins, [], list(self.broken)
        for origin, module in modules:
            self.add(origin, module, module.__name__)

    def add(self, origin: Origin, module: object, label: str) -> None:
        """Register a module, or list it as broken; `label` is the start of the reason."""
        problem = register(self.manager, module)
        if problem is None and isinstance(module, ModuleType):
            self.plugins.append((origin, module))
        else:
            self.broken.append(BrokenPlugin(origin, f"{label}: {problem}"))

    def hook(self, name: str, module: ModuleType) -> pluggy.HookCaller:
        """Return the caller of a hook in this plugin only, so that results and exceptions can be traced to it."""
        return self.manager.subset_hook_caller(name, self.manager.get_plugins() - {module})


def discover(points: Iterable[EntryPoint] | None = None) -> Discovery:
    """Return the plugins of the entry-point group, in name order.

    If the environment variable `RETBENCH_PLUGINS` is set, as in `RETBENCH_PLUGINS=a,b`, only entry points with these
    names are loaded.

    Args:
        points: the entry points to load; None for the installed ones.
    """
    points = sorted(entry_points(group=hookspecs.GROUP) if points is None else points, key=lambda point: point.name)
    selected = {name.strip() for name in os.environ.get("RETBENCH_PLUGINS", "").split(",") if name.strip()}
    discovery = Discovery()
    for point in points:
        if not selected or point.name in selected:
            _load(point, discovery)
    for name in sorted(selected - {point.name for point in points}):
        discovery.broken.append(BrokenPlugin(Origin(name, "?"), "named in RETBENCH_PLUGINS, but not installed"))
    return discovery


def _load(point: EntryPoint, discovery: Discovery) -> None:
    origin = Origin(point.dist.name, point.dist.version) if point.dist else Origin(point.name, "?")
    try:
        module = point.load()
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything, and the others must still load
        discovery.broken.append(BrokenPlugin(origin, f"{point.value} does not import: {type(error).__name__}: {error}"))
    else:
        discovery.add(origin, module, point.value)


def register(manager: pluggy.PluginManager, module: object) -> str | None:
    """Register a plugin module and return None, or return the reason why it is invalid and do not register it."""
    if not isinstance(module, ModuleType):
        return f"the entry point must name a module: got {type(module).__name__}"
    if manager.is_registered(module):  # two distributions may name the same module
        return None
    try:
        manager.register(module)
        problem = _hook_problem(manager, module)
    except pluggy.PluginValidationError as error:
        problem = f"{'; '.join(str(error).splitlines())}; expected {_expected_signatures(manager, str(error))}"
    except (Exception, SystemExit) as error:  # listing the names of a module may run its code
        problem = f"its names cannot be read: {type(error).__name__}: {error}"
    if problem and manager.is_registered(module):
        manager.unregister(module)
    return problem


def _hook_problem(manager: pluggy.PluginManager, module: ModuleType) -> str | None:
    """Return the reason why a registered module is invalid, or None.

    pluggy does not make these checks: it looks for unknown hooks in all plugins at once, allows implementations to omit
    arguments, and ignores hooks that are not marked.
    """
    hooks = manager.get_hookcallers(module) or []
    marked = [(hook, each) for hook in hooks for each in hook.get_hookimpls() if each.plugin is module]
    for hook, implementation in marked:
        if hook.spec is None and not implementation.optionalhook:
            return f"it implements a hook that does not exist: got {hook.name}, {suggest(hook.name, HOOKS)}"
    for name in HOOKS:
        attribute = inspect.getattr_static(module, name, None)
        if inspect.isroutine(attribute) and manager.parse_hookimpl_opts(module, name) is None:
            return f"{name} is not marked with @retbench.hookimpl"
    implemented = [(hook.spec, implementation) for hook, implementation in marked if hook.spec]
    if not implemented:
        return "it implements no hook; mark a function with @retbench.hookimpl"
    for spec, implementation in implemented:
        if set(implementation.argnames) != set(spec.argnames):
            got, expected = ", ".join(implementation.argnames), ", ".join(spec.argnames)
            return f"{spec.name} has wrong arguments: got ({got}), expected ({expected})"
    return None


def _expected_signatures(manager: pluggy.PluginManager, message: str) -> str:
    """Return the signatures of the hooks that a message of pluggy names."""
    specs = [getattr(manager.hook, name).spec for name in HOOKS if repr(name) in message]
    return ", ".join(f"{spec.name}({', '.join(spec.argnames)})" for spec in specs)
