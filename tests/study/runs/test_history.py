"""The runs recorded in a store: recorded, listed, continued and forgotten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retbench import evaluate
from retbench.contracts import Event
from retbench.errors import UnknownName, UserError
from retbench.store import Store
from retbench.study.execution import execute
from retbench.study.opening import open as open_suite
from retbench.study.request import StudyRequest
from retbench.study.runs import history
from retbench.study.runs.history import (
    StoredRecord,
    continue_run,
    find_runs,
    finish_record,
    forget_run,
    list_runs,
    read_history,
    read_run,
    start_record,
)
from retbench.study.runs.record import RunRecord
from retbench.study.study import Study
from retbench.suite import read_selection
from retbench.testing import ToyDataset

TOYS: dict[str, Any] = {"dataset": "toy", "hasher": "toy", "bits": 8, "progress": False}
CLEAN = {"attack": "none", "defense": "none"}


@pytest.fixture
def store(toys: Path) -> Store:
    return Store(toys / ".retbench")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """A function that sets the clock."""

    class Clock(datetime):
        now_is = datetime.now(UTC)

        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain datetime
            return cls.now_is

    monkeypatch.setattr(history, "datetime", Clock)
    return lambda time: setattr(Clock, "now_is", time)


def name_runs(store: Store) -> list[str]:
    return [stored.record.run.label for stored in read_history(store).runs]


def record_of(study: Study) -> RunRecord:
    record = read_run(study.store, study.identity)
    assert record is not None
    return record


def write_former(store: Store, study: Study, name: str = "toy") -> Path:
    """Replace the record of a study by one of the format before 2, and return its path."""
    [stored] = [stored for stored in read_history(store).runs if stored.record.run == study.identity]
    former = {
        "request": {
            "suite": stored.record.run.suite,
            "profile": stored.record.run.profile,
            "sets": list(stored.record.run.sets),
            "only": list(stored.record.only),
            "plugins": [],
            "precision": stored.record.run.precision,
        },
        "digest": stored.record.digest,
        "at": "2026-01-02T03:04:05+0000",
        "seconds": 1.5,
        "cells": stored.record.cells,
        "failures": stored.record.failures,
        "keys": list(stored.record.keys),
    }
    store.run_records.remove(stored.path)
    path = store.root / "runs" / f"{name}.json"
    path.write_text(json.dumps(former, indent=1))
    return path


def test_a_run_is_continued_with_the_changes_of_the_request(toys: Path, store: Store) -> None:
    open_suite("toy.yaml", set={"shard": 2}, only={"attack": "none"}).run(progress=False)
    again = continue_run(StudyRequest(None, changes=("matrix.bits=8",)), store)
    assert again.suite == str(toys / "toy.yaml")
    assert again.changes == ("shard=2", "matrix.bits=8")
    assert again.only.texts == ("attack=none",)
    narrowed = continue_run(StudyRequest(None, only=read_selection(["attack=toy"]), precision="bf16"), store)
    assert (narrowed.only.texts, narrowed.precision) == (("attack=toy",), "bf16")


def test_the_default_is_the_last_run_of_a_suite_file(toys: Path, store: Store) -> None:
    with pytest.raises(UserError, match="no suite was run in it"):
        continue_run(StudyRequest(None), store)
    evaluate(**TOYS, attack="none", name="mine")
    with pytest.raises(UserError, match=r"its last run, mine, was made in Python .*: name a suite"):
        continue_run(StudyRequest(None), store)
    open_suite("toy.yaml", only={"attack": "none"}).run(progress=False)
    evaluate(**TOYS, attack="none", name="mine")
    assert name_runs(store) == ["mine", "toy"]
    assert open_suite().run_name == "toy"


def test_the_last_run_is_that_of_the_latest_recorded_time(toys: Path, store: Store) -> None:
    shutil.copy("toy.yaml", "other.yaml")
    open_suite("toy.yaml", only=CLEAN).run(progress=False)
    open_suite("other.yaml", only=CLEAN).run(progress=False)
    for path in store.run_records.paths():  # as after a copy of the store, in any order
        path.touch()
    first = next(path for path in store.run_records.paths() if "toy.yaml" in path.read_text())
    first.touch()
    assert continue_run(StudyRequest(None), store).suite == str(toys / "other.yaml")


@pytest.mark.parametrize("step", [timedelta(0), timedelta(days=-400)])
def test_the_last_run_is_the_last_one_although_the_clock_stands_or_goes_back(
    toys: Path, store: Store, clock: Callable[[datetime], None], step: timedelta
) -> None:
    clock(datetime.now(UTC))
    open_suite("toy.yaml", only=CLEAN).run(progress=False)
    clock(datetime.now(UTC) + step)
    shutil.copy("toy.yaml", "other.yaml")
    open_suite("other.yaml", only=CLEAN).run(progress=False)
    assert continue_run(StudyRequest(None), store).suite == str(toys / "other.yaml")
    assert [run.days for run in list_runs(read_history(store), store)] == [0, 0]


def test_an_unreadable_record_hides_the_last_run(toys: Path, store: Store) -> None:
    open_suite("toy.yaml", only=CLEAN).run(progress=False)
    (store.root / "runs" / "broken.json").write_bytes(b"")
    with pytest.raises(UserError, match=r"broken\.json: not a readable record .*: the last run .* is unknown; name a "):
        continue_run(StudyRequest(None), store)
    assert open_suite("toy.yaml", only=CLEAN).plan().headline.endswith("0 to run, 1 stored, 0 skipped")


def test_suites_of_one_name_in_different_files_have_a_record_each(toys: Path, store: Store) -> None:
    (toys / "second").mkdir()
    shutil.copy("toy.yaml", "second/toy.yaml")
    first = open_suite("toy.yaml", only=CLEAN).run(progress=False)
    second = open_suite("second/toy.yaml", set={"matrix.bits": 8}, only=CLEAN).run(progress=False)
    assert len(read_history(store).runs) == 2
    assert set(record_of(first).keys) == set(first.planned.steps)
    assert set(record_of(second).keys) == set(second.planned.steps)
    assert first.log != second.log


def test_a_suite_is_one_run_whatever_the_path_that_names_it(toys: Path, store: Store) -> None:
    (toys / "link.yaml").symlink_to(toys / "toy.yaml")
    for path in ("toy.yaml", str(toys / "toy.yaml"), "plugins/../toy.yaml", "link.yaml"):
        open_suite(path, only=CLEAN).run(progress=False)
    assert len(read_history(store).runs) == 1


def test_a_shipped_suite_is_one_run_wherever_it_is_installed(
    toys: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("one", "two"):
        (toys / place).mkdir()
        shutil.copy("toy.yaml", f"{place}/toy.yaml")
        shipped = {"toy": toys / place / "toy.yaml"}
        monkeypatch.setattr("retbench.suite.read.shipped_suites", lambda shipped=shipped: shipped)
        monkeypatch.setattr("retbench.study.runs.record.shipped_suites", lambda shipped=shipped: shipped)
        open_suite("toy", only=CLEAN).run(progress=False)
    [stored] = read_history(store).runs
    assert stored.record.run.suite == "toy"
    assert continue_run(StudyRequest(None), store).suite == "toy"


@pytest.mark.parametrize("profile", ["a/b", "../../up", "x" * 300, "Ä b"])
def test_a_profile_of_any_name_has_a_record_and_a_log_in_the_store(toys: Path, store: Store, profile: str) -> None:
    with open("toy.yaml", "a") as stream:
        stream.write(f"profiles: {{'{profile}': {{shard: 3}}, other: {{}}}}\n")
    study = open_suite("toy.yaml", profile=profile, only=CLEAN).run(progress=False)
    [stored] = read_history(store).runs
    assert stored.path.parent == store.root / "runs"
    assert study.log.resolve().parent == store.root / "logs"
    assert study.log.is_file()
    assert set(stored.record.keys) == set(study.planned.steps)
    assert stored.record.run.profile == profile
    paths = study.report(toys / "out", pictures=False)
    assert all(path.parent == toys / "out" for path in paths)


def test_changed_values_do_not_replace_the_record_of_the_suite(toys: Path, store: Store) -> None:
    whole = open_suite("toy.yaml").run(progress=False)
    changed = open_suite("toy.yaml", set={"matrix.bits": 8}, only=CLEAN).run(progress=False)
    assert name_runs(store) == ["toy --set matrix.bits=8", "toy"]
    assert set(record_of(whole).keys) == set(whole.planned.steps)
    assert set(record_of(changed).keys) == set(changed.planned.steps)


def test_a_narrowed_run_adds_to_the_record_and_a_whole_one_replaces_it(
    toys: Path, store: Store, change: Callable[[str, str], None]
) -> None:
    whole = open_suite("toy.yaml").run(progress=False)
    change("60/255", "30/255")
    narrowed = open_suite("toy.yaml", only={"attack": "toy", "defense": "none"}).run(progress=False)
    both = set(record_of(narrowed).keys)
    assert both == set(whole.planned.steps) | set(narrowed.planned.steps)
    again = open_suite("toy.yaml").run(progress=False)
    assert set(record_of(again).keys) == set(again.planned.steps) != both
    assert len(read_history(store).runs) == 1


def test_the_artifacts_of_cells_that_are_skipped_this_time_are_still_named(
    toys: Path, store: Store, monkeypatch: pytest.MonkeyPatch, change: Callable[[str, str], None]
) -> None:
    whole = open_suite("toy.yaml").run(progress=False)
    with monkeypatch.context() as patched:  # the disk of the dataset is not mounted
        patched.setattr(ToyDataset, "missing", lambda dataset: "it is not on this disk")
        without = open_suite("toy.yaml").run(progress=False)
        assert without.planned.steps == {}
        assert set(record_of(without).keys) == set(whole.planned.steps)
        again = open_suite("toy.yaml").run(progress=False)
        assert set(record_of(again).keys) == set(whole.planned.steps)
    change("attack: [none, toy]", "attack: [none]")
    fewer = open_suite("toy.yaml").run(progress=False)
    assert set(record_of(fewer).keys) == set(fewer.planned.steps) < set(whole.planned.steps)


def test_a_run_that_ends_after_another_one_of_the_same_suite_does_not_replace_its_record(
    toys: Path, store: Store, change: Callable[[str, str], None]
) -> None:
    first = open_suite("toy.yaml")
    execution = start_record(first)
    change("60/255", "30/255")
    second = open_suite("toy.yaml").run(progress=False)
    finish_record(first, execution, {}, 1.0)
    assert set(record_of(first).keys) == set(first.planned.steps) | set(second.planned.steps)


def test_a_run_is_recorded_while_the_store_is_in_use(toys: Path, store: Store) -> None:
    refused = []

    def try_to_clean(event: Event) -> None:
        try:
            with store.exclusive():
                refused.append(False)
        except UserError:
            refused.append(True)

    execute(open_suite("toy.yaml", only=CLEAN), try_to_clean)
    assert all(refused[:-1])
    assert len(refused) > 2


def test_failures_outside_of_a_narrowed_run_stay_known(toys: Path, store: Store) -> None:
    broken = {"components.attack.toy.eps": "60/255", "matrix.defense": ["none", "broken"]}
    (toys / "broken.py").write_text(
        "from retbench import Purifier\n"
        "class Broken(Purifier):\n"
        "    name = 'broken'\n"
        "    revision = 1\n"
        "    source = 'none'\n"
        "    def purify(self, images, state, noise, module):\n"
        "        raise RuntimeError('a bug')\n"
    )
    whole = open_suite("toy.yaml", set=broken, plugins="broken.py")
    whole.run(progress=True)
    failed = dict(whole.failures)
    assert failed
    narrowed = open_suite("toy.yaml", set=broken, plugins="broken.py", only={"defense": "none"})
    narrowed.run(progress=False)
    assert narrowed.failures == failed


def test_evaluations_of_one_name_and_other_arguments_have_a_record_each(toys: Path, store: Store) -> None:
    for attack in ("none", "toy", "none"):
        evaluate(**TOYS, attack=attack, name="mine")
    assert name_runs(store) == ["mine", "mine"]


def test_a_record_of_the_former_format_is_kept_and_replaced_by_the_next_run(
    toys: Path, store: Store, change: Callable[[str, str], None]
) -> None:
    study = open_suite("toy.yaml").run(progress=False)
    path = write_former(store, study)
    assert read_history(store).unreadable == ()
    assert set(record_of(study).keys) == set(study.planned.steps)
    assert continue_run(StudyRequest(None), store).suite == str(toys / "toy.yaml")
    other = open_suite("toy.yaml", set={"matrix.bits": 8}, only=CLEAN).run(progress=False)
    assert path.exists()
    assert len(read_history(store).runs) == 2
    change("60/255", "30/255")
    narrowed = open_suite("toy.yaml", only={"attack": "toy", "defense": "none"}).run(progress=False)
    assert not path.exists()
    assert set(record_of(narrowed).keys) == set(study.planned.steps) | set(narrowed.planned.steps)
    assert set(record_of(other).keys) == set(other.planned.steps)


def test_an_unreadable_record_is_replaced_by_a_whole_run_only(toys: Path, store: Store) -> None:
    open_suite("toy.yaml").run(progress=False)
    [path] = store.run_records.paths()
    path.write_bytes(b"")
    open_suite("toy.yaml", only=CLEAN).run(progress=False)
    [error] = read_history(store).unreadable  # set aside, because it may name artifacts of other cells
    assert error.path.name.startswith(f"{path.stem}.unreadable-")
    error.path.unlink()
    path.write_bytes(path.read_bytes()[:-1])
    open_suite("toy.yaml").run(progress=False)
    assert read_history(store).unreadable == ()
    assert store.run_records.paths() == [path]


def test_an_unreadable_record_does_not_stop_its_study(toys: Path, store: Store) -> None:
    study = open_suite("toy.yaml", only=CLEAN).run(progress=False)
    store.run_records.paths()[0].write_bytes(b"{}")
    assert study.failures == {}
    assert "1 cells" in repr(study)
    assert [row.status for row in study.rows()] == ["done"]


def test_runs_are_listed_with_age_and_the_size_of_unshared_artifacts(toys: Path, store: Store) -> None:
    evaluate(**TOYS, attack="none", name="one")
    evaluate(**TOYS, attack=["none", "toy"], name="two")
    open_suite("toy.yaml", only=CLEAN).run(progress=False)
    listed = list_runs(read_history(store), store)
    assert [run.name for run in listed] == ["toy", "two", "one"]
    runs = {run.name: run for run in listed}
    assert {name: run.suite for name, run in runs.items()} == {"one": "", "two": "", "toy": str(toys / "toy.yaml")}
    assert all(0 <= run.age < 60 for run in runs.values())
    assert runs["one"].size == 0  # the second run uses all of its artifacts
    shared = runs["one"].keys | runs["toy"].keys
    assert runs["two"].size == sum(store.size(key) for key in runs["two"].keys - shared) > 0
    assert not any(run.file_is_gone for run in listed)
    (toys / "toy.yaml").unlink()
    assert [run.file_is_gone for run in list_runs(read_history(store), store)] == [True, False, False]


def test_a_run_is_forgotten_with_its_log(toys: Path, store: Store) -> None:
    evaluate(**TOYS, attack="none", name="one")
    evaluate(**TOYS, attack="none", name="two")
    assert len([*(store.root / "logs").iterdir()]) == 2
    [path] = find_runs(read_history(store), ["one"])
    forget_run(store, path)
    [kept] = read_history(store).runs
    assert kept.record.run.name == "two"
    assert [log.stem for log in (store.root / "logs").iterdir()] == [kept.stem]


def test_runs_are_found_by_name_file_or_pattern(toys: Path, store: Store) -> None:
    for name in ("one", "two", "other"):
        evaluate(**TOYS, attack="none", name=name)
    (store.root / "runs" / "broken.json").write_bytes(b"")
    recorded = read_history(store)
    paths = {stored.record.run.name: stored.path for stored in recorded.runs}
    assert find_runs(recorded, ["two"]) == [paths["two"]]
    assert find_runs(recorded, [paths["two"].stem]) == [paths["two"]]
    assert find_runs(recorded, ["o*", "one"]) == sorted([paths["one"], paths["other"]])
    assert find_runs(recorded, ["broken"]) == [store.root / "runs" / "broken.json"]
    for pattern in ("onee", "x*", "../toy"):
        with pytest.raises(
            UnknownName, match=rf"^forget: unknown name: got '{pattern[0]}.*', expected one of broken, "
        ):
            find_runs(recorded, [pattern])


def test_records_of_one_time_have_an_order(toys: Path, store: Store) -> None:
    study = open_suite("toy.yaml", only=CLEAN).run(progress=False)
    record = record_of(study)
    for stem in ("b", "a"):
        store.run_records.write(store.root / "runs" / f"{stem}.json", record.model_dump(mode="json"))
    assert [stored.stem for stored in read_history(store).runs] == sorted(["a", "b", study.identity.stem], reverse=True)
    assert all(isinstance(stored, StoredRecord) for stored in read_history(store).runs)
