"""Plans have unique steps, whose keys change with exactly the fields that they depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from retbench.canon import canonical, digest
from retbench.contracts import Facts, Hasher, Part
from retbench.contracts.attack import AttackPart
from retbench.errors import ContractBreach
from retbench.plan import Plan, PlannedCell
from retbench.stages import EncodeSplit, FitAttackPart, Perturb, Stage
from retbench.testing.toys import ToyAttack, ToyDataset, ToyHasher, ToyPart, ToyPrototype, ToyPurifier

Planner = Callable[..., Plan]
EVERYTHING: dict[str, Any] = {
    "hasher": ["toy", {"toy": {"sweep": {"gain": [4.0]}}}],
    "bits": [8, 16],
    "task": ["i2i", "i2t", "t2i", "t2t"],
    "attack": ["none", "toy"],
    "surrogate": ["none", "other"],
    "defense": ["none", "toy", "toy-hardening", ["toy-hardening", "toy"]],
    "threat": ["oblivious", "adaptive"],
    "seed": [0, 1],
}


class OtherHasher(ToyHasher):
    name: ClassVar[str] = "other"


class CountingDataset(ToyDataset):
    """Counts the calls of its fingerprint, which reads files in real datasets."""

    name: ClassVar[str] = "counting"
    calls: ClassVar[list[str]] = []

    def fingerprint(self) -> str:
        self.calls.append(self.name)
        return super().fingerprint()


class FileAttack(ToyAttack):
    """Reads a file."""

    name: ClassVar[str] = "file"

    weights: str = ""

    def files(self, facts: Facts) -> dict[str, Path]:
        return {"weights": Path(self.weights)}


def group(stage: Stage) -> str:
    if stage.name != "encode":
        return stage.name
    return "encode database" if isinstance(stage, EncodeSplit) else "encode queries"


def keys(plan: Plan) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = {}
    for key, stage in plan.steps.items():
        grouped.setdefault(group(stage), set()).add(key)
    return grouped


def attacks(plan: Plan) -> list[Perturb]:
    return [stage for stage in plan.steps.values() if isinstance(stage, Perturb)]


def only_cell(plan: Plan) -> PlannedCell:
    (cell,) = plan.cells
    return cell


def test_cells_share_equal_steps(toy_plan: Planner) -> None:
    matrix = {"bits": [8, 16], "attack": ["none", "toy"], "defense": ["none", "toy"]}
    plan = toy_plan(matrix, shard=4)  # 10 queries: 3 shards
    assert len(plan.cells) == 8
    assert plan.counts() == {
        "fit_part": 1,  # the mean color, for both code lengths and the purifier
        "fit": 2,  # for each code length
        "targets": 1,
        "attack": 2 * 3,  # for each code length, with any defense
        "purify": 3 + 2 * 3,  # clean queries once, attacked ones for each code length
        "encode": 2 + 8,  # the database for each code length, the queries of each cell
        "score": 8,
    }


def test_equal_cells_share_all_steps(toy_plan: Planner) -> None:
    once = toy_plan({"attack": "toy"})
    twice = toy_plan({"attack": ["toy", {"toy": {"sweep": {"eps": [0.2]}}}]})
    assert len(twice.cells) == 2
    assert twice.steps.keys() == once.steps.keys()


def test_every_input_comes_before_its_step(toy_plan: Planner) -> None:
    plan, planned = toy_plan(EVERYTHING, OtherHasher, shard=3), set[str]()
    assert len(plan.steps) > 500
    for key, stage in plan.steps.items():
        assert stage.key == key
        assert set(stage.inputs) <= planned
        planned.add(key)


def test_a_recipe_is_json_and_the_key_is_its_digest(toy_plan: Planner) -> None:
    for key, stage in toy_plan(EVERYTHING, OtherHasher, shard=3).steps.items():
        text = canonical(stage.full_recipe)
        assert canonical(json.loads(text)) == text
        assert digest(json.loads(text)) == key


def test_every_input_is_in_the_recipe(toy_plan: Planner) -> None:
    for stage in toy_plan(EVERYTHING, OtherHasher, shard=3).steps.values():
        recipe = canonical(stage.recipe())
        assert all(upstream in recipe for upstream in stage.inputs), stage.label


def test_recipes_do_not_have_settings_of_the_machine(toy_plan: Planner) -> None:
    steps = toy_plan(EVERYTHING, OtherHasher).steps.values()
    fields = {field for stage in steps for field in field_names(stage.full_recipe)}
    assert fields >= {"precision", "seed", "revision", "options"}
    assert not fields & {"batch", "batch_size", "device", "shard", "workers", "threads", "path", "root", "checkpoints"}


def field_names(value: Any) -> Iterator[str]:
    """Yield the name of every field in nested mappings and lists."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield name
        yield from field_names(inner)
    for inner in value if isinstance(value, list) else ():
        yield from field_names(inner)


