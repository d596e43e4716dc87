"""`retbench run`: runs, repeated runs, failures and interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retbench.store import Store
from tests.conftest import StartProgram, Worker

from .conftest import RunCommand


def parse_events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_same_command_runs_once_and_then_does_nothing(retbench: RunCommand) -> None:
    first = parse_events(retbench("run", "toy.yaml", "--json").out)[-1]
    assert first["event"] == "finished"
    assert first["executed"] > 0
    assert (first["stored"], first["skipped"], first["failed"]) == (0, 0, 0)
    second = parse_events(retbench("run", "toy.yaml", "--json").out)[-1]
    assert (second["executed"], second["stored"]) == (0, first["executed"])
    assert second["seconds"] > 0


def test_json_is_the_only_output_on_standard_output(retbench: RunCommand) -> None:
    result = retbench("run", "toy.yaml", "--json")
    assert {event["event"] for event in parse_events(result.out)} >= {
        "run_started",
        "step_started",
        "step_done",
        "finished",
    }
    assert "steps run" in result.err


def test_a_run_without_a_terminal_prints_one_line_for_each_step(retbench: RunCommand) -> None:
    result = retbench("run", "toy.yaml")
    assert result.out == ""
    assert "[1/21] fit_part toy-mean on toy" in result.err
    assert "4 cells: 21 steps run, 0 steps already stored" in result.err


def test_a_faulty_attack_fails_only_its_own_cells(retbench: RunCommand, change: Callable[[str, str], None]) -> None:
    change("attack: [none, toy]", "attack: [none, toy, faulty]")
    result = retbench("run", "toy.yaml")
    assert result.code == 1
    assert "4 cells failed" not in result.err
    assert "2 cells failed" in result.err
    assert "invalid" in result.err
    assert "NaN or infinity" in result.err
    rows = json.loads(retbench("results", "--json").out)
    assert [row["status"] for row in rows].count("done") == 4
    assert {row["attack"] for row in rows if row["status"] == "invalid"} == {"faulty"}
    assert all("NaN" in row["reason"] for row in rows if row["status"] == "invalid")


def test_the_log_holds_the_traceback(retbench: RunCommand, change: Callable[[str, str], None], toys: Path) -> None:
    change("defense: [none, toy]", "defense: [none, faulty]")
    change("components:", "components:\n  defense: {faulty: {fault: raise}}")
    result = retbench("run", "toy.yaml")
    assert result.code == 1
    assert "plugin_error" in result.err
    [log] = (toys / ".retbench" / "logs").iterdir()
    assert "a bug in a plugin" in log.read_text()


def test_a_defective_dataset_fails_only_its_own_cells(retbench: RunCommand, change: Callable[[str, str], None]) -> None:
    change("bits: 16", "bits: [16, 8]")
    change("shard: 4", "shard: 4\noverrides: [{when: {bits: 8}, components: {dataset: {toy: {queries: 0}}}}]")
    reason = "query: no rows, so that nothing is measured; `retbench datasets check toy` lists all defects"
    plan = retbench("plan", "toy.yaml")
    assert plan.code == 1
    assert plan.out.startswith("toy: 8 cells: 4 to run, 0 stored, 0 skipped, 4 failed\n")
    assert "failed 4 cells, for example toy" in plan.out
    assert reason in plan.out
    result = retbench("run", "toy.yaml")
    assert result.code == 1
    assert "0 cells skipped, 4 cells failed" in result.err
    assert reason in result.err
    rows = json.loads(retbench("results", "--json").out)
    assert [(row["bits"], row["status"]) for row in rows].count((16, "done")) == 4
    assert [(row["bits"], row["status"]) for row in rows].count((8, "failed")) == 4
    report = retbench("report", "toy.yaml", "--no-pictures")
    assert report.code == 0
    assert "nothing is measured" in report.out
    assert ": failed: dataset toy" in retbench("why", "toy/toy/8/i2i/none/none/none/oblivious/0", "toy.yaml").out


def test_a_skipped_cell_is_not_a_failure(retbench: RunCommand, change: Callable[[str, str], None]) -> None:
    change("bits: 16", "bits: 16\n  task: [i2i, t2i]")
    result = retbench("run", "toy.yaml")
    assert result.code == 0
    assert "skipped 2 cells" in result.err
    assert "task t2i has text queries; toy works on images" in result.err


def test_only_narrows_and_set_changes_the_suite(retbench: RunCommand) -> None:
    command = ("run", "toy.yaml", "--json", "--only", "attack=toy", "--only", "defense=none")
    first = parse_events(retbench(*command).out)[-1]
    changed = parse_events(retbench(*command, "--set", "components.attack.toy.eps=10/255").out)[-1]
    assert first["executed"] == 9
    assert changed["executed"] == 5, "three shards, their codes and their score; the hasher is stored"


def test_a_step_fails_after_its_time_limit(retbench: RunCommand) -> None:
    result = retbench("run", "toy.yaml", "--step-timeout", "0.000001")
    assert result.code == 1
    assert "timeout" in result.err
    assert "raise --step-timeout" in result.err


def test_a_damaged_artifact_is_reported_and_computed_again(retbench: RunCommand, toys: Path) -> None:
    retbench("run", "toy.yaml")
    damaged = next((toys / ".retbench/objects").rglob("tensors.safetensors"))
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(bytes(data))
    result = retbench("run", "toy.yaml")
    assert result.code == 0
    assert "does not match its digest; it is computed again" in result.err
    assert "1 steps run" in result.err


def test_a_store_that_is_a_file_is_refused_in_one_line(retbench: RunCommand, toys: Path) -> None:
    (toys / "taken").write_text("")
    result = retbench("run", "toy.yaml", "--store", "taken")
    assert result.code == 2
    assert "choose another with --store DIR" in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_a_full_disk_stops_the_run_and_keeps_finished_steps(
    retbench: RunCommand, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = os.fsync, []

    def fail_when_full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 30:
            raise OSError(28, "No space left on device")
        original(handle)

    monkeypatch.setattr(os, "fsync", fail_when_full)
    result = retbench("run", "toy.yaml")
    assert result.code == 2
    assert "the disk is full" in result.err
    monkeypatch.setattr(os, "fsync", original)
    kept = len(Store(toys / ".retbench").keys())
    assert kept > 0
    assert parse_events(retbench("run", "toy.yaml", "--json").out)[-1]["stored"] == kept


SLOW_TOY = """
import time
from retbench.testing import toys, toy_plugin
from retbench.testing.toy_plugin import *

