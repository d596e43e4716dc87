"""Read YAML and remember the file, line and column of every value.

PyYAML alone reads `1e-3` as a string and `no` as false, and keeps the last of two equal keys. Here plain scalars follow
the core schema of YAML 1.2, fractions such as `8/255` are numbers, and a repeated key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from retbench.errors import DocumentError, UserError, option_name

KeyPath = tuple[Hashable, ...]
"""Keys and list indices that lead to a value."""
_INTEGER = re.compile(r"[-+]?\d+(_\d+)*")
_FLOAT = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_FRACTION = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)")
_KEYWORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass
class Document:
    """A YAML mapping with the place of each value in the file.

    Attributes:
        name: the file's name in messages.
        data: plain dictionaries, lists and scalars.
        marks: `file:line:column` of each value, by its path.
        typed_paths: the path that the user typed for a value, if it differs from the value's path in `data`.
    """

    name: str
    data: dict[str, Any]
    marks: dict[KeyPath, str]
    typed_paths: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def locate(self, path: KeyPath) -> str:
        """Return `file:line:column: dotted.path` of a value.

        A value that the file does not contain has the line and column of the nearest value around it.
        """
        dotted = ".".join(str(step) for step in self._typed_path(path))
        for end in range(len(path), -1, -1):
            if path[:end] in self.marks:
                return f"{self.marks[path[:end]]}: {dotted}" if dotted else self.marks[path[:end]]
        return f"{self.name}: {dotted}"

    def _typed_path(self, path: KeyPath) -> KeyPath:
        for end in range(len(path), 0, -1):
            if path[:end] in self.typed_paths:
                return (*self.typed_paths[path[:end]], *path[end:])
        return path

    def merge(self, data: Any, path: KeyPath, source: KeyPath) -> None:
        """Merge `data` into the value at `path`: mappings merge key by key, any other value replaces the old one.

        Args:
            data: the new value.
            path: the place in this document; everything above its last key must exist.
            source: the path where `data` was written; its marks become those of the merged values.
        """
        *parents, last = path
        parent: Any = self.data
        for step in parents:
            parent = parent[step]
        if isinstance(data, dict) and isinstance(parent.get(last), dict):
            for key, value in data.items():
                self.merge(value, (*path, key), (*source, key))
        else:
            parent[last] = data
            self._move_marks(source, path)

    def _move_marks(self, source: KeyPath, path: KeyPath) -> None:
        moved = {(*path, *at[len(source) :]): mark for at, mark in self.marks.items() if at[: len(source)] == source}
        self.marks = {at: mark for at, mark in self.marks.items() if at[: len(path)] != path} | moved


def read_document(path: Path) -> Document:
    """Return the mapping in a YAML file.

    Raises:
        DocumentError: the file is not YAML, is not a mapping or has a repeated key; with file:line:column.
        UserError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> Document:
    """Return the mapping in a YAML text.

    Args:
        text: the YAML text.
        name: the text's name in messages, such as its file.

    Raises:
        DocumentError: the text is not YAML, is not a mapping or has a repeated key; with name:line:column.
    """
    document = Document(name, {}, {})
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        raise DocumentError(f"{name}:1:1: the file must be a mapping: got {_describe_node(node)}")
    document.data = _build_root(node, document)
    return document


def parse_value(text: str, name: str) -> Any:
    """Return a single YAML value, such as that of `--set`, read by the same rules as a file.

    Args:
        text: the YAML text; an empty one is None.
        name: the text's name in messages.

    Raises:
        DocumentError: the text is not YAML or has a repeated key; with name:line:column.
    """
    node = _compose(text, name)
    return None if node is None else _build_root(node, Document(name, {}, {}))


def parse_assignment(text: str, form: str) -> tuple[str, Any]:
    """Return the dotted name and the value of a `--set` text.

    Args:
        text: the assignment, such as `components.attack.p2p.steps=100`.
        form: the expected form in messages, such as `option=value`.

    Raises:
        UserError: the name is missing or has an empty step, or there is no equals sign.
        DocumentError: the value is not YAML.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not all(name.split(".")):
        raise UserError(f"{option_name('set')}: expected {form}, got {text!r}")
    return name, parse_value(value, f"{option_name('set')} {text}")


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        location = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise DocumentError(f"{location}: not valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        problem = f"the character #x{error.character:04x} must be written as an escape"
        raise DocumentError(f"{name}:{line}:{column}: not valid YAML: {problem}") from None
    except RecursionError:
        raise DocumentError(f"{name}: not valid YAML: nested too deeply") from None


def _build_root(node: yaml.Node, document: Document) -> Any:
    try:
        return _build(node, (), document)
    except RecursionError:
        raise DocumentError(
            f"{_location(node, document)}: an anchor contains itself, or the nesting is too deep"
        ) from None


def _build(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    document.marks[path] = _location(node, document)
    if isinstance(node, yaml.ScalarNode):
        return _parse_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), document) for index, item in enumerate(node.value)]
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _parse_scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise DocumentError(
                f"{_location(key_node, document)}: a key must be a word or an integer: got {_describe_node(key_node)}"
            )
        if key in result:
            raise DocumentError(f"{_location(key_node, document)}: repeated key: got {key!r} twice in one mapping")
        result[key] = _build(value_node, (*path, key), document)
        document.marks[*path, key] = _location(key_node, document)
    return result


def _location(node: yaml.Node, document: Document) -> str:
    return f"{document.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _describe_node(node: yaml.Node | None) -> str:
    kinds: dict[type[yaml.Node], str] = {yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
    return "nothing" if node is None else kinds.get(type(node), repr(node.value))


def _parse_scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style is not None:
        return text
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if (fraction := _FRACTION.fullmatch(text)) and float(fraction[2]) != 0:
        return float(fraction[1]) / float(fraction[2])
    return text
