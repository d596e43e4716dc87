"""What is asked for: a suite, how it is changed and narrowed, and what computes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from retbench.errors import UserError
from retbench.suite import Selection
from retbench.suite.selection import LISTS, plain_value

Sets = str | Sequence[str] | Mapping[str, Any]
"""A `path.to.option=value` text, several of them, or a mapping from dotted paths to values."""
Files = str | Path | Sequence[str | Path]
"""The path of a file, or several."""
PrecisionChoice = Literal["auto", "float32", "bf16"]
EVERYTHING = Selection()


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        suite: a path, or the name of a shipped suite; None for the last run in the store.
        profile: one of those the suite defines; empty for none.
        sets: changes of single values, as `--set` writes them.
        only: the part of the matrix that is wanted.
        plugins: Python files whose components are used beside the installed ones.
        device, precision: what computes it; `auto` for what the machine has.
    """

    suite: str | None
    profile: str = ""
    sets: tuple[str, ...] = ()
    only: Selection = EVERYTHING
    plugins: tuple[str, ...] = ()
    device: str = "auto"
    precision: PrecisionChoice = "auto"


def read_sets(sets: Sets | None) -> tuple[str, ...]:
    """Return changes as `--set` writes them; texts in a mapping are read as on the command line.

    Numbers and arrays of numpy are written as Python's own.

    Raises:
        UserError: anything else than texts or a mapping, or a value that YAML has no form for.

    >>> read_sets({"components.attack.dhta.eps": "8/255", "matrix.bits": [16, 32], "shard": 20})
    ('components.attack.dhta.eps=8/255', 'matrix.bits=[16, 32]', 'shard=20')
    >>> read_sets("shard=20")
    ('shard=20',)
    """
    if isinstance(sets, Mapping):
        return tuple(f"{path}={_write(str(path), value)}" for path, value in sets.items())
    if sets is not None and not isinstance(sets, str | Sequence):
        raise UserError(f"set: expected path=value, a list of such texts, or a mapping, got {sets!r}")
    texts = (sets,) if isinstance(sets, str) else tuple(sets or ())
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"set: expected path=value, got {text!r}")
    return texts


def read_files(files: Files) -> tuple[str, ...]:
    """Return the full paths of one file or several."""
    return tuple(str(Path(file).resolve()) for file in ([files] if isinstance(files, str | Path) else files))


def _write(path: str, value: Any) -> str:
    """Return a value as text that YAML reads as that value; a text stays as it is."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, default=_plain)
    except TypeError:
        raise UserError(f"set: {path}: expected text, a number, a list or a mapping, got {value!r}") from None


def _plain(value: Any) -> Any:
    """Return what JSON writes in place of a value that it has no form for; raises TypeError where there is nothing."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, LISTS):
        return list(value)
    plain = plain_value(value)
    if plain is value:
        raise TypeError
    return plain
