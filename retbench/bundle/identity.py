"""Whether the names, options and steps of a row are those of the recipes behind its score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from retbench.bundle.bundle import Bundle
from retbench.bundle.compare import Comparison, compare_json
from retbench.results import Row
from retbench.stages.recipe import Recipe, component_of, input_keys, purifiers_in_view, victim_of
from retbench.suite.model import NONE


class Purification(NamedTuple):
    """One shard of queries: the recipes of its purifiers, in order, and the key of the images that they began with."""

    recipes: tuple[Recipe, ...]
    source: str | None


class Ancestry:
    """The recipes behind one score; every field of a recipe that is missing or misshapen is empty."""

    def __init__(self, bundle: Bundle, key: str) -> None:
        self._bundle = bundle
        self.score = self.recipe(key)
        self.database = self.recipe(self.score.get("database"))
        self.weights = self.database.get("weights")
        self.hardening, self.fit = self.trained(self.weights)
        self.attacked = _keys(self.score.get("attacked"))
        self.attacks = [self.recipe(shard) for shard in self.attacked]
        self.draws = [[self._purified(shard) for shard in _keys(draw)] for draw in _list(self.score.get("purified"))]
        self.keys = dict.fromkeys(self._walk(key))

    def recipe(self, key: Any) -> Recipe:
        """Return the recipe of a key; empty where there is none."""
        return self._bundle.recipe(key) if isinstance(key, str) else {}

    def trained(self, key: Any) -> tuple[Recipe, Recipe]:
        """Return the hardening and the fit behind the weights of a hasher; the first is empty without one."""
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
        """Yield a key and those of everything that its recipe names, each once."""
        waiting, seen = [key], set[str]()
        while waiting:
            if (at := waiting.pop()) not in seen:
                seen.add(at)
                yield at
                waiting += input_keys(self.recipe(at))


def compare_identity(row: Row, bundle: Bundle) -> Iterator[Comparison]:
    """Yield how the names, options, budget, seed and steps of a row compare with the recipes behind its score.

    Recipes are followed by their keys, from the score over codes, purifiers and attack to the fit of the hasher;
    whether a recipe has its key is checked elsewhere.
    """
    past = Ancestry(bundle, row.key)
    yield from _compare_steps(row, past, bundle)
    yield from _compare_hasher(row, past)
    yield from _compare_attack(row, past)
    yield from _compare_purifiers(row, past)
    options = {name: value for name, value in row.options.items() if name != "dataset"}
    yield from compare_json("options", options, _options(row, past))
    recipes = [past.recipe(key) for key in past.keys]
    seeds = [recipe["seed"] for recipe in recipes if "seed" in recipe]
    yield from compare_json("seed", row.seed, next((seed for seed in seeds if seed != row.seed), row.seed))
    for name, expected in (("quantize", row.protocol["quantize"]), ("dataset", past.score.get("dataset"))):
        found = [recipe[name] for recipe in recipes if name in recipe]
        yield from compare_json(f"{name} of steps", [value for value in found if value != expected], [])


def _compare_steps(row: Row, past: Ancestry, bundle: Bundle) -> Iterator[Comparison]:
    yield from compare_json("steps left out", [key[:12] for key in past.keys if key not in row.steps], [])
    yield from compare_json("steps of others", [key[:12] for key in row.steps if key not in past.keys], [])
    yield from compare_json("steps without recipe", [key[:12] for key in past.keys if not bundle.recipe(key)], [])
    lacking = [key[:12] for key in row.steps if key not in bundle.evidence.steps]
    yield from compare_json("steps not told of", lacking, [])


def _compare_hasher(row: Row, past: Ancestry) -> Iterator[Comparison]:
    yield from compare_json("hasher.stage", past.fit.get("stage"), "fit")
    yield from compare_json("hasher.name", row.hasher, _name(past.fit))
    yield from compare_json("hasher.bits", row.bits, past.fit.get("bits"))


def _compare_attack(row: Row, past: Ancestry) -> Iterator[Comparison]:
    others = [recipe.get("stage") for recipe in past.attacks if recipe.get("stage") != "attack"]
    yield from compare_json("attacked.stage", others, [])
    names = sorted({_name(recipe) for recipe in past.attacks}) or [NONE]
    yield from compare_json("attack", row.attack, "+".join(names))
    if not past.attacks:
        yield from compare_json("surrogate", row.surrogate, NONE)
        return
    recipe = past.attacks[0]
    for name in ("attack", "context", "states", "targets"):
        others = [each.get(name) for each in past.attacks if each.get(name) != recipe.get(name)]
        yield from compare_json(f"attack.{name} of shards", others, [])
    yield from compare_json("attack.targets", recipe.get("targets"), past.score.get("targets"))
    if row.surrogate == NONE:
        yield from compare_json("attack.weights", victim_of(recipe), past.weights)
    else:
        hardening, fit = past.trained(victim_of(recipe))
        yield from compare_json("surrogate", row.surrogate, _name(fit))
        yield from compare_json("surrogate.hardened", bool(hardening), False)
    eps = _options_of(recipe).get("eps")
    if isinstance(eps, int | float) and row.budget.get("norm") is not None:
        yield from compare_json("budget.eps", row.budget.get("eps"), eps)


def _compare_purifiers(row: Row, past: Ancestry) -> Iterator[Comparison]:
    specs = _purifiers(past)
    hardening = [_name(past.hardening)] if past.hardening else []
    names = [*hardening, *(str(spec.get("name")) for spec in specs)]
    yield from compare_json("defense", row.defense, "+".join(names) or NONE)
    every = [shard for draw in past.draws for shard in draw]
    others = [shard for shard in every if [component_of(recipe) for recipe in shard.recipes] != specs]
    yield from compare_json("defense of other shards", len(others), 0)
    # Without a purifier the attacked shards are encoded as they are; clean queries have no shards at all.
    sources = [past.attacked] if past.attacked else []
    expected: list[Any] = [past.attacked or [None for _ in draw] for draw in past.draws] or sources
    yield from compare_json("purified", [[shard.source for shard in draw] for draw in past.draws], expected)
    if past.attacks:
        yield from compare_json("threat", purifiers_in_view(past.attacks[0]), specs if row.threat == "adaptive" else [])


def _purifiers(past: Ancestry) -> list[Recipe]:
    """Return the specs of the purifiers that the first shard went through."""
    first = next((shard for draw in past.draws for shard in draw), None)
    return [component_of(recipe) for recipe in first.recipes] if first else []


def _options(row: Row, past: Ancestry) -> dict[str, Any]:
    """Return the options by role that a row must have, less those of its dataset, which no recipe holds."""
    options: dict[str, Any] = {"hasher": _options_of(past.fit)}
    if past.attacks:
        options["attack"] = _options_of(past.attacks[0])
        if row.surrogate != NONE:
            _, fit = past.trained(victim_of(past.attacks[0]))
            options["surrogate"] = _options_of(fit)
    specs = [component_of(past.hardening)] if past.hardening else []
    defenses = {str(spec.get("name")): spec.get("options") for spec in (*specs, *_purifiers(past))}
    return {**options, "defense": defenses} if defenses else options


def _name(recipe: Recipe) -> str:
    return str(component_of(recipe).get("name"))


def _options_of(recipe: Recipe) -> Recipe:
    options = component_of(recipe).get("options")
    return options if isinstance(options, Mapping) else {}


def _keys(value: Any) -> list[str]:
    return [key for key in _list(value) if isinstance(key, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
