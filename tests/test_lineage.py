"""What a result was made of, against what it would be made of now."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from retbench.catalog import Catalog
from retbench.contracts import Event
from retbench.document import parse_document
from retbench.execute import LocalExecutor
from retbench.lineage import Root, changes, find_roots
from retbench.plan import Plan, make_plan
from retbench.store import Store
from retbench.suite import LoadedSuite, expand
from retbench.suite.model import Suite
from retbench.testing import TOYS

TEXT = "{suite: toy, matrix: {dataset: toy, hasher: toy, bits: 16, attack: toy, defense: toy}, shard: 4}"


def planned(**options: dict[str, object]) -> Plan:
    document = parse_document(TEXT, "toy.yaml")
    document.data["components"] = {kind: {"toy": values} for kind, values in options.items()}
    loaded = LoadedSuite(Suite(**document.data), document, Path("toy.yaml"), "")
    return make_plan(loaded.suite, expand(loaded, Catalog.of(*TOYS)), "float32")


def score(plan: Plan) -> str:
    key = plan.cells[0].key
    assert key is not None
    return key


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    plan, store = planned(), Store(tmp_path_factory.mktemp("store"))

    def ignore(event: Event) -> None:
        assert event.event != "step_failed", event.message

    LocalExecutor(store, torch.device("cpu"), ignore).run(plan)
    return plan, store


def test_an_equal_key_has_no_change(ran: tuple[Plan, Store]) -> None:
    plan, store = ran
    assert changes(score(plan), score(plan), plan, store) == []


def test_one_option_is_one_change_however_many_steps_it_reaches(ran: tuple[Plan, Store]) -> None:
    plan, store = ran
    after = planned(attack={"eps": 0.5})
    (change,) = changes(score(plan), score(after), after, store)
    assert (change.field, change.before, change.after) == ("attack.options.eps", 0.2, 0.5)


def test_changes_of_two_components_are_both_told(ran: tuple[Plan, Store]) -> None:
    plan, store = ran
    after = planned(hasher={"gain": 2.0}, defense={"strength": 0.25})
    fields = {(change.stage, change.field) for change in changes(score(plan), score(after), after, store)}
    assert fields == {("fit", "component.options.gain"), ("purify", "defense.options.strength")}


def test_a_recipe_that_is_gone_is_told_by_its_key(ran: tuple[Plan, Store], tmp_path: Path) -> None:
    plan, _ = ran
    after = planned(attack={"eps": 0.5})
    (change,) = changes(score(plan), score(after), after, Store(tmp_path))
    assert change.field == "key"
    assert change.before == score(plan)[:12]


def test_a_suite_of_more_shards_tells_the_new_ones(ran: tuple[Plan, Store]) -> None:
    plan, store = ran
    document = parse_document(TEXT.replace("shard: 4", "shard: 4, protocol: {queries: 6}"), "toy.yaml")
    loaded = LoadedSuite(Suite(**document.data), document, Path("toy.yaml"), "")
    after = make_plan(loaded.suite, expand(loaded, Catalog.of(*TOYS)), "float32")
    fields = {change.field for change in changes(score(plan), score(after), after, store)}
    assert "queries" in fields


def keyed(name: str) -> str:
    return name * 64


def test_a_recipes_own_fields_come_before_those_of_its_inputs() -> None:
    old = {
        keyed("a"): {"stage": "score", "codes": keyed("b"), "queries": 1},
        keyed("b"): {"stage": "encode", "bits": 8, "weights": keyed("c")},
    }
    new = {
        keyed("d"): {"stage": "score", "codes": keyed("e"), "queries": 2},
        keyed("e"): {"stage": "encode", "bits": 16, "weights": keyed("f")},
    }
    assert [*find_roots(keyed("a"), keyed("d"), old.get, new.get, "score")] == [
        Root(keyed("a"), keyed("d"), "score.queries", "queries", 1, 2),
        Root(keyed("b"), keyed("e"), "score.codes.bits", "bits", 8, 16),
        Root(keyed("b"), keyed("e"), "score.codes.weights", "weights", keyed("c"), keyed("f")),
    ]


def test_a_digest_that_is_no_input_is_a_root_whatever_has_its_key() -> None:
    old = {keyed("a"): {"stage": "score", "queries": keyed("b")}, keyed("b"): {"stage": "targets", "rule": 1}}
    new = {keyed("d"): {"stage": "score", "queries": keyed("e")}, keyed("e"): {"stage": "targets", "rule": 2}}
    (root,) = find_roots(keyed("a"), keyed("d"), old.get, new.get)
    assert root == Root(keyed("a"), keyed("d"), "queries", "queries", keyed("b"), keyed("e"))


def test_recipes_in_a_circle_end() -> None:
    old = {keyed("a"): {"stage": "purify", "source": keyed("a"), "seed": 0}}
    new = {keyed("b"): {"stage": "purify", "source": keyed("b"), "seed": 1}}
    (root,) = find_roots(keyed("a"), keyed("b"), old.get, new.get)
    assert (root.path, root.left, root.right) == ("seed", 0, 1)
