"""The runs recorded in a store: listed, continued and forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retbench import evaluate
from retbench.errors import UnknownName, UserError
from retbench.store import Store
from retbench.study.history import continue_run, find_runs, forget_run, list_runs, read_run
from retbench.study.opening import open as open_suite
from retbench.study.request import StudyRequest
from retbench.suite import read_selection

TOYS: dict[str, Any] = {"dataset": "toy", "hasher": "toy", "bits": 8, "progress": False}


@pytest.fixture
def store(toys: Path) -> Store:
    return Store(toys / ".retbench")


@pytest.fixture
def make_older(store: Store) -> Callable[[str, int], None]:
    """A function that makes the record of a run older by some seconds."""

    def change_time(name: str, seconds: int) -> None:
        path = store.root / "runs" / f"{name}.json"
        os.utime(path, (path.stat().st_atime - seconds, path.stat().st_mtime - seconds))

    return change_time


def test_a_run_is_continued_with_the_changes_of_the_request(toys: Path, store: Store) -> None:
    open_suite("toy.yaml", set={"shard": 2}, only={"attack": "none"}).run(progress=False)
    again = continue_run(StudyRequest(None, changes=("matrix.bits=8",)), store)
    assert again.suite == str(toys / "toy.yaml")
    assert again.changes == ("shard=2", "matrix.bits=8")
    assert again.only.texts == ("attack=none",)
    narrowed = continue_run(StudyRequest(None, only=read_selection(["attack=toy"]), precision="bf16"), store)
    assert (narrowed.only.texts, narrowed.precision) == (("attack=toy",), "bf16")


def test_the_default_is_the_last_run_of_a_suite_file(
    toys: Path, store: Store, make_older: Callable[[str, int], None]
) -> None:
    with pytest.raises(UserError, match="no suite was run in it"):
        continue_run(StudyRequest(None), store)
    evaluate(**TOYS, attack="none", name="mine")
    with pytest.raises(UserError, match=r"its last run, mine, was made in Python .*: name a suite"):
        continue_run(StudyRequest(None), store)
    open_suite("toy.yaml", only={"attack": "none"}).run(progress=False)
    make_older("toy", 60)
    assert next(iter(store.runs())) == "mine"
    assert open_suite().run_name == "toy"


def test_runs_are_listed_with_age_and_the_size_of_unshared_artifacts(toys: Path, store: Store) -> None:
    evaluate(**TOYS, attack="none", name="one")
    evaluate(**TOYS, attack=["none", "toy"], name="two")
    open_suite("toy.yaml", only={"attack": "none", "defense": "none"}).run(progress=False)
    runs = {run.name: run for run in list_runs(store)}
    assert {name: run.made_in_python for name, run in runs.items()} == {"one": True, "two": True, "toy": False}
    assert all(0 <= run.age < 60 for run in runs.values())
    assert runs["one"].size == 0  # the second run uses all of its artifacts
    shared = set(read_run(store, "one")["keys"]) | set(read_run(store, "toy")["keys"])
    assert runs["two"].size == sum(store.size(key) for key in set(read_run(store, "two")["keys"]) - shared) > 0


def test_a_run_is_forgotten_with_its_log(toys: Path, store: Store) -> None:
    evaluate(**TOYS, attack="none", name="one")
    evaluate(**TOYS, attack="none", name="two")
    assert (store.root / "logs" / "one.log").is_file()
    forget_run(store, "one")
    assert [run.name for run in list_runs(store)] == ["two"]
    assert [path.name for path in (store.root / "logs").iterdir()] == ["two.log"]


def test_runs_are_found_by_name_or_pattern(toys: Path, store: Store) -> None:
    for name in ("one", "two", "other"):
        evaluate(**TOYS, attack="none", name=name)
    assert find_runs(store, ["two"]) == ["two"]
    assert sorted(find_runs(store, ["o*", "one"])) == ["one", "other"]
    for pattern in ("onee", "x*"):
        with pytest.raises(UnknownName, match=rf"^forget: unknown name: got '{pattern[0]}.*', expected one of one, "):
            find_runs(store, [pattern])
    with pytest.raises(UnknownName):
        find_runs(store, ["../toy"])
