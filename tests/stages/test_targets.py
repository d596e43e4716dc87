"""What the attacker wants each query to return."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from retbench.contracts import Context, Facts, Noise, TargetRule
from retbench.contracts.facts import Split
from retbench.errors import UserError
from retbench.metrics import chance_level
from retbench.plan import Plan
from retbench.stages import DrawTargets
from retbench.testing.toys import ToyDataset

REAL = Path(__file__).parents[3] / "shared" / "data" / "flickr25k"
Vector = tuple[int, ...]
VECTORS = st.tuples(*[st.integers(0, 1)] * 3)
CTX = Context(torch.device("cpu"), "float32", Noise(0, ()))


class Labeled(ToyDataset):
    """Exactly these labels."""

    asked: tuple[Vector, ...]
    stored: tuple[Vector, ...]

    def facts(self) -> Facts:
        sizes: dict[Split, int] = {"train": 1, "query": len(self.asked), "database": len(self.stored)}
        return Facts("labeled", (12, 12), tuple(map(str, range(len(self.stored[0])))), sizes)

    def ids(self, split: Split) -> Sequence[str]:
        return [f"{split}-{row}" for row in range(self.facts().sizes[split])]

    def labels(self, split: Split) -> Tensor:
        rows = self.asked if split == "query" else self.stored
        return torch.tensor(rows, dtype=torch.uint8).reshape(-1, len(self.stored[0]))


def draw(asked: Sequence[Vector], stored: Sequence[Vector], **rule: Any) -> tuple[Tensor, Tensor]:
    """Target labels and database rows."""
    dataset = Labeled(asked=tuple(asked), stored=tuple(stored))
    outcome = DrawTargets(dataset, TargetRule(**rule)).run(lambda key: pytest.fail(key), CTX)
    return outcome.tensors["labels"], outcome.tensors["rows"]


@given(
    asked=st.lists(VECTORS.filter(lambda vector: sum(vector) < 3), max_size=8),
    stored=st.lists(VECTORS, max_size=20),
    seed=st.integers(0, 5),
)
def test_a_target_shares_nothing_with_its_query_and_is_never_empty(
    asked: list[Vector], stored: list[Vector], seed: int
) -> None:
    stored = [(1, 0, 0), (0, 1, 0), (0, 0, 1), *stored]
    labels, rows = draw(asked, stored, seed=seed)
    queries, database = (torch.tensor(vectors, dtype=torch.uint8).reshape(-1, 3) for vectors in (asked, stored))
    assert not (labels & queries).any()
    assert (labels.sum(1) > 0).all()
    assert torch.equal(database[rows], labels)


def test_only_labels_that_enough_items_carry_are_targets() -> None:
    stored: list[Vector] = [(0, 1, 0)] * 2 + [(0, 0, 1)] * 3
    for_two, _ = draw([(1, 0, 0)] * 50, stored, above=1)
    for_three, _ = draw([(1, 0, 0)] * 50, stored, above=2)
    assert {tuple(label) for label in for_two.tolist()} == {(0, 1, 0), (0, 0, 1)}
    assert {tuple(label) for label in for_three.tolist()} == {(0, 0, 1)}


def test_the_uniform_rule_may_overlap_the_query() -> None:
    labels, _ = draw([(1, 0, 0)] * 100, [(1, 0, 0), (0, 1, 0), (1, 1, 0)], rule="uniform")
    assert {tuple(label) for label in labels.tolist()} == {(1, 0, 0), (0, 1, 0), (1, 1, 0)}


def test_the_different_rule_draws_any_vector_but_the_query_s_own() -> None:
    stored: list[Vector] = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 0)]
    labels, _ = draw([(1, 1, 0)] * 200, stored, rule="different")
    assert {tuple(label) for label in labels.tolist()} == {(1, 0, 0), (0, 1, 0), (0, 0, 0)}
    with pytest.raises(UserError, match="rule different above 0 leaves no target"):
        draw([(1, 0, 0)], [(1, 0, 0)], rule="different")


def test_targets_from_a_file_are_its_lines_and_rows_carry_them(tmp_path: Path) -> None:
    (tmp_path / "toy.txt").write_text("0 1 0 \n1 1 0\n0 1 0\n")
    stored: list[Vector] = [(0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    rule = {"rule": "from-file", "file": str(tmp_path / "{dataset}.txt")}
    labels, rows = draw([(1, 0, 0)] * 3, stored, **rule)
    assert labels.tolist() == [[0, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert torch.equal(torch.tensor(stored)[rows], labels.long())
    assert draw([], stored, **(rule | {"file": _written(tmp_path, "")}))[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 1 0\n", "targets.txt: wrong number of lines: got 1, expected 2 queries"),
        ("0 1 0\n0 1\n", "targets.txt:2: expected 3 columns of 0 and 1: got '0 1'"),
        ("0 1 0\n0 1 2\n", "targets.txt:2: expected 3 columns of 0 and 1: got '0 1 2'"),
        ("0 1 0\n0 1 1\n", "targets.txt:2: no database item of toy carries these labels: got classes [1, 2]"),
    ],
    ids=["too few lines", "too few columns", "no label", "nobody carries it"],
)
def test_a_bad_target_file_is_an_error_that_names_the_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=re.escape(problem)):
        draw([(1, 0, 0)] * 2, [(0, 1, 0), (1, 0, 0)], rule="from-file", file=_written(tmp_path, text))


def _written(folder: Path, text: str) -> str:
    (folder / "targets.txt").write_text(text)
    return str(folder / "targets.txt")


def test_a_target_file_counts_by_its_bytes_and_is_read_before_anything_runs(
    toy_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    def planned(name: str) -> Plan:
        return toy_plan({}, protocol={"targets": {"rule": "from-file", "file": str(tmp_path / name)}})

    with pytest.raises(UserError, match="targets of toy: no such file"):
        planned("first.txt")
    (tmp_path / "first.txt").write_text("0 1 0\n" * 10)
    (tmp_path / "second.txt").write_text("0 1 0\n" * 10)
    assert planned("first.txt").steps.keys() == planned("second.txt").steps.keys()
    (tmp_path / "second.txt").write_text("0 1 0\n" * 9)
    with pytest.raises(UserError, match="wrong number of lines"):
        planned("second.txt")


@pytest.mark.parametrize("rule", [{"rule": "from-file"}, {"file": "targets.txt"}])
def test_a_file_goes_with_its_rule_alone(rule: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="file: required by rule from-file only"):
        TargetRule.model_validate(rule)


@pytest.mark.skipif(not REAL.is_dir(), reason="the published lists of FLICKR-25K are not beside the checkout")
@pytest.mark.parametrize(("rule", "expected"), [({}, 0.667), ({"above": 9}, 0.571)])
def test_the_chance_level_of_flickr_hangs_on_the_rule(rule: dict[str, int], expected: float) -> None:
    asked, stored = (_real(split) for split in ("test", "database"))
    labels, rows = draw(asked, stored, rule="uniform", **rule)
    database = torch.tensor(stored, dtype=torch.uint8)
    assert torch.equal(database[rows], labels)
    assert chance_level(labels, database) == pytest.approx(expected, abs=0.02)  # 1700 draws of a spread of about 0.3


def _real(split: str) -> list[Vector]:
    lines = (REAL / f"{split}_label.txt").read_text().splitlines()
    return [tuple(int(column) for column in line.split()) for line in lines]


def test_a_query_keeps_its_target_whatever_other_queries_there_are() -> None:
    stored: list[Vector] = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 1, 0)] * 3
    asked: list[Vector] = [(1, 0, 0), (0, 1, 0), (0, 0, 1)] * 5
    few, many = draw(asked[:6], stored), draw(asked, stored)
    assert torch.equal(few[0], many[0][:6])
    assert torch.equal(few[1], many[1][:6])


def test_the_draw_is_shared_by_every_sample_attack_and_defense(toy_plan: Callable[..., Plan]) -> None:
    matrix = {"attack": ["none", "toy"], "defense": ["none", "toy"], "hasher": "toy", "seed": [0, 1]}
    plans = [toy_plan(matrix, protocol={"queries": queries}) for queries in (4, "all")]
    drawn = [[key for key, stage in plan.steps.items() if stage.name == "targets"] for plan in plans]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 1


def test_another_seed_draws_other_targets() -> None:
    stored: list[Vector] = [(0, 1, 0), (0, 0, 1)] * 10
    draws = [draw([(1, 0, 0)] * 40, stored, seed=seed) for seed in (0, 1)]
    assert not torch.equal(draws[0][0], draws[1][0])


def test_targets_are_uniform_over_label_vectors_and_rows_over_their_carriers() -> None:
    stored: list[Vector] = [(0, 1, 0)] * 1 + [(0, 0, 1)] * 4 + [(0, 1, 1)] * 15
    labels, rows = draw([(1, 0, 0)] * 6000, stored)
    vectors = Counter(tuple(label) for label in labels.tolist())
    assert chi_square(list(vectors.values()), 2000) < 20
    carriers = Counter(row for row in rows.tolist() if row >= 5)
    assert len(carriers) == 15
    assert chi_square(list(carriers.values()), vectors[0, 1, 1] / 15) < 50


def chi_square(counts: list[int], expected: float) -> float:
    return sum((count - expected) ** 2 / expected for count in counts)


@pytest.mark.parametrize("rule", [{"rule": "zero-overlap"}, {"rule": "zero-overlap", "above": 1}])
def test_a_query_without_a_candidate_is_named(rule: dict[str, Any]) -> None:
    stored: list[Vector] = [(1, 0, 0), (0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 1, 0)]
    problem = r"got 2 queries without a candidate \(query-1 the first\), expected none; try another rule"
    with pytest.raises(UserError, match=problem):
        draw([(0, 0, 1), (1, 0, 1), (1, 1, 1)], stored, **rule)


def test_no_queries_have_no_targets() -> None:
    labels, rows = draw([], [(1, 0, 0)])
    assert labels.shape == (0, 3)
    assert rows.shape == (0,)


def test_database_items_are_drawn_as_they_are_frequent_and_their_rows_uniformly() -> None:
    stored: list[Vector] = [(1, 0, 0)] * 2 + [(0, 0, 0)] * 3 + [(0, 1, 1)] * 15
    labels, rows = draw([(1, 0, 0)] * 6000, stored, rule="database-item")
    assert torch.equal(torch.tensor(stored, dtype=torch.uint8)[rows], labels)
    assert chi_square(list(Counter(rows.tolist()).values()), 300) < 50
    assert set(rows.tolist()) == set(range(20))


def test_the_rarest_vectors_can_be_kept_out_of_the_database_items() -> None:
    labels, _ = draw([(1, 0, 0)] * 200, [(1, 0, 0), (0, 1, 0), (0, 1, 0)], rule="database-item", above=1)
    assert {tuple(label) for label in labels.tolist()} == {(0, 1, 0)}
