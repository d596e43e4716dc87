"""Canonical JSON and its digest: the digest of a recipe is the key of its artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def canonical(value: Json) -> str:
    """Return `value` as canonical JSON: sorted keys, no spaces, shortest round-trip floats, ASCII.

    Equal values give equal texts. Tuples count as lists.

    Raises:
        ValueError: the value contains NaN or an infinity, which JSON does not have.
        TypeError: the value is not JSON, or a key is not a string (JSON would turn the keys 1 and "1" into one).
    """
    _check_keys(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_reject)


def digest(value: Json) -> str:
    """Return the sha256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _check_keys(value: Json) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"canonical JSON: keys must be strings: got {key!r}")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)


def _reject(value: object) -> None:
    raise TypeError(f"canonical JSON: not a JSON value: got {type(value).__name__}")
