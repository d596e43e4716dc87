"""The source that a class depends on: its own, and whatever its own names, as far as nothing installed offers it.

Followed are the names that code loads from its module or from the function around it: bases, decorators, functions,
classes, constants, and modules that are not installed. Comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import io
import pickle
import sys
import sysconfig
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from retbench.contracts import Component
from retbench.errors import UserError
from retbench.hookspecs import GROUP

_PLAIN = (type(None), bool, int, float, complex, str, bytes, Path, Enum)
_NAMED = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
"""Instructions that read a name of a module."""


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
        UserError: a source that cannot be read, or a constant whose value cannot be digested.
    """
    collector = _Collector(component)
    collector.visit("", component)
    pieces = sorted({(name, text) for name, text in collector.pieces})
    return Source([list(piece) for piece in pieces], collector.components)


def is_installed(thing: Any) -> bool:
    """Return whether a class, a function or a module belongs to retbench, a plugin, a library or Python itself."""
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    if not isinstance(name, str):
        return True
    package = name.partition(".")[0]
    if package == "__main__":
        return False
    if package == "retbench" or package in sys.stdlib_module_names or package in _plugin_packages():
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and any(Path(file).is_relative_to(folder) for folder in _library_folders())


@lru_cache(maxsize=1)
def _plugin_packages() -> frozenset[str]:
    """Return the packages of the installed plugins, which may be installed from a checkout."""
    from importlib.metadata import entry_points

    return frozenset(point.module.partition(".")[0] for point in entry_points(group=GROUP))


@lru_cache(maxsize=1)
def _library_folders() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")})


class _Collector:
    """Walks from a class to all that it names; every definition once."""

    def __init__(self, owner: type[Component]) -> None:
        self.owner = owner
        self.pieces: list[tuple[str, str]] = []
        self.components: list[type[Component]] = []
        self.seen: set[int] = set()

    def visit(self, name: str, thing: Any) -> None:
        """Add a definition or a constant under the name by which it is known, and all that it depends on."""
        if isinstance(thing, ModuleType):
            self._visit_module(name, thing)
        elif isinstance(thing, type | FunctionType) or isinstance(getattr(thing, "__wrapped__", None), FunctionType):
            self._visit_definition(name, thing)
        else:
            self.pieces.append((name, self._digest(name, thing)))

    def _visit_module(self, name: str, module: ModuleType) -> None:
        if id(module) in self.seen:
            return
        self.seen.add(id(module))
        if is_installed(module):
            self.pieces.append((name, f"module {module.__name__}"))
        else:
            self.pieces.append((name, _normalize(_whole_source(module))))

    def _visit_definition(self, name: str, thing: Any) -> None:
        if thing is not self.owner and is_installed(thing):
            self.pieces.append((name, f"{thing.__module__}.{thing.__qualname__}"))
            return
        if id(thing) in self.seen:
            return
        self.seen.add(id(thing))
        if isinstance(thing, type) and issubclass(thing, Component):
            self.components.append(thing)
        text = self._source(thing)
        self.pieces.append((name or thing.__name__, _normalize(text)))
        known = _names_around(thing)
        for each in sorted(_names_in(text)):
            if each in known:
                self.visit(each, known[each])
        for module in sorted(_imports_in(text)):
            if module in sys.modules and not is_installed(sys.modules[module]):
                self.visit(module, sys.modules[module])

    def _source(self, thing: Any) -> str:
        try:
            return _class_source(thing) if isinstance(thing, type) else _function_source(thing)
        except (OSError, TypeError, SyntaxError, LookupError):
            raise UserError(
                f"{self.owner.__name__}: the source of {thing.__qualname__} cannot be read, and without it results "
                "cannot be told apart from those of another version; define it in a file or in a notebook"
            ) from None

    def _digest(self, name: str, value: Any) -> str:
        """Return a text that is equal for equal values."""
        if isinstance(value, _PLAIN) or type(value).__module__ in ("typing", "types"):  # the latter are annotations
            return repr(value)
        if isinstance(value, BuiltinFunctionType):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, type | FunctionType | ModuleType):
            self.visit(value.__name__, value)
            return value.__name__
        if isinstance(value, partial):
            return f"partial {self._digest(name, [value.func, value.args, value.keywords])}"
        if isinstance(value, Mapping):
            return f"{{{', '.join(sorted(f'{key!r}: {self._digest(name, value[key])}' for key in value))}}}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(self._digest(name, item) for item in value)}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(self._digest(name, item) for item in value))}}}"
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().contiguous().view(torch.uint8).numpy() if value.numel() else np.empty(0)
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
        if isinstance(value, BaseModel):
            self.visit(type(value).__name__, type(value))
            return f"{type(value).__qualname__} {value.model_dump_json()}"
        return self._pickle(name, value)

    def _pickle(self, name: str, value: Any) -> str:
        try:
            stream = io.BytesIO()
            pickle.Pickler(stream, protocol=4).dump(value)
        except Exception:  # whatever an object does when it is pickled
            raise UserError(
                f"{self.owner.__name__}: it uses {name}, whose value cannot be digested: got {type(value).__name__}; "
                "make it an option of the class, or build it inside a method"
            ) from None
        self.visit(type(value).__name__, type(value))
        return f"{type(value).__qualname__} {hashlib.sha256(stream.getvalue()).hexdigest()}"


