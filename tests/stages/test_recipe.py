"""What recipes hold is listed once, and the list is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from retbench.canon import Json
from retbench.contracts import Context, Knowledge, State, TrainingData
from retbench.plan import Plan
from retbench.stages import Stage
from retbench.stages.recipe import RECIPES, component_of, input_keys, purifiers_in_view, victim_of
from retbench.testing.toys import ToyPurifier, ToyUntargeted

Planner = Callable[..., Plan]


class Learner(ToyUntargeted):
    """An attack that trains, with a part that trains too."""

    name: ClassVar[str] = "learner"
    learns: ClassVar[bool] = True

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        return {}


class Trained(ToyPurifier):
    """A purifier that trains."""

    name: ClassVar[str] = "trained"
    learns: ClassVar[bool] = True

    def fit(self, data: TrainingData, ctx: Context) -> State:
        return {}


MATRIX = {
    "hasher": ["toy", "toy-cached"],
    "attack": ["none", "toy", "learner"],
    "defense": ["none", ["toy-hardening", "toy", "trained"]],
    "threat": ["oblivious", "adaptive"],
}


@pytest.fixture
def plan(toy_plan: Planner) -> Plan:
    return toy_plan(MATRIX, Learner, Trained, shard=4)


def texts(value: Json) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def test_every_stage_is_listed_and_planned(plan: Plan) -> None:
    assert {step.name for step in plan.steps.values()} == RECIPES.keys()
    kinds = {type(step) for step in plan.steps.values()}
    assert kinds == {kind for kind in concrete(Stage) if kind.__module__.startswith("retbench.stages")}


def concrete(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and those below it, less the abstract ones and those whose name is private."""
    if not kind.__name__.startswith("_") and not getattr(kind, "__abstractmethods__", None):
        yield kind
    for below in kind.__subclasses__():
        yield from concrete(below)


def test_the_inputs_of_a_recipe_are_the_keys_of_steps_in_it(plan: Plan) -> None:
    for step in plan.steps.values():
        named = [text for text in texts(step.full_recipe) if text in plan.steps]
        assert sorted(input_keys(step.full_recipe)) == sorted(named), step.name


def test_the_component_of_a_recipe_is_the_one_that_works(plan: Plan) -> None:
    for step in plan.steps.values():
        name = step.culprit.name if step.culprit else None
        assert component_of(step.full_recipe).get("name") == name or step.name == "encode"
        if step.name == "encode":  # the hasher is to blame for its codes; the recipe names its weights alone
            assert component_of(step.full_recipe) == {}


def test_an_attack_sees_a_hasher_and_perhaps_purifiers_in_front(plan: Plan) -> None:
    attacks = [step.full_recipe for step in plan.steps.values() if step.name == "attack"]
    assert {plan.steps[victim_of(recipe) or ""].name for recipe in attacks} == {"fit", "fit_defense"}
    fronts = {tuple(str(spec.get("name")) for spec in purifiers_in_view(recipe)) for recipe in attacks}
    assert fronts == {(), ("toy", "trained")}


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [[1]], {"weights": {"weights": 1}}])
@pytest.mark.parametrize("stage", [*RECIPES, "unknown", None])
def test_recipes_of_any_content_have_no_inputs(stage: str | None, junk: Any) -> None:
    fields = (
        "context",
        "states",
        "state",
        "weights",
        "features",
        "draws",
        "source",
        "component",
        "attack",
        "purifiers",
    )
    for rest in ({}, dict.fromkeys(fields, junk), {"context": {"purifiers": [junk]}}):
        recipe = {"stage": stage, **rest}
        assert input_keys(recipe) == ()
        assert victim_of(recipe) is None
        assert all(spec in ({}, junk) for spec in purifiers_in_view(recipe))
        assert not component_of(recipe).get("name")