perturb = toys.ToyAttack.perturb

def slow(self, *arguments):
    time.sleep(0.4)
    return perturb(self, *arguments)

toys.ToyAttack.perturb = slow
"""


def reset_interrupts() -> None:
    """Let Ctrl-C interrupt the process; a shell makes its background jobs ignore it, and the tests inherit this."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def slow_toys(toys: Path) -> Path:
    """The folder of `toys`, with a slow attack."""
    (toys / "plugins/slow_toys.py").write_text(SLOW_TOY)
    (toys / "plugins/toys-0.1.dist-info/entry_points.txt").write_text("[retbench]\ntoys = slow_toys\n")
    (toys / "toy.yaml").write_text((toys / "toy.yaml").read_text().replace("shard: 4", "shard: 1"))
    return toys


RUN = """
import os, sys
from retbench.cli.main import main

for stream, name in ((1, "out"), (2, "err")):
    os.dup2(os.open(folder / f"{number}.{name}", os.O_CREAT | os.O_WRONLY), stream)
os.chdir(folder)
os.environ["RETBENCH_PLUGINS"] = "toys"
os.environ.pop("RETBENCH_STORE", None)
sys.path.insert(0, str(folder / "plugins"))
sys.argv = ["retbench", "run", "toy.yaml", "--json"]
main()
"""
"""`retbench run` in a process that has retbench loaded, with its output in files."""


@pytest.fixture
def start_run(slow_toys: Path, start_program: StartProgram) -> Callable[[int], Worker]:
    """Return a function that starts a run with a slow attack in another process."""
    return lambda number: start_program(RUN, folder=slow_toys, number=number)


def ends_attack(line: str) -> bool:
    """Return whether a line of a run's output is a whole event that ends an attack step."""
    return line.endswith("\n") and (json.loads(line)["event"], json.loads(line).get("stage")) == ("step_done", "attack")


def test_ctrl_c_ends_the_run_and_prints_how_to_resume(slow_toys: Path, retbench: RunCommand) -> None:
    path = os.pathsep.join([str(slow_toys / "plugins"), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-m", "retbench.cli.main", "run", "toy.yaml", "--json"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=slow_toys,
        preexec_fn=reset_interrupts,
    )
    assert process.stdout is not None
    assert any(map(ends_attack, process.stdout)), process.stderr and process.stderr.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    ended = [event["event"] for event in parse_events(out)]
    assert ended.count("step_done") <= 1  # a step may end while the signal arrives
    assert process.returncode == 130
    assert "run the same command again to resume" in err
    kept = len(Store(slow_toys / ".retbench").keys())
    assert parse_events(retbench("run", "toy.yaml", "--json").out)[-1]["stored"] == kept


def test_a_killed_run_loses_only_the_running_step(
    start_run: Callable[[int], Worker], retbench: RunCommand, slow_toys: Path
) -> None:
    process = start_run(0).process
    output = slow_toys / "0.out"
    while not (output.exists() and any(map(ends_attack, output.read_text().splitlines(keepends=True)))):
        assert process.is_alive(), (slow_toys / "0.err").read_text()
        time.sleep(0.01)
    process.kill()
    process.join()
    kept = len(Store(slow_toys / ".retbench").keys())
    assert kept > 0
    end = parse_events(retbench("run", "toy.yaml", "--json").out)[-1]
    assert (end["stored"], end["failed"]) == (kept, 0)
    assert not list((slow_toys / ".retbench/tmp").iterdir())


def test_two_runs_on_one_store_both_succeed(start_run: Callable[[int], Worker], retbench: RunCommand) -> None:
    processes = [start_run(number).process for number in range(2)]
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert parse_events(retbench("run", "toy.yaml", "--json").out)[-1]["executed"] == 0
