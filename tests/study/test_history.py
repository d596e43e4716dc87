"""What a store remembers of runs, what the last of them is, and how they are forgotten."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retbench import evaluate
from retbench.errors import UnknownName, UserError
from retbench.store import Store
from retbench.study.history import continue_run, find_runs, forget_run, read_run, remembered_runs
from retbench.study.opening import open as open_suite
from retbench.study.request import Request
from retbench.suite import read_selection

TOYS: dict[str, Any] = {"dataset": "toy", "hasher": "toy", "bits": 8, "progress": False}


@pytest.fixture
def store(toys: Path) -> Store:
    return Store(toys / ".retbench")


@pytest.fixture
def age(store: Store) -> Callable[[str, int], None]:
    """Make the record of a run as many seconds older."""

    def older(name: str, seconds: int) -> None:
        path = store.root / "runs" / f"{name}.json"
        os.utime(path, (path.stat().st_atime - seconds, path.stat().st_mtime - seconds))

    return older


def test_a_run_is_continued_with_what_is_asked_for_on_top(toys: Path, store: Store) -> None:
    open_suite("toy.yaml", set={"shard": 2}, only={"attack": "none"}).run(progress=False)
    again = continue_run(Request(None, sets=("matrix.bits=8",)), store)
    assert again.suite == str(toys / "toy.yaml")
    assert again.sets == ("shard=2", "matrix.bits=8")
    assert again.only.texts == ("attack=none",)
    narrowed = continue_run(Request(None, only=read_selection(["attack=toy"]), precision="bf16"), store)
    assert (narrowed.only.texts, narrowed.precision) == (("attack=toy",), "bf16")


def test_the_default_is_the_last_run_that_has_a_file(toys: Path, store: Store, age: Callable[[str, int], None]) -> None:
    with pytest.raises(UserError, match="no suite has been run in it"):
        continue_run(Request(None), store)
    evaluate(**TOYS, attack="none", name="mine")
    with pytest.raises(UserError, match=r"its last run, mine, was made in Python .*; name a suite"):
        continue_run(Request(None), store)
    open_suite("toy.yaml", only={"attack": "none"}).run(progress=False)
    age("toy", 60)
    assert next(iter(store.runs())) == "mine"
    assert open_suite().run_name == "toy"


def test_runs_are_remembered_with_age_and_what_only_they_name(toys: Path, store: Store) -> None:
    evaluate(**TOYS, attack="none", name="one")
    evaluate(**TOYS, attack=["none", "toy"], name="two")
    open_suite("toy.yaml", only={"attack": "none", "defense": "none"}).run(progress=False)
    runs = {run.name: run for run in remembered_runs(store)}
    assert {name: run.in_python for name, run in runs.items()} == {"one": True, "two": True, "toy": False}
    assert all(0 <= run.age < 60 for run in runs.values())
    assert runs["one"].size == 0  # all that it names, the second names too
    shared = set(read_run(store, "one")["keys"]) | set(read_run(store, "toy")["keys"])
    assert runs["two"].size == sum(store.size(key) for key in set(read_run(store, "two")["keys"]) - shared) > 0


def test_a_run_is_forgotten_with_its_log(toys: Path, store: Store) -> None:
    evaluate(**TOYS, attack="none", name="one")
    evaluate(**TOYS, attack="none", name="two")
    assert (store.root / "logs" / "one.log").is_file()
    forget_run(store, "one")
    assert [run.name for run in remembered_runs(store)] == ["two"]
    assert [path.name for path in (store.root / "logs").iterdir()] == ["two.log"]


def test_runs_are_found_by_name_or_pattern(toys: Path, store: Store) -> None:
    for name in ("one", "two", "other"):
        evaluate(**TOYS, attack="none", name=name)
    assert find_runs(store, ["two"]) == ["two"]
    assert sorted(find_runs(store, ["o*", "one"])) == ["one", "other"]
    for wanted in ("onee", "x*"):
        with pytest.raises(UnknownName, match=rf"^--forget: unknown name: got '{wanted[0]}.*', expected one of one, "):
            find_runs(store, [wanted])
    with pytest.raises(UnknownName):
        find_runs(store, ["../toy"])
