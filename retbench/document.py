"""Read YAML so that every value knows its file, line and column.

PyYAML alone reads `1e-3` as text and `no` as false, and keeps the last of two equal keys. Here plain scalars follow
YAML 1.2's core schema, fractions such as `8/255` are numbers, and a repeated key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from retbench.errors import DocumentError, UserError

KeyPath = tuple[Hashable, ...]
"""The keys and indices that lead to a value."""
_INTEGER = re.compile(r"[-+]?\d+(_\d+)*")
_FLOAT = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_FRACTION = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass
class Document:
    """A YAML mapping, and where each of its values was written.

    Attributes:
        name: what messages call the file.
        data: plain dictionaries, lists and scalars.
        marks: `file:line:column` by path of keys and indices.
    """

    name: str
    data: dict[str, Any]
    marks: dict[KeyPath, str]

    def where(self, path: KeyPath) -> str:
        """Return `file:line:column: dotted.path` of a value, or of the nearest one around it."""
        dotted = ".".join(str(step) for step in path)
        for end in range(len(path), -1, -1):
            if path[:end] in self.marks:
                return f"{self.marks[path[:end]]}: {dotted}" if dotted else self.marks[path[:end]]
        return f"{self.name}: {dotted}"

    def merge(self, data: Any, path: KeyPath, source: KeyPath) -> None:
        """Lay `data` over the value at `path`: maps merge, everything else replaces; marks come from `source`."""
        *parents, last = path
        place: Any = self.data
        for step in parents:
            place = place[step]
        if isinstance(data, dict) and isinstance(place.get(last), dict):
            for key, value in data.items():
                self.merge(value, (*path, key), (*source, key))
        else:
            place[last] = data
            self._move_marks(source, path)

    def _move_marks(self, source: KeyPath, path: KeyPath) -> None:
        moved = {(*path, *at[len(source) :]): mark for at, mark in self.marks.items() if at[: len(source)] == source}
        self.marks = {at: mark for at, mark in self.marks.items() if at[: len(path)] != path} | moved


def read_document(path: Path) -> Document:
    """Return the mapping in a YAML file.

    Raises:
        DocumentError: not YAML, not a mapping, a repeated key; with file:line:column.
        UserError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> Document:
    """Return the mapping in a YAML text; messages call the text `name`. Raises DocumentError."""
    document = Document(name, {}, {})
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        raise DocumentError(f"{name}:1:1: the file must be a mapping: got {_describe(node)}")
    document.data = _build_whole(node, document)
    return document


def parse_value(text: str, name: str) -> Any:
    """Return a single YAML value by the same rules, for `--set`; raises DocumentError."""
    node = _compose(text, name)
    return None if node is None else _build_whole(node, Document(name, {}, {}))


def parse_assignment(text: str, form: str) -> tuple[str, Any]:
    """Return the dotted name and the value of a `--set` text; `form` is what messages expect, such as `option=value`.

    Raises:
        UserError: no name, an empty step in it, or no equals sign.
        DocumentError: the value is not YAML.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not all(name.split(".")):
        raise UserError(f"--set: expected {form}, got {text!r}")
    return name, parse_value(value, f"--set {text}")


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise DocumentError(f"{place}: not valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        problem = f"the character #x{error.character:04x} must be written as an escape"
        raise DocumentError(f"{name}:{line}:{column}: not valid YAML: {problem}") from None
    except RecursionError:
        raise DocumentError(f"{name}: not valid YAML: nested too deeply") from None


def _build_whole(node: yaml.Node, document: Document) -> Any:
    try:
        return _build(node, (), document)
    except RecursionError:
        raise DocumentError(f"{_place(node, document)}: an anchor holds itself, or the nesting is too deep") from None


def _build(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    document.marks[path] = _place(node, document)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), document) for index, item in enumerate(node.value)]
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise DocumentError(f"{_place(key_node, document)}: a key must be a word: got {_describe(key_node)}")
        if key in result:
            raise DocumentError(f"{_place(key_node, document)}: repeated key: got {key!r} twice in one mapping")
        result[key] = _build(value_node, (*path, key), document)
        document.marks[*path, key] = _place(key_node, document)
    return result


def _place(node: yaml.Node, document: Document) -> str:
    return f"{document.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _describe(node: yaml.Node | None) -> str:
    kinds: dict[type[yaml.Node], str] = {yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
    return "nothing" if node is None else kinds.get(type(node), repr(node.value))


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if (fraction := _FRACTION.fullmatch(text)) and float(fraction[2]) != 0:
        return float(fraction[1]) / float(fraction[2])
    return text
