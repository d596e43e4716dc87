"""The complete check of a component's class, as catalog, planner and contract suite make it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from retbench.contracts.definition.attributes import (
    attribute_problem,
    contract_classes,
    declared_attributes,
    plugin_classes,
)
from retbench.contracts.definition.option_types import annotation_problem, is_model, leaf_types, union_members
from retbench.contracts.definition.option_values import model_values_problem

FROZEN = {"frozen": True, "extra": "forbid"}
"""The configuration of every model whose fields are options."""
FINAL = frozenset(
    {
        *("__eq__", "__hash__", "__init__", "__new__", "__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__"),
        *("__setattr__", "__delattr__", "__getattr__", "__getattribute__", "__getstate__", "__setstate__"),
        *("create", "options_json", "model_construct", "model_copy", "model_dump", "model_post_init", "model_validate"),
    }
)
"""Methods by which components are made, compared, hashed, copied and recorded."""
STATE_RULE = "options are the only state of a component: weights and other results are artifacts"


def definition_problem(component: type[BaseModel]) -> str | None:
    """Return the first fault in the class of a component, which names the class and the attribute, or None.

    The fields of a component are its options and nothing else: plain, immutable values that recipes record completely.
    So a class must not have other state, change how options are compared and recorded, or declare a class attribute
    that its contract does not allow.
    """
    if inspect.isabstract(component):
        return f"{component.__name__} does not define {', '.join(sorted(component.__abstractmethods__))}"
    problems = chain(_model_problems(component), _shadow_problems(component), _path_problems(component))
    return next(problems, None) or attribute_problem(component)


def option_values_problem(component: BaseModel) -> str | None:
    """Return the first option of a component whose value is not plain, or other state that it holds, or None."""
    if others := sorted(vars(component).keys() - type(component).model_fields.keys()):
        return f"{others[0]}: got state that is no option, expected none; {STATE_RULE}"
    return model_values_problem(component)


def _shadow_problems(component: type[BaseModel]) -> Iterator[str]:
    """Yield the options with the name of an attribute or a method of the contracts, which would hide it or be hidden.

    The value of an option `goal` would never be read: the property of that name takes precedence.
    """
    attributes, contracts = declared_attributes(component), contract_classes(component)
    reserved = {name for base in contracts for name in vars(base) if not name.startswith("_")} | attributes.keys()
    contract_options = {name for base in contracts for name in getattr(base, "model_fields", ())}
    for name in sorted(component.model_fields.keys() & reserved - contract_options):
        expected = f"{name}: ClassVar[...] = ..." if name in attributes else "another name"
        yield f"{component.__name__}.{name}: an option has the name of an attribute of retbench: expected {expected}"


def _model_problems(model: type[BaseModel], owners: tuple[type[BaseModel], ...] = ()) -> Iterator[str]:
    """Yield the faults of a model whose fields are options, and of the models that these options are."""
    if not model.__pydantic_complete__ and not model.model_rebuild(raise_errors=False):
        yield f"{model.__name__}: an option has a type that is not defined: import it outside of `if TYPE_CHECKING`"
        return
    for name, field in model.model_fields.items():
        where = f"{model.__name__}.{name}"
        if problem := annotation_problem(field.annotation):
            yield f"{where}: not the type of an option: {problem}"
        if field.alias is not None or field.validation_alias is not None:
            yield f"{where}: an option has one name: got an alias, expected none"
        for leaf in leaf_types(field.annotation):
            if is_model(leaf) and leaf not in (*owners, model):
                yield from _model_problems(leaf, (*owners, model))
    yield from _config_problems(model)
    yield from _state_problems(model)


def _config_problems(model: type[BaseModel]) -> Iterator[str]:
    """Yield the settings of a model that would let options change or escape the checks."""
    contract = next(iter(contract_classes(model)), None)
    for setting, expected in {**FROZEN, **getattr(contract, "model_config", {})}.items():
        got = model.model_config.get(setting)
        if got != expected:
            yield f"{model.__name__}.model_config: got {setting}={got!r}, expected {setting}={expected!r}"


def _state_problems(model: type[BaseModel]) -> Iterator[str]:
    """Yield what would keep other state in a model than its options, or change how these are recorded."""
    for name in sorted(model.__private_attributes__):
        yield f"{model.__name__}.{name}: got a private attribute, expected none; {STATE_RULE}"
    made = model.__pydantic_decorators__
    for name in sorted({**made.field_serializers, **made.model_serializers, **made.computed_fields}):
        yield f"{model.__name__}.{name}: got a serializer or computed field, expected none; options are recorded as is"
    for base in plugin_classes(model):
        for name, value in vars(base).items():
            if isinstance(value, cached_property):
                yield f"{model.__name__}.{name}: got a cached property, expected a property; {STATE_RULE}"
            if name in FINAL and not _is_generated(value):
                yield f"{model.__name__}.{name}: retbench defines it for all components: expected no other definition"


def _path_problems(component: type[BaseModel]) -> Iterator[str]:
    """Yield the options with paths that `files` does not return: a path in a recipe differs between machines."""
    has_files = any("files" in vars(base) for base in plugin_classes(component))
    for name, field in component.model_fields.items():
        inner = [
            leaf for member in union_members(field.annotation) if member is not Path for leaf in leaf_types(member)
        ]
        nested = [each for leaf in inner if is_model(leaf) for each in _leaves_of(leaf)]
        if Path in inner or Path in nested:
            yield f"{component.__name__}.{name}: got a path inside another option, expected an option of its own"
        elif Path in leaf_types(field.annotation) and not has_files:
            yield (
                f"{component.__name__}.{name}: got a path that `files` does not return, expected a method `files` that "
                "returns it; recipes then contain the sha256 of the file"
            )


def _leaves_of(model: type[BaseModel]) -> Iterator[type]:
    """Yield the types of the values of a model's fields."""
    for field in model.model_fields.values():
        yield from leaf_types(field.annotation)


def _is_generated(value: Any) -> bool:
    """Return whether pydantic itself added a method to a class."""
    return str(getattr(value, "__module__", "")).startswith("pydantic.")
