"""The values of options: converted when they are given, checked, and written as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from retbench.canon import Json, canonical
from retbench.contracts.definition.option_types import PLAIN, SCALARS, leaf_types, replacement


class OptionValueError(ValueError):
    """A value that can be no option; the message is `got X, expected Y`."""


def convert_option(value: Any, annotation: Any) -> Any:
    """Return the value given for an option, with the scalars and arrays of numpy as numbers and lists, and -0.0 as 0.0.

    pydantic would convert some of the refused values too, but not faithfully: a set has another order in each process,
    True becomes one step, and an element of a tensor is a rounded number.

    Args:
        value: the value; pydantic checks its type afterwards.
        annotation: the option's type.

    Raises:
        OptionValueError: a value of a type that an option cannot hold, or True or False for a number.
    """
    return _convert(value, frozenset(leaf_types(annotation)))


def value_problem(value: Any, annotation: Any) -> str | None:
    """Return why the value of an option is not plain, as `got X, expected Y`, or None.

    Plain values are immutable, and JSON records them without loss; see `option_json`.
    """
    return _value_problem(value, frozenset(leaf_types(annotation)))


def option_json(value: Any) -> Json:
    """Return the value of an option as JSON; a frozenset becomes a sorted list, and excluded fields are left out.

    Equal values of an option have equal JSON in every process, and different values have different JSON.
    """
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {name: option_json(getattr(value, name)) for name, field in fields.items() if not field.exclude}
    if isinstance(value, tuple):
        return [option_json(each) for each in value]
    if isinstance(value, frozenset):
        return sorted((option_json(each) for each in value), key=canonical)
    if isinstance(value, Path):
        return str(value)
    plain: Json = value
    return plain


def same_options(first: BaseModel, second: BaseModel) -> bool:
    """Return whether two models with equal values also have the same types of values: 1, 1.0 and True are equal."""
    return all(_tagged(getattr(first, name)) == _tagged(getattr(second, name)) for name in type(first).model_fields)


def _convert(value: Any, types: frozenset[type]) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    kind = type(value)
    if kind is bool and bool not in types and types & {int, float}:
        raise OptionValueError(f"got {value}, expected a number")
    if kind is float:
        return value + 0.0  # -0.0 equals 0.0, but is written differently
    if kind in (list, tuple):
        return kind(_convert(each, types) for each in value)
    if kind is dict:  # the fields of an option that is a model
        return {name: _convert(each, types | {bool}) for name, each in value.items()}
    if kind in (set, frozenset) and frozenset in types:
        return frozenset(_convert(each, types) for each in value)
    if kind in SCALARS or isinstance(value, BaseModel | Path):
        return value
    raise OptionValueError(f"got {_describe(value)}, expected {_plain_type(kind)}")


def _value_problem(value: Any, types: frozenset[type]) -> str | None:
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return f"got {value}, expected a finite number"
    if kind is float and value == 0 and math.copysign(1.0, value) < 0:
        return "got -0.0, expected 0.0"
    if kind in (tuple, frozenset):
        return next((problem for each in value if (problem := _value_problem(each, types))), None)
    if isinstance(value, BaseModel):
        if kind not in types:
            expected = " or ".join(sorted(each.__name__ for each in types if issubclass(each, BaseModel)))
            return f"got {kind.__name__}, expected {expected}, not a class derived from it"
        return model_values_problem(value)
    if kind in SCALARS or isinstance(value, Path):
        return None
    return f"got {_describe(value)}, expected {_plain_type(kind)}"


def model_values_problem(model: BaseModel) -> str | None:
    """Return why the value of a field is not plain, as `field: got X, expected Y`, or None."""
    for name, field in type(model).model_fields.items():
        if problem := value_problem(getattr(model, name), field.annotation):
            return f"{name}: {problem}"
    return None


def _tagged(value: Any) -> Any:
    """Return a value with the type of each number, so that 1, 1.0 and True differ."""
    if isinstance(value, BaseModel):
        return [_tagged(getattr(value, name)) for name in type(value).model_fields]
    if isinstance(value, tuple):
        return [_tagged(each) for each in value]
    if isinstance(value, frozenset):
        return {(type(each), each) for each in value}
    return type(value), value


def _describe(value: Any) -> str:
    """Return type and value on one line."""
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 60 else f'{text[:57]}...'}"


def _plain_type(kind: type) -> str:
    """Return what to give instead of a value of a type."""
    if issubclass(kind, Enum):
        return "its plain value"
    scalar = next((base.__name__ for base in (str, int, float) if issubclass(kind, base)), None)
    if scalar:
        return f"a plain {scalar}"
    return PLAIN if issubclass(kind, Mapping) else replacement(kind)
