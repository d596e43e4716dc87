"""Fixtures of all tests: plans of toy components, and a store to run them in."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from retbench.catalog import Catalog
from retbench.cli.main import main
from retbench.contracts import Component, Context, Noise
from retbench.contracts.context import Precision
from retbench.document import Document
from retbench.execute import LocalExecutor
from retbench.plan import Plan, make_plan
from retbench.store import Artifact, Store
from retbench.suite import LoadedSuite, Suite, expand
from retbench.testing.toys import TOYS


@pytest.fixture
def toy_plan() -> Callable[..., Plan]:
    """Return a function that plans a matrix on the toy dataset and hasher.

    It takes component classes besides the toys, and further fields of the suite.
    """

    def plan(matrix: dict[str, Any], *extra: type[Component], precision: Precision = "float32", **fields: Any) -> Plan:
        suite = Suite(suite="toys", matrix={"dataset": "toy", "hasher": "toy", "bits": 8, **matrix}, **fields)
        loaded = LoadedSuite(suite, Document("suite.yaml", {}, {}), Path("suite.yaml"), "")
        return make_plan(suite, expand(loaded, Catalog.of(*TOYS, *extra)), precision)

    return plan


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def executor(store: Store) -> LocalExecutor:
    """Return an executor that runs plans in the store and ignores events."""
    return LocalExecutor(store, torch.device("cpu"), lambda event: None)


@pytest.fixture
def score_plan(store: Store, executor: LocalExecutor) -> Callable[[Plan], list[dict[str, Any]]]:
    """Return a function that runs a plan without failures and returns the summaries of its scores."""

    def run(plan: Plan) -> list[dict[str, Any]]:
        assert executor.run(plan).failures == {}
        return [store.summary(cell.key or "") for cell in plan.cells]

    return run


@pytest.fixture
def ctx() -> Context:
    """Return the context of a stage that a test runs without an executor."""
    return Context(torch.device("cpu"), "float32", Noise(0, ("alone",)))


@pytest.fixture
def artifacts() -> Callable[..., Callable[[str], Artifact]]:
    """Return a function that makes a `load` for artifacts given by key, as tensors by name."""

    def make_load(**tensors: dict[str, torch.Tensor]) -> Callable[[str], Artifact]:
        return {key: Artifact(key, named) for key, named in tensors.items()}.__getitem__

    return make_load


@pytest.fixture
def run_paper_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Return a function that runs a command with `--profile paper --json` in an empty folder and returns its JSON."""
    monkeypatch.chdir(tmp_path)
    for name in ("RETBENCH_PLUGINS", "RETBENCH_DATA", "RETBENCH_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["retbench", *words, "--profile", "paper", "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        assert ended.value.code == 0, output.err
        return json.loads(output.out.splitlines()[-1])

    return run


class Worker(NamedTuple):
    """A process that runs a program, and the pipe to it."""

    process: ForkServerProcess
    pipe: Connection


StartProgram = Callable[..., Worker]


@pytest.fixture(scope="session")
def server() -> ForkServerContext:
    """Return a context whose processes have retbench and torch loaded, so that they start in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["retbench.cli.run", "retbench.study.study", "retbench.testing.toy_plugin"])
    return context


@pytest.fixture
def start_program(server: ForkServerContext) -> Iterator[StartProgram]:
    """Return a function that runs a program in another process, with the given names and a `pipe` to this one.

    All processes end with the test.
    """
    workers: list[Worker] = []

    def start(program: str, **names: Any) -> Worker:
        pipe, worker_pipe = server.Pipe()
        process = server.Process(target=exec, args=(program, {**names, "pipe": worker_pipe}), daemon=True)
        process.start()
        worker_pipe.close()
        workers.append(Worker(process, pipe))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
