"""Compare the names, options and steps of a row with the recipes behind its score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from retbench.bundle.bundle import Bundle
from retbench.bundle.compare import Comparison, compare_json
from retbench.results import Row
from retbench.stages.recipe import Recipe, adaptive_purifiers_of, component_of, input_keys, victim_of
from retbench.suite.model import NONE


class PurifiedShard(NamedTuple):
    """One shard of queries: the recipes of its purifiers, in order, and the key of the images before the first one.

    The key is None for clean queries, which come from the dataset.
    """

    recipes: tuple[Recipe, ...]
    source: str | None


class ScoreRecipes:
    """The recipes behind one score; a field that is missing or malformed in a recipe is empty here.

    Attributes:
        score, database: recipes of the score and of the encoded database.
        weights: key of the weights that encoded the database.
        fit, hardening: recipes behind these weights; `hardening` is empty without one.
        attacked: keys of the shards of attacked queries.
        attacks: their recipes.
        draws: the shards of purified queries of each draw of a defense.
        keys: keys of all steps behind the score, the score first.
    """

    def __init__(self, bundle: Bundle, key: str) -> None:
        self._bundle = bundle
        self.score = self.recipe(key)
        self.database = self.recipe(self.score.get("database"))
        self.weights = self.database.get("weights")
        self.hardening, self.fit = self.find_fit(self.weights)
        self.attacked = _keys(self.score.get("attacked"))
        self.attacks = [self.recipe(shard) for shard in self.attacked]
        self.draws = [
            [self._find_purifiers(shard) for shard in _keys(draw)] for draw in _list(self.score.get("purified"))
        ]
        self.keys = dict.fromkeys(self._walk(key))

    def recipe(self, key: Any) -> Recipe:
        """Return the recipe of a key; empty if there is none."""
        return self._bundle.recipe(key) if isinstance(key, str) else {}

    def find_fit(self, weights: Any) -> tuple[Recipe, Recipe]:
        """Return the recipes of the hardening and of the fit behind a hasher's weights; the first may be empty."""
        recipe = self.recipe(weights)
        if recipe.get("stage") == "fit_defense":
            return recipe, self.recipe(recipe.get("weights"))
        return {}, recipe

    def _find_purifiers(self, shard: str) -> PurifiedShard:
        recipes: list[Recipe] = []
        key: Any = shard
        while (recipe := self.recipe(key)).get("stage") == "purify" and recipe not in recipes:
            recipes.insert(0, recipe)
            key = recipe.get("source")
        return PurifiedShard(tuple(recipes), key)

    def _walk(self, key: str) -> Iterator[str]:
        """Yield a key and the keys of all its inputs, each once."""
        waiting, visited = [key], set[str]()
        while waiting:
            if (current := waiting.pop()) not in visited:
                visited.add(current)
                yield current
                waiting += input_keys(self.recipe(current))


def compare_identity(row: Row, bundle: Bundle) -> Iterator[Comparison]:
    """Compare the names, options, budget, seed and steps of a row with the recipes behind its score.

    Recipes are followed by key: from the score to the codes, purifiers and attack, down to the fit of the hasher.
    Whether a recipe has its key is checked elsewhere (`verify_bundle`).
    """
    recipes = ScoreRecipes(bundle, row.key)
    yield from _compare_steps(row, recipes, bundle)
    yield from _compare_hasher(row, recipes)
    yield from _compare_attack(row, recipes)
    yield from _compare_purifiers(row, recipes)
    options = {name: value for name, value in row.options.items() if name != "dataset"}
    yield from compare_json("options", options, _expected_options(row, recipes))
    steps = [recipes.recipe(key) for key in recipes.keys]
    seeds = [recipe["seed"] for recipe in steps if "seed" in recipe]
    yield from compare_json("seed", row.seed, next((seed for seed in seeds if seed != row.seed), row.seed))
    for name, expected in (("quantize", row.protocol["quantize"]), ("dataset", recipes.score.get("dataset"))):
        values = [recipe[name] for recipe in steps if name in recipe]
        yield from compare_json(f"{name} of steps", [value for value in values if value != expected], [])


def _compare_steps(row: Row, recipes: ScoreRecipes, bundle: Bundle) -> Iterator[Comparison]:
    unlisted = [key[:12] for key in recipes.keys if key not in row.steps]
    yield from compare_json("steps of the score missing from the row", unlisted, [])
    unused = [key[:12] for key in row.steps if key not in recipes.keys]
    yield from compare_json("steps of the row not behind its score", unused, [])
    yield from compare_json("steps without recipe", [key[:12] for key in recipes.keys if not bundle.recipe(key)], [])
    unrecorded = [key[:12] for key in row.steps if key not in bundle.evidence.steps]
    yield from compare_json("steps missing from steps.json", unrecorded, [])


