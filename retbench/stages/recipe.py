"""The fields of each stage's recipe that describe components or contain keys of other steps.

Stages and all code that reads stored recipes (bundles, comparisons) rely on this one list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Recipe = Mapping[str, Any]
"""The content of a step's key; in a recipe from a foreign file, any field may be missing or malformed."""
_KEY = re.compile(r"[0-9a-f]{64}")


class RecipeFields(NamedTuple):
    """The meaning of the fields of a stage's recipe.

    Attributes:
        component: the field that describes the main component (kind, name, revision, options); empty without one.
        inputs: the dotted fields with keys of other steps, in the order in which they are read; `*` matches every
            entry of a list or mapping, and all keys nested in the value of a field count.
    """

    component: str
    inputs: tuple[str, ...]


_VICTIM, _PURIFIERS = "context.weights", "context.purifiers.*"
_CONTEXT = (_VICTIM, "context.grants", f"{_PURIFIERS}.states")
RECIPES: Mapping[str, RecipeFields] = {
    "fit_part": RecipeFields("component", (*_CONTEXT, "states")),
    "features": RecipeFields("part", ("state",)),
    "fit": RecipeFields("component", ("states", "features")),
    "targets": RecipeFields("", ()),
    "encode": RecipeFields("", ("weights", "features", "draws")),
    "fit_attack": RecipeFields("attack", (*_CONTEXT, "states")),
    "attack": RecipeFields("attack", (*_CONTEXT, "states", "targets")),
    "fit_defense": RecipeFields("component", ("weights", "states")),
    "purify": RecipeFields("defense", ("states", "source")),
    "score": RecipeFields("", ("codes", "database", "targets", "attacked", "purified")),
}
"""The fields by stage; the recipe of a part of an attack describes it in `attack` instead (see `component_of`)."""


def input_keys(recipe: Recipe) -> tuple[str, ...]:
    """Return the keys of the steps that a recipe reads, in the order they are read; none for an unknown stage."""
    fields = RECIPES.get(str(recipe.get("stage")), RecipeFields("", ()))
    values = (value for field in fields.inputs for value in _find(recipe, field.split(".")))
    return tuple(key for value in values for key in _keys(value))


def component_of(recipe: Recipe) -> Recipe:
    """Return the kind, name, revision and options of the main component of a step; empty without one."""
    fields = RECIPES.get(str(recipe.get("stage")), RecipeFields("", ()))
    spec = recipe.get(fields.component) or recipe.get("attack")
    return spec if fields.component and isinstance(spec, Mapping) else {}


def victim_of(recipe: Recipe) -> str | None:
    """Return the key of the weights of the attacked hasher; None for a step that does not attack."""
    return next((key for value in _find(recipe, _VICTIM.split(".")) for key in _keys(value)), None)


def adaptive_purifiers_of(recipe: Recipe) -> list[Recipe]:
    """Return the specs of the purifiers that an adaptive attack differentiates, in order; malformed ones are empty."""
    specs = _find(recipe, f"{_PURIFIERS}.defense".split("."))
    return [spec if isinstance(spec, Mapping) else {} for spec in specs]


def _find(value: Any, path: list[str]) -> Iterator[Any]:
    """Yield the values at a path below a value; None for a missing field."""
    if not path:
        yield value
    elif path[0] == "*":
        for inner in _entries(value):
            yield from _find(inner, path[1:])
    else:
        yield from _find(value.get(path[0]) if isinstance(value, Mapping) else None, path[1:])


def _keys(value: Any) -> Iterator[str]:
    """Yield all keys nested in a value."""
    if isinstance(value, str):
        yield from (value,) if _KEY.fullmatch(value) else ()
    else:
        for inner in _entries(value):
            yield from _keys(inner)


def _entries(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
