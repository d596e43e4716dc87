"""Which cells stand side by side in a gallery, and which combinations come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from retbench.plan import Plan
from retbench.report.gallery.combination import Combination, find_combinations, spread
from retbench.testing.toys import ToyDataset

Planner = Callable[..., Plan]


class Other(ToyDataset):
    """The same under another name."""

    name: ClassVar[str] = "other"


def named(combination: Combination) -> list[str]:
    return [planned.cell.name for planned in combination.cells]


def found(plan: Plan) -> list[list[str]]:
    return [named(combination) for combination in find_combinations(plan)]


def cell(attack: str, defense: str, bits: int = 8, threat: str = "oblivious", seed: int = 0) -> str:
    return f"toy/toy/{bits}/i2i/{attack}/none/{defense}/{threat}/{seed}"


def test_an_attack_stands_between_the_clean_cell_and_the_purifier_named_last(toy_plan: Planner) -> None:
    defenses = ["none", "toy", ["toy", "toy"], "toy-hardening"]
    plan = toy_plan({"attack": ["none", "toy", "toy-untargeted"], "defense": defenses})
    assert found(plan) == [
        [cell("none", "none"), cell(attack, "none"), cell(attack, "toy+toy")] for attack in ("toy", "toy-untargeted")
    ]
    assert [each.targeted for each in find_combinations(plan)] == [True, False]
    assert all(each.shares_images for each in find_combinations(plan))


def test_without_a_purifier_a_hardened_hasher_stands_at_the_end(toy_plan: Planner) -> None:
    (only,) = find_combinations(toy_plan({"attack": ["none", "toy"], "defense": ["none", "toy-hardening"]}))
    assert named(only)[2] == cell("toy", "toy-hardening")
    assert not only.shares_images


def test_a_purifier_that_the_attacker_sees_comes_after_one_that_it_does_not(toy_plan: Planner) -> None:
    matrix: dict[str, Any] = {"attack": ["none", "toy"], "defense": ["none", "toy"]}
    (both,) = find_combinations(toy_plan({**matrix, "threat": ["oblivious", "adaptive"]}))
    assert named(both)[2] == cell("toy", "toy")
    (seen,) = find_combinations(toy_plan({**matrix, "threat": "adaptive"}))
    assert named(seen)[2] == cell("toy", "toy", threat="adaptive")
    assert not seen.shares_images


def test_without_a_defense_two_cells_stand_side_by_side(toy_plan: Planner) -> None:
    (only,) = find_combinations(toy_plan({"attack": ["none", "toy"]}))
    assert named(only) == [cell("none", "none"), cell("toy", "none")]
    assert only.defended is None
    assert not only.shares_images


def test_without_a_clean_cell_there_is_nothing_to_show(toy_plan: Planner) -> None:
    assert found(toy_plan({"attack": "toy", "defense": ["none", "toy"]})) == []
    assert found(toy_plan({"attack": ["none", "toy"], "defense": "toy"})) == []


def test_only_the_first_seed_and_answers_that_are_images_are_shown(toy_plan: Planner) -> None:
    plan = toy_plan({"attack": ["none", "toy"], "task": ["i2t", "i2i"], "seed": [3, 1]})
    assert found(plan) == [[cell("none", "none", seed=3), cell("toy", "none", seed=3)]]
    assert found(toy_plan({"attack": ["none", "toy"], "task": "i2t"})) == []


def test_of_a_swept_defense_the_first_setting_is_shown_and_every_one_of_a_swept_attack(toy_plan: Planner) -> None:
    swept = {"toy": {"sweep": {"strength": [0.9, 0.1]}}}
    (only,) = find_combinations(toy_plan({"attack": ["none", "toy"], "defense": ["none", swept]}))
    assert named(only)[2] == f"{cell('toy', 'toy')}[strength=0.9]"
    attacks = {"toy": {"sweep": {"eps": [0.1, 0.3]}}}
    each = found(toy_plan({"attack": ["none", attacks], "defense": ["none", "toy"]}))
    assert [[name.rpartition("/")[2] for name in names] for names in each] == [
        ["0", "0[eps=0.1]", "0[eps=0.1]"],
        ["0", "0[eps=0.3]", "0[eps=0.3]"],
    ]


def test_a_setting_that_is_not_swept_comes_before_one_that_is(toy_plan: Planner) -> None:
    swept = {"toy": {"sweep": {"strength": [0.9, 0.1]}}}
    (only,) = find_combinations(toy_plan({"attack": ["none", "toy"], "defense": ["none", swept, "toy"]}))
    assert named(only)[2] == cell("toy", "toy")


def test_every_attack_comes_once_before_the_second_code_length(toy_plan: Planner) -> None:
    plan = toy_plan({"bits": [8, 16], "attack": ["none", "toy", "toy-untargeted"]})
    combinations = list(find_combinations(plan))
    order = [combinations[at].attacked.cell for at in spread(combinations)]
    assert [(each.axes["attack"], each.bits) for each in order] == [
        ("toy", 8),
        ("toy-untargeted", 8),
        ("toy", 16),
        ("toy-untargeted", 16),
    ]


def test_the_datasets_come_in_turn(toy_plan: Planner) -> None:
    plan = toy_plan({"dataset": ["toy", "other"], "attack": ["none", "toy", "toy-untargeted"]}, Other)
    combinations = list(find_combinations(plan))
    order = [combinations[at].attacked.cell.axes for at in spread(combinations)]
    assert [(axes["dataset"], axes["attack"]) for axes in order] == [
        (dataset, attack) for attack in ("toy", "toy-untargeted") for dataset in ("toy", "other")
    ]
