"""`retbench datasets`: list, check, prepare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retbench.testing import write_plugin

from .conftest import Retbench

FILED = """\
from retbench import UserError, data_root, hookimpl
from retbench.testing import ToyDataset

class Filed(ToyDataset):
    '''A toy that wants a file, which it can write itself once there is a seed.'''

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
            raise UserError("list.txt:4: the picture cannot be read")
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
    """The folder of a dataset that reads files, and has none yet."""
    write_plugin(toys / "plugins", "filed", "filed_plugin", FILED)
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys,filed")
    monkeypatch.delenv("RETBENCH_DATA", raising=False)
    folder = toys / "data" / "filed"
    folder.mkdir(parents=True)
    return folder


def test_list_says_what_is_ready_and_where_the_rest_is_looked_for(retbench: Retbench, filed: Path) -> None:
    ended = retbench("datasets", "list")
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["toy", "ready", "generated", "20", "10", "40"] in lines
    assert ["filed", "missing", "data/filed"] in lines
    assert "how to get it: retbench datasets check NAME" in ended.out


def test_the_json_of_list_has_sizes_and_the_reason(retbench: Retbench, filed: Path) -> None:
    told = {one["name"]: one for one in json.loads(retbench("datasets", "list", "--json").out)}
    assert told["toy"]["sizes"] == {"train": 20, "query": 10, "database": 40}
    assert told["toy"]["root"] is told["toy"]["why"] is None
    assert told["filed"]["state"] == "missing"
    assert told["filed"]["why"].startswith("data/filed: list.txt is not there")


def test_check_of_a_sound_dataset_shows_its_numbers(retbench: Retbench) -> None:
    ended = retbench("datasets", "check", "toy", "--set", "queries=12")
    assert ended.code == 0
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["query", "12", "12", "6", "0", "1.25"] in lines
    assert ["red", "8", "5", "17"] in lines
    assert "MAP of a random ranking: 0.4" in ended.out
    assert "nothing to report" in ended.out


def test_check_of_a_missing_dataset_gives_the_steps_and_fails(retbench: Retbench, filed: Path) -> None:
    ended = retbench("datasets", "check", "filed")
    assert ended.code == 1
    assert ended.out.startswith("error: data/filed: list.txt is not there; put seed.txt there")


def test_labels_are_looked_at_where_only_images_are_missing(retbench: Retbench, filed: Path) -> None:
    (filed / "labels.txt").touch()
    told = json.loads(retbench("datasets", "check", "filed", "--json").out)
    assert [finding["text"].partition(";")[0] for finding in told["findings"]] == ["data/filed: list.txt is not there"]
    assert told["splits"]["query"]["rows"] == 10


def test_a_broken_image_fails_unless_images_are_left_out(retbench: Retbench, filed: Path) -> None:
    for name in ("list.txt", "labels.txt", "broken.txt"):
        (filed / name).touch()
    ended = retbench("datasets", "check", "filed")
    assert ended.code == 1
    assert "error: list.txt:4: the picture cannot be read" in ended.out.splitlines()
    assert retbench("datasets", "check", "filed", "--no-images").code == 0


def test_the_json_of_check_has_splits_and_findings(retbench: Retbench, filed: Path) -> None:
    for name in ("list.txt", "labels.txt", "broken.txt"):
        (filed / name).touch()
    ended = retbench("datasets", "check", "filed", "--json")
    told = json.loads(ended.out)
    assert ended.code == 1
    assert told["findings"] == [{"level": "error", "text": "list.txt:4: the picture cannot be read"}]
    assert told["splits"]["query"]["rows"] == 10
    assert told["splits"]["database"]["class_counts"] == [17, 16, 15]
    assert told["classes"] == ["red", "green", "blue"]
    assert 0 < told["chance"] < 1


def test_the_mean_of_no_queries_is_null(retbench: Retbench) -> None:
    told = json.loads(retbench("datasets", "check", "toy", "--set", "queries=0", "--json").out)
    assert told["chance"] is told["splits"]["query"]["mean_labels"] is None
    assert told["splits"]["train"]["mean_labels"] == 1.2


def test_a_dataset_that_cannot_be_read_is_an_error_with_its_line(retbench: Retbench, filed: Path) -> None:
    (filed / "list.txt").touch()
    (filed / "labels.txt").write_text("nonsense")
    ended = retbench("datasets", "check", "filed")
    assert ended.code == 1
    assert ended.out == "error: labels.txt:1: nonsense\n"


def test_prepare_writes_what_it_can_and_says_so_once(retbench: Retbench, filed: Path) -> None:
    (filed / "seed.txt").touch()
    first, second = retbench("datasets", "prepare", "filed"), retbench("datasets", "prepare", "filed")
    assert (first.code, first.out) == (0, "data/filed: wrote list.txt\nfiled: ready\n")
    assert (second.code, second.out) == (0, "filed: ready; there was nothing to prepare\n")


def test_prepare_without_the_files_gives_the_steps_and_fails(retbench: Retbench, filed: Path) -> None:
    ended = retbench("datasets", "prepare", "filed")
    assert ended.code == 1
    assert "put seed.txt there" in ended.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("check", "toi"), "nearest: toy"),
        (("prepare", "toi"), "nearest: toy"),
        (("check", "toy", "--set", "queries"), "--set: expected option=value, got 'queries'"),
        (("check", "toy", "--set", "side=2"), "dataset toy: side: "),
        (("check", "toy", "--set", "sides=20"), "nearest: side"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(retbench: Retbench, words: tuple[str, ...], problem: str) -> None:
    ended = retbench("datasets", *words)
    assert ended.code == 2
    assert problem in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_text_that_cannot_be_read_is_found_by_check(retbench: Retbench, filed: Path) -> None:
    for name in ("list.txt", "labels.txt", "unread.txt"):
        (filed / name).write_text("")
    ended = retbench("datasets", "check", "filed")
    assert ended.code == 1
    assert "error: database_text.npy: row 4: a text must be finite: got nan" in ended.out
    assert "finite" not in retbench("datasets", "check", "filed", "--no-images").out
