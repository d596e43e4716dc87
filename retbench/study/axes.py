"""Read the component axes given in Python: names, objects and classes, one value or a list of them.

A class stands for its name and has the options that a suite sets for this name; an object has its own options.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from retbench.catalog.catalog import KINDS
from retbench.contracts import Component
from retbench.errors import UserError
from retbench.suite.model import COMPONENT_AXES, NONE, Choice

LABEL_DIGITS = 6
"""Significant digits of a number in the label of a variant."""


class AxisValue(NamedTuple):
    """One value of an axis: one component, several combined defenses, or no component for `none`.

    Attributes:
        names: the names of the components, in order.
        objects: the components given as objects, by name; a component given as a class is only in `names`.
    """

    names: tuple[str, ...]
    objects: Mapping[str, Component]


class Axes(NamedTuple):
    """The component axes of an evaluation.

    Attributes:
        values: the values of each axis.
        classes: the classes given as values, and those of the objects.
    """

    values: Mapping[str, tuple[AxisValue, ...]]
    classes: tuple[type[Component], ...]

    @property
    def names(self) -> dict[str, set[str]]:
        """The names of the components on all axes, by kind."""
        names: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for axis, values in self.values.items():
            names[COMPONENT_AXES[axis]] |= {name for value in values for name in value.names}
        return names

    def choices(self) -> dict[str, list[Choice]]:
        """Return the choices of each axis; objects with the same name and different options become variants."""
        labels = {axis: _label_variants(values) for axis, values in self.values.items()}
        ambiguous = _options_on_several_axes(labels)
        choices = {}
        for axis, values in self.values.items():
            choices[axis] = [
                Choice(
                    names=value.names,
                    objects=dict(value.objects),
                    variant=",".join(
                        f"{axis}.{option}={setting}" if option in ambiguous else f"{option}={setting}"
                        for option, setting in label.items()
                    ),
                    at=(index,),
                )
                for index, (value, label) in enumerate(zip(values, labels[axis], strict=True))
            ]
        return choices


def list_classes(axes: Mapping[str, Any]) -> tuple[type[Component], ...]:
    """Return the classes given on some axes, and the classes of the objects, each once.

    Raises:
        UserError: a value that is not a name, an object or a class, or a component of another kind than its axis.
    """
    components = [
        (axis, component) for axis, given in axes.items() for value in _as_list(given) for component in _combined(value)
    ]
    classes = [_check_component(axis, component) for axis, component in components if not isinstance(component, str)]
    return tuple(dict.fromkeys(classes))


def read_axes(axes: Mapping[str, Any]) -> Axes:
    """Return the values of the component axes; equal values count once.

    Args:
        axes: for each axis a name, an object, a class, or a list of them; a list inside the list of defenses combines
            its components.

    Raises:
        UserError: an empty axis, or combined components on another axis than `defense`.
    """
    values_by_axis = {}
    for axis, given in axes.items():
        values = [_read_value(axis, value) for value in _as_list(given)]
        values_by_axis[axis] = tuple(value for index, value in enumerate(values) if value not in values[:index])
        if not values_by_axis[axis]:
            raise UserError(f"evaluate: {axis}: expected at least one value, got an empty list")
    return Axes(values_by_axis, list_classes(axes))


def _as_list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _combined(value: Any) -> list[Any]:
    """Return the components that a value combines; none for `none` and None."""
    return [component for component in _as_list(value) if component is not None and component != NONE]


def _read_value(axis: str, value: Any) -> AxisValue:
    components = _combined(value)
    if len(components) > 1 and axis != "defense":
        raise UserError(f"evaluate: {axis}: only a defense may combine several components: got {components!r}")
    names, objects = [], {}
    for component in components:
        name = component if isinstance(component, str) else component.name
        names.append(name)
        if isinstance(component, Component):
            objects[name] = component
    return AxisValue(tuple(names), objects)


def _check_component(axis: str, component: Any) -> type[Component]:
    """Return a class, or the class of an object; raises UserError unless it is of the axis's kind."""
    kind, component_class = COMPONENT_AXES[axis], component if isinstance(component, type) else type(component)
    if not issubclass(component_class, KINDS[kind]):
        is_class, name = isinstance(component, type), component_class.__name__
        got = f"class {name}" if is_class else f"{component!r} of {name}"
        raise UserError(f"evaluate: {axis}: expected a name, an object or a class of {kind}, got {got}")
    return component_class


def _label_variants(values: Sequence[AxisValue]) -> list[dict[str, str]]:
    """Return for each value the options that distinguish it from other values with the same names.

    Objects are compared with each other. A single object next to its name alone is compared with the class's defaults.
    """
    labels: list[dict[str, str]] = []
    for value in values:
        same_names = [other for other in values if other.names == value.names]
        others = [other for other in same_names if other.objects and other is not value]
        if len(same_names) == 1 or not value.objects:
            labels.append({})
        elif others:
            labels.append(dict(_different_options(value, others)))
        else:
            labels.append(dict(_changed_options(value)) or {"options": "defaults"})
    return labels


def _different_options(value: AxisValue, others: Sequence[AxisValue]) -> Iterator[tuple[str, str]]:
    for name, component in value.objects.items():
        for option in type(component).model_fields:
            settings = [getattr(other.objects.get(name), option, None) for other in others]
            if any(setting != getattr(component, option) for setting in settings):
                yield option, _format(getattr(component, option))


def _changed_options(value: AxisValue) -> Iterator[tuple[str, str]]:
    for component in value.objects.values():
        for option, field in type(component).model_fields.items():
            if getattr(component, option) != field.get_default(call_default_factory=True, validated_data={}):
                yield option, _format(getattr(component, option))


def _options_on_several_axes(labels: Mapping[str, Sequence[Mapping[str, str]]]) -> set[str]:
    """Return the options that distinguish variants on more than one axis."""
    options = [{option for label in variants for option in label} for variants in labels.values()]
    return {
        option
        for index, on_axis in enumerate(options)
        for option in on_axis
        if any(option in on_other_axis for on_other_axis in options[:index])
    }


def _format(value: Any) -> str:
    return f"{value:.{LABEL_DIGITS}g}" if isinstance(value, float) else str(value)