def _compare_hasher(row: Row, recipes: ScoreRecipes) -> Iterator[Comparison]:
    yield from compare_json("hasher.stage", recipes.fit.get("stage"), "fit")
    yield from compare_json("hasher.name", row.hasher, _name(recipes.fit))
    yield from compare_json("hasher.bits", row.bits, recipes.fit.get("bits"))


def _compare_attack(row: Row, recipes: ScoreRecipes) -> Iterator[Comparison]:
    other_stages = [recipe.get("stage") for recipe in recipes.attacks if recipe.get("stage") != "attack"]
    yield from compare_json("attacked.stage", other_stages, [])
    names = sorted({_name(recipe) for recipe in recipes.attacks}) or [NONE]
    yield from compare_json("attack", row.attack, "+".join(names))
    if not recipes.attacks:
        yield from compare_json("surrogate", row.surrogate, NONE)
        return
    first = recipes.attacks[0]
    for name in ("attack", "context", "states", "targets"):
        others = [recipe.get(name) for recipe in recipes.attacks if recipe.get(name) != first.get(name)]
        yield from compare_json(f"attack.{name} of shards", others, [])
    yield from compare_json("attack.targets", first.get("targets"), recipes.score.get("targets"))
    if row.surrogate == NONE:
        yield from compare_json("attack.weights", victim_of(first), recipes.weights)
    else:
        hardening, fit = recipes.find_fit(victim_of(first))
        yield from compare_json("surrogate", row.surrogate, _name(fit))
        yield from compare_json("surrogate.hardened", bool(hardening), False)
    eps = _options(first).get("eps")
    if isinstance(eps, int | float) and row.budget.get("norm") is not None:
        yield from compare_json("budget.eps", row.budget.get("eps"), eps)
    yield from compare_json("budget.access", row.access, first.get("access", "gradient"))


def _compare_purifiers(row: Row, recipes: ScoreRecipes) -> Iterator[Comparison]:
    purifiers = _purifiers(recipes)
    hardening = [_name(recipes.hardening)] if recipes.hardening else []
    names = [*hardening, *(str(spec.get("name")) for spec in purifiers)]
    yield from compare_json("defense", row.defense, "+".join(names) or NONE)
    shards = [shard for draw in recipes.draws for shard in draw]
    different = [shard for shard in shards if [component_of(recipe) for recipe in shard.recipes] != purifiers]
    yield from compare_json("shards with another defense", len(different), 0)
    # Without a purifier the attacked shards are encoded as they are; clean queries have no shards at all.
    without_purifier = [recipes.attacked] if recipes.attacked else []
    expected: list[Any] = [recipes.attacked or [None for _ in draw] for draw in recipes.draws] or without_purifier
    yield from compare_json("purified", [[shard.source for shard in draw] for draw in recipes.draws], expected)
    if recipes.attacks:
        in_view = adaptive_purifiers_of(recipes.attacks[0])
        yield from compare_json("threat", in_view, purifiers if row.threat == "adaptive" else [])


def _purifiers(recipes: ScoreRecipes) -> list[Recipe]:
    """Return the specs of the purifiers of the first shard, in order."""
    first = next((shard for draw in recipes.draws for shard in draw), None)
    return [component_of(recipe) for recipe in first.recipes] if first else []


def _expected_options(row: Row, recipes: ScoreRecipes) -> dict[str, Any]:
    """Return the options that the recipes give each role; those of the dataset are in no recipe."""
    options: dict[str, Any] = {"hasher": _options(recipes.fit)}
    if recipes.attacks:
        options["attack"] = _options(recipes.attacks[0])
        if row.surrogate != NONE:
            _, fit = recipes.find_fit(victim_of(recipes.attacks[0]))
            options["surrogate"] = _options(fit)
    hardening = [component_of(recipes.hardening)] if recipes.hardening else []
    defenses = {str(spec.get("name")): spec.get("options") for spec in (*hardening, *_purifiers(recipes))}
    return {**options, "defense": defenses} if defenses else options


def _name(recipe: Recipe) -> str:
    return str(component_of(recipe).get("name"))


def _options(recipe: Recipe) -> Recipe:
    options = component_of(recipe).get("options")
    return options if isinstance(options, Mapping) else {}


def _keys(value: Any) -> list[str]:
    return [key for key in _list(value) if isinstance(key, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
