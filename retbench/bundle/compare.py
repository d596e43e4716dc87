"""Compare the values in a bundle with the values computed from its codes and labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from retbench.difference import TOLERANCE, agree, format_value, pair_leaves

FLOAT32_TOLERANCE = 1e-6
"""How far float32 numbers in 0..1 may be apart; float64 numbers may be TOLERANCE apart."""


class Match(NamedTuple):
    """A field in which two values agree."""

    field: str


class Mismatch(NamedTuple):
    """A field in which two values differ: the value in the bundle, and the value that was expected."""

    field: str
    got: str
    expected: str


Comparison = Match | Mismatch


def compare_json(field: str, got: Any, expected: Any) -> Iterator[Comparison]:
    """Yield a comparison for every leaf of two JSON values.

    A list is one leaf. A leaf that only one side has is compared with `nothing`.
    """
    for path, wanted, found in pair_leaves(expected, got, "fields", field, "nothing"):
        same = agree(found, wanted)
        yield Match(path) if same else Mismatch(path, format_value(found), format_value(wanted))


def compare_tensors(field: str, got: Tensor | None, expected: Tensor) -> Comparison:
    """Compare two tensors; a mismatch names the first element that differs. NaN equals NaN."""
    if got is None:
        return Mismatch(field, "nothing", _describe(expected))
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return Mismatch(field, _describe(got), _describe(expected))
    tolerance = FLOAT32_TOLERANCE if expected.dtype == torch.float32 else TOLERANCE
    near = torch.isclose(got, expected, rtol=0, atol=tolerance, equal_nan=True)
    if bool(near.all()):
        return Match(field)
    index = tuple(int(number) for number in (~near).nonzero()[0])
    values = (format_value(tensor[index].item()) for tensor in (got, expected))
    return Mismatch(f"{field}[{', '.join(map(str, index))}]", *values)


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
