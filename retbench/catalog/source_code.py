"""The source code that a class depends on: its own and, without installed packages, everything that its code uses.

The collector follows the names that code loads from its module or from the function around it: base classes,
decorators, functions, classes and constants. A module that is not installed counts as a whole, with the modules that it
imports. Values count as they are at the time of the call: constants, defaults of arguments, and class attributes.
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
from retbench.catalog.module_files import find_file, is_code_installed, is_installed
from retbench.catalog.source_text import (
    StaleSourceError,
    attributes_in,
    functions_in,
    imports_in,
    methods,
    names_in,
    read_definition,
    read_module,
)
from retbench.catalog.value_digest import DigestError, describe_value
from retbench.contracts import Component
from retbench.errors import UserError

_SET_BY_RETBENCH = {"name", "source", "code"}
"""Class attributes that retbench sets if a local class does not."""


@dataclass
class ComponentSource:
    """The source code of a component class.

    Attributes:
        definitions: name and text of each definition, module and constant, sorted by name.
        components: the local component classes among the definitions.
    """

    definitions: list[list[str]] = field(default_factory=list)
    components: list[type[Component]] = field(default_factory=list)


def collect_source(component: type[Component]) -> ComponentSource:
    """Return the source code that a component class depends on; the class itself is included even if it is installed.

    Raises:
        UserError: source code cannot be read or was edited after its import, or the value of a constant has no digest.
    """
    collector = _Collector(component)
    collector.visit("", component)
    return ComponentSource([list(definition) for definition in sorted(collector.definitions)], collector.components)


class _Collector:
    """Visits a class and everything that it uses, each definition once."""

    def __init__(self, owner: type[Component]) -> None:
        self.owner = owner
        self.definitions: set[tuple[str, str]] = set()
        self.components: list[type[Component]] = []
        self.modules: set[str] = set()
        self.visited: dict[int, tuple[Any, str]] = {}

    def visit(self, name: str, value: Any) -> str:
        """Add a definition, a module or a constant with everything that it depends on.

        Args:
            name: the name by which the code refers to it.
            value: the class, function, module or constant.

        Returns:
            A text that represents the value inside other values.
        """
        if isinstance(value, ModuleType):
            return self._visit_module(name, value)
        if isinstance(value, type | FunctionType) or isinstance(getattr(value, "__wrapped__", None), FunctionType):
            return self._visit_definition(name, value)
        text = self._describe(name, value)
        self.definitions.add((name, text))
        return text

    def _visit_module(self, name: str, module: ModuleType) -> str:
        label = f"module {module.__name__}"
        if is_installed(module):
            self.definitions.add((name, label))
        elif find_file(module.__name__) is not None or hasattr(module, "__path__"):
            self._visit_file(module.__name__)
        else:
            raise UserError(f"{label}: its source code cannot be read; define it in a file")
        return label

    def _visit_file(self, name: str) -> None:
        """Add a module, its parent packages and the modules that they import, except installed ones."""
        steps = name.split(".")
        for module in (".".join(steps[: end + 1]) for end in range(len(steps))):
            file = find_file(module)
            if file is None or module in self.modules:
                continue
            self.modules.add(module)
            try:
                text = read_module(module, file)
            except StaleSourceError as error:
                raise self._stale_source(error) from None
            except (OSError, SyntaxError, UnicodeError) as error:
                raise UserError(f"module {module}: its source code cannot be read: {error}") from None
            self.definitions.add((f"module {module}", text))
            package = module if file.stem == "__init__" else module.rpartition(".")[0]
            for imported in imports_in(text, package) if file.suffix == ".py" else ():
                self._visit_file(imported)

    def _visit_definition(self, name: str, definition: Any) -> str:
        if definition is not self.owner and is_installed(definition):
            label = f"{definition.__module__}.{definition.__qualname__}"
            self.definitions.add((name, label))
            return label
        if id(definition) in self.visited:
            return self.visited[id(definition)][1]
        text = self._read(definition)
        name, label = name or definition.__name__, f"{definition.__name__} {digest(text)}"
        self.visited[id(definition)] = (definition, label)
        self.definitions.add((name, text))
        if isinstance(definition, type) and issubclass(definition, Component):
            self.components.append(definition)
        self._visit_names(definition, text)
        for part, value in _hidden_values(definition):
            self.definitions.add((f"{name}.{part}", self._describe(f"{name}.{part}", value)))
        return label

    def _visit_names(self, definition: Any, text: str) -> None:
        """Visit everything that the text of a definition names."""
        namespace = _namespace(definition)
        for name in sorted(names_in(text) & namespace.keys()):
            self.visit(name, namespace[name])
        for root, *steps in attributes_in(text):
            module = namespace.get(root)
            if isinstance(module, ModuleType) and not is_installed(module):
                for end in range(len(steps)):
                    self._visit_file(".".join([module.__name__, *steps[: end + 1]]))
        package = getattr(sys.modules.get(definition.__module__), "__package__", None) or ""
        for imported in imports_in(text, package):
            self._visit_file(imported)

    def _read(self, definition: Any) -> str:
        try:
            return read_definition(definition)
        except StaleSourceError as error:
            raise self._stale_source(error) from None
        except (OSError, TypeError, SyntaxError, LookupError, AttributeError):
            raise UserError(
                f"{self.owner.__name__}: the source code of {definition.__qualname__} cannot be read, so that results "
                "of different versions cannot be distinguished; define it in a file or in a notebook"
            ) from None

    def _stale_source(self, error: StaleSourceError) -> UserError:
        return UserError(
            f"{self.owner.__name__}: its source code changed after the import: {error}; reload it or restart"
        )

    def _describe(self, name: str, value: Any) -> str:
        try:
            return describe_value(value, self.visit)
        except DigestError as error:
            raise UserError(
                f"{self.owner.__name__}: it uses {name}, whose value has no digest: got {error}; make it an option of "
                "the class, or build it inside a method"
            ) from None


def _namespace(definition: Any) -> dict[str, Any]:
    """Return the values of the names around a definition: in its module and in the functions around it."""
    functions = methods(definition) if isinstance(definition, type) else list(functions_in(definition))
    module = sys.modules.get(definition.__module__)
    names: dict[str, Any] = dict(functions[0].__globals__ if functions else vars(module) if module else {})
    for function in functions:
        names.update(_closure_values(function))
    names.pop("__class__", None)
    return names


def _closure_values(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _hidden_values(definition: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of a definition that its text may not show, by name."""
    functions = methods(definition) if isinstance(definition, type) else list(functions_in(definition))
    for function in functions:
        yield f"{function.__name__} defaults", (function.__defaults__, function.__kwdefaults__)
    if not isinstance(definition, type):
        yield "decorators", _decorator_values(definition)
        return
    yield "bases", definition.__bases__
    if isinstance(definition, EnumType):
        yield "members", {member: vars(definition)[member].value for member in definition.__members__}
    elif issubclass(definition, BaseModel):
        yield "fields", {name: option.default for name, option in definition.model_fields.items()}
    for name, value in vars(definition).items():
        if name.startswith(("__", "_abc_", "model_")) or name in _SET_BY_RETBENCH or isinstance(definition, EnumType):
            continue
        if not hasattr(value, "__get__") or isinstance(value, type):
            yield name, value
        else:
            yield from ((name, function) for function in functions_in(value) if function not in functions)
        yield f"{name} decorators", _decorator_values(value)


def _decorator_values(definition: Any) -> list[dict[str, Any]]:
    """Return the closure values of the local decorators around a function, such as a decorator's arguments."""
    values = []
    while hasattr(definition, "__wrapped__"):
        if isinstance(definition, FunctionType) and not is_code_installed(definition):
            values.append(dict(_closure_values(definition)))
        definition = definition.__wrapped__
    return values
