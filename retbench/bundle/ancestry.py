"""What a score follows from, step by step, by recipes and the keys in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from retbench.bundle.bundle import Bundle

Recipe = Mapping[str, Any]
"""What a step was made of, as its key digests it."""
_KEY = re.compile(r"[0-9a-f]{64}")
_NO_INPUTS = frozenset({"attack", "component", "dataset", "defense", "hasher", "part", "protocol", "queries", "rule"})
"""Fields of recipes whose digests are not those of steps."""


class Purification(NamedTuple):
    """What became of one shard of queries: the recipes of its purifiers, in order, and what they started from."""

    recipes: tuple[Recipe, ...]
    source: str | None


class Ancestry:
    """The recipes behind one score; of a recipe that is missing or of a wrong shape, every field is empty."""

    def __init__(self, bundle: Bundle, key: str) -> None:
        self._bundle = bundle
        self.score = self.recipe(key)
        self.database = self.recipe(self.score.get("database"))
        self.weights = self.database.get("weights")
        self.hardening, self.fit = self.trained(self.weights)
        self.attacked = _keys(self.score.get("attacked"))
        self.attacks = [self.recipe(shard) for shard in self.attacked]
        self.draws = [[self._purified(shard) for shard in _keys(draw)] for draw in _list(self.score.get("final"))]
        self.keys = dict.fromkeys(self._walk(key))

    def recipe(self, key: Any) -> Recipe:
        """Returns the recipe of a key; empty where there is none."""
        return self._bundle.recipe(key) if isinstance(key, str) else {}

    def trained(self, key: Any) -> tuple[Recipe, Recipe]:
        """Returns the hardening and the fit behind the weights of a hasher; the first is empty without one."""
        recipe = self.recipe(key)
        if recipe.get("stage") == "fit_defense":
            return recipe, self.recipe(recipe.get("weights"))
        return {}, recipe

    def _purified(self, shard: str) -> Purification:
        recipes: list[Recipe] = []
        at: Any = shard
        while (recipe := self.recipe(at)).get("stage") == "purify" and recipe not in recipes:
            recipes.insert(0, recipe)
            at = recipe.get("source")
        return Purification(tuple(recipes), at)

    def _walk(self, key: str) -> Iterator[str]:
        """Yields a key and those of everything that its recipe names, each once."""
        waiting, seen = [key], set[str]()
        while waiting:
            if (at := waiting.pop()) not in seen:
                seen.add(at)
                yield at
                waiting += _inputs(self.recipe(at))


def _inputs(value: Any) -> Iterator[str]:
    """Yields the keys that a recipe, or a piece of one, names."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _NO_INPUTS:
                yield from _inputs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _inputs(inner)
    elif isinstance(value, str) and _KEY.fullmatch(value):
        yield value


def _keys(value: Any) -> list[str]:
    return [key for key in _list(value) if isinstance(key, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
