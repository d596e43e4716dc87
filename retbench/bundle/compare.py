"""What differs between a value that was told and one that was computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

EXACT, SINGLE = 1e-9, 1e-6
"""How far float64 and float32 numbers in 0..1 may be apart: orders of addition differ between machines."""


class Agreement(NamedTuple):
    """A field in which two values agree."""

    field: str


class Difference(NamedTuple):
    """A field in which two values differ: what was told and what was computed."""

    field: str
    got: str
    expected: str


Comparison = Agreement | Difference


def compare_json(field: str, got: Any, expected: Any) -> Iterator[Comparison]:
    """Yields how every leaf of two JSON values compares; numbers agree when they are at most EXACT apart."""
    if isinstance(got, Mapping) and isinstance(expected, Mapping):
        for name in dict.fromkeys((*expected, *got)):
            missing = "nothing"
            yield from compare_json(f"{field}.{name}", got.get(name, missing), expected.get(name, missing))
    elif isinstance(got, Sequence) and isinstance(expected, Sequence) and not isinstance(got, str):
        same = len(got) == len(expected) and all(map(_same, got, expected))
        yield Agreement(field) if same else Difference(field, _told(got), _told(expected))
    else:
        yield Agreement(field) if _same(got, expected) else Difference(field, _told(got), _told(expected))


def compare_tensors(field: str, got: Tensor | None, expected: Tensor) -> Comparison:
    """Returns whether two tensors agree, and else the first place where they do not; NaN equals NaN."""
    if got is None:
        return Difference(field, "nothing", _kind(expected))
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return Difference(field, _kind(got), _kind(expected))
    tolerance = SINGLE if expected.dtype == torch.float32 else EXACT
    near = torch.isclose(got, expected, rtol=0, atol=tolerance, equal_nan=True)
    if bool(near.all()):
        return Agreement(field)
    place = tuple(int(at) for at in (~near).nonzero()[0])
    return Difference(f"{field}[{', '.join(map(str, place))}]", _told(got[place].item()), _told(expected[place].item()))


def _same(got: Any, expected: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (got, expected))
    return abs(got - expected) <= EXACT if numbers else bool(type(got) is type(expected) and got == expected)


def _told(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)[:100]


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
