"""The file, line and column of errors in a matrix."""

import re
from collections.abc import Callable

import pytest

from retbench.catalog import BrokenPlugin, Catalog, Origin
from retbench.errors import SuiteError
from retbench.suite import Cell, LoadedSuite, expand
from retbench.testing.toys import TOYS

Cells = Callable[..., list[Cell]]
Load = Callable[..., LoadedSuite]
ReadError = Callable[..., str]
ATTACKS = "faulty, toy, toy-decision, toy-score, toy-untargeted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "  attack: [none,\n    ◆typo]\n",
            f"matrix.attack.1: unknown attack: got 'typo', expected one of {ATTACKS}",
        ),
        (
            "  ◆attack: fauly\n",
            f"matrix.attack: unknown attack: got 'fauly', expected one of {ATTACKS}; nearest: faulty",
        ),
        ("  attack:\n  - toy: {sweep: {eps: [0.1, 0.2]}}\n  - none\n  - ◆typo\n", "matrix.attack.2: unknown attack: "),
        ("  ◆surrogate: typo\n", "matrix.surrogate: unknown hasher: got 'typo', expected one of toy"),
        ("  defense:\n  - toy\n  - ◆[toy, typo]\n", "matrix.defense.1: unknown defense: got 'typo'"),
        ("  defense: [◆[none, toy]]\n", "matrix.defense.0: unknown defense: got 'none'"),
        ("  attack: [◆typo: {sweep: {eps: [1]}}]\n", "matrix.attack.0: unknown attack: got 'typo'"),
        (
            "  attack: [none, toy: {sweep: {◆esp: [0.1]}}]\n",
            "matrix.attack.1.toy.sweep.esp: attack toy: unknown option",
        ),
        (
            "  attack:\n    toy:\n      sweep: {◆eps: [0.1, 7]}\n",
            "matrix.attack.toy.sweep.eps: attack toy: input should",
        ),
        (
            "  include:\n  - bits: 8\n  - {bits: 8, ◆attack: typo}\n",
            "matrix.include.1.attack: unknown attack: got 'typo'",
        ),
        ("  include:\n  - {attack: [none, ◆typo]}\n", "matrix.include.0.attack.1: unknown attack: got 'typo'"),
        (
            "  include:\n  - attack: [toy: {sweep: {◆eps: [7]}}]\n",
            "matrix.include.0.attack.0.toy.sweep.eps: attack toy: ",
        ),
        ("  exclude:\n  - {◆atack: toy}\n", "matrix.exclude.0.atack: unknown axis: got 'atack', .*; nearest: attack"),
        ("  exclude:\n  - attack: [none,\n      ◆typo]\n", "matrix.exclude.0.attack.1: unknown attack: got 'typo'"),
        ("  exclude:\n  - ◆defense: toy+typo\n", "matrix.exclude.0.defense.*: unknown defense: got 'typo'"),
        ("components: {attack: {◆typo: {}}}\n", "components.attack.typo: unknown attack: got 'typo', expected one of"),
        ("components: {attack: {toy: {◆esp: 1}}}\n", "components.attack.toy.esp: attack toy: unknown option: .*: eps"),
        ("components:\n  attack:\n    toy:\n      ◆eps: much\n", "components.attack.toy.eps: .* number.*: got 'much'"),
        ("components: {attack: {toy: {◆eps: '8/255'}}}\n", "components.attack.toy.eps: .* number.*: got '8/255'"),
        ("components: {attack: {toy: {◆eps: 7}}}\n", "components.attack.toy.eps: attack toy: .* equal to 1: got 7"),
        ("components: {attack: {toy: {◆eps: 1e999}}}\n", "components.attack.toy.eps: attack toy: .*finite.*: got inf"),
        ("components: {attack: {toy: {◆eps: {1: 2, a: 3}}}}\n", "components.attack.toy.eps: attack toy: .*: got {1"),
        ("components: {attack: {faulty: {◆fault: odd}}}\n", "components.attack.faulty.fault: .*'nan', .*: got 'odd'"),
        ("overrides:\n- when: {◆atack: toy}\n  components: {}\n", "overrides.0.when.atack: unknown axis: .*: attack"),
        ("overrides:\n- when: {◆attack: typo}\n  components: {}\n", "overrides.0.when.attack.*: unknown attack: got"),
        (
            "overrides:\n- components: {attack: {◆typo: {}}}\n",
            "overrides.0.components.attack.typo: unknown attack: got",
        ),
        (
            "overrides:\n- components: {attack: {toy: {◆esp: 1}}}\n",
            "overrides.0.components.attack.toy.esp: attack toy: unknown option: got 'esp', expected .*; nearest: eps",
        ),
        (
            "  attack: toy\noverrides:\n"
            "- components: {attack: {toy: {eps: 0.1}}}\n- components: {attack: {toy: {◆eps: 7}}}\n",
            "overrides.1.components.attack.toy.eps: attack toy: input should be less than or equal to 1: got 7",
        ),
        ("  ◆defense: [[toy, toy-hardening]]\n", "matrix.defense: expected at most one hardening, before all "),
        (
            "  ◆defense: [[toy-hardening, toy-hardening]]\n",
            "matrix.defense: expected at most one hardening, before all other",
        ),
        ("profiles:\n  big: {matrix: {attack: [none, ◆typo]}}\n", "matrix.attack.1: unknown attack: got 'typo'"),
        ("profiles:\n  big:\n    components: {attack: {toy: {◆eps: 7}}}\n", "components.attack.toy.eps: attack toy: "),
    ],
)
def test_an_error_names_file_line_and_column(read_error: ReadError, text: str, message: str) -> None:
    found = read_error(text, profile="big" if "profiles" in text else "")
    assert re.match(message, found), found


