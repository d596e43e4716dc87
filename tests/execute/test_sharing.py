"""Runs that share a store, and a killed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.store import Store

Planner = Callable[..., Plan]

DRIVER = '''
"""Run toy.yaml when the file `go` exists; the attack sleeps for the seconds in the first argument."""
import sys, time
from pathlib import Path
import torch
from retbench.catalog import Catalog
from retbench.execute import LocalExecutor
from retbench.plan import make_plan
from retbench.store import Store
from retbench.suite import expand, read_suite
from retbench.testing.toys import TOYS, ToyAttack

class Slow(ToyAttack):
    name = "slow"
    def perturb(self, knowledge, batch, module, noise):
        time.sleep(float(sys.argv[1]))
        return super().perturb(knowledge, batch, module, noise)

here = Path(__file__).parent
loaded = read_suite(here / "toy.yaml")
plan = make_plan(loaded.suite, expand(loaded, Catalog.of(*TOYS, Slow)), "float32")
print("ready", flush=True)
while not (here / "go").exists():
    time.sleep(0.001)
result = LocalExecutor(Store(here / "store"), torch.device("cpu"), lambda event: None).run(plan)
print(len(plan.steps), result.executed, result.stored, len(result.failures))
'''


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a process to run a matrix of toys; all processes end with the test."""
    started: list[subprocess.Popen[str]] = []

    def process(matrix: str, wait: float = 0.0) -> subprocess.Popen[str]:
        (tmp_path / "toy.yaml").write_text(f"suite: toys\nshard: 1\nmatrix: {{dataset: toy, hasher: toy, {matrix}}}\n")
        (tmp_path / "driver.py").write_text(DRIVER)
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-W", "error", str(tmp_path / "driver.py"), str(wait)]
        environment = {**os.environ, "PYTHONPATH": path}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield process
    for ended in started:
        ended.kill()
        ended.wait()
        if ended.stdout:
            ended.stdout.close()


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def read_totals(process: subprocess.Popen[str]) -> list[int]:
    """Return the numbers of planned, executed, stored and failed steps of a finished process."""
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return [int(word) for word in out.split()]


def test_two_processes_on_one_store_give_the_results_of_one(
    start: Any, tmp_path: Path, toy_plan: Planner, executor: LocalExecutor
) -> None:
    matrix = "bits: [8, 16], attack: [none, toy], defense: [none, toy]"
    both = [start(matrix), start(matrix)]
    for process in both:
        wait_until_ready(process)
    (tmp_path / "go").touch()
    for steps, executed, stored, failed in map(read_totals, both):
        assert executed + stored == steps
        assert failed == 0
    alone = LocalExecutor(Store(tmp_path / "alone"), torch.device("cpu"), lambda event: None)
    plan = toy_plan({"bits": [8, 16], "attack": ["none", "toy"], "defense": ["none", "toy"]}, shard=1)
    alone.run(plan)
    shared = Store(tmp_path / "store")
    assert shared.keys() == set(plan.steps)
    for key in plan.steps:
        ours, theirs = alone.store.get(key), shared.get(key)
        assert ours.summary == theirs.summary
        assert all(torch.equal(tensor, theirs.tensors[name]) for name, tensor in ours.tensors.items())
    assert list((tmp_path / "store" / "work").iterdir()) == list((tmp_path / "store" / "tmp").iterdir()) == []


def test_a_killed_run_is_resumed_after_its_finished_steps(start: Any, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    store, matrix = Store(tmp_path / "store"), "bits: 8, attack: slow, defense: toy"
    killed = start(matrix, 0.2)
    wait_until_ready(killed)
    while sum(timing["stage"] == "attack" for timing in store.timings()) < 3:
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = store.keys()
    for key in kept:
        store.check(key)
    resumed = start(matrix)
    wait_until_ready(resumed)
    steps, executed, stored, failed = read_totals(resumed)
    assert (executed, stored, failed) == (steps - len(kept), len(kept), 0)
    assert 6 < len(kept) < 20 < steps
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
