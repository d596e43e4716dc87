"""Runs that share a store, and a killed run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.store import Store
from tests.conftest import StartProgram, Worker

Planner = Callable[..., Plan]

DRIVER = """
import time, warnings
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
        time.sleep(seconds)
        return super().perturb(knowledge, batch, module, noise)

warnings.simplefilter("error")
loaded = read_suite(folder / "toy.yaml")
plan = make_plan(loaded.suite, expand(loaded, Catalog.of(*TOYS, Slow)), "float32")
pipe.send("ready")
pipe.recv()
result = LocalExecutor(Store(folder / "store"), torch.device("cpu"), lambda event: None).run(plan)
pipe.send([len(plan.steps), result.executed, result.stored, len(result.failures)])
"""
"""Runs toy.yaml when a message arrives; the attack of each batch sleeps for some seconds."""


@pytest.fixture
def start(tmp_path: Path, start_program: StartProgram) -> Callable[..., Worker]:
    """Return a function that starts a process which is ready to run a matrix of toys."""

    def process(matrix: str, seconds: float = 0.0) -> Worker:
        (tmp_path / "toy.yaml").write_text(f"suite: toys\nshard: 1\nmatrix: {{dataset: toy, hasher: toy, {matrix}}}\n")
        worker = start_program(DRIVER, folder=tmp_path, seconds=seconds)
        assert worker.pipe.recv() == "ready"
        return worker

    return process


def test_two_processes_on_one_store_give_the_results_of_one(
    start: Callable[..., Worker], tmp_path: Path, toy_plan: Planner, executor: LocalExecutor
) -> None:
    matrix = "bits: [8, 16], attack: [none, toy], defense: [none, toy]"
    both = [start(matrix), start(matrix)]
    for worker in both:
        worker.pipe.send("go")
    for worker in both:
        steps, executed, stored, failed = worker.pipe.recv()
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


def test_a_killed_run_is_resumed_after_its_finished_steps(start: Callable[..., Worker], tmp_path: Path) -> None:
    store, matrix = Store(tmp_path / "store"), "bits: 8, attack: slow, defense: toy"
    killed = start(matrix, 0.2)
    killed.pipe.send("go")
    while sum(timing["stage"] == "attack" for timing in store.timings()) < 3:
        assert killed.process.is_alive()
        time.sleep(0.01)
    killed.process.kill()
    killed.process.join()
    kept = store.keys()
    for key in kept:
        store.check(key)
    resumed = start(matrix)
    resumed.pipe.send("go")
    steps, executed, stored, failed = resumed.pipe.recv()
    assert (executed, stored, failed) == (steps - len(kept), len(kept), 0)
    assert 6 < len(kept) < 20 < steps
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
