"""`retbench datasets`: list, check, prepare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retbench.testing import write_plugin

from .conftest import RunCommand

FILED = """\
from retbench import UserError, data_root, hookimpl
from retbench.testing import ToyDataset

class Filed(ToyDataset):
    '''A toy that needs a file, which it can write once a seed is there.'''

    name = "filed"

    @property
    def root(self):
        return data_root() / self.name

    def missing(self):
        if (self.root / "list.txt").is_file():
            return None
        return f"{self.root}: list.txt is not there; put seed.txt there and run `retbench datasets prepare filed`"

    def prepare(self):
        if (self.root / "seed.txt").is_file() and not (self.root / "list.txt").is_file():
            (self.root / "list.txt").write_text("written")
            yield f"{self.root}: wrote list.txt"

    def images(self, split, rows):
        if (self.root / "broken.txt").is_file() and split == "query" and 3 in rows:
            raise UserError("list.txt:4: the image cannot be read")
        return super().images(split, rows)

    def texts(self, split, rows):
        if (self.root / "unread.txt").is_file() and split == "database":
            raise UserError("database_text.npy: row 4: a text must be finite: got nan")
        return super().texts(split, rows)

    def labels(self, split):
        if not (self.root / "labels.txt").is_file():
            raise UserError("labels.txt: no such file")
        if (self.root / "labels.txt").read_text() == "nonsense":
            raise UserError("labels.txt:1: nonsense")
        return super().labels(split)

@hookimpl
def retbench_datasets():
    return [Filed]
"""


@pytest.fixture
def filed(toys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a dataset that reads files; the folder is empty."""
    write_plugin(toys / "plugins", "filed", "filed_plugin", FILED)
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys,filed")
    monkeypatch.delenv("RETBENCH_DATA", raising=False)
    folder = toys / "data" / "filed"
    folder.mkdir(parents=True)
    return folder


def test_list_prints_the_state_and_the_folder_of_each_dataset(retbench: RunCommand, filed: Path) -> None:
    result = retbench("datasets", "list")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["toy", "ready", "generated", "20", "10", "40"] in lines
    assert ["filed", "missing", "data/filed"] in lines
    assert "`retbench datasets check NAME` shows what is missing and how to get it" in result.out


def test_the_json_of_list_has_sizes_and_reasons(retbench: RunCommand, filed: Path) -> None:
    datasets = {record["name"]: record for record in json.loads(retbench("datasets", "list", "--json").out)}
    assert datasets["toy"]["sizes"] == {"train": 20, "query": 10, "database": 40}
    assert datasets["toy"]["root"] is datasets["toy"]["why"] is None
    assert datasets["filed"]["state"] == "missing"
    assert datasets["filed"]["why"].startswith("data/filed: list.txt is not there")


def test_check_prints_the_numbers_of_an_intact_dataset(retbench: RunCommand) -> None:
    result = retbench("datasets", "check", "toy", "--set", "queries=12")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["query", "12", "12", "6", "0", "1.25"] in lines
    assert ["red", "8", "5", "17"] in lines
    assert "MAP of a random ranking: 0.4" in result.out
    assert "no problems found" in result.out


def test_check_of_a_missing_dataset_prints_the_steps_and_exits_with_1(retbench: RunCommand, filed: Path) -> None:
    result = retbench("datasets", "check", "filed")
    assert result.code == 1
    assert result.out.startswith("error: data/filed: list.txt is not there; put seed.txt there")


def test_labels_are_checked_although_images_are_missing(retbench: RunCommand, filed: Path) -> None:
    (filed / "labels.txt").touch()
    record = json.loads(retbench("datasets", "check", "filed", "--json").out)
    assert [finding["text"].partition(";")[0] for finding in record["findings"]] == [
        "data/filed: list.txt is not there"
    ]
    assert record["splits"]["query"]["rows"] == 10


def test_a_broken_image_exits_with_1_unless_images_are_not_checked(retbench: RunCommand, filed: Path) -> None:
    for name in ("list.txt", "labels.txt", "broken.txt"):
        (filed / name).touch()
    result = retbench("datasets", "check", "filed")
    assert result.code == 1
    assert "error: list.txt:4: the image cannot be read" in result.out.splitlines()
    assert retbench("datasets", "check", "filed", "--no-images").code == 0


def test_the_json_of_check_has_splits_and_findings(retbench: RunCommand, filed: Path) -> None:
    for name in ("list.txt", "labels.txt", "broken.txt"):
        (filed / name).touch()
    result = retbench("datasets", "check", "filed", "--json")
    record = json.loads(result.out)
    assert result.code == 1
    assert record["findings"] == [{"level": "error", "text": "list.txt:4: the image cannot be read"}]
    assert record["splits"]["query"]["rows"] == 10
    assert record["splits"]["database"]["class_counts"] == [17, 16, 15]
    assert record["classes"] == ["red", "green", "blue"]
    assert 0 < record["chance"] < 1


def test_means_over_no_queries_are_null_in_json(retbench: RunCommand) -> None:
    record = json.loads(retbench("datasets", "check", "toy", "--set", "queries=0", "--json").out)
    assert record["chance"] is record["splits"]["query"]["mean_labels"] is None
    assert record["splits"]["train"]["mean_labels"] == 1.2


def test_a_dataset_that_cannot_be_read_is_an_error_with_file_and_line(retbench: RunCommand, filed: Path) -> None:
    (filed / "list.txt").touch()
    (filed / "labels.txt").write_text("nonsense")
    result = retbench("datasets", "check", "filed")
    assert result.code == 1
    assert result.out == "error: labels.txt:1: nonsense\n"


def test_prepare_prints_what_it_wrote(retbench: RunCommand, filed: Path) -> None:
    (filed / "seed.txt").touch()
    first, second = retbench("datasets", "prepare", "filed"), retbench("datasets", "prepare", "filed")
    assert (first.code, first.out) == (0, "data/filed: wrote list.txt\nfiled: ready\n")
    assert (second.code, second.out) == (0, "filed: ready; nothing to prepare\n")


def test_prepare_without_the_files_prints_the_steps_and_exits_with_1(retbench: RunCommand, filed: Path) -> None:
    result = retbench("datasets", "prepare", "filed")
    assert result.code == 1
    assert "put seed.txt there" in result.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("check", "toi"), "error: datasets check: unknown name: got 'toi', expected one of toy; nearest: toy\n"),
        (("prepare", "toi"), "error: datasets prepare: unknown name: got 'toi', expected one of toy; nearest: toy\n"),
        (("check", "toy", "--set", "queries"), "--set: expected option=value, got 'queries'"),
        (("check", "toy", "--set", "side=2"), "dataset toy: side: "),
        (("check", "toy", "--set", "sides=20"), "nearest: side"),
    ],
)
def test_a_usage_error_is_one_line(retbench: RunCommand, words: tuple[str, ...], problem: str) -> None:
    result = retbench("datasets", *words)
    assert result.code == 2
    assert problem in result.err
    assert len(result.err.splitlines()) == 1


def test_check_finds_a_text_that_cannot_be_read(retbench: RunCommand, filed: Path) -> None:
    for name in ("list.txt", "labels.txt", "unread.txt"):
        (filed / name).write_text("")
    result = retbench("datasets", "check", "filed")
    assert result.code == 1
    assert "error: database_text.npy: row 4: a text must be finite: got nan" in result.out
    assert "finite" not in retbench("datasets", "check", "filed", "--no-images").out
