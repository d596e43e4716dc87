"""Whether a row is named after what its score was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from retbench.bundle.ancestry import Ancestry, Recipe
from retbench.bundle.bundle import Bundle
from retbench.bundle.compare import Comparison, compare_json
from retbench.results import Row

NONE = "none"


def compare_identity(row: Row, bundle: Bundle) -> Iterator[Comparison]:
    """Yields how the names, options, budget, seed and steps of a row compare with the recipes behind its score.

    Every recipe counts by its key, from the score over codes, purifiers and attack to the fit of the hasher; whether a
    recipe has its key is looked at elsewhere.
    """
    past = Ancestry(bundle, row.key)
    yield from _compare_steps(row, past, bundle)
    yield from _compare_hasher(row, past)
    yield from _compare_attack(row, past)
    yield from _compare_purifiers(row, past)
    told = {name: value for name, value in row.options.items() if name != "dataset"}
    yield from compare_json("options", told, _options(row, past))
    recipes = [past.recipe(key) for key in past.keys]
    seeds = [recipe["seed"] for recipe in recipes if "seed" in recipe]
    yield from compare_json("seed", row.seed, next((seed for seed in seeds if seed != row.seed), row.seed))
    for name, expected in (("quantise", row.protocol["quantise"]), ("dataset", past.score.get("dataset"))):
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
    yield from compare_json("hasher.name", row.hasher, _name(past.fit, "component"))
    yield from compare_json("hasher.bits", row.bits, past.fit.get("bits"))


def _compare_attack(row: Row, past: Ancestry) -> Iterator[Comparison]:
    others = [recipe.get("stage") for recipe in past.attacks if recipe.get("stage") != "attack"]
    yield from compare_json("attacked.stage", others, [])
    names = sorted({_name(recipe, "attack") for recipe in past.attacks}) or [NONE]
    yield from compare_json("attack", row.attack, "+".join(names))
    if not past.attacks:
        yield from compare_json("surrogate", row.surrogate, NONE)
        return
    recipe = past.attacks[0]
    for name in ("attack", "sight", "states", "targets"):
        others = [each.get(name) for each in past.attacks if each.get(name) != recipe.get(name)]
        yield from compare_json(f"attack.{name} of shards", others, [])
    yield from compare_json("attack.targets", recipe.get("targets"), past.score.get("targets"))
    seen = _part(recipe, "sight").get("weights")
    if row.surrogate == NONE:
        yield from compare_json("attack.weights", seen, past.weights)
    else:
        hardening, fit = past.trained(seen)
        yield from compare_json("surrogate", row.surrogate, _name(fit, "component"))
        yield from compare_json("surrogate.hardened", bool(hardening), False)
    yield from compare_json("budget.visibility", row.budget.get("visibility"), row.threat)
    eps = _options_of(recipe, "attack").get("eps")
    if isinstance(eps, int | float) and row.budget.get("norm") is not None:
        yield from compare_json("budget.eps", row.budget.get("eps"), eps)


def _compare_purifiers(row: Row, past: Ancestry) -> Iterator[Comparison]:
    specs = _purifiers(past)
    hardening = [_name(past.hardening, "component")] if past.hardening else []
    names = [*hardening, *(str(spec.get("name")) for spec in specs)]
    yield from compare_json("defense", row.defense, "+".join(names) or NONE)
    every = [shard for draw in past.draws for shard in draw]
    others = [shard for shard in every if [recipe.get("defense") for recipe in shard.recipes] != specs]
    yield from compare_json("defense of other shards", len(others), 0)
    # Without a purifier the attacked shards are encoded as they are; clean queries have no shards at all.
    sources = [past.attacked] if past.attacked else []
    expected: list[Any] = [past.attacked or [None for _ in draw] for draw in past.draws] or sources
    yield from compare_json("final", [[shard.source for shard in draw] for draw in past.draws], expected)
    if past.attacks:
        front = _part(past.attacks[0], "sight").get("front")
        seen = [_part(each, "defense") for each in (front if isinstance(front, list) else ())]
        yield from compare_json("threat", seen, specs if row.threat == "adaptive" else [])


def _purifiers(past: Ancestry) -> list[Any]:
    """Returns the specs of the purifiers that the first shard went through."""
    first = next((shard for draw in past.draws for shard in draw), None)
    return [_part(recipe, "defense") for recipe in first.recipes] if first else []


def _options(row: Row, past: Ancestry) -> dict[str, Any]:
    """Returns the options by role that a row must have, less those of its dataset, which no recipe holds."""
    options: dict[str, Any] = {"hasher": _options_of(past.fit, "component")}
    if past.attacks:
        options["attack"] = _options_of(past.attacks[0], "attack")
        if row.surrogate != NONE:
            _, fit = past.trained(_part(past.attacks[0], "sight").get("weights"))
            options["surrogate"] = _options_of(fit, "component")
    specs = [_part(past.hardening, "component")] if past.hardening else []
    defenses = {str(spec.get("name")): spec.get("options") for spec in (*specs, *_purifiers(past))}
    return {**options, "defense": defenses} if defenses else options


def _part(recipe: Any, role: str) -> Recipe:
    part = recipe.get(role) if isinstance(recipe, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _name(recipe: Recipe, role: str) -> str:
    return str(_part(recipe, role).get("name"))


def _options_of(recipe: Recipe, role: str) -> Recipe:
    return _part(_part(recipe, role), "options")
