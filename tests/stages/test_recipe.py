"""The list of recipe fields is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from retbench.canon import Json
from retbench.contracts import Context, Knowledge, State, TrainingData
from retbench.plan import Plan
from retbench.stages import Stage
from retbench.stages.recipe import RECIPES, adaptive_purifiers_of, component_of, input_keys, victim_of
from retbench.testing.toys import ToyPurifier, ToyUntargeted

Planner = Callable[..., Plan]


class LearningAttack(ToyUntargeted):
    """An attack that learns, with a part that learns."""

    name: ClassVar[str] = "learner"
    learns: ClassVar[bool] = True

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        return {}


class LearningPurifier(ToyPurifier):
    """A purifier that learns."""

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
    return toy_plan(MATRIX, LearningAttack, LearningPurifier, shard=4)


def texts(value: Json) -> Iterator[str]:
    """Yield every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def test_every_stage_is_listed_and_in_the_plan(plan: Plan) -> None:
    assert {step.name for step in plan.steps.values()} == RECIPES.keys()
    kinds = {type(step) for step in plan.steps.values()}
    assert kinds == {kind for kind in concrete(Stage) if kind.__module__.startswith("retbench.stages")}


def concrete(kind: type[Any]) -> Iterator[type[Any]]:
    """Yield a class and its subclasses, without abstract and private ones."""
    if not kind.__name__.startswith("_") and not getattr(kind, "__abstractmethods__", None):
        yield kind
    for subclass in kind.__subclasses__():
        yield from concrete(subclass)


def test_the_inputs_of_a_recipe_are_all_step_keys_in_it(plan: Plan) -> None:
    for step in plan.steps.values():
        keys = [text for text in texts(step.full_recipe) if text in plan.steps]
        assert sorted(input_keys(step.full_recipe)) == sorted(keys), step.name


def test_the_component_of_a_recipe_is_the_main_component(plan: Plan) -> None:
    for step in plan.steps.values():
        name = step.main_component.name if step.main_component else None
        assert component_of(step.full_recipe).get("name") == name or step.name == "encode"
        if step.name == "encode":  # the recipe has the hasher's weights, not its options
            assert component_of(step.full_recipe) == {}


def test_the_recipe_of_an_attack_has_a_victim_and_adaptive_purifiers(plan: Plan) -> None:
    attacks = [step.full_recipe for step in plan.steps.values() if step.name == "attack"]
    assert {plan.steps[victim_of(recipe) or ""].name for recipe in attacks} == {"fit", "fit_defense"}
    purifiers = {tuple(str(spec.get("name")) for spec in adaptive_purifiers_of(recipe)) for recipe in attacks}
    assert purifiers == {(), ("toy", "trained")}


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [[1]], {"weights": {"weights": 1}}])
@pytest.mark.parametrize("stage", [*RECIPES, "unknown", None])
def test_malformed_recipes_have_no_inputs(stage: str | None, junk: Any) -> None:
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
        assert all(spec in ({}, junk) for spec in adaptive_purifiers_of(recipe))
        assert not component_of(recipe).get("name")