AFTER_ATTACK = {"purify", "encode queries", "score"}
AFTER_FIT = {"fit", "encode database", "attack", *AFTER_ATTACK}
ALL = {"fit_part", "targets", *AFTER_FIT}


@pytest.mark.parametrize(
    ("matrix", "rest", "changed"),
    [
        ({}, {"components": {"attack": {"toy": {"eps": 0.1}}}}, {"attack", *AFTER_ATTACK}),
        ({}, {"components": {"defense": {"toy": {"strength": 0.1}}}}, AFTER_ATTACK),
        ({}, {"components": {"hasher": {"toy": {"gain": 1.0}}}}, AFTER_FIT),
        ({}, {"components": {"dataset": {"toy": {"database": 50}}}}, ALL),
        ({"bits": 9}, {}, AFTER_FIT),
        ({"seed": 1}, {}, ALL - {"targets"}),
        ({"threat": "adaptive"}, {}, {"attack", *AFTER_ATTACK}),
        ({"defense": ["toy-hardening", "toy"]}, {}, {"fit_defense", *AFTER_FIT} - {"fit"}),
        ({}, {"precision": "bf16"}, ALL - {"targets"}),
        ({}, {"protocol": {"queries": 6}}, {"attack", *AFTER_ATTACK}),
        ({}, {"protocol": {"quantize": True}}, {"attack", *AFTER_ATTACK}),
        ({}, {"protocol": {"targets": {"seed": 1}}}, {"targets", "attack", *AFTER_ATTACK}),
        ({}, {"protocol": {"targets": {"rule": "uniform"}}}, {"targets", "attack", *AFTER_ATTACK}),
        ({}, {"protocol": {"map": "top-k", "depth": 5}}, {"score"}),
        ({}, {"protocol": {"ties": "best"}}, {"score"}),
        ({}, {"protocol": {"confidence": 0.9}}, {"score"}),
        ({}, {"protocol": {"resamples": 100}}, {"score"}),
        ({}, {"description": "the same", "report": {"layout": "long"}}, set()),
    ],
)
def test_keys_change_with_what_they_depend_on(
    toy_plan: Planner, matrix: dict[str, Any], rest: dict[str, Any], changed: set[str]
) -> None:
    base: dict[str, Any] = {"attack": "toy", "defense": "toy"}
    matrix = {**base, **matrix}
    if isinstance(matrix["defense"], list):
        matrix["defense"] = [matrix["defense"]]
    before, after = keys(toy_plan(base)), keys(toy_plan(matrix, **rest))
    assert {name for name in before | after if before.get(name) != after.get(name)} == changed


@pytest.mark.parametrize("component", [ToyDataset, ToyPart, ToyHasher, ToyAttack, ToyPurifier])
def test_a_new_revision_of_a_component_changes_the_key(
    toy_plan: Planner, monkeypatch: pytest.MonkeyPatch, component: Any
) -> None:
    before = only_cell(toy_plan({"attack": "toy", "defense": "toy"})).key
    monkeypatch.setattr(component, "revision", 2)
    assert only_cell(toy_plan({"attack": "toy", "defense": "toy"})).key != before


def test_full_shards_keep_their_keys_with_more_queries(toy_plan: Planner) -> None:
    few, many = (
        only_cell(toy_plan({"attack": "toy", "defense": "toy"}, shard=4, protocol={"queries": count}))
        for count in (9, 10)
    )
    assert few.attacked[:2] == many.attacked[:2]
    assert few.purified[:2] == many.purified[:2]
    assert few.attacked[2] != many.attacked[2]


def test_a_file_is_identified_by_content_and_not_by_path(toy_plan: Planner, tmp_path: Path) -> None:
    def key(name: str, content: bytes) -> str | None:
        (tmp_path / name).write_bytes(content)
        options = {"attack": {"file": {"weights": str(tmp_path / name)}}}
        plan = toy_plan({"attack": "file"}, FileAttack, components=options)
        assert all(str(tmp_path) not in canonical(stage.full_recipe) for stage in plan.steps.values())
        return only_cell(plan).key

    assert key("first", b"weights") == key("second", b"weights") != key("third", b"other weights")


