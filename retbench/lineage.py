"""Compare the recipes of two results, and find the fields where their histories first differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from retbench.canon import Json, canonical
from retbench.difference import pair_leaves
from retbench.errors import ArtifactError
from retbench.plan import Plan
from retbench.stages.recipe import Recipe, input_keys
from retbench.store import Store

RecipeReader = Callable[[str], Recipe | None]
"""Returns the recipe of a key; None or an empty recipe for an unknown key."""


class RecipeDifference(NamedTuple):
    """A field that differs between two recipes and is not the key of an input that can be compared further.

    Attributes:
        left_key, right_key: the keys of the two steps whose recipes have the field.
        path: the fields that lead from the first two recipes through their inputs to this field.
        field: the dotted field within the two recipes; empty where one of the recipes is unknown.
        left, right: the values; None where the field is missing.
    """

    left_key: str
    right_key: str
    path: str
    field: str
    left: Json
    right: Json


class Change(NamedTuple):
    """A field of a step's recipe that changed since an earlier run.

    Attributes:
        stage, label: the step as it would run now; the first of several equal changes (of shards).
        field: the dotted field.
        before, after: the values; None where the field is missing.
    """

    stage: str
    label: str
    field: str
    before: Json
    after: Json


def find_recipe_differences(
    left_key: str, right_key: str, left_recipe: RecipeReader, right_recipe: RecipeReader, path: str = ""
) -> Iterator[RecipeDifference]:
    """Yield the fields in which the recipes of two steps differ, and those of their inputs, each pair once.

    The fields of a recipe come before those of its inputs. Inputs with a known recipe on both sides are compared in
    their turn; for other inputs the key is the difference. Equal keys have no difference.

    Args:
        left_key: the key of the first step.
        right_key: the key of the second step.
        left_recipe: returns the recipes of the first step and its inputs.
        right_recipe: returns the recipes of the second step and its inputs.
        path: the name of the two steps; prefix of every path.
    """
    waiting, compared = [(left_key, right_key, path)], set[tuple[str, str]]()
    while waiting:
        left_key, right_key, path = waiting.pop()
        if left_key == right_key or (left_key, right_key) in compared:
            continue
        compared.add((left_key, right_key))
        first, second = left_recipe(left_key), right_recipe(right_key)
        if not first or not second:
            yield RecipeDifference(left_key, right_key, path, "", left_key, right_key)
            continue
        left_inputs, right_inputs = input_keys(first), input_keys(second)
        inputs = []
        for field, left, right in pair_leaves(dict(first), dict(second), "scalars"):
            field_path = f"{path}.{field}" if path else field
            if left == right:
                continue
            if left in left_inputs and right in right_inputs and left_recipe(left) and right_recipe(right):
                inputs.append((left, right, field_path))
            else:
                yield RecipeDifference(left_key, right_key, field_path, field, left, right)
        waiting += reversed(inputs)


def find_changes(before: str, after: str, plan: Plan, store: Store) -> list[Change]:
    """Return the fields that explain why a step would run again instead of using an earlier artifact.

    An input whose recipe is not in the store any more is one change of its key. Equal keys have no change.

    Args:
        before: the key of an artifact of an earlier run.
        after: the key of a step of the plan.
        plan: the steps that would run now.
        store: the store with the earlier recipes.
    """

    def recipe(key: str) -> Recipe | None:
        if key in plan.steps:
            return plan.steps[key].full_recipe
        try:
            return cast(Mapping[str, Any], store.meta(key)["recipe"])
        except ArtifactError:
            return None

    changes: dict[str, Change] = {}
    for difference in find_recipe_differences(before, after, recipe, recipe):
        step = plan.steps.get(difference.right_key)
        stage, label = (step.name, step.label) if step else ("gone", difference.right_key[:12])
        if difference.field:
            field, left, right = difference.field, difference.left, difference.right
        else:
            field, left, right = "key", difference.left_key[:12], difference.right_key[:12]
        changes.setdefault(canonical([stage, field, left, right]), Change(stage, label, field, left, right))
    return list(changes.values())
