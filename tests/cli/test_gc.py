"""`retbench gc`: the artifacts that are removed and kept."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retbench import evaluate
from retbench.canon import Json, digest
from retbench.store import Artifact, Store
from retbench.study.runs.history import read_history

from .conftest import RunCommand


def test_artifacts_of_the_last_run_of_a_suite_are_kept(
    retbench: RunCommand, toys: Path, change: Callable[[str, str], None]
) -> None:
    retbench("run", "toy.yaml")
    change("60/255", "30/255")
    retbench("run", "toy.yaml")
    before = Store(toys / ".retbench").keys()
    dry = retbench("gc", "--dry-run")
    assert dry.out.splitlines()[-1].startswith("would remove 10 artifacts")
    assert Store(toys / ".retbench").keys() == before
    assert retbench("gc").out.splitlines()[-1].startswith("removed 10 artifacts")
    assert len(Store(toys / ".retbench").keys()) == len(before) - 10
    assert "0 steps run" in retbench("run", "toy.yaml").err


def test_artifacts_of_runs_with_other_options_are_kept(retbench: RunCommand, toys: Path) -> None:
    with open("toy.yaml", "a") as stream:
        stream.write("profiles: {'fast/er': {shard: 8}}\n")
    runs = (["toy.yaml"], ["toy.yaml", "--set", "components.attack.toy.eps=0.5"], ["toy.yaml", "--profile", "fast/er"])
    for words in runs:
        retbench("run", *words)
    assert "removed 0 artifacts" in retbench("gc").out
    for words in runs:
        assert "0 steps run" in retbench("run", *words).err


def test_artifacts_of_suites_of_one_name_in_different_files_are_kept(retbench: RunCommand, toys: Path) -> None:
    (toys / "second").mkdir()
    (toys / "second" / "toy.yaml").write_text((toys / "toy.yaml").read_text().replace("60/255", "30/255"))
    for path in ("toy.yaml", "second/toy.yaml"):
        retbench("run", path)
    assert "removed 0 artifacts" in retbench("gc").out
    for path in ("toy.yaml", "second/toy.yaml"):
        assert "0 steps run" in retbench("run", path).err


def test_artifacts_of_a_suite_whose_file_is_gone_are_kept_until_it_is_forgotten(
    retbench: RunCommand, toys: Path
) -> None:
    retbench("run", "toy.yaml")
    (toys / "toy.yaml").rename(toys / "moved.yaml")
    result = retbench("gc")
    assert f"  toy: {toys / 'toy.yaml'}, which is gone, 0 days old, " in result.out
    assert "removed 0 artifacts" in result.out
    assert "removed 0 artifacts" not in retbench("gc", "--forget", "toy").out
    assert Store(toys / ".retbench").keys() == set()


REQUEST: dict[str, Json] = {"suite": "", "profile": "", "sets": [], "only": [], "precision": "float32"}
FORMER: dict[str, Json] = {"request": REQUEST, "at": "2026-01-02T03:04:05+0000", "keys": []}
BROKEN: dict[str, bytes] = {
    "zero bytes": b"",
    "not UTF-8": b"\xff\xfe{}",
    "bare object": b"{}",
    "list": b"[]",
    "missing field": json.dumps({"request": REQUEST, "at": FORMER["at"]}).encode(),
    "field of another type": json.dumps({**FORMER, "keys": {}}).encode(),
    "key of another type": json.dumps({**FORMER, "keys": [1]}).encode(),
    "no time": json.dumps({**FORMER, "at": "now"}).encode(),
    "later format": json.dumps({"format": 3, "self": digest({"format": 3})}).encode(),
}


def break_record(path: Path, how: str) -> None:
    """Replace a record by an unreadable one."""
    content = path.read_bytes()
    path.unlink()
    if how == "dangling link":
        path.symlink_to("unmounted/toy.json")
    elif how == "folder":
        path.mkdir()
    else:
        path.write_bytes(content[:-20] if how == "truncated" else BROKEN[how])


@pytest.mark.parametrize("broken", [*BROKEN, "truncated", "dangling link", "folder"])
@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--yes",), ("--json",)])
def test_an_unreadable_record_stops_gc(retbench: RunCommand, toys: Path, broken: str, words: tuple[str, ...]) -> None:
    retbench("run", "toy.yaml", "--only", "attack=none", "--only", "defense=none")
    store = Store(toys / ".retbench")
    before, [path] = store.keys(), [*(toys / ".retbench" / "runs").glob("*.json")]
    break_record(path, broken)
    result = retbench("gc", *words)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert f"{path.name}: not a readable record of a run: " in result.err
    assert "nothing is removed; run its suite again, then delete the file if it is still there" in result.err
    assert store.keys() == before


def test_a_whole_run_replaces_an_unreadable_record(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    store = Store(toys / ".retbench")
    before, [path] = store.keys(), store.run_records.paths()
    path.write_bytes(b"")
    assert "0 steps run" in retbench("run", "toy.yaml").err
    assert "removed 0 artifacts" in retbench("gc").out
    assert store.keys() == before


def test_an_unreadable_record_can_be_forgotten(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    store = Store(toys / ".retbench")
    before = store.keys()
    (store.root / "runs" / "broken.json").write_bytes(b"")
    assert "forgot broken\nremoved 0 artifacts" in retbench("gc", "--forget", "broken").out
    assert store.keys() == before


def test_a_store_without_a_record_is_emptied_only_when_confirmed(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    store = Store(toys / ".retbench")
    before = store.keys()
    shutil.rmtree(store.root / "runs")
    for words in ((), ("--json",)):
        result = retbench("gc", *words)
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert f"no run is recorded in it, so that all {len(before)} artifacts would be removed" in result.err
    assert store.keys() == before
    assert f"removed {len(before)} artifacts" in retbench("gc", "--yes").out
    assert store.keys() == set()


@pytest.mark.parametrize(("answer", "removed"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_gc_asks_on_a_terminal_after_it_has_listed(
    retbench: RunCommand, toys: Path, monkeypatch: pytest.MonkeyPatch, answer: str, removed: bool
) -> None:
    retbench("run", "toy.yaml")
    store = Store(toys / ".retbench")
    before = store.keys()

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result = retbench("gc", "--forget", "toy")
    listing, _, rest = result.out.partition("remove this? [y/N]: ")
    assert "  attack: " in listing
    assert ("removed nothing" in rest) is not removed
    assert store.keys() == (set() if removed else before)


def test_unused_artifacts_are_listed_by_stage_before_they_are_removed(
    retbench: RunCommand, toys: Path, change: Callable[[str, str], None]
) -> None:
    retbench("run", "toy.yaml")
    change("60/255", "30/255")
    retbench("run", "toy.yaml")
    (toys / ".retbench" / "work" / "abandoned").mkdir(parents=True)
    lines = retbench("gc").out.splitlines()
    assert lines[0] == "recorded runs (--forget NAME forgets one):"
    assert lines[1].startswith(f"  toy: {toys / 'toy.yaml'}, 0 days old, ")
    assert lines[2] == "artifacts that no recorded run uses:"
    stages = dict(line.strip().split(": ") for line in lines[3:-2])
    assert set(stages) == {"attack", "encode", "purify", "score"}
    assert sum(int(use.split()[0]) for use in stages.values()) == 10
    assert lines[-2] == "  checkpoints of 1 unfinished fits, 0.0 MB"
    assert lines[-1].startswith("removed 10 artifacts, ")


def test_damaged_artifacts_are_listed_too(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    store = Store(toys / ".retbench")
    store.put(Artifact("ab" * 32))
    (store.root / "objects" / "ab" / ("ab" * 32) / "meta.json").write_bytes(b"")
    assert "  damaged: 1 artifacts, 0.0 MB" in retbench("gc").out
    assert not (store.root / "objects" / "ab" / ("ab" * 32)).exists()


def test_gc_is_refused_during_a_run(retbench: RunCommand, toys: Path) -> None:
    with Store(toys / ".retbench").in_use():
        result = retbench("gc")
    assert result.code == 2
    assert "a run is using it" in result.err


def test_artifacts_outside_a_narrowed_run_are_kept(retbench: RunCommand) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--only", "attack=none")
    assert json.loads(retbench("gc", "--dry-run", "--json").out)["artifacts"] == 0


def test_checkpoints_that_no_run_uses_are_removed(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    folder = toys / ".retbench" / "work" / "abandoned"
    folder.mkdir(parents=True)
    retbench("gc")
    assert not folder.exists()


@pytest.fixture
def evaluated(toys: Path) -> Store:
    """A store with an evaluation made in Python."""
    evaluate(dataset="toy", hasher="toy", bits=8, attack="toy", name="mine", progress=False)
    return Store(toys / ".retbench")


def test_a_dry_run_lists_the_recorded_runs(retbench: RunCommand, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    retbench("run", "toy.yaml", "--set", "matrix.bits=8", "--only", "attack=none")
    lines = retbench("gc", "--dry-run").out.splitlines()
    assert lines[0] == "recorded runs (--forget NAME forgets one):"
    stems = [path.stem for path in evaluated.run_records.paths() if path.stem.startswith("toy-")]
    assert any(lines[1].startswith(f"  {stem}: ") for stem in stems)  # two runs share the name
    assert ", --set matrix.bits=8, 0 days old, " in lines[1]
    assert lines[3].startswith("  mine: made in Python, 0 days old, ")
    assert lines[3].endswith(" MB that no other run uses")
    assert lines[4].startswith("would remove 0 artifacts, 0.0 MB; kept ")
    assert len(lines) == 5
    runs = json.loads(retbench("gc", "--dry-run", "--json").out)["runs"]
    assert [(run["name"], run["suite"], run["days"]) for run in runs][2] == ("mine", "", 0)
    assert sorted(run["record"] for run in runs[:2]) == sorted(stems)
    assert runs[0]["bytes"] > 0


def test_forgetting_a_run_removes_the_artifacts_that_no_other_run_uses(retbench: RunCommand, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    used = {key for run in read_history(evaluated).runs if run.record.run.name == "toy" for key in run.record.keys}
    unshared = evaluated.keys() - used
    dry = retbench("gc", "--forget", "mine", "--dry-run")
    assert f"would forget mine\nwould remove {len(unshared)} artifacts, " in dry.out
    assert len(read_history(evaluated).runs) == 2
    result = retbench("gc", "--forget", "m*")
    assert f"forgot mine\nremoved {len(unshared)} artifacts, " in result.out
    assert [run.record.run.name for run in read_history(evaluated).runs] == ["toy"]
    assert evaluated.keys() == used
    assert "0 steps run" in retbench("run", "toy.yaml").err


def test_an_unknown_run_cannot_be_forgotten(retbench: RunCommand, evaluated: Store) -> None:
    before = evaluated.keys()
    result = retbench("gc", "--forget", "mnie")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--forget: unknown name: got 'mnie', expected one of mine; nearest: mine" in result.err
    assert evaluated.keys() == before


def test_the_run_of_a_suite_can_be_forgotten(retbench: RunCommand, evaluated: Store) -> None:
    retbench("run", "toy.yaml")
    assert json.loads(retbench("gc", "--forget", "toy", "--forget", "mine", "--json").out)["forgotten"] == [
        "mine",
        "toy",
    ]
    assert evaluated.keys() == set()


def test_help_explains_how_to_forget_evaluations(retbench: RunCommand) -> None:
    text = " ".join(retbench("gc", "--help").out.split())
    assert "--forget NAME" in text
    assert "retbench.evaluate" in text


def test_a_missing_store_has_nothing_to_remove(retbench: RunCommand) -> None:
    assert retbench("gc", "--dry-run", "--store", "new").out == (
        "would remove 0 artifacts, 0.0 MB; kept 0 that recorded runs use\n"
    )


def test_a_dry_run_creates_no_store(retbench: RunCommand, tmp_path: Path) -> None:
    result = retbench("gc", "--dry-run", "--store", str(tmp_path / "absent"))
    assert result.out.startswith("would remove 0 artifacts, 0.0 MB; kept 0 that recorded runs use")
    assert not (tmp_path / "absent").exists()
