"""Statistics and defects of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor

from retbench.contracts import Facts, ImageFile
from retbench.contracts.facts import SPLITS, Split
from retbench.errors import ContractBreach, UserError
from retbench.survey import Finding, count_images, find_defects, read_images, survey, survey_split
from retbench.testing import check_component
from retbench.testing.toys import ToyDataset


class DefectiveDataset(ToyDataset):
    """The toy dataset with defects.

    Args:
        renamed: replaced ids: split, row, id.
        relabeled: replaced label vectors: split, row, values.
        broken: ids whose images cannot be read.
        warnings: caveats of the dataset.
    """

    renamed: tuple[tuple[Split, int, str], ...] = ()
    relabeled: tuple[tuple[Split, int, tuple[int, int, int]], ...] = ()
    broken: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def ids(self, split: Split) -> Sequence[str]:
        ids = list(super().ids(split))
        for changed_split, row, name in self.renamed:
            if changed_split == split:
                ids[row] = name
        return ids

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        for changed_split, row, values in self.relabeled:
            if changed_split == split:
                labels[row] = torch.tensor(values, dtype=torch.uint8)
        return labels

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        for row in rows:
            if self.ids(split)[row] in self.broken:
                raise UserError(f"{split}.txt:{row + 1}: broken")
        return super().images(split, rows)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        return self.warnings


class FileDataset(DefectiveDataset):
    """The toy dataset with image files.

    Args:
        moved: files other than the rows' own: split, row, file, content.
    """

    moved: tuple[tuple[Split, int, str, str | None], ...] = ()

    def image_files(self, split: Split) -> list[ImageFile]:
        images = [ImageFile(f"file of {name}", f"bytes of {name}") for name in self.ids(split)]
        for changed_split, row, file, content in self.moved:
            if changed_split == split:
                images[row] = ImageFile(file, content)
        return images


def find(**defects: object) -> list[str]:
    return [f"{finding.level}: {finding.text}" for finding in survey(DefectiveDataset(**defects)).findings]


def test_a_dataset_without_defects_has_no_findings() -> None:
    assert find() == []


def test_the_statistics_of_a_split() -> None:
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


def test_an_empty_split_has_statistics() -> None:
    numbers = survey_split([], torch.zeros(0, 3, dtype=torch.uint8))
    assert (numbers.rows, numbers.distinct_labels, numbers.class_counts) == (0, 0, (0, 0, 0))
    assert numbers.mean_labels != numbers.mean_labels


def test_the_chance_levels_are_mean_shares_of_relevant_items() -> None:
    result = survey(ToyDataset())
    queries, database = ToyDataset().labels("query").float(), ToyDataset().labels("database").float()
    assert result.chance == pytest.approx(float((queries @ database.T > 0).float().mean()))
    vectors = torch.tensor(sorted({tuple(row) for row in database.int().tolist()})).float()
    assert result.target_chance == pytest.approx(float((vectors @ database.T > 0).float().mean()))
    assert result.classes == ("red", "green", "blue")
    assert result.splits["database"].rows == 40


def test_a_query_in_the_database_is_an_error() -> None:
    result = find(renamed=(("database", 39, "toy-query-3"),))
    assert result == ["error: database: contains 1 of the queries: toy-query-3"]


def test_a_query_among_the_training_rows_is_an_error() -> None:
    first, *rest = find(renamed=(("train", 3, "toy-query-3"),))
    assert first == "error: train: contains 1 of the queries: toy-query-3"
    assert "note: train: 1 images are not in the database: toy-query-3" in rest


def test_a_repeated_query_is_an_error() -> None:
    first, *_ = find(renamed=(("query", 3, "toy-query-0"),), relabeled=(("query", 3, (1, 1, 0)),))
    assert first == ("error: query: 10 rows have 9 distinct ids: query ids must be unique; repeated: toy-query-0")


def test_a_repeated_training_row_is_a_note() -> None:
    assert find(renamed=(("train", 15, "toy-item-0"),)) == [
        "note: train: 20 rows have 19 distinct ids: an image weighs more in training; repeated: toy-item-0"
    ]


def test_a_repeated_database_row_is_a_warning() -> None:
    assert find(renamed=(("database", 30, "toy-item-15"),)) == [
        "warning: database: 40 rows have 39 distinct ids: an image counts twice in every ranking; repeated: toy-item-15"
    ]


def test_different_labels_of_one_image_are_an_error() -> None:
    assert find(relabeled=(("train", 4, (1, 1, 1)),)) == [
        "error: database: toy-item-4 is the first image with other labels than in train"
    ]


def test_rows_without_a_label_are_reported_with_the_highest_possible_map() -> None:
    none = (0, 0, 0)
    result = find(relabeled=(("query", 1, none), ("query", 2, none), ("database", 39, none)))
    assert result == [
        "warning: query: 2 rows match no database item, 2 of them without a label: if they count as 0, "
        "no system can exceed a MAP of 0.8000",
        "note: database: 1 rows have no label and match nothing",
    ]


def test_a_class_without_rows_is_a_warning() -> None:
    without_blue = tuple(("query", row, (1, 0, 0)) for row in range(10))
    assert find(relabeled=without_blue) == ["warning: query: no row has the class green, blue"]


def test_caveats_of_the_dataset_are_warnings_after_errors() -> None:
    result = find(warnings=("not the published split",), renamed=(("database", 38, "toy-query-3"),))
    assert [line.partition(":")[0] for line in result] == ["error", "error", "warning"]
    assert result[-1] == "warning: not the published split"


def test_every_image_is_read_once() -> None:
    dataset = ToyDataset(queries=70, database=150)
    batches: list[int] = []
    assert list(read_images(dataset, batches.append)) == []
    assert sum(batches) == count_images(dataset) == 220
    assert max(batches) == 64


def test_each_broken_image_is_reported_with_the_message_of_the_dataset() -> None:
    dataset = DefectiveDataset(broken=("toy-item-3", "toy-item-4", "toy-item-39", "toy-query-9"))
    assert list(read_images(dataset)) == [
        Finding("error", f"{location}: broken")
        for location in ("train.txt:4", "train.txt:5", "query.txt:10", "database.txt:40")
    ]


def test_a_bug_of_a_dataset_is_raised() -> None:
    class BuggyDataset(ToyDataset):
        def images(self, split: Split, rows: Sequence[int]) -> Tensor:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_images(BuggyDataset()))


def test_the_error_of_an_unreadable_dataset_is_raised() -> None:
    class UnreadableDataset(ToyDataset):
        def facts(self) -> Facts:
            raise UserError("labels.txt:3: nonsense")

    with pytest.raises(UserError, match=r"labels.txt:3: nonsense"):
        survey(UnreadableDataset())


def test_the_published_flickr25k_lists_have_known_statistics() -> None:
    """The T-MAP of a random ranking is 0.667 for targets drawn uniformly from 4271 label vectors."""
    root = Path(__file__).parents[2] / "shared" / "data"
    if not root.is_dir():
        pytest.skip("the published FLICKR-25K lists are not on this machine")
    image_index = pytest.importorskip("retbench_datasets.images.image_index")
    index = image_index.read_index(root / "flickr25k")

    class ListedDataset(ToyDataset):
        def facts(self) -> Facts:
            sizes = {split: len(index.splits[split].names) for split in SPLITS}
            return Facts("listed", (8, 8), index.classes, sizes)

        def ids(self, split: Split) -> Sequence[str]:
            return index.splits[split].names

        def labels(self, split: Split) -> Tensor:
            return torch.from_numpy(index.splits[split].labels)

    result = survey(ListedDataset())
    assert result.target_chance == pytest.approx(0.667, abs=5e-4)
    assert {split: numbers.unlabeled for split, numbers in result.splits.items()} == {
        "train": 95,
        "query": 38,
        "database": 381,
    }
    assert result.splits["database"].distinct_labels == 4271
    assert result.splits["query"].distinct_ids == 1700
    levels = [finding.level for finding in result.findings]
    assert "error" not in levels
    assert any("5000 rows have 4496 distinct ids" in finding.text for finding in result.findings)
    assert any("a MAP of 0.9776" in finding.text for finding in result.findings)


def find_in_files(*files: tuple[Split, int, str, str | None], queries: int = 10) -> list[str]:
    return [f"{level}: {text}" for level, text in find_defects(FileDataset(queries=queries, moved=files))]


@pytest.mark.parametrize("split", ["train", "database"])
def test_a_query_whose_file_is_in_another_split_is_an_error(split: Split) -> None:
    found = find_in_files((split, 3, "file of toy-query-2", "bytes of toy-query-2"))
    assert found[0] == f"error: {split}: contains the files of 1 queries: toy-query-2 as toy-item-3"
    assert find_in_files((split, 3, "file of toy-query-2", None)) != []


def test_copies_of_queries_are_an_error_above_one_percent() -> None:
    copies: list[tuple[Split, int, str, str | None]] = [
        ("database", row, f"copy {row}", f"bytes of toy-query-{row}") for row in (4, 5)
    ]
    assert find_in_files(copies[0], queries=100) == [
        "warning: database: contains copies of 1 queries: toy-query-4 as toy-item-4"
    ]
    assert find_in_files(*copies, queries=100) == [
        "error: database: contains copies of 2 queries: toy-query-4 as toy-item-4, toy-query-5 as toy-item-5"
    ]


def test_files_without_known_content_are_no_copies() -> None:
    images: list[tuple[Split, int, str, str | None]] = [
        ("query", 0, "a", None),
        ("database", 0, "b", None),
        ("train", 0, "c", None),
    ]
    assert find_in_files(*images) == []


@pytest.mark.parametrize(("first", "second"), [("cat", "Cat"), ("caf\u00e9", "cafe\u0301"), ("Stra\u00dfe", "STRASSE")])
def test_classes_of_one_name_are_an_error(first: str, second: str) -> None:
    class TwinClasses(ToyDataset):
        """Two classes of one name."""

        def facts(self) -> Facts:
            return replace(super().facts(), classes=(first, "dog", second))

    problem = f"error: classes: {first!r} and {second!r} differ only by case or Unicode form: merge them"
    assert [f"{level}: {text}" for level, text in find_defects(TwinClasses())] == [problem]


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        ((0, 0, 0), "error: query: no query has a relevant database item, so MAP is undefined; are labels missing?"),
        ((1, 0, 0), "error: query: every database item is relevant to every query, so MAP is 1 for any ranking"),
    ],
    ids=["no label", "one class"],
)
def test_labels_that_rank_nothing_are_an_error(vector: tuple[int, int, int], problem: str) -> None:
    sizes: tuple[tuple[Split, int], ...] = (("query", 10), ("train", 20), ("database", 40))
    everywhere = tuple((split, row, vector) for split, size in sizes for row in range(size))
    assert find(relabeled=everywhere)[0].startswith(problem)


def test_a_finding_names_the_first_rows_and_counts_all() -> None:
    renamed = tuple(("database", row, f"toy-query-{row}") for row in (1, 3, 5, 7))
    assert find(renamed=renamed)[0] == (
        "error: database: contains 4 of the queries: toy-query-1, toy-query-3, toy-query-5, …"
    )


@pytest.mark.parametrize(("file", "kind"), [("file of toy-item-20", "file"), ("a copy", "bytes")])
def test_an_image_that_is_in_two_classes_is_found(file: str, kind: str) -> None:
    other = (0, 0, 1) if ToyDataset().labels("database")[20].tolist() != [0, 0, 1] else (1, 0, 0)
    dataset = FileDataset(moved=(("database", 30, file, "bytes of toy-item-20"),), relabeled=(("database", 30, other),))
    assert [f"{level}: {text}" for level, text in find_defects(dataset)] == [
        f"error: classes: 1 images have the {kind} of another image, and other labels: toy-item-30 and toy-item-20"
    ]


def test_a_few_images_in_two_classes_are_a_warning() -> None:
    moved: tuple[tuple[Split, int, str, str | None], ...] = (("database", 30, "a copy", "bytes of toy-item-20"),)
    dataset = FileDataset(queries=200, moved=moved, relabeled=(("database", 30, (0, 0, 0)),))
    assert [level for level, text in find_defects(dataset) if text.startswith("classes:")] == ["warning"]


def test_an_image_that_is_twice_in_one_class_is_no_defect() -> None:
    vector = (0, 1, 1)
    dataset = FileDataset(
        moved=(("database", 30, "file of toy-item-20", "bytes of toy-item-20"),),
        relabeled=(("database", 20, vector), ("database", 30, vector)),
    )
    assert find_defects(dataset) == []


class EmptySplit(ToyDataset):
    """Has a split without rows."""

    empty: Split = "query"

    def facts(self) -> Facts:
        facts = super().facts()
        return replace(facts, sizes={**facts.sizes, self.empty: 0})

    def ids(self, split: Split) -> Sequence[str]:
        return [] if split == self.empty else super().ids(split)

    def labels(self, split: Split) -> Tensor:
        labels = super().labels(split)
        return labels[:0] if split == self.empty else labels


@pytest.mark.parametrize(
    ("split", "effect"),
    [("train", "nothing can be trained"), ("query", "nothing is measured"), ("database", "nothing can be retrieved")],
)
def test_an_empty_split_is_an_error(split: Split, effect: str) -> None:
    first = find_defects(EmptySplit(empty=split))[0]
    assert first == Finding("error", f"{split}: no rows, so that {effect}")
    assert survey(EmptySplit(empty=split)).splits[split].rows == 0


class WrongFiles(ToyDataset):
    """Returns something else than a file for each row."""

    wrong: Literal["number", "type"] = Field("number", description="what is wrong")

    def image_files(self, split: Split) -> list[ImageFile]:
        files = [ImageFile(name, None) for name in self.ids(split)]
        wrong: list[Any] = files[:-1] if self.wrong == "number" else [Path("a.jpg"), *files[1:]]
        return wrong


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("number", "wrong number of image_files of train: got 19, expected 20"),
        ("type", r"wrong image_files of train: got .*Path\('a.jpg'\).*, expected ImageFile objects"),
    ],
)
def test_wrong_files_break_the_contract(wrong: str, problem: str) -> None:
    for check in (find_defects, check_component):
        with pytest.raises(ContractBreach, match=problem):
            check(WrongFiles(wrong=wrong))
