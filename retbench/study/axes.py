"""Values of the component axes given in Python: names, objects and classes, one or a list of them.

A class stands for its name, with the options that a suite gives this name; an object has exactly its own options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from retbench.catalog.catalog import KINDS
from retbench.contracts import Component
from retbench.errors import UserError
from retbench.suite.model import COMPONENT_AXES, NONE, Choice

DIGITS = 6
"""Significant digits of a number in the label of a variant."""


class Entry(NamedTuple):
    """One value of an axis; several components where a defense combines them, none for `none`.

    Attributes:
        names: of all components, in order.
        objects: those that were given as objects, by name; a class is among the names alone.
    """

    names: tuple[str, ...]
    objects: Mapping[str, Component]


class Axes(NamedTuple):
    """The component axes of an evaluation.

    Attributes:
        entries: the values of each axis.
        classes: the classes of objects, and those that were given themselves.
    """

    entries: Mapping[str, tuple[Entry, ...]]
    classes: tuple[type[Component], ...]

    @property
    def names(self) -> dict[str, set[str]]:
        """The names on all axes, by the kind of component."""
        found: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for axis, entries in self.entries.items():
            found[COMPONENT_AXES[axis]] |= {name for entry in entries for name in entry.names}
        return found

    def choices(self) -> dict[str, list[Choice]]:
        """Return the choices of each axis; objects of one name that differ in options become variants."""
        labels = {axis: _label_variants(entries) for axis, entries in self.entries.items()}
        shared = _shared_options(labels)
        found = {}
        for axis, entries in self.entries.items():
            found[axis] = [
                Choice(
                    names=entry.names,
                    objects=dict(entry.objects),
                    variant=",".join(
                        f"{axis}.{option}={value}" if option in shared else f"{option}={value}"
                        for option, value in variant.items()
                    ),
                    at=(index,),
                )
                for index, (entry, variant) in enumerate(zip(entries, labels[axis], strict=True))
            ]
        return found


def classes_of(axes: Mapping[str, Any]) -> tuple[type[Component], ...]:
    """Return the classes of the objects on some axes, and the classes among the values.

    Raises:
        UserError: a value that is no name, or a component of another kind than its axis has.
    """
    pieces = [(axis, piece) for axis, value in axes.items() for entry in _entries(value) for piece in _pieces(entry)]
    found = [_check_piece(axis, piece) for axis, piece in pieces if not isinstance(piece, str)]
    return tuple(dict.fromkeys(found))


def read_axes(axes: Mapping[str, Any]) -> Axes:
    """Return what is given for each component axis; equal entries count once.

    Args:
        axes: by axis, a name, an object, a class, or a list of them; a list inside the list of a defense combines.

    Raises:
        UserError: several where one is expected, or nothing.
    """
    found = {}
    for axis, value in axes.items():
        entries = [_read_entry(axis, entry) for entry in _entries(value)]
        found[axis] = tuple(entry for at, entry in enumerate(entries) if entry not in entries[:at])
        if not found[axis]:
            raise UserError(f"evaluate: {axis}: expected at least one value, got an empty list")
    return Axes(found, classes_of(axes))


def _entries(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _pieces(entry: Any) -> list[Any]:
    entries = entry if isinstance(entry, list | tuple) else [entry]
    return [piece for piece in entries if piece is not None and piece != NONE]


def _read_entry(axis: str, entry: Any) -> Entry:
    pieces = _pieces(entry)
    if len(pieces) > 1 and axis != "defense":
        raise UserError(f"evaluate: {axis}: only a defense may combine several: got {pieces!r}")
    names, objects = [], {}
    for piece in pieces:
        name = piece if isinstance(piece, str) else piece.name
        names.append(name)
        if isinstance(piece, Component):
            objects[name] = piece
    return Entry(tuple(names), objects)


def _check_piece(axis: str, piece: Any) -> type[Component]:
    """Return the class of an object, or a class itself; raises UserError unless it is of the axis's kind."""
    kind, given = COMPONENT_AXES[axis], piece if isinstance(piece, type) else type(piece)
    if not issubclass(given, KINDS[kind]):
        got = f"class {given.__name__}" if isinstance(piece, type) else f"{piece!r} of {given.__name__}"
        raise UserError(f"evaluate: {axis}: expected a name, an object or a class of {kind}, got {got}")
    return given


def _label_variants(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return for each entry the options that tell it from others of the same names; empty where nothing does.

    Objects are compared with each other, or a single one, beside an entry of names alone, with its class's defaults.
    """
    found: list[dict[str, str]] = []
    for entry in entries:
        alike = [other for other in entries if other.names == entry.names]
        others = [other for other in alike if other.objects and other is not entry]
        if len(alike) == 1 or not entry.objects:
            found.append({})
        elif others:
            found.append(dict(_differences(entry, others)))
        else:
            found.append(dict(_changes(entry)) or {"options": "defaults"})
    return found


def _differences(entry: Entry, others: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for name, component in entry.objects.items():
        for option in type(component).model_fields:
            values = [getattr(other.objects.get(name), option, None) for other in others]
            if any(value != getattr(component, option) for value in values):
                yield option, _format(getattr(component, option))


def _changes(entry: Entry) -> Iterator[tuple[str, str]]:
    for component in entry.objects.values():
        for option, field in type(component).model_fields.items():
            if getattr(component, option) != field.get_default(call_default_factory=True, validated_data={}):
                yield option, _format(getattr(component, option))


def _shared_options(labels: Mapping[str, Sequence[Mapping[str, str]]]) -> set[str]:
    """Return the options that tell variants apart on more than one axis."""
    seen = [{option for variant in variants for option in variant} for variants in labels.values()]
    return {option for at, options in enumerate(seen) for option in options if any(option in s for s in seen[:at])}


def _format(value: Any) -> str:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
