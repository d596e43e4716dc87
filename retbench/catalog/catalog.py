"""The available components by kind and name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, TypeVar, cast

import pluggy

from retbench.catalog.discover import BrokenPlugin, Discovery, Origin, discover
from retbench.contracts import Attack, Component, Dataset, Defense, Event, Hardening, Hasher, Purifier
from retbench.contracts.definition import definition_problem
from retbench.errors import DuplicateComponent, UnknownName

KINDS: dict[str, type[Component]] = {"dataset": Dataset, "hasher": Hasher, "attack": Attack, "defense": Defense}
C = TypeVar("C", bound=Component)


class Entry(NamedTuple):
    """A component class and its origin."""

    component: type[Component]
    origin: Origin


class Catalog:
    """Component classes by kind and name, broken plugins, and plugins that observe events.

    Args:
        discovery: the result of `discover`; components are collected in the order of its plugins.

    Attributes:
        broken: the broken plugins with the reason.
        observers: the functions that receive events, with the origin of each.

    Raises:
        DuplicateComponent: two distributions define a component of the same kind and name.
    """

    def __init__(self, discovery: Discovery) -> None:
        self.broken: list[BrokenPlugin] = list(discovery.broken)
        self.observers: list[tuple[Origin, Callable[[Event], None]]] = []
        self._entries: dict[tuple[str, str], Entry] = {}
        for origin, module in discovery.plugins:
            self._collect(discovery, origin, module)

    @classmethod
    def of(cls, *components: type[Component]) -> Catalog:
        """Return a catalog of exactly these classes, for tests and notebooks.

        Raises:
            DuplicateComponent: two classes have the same kind and name.
        """
        catalog = cls(Discovery())
        for component in components:
            catalog._add(component, Origin("local", "0"))
        return catalog

    def entries(self) -> dict[tuple[str, str], Entry]:
        """Return all entries by (kind, name), sorted."""
        return dict(sorted(self._entries.items()))

    def names(self, kind: str) -> list[str]:
        """Return the component names of one kind, sorted."""
        return sorted(name for entry_kind, name in self._entries if entry_kind == kind)

    def entry(self, kind: str, name: str, location: str = "catalog") -> Entry:
        """Return the entry of one component.

        Args:
            kind: dataset, hasher, attack or defense.
            name: the component's name.
            location: the place of the name, for the message.

        Raises:
            UnknownName: no component of this kind has this name.
        """
        if (kind, name) not in self._entries:
            raise UnknownName(f"{location}: {kind}", name, self.names(kind))
        return self._entries[kind, name]

    def create(self, base: type[C], name: str, options: dict[str, Any]) -> C:
        """Return the component of this base class and name with these options.

        Raises:
            UnknownName: no component of this kind has this name.
            OptionError: an option is unknown, missing or out of range.
        """
        component = self.entry(base.kind, name).component
        return cast(C, component.create(options))

    def origin(self, component: Component) -> Origin:
        """Return the origin of a component; the origin of a part is the package that defines it."""
        entry = self._entries.get((component.kind, component.name))
        return entry.origin if entry else Origin(type(component).__module__.split(".")[0], "?")

    def _collect(self, discovery: Discovery, origin: Origin, module: ModuleType) -> None:
        collected: list[type[Component]] = []
        for kind, base in KINDS.items():
            hook = discovery.hook(f"retbench_{kind}s", module)
            try:
                classes = _call_hook(hook)
                problem = next(filter(None, (_class_problem(component, base) for component in classes)), None)
            except (Exception, SystemExit) as error:  # hook and classes run the plugin's code, which may raise anything
                self.broken.append(BrokenPlugin(origin, f"{hook.name} failed: {type(error).__name__}: {error}"))
                return
            if problem:
                self.broken.append(BrokenPlugin(origin, f"{hook.name}: {problem}"))
                return
            collected += classes
        for component in collected:
            self._add(component, origin)
        if (hook := discovery.hook("retbench_event", module)).get_hookimpls():
            self.observers.append((origin, partial(_send_event, hook)))

    def _add(self, component: type[Component], origin: Origin) -> None:
        key = (component.kind, component.name)
        if (other := self._entries.get(key)) is not None:
            raise DuplicateComponent(
                f"plugins: two distributions define {key[0]} {key[1]!r}: got {other.origin} and {origin}, expected "
                "one; uninstall one, or name the plugins to load in RETBENCH_PLUGINS"
            )
        self._entries[key] = Entry(component, origin)


def load_catalog() -> Catalog:
    """Return the catalog of the installed plugins.

    Raises:
        DuplicateComponent: two distributions define a component of the same kind and name.
    """
    return Catalog(discover())


def _call_hook(hook: pluggy.HookCaller) -> list[type[Component]]:
    """Return the classes that one plugin's implementations of a hook return, unchecked.

    Raises:
        TypeError: an implementation does not return a list.
    """
    results = hook()
    if len(results) < sum(not (each.wrapper or each.hookwrapper) for each in hook.get_hookimpls()):
        raise TypeError("it must return a list of classes: got None")  # pluggy drops results that are None
    return [component for classes in results for component in classes]


def _send_event(hook: pluggy.HookCaller, event: Event) -> None:
    hook(event=event)


def _class_problem(component: object, base: type[Component]) -> str | None:
    """Return the reason why a class is not a valid component of this base class, or None."""
    if not (isinstance(component, type) and issubclass(component, base)):
        return f"it must return classes of {base.__name__}: got {component!r}"
    if base is Defense and issubclass(component, Purifier) == issubclass(component, Hardening):
        return f"{component.__name__}: a defense must derive from Purifier or Hardening, and only from one of them"
    return definition_problem(component)
