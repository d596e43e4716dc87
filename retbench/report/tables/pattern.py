"""Patterns of a layout: conditions on the axes of rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from retbench.report.yaml_model import YamlModel
from retbench.results import Row


def _condition(value: Any) -> Any:
    """Read `x`, `[x, y]` or `{not: x}` as a condition on an axis."""
    if isinstance(value, dict):
        return {"values": _as_list(value.get("not")), "negated": True} if set(value) == {"not"} else value
    return {"values": _as_list(value)}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class AxisCondition(YamlModel):
    """The values that an axis may have or, if `negated`, may not have."""

    values: tuple[str | int, ...]
    negated: bool = False

    def holds(self, value: str | int) -> bool:
        """Return whether a row's value satisfies the condition."""
        return (str(value) in map(str, self.values)) != self.negated


Pattern = dict[str, Annotated[AxisCondition, BeforeValidator(_condition)]]


def matches(pattern: Mapping[str, AxisCondition], row: Row) -> bool:
    """Return whether a row satisfies all conditions of a pattern."""
    return all(condition.holds(getattr(row, axis)) for axis, condition in pattern.items())


def swept_options(variant: str) -> list[tuple[str, str]]:
    """Return the names and values of the options that a variant sweeps; a value, such as a list, may hold commas."""
    pieces = re.split(r",(?=[\w.-]+=)", variant) if variant else []
    return [(name, value) for name, _, value in (piece.partition("=") for piece in pieces)]