@pytest.mark.parametrize("axis", ["dataset", "hasher"])
def test_every_cell_needs_a_dataset_and_a_hasher(read_error: ReadError, axis: str) -> None:
    head = "suite: trial\nmatrix:\n  dataset: toy\n  hasher: toy\n".replace(f"{axis}: toy", f"◆{axis}: none")
    assert read_error("", head=head) == f"matrix.{axis}: every cell needs a {axis}: got none"


@pytest.mark.parametrize("rest", ["  exclude: [{dataset: toy}]\n", "  attack: [none, toy]\n  exclude: [{}]\n"])
def test_a_matrix_without_cells_is_refused(read_error: ReadError, rest: str) -> None:
    head = "suite: trial\n◆matrix:\n  dataset: toy\n  hasher: toy\n"
    assert read_error(rest, head=head) == "matrix: no cell is left: exclude and only drop them all"


def test_the_error_of_an_unknown_component_mentions_broken_plugins(load: Load) -> None:
    catalog = Catalog.of(*TOYS)
    catalog.broken.append(BrokenPlugin(Origin("brittle", "0.1"), "it does not import"))
    with pytest.raises(SuiteError, match="nearest: toy; 1 broken: see `retbench plugins list`"):
        expand(load("  attack: typo\n"), catalog)


def test_an_error_in_a_set_option_names_the_set(cells: Cells) -> None:
    for name, message in {
        "toy.eps=7": "toy.eps: attack toy: input should be less than or equal to 1: got 7",
        "toy.esp=1": "toy.esp: attack toy: unknown option: got 'esp', expected one of eps; nearest: eps",
        "typo.eps=1": f"typo: unknown attack: got 'typo', expected one of {ATTACKS}; nearest: toy",
    }.items():
        with pytest.raises(SuiteError) as caught:
            cells("  attack: toy\noverrides: [{components: {}}]\n", sets=[f"components.attack.{name}"])
        assert str(caught.value).startswith(f"set components.attack.{name}: components.attack.{message}")
