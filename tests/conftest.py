"""Plans of toy components, and a store to run them in."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """Plans a matrix on the toy dataset and hasher; `extra` are components beside the toys, `rest` what else a suite
    says."""

    def plan(matrix: dict[str, Any], *extra: type[Component], precision: Precision = "float32", **rest: Any) -> Plan:
        suite = Suite(suite="toys", matrix={"dataset": "toy", "hasher": "toy", "bits": 8, **matrix}, **rest)
        loaded = LoadedSuite(suite, Document("suite.yaml", {}, {}), Path("suite.yaml"), "")
        return make_plan(suite, expand(loaded, Catalog.of(*TOYS, *extra)), precision)

    return plan


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def executor(store: Store) -> LocalExecutor:
    """Run plans in the store, unwatched."""
    return LocalExecutor(store, torch.device("cpu"), lambda event: None)


@pytest.fixture
def scored(store: Store, executor: LocalExecutor) -> Callable[[Plan], list[dict[str, Any]]]:
    """Run a plan, all of which must succeed, and returns the facts of its cells' scores."""

    def run(plan: Plan) -> list[dict[str, Any]]:
        assert executor.run(plan).failures == {}
        return [store.summary(cell.key or "") for cell in plan.cells]

    return run


@pytest.fixture
def ctx() -> Context:
    """What a stage is lent, for tests that run one alone."""
    return Context(torch.device("cpu"), "float32", Noise(0, ("alone",)))


@pytest.fixture
def artifacts() -> Callable[..., Callable[[str], Artifact]]:
    """Return a `load` that knows the artifacts of these keys: tensors by name."""

    def known(**tensors: dict[str, torch.Tensor]) -> Callable[[str], Artifact]:
        return {key: Artifact(key, named) for key, named in tensors.items()}.__getitem__

    return known


@pytest.fixture
def at_paper_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Run a command on a suite's paper profile in an empty folder, and returns the JSON that it ends with."""
    monkeypatch.chdir(tmp_path)
    for name in ("RETBENCH_PLUGINS", "RETBENCH_DATA", "RETBENCH_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["retbench", *words, "--profile", "paper", "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert ended.value.code == 0, told.err
        return json.loads(told.out.splitlines()[-1])

    return run
