"""The examples in the docstrings of the metrics run and give the documented results."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

from retbench import metrics

MODULES = [module.name for module in pkgutil.iter_modules(metrics.__path__)]
FUNCTIONS = [name for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_the_documented_results(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"retbench.metrics.{name}")).failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_has_an_example(name: str) -> None:
    (found,) = doctest.DocTestFinder(recurse=False).find(getattr(metrics, name), name)
    assert "Example:" in found.docstring
    assert any(f"{name}(" in example.source for example in found.examples)
