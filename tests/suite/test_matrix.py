"""Expanding a suite into cells."""

from collections.abc import Callable
from typing import Any

import pytest

from retbench.errors import SuiteError, UnknownName, UserError
from retbench.suite import AXES, Cell
from retbench.suite.matrix import _merge_options
from retbench.testing.toys import FaultyAttack, ToyAttack, ToyDataset, ToyHardening, ToyHasher, ToyPurifier

Cells = Callable[..., list[Cell]]

SWEPT = "  attack: [none, toy: {sweep: {eps: [0.1, 1/4]}}]\n"
TWO = "  attack: [none, toy]\n  defense: [none, toy]\n"


def names(cells: list[Cell]) -> list[str]:
    return [cell.name for cell in cells]


def attacks(cells: list[Cell]) -> list[float]:
    """Return the budget of the toy attack in every cell that has it."""
    return [cell.attack.eps for cell in cells if isinstance(cell.attack, ToyAttack)]


def test_a_suite_without_options_is_one_cell(cells: Cells) -> None:
    (cell,) = cells()
    assert cell.axes == {
        "dataset": "toy",
        "hasher": "toy",
        "bits": 32,
        "task": "i2i",
        "attack": "none",
        "surrogate": "none",
        "defense": "none",
        "threat": "oblivious",
        "seed": 0,
    }
    assert tuple(cell.axes) == AXES
    assert (cell.dataset, cell.hasher, cell.attack, cell.surrogate) == (ToyDataset(), ToyHasher(), None, None)
    assert (cell.bits, cell.task, cell.defenses, cell.threat, cell.seed) == (32, "i2i", (), "oblivious", 0)
    assert (cell.name, cell.variant) == ("toy/toy/32/i2i/none/none/none/oblivious/0", "")


def test_cells_are_the_product_of_the_axes_in_order(cells: Cells) -> None:
    found = cells("  bits: [16, 8]\n  attack: [toy, none]\n  seed: [1, 0]\n  threat: [oblivious, adaptive]\n")
    points = [(c.bits, c.axes["attack"], c.threat, c.seed) for c in found]
    assert points == [
        (bits, attack, threat, seed)
        for bits in (16, 8)
        for attack in ("toy", "none")
        for threat in ("oblivious", "adaptive")
        for seed in (1, 0)
    ]
    assert len(set(names(found))) == len(found)


def test_names_become_components(cells: Cells) -> None:
    found = cells("  attack: faulty\n  surrogate: toy\n  defense: [[toy-hardening, toy, faulty]]\n  task: i2t\n")
    (cell,) = found
    assert (type(cell.attack), type(cell.surrogate)) == (FaultyAttack, ToyHasher)
    assert [defense.name for defense in cell.defenses] == ["toy-hardening", "toy", "faulty"]
    assert cell.name == "toy/toy/32/i2t/faulty/toy/toy-hardening+toy+faulty/oblivious/0"


def test_a_repeated_value_is_one_cell(cells: Cells) -> None:
    assert len(cells("  attack: [toy, none, toy]\n  bits: [8, 8]\n  seed: [0, 0]\n")) == 2
    assert len(cells("  attack: [toy: {sweep: {eps: [0.5, 1/2]}}]\n")) == 1
    assert len(cells(TWO + "  include:\n  - {attack: toy}\n")) == 4


def test_exclude_drops_cells_that_match_every_axis_of_a_pattern(cells: Cells) -> None:
    found = cells(TWO + "  bits: [8, 16]\n  exclude:\n  - {attack: toy, defense: [toy]}\n  - {bits: 8, attack: none}\n")
    kept = [(cell.bits, cell.axes["attack"], cell.axes["defense"]) for cell in found]
    assert kept == [(8, "toy", "none"), (16, "none", "none"), (16, "none", "toy"), (16, "toy", "none")]


def test_exclude_matches_combined_defenses_by_label(cells: Cells) -> None:
    found = cells("  defense: [toy, [toy-hardening, toy]]\n  exclude: [{defense: toy-hardening+toy}]\n")
    assert [cell.axes["defense"] for cell in found] == ["toy"]


def test_include_adds_cells_with_the_first_value_of_every_other_axis(cells: Cells) -> None:
    found = cells(TWO + "  bits: [16, 8]\n  include:\n  - {bits: 64, attack: [faulty, none], seed: 3}\n")
    assert names(found)[-2:] == [
        "toy/toy/64/i2i/faulty/none/none/oblivious/3",
        "toy/toy/64/i2i/none/none/none/oblivious/3",
    ]
    assert len(found) == 10


