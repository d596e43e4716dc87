"""Compare two JSON values leaf by leaf: results, recipes and bundles all compare through this module."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeGuard

TOLERANCE = 1e-9
"""Largest absolute difference of two numbers that count as equal: the order of additions differs between machines."""
MAX_LENGTH = 100
"""Longest value that a message shows, in characters."""
Depth = Literal["fields", "items", "scalars"]
"""How deep a comparison goes.

`fields`: into the fields of mappings; a list is a leaf. `items`: also into the items of two lists of the same length.
`scalars`: into everything that either side contains; a list or mapping that only one side has is compared with an empty
one.
"""


class Pair(NamedTuple):
    """The values of two JSON documents at one leaf.

    Attributes:
        path: the field names and list indices that lead to the leaf, joined by dots.
        left: the value in the first document.
        right: the value in the second document.
    """

    path: str
    left: Any
    right: Any


def pair_leaves(left: Any, right: Any, depth: Depth, path: str = "", missing: Any = None) -> Iterator[Pair]:
    """Yield the leaves of two JSON values in the order of the left one, then those that only the right one has.

    Args:
        left: any JSON value; tuples count as lists.
        right: any JSON value.
        depth: how deep the comparison goes.
        path: path of the two values in a larger document; prefix of every yielded path.
        missing: value reported for a field or item that one side lacks; None at depth `scalars`.
    """
    children = _pair_children(left, right, depth, missing)
    if children is None:
        yield Pair(path, left, right)
        return
    for name, left_child, right_child in children:
        yield from pair_leaves(left_child, right_child, depth, f"{path}.{name}" if path else name, missing)


def agree(left: Any, right: Any) -> bool:
    """Return whether two leaves are equal.

    Numbers are equal within TOLERANCE, and NaN equals NaN. Lists, which are leaves at depth `fields`, are compared item
    by item. Other values must have the same type and value.
    """
    if _is_number(left) and _is_number(right):
        return abs(left - right) <= TOLERANCE or left == right or (left != left and right != right)
    if _is_list(left) and _is_list(right):
        return len(left) == len(right) and all(map(agree, left, right))
    return bool(type(left) is type(right) and left == right)


def format_value(value: Any) -> str:
    """Return a value as a message shows it: floats with 12 digits, strings without quotes, everything else as JSON.

    A text longer than MAX_LENGTH is cut and ends with an ellipsis.
    """
    if isinstance(value, float):
        return f"{value:.12g}"
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    text = text[1:-1] if isinstance(value, str) else text
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def _pair_children(left: Any, right: Any, depth: Depth, missing: Any) -> Iterator[tuple[str, Any, Any]] | None:
    """Return the fields or items of two values as (name, left, right), or None for a leaf."""
    if depth == "scalars":
        left, right = _replace_none(left, right), _replace_none(right, left)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = dict.fromkeys((*left, *right))
        return ((name, left.get(name, missing), right.get(name, missing)) for name in names)
    lists = depth != "fields" and _is_list(left) and _is_list(right)
    if lists and (len(left) == len(right) or depth == "scalars"):
        return ((str(index), *items) for index, items in enumerate(itertools.zip_longest(left, right)))
    return None


def _replace_none(value: Any, other: Any) -> Any:
    """Return `value`, or in place of None an empty mapping or list where `other` is one."""
    if value is not None:
        return value
    return {} if isinstance(other, Mapping) else [] if _is_list(other) else None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