def test_adaptive_and_oblivious_are_the_same_without_a_purifier(toy_plan: Planner) -> None:
    plan = toy_plan({"attack": "toy", "defense": ["none", "toy-hardening"], "threat": ["oblivious", "adaptive"]})
    plain, plain_adaptive, hardened, hardened_adaptive = (cell.key for cell in plan.cells)
    assert plain == plain_adaptive
    assert hardened == hardened_adaptive
    assert plain != hardened


def test_steps_of_equal_keys_are_equal_in_every_plan(toy_plan: Planner) -> None:
    matrix = {"attack": "toy", "defense": ["none", "toy-hardening"]}
    plans = [
        toy_plan({**matrix, "task": task, "threat": threat})
        for task in ("i2i", "i2t")
        for threat in ("oblivious", "adaptive")
    ]
    assert keys(plans[0])["attack"] == keys(plans[3])["attack"]
    for plan in plans[1:]:
        assert all(plans[0].steps[key] == plan.steps[key] for key in plan.steps.keys() & plans[0].steps.keys())


def test_a_surrogate_is_attacked_with_its_own_codes_and_the_hasher_encodes(toy_plan: Planner) -> None:
    plan = toy_plan({"attack": "toy", "surrogate": "other", "defense": ["none", "toy-hardening"]}, OtherHasher)
    (attack,) = attacks(plan)
    database: Any = plan.steps[attack.context.grants["database_codes"]]
    encodings: list[Any] = [stage for stage in plan.steps.values() if group(stage) == "encode queries"]
    assert attack.context.victim.hasher.name == database.victim.hasher.name == "other"
    assert database.victim.weights == attack.context.victim.weights
    assert [stage.victim.hasher.name for stage in encodings] == ["toy", "toy"]
    assert encodings[0].shards == encodings[1].shards == ((attack.key,),)


def test_a_part_of_an_attack_is_trained_once_for_each_victim(toy_plan: Planner) -> None:
    swept = {"toy-untargeted": {"sweep": {"eps": [0.1, 0.2]}}}
    defenses = ["none", "toy", "toy-hardening"]
    plan = toy_plan({"attack": [swept], "threat": ["oblivious", "adaptive"], "defense": defenses, "bits": [8, 16]})
    prototypes = [step for step in plan.steps.values() if isinstance(step, FitAttackPart)]
    assert len(prototypes) == 2 * 2  # code lengths, times trained and hardened hashers
    assert {step.context.grants.keys() == {"training_codes"} for step in prototypes} == {True}
    assert not any(step.context.purifiers for step in prototypes)


class AttackPartHasher(ToyHasher):
    """Declares a part that only an attack may have."""

    name: ClassVar[str] = "attack-part"

    def parts(self, facts: Facts) -> dict[str, Part | AttackPart]:  # type: ignore[override]  # the fault under test
        return {"prototype": ToyPrototype()}


def test_only_an_attack_may_own_an_attack_part(toy_plan: Planner) -> None:
    assert issubclass(AttackPartHasher, Hasher)
    with pytest.raises(ContractBreach, match="only an attack may own a part"):
        toy_plan({"hasher": "attack-part"}, AttackPartHasher)


def test_ancestry_has_all_steps_that_a_step_depends_on_in_order(toy_plan: Planner) -> None:
    plan = toy_plan(EVERYTHING, OtherHasher, shard=4)
    key = next(cell.key for cell in reversed(plan.cells) if cell.key)
    expected, latest = {key}, [key]
    while latest:
        latest = [upstream for step in latest for upstream in plan.steps[step].inputs if upstream not in expected]
        expected.update(latest)
    found = list(plan.ancestry(key))
    assert len(found) == len(expected)
    assert set(found) == expected
    assert found[-1] == key
    assert all(found.index(upstream) < at for at, step in enumerate(found) for upstream in plan.steps[step].inputs)


def test_an_unknown_key_has_no_ancestry(toy_plan: Planner) -> None:
    assert list(toy_plan({}).ancestry("0" * 64)) == []


def test_a_dataset_is_read_once_for_all_attacks_and_defenses(toy_plan: Planner) -> None:
    calls = []
    for count in (1, 20):
        CountingDataset.calls.clear()
        sweep = {"toy": {"sweep": {"eps": [step / 100 for step in range(1, count + 1)]}}}
        toy_plan({"dataset": "counting", "attack": sweep, "defense": ["none", "toy"]}, CountingDataset, shard=4)
        calls.append(len(CountingDataset.calls))
    assert calls[0] == calls[1]