def test_exclude_does_not_drop_included_cells(cells: Cells) -> None:
    found = cells(TWO + "  exclude: [{attack: toy}]\n  include: [{attack: toy, defense: toy}]\n")
    assert [(cell.axes["attack"], cell.axes["defense"]) for cell in found] == [
        ("none", "none"),
        ("none", "toy"),
        ("toy", "toy"),
    ]


def test_a_sweep_makes_a_labeled_cell_for_each_value(cells: Cells) -> None:
    found = cells(SWEPT)
    assert [(cell.axes["attack"], cell.variant) for cell in found] == [
        ("none", ""),
        ("toy", "eps=0.1"),
        ("toy", "eps=0.25"),
    ]
    assert attacks(found) == [0.1, 0.25]
    assert found[1].name == "toy/toy/32/i2i/toy/none/none/oblivious/0[eps=0.1]"


def test_sweeps_of_two_axes_multiply(cells: Cells) -> None:
    found = cells(SWEPT + "  defense: [toy: {sweep: {strength: [0, 1]}}]\n")
    assert [cell.variant for cell in found] == [
        "strength=0",
        "strength=1",
        "eps=0.1,strength=0",
        "eps=0.1,strength=1",
        "eps=0.25,strength=0",
        "eps=0.25,strength=1",
    ]


def test_sweeps_of_one_option_name_on_two_axes_have_labels_with_the_axis(cells: Cells) -> None:
    axis = "[toy, toy: {sweep: {gain: [1, 2]}}]"
    found = cells(
        f"  attack: toy\n  surrogate: {axis}\n", head="suite: trial\nmatrix:\n  dataset: toy\n  hasher: " + axis + "\n"
    )
    assert len(set(names(found))) == len(found) == 9
    gains = {cell.variant: (cell.hasher, cell.surrogate) for cell in found}
    assert gains["hasher.gain=1"] == (ToyHasher(gain=1), ToyHasher())
    assert gains["surrogate.gain=1"] == (ToyHasher(), ToyHasher(gain=1))
    assert gains["hasher.gain=1,surrogate.gain=2"] == (ToyHasher(gain=1), ToyHasher(gain=2))


def test_equal_components_of_many_cells_are_built_once(cells: Cells) -> None:
    found = cells(TWO + "  seed: [0, 1, 2]\n")
    assert len({id(cell.attack) for cell in found if cell.attack}) == 1
    assert len({id(cell.hasher) for cell in found}) == 1


def test_options_of_the_suite_apply_to_every_cell(cells: Cells) -> None:
    found = cells(
        "  attack: [toy, none]\n  surrogate: toy\ncomponents: {attack: {toy: {eps: 8/255}}, hasher: {toy: {gain: 2}}}\n"
    )
    assert attacks(found) == [8 / 255]
    assert {(cell.hasher, cell.surrogate) for cell in found} == {(ToyHasher(gain=2), ToyHasher(gain=2))}


LAYERED = """  attack: toy
  defense: [none, toy]
  bits: [8, 16]
components: {attack: {toy: {eps: 0.1}}, defense: {toy: {strength: 0.1}}}
overrides:
- when: {defense: toy}
  components: {attack: {toy: {eps: 0.3}}}
- when: {defense: [toy], bits: 16}
  components: {attack: {toy: {eps: 0.4}}}
profiles:
  strong: {components: {attack: {toy: {eps: 0.2}}}}
"""


def budgets(cells: list[Cell]) -> dict[tuple[str | int, int], float]:
    return {(cell.axes["defense"], cell.bits): cell.attack.eps for cell in cells if isinstance(cell.attack, ToyAttack)}


def test_the_last_matching_override_wins(cells: Cells) -> None:
    assert budgets(cells(LAYERED)) == {("none", 8): 0.1, ("none", 16): 0.1, ("toy", 8): 0.3, ("toy", 16): 0.4}


def test_a_profile_wins_over_the_suite_and_loses_to_overrides(cells: Cells) -> None:
    expected = {("none", 8): 0.2, ("none", 16): 0.2, ("toy", 8): 0.3, ("toy", 16): 0.4}
    assert budgets(cells(LAYERED, profile="strong")) == expected


@pytest.mark.parametrize("assignment", ["components.attack.toy.eps=0.5", "components.attack.toy={eps: 1/2}"])
def test_set_wins_over_everything(cells: Cells, assignment: str) -> None:
    found = cells(LAYERED, profile="strong", sets=[assignment])
    assert set(budgets(found).values()) == {0.5}
    assert {cell.defenses for cell in found} == {(), (ToyPurifier(strength=0.1),)}


def test_an_override_changes_only_the_options_it_names(cells: Cells) -> None:
    text = "components: {dataset: {toy: {queries: 3, database: 9}}}\n"
    override = "overrides:\n- components: {dataset: {toy: {queries: 5}}}\n"
    assert [cell.dataset for cell in cells(text + override)] == [ToyDataset(queries=5, database=9)]


