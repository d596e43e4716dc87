"""The source that a class depends on: its own, and whatever its own names, as far as nothing installed offers it.

Followed are the names that code loads from its module or from the function around it: bases, decorators, functions,
classes, constants. Modules that are not installed count as a whole, with those that they import. Values count as they
are now: constants, defaults of arguments, and class attributes, wherever they come from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import EnumType
from types import FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel

from retbench.canon import digest
from retbench.catalog.module_files import find_file, is_installed, wraps_as_installed
from retbench.catalog.source_text import (
    OutOfDate,
    attributes_in,
    functions_in,
    imports_in,
    methods,
    names_in,
    read_definition,
    read_module,
)
from retbench.catalog.value_digest import Undigestible, describe_value
from retbench.contracts import Component
from retbench.errors import UserError

_STATED = {"name", "source", "code"}
"""Class attributes that retbench sets where a local class does not."""


@dataclass
class Source:
    """What a class is made of.

    Attributes:
        pieces: name and text of each definition and constant, in the order of their names.
        components: the local component classes among them.
    """

    pieces: list[list[str]] = field(default_factory=list)
    components: list[type[Component]] = field(default_factory=list)


def collect_source(component: type[Component]) -> Source:
    """Return the source that a component class depends on; the class itself counts wherever it is defined.

    Raises:
        UserError: a source that cannot be read or was edited since it was imported, or a constant whose value cannot
            be digested.
    """
    collector = _Collector(component)
    collector.visit("", component)
    return Source([list(piece) for piece in sorted(collector.pieces)], collector.components)


class _Collector:
    """Walks from a class to all that it names; every definition once."""

    def __init__(self, owner: type[Component]) -> None:
        self.owner = owner
        self.pieces: set[tuple[str, str]] = set()
        self.components: list[type[Component]] = []
        self.modules: set[str] = set()
        self.seen: dict[int, tuple[Any, str]] = {}

    def visit(self, name: str, thing: Any) -> str:
        """Add a definition, a module or a constant under the name by which it is known, and all that it depends on.

        Returns:
            A text for it, which stands for it inside of values.
        """
        if isinstance(thing, ModuleType):
            return self._visit_module(name, thing)
        if isinstance(thing, type | FunctionType) or isinstance(getattr(thing, "__wrapped__", None), FunctionType):
            return self._visit_definition(name, thing)
        text = self._describe(name, thing)
        self.pieces.add((name, text))
        return text

    def _visit_module(self, name: str, module: ModuleType) -> str:
        label = f"module {module.__name__}"
        if is_installed(module):
            self.pieces.add((name, label))
        elif find_file(module.__name__) is not None or hasattr(module, "__path__"):
            self._visit_file(module.__name__)
        else:
            raise UserError(f"{label}: its source cannot be read; define what is used in a file")
        return label

    def _visit_file(self, name: str) -> None:
        """Add a module by its name, the packages that it is in, and what they import, unless they are installed."""
        steps = name.split(".")
        for module in (".".join(steps[: end + 1]) for end in range(len(steps))):
            file = find_file(module)
            if file is None or module in self.modules:
                continue
            self.modules.add(module)
            try:
                text = read_module(module, file)
            except OutOfDate as error:
                raise self._out_of_date(error) from None
            except (OSError, SyntaxError, UnicodeError) as error:
                raise UserError(f"module {module}: its source cannot be read: {error}") from None
            self.pieces.add((f"module {module}", text))
            package = module if file.stem == "__init__" else module.rpartition(".")[0]
            for imported in imports_in(text, package) if file.suffix == ".py" else ():
                self._visit_file(imported)

    def _visit_definition(self, name: str, thing: Any) -> str:
        if thing is not self.owner and is_installed(thing):
            label = f"{thing.__module__}.{thing.__qualname__}"
            self.pieces.add((name, label))
            return label
        if id(thing) in self.seen:
            return self.seen[id(thing)][1]
        text = self._read(thing)
        name, label = name or thing.__name__, f"{thing.__name__} {digest(text)}"
        self.seen[id(thing)] = (thing, label)
        self.pieces.add((name, text))
        if isinstance(thing, type) and issubclass(thing, Component):
            self.components.append(thing)
        self._follow(thing, text)
        for part, value in _values_of(thing):
            self.pieces.add((f"{name}.{part}", self._describe(f"{name}.{part}", value)))
        return label

    def _follow(self, thing: Any, text: str) -> None:
        """Visit whatever a definition names."""
        known = _names_around(thing)
        for name in sorted(names_in(text) & known.keys()):
            self.visit(name, known[name])
        for root, *steps in attributes_in(text):
            module = known.get(root)
            if isinstance(module, ModuleType) and not is_installed(module):
                for end in range(len(steps)):
                    self._visit_file(".".join([module.__name__, *steps[: end + 1]]))
        package = getattr(sys.modules.get(thing.__module__), "__package__", None) or ""
        for imported in imports_in(text, package):
            self._visit_file(imported)

    def _read(self, thing: Any) -> str:
        try:
            return read_definition(thing)
        except OutOfDate as error:
            raise self._out_of_date(error) from None
        except (OSError, TypeError, SyntaxError, LookupError, AttributeError):
            raise UserError(
                f"{self.owner.__name__}: the source of {thing.__qualname__} cannot be read, and without it results "
                "cannot be told apart from those of another version; define it in a file or in a notebook"
            ) from None

    def _out_of_date(self, error: OutOfDate) -> UserError:
        return UserError(
            f"{self.owner.__name__}: its source changed since it was imported: {error}; reload it or restart"
        )

    def _describe(self, name: str, value: Any) -> str:
        try:
            return describe_value(value, self.visit)
        except Undigestible as error:
            raise UserError(
                f"{self.owner.__name__}: it uses {name}, whose value cannot be digested: got {error}; "
                "make it an option of the class, or build it inside a method"
            ) from None


def _names_around(thing: Any) -> dict[str, Any]:
    """Return what the names in a definition stand for: those of its module, and of functions around it."""
    functions = methods(thing) if isinstance(thing, type) else list(functions_in(thing))
    module = sys.modules.get(thing.__module__)
    known: dict[str, Any] = dict(functions[0].__globals__ if functions else vars(module) if module else {})
    for function in functions:
        known.update(_closure(function))
    known.pop("__class__", None)
    return known


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _values_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values that a definition has and its text may not show, by name."""
    own = methods(thing) if isinstance(thing, type) else list(functions_in(thing))
    for function in own:
        yield f"{function.__name__} defaults", (function.__defaults__, function.__kwdefaults__)
    if not isinstance(thing, type):
        yield "decorators", _decorations(thing)
        return
    yield "bases", thing.__bases__
    if isinstance(thing, EnumType):
        yield "members", {each: vars(thing)[each].value for each in thing.__members__}
    elif issubclass(thing, BaseModel):
        yield "fields", {name: option.default for name, option in thing.model_fields.items()}
    for name, value in vars(thing).items():
        if name.startswith(("__", "_abc_", "model_")) or name in _STATED or isinstance(thing, EnumType):
            continue
        if not hasattr(value, "__get__") or isinstance(value, type):
            yield name, value
        else:
            yield from ((name, each) for each in functions_in(value) if each not in own)
        yield f"{name} decorators", _decorations(value)


def _decorations(thing: Any) -> list[dict[str, Any]]:
    """Return what the functions that local decorators put around another hold, such as a decorator's arguments."""
    found = []
    while hasattr(thing, "__wrapped__"):
        if isinstance(thing, FunctionType) and not wraps_as_installed(thing):
            found.append(dict(_closure(thing)))
        thing = thing.__wrapped__
    return found
