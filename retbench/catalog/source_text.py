"""Texts of definitions and modules: reading them, the names in them, and whether they match the loaded code.

A file may have been edited after Python imported it. Its text is stale if

- a function has different code than the text of its definition compiles to,
- a constant of a module that counts as a whole has a different value than in the text, or
- the text has changed since it was first read, and the module was not imported again in between.

Comments, docstrings and layout are ignored. Modules that a loader other than Python's own rewrites during the import,
as pytest does with test modules, are not checked.
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

from retbench.file_digests import digest_file

_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_LITERAL_NODES = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
"""Syntax nodes in the value of a constant."""
_LOAD_INSTRUCTIONS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
"""Bytecode instructions that load a name of a module."""
_DefinitionNode = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FIRST_TEXTS: WeakKeyDictionary[Any, tuple[Any, str]] = WeakKeyDictionary()
"""For each definition or module, its import spec and its text when it was first read."""


class StaleSourceError(Exception):
    """A file does not match the code that was loaded from it; the message describes the difference."""


class _ParsedText(NamedTuple):
    """A parsed text.

    Attributes:
        tree: the syntax tree without docstrings.
        codes: the code objects of the definitions in the text, by qualified name.
    """

    tree: ast.Module
    codes: Mapping[str, Sequence[CodeType]]


def read_definition(definition: Any) -> str:
    """Return the text of a class or a function, without comments, docstrings and layout.

    Raises:
        StaleSourceError: the file was edited after the import.
        OSError, TypeError, SyntaxError, LookupError: the source code cannot be read.
    """
    functions = methods(definition) if isinstance(definition, type) else [inspect.unwrap(definition)]
    lines, _ = inspect.findsource(functions[0].__code__ if functions else definition)
    parsed = _parse("".join(lines))
    name = definition.__qualname__ if isinstance(definition, type) else functions[0].__code__.co_qualname
    line = functions[0].__code__.co_firstlineno if functions else sys.maxsize
    codes = parsed.codes.get(name, ())
    if _is_from_file(functions) and not any(_defines(code, functions) for code in codes):
        raise StaleSourceError(f"{name} in {functions[0].__code__.co_filename} differs from the loaded one")
    if not codes:
        raise LookupError(name)
    code = min(codes, key=lambda code: (not _defines(code, functions), _line_distance(code, line)))
    text = "\n".join(ast.unparse(node) for node in _nodes(parsed.tree, code))
    _check_unchanged(definition if isinstance(definition, type) else functions[0], None, text, name)
    return text


def read_module(name: str, file: Path) -> str:
    """Return the text of a module, imported or not, without comments, docstrings and layout.

    The text of a compiled module is the digest of its file.

    Raises:
        StaleSourceError: the file was edited after the import.
        OSError, SyntaxError, UnicodeError: the file cannot be read.
    """
    if file.suffix != ".py":
        return f"file {digest_file(file)}"
    parsed = _parse(importlib.util.decode_source(file.read_bytes()))
    text = ast.unparse(parsed.tree)
    module = sys.modules.get(name)
    if module is not None and not _is_rewritten(module):
        _check_functions(module, parsed, file)
        for constant, value, loaded in _changed_constants(parsed.tree, module):
            raise StaleSourceError(f"got {constant} = {value!r} in {file}, and {loaded!r} in the loaded module")
        _check_unchanged(module, module.__spec__, text, str(file))
    return text


def names_in(text: str) -> set[str]:
    """Return the names that a definition loads from its module or the functions around it, except `__dunder__` ones."""
    names: set[str] = set()
    # outside of its function, a definition with `nonlocal` does not compile
    text = re.sub(r"^( *)nonlocal .*$", r"\1pass", text, flags=re.MULTILINE)
    for code in _codes(_compile(ast.parse(text))):
        instructions = list(dis.get_instructions(code))
        stored = {each.argval for each in instructions if each.opname == "STORE_NAME"}
        names |= {each.argval for each in instructions if each.opname in _LOAD_INSTRUCTIONS} - stored
    return {name for name in names if not name.startswith("__")}


def attributes_in(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the parts of each dotted name in a text, such as `("labpkg", "nets", "Net")`."""
    for node in ast.walk(ast.parse(text)):
        steps: list[str] = []
        while isinstance(node, ast.Attribute):
            steps, node = [node.attr, *steps], node.value
        if steps and isinstance(node, ast.Name):
            yield (node.id, *steps)


def imports_in(text: str, package: str) -> list[str]:
    """Return all modules that a text of a package imports, and the names imported from them, which may be modules."""
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"{'.' * node.level}{node.module or ''}"
            try:
                base = importlib.util.resolve_name(base, package)
            except ImportError:  # beyond the top-level package: it fails when it runs
                continue
            modules |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return sorted(modules)


def functions_in(member: Any) -> Iterator[FunctionType]:
    """Yield the functions of a class member (a method, a property, ...), without their decorators."""
    inner = getattr(member, "wrapped", member)  # pydantic's validators
    for each in (inner, *(getattr(inner, kind, None) for kind in ("__func__", "fget", "fset", "fdel", "func"))):
        function = inspect.unwrap(each) if callable(each) and not isinstance(each, type) else None
        if isinstance(function, FunctionType):
            yield function


