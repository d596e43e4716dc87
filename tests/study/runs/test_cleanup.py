"""What no recorded run of a store uses: found, and removed unless a run was recorded meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from retbench.errors import UserError
from retbench.store import Store
from retbench.study.opening import open as open_suite
from retbench.study.runs.cleanup import clean_up, format_name, plan_cleanup
from retbench.study.runs.history import read_history

CLEAN = {"attack": "none", "defense": "none"}


@pytest.fixture
def store(toys: Path) -> Store:
    """A store with the artifacts of a run that is not recorded any more, and the record of another run."""
    open_suite("toy.yaml", only=CLEAN).run(progress=False)
    store = Store(toys / ".retbench")
    for path in store.run_records.paths():
        store.run_records.remove(path)
    open_suite("toy.yaml", set={"matrix.bits": 8}, only=CLEAN).run(progress=False)
    return store


def test_an_empty_store_has_nothing_to_remove(tmp_path: Path) -> None:
    planned = plan_cleanup(Store(tmp_path / "none"))
    assert (planned.unused, planned.runs, planned.size, planned.empties) == ({}, (), 0, False)


def test_unused_artifacts_have_stage_and_size(store: Store) -> None:
    planned = plan_cleanup(store)
    [run] = planned.runs
    assert set(planned.unused) == store.keys() - run.keys
    assert planned.size == sum(store.size(key) for key in planned.unused) > 0
    assert {stage: len(sizes) for stage, sizes in planned.stages.items()} == {"encode": 2, "fit": 1, "score": 1}
    assert planned.kept == len(run.keys)


def test_checkpoints_that_a_recorded_run_needs_are_kept(store: Store) -> None:
    [run] = plan_cleanup(store).runs
    needed, abandoned = next(iter(run.keys)), "ab" * 32
    for key in (needed, abandoned):
        (store.root / "work" / key).mkdir(parents=True)
        (store.root / "work" / key / "epoch-1").write_bytes(b"weights")
    planned = plan_cleanup(store)
    assert planned.fits == {abandoned: 7}
    with store.exclusive():
        clean_up(store, planned)
    assert store.unfinished_fits() == {needed: 7}


def test_artifacts_of_a_run_recorded_after_the_plan_are_kept(store: Store) -> None:
    planned = plan_cleanup(store)
    assert planned.unused
    open_suite("toy.yaml", only=CLEAN).run(progress=False)  # it uses them again
    before = store.keys()
    with store.exclusive():
        removed = clean_up(store, planned)
    assert removed.unused == {}
    assert store.keys() == before


def test_artifacts_made_after_the_plan_are_kept(store: Store) -> None:
    planned = plan_cleanup(store)
    open_suite("toy.yaml", set={"matrix.bits": 4}, only=CLEAN).run(progress=False)
    later = read_history(store).runs[0]
    store.run_records.remove(later.path)
    with store.exclusive():
        removed = clean_up(store, planned)
    assert set(removed.unused) == set(planned.unused)
    assert store.keys() >= set(later.record.keys)


def test_a_record_that_becomes_unreadable_after_the_plan_stops_the_removal(store: Store) -> None:
    planned, before = plan_cleanup(store), store.keys()
    (store.root / "runs" / "broken.json").write_bytes(b"")
    with store.exclusive(), pytest.raises(UserError, match=r"broken\.json: not a readable record"):
        clean_up(store, planned)
    assert store.keys() == before


def test_all_unreadable_records_are_counted(store: Store) -> None:
    for name in ("one", "two", "three"):
        (store.root / "runs" / f"{name}.json").write_bytes(b"{}")
    with pytest.raises(UserError, match=r"one\.json: .*; 2 more records cannot be read$"):
        plan_cleanup(store)
    assert plan_cleanup(store, ["one", "t*"]).forgotten


def test_a_run_is_named_by_its_file_where_others_share_its_name(store: Store) -> None:
    [run] = plan_cleanup(store).runs
    assert format_name([run], run) == "toy"
    assert format_name([run, run], run) == run.stem
