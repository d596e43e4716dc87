"""The cells that a gallery shows together, and the order of combinations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from retbench.plan import Plan
from retbench.report.gallery.combination import Combination, display_order, find_combinations
from retbench.testing.toys import ToyDataset

Planner = Callable[..., Plan]


class Other(ToyDataset):
    """The toy dataset under another name."""

    name: ClassVar[str] = "other"


def cell_names(combination: Combination) -> list[str]:
    return [planned.cell.name for planned in combination.cells]


def all_cell_names(plan: Plan) -> list[list[str]]:
    return [cell_names(combination) for combination in find_combinations(plan)]


def cell(attack: str, defense: str, bits: int = 8, threat: str = "oblivious", seed: int = 0) -> str:
    return f"toy/toy/{bits}/i2i/{attack}/none/{defense}/{threat}/{seed}"


def test_a_combination_has_the_last_listed_purifier(toy_plan: Planner) -> None:
    defenses = ["none", "toy", ["toy", "toy"], "toy-hardening"]
    plan = toy_plan({"attack": ["none", "toy", "toy-untargeted"], "defense": defenses})
    assert all_cell_names(plan) == [
        [cell("none", "none"), cell(attack, "none"), cell(attack, "toy+toy")] for attack in ("toy", "toy-untargeted")
    ]
    assert [each.targeted for each in find_combinations(plan)] == [True, False]
    assert all(each.shares_images for each in find_combinations(plan))


def test_without_a_purifier_a_combination_has_a_hardened_hasher(toy_plan: Planner) -> None:
    (combination,) = find_combinations(toy_plan({"attack": ["none", "toy"], "defense": ["none", "toy-hardening"]}))
    assert cell_names(combination)[2] == cell("toy", "toy-hardening")
    assert not combination.shares_images


def test_a_purifier_under_the_oblivious_threat_is_preferred(toy_plan: Planner) -> None:
    matrix: dict[str, Any] = {"attack": ["none", "toy"], "defense": ["none", "toy"]}
    (oblivious,) = find_combinations(toy_plan({**matrix, "threat": ["oblivious", "adaptive"]}))
    assert cell_names(oblivious)[2] == cell("toy", "toy")
    (adaptive,) = find_combinations(toy_plan({**matrix, "threat": "adaptive"}))
    assert cell_names(adaptive)[2] == cell("toy", "toy", threat="adaptive")
    assert not adaptive.shares_images


def test_without_a_defense_a_combination_has_two_cells(toy_plan: Planner) -> None:
    (combination,) = find_combinations(toy_plan({"attack": ["none", "toy"]}))
    assert cell_names(combination) == [cell("none", "none"), cell("toy", "none")]
    assert combination.defended is None
    assert not combination.shares_images


def test_without_a_clean_or_undefended_cell_there_is_no_combination(toy_plan: Planner) -> None:
    assert all_cell_names(toy_plan({"attack": "toy", "defense": ["none", "toy"]})) == []
    assert all_cell_names(toy_plan({"attack": ["none", "toy"], "defense": "toy"})) == []


def test_only_the_first_seed_and_image_to_image_cells_are_combined(toy_plan: Planner) -> None:
    plan = toy_plan({"attack": ["none", "toy"], "task": ["i2t", "i2i"], "seed": [3, 1]})
    assert all_cell_names(plan) == [[cell("none", "none", seed=3), cell("toy", "none", seed=3)]]
    assert all_cell_names(toy_plan({"attack": ["none", "toy"], "task": "i2t"})) == []


def test_a_swept_defense_has_its_first_setting_and_a_swept_attack_all_of_them(toy_plan: Planner) -> None:
    swept = {"toy": {"sweep": {"strength": [0.9, 0.1]}}}
    (combination,) = find_combinations(toy_plan({"attack": ["none", "toy"], "defense": ["none", swept]}))
    assert cell_names(combination)[2] == f"{cell('toy', 'toy')}[strength=0.9]"
    attacks = {"toy": {"sweep": {"eps": [0.1, 0.3]}}}
    each = all_cell_names(toy_plan({"attack": ["none", attacks], "defense": ["none", "toy"]}))
    assert [[name.rpartition("/")[2] for name in names] for names in each] == [
        ["0", "0[eps=0.1]", "0[eps=0.1]"],
        ["0", "0[eps=0.3]", "0[eps=0.3]"],
    ]


def test_an_unswept_defense_is_preferred_over_a_swept_one(toy_plan: Planner) -> None:
    swept = {"toy": {"sweep": {"strength": [0.9, 0.1]}}}
    (combination,) = find_combinations(toy_plan({"attack": ["none", "toy"], "defense": ["none", swept, "toy"]}))
    assert cell_names(combination)[2] == cell("toy", "toy")


def test_every_attack_is_ordered_before_the_second_code_length(toy_plan: Planner) -> None:
    plan = toy_plan({"bits": [8, 16], "attack": ["none", "toy", "toy-untargeted"]})
    combinations = list(find_combinations(plan))
    order = [combinations[at].attacked.cell for at in display_order(combinations)]
    assert [(each.axes["attack"], each.bits) for each in order] == [
        ("toy", 8),
        ("toy-untargeted", 8),
        ("toy", 16),
        ("toy-untargeted", 16),
    ]


def test_datasets_alternate(toy_plan: Planner) -> None:
    plan = toy_plan({"dataset": ["toy", "other"], "attack": ["none", "toy", "toy-untargeted"]}, Other)
    combinations = list(find_combinations(plan))
    order = [combinations[at].attacked.cell.axes for at in display_order(combinations)]
    assert [(axes["dataset"], axes["attack"]) for axes in order] == [
        (dataset, attack) for attack in ("toy", "toy-untargeted") for dataset in ("toy", "other")
    ]
