"""The examples in the docstrings of the Python API and of selections run."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from retbench.study import evaluation, opening, request
from retbench.suite import selection


@pytest.mark.parametrize("module", [evaluation, opening, request, selection], ids=lambda module: module.__name__)
def test_the_examples_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
