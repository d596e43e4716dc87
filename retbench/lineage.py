"""What a result was made of, beside what another one was made of: where their recipes differ, and the root of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from retbench.canon import Json, canonical
from retbench.difference import pair_leaves
from retbench.errors import ArtifactError
from retbench.plan import Plan
from retbench.stages.recipe import Recipe, input_keys
from retbench.store import Store

RecipeOf = Callable[[str], Recipe | None]
"""The recipe of a key; None or an empty one where there is none."""


class Root(NamedTuple):
    """A field at the root of a difference between two recipes: not the key of an input that differs in its turn.

    Attributes:
        before, after: keys of the two steps whose recipes hold the field.
        path: the fields that lead to it from the first two recipes, through those of their inputs.
        field: the dotted field; empty where one of the two recipes is gone.
        left, right: its values; None where the field is not there.
    """

    before: str
    after: str
    path: str
    field: str
    left: Json
    right: Json


class Change(NamedTuple):
    """A field of a step's recipe that differs.

    Attributes:
        stage, label: the step, as it is called now; of several alike (shards) the first.
        field: the dotted field.
        before, after: its values; None where the field was not there.
    """

    stage: str
    label: str
    field: str
    before: Json
    after: Json


def find_roots(before: str, after: str, old: RecipeOf, new: RecipeOf, path: str = "") -> Iterator[Root]:
    """Yield the fields in which two steps differ, and of inputs the fields in which those differ.

    A recipe's own fields come before those of its inputs, and every pair of steps is looked at once. Inputs that have
    a recipe on both sides are followed; of another one its key is the difference. Equal keys have none.

    Args:
        before, after: keys of the two steps.
        old, new: the recipes of the keys on either side.
        path: what the two steps are called; leads every path.
    """
    waiting, seen = [(before, after, path)], set[tuple[str, str]]()
    while waiting:
        one, other, at = waiting.pop()
        if one == other or (one, other) in seen:
            continue
        seen.add((one, other))
        first, second = old(one), new(other)
        if not first or not second:
            yield Root(one, other, at, "", one, other)
            continue
        inputs, others = input_keys(first), input_keys(second)
        followed = []
        for field, left, right in pair_leaves(dict(first), dict(second), "scalars"):
            place = f"{at}.{field}" if at else field
            if left == right:
                continue
            if left in inputs and right in others and old(left) and new(right):
                followed.append((left, right, place))
            else:
                yield Root(one, other, place, field, left, right)
        waiting += reversed(followed)


def changes(before: str, after: str, plan: Plan, store: Store) -> list[Change]:
    """Return the fields at the root of the difference between an artifact and a step that would run now.

    Args:
        before: key of an artifact of an earlier run.
        after: key of a step of the plan.
        plan: what would run now.
        store: where the earlier recipes are.

    An input that is gone from the store is reported as one change of its key. Equal keys give no change.
    """

    def recipe(key: str) -> Recipe | None:
        if key in plan.steps:
            return plan.steps[key].full_recipe
        try:
            return cast(Mapping[str, Any], store.meta(key)["recipe"])
        except ArtifactError:
            return None

    found: dict[str, Change] = {}
    for root in find_roots(before, after, recipe, recipe):
        step = plan.steps.get(root.after)
        stage, label = (step.name, step.label) if step else ("gone", root.after[:12])
        gone = not root.field
        field, left, right = ("key", root.before[:12], root.after[:12]) if gone else (root.field, root.left, root.right)
        found.setdefault(canonical([stage, field, left, right]), Change(stage, label, field, left, right))
    return list(found.values())
