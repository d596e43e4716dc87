"""Which part of a matrix is wanted: the `--only` of the command line, the `only` of the Python API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from retbench.errors import UnknownName, UserError
from retbench.suite.model import AXES, NONE

T = TypeVar("T")
Only = str | Sequence[str] | Mapping[str, Any]
"""An `axis=value[,value]` text, several of them, or a mapping from an axis to its value or a list of values."""
LISTS = (list, tuple, set, frozenset, range)


class Filter(NamedTuple):
    """The values that one axis may have, as rows print them."""

    axis: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.axis}={','.join(self.values)}"


class Selection(NamedTuple):
    """A part of a matrix: what all of some filters keep; everything without a filter.

    Attributes:
        filters: at most one value of each axis is compared with each of them.
        where: what messages call the option that they come from.
    """

    filters: tuple[Filter, ...] = ()
    where: str = "--only"

    @property
    def texts(self) -> tuple[str, ...]:
        """The filters as the command line writes them; `read_selection` reads them again."""
        return tuple(map(str, self.filters))

    def select(self, items: Iterable[T], value: Callable[[T, str], object], among: str) -> list[T]:
        """Return the items that all filters keep, in order.

        Args:
            items: points of a matrix, or rows.
            value: returns the value of an item on an axis; values are compared as text.
            among: what messages call the items.

        Raises:
            UnknownName: a filter names a value that no item has.
        """
        everything = list(items)
        left = everything
        for axis, wanted in self.filters:
            known = {str(value(item, axis)) for item in everything}
            if missing := [each for each in wanted if each not in known]:
                raise UnknownName(f"{self.where}: {axis} of {among}", missing[0], known)
            left = [item for item in left if str(value(item, axis)) in wanted]
        return left


def read_selection(only: Only | None = None) -> Selection:
    """Return the selection that a text, texts or a mapping describe; everything for None.

    In a mapping, a list inside the list of an axis combines: `{"defense": ["none", ["atrdh", "retpur"]]}`. Numbers and
    arrays of numpy are read as Python's own.

    Raises:
        UserError: anything else, or a text that is not `axis=value[,value]`.
        UnknownName: an axis that a matrix does not have.

    >>> read_selection({"dataset": "digits", "bits": [16, 32]}).texts
    ('dataset=digits', 'bits=16,32')
    >>> read_selection("dataset=digits").texts
    ('dataset=digits',)
    """
    if isinstance(only, Mapping):
        filters = [Filter(str(axis), _labels(values)) for axis, values in only.items()]
        selection = Selection(tuple(filters), "only")
    elif only is None or isinstance(only, str | Sequence):
        texts = [only] if isinstance(only, str) else only or ()
        selection = Selection(tuple(map(_read_filter, texts)))
    else:
        raise UserError(f"only: expected axis=value[,value], a list of such texts, or a mapping, got {only!r}")
    for each in selection.filters:
        if each.axis not in AXES:
            raise UnknownName(f"{selection.where}: axis", each.axis, AXES)
    return selection


def plain_value(value: Any) -> Any:
    """Return a number or an array of numpy or torch as Python's own number or list; anything else as it is."""
    return value.tolist() if callable(getattr(value, "tolist", None)) else value


def _read_filter(text: str) -> Filter:
    if not isinstance(text, str):
        raise UserError(f"only: expected axis=value[,value], got {text!r}")
    axis, equals, values = text.partition("=")
    if not equals:
        raise UserError(f"--only: expected axis=value[,value], got {text!r}")
    return Filter(axis, tuple(values.split(",")))


def _labels(values: Any) -> tuple[str, ...]:
    """Return the values of an axis as rows print them."""
    values = plain_value(values)
    entries = values if isinstance(values, LISTS) else [values]
    return tuple(_label(plain_value(entry)) for entry in entries)


def _label(entry: Any) -> str:
    if isinstance(entry, list | tuple):
        return "+".join(map(str, entry)) or NONE
    return NONE if entry is None else str(entry)