def test_an_override_may_match_any_axis(cells: Cells) -> None:
    for when in ("seed: 1", "threat: adaptive", "task: i2t", "hasher: toy, seed: [1, 2]", "surrogate: none, seed: 1"):
        found = cells(
            "  seed: [0, 1]\n  threat: [oblivious, adaptive]\n  task: [i2i, i2t]\n  attack: toy\n"
            f"overrides:\n- when: {{{when}}}\n  components: {{attack: {{toy: {{eps: 0.9}}}}}}\n"
        )
        assert sorted(attacks(found)) == [0.2] * 4 + [0.9] * 4


def test_a_swept_option_wins_over_the_suite_and_the_others_stay(cells: Cells) -> None:
    head = "suite: trial\nmatrix:\n  hasher: toy\n  dataset: [toy: {sweep: {queries: [1, 2]}}]\n"
    found = cells("components: {dataset: {toy: {queries: 7, database: 9}}}\n", head=head)
    assert [cell.dataset for cell in found] == [ToyDataset(queries=1, database=9), ToyDataset(queries=2, database=9)]


def test_set_of_a_matrix_axis_replaces_its_list(cells: Cells) -> None:
    found = cells(TWO, sets=["matrix.attack=[faulty, toy]", "matrix.defense=none"])
    assert [cell.axes["attack"] for cell in found] == ["faulty", "toy"]
    with pytest.raises(
        SuiteError, match=r"^set matrix.attack=\[none, typo\]: matrix.attack.1: unknown attack: got 'typo'"
    ):
        cells(TWO, sets=["matrix.attack=[none, typo]"])


@pytest.mark.parametrize(
    ("only", "count"),
    [
        ([], 12),
        (["attack=toy"], 6),
        (["attack=toy,none"], 12),
        (["bits=8"], 4),
        (["bits=8,16", "defense=none"], 4),
        (["attack=none", "attack=toy,none"], 6),
        (["threat=oblivious"], 12),
    ],
)
def test_only_selects_the_cells_that_match_every_filter(cells: Cells, only: list[str], count: int) -> None:
    everything, found = cells(TWO + "  bits: [8, 16, 32]\n"), cells(TWO + "  bits: [8, 16, 32]\n", only)
    assert len(found) == count
    assert [cell for cell in everything if cell in found] == found


def test_only_selects_combined_and_swept_choices_by_label(cells: Cells) -> None:
    assert (
        len(cells(SWEPT + "  defense: [toy, [toy-hardening, toy]]\n", ["defense=toy-hardening+toy", "attack=toy"])) == 2
    )


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("attack", "only: expected axis=value[,value], got 'attack'"),
        ("atack=toy", "only: axis: unknown name: got 'atack', expected one of attack, bits, "),
        ("attack=faulty", "only: attack of this matrix: unknown name: got 'faulty', expected one of none, toy"),
        (
            "attack=toy,noe",
            "only: attack of this matrix: unknown name: got 'noe', expected one of none, toy; nearest: none",
        ),
        ("attack=", "only: attack of this matrix: unknown name: got ''"),
        ("bits=64", "only: bits of this matrix: unknown name: got '64', expected one of 32"),
        ("=toy", "only: axis: unknown name: got ''"),
    ],
)
def test_a_filter_that_cannot_match_is_refused(cells: Cells, only: str, message: str) -> None:
    with pytest.raises((UnknownName, UserError)) as caught:
        cells(TWO, [only])
    assert str(caught.value).startswith(message)


def test_filters_that_leave_no_cell_are_refused(cells: Cells) -> None:
    with pytest.raises(SuiteError, match=r"suite.yaml:2:1: matrix: no cell is left"):
        cells(TWO, ["attack=toy", "attack=none"])


def test_files_of_equal_content_have_equal_cells(cells: Cells) -> None:
    spread = "  attack:\n    - none\n    - toy\ncomponents:\n  attack:\n    toy:\n      eps: 0.25\n"
    assert cells(spread) == cells("  attack: [none, toy]\ncomponents: {attack: {toy: {eps: 1/4}}}\n")
    hardened: Any = cells("  defense: toy-hardening\n")[0].defenses
    assert hardened == (ToyHardening(),)


def test_nested_options_merge_and_others_are_replaced() -> None:
    options = {"training": {"steps": 10, "batch_size": 32}, "levels": [1, 2]}
    layer = {"training": {"steps": 20}, "levels": [3]}
    assert _merge_options(options, layer) == {"training": {"steps": 20, "batch_size": 32}, "levels": [3]}
