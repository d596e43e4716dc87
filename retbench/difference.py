"""Two JSON values side by side, leaf by leaf: the one differ of results, recipes and bundles."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeGuard

TOLERANCE = 1e-9
"""How far two computations of one number may be apart: the order of additions differs between machines."""
LONGEST = 100
"""Characters of a value in a message."""
Depth = Literal["fields", "items", "scalars"]
"""How far values are taken apart: into the fields of mappings; also into the items of lists of one length; or into all
that either side holds, where a list or mapping on one side alone is set beside nothing."""


class Pair(NamedTuple):
    """A leaf of two JSON values.

    Attributes:
        path: the dotted fields and positions that lead to it.
        left, right: what the two values hold there.
    """

    path: str
    left: Any
    right: Any


def pair_leaves(left: Any, right: Any, depth: Depth, path: str = "", missing: Any = None) -> Iterator[Pair]:
    """Yield the leaves of two JSON values in the order of the left one, then those that only the right one has.

    Args:
        left, right: any JSON; tuples count as lists.
        depth: what is a leaf.
        path: where the two values are; leads every path.
        missing: stands for a field or item that one side lacks; at depth `scalars`, None.
    """
    parts = _parts(left, right, depth, missing)
    if parts is None:
        yield Pair(path, left, right)
        return
    for name, one, other in parts:
        yield from pair_leaves(one, other, depth, f"{path}.{name}" if path else name, missing)


def agree(left: Any, right: Any) -> bool:
    """Return whether two leaves are the same: numbers within TOLERANCE, NaN as itself, all else equal and of one type.

    Lists, which are leaves at depth `fields`, are the same item by item.
    """
    if _is_number(left) and _is_number(right):
        return abs(left - right) <= TOLERANCE or left == right or (left != left and right != right)
    if _is_list(left) and _is_list(right):
        return len(left) == len(right) and all(map(agree, left, right))
    return bool(type(left) is type(right) and left == right)


def format_value(value: Any) -> str:
    """Return a leaf as a message shows it: a float with 12 digits, all else as JSON, without the quotes of a text.

    What is longer than LONGEST is cut.
    """
    if isinstance(value, float):
        return f"{value:.12g}"
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    text = text[1:-1] if isinstance(value, str) else text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _parts(left: Any, right: Any, depth: Depth, missing: Any) -> Iterator[tuple[str, Any, Any]] | None:
    """Return what two values are taken apart into; None for a leaf."""
    if depth == "scalars":
        left, right = _beside(left, right), _beside(right, left)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = dict.fromkeys((*left, *right))
        return ((name, left.get(name, missing), right.get(name, missing)) for name in names)
    lists = depth != "fields" and _is_list(left) and _is_list(right)
    if lists and (len(left) == len(right) or depth == "scalars"):
        return ((str(at), one, other) for at, (one, other) in enumerate(itertools.zip_longest(left, right)))
    return None


def _beside(value: Any, other: Any) -> Any:
    """Return a value, or an empty one of the other's kind in place of None."""
    if value is not None:
        return value
    return {} if isinstance(other, Mapping) else [] if _is_list(other) else None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
