"""Which rows a layout means: conditions on their axes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from retbench.report.schema import Schema
from retbench.results import Row


def _condition(value: Any) -> Any:
    """Read `x`, `[x, y]` or `{not: x}` as a condition on an axis."""
    if isinstance(value, dict):
        return {"values": _listed(value.get("not")), "negated": True} if set(value) == {"not"} else value
    return {"values": _listed(value)}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class Condition(Schema):
    """The values an axis may, or may not, have."""

    values: tuple[str | int, ...]
    negated: bool = False

    def holds(self, value: str | int) -> bool:
        """Return whether a row's value satisfies it."""
        return (str(value) in map(str, self.values)) != self.negated


Pattern = dict[str, Annotated[Condition, BeforeValidator(_condition)]]


def matches(pattern: Mapping[str, Condition], row: Row) -> bool:
    """Return whether all conditions of a pattern hold for a row."""
    return all(condition.holds(getattr(row, axis)) for axis, condition in pattern.items())


def settings_of(variant: str) -> list[tuple[str, str]]:
    """Return the swept options of a variant and their values; a value may hold commas, as a list does."""
    pieces = re.split(r",(?=[\w.-]+=)", variant) if variant else []
    return [(name, value) for name, _, value in (piece.partition("=") for piece in pieces)]
