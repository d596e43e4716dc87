"""The targets of the queries."""

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


class LabeledDataset(ToyDataset):
    """A dataset with given labels."""

    query_labels: tuple[Vector, ...]
    database_labels: tuple[Vector, ...]

    def facts(self) -> Facts:
        sizes: dict[Split, int] = {"train": 1, "query": len(self.query_labels), "database": len(self.database_labels)}
        return Facts("labeled", (12, 12), tuple(map(str, range(len(self.database_labels[0])))), sizes)

    def ids(self, split: Split) -> Sequence[str]:
        return [f"{split}-{row}" for row in range(self.facts().sizes[split])]

    def labels(self, split: Split) -> Tensor:
        rows = self.query_labels if split == "query" else self.database_labels
        return torch.tensor(rows, dtype=torch.uint8).reshape(-1, len(self.database_labels[0]))


def draw(queries: Sequence[Vector], database: Sequence[Vector], **rule: Any) -> tuple[Tensor, Tensor]:
    """Return the target labels and the database rows."""
    dataset = LabeledDataset(query_labels=tuple(queries), database_labels=tuple(database))
    outcome = DrawTargets(dataset, TargetRule(**rule)).run(lambda key: pytest.fail(key), CTX)
    return outcome.tensors["labels"], outcome.tensors["rows"]


@given(
    query_labels=st.lists(VECTORS.filter(lambda vector: sum(vector) < 3), max_size=8),
    database_labels=st.lists(VECTORS, max_size=20),
    seed=st.integers(0, 5),
)
def test_a_target_shares_no_label_with_its_query_and_is_never_empty(
    query_labels: list[Vector], database_labels: list[Vector], seed: int
) -> None:
    database_labels = [(1, 0, 0), (0, 1, 0), (0, 0, 1), *database_labels]
    labels, rows = draw(query_labels, database_labels, seed=seed)
    queries, database = (
        torch.tensor(vectors, dtype=torch.uint8).reshape(-1, 3) for vectors in (query_labels, database_labels)
    )
    assert not (labels & queries).any()
    assert (labels.sum(1) > 0).all()
    assert torch.equal(database[rows], labels)


def test_only_labels_of_more_items_than_the_limit_are_targets() -> None:
    database: list[Vector] = [(0, 1, 0)] * 2 + [(0, 0, 1)] * 3
    above_one, _ = draw([(1, 0, 0)] * 50, database, above=1)
    above_two, _ = draw([(1, 0, 0)] * 50, database, above=2)
    assert {tuple(label) for label in above_one.tolist()} == {(0, 1, 0), (0, 0, 1)}
    assert {tuple(label) for label in above_two.tolist()} == {(0, 0, 1)}


def test_targets_of_the_uniform_rule_may_share_labels_with_the_query() -> None:
    labels, _ = draw([(1, 0, 0)] * 100, [(1, 0, 0), (0, 1, 0), (1, 1, 0)], rule="uniform")
    assert {tuple(label) for label in labels.tolist()} == {(1, 0, 0), (0, 1, 0), (1, 1, 0)}


def test_the_different_rule_draws_any_vector_except_that_of_the_query() -> None:
    database: list[Vector] = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 0)]
    labels, _ = draw([(1, 1, 0)] * 200, database, rule="different")
    assert {tuple(label) for label in labels.tolist()} == {(1, 0, 0), (0, 1, 0), (0, 0, 0)}


def test_a_query_without_a_possible_target_has_no_class_and_no_row() -> None:
    labels, rows = draw([(1, 0, 0), (0, 1, 0)], [(1, 0, 0)] * 3, rule="different")
    assert labels.tolist() == [[0, 0, 0], [1, 0, 0]]
    assert rows[0] == -1
    assert 0 <= rows[1] < 3


