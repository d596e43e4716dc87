"""Definitions and modules as text: where it is, what it names, and whether it is what runs.

A file may have been edited since Python imported it. What is loaded is out of date where

- a function has other code than the text of its definition compiles to,
- a constant of a module that is named as a whole has another value than its text, or
- the text is another one than when it was first read, unless the module was imported again in between.

Comments, docstrings and layout do not count, nor do modules that a loader other than Python's own rewrites as it
imports them, as pytest does with tests.
"""

from __future__ import annotations

import ast
import dis
import importlib.util
import inspect
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from retbench.canon import file_digest

_SIMPLE = (type(None), bool, int, float, complex, str, bytes)
_LITERAL = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
"""What the value of a constant is written with."""
_NAMED = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
"""Instructions that read a name of a module."""
_Node = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FIRST: WeakKeyDictionary[Any, tuple[Any, str]] = WeakKeyDictionary()
"""By definition or module: what it was loaded by, and its text when it was first read."""


class OutOfDate(Exception):
    """What is loaded is not what its file holds; the message describes the difference."""


class _Source(NamedTuple):
    """A parsed text: its tree, and the code of each definition in it by qualified name."""

    tree: ast.Module
    codes: Mapping[str, Sequence[CodeType]]


def read_definition(thing: Any) -> str:
    """Return the text of a class or a function, without comments, docstrings and layout.

    Raises:
        OutOfDate: its file was edited since it was imported.
        OSError, TypeError, SyntaxError, LookupError: its source cannot be read.
    """
    functions = _own_functions(thing)
    lines, _ = inspect.findsource(functions[0].__code__ if functions else thing)
    source = _parse("".join(lines))
    name = thing.__qualname__ if isinstance(thing, type) else functions[0].__code__.co_qualname
    line = functions[0].__code__.co_firstlineno if functions else sys.maxsize
    found = source.codes.get(name, ())
    if _is_from_file(functions) and not any(_defines(code, functions) for code in found):
        raise OutOfDate(f"got another {name} in {functions[0].__code__.co_filename} than the one that runs")
    if not found:
        raise LookupError(name)
    code = min(found, key=lambda code: (not _defines(code, functions), _distance(code, line)))
    text = "\n".join(ast.unparse(node) for node in _nodes(source.tree, code))
    _compare_with_first(thing if isinstance(thing, type) else functions[0], None, text, name)
    return text


def read_module(name: str, file: Path) -> str:
    """Return the text of a module in the same way, imported or not; that of a compiled one is a digest of its bytes.

    Raises:
        OutOfDate: its file was edited since it was imported.
        OSError, SyntaxError, UnicodeError: it cannot be read.
    """
    if file.suffix != ".py":
        return f"file {file_digest(file)}"
    source = _parse(importlib.util.decode_source(file.read_bytes()))
    text = ast.unparse(source.tree)
    module = sys.modules.get(name)
    if module is not None and not _is_rewritten(module):
        _compare_functions(module, source, file)
        for constant, value, live in _constants(source.tree, module):
            raise OutOfDate(f"got {constant} = {value!r} in {file}, and {live!r} in the module")
        _compare_with_first(module, module.__spec__, text, str(file))
    return text


def names_in(text: str) -> set[str]:
    """Return the names that a definition reads from around it; those of the module itself, `__name__`, do not count."""
    found: set[str] = set()
    # Without what is around it, a definition compiles only without `nonlocal`.
    alone = re.sub(r"^( *)nonlocal .*$", r"\1pass", text, flags=re.MULTILINE)
    for code in _codes(_compile(ast.parse(alone))):
        steps = list(dis.get_instructions(code))
        own = {step.argval for step in steps if step.opname == "STORE_NAME"}
        found |= {step.argval for step in steps if step.opname in _NAMED and step.argval not in own}
    return {name for name in found if not name.startswith("__")}


