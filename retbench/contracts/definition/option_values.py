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
from retbench.contracts.definition.option_types import PLAIN, SCALARS, option_types, replacement


class OptionValueError(ValueError):
    """A value that can be no option; the message is `got X, expected Y`."""


def convert_option(value: Any, types: frozenset[type]) -> Any:
    """Return the value given for an option, with the scalars and arrays of numpy as numbers and lists, and -0.0 as 0.0.

    pydantic would convert some of the refused values too, but not faithfully: a set has another order in each process,
    True becomes one step, and an element of a tensor is a rounded number.

    Args:
        value: the value; pydantic checks its type afterwards.
        types: the types of the option's values, as `option_types` gives them.

    Raises:
        OptionValueError: a value of a type that an option cannot hold, or True or False for a number.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    kind = type(value)
    if kind is bool and bool not in types and types & {int, float}:
        raise OptionValueError(f"got {value}, expected a number")
    if kind is float:
        return value + 0.0  # -0.0 equals 0.0, but is written differently
    if kind in (list, tuple):
        return kind(convert_option(each, types) for each in value)
    if kind is dict:  # the fields of an option that is a model
        return {name: convert_option(each, types | {bool}) for name, each in value.items()}
    if kind in (set, frozenset) and frozenset in types:
        return frozenset(convert_option(each, types) for each in value)
    if kind in SCALARS or isinstance(value, BaseModel | Path):
        return value
    raise OptionValueError(f"got {_describe(value)}, expected {_plain_type(kind)}")


def value_problem(value: Any, types: frozenset[type]) -> str | None:
    """Return why the value of an option is not plain, as `got X, expected Y`, or None.

    Plain values are immutable, and JSON records them without loss; see `option_json`.
    """
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return f"got {value}, expected a finite number"
    if kind is float and value == 0 and math.copysign(1.0, value) < 0:
        return "got -0.0, expected 0.0"
    if kind in (tuple, frozenset):
        return next((problem for each in value if (problem := value_problem(each, types))), None)
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
    for name, types in option_types(type(model)).items():
        if problem := value_problem(getattr(model, name), types):
            return f"{name}: {problem}"
    return None


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
    """Return whether two equal models of one class also have values of the same types: 1, 1.0 and True are equal."""
    return all(_is_same(getattr(first, name), getattr(second, name)) for name in option_types(type(first)))


def _is_same(first: Any, second: Any) -> bool:
    """Return whether two equal values of options have the same types."""
    if type(first) is not type(second):
        return False
    if isinstance(first, BaseModel):
        return same_options(first, second)
    if isinstance(first, tuple):
        return all(map(_is_same, first, second))
    if isinstance(first, frozenset):
        return {(type(each), each) for each in first} == {(type(each), each) for each in second}
    return True


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