def test_targets_from_a_file_are_its_lines(tmp_path: Path) -> None:
    (tmp_path / "toy.txt").write_text("0 1 0 \n1 1 0\n0 1 0\n")
    database: list[Vector] = [(0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    rule = {"rule": "from-file", "file": str(tmp_path / "{dataset}.txt")}
    labels, rows = draw([(1, 0, 0)] * 3, database, **rule)
    assert labels.tolist() == [[0, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert torch.equal(torch.tensor(database)[rows], labels.long())
    assert draw([], database, **(rule | {"file": _write_targets(tmp_path, "")}))[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 1 0\n", "targets.txt: wrong number of lines: got 1, expected 2 queries"),
        ("0 1 0\n0 1\n", "targets.txt:2: expected 3 columns of 0 and 1: got '0 1'"),
        ("0 1 0\n0 1 2\n", "targets.txt:2: expected 3 columns of 0 and 1: got '0 1 2'"),
        ("0 1 0\n0 1 1\n", "targets.txt:2: no database item of toy has these labels: got classes [1, 2]"),
    ],
    ids=["too few lines", "too few columns", "no label", "no item has it"],
)
def test_the_error_of_a_malformed_target_file_names_the_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=re.escape(problem)):
        draw([(1, 0, 0)] * 2, [(0, 1, 0), (1, 0, 0)], rule="from-file", file=_write_targets(tmp_path, text))


def _write_targets(folder: Path, text: str) -> str:
    (folder / "targets.txt").write_text(text)
    return str(folder / "targets.txt")


def test_a_target_file_is_identified_by_content_and_checked_while_planning(
    toy_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    def make_plan(name: str) -> Plan:
        return toy_plan({}, protocol={"targets": {"rule": "from-file", "file": str(tmp_path / name)}})

    with pytest.raises(UserError, match="targets of toy: no such file"):
        make_plan("first.txt")
    (tmp_path / "first.txt").write_text("0 1 0\n" * 10)
    (tmp_path / "second.txt").write_text("0 1 0\n" * 10)
    assert make_plan("first.txt").steps.keys() == make_plan("second.txt").steps.keys()
    (tmp_path / "second.txt").write_text("0 1 0\n" * 9)
    with pytest.raises(UserError, match="wrong number of lines"):
        make_plan("second.txt")


@pytest.mark.parametrize("rule", [{"rule": "from-file"}, {"file": "targets.txt"}])
def test_a_file_and_its_rule_need_each_other(rule: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="file: required by rule from-file only"):
        TargetRule.model_validate(rule)


@pytest.mark.skipif(not REAL.is_dir(), reason="the published FLICKR-25K lists are not on this machine")
@pytest.mark.parametrize(("rule", "expected"), [({}, 0.667), ({"above": 9}, 0.571)])
def test_the_chance_level_of_flickr_depends_on_the_rule(rule: dict[str, int], expected: float) -> None:
    queries, database_labels = (_read_published(split) for split in ("test", "database"))
    labels, rows = draw(queries, database_labels, rule="uniform", **rule)
    database = torch.tensor(database_labels, dtype=torch.uint8)
    assert torch.equal(database[rows], labels)
    assert chance_level(labels, database) == pytest.approx(
        expected, abs=0.02
    )  # 1700 draws with a standard deviation of about 0.3


def _read_published(split: str) -> list[Vector]:
    lines = (REAL / f"{split}_label.txt").read_text().splitlines()
    return [tuple(int(column) for column in line.split()) for line in lines]


def test_the_target_of_a_query_does_not_depend_on_other_queries() -> None:
    database: list[Vector] = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 1, 0)] * 3
    queries: list[Vector] = [(1, 0, 0), (0, 1, 0), (0, 0, 1)] * 5
    few, many = draw(queries[:6], database), draw(queries, database)
    assert torch.equal(few[0], many[0][:6])
    assert torch.equal(few[1], many[1][:6])


def test_all_attacks_and_defenses_share_the_targets(toy_plan: Callable[..., Plan]) -> None:
    matrix = {"attack": ["none", "toy"], "defense": ["none", "toy"], "hasher": "toy", "seed": [0, 1]}
    plans = [toy_plan(matrix, protocol={"queries": queries}) for queries in (4, "all")]
    keys = [[key for key, stage in plan.steps.items() if stage.name == "targets"] for plan in plans]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 1


def test_another_seed_draws_other_targets() -> None:
    database: list[Vector] = [(0, 1, 0), (0, 0, 1)] * 10
    draws = [draw([(1, 0, 0)] * 40, database, seed=seed) for seed in (0, 1)]
    assert not torch.equal(draws[0][0], draws[1][0])


def test_targets_are_uniform_over_label_vectors_and_their_rows_are_uniform() -> None:
    database: list[Vector] = [(0, 1, 0)] * 1 + [(0, 0, 1)] * 4 + [(0, 1, 1)] * 15
    labels, rows = draw([(1, 0, 0)] * 6000, database)
    vectors = Counter(tuple(label) for label in labels.tolist())
    assert chi_square(list(vectors.values()), 2000) < 20
    row_counts = Counter(row for row in rows.tolist() if row >= 5)
    assert len(row_counts) == 15
    assert chi_square(list(row_counts.values()), vectors[0, 1, 1] / 15) < 50


def chi_square(counts: list[int], expected: float) -> float:
    return sum((count - expected) ** 2 / expected for count in counts)


@pytest.mark.parametrize("rule", [{"rule": "zero-overlap"}, {"rule": "zero-overlap", "above": 1}])
def test_the_queries_without_a_candidate_are_named(rule: dict[str, Any]) -> None:
    database: list[Vector] = [(1, 0, 0), (0, 0, 0), (0, 0, 0), (1, 1, 0), (1, 1, 0)]
    queries: list[Vector] = [(0, 0, 1), (1, 0, 1), (1, 1, 1)]
    targets = DrawTargets(
        LabeledDataset(query_labels=tuple(queries), database_labels=tuple(database)), TargetRule(**rule)
    )
    assert targets.find_untargeted([0, 1, 2]) == ["query-1", "query-2"]
    assert targets.find_untargeted([2, 0]) == ["query-2"]
    assert targets.find_untargeted([]) == []


def test_no_queries_have_no_targets() -> None:
    labels, rows = draw([], [(1, 0, 0)])
    assert labels.shape == (0, 3)
    assert rows.shape == (0,)


def test_the_database_item_rule_draws_rows_uniformly() -> None:
    database: list[Vector] = [(1, 0, 0)] * 2 + [(0, 0, 0)] * 3 + [(0, 1, 1)] * 15
    labels, rows = draw([(1, 0, 0)] * 6000, database, rule="database-item")
    assert torch.equal(torch.tensor(database, dtype=torch.uint8)[rows], labels)
    assert chi_square(list(Counter(rows.tolist()).values()), 300) < 50
    assert set(rows.tolist()) == set(range(20))


def test_the_database_item_rule_can_exclude_rare_vectors() -> None:
    labels, _ = draw([(1, 0, 0)] * 200, [(1, 0, 0), (0, 1, 0), (0, 1, 0)], rule="database-item", above=1)
    assert {tuple(label) for label in labels.tolist()} == {(0, 1, 0)}
