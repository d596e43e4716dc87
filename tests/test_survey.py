"""What a dataset holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from retbench.contracts import Facts
from retbench.contracts.facts import SPLITS, Split
from retbench.errors import UserError
from retbench.survey import Finding, count_images, read_images, survey, survey_split
from retbench.testing.toys import ToyDataset


class Seeded(ToyDataset):
    """A toy dataset in which a defect was planted.

    Args:
        renamed: ids put in the place of others: split, row, id.
        relabeled: label rows put in the place of others: split, row, values.
        broken: ids whose images cannot be read.
        warned: what the dataset warns of.
    """

    renamed: tuple[tuple[Split, int, str], ...] = ()
    relabeled: tuple[tuple[Split, int, tuple[int, int, int]], ...] = ()
    broken: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def ids(self, split: Split) -> Sequence[str]:
        ids = list(super().ids(split))
        for where, row, name in self.renamed:
            if where == split:
                ids[row] = name
        return ids

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        for where, row, values in self.relabeled:
            if where == split:
                labels[row] = torch.tensor(values, dtype=torch.uint8)
        return labels

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        for row in rows:
            if self.ids(split)[row] in self.broken:
                raise UserError(f"{split}.txt:{row + 1}: broken")
        return super().images(split, rows)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        return self.warned


def found(**defects: object) -> list[str]:
    return [f"{finding.level}: {finding.text}" for finding in survey(Seeded(**defects)).findings]


def test_a_sound_dataset_has_no_finding() -> None:
    assert found() == []


def test_the_numbers_of_a_split() -> None:
    labels = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 0, 1], [0, 0, 1]], dtype=torch.uint8)
    numbers = survey_split(["a", "b", "a", "c"], labels)
    assert numbers._asdict() == {
        "rows": 4,
        "distinct_ids": 3,
        "distinct_labels": 3,
        "unlabeled": 1,
        "mean_labels": 1.25,
        "class_counts": (2, 0, 3),
    }


def test_a_split_without_rows_has_numbers() -> None:
    numbers = survey_split([], torch.zeros(0, 3, dtype=torch.uint8))
    assert (numbers.rows, numbers.distinct_labels, numbers.class_counts) == (0, 0, (0, 0, 0))
    assert numbers.mean_labels != numbers.mean_labels


def test_the_chance_levels_are_mean_shares_of_relevant_items() -> None:
    told = survey(ToyDataset())
    queries, database = ToyDataset().labels("query").float(), ToyDataset().labels("database").float()
    assert told.chance == pytest.approx(float((queries @ database.T > 0).float().mean()))
    vectors = torch.tensor(sorted({tuple(row) for row in database.int().tolist()})).float()
    assert told.target_chance == pytest.approx(float((vectors @ database.T > 0).float().mean()))
    assert told.classes == ("red", "green", "blue")
    assert told.splits["database"].rows == 40


def test_a_query_in_the_database_is_an_error() -> None:
    told = found(renamed=(("database", 39, "toy-query-3"),))
    assert told == ["error: database: it holds 1 of the queries; the first is toy-query-3"]


def test_a_query_among_the_training_rows_is_an_error() -> None:
    first, *rest = found(renamed=(("train", 3, "toy-query-3"),))
    assert first == "error: train: it holds 1 of the queries; the first is toy-query-3"
    assert "note: train: 1 images are not in the database; the first is toy-query-3" in rest


def test_a_repeated_query_is_an_error() -> None:
    first, *_ = found(renamed=(("query", 3, "toy-query-0"),), relabeled=(("query", 3, (1, 1, 0)),))
    assert first == (
        "error: query: 10 rows hold 9 images: query ids must be unique; the first repeated one is toy-query-0"
    )


def test_a_repeated_training_row_is_a_note() -> None:
    assert found(renamed=(("train", 15, "toy-item-0"),)) == [
        "note: train: 20 rows hold 19 images: an image weighs more in training; the first repeated one is toy-item-0"
    ]


def test_a_repeated_database_row_is_a_warning() -> None:
    assert found(renamed=(("database", 30, "toy-item-15"),)) == [
        "warning: database: 40 rows hold 39 images: an image counts twice in every ranking; "
        "the first repeated one is toy-item-15"
    ]


def test_one_image_with_two_labels_is_an_error() -> None:
    assert found(relabeled=(("train", 4, (1, 1, 1)),)) == [
        "error: database: toy-item-4 has other labels than in train, the first of such images"
    ]


def test_rows_without_a_label_are_noted_with_the_ceiling_of_map() -> None:
    bare = (0, 0, 0)
    told = found(relabeled=(("query", 1, bare), ("query", 2, bare), ("database", 39, bare)))
    assert told == [
        "note: database: 1 rows have no label: they match nothing",
        "note: query: 2 rows match no database item, 2 of them without a label: where they count as 0, "
        "no system exceeds a MAP of 0.8000",
    ]


def test_a_class_that_no_row_shows_is_a_warning() -> None:
    blue_gone = tuple(("query", row, (1, 0, 0)) for row in range(10))
    assert found(relabeled=blue_gone) == ["warning: query: no row shows green, blue"]


def test_what_the_dataset_warns_of_is_a_warning_and_errors_come_first() -> None:
    told = found(warned=("not the published split",), renamed=(("database", 38, "toy-query-3"),))
    assert [line.partition(":")[0] for line in told] == ["error", "error", "warning"]
    assert told[-1] == "warning: not the published split"


def test_every_image_is_read_once() -> None:
    dataset = ToyDataset(queries=70, database=150)
    batches: list[int] = []
    assert list(read_images(dataset, batches.append)) == []
    assert sum(batches) == count_images(dataset) == 220
    assert max(batches) == 64


def test_each_broken_image_is_told_in_the_words_of_the_dataset() -> None:
    dataset = Seeded(broken=("toy-item-3", "toy-item-4", "toy-item-39", "toy-query-9"))
    assert list(read_images(dataset)) == [
        Finding("error", f"{place}: broken")
        for place in ("train.txt:4", "train.txt:5", "query.txt:10", "database.txt:40")
    ]


def test_a_bug_of_a_dataset_is_not_taken_for_a_broken_image() -> None:
    class Buggy(ToyDataset):
        def images(self, split: Split, rows: Sequence[int]) -> Tensor:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_images(Buggy()))


def test_a_dataset_that_cannot_be_read_says_so() -> None:
    class Unreadable(ToyDataset):
        def facts(self) -> Facts:
            raise UserError("labels.txt:3: nonsense")

    with pytest.raises(UserError, match=r"labels.txt:3: nonsense"):
        survey(Unreadable())


def test_the_published_lists_have_the_chance_levels_known_of_them() -> None:
    """FLICKR-25K: a T-MAP of 0.667 by chance for targets uniform over its 4271 label vectors."""
    root = Path(__file__).parents[2] / "shared" / "data"
    if not root.is_dir():
        pytest.skip("the published lists are not beside the repository")
    listed = pytest.importorskip("retbench_datasets.images.image_index")
    index = listed.read_index(root / "flickr25k")

    class Listed(ToyDataset):
        def facts(self) -> Facts:
            sizes = {split: len(index.splits[split].names) for split in SPLITS}
            return Facts("listed", (8, 8), index.classes, sizes)

        def ids(self, split: Split) -> Sequence[str]:
            return index.splits[split].names

        def labels(self, split: Split) -> Tensor:
            return torch.from_numpy(index.splits[split].labels)

    told = survey(Listed())
    assert told.target_chance == pytest.approx(0.667, abs=5e-4)
    assert {split: numbers.unlabeled for split, numbers in told.splits.items()} == {
        "train": 95,
        "query": 38,
        "database": 381,
    }
    assert told.splits["database"].distinct_labels == 4271
    assert told.splits["query"].distinct_ids == 1700
    levels = [finding.level for finding in told.findings]
    assert "error" not in levels
    assert any("5000 rows hold 4496 images" in finding.text for finding in told.findings)
    assert any("a MAP of 0.9776" in finding.text for finding in told.findings)
