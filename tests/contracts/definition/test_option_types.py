"""Annotations of options: only immutable values that JSON records without loss."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import numpy as np
import pytest
from pydantic import BaseModel, Field
from torch import Tensor

from retbench.contracts.definition.option_types import annotation_problem, leaf_types

Width = NewType("Width", int)
T = TypeVar("T")


class Mode(enum.Enum):
    FAST = "fast"


class First(BaseModel, frozen=True):
    steps: int = 1


class Second(BaseModel, frozen=True):
    steps: int = 1


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        float | None,
        Optional[str],  # noqa: UP045  # the old spelling is what the test reads
        Union[int, str],  # noqa: UP007  # the old spelling is what the test reads
        Literal["a", 1, True, None],
        tuple[int, ...],
        tuple[tuple[Annotated[int, Field(ge=1)], float], ...],
        tuple[()],
        frozenset[str],
        frozenset[Literal["image", "text"]],
        Annotated[float, Field(gt=0)] | Literal["auto"],
        Width,
        Path | None,
        First,
        First | None,
        tuple[First, ...],
    ],
)
def test_plain_types_are_types_of_options(annotation: Any) -> None:
    assert annotation_problem(annotation) is None


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (list[int], "got list[int], expected a tuple, such as tuple[int, ...]"),
        (list[Annotated[float, Field(gt=0)]], "expected a tuple, such as tuple[float, ...]"),
        (list[float], "got list[float], expected a tuple, such as tuple[float, ...]"),
        (list, "got list, expected a tuple, such as tuple[int, ...]"),
        (Sequence[int], "expected a tuple, such as tuple[int, ...]"),
        (dict[str, float], "got dict[str, float], expected a frozen pydantic model, or a tuple of pairs"),
        (Mapping[str, float], "expected a frozen pydantic model, or a tuple of pairs"),
        (set[str], "got set[str], expected frozenset[str]"),
        (tuple[list[int], ...], "got list[int], expected a tuple"),
        (list[int] | None, "got list[int], expected a tuple"),
        (frozenset[Any], "got Any, expected a type that says what it holds"),
        (Any, "got Any, expected a type that says what it holds"),
        (object, "got object, expected a type that says what it holds"),
        (T, "expected a type that says what it holds"),
        (tuple, "got tuple, expected the type of its values, such as tuple[str, ...]"),
        (frozenset, "got frozenset, expected the type of its values, such as frozenset[str]"),
        (Tensor, "got Tensor, expected a tuple, such as tuple[float, ...]"),
        (np.ndarray, "got ndarray, expected a tuple, such as tuple[float, ...]"),
        (np.float32, "got float32, expected bool, int, float, str"),
        (bytes, "got bytes, expected str"),
        (bytearray, "got bytearray, expected str"),
        (complex, "got complex, expected two options of type float"),
        (Callable[[int], int], "expected a Literal of names"),
        (Mode, "got Mode, expected a Literal of the values"),
        (Literal[Mode.FAST], "got <Mode.FAST: 'fast'> in a Literal, expected plain values"),
        (Decimal, "got Decimal, expected bool, int, float, str"),
        (date, "got date, expected bool, int, float, str"),
        (type[First], "expected bool, int, float, str"),
        (First | Second, "got a union of the models First and Second"),
        (Path | str, "got a union of Path and text"),
        (Path | Literal["auto"], "got a union of Path and text"),
        (tuple[str, ...] | frozenset[str], "got a union of tuple and frozenset"),
    ],
)
def test_a_mutable_or_ambiguous_type_is_refused_with_what_to_use(annotation: Any, problem: str) -> None:
    found = annotation_problem(annotation)
    assert found is not None
    assert problem in found


def test_leaf_types_are_those_of_the_values_inside_too() -> None:
    assert set(leaf_types(tuple[int, ...] | Literal["a"] | None)) == {tuple, int, str, type(None)}
    assert set(leaf_types(Annotated[Width, Field(ge=1)])) == {int}
    assert list(leaf_types(First)) == [First]
