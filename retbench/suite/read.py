"""Read a suite file into a checked `Suite`; in rising priority: defaults, suite, profile, overrides, `--set`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from retbench.document import Document, parse_assignment, read_document
from retbench.errors import SuiteError, UnknownName, UserError, option_name, suggest
from retbench.suite.model import Suite


class LoadedSuite(NamedTuple):
    """A suite as it was read.

    Attributes:
        suite: the checked content.
        document: the parsed file, which locates errors.
        path: the file.
        profile: the applied profile; empty for none.
    """

    suite: Suite
    document: Document
    path: Path
    profile: str


def find_suite(name: str) -> Path:
    """Return the file of a suite, given by path or by the name of a shipped suite; raises UnknownName."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if path.is_file():
            return path
        found = sorted(path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        neighbors = [str(other) for other in found if not other.name.startswith(".")]
        raise UnknownName("suite: no such file", name, [*neighbors, *shipped_suites()])
    shipped = shipped_suites()
    if name not in shipped:
        raise UnknownName("suite", name, shipped)
    return shipped[name]


def shipped_suites() -> dict[str, Path]:
    """Return the files of the shipped suites by name, from the installed package or from the source checkout."""
    package = Path(str(files("retbench")))
    for folder in (package / "suites", package.parent / "suites"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def read_suite(path: Path, profile: str = "", sets: Sequence[str] = ()) -> LoadedSuite:
    """Return the suite of a file, with a profile and `--set path=value` changes applied.

    Raises:
        DocumentError: the file is not YAML, with file:line:column.
        SuiteError: its content is wrong, with file:line:column.
        UnknownName: the profile does not exist.
        UserError: a malformed `--set`.
    """
    document = read_document(path)
    _apply_profile(document, profile)
    for assignment in sets:
        _apply_set(document, assignment)
    try:
        return LoadedSuite(Suite.model_validate(document.data), document, path, profile)
    except ValidationError as error:
        raise _locate_error(document, error.errors(include_url=False)[0]) from None


def _apply_profile(document: Document, profile: str) -> None:
    profiles = document.data.pop("profiles", {})
    if not isinstance(profiles, dict):
        raise SuiteError(f"{document.locate(('profiles',))}: expected a mapping of names: got {profiles!r}")
    names = {str(name): name for name in profiles}
    if not profile:
        return
    if profile not in names:
        raise UnknownName(option_name("profile"), profile, names)
    chosen = profiles[names[profile]]
    if not isinstance(chosen, dict | None):
        raise SuiteError(f"{document.locate(('profiles', names[profile]))}: expected a mapping: got {chosen!r}")
    for key, value in (chosen or {}).items():
        document.merge(value, (key,), ("profiles", names[profile], key))


def _apply_set(document: Document, assignment: str) -> None:
    """Apply one `a.b.c=value` to the document; an option of a component becomes the last override, so that it wins."""
    dotted, value = parse_assignment(assignment, "path.to.option=value")
    steps, source = tuple(dotted.split(".")), f"{option_name('set')} {assignment}"
    if steps[0] == "components" and len(steps) >= 3:
        _append_override(document, steps[1:], value, source)
        return
    parent: Any = document.data
    for depth, step in enumerate(steps[:-1], start=1):
        if not isinstance(parent, dict):
            break
        if step not in parent:
            parent[step] = {}
            document.marks[steps[:depth]] = source
        parent = parent[step]
    if not isinstance(parent, dict):
        raise UserError(f"{source}: {'.'.join(steps[:-1])} is not a mapping")
    parent[steps[-1]] = value
    kept = {path: mark for path, mark in document.marks.items() if path[: len(steps)] != steps}
    document.marks = kept | {steps: source}


def _append_override(document: Document, steps: tuple[str, ...], value: Any, source: str) -> None:
    """Add an override for every cell; `steps` are a kind, a name and, unless `value` maps several, an option."""
    overrides = document.data.get("overrides", [])
    if not isinstance(overrides, list):
        raise SuiteError(f"{document.locate(('overrides',))}: expected a list: got {overrides!r}")
    for step in reversed(steps):
        value = {step: value}
    document.data["overrides"] = [*overrides, {"when": {}, "components": value}]
    document.marks["overrides", len(overrides)] = source
    document.typed_paths["overrides", len(overrides)] = ()


def _locate_error(document: Document, error: ErrorDetails) -> SuiteError:
    path = _find_path(document.data, error["loc"])
    if error["type"] == "extra_forbidden":
        known = [*_sibling_fields(path), *(["profiles"] if len(path) == 1 else [])]
        return SuiteError(f"{document.locate(path)}: unknown key: got {path[-1]!r}, {suggest(str(path[-1]), known)}")
    if error["type"] == "missing":
        return SuiteError(f"{document.locate(path[:-1])}: {'.'.join(map(str, path))} is missing")
    if error["type"] == "literal_error" and path and path not in document.marks:
        return SuiteError(f"{document.locate(path[:-1])}: unknown name: {error['msg'].lower()}: got {error['input']!r}")
    message = error["msg"].removeprefix("Value error, ")
    got = "" if "got" in message else f": got {error['input']!r}"
    return SuiteError(f"{document.locate(path)}: {message[0].lower()}{message[1:]}{got}")


def _find_path(data: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return the steps of a pydantic location that exist in the file, plus the first one that does not."""
    path: tuple[int | str, ...] = ()
    for step in location:
        if _contains(data, step):
            path, data = (*path, step), data[step]
        elif isinstance(data, dict) and step != "[key]":
            return (*path, step)
    return path


def _contains(data: Any, step: int | str) -> bool:
    if isinstance(data, list):
        return isinstance(step, int) and step < len(data)
    return isinstance(data, dict) and step in data


def _sibling_fields(path: tuple[int | str, ...]) -> list[str]:
    model: Any = Suite
    for step in path[:-1]:
        if isinstance(step, str):  # an index stays in its list's model
            field = getattr(model, "model_fields", {}).get(step)
            model = field.annotation if field is not None else None
            model = get_args(model)[0] if get_origin(model) is tuple else model
    return list(getattr(model, "model_fields", {}))
