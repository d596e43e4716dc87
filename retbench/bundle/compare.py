"""Recorded values beside values that were computed again: what agrees, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from retbench.difference import TOLERANCE, agree, format_value, pair_leaves

SINGLE = 1e-6
"""How far float32 numbers in 0..1 may be apart; float64 numbers TOLERANCE."""


class Agreement(NamedTuple):
    """A field in which two values agree."""

    field: str


class Difference(NamedTuple):
    """A field in which two values differ: what was recorded and what was computed."""

    field: str
    got: str
    expected: str


Comparison = Agreement | Difference


def compare_json(field: str, got: Any, expected: Any) -> Iterator[Comparison]:
    """Yield how every leaf of two JSON values compares; a list is one leaf, and what one side lacks is `nothing`."""
    for path, wanted, found in pair_leaves(expected, got, "fields", field, "nothing"):
        same = agree(found, wanted)
        yield Agreement(path) if same else Difference(path, format_value(found), format_value(wanted))


def compare_tensors(field: str, got: Tensor | None, expected: Tensor) -> Comparison:
    """Return whether two tensors agree, and else the first place where they do not; NaN equals NaN."""
    if got is None:
        return Difference(field, "nothing", _describe(expected))
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return Difference(field, _describe(got), _describe(expected))
    tolerance = SINGLE if expected.dtype == torch.float32 else TOLERANCE
    near = torch.isclose(got, expected, rtol=0, atol=tolerance, equal_nan=True)
    if bool(near.all()):
        return Agreement(field)
    place = tuple(int(at) for at in (~near).nonzero()[0])
    values = (format_value(tensor[place].item()) for tensor in (got, expected))
    return Difference(f"{field}[{', '.join(map(str, place))}]", *values)


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