def _names_around(thing: Any) -> dict[str, Any]:
    """Return what the names in a definition stand for: those of its module, and of functions around it."""
    functions = [inspect.unwrap(thing)] if not isinstance(thing, type) else list(_methods(thing))
    module = sys.modules.get(thing.__module__)
    known: dict[str, Any] = dict(functions[0].__globals__ if functions else vars(module) if module else {})
    for function in functions:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                known[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
    known.pop("__class__", None)
    return known


def _methods(owner: type) -> Iterator[FunctionType]:
    """Yield the functions that a class body defines, under whatever decorators of the standard library or pydantic."""
    for name, thing in vars(owner).items():
        if name.startswith("__pydantic"):
            continue
        inner = getattr(thing, "wrapped", thing)  # pydantic's validators
        for each in (inner, *(getattr(inner, kind, None) for kind in ("__func__", "fget", "func"))):
            function = inspect.unwrap(each) if callable(each) and not isinstance(each, type) else None
            if isinstance(function, FunctionType) and function.__qualname__.startswith(owner.__qualname__):
                yield function


def _function_source(function: Any) -> str:
    return textwrap.dedent(inspect.getsource(inspect.unwrap(function)))


def _class_source(owner: type) -> str:
    """Return the source of a class: from the file of one of its methods, as a notebook's `__main__` has no file."""
    for method in _methods(owner):
        try:
            lines, _ = inspect.findsource(method.__code__)
        except OSError:  # written by a decorator, as the methods of a dataclass are
            continue
        if found := _find_class("".join(lines), owner, method.__code__.co_firstlineno):
            return found
    return textwrap.dedent(inspect.getsource(owner))


def _find_class(text: str, owner: type, line: int) -> str:
    """Return the source of the innermost class of a name around a line; nothing if there is none."""
    found = ""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            start = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if start <= line <= (node.end_lineno or 0):
                found = "".join(text.splitlines(keepends=True)[start - 1 : node.end_lineno])
    return textwrap.dedent(found)


def _whole_source(module: ModuleType) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        raise UserError(f"module {module.__name__}: its source cannot be read; define what is used in a file") from None


def _normalize(text: str) -> str:
    """Return source without comments, docstrings and layout; as it is where it is a piece of an expression."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _codes(text: str) -> Iterator[CodeType]:
    """Yield the code of a definition and of everything defined in it; nothing for a piece of an expression."""
    try:
        waiting = [compile(text, "<local>", "exec", dont_inherit=True)]
    except SyntaxError:
        return
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _names_in(text: str) -> set[str]:
    """Return the names that a definition reads from around it; those of the module itself, `__name__`, do not count."""
    found: set[str] = set()
    for code in _codes(text):
        steps = list(dis.get_instructions(code))
        own = {step.argval for step in steps if step.opname == "STORE_NAME"}
        found |= {step.argval for step in steps if step.opname in _NAMED and step.argval not in own}
    return {name for name in found if not name.startswith("__")}


def _imports_in(text: str) -> set[str]:
    """Return the modules that the functions of a definition import when they are called."""
    return {step.argval for code in _codes(text) for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME"}
