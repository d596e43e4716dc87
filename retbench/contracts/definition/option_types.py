"""The annotations that an option may have: types of immutable values that JSON records without loss."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

SCALARS = (type(None), bool, int, float, str)
"""The types of plain values; subclasses are not plain."""
PLAIN = "bool, int, float, str, Literal, tuple, frozenset, Path or a frozen pydantic model"
REPLACEMENTS = {
    "list": "a tuple, such as tuple[{item}, ...]",
    "List": "a tuple, such as tuple[{item}, ...]",
    "Sequence": "a tuple, such as tuple[{item}, ...]",
    "deque": "a tuple, such as tuple[{item}, ...]",
    "ndarray": "a tuple, such as tuple[float, ...]",
    "Tensor": "a tuple, such as tuple[float, ...]",
    "dict": "a frozen pydantic model, or a tuple of pairs",
    "Mapping": "a frozen pydantic model, or a tuple of pairs",
    "set": "frozenset[{item}]",
    "Set": "frozenset[{item}]",
    "bytes": "str",
    "bytearray": "str",
    "complex": "two options of type float",
    "Enum": "a Literal of the values",
    "Callable": "a Literal of names",
    "function": "a Literal of names",
}
"""What to write instead of a type that is no option, by the name of the type."""


def annotation_problem(annotation: Any) -> str | None:
    """Return why values of an annotation can be no option, as `got X, expected Y`, or None."""
    annotation = unwrap(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        other = next((value for value in arguments if type(value) not in SCALARS), None)
        return f"got {other!r} in a Literal, expected plain values" if other is not None else None
    if _is_union(origin):
        return next(filter(None, map(annotation_problem, arguments)), None) or _ambiguity(arguments)
    if origin in (tuple, frozenset):
        inner = (argument for argument in arguments if argument is not ...)
        return next(filter(None, map(annotation_problem, inner)), None)
    if annotation in (None, *SCALARS, Path) or is_model(annotation):
        return None
    items = [_name(unwrap(argument)) for argument in arguments if argument is not ...]
    return f"got {_name(annotation)}, expected {replacement(origin or annotation, items[0] if items else 'int')}"


def leaf_types(annotation: Any) -> Iterator[type]:
    """Yield the types of the values of an annotation and of the values in them, such as tuple and int."""
    annotation = unwrap(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield from map(type, arguments)
        return
    if isinstance(origin or annotation, type):
        yield origin or annotation
    for argument in arguments:
        yield from leaf_types(argument)


@lru_cache(maxsize=1024)
def option_types(model: type[BaseModel]) -> Mapping[str, frozenset[type]]:
    """Return the types of the values of each option of a model, and of the values in them."""
    return {name: frozenset(leaf_types(field.annotation)) for name, field in model.model_fields.items()}


def union_members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or else the annotation alone; unwrapped."""
    annotation = unwrap(annotation)
    return tuple(map(unwrap, get_args(annotation))) if _is_union(get_origin(annotation)) else (annotation,)


def unwrap(annotation: Any) -> Any:
    """Return an annotation without `Annotated`, `NewType` and the name that `type` gives it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):  # a TypeAliasType, of `typing` or of `typing_extensions`
            annotation = annotation.__value__
        else:
            return annotation


def is_model(annotation: Any) -> bool:
    """Return whether an annotation is the class of a pydantic model."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def replacement(annotation: Any, item: str = "int") -> str:
    """Return what to write instead of a type that is no option, given the type of its first item."""
    if isinstance(annotation, TypeVar) or annotation is Any or annotation is object:
        return f"a type that says what it holds: {PLAIN}"
    if annotation in (tuple, frozenset):
        return f"the type of its values, such as {annotation.__name__}[str{', ...' if annotation is tuple else ''}]"
    names = [base.__name__ for base in annotation.__mro__] if isinstance(annotation, type) else [_name(annotation)]
    found = next((REPLACEMENTS[name] for name in names if name in REPLACEMENTS), None)
    return found.format(item=item) if found else PLAIN


def _ambiguity(arguments: tuple[Any, ...]) -> str | None:
    """Return why two different values of a union could have the same JSON, or None."""
    leaves = [unwrap(argument) for argument in arguments]
    kinds = [get_origin(leaf) or leaf for leaf in leaves]
    models = [kind.__name__ for kind in kinds if is_model(kind)]
    if len(models) > 1:
        return f"got a union of the models {' and '.join(models)}, whose values may look alike, expected one"
    if Path in kinds and str in map(_text_type, leaves):
        return "got a union of Path and text, which look alike in a recipe, expected two options"
    if tuple in kinds and frozenset in kinds:
        return "got a union of tuple and frozenset, which look alike in a recipe, expected one of them"
    return None


def _text_type(leaf: Any) -> Any:
    """Return str for str and for a Literal with a text, and other annotations as they are."""
    is_text = get_origin(leaf) is Literal and any(isinstance(value, str) for value in get_args(leaf))
    return str if is_text else leaf


def _is_union(origin: Any) -> bool:
    return origin is Union or origin is types.UnionType


def _name(annotation: Any) -> str:
    is_class = isinstance(annotation, type) and get_origin(annotation) is None
    return annotation.__name__ if is_class else str(annotation).removeprefix("typing.")
