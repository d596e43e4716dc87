"""The components there are, by kind and name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, TypeVar, cast

import pluggy

from retbench.catalog.discover import Broken, Discovery, Origin, discover
from retbench.contracts import Attack, Component, Dataset, Defense, Event, Hasher, Purifier
from retbench.contracts.component import NAME_PATTERN
from retbench.errors import DuplicateComponent, UnknownName

KINDS: dict[str, type[Component]] = {"dataset": Dataset, "hasher": Hasher, "attack": Attack, "defense": Defense}
DECLARED = ((Attack, "learns", "fit"), (Purifier, "learns", "fit"), (Hasher, "supervised", "loss"))
"""Class attributes that say whether a class of a kind defines a method."""
C = TypeVar("C", bound=Component)


class Entry(NamedTuple):
    """A component class and where it came from."""

    component: type[Component]
    origin: Origin


class Catalog:
    """Component classes by kind and name, the plugins set aside, and those that watch events.

    Args:
        discovery: what `discover` found; components are collected from it in plugin order.

    Raises:
        DuplicateComponent: two distributions offer one name.
    """

    def __init__(self, discovery: Discovery) -> None:
        self.broken: list[Broken] = list(discovery.broken)
        self.observers: list[tuple[Origin, Callable[[Event], None]]] = []
        self._entries: dict[tuple[str, str], Entry] = {}
        for origin, module in discovery.plugins:
            self._collect(discovery, origin, module)

    @classmethod
    def of(cls, *components: type[Component]) -> Catalog:
        """Return a catalog of exactly these classes, for tests and notebooks."""
        catalog = cls(Discovery())
        for component in components:
            catalog._add(component, Origin("local", "0"))
        return catalog

    def entries(self) -> dict[tuple[str, str], Entry]:
        """Return every component by (kind, name), sorted."""
        return dict(sorted(self._entries.items()))

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind, sorted."""
        return sorted(name for its_kind, name in self._entries if its_kind == kind)

    def entry(self, kind: str, name: str, where: str = "catalog") -> Entry:
        """Return one component's entry; raises UnknownName with the nearest names."""
        if (kind, name) not in self._entries:
            raise UnknownName(f"{where}: {kind}", name, self.names(kind))
        return self._entries[kind, name]

    def create(self, base: type[C], name: str, options: dict[str, Any]) -> C:
        """Return the component of this base class and name with these options; raises UnknownName or OptionError."""
        component = self.entry(base.kind, name).component
        return cast(C, component.create(options))

    def origin(self, component: Component) -> Origin:
        """Return where a component came from; a part belongs to the package that defines it."""
        entry = self._entries.get((component.kind, component.name))
        return entry.origin if entry else Origin(type(component).__module__.split(".")[0], "?")

    def _collect(self, discovery: Discovery, origin: Origin, module: ModuleType) -> None:
        found: list[type[Component]] = []
        for kind, base in KINDS.items():
            hook = discovery.hook(f"retbench_{kind}s", module)
            try:
                classes = _offered(hook)
            except (Exception, SystemExit) as error:  # it imports the plugin's modules: anything may happen
                self.broken.append(Broken(origin, f"{hook.name} failed: {type(error).__name__}: {error}"))
                return
            for component in classes:
                if problem := _class_problem(component, base):
                    self.broken.append(Broken(origin, f"{hook.name}: {problem}"))
                    return
            found += classes
        for component in found:
            self._add(component, origin)
        if (hook := discovery.hook("retbench_event", module)).get_hookimpls():
            self.observers.append((origin, partial(_observe, hook)))

    def _add(self, component: type[Component], origin: Origin) -> None:
        key = (component.kind, component.name)
        if (other := self._entries.get(key)) is not None:
            raise DuplicateComponent(
                f"plugins: two distributions offer {key[0]} {key[1]!r}: got {other.origin} and {origin}, expected one; "
                "uninstall one, or name the plugins to load in RETBENCH_PLUGINS"
            )
        self._entries[key] = Entry(component, origin)


def load_catalog() -> Catalog:
    """Return the catalog of the installed plugins."""
    return Catalog(discover())


def _offered(hook: pluggy.HookCaller) -> list[type[Component]]:
    """Return what one plugin's implementations of a hook return, unchecked; raise TypeError where it is no list."""
    results = hook()
    if len(results) < sum(not (each.wrapper or each.hookwrapper) for each in hook.get_hookimpls()):
        raise TypeError("it must return a list of classes: got None")  # pluggy drops results that are None
    return [component for classes in results for component in classes]


def _observe(hook: pluggy.HookCaller, event: Event) -> None:
    hook(event=event)


def _class_problem(component: object, base: type[Component]) -> str | None:
    if not (isinstance(component, type) and issubclass(component, base)):
        return f"it must return classes of {base.__name__}: got {component!r}"
    if inspect.isabstract(component):
        return f"{component.__name__} lacks {', '.join(sorted(component.__abstractmethods__))}"
    if not NAME_PATTERN.fullmatch(component.name) or component.name == "none":
        return f"{component.__name__}.name must be lower-case words with dashes, not 'none': got {component.name!r}"
    if not component.source:
        return f"{component.__name__}.source must name the paper or the origin it follows"
    return _declaration_problem(component)


def _declaration_problem(component: type[Component]) -> str | None:
    """Return where a class attribute and the methods of a class contradict each other, or None."""
    for base, attribute, method in DECLARED:
        if issubclass(component, base):
            declared, defined = getattr(component, attribute), getattr(component, method) is not getattr(base, method)
            if declared is not defined:
                does = "defines" if defined else "does not define"
                said = f"got {attribute} = {declared!r}, expected {attribute} = {defined}"
                return f"{component.__name__} {does} `{method}`: {said}"
    return None
