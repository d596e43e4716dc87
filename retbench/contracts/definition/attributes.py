"""The class attributes that a component declares, checked by the annotations of the contracts.

The annotation of a class attribute in a contract says all: its type, its range, what to write in its place, and the
method that it declares (`Declares`). So a new attribute needs no code here.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Annotated, Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from retbench.contracts.definition.option_types import leaf_types
from retbench.contracts.definition.option_values import value_problem
from retbench.errors import suggest

CONTRACTS = "retbench.contracts."
"""The package of the contracts; every other class of a component is that of a plugin."""
NOT_MISSPELLED = frozenset({"kind", "code", "name", "source"})
"""Class attributes that no plugin writes, or that are missed where they are misspelled."""
SIMILAR = 0.75
"""The similarity of two names above which one is a misspelling of the other, for class attributes."""
SIMILAR_METHODS = 0.85
"""The same for methods, and for options, which have names of their own."""


@dataclass(frozen=True)
class Declares:
    """Marks a class attribute that is true exactly if the class defines a method.

    Attributes:
        method: the name of the method; its default in the contract does not count.
    """

    method: str


def attribute_problem(component: type[BaseModel]) -> str | None:
    """Return the first class attribute of a component that breaks its contract, with the reason, or None.

    Checked are type and range of each attribute, agreement with the methods that it declares, and names that no
    contract has but that look like one.
    """
    for name, annotation in declared_attributes(component).items():
        if problem := _value_problem(component, name, annotation) or _method_problem(component, name, annotation):
            return problem
    contract = contract_classes(component)[0]
    return next(filter(None, (_misspelling(base, contract) for base in plugin_classes(component))), None)


def declared_attributes(component: type[BaseModel]) -> Mapping[str, Any]:
    """Return the annotations of the class attributes that a component inherits from its contracts, by name."""
    found: dict[str, Any] = {}
    for base in reversed(contract_classes(component)):
        found |= _class_attributes(base)
    return found


def is_contract(base: type) -> bool:
    """Return whether a class belongs to the contracts, and not to a plugin."""
    return base.__module__.startswith(CONTRACTS)


def plugin_classes(component: type[BaseModel]) -> list[type]:
    """Return a component's class and those of its bases that a plugin defines, except the builtin ones."""
    return [base for base in component.__mro__ if not is_contract(base) and base not in (*BaseModel.__mro__, object)]


def contract_classes(component: type[BaseModel]) -> list[type]:
    """Return the base classes of a component that are contracts, the most derived one first."""
    return [base for base in component.__mro__ if is_contract(base)]


@lru_cache(maxsize=64)
def _class_attributes(contract: type) -> dict[str, Any]:
    """Return the annotations of the class attributes in the body of a contract, by name."""
    annotations = inspect.get_annotations(contract, eval_str=True).items()
    origins: dict[str, object] = {name: get_origin(annotation) for name, annotation in annotations}
    return {name: get_args(annotation)[0] for name, annotation in annotations if origins[name] is ClassVar}


def _value_problem(component: type[BaseModel], name: str, annotation: Any) -> str | None:
    value = getattr(component, name, None)
    contract = next(base for base in contract_classes(component) if name in _class_attributes(base))
    expected = next((each.description for each in _metadata(annotation) if isinstance(each, FieldInfo)), None)
    try:
        _adapter(annotation).validate_python(value)
        problem = value_problem(value, frozenset(leaf_types(annotation)))
        if name == "kind" and value != getattr(contract, name, value):
            problem = f"got {value!r}, expected {getattr(contract, name)!r}, as {contract.__name__} sets it"
    except ValidationError as error:
        problem = f"got {_text(value)}, expected {expected}" if expected else _describe(error.errors()[0])
    return f"{component.__name__}.{name}: {problem}" if problem else None


def _method_problem(component: type[BaseModel], name: str, annotation: Any) -> str | None:
    for method in (each.method for each in _metadata(annotation) if isinstance(each, Declares)):
        contract = next(base for base in contract_classes(component) if method in vars(base))
        defined = inspect.getattr_static(component, method) is not vars(contract)[method]
        if getattr(component, name) is not defined:
            verb = "defines" if defined else "does not define"
            return f"{component.__name__} {verb} `{method}`: got {name} = {not defined}, expected {name} = {defined}"
    return None


@lru_cache(maxsize=512)
def _misspelling(base: type, contract: type[BaseModel]) -> str | None:
    """Return the first name in the body of a class that looks like a name of its contract and is none, or None.

    A class that has the name of the contract too did not misspell it. Methods are also compared by their arguments.
    """
    attributes, members = declared_attributes(contract), _members(contract)
    own = {*vars(base), *inspect.get_annotations(base)}
    missing = tuple(name for name in attributes if name not in own | NOT_MISSPELLED)
    others = tuple(name for name in members if name not in own)
    for name in sorted(own - attributes.keys() - members.keys()):
        value = vars(base).get(name)
        if name.startswith("_"):
            continue
        if name in getattr(base, "model_fields", ()):
            similar = _similar(name, missing, SIMILAR_METHODS)
        elif isinstance(value, FunctionType | property | classmethod | staticmethod):
            similar = _similar(name, others, SIMILAR_METHODS)
            similar = similar if similar and _is_alike(value, members[similar]) else ""
        else:
            similar = _similar(name, missing, SIMILAR)
        if similar:
            right = f"{similar}: ClassVar[...] = ..." if similar in attributes else similar
            return f"{base.__name__}.{name}: unknown to retbench: nearest: {similar}; write {right}, or another name"
    return None


def _members(contract: type[BaseModel]) -> dict[str, Any]:
    """Return the methods and properties of a contract by name."""
    classes = reversed(contract_classes(contract))
    members = ((name, value) for base in classes for name, value in vars(base).items() if not name.startswith("_"))
    return {name: value for name, value in members if isinstance(value, FunctionType | property | classmethod)}


def _is_alike(value: Any, member: Any) -> bool:
    """Return whether two members are of the same kind, and methods also have the same arguments."""
    if isinstance(value, FunctionType) and isinstance(member, FunctionType):
        return list(inspect.signature(value).parameters) == list(inspect.signature(member).parameters)
    return isinstance(value, property) and isinstance(member, property)


def _similar(name: str, names: tuple[str, ...], cutoff: float) -> str:
    """Return the most similar of some names, or an empty text if none is similar."""
    return next(iter(difflib.get_close_matches(name.lower(), names, n=1, cutoff=cutoff)), "")


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


@lru_cache(maxsize=64)
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(strict=True, regex_engine="python-re"))


def _describe(error: ErrorDetails) -> str:
    """Return an error of pydantic as `got X, expected Y`, for a choice with the nearest one."""
    got, message = _text(error["input"]), error["msg"].removeprefix("Input should be ")
    if error["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", error["msg"])
        return f"got {got}, {suggest(str(error['input']), choices)}"
    if error["type"] == "frozen_set_type":
        message = "a frozenset, such as frozenset({...})"
    return f"got {got}, expected {message}"


def _text(value: Any) -> str:
    """Return a value on one line; for an object other than a plain value or a collection, its type."""
    is_plain = value is None or isinstance(value, str | int | float | set | frozenset | list | tuple | dict)
    return repr(value) if is_plain else f"a {type(value).__name__}"