def methods(owner: type) -> list[FunctionType]:
    """Return the functions that the body of a class defines, without their decorators."""
    prefix = f"{owner.__qualname__}."
    members = (value for name, value in vars(owner).items() if not name.startswith("__pydantic"))
    functions = (function for member in members for function in functions_in(member))
    return [function for function in functions if function.__code__.co_qualname.startswith(prefix)]


@lru_cache(maxsize=64)
def _parse(text: str) -> _ParsedText:
    """Return the parsed text, with a tree without docstrings."""
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
    return _ParsedText(tree, dict(codes))


def _compile(tree: ast.Module) -> CodeType:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as in a cell of a notebook
    code: CodeType = compile(tree, "<source>", "exec", flags, dont_inherit=True)
    return code


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those of all definitions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _nodes(tree: ast.Module, code: CodeType) -> Iterator[_DefinitionNode]:
    """Yield the syntax node that a code object was compiled from; for several lambdas in one line, all of them."""
    for node in ast.walk(tree):
        if isinstance(node, _DefinitionNode) and getattr(node, "name", "<lambda>") == code.co_name:
            decorator_lines = [decorator.lineno for decorator in getattr(node, "decorator_list", ())]
            if min([node.lineno, *decorator_lines]) == code.co_firstlineno:
                yield node


def _defines(code: CodeType, functions: Sequence[FunctionType]) -> bool:
    """Return whether a code object is that of a function, or of a class with these methods."""
    summaries = {(each.co_qualname, _summarize(each)) for each in _codes(code)}
    return all((each.__code__.co_qualname, _summarize(each.__code__)) in summaries for each in functions)


def _line_distance(code: CodeType, line: int) -> int:
    """Return the distance of a definition from a line; a definition after the line is farther than any before it."""
    distance = line - code.co_firstlineno
    return distance if distance >= 0 else -distance + sys.maxsize


@lru_cache(maxsize=4096)
def _summarize(code: CodeType) -> tuple[Any, ...]:
    """Return the arguments and instructions of a code object, without line numbers and docstrings."""
    instructions = (
        (each.opname, _summarize(each.argval) if isinstance(each.argval, CodeType) else _stable_repr(each.argval))
        for each in dis.get_instructions(code)
    )
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    return (counts, code.co_varnames[: sum(counts)], *instructions)


def _stable_repr(value: object) -> str:
    return str(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _is_from_file(functions: Sequence[FunctionType]) -> bool:
    """Return whether functions were compiled from an unmodified file."""
    module = sys.modules.get(functions[0].__module__) if functions else None
    return module is not None and not _is_rewritten(module) and Path(functions[0].__code__.co_filename).is_file()


def _is_rewritten(module: ModuleType) -> bool:
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return loader is not None and type(loader) is not SourceFileLoader


def _check_functions(module: ModuleType, parsed: _ParsedText, file: Path) -> None:
    """Raise StaleSourceError if the text of a module does not define one of its functions or methods."""
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        functions = methods(value) if isinstance(value, type) else functions_in(value)
        for code in (function.__code__ for function in functions):
            codes = parsed.codes.get(code.co_qualname, ())
            if code.co_filename == str(file) and not any(_summarize(code) == _summarize(other) for other in codes):
                raise StaleSourceError(f"{code.co_qualname} in {file} differs from the loaded one")


def _changed_constants(tree: ast.Module, module: ModuleType) -> Iterator[tuple[str, object, object]]:
    """Yield name, value in the text and loaded value of the constants that differ; only those assigned once."""
    stored = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not _is_load(node))
    stored.update(name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names)
    bodies: list[tuple[Sequence[ast.stmt], Mapping[str, Any]]] = [(tree.body, vars(module))]
    for body, members in bodies:
        for node in body:
            if isinstance(node, ast.ClassDef) and isinstance(owner := members.get(node.name), type):
                bodies.append((node.body, vars(owner)))
            for name, value in _assignment(node):
                loaded = members.get(name, members)
                if stored[name] == 1 and type(loaded) in _SCALARS and repr(loaded) != repr(value):
                    yield name, value, loaded


def _assignment(node: ast.stmt) -> Iterator[tuple[str, object]]:
    """Yield the name and the value if a statement assigns a constant, such as `EPS = 8 / 255`."""
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[-1]
        if isinstance(target, ast.Name) and all(isinstance(each, _LITERAL_NODES) for each in ast.walk(node.value)):
            with suppress(ArithmeticError, TypeError):  # the statement itself would fail too
                yield target.id, eval(compile(ast.Expression(node.value), "<constant>", "eval"))


def _is_load(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _check_unchanged(definition: Any, spec: Any, text: str, name: str) -> None:
    """Raise StaleSourceError if the text of a definition or module has changed since the first call for it."""
    first = _FIRST_TEXTS.get(definition)
    if first is None or first[0] is not spec:
        _FIRST_TEXTS[definition] = (spec, text)
    elif first[1] != text:
        raise StaleSourceError(f"the text of {name} has changed since it was first used")
