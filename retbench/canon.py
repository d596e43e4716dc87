"""Canonical JSON and its digest: how a recipe becomes an address."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def canonical(value: Json) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, shortest round-trip floats, ASCII.

    Tuples count as lists. Raises:
        ValueError: a NaN or an infinity, which JSON cannot carry.
        TypeError: a value that is not JSON, or a key that is not text (JSON would make 1 and "1" one key).
    """
    _check_keys(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_refuse)


def digest(value: Json) -> str:
    """Return the sha256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes; remembered while size and modification time stay the same."""
    facts = path.stat()
    return _file_digest(str(path), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_digest(path: str, size: int, modified: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_keys(value: Json) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"canonical JSON: a key must be text: got {key!r}")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)


def _refuse(value: object) -> None:
    raise TypeError(f"canonical JSON: not a JSON value: got {type(value).__name__}")
