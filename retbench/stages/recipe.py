"""What the recipe of each stage holds: the fields that describe components, and those that hold keys of other steps.

Stages list here what they read; whoever reads recipes again (bundles, comparisons) looks here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Recipe = Mapping[str, Any]
"""What a step was made of, as its key digests it; of a foreign file any field may be missing or misshapen."""
_KEY = re.compile(r"[0-9a-f]{64}")


class Fields(NamedTuple):
    """Which fields of a stage's recipe mean what.

    Attributes:
        component: the field with the kind, name, revision and options of the component that works; empty without one.
        inputs: the fields that hold keys of other steps, in the order in which they are read; a dotted step `*` stands
            for every entry of a list or mapping, and all texts below the last step count.
    """

    component: str
    inputs: tuple[str, ...]


_VICTIM, _FRONT = "context.weights", "context.purifiers.*"
_SEEN = (_VICTIM, "context.grants", f"{_FRONT}.states")
RECIPES: Mapping[str, Fields] = {
    "fit_part": Fields("component", (*_SEEN, "states")),
    "features": Fields("part", ("state",)),
    "fit": Fields("component", ("states", "features")),
    "targets": Fields("", ()),
    "encode": Fields("", ("weights", "features", "draws")),
    "fit_attack": Fields("attack", (*_SEEN, "states")),
    "attack": Fields("attack", (*_SEEN, "states", "targets")),
    "fit_defense": Fields("component", ("weights", "states")),
    "purify": Fields("defense", ("states", "source")),
    "score": Fields("", ("codes", "database", "targets", "attacked", "purified")),
}
"""By the name of the stage. A part that an attack owns has its spec in `attack` instead (`component_of`)."""


def input_keys(recipe: Recipe) -> tuple[str, ...]:
    """Return the keys of the steps that a recipe names, in the order they are read; none for an unknown stage."""
    fields = RECIPES.get(str(recipe.get("stage")), Fields("", ()))
    values = (value for field in fields.inputs for value in _find(recipe, field.split(".")))
    return tuple(key for value in values for key in _keys(value))


def component_of(recipe: Recipe) -> Recipe:
    """Return the kind, name, revision and options of the component that works in a step; empty where there is none."""
    fields = RECIPES.get(str(recipe.get("stage")), Fields("", ()))
    spec = recipe.get(fields.component) or recipe.get("attack")
    return spec if fields.component and isinstance(spec, Mapping) else {}


def victim_of(recipe: Recipe) -> str | None:
    """Return the key of the weights of the hasher that an attack sees; None where there is none."""
    return next((key for value in _find(recipe, _VICTIM.split(".")) for key in _keys(value)), None)


def purifiers_in_view(recipe: Recipe) -> list[Recipe]:
    """Return the specs of the purifiers that an attack sees in front of the hasher, in order; an empty one for junk."""
    specs = _find(recipe, f"{_FRONT}.defense".split("."))
    return [spec if isinstance(spec, Mapping) else {} for spec in specs]


def _find(value: Any, path: list[str]) -> Iterator[Any]:
    """Yield what lies at a path below a value; None for a field that is missing."""
    if not path:
        yield value
    elif path[0] == "*":
        for inner in _entries(value):
            yield from _find(inner, path[1:])
    else:
        yield from _find(value.get(path[0]) if isinstance(value, Mapping) else None, path[1:])


def _keys(value: Any) -> Iterator[str]:
    """Yield the keys in a value, however deep."""
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
