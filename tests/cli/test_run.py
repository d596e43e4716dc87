"""`retbench run`, from the first step to the second run that does nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retbench.store import Store

from .conftest import Retbench


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_same_command_runs_once_and_then_does_nothing(retbench: Retbench) -> None:
    first = events(retbench("run", "toy.yaml", "--json").out)[-1]
    assert first["event"] == "finished"
    assert first["executed"] > 0
    assert (first["stored"], first["skipped"], first["failed"]) == (0, 0, 0)
    second = events(retbench("run", "toy.yaml", "--json").out)[-1]
    assert (second["executed"], second["stored"]) == (0, first["executed"])
    assert second["seconds"] > 0


def test_json_keeps_peoples_text_off_standard_output(retbench: Retbench) -> None:
    ended = retbench("run", "toy.yaml", "--json")
    assert {event["event"] for event in events(ended.out)} >= {"run_started", "step_started", "step_done", "finished"}
    assert "steps run" in ended.err


def test_a_run_without_a_terminal_prints_a_line_a_step(retbench: Retbench) -> None:
    ended = retbench("run", "toy.yaml")
    assert ended.out == ""
    assert "[1/21] fit_part toy-mean on toy" in ended.err
    assert "4 cells; 21 steps run, 0 already stored" in ended.err


def test_one_faulty_attack_costs_its_own_cells_only(retbench: Retbench, change: Callable[[str, str], None]) -> None:
    change("attack: [none, toy]", "attack: [none, toy, faulty]")
    ended = retbench("run", "toy.yaml")
    assert ended.code == 1
    assert "4 failed" not in ended.err
    assert "2 failed" in ended.err
    assert "invalid" in ended.err
    assert "NaN or infinity" in ended.err
    rows = json.loads(retbench("results", "--json").out)
    assert [row["status"] for row in rows].count("done") == 4
    assert {row["attack"] for row in rows if row["status"] == "invalid"} == {"faulty"}
    assert all("NaN" in row["reason"] for row in rows if row["status"] == "invalid")


def test_the_log_holds_the_traceback(retbench: Retbench, change: Callable[[str, str], None], toys: Path) -> None:
    change("defense: [none, toy]", "defense: [none, faulty]")
    change("components:", "components:\n  defense: {faulty: {fault: raise}}")
    ended = retbench("run", "toy.yaml")
    assert ended.code == 1
    assert "plugin_error" in ended.err
    assert "a bug in a plugin" in (toys / ".retbench/logs/toy.log").read_text()


def test_a_skipped_cell_is_not_a_failure(retbench: Retbench, change: Callable[[str, str], None]) -> None:
    change("bits: 16", "bits: 16\n  task: [i2i, t2i]")
    ended = retbench("run", "toy.yaml")
    assert ended.code == 0
    assert "skipped 2 cells" in ended.err
    assert "task t2i asks with texts; toy works on images" in ended.err


def test_set_and_only_change_and_narrow(retbench: Retbench) -> None:
    command = ("run", "toy.yaml", "--json", "--only", "attack=toy", "--only", "defense=none")
    first = events(retbench(*command).out)[-1]
    changed = events(retbench(*command, "--set", "components.attack.toy.eps=10/255").out)[-1]
    assert first["executed"] == 9
    assert changed["executed"] == 5, "three shards, their codes and their score; the hasher stays"


def test_a_step_may_not_take_longer_than_its_limit(retbench: Retbench) -> None:
    ended = retbench("run", "toy.yaml", "--step-timeout", "0.000001")
    assert ended.code == 1
    assert "timeout" in ended.err
    assert "raise --step-timeout" in ended.err


def test_a_flipped_byte_is_found_said_and_computed_again(retbench: Retbench, toys: Path) -> None:
    retbench("run", "toy.yaml")
    victim = next((toys / ".retbench/objects").rglob("tensors.safetensors"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(bytes(data))
    ended = retbench("run", "toy.yaml")
    assert ended.code == 0
    assert "does not match its digest; it is computed again" in ended.err
    assert "1 steps run" in ended.err


def test_a_store_that_is_a_file_is_one_line(retbench: Retbench, toys: Path) -> None:
    (toys / "taken").write_text("")
    ended = retbench("run", "toy.yaml", "--store", "taken")
    assert ended.code == 2
    assert "choose another with --store DIR" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(
    retbench: Retbench, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 30:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    ended = retbench("run", "toy.yaml")
    assert ended.code == 2
    assert "the disk is full" in ended.err
    monkeypatch.setattr(os, "fsync", real)
    kept = len(Store(toys / ".retbench").keys())
    assert kept > 0
    assert events(retbench("run", "toy.yaml", "--json").out)[-1]["stored"] == kept


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


def hear_interrupts() -> None:
    """Undoes what a shell does to its background jobs, which would pass it on to the tests: to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def slow_run(toys: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts a run in a process of its own whose attack takes its time."""
    (toys / "plugins/slow_toys.py").write_text(SLOW_TOY)
    (toys / "plugins/toys-0.1.dist-info/entry_points.txt").write_text("[retbench]\ntoys = slow_toys\n")
    (toys / "toy.yaml").write_text((toys / "toy.yaml").read_text().replace("shard: 4", "shard: 1"))
    path = os.pathsep.join([str(toys / "plugins"), *filter(None, sys.path)])
    command = [sys.executable, "-m", "retbench.cli.main", "run", "toy.yaml", "--json"]
    environment = {**os.environ, "PYTHONPATH": path}

    def start(*, wait: bool = True) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=toys,
            preexec_fn=hear_interrupts,
        )
        assert process.stdout is not None
        if not wait:
            return process
        for line in process.stdout:
            if json.loads(line)["event"] == "step_done" and json.loads(line)["stage"] == "attack":
                return process
        raise AssertionError(f"the run ended early: {process.stderr and process.stderr.read()}")

    return start


def test_ctrl_c_ends_at_once_and_says_how_to_resume(
    slow_run: Callable[..., subprocess.Popen[str]], retbench: Retbench, toys: Path
) -> None:
    process = slow_run()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert sum(event["event"] == "step_done" for event in events(out)) <= 1  # one that ended as the signal came
    assert process.returncode == 130
    assert "run the same command again to resume" in err
    kept = len(Store(toys / ".retbench").keys())
    assert events(retbench("run", "toy.yaml", "--json").out)[-1]["stored"] == kept


def test_a_killed_run_loses_the_running_step_only(
    slow_run: Callable[..., subprocess.Popen[str]], retbench: Retbench, toys: Path
) -> None:
    process = slow_run()
    process.kill()
    process.communicate()
    kept = len(Store(toys / ".retbench").keys())
    assert kept > 0
    end = events(retbench("run", "toy.yaml", "--json").out)[-1]
    assert (end["stored"], end["failed"]) == (kept, 0)
    assert not list((toys / ".retbench/tmp").iterdir())


def test_two_runs_on_one_store_both_end_right(
    slow_run: Callable[..., subprocess.Popen[str]], retbench: Retbench
) -> None:
    first, second = slow_run(wait=False), slow_run(wait=False)
    for process in (first, second):
        process.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (0, 0)
    assert events(retbench("run", "toy.yaml", "--json").out)[-1]["executed"] == 0
