"""Compares what a result was made of with what it would be made of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from retbench.canon import Json, canonical
from retbench.errors import ArtifactError
from retbench.plan import Plan
from retbench.store import Store


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


def changes(before: str, after: str, plan: Plan, store: Store) -> list[Change]:
    """Returns the fields at the root of the difference between two artifacts: where recipes differ in more than inputs.

    Args:
        before: key of an artifact of an earlier run.
        after: key of a step of the plan.
        plan: what would run now.
        store: where the earlier recipes are.

    An input that is gone from the store is reported as one change of its key. Equal keys give no change.
    """
    found: dict[str, Change] = {}
    for change in _walk(before, after, plan, store, set()):
        found.setdefault(canonical([change.stage, change.field, change.before, change.after]), change)
    return list(found.values())


def _walk(before: str, after: str, plan: Plan, store: Store, seen: set[tuple[str, str]]) -> Iterator[Change]:
    if before == after or (before, after) in seen:
        return
    seen.add((before, after))
    old, new = _recipe(before, plan, store), _recipe(after, plan, store)
    step = (plan.steps[after].name, plan.steps[after].label) if after in plan.steps else ("gone", after[:12])
    if old is None or new is None:
        yield Change(*step, "key", before[:12], after[:12])
        return
    old_leaves, new_leaves = dict(_leaves(old)), dict(_leaves(new))
    for field in dict.fromkeys([*old_leaves, *new_leaves]):
        was, now = old_leaves.get(field), new_leaves.get(field)
        if was == now:
            continue
        if _known(was, plan, store) and _known(now, plan, store):
            yield from _walk(cast(str, was), cast(str, now), plan, store, seen)
        else:
            yield Change(*step, field, was, now)


def _known(value: Json, plan: Plan, store: Store) -> bool:
    return isinstance(value, str) and len(value) == 64 and _recipe(value, plan, store) is not None


def _recipe(key: str, plan: Plan, store: Store) -> Mapping[str, Json] | None:
    if key in plan.steps:
        return plan.steps[key].full_recipe
    try:
        return cast(Mapping[str, Json], store.meta(key)["recipe"])
    except ArtifactError:
        return None


def _leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Yields the scalars of a recipe by dotted path."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{index}")
    else:
        yield path, value