def attributes_in(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the steps of each dotted name in a text, such as `("labpkg", "nets", "Net")`."""
    for node in ast.walk(ast.parse(text)):
        steps: list[str] = []
        while isinstance(node, ast.Attribute):
            steps, node = [node.attr, *steps], node.value
        if steps and isinstance(node, ast.Name):
            yield (node.id, *steps)


def imports_in(text: str, package: str) -> list[str]:
    """Return the modules that a text of a package imports, wherever in it; names taken from them may be modules too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"{'.' * node.level}{node.module or ''}"
            try:
                base = importlib.util.resolve_name(base, package)
            except ImportError:  # beyond the top: it fails when it runs
                continue
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return sorted(found)


def functions_in(thing: Any) -> Iterator[FunctionType]:
    """Yield the functions that a member of a class consists of, each below its decorators."""
    inner = getattr(thing, "wrapped", thing)  # pydantic's validators
    for each in (inner, *(getattr(inner, kind, None) for kind in ("__func__", "fget", "fset", "fdel", "func"))):
        function = inspect.unwrap(each) if callable(each) and not isinstance(each, type) else None
        if isinstance(function, FunctionType):
            yield function


def methods(owner: type) -> list[FunctionType]:
    """Return the functions that the body of a class defines, whatever their decorators."""
    inside = f"{owner.__qualname__}."
    found = (each for name, thing in vars(owner).items() if not _is_generated(name) for each in functions_in(thing))
    return [each for each in found if each.__code__.co_qualname.startswith(inside)]


def _is_generated(name: str) -> bool:
    return name.startswith("__pydantic")


def _own_functions(thing: Any) -> list[FunctionType]:
    return methods(thing) if isinstance(thing, type) else [inspect.unwrap(thing)]


@lru_cache(maxsize=64)
def _parse(text: str) -> _Source:
    """Return a text parsed, the docstrings removed from its tree."""
    tree = ast.parse(text)
    codes = defaultdict(list)
    for code in _codes(_compile(tree)):
        codes[code.co_qualname].append(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            constant = first.value if isinstance(first, ast.Expr) else None
            if first is not None and isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                node.body = node.body[1:] or [ast.copy_location(ast.Pass(), first)]
    return _Source(tree, dict(codes))


def _compile(tree: ast.Module) -> CodeType:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as in a cell of a notebook
    code: CodeType = compile(tree, "<source>", "exec", flags, dont_inherit=True)
    return code


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code and that of everything defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _nodes(tree: ast.Module, code: CodeType) -> Iterator[_Node]:
    """Yield the definition that a code was compiled from; of several lambdas in one line, all."""
    for node in ast.walk(tree):
        if isinstance(node, _Node) and getattr(node, "name", "<lambda>") == code.co_name:
            decorators = [each.lineno for each in getattr(node, "decorator_list", ())]
            if min([node.lineno, *decorators]) == code.co_firstlineno:
                yield node


def _defines(code: CodeType, functions: Sequence[FunctionType]) -> bool:
    """Return whether a code is that of a function, or of a class with these methods."""
    shapes = {(each.co_qualname, _shape(each)) for each in _codes(code)}
    return all((each.__code__.co_qualname, _shape(each.__code__)) in shapes for each in functions)


def _distance(code: CodeType, line: int) -> int:
    """Return how far a definition begins before a line, or how far and much more behind it."""
    gap = line - code.co_firstlineno
    return gap if gap >= 0 else -gap + sys.maxsize


@lru_cache(maxsize=4096)
def _shape(code: CodeType) -> tuple[Any, ...]:
    """Return what a code does, wherever it is written: its instructions, without line numbers and docstrings."""
    steps = (
        (step.opname, _shape(step.argval) if isinstance(step.argval, CodeType) else _stable(step.argval))
        for step in dis.get_instructions(code)
    )
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    return (counts, code.co_varnames[: sum(counts)], *steps)


def _stable(value: object) -> str:
    return str(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _is_from_file(functions: Sequence[FunctionType]) -> bool:
    """Return whether functions were compiled from a file as it is."""
    module = sys.modules.get(functions[0].__module__) if functions else None
    return module is not None and not _is_rewritten(module) and Path(functions[0].__code__.co_filename).is_file()


def _is_rewritten(module: ModuleType) -> bool:
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return loader is not None and type(loader) is not SourceFileLoader


def _compare_functions(module: ModuleType, source: _Source, file: Path) -> None:
    """Raise OutOfDate for a function or a method of a module that its text does not define."""
    for thing in vars(module).values():
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        found = methods(thing) if isinstance(thing, type) else functions_in(thing)
        for code in (function.__code__ for function in found):
            known = source.codes.get(code.co_qualname, ())
            if code.co_filename == str(file) and not any(_shape(code) == _shape(other) for other in known):
                raise OutOfDate(f"got another {code.co_qualname} in {file} than the one that runs")


def _constants(tree: ast.Module, module: ModuleType) -> Iterator[tuple[str, object, object]]:
    """Yield name, value and loaded value of the constants that a text assigns once, where the values differ."""
    stored = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not _is_load(node))
    stored.update(name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names)
    bodies: list[tuple[Sequence[ast.stmt], Mapping[str, Any]]] = [(tree.body, vars(module))]
    for body, members in bodies:
        for node in body:
            if isinstance(node, ast.ClassDef) and isinstance(owner := members.get(node.name), type):
                bodies.append((node.body, vars(owner)))
            for name, value in _assignment(node):
                live = members.get(name, members)
                if stored[name] == 1 and type(live) in _SIMPLE and repr(live) != repr(value):
                    yield name, value, live


def _assignment(node: ast.stmt) -> Iterator[tuple[str, object]]:
    """Yield the name and the value of the assignment of a constant, such as `EPS = 8 / 255`."""
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[-1]
        if isinstance(target, ast.Name) and all(isinstance(each, _LITERAL) for each in ast.walk(node.value)):
            with suppress(ArithmeticError, TypeError):  # it does not run either
                yield target.id, eval(compile(ast.Expression(node.value), "<constant>", "eval"))


def _is_load(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _compare_with_first(thing: Any, loaded: Any, text: str, what: str) -> None:
    """Raise OutOfDate unless the text of a thing is what it was when this was first called for it."""
    first = _FIRST.get(thing)
    if first is None or first[0] is not loaded:
        _FIRST[thing] = (loaded, text)
    elif first[1] != text:
        raise OutOfDate(f"got another text of {what} than when it was first used")
