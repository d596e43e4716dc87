"""Select a part of a matrix: `--only` of the command line, `only` of the Python API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from retbench.errors import UnknownName, UserError, option_name
from retbench.suite.model import AXES, NONE

T = TypeVar("T")
Only = str | Sequence[str] | Mapping[str, Any]
"""A text `axis=value[,value]`, several of them, or a mapping from an axis to a value or a list of values."""
LIST_TYPES = (list, tuple, set, frozenset, range)


class Filter(NamedTuple):
    """The selected values of one axis, as rows print them."""

    axis: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.axis}={','.join(self.values)}"


class Selection(NamedTuple):
    """A part of a matrix: the points that match every filter; all points without a filter.

    Attributes:
        filters: the filters; several may name one axis.
    """

    filters: tuple[Filter, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The filters as `axis=value[,value]`, which `read_selection` reads back."""
        return tuple(map(str, self.filters))

    def select(self, items: Iterable[T], value: Callable[[T, str], object], source: str) -> list[T]:
        """Return the items that match every filter, in order.

        Args:
            items: points of a matrix, or rows.
            value: returns the value of an item on an axis; values are compared as text.
            source: the name of the items in messages.

        Raises:
            UnknownName: a filter names a value that no item has.
        """
        everything = list(items)
        selected = everything
        for axis, values in self.filters:
            known = {str(value(item, axis)) for item in everything}
            if missing := [each for each in values if each not in known]:
                raise UnknownName(f"{option_name('only')}: {axis} of {source}", missing[0], known)
            selected = [item for item in selected if str(value(item, axis)) in values]
        return selected


def read_selection(only: Only | None = None) -> Selection:
    """Return the selection described by a text, several texts or a mapping; everything for None.

    In a mapping, a list inside the list of an axis is a combination: `{"defense": ["none", ["atrdh", "retpur"]]}`.
    Numbers and arrays of numpy are accepted.

    Raises:
        UserError: another type, or a text that is not `axis=value[,value]`.
        UnknownName: an axis that a matrix does not have.

    >>> read_selection({"dataset": "digits", "bits": [16, 32]}).texts
    ('dataset=digits', 'bits=16,32')
    >>> read_selection("dataset=digits").texts
    ('dataset=digits',)
    """
    if isinstance(only, Mapping):
        filters = [Filter(str(axis), _labels(values)) for axis, values in only.items()]
        selection = Selection(tuple(filters))
    elif only is None or isinstance(only, str | Sequence):
        texts = [only] if isinstance(only, str) else only or ()
        selection = Selection(tuple(map(_read_filter, texts)))
    else:
        raise UserError(f"only: expected axis=value[,value], a list of such texts, or a mapping, got {only!r}")
    for axis, _ in selection.filters:
        if axis not in AXES:
            raise UnknownName(f"{option_name('only')}: axis", axis, AXES)
    return selection


def to_python_value(value: Any) -> Any:
    """Return a number or an array of numpy or torch as a Python number or list; anything else unchanged."""
    return value.tolist() if callable(getattr(value, "tolist", None)) else value


def _read_filter(text: str) -> Filter:
    if not isinstance(text, str):
        raise UserError(f"{option_name('only')}: expected axis=value[,value], got {text!r}")
    axis, equals, values = text.partition("=")
    if not equals:
        raise UserError(f"{option_name('only')}: expected axis=value[,value], got {text!r}")
    return Filter(axis, tuple(values.split(",")))


def _labels(values: Any) -> tuple[str, ...]:
    """Return the values of an axis as rows print them."""
    values = to_python_value(values)
    entries = values if isinstance(values, LIST_TYPES) else [values]
    return tuple(_label(to_python_value(entry)) for entry in entries)


def _label(entry: Any) -> str:
    if isinstance(entry, list | tuple):
        return "+".join(map(str, entry)) or NONE
    return NONE if entry is None else str(entry)
