"""What is asked for: a suite, how it is changed and narrowed, and what computes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from retbench.suite import Selection

Sets = Sequence[str] | Mapping[str, Any]
"""`path.to.option=value` texts, or a mapping from dotted paths to values."""
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

    >>> read_sets({"components.attack.dhta.eps": "8/255", "matrix.bits": [16, 32], "shard": 20})
    ('components.attack.dhta.eps=8/255', 'matrix.bits=[16, 32]', 'shard=20')
    """
    if isinstance(sets, Mapping):
        return tuple(f"{path}={value if isinstance(value, str) else _json(value)}" for path, value in sets.items())
    return tuple(sets or ())


def _json(value: Any) -> str:
    """Return a value as JSON, which is YAML too."""
    return json.dumps(value, default=lambda other: str(other) if isinstance(other, Path) else list(other))
