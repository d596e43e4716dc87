"""Differences between the recipes of results."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from retbench.catalog import Catalog
from retbench.contracts import Event
from retbench.document import parse_document
from retbench.execute import LocalExecutor
from retbench.lineage import RecipeDifference, find_changes, find_recipe_differences
from retbench.plan import Plan, make_plan
from retbench.store import Store
from retbench.suite import LoadedSuite, expand
from retbench.suite.model import Suite
from retbench.testing import TOYS

TEXT = "{suite: toy, matrix: {dataset: toy, hasher: toy, bits: 16, attack: toy, defense: toy}, shard: 4}"


def plan_toys(**options: dict[str, object]) -> Plan:
    document = parse_document(TEXT, "toy.yaml")
    document.data["components"] = {kind: {"toy": values} for kind, values in options.items()}
    loaded = LoadedSuite(Suite(**document.data), document, Path("toy.yaml"), "")
    return make_plan(loaded.suite, expand(loaded, Catalog.of(*TOYS)), "float32")


def score_key(plan: Plan) -> str:
    key = plan.cells[0].key
    assert key is not None
    return key


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    plan, store = plan_toys(), Store(tmp_path_factory.mktemp("store"))

    def check_event(event: Event) -> None:
        assert event.event != "step_failed", event.message

    LocalExecutor(store, torch.device("cpu"), check_event).run(plan)
    return plan, store


def test_an_equal_key_has_no_change(run: tuple[Plan, Store]) -> None:
    plan, store = run
    assert find_changes(score_key(plan), score_key(plan), plan, store) == []


def test_an_option_is_one_change_for_all_steps_that_depend_on_it(run: tuple[Plan, Store]) -> None:
    plan, store = run
    after = plan_toys(attack={"eps": 0.5})
    (change,) = find_changes(score_key(plan), score_key(after), after, store)
    assert (change.field, change.before, change.after) == ("attack.options.eps", 0.2, 0.5)


def test_changes_of_two_components_are_both_found(run: tuple[Plan, Store]) -> None:
    plan, store = run
    after = plan_toys(hasher={"gain": 2.0}, defense={"strength": 0.25})
    fields = {(change.stage, change.field) for change in find_changes(score_key(plan), score_key(after), after, store)}
    assert fields == {("fit", "component.options.gain"), ("purify", "defense.options.strength")}


def test_a_missing_recipe_is_a_change_of_its_key(run: tuple[Plan, Store], tmp_path: Path) -> None:
    plan, _ = run
    after = plan_toys(attack={"eps": 0.5})
    (change,) = find_changes(score_key(plan), score_key(after), after, Store(tmp_path))
    assert change.field == "key"
    assert change.before == score_key(plan)[:12]


def test_more_queries_are_a_change_of_queries(run: tuple[Plan, Store]) -> None:
    plan, store = run
    document = parse_document(TEXT.replace("shard: 4", "shard: 4, protocol: {queries: 6}"), "toy.yaml")
    loaded = LoadedSuite(Suite(**document.data), document, Path("toy.yaml"), "")
    after = make_plan(loaded.suite, expand(loaded, Catalog.of(*TOYS)), "float32")
    fields = {change.field for change in find_changes(score_key(plan), score_key(after), after, store)}
    assert "queries" in fields


def key(letter: str) -> str:
    return letter * 64


def test_fields_of_a_recipe_come_before_those_of_its_inputs() -> None:
    old = {
        key("a"): {"stage": "score", "codes": key("b"), "queries": 1},
        key("b"): {"stage": "encode", "bits": 8, "weights": key("c")},
    }
    new = {
        key("d"): {"stage": "score", "codes": key("e"), "queries": 2},
        key("e"): {"stage": "encode", "bits": 16, "weights": key("f")},
    }
    assert [*find_recipe_differences(key("a"), key("d"), old.get, new.get, "score")] == [
        RecipeDifference(key("a"), key("d"), "score.queries", "queries", 1, 2),
        RecipeDifference(key("b"), key("e"), "score.codes.bits", "bits", 8, 16),
        RecipeDifference(key("b"), key("e"), "score.codes.weights", "weights", key("c"), key("f")),
    ]


def test_a_digest_that_is_not_an_input_is_a_difference() -> None:
    old = {key("a"): {"stage": "score", "queries": key("b")}, key("b"): {"stage": "targets", "rule": 1}}
    new = {key("d"): {"stage": "score", "queries": key("e")}, key("e"): {"stage": "targets", "rule": 2}}
    (difference,) = find_recipe_differences(key("a"), key("d"), old.get, new.get)
    assert difference == RecipeDifference(key("a"), key("d"), "queries", "queries", key("b"), key("e"))


def test_circular_recipes_are_compared_once() -> None:
    old = {key("a"): {"stage": "purify", "source": key("a"), "seed": 0}}
    new = {key("b"): {"stage": "purify", "source": key("b"), "seed": 1}}
    (difference,) = find_recipe_differences(key("a"), key("b"), old.get, new.get)
    assert (difference.path, difference.left, difference.right) == ("seed", 0, 1)
