"""The examples in the docstrings of the Python API, of selections and of option names."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from retbench import Study, errors, evaluate
from retbench.study import evaluation, opening, request, tables
from retbench.study import study as study_module
from retbench.suite import selection
from retbench.testing import ToyAttack, ToyDataset, ToyHasher

MODULES = (errors, evaluation, opening, request, selection, study_module, tables)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study in the examples of studies and tables."""
    toys = {"dataset": ToyDataset(), "hasher": ToyHasher(), "attack": ["none", ToyAttack(eps=8 / 255)], "bits": 8}
    store = tmp_path_factory.mktemp("documented") / "store"
    return evaluate(**toys, name="toys", store=store, progress=False)  # type: ignore[arg-type]  # axes of many types


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_examples_pass(module: ModuleType, study: Study) -> None:
    shared = {"study": study, "tables": study.table("retpur-table-7")}
    result = doctest.testmod(module, extraglobs=shared, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("module", [study_module, tables], ids=lambda module: module.__name__)
def test_every_public_method_has_an_example(module: ModuleType) -> None:
    examples = {test.name: test.examples for test in doctest.DocTestFinder().find(module, extraglobs={})}
    operations = {"Study": ("plan", "run", "rows", "to_pandas", "table", "report")}
    methods = operations if module is study_module else {"Tables": ("to_markdown", "to_latex", "to_csv")}
    names = [f"{module.__name__}.{kind}.{method}" for kind, found in methods.items() for method in found]
    assert [name for name in names if not examples.get(name)] == []
